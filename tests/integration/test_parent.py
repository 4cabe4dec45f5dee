# SPDX-License-Identifier: BSD-3-Clause
"""testpmd on a parent from outside of Holdfast, the example of docs/writing-a-parent.md."""

import os

from lab import run_scenarios
import pmd_scenarios

MODULE = os.path.join(os.environ["HOLDFAST_BUILD"], "examples", "loopnic.so")
DEVICE = ("--parent", MODULE, "-d", "mgmtdev loopnic mac 52:54:00:12:34:56")


def flowgen(lab):
    """flowgen on the example: most of what was sent comes back, and at its full length"""
    pmd_scenarios.flowgen(lab, device=DEVICE)


def io(lab):
    """io on the example: one burst goes round and round and not one packet is lost"""
    pmd_scenarios.io(lab, device=DEVICE)


def txonly(lab):
    """txonly on the example: sending goes on though nobody receives"""
    pmd_scenarios.txonly(lab, device=DEVICE)


if __name__ == "__main__":
    run_scenarios("parent", [flowgen, io, txonly])
