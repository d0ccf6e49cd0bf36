# SPDX-License-Identifier: MIT
"""Do the README and the manual say what the code says: variables, defaults, commands, options?"""
import os
import re
import shutil
import subprocess

import harness
from harness import SOURCE, Skip, check, tool


def read(name):
    with open(os.path.join(SOURCE, name)) as f:
        return f.read()


def options_table():
    """Rows (variable, default, meaning) of OPTIONS_TABLE in base/options.h."""
    table = read("src/base/options.h").split("#define OPTIONS_TABLE(X)")[1].split("\n\n")[0]
    rows = re.findall(r'X\((\w+), \w+, \w+, "([^"]*)",\s*\\?\s*"([^"]*)"\)', table)
    check(len(rows) == table.count("X(") and rows, "every row of the table was understood", table)
    return [(f"MOONHEAP_{name}", default, meaning) for name, default, meaning in rows]


def test_readme_lists_the_variables():
    listed = re.findall(r"^\| `(MOONHEAP_\w+)` \| (?:`([^`]*)`|none) \| (.*) \|$", read("README.md"),
                        re.M)
    check(listed == options_table(), "README's table is base/options.h's", listed, options_table())


def test_manual_lists_the_variables():
    text = read("docs/moonheap.1").split(".Sh ENVIRONMENT")[1].split(".El")[0]
    for name, default, meaning in options_table():
        item = re.search(rf"\.It Ev {name}\n(.*?)(?=\n\.It|\Z)", text, re.S)
        check(item, f"the manual has no {name}")
        check(meaning in item[1].replace("\n", " "), f"{name}: {meaning!r}", item[1])
        given = re.search(r"\.Pq (?:Pa |Cm )?(\S+)", item[1])[1]
        check(given == (default or "none"), f"{name}: default", given, default)


def test_manual_lists_the_options():
    text = read("docs/moonheap.1")
    for command in ("run", "poke", "catalog"):
        for option in re.findall(r"^  --(\w+)", tool("help", command).stdout, re.M):
            check(f".It Fl -{option}\n" in text or f".It Fl -{option} " in text,
                  f"the manual has no --{option} of {command}")
    for command in re.findall(r"^  (\w+) ", tool("help").stdout, re.M):
        check(f".It Cm {command}\n" in text or command in ("moonheap", "echo"),
              f"the manual has no {command}")


def test_manual_is_well_formed():
    if not shutil.which("mandoc"):
        raise Skip("mandoc is not installed")
    done = subprocess.run(["mandoc", "-Tlint", "-Wstyle", f"{SOURCE}/docs/moonheap.1"],
                          capture_output=True, text=True, timeout=60)
    said = [line for line in done.stdout.splitlines() if "outdated mandoc.db" not in line]
    check(not said, "mandoc -Tlint has no complaint", "\n".join(said))


def test_names_in_documents_exist():
    """Paths that the documents mention are in the tree."""
    missing = []
    for name in ["README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/scripting.md"]:
        for path in re.findall(r"`((?:src|tests|scripts|docs|include|lua)/[\w./]*\w/?)`",
                               read(name)):
            if not re.search("ROOM|NAME", path) and not os.path.exists(f"{SOURCE}/{path}"):
                missing.append(f"{name}: {path}")
    check(not missing, "no such files", *missing)


def test_links_lead_somewhere():
    missing = []
    for name in ["README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/scripting.md"]:
        folder = os.path.dirname(os.path.join(SOURCE, name))
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", read(name)):
            if not os.path.exists(os.path.join(folder, target)):
                missing.append(f"{name}: {target}")
    check(not missing, "broken links", *missing)


harness.main()
