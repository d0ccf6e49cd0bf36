# SPDX-License-Identifier: MIT
"""Do fork, vfork, posix_spawn, system and popen work while signals and allocations storm?

Context: test. An injected library that deadlocks a forked child, or that changes what a vforked
child sees, is the classic failure; each child must end with its own exit status.
"""

import select
import time

from harness import Program, check, main, numbers, victim

SCRIPT = 'local s = heap.snapshot{graph=false} printf("pid=%d\\nlive=%d\\n", run.pid, #s)'


def test_children_in_signal_storms():
    with Program([victim("children"), "160"], script=SCRIPT, out="out.%p.txt") as program:
        check(program.hear() == "started", "it starts")
        began = time.monotonic()
        while not select.select([program.process.stdout], [], [], 0.004)[0]:
            program.signal()
            check(time.monotonic() - began < 60, "the children come to an end", program.stderr())
        check(program.hear() == "children 160 bad 0", "every child ended as it should",
              program.stderr())
        runs = program.wait_runs(1)
        check(program.finish() == 0, "it ends well")
        for run in runs:
            check(numbers(run.body)["pid"] == program.pid, "with its own pid", run)


def test_children_unsignalled():
    with Program([victim("children"), "80"], script=SCRIPT, out="out.%p.txt") as program:
        program.hear()
        check(program.hear() == "children 80 bad 0", "every child ended as it should",
              program.stderr())


if __name__ == "__main__":
    main()
