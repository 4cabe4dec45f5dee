#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The suite on devices that hang, lie, go away or kill their client: it ends in time, with the right status, leaves
no process behind, and gives the device back what it had.

    test_misbehaviour.py HOLDFAST LIBMISBEHAVE
"""
import os
import signal
import subprocess
import sys
import tempfile

HOLDFAST, SHIM = sys.argv[1:3]
MAC = '02:00:00:00:00:77'
SPEC = 'mgmtdev vdpasim_net mac %s' % MAC
NODE = '/dev/vhost-vdpa-0'
LIMIT = 600  # seconds, far more than any case takes


def command(options, spec=SPEC, node=NODE):
    inner = 'LD_PRELOAD=%s:$LD_PRELOAD exec "$0" check "$@"' % SHIM
    return [HOLDFAST, 'run', '-d', spec, '--', 'sh', '-c', inner, HOLDFAST, *options, node]


def environment(order):
    return dict(os.environ, MISBEHAVE=order, HOLDFAST_LOG_LEVEL='err')


def session_is_empty(leader):
    for name in os.listdir('/proc'):
        if name.isdigit():
            try:
                with open('/proc/%s/stat' % name) as f:
                    fields = f.read().rsplit(')', 1)[1].split()
            except OSError:
                continue
            if int(fields[3]) == leader and fields[0] not in 'ZX':
                return False
    return True


class Result:
    def __init__(self, order, *options, **kw):
        process = subprocess.Popen(command(options, **kw), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, env=environment(order),
                                   start_new_session=True)
        try:
            self.out, self.err = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            self.out, self.err = process.communicate()
        self.status = process.returncode
        self.clean = session_is_empty(process.pid)

    def expect(self, status, out='', err=''):
        problems = [] if self.status == status else ['status %d, not %d' % (self.status, status)]
        problems += [] if out in self.out else ['%r is not in the output' % out]
        problems += [] if err in self.err else ['%r is not in the messages' % err]
        problems += [] if self.clean else ['a process is left']
        return '; '.join(problems + [self.out[-400:], self.err[-400:]]) if problems else None


def hang_while_probed():
    for name in ('open', 'set_owner'):
        problem = Result('hang=' + name, '--deadline', '1').expect(2, '', 'no end after')
        if problem:
            return problem
    return None


def hang_once():
    # what does not hang must come to its end in that time on a busy machine
    found = Result('hang=suspend', '--deadline', '10', '--match', 'suspend.suspend.stops*')
    return found.expect(1, 'not ok 1 - suspend.suspend.stops_processing')


def hang_for_ever():
    return Result('hang=suspend', '--deadline', '10', '--match', 'suspend.suspend.*').expect(
        2, 'Bail out! /dev/vhost-vdpa-0: suspend.suspend.repeated_ok_status_unchanged: the device hangs')


def lie_about_itself():
    for name, words in (('vqs_count', '4294967295 queues'), ('config_size', '4294967295 bytes'),
                        ('as_num', '4294967295 address spaces'), ('vring_num', '65535 entries'),
                        ('device_id', 'device type 4294967295')):
        problem = Result('lie=' + name).expect(2, '', words)
        if problem:
            return name + ': ' + problem
    return None


def lie_about_position():
    return Result('lie=get_base', '--match', 'ioctl.get_vring_base.initial_zero').expect(1, 'not ok 1')


def agree_to_all():
    found = Result('agree=set_group_asid', '--match', 'ioctl.set_group_asid.*')
    return found.expect(1, 'not ok') or (
        None if 'not ok' in found.out and '- ioctl.set_group_asid.zero_ok # [1-39]' in found.out else found.out)


def never_works():
    return Result('agree=enable', '--deadline', '9').expect(2, '', 'cannot probe')


def goes_away():
    found = Result('gone=100', '--match', 'lifecycle.reset.many_cycles*')
    return found.expect(1, 'got errno ENODEV')


def kills_its_client():
    return Result('die=get_base', '--match', '*get_vring_base.initial*').expect(
        1, 'ended with wait status 0x')


def nothing_there():
    return Result('', node='/nonexistent').expect(2, '', 'No such file') or \
        Result('', node='/dev/null').expect(2, '', 'cannot probe /dev/null')


def gives_address_back():
    with tempfile.NamedTemporaryFile('rb') as kept:
        found = Result('keep=' + kept.name, '--match', 'ioctl.set_config.mac*')
        written = [kept.read(6).hex(':') for _ in range(100)]
    written = [address for address in written if address]
    problem = found.expect(0, 'ok 1')
    if problem or '02:aa:bb:cc:00:01' not in written or written[-1] != MAC:
        return '%s; written: %s' % (problem, written)
    return None


def interrupted():
    process = subprocess.Popen(command(['--deadline', '3000', '--match', 'suspend.suspend.*']), text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=environment('hang=suspend'), start_new_session=True)
    for line in process.stdout:
        if line.startswith('1..'):
            break
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=LIMIT)
    if process.returncode != 2 or 'interrupted' not in out or not session_is_empty(process.pid):
        return 'status %d, %r, %r' % (process.returncode, out, err)
    return None


CASES = [hang_while_probed, hang_once, hang_for_ever, lie_about_itself, lie_about_position, agree_to_all, never_works,
         goes_away, kills_its_client, nothing_there, gives_address_back, interrupted]

print('1..%d' % len(CASES))
bad = 0
for number, case in enumerate(CASES, 1):
    problem = case()
    print('%s %d - %s' % ('not ok' if problem else 'ok', number, case.__name__))
    if problem:
        print('\n'.join('# ' + line for line in problem.splitlines()))
        bad += 1
    sys.stdout.flush()
sys.exit(1 if bad else 0)
