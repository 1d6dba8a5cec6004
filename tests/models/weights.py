# SPDX-License-Identifier: Apache-2.0
"""Fills a weightless graph with seeded weights that keep the signal at its size.

What a stripped tensor is, is read from its consumer; its scale from fan-in, from
the activation before and from the residual sum behind.  Every filter is centred
(its weights sum to zero, in exact integers): the positive mean that activations
leave would otherwise grow with depth until the output no longer depends on the
input (He et al., "Delving deep into rectifiers", gives the gain without it).

A centred filter behind a rectifier at zero makes rounding errors grow against the
signal, in variance by P(z > 0) / Var(relu(z)) = 1.47 a layer (the gradient
explosion of Yang et al., "A mean field theory of batch normalization"), which no
trained network does.  Biases before an activation are therefore 1 on average: the
factor is 1.12, and a sixth of the values is still cut off.
"""
import math
import re

import numpy as np
import onnx

import philox
import weightless

MOVES = {"Transpose", "Reshape", "Unsqueeze", "Squeeze", "Identity", "Cast", "Expand", "Flatten",
         "Slice", "Split", "Dropout"}
WEIGHTED = {"Conv": 1, "ConvTranspose": 1, "Gemm": 1, "MatMul": 1}
NORM_SLOTS = {("BatchNormalization", 1): "gamma", ("BatchNormalization", 2): "channel",
              ("BatchNormalization", 3): "mean", ("BatchNormalization", 4): "variance",
              ("LayerNormalization", 1): "gamma", ("LayerNormalization", 2): "beta",
              ("InstanceNormalization", 1): "gamma", ("InstanceNormalization", 2): "beta",
              ("GroupNormalization", 1): "gamma", ("GroupNormalization", 2): "beta"}
# kind -> (low, high) of a uniform distribution. The biases of channels differ as much as trained ones do: averaging over positions
# keeps what they add, as it keeps the error of a rounded weight.
RANGES = {"gamma": (0.8, 1.2), "beta": (-0.1, 0.1), "bias": (-0.1, 0.1), "channel": (-0.7, 0.7), "mean": (-0.1, 0.1),
          "variance": (0.7, 1.3), "embedding": (-1.0, 1.0)}
# Before an activation: the mean. What that leaves of a unit normal has this much less of standard deviation
# round its own mean, after GELU (no shift) 1 / sqrt(3); a gate that stands in the middle halves what passes.
SHIFT = 1.0
RECTIFIED_GAIN, SWISH_GAIN, GELU_GAIN, GATE_GAIN = 1.15, 1.18, math.sqrt(3.0), 2.0
ACTIVATION_GAINS = {"Relu": RECTIFIED_GAIN, "LeakyRelu": RECTIFIED_GAIN, "Clip": RECTIFIED_GAIN,
                    "Gelu": GELU_GAIN, "HardSwish": SWISH_GAIN}
SHIFTED = {"Relu", "LeakyRelu", "Clip", "HardSwish"}
GATES = {"HardSigmoid", "Sigmoid"}
# Averaging over positions leaves this much less of what differs between inputs.
POOLED_GAIN = 2.0
# Branch of a residual sum: small, so that the sum grows slowly; a sum of two new branches keeps its size.
BRANCH_GAIN, JOINT_GAIN = 0.4, 0.7


def family_of(name):
    """The networks that share their weights: other batch sizes of the same export."""
    return re.sub(r"-b\d+$", "", name)


def attribute(node, name, default):
    for attr in node.attribute:
        if attr.name == name:
            return onnx.helper.get_attribute_value(attr)
    return default


