# SPDX-License-Identifier: BSD-3-Clause
"""One guest with a Holdfast disk through QEMU's generic vDPA device: raw data, a file system, reboots.

With `--blockdev` the disk is a virtio-blk-pci on QEMU's block driver virtio-blk-vhost-vdpa, that is libblkio. It maps
the guest's memory only if it is shared.
"""

import hashlib
import os
import subprocess
import sys

import client
from guest import Guest, qemu_version
from lab import Skip, check

SIZE = 64 << 20
DEVICE = "name disk0 mgmtdev vdpasim_blk backend file,path="
GENERIC = ["-device", "vhost-vdpa-device-pci,id=disk0,vhostdev=/dev/vhost-vdpa-0"]
BLOCKDEV = ["-object", "memory-backend-memfd,id=memory,size=256M,share=on", "-machine", "memory-backend=memory",
            "-blockdev", "driver=virtio-blk-vhost-vdpa,node-name=disk0,path=/dev/vhost-vdpa-0,cache.direct=on",
            "-device", "virtio-blk-pci,drive=disk0,serial=disk0"]
DRIVER = "for m in $(cat /modules/disk); do insmod /modules/$m.ko; done; " \
    "until [ -b /dev/vda ]; do usleep 20000; done"


def boot(lab):
    """the guest boots and finds a disk of the right size and name"""
    if qemu_version() < (8,):
        raise Skip("this QEMU has no vhost-vdpa-device-pci")
    lab.disk = os.path.join(lab.logs, "disk.img")
    with open(lab.disk, "wb") as disk:
        disk.truncate(SIZE)
    wrap = [lab.holdfast, "run", "-d", DEVICE + lab.disk, "--log", os.path.join(lab.logs, "holdfast.log"), "--"]
    lab.guest = Guest(lab.image, wrap, BLOCKDEV if "--blockdev" in sys.argv else GENERIC, log_dir=lab.logs)
    lab.guest.wait_ready()
    find_disk(lab)


def find_disk(lab):
    lab.guest.run(DRIVER)
    shown = lab.guest.run("cat /sys/block/vda/size /sys/block/vda/serial").split()
    check(shown == [str(SIZE // 512), "disk0"], "the guest sees %s", shown)


def with_guest(scenario):
    """@scenario, skipped where there is no guest."""
    def run(lab):
        if not lab.guest:
            raise Skip("no guest")
        scenario(lab)
    run.__doc__ = scenario.__doc__
    return run


def content(lab):
    """Return the checksum of what the host finds in the disk's file."""
    with open(lab.disk, "rb") as disk:
        return hashlib.sha256(disk.read()).hexdigest()


def raw(lab):
    """48 MiB of noise are written and synced, are in the file, and read back the same"""
    written = lab.guest.run("dd if=/dev/urandom of=/tmp/noise bs=1M count=48 2>/dev/null; "
                            "dd if=/tmp/noise of=/dev/vda bs=1M conv=fsync 2>/dev/null; "
                            "sha256sum </tmp/noise; rm /tmp/noise", timeout=120).split()[0]
    with open(lab.disk, "rb") as disk:
        found = hashlib.sha256(disk.read(48 << 20)).hexdigest()
    check(found == written, "the file has %s, written was %s", found, written)
    lab.written = written


def read_after_reboot(lab):
    """after a reboot the guest reads the same 48 MiB"""
    lab.guest.reboot()
    lab.guest.run(DRIVER)
    got = lab.guest.run("dd if=/dev/vda bs=1M count=48 2>/dev/null | sha256sum", timeout=120).split()[0]
    check(got == lab.written, "the guest reads %s, written was %s", got, lab.written)


def filesystem(lab):
    """the host makes an ext4, the guest fills it, reboots and reads it back; e2fsck finds nothing wrong"""
    lab.guest.run("echo 1 >/proc/sys/vm/drop_caches")
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", lab.disk], check=True)
    lab.guest.reboot()
    lab.guest.run(DRIVER)
    sums = lab.guest.run(
        "mkdir -p /tmp/d; mount -t ext4 /dev/vda /tmp/d; cd /tmp/d; "
        "for i in $(seq 40); do mkdir d$i; dd if=/dev/urandom of=d$i/f bs=1k count=$((i * 20)) 2>/dev/null; done; "
        "rm -r d7 d9; mv d11 d7; sync; sha256sum d*/f", timeout=120)
    # the machine is reset without an unmount: what was synced must be there, by the journal's help
    lab.guest.reboot()
    lab.guest.run(DRIVER)
    again = lab.guest.run("mkdir -p /tmp/d; mount -t ext4 /dev/vda /tmp/d; cd /tmp/d; sha256sum d*/f; "
                          "cd /; umount /tmp/d", timeout=120)
    check(again == sums, "files differ after the reboot:\n%s\n%s", sums, again)
    fsck = subprocess.run(["e2fsck", "-fn", lab.disk], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    check(fsck.returncode == 0, "e2fsck: status %d: %s", fsck.returncode, fsck.stdout)


def pause(lab):
    """stop and cont while the guest writes: nothing is lost"""
    lab.guest.run("dd if=/dev/zero of=/dev/vda bs=1M count=48 conv=fsync 2>/dev/null", timeout=120)
    request = lab.guest.start("i=0; while [ $i -lt 200 ]; do echo line $i | dd of=/dev/vda bs=512 seek=$i conv=sync,fsync "
                              "2>/dev/null; i=$((i + 1)); done", timeout=120)
    for _ in range(5):
        lab.guest.qmp.command("stop")
        lab.guest.qmp.command("cont")
    status, out = lab.guest.finish(request)
    check(status == 0, "the guest's writes failed: %s", out)
    with open(lab.disk, "rb") as disk:
        for number in range(200):
            line = disk.read(512).rstrip(b"\0")
            check(line == b"line %d\n" % number, "sector %d has %s", number, line)


if __name__ == "__main__":
    client.run([boot] + [with_guest(each) for each in (raw, read_after_reboot, filesystem, pause)])
