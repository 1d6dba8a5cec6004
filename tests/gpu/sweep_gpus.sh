#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How much faster `hone sweep script --local` is with all GPUs of this machine than with one of them and its part of the processors: one
# JSON object. sweep_gpus.sh [COPIES], the size of the work list (default 6). Builds nothing; some three minutes on two GPUs.
set -eu
cd "$(dirname "$0")/../.."
HONE=${HONE:-$PWD/build/hone} copies=${1:-6}
work=$(mktemp -d "${TMPDIR:-/tmp}/hone-gpus-XXXXXX")
trap 'rm -rf "$work"' EXIT
export XDG_DATA_HOME=$work/data HONE_CACHE=$work/cache
unset HONE_DB

# Shapes of real networks at a few batch sizes, so that every problem is one of its own.
grep -v -e '^#' -e '^$' tests/cases/nvrtc_large.txt >"$work/shapes"
for batch in $(seq "$copies"); do sed "s/:1x/:${batch}x/g" "$work/shapes"; done >"$work/lines"
while IFS= read -r problem; do        # not every shape may be had at every batch
    echo "$problem" >"$work/line"
    "$HONE" sweep plan -o "$work/try" --device 'cuda sm_80 "any" sms=1 mem=1MiB clock=1MHz power=1W' "$work/line" >"$work/said" 2>&1 && echo "$problem"
    rm -rf "$work/try"
done <"$work/lines" >"$work/list"

# An empty database: nothing is known, on either side. Compiled code is made first, so that both find it and GPUs, not compilers, are compared.
echo 'relu x=f32:8' | "$HONE" tune - --db "$work/empty.db" --sources ref --progress none >"$work/said" 2>&1
"$HONE" tune "$work/list" --compile-only --device cuda:0 --db "$work/empty.db" >"$work/compiled"
for side in one all; do
    "$HONE" sweep plan -o "$work/$side" --db "$work/empty.db" --device cuda:0 --shards 16 "$work/list" >"$work/plan"
    "$HONE" sweep script --local --db "$work/empty.db" "$work/$side" >"$work/$side.sh"
done
gpus=$(grep -c -e '--device cuda:' "$work/all.sh")
# One GPU: the script of all, less the other processes. It keeps its part of the processors.
awk '/--device cuda:/ {n++} /--device cuda:/ && n > 1 {skip = 2} skip > 0 {skip--; next} {print}' "$work/one.sh" >"$work/first.sh"

seconds() { local start; start=$(date +%s%N); sh "$1" >"$1.log" 2>&1 || { tail -5 "$1.log" >&2; return 1; }; echo $((($(date +%s%N) - start) / 1000000)); }
one=$(seconds "$work/first.sh")
all=$(seconds "$work/all.sh")
awk -v one="$one" -v all="$all" -v gpus="$gpus" -v problems="$(sort -u "$work/list" | wc -l)" 'BEGIN {
    printf "{\"gpus\": %d, \"problems\": %d, \"one_gpu_seconds\": %.1f, \"all_gpus_seconds\": %.1f, \"ratio\": %.3f}\n", gpus, problems, one / 1000, all / 1000, one / all }'
