#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tests/cli/*.bats drive the program as users do.
files=(tests/cli/*.bats)
[ -e "${files[0]}" ] || { echo "0 passed, 0 failed"; exit 0; }
out=$(bats --tap "${files[@]}" 2>&1); rc=$?
printf '%s\n' "$out" | grep -v '^ok '
skipped=$(grep -c -E '^ok .* # skip' <<<"$out")
passed=$(($(grep -c '^ok ' <<<"$out") - skipped))
failed=$(($(grep -c '^not ok ' <<<"$out") + skipped))
grep -E '^ok .* # skip' <<<"$out" | sed 's/^/a skip fails: /'
echo "$passed passed, $failed failed"
[ $rc -eq 0 ] && [ "$failed" -eq 0 ]
