# SPDX-License-Identifier: MIT
"""Each way of holding a block: is it seen, named rightly, and gone when the holder lets go? And do
LeakSanitizer and valgrind say the same of the same program at the same moments?

Context: test. ways holds blocks in each function hold_*; a block's identity, which is the same in
every run, is that function and the block's size.
"""

import collections
import os
import re
import shutil
import subprocess
import tempfile

from harness import BUILD, WHOLE, Program, Skip, check, environment, main, victim

LOOK = WHOLE + """
local s = whole_snapshot()
print("complete", s.complete)
for b in s:all():where{stack_has="hold_"}:each() do
    local weak = {}
    for _, ref in ipairs(b:referrers()) do weak[#weak + 1] = ref.weak or "strong" end
    print(b.stack:match("hold_[%w_]+"), b.size, b.reachable, table.concat(weak, ","), b:why())
end
"""

# A payload of each way: its size, what `why` begins with, what it ends with.
HELD = {
    "hold_global": (1001, "way_global", ""),
    "hold_static": (1002, "way_static", ""),
    "hold_interior": (1003, "way_interior", "interior pointer"),
    "hold_block": (2004, "way_block", ""),
    "hold_arena": (1006, "mapping", ""),
    "hold_protected": (1007, "mapping", ""),
    "hold_thread_local": (1008, "thread-local way_thread_local of thread", ""),
    "hold_on_stack": (1009, "stack of thread", ""),
    "hold_in_register": (1010, "register rbx of thread", ""),
    "hold_module": (1011, "plugin_holder", ""),
    "hold_unloaded": (1012, "plugin_holder", ""),
    "hold_multiple": (1024, "way_holders", "interior pointer"),
    "hold_array": (328, "way_holders", "interior pointer"),  # 8 for the count, 40 of 8
    "hold_vector": (4015, "way_holders", ""),
    "hold_spare": (2016, "way_holders", ""),
    "hold_map": (5017, "way_holders", ""),
    "hold_hash": (5018, "way_holders", ""),
    "hold_string": (2020, "way_holders", ""),  # 2019 and a NUL
    "hold_list": (4020, "way_holders", ""),
    "hold_deque": (3021, "way_holders", ""),
    "hold_shared": (1024, "way_holders", ""),
    "hold_joined": (2023, "way_holders", ""),
    "hold_unique": (1024, "way_holders", ""),
    "hold_function": (2025, "way_holders", ""),
}
SPARE = ("hold_spare", 3016)  # what was taken out of the vector, which still has its address
NEVER_HELD = {("hold_cycle", 1005), ("hold_cycle", 2005)}

# LeakSanitizer looks into no mapping that it was not told of (__lsan_register_root_region), and
# valgrind into none that is write-protected.
ONLY_LEAK_SANITIZER = {"hold_arena": (1, 1006), "hold_protected": (1, 1007)}
ONLY_VALGRIND = {"hold_protected": (1, 1007)}

Block = collections.namedtuple("Block", "way size reachable weak why")


def plugins(folder):
    """Two modules: the same file under two names."""
    paths = [os.path.join(folder, name) for name in ("kept.so", "unloaded.so")]
    for path in paths:
        shutil.copy(victim("holder.so"), path)
    return paths


def symbols_of(path):
    """[(is it thread-local, address, size, name)] of a file's variables, by readelf."""
    lines = subprocess.run(["readelf", "-sW", path], capture_output=True, text=True,
                           timeout=60).stdout.splitlines()
    rows = [re.fullmatch(r" *\d+: ([0-9a-f]+) +(\d+) (OBJECT|TLS) .* (\w+)", line)
            for line in lines]
    return [(m[3] == "TLS", int(m[1], 16), int(m[2]), m[4]) for m in rows if m]


def holder_named(why, symbols):
    """What `why` begins with, a place in a file said as the variable that lies there."""
    m = re.match(r"(global |thread-local )([\w.-]+)\+0x([0-9a-f]+)", why)
    if not m or m[2] not in symbols:
        return re.sub("^global ", "", why)
    local, place = m[1] == "thread-local ", int(m[3], 16)
    for of_thread, address, size, name in symbols[m[2]]:
        if of_thread == local and address <= place < address + size:
            name = re.sub(r"^_ZL\d+", "", name)
            return "thread-local " + name + why[m.end():] if local else name
    return why


def blocks_of(run):
    """[Block]"""
    check(re.search(r"^complete\ttrue$", run.body, re.M), "every thread was stopped", run)
    found = []
    for line in run.body.splitlines()[1:]:
        way, size, reachable, weak, why = line.split("\t")
        found.append(Block(way, int(size), reachable == "true", weak.split(","), why))
    return found


def totals(lost):
    """{way: (blocks, bytes)} of [(way, blocks, bytes)]: sizes are such that it tells the blocks."""
    found = collections.defaultdict(lambda: (0, 0))
    for way, count, size in lost:
        found[way] = (found[way][0] + count, found[way][1] + size)
    return dict(found)


def unreachable(blocks):
    return totals((b.way, 1, b.size) for b in blocks if not b.reachable)


def one(blocks, way, size):
    found = [b for b in blocks if (b.way, b.size) == (way, size)]
    check(len(found) == 1, f"{way} has one block of {size}", blocks)
    return found[0]


