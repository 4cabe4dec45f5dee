# SPDX-License-Identifier: BSD-3-Clause
"""Two processes and one disk's file: who has it is who uses the device, from the first call to the last close.

Each process is a Python under the library, which does what its standard input says.

Usage: test_preload_backend.py HOLDFAST
"""
import os
import subprocess
import sys
import tempfile

CLIENT = r'''
import fcntl, os, sys
GET_STATUS = 0x8001AF71
fds = {}
for line in sys.stdin:
    word, name = line.split()
    try:
        if word == "open":
            fds[name] = os.open("/dev/vhost-vdpa-0", os.O_RDWR)
        elif word == "call":
            fcntl.ioctl(fds[name], GET_STATUS, b"\0")
        elif word == "dup":
            fds["copy"] = os.dup(fds[name])
        elif word == "close":
            os.close(fds[name])
        print("ok", flush=True)
    except OSError as error:
        print(error.strerror, flush=True)
'''


class Client:
    """A process that has the disk's file behind /dev/vhost-vdpa-0."""

    def __init__(self, holdfast, path):
        spec = f'mgmtdev vdpasim_blk backend file,path={path}'
        self.process = subprocess.Popen([holdfast, 'run', '-d', spec, '--', sys.executable, '-c', CLIENT], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def say(self, word, name='node'):
        try:
            self.process.stdin.write(f'{word} {name}\n')
            self.process.stdin.flush()
        except BrokenPipeError:
            return 'the process has ended'
        return self.process.stdout.readline().strip()

    def end(self):
        """End the process; return what it said on stderr."""
        return self.process.communicate(timeout=600)[1]


def steps(holdfast, path):
    """Yield (what, expected, got)."""
    busy = 'Device or resource busy'
    first = Client(holdfast, path)
    yield 'an open', 'ok', first.say('open')
    # `holdfast run` makes its devices once for a try: two that start at once may refuse each other
    second = Client(holdfast, path)
    yield 'a second open, nobody has called', 'ok', second.say('open')
    yield 'the first call', 'ok', second.say('call')
    yield 'a call of the other process', busy, first.say('call')
    yield 'a copy', 'ok', second.say('dup')
    yield 'a close, a copy is left', 'ok', second.say('close')
    yield 'a call of the other process, a copy is left', busy, first.say('call')
    yield 'the start of a third process', True, 'another disk uses it' in Client(holdfast, path).end()
    yield 'the last close', 'ok', second.say('close', 'copy')
    yield 'a call of the other process after the last close', 'ok', first.say('call')
    yield 'the close of it', 'ok', first.say('close')
    third = Client(holdfast, path)
    yield 'an open of another third process', 'ok', third.say('open')
    yield 'its call', 'ok', third.say('call')
    second.end()
    third.end()
    words = first.end()
    yield 'what the first process was told, once', 1, words.count('another disk uses it')


def main():
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'disk')
        with open(path, 'wb') as disk:
            disk.truncate(1 << 20)
        for what, expected, got in steps(sys.argv[1], path):
            if got != expected:
                wrong += 1
                print(f'{what}: {got!r}, expected {expected!r}')
    print('no difference' if not wrong else f'{wrong} differences')
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
