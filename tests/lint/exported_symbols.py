# SPDX-License-Identifier: BSD-3-Clause
"""The preload library and the client's names.

The library defines nothing but what its version script lists. And a client that exports names (QEMU
exports thousands, synchronize_rcu among them) captures no call that the library, or a library that comes
with it, makes: the executable is searched first. What the executable takes from the C library
itself, the copies of stdout and the like, is the same object and fine.

Usage: exported_symbols.py LIBRARY VERSION_SCRIPT [CLIENT] | --self-test
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

import lint

# The C library and what the compiler links by itself; their names are the client's to take over.
SYSTEM = re.compile(r'(ld-linux|libc|libm|libdl|libpthread|librt|libgcc_s|linux-vdso|libasan|libtsan|libubsan)\b')
CLIENT = 'qemu-system-x86_64'


def symbols(path, kind):
    """Dynamic names, without those that are copies of the C library's data."""
    out = subprocess.run(['nm', '-D', kind, path], text=True, capture_output=True, timeout=600, check=True)
    names = set()
    for line in out.stdout.splitlines():
        letter, name = line.split()[-2:]
        # A single @ after a data object of an executable is a copy relocation.
        if kind == '--defined-only' and (letter == 'A' or re.search(r'[^@]@[^@]', name)):
            continue
        names.add(name.split('@')[0])
    return names


def listed(version_script):
    text = re.sub(r'/\*.*?\*/', '', open(version_script, encoding='utf-8').read(), flags=re.S)
    return set(re.findall(r'^\s*(\w+);', text.split('local:')[0], re.M))


def companions(library):
    out = subprocess.run(['ldd', library], text=True, capture_output=True, timeout=600, check=True)
    paths = re.findall(r'(/\S+) \(0x', out.stdout)
    return [path for path in paths if not SYSTEM.match(os.path.basename(path))]


def check(library, version_script, client):
    allowed = listed(version_script)
    complaints = [f'{library}: defines {name}, which {version_script} does not list'
                  for name in sorted(symbols(library, '--defined-only') - allowed)]
    if client is None:
        return complaints
    taken = symbols(client, '--defined-only')
    used = {library: symbols(library, '--undefined-only')}
    for path in companions(library):
        # Calls inside a shared library go through its own exported names, too.
        used[path] = symbols(path, '--undefined-only') | symbols(path, '--defined-only')
    for path, names in used.items():
        complaints += [f'{path}: {name} would be captured by {client}' for name in sorted(names & taken)]
    return complaints


def build(folder, name, text, *args):
    source, out = os.path.join(folder, name + '.c'), os.path.join(folder, name)
    with open(source, 'w', encoding='utf-8') as f:
        f.write(text)
    subprocess.run(['gcc', '-o', out, source, *args], check=True, timeout=600)
    return out


def self_test():
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        script = os.path.join(folder, 'script.map')
        with open(script, 'w', encoding='utf-8') as f:
            f.write('/* not; */\n{\nglobal:\n\twrapped;\nlocal:\n\t*;\n};\n')
        shared = ('-shared', '-fPIC')
        client = build(folder, 'client', '#include <stdio.h>\nint stolen(void) { return 1; }\n'
                       'int main(void) { fputs("", stderr); return 0; }\n', '-rdynamic')
        friend = build(folder, 'libfriend.so', 'int stolen(void) { return 2; }\nint friendly(void) '
                       '{ return stolen(); }\n', *shared)
        link = (friend, f'-Wl,-rpath,{folder}', '-Wl,--no-as-needed')
        cases = (
            ('good', '#include <stdio.h>\nint wrapped(void) { return fputs("", stderr); }\n',
             shared + (f'-Wl,--version-script={script}',), None),
            ('exports', 'int wrapped(void) { return 1; }\nint more(void) { return 1; }\n', shared,
             'defines more'),
            ('captured', 'int stolen(void);\nint wrapped(void) { return stolen(); }\n',
             shared + (f'-Wl,--version-script={script}',), 'stolen would be captured'),
            ('captured in a companion', 'int friendly(void);\nint wrapped(void) { return friendly(); }\n',
             shared + (f'-Wl,--version-script={script}',) + link, 'libfriend.so: stolen'),
        )
        for name, text, args, expected in cases:
            found = check(build(folder, 'lib.so', text, *args), script, client)
            if found if expected is None else not any(expected in c for c in found):
                failed.append(f'{name}: expected {expected!r}, got {found}')
    print('\n'.join(failed) or f'{len(cases)} cases behave')
    return 1 if failed else 0


def main():
    if shutil.which('nm') is None:
        print('nm is not installed')
        return lint.SKIP
    if sys.argv[1] == '--self-test':
        return self_test()
    client = sys.argv[3] if len(sys.argv) > 3 else shutil.which(CLIENT)
    complaints = check(sys.argv[1], sys.argv[2], client)
    print('\n'.join(complaints) or f'checked against {client or "no client: none is installed"}')
    return 1 if complaints else 0


if __name__ == '__main__':
    sys.exit(main())
