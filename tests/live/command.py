# SPDX-License-Identifier: MIT
"""Do `moonheap run`, `poke` and `ps` work, and does poke refuse who would be killed by it?

Context: test.
"""

import os
import re
import subprocess
import time

import harness
from harness import Program, check, main, tool, victim


def test_poke_refuses_an_unprepared_process():
    sleep = subprocess.Popen(["/bin/sleep", "60"])
    try:
        time.sleep(0.05)
        result = tool("poke", sleep.pid)
        check(result.returncode in (1, 2) and result.stderr.strip(), "refused with a message", result)
        check(str(sleep.pid) in result.stderr, "that names the process", result)
        check(sleep.poll() is None, "the process lives")
    finally:
        sleep.kill()
        sleep.wait()


def test_poke_refuses_what_is_not_there():
    child = subprocess.Popen(["/bin/true"])
    child.wait()
    result = tool("poke", child.pid)
    check(result.returncode in (1, 2) and result.stderr.strip(), "no such process", result)
    check(tool("poke", "nonsense").returncode == 2, "not a number")
    check(tool("poke").returncode == 2, "no process named")


def test_poke_shows_the_output():
    with Program([victim("puppet")], script="print('hello ' .. run.n)") as program:
        program.ask("ping")
        for n in (1, 2):
            result = tool("poke", program.pid)
            check(result.returncode == 0 and f"hello {n}" in result.stdout
                  and "DBG>>" in result.stdout and "<<DBG" in result.stdout,
                  "the run's output is shown", result, program.said())
        check(program.ask("ping") == "done", "the program goes on")


def test_poke_with_another_signal():
    with Program([victim("puppet")], script="print('hello')", MOONHEAP_SIGNAL="RTMIN+2") as program:
        program.ask("ping")
        result = tool("poke", program.pid)
        check(result.returncode == 0 and "hello" in result.stdout, "it finds the signal", result,
              program.stderr())


def test_run_becomes_the_program():
    with Program([harness.TOOL, "run", "--script", "mine.lua", "--out", "mine.txt", "--",
                  victim("puppet")], moonheap=False, out="mine.txt") as program:
        program.write_script("print('mine', run.n)", os.path.join(program.directory, "mine.lua"))
        program.ask("node 10")
        check(os.readlink(f"/proc/{program.pid}/exe") == os.path.realpath(victim("puppet")),
              "the same process")
        check("mine" in program.run().body, "its script runs", program.stderr())
        check(program.finish() == 0, "its exit status")


def test_run_options_and_status():
    with Program([harness.TOOL, "run", "--idle", "--signal", "USR2", "--", victim("puppet")],
                 moonheap=False, script="print(#heap.snapshot{graph=false})",
                 out=None) as program:
        program.ask("node 10")
        program.signal(harness.signal.SIGUSR2)
        harness.until(lambda: harness.parse_runs(program.stderr()), 60, "output on stderr")
        check(harness.parse_runs(program.stderr())[0].body == "0", "--idle records nothing",
              program.stderr())
    for status in (0, 3):
        result = tool("run", "--", "/bin/sh", "-c", f"echo out; exit {status}")
        check((result.returncode, result.stdout, result.stderr) == (status, "out\n", ""),
              "output and status are the program's", result)
    result = tool("run", "--", "/no/such/program")
    check(result.returncode == 2 and "/no/such/program" in result.stderr, "says what is missing",
          result)


def test_ps():
    with Program([victim("puppet")]) as program:
        program.ask("ping")
        result = tool("ps")
        check(result.returncode == 0 and re.search(rf"\b{program.pid}\b.*puppet", result.stdout),
              "the puppet is listed", result)
        pids = set(re.findall(r"^\s*(\d+)\b", result.stdout, re.M))
        check(str(os.getpid()) not in pids, "and those without Moonheap are not", result)


def test_help_and_version():
    for arguments in (["--help"], ["help"], ["--version"]):
        result = tool(*arguments)
        check(result.returncode == 0 and "moonheap" in result.stdout.lower()
              and not result.stderr, f"{arguments}", result)
    result = tool("nonsense")
    check(result.returncode == 2 and "nonsense" in result.stderr and not result.stdout,
          "an unknown command", result)


if __name__ == "__main__":
    main()
