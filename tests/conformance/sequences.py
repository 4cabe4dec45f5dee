#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Random sequences of calls (docs/random.md) on our own devices.

    sequences.py HOLDFAST COUNT MEMORY MAPPING

On the strict and on the default device: no sequence kills the client, a second run gives the same, every kind
of step works and is refused often enough, and deep states are reached. Between the two, a call that succeeds on one and
not on the other, or with another error, must be one that a deviation names (RULES).
"""
import collections
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'kernel'))
import sequences  # noqa: E402

# Least share of the sequences that must reach a state; about half of what they do.
SHARES = {
    'running': 0.9, 'dma_mapped': 0.4, 'dma_identity': 0.15, 'frame_received': 0.35, 'command_answered': 0.2,
    'two_spaces_mapped': 0.2, 'batch_committed': 0.12, 'dma_in_batch': 0.1, 'suspended_running': 0.2,
    'dma_after_resume': 0.1, 'reset_running': 0.2, 'dma_after_reset': 0.08, 'reopened': 0.1, 'dma_after_reopen': 0.08,
    'group_bound': 0.15, 'dma_group_bound': 0.06, 'config_written': 0.01, 'ring_at_base': 0.25, 'update_refused': 0.2,
}
STRICT_ONLY = {'dma_identity', 'group_bound', 'dma_group_bound'}  # rarer where a deviation forbids the way there
LIMIT = 120  # seconds a run; default mode waits out parked rings (D1)
# Steps whose result may differ, the deviation that says so, whether the rest of the sequence may differ then, and a
# step that must have been there before.
RULES = (
    (r'group_asid ', 'D7, D9', True, ''),  # not after DRIVER_OK; and there is a third group
    (r'invalidate .*size=(0x0|0|0x[4-9a-f][0-9a-f]{15})$', 'D13', True, ''),
    (r'update ', 'D3', True, r'update .*uaddr=[PH]'),  # private memory, and what lies below it, is mapped
    (r'vring_base ', 'D6', True, ''),  # a running ring is not moved
    (r'set_status ', 'D6', True, r'kick '),  # a ring that breaks the rules is not gone on with: NEEDS_RESET
    (r'vring_get q=\d+ what=(desc_group|size)$', 'D9', False, ''),
    (r'set_backend mask=0x(80|88)$', 'D9', False, ''),  # descriptor groups
    (r'set_features ', 'D9', True, ''),
    (r'vring_num q=\d+ num=512$', 'D9', True, ''),  # larger rings
)


def run(holdfast, words, memory, mapping, count):
    spec = 'name dev0 mgmtdev vdpasim_net %s compat_reset on max_iotlb_entries 2048 memory %s mapping %s' % (
        words, memory, mapping)
    done = subprocess.run([holdfast, 'check', '--device', 'memory=%s mapping=%s compat_reset=on' % (memory, mapping),
                           '--transcript', '--random', '1:%d' % count, '-d', spec],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors='replace', timeout=LIMIT)
    if done.returncode:
        lost = re.findall(r'^seq \d+ lost.*', done.stdout, re.M)
        sys.exit('not ok: exit status %d; %s; %s' % (done.returncode, lost[:3], done.stderr[-3000:]))
    return done.stdout


def check_depth(text, strict):
    problems = []
    states = sequences.parse_states(text)
    for state, least in SHARES.items():
        if not strict and state in STRICT_ONLY:
            least = 0
        if states.get(state, 0) < least:
            problems.append('only %.1f %% of the sequences reach %s, want %.1f %%' % (
                100 * states.get(state, 0), state, 100 * least))
    _, counts = sequences.parse_hashes(text)
    if counts['ok'] < 0.8 * counts['steps'] or counts['refused'] < 0.02 * counts['steps']:
        problems.append('a poor mixture: %s' % counts)
    return problems


def code(line):
    """What a step returned, without what the device did meanwhile and without a value."""
    words = line.split(' =', 1)[1].split() if ' =' in line else ['?']
    return words[0] if words and re.match(r'(0|[A-Z]+|-\d+|skipped:)$', words[0]) else ''


def explain(strict, default):
    """Deviation -> sequences that it changed; and what nothing explains."""
    explained, rest = collections.Counter(), []
    for number, (a, b) in enumerate(zip(sequences.parse_transcripts(strict), sequences.parse_transcripts(default)), 1):
        for at, (x, y) in enumerate(zip(a, b)):
            if code(x) == code(y):
                continue
            rule = next((r for r in RULES if re.match(r[0], sequences.step_of(x)) and
                         any(re.match(r[3], line) for line in a[:at + 1])), None)
            if not rule:
                rest.append('seed %d: strict: %s; default: %s' % (number, x[:160], y[:160]))
                break
            explained[rule[1]] += 1
            if rule[2]:
                break
    return explained, rest


def main(holdfast, count, memory, mapping):
    problems, texts = [], {}
    for name, words in (('strict', 'quirks linux-6.12'), ('default', 'offer all vq_size 256')):
        first, second = (run(holdfast, words, memory, mapping, int(count)) for _ in range(2))
        seeds = sequences.differing(sequences.parse_hashes(first)[0], sequences.parse_hashes(second)[0])
        if seeds:
            problems.append('%s: another transcript when run again: seeds %s' % (name, seeds[:10]))
        problems += ['%s: %s' % (name, p) for p in check_depth(first, name == 'strict')]
        busy = len(re.findall(r' busy\b', first))
        if busy:
            problems.append('%s: the device did not come to rest, %d times' % (name, busy))
        texts[name] = first
        print('%s: %s sequences, %d differ when run again' % (name, count, len(seeds)))
    explained, rest = explain(texts['strict'], texts['default'])
    print('strict and default: %s' % ', '.join('%s: %d' % x for x in sorted(explained.items())))
    problems += ['no deviation explains %s' % text for text in rest]
    for problem in problems[:20]:
        print('not ok: ' + problem)
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]) if len(sys.argv) == 5 else __doc__)
