# SPDX-License-Identifier: MIT
"""Does a saved snapshot say the same as the live process did?

Context: test. The same script runs on the live snapshot, and by `moonheap script` on the saved
file; the same bytes must come out, query by query.
"""

import os

from harness import Program, check, main, tool, victim

SAVE = """
data.s = heap.snapshot{graph=false}
print(data.s:save(args[1]))
"""

QUERIES = """
local s = data.s or heap.snapshot{graph=false}
print(#s, s.bytes, s.pid, s.complete, s.pause_ms, string.format("%.6f", s.time))
for _, key in ipairs{"type", "site", "stack", "function", "file", "module", "size", "thread",
                     "age", "tag"} do
    local p = s:by(key)
    print("--- by " .. key)
    for i, row in ipairs(p:rows()) do
        print(i, row.key, row.count, row.bytes, #row.set)
        if i >= 100 then break end
    end
    p:print{limit=20}
end
print("--- by function")
s:by(function(b) return b.size // 100 end):print{}
local nodes = s:all():where{stack_has="make_node"}
local big = s:all():where{min_size=500}
print(#nodes, nodes.bytes, #big, big.bytes, #(nodes | big), #(nodes & big), #(s:all() - nodes),
      #(~nodes), nodes == nodes, nodes <= s:all())
print(#s:site("make_node"), #s:site("make_.*", {pattern=true}), #s:type("nothing"))
for _, b in ipairs(nodes:largest(5)) do print(b, b.addr, b.size, b.site, b.thread) end
for _, b in ipairs(nodes:sample(5, 42)) do print(b, b.age, b.type, b.type_source, b.tag) end
for _, b in ipairs(nodes:oldest(5)) do print(b.stack) end
local one = nodes:one()
print(s:at(one.addr + 3) == one, s:at(one.addr + 3))
print(s:at(8))
for _, row in ipairs((s:by("site") - s:by("site")):rows()) do print(row.key, row.count_delta) end
local entries = 0
for _ in pairs(s:by("site"):table()) do entries = entries + 1 end
print(entries)
s:diff(s, "site"):print{}
print(#s:new_since(s), #s:gone_since(s))
print(pcall(function() return nodes:by("nonsense") end))
"""


def first_difference(a, b):
    for n, (x, y) in enumerate(zip(a.split("\n"), b.split("\n")), 1):
        if x != y:
            return f"line {n}\nlive    {x!r}\noffline {y!r}"
    return f"lengths {len(a)} and {len(b)}"


def inner(text):
    """What stands between DBG>> and <<DBG, where those lines are printed at all."""
    lines = text.split("\n")
    if lines and lines[0].startswith("DBG>>"):
        lines = lines[1:next(i for i, line in enumerate(lines) if line.startswith("<<DBG"))]
    return "\n".join(lines).rstrip("\n")


def test_same_bytes():
    with Program([victim("puppet")], args="snap.moonheap") as program:
        for command in ("node 3000", "buffer 200", "leak 33"):
            program.ask(command)
        run = program.run(SAVE)
        path = os.path.join(program.directory, "snap.moonheap")
        check(os.path.exists(path), "the snapshot is saved", run)
        live = program.run(QUERIES).body.rstrip("\n")
        check("traceback" not in live and live.count("---") == 11, "the queries work", live[-1500:])
        check("make_node" in live, "sites are named", live[:1500])
        offline = tool("script", path, program.script_path)
        check(offline.returncode == 0, "moonheap script succeeds", offline.stderr)
        check(inner(offline.stdout) == live, "offline says the same",
              first_difference(live, inner(offline.stdout)))
        loaded = os.path.join(program.directory, "loaded.lua")
        program.write_script(f"data.s = heap.load({path!r})" + QUERIES, loaded)
        offline = tool("script", path, loaded)
        lines = inner(offline.stdout).replace("loaded.lua", "debug_script.lua")
        check(inner(lines) == live, "heap.load says the same", first_difference(live, lines))
        # The process and its files are not needed any more.
        program.close()
        check(not os.path.exists(f"/proc/{program.pid}"), "the program is gone")


def test_saved_offline_after_the_process():
    with Program([victim("puppet")], args="snap.moonheap") as program:
        program.ask("node 777")
        program.run(SAVE)
        path = os.path.join(program.directory, "snap.moonheap")
        check(program.finish() == 0, "the program ends")
        count = os.path.join(program.directory, "count.lua")
        program.write_script("print(#heap.snapshot():site('make_node'), heap.snapshot().pid)",
                             count)
        offline = tool("script", path, count)
        check(inner(offline.stdout).split() == ["777", str(program.pid)], "the file is enough",
              offline)


def test_live_acts_are_refused_offline():
    with Program([victim("puppet")], args="snap.moonheap") as program:
        program.run(SAVE)
        path = os.path.join(program.directory, "snap.moonheap")
        bad = os.path.join(program.directory, "bad.lua")
        program.write_script("error('deliberate')", bad)
        result = tool("script", path, bad)
        check(result.returncode == 1 and "deliberate" in result.stdout + result.stderr,
              "a script error is exit status 1", result)
        result = tool("script", path + ".missing", bad)
        check(result.returncode == 2 and "missing" in result.stderr, "no file: exit 2", result)
        with open(path, "rb") as f:
            data = f.read()
        with open(path, "wb") as f:
            f.write(data[:len(data) // 2])
        result = tool("script", path, bad)
        check(result.returncode == 2 and "deliberate" not in result.stdout + result.stderr,
              "half a file is refused", result)


if __name__ == "__main__":
    main()
