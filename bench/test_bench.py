# SPDX-License-Identifier: Apache-2.0
"""What the bench does without a GPU: test_bench.py FOLDER, which has tiny.onnx (tests/cli/tiny.py). Prints a line per failure and "N passed, N failed"."""
import contextlib
import io
import json
import os
import sqlite3
import subprocess
import sys
import traceback

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import hone
import kernels
import networks
import side_by_side
import table


class Fake:
    """A side that takes no time and writes down when it ran."""
    kind, seconds = "graph", 1.5

    def __init__(self, name, log):
        self.what, self.log = name, log

    def replay(self, n):
        self.log.append((self.what, n))

    def sync(self):
        self.log.append((self.what, "sync"))

    def outputs(self):
        return [np.array([1.0, 2.0])]


class Port:
    def __init__(self, name, dtype, dims, kind="f32"):
        self.name, self.dtype, self.dims, self.type = name, np.dtype(dtype), dims, kind


class Options:
    warm_up, quads, seed = 0.0, 3, 1


def raises(kind, call):
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            call()
    except kind:
        return True
    return False


# ---- turns, clocks, intervals

def test_blocks_take_turns():
    log, kept = [], side_by_side.replays_of
    side_by_side.replays_of = lambda clock, side: 7
    times, counts = side_by_side.take_turns(side_by_side.WallClock(), [Fake(name, log) for name in "AB"], 2)
    three = side_by_side.take_turns(side_by_side.WallClock(), [Fake(name, log) for name in "XYZ"], 1)
    side_by_side.replays_of = kept
    assert "".join(name for name, what in log if what != "sync") == "AABBBBAAAABBBBAAXXYYZZZZYYXX"      # each twice: the first does not count
    assert log[:4] == [("A", 1), ("A", "sync"), ("A", 7), ("A", "sync")] and counts == [7, 7]
    assert [t.shape for t in times] == [(2, 2), (2, 2)] and [t.shape for t in three[0]] == [(1, 2)] * 3


def test_interval_holds_the_ratio_and_is_seeded():
    rng = np.random.default_rng(3)
    ours, peer = rng.normal(1, 0.02, (20, 2)), rng.normal(1.5, 0.03, (20, 2))
    low, high = side_by_side.bootstrap(ours, peer, 1)
    assert 1.45 < low < 1.5 < high < 1.55 and [low, high] == side_by_side.bootstrap(ours, peer, 1)


def test_drift_of_both_sides_does_not_widen_the_interval():
    drift = np.linspace(1, 1.2, 20)[:, None] * np.ones(2)
    low, high = side_by_side.bootstrap(drift, 2 * drift, 1)
    assert abs(low - 2) < 1e-9 and abs(high - 2) < 1e-9


def test_inputs_outgrow_the_cache():
    assert side_by_side.slots_needed(1 << 20, 8 << 20) == 11
    assert side_by_side.slots_needed(80 << 20, 50 << 20) == 1
    assert side_by_side.slots_needed(1, 50 << 20) == side_by_side.SLOTS_MAX
    assert side_by_side.slots_needed(1 << 20, 0) == 1


# ---- gates

def test_gates():
    off, fine = side_by_side.Off, [np.array([1.0, 2.0])]
    side_by_side.look_at(fine, "hone")
    assert raises(off, lambda: side_by_side.look_at([np.array([1.0, np.nan])], "hone"))
    assert raises(off, lambda: side_by_side.look_at([np.ones(4)], "hone"))
    side_by_side.look_again(fine, [np.array([1.0, 2.0001])], "hone")
    assert raises(off, lambda: side_by_side.look_again(fine, [np.array([1.0, 2.1])], "hone"))
    assert raises(off, lambda: side_by_side.look_again(fine, [np.array([1.0, np.nan])], "hone"))


def test_distance_is_of_the_worst_output():
    want = [np.array([3.0, 4.0]), np.array([1.0])]
    assert abs(side_by_side.distance([np.array([3.0, 4.5]), np.array([1.0])], want) - 0.1) < 1e-12
    assert side_by_side.distance([np.array([3.0, np.inf]), np.array([1.0])], want) == np.inf
    assert raises(side_by_side.Off, lambda: side_by_side.distance(want[:1], want))
    assert raises(side_by_side.Off, lambda: side_by_side.distance([want[0], np.ones(2)], want))


