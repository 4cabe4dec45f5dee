# SPDX-License-Identifier: BSD-3-Clause
"""The preload library needs the C library and nothing else.

It is loaded into clients wherever they run, containers included, which have no other library for certain.

Usage: needed_libraries.py LIBRARY | --self-test
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

import lint

ALLOWED = re.compile(r'(libc\.so\.6|ld-linux[-\w]*\.so\.\d+)$')


def needed(library):
    out = subprocess.run(['readelf', '-dW', library], text=True, capture_output=True, timeout=600, check=True)
    return re.findall(r'\(NEEDED\).*\[(.+)\]', out.stdout)


def check(library):
    names = needed(library)
    complaints = [f'{library}: needs {name}' for name in names if not ALLOWED.match(name)]
    return complaints if names else [f'{library}: needs nothing, not even libc']


def self_test():
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, 'lib.c')
        with open(source, 'w', encoding='utf-8') as f:
            f.write('#include <stdio.h>\nint say(void) { return puts(""); }\n')
        cases = (('good', (), None), ('libm', ('-Wl,--no-as-needed', '-lm'), 'needs libm.so.6'),
                 ('none', ('-nodefaultlibs',), 'needs nothing'))
        for name, args, expected in cases:
            out = os.path.join(folder, f'lib{name}.so')
            subprocess.run(['gcc', '-shared', '-fPIC', '-o', out, source, *args], check=True, timeout=600)
            found = check(out)
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
    complaints = check(sys.argv[1])
    print('\n'.join(complaints) or f'needs {", ".join(needed(sys.argv[1]))}')
    return 1 if complaints else 0


if __name__ == '__main__':
    sys.exit(main())
