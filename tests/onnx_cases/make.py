# SPDX-License-Identifier: Apache-2.0
"""Makes ONNX backend test folders for what Debian's libonnx-testdata (opset 17 at most) lacks: make.py FOLDER.

Newer operators and opsets, and forms that only exporters write (functions, branches, external data). The expected outputs are ONNX
Runtime's, on the CPU; inputs are seeded.
"""
import os
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

ROOT = sys.argv[1]
RNG = np.random.default_rng(0)


def f(*dims):
    return RNG.standard_normal(dims).astype(np.float32)


def ints(*values):
    return np.array(values, np.int64)


def info(name, array):
    return h.make_tensor_value_info(name, h.np_dtype_to_tensor_dtype(array.dtype), array.shape)


def write(folder, kind, k, name, array):
    with open(os.path.join(folder, "test_data_set_0", "%s_%d.pb" % (kind, k)), "wb") as out:
        out.write(nh.from_array(array, name).SerializeToString())


def save(name, model, ins, outs, **options):
    folder = os.path.join(ROOT, name)
    os.makedirs(os.path.join(folder, "test_data_set_0"), exist_ok=True)
    path = os.path.join(folder, "model.onnx")
    onnx.save(model, path, **options)
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    for k, (key, array) in enumerate(ins.items()):
        write(folder, "input", k, key, array)
    for k, (key, array) in enumerate(zip(outs, session.run(None, ins))):
        write(folder, "output", k, key, array)


def model_of(nodes, ins, outs, tensors=None, opset=18, functions=(), domains=()):
    graph = h.make_graph(nodes, "g", [info(k, v) for k, v in ins.items()], [h.make_empty_tensor_value_info(o) for o in outs],
                         [nh.from_array(v, k) for k, v in (tensors or {}).items()])
    imports = [h.make_opsetid("", opset)] + [h.make_opsetid(d, 1) for d in domains]
    return h.make_model(graph, opset_imports=imports, ir_version=10, functions=list(functions))


def case(name, nodes, ins, tensors=None, opset=18, outs=("y",)):
    save(name, model_of(nodes, ins, outs, tensors, opset), ins, outs)


def one(name, op, ins, tensors=None, opset=18, operands=None, outs=("y",), **attrs):
    operands = list(ins) + list(tensors or {}) if operands is None else operands.split(",")
    case(name, [h.make_node(op, operands, list(outs), **attrs)], ins, tensors, opset, outs)


def attention():
    one("attention-4d", "Attention", dict(q=f(2, 3, 5, 8), k=f(2, 3, 7, 8), v=f(2, 3, 7, 6)), opset=23)
    one("attention-3d", "Attention", dict(q=f(2, 5, 32), k=f(2, 7, 32), v=f(2, 7, 32)), opset=23, q_num_heads=4, kv_num_heads=4)
    one("attention-shared-heads", "Attention", dict(q=f(2, 5, 32), k=f(2, 7, 16), v=f(2, 7, 16), m=f(5, 7)), opset=23, q_num_heads=4,
        kv_num_heads=2, scale=0.3)
    one("attention-causal", "Attention", dict(q=f(1, 3, 6, 8), k=f(1, 3, 6, 8), v=f(1, 3, 6, 8)), opset=23, is_causal=1)
    mask = np.ones((5, 7), bool)
    mask[:, 4:] = False
    one("attention-flags", "Attention", dict(q=f(1, 3, 5, 8), k=f(1, 3, 7, 8), v=f(1, 3, 7, 8), m=mask), opset=23)


def normalisation():
    one("groupnorm-18", "GroupNormalization", dict(x=f(2, 4, 5)), dict(w=f(2), b=f(2)), num_groups=2)
    one("groupnorm-21", "GroupNormalization", dict(x=f(2, 4, 5)), dict(w=f(4), b=f(4)), 21, num_groups=2)
    one("rmsnorm", "RMSNormalization", dict(x=f(2, 4, 5)), dict(w=f(5)), 23, axis=-1)
    one("softmax-9", "Softmax", dict(x=f(2, 3, 4)), opset=9, axis=1)
    one("logsoftmax-11", "LogSoftmax", dict(x=f(2, 3, 4)), opset=11, axis=1)
    one("batchnorm-8", "BatchNormalization", dict(x=f(2, 3, 4, 4)), dict(s=f(3), b=f(3), m=f(3), v=np.abs(f(3)) + 0.5), 8)
    one("layernorm-2-axes", "LayerNormalization", dict(x=f(2, 3, 4, 5)), dict(w=f(4, 5), b=f(4, 5)), axis=2)
    one("lpnorm", "LpNormalization", dict(x=f(2, 3, 4)), opset=13, axis=1, p=1)


