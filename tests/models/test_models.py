# SPDX-License-Identifier: Apache-2.0
"""Tests of the test networks: test_models.py [MODELS] [NAME...]

The generator against its published vectors, stripping and filling on a small
graph, and for each MODELS/NAME.onnx (default: all that are there) that the signal
at every convolution and matrix product keeps a deviation in [0.01, 100] and that
the output depends on the input.
"""
import os
import sys

import numpy as np
import onnx
from onnx import helper, numpy_helper

import make_inputs
import philox
import weightless
import weights

# Random123's kat_vectors: counter, key, output
VECTORS = [
    ((0, 0, 0, 0), 0, (0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8)),
    ((0xffffffff,) * 4, 0xffffffffffffffff, (0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd)),
    ((0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344), 0x299f31d0a4093822,
     (0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1)),
]
FEW = 5e-2  # least relative change of an output between two inputs


def expect(condition, text):
    if not condition:
        raise AssertionError(text)


def test_philox():
    for counter, key, want in VECTORS:
        got = philox.rounds(tuple(np.array([c], np.uint64) for c in counter), key)
        expect(tuple(int(g[0]) for g in got) == want, f"philox of {counter}")
    long = philox.words(7, 5 * philox.BLOCK + 3)
    expect((long[:1000] == philox.words(7, 1000)).all(), "a stream's start depends on its length")


def random_tensor(rng, name, *dims):
    return numpy_helper.from_array(rng.standard_normal(dims).astype(np.float32), name)


def small_model():
    """Conv with batch norm and a residual sum, a mask and indices, and a transposed product."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1], doc_string="File /secret/path.py"),
        helper.make_node("BatchNormalization", ["c", "g", "h", "m", "v"], ["n"]),
        helper.make_node("Add", ["n", "x"], ["s"]),
        helper.make_node("Add", ["s", "mask"], ["a"]),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Constant", [], ["k"], value=random_tensor(rng, "", 24, 16)),
        helper.make_node("Transpose", ["k"], ["kt"], perm=[1, 0]),
        helper.make_node("MatMul", ["r", "kt"], ["y"]),
    ]
    weights_ = [random_tensor(rng, "w", 8, 8, 3, 3)] + [random_tensor(rng, n, 8) for n in "bghmv"]
    weights_.append(numpy_helper.from_array(np.repeat(rng.standard_normal((1, 1, 24), np.float32), 5, 0), "rows"))
    kept = [numpy_helper.from_array(np.zeros((1, 8, 4, 16), np.float32), "mask"),
            numpy_helper.from_array(np.arange(99), "ids")]
    graph = helper.make_graph(nodes, "small", [helper.make_tensor_value_info("x", 1, [1, 8, 4, 16])],
                              [helper.make_tensor_value_info("y", 1, [1, 8, 4, 24])], weights_ + kept)
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


def test_small():
    model = small_model()
    count, elems, kept = weightless.strip(model)
    expect((count, elems) == (8, 8 * 8 * 9 + 5 * 8 + 24 * 16 + 5 * 24), f"stripped {count} tensors of {elems} elements")
    expect([k[0] for k in kept] == ["mask", "ids"], f"kept {kept}")
    data = weightless.pack(model)
    expect(b"secret" not in model.SerializeToString(), "a note was left")
    expect(len(data) < 1024, "stripped graph is large")
    first, second = weightless.unpack(data), weightless.unpack(data)
    weights.fill(first, "small")
    weights.fill(second, "small")
    expect(first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True), "two fills differ")
    onnx.checker.check_model(first)
    got = {n: numpy_helper.to_array(t) for n, t in weightless.parameters_of(first.graph)}
    expect((got["rows"] == got["rows"][0]).all() and len(np.unique(got["rows"])) > 20, "equal rows")
    expect((got["v"] > 0.5).all(), "variance")
    expect(abs(got["g"].mean() - weights.BRANCH_GAIN) < 0.1, "the gain of a residual branch")
    expect(abs(got["w"].sum(axis=(1, 2, 3))).max() < 1e-5, "a filter is not centred")
    expect(abs(got["k"].sum(axis=1)).max() < 1e-5, "a transposed product is not centred over its inputs")
    expect(abs(got["k"].std() * 16 ** 0.5 / weights.RECTIFIED_GAIN - 1) < 0.1, "the gain after a rectifier")


def with_probes(model):
    """Adds the outputs of weighted ops to the graph outputs; returns their names."""
    names = [n.output[0] for n in model.graph.node if n.op_type in weights.WEIGHTED]
    have = {o.name for o in model.graph.output}
    for name in names:
        if name not in have:
            model.graph.output.add().name = name
    return names


def relative(a, b):
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-30))


def measure(path):
    """([(value, deviation)] of the weighted ops, {output: relative change between two inputs})."""
    model = onnx.load(path)
    outputs = [o.name for o in model.graph.output]
    names = with_probes(model)
    run = make_inputs.session(model.SerializeToString())
    all_names = [o.name for o in run.get_outputs()]
    one, two = (dict(zip(all_names, run.run(None, make_inputs.inputs_of(path, seed)))) for seed in (0, 1))
    return [(n, float(one[n].std())) for n in names], {o: relative(one[o], two[o]) for o in outputs}


def test_network(path):
    name = os.path.basename(path)[:-len(".onnx")]
    deviations, changes = measure(path)
    values = [d for _, d in deviations]
    print(f"{name}: {len(values)} weighted ops, deviation {min(values):.3g} to {max(values):.3g}, "
          f"outputs change by {', '.join(f'{c:.3g}' for c in changes.values())}", flush=True)
    bad = [(n, d) for n, d in deviations if not 1e-2 <= d <= 1e2]
    expect(not bad, f"{name}: the signal fades or explodes at {bad[:5]}")
    still = [o for o, c in changes.items() if not c >= FEW]
    expect(make_inputs.network_of(name) in make_inputs.IMAGES or not still, f"{name}: {still} hardly depend on the input")


def main():
    models = sys.argv[1] if len(sys.argv) > 1 else os.path.join(make_inputs.ROOT, "build", "models")
    names = sys.argv[2:] or sorted(
        f[:-len(".onnx")] for f in os.listdir(models)
        if f.endswith(".onnx") and not f.endswith("-dynamic.onnx") and not f.startswith("ppocr"))
    test_philox()
    test_small()
    for name in names:
        test_network(os.path.join(models, name + ".onnx"))
    print(f"{2 + len(names)} passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
