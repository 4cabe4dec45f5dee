# SPDX-License-Identifier: BSD-3-Clause
"""What the lint scripts share: finding sources, telling complaints, and the self-test.

A script has `check(root) -> list of complaints` and `CASES`: small trees, as {path: text}, each with the
piece of text that a complaint about it must contain (None: there must be no complaint). The self-test
shows that the lint can fail; it is a test of its own.
"""
import os
import sys
import tempfile

SKIP = 77


def sources(root, tops=('src', 'include', 'tests', 'bench', 'examples'), ends=('.c', '.h')):
    """Paths relative to the root, sorted."""
    found = []
    for top in tops:
        for folder, folders, names in os.walk(os.path.join(root, top)):
            folders[:] = sorted(f for f in folders if not f.startswith('.') and f != '__pycache__')
            found += [os.path.relpath(os.path.join(folder, n), root) for n in names
                      if n.endswith(tuple(ends))]
    return sorted(found)


def read(root, path):
    with open(os.path.join(root, path), encoding='utf-8', errors='replace') as f:
        return f.read()


def self_test(check, cases):
    failed = 0
    for name, (files, expected) in cases.items():
        with tempfile.TemporaryDirectory() as root:
            for path, text in files.items():
                full = os.path.join(root, path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, 'w', encoding='utf-8') as f:
                    f.write(text)
            complaints = check(root)
        good = not complaints if expected is None else any(expected in c for c in complaints)
        if not good:
            failed += 1
            print(f'{name}: expected {expected!r}, got {complaints}')
    print(f'{len(cases) - failed} of {len(cases)} cases behave')
    return 1 if failed else 0


def main(check, cases):
    if sys.argv[1] == '--self-test':
        return self_test(check, cases)
    complaints = check(sys.argv[1])
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0
