# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of one release's clients share: the integration tests' lab, and figures for the table."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

from lab import run_scenarios  # noqa: E402


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
