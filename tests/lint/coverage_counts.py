#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""scripts/coverage counts what ran in any program and process, also in one that was killed, and nothing else. It refuses a test
that is not there, and names one that is skipped.

Usage: coverage_counts.py ROOT
Exit status: 0 if it does; 77 without clang's tools.
"""
import contextlib
import importlib.machinery
import importlib.util
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile

SHARED = """
static inline int pick(int n)
{
	if (n > 1 && n < 5)
		return 1;
	return 0;
}
"""
# What runs: 1 is said to pick by one program, 3 by a child that is killed; 7 by nobody.
MAIN = """
#include <signal.h>
#include <unistd.h>
#include <sys/wait.h>
#include "shared.h"
int main(void)
{
#ifdef KILLED
	if (fork() == 0) {
		pick(3);
		kill(getpid(), SIGKILL);
	}
	wait(NULL);
	_exit(0);
#else
	return pick(1);
#endif
}
"""


def load(root):
    loader = importlib.machinery.SourceFileLoader("coverage", os.path.join(root, "scripts/coverage"))
    sys.dont_write_bytecode = True
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("coverage", loader))
    loader.exec_module(module)
    return module


def measure(coverage, folder, programs):
    """Return the count of shared.h after a run of PROGRAMS."""
    profile = os.path.join(folder, "profile")
    shutil.rmtree(profile, ignore_errors=True)
    os.makedirs(profile)
    for path in programs:
        subprocess.run([path], env={**os.environ, "LLVM_PROFILE_FILE": profile + "/%c%m.profraw"}, check=True)
    return coverage.count(coverage.export(coverage.merge(profile, programs))[folder + "/shared.h"])


TESTS = """
project('tests')
test('runs', find_program('true'), suite: 'unit')
test('lacks', find_program('sh'), args: ['-c', 'exit 77'], suite: 'unit')
test('more', find_program('true'))
test('fails', find_program('false'))
"""


def run_some(coverage, build, names):
    """Return what run_tests() returns and whether it named the test that fails, or what it says when it refuses."""
    coverage.TESTS = names
    old, said = os.umask(0o22), io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            found = coverage.run_tests(build, os.path.join(build, "profile"))
        return *found, "coverage: failed: fails\n" in said.getvalue()
    except SystemExit as refusal:
        return refusal.code
    finally:
        os.umask(old)


def check_tests(coverage):
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "meson.build"), "w", encoding="utf-8") as out:
            out.write(TESTS)
        build = os.path.join(folder, "build")
        subprocess.run(["meson", "setup", build, folder], check=True, stdout=subprocess.DEVNULL)
        for names, expected in [
                (["more"], (True, ["lacks"], False)),
                (["more", "fails"], (False, ["lacks"], True)),
                (["more", "lacks"], (True, ["lacks", "lacks"], False)),
                (["more", "renamed"], "coverage: no such test: renamed")]:
            found = run_some(coverage, build, names)
            if found != expected:
                print("tests %s: expected %s, found %s" % (names, expected, found))
                failed = 1
    return failed


def main(root):
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    failed = check_tests(load(root))
    if failed:
        return failed
    if not all(map(shutil.which, ("clang", "llvm-cov", "llvm-profdata"))):
        print("no clang, llvm-cov and llvm-profdata here")
        return 77
    coverage = load(root)
    with tempfile.TemporaryDirectory() as folder:
        programs = []
        for name, text in ("shared.h", SHARED), ("one.c", MAIN), ("two.c", "#define KILLED\n" + MAIN):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
                out.write(text)
            if name.endswith(".c"):
                programs.append(os.path.join(folder, name[:-2]))
                subprocess.run(["clang", "-O2", *coverage.FLAGS.split(), "-o", programs[-1], os.path.join(folder, name)], check=True)
        for what, expected in [  # lines, run; ways of the two conditions, gone
                (programs[:1], (5, 4, 4, 1)),
                (programs[1:], (5, 4, 4, 2)),
                (programs, (5, 5, 4, 3))]:
            found = tuple(measure(coverage, folder, what))
            if found != expected:
                print("%s: expected %s, found %s" % ([os.path.basename(path) for path in what], expected, found))
                failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
