# SPDX-License-Identifier: MIT
"""Does our signal survive whatever the program does with it, and the program's own handler too?

Context: test. The oracle for what a program is told (old dispositions, flags, masks) is the same
program without Moonheap, asked the same things.
"""

import os
import re
import signal

from harness import Program, check, main, victim

SETTINGS = ["sigaction", "signal", "sysv", "ignore", "default", "once", "sigset", "sigaction",
            "default", "ping"]


def told(line):
    """What does not depend on who signalled: old and new disposition, flags and mask."""
    return re.search(r"was .* mask \d", line).group(0)


def test_told_what_it_set():
    with Program([victim("handler")], moonheap=False) as alone:
        expected = [told(alone.ask(s)) for s in SETTINGS]
    with Program([victim("handler")], script="print('x')") as program:
        found = [told(program.ask(s)) for s in SETTINGS]
        for setting, want, got in zip(SETTINGS, expected, found):
            check(want == got, f"after {setting}", f"alone    {want}", f"moonheap {got}")
        program.run()
        check([told(program.ask(s)) for s in SETTINGS[:-1]][1:] == expected[1:-1],
              "and the same once the agent runs")


def test_own_handler_runs_too():
    with Program([victim("handler")], script="print('x')") as program:
        for setting in ("sigaction", "signal", "sigset"): # sysv's is reset by its first
            before = int(program.ask(setting).split()[1])
            for n in (1, 2):
                check("x" in program.run().body, f"a run after {setting}")
                hits = int(program.ask("ping").split()[1])
                check(hits == before + n, f"its own handler runs once a signal ({setting})",
                      before, n, hits)


def test_its_mask_and_info_hold():
    with Program([victim("handler")], script="print('x')") as program:
        program.ask("sigaction")
        program.run()
        line = program.ask("ping")
        check(f"masked 1 info {os.getpid()}" in line, "its handler has its mask and siginfo", line)


def test_default_and_ignored_do_not_kill():
    with Program([victim("handler")], script="print('x')") as program:
        for setting in ("default", "ignore", "default"):
            program.ask(setting)
            for _ in range(2):
                check("x" in program.run().body, f"a run after {setting}")
            check("hits 0" in program.ask("ping"), "no handler ran")


def test_once_means_once():
    with Program([victim("handler")], script="print('x')") as program:
        program.ask("once")
        for _ in range(3):
            program.run()
        line = program.ask("ping")
        check("hits 1 " in line and "handler default" in line, "SA_RESETHAND holds", line)


def test_raise():
    """The program's own use of the signal is a trigger as well, and its handler runs at once."""
    with Program([victim("handler")], script="print('x')") as program:
        program.ask("signal")
        check("hits 1 " in program.ask("raise"), "handled before raise returns")
        program.wait_runs(1)


def test_other_signals_are_untouched():
    with Program([victim("handler")], script="print('x')") as program:
        program.run()
        program.process.send_signal(signal.SIGUSR2)
        check(program.process.wait(10) == -signal.SIGUSR2, "an unhandled SIGUSR2 still kills")


if __name__ == "__main__":
    main()
