#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Each hostile ONNX file gets a clear answer from `hone inspect`, within 1 s and 256 MB of address space.
# LIMIT_MS and LIMIT_KB loosen the limits (sanitizers, busy machines).
set -u
cd "$(dirname "$0")/../.."
B=${B:-build} HONE=${HONE:-$PWD/${B:-build}/hone}
folder=$B/check/hostile_onnx
python3 tests/hostile_onnx/make.py "$folder" || exit 1
passed=0 failed=0 slowest=0 slowest_name=
while IFS=$'\t' read -r name code words; do
    start=$(date +%s%N)
    out=$(ulimit -v "${LIMIT_KB:-262144}"; timeout 20 "$HONE" inspect "$folder/$name" 2>&1); rc=$?
    ms=$(( ($(date +%s%N) - start) / 1000000 ))
    [ $ms -gt $slowest ] && slowest=$ms slowest_name=$name
    why=
    [ $rc -eq "$code" ] || why="exit code $rc, not $code"
    [ -n "$words" ] && ! grep -qF -- "$words" <<<"$out" && why="$why; no word of \"$words\""
    [ -n "$out" ] || why="$why; no answer"
    [ $ms -le "${LIMIT_MS:-1000}" ] || why="$why; took $ms ms"
    if [ -n "$why" ]; then
        failed=$((failed + 1))
        echo "$name: ${why#; }"; tail -n 3 <<<"$out" | cut -c1-300 | sed 's/^/    /'
    else
        passed=$((passed + 1))
    fi
done <"$folder/manifest.txt"
echo "slowest: $slowest ms $slowest_name"
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
