# SPDX-License-Identifier: MIT
"""Is the first signal answered wherever it finds the program, and does starting never deadlock?

Context: test. The agent's thread is made by the first signal, on a thread that may hold a lock of
libc's or of the loader's. Each process is signalled for the first time once, so many are started.
"""

from harness import Program, check, main, victim

PLACES = ["join", "timed_join", "c11_join", "condition", "epoll", "system", "sigsuspend", "gone",
          "loop"]
KINDS = ["create", "detach", "load", "fork", "spawn", "set_ids", "allocate"]
ROUNDS = 4


def test_wherever_it_waits():
    for place in PLACES:
        with Program([victim("starts"), "wait", place], script="print(run.n)") as program:
            check(program.hear() == "ready", "it is there")
            for n in (1, 2, 3):
                check(program.run().body == str(n), f"answered in {place}")


def test_in_storms():
    for kind in KINDS:
        answered = 0
        for _ in range(ROUNDS):
            with Program([victim("starts"), "storm", kind], out="out.%p.txt",
                         script="print(#heap.snapshot{graph=false})", lines=0) as program:
                check(program.hear() == "fine 400", f"it comes through ({kind})",
                      program.stderr())
                answered += bool(program.wait_runs(1))
                check(program.finish() == 0, f"it ends well ({kind})")
        check(answered == ROUNDS, f"each process answered ({kind})", answered)


if __name__ == "__main__":
    main()
