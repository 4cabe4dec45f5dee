# SPDX-License-Identifier: BSD-3-Clause
"""One guest with two queue pairs and a control queue."""

import json
import re
import subprocess

from lab import CONTROL, HOST_IP, check, run_scenarios
from scenarios import URL, frames, reboot, stop_cont
from server import FileServer


def boot(lab):
    """the guest boots with queues=2, mq=on and finds two channels"""
    lab.add_tap(queues=2)
    lab.server = FileServer(HOST_IP)
    lab.boot(queues=2, smp=2)
    shown = lab.guest.run("nic channels eth0").strip()
    check(shown.endswith("max=2"), "the NIC has %s", shown)
    lab.check_ping(20)


def counters(lab):
    """Return the packets of each ring so far, {"rx0": n, "tx0": n, ...}, by the device; in a control run by the
    guest's driver, which has told no packets by ring since Linux 7."""
    if CONTROL:
        lines = [line.split() for line in lab.guest.run("nic stats eth0").splitlines()]
        found = [(re.fullmatch(r"(rx|tx)_?(?:queue_)?(\d+)_packets", name), value) for name, value in lines]
        return {match[1] + match[2]: int(value) for match, value in found if match}
    return {way + str(pair): _ring_packets(lab, 2 * pair + (way == "tx"), way) for pair in (0, 1) for way in ("rx", "tx")}


def _ring_packets(lab, index, way):
    command = [lab.holdfast, "dev", "-j", "vstats", "show", "net0", "qidx", str(index),
               "--pid", str(lab.guest.process.pid)]
    shown = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return json.loads(shown)["vstats"]["net0"]["%s packets" % way]


def set_channels(lab, number):
    shown = lab.guest.run("nic channels eth0 %d" % number).strip()
    check(shown == "combined=%d max=2" % number, "wanted %d channels, have %s", number, shown)


def both_queues(lab):
    """with two channels both queue pairs carry two files at once, checksums compared"""
    set_channels(lab, 2)
    before = counters(lab)
    lab.guest.run("for cpu in 1 2; do taskset $cpu wget -q -O - %s/small | sha256sum >/tmp/s$cpu & "
                  "done; wait" % URL, timeout=60)
    for cpu in (1, 2):
        got, sent = lab.guest.run("cat /tmp/s%d" % cpu).split()[0], lab.server.sums["/small"]
        check(got == sent, "CPU mask %d received %s, sent was %s", cpu, got, sent)
    after = counters(lab)
    for ring in ("rx0", "rx1", "tx0", "tx1"):
        packets = after[ring] - before[ring]
        check(packets >= 20, "%s carried %d packets only", ring, packets)


def one_channel(lab):
    """with one channel the first queue pair carries everything, and two channels come back"""
    set_channels(lab, 1)
    before = counters(lab)
    lab.exchange_frames()
    lab.check_ping()
    after = counters(lab)
    check(after.get("rx1", before.get("rx1")) == before.get("rx1"), "the second pair is still in use")
    carried = after["rx0"] - before["rx0"]
    check(carried >= 300, "the first pair carried %d packets only", carried)
    set_channels(lab, 2)
    lab.exchange_frames()


if __name__ == "__main__":
    run_scenarios("multiqueue", [boot, frames, both_queues, one_channel, stop_cont, reboot,
                                 both_queues])
