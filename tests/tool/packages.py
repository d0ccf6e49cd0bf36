# SPDX-License-Identifier: MIT
"""Does scripts/packages name what is missing, and keep its hands off when nothing is?

dpkg-query, id and apt-get are stand-ins found first in PATH, so that nothing is installed.
"""
import os
import shutil
import subprocess
import tempfile

import harness
from harness import SOURCE, check


def packages(*arguments, installed, user=1000):
    folder = tempfile.mkdtemp(prefix="moonheap-test-")
    try:
        for name, body in (("dpkg-query", "printf %s installed" if installed else "exit 1"),
                           ("id", f"echo {user}"), ("apt-get", f"echo apt-get >>{folder}/called")):
            with open(os.path.join(folder, name), "w") as f:
                f.write(f"#!/bin/sh\n{body}\n")
            os.chmod(os.path.join(folder, name), 0o755)
        env = harness.environment(moonheap=False)
        env["PATH"] = f"{folder}:{env['PATH']}"
        done = subprocess.run([f"{SOURCE}/scripts/packages", *arguments], capture_output=True,
                              text=True, timeout=60, env=env)
        check(not os.path.exists(f"{folder}/called"), "apt-get was left alone", done)
        return done
    finally:
        shutil.rmtree(folder)


def test_nothing_to_do():
    for user in (0, 1000):
        done = packages("build", "test", installed=True, user=user)
        check(done.returncode == 0 and done.stderr == "", "silent", done)


def test_says_what_is_missing():
    done = packages("build", installed=False)
    check(done.returncode == 1 and "sudo apt-get install" in done.stderr, "the command", done)
    check("liblua5.4-dev" in done.stderr and "redis-server" not in done.stderr, "its list", done)


def test_lists():
    build = packages("--list", "build", installed=False).stdout.split()
    test = packages("--list", "test", installed=False).stdout.split()
    check(set(build) < set(test) and "clang-14" in test, "tests need the build's too", build, test)
    check(build == sorted(set(build)), "each once", build)


def test_usage():
    done = packages("everything", installed=True)
    check(done.returncode == 2 and "usage:" in done.stderr, "usage", done)


harness.main()
