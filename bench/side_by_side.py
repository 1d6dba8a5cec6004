# SPDX-License-Identifier: Apache-2.0
"""Sides that take turns in one run: clocks, warm-up, blocks A B B A, the interval of the ratio, gates, rows.

A side has kind, what (in words), seconds (to make it, or None), replay(n), sync(), outputs() and close().
"""
import datetime
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import time

import numpy as np

from table import NOT_PEERS

BLOCK_S = 0.030             # what a block is made to last
LEAST_S, MOST_S = 0.020, 0.050
RESAMPLES = 10000
SLOTS_MAX = 16              # most sets of inputs that take turns
SAME = 5e-3                 # most relative norm between an output before and after the timing: FP16's tolerance
TOLERANCES = {"fp32": 1e-4, "tf32": 2e-3, "fp16": 5e-3, "bf16": 4e-2}      # as hone run --check has them

STARTED = time.perf_counter()


class Off(Exception):
    """An output that cannot be right."""


def age():
    return time.perf_counter() - STARTED


def say(text):
    """Progress, with the seconds since the start."""
    print(f"[{age():7.1f}] {text}", file=sys.stderr, flush=True)


# ---- clocks

class WallClock:
    """The host's clock round n replays and one wait. One before them is not counted: threads of who had the turn before may spin on for a while."""
    name = "wall clock round a block"

    def seconds(self, side, n):
        side.replay(1)
        side.sync()
        start = time.perf_counter()
        side.replay(n)
        side.sync()
        return time.perf_counter() - start


class EventClock:
    """CUDA events before and behind n replays on the stream that all sides share."""
    name = "CUDA events round a block"

    def __init__(self, torch, stream):
        self.stream = stream
        self.first, self.last = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def seconds(self, side, n):
        self.first.record(self.stream)
        side.replay(n)
        self.last.record(self.stream)
        self.last.synchronize()
        return self.first.elapsed_time(self.last) / 1e3


def slots_needed(set_bytes, cache_bytes):
    """As many sets of inputs as are together larger than the cache, SLOTS_MAX at most."""
    return max(1, min(SLOTS_MAX, int(1.25 * cache_bytes / max(set_bytes, 1)) + 1)) if cache_bytes else 1


# ---- blocks

def time_block(clock, side, n):
    """Seconds of one replay."""
    return clock.seconds(side, n) / n


def warm_up(clock, sides, seconds):
    """All sides for as long, in turns of a tenth."""
    for _ in range(10):
        for side in sides:
            start, n = time.perf_counter(), 1
            while time.perf_counter() - start < seconds / 10:
                one = time_block(clock, side, n)
                n = max(1, min(64, int(0.01 / one)))


def replays_of(clock, side):
    one = time_block(clock, side, 1)
    if one < BLOCK_S:
        one = time_block(clock, side, max(1, int(BLOCK_S / one)))
    return max(1, round(BLOCK_S / one))


def order_of(n):
    """A quad: everybody once, then once more the other way round. A B B A, A B C C B A."""
    there = list(range(n))
    return [(side, 0) for side in there] + [(side, 1) for side in reversed(there)]


def take_turns(clock, sides, quads):
    """times[side][quad] = two block times."""
    counts = [replays_of(clock, side) for side in sides]
    times = [np.empty((quads, 2)) for _ in sides]
    for quad in range(quads):
        for which, place in order_of(len(sides)):
            times[which][quad, place] = time_block(clock, sides[which], counts[which])
    return times, counts


