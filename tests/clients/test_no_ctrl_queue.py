# SPDX-License-Identifier: BSD-3-Clause
"""One guest on a device without a control queue: QEMU 11 enables its rings before it has set anything up."""

import client
from lab import HOST_IP, check
from migration import RICH
from scenarios import frames, link, rebind, reboot, stop_cont, transfer
from server import FileServer


def boot(lab):
    """the guest boots without a control queue and answers 20 of 20 pings"""
    lab.add_tap()
    lab.server = FileServer(HOST_IP)
    lab.boot(spec="device_features 0x%x" % RICH)
    lab.check_ping(20)


def stops(lab):
    """fifty times stop and cont, frames both ways after each"""
    for number in range(50):
        lab.guest.qmp.command("stop")
        lab.guest.qmp.command("cont")
        down = lab.frames_to_guest(20, ["--rate", "1000"])
        check(down.clean, "after stop and cont number %d, host to guest: %s", number + 1, down.text)
        up = lab.frames_from_guest(20, "--rate 1000")
        check(up.clean, "after stop and cont number %d, guest to host: %s", number + 1, up.text)


if __name__ == "__main__":
    client.run([boot, frames, transfer, rebind, stop_cont, stops, link, reboot])
