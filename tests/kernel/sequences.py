#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Compare random sequences of calls (docs/random.md) on two devices, and shrink what differs.

    sequences.py --self-test

A side is a function from a list of programs (lists of steps, as text) to their transcripts (lists of lines). Whole
runs of many seeds are compared by the hashes that `holdfast check --random SEED:COUNT` prints.
"""
import re
import sys

ROUNDS = 8  # of shrinking; each tries all it can think of at once, for a kernel must boot for it


class Broken(Exception):
    """The output is not that of a run that came to its end."""


def parse_hashes(text):
    """Of `--random SEED:COUNT`: {seed: what the sequence gave}, and the last line's counts."""
    found = {int(m[1]): m[2] for m in re.finditer(r'^seq (\d+) (.*)$', text, re.M)}
    end = re.search(r'^# (\d+) sequences, (\d+) lost, (\d+) steps: (\d+) ok, (\d+) refused, (\d+) skipped$',
                    text, re.M)
    if not end or len(found) != int(end[1]) + int(end[2]):
        raise Broken('the run did not come to its end: %r' % text[-200:])
    return found, dict(zip(('sequences', 'lost', 'steps', 'ok', 'refused', 'skipped'), map(int, end.groups())))


def parse_states(text):
    """{state: share of the sequences that reached it}."""
    return {m[1]: int(m[2]) / int(m[3])
            for m in re.finditer(r'^# state (\S+) +(\d+) of (\d+) sequences$', text, re.M) if int(m[3])}


def parse_transcripts(text):
    """Of --transcript or --replay: the sequences' lines, in order."""
    out = []
    for line in text.splitlines():
        if line.startswith('seq '):
            out.append([line] if ' lost: ' in line else [])
        elif out and line and not line.startswith('#'):
            out[-1].append(line)
    return out


def differing(first, second):
    """Seeds whose sequences gave something else on the two sides."""
    return sorted(seed for seed in first.keys() | second.keys() if first.get(seed) != second.get(seed))


def first_difference(first, second):
    """Index of the first line that differs, or None."""
    for i, (a, b) in enumerate(zip(first, second)):
        if a != b:
            return i
    return None if len(first) == len(second) else min(len(first), len(second))


def step_of(line):
    return line.split(' =', 1)[0] if ' = ' in line or line.endswith(' =') else line


def programs_text(programs):
    return ''.join('seq %d\n%s\n' % (i, '\n'.join(p)) for i, p in enumerate(programs))


def shorter(program):
    """Every program that lacks one piece of @program: halves first, single steps last."""
    size = max(len(program) // 2, 1)
    seen = set()
    while True:
        for at in range(0, len(program), size):
            candidate = tuple(program[:at] + program[at + size:])
            if candidate and candidate not in seen:
                seen.add(candidate)
                yield list(candidate)
        if size == 1:
            return
        size = max(size // 2, 1)


def shrink(program, left, right):
    """The shortest program found that still differs, with both transcripts; None if @program does not differ."""
    best = None
    candidates = [program]
    for _ in range(ROUNDS):
        before = len(best[0]) if best else None
        for candidate, a, b in zip(candidates, left(candidates), right(candidates)):
            at = first_difference(a, b)
            if at is not None and (best is None or at + 1 < len(best[0])):
                best = (candidate[:at + 1], a[:at + 1], b[:at + 1])
        if best is None or len(best[0]) == before:
            break
        candidates = list(shorter(best[0]))
        if not candidates:
            break
    return best


def describe(best, names):
    """A shrunk difference, to be read by people."""
    program, a, b = best
    lines = ['    ' + line for line in a[:-1]]
    lines.append('    %s' % program[-1])
    for name, side in zip(names, (a, b)):
        lines.append('      %-9s%s' % (name + ':', side[-1][len(program[-1]):].lstrip(' =') or '(nothing)'))
    return '\n'.join(lines)


# ---- self-test ----

def device(quirk):
    """A side whose device is a counter; with @quirk the third `add` after a `reset` counts twice."""
    def run(programs):
        out = []
        for program in programs:
            total, since, lines = 0, None, []
            for step in program:
                if step == 'reset':
                    total, since = 0, 0
                if step == 'add':
                    since = since + 1 if since is not None else None
                    total += 2 if quirk and since == 3 else 1
                lines.append('%s = %d' % (step, total))
            out.append(lines)
        return out
    return run


def cases():
    run = 'seq 7 aa 3\nseq 8 bb 2\n# state deep 1 of 2 sequences\n' \
          '# 2 sequences, 0 lost, 5 steps: 3 ok, 1 refused, 1 skipped\n'
    hashes, counts = parse_hashes(run)
    yield 'hashes', hashes == {7: 'aa 3', 8: 'bb 2'} and counts['steps'] == 5
    yield 'states', parse_states(run) == {'deep': 0.5}
    yield 'same', differing(hashes, hashes) == []
    yield 'other hash', differing(hashes, {7: 'aa 3', 8: 'bc 2'}) == [8]
    yield 'absent', differing(hashes, {7: 'aa 3'}) == [8]
    lost = run.replace('seq 8 bb 2', 'seq 8 lost: x').replace('2 sequences, 0 lost', '1 sequences, 1 lost')
    yield 'lost', differing(hashes, parse_hashes(lost)[0]) == [8]
    for name, text in (('end lost', run[:run.index('# 2')]), ('line lost', run.replace('seq 7 aa 3\n', '')), ('nothing', '')):
        try:
            parse_hashes(text)
            yield name, False
        except Broken:
            yield name, True
    yield 'transcripts', parse_transcripts('seq 1 aa 2\na = 0\nb =\n# x\nseq 2 bb 1\nc = 1\n') == [['a = 0', 'b ='], ['c = 1']]
    yield 'step', [step_of(x) for x in ('a b=1 = 0 7', 'kick q=1 =')] == ['a b=1', 'kick q=1']
    long = ['get', 'add', 'reset', 'get', 'add', 'get', 'add', 'add', 'get', 'add'] * 3
    best = shrink(long, device(False), device(True))
    yield 'shrunk', best[0] == ['reset', 'add', 'add', 'add']
    yield 'told', describe(best, ('A', 'B')).splitlines()[-2:] == ['      A:       3', '      B:       4']
    yield 'no difference', shrink(long, device(True), device(True)) is None


def self_test():
    results = list(cases())
    for name, good in results:
        if not good:
            print('%s: misbehaves' % name)
    print('%d of %d cases behave' % (sum(good for _, good in results), len(results)))
    return 0 if all(good for _, good in results) else 1


if __name__ == '__main__':
    sys.exit(self_test() if sys.argv[1:] == ['--self-test'] else __doc__)
