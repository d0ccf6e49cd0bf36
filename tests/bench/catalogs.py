# SPDX-License-Identifier: MIT
"""catalogs.py - what type catalogues cost: to make, in the cache, and when a program opens them.

Context: benchmark; a part of scripts/bench.
The C++ program is written here, since the distribution ships none with its debug information: many
classes that use the standard library's containers, as a server of some size has them.
"""

import os
import re
import shutil
import subprocess

from images import Failed

PYTHON = "/usr/bin/python3-dbg"
LIMIT_S = 1200  # the compiler's part is long

HEADERS = """algorithm deque functional future iostream list map memory regex set string thread
unordered_map variant vector"""
CLASS = """
namespace unit@U {
struct item_@U_@K { virtual ~item_@U_@K() {}
  std::string name; std::vector<item_@U_@K *> children; int number = @K;
  std::map<std::string, std::shared_ptr<item_@U_@K>> by_name;
  std::unordered_map<int, std::list<item_@U_@K>> buckets;
  std::function<void(item_@U_@K &)> call; std::variant<int, std::string, item_@U_@K *> any; };
static std::deque<item_@U_@K> all_@K;
void work_@K(std::ostream &o, int n) {
  for (int j = 0; j < n; j++) {
    auto p = std::make_shared<item_@U_@K>(); p->name = std::to_string(j);
    p->call = [j](auto &x) { x.number += j; };
    p->by_name[p->name] = p; p->buckets[j].push_back(*p);
    p->children.push_back(p.get()); all_@K.push_back(*p); p->call(*p);
  }
  std::sort(all_@K.begin(), all_@K.end(), [](auto &a, auto &b) { return a.number < b.number; });
  std::set<std::pair<std::string, int>> s; for (auto &x : all_@K) s.emplace(x.name, x.number);
  std::regex r("[a-z]+@K"); for (auto &x : s) if (std::regex_match(x.first, r)) o << x.first;
  auto f = std::async([&] { std::multimap<int, item_@U_@K *> m;
    for (auto &x : all_@K) m.emplace(x.number, &x); return m.size(); });
  o << f.get();
} }
"""


def unit(number, classes):
    text = "".join(f"#include <{name}>\n" for name in HEADERS.split())
    for k in range(classes):
        text += CLASS.replace("@U", str(number)).replace("@K", str(k))
    calls = "".join(f"unit{number}::work_{k}(o, 3); " for k in range(classes))
    return text + f"void run{number}(std::ostream &o) {{ {calls}}}\n"


def build_cxx(directory, units, classes):
    """The path of the program; its objects are compiled side by side."""
    text = "#include <iostream>\n"
    text += "".join(f"void run{n}(std::ostream &o);\n" for n in range(units))
    text += "int main() { " + "".join(f"run{n}(std::cout); " for n in range(units)) + "}\n"
    names = [f"unit{n}.cpp" for n in range(units)] + ["main.cpp"]
    for n, name in enumerate(names):
        with open(os.path.join(directory, name), "w") as f:
            f.write(unit(n, classes) if n < units else text)
    waiting, running = list(names), []
    while waiting or running:
        while waiting and len(running) < (os.cpu_count() or 1):
            running.append(subprocess.Popen(["g++", "-std=c++17", "-g", "-O2", "-c",
                                             waiting.pop(0)], cwd=directory))
        if running.pop(0).wait(LIMIT_S):
            raise Failed("g++ failed")
    path = os.path.join(directory, "program")
    subprocess.run(["g++", *[n.replace(".cpp", ".o") for n in names], "-o", path, "-pthread"],
                   cwd=directory, check=True, timeout=LIMIT_S)
    return path


def measure(bench, program):
    tool, reader = (os.path.join(bench.build, *p) for p in
                    (("bin", "moonheap"), ("workloads", "catalog_open")))
    out = os.path.join(bench.directory, "catalogue")
    made = subprocess.run([tool, "catalog", "-o", out, program], capture_output=True, text=True,
                          timeout=LIMIT_S)
    if made.returncode:
        raise Failed(f"no catalogue of {program}: {made.stderr}")
    match = re.search(r": (\d+) types, .*; (.+) from (.+) of debug information, ([\d.]+) s, (.+) of "
                      r"memory", made.stdout)
    opened = subprocess.run([reader, out], check=True, capture_output=True, text=True,
                            timeout=60).stdout
    f = {k: float(v) for k, v in re.findall(r"^(\w+)=([\d.]+)$", opened, re.M)}
    f.update(types=int(match[1]), size=match[2], debug=match[3], seconds=float(match[4]),
             memory=match[5])
    return f


def python(bench):
    return measure(bench, os.path.realpath(PYTHON))


def cxx(bench):
    directory = os.path.join(bench.directory, "catalog-cxx")
    os.mkdir(directory)
    try:
        return measure(bench, build_cxx(directory, bench.scale.units, bench.scale.classes))
    finally:
        shutil.rmtree(directory)


def workloads(scale):
    """name: (description, what measures it)."""
    found = {"catalog-cxx": (f"C++, {scale.units * scale.classes} classes with their containers",
                             cxx)}
    if os.path.exists(PYTHON):
        found["catalog-python"] = ("python3-dbg", python)
    return found


CATALOGS = """| program | debug information | time | memory | types | catalogue | opened in | private memory |
| --- | --- | --- | --- | --- | --- | --- | --- |"""


def tables(scale, found):
    """{"catalogs"}: rows of the table, without its head."""
    return {"catalogs": [
        f"| {workloads(scale)[name][0]} | {f['debug']} | {f['seconds']:.2f} s | {f['memory']} | "
        f"{f['types']} | {f['size']} | {f['first_ms']:.2f} ms | {f['private_kib']:.0f} KiB |"
        for name, f in found.items()]}