class Walk:
    """Who makes and who reads each value of a graph."""

    def __init__(self, graph):
        self.graph = graph
        self.parameters = dict(weightless.parameters_of(graph))
        self.maker = {o: n for n in graph.node if n.op_type != "Constant" for o in n.output}
        self.readers = {}
        for node in graph.node:
            for slot, name in enumerate(node.input):
                self.readers.setdefault(name, []).append((node, slot))
        self.outputs = {o.name for o in graph.output}

    def is_constant(self, name):
        """Computed from parameters alone, by moves."""
        while name not in self.parameters:
            node = self.maker.get(name)
            if node is None or node.op_type not in MOVES:
                return False
            name = node.input[0]
        return True

    def use(self, name):
        """First reader that is no move: (node, slot, whether the last two axes are swapped)."""
        swapped = False
        while True:
            readers = self.readers.get(name)
            if not readers:
                return None, 0, swapped
            node, slot = readers[0]
            if node.op_type not in MOVES or slot != 0:
                return node, slot, swapped
            perm = list(attribute(node, "perm", []))
            if node.op_type == "Transpose" and (not perm or perm[-1] != len(perm) - 1):
                swapped = not swapped
            name = node.output[0]

    def source(self, name):
        """(op that made the value, looking through moves and pools; whether a pool over positions was passed)."""
        pooled = False
        while True:
            node = self.maker.get(name)
            if node is None:
                return None, pooled
            if node.op_type in ("GlobalAveragePool", "ReduceMean"):
                pooled = True
            elif node.op_type not in MOVES and node.op_type not in ("MaxPool", "AveragePool"):
                return node, pooled
            name = node.input[0]

    def has_norm(self, node):
        """Whether a batch normalization directly follows."""
        return any(r.op_type == "BatchNormalization" for r, _ in self.readers.get(node.output[0], []))

    def weighted_source(self, name):
        """The weighted op or norm that the value comes straight from, its bias and moves aside, or None."""
        while True:
            node = self.maker.get(name)
            if node is None:
                return None
            if node.op_type in WEIGHTED or node.op_type == "BatchNormalization":
                return node
            if node.op_type == "Add" and self.is_constant(node.input[0]):
                name = node.input[1]
            elif node.op_type in MOVES or (node.op_type == "Add" and self.is_constant(node.input[1])):
                name = node.input[0]
            else:
                return None

    def branch_gain(self, node):
        """Gain of the last weighted op or norm of a branch that ends in a residual sum; 1 elsewhere."""
        name = node.output[0]
        while True:
            readers = self.readers.get(name, [])
            if len(readers) != 1:
                return 1.0
            reader, slot = readers[0]
            if reader.op_type == "Add" and not any(self.is_constant(i) for i in reader.input):
                other = self.weighted_source(reader.input[1 - slot])
                return JOINT_GAIN if other is not None else BRANCH_GAIN
            if reader.op_type not in MOVES and reader.op_type != "Add":
                return 1.0
            name = reader.output[0]


    def is_activated(self, node):
        """Whether the node's result, its norm or bias added, goes straight into one of the activations in SHIFTED."""
        readers = self.readers.get(node.output[0], [])
        ops = {r.op_type for r, _ in readers}
        if len(readers) == 1 and (ops == {"BatchNormalization"} or ops == {"Add"} and any(map(self.is_constant, readers[0][0].input))):
            return self.is_activated(readers[0][0])
        return bool(ops & SHIFTED) or ops == {"HardSigmoid", "Mul"}


def kind_of(walk, name, tensor):
    """(kind, node, whether its last two axes are swapped before use)."""
    node, slot, swapped = walk.use(name)
    if node is None:
        return "bias", None, False
    op = node.op_type
    if op in WEIGHTED and slot == WEIGHTED[op]:
        return "weight", node, swapped
    if op == "MatMul":
        return "weight", node, not swapped
    if (op, slot) in NORM_SLOTS:
        return NORM_SLOTS[op, slot], node, False
    if op in ("Conv", "ConvTranspose"):
        return "channel", node, False
    if op in ("Gather", "Concat"):
        return "embedding", node, False
    wide = [d for d in tensor.dims if d > 1]
    if op in ("Add", "Sub"):
        return ("bias" if len(wide) == 1 else "embedding"), node, False
    return ("gamma" if op in ("Mul", "Div") else "bias"), node, False


