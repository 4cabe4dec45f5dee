# SPDX-License-Identifier: BSD-3-Clause
"""Suites of tests are named as meson.build has them: `meson test --suite NAME` of a name that no test has runs nothing, and passes.

The names that are there are taken from all meson.build, and not from a build folder: what a build has depends on its options, and a
name must be right for all of them. They are looked for in the Makefile, scripts, documents and in meson.build's test setups.
"""
import os
import re
import sys

import lint

TOPS = ('.ci', 'debian', 'docs', 'scripts', 'tests')
FILES = ('Makefile', 'README.md', 'meson.build')
DEFINED = re.compile(r"(?<!\w)'?suite'?\s*:\s*(\[[^\]]*\]|'[^']*')")
QUOTED = re.compile(r"'([^']*)'")
# --suite NAME, --suite=NAME, and the same as two words of a list
USED = re.compile(r"--(?:no-)?suite(?:=|[\"']?,?\s+[\"']?)(?:[\w-]+:)?([\w-]+)")
LEFT_OUT = re.compile(r'exclude_suites\s*:\s*(\[[^\]]*\])')


def texts(root):
    """Every file that may name a suite: (path, text). This one has wrong names on purpose."""
    for path in FILES:
        if os.path.exists(os.path.join(root, path)):
            yield path, lint.read(root, path)
    for path in lint.sources(root, tops=TOPS, ends=('',)):
        if os.path.basename(path) != os.path.basename(__file__) and '/corpus/' not in path:
            yield path, lint.read(root, path)


def names_in(text):
    """The suites that a text names to meson: (line, name)."""
    for found in USED.finditer(text):
        yield text.count('\n', 0, found.start()) + 1, found[1]
    for found in LEFT_OUT.finditer(text):
        for name in QUOTED.findall(found[1]):
            yield text.count('\n', 0, found.start()) + 1, name


def check(root):
    defined, complaints, files = set(), [], list(texts(root))
    for path, text in files:
        if os.path.basename(path) == 'meson.build':
            for found in DEFINED.findall(text):
                defined.update(QUOTED.findall(found))
    for path, text in files:
        complaints += [f'{path}:{line}: no test is in the suite {name}' for line, name in names_in(text) if name not in defined]
    return complaints if defined else ['no meson.build puts a test into a suite']


BUILD = {'tests/meson.build': "test('a', a, suite: 'unit')\nlate = {'suite': 'stress', 'timeout': 300}\n"
                              "test('b', b, suite: ['long', 'races'])\n"}

CASES = {
    'none': ({'Makefile': 'check:\n\tmeson test\n'}, 'no meson.build'),
    'good': ({**BUILD, 'Makefile': 'check:\n\tmeson test -C build --no-suite stress --suite unit\n',
              'meson.build': "add_test_setup('default', exclude_suites: ['long'])\n",
              'scripts/check': 'meson test --suite=p:unit --suite "$1"\n', 'scripts/coverage': 'for t in ["--suite", "races"], TESTS:\n'},
             None),
    'Makefile': ({**BUILD, 'Makefile': 'check:\n\tmeson test --no-suite unti\n'}, 'Makefile:2: no test is in the suite unti'),
    'script': ({**BUILD, 'scripts/check': 'meson test --suite unit --suite unti\n'}, 'scripts/check:1: no test is in the suite unti'),
    'with =': ({**BUILD, 'scripts/check': 'meson test --suite=unti\n'}, 'suite unti'),
    'of a project': ({**BUILD, 'scripts/check': 'meson test --suite p:unti\n'}, 'suite unti'),
    'two words': ({**BUILD, 'scripts/coverage': 'names_of(build, "--suite", "unti")\n'}, 'suite unti'),
    'two words of python': ({**BUILD, 'scripts/coverage': "names_of(build, '--suite', 'unti')\n"}, 'suite unti'),
    'setup': ({**BUILD, 'meson.build': "add_test_setup('default', exclude_suites: ['unit', 'longer'])\n"}, 'suite longer'),
    'document': ({**BUILD, 'docs/security.md': '| a | `meson test -C build --suite unti`, the tests |\n'}, 'suite unti'),
    'ci': ({**BUILD, '.ci/run': 'meson test --suite unti\n'}, '.ci/run:1'),
}

if __name__ == '__main__':
    sys.exit(lint.main(check, CASES))
