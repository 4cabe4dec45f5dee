#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What `holdfast` says and returns: usage: test_cli_run.py HOLDFAST"""
import fcntl
import json
import os
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

HOLDFAST = os.path.abspath(sys.argv[1])
MEMLOCK = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]


def holdfast(*args, **kwargs):
    return subprocess.run([HOLDFAST, *args], capture_output=True, text=True, timeout=600, **kwargs)


def run(*args, **kwargs):
    return holdfast("run", *args, **kwargs)


class Case(unittest.TestCase):
    def assert_wrong_use(self, done, *words):
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assert_one_line(done, *words)

    def assert_one_line(self, done, *words):
        self.assertEqual(done.stdout, "")
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)


class WrongUse(Case):
    def test_no_command(self):
        self.assert_wrong_use(holdfast(), "no command", "run", "bench", "help")

    def test_unknown_command(self):
        self.assert_wrong_use(holdfast("rum"), "'rum'", "run", "bench", "help")

    def test_unknown_bench(self):
        self.assert_wrong_use(holdfast("bench", "rest"), "'rest'")

    def test_run_without_command(self):
        self.assert_wrong_use(run(), "no COMMAND")
        self.assert_wrong_use(run("-d", "name a", "--"), "no COMMAND")

    def test_unknown_option(self):
        self.assert_wrong_use(run("--lag", "x", "--", "true"), "'--lag'", "--log", "--device")
        self.assert_wrong_use(run("-x", "--", "true"), "'-x'", "-d")

    def test_unknown_letter_among_others(self):
        for words in (["run"], ["dev"], ["mgmtdev"], ["net", "ping"], ["blk", "info"], ["check"], ["bench", "reset"],
                      ["bench", "iotlb"]):
            self.assert_wrong_use(holdfast(*words, "-zh"), "unknown option '-z'")
        self.assert_wrong_use(run("--launcher=x", "--", "true"), "'--launcher=x'")

    def test_check(self):
        for words, wanted in ((["--bogus"], "unknown option '--bogus'"), (["--deadline"], "'--deadline'"),
                              (["-d"], "'-d'"), ([], "no PATH"), (["-d", "name a", "/dev/x"], "'/dev/x'"),
                              (["/dev/%d" % i for i in range(100)], "one node too many")):
            self.assert_wrong_use(holdfast("check", *words), wanted)

    def test_option_without_value(self):
        self.assert_wrong_use(run("-d"), "'-d'", "needs a value")
        self.assert_wrong_use(run("--log"), "'--log'", "needs a value")

    def test_unknown_key(self):
        self.assert_wrong_use(run("-d", "nane a", "--", "true"), "'nane'", "name", "mgmtdev")

    def test_unknown_key_in_a_long_description(self):
        for word in ("nane", "n" * 250):
            done = run("-d", "mac 52:54:00:12:34:56 mtu 1500 max_vqp 4 backend tap,ifname=tap0 quirks none "
                       "workers 4 vq_size 1024 memory va mapping set_map %s a" % word, "--", "true")
            self.assert_wrong_use(done, "'" + word[:32], "vq_size", "max_iotlb_entries", "known keys")

    def test_unknown_mgmtdev(self):
        self.assert_wrong_use(run("-d", "mgmtdev foo", "--", "true"), "'foo'", "vdpasim_net")

    def test_bad_values(self):
        for spec, word in (("mtu 67", "67"), ("mac 1:2", "1:2"), ("memory heap", "heap"),
                           ("max_vqp", "max_vqp"), ("backend", "backend")):
            self.assert_wrong_use(run("-d", spec, "--", "true"), word)

    def test_second_device_is_checked_too(self):
        self.assert_wrong_use(run("-d", "name a", "-d", "name b color red", "--", "true"), "'color'")

    def test_too_many_devices(self):
        devices = [word for i in range(1025) for word in ("-d", "name d%d" % i)]
        self.assert_wrong_use(run(*devices, "--", "true"), "1024")