def check_names(blocks, threads, symbols):
    for way, (size, begins, ends) in HELD.items():
        block = one(blocks, way, size)
        check(block.reachable, f"{way} is reachable", block)
        holder = holder_named(block.why, symbols)
        check(holder.startswith(begins), f"{way}: the holder is named {begins}", holder, block)
        if begins.endswith("of thread"):
            check(re.match(rf"{begins} \w+ {threads[way]}\b", holder), f"{way}: its thread",
                  holder, threads)
            function = way != "hold_thread_local" and way
            check(f", in {function}" in holder or not function, f"{way}: its function", holder)
        remark = re.search(r" \(only by: (.*)\)$", block.why)
        check((remark[1] if remark else "") == ends, f"{way}: its weakness", block)
        check((ends or "strong") in block.weak, f"{way}: its referrers say so too", block)
    spare = one(blocks, *SPARE)
    check(spare.reachable and spare.why.endswith("(only by: unused tail)"),
          "what is behind a vector's end says so", spare)
    check("unused tail" in spare.weak and "strong" not in spare.weak, "and its referrers do", spare)


def ours(folder):
    """What is unreachable at both moments, after the names at the first were checked."""
    paths = plugins(folder)
    symbols = {os.path.basename(p): symbols_of(p) for p in [victim("ways"), *paths]}
    with Program([victim("ways"), *paths]) as program:
        threads = {}
        while (line := program.hear()) != "held":
            way, tid = line.split()
            threads[way] = tid
        held = blocks_of(program.run(LOOK))
        check_names(held, threads, symbols)
        check(program.ask("") == "dropped", "all let go")
        dropped = blocks_of(program.run(LOOK))
        for way, (size, _, _) in [*HELD.items(), (SPARE[0], (SPARE[1], "", ""))]:
            check(not one(dropped, way, size).reachable, f"{way} let go", dropped)
        return unreachable(held), unreachable(dropped)


def reports(argv, folder, **variables):
    """What another says at both moments."""
    run = subprocess.run([*argv, *plugins(folder)], stdin=subprocess.DEVNULL, text=True,
                         capture_output=True, timeout=100, errors="replace",
                         env=environment(moonheap=False) | variables)
    refused = re.search(r"LeakSanitizer has encountered a fatal error.*", run.stderr)
    if refused:
        raise Skip(f"{refused[0]} (it cannot run where ptrace is denied)")
    parts = re.split(r"\bmoment \w+\n", run.stderr)
    check(len(parts) == 4 and run.returncode == 0, "it came to both moments", run.returncode,
          run.stderr)
    return parts[1:3]


def groups(report, heading):
    """[(way, blocks, bytes)] of the paragraphs whose first line has such a heading, with groups
    named bytes and blocks."""
    found = []
    for paragraph in re.split(r"\n(?:==\d+== )?\n", report):
        m = re.search(heading, paragraph)
        way = re.search(r"\bhold_\w+", paragraph)
        if m and way:
            found.append((way[0], int(m["blocks"].replace(",", "")),
                          int(m["bytes"].replace(",", ""))))
    return found


def leak_sanitizer(folder):
    found = reports([victim("ways_leak_sanitizer")], folder,
                    LSAN_OPTIONS="fast_unwind_on_malloc=0:exitcode=0")
    check("ERROR: LeakSanitizer" in found[1], "LeakSanitizer looked", found)
    heading = r"leak of (?P<bytes>\d+) byte\(s\) in (?P<blocks>\d+) object"
    return [totals(groups(report, heading)) for report in found]


def valgrind(folder):
    if not shutil.which("valgrind"):
        raise Skip("no valgrind (Debian: valgrind)")
    found = reports(["valgrind", "--leak-check=full", "--show-leak-kinds=all", "--num-callers=40",
                     "--fair-sched=try", victim("ways")], folder)
    heading = (r"(?P<bytes>[\d,]+)(?: direct, [\d,]+ indirect\))? bytes in "
               r"(?P<blocks>[\d,]+) blocks are (?:%s) lost")
    possibly = groups(found[0], heading % "possibly")
    check(("hold_interior", 1, 1003) in possibly, "an interior pointer is a maybe to it", possibly)
    check({way for way, _, _ in possibly} <= {"hold_interior", "hold_module", "hold_unloaded"},
          "the loader has others, and only it", possibly)
    return [totals(groups(report, heading % "definitely|indirectly")) for report in found]


def compare(others, blind):
    """Against what another finds; `blind` is what it does not see held."""
    folder = tempfile.mkdtemp(prefix="moonheap-test-")
    try:
        theirs = others(folder)
        mine = ours(folder)
    finally:
        shutil.rmtree(folder)
    check(mine[0] == {"hold_cycle": (2, 3010)}, "the cycle, and nothing else", mine[0])
    check(len(mine[1]) > len(HELD), "then all of them", mine[1])
    for moment, expected, found in zip(("held", "dropped"), (mine[0] | blind, mine[1]), theirs):
        check(found == expected, f"the same blocks are lost when {moment}",
              {way: (found.get(way), expected.get(way)) for way in found | expected
               if found.get(way) != expected.get(way)})


def test_as_leak_sanitizer():
    compare(leak_sanitizer, ONLY_LEAK_SANITIZER)


def test_as_valgrind():
    compare(valgrind, ONLY_VALGRIND)


if __name__ == "__main__":
    main()
