# SPDX-License-Identifier: BSD-3-Clause
"""Sizes and words: functions of at most 60 lines, files of at most 600 (tests and the rest: 1000), lines of C of at most 100 columns
(the formatter leaves comments alone), a licence line at the top of each file, no markers of unfinished work, no calls that have a better one, no sleeps in tests."""
import re
import sys

import lint

MAX_FUNCTION = 60
MAX_FILE = 1000
MAX_SOURCE_FILE = 600  # below src/
MAX_COLUMNS = 100
C_ENDS = ('.c', '.h')
ALL_ENDS = C_ENDS + ('.py', '.build', '.map', '.sh')
MARKERS = re.compile(r'\b(' + '|'.join(('TO' + 'DO', 'FIX' + 'ME', 'X' * 3, 'HA' + 'CK')) + r')\b')
# A path of some machine does not belong into a source.
MACHINE = re.compile(r'/(?:root|home|work)/[\w.]|/tmp/[a-z]{2,}/')
# None of these has a bound, and the last ones race.
CALLS = re.compile(r'(?<![\w.>])(strcpy|strcat|sprintf|vsprintf|gets|alloca|tmpnam|mktemp)\s*\(')
SLEEPS = re.compile(r'(?<![\w.>])(sleep|usleep|nanosleep|clock_nanosleep|time\.sleep)\s*\(')
CMOCKA = re.compile(r'(?<![\w.>])assert_in_range\s*\(|^static .*\bstop\(')
COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def without_comments(text):
    """Comments and strings become blanks; line numbers stay."""
    return COMMENT.sub(lambda m: re.sub(r'[^\n]', ' ', m.group()), text)


def check_functions(path, lines):
    complaints, start = [], None
    for number, line in enumerate(lines, 1):
        # The format puts the braces of a function, and of nothing else, into the first column.
        if line == '{':
            start = number
        elif line == '}' and start is not None:
            if number - start + 1 > MAX_FUNCTION:
                complaints.append(f'{path}:{start}: a function of {number - start + 1} lines')
            start = None
    return complaints


def check_lines(path, pattern, what, lines):
    return [f'{path}:{number}: {what}: {pattern.search(line).group()}'
            for number, line in enumerate(lines, 1) if pattern.search(line)]


def check_columns(path, lines):
    """A line of a macro that the formatter has given a backslash is the formatter's."""
    return [f'{path}:{number}: {len(line.expandtabs(8))} columns'
            for number, line in enumerate(lines, 1)
            if len(line.expandtabs(8)) > MAX_COLUMNS and not line.endswith('\\')]


def check_file(path, text):
    lines = text.splitlines()
    complaints = []
    if not any('SPDX-License-Identifier: BSD-3-Clause' in line for line in lines[:3]):
        complaints.append(f'{path}: lacks the SPDX line')
    if len(lines) > (MAX_SOURCE_FILE if path.startswith('src/') else MAX_FILE):
        complaints.append(f'{path}: {len(lines)} lines')
    complaints += check_lines(path, MARKERS, 'unfinished', lines)
    if path != 'tests/lint/shape.py':
        complaints += check_lines(path, MACHINE, 'path of a machine', lines)
    if path.endswith(C_ENDS):
        code = without_comments(text).splitlines()
        complaints += check_functions(path, lines) + check_columns(path, lines)
        if path.startswith('tests/'): # what a test copies is its own text
            complaints += check_lines(path, SLEEPS, 'sleep in a test', code)
            complaints += check_lines(path, CMOCKA, 'cmocka 2 has no such call, or a macro of that name (between.h)', code)
        else:
            complaints += check_lines(path, CALLS, 'unbounded call', code)
    return complaints


def check(root):
    return sum((check_file(path, lint.read(root, path))
                for path in lint.sources(root, tops=('src', 'include', 'tests', 'bench', 'examples', 'scripts', 'man'),
                                         ends=ALL_ENDS)), [])


SPDX = '// SPDX-License-Identifier: BSD-3-Clause\n'


def function(nr_lines):
    return 'int f(void)\n{\n' + '\tg();\n' * (nr_lines - 2) + '}\n'


CASES = {
    'good': ({'src/base/a.c': SPDX + function(60) + '/* sprintf( is only talked about */\n'}, None),
    'long function': ({'src/base/a.c': SPDX + function(61)}, 'a function of 61 lines'),
    'file at the limit': ({'src/base/a.c': SPDX + 'int a;\n' * 599}, None),
    'long file': ({'src/base/a.c': SPDX + 'int a;\n' * 600}, '601 lines'),
    'test at the limit': ({'tests/unit/a.c': SPDX + 'int a;\n' * 999}, None),
    'long test': ({'tests/unit/a.c': SPDX + 'int a;\n' * 1000}, '1001 lines'),
    'columns': ({'src/base/a.c': SPDX + '/* ' + 94 * 'a' + ' */\n'}, None),
    'too many columns': ({'src/base/a.c': SPDX + '/* ' + 95 * 'a' + ' */\n'}, '101 columns'),
    'a tab is eight columns': ({'src/base/a.c': SPDX + 'int a;\n\t/* ' + 87 * 'a' + ' */\n'}, '101 columns'),
    'no licence': ({'src/base/a.h': 'int a;\n'}, 'lacks the SPDX line'),
    'no licence in a script': ({'tests/lint/a.py': 'a = 1\n'}, 'lacks the SPDX line'),
    'unfinished': ({'src/base/a.c': SPDX + '/* TO' + 'DO: more */\n'}, 'unfinished'),
    'no marker inside a word': ({'src/base/a.c': SPDX + 'char a[] = "/tmp/a-XXXXXX";\n'}, None),
    'machine': ({'src/base/a.c': SPDX + '/* see /home/me */\n'}, 'path of a machine'),
    'unbounded': ({'src/base/a.c': SPDX + 'int f(void)\n{\n\tsprintf(a, b);\n}\n'}, 'unbounded call'),
    'bounded': ({'src/base/a.c': SPDX + 'int f(void)\n{\n\tsnprintf(a, 1, b);\n}\n'}, None),
    'unbounded, of a test': ({'tests/unit/a.c': SPDX + 'int f(void)\n{\n\tstrcpy(a, "b");\n}\n'}, None),
    'cmocka': ({'tests/unit/a.c': SPDX + 'static void stop(void)\n{\n}\n'}, 'cmocka 2 has'),
    'sleep': ({'tests/unit/a.c': SPDX + 'int f(void)\n{\n\tusleep(5);\n}\n'}, 'sleep in a test'),
}

if __name__ == '__main__':
    sys.exit(lint.main(check, CASES))
