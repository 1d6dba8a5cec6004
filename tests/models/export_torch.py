# SPDX-License-Identifier: Apache-2.0
"""Exports the test networks from PyTorch with both exporters, without weights.

Run where torch, torchvision, transformers, onnx and onnxscript are installed:
    python3 tests/models/export_torch.py OUT_DIR [--batches]
Writes OUT_DIR/graphs.tar, whose files NAME.onnx.xz belong into
tests/models/graphs/, and OUT_DIR/export.txt, the summary.  Networks are built
from their configuration with random weights; nothing is downloaded.
"""
import argparse
import collections
import io
import os
import sys
import tarfile
import tempfile
import time
import traceback
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
warnings.filterwarnings("ignore")

import onnx
import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import weightless

SEQ = 128
LINES = []


def say(text):
    print(text, flush=True)
    LINES.append(text)


def randomize(model):
    """Distinct values everywhere, so that no pass merges equal parameters or folds neutral ones."""
    gen = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=gen) * 0.02)
        for name, b in model.named_buffers():
            if not b.is_floating_point() or b.numel() < 2:
                continue
            if name.endswith("running_var"):
                b.copy_(torch.rand(b.shape, generator=gen) + 0.5)
            elif name.endswith("running_mean"):
                b.copy_(torch.randn(b.shape, generator=gen) * 0.02)
    return model.eval().requires_grad_(False)


def vision(builder):
    def make(batch):
        import torchvision
        model = randomize(getattr(torchvision.models, builder)(weights=None))
        return model, (torch.randn(batch, 3, 224, 224),), ["input"], ["output"]
    return make


class Bert(torch.nn.Module):
    """BertModel with positional inputs and a tuple of outputs; mask4d gives the mask ready-made."""

    def __init__(self, attention, mask4d):
        super().__init__()
        from transformers import BertConfig, BertModel
        config = BertConfig()
        if attention:
            config._attn_implementation = attention
        self.bert = BertModel(config)
        self.mask4d = mask4d
        say(f"  attention implementation: {self.bert.config._attn_implementation}")

    def forward(self, input_ids, attention_mask, token_type_ids):
        mask = attention_mask
        if self.mask4d:
            mask = (1.0 - mask[:, None, None, :].to(torch.float32)) * torch.finfo(torch.float32).min
            mask = mask.expand(-1, 1, input_ids.shape[1], -1)
        out = self.bert(input_ids=input_ids, attention_mask=mask, token_type_ids=token_type_ids)
        return out.last_hidden_state, out.pooler_output


