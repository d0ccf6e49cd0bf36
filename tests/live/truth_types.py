# SPDX-License-Identifier: MIT
"""Are blocks what the program knows them to be, by every source, compiler and kind of debug
information?

The victims (victims/types) say of each of their blocks which type it is. Precision: of the blocks
that were given a type, the share whose type is right. Recall: of all blocks, the share that was.
"""

import collections
import os
import re
import shutil
import subprocess
import tempfile

from harness import BUILD, SOURCE, TOOL, Program, Skip, check, environment, main, tool

HERE = os.path.join(SOURCE, "tests/live/victims/types")
VERBOSE = os.environ.get("MOONHEAP_TEST_VERBOSE")

Build = collections.namedtuple("Build", "compiler optimize dwarf pie")

SCRIPT = """
for b in heap.snapshot():all():each() do
  printf("%x %d %s|%s\\n", b.addr, b.size, b.type_source, b.type)
end
"""

WORDS = {"long int": "long", "short int": "short", "long unsigned int": "unsigned long",
         "unsigned int": "unsigned"}


def plain(name):
    """One way to write a type: no lengths, no spaces that mean nothing."""
    name = re.sub(r"\[\d+\]", "[]", name)
    for long, short in WORDS.items():
        name = re.sub(rf"\b{long}\b", short, name)
    name = re.sub(r"\bstd::__cxx11::basic_string<char.*?allocator<char> ?>", "std::string", name)
    name = re.sub(r"std::unique_ptr<account[^\[]*", "std::unique_ptr<account>", name)
    name = re.sub(r"\bint const\b", "const int", name)
    name = re.sub(r".*lambda.*", "(lambda)", name)
    name = re.sub(r"\((?:__gnu_cxx::_Lock_policy)\)", "", name)
    name = re.sub(r"__gnu_cxx::_S_atomic", "2", name)
    return re.sub(r"\s+(?=\W)|(?<=\W)\s+", "", name)


def compile_victim(folder, build, name):
    """Paths of the program and of all files that have debug information."""
    cxx = name == "objects"
    compilers = {"gcc": "g++", "clang": "clang++"} if cxx else {"gcc": "gcc", "clang": "clang"}
    compiler = shutil.which(compilers[build.compiler])
    if not compiler:
        raise Skip(f"no {compilers[build.compiler]}")
    flags = [build.optimize, "-g", f"-gdwarf-{build.dwarf}", "-fno-builtin-malloc", "-D_GNU_SOURCE",
             "-std=c++17" if cxx else "-std=gnu11", "-Wl,--build-id"]
    libraries = []
    for library in [] if cxx else ["one", "two"]:
        path = os.path.join(folder, f"lib{library}.so")
        subprocess.run([compiler, *flags, "-fPIC", "-shared", "-o", path,
                        os.path.join(HERE, f"{library}.c")], check=True)
        libraries.append(path)
    program = os.path.join(folder, name)
    subprocess.run([compiler, *flags, "-fPIE" if build.pie else "-fno-pie",
                    "-pie" if build.pie else "-no-pie", "-o", program,
                    os.path.join(HERE, name + (".cpp" if cxx else ".c")),
                    *([] if cxx else ["-DWITH_LIBRARIES"]), *libraries, f"-Wl,-rpath,{folder}",
                    "-pthread"], check=True)
    return program, [program, *libraries]


def observe(program, files, script=SCRIPT, strip=False):
    """({address: (size, type)} as the program says, what the script printed)."""
    with tempfile.TemporaryDirectory() as cache:
        if not strip and tool("help", "catalog").returncode:
            raise Skip("this moonheap makes no catalogues")
        for path in files if not strip else []:
            made = tool("catalog", path, MOONHEAP_CATALOG=cache)
            check(made.returncode == 0, "catalog", made.stdout, made.stderr)
        if strip:
            subprocess.run(["strip", program], check=True)
        without = strip or not files  # then the process makes none by itself either
        with Program([program], catalog="/dev/null/none" if without else cache) as p:
            told = {}
            while (line := p.hear()) != "end":
                address, size, name = line.split(" ", 2)
                told[int(address, 16)] = (int(size), name)
            return told, p.run(script).body


