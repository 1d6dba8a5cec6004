# SPDX-License-Identifier: Apache-2.0
"""Makes hostile ONNX files: make.py FOLDER. Needs nothing but Python: protobuf is written by hand, so that any broken form can be.

FOLDER/manifest.txt says of each file: name, exit code of `hone inspect`, words that its output must hold.
"""
import os
import struct
import sys

FLOAT, INT64, STRING, BOOL, FLOAT16 = 1, 7, 8, 9, 10


# ---- protobuf

def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def number(field, n):
    return varint(field << 3) + varint(n)


def raw(field, data):
    if isinstance(data, str):
        data = data.encode()
    return varint(field << 3 | 2) + varint(len(data)) + data


def real(field, x):
    return varint(field << 3 | 5) + struct.pack("<f", x)


# ---- ONNX

def tensor(name, dims, data=b"", kind=FLOAT, extra=b""):
    body = b"".join(number(1, d) for d in dims) + number(2, kind) + raw(8, name)
    return body + (raw(9, data) if data is not None else b"") + extra


def floats(name, dims, value=1.0):
    count = 1
    for d in dims:
        count *= d
    return tensor(name, dims, struct.pack("<f", value) * count)


def longs(name, values, dims=None):
    return tensor(name, [len(values)] if dims is None else dims, struct.pack("<%dq" % len(values), *values), INT64)


def external(name, dims, pairs, kind=FLOAT):
    entries = b"".join(raw(13, raw(1, k) + raw(2, v)) for k, v in pairs)
    return tensor(name, dims, None, kind, entries + number(14, 1))


def attr_int(name, n):
    return raw(1, name) + number(3, n) + number(20, 2)


def attr_ints(name, values):
    return raw(1, name) + b"".join(number(8, n) for n in values) + number(20, 7)


def attr_text(name, text):
    return raw(1, name) + raw(4, text) + number(20, 3)


def attr_float(name, x):
    return raw(1, name) + real(2, x) + number(20, 1)


def attr_tensor(name, t):
    return raw(1, name) + raw(5, t) + number(20, 4)


def attr_graph(name, g):
    return raw(1, name) + raw(6, g) + number(20, 5)


def node(op, inputs, outputs, attrs=(), name="", domain="", extra=b""):
    body = b"".join(raw(1, i) for i in inputs) + b"".join(raw(2, o) for o in outputs)
    body += raw(3, name) if name else b""
    body += raw(4, op) + (raw(7, domain) if domain else b"")
    return body + b"".join(raw(5, a) for a in attrs) + extra


def value(name, dims, kind=FLOAT):
    shape = b"".join(raw(1, raw(2, d) if isinstance(d, str) else number(1, d)) for d in dims)
    return raw(1, name) + raw(2, raw(1, number(1, kind) + raw(2, shape)))


def graph(nodes, inputs=(), outputs=(), tensors=(), extra=b""):
    body = b"".join(raw(1, n) for n in nodes) + raw(2, "g") + b"".join(raw(5, t) for t in tensors)
    return body + b"".join(raw(11, i) for i in inputs) + b"".join(raw(12, o) for o in outputs) + extra


def model(g, opset=13, ir=8, functions=(), extra=b"", domains=()):
    body = (number(1, ir) if ir is not None else b"") + (raw(7, g) if g is not None else b"")
    body += raw(8, raw(1, "") + number(2, opset)) if opset is not None else b""
    body += b"".join(raw(8, raw(1, d) + number(2, 1)) for d in domains)
    return body + b"".join(raw(25, f) for f in functions) + extra


X = value("x", [1, 3, 8, 8])
Y = value("y", [1])


def simple(nodes, tensors=(), ports=(X,), **more):
    return model(graph(nodes, ports, [Y], tensors), **more)


def one(op, inputs=("x",), attrs=(), tensors=(), **more):
    return simple([node(op, inputs, ["y"], attrs, name="bad")], tensors, **more)


def conv(w_dims, attrs=(), x_dims=(1, 3, 8, 8)):
    return one("Conv", ["x", "w"], attrs, [floats("w", w_dims)], ports=[value("x", x_dims)])


