#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# hone rank: what it learns from a database, what it replays, how it ends.

setup() {
    HONE=${HONE:-$PWD/build/hone}
    bundled=$PWD/db/bundled/h100.txt.zst
    cd "$BATS_TEST_TMPDIR"
    "$HONE" db dump "$bundled" --op matmul -o products.txt.zst
}

rank() { "$HONE" rank "$@"; }
# The share that an order reached with so many timed, from --json.
reached() { python3 -c 'import json, sys; print(*[o["percent"] for o in json.loads(sys.argv[1])["orders"] if o["order"] == sys.argv[2] and o["timed"] == int(sys.argv[3])])' "$output" "$1" "$2"; }
is() { awk "BEGIN { exit !($1) }"; }

@test "it learns an order that is better than the estimate, and says so again" {
    rank train products.txt.zst -o one.txt
    rank train products.txt.zst -o two.txt
    cmp one.txt two.txt
    run rank replay products.txt.zst --model one.txt --timed 1,3,50 --json
    [ "$status" -eq 0 ] && is "$(reached learned 1) > $(reached estimate 1)" && is "$(reached learned 3) > 99"
    is "$(reached random 50) > 99.999" && is "$(reached "learned within the estimate" 50) > 99.999"
    run rank replay products.txt.zst --model one.txt --timed 1,3
    [ "$status" -eq 0 ] && [[ $output == *" problems with "*"percent of the fastest"* ]]
}

@test "what was held out was not learned, and the figures can be asked for" {
    "$HONE" db dump "$bundled" --op attention -o few.txt.zst
    run rank replay few.txt.zst --held-out problem --timed 2 --least 90
    [ "$status" -eq 0 ]
    run rank replay products.txt.zst --held-out network --timed 1 --least 100
    [ "$status" -eq 4 ] && [[ $output == *"100.00% are wanted"* ]]
    run rank replay few.txt.zst --held-out device --timed 2     # there is no other
    [ "$status" -eq 5 ] && [[ $output == *"nothing to learn from"* ]]
}

@test "what makes no sense is said" {
    run rank
    [ "$status" -eq 2 ]
    run rank train products.txt.zst
    [ "$status" -eq 2 ] && [[ $output == *"-o FILE"* ]]
    run rank replay products.txt.zst --held-out nobody
    [ "$status" -eq 2 ] && [[ $output == *nobody* ]]
    run rank replay products.txt.zst --timed 16 --least 90,99
    [ "$status" -eq 2 ]
    run rank replay no-such.db
    [ "$status" -ne 0 ] && [[ $output == *no-such.db* ]]
    rank train products.txt.zst -o one.txt
    head -c 5000 one.txt >cut.txt
    run rank replay products.txt.zst --model cut.txt
    [ "$status" -eq 7 ] && [[ $output == *cut.txt*line* ]]
    run rank replay products.txt.zst --model one.txt --fewest 1000
    [ "$status" -eq 5 ] && [[ $output == *"1000 candidates"* ]]
}
