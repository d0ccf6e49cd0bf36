# SPDX-License-Identifier: MIT
"""Does `moonheap run` become the command, with the library in it and nothing else changed?"""
import os
import shutil
import signal
import stat
import subprocess
import tempfile

import harness
from harness import LIBRARY, TOOL, Skip, check, tool

SHOW = ["/usr/bin/env", "-0"]


def settings_of(*arguments, **options):
    """The environment that the command got, as a dictionary."""
    done = subprocess.run([TOOL, "run", *arguments, *SHOW], capture_output=True, text=True,
                          timeout=60, **options)
    check(done.returncode == 0, f"run {arguments}", done.stderr)
    return dict(entry.split("=", 1) for entry in done.stdout.split("\0") if entry)


def bare(**variables):
    return harness.environment(moonheap=False) | variables


def refused(words, *arguments, **variables):
    done = tool("run", *arguments, **variables)
    check(done.returncode == 2 and words in done.stderr, f"{arguments}: want {words!r}", done)


def in_folder(function):
    folder = tempfile.mkdtemp(prefix="moonheap-test-")
    try:
        function(folder)
    finally:
        shutil.rmtree(folder)


def test_same_pid_arguments_status():
    with subprocess.Popen([TOOL, "run", "--", "/bin/sh", "-c", 'echo $$ "$@"; exit 7', "sh", "a b",
                           "--idle"], stdout=subprocess.PIPE, text=True, env=bare()) as started:
        said, _ = started.communicate(timeout=60)
    check(said == f"{started.pid} a b --idle\n", "pid and arguments are the command's own", said)
    check(started.returncode == 7, "its status too", started.returncode)


def test_options_become_settings():
    got = settings_of("--sample", "512K", "--signal", "RTMIN+3", "--script", "q.lua", "--out",
                      "log.%p", env=bare(), cwd="/tmp")
    check(got["MOONHEAP_TRACK"] == "sample:524288", "--sample", got)
    check(got["MOONHEAP_SIGNAL"] == "RTMIN+3", "--signal", got)
    check(got["MOONHEAP_SCRIPT"] == "/tmp/q.lua", "--script is made absolute", got)
    check(got["MOONHEAP_OUT"] == "/tmp/log.%p", "--out is made absolute", got)
    check(os.path.samefile(got["LD_PRELOAD"], LIBRARY), "the library beside the command", got)
    got = settings_of("--idle", "--out", "stderr", env=bare(), cwd="/tmp")
    check(got["MOONHEAP_TRACK"] == "off" and got["MOONHEAP_OUT"] == "stderr", "--idle", got)
    check(got["MOONHEAP_SCRIPT"] == "/tmp/debug_script.lua", "the default is absolute too", got)
    check("MOONHEAP_SIGNAL" not in got, "what is not given is not set", got)


def test_environment_is_kept():
    got = settings_of(env=bare(MOONHEAP_SCRIPT="x/y.lua", MOONHEAP_TRACK="off", COLOUR="blue"),
                      cwd="/tmp")
    check(got["MOONHEAP_SCRIPT"] == "/tmp/x/y.lua" and got["MOONHEAP_TRACK"] == "off", "env", got)
    check(got["COLOUR"] == "blue", "other variables are untouched", got)
    check(settings_of("--script", "growth", env=bare(), cwd="/")["MOONHEAP_SCRIPT"] == "growth",
          "the bare name of a canned script stays bare")


def test_other_preloads_stay():
    other = f"{harness.LIB_DIR}/libm.so.6"
    got = settings_of(env=bare(LD_PRELOAD=other, ASAN_OPTIONS="verify_asan_link_order=0"))
    check(got["LD_PRELOAD"].split(":")[1:] == [other], "ours first, theirs after it", got)


def test_library_is_really_there():
    done = tool("run", "/bin/grep", "-c", "libmoonheap.so", "/proc/self/maps")
    check(done.returncode == 0 and int(done.stdout) > 1, "mapped in the command", done)


def test_library_by_name():
    def ask(folder):
        copy = os.path.join(folder, "libmoonheap.so")
        shutil.copy(LIBRARY, copy)
        got = settings_of(env=bare(MOONHEAP_LIBRARY=copy))
        check(got["LD_PRELOAD"] == copy, "MOONHEAP_LIBRARY is taken", got)
        check("MOONHEAP_LIBRARY" not in got, "and not handed on", got)
        spaced = os.path.join(folder, "a b.so")
        shutil.copy(LIBRARY, spaced)
        refused("no path with a blank", "true", MOONHEAP_LIBRARY=spaced)
    in_folder(ask)
    refused("MOONHEAP_LIBRARY is '/no/such.so'", "true", MOONHEAP_LIBRARY="/no/such.so")


def test_command_without_its_library():
    def ask(folder):
        alone = os.path.join(folder, "moonheap")
        shutil.copy(TOOL, alone)
        done = subprocess.run([alone, "run", "true"], capture_output=True, text=True, env=bare(),
                              timeout=60)
        check(done.returncode == 2 and "set MOONHEAP_LIBRARY" in done.stderr, "says it", done)
    in_folder(ask)


def test_programs_that_are_not_there():
    refused("there is no program 'no-such-program' in PATH", "no-such-program")
    refused("cannot run '/no/such'", "/no/such")
    refused("not an executable file", "/tmp")
    refused("not an executable file", "/etc/passwd")


def test_static_program_is_refused():
    def ask(folder):
        source, program = os.path.join(folder, "s.c"), os.path.join(folder, "static")
        with open(source, "w") as f:
            f.write("int main(void) { return 0; }\n")
        for flag in ("-static", "-static-pie"):
            if subprocess.run(["cc", flag, source, "-o", program], stderr=subprocess.DEVNULL,
                              timeout=60).returncode:
                raise Skip(f"cc {flag} does not link here")
            refused("is statically linked", program)
        script = os.path.join(folder, "script")
        with open(script, "w") as f:
            f.write(f"#!{program} -x\n")
        os.chmod(script, 0o755)
        refused("is statically linked", script)
    in_folder(ask)


def test_foreign_program_is_refused():
    def ask(folder):
        path = os.path.join(folder, "arm")
        with open("/bin/true", "rb") as f:
            image = bytearray(f.read())
        image[18] = 0xB7  # e_machine: AArch64
        with open(path, "wb") as f:
            f.write(image)
        os.chmod(path, 0o755)
        refused("is not a 64-bit x86 program", path)
    in_folder(ask)


def test_privileged_program_is_refused():
    if os.getuid() != 0:
        raise Skip("needs root to make a set-user-ID program of another user")

    def ask(folder):
        path = os.path.join(folder, "setuid")
        shutil.copy("/bin/true", path)
        os.chown(path, 65534, 65534)
        os.chmod(path, 0o755 | stat.S_ISUID)
        refused("is set-user-ID", path)
        os.chmod(path, 0o755 | stat.S_ISGID)
        refused("is set-group-ID", path)
        os.chmod(path, 0o755)
        check(tool("run", path).returncode == 0, "without the bit it runs")
    in_folder(ask)


def test_shell_script_runs():
    def ask(folder):
        path = os.path.join(folder, "hello")
        with open(path, "w") as f:
            f.write("#!/bin/sh\necho hello $1\n")
        os.chmod(path, 0o755)
        done = tool("run", path, "you")
        check(done.stdout == "hello you\n", "a script is run by its interpreter", done)
    in_folder(ask)


def test_dispositions_are_kept():
    done = tool("run", "/bin/sh", "-c", "kill -TERM $$")
    check(done.returncode == -signal.SIGTERM, "a signal's death is seen as such", done)


harness.main()
