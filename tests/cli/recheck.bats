#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# hone tune --recheck and --spot-check: what they run, what they leave, how they end.

setup() {
    HONE=${HONE:-$PWD/build/hone}
    cd "$BATS_TEST_TMPDIR"
    export XDG_DATA_HOME=$PWD/data HONE_CACHE=$PWD/cache
    unset HONE_DB
    for n in $(seq 30); do echo "relu x=f32:$((1000 + n))"; done >list
    record before 1 1 13.1.0
}

device='cuda sm_90 "NVIDIA H200" sms=132 mem=143771MiB clock=1980MHz power=700W'
tune() { "$HONE" tune --progress none "$@"; }
field() { python3 -c 'import json, sys; print(json.loads(sys.argv[1])[sys.argv[2]])' "$output" "$1"; }
query() { python3 -c 'import sqlite3, sys; [print(*row, sep="|") for row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2])]' "$@"; }
# A recording of the problems of list: two families of two tactics, their times multiplied by two factors, beside a cuBLASLt.
record() {
    python3 - "$device" "$@" >"$1" <<'EOF'
import sys
device, _, lt, own, version = sys.argv[1:]
print(f"# hone replay 1\ndevice\t{device}\ntoolchain\tcuda=13.0 driver=580.159 nvrtc=13.0 cublaslt={version} hone=0.1.0")
for k, problem in enumerate(open("list").read().splitlines()):
    for name, ns, factor in (("cublaslt.k@1 t=1", 10000, lt), ("cublaslt.k@1 t=2", 11000, lt), ("nvrtc.k@1 t=1", 10400, own), ("nvrtc.k@1 t=2", 13000, own)):
        times = "" if factor == "wrong" else ",".join(f"{ns * float(factor) * (1 + k / 100 + s / 5000):.1f}" for s in range(10))
        print(problem, name, "ok" if times else "wrong", 0, times, sep="\t")
EOF
}

@test "what did not change is kept, from a sample" {
    tune list --db a.db --device replay:before
    record since 1 1 13.2.0
    run tune --recheck --db a.db --device replay:since --json
    [ "$status" -eq 0 ] && [ "$(field schema)" = hone.tune.recheck.1 ] || { echo "$output"; false; }
    [ "$(field stale)" -eq 60 ] && [ "$(field timed)" -gt 0 ] && [ "$(field timed)" -lt 10 ] && [ "$(field left)" -eq 0 ]
    [ "$(query a.db "SELECT family, depends, now, decision FROM recheck")" = "cublaslt.k relu f32|cublaslt=13.1.0|cublaslt=13.2.0|keep" ]
    run tune --recheck --db a.db --device replay:since --json
    [ "$status" -eq 0 ] && [ "$(field timed)" -eq 0 ] && [ "$(field rechecks)" -eq 0 ]
    "$HONE" db check a.db
    "$HONE" db dump a.db -o a.txt
    "$HONE" db load b.db a.txt
    [ "$("$HONE" db snapshot a.db)" = "$("$HONE" db snapshot b.db)" ]
}

@test "a family that moved is rescaled, one that fails is timed again" {
    tune list --db a.db --device replay:before
    record since 0.8 1 13.2.0
    run tune --recheck --db a.db --device replay:since
    [ "$status" -eq 0 ] && [[ $output == *"rescale  x0.8"* ]] && [[ $output == *"1 rescaled"* ]] || { echo "$output"; false; }
    record wrong wrong 1 13.3.0
    run tune --recheck --db a.db --device replay:wrong
    [ "$status" -eq 0 ] && [[ $output == *"retime "*"cublaslt.k relu f32"* ]] && [[ $output == *"left to \`hone tune\`"* ]] || { echo "$output"; false; }
    [ "$(query a.db "SELECT count(*) FROM measurement_flat WHERE verdict = 'wrong'")" -le 12 ]       # of what rests on 13.1.0, and of the sample's 13.2.0
}

