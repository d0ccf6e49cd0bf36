# SPDX-License-Identifier: MIT
"""Does `moonheap catalog` survive what is no ELF file, no DWARF, or was damaged with some thought?

Small programs are damaged at random places: mostly inside their debug sections, where libdw and the
builder read. Whatever happens, the command itself ends with 0, 1 or 2 and says why in one line; what
it writes is a catalogue that it can read. How often the process that reads crashed is printed: that
is libdw's, and is what the process is for.
"""
import itertools
import os
import random
import re
import struct
import subprocess
import tempfile
import time

import harness
from harness import SOURCE, check

FIXTURES = os.path.join(SOURCE, "tests", "tool", "fixtures")
# So many, or on a slow machine as many as there is time for; when told how many, all.
TOLD = os.environ.get("MOONHEAP_FUZZ_RUNS")
RUNS, LEAST, ENOUGH_S = int(TOLD or "1000"), int(TOLD or "200"), 30
PROGRAMS = (
    ("gcc", ["kinds.c", "kinds_more.c"], ["-gdwarf-5", "-O2"]),
    ("gcc", ["kinds.c", "kinds_more.c"], ["-gdwarf-4", "-O0", "-fdebug-types-section"]),
    ("g++", ["kinds.cpp"], ["-gdwarf-5", "-O1", "-gz"]),
    ("clang++-14", ["kinds.cpp"], ["-gdwarf-4", "-O2"]),
)


def build(directory, number):
    compiler, sources, flags = PROGRAMS[number]
    path = os.path.join(directory, f"program{number}")
    done = subprocess.run([compiler, "-D_GNU_SOURCE", "-w", "-g", *flags,
                           *[os.path.join(FIXTURES, s) for s in sources], "-o", path],
                          cwd=directory, capture_output=True, text=True, timeout=60)
    check(done.returncode == 0, f"{compiler} {flags}", done.stderr)
    with open(path, "rb") as f:
        return f.read()


def debug_sections(elf):
    """(offset, bytes) of each section of debug information, and of the section headers."""
    table, = struct.unpack_from("<Q", elf, 0x28)
    size, count, names = struct.unpack_from("<HHH", elf, 0x3a)
    headers = [struct.unpack_from("<IIQQQQ", elf, table + i * size) for i in range(count)]
    text = headers[names][4]
    found = [(table, count * size), (0, 64)]
    for name, _, _, _, offset, length in headers:
        word = elf[text + name:elf.index(b"\0", text + name)]
        if word.startswith(b".debug") and length:
            found += [(offset, length)] * (6 if word in (b".debug_info", b".debug_abbrev") else 1)
    return found


def damage(elf, sections, chance):
    data = bytearray(elf)
    if chance.random() < 0.05:
        return data[:chance.randrange(len(data))]
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        offset, length = chance.choice(sections)
        at = offset + chance.randrange(length)
        kind = chance.random()
        if kind < 0.5:
            data[at] = chance.randrange(256)
        elif kind < 0.7:
            data[at] = chance.choice((0, 1, 0x7f, 0x80, 0xff))
        elif kind < 0.85:
            data[at:at + 4] = struct.pack("<I", chance.choice(
                (0, 1, 0x7fffffff, 0x80000000, 0xffffffff, chance.randrange(1 << 20))))
        else:
            source, bytes_there = chance.choice(sections)
            start = source + chance.randrange(bytes_there)
            piece = data[start:start + chance.choice((1, 4, 16, 64))]
            data[at:at + len(piece)] = piece
    return data[:len(elf)]


def runs(part=1):
    """0, 1, 2... of which the last is the last for which there is time."""
    end = time.monotonic() + ENOUGH_S / part
    return itertools.takewhile(lambda run: run < LEAST // part or time.monotonic() < end,
                               range(RUNS // part))


def catalog(path, out):
    return subprocess.run([harness.TOOL, "catalog", "--timeout", "10s", "-o", out, path],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100,
                          errors="replace")


def without_crash_of_libdw(text):
    """The process that reads may crash in the library that reads, and a sanitizer tells of it; a
    crash in code of ours is none to pass over."""
    report = re.compile(r"AddressSanitizer:DEADLYSIGNAL\n=+\n==\d+==ERROR: .*?\n"
                        r"    #0 0x\w+ in \w+ \(\S*/lib(?:dw|elf)[.-].*?==\d+==ABORTING\n", re.S)
    return report.sub("", text)


def test_damaged_programs():
    chance = random.Random(harness.seed())
    made = refused = crashed = late = 0
    with tempfile.TemporaryDirectory() as directory:
        programs = [build(directory, number) for number in range(len(PROGRAMS))]
        places = [debug_sections(program) for program in programs]
        path, out = os.path.join(directory, "damaged"), os.path.join(directory, "catalogue")
        for run in runs():
            number = run % len(programs)
            with open(path, "wb") as f:
                f.write(damage(programs[number], places[number], chance))
            done = catalog(path, out)
            what = f"run {run} of {PROGRAMS[number]}"
            check(done.returncode in (0, 1, 2), f"{what}: ends well", done)
            if done.returncode:
                check(re.fullmatch(r"moonheap catalog: .+\n", without_crash_of_libdw(done.stderr)),
                      f"{what}: says why", done)
                refused += 1
                crashed += "crashed" in done.stderr
                late += "took longer" in done.stderr
                continue
            made += 1
            if made % 10 == 0:
                shown = subprocess.run([harness.TOOL, "catalog", "--print", "*", out],
                                       capture_output=True, timeout=60)
                check(shown.returncode in (0, 1), f"{what}: what was made can be read", shown)
    print(f"# {made + refused} runs: {made} catalogues, {refused} refused; of these {crashed} crashes of "
          f"the process that reads, {late} too slow", flush=True)
    check(made > refused // 9 and refused > made // 19, "both happen", made, refused)


def test_damaged_catalogues():
    """--print trusts no catalogue either."""
    chance = random.Random(harness.seed())
    with tempfile.TemporaryDirectory() as directory:
        program = build(directory, 0)
        path, out = os.path.join(directory, "program0"), os.path.join(directory, "catalogue")
        check(program and catalog(path, out).returncode == 0, "a whole one")
        with open(out, "rb") as f:
            whole = f.read()
        for run in runs(3):
            data = bytearray(whole)
            for _ in range(chance.choice((1, 2, 8))):
                data[chance.randrange(len(data))] = chance.randrange(256)
            with open(out, "wb") as f:
                f.write(data[:chance.choice((len(data), len(data), chance.randrange(len(data))))])
            done = subprocess.run([harness.TOOL, "catalog", "--print", "*", out],
                                  capture_output=True, timeout=60)
            check(done.returncode in (0, 1, 2), f"run {run}", done)


harness.main()
