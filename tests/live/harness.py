# SPDX-License-Identifier: MIT
"""harness.py - starts a victim program under Moonheap, triggers it and reads what it said.

Context: test.
Invariant: every wait is bounded, every process that a test started is gone when it ends, and no
other process is ever signalled; whatever is written lies in a temporary directory of the test.
Why Python's standard library alone: the tests must run on a machine that has only what the build
needs. Each test file holds one question; its functions named test_* are run in order.
"""

import collections
import ctypes
import os
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

LIBRARY = os.path.abspath(os.environ.get("MOONHEAP_LIBRARY", "build/lib/libmoonheap.so"))
TOOL = os.path.abspath(os.environ.get("MOONHEAP_TOOL", "build/bin/moonheap"))
BUILD = os.path.abspath(os.environ.get("MOONHEAP_BUILD", "build"))
SOURCE = os.path.abspath(os.environ.get("MOONHEAP_SOURCE", "."))

USR1 = signal.SIGUSR1  # the default trigger

LIB_DIR = "/usr/lib/x86_64-linux-gnu"
ALLOCATORS = {
    "jemalloc": f"{LIB_DIR}/libjemalloc.so.2",
    "tcmalloc": f"{LIB_DIR}/libtcmalloc_minimal.so.4",
    "mimalloc": f"{LIB_DIR}/libmimalloc.so.2",
}

Run = collections.namedtuple("Run", "header body footer")
# header: the line DBG>>; body: the text between; footer: the line <<DBG


# A snapshot of which all threads stood. On a busy machine one may not get its turn in time, as the
# snapshot says of itself: then another one is taken.
WHOLE = """
local function whole_snapshot()
    for _ = 1, 20 do
        local s = heap.snapshot()
        if s.complete then return s end
        s:close()
    end
    return heap.snapshot()
end
"""


class Skip(Exception):
    """A test that cannot be asked here; its reason is printed."""


def victim(name):
    return os.path.join(BUILD, "victims", name)


def check(condition, message, *evidence):
    """Fails the test with `message` and the evidence, cut to what a person reads."""
    if not condition:
        text = "\n".join(str(item)[:3000] for item in evidence)
        raise AssertionError(f"{message}\n{text}" if text else message)


def seed():
    """The random seed of this run: printed, and repeatable with MOONHEAP_TEST_SEED."""
    value = int(os.environ.get("MOONHEAP_TEST_SEED") or random.SystemRandom().randrange(1 << 31))
    print(f"# seed {value} (repeat with MOONHEAP_TEST_SEED={value})", flush=True)
    return value


def until(predicate, seconds, what):
    """Polls predicate() until it is true and returns its value; fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = predicate()
        if value:
            return value
        check(time.monotonic() < end, f"waited {seconds} s in vain: {what}")
        time.sleep(0.003)


def parse_runs(text):
    """All complete runs of an output, in order."""
    runs, header, body = [], None, []
    for line in text.split("\n")[:-1]:  # the last one has not come to its end
        if line.startswith("DBG>>"):
            header, body = line, []
        elif line.startswith("<<DBG") and header is not None:
            runs.append(Run(header, "\n".join(body), line))
            header = None
        elif header is not None:
            body.append(line)
    return runs


# Types from debug information by a test's own choice only: there may be some of the C library.
NO_CATALOGUES = {"MOONHEAP_CATALOG": "/dev/null/none"}


def environment(script=None, out=None, preload=(), moonheap=True, **variables):
    """The environment of a victim: variables in lower case get MOONHEAP_ before their name."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MOONHEAP_", "LD_"))}
    env.update(LC_ALL="C", LANG="C")
    libraries = ([LIBRARY] if moonheap else []) + list(preload)
    if libraries:
        env["LD_PRELOAD"] = ":".join(libraries)
    if moonheap:
        env.update(NO_CATALOGUES)
        if script:
            env["MOONHEAP_SCRIPT"] = script
        if out:
            env["MOONHEAP_OUT"] = out
    for name, value in variables.items():
        name = name if name.isupper() else f"MOONHEAP_{name.upper()}"
        if moonheap or not name.startswith("MOONHEAP_"):
            env[name] = str(value)
    return env


