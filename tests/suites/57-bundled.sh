#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Day one: from the bundled database alone, with no GPU, every network of both exporters builds under --strict for its GPUs, in FP16
# the same bytes in two folders, and ResNet-50 in a second (of a processor, since the machine may be busy; two are allowed). And what the database
# says of hone's own products and convolutions beside the libraries'. BUILDS="DEVICE:PRECISION ..." takes others.
# Then plans that do without libraries (hone build --without).
set -u
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export HONE_DB=$out/own.db HONE_CACHE=$out/cache
compgen -G "db/bundled/*.txt.zst" >/dev/null || { echo "db/bundled has no dump"; echo "0 passed, 0 failed"; exit 0; }
[ -e "$B/bundled.db" ] || { echo "there is no $B/bundled.db: make did not build it"; exit 1; }
networks=(ppocrv4-det ppocrv4-rec ppocrv4-cls resnet50 resnet50-trace mobilenetv3-large mobilenetv3-large-trace
    bert-base bert-base-trace vit-b-16 vit-b-16-trace)
passed=0 failed=0
mkdir -p "$out/one" "$out/two/deeper"

build() { "$HONE" build "$1" -o "$3" --device "$device" --precision "$2" --strict --json >"$out/json" 2>"$out/err"; }

one() {      # NETWORK PRECISION, for $device
    local model=$PWD/build/models/$1.onnx share ms TIMEFORMAT='%3U %3S'
    { time build "$model" "$2" "$out/one/plan" || { echo "exit $?: $(tail -1 "$out/err")"; return 1; }; } 2>"$out/time"
    ms=$(awk '{ printf "%d", ($1 + $2) * 1000 }' "$out/time")
    share=$(sed -n 's/.*"precision_share": *\([0-9.]*\).*/\1/p' "$out/json" | head -1)
    echo "$ms ms, $(stat -c %s "$out/one/plan") bytes, share $share"
    awk "BEGIN { exit !($share >= 0.95) }" || { echo "below 95% in $2"; return 1; }
    [[ $1 != resnet50* ]] || [ "$ms" -lt 2000 ] || { echo "ResNet-50 took $ms ms"; return 1; }
    [ "$2" = fp16 ] || return 0
    (cd "$out/two" && build "$model" "$2" deeper/plan) || { echo "second build: $(tail -1 "$out/err")"; return 1; }
    cmp "$out/one/plan" "$out/two/deeper/plan"
}

for pair in ${BUILDS:-h200:fp16 h100:fp16}; do
    device=${pair%:*} precision=${pair#*:}
    for name in "${networks[@]}"; do
        word=ok
        if text=$(one "$name" "$precision"); then passed=$((passed + 1)); else failed=$((failed + 1)) word=FAILED; fi
        printf '%-26s %s %s %s %s\n' "$name" "$device" "$precision" $word "$text"
    done
done

# Plans that do without libraries: no tactic of the sources that may open them, and the same bytes again.
without() {      # NETWORK LIST SOURCES, for $device
    local model=$PWD/build/models/$1.onnx plan show
    for plan in one two/deeper; do
        "$HONE" build "$model" -o "$out/$plan/plan" --device "$device" --precision fp16 --without "$2" 2>"$out/err" ||
            { echo "exit $?: $(tail -1 "$out/err")"; return 1; }
    done
    cmp "$out/one/plan" "$out/two/deeper/plan" || return 1
    show=$("$HONE" plan show "$out/one/plan")
    grep -cE "^ +tactic " <<<"$show" | tr '\n' ' '
    grep '^libraries ' <<<"$show"
    ! grep -E "^ +tactic +($3)\.|^libraries .*(${2//,/|})" <<<"$show"
}

device=h200
for name in resnet50 mobilenetv3-large bert-base; do
    for pair in nvrtc:cudnn 'cudnn,cublaslt:cudnn|cublaslt'; do
        word=ok
        if text=$(without $name "${pair%:*}" "${pair#*:}"); then passed=$((passed + 1)); else failed=$((failed + 1)) word=FAILED; fi
        printf '%-26s %s without %s %s %s\n' "$name" "$device" "${pair%:*}" $word "$text"
    done
done
if "$HONE" build build/models/mobilenetv3-large.onnx -o "$out/one/plan" --device h200 --precision fp16 --strict --without cudnn,cublaslt,nvrtc 2>"$out/err"
then passed=$((passed + 1)); else failed=$((failed + 1)); echo "mobilenetv3-large on own kernels alone: $(tail -1 "$out/err")"; fi

own=$(build/venv/bin/python tests/own_kernels.py "$B/bundled.db" H100 tests/cases/fp16_shapes.txt)
printf '%s\n' "$own" | sed '$d'
[[ $(tail -1 <<<"$own") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]] && passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2])) || failed=$((failed + 1))
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
