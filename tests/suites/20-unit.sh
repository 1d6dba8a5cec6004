#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The unit tests, as many files at a time as there are processors. UNIT: beginnings of the names of the files to run; all without it.
# A skipped test fails, unless tests/allowed_skips.txt holds its name on a line.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
printf '%s\n' ${UNIT:-$("$B/tests/unit" --list)} | xargs -P "$(nproc)" -I '{}' sh -c '"$1" "$2" >"$3" 2>&1' - "$B/tests/unit" '{}' "$folder/{}"; rc=$?
out=$(cat "$folder"/*)
printf '%s\n' "$out" | grep -v -E '^\[ (RUN|      OK)'
passed=$(grep -c -E '^\[       OK \]' <<<"$out")
failed=$(grep -E '^\[  (FAILED|ERROR)  +\] [a-z]' <<<"$out" | sort -u | wc -l)      # each is said twice
skipped=$(sed -n 's/^\[  SKIPPED \] \([a-z][^ ]*\)$/\1/p' <<<"$out" | sort -u)
for name in $skipped; do
    grep -qx "$name" tests/allowed_skips.txt 2>/dev/null && continue
    echo "$name was skipped and is not in tests/allowed_skips.txt"
    failed=$((failed + 1)) rc=1
done
[ "$passed" -eq 0 ] && rc=1      # no program, or no such file
[ $rc -ne 0 ] && [ "$failed" -eq 0 ] && failed=1
echo "$passed passed, $failed failed"
exit $rc
