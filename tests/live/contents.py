# SPDX-License-Identifier: MIT
"""With contents=true, are blocks read as they were at the snapshot's moment? And is the process that
keeps them never in the way?

Context: test. moments changes all of its blocks all the time, so what is read of two moments cannot
be the same by chance.
"""

import os
import signal
import time

from harness import Program, Skip, check, children_of, main, tool, until, victim

TAKE = """
data.s = assert(heap.snapshot{contents=true, graph=%s})
"""

# What one moment holds, as text: the pair, whether each node is whole, the sum of their numbers, and
# both ends of the huge block.
LOOK = """
local function look(s)
    local first, second = s:site("make_pair"):one():read("<I8I8")
    if not first then return "pair: " .. second end
    local whole, sum, n = true, 0, 0
    for b in s:site("make_node"):each() do
        local number, complement = b:read("<I8I8")
        if not number then return "node: " .. complement end
        whole, sum, n = whole and number == ~complement, sum + number, n + 1
    end
    local huge, why = s:site("make_huge"):one():read("c16777216", 40000000)
    return string.format("%d %d whole=%s sum=%d n=%d huge=%s", first, second, whole, sum, n,
                         huge and (huge == ("h"):rep(1 << 24)) or why)
end
"""

THEN = LOOK + "print(look(data.s))"


def moments(*arguments, **how):
    program = Program([victim("moments"), *arguments], **how)
    try:
        check(program.hear() == "ready", "it is ready")
    except BaseException:
        program.close()
        raise
    return program


def images(program, pid=None):
    """The processes that keep contents, dead ones too."""
    return [pid for pid, name in children_of(pid or program.pid) if name == "moonheap"]