def test_bf16_rounds_to_nearest_even():
    values = np.array([1.0, -2.5, 1.00390625, 1.01171875, 3e38], np.float32)       # the third and fourth lie halfway
    assert list(hone.from_bf16(hone.to_bf16(values))[:4]) == [1.0, -2.5, 1.0, 1.015625]
    assert np.isfinite(hone.from_bf16(hone.to_bf16(values))).all()


# ---- inputs and rows

def test_inputs_are_drawn_by_network_and_name():
    ports = [Port("input_ids", np.int64, (2, 128)), Port("attention_mask", np.int64, (2, 128)), Port("x", np.float32, (3, 4))]
    drawn, again = networks.make_inputs("bert-base", ports, 1), networks.make_inputs("bert-base", ports, 1)
    assert all((drawn[name] == again[name]).all() for name in drawn)
    assert drawn["attention_mask"].sum() == 2 * 111 and drawn["input_ids"].min() >= 1000
    assert (drawn["x"] != networks.make_inputs("resnet50", ports, 1)["x"]).any()


def test_a_row_for_each_peer_and_the_quickest_is_named():
    sides = [Fake("hone", []), Fake("slow", []), Fake("quick", [])]
    times = [np.full((3, 2), seconds) for seconds in (1e-3, 2e-3, 1.5e-3)]
    rows = side_by_side.sum_up(side_by_side.WallClock(), sides, times, [30, 15, 2], 1)
    assert [(row["peer"], round(row["ratio"], 9), row["best"]) for row in rows] == [("slow", 2.0, False), ("quick", 1.5, True)]
    assert "remarks" not in rows[0] and "3.0 ms" in rows[1]["remarks"][0]
    alone = side_by_side.sum_up(side_by_side.WallClock(), sides[:1], times[:1], [30], 1)
    assert len(alone) == 1 and alone[0]["ratio"] is None and not alone[0]["best"] and alone[0]["hone_ms"] == 1.0


def test_what_moves_is_no_measurement():
    class Moving(Fake):
        n = 0.0

        def outputs(self):
            self.n += 1
            return [np.array([self.n, 2.0])]

    kept, side_by_side.replays_of = side_by_side.replays_of, lambda clock, side: 1
    clock = side_by_side.WallClock()
    assert len(side_by_side.measure(clock, [Fake("hone", []), Fake("x", [])], Options)) == 1
    assert raises(side_by_side.Off, lambda: side_by_side.measure(clock, [Fake("hone", []), Moving("x", [])], Options))
    side_by_side.replays_of = kept


def test_command_line_names_no_folder():
    kept, sys.argv = sys.argv, ["/a/" + "networks.py", "--plan", "resnet50=" + "/some/folder/" + "r.plan", "--out=" + "/a/" + "b.json", "bench/results/c.json"]
    line = side_by_side.command_line()
    sys.argv = kept
    assert line == "python3 bench/networks.py --plan resnet50=r.plan --out=b.json bench/results/c.json", line


def test_arguments():
    good = networks.parse(["--network", "resnet50:128", "--network", "bert-base", "--peers", "graph,max-autotune", "--out", "x"])
    assert good.network == [("resnet50", 128), ("bert-base", 1)] and good.peers == ["graph", "max-autotune"]
    assert networks.parse(["--network", "resnet50", "--peers", "none", "--out", "x"]).peers == []
    bad = [[], ["--network", "nosuch"], ["--network", "resnet50:x"], ["--network", "resnet50:0"], ["--network", "resnet50", "--peers", "nobody"],
           ["--network", "resnet50", "--device", "cpu"], ["--network", "x", "--plan", "x=f", "--peers", "ort"], ["--network", "resnet50", "--quads", "0"],
           ["--network", "x", "--model", "x=f", "--peers", "graph"], ["--network", "x", "--model", "x"]]
    for words in bad:
        assert raises(SystemExit, lambda: networks.parse(words + ["--out", "x"])), words


