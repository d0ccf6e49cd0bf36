# SPDX-License-Identifier: MIT
"""Edit, signal, read: does an edit take effect without a restart, and does `data` survive?

Context: test.
"""

import os
import re
import time

from harness import Program, check, main, victim

COUNT = "data.n = (data.n or 0) + 1  print(data.n, run.n, leaked)  leaked = 'yes'"


def puppet(script=""):
    return Program([victim("puppet")], script=script)


def test_data_counts_and_globals_do_not_survive():
    with puppet(COUNT) as program:
        for n in range(1, 6):
            check(program.run().body.split() == [str(n), str(n), "nil"], f"run {n}",
                  program.said())


def test_edit_between_signals():
    with puppet("print('one')") as program:
        check(program.run().body == "one", "the first")
        check(program.run("print('two')").body == "two", "the edited")
        check("traceback" in program.run("error('three')").body, "an error")
        check(program.run("print('four', run.n)").body.split() == ["four", "4"], "after the error")
        with open(program.script_path, "w") as f:  # in place, as some editors do
            f.write("print('five')")
        check(program.run().body == "five", "edited in place")


def test_run_fields():
    script = "print(run.cause, run.pid, run.script, run.elapsed)"
    with puppet(script) as program:
        program.run()
        time.sleep(0.3)
        cause, pid, path, elapsed = program.run().body.split()
        check(cause == "signal" and pid == str(program.pid), "cause and pid")
        check(path.endswith("debug_script.lua"), "the script's path", path)
        check(0.25 < float(elapsed) < 60, "seconds since the last run", elapsed)


def test_growth_then_reverse():
    with puppet("heap.show_growth{by='site'}") as program:
        program.run()
        check("make_node" not in program.run().body, "nothing grew")
        program.ask("node 1000")
        body = program.run().body
        check(re.search(r"make_node.*\b1[ ,]?000\b.*\+1[ ,]?000\b", body), "the site grew by 1000",
              body)
        check("make_node" not in program.run().body, "shown once")
        program.ask("drop")
        check("make_node" not in program.run().body, "shrinking is no growth")
        program.ask("node 1000")
        check("make_node" not in program.run().body, "back to the highest so far is no growth")
        program.ask("node 5")
        check(re.search(r"make_node.*\+5\b", program.run().body), "above the highest so far")


def test_two_signal_window():
    window = """
    local before = heap.snapshot{graph=false}
    print('opened')
    local cause = heap.wait()
    for _, row in ipairs(heap.snapshot{graph=false}:diff(before, "site"):rows()) do
        print(cause, row.key, row.count_delta, row.bytes_delta)
    end
    """
    with puppet(window) as program:
        program.ask("node 50")
        check(program.run().body == "opened", "the first signal opens the window", program.said())
        program.ask("node 20")
        program.ask("buffer 3")
        body = program.run().body
        check(re.search(r"signal\s+make_node \(puppet\.c:\d+\)\s+20\s+2080\b", body), "nodes in the window", body)
        check(re.search(r"signal\s+make_buffer \(puppet\.c:\d+\)\s+3\s+3000\b", body), "buffers in the window", body)
        check(program.run().body == "opened", "then it begins anew", program.said())


def test_wait_with_a_time():
    with puppet("print('before') print(heap.wait(0.2))") as program:
        program.signal()
        runs = program.wait_runs(2)
        check(runs[0].body == "before" and runs[1].body == "timer", "resumes after the time", runs)


def test_edit_while_waiting():
    with puppet("print('first') heap.wait() print('second')") as program:
        program.run()
        time.sleep(0.02)
        body = program.run("print('changed')").body
        check("changed" in body and "second" not in body, "the changed script starts afresh", body)
        check(len(body.strip().split("\n")) >= 2, "and it says so", body)


def test_modules_are_reloaded():
    with puppet("print(require('helper').word)") as program:
        helper = os.path.join(program.directory, "helper.lua")
        program.write_script("return {word = 'one'}", helper)
        check(program.run().body == "one", "the module beside the script", program.said())
        program.write_script("return {word = 'three'}", helper)
        check(program.run().body == "three", "reloaded when its file changed", program.said())


def test_signals_while_running():
    """Many signals during a run make at least one more run, and no run is lost or mixed up."""
    with puppet("for i = 1, 5e6 do end print('done', run.n)") as program:
        for _ in range(50):
            program.signal()
            time.sleep(0.002)
        program.wait_runs(2)
        runs = program.settle()
        check(len(runs) >= 2, "signals during a run are not lost", len(runs))
        check([r.body.split() for r in runs] == [["done", str(n + 1)] for n in range(len(runs))],
              "each run is whole", runs)


if __name__ == "__main__":
    main()
