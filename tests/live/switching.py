# SPDX-License-Identifier: MIT
"""Recording is switched in a running program: off, sampled, full, off. Is each figure one of its
own recording, and does off after stop cost what off costs?"""
import harness
from harness import Program, check, victim

FIGURES = """
local s = heap.snapshot{graph=false}
local stats, row = heap.stats(), s:by("function")["hold_some"]
printf("tracking=%s\\n", select(2, heap.tracking()))
printf("recording=%d\\n", s.recording)
printf("held=%d\\n", row and row.count or 0)
printf("wrong=%d\\n", row and row.count_error or 0)
printf("live=%d\\n", stats.live_blocks)
printf("untracked=%d\\n", stats.untracked_frees)
printf("allocations=%d\\n", stats.allocations)
printf("frees=%d\\n", stats.frees)
printf("notes=%s\\n", s.notes:gsub("\\n", " "))
"""


def asked(program, script):
    return dict(line.split("=", 1) for line in program.run(script).body.splitlines() if "=" in line)


def switch(program, how):
    """Switches, then says what is there, in two runs."""
    program.run(how)
    return asked(program, FIGURES)


def test_off_sampled_full_off():
    with Program([victim("pairs")], track="off") as p:
        p.ask("hold 1000")
        at = asked(p, FIGURES)
        check(at["tracking"] == "off" and at["held"] == "0", "off", at)
        check("nothing is recorded" in at["notes"], "a snapshot says so", at)

        at = switch(p, "heap.start{sample=1000}")
        check(at["tracking"] == "sample:1000" and at["held"] == "0", "sampled, nothing yet", at)
        p.ask("hold 5000")
        at = asked(p, FIGURES)
        check(abs(int(at["held"]) - 5000) <= 2 * int(at["wrong"]), "5000 since then", at)
        check(at["allocations"] == "5000" and at["frees"] == "0", "counted exactly", at)
        p.ask("drop")
        at = asked(p, FIGURES)
        check(at["held"] == "0" and at["live"] == "0", "all freed, those of before too", at)
        check(at["untracked"] == "0" and at["frees"] == "6000", "none is called untracked", at)

        p.ask("hold 3000")
        before = int(at["recording"])
        at = switch(p, "heap.start{}")
        check(at["tracking"] == "full" and at["held"] == "0", "full, nothing yet", at)
        check(int(at["recording"]) == before + 1, "another recording", before, at)
        p.ask("hold 700")
        at = asked(p, FIGURES)
        check(at["held"] == "700" and at["live"] == "700", "exactly 700", at)
        p.ask("drop")
        at = asked(p, FIGURES)
        check(at["live"] == "0" and at["untracked"] == "3000", "3000 of before are freed", at)

        at = switch(p, "heap.stop()")
        p.ask("hold 100")
        p.ask("drop")
        at = asked(p, FIGURES)
        check(at["tracking"] == "off" and at["held"] == "0" and at["allocations"] == "0", "off", at)


def test_what_is_of_two_recordings_is_not_compared():
    script = """
    local s = heap.snapshot{graph=false}
    if data.older then
        for _, ask in ipairs{
            function() return s:diff(data.older, "site") end,
            function() return s:by("site") - data.older:by("site") end,
            function() return s:new_since(data.older) end,
            function() return s:gone_since(data.older) end,
        } do
            local ok, message = pcall(ask)
            print(ok, message)
        end
        local saved = heap.load(args[1])
        print(pcall(s.diff, s, saved, "site"))
        print(#saved:diff(data.older, "site"))
    else
        data.older = s
        s:save(args[1])
    end
    """
    with Program([victim("pairs")], args="saved.snap") as p:
        p.ask("hold 100")
        p.run(script.replace("args[1]", f"'{p.directory}/saved.snap'"))
        p.run("heap.start{sample=1000}")
        p.ask("hold 100")
        lines = p.run(script.replace("args[1]", f"'{p.directory}/saved.snap'")).body.splitlines()
    check(len(lines) == 6 and lines[5] == "0", "one recording, live and saved, is compared", *lines)
    refused = [text for text in lines[:5] if text.startswith("false") and "heap.start" in text
               and "take both after" in text]
    check(len(refused) == 5, "each refuses, and says what to do", *lines)


def test_growth_begins_anew():
    with Program([victim("pairs")]) as p:
        p.ask("hold 500")
        p.run("heap.show_growth{by='function'}")
        p.run("heap.start()")
        p.ask("hold 40")
        body = p.run("heap.show_growth{by='function'}").body
        check("hold_some" in body and "+40" in body, "counted from the new start", body)


def test_switching_while_threads_allocate():
    """A sampled recording holds no block that the full one before it was about to record: it would
    stand for as many as the interval is long."""
    with Program([victim("pairs")]) as p:
        for turn in range(20):
            p.tell("hold 65536")
            p.run("heap.start()" if turn % 2 else "heap.start{sample=1e15}")
            p.hear()
            body = p.run("print(#heap.snapshot{graph=false}:all():largest(9))").body
            check(turn % 2 or body == "0", "no block is in the sample", body)
            p.ask("drop")


def least(program):
    return min(int(program.ask("pairs 2000")) for _ in range(5))


def test_off_after_stop_costs_what_off_costs():
    """The same instructions run, so the quickest of thousands of rounds are nearly the same time: the
    more rounds, the less is there of what other programs take from them."""
    def measure(script, **how):
        with Program([victim("pairs")], **how) as p:
            p.run("print(1)")
            for step in script:
                p.run(step)
                p.ask("hold 10000")
                p.ask("drop")
            if script:
                p.run("heap.stop()")
            return least(p)
    offs, stoppeds = [], []
    for _ in range(20):
        offs.append(measure([], track="off"))
        stoppeds.append(measure(["heap.start{}", "heap.start{sample=4096}"]))
        ratio = min(stoppeds) / min(offs)
        print(f"# {offs[-1] / 2000:.1f} ns a pair off, {stoppeds[-1] / 2000:.1f} stopped", flush=True)
        if ratio < 1.1:
            break
    check(ratio < 1.1, "stopped is as off", ratio)


if __name__ == "__main__":
    harness.main()