def activations():
    one("mish", "Mish", dict(x=f(2, 4, 5)))
    one("gelu-tanh", "Gelu", dict(x=f(2, 4, 5)), opset=20, approximate="tanh")
    one("gelu-erf", "Gelu", dict(x=f(2, 4, 5)), opset=20)
    one("clip-6", "Clip", dict(x=f(2, 4, 5)), opset=7, min=-0.5, max=0.5)
    one("clip-known-bounds", "Clip", dict(x=f(2, 4, 5)), dict(low=np.float32(-0.5), high=np.float32(0.25)))
    one("prelu-channels", "PRelu", dict(x=f(2, 3, 4, 4)), dict(s=f(3, 1, 1)))
    one("mean-3", "Mean", dict(a=f(2, 3), b=f(3), c=f(2, 1)), opset=13)


def products():
    for k, (equation, a, b) in enumerate([("bhid,bhjd->bhij", (2, 3, 4, 5), (2, 3, 6, 5)), ("...ij,...jk", (2, 3, 4), (2, 4, 5)),
                                          ("ijk,kl->li", (2, 3, 4), (4, 5)), ("i,j->ij", (3,), (4,)), ("bij,bkj->bik", (2, 3, 4), (2, 5, 4)),
                                          ("ab,bc->ac", (3, 4), (4, 5)), ("aab,b->a", (3, 3, 4), (4,))]):
        one("einsum-%d" % k, "Einsum", dict(a=f(*a), b=f(*b)), equation=equation)
    one("einsum-diagonal", "Einsum", dict(a=f(3, 3, 4)), equation="iij->j")
    one("einsum-trace", "Einsum", dict(a=f(4, 4)), equation="ii")
    one("gemm-scaled", "Gemm", dict(a=f(3, 4), b=f(5, 3)), dict(c=f(5)), transA=1, transB=1, alpha=0.5, beta=2.0)
    one("matmul-vectors", "MatMul", dict(a=f(4), b=f(2, 4, 3)))


def movement():
    one("split-uneven", "Split", dict(x=f(2, 7)), outs=("a", "b", "c"), num_outputs=3, axis=1)
    one("split-11", "Split", dict(x=f(2, 6)), opset=11, outs=("a", "b"), axis=1, split=[2, 4])
    one("crop-and-pad", "CenterCropPad", dict(x=f(3, 9, 6)), dict(s=ints(4, 11)), axes=[1, 2])
    one("crop-all", "CenterCropPad", dict(x=f(9, 6)), dict(s=ints(6, 9)))
    one("pad-wrap", "Pad", dict(x=f(4, 5)), dict(p=ints(1, 2, 3, 0)), 19, mode="wrap")
    one("pad-axes", "Pad", dict(x=f(4, 5)), dict(p=ints(1, 2), a=ints(-1)), operands="x,p,,a")
    one("pad-negative", "Pad", dict(x=f(4, 5)), dict(p=ints(1, -2, -1, 3)))
    one("pad-7", "Pad", dict(x=f(1, 2, 4, 4)), opset=7, pads=[0, 0, 1, 2, 0, 0, 3, 0], value=1.5)
    one("slice-9", "Slice", dict(x=f(5, 6)), opset=9, starts=[1, -4], ends=[1000, -1], axes=[0, 1])
    one("slice-back", "Slice", dict(x=f(5, 6)), dict(s=ints(-1, 5), e=ints(-1000, 0), a=ints(0, 1), t=ints(-2, -3)))
    one("scatter-max", "ScatterElements", dict(x=f(3, 4), u=f(3, 2)), dict(i=ints(0, -1, 1, 1, 2, 0).reshape(3, 2)), operands="x,i,u", axis=1,
        reduction="max")
    one("topk-7", "TopK", dict(x=f(3, 6)), opset=7, outs=("v", "i"), k=3)
    one("squeeze-11", "Squeeze", dict(x=f(1, 3, 1)), opset=11, axes=[0])
    one("reshape-keep-zero", "Reshape", dict(x=f(0, 3)), dict(s=ints(3, 0)), allowzero=1)
    one("compress", "Compress", dict(x=f(3, 4)), dict(c=np.array([True, False, True])), axis=1)