class CannotDo(Case):
    def test_output_that_finds_no_room(self):
        for words in (["--help"], ["--version"], ["mgmtdev", "show"], ["bench", "--help"], ["check", "--list"],
                      ["blk", "info", "-d", "mgmtdev vdpasim_blk"]):
            with open("/dev/full", "w", encoding="ascii") as full:
                done = subprocess.run([HOLDFAST, *words], stdout=full, stderr=subprocess.PIPE, text=True, timeout=600)
            self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1), (words, done.stderr))
            self.assertIn("cannot write standard output", done.stderr)

    def test_control_whose_path_is_none(self):
        for path in ("", "/tmp/" + 200 * "x"):
            done = holdfast("dev", "--control", path, "show")
            self.assertEqual(done.returncode, 1)
            self.assert_one_line(done, "'%s'" % path, "1 to 107 bytes")

    def test_missing_tap_is_said_before_the_command_runs(self):
        done = run("-d", "backend tap,ifname=hf-not-there", "--", "echo", "ran")
        self.assertEqual(done.returncode, 1)
        self.assert_one_line(done, "hf-not-there")

    def test_same_name_twice(self):
        done = run("-d", "name a", "-d", "name a", "--", "true")
        self.assertEqual(done.returncode, 1)
        self.assert_one_line(done, "a")

    def test_log_that_cannot_be_written(self):
        done = run("--log", "/nowhere/log", "--", "true")
        self.assertEqual(done.returncode, 1)
        self.assert_one_line(done, "/nowhere/log")

    def test_library_missing(self):
        with tempfile.TemporaryDirectory() as folder:
            copy = shutil.copy(HOLDFAST, folder)
            done = subprocess.run([copy, "run", "--", "true"], capture_output=True, text=True,
                                  timeout=600)
        if done.returncode == 0:
            self.skipTest("an installed library was found")
        self.assertEqual(done.returncode, 1)
        self.assert_one_line(done, "libholdfast-preload.so")

    def test_library_path_that_ld_preload_cannot_name(self):
        with tempfile.TemporaryDirectory(prefix="with blank ") as folder:
            copy = shutil.copy(HOLDFAST, folder)
            shutil.copy(os.path.join(os.path.dirname(HOLDFAST), "libholdfast-preload.so"), folder)
            done = subprocess.run([copy, "run", "--", "true"], capture_output=True, text=True,
                                  timeout=600)
        self.assertEqual(done.returncode, 1)
        self.assert_one_line(done, "with blank")


