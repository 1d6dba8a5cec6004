#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Holds what the fences declare against the vendors' headers, where those are installed: every constant V_NAME of
# kernels/LIB_priv.h (found here, so none can be forgotten), and the types that tests/headers/LIB.c names.
# A library without headers is a skip; each name may be skipped, as a machine without a toolkit builds hone too.
set -u
cd "$(dirname "$0")/../.."
B=${B:-build} CC=${CC:-gcc}
work=$B/check/headers
mkdir -p "$work"

includes=()
for folder in ${CUDA_HOME:+"$CUDA_HOME/include"} /usr/local/cuda/include /usr/local/cuda/extras/CUPTI/include \
    "$B"/venv/lib/python3*/site-packages/nvidia/*/include build/venv/lib/python3*/site-packages/nvidia/*/include; do
    [ -d "$folder" ] && includes+=("-I$folder")
done

passed=0 failed=0
for entry in cuda_driver:cuda.h nvrtc:nvrtc.h cublaslt:cublasLt.h cudnn:cudnn.h cupti:cupti.h nvml:nvml.h; do
    name=${entry%%:*} header=${entry##*:}
    if ! echo "#include <$header>" | "$CC" "${includes[@]}" -E -o /dev/null - 2>/dev/null; then
        echo "$name: skipped, no $header here"
        continue
    fi
    mkdir -p "$work/$name"
    # V_CU_LAUNCH_PARAM_* are pointers, no constants of the language, and stand in cuda.h since its first days.
    sed 's,//.*,,' "kernels/${name}_priv.h" | grep -oE '\bV_[A-Za-z0-9_]+' | grep -vE '^V_PACKED$|^V_CU_LAUNCH_PARAM_' | sort -u |
        sed 's/^V_\(.*\)/SAME_VALUE(\1);/' >"$work/$name/constants.h"
    if "$CC" -std=gnu11 -D_GNU_SOURCE -Wno-deprecated-declarations -I. "-I$work/$name" "${includes[@]}" -fsyntax-only \
        "tests/headers/$name.c" 2>"$work/$name/log"; then
        count=$(($(wc -l <"$work/$name/constants.h") + $(grep -cE '^[A-Z_]+\(|^_Static_assert' "tests/headers/$name.c")))
        echo "$name: $count declarations agree with $header"
        passed=$((passed + 1))
    else
        grep -E 'error' "$work/$name/log" | head -20
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
