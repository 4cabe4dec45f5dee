# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of one release's clients share: the integration tests' lab, versions, and figures for the table."""

import functools
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

from lab import run_scenarios  # noqa: E402
from qmp import QmpError  # noqa: E402,F401 (for the tests)


@functools.lru_cache(None)
def qemu_text():
    """The version of QEMU here, as text."""
    return _version(["qemu-system-x86_64", "--version"])


def qemu_version():
    """The version of QEMU here, as a tuple of numbers."""
    return tuple(int(part) for part in qemu_text().split("."))


@functools.lru_cache(None)
def dpdk_version():
    """The version of DPDK here, as a tuple of numbers."""
    return tuple(int(part) for part in _version(["pkg-config", "--modversion", "libdpdk"]).split("."))


def _version(command):
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return re.search(r"\d+(\.\d+)+", text).group()


def note(text):
    """Say what a person wants to know about the scenario under way."""
    print("         %s" % text)


def figure(text):
    """Say a figure of the scenario under way; check-clients puts it into the table's page."""
    print("         figure: %s" % text)


def run(scenarios, **options):
    """Run the scenarios of the program under way, named by its file and options."""
    name = os.path.basename(sys.argv[0])[len("test_"):-len(".py")]
    run_scenarios("-".join([name] + [word.strip("-") for word in sys.argv[1:]]), scenarios, **options)
