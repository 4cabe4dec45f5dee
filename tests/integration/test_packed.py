# SPDX-License-Identifier: BSD-3-Clause
"""One guest on packed rings."""

from lab import HOST_IP, check, run_scenarios
from scenarios import frames, rebind, reboot, stop_cont, transfer
from server import FileServer

RING_PACKED = 34


def boot(lab):
    """the guest boots with packed=on and negotiates packed rings"""
    lab.add_tap()
    lab.server = FileServer(HOST_IP)
    lab.boot(device=",packed=on", spec="offer packed")
    features = lab.guest.run("cat /sys/class/net/eth0/device/features").strip()
    check(features[RING_PACKED] == "1", "packed rings are not negotiated: %s", features)
    lab.check_ping(20)


if __name__ == "__main__":
    run_scenarios("packed", [boot, frames, transfer, stop_cont, rebind, reboot])
