# SPDX-License-Identifier: BSD-3-Clause
"""Each loop with an open end that runs under a worker's lock has a row in docs/bounds.md: what ends it.

Open are `while`, `do`, and each `for` whose condition compares no counter, which the head moves, with a bound. A row names
the function, its file if two files have such a function, and the number of its loops if there is more than one.
"""
import collections
import fnmatch
import re
import sys

import lint

DOC = 'docs/bounds.md'
UNDER_LOCK = ('src/ring/*', 'src/parents/sim/*', 'src/parents/module/soft*', 'src/parents/mlx5/*', 'src/base/worker*.c',
              'src/base/iov.*', 'src/base/uring.c', 'src/iotlb/lookup.c')
# The driver's side of a ring runs in the client. The firmware's model, the library for a card, and the making of a device.
LEFT_OUT = ('src/ring/driver*', 'src/parents/mlx5/model*', 'src/parents/mlx5/devx*', 'src/parents/mlx5/mlx5.c')
NO_CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
LOOP = re.compile(r'\b(while|for) ?\(')  # a `do` has its `while`
HEAD = re.compile(r'(?:__attribute__\(\(\w+\)\) )?(\w+)\((?!\()')
ROW = re.compile(r'`(?:([\w/.-]+): )?(\w+)\(\)`(?: x(\d+))?')
NAME = r'(\w+(?:\.\w+)*)'
STEPPED = re.compile(fr'(?:\+\+|--){NAME}|{NAME} ?(?:\+\+|--|[-+*]=)|{NAME} = .*\b\3 [-+*]')


def is_any(path, patterns):
    return any(fnmatch.fnmatch(path, p) for p in patterns)


def in_parentheses(text, at):
    """What stands between the one before AT and its partner."""
    depth, end = 1, at
    while depth and end < len(text):
        depth += {'(': 1, ')': -1}.get(text[end], 0)
        end += 1
    return text[at:end - 1]


def is_counted(head):
    """Does the condition of a `for` compare a counter, which the head moves, with a bound? Where in doubt, no."""
    _, condition, step = (re.sub(r'<<|>>', '', head.replace('->', '.')) + ';;').split(';')[:3]
    moved = {name for part in (condition, step) for found in STEPPED.findall(part) for name in found if name}

    def ends(part):
        sides = re.split(r'[<>]=?|!=', part)
        return len(sides) == 2 and any(re.sub(r'\+\+|--|[()\s]', '', side) in moved for side in sides)
    return all(any(map(ends, way.split('&&'))) for way in condition.split('||'))


def loops(text):
    """How many such loops each function has, and each macro."""
    text = NO_CODE.sub(lambda m: '\n' * m.group().count('\n'), text)
    name, found, in_macro, at = None, collections.Counter(), False, 0
    for line in text.splitlines(keepends=True):
        macro = re.match(r'#\s*define (\w+)', line)
        if macro:
            name = macro.group(1)
        elif re.match(r'[A-Za-z_]', line) and not in_macro and not line.rstrip().endswith((';', ':')):
            heads = HEAD.findall(line.replace('__attribute__((', '').replace('HF_COLD', ''))
            name = next((h for h in heads if h not in ('noinline', 'aligned')), name)
        for loop in LOOP.finditer(line) if name else []:
            head = in_parentheses(text, at + loop.end())
            found[name] += not is_counted(head) if loop[1] == 'for' else head != '0'
        in_macro = (macro or in_macro) and line.endswith('\\\n')
        at += len(line)
    return +found


def check(root):
    code = {}
    for path in lint.sources(root, tops=('src',)):
        if is_any(path, UNDER_LOCK) and not is_any(path, LEFT_OUT):
            code.update({(path, name): nr for name, nr in loops(lint.read(root, path)).items()})
    complaints, seen = [], set()
    for line in lint.read(root, DOC).splitlines():
        for file, name, nr in ROW.findall(line.split('|')[1]) if line.startswith('| `') else []:
            meant = [key for key in code if key[1] == name and ('/' + key[0]).endswith('/' + file if file else '')]
            seen.update(meant)
            if not meant:
                complaints.append(f'{DOC}: {file}{": " if file else ""}{name}() has no such loop any more')
            elif len(meant) > 1:
                complaints.append(f'{DOC}: {name}() is in {" and ".join(path for path, _ in meant)}: name the file')
            elif code[meant[0]] != int(nr or 1):
                complaints.append(f'{meant[0][0]}: {name}() has {code[meant[0]]} such loops, its row in {DOC} is for {nr or 1}')
    return complaints + [f'{path}: {name}() has a loop without a row in {DOC}' for path, name in sorted(code.keys() - seen)]


TABLE = '| function | what | ends |\n| --- | --- | --- |\n'
ROWS = TABLE + '| `take()` | chains | 64 |\n'
LOOP_OF = 'static int take(struct ring *r)\n{\n\twhile (more(r))\n\t\tone(r);\n}\n'


