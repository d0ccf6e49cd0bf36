# SPDX-License-Identifier: MIT
"""Do python3 (with its own allocator and with malloc), git and gcc give the same bytes and status?

Context: test. Oracle: the same command without Moonheap, in a directory of the same content.
"""

import os
import shutil
import subprocess
import tempfile

import service
from harness import Program, check, environment, main, victim
from service import LOOK, need

PYTHON = """
import collections, ctypes, decimal, hashlib, json, multiprocessing, os, re, sqlite3, subprocess
import sys, tempfile, threading, time, zlib

def work(n):
    return hashlib.sha256(json.dumps([{"i": i, "s": str(i) * 3} for i in range(n)]).encode()).hexdigest()

if __name__ == "__main__":
    results = {}
    def thread(k):
        results[k] = work(1000 + k)
    threads = [threading.Thread(target=thread, args=(k,)) for k in range(8)]
    for t in threads: t.start()
    for t in threads: t.join()
    print(sorted(results.items()))
    with multiprocessing.get_context("fork").Pool(3) as pool:
        print(pool.map(work, range(500, 520)))
    print(subprocess.run(["/bin/echo", "child"], capture_output=True, text=True))
    libc = ctypes.CDLL(None)
    libc.malloc.restype = libc.realloc.restype = ctypes.c_void_p
    p = libc.realloc(ctypes.c_void_p(libc.malloc(100)), 5000)
    ctypes.memset(p, 65, 5000); print(ctypes.string_at(p, 20)); libc.free(ctypes.c_void_p(p))
    db = sqlite3.connect(":memory:")
    db.execute("create table t (a integer, b text)")
    db.executemany("insert into t values (?, ?)", ((i, "x" * (i % 50)) for i in range(20000)))
    print(db.execute("select count(*), sum(length(b)) from t where a % 7 = 3").fetchall())
    print(len(zlib.compress(b"moonheap" * 100000)), decimal.Decimal(2) ** 500 / 7)
    try:
        (lambda f: f(f))(lambda f: f(f))
    except RecursionError as e:
        print(type(e).__name__)
    deque = collections.deque(maxlen=1000)
    for i in range(300000): deque.append([i, str(i)])
    print(sum(int(x[1]) for x in deque))
    print("to stderr", file=sys.stderr)
    sys.exit(23)
"""

