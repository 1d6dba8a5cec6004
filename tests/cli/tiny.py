# SPDX-License-Identifier: Apache-2.0
"""Writes small networks for the tests of the verbs: tiny.py FOLDER

tiny.onnx: convolution, relu, two branches, concatenation, pool, product, softmax; input x 1x3x8x8, outputs y and branch.
open.onnx: the same with an open batch dim.  bad.onnx: with an operator nobody knows.
"""
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(1)


def weight(name, *dims):
    return numpy_helper.from_array((rng.standard_normal(dims) * 0.3).astype(np.float32), name)


def network(batch=1, odd=False):
    weights = [weight("w0", 8, 3, 3, 3), weight("b0", 8), weight("w1", 8, 8, 1, 1), weight("w2", 8, 1, 3, 3), weight("w3", 16, 4)]
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w0", "b0"], ["c0"], name="stem", pads=[1, 1, 1, 1]), node("Relu", ["c0"], ["r0"], name="stem_relu"),
        node("Conv", ["r0", "w1"], ["branch"], name="left"), node("Conv", ["r0", "w2"], ["c2"], name="right", group=8, pads=[1, 1, 1, 1]),
        node("Sigmoid", ["c2"], ["s2"], name="right_sigmoid"), node("Concat", ["branch", "s2"], ["joined"], name="join", axis=1),
        node("GlobalAveragePool", ["joined"], ["pooled"], name="pool"), node("Flatten", ["pooled"], ["flat"], name="flatten"),
        node("MatMul", ["flat", "w3"], ["scores"], name="head"), node("Softmax", ["scores"], ["y"], name="softmax", axis=1),
    ]
    if odd:
        nodes[4] = node("Frobnicate", ["c2"], ["s2"], name="odd")
    graph = helper.make_graph(nodes, "tiny", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, 8, 8])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 4]),
                               helper.make_tensor_value_info("branch", TensorProto.FLOAT, [batch, 8, 8, 8])], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    global rng
    for name, model in (("tiny", lambda: network()), ("open", lambda: network("batch")), ("bad", lambda: network(odd=True))):
        rng = np.random.default_rng(1)
        onnx.save(model(), os.path.join(folder, name + ".onnx"))
    np.save(os.path.join(folder, "x.npy"), np.random.default_rng(2).standard_normal((1, 3, 8, 8)).astype(np.float32))
    np.save(os.path.join(folder, "wrong.npy"), np.zeros((1, 3, 4, 4), np.float32))


main()
