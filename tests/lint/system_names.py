#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""No macro of ours has a name that a system header defines.

Such a name builds until a file includes that header, or a header of another release includes it. So each macro is compared
with all that the system headers define which any file of the tree includes. A fallback stands in an #ifndef of its name.

Usage: system_names.py ROOT | --self-test
Exit status: 0 if none has.
"""
import os
import pathlib
import re
import subprocess
import sys

DEFINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", re.M)
GUARD = re.compile(r"^[ \t]*#[ \t]*ifndef[ \t]+(\w+)", re.M)
INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]+<([^>]+)>", re.M)
ON_PURPOSE = {"tests/kernel/raw_file_calls.h"}  # replaces calls of the C library


def system_macros(headers):
    text = "".join(f"#if __has_include(<{h}>)\n#include <{h}>\n#endif\n" for h in sorted(headers))
    done = subprocess.run([*os.environ.get("CC", "cc").split(), "-D_GNU_SOURCE", "-dM", "-E", "-"], input=text, text=True,
                          stdout=subprocess.PIPE, check=True)
    return set(DEFINE.findall(done.stdout))


def collisions(sources):
    taken = system_macros({h for text in sources.values() for h in INCLUDE.findall(text)})
    for path, text in sources.items():
        for name in sorted((set(DEFINE.findall(text)) - set(GUARD.findall(text))) & taken):
            if path not in ON_PURPOSE and not name.startswith("_"):
                yield f"{path}: {name} is the name of a macro in a system header"


def self_test():
    found = list(collisions({"a.c": "#define CTRL 1\n#define MINE 2\n#ifndef EOF\n#define EOF 3\n#endif\n",
                             "b.c": "#include <sys/ioctl.h>\n#include <stdio.h>\n#include <no/such.h>\n"}))
    return 0 if found == ["a.c: CTRL is the name of a macro in a system header"] else 1


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
