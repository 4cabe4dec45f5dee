# SPDX-License-Identifier: BSD-3-Clause
"""One guest whose card is QEMU's generic vDPA device: `-device vhost-vdpa-device-pci`, without a netdev."""

import os

import client
from guest import Guest, qemu_version
from lab import HOST_IP, MAC, Skip
from scenarios import frames, rebind, reboot, transfer
from server import FileServer
from test_generic_disk import with_guest

DEVICE = "name net0 mgmtdev vdpasim_net mac %s backend tap,ifname=tap0" % MAC


def boot(lab):
    """the guest boots, finds its NIC and answers 20 of 20 pings"""
    if qemu_version() < (8,):
        raise Skip("this QEMU has no vhost-vdpa-device-pci")
    lab.add_tap()
    lab.server = FileServer(HOST_IP)
    lab.call_log = os.path.join(lab.logs, "holdfast.log")
    wrap = [lab.holdfast, "run", "-d", DEVICE, "--log", lab.call_log, "--"]
    args = ["-device", "vhost-vdpa-device-pci,id=nic0,vhostdev=/dev/vhost-vdpa-0"]
    lab.guest = Guest(lab.image, wrap, args, log_dir=lab.logs)
    lab.guest.wait_ready()
    lab.configure_guest()
    lab.check_ping(20)


def pause(lab):
    """stop and cont: traffic is whole again"""
    lab.guest.qmp.command("stop")
    lab.guest.qmp.command("cont")
    lab.check_ping()
    lab.exchange_frames()


if __name__ == "__main__":
    client.run([boot] + [with_guest(each) for each in (frames, transfer, rebind, pause, reboot)])
