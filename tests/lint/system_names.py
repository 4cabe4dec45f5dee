#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""No macro of ours has a name that a system header defines.

Such a name builds until a file includes that header, or a header of another release includes it. So each macro is compared
with all that the system headers define which any file of the tree includes. A fallback stands in an #ifndef of its name,
or in that of the first of its kind, which came with it.

Usage: system_names.py ROOT | --self-test
Exit status: 0 if none has.
"""
import os
import pathlib
import re
import subprocess
import sys

DEFINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", re.M)
LINE = re.compile(r"^[ \t]*#[ \t]*(ifndef|if|ifdef|endif|define)\b[ \t]*(\w*)[ \t]*(.*)$", re.M)
INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]+<([^>]+)>", re.M)
ON_PURPOSE = {"tests/kernel/raw_file_calls.h"}  # replaces calls of the C library


def system_macros(headers):
    text = "".join(f"#if __has_include(<{h}>)\n#include <{h}>\n#endif\n" for h in sorted(headers))
    done = subprocess.run([*os.environ.get("CC", "cc").split(), "-D_GNU_SOURCE", "-dM", "-E", "-"], input=text, text=True,
                          stdout=subprocess.PIPE, check=True)
    return set(DEFINE.findall(done.stdout))


def own_names(text):
    """Return the macros that are no fallbacks. What guards a header has no value."""
    names, blocks = set(), []  # each block: what it is an #ifndef of, and whether that is defined in it
    for word, name, value in LINE.findall(text):
        if word == "define":
            for block in blocks:
                block[1] |= block[0] == name and bool(value)
            if not any(is_defined for _, is_defined in blocks):
                names.add(name)
        elif word != "endif":
            blocks.append([name if word == "ifndef" else "", False])
        elif blocks:
            blocks.pop()
    return names


def collisions(sources):
    taken = system_macros({h for text in sources.values() for h in INCLUDE.findall(text)})
    for path, text in sources.items():
        for name in sorted(own_names(text) & taken):
            if path not in ON_PURPOSE and not name.startswith("_"):
                yield f"{path}: {name} is the name of a macro in a system header"


def self_test():
    found = list(collisions({"a.c": "#define CTRL 1\n#define MINE 2\n#ifndef EOF\n#define EOF 3\n#define SEEK_SET 4\n#endif\n",
                             "b.c": "#include <sys/ioctl.h>\n#include <stdio.h>\n#include <no/such.h>\n",
                             "c.h": "#ifndef C_H\n#define C_H\n#if 1\n#define SEEK_CUR 5\n#endif\n#endif\n",
                             "d.c": "#ifndef EOF\n#define SEEK_END 6\n#define EOF 3\n#endif\n"}))
    return 0 if found == [f"{path}: {name} is the name of a macro in a system header"
                          for path, name in (("a.c", "CTRL"), ("c.h", "SEEK_CUR"), ("d.c", "SEEK_END"))] else 1


def main(argument):
    if argument == "--self-test":
        return self_test()
    root = pathlib.Path(argument)
    found = list(collisions({str(path.relative_to(root)): path.read_text(encoding="utf-8")
                             for folder in ("src", "include", "tests", "examples")
                             for path in sorted((root / folder).rglob("*.[ch]"))}))
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
