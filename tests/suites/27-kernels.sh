#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The CUDA kernels against the reference with no GPU: their text is compiled for the CPU behind tests/emulate and run thread by thread.
# SEED picks other tactics; TACTICS more of each problem.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{ cat tests/cases/nvrtc.txt; sed '/^# products in BERT/,$d' tests/cases/nvrtc_sm90.txt; } | grep -v '^ *#' | grep . > "$folder/all"
split -n r/2 "$folder/all" "$folder/part."
# Large tiles are for large problems: a device of one multiprocessor is given them for small ones.
large=(-m 1 -n 20 -k gemm_wgmma 'matmul a=f16:140x456 b=f16:456x136' -n 3 'matmul a=bf16:132x264 b=bf16:136x132 trans_a=1 trans_b=1'
       -k conv_wgmma 'conv x=f16:1x12x12x56:nhwc w=f16:136x3x3x56:nhwc b=f16:136 pad=1')
for part in a b; do
    mkdir "$folder/$part"
    [ $part = a ] && more=("${large[@]}") || more=()
    "$B/tests/gpu_nvrtc_emulate" "$folder/$part" -n "${TACTICS:-1}" -s "${SEED:-1}" "$folder/part.a$part" "${more[@]}" > "$folder/out.$part" 2>&1 &
done
wait
grep -h -v -E '^ok|passed,' "$folder"/out.*
passed=$(cat "$folder"/out.* | grep -c '^ok')
failed=$(cat "$folder"/out.* | grep -c '^FAIL')
[ "$(cat "$folder"/out.* | grep -c 'passed,')" -eq 2 ] || { echo "the emulator stopped early"; failed=$((failed + 1)); }
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
