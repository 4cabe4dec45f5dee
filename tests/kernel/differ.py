# SPDX-License-Identifier: BSD-3-Clause
"""Compare what the conformance suite says of two devices, check by check.

    differ.py --self-test

A rule says which difference is expected, and why. Rules are lines of a text file, columns apart by
blanks, `#` begins a comment:

    GLOB FIRST SECOND REASON...     results ok, fail or skip, of the first and the second device

`skip?` as SECOND: the results may also be the same. Any other rule that no difference needs is an
error, so that the file cannot grow stale.
"""
import fnmatch
import re
import sys

RESULTS = ('ok', 'fail', 'skip')
LINE = re.compile(r'(not )?ok (\d+) - (\S+) # (SKIP )?(.*)')
PLAN = re.compile(r'1\.\.(\d+)$')
ABOUT = re.compile(r'# \S+: (\S+) mode, (\w+), (\w+), compat_reset (\w+),')
ABSENT = 'absent'


class Broken(Exception):
    """A text that is no complete output of the suite, or no list of rules."""


class Run:
    """One output of the suite."""

    def __init__(self, text):
        self.results = {}  # name: ok, fail or skip
        self.texts = {}    # name: clause, reason of a skip, or what was wrong
        self.about = None  # (linux-6.12 or default ..., set_map or dma_map, va or pinned, on or off)
        plan = last = None
        for line in text.splitlines():
            if match := LINE.match(line):
                last = self._result(match)
            elif match := PLAN.match(line):
                plan = int(match[1])
            elif match := ABOUT.match(line):
                self.about = match.groups()
            elif line.startswith('Bail out!'):
                raise Broken(line)
            elif last and self.results[last] == 'fail' and line.startswith('# '):
                self.texts[last], last = line[2:], None
        if plan is None or plan != len(self.results) or self.about is None or plan == 0:
            raise Broken('%d results, %s planned: %s' % (len(self.results), plan,
                                                         'cut short' if plan else text[-300:]))

    def _result(self, match):
        failed, number, name, skipped, rest = match.groups()
        if name in self.results or int(number) != len(self.results) + 1:
            raise Broken('out of order at %r' % match[0])
        self.results[name] = 'fail' if failed else 'skip' if skipped else 'ok'
        self.texts[name] = rest
        return name

    def count(self, result):
        return sum(r == result for r in self.results.values())

    def get(self, name):
        return self.results.get(name, ABSENT)


class Rule:
    def __init__(self, text):
        words = text.split(None, 3)
        if len(words) < 4 or words[1] not in RESULTS or words[2].rstrip('?') not in RESULTS:
            raise Broken('not a rule: %r' % text)
        self.glob, self.first, second, self.reason = words
        self.second = second.rstrip('?')
        self.optional = second.endswith('?')
        self.used = 0

    def fits(self, name, first, second):
        return (first, second) == (self.first, self.second) and fnmatch.fnmatchcase(name, self.glob)


def parse_rules(text):
    lines = (line.split('#', 1)[0].strip() for line in text.splitlines())
    return [Rule(line) for line in lines if line]


def differences(first, second):
    """Names of the checks with different results, in the suite's order."""
    names = list(first.results) + [n for n in second.results if n not in first.results]
    return [n for n in names if first.get(n) != second.get(n)]


def compare(first, second, rules):
    """Names that differ without a rule, and pairs of a name and its rule. Counts the rules' use."""
    unexpected, expected = [], []
    for name in differences(first, second):
        rule = next((r for r in rules if r.fits(name, first.get(name), second.get(name))), None)
        if rule:
            rule.used += 1
            expected.append((name, rule))
        else:
            unexpected.append(name)
    return unexpected, expected


def stale(rules):
    return [r for r in rules if not r.used and not r.optional]


# ---- self-test ----