def function(name, nodes, inputs=("a",), outputs=("b",), extra=b""):
    body = raw(1, name) + b"".join(raw(4, i) for i in inputs) + b"".join(raw(5, o) for o in outputs)
    return body + b"".join(raw(7, n) for n in nodes) + raw(9, raw(1, "") + number(2, 13)) + raw(10, "f") + extra


def nest_graphs(depth):
    """Graph in attribute in node in graph..., built from the inside in linear time."""
    parts, size = [], 0
    for _ in range(depth):
        for field in (6, 5, 1):
            head = varint(field << 3 | 2) + varint(size)
            parts.append(head)
            size += len(head)
    return b"".join(reversed(parts))


def nest_types(depth):
    parts, size = [], 0
    for _ in range(depth):
        for field in (1, 4):
            head = varint(field << 3 | 2) + varint(size)
            parts.append(head)
            size += len(head)
    return b"".join(reversed(parts))


def nested_ifs(depth):
    inner = graph([node("Relu", ["x"], ["o0"])], (), [value("o0", [1])])
    for k in range(1, depth):
        inner = graph([node("If", ["c"], ["o%d" % k], [attr_graph("then_branch", inner), attr_graph("else_branch", b"")])], (),
                      [value("o%d" % k, [1])])
    flag = tensor("c", [], b"\1", BOOL)
    return simple([node("If", ["c"], ["y"], [attr_graph("then_branch", inner), attr_graph("else_branch", b"")])], [flag])


def with_external(pairs, dims=(4,)):
    return one("Add", ["x", "w"], tensors=[external("w", dims, pairs)], ports=[value("x", [4])])


GOOD = simple([node("Relu", ["x"], ["y"], name="r")])


