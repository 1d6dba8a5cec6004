# SPDX-License-Identifier: Apache-2.0
"""The README's figures, made from bench/results:  table.py [--check | --write] [README.md [RESULTS]]

Of each network (or kernel's problem), batch, precision and device the newest row of each peer counts; the peer that was quickest is shown,
with hone's time and the ratio of that same run. Without an option the table is printed. Exit codes: 0, 1 --check found it different, 2 usage.
"""
import argparse
import glob
import json
import math
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
NETWORKS = {"resnet50": "ResNet-50", "mobilenetv3-large": "MobileNetV3-Large", "bert-base": "BERT-base, sequence 128", "vit-b-16": "ViT-B/16",
            "ppocrv4-det": "PP-OCRv4 detection, 640 x 640", "ppocrv4-rec": "PP-OCRv4 recognition, 48 x 320"}
KERNELS = {"gemm": "matrix products", "conv": "ResNet-50's convolutions", "attention": "attention", "memory": "norms and elementwise chains"}
NOT_PEERS = ("self", "copy")        # beside hone, but nobody who does the same work in another way
NONE = "Not measured yet: `bench/results` is empty (`bench/README.md` says how to fill it)."


def read_rows(folder):
    rows = []
    for path in sorted(glob.glob(os.path.join(folder, "*.json"))):
        with open(path) as file:
            rows += json.load(file)
    return rows


def device_name(row):
    quoted = re.search(r'"([^"]*)"', row["device"])
    threads = re.search(r"threads=(\d+)", row["device"])
    name = quoted.group(1) if quoted else row["device"]
    return f"{name}, {threads.group(1)} threads" if threads else name


def key_of(row):
    return device_name(row), row["kind"], row.get("network") or row.get("problem"), row["batch"], row["precision"]


def newest(rows):
    """key -> peer's kind -> its newest row."""
    found = {}
    for row in sorted(rows, key=lambda one: one["date"]):
        if row["kind"] != "ceiling":
            found.setdefault(key_of(row), {})[row["peer_kind"]] = row
    return found


def best_of(peers):
    """The row of the quickest peer; where none was timed, any row of hone's."""
    timed = [row for kind, row in peers.items() if row["peer_ms"] and kind not in NOT_PEERS]
    return min(timed, key=lambda row: row["peer_ms"]) if timed else max(peers.values(), key=lambda row: row["date"])


def ms(value):
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def ratio_words(row):
    return f"{row['ratio']:.2f} ({row['ratio_low']:.2f} to {row['ratio_high']:.2f})" if row["ratio"] else "-"


def peer_words(row):
    return f"{row['peer'].split(';')[0]}: {ms(row['peer_ms'])} ms" if row["peer_ms"] else "-"


def network_lines(bests):
    names = list(NETWORKS)
    order = sorted(bests, key=lambda r: (names.index(r["network"]) if r["network"] in names else len(names), r["network"], r["precision"], r["batch"]))
    lines = ["| network | precision, batch | hone | quickest beside it, same run | ratio, 95% interval |", "|---|---|---|---|---|"]
    for row in order:
        name = NETWORKS.get(row["network"], row["network"])
        lines.append(f"| {name} | {row['precision'].upper()}, {row['batch']} | {ms(row['hone_ms'])} ms | {peer_words(row)} | {ratio_words(row)} |")
    return lines


def kernel_line(kind, precision, bests):
    """A family in one line: ratios to each problem's quickest peer."""
    ratios = [row["ratio"] for row in bests if row["ratio"]]
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else None
    wins = sum(1 for row in bests if row["ratio"] and row["ratio_low"] > 1)
    cells = (f"{mean:.2f}", f"{min(ratios):.2f}", f"{wins}") if ratios else ("-", "-", "-")
    return f"| {KERNELS.get(kind, kind)} | {precision.upper()} | {len(bests)} | " + " | ".join(cells) + " |"


def kernel_lines(bests):
    lines = ["| kernels | precision | problems | geometric mean of the ratios to each problem's quickest peer | least | won |", "|---|---|---|---|---|---|"]
    for kind, precision in sorted({(row["kind"], row["precision"]) for row in bests}, key=lambda p: (list(KERNELS).index(p[0]), p[1])):
        lines.append(kernel_line(kind, precision, [row for row in bests if (row["kind"], row["precision"]) == (kind, precision)]))
    return lines


def conditions_line(device, rows):
    row = max(rows, key=lambda one: one["date"])
    words = [device]
    if row["driver"]:
        words.append(f"driver {row['driver']}")
    for key, name in (("cuda", "CUDA"), ("torch", "PyTorch"), ("onnxruntime", "ONNX Runtime")):
        if key in row["versions"]:
            words.append(f"{name} {row['versions'][key].split('+')[0]}")
    days = sorted({one["date"][:10] for one in rows})
    return ", ".join(words) + f"; {days[0]}" + (f" to {days[-1]}" if days[-1] != days[0] else "") + "; medians."


def make_table(rows):
    bests = [best_of(peers) for peers in newest(rows).values()]
    if not bests:
        return NONE
    parts = []
    for device in sorted({device_name(row) for row in bests}, key=lambda name: ("threads" in name, name)):
        here = [row for row in bests if device_name(row) == device]
        networks = [row for row in here if row["kind"] == "network"]
        kernels = [row for row in here if row["kind"] in KERNELS]
        parts.append(conditions_line(device, here))
        if networks:
            parts.append("\n".join(network_lines(networks)))
        if kernels:
            parts.append("\n".join(kernel_lines(kernels)))
    return "\n\n".join(parts)


def replace(text, table):
    """The text with the table between its marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"table.py: there is no place for the figures: {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def main():
    parser = argparse.ArgumentParser(description="The README's figures, made from bench/results")
    parser.add_argument("readme", nargs="?", default=os.path.join(ROOT, "README.md"))
    parser.add_argument("results", nargs="?", default=os.path.join(ROOT, "bench", "results"))
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="the file's table must be the one made here")
    what.add_argument("--write", action="store_true", help="put the table into the file")
    options = parser.parse_args()
    table = make_table(read_rows(options.results))
    if not options.check and not options.write:
        print(table)
        return 0
    with open(options.readme) as file:
        text = file.read()
    wanted = replace(text, table)
    if options.write:
        with open(options.readme, "w") as file:
            file.write(wanted)
    elif text != wanted:
        print(f"{os.path.basename(options.readme)}'s figures are not those of bench/results: python3 bench/table.py --write")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
