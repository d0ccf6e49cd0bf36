# SPDX-License-Identifier: MIT
"""Does a program notice that an image of it is taken? And does it get its answer, whatever is denied?

Context: test. bystander waits in every way and reports what disturbed it; without Moonheap it
reports that nothing did.
"""

import ctypes
import errno
import os
import resource
import shutil
import signal
import subprocess
import time

from harness import Program, Skip, check, children_of, die_with_parent, main, until, victim
from snapshots import SAVE, References, take, take_whole

UNDISTURBED = "interrupted=0 sigchld=0 strangers=0 woken=0 children=0"

STORM = """
for i = 1, %d do
    local s = heap.snapshot{graph=true}
    printf("pause=%%.2f\\n", s.pause_ms)
    s:close()
end
"""


def report(program):
    program.tell("report")
    lines = [program.hear()]
    while not lines[-1].startswith("interrupted="):
        lines.append(program.hear())
    print(*(f"# {line}" for line in lines[:-1]), sep="\n", end="\n" if lines[1:] else "")
    return lines[-1]


def bystander(*arguments, **how):
    program = Program([victim("bystander"), *map(str, arguments)], **how)
    try:
        check(program.hear() == "ready", "it is ready")
    except BaseException:
        program.close()
        raise
    return program


def test_the_victim_alone():
    with bystander(20, moonheap=False) as program:
        check(report(program) == UNDISTURBED, "nothing disturbs it without us")


def storm(threads, snapshots):
    with bystander(threads) as program:
        run = program.run(STORM % snapshots, seconds=90)
        pauses = sorted(float(line[6:]) for line in run.body.splitlines()
                        if line.startswith("pause="))
        check(len(pauses) == snapshots and pauses[0] > 0, "every snapshot was taken", run.body)
        print(f"# {threads} threads, {snapshots} snapshots: median pause "
              f"{pauses[len(pauses) // 2]:.2f} ms, longest {pauses[-1]:.2f} ms")
        is_stopped(program)
        left = [c for c in children_of(program.pid) if c[1] == "moonheap"]
        check(not left, "nothing of ours is left", left)
        check(report(program) == UNDISTURBED, "nothing disturbed it", program.stderr())


def test_nobody_is_disturbed():
    storm(0, 100)


def test_two_hundred_threads_are_not_disturbed():
    storm(200, 30)


def test_signals_are_not_lost():
    """Signals that reach a program while it stands are taken by it afterwards."""
    with Program([victim("movers"), "4", "100"]) as program:
        check(program.hear() == "ready", "it is ready")
        program.write_script(SAVE)
        for _ in range(20):
            program.signal()
            time.sleep(0.01)
            os.kill(program.pid, signal.SIGCONT)
        program.wait_runs(1)
        program.settle()


def descendant(program):
    return until(lambda: next((pid for pid, name in children_of(program.pid)
                               if name.startswith("bystander")), None), 20, "the traced program")


# What a signal handler ends in spite of SA_RESTART, signal(7): the one wait of bystander that has a
# limit of time, and that the kernel does not count on by itself.
def sleep_cut_short(times):
    return UNDISTURBED.replace("interrupted=0", f"interrupted={times}")


def all_wait(pid):
    """Have all that wait for good come (back) to their wait?"""
    for tid in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{tid}/stat") as f:
                name, rest = f.read().split("(", 1)[1].rsplit(")", 1)
        except (FileNotFoundError, ProcessLookupError):
            continue
        if name == "waits" and rest.split()[0] not in "SZX":
            return False
    return True


def by_signals(program, pid=None, tries=30):
    """Snapshots until nobody is missed, and how many that took: bystander has a thread at any time
    that is about to live or to die and blocks all signals, which on a busy machine may last."""
    for times in range(1, tries + 1):
        until(lambda: all_wait(pid or program.pid), 60, "all to wait")
        found = take(program, pid=pid)
        check(found.has_references() and found.way() == "signals", "threads stood by signals",
              found.meta, found.notes)
        check(any("stopped by signals" in n for n in found.notes), "it says so", found.notes)
        check(found.stopped() == (not found.missed), "it says whether all stood", found.meta,
              found.missed)
        if found.stopped():
            return times
        check(set(found.missed.values()) <= {"births: blocks the signal"}, "nobody else is missed",
              found.missed)
    raise AssertionError("somebody was missed each time")


