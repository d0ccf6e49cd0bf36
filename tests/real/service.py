# SPDX-License-Identifier: MIT
"""service.py - servers of the distribution under the harness: ports, clients, load with signals.

Context: test. Not a test itself.
Invariant: servers listen on sockets in the test's own directory, or on a free port of 127.0.0.1.
"""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "live"))

import harness  # noqa: E402
from harness import Program, check, until  # noqa: E402

# A script as a user would run it on a server: it lists, groups and compares.
LOOK = """
data.n = (data.n or 0) + 1
local s = heap.snapshot{graph=data.n % 2 == 0} -- every other one stops all threads
printf("n=%d\\nlive=%d\\n", data.n, #s)
s:by("site"):print{limit=5}
if data.last then s:diff(data.last, "stack"):print{limit=5} data.last:close() end
data.last = s
"""


def need(name):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise harness.Skip(f"{name} is not installed")
    return path


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def connect(address, seconds=60):
    """A connected socket to a path or a port of 127.0.0.1, tried until the server is there."""
    def attempt():
        s = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        try:
            s.connect(address if isinstance(address, str) else ("127.0.0.1", address))
            s.settimeout(60)
            return s
        except OSError:
            s.close()
            return None
    return until(attempt, seconds, f"a server at {address}")


class Load:
    """A load generator that runs beside the test; `finish` returns its output."""

    def __init__(self, *command):
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=harness.environment(moonheap=False), preexec_fn=harness.die_with_parent)
        self.text = b""
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        self.text = self.process.stdout.read()

    def running(self):
        return self.process.poll() is None

    def finish(self, seconds=120):
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self.reader.join()
            check(False, f"the load did not end within {seconds} s", self.text)
        self.reader.join()
        text = self.text.decode(errors="replace")
        check(status == 0, f"the load ended with {status}", text)
        return text


def signal_under_load(program, command, times=20, number=harness.signal.SIGUSR1, pids=None,
                      pause=0.05):
    """Signals `times` times while a load runs, begun again when it has ended before; what each load
    has said. Each signalled process must answer at last."""
    said, load, sent = [], Load(*command), 0
    while sent < times:
        if not load.running():
            said.append(load.finish())
            load = Load(*command)
        program.signal(number, pids[sent % len(pids)] if pids else None)
        sent += 1
        time.sleep(pause)
        program.alive()
    return said + [load.finish()]
