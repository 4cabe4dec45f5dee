# SPDX-License-Identifier: BSD-3-Clause
"""The C blocks of docs/writing-a-parent.md are lines of examples/loopnic.c, in its order and complete: together they are
the whole file but for its head (comments and includes may be left out)."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lint'))
import lint  # noqa: E402

DOC, EXAMPLE = 'docs/writing-a-parent.md', 'examples/loopnic.c'
BLOCK = re.compile(r'^```c\n(.*?)^```$', re.M | re.S)


def lines_of(text):
    return [line for line in text.splitlines() if line.strip() and not line.startswith(('//', '/*'))]


def check(root):
    code = lines_of(lint.read(root, EXAMPLE))
    shown = lines_of(''.join(BLOCK.findall(lint.read(root, DOC))))
    for number, (want, got) in enumerate(zip(code, shown)):
        if want != got:
            return [f'{DOC}: shows "{got.strip()}" where {EXAMPLE} has "{want.strip()}" (line {number + 1})']
    if len(shown) != len(code):
        return [f'{DOC}: shows {len(shown)} lines of the {len(code)} of {EXAMPLE}']
    return []


GOOD = 'int a;\n\nint b;\n'
CASES = {
    'equal': ({DOC: 'x\n```c\nint a;\n```\ny\n```sh\nls\n```\n```c\nint b;\n```\n',
               EXAMPLE: '// licence\n/* what it is */\n' + GOOD}, None),
    'differs': ({DOC: '```c\nint a;\nint c;\n```\n', EXAMPLE: GOOD}, 'shows "int c;" where'),
    'lacks a line': ({DOC: '```c\nint a;\n```\n', EXAMPLE: GOOD}, 'shows 1 lines of the 2'),
    'has one more': ({DOC: '```c\nint a;\nint b;\nint c;\n```\n', EXAMPLE: GOOD}, 'shows 3 lines of the 2'),
}

if __name__ == '__main__':
    sys.exit(lint.main(check, CASES))
