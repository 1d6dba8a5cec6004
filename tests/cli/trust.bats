#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# hone db trust, hone db snapshot, hone build --snapshot: who counts, and plans that are pinned.

setup() {
    HONE=${HONE:-$PWD/build/hone} PYTHON=${PYTHON:-$PWD/build/venv/bin/python}
    dump=$PWD/tests/corpora/db_dump/all-tables.txt
    root=$PWD
    cd "$BATS_TEST_TMPDIR"
    export XDG_DATA_HOME=$PWD/data XDG_CACHE_HOME=$PWD/cache
    unset HONE_DB
}

@test "the snapshot is of the content, whatever file holds it" {
    "$HONE" db load a.db "$dump"
    run "$HONE" db snapshot a.db
    [ "$status" -eq 0 ] && [[ $output =~ ^[0-9a-f]{64}$ ]]
    first=$output
    "$HONE" db merge b.db a.db
    [ "$("$HONE" db snapshot b.db)" = "$first" ]
    [ "$("$HONE" db snapshot "$dump")" = "$first" ]
    run "$HONE" db snapshot --json a.db
    [ "$output" = "{\"schema\":\"hone.db.snapshot.1\",\"snapshot\":\"$first\"}" ] || [[ $output == *"$first"* ]]
}

@test "a ruling hides what it is on, and is taken back by another" {
    "$HONE" db load a.db "$dump"
    before=$("$HONE" db snapshot a.db)
    run="$("$HONE" db dump a.db | awk -F'\t' '$1 == "run" { print $2; exit }')"
    "$HONE" db trust own --db a.db
    "$HONE" db trust quarantine "$run" --reason "the fan was off" --db a.db
    [ "$(stat -c %a data/hone/writer.key)" = 600 ]
    [ "$("$HONE" db snapshot a.db)" != "$before" ]
    run "$HONE" db trust --db a.db
    [ "$status" -eq 0 ] && [[ $output == *" owner "* ]] && [[ $output == *"quarantine $run"* ]] && [[ $output == *"the fan was off"* ]]
    python3 -c 'import sqlite3
db = sqlite3.connect("a.db")
assert db.execute("SELECT count(*) FROM hidden WHERE hides").fetchone()[0] == 1'
    "$HONE" db trust promote "$run" --db a.db
    run "$HONE" db trust --json --db a.db
    python3 -c 'import json, sys
said = json.loads(sys.argv[1])
assert said["schema"] == "hone.db.trust.1" and [r["verb"] for r in said["rulings"]] == ["quarantine", "promote"], said' "$output"
    run "$HONE" db check a.db
    [ "$status" -eq 0 ]
    "$HONE" db dump a.db -o a.txt        # rulings travel in dumps, their owner's say does not
    "$HONE" db load c.db a.txt
    run "$HONE" db trust --db c.db
    [[ $output == *"promote $run"* ]] && [[ $output != *" owner "* ]]
}

@test "who has no say is told so, with 2" {
    "$HONE" db load a.db "$dump"
    "$HONE" db trust own --db a.db
    key=0000000000000000000000000000000000000000000000000000000000000001
    "$HONE" db trust admit $key --db a.db
    run "$HONE" db trust suspend $key --db a.db --key other.key
    [ "$status" -eq 2 ] && [[ $output == *"no say"* ]]
    for words in "nope" "admit" "admit 12" "admit $key more" "own more" "promote ffffffffff"; do
        run "$HONE" db trust $words --db a.db
        [ "$status" -eq 2 ]
    done
    run "$HONE" db trust admit $key --db missing.db
    [ "$status" -eq 2 ]
    chmod 644 data/hone/writer.key
    run "$HONE" db trust admit $key --db a.db
    [ "$status" -eq 2 ] && [[ $output == *"may be read by others"* ]]
}

@test "build --snapshot takes the content it names and no other" {
    "$PYTHON" "$root/tests/cli/tiny.py" .
    "$HONE" tune tiny.onnx --db a.db --device cpu --effort quick --progress none --busy
    snapshot=$("$HONE" db snapshot a.db)
    "$HONE" build tiny.onnx -o one.plan --device cpu --db a.db --snapshot "$snapshot"
    "$HONE" db merge b.db a.db
    "$HONE" build tiny.onnx -o two.plan --device cpu --db b.db --snapshot "${snapshot:0:16}"
    cmp one.plan two.plan
    "$HONE" plan show one.plan | grep -q "${snapshot:0:12}"
    "$HONE" db load b.db "$dump"
    run "$HONE" build tiny.onnx -o three.plan --device cpu --db b.db --snapshot "$snapshot"
    [ "$status" -eq 2 ] && [[ $output == *"$snapshot"* ]] && [ ! -e three.plan ]
    run "$HONE" build tiny.onnx -o three.plan --device cpu --db b.db --snapshot xyz
    [ "$status" -eq 2 ]
}

@test "what was tuned is signed for: its runs bear the key of the data folder" {
    "$PYTHON" "$root/tests/cli/tiny.py" .
    "$HONE" tune tiny.onnx --db a.db --device cpu --effort quick --progress none --busy
    run "$HONE" db trust --db a.db
    [[ $output =~ ^[0-9a-f]{64}\ +owner\ +1\ runs ]]
}

@test "db stale says what rests on other versions" {
    "$HONE" db load a.db "$dump"
    run "$HONE" db stale a.db --device h200 --toolchain "cuda=13.0 driver=580.159 cublaslt=13.1.0 cudnn=9.19.0 hone=0.1.0"
    [ "$status" -eq 0 ] && [[ $output == "0 of 24 measurements on cuda sm_90"* ]]
    run "$HONE" db stale a.db --device h200 --toolchain "cuda=13.0 cublaslt=13.2.0"
    [ "$status" -eq 0 ] && [[ $output == *"rest on cublaslt 13.1.0, now 13.2.0"* ]] && [[ $output == *"24 of 24 measurements"* ]]
    run "$HONE" db stale a.db --device h200 --toolchain "cuda=13.0" --json
    python3 -c 'import json, sys
said = json.loads(sys.argv[1])
assert said["schema"] == "hone.db.stale.1" and sum(g["measurements"] for g in said["groups"]) == 24, said
assert all(g["changes"] == "cublaslt 13.1.0, now none" for g in said["groups"]), said' "$output"
    run "$HONE" db stale a.db
    [ "$status" -eq 2 ]
    run "$HONE" db stale a.db --device h200
    [ "$status" -ne 0 ] && [[ $output == *"--toolchain"* ]]
}
