#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The main job on a real trained network, text detection of PP-OCRv4: tune, remember, build, run on a page image, compare with ONNX
# Runtime, say what was chosen and why; then the plan of the same network for the GPU of the bundled database.
# On the GPU where there is one, otherwise on the CPU.
set -euo pipefail
cd "$(dirname "$0")/.."
B=${B:-build} HONE=$PWD/${B:-build}/hone
python=build/venv/bin/python model=build/models/ppocrv4-det.onnx inputs=build/models/inputs/ppocrv4-det out=$B/demo

say() { printf '\n== %s\n' "$*"; }

rm -rf "$out"
mkdir -p "$out/outputs"
say "the network and its input (a rendered page, tests/models/images/page.png)"
"$python" tests/models/make_models.py build/models --only ppocrv4-det
"$python" tests/models/make_inputs.py build/models --only ppocrv4-det
"$HONE" inspect "$model"

device=cpu precision=fp32 tolerance=1e-4
if "$HONE" devices | grep -q '^cuda:0'; then device=cuda:0 precision=fp16 tolerance=6e-2; fi

say "tune on $device in $precision"
"$HONE" tune "$model" --db "$out/tuned.db" --device "$device" --precision "$precision" --effort quick

say "build the plan from the database"
"$HONE" build "$model" -o "$out/plan" --db "$out/tuned.db" --device "$device" --precision "$precision" --strict

say "run it on the page, and compare with ONNX Runtime"
"$HONE" run "$out/plan" --device "$device" --input "x=$inputs/in-x.npy" --output "$out/outputs" --iterations 20
"$python" tests/compare.py "$inputs" "$out/outputs" "$tolerance"

say "what was chosen, and why"
"$HONE" why "$out/plan" --db "$out/tuned.db"

say "the same network for the GPU of the bundled database, with no GPU"
"$HONE" build "$model" -o "$out/plan-h200" --device h200 --precision fp16 --strict
"$HONE" plan show "$out/plan-h200" | sed -n 1,30p      # reads to the end, unlike head
printf '\nThe demo is done: database %s, plans %s and %s.\n' "$out/tuned.db" "$out/plan" "$out/plan-h200"
