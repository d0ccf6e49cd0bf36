# SPDX-License-Identifier: MIT
"""Do the recorder and the handler fit on the smallest thread stacks?

Context: test. glibc's smallest stack is 16 KiB; a program may give it to threads that allocate,
and the signal lands on any thread that does not block it.
"""

import select

from harness import Program, check, main, victim


def test_small_stacks_in_signal_storms():
    with Program([victim("stacks"), "2"], script="print(#heap.snapshot{graph=false})",
                 lines=0) as program:
        sent = 0
        while not select.select([program.process.stdout], [], [], 0.001)[0]:
            program.signal()
            sent += 1
        check(program.hear().startswith("fine"), "it comes through", program.stderr())
        check(program.process.wait(10) == 0, "it ends well")
        print(f"# {sent} signals, {len(program.runs())} runs")
        check(program.runs(), "and it was answered")


if __name__ == "__main__":
    main()
