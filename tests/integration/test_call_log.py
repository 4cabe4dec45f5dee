# SPDX-License-Identifier: BSD-3-Clause
"""The cost of a migration from two call logs: of the switch-over alone, by phase, across midnight."""

import os
import tempfile
import unittest

import call_log

SOURCE = """\
23:59:58.000000 7 ioctl(9, VHOST_VDPA_SET_STATUS, [0x00]) = 0 <999 us>
23:59:59.000000 7 ioctl(9, VHOST_VDPA_SET_STATUS, [0x0f ACKNOWLEDGE|DRIVER|DRIVER_OK|FEATURES_OK]) = 0 <999 us>
23:59:59.900000 7 ioctl(9, VHOST_VDPA_SET_STATUS, [0x00]) = 0 <100 us>
23:59:59.900200 7 ioctl(9, VHOST_VDPA_GET_STATUS, [0x00]) = 0 <1 us>
23:59:59.900300 7 write(9, {v2, asid=0, INVALIDATE, iova=0x0, size=0xc3000}, 72) = 72 <20 us>
23:59:59.900400 7 ioctl(9, VHOST_GET_VRING_BASE, {index=0} => {index=0, num=18493}) = 0 <3 us>
"""
DESTINATION = """\
23:59:59.500000 8 open("/dev/vhost-vdpa-0", O_RDWR|O_CLOEXEC) = 9 <5000 us>
00:00:00.000000 8 ioctl(9, VHOST_SET_FEATURES, [0x33001bb83]) = 0 <40 us>
00:00:00.000100 8 write(9, {v2, asid=0, UPDATE, iova=0x0, size=0xc3000, uaddr=0x7000, perm=rw}, 72) = 72 <50 us>
00:00:00.000200 8 ioctl(9, VHOST_VDPA_SET_STATUS, [0x0f ACKNOWLEDGE|DRIVER|DRIVER_OK|FEATURES_OK]) = 0 <60 us>
00:00:01.000000 8 ioctl(9, VHOST_VDPA_GET_STATUS, [0x0f ACKNOWLEDGE|DRIVER|DRIVER_OK|FEATURES_OK]) = 0 <999 us>
"""


class CallLog(unittest.TestCase):
    def cost(self, source, destination):
        with tempfile.TemporaryDirectory() as folder:
            paths = [os.path.join(folder, name) for name in ("source", "destination")]
            for path, text in zip(paths, (source, destination)):
                with open(path, "w") as file:
                    file.write(text)
            return call_log.migration(*paths)

    def test_only_calls_of_the_switch_over_count(self):
        phases, absent = self.cost(SOURCE, DESTINATION)
        self.assertEqual(phases, {"source: reset": 101, "source: unmap": 20, "source: ring positions": 3,
                                  "destination: set up": 40, "destination: map": 50, "destination: start": 60})
        self.assertEqual(absent, 100260)

    def test_newer_qemus_status_ends_it_and_no_name_that_contains_it(self):
        newer = DESTINATION.replace("[0x0f ACKNOWLEDGE|DRIVER|", "[0x0c ").replace(
            "ioctl(9, VHOST_SET_FEATURES, [0x33001bb83])",
            "ioctl(9, VHOST_GET_BACKEND_FEATURES, [0x20 ENABLE_AFTER_DRIVER_OK])")
        self.assertEqual(self.cost(SOURCE, newer), self.cost(SOURCE, DESTINATION))

    def test_a_migration_that_did_not_end_is_an_error(self):
        with self.assertRaisesRegex(ValueError, "never reset"):
            self.cost(DESTINATION, DESTINATION)
        with self.assertRaisesRegex(ValueError, "never came up"):
            self.cost(SOURCE, "".join(DESTINATION.splitlines(True)[:3]))


if __name__ == "__main__":
    unittest.main()
