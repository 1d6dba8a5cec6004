#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How much faster `hone sweep script --local` is with all GPUs of this machine than with one of them: one JSON object, and on standard error how far
# it is. sweep_gpus.sh [COPIES], the size of the work list (default 6: 358 problems). Builds nothing; needs build/hone and tests/cases alone;
# some six minutes on two GPUs and 32 processors, most of it compiling and the GPU that works alone.
#
# "ratio" is against one GPU with its part of the processors, as --local gives it; "ratio_all_processors" against one GPU that has all of them.
set -eu
cd "$(dirname "$0")/../.."
HONE=${HONE:-$PWD/build/hone} copies=${1:-6} device=${DEVICE:-cuda:0} shards=${SHARDS:-48}
work=$(mktemp -d "${TMPDIR:-/tmp}/hone-gpus-XXXXXX")
trap 'rm -rf "$work"' EXIT
export XDG_DATA_HOME=$work/data HONE_CACHE=$work/cache
unset HONE_DB
say() { printf '%4d s  %s\n' "$SECONDS" "$*" >&2; }

# Shapes of real networks at a few batch sizes, so that every problem is one of its own.
for batch in $(seq "$copies"); do sed -e '/^#/d' -e '/^$/d' -e "s/:1x/:${batch}x/g" tests/cases/nvrtc_large.txt; done | sort -u >"$work/list"
say "$(wc -l <"$work/list") lines"

# An empty database: nothing is known, on any side. Compiled code is made first, so that all sides find it and GPUs, not compilers, are compared.
echo 'relu x=f32:8' | "$HONE" tune - --db "$work/empty.db" --device cpu --sources ref --progress none >"$work/said" 2>&1
"$HONE" tune "$work/list" --compile-only --device "$device" --db "$work/empty.db" --progress none >"$work/compiled"
say "$(tail -1 "$work/compiled")"
# Many shards: who ends first waits for less than the length of one.
for side in all one whole; do
    "$HONE" sweep plan -o "$work/$side" --db "$work/empty.db" --device "$device" --shards "$shards" "$work/list" >"$work/plan"
    "$HONE" sweep script --local --db "$work/empty.db" "$work/$side" >"$work/$side.all.sh"
    # One GPU: the script of all, less the other processes.
    awk '/ --device .* &$/ {n++} / --device .* &$/ && n > 1 {skip = 2} skip > 0 {skip--; next} {print}' "$work/$side.all.sh" >"$work/$side.sh"
done
problems=$(grep -c '^problem' "$work/all/list")
gpus=$(grep -c -e ' --device .* &$' "$work/all.all.sh")
mv "$work/all.all.sh" "$work/all.sh"
sed -i 's/^taskset -c [0-9,]* //' "$work/whole.sh"
say "$(cat "$work/plan"); $gpus GPUs"
[ "$gpus" -ge "${LEAST:-2}" ] || { echo "this machine has $gpus GPU of this type: nothing to compare" >&2; exit 1; }

# Its seconds, once it has covered all, each problem once.
side() {
    local start end
    start=$(date +%s%N)
    sh "$work/$1.sh" >"$work/$1.log" 2>&1 || { tail -5 "$work/$1.log" >&2; return 1; }
    end=$(date +%s%N)
    awk -v wanted="$problems" '/^shard .* tuned,/ {for (k = 2; k <= NF; k++) if ($k == "tuned,") tuned += $(k - 1)}
        END {if (tuned != wanted) {print tuned " problems were tuned, not " wanted >"/dev/stderr"; exit 1}}' "$work/$1.log"
    awk -v ns=$((end - start)) 'BEGIN {printf "%.1f\n", ns / 1e9}'
}
# All first: what is still to be compiled in spite of the above is compiled on this side's time.
all=$(side all)
say "all GPUs: $all s"
one=$(side one)
say "one GPU and its part of the processors: $one s"
whole=$(side whole)
say "one GPU and all processors: $whole s"
awk -v all="$all" -v one="$one" -v whole="$whole" -v gpus="$gpus" -v problems="$problems" -v shards="$shards" 'BEGIN {
    printf "{\"gpus\": %d, \"problems\": %d, \"shards\": %d, \"all_gpus_seconds\": %.1f, \"one_gpu_seconds\": %.1f, \"one_gpu_all_processors_seconds\": %.1f, " \
           "\"ratio\": %.3f, \"ratio_all_processors\": %.3f}\n", gpus, problems, shards, all, one, whole, one / all, whole / all }'