def structural():
    yield "empty", b"", "empty"
    yield "word-dummy", b"dummy", "not a sound ONNX file"
    yield "text", b"Dear parser, this is a letter.\n" * 20, "not a sound ONNX file"
    yield "zeros", bytes(4096), "not a sound ONNX file"
    yield "ones", b"\xff" * 4096, "not a sound ONNX file"
    yield "cut-half", GOOD[:len(GOOD) // 2], "longer than what holds it"
    yield "cut-last", GOOD[:-1], "longer than what holds it"
    yield "length-past-end", number(1, 8) + varint(7 << 3 | 2) + varint(1 << 20) + b"\0" * 10, "longer than what holds it"
    yield "length-2-63", number(1, 8) + varint(7 << 3 | 2) + varint(1 << 63) + b"\0" * 10, "is broken"
    yield "varint-endless", number(1, 8) + varint(7 << 3 | 2) + b"\x80" * 40, "is broken"
    yield "wire-type-of-graph", number(1, 8) + number(7, 5), "another wire type"
    yield "group", number(1, 8) + varint(7 << 3 | 3), "wire type is unknown"
    yield "field-zero", number(1, 8) + b"\x02\x00", "tag is broken"
    yield "two-graphs", GOOD + raw(7, b""), "stands twice"
    yield "many-graphs", GOOD + raw(7, b"") * 20000, "stands twice"
    for depth in (5000, 20000, 40000):
        yield "nest-%d" % depth, number(1, 8) + raw(7, nest_graphs(depth // 3)), "nested deeper than 64"
    yield "nest-types", number(1, 8) + raw(7, raw(11, raw(2, nest_types(5000)))), "nested deeper than 64"
    yield "nest-in-function", number(1, 8) + raw(25, raw(7, raw(5, raw(6, nest_graphs(4000))))), "nested deeper than 64"
    yield "nest-in-training", GOOD + raw(20, raw(1, nest_graphs(4000))), "nested deeper than 64"
    yield "utf8-name", simple([node("Relu", ["x"], [b"\xff\xfe"])]), "not UTF-8"
    yield "utf8-overlong", simple([node("Relu", ["x"], [b"\xc0\x80"])]), "not UTF-8"
    yield "utf8-surrogate", simple([node("Relu", ["x"], [b"\xed\xa0\x80"])]), "not UTF-8"
    yield "nul-in-name", simple([node("Relu", ["x"], [b"y\0z"])]), "not UTF-8"
    yield "operator-not-utf8", simple([node(b"Re\xfflu", ["x"], ["y"])]), "not UTF-8"
    yield "million-nodes", number(1, 8) + raw(7, raw(1, node("Relu", ["x"], ["y"])) * 1000000), "more than 200,000 nodes"
    yield "million-tensors", number(1, 8) + raw(7, raw(5, b"") * 1000000), "more than 200,000 tensors"
    yield "million-attributes", simple([node("Relu", ["x"], ["y"], [b""] * 1100000)]), "more than 1,000,000 messages"
    yield "segments", one("Add", ["x", "w"], tensors=[floats("w", [1]) + raw(3, number(1, 0) + number(2, 4))]), "segments"
    yield "packed-cut", one("Add", ["x", "w"], tensors=[tensor("w", [1], None) + raw(4, b"\0\0\0")]), "is cut"
    yield "only-tensor", floats("w", [64]), "ONNX"


def versions():
    good = graph([node("Relu", ["x"], ["y"])], [X], [Y])
    yield "no-graph", model(None), "no graph"
    yield "no-ir", model(good, ir=None), "no IR version"
    yield "ir-2", model(good, ir=2), "IR version 2 is older"
    yield "ir-negative", model(good, ir=-5), "IR version -5"
    yield "ir-huge", model(good, ir=1 << 62), "no version of ONNX"
    yield "no-opset", model(good, opset=None), "names no opset"
    yield "opset-6", model(good, opset=6), "opset 6 is older"
    yield "opset-1000", model(good, opset=1000), "newest supported"
    yield "opset-negative", model(good, opset=-1), "opset"
    yield "no-outputs", model(graph([node("Relu", ["x"], ["y"])], [X], [])), "no outputs"
    yield "output-unknown", model(graph([node("Relu", ["x"], ["z"])], [X], [Y])), "output y is made by no node"
    yield "overload", simple([node("Relu", ["x"], ["y"], extra=raw(8, "other"))]), "overload"
    yield "open-dims", simple([node("Relu", ["x"], ["y"])], ports=[value("x", ["n", 3, -1])]), "--shapes x:nx3x?"
    yield "rank-100", simple([node("Relu", ["x"], ["y"])], ports=[value("x", [1] * 100)]), "100 dims"
    yield "input-product", simple([node("Relu", ["x"], ["y"])], ports=[value("x", [1 << 31] * 3)]), "more than"
    yield "input-2-63", simple([node("Relu", ["x"], ["y"])], ports=[value("x", [(1 << 63) - 1])]), "more than"


def graphs():
    yield "cycle", simple([node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Relu", ["b"], ["y"])]), "a cycle"
    yield "self-loop", simple([node("Add", ["x", "y"], ["y"])]), "a cycle"
    yield "double-output", simple([node("Relu", ["x"], ["y"]), node("Abs", ["x"], ["y"])]), "given to two values"
    yield "double-input", simple([node("Relu", ["x"], ["y"])], ports=[X, X]), "given to two values"
    yield "double-tensor", one("Add", ["x", "w"], tensors=[floats("w", [1]), floats("w", [1])]), "given to two values"
    yield "unknown-operand", one("Relu", ["nothing"]), "made by no node"
    yield "no-operands", one("Relu", []), "operand"
    yield "absent-operand", one("Relu", [""]), "operand"
    yield "unknown-operator", one("Explode"), "not supported"
    yield "unknown-domain", simple([node("Relu", ["x"], ["y"], domain="com.example")], domains=["com.example"]), "com.example"
    yield "unknown-attribute", one("Relu", attrs=[attr_int("mode", 3)]), "attribute mode is not known"
    yield "attribute-type", one("Softmax", attrs=[attr_text("axis", "last")]), "attribute axis is"
    yield "loop", one("Loop", ["", "", "x"], [attr_graph("body", graph([]))]), "loops"
    yield "if-unknown", simple([node("If", ["c"], ["y"], [attr_graph("then_branch", graph([])), attr_graph("else_branch", graph([]))])],
                               ports=[value("c", [], BOOL)]), "not known before the network runs"
    yield "if-no-branch", one("If", ["c"], tensors=[tensor("c", [], b"\1", BOOL)]), "a branch is missing"
    yield "if-100", nested_ifs(100), "nested deeper than 64"
    yield "if-deep", nested_ifs(20), ""
    call = node("A", ["x"], ["y"], domain="f")
    yield "function-itself", simple([call], functions=[function("A", [node("A", ["a"], ["b"], domain="f")])], domains=["f"]), "calls itself"
    yield "functions-mutual", simple([call], functions=[function("A", [node("B", ["a"], ["b"], domain="f")]),
                                                        function("B", [node("A", ["a"], ["b"], domain="f")])], domains=["f"]), "calls itself"
    twice = [function("F%d" % k, [node("F%d" % (k + 1), ["a"], ["t"], domain="f"), node("F%d" % (k + 1), ["t"], ["b"], domain="f")])
             for k in range(30)] + [function("F30", [node("Relu", ["a"], ["b"])])]
    yield "function-bomb", simple([node("F0", ["x"], ["y"], domain="f")], functions=twice, domains=["f"]), "expand to more than"
    yield "function-output", simple([call], functions=[function("A", [node("Relu", ["a"], ["c"])])], domains=["f"]), "made by no node"
    yield "function-defaults", simple([call], functions=[function("A", [node("Relu", ["a"], ["b"])], extra=raw(11, attr_int("k", 1)))],
                                      domains=["f"]), "default attributes"
    yield "attribute-of-no-function", one("Softmax", attrs=[raw(1, "axis") + raw(21, "outer") + number(20, 2)]), "outside of any"
    yield "operands-5000", one("Sum", ["x"] * 5000), "5000 operands"
    yield "outputs-5000", simple([node("Split", ["x"], ["y"] + ["o%d" % k for k in range(5000)])]), "outputs"
    yield "sparse", model(graph([node("Relu", ["x"], ["y"])], [X], [Y], extra=raw(15, raw(1, floats("s", [1]))))), "sparse"


def tensors():
    def add(t):
        return one("Add", ["x", "w"], tensors=[t], ports=[value("x", [4])])
    yield "dim-negative", add(tensor("w", [-4], b"\0" * 16)), "cannot be negative"
    yield "dim-2-63", add(tensor("w", [1 << 63], b"\0" * 16)), "negative"
    yield "dim-product", add(tensor("w", [1 << 31, 1 << 31, 1 << 31], b"\0" * 16)), "more than"
    yield "dim-product-wraps", add(tensor("w", [1 << 32, 1 << 32], b"")), "more than"
    yield "ten-gigabytes", add(tensor("w", [10 << 28], b"\0" * 16)), "its dims ask for"
    yield "ten-gigabytes-typed", add(tensor("w", [10 << 28], None)), "its dims ask for"
    yield "raw-short", add(tensor("w", [4], b"\0" * 15)), "its dims ask for"
    yield "raw-long", add(tensor("w", [4], b"\0" * 4000)), "its dims ask for"
    yield "typed-short", add(tensor("w", [4], None, extra=raw(4, b"\0" * 12))), "its dims ask for"
    yield "dims-60000", add(tensor("w", [1] * 30000, b"\0" * 4)), "dims are not supported"
    yield "type-string", add(tensor("w", [1], None, STRING, raw(6, "text"))), "string"
    yield "type-999", add(tensor("w", [1], b"\0" * 4, 999)), "999"
    yield "type-fp8", add(tensor("w", [1], b"\0", 17)), "17"
    yield "type-negative", add(tensor("w", [1], b"\0" * 4, -1)), "-1"


def operators():
    yield "conv-weight-rank-5", conv([4, 3, 3, 3, 3]), "dims"
    yield "conv-weight-rank-2", conv([4, 3]), "dims"
    yield "conv-weight-scalar", conv([]), "dims"
    yield "conv-input-scalar", conv([4, 3, 3, 3], x_dims=()), "dims"
    yield "conv-channels", conv([4, 5, 3, 3]), "bad (Conv)"
    yield "conv-stride-0", conv([4, 3, 3, 3], [attr_ints("strides", [0, 0])]), "0"
    yield "conv-stride-negative", conv([4, 3, 3, 3], [attr_ints("strides", [-1, 1])]), "-1"
    yield "conv-dilation-huge", conv([4, 3, 3, 3], [attr_ints("dilations", [1 << 40, 1])]), "dilations"
    yield "conv-pads-count", conv([4, 3, 3, 3], [attr_ints("pads", [1, 1, 1])]), "pads"
    yield "conv-pads-huge", conv([4, 3, 3, 3], [attr_ints("pads", [1 << 62] * 4)]), "pads"
    yield "conv-kernel-large", conv([4, 3, 99, 99]), "bad (Conv)"
    yield "conv-group-0", conv([4, 3, 3, 3], [attr_int("group", 0)]), "bad (Conv)"
    yield "conv-group-negative", conv([4, 3, 3, 3], [attr_int("group", -3)]), "bad (Conv)"
    yield "conv-empty-kernel", conv([4, 3, 0, 3]), "0"
    yield "convtranspose-group", one("ConvTranspose", ["x", "w"], [attr_int("group", 7)], [floats("w", [3, 4, 3, 3])]), "bad (ConvTranspose)"
    yield "convtranspose-shape", one("ConvTranspose", ["x", "w"], [attr_ints("output_shape", [1 << 50, 1])],
                                     [floats("w", [3, 4, 3, 3])]), "output_shape"
    yield "pool-no-kernel", one("MaxPool"), "kernel_shape"
    yield "pool-kernel-huge", one("MaxPool", attrs=[attr_ints("kernel_shape", [1 << 40, 1])]), "kernel_shape"
    yield "matmul-dims", one("MatMul", ["x", "w"], tensors=[floats("w", [5, 5])]), "bad (MatMul)"
    yield "gemm-rank", one("Gemm", ["x", "w"], tensors=[floats("w", [5, 5])]), "matrices"
    yield "add-dims", one("Add", ["x", "w"], tensors=[floats("w", [7])]), "broadcast"
    yield "reshape-two-open", one("Reshape", ["x", "s"], tensors=[longs("s", [-1, -1])]), "two dims"
    yield "reshape-count", one("Reshape", ["x", "s"], tensors=[longs("s", [7])]), "the operand"
    yield "reshape-zero", one("Reshape", ["x", "s"], tensors=[longs("s", [1, 3, 8, 8, 0])]), "only 4 dims"
    yield "reshape-overflow", one("Reshape", ["x", "s"], tensors=[longs("s", [1 << 40] * 4)]), "too large"
    yield "reshape-rank", one("Reshape", ["x", "s"], tensors=[longs("s", [1] * 12)]), "at most 8"
    yield "reshape-unknown", one("Reshape", ["x", "s"], ports=[X, value("s", [2], INT64)]), "not known before the network runs"
    yield "transpose-perm", one("Transpose", attrs=[attr_ints("perm", [0, 1, 2, 2])]), "no permutation"
    yield "transpose-perm-range", one("Transpose", attrs=[attr_ints("perm", [0, 1, 2, 1 << 40])]), "no permutation"
    yield "squeeze-axis", one("Squeeze", ["x", "s"], tensors=[longs("s", [1])]), "cannot be squeezed"
    yield "unsqueeze-many", one("Unsqueeze", ["x", "s"], tensors=[longs("s", list(range(8)))]), "at most 8"
    yield "concat-axis", one("Concat", ["x", "x"], [attr_int("axis", 9)]), "outside a rank"
    yield "concat-no-axis", one("Concat", ["x", "x"]), "axis is missing"
    yield "split-sizes", one("Split", ["x", "s"], [attr_int("axis", 1)], [longs("s", [-5])]), "do not split"
    yield "slice-step-0", one("Slice", ["x", "s", "s", "a", "z"], tensors=[longs("s", [0]), longs("a", [1]), longs("z", [0])]), "a step is 0"
    yield "slice-axis", one("Slice", ["x", "s", "s", "a"], tensors=[longs("s", [0]), longs("a", [1 << 40])]), "outside a rank"
    yield "softmax-axis", one("Softmax", attrs=[attr_int("axis", -(1 << 63))]), "outside a rank"
    yield "gather-index", one("Gather", ["x", "i"], [attr_int("axis", 1)], [longs("i", [3])]), "outside of 3 entries"
    yield "gather-index-min", one("Gather", ["x", "i"], [attr_int("axis", 1)], [longs("i", [-(1 << 63)])]), "outside of 3 entries"
    yield "gather-axis", one("Gather", ["x", "i"], [attr_int("axis", 99)], [longs("i", [0])]), "outside a rank"
    yield "gather-known", simple([node("Gather", ["w", "i"], ["t"], name="bad"), node("Add", ["x", "t"], ["y"])],
                                 [floats("w", [4]), longs("i", [1 << 40])]), "outside of 4 entries"
    yield "gatherelements-index", simple([node("GatherElements", ["w", "i"], ["t"], name="bad"), node("Add", ["x", "t"], ["y"])],
                                         [floats("w", [4]), longs("i", [-9])]), "outside of 4 entries"
    yield "gathernd-index", simple([node("GatherND", ["w", "i"], ["t"], name="bad"), node("Add", ["x", "t"], ["y"])],
                                   [floats("w", [4]), longs("i", [77])]), "bad (GatherND)"
    yield "scatter-index", simple([node("ScatterElements", ["w", "i", "w"], ["t"], name="bad"), node("Add", ["x", "t"], ["y"])],
                                  [floats("w", [1]), longs("i", [1 << 33])]), "outside of 1 entries"
    yield "scatternd-index", simple([node("ScatterND", ["w", "i", "u"], ["t"], name="bad"), node("Add", ["x", "t"], ["y"])],
                                    [floats("w", [4]), longs("i", [1 << 33], [1, 1]), floats("u", [1])]), "bad (ScatterND)"
    yield "onehot-depth", one("OneHot", ["i", "d", "v"], tensors=[longs("i", [0]), longs("d", [1 << 60]), floats("v", [2])]), "bad (OneHot)"
    yield "topk-k", one("TopK", ["x", "k"], tensors=[longs("k", [99])]), "bad (TopK)"
    yield "pad-huge", one("Pad", ["x", "p"], tensors=[longs("p", [1 << 60] * 8)]), "too large"
    yield "pad-negative", one("Pad", ["x", "p"], tensors=[longs("p", [-5] * 8)]), "cut more than there is"
    yield "expand-known", simple([node("Expand", ["w", "s"], ["t"], name="bad"), node("Add", ["x", "t"], ["y"])],
                                 [floats("w", [1]), longs("s", [1 << 42])]), "more than"
    yield "tile-huge", one("Tile", ["x", "r"], tensors=[longs("r", [1 << 39] * 4)]), "bad (Tile)"
    yield "constantofshape-huge", simple([node("ConstantOfShape", ["s"], ["t"], name="bad"), node("Add", ["x", "t"], ["y"])],
                                         [longs("s", [1 << 33])]), "larger than an import may compute"
    yield "constantofshape-negative", simple([node("ConstantOfShape", ["s"], ["t"], name="bad"), node("Add", ["x", "t"], ["y"])],
                                             [longs("s", [-1])]), "cannot be negative"
    yield "range-endless", simple([node("Range", ["a", "b", "a"], ["t"], name="bad"), node("Add", ["x", "t"], ["y"])],
                                  [longs("a", [0], []), longs("b", [9], [])]), "no end"
    yield "range-huge", simple([node("Range", ["a", "b", "c"], ["t"], name="bad"), node("Add", ["x", "t"], ["y"])],
                               [longs("a", [0], []), longs("b", [1 << 62], []), longs("c", [1], [])]), "too long"
    yield "resize-scale", one("Resize", ["x", "", "s"], tensors=[floats("s", [4], float("nan"))]), "a scale is nan"
    yield "resize-scale-huge", one("Resize", ["x", "", "s"], tensors=[floats("s", [4], 1e30)]), "bad (Resize)"
    yield "resize-size", one("Resize", ["x", "", "", "s"], tensors=[longs("s", [1 << 50] * 4)]), "bad (Resize)"
    yield "resize-size-negative", one("Resize", ["x", "", "", "s"], tensors=[longs("s", [-1] * 4)]), "bad (Resize)"
    yield "einsum-words", one("Einsum", attrs=[attr_text("equation", "i" * 4000 + "->j")]), "bad (Einsum)"
    yield "einsum-terms", one("Einsum", attrs=[attr_text("equation", "abcd,ef,gh->a")]), "bad (Einsum)"
    yield "constant-nothing", simple([node("Constant", [], ["t"], name="bad"), node("Add", ["x", "t"], ["y"])]), "not supported"
    yield "depth-block", one("DepthToSpace", attrs=[attr_int("blocksize", 1 << 40)]), "bad (DepthToSpace)"
    yield "cast-type", one("Cast", attrs=[attr_int("to", 16777216)]), "16777216"
    yield "batchnorm-dims", one("BatchNormalization", ["x", "w", "w", "w", "w"], tensors=[floats("w", [99])]), "bad (BatchNormalization)"
    yield "groupnorm-0", one("GroupNormalization", ["x", "w", "w"], [attr_int("num_groups", 0)], [floats("w", [3])], opset=21), "num_groups"
    yield "lrn-size", one("LRN", attrs=[attr_int("size", -(1 << 62))]), "bad (LRN)"


def external_data(folder):
    """Beside good.bin (16 bytes) lie a link, a linked folder, a hard link, a pipe and a folder, all of which must be refused."""
    def place(name, make):
        path = os.path.join(folder, name)
        if not os.path.lexists(path):
            make(path)
    outside = os.path.join(folder, "outside")
    os.makedirs(outside, exist_ok=True)
    for path in (os.path.join(folder, "good.bin"), os.path.join(outside, "secret.bin")):
        with open(path, "wb") as f:
            f.write(b"\0" * 16)
    models = os.path.join(folder, "models")
    os.makedirs(os.path.join(models, "sub"), exist_ok=True)
    with open(os.path.join(models, "good.bin"), "wb") as f:
        f.write(b"\0" * 16)
    place("models/link.bin", lambda p: os.symlink("../outside/secret.bin", p))
    place("models/near.bin", lambda p: os.symlink("good.bin", p))
    place("models/linked", lambda p: os.symlink("../outside", p))
    place("models/hard.bin", lambda p: os.link(os.path.join(outside, "secret.bin"), p))
    place("models/pipe.bin", os.mkfifo)
    at = [("location", "good.bin")]
    for name, location in (("parent", "../outside/secret.bin"), ("parent-inside", "sub/../../outside/secret.bin"),
                           ("absolute", os.path.abspath(os.path.join(outside, "secret.bin"))), ("symlink", "link.bin"),
                           ("symlink-near", "near.bin"), ("symlinked-folder", "linked/secret.bin"), ("hard-link", "hard.bin"),
                           ("pipe", "pipe.bin"), ("proc", "/proc/self/mem"), ("folder", "sub"), ("missing", "nothing.bin"),
                           ("empty", ""), ("dot", "."), ("device", "/dev/zero"), ("long", "a/" * 3000 + "b")):
        yield "models/external-" + name, with_external([("location", location)]), ""
    yield "models/external-no-location", with_external([("offset", "0")]), "names no file"
    yield "models/external-offset-past-end", with_external(at + [("offset", "8")]), "reach past the end"
    yield "models/external-offset-negative", with_external(at + [("offset", "-8")]), "offset=-8"
    yield "models/external-offset-2-63", with_external(at + [("offset", str(1 << 63))]), "offset="
    yield "models/external-offset-wraps", with_external(at + [("offset", str((1 << 63) - 8))]), "reach past the end"
    yield "models/external-offset-word", with_external(at + [("offset", "0x8")]), "offset=0x8"
    yield "models/external-length-huge", with_external(at + [("length", str((1 << 63) - 1))]), "length"
    yield "models/external-length-short", with_external(at + [("length", "8")]), "length"
    yield "models/external-unknown-key", with_external(at + [("plugin", "libevil.so")]), "plugin"
    yield "models/external-tensor-huge", with_external(at, [1 << 36]), "reach past the end"
    constant = attr_tensor("value", external("w", [4], [("location", "../outside/secret.bin")]))
    yield "models/external-in-constant", simple([node("Constant", [], ["t"], [constant], name="bad"), node("Add", ["x", "t"], ["y"])],
                                                ports=[value("x", [4])]), "bad (Constant)"
    fill = attr_tensor("value", external("w", [1], [("location", "../outside/secret.bin")]))
    yield "models/external-in-fill", simple([node("ConstantOfShape", ["s"], ["t"], [fill], name="bad"), node("Add", ["x", "t"], ["y"])],
                                            [longs("s", [4])], ports=[value("x", [4])]), "bad (ConstantOfShape)"
    sparse = raw(15, raw(1, external("s", [4], [("location", "../outside/secret.bin")])) + raw(2, longs("i", [0, 1, 2, 3])) + number(3, 4))
    yield "models/external-in-sparse", model(graph([node("Add", ["x", "s"], ["y"])], [value("x", [4])], [Y], extra=sparse)), "sparse"
    yield "models/external-undeclared", one("Add", ["x", "w"], tensors=[tensor("w", [4], None, extra=raw(13, raw(1, "location") + raw(2, "good.bin")))],
                                            ports=[value("x", [4])]), "not declared"


def heavy():
    """Sound but odd or costly: the answer is a graph, in time."""
    yield "trilu-k", one("Trilu", ["x", "k"], tensors=[longs("k", [-(1 << 63)], [])])
    yield "pad-reflect", one("Pad", ["x", "p"], [attr_text("mode", "reflect")], [longs("p", [9] * 8)])
    def chain(op, n, attrs=()):
        names = ["x"] + ["t%d" % k for k in range(n - 1)] + ["y"]
        return [node(op, [names[k]], [names[k + 1]], attrs) for k in range(n)]
    yield "chain-relu", simple(chain("Relu", 3000))
    yield "chain-identity", simple(chain("Identity", 3000))
    yield "chain-transpose", simple(chain("Transpose", 2000, [attr_ints("perm", [1, 0, 3, 2])]))
    pairs = []
    for k in range(700):
        pairs += [node("Transpose", ["t%d" % k if k else "x"], ["u%d" % k], [attr_ints("perm", [0, 2, 3, 1])]),
                  node("Reshape", ["u%d" % k, "s"], ["t%d" % (k + 1)])]
    yield "chain-views", simple(pairs + [node("Relu", ["t700"], ["y"])], [longs("s", [1, 3, 8, 8])])
    adds = [node("Add", ["t%d" % k if k else "x", "w"], ["t%d" % (k + 1)]) for k in range(2000)]
    yield "chain-add", simple(adds + [node("Relu", ["t2000"], ["y"])], [floats("w", [1])])
    known = [node("Mul", ["c%d" % k, "c%d" % k], ["c%d" % (k + 1)]) for k in range(2000)]
    yield "known-products", simple(known + [node("Add", ["x", "c2000"], ["y"])], [floats("c0", [1])])
    grow = [node("Concat", ["c%d" % k, "c%d" % k], ["c%d" % (k + 1)], [attr_int("axis", 0)]) for k in range(34)]
    yield "known-doubling", simple(grow + [node("ReduceSum", ["c34"], ["s"]), node("Add", ["x", "s"], ["y"])], [floats("c0", [1])])
    yield "known-matmul", simple([node("ConstantOfShape", ["s"], ["a"]), node("MatMul", ["a", "a"], ["b"]), node("ReduceSum", ["b"], ["c"]),
                                  node("Add", ["x", "c"], ["y"])], [longs("s", [2000, 2000])])
    yield "wide-fan", simple([node("Relu", ["x"], ["t%d" % k]) for k in range(1500)] + [node("Sum", ["t%d" % k for k in range(1500)], ["y"])])


def main():
    folder = sys.argv[1]
    os.makedirs(os.path.join(folder, "models"), exist_ok=True)
    lines = []

    def put(name, data, code, words):
        with open(os.path.join(folder, name + ".onnx"), "wb") as f:
            f.write(data)
        lines.append("%s.onnx\t%d\t%s\n" % (name, code, words))

    for family in (structural(), versions(), graphs(), tensors(), operators(), external_data(folder)):
        for name, data, words in family:
            put(name, data, 3, words)
    for name, data in heavy():
        put("heavy-" + name, data, 0, "layers")
    for line in ("fifo.onnx\t1\tnot a regular file\n", "folder.onnx\t1\tnot a regular file\n"):
        lines.append(line)
    if not os.path.lexists(os.path.join(folder, "fifo.onnx")):
        os.mkfifo(os.path.join(folder, "fifo.onnx"))
    os.makedirs(os.path.join(folder, "folder.onnx"), exist_ok=True)
    with open(os.path.join(folder, "manifest.txt"), "w") as f:
        f.writelines(lines)


if __name__ == "__main__":
    main()
