# SPDX-License-Identifier: MIT
"""What does a script that misbehaves do to the program? Nothing; and the user is told why.

Context: test. Each case gives its message within its limit, the program answers on, and the next
well-behaved script runs as if nothing had been.
"""

import os
import re
import shutil
import stat
import subprocess
import tempfile
import time

import harness
from harness import Program, check, main, victim

GOOD = 'print("good " .. run.n)'


def goes_on(program):
    check(program.ask("ping") == "done", "the program answers")
    check("good" in program.run(GOOD).body, "the next script runs", program.said()[-500:])
    check(program.ask("node 10") == "done", "the program still allocates")


def misbehave(script, *patterns, within=60, **options):
    with Program([victim("puppet")], script=GOOD, **options) as program:
        program.run()
        began = time.monotonic()
        run = program.run(script, seconds=within)
        took = time.monotonic() - began
        for pattern in patterns:
            check(re.search(pattern, run.body, re.I), f"the message speaks of /{pattern}/", run)
        goes_on(program)
        return took, run


def test_error_has_traceback():
    misbehave("local function inner() error('deliberate') end\ninner()",
              r"debug_script\.lua:1: deliberate", r"traceback", r"in .*inner")


def test_error_values_of_every_kind():
    for value in ("nil", "42", "{}", "setmetatable({}, {__tostring = function() error('x') end})"):
        misbehave(f"error({value})", r".")


def test_syntax_error():
    misbehave("local x = = 1", r"debug_script\.lua:1", r"unexpected symbol")


def test_runtime_errors_of_bindings():
    misbehave("local s = heap.snapshot{graph=false}; s:close(); print(s:all())", "closed")
    misbehave("heap.snapshot{graph=false}:by('nonsense')", "nonsense")
    misbehave("heap.snapshot{graph=false}.all(nil)", r"bad argument|expected")
    misbehave("heap.nonsense()", r"nonsense")


def test_endless_loop():
    took, _ = misbehave("while true do end", r"time|limit", script_timeout="0.5")
    check(0.4 < took < 20, "stopped about when it should be", took)


def test_endless_loop_that_catches_errors():
    misbehave("while true do pcall(function() while true do end end) end", r"time|limit",
              script_timeout="0.5")


def test_endless_loop_in_a_coroutine():
    misbehave("coroutine.wrap(function() while true do end end)()", r"time|limit",
              script_timeout="0.5")


def test_endless_pattern_match():
    """One C call that takes for ever: no instruction hook is reached inside string.find."""
    with Program([victim("puppet")], script_timeout="0.5") as program:
        program.write_script("print(string.find(string.rep('a', 300000),"
                             " string.rep('a?', 5000) .. string.rep('a', 300000)))")
        program.signal()
        for _ in range(20):
            check(program.ask("ping") == "done", "the program goes on meanwhile")
            time.sleep(0.02)


def test_endless_recursion():
    misbehave("local function f() return 1 + f() end f()", r"stack overflow")
    misbehave("local t = {} for i = 1, 1e5 do t = {t} end "
              "print(string.rep('(', 1e5)) return load(string.rep('(', 1e5))()", r".")


def test_endless_memory():
    misbehave("local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end",
              r"memory", lua_memory="16M")
    misbehave("return ('x'):rep(1 << 40)", r"memory|large", lua_memory="16M")


def test_memory_is_free_again():
    """A run that hit the cap does not starve the next one."""
    with Program([victim("puppet")], lua_memory="16M") as program:
        for _ in range(5):
            run = program.run("local t = {} while true do t[#t + 1] = {#t} end")
            check(re.search("memory", run.body), "the cap is met", run)
            goes_on(program)


def test_data_at_the_cap_can_be_emptied():
    """What fills the cap survives in `data`; a short script must still be able to let go of it."""
    with Program([victim("puppet")], lua_memory="16M") as program:
        run = program.run("data.t = {} while true do data.t[#data.t + 1] = {} end")
        check(re.search("memory", run.body), "the cap is met", run)
        for _ in range(3):
            program.run("data.t = nil")
        goes_on(program)


def test_no_way_out_of_the_process():
    for call in ("os.exit(3)", "os.execute('true')", "io.popen('true')",
                 "debug.debug()", "package.loadlib('libc.so.6', 'exit')()"):
        _, run = misbehave(call, r"debug_script\.lua:1:")
        check("traceback" in run.body, "refused as an error", run)


