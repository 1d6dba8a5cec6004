#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# hone run: what it prints, what it refuses, and how it ends; hone devices and doctor.

bats_require_minimum_version 1.5.0

setup_file() {
    export HONE=${HONE:-$PWD/build/hone} PYTHON=${PYTHON:-$PWD/build/venv/bin/python}
    export XDG_DATA_HOME=$BATS_FILE_TMPDIR/data XDG_CACHE_HOME=$BATS_FILE_TMPDIR/cache CORPUS=$PWD/tests/corpora/plan
    unset HONE_DB
    "$PYTHON" tests/cli/tiny.py "$BATS_FILE_TMPDIR"
    cd "$BATS_FILE_TMPDIR"
    "$HONE" tune tiny.onnx --db tuned.db --device cpu --effort quick --progress none --warm --busy >/dev/null
    "$HONE" build tiny.onnx -o plan --db tuned.db --device cpu --lanes 4 --strict
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

@test "latency percentiles and throughput" {
    run "$HONE" run plan --iterations 12 --warmUp 1
    [ "$status" -eq 0 ]
    for word in "min " "max " "mean " "median " "percentile(90%)" "percentile(95%)" "percentile(99%)" "throughput " "12 iterations" "transfers excluded"; do
        [[ $output == *"$word"* ]]
    done
    run "$HONE" run plan --iterations 3 --warmUp 1 --transfers --slots 2 --no-graph --lanes 1
    [ "$status" -eq 0 ] && [[ $output == *"transfers included"* ]] && [[ $output == *"2 slots"* ]]
}

@test "--json is one object with percentiles, profile and check" {
    run --separate-stderr "$HONE" run plan --iterations 5 --warmUp 1 --profile --check tiny.onnx --json
    [ "$status" -eq 0 ]
    "$PYTHON" -c 'import json, sys
o = json.loads(sys.argv[1])
assert o["schema"] == "hone.run.1" and o["latency"]["iterations"] == 5 and o["check"]["ok"], o
assert all(s["measured_ns"] > 0 and s["predicted_ns"] > 0 for s in o["profile"]) and o["profile"], o' "$output"
}

@test "inputs from files, outputs to files, the same on every number of lanes" {
    "$HONE" run plan --input x=x.npy --output lanes4 --iterations 2
    "$HONE" run plan --input x=x.npy --output lanes1 --lanes 1 --iterations 2
    "$HONE" run plan --input x=x.npy --output y=y.npy --lanes 2 --iterations 2
    cmp lanes4/out-y.npy lanes1/out-y.npy
    cmp lanes4/out-branch.npy lanes1/out-branch.npy
    cmp lanes4/out-y.npy y.npy
    "$PYTHON" - <<'END'
import numpy as np, onnxruntime
want = onnxruntime.InferenceSession("tiny.onnx", providers=["CPUExecutionProvider"]).run(["y", "branch"], {"x": np.load("x.npy")})
for name, array in zip(("y", "branch"), want):
    have = np.load(f"lanes4/out-{name}.npy")
    assert np.linalg.norm(have - array) <= 1e-5 * np.linalg.norm(array), name
END
}

@test "--profile has a line for every step" {
    run "$HONE" run plan --profile
    [ "$status" -eq 0 ] && [[ $output == *"predicted us  measured us"* ]] && [[ $output == *"sum of "* ]]
}

@test "--check names the first layer that is off, with exit code 4" {
    run "$HONE" run plan --check tiny.onnx --input x=x.npy
    [ "$status" -eq 0 ] && [[ $output == *"allowed: ok"* ]]
    run "$HONE" run plan --check tiny.onnx --tolerance 1e-15
    [ "$status" -eq 4 ] && [[ $output == *"the first layer that is off is stem"* ]] && [[ $output == *"OFF"* ]]
    "$PYTHON" - <<'END'
import onnx
from onnx import numpy_helper
model = onnx.load("tiny.onnx")
for tensor in model.graph.initializer:
    if tensor.name == "w1":
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 2, "w1"))
onnx.save(model, "other.onnx")
END
    run "$HONE" run plan --check other.onnx
    [ "$status" -eq 2 ] && [[ $output == *"not the network"* ]]
}

