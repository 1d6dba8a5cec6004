# SPDX-License-Identifier: Apache-2.0
"""Single kernels: hone beside PyTorch, cuBLASLt and cuDNN, one process, one run.

    python3 bench/kernels.py --family gemm --precision fp16 --effort full --out bench/results/NAME.json
    python3 bench/kernels.py --family conv --batch 1 --out ...          ResNet-50's layers with their fused tails
    python3 bench/kernels.py --family attention --out ...               --family memory: norms and elementwise chains of 64 MB and more

A case is a network of one layer, several copies of it with operands of their own, together larger than the L2, behind one another in one
graph on every side; times are of one copy. bench/README.md tells how convolutions differ. Exit codes as networks.py has them.
"""
import argparse
import json
import math
import os
import re
import sys
import tempfile
import traceback

import numpy as np

import ceilings
import hone
import networks
import peers
import side_by_side
from side_by_side import Off, say

COPIES_MAX = 64
IN_A_ROW = 16       # of a convolution, as hone run --profile has it


class Pool:
    """Random values, drawn once: operands are windows of it."""

    def __init__(self, seed):
        self.values, self.at = np.random.default_rng(seed).standard_normal(1 << 24, np.float32), 0

    def take(self, dims, scale=1.0):
        n = math.prod(dims)
        self.at = (self.at + 104729) % (1 << 23)
        return np.resize(self.values[self.at:self.at + n], n).reshape(dims) * np.float32(scale)


# ---- cases: how the layer is written, and what PyTorch runs in its place

class Case:
    """inputs: name -> dims; constants: name -> dims (FP16 or BF16 all); nodes(node) writes it."""
    scales, tuned = {}, ""

    def bytes_touched(self):
        dims = [*self.inputs.values(), *self.constants.values(), self.output]
        return 2 * sum(math.prod(d) for d in dims)


class Gemm(Case):
    family, tuned = "gemm", "matmul"

    def __init__(self, m, n, k):
        self.problem = f"{m}x{n}x{k}"
        self.inputs, self.constants, self.output = {"x": (m, k)}, {"w": (n, k)}, (m, n)
        self.scales = {"w": k ** -0.5}

    def nodes(self, node):
        return [node("Gemm", ["x", "w"], "y", transB=1)]

    def peers(self, torch):
        """cuBLAS is what PyTorch takes by default; cublaslt is cuBLASLt's first heuristic."""
        def by(library):
            def call(x, w):
                kept = torch.backends.cuda.preferred_blas_library()
                torch.backends.cuda.preferred_blas_library(library)
                try:
                    return torch.nn.functional.linear(x, w)
                finally:
                    torch.backends.cuda.preferred_blas_library(kept)
            return call
        return {"cublas": by("cublas"), "cublaslt": by("cublaslt")}

    def reference(self, torch, x, w):
        return torch.nn.functional.linear(x, w)


class Attention(Case):
    family, tuned = "attention", "attention"

    def __init__(self, batch, heads, sequence, size):
        self.problem = f"{batch}x{heads}x{sequence}x{size}"
        dims = (batch, heads, sequence, size)
        self.inputs, self.constants, self.output = {"q": dims, "k": dims, "v": dims}, {}, dims
        self.scales = {"q": size ** -0.5}          # so that the product needs none

    def nodes(self, node):
        return [node("Transpose", ["k"], "t", perm=[0, 1, 3, 2]), node("MatMul", ["q", "t"], "a"), node("Softmax", ["a"], "p", axis=-1),
                node("MatMul", ["p", "v"], "y")]

    def peers(self, torch):
        from torch.nn.attention import SDPBackend, sdpa_kernel

        def by(backend):
            def call(q, k, v):
                with sdpa_kernel(backend):
                    return self.reference(torch, q, k, v)
            return call
        return {"cudnn": by(SDPBackend.CUDNN_ATTENTION), "flash": by(SDPBackend.FLASH_ATTENTION)}

    def reference(self, torch, q, k, v):
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=1.0)


