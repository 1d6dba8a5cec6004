#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The ledger of bad tactics travels: what crashed, hung, or was wrong on one machine is not launched on another that has merged it, unless its
# versions are others. The sources are hone-hostile's, which writes down its own launches.

setup_file() {
    export HOSTILE=$PWD/build/tests/hone-hostile HONE=${HONE:-$PWD/build/hone} ROOT=$PWD
    cd "$BATS_FILE_TMPDIR"
    unset HONE_DB
    echo 'relu x=f32:1000' >list
    tune a
    "$HONE" db dump a.db -o a.txt
    # What A learned, without its word that all was tried: B has everything to do itself.
    grep -v -e '^coverage' -e '^end' a.txt >learned.txt
    printf 'end\t-\n' >>learned.txt
}

setup() { cd "$BATS_FILE_TMPDIR"; }

# On a machine with a key, a cache and a record of its own.
tune() {
    env XDG_DATA_HOME="$PWD/data-$1" HONE_CACHE="$PWD/cache-$1" HOSTILE_RECORD="$PWD/$1.record" \
        "$HOSTILE" tune list --db "$1.db" --sources hostile --effort exhaustive --warm --deadline-floor 0.3 --seed 7 --busy --progress none --json >"$1.json"
}
launched() { sort -n "$1.record" | uniq; }
field() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$1.json" "$2"; }

@test "A launches good and bad ones and knows which was which" {
    [ "$(launched a | wc -l)" -eq 14 ]
    [ "$(field a known_bad)" -eq 0 ]
    [ "$(grep -c -P '\t(crash|timeout|wrong|unstable)\t' a.txt)" -eq 11 ]
}

@test "B merges what A learned and launches none of the bad ones" {
    "$HONE" db load b.db learned.txt
    tune b
    [ "$(field b known_bad)" -eq 13 ]
    [ "$(sort b.record | uniq -c | tr -s ' ')" = " 200 0" ]      # the good ones, each once
}

@test "on other versions than they were seen on they are launched again" {
    python3 "$ROOT/tests/hostile/versions.py" 0.0.1 <learned.txt >other.txt
    "$HONE" db load c.db other.txt
    "$HONE" db check c.db
    tune c
    [ "$(field c known_bad)" -eq 0 ]
    [ "$(launched c)" = "$(launched a)" ]
}
