#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What kernels do differently: the tables of docs/kernels.md, made from the one of src/vdpa/deviations.c.

    profiles.py PROFILES               write docs/kernels.md; PROFILES is BUILD/tests/kernel/profiles
    profiles.py --lint ROOT PROFILES   complain if the page is not what the table says, or if the specification's clause
                                       does not name a kernel that does otherwise
    profiles.py --self-test

The tables stand between two marks, and nothing there is written by hand.
"""
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PAGE = os.path.join('docs', 'kernels.md')
SPEC = os.path.join('docs', 'spec', 'vhost-vdpa.md')
BEGIN, END = '<!-- begin: tests/kernel/profiles.py -->', '<!-- end -->'


def load(program):
    return json.loads(subprocess.run([program], stdout=subprocess.PIPE, check=True, text=True).stdout)


def version(text):
    """(7, 2) of `linux-7.2` and of `7.2.13+deb14-amd64`."""
    return tuple(int(part) for part in re.findall(r'\d+', text)[:2])


def profile_of(profiles, release):
    """The name of the newest kernel of the table that is not newer than @release, or of the oldest."""
    names = sorted(profiles['kernels'], key=version)
    return next((name for name in reversed(names) if version(name) <= version(release)), names[0])


def cell(row, kernel):
    return row['what'] if kernel in row['kernels'] else row['others']


def lines_of(heads, rows):
    yield '| id | clause | %s | Holdfast, default |' % ' | '.join(heads)
    yield '| --- | --- |' + ' --- |' * (len(heads) + 1)
    for row, cells in rows:
        yield '| %s | [%s] | %s | %s |' % (row['id'], row['clause'], ' | '.join(cells), row['what'])


def text(profiles):
    """What stands between the marks: a column a kernel where kernels differ, one for all where they do not."""
    kernels = sorted(profiles['kernels'], key=version)
    releases = [profiles['kernels'][k] for k in kernels]
    differ = [(row, [cell(row, k) for k in kernels]) for row in profiles['rows'] if row['kernels']]
    rest = [(row, [row['others']]) for row in profiles['rows'] if not row['kernels']]
    return '\n'.join([
        'Kernels differ from one another:', '',
        *lines_of(['Linux %s (`quirks %s`)' % pair for pair in zip(releases, kernels)], differ), '',
        'All kernels that were measured differ from a default Holdfast device:', '',
        *lines_of(['Linux ' + ', '.join(releases)], rest)])


def replaced(page, new):
    before, begin, rest = page.partition(BEGIN)
    old, end, after = rest.partition(END)
    if not begin or not end:
        return None
    return before + BEGIN + '\n\n' + new + '\n\n' + END + after


def clause_text(spec, clause):
    """The line or paragraph that defines a clause."""
    row = re.search(r'^\| %s \|.*$' % re.escape(clause), spec, re.M)
    paragraph = re.search(r'^(\* )?\[%s\].*?(?=^(\* )?\[\d|^\s*$|\Z)' % re.escape(clause), spec, re.M | re.S)
    found = row or paragraph
    return found[0] if found else ''


def complaints(page, spec, profiles):
    if replaced(page, text(profiles)) != page:
        yield '%s: its tables are not what src/vdpa/deviations.c says: run tests/kernel/profiles.py' % PAGE
    for row in profiles['rows']:
        clause = clause_text(spec, row['clause'])
        if not clause:
            yield '%s: %s names clause [%s], which the specification does not have' % (SPEC, row['id'], row['clause'])
        for kernel in row['kernels']:
            if 'Linux ' + profiles['kernels'][kernel] not in clause:
                yield '%s: [%s] does not say what Linux %s does (%s)' % (
                    SPEC, row['clause'], profiles['kernels'][kernel], row['id'])


def read(path):
    with open(path, encoding='utf-8') as f:
        return f.read()


def lint(root, program):
    found = list(complaints(read(os.path.join(root, PAGE)), read(os.path.join(root, SPEC)), load(program)))
    for complaint in found:
        print(complaint)
    return 1 if found else 0


def write(program):
    path = os.path.join(ROOT, PAGE)
    page = replaced(read(path), text(load(program)))
    if page is None:
        sys.exit('profiles.py: %s has no marks' % PAGE)
    with open(path, 'w', encoding='utf-8') as f:
        f.write(page)
    return 0


# ---- self-test ----

def cases():
    profiles = {'kernels': {'linux-6.12': '6.12.9', 'linux-7.2': '7.2.3'}, 'rows': [
        {'id': 'D1', 'clause': '1-2', 'what': 'new', 'others': 'old', 'kernels': ['linux-7.2']},
        {'id': 'D2', 'clause': '3-4', 'what': 'ours', 'others': 'theirs', 'kernels': []}]}
    spec = '| 1-2 | CALL | old. Linux 7.2.3 differs |\n\n[3-4] theirs\n'
    page = replaced('a\n%s\n%s\nb\n' % (BEGIN, END), text(profiles))
    yield 'good', not list(complaints(page, spec, profiles))
    yield 'row', '| D1 | [1-2] | old | new | new |' in page
    yield 'row that all kernels share', '| D2 | [3-4] | theirs | ours |' in page
    yield 'around the marks', page.startswith('a\n') and page.endswith('b\n')
    yield 'by hand', len(list(complaints(page.replace('theirs', 'our'), spec, profiles))) == 1
    yield 'marks lost', len(list(complaints(page.replace(END, ''), spec, profiles))) == 1
    yield 'kernel not cited', len(list(complaints(page, spec.replace('7.2.3', '7.2.4'), profiles))) == 1
    yield 'cited elsewhere', len(list(complaints(page, '| 1-2 | old |\n[3-4] Linux 7.2.3\n', profiles))) == 1
    yield 'no such clause', len(list(complaints(page, spec.replace('[3-4]', '[3-5]'), profiles))) == 1
    yield 'profiles', [profile_of(profiles, r) for r in ('6.1.0', '6.12.117+deb12', '7.1', '7.2.13', '7.10')] == [
        'linux-6.12', 'linux-6.12', 'linux-6.12', 'linux-7.2', 'linux-7.2']


def self_test():
    results = list(cases())
    for name, good in results:
        if not good:
            print('%s: misbehaves' % name)
    print('%d of %d cases behave' % (sum(good for _, good in results), len(results)))
    return 0 if all(good for _, good in results) else 1


if __name__ == '__main__':
    if sys.argv[1:] == ['--self-test']:
        sys.exit(self_test())
    if len(sys.argv) == 4 and sys.argv[1] == '--lint':
        sys.exit(lint(sys.argv[2], sys.argv[3]))
    sys.exit(write(sys.argv[1]) if len(sys.argv) == 2 else __doc__)