class Command(Case):
    def test_exit_status_is_the_commands(self):
        for status in (0, 3, 77):
            self.assertEqual(run("--", "sh", "-c", "exit %d" % status).returncode, status)

    def test_death_by_signal_is_the_commands(self):
        self.assertEqual(run("--", "sh", "-c", "kill -9 $$").returncode, -signal.SIGKILL)
        self.assertEqual(run("--", "sh", "-c", "kill -TERM $$").returncode, -signal.SIGTERM)

    def test_missing_command_is_127(self):
        done = run("--", "hf-no-such-command")
        self.assertEqual(done.returncode, 127)
        self.assert_one_line(done, "'hf-no-such-command'")

    def test_command_that_cannot_run_is_126(self):
        done = run("--", "/etc/passwd")
        self.assertEqual(done.returncode, 126)
        self.assert_one_line(done, "'/etc/passwd'")

    def test_arguments_and_input_pass_through(self):
        done = run("-d", "name a", "cat", "-", "--", "/dev/null", input="text")
        self.assertEqual((done.returncode, done.stdout), (0, "text"))

    def test_a_device_may_be_described_by_nothing(self):
        for specs in ((("", "name b")), ("name a", ""), ("", " \t"), ("",)):
            options = [word for spec in specs for word in ("-d", spec)]
            nodes = ["/dev/vhost-vdpa-%d" % i for i in range(len(specs))]
            done = run(*options, "--", "stat", "-c", "%F", *nodes)
            self.assertEqual((done.returncode, done.stderr), (0, ""), specs)
            done = run(*options, "--", "stat", "/dev/vhost-vdpa-%d" % len(specs))
            self.assertNotEqual(done.returncode, 0, specs)

    def test_closed_standard_descriptors(self):
        for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
            done = subprocess.run(["sh", "-c", 'exec "$0" run -- sh -c "exit 5" ' + closed, HOLDFAST], timeout=600)
            self.assertEqual(done.returncode, 5, closed)

    def test_existing_preload_stays(self):
        env = dict(os.environ, LD_PRELOAD="libc.so.6")
        done = run("--", "printenv", "LD_PRELOAD", env=env)
        library, rest = done.stdout.strip().split(":", 1)
        self.assertTrue(library.endswith("/libholdfast-preload.so"))
        self.assertEqual(rest, "libc.so.6")

    def test_nested_run_replaces_the_devices(self):
        done = run("-d", "name a", "--", HOLDFAST, "run", "-d", "name b", "-d", "name c", "--",
                   "printenv", "HOLDFAST_DEVICES", "LD_PRELOAD")
        lines = done.stdout.splitlines()
        self.assertEqual(lines[:2], ["name b", "name c"])
        self.assertEqual(lines[2].count("libholdfast-preload"), 1)

    def test_log_path_is_absolute_and_the_file_fresh(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(os.path.realpath(folder), "log")
            with open(path, "w") as f:
                f.write("old\n")
            done = run("--log", "log", "--", "printenv", "HOLDFAST_LOG", cwd=folder)
            self.assertEqual(done.stdout.strip(), path)
            self.assertEqual(os.path.getsize(path), 0)

    def test_log_of_an_outer_run_is_not_inherited(self):
        done = run("--", "printenv", "HOLDFAST_LOG", env=dict(os.environ, HOLDFAST_LOG="/tmp/x"))
        self.assertEqual(done.stdout, "")

    def test_shell_without_a_client_makes_no_threads(self):
        done = run("--", "sh", "-c", "ls /proc/$$/task | wc -l")
        self.assertEqual(done.stdout.strip(), "1")


class Program(Case):
    """Programs that the library cannot come into, made of a copy of one that it can."""

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        with open(shutil.which("true"), "rb") as file:
            self.image = bytearray(file.read())
        self.assertEqual(self.image[4], 2, "a 64-bit program")

    def write(self, image, name="program"):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(image)
        os.chmod(path, 0o755)
        return path

    def loader(self):
        """Where the program header of the loader's name is, and the name's place and length."""
        start, size, number = (struct.unpack_from("<Q", self.image, 32)[0], *struct.unpack_from("<HH", self.image, 54))
        for header in range(start, start + number * size, size):
            if struct.unpack_from("<I", self.image, header)[0] == 3:
                return header, *struct.unpack_from("<Q16xQ", self.image, header + 8)
        return self.fail("no PT_INTERP")

    def assert_refused(self, path, *words):
        for options in ((), ("--attach", "agent"), ("--attach", "preload")):
            done = run(*options, "--", path)
            self.assertEqual(done.returncode, 126, done.stderr)
            self.assert_one_line(done, path, "--launcher", *words)

    def assert_not_preloaded(self, command, path, *words, **how):
        """Such a program gets an agent, unless a person says that it shall be preloaded."""
        done = run("--attach", "preload", "--", command, **how)
        self.assertEqual(done.returncode, 126, done.stderr)
        self.assert_one_line(done, path, "--attach preload", *words)

    def test_damaged_program_is_no_script(self):
        """A shell would take its bytes for commands, and make files of them."""
        for length in (20, 64, 200):
            path = self.write(self.image[:length] + b"\n> made; echo said\n")
            done = run("--", path, cwd=self.folder)
            self.assertEqual(done.returncode, 126, done.stderr)
            self.assert_one_line(done, path)
        self.assertEqual(os.listdir(self.folder), ["program"])

    def test_text_without_an_interpreter_is_a_script(self):
        done = run("--", self.write(b"echo said; exit 3\n"), "word")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (3, "said\n", ""))

    def test_untouched_copy_runs(self):
        self.assertEqual(run("--", self.write(self.image)).returncode, 0)

    def test_static(self):
        struct.pack_into("<I", self.image, self.loader()[0], 0)
        path = self.write(self.image)
        self.assert_not_preloaded(path, path, "linked statically")

    def test_loader_by_itself_preloads(self):
        _, at, size = self.loader()
        loader = self.image[at:at + size].rstrip(b"\0").decode()
        program = "import os; os.stat('/dev/vhost-vdpa-0')"
        self.assertEqual(run("--", loader, os.path.realpath(sys.executable), "-c", program).returncode, 0)

    def test_another_libc(self):
        _, at, size = self.loader()
        self.image[at:at + size] = b"/lib/ld-musl-x.so.1".ljust(size, b"\0")
        path = self.write(self.image)
        self.assert_not_preloaded(path, path, "/lib/ld-musl-x.so.1")

    def test_32_bits(self):
        self.image[4] = 1
        self.assert_refused(self.write(self.image), "32-bit")

    def test_another_processor(self):
        struct.pack_into("<H", self.image, 18, 0xfeed)
        self.assert_refused(self.write(self.image), str(0xfeed))

    def test_script_is_its_interpreter(self):
        struct.pack_into("<I", self.image, self.loader()[0], 0)
        program = self.write(self.image)
        script = self.write(b"#! %s -x\n" % program.encode(), "script")
        self.assert_not_preloaded(script, program, "linked statically")
        self.assertEqual(run("--", self.write(b"#!/bin/sh\nexit 3\n", "shell")).returncode, 3)

    def test_name_is_looked_up_in_path(self):
        struct.pack_into("<I", self.image, self.loader()[0], 0)
        program = self.write(self.image, "hf-static")
        self.assert_not_preloaded("hf-static", program,
                                  env=dict(os.environ, PATH=self.folder + ":" + os.environ["PATH"]))

    @unittest.skipIf(os.getuid() != 0, "makes a program of another user")
    def test_setuid(self):
        path = self.write(self.image)
        if os.statvfs(path).f_flag & os.ST_NOSUID:
            self.skipTest("the folder is mounted nosuid")
        os.chown(path, 1, 0)
        self.assertEqual(run("--", path).returncode, 0)
        os.chmod(path, 0o4755)
        self.assert_refused(path, "setuid")
        os.chown(path, 0, 0) # who runs it is its owner: no change of privileges
        os.chmod(path, 0o4755)
        self.assertEqual(run("--", path).returncode, 0)

    def test_launcher_is_run_all_the_same(self):
        done = run("--launcher", "--", "sh", "-c", "exit 3")
        self.assertEqual((done.returncode, done.stderr), (3, ""))
        self.image[4] = 1
        done = run("--launcher", "--", self.write(self.image))
        self.assertNotIn("--launcher", done.stderr)

    def test_cut_off_files_are_the_kernels_to_judge(self):
        for length in (0, 1, 4, 19, 63, 64, 200):
            done = run("--", self.write(self.image[:length])) # or a shell's: execvp(3) tries one
            self.assertGreaterEqual(done.returncode, 0, (length, done.stderr))


