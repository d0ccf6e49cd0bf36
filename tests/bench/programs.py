# SPDX-License-Identifier: MIT
"""programs.py - two programs that everybody has, as workloads: the Python interpreter with malloc
under every object, and a C++ compiler.

Context: bench.
Both have one thread, so their time is the processor's, which other programs hardly move: that of
the interpreter's script; that of the compiler's whole process (cc1plus, which the driver would
start). What the compiler writes is compared between the variants.
"""

import os
import subprocess
import sys
import zlib

from images import Failed, figures

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT_S = 240
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable

HEADERS = ["algorithm", "functional", "future", "iostream", "list", "map", "memory", "numeric",
           "random", "regex", "set", "sstream", "string", "thread", "unordered_map", "variant",
           "vector"]
UNIT = """
struct record_%(n)d { std::string name; int value; std::vector<double> weights; };
std::map<std::string, record_%(n)d> index_%(n)d(const std::vector<record_%(n)d> &all)
{
    std::map<std::string, record_%(n)d> found;
    std::vector<record_%(n)d> sorted(all);
    std::sort(sorted.begin(), sorted.end(), [](const auto &a, const auto &b) {
        return a.value == b.value ? a.name < b.name : a.value < b.value + %(n)d; });
    std::regex pattern("([a-z]+)-([0-9]+)_%(n)d");
    for (const auto &r : sorted) {
        std::smatch match;
        if (std::regex_match(r.name, match, pattern))
            found[match[1].str()] = r;
    }
    std::unordered_map<int, std::function<int(const record_%(n)d &)>> actions;
    actions[%(n)d] = [&](const record_%(n)d &r) {
        return std::accumulate(r.weights.begin(), r.weights.end(), r.value); };
    std::variant<int, std::string, record_%(n)d> last = record_%(n)d{"none", %(n)d, {}};
    std::visit([&](const auto &v) { std::ostringstream text; text << sizeof v; }, last);
    for (auto &[name, r] : found)
        r.value = actions[%(n)d](r);
    return found;
}
"""


def python(bench, variant, rounds):
    argv, env = bench.command(variant, [PYTHON, "-S", "-B", os.path.join(
        HERE, "programs", "objects.py"), str(rounds)], PYTHONMALLOC="malloc", PYTHONHASHSEED="0")
    result = subprocess.run(argv, env=env, cwd=bench.directory, stdin=subprocess.DEVNULL,
                            capture_output=True, text=True, timeout=LIMIT_S)
    said = figures(result.stdout)
    if result.returncode or "seconds" not in said:
        raise Failed(f"python ({variant}) ended with {result.returncode}: "
                     f"{result.stdout[-500:]}{result.stderr[-500:]}")
    return said


def preprocessed(bench, units):
    """The file that is compiled, with all it includes."""
    path = os.path.join(bench.directory, f"large-{units}.ii")
    if not os.path.exists(path):
        source = path[:-3] + ".cpp"
        with open(source, "w") as f:
            f.writelines(f"#include <{name}>\n" for name in (HEADERS if units else ["string"]))
            f.writelines(UNIT % {"n": n} for n in range(units))
        subprocess.run(["g++", "-E", "-std=c++17", source, "-o", path], check=True)
    return path


def gcc(bench, variant, units):
    compiler = subprocess.run(["g++", "-print-prog-name=cc1plus"], capture_output=True, text=True,
                              check=True).stdout.strip()
    out = os.path.join(bench.directory, "large.s")
    argv, env = bench.command(variant, [compiler, "-quiet", "-O2", "-std=c++17", "-fpreprocessed",
                                        preprocessed(bench, units), "-o", out])
    process = subprocess.Popen(argv, env=env, cwd=bench.directory, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Failed(f"cc1plus ({variant}) ended with {process.returncode}")
    with open(out, "rb") as f:
        return {"seconds": usage.ru_utime + usage.ru_stime, "peak_kib": usage.ru_maxrss,
                "check": zlib.crc32(f.read())}
