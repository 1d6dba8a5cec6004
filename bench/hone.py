# SPDX-License-Identifier: Apache-2.0
"""hone as the bench uses it: the program to tune and build, the library (include/hone.h) to run."""
import ctypes
import json
import os
import shlex
import subprocess
import time

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DIMS_MAX, ABI = 8, 1
ALLOW_OTHER_VERSIONS = 1
BF16 = "bf16"       # NumPy has no such type: values travel as the upper halves of FP32
DTYPES = {"f32": np.float32, "f16": np.float16, "f64": np.float64, "i8": np.int8, "u8": np.uint8, "i16": np.int16, "u16": np.uint16,
          "i32": np.int32, "u32": np.uint32, "i64": np.int64, "u64": np.uint64, "bool": np.bool_, BF16: np.uint16}


def to_bf16(values):
    """Rounded to nearest, ties to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(halves):
    return (halves.astype(np.uint32) << 16).view(np.float32)


# ---- the program

def call(arguments):
    """Standard output of the program, which must end well; what it says on the way goes through."""
    done = subprocess.run(arguments, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(arguments)}: exit code {done.returncode}\n{done.stdout[-1500:]}")
    return done.stdout


class Program:
    """The verbs of build/hone with the options that all calls share."""

    def __init__(self, path, db, device, precision):
        self.path, self.db, self.device, self.precision = path, db, device, precision

    def with_db(self):
        return ["--db", self.db] if self.db else []

    def tune(self, subject, effort, budget):
        """Tunes a network (or a list of problems); its summary, with the seconds that it took as the caller sees them."""
        command = [self.path, "tune", subject, *self.with_db(), "--device", self.device, "--effort", effort, "--json", "--progress", "plain"]
        if subject.endswith(".onnx"):
            command += ["--precision", self.precision]
        if budget:
            command += ["--time", budget]
        if self.device != "cpu":
            command.append("--busy")        # this process holds the GPU, too, but leaves it idle meanwhile
        start = time.perf_counter()
        summary = json.loads(call(command))
        summary["wall_s"] = time.perf_counter() - start
        return summary

    def retime(self, model, seconds, *more):
        """Compares close tactics inside the network, which build then rests on; the seconds that it took, its last line and whom it left out first, and why."""
        command = [self.path, "retime", model, *self.with_db(), "--device", self.device, "--precision", self.precision, "--time", str(seconds), *more]
        if self.device != "cpu":
            command.append("--busy")        # as for tune
        start = time.perf_counter()
        said = call(command).splitlines()
        left_out = [line.strip() for line in said if line.lstrip().startswith("left out:")]
        return {"wall_s": time.perf_counter() - start, "said": "; ".join(said[-1:] + left_out[:1])}

    def build(self, model, plan, *more):
        command = [self.path, "build", model, "-o", plan, *self.with_db(), "--device", self.device, "--precision", self.precision, "--json", *more]
        start = time.perf_counter()
        summary = json.loads(call(command))
        summary["wall_s"] = time.perf_counter() - start
        return summary

    def problems(self, model):
        return call([self.path, "problems", model, "--device", self.device, "--precision", self.precision]).splitlines()


# ---- the library

class PortInfo(ctypes.Structure):
    _fields_ = [("struct_bytes", ctypes.c_size_t), ("name", ctypes.c_char_p), ("type", ctypes.c_char_p), ("rank", ctypes.c_int),
                ("dims", ctypes.c_int64 * DIMS_MAX), ("size_bytes", ctypes.c_size_t)]


class InferenceOptions(ctypes.Structure):
    _fields_ = [("struct_bytes", ctypes.c_size_t), ("lanes", ctypes.c_int), ("no_graph", ctypes.c_int), ("stream", ctypes.c_void_p)]


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
        "hone_inference_new": (number, [handle, ctypes.POINTER(InferenceOptions), ctypes.POINTER(handle)]),
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
        raise RuntimeError(f"{path} has ABI {lib.hone_abi_version()}, the bench speaks {ABI}")
    return lib


class Port:
    def __init__(self, info):
        self.name, self.type, self.dims = info.name.decode(), info.type.decode(), tuple(info.dims[:info.rank])
        if self.type not in DTYPES:
            raise RuntimeError(f"port {self.name} is {self.type}, which NumPy has not")
        self.dtype, self.size_bytes = np.dtype(DTYPES[self.type]), info.size_bytes

    def __str__(self):
        return f"{self.type} {list(self.dims)}"

    def pack(self, values):
        return np.ascontiguousarray(to_bf16(values) if self.type == BF16 else values, self.dtype).reshape(self.dims)

    def unpack(self, data):
        return from_bf16(data) if self.type == BF16 else data


class Network:
    """A plan, resident on a device."""

    def __init__(self, lib, path, device, flags=0):
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
            found.append(Port(info))
        return found

    def close(self):
        self.lib.hone_network_close(self.handle)


class Slot:
    """One inference of a network, over inputs that lie on the device."""

    def __init__(self, network, inputs, stream):
        self.network, self.lib, self.handle = network, network.lib, ctypes.c_void_p()
        options = InferenceOptions(ctypes.sizeof(InferenceOptions), 0, 0, stream)
        network.check(self.lib.hone_inference_new(network.handle, ctypes.byref(options), ctypes.byref(self.handle)), "hone_inference_new")
        held = [port.pack(inputs[port.name]) for port in network.inputs]
        for k, data in enumerate(held):
            network.check(self.lib.hone_inference_set_input(self.handle, k, data.ctypes.data, data.nbytes), network.inputs[k].name)
        network.check(self.lib.hone_inference_run(self.handle), "hone_inference_run")       # what is held may go after this

    def outputs(self):
        """Of one more inference, in the network's order."""
        found = []
        self.network.check(self.lib.hone_inference_run(self.handle), "hone_inference_run")
        for k, port in enumerate(self.network.outputs):
            data = np.empty(port.dims, port.dtype)
            self.network.check(self.lib.hone_inference_get_output(self.handle, k, data.ctypes.data, data.nbytes), port.name)
            found.append(port.unpack(data))
        return found

    def close(self):
        self.lib.hone_inference_free(self.handle)


class HoneSide:
    """Slots of one network, an input set each, that take turns on one stream; without a stream one slot is enough."""
    kind, what, seconds = "hone", "hone", None

    def __init__(self, network, input_sets, stream=None):
        self.network, self.slots, self.at = network, [], 0
        self.start = network.lib.hone_inference_start
        for inputs in input_sets if stream else input_sets[:1]:
            self.slots.append(Slot(network, inputs, stream))

    def replay(self, n):
        for _ in range(n):
            if self.start(self.slots[self.at].handle):
                self.network.check(1, "hone_inference_start")
            self.at = (self.at + 1) % len(self.slots)

    def sync(self):
        for slot in self.slots:
            self.network.check(self.network.lib.hone_inference_wait(slot.handle), "hone_inference_wait")

    def outputs(self):
        return self.slots[0].outputs()

    def close(self):
        for slot in self.slots:
            slot.close()
        self.slots = []