class Reexec(Case):
    def test_bench_runs_itself_under_the_library(self):
        done = holdfast("bench", "reset", "--sizes", "16M", "--repeat", "2", "--remap-repeat", "1",
                        "-d", "name b0")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("persist", done.stdout)

    def test_sizes_take_turns_in_bench_reset(self):
        done = holdfast("bench", "reset", "--rounds", "3", "--sizes", "16M,64M", "--repeat", "30")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"64 MiB against 16 MiB in 3 rounds: \d+\.\d\d times the median")
        done = holdfast("bench", "reset", "--rounds", "3", "/dev/null")
        self.assert_wrong_use(done, "/dev/null")

    def test_bench_says_what_is_wrong_with_its_device(self):
        done = holdfast("bench", "reset", "-d", "nane b0")
        self.assert_wrong_use(done, "'nane'")

    def test_children_of_a_reexecuted_program_are_prepared_anew(self):
        env = dict(os.environ, HOLDFAST_REEXEC="1")
        done = holdfast("bench", "reset", "--sizes", "16M", "--repeat", "1", "--remap-repeat", "1",
                        env=env)
        self.assertEqual(done.returncode, 0, done.stderr)


class Pin(Case):
    def test_bench_pin_measures_every_kind_of_memory(self):
        done = holdfast("bench", "pin", "--size", "128M", "--repeat", "1", "--json",
                        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_MEMLOCK, (MEMLOCK, MEMLOCK)))
        if done.returncode == 1 and "does not allow to lock" in done.stderr:
            self.skipTest("RLIMIT_MEMLOCK is too small")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = json.loads(done.stdout)["rows"]
        self.assertEqual({(r["memory"], r["by"]) for r in rows},
                         {(m, by) for m in ("anonymous", "private", "file", "elsewhere", "touched")
                          for by in ("mlock", "one thread", "all processors")})

    def test_wrong_values_are_named(self):
        for args in (["--size", "1"], ["--size", "-1G"], ["--repeat", "0"], ["x"], ["--sise"], ["--size"]):
            self.assert_wrong_use(holdfast("bench", "pin", *args), "'%s'" % args[-1])