def blocks_of(text):
    found = {}
    for line in text.splitlines():
        match = re.fullmatch(r"([0-9a-f]+) (\d+) (\w+)\|(.*)", line)
        if match:
            found[int(match[1], 16)] = (int(match[2]), match[3], match[4])
    return found


class Tally:
    def __init__(self):
        self.blocks = self.bytes = self.typed = self.typed_bytes = self.right = 0
        self.by_source = collections.defaultdict(lambda: [0, 0])
        self.wrong = collections.Counter()
        self.open = collections.Counter()

    def add(self, told, found):
        for address, (size, name) in told.items():
            check(address in found, f"no block at {address:x}")
            seen, source, given = found[address]
            check(seen == size, "its size", seen, size)
            self.blocks += 1
            self.bytes += size
            if source in ("site", "unknown"):
                self.open[name] += 1
                continue
            self.typed += 1
            self.typed_bytes += size
            right = plain(name) == plain(given)
            self.right += right
            self.by_source[source][0] += 1
            self.by_source[source][1] += right
            if not right:
                self.wrong[f"{name} taken for {given} by {source}"] += 1

    def __str__(self):
        lines = [f"{self.blocks} blocks, {100 * self.typed / self.blocks:.2f} % typed, "
                 f"{100 * self.typed_bytes / self.bytes:.2f} % of the bytes, "
                 f"precision {100 * self.right / max(self.typed, 1):.2f} %"]
        for source, (count, right) in sorted(self.by_source.items()):
            lines.append(f"  {source}: {100 * count / self.blocks:.2f} % of all, "
                         f"precision {100 * right / count:.2f} %")
        lines += [f"  wrong {n} x {what}" for what, n in self.wrong.most_common(12)]
        lines += [f"  open {n} x {what}" for what, n in self.open.most_common(12)]
        return "\n".join(lines)


def measure(builds, name, tally):
    for build in builds:
        one = Tally()
        with tempfile.TemporaryDirectory(dir=BUILD) as folder:
            program, files = compile_victim(folder, build, name)
            told, text = observe(program, files)
        one.add(told, blocks_of(text))
        tally.add(told, blocks_of(text))
        if VERBOSE:
            print(f"{name} {build}: {one}", flush=True)


OPTIMIZED = [Build("gcc", "-O2", 5, True), Build("clang", "-O2", 5, True),
             Build("gcc", "-O2", 4, False), Build("clang", "-O2", 4, False)]
PLAIN = [Build("gcc", "-O0", 5, False), Build("clang", "-O0", 4, True)]


def test_optimized():
    tally = Tally()
    measure(OPTIMIZED, "plain", tally)
    measure(OPTIMIZED, "objects", tally)
    print("# " + str(tally).replace("\n", "\n# "))
    check(tally.right >= 0.99 * tally.typed, "precision", tally)
    check(tally.typed >= 0.95 * tally.blocks, "share of the blocks", tally)
    check(tally.typed_bytes >= 0.95 * tally.bytes, "share of the bytes", tally)


def test_not_optimized():
    tally = Tally()
    measure(PLAIN, "plain", tally)
    measure(PLAIN, "objects", tally)
    print("# " + str(tally).replace("\n", "\n# "))
    check(tally.right >= 0.99 * tally.typed, "precision", tally)
    check(tally.typed >= 0.95 * tally.blocks, "share of the blocks", tally)


def test_stripped():
    """RTTI alone names every object that has virtual functions."""
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        program, files = compile_victim(folder, OPTIMIZED[0], "objects")
        told, text = observe(program, files, strip=True)
    found = blocks_of(text)
    polymorphic = ("shape", "circle", "behind_data", "labelled_square", "diamond",
                   "circle[]")
    count = 0
    for address, (_, name) in told.items():
        if name in polymorphic or name.startswith("std::_Sp_counted"):
            check(found[address][1:] == ("rtti", found[address][2]) and
                  plain(found[address][2]) == plain(name), name, found[address])
            count += 1
    check(count == 320, "as many as were made", count)


