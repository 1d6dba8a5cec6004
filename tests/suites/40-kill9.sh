#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Eight writers of one database, killed at 300 random points; and a writer that acknowledges too early, which must be caught.
# KILLS and SEED change the trial.
objects=$(ls base/*.c db/*.c | sed "s|^|$B/obj/|; s|\.c$|.o|")
mkdir -p "$B/tests"
${CC:-gcc} -std=gnu11 -O2 -g -Wall -Wextra -D_GNU_SOURCE -I. -o "$B/tests/kill9" tests/db/kill9.c $objects \
    -lsqlite3 -lsodium -lzstd -lm -lpthread -ldl || exit 1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
passed=0 failed=0
mkdir "$folder/trial" "$folder/control"
if "$B/tests/kill9" --kills "${KILLS:-300}" --seed "${SEED:-1}" "$folder/trial"; then passed=1; else failed=1; fi
echo "the control, which must lose rows:"
if "$B/tests/kill9" --early --kills 30 --seed "${SEED:-1}" "$folder/control" | grep -c 'acknowledged and lost'; then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
fi
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
