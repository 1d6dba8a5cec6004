#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every network of both exporters on the CPU in FP32 against ONNX Runtime (tests/models/make_inputs.py made inputs and references).
# Some are tuned and must then build under --strict, whichever exporter wrote them; the others run untuned. Detection is
# tuned by `make demo`. Times are of a warm cache: four fifths of tuning here was overwriting caches, which 35-readme.sh does on a network.
# TUNED= and UNTUNED= change which; all that are tuned take some minutes.
set -u
out=$(mktemp -d -p "$B")      # plans as large as the networks
trap 'rm -rf "$out"' EXIT
export HONE_DB=$out/own.db HONE_CACHE=$out/cache DEVICE=cpu PRECISIONS=fp32 DURATION=0.01 ITERATIONS=1 PROFILE=
tuned=(${TUNED-ppocrv4-cls ppocrv4-rec resnet50 mobilenetv3-large bert-base vit-b-16})
untuned=(${UNTUNED-ppocrv4-det resnet50 mobilenetv3-large-trace13})
passed=0 failed=0

count() {      # OUTPUT of networks.sh
    printf '%s\n' "$1"
    [[ $(tail -1 <<<"$1") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]] || { failed=$((failed + 1)); return; }
    passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
}

for name in "${tuned[@]}"; do
    forms=("$name"); [ -e "build/models/$name-trace.onnx" ] && forms+=("$name-trace")
    for form in "${forms[@]}"; do
        "$HONE" tune "build/models/$form.onnx" --db "$out/cpu.db" --device cpu --precision fp32 --effort quick --warm --progress none
    done
    check=0; [ "$name" = ppocrv4-cls ] && check=1      # the plain C reference, layer by layer, is quick for this one alone
    count "$(CHECK=$check tests/gpu/networks.sh "$out/cpu.db" "$out/tuned" "${forms[@]}")"
done
"$HONE" db check --db "$out/cpu.db" && passed=$((passed + 1)) || failed=$((failed + 1))
"$HONE" tune "build/models/ppocrv4-cls.onnx" --db "$out/none.db" --device cpu --sources ref --time 0.01 --progress none >/dev/null
count "$(CHECK=0 STRICT= tests/gpu/networks.sh "$out/none.db" "$out/untuned" "${untuned[@]}")"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