C_SOURCE = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#define A(n) int f##n(int x) { return x * n + (x >> (n % 7)); }
#define B(n) A(n##0) A(n##1) A(n##2) A(n##3) A(n##4) A(n##5) A(n##6) A(n##7) A(n##8) A(n##9)
#define C(n) B(n##0) B(n##1) B(n##2) B(n##3) B(n##4) B(n##5) B(n##6) B(n##7) B(n##8) B(n##9)
C(1) C(2) C(3)
int unused(void) { int never; return 0; }
int main(void) { printf("%d %f\\n", f123(4), sqrt(2)); return f231(1) & 63; }
"""
CXX_SOURCE = """
#include <algorithm>
#include <iostream>
#include <map>
#include <regex>
#include <string>
#include <vector>
int main() {
    std::map<std::string, std::vector<int>> m;
    for (int i = 0; i < 1000; i++) m[std::to_string(i % 37)].push_back(i);
    std::regex r("[0-9]+");
    for (auto &[k, v] : m) if (std::regex_match(k, r)) std::cout << k << v.size() << ' ';
}
"""


def run(command, directory, moonheap, **variables):
    out = os.path.join(directory, ".moonheap-%p.txt")
    script = os.path.join(directory, ".moonheap.lua")
    with open(script, "w") as f:
        f.write(LOOK)
    result = subprocess.run(command, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True,
                            timeout=100, env=environment(script, out, (), moonheap, **variables))
    os.unlink(script)
    return result.returncode, result.stdout, result.stderr


def tree(directory):
    """{path: content} of every file but ours."""
    found = {}
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            if not name.startswith(".moonheap") and not os.path.islink(path):
                with open(path, "rb") as f:
                    found[os.path.relpath(path, directory)] = f.read()
    return found


def compare(commands, prepare=None, keep=lambda path: True, **variables):
    """Runs the commands in one directory (at one path: it may get into the output) without and
    with Moonheap; outputs, statuses and files must be the same."""
    parent = tempfile.mkdtemp(prefix="moonheap-test-")
    directory = os.path.join(parent, "work")
    seen = []
    try:
        for moonheap in (False, True):
            os.mkdir(directory)
            if prepare:
                prepare(directory)
            results = [run(c, directory, moonheap, **variables) for c in commands]
            seen.append((results, {p: c for p, c in tree(directory).items() if keep(p)}))
            shutil.rmtree(directory)
    finally:
        shutil.rmtree(parent, ignore_errors=True)
    for command, alone, ours in zip(commands, seen[0][0], seen[1][0]):
        check(alone == ours, f"{command} is the same", alone, ours)
    check(seen[0][1].keys() == seen[1][1].keys(), "the same files",
          seen[0][1].keys() ^ seen[1][1].keys())
    for path, content in seen[0][1].items():
        check(seen[1][1][path] == content, f"{path} has the same bytes")
    return seen[0]


def write(name, text):
    def prepare(directory):
        with open(os.path.join(directory, name), "w") as f:
            f.write(text)
    return prepare


PYTHON3 = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else need("python3")


def test_python():
    results, _ = compare([[PYTHON3, "-B", "x.py"]], write("x.py", PYTHON), PYTHONHASHSEED="0")
    check(results[0][0] == 23 and results[0][2] == b"to stderr\n", "it ran to its end", results)


def test_python_with_malloc():
    results, _ = compare([[PYTHON3, "-B", "x.py"]], write("x.py", PYTHON), PYTHONHASHSEED="0",
                         PYTHONMALLOC="malloc")
    check(results[0][0] == 23, "it ran to its end", results)


def test_python_signalled():
    """Signals fall into the interpreter, its threads and its forked pool."""
    expected = None
    for moonheap in (False, True):
        with Program([PYTHON3, "-B", "-c", PYTHON], moonheap=moonheap, script=LOOK,
                     out="out.%p.txt", PYTHONHASHSEED="0", PYTHONMALLOC="malloc",
                     lines=0) as program:
            text, sent = b"", 0
            while True:
                if service.harness.select.select([program.process.stdout], [], [], 0.02)[0]:
                    data = os.read(program.process.stdout.fileno(), 1 << 16)
                    text += data
                    if not data:
                        break
                elif moonheap and sent < 20 and program.process.poll() is None:
                    program.signal()
                    sent += 1
            status = program.process.wait(30)
            found = text, status, program.stderr()
            if not moonheap:
                expected = found
            else:
                check(found == expected, "the same although signalled", found, expected)
                check(program.runs(), "and it answered", sent, len(program.runs()))


def test_git():
    fixed = {"GIT_AUTHOR_DATE": "@1600000000 +0000", "GIT_COMMITTER_DATE": "@1600000000 +0000",
             "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org",
             "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.org",
             "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}

    def prepare(directory):
        for i in range(60):
            with open(os.path.join(directory, f"file{i}.txt"), "w") as f:
                f.write("".join(f"line {j * i % 17} of file {i}\n" for j in range(200)))
    git = need("git")
    commands = [[git, *words.split()] for words in (
        "init -q -b trunk .", "add -A", "commit -q -m first", "log --stat", "rm -q file3.txt",
        "mv file4.txt moved.txt", "status --short", "commit -q -a -m second", "branch side",
        "checkout -q side", "diff --stat HEAD~1", "format-patch --stdout HEAD~1", "tag v1",
        "checkout -q trunk", "merge side", "gc -q", "fsck", "repack -q -a -d -f", "blame moved.txt",
        "grep -c 7", "archive --format=tar HEAD", "clone -q . copy", "-C copy log --oneline",
        "stash list", "show HEAD:nonsense", "rev-list --objects --all", "nonsense")]
    results, files = compare(commands, prepare, lambda p: not p.endswith(("index", "COMMIT_EDITMSG"))
                             and "/logs/" not in p and not p.endswith(".idx"), **fixed)
    check(len(files) > 100 and results[3][0] == 0 and b"first" in results[3][1], "it worked",
          results[:4])


def test_gcc():
    def prepare(directory):
        write("x.c", C_SOURCE)(directory)
        write("x.cpp", CXX_SOURCE)(directory)
        write("bad.c", "int main(void) { return nonsense }\n")(directory)
    results, files = compare([
        [need("gcc"), "-Wall", "-O2", "-g", "-c", "x.c", "-o", "x.o"],
        [need("gcc"), "-O1", "-pipe", "-flto", "x.c", "-lm", "-o", "x"],
        [need("g++"), "-O1", "-std=c++17", "-c", "x.cpp", "-o", "xx.o"],
        [need("gcc"), "-c", "bad.c"], ["./x"]], prepare)
    check(results[3][0] == 1 and results[4][0] > 0 and b"unused variable" in results[0][2],
          "it worked", results)
    check({"x.o", "x", "xx.o"} <= files.keys(), "it compiled", files.keys())


def test_cxx_with_plugins():
    compare([[victim("objects"), victim("shapes.so"), "40"]])


if __name__ == "__main__":
    main()
