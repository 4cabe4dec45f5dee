# SPDX-License-Identifier: BSD-3-Clause
"""testpmd without huge pages: one 512 MiB mapping."""

from lab import run_scenarios
from pmd_scenarios import echo, flowgen, io, txonly

if __name__ == "__main__":
    run_scenarios("testpmd", [flowgen, io, txonly, echo])
