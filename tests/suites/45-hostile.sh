#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# alone: its deadlines are short
# Tactics that crash, hang, lie and overrun, shuffled among 2,000 honest ones: each gets its verdict, nobody else does.
set -eu
hostile=$PWD/$B/tests/hone-hostile out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export HONE_CACHE=$out/cache HONE_DB=$out/own.db
for n in 1000 1001 1002 1003 1004 1005 1006 1007 1008 1009; do echo "relu x=f32:$n"; done >"$out/list"
tune() { "$hostile" tune "$out/list" --effort exhaustive --warm --deadline-floor 0.3 --seed 7 --progress none --json "$@"; }
tune --db "$out/hostile.db" --sources hostile >"$out/summary.json"
tune --db "$out/good.db" --sources good >"$out/good.json"
cat "$out/summary.json"
"$hostile" tune "$out/list" --compile-only --device 'cpu x86_64-avx2 "any" threads=1' --sources badcompiler | tee "$out/compiled"
grep -q '10 tactics compiled or found, 20 do not compile' "$out/compiled"      # ten of them took the compiler with them
head -1 "$out/list" >"$out/one"
"$hostile" tune "$out/one" --effort quick --sources good,laggard --warm --progress none --json --db "$out/quick.db" >"$out/quick.json"
"$hostile" tune "$out/one" --effort exhaustive --sources laggard --warm --progress none --json --db "$out/all.db" >"$out/all.json"
gpu=()
if [ -e tests/hostile/gpu.replay ]; then      # tests/hostile/record_gpu.sh
    grep -v '^#' tests/hostile/gpu.replay | cut -f1 | grep ' ' | sort -u >"$out/gpu.list"
    "$hostile" tune "$out/gpu.list" --device replay:tests/hostile/gpu.replay --deadline-floor 0.3 --progress none --db "$out/gpu.db"
    gpu=("$out/gpu.db")
fi
python3 tests/hostile/check.py "$out/hostile.db" "$out/good.db" "$out/summary.json" "$out/quick.json" "$out/quick.db" "$out/all.json" "${gpu[@]}"
