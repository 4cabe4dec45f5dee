# SPDX-License-Identifier: BSD-3-Clause
"""testpmd on other rings than the plain ones: `test_dpdk.py --packed`, --packed_in_order,
--packed_vectorized, --in_order, --vectorized, or --pairs (two pairs and a control queue).
"""

import os
import re
import sys

import client
import pmd_scenarios
from lab import check

PAIRS = 2
# name: options of virtio-user, options of testpmd, options of DPDK itself, words for the device, how testpmd calls
# the code that it runs then
KINDS = {
    "packed": ("queues=1,packed_vq=1", (), (), "as dpdk", "packed ring mergeable buffer Rx path"),
    "packed_in_order": ("queues=1,packed_vq=1,in_order=1", (), (), "as dpdk", "packed ring mergeable buffer Rx path"),
    "packed_vectorized": ("queues=1,packed_vq=1,in_order=1,mrg_rxbuf=0,vectorized=1", (),
                          ("--force-max-simd-bitwidth=512",), "as dpdk", "packed ring vectorized Rx path"),
    "in_order": ("queues=1,in_order=1", (), (), "as dpdk", "inorder Rx path"),
    "vectorized": ("queues=1,in_order=0,mrg_rxbuf=0,vectorized=1", (), (), "as dpdk", "vectorized Rx path"),
    "pairs": ("queues=%d,cq=1" % PAIRS, ("--rxq=%d" % PAIRS, "--txq=%d" % PAIRS), (), "max_vqp %d" % PAIRS,
              "mergeable buffer Rx path"),
}
KIND = sys.argv[1].strip("-")
DRIVER, OPTIONS, EAL, SPEC, PATH = KINDS[KIND]
SAY_PATHS = ("--log-level=pmd.net.virtio.init:debug",)


def on_kind(scenario, **more):
    """@scenario with this kind of rings."""
    def run(lab):
        scenario(lab, **more, driver=DRIVER, spec=SPEC + " ", extra=OPTIONS, eal=EAL + SAY_PATHS)
    run.__doc__ = scenario.__doc__
    return run


def negotiated(lab):
    """testpmd says which code it ran, and every ring was enabled"""
    with open(os.path.join(lab.logs, "testpmd-flowgen.log"), errors="replace") as log:
        paths = sorted(set(re.findall(r"using (.*?) on port", log.read())))
    check(PATH in paths, "testpmd used: %s", ", ".join(paths))
    with open(os.path.join(lab.logs, "holdfast-flowgen.log")) as log:
        enabled = set(re.findall(r"SET_VRING_ENABLE, {index=(\d+), num=1}", log.read()))
    rings = {str(number) for number in range(2 * (PAIRS if KIND == "pairs" else 1))}
    check(enabled >= rings, "of the rings, only %s were enabled", sorted(enabled))


if __name__ == "__main__":
    pairs = PAIRS if KIND == "pairs" else 1
    client.run([on_kind(pmd_scenarios.flowgen), on_kind(pmd_scenarios.io, pairs=pairs), on_kind(pmd_scenarios.txonly),
                on_kind(pmd_scenarios.echo, pairs=pairs), negotiated])
