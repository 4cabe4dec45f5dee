#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""scripts/check-again lets a test pass that failed once only, and nothing else.

Usage: unsteady_tests.py ROOT
Exit status: 0 if it does.
"""
import concurrent.futures
import os
import subprocess
import sys
import tempfile

PROJECT = """project('p')
foreach name, allowed : {tests}
  test(name, find_program('fail-first'), args: [name, allowed], suite: 'unit')
endforeach
"""

# Fails as often as its second argument says.
FAIL_FIRST = """#!/bin/sh
echo x >>"$1.runs"
[ "$(wc -l <"$1.runs")" -gt "$2" ]
"""

CASES = [  # failures of each test, what check-again answers, tests that are named unsteady
    ({"once": 1, "good": 0}, 0, ["once"]),
    ({"twice": 2, "good": 0}, 1, []),
    ({"once": 1, "always": 1000}, 1, []),
    ({"a": 1, "b": 1, "c": 1}, 0, ["a", "b", "c"]),
    ({"a": 1, "b": 1, "c": 1, "d": 1}, 1, []),
    ({"good": 0}, 1, []),
]


def quiet(*command):
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode


def run(root, tests):
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/meson.build", "w", encoding="utf-8") as out:
            out.write(PROJECT.format(tests={name: str(nr) for name, nr in tests.items()}))
        with open(f"{folder}/fail-first", "w", encoding="utf-8") as out:
            out.write(FAIL_FIRST)
        os.chmod(f"{folder}/fail-first", 0o755)
        build = f"{folder}/b"
        assert quiet("meson", "setup", build, folder) == 0
        quiet("meson", "test", "-C", build, "--no-rebuild", "--suite", "unit")
        status = quiet(f"{root}/scripts/check-again", build, "--suite", "unit")
        try:
            with open(f"{build}/meson-logs/unsteady.txt", encoding="utf-8") as names:
                return status, sorted(line.split(" / ")[-1] for line in names.read().splitlines())
        except FileNotFoundError:
            return status, []


def main(root):
    failed = 0
    with concurrent.futures.ThreadPoolExecutor() as pool:  # they wait for meson's start most of the time
        all_found = pool.map(lambda case: run(root, case[0]), CASES)
    for (tests, *expected), found in zip(CASES, all_found):
        if list(found) != expected:
            print(f"{tests}: expected {expected}, found {list(found)}")
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
