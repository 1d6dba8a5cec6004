#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The CUDA kernels against the reference with no GPU: their text is compiled for the CPU behind tests/emulate and run thread by thread.
# SEED picks other tactics; TACTICS more of each problem.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
grep -v '^ *#' tests/cases/nvrtc.txt | grep . > "$folder/all"
split -n r/2 "$folder/all" "$folder/part."
for part in a b; do
    mkdir "$folder/$part"
    "$B/tests/gpu_nvrtc_emulate" "$folder/$part" -n "${TACTICS:-1}" -s "${SEED:-1}" "$folder/part.a$part" > "$folder/out.$part" 2>&1 &
done
wait
grep -h -v -E '^ok|passed,' "$folder"/out.*
passed=$(cat "$folder"/out.* | grep -c '^ok')
failed=$(cat "$folder"/out.* | grep -c '^FAIL')
[ "$(cat "$folder"/out.* | grep -c 'passed,')" -eq 2 ] || { echo "the emulator stopped early"; failed=$((failed + 1)); }
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
