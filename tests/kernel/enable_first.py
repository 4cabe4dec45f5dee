#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The program of docs/report-enable-first.md does what the report says.

    enable_first.py HOLDFAST    compile it, and run it on Holdfast: strict as each kernel of the report, and default
    enable_first.py --kernel    run it on the kernel that `boot` starts

The program and what it printed are taken from the page, so that a reader who copies them gets what was tested.
"""
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PAGE = os.path.join('docs', 'report-enable-first.md')
NODE = '/dev/vhost-vdpa-0'
ORDERS = ('last', 'first')
LIMIT = 300


class Broken(Exception):
    """The report cannot be read, or its program cannot be compiled or run."""


def parse(page):
    """Return: the program, and what the kernels printed."""
    program = re.search(r'^```c\n(.*?)^```$', page, re.M | re.S)
    printed = re.search(r'^```text\n(enabled last: .*?)^```$', page, re.M | re.S)
    if not program or not printed:
        raise Broken('%s has no program, or not what it printed' % PAGE)
    return program[1], printed[1]


def build(source, folder):
    path = os.path.join(folder, 'enable-first')
    with open(path + '.c', 'w', encoding='utf-8') as f:
        f.write(source)
    done = subprocess.run([os.environ.get('CC', 'cc'), '-O2', '-Wall', '-Wextra', '-Werror', '-o', path, path + '.c'],
                          stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise Broken(done.stderr)
    return path


def printed_by(argv, program):
    """What the program prints after @argv, in both orders."""
    out = ''
    for order in ORDERS:
        done = subprocess.run([*argv, program, order, NODE], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, errors='replace', timeout=LIMIT)
        if done.returncode:
            raise Broken('enabled %s: exit status %d; %s' % (order, done.returncode, done.stderr[-1000:]))
        out += done.stdout
    return out


def run(sides):
    """@sides: (name, what to put before the program, what to expect or None for the report's). Return: how many fail."""
    with open(os.path.join(ROOT, PAGE), encoding='utf-8') as f:
        source, report = parse(f.read())
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        program = build(source, folder)
        for name, argv, want in sides:
            got = printed_by(argv, program)
            bad += got != (want or report)
            print('%s: %s%s' % (name, ', '.join(got.splitlines()),
                                '' if got == (want or report) else '; expected: ' + repr(want or report)), flush=True)
    return bad


def on_holdfast(holdfast):
    works = ''.join('enabled %s: used index 1\n' % order for order in ORDERS)
    return [(words or 'default', [holdfast, 'run', '-d', words, '--'], want) for words, want in (
        ('quirks linux-6.12', None), ('quirks linux-7.2', None), ('', works))]


def on_kernel():
    return [('kernel', [os.path.join(HERE, 'boot')], None)]


if __name__ == '__main__':
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        sys.exit(1 if run(on_kernel() if sys.argv[1] == '--kernel' else on_holdfast(sys.argv[1])) else 0)
    except (Broken, subprocess.TimeoutExpired) as broken:
        sys.exit('enable_first.py: %s' % broken)
