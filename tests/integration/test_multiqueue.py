# SPDX-License-Identifier: BSD-3-Clause
"""One guest with two queue pairs and a control queue."""

from lab import HOST_IP, check, run_scenarios
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
    """Return the driver's packet counters, {"rx_queue_0_packets": n, ...}."""
    lines = [line.split() for line in lab.guest.run("nic stats eth0").splitlines()]
    return {name: int(value) for name, value in lines}


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
    for ring in ("rx_queue_0", "rx_queue_1", "tx_queue_0", "tx_queue_1"):
        packets = after[ring + "_packets"] - before[ring + "_packets"]
        check(packets >= 20, "%s carried %d packets only", ring, packets)


def one_channel(lab):
    """with one channel the first queue pair carries everything, and two channels come back"""
    set_channels(lab, 1)
    before = counters(lab)
    lab.exchange_frames()
    lab.check_ping()
    after = counters(lab)  # of the rings in use only
    check("rx_queue_1_packets" not in after, "the second pair is still in use")
    carried = after["rx_queue_0_packets"] - before["rx_queue_0_packets"]
    check(carried >= 300, "the first pair carried %d packets only", carried)
    set_channels(lab, 2)
    lab.exchange_frames()


if __name__ == "__main__":
    run_scenarios("multiqueue", [boot, frames, both_queues, one_channel, stop_cont, reboot,
                                 both_queues])