def tap(results, about='linux-6.12 mode, set_map, va, compat_reset on, features 0'):
    lines = ['TAP version 13', '1..%d' % len(results)]
    for number, (name, result) in enumerate(results.items(), 1):
        lines.append({'ok': 'ok %d - %s # [1-1]', 'skip': 'ok %d - %s # SKIP no such device',
                      'fail': 'not ok %d - %s # [1-1]\n# a.c:1: want 0'}[result] % (number, name))
    return '\n'.join(lines + ['#', '# /dev/vhost-vdpa-0: ' + about, '# all 1 2 3']) + '\n'


def verdict(first, second, rules=''):
    parsed = parse_rules(rules)
    unexpected, expected = compare(Run(tap(first)), Run(tap(second)), parsed)
    return unexpected, [name for name, _ in expected], len(stale(parsed))


def is_broken(fn, text):
    try:
        fn(text)
    except Broken:
        return True
    return False


def cases():
    good = {'a.b': 'ok', 'a.c': 'skip'}
    rule = 'a.* ok skip because\n'
    whole = tap(good)
    yield 'same', verdict(good, good) == ([], [], 0)
    yield 'ok and fail differ', verdict(good, {'a.b': 'fail', 'a.c': 'skip'}) == (['a.b'], [], 0)
    yield 'ok and skip differ', verdict(good, {'a.b': 'skip', 'a.c': 'skip'}) == (['a.b'], [], 0)
    yield 'skip and ok differ', verdict(good, {'a.b': 'ok', 'a.c': 'ok'}) == (['a.c'], [], 0)
    yield 'absent differs', verdict(good, {'a.b': 'ok'}) == (['a.c'], [], 0)
    yield 'new differs', verdict({'a.b': 'ok'}, good) == (['a.c'], [], 0)
    yield 'rule', verdict(good, {'a.b': 'skip', 'a.c': 'skip'}, rule) == ([], ['a.b'], 0)
    yield 'rule of a failure', verdict({'a.b': 'fail', 'a.c': 'skip'}, good, 'a.* fail ok newer') == ([], ['a.b'], 0)
    yield 'rule of another result', verdict(good, {'a.b': 'fail', 'a.c': 'skip'}, rule) == (['a.b'], [], 1)
    yield 'rule of another check', verdict(good, {'a.b': 'skip', 'a.c': 'skip'},
                                           'b.* ok skip because') == (['a.b'], [], 1)
    yield 'stale rule', verdict(good, good, rule) == ([], [], 1)
    yield 'optional rule', verdict(good, good, 'a.* ok skip? maybe') == ([], [], 0)
    yield 'comment', not parse_rules('# only\n\n  # this\n')
    yield 'rule without reason', is_broken(parse_rules, 'a.b ok skip')
    yield 'rule with unknown result', is_broken(parse_rules, 'a.b ok never because')
    yield 'what was wrong', Run(tap({'a.b': 'fail'})).texts['a.b'] == 'a.c:1: want 0'
    yield 'what it is', Run(whole).about == ('linux-6.12', 'set_map', 'va', 'on')
    yield 'whole', not is_broken(Run, whole)
    yield 'nothing', is_broken(Run, '')
    yield 'no check', is_broken(Run, tap({}))
    yield 'line lost', is_broken(Run, whole.replace('ok 1 - a.b # [1-1]\n', ''))
    yield 'name twice', is_broken(Run, whole.replace('a.c', 'a.b'))
    yield 'end lost', is_broken(Run, whole[:whole.index('# /dev')])
    yield 'bail out', is_broken(Run, whole + 'Bail out! the device holds its client\n')


def self_test():
    results = list(cases())
    for name, good in results:
        if not good:
            print('%s: misbehaves' % name)
    print('%d of %d cases behave' % (sum(good for _, good in results), len(results)))
    return 0 if all(good for _, good in results) else 1


if __name__ == '__main__':
    sys.exit(self_test() if sys.argv[1:] == ['--self-test'] else __doc__)
