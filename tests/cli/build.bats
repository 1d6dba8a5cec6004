#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# hone build, plan and why: from a network and a database to a plan.

bats_require_minimum_version 1.5.0

setup_file() {
    export HONE=${HONE:-$PWD/build/hone} PYTHON=${PYTHON:-$PWD/build/venv/bin/python}
    export ROOT=$PWD XDG_DATA_HOME=$BATS_FILE_TMPDIR/data XDG_CACHE_HOME=$BATS_FILE_TMPDIR/cache
    unset HONE_DB
    "$PYTHON" tests/cli/tiny.py "$BATS_FILE_TMPDIR"
    cd "$BATS_FILE_TMPDIR"
    "$HONE" tune tiny.onnx --db tuned.db --device cpu --effort quick --progress none --warm --busy >/dev/null
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

@test "without a database the reference stands in, and it is said" {
    run "$HONE" build tiny.onnx -o ref.plan --device cpu
    [ "$status" -eq 0 ]
    [[ $output == *"the database lacks"*"run by the reference"* ]]
    run "$HONE" plan show ref.plan
    [ "$status" -eq 0 ] && [[ $output == *"never measured"* ]]
}

@test "a tuned network builds strictly, with nothing on standard output" {
    run "$HONE" build tiny.onnx -o a.plan --db tuned.db --device cpu --strict
    [ "$status" -eq 0 ] && [[ $output == *"predicted"* ]] && [[ $output == *"100.0% of"* ]]
    [ -z "$("$HONE" build tiny.onnx -o a.plan --db tuned.db --device cpu --strict 2>/dev/null)" ]
}

@test "what the database lacks is a work list for tune -, and exit code 5" {
    run "$HONE" build tiny.onnx -o none.plan --db list.db --device cpu --strict
    [ "$status" -eq 2 ] && [[ $output == *"list.db"* ]]      # what --db names must be there
    run --separate-stderr "$HONE" build tiny.onnx -o none.plan --device cpu --strict
    [ "$status" -eq 5 ] && [ ! -e none.plan ]
    [[ $stderr == *"lacks"* ]]
    printf '%s\n' "$output" >list
    [ "$(sort -u list | wc -l)" -eq "$(wc -l <list)" ]
    for round in 1 2 3; do
        "$HONE" tune - --db list.db --device cpu --effort quick --progress none --busy <list >/dev/null
        "$HONE" build tiny.onnx -o listed.plan --db list.db --device cpu --strict >list 2>/dev/null && return 0
    done
    false
}

@test "--db again is a layer below: read with the first, never written" {
    "$HONE" tune tiny.onnx --db own.db --db tuned.db --device cpu --effort quick --progress none --busy >/dev/null     # known below: only its use is noted
    [ "$("$HONE" db info own.db --json | "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)["counts"]["measurements"])')" -eq 0 ]
    head -1 <("$HONE" problems tiny.onnx) >first.list
    before=$(sha256sum tuned.db)
    "$HONE" tune first.list --db own.db --db tuned.db --device cpu --effort full --progress none --busy >/dev/null
    [ "$(sha256sum tuned.db)" = "$before" ]
    [ "$("$HONE" db info own.db --json | "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)["counts"]["measurements"])')" -gt 0 ]
    run "$HONE" build tiny.onnx -o own.plan --db own.db --device cpu --strict
    [ "$status" -eq 5 ]
    rm -f merged.db
    "$HONE" db merge merged.db own.db tuned.db
    snapshot=$("$HONE" db snapshot merged.db)
    "$HONE" build tiny.onnx -o merged.plan --db merged.db --device cpu --strict
    for order in "own.db --db tuned.db" "tuned.db --db own.db" "own.db --db tuned.db --db bundled"; do
        [[ $order == *bundled ]] || [ "$("$HONE" db snapshot --db $order)" = "$snapshot" ]
        "$HONE" build tiny.onnx -o layered.plan --db $order --device cpu --strict
        [[ $order == *bundled ]] || cmp layered.plan merged.plan
        run "$HONE" why layered.plan --db $order
        [ "$status" -eq 0 ]
    done
    [ "$("$HONE" db snapshot own.db tuned.db)" = "$snapshot" ]
    run "$HONE" db info own.db tuned.db bundled
    [[ $output == *"over "*"tuned.db"*"over "*"bundled.db"* ]]
    "$HONE" problems --db own.db --db tuned.db >listed
    "$HONE" problems --db merged.db | cmp - listed
    run "$HONE" build tiny.onnx -o none.plan --db own.db --db none.db --device cpu
    [ "$status" -eq 2 ] && [[ $output == *"none.db"* ]] && [ ! -e none.db ]
    run "$HONE" build tiny.onnx -o none.plan --db own.db --db ./own.db --device cpu
    [ "$status" -eq 2 ] && [[ $output == *"named twice"* ]]
    run "$HONE" tune first.list --db bundled --db own.db --device cpu
    [ "$status" -eq 2 ] && [[ $output == *"only read"* ]]
}

