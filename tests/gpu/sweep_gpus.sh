#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How much faster `hone sweep script --local` is with all GPUs of this machine than with one of them: one JSON object, and on standard error how far
# it is and where the time of each GPU went. sweep_gpus.sh [COPIES], the size of the work list (default 16: 946 problems). Builds nothing; needs
# build/hone and tests/cases alone; some six minutes on two GPUs and 32 processors.
#
# What cuDNN's engines leave to the driver to compile, seconds for some convolutions, the driver keeps on the disk: each side has a folder of its own
# for it, so that none finds what another compiled (measured with one folder: 4.6 s for a shard, 0.7 s the next time).
# "ratio" is against one GPU with its part of the processors, as --local gives it; with WHOLE=1 "ratio_all_processors", against one GPU that has all of
# them, as well. LOGS=FOLDER keeps what each process said.
set -eu
cd "$(dirname "$0")/../.."
HONE=${HONE:-$PWD/build/hone} copies=${1:-16} device=${DEVICE:-cuda:0} shards=${SHARDS:-96}
work=$(mktemp -d "${TMPDIR:-/tmp}/hone-gpus-XXXXXX")
trap 'rm -rf "$work"' EXIT
logs=${LOGS:-$work/logs}
mkdir -p "$logs"
export XDG_DATA_HOME=$work/data HONE_CACHE=$work/cache
unset HONE_DB
say() { printf '%4d s  %s\n' "$SECONDS" "$*" >&2; }

# Shapes of real networks at a few batch sizes, so that every problem is one of its own.
for batch in $(seq "$copies"); do sed -e '/^#/d' -e '/^$/d' -e "s/:1x/:${batch}x/g" "${LIST:-tests/cases/nvrtc_large.txt}"; done | sort -u >"$work/list"
say "$(wc -l <"$work/list") lines"

# An empty database: nothing is known, on any side. Compiled code is made first, so that all sides find it and GPUs, not compilers, are compared.
echo 'relu x=f32:8' | "$HONE" tune - --db "$work/empty.db" --device cpu --sources ref --progress none >"$work/said" 2>&1
if [ "$device" != cpu ]; then
    "$HONE" tune "$work/list" --compile-only --device "$device" --db "$work/empty.db" --progress none >"$work/compiled"
    say "$(tail -1 "$work/compiled")"
fi
# Many shards: who ends first waits for less than the length of one.
"$HONE" sweep plan -o "$work/all" --db "$work/empty.db" --device "$device" --shards "$shards" "$work/list" >"$work/plan"
for side in one whole; do
    mkdir "$work/$side"
    cp "$work/all/list" "$work/$side/"
done
for side in all one whole; do
    "$HONE" sweep script --local --db "$work/empty.db" "$work/$side" | sed -E "s|( --device ([^ ]*)) &\$|\1 >'$logs/$side.\2.log' 2>\&1 \&|" >"$work/$side.sh"
done
problems=$(grep -c '^problem' "$work/all/list")
gpus=$(grep -c -e ' --device .* &$' "$work/all.sh")
# One GPU: the script of all, less the other processes, whose turns it has too.
for side in one whole; do
    awk '/ --device .* &$/ {n++; sub(/ --turn [0-9]+\/[0-9]+/, "")} / --device .* &$/ && n > 1 {skip = 2} skip > 0 {skip--; next} {print}' "$work/$side.sh" >"$work/$side.one.sh"
    mv "$work/$side.one.sh" "$work/$side.sh"
done
sed -i 's/^taskset -c [0-9,]* //' "$work/whole.sh"
say "$(cat "$work/plan"); $gpus GPUs"
[ "$gpus" -ge "${LEAST:-2}" ] || { echo "this machine has $gpus GPU of this type: nothing to compare" >&2; exit 1; }

# The libraries' files, gigabytes, are in memory before anything is timed: else the side that comes first alone would wait for them.
awk 'NR % 20 == 1' "$work/list" >"$work/warm"
pids=
for gpu in $(grep -o -e ' --device [^ ]*' "$work/all.sh" | cut -d' ' -f3); do
    CUDA_CACHE_PATH=$work/driver-warm "$HONE" tune "$work/warm" --device "$gpu" --db "$work/warm-${gpu#*:}.db" --db "$work/empty.db" --progress none \
        >"$logs/warm.$gpu.log" 2>&1 &
    pids="$pids $!"
done
for pid in $pids; do wait "$pid" || tail -2 "$logs"/warm.*.log >&2; done
say "warm"

# Its seconds, once it has covered all, each problem once; and of each GPU where they went.
side() {
    local start end
    start=$(date +%s%N)
    CUDA_CACHE_PATH=$work/driver-$1 sh "$work/$1.sh" >"$logs/$1.log" 2>&1 || { tail -5 "$logs/$1".*log >&2; return 1; }
    end=$(date +%s%N)
    awk -v wanted="$problems" '/^shard .* tuned,/ {for (k = 2; k <= NF; k++) if ($k == "tuned,") tuned += $(k - 1)}
        END {if (tuned != wanted) {print tuned " problems were tuned, not " wanted >"/dev/stderr"; exit 1}}' "$logs/$1".*.log
    for log in "$logs/$1".*.log; do
        awk -v end="$end" -v start="$start" -v last="$(stat -c %.9Y "$log")" -v name="$(basename "$log" .log)" '
            /^shard .* tuned,/ {
                shards++
                for (k = 2; k <= NF; k++) {
                    if ($k == "ran;") tuning += $(k + 1)
                    if ($k == "waited") references += $(k + 1)
                    if ($k == "references,") code += $(k + 1)
                    if ($k == "wrote") disk += $(k + 2)
                }
            }
            END {
                printf "        %s: %d shards, %.1f s tuning (of it %.1f waiting for references, %.1f for code; %.1f writing), %.1f s beside it, " \
                       "%.1f s idle at the end\n", name, shards, tuning, references, code, disk, last - start / 1e9 - tuning, end / 1e9 - last
            }' "$log" >&2
    done
    awk -v ns=$((end - start)) 'BEGIN {printf "%.1f\n", ns / 1e9}'
}
all=$(side all)
say "all GPUs: $all s"
one=$(side one)
say "one GPU and its part of the processors: $one s"
whole=
if [ "${WHOLE:-0}" = 1 ]; then
    whole=$(side whole)
    say "one GPU and all processors: $whole s"
fi
awk -v all="$all" -v one="$one" -v whole="$whole" -v gpus="$gpus" -v problems="$problems" -v shards="$shards" 'BEGIN {
    printf "{\"gpus\": %d, \"problems\": %d, \"shards\": %d, ", gpus, problems, shards
    printf "\"all_gpus_seconds\": %.1f, \"one_gpu_seconds\": %.1f, \"ratio\": %.3f", all, one, one / all
    if (whole != "") printf ", \"one_gpu_all_processors_seconds\": %.1f, \"ratio_all_processors\": %.3f", whole, whole / all
    print "}" }'
