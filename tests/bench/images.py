# SPDX-License-Identifier: MIT
"""images.py - what it costs to ask a whole heap who holds what: images of `sessions` and of Redis.

Context: benchmark; a part of scripts/bench.
The stall is what a thread of the program sees that reads the clock all the time; beside it stands
what the same thread sees for as long while nobody asks anything, which is the machine's own doing.
The bare clone is the least of a few clone(2) of the same program without Moonheap whose child ends
at once: no image of this kind can hold the program up for less.
"""

import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import threading
import time

LIMIT_S = 400  # of one step
HUGE = "glibc.malloc.hugetlb=1"
KEYS = 100_000

# Four runs an image: each says its own time in its last line.
IMAGE = """
while true do
    local s = heap.snapshot()
    printf("blocks=%d\\nreferences=%d\\nbytes=%d\\npause_ms=%.3f\\nbuild_ms=%.3f\\ncomplete=%d\\n", #s,
           s.references or 0, s.bytes, s.pause_ms, s.build_ms, s.complete and 1 or 0)
    print(s.notes)
    heap.wait()
    printf("unreachable=%d\\n", #s:unreachable())
    heap.wait()
    printf("retained=%d\\n", #s:all():largest(1, "retained")[1]:retained())
    heap.wait()
    s:save(args[1])
    s:close()
    heap.wait()
end
"""

WHY = """
local s = heap.snapshot()
local values = s:all():where { min_size = 210, max_size = 260, fn = function(b)
    local ok, text = pcall(b.read, b, "c30")
    return ok and text and text:find("value-of-", 1, true)
end }
printf("values=%d\\npause_ms=%.3f\\nbuild_ms=%.3f\\n", #values, s.pause_ms, s.build_ms)
local block = values:sample(1, 4711)[1]
heap.wait()
local path = block:why()
print("steps=" .. #path)
print("path: " .. path.root)
path:print()
s:close()
"""


class Failed(Exception):
    pass


def figures(text):
    return {k: float(v) for k, v in re.findall(r"^(\w+)=(-?[\d.]+)$", text, re.M)}


def resident(pid):
    """(bytes in memory, bytes of them that are shared); proc(5), statm."""
    with open(f"/proc/{pid}/statm") as f:
        fields = f.read().split()
    return int(fields[1]) << 12, int(fields[2]) << 12


