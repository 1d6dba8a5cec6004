#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What tuning costs on a GPU, and what `quick` gives away:  tests/gpu/tuning_cost.sh OUT NETWORK[:EFFORTS]...
#
# Each network is tuned from an empty database and an empty cache at each effort (default quick; "resnet50:quick,full"), built and run, the
# plans in turn, A B B A. A line says how long tuning took and on what, and the time of an inference over that of the last effort named.
# OUT gets databases, plans and JSON. DEVICE (cuda:0), PRECISION (fp16), MODELS (build/models), HONE, PYTHON come from the environment.
set -eu
cd "$(dirname "$0")/../.."
out=$1; shift
device=${DEVICE:-cuda:0} precision=${PRECISION:-fp16} models=${MODELS:-build/models} hone=${HONE:-build/hone}
python=${PYTHON:-$([ -x build/venv/bin/python ] && echo build/venv/bin/python || echo python3)}
mkdir -p "$out"

tune() {      # NETWORK EFFORT
    local base=$out/$1-$2
    rm -rf "$base.db" "$base.cache"
    HONE_CACHE=$base.cache "$hone" tune "$models/$1.onnx" --db "$base.db" --device "$device" --precision "$precision" --effort "$2" --seed 1 \
        --progress none --json >"$base.tune.json"
    "$hone" build "$models/$1.onnx" -o "$base.plan" --db "$base.db" --device "$device" --precision "$precision" --strict >/dev/null
    rm -rf "$base.cache"
}

for word in "$@"; do
    name=${word%%:*} efforts=quick
    case $word in *:*) efforts=${word#*:} ;; esac
    efforts=${efforts//,/ }
    for effort in $efforts; do tune "$name" "$effort"; done
    turn=0
    for order in "$efforts" "$(tac -s ' ' <<<"$efforts " | xargs)" "$(tac -s ' ' <<<"$efforts " | xargs)" "$efforts"; do
        turn=$((turn + 1))
        for effort in $order; do
            "$hone" run "$out/$name-$effort.plan" --device "$device" --duration "${DURATION:-2}" --json >"$out/$name-$effort.run$turn.json"
        done
    done
    "$python" - "$out/$name" $efforts <<'END'
import json, statistics, sys
base, efforts = sys.argv[1], sys.argv[2:]
ms = {e: statistics.median(json.load(open(f"{base}-{e}.run{t}.json"))["latency"]["median_ms"] for t in range(1, 5)) for e in efforts}
for e in efforts:
    tune = json.load(open(f"{base}-{e}.tune.json"))
    spent = ", ".join(f"{k} {v:.1f}" for k, v in sorted(tune["spent"].items(), key=lambda x: -x[1]))
    print(f"{base.split('/')[-1]:20s} {e:6s} {tune['seconds']:6.1f} s  {tune['candidates']} tried, {tune['lagging']} of libraries far behind left out  "
          f"{ms[e]:.4f} ms, {ms[e] / ms[efforts[-1]]:.3f} of {efforts[-1]}'s  ({spent})", flush=True)
END
done
