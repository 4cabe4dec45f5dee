#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The tables of docs/clients.md and README.md, made from results.json.

    table.py            write both
    table.py ROOT       a lint: complain if either is not what results.json says

Each table stands between two marks, and nothing there is written by hand.
"""
import json
import os
import sys

sys.dont_write_bytecode = True
from matrix import CLIENTS, OUTCOMES, RELEASES, ROWS  # noqa: E402

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
RESULTS = os.path.join("tests", "clients", "results.json")
BEGIN, END = "<!-- begin: tests/clients/table.py -->", "<!-- end -->"
EMPTY = {"tried": {}, "versions": {}, "rows": {}}
OTHERS = ["| `holdfast check`, and anything else that makes its calls through libc | conformance checks of network cards and "
          "disks that also pass on the real 6.12 kernel ([docs/conformance.md](docs/conformance.md)) |  |"]


def read_json(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return json.loads(json.dumps(EMPTY))


def write_json(path, results):
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1, sort_keys=True)
        file.write("\n")
    os.replace(path + ".new", path)


def result_of(results, row, release):
    """The result, or None. One that was kept before its outcome went out of use counts as not tried."""
    result = results["rows"].get(row.key, {}).get(release)
    return result if result and result["outcome"] in OUTCOMES else None


def releases_with(results, client):
    return [release for release in RELEASES if client in results["versions"].get(release, {})]


def reason(result):
    """The id of the reason for a result, in docs/clients.md."""
    return result.get("note", "") if result["outcome"] not in ("failed", "skipped") else OUTCOMES[result["outcome"]]


def cell(result):
    if not result:
        return ""
    text, why = OUTCOMES[result["outcome"]], reason(result)
    return "%s (%s)" % (text, why) if why and why != text else text


def page_table(results):
    """docs/clients.md: client x version x scenario."""
    lines = []
    for client in CLIENTS:
        releases = releases_with(results, client)
        rows = [row for row in ROWS if row.client == client and any(result_of(results, row, r) for r in releases)]
        if not rows:
            continue
        lines += ["", "| %s | %s |" % (client, " | ".join(
            "%s (%s)" % (results["versions"][r][client], RELEASES[r]) for r in releases)),
            "| --- |" + " --- |" * len(releases)]
        lines += ["| %s | %s |" % (row.title, " | ".join(cell(result_of(results, row, r)) for r in releases))
                  for row in rows]
    figures = ["| %s | %s %s | %s |" % (row.short, row.client, results["versions"][release][row.client], figure)
               for row in ROWS for release in RELEASES
               for figure in (result_of(results, row, release) or {}).get("figures", ())]
    if figures:
        lines += ["", "| figures | client | |", "| --- | --- | --- |"] + figures
    tried = ", ".join("%s on %s" % (RELEASES[r], results["tried"][r]) for r in RELEASES if r in results["tried"])
    return "\n".join(["Tried: %s." % tried] + lines)


def works(results, client, wanted):
    """README's words for the rows with a wanted outcome; where it is not so with all versions, with which."""
    words = []
    releases = releases_with(results, client)
    for row in ROWS:
        if row.client != client:
            continue
        outcomes = {r: (result_of(results, row, r) or {"outcome": ""})["outcome"] for r in releases if r in row.releases}
        found = [r for r in outcomes if outcomes[r] in wanted]
        if found:
            short = row.short
            if wanted != ("ok",):
                short += " [%s]" % ", ".join(sorted({reason(result_of(results, row, r)) for r in found}))
            versions = ", ".join(".".join(results["versions"][r][client].split(".")[:2]) for r in found)
            everywhere = all(r in found or outcomes[r] == "skipped" for r in outcomes)
            words.append(short if everywhere else "%s (%s)" % (short, versions))
    return "; ".join(words)


def readme_table(results):
    """README.md: what works with which client."""
    lines = ["| client | works | does not ([why](docs/clients.md)) |", "| --- | --- | --- |"]
    for client in CLIENTS:
        releases = releases_with(results, client)
        versions = ", ".join(dict.fromkeys(results["versions"][r][client] for r in releases))
        if releases:
            lines.append("| %s %s | %s | %s |" % (client, versions, works(results, client, ("ok",)),
                                                  works(results, client, ("refused", "client", "raw", "better", "failed"))))
    tried = ", ".join("%s (%s)" % (RELEASES[r], results["tried"][r]) for r in RELEASES if r in results["tried"])
    return "\n".join(lines + OTHERS + ["", "Tried by `make check-clients` with the packages of %s." % tried])


TABLES = {os.path.join("docs", "clients.md"): page_table, "README.md": readme_table}


def replaced(text, table):
    """Return @text with @table between the marks, or None if it has no marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    return "%s%s\n%s\n%s%s" % (before, begin, table, end, after) if begin and end else None


def check(root):
    complaints = []
    results = read_json(os.path.join(root, RESULTS))
    for path, make in TABLES.items():
        with open(os.path.join(root, path), encoding="utf-8") as file:
            text = file.read()
        if replaced(text, make(results)) != text:
            complaints.append("%s: its table is not that of %s; run tests/clients/table.py" % (path, RESULTS))
    return complaints


def write(results):
    for path, make in TABLES.items():
        path = os.path.join(ROOT, path)
        with open(path, encoding="utf-8") as file:
            text = replaced(file.read(), make(results))
        if text is None:
            sys.exit("%s has no place for the table" % path)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def record(results):
    """Make these the results that are committed, and write the tables."""
    write_json(os.path.join(ROOT, RESULTS), results)
    write(results)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        write(read_json(os.path.join(ROOT, RESULTS)))
        sys.exit(0)
    found = check(sys.argv[1])
    print("\n".join(found))
    sys.exit(1 if found else 0)
