#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tests/cli/*.bats drive the program as users do, as many files at a time as there are processors.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
printf '%s\n' tests/cli/*.bats | xargs -P "$(nproc)" -I '{}' sh -c 'bats --tap "$1" >"$2/$(basename "$1")" 2>&1' - '{}' "$folder"; rc=$?
out=$(cat "$folder"/*)
printf '%s\n' "$out" | grep -v '^ok '
skipped=$(grep -c -E '^ok .* # skip' <<<"$out")
passed=$(($(grep -c '^ok ' <<<"$out") - skipped))
failed=$(($(grep -c '^not ok ' <<<"$out") + skipped))
grep -E '^ok .* # skip' <<<"$out" | sed 's/^/a skip fails: /'
[ $rc -ne 0 ] && [ "$failed" -eq 0 ] && failed=1
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
