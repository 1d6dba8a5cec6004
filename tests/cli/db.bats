#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# hone db: what it prints and how it ends.

setup() {
    HONE=${HONE:-$PWD/build/hone}
    dump=$PWD/tests/corpora/db_dump/all-tables.txt
    cd "$BATS_TEST_TMPDIR"
    export XDG_DATA_HOME=$PWD/data
    unset HONE_DB
}

@test "load, info, dump, merge, check" {
    run "$HONE" db load a.db "$dump"
    [ "$status" -eq 0 ] && [[ $output == *"34 new facts" ]]
    run "$HONE" db info a.db
    [ "$status" -eq 0 ] && [[ $output == *"24 measurements"* ]] && [[ $output == *"NVIDIA H200"* ]] && [[ $output == *"journal "* ]]
    "$HONE" db dump a.db | cmp - "$dump"
    "$HONE" db dump a.db -o a.txt.zst
    "$HONE" db merge b.db a.txt.zst a.db
    "$HONE" db dump --db b.db -o b.txt
    cmp b.txt "$dump"
    run "$HONE" db check b.db
    [ "$status" -eq 0 ] && [ "$output" = "b.db: no faults" ]
}

@test "--json is one object" {
    "$HONE" db load a.db "$dump"
    run "$HONE" db info --json a.db
    [ "$status" -eq 0 ]
    python3 -c 'import json, sys
info = json.loads(sys.argv[1])
assert info["schema"] == "hone.db.info.1" and info["counts"]["measurements"] == 24 and len(info["devices"]) == 1, info' "$output"
    run "$HONE" db check --json a.db
    [ "$status" -eq 0 ]
    python3 -c 'import json, sys
assert json.loads(sys.argv[1])["faults"] == [], sys.argv[1]' "$output"
}

@test "a thin dump loads and is its own thin dump" {
    "$HONE" db load a.db "$dump"
    "$HONE" db dump a.db --keep 1 -o thin.txt
    "$HONE" db load thin.db thin.txt
    "$HONE" db check thin.db
    "$HONE" db dump thin.db --keep 1 | cmp - thin.txt
}

@test "usage errors end with 2" {
    for words in "" "nope" "load" "load a.db" "merge a.db" "info a b" "dump --keep 0" "dump --keep x" "info --nope" "info missing.db"; do
        run "$HONE" db $words
        [ "$status" -eq 2 ]
    done
    run "$HONE" db --help
    [ "$status" -eq 0 ] && [[ $output == *"merge DB FROM"* ]]
}

@test "damaged databases and dumps end with 7" {
    "$HONE" db load a.db "$dump"
    size=$(stat -c %s a.db)
    head -c $((size / 2)) a.db > cut.db
    head -c 5000 "$dump" > cut.txt
    sed 's/NVIDIA H200/NVIDIA H100/' "$dump" > changed.txt
    echo text > text.db
    : > empty.db
    mkfifo fifo
    for file in cut.db cut.txt changed.txt text.db empty.db fifo .; do
        for verb in info dump check; do
            run timeout 10 "$HONE" db $verb "$file"
            [ "$status" -eq 7 ]
            [[ $output == "hone: "* ]]
        done
    done
    run "$HONE" db load b.db changed.txt
    [ "$status" -eq 7 ]
    run "$HONE" db check b.db
    [ "$status" -eq 0 ]
}

@test "check names what was changed and ends with 7" {
    "$HONE" db load a.db "$dump"
    python3 -c 'import sqlite3
db = sqlite3.connect("a.db")
db.execute("UPDATE measurement SET median_ns = median_ns / 2 WHERE verdict = \"ok\"".replace("\"", chr(39)))
db.commit()'
    run "$HONE" db check a.db
    [ "$status" -eq 7 ]
    [[ $output == *"does not have the content of its id"* ]] && [[ $output == *"18 faults"* ]]
}

@test "the user's own database lies over the bundled one" {
    mkdir -p prefix/bin prefix/share/hone
    cp "$HONE" prefix/bin/hone
    run prefix/bin/hone db info
    [ "$status" -eq 0 ] && [[ $output == *"(no database)"* ]]
    "$HONE" db load prefix/share/hone/bundled.db "$dump"
    chmod 444 prefix/share/hone/bundled.db
    chmod 555 prefix/share/hone
    run prefix/bin/hone db info
    [ "$status" -eq 0 ] && [[ $output == *"24 measurements"* ]] && [[ $output == *"journal immutable"* ]]
    HONE_DB=$PWD/own.db
    "$HONE" db load own.db "$dump"
    export HONE_DB
    run prefix/bin/hone db info
    [ "$status" -eq 0 ] && [[ $output == *"own.db"*"over"*"bundled.db"* ]]
    run prefix/bin/hone db info own.db
    [[ $output != *"bundled.db"* ]]
    chmod 755 prefix/share/hone
}

@test "a dump may be vouched for: what its writers measured stands under the name local" {
    echo 'relu x=f32:8' | "$HONE" tune - --db a.db --device cpu --sources ref --progress none
    "$HONE" db dump a.db -o a.txt
    ! grep '^run' a.txt | cut -f4 | grep -q '^local$'
    "$HONE" db dump a.db --vouch -o vouched.txt
    [ "$(grep '^run' vouched.txt | cut -f4 | sort -u)" = local ]
    [ "$(grep -c '^measurement' vouched.txt)" -eq "$(grep -c '^measurement' a.txt)" ]
    "$HONE" db load vouched.db vouched.txt
    "$HONE" db check vouched.db
}

@test "a part is dumped, loads, and says nothing private" {
    "$HONE" db load a.db "$dump"
    "$HONE" db dump a.db --op conv2d -o part.txt
    "$HONE" db load part.db part.txt
    "$HONE" db check part.db
    "$HONE" db dump part.db | cmp - part.txt
    [ "$(grep -c '^measurement' part.txt)" -eq "$(grep '^measurement' "$dump" | cut -f3 | grep -c '^conv2d')" ]
    [ "$(grep -c '^measurement' part.txt)" -gt 0 ] && ! grep -q '^measurement.*gemm m=' part.txt
    "$HONE" db dump a.db --architecture sm_80 -o none.txt
    ! grep -q -E '^(measurement|run|coverage|artifact)' none.txt
    "$HONE" db dump a.db --architecture sm_90 --network resnet50 -o net.txt
    [ "$(grep -c '^measurement' net.txt)" -eq 24 ]
    run "$HONE" db dump a.db --network nope
    [ "$status" -eq 5 ] && [[ $output == *"no network 'nope'"* ]]
    "$HONE" db dump a.db --strip-private -o public.txt
    ! grep -q -E 'resnet50|--effort|a tab and|^plan|^ruling' public.txt
    "$HONE" db load public.db public.txt
    "$HONE" db check public.db
    "$HONE" db dump public.db | cmp - public.txt
    [ "$(grep -c '^measurement' public.txt)" -eq 24 ]
}
