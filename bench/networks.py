# SPDX-License-Identifier: Apache-2.0
"""Networks: hone beside its peers, one process, one run, blocks that take turns.

    python3 bench/networks.py --network resnet50:1 --peers graph,max-autotune --effort full --out bench/results/NAME.json
    python3 bench/networks.py --network ppocrv4-det:1 --model ppocrv4-det=FILE.onnx --peers ort --device cpu --precision fp32 --out ...
    python3 bench/networks.py --network x:1 --plan x=FILE --peers self --device cpu --out ...       needs no GPU and no torch

PyTorch exports each network to ONNX in this run, hone tunes it (from an empty database, or what --db has) and builds its plan, the outputs
of both are held against PyTorch in FP32, then they are timed. bench/README.md says what is measured and what the columns mean.
Exit codes: 0 done, 1 something failed (the rest was done), 2 usage, 4 an output is off.
"""
import argparse
import contextlib
import copy
import math
import os
import sys
import tempfile
import time
import traceback
import zlib

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")

import numpy as np

import ceilings
import hone
import peers
import side_by_side
from side_by_side import Off, say

sys.path.insert(0, os.path.join(hone.ROOT, "tests", "models"))
PEERS = (*peers.COMPILED, "tensorrt", "ort", "self")
TORCH_PEERS = (*peers.COMPILED, "tensorrt")
PEER_GATE = 2e-2            # a peer that is further off than this does other work
OCR_GATE = {"fp32": 1e-4, "tf32": 2e-2, "fp16": 6e-2, "bf16": 5e-1}        # trained weights cancel more than random ones


# ---- PyTorch's networks

def spread(torch, model, seed):
    """Every parameter moved a little, so that no pass folds what is 1 or 0, and no output is dead."""
    gen = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn(p.shape, generator=gen) * 0.02)


def damp(torch, model):
    """Residual branches count less than what they are added to. Otherwise a random ResNet-50 multiplies its rounding errors, PyTorch's own
    included, to 3e-2 at the output; so it is 3e-3, as in a trained network."""
    with torch.no_grad():
        for block in model.modules():
            if type(block).__name__ == "Bottleneck":
                block.bn3.weight.mul_(0.3)
            elif getattr(block, "use_res_connect", False):
                block.block[-1][1].weight.mul_(0.3)


def calibrate(torch, model):
    """Batch norms get the statistics of one batch, so that FP16 stays in range as in a trained network."""
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    if not norms:
        return
    for norm in norms:
        norm.momentum = 1.0
    model.cuda().train()
    with torch.no_grad():
        model(torch.randn(16, 3, 224, 224, device="cuda"))


class Vision:
    """A network of torchvision over images."""
    inputs, outputs = ["input"], ["output"]

    def __init__(self, builder):
        self.builder = builder

    def make(self, torch, attempt):
        import torchvision
        torch.manual_seed(1)
        model = getattr(torchvision.models, self.builder)(weights=None)
        spread(torch, model, 1)
        damp(torch, model)
        calibrate(torch, model)
        return model.eval().requires_grad_(False)

    attempts = [None]

    def example(self, torch, batch):
        return (torch.randn(batch, 3, 224, 224),)

    def calls(self, torch, dtype, input_sets):
        """What a peer runs: calls_of(model), with the inputs as it likes them best."""
        images = [torch.from_numpy(one["input"]).cuda().to(dtype).contiguous(memory_format=torch.channels_last) for one in input_sets]
        return lambda model: [lambda x=x: model(x) for x in images]

    def peer_model(self, torch, model, dtype):
        return copy.deepcopy(model).cuda().to(dtype).to(memory_format=torch.channels_last)

    what = "channels-last"


