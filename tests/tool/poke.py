# SPDX-License-Identifier: MIT
"""Does `moonheap poke` leave every process alone that could not answer, and survive bad answers?

The processes here are stand-ins: Python programs that map a file called libmoonheap.so and speak
the protocol of base/request.h well or badly. That the real library answers is asked in tests/live.
"""
import os
import signal
import subprocess
import sys
import tempfile

import harness
from harness import check, tool, until

STAND_IN = r'''
import mmap, os, signal, socket, sys, time
def answer(*_):
    s = socket.socket(socket.AF_UNIX)
    s.connect("\0" + ADDRESS.format(pid=os.getpid()))
    try:
        BEHAVIOUR(s, s.makefile("r"))
    except BrokenPipeError:
        pass
    s.close()
f = open(sys.argv[1], "rb")
m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
if SIGN:
    fd = os.memfd_create(SIGN); os.ftruncate(fd, 4096)
    sign = mmap.mmap(fd, 4096, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
    os.close(fd)
HELLO = f"moonheap 1 {os.getpid()} {os.getpid()}\n".encode()
'''
PROPER = '''
def BEHAVIOUR(s, r):
    s.sendall(HELLO)
    assert r.readline() == "poke\\n"
    s.sendall(b"output 6\\nDBG>> ")
    time.sleep(0.1)
    s.sendall(b"output 10\\none\\n<<DBG\\n")
    s.sendall(b"end %d 12000 0\\n" % (len(sys.argv) < 3))
'''


def address():
    """The abstract name as base/request.c makes it, with {pid} for the number."""
    with open(os.path.join(harness.SOURCE, "src/base/request.c")) as f:
        text = f.read()
    start = text.index('"moonheap')
    return text[start + 1:text.index('"', start + 1)].replace("%d", "{pid}")


class StandIn:
    def __init__(self, behaviour=PROPER, caught=signal.SIGUSR1, mapped=True, arguments=(), sign=""):
        self.folder = tempfile.TemporaryDirectory(prefix="moonheap-test-")
        library = os.path.join(self.folder.name, "libmoonheap.so" if mapped else "other.so")
        with open(library, "w") as f:
            f.write("x" * 4096)
        code = f"ADDRESS = {address()!r}\nSIGN = {sign!r}\n" + STAND_IN + behaviour
        if caught:
            code += f"signal.signal({int(caught)}, answer)\n"
        code += "print('ready', flush=True)\nwhile True: time.sleep(1)\n"
        self.process = subprocess.Popen([sys.executable, "-c", code, library, *arguments],
                                        env=harness.environment(moonheap=False), stdout=subprocess.PIPE, preexec_fn=harness.die_with_parent)
        self.pid = self.process.pid

    def __enter__(self):
        check(self.process.stdout.readline() == b"ready\n", "the stand-in started")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.folder.cleanup()

    def poke(self, status, words, *options, seconds=20):
        done = tool("poke", *options, self.pid, seconds=seconds)
        check(done.returncode == status, f"exit {done.returncode}, not {status}", done)
        check(words in done.stderr, f"want {words!r} on stderr", done.stderr)
        return done

    def lives(self):
        check(self.process.poll() is None, "the process lives on", self.process.poll())


def test_answer_is_shown():
    with StandIn() as p:
        done = p.poke(0, "")
        check(done.stdout == "DBG>> one\n<<DBG\n" and done.stderr == "", "output and no more", done)
        check(p.poke(0, "").stdout == done.stdout, "and again")


def test_failed_script_is_status_1():
    with StandIn(arguments=["fail"]) as p:
        check(p.poke(1, "").stdout == "DBG>> one\n<<DBG\n", "its output is shown all the same")


def test_several_processes():
    with StandIn() as p, StandIn(arguments=["fail"]) as q:
        done = tool("poke", p.pid, q.pid, p.pid)
        check(done.returncode == 1 and done.stdout.count("<<DBG") == 3, "all are asked", done)


def test_unprepared_process_is_left_alone():
    with StandIn(mapped=False) as p:
        p.poke(2, "has no Moonheap inside")
        p.lives()
    with StandIn(caught=None) as p:
        p.poke(2, "has no handler for SIGUSR1")
        p.lives()
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        done = tool("poke", sleeper.pid)
        check(done.returncode == 2 and "no Moonheap inside" in done.stderr, "sleep", done)
        check(sleeper.poll() is None, "sleep lives on")
    finally:
        sleeper.kill()
        sleeper.wait()


def test_signal_is_that_of_the_process():
    with StandIn(caught=signal.SIGUSR2, sign="moonheap:12:0:0:30000000000:/x.lua") as p:
        p.poke(0, "")
    with StandIn(caught=signal.SIGUSR1, sign="moonheap:12:0:0:30000000000:/x.lua") as p:
        p.poke(2, "has no handler for SIGUSR2")
        p.lives()
    with StandIn(caught=signal.SIGUSR2) as p:
        p.poke(2, "has no handler for SIGUSR1")
        p.lives()


