# SPDX-License-Identifier: MIT
"""Does a block that only a thread's stack or register holds name the function that holds it? And is
the stack that is shown of each thread the one that gdb shows?

Context: test. standing has a thread in each kind of place; sizes tell its blocks apart.
"""

import os
import re
import shutil
import subprocess

from harness import WHOLE, Program, Skip, check, main, tool, victim

VICTIMS = (["standing"], ["standing_framed"], ["standing", "deny-ptrace"])
SIGNAL = "<signal handler called>"

HELD = WHOLE + """
local s = whole_snapshot()
print(s.complete, s.stop)
for b in s:all():each() do
    local ref = b:referrers()[1]
    if b.size >= 1001 and b.size <= 1011 then print(b.size, b:why(), ref and ref.root) end
end
print("threads")
for _, t in ipairs(s:threads()) do print(t.tid, t.name, t.stack) end
"""

THREADS = """
for _, t in ipairs(heap.threads()) do print(t.tid, t.name, t.stack) end
"""


def told(program):
    """{size: (tid, function)}"""
    found = {}
    while (line := program.hear()) != "ready":
        size, tid, function = line.split()
        found[int(size)] = (int(tid), function)
    return found


def functions(stack):
    return [re.sub(r" \(.*\)$", "", frame) for frame in stack.split(" < ")]


def threads_of(lines):
    """{tid: [function], innermost first}"""
    rows = [line.split("\t") for line in lines]
    return {int(tid): functions(stack) for tid, _, stack in rows}


def in_order(wanted, found):
    rest = iter(found)
    return all(any(f == w for f in rest) for w in wanted)


def check_threads(threads, held, evidence):
    def stack_of(size):
        return threads[held[size][0]]

    expected = {
        1001: ["wait_for_end", "inner_call", "middle_call", "outer_call"],
        1004: ["poll_for_events"],
        1005: ["spin_around", "spin"],
        1006: ["wait_for_end", "handle", SIGNAL, "interrupted", "take_signal"],
        1008: ["wait_for_end", "handle", SIGNAL, "interrupted", "take_signal"],
        1010: ["wait_with_register"],
        1011: ["wait_for_end"] + ["descend"] * 200,
    }
    for size, wanted in expected.items():
        check(in_order(wanted, stack_of(size)), f"the stack of {size}", stack_of(size), evidence)
    check(stack_of(1010)[0] == "wait_with_register", "the innermost frame is the very place",
          stack_of(1010))
    check(re.search("epoll_wait", stack_of(1004)[0]), "one waits in epoll_wait", stack_of(1004))
    check(len(stack_of(1011)) <= 256, "very deep stacks are cut", len(stack_of(1011)))


def test_names_what_holds():
    for name, *how in VICTIMS:
        with Program([victim(name), *how]) as program:
            held = told(program)
            run = program.run(HELD)
            lines = run.body.splitlines()
            way = "signals" if how else "tracer"
            check(lines[0] == f"true\t{way}", "all threads stood", run)
            at = lines.index("threads")
            found = {int(line.split("\t")[0]): line.split("\t")[1:] for line in lines[1:at]}
            for size, (tid, function) in held.items():
                check(size in found, f"the block of {size} is there", run.body)
                kind = "register rbx" if size == 1010 else "stack"
                pattern = rf"{kind} of thread \w+ {tid}\b[^,]*, in {function} \(standing\.c:\d+\)"
                for text in found[size]:
                    check(re.match(pattern, text), f"{size} is held in {function}", found[size],
                          run.body)
            check_threads(threads_of(lines[at + 1:]), held, run.body)


def test_lists_where_threads_stand():
    with Program([victim("standing")]) as program:
        held = told(program)
        run = program.run(THREADS)
        threads = threads_of(run.body.splitlines())
        check_threads(threads, held, run.body)
        check(program.pid in threads and "main" in threads[program.pid], "the first thread too",
              run.body)
        check(len(threads) == 8, "all, and none of ours", run.body)