# ---- the table

def row(**more):
    base = {"kind": "network", "network": "resnet50", "batch": 1, "precision": "fp16", "hone_ms": 0.3, "peer_kind": "graph", "peer": "PyTorch, eager; x",
            "peer_ms": 0.9, "ratio": 3.0, "ratio_low": 2.9, "ratio_high": 3.1, "device": 'cuda sm_90 "NVIDIA H200" sms=132', "driver": "580.1",
            "versions": {"torch": "2.11.0+cu130", "cuda": "13.0"}, "date": "2026-11-27T04:00:00Z"}
    return {**base, **more}


def test_the_table_shows_the_quickest_of_the_newest_rows():
    rows = [row(), row(peer_kind="compile", peer="PyTorch, compiled", peer_ms=0.5, ratio=1.5, ratio_low=1.4, ratio_high=1.6, hone_ms=1 / 3),
            row(peer_kind="compile", peer="old", peer_ms=0.1, date="2026-11-01T00:00:00Z"), row(peer_kind="self", peer="hone itself", peer_ms=0.2),
            row(network="bert-base", peer=None, peer_kind=None, peer_ms=None, ratio=None), {"kind": "ceiling", "date": "2026", "name": "x"}]
    made = table.make_table(rows)
    assert "| ResNet-50 | FP16, 1 | 0.333 ms | PyTorch, compiled: 0.5 ms | 1.50 (1.40 to 1.60) |" in made, made
    assert "| BERT-base, sequence 128 | FP16, 1 | 0.3 ms | - | - |" in made and "old" not in made and "itself" not in made
    assert made.startswith("NVIDIA H200, driver 580.1, CUDA 13.0, PyTorch 2.11.0; 2026-11-27; medians.")


def test_kernels_come_as_families():
    rows = [row(kind="gemm", network=None, problem=f"p{k}", ratio=ratio, ratio_low=ratio - 0.01) for k, ratio in enumerate((2.0, 0.5, 1.0))]
    assert "| matrix products | FP16 | 3 | 1.00 | 0.50 | 1 |" in table.make_table(rows)


def test_the_table_goes_between_its_marks():
    text = f"a\n{table.BEGIN}\nold\n{table.END}\nb\n"
    assert table.replace(text, "new") == f"a\n{table.BEGIN}\nnew\n{table.END}\nb\n"
    assert raises(SystemExit, lambda: table.replace("nothing", "new"))
    assert table.make_table([]) == table.NONE


# ---- single kernels

def test_kernels_arguments():
    assert kernels.parse(["--family", "gemm", "--precision", "bf16", "--out", "x"]).precision == "bf16"
    for words in (["--family", "none"], ["--family", "conv", "--precision", "bf16"], ["--family", "gemm", "--precision", "fp32"],
                  ["--family", "gemm", "--device", "cpu"], ["--family", "conv", "--turns", "0"], ["--family", "gemm", "--retime", "-1"],
                  ["--family", "gemm", "--retime", "nan"], ["--family", "gemm", "--retime", "5", "--effort", "lookup"]):
        assert raises(SystemExit, lambda: kernels.parse(words + ["--out", "x"])), words


def test_cases_outgrow_the_cache():
    assert len(kernels.FAMILIES["gemm"]) == 60 and len({case.problem for case in kernels.FAMILIES["gemm"]}) == 60
    case = kernels.Gemm(1, 1024, 1024)
    assert case.bytes_touched() == 2 * (1024 * 1024 + 2048)
    assert kernels.copies_of(case, 8 << 20) == 5 and kernels.copies_of(case, 1 << 40) == kernels.COPIES_MAX and kernels.copies_of(case, 0) == 1


