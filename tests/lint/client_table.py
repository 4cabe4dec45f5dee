# SPDX-License-Identifier: BSD-3-Clause
"""The tables of clients in README.md and docs/clients.md are what tests/clients/results.json says, not written by hand."""
import json
import os
import sys

import lint

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'clients'))
import table  # noqa: E402

RESULTS = {'tried': {'sid': '2026-01-31'}, 'versions': {'sid': {'QEMU': '11.1'}},
           'rows': {'traffic': {'sid': {'outcome': 'ok', 'seconds': 1}}}}


def page(text):
    return 'Before.\n%s\n%s\n%s\nAfter.\n' % (table.BEGIN, text, table.END)


def tree(**changed):
    files = {path: page(make(RESULTS)) for path, make in table.TABLES.items()}
    files[table.RESULTS] = json.dumps(RESULTS)
    files.update({path: files[path].replace(*change) for path, change in changed.items()})
    return files


CASES = {
    'good': (tree(), None),
    'README by hand': (tree(**{'README.md': ('11.1', '12.0')}), 'README.md: its table'),
    'page by hand': (tree(**{'docs/clients.md': ('yes', 'no')}), 'docs/clients.md: its table'),
    'marks lost': (tree(**{'README.md': (table.END, '')}), 'README.md: its table'),
    'results by hand': (tree(**{table.RESULTS: ('"ok"', '"failed"')}), 'docs/clients.md: its table'),
}

if __name__ == '__main__':
    sys.exit(lint.main(table.check, CASES))
