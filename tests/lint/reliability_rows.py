#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""scripts/reliability fails when a part does, says what was not run, and records only what it ran.

Usage: reliability_rows.py ROOT
Exit status: 0 if it does.
"""
import contextlib
import datetime
import importlib.machinery
import importlib.util
import io
import os
import sys
import tempfile
import unittest

ROOT = os.path.abspath(sys.argv.pop()) if len(sys.argv) > 1 else "."
loader = importlib.machinery.SourceFileLoader("reliability", os.path.join(ROOT, "scripts/reliability"))
sys.dont_write_bytecode = True
reliability = importlib.util.module_from_spec(importlib.util.spec_from_loader("reliability", loader))
loader.exec_module(reliability)

ROWS = ["| hostile guest: cases, misbehaviours | 10 | 0 | 2026-01-02, 5 s |",
        "| load: devices open | 10 | time 1 | 2026-01-02, 6 s |",
        "| load: mappings | 20 | time 1 | 2026-01-02, 6 s |",
        "| fuzz target ring, libfuzzer: executions, failures | 30 | 0 | 2026-01-02, 7 s |",
        "| fuzz target ring, afl: executions, failures | 40 | 0 | 2026-01-02, 8 s |"]


def page_of(rows, machine):
    return "\n".join(["before", reliability.BEGIN, machine, "", *reliability.HEAD, *rows, reliability.END, "after", ""])


def wrong(_tools):
    raise reliability.Failed("it leaks")


def absent(_tools):
    raise reliability.NotHere("no spin here")


def rows_of(*rows):
    return lambda _tools: [reliability.Row(*row) for row in rows]


class Parts(unittest.TestCase):
    """The script, with other parts in the place of its own."""

    def run_with(self, rows, machine=None, only=None, **parts):
        """Return (status, what was printed, the page)."""
        machine = machine or reliability.machine()
        own, reliability.PARTS = reliability.PARTS, [(name, pattern, parts.get(name, function))
                                                     for name, pattern, function in reliability.PARTS]
        printed = io.StringIO()
        with tempfile.NamedTemporaryFile("w+", suffix=".md") as page:
            page.write(page_of(rows, machine))
            page.flush()
            sys.argv = ["reliability", "--record", "--page", page.name, "--only", only or ",".join(parts)]
            try:
                with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                    status = reliability.main()
            finally:
                reliability.PARTS = own
            with open(page.name, encoding="utf-8") as file:
                return status, printed.getvalue(), file.read()

    def test_only_rows_that_ran_are_replaced(self):
        status, _, page = self.run_with(ROWS, load=rows_of(("load: resets", 5, "time 2")))
        new = "| load: resets | 5 | time 2 | %s, 0 s |" % datetime.date.today()
        self.assertEqual(status, 0)
        self.assertEqual(page, page_of([ROWS[0], new, *ROWS[3:]], reliability.machine()))

    def test_engines_are_apart(self):
        _, _, page = self.run_with(ROWS, afl=rows_of(("fuzz target ring, afl: executions, failures", 50, 0)))
        self.assertIn(ROWS[3], page)
        self.assertNotIn(ROWS[4], page)

    def test_a_new_row_has_its_place(self):
        _, _, page = self.run_with(ROWS, late=rows_of(("promises to touch nothing", 5, 0)))
        lines = page.splitlines()
        self.assertTrue(lines[lines.index(ROWS[0]) + 1].startswith("| promises"))

    def test_what_fails_fails_all_and_is_not_recorded(self):
        status, printed, page = self.run_with(ROWS, hostile=wrong, load=rows_of(("load: resets", 5, "time 2")))
        self.assertEqual(status, 1)
        self.assertIn("it leaks", printed)
        self.assertIn("| hostile | failed |", printed)
        self.assertIn(ROWS[0], page)
        self.assertIn("| load: resets |", page)

    def test_what_cannot_be_run_says_so(self):
        status, printed, page = self.run_with(ROWS, spin=absent)
        self.assertEqual(status, 0)
        self.assertIn("| spin | not run | no spin here |", printed)
        self.assertEqual(page, page_of(ROWS, reliability.machine()))

    def test_rows_of_two_machines_are_not_mixed(self):
        status, printed, page = self.run_with(ROWS, machine="Machine: another", load=rows_of(("load: resets", 5, 0)))
        self.assertEqual(status, 1)
        self.assertIn("another machine", printed)
        self.assertEqual(page, page_of(ROWS, "Machine: another"))

    def test_all_rows_of_another_machine_are_replaced(self):
        status, _, page = self.run_with(ROWS[1:3], machine="Machine: another", load=rows_of(("load: resets", 5, 0)))
        self.assertEqual(status, 0)
        self.assertIn(reliability.machine(), page)

    def test_an_unknown_part_is_refused(self):
        with self.assertRaises(SystemExit):
            self.run_with(ROWS, only="hostile,nothing")

    def test_the_page_has_a_row_of_each_part(self):
        with open(reliability.PAGE, encoding="utf-8") as file:
            inside = file.read().split(reliability.BEGIN)[1].split(reliability.END)[0].splitlines()
        recorded = [line for line in inside if line.startswith("| ") and line not in reliability.HEAD]
        merged = reliability.merge(inside, {}, "")
        for line in recorded:
            self.assertIn(line, merged)


if __name__ == "__main__":
    unittest.main()