def bert(attention=None, mask4d=False):
    def make(batch):
        model = randomize(Bert(attention, mask4d))
        ids = torch.randint(1000, 30000, (batch, SEQ), dtype=torch.int64)
        mask = torch.ones(batch, SEQ, dtype=torch.int64)
        mask[:, SEQ - 17:] = 0
        types = torch.zeros(batch, SEQ, dtype=torch.int64)
        types[:, SEQ // 2:] = 1
        return (model, (ids, mask, types), ["input_ids", "attention_mask", "token_type_ids"],
                ["last_hidden_state", "pooler_output"])
    return make


def call_export(model, args, target, **kw):
    """torch.onnx.export, dropping the keywords that this version does not know."""
    while True:
        try:
            return torch.onnx.export(model, args, target, **kw)
        except TypeError as err:
            bad = next((k for k in kw if f"'{k}'" in str(err) and "unexpected keyword" in str(err)), None)
            if bad is None:
                raise
            say(f"  torch.onnx.export has no keyword {bad}")
            kw.pop(bad)


def export_dynamo(model, args, ins, outs, opset):
    err = None
    for optimize in (True, False):
        try:
            prog = call_export(model, args, None, dynamo=True, opset_version=opset, input_names=ins,
                               output_names=outs, optimize=optimize, external_data=False,
                               fallback=False, verify=False, verbose=False)
            proto = getattr(prog, "model_proto", None)
            if proto is None:
                with tempfile.TemporaryDirectory() as tmp:
                    path = os.path.join(tmp, "m.onnx")
                    prog.save(path)
                    proto = onnx.load(path)
            if not optimize:
                say("  exported with optimize=False")
            return proto
        except Exception as e:
            err = e
            say(f"  dynamo optimize={optimize}: {type(e).__name__}: {str(e)[:300]}")
    raise err


def export_trace(model, args, ins, outs, opset):
    with tempfile.TemporaryDirectory() as tmp:
        path = os.path.join(tmp, "m.onnx")
        call_export(model, args, path, dynamo=False, opset_version=opset, input_names=ins,
                    output_names=outs, do_constant_folding=True)
        return onnx.load(path)


EXPORTERS = {"dynamo": export_dynamo, "trace": export_trace}


def check(proto, ins):
    """Every input must be used: a mask that the exporter dropped makes another network."""
    graph = proto.graph
    have = [i.name for i in graph.input if i.name not in {t.name for t in graph.initializer}]
    if have != ins:
        raise RuntimeError(f"inputs are {have}, not {ins}")
    used = {name for g in weightless.graphs_of(graph) for node in g.node for name in node.input}
    unused = [name for name in ins if name not in used]
    if unused:
        raise RuntimeError(f"inputs not used: {unused}")


def summary(proto):
    ops = collections.Counter(node.op_type for node in proto.graph.node)
    opsets = {o.domain or "ai.onnx": o.version for o in proto.opset_import}
    return (f"ir {proto.ir_version} opsets {opsets} functions {len(proto.functions)} nodes {len(proto.graph.node)}\n"
            f"  {dict(ops.most_common())}")


def export_one(name, makers, exporter, opset, batch, files):
    """Tries makers in turn; the first that exports is the network."""
    for i, make in enumerate(makers):
        t0 = time.time()
        try:
            with torch.no_grad():
                model, args, ins, outs = make(batch)
                proto = EXPORTERS[exporter](model, args, ins, outs, opset)
            check(proto, ins)
            count, elems, kept = weightless.strip(proto)
            data = weightless.pack(proto)
            files[name + ".onnx.xz"] = data
            say(f"OK {name} ({exporter} opset {opset} batch {batch} attempt {i}) {time.time() - t0:.1f} s; "
                f"{count} tensors, {elems} elements stripped; {len(data)} bytes; {summary(proto)}")
            if kept:
                say(f"  large tensors kept: {kept[:12]}")
            return True
        except Exception:
            say(f"FAILED {name} ({exporter} attempt {i}) {time.time() - t0:.1f} s")
            say(traceback.format_exc()[-2500:])
    return False


def write(out, files):
    with tarfile.open(os.path.join(out, "graphs.tar"), "w") as tar:
        for name in sorted(files):
            info = tarfile.TarInfo(name)
            info.size = len(files[name])
            tar.addfile(info, io.BytesIO(files[name]))
    with open(os.path.join(out, "export.txt"), "w") as f:
        f.write("\n".join(LINES) + "\n")


BERTS = [bert(), bert("eager"), bert(None, True), bert("eager", True)]
EAGER = [bert("eager"), bert("eager", True)]
# name, makers, exporter, opset, batch
BASE = [
    ("resnet50", [vision("resnet50")], "dynamo", 18, 1),
    ("resnet50-trace", [vision("resnet50")], "trace", 17, 1),
    ("bert-base", BERTS, "dynamo", 18, 1),
    ("bert-base-trace", BERTS, "trace", 17, 1),
    ("vit-b-16", [vision("vit_b_16")], "dynamo", 18, 1),
    ("vit-b-16-trace", [vision("vit_b_16")], "trace", 17, 1),
    ("mobilenetv3-large", [vision("mobilenet_v3_large")], "dynamo", 18, 1),
    ("mobilenetv3-large-trace", [vision("mobilenet_v3_large")], "trace", 17, 1),
    # forms that other options give: attention written out, layer norm, gelu and hard-swish decomposed
    ("bert-base-eager", EAGER, "dynamo", 18, 1),
    ("bert-base-eager-trace", EAGER, "trace", 14, 1),
    ("mobilenetv3-large-trace13", [vision("mobilenet_v3_large")], "trace", 13, 1),
]
BATCHES = [
    ("resnet50-b128", [vision("resnet50")], "dynamo", 18, 128),
    ("bert-base-b32", BERTS, "dynamo", 18, 32),
    ("vit-b-16-b32", [vision("vit_b_16")], "dynamo", 18, 32),
]


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("out")
    ap.add_argument("--batches", action="store_true", help="also the larger batches used by the benchmarks")
    ap.add_argument("--only", default="", help="comma-separated names")
    opt = ap.parse_args()
    os.makedirs(opt.out, exist_ok=True)
    t0 = time.time()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
    except Exception as e:
        say(f"attention fast path stays on: {e}")
    say(f"torch {torch.__version__} onnx {onnx.__version__}")
    files, failed = {}, []
    only = [n for n in opt.only.split(",") if n]
    for job in BASE + (BATCHES if opt.batches else []):
        if only and job[0] not in only:
            continue
        if not export_one(*job, files):
            failed.append(job[0])
        write(opt.out, files)
    say(f"{len(files)} exported, failed: {failed or 'none'}, {time.time() - t0:.0f} s, "
        f"{sum(map(len, files.values()))} bytes")
    write(opt.out, files)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