def state(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return None


def gone(pid, seconds=60):
    until(lambda: state(pid) is None, seconds, f"process {pid} to be gone")


def take(program, graph="true"):
    program.run(TAKE % graph)
    found = images(program)
    check(len(found) == 1, "one process keeps the contents", found, program.said())
    return found[0]


def unseen(program):
    said = program.ask("report")
    check(said == "sigchld=0 strangers=0", "the program saw nothing", said)


def is_of_one_moment(said):
    first, second, *rest = said.split()
    check(int(first) - int(second) in (0, 1), "both numbers are of one moment", said)
    check(rest[0] == "whole=true" and rest[-1] == "huge=true", "blocks are as they were", said)


def shows_the_moment(graph, *arguments, **how):
    with moments(*arguments, **how) as program:
        take(program, graph)
        first = program.run(THEN).body
        is_of_one_moment(first)
        for _ in range(3):
            check(program.ask("turn") == "done", "the program goes on")
            check(program.run(THEN).body == first, "the moment stays", first, program.said())
        unseen(program)
        now = program.run(LOOK + """
            local s <close> = heap.snapshot{graph=false}
            print(s:site("make_pair"):one():read("<I8"))
            print(#s:site("make_huge"))
            print(data.s:site("make_pair"):one():hexdump(8) ~= s:site("make_pair"):one():hexdump(8))
        """).body.splitlines()
        check(now[0] != first.split()[0] and now[1] == "0" and now[2] == "true",
              "now is another moment", now, first)
        program.run("data.s:close()")
        check(not images(program), "close() ends it", images(program))
        unseen(program)


def test_the_moment_with_references():
    shows_the_moment("true")


def test_the_moment_without_references():
    shows_the_moment("false")


def test_the_moment_where_reading_is_denied():
    with moments("deny-reading") as program:
        take(program)
        first = program.run(THEN).body
        is_of_one_moment(first)
        program.ask("turn")
        check(program.run(THEN).body == first, "the moment stays", program.said())


def test_the_moment_of_a_sampled_recording():
    with moments(track="sample:64") as program:
        take(program)
        said = program.run("""
            print(#data.s:site("make_huge"):one():read("c100") == 100, data.s.references)
            print(data.s.notes)
        """).body
        check(said.startswith("true\tnil\n") and "without references" in said, "contents only", said)


def test_several_at_once():
    with moments() as program:
        said = program.run(LOOK + """
            data.all = {}
            for i = 1, 5 do
                data.all[i] = assert(heap.snapshot{contents=true})
                local now <close> = heap.snapshot{graph=false}
                local pair = now:site("make_pair"):one()
                local kept = data.all[i]:site("make_pair"):one():read("<I8")
                repeat until pair:read("<I8") ~= kept -- the program had its turn
            end
            for i = 1, 5 do print(look(data.all[i])) end
        """).body.splitlines()
        for line in said:
            is_of_one_moment(line)
        check(len({line.split()[0] for line in said}) == 5, "five moments", said)
        check(len(images(program)) == 5, "five processes", images(program))
        said = program.run("""
            data.all[2]:close()
            print(pcall(function() return data.all[2]:all():one():read("B") end))
            print(data.all[3]:site("make_pair"):one():read("<I8"))
        """).body.splitlines()
        check("snapshot closed" in said[0] and int(said[1]) > 0, "the others stay", said)
        check(len(images(program)) == 4, "four processes", images(program))
        program.run("data.all = nil collectgarbage()")
        check(not images(program), "the collector ends them", images(program))
        said = program.run("""
            for i = 1, 10 do local s = heap.snapshot{contents=true} assert(s.notes == "", s.notes) end
            data.all = {}
            for i = 1, 9 do data.all[i] = heap.snapshot{contents=true} end
            print(data.all[9].notes) print(data.all[9]:all():one():read("B"))
        """).body
        check("contents" in said and "8 of them" in said and "nil\t" in said, "eight at most", said)
        check(len(images(program)) == 8, "eight processes", images(program))
        unseen(program)


def test_it_is_killed():
    with moments() as program:
        image = take(program)
        os.kill(image, signal.SIGKILL)
        said = program.run(THEN + " print(#data.s:site('make_pair') == 1, #data.s:unreachable() >= 0)").body
        check("was killed" in said and said.endswith("true\ttrue"), "the snapshot stays", said)
        gone(image)
        unseen(program)
        take(program)
        is_of_one_moment(program.run(THEN).body)


def test_it_is_stopped():
    """One that does not answer is given up, in bounded time."""
    with moments() as program:
        image = take(program)
        os.kill(image, signal.SIGSTOP)
        said = program.run(THEN).body
        check("in time" in said, "it says why", said)
        gone(image)
        check("in time" in program.run(THEN).body, "and again")
        # The kernel tells every parent of a child that was stopped; wait() does not find it.
        check("strangers=0" in program.ask("report"), "it was not found")


def test_too_long_unused():
    for _ in range(20):
        with moments(contents_time="1.5") as program:
            if is_unused_too_long(program):
                return
    check(False, "the machine is not too busy to use it in time")


def is_unused_too_long(program):
    """False when this test itself was too late to use it."""
    image = take(program)
    used = time.monotonic()
    for _ in range(4):
        time.sleep(0.7)
        said = program.run(THEN).body
        before, used = used, time.monotonic()
        if used - before > 1.4:
            return False
        is_of_one_moment(said)
    now = state(image)
    if time.monotonic() - used > 1.4:
        return False
    check(now not in (None, "Z"), "use keeps it", now)
    gone(image)
    said = program.run(THEN).body
    check("not having been read for 1 s" in said, "it says why", said)
    unseen(program)
    return True


def test_too_costly():
    with moments(contents_memory="48M") as program:
        image = take(program)
        said = program.run("print(heap.stats().overhead_bytes)").body
        program.ask("dirty 20")
        until(lambda: int(program.run("print(heap.stats().overhead_bytes)").body) - int(said) > 19e6,
              60, "its cost to be counted")
        check(state(image) not in (None, "Z"), "that may be")
        program.ask("dirty 100")
        gone(image)
        said = program.run(THEN).body
        check("had come to cost" in said and "MiB" in said, "it says why", said)
        unseen(program)


def test_the_recorder_costs_nothing():
    """What belongs to Moonheap itself is not kept twice, however much the program allocates."""
    with moments() as program:
        image = take(program)
        time.sleep(2)
        with open(f"/proc/{image}/smaps_rollup") as f:
            dirty = sum(int(line.split()[1]) for line in f if line.startswith("Private_"))
        check(dirty < 4096, "a process that changes little keeps little", dirty)
        fds = os.listdir(f"/proc/{image}/fd")
        check(not fds, "it has no descriptor", fds)


def test_the_program_ends():
    with moments() as program:
        image = take(program)
        check(program.ask("quit") == "bye", "it ends")
        check(program.process.wait(60) == 0, "with success")
        gone(image)


def test_the_program_is_killed():
    with moments() as program:
        image = take(program)
        program.process.kill()
        program.process.wait(60)
        gone(image)


def test_the_program_becomes_another():
    with moments() as program:
        image = take(program)
        check(program.ask("become") == "became", "it becomes another")
        until(lambda: state(image) in (None, "Z"), 60, "it to end")
        program.tell("")
        check(program.process.wait(60) == 0, "the other one is well")
        gone(image)


def test_the_program_takes_another_user():
    if os.getuid():
        raise Skip("not root")
    for end in ("close", "exit"):
        with moments() as program:
            os.chmod(program.directory, 0o755)
            image = take(program)
            os.chmod(program.out, 0o666)
            check(program.ask("as-nobody") == "0", "it is another user now")
            is_of_one_moment(program.run(THEN).body)
            if end == "close":
                program.run("data.s:close()")
                check(state(image) is None, "close() ends it")
            else:
                program.ask("quit")
                gone(image)


def test_a_forked_child_has_none():
    with moments(out="out.%p") as program:
        image = take(program)
        child = int(program.ask("fork"))
        said = program.run("print(data.s)", pid=child).body
        check(said == "nil", "a child begins with nothing", said)
        program.run("data.mine = heap.snapshot{contents=true}"
                    " print(data.mine:site('make_pair'):one():read('<I8I8'))", pid=child)
        check(len(images(program, child)) == 1, "it may have its own", program.said(child))
        is_of_one_moment(program.run(THEN).body)
        mine = images(program, child)[0]
        os.kill(child, signal.SIGKILL)
        gone(mine)
        until(lambda: state(image) == "S", 60, "its parent's stays, and waits again")
        is_of_one_moment(program.run(THEN).body)


def test_clone_denied():
    with moments("deny-clone") as program:
        said = program.run("""
            local s = heap.snapshot{contents=true}
            print(s.notes) print(s:site("make_pair"):one():read("<I8"))
            print(heap.snapshot{contents=true, graph=false}.notes)
        """).body
        check("without contents: the process cannot be cloned" in said, "the notes say why", said)
        check("nil\tits contents could not be kept" in said, "now is not given for then", said)


def test_not_there():
    """Blocks and parts of them that cannot be read, and what is not of the snapshot."""
    with moments() as program:
        take(program)
        said = program.run("""
            local b = data.s:site("make_pair"):one()
            print(#b:read("c16"), pcall(b.read, b, "B", 17))
            print(#b:hexdump(0), select("#", b:read("")))
        """).body
        check(said.startswith("16\tfalse\t") and said.endswith("0\t0"), "the block's own bytes", said)


def test_offline():
    with moments() as program:
        program.run("local s <close> = heap.snapshot{contents=true} assert(s:save('snapshot'))")
        program.write_script("local s = heap.snapshot{contents=true} print(#s:site('make_pair') == 1)"
                             " print(s:site('make_pair'):one():read('<I8'))")
        said = tool("script", os.path.join(program.directory, "snapshot"), program.script_path)
        check(said.stdout == "true\nnil\tnot saved\n", "not saved", said.stdout, said.stderr)


def test_it_is_no_process_of_its_own():
    with moments() as program:
        image = take(program)
        listed = tool("ps").stdout
        check(f"{program.pid} " in listed and f"{image} " not in listed, "ps", listed)
        os.kill(image, signal.SIGUSR1)
        os.kill(image, signal.SIGTERM)
        is_of_one_moment(program.run(THEN).body)


if __name__ == "__main__":
    main()
