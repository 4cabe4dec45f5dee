# SPDX-License-Identifier: BSD-3-Clause
"""A guest migrates between QEMU processes, its device's writes in a dirty log: what each change must keep."""

import migrate_scenarios as scenario
from lab import run_scenarios
from migration import MigrationLab

if __name__ == "__main__":
    run_scenarios("migrate", [scenario.boot, scenario.idle, scenario.held_frames],
        make_lab=MigrationLab)