class Apart(Case):
    CPUS = sorted(os.sched_getaffinity(0))

    def test_bench_apart_measures_every_pair(self):
        if len(self.CPUS) < 2:
            self.skipTest("one processor")
        done = holdfast("bench", "apart", "--repeat", "1", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = json.loads(done.stdout)["rows"]
        few = self.CPUS[:16]
        self.assertEqual([r["case"] for r in rows],
                         ["processors %d and %d" % (one, other) for i, one in enumerate(few) for other in few[i + 1:]])
        self.assertTrue(all(r["min_ns"] > 1 for r in rows), rows)

    def test_bench_apart_of_one_processor_says_so(self):
        done = holdfast("bench", "apart", preexec_fn=lambda: os.sched_setaffinity(0, self.CPUS[:1]))
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertEqual(done.stderr, "holdfast bench apart: this process may use one processor only\n")

    def test_wrong_values_are_named(self):
        for args in (["--repeat", "0"], ["x"], ["--repaet"], ["--repeat"]):
            self.assert_wrong_use(holdfast("bench", "apart", *args), "'%s'" % args[-1])


class Hold(Case):
    def test_bench_hold_measures_every_question_at_every_count(self):
        done = holdfast("bench", "hold", "--samples", "1", "--json",
                        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_MEMLOCK, (MEMLOCK, MEMLOCK)))
        if done.returncode == 1 and "does not allow to lock" in done.stderr:
            self.skipTest("RLIMIT_MEMLOCK is too small")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = json.loads(done.stdout)["rows"]
        self.assertEqual({(r["question"], r["held"]) for r in rows},
                         {(q, n) for q in ("range", "file", "take over") for n in (10, 1000, 20000)})

    def test_wrong_values_are_named(self):
        for args in (["--samples", "0"], ["x"], ["--sise"], ["--samples"]):
            self.assert_wrong_use(holdfast("bench", "hold", *args), "'%s'" % args[-1])


