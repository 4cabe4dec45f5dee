# SPDX-License-Identifier: BSD-3-Clause
"""Each clause of the specification that a simulated device can show (sections 1 to 7) is cited by a test or a
conformance check, and none of them cites a clause that does not exist."""
import re
import sys

import lint

SPEC = 'docs/spec/vhost-vdpa.md'
SECTIONS = range(1, 8)
NUMBER = r'(\d{1,2}-\d{1,2})'
DEFINED = re.compile(r'\[' + NUMBER + r'\]|^\| ' + NUMBER + r' \|', re.M)
CITED = re.compile(r'\[' + NUMBER + r'\]')
QUOTED = re.compile(r'(?<![\w-])' + NUMBER + r'(?![\w-])')


def order(clause):
    return [int(part) for part in clause.split('-')]


def check(root):
    defined = {a or b for a, b in DEFINED.findall(lint.read(root, SPEC))}
    wanted = {clause for clause in defined if order(clause)[0] in SECTIONS}
    found, complaints = set(), []
    paths = lint.sources(root, tops=('tests', 'src/check'), ends=('.c', '.py'))
    for path in paths:
        if path.startswith('tests/lint/'):
            continue
        text = lint.read(root, path)
        found |= set(QUOTED.findall(text)) & wanted
        complaints += [f'{path}: cites [{clause}], which the specification does not have'
                       for clause in sorted(set(CITED.findall(text)) - defined)]
    return complaints + [f'{SPEC}: no test cites [{clause}]'
                         for clause in sorted(wanted - found, key=order)]


CASES = {
    'all cited': ({SPEC: '[1-1] a\n| 2-3 | b |\n[8-1] c\n', 'tests/unit/a.c': '/* [1-1], [2-3] */'}, None),
    'by a check': ({SPEC: '[1-1] a\n', 'src/check/a.c': '{"a", "1-1"},'}, None),
    'nor of section 7': ({SPEC: '[1-1] a\n[7-13] b\n', 'tests/unit/a.c': '[1-1]'}, 'no test cites [7-13]'),
    'one is not': ({SPEC: '[1-1] a\n[1-2] b\n', 'tests/unit/a.c': '[1-1]'}, 'no test cites [1-2]'),
    'not by a longer number': ({SPEC: '[1-1] a\n', 'tests/unit/a.c': '1-11'}, 'no test cites [1-1]'),
    'no such clause': ({SPEC: '[1-1] a\n', 'tests/unit/a.c': '[1-1] [1-9]'}, 'cites [1-9]'),
}

if __name__ == '__main__':
    sys.exit(lint.main(check, CASES))
