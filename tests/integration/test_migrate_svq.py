# SPDX-License-Identifier: BSD-3-Clause
"""A guest migrates between QEMU processes that shadow its virtqueues (x-svq=on): what each change must keep."""

import migrate_scenarios as scenario
from lab import run_scenarios
from migration import MigrationLab

if __name__ == "__main__":
    run_scenarios("migrate-svq", [scenario.boot, scenario.idle],
        make_lab=lambda name: MigrationLab(name, svq=True))