class Sockets(Case):
    """The management's sockets of clients that were killed."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.env = dict(os.environ, XDG_RUNTIME_DIR=self.folder.name)

    def sockets(self):
        folder = os.path.join(self.folder.name, "holdfast")
        return {name for name in os.listdir(folder) if not name.startswith(".")}

    def client(self):
        """A program that has the device open; its socket is there when it has said so."""
        code = "import os,sys,time; os.open('/dev/vhost-vdpa-0', os.O_RDWR); print('open', flush=True); sys.stdin.read()"
        process = subprocess.Popen([HOLDFAST, "run", "-d", "name a", "--", sys.executable, "-c", code], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self.env)
        self.addCleanup(lambda: (process.kill(), process.communicate(timeout=600)))
        self.assertEqual(process.stdout.readline(), "open\n")
        return process

    def test_next_command_removes_those_of_the_killed_alone(self):
        killed, living = self.client(), self.client()
        names = ["%d.sock" % p.pid for p in (killed, living)]
        killed.kill()
        killed.wait(timeout=600)
        self.assertEqual(self.sockets(), set(names))
        done = holdfast("dev", "--pid", str(living.pid), "-j", "show", env=self.env)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("a", json.loads(done.stdout)["dev"])
        self.assertEqual(self.sockets(), {names[1]})

    def test_orderly_end_leaves_none(self):
        process = self.client()
        process.communicate(timeout=600)
        self.assertEqual((process.returncode, self.sockets()), (0, set()))

    def test_link_to_a_killed_clients_own_path_goes_too(self):
        self.env["HOLDFAST_CONTROL"] = os.path.join(self.folder.name, "own")
        process = self.client()
        process.kill()
        process.wait(timeout=600)
        self.assertEqual(self.sockets(), {"%d.sock" % process.pid})
        done = holdfast("dev", "--pid", str(process.pid), "show", env=self.env)
        self.assertEqual((done.returncode, self.sockets()), (1, set()), done.stderr)


class Paths(Case):
    """Every option that names a file, with everything that is not the file it wants."""

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.fifo, self.dir, self.live, self.file, self.link = (
            os.path.join(self.folder, name) for name in ("fifo", "dir", "live", "file", "link"))
        os.mkfifo(self.fifo)
        os.mkdir(self.dir)
        self.socket = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.socket.close)
        self.socket.bind(self.live)
        self.socket.listen()
        with open(self.file, "w", encoding="ascii") as file:
            file.write("mine")
        os.symlink(self.file, self.link)
        self.before = self.look()

    def look(self):
        with open(self.file, encoding="ascii") as file:
            return file.read(), {name: os.lstat(os.path.join(self.folder, name)).st_ino
                                 for name in os.listdir(self.folder)}

    def assert_refused(self, path, done):
        self.assertIn(done.returncode, (1, 2))
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertIn(path, done.stderr)
        self.assertEqual(self.look(), self.before)

    def test_log(self):
        for path in (self.fifo, self.dir, self.live):
            self.assert_refused(path, run("--log", path, "--", "true"))

    def test_junit(self):
        for path in (self.fifo, self.dir, self.live, "/dev/full"):
            self.assert_refused(path, holdfast("check", "-d", "mgmtdev vdpasim_net", "--match", "nothing",
                                               "--junit", path))

    def test_bench_trace_and_plot(self):
        for option, path in (("--trace", self.fifo), ("--plot", self.fifo), ("--plot", self.dir),
                             ("--trace", "/dev/full"), ("--plot", self.live)):
            self.assert_refused(path, holdfast("bench", "downtime", "--memory", "64M", "--client", "persist",
                                               "--repeat", "1", "--remap-repeat", "1", option, path))

    def test_bench_plot(self):
        short = {"net": ("--frames", "100"), "blk": ("--requests", "100")}
        for path in (self.fifo, self.dir, self.live, "/dev/full"):
            for name, words in short.items():
                self.assert_refused(path, holdfast("bench", name, *words, "--repeat", "1", "--idle", "0", "--plot", path))

    def test_control(self):
        for path in (self.fifo, self.dir, self.live, self.file, self.link):
            self.assert_refused(path, run("--control", path, "--", "true"))

    def test_parent(self):
        for path in (self.fifo, self.dir, self.live, self.file):
            self.assert_refused(path, run("--parent", path, "--", "true"))

    def test_trace_of_a_device(self):
        for path in (self.fifo, self.dir, self.live):
            self.assert_refused(path, run("-d", "mgmtdev mlx5 model on trace " + path, "--", "true"))
        done = run("-d", "mgmtdev mlx5 model on trace /dev/full", "--", "true") # the device goes on
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_stream_that_connects_leaves_what_is_there(self):
        for path in (self.fifo, self.dir, self.file, self.link):
            done = run("-d", "backend stream,path=" + path, "--", "true")
            self.assertEqual((done.returncode, self.look()), (0, self.before), done.stderr)

    def test_file_that_may_not_be_read_or_written(self):
        os.chmod(self.file, 0)
        # root without its capabilities is asked for permission, too
        drop = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.getuid() == 0 else []
        for words in (["run", "--log", self.file, "--", "true"], ["run", "--parent", self.file, "--", "true"],
                      ["run", "--control", self.file, "--", "true"],
                      ["run", "-d", "mgmtdev mlx5 model on trace " + self.file, "--", "true"],
                      ["run", "-d", "mgmtdev vdpasim_blk backend file,path=" + self.file, "--", "true"],
                      ["run", "-d", "backend stream,path=%s,listen" % self.file, "--", "true"],
                      ["blk", "read", "-d", "mgmtdev vdpasim_blk", "-n", "512", "-f", self.file],
                      ["blk", "write", "-d", "mgmtdev vdpasim_blk", "-f", self.file],
                      ["check", "-d", "mgmtdev vdpasim_net", "--match", "nothing", "--junit", self.file]):
            done = subprocess.run(drop + [HOLDFAST] + words, capture_output=True, text=True, check=False,
                                  stdin=subprocess.DEVNULL, timeout=600)
            self.assertIn(done.returncode, (1, 2))
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            self.assertIn(self.file, done.stderr)
        os.chmod(self.file, 0o600)
        self.assertEqual(self.look(), self.before)

    def test_stream_that_listens(self):
        for path in (self.fifo, self.dir, self.live, self.file, self.link):
            self.assert_refused(path, run("-d", "backend stream,path=%s,listen" % path, "--", "true"))

    def test_file_of_a_disk(self):
        for path in (self.fifo, self.dir, self.live, "/dev/full"):
            self.assert_refused(path, run("-d", "mgmtdev vdpasim_blk backend file,path=" + path, "--", "true"))

    def test_disk_is_written_from_a_file(self):
        for path in (self.dir, self.live):
            self.assert_refused(path, holdfast("blk", "write", "-d", "mgmtdev vdpasim_blk", "-f", path))

    def test_disk_is_read_into_a_file(self):
        for path in (self.dir, self.live, "/dev/full"):
            self.assert_refused(path, holdfast("blk", "read", "-d", "mgmtdev vdpasim_blk", "-n", "512",
                                               "-f", path))


    def test_disk_that_is_in_use_is_not_begun_anew(self):
        """Neither by reading it into itself, nor as another program's output."""
        with open(self.file, "w", encoding="ascii") as file:
            file.write(4096 * "mine")
        self.before = self.look()
        disk = "mgmtdev vdpasim_blk backend file,path=" + self.file
        for spec in (disk, disk + " read_only on"):
            self.assert_refused(self.file, holdfast("blk", "read", "-d", spec, "-f", self.file))
        for words in (["run", "-d", disk, "--log", self.file, "--", "true"],
                      ["run", "-d", "mgmtdev mlx5 model on trace " + self.file, "-d", disk, "--", "true"],
                      ["check", "-d", disk, "--match", "nothing", "--junit", self.file]):
            self.assert_refused(self.file, holdfast(*words))
        for words in (["run", "--log", self.file, "--", "true"],
                      ["check", "-d", "mgmtdev vdpasim_net", "--match", "nothing", "--junit", self.file]):
            with open(self.file, "r+b") as file:
                fcntl.lockf(file, fcntl.LOCK_EX)
                done = holdfast(*words)
            self.assert_refused(self.file, done)


