# SPDX-License-Identifier: Apache-2.0
"""Holds plans built from a poisoned database against those from the clean one: poison.py CLEAN.db CLEAN.plan POISONED.plan

By what the clean database knows, the poisoned plan may take 2% longer, and no step runs a tactic that cannot be."""
import collections
import json
import os
import sqlite3
import statistics
import subprocess
import sys

clean, *plans = sys.argv[1:]
MODES = ["single cold", "graph cold", "single warm", "graph warm"]


def show(plan):
    return json.loads(subprocess.run([os.environ["HONE"], "plan", "show", plan, "--json"], check=True, capture_output=True).stdout)


plans = [show(plan) for plan in plans]
times = collections.defaultdict(lambda: collections.defaultdict(list))
for problem, tactic, mode, median in sqlite3.connect(clean).execute(
        "SELECT problem, tactic, mode, median_ns FROM measurement_flat WHERE verdict = 'ok' AND device = ?", [plans[0]["device"]]):
    times[problem, tactic][mode].append(median)


def truth(step):
    if not step["evidence"].strip("0"):
        return step["predicted_ns"]
    known = times[step["problem"], step["tactic"]]
    if "99999989" in step["tactic"]:
        sys.exit(f"{step['tactic']}, which no kernel has, was chosen for {step['problem']}")
    if not known:      # a tactic of another problem that can run here, too; nobody but the liar has timed it: the slowest there is
        return max(statistics.median(m) for (problem, _), modes in times.items() if problem == step["problem"] for m in modes.values())
    mode = next((m for m in MODES if m in known), next(iter(known)))
    return statistics.median(known[mode])


wanted, got = (sum(map(truth, plan["steps"])) for plan in plans)
others = sum(a["tactic"] != b["tactic"] for a, b in zip(*(p["steps"] for p in plans)))
print(f"{plans[0]['network']}: {got / 1e3:.1f} us instead of {wanted / 1e3:.1f} ({100 * (got / wanted - 1):+.2f}%), {others} other tactics")
sys.exit(got > 1.02 * wanted)
