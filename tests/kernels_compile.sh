#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Compiles tactics of every kernel of the nvrtc source for sm_80 and sm_90 with no GPU, and fails when one does not compile or spills
# registers: tests/kernels_compile.sh [TACTICS of each problem, default 2; 0 = all]. Minutes; `make check` compiles a sample.
set -eu
cd "$(dirname "$0")/.."
B=${B:-build}
make -s "$B/tests/gpu_nvrtc_smoke"
status=0
for target in 'cuda sm_80 "NVIDIA A100" sms=108 mem=81920MiB clock=1410MHz power=400W' \
              'cuda sm_90 "NVIDIA H200" sms=132 mem=143771MiB clock=1980MHz power=700W'; do
    echo "$target"
    case $target in *sm_80*) clusters=() ;; *) clusters=(tests/cases/nvrtc_sm90.txt) ;; esac
    "$B/tests/gpu_nvrtc_smoke" -c "$target" -n "${1:-2}" tests/cases/nvrtc.txt tests/cases/nvrtc_large.txt "${clusters[@]}" | grep -v '^ok' || status=1
done
exit $status
