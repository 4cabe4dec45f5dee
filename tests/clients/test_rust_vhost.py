# SPDX-License-Identifier: BSD-3-Clause
"""The own tests of rust-vmm's `vhost` crate, unmodified: `test_rust_vhost.py --nic`, `--disk` on a device that is the
kernel's to the letter, `--nic_default`, `--disk_default` on a default one.
"""

import glob
import os
import re
import shutil
import subprocess
import sys

import client
from lab import Failure, Skip, check

REGISTRY = "/usr/share/cargo/registry"
WORK = "/cache/rust"
CONFIG = '[source.crates-io]\nreplace-with = "debian"\n[source.debian]\ndirectory = "%s"\n' % REGISTRY
SPECS = {"nic": "as kernel", "disk": "mgmtdev vdpasim_blk as kernel", "nic_default": "",
         "disk_default": "mgmtdev vdpasim_blk"}
NUMBER = 4  # tests of the device; the rest of the crate's tests is about other things
TIMEOUT = 900  # seconds to compile it all


def build():
    """Compile the crate's tests in a copy; return the program's path."""
    found = [path for path in glob.glob(REGISTRY + "/vhost-*") if re.search(r"/vhost-\d", path)]
    if not found or not shutil.which("cargo"):
        raise Skip("no cargo with the vhost crate here")
    source = os.path.join(WORK, os.path.basename(found[0]))
    if not os.path.exists(source):
        os.makedirs(WORK, exist_ok=True)
        shutil.copytree(found[0], source)
        os.mkdir(source + "/.cargo")
        with open(source + "/.cargo/config.toml", "w") as config:
            config.write(CONFIG)
    done = subprocess.run(["cargo", "test", "--offline", "--features=vhost-kern,vhost-vdpa", "--no-run"], check=False,
                          cwd=source, env=dict(os.environ, CARGO_HOME=WORK + "/home"), timeout=TIMEOUT,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    check(done.returncode == 0, "cargo: %s", done.stdout[-2000:])
    return os.path.join(source, re.search(r"Executable unittests src/lib.rs \((.*)\)", done.stdout).group(1))


def crate_tests(lab):
    """the crate's tests of vhost-vdpa pass"""
    program = build()
    command = [lab.holdfast, "run", "-d", SPECS[sys.argv[1].strip("-")], "--log",
               os.path.join(lab.logs, "holdfast.log"), "--", program, "vhost_kern::vdpa", "--test-threads=1"]
    done = subprocess.run(command, check=False, timeout=120, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with open(os.path.join(lab.logs, "tests.log"), "w") as log:
        log.write(done.stdout)
    failed = sorted(set(re.findall(r"^    vhost_kern::vdpa::tests::(\w+)$", done.stdout, re.M)))
    passed = re.search(r"test result: \w+\. (\d+) passed", done.stdout)
    client.note("%s of %d tests passed" % (passed[1] if passed else "no", NUMBER))
    why = re.findall(r"panicked at src/vhost_kern/vdpa.rs:(\d+)", done.stdout)
    if failed:
        raise Failure("%s (lines %s of vdpa.rs)" % (", ".join(failed), ", ".join(why)))
    check(passed and int(passed[1]) == NUMBER and done.returncode == 0, "%s", done.stdout[-500:])


if __name__ == "__main__":
    client.run([crate_tests])
