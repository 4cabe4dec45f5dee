# SPDX-License-Identifier: BSD-3-Clause
"""testpmd on huge pages: its memory grows while the device runs, and is mapped anew each time.

The device is DPDK's preset here, and the default one without huge pages.
"""

import os

import pmd_scenarios
from lab import Skip, run_scenarios

PAGES = 384
KNOB = "/proc/sys/vm/nr_hugepages"
MEMORY = ("--in-memory", "--iova-mode=va")


def reserve():
    """Reserve huge pages; return how many there were, and tell the scenarios what came."""
    before = int(open(KNOB).read())
    try:
        with open(KNOB, "w") as knob:
            knob.write(str(before + PAGES))
    except OSError:
        pass
    now = int(open(KNOB).read())
    os.environ["HOLDFAST_HUGEPAGES"] = str(now - before)
    return before


def on_huge_pages(scenario):
    def run(lab):
        if int(os.environ["HOLDFAST_HUGEPAGES"]) < PAGES:
            raise Skip("cannot reserve %d huge pages (that takes root, and memory)" % PAGES)
        scenario(lab, memory=MEMORY, spec="as dpdk ")
    run.__doc__ = scenario.__doc__
    return run


def main():
    run_scenarios("testpmd_hugepages", [on_huge_pages(pmd_scenarios.flowgen),
                                        on_huge_pages(pmd_scenarios.io),
                                        on_huge_pages(pmd_scenarios.echo)])


if __name__ == "__main__":
    if os.environ.get("HOLDFAST_LAB") == "inside":
        main()
    before = reserve()
    try:
        main()
    finally:
        if os.environ["HOLDFAST_HUGEPAGES"] != "0":
            with open(KNOB, "w") as knob:
                knob.write(str(before))