@test "a dry run says what it would time, and changes nothing" {
    tune list --db a.db --device replay:before
    record since 1 1 13.2.0
    cp a.db kept.db
    run tune --recheck --db a.db --device replay:since --dry-run
    [ "$status" -eq 0 ] && [[ $output == *"cublaslt.k@1 t="*" of 60 stale records first, about "* ]] || { echo "$output"; false; }
    run tune --recheck --db a.db --device replay:since --dry-run --json
    [ "$(field schema)" = hone.tune.recheck.dry.1 ] && [ "$(field stale)" -eq 60 ]
    cmp a.db kept.db
}

@test "nothing stale, nothing to do" {
    tune list --db a.db --device replay:before
    run tune --recheck --db a.db --device replay:before
    [ "$status" -eq 0 ] && [[ $output == *"nothing to do"* ]]
}

@test "a recheck out of time goes on" {
    tune list --db a.db --device replay:before
    record since 0.8 1 13.2.0
    cp a.db b.db
    for k in $(seq 60); do
        run tune --recheck --db a.db --device replay:since --seed 3 --time "$(awk "BEGIN { print $k * 0.05 }")" --json
        [ "$status" -eq 0 ]
        [ "$(field out_of_time)" = True ] || break
    done
    [ "$(field out_of_time)" = False ]
    tune --recheck --db b.db --device replay:since --seed 3
    sql="SELECT family, depends, now, decision, round(scale, 3) FROM recheck ORDER BY number DESC LIMIT 1"
    [ "$(query a.db "$sql")" = "$(query b.db "$sql")" ]
}

@test "who has no say does not recheck" {
    tune list --db a.db --device replay:before
    record since 1 1 13.2.0
    XDG_DATA_HOME=$PWD/other run tune --recheck --db a.db --device replay:since
    [ "$status" -eq 2 ] && [[ $output == *"is owned by"*"hone db trust own"* ]]
    for words in "--recheck list" "--recheck --spot-check" "--recheck --compile-only" "list --suspend"; do
        run tune $words --db a.db --device replay:since
        [ "$status" -eq 2 ] || { echo "$words: $status"; false; }
    done
}

@test "spot checks find who lies" {
    for n in $(seq 60); do echo "relu x=f32:$((1000 + n))"; done >list
    record truth 1 1 13.1.0
    record lies 0.6 0.6 13.1.0
    XDG_DATA_HOME=$PWD/honest tune list --db h.db --device replay:truth
    XDG_DATA_HOME=$PWD/liar tune list --db l.db --device replay:lies
    "$HONE" db merge a.db h.db l.db
    "$HONE" db trust own --db a.db
    liar=$(query l.db "SELECT DISTINCT writer FROM run")
    run tune --spot-check --db a.db --device replay:truth --dry-run
    [ "$status" -eq 0 ] && [[ $output == *"10 of 60 claims"* ]] || { echo "$output"; false; }
    run tune --spot-check --db a.db --device replay:truth --json
    [ "$status" -eq 0 ] && [ "$(field checked)" -eq 10 ] && [ "$(field agreed)" -eq 0 ] || { echo "$output"; false; }
    run tune --spot-check --db a.db --device replay:truth --time 60 --suspend
    [ "$status" -eq 0 ] && [[ $output == *"${liar:0:16}: of 240 claims 70 were checked, 70 failed; suspended"* ]] || { echo "$output"; false; }
    [ "$(query a.db "SELECT count(*) FROM standing WHERE writer = '$liar' AND trust = 1")" -eq 1 ]
    tune --spot-check --db a.db --device replay:truth --time 60
    run tune --spot-check --db a.db --device replay:truth
    [ "$status" -eq 0 ] && [[ $output == *"nothing to do"* ]] || { echo "$output"; false; }
    [ "$(query a.db "SELECT count(*) FROM measurement m JOIN run r ON r.number = m.run JOIN owner o ON o.writer = r.writer")" -ge 60 ]
}
