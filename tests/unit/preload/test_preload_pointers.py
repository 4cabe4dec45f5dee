# SPDX-License-Identifier: BSD-3-Clause
"""Bad pointers in every wrapped call: the same answers with the library as without it.

pointer_client makes the calls of the table in pointer_calls.h, once by itself, once under the library and once
with a call log. All lines must be equal, and every name that preload.map exports must have a row.

Then it makes them under a seccomp filter of its own that tells which system calls each of them makes. The answers must
be the same again. What the client's thread calls beyond what libc calls by itself must be in BEYOND, the list of
docs/attach.md: a client's filter may forbid all else.

Usage: test_preload_pointers.py HOLDFAST POINTER_CLIENT PRELOAD_MAP
"""
import os
import re
import subprocess
import sys
import tempfile

NODE = '/dev/vhost-vdpa-0'
STAND_IN = '/dev/null'
BEYOND = {202: 'futex'}


def run(command, *args):
    done = subprocess.run([*command, *args], text=True, capture_output=True, timeout=3000, check=False)
    if done.returncode != 0:
        sys.exit(f'{" ".join(command)} ends with {done.returncode}:\n{done.stderr[-2000:]}')
    return done.stdout.splitlines()


def without_row(version_script, names):
    text = re.sub(r'/\*.*?\*/', '', open(version_script, encoding='utf-8').read(), flags=re.S)
    wrapped = set(re.findall(r'^\s*(\w+);', text.split('local:')[0], re.M))
    return sorted(wrapped - set(names))


def differences(how, reference, lines):
    if len(lines) != len(reference):
        return [f'{how}: {len(lines)} lines instead of {len(reference)}']
    return [f'{how}: {got}, without the library {expected.split(" = ")[1]}'
            for expected, got in zip(reference, lines) if got != expected]


def split_calls(lines):
    """Return the lines without the numbers behind the answer, and the sets of these numbers."""
    pattern = re.compile(r'^(.* = (?:killed by \w+|-?\d+(?: [A-Z]\w+)?))((?: \d+)*)$')
    found = [pattern.match(line).groups() for line in lines]
    return [answer for answer, _ in found], [set(map(int, numbers.split())) for _, numbers in found]


def recorded(holdfast, client, path):
    """Compare what is called under a filter with and without the library. Return complaints."""
    reference, own = split_calls(run([client], 'reference', STAND_IN, path, 'record'))
    lines, made = split_calls(run([holdfast, 'run', '--', client], 'library', NODE, path, 'record'))
    complaints = differences('under a filter', reference, lines)
    for line, calls, beyond in zip(lines, own, made):
        beyond = sorted(beyond - calls - set(BEYOND))
        if beyond and 'killed' not in line:
            complaints.append(f'under a filter: {line}: system calls {beyond} beyond {sorted(calls)}')
    print(f'{len(lines)} cases under a filter')
    return complaints


def main():
    holdfast, client, version_script = sys.argv[1:]
    complaints = [f'{name} is wrapped and has no row in pointer_calls.h'
                  for name in without_row(version_script, run([client], '--names'))]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'file')
        open(path, 'w', encoding='utf-8').close()
        reference = run([client], 'reference', STAND_IN, path)
        ways = (('with the library', [holdfast, 'run', '--']),
                ('with a call log', [holdfast, 'run', '--log', os.path.join(folder, 'log'), '--']))
        for how, command in ways:
            complaints += differences(how, reference, run([*command, client], 'library', NODE, path))
        complaints += recorded(holdfast, client, path)
    killed = sum('killed' in line for line in reference)
    print(f'{len(reference)} cases (call, argument, kind of pointer, target), each with and without a call log; '
          f'libc itself ends the program in {killed}')
    print('\n'.join(complaints[:100]) or 'no difference')
    return 1 if complaints or not reference else 0


if __name__ == '__main__':
    sys.exit(main())
