# SPDX-License-Identifier: MIT
"""Does `cmake --install` give a prefix that works, also after it was moved?"""
import glob
import os
import shutil
import subprocess
import tempfile

import harness
from harness import BUILD, SOURCE, check

PROGRAM = r"""
#include <moonheap.h>
#include <stdio.h>
int main(void)
{
    printf("%d %d\n", moonheap_active(), moonheap_run("checkpoint.lua"));
    return 0;
}
"""
folder = tempfile.mkdtemp(prefix="moonheap-test-")
prefix = os.path.join(folder, "first")


def run(*command, **variables):
    env = harness.environment(moonheap=False) | variables
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env, cwd=folder)
    check(done.returncode == 0, f"{command}: exit {done.returncode}", done.stdout, done.stderr)
    return done.stdout


def only(pattern):
    found = glob.glob(os.path.join(prefix, pattern), recursive=True)
    check(len(found) == 1, f"one {pattern} in the prefix", found)
    return found[0]


def test_install():
    run("cmake", "--install", BUILD, "--prefix", prefix)


def test_everything_is_there():
    for pattern in ("bin/moonheap", "lib/**/libmoonheap.so", "include/moonheap.h",
                    "lib/**/pkgconfig/moonheap.pc", "share/man/man1/moonheap.1"):
        only(pattern)
    names = {os.path.basename(p) for p in glob.glob(f"{SOURCE}/lua/*.lua")}
    there = {os.path.basename(p) for p in glob.glob(f"{prefix}/share/moonheap/*.lua")}
    check(names == there, "the Lua modules are there to be read", names, there)


def test_command_finds_its_library():
    check(run(only("bin/moonheap"), "--version").startswith("moonheap "), "version")
    maps = run(only("bin/moonheap"), "run", "/bin/cat", "/proc/self/maps")
    check(os.path.realpath(only("lib/**/libmoonheap.so")) in maps, "the prefix's library", maps)


def test_prefix_can_be_moved():
    global prefix
    moved = os.path.join(folder, "second")
    os.rename(prefix, moved)
    prefix = moved
    test_command_finds_its_library()


def test_program_with_the_header():
    with open(os.path.join(folder, "p.c"), "w") as f:
        f.write(PROGRAM)
    pc = os.path.dirname(only("lib/**/moonheap.pc"))
    flags = run("pkg-config", "--cflags", "--libs", "moonheap", PKG_CONFIG_PATH=pc).split()
    check([os.path.realpath(f[2:]) for f in flags] == [f"{prefix}/include"], "the prefix", flags)
    with open(os.path.join(folder, "checkpoint.lua"), "w") as f:
        f.write("assert(run.cause == 'checkpoint')\n")
    for compiler, *options in (["cc"], ["cc", "-O2"], ["c++", "-xc++"], ["cc", "-static"],
                               ["cc", "-no-pie", "-fno-pie"], ["cc", "-no-pie", "-fno-pie", "-O2"]):
        run(compiler, "-Wall", "-Wextra", "-Werror", "-pedantic", *options, "p.c", "-o", "p", *flags)
        check(run("./p") == "0 0\n", f"{compiler} {options}: without the library nothing happens")
        if "-static" not in options:
            said = run(only("bin/moonheap"), "run", "./p")
            check(said == "1 0\n", f"{compiler} {options}: with it the calls arrive", said)


try:
    harness.main()
finally:
    shutil.rmtree(folder)
