# SPDX-License-Identifier: MIT
"""Does each worker of a pre-forking server answer for itself?

Context: test. The supervisor has a handler for our signal; its workers reset the signal to default
after the fork, as such servers do. A signal must still give an answer from that worker, with its
own pid and fresh `data`, and kill nobody.
"""

import re

from harness import Program, check, main, numbers, victim

SCRIPT = """
data.runs = (data.runs or 0) + 1
local grown = heap.snapshot{graph=false}:all():where{stack_has="worker_grow"}
printf("pid=%d\\nn=%d\\nruns=%d\\ngrown=%d\\n", run.pid, run.n, data.runs, #grown)
"""


def start(count, mode):
    program = Program([victim("prefork"), str(count), mode], script=SCRIPT, out="out.%p.txt")
    workers = []
    while (line := program.hear()) != "ready":
        workers.append(int(line.split()[1]))
    check(len(workers) == count, "all workers are there")
    return program, workers


def answers(program, workers, first_asked=0):
    """Signals each worker twice and checks what it says of itself."""
    asked = first_asked
    for time in (1, 2):
        for i, pid in enumerate(workers):
            found = numbers(program.run(pid=pid).body)
            check(found == {"pid": pid, "n": time, "runs": time,
                            "grown": 1000 * (i + 1) + 10 * asked},
                  f"worker {i} ({pid}) answers for itself, run {time}", found)
        reply = program.ask("ask")
        asked += 1
        check(f"alive {len(workers)} " in reply, "nobody died", reply)
    return reply


def end(program):
    program.process.stdin.close()
    check(program.hear() == "bad 0", "every worker ended by itself")
    check(program.process.wait(20) == 0, "the supervisor ended well")


def test_workers_reset_the_signal():
    program, workers = start(3, "dfl")
    with program:
        answers(program, workers)
        end(program)


def test_workers_ignore_or_keep_the_signal():
    for mode in ("ign", "keep"):
        program, workers = start(2, mode)
        with program:
            answers(program, workers)
            end(program)


def test_workers_with_their_own_handler():
    program, workers = start(2, "own")
    with program:
        reply = answers(program, workers)
        check("worker_hits 4 " in reply, "each worker's handler ran once a signal", reply)
        end(program)


def test_the_supervisor_is_another():
    """The supervisor's runs and data are its own; its handler still runs."""
    program, workers = start(2, "dfl")
    with program:
        for n in (1, 2, 3):
            found = numbers(program.run().body)
            check(found == {"pid": program.pid, "n": n, "runs": n, "grown": 0},
                  "the supervisor answers", found)
        reply = answers(program, workers)
        check(re.search(r"worker_hits 0 own_hits 3$", reply), "its own handler ran", reply)
        end(program)


def test_signal_before_the_fork_runs_in_workers():
    """Workers forked from a process whose agent is already running start without one."""
    program, workers = start(1, "dfl")
    with program:
        program.run(pid=workers[0])
        check("alive 1" in program.ask("ask"), "the worker lives")
        end(program)


if __name__ == "__main__":
    main()
