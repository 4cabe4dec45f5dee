# SPDX-License-Identifier: BSD-3-Clause
"""A guest on a default device, control queue and all, migrates between QEMUs of this release.

QEMU 7.2 uses the card's dirty log, QEMU 10 and later shadow the virtqueues for the time of a migration. `--many`
migrates twenty times in a row under load instead, `--pinned` locks the guest's memory and says what mapping it cost.
"""

import re
import statistics
import sys

import client
import migrate_scenarios as scenario
from lab import check
from migration import MigrationLab

MANY = "--many" in sys.argv
PINNED = "--pinned" in sys.argv
RUNS = 20


def downtimes(lab):
    """an idle guest migrates twenty times in a row"""
    times = scenario.idle_downtimes(lab, RUNS)
    client.figure("downtime of %d migrations by QEMU's count: median %d ms, most %d ms" % (
        RUNS, statistics.median(times), max(times)))


def pinned(lab):
    """an idle guest of locked memory migrates; what mapping it costs"""
    source = lab.call_log
    first = len(update_times(source))
    lab.migrate()
    lab.check_ping()
    times = update_times(source)
    client.figure("UPDATE of the guest's %s MiB at its first start: %s" % (lab.memory, times[0]))
    if len(times) > first:
        client.figure("the same at the switch to shadow rings: %s" % times[-1])
    client.figure("the same at the destination: %s" % ", ".join(update_times(lab.call_log)))


def update_times(path):
    """Return each UPDATE of the largest size in a call log, as text."""
    found = []
    with open(path) as log:
        for line in log:
            match = re.search(r"UPDATE, iova=(\w+), size=(\w+).*\[(pinned already|pinned|held)\].*<(\d+) us>", line)
            if match:
                found.append((int(match[2], 16), "%s us, %s" % (match[4], match[3])))
    check(found, "no UPDATE says where its lock came from: %s", path)
    most = max(size for size, _ in found)
    return [text for size, text in found if size == most]


def scenarios():
    if MANY:
        return [scenario.boot, scenario.many]
    if PINNED:
        return [scenario.boot, pinned]
    return [scenario.boot, scenario.idle, scenario.announced, scenario.held_frames, scenario.transfer, scenario.load,
            scenario.stop_cont, scenario.cancel, scenario.failure, scenario.file, downtimes]


if __name__ == "__main__":
    words = "memory pinned memlock unlimited" if PINNED else ""
    client.run(scenarios(), make_lab=lambda name: MigrationLab(name, spec=words))
