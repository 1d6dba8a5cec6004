# SPDX-License-Identifier: Apache-2.0
"""Makes inputs and reference outputs: make_inputs.py [MODELS] [--only NAME,...] [--seed N] [--no-reference]

For each MODELS/NAME.onnx (default build/models) with fixed dims it writes
MODELS/inputs/NAME/in-INPUT.npy and, by ONNX Runtime on the CPU in FP32 with two
threads, MODELS/inputs/NAME/out-OUTPUT.npy.  PP-OCRv4 reads the committed page and
text lines, the others get seeded random inputs: the same for one network's
exports, others for another --seed.
"""
import argparse
import os
import re
import sys

import numpy as np
import onnx

import philox
import png

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
# network -> image, mean and deviation that PP-OCR normalises by
IMAGES = {
    "ppocrv4-det": ("page.png", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "ppocrv4-rec": ("line.png", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "ppocrv4-cls": ("turned.png", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
NUMPY = {onnx.TensorProto.FLOAT: np.float32, onnx.TensorProto.INT64: np.int64}


def network_of(name):
    """The network behind a file name: exports and batch sizes of it read the same inputs."""
    return re.sub(r"(-eager|-trace\d*|-b\d+)+$", "", name)


def image_input(network, dims):
    file, mean, deviation = IMAGES[network]
    image = png.read(os.path.join(HERE, "images", file))
    if image.shape != dims[2:]:
        raise RuntimeError(f"{file} is {image.shape}, {network} wants {dims[2:]}")
    planes = [(image.astype(np.float32) / 255 - m) / d for m, d in zip(mean, deviation)]
    return np.stack(planes)[None].astype(np.float32)


def normal(key, dims):
    """Sum of four uniforms, unit variance."""
    n = int(np.prod(dims))
    total = sum(philox.uniform(philox.key_of(f"{key}/{i}"), n, -0.5, 0.5) for i in range(4))
    return (total * np.float32(3 ** 0.5)).reshape(dims)


def lengths(key, dims):
    """Tokens that are no padding in each row: all in the first, from a half up in the others."""
    batch, seq = dims
    drawn = philox.uniform(philox.key_of(key + "/length"), batch, seq / 2, seq).astype(np.int64)
    return np.where(np.arange(batch) % 4 == 3, seq, drawn)[:, None]


def token_input(name, key, dims):
    at, length = np.arange(dims[1])[None, :], lengths(key, dims)
    if name == "attention_mask":
        return (at < length).astype(np.int64)
    if name == "token_type_ids":
        return ((at >= length // 2) & (at < length)).astype(np.int64)
    ids = philox.uniform(philox.key_of(key + "/ids"), int(np.prod(dims)), 1000, 30000).astype(np.int64).reshape(dims)
    ids[:, 0] = 101
    ids = np.where(at == length - 1, 102, ids)
    return np.where(at < length, ids, 0)


def make_input(network, value, seed):
    dims = tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
    if 0 in dims:
        raise RuntimeError(f"input {value.name} has dims that are not fixed")
    if network in IMAGES:
        return image_input(network, dims)
    key = f"input/{network}/{seed}"
    if NUMPY[value.type.tensor_type.elem_type] is np.int64:
        return token_input(value.name, key, dims)
    return normal(f"{key}/{value.name}", dims)


def session(path, threads=2):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def file_of(prefix, name):
    return f"{prefix}-{re.sub('[^A-Za-z0-9._-]', '_', name)}.npy"


def inputs_of(path, seed=0):
    """name -> array for the graph inputs of the model at path."""
    graph = onnx.load(path, load_external_data=False).graph
    given = {t.name for t in graph.initializer}
    network = network_of(os.path.basename(path)[:-len(".onnx")])
    return {v.name: make_input(network, v, seed) for v in graph.input if v.name not in given}


def make_one(models, name, seed, reference):
    path = os.path.join(models, name + ".onnx")
    out = os.path.join(models, "inputs", name)
    os.makedirs(out, exist_ok=True)
    feed = inputs_of(path, seed)
    for key, array in feed.items():
        np.save(os.path.join(out, file_of("in", key)), array)
    if not reference:
        return
    run = session(path)
    for value, array in zip(run.get_outputs(), run.run(None, feed)):
        np.save(os.path.join(out, file_of("out", value.name)), array)
        print(f"{name}: {value.name} {array.shape} mean {array.mean():.4g} std {array.std():.4g}", flush=True)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("models", nargs="?", default=os.path.join(ROOT, "build", "models"))
    ap.add_argument("--only", default="")
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--no-reference", action="store_true")
    opt = ap.parse_args()
    names = [n for n in opt.only.split(",") if n] or sorted(
        f[:-len(".onnx")] for f in os.listdir(opt.models) if f.endswith(".onnx") and not f.endswith("-dynamic.onnx"))
    for name in names:
        make_one(opt.models, name, opt.seed, not opt.no_reference)
    return 0


if __name__ == "__main__":
    sys.exit(main())