class Watch(threading.Thread):
    """Looks every 10 ms at what a process has in memory, until it is told to stop."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.seen, self.over = pid, [], threading.Event()
        self.began = time.monotonic()
        self.first = resident(pid)[0]

    def run(self):
        while not self.over.wait(0.01):
            self.seen.append((time.monotonic() - self.began, resident(self.pid)[0]))

    def growth(self, until):
        """The most that was in memory in the first seconds, beyond what was at the beginning."""
        self.over.set()
        self.join()
        return max([at for t, at in self.seen if t < until] + [self.first]) - self.first


class Runs:
    """The runs of a script in a process, one signal each."""

    def __init__(self, pid, out):
        self.pid, self.out, self.count = pid, out, 0

    def next(self):
        """(body, seconds) of the run that one more signal makes."""
        self.count += 1
        os.kill(self.pid, signal.SIGUSR1)
        end = time.monotonic() + LIMIT_S
        while True:
            try:
                with open(self.out) as f:
                    text = f.read()
            except FileNotFoundError:
                text = ""
            ends = re.findall(r"^<<DBG (\d+(?:\.\d+)?) ms", text, re.M)
            if len(ends) >= self.count:
                body = re.split(r"^DBG>>", text, flags=re.M)[self.count]
                if "traceback" in body:
                    raise Failed(body)
                return body, float(ends[-1]) / 1e3
            if time.monotonic() > end:
                raise Failed(f"no answer within {LIMIT_S} s: {text[-500:]}")
            time.sleep(0.005)


class Sessions:
    """The workload as a process, spoken to in words."""

    def __init__(self, bench, variant, blocks, program="sessions", **extra):
        argv, env = bench.command(variant, [os.path.join(bench.build, "workloads", program),
                                            str(blocks)], **extra)
        self.process = subprocess.Popen(argv, env=env, cwd=bench.directory, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL)
        if self.process.stdout.readline() != f"ready={blocks}\n":
            raise Failed(f"{program} is not ready")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def ask(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline().split("=")[1])

    def stall(self, act):
        """What act() returns, and the longest stall meanwhile, in ms."""
        self.ask("watch")
        result = act()
        return result, self.ask("gap")


def alone(bench, blocks, lsan, **extra):
    """The program without Moonheap: its memory, a bare clone, and what LeakSanitizer does to it."""
    with Sessions(bench, "alone", blocks, **extra) as program:
        found = {"heap": resident(program.process.pid)[0], "bare_ms": program.ask("clone")}
    if lsan:
        with Sessions(bench, "alone", blocks, "sessions_lsan") as program:
            took, found["lsan_stall_ms"] = program.stall(lambda: program.ask("check"))
            found["lsan_s"] = took / 1e3
    return found


def one_image(program, runs, saved):
    watch = Watch(program.process.pid)
    watch.start()
    (text, took), stall = program.stall(runs.next)
    f = figures(text)
    if not f.get("references") or not f["complete"]:
        raise Failed(f"an image without references, or not complete: {text}")
    f["growth"] = watch.growth(f["build_ms"] / 1e3)
    (text, reach), f["reach_stall_ms"] = program.stall(runs.next)
    if figures(text).get("unreachable") != 0:
        raise Failed(f"blocks that are held are said to be unreachable: {text}")
    (text, dominators), f["dominators_stall_ms"] = program.stall(runs.next)
    if figures(text).get("retained", 0) < f["blocks"] * 0.9:
        raise Failed(f"the table does not retain its sessions: {text}")
    f["graph_bytes"] = resident(program.process.pid)[0] - watch.first
    runs.next()
    f["left"] = resident(program.process.pid)[0] - watch.first
    f.update(image_s=took, reach_s=reach, dominators_s=dominators, stall_ms=stall,
             file=os.path.getsize(saved))
    os.unlink(saved)
    return f


def sessions(bench, blocks, rounds, lsan, **extra):
    """Medians over the rounds of an image each; the worst of stalls and memory."""
    found = alone(bench, blocks, lsan, **extra)
    saved = os.path.join(bench.directory, "image.snap")
    with open(bench.script, "w") as f:
        f.write(IMAGE)
    with Sessions(bench, "tracking", blocks, MOONHEAP_ARGS=saved,
                  MOONHEAP_SCRIPT_TIMEOUT=str(LIMIT_S), **extra) as program:
        runs = Runs(program.process.pid, bench.out)
        images = [one_image(program, runs, saved) for _ in range(rounds)]
        span = max(i["image_s"] + i["reach_s"] for i in images)
        _, found["idle_stall_ms"] = program.stall(lambda: time.sleep(span))
        found["clone_ms"] = program.ask("clone")
    for key in images[0]:
        worst = key.endswith("stall_ms") or key in ("growth", "graph_bytes", "left", "file")
        found[key] = (max if worst else statistics.median)(i[key] for i in images)
    return found


# --- Redis -------------------------------------------------------------------------------------


def fill(path, keys):
    """SETs so many keys; returns the connection."""
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    s.settimeout(60)
    for first in range(0, keys, 1000):
        last = min(first + 1000, keys)
        s.sendall(b"".join(b"SET key:%08d value-of-%08d-%s\r\n" % (i, i, b"x" * 200)
                           for i in range(first, last)))
        want, got = 5 * (last - first), 0
        while got < want:
            got += len(s.recv(1 << 16))
    return s


def redis_why(bench, keys):
    path = os.path.join(bench.directory, "redis.sock")
    with open(bench.script, "w") as f:
        f.write(WHY)
    argv, env = bench.command("tracking", ["redis-server", "--port", "0", "--unixsocket", path,
                                           "--save", "", "--appendonly", "no"],
                              MOONHEAP_SCRIPT_TIMEOUT=str(LIMIT_S))
    server = subprocess.Popen(argv, env=env, cwd=bench.directory, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 30
        while not os.path.exists(path):
            if time.monotonic() > end:
                raise Failed("redis-server does not start")
            time.sleep(0.02)
        with fill(path, keys):
            runs = Runs(server.pid, bench.out)
            image, image_s = runs.next()
            why, why_s = runs.next()
        found = dict(figures(image), image_s=image_s, why_s=why_s, heap=resident(server.pid)[0])
    finally:
        server.kill()
        server.wait()
    shown = re.search(r"^path: (.*)$", why, re.M)
    if found.get("values", 0) < keys * 0.99 or not shown:
        raise Failed(f"no path to a value of Redis:\n{image}\n{why}")
    # The server's own file, which the distribution may call otherwise.
    file = os.path.basename(os.path.realpath(shutil.which("redis-server")))
    if not shown.group(1).startswith(f"global {file}+"):
        raise Failed(f"a value of Redis does not hang on a global of it:\n{why}")
    found["path"] = why[why.index("path: "):].split("\n", 1)[1].split("<<DBG")[0].rstrip()
    return found


# --- tables ------------------------------------------------------------------------------------


def workloads(scale):
    """name: (description, what measures it)."""
    small, large = scale.sessions, scale.sessions_large
    return {
        "graph10": (f"{small / 1e6:g} M blocks",
                    lambda b: sessions(b, small, scale.images, True)),
        "graph10-huge": (f"{small / 1e6:g} M blocks, `GLIBC_TUNABLES={HUGE}`",
                         lambda b: sessions(b, small, scale.images, False, GLIBC_TUNABLES=HUGE)),
        "graph80": (f"{large / 1e6:g} M blocks", lambda b: sessions(b, large, 1, False)),
        "redis-why": (f"redis-server, {scale.keys} keys", lambda b: redis_why(b, scale.keys)),
    }


STALLS = """| heap | in memory | a bare clone | paused | longest stall | the same, idle | LeakSanitizer's stall |
| --- | --- | --- | --- | --- | --- | --- |"""
TIMES = """| heap | blocks, references, roots | reach | dominators | file / heap | memory while the clone works | with all results | LeakSanitizer |
| --- | --- | --- | --- | --- | --- | --- | --- |"""
REDIS = """| server | in memory | paused | image | `why` of a value |
| --- | --- | --- | --- | --- |"""


def mb(value):
    return f"{value / 1e6:.0f} MB"


def tables(scale, found):
    """{"stalls", "times", "redis"}: rows of each table, without its head."""
    rows = {"stalls": [], "times": [], "redis": []}
    for name, f in found.items():
        what = workloads(scale)[name][0]
        if name == "redis-why":
            rows["redis"].append(f"| {what} | {mb(f['heap'])} | {f['pause_ms']:.1f} ms | "
                                 f"{1e3 * f['image_s']:.0f} ms | {1e3 * f['why_s']:.0f} ms |")
            continue
        lsan = f"{f['lsan_stall_ms']:.1f} ms" if "lsan_s" in f else "-"
        rows["stalls"].append(
            f"| {what} | {mb(f['heap'])} | {f['bare_ms']:.1f} ms | {f['pause_ms']:.1f} ms | "
            f"{max(f['stall_ms'], f['reach_stall_ms']):.1f} ms | {f['idle_stall_ms']:.1f} ms | "
            f"{lsan} |")
        lsan = f"{f['lsan_s']:.2f} s" if "lsan_s" in f else "-"
        rows["times"].append(
            f"| {what} | {f['image_s']:.2f} s | {f['reach_s']:.2f} s | {f['dominators_s']:.2f} s | "
            f"{f['file'] / f['heap']:.2f} | +{mb(f['growth'])} | +{mb(f['graph_bytes'])} | {lsan} |")
    return rows
