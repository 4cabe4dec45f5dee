#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""`holdfast bench downtime` in short form: usage: test_cli_downtime.py HOLDFAST"""
import json
import os
import resource
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as xml

HOLDFAST = os.path.abspath(sys.argv[1])
KINDS = ["old", "persist", "hold", "svq-asid"]
SIZE = 256 << 20


def downtime(*args):
    return subprocess.run([HOLDFAST, "bench", "downtime", *args], capture_output=True, text=True, timeout=600)


class Measured(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.trace = os.path.join(cls.folder.name, "trace.json")
        cls.plot = os.path.join(cls.folder.name, "plot.svg")
        done = downtime("--memory", "64M,256M", "--devices", "2", "--queue-pairs", "2", "--repeat", "5",
                        "--remap-repeat", "2", "--json", "--trace", cls.trace, "--plot", cls.plot)
        if done.returncode:
            raise AssertionError(done.stderr)
        cls.pinned = "unpinned" not in done.stderr
        cls.doc = json.loads(done.stdout)
        cls.rows = cls.doc["rows"]

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def row(self, client, interruption, phase, mapped=SIZE):
        found = [r for r in self.rows if (r["client"], r["downtime"], r["phase"], r["mapped_bytes"]) ==
                 (client, interruption, phase, mapped)]
        self.assertEqual(len(found), 1, (client, interruption, phase))
        return found[0]

    def test_every_client_has_every_phase_of_both(self):
        phases = {r["phase"] for r in self.rows}
        self.assertEqual(len(phases), 10)
        self.assertEqual(len(self.rows), len(KINDS) * 2 * 2 * len(phases))
        for r in self.rows:
            self.assertEqual(r["n"], 2 if r["client"] == "old" else 5)
            self.assertLessEqual(r["min_ns"], r["median_ns"])
            self.assertLessEqual(r["median_ns"], r["p99_ns"])

    def test_a_total_is_the_sum_of_its_phases(self):
        for kind in KINDS:
            for interruption in 1, 2:
                least = sum(r["min_ns"] for r in self.rows if r["client"] == kind and r["phase"] != "total" and
                            r["downtime"] == interruption and r["mapped_bytes"] == SIZE)
                self.assertGreaterEqual(self.row(kind, interruption, "total")["min_ns"], least - 10)

    def test_only_who_remaps_pays_for_memory(self):
        if not self.pinned:
            self.skipTest("RLIMIT_MEMLOCK is too small for pinned memory")
        old = self.row("old", 1, "map")["min_ns"] + self.row("old", 1, "unmap")["min_ns"]
        for kind in KINDS[1:]:
            cost = self.row(kind, 1, "map")["min_ns"] + self.row(kind, 1, "unmap")["min_ns"]
            self.assertLess(cost * 20, old, kind)
        self.assertGreater(self.row("old", 2, "map")["min_ns"], 20 * self.row("hold", 2, "map")["min_ns"])

    def test_only_who_unmaps_maps(self):
        for kind in "persist", "svq-asid":
            self.assertLess(self.row(kind, 1, "map")["min_ns"], 5000)
        self.assertGreater(self.row("hold", 1, "map")["min_ns"], 5000)

    def test_trace_has_all_stretches(self):
        with open(self.trace) as f:
            events = json.load(f)["traceEvents"]
        stretches = [e for e in events if e["ph"] == "X"]
        self.assertEqual({e["args"]["name"] for e in events if e["ph"] == "M"}, {"client " + k for k in KINDS})
        for kind, pid in zip(KINDS, range(1, 5)):
            for interruption in 1, 2:
                sums = sum(e["dur"] for e in stretches if e["pid"] == pid and e["cat"] == "downtime %d" % interruption
                           and e["args"]["mapped_bytes"] == SIZE and e["name"] == "reset")
                r = self.row(kind, interruption, "reset")
                self.assertGreaterEqual(sums * 1000 + 1000, r["n"] * r["min_ns"])

    def test_plot_has_a_line_a_client(self):
        root = xml.parse(self.plot).getroot()
        lines = root.findall("{http://www.w3.org/2000/svg}polyline")
        self.assertEqual(len(lines), 2 * len(KINDS))
        for line in lines:
            self.assertEqual(len(line.get("points").split()), 2)
        texts = [t.text for t in root.findall("{http://www.w3.org/2000/svg}text")]
        for kind in KINDS:
            self.assertIn(kind + " #1", texts)


class Late(unittest.TestCase):
    def test_late_destination_pays_for_its_first_map(self):
        done = downtime("--memory", "256M", "--devices", "1", "--queue-pairs", "1", "--repeat", "2",
                        "--remap-repeat", "2", "--client", "hold", "--destination", "late", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        if "unpinned" in done.stderr:
            self.skipTest("RLIMIT_MEMLOCK is too small for pinned memory")
        rows = {(r["downtime"], r["phase"]): r for r in json.loads(done.stdout)["rows"]}
        self.assertEqual(rows[2, "total"]["destination"], "late")
        self.assertGreater(rows[2, "map"]["min_ns"], 20 * rows[1, "map"]["min_ns"])


RUNGS = ["dropped", "ahead", "asid", "kept", "batched", "parallel", "deferred", "held", "changed", "best"]


class Ladder(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with tempfile.NamedTemporaryFile(suffix=".svg") as plot:
            done = downtime("--ladder", "--no-latency", "--memory", "1G", "--devices", "1", "--queue-pairs", "2",
                            "--json", "--plot", plot.name)
            if done.returncode:
                raise AssertionError(done.stderr)
            cls.plot = xml.parse(plot.name).getroot()
        cls.doc = json.loads(done.stdout)

    def commands(self, rung, interruption, phase):
        found = [r["commands"] for r in self.doc["rows"] if (r["client"], r["downtime"], r["phase"]) ==
                 (rung, interruption, phase)]
        self.assertEqual(len(found), 1, (rung, interruption, phase))
        return found[0]

    def keys(self, rung, interruption, phase="total"):
        return sum(self.commands(rung, interruption, phase)[kind] for kind in ("create_mkey", "destroy_mkey"))

    def test_every_rung_has_both_downtimes(self):
        self.assertEqual({(r["client"], r["downtime"]) for r in self.doc["rows"]},
                         {(rung, interruption) for rung in RUNGS for interruption in (1, 2)})

    def test_a_reset_drops_keys_on_the_first_rungs_alone(self):
        self.assertGreater(self.keys("dropped", 1, "reset"), 2)
        for rung in RUNGS[3:7] + ["best"]:
            self.assertEqual(self.keys(rung, 1, "reset"), 0, rung)

    def test_each_change_makes_fewer_key_commands(self):
        for earlier, later in ("dropped", "asid"), ("kept", "batched"), ("batched", "deferred"), ("held", "changed"):
            self.assertLess(self.keys(later, 1), self.keys(earlier, 1), (earlier, later))
        self.assertEqual(self.commands("deferred", 1, "total")["destroy_mkey"], 0)

    def test_only_who_remaps_maps_guest_memory(self):
        self.assertGreater(self.keys("dropped", 1, "map"), 0)
        for rung in RUNGS[3:7]:
            self.assertEqual(self.keys(rung, 1, "map"), 0, rung)

    def test_latencies_have_sources(self):
        self.assertEqual(self.doc["latencies"], [])
        done = downtime("--ladder", "--memory", "64M", "--devices", "1", "--queue-pairs", "1", "--rungs", "best",
                        "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        doc = json.loads(done.stdout)
        self.assertEqual({entry["command"] for entry in doc["latencies"]},
                         {"create_mkey", "destroy_mkey", "create_queue", "modify_queue", "query_queue"})
        self.assertTrue(all(entry["source"] and entry["time"] for entry in doc["latencies"]))
        reset = [r for r in doc["rows"] if (r["downtime"], r["phase"]) == (1, "reset")][0]
        self.assertGreaterEqual(reset["min_ns"], reset["commands"]["create_queue"] * 9700000)

    def test_the_table_says_what_was_published(self):
        done = downtime("--ladder", "--no-latency", "--memory", "64M", "--devices", "1", "--queue-pairs", "1",
                        "--rungs", "dropped,batched")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("20-30 / 20 s", done.stdout)
        self.assertIn("1.7 / 1.5 s", done.stdout)
        self.assertIn("take no time", done.stdout)

    def test_plot_has_a_line_a_rung(self):
        self.assertEqual(len(self.plot.findall("{http://www.w3.org/2000/svg}polyline")), 2 * len(RUNGS))

    def test_wrong_use_is_named(self):
        for args in ["--ladder", "--rungs", "up"], ["--ladder", "/dev/a", "/dev/b"]:
            done = downtime(*args)
            self.assertEqual((done.returncode, done.stdout), (2, ""), args)
            self.assertEqual(done.stderr.count("\n"), 1)


class WrongUse(unittest.TestCase):
    def test_wrong_values_are_named(self):
        for args in (["--client", "new"], ["--client", "old,new"], ["--memory", "1"], ["--memory", "1M"],
                     ["--memory", "-1G"], ["--devices", "9"], ["--devices", "0"], ["--queue-pairs", "33"],
                     ["--destination", "never"], ["--repeat", "-1"], ["--remap-repeat", "x"]):
            done = downtime(*args)
            self.assertEqual((done.returncode, done.stdout), (2, ""), args)
            self.assertEqual(done.stderr.count("\n"), 1)
            self.assertIn("'%s'" % args[-1], done.stderr)

    def test_unknown_option_and_missing_value_are_named(self):
        for arg in "--clint", "--trace":
            done = downtime(arg)
            self.assertEqual(done.returncode, 2)
            self.assertIn("'%s'" % arg, done.stderr)

    def test_paths_come_in_pairs_and_alone(self):
        self.assertIn("odd number", downtime("/dev/vhost-vdpa-0").stderr)
        self.assertIn("-d and by PATH", downtime("-d", "memory va", "/dev/a", "/dev/b").stderr)

    def test_what_cannot_be_opened_is_named(self):
        done = downtime("--memory", "64M", "--client", "persist", "/dev/none-a", "/dev/none-b")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/dev/none-a", done.stderr)


if __name__ == "__main__":
    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (hard, hard))
    unittest.main(argv=sys.argv[:1], verbosity=2)