@test "two builds in two folders give the same bytes" {
    mkdir -p one two
    (cd one && "$HONE" build ../tiny.onnx -o plan --db ../tuned.db --device cpu --strict)
    (cd two && "$HONE" build ../tiny.onnx -o plan --db ../tuned.db --device cpu --strict)
    cmp one/plan two/plan
}

@test "a plan is a safetensors file" {
    "$HONE" build tiny.onnx -o st.plan --db tuned.db --device cpu
    "$PYTHON" - st.plan <<'END'
import json, struct, sys
data = open(sys.argv[1], "rb").read()
size, = struct.unpack("<Q", data[:8])
assert (8 + size) % 64 == 0
header = json.loads(data[8:8 + size])
meta = header.pop("__metadata__")
assert all(isinstance(v, str) for v in meta.values()) and meta["hone.plan"].startswith("hone-plan 1\n")
width = {"F32": 4, "U8": 1, "I64": 8, "F16": 2, "BF16": 2}
at = 0
for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
    begin, end = entry["data_offsets"]
    count = 1
    for dim in entry["shape"]:
        count *= dim
    assert begin == at and end - begin == count * width[entry["dtype"]], name
    at = end
assert at == len(data) - 8 - size
assert any(name.startswith("weights/w0") for name in header), list(header)
END
}

@test "--json is one object" {
    run --separate-stderr "$HONE" build tiny.onnx -o j.plan --db tuned.db --device cpu --json
    [ "$status" -eq 0 ] && [ -z "$stderr" ]
    "$PYTHON" -c 'import json, sys
o = json.loads(sys.argv[1])
assert o["schema"] == "hone.build.1" and o["missing"] == [] and o["precision_share"] == 1 and len(o["digest"]) == 64, o' "$output"
    run "$HONE" plan show --json j.plan
    "$PYTHON" -c 'import json, sys
o = json.loads(sys.argv[1])
assert o["schema"] == "hone.plan.1" and o["steps"] and o["inputs"][0] == {"name": "x", "tensor": "f32:1x3x8x8"}, o' "$output"
    run "$HONE" why --json --db tuned.db j.plan
    "$PYTHON" -c 'import json, sys
o = json.loads(sys.argv[1])
assert o["schema"] == "hone.why.1" and all(s["candidates"] for s in o["steps"]), o' "$output"
}

@test "a pin overrides a choice; one that fits nothing is a usage error" {
    "$HONE" build tiny.onnx -o pin.plan --db tuned.db --device cpu --pin head=ref.plain@1
    run "$HONE" plan show pin.plan
    [[ $(grep -A2 ' head' <<<"$output") == *"ref.plain@1"* ]]
    run "$HONE" build tiny.onnx -o pin.plan --db tuned.db --device cpu --pin nowhere=ref.plain@1
    [ "$status" -eq 2 ] && [[ $output == *"nowhere"* ]]
    run "$HONE" build tiny.onnx -o pin.plan --db tuned.db --device cpu --pin head=ref.plain@99
    [ "$status" -eq 2 ]
}

