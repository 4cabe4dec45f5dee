# SPDX-License-Identifier: BSD-3-Clause
"""A guest under load migrates again and again between QEMU processes that shadow its virtqueues (x-svq=on)."""

import migrate_scenarios as scenario
from lab import run_scenarios
from migration import MigrationLab

if __name__ == "__main__":
    run_scenarios("migrate-svq-many", [scenario.boot, scenario.many],
        make_lab=lambda name: MigrationLab(name, svq=True))
