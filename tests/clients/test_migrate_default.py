# SPDX-License-Identifier: BSD-3-Clause
"""A guest on a default device, control queue and all, migrates between QEMUs of this release.

QEMU 10 and later shadow the virtqueues themselves for the time of a migration. Older ones refuse: they would not
bring the control queue's state over. `--many` migrates twenty times in a row under load instead, `--pinned` locks
the guest's memory and says what mapping it cost.
"""

import re
import statistics
import sys

import client
import migrate_scenarios as scenario
from lab import Skip, check
from migration import MigrationError, MigrationLab

MANY = "--many" in sys.argv
PINNED = "--pinned" in sys.argv
REFUSAL = "vhost lacks|VIRTIO_NET_F_CTRL_VQ|net control queue|vdpa"
RUNS = 20


def need_migration():
    if client.qemu_version() < (10,):
        raise Skip("QEMU %s refuses to migrate a card with a control queue" % client.qemu_text())


def on_new_qemu(function):
    """@function as a scenario that QEMUs which refuse skip."""
    def run(lab):
        need_migration()
        function(lab)
    run.__doc__ = function.__doc__
    run.__name__ = function.__name__
    return run


def refused(lab):
    """a QEMU that cannot migrate a card with a control queue says so, and its guest stays"""
    if client.qemu_version() >= (10,):
        raise Skip("this QEMU migrates it")
    try:
        lab.migrate()
        check(False, "QEMU %s has migrated it: the table is wrong", client.qemu_text())
    except (MigrationError, client.QmpError) as error:
        client.note("QEMU says: %s" % error)
    lab.check_ping()


def downtimes(lab):
    """an idle guest migrates twenty times in a row"""
    lab.migrations.clear()
    for _ in range(RUNS):
        lab.migrate()
        lab.check_ping(2)
    times = [m.downtime_ms for m in lab.migrations]
    client.figure("downtime of %d migrations by QEMU's count: median %d ms, most %d ms" % (
        RUNS, statistics.median(times), max(times)))


def pinned(lab):
    """an idle guest of locked memory migrates; what mapping it costs"""
    client.figure("UPDATE of all memory at the first start: %s" % update_times(lab.call_log)[0])
    source = lab.call_log
    lab.migrate()
    lab.check_ping()
    times = update_times(source)
    client.figure("UPDATE of all memory at the switch to shadow virtqueues: %s" % times[-1])
    client.figure("UPDATE of all memory at the destination: %s" % ", ".join(update_times(lab.call_log)))


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
        return [scenario.boot, on_new_qemu(scenario.many)]
    if PINNED:
        return [scenario.boot, on_new_qemu(pinned)]
    return [scenario.boot, refused] + [on_new_qemu(each) for each in (
        scenario.idle, scenario.held_frames, scenario.transfer, scenario.load, scenario.stop_cont, scenario.cancel,
        scenario.failure, scenario.file, downtimes)]


if __name__ == "__main__":
    words = "memory pinned memlock unlimited" if PINNED else ""
    client.run(scenarios(), make_lab=lambda name: MigrationLab(name, spec=words))
