# SPDX-License-Identifier: BSD-3-Clause
"""Programs that cannot be preloaded, under `holdfast run`: clients of ours that are linked statically, with each libc that is here.

Usage: test_agent.py HOLDFAST KIND=CLIENT... [TEST...]
"""
import contextlib
import ctypes
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HOLDFAST = sys.argv[1]
CLIENTS = dict(argument.split('=', 1) for argument in sys.argv[2:] if '=' in argument)
CLIENT = CLIENTS['static']
DEADLINE = 600
PR_SET_CHILD_SUBREAPER = 36
DISK = 'mgmtdev vdpasim_blk'


def command(*words, options=()):
    return [HOLDFAST, 'run', *options, '--', *words]


def run(*words, options=(), **how):
    return subprocess.run(command(*words, options=options), capture_output=True, text=True, timeout=DEADLINE,
                          check=False, **how)


def read_file(path):
    with open(path, encoding='utf-8', errors='replace') as file:
        return file.read()


def descendants(pid):
    """All processes below @pid that are alive: {pid: name}."""
    parents, names = {}, {}
    for entry in os.listdir('/proc'):
        if not entry.isdigit():
            continue
        try:
            fields = read_file(f'/proc/{entry}/stat').rsplit(')', 1)[1].split()
            names[int(entry)] = read_file(f'/proc/{entry}/comm').strip()
        except OSError:
            continue
        if fields[0] not in 'ZX':
            parents[int(entry)] = int(fields[1])
    found, more = {}, [pid]
    while more:
        children = [child for child, parent in parents.items() if parent == more[0]]
        more = more[1:] + children
        found.update({child: names[child] for child in children})
    return found


def wait_gone(pidfds):
    """Return the processes that are still there after the deadline."""
    end = time.monotonic() + DEADLINE
    for pid, pidfd in pidfds.items():
        if not select.select([pidfd], [], [], max(0, end - time.monotonic()))[0]:
            return pid
    return None


class Client(unittest.TestCase):
    def assert_good(self, done, words):
        self.assertEqual((done.returncode, done.stderr), (0, ''), done.stdout)
        self.assertIn(words, done.stdout)


class EachLibc(Client):
    """With every client."""

    def each(self, words, *arguments, options=()):
        for kind, client in CLIENTS.items():
            with self.subTest(kind):
                self.assert_good(run(client, *arguments, options=options), words)

    def test_card(self):
        self.each('the same came back', 'net')

    def test_card_pinned(self):
        self.each('the same came back', 'net', options=('-d', 'memory pinned'))

    def test_card_mlx5(self):
        self.each('the same came back', 'net', options=('-d', 'mgmtdev mlx5 model on backend loopback'))

    def test_disk(self):
        self.each('what was written was read', 'blk', options=('-d', DISK))

    def test_descriptors(self):
        self.each('descriptors behave', 'files')

    def test_threads(self):
        self.each('threads share the device', 'threads')

    def test_end_in_the_middle(self):
        for _ in range(20):
            self.each('leaves in the middle', 'leave')

    def test_fork(self):
        self.each('a child has what a kernel gives it', 'fork')

    def test_children(self):
        self.each('each child has its own devices', 'children')

    def test_exec(self):
        self.each('the device outlived exec', 'exec')

    def test_signals(self):
        self.each('no call was made twice', 'timer')

    def test_all_descriptors_closed(self):
        self.each('all can be closed', 'close_all')

    def test_low_limit_of_descriptors(self):
        self.each('a low limit does no harm', 'limits')

    def test_number_that_was_a_devices(self):
        self.each('nobody waits for a pipe', 'reuse')

    def test_lock(self):
        self.each('nobody waits for a lock', 'lock')

    def test_close_that_takes_long(self):
        self.each('nobody waits for a socket', 'linger')

    def test_names(self):
        self.each('each name leads to the node', 'names')

    def test_thread_with_a_table_of_its_own(self):
        self.each("a thread's own table is its own", 'apart')

    def test_list(self):
        self.each('/dev lists the node', 'list')

    def test_filter_of_its_own(self):
        self.each("the client's own filter is the client's alone", 'filter')