def test_copies_are_retimed_in_their_graph():
    """With a margin that lets everybody in, so that there is something to compare whatever the times."""
    model, db, asked = os.path.join(FOLDER, "retimed.onnx"), os.path.join(FOLDER, "retimed.db"), []
    kernels.write_model([kernels.Gemm(16, 256, 128)] * 3, "fp16", kernels.Pool(1), model)
    program = hone.Program(HONE, db, "cpu", "fp32")
    program.tune(model, "quick", None)

    class Wide:
        def retime(self, *words):
            asked.append(words)
            return program.retime(*words, "--margin", "1000000")
    bench = kernels.Bench.__new__(kernels.Bench)
    bench.run, bench.options = type("Run", (), {"program": Wide()}), kernels.parse(["--family", "gemm", "--retime", "20", "--out", "x"])
    assert bench.retime(kernels.Gemm(16, 256, 128), model) > 0 and asked == [(model, 20, "--lanes", "1")]
    with contextlib.closing(sqlite3.connect(db)) as opened:
        modes = {mode for mode, in opened.execute("select mode from measurement")}
    assert any(mode.startswith("plan ") for mode in modes), modes
    bench.options.retime = 0
    assert bench.retime(kernels.Gemm(16, 256, 128), "gone.onnx") is None and len(asked) == 1


def test_memory_is_held_against_a_copy():
    sizes = [2 * np.prod(case.output) / 2 ** 20 for case in kernels.FAMILIES["memory"]]
    assert sizes == sorted(sizes) and {64, 256} <= set(sizes) and all(size >= 64 for size in sizes), sizes
    found = kernels.share_of_copy(kernels.Softmax(32768, 1024), 0.05, 3000.0)
    assert abs(found["gb_s"] - 2684.35) < 0.01 and found["share_of_copy"] == found["gb_s"] / 3000


def test_hone_reads_every_case_as_what_it_is():
    pool, path = kernels.Pool(1), os.path.join(FOLDER, "case.onnx")
    for family, first in (("gemm", "matmul a="), ("attention", "attention q="), ("memory", ("layernorm x=", "softmax x=", "mul a="))):
        for precision in ("fp16", "bf16"):
            cases = kernels.FAMILIES[family]
            kernels.write_model(cases, precision, pool, path, bare=True)
            told = [line for line in hone.call([HONE, "problems", path, "--device", "h200", "--precision", precision]).splitlines() if line.startswith(first)]
            assert len([line for line in told if line.startswith(first)]) >= len(cases), (family, told)
    assert any(line.count(" | ") == 3 for line in told), told


def test_copies_have_operands_of_their_own():
    path, case = os.path.join(FOLDER, "copies.onnx"), kernels.Gemm(4, 8, 16)
    constants = kernels.write_model([case] * 3, "bf16", kernels.Pool(1), path)
    assert len(constants) == 3 and (constants[0]["w"] != constants[1]["w"]).any() and constants[0]["w"].shape == (8, 16)
    program = hone.Program(HONE, os.path.join(FOLDER, "copies.db"), "cpu", "bf16")
    with open(os.path.join(FOLDER, "copies.db.list"), "w") as file:
        file.write("".join(line + "\n" for line in program.problems(path)))
    assert program.tune(os.path.join(FOLDER, "copies.db.list"), "quick", None)["wall_s"] > 0
    program.build(path, path + ".plan", "--lanes", "1")
    network = hone.Network(hone.load_library(LIBRARY), path + ".plan", "cpu")
    inputs = {port.name: kernels.Pool(2 + k).take(port.dims) for k, port in enumerate(network.inputs)}
    side = hone.HoneSide(network, [inputs])
    rounded = lambda values: hone.from_bf16(hone.to_bf16(values))
    want = [rounded(inputs[f"x{k}"]) @ rounded(constants[k]["w"]).T for k in range(3)]
    assert side_by_side.distance(side.outputs(), want) < side_by_side.TOLERANCES["bf16"]
    assert kernels.tactics_of(HONE, path + ".plan")
    side.close()
    network.close()


