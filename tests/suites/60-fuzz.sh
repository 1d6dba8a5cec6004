#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Replays the corpora: tests/corpora/NAME through the target tests/fuzz/NAME.c.
passed=0 failed=0
for file in tests/fuzz/*.c; do
    name=$(basename "$file" .c)
    [ "$name" != replay ] && [ -d "tests/corpora/$name" ] || continue
    out=$("$B/tests/fuzz-$name" "tests/corpora/$name" 2>&1); rc=$?
    count=$(sed -n 's/^\([0-9]*\) passed, 0 failed$/\1/p' <<<"$out")
    passed=$((passed + ${count:-0}))
    if [ $rc -ne 0 ]; then
        failed=$((failed + 1))
        echo "$name ended with $rc:"; tail -20 <<<"$out"
    else
        echo "$name: $(grep '^slowest' <<<"$out")"
    fi
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