# How many agents a client has that has made a file of a node's name, and that has opened a node.
OTHER_PATH = '''
import os, tempfile
def nr_agents():
    nr = 0
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/status') as status:
                words = dict(line.split(':', 1) for line in status)
        except OSError:
            continue
        nr += words['Name'].strip() == 'holdfast-agent' and int(words['PPid']) in (os.getpid(), os.getppid())
    return nr
with tempfile.TemporaryDirectory() as folder:
    open(folder + '/vhost-vdpa-0', 'w').close()
    os.stat(folder + '/vhost-vdpa-0')
    print(nr_agents())
    os.close(os.open('/dev/vhost-vdpa-0', os.O_RDWR))
    print(nr_agents())
'''


class Command(Client):
    """What `holdfast run` is to who starts it."""

    def test_status_and_signal_are_those_of_command(self):
        self.assertEqual(run(CLIENT, 'nothing', 'of that').returncode, 1)
        with subprocess.Popen(command(CLIENT, 'wait'), stdout=subprocess.PIPE) as running:
            self.assertEqual(running.stdout.readline(), b'ready\n')
            running.terminate()
            self.assertEqual(running.wait(DEADLINE), -signal.SIGTERM)

    def test_command_that_is_not_there(self):
        done = run('/no/such/command', options=('--attach', 'agent'))
        self.assertEqual(done.returncode, 127)
        self.assertIn("cannot run '/no/such/command'", done.stderr)

    def test_dynamic_command_may_have_an_agent(self):
        done = run(sys.executable, '-c', 'import os; print(os.open("/dev/vhost-vdpa-0", os.O_RDWR))',
                   options=('--attach', 'agent'))
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        self.assertGreater(int(done.stdout), 2)

    def test_another_path_that_ends_as_a_node_brings_no_agent(self):
        done = run(sys.executable, '-c', OTHER_PATH, options=('--attach', 'agent'))
        self.assertEqual((done.returncode, done.stderr, done.stdout.split()), (0, '', ['0', '1']))

    def test_table_of_descriptors_is_long_before_there_are_threads(self):
        """In a client with threads the kernel would wait before it makes the table longer."""
        done = run('grep', 'FDSize', '/proc/self/status', options=('--attach', 'agent'))
        self.assertGreater(int(done.stdout.split()[1]), 700)

    def test_children_of_a_shell(self):
        self.assert_good(run('sh', '-c', f'{CLIENT} net && {CLIENT} files; wait', options=('--attach', 'agent')),
                         'descriptors behave')

    def test_process_in_the_background_outlives_run(self):
        read_end, write_end = os.pipe()
        done = subprocess.run(command(CLIENT, 'daemon'), stdout=write_end, timeout=DEADLINE, check=False)
        os.close(write_end)
        self.assertEqual(done.returncode, 0)
        with os.fdopen(read_end, 'rb') as output:
            self.assertIn(b'the same came back', output.read())

    @unittest.skipIf(os.geteuid() != 0, 'becomes another user')
    def test_process_that_hides_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            for file in (HOLDFAST, os.path.join(os.path.dirname(HOLDFAST), 'holdfast-agent'), CLIENT):
                shutil.copy(file, folder)
            done = subprocess.run([os.path.join(folder, 'holdfast'), 'run', '--control', 'none', '--',
                                   os.path.join(folder, os.path.basename(CLIENT)), 'hide'], capture_output=True, text=True,
                                  timeout=DEADLINE, check=False, user=65534, group=65534, extra_groups=[], cwd=folder)
        self.assertEqual((done.returncode, done.stdout), (0, 'no device\n'), done.stderr)
        self.assertRegex(done.stderr, r'^holdfast run: process \d+ does not let itself be looked at .*\n$')

    def test_filter_that_forbids_an_agent_is_told_of(self):
        done = run(CLIENT, 'begin_filtered')
        self.assertEqual((done.returncode, done.stdout), (0, 'no device\n'), done.stderr)
        self.assertRegex(done.stderr, r'^holdfast run: process \d+ gets no agent: .*its own filter.*\n$')

    def test_yama_is_told_of(self):
        inner = ('mount -t tmpfs none /proc/sys/kernel && mkdir /proc/sys/kernel/yama && '
                 'echo 3 >/proc/sys/kernel/yama/ptrace_scope && exec "$@"')
        done = subprocess.run(['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', inner, 'sh', *command(CLIENT, 'net')],
                              capture_output=True, text=True, timeout=DEADLINE, check=False)
        if 'ermission denied' in done.stderr or 'not permitted' in done.stderr:
            self.skipTest('no namespaces here')
        self.assertEqual(done.returncode, 126, done.stderr)
        self.assertRegex(done.stderr, r'^holdfast run: .*kernel.yama.ptrace_scope is 3.*\n$')

    def test_one_inside_another_is_refused(self):
        done = run(HOLDFAST, 'run', '--', CLIENT, 'net', options=('--attach', 'agent'))
        self.assertEqual(done.returncode, 126)
        self.assertRegex(done.stderr, r'^holdfast run: system calls cannot be caught: .*inside another.*\n$')

    def test_parent_of_ones_own_is_refused(self):
        done = run(CLIENT, 'net', options=('--parent', os.path.join(os.path.dirname(HOLDFAST), 'examples', 'loopnic.so')))
        self.assertEqual(done.returncode, 126)
        self.assertRegex(done.stderr, r'^holdfast run: a parent of your own .*\n$')

    def test_namespaces(self):
        inner = f'{CLIENT} net && {CLIENT} files; exit $?' # the shell itself makes no call that is caught
        for words in (('--user', '--map-root-user'), ('--user', '--map-root-user', '--pid', '--fork')):
            with self.subTest(words):
                done = run('unshare', *words, 'sh', '-c', inner, options=('--attach', 'agent', '--control', 'none'))
                if 'Operation not permitted' in done.stderr:
                    self.skipTest('no user namespaces here')
                self.assert_good(done, 'descriptors behave')

    def test_call_log(self):
        with tempfile.TemporaryDirectory() as folder:
            log = os.path.join(folder, 'log')
            self.assertEqual(run(CLIENT, 'files', options=('--log', log)).returncode, 0)
            text = read_file(log)
        self.assertIn('openat("/dev/vhost-vdpa-0", O_RDWR|O_CLOEXEC) = ', text)
        self.assertIn('-1 (EBUSY: open already)', text)
        self.assertIn('VHOST_VDPA_GET_DEVICE_ID, [1]) = 0', text)

    def test_devices_can_be_shown(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'control')
            with subprocess.Popen(command(CLIENT, 'wait', options=('-d', 'name shown', '--control', path)),
                                  stdout=subprocess.PIPE) as running:
                self.assertEqual(running.stdout.readline(), b'ready\n')
                shown = subprocess.run([HOLDFAST, 'dev', '--control', path, 'show'], capture_output=True, text=True,
                                       timeout=DEADLINE, check=False)
                running.terminate()
                running.wait(DEADLINE)
            self.assertIn('shown', shown.stdout, shown.stderr)
            self.assertEqual(os.listdir(folder), [])