def test_operations():
    """A table of functions tells objects of one C type apart."""
    script = """
heap.subtype("file", "ops")
local s = heap.snapshot()
print(#s:type("file<disk_ops>"), #s:type("file<pipe_ops>"), #s:type("file"))
local b = s:type("file<pipe_ops>"):one()
print(b:field("number") % 4, b.type_source)
"""
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        program, files = compile_victim(folder, OPTIMIZED[0], "plain")
        _, text = observe(program, files, script)
    lines = text.splitlines()
    check(lines[0] == "30\t10\t0", "by operations", text)
    check(lines[1].startswith("0\t"), "its number", text)


def test_members():
    """Paths name variables and members; fields are read."""
    script = """
local s = heap.snapshot()
print(s:type("pair"):one():why())
print(s:type("session"):oldest(1)[1]:why())
local b = s:type("session"):largest(1)[1]
print(b:field("id"), b:field("name"):match("^%l+$") ~= nil, b:field("parent"), b:field("nothing"))
print(s:type("table"):one():field("size"))
print(s:type("parcel"):one():why())
for b in s:type("parcel"):each() do
    for _, e in ipairs(b.type_evidence) do
        if e.by:find("^thread%-local") then print(e.type, e.by) end
    end
end
for _, r in ipairs(s:type("table"):one():referents()) do print(r.field) break end
"""
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        program, files = compile_victim(folder, OPTIMIZED[0], "plain")
        _, text = observe(program, files, script)
    lines = text.splitlines()
    check(re.match(r"global table → table\.buckets\[\d+\] → ", lines[0]), "why a pair", text)
    check(re.match(r"global sessions\.\w+ → session", lines[1]), "why a session", text)
    check(re.fullmatch(r"\d+\ttrue\t0\tnil\t.*no member.*", lines[2]), "fields", text)
    check(lines[3] == "101", "a field", text)
    check(re.match(r"thread-local parcels\.first of thread \w+ \d+.* → parcel", lines[4]),
          "why a parcel", text)
    check(re.match(r"parcel\tthread-local parcels\.first of thread", lines[5]), "who says so", text)
    check(re.fullmatch(r"buckets\[\d+\]", lines[6]), "a referent's field", text)


def test_unknown():
    """Without debug information: what to say first, and what saying it does."""
    script = """
local rows = heap.snapshot():unknown{limit=50}
local most = 0
for i, r in ipairs(rows) do
  if r.unlocks < r.bytes or #r.set ~= r.count then print("wrong", r.key) end
  if i > 1 and rows[i - 1].unlocks < r.unlocks then print("order", r.key) end
  if r.key:find("make_table") then print("table", r.bytes, r.unlocks) end
end
heap.istype("make_table", "table")
local s = heap.snapshot()
print(#s:type("table"), s:type("table"):one().type_source, s:by("type_source")["told"].count)
for _, r in ipairs(s:unknown()) do if r.key:find("make_table") then print("still", r.key) end end
"""
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        program, _ = compile_victim(folder, OPTIMIZED[0], "plain")
        told, text = observe(program, [], script)
    lines = text.splitlines()
    pairs = sum(size for size, name in told.values() if name == "pair")
    match = re.fullmatch(r"table\t(\d+)\t(\d+)", lines[0])
    check(match and int(match[1]) == 16 + 101 * 8, "the table", text)
    check(int(match[2]) >= int(match[1]) + pairs, "it unlocks its pairs", text)
    check(lines[1:] == ["1\ttold\t1"], "when it was told", text)


def test_by_way_of():
    script = """
local s = heap.snapshot()
s:type("pair"):by("via"):print{limit=3}
local referrers = s:type("session"):largest(1)[1]:referrers()
for _, r in ipairs(referrers) do if r.block then print(r.block.type, r.field) end end
for _, e in ipairs(s:type("pair"):one().type_evidence) do print("says", e.type, e.count, e.by) end
"""
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        program, files = compile_victim(folder, OPTIMIZED[0], "plain")
        _, text = observe(program, files, script)
    check("pair.next" in text and "table.buckets[" in text, "by way of", text)
    check(re.search(r"^says\tpair\t1\t(pair\.next|table\.buckets\[\d+\])$", text, re.M), "evidence",
          text)
    check(re.search(r"^session\tnode\.(next|prev)$", text, re.M), "a referrer's field", text)


if __name__ == "__main__":
    main()
