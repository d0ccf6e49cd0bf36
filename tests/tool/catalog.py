# SPDX-License-Identifier: MIT
"""Do type catalogues say what the compilers did? Fixtures print their own sizeof, offsetof and addresses."""
import itertools
import os
import re
import shutil
import subprocess
import tempfile

import harness
from harness import SOURCE, Program, Skip, check, tool

FIXTURES = os.path.join(SOURCE, "tests", "tool", "fixtures")
FORMS = ([], ["-gz"], ["-gsplit-dwarf"], ["-fdebug-types-section"])


def build(directory, name, compiler, sources, *flags):
    path = os.path.join(directory, name)
    done = subprocess.run([compiler, "-D_GNU_SOURCE", "-w", *flags,
                           *[os.path.join(FIXTURES, s) for s in sources], "-o", path],
                          cwd=directory, capture_output=True, text=True, timeout=60)
    check(done.returncode == 0, f"{compiler} {flags}", done.stderr)
    return path


def catalogue(path, pattern="*"):
    done = tool("catalog", "--print", pattern, path)
    check(done.returncode == 0, f"the catalogue of {path}", done)
    return done.stdout


def parse(text):
    """{name: size}, {(type, member): (offset, size)}, {variable: (address, size)}."""
    types, members, variables, current = {}, {}, {}, None
    for line in text.splitlines():
        match = re.match(r"(struct|union) (.*?)(?:#\d+)? (\d+)(?: polymorphic)?$", line)
        if match:
            current = match[2]
            types.setdefault(current, set()).add(int(match[3]))
        elif line.startswith("  "):
            match = re.match(r"  (\d+)\+(\d+) ([^:]+): ", line)
            if match:
                members[current, match[3]] = int(match[1]), int(match[2])
        else:
            current = None
            match = re.match(r"variable (.*) 0x([0-9a-f]+)\+(\d+): ", line)
            if match:
                variables[match[1]] = int(match[2], 16), int(match[3])
    return types, members, variables


def compare(path, what):
    truth = subprocess.run([path], capture_output=True, text=True, timeout=10).stdout
    text = catalogue(path)
    types, members, variables = parse(text)
    compared = 0
    for line in truth.splitlines():
        word, rest = line.split(" ", 1)
        if word == "member":
            owner, member, offset, size = rest.rsplit(" ", 3)
            found, wanted = members.get((owner, member)), (int(offset), int(size))
        elif word == "variable":
            name, address, size = rest.rsplit(" ", 2)
            # clang 14 forgets the function around a static variable that it optimised.
            found = variables.get(name) or variables.get(name.split("::")[-1])
            wanted = int(address, 16), int(size)
        else:
            name, size = rest.rsplit(" ", 1)
            found, wanted = types.get(name, set()), {int(size)}
        check(found == wanted, f"{what}: {line}", found, text)
        compared += 1
    check(compared > 15, f"{what}: all was compared", truth)
    return text


