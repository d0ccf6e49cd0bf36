# SPDX-License-Identifier: MIT
"""Are sites and stacks named by file and line, whatever happens to the helper that looks them up?

Context: test. The oracle are the marks in the victim's source. A library copied to a directory of
its own finds the command that is put beside it there, which stands for a helper gone wrong.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import harness
from harness import SOURCE, Program, check, children_of, main, tool, until, victim

LOOK = """
local s = heap.snapshot{graph=false}
for b in s:all():where{min_size=1001, max_size=1003}:each() do
    print(b.size, b.site, b.type, b.stack)
end
for _, key in ipairs{"function", "file"} do
    for _, row in ipairs(s:all():where{min_size=1001, max_size=1003}:by(key):rows()) do
        print(key, row.key, row.count)
    end
end
printf("has=%d\\n", #s:all():where{stack_has="with_inlined"})
printf("line=%d\\n", #s:all():where{stack_has="lines%.c:LINE"})
"""


def is_gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def marks():
    """{mark: line} of the victim's source."""
    with open(f"{SOURCE}/tests/live/victims/lines.c") as f:
        return {m[1]: n for n, line in enumerate(f, 1)
                if (m := re.search(r"/\* mark: (\w+) \*/", line))}


MARKS = marks()
LOOK = LOOK.replace("LINE", str(MARKS["second"]))


def blocks(run):
    """{size: (site, type, stack)}"""
    rows = (line.split("\t") for line in run.body.split("\n"))
    return {int(f[0]): tuple(f[1:]) for f in rows if len(f) == 4}


def rows(run, key):
    found = (line.split("\t") for line in run.body.split("\n"))
    return {f[1]: int(f[2]) for f in found if f[0] == key}


def check_lines(run):
    found, plain = blocks(run), f"plain (lines.c:{MARKS['plain']})"
    take = f"take (lines.c:{MARKS['take']})"
    check(found[1001][:2] == (plain, f"site:{plain}"), "the line that allocates", run)
    check(found[1001][2].startswith(f"{plain} < main (lines.c:{MARKS['main']}) < "),
          "its caller's line", run)
    for size, mark in ((1002, "first"), (1003, "second")):
        check(found[size][0] == take, "an inlined function is the site", run)
        check(found[size][2].startswith(f"{take} < with_inlined (lines.c:{MARKS[mark]}) < main "),
              "and is a frame, with the line that it was called from", run)
    check(rows(run, "function") == {"take": 2, "plain": 1}, "functions", run)
    check(rows(run, "file") == {"lines.c": 3}, "files", run)
    check("has=2\n" in run.body and run.body.endswith("line=1"), "patterns on frames", run)


def check_functions(run):
    found = blocks(run)
    check(found[1001][:2] == ("plain", "site:plain") and found[1002][0] == "with_inlined",
          "functions by ELF symbols, and no lines", run)
    check(found[1001][2].startswith("plain < main < "), "so in stacks", run)
    check(rows(run, "file") == {"lines": 3}, "the module stands for the file", run)


def test_lines_and_inlined_functions():
    with Program([victim("lines")], script=LOOK) as program:
        check(program.hear() == "ready", "it is ready")
        fds = os.listdir(f"/proc/{program.pid}/fd")
        check_lines(program.run())
        check_lines(program.run())
        until(lambda: os.listdir(f"/proc/{program.pid}/fd") == fds, 30, "no descriptor is left")
        check(not children_of(program.pid), "no process is left")


def test_without():
    with Program([victim("lines")], script=LOOK, lines=0) as program:
        program.hear()
        check_functions(program.run())


def test_stripped():
    """Without symbols either: file and address in it."""
    with tempfile.TemporaryDirectory(prefix="moonheap-test-") as folder:
        stripped = os.path.join(folder, "lines")
        shutil.copy(victim("lines"), stripped)
        subprocess.run(["strip", stripped], check=True, timeout=60)
        with Program([stripped], script=LOOK) as program:
            program.hear()
            run = program.run()
            for size, found in blocks(run).items():
                check(re.fullmatch(r"lines\+0x[0-9a-f]+", found[0]), f"site of {size}", run)


def test_bare_program():
    """No descriptor, another directory."""
    with Program([victim("lines"), "bare"], script=LOOK) as program:
        program.hear()
        until(lambda: not os.listdir(f"/proc/{program.pid}/fd"), 30, "it to close everything")
        check_lines(program.run())
        until(lambda: not os.listdir(f"/proc/{program.pid}/fd"), 30, "it has none again")


def replaced(lines, script):
    """The victim's run once its file has become another one's."""
    with tempfile.TemporaryDirectory(prefix="moonheap-test-") as folder:
        program_file = os.path.join(folder, "lines")
        shutil.copy(victim("lines"), program_file)
        with Program([program_file], script=script, lines=lines) as program:
            program.hear()
            os.unlink(program_file)
            shutil.copy(victim("puppet"), program_file)
            return program.run()


def test_a_program_that_went_on():
    """What is at its path now must not lend its names; what it runs is still to be had."""
    check_lines(replaced(1, LOOK))
    run = replaced(0, LOOK)
    for size, found in blocks(run).items():
        check(re.fullmatch(r"lines\+0x[0-9a-f]+", found[0]), f"site of {size}", run)


def test_offline():
    with Program([victim("lines")], lines=0,
                 script='heap.snapshot{graph=false}:save("bare.snap")') as program:
        program.hear()
        program.run()
        program.write_script('heap.snapshot{graph=false}:save("full.snap")')
        script = os.path.join(program.directory, "look.lua")
        with open(script, "w") as f:
            f.write(LOOK)
        done = tool("script", os.path.join(program.directory, "bare.snap"), script)
        check(done.returncode == 0, "it runs", done)
        check_lines(harness.Run("", done.stdout.rstrip("\n"), ""))


# --- helpers gone wrong -------------------------------------------------------------------------

@contextlib.contextmanager
def beside(command):
    """Runs the victim with a library that has `command` (what is in the file, or None) as helper."""
    with tempfile.TemporaryDirectory(prefix="moonheap-test-") as folder:
        for name in ("lib", "bin"):
            os.mkdir(os.path.join(folder, name))
        library = os.path.join(folder, "lib", "libmoonheap.so")
        shutil.copy(harness.LIBRARY, library)
        if command:
            path = os.path.join(folder, "bin", "moonheap")
            with open(path, "wb") as f:
                f.write(command if isinstance(command, bytes) else command.encode())
            os.chmod(path, 0o755)
        with Program([victim("lines")], script=LOOK, LD_PRELOAD=library) as program:
            program.hear()
            yield program


def test_installed_elsewhere():
    """The command is found beside the library, wherever both lie."""
    with open(harness.TOOL, "rb") as f, beside(f.read()) as program:
        check_lines(program.run())


NOTE = "moonheap: files and lines are missing: "


def test_no_helper():
    with beside(None) as program:
        run = program.run()
        check_functions(run)
        check(NOTE not in run.body, "that is nothing to speak of", run)


def test_helpers_that_fail():
    for command in ("#!/bin/false\n", "#!/bin/sh\nkill -9 $$\n", "no program at all",
                    "#!/bin/sh\nexec head -c 200000 /dev/urandom\n", "#!/bin/sh\nexec cat\n"):
        with beside(command) as program:
            run = program.run()
            check_functions(run)
            check(NOTE + "the helper process ended before" in run.body, f"said so: {command}", run)
            again = program.run()
            check_functions(again)
            check(NOTE not in again.body, "nothing new to ask, nothing new to say", again)
            check(not children_of(program.pid), "no process is left")


def test_a_helper_that_hangs():
    with beside("#!/bin/sh\nexec sleep 100\n") as program:
        began = time.monotonic()
        run = program.run(seconds=60)
        took = time.monotonic() - began
        check_functions(run)
        check(NOTE + "the helper process took too long" in run.body, "said so", run)
        check(9 < took < 60, "after its ten seconds", took)
        check(not children_of(program.pid), "it is gone")


def test_a_process_between_is_killed():
    """By somebody, or for want of memory: its helper goes with it, and the run goes on."""
    with beside("#!/bin/sh\nexec sleep 100\n") as program:
        program.signal()
        relay = until(lambda: children_of(program.pid), 30, "the relay")[0][0]
        helper = until(lambda: [c for c in children_of(relay) if c[1] == "sleep"], 10,
                       "the helper")[0][0]
        began = time.monotonic()
        os.kill(relay, signal.SIGKILL)  # a child of the program that this test started
        run = program.wait_runs(1)[0]
        check(time.monotonic() - began < 8, "at once")
        check_functions(run)
        check(NOTE + "the helper process ended before" in run.body, "said so", run)
        until(lambda: is_gone(helper), 10, "the helper to be gone")
        check(not children_of(program.pid), "no process is left")
        check(program.alive(), "and the program lives")


if __name__ == "__main__":
    main()
