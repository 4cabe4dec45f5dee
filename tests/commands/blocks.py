# SPDX-License-Identifier: BSD-3-Clause
"""The commands that README, docs and man pages show.

In Markdown a block of commands is fenced with ```sh. A block without a language is a picture or an output; if it begins
with one of our commands, it lacks its `sh`. In a man page each block of the section EXAMPLES is commands.
A line that ends with a backslash goes on in the next one; from " # " on it is a comment.
"""
import glob
import os
import re

FENCE = re.compile(r'^```(\w*)$')
OURS = re.compile(r'(sudo )?(holdfast|make|cc|meson) ')


class Broken(Exception):
    """A page that cannot be read as the rules above say."""


def commands_of(lines):
    """Join what goes on in a next line, drop comments and empty lines."""
    joined = re.sub(r'\\\n\s*', '', '\n'.join(lines))
    stripped = (re.sub(r'(^|\s+)# .*', '', line).strip() for line in joined.split('\n'))
    return [line for line in stripped if line]


def blocks_of(text, path):
    """Yield (number of the first line, language, lines) of each fenced block."""
    language, lines, start = None, [], 0
    for number, line in enumerate(text.splitlines(), 1):
        fence = FENCE.match(line)
        if not fence:
            lines.append(line)
        elif language is None:
            language, lines, start = fence[1], [], number + 1
        else:
            yield start, language, lines
            language = None
    if language is not None:
        raise Broken('%s: the block at line %d has no end' % (path, start))


def markdown_commands(text, path):
    for start, language, lines in blocks_of(text, path):
        if language == 'sh':
            for command in commands_of(lines):
                yield start, command
        elif language == '' and lines and OURS.match(lines[0]):
            raise Broken('%s: the block at line %d begins with a command and is not fenced with ```sh' % (path, start))


def man_commands(text, path):
    before, found, after = text.partition('\n# EXAMPLES\n')
    if not found:
        return
    offset = before.count('\n') + 2
    for start, _, lines in blocks_of(re.split(r'^# ', after, 1, re.M)[0], path):
        for command in commands_of(line.replace('\\\\', '\\') for line in lines):
            yield offset + start, command


def find(root):
    """Return [(where, command)] of all pages, each command once a page, where it is shown first."""
    found = {}
    pages = [os.path.join(root, 'README.md'), *sorted(glob.glob(os.path.join(root, 'docs', '**', '*.md'), recursive=True)),
             *sorted(glob.glob(os.path.join(root, 'man', '*.scd')))]
    for path in pages:
        if not os.path.exists(path):
            continue
        with open(path, encoding='utf-8') as page:
            text = page.read()
        name = os.path.relpath(path, root)
        for line, command in (man_commands if path.endswith('.scd') else markdown_commands)(text, name):
            found.setdefault((name, command), '%s:%d' % (name, line))
    return [(where, command) for (_, command), where in found.items()]
