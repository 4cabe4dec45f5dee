#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Calls that any file takes, on a device: a node answers as Linux 6.12 does, and docs/file-calls.md has the table.

    file_calls.py HOLDFAST PROGRAM...  compare Holdfast with the table, and the table with the page
    file_calls.py --kernel PROGRAM     compare the kernel that `boot` starts with the table
    file_calls.py --record PROGRAM     write the table into the page

The programs are one, built in several ways: how a program makes its calls decides how Holdfast sees them.
"""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
PAGE = os.path.join(os.path.dirname(os.path.dirname(HERE)), 'docs', 'file-calls.md')
NODE = '/dev/vhost-vdpa-0'
BEGIN, END = '<!-- begin: tests/kernel/file_calls.py -->\n', '<!-- end -->\n'
SPECS = ('', 'quirks linux-6.12', 'mgmtdev vdpasim_blk memory pinned')
LIMIT = 300
# A limit on descriptors below the usual one: the numbers of devices lie below it. Some shells lower it for their children.
LOW = ('sh', '-c', 'ulimit -Sn 800 && exec "$@"', 'sh')


def compare(what, argv):
    """Run the program behind @argv. Return: does anything differ from the table?"""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([*argv, NODE], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              text=True, timeout=LIMIT, check=False)
    print(f'{what}: {done.stdout.strip() or "no output"}', flush=True)
    return done.returncode != 0 or ' 0 differ' not in done.stdout


def on_kernel(program):
    return compare('the kernel', [os.path.join(HERE, 'boot'), program])


def table(program):
    rows = subprocess.run([program, '--table'], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    return '| call | Linux 6.12 | node |\n| --- | --- | --- |\n' + ''.join(
        f'{row} {row.split(" | ")[-1]}\n' for row in rows)


def split(page):
    head, rest = page.split(BEGIN)
    found, tail = rest.split(END)
    return head, found, tail


def main():
    first, programs = sys.argv[1], [os.path.abspath(program) for program in sys.argv[2:]]
    program = programs[0]
    holdfast = os.path.abspath(first)
    if first == '--kernel':
        return int(on_kernel(program))
    with open(PAGE, encoding='utf-8') as f:
        head, found, tail = split(f.read())
    if first == '--record':
        with open(PAGE, 'w', encoding='utf-8') as f:
            f.write(head + BEGIN + table(program) + END + tail)
        return 0
    wrong = sum(compare(f'{os.path.basename(way)}, {spec or "a default card"}', [holdfast, 'run', '-d', spec, '--', way])
                for way in programs for spec in SPECS)
    for way in programs:
        name = os.path.basename(way)
        wrong += compare(f'{name}, with a low limit', [*LOW, holdfast, 'run', '--', way])
        attach = ['--attach', 'agent'] if way == programs[-1] and 'static' in name else []
        wrong += compare(f'{name}, started with a low limit', [holdfast, 'run', *attach, '--', *LOW, way])
    if found != table(program):
        print('docs/file-calls.md has another table: file_calls.py --record writes it')
        wrong += 1
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
