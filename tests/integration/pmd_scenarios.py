# SPDX-License-Identifier: BSD-3-Clause
"""What testpmd does on a Holdfast device, whatever its memory is made of."""

from lab import check
from testpmd import Testpmd

MANY = 200000
BURST = 32  # packets that --tx-first sends, which then go round
FLOWGEN_LEN = 60


def flowgen(lab, **options):
    """flowgen on loopback: most of what was sent comes back, and at its full length"""
    pmd = Testpmd(lab, "flowgen", **options)
    pmd.wait_packets(MANY)
    octets, packets = pmd.stop()
    for way in ("RX", "TX"):
        # testpmd reads the two counters while it forwards: they may be up to a burst apart
        check(abs(octets[way] - packets[way] * FLOWGEN_LEN) <= BURST * FLOWGEN_LEN, "%s: %d packets with %d bytes", way,
              packets[way], octets[way])
    sent, received = pmd.packets["TX"], pmd.packets["RX"]
    check(received <= sent, "received %d of %d sent", received, sent)
    check(received >= sent // 2, "received only %d of %d sent", received, sent)


def io(lab, pairs=1, **options):
    """io on loopback: one burst goes round and round and not one packet is lost"""
    pmd = Testpmd(lab, "io", options=("--tx-first",), **options)
    pmd.wait_packets(MANY)
    pmd.stop()
    sent, received = pmd.packets["TX"], pmd.packets["RX"]
    check(0 <= sent - received <= BURST * pairs, "received %d of %d sent", received, sent)


def txonly(lab, **options):
    """txonly on loopback: sending goes on though nobody receives"""
    pmd = Testpmd(lab, "txonly", **options)
    pmd.wait_packets(MANY, ("TX",))
    pmd.stop()
    check(pmd.packets["RX"] == 0, "txonly received %d", pmd.packets["RX"])


def echo(lab, pairs=1, **options):
    """macswap over TAP: numbered frames come back unaltered, and each one is accounted for"""
    count = 3000
    lab.add_tap(queues=pairs)
    # room for all frames: a testpmd that has to wait for the processor would leave some to be dropped here, untold
    lab.ip("link", "set", "tap0", "txqueuelen", str(count + BURST))
    pmd = Testpmd(lab, "macswap", backend="tap,ifname=tap0", **options)
    pmd.wait_started()
    receive = lab.start_host_receiver(count, timeout=10)
    lab.send_frames(count, ["--rate", "2000"])
    tally = receive()
    pmd.stop()
    check(tally.corrupt == tally.duplicate == 0, "echoed by testpmd: %s", tally.text)
    check(tally.received >= count // 2, "echoed by testpmd: %s", tally.text)
    # A testpmd that has to wait for the processor drops what its full rings do not take; it says so.
    sent, dropped = pmd.packets["TX"], pmd.dropped["TX"]
    check(tally.received == sent, "testpmd sent %d, of which %s", sent, tally.text)
    check(count == sent + dropped, "testpmd sent %d and dropped %d of %d", sent, dropped, count)
    lab.ip("link", "del", "tap0")
