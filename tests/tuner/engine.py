# SPDX-License-Identifier: Apache-2.0
"""What a recheck is worth to engines: engine.py FOLDER SEED... The recorded H200 meets newer libraries in simulation (a recording with other times, which hone
only sees by measuring on it), `hone tune --recheck` runs, and real networks are built from what it leaves: their true time is held against
the same networks built from a full re-sweep. Ends with "N passed, N failed"."""
import collections, glob, json, os, random, re, statistics, subprocess, sys

FOLDER = sys.argv[1]
B = os.environ.get("B", "build")
HONE = os.environ.get("HONE", os.path.abspath(f"{B}/hone"))
NETWORKS = ["ppocrv4-cls", "mobilenetv3-large"]
NOW = "cuda=13.1 driver=590.44 nvrtc=13.1 cublaslt=13.2.0 cudnn=9.20.0 cupti=13.1.0 hone=0.1.0"
LOSS, SHARE = 0.01, 0.03
passed = failed = 0


def check(good, what):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    print("ok    " if good else "FAILED", what)


def hone(*words, **more):
    done = subprocess.run([HONE, *words], capture_output=True, text=True, **more)
    if done.returncode:
        sys.exit(f"hone {' '.join(words)[:200]}: exit {done.returncode}: {done.stderr[-500:]}")
    return done.stdout


def family(problem, tactic):
    math = re.search(r" math=(\S+)", problem)
    kind = math.group(1) if math else re.search(r"=(\w+):", problem).group(1)
    return f"{re.split('[@ ]', tactic)[0]} {problem.split()[0]} {kind}"


def changed(record, seed):
    """After the upgrade: one family 15% faster, one scattered, one wrong, a library 6% slower. The record as it is measured, with the noise
    between two sessions, and its true time; None when it fails."""
    problem, tactic, verdict, workspace, samples = record
    name, noise = family(problem, tactic), random.Random(f"{seed} {problem} {tactic}")
    if name == "nvrtc.depthwise conv f16":
        return (problem, tactic, "wrong", workspace, []), None
    factor = {"nvrtc.elementwise add f16": 0.85, "nvrtc.gemm_tile conv f16": noise.lognormvariate(0, 0.2)}.get(name, 1.0)
    factor *= 1.06 if tactic.startswith("cudnn") else 1
    measured = factor * noise.lognormvariate(0, 0.007)
    return (problem, tactic, verdict, workspace, [round(t * measured, 1) for t in samples]), statistics.median(samples) * factor if samples else None


def prepare(seed):
    """The database before, with NETWORKS alone registered, and the recording since; the truth by problem and tactic."""
    dump = hone("db", "dump", f"{B}/bundled.db", "--architecture", "sm_90").splitlines()
    digests = {line.split("\t")[2] for line in dump if line.startswith("network\t") and line.split("\t")[3] in NETWORKS}
    kept = []
    for line in dump:
        fields = line.split("\t")
        if fields[0] in ("network", "network_problem") and fields[2] not in digests: continue
        if fields[0] in ("measurement", "coverage") and "NVIDIA H100" in line: continue
        if fields[0] == "end": continue
        kept.append(line)
    with open(f"{FOLDER}/before.txt", "w") as out:
        out.write("\n".join(kept) + "\nend\t-\n")
    for name in glob.glob(f"{FOLDER}/*.db*"): os.remove(name)
    for name in ("before", "base"): hone("db", "load", f"{FOLDER}/{name}.db", f"{FOLDER}/before.txt")
    truth, lines = {}, []
    for line in hone("problems", "--db", f"{FOLDER}/base.db", "--device", "h200", "--replay").splitlines():
        fields = line.split("\t")
        if fields[0] == "toolchain": line = f"toolchain\t{NOW}"
        if len(fields) == 5:
            record, true_ns = changed((*fields[:4], [float(t) for t in fields[4].split(",") if t]), seed)
            line = "\t".join((*record[:4], ",".join(map(str, record[4]))))
            if true_ns: truth[record[0], record[1]] = true_ns
        lines.append(line)
    with open(f"{FOLDER}/since", "w") as out:
        out.write("\n".join(lines) + "\n")
    return truth


def build(network, db):
    plan = f"{FOLDER}/{network}.plan"
    hone("build", f"build/models/{network}.onnx", "-o", plan, "--db", db, "--device", "h200", "--toolchain", NOW, "--precision", "fp16", "--strict")
    return plan


def steps(plan):
    return json.loads(hone("plan", "show", plan, "--json"))["steps"]


def true_time(plan, truth):
    return sum(truth[step["problem"], step["tactic"]] for step in steps(plan))


def recheck(seed):
    truth = prepare(seed)
    tune = ["tune", "--recheck", "--db", f"{FOLDER}/base.db", "--device", f"replay:{FOLDER}/since", "--progress", "none", "--seed", "1", "--json"]
    first = json.loads(hone(*tune))
    print({name: first[name] for name in ("stale", "timed", "rechecks", "covered", "left", "without", "seconds")},
          collections.Counter(family["decision"] for family in first["families"]))
    check(first["timed"] <= SHARE * first["stale"], f"{first['timed']} of {first['stale']} stale records timed")
    decided = {family["family"]: family for family in first["families"]}
    for name, decision, scale in (("nvrtc.elementwise add f16", "rescale", 0.85), ("nvrtc.depthwise conv f16", "retime", 1), ("cudnn.conv conv f16", "rescale", 1.06),
                                  ("nvrtc.gemm_tile conv f16", "apart", 1)):
        found = decided[name]
        near = 0.2 if decision == "apart" else 0.02
        check(found["decision"] == decision and abs(found["scale"] - scale) < near, f"{name}: {found['decision']}, times {found['scale']:.3f} from {found['timed']}")
    check(json.loads(hone(*tune))["timed"] == 0, "done again, it times nothing")
    for what, db in (("base.db", "rechecked.db"), ("since", "swept.db")):
        subprocess.run([f"{B}/tests/tuner-resweep", f"{FOLDER}/before.db", f"{FOLDER}/{what}", f"{FOLDER}/{db}"], check=True)
    for network in NETWORKS:
        by_sweep, by_recheck = (true_time(build(network, f"{FOLDER}/{db}"), truth) for db in ("swept.db", "rechecked.db"))
        check(by_recheck < by_sweep * (1 + LOSS), f"{network}: {by_recheck / 1e3:.2f} us by the recheck, {by_sweep / 1e3:.2f} by a re-sweep, loss {100 * (by_recheck / by_sweep - 1):.3f}%")
        stale = [step["name"] for step in steps(f"{FOLDER}/{network}.plan") if step["staleness"]]
        check(not stale, f"{network}: where anything else is known, what moved apart is not used untimed {stale[:3]}")
    why = hone("why", build(NETWORKS[0], f"{FOLDER}/rechecked.db"), "--db", f"{FOLDER}/rechecked.db")
    check("revalidated" in why and "rescaled" in why, "hone why names them")


for number in sys.argv[2:]:
    recheck(int(number))
print(f"{passed} passed, {failed} failed")
sys.exit(failed != 0)
