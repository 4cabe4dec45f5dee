#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""`holdfast bench net` and `bench blk` in short form, also against a vhost-user daemon.

usage: test_cli_data_benches.py HOLDFAST
"""
import json
import math
import os
import select
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as xml

HOLDFAST = os.path.abspath(sys.argv[1])
BLK = ["--requests", "2000", "--repeat", "2"]
NET = ["--frames", "5000", "--repeat", "2"]


def bench(*args):
    return subprocess.run([HOLDFAST, "bench", *args], capture_output=True, text=True, timeout=600)


class Measured(unittest.TestCase):
    def measure(self, *args):
        done = bench(*args, "--json")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        row, = json.loads(done.stdout)["rows"]
        self.assertLessEqual(row["min_ns"], row["median_ns"])
        self.assertLessEqual(row["median_ns"], row["p99_ns"])
        self.assertLessEqual(row["p99_ns"], row["p999_ns"])
        return row

    def test_each_layout_of_rings_moves_frames(self):
        for words in ([], ["--packed"], ["--in-order"], ["--packed", "--in-order"], ["--event-idx"],
                      ["--mergeable", "--size", "1514"], ["--poll"], ["--depth", "1", "--frames", "500"]):
            row = self.measure("net", *NET, *words)
            self.assertEqual((row["n"], row["lost"]), (1000 if "500" in words else 10000, 0), words)
            self.assertGreater(row["frames_per_second"], 0)

    def test_each_pair_of_queues_moves_frames(self):
        for words in (["--queues", "2"], ["--queues", "8", "--packed"]):
            row = self.measure("net", *NET, *words, "--frames", "8000")
            self.assertEqual((row["n"], row["lost"], row["queues"]), (16000, 0, int(words[1])))

    def test_an_idle_device_takes_no_processor_time(self):
        for name in ("net", "blk"):
            row = self.measure(name, *(NET if name == "net" else BLK))
            self.assertLess(row["idle_us_per_second"], 20000, name)

    def draw(self, *args):
        """Return: the row, and the picture."""
        with tempfile.NamedTemporaryFile(suffix=".svg") as plot:
            return self.measure(*args, "--plot", plot.name), xml.parse(plot.name).getroot()

    def test_a_plot_shows_the_figures_where_the_axes_say(self):
        svg = "{http://www.w3.org/2000/svg}"
        units = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}
        for args, what in ((("net", *NET), "frames"), (("blk", *BLK), "requests")):
            row, root = self.draw(*args)
            texts = root.findall(svg + "text")
            times = [(float(t.get("y")) - 4, t.text.split()) for t in texts if t.get("text-anchor") == "end"]
            nines = [(float(t.get("x")), float(t.text[:-2])) for t in texts if t.text.endswith(" %")]
            self.assertEqual([percent for _, percent in nines], [0, 90, 99, 99.9, 99.99][:int(math.log10(row["n"])) + 1])

            (y0, _), (y1, _), *_ = times
            lowest = float(times[0][1][0]) * units[times[0][1][1]]
            places = []
            for name, percent in (("median_ns", 50), ("p99_ns", 99), ("p999_ns", 99.9)):
                x = nines[0][0] - math.log10(1 - percent / 100) * (nines[1][0] - nines[0][0])
                places.append((x, y0 + (y1 - y0) * math.log10(row[name] / lowest)))
                self.assertIn("p%g %.1f us" % (percent, row[name] / 1e3), [t.text for t in texts])
            dots = [(float(c.get("cx")), float(c.get("cy"))) for c in root.findall(svg + "circle")]
            self.assertEqual(len(dots), 3)
            for place, dot in zip(places, dots):
                self.assertLess(max(abs(a - b) for a, b in zip(place, dot)), 0.2)

            curve, = root.findall(svg + "polyline")
            points = [tuple(map(float, point.split(","))) for point in curve.get("points").split()]
            self.assertEqual(points, sorted(points, key=lambda point: (point[0], -point[1])))
            self.assertTrue(all(times[-1][0] <= y <= times[0][0] for _, y in points))
            self.assertIn("%.0f %s/s" % (row[what + "_per_second"], what), [t.text for t in texts])

    def test_a_plot_of_one_request(self):
        row, root = self.draw("blk", "--depth", "1", "--requests", "1", "--repeat", "1", "--idle", "0")
        self.assertEqual(row["n"], 1)
        self.assertEqual(len(root.findall("{http://www.w3.org/2000/svg}circle")), 1)

    def test_more_queues_than_the_card_has_are_refused(self):
        done = bench("net", "--queues", "4", "-d", "max_vqp 2")
        self.assertEqual(done.returncode, 1)
        self.assertIn("--queues 4: the card has 2", done.stderr)

    def test_each_layout_of_rings_moves_requests(self):
        for words in ([], ["--packed"], ["--in-order", "--indirect"], ["--packed", "--indirect"], ["--event-idx"],
                      ["--queues", "4"], ["--poll"], ["--writes", "50", "--flush", "7"], ["--block", "512"],
                      ["--depth", "1"], ["--block", "1048576", "--depth", "2", "--requests", "100"]):
            row = self.measure("blk", *BLK, *words)
            self.assertEqual(row["n"], 200 if "100" in words else 4000, words)
            self.assertGreater(row["requests_per_second"], 0)

    def test_a_file_as_a_disk(self):
        with tempfile.NamedTemporaryFile() as image:
            image.truncate(8 << 20)
            row = self.measure("blk", *BLK, "--writes", "30", "-d",
                               "mgmtdev vdpasim_blk backend file,path=" + image.name)
            self.assertEqual(row["wire"], "vhost-vdpa")
            image.seek(0)
            self.assertEqual(len(image.read()), 8 << 20)

    @unittest.skipUnless(shutil.which("qemu-storage-daemon"), "qemu-storage-daemon is not installed")
    def test_a_vhost_user_daemon(self):
        with tempfile.TemporaryDirectory() as folder:
            image, sock = os.path.join(folder, "image"), os.path.join(folder, "socket")
            with open(image, "wb") as out:
                out.truncate(8 << 20)
            with daemon(image, sock) as process:
                row = self.measure("blk", *BLK, "--queues", "2", "--vhost-user", sock)
                self.assertEqual((row["wire"], row["n"]), ("vhost-user", 4000))
                # it sleeps when idle, and its processor time is not the bench's: this one is asked of the kernel
                self.assertGreaterEqual(row["idle_us_per_second"], 0)
                row = self.measure("blk", *BLK, "--writes", "50", "--overwrite", "--indirect", "--idle", "0",
                                   "--vhost-user", sock)
                self.assertLess(row["idle_us_per_second"], 0)
                process.terminate()


def daemon(image, sock):
    """QEMU's storage daemon, whose monitor's greeting says that the export is there."""
    process = subprocess.Popen(
        ["qemu-storage-daemon", "--blockdev", "file,filename=%s,node-name=f" % image, "--export",
         "vhost-user-blk,id=e,node-name=f,addr.type=unix,addr.path=%s,writable=on,num-queues=2" % sock,
         "--chardev", "stdio,id=c", "--monitor", "chardev=c"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    if not select.select([process.stdout], [], [], 20)[0] or b"QMP" not in process.stdout.readline():
        process.kill()
        raise AssertionError("qemu-storage-daemon does not start")
    return process


class WrongUse(unittest.TestCase):
    def refused(self, status, word, *args):
        done = bench(*args)
        self.assertEqual((done.returncode, done.stdout), (status, ""), args)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertIn(word, done.stderr)

    def test_wrong_values_are_named(self):
        for args in (["blk", "--block", "1000"], ["blk", "--depth", "0"], ["blk", "--depth", "300"],
                     ["blk", "--queues", "9"], ["blk", "--writes", "101"], ["net", "--size", "59"],
                     ["net", "--size", "1515"], ["net", "--depth", "513"], ["net", "--frames", "-1"],
                     ["net", "--idle", "-1"], ["blk", "--idle", "3601"]):
            self.refused(2, "'%s'" % args[-1], *args)

    def test_a_disk_is_not_written_to_unasked(self):
        self.refused(2, "--overwrite", "blk", "--writes", "10", "/dev/vhost-vdpa-0")

    def test_a_device_that_cannot_do_it_is_told(self):
        self.refused(1, "0x400000000", "net", *NET, "--packed", "-d", "mgmtdev vdpasim_net")
        self.refused(1, "the disk has 2", "blk", *BLK, "--queues", "3", "-d", "mgmtdev vdpasim_blk num_queues 2")
        self.refused(1, "is more than the disk has", "blk", *BLK, "--block", "1048576", "-d",
                     "mgmtdev vdpasim_blk capacity 65536")

    def test_what_cannot_be_opened_is_named(self):
        self.refused(1, "/dev/none", "blk", "/dev/none")
        self.refused(1, "/dev/none", "net", "--vhost-user", "/dev/none")
        self.refused(2, "--vhost-user", "net", "--vhost-user")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
