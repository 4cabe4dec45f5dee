# SPDX-License-Identifier: BSD-3-Clause
"""Descriptors that were opened elsewhere: inherited over exec, and received from a socket.

The opener is a Python under `holdfast run`. The receivers find LD_PRELOAD in their environment and nothing else of
Holdfast's, as libvirt leaves it.

Usage: test_preload_adopt.py HOLDFAST
"""
import array
import errno
import fcntl
import os
import socket
import stat
import subprocess
import sys
import tempfile

GET_STATUS, SET_STATUS, SET_OWNER, GET_CONFIG = 0x8001AF71, 0x4001AF72, 0xAF01, 0x8008AF73
SIZE = 3 << 20
NODE = '/dev/vhost-vdpa-0'


def call(fd, command, argument=b'\0'):
    """Return what comes back, or the error's name."""
    try:
        return fcntl.ioctl(fd, command, argument)
    except OSError as error:
        return error.strerror


def status(fd):
    got = call(fd, GET_STATUS)
    return got[0] if isinstance(got, bytes) else got


def sectors(fd):
    """The disk's capacity, which says whose device it is."""
    got = call(fd, GET_CONFIG, (0).to_bytes(4, 'little') + (8).to_bytes(4, 'little') + bytes(8))
    return int.from_bytes(got[8:], 'little') if isinstance(got, bytes) else got


def say(*words):
    print(*words, flush=True)


def wait():
    return sys.stdin.readline().strip()


# ---- the receivers ----

def use(fd):
    """Use the device by two copies of the descriptor; the session lasts until the last is closed."""
    copy = os.dup(fd)
    say('device', stat.S_ISCHR(os.fstat(fd).st_mode))
    say('capacity', sectors(copy))
    say('owner', call(copy, SET_OWNER, 0))
    call(copy, SET_STATUS, b'\1')
    os.close(copy)
    say('status', status(fd))
    wait()
    os.close(fd)
    say('closed')
    wait()


def answer(function, *arguments):
    """Return the error's name, or what comes back."""
    try:
        return function(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]


def make_calls_of_any_file(fd):
    """Before the first call that is for a driver."""
    say('lseek', answer(os.lseek, fd, 0, os.SEEK_SET))
    say('read', answer(os.read, fd, 8))
    say('fsync', answer(os.fsync, fd))
    say('ftruncate', answer(os.ftruncate, fd, 8))
    say('fallocate', answer(os.posix_fallocate, fd, 0, 8))
    for link in (f'/proc/{os.getppid()}/fd/{fd}', f'/proc/self/task/{os.getpid()}/fd/{fd}', f'/proc/self/fd/{fd}'):
        say('open', answer(os.open, link, os.O_RDWR))
        say('device', stat.S_ISCHR(os.stat(link).st_mode))
    say('capacity', sectors(fd))


def receive(path):
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(path)
        data = peer.recvmsg(1, socket.CMSG_SPACE(4))[1][0][2]
    use(array.array('i', data)[0])


# ---- the opener ----

def start(way, argument, fds=()):
    environment = {name: value for name, value in os.environ.items() if not name.startswith('HOLDFAST')}
    return subprocess.Popen([sys.executable, __file__, way, argument], env=environment, pass_fds=fds, text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def hand_over(way, fd, folder):
    if way == 'inherit':
        return start(way, str(fd), (fd,))
    path = os.path.join(folder, 'socket')
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)
        process = start(way, path)
        with listener.accept()[0] as peer:
            peer.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [fd]))])
    os.unlink(path)
    return process


def any_file_steps():
    fd = os.open(NODE, os.O_RDWR)
    for number in (fd, fcntl.fcntl(fd, fcntl.F_DUPFD, 960)):
        process = start('any-file', str(number), (number,))
        for expected in ('lseek ESPIPE', 'read EINVAL', 'fsync EINVAL', 'ftruncate EINVAL', 'fallocate ENODEV',
                         *('open EBUSY', 'device True') * 3, f'capacity {SIZE // 512}'):
            yield f'a receiver of {number}', expected, process.stdout.readline().strip()
        process.communicate(timeout=30)
        os.close(number)