@test "a wrong weight is found at its layer" {
    "$PYTHON" - <<'END'
import json, struct
data = bytearray(open("plan", "rb").read())
size, = struct.unpack("<Q", data[:8])
begin, end = json.loads(data[8:8 + size])["weights/w1"]["data_offsets"]
at = 8 + size + begin
data[at:at + 4] = struct.pack("<f", struct.unpack("<f", data[at:at + 4])[0] + 1)
open("wrong.plan", "wb").write(data)
END
    run "$HONE" run wrong.plan --check tiny.onnx
    [ "$status" -eq 4 ] && [[ $output == *"first layer that is off is left"* ]]
    "$HONE" run wrong.plan --verify --iterations 1      # each tactic does what it says
}

@test "what does not fit is a usage error" {
    for arguments in "" "plan --input x=wrong.npy" "plan --input z=x.npy" "plan --input x" "plan --output nosuch=a.npy" "plan --iterations 0" \
        "plan --lanes 99" "plan --slots 0" "plan --device nosuch" "plan plan" "plan --duration much"; do
        run "$HONE" run $arguments
        echo "$arguments: $status: $output"
        [ "$status" -eq 2 ]
    done
    run "$HONE" run plan --device cuda:99
    [ "$status" -eq 2 ] || [ "$status" -eq 8 ]
}

@test "damaged and newer plans are exit code 7, a missing one is 1" {
    for name in "$CORPUS"/cut-data "$CORPUS"/too-new "$CORPUS"/empty "$CORPUS"/other-safetensors x.npy; do
        run "$HONE" run "$name"
        [ "$status" -eq 7 ]
        run "$HONE" plan show "$name"
        [ "$status" -eq 7 ]
    done
    run "$HONE" plan show "$CORPUS/too-new"
    [[ $output == *"format 7"*"newer hone"* ]]
    run "$HONE" run nosuch
    [ "$status" -eq 1 ]
}

@test "other library versions are named, with the way out" {
    stale=(--db tuned.db --device cpu --toolchain "openblas=0.0.1 hone=0.1.0" --allow-stale)
    "$HONE" build tiny.onnx -o stale.plan "${stale[@]}" --pin "head=cpu.matmul_blas@1 rows=1 columns=4"
    run "$HONE" run stale.plan --iterations 1
    [ "$status" -eq 2 ] && [[ $output == *"openblas is "*" and 0.0.1 in the plan"* ]] && [[ $output == *"--allow-other-versions"* ]]
    "$HONE" run stale.plan --iterations 1 --allow-other-versions
    "$HONE" build tiny.onnx -o own.plan "${stale[@]}" --without openblas
    "$HONE" run own.plan --iterations 1          # what opens no library rests on no version of one
}

@test "devices and doctor" {
    run "$HONE" devices
    [ "$status" -eq 0 ] && [[ $output == *"cpu      cpu "* ]] && [[ $output == *"source ref@"* ]]
    run "$HONE" doctor
    [ "$status" -eq 0 ] && [[ $output == *"openblas"* ]] && [[ $output == *"SQLite 3."* ]]
    run "$HONE" doctor --db tuned.db
    [ "$status" -eq 0 ] && [[ $output == *"tuned.db, schema "*"journal "* ]]
    for verb in devices doctor; do
        run --separate-stderr "$HONE" $verb --json
        [ "$status" -eq 0 ]
        "$PYTHON" -c 'import json, sys
assert json.loads(sys.argv[1])["schema"] == sys.argv[2]' "$output" "hone.$verb.1"
    done
    run "$HONE" --version
    [ "$status" -eq 0 ] && [[ $output == "hone "* ]]
}
