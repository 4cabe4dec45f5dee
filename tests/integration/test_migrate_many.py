# SPDX-License-Identifier: BSD-3-Clause
"""A guest under load migrates there and back, again and again, its device's writes in a dirty log."""

import migrate_scenarios as scenario
from lab import run_scenarios
from migration import MigrationLab

if __name__ == "__main__":
    run_scenarios("migrate-many", [scenario.boot, scenario.many],
        make_lab=MigrationLab)
