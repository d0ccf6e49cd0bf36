# SPDX-License-Identifier: MIT
"""Does a bare signal find the program's own types, and makes what it needs for that, unseen?

Context: test.
"""

import os
import shutil
import subprocess
import tempfile

from harness import Program, check, children_of, main, tool, until, victim

LOOK = """
local s = heap.snapshot()
for _, row in ipairs(s:by("type"):rows()) do print(row.key, row.count) end
"""


def files(folder):
    return {os.path.join(at, name): os.stat(os.path.join(at, name)).st_mtime_ns
            for at, _, names in os.walk(folder) for name in names}


def types(run):
    return {line.split("\t")[0] for line in run.body.split("\n")}


def with_cache(test):
    def run():
        with tempfile.TemporaryDirectory(prefix="moonheap-test-") as folder:
            test(os.path.join(folder, "cache"))
    run.__name__ = test.__name__
    return run


@with_cache
def test_a_bare_signal_makes_what_is_missing(cache):
    with Program([victim("puppet")], script=LOOK, catalog=cache) as program:
        program.ask("node 50")
        fds = os.listdir(f"/proc/{program.pid}/fd")
        run = program.run()
        check("node" in types(run), "its types have names", run)
        made = files(cache)
        check(made and not any(name.endswith(".failed") for name in made), "it was made", made)
        check(not children_of(program.pid), "no process is left")
        until(lambda: os.listdir(f"/proc/{program.pid}/fd") == fds, 30, "no descriptor is left")
        check(types(program.run()) == types(run), "and are found again")
    with Program([victim("puppet")], script=LOOK, catalog=cache) as program:
        program.ask("node 50")
        check(types(program.run()) == types(run), "by another process, too")
        check(files(cache) == made, "which makes nothing anew", files(cache))


@with_cache
def test_without_helpers_none_is_made(cache):
    with Program([victim("puppet")], script=LOOK, catalog=cache, lines=0) as program:
        program.ask("node 50")
        run = program.run()
        check(all(name.startswith("site:") for name in types(run)), "sites", run)
        check(not files(cache), "nothing was written")
        check(tool("catalog", "--missing", program.pid, MOONHEAP_CATALOG=cache).returncode == 0,
              "by hand")
        check(any(not name.startswith("site:") for name in types(program.run())), "then it has them")


@with_cache
def test_a_stripped_program_leaves_no_traces(cache):
    with tempfile.TemporaryDirectory(prefix="moonheap-test-") as folder:
        stripped = os.path.join(folder, "puppet")
        shutil.copy(victim("puppet"), stripped)
        subprocess.run(["strip", stripped], check=True, timeout=60)
        with Program([stripped], script=LOOK, catalog=cache) as program:
            program.ask("node 50")
            run = program.run()
            check(all(name.startswith("site:") for name in types(run)), "sites", run)
            check(not any("puppet" in open(name, "rb").read().decode("latin-1")
                          for name in files(cache)), "nothing of it", files(cache))


def test_where_nothing_can_be_written():
    with Program([victim("puppet")], script=LOOK, catalog="/proc/nothing") as program:
        program.ask("node 50")
        run = program.run()
        check(all(name.startswith("site:") for name in types(run)), "sites", run)
        check("moonheap:" not in run.body and not program.stderr(), "and no complaint", run)


if __name__ == "__main__":
    main()
