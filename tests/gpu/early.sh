#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What starting kernels early gives inside networks, and whether it changes a bit:  tests/gpu/early.sh OUT [NETWORK...]
#
# Of each network's plan (from DB, build/bundled.db) there are three forms: `stored` with the machine code of the database, `new` with that of
# today's kernels, which is compiled as the plan is loaded, and `own` where each product of a library is given to the quickest own kernel
# that the database knows, if there is one. Each runs with kernels that start early and with --no-dependent, TURNS times in turn; so does `stored`
# with each other hone of OTHERS. Prints the median of each turn; and whether the outputs of the same random inputs are the same to the bit.
# Builds nothing. DEVICE (cuda:0), DURATION (1), TURNS (2), MODELS (build/models), HONE and DB come from the environment. Ends with
# "N passed, N failed".
set -u
cd "$(dirname "$0")/../.."
out=$1; shift
networks=("$@")
[ $# -gt 0 ] || networks=(vit-b-16 bert-base)
hone=${HONE:-build/hone} db=${DB:-build/bundled.db} device=${DEVICE:-cuda:0} models=${MODELS:-build/models} duration=${DURATION:-1} turns=${TURNS:-2}
passed=0 failed=0
mkdir -p "$out"

# The plan is a safetensors file with the steps as text in its metadata (docs/plan.md).
cat >"$out/reform.py" <<'EOF'
import json, re, sqlite3, struct, sys
stored, new, own, database = sys.argv[1:]
with open(stored, "rb") as file:
    size, = struct.unpack("<Q", file.read(8))
    header, body = json.loads(file.read(size)), file.read()
steps = re.sub(r"(?m)^ artifact \d+$", " artifact -1", header["__metadata__"]["hone.plan"])
store = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
device = re.search(r"(?m)^device (.*)$", steps).group(1)

def quickest(match):
    problem, tactic = match.groups()
    row = None if tactic.startswith("nvrtc.") else store.execute(
        "SELECT tactic FROM measurement_flat WHERE problem = ? AND device = ? AND source = 'nvrtc' AND verdict = 'ok' AND workspace_bytes = 0 "
        "ORDER BY median_ns", (problem, device)).fetchone()
    return f" problem {problem}\n tactic {row[0] if row else tactic}"

for path, text in ((new, steps), (own, re.sub(r"(?m)^ problem (.*)\n tactic (.*)$", quickest, steps))):
    header["__metadata__"]["hone.plan"] = text
    made = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    made += b" " * (-len(made) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(made)) + made + body)
print(len(re.findall(r"(?m)^ tactic nvrtc", steps)), "steps by own kernels, in `own`", len(re.findall(r"(?m)^ tactic nvrtc", text)), "of", steps.count("\nstep "))
EOF

median() {      # NAME of the row, then the command
    local name=$1
    shift
    "$@" --device "$device" --duration "$duration" --json >"$out/run.json" 2>"$out/run.err" || { echo "$name: exit $?: $(tail -1 "$out/run.err")"; failed=$((failed + 1)); return; }
    echo "$name $(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["latency"]["median_ms"])' "$out/run.json") ms"
}

same() {        # FORM, for $base: outputs with and without early starts
    local way
    for way in early late; do
        mkdir -p "$out/$way"
        "$hone" run "$base.$1.plan" --device "$device" --iterations 200 --output "$out/$way" $([ $way = early ] || echo --no-dependent) >/dev/null 2>"$out/run.err" ||
            { echo "$1: exit $?: $(tail -1 "$out/run.err")"; failed=$((failed + 1)); return; }
    done
    if diff -rq "$out/early" "$out/late" >"$out/diff"; then passed=$((passed + 1)); else echo "$1: $(head -1 "$out/diff")"; failed=$((failed + 1)); fi
}

for name in "${networks[@]}"; do
    base=$out/$name
    "$hone" build "$models/$name.onnx" -o "$base.stored.plan" --db "$db" --device "$device" --precision fp16 >/dev/null 2>"$out/run.err" ||
        { echo "$name: build: exit $?: $(tail -1 "$out/run.err")"; failed=$((failed + 1)); continue; }
    echo "$name: $(python3 "$out/reform.py" "$base.stored.plan" "$base.new.plan" "$base.own.plan" "$db")"
    for form in new own; do same $form; done
    for ((turn = 0; turn < turns; turn++)); do
        for other in ${OTHERS:-}; do median "  stored $other" "$other" run "$base.stored.plan"; done
        for form in stored new own; do
            median "  $form" "$hone" run "$base.$form.plan"
            median "  $form --no-dependent" "$hone" run "$base.$form.plan" --no-dependent
        done
    done
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
