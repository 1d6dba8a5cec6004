# SPDX-License-Identifier: Apache-2.0
"""Who hone runs beside: PyTorch (eager or compiled, in CUDA graphs), TensorRT where it can be imported, ONNX Runtime on the CPU."""
import contextlib
import importlib.util
import os
import time

import side_by_side

# kind -> mode of torch.compile and settings of its compiler; None: eager
COMPILED = {
    "graph": None,
    "compile": ("default", {}),
    "max-autotune": ("max-autotune-no-cudagraphs", {}),
    "freeze": ("max-autotune-no-cudagraphs", {"freezing": True}),      # weights as constants, so that norms fold into convolutions
}
WORDS = {"graph": "eager, cudnn.benchmark", "compile": "torch.compile", "max-autotune": "torch.compile max-autotune",
         "freeze": "torch.compile max-autotune, frozen"}


def import_torch(device):
    """Before libhone is loaded: both then find the same libcudnn and libcublasLt in the process. Everything of both sides goes to one stream."""
    import torch
    torch.cuda.set_device(torch.device(device if ":" in device else "cuda:0"))
    torch.zeros(1, device="cuda")
    stream = torch.cuda.Stream()
    torch.cuda.set_stream(stream)
    torch.backends.cudnn.benchmark = True
    return torch, stream


def as_list(torch, answer):
    """The tensors of an answer, in order."""
    if isinstance(answer, torch.Tensor):
        return [answer]
    values = answer.values() if hasattr(answer, "values") else answer
    return [value for value in values if isinstance(value, torch.Tensor)]


class GraphSide:
    """Calls captured once each, a set of inputs and memory of its own each; replays take them in turn."""

    def __init__(self, torch, kind, what, calls, per_replay=1):
        self.torch, self.kind, self.what, self.at, self.graphs = torch, kind, what, 0, []
        self.per_replay = per_replay
        self.calls = list(calls)        # their inputs and weights are read by every replay
        start = time.perf_counter()
        with torch.no_grad():
            for call in self.calls:
                self.graphs.append(self.capture(call))
        self.seconds = time.perf_counter() - start

    def capture(self, call):
        torch = self.torch
        for _ in range(3):
            call()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            answer = call()
        return graph, answer

    def replay(self, n):
        for _ in range(n):
            self.graphs[self.at][0].replay()
            self.at = (self.at + 1) % len(self.graphs)

    def sync(self):
        self.torch.cuda.synchronize()

    def outputs(self):
        graph, answer = self.graphs[0]
        graph.replay()
        self.sync()
        return [value.float().cpu().numpy() for value in as_list(self.torch, answer)]

    def close(self):
        self.torch.cuda.synchronize()
        self.graphs = self.calls = []
        self.torch.cuda.empty_cache()


def torch_side(torch, kind, what, model, calls_of):
    """calls_of(model) gives a call a set of inputs. Compiling counts as the side's making."""
    start = time.perf_counter()
    settings = contextlib.nullcontext()
    if COMPILED[kind]:
        mode, config = COMPILED[kind]
        import torch._inductor.config
        torch._dynamo.reset()
        settings = torch._inductor.config.patch(config) if config else settings
        model = torch.compile(model, mode=mode)
    with settings:
        side = GraphSide(torch, kind, f"PyTorch {torch.__version__.split('+')[0]}, {WORDS[kind]}, CUDA graph; {what}", calls_of(model))
    side.seconds = time.perf_counter() - start
    return side


class OrtSide:
    """ONNX Runtime on the CPU."""
    kind = "ort"

    def __init__(self, model, inputs, threads):
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
        start = time.perf_counter()
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.seconds = time.perf_counter() - start
        self.inputs = inputs
        self.what = f"ONNX Runtime {onnxruntime.__version__}, FP32 on the CPU, {threads} threads"

    def replay(self, n):
        for _ in range(n):
            self.answer = self.session.run(None, self.inputs)

    def sync(self):
        pass

    def outputs(self):
        self.replay(1)
        return self.answer

    def close(self):
        self.session = None


# ---- TensorRT

ABSENT = "TensorRT: its Python package is not here"


def tensorrt_is_here():
    return importlib.util.find_spec("tensorrt") is not None


def tensorrt_engine(trt, model, precision):
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(os.path.abspath(model)):
        raise RuntimeError(f"TensorRT cannot read {os.path.basename(model)}: {parser.get_error(0).desc()}")
    config = builder.create_builder_config()
    config.builder_optimization_level = 5
    if precision in ("fp16", "bf16"):
        config.set_flag(getattr(trt.BuilderFlag, precision.upper()))
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise RuntimeError("TensorRT built nothing")
    return trt.Runtime(logger).deserialize_cuda_engine(plan)


def tensorrt_side(torch, model, precision, input_sets):
    """An execution context for each set of inputs, captured."""
    import tensorrt as trt
    start = time.perf_counter()
    engine = tensorrt_engine(trt, model, precision)
    names = [engine.get_tensor_name(k) for k in range(engine.num_io_tensors)]
    outs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.OUTPUT]

    def call_of(inputs):
        context = engine.create_execution_context()
        held = {name: torch.from_numpy(inputs[name]).cuda() for name in names if name not in outs}
        for name in outs:
            kind = torch.from_numpy(trt.nptype(engine.get_tensor_dtype(name))(0).reshape(1)).dtype
            held[name] = torch.empty(tuple(context.get_tensor_shape(name)), dtype=kind, device="cuda")
        for name, tensor in held.items():
            context.set_tensor_address(name, tensor.data_ptr())

        def call():
            if not context.execute_async_v3(torch.cuda.current_stream().cuda_stream):
                raise RuntimeError("TensorRT's context does not run")
            return [held[name] for name in outs]
        return call

    what = f"TensorRT {trt.__version__}, level 5, {precision.upper()}, CUDA graph"
    side = GraphSide(torch, "tensorrt", what, [call_of(inputs) for inputs in input_sets])
    side.seconds = time.perf_counter() - start
    side_by_side.say(f"TensorRT built in {side.seconds:.0f} s")
    return side
