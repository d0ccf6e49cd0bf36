# SPDX-License-Identifier: MIT
"""Is what docs/scripting.md says true: is there what it lists?"""
import os
import re

import harness
from harness import SOURCE, Program, check

with open(os.path.join(SOURCE, "docs/scripting.md")) as f:
    TEXT = f.read()

OBJECTS = """
local heap, s = heap, heap.snapshot{graph=false}
local older = heap.snapshot{graph=false}
local set = s:all()
local p, d, b = s:by("type"), s:diff(older, "type"), set:one()
local objects = {heap=heap, s=s, set=set, p=p, d=d, b=b}
"""


def rows():
    """The first and second cells of the tables' rows."""
    found = re.findall(r"^\| (`.*?) \| (.*) \|$", TEXT, re.M)
    check(len(found) > 40, "the tables were found", len(found))
    return [(call, meaning) for call, meaning in found
            if re.match(r"`(heap|s|set|p|d|b)[.:]", call)]


def methods(cell):
    """(object, name) of each call named in a cell."""
    return re.findall(r"`(heap|s|set|p|d|b)[.:](\w+)[({]", cell)


def answer(script, victim="/bin/cat"):
    with Program([victim]) as p:
        check(p.ask("there?") == "there?", "the victim runs")
        return p.run(script).body


def test_functions_that_work_are_there():
    names = [m for call, meaning in rows() for m in methods(call)]
    check(("heap", "wait") in names and ("set", "where") in names, "understood", names)
    script = OBJECTS + "".join(
        f'print("{o}.{n}", type(objects.{o}.{n}))\n' for o, n in names)
    missing = [line for line in answer(script).splitlines() if not line.endswith("\tfunction")]
    check(not missing, "documented and not there", *missing)


def test_fields():
    fields = [("s", n) for n in re.findall(r"`s\.(\w+)`", TEXT)]
    for line in re.findall(r"^`(b\.addr, .*?)`;", TEXT, re.M | re.S):
        fields += re.findall(r"(b)\.(\w+)", line)
    check(("s", "bytes") in fields and ("b", "site") in fields, "understood", fields)
    script = OBJECTS + "".join(f'print("{o}.{n}", objects.{o}.{n} == nil)\n' for o, n in fields
                               if n not in ("notes", "references", "tag", "sample", "count_error", "bytes_error"))
    missing = [line for line in answer(script).splitlines() if not line.endswith("\tfalse")]
    check(not missing, "documented fields that are nil", *missing)
    stats = re.search(r"`heap\.stats\(\)` \| `(.*?)`", TEXT)[1].split(", ")
    script = "".join(f'print("{n}", type(heap.stats().{n}))\n' for n in stats)
    missing = [line for line in answer(script).splitlines() if not line.endswith("\tnumber")]
    check(not missing, "documented statistics", *missing)


def test_keys():
    keys = re.findall(r'"(\w+)"', re.search(r"`set:by\(key\)` \| (.*)", TEXT)[1])
    check("site" in keys and "age" in keys, "understood", keys)
    script = OBJECTS + "".join(f'print("{k}", #set:by("{k}"):rows() > 0)\n' for k in keys)
    wrong = [line for line in answer(script).splitlines() if not line.endswith("\ttrue")]
    check(not wrong, "each key gives rows", *wrong)


def test_globals():
    names = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`(?:data|heap|run|args|print).*?) \|",
                                                       TEXT, re.M)))
    out = answer("".join(f'print("{n}", type({n}))\n' for n in names if n != "require"))
    check("nil" not in out and "printf" in out, "globals", out)
    check(answer('print(run.n, run.cause, run.pid > 0, run.script ~= nil, run.elapsed ~= nil)')
          == "1\tsignal\ttrue\ttrue\ttrue", "run")


def test_examples_run():
    examples = re.findall(r"^```lua\n(.*?)^```$", TEXT, re.M | re.S)
    check(len(examples) == 4, "examples", len(examples))
    with Program(["/bin/cat"], peak="1") as p:
        check(p.ask("there?") == "there?", "the victim runs")
        peak = p.run(examples.pop(0)).body
        check(len(peak.splitlines()) >= 3 and "traceback" not in peak, "the peak's example", peak)
        lines = [p.run(examples[0]).body for _ in range(2)]
        check(len(lines[0].splitlines()) == 3 and "traceback" not in lines[0],
              "the first example", lines[0])
        check(lines[0] == lines[1], "a moment stays as it was", *lines)
        p.run(examples[1])
        again = p.run()
        check("stack traceback" not in p.said(), "the second example", p.said())
        check(again.body.strip(), "it prints at the second signal", again)
        third = p.run(examples[2])
        check(len(third.body.splitlines()) >= 2 and "traceback" not in third.body,
              "the third example", third)


def test_canned_scripts_are_listed():
    listed = re.findall(r"^\| `(\w+)` \|", TEXT.split("## Canned scripts")[1].split("\n## ")[0],
                        re.M)
    with Program(["/bin/cat"]) as p:
        check(p.ask("there?") == "there?", "the victim runs")
        p.run('heap.snapshot{graph=false}:save("x.snap")')
        for name in listed:
            done = harness.tool("script", os.path.join(p.directory, "x.snap"), name)
            check(done.returncode == 0 and done.stdout, f"canned script {name}", done)


harness.main()
