# SPDX-License-Identifier: BSD-3-Clause
"""The programs that people look for a device with find the nodes: shells, ls, find, stat, Python.

Usage: test_preload_programs.py HOLDFAST
"""
import os
import shutil
import subprocess
import sys

NODES = ['/dev/vhost-vdpa-0', '/dev/vhost-vdpa-1']
GLOB = '/dev/vhost-vdpa-*'
PYTHON = ('import glob, os; print(*sorted(e.path for e in os.scandir("/dev") if e.name.startswith("vhost-vdpa-") and '
          'e.inode() == e.stat().st_ino)); print(*sorted(glob.glob("/dev/vhost-vdpa-*"))); '
          'fd = os.open("/dev", os.O_RDONLY); '
          'print(*sorted("/dev/" + n for n in os.listdir(fd) if n.startswith("vhost-vdpa-") and '
          'os.stat(n, dir_fd=fd).st_rdev == os.stat("/dev/" + n).st_rdev))')

# Each prints the nodes, in as many lines as it likes, some of them several times.
PROGRAMS = (
    ('bash', '-c', f'echo {GLOB}; cd /dev && for n in vhost-vdpa-*; do echo /dev/$n; done'),
    ('dash', '-c', f'echo {GLOB}; for n in {GLOB}; do test -c $n && test -r $n && echo $n; done'),
    ('bash', '-c', f'ls {GLOB}'),
    ('ls', '-1', *NODES),
    ('find', '/dev', '-maxdepth', '1', '-name', 'vhost-vdpa-*'),
    ('find', '/dev', '-maxdepth', '1', '-type', 'c', '-name', 'vhost-vdpa-*', '-perm', '600', '-links', '1'),
    ('bash', '-c', f'stat -c %n {GLOB}'),
    ('realpath', *NODES),
    (sys.executable, '-c', PYTHON),
)


def run(holdfast, program):
    return subprocess.run([holdfast, 'run', '-d', 'name net0', '-d', 'name net1', '--', *program], text=True,
                          capture_output=True, timeout=600, check=False,
                          env=dict(os.environ, LC_ALL='C', HOLDFAST_CONTROL='none'))


def main():
    holdfast = sys.argv[1]
    complaints, tried = [], 0
    for program in PROGRAMS:
        if shutil.which(program[0]) is None:
            print(f'{program[0]} is not installed')
            continue
        tried += 1
        done = run(holdfast, program)
        words = done.stdout.split()
        if done.returncode != 0 or done.stderr or sorted(set(words)) != NODES:
            complaints.append(f'{" ".join(program)[:100]}: {done.returncode}, {done.stdout!r}, {done.stderr!r}')
    done = run(holdfast, ('ls', '-l', *NODES))
    rows = [line for line in done.stdout.splitlines() if line.startswith('crw-------') and line.split()[-1] in NODES]
    if done.stderr or len(rows) != 2:
        complaints.append(f'ls -l: {done.stdout!r}, {done.stderr!r}')
    print('\n'.join(complaints) or f'{tried + 1} programs find both nodes')
    return 1 if complaints else 0


if __name__ == '__main__':
    sys.exit(main())
