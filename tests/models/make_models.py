# SPDX-License-Identifier: Apache-2.0
"""Makes the test networks: make_models.py [OUT] [--only NAME,...] [--downloads DIR]

OUT (default build/models) gets ppocrv4-{det,rec,cls}.onnx with their dims bound,
the originals as ppocrv4-*-dynamic.onnx, and one file for each weightless graph
in graphs/, its weights filled in (weights.py); larger batches and BERT with its
attention written out (*-eager) only when --only names them.  A file that is
there and was made from the same inputs is left alone.  Every file must come out
as models.sha256 says, on any machine; --record rewrites those lines after a
change of the recipe.  The PP-OCRv4 wheel is taken from DIR (default: downloads/
beside OUT) or fetched into it; all else works offline.
"""
import argparse
import hashlib
import os
import re
import subprocess
import sys
import zipfile

import onnx

import weightless
import weights

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
GRAPHS = os.path.join(HERE, "graphs")
DIGESTS = os.path.join(HERE, "models.sha256")

WHEEL = "rapidocr_onnxruntime-1.4.4-py3-none-any.whl"
WHEEL_PIN = "rapidocr-onnxruntime==1.4.4"
WHEEL_SHA256 = "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf"
# name, file in the wheel, its sha256, input dims, output dims
PPOCR = [
    ("ppocrv4-det", "ch_PP-OCRv4_det_infer.onnx",
     "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9", (1, 3, 640, 640), (1, 1, 640, 640)),
    ("ppocrv4-rec", "ch_PP-OCRv4_rec_infer.onnx",
     "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b", (1, 3, 48, 320), (1, 40, 6625)),
    ("ppocrv4-cls", "ch_ppocr_mobile_v2.0_cls_infer.onnx",
     "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c", (1, 3, 48, 192), (1, 2)),
]


def sha256_file(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        for chunk in iter(lambda: f.read(1 << 20), b""):
            digest.update(chunk)
    return digest.hexdigest()


def read_digests():
    """file name -> sha256 of what the recipe makes."""
    if not os.path.exists(DIGESTS):
        return {}
    with open(DIGESTS) as f:
        return {name: digest for digest, name in (line.split() for line in f)}


def write_digests(table):
    write_atomic(DIGESTS, "".join(f"{table[name]}  {name}\n" for name in sorted(table)).encode())


def write_atomic(path, data):
    tmp = path + ".part"
    with open(tmp, "wb") as f:
        f.write(data)
    os.replace(tmp, path)


def fetch_wheel(downloads):
    """Path of the PP-OCRv4 wheel, fetched when missing, its checksum verified."""
    path = os.path.join(downloads, WHEEL)
    if not os.path.exists(path):
        os.makedirs(downloads, exist_ok=True)
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
                        "--no-deps", "--only-binary=:all:", "--dest", downloads, WHEEL_PIN], check=True)
    got = sha256_file(path)
    if got != WHEEL_SHA256:
        raise RuntimeError(f"{path}: sha256 {got}, expected {WHEEL_SHA256}; remove the file and try again")
    return path


def bind(value, dims):
    """Fixes the dims of a graph input or output."""
    shape = value.type.tensor_type.shape
    del shape.dim[:]
    for d in dims:
        shape.dim.add().dim_value = d


def make_ppocr(entry, out, downloads):
    name, file, digest, in_dims, out_dims = entry
    with zipfile.ZipFile(fetch_wheel(downloads)) as wheel:
        data = wheel.read("rapidocr_onnxruntime/models/" + file)
    got = hashlib.sha256(data).hexdigest()
    if got != digest:
        raise RuntimeError(f"{file}: sha256 {got}, expected {digest}")
    model = onnx.ModelProto()
    model.ParseFromString(data)
    bind(model.graph.input[0], in_dims)
    bind(model.graph.output[0], out_dims)
    write_atomic(os.path.join(out, name + "-dynamic.onnx"), data)
    write_atomic(os.path.join(out, name + ".onnx"), model.SerializeToString(deterministic=True))


def make_filled(name, out):
    with open(os.path.join(GRAPHS, name + ".onnx.xz"), "rb") as f:
        model = weightless.unpack(f.read())
    weights.fill(model, weights.family_of(name))
    write_atomic(os.path.join(out, name + ".onnx"), model.SerializeToString(deterministic=True))


def graph_names():
    return sorted(f[:-len(".onnx.xz")] for f in os.listdir(GRAPHS) if f.endswith(".onnx.xz"))


def recipe_digest(sources):
    digest = hashlib.sha256()
    for path in sources:
        digest.update(sha256_file(path).encode())
    return digest.hexdigest()


def targets():
    """name -> (files that it is made from, files that it makes, function(out, downloads))."""
    code = [os.path.join(HERE, f) for f in ("make_models.py", "weightless.py", "weights.py", "philox.py")]
    table = {}
    for entry in PPOCR:
        table[entry[0]] = (code[:1], [entry[0] + ".onnx", entry[0] + "-dynamic.onnx"],
                           lambda out, downloads, entry=entry: make_ppocr(entry, out, downloads))
    for name in graph_names():
        table[name] = (code[1:] + [os.path.join(GRAPHS, name + ".onnx.xz")], [name + ".onnx"],
                       lambda out, downloads, name=name: make_filled(name, out))
    return table


def on_demand(name):
    return "-eager" in name or re.search(r"-b\d+$", name)


def is_made(paths, stamp, want):
    if not all(map(os.path.exists, (*paths, stamp))):
        return False
    with open(stamp) as f:
        return f.read() == want


def make_one(name, target, opt, digests):
    """Makes the files of one target unless they are there, and checks or records their digests."""
    sources, files, make = target
    stamp = os.path.join(opt.out, "." + name + ".stamp")
    want = recipe_digest(sources)
    paths = [os.path.join(opt.out, f) for f in files]
    if is_made(paths, stamp, want) and not opt.record:
        return
    make(opt.out, opt.downloads)
    for file, path in zip(files, paths):
        got = sha256_file(path)
        if opt.record:
            digests[file] = got
        elif digests.get(file) != got:
            raise RuntimeError(f"{path} came out with sha256 {got}, models.sha256 says {digests.get(file)}")
        print(f"{path}  {os.path.getsize(path)} bytes", flush=True)
    write_atomic(stamp, want.encode())


def options():
    ap = argparse.ArgumentParser()
    ap.add_argument("out", nargs="?", default=os.path.join(ROOT, "build", "models"))
    ap.add_argument("--only", default="", help="names, comma-separated")
    ap.add_argument("--downloads", help="where the PP-OCRv4 wheel is or goes")
    ap.add_argument("--record", action="store_true", help="write models.sha256 instead of checking it")
    opt = ap.parse_args()
    opt.downloads = opt.downloads or os.path.join(os.path.dirname(os.path.abspath(opt.out)), "downloads")
    return opt


def main():
    opt, table, digests = options(), targets(), read_digests()
    names = [n for n in opt.only.split(",") if n] or [n for n in table if not on_demand(n)]
    unknown = [n for n in names if n not in table]
    if unknown:
        sys.exit(f"make_models: no network named {', '.join(unknown)}; there are {', '.join(table)}")
    os.makedirs(opt.out, exist_ok=True)
    failed = []
    for name in names:
        try:
            make_one(name, table[name], opt, digests)
        except (OSError, RuntimeError, subprocess.CalledProcessError) as err:
            failed.append(f"{name}: {err}")
    if opt.record:
        write_digests(digests)
    for line in failed:
        print("make_models: " + line, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
