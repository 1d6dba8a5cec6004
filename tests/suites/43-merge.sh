#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# alone: it is held to a time
# A merge of many rows takes as long as it may, and its repetition next to nothing. ROWS=500000 is the size that the figures are for.
objects=$(ls base/*.c db/*.c | sed "s|^|$B/obj/|; s|\.c$|.o|")
mkdir -p "$B/tests"
${CC:-gcc} -std=gnu11 -O2 -g -Wall -Wextra -D_GNU_SOURCE -I. -o "$B/tests/merge" tests/db/merge.c $objects \
    -lsqlite3 -lsodium -lzstd -ljansson -lm -lpthread -ldl || exit 1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$B/tests/merge" "${ROWS:-50000}" "$folder"
