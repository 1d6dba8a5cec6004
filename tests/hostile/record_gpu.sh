#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# On a machine with a GPU: runs the faults that only it can show and prints the recording: record_gpu.sh >tests/hostile/gpu.replay
set -eu
hostile=${B:-build}/tests/hone-hostile out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
echo 'relu x=f32:1000' >"$out/list"
"$hostile" tune "$out/list" --device "${1:-cuda:0}" --sources hostilegpu --effort exhaustive --deadline-floor 0.3 --progress none --db "$out/db" >&2
"$hostile" problems --db "$out/db" --device "${1:-cuda:0}" --replay
