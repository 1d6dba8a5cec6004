#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Records whole spaces on a GPU: every tactic of hone's own kernels and all that cuBLASLt lists, and the 32 of cuDNN that a full tuning without
# a learned ranking tries, of each problem of LIST. spaces.sh OUT.txt.zst [LIST [DEVICE]]; builds nothing. On an H100 the 20 problems of
# tests/cases/fp16_shapes.txt hold 836 own tactics and at most 3,200 and 640 of the libraries': LIMIT (240 s) bounds each of the two parts.
set -euo pipefail
out=$1 list=${2:-tests/cases/fp16_shapes.txt} device=${3:-cuda:0}
hone=${HONE:-build/hone} folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
part() { "$hone" tune "$list" --db "$folder/spaces.db" --device "$device" --time "${LIMIT:-240}s" --ranking none --seed 1 --progress plain --json "$@"; }
part --sources nvrtc,cublaslt --effort exhaustive | tee "$folder/own.json"
part --sources cudnn --effort full | tee "$folder/cudnn.json"
"$hone" db dump "$folder/spaces.db" -o "$out"
"$hone" rank replay "$out" --timed 16,32,64
ls -l "$out"
