# SPDX-License-Identifier: BSD-3-Clause
"""The completion for bash offers what holdfast itself says that there is.

    test_completion.py BUILD SOURCE
"""
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
import unittest

BUILD, SOURCE = sys.argv[1:3]
SCRIPT = os.path.join(SOURCE, 'completions', 'holdfast')
HOLDFAST = os.path.join(BUILD, 'holdfast')
# compopt works only while readline completes
ASK = 'compopt() { :; }; . "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _holdfast; printf "%s\\n" "${COMPREPLY[@]}"'


def holdfast(*args):
    done = subprocess.run([HOLDFAST, *args], capture_output=True, text=True, timeout=600, check=False)
    return done.stdout + done.stderr


def complete(*words):
    done = subprocess.run(['bash', '-c', ASK, SCRIPT, HOLDFAST, *words], capture_output=True, text=True, timeout=600,
                          check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.split('\n')[:-1]


def keys():
    return re.search(r'known keys: ([^;]*);', holdfast('run', '-d', '? x', '--', 'true'))[1].split(', ')


class Completion(unittest.TestCase):
    def test_commands_are_those_of_the_help(self):
        commands = re.findall(r'^  ([a-z]+) ', holdfast('--help'), re.M)
        self.assertIn('run', commands)
        self.assertEqual(complete(''), commands + ['--help', '--version'])
        self.assertEqual(complete('ch'), ['check'])

    def test_commands_below_a_command_are_those_of_its_help(self):
        self.assertEqual(complete('bench', ''), re.findall(r'^  ([a-z]+) ', holdfast('bench', '--help'), re.M))
        self.assertEqual(complete('blk', 're'), ['read'])
        self.assertEqual(complete('net', ''), ['ping'])
        self.assertEqual(complete('dev', ''), ['show', 'add', 'del', 'set', 'config', 'vstats'])
        self.assertEqual(complete('dev', '-j', 'vstats', ''), ['show'])

    def test_each_option_of_a_help_is_offered(self):
        for command in complete('')[:-2]:
            options = set(re.findall(r'(?:^|[\[ ,])(--[a-z-]+)', holdfast(command, '--help'), re.M))
            with self.subTest(command=command):
                self.assertLessEqual(options, set(complete(command, '--')))

    def test_keys_of_a_spec_are_those_that_a_wrong_one_is_answered_with(self):
        self.assertIn('backend', keys())
        self.assertEqual(complete('dev', 'add', ''), keys())
        self.assertEqual(complete('run', '-d', "'"), keys())
        left = [key for key in keys() if key.startswith('m') and key != 'mac']
        self.assertEqual(complete('dev', 'add', 'mac', '52:54:00:12:34:56', 'm'), left)

    def test_values_of_a_key_are_those_that_it_has(self):
        chosen = 0
        for key in keys():
            said = re.search(r' of: (.*)', holdfast('run', '-d', key + ' ?', '--', 'true'))
            values = [v for v in said[1].split(', ') if re.fullmatch(r'[a-z0-9_.-]+', v)] if said else []
            chosen += bool(values)
            if key != 'mgmtdev':
                with self.subTest(key=key):
                    self.assertEqual([v for v in complete('dev', 'add', key, '') if v], values)
        self.assertGreater(chosen, 5)
        self.assertEqual(complete('dev', 'add', 'mgmtdev', ''), ['vdpasim_net', 'vdpasim_blk', 'mlx5'])

    def test_last_word_of_a_quoted_spec_is_completed(self):
        self.assertEqual(complete('run', '-d', "'name net0 mem"), ['name net0 memory', 'name net0 memlock'])
        self.assertEqual(complete('run', '-d', "'name net0 memor"), ['name net0 memory ', 'name net0 memory  '])
        self.assertEqual(complete('check', '--device', '"memory '), ['memory va', 'memory pinned'])

    def test_readline_completes_within_quotes(self):
        pid, fd = pty.fork()
        if pid == 0:
            os.environ.update(TERM='dumb', PS1='> ', INPUTRC='/dev/null', PATH=BUILD + ':' + os.environ['PATH'])
            os.execlp('bash', 'bash', '--norc', '--noprofile', '-i')
        try:
            self.type(fd, '. %s; echo rea""dy\n' % SCRIPT, 'ready\r\n')
            self.type(fd, "holdfast run -d 'name net0 mappi\t", 'name net0 mapping')
            self.type(fd, 'set\t', 'set_map ')
        finally:
            os.close(fd)
            os.waitpid(pid, 0)

    def type(self, fd, text, wanted):
        os.write(fd, text.encode())
        shown, deadline = '', time.monotonic() + 30
        while wanted not in shown:
            left = deadline - time.monotonic()
            self.assertTrue(left > 0 and select.select([fd], [], [], left)[0], '%r shows no %r' % (shown, wanted))
            shown += os.read(fd, 4096).decode(errors='replace').replace('\a', '')


if __name__ == '__main__':
    if not shutil.which('bash'):
        print('bash is not installed')
        sys.exit(77)
    unittest.main(argv=sys.argv[:1], verbosity=2)