def with_for(head):
    return {DOC: TABLE, 'src/ring/a.c': LOOP_OF.replace('while (more(r))', f'for ({head})')}


def two_files(rows):
    return {DOC: TABLE + rows, 'src/ring/a.c': LOOP_OF, 'src/parents/sim/b.c': LOOP_OF}


CASES = {
    'good': ({DOC: ROWS, 'src/ring/a.c': LOOP_OF}, None),
    'no row': ({DOC: ROWS, 'src/ring/a.c': LOOP_OF + LOOP_OF.replace('take', 'give')}, 'give()'),
    'elsewhere': ({DOC: TABLE, 'src/cli/a.c': LOOP_OF}, None),
    'uring': ({DOC: TABLE, 'src/base/uring.c': LOOP_OF}, 'src/base/uring.c: take()'),
    'keys': ({DOC: TABLE, 'src/parents/mlx5/keys.c': LOOP_OF}, 'src/parents/mlx5/keys.c: take()'),
    'gone': ({DOC: ROWS, 'src/ring/a.c': 'int x;\n'}, 'no such loop any more'),
    'comment': ({DOC: TABLE, 'src/ring/a.c': 'int f(void)\n{\n\t/* while (x) */\n\treturn 0;\n}\n'}, None),
    'string': ({DOC: TABLE, 'src/ring/a.c': 'int f(void)\n{\n\treturn g("while (x)");\n}\n'}, None),
    'counts': (with_for('int i = 0; i < 3; i++'), None),
    'counts down': (with_for('int i = 3; i-- > 0;'), None),
    'counts by two': (with_for('uint16_t i = 0; i < n; i = (uint16_t)(i + 2)'), None),
    'counts in a struct': (with_for('; v->n != v->nr; v->n++'), None),
    'counts until an error': (with_for('int i = 0; !err && i < 3; i++'), None),
    'counts two': (with_for('int i = 0, j = 0; i < 3 || j < 3; i++, j++'), None),
    'for ever': (with_for(';;'), 'take()'),
    'a counter without a bound': (with_for('int i = 0;; i++'), 'take()'),
    'a condition that is a call': (with_for('; more(r);'), 'take()'),
    'a call that is compared': (with_for('int i = 0; pop(r, i) > 0; i++'), 'take()'),
    'what another counts': (with_for('int i = 0; rest > 0; i++'), 'take()'),
    'a counter or more': (with_for('int i = 0; i < 3 || more(r); i++'), 'take()'),
    'moved by the body': (with_for('int i = 0; i < 3;'), 'take()'),
    'a list': (with_for('struct x *x = r->first; x != NULL; x = x->next'), 'take()'),
    'over two lines': (with_for('int i = 0;\n\t     more(r);\n\t     i++'), 'take()'),
    'do': ({DOC: TABLE, 'src/ring/a.c': LOOP_OF.replace('while (more(r))\n\t\tone(r);', 'do {\n\t} while (more(r));')},
           'take() has a loop'),
    'do, one': ({DOC: ROWS, 'src/ring/a.c': LOOP_OF.replace('while (more(r))\n\t\tone(r);', 'do {\n\t} while (more(r));')}, None),
    'a second one': ({DOC: ROWS, 'src/ring/a.c': LOOP_OF.replace('}\n', '\tfor (;;)\n\t\tone(r);\n}\n')}, 'take() has 2 such loops'),
    'two': ({DOC: TABLE + '| `take()` x2 | chains | 64 |\n', 'src/ring/a.c': LOOP_OF.replace('}\n', '\tfor (;;)\n\t\tone(r);\n}\n')},
            None),
    'one of two is gone': ({DOC: TABLE + '| `take()` x2 | chains | 64 |\n', 'src/ring/a.c': LOOP_OF}, 'take() has 1 such loops'),
    'two files, one row': (two_files('| `take()` | chains | 64 |\n'), 'name the file'),
    'two files': (two_files('| `a.c: take()`, `b.c: take()` | chains | 64 |\n'), None),
    'two files, one named': (two_files('| `a.c: take()` | chains | 64 |\n'), 'src/parents/sim/b.c: take() has a loop without'),
    'a file of another name': (two_files('| `a.c: take()`, `bb.c: take()` | chains | 64 |\n'), 'bb.c: take() has no such loop'),
    'a macro': ({DOC: ROWS, 'src/ring/a.h': LOOP_OF + '#define EACH(x) \\\n\tfor (;;)\n'}, 'EACH() has a loop'),
    'a macro that does once': ({DOC: ROWS, 'src/ring/a.h': LOOP_OF + '#define ONCE(x) \\\n\tdo { \\\n\t} while (0)\n'}, None),
}

if __name__ == '__main__':
    sys.exit(lint.main(check, CASES))
