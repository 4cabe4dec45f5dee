# SPDX-License-Identifier: BSD-3-Clause
"""libblkio on a Holdfast disk: `test_libblkio.py --info`, `--copy` and `--bench` run its own example programs, `--qemu_img`,
`--qemu_io` and `--storage_daemon` QEMU's tools with the block driver that is made of it.
"""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

import client
from lab import Failure, Skip, check

SIZE = 4 << 20
EXAMPLES = "/usr/share/doc/libblkio-dev/examples"
DRIVER = "driver=virtio-blk-vhost-vdpa,path=/dev/vhost-vdpa-0,cache.direct=on"


class Disk:
    """A file of noise, and commands that find it behind /dev/vhost-vdpa-0."""

    def __init__(self, lab):
        self.lab = lab
        self.path = os.path.join(lab.logs, "disk.img")
        with open(self.path, "wb") as disk:
            disk.write(os.urandom(SIZE))

    def run(self, *command, words=""):
        """Run a command, which must succeed; return what it printed."""
        spec = "mgmtdev vdpasim_blk %sbackend file,path=%s" % (words, self.path)
        log = os.path.join(self.lab.logs, "holdfast.log")
        done = subprocess.run([self.lab.holdfast, "run", "-d", spec, "--log", log, "--", *command], check=False,
                              timeout=60, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True)
        if done.returncode:
            raise Failure("%s: status %d: %s" % (os.path.basename(command[0]), done.returncode, done.stdout.strip()))
        return done.stdout

    def compare(self, path):
        """The file at @path must have the disk's bytes."""
        sums = [hashlib.sha256(open(name, "rb").read()).hexdigest() for name in (path, self.path)]
        check(sums[0] == sums[1], "the copy differs from the disk")


def compile_example(lab, name):
    source = os.path.join(EXAMPLES, "blkio-%s.c" % name)
    if not os.path.exists(source):
        raise Skip("no libblkio-dev here")
    program = os.path.join(lab.logs, name)
    subprocess.run(["cc", "-o", program, source, "-lblkio"], check=True)
    return program


def info(lab):
    """blkio-info connects and tells the disk's capacity"""
    program = compile_example(lab, "info")
    shown = Disk(lab).run(program, "virtio-blk-vhost-vdpa", "path=/dev/vhost-vdpa-0", "capacity")
    check(shown.strip() == str(SIZE), "the capacity is %s", shown)


def copy(lab):
    """blkio-copy reads the whole disk"""
    program, disk, target = compile_example(lab, "copy"), Disk(lab), os.path.join(lab.logs, "copy.img")
    with open(target, "wb"):
        pass  # it wants a file that exists
    disk.run(program, "--input-blkio=virtio-blk-vhost-vdpa", "path=/dev/vhost-vdpa-0", "--output-file=" + target)
    disk.compare(target)


def bench(lab):
    """blkio-bench reads at random and leaves the disk as it is, and writes; four threads, a queue each"""
    program, disk, before = compile_example(lab, "bench"), Disk(lab), os.path.join(lab.logs, "before.img")
    shutil.copy(disk.path, before)
    for work in ("randread", "randwrite"):
        shown = disk.run(program, "--num-threads=4", "--iodepth=16", "--readwrite=" + work, "--runtime=1",
                         "virtio-blk-vhost-vdpa", "path=/dev/vhost-vdpa-0", words="num_queues 4 ")
        count = re.search(r'"kiops": ([\d.]+)', shown)
        check(count and float(count[1]) > 0, "%s: %s", work, shown)
        if work == "randread":
            disk.compare(before)


def qemu_io(lab):
    """qemu-io writes, reads back, writes zeroes and discards, and the file has it"""
    disk = Disk(lab)
    shown = disk.run("qemu-io", "-c", "write -P 0x5a 64k 128k", "-c", "read -P 0x5a 64k 128k", "-c", "write -f -P 0x33 1M 64k",
                     "-c", "write -z 128k 64k", "-c", "read -P 0 128k 64k", "-c", "discard 2M 1M", "-c", "read -v 0 512",
                     "--image-opts", DRIVER)
    check("failed" not in shown, "qemu-io: %s", shown)
    with open(disk.path, "rb") as file:
        found = file.read()
    for first, length, byte in ((64, 64, 0x5a), (128, 64, 0), (1024, 64, 0x33)):
        part = found[first << 10:first + length << 10]
        check(part == bytes([byte]) * len(part), "%d KiB at %d KiB of the file are not 0x%02x", length, first, byte)


def qemu_img(lab):
    """qemu-img converts the disk to a file"""
    disk, target = Disk(lab), os.path.join(lab.logs, "copy.img")
    disk.run("qemu-img", "convert", "--image-opts", DRIVER, "-O", "raw", target)
    disk.compare(target)


def storage_daemon(lab):
    """qemu-storage-daemon serves the disk by NBD: its bytes are read, others are written and are in the file"""
    disk, folder = Disk(lab), tempfile.mkdtemp()
    there, copy_path, new = os.path.join(folder, "nbd"), os.path.join(lab.logs, "copy.img"), os.path.join(lab.logs, "new")
    with open(new, "wb") as noise:
        noise.write(os.urandom(SIZE))
    pid_file = os.path.join(folder, "pid")
    # it goes into the background when it is ready
    disk.run("qemu-storage-daemon", "--blockdev", DRIVER + ",node-name=disk", "--nbd-server",
             "addr.type=unix,addr.path=" + there, "--export", "nbd,id=disk,node-name=disk,writable=on", "--daemonize",
             "--pidfile", pid_file)
    try:
        url = "nbd+unix:///disk?socket=" + there
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "raw", url, copy_path], check=True, timeout=60)
        disk.compare(copy_path)
        subprocess.run(["qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", new, url], check=True, timeout=60)
        disk.compare(new)
    finally:
        with open(pid_file, encoding="ascii") as pid:
            os.kill(int(pid.read()), signal.SIGTERM)
        shutil.rmtree(folder)


if __name__ == "__main__":
    client.run([{"info": info, "copy": copy, "bench": bench, "qemu_img": qemu_img, "qemu_io": qemu_io,
                 "storage_daemon": storage_daemon}[sys.argv[1].strip("-")]])
