# SPDX-License-Identifier: Apache-2.0
"""hone and PyTorch side by side: one process, one run, blocks that take turns A B B A.

    python3 bench/pytorch.py --plan resnet50=FILE --plan bert-base=FILE --out bench/results/NAME.json
    python3 bench/pytorch.py --hone BIN --db DB --model resnet50=FILE.onnx --out ...     builds the plans first
    python3 bench/pytorch.py --device cpu --peer self --plan NAME=FILE --out ...         needs no GPU and no torch

bench/README.md says what is measured and what the columns mean. Exit codes: 0 done, 1 it failed, 2 usage, 4 an output is off.
"""
import argparse
import ctypes
import datetime
import json
import math
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
import time
import traceback
import zlib

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DIMS_MAX, ABI = 8, 1
ALLOW_OTHER_VERSIONS = 1
BLOCK_S = 0.030             # what a block is made to last
LEAST_S, MOST_S = 0.020, 0.050
RESAMPLES = 10000
SAME = 5e-3                 # most relative norm between an output before and after the timing: FP16's tolerance
DTYPES = {"f32": np.float32, "f16": np.float16, "f64": np.float64, "i8": np.int8, "u8": np.uint8, "i16": np.int16, "u16": np.uint16,
          "i32": np.int32, "u32": np.uint32, "i64": np.int64, "u64": np.uint64, "bool": np.bool_}


class Off(Exception):
    """An output that cannot be right."""


# ---- hone through include/hone.h

class PortInfo(ctypes.Structure):
    _fields_ = [("struct_bytes", ctypes.c_size_t), ("name", ctypes.c_char_p), ("type", ctypes.c_char_p), ("rank", ctypes.c_int),
                ("dims", ctypes.c_int64 * DIMS_MAX), ("size_bytes", ctypes.c_size_t)]


