#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The call log of `holdfast run --log`: usage: test_preload_log.py HOLDFAST LOG_CLIENT"""
import os
import re
import subprocess
import sys
import tempfile
import unittest

HOLDFAST, CLIENT = map(os.path.abspath, sys.argv[1:3])
LINE = re.compile(r"^(\d\d):(\d\d):(\d\d)\.\d{6} (\d+) (\[vhost-vdpa-\d+\] )?"
                  r"(\w+)\((.*)\)(?: \[([^]]+)\])? = (-?\d+)(?: \((\w+): (.+)\))? <(\d+) us>$")


class Call:
    def __init__(self, text):
        m = LINE.match(text)
        if not m:
            raise AssertionError("not a line of the log: %r" % text)
        self.tid, self.label, self.name, self.args = m[4], m[5], m[6], m[7]
        self.remark, self.result, self.errno, self.reason = m[8], int(m[9]), m[10], m[11]


def session(*options, args=()):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "log")
        subprocess.run([HOLDFAST, "run", *options, "--log", path, "--", CLIENT, *args],
                       check=True, timeout=600, stdin=subprocess.DEVNULL)  # closed, the device would have its number
        with open(path) as f:
            return [Call(line) for line in f.read().splitlines()]


class Log(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.calls = session()

    def only(self, text, name="ioctl"):
        found = [c for c in self.calls if c.name == name and text in c.args]
        self.assertEqual(len(found), 1, [c.args for c in self.calls[:20]])
        return found[0]

    def test_the_first_and_last_calls_are_open_and_close(self):
        first, last = self.calls[0], self.calls[-1]
        self.assertEqual(first.name, "open")
        self.assertEqual(first.args, '"/dev/vhost-vdpa-0", O_RDWR|O_CLOEXEC')
        self.assertGreater(first.result, 2)
        self.assertEqual((last.name, last.result), ("close", 0))

    def test_a_refused_open_says_why(self):
        second = self.calls[1]
        self.assertEqual((second.name, second.result, second.errno), ("open", -1, "EBUSY"))
        self.assertIn("open already", second.reason)

    def test_arguments_are_decoded(self):
        self.assertEqual(self.only("VHOST_SET_OWNER").result, 0)
        self.assertRegex(self.only("VHOST_VDPA_GET_DEVICE_ID").args, r"\b1\b")
        status = self.only("VHOST_VDPA_SET_STATUS").args
        self.assertIn("ACKNOWLEDGE", status)
        self.assertIn("DRIVER", status)

    def test_a_refused_ioctl_shows_values_errno_and_reason(self):
        call = self.only("VHOST_SET_VRING_NUM")
        self.assertIn("index=1", call.args)
        self.assertIn("num=3", call.args)
        self.assertEqual(call.errno, "EINVAL")
        self.assertIn("3", call.reason)

    def test_features_that_are_left_out_are_named(self):
        call = self.only("VHOST_SET_FEATURES")
        self.assertEqual((call.result, call.remark), (0, "not offered, left out: RING_RESET"))

    def test_features_that_hinder_a_migration_are_named(self):
        for spec, hinder in (("", set()), ("offer packed,indirect", {
                "offers RING_INDIRECT_DESC|RING_PACKED: QEMU 10 and later will not migrate its guest"}),
                ("offer in_order", {"offers IN_ORDER: QEMU 10.0 will not migrate its guest"}),
                ("offer ring_reset", {
                    "offers RING_RESET: QEMU tells the device nothing of a queue that its guest resets"}),
                ("mgmtdev vdpasim_blk", set())):
            calls = session("-d", spec)
            remarks = {c.remark for c in calls if "VHOST_GET_FEATURES" in c.args}
            self.assertEqual(remarks, hinder or {None}, spec)

    def test_iotlb_messages_are_decoded(self):
        first, second = [c for c in self.calls if c.name == "write"]
        self.assertEqual(first.result, 72)
        self.assertIn("UPDATE", first.args)
        self.assertIn("0x10000", first.args)
        self.assertEqual(second.errno, "EFAULT")
        self.assertNotEqual(second.reason, "Bad address")

    def test_mmap_and_dup_are_there(self):
        self.assertEqual([c.result for c in self.calls if c.name == "mmap"], [-1])
        copies = [c for c in self.calls if c.name == "dup"]
        self.assertEqual(len(copies), 1)
        self.assertEqual(copies[0].args, str(self.calls[0].result))

    def test_lines_of_racing_threads_stay_whole(self):
        features = [c for c in self.calls if "VHOST_GET_FEATURES" in c.args]
        self.assertEqual(len(features), 400)
        self.assertEqual(len({c.tid for c in features}), 2)

    def test_one_device_has_no_label(self):
        self.assertFalse(any(c.label for c in self.calls))

    def test_several_devices_have_labels(self):
        calls = session("-d", "name a", "-d", "name b", args=["/dev/vhost-vdpa-1"])
        labels = {c.label.strip() for c in calls}
        self.assertEqual(labels, {"[vhost-vdpa-0]", "[vhost-vdpa-1]"})
        self.assertEqual(calls[-1].label.strip(), "[vhost-vdpa-1]")

    def test_a_pipe_whose_reader_goes_stops_nobody(self):
        """The command's first line is there when the log's reader goes, and the client makes its calls afterwards."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "log")
            os.mkfifo(path)
            for hold in (False, True):  # the client opens the log without a reader; its reader goes meanwhile
                reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
                script = 'echo; read -r line; exec "$@"' if not hold else 'exec "$@"'
                client = [CLIENT] if not hold else [
                    sys.executable, "-c", "import os, signal\nsignal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"
                    "os.close(os.open('/dev/vhost-vdpa-0', os.O_RDWR))\nprint(flush=True)\ninput()\n"
                    "os.close(os.open('/dev/vhost-vdpa-0', os.O_RDWR))"]
                run = subprocess.Popen([HOLDFAST, "run", "--log", path, "--", "sh", "-c", script, "sh", *client],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                self.assertEqual(run.stdout.readline(), "\n")
                os.close(reader)
                _, errors = run.communicate("\n", timeout=60)
                self.assertEqual(run.returncode, 0, errors)
                self.assertEqual(errors.count("cannot write the call log"), 1, errors)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