def variants(compilers):
    """Each compiler, DWARF version, optimisation and form; position independent every other time."""
    every = itertools.product(compilers, ("-gdwarf-4", "-gdwarf-5"), ("-O0", "-O2"), FORMS)
    for number, (compiler, version, level, form) in enumerate(every):
        pie = ["-fPIE", "-pie"] if (number + number // 4) % 2 else ["-fno-PIE", "-no-pie"]
        yield compiler, ["-g", version, level, *form, *pie]


def test_c_against_the_compiler():
    for compiler, flags in variants(("gcc", "clang-14")):
        with tempfile.TemporaryDirectory() as directory:
            path = build(directory, "kinds", compiler, ["kinds.c", "kinds_more.c"], *flags)
            what = f"{compiler} {' '.join(flags)}"
            text = compare(path, what)
            check("12.0+1b" not in text and re.search(r"\n  0\.0\+1b one: unsigned int", text) and
                  re.search(r"\n  2\.5\+33b far: (long unsigned int|unsigned long)\n", text),
                  f"{what}: bit fields", text)
            first = re.search(r"variable first_node \S+ (node#\d+)\*", text)
            other = re.search(r"variable other_node \S+ (node#\d+)\*", text)
            held = re.search(r"struct holder 8\n  0\+8 root: (node#\d+)\*", text)
            check(first and other and first[1] != other[1], f"{what}: two types named node", text)
            check(held and held[1] == other[1], f"{what}: each file has its own", text)
            check(f"struct {first[1]} 16\n" in text and f"struct {other[1]} 24\n" in text,
                  f"{what}: they differ", text)
            check(re.search(r"hidden: hidden\*", text) and "struct hidden 16\n" in text,
                  f"{what}: a declared type is found in the other file", text)
            check("declared never 0\n" in text, f"{what}: one that is nowhere stays open", text)
            check(re.search(r"thread_local mine 0x0\+8: session\*", text),
                  f"{what}: thread-local", text)
            check("function make_hidden: returns hidden*" in text, f"{what}: an allocator", text)


def test_cxx_against_the_compiler():
    for compiler, flags in variants(("g++", "clang++-14")):
        with tempfile.TemporaryDirectory() as directory:
            path = build(directory, "kinds", compiler, ["kinds.cpp"], *flags)
            what = f"{compiler} {' '.join(flags)}"
            text = compare(path, what)
            check(re.search(r"struct shapes::derived 24 polymorphic\n  0\+16 \(base\): shapes::base\n",
                            text), f"{what}: a base", text)
            check(re.search(r"  24\+16 \(base\): shapes::side\n", text), f"{what}: a second", text)
            check(re.search(r"\(virtual base\): shapes::base\n", text), f"{what}: virtual", text)
            check(re.search(r"  \d+\+8 self: shapes::both\*\n", text), f"{what}: a reference", text)
            check("function make_derived: returns shapes::derived*" in text, f"{what}: allocator",
                  text)


def test_separate_debug_file():
    with tempfile.TemporaryDirectory() as directory:
        path = build(directory, "kinds", "gcc", ["kinds.c", "kinds_more.c"], "-g", "-O2")
        whole = catalogue(path)
        apart = os.path.join(directory, "apart.debug")
        subprocess.run(["objcopy", "--only-keep-debug", path, apart], check=True)
        subprocess.run(["strip", "-g", path], check=True)
        done = tool("catalog", "--print", "*", path)
        check(done.returncode == 1 and "-dbgsym" in done.stderr, "stripped: says what to do", done)
        subprocess.run(["objcopy", f"--add-gnu-debuglink={apart}", path], check=True,
                       cwd=directory)
        check(catalogue(path) == whole, "the debug file is found by .gnu_debuglink")


def test_what_dwz_leaves():
    if not shutil.which("dwz"):
        raise Skip("dwz is not installed")
    with tempfile.TemporaryDirectory() as directory:
        paths = [build(directory, f"kinds{n}", "gcc", ["kinds.c", "kinds_more.c"], "-g", level)
                 for n, level in ((1, "-O1"), (2, "-O2"))]
        wanted = [parse(catalogue(path)) for path in paths]
        done = subprocess.run(["dwz", "-m", "common.debug", "-h", *paths], cwd=directory,
                              capture_output=True, text=True, timeout=60)
        check(done.returncode == 0 and os.path.exists(os.path.join(directory, "common.debug")),
              "dwz moved what both have", done)
        for path, before in zip(paths, wanted):
            check(parse(catalogue(path)) == before, "types in the common file are found")
            compare(path, "dwz -m")


def members_by_pahole(path):
    """(struct, member, offset, size) as pahole shows them; of bit fields, bits and minus their size."""
    said = subprocess.run(["pahole", path], capture_output=True, text=True, timeout=60).stdout
    current = None
    for line in said.splitlines():
        match = re.match(r"struct (\w+) \{", line)
        if match or line.startswith("}"):
            current = match and match[1]
        elif current and re.match(r"\t[^\t}]", line):
            match = re.search(r"(\w+)(?:\[[^;]*\])?(?:\)\(.*\))?;\s+/\*\s+(\d+)\s+(\d+) \*/", line)
            if match:
                yield current, match[1], int(match[2]), int(match[3])
            match = re.search(r"(\w+):(\d+);\s+/\*\s+(\d+):\s*(\d+)\s+\d+ \*/", line)
            if match:
                yield current, match[1], 8 * int(match[3]) + int(match[4]), -int(match[2])


def test_against_pahole():
    """An independent reader agrees on every member of every struct of a program of some size."""
    if not shutil.which("pahole"):
        raise Skip("pahole is not installed")
    found, current = set(), None
    for line in catalogue(harness.TOOL).splitlines():
        match = re.match(r"(?:struct|union) (.*?)(?:#\d+)? \d+", line)
        current = match[1] if match else current
        match = re.match(r"  (\d+)\+(\d+) ([^:]+): ", line)
        if match:
            found.add((current, match[3], int(match[1]), int(match[2])))
        match = re.match(r"  (\d+)\.(\d+)\+(\d+)b ([^:]+): ", line)
        if match:
            found.add((current, match[4], 8 * int(match[1]) + int(match[2]), -int(match[3])))
    wanted = set(members_by_pahole(harness.TOOL))
    check(len(wanted) > 500, "enough is compared", len(wanted))
    check(wanted <= found, "pahole says otherwise", sorted(wanted - found)[:20])


def test_cache_and_process():
    with tempfile.TemporaryDirectory() as directory:
        path = build(directory, "kinds", "gcc", ["kinds.c", "kinds_more.c"], "-g")
        cache = os.path.join(directory, "cache")
        env = dict(os.environ, MOONHEAP_CATALOG=cache)
        done = subprocess.run([harness.TOOL, "catalog", path], env=env, capture_output=True,
                              text=True, timeout=60)
        files = [os.path.join(folder, name) for folder, _, names in os.walk(cache)
                 for name in names]
        check(done.returncode == 0 and len(files) == 1, "one catalogue", done, files)
        check(os.stat(files[0]).st_mode & 0o777 == 0o600, "is for its owner alone")
        check(files[0] in done.stdout, "says where it is", done.stdout)
        check(catalogue(files[0]) == catalogue(path), "and can be printed itself")
        out = os.path.join(directory, "out")
        check(tool("catalog", "-o", out, path).returncode == 0, "-o")
        check(open(out, "rb").read() == open(files[0], "rb").read(), "the same bytes")
        shutil.rmtree(cache)
        victim = build(directory, "victim", "gcc", ["wait.c"], "-g")
        with Program([victim], MOONHEAP_CATALOG=cache) as p:
            check(p.ask("there?") == "there?", "it answers")
            check(tool("poke", p.pid).returncode == 0, "poke")
            made = {name for _, _, names in os.walk(cache) for name in names}
            check(made, "poke made what was missing")
            check(not any(name.endswith(".failed") for name in made), "without failures", made)
            check(tool("catalog", p.pid).returncode == 0, "catalog PID")
        subprocess.run(["strip", victim], check=True)
        with Program([victim], moonheap=False, MOONHEAP_CATALOG=cache) as p:
            check(p.ask("there?") == "there?", "it answers")
            done = tool("catalog", p.pid)
            check(done.returncode in (0, 1), "without debug information of its own", done)
            check((done.returncode == 1) == ("no file of process" in done.stderr), "says so", done)


def test_errors():
    with tempfile.TemporaryDirectory() as directory:
        for argument, code, words in (
                ("/nonexistent", 2, "No such file"), ("/etc/passwd", 2, "not an ELF file"),
                (directory, 2, "not a regular file"), ("/proc/self/exe/x", 2, "cannot open")):
            done = tool("catalog", argument)
            check(done.returncode == code and words in done.stderr, argument, done)
        path = build(directory, "kinds", "gcc", ["kinds.c", "kinds_more.c"], "-g",
                     "-Wl,--build-id=none")
        done = tool("catalog", path)
        check(done.returncode == 2 and "build-id" in done.stderr, "no build-id", done)
        done = tool("catalog", "--print", "no_such_type", path)
        check(done.returncode == 1 and "no_such_type" in done.stderr, "no such type", done)
        done = tool("catalog", "--timeout", "1ms", harness.TOOL)
        check(done.returncode == 2 and "limit" in done.stderr, "a time limit", done)
        done = tool("catalog")
        check(done.returncode == 2, "no file", done)


def test_a_reader_that_crashes_is_an_error():
    with tempfile.TemporaryDirectory() as directory:
        path = build(directory, "kinds", "gcc", ["kinds.c", "kinds_more.c"], "-g")
        crash = os.path.join(directory, "crash.so")
        subprocess.run(["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", crash], check=True, text=True,
                       input="void dwarf_get_units(void) { *(volatile int *)8 = 0; }\n")
        done = tool("catalog", path, LD_PRELOAD=crash)
        if "ASan runtime" in done.stderr:
            raise Skip("a sanitizer must come before what is preloaded")
        check(done.returncode == 2 and "crashed (Segmentation fault)" in done.stderr, "says so", done)


harness.main()
