# SPDX-License-Identifier: BSD-3-Clause
"""A guest migrates between QEMU processes that shadow its virtqueues (x-svq=on): load, failures, a file."""

import migrate_scenarios as scenario
from lab import run_scenarios
from migration import MigrationLab

if __name__ == "__main__":
    run_scenarios("migrate-svq-long", [
        scenario.boot, scenario.held_frames, scenario.transfer, scenario.load, scenario.cancel, scenario.failure,
        scenario.file, scenario.summary],
        make_lab=lambda name: MigrationLab(name, svq=True))
