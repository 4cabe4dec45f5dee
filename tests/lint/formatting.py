# SPDX-License-Identifier: BSD-3-Clause
"""All C files are as clang-format 14 (Debian 12's) leaves them, with the project's own style. Another version wants other
things of the same style: it is no judge, and the check is skipped."""
import os
import re
import shutil
import subprocess
import sys

import lint

VERSION = '14'
STYLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', '.clang-format')


def find_formatter():
    """Return: the program, or why there is none."""
    name = next((name for name in (f'clang-format-{VERSION}', 'clang-format') if shutil.which(name)), None)
    if not name:
        return None, 'clang-format is not installed'
    shown = subprocess.run([name, '--version'], text=True, capture_output=True, timeout=600, check=True).stdout
    version = re.search(r'version (\d+)', shown).group(1)
    if version != VERSION:
        return None, f'clang-format is version {version}; the files are formatted by {VERSION}'
    return name, None


def check(root):
    complaints = []
    paths = lint.sources(root)
    for at in range(0, len(paths), 50):
        done = subprocess.run([FORMATTER, '--dry-run', '-Werror', f'--style=file:{STYLE}',
                               *paths[at:at + 50]], cwd=root, text=True, capture_output=True, timeout=600,
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
    FORMATTER, problem = find_formatter()
    if problem:
        print(problem)
        sys.exit(lint.SKIP)
    sys.exit(lint.main(check, CASES))
