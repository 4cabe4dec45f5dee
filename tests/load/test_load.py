# SPDX-License-Identifier: BSD-3-Clause
"""A process with many devices, queues and mappings, or that does the same thing very often, neither grows nor becomes slow.

Usage: test_load.py HOLDFAST short|long
"""
import json
import subprocess
import sys

SHORT = ['--devices', '200', '--mappings', '100000', '--resets', '10000', '--opens', '500', '--changes', '10000']
# More memory than both is too much. A table may grow in steps; an allocator may open an arena for a thread, 132 KiB each.
MEMORY, MEMORY_KB = 1.01, 256
# Each open of a device looks at all that are open. Short parts are rough.
TIME = {'short': 6, 'long': 4}


def complaints(row, slow):
    name = row['case']
    if row['memory_ratio'] > MEMORY and row['more_kb'] > MEMORY_KB:
        yield f'{name}: memory grew by {row["memory_ratio"]:.3f}, {row["more_kb"]} KiB'
    for what in ('fds', 'threads'):
        if row['more_' + what] > 0:
            yield f'{name}: {row["more_" + what]} more {what}'
    for what in ('time_ratio', 'again_ratio'):
        if row.get(what, 0) > slow:
            yield f'{name}: {what} {row[what]:.2f}'


def main():
    holdfast, form = sys.argv[1:]
    done = subprocess.run([holdfast, 'bench', 'load', '--json', *(SHORT if form == 'short' else [])], text=True,
                          stdout=subprocess.PIPE, check=True)
    rows = json.loads(done.stdout)['rows']
    for row in rows:
        print(row)
    bad = [text for row in rows for text in complaints(row, TIME[form])]
    print('\n'.join(bad))
    return 1 if bad or len(rows) != 6 else 0


if __name__ == '__main__':
    sys.exit(main())
