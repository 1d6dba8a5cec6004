# SPDX-License-Identifier: Apache-2.0
"""Holds what hone-hostile stored to what its tactics do: check.py HOSTILE.db GOOD.db SUMMARY.json QUICK.json QUICK.db ALL.json [GPU.db]"""
import collections
import json
import re
import sqlite3
import statistics
import sys

VERDICTS = ["ok", "launch", "crash", "crash", "timeout", "timeout", "crash", "crash", "crash", "workspace", "wrong", "wrong", "unstable", "crash"]
NAMES = ["good", "illegal address", "misaligned access", "trap", "endless", "100x slower than estimate", "abort", "segfault",
         "exit 0", "out of memory", "one byte past the output", "wrong numbers", "unstable numbers", "garbage on the pipe"]
failed = passed = 0


def check(good, sentence):
    global failed, passed
    passed += bool(good)
    failed += not good
    print(("ok: " if good else "FAILED: ") + sentence)


def rows(path):
    with sqlite3.connect(path) as db:
        return db.execute("SELECT problem, tactic, verdict, median_ns, note FROM measurement_flat").fetchall()


hostile, good = rows(sys.argv[1]), rows(sys.argv[2])
summary = json.load(open(sys.argv[3]))
counts = collections.Counter()
seen = collections.Counter()
for problem, tactic, verdict, _, note in hostile:
    fault = int(re.search(r"fault=(\d+)", tactic).group(1))
    counts[fault, verdict] += 1
    seen[problem, tactic] += 1
    if verdict != VERDICTS[fault]:
        print(f"    {problem} {tactic} ({NAMES[fault]}): {verdict}: {note}")
for fault, verdict in enumerate(VERDICTS):
    wanted = 10 if fault else 2000
    others = {v: n for (f, v), n in counts.items() if f == fault and v != verdict}
    check(counts[fault, verdict] == wanted and not others, f"{counts[fault, verdict]} of {wanted} {NAMES[fault]}: {verdict} {others or ''}")
check(max(seen.values()) == 1, "every tactic has one row")
check(summary["left"] == 0 and summary["refused"] == 0 and not summary["stopped"], "the tuner survived to the end")
with_faults = statistics.median(m for _, _, verdict, m, _ in hostile if verdict == "ok")
without = statistics.median(m for _, _, verdict, m, _ in good if verdict == "ok")
check(abs(with_faults / without - 1) <= 0.02, f"times among faults are those of a run without: {with_faults:.0f} and {without:.0f} ns")
GPU_VERDICTS = ["ok", "launch", "launch", "launch", "timeout", "timeout", "workspace", "wrong", "wrong", "unstable"]
quick, everything = json.load(open(sys.argv[4])), json.load(open(sys.argv[6]))
check(quick["lagging"] == 3 and everything["lagging"] == 0, "a library far behind is not searched further, unless all is asked for")
check(quick["candidates"] == 2 and everything["candidates"] == 4, "its default competes all the same")
defaults = sorted(tactic for _, tactic, _, _, note in rows(sys.argv[5]) if note == "default")
check(defaults == ["good.t@1 place=1000 fault=0", "laggard.t@1 place=1000 fault=0"], f"what is a library's default is remembered: {defaults}")
if len(sys.argv) > 7:
    for _, tactic, verdict, _, note in rows(sys.argv[7]):
        fault = int(re.search(r"fault=(\d+)", tactic).group(1))
        check(verdict == GPU_VERDICTS[fault], f"recorded on a GPU: {tactic} is {GPU_VERDICTS[fault]}, got {verdict} {note}")
print(f"{summary['suspects']} tried again alone, {summary['workers']} workers, {summary['seconds']:.1f} s")
print(f"{passed} passed, {failed} failed")
sys.exit(failed != 0)
