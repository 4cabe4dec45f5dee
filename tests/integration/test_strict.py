# SPDX-License-Identifier: BSD-3-Clause
"""One guest on a device that is Linux 6.12's to the letter."""

import os

from lab import CONTROL, HOST_IP, Skip, check, run_scenarios
from scenarios import frames, rebind, reboot, stop_cont, transfer
from server import FileServer

SHARED = ["-object", "memory-backend-memfd,id=mem,size=256M,share=on", "-machine",
          "memory-backend=mem"]
LARGE_RINGS = "this QEMU makes rings of 1024 entries, whatever the device's limit"


def private(lab):
    """a guest of private memory reaches nothing, as on the kernel, and a person is told why"""
    lab.refused = False
    if CONTROL:
        raise Skip("it is about Holdfast's device")
    lab.add_tap()
    lab.boot(spec="quirks linux-6.12")
    with open(lab.call_log) as log:
        lab.refused = "num=1024}) = -1 (EINVAL" in log.read()
    if lab.refused:
        lab.guest.close()
        raise Skip(LARGE_RINGS)
    check(lab.ping(1, patience=2) == 0, "private memory was mapped")
    with open(os.path.join(os.path.dirname(lab.call_log), "qemu.log")) as log:
        text = log.read()
    check("is private and left out" in text and "share=on" in text, "QEMU's stderr: %s", text)
    lab.guest.close()


def boot(lab):
    """a guest of shared memory boots and answers 20 of 20 pings"""
    if CONTROL:
        lab.add_tap()
    lab.server = FileServer(HOST_IP)
    lab.boot(spec="quirks linux-6.12", args=SHARED)
    lab.check_ping(20)


def where_served(scenario):
    """@scenario, skipped with a QEMU whose rings the device has refused."""
    def run(lab):
        if lab.refused:
            raise Skip(LARGE_RINGS)
        scenario(lab)
    run.__doc__ = scenario.__doc__
    return run


if __name__ == "__main__":
    run_scenarios("strict", [private] + [where_served(each) for each in (
        boot, frames, transfer, stop_cont, rebind, reboot)])
