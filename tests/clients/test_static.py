# SPDX-License-Identifier: BSD-3-Clause
"""Static clients of ours, which an agent serves: `test_static.py --go`, `--musl` and `--glibc`. Each is built here, by the
release's own compiler. Each compares what it gets from a card and, but for Go's, from a disk.
"""

import os
import subprocess
import sys

import client
from lab import Failure, Skip, check

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SOURCES = [os.path.join(ROOT, "tests", "unit", "agent", "static_client.c")] + [
    os.path.join(ROOT, "src", "client", name) for name in ("client.c", "net.c", "ring.c")]
FLAGS = ["-static", "-O2", "-std=gnu17", "-D_GNU_SOURCE", "-I" + os.path.join(ROOT, "src")]
# musl's compiler looks for no headers of the kernel's
KERNEL_HEADERS = ["-idirafter", "/usr/include", "-idirafter", "/usr/include/x86_64-linux-gnu"]


def build(lab, *command, env=None):
    program = os.path.join(lab.logs, "client")
    try:
        done = subprocess.run([word.replace("PROGRAM", program) for word in command], check=False, timeout=300,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)
    except FileNotFoundError as error:
        raise Skip("no %s here" % command[0]) from error
    if done.returncode:
        raise Failure("%s: %s" % (command[0], done.stdout))
    return program


def run(lab, words, *command, spec="", attach=()):
    done = subprocess.run([lab.holdfast, "run", "-d", spec, *attach, "--", *command], check=False, timeout=60,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    check(done.returncode == 0 and words in done.stdout, "status %d: %s", done.returncode, done.stdout.strip())


def go(lab):
    """a Go client sends frames from goroutines and compares what comes back"""
    env = dict(os.environ, CGO_ENABLED="0", GO111MODULE="off", GOCACHE=os.path.join(lab.logs, "gocache"))
    run(lab, "the same came back", build(lab, "go", "build", "-o", "PROGRAM", os.path.join(HERE, "static_go.go"), env=env))


def c_client(lab, *compiler):
    program = build(lab, *compiler, *FLAGS, "-o", "PROGRAM", *SOURCES)
    run(lab, "the same came back", program, "net")
    run(lab, "what was written was read", program, "blk", spec="mgmtdev vdpasim_blk")
    for part, words in (("files", "descriptors behave"), ("threads", "share the device"), ("children", "has its own devices"),
                        ("exec", "outlived exec"), ("timer", "no call was made twice")):
        run(lab, words, program, part)
    run(lab, "the same came back", "sh", "-c", program + " net; exit $?", attach=("--attach", "agent"))


def musl(lab):
    """a client with musl: card, disk, descriptors, threads, children, exec, signals"""
    c_client(lab, "musl-gcc", *KERNEL_HEADERS, "-w")


def glibc(lab):
    """a client with glibc: the same"""
    c_client(lab, "cc", "-pthread")


if __name__ == "__main__":
    client.run([{"go": go, "musl": musl, "glibc": glibc}[sys.argv[1].strip("-")]])
