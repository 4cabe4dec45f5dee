# SPDX-License-Identifier: BSD-3-Clause
"""A hostile driver inside of a virtual machine: rings that are wrong in one thing at a time, through virtio-pci and
vhost-vdpa. Another card of the same machine must not notice, and a reset must bring the first one back."""

import re

from lab import HOST_IP, MAC, Lab, check, run_scenarios

# What the host's log must say of a case, among its reasons for a broken ring.
REASONS = (
    "descriptor index out of range",
    "chain has a loop",
    "available index is too far ahead",
    "readable descriptor after a writable one",
    "unknown descriptor flag",
    "indirect descriptor without the feature",
    "chain is longer than 4 GiB",
)
OTHER_MAC = "52:54:00:12:34:57"


class HostileLab(Lab):
    """A guest with two cards in one process: eth0 is driven wrong, eth1 is the neighbour."""

    def attach(self, backend, queues=1, spec=""):
        wrap, netdev = super().attach(backend, queues, spec)
        second = ["-d", "name net1 mgmtdev vdpasim_net mac %s backend tap,ifname=tap1" % OTHER_MAC]
        at = wrap.index("--log")
        return wrap[:at] + second + wrap[at:], netdev


def boot(lab):
    """a guest with two cards boots, and both answer"""
    lab.add_tap()
    lab.add_tap("tap1", "10.78.0.1/24")
    lab.boot(args=["-device", "pcie-root-port,id=port1,chassis=2", "-netdev", "vhost-vdpa,id=n1,vhostdev=/dev/vhost-vdpa-1",
                   "-device", "virtio-net-pci,netdev=n1,bus=port1,mac=%s,romfile=" % OTHER_MAC])
    lab.guest.run("ip address add 10.78.0.2/24 dev eth1 && ip link set eth1 up")
    lab.check_ping()
    check(lab.ping(5, "10.78.0.2") == 5, "the neighbour does not answer")


def find_card(lab):
    """Return the PCI address of the card that is eth0."""
    path = lab.guest.run("readlink -f /sys/class/net/eth0/device/..").strip()
    address = path.rsplit("/", 1)[-1]
    check(re.fullmatch(r"[0-9a-f:.]{12}", address), "no PCI address in %s", path)
    return address


def all_cases(lab):
    """each wrong ring is survived, and a reset brings the card back; the neighbour answers meanwhile"""
    card = find_card(lab)
    lab.card = card
    lab.guest.run("echo %s >/sys/bus/pci/drivers/virtio-pci/unbind" % card)
    request = lab.guest.start("wrong %s" % card, timeout=150)
    answers = lab.ping(20, "10.78.0.2")
    status, output = lab.guest.finish(request)
    failed = [line for line in output.splitlines() if not line.startswith("ok ")]
    check(status == 0 and not failed, "in the guest: status %d, %s", status, failed or output)
    check(len(output.splitlines()) >= 20, "only some cases ran: %s", output)
    check(answers == 20, "the neighbour answered %d of 20 pings meanwhile", answers)


def reasons(lab):
    """the host's log says in words what was wrong"""
    with open(lab.guest.stderr, errors="replace") as log:
        text = log.read()
    missing = [reason for reason in REASONS if reason not in text]
    check(not missing, "not in the log: %s", missing)
    check("net1" not in text, "the neighbour is in the log: %s", text)


def recover(lab):
    """the guest's own driver takes the card again, and frames go both ways unchanged"""
    lab.guest.run("echo %s >/sys/bus/pci/drivers/virtio-pci/bind" % lab.card)
    lab.configure_guest()
    lab.check_ping()
    lab.exchange_frames()
    check(lab.ping(5, "10.78.0.2") == 5, "the neighbour does not answer")


if __name__ == "__main__":
    run_scenarios("hostile_guest", [boot, all_cases, reasons, recover], make_lab=HostileLab)