class Bert:
    """BERT-base over 128 tokens."""
    inputs, outputs, sequence = ["input_ids", "attention_mask", "token_type_ids"], ["last_hidden_state", "pooler_output"], 128
    # attention, mask ready-made in the graph: the first that the exporter takes
    attempts = [(None, False), ("eager", False), (None, True), ("eager", True)]

    def make(self, torch, attempt):
        import export_torch
        torch.manual_seed(1)
        with contextlib.redirect_stdout(sys.stderr):
            model = export_torch.Bert(*attempt)
        spread(torch, model, 1)
        return model.eval().requires_grad_(False)

    def example(self, torch, batch):
        ids = torch.randint(1000, 30000, (batch, self.sequence), dtype=torch.int64)
        mask = torch.ones(batch, self.sequence, dtype=torch.int64)
        mask[:, self.sequence - 17:] = 0
        types = torch.zeros(batch, self.sequence, dtype=torch.int64)
        types[:, self.sequence // 2:] = 1
        return ids, mask, types

    def calls(self, torch, dtype, input_sets):
        """The additive mask is made before the graph, in the peer's favour."""
        sets = []
        for one in input_sets:
            ids, mask, types = (torch.from_numpy(one[name]).cuda() for name in self.inputs)
            added = ((1 - mask[:, None, None, :].float()) * torch.finfo(dtype).min).to(dtype).expand(-1, 1, ids.shape[1], -1).contiguous()
            sets.append({"input_ids": ids, "attention_mask": added, "token_type_ids": types})
        return lambda model: [lambda named=named: model(**named) for named in sets]

    def peer_model(self, torch, model, dtype):
        """Its attention is scaled_dot_product_attention, whichever was exported."""
        from transformers import BertConfig, BertModel
        made = BertModel(BertConfig())
        made.load_state_dict(model.bert.state_dict())
        return made.eval().requires_grad_(False).cuda().to(dtype)

    what = "scaled_dot_product_attention, additive mask made before the graph"


NETWORKS = {"resnet50": Vision("resnet50"), "mobilenetv3-large": Vision("mobilenet_v3_large"), "bert-base": Bert(), "vit-b-16": Vision("vit_b_16")}


def export(torch, recipe, batch, exporter, path):
    """The network as PyTorch's exporter writes it; the model that was written. Falls back to the older exporter."""
    import export_torch
    import onnx
    model, error = None, None
    torch.backends.mha.set_fastpath_enabled(False)          # its fused calls have no ONNX
    try:
        for which in dict.fromkeys((exporter, "trace")):
            for attempt in recipe.attempts:
                try:
                    model = recipe.make(torch, attempt).cpu()
                    opset = 18 if which == "dynamo" else 17
                    with torch.no_grad(), contextlib.redirect_stdout(sys.stderr):
                        proto = export_torch.EXPORTERS[which](model, recipe.example(torch, batch), recipe.inputs, recipe.outputs, opset)
                        export_torch.check(proto, recipe.inputs)
                    onnx.save(proto, path)
                    return model, f"torch.onnx {which}, opset {opset}"
                except Exception as problem:
                    say(f"exporter {which}, attempt {attempt}: {type(problem).__name__}: {str(problem)[:400]}")
                    error = problem
        raise error
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


def reference(torch, model, recipe, inputs):
    """PyTorch's own answer in FP32, no TF32."""
    kept, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, False
    try:
        with torch.no_grad():
            answer = model.cuda()(*(torch.from_numpy(inputs[name]).cuda() for name in recipe.inputs))
        return [value.float().cpu().numpy() for value in peers.as_list(torch, answer)]
    finally:
        torch.backends.cudnn.allow_tf32 = kept
        model.cpu()
        torch.cuda.empty_cache()


# ---- inputs

def make_inputs(network, ports, seed):
    """The same values for all sides, drawn by the port's name and type."""
    inputs = {}
    for port in ports:
        rng = np.random.default_rng([seed, zlib.crc32(f"{network}/{port.name}".encode())])
        dims, dtype = port.dims, port.dtype
        if dtype.kind == "f" or port.type == hone.BF16:
            inputs[port.name] = rng.standard_normal(dims, np.float32).astype(np.float32 if port.type == hone.BF16 else dtype)
        elif port.name == "input_ids":
            inputs[port.name] = rng.integers(1000, 30000, dims).astype(dtype)
        elif port.name == "attention_mask":
            inputs[port.name] = (np.arange(dims[-1]) < dims[-1] - dims[-1] // 8 - 1).astype(dtype) * np.ones(dims, dtype)
        elif port.name == "token_type_ids":
            inputs[port.name] = (np.arange(dims[-1]) >= dims[-1] // 2).astype(dtype) * np.ones(dims, dtype)
        else:
            inputs[port.name] = rng.integers(0, 2, dims).astype(dtype)
    return inputs


def page_inputs(name, model):
    """PP-OCR reads a rendered page or line of text: its trained weights mean nothing on noise."""
    import make_inputs as pages
    import onnx
    graph = onnx.load(model, load_external_data=False).graph
    return {value.name: pages.make_input(name, value, 0) for value in graph.input if value.name not in {t.name for t in graph.initializer}}


# ---- one network

class Job:
    """A network and a batch, from the exporter to the rows."""

    def __init__(self, run, name, batch):
        self.run, self.name, self.batch, self.options = run, name, batch, run.options
        self.recipe, self.torch_model, self.facts, self.model, self.network = NETWORKS.get(name), None, {}, None, None
        self.base = os.path.join(run.folder, f"{name}-b{batch}")

    def prepare(self):
        """The ONNX file and the plan."""
        options, given = self.options, dict(self.options.plan).get(self.name)
        self.model = dict(options.model).get(self.name)
        if not given and not self.model:
            start = time.perf_counter()
            self.model = self.base + ".onnx"
            self.torch_model, self.facts["exporter"] = export(self.run.torch, self.recipe, self.batch, options.exporter, self.model)
            self.facts["export_s"] = time.perf_counter() - start
            say(f"{self.name}: exported in {self.facts['export_s']:.1f} s by {self.facts['exporter']}")
        self.facts.update(tuning_s=None, retime_s=None, build_s=None)
        plan = given or self.tune_and_build()
        self.network = hone.Network(self.run.lib, plan, options.device, hone.ALLOW_OTHER_VERSIONS if options.allow_other_versions else 0)

    def tune_and_build(self):
        options, program = self.options, self.run.program
        if options.effort != "lookup":
            tuned = program.tune(self.model, options.effort, options.tune_time)
            self.facts.update(tuning_s=tuned["wall_s"], effort=options.effort, tuned_from="given" if options.db else "empty",
                              out_of_time=tuned["out_of_time"])
            say(f"{self.name}: tuned ({options.effort}) in {tuned['wall_s']:.1f} s" + (", OUT OF TIME" if tuned["out_of_time"] else ""))
        if options.retime:
            retimed = program.retime(self.model, options.retime)
            self.facts["retime_s"] = retimed["wall_s"]
            say(f"{self.name}: retimed in {retimed['wall_s']:.1f} s: {retimed['said']}")
        built = program.build(self.model, self.base + ".plan")
        self.facts.update(build_s=built["wall_s"], predicted_ms=built["predicted_ns"] / 1e6, precision_share=built["precision_share"],
                          steps=built["steps"], untuned=len(built["missing"]))
        say(f"{self.name}: built in {built['wall_s']:.2f} s, {built['steps']} steps, predicted {built['predicted_ns'] / 1e6:.4f} ms, "
            f"{built['precision_share']:.1%} of the flops in {program.precision}, {len(built['missing'])} problems untuned")
        return self.base + ".plan"

    def input_sets(self):
        if self.name.startswith("ppocr") and self.model:
            return [page_inputs(self.name, self.model)]
        bytes_of_a_set = sum(port.size_bytes for port in self.network.inputs) // (2 if self.run.torch else 1)      # a peer has FP16
        sets = side_by_side.slots_needed(bytes_of_a_set, self.run.cache_bytes)
        return [make_inputs(self.name, self.network.inputs, self.options.seed + k) for k in range(sets)]

    def peer_side(self, kind, sets):
        """The side of a peer, or what to say in its place."""
        run, torch = self.run, self.run.torch
        if kind == "self":
            side = hone.HoneSide(self.network, sets, run.stream)
            side.kind, side.what = "self", "hone itself, other slots"
            return side
        if kind == "ort":
            return peers.OrtSide(self.model, sets[0], self.options.threads)
        if kind == "tensorrt":
            return peers.tensorrt_side(torch, self.model, self.options.precision, sets)
        dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(self.options.precision, torch.float32)
        model = self.torch_model if self.torch_model is not None else self.recipe.make(torch, self.recipe.attempts[0])
        made = self.recipe.peer_model(torch, model, dtype)
        return peers.torch_side(torch, kind, f"{self.options.precision.upper()}, {self.recipe.what}", made, self.recipe.calls(torch, dtype, sets))

    def sides(self, sets):
        """hone first, then every peer that stands; the failures have been told."""
        found = [hone.HoneSide(self.network, sets, self.run.stream)]
        for kind in self.options.peers:
            try:
                if kind == "tensorrt" and not peers.tensorrt_is_here():
                    continue
                found.append(self.peer_side(kind, sets))
                say(f"{self.name}: {kind} ready in {found[-1].seconds or 0:.1f} s")
            except Exception:
                say(f"{self.name}: {kind} FAILED\n{traceback.format_exc()[-3000:]}")
                self.run.failed = self.run.failed or 1
        return found

    def gate(self, sides, sets):
        """Distances from the reference; peers that do other work leave, hone off is the end of it."""
        want = None
        if self.torch_model is not None:
            want = reference(self.run.torch, self.torch_model, self.recipe, sets[0])
        elif any(side.kind == "ort" for side in sides):
            want = next(side for side in sides if side.kind == "ort").outputs()
        if want is None:
            self.facts["gate"] = "outputs of all sides finite, not constant, the same before and after the timing; not compared with each other"
            return sides
        most = self.options.gate
        if most is None:
            most = (OCR_GATE if self.name.startswith("ppocr") else side_by_side.TOLERANCES)[self.options.precision]
        errors = {side.kind: side_by_side.distance(side.outputs(), want) for side in sides}
        say(f"{self.name}: relative norm from FP32: " + ", ".join(f"{kind} {error:.2e}" for kind, error in errors.items()) + f"; allowed {most:g}")
        self.facts.update(gate=f"relative norm from {'PyTorch' if self.torch_model is not None else 'ONNX Runtime'} in FP32: at most {most:g}",
                          hone_error=errors["hone"], peer_errors={kind: error for kind, error in errors.items() if kind != "hone"})
        if not errors["hone"] <= most:
            raise Off(f"{self.name}: hone is off by {errors['hone']:.2e}, {most:g} is allowed")
        for side in sides:
            if not errors[side.kind] <= max(PEER_GATE, most):
                say(f"{self.name}: {side.kind} is off by {errors[side.kind]:.2e} and leaves")
                side.close()
        return [side for side in sides if errors[side.kind] <= max(PEER_GATE, most)]

    def rows(self):
        self.prepare()
        sets = self.input_sets()
        sides = self.sides(sets)
        try:
            sides = self.gate(sides, sets)
            timed = side_by_side.measure(self.run.clock, sides, self.options)
        finally:
            for side in sides:
                side.close()
        if "tensorrt" in self.options.peers and not peers.tensorrt_is_here():
            timed.append({"hone_ms": timed[0]["hone_ms"], **side_by_side.NO_PEER, "peer_kind": "tensorrt", "peer": peers.ABSENT, "best": False})
        return [self.finish(row, sets) for row in timed]

    def finish(self, row, sets):
        if row["peer_kind"] == "ort" and self.options.device != "cpu":         # a GPU beside a CPU: reported, no ratio
            row.update(ratio=None, ratio_low=None, ratio_high=None, best=False)
        row = {"kind": "network", "network": self.name, "batch": self.batch, "precision": self.options.precision, **row, **self.facts}
        row["peer_error"] = row.pop("peer_errors", {}).get(row["peer_kind"])
        row["inputs"] = {port.name: str(port) for port in self.network.inputs}
        row["input_sets"] = len(sets) if self.run.stream else 1
        if self.recipe:
            row["weights"] = "the same on all sides" if self.torch_model is not None else "hone has those of the ONNX file, PyTorch its own random ones"
        row.update(side_by_side.conditions(self.run.lib, self.run.torch, self.network.device))
        return row

    def close(self):
        if self.network:
            self.network.close()
        self.torch_model = None
        for suffix in (".onnx", ".plan"):
            with contextlib.suppress(OSError):
                os.remove(self.base + suffix)


class Run:
    """What all networks of a run share."""

    def __init__(self, options, folder, with_torch):
        self.options, self.folder, self.failed = options, folder, 0
        self.torch = self.stream = None
        self.cache_bytes, self.clock = 0, side_by_side.WallClock()
        if with_torch:
            self.torch, stream = peers.import_torch(options.device)
            self.stream, self.clock = stream.cuda_stream, side_by_side.EventClock(self.torch, stream)
            self.cache_bytes = self.torch.cuda.get_device_properties(0).L2_cache_size
        self.lib = hone.load_library(options.library)
        db = options.db or (os.path.join(folder, "empty.db") if options.effort != "lookup" else None)
        self.program = hone.Program(options.hone, db, options.device, options.precision)

    def job(self, name, batch):
        """Rows of one network; whatever one network raises, the others still run."""
        job = Job(self, name, batch)
        try:
            return job.rows()
        except Off as error:
            say(f"{name}: {error}")
            self.failed = 4
        except Exception:
            say(f"{name} batch {batch} FAILED\n{traceback.format_exc()[-3000:]}")
            self.failed = self.failed or 1
        finally:
            job.close()
        return []


# ---- the command

def network_and_batch(text):
    name, colon, batch = text.partition(":")
    if not name or (colon and not batch.isdigit()) or batch == "0":
        raise argparse.ArgumentTypeError(f"NETWORK:BATCH is wanted, not '{text}'")
    return name, int(batch or 1)


def pair(text):
    name, equals, path = text.partition("=")
    if not name or not equals or not path:
        raise argparse.ArgumentTypeError(f"NETWORK=FILE is wanted, not '{text}'")
    return name, path


def needs_torch(options):
    given = dict(options.model + options.plan)
    return bool(set(options.peers) & set(TORCH_PEERS)) or options.ceilings or any(name not in given for name, _ in options.network)


def words(text):
    return [word for word in text.split(",") if word and word != "none"]


def add_common(parser):
    """What networks and single kernels share."""
    parser.add_argument("--effort", choices=("lookup", "quick", "full", "exhaustive"), default="quick", help="of the tuning; lookup: none, build from --db")
    parser.add_argument("--tune-time", metavar="TIME", help="most time of a network's tuning, as hone tune --time")
    parser.add_argument("--retime", type=float, default=0, metavar="SECONDS",
                        help="before building, compare close tactics inside the graph in which they run, at most so long each (hone retime)")
    parser.add_argument("--db", help="the database to tune into and build from (default: an empty one, gone afterwards)")
    parser.add_argument("--hone", default=os.path.join(hone.ROOT, "build", "hone"), help="the program")
    parser.add_argument("--library", default=os.path.join(hone.ROOT, "build", "libhone.so"), help="libhone.so")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--precision", choices=tuple(side_by_side.TOLERANCES), default="fp16")
    parser.add_argument("--exporter", choices=("dynamo", "trace"), default="dynamo", help="of PyTorch; trace stands in where dynamo fails")
    parser.add_argument("--gate", type=float, help="most relative norm between hone and FP32 (default: the precision's tolerance)")
    parser.add_argument("--allow-other-versions", action="store_true", help="plans built beside other library versions")
    parser.add_argument("--quads", type=int, default=20, help="everybody there and back, this often: twice as many blocks a side")
    parser.add_argument("--warm-up", type=float, default=0.5, help="seconds a side")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", required=True, help="the JSON file")


def parse(arguments=None):
    parser = argparse.ArgumentParser(description="hone and its peers side by side", formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--network", action="append", type=network_and_batch, default=[], metavar="NETWORK:BATCH",
                        help=f"{', '.join(NETWORKS)}, or the name of a --model or --plan; may be given again")
    parser.add_argument("--model", action="append", type=pair, default=[], metavar="NETWORK=ONNX", help="an ONNX file in place of PyTorch's export")
    parser.add_argument("--plan", action="append", type=pair, default=[], metavar="NETWORK=PLAN", help="a plan in place of tuning and building")
    parser.add_argument("--peers", type=words, default=["graph"], metavar="LIST", help=f"of {','.join(PEERS)}; or none")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of ONNX Runtime")
    parser.add_argument("--ceilings", action="store_true", help="rows of what the device can do at best, too")
    add_common(parser)
    options = parser.parse_args(arguments)
    complain(parser, options)
    return options


def complain_of_common(parser, options):
    if not 0 <= options.retime <= 86400:
        parser.error("--retime wants seconds up to 86400")
    if options.retime and options.effort == "lookup" and not options.db:
        parser.error("--retime writes what it finds: without a tuning it needs --db")


def complain(parser, options):
    complain_of_common(parser, options)
    given = dict(options.model + options.plan)
    if not options.network and not options.ceilings:
        parser.error("--network is needed")
    unknown = [peer for peer in options.peers if peer not in PEERS]
    if unknown:
        parser.error(f"there is no peer {unknown[0]}, only {', '.join(PEERS)}")
    for name, _ in options.network:
        if name not in NETWORKS and name not in given:
            parser.error(f"PyTorch has no {name} here, only {', '.join(NETWORKS)}; --model {name}=FILE names another")
        if name not in NETWORKS and set(options.peers) & set(peers.COMPILED):
            parser.error(f"PyTorch has no {name} here; --peers ort, tensorrt, self or none time it")
        if name not in dict(options.model) and name in dict(options.plan) and set(options.peers) & {"ort", "tensorrt"}:
            parser.error(f"--peers ort and tensorrt need --model {name}=FILE")
    if not options.device.startswith("cuda") and needs_torch(options):
        parser.error(f"PyTorch's networks and peers and the ceilings need --device cuda:0, not {options.device}")
    if options.quads < 1 or not math.isfinite(options.warm_up) or options.warm_up < 0:
        parser.error("--quads wants 1 or more, --warm-up 0 or more")


def main():
    options, rows = parse(), []
    with tempfile.TemporaryDirectory() as folder:
        run = Run(options, folder, needs_torch(options))
        if options.ceilings:
            rows += ceilings.rows(run)
            side_by_side.write(options.out, rows)
        for name, batch in options.network:
            made = run.job(name, batch)
            for row in made:
                print(side_by_side.line_of(row), flush=True)
                for remark in row.get("remarks", []):
                    print("  " + remark, flush=True)
            rows += made
            side_by_side.write(options.out, rows)
    return run.failed


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RuntimeError as error:
        sys.exit(f"bench/networks.py: {error}")