class Help(Case):
    def test_help_goes_to_stdout(self):
        for args in (["--help"], ["help"], ["run", "--help"], ["bench", "--help"], ["check", "--help"],
                     ["bench", "reset", "--help"], ["bench", "reset", "-h"],
                     ["bench", "downtime", "--help"], ["bench", "downtime", "-h"],
                     ["bench", "pin", "--help"], ["bench", "hold", "--help"], ["bench", "load", "--help"],
                     ["bench", "iotlb", "--help"], ["bench", "iotlb", "-h"]):
            done = holdfast(*args)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertTrue(done.stdout.startswith("usage: holdfast"))

    def test_version(self):
        done = holdfast("--version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"^holdfast \d+\.\d+\.\d+\n$")


class CheckMode(Case):
    """What `holdfast check` holds a device against: its summary says so."""

    def mode(self, spec, *options):
        done = holdfast("check", "--match", "ioctl.get_device_id.without_owner_ok", *options, "-d", spec)
        self.assertEqual(done.returncode, 0, done.stderr)
        return re.search(r": (\S+) mode,", done.stdout)[1]

    def test_of_a_holdfast_device_it_is_the_devices_own(self):
        self.assertEqual(self.mode(""), "default")
        for kernel in ("linux-6.12", "linux-7.2"):
            for options in ((), ("--strict",)):
                self.assertEqual(self.mode("quirks " + kernel, *options), kernel)
        self.assertEqual(self.mode("as kernel"), "linux-6.12")

    def test_of_a_default_device_strict_is_the_oldest_kernel(self):
        self.assertEqual(self.mode("", "--strict"), "linux-6.12")

    def test_a_named_kernel_goes_before_the_devices(self):
        self.assertEqual(self.mode("quirks linux-6.12", "--strict=linux-7.2"), "linux-7.2")
        self.assertEqual(self.mode("quirks linux-7.2", "--default"), "default")

    def test_unknown_kernel(self):
        self.assert_wrong_use(holdfast("check", "--strict=linux-6.13", "-d", ""), "'linux-6.13'", "linux-6.12",
                              "linux-7.2")

    def test_wrong_values_are_named(self):
        for words in (["--device", "mapping=none"], ["--deadline", "0"], ["--deadline", "x"], ["--random", "x"], ["--bogus"]):
            self.assertIn(words[-1], holdfast("check", *words, "-d", "").stderr)
            self.assertEqual(holdfast("check", *words, "-d", "").returncode, 2)
        for words in ([], ["-d", ""] * 100):
            self.assertEqual(holdfast("check", *words).returncode, 2)
        self.assertTrue(holdfast("check", "--help").stdout.startswith("usage: holdfast check"))

    def test_hints_go_before_what_the_check_finds_out(self):
        for hints in ("mapping=set_map", "mapping=set_map,memory=va compat_reset=off"):
            done = holdfast("check", "--device", hints, "--match", "ioctl.get_device_id.*", "-d", "mapping set_map")
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_junit_report_has_a_case_a_check(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "report.xml")
            done = holdfast("check", "--match", "ioctl.get_device_id.*", "--junit", path, "-d", "mgmtdev vdpasim_net")
            self.assertEqual(done.returncode, 0, done.stderr)
            cases = xml.etree.ElementTree.parse(path).getroot().iter("testcase")
        names = {case.get("name"): case.find("skipped") is not None for case in cases}
        self.assertEqual(len(names), len(re.findall(r"(?m)^ok ", done.stdout)))
        self.assertFalse(names["ioctl.get_device_id.without_owner_ok"])

    def test_a_transcript_replays_to_itself(self):
        first = holdfast("check", "--random", "1:20", "--transcript", "-d", "")
        self.assertEqual(first.returncode, 0, first.stderr)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("# what a person wrote\n\n" + first.stdout)
            file.flush()
            again = holdfast("check", "--replay", file.name, "-d", "")
        self.assertEqual(again.returncode, 0, again.stderr)
        steps = [[line for line in done.stdout.splitlines() if " = " in line] for done in (first, again)]
        self.assertGreater(len(steps[0]), 200)
        self.assertEqual(*steps)

    def test_transcripts_that_are_none_are_named_by_their_line(self):
        for text, words in (("open\nopan\n", ":2: no step 'opan'"), ("set_backend mask=x\n", "not a value for mask"),
                            ("enable q=0 an=1\n", "not a value for on: 'an=1'"), ("open now\n", "too much: 'now'"),
                            ("update v=2 asid=0 iova=M+0 size=1 uaddr=M+0 perm=3\n", "not a value for iova"),
                            ("vring_file q=0 what=kock fd=own\n", "'what=kock'"), ("open\n" * 5000, "more than"), ("", "no steps")):
            with tempfile.NamedTemporaryFile("w") as file:
                file.write(text)
                file.flush()
                self.assert_wrong_use(holdfast("check", "--replay", file.name, "-d", ""), words)
        self.assert_wrong_use(holdfast("check", "--replay", "/nowhere/at/all", "-d", ""), "/nowhere/at/all")

    def test_list_names_who_shows_a_check_that_not_all_show(self):
        lines = holdfast("check", "--list", "--match", "ioctl.set_group_asid.while_running_*").stdout.splitlines()
        self.assertIn("ioctl.set_group_asid.while_running_ok [1-39] linux-6.12", lines)
        self.assertIn("ioctl.set_group_asid.while_running_ebusy [1-39] default, linux-7.2", lines)
        lines = holdfast("check", "--list", "--match", "ioctl.get_device_id.without_owner_ok").stdout.splitlines()
        self.assertEqual(len(lines), 1)
        self.assertTrue(lines[0].endswith("]"), lines[0])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