class Killing(Client):
    """What the tests have in common that kill."""

    @classmethod
    def setUpClass(cls):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)

    def assert_all_gone(self, running, pidfds):
        running.wait(DEADLINE)
        self.assertIsNone(wait_gone(pidfds), 'left behind')

    def kill_one(self, chance, words, **about):
        """Start a command, and kill one of its processes at any time."""
        running = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end, below = time.monotonic() + chance.random() * chance.choice([0.02, 0.2]), {}
        while time.monotonic() < end:
            for pid in descendants(running.pid).keys() - below.keys():
                with contextlib.suppress(ProcessLookupError):
                    below[pid] = os.pidfd_open(pid)
        names = {**descendants(running.pid), running.pid: 'run'}
        victim = chance.choice(sorted(names))
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        if names[victim] == 'holdfast-agent':
            running.kill() # its client waits for frames
        with self.subTest(killed=names[victim], **about):
            self.assert_all_gone(running, below)
            self.assert_no_orphans()
        for pidfd in below.values():
            os.close(pidfd)

    def assert_no_orphans(self):
        """What was started after the last look is a child of this process now, as soon as its parent has ended."""
        while left := descendants(os.getpid()):
            pidfds = {}
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    pidfds[pid] = os.pidfd_open(pid)
            gone = wait_gone(pidfds)
            for pidfd in pidfds.values():
                os.close(pidfd)
            self.assertIsNone(gone, f'left behind: {left}')
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def nr_kills():
    return int(os.environ.get('HOLDFAST_KILLS', '30'))


