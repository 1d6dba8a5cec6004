# SPDX-License-Identifier: Apache-2.0
"""hone's own kernels against the libraries':  own_kernels.py DATABASE DEVICE PROBLEMS

For each problem of the file PROBLEMS (a spelling a line), the time of the quickest library tactic (cuBLASLt, cuDNN) over that of the
quickest of source nvrtc, as the SQLite file DATABASE has measured them on the one device whose spelling holds DEVICE. Each must reach
LEAST. Ends with the line `N passed, N failed`.
"""
import sqlite3
import sys

LEAST = 0.7
QUICKEST = """SELECT source, min(median_ns) FROM measurement_flat WHERE problem = ? AND device LIKE ? AND verdict = 'ok'
AND mode = 'single cold' GROUP BY source"""


def main():
    path, device, problems = sys.argv[1:]
    store = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    passed = failed = 0
    with open(problems) as file:
        spellings = [line.rstrip("\n") for line in file if line.strip() and not line.startswith("#")]
    for spelling in spellings:
        times = dict(store.execute(QUICKEST, (spelling, f"%{device}%")).fetchall())
        library = min((times[s] for s in ("cublaslt", "cudnn") if s in times), default=None)
        ratio = library / times["nvrtc"] if library and "nvrtc" in times else 0
        passed, failed = (passed + 1, failed) if ratio >= LEAST else (passed, failed + 1)
        print(f"{ratio:6.3f} {'ok' if ratio >= LEAST else 'BELOW' if ratio else 'NOT MEASURED'} {spelling}")
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
