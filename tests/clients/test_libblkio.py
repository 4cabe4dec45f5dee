# SPDX-License-Identifier: BSD-3-Clause
"""libblkio on a Holdfast disk: `test_libblkio.py --info` and `--copy` run its own example programs, `--qemu_img` and
`--storage_daemon` QEMU's tools with the block driver that is made of it.
"""

import hashlib
import os
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

    def run(self, *command):
        """Run a command, which must succeed; return what it printed."""
        spec = "mgmtdev vdpasim_blk backend file,path=" + self.path
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
    client.run([{"info": info, "copy": copy, "qemu_img": qemu_img, "storage_daemon": storage_daemon}[
        sys.argv[1].strip("-")]])
