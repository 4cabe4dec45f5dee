#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Commands that start with descriptors 0, 1 or 2 closed: no file of theirs takes such a number, or a print would end
up in it. A program of `holdfast run` finds them closed, as without Holdfast. Usage: test_cli_closed.py HOLDFAST"""
import os
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

HOLDFAST = os.path.abspath(sys.argv[1])
SHOW = 'for n in 0 1 2; do [ -e /proc/$$/fd/$n ] && echo "$n" >>"$1"; done; echo end >>"$1"'


def with_closed(numbers, *command):
    """Run a command with these descriptors closed; return its status."""
    closed = " ".join("%d>&-" % number for number in numbers)
    shell = ["sh", "-c", 'exec "$@" ' + closed, "sh", *command]
    return subprocess.run(shell, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=60, check=False).returncode


class Closed(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = os.path.join(self.folder.name, "file")

    def test_a_report_has_nothing_but_the_report(self):
        for numbers in ((1,), (0, 1), (0, 1, 2)):
            with_closed(numbers, HOLDFAST, "check", "--match", "ioctl.get_features*", "--junit", self.path, "-d", "")
            with open(self.path, encoding="utf-8") as report:
                text = report.read()
            self.assertIn("without_owner_ok", text)
            self.assertEqual(xml.etree.ElementTree.fromstring(text).tag, "testsuite")
            self.assertNotRegex(text, r"(?m)^(not )?ok \d|^1\.\.\d|^#")

    def test_a_check_of_faults_does_not_need_standard_error(self):
        self.assertEqual(with_closed((2,), HOLDFAST, "check", "--match", "dirty.fault*", "-d", ""), 0)

    def test_a_program_finds_them_closed(self):
        for numbers in ((), (0,), (1,), (2,), (0, 1, 2)):
            if os.path.exists(self.path):
                os.unlink(self.path)
            self.assertEqual(with_closed(numbers, HOLDFAST, "run", "--", "sh", "-c", SHOW, "sh", self.path), 0)
            with open(self.path, encoding="ascii") as found:
                self.assertEqual(found.read().split(), [str(n) for n in range(3) if n not in numbers] + ["end"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
