#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Plans that run where there is no NVRTC:  tests/gpu/without_nvrtc.sh DB OUT [NETWORK...]
#
# For each network and precision: `hone build --strict --without nvrtc`, then `hone run --check` (the plain C reference) of that plan, with the
# inputs of build/models/inputs, in a process for which no libnvrtc exists (build/tests/hide_libraries.so, made by `make tests`; nothing is
# built or moved here). OUT gets NAME-PRECISION.plan, .check.json and .err, which names who asked for NVRTC and did not get it. The last
# line is "N passed, N failed". DEVICE (cuda:0), PRECISIONS ("fp16"), WITHOUT (nvrtc), STRICT= (takes what the database lacks untuned), MODELS
# (build/models) and HONE come from the environment.
set -u
cd "$(dirname "$0")/../.."
db=$1 out=$2; shift 2
device=${DEVICE:-cuda:0} precisions=${PRECISIONS:-fp16} without=${WITHOUT:-nvrtc} models=${MODELS:-build/models} hone=${HONE:-build/hone}
hide=$PWD/build/tests/hide_libraries.so
networks=("$@")
[ ${#networks[@]} -gt 0 ] || networks=(resnet50 mobilenetv3-large bert-base vit-b-16 ppocrv4-det ppocrv4-rec ppocrv4-cls)
. tests/gpu/tolerance.sh
mkdir -p "$out"

hidden() { LD_AUDIT=$hide HIDE_LIBRARIES=libnvrtc "$@"; }

[ -e "$hide" ] || { echo "there is no $hide: make tests"; echo "0 passed, 1 failed"; exit 1; }
hidden "$hone" doctor 2>/dev/null | grep '^library *nvrtc *not usable' >/dev/null || { echo "libnvrtc can still be opened"; echo "0 passed, 1 failed"; exit 1; }

one() {      # NETWORK PRECISION; says what went wrong
    local name=$1 precision=$2 base=$out/$1-$2 arguments=() file port
    "$hone" build "$models/$name.onnx" -o "$base.plan" --db "$db" --device "$device" --precision "$precision" ${STRICT---strict} --without "$without" \
        --json >"$base.build.json" 2>"$base.err" || { echo "build: exit $?: $(tail -1 "$base.err")"; return 1; }
    for file in "$models/inputs/$name"/in-*.npy; do
        port=$(basename "$file" .npy); arguments+=(--input "${port#in-}=$file")
    done
    hidden "$hone" run "$base.plan" --device "$device" "${arguments[@]}" --check "$models/$name.onnx" --iterations 10 \
        --tolerance "$(tolerance "$name" "$precision")" --json >"$base.check.json" 2>"$base.err" || { echo "run: exit $?: $(grep -v '^hidden: ' "$base.err" | tail -1)"; return 1; }
}

passed=0 failed=0
for name in "${networks[@]}"; do
    for precision in $precisions; do
        if why=$(one "$name" "$precision"); then word=ok passed=$((passed + 1)); else word="FAILED $why" failed=$((failed + 1)); fi
        printf '%-26s %s %s\n' "$name" "$precision" "$word"
        grep -h '^hidden: .*asked by .' "$out/$name-$precision.err" | sort -u
        "$hone" plan show "$out/$name-$precision.plan" 2>/dev/null | grep -E '^(libraries|time) '
    done
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