def children_of(pid):
    """Processes whose parent is that one: (pid, name)."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/stat") as f:
                name, rest = f.read().split("(", 1)[1].rsplit(")", 1)
            if int(rest.split()[1]) == pid:
                found.append((int(entry), name))
        except (OSError, ValueError, IndexError):
            pass
    return found


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Program:
    """A victim in its own process group and temporary directory, with pipes to talk through."""

    def __init__(self, argv, script="", moonheap=True, preload=(), out="out.txt", via=(),
                 script_name="debug_script.lua", directory=None, **variables):
        self.own_directory = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="moonheap-test-")
        self.script_path = os.path.join(self.directory, script_name)
        self.out = os.path.join(self.directory, out) if out else None
        self.write_script(script)
        self.env = environment(self.script_path, self.out, preload, moonheap, **variables)
        self.errors = open(os.path.join(self.directory, "stderr.txt"), "wb+")
        self.process = subprocess.Popen(
            list(via) + list(argv), cwd=self.directory, env=self.env, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self.errors, start_new_session=True,
            preexec_fn=die_with_parent)
        self.pid = self.process.pid
        self.heard = b""
        self.seen_prepared = set()
        self.closed = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.closed:
            return
        self.closed = True
        try:
            os.killpg(self.pid, signal.SIGKILL)  # the session that __init__ made, nobody else
        except (ProcessLookupError, PermissionError):
            pass
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()
        self.errors.close()
        if self.own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    # --- the script and its runs ---------------------------------------------------------------

    def write_script(self, text, path=None):
        """Replaces the script in one step, as editors do, so that no run sees half of it."""
        path = path or self.script_path
        with open(path + ".new", "w") as f:
            f.write(text)
        os.chmod(path + ".new", 0o644)  # whatever the umask: others may not write a script
        os.replace(path + ".new", path)

    def said(self, pid=None):
        path = self.out.replace("%p", str(pid or self.pid)) if self.out else None
        try:
            with open(path, errors="replace") if path else open(self.errors.name) as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def stderr(self):
        with open(self.errors.name, errors="replace") as f:
            return f.read()

    def runs(self, pid=None):
        return parse_runs(self.said(pid))

    def prepared(self, number, pid):
        """Does the process have a handler for the signal? Before its constructor has run, the
        signal would kill it, as it would without Moonheap."""
        try:
            with open(f"/proc/{pid}/status") as f:
                return int(re.search(r"SigCgt:\s+([0-9a-f]+)", f.read()).group(1), 16) \
                    >> (number - 1) & 1
        except (FileNotFoundError, ProcessLookupError):
            return False

    def signal(self, number=USR1, pid=None):
        pid = pid or self.pid
        if (number, pid) not in self.seen_prepared:
            until(lambda: self.prepared(number, pid) or self.process.poll() is not None, 60,
                  f"process {pid} to be prepared for signal {number}")
            self.seen_prepared.add((number, pid))
        os.kill(pid, number)

    def wait_runs(self, count, seconds=60, pid=None):
        """Waits until `count` runs are complete and returns them all."""
        def enough():
            self.alive()
            runs = self.runs(pid)
            return runs if len(runs) >= count else None
        try:
            return until(enough, seconds, f"{count} complete runs")
        except AssertionError as e:
            raise AssertionError(f"{e}\noutput so far: {self.said(pid)[-2000:]!r}\n"
                                 f"stderr: {self.stderr()[-2000:]!r}") from None

    def settle(self, pid=None, seconds=60):
        """Waits until nothing is being written and returns all runs. On a busy machine one more may
        come: what must be there is waited for with wait_runs."""
        state = [None, time.monotonic()]

        def still():
            text = self.said(pid)
            if text != state[0]:
                state[:] = text, time.monotonic()
            complete = text.count("\nDBG>>") + text.startswith("DBG>>") == text.count("\n<<DBG")
            return complete and time.monotonic() - state[1] > 0.15
        until(still, seconds, "the output to come to rest")
        return parse_runs(state[0])

    def run(self, script=None, number=USR1, pid=None, seconds=60):
        """Signals and returns the run that follows. Only for one trigger at a time."""
        if script is not None:
            self.write_script(script)
        before = len(self.runs(pid))
        self.signal(number, pid)
        return self.wait_runs(before + 1, seconds, pid)[before]

    # --- the victim itself ---------------------------------------------------------------------

    def alive(self):
        code = self.process.poll()
        check(code is None or code == 0, f"the victim died with {code}", self.stderr(),
              self.said()[-2000:] if self.out and "%p" not in self.out else "")
        return code is None

    def tell(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def hear(self, seconds=60):
        """The next line of its standard output, without the newline."""
        end = time.monotonic() + seconds
        while b"\n" not in self.heard:
            left = end - time.monotonic()
            ready, _, _ = select.select([self.process.stdout], [], [], max(left, 0))
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not data:
                code = self.process.poll() if not ready else self.process.wait(10)
                check(False, f"no line within {seconds} s (exit status {code})", self.stderr(),
                      self.heard)
            self.heard += data
        line, self.heard = self.heard.split(b"\n", 1)
        return line.decode(errors="replace")

    def ask(self, line, seconds=60):
        self.tell(line)
        return self.hear(seconds)

    def finish(self, seconds=60):
        """Closes its input, waits for it and returns the exit status."""
        self.process.stdin.close()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            check(False, f"still running after {seconds} s", self.stderr())


def tool(*arguments, seconds=120, **variables):
    """Runs the moonheap command and returns its CompletedProcess, output as text."""
    return subprocess.run([TOOL, *map(str, arguments)], stdin=subprocess.DEVNULL,
                          env=environment(moonheap=False) | NO_CATALOGUES |
                          {k: str(v) for k, v in variables.items()},
                          capture_output=True, text=True, timeout=seconds, errors="replace")


def numbers(text):
    """{"name": number} of lines `name=number`."""
    return {k: float(v) if "." in v or "e" in v else int(v)
            for k, v in re.findall(r"^(\w+)=(-?[\d.]+(?:e[+-]?\d+)?)$", text, re.M)}


def main():
    """Runs the test_* functions of the calling file (or those named on the command line)."""
    module = sys.modules["__main__"]
    tests = [(n, f) for n, f in vars(module).items() if n.startswith("test_") and callable(f)]
    wanted = sys.argv[1:]
    failed = skipped = 0
    for needed in (LIBRARY, TOOL):
        if not os.path.exists(needed):
            sys.exit(f"not built: {needed} (set MOONHEAP_LIBRARY, MOONHEAP_TOOL, MOONHEAP_BUILD)")
    for name, function in tests:
        if wanted and name not in wanted and name[5:] not in wanted:
            continue
        began = time.monotonic()
        try:
            function()
            verdict = "ok"
        except Skip as reason:
            skipped += 1
            verdict = f"skipped: {reason}"
        except Exception as e:
            failed += 1
            verdict = "FAILED"
            if isinstance(e, AssertionError):
                where = traceback.extract_tb(e.__traceback__)
                line = next((f.lineno for f in where if f.filename == module.__file__), 0)
                print(f"# line {line}: {e}".replace("\n", "\n#   "))
            else:
                traceback.print_exc(file=sys.stdout)
        print(f"{verdict} {name} ({time.monotonic() - began:.2f} s)", flush=True)
    if failed:
        sys.exit(1)
    if skipped and skipped == len(tests):
        sys.exit(77)
