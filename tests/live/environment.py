# SPDX-License-Identifier: MIT
"""Does each MOONHEAP_ variable do what the manual says?

Context: test.
"""

import os
import re
import signal
import time

from harness import Program, check, main, numbers, until, victim


def puppet(script="print('x')", **options):
    return Program([victim("puppet")], script=script, **options)


def test_output_to_stderr():
    with puppet("print('hello')", out=None) as program:
        program.signal()
        until(lambda: "\n<<DBG" in program.stderr(), 60, "a run on stderr")
        text = program.stderr()
        check(re.search(rf"DBG>> .*debug_script\.lua run 1, pid {program.pid}.*\nhello\n<<DBG", text),
              "header, output and end stand on stderr", text)


def test_output_with_pid():
    with puppet(out="log.%p.txt") as program:
        program.run()
        path = os.path.join(program.directory, f"log.{program.pid}.txt")
        check(os.path.exists(path), "%p is the pid", os.listdir(program.directory))
        program.run()
        check(len(program.runs()) == 2, "output is appended")
        check(os.stat(path).st_mode & 0o022 == 0, "others cannot write it")


def test_header_and_footer():
    with puppet() as program:
        for n in (1, 2):
            run = program.run()
            check(re.match(rf"DBG>> debug_script\.lua run {n}, pid {program.pid}\b", run.header),
                  "the header", run)
            check(re.match(r"<<DBG [\d.]+ \w+", run.footer), "the footer tells the time", run)


def test_default_script():
    """./debug_script.lua, in the directory where the program was started."""
    with Program(["/usr/bin/env", "-u", "MOONHEAP_SCRIPT", victim("puppet")],
                 script="print('found')") as program:
        program.ask("ping")
        check("found" in program.run().body, "the default script runs", program.said())


def test_signal():
    for name, number in (("USR2", signal.SIGUSR2), ("SIGHUP", signal.SIGHUP),
                         ("RTMIN+3", signal.SIGRTMIN + 3), ("12", 12), ("WINCH", signal.SIGWINCH)):
        with puppet(MOONHEAP_SIGNAL=name) as program:
            program.ask("ping")
            check("x" in program.run(number=number).body, f"MOONHEAP_SIGNAL={name}")


def test_other_signal_leaves_usr1_alone():
    with puppet(MOONHEAP_SIGNAL="USR2") as program:
        program.ask("ping")
        program.process.send_signal(signal.SIGUSR1)
        check(program.process.wait(10) == -signal.SIGUSR1, "USR1 is not ours then")


def test_every():
    with puppet("print(run.cause, run.n)", every="0.1") as program:
        began = time.monotonic()
        runs = program.wait_runs(5)
        check(0.3 < time.monotonic() - began < 20, "about ten runs a second")
        check([r.body.split() for r in runs[:5]] == [["timer", str(n)] for n in range(1, 6)],
              "the cause is timer", runs)
        check(program.ask("node 10") == "done", "the program goes on")


def test_heap_every():
    with puppet("print(run.cause) heap.every(0.1)") as program:
        runs = [program.run()]
        runs = program.wait_runs(4)
        check([r.body.strip() for r in runs[:4]] == ["signal", "timer", "timer", "timer"],
              "heap.every starts the timer", runs)
        program.write_script("heap.every(nil) print('off')")
        until(lambda: any(r.body.strip() == "off" for r in program.runs()), 60, "the last run")
        count = len(program.runs())
        time.sleep(0.6)
        check(len(program.runs()) == count and program.runs()[-1].body.strip() == "off",
              "heap.every(nil) ends it", program.runs())


def test_arguments():
    with puppet("print(#args, args[1], args[2], args[3])", args="one two  three") as program:
        check(program.run().body.split() == ["3", "one", "two", "three"], "args hold MOONHEAP_ARGS",
              program.said())


def test_stack_limit():
    script = 'print(heap.snapshot{graph=false}:all():where{stack_has="recurse"}:one().stack)'
    depth = {}
    for limit in (4, 64, 200):
        with Program([victim("recurse")], script=script, stack=limit) as program:
            program.hear()
            depth[limit] = program.run().body.count("recurse (")
    check(2 <= depth[4] <= 4, "a limit of 4 frames", depth)
    check(60 <= depth[64] <= 64, "a limit of 64 frames", depth)
    check(depth[200] == 101, "all hundred and one calls within a limit of 200", depth)


STATS = "for k, v in pairs(heap.stats()) do printf('%s=%.0f\\n', k, v) end " \
        "printf('listed=%d\\n', #heap.snapshot{graph=false})"


def test_track_off_then_on():
    with puppet(STATS, track="off") as program:
        program.ask("node 1000")
        found = numbers(program.run().body)
        check(found["live_blocks"] == 0 and found["listed"] == 0, "nothing is recorded", found)
        program.run("heap.start()")
        program.ask("node 500")
        found = numbers(program.run(STATS).body)
        check(found["listed"] == 500 and found["live_blocks"] == 500, "recorded from then on", found)
        program.ask("drop")
        found = numbers(program.run().body)
        check(found["listed"] == 0, "the recorded are freed", found)
        check(found["untracked_frees"] == 1000, "frees of what was not recorded", found)
        program.run("heap.stop()")
        program.ask("node 500")
        found = numbers(program.run(STATS).body)
        check(found["listed"] == 0, "stopped", found)


def test_track_sampled():
    """Estimates: a set's figures are scaled; within five standard errors of the truth."""
    script = """
    local s = heap.snapshot{graph=false}
    local set = s:site("make_buffer")
    local row = s:by("site")["make_buffer"]
    printf("count=%.0f\\nbytes=%.0f\\n", row.count, row.bytes)
    """
    with puppet(script, track="sample:4096") as program:
        program.ask("buffer 40000")
        found = numbers(program.run().body)
        samples = 40000 * 1000 / 4096
        error = 5 / samples ** 0.5
        check(abs(found["count"] / 40000 - 1) < error, "the count is near", found, error)
        check(abs(found["bytes"] / 40e6 - 1) < error, "the bytes are near", found, error)


def test_unknown_and_bad_are_reported_once():
    with puppet(MOONHEAP_SCRIPTS="x", MOONHEAP_SIGNAL="NONSENSE", MOONHEAP_STACK="minus") as program:
        program.ask("ping")
        check("x" in program.run().body, "the default signal works")
        text = program.stderr()
        for name in ("MOONHEAP_SCRIPTS", "MOONHEAP_SIGNAL", "MOONHEAP_STACK"):
            lines = [line for line in text.split("\n") if re.search(name + r"\b", line)]
            check(len(lines) == 1, f"{name} is reported once", text)


def test_silent_by_default():
    with puppet() as program:
        program.ask("ping")
        program.run()
        check(program.stderr() == "", "nothing on stderr but what was asked for", program.stderr())


def test_quiet():
    with puppet(MOONHEAP_NONSENSE="x", quiet="1") as program:
        program.ask("ping")
        program.run()
        check(program.stderr() == "", "MOONHEAP_QUIET=1 silences warnings", program.stderr())


if __name__ == "__main__":
    main()
