#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The CUDA kernels against the reference with no GPU: their text is compiled for the CPU behind tests/emulate and run thread by thread.
# SEED picks other tactics; TACTICS more of each problem.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
{ cat tests/cases/nvrtc.txt; sed '/^# products in BERT/,$d' tests/cases/nvrtc_sm90.txt; } | grep -v '^ *#' | grep . > "$folder/all"
split -n r/2 "$folder/all" "$folder/part."
# Large tiles are for large problems: a device of one multiprocessor is given them for small ones.
large=(-m 1 -n 10 -k gemm_wgmma 'matmul a=f16:140x456 b=f16:456x136' -n 3 'matmul a=bf16:132x264 b=bf16:136x132 trans_a=1 trans_b=1'
       -k conv_wgmma 'conv x=f16:1x12x12x56:nhwc w=f16:136x3x3x56:nhwc b=f16:136 pad=1')
# So are the kernels whose threads ask for much at once.
many=(-m 1 -n "${TACTICS:-1}")
for file in tests/cases/many/*.txt; do many+=(-k "$(basename "$file" .txt)" "$file"); done
# Clusters that share a product of few columns.
many+=(-m 8 -n 4 -k gemm_skinny_cols 'matmul a=f16:1x2056 b=f16:2056x72 | add a=$0 b=f16:72 | gelu x=$1')
# Few multiprocessors walk over many tiles: turns, clusters, every layout, splits of K; convolutions with padding, strides and part of their channels.
ring=(-k gemm_tma -n 3 -m 2 'matmul a=f16:264x296 b=f16:264x264 trans_a=1' 'matmul a=bf16:200x136 b=bf16:392x136 trans_b=1 | relu x=$0'
      -m 12 'matmul a=f16:100x520 b=f16:520x136 | add a=$0 b=f16:136'
      -n 2 -m 2 'matmul a=f16:200x136 b=f16:136x392 | add a=$0 b=f16:392 | gelu x=$1' 'matmul a=f16:200x136 b=f16:136x392 | add a=$0 b=f16:200x392 out=f32'
      'matmul a=f16:72x136 b=f16:203x136 trans_b=1 | silu x=$0' -n 1 -m 2 'matmul a=f16:2x1x72x136 b=f16:3x136x200 | relu x=$0'
      -k gemm_stream -n 2 -m 2 'matmul a=f16:264x520 b=f16:520x120 | add a=$0 b=f16:120' 'matmul a=bf16:264x520 b=bf16:120x520 trans_b=1 | gelu x=$0'
      'matmul a=f16:520x600 b=f16:520x120 trans_a=1 out=f32' -m 8 'matmul a=f16:3x328x1032 b=f16:3x1032x72 | relu x=$0'
      -k conv_tma -n 3 'conv x=bf16:2x17x14x120:nhwc w=bf16:136x3x2x120:nhwc stride=2,1 pad=2,1,1,0 dilation=2'
      -m 16 'conv x=f16:1x10x10x128:nhwc w=f16:72x3x3x128:nhwc b=f16:72 pad=1 | relu x=$0')
# Where windows are filled up with what lies behind them, an infinity there must not be seen; a pooling passes NaNs on.
extreme=(-x -m 132 -k conv_stem -n 2 'conv x=f32:1x3x24x58 w=f32:16x3x7x7 b=f32:16 stride=2 pad=3 out=f16:nhwc math=tf32'
         'conv x=bf16:1x20x37x3:nhwc w=bf16:24x3x3x3:nhwc pad=1 | maxpool x=$0 kernel=3,2 stride=2,1 pad=1,1,0,0')
for part in a b; do
    mkdir "$folder/$part"
    [ $part = a ] && more=("${large[@]}" "${many[@]}") || more=("${ring[@]}" "${extreme[@]}")
    "$B/tests/gpu_nvrtc_emulate" "$folder/$part" -n "${TACTICS:-1}" -s "${SEED:-1}" "$folder/part.a$part" "${more[@]}" > "$folder/out.$part" 2>&1 &
done
wait
grep -h -v -E '^ok|passed,' "$folder"/out.*
passed=$(cat "$folder"/out.* | grep -c '^ok')
failed=$(cat "$folder"/out.* | grep -c '^FAIL')
[ "$(cat "$folder"/out.* | grep -c 'passed,')" -eq 2 ] || { echo "the emulator stopped early"; failed=$((failed + 1)); }
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
