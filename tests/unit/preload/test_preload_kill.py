# SPDX-License-Identifier: BSD-3-Clause
"""A client that is killed (SIGKILL) leaves nothing behind, wherever it is.

filter_client is killed POINTS times, each time after some more lines of its call log: a card with locked memory, a disk with
a file behind it, and the same under seccomp filters. The log is a pipe, so that the client is at the next call when it
dies. Afterwards: the disk's file can be had, no process and no lock is left, no socket is that anybody answers, and the client
runs to its end.

Usage: test_preload_kill.py HOLDFAST FILTER_CLIENT POINTS
"""
import fcntl
import os
import re
import select
import signal
import subprocess
import sys
import tempfile

SPECS = (('mgmtdev vdpasim_blk memory pinned backend file,path={}/disk', 'allow'),
         ('memory pinned backend loopback', 'allow'),
         ('mgmtdev vdpasim_blk backend file,path={}/disk', 'kill'))


class Folder:
    """Where the disk, the log and the management's sockets are."""

    def __init__(self, holdfast, client, path):
        self.holdfast, self.client, self.path = holdfast, client, path
        self.fifo, self.disk = os.path.join(path, 'log'), os.path.join(path, 'disk')
        self.environment = dict(os.environ, XDG_RUNTIME_DIR=path)
        self.pids = set()
        os.mkfifo(self.fifo)
        with open(self.disk, 'wb') as disk:
            disk.truncate(1 << 20)

    def start(self, spec, how):
        # For writing, too: a pipe whose last writer goes is at its end, and `holdfast run` tries the log first.
        reader = os.open(self.fifo, os.O_RDWR)
        process = subprocess.Popen([self.holdfast, 'run', '-d', spec.format(self.path), '--log', self.fifo, '--', self.client,
                                    how], env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.pids.add(process.pid)
        return process, os.fdopen(reader, 'rb', buffering=0)

    def run_until(self, spec, how, nr_lines):
        """Kill the client after that many lines of its log. Return: how many there were; its end"""
        process, log = self.start(spec, how)
        seen = 0
        with log, process.stderr:
            while seen < nr_lines:
                text = os.read(log.fileno(), 1 << 16) if wait_for(log, process) else b''
                if not text:
                    break
                seen += text.count(b'\n')
            else:
                process.kill()
            said = process.stderr.read().decode()
        return seen, process.wait(timeout=600), said

    def locks(self):
        """Locks on the disk's file. The device is that of a lock on the folder: stat may tell another one."""
        folder = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_SH)
            with open('/proc/locks', encoding='ascii') as locks:
                lines = locks.read().splitlines()
            own = re.compile(rf' {os.getpid()}( \w+:\w+):{os.fstat(folder).st_ino} ')
        finally:
            os.close(folder)
        device = next((found[1] for found in map(own.search, lines) if found), '')
        return [line for line in lines if f'{device}:{os.stat(self.disk).st_ino} ' in line]

    def left(self):
        """What is there that was not there before."""
        here = {os.path.basename(self.disk), os.path.basename(self.fifo)}
        shown = subprocess.run([self.holdfast, 'dev', 'show'], env=self.environment, text=True, capture_output=True,
                               timeout=600, check=False)
        things = [f'`holdfast dev show` knows process {pid}' for pid in re.findall(r'^process (\d+)', shown.stdout, re.M)
                  if int(pid) in self.pids]
        for process in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open(f'/proc/{process}/cmdline', 'rb') as line:
                    if self.path.encode() in line.read() and int(process) != os.getpid():
                        things.append(f'process {process}')
            except OSError:
                pass
        things += [f'lock {line}' for line in self.locks()]
        sockets = [name for root, _, names in os.walk(self.path) for name in names if name not in here]
        return things, sockets


def wait_for(log, process):
    """Return: is there a line? Else the client has ended."""
    end = os.pidfd_open(process.pid)
    try:
        ready = select.select([log, end], [], [])[0]
    finally:
        os.close(end)
    return log in ready


def main():
    holdfast, client = map(os.path.abspath, sys.argv[1:3])
    points = int(sys.argv[3])
    wrong = killed = 0
    with tempfile.TemporaryDirectory() as path:
        folder = Folder(holdfast, client, path)
        totals = []
        for spec, how in SPECS:
            seen, status, said = folder.run_until(spec, how, 1 << 30)
            totals.append(seen)
            if status:
                sys.exit(f'{spec}: ends with {status} without being killed: {said}')
        for point in range(points):
            spec, how = SPECS[point % len(SPECS)]
            total = totals[point % len(SPECS)]
            nr = 1 + point // len(SPECS) * total // (points // len(SPECS) + 1)
            seen, status, said = folder.run_until(spec, how, nr)
            killed += status == -signal.SIGKILL
            if said or not (status == -signal.SIGKILL or (status == 0 and seen >= nr)):  # it may end first
                wrong += 1
                print(f'{spec}: killed after {seen} lines, ended with {status}: {said.strip()}')
        things, sockets = folder.left()
        for spec, how in SPECS:
            _, status, said = folder.run_until(spec, how, 1 << 30)
            if status:
                things.append(f'{spec}: does not run any more: {said.strip()}')
    print(f'{killed} of {points} killed at lines of {totals}; {len(sockets)} names of sockets left, which nobody answers')
    print('\n'.join(things) or 'nothing left behind')
    return 1 if wrong or things else 0


if __name__ == '__main__':
    sys.exit(main())