def test_patience_is_that_of_the_process():
    with StandIn("def answer(*_): pass\n", sign="moonheap:10:0:0:500000000:/x.lua") as p:
        p.poke(1, "within 1 s")


def test_processes_that_are_not_there():
    gone = subprocess.Popen(["true"])
    gone.wait()
    done = tool("poke", gone.pid)
    check(done.returncode == 2 and f"there is no process {gone.pid}" in done.stderr, "gone", done)
    zombie = subprocess.Popen(["true"])
    until(lambda: "Z (zombie)" in open(f"/proc/{zombie.pid}/status").read(), 10, "a zombie")
    done = tool("poke", zombie.pid)
    check(done.returncode == 2 and "has ended" in done.stderr, "zombie", done)
    zombie.wait()


def test_thread_is_no_process():
    with StandIn("import threading\n"
                 "t = threading.Thread(target=time.sleep, args=(60,), daemon=True); t.start()\n"
                 "open(sys.argv[1] + '.tid', 'w').write(str(t.native_id))\n" + PROPER) as p:
        tid = open(os.path.join(p.folder.name, "libmoonheap.so.tid")).read()
        done = tool("poke", tid)
        check(done.returncode == 2 and f"thread of process {p.pid}" in done.stderr, "tid", done)


def test_stopped_process():
    with StandIn() as p:
        os.kill(p.pid, signal.SIGSTOP)
        until(lambda: "T (stopped)" in open(f"/proc/{p.pid}/status").read(), 10, "it stopped")
        p.poke(2, f"kill -CONT {p.pid}")
        os.kill(p.pid, signal.SIGCONT)
        p.poke(0, "")


def test_no_answer():
    with StandIn("def BEHAVIOUR(s, r): time.sleep(60)\n") as p:
        p.poke(1, "within 1 s", "--timeout", "1s")
    with StandIn("def answer(*_): pass\n") as p:
        p.poke(1, "did not get to its answer within 1 s", "--timeout", "1s")
        p.lives()


def test_nonsense():
    for behaviour, words in [
            ('s.sendall(b"GET / HTTP/1.0\\n")', "hung up"),
            ('s.sendall(b"moonheap 99 1 1\\n")', "another version"),
            ('s.sendall(b"end 1 1 1\\n")', "another version"),
            ('s.sendall(HELLO); r.readline(); s.sendall(HELLO)', "not understood"),
            ('s.sendall(HELLO); r.readline(); s.sendall(b"output 99\\nshort")', "middle of its"),
            ('s.sendall(HELLO); r.readline(); s.sendall(b"output -1\\n")', "hung up"),
            ('s.sendall(b"x" * 100000)', "hung up"),
            ('pass', "hung up"),
            ('s.sendall(HELLO); r.readline(); os._exit(0)', "")]:
        with StandIn(f"def BEHAVIOUR(s, r): {behaviour}\n") as p:
            p.poke(1, words)


def test_only_one_asks():
    with StandIn("def BEHAVIOUR(s, r): time.sleep(60)\n") as p:
        first = subprocess.Popen([harness.TOOL, "poke", "--timeout", "20s", str(p.pid)],
                                 stderr=subprocess.DEVNULL, env=harness.environment(moonheap=False))
        try:
            until(lambda: address().format(pid=p.pid) in open("/proc/net/unix").read(), 10, "poke")
            p.poke(2, "another 'moonheap poke'")
        finally:
            first.kill()
            first.wait()


def test_stranger_is_not_heard():
    stranger = f'''
import socket, sys, time
s = socket.socket(socket.AF_UNIX)
while True:
    try:
        s.connect("\\0" + {address()!r}.format(pid=int(sys.argv[1])))
        break
    except ConnectionRefusedError:
        time.sleep(0.01)
try:
    s.sendall(b"moonheap 1 1 1\\noutput 6\\nforged")
    time.sleep(60)
except OSError:
    pass
'''
    with StandIn("def answer(*_): time.sleep(2)\n") as p:
        other = subprocess.Popen([sys.executable, "-c", stranger, str(p.pid)])
        try:
            done = p.poke(1, "did not get to its answer", "--timeout", "1s")
            check("forged" not in done.stdout, "only the process itself is heard", done)
        finally:
            other.kill()
            other.wait()


def test_process_of_another_user():
    if os.getuid() != 0:
        raise harness.Skip("needs root to become another user")

    def become_nobody():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    with StandIn() as p:
        done = subprocess.run([harness.TOOL, "poke", str(p.pid)], preexec_fn=become_nobody,
                              capture_output=True, text=True, timeout=20,
                              env=harness.environment(moonheap=False))
        check(done.returncode == 2 and "may not be looked at" in done.stderr, "nobody", done)
        p.lives()


harness.main()
