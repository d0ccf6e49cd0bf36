# SPDX-License-Identifier: MIT
"""objects.py - a Python program that allocates all the time: records, dictionaries, JSON, text.

Context: benchmark. Usage: python3 objects.py ROUNDS; says what tests/bench/measure.h says.
"""

import json
import os
import random
import signal
import sys
import time


class Account:
    def __init__(self, number, name):
        self.number, self.name, self.entries = number, name, []

    def book(self, amount, text):
        self.entries.append({"amount": amount, "text": text, "tags": [text[:3], str(amount)]})


def make(dice, count):
    accounts = {}
    for i in range(count):
        a = accounts[f"account-{i}"] = Account(i, f"holder of account {i}")
        for _ in range(dice.randrange(12)):
            a.book(dice.randrange(10_000), f"payment {dice.randrange(1000)} of {a.name}")
    return accounts


def report(accounts):
    text = json.dumps([{"name": a.name, "entries": a.entries} for a in accounts.values()])
    by_tag = {}
    for record in json.loads(text):
        for entry in record["entries"]:
            by_tag.setdefault(tuple(entry["tags"]), []).append((record["name"], entry["amount"]))
    words = sorted(w for key in by_tag for w in " ".join(key).split())
    return len(text) + sum(len(v) for v in by_tag.values()) + len(words)


def ask(path):
    """As measure_begin does: has Moonheap's script run once."""
    os.kill(os.getpid(), signal.SIGUSR1)
    answer = ""
    while "<<DBG" not in answer:
        time.sleep(0.02)
        if os.path.exists(path):
            with open(path) as f:
                answer = f.read()


def main():
    if "BENCH_ASK" in os.environ:
        ask(os.environ["BENCH_ASK"])
    began = time.process_time()
    dice, check, before = random.Random(1), 0, None
    for _ in range(int(sys.argv[1])):
        accounts = make(dice, 4000)
        check += report(accounts)
        before = accounts  # the last ones go while new ones come
    check += len(before)
    del before, accounts
    with open("/proc/self/status") as f:
        peak = next(line.split()[1] for line in f if line.startswith("VmHWM:"))
    print(f"seconds={time.process_time() - began:.6f}\npeak_kib={peak}\ncheck={check}")


main()