def windows():
    one("avgpool-dilated", "AveragePool", dict(x=f(1, 2, 7, 7)), opset=19, kernel_shape=[2, 2], dilations=[2, 2], pads=[1, 1, 0, 0], count_include_pad=1)
    one("avgpool-ceil", "AveragePool", dict(x=f(1, 2, 8, 8)), opset=19, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1)
    one("lppool-3", "LpPool", dict(x=f(1, 2, 8, 8)), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], p=3)
    one("global-lp-1", "GlobalLpPool", dict(x=f(1, 2, 8, 8)), opset=13, p=1)
    one("deconv-shape", "ConvTranspose", dict(x=f(1, 2, 5, 5)), dict(w=f(2, 3, 3, 3)), strides=[2, 2], output_shape=[10, 11], auto_pad="SAME_UPPER")
    one("deconv-groups", "ConvTranspose", dict(x=f(1, 4, 5, 5)), dict(w=f(4, 3, 3, 3)), strides=[3, 2], pads=[1, 2, 1, 2], output_padding=[2, 1],
        group=2, dilations=[1, 2])
    one("conv-1d-groups", "Conv", dict(x=f(2, 4, 9)), dict(w=f(6, 2, 3), b=f(6)), group=2, dilations=[2], pads=[2, 1])
    one("conv-3d", "Conv", dict(x=f(1, 2, 5, 6, 7)), dict(w=f(3, 2, 2, 3, 3)), strides=[2, 1, 2], auto_pad="SAME_LOWER")
    one("resize-axes", "Resize", dict(x=f(1, 2, 4, 4)), dict(s=np.array([2.5, 1.5], np.float32)), operands="x,,s", mode="linear", axes=[2, 3])
    one("resize-policy", "Resize", dict(x=f(1, 2, 4, 6)), dict(s=ints(7, 8)), operands="x,,,s", mode="nearest", keep_aspect_ratio_policy="not_larger",
        axes=[2, 3])
    one("upsample-9", "Upsample", dict(x=f(1, 1, 3, 3)), dict(s=np.array([1, 1, 2, 3], np.float32)), 9, mode="linear")


def quantisation():
    tensors = dict(s=np.array([.1, .2, .05], np.float32), z=np.array([0, 3, -4], np.int8))
    case("quantize-dequantize", [h.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], axis=1),
                                 h.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], axis=1)], dict(x=f(2, 3, 4)), tensors)


def exporters():
    """Forms around the operators: functions, branches, external data, chains that rewrites take apart."""
    body = h.make_node("LeakyRelu", ["a"], ["b"])
    body.attribute.append(onnx.AttributeProto(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT))
    leaky = h.make_function("test", "Leaky", ["a"], ["b"], [body], [h.make_opsetid("", 18)], ["slope"])
    twice = h.make_function("test", "Twice", ["a"], ["b"], [h.make_node("Leaky", ["a"], ["t"], domain="test", slope=0.5),
                                                            h.make_node("Leaky", ["t"], ["b"], domain="test", slope=0.25)],
                            [h.make_opsetid("", 18), h.make_opsetid("test", 1)])
    x = f(3, 4)
    save("functions", model_of([h.make_node("Twice", ["x"], ["y"], domain="test")], dict(x=x), ["y"], functions=[leaky, twice], domains=["test"]),
         dict(x=x), ["y"])

    def branch(op, name):
        return h.make_graph([h.make_node(op, ["x"], [name])], name, [], [h.make_tensor_value_info(name, T.FLOAT, None)])
    inner = h.make_node("If", ["no"], ["t"], then_branch=branch("Exp", "t1"), else_branch=branch("Abs", "t2"))
    outer = h.make_graph([inner], "outer", [], [h.make_tensor_value_info("t", T.FLOAT, None)])
    case("branches", [h.make_node("If", ["yes"], ["y"], then_branch=outer, else_branch=branch("Neg", "e"))], dict(x=x),
         dict(yes=np.array(True), no=np.array(False)))

    w = f(64, 64)
    x = f(2, 64)
    save("external-data", model_of([h.make_node("MatMul", ["x", "w"], ["y"])], dict(x=x), ["y"], dict(w=w)), dict(x=x), ["y"],
         save_as_external_data=True, all_tensors_to_one_file=True, location="weights.bin", size_threshold=0)

    # Shape arithmetic as tracing exporters write it: everything folds.
    nodes = [h.make_node("Shape", ["x"], ["s"]), h.make_node("Gather", ["s", "zero"], ["n"], axis=0), h.make_node("Unsqueeze", ["n", "axis"], ["n1"]),
             h.make_node("Concat", ["n1", "rest"], ["to"], axis=0), h.make_node("Reshape", ["x", "to"], ["y"])]
    case("shape-arithmetic", nodes, dict(x=f(4, 6)), dict(zero=np.array(0, np.int64), axis=ints(0), rest=ints(2, -1)))
    nodes = [h.make_node("Cast", ["x"], ["c"], to=T.BOOL), h.make_node("Not", ["c"], ["n"]), h.make_node("Cast", ["n"], ["m"], to=T.FLOAT),
             h.make_node("Mul", ["m", "big"], ["y"])]
    case("mask-of-ids", nodes, dict(x=ints(1, 0, 2, 0)), dict(big=np.float32(-1e4)))


for family in (attention, normalisation, activations, products, movement, windows, quantisation, exporters):
    family()
