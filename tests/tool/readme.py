# SPDX-License-Identifier: MIT
"""Does everything that the README tells its reader to type work, in that order?

Blocks fenced as ```sh are run as one shell session in a fresh directory that holds the source tree
by links; the installed command is the one that was built. scripts/quickstart has a test of its own
(tool.quickstart), and scripts/test is what runs this.
"""
import os
import re
import shutil
import signal
import subprocess
import tempfile

import harness
from harness import BUILD, SOURCE, check

README = open(os.path.join(SOURCE, "README.md")).read()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)


def run_session(lines, folder):
    """Runs the lines with sh; returns stdout and stderr. Ends what the session left behind."""
    env = harness.environment(moonheap=False)
    env["PATH"] = f"{BUILD}/bin:{env['PATH']}"
    env["HOME"] = folder
    path = os.path.join(folder, "errors")
    with open(path, "a") as errors:
        session = subprocess.Popen(["sh", "-eu"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=errors, text=True, cwd=folder, env=env,
                                   start_new_session=True, preexec_fn=harness.die_with_parent)
    try:
        out, _ = session.communicate(lines, timeout=100)
    finally:
        try:
            os.killpg(session.pid, signal.SIGKILL)  # the session started above
        except ProcessLookupError:
            pass
    with open(path) as f:
        errors = f.read()
    check(session.returncode == 0, f"exit {session.returncode}", out, errors)
    return out, errors


def test_first_session():
    lines = "".join(b for b in blocks("sh") if "cmake" not in b)
    check("moonheap run" in lines and "moonheap poke" in lines and "kill -USR1" in lines,
          "the session is in the README", lines)
    folder = tempfile.mkdtemp(prefix="moonheap-test-")
    try:
        os.symlink(os.path.join(SOURCE, "tests"), os.path.join(folder, "tests"))
        # A person waits until the server is there, and for the answer to the bare signal.
        check("\nsleep 1\n" in lines and "\nkill $server" in lines, "where one waits", lines)
        lines = lines.replace("\nsleep 1\n", "\nuntil [ -S socket ] && grep -q ' 00010000 .*/socket$' "
                              "/proc/net/unix; do sleep 0.1; done\n")
        lines = lines.replace("\nkill $server", "\nuntil sed -n '/ run 5,/,$p' errors |"
                              " grep -q '^<<DBG'; do sleep 0.1; done; kill $server")
        out, errors = run_session(lines, folder)
    finally:
        shutil.rmtree(folder)
    check(out.count("DBG>> debug_script.lua run ") == 4, "four answers by poke", out)
    check(re.search(r"^global table\[\d+\] → session$", out, re.M), "and why it is there", out)
    check(errors.count("DBG>> debug_script.lua run 5, ") == 1, "and one by the signal", errors)
    check("1 000" in out and "make_session" in out, "the leak is seen", out)
    check("+500" in out, "and its growth", out)
    check("session_server ./socket" in out, "ps lists it", out)


def test_shown_output_is_what_comes():
    """The row that the README shows for sessions has the count that the load leaves there."""
    shown = "".join(blocks("text"))
    check(re.search(r"session +1 000 ", shown), "the README shows the leak", shown)


def test_install():
    lines = "".join(b for b in blocks("sh") if "cmake" in b)
    check("--install" in lines, "how to install is in the README")
    options = re.findall(r"^cmake --preset release (.*)$", lines, re.M)
    check(options == ['-DCMAKE_INSTALL_PREFIX="$HOME/.local"'], "understood", lines)
    # Configured and built already: this tree. What is left to try is the installation.
    folder = tempfile.mkdtemp(prefix="moonheap-test-")
    try:
        run_session(f"cmake --install {BUILD} --prefix \"$HOME/.local\" >/dev/null\n"
                    '"$HOME/.local/bin/moonheap" --version >/dev/null\n', folder)
    finally:
        shutil.rmtree(folder)


def test_scripts_are_there():
    for name in re.findall(r"^(scripts/\w+)", "".join(blocks("")), re.M):
        check(os.access(os.path.join(SOURCE, name), os.X_OK), f"{name} can be run")


harness.main()
