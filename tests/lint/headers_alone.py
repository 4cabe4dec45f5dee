# SPDX-License-Identifier: BSD-3-Clause
"""Each header compiles alone, and twice: it includes what it needs and has a guard."""
import concurrent.futures
import os
import subprocess
import sys

import lint

COMPILER = ['gcc', '-std=gnu17', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Wno-unused-parameter', '-Werror',
            '-fsyntax-only', '-Isrc', '-Iinclude', '-x', 'c', '-']


def check_header(root, path):
    name = path.split('/', 1)[1]
    text = f'#include "{name}"\n#include "{name}"\n'
    done = subprocess.run(COMPILER, input=text, cwd=root, text=True, capture_output=True, timeout=600,
                          check=False)
    if done.returncode == 0:
        return []
    errors = [line for line in done.stderr.splitlines() if 'error' in line]
    return [f'{path}: does not compile alone: {(errors or [done.stderr])[0]}']


def check(root):
    headers = lint.sources(root, tops=('src', 'include'), ends=('.h',))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return sum(pool.map(lambda path: check_header(root, path), headers), [])


CASES = {
    'complete': ({'src/base/a.h': '#ifndef A\n#define A\n#include <stdint.h>\nextern uint8_t a;\n#endif\n',
                  'include/holdfast/b.h': '#ifndef B\n#define B\n#include "base/a.h"\n#endif\n'}, None),
    'lacks an include': ({'src/base/a.h': '#ifndef A\n#define A\nextern uint8_t a;\n#endif\n'},
                         'uint8_t'),
    'lacks a guard': ({'src/base/a.h': 'struct a {\n\tint b;\n};\n'}, 'redefinition'),
}

if __name__ == '__main__':
    sys.exit(lint.main(check, CASES))