def steps(way, folder):
    """Yield (what, expected, got)."""
    if way == 'inherit':
        yield from any_file_steps()
    fd = os.open(NODE, os.O_RDWR)
    process = hand_over(way, fd, folder)
    for expected in ('device True', f'capacity {SIZE // 512}', 'owner 0', 'status 1'):
        yield 'the receiver', expected, process.stdout.readline().strip()
    yield 'the opener owns it, too', 'Device or resource busy', call(fd, SET_OWNER, 0)
    yield 'the opener calls', 'Device or resource busy', status(fd)
    other = start('inherit', str(fd), (fd,))
    other.stdout.readline()
    for expected in ('capacity Device or resource busy', 'owner Device or resource busy'):
        yield 'a second receiver', expected, other.stdout.readline().strip()
    other.kill()
    other.communicate()
    os.close(fd)
    try:
        os.close(os.open(NODE, os.O_RDWR))
        yield 'the opener opens anew', 'EBUSY', 'success'
    except OSError as error:
        yield 'the opener opens anew', 'Device or resource busy', error.strerror
    print(file=process.stdin, flush=True)
    yield 'the receiver', 'closed', process.stdout.readline().strip()
    fd = os.open(NODE, os.O_RDWR)
    yield 'a new session', 0, status(fd)
    yield 'the opener owns it', 0, call(fd, SET_OWNER, 0)
    os.close(fd)
    process.communicate('\n', timeout=600)
    yield 'the end of the receiver', 0, process.returncode


def open_and_hand_over(folder):
    wrong = 0
    for way in ('inherit', 'receive'):
        for what, expected, got in steps(way, folder):
            if got != expected:
                wrong += 1
                say(f'{way}: {what}: {got!r}, expected {expected!r}')
    say('no difference' if not wrong else f'{wrong} differences')
    return 1 if wrong else 0


def make_strange(spec, user, sealed):
    """Return a memfd that looks like a device's, made by somebody else, or by nobody's rules."""
    os.seteuid(user)
    fd = os.memfd_create('vhost-vdpa-0', os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.seteuid(os.getuid())
    os.write(fd, spec)
    if sealed:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_WRITE)
    fcntl.fcntl(fd, fcntl.F_SETSIG, 63)
    return fcntl.fcntl(fd, fcntl.F_DUPFD, 500)


def refuse_strangers(library, folder):
    """What a stranger's descriptor says is not done: here, to begin a file anew. Return: how often it was."""
    precious = os.path.join(folder, 'precious')
    spec = f'mgmtdev mlx5 model on trace {precious}'.encode()
    # the last one is as a device's should be, so that the others are known to fail for their reason
    cases = [('no seals', os.getuid(), False, spec, True), ('too long', os.getuid(), True, spec.ljust(2 << 20), True),
             ('sealed', os.getuid(), True, spec, False)]
    if os.getuid() == 0:
        cases.insert(0, ('of another user', 65534, True, spec, True))
    environment = {name: value for name, value in os.environ.items() if not name.startswith('HOLDFAST')}
    environment.update(LD_PRELOAD=library, HOLDFAST_CONTROL='none')
    wrong = 0
    for name, user, sealed, text, refused in cases:
        with open(precious, 'w', encoding='ascii') as out:
            out.write('precious')
        fd = make_strange(text, user, sealed)
        subprocess.run([sys.executable, '-c', f'import os; os.fstat({fd})'], env=environment, pass_fds=(fd,), check=False,
                       stderr=subprocess.DEVNULL, timeout=60)
        os.close(fd)
        with open(precious, encoding='ascii', errors='replace') as text:
            kept = text.read() == 'precious'
        if kept != refused:
            wrong += 1
            say(f'stranger: {name}: the file is {"as it was" if kept else "begun anew"}')
    return wrong


def main():
    way, argument = sys.argv[1:] if len(sys.argv) > 2 else (None, sys.argv[1])
    if way == 'inherit':
        return use(int(argument))
    if way == 'any-file':
        return make_calls_of_any_file(int(argument))
    if way == 'receive':
        return receive(argument)
    if way == 'open':
        return open_and_hand_over(argument)
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, 'disk'), 'wb') as disk:
            disk.truncate(SIZE)
        spec = f'mgmtdev vdpasim_blk backend file,path={folder}/disk'
        status_of_open = subprocess.run([argument, 'run', '-d', spec, '--', sys.executable, __file__, 'open', folder],
                                        check=False, timeout=600, stdin=subprocess.DEVNULL).returncode
        library = os.path.join(os.path.dirname(os.path.abspath(argument)), 'libholdfast-preload.so')
        return status_of_open or refuse_strangers(library, folder)


if __name__ == '__main__':
    sys.exit(main())
