# SPDX-License-Identifier: MIT
"""typed.py - how long it takes to give each block of a snapshot its type (typing.c).

Context: bench.
"""

import os
import re
import statistics
import subprocess

TYPED = """| blocks of a made-up snapshot | with a type | time | processor time | a million blocks |
| --- | --- | --- | --- | --- |"""


def measure(build, blocks, rounds):
    """Rows of the table."""
    program = os.path.join(build, "workloads", "typing")
    runs = []
    for _ in range(rounds):
        said = subprocess.run([program, str(blocks)], check=True, capture_output=True, text=True,
                              timeout=300).stdout
        runs.append({k: int(v) for k, v in re.findall(r"^(\w+)=(\d+)$", said, re.M)})
    took, cpu = (statistics.median(r[k] for r in runs) / 1e3 for k in ("ms", "cpu_ms"))
    n = runs[0]["blocks"]
    return [f"| {n / 1e6:g} M | {runs[0]['typed'] / n:.0%} | {took:.2f} s | {cpu:.2f} s | "
            f"{took / n * 1e6:.2f} s |"]
