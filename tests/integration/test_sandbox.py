# SPDX-License-Identifier: BSD-3-Clause
"""QEMU under its own system call filter, and its end by SIGTERM."""

from lab import check, run_scenarios

SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"


def boot(lab):
    """the guest boots under -sandbox and has traffic"""
    lab.add_tap()
    lab.boot(args=["-sandbox", SANDBOX])
    lab.check_ping(20)
    lab.exchange_frames()


def terminate(lab):
    """SIGTERM ends QEMU with status 0"""
    status = lab.guest.terminate()
    check(status == 0, "QEMU ended with status %d", status)


if __name__ == "__main__":
    run_scenarios("sandbox", [boot, terminate])
