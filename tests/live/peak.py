# SPDX-License-Identifier: MIT
"""Is what the heap was made of at its peak known, after it has gone? The oracles are programs whose
peak is known beforehand, and massif."""
import os
import re
import shutil
import subprocess
import tempfile

import harness
from harness import TOOL, Program, Skip, check, victim

A, B, C, D = 20000 * 300, 3000 * 2000, 1000 * 1000, 40 << 20

PEAK = """
local peak, why = heap.peak()
if not peak then print("none", why) return end
printf("total %d %d\\n", #peak, peak.bytes)
printf("stats %d %d\\n", heap.stats().peak_blocks, heap.stats().peak_bytes)
for _, row in ipairs(peak:by("function"):rows()) do
    printf("%s %d %d\\n", row.key, row.count, row.bytes)
end
"""


def asked(program, script=PEAK):
    """{name: bytes}"""
    found = {}
    for line in program.run(script).body.splitlines():
        name, _, size = line.rsplit(" ", 2)
        found[name] = int(size)
    return found


def near(found, name, truth, whole):
    check(abs(found.get(name, 0) - truth) <= whole / 100, f"{name} is {truth} bytes, to 1 % of {whole}",
          found)


def is_first_peak(found, times):
    whole = times * (A + B)
    near(found, "make_a", times * A, whole)
    near(found, "make_b", times * B, whole)
    near(found, "make_c", 0, whole)
    near(found, "total", whole, whole)
    near(found, "stats", whole, whole)


def test_one_thread():
    with Program([victim("peaks")], script="heap.start{peak=true}") as p:
        p.run()
        p.ask("life 0")
        is_first_peak(asked(p), 1)
        p.ask("end")
        is_first_peak(asked(p), 1)
        p.ask("higher")
        found = asked(p)
        near(found, "make_d", D, D)
        near(found, "make_a", 0, D)
        p.run("heap.reset_peak()")
        p.ask("end")
        p.ask("life 0")
        found = asked(p)
        near(found, "make_d", D, D)
        p.run("heap.reset_peak()")
        p.ask("end")
        near(asked(p), "make_b", B, A + B)


def test_threads_free_for_each_other():
    with Program([victim("peaks")], peak="1") as p:
        for count in (8, 8, 16):
            p.ask(f"life {count}")
            is_first_peak(asked(p), count)
            p.ask("end")
            is_first_peak(asked(p), count)
        own = int(p.run("print(heap.stats().overhead_bytes)").body)
        check(own < 16 * (20000 + 3000) * 24 + (64 << 20), "what it costs is bounded", own)


def test_sampled():
    script = PEAK.replace(
        'printf("total %d %d\\n", #peak, peak.bytes)',
        'printf("total %d %d\\nerror 0 %d\\n", #peak, peak.bytes, peak.bytes_error)')
    with Program([victim("peaks")], track="sample:8192", peak="1") as p:
        p.ask("life 8")
        p.ask("end")
        found = asked(p, script)
        whole = 8 * (A + B)
        check(0 < found["error"] < whole / 20, "an estimate", found)
        check(abs(found["total"] - whole) < 2 * found["error"] + whole / 100, "near the truth", found)
        check(found.get("make_c", 0) < whole / 50, "of the peak", found)


def test_not_kept_says_what_to_do():
    with Program([victim("peaks")]) as p:
        p.ask("life 0")
        body = p.run(PEAK).body
        check("none" in body and "heap.start{peak=true}" in body and "MOONHEAP_PEAK" in body,
              "says what to do", body)
        with open(os.path.join(harness.SOURCE, "lua", "peak.lua")) as f:
            check("heap.start{peak=true}" in p.run(f.read()).body, "the canned script too")


