# SPDX-License-Identifier: MIT
"""Does `moonheap ps` list the processes that have the library, with their settings, and no others?"""
import re

import harness
from harness import Program, check, tool


def loaded(*programs):
    """Waits until the loader of each is through, which its answer shows."""
    for p in programs:
        check(p.ask("there?") == "there?", "it answers")


def rows():
    done = tool("ps")
    check(done.returncode == 0, "ps", done)
    lines = done.stdout.splitlines()
    check(not lines or re.match(r" +PID TRACK +SIGNAL +SCRIPT +COMMAND$", lines[0]), "head", lines)
    return {int(line.split()[0]): line.split(None, 4)[1:] for line in lines[1:]}


def test_lists_what_has_the_library():
    with Program(["/bin/cat"]) as p, Program(["/bin/cat", "-u"], moonheap=False) as q:
        loaded(p, q)
        found = rows()
        check(p.pid in found and q.pid not in found, "the one and not the other", found)
        check(found[p.pid] == ["full", "USR1", p.script_path, "/bin/cat"], "its row", found[p.pid])


def test_shows_settings():
    with Program(["/bin/cat"], track="off", signal="USR2") as p, \
            Program(["/bin/cat"], track="sample:4096", signal="40") as q:
        loaded(p, q)
        found = rows()
        check(found[p.pid][:2] == ["off", "USR2"], "idle", found)
        check(found[q.pid][0] == "sample:4096", "sampled", found)


WIPE = r"""
import ctypes, time
stat = open("/proc/self/stat").read().rsplit(")", 1)[1].split()
lo, hi = int(stat[47]), int(stat[48])  # env_start, env_end
ctypes.memset(lo, 0, hi - lo)
print(input(), flush=True)
input()
"""


def test_program_that_writes_over_its_environment():
    with Program(["/usr/bin/python3", "-c", WIPE], track="off", signal="USR2") as p:
        loaded(p)
        environ = open(f"/proc/{p.pid}/environ").read()
        check("MOONHEAP" not in environ, "it is gone", environ)
        check(rows()[p.pid][:3] == ["off", "USR2", p.script_path], "its settings are seen", rows())
        check(tool("poke", p.pid).returncode == 0, "and its signal is known")


def test_order_is_by_pid():
    with Program(["/bin/cat"]) as p, Program(["/bin/cat"]) as q, Program(["/bin/cat"]) as r:
        loaded(p, q, r)
        pids = list(rows())
        check(pids == sorted(pids) and len(pids) >= 3, "ascending", pids)


def test_one_line_a_process():
    with Program(["/bin/sh", "-c", "read line\n\techo \"$line\"\nread line", "x\x1b[31m"]) as p:
        loaded(p)
        check(rows()[p.pid][3].startswith("/bin/sh -c read line  echo"), "its command", rows())


harness.main()
