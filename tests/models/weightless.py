# SPDX-License-Identifier: Apache-2.0
"""Weightless ONNX graphs: parameters taken out, everything else kept.

A stripped tensor keeps its name, dims and type; its data is gone and its
doc_string is MARK, or MARK_ROWS where all slices of its first axis were equal
(a class token spread over a batch).  What a stripped tensor is (convolution weight, norm scale,
embedding ...) is read from its consumers when it is filled again, so the graph
file says nothing about it.
"""
import lzma

import numpy as np
import onnx
from onnx import numpy_helper

MARK = "hone:weight"
MARK_ROWS = "hone:weight rows"
FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE,
          onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)


def is_stripped(tensor):
    return tensor.doc_string in (MARK, MARK_ROWS)


def looks_drawn(values):
    sample = values.reshape(-1)[::max(1, values.size // 4096)][:4096]
    return len(np.unique(sample)) > max(4, len(sample) // 2)


def mark_of(tensor, min_elems=8):
    """The mark of a float tensor whose values look drawn; None for a structural one.

    The exporter script gives every parameter random values first, so masks,
    shapes and scalars are told apart by having few distinct values."""
    if tensor.data_type not in FLOATS or int(np.prod(tensor.dims, dtype=np.int64)) < min_elems:
        return None
    values = numpy_helper.to_array(tensor).astype(np.float32)
    if looks_drawn(values):
        return MARK
    if looks_drawn(values[0]) and (values == values[0]).all():
        return MARK_ROWS
    return None


def graphs_of(graph):
    """graph and every graph nested in its nodes' attributes."""
    yield graph
    for node in graph.node:
        for attr in node.attribute:
            if attr.type == onnx.AttributeProto.GRAPH:
                yield from graphs_of(attr.g)
            elif attr.type == onnx.AttributeProto.GRAPHS:
                for sub in attr.graphs:
                    yield from graphs_of(sub)


def constant_tensor(node):
    """The TensorProto of a Constant node, or None."""
    if node.op_type != "Constant":
        return None
    for attr in node.attribute:
        if attr.name == "value" and attr.type == onnx.AttributeProto.TENSOR:
            return attr.t
    return None


def parameters_of(graph):
    """Yields (value name, TensorProto) of initializers and Constant nodes, in file order."""
    for tensor in graph.initializer:
        yield tensor.name, tensor
    for node in graph.node:
        tensor = constant_tensor(node)
        if tensor is not None:
            yield node.output[0], tensor


def clear_data(tensor):
    for field in ("raw_data", "float_data", "double_data", "int32_data",
                  "int64_data", "uint64_data", "string_data", "external_data",
                  "data_location"):
        tensor.ClearField(field)


def clear_notes(model):
    """Drops doc strings and metadata: exporters put source paths and stack traces there."""
    def clear(msg):
        for field in ("doc_string", "metadata_props"):
            if field in msg.DESCRIPTOR.fields_by_name:
                msg.ClearField(field)
    clear(model)
    for func in model.functions:
        clear(func)
        for node in func.node:
            clear(node)
    for graph in graphs_of(model.graph):
        clear(graph)
        for msg in (*graph.node, *graph.initializer, *graph.value_info,
                    *graph.input, *graph.output):
            clear(msg)
        for node in graph.node:
            for attr in node.attribute:
                clear(attr)


def strip(model):
    """Strips model in place; returns (tensors stripped, elements stripped, names kept that are large)."""
    clear_notes(model)
    count, elems, kept = 0, 0, []
    for graph in graphs_of(model.graph):
        for name, tensor in parameters_of(graph):
            n = int(np.prod(tensor.dims, dtype=np.int64))
            mark = mark_of(tensor)
            if mark:
                clear_data(tensor)
                tensor.doc_string = mark
                count, elems = count + 1, elems + n
            elif n > 64:
                kept.append((name, list(tensor.dims), int(tensor.data_type)))
    return count, elems, kept


def pack(model):
    return lzma.compress(model.SerializeToString(deterministic=True), preset=9 | lzma.PRESET_EXTREME)


def unpack(data):
    model = onnx.ModelProto()
    model.ParseFromString(lzma.decompress(data))
    return model
