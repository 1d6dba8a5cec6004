# SPDX-License-Identifier: Apache-2.0
"""compare.py REFERENCE_DIR OUTPUT_DIR TOLERANCE: ||out - ref|| / ||ref|| of every out-NAME.npy, exit 4 when one is above."""
import os
import sys

import numpy as np


def relative_error(out, ref):
    out, ref = out.astype(np.float64), ref.astype(np.float64)
    if out.shape != ref.shape or not np.isfinite(out).all():
        return float("inf")
    return float(np.linalg.norm(out - ref) / max(np.linalg.norm(ref), 1e-30))


def main():
    reference, output, tolerance = sys.argv[1], sys.argv[2], float(sys.argv[3])
    names = sorted(n for n in os.listdir(reference) if n.startswith("out-") and n.endswith(".npy"))
    worst = 0.0
    for name in names:
        path = os.path.join(output, name)
        error = relative_error(np.load(path), np.load(os.path.join(reference, name))) if os.path.exists(path) else float("inf")
        worst = max(worst, error)
        print(f"{name[4:-4]}: relative error {error:.2e}, at most {tolerance:.0e} allowed: {'ok' if error <= tolerance else 'OFF'}")
    return 0 if names and worst <= tolerance else 4


if __name__ == "__main__":
    sys.exit(main())