def test_a_saved_snapshot_says_the_same():
    with Program([victim("standing")]) as program:
        told(program)
        file = os.path.join(program.directory, "x.snap")
        look = "for _, t in ipairs(%s) do print(t.tid, t.name, t.stack) end"
        run = program.run(WHOLE + f"local s = whole_snapshot() s:save('{file}')"
                          + look % "s:threads()")
        for how in "heap.threads()", "heap.snapshot():threads()":
            script = os.path.join(program.directory, "look.lua")
            with open(script, "w", encoding="utf-8") as f:
                f.write(look % how)
            done = tool("script", file, script)
            check(done.stdout.strip() == run.body.strip() != "", f"{how} offline", done, run.body)
        grouped = tool("script", file, "threads", "spin_around")
        check(grouped.stdout.startswith("1 thread stands in 1 place"), "the canned script", grouped)


def test_without_a_clone_threads_are_listed():
    with Program([victim("bystander"), "3", "deny-clone"]) as program:
        check(program.hear() == "ready", "it runs")
        run = program.run("for _, t in ipairs(heap.threads()) do print(t.tid, t.name, t.stack) end")
        check(f"{program.pid}\tbystander\tnil" in run.body.splitlines(), "without stacks", run)


def gdb_threads(pid):
    """{tid: ([function], innermost first, how many are not inlined: gdb says addresses of those)}"""
    if not shutil.which("gdb"):
        raise Skip("gdb is not installed")
    said = subprocess.run(["gdb", "-nx", "-batch", "-p", str(pid), "-ex",
                           "set backtrace past-main on", "-ex", "thread apply all bt -300"],
                          capture_output=True, text=True, timeout=100, check=False)
    found = {}
    for line in said.stdout.splitlines():
        if m := re.match(r"Thread \d+ \(.*LWP (\d+)\)", line):
            tid = int(m[1])
            found[tid] = ([], 0)
        elif m := re.match(r"#(\d+) +(0x[0-9a-f]+ in )?(<signal handler called>|[\w@.?]+)", line):
            names, physical = found[tid]
            found[tid] = (names + [m[3]], physical + (m[1] == "0" or bool(m[2]) or m[3][0] == "<"))
    if not found:
        raise Skip(f"gdb cannot look into the process: {said.stderr[-300:]}")
    return found


def ours_only(stack):
    """Of the functions those of the victim, which gdb and we call the same; libc's have aliases."""
    known = {"wait_for_end", "inner_call", "middle_call", "outer_call", "poll_for_events", "handle",
             "interrupted", "take_signal", "wait_with_register", "spin", "spin_around", "main",
             SIGNAL}
    return [f for f in stack if f in known]


def test_as_gdb_shows_them():
    for name in "standing", "standing_framed":
        with Program([victim(name)], lines=0) as program:  # no inlined functions
            held = told(program)
            threads = threads_of(program.run(THREADS).body.splitlines())
            gdb = gdb_threads(program.pid)
            deep = held[1011][0]
            for tid, stack in threads.items():
                if tid == deep:
                    continue
                theirs, depth = gdb[tid]
                check(ours_only(stack) == ours_only(theirs), f"the functions of {tid}", stack,
                      theirs)
                check(len(stack) == depth, f"the depth of {tid}", stack, theirs, depth)


def test_many_threads_cost_little():
    with Program([victim("standing"), "1000"]) as program:
        program.hear()
        run = program.run("""
            local t = heap.threads()
            local stood, missed = 0, 0
            for _, row in ipairs(t) do
                if row.why then missed = missed + 1
                elseif row.stack:find("wait_only", 1, true) then stood = stood + 1 end
            end
            print(#t, stood, missed)
            local s = heap.snapshot()
            print(s.build_ms)
            """, seconds=60)
        counts, build_ms = run.body.splitlines()
        count, stood, missed = map(int, counts.split())  # a busy machine may miss some
        check(count == 1001 and stood >= 500 and stood + missed in (1000, 1001),
              "each of 1000 threads that stood has its stack", run)
        print(f"# an image of 1000 threads: {build_ms} ms; {run.footer}")


if __name__ == "__main__":
    main()