class Rows(Case):
    """Of memory's speed: beside PyTorch's own, and beside a copy of as many bytes."""
    family = "memory"

    def __init__(self, rows, columns):
        self.problem = f"{self.word} {rows}x{columns}"
        self.inputs, self.constants, self.output = {"x": (rows, columns)}, {}, (rows, columns)

    def peers(self, torch):
        return {"eager": lambda *operands: self.reference(torch, *operands)}


class Softmax(Rows):
    word = tuned = "softmax"

    def nodes(self, node):
        return [node("Softmax", ["x"], "y", axis=-1)]

    def reference(self, torch, x):
        return torch.softmax(x, -1)


class LayerNorm(Rows):
    word = tuned = "layernorm"

    def __init__(self, rows, columns):
        super().__init__(rows, columns)
        self.constants = {"g": (columns,), "b": (columns,)}

    def nodes(self, node):
        return [node("LayerNormalization", ["x", "g", "b"], "y", axis=-1, epsilon=1e-5)]

    def reference(self, torch, x, g, b):
        return torch.nn.functional.layer_norm(x, x.shape[-1:], g, b, 1e-5)


class Chain(Rows):
    """silu(x * g + b) + z."""
    word = "silu chain"

    def __init__(self, rows, columns):
        super().__init__(rows, columns)
        self.inputs = {"x": (rows, columns), "z": (rows, columns)}
        self.constants = {"g": (columns,), "b": (columns,)}

    def nodes(self, node):
        return [node("Mul", ["x", "g"], "m"), node("Add", ["m", "b"], "a"), node("Sigmoid", ["a"], "s"), node("Mul", ["a", "s"], "u"),
                node("Add", ["u", "z"], "y")]

    def reference(self, torch, x, z, g, b):
        return torch.nn.functional.silu(x * g + b) + z


def layers(rows, dims):
    """A transformer's products for each number of rows: (N, K) of dims."""
    return [Gemm(m, n, k) for m in rows for n, k in dims]


BASE = [(768, 768), (2304, 768), (3072, 768), (768, 3072)]                              # BERT-base and ViT-B
LLAMA_8B = [(6144, 4096), (4096, 4096), (28672, 4096), (4096, 14336)]
LLAMA_1B = [(3072, 2048), (2048, 2048), (16384, 2048), (2048, 8192)]
ROWS = [(262144, 128), (32768, 1024), (87424, 768), (32768, 4096)]                     # 64, 64, 128 and 256 MB, smallest first
FAMILIES = {
    "gemm": [Gemm(n, n, n) for n in (256, 512, 1024, 2048, 4096, 8192)] + layers((128, 4096, 197, 6304), BASE)
    + layers((1, 8, 16, 32, 64), LLAMA_8B) + layers((1, 8, 16, 64), LLAMA_1B) + layers((1, 128), [(1000, 2048)]),
    "attention": [Attention(*dims, 64) for dims in ((1, 12, 128), (32, 12, 128), (1, 12, 197), (32, 12, 197), (4, 16, 2048), (1, 16, 8192))]
    + [Attention(*dims, 128) for dims in ((4, 16, 512), (2, 16, 2048), (1, 32, 4096), (1, 16, 8192))],
    "memory": [kind(*dims) for dims in ROWS for kind in (LayerNorm, Softmax, Chain)],
}


# ---- one case

def copies_of(case, cache_bytes):
    return max(1, min(COPIES_MAX, int(1.25 * cache_bytes / case.bytes_touched()) + 1))