@test "a plan without a library has no tactic that may open it, and runs where it is not" {
    "$HONE" build tiny.onnx -o own.plan --db tuned.db --device cpu --without openblas
    run "$HONE" plan show own.plan
    [[ $output == *$'\nlibraries    none\n'* ]] && [[ $output != *_blas@* ]] && [[ $output != *conv_im2col@* ]]
    "$HONE" plan show own.plan --json | "$PYTHON" -c 'import json, sys; assert json.load(sys.stdin)["libraries"] == ""'
    "$HONE" build tiny.onnx -o again.plan --db tuned.db --device cpu --without nvrtc --without openblas,nvrtc
    cmp own.plan again.plan
    hide=(env "LD_AUDIT=$ROOT/build/tests/hide_libraries.so" HIDE_LIBRARIES=libopenblas)
    run "${hide[@]}" "$HONE" doctor
    [[ $output == *"openblas  not usable"* ]]
    run "${hide[@]}" "$HONE" run own.plan --iterations 1 --check tiny.onnx
    [ "$status" -eq 0 ]
    tactic="cpu.matmul_blas@1 rows=1 columns=4"
    run "$HONE" build tiny.onnx -o pin.plan --db tuned.db --device cpu --without openblas --pin "head=$tactic"
    [ "$status" -eq 2 ] && [[ $output == *"head is pinned to cpu.matmul_blas@"*"may open openblas"*"without openblas"* ]]
    "$HONE" build tiny.onnx -o pin.plan --db tuned.db --device cpu --pin "head=$tactic"
    run "$HONE" plan show pin.plan
    [[ $output == *$'\nlibraries    openblas\n'* ]]
    run "${hide[@]}" "$HONE" run pin.plan --iterations 1
    [ "$status" -eq 2 ] && [[ $output == *"openblas is none here"* ]]
}

@test "--without takes the names of libraries, and lists them when it is given another" {
    run "$HONE" build tiny.onnx -o none.plan --db tuned.db --device cpu --without nvrtc,cudn
    [ "$status" -eq 2 ] && [[ $output == *"'cudn'"*"openblas,nvrtc,cublaslt,cudnn"* ]] && [ ! -e none.plan ]
    run "$HONE" build tiny.onnx -o none.plan --db tuned.db --device cpu --without ""
    [ "$status" -eq 2 ] && [[ $output == *"openblas,nvrtc,cublaslt,cudnn"* ]]
}

@test "retime compares inside the network, remembers it, and build finds it" {
    for sources in ref cpu,ref; do      # the reference alone, so that it is no hopeless one
        "$HONE" tune tiny.onnx --db again.db --device cpu --sources $sources --effort quick --progress none --warm --busy >/dev/null
    done
    run "$HONE" retime tiny.onnx --db again.db --seed 5 --time 20 --margin 100000
    [ "$status" -eq 0 ] && [[ ${lines[-1]} == *"problems looked at: "*" comparisons, "* ]]
    compared=$(sed -n 's/.*at: \([0-9]*\) comparisons.*/\1/p' <<<"$output")
    together=$(sed -n "s/.*own kernels instead of libraries' in \([0-9]*\) problems.*/\1/p" <<<"$output")
    [ "$together" -ge 2 ]       # with this margin the plain reference is let in for all others at once
    "$PYTHON" - $((compared - 1 + together)) <<'END'
import sqlite3, sys
rows = sqlite3.connect("again.db").execute("SELECT problem, tactic, verdict, error, sample_count, median_ns FROM measurement_flat "
                                           "WHERE mode LIKE 'plan %'").fetchall()
assert len(rows) == 2 * int(sys.argv[1]) > 0, rows     # both sides of each comparison
assert all(verdict == "ok" and error >= 0 and count >= 20 and ns > 0 for _, _, verdict, error, count, ns in rows), rows
END
    "$HONE" db check again.db
    "$HONE" build tiny.onnx -o again.plan --db again.db --device cpu --strict
    "$HONE" run again.plan --check tiny.onnx --iterations 1
    "$HONE" why again.plan --db again.db
    run "$HONE" retime tiny.onnx --db again.db --precision fp16
    [ "$status" -eq 5 ] && [[ $output == *"hone tune tiny.onnx"* ]]
    run "$HONE" retime tiny.onnx --db again.db --margin wide
    [ "$status" -eq 2 ]
    run "$HONE" retime
    [ "$status" -eq 2 ]
}

