# SPDX-License-Identifier: BSD-3-Clause
"""One guest on a default card whose state is saved to a file and loaded again, and that is reset at any moment."""

import os
import subprocess

import client
from lab import HOST_IP, check
from scenarios import frames, transfer
from server import FileServer

RESETS = 2


def boot(lab):
    """the guest boots with a disk for its snapshots"""
    lab.add_tap()
    lab.server = FileServer(HOST_IP)
    disk = os.path.join(lab.logs, "snapshots.qcow2")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "1G"], check=True)
    lab.boot(args=["-drive", "if=none,id=vm,format=qcow2,file=" + disk, "-device", "virtio-blk-pci,drive=vm"])
    lab.check_ping()


def snapshot(lab, words):
    """Run savevm or loadvm; both answer with nothing if all is well."""
    said = lab.guest.qmp.command("human-monitor-command", timeout=60, command_line=words).strip()
    check(not said, "%s: %s", words, said)


def save(lab):
    """savevm: the guest goes on, and its traffic is whole"""
    lab.guest.run("touch /tmp/before")
    snapshot(lab, "savevm one")
    lab.check_ping()
    lab.exchange_frames()


def load(lab):
    """loadvm, three times, frames under way: the guest is as it was, and its traffic is whole"""
    for _ in range(3):
        lab.guest.run("touch /tmp/after")
        sender = lab.send_frames(500, ["--rate", "1000"])
        snapshot(lab, "loadvm one")
        lab.guest.run("[ -e /tmp/before ] && [ ! -e /tmp/after ]")
        sender.wait()
        lab.check_ping()
        lab.exchange_frames()


def save_stopped(lab):
    """savevm and loadvm of a guest that is stopped; cont, and its traffic is whole"""
    lab.guest.qmp.command("stop")
    snapshot(lab, "savevm two")
    snapshot(lab, "loadvm two")
    lab.guest.qmp.command("cont")
    lab.check_ping()
    lab.exchange_frames()


def reset_under_traffic(lab):
    """system_reset while frames go both ways"""
    for _ in range(RESETS):
        sender = lab.send_frames(4000, ["--rate", "2000"])
        lab.guest.run("nic send eth0 --count 4000 --seed 1 --rate 2000 >/dev/null 2>&1 &")
        lab.guest.qmp.command("system_reset")
        lab.guest.qmp.wait_event("RESET")
        lab.guest.wait_ready()
        sender.kill()
        lab.configure_guest()
        lab.check_ping()
        lab.exchange_frames()


def reset_again(lab):
    """system_reset before the guest is up again, and the one after it is whole"""
    for _ in range(2 * RESETS):
        lab.guest.qmp.command("system_reset")
        lab.guest.qmp.wait_event("RESET")
    lab.guest.wait_ready()
    lab.configure_guest()
    lab.check_ping()


if __name__ == "__main__":
    client.run([boot, save, load, save_stopped, reset_under_traffic, reset_again, frames, transfer])
