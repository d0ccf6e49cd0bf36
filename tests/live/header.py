# SPDX-License-Identifier: MIT
"""What a program tells by include/moonheap.h: its own blocks, roots, tags. And nothing without us.

Context: test. The victim's objects are of 44 bytes, one each 48, and only the third is held from
outside of the pool; what it allocates with malloc has sizes of its own: 2001 and so on.
"""

import os
import re
import shutil
import subprocess
import tempfile

from harness import SOURCE, WHOLE, Program, check, environment, main, numbers, tool, victim

LOOK = WHOLE + """
local s = whole_snapshot()
local function say(name, value) print(name .. "=" .. tostring(value)) end
assert(s.complete)
say("blocks", #s) say("bytes", s.bytes)
local st = heap.stats()
for name, value in pairs(st) do say(name, value) end
local reached = {}
for b in s:all():where{min_size=2001, max_size=2099}:each() do
    print("held", b.size, b.reachable, b:why())
end
for b in s:all():where{min_size=65536, max_size=65536}:each() do
    print("held", b.size, b.reachable, b:why())
end
for key, set in pairs{objects=s:all():where{min_size=44, max_size=44}} do
    say(key, #set) say(key .. "_bytes", set.bytes)
    say(key .. "_unreachable", #(set & s:unreachable()))
end
"""


class Victim(Program):
    def __init__(self, **variables):
        super().__init__([victim("header")], **variables)

    def act(self, *lines):
        for line in lines:
            answer = self.ask(line)
        return answer

    def look(self):
        run = self.run(LOOK)
        held = {int(size): (reachable == "true", why) for size, reachable, why
                in re.findall(r"^held\t(\d+)\t(\w+)\t(.*)$", run.body, re.M)}
        return numbers(run.body), held, run


COMPILED = """
#include <moonheap.h>
int main(void)
{
    static int x[4];
    moonheap_alloc(x, sizeof x);
    moonheap_move(x, x + 1, 4);
    moonheap_free(x + 1);
    moonheap_root(x, sizeof x, "x");
    moonheap_ignore(x);
    moonheap_tag(x, "an x");
    moonheap_tag_push("t");
    moonheap_tag_pop("t");
    return moonheap_active() + moonheap_run("nothing.lua");
}
"""


def test_compiles_and_does_nothing_without_the_library():
    folder = tempfile.mkdtemp(prefix="moonheap-test-")
    try:
        for name in ("x.c", "x.cpp"):
            with open(os.path.join(folder, name), "w") as f:
                f.write(COMPILED)
        ways = [(compiler, standard, "x.c") for compiler in ("gcc", "clang")
                for standard in ("gnu99", "c11")]
        ways += [(compiler, standard, "x.cpp") for compiler in ("g++", "clang++")
                 for standard in ("c++11", "c++17")]
        built = 0
        for compiler, standard, name in ways:
            if not shutil.which(compiler):
                continue
            for link in (["-fPIE", "-pie"], ["-fno-pie", "-no-pie"]):
                command = [compiler, f"-std={standard}", "-O1", "-Wall", "-Wextra", "-pedantic",
                           "-Wshadow", "-Werror", "-I", f"{SOURCE}/include", *link, name, "-o",
                           "x"]
                done = subprocess.run(command, cwd=folder, capture_output=True, text=True,
                                      timeout=60)
                check(done.returncode == 0, " ".join(command), done.stderr)
                ran = subprocess.run(["./x"], cwd=folder, env=environment(moonheap=False),
                                     timeout=20)
                check(ran.returncode == 0, "all is nothing", command, ran.returncode)
                built += 1
        check(built >= 4, "some compiler is there", built)
    finally:
        shutil.rmtree(folder)


def test_blocks_inside_a_block_of_mallocs():
    with Victim() as v:
        check(v.act("active", ) == "1", "the library is there")
        before, _, _ = v.look()
        v.act("pool")
        n, held, run = v.look()
        check(n["objects"] == 100 and n["objects_bytes"] == 4400, "all objects", run.body)
        check(n["custom_blocks"] == 100 and n["custom_bytes"] == 4400, "counted apart", run.body)
        check(n["blocks"] == n["live_blocks"] + 100, "they are listed", run.body)
        check(n["bytes"] == n["live_bytes"], "each byte is counted once", run.body)
        check(n["live_bytes"] - before["live_bytes"] == 65536 + 2001 + 2002, "malloc's", run.body)
        # the first two objects of the list are before the third, which is the held one
        check(n["objects_unreachable"] == 2, "a pool holds nothing by holding it", run.body)
        check(re.match(r"global header\+0x\w+ → site:pool_get[^→]*\+0x8 → site:pool", held[2001][1]),
              "held by an object of the pool", held)
        check(held[65536][0], "the pool is there as long as an object of it is used", held)
        check(re.search(r"pool_get[^→]* → site:pool[^→]*\+0x1300 → site:pool", held[2002][1]),
              "held by the pool's own room", held)
        v.act("drop pool")
        n, held, run = v.look()
        check(n["objects_unreachable"] == 100, "nobody holds any of them", run.body)
        check(not any(held[size][0] for size in (2001, 2002, 65536)), "nor the rest", held)
        v.act("free pool")
        n, held, run = v.look()
        check(n["objects"] == 0 and n["custom_blocks"] == 0, "they went with the pool", run.body)
        check(n["blocks"] == n["live_blocks"], "nothing of it is left", run.body)