def load_library(path):
    lib = ctypes.CDLL(path)
    handle, number, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
    signatures = {
        "hone_abi_version": (number, []),
        "hone_version": (ctypes.c_char_p, []),
        "hone_last_error": (ctypes.c_char_p, []),
        "hone_network_open": (number, [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint, ctypes.POINTER(handle)]),
        "hone_network_close": (None, [handle]),
        "hone_network_device": (ctypes.c_char_p, [handle]),
        "hone_network_input_count": (number, [handle]),
        "hone_network_output_count": (number, [handle]),
        "hone_network_get_input": (number, [handle, number, ctypes.POINTER(PortInfo)]),
        "hone_network_get_output": (number, [handle, number, ctypes.POINTER(PortInfo)]),
        "hone_inference_new": (number, [handle, ctypes.c_void_p, ctypes.POINTER(handle)]),
        "hone_inference_free": (None, [handle]),
        "hone_inference_set_input": (number, [handle, number, ctypes.c_void_p, size]),
        "hone_inference_start": (number, [handle]),
        "hone_inference_wait": (number, [handle]),
        "hone_inference_run": (number, [handle]),
        "hone_inference_get_output": (number, [handle, number, ctypes.c_void_p, size]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    if lib.hone_abi_version() != ABI:
        raise RuntimeError(f"{path} has ABI {lib.hone_abi_version()}, this script speaks {ABI}")
    return lib


class Network:
    """A plan, resident on a device."""

    def __init__(self, lib, path, device, flags):
        self.lib, self.handle = lib, ctypes.c_void_p()
        self.check(lib.hone_network_open(path.encode(), device.encode(), flags, ctypes.byref(self.handle)), path)
        self.device = lib.hone_network_device(self.handle).decode()
        self.inputs = self.ports(lib.hone_network_input_count, lib.hone_network_get_input)
        self.outputs = self.ports(lib.hone_network_output_count, lib.hone_network_get_output)

    def check(self, code, what):
        if code:
            raise RuntimeError(f"{what}: {self.lib.hone_last_error().decode()} (code {code})")

    def ports(self, count, get):
        found = []
        for k in range(count(self.handle)):
            info = PortInfo(struct_bytes=ctypes.sizeof(PortInfo))
            self.check(get(self.handle, k, ctypes.byref(info)), f"port {k}")
            kind = info.type.decode()
            if kind not in DTYPES:
                raise RuntimeError(f"port {info.name.decode()} is {kind}, which NumPy has not")
            found.append((info.name.decode(), np.dtype(DTYPES[kind]), tuple(info.dims[:info.rank])))
        return found

    def close(self):
        self.lib.hone_network_close(self.handle)


class HoneSide:
    """One slot of a network: a captured graph over inputs that lie on the device."""

    def __init__(self, network, inputs):
        self.network, self.lib, self.handle = network, network.lib, ctypes.c_void_p()
        network.check(self.lib.hone_inference_new(network.handle, None, ctypes.byref(self.handle)), "hone_inference_new")
        for k, (name, dtype, dims) in enumerate(network.inputs):
            data = np.ascontiguousarray(inputs[name], dtype).reshape(dims)
            network.check(self.lib.hone_inference_set_input(self.handle, k, data.ctypes.data, data.nbytes), name)
            network.check(self.lib.hone_inference_run(self.handle), "hone_inference_run")     # data may go after this

    def replay(self, n):
        start, handle = self.lib.hone_inference_start, self.handle
        for _ in range(n):
            if start(handle):
                self.network.check(1, "hone_inference_start")

    def sync(self):
        self.network.check(self.lib.hone_inference_wait(self.handle), "hone_inference_wait")

    def outputs(self):
        found = {}
        self.network.check(self.lib.hone_inference_run(self.handle), "hone_inference_run")
        for k, (name, dtype, dims) in enumerate(self.network.outputs):
            data = np.empty(dims, dtype)
            self.network.check(self.lib.hone_inference_get_output(self.handle, k, data.ctypes.data, data.nbytes), name)
            found[name] = data
        return found

    def close(self):
        self.lib.hone_inference_free(self.handle)


# ---- PyTorch

def import_torch(peer, device):
    """Before libhone is loaded: both then find the same libcudnn and libcublasLt in the process."""
    if peer in ("none", "self"):
        return None
    import torch
    if not device.startswith("cuda"):
        raise SystemExit(f"--peer {peer} needs --device cuda:0, not {device}")
    torch.cuda.set_device(torch.device(device if ":" in device else "cuda:0"))
    torch.zeros(1, device="cuda")
    return torch


def calibrated_resnet50(torch):
    """Random weights with the statistics of one batch, so that FP16 stays in range as in a trained network."""
    import torchvision
    model = torchvision.models.resnet50(weights=None).cuda().train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    model(torch.randn(16, 3, 224, 224, device="cuda"))
    return model.eval().half().to(memory_format=torch.channels_last)


def make_resnet50(torch, inputs):
    model = calibrated_resnet50(torch)
    x = torch.from_numpy(inputs["input"]).cuda().half().contiguous(memory_format=torch.channels_last)
    return model, (x,), {}, "torchvision resnet50, FP16, channels-last, cudnn.benchmark"


def make_bert(torch, inputs):
    from transformers import BertConfig, BertModel
    model = BertModel(BertConfig()).eval().half().cuda()
    ids, mask, types = (torch.from_numpy(inputs[name]).cuda() for name in ("input_ids", "attention_mask", "token_type_ids"))
    seq = ids.shape[1]
    added = ((1 - mask[:, None, None, :].float()) * torch.finfo(torch.float16).min).half().expand(-1, 1, seq, -1).contiguous()
    arguments = {"input_ids": ids, "attention_mask": added, "token_type_ids": types}
    attention = getattr(model.config, "_attn_implementation", "unknown")
    return model, (), arguments, f"transformers BertModel, FP16, attention {attention}, additive mask made before the graph"


NETWORKS = {"resnet50": make_resnet50, "bert-base": make_bert}


def tensors_of(torch, answer):
    if isinstance(answer, torch.Tensor):
        return {"output": answer}
    return {k: v for k, v in answer.items() if isinstance(v, torch.Tensor)}


class TorchSide:
    """A network of PyTorch, captured once in a CUDA graph over inputs that lie on the device."""

    def __init__(self, torch, network, inputs, compiled):
        self.torch = torch
        torch.manual_seed(1)
        with torch.no_grad():
            model, arguments, named, self.what = NETWORKS[network](torch, inputs)
            torch.backends.cudnn.benchmark = True
            if compiled:
                model = torch.compile(model, mode="max-autotune-no-cudagraphs")
            start = time.perf_counter()
            self.capture(lambda: model(*arguments, **named))
            self.seconds = time.perf_counter() - start
        self.model = model
        self.what += ", torch.compile max-autotune in a CUDA graph" if compiled else ", eager in a CUDA graph"

    def capture(self, call):
        torch, side = self.torch, self.torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(5):
                call()
        torch.cuda.current_stream().wait_stream(side)
        torch.cuda.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.answer = call()

    def replay(self, n):
        replay = self.graph.replay
        for _ in range(n):
            replay()

    def sync(self):
        self.torch.cuda.synchronize()

    def outputs(self):
        self.replay(1)
        self.sync()
        return {name: value.float().cpu().numpy() for name, value in tensors_of(self.torch, self.answer).items()}

    def close(self):
        self.graph = self.answer = self.model = None
        self.torch.cuda.synchronize()
        self.torch.cuda.empty_cache()


# ---- inputs and gates

def make_inputs(network, ports, seed):
    """The same values for both sides, drawn by the port's name and type."""
    inputs = {}
    for name, dtype, dims in ports:
        rng = np.random.default_rng([seed, zlib.crc32(f"{network}/{name}".encode())])
        if dtype.kind == "f":
            inputs[name] = rng.standard_normal(dims).astype(dtype)
        elif name == "input_ids":
            inputs[name] = rng.integers(1000, 30000, dims).astype(dtype)
        elif name == "attention_mask":
            inputs[name] = (np.arange(dims[-1]) < dims[-1] - dims[-1] // 8 - 1).astype(dtype) * np.ones(dims, dtype)
        elif name == "token_type_ids":
            inputs[name] = (np.arange(dims[-1]) >= dims[-1] // 2).astype(dtype) * np.ones(dims, dtype)
        else:
            inputs[name] = rng.integers(0, 2, dims).astype(dtype)
    return inputs


def look_at(outputs, whose):
    for name, data in outputs.items():
        if data.dtype.kind == "f" and not np.isfinite(data).all():
            raise Off(f"{whose}: {name} is not finite")
        if data.size > 1 and data.min() == data.max():
            raise Off(f"{whose}: {name} is the same everywhere, {data.flat[0]}")


def look_again(before, after, whose):
    """What ran last in the timing is what ran first."""
    for name, data in before.items():
        a, b = data.astype(np.float64), after[name].astype(np.float64)
        off = np.linalg.norm(a - b) / max(np.linalg.norm(a), 1e-300)
        if not off <= SAME:
            raise Off(f"{whose}: {name} moved by {off:.1e} during the timing")


# ---- timing

def time_block(side, n):
    """Seconds of one replay: wall clock round n replays and one synchronise, on both sides alike."""
    start = time.perf_counter()
    side.replay(n)
    side.sync()
    return (time.perf_counter() - start) / n


def warm_up(sides, seconds):
    """Both sides for as long, in turns of a tenth."""
    for _ in range(10):
        for side in sides:
            start, n = time.perf_counter(), 1
            while time.perf_counter() - start < seconds / 10:
                one = time_block(side, n)
                n = max(1, min(64, int(0.01 / one)))


def replays_of(side):
    one = min(time_block(side, 4) for _ in range(3))
    one = time_block(side, max(1, int(BLOCK_S / one)))
    return max(1, round(BLOCK_S / one))


def take_turns(sides, quads):
    """times[side][quad] = two block times; the order of a quad is A B B A."""
    counts = [replays_of(side) for side in sides]
    times = [np.empty((quads, 2)) for _ in sides]
    order = [(0, 0), (1, 0), (1, 1), (0, 1)] if len(sides) == 2 else [(0, 0), (0, 1)]
    for quad in range(quads):
        for which, place in order:
            times[which][quad, place] = time_block(sides[which], counts[which])
    return times, counts


def bootstrap(hone, peer, seed):
    """95% interval of median(peer) / median(hone). Quads are drawn whole: what drifts, drifts in both of them."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(hone), (RESAMPLES, len(hone)))
    a = np.median(hone[drawn].reshape(RESAMPLES, -1), axis=1)
    b = np.median(peer[drawn].reshape(RESAMPLES, -1), axis=1)
    return [float(x) for x in np.percentile(b / a, [2.5, 97.5])]


# ---- plans

def call_hone(arguments):
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        tail = (done.stderr or done.stdout)[-1500:]
        raise RuntimeError(f"{shlex.join(arguments)}: exit code {done.returncode}\n{tail}")
    return done


def build_plan(options, network, model, folder):
    plan = os.path.join(folder, network + ".plan")
    command = [options.hone, "build", model, "-o", plan, "--device", options.device, "--precision", options.precision, "--strict"]
    start = time.perf_counter()
    done = call_hone(command + (["--db", options.db] if options.db else []))
    sys.stderr.write(done.stderr)
    return plan, time.perf_counter() - start


def check_plan(options, plan, model):
    flags = ["--allow-other-versions"] if options.allow_other_versions else []
    done = call_hone([options.hone, "run", plan, "--device", options.device, "--check=" + model] + flags)
    said = " ".join((done.stdout + " " + done.stderr).split())
    return said[said.rfind(" check ") + 1:][:300]


# ---- rows

def driver_version():
    try:
        done = subprocess.run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"], capture_output=True, text=True, timeout=20)
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.split()[0]
    except (OSError, subprocess.TimeoutExpired):
        pass
    return None


def versions(lib, torch):
    found = {"hone": lib.hone_version().decode(), "python": platform.python_version(), "numpy": np.__version__}
    if not torch:
        return found
    found.update(torch=torch.__version__, cuda=torch.version.cuda, cudnn=str(torch.backends.cudnn.version()))
    for name in ("torchvision", "transformers", "triton"):
        if name in sys.modules and hasattr(sys.modules[name], "__version__"):
            found[name] = sys.modules[name].__version__
    return found


def loaded_libraries():
    """Which of NVIDIA's libraries the process really holds; two files of one name would be two versions."""
    try:
        with open("/proc/self/maps") as maps:
            found = {line.split()[-1] for line in maps if ".so" in line}
    except OSError:
        return []
    return sorted(os.path.basename(path) for path in found if re.search(r"/lib(cudnn|cublasLt|nvrtc|cuda)\.so", path))


def command_line():
    """As it was called, with no folder of the machine in it."""
    return "python3 bench/pytorch.py " + shlex.join(re.sub(r"(^|=)/\S*/", r"\1", word) for word in sys.argv[1:])


def make_sides(options, torch, network, name, inputs):
    sides = [HoneSide(network, inputs)]
    if options.peer == "self":
        sides.append(HoneSide(network, inputs))
    elif options.peer != "none":
        sides.append(TorchSide(torch, name, inputs, options.peer == "compile"))
    return sides


def measure(options, torch, network, name, inputs):
    """The timing part of a row."""
    sides = make_sides(options, torch, network, name, inputs)
    try:
        before = [side.outputs() for side in sides]
        for data, whose in zip(before, ("hone", options.peer)):
            look_at(data, whose)
        warm_up(sides, options.warm_up)
        times, counts = take_turns(sides, options.quads)
        for side, data, whose in zip(sides, before, ("hone", options.peer)):
            look_again(data, side.outputs(), whose)
        return sum_up(options, sides, times, counts)
    finally:
        for side in sides:
            side.close()


def sum_up(options, sides, times, counts):
    medians = [float(np.median(t)) for t in times]
    row = {"hone_ms": medians[0] * 1e3, "peer": None, "peer_ms": None, "ratio": None, "ratio_low": None, "ratio_high": None}
    if len(sides) == 2:
        low, high = bootstrap(times[0], times[1], options.seed)
        what = sides[1].what if isinstance(sides[1], TorchSide) else "hone itself, a second slot"
        row.update(peer=what, peer_ms=medians[1] * 1e3, ratio=medians[1] / medians[0], ratio_low=low, ratio_high=high)
        row["peer_build_s"] = getattr(sides[1], "seconds", None)
    row["blocks"] = int(times[0].size)
    row["replays"] = counts
    row["block_ms"] = [m * n * 1e3 for m, n in zip(medians, counts)]
    row["spread"] = [float(np.subtract(*np.percentile(t, [75, 25])) / np.median(t)) for t in times]
    for whose, size in zip(("hone", "peer"), row["block_ms"]):
        if not LEAST_S * 1e3 <= size <= MOST_S * 1e3:
            row.setdefault("remarks", []).append(f"blocks of {whose} lasted {size:.1f} ms, not 20 to 50")
    return row


def weights_note(peer):
    if peer in ("none", "self"):
        return "hone: those of the ONNX file"
    return "hone: those of the ONNX file; peer: the same architecture with its own random weights, so outputs are not compared with each other"


def make_row(options, torch, lib, name, plan, extra):
    network = Network(lib, plan, options.device, ALLOW_OTHER_VERSIONS if options.allow_other_versions else 0)
    try:
        inputs = make_inputs(name, network.inputs, options.seed)
        timing = measure(options, torch, network, name, inputs)
        batch = network.inputs[0][2][0] if network.inputs and network.inputs[0][2] else None
        row = {"network": name, "batch": batch, "precision": options.precision, **timing, **extra}
        row["inputs"] = {port: f"{dtype} {list(dims)}" for port, dtype, dims in network.inputs}
        row["weights"] = weights_note(options.peer)
        row["gate"] = "outputs of both sides finite, not constant, the same before and after the timing"
        row.update(device=network.device, driver=driver_version(), versions=versions(lib, torch), libraries=loaded_libraries())
        row.update(date=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), command=command_line())
        return row
    finally:
        network.close()


def say(row):
    line = f"{row['network']:<12} {row['precision']} batch {row['batch']}  hone {row['hone_ms']:.4f} ms"
    if row["peer_ms"]:
        line += f"  peer {row['peer_ms']:.4f} ms  ratio {row['ratio']:.3f} [{row['ratio_low']:.3f}, {row['ratio_high']:.3f}]"
    print(line + "  spread " + " ".join(f"{s:.1%}" for s in row["spread"]), flush=True)
    for remark in row.get("remarks", []):
        print("  " + remark, flush=True)


def write(path, rows):
    with open(path + ".part", "w") as out:
        out.write("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
    os.replace(path + ".part", path)


def pair(text):
    name, equals, path = text.partition("=")
    if not name or not equals or not path:
        raise argparse.ArgumentTypeError(f"NETWORK=FILE is wanted, not '{text}'")
    return name, path


def parse():
    parser = argparse.ArgumentParser(description="hone and PyTorch side by side", formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--plan", action="append", type=pair, default=[], metavar="NETWORK=PLAN", help="a plan to time")
    parser.add_argument("--model", action="append", type=pair, default=[], metavar="NETWORK=ONNX", help="a network whose plan is built first")
    parser.add_argument("--hone", help="the program, for --model")
    parser.add_argument("--db", help="the database, for --model")
    parser.add_argument("--library", default=os.path.join(ROOT, "build", "libhone.so"), help="libhone.so")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--precision", default="fp16", help="of --model's plans, and what the row says")
    parser.add_argument("--peer", choices=("graph", "compile", "self", "none"), default="graph",
                        help="PyTorch eager or compiled, in a CUDA graph; a second slot of hone; nobody")
    parser.add_argument("--check", action="store_true", help="hone run --check of each --model's network first (takes as long as plain C)")
    parser.add_argument("--allow-other-versions", action="store_true", help="plans built beside other library versions")
    parser.add_argument("--quads", type=int, default=20, help="A B B A, this often: twice as many blocks a side")
    parser.add_argument("--warm-up", type=float, default=0.5, help="seconds a side")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", required=True, help="the JSON file")
    options = parser.parse_args()
    if not options.plan and not options.model:
        parser.error("--plan or --model is needed")
    if options.model and not options.hone:
        parser.error("--model needs --hone")
    if options.check and not options.model:
        parser.error("--check needs --model: the plan is compared with its network")
    unknown = [name for name, _ in options.plan + options.model if name not in NETWORKS]
    if unknown and options.peer in ("graph", "compile"):
        parser.error(f"PyTorch has no {unknown[0]} here, only {' and '.join(NETWORKS)}; --peer self or none times any")
    if options.quads < 1 or not math.isfinite(options.warm_up) or options.warm_up < 0:
        parser.error("--quads wants 1 or more, --warm-up 0 or more")
    return options


def jobs(options, folder):
    """(network, plan, what is known of it), the plans of --model built as they come. A --plan of the same network serves --model's --check."""
    plans = dict(options.plan)
    for name, plan in options.plan:
        if name not in dict(options.model):
            yield name, plan, {}
    for name, model in options.model:
        extra = {"build_s": None}
        plan = plans.get(name)
        if not plan:
            plan, extra["build_s"] = build_plan(options, name, model, folder)
        if options.check:
            extra["hone_check"] = check_plan(options, plan, model)
        yield name, plan, extra


def main():
    options, rows, failed = parse(), [], 0
    os.makedirs(os.path.dirname(os.path.abspath(options.out)), exist_ok=True)
    torch = import_torch(options.peer, options.device)
    lib = load_library(options.library)
    with tempfile.TemporaryDirectory() as folder:
        for name, plan, extra in jobs(options, folder):
            try:
                rows.append(make_row(options, torch, lib, name, plan, extra))
            except Off as error:
                print(f"{name}: {error}", file=sys.stderr, flush=True)
                failed = 4
                continue
            except Exception:           # whatever one network's peer raises, the others still run
                traceback.print_exc()
                failed = failed or 1
                continue
            say(rows[-1])
            write(options.out, rows)
    return failed


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RuntimeError as error:
        sys.exit(f"bench/pytorch.py: {error}")
