# SPDX-License-Identifier: MIT
"""Are estimates of a sample as near to the truth as they say, and do they say so everywhere?"""
import os
import re

import harness
from harness import SOURCE, Program, check, victim

# A first run keeps a snapshot, the second prints what is there and what has changed since.
SCRIPT = """
local s = heap.snapshot{graph=false}
local function line(what, key, n, wrong) printf("%s %s %d %d\\n", what, key, n, wrong or 0) end
if not data.before then
    data.before = s
    return
end
for _, row in ipairs(s:by("function"):rows()) do
    line("count", row.key, row.count, row.count_error)
    line("bytes", row.key, row.bytes, row.bytes_error)
end
for _, row in ipairs(s:diff(data.before, "function"):rows()) do
    line("count_delta", row.key, row.count_delta, row.count_delta_error)
    line("bytes_delta", row.key, row.bytes_delta, row.bytes_delta_error)
end
local stats = heap.stats()
line("total", "count", #s, s.count_error)
line("total", "bytes", s.bytes, s.bytes_error)
line("stats", "count", stats.live_blocks, stats.live_blocks_error)
line("stats", "bytes", stats.live_bytes, stats.live_bytes_error)
line("exact", "allocations", stats.allocations)
line("exact", "frees", stats.frees)
"""


def figures(track, count, size):
    """{(what, key): (figure, error)} of one run of the victim."""
    with Program([victim("sites")], script=SCRIPT, track=track) as p:
        p.ask(f"grow {count} {size}")
        p.run()
        p.ask("drop")
        p.ask(f"grow {count // 2} {size}")
        body = p.run().body
    found = {}
    for line in body.splitlines():
        what, key, n, wrong = line.split()
        found[what, key] = int(n), int(wrong)
    return found


def ask(interval, size, runs, sites_wanted):
    """Of the sites' intervals of each kind so many hold the exact run's figure."""
    exact = figures("full", 200, size)
    check(sum(k.startswith("site_") for w, k in exact if w == "bytes") == 40, "40 sites", exact)
    check(all(wrong == 0 for _, wrong in exact.values()), "exact figures have no error", exact)
    held, asked, far = {}, {}, []
    for _ in range(runs):
        found = figures(f"sample:{interval}", 200, size)
        for (what, key), (truth, _) in exact.items():
            n, wrong = found.get((what, key), (0, 0))
            if what == "exact":
                check(n == truth, f"{key} is exact", n, truth)
                continue
            kind = what if key.startswith("site_") else "total"
            asked[kind] = asked.get(kind, 0) + 1
            held[kind] = held.get(kind, 0) + (abs(n - truth) <= wrong)
            check(wrong > 0, f"{what} {key} says that it is an estimate", found)
            if "count" not in (what, key) and abs(n - truth) > 4 * wrong:
                far.append((what, key, truth, n, wrong))
    print(f"# interval {interval}: held {held} of {asked}", flush=True)
    check(not far, "no estimate of bytes is eight standard deviations off", *far)
    for kind in ("count_delta", "bytes_delta", "count", "bytes"):
        check(held[kind] >= sites_wanted * asked[kind], f"{kind} within its error", held, asked)


# 40 sites in ten runs are 400 intervals of each kind; of 400 independent ones that hold in 95 of
# 100 cases, fewer than 360 hold once in 100 000 tests.
def test_64_kib():
    ask(65536, 25000, 10, 0.90)


def test_512_kib():
    ask(524288, 200000, 10, 0.90)


def test_what_is_printed_says_so():
    script = """
    local s = heap.snapshot{graph=false}
    print(s:all()) print(s:by("function")["site_10"])
    s:by("function"):print{limit=2}
    s:diff(s, "function"):print()
    if data.before then s:diff(data.before, "function"):print{limit=2} end
    data.before = s
    heap.show_growth{by="function", limit=2}
    """
    with Program([victim("sites")], script=script, track="sample:65536") as p:
        p.ask("grow 100 25000")
        p.run()
        p.ask("grow 100 25000")
        lines = p.run().body.splitlines()
        for canned in ("top", "growth", "window", "window"):
            with open(os.path.join(SOURCE, "lua", f"{canned}.lua")) as f:
                lines += p.run(f.read()).body.splitlines()
    plain = [text for text in lines
             if ("site_" in text or re.search(r"\d [KM]iB", text)) and "±" not in text]
    check(not plain, "each line of figures says by how much it may be wrong", *lines)
    check(sum("estimated from a sample" in text for text in lines) >= 4, "tables say so", *lines)


def test_threads_of_short_life_are_sampled():
    """A thread's first block has its chance: a thousand threads of some blocks each."""
    script = """
    local row = heap.snapshot{graph=false}:by("function")["one"]
    printf("%d %d %d\\n", row.count, row.bytes, row.bytes_error)
    """
    with Program([victim("brief")], script=script, track="sample:1000") as p:
        p.ask("threads 2000")
        count, size, wrong = map(int, p.run().body.split())
    check(abs(size - 2000 * 500) <= 2 * wrong, "all threads together", count, size, wrong)


if __name__ == "__main__":
    harness.main()
