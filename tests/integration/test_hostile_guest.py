# SPDX-License-Identifier: BSD-3-Clause
"""A hostile driver inside of a virtual machine: the table of tests/hostile through virtio-pci and vhost-vdpa, on a card
and, where QEMU has a generic vDPA device, on a disk, with split and packed rings. Another card of the same machine must
not notice, and a reset must bring the device back.
"""

import os
import re
import subprocess

from guest import APPEND
from lab import Lab, Skip, check, run_scenarios

OTHER_MAC = "52:54:00:12:34:57"
# Rings and buffers lie in a memory module that the guest's kernel leaves alone (tests/guest/wrong.c).
MEMORY = ["-object", "memory-backend-ram,id=rings,size=2M", "-device", "pc-dimm,memdev=rings,addr=0x100000000",
          "-append", APPEND + " acpi_no_memhotplug"]
DISK = ["-device", "pcie-root-port,id=port2,chassis=3",
        "-device", "vhost-vdpa-device-pci,bus=port2,vhostdev=/dev/vhost-vdpa-2"]


class HostileLab(Lab):
    """A guest with devices of one process: eth0 and the disk are driven wrong, eth1 is the neighbour."""

    has_disk = False

    def attach(self, backend, queues=1, spec=""):
        wrap, netdev = super().attach(backend, queues, spec)
        more = ["-d", "name net1 mgmtdev vdpasim_net mac %s backend tap,ifname=tap1" % OTHER_MAC]
        if self.has_disk:
            path = os.path.join(self.logs, "disk.img")
            with open(path, "wb") as disk:
                disk.truncate(16 << 20)
            more += ["-d", "name disk0 mgmtdev vdpasim_blk offer all backend file,path=" + path]
        at = wrap.index("--log")
        return wrap[:at] + more + wrap[at:], netdev


def boot(lab):
    """a guest with two cards, and a disk where QEMU can, boots, and both cards answer"""
    lab.add_tap()
    lab.add_tap("tap1", "10.78.0.1/24")
    known = subprocess.run(["qemu-system-x86_64", "-device", "help"], check=True, stdout=subprocess.PIPE, text=True)
    lab.has_disk = "vhost-vdpa-device-pci" in known.stdout
    lab.boot(args=["-device", "pcie-root-port,id=port1,chassis=2", "-netdev", "vhost-vdpa,id=n1,vhostdev=/dev/vhost-vdpa-1",
                   "-device", "virtio-net-pci,netdev=n1,bus=port1,mac=%s,romfile=" % OTHER_MAC] + MEMORY +
             (DISK if lab.has_disk else []), device=",packed=on", spec="offer all", memory="256,slots=1,maxmem=1G")
    lab.guest.run("ip address add 10.78.0.2/24 dev eth1 && ip link set eth1 up")
    lab.check_ping()
    check(lab.ping(5, "10.78.0.2") == 5, "the neighbour does not answer")


def unbind(lab, link):
    """Take a device from its driver; return its PCI address."""
    path = lab.guest.run("readlink -f %s" % link).strip()
    address = path.rsplit("/", 1)[-1]
    check(re.fullmatch(r"[0-9a-f:.]{12}", address), "no PCI address in %s", path)
    lab.guest.run("echo %s >/sys/bus/pci/drivers/virtio-pci/unbind" % address)
    return address


def drive(lab, address, layout, at_least):
    """Run all cases on a device; the neighbour answers meanwhile, and the log says what was wrong."""
    began = os.path.getsize(lab.guest.stderr)
    request = lab.guest.start("wrong %s %s" % (address, layout), timeout=150)
    answers = lab.ping(20, "10.78.0.2")
    status, output = lab.guest.finish(request)
    lines = output.splitlines()
    failed = [line for line in lines if not line.startswith("ok ")]
    check(status == 0 and not failed, "in the guest: status %d, %s", status, failed or output)
    check(len(lines) >= at_least, "only some cases ran: %s", output)
    check(answers == 20, "the neighbour answered %d of 20 pings meanwhile", answers)
    with open(lab.guest.stderr, errors="replace") as log:
        log.seek(began)
        text = log.read()
    reasons = {line.split(": ", 1)[1] for line in lines if ": " in line}
    missing = [reason for reason in reasons if reason not in text]
    check(len(reasons) >= 8 and not missing, "of %d reasons not in the log: %s", len(reasons), missing)
    check("net1" not in text, "the neighbour is in the log: %s", text)
    print("         %d cases, %d reasons in the log" % (len(lines), len(reasons)))


def card_split(lab):
    """a card with split rings: each case is survived, and a reset brings the card back"""
    lab.card = unbind(lab, "/sys/class/net/eth0/device/..")
    drive(lab, lab.card, "split", 60)


def card_packed(lab):
    """the same with packed rings"""
    drive(lab, lab.card, "packed", 50)


def disk_split(lab):
    """a disk with split rings: each case is survived, and a reset brings the disk back"""
    if not lab.has_disk:
        raise Skip("this QEMU has no vhost-vdpa-device-pci")
    lab.disk = unbind(lab, "$(dirname $(grep -l 0x0002 /sys/bus/virtio/devices/*/device))/..")
    drive(lab, lab.disk, "split", 70)


def disk_packed(lab):
    """the same with packed rings"""
    if not lab.has_disk:
        raise Skip("this QEMU has no vhost-vdpa-device-pci")
    drive(lab, lab.disk, "packed", 60)


def recover(lab):
    """the guest's own driver takes the card again, and frames go both ways unchanged"""
    lab.guest.run("echo %s >/sys/bus/pci/drivers/virtio-pci/bind" % lab.card)
    lab.configure_guest()
    lab.check_ping()
    lab.exchange_frames()
    check(lab.ping(5, "10.78.0.2") == 5, "the neighbour does not answer")
    if lab.has_disk:
        lab.guest.run("echo %s >/sys/bus/pci/drivers/virtio-pci/bind; until [ -b /dev/vda ]; do usleep 20000; done; "
                      "dd if=/dev/vda of=/dev/null bs=1M count=16" % lab.disk)


if __name__ == "__main__":
    run_scenarios("hostile_guest", [boot, card_split, card_packed, disk_split, disk_packed, recover], make_lab=HostileLab)