@test "why tells candidates, intervals, margin and evidence" {
    "$HONE" build tiny.onnx -o why.plan --db tuned.db --device cpu
    run "$HONE" why why.plan --db tuned.db
    [ "$status" -eq 0 ] && [[ $output == *"margin"* ]] && [[ $output == *stem* ]]
    run "$HONE" why why.plan stem --db tuned.db
    [ "$status" -eq 0 ] && [[ $output == *"runner-up"* ]] && [[ $output == *"95% interval"* ]] && [[ $output == *"evidence "* ]]
    run "$HONE" why why.plan nowhere --db tuned.db
    [ "$status" -eq 2 ] && [[ $output == *"nowhere"* ]]
}

@test "what cannot be imported is exit code 3, and every node is named" {
    run "$HONE" build bad.onnx -o bad.plan --device cpu
    [ "$status" -eq 3 ] && [[ $output == *"Frobnicate"* ]]
    run "$HONE" build open.onnx -o open.plan --device cpu
    [ "$status" -eq 3 ] && [[ $output == *"--shapes"* ]]
    "$HONE" build open.onnx -o open.plan --device cpu --shapes x:1x3x8x8
    run "$HONE" build wrong.npy -o bad.plan --device cpu
    [ "$status" -eq 3 ]
}

@test "usage errors are exit code 2" {
    for arguments in "" "tiny.onnx" "tiny.onnx -o p" "tiny.onnx -o p --device cpu --precision fp99" "tiny.onnx -o p --device nosuch" \
        "tiny.onnx -o p --device cpu --lanes 17" "tiny.onnx -o p --device cpu --workspace much" "tiny.onnx -o p --device cpu --pin stem" \
        "tiny.onnx -o p --device cpu --nosuch" "tiny.onnx tiny.onnx -o p --device cpu" "tiny.onnx -o p --device cpu --shapes nonsense"; do
        run "$HONE" build $arguments
        echo "$arguments: $status: $output"
        [ "$status" -eq 2 ]
        [ ! -e p ]
    done
    run "$HONE" nosuch
    [ "$status" -eq 2 ]
    run "$HONE"
    [ "$status" -eq 2 ]
    run "$HONE" plan
    [ "$status" -eq 2 ]
}

@test "a damaged database is exit code 7, a missing GPU 8" {
    head -c 5000 /dev/zero >damaged.db
    run "$HONE" build tiny.onnx -o p --db damaged.db --device cpu
    [ "$status" -eq 7 ]
    [ ! -e p ] && ! compgen -G '.hone-*.tmp'
    run "$HONE" build tiny.onnx -o p --device cuda:99
    [ "$status" -eq 8 ]
}

@test "plans for a device that is not here" {
    device='cuda sm_90 "NVIDIA H200" sms=132 mem=143771MiB clock=1980MHz power=700W'
    "$HONE" build tiny.onnx -o far.plan --device "$device" --precision fp16,fp32
    run "$HONE" plan show far.plan
    [[ $output == *"NVIDIA H200"* ]]
    run "$HONE" run far.plan --device cpu
    [ "$status" -eq 2 ] && [[ $output == *"built for"* ]]
    run --separate-stderr "$HONE" build tiny.onnx -o far.plan --device "$device" --precision fp16 --strict
    [ "$status" -eq 5 ] && [[ $output == *"f16:1x8x8x3:nhwc"* ]]
}

@test "reports are what they were (tests/cli/golden)" {
    cd "$ROOT"
    plan=tests/corpora/plan/tiny db=tests/cli/golden/tiny.dump
    diff <("$HONE" plan show $plan) tests/cli/golden/plan-show.txt
    diff <("$HONE" plan show --json $plan) tests/cli/golden/plan-show.json
    diff <("$HONE" why $plan --db $db) tests/cli/golden/why.txt
    diff <("$HONE" why $plan stem --db $db) tests/cli/golden/why-layer.txt
    diff <("$HONE" why $plan stem --db $db --json) tests/cli/golden/why-layer.json
}
