# SPDX-License-Identifier: MIT
"""lines.py - how long files and lines of many addresses take: `moonheap lookup`, and addr2line.

Context: bench.
The addresses are drawn from all functions of a file, the same ones each time. *cold*: the kernel
has been asked to forget the file; *warm*: the median of five, each a new process that keeps nothing.
"""

import os
import random
import re
import statistics
import struct
import subprocess
import tempfile
import time

LINES = """| file | debug information | addresses | cold | warm | peak memory | addr2line -fi, warm |
| --- | --- | --- | --- | --- | --- | --- |"""
FILES = {"python3-dbg": "/usr/bin/python3.11-dbg"}
MARK, END = 0x4d4f4f4e, 0xffffffff


def run(command, question):
    """(seconds, peak bytes, output)"""
    with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as answer:
        asked.write(question)
        asked.seek(0)
        began = time.monotonic()
        process = subprocess.Popen(command, stdin=asked, stdout=answer, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        took = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        answer.seek(0)
        return took, usage.ru_maxrss << 10, answer.read()


def draw(path, count):
    listed = subprocess.run(["nm", "-S", "--defined-only", path], capture_output=True, text=True,
                            check=True).stdout
    functions = [(int(f[0], 16), int(f[1], 16)) for f in map(str.split, listed.splitlines())
                 if len(f) == 4 and f[2] in "tTwW" and int(f[1], 16)]
    dice, addresses = random.Random(1), set()
    count = min(count, sum(size for _, size in functions) // 2)
    while len(addresses) < count:
        start, size = dice.choice(functions)
        addresses.add(start + dice.randrange(size))
    return sorted(addresses)


def question(path, addresses):
    """struct lookup_question of base/lookup.h."""
    text = path.encode() + b"\0"
    return (struct.pack("<4I", 1, 1, len(addresses), len(text))
            + b"".join(struct.pack("<QII", a, 0, 0) for a in addresses)
            + struct.pack("<II32x", 0, 0) + text)


def answered(output):
    """How many addresses have a line."""
    at, found = 0, set()
    while True:
        mark, address, line, function, file = struct.unpack_from("<5I", output, at)
        if mark != MARK:
            raise ValueError("that is no answer")
        if address == END:
            return len(found)
        if line:
            found.add(address)
        at += 20 + function + file


def debug_bytes(path):
    sections = subprocess.run(["size", "-A", path], capture_output=True, text=True,
                              check=True).stdout
    return sum(int(n) for n in re.findall(r"^\.debug_\S+\s+(\d+)", sections, re.M))


def measure(tool, library, count, rounds):
    """Rows of the table."""
    rows = []
    for name, path in dict(FILES, **{"libmoonheap.so": library}).items():
        if not os.path.exists(path) or not debug_bytes(path):
            continue
        addresses = draw(path, count)
        asked = question(path, addresses)
        fd = os.open(path, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)
        cold, _, output = run([tool, "lookup"], asked)
        if answered(output) < len(addresses) / 4:
            raise ValueError(f"{name}: lines of {answered(output)} of {len(addresses)} addresses")
        warm = [run([tool, "lookup"], asked) for _ in range(rounds)]
        theirs = [run(["addr2line", "-fi", "-e", path],
                      "".join(f"{a:#x}\n" for a in addresses).encode()) for _ in range(rounds)]
        rows.append(f"| {name} | {debug_bytes(path) / (1 << 20):.1f} MiB | {len(addresses)} | "
                    f"{cold:.2f} s | {statistics.median(w[0] for w in warm):.2f} s | "
                    f"{max(w[1] for w in warm) / (1 << 20):.0f} MiB | "
                    f"{statistics.median(t[0] for t in theirs):.2f} s |")
    return rows