def write_model(cases, precision, pool, path, bare=False):
    """The ONNX file of these layers, one beside the other; the constants of each in FP32. bare: constants are inputs, too, and nothing is drawn."""
    import onnx
    from onnx import helper
    kind = {"fp16": onnx.TensorProto.FLOAT16, "bf16": onnx.TensorProto.BFLOAT16}[precision]
    pack = hone.to_bf16 if precision == "bf16" else lambda values: values.astype(np.float16)
    nodes, inputs, outputs, weights, constants = [], [], [], [], []
    for k, case in enumerate(cases):
        def node(op, ins, out, k=k, **attributes):
            return helper.make_node(op, [f"{name}{k}" for name in ins], [f"{out}{k}"], **attributes)
        nodes += case.nodes(node)
        given = {**case.inputs, **(case.constants if bare else {})}
        inputs += [helper.make_tensor_value_info(f"{name}{k}", kind, dims) for name, dims in given.items()]
        outputs.append(helper.make_tensor_value_info(f"y{k}", kind, case.output))
        constants.append({name: pool.take(dims, case.scales.get(name, 1.0)) for name, dims in case.constants.items() if not bare})
        weights += [helper.make_tensor(f"{name}{k}", kind, values.shape, pack(values).tobytes(), raw=True) for name, values in constants[-1].items()]
    graph = helper.make_graph(nodes, "layers", inputs, outputs, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    return constants


class Copies(peers.GraphSide):
    """All copies in one graph."""

    def __init__(self, torch, kind, what, call, operands):
        super().__init__(torch, kind, what, [lambda: [call(*one) for one in operands]])


class CopySide(Copies):
    """A copy of as many bytes as a case touches: no peer that does the work, but the most that memory gives."""

    def __init__(self, torch, case, copies):
        n = case.bytes_touched() // 4          # half read, half written, two bytes each
        pairs = [(torch.randn(n, device="cuda").half(), torch.empty(n, dtype=torch.float16, device="cuda")) for _ in range(copies)]
        super().__init__(torch, "copy", "a device-to-device copy of as many bytes", lambda a, b: b.copy_(a), pairs)


class Bench:
    """The cases of a family in one precision, tuned together; only problems that begin as a case's `tuned` are."""

    def __init__(self, run, cases):
        self.run, self.options, self.pool = run, run.options, Pool(run.options.seed)
        self.cases = [(case, copies_of(case, run.cache_bytes)) for case in cases]

    def path(self, index, suffix):
        return os.path.join(self.run.folder, f"case{index}{suffix}")

    def tune(self):
        """One list of what all cases ask for, one tuning."""
        if self.options.effort == "lookup":
            return None
        write_model([case for case, _ in self.cases], self.options.precision, self.pool, self.path("s", ".onnx"), bare=True)
        prefixes = tuple({case.tuned for case, _ in self.cases})
        wanted = [line for line in self.run.program.problems(self.path("s", ".onnx")) if line.startswith(prefixes)]
        with open(self.path("s", ".list"), "w") as file:
            file.write("".join(line + "\n" for line in wanted))
        say(f"tuning {len(wanted)} problems ({self.options.effort})")
        tuned = self.run.program.tune(self.path("s", ".list"), self.options.effort, self.options.tune_time)
        say(f"tuned in {tuned['wall_s']:.1f} s" + (", OUT OF TIME" if tuned["out_of_time"] else ""))
        return tuned

    def retime(self, case, model):
        """Seconds, or None where it was not asked for."""
        if not self.options.retime:
            return None
        retimed = self.run.program.retime(model, self.options.retime, "--lanes", "1")
        say(f"{case.problem}: retimed in {retimed['wall_s']:.1f} s: {retimed['said']}")
        return retimed["wall_s"]

    def operands(self, case, constants, inputs, dtype):
        """Of each copy, inputs before constants, on the device."""
        torch = self.run.torch
        to = lambda values: torch.from_numpy(values).cuda().to(dtype)
        return [[to(inputs[f"{name}{k}"]) for name in case.inputs] + [to(values) for values in constant.values()]
                for k, constant in enumerate(constants)]

    def sides(self, case, copies, network, inputs, operands):
        torch = self.run.torch
        found = [hone.HoneSide(network, [inputs], self.run.stream)]
        version = f"PyTorch {torch.__version__.split('+')[0]}"
        for kind, call in case.peers(torch).items():
            try:
                found.append(Copies(torch, kind, f"{version}, {kind}, CUDA graph", call, operands))
            except Exception as error:
                say(f"{case.problem}: {kind} FAILED: {type(error).__name__}: {str(error)[:300]}")
                self.run.failed = self.run.failed or 1
        if case.family == "memory":
            found.append(CopySide(torch, case, copies))
        return found

    def gate(self, case, sides, operands):
        """hone and its peers against PyTorch in FP32 on the same operands, rounded as they were."""
        torch = self.run.torch
        with torch.no_grad():
            want = [case.reference(torch, *(one.float() for one in operand)).cpu().numpy() for operand in operands]
        most = side_by_side.TOLERANCES[self.options.precision]
        errors = {side.kind: side_by_side.distance(side.outputs(), want) for side in sides if side.kind != "copy"}
        if not errors["hone"] <= most:
            raise Off(f"{case.problem}: hone is off by {errors['hone']:.2e}, {most:g} is allowed")
        return {"hone_error": errors["hone"], "peer_errors": errors, "gate": f"relative norm from PyTorch in FP32: at most {most:g}"}

    def rows(self, index, tuned):
        case, copies = self.cases[index]
        run, model, plan = self.run, self.path(index, ".onnx"), self.path(index, ".plan")
        constants = write_model([case] * copies, self.options.precision, self.pool, model)
        retimed = self.retime(case, model)
        built = run.program.build(model, plan, "--lanes", "1")
        network, sides = hone.Network(run.lib, plan, self.options.device), []
        try:
            inputs = {port.name: self.pool.take(port.dims, case.scales.get(port.name.rstrip("0123456789"), 1.0)) for port in network.inputs}
            dtype = {"fp16": run.torch.float16, "bf16": run.torch.bfloat16}[self.options.precision]
            operands = self.operands(case, constants, inputs, dtype)
            sides = self.sides(case, copies, network, inputs, operands)
            facts = self.gate(case, sides, operands)
            copy_gb_s = ceilings.copy_bandwidth(run.torch)[0] if case.family == "memory" else None
            timed = side_by_side.measure(run.clock, sides, self.options)
            facts.update(copies=copies, build_s=built["wall_s"], tuning_s=tuned and tuned["wall_s"], retime_s=retimed, tuned_together=tuned and len(self.cases),
                         untuned=len(built["missing"]), tactics=tactics_of(self.options.hone, plan))
            rows = [finish(run, case.family, case.problem, row, copies, facts, network.device) for row in timed]
            return [{**row, **share_of_copy(case, row["hone_ms"], copy_gb_s)} for row in rows] if copy_gb_s else rows
        finally:
            for side in sides:
                side.close()
            network.close()
            os.remove(model)
            os.remove(plan)


def tactics_of(program, plan):
    """What hone runs, each once."""
    steps = json.loads(hone.call([program, "plan", "show", plan, "--json"]))["steps"]
    return sorted({step["tactic"] for step in steps})


def share_of_copy(case, hone_ms, copy_gb_s):
    """How near hone comes to a copy of 2 GiB in the same run."""
    gb_s = case.bytes_touched() / hone_ms / 1e6
    return {"gb_s": gb_s, "copy_gb_s": copy_gb_s, "share_of_copy": gb_s / copy_gb_s}


def finish(run, family, problem, row, copies, facts, device):
    for key in ("hone_ms", "peer_ms"):
        row[key] = row[key] and row[key] / copies
    row = {"kind": family, "problem": problem, "batch": None, "precision": run.options.precision, **row, **facts, "effort": run.options.effort}
    row["peer_error"] = row.pop("peer_errors", {}).get(row["peer_kind"])
    row.update(side_by_side.conditions(run.lib, run.torch, device))
    return row


# ---- convolutions: the steps of ResNet-50's plan

def operand(call, name):
    """dims and whether they lie channels last."""
    found = re.search(rf"\b{name}=\w+:([\dx]+)(:nhwc)?", call)
    return tuple(map(int, found.group(1).split("x"))), bool(found.group(2))


def pair_of(call, name, default):
    found = re.search(rf"\b{name}=([\d,]+)", call)
    values = [int(word) for word in found.group(1).split(",")] if found else [default]
    if len(values) == 4 and values[:2] == values[2:]:
        values = values[:2]
    if len(values) > 2:
        raise ValueError(f"{name} of {call}")
    return values[0], values[-1]


class Layer:
    """A convolution with its tail, read from the problem of a step; tails other than add and relu are nobody's here."""

    def __init__(self, problem):
        first, *tail = problem.split(" | ")
        if not first.startswith("conv "):
            raise ValueError(problem)
        x, last = operand(first, "x")
        self.x = (x[0], x[3], x[1], x[2]) if last else x
        w, last = operand(first, "w")
        self.w = (w[0], w[3], w[1], w[2]) if last else w
        self.stride, self.pad, self.dilation = pair_of(first, "stride", 1), pair_of(first, "pad", 0), pair_of(first, "dilation", 1)
        group = re.search(r"\bgroup=(\d+)", first)
        self.group = int(group.group(1)) if group else 1
        self.tail = [call.split()[0] for call in tail]
        if self.tail not in ([], ["relu"], ["add"], ["add", "relu"]):
            raise ValueError(problem)
        self.problem = problem

    def calls(self, torch):
        """eager: PyTorch's operators; fused: cuDNN's own fusion, where PyTorch has it for this tail."""
        def last(*dims):
            return torch.randn(*dims, device="cuda").half().contiguous(memory_format=torch.channels_last)
        f, x, w, b = torch.nn.functional, last(*self.x), last(*self.w), torch.randn(self.w[0], device="cuda").half()
        rest = (self.stride, self.pad, self.dilation, self.group)
        z = torch.randn_like(f.conv2d(x, w, b, *rest)) if "add" in self.tail else None

        def eager():
            y = f.conv2d(x, w, b, *rest)
            if z is not None:
                y = y.add_(z)
            return y.relu_() if "relu" in self.tail else y
        calls = {"eager": eager}
        if self.tail == ["relu"]:
            calls["fused"] = lambda: torch.cudnn_convolution_relu(x, w, b, *rest)
        if self.tail == ["add", "relu"]:
            calls["fused"] = lambda: torch.cudnn_convolution_add_relu(x, w, z, 1.0, b, *rest)
        return calls


def profile(run, plan):
    """problem -> seconds of the step alone, as hone has it: a sixteenth of sixteen in a row, cache warm."""
    command = [run.options.hone, "run", plan, "--device", run.options.device, "--profile", "--json", "--warmUp", "200", "--iterations", "10"]
    found = {}
    for step in json.loads(hone.call(command))["profile"]:
        found.setdefault(step["problem"], []).append(step["measured_ns"] / 1e9)
    return {problem: float(np.median(times)) for problem, times in found.items()}


def time_layer(run, call):
    """Seconds of one call, sixteen in a row in a graph, cache warm: what hone's profile does."""
    with run.torch.no_grad():
        return ceilings.seconds_of(run.torch, ceilings.graph_of(run.torch, call, IN_A_ROW).replay, 20) / IN_A_ROW


def time_all_layers(run, found):
    """(problem, kind) -> seconds."""
    times = {}
    for layer in found:
        try:
            for kind, call in layer.calls(run.torch).items():
                times[layer.problem, kind] = time_layer(run, call)
        except Exception as error:
            say(f"{layer.problem} FAILED: {type(error).__name__}: {str(error)[:300]}")
            run.failed = run.failed or 1
        run.torch.cuda.empty_cache()
    return times


def conv_rows(run, batch):
    """Layers in turns A B B A, a whole profile or all of PyTorch's layers being one A or B."""
    job = networks.Job(run, "resnet50", batch)
    try:
        job.prepare()
        sets = job.input_sets()[:1]
        sides = [hone.HoneSide(job.network, sets, run.stream)]
        job.gate(sides, sets)
        sides[0].close()
        plan, found = job.base + ".plan", []
        for problem in profile(run, plan):
            try:
                found.append(Layer(problem))
            except ValueError:
                if problem.startswith("conv "):
                    say(f"no peer for {problem}")
        ours, theirs = [], []
        for turn in range(run.options.turns):
            ours.append(profile(run, plan))
            theirs += [time_all_layers(run, found), time_all_layers(run, found)]
            ours.append(profile(run, plan))
            say(f"turn {turn + 1} of {run.options.turns}")
        facts = {**job.facts, "clock": "CUDA events; hone: hone run --profile", "in_a_row": IN_A_ROW, "peer_errors": {}}
        return [row for layer in found for row in layer_rows(run, batch, layer, ours, theirs, facts, job.network.device)]
    finally:
        job.close()


def layer_rows(run, batch, layer, ours, theirs, facts, device):
    a = np.array([one[layer.problem] for one in ours]).reshape(-1, 2)
    rows = []
    for kind in ("eager", "fused"):
        if not all((layer.problem, kind) in one for one in theirs):
            continue
        b = np.array([one[layer.problem, kind] for one in theirs]).reshape(-1, 2)
        low, high = side_by_side.bootstrap(a, b, run.options.seed)
        rows.append({"hone_ms": float(np.median(a)) * 1e3, "peer_kind": kind, "peer": f"PyTorch {run.torch.__version__.split('+')[0]}, {kind}, CUDA graph",
                     "peer_ms": float(np.median(b)) * 1e3, "ratio": float(np.median(b) / np.median(a)), "ratio_low": low, "ratio_high": high})
    side_by_side.name_best(rows)
    return [{**finish(run, "conv", layer.problem, row, 1, facts, device), "batch": batch} for row in rows]


# ---- the command

def parse(arguments=None):
    parser = argparse.ArgumentParser(description="hone's kernels and their peers side by side", formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--family", choices=(*FAMILIES, "conv"), required=True)
    parser.add_argument("--only", default="", help="problems that match this regular expression")
    parser.add_argument("--batch", type=int, default=1, help="of the convolutions")
    parser.add_argument("--turns", type=int, default=2, help="A B B A of the convolutions")
    parser.add_argument("--stop-after", type=float, default=math.inf, metavar="SECONDS", help="no new case once the run is that old")
    networks.add_common(parser)
    options = parser.parse_args(arguments)
    options.peers, options.model, options.plan = [], [], []
    networks.complain_of_common(parser, options)
    if not options.device.startswith("cuda"):
        parser.error(f"kernels are measured beside PyTorch's on --device cuda:0, not {options.device}")
    if options.precision not in ("fp16", "bf16") or (options.family in ("conv", "attention") and options.precision != "fp16"):
        parser.error(f"{options.family} is not measured in {options.precision}")
    if options.turns < 1 or options.batch < 1:
        parser.error("--turns and --batch want 1 or more")
    return options


def run_family(run, options):
    """Writes the rows as they come."""
    rows = []

    def more(made):
        for row in made:
            share = f"  {row['gb_s']:.0f} GB/s, {row['share_of_copy']:.1%} of a copy's {row['copy_gb_s']:.0f}" if "share_of_copy" in row else ""
            print(side_by_side.line_of(row) + share, flush=True)
        rows.extend(made)
        side_by_side.write(options.out, rows)

    if options.family == "conv":
        more(conv_rows(run, options.batch))
        return
    bench = Bench(run, [case for case in FAMILIES[options.family] if re.search(options.only, case.problem)])
    tuned = bench.tune()
    for index, (case, _) in enumerate(bench.cases):
        if side_by_side.age() > options.stop_after:
            say(f"{len(bench.cases) - index} cases are left out: the time is up")
            run.failed = run.failed or 1
            break
        try:
            more(bench.rows(index, tuned))
        except Off as error:
            say(str(error))
            run.failed = 4
        except Exception:
            say(f"{case.problem} FAILED\n{traceback.format_exc()[-2000:]}")
            run.failed = run.failed or 1
        run.torch.cuda.empty_cache()


def main():
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        run = networks.Run(options, folder, True)
        run_family(run, options)
    return run.failed


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RuntimeError as error:
        sys.exit(f"bench/kernels.py: {error}")
