# SPDX-License-Identifier: BSD-3-Clause
"""A guest with two queue pairs and a control queue migrates between QEMUs of this release.

With `--one` it uses one pair of the two.
"""

import sys

import client
import migrate_scenarios as scenario
import test_multiqueue as pairs
from lab import check
from migration import MigrationLab


def boot(lab):
    """the guest boots with two queue pairs, and both carry a file"""
    scenario.boot(lab)
    pairs.both_queues(lab)


def channels(lab):
    shown = lab.guest.run("nic channels eth0").strip()
    return int(shown.split("combined=")[1].split()[0])


def receives_by_one(lab):
    """a guest that uses one pair of two migrates, and receives by that pair only"""
    pairs.set_channels(lab, 1)
    lab.migrate()
    check(channels(lab) == 1, "the guest has %d channels", channels(lab))
    before = pairs.counters(lab)
    lab.check_ping(10)
    lab.exchange_frames()
    after = pairs.counters(lab)
    check(after["rx1"] == before["rx1"], "the pair that is not in use received %d packets", after["rx1"] - before["rx1"])


def takes_the_other(lab):
    """it takes the second pair into use, and both carry a file at once"""
    pairs.both_queues(lab)


def two_pairs(lab):
    """a guest that uses both pairs migrates, and both carry a file at once afterwards"""
    lab.migrate()
    check(channels(lab) == 2, "the guest has %d channels", channels(lab))
    lab.check_ping(10)
    pairs.both_queues(lab)
    lab.exchange_frames()


if __name__ == "__main__":
    ONE = [boot, receives_by_one, takes_the_other, two_pairs]
    TWO = [boot, two_pairs, scenario.load, two_pairs, scenario.stop_cont]
    client.run(ONE if "--one" in sys.argv else TWO, make_lab=lambda name: MigrationLab(name, spec="", queues=2))
