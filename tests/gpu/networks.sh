#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every network in every precision, from a database to a checked run:  tests/gpu/networks.sh DB OUT [NETWORK...]
#
# For each: `hone build --strict`, `hone run --check` (the plain C reference, first layer off by name) with the inputs of
# build/models/inputs, a timed run, and the outputs against ONNX Runtime's (out-*.npy there). OUT gets NAME-PRECISION.{build,check,run}.json and
# the outputs; the last line is "N passed, N failed". DEVICE (cuda:0), PRECISIONS ("fp32 tf32 fp16 bf16"), MODELS (build/models), HONE, PYTHON
# (with numpy), CHECK=0 (leaves out the C reference, which takes minutes for the largest), STRICT= (takes what the database lacks untuned),
# DURATION (2) and ITERATIONS (10), the least of a timed run, and PROFILE= (leaves out the time of each step) come from the environment.
set -u
cd "$(dirname "$0")/../.."
db=$1 out=$2; shift 2
device=${DEVICE:-cuda:0} precisions=${PRECISIONS:-fp32 tf32 fp16 bf16} models=${MODELS:-build/models} hone=${HONE:-build/hone}
python=${PYTHON:-$([ -x build/venv/bin/python ] && echo build/venv/bin/python || echo python3)}
networks=("$@")
[ ${#networks[@]} -gt 0 ] || networks=(ppocrv4-det ppocrv4-rec ppocrv4-cls resnet50 resnet50-trace mobilenetv3-large mobilenetv3-large-trace
    bert-base bert-base-trace vit-b-16 vit-b-16-trace)
. tests/gpu/tolerance.sh
mkdir -p "$out"

one() {      # NETWORK PRECISION; says what went wrong
    local name=$1 precision=$2 base=$out/$1-$2 inputs=$models/inputs/$1 arguments=() file port
    "$hone" build "$models/$name.onnx" -o "$base.plan" --db "$db" --device "$device" --precision "$precision" ${STRICT---strict} --json >"$base.build.json" \
        2>"$base.err" || { echo "build: exit $?: $(tail -1 "$base.err")"; return 1; }
    for file in "$inputs"/in-*.npy; do
        port=$(basename "$file" .npy); arguments+=(--input "${port#in-}=$file")
    done
    rm -rf "$base.out"
    "$hone" run "$base.plan" --device "$device" "${arguments[@]}" --output "$base.out" --duration "${DURATION:-2}" --iterations "${ITERATIONS:-10}" ${PROFILE---profile} --json \
        >"$base.run.json" 2>"$base.err" || { echo "run: exit $?: $(tail -1 "$base.err")"; return 1; }
    "$python" tests/compare.py "$inputs" "$base.out" "$(tolerance "$name" "$precision")" >"$base.compare" || { cat "$base.compare"; return 1; }
    [ "${CHECK:-1}" = 0 ] && return 0
    "$hone" run "$base.plan" --device "$device" "${arguments[@]}" --check "$models/$name.onnx" --tolerance "$(tolerance "$name" "$precision")" --json \
        >"$base.check.json" 2>"$base.err" || { echo "check: exit $?: $(tail -1 "$base.err")"; return 1; }
}

figures() {      # median latency and inferences per second, share in the precision
    "$python" - "$1.run.json" "$1.build.json" <<'END'
import json, sys
run, build = (json.load(open(path)) for path in sys.argv[1:])
share = 100 * build["precision_share"]
print(f'{run["latency"]["median_ms"]:9.4f} ms {run["throughput_per_s"]:9.1f}/s, predicted {run["predicted_ms"]:8.4f} ms, {share:6.2f}% in precision'
      + ("" if share >= 95 else "  BELOW 95%"))
END
}

passed=0 failed=0
for name in "${networks[@]}"; do
    for precision in $precisions; do
        if why=$(one "$name" "$precision"); then
            passed=$((passed + 1))
            printf '%-26s %s %s  %s\n' "$name" "$precision" "$(figures "$out/$name-$precision")" \
                "$(sed 's/: relative error \([^,]*\),.*/ \1/' "$out/$name-$precision.compare" | tr '\n' ' ')"
        else
            failed=$((failed + 1))
            printf '%-26s %s FAILED %s\n' "$name" "$precision" "$why"
        fi
    done
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
