# SPDX-License-Identifier: BSD-3-Clause
"""A libc function that is wrapped is wrapped under each of its names.

The C library exports some functions under several names: `write` and `__write` are one function at one address. A
client that calls a name which the preload library does not define passes the library by. Names of version
GLIBC_PRIVATE, and those without a default version, count for nothing: no client can be linked with them.

Usage: libc_aliases.py LIBRARY VERSION_SCRIPT | --self-test
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

import lint

LIBC = re.compile(r'libc\.so\.6 => (/\S+)')


def libc_of(library):
    out = subprocess.run(['ldd', library], text=True, capture_output=True, timeout=600, check=True)
    found = LIBC.search(out.stdout)
    return found.group(1) if found else None


def is_public(symbol):
    version = symbol.partition('@')[2]
    return not version or version.startswith('@') and 'PRIVATE' not in version


def functions(library):
    """{address: names} of the functions that a client can be linked with."""
    out = subprocess.run(['readelf', '--dyn-syms', '-W', library], text=True, capture_output=True, timeout=600,
                         check=True)
    found = {}
    for fields in map(str.split, out.stdout.splitlines()):
        if len(fields) == 8 and fields[3] in ('FUNC', 'IFUNC') and fields[6] != 'UND' and is_public(fields[7]):
            found.setdefault((fields[1], fields[3]), set()).add(fields[7].split('@')[0])
    return found


def listed(version_script):
    text = re.sub(r'/\*.*?\*/', '', open(version_script, encoding='utf-8').read(), flags=re.S)
    return set(re.findall(r'^\s*(\w+);', text.split('local:')[0], re.M))


def check(libc, version_script):
    wrapped = listed(version_script)
    return [f'{version_script}: {name} is another name of {min(names & wrapped)} and is not wrapped'
            for names in functions(libc).values() if names & wrapped for name in sorted(names - wrapped)]


def self_test():
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        source, libc = os.path.join(folder, 'libc.c'), os.path.join(folder, 'libc.so')
        with open(source, 'w', encoding='utf-8') as f:
            f.write('int put(void) { return 1; }\nint put2(void) __attribute__((alias("put")));\n'
                    'int other(void) { return 2; }\n')
        subprocess.run(['gcc', '-shared', '-fPIC', '-o', libc, source], check=True, timeout=600)
        cases = (('both', 'put; put2;', None), ('neither', 'other;', None), ('one', 'put;', 'put2 is another name of put'))
        for name, names, expected in cases:
            script = os.path.join(folder, 'script.map')
            with open(script, 'w', encoding='utf-8') as f:
                f.write('{\nglobal:\n' + names.replace('; ', ';\n') + '\nlocal:\n*;\n};\n')
            found = check(libc, script)
            if found if expected is None else not any(expected in c for c in found):
                failed.append(f'{name}: expected {expected!r}, got {found}')
    print('\n'.join(failed) or f'{len(cases)} cases behave')
    return 1 if failed else 0


def main():
    if shutil.which('readelf') is None:
        print('readelf is not installed')
        return lint.SKIP
    if sys.argv[1] == '--self-test':
        return self_test()
    libc = libc_of(sys.argv[1])
    if libc is None:
        print(f'{sys.argv[1]} needs no libc.so.6')
        return lint.SKIP
    complaints = check(libc, sys.argv[2])
    print('\n'.join(complaints) or f'{libc}: every name of a wrapped function is wrapped')
    return 1 if complaints else 0


if __name__ == '__main__':
    sys.exit(main())
