# SPDX-License-Identifier: BSD-3-Clause
"""One guest on a TAP device through what a guest's life brings: traffic, rebind, stop, reboot."""

from lab import HOST_IP, run_scenarios
from scenarios import (detect_damage, frames, link, rebind, reboot, reboot_again, stop_cont,
                       transfer)
from server import FileServer


def boot(lab):
    """the guest boots, finds its NIC and answers 20 of 20 pings"""
    lab.add_tap()
    lab.server = FileServer(HOST_IP)
    lab.boot()
    lab.check_ping(20)


if __name__ == "__main__":
    run_scenarios("traffic", [boot, frames, detect_damage, transfer, rebind, stop_cont, link,
                              reboot, reboot_again])
