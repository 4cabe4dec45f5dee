# SPDX-License-Identifier: BSD-3-Clause
"""A guest on an mlx5 card, on the model of its firmware, migrates between QEMUs of this release.

The card has no dirty log: QEMU 10 and later shadow the virtqueues for the time of a migration, and map all of memory
anew. So keys of the guest's memory go and come under a client that knows nothing of them.
"""

import statistics

import client
import migrate_scenarios as scenario
from migration import MigrationLab

RUNS = 5


class Mlx5MigrationLab(MigrationLab):
    """Guests whose NICs the mlx5 parent makes."""

    mgmtdev = "mlx5 model on"


def downtimes(lab):
    """an idle guest migrates five times in a row"""
    times = scenario.idle_downtimes(lab, RUNS)
    client.figure("downtime of %d migrations of an mlx5 card by QEMU's count: median %d ms, most %d ms" % (
        RUNS, statistics.median(times), max(times)))


if __name__ == "__main__":
    client.run([scenario.boot, scenario.idle, scenario.transfer, scenario.load, scenario.stop_cont, scenario.cancel,
                downtimes], make_lab=lambda name: Mlx5MigrationLab(name, spec=""))