def test_stacks_and_the_script_offline():
    with Victim(args="snap.moonheap") as v:
        v.act("pool", "tags")
        script = """
            local s = args[2] and heap.load(args[2]) or heap.snapshot()
            if s.pid == run.pid then s:save(args[1]) end
            s = heap.load(args[1])
            for _, key in ipairs{"stack", "tag", "type"} do
                for _, row in ipairs(s:by(key):rows()) do print(key, row.key, row.count, row.bytes) end
            end
            print(#s:unreachable(), heap.stats().custom_blocks)
        """
        live = v.run(script).body.strip()
        # with debug information the header's own inlined function stands before its caller
        check(re.search(r"^stack\t(moonheap_alloc < )?pool_get[^<]* < fill[^<]* < pool[^<]* < main"
                        r".*\t100\t4400$", live, re.M), "the call stack of the pool's caller", live)
        path = os.path.join(v.directory, "offline.lua")
        with open(path, "w") as f:
            f.write("local s = heap.snapshot()\n" + script[script.index("for _"):])
        offline = tool("script", os.path.join(v.directory, "snap.moonheap"), path)
        check(offline.returncode == 0 and offline.stdout.strip() == live, "the same offline", live,
              offline.stdout, offline.stderr)


def test_blocks_in_mapped_and_static_memory():
    with Victim() as v:
        v.act("map")
        n, held, run = v.look()
        check(n["objects"] == 102 and n["objects_unreachable"] == 2, "two are lost", run.body)
        check(re.match(r"global .* → site:pool_get[^→]*\+0x8 → site:map_arena", held[2003][1]),
              "by an object", held)
        check(re.match(r"mapping 0x\w+ \+0x1300 → site:map_arena", held[2004][1]),
              "the arena's own room is a root", held)
        check(not held[2005][0] and not held[2006][0], "a lost object is no root", held)
        v.act("unmap")
        n, held, run = v.look()
        check(n["objects"] == 1, "objects of unmapped memory are not listed", run.body)


def test_declared_roots():
    with Victim() as v:
        v.act("share")
        check(not v.look()[1][2010][0], "what other processes may hold is no root")
        v.act("root")
        held = v.look()[1]
        check(held[2010] == (True, held[2010][1]) and
              held[2010][1].startswith("declared shared cache +0x28 → "), "by its name", held)
        v.act("unroot")
        check(not v.look()[1][2010][0], "no more")


def test_ignored():
    with Victim() as v:
        v.act("leak")
        held = v.look()[1]
        check(not held[2011][0] and not held[2012][0], "a leak of two", held)
        v.act("ignore", "active")
        held = v.look()[1]
        check(held[2011][0] and held[2012][0], "and what it holds", held)
        rows = v.run("for _, r in ipairs(heap.snapshot():roots()) do print(r.key, r.count) end")
        check(re.search(r"^ignored\t2$", rows.body, re.M), "a kind of root", rows.body)


def test_tags():
    with Victim() as v:
        v.act("tags")
        run = v.run("""
            local s = heap.snapshot{graph=false}
            for b in s:all():where{min_size=3001, max_size=3005}:each() do
                print(b.size, b.tag, b.type, b.type_source)
            end
            for b in s:all():where{min_size=44, max_size=44}:each() do
                print(b.size, b.tag, b.type, b.type_source)
            end
            print("where", #s:all():where{tag="inner"}, #s:all():where{tag="nothing"},
                  #s:type("by hand"), #s:by("tag")["other"].set)
        """)
        rows = sorted(re.findall(r"^(\d+\t.*)$", run.body, re.M))
        site = [r for r in rows if r.startswith(("3001\tnil", "3005", "44\tnil"))]
        check(len(site) == 4 and all(r.endswith("\tsite") and "\tnil\tsite:" in r for r in site),
              "a thread has tags of its own; no name is none; one may be taken away", run.body)
        for row in ("3001\tmain tag\tmain tag\ttag", "44\tmain tag\tmain tag\ttag"):
            check(rows.count(row) == 1, row, run.body)
        for row in ("3002\tinner\tinner\ttag", "3003\tother\tother\ttag",
                    "3004\tby hand\tby hand\ttag"):
            check(rows.count(row) == 2, row, run.body)
        check("where\t2\t0\t2\t2" in run.body, "where, type and by", run.body)


def test_bad_calls_are_counted_and_harmless():
    with Victim() as v:
        v.look()
        v.act("bad")
        n, _, run = v.look()
        check(n["misuses"] == 8 and n["lost"] == 1 and n["custom_blocks"] == 0, "counted", run.body)
        check(v.finish() == 0, "the program ends well", v.stderr())


def test_children():
    with Victim() as v:
        v.act("pool")
        v.look()  # with an agent
        v.write_script("""
            local s = heap.snapshot()
            local at = s:all():where{min_size=44, max_size=44}
            local tagged = s:all():where{tag="child"}
            print("child", #at, #tagged)
            assert(#at == 101 and #tagged == 1 and tagged:one().size == 4001)
        """, os.path.join(v.directory, "child.lua"))
        check(v.ask("fork") == "0", "the verdict of the child's script", v.said(), v.stderr())
        check(v.hear() == "0", "the child ends well")
        check(v.look()[0]["objects"] == 100, "the parent knows nothing of the child's")


def test_many_at_once():
    count = """
        local s = heap.snapshot{graph=false}
        local set = s:all():where{max_size=64, site="hammer", pattern=true}
        print(#set, set.bytes, heap.stats().custom_blocks, heap.stats().custom_bytes,
              heap.stats().misuses, heap.stats().lost)
    """
    with Victim() as v:
        v.act("hammer")
        for _ in range(2):
            v.run("heap.snapshot() heap.snapshot{graph=false}")
        blocks, size = v.act("rest").split()
        got = v.run(count).body.split()
        check(got == [blocks, size, blocks, size, "0", "0"], "as the victim counts", got, blocks,
              size)
        v.act("end hammer")
        check(v.run(count).body.split()[0] == "0", "all of it is unmapped")


if __name__ == "__main__":
    main()
