# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime's latency on the CPU: ort_time.py [--threads N] [--runs N] MODEL.onnx...

Prints one line for each model: name, median, minimum and 90th percentile in milliseconds."""
import argparse
import os
import sys
import time

import make_inputs


def time_model(path, threads, runs):
    """Latencies in milliseconds, sorted, after five runs of warm-up."""
    run = make_inputs.session(path, threads)
    feed = make_inputs.inputs_of(path)
    samples = []
    for i in range(runs + 5):
        start = time.perf_counter()
        run.run(None, feed)
        if i >= 5:
            samples.append((time.perf_counter() - start) * 1e3)
    return sorted(samples)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("models", nargs="+")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--runs", type=int, default=30)
    opt = ap.parse_args()
    for path in opt.models:
        ms = time_model(path, opt.threads, opt.runs)
        print(f"{os.path.basename(path)[:-5]} median_ms {ms[len(ms) // 2]:.3f} min_ms {ms[0]:.3f} "
              f"p90_ms {ms[len(ms) * 9 // 10]:.3f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
