# SPDX-License-Identifier: BSD-3-Clause
"""A guest migrates between QEMU processes, its device's writes in a dirty log: load, failures, the log itself."""

import os

import migrate_scenarios as scenario
from guest import qemu_version
from lab import Skip, check, run_scenarios
from migration import MigrationLab

LOST_LOG = os.path.join(os.environ["HOLDFAST_BUILD"], "tests", "integration", "lost_log.so")


def need_log():
    if qemu_version() >= (10,):
        raise Skip("this QEMU shadows the virtqueues for a migration and uses no log")


@scenario.steady
def calls(lab):
    """QEMU switched the log on while the device ran, and off by a reset"""
    need_log()
    lab.migrate(lambda: None)
    log = lab.old_calls("SET_LOG_BASE|SET_FEATURES|SET_VRING_ADDR|SET_STATUS")
    start = next(i for i, line in enumerate(log) if "SET_LOG_BASE" in line and "= 0" in line)
    rest = "".join(log[start:])
    check("LOG_ALL]) = 0" in rest and "flags=0x1 LOG" in rest, "the calls were %s", rest)
    check("[0x00]) = 0" in rest.split("flags=0x1 LOG")[-1], "no reset after it: %s", rest)


@scenario.steady
def unlogged(lab):
    """without the log, frames held across a migration are corrupt, and that is noticed"""
    need_log()
    lab.restart(LOST_LOG)
    tally = scenario.held_tally(lab)
    check(tally.corrupt > scenario.HELD // 2, "a device that logs nothing would go unnoticed: %s", tally.text)
    print("         %d of %d frames corrupt" % (tally.corrupt, scenario.HELD))


if __name__ == "__main__":
    run_scenarios("migrate-long", [
        scenario.boot, scenario.transfer, scenario.load, calls, scenario.cancel, scenario.failure,
        scenario.file, scenario.stop_cont, scenario.summary, unlogged],
        make_lab=MigrationLab)
