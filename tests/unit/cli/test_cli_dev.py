#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""`holdfast dev` and `holdfast mgmtdev` on a program with devices: usage: test_cli_dev.py HOLDFAST

Other programs of the same user may have devices, too: no test counts on being alone.
"""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

HOLDFAST = os.path.abspath(sys.argv[1])
MAC = "52:54:00:12:34:56"
# Negotiates what the device offers, says so, and goes on until its input ends.
CLIENT = """
import fcntl, os, struct, sys
fd = os.open('/dev/vhost-vdpa-0', os.O_RDWR)
fcntl.ioctl(fd, 0xAF01)
for status in (1, 3):
    fcntl.ioctl(fd, 0x4001AF72, struct.pack('B', status))
features = fcntl.ioctl(fd, 0x8008AF00, bytes(8))
fcntl.ioctl(fd, 0x4008AF00, features)
fcntl.ioctl(fd, 0x4001AF72, struct.pack('B', 11))
print('ready', flush=True)
sys.stdin.read()
"""


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.env = dict(os.environ, XDG_RUNTIME_DIR=self.folder)
        self.pids = set()

    def client(self, *options):
        process = subprocess.Popen([HOLDFAST, "run", *options, "--", sys.executable, "-c", CLIENT], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self.env)
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        self.pids.add(process.pid)
        self.assertEqual(process.stdout.readline(), "ready\n")
        return process

    def ask(self, *words, expect=0, command="dev"):
        done = subprocess.run([HOLDFAST, command, *words], capture_output=True, text=True, errors="replace", check=False,
                              env=self.env)
        hung = re.search(r"cannot connect to /tmp/holdfast-|process (\d+) .* does not answer", done.stderr)
        if hung and not {"--pid", "--control"} & set(words) and int(hung[1] or 0) not in self.pids:
            self.skipTest("a program of somebody else's hangs")
        self.assertEqual(done.returncode, expect, (words, done.stdout, done.stderr))
        self.assertEqual(done.stderr.count("\n"), 0 if expect == 0 else 1, done.stderr)
        return done.stderr if expect else done.stdout


class OneProgram(Case):
    def setUp(self):
        super().setUp()
        process = self.client("-d", "name net0 mgmtdev vdpasim_net mac %s max_vqp 2" % MAC,
                              "-d", "name disk mgmtdev vdpasim_blk")
        self.pid = ("--pid", str(process.pid))

    def json(self, *words):
        return json.loads(self.ask("-j", *self.pid, *words))

    def test_show_prints_a_line_a_device(self):
        lines = self.ask(*self.pid, "show").splitlines()
        self.assertEqual([line.split(":")[0] for line in lines], ["net0", "disk"])
        self.assertIn(" mgmtdev vdpasim_net ", lines[0])
        self.assertEqual(self.ask(*self.pid, "list", "disk").splitlines(), lines[1:])
        self.assertEqual(self.ask(*self.pid), "\n".join(lines) + "\n")

    def test_json_is_one_line_and_pretty_many(self):
        one, many = self.ask("-j", *self.pid, "show"), self.ask("-jp", *self.pid, "show")
        self.assertEqual(one.count("\n"), 1)
        self.assertGreater(many.count("\n"), 2)
        self.assertEqual(json.loads(one), json.loads(many))

    def test_config_and_counters(self):
        config = self.json("config", "show", "net0")["config"]["net0"]
        self.assertEqual((config["mac"], config["max_vq_pairs"]), (MAC, 2))
        self.assertIn("mac " + MAC, self.ask(*self.pid, "conf", "sh", "net0"))
        self.assertEqual(self.ask(*self.pid, "config"), self.ask(*self.pid, "config", "show"))
        counters = self.json("vstats", "show", "net0", "qidx", "1")["vstats"]["net0"]
        self.assertEqual(counters["tx packets"], 0)
        self.assertIn("tx packets 0", self.ask(*self.pid, "vst", "show", "net0", "qidx", "0x1"))
        self.assertIn("qidx", self.ask(*self.pid, "vstats", "show", "net0", expect=1))

    def test_a_device_comes_changes_and_goes(self):
        self.ask(*self.pid, "add", "name", "net1", "mgmtdev", "vdpasim_net", "mac", MAC)
        self.ask(*self.pid, "set", "name", "net1", "mac", "52:54:00:00:00:01")
        self.assertEqual(self.json("config", "show", "net1")["config"]["net1"]["mac"], "52:54:00:00:00:01")
        self.ask(*self.pid, "set", "net1", "mac", "52:54:00:00:00:02")
        self.assertIn("net1", self.json("show")["dev"])
        self.ask(*self.pid, "del", "net1")
        self.assertNotIn("net1", self.json("show")["dev"])
        self.assertIn("net1", self.ask(*self.pid, "show", "net1", expect=1))
        self.assertIn("net1", self.ask(*self.pid, "set", "name", "net1", "mac", MAC, expect=1))

    def test_keys_may_be_short(self):
        self.ask(*self.pid, "add", "na", "net1", "mgmt", "vdpasim_net", "ma", MAC)
        self.assertEqual(self.json("config", "show", "net1")["config"]["net1"]["mac"], MAC)
        self.assertIn("'nane'", self.ask(*self.pid, "add", "nane", "net2", expect=1))

    def test_an_answer_may_be_long(self):
        for i in range(45):
            self.ask(*self.pid, "add", "name", "a-long-name-%02d" % i, "mgmtdev", "vdpasim_net")
        text = self.ask("-j", *self.pid, "config", "show")
        self.assertGreater(len(text), 4096)
        self.assertEqual(len(json.loads(text)["config"]), 47)

    def test_kinds_of_the_program(self):
        for words in ((), ("show",), ("list",)):
            self.assertIn("vdpasim_net:\n", self.ask(*self.pid, *words, command="mgmtdev"))
        self.assertIn("vdpasim_blk", json.loads(self.ask("-j", *self.pid, "show", "vdpasim_blk", command="mgmtdev"))["mgmtdev"])


class HardwareCard(Case):
    def test_counters_and_address(self):
        pid = ("--pid", str(self.client("-d", "name m mgmtdev mlx5 model on max_vqp 2 mac " + MAC).pid))
        for qidx, kind in (("0", "rx"), ("3", "tx"), ("4", "control_vq")):
            counters = json.loads(self.ask("-j", *pid, "vstats", "show", "m", "qidx", qidx))["vstats"]["m"]
            self.assertEqual(counters, {"queue_type": kind, "received_desc": 0, "completed_desc": 0})
        self.assertIn("5", self.ask(*pid, "vstats", "show", "m", "qidx", "5", expect=1))
        self.ask(*pid, "set", "name", "m", "mac", "52:54:00:00:00:09")
        self.assertIn("mac 52:54:00:00:00:09", self.ask(*pid, "config", "show", "m"))


class SeveralPrograms(Case):
    def test_all_are_shown_and_a_change_needs_a_choice(self):
        pids = [self.client("-d", "name net%d" % i).pid for i in range(2)]
        text = self.ask("show")
        for i, pid in enumerate(pids):
            self.assertRegex(text, r"(?m)^process %d \(.*\)\n(.*\n)?net%d: " % (pid, i))
        answers = {one["pid"]: one["dev"] for one in json.loads(self.ask("-j", "show"))}
        self.assertEqual([list(answers[pid]) for pid in pids], [["net0"], ["net1"]])
        refused = self.ask("del", "net0", expect=2)
        self.assertIn("--pid", refused)
        for pid in pids:
            self.assertIn(" %d (" % pid, refused)

    def test_a_device_is_found_in_the_one_that_has_it(self):
        names = ["d%dx%d" % (os.getpid(), i) for i in range(2)]
        pids = [self.client("-d", "name " + name).pid for name in names]
        for name, pid in zip(names, pids):
            self.assertRegex(self.ask("show", name), r"^process %d \(.*\)\n%s: .*\n$" % (pid, name))
            self.assertEqual([one["pid"] for one in json.loads(self.ask("-j", "show", name))], [pid])
        self.assertRegex(self.ask("show", names[0] + "x", expect=1), r'no device "%sx" in any of \d+ processes' % names[0])


    def test_a_program_that_hangs_is_not_waited_for_by_who_asks_another(self):
        hung, other = self.client("-d", "name a"), self.client("-d", "name b")
        hung.send_signal(signal.SIGSTOP)
        os.waitpid(hung.pid, os.WUNTRACED)
        with contextlib.ExitStack() as stack:
            with self.assertRaises(BlockingIOError):
                while True:  # until no more connections may wait to be accepted
                    one = stack.enter_context(socket.socket(socket.AF_UNIX))
                    one.setblocking(False)
                    one.connect(os.path.join(self.folder, "holdfast", "%d.sock" % hung.pid))
            self.assertTrue(self.ask("--pid", str(other.pid), "show").startswith("b: "))


class ControlSocket(Case):
    def answer(self, *pieces):
        """A socket whose owner answers the first request with @pieces. Return: its path"""
        path = os.path.join(self.folder, "theirs")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()

        def serve():
            with listener, listener.accept()[0] as peer:
                request = b""
                while not request.endswith(b"\n"):
                    request += peer.recv(4096)
                for piece in pieces:
                    peer.sendall(piece)

        thread = threading.Thread(target=serve)
        thread.start()
        self.addCleanup(thread.join)
        return path

    def test_named_socket(self):
        path = os.path.join(self.folder, "mine")
        self.client("--control", path, "-d", "name net0")
        self.assertIn("net0: ", self.ask("--control", path, "show"))

    def test_answers_come_in_pieces(self):
        path = self.answer(b'{"result":{"dev":{"x":', b'{"type":"network"}}}}\n')
        self.assertEqual(self.ask("--control", path, "show"), "x: type network\n")

    def test_warning_is_shown(self):
        path = self.answer(b'{"result":{"dev":{}},"warning":"beware"}\n')
        done = subprocess.run([HOLDFAST, "dev", "--control", path, "show"], capture_output=True, text=True,
                              check=False, env=self.env)
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        self.assertIn("beware", done.stderr)

    def test_answers_that_are_none(self):
        for answer, word in ((b"nonsense\n", "known"), (b"{}\n", "known"), (b'{"result"', "does not answer"), (b"", "does not answer")):
            path = self.answer(answer)
            self.assertIn(word, self.ask("--control", path, "show", expect=1))
            os.unlink(path)

    def test_nobody_listens(self):
        path = os.path.join(self.folder, "gone")
        self.assertIn(path, self.ask("--control", path, "show", expect=1))
        self.assertIn(str(os.getpid()), self.ask("--pid", str(os.getpid()), "show", expect=1))


class Words(Case):
    def test_wrong_words_are_named(self):
        for words, named in ((["shaw"], "'shaw'"), (["show", "a", "b"], "'b'"), (["del"], "no DEV"), (["del", "a", "b"], "'b'"),
                             (["set"], "no DEV"), (["set", "a", "mtu", "1500"], "'mtu'"), (["config", "show", "a", "b"], "'b'"),
                             (["config", "x"], "'x'"), (["vstats"], "no DEV"), (["vstats", "show", "a", "idx", "1"], "'idx'"),
                             (["vstats", "show", "a", "qidx", "-1"], "'-1'"), (["vstats", "show", "a", "qidx", "1x"], "'1x'"),
                             (["vstats", "show", "a", "qidx", "9" * 30], "'999"), (["--pid", "x"], "'x'"), (["--pid", "0"], "'0'"),
                             (["--pid"], "'--pid'"), (["--jsan"], "'--jsan'"), (["show", b"\xff"], "UTF-8"),
                             (["set", "a", "mac", b"\xff"], "UTF-8")):
            self.assertIn(named, self.ask(*words, expect=2))
        self.assertIn("'b'", self.ask("show", "a", "b", expect=2, command="mgmtdev"))

    def test_help(self):
        for command in ("dev", "mgmtdev"):
            for words in (["help"], ["--help"], ["-h"]):
                self.assertTrue(self.ask(*words, command=command).startswith("usage: holdfast %s " % command))
        self.assertTrue(self.ask("config", "help").startswith("usage: holdfast dev "))

    def test_kinds_that_this_program_knows(self):
        kinds = json.loads(self.ask("-j", "show", command="mgmtdev"))["mgmtdev"]
        self.assertLessEqual({"vdpasim_net", "vdpasim_blk", "mlx5"}, set(kinds))
        self.assertIn("vdpasim_blk:\n  ", self.ask("show", "vdpasim_blk", command="mgmtdev"))
        self.assertIn("none", self.ask("show", "none", command="mgmtdev", expect=1))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
