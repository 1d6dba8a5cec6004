#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Searches with each fuzz target tests/fuzz/NAME.c for SECONDS, from tests/corpora/NAME. What it finds is put
# into build/fuzz/finds; a find worth keeping goes to tests/corpora/NAME, where `make check` replays it.
# Usage: tests/fuzz.sh SECONDS [NAME...]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=$1; shift
command -v clang >/dev/null || { echo "make fuzz needs clang with libFuzzer (apt-get install clang)" >&2; exit 1; }
names=("$@")
if [ ${#names[@]} -eq 0 ]; then
    for file in tests/fuzz/*.c; do
        name=$(basename "$file" .c)
        [ "$name" = replay ] || names+=("$name")
    done
fi
[ ${#names[@]} -gt 0 ] || { echo "there is no fuzz target in tests/fuzz"; exit 1; }
failed=0
for name in "${names[@]}"; do
    make --no-print-directory -s B=build/fuzz CC=clang CFLAGS='-O1 -g' WARNINGS=-w \
        SANITIZE='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined' "build/fuzz/tests/search-$name"
    mkdir -p "build/fuzz/corpus/$name" build/fuzz/finds "tests/corpora/$name"
    echo "$name: $seconds s"
    "build/fuzz/tests/search-$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="build/fuzz/finds/$name-" "build/fuzz/corpus/$name" "tests/corpora/$name" \
        >"build/fuzz/$name.log" 2>&1 || { failed=1; tail -40 "build/fuzz/$name.log"; }
    grep -E '^stat::(number_of_executed_units|new_units_added)' "build/fuzz/$name.log" || true
done
exit $failed
