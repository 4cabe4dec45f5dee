# SPDX-License-Identifier: BSD-3-Clause
"""All C files are as clang-format leaves them, with the project's own style."""
import os
import shutil
import subprocess
import sys

import lint

STYLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', '.clang-format')


def check(root):
    complaints = []
    paths = lint.sources(root)
    for at in range(0, len(paths), 50):
        done = subprocess.run(['clang-format', '--dry-run', '-Werror', f'--style=file:{STYLE}',
                               *paths[at:at + 50]], cwd=root, text=True, capture_output=True, timeout=120,
                              check=False)
        complaints += [line for line in done.stderr.splitlines() if 'error:' in line]
        if done.returncode != 0 and not complaints:
            complaints.append(done.stderr)
    return complaints


CASES = {
    'formatted': ({'src/base/a.c': 'int f(void)\n{\n\treturn 0;\n}\n'}, None),
    'not formatted': ({'src/base/a.c': 'int f(void) {\n  return 0;\n}\n'}, 'src/base/a.c'),
    'a header': ({'tests/unit/a.h': 'int  f(void);\n'}, 'tests/unit/a.h'),
}

if __name__ == '__main__':
    if shutil.which('clang-format') is None:
        print('clang-format is not installed')
        sys.exit(lint.SKIP)
    sys.exit(lint.main(check, CASES))