class Ends(Killing):
    """Nothing is left, whoever is killed, and when."""

    def start(self):
        running = subprocess.Popen(command(CLIENT, 'wait'), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(running.stdout.close)
        self.addCleanup(running.stderr.close)
        return running

    def watch(self, pids):
        pidfds = {pid: os.pidfd_open(pid) for pid in pids}
        for pidfd in pidfds.values():
            self.addCleanup(os.close, pidfd)
        return pidfds

    def kill_when_ready(self, name):
        running = self.start()
        self.assertEqual(running.stdout.readline(), b'ready\n')
        below = descendants(running.pid)
        self.assertEqual(sorted(below.values()), sorted(['holdfast', os.path.basename(CLIENT)[:15], 'holdfast-agent']))
        pidfds = self.watch(below)
        victim = running.pid if name == 'run' else next(pid for pid, who in below.items() if who == name[:15])
        os.kill(victim, signal.SIGKILL)
        return running, pidfds

    def test_client_killed(self):
        self.assert_all_gone(*self.kill_when_ready(os.path.basename(CLIENT)))

    def test_supervisor_killed(self):
        self.assert_all_gone(*self.kill_when_ready('holdfast'))

    def test_run_killed(self):
        self.assert_all_gone(*self.kill_when_ready('run'))

    def test_agent_killed(self):
        running, below = self.kill_when_ready('holdfast-agent')
        self.assertIn(b'its devices are gone', running.stderr.readline())
        running.kill()
        self.assert_all_gone(running, below)

    def test_killed_at_any_time(self):
        seed = int.from_bytes(os.urandom(4), 'big')
        chance = random.Random(seed)
        for i in range(nr_kills()):
            part = chance.choice(['wait', 'children', 'threads', 'exec'])
            self.kill_one(chance, command(CLIENT, part), seed=seed, round=i, part=part)

    def test_back_ends_are_let_go(self):
        inside = [sys.executable, sys.argv[0], HOLDFAST, *(argument for argument in sys.argv if '=' in argument), 'BackEnds']
        done = subprocess.run(['unshare', '--user', '--map-root-user', '--net', *inside], capture_output=True, text=True,
                              check=False, env={**os.environ, IN_NAMESPACE: '1'})
        if 'unshare failed' in done.stderr:
            self.skipTest('no namespaces here')
        self.assertEqual(done.returncode, 0, done.stderr)


IN_NAMESPACE = 'HOLDFAST_TEST_IN_NAMESPACE'


@unittest.skipUnless(os.environ.get(IN_NAMESPACE), 'Ends starts these in a network of their own')
class BackEnds(Killing):
    """What lies behind a device can be had at once, whoever of its former user was killed."""

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def serve_stream(self):
        """A socket whose peers can send what they like. Return: its path"""
        server, path = socket.socket(socket.AF_UNIX), os.path.join(self.folder, 'stream')
        server.bind(path)
        server.listen()

        def read_all(peer):
            with peer, contextlib.suppress(OSError):
                while peer.recv(1 << 16):
                    pass

        def accept_all():
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=read_all, args=(server.accept()[0],), daemon=True).start()

        threading.Thread(target=accept_all, daemon=True).start()
        self.addCleanup(server.close)
        return path

    def tap(self):
        done = subprocess.run(['ip', 'tuntap', 'add', 'dev', 'kill0', 'mode', 'tap', 'vnet_hdr'], capture_output=True, text=True,
                              check=False)
        if done.returncode:
            self.skipTest(f'no TAP: {done.stderr}')
        subprocess.run(['ip', 'link', 'set', 'kill0', 'up'], check=True)
        return 'backend tap,ifname=kill0'

    def kill_and_use(self, part, words, spec):
        chance = random.Random(seed := int.from_bytes(os.urandom(4), 'big'))
        options = ('--control', 'none', '-d', spec)
        for i in range(nr_kills() // 10):
            kind = chance.choice(sorted(CLIENTS))
            self.kill_one(chance, command(CLIENTS[kind], part, options=options), seed=seed, round=i, client=kind)
            self.assert_good(run(CLIENTS[kind], part, options=options), words)

    def test_tap(self):
        self.kill_and_use('send', 'all frames were sent', self.tap())

    def test_stream(self):
        self.kill_and_use('send', 'all frames were sent', f'backend stream,path={self.serve_stream()}')

    def test_stream_of_its_own(self):
        self.kill_and_use('send', 'all frames were sent', f'backend stream,path={self.folder}/own,listen')

    def test_file(self):
        path = os.path.join(self.folder, 'disk')
        with open(path, 'wb') as disk:
            disk.truncate(1 << 20)
        self.kill_and_use('blk', 'what was written was read', f'mgmtdev vdpasim_blk backend file,path={path}')


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1] + [argument for argument in sys.argv[2:] if '=' not in argument])
