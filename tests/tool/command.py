# SPDX-License-Identifier: MIT
"""Does the command explain itself, and are its exit codes what the manual says?"""
import subprocess

import harness
from harness import check, tool

COMMANDS = ["run", "poke", "ps", "script", "help"]


def refused(words, *arguments, **variables):
    done = tool(*arguments, **variables)
    check(done.returncode == 2, f"{arguments}: exit {done.returncode}, not 2", done.stderr)
    check(words in done.stderr, f"{arguments}: no {words!r} on stderr", done.stderr)
    check(done.stdout == "", f"{arguments}: an error is no result", done.stdout)


def test_version():
    done = tool("--version")
    check(done.returncode == 0 and done.stdout.startswith("moonheap 0."), "--version", done)


def test_help_names_every_command():
    for arguments in (["--help"], ["help"], ["-h"]):
        done = tool(*arguments)
        check(done.returncode == 0 and done.stderr == "", "help is a result", done)
        for command in COMMANDS:
            check(f"\n  {command} " in done.stdout, f"{command} is not in the help", done.stdout)


def test_help_of_a_command():
    for command in COMMANDS:
        one, other = tool("help", command), tool(command, "--help")
        check(one.returncode == 0 and one.stdout == other.stdout, f"help {command}", one, other)
        check(one.stdout.startswith(f"usage: moonheap {command}"), "begins with its usage", one)


def test_usage_errors():
    done = tool()
    check(done.returncode == 2 and "usage:" in done.stderr, "no command", done)
    refused("there is no command 'frobnicate'", "frobnicate")
    refused("there is no command 'frobnicate'", "help", "frobnicate")
    refused("one command at a time", "help", "run", "poke")
    refused("takes no arguments", "ps", "1")
    refused("there is no option '--frob'", "run", "--frob", "true")
    refused("--script needs a value", "run", "--script")
    refused("which program?", "run")
    refused("there is no signal 'FROB'", "run", "--signal", "FROB", "true")
    refused("--sample takes a number of bytes", "run", "--sample", "many", "true")
    refused("--sample takes a number of bytes", "run", "--sample", "0", "true")
    refused("which process?", "poke")
    refused("'me' is no process id", "poke", "me")
    refused("'0' is no process id", "poke", "0")
    refused("'-1' is no process id", "poke", "--", "-1")
    refused("there is no option '--frob'", "poke", "--frob", "1")
    refused("--timeout takes a time", "poke", "--timeout", "never", "1")
    refused("which snapshot", "script", "one.snap")


def test_a_full_disk_is_an_error():
    with open("/dev/full", "w") as full:
        done = subprocess.run([harness.TOOL, "help"], stdout=full, stderr=subprocess.PIPE)
    check(done.returncode == 2 and b"could not be written" in done.stderr, "writing failed", done)


def test_snapshot_that_is_none():
    refused("/no/such/file", "script", "/no/such/file", "x.lua")
    refused("/dev/null", "script", "/dev/null", "x.lua")
    refused(harness.TOOL, "script", harness.TOOL, "x.lua")


harness.main()
