# SPDX-License-Identifier: MIT
"""What does Moonheap leave in a program that nobody asks anything of? Nothing.

Context: test. The same program alone is the oracle: same descriptors, threads and blocked signals;
after the first signal there is one thread more and still no descriptor.
"""

import os
import re
import signal
import time

from harness import Program, Skip, check, main, until, victim


def descriptors(pid):
    folder = f"/proc/{pid}/fd"
    return sorted((int(fd), re.sub(r"\d+", "N", os.readlink(f"{folder}/{fd}")))
                  for fd in os.listdir(folder))


def tasks(pid):
    return os.listdir(f"/proc/{pid}/task")


def signals(pid, tid=None):
    """{"SigBlk": mask, ...} of a thread."""
    with open(f"/proc/{pid}/task/{tid or pid}/status") as f:
        return {k: int(v, 16) for k, v in re.findall(r"^(Sig\w+):\s+([0-9a-f]+)$", f.read(), re.M)}


def test_idle_is_clean():
    with Program([victim("puppet")], moonheap=False) as alone, Program([victim("puppet")]) as ours:
        for program in (alone, ours):
            program.ask("node 1000")
        check(descriptors(alone.pid) and tasks(ours.pid) == [str(ours.pid)], "no thread")
        check([fd for fd, _ in descriptors(ours.pid)] == [fd for fd, _ in descriptors(alone.pid)],
              "no descriptor", descriptors(ours.pid), descriptors(alone.pid))
        bit = 1 << (signal.SIGUSR1 - 1)
        mine, theirs = signals(ours.pid), signals(alone.pid)
        check(mine["SigCgt"] == theirs["SigCgt"] | bit, "one handler more", mine, theirs)
        check(mine["SigBlk"] == theirs["SigBlk"] and mine["SigIgn"] == theirs["SigIgn"],
              "masks as they were", mine, theirs)


def large_mappings(pid):
    """[(line of the mapping, its flags)] of those of no file that a huge page fits into."""
    with open(f"/proc/{pid}/smaps") as f:
        found = re.findall(r"^([0-9a-f]+-[0-9a-f]+ rw-p .* 0)\s*\nSize: +(\d+) kB$(?s:.*?)^VmFlags: (.*)$",
                           f.read(), re.M)
    return [(line, flags.split()) for line, size, flags in found if int(size) >= 4096]


def test_memory_that_is_hardly_touched_has_small_pages():
    """Where huge pages come unasked, a table of which a word is used would take 2 MiB."""
    if not os.path.exists("/sys/kernel/mm/transparent_hugepage"):
        raise Skip("no huge pages")
    with Program([victim("puppet")], moonheap=False) as alone, Program([victim("puppet")]) as ours:
        for program in (alone, ours):
            program.ask("node 1000")
        check(not large_mappings(alone.pid), "it has none itself", large_mappings(alone.pid))
        found = large_mappings(ours.pid)
        check(found and all("nh" in flags for _, flags in found), "none takes huge pages", found)


def test_between_runs_is_clean():
    with Program([victim("puppet")], script="print(#heap.snapshot{graph=false})") as program:
        program.ask("ping")
        before = descriptors(program.pid)
        for _ in range(5):
            program.run()
            until(lambda: descriptors(program.pid) == before, 30, "descriptors as before")
            check(len(tasks(program.pid)) == 2, "one thread more", tasks(program.pid))
        agent = next(t for t in tasks(program.pid) if int(t) != program.pid)
        blocked = signals(program.pid, agent)["SigBlk"]
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGCHLD):
            check(blocked >> (number - 1) & 1, "the program's signals do not land on the agent",
                  number, hex(blocked))


def test_the_agent_sleeps():
    """An idle agent takes no processor time."""
    with Program([victim("puppet")], script="print('x')") as program:
        program.run()

        def ticks():
            with open(f"/proc/{program.pid}/stat") as f:
                fields = f.read().rsplit(")", 1)[1].split()
            switches = 0
            for tid in tasks(program.pid):
                with open(f"/proc/{program.pid}/task/{tid}/status") as f:
                    switches += sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", f.read())))
            return int(fields[11]) + int(fields[12]), switches
        def is_at_rest():
            before = ticks()
            time.sleep(0.1)
            return ticks() == before
        until(is_at_rest, 30, "the run to be over and the agent to sleep")
        first = ticks()
        time.sleep(1)
        check(ticks() == first, "no time is spent, and it is not woken", first, ticks())


def test_exit_status_and_output_hold():
    for arguments, status in ((["/bin/true"], 0), (["/bin/false"], 1),
                              (["/bin/sh", "-c", "echo hi; exit 42"], 42)):
        with Program(arguments) as program:
            check(program.process.wait(20) == status, f"{arguments} ends as without us")
            check(program.stderr() == "", "and says nothing more", program.stderr())


def test_exit_while_running():
    """A program that ends in the middle of a run ends at once, with its own status."""
    with Program([victim("puppet")], script="while true do end", script_timeout="100") as program:
        program.signal()
        until(lambda: "DBG>>" in program.said() or len(tasks(program.pid)) == 2, 30, "the run begins")
        began = time.monotonic()
        check(program.finish() == 0, "its own status")
        check(time.monotonic() - began < 30, "at once", time.monotonic() - began)


def test_signal_at_the_very_start():
    """A signal may come as soon as the constructor has run, and never kills."""
    for delay in range(12):
        with Program([victim("puppet")], script="print('early')") as program:
            end = time.monotonic() + 60
            while not program.prepared(signal.SIGUSR1, program.pid):
                check(time.monotonic() < end, "the handler is there")
            time.sleep(delay / 4000)
            program.signal()
            program.wait_runs(1)
            check(program.ask("ping") == "done", "the program lives")


def test_closed_standard_descriptors():
    """Daemons close everything: the output goes where it can, and no descriptor of theirs is hit."""
    with Program([victim("puppet")], script="print('x')") as program:
        program.ask("ping")
        program.run()
    with Program(["/bin/sh", "-c", f"exec 2>&-; exec {victim('puppet')}"], script="print('x')",
                 out=None) as program:
        program.ask("ping")
        program.signal()
        for _ in range(20):
            check(program.ask("ping") == "done", "the program lives")
            time.sleep(0.01)


if __name__ == "__main__":
    main()
