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
import types
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


class Programs:
    """The programs of a build: each says the same and ends with the same status."""

    def __init__(self, folder, out="", status=0, said=None):
        self.folder = self.build = folder
        self.holdfast = "holdfast"
        self.options = types.SimpleNamespace(steps=20, points=5, seconds=1)
        self.done = reliability.Done(status, out, out if said is None else said)
        self.commands = []

    def path(self, *names):
        return os.path.join(self.build, *names)

    def run(self, *command, **_env):
        self.commands.append(command)
        return self.done

    def must(self, *command, **env):
        return self.run(*command, **env).out


WAIT = '{"load":"frames","layout":"split","max_us":%d,"late_us":5}\n'


class Figures(unittest.TestCase):
    """A part counts what misbehaved, and then fails: by the status of a program, or by what it says."""

    def setUp(self):
        # pylint: disable-next=consider-using-with
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        need, reliability.need = reliability.need, lambda _program: None
        self.addCleanup(setattr, reliability, "need", need)
        fill, reliability.fill = reliability.fill, lambda path: open(path, "wb").close()
        self.addCleanup(setattr, reliability, "fill", fill)

    def good(self, part, out, **more):
        return part(Programs(self.folder, out, **more))

    def bad(self, part, out, status=1, **more):
        """Return the rows of a part that must fail."""
        with self.assertRaises(reliability.Failed) as failed:
            part(Programs(self.folder, out, status, **more))
        return failed.exception.rows

    def test_hostile(self):
        self.assertEqual(self.good(reliability.hostile, "1..2\nok 1\nok 2\n")[0][1:], (20, 0))
        for status in 0, 1:
            self.assertEqual(self.bad(reliability.hostile, "1..2\nok 1\nnot ok 2\n", status)[0][1:], (20, 10))
        self.assertEqual(self.bad(reliability.hostile, "1..2\nok 1\n", 139)[0][1:], (10, 10))

    def test_late(self):
        self.assertEqual(self.good(reliability.late, '{"rounds":3,"late":0}\n')[0][1:], (24, 0))
        for status in 0, 1:
            self.assertEqual(self.bad(reliability.late, '{"rounds":3,"late":1}\n', status)[0][1:], (24, 8))
        self.bad(reliability.late, "", 0)

    def test_states(self):
        self.assertEqual(self.good(reliability.states, "7 calls, card: no divergence\n")[0][1:], (7, 0))
        for status in 0, 1:
            self.assertEqual(self.bad(reliability.states, "7 calls, card: no divergence\nstep 3, disk: x\n", status)[0][1:], (7, 1))
        self.bad(reliability.states, "", 0)

    def memory(self, out, status):
        program = os.path.join(self.folder, "tests/unit/memory/test_memory_model")
        os.makedirs(os.path.dirname(program), exist_ok=True)
        with open(program, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\nprintf '%s'\nexit %d\n" % (out.replace("\n", "\\n"), status))
        os.chmod(program, 0o755)
        return Programs(self.folder)

    def test_memory(self):
        self.assertEqual(reliability.memory(self.memory("HOLDFAST_TEST_SEED=1, 10 steps\n", 0))[0][1:], (20, 0))
        for out, status, figures in [
                ("HOLDFAST_TEST_SEED=1, 10 steps\nstep 3, map: page 1: x\n", 1, (20, 2)),
                ("HOLDFAST_TEST_SEED=1, 10 steps\nstep 3, map: page 1: x\n", 0, (20, 2)),
                ("another text", 0, (0, 0))]:
            with self.assertRaises(reliability.Failed) as failed:
                reliability.memory(self.memory(out, status))
            self.assertEqual(failed.exception.rows[0][1:], figures)

    def test_spin(self):
        well = "ok      reset      errors, states: 0 100\nok      reset -DBROKEN_A errors, states: 1 9\n"
        self.assertEqual(self.good(reliability.spin, well)[0][1:], ("100", 0))
        self.assertEqual(self.bad(reliability.spin, well.replace("ok      reset -D", "FAILED  reset -D"))[0][1:], ("100", 1))
        self.bad(reliability.spin, well.replace("ok      reset  ", "FAILED  reset  "))
        self.bad(reliability.spin, "", 0)

    def test_wait(self):
        programs = Programs(self.folder, WAIT % 1500)
        self.assertEqual([row.figure for row in reliability.wait(programs)], ["1.5 ms"] * len(reliability.WAITS))
        for command, device in zip(programs.commands, reliability.WAITS):
            self.assertEqual(command[command.index("--limit") + 1], device[3])
            self.assertLess(device[3], 100)
        rows = self.bad(reliability.wait, WAIT % 5000000, said=WAIT % 5000000 + "wait: frames, split: a reset waited 5000.0 ms\n")
        self.assertEqual([row.figure for row in rows], ["5000 ms"] * len(reliability.WAITS))
        self.assertEqual(list(self.bad(reliability.wait, "", 0)), [])

    def test_death(self):
        text = "card: killed at 5 of 9 points in 3 and 4 stops, %d left something\n"
        self.assertEqual(self.good(reliability.death, text % 0)[0][1:], (50, 0))
        for status in 0, 1:
            self.assertEqual(self.bad(reliability.death, text % 1, status)[0][1:], (50, 10))
        self.bad(reliability.death, "", 0)

    def test_fuzz(self):
        fuzz = reliability.fuzz_with("afl", "afl-fuzz")
        for runs, failures, status in (9, 0, 1), (9, 2, 0), (9, 2, 1), (0, 0, 0):
            with open(os.path.join(self.folder, "fuzz-afl.json"), "w", encoding="utf-8") as out:
                out.write('{"targets":[{"name":"ring","executions":%d,"failures":%d}]}' % (runs, failures))
            self.assertEqual(self.bad(fuzz, "", status)[0][1:], (runs, failures))

    def test_coverage(self):
        for skipped, text in ("", "85.2 %"), ('"sim-tap"', "85.2 %; not run: sim-tap"):
            with open(os.path.join(self.folder, "coverage.json"), "w", encoding="utf-8") as out:
                out.write('{"lines":95.4,"branches":85.2,"skipped":[%s]}' % skipped)
            self.assertEqual(self.good(reliability.coverage, "")[0][1:], ("95.4 %", text))

    def test_what_was_counted_is_shown_and_not_recorded(self):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            lines, failed = reliability.run_part("hostile", "hostile guest", reliability.hostile,
                                                 Programs(self.folder, "1..1\nnot ok 1\n", 1))
        self.assertEqual((lines, failed), (None, True))
        self.assertIn("| hostile guest: cases, misbehaviours | 10 | 10 | failed |", printed.getvalue())


if __name__ == "__main__":
    unittest.main()