def test_layers_are_read_from_their_problems():
    layer = kernels.Layer("conv x=f16:2x56x28x64:nhwc w=f16:128x3x5x64:nhwc b=f16:128 stride=2 pad=1,2,1,2 | add a=$0 b=f16:2x28x14x128:nhwc | relu x=$1")
    assert layer.x == (2, 64, 56, 28) and layer.w == (128, 64, 3, 5) and layer.stride == (2, 2) and layer.pad == (1, 2) and layer.tail == ["add", "relu"]
    first = kernels.Layer("conv x=f16:1x3x224x224 w=f16:64x3x7x7 b=f16:64 stride=2 pad=3")
    assert first.x == (1, 3, 224, 224) and first.w == (64, 3, 7, 7) and first.tail == [] and first.group == 1
    for odd in ("matmul a=f16:2x2 b=f16:2x2", "conv x=f16:1x3x8x8 w=f16:4x3x3x3 | sigmoid x=$0", "conv x=f16:1x3x8x8 w=f16:4x3x3x3 pad=0,0,1,1"):
        assert raises(ValueError, lambda: kernels.Layer(odd)), odd


# ---- the commands

def run(*words):
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=os.path.dirname(HERE))


def test_a_network_from_an_empty_database_to_the_table():
    out, readme = os.path.join(FOLDER, "results", "tiny.json"), os.path.join(FOLDER, "README.md")
    done = run("bench/networks.py", "--network", "tiny:1", "--model", "tiny=" + os.path.join(FOLDER, "tiny.onnx"), "--peers", "self,ort", "--device", "cpu",
               "--precision", "fp32", "--quads", "2", "--warm-up", "0.01", "--retime", "20", "--out", out)
    assert done.returncode == 0 and "tiny: retimed in" in done.stderr, done.stderr
    with open(out) as file:
        rows = json.load(file)
    assert [one["peer_kind"] for one in rows] == ["self", "ort"] and [one["best"] for one in rows] == [False, True]
    needed = ("network", "batch", "precision", "hone_ms", "peer", "peer_ms", "ratio", "ratio_low", "ratio_high", "build_s", "tuning_s", "device", "driver",
              "versions", "date", "command")
    for one in rows:
        assert not [key for key in needed if key not in one] and one["hone_error"] < 1e-4 and one["tuning_s"] > 0 and one["retime_s"] > 0 and one["build_s"] > 0
        assert one["ratio_low"] <= one["ratio"] <= one["ratio_high"] and FOLDER not in json.dumps(one)
    with open(readme, "w") as file:
        file.write(f"{table.BEGIN}\n{table.END}\n")
    assert run("bench/table.py", "--check", readme, os.path.dirname(out)).returncode == 1
    assert run("bench/table.py", "--write", readme, os.path.dirname(out)).returncode == 0
    assert run("bench/table.py", "--check", readme, os.path.dirname(out)).returncode == 0
    with open(readme) as file:
        assert "| tiny | FP32, 1 |" in file.read()


def test_what_is_off_or_broken_leaves_the_rest_standing():
    out, model = os.path.join(FOLDER, "off.json"), os.path.join(FOLDER, "tiny.onnx")
    common = ["--peers", "ort", "--device", "cpu", "--precision", "fp32", "--quads", "1", "--warm-up", "0", "--effort", "lookup", "--out", out]
    done = run("bench/networks.py", "--network", "gone", "--model", "gone=" + os.path.join(FOLDER, "gone.onnx"), "--network", "tiny", "--model", "tiny=" + model, *common)
    with open(out) as file:
        assert done.returncode == 1 and [one["network"] for one in json.load(file)] == ["tiny"], done.stderr
    done = run("bench/networks.py", "--network", "tiny", "--model", "tiny=" + model, "--gate", "0", *common)
    with open(out) as file:
        assert done.returncode == 4 and json.load(file) == [] and "hone is off" in done.stderr, done.stderr


def main():
    passed = failed = 0
    for name, test in sorted(globals().items()):
        if not name.startswith("test_"):
            continue
        try:
            test()
            passed += 1
        except Exception:
            failed += 1
            print(f"{name}: {traceback.format_exc().strip()}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    FOLDER, ROOT = os.path.abspath(sys.argv[1]), os.path.dirname(HERE)
    HONE, LIBRARY = (os.path.join(ROOT, os.environ.get("B", "build"), name) for name in ("hone", "libhone.so"))
    sys.exit(main())