def test_bytecode():
    luac = shutil.which("luac5.4") or shutil.which("luac")
    with Program([victim("puppet")]) as program:
        source = os.path.join(program.directory, "x.lua")
        with open(source, "w") as f:
            f.write("print('never')")
        if luac:
            subprocess.run([luac, "-o", program.script_path, source], check=True)
        else:
            with open(program.script_path, "wb") as f:
                f.write(b"\x1bLua\x54\x00\x19\x93\r\n\x1a\n")
        run = program.run()
        check(re.search(r"binary|bytecode|text", run.body), "bytecode is refused", run)
        check("never" not in run.body, "bytecode does not run", run)
        goes_on(program)
    misbehave("load(string.dump(function() print('never') end))()", r".")


def test_missing():
    with Program([victim("puppet")]) as program:
        os.unlink(program.script_path)
        run = program.run()
        check(re.search(r"no such file|not found|cannot open|does not exist", run.body, re.I)
              and "debug_script.lua" in run.body, "says that the script is not there", run)
        goes_on(program)


def test_directory_and_fifo():
    """Neither is a script; a fifo must not hold the agent for ever."""
    with Program([victim("puppet")]) as program:
        os.unlink(program.script_path)
        os.mkdir(program.script_path)
        check(program.run().body.strip(), "a directory is refused with a message")
        os.rmdir(program.script_path)
        os.mkfifo(program.script_path)
        check(program.run(seconds=20).body.strip(), "a fifo is refused with a message")
        os.unlink(program.script_path)
        goes_on(program)


def test_writable_by_others():
    with Program([victim("puppet")], script=GOOD) as program:
        for mode in (0o666, 0o646, 0o602):
            os.chmod(program.script_path, mode)
            run = program.run()
            check(re.search(r"writ", run.body) and "good" not in run.body,
                  f"mode {mode:o} is refused", run)
        os.chmod(program.script_path, 0o644)
        os.chmod(program.directory, 0o777)
        run = program.run()
        check(re.search(r"writ", run.body) and "good" not in run.body,
              "a directory where others may replace the script is refused", run)
        os.chmod(program.directory, 0o700)
        goes_on(program)


def test_owned_by_another():
    if os.getuid() != 0:
        raise harness.Skip("needs root to give a file away")
    with Program([victim("puppet")], script=GOOD) as program:
        os.chown(program.script_path, 65534, 65534)
        run = program.run()
        check("good" not in run.body and run.body.strip(), "another's script is refused", run)
        goes_on(program)


def test_unreadable():
    """Runs as an ordinary user, since nothing is unreadable to root."""
    directory = tempfile.mkdtemp(prefix="moonheap-test-")
    via = ()
    library, binary = harness.LIBRARY, victim("puppet")
    try:
        if os.getuid() == 0:
            if not shutil.which("setpriv"):
                raise harness.Skip("needs setpriv to stop being root")
            for path in (library, binary):
                shutil.copy(path, directory)
            harness.LIBRARY = os.path.join(directory, os.path.basename(library))
            binary = os.path.join(directory, "puppet")
            os.chown(directory, 65534, 65534)
            via = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        with Program([binary], script=GOOD, via=via, directory=directory) as program:
            program.ask("ping")  # setpriv has become the victim
            os.chmod(program.script_path, 0)
            run = program.run()
            check(re.search(r"permi", run.body, re.I), "says that it may not be read", run)
            os.chmod(program.script_path, stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IROTH)
            check("good" in program.run().body, "runs once it may be read", program.said())
    finally:
        harness.LIBRARY = library
        shutil.rmtree(directory, ignore_errors=True)


def test_output_that_cannot_be_written():
    with Program([victim("puppet")], script=GOOD) as program:
        os.unlink(program.out) if os.path.exists(program.out) else None
        os.mkdir(program.out)
        program.signal()
        for _ in range(20):
            check(program.ask("node 1") == "done", "the program goes on")
            time.sleep(0.01)
        os.rmdir(program.out)
        check("good" in program.run().body, "output comes once it can be written")


def test_output_that_nobody_reads():
    """A full pipe: the agent may wait or give up, the program may not notice."""
    with Program([victim("puppet")], script="print(('x'):rep(300000))", out="pipe") as program:
        os.mkfifo(program.out)
        reading = os.open(program.out, os.O_RDONLY | os.O_NONBLOCK)
        program.signal()
        for _ in range(20):
            check(program.ask("node 1") == "done", "the program goes on")
            time.sleep(0.01)
        os.close(reading)
        for _ in range(20):
            check(program.ask("ping") == "done", "the program is not hit by SIGPIPE")
            time.sleep(0.01)
        program.tell("")
        check(program.finish() == 0, "the program ends well")


if __name__ == "__main__":
    main()