def test_traced_already():
    strace = shutil.which("strace")
    if not strace:
        raise Skip("no strace")
    with Program([victim("bystander"), "3"], script=SAVE,
                 via=[strace, "-f", "-qq", "-e", "trace=none", "-o", "/dev/null"]) as program:
        check(program.hear(60) == "ready", "it is ready")
        times = by_signals(program, pid=descendant(program))
        # The signal that asked for the snapshot went to one of its threads, too.
        said = report(program)
        check(said in map(sleep_cut_short, range(times, 2 * times + 1)),
              "nothing else was disturbed", said)


def test_ptrace_denied():
    with bystander(3, "deny-ptrace") as program:
        times = by_signals(program)
        said = report(program)
        check(said == sleep_cut_short(times), "nothing else was disturbed", said)


def without_references(program, why):
    found = take(program)
    check(not found.has_references() and found.blocks, "blocks without references", found.meta)
    check(any("without references" in n and why in n for n in found.notes), "it says why",
          found.notes)


def test_a_debugger_is_attached():
    gdb = shutil.which("gdb")
    if not gdb:
        raise Skip("no gdb")
    with bystander(3) as program:
        debugger = subprocess.Popen(
            [gdb, "-q", "-nx", "-p", str(program.pid), "-ex", "set debuginfod enabled off",
             "-ex", "handle SIGUSR1 nostop noprint pass", "-ex", "echo attached\\n",
             "-ex", "continue"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"}, preexec_fn=die_with_parent)
        try:
            while b"Continuing" not in (line := debugger.stdout.readline()):
                check(line, "gdb attaches")
            by_signals(program)
            said = report(program)
            # Attaching stops threads too, and ends what gdb does not put back: signal(7).
            check(said.endswith(UNDISTURBED.partition(" ")[2]), "it goes on", said)
        finally:
            debugger.kill()
            debugger.communicate()


def test_all_signals_blocked():
    """A tracer asks nobody; by signals those threads are missed, and named."""
    with bystander(3, "block-signals") as program:
        found = take_whole(program)
        check(found.way() == "tracer" and not found.missed, "all stood",
              found.meta, found.missed)
        check(report(program) == UNDISTURBED, "nothing disturbed it")
    with bystander(3, "deny-ptrace", "block-signals") as program:
        found = take(program)
        check(found.way() == "signals" and not found.stopped(), "not all stood", found.meta)
        check(len(found.missed) >= 16 and all("blocks the signal" in m for m in
                                              found.missed.values()), "named", found.missed)
        check(any("could not be stopped (waits" in n for n in found.notes), "also in the notes",
              found.notes)
        check(report(program) == UNDISTURBED, "nothing disturbed it")


def test_five_hundred_threads():
    for way, how in ("tracer", ()), ("signals", ("deny-ptrace",)):
        with bystander(500, *how) as program:
            founds = []
            # One that is about to live or to die, and blocks all signals, may be missed; and on a
            # busy machine who does not get its turn in time.
            while len(founds) < 3 or (len(founds) < 30 and not any(f.stopped() for f in founds)):
                until(lambda: all_wait(program.pid), 60, "all to wait")
                founds.append(take(program))
            check(all(f.has_references() and f.way() == way for f in founds), "they stood",
                  [f.meta for f in founds])
            check(any(f.stopped() for f in founds), "all of them",
                  [f.missed for f in founds])
            print(f"# 500 threads by {way}: " + ", ".join(
                f"{f.meta['pause_ns'] / 1e6:.1f} ms" for f in founds))
            said = report(program)
            check(said == UNDISTURBED if way == "tracer" else
                  said.endswith(UNDISTURBED.partition(" ")[2]), "nothing disturbed it", said)


def test_clone_denied():
    with bystander(3, "deny-clone") as program:
        without_references(program, "cannot be cloned")
        check(report(program) == UNDISTURBED, "nothing disturbed it")


def test_no_address_space():
    with bystander(3) as program:
        check(take(program).has_references(), "with room there are references")
        with open(f"/proc/{program.pid}/statm") as f:
            used = int(f.read().split()[0]) * 4096
        resource.prlimit(program.pid, resource.RLIMIT_AS, (used + (300 << 20), -1))
        without_references(program, "")
        check(report(program) == UNDISTURBED, "nothing disturbed it")


def test_little_address_space():
    """Whatever there is room for: references, blocks alone, or an error that a script can read."""
    outcomes = []
    with bystander(3) as program:
        take(program)
        with open(f"/proc/{program.pid}/statm") as f:
            used = int(f.read().split()[0]) * 4096
        for room in 1, 8, 32, 100, 200, 400, 800, 2000:
            resource.prlimit(program.pid, resource.RLIMIT_AS, (used + (room << 20), -1))
            run = program.run(SAVE)
            path = os.path.join(program.directory, "snapshot")
            if os.path.exists(path):
                found = References(path)
                os.remove(path)
                outcomes.append("references" if found.has_references() else "blocks")
                check(found.has_references() or any("without references" in n for n in found.notes),
                      "it says why", found.notes)
            else:
                outcomes.append("error")
                check("memory" in run.body or "address space" in run.body, "it says why", run)
        print(f"# {' '.join(outcomes)}")
        resource.prlimit(program.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, -1))
        is_stopped(program)
        check(report(program) == UNDISTURBED, "nothing disturbed it")
    check(outcomes[0] != "references", "there was little room", outcomes)


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
        return True
    except ProcessLookupError:
        return False


def test_the_clone_is_killed():
    """Whoever helps us may die at any moment: the tracer while it holds, the clone while it works."""
    outcomes = set()
    with Program([victim("puppet")]) as program:
        program.ask("node 150000")
        program.ask("threads 3")
        # On a busy machine some end before they are seen: then there are more rounds.
        for round_ in range(80):
            if round_ >= 8 and (False, False) in outcomes:
                break
            program.write_script(SAVE)
            before = len(program.runs())
            program.signal()
            end = time.monotonic() + 60
            killed = 0
            while len(program.runs()) == before and time.monotonic() < end:
                for pid, name in children_of(program.pid):
                    if name == "moonheap" and killed <= round_ % 2:
                        killed += kill(pid)
            program.wait_runs(before + 1)
            found = References(os.path.join(program.directory, "snapshot"))
            check(len(found.blocks) >= 150000, "the blocks are there", found.meta)
            outcomes.add((found.has_references(), found.stopped()))
            check(program.ask("ping").startswith("done"), "the program goes on")
        check((False, False) in outcomes, "some clones were killed", outcomes)
        is_stopped(program)


def is_stopped(program):
    found = take_whole(program)
    check(found.has_references() and found.way() == "tracer", "a tracer stops it", found.meta)


def crash(pid):
    """Has a process execute what is not there; False when it was gone sooner."""
    attach, poke_user, detach, any_child, rip = 16, 6, 17, 0x40000000, 16 * 8
    trace = ctypes.CDLL(None, use_errno=True).ptrace
    trace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if trace(attach, pid, None, None):
        if ctypes.get_errno() == errno.ESRCH:
            return False
        raise Skip("a process that is not dumpable may not be traced here")
    _, status = os.waitpid(pid, any_child)
    if not os.WIFSTOPPED(status):
        return False
    check(trace(poke_user, pid, rip, None) == 0, "it is sent astray")
    trace(detach, pid, None, None)
    return True


def test_the_clone_crashes():
    with Program([victim("puppet")]) as program:
        program.ask("node 400000")
        crashed = None
        for round_ in range(60):
            # the tracer, the first child, is gone soon; a clone that has done its work may be met
            # as well, so what is asked for is one round in which it was not
            program.write_script(SAVE)
            program.signal()
            seen, end = {}, time.monotonic() + 60
            while len(program.runs()) == round_ and time.monotonic() < end:
                now = time.monotonic()
                for pid, name in children_of(program.pid):
                    if name == "moonheap" and now - seen.setdefault(pid, now) > 0.03:
                        seen[pid] = float("inf") if crash(pid) else now
            run = program.wait_runs(round_ + 1)[-1]
            found = References(os.path.join(program.directory, "snapshot"))
            check(len(found.blocks) >= 400000, "the blocks are there", run, found.meta)
            check(program.ask("ping").startswith("done"), "the program goes on")
            until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in seen), 30,
                  "nothing is left of it")
            if not found.has_references():
                crashed = found
                break
        check(crashed, "a clone crashed in the middle")
        check(any("was killed" in n for n in crashed.notes), "it says why", crashed.notes)
        check(not program.stderr(), "nothing was said", program.stderr())


if __name__ == "__main__":
    main()
