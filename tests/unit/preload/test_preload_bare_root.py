# SPDX-License-Identifier: BSD-3-Clause
"""A client in a root that has nothing but itself, its C library and the preload library is served.

There are /proc, which the library reads, and an empty /dev; there is no other library and no other file of Holdfast's.
`holdfast run` stays outside and becomes unshare(1), which enters the root and becomes the client.

Usage: test_preload_bare_root.py HOLDFAST PRELOAD_LIBRARY CLIENT
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

SKIP = 77
ENTER = ['unshare', '--user', '--map-root-user', '--mount']
LIBC = re.compile(r'(libc\.so\.6|ld-linux[-\w]*\.so\.\d+)$')


def libraries(program):
    """What the loader takes along, with its paths; the loader itself among them."""
    out = subprocess.run(['ldd', program], text=True, capture_output=True, timeout=600, check=True).stdout
    return re.findall(r'(/\S+) \(0x', out)


def copy_into(root, path, at=None):
    to = root + (at or path)
    os.makedirs(os.path.dirname(to), exist_ok=True)
    shutil.copy(path, to)


def make_root(root, library, client):
    """Return: complaints"""
    needed = libraries(client)
    for path in needed:
        copy_into(root, path)
    copy_into(root, library)
    copy_into(root, client, '/client')
    return [f'the client needs {path}' for path in needed if not LIBC.search(path)]


def files_of(root):
    return sorted(os.path.relpath(os.path.join(folder, name), root)
                  for folder, _, names in os.walk(root) for name in names)


def main():
    holdfast, library, client = map(os.path.abspath, sys.argv[1:])
    if shutil.which('unshare') is None or subprocess.run([*ENTER, 'true'], capture_output=True, check=False).returncode:
        print('no user namespaces here')
        return SKIP
    with tempfile.TemporaryDirectory() as root:
        complaints = make_root(root, library, client)
        os.mkdir(root + '/dev')
        os.mkdir(root + '/proc')
        done = subprocess.run([holdfast, 'run', '-d', 'backend loopback', '--', *ENTER, 'sh', '-c',
                               'mount --rbind /proc "$0/proc" && exec chroot "$0" /client', root],
                              text=True, capture_output=True, timeout=600, check=False)
        print(f'root with {", ".join(os.path.basename(f) for f in files_of(root))}: {done.stdout.strip()}')
        if (done.returncode, done.stdout) != (0, 'a frame went out and came back\n'):
            complaints.append(f'{done.returncode}, {done.stdout!r}, {done.stderr!r}')
    print('\n'.join(complaints))
    return 1 if complaints else 0


if __name__ == '__main__':
    sys.exit(main())
