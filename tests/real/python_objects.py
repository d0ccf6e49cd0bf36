# SPDX-License-Identifier: MIT
"""Are a Python interpreter's objects what the interpreter says they are?

Its objects are C structs behind a header that no type describes, hang on tables that no type
describes, and are told apart only by what a field points to. Nothing in Moonheap knows of Python: the
test says heap.subtype once, and compares with what gc and sys of the interpreter count.
"""

import json
import os
import re
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "live"))
from harness import Program, Skip, check, main, tool  # noqa: E402

SCRIPT = """
import gc, json, sys

class Thing:
    def __init__(self, n):
        self.n = n
        self.name = "thing %d" % n
        self.list = [n, n + 1]

things = [Thing(i) for i in range(5000)]
table = {("k", i, str(i)): {"i": things} for i in range(20000)}
code = type((lambda: 0).__code__)

# Objects that were made with the interpreter lie in its file, not on the heap.
ranges = [line.split()[0].split("-") for line in open("/proc/self/maps") if "python" in line]
fixed = [(int(lo, 16), int(hi, 16)) for lo, hi in ranges]

def count():
    gc.collect()
    seen, kinds = {}, {}
    todo = gc.get_objects()
    mine = {id(seen), id(kinds), id(todo)}
    while todo:
        o = todo.pop()
        if id(o) in seen or id(o) in mine:
            continue
        seen[id(o)] = o
        todo += gc.get_referents(o)
        if any(lo <= id(o) < hi for lo, hi in fixed):
            continue
        kinds[type(o).__name__] = kinds.get(type(o).__name__, 0) + 1
        if type(o) is code:  # the collector does not look into these
            todo += [o.co_consts, o.co_names]
            if o.co_varnames or o.co_cellvars or o.co_freevars:
                kinds["tuple"] = kinds.get("tuple", 0) + 1  # their names
    return {k: kinds[k] for k in ("dict", "list", "tuple", "Thing", "function")}

print(json.dumps(count()), flush=True)
sys.stdin.readline()
"""

QUESTION = """
heap.subtype("PyObject", "ob_type", "tp_name")
local s = heap.snapshot()
local by = s:by("type")
for _, name in ipairs{"dict", "list", "tuple", "Thing", "function"} do
  local row = by["PyObject<" .. name .. ">"]
  printf("%s=%d\\n", name, row and row.count or 0)
end
local typed, all = 0, 0
for _, row in ipairs(s:by("type_source"):rows()) do
  all = all + row.bytes
  if row.key ~= "site" and row.key ~= "unknown" then typed = typed + row.bytes end
  printf("%s: %d blocks, %d bytes\\n", row.key, row.count, row.bytes)
end
printf("typed_per_mille=%d\\n", math.floor(1000 * typed / all))
print(s:type("PyObject<Thing>"):one():why())
"""


def test_objects():
    python = shutil.which("python3-dbg")
    if not python:
        raise Skip("no python3-dbg")
    with tempfile.TemporaryDirectory() as cache, tempfile.NamedTemporaryFile("w", suffix=".py") as f:
        made = tool("catalog", os.path.realpath(python), MOONHEAP_CATALOG=cache)
        if made.returncode:
            raise Skip("python3-dbg has no debug information here")
        f.write(SCRIPT)
        f.flush()
        with Program([python, "-B", f.name], catalog=cache, PYTHONMALLOC="malloc") as p:
            told = json.loads(p.hear())
            text = p.run(QUESTION).body
    found = dict(re.findall(r"^(\w+)=(\d+)$", text, re.M))
    print("# " + text.strip().replace("\n", "\n# "))
    for name, count in told.items():
        check(abs(int(found[name]) - count) <= 0.02 * count, f"{name}: {count}", text)
    check(int(found["typed_per_mille"]) >= 900, "bytes that have a type", text)
    check("PyObject<Thing>" in text.splitlines()[-1], "a path", text)


if __name__ == "__main__":
    main()
