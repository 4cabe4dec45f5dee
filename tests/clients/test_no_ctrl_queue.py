# SPDX-License-Identifier: BSD-3-Clause
"""One guest on a device without a control queue: QEMU 11 enables its rings before it has set anything up."""

import client
from lab import HOST_IP
from migration import RICH
from scenarios import frames, link, rebind, reboot, stop_cont, transfer
from server import FileServer


def boot(lab):
    """the guest boots without a control queue and answers 20 of 20 pings"""
    lab.add_tap()
    lab.server = FileServer(HOST_IP)
    lab.boot(spec="device_features 0x%x" % RICH)
    lab.check_ping(20)


if __name__ == "__main__":
    client.run([boot, frames, transfer, rebind, stop_cont, link, reboot])