def test_saved_and_compared():
    """It is a snapshot: it can be saved and asked later, and compared with what is there now."""
    with Program([victim("peaks")], peak="1") as p:
        p.ask("life 0")
        path = os.path.join(p.directory, "peak.snap")
        body = p.run(f"""
        local peak = heap.peak()
        print(peak.peak, peak.references, peak:save("{path}"))
        local now = heap.snapshot{{graph=false}}
        for _, row in ipairs(now:diff(peak, "function"):rows()) do
            print(row.key, row.count_delta) end
        print(#now:gone_since(peak), #now:new_since(peak))
        """).body
        check(body.startswith("true\tnil\ttrue\n"), "saved", body)
        check("make_a\t-19" in body or "make_a\t-20000" in body, "make_a has gone", body)
        check("make_c\t1000" in body, "make_c has come", body)
        with open(os.path.join(harness.SOURCE, "lua", "peak.lua")) as f:
            lines = p.run(f.read()).body.splitlines()
        check(lines[0].startswith("the peak was ") and any("make_a" in x for x in lines),
              "the canned script", *lines)
        check(any("make_c" in x for x in lines[lines.index("since then"):]), "and since", *lines)
        script = os.path.join(p.directory, "offline.lua")
        with open(script, "w") as f:
            f.write("local s = heap.snapshot{graph=false} print(s.peak)\n"
                    "s:by('function'):print{limit=2}\n")
        text = subprocess.run([TOOL, "script", path, script], capture_output=True, text=True,
                              timeout=60).stdout
        check("true" in text and "make_a" in text and "make_b" in text, "offline", text)


# --- massif ---------------------------------------------------------------------------------------

def massif(argv, directory, **variables):
    """(bytes of the peak, {function: bytes} of those who called malloc then)."""
    if not shutil.which("valgrind"):
        raise Skip("valgrind is not installed")
    out = os.path.join(directory, "massif.out")
    subprocess.run(["valgrind", "--tool=massif", "--peak-inaccuracy=0.0", "--threshold=0.0",
                    "--depth=3", f"--massif-out-file={out}", *argv],
                   env=dict(os.environ, **variables), stdin=subprocess.DEVNULL, timeout=100,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    with open(out) as f:
        for snapshot in f.read().split("#-----------\nsnapshot=")[1:]:
            if "heap_tree=peak" not in snapshot:
                continue
            size = int(re.search(r"mem_heap_B=(\d+)", snapshot)[1])
            functions = {}
            for n, name in re.findall(r"^ n\d+: (\d+) 0x[0-9A-F]+: (\S+)", snapshot, re.M):
                functions[name] = functions.get(name, 0) + int(n)
            return size, functions
    raise AssertionError("massif found no peak")


def test_massif_says_the_same():
    with tempfile.TemporaryDirectory() as directory:
        size, functions = massif([victim("peaks"), "once", "4"], directory)
    with Program([victim("peaks")], peak="1") as p:
        p.ask("life 4")
        p.ask("end")
        found = asked(p)
    near(found, "total", size, size)
    for name in ("make_a", "make_b", "make_c"):
        near(found, name, functions.get(name, 0), size)


PYTHON = """
import sys
def build(n):
    return {str(i): [i, str(i) * 3, {"a": i}] for i in range(n)}
first = build(6000)
keys = sorted(first, key=lambda k: k[::-1])
del first, keys
second = build(500)
sys.stdin.readline()
"""


def test_massif_says_the_same_of_python():
    variables = {"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    argv = ["/usr/bin/python3", "-S", "-c", PYTHON]
    with tempfile.TemporaryDirectory() as directory:
        size, functions = massif(argv, directory, **variables)
    with Program(argv, peak="1", **variables) as p:
        harness.until(lambda: asked(p).get("total", 0) > size / 2, 30, "the peak has been")
        found = asked(p)
    print(f"# peak {found['total']} bytes, massif {size}", flush=True)
    near(found, "total", size, size)
    asked_of = 0
    for name, truth in functions.items():
        name = name.split(".")[0]  # of link-time optimisation
        if truth > 4000 and name in found:
            near(found, name, truth, size)
            asked_of += 1
    check(asked_of >= 3, "functions that both name", functions, found)


if __name__ == "__main__":
    harness.main()
