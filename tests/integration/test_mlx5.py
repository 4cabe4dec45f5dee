# SPDX-License-Identifier: BSD-3-Clause
"""The mlx5 parent on the model of its firmware: a guest through its life, and testpmd."""

import json
import subprocess

from lab import HOST_IP, Lab, check, run_scenarios
import pmd_scenarios
from scenarios import (detect_damage, frames, link, rebind, reboot, reboot_again, stop_cont,
                       transfer)
from server import FileServer

MODEL = "mlx5 model on"
DEVICE = ("-d", "mgmtdev mlx5 model on backend loopback")


class Mlx5Lab(Lab):
    """Guests whose NIC the mlx5 parent makes."""

    mgmtdev = MODEL


def flowgen(lab):
    """flowgen on the model: most of what was sent comes back, and at its full length"""
    pmd_scenarios.flowgen(lab, device=DEVICE)


def io(lab):
    """io on the model: one burst goes round and round and not one packet is lost"""
    pmd_scenarios.io(lab, device=DEVICE)


def boot(lab):
    """the guest boots, finds its NIC and answers 20 of 20 pings"""
    lab.add_tap()
    lab.server = FileServer(HOST_IP)
    lab.boot()
    lab.check_ping(20)


def counters(lab):
    """the queues' counters can be read while the guest runs, and grow"""
    def received():
        command = [lab.holdfast, "dev", "-j", "vstats", "show", "net0", "qidx", "0",
                   "--pid", str(lab.guest.process.pid)]
        shown = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        return json.loads(shown)["vstats"]["net0"]["received_desc"]
    before = received()
    lab.check_ping(3)
    check(received() >= before + 3, "received %d chains, then %d", before, received())


if __name__ == "__main__":
    run_scenarios("mlx5", [flowgen, io, boot, frames, detect_damage, transfer, counters, rebind, stop_cont, link,
                           reboot, reboot_again], make_lab=Mlx5Lab)