def fan_axes(node, rank, swapped):
    """The axes of a weight that one output sums over."""
    if node.op_type == "Conv":
        return tuple(range(1, rank))
    if node.op_type == "ConvTranspose":
        return (0, *range(2, rank))
    across = bool(attribute(node, "transB", 0)) != swapped if node.op_type == "Gemm" else swapped
    return (rank - 1,) if across else (rank - 2,)


def product_gain(walk, node):
    """Gain after a Mul or Div: a gate, a hard-swish or GELU written out, or a scale."""
    makers = [walk.maker.get(name) for name in node.input]
    for maker, other in zip(makers, reversed(node.input)):
        if maker is not None and maker.op_type in GATES:
            return SWISH_GAIN if maker.input[0] == other else GATE_GAIN * value_gain(walk, other)
    return GELU_GAIN


def value_gain(walk, name):
    """What brings a value back to unit variance."""
    maker, pooled = walk.source(name)
    gain = POOLED_GAIN if pooled else 1.0
    if maker is None:
        return gain
    if maker.op_type in ("Mul", "Div"):
        return gain * product_gain(walk, maker)
    return gain * ACTIVATION_GAINS.get(maker.op_type, 1.0)


def weight_values(walk, node, swapped, dims, key):
    """Centred uniform weights of variance gain^2 / fan-in."""
    axes = fan_axes(node, len(dims), swapped)
    drawn = philox.integers(key, int(np.prod(dims))).reshape(dims).astype(np.int64)
    fan = int(np.prod([dims[a] for a in axes]))
    gain = value_gain(walk, node.input[0])
    if not walk.has_norm(node):
        gain *= walk.branch_gain(node)
    scale = gain * math.sqrt(3.0 / fan) * 2.0 ** -23
    if fan <= 1:
        return (drawn * scale).astype(np.float32)
    total = drawn.sum(axis=axes, keepdims=True)
    return ((drawn - total / fan) * scale).astype(np.float32)


def values(walk, name, tensor, key):
    """The tensor's values, from the stream of key."""
    kind, node, swapped = kind_of(walk, name, tensor)
    rows = tensor.doc_string == weightless.MARK_ROWS
    dims = (1, *tensor.dims[1:]) if rows else tuple(tensor.dims)
    if kind == "weight":
        return weight_values(walk, node, swapped, dims, key)
    low, high = RANGES[kind]
    if kind == "gamma" and node.op_type == "BatchNormalization":
        gain = walk.branch_gain(node)
        low, high = low * gain, high * gain
    if kind in ("bias", "channel") and node is not None and walk.is_activated(node):
        low, high = low + SHIFT, high + SHIFT
    return np.broadcast_to(philox.uniform(key, int(np.prod(dims)), low, high).reshape(dims), tuple(tensor.dims))


def fill_tensor(tensor, data):
    if tensor.data_type != onnx.TensorProto.FLOAT:
        raise RuntimeError(f"{tensor.name}: only float32 weights can be filled")
    tensor.raw_data = data.astype("<f4").tobytes()
    tensor.ClearField("doc_string")


def in_order_of_use(walk, stripped):
    """Names of the stripped tensors by the node and slot that first reads them."""
    order = {}
    for node in walk.graph.node:
        for name in node.input:
            if name in stripped and name not in order:
                order[name] = len(order)
    for name in stripped:
        order.setdefault(name, len(order))
    return order


def fill(model, family):
    """Fills every stripped tensor of model, in place."""
    for depth, graph in enumerate(weightless.graphs_of(model.graph)):
        walk = Walk(graph)
        stripped = {n: t for n, t in walk.parameters.items() if weightless.is_stripped(t)}
        for name, at in in_order_of_use(walk, stripped).items():
            fill_tensor(stripped[name], values(walk, name, stripped[name], philox.key_of(f"{family}/{depth}/{at}")))
