#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""scripts/coverage counts what ran in any program and process, also in one that was killed, and nothing else.

Usage: coverage_counts.py ROOT
Exit status: 0 if it does; 77 without clang's tools.
"""
import importlib.machinery
import importlib.util
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


def main(root):
    if not all(map(shutil.which, ("clang", "llvm-cov", "llvm-profdata"))):
        print("no clang, llvm-cov and llvm-profdata here")
        return 77
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    coverage, failed = load(root), 0
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