def bootstrap(hone, peer, seed):
    """95% interval of median(peer) / median(hone). Quads are drawn whole: what drifts, drifts in both of them."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(hone), (RESAMPLES, len(hone)))
    a = np.median(hone[drawn].reshape(RESAMPLES, -1), axis=1)
    b = np.median(peer[drawn].reshape(RESAMPLES, -1), axis=1)
    return [float(x) for x in np.percentile(b / a, [2.5, 97.5])]


# ---- gates

def distance(have, want):
    """The largest ||have - want|| / ||want|| of the outputs."""
    if len(have) != len(want):
        raise Off(f"there are {len(have)} outputs, not {len(want)}")
    worst = 0.0
    for a, b in zip(have, want):
        a, b = np.asarray(a, np.float64).ravel(), np.asarray(b, np.float64).ravel()
        if a.size != b.size:
            raise Off(f"an output has {a.size} values, not {b.size}")
        off = np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-300)
        worst = max(worst, float(off) if np.isfinite(off) else np.inf)
    return worst


def look_at(outputs, whose):
    for k, data in enumerate(outputs):
        if data.dtype.kind == "f" and not np.isfinite(data).all():
            raise Off(f"{whose}: output {k} is not finite")
        if data.size > 1 and data.min() == data.max():
            raise Off(f"{whose}: output {k} is the same everywhere, {data.flat[0]}")


def look_again(before, after, whose):
    """What ran last in the timing is what ran first."""
    off = distance(after, before)
    if not off <= SAME:
        raise Off(f"{whose}: an output moved by {off:.1e} during the timing")


# ---- rows

def measure(clock, sides, options):
    """Times of sides whose outputs stand the first look, sides[0] being hone; a summary for each of the others (for hone alone if none)."""
    before = [side.outputs() for side in sides]
    for side, data in zip(sides, before):
        look_at(data, side.what)
    warm_up(clock, sides, options.warm_up)
    times, counts = take_turns(clock, sides, options.quads)
    for side, data in zip(sides, before):
        look_again(data, side.outputs(), side.what)
    return sum_up(clock, sides, times, counts, options.seed)


def figures(times, count):
    median = float(np.median(times))
    return {"ms": median * 1e3, "replays": count, "block_ms": median * count * 1e3,
            "spread": float(np.subtract(*np.percentile(times, [75, 25])) / median)}


def sum_up(clock, sides, times, counts, seed):
    each = [figures(t, n) for t, n in zip(times, counts)]
    rows = []
    for k in range(1, len(sides)):
        low, high = bootstrap(times[0], times[k], seed)
        rows.append({"hone_ms": each[0]["ms"], "peer_kind": sides[k].kind, "peer": sides[k].what, "peer_ms": each[k]["ms"],
                     "ratio": float(np.median(times[k]) / np.median(times[0])), "ratio_low": low, "ratio_high": high, "peer_build_s": sides[k].seconds})
    if not rows:
        rows.append({"hone_ms": each[0]["ms"], **NO_PEER})
    for row, peer in zip(rows, each[1:] or [None]):
        both = [side for side in (each[0], peer) if side]
        row.update(blocks=int(times[0].size), clock=clock.name)
        row.update({key: [side[key] for side in both] for key in ("replays", "block_ms", "spread")})
        for whose, side in zip(("hone", "the peer"), both):
            if not LEAST_S * 1e3 <= side["block_ms"] <= MOST_S * 1e3:
                row.setdefault("remarks", []).append(f"blocks of {whose} lasted {side['block_ms']:.1f} ms, not 20 to 50")
    name_best(rows)
    return rows


NO_PEER = {"peer_kind": None, "peer": None, "peer_ms": None, "ratio": None, "ratio_low": None, "ratio_high": None, "peer_build_s": None}


def name_best(rows):
    timed = [row for row in rows if row["peer_ms"] and row["peer_kind"] not in NOT_PEERS]
    for row in rows:
        row["best"] = bool(timed) and row is min(timed, key=lambda one: one["peer_ms"])


def line_of(row):
    what = row.get("network") or row.get("problem")
    line = f"{what:<28} {row['precision']}" + (f" batch {row['batch']}" if row["batch"] else "") + f"  hone {row['hone_ms']:.4f} ms"
    if row["peer_ms"]:
        line += f"  {row['peer_kind']} {row['peer_ms']:.4f} ms"
    elif row["peer"]:
        line += f"  {row['peer']}"
    if row["ratio"]:
        line += f"  ratio {row['ratio']:.3f} [{row['ratio_low']:.3f}, {row['ratio_high']:.3f}]" + (" best peer" if row["best"] else "")
    return line + "  spread " + " ".join(f"{s:.1%}" for s in row.get("spread", []))


def write(path, rows):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path + ".part", "w") as out:
        out.write("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
    os.replace(path + ".part", path)


# ---- where it ran

def driver_version():
    try:
        done = subprocess.run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"], capture_output=True, text=True, timeout=20)
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.split()[0]
    except (OSError, subprocess.TimeoutExpired):
        pass
    return None


def versions(lib, torch):
    found = {"hone": lib.hone_version().decode(), "python": platform.python_version(), "numpy": np.__version__}
    if torch:
        found.update(torch=torch.__version__, cuda=torch.version.cuda, cudnn=str(torch.backends.cudnn.version()))
    for name in ("torchvision", "transformers", "triton", "onnx", "onnxruntime", "tensorrt"):
        if name in sys.modules and hasattr(sys.modules[name], "__version__"):
            found[name] = sys.modules[name].__version__
    return found


def loaded_libraries():
    """Which of NVIDIA's libraries the process really holds; two files of one name would be two versions."""
    try:
        with open("/proc/self/maps") as maps:
            found = {line.split()[-1] for line in maps if ".so" in line}
    except OSError:
        return []
    return sorted(os.path.basename(path) for path in found if re.search(r"/lib(cudnn|cublasLt|nvrtc|cuda)\.so", path))


def command_line():
    """As it was called, with no folder of the machine in it."""
    words = [re.sub(r"(^|=)/\S*/", r"\1", word) for word in sys.argv[1:]]
    return f"python3 bench/{os.path.basename(sys.argv[0])} " + shlex.join(words)


def conditions(lib, torch, device):
    return {"device": device, "driver": driver_version(), "versions": versions(lib, torch), "libraries": loaded_libraries(),
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), "command": command_line()}
