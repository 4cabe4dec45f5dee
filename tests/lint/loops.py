# SPDX-License-Identifier: BSD-3-Clause
"""Each loop with an open end that runs under a worker's lock has a row in docs/bounds.md: what ends it."""
import fnmatch
import re
import sys

import lint

DOC = 'docs/bounds.md'
UNDER_LOCK = ('src/ring/*', 'src/parents/sim/*', 'src/parents/module/soft*', 'src/parents/mlx5/ctrl.c',
              'src/parents/mlx5/events.c', 'src/base/worker*.c', 'src/base/iov.*', 'src/iotlb/lookup.c')
# The driver's side of a ring runs in the client.
DRIVERS = ('src/ring/driver*',)
COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*', re.S)
OPEN = re.compile(r'\b(?:while \(|do \{|for \(;;\))')
HEAD = re.compile(r'(?:__attribute__\(\(\w+\)\) )?(\w+)\((?!\()')


def is_any(path, patterns):
    return any(fnmatch.fnmatch(path, p) for p in patterns)


def loops(text):
    """Names of the functions with such a loop."""
    name, found = None, set()
    for line in COMMENT.sub(lambda m: '\n' * m.group().count('\n'), text).splitlines():
        if re.match(r'[A-Za-z_]', line) and not line.endswith((';', ':')):
            heads = HEAD.findall(line.replace('__attribute__((', '').replace('HF_COLD', ''))
            name = next((h for h in heads if h not in ('noinline', 'aligned')), name)
        elif line.startswith((' ', '\t')) and name and OPEN.search(line):
            found.add(name)
    return found


def check(root):
    rows = set()
    for line in lint.read(root, DOC).splitlines():
        if line.startswith('| `'):
            rows |= set(re.findall(r'`(\w+)\(\)`', line.split('|')[1]))
    code, complaints = set(), []
    for path in lint.sources(root, tops=('src',)):
        if is_any(path, UNDER_LOCK) and not is_any(path, DRIVERS):
            here = loops(lint.read(root, path))
            code |= here
            complaints += [f'{path}: {name}() has a loop without a row in {DOC}' for name in sorted(here - rows)]
    return complaints + [f'{DOC}: {name}() has no such loop any more' for name in sorted(rows - code)]


ROW = '| function | what | ends |\n| --- | --- | --- |\n| `take()` | chains | 64 |\n'
LOOP = 'static int take(struct ring *r)\n{\n\twhile (more(r))\n\t\tone(r);\n}\n'
CASES = {
    'good': ({DOC: ROW, 'src/ring/a.c': LOOP}, None),
    'counts': ({DOC: '', 'src/ring/a.c': 'int f(void)\n{\n\tfor (int i = 0; i < 3; i++)\n\t\tg();\n}\n'}, None),
    'no row': ({DOC: ROW, 'src/ring/a.c': LOOP + LOOP.replace('take', 'give')}, 'give()'),
    'for ever': ({DOC: '', 'src/ring/a.c': LOOP.replace('while (more(r))', 'for (;;)')}, 'take()'),
    'elsewhere': ({DOC: '', 'src/cli/a.c': LOOP}, None),
    'gone': ({DOC: ROW, 'src/ring/a.c': 'int x;\n'}, 'no such loop any more'),
    'comment': ({DOC: '', 'src/ring/a.c': 'int f(void)\n{\n\t/* while (x) */\n\treturn 0;\n}\n'}, None),
}

if __name__ == '__main__':
    sys.exit(lint.main(check, CASES))
