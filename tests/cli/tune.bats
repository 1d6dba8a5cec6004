#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# hone tune and hone problems: what they run, what they leave, how they end.

setup() {
    HONE=${HONE:-$PWD/build/hone}
    cd "$BATS_TEST_TMPDIR"
    export XDG_DATA_HOME=$PWD/data HONE_CACHE=$PWD/cache
    unset HONE_DB
    printf '%s\n' '# a work list' 'relu x=f32:1x16x8x8' '' 'matmul a=f32:48x32 b=f32:32x40' 'softmax x=f32:20x30 axis=1' >list
}

teardown() {
    [ -z "${tuner:-}" ] || kill -9 "$tuner" 2>/dev/null || true
}

tune() { "$HONE" tune --progress none "$@"; }
# A field of the summary of --json.
field() { python3 -c 'import json, sys; print(json.loads(sys.argv[1])[sys.argv[2]])' "$output" "$1"; }
query() { python3 -c 'import sqlite3, sys; [print(*row, sep="|") for row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2])]' "$@"; }
# A list that takes a while on any machine.
make_long() { for n in $(seq 120); do echo "matmul a=f32:$((200 + n))x300 b=f32:300x200"; done >long; }
wait_rows() {
    for _ in $(seq 200); do
        [ "$(query "$1" 'SELECT count(*) FROM measurement' 2>/dev/null || echo 0)" -ge "$2" ] && return
        sleep 0.05
    done
    false
}

@test "what was tuned is not tuned again" {
    run tune list --db a.db --json
    [ "$status" -eq 0 ]
    [ "$(field schema)" = hone.tune.1 ] && [ "$(field tuned)" -eq 3 ] && [ "$(field candidates)" -gt 3 ]
    [ "$(query a.db 'SELECT count(DISTINCT problem) FROM coverage')" -eq 3 ]
    "$HONE" db dump a.db -o before
    run tune list --db a.db --json
    [ "$status" -eq 0 ] && [ "$(field tuned)" -eq 0 ] && [ "$(field known)" -eq 3 ] && [ "$(field candidates)" -eq 0 ]
    "$HONE" db dump a.db -o after
    diff <(grep '^[mc]' before) <(grep '^[mc]' after)
}

@test "a higher effort tunes again, a lower one does not" {
    tune list --db a.db --effort quick
    run tune list --db a.db --effort lookup --json
    [ "$(field known)" -eq 3 ] && [ "$(field candidates)" -eq 0 ]
    run tune list --db a.db --effort full --json
    [ "$(field tuned)" -eq 3 ]
    run tune list --db a.db --effort quick --json
    [ "$(field known)" -eq 3 ]
}

@test "one spelling, once, from the standard input" {
    run bash -c "printf 'relu  x=f32:8\nrelu x=f32:8\n#relu x=f32:9\nrelu x=f32:8   \n' | '$HONE' tune - --db a.db --progress none --json"
    [ "$status" -eq 0 ] && [ "$(field problems)" -eq 1 ] || { echo "$output"; false; }
}

@test "sources and workspace are limited" {
    tune list --db a.db --sources ref
    [ "$(query a.db 'SELECT DISTINCT source FROM measurement_flat')" = ref ]
    tune list --db b.db --workspace 0
    [ "$(query b.db "SELECT count(*) FROM measurement_flat WHERE verdict = 'ok' AND workspace_bytes > 0")" -eq 0 ]
    [ "$(query b.db "SELECT count(*) FROM measurement_flat WHERE verdict = 'workspace'")" -gt 0 ]
}

@test "what makes no sense is said" {
    echo 'relu y=f32:8' >bad
    run tune bad --db a.db
    [ "$status" -eq 2 ] && [[ $output == *"relu y=f32:8"* ]]
    run tune list --db a.db --sources nowhere
    [ "$status" -eq 2 ] && [[ $output == *nowhere* ]]
    run tune
    [ "$status" -eq 2 ]
    run tune list --db a.db --time soon
    [ "$status" -eq 2 ]
    run tune no-such-list --db a.db
    [ "$status" -ne 0 ] && [[ $output == *no-such-list* ]]
    run tune list --db a.db --device replay:nothing
    [ "$status" -ne 0 ] && [[ $output == *nothing* ]]
    run "$HONE" problems
    [ "$status" -eq 2 ]
}

@test "a dry run runs nothing" {
    run tune list --db a.db --dry-run
    [ "$status" -eq 0 ] && [[ $output == *"3 problems, "*" candidates, about "* ]] && [[ $output == *"cpu.matmul"* ]]
    [ ! -e a.db ]
    tune list --db a.db
    run tune list --db a.db --dry-run --json
    [ "$(field problems)" -eq 0 ]
}

@test "out of time is no failure, and goes on" {
    make_long
    run tune long --db a.db --time 0.5 --json
    [ "$status" -eq 0 ] && [ "$(field out_of_time)" = True ] && [ "$(field left)" -gt 0 ]
    left=$(field left)
    for _ in {1..20}; do      # a loaded machine may get to nothing in half a second
        run tune long --db a.db --time 0.5 --json
        [ "$status" -eq 0 ]
        [ "$(field left)" -eq "$left" ] || break
    done
    [ "$(field left)" -lt "$left" ]
}

@test "Ctrl-C loses nothing" {
    make_long
    "$HONE" tune long --db a.db --progress none >said 2>&1 &
    tuner=$!
    wait_rows a.db 20
    kill -INT $tuner
    code=0; wait $tuner || code=$?
    [ "$code" -eq 75 ] && grep -q 'everything measured is kept' said
    kept=$(query a.db 'SELECT count(*) FROM measurement')
    [ "$kept" -ge 20 ]
    "$HONE" db check a.db
    [ "$(query a.db "SELECT count(*) FROM measurement_flat WHERE verdict NOT IN ('ok', 'workspace', 'unsupported')")" -eq 0 ]
    known=$(query a.db 'SELECT count(DISTINCT problem) FROM coverage')
    run tune <(head -n "$known" long) --db a.db --json
    [ "$(field candidates)" -eq 0 ]
}

@test "a worker that is killed is replaced, and nobody is blamed" {
    make_long
    "$HONE" tune <(head -30 long) --db a.db --progress none --json >summary &
    tuner=$!
    for round in 1 2 3; do
        wait_rows a.db $((10 * round))
        kill -9 $(pgrep -P $tuner)
    done
    wait $tuner
    output=$(cat summary)
    [ "$(field tuned)" -eq 30 ] && [ "$(field workers)" -ge 4 ]
    [ "$(query a.db "SELECT count(*) FROM measurement_flat WHERE verdict = 'crash'")" -eq 0 ]
}

@test "a worker does not outlive its tuner" {
    make_long
    "$HONE" tune long --db a.db --progress none &
    tuner=$!
    wait_rows a.db 5
    worker=$(pgrep -P $tuner)
    kill -9 $tuner
    for _ in $(seq 40); do kill -0 "$worker" 2>/dev/null || break; sleep 0.05; done
    ! kill -0 "$worker" 2>/dev/null
    "$HONE" db check a.db
}

@test "a recording replayed twice changes no winner" {
    tune list --db a.db --effort full
    "$HONE" problems --db a.db --device cpu --replay >recording
    [ "$("$HONE" problems --db a.db --device cpu | sort)" = "$(grep -v '^#' list | grep . | sort)" ]
    for k in 1 2; do tune list --db r$k.db --device replay:recording --seed 1 --effort full; done
    sql='SELECT problem, tactic, sample_count, median_ns FROM measurement_flat ORDER BY 1, 2'
    [ "$(query r1.db "$sql")" = "$(query r2.db "$sql")" ]
    [ "$(query r1.db "SELECT count(*) FROM measurement_flat WHERE timer = 'replay'")" -gt 0 ]
    run tune list --db r1.db --device replay:recording --effort full --json
    [ "$(field candidates)" -eq 0 ]
}

@test "recorded verdicts are played back" {
    device=$(tune list --db a.db --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["device"])')
    {
        printf '# hone replay 1\ndevice\t%s\ntoolchain\thone=0.1.0\n' "$device"
        for verdict in unsupported workspace launch timeout crash wrong unstable; do printf 'relu x=f32:100\tcpu.t@1 v=x%s\t%s\t0\t\n' $verdict $verdict; done
        printf 'relu x=f32:100\tcpu.t@1 v=xok\tok\t0\t500,510,505\n'
    } >recording
    echo 'relu x=f32:100' >one
    tune one --db r.db --device replay:recording --deadline-floor 0.3
    query r.db 'SELECT tactic, verdict FROM measurement_flat ORDER BY 1' | tee got
    [ "$(wc -l <got)" -eq 8 ] && [ "$(grep -c 'v=x\(.*\)|\1$' got)" -eq 8 ]
}

@test "a network's problems are a work list" {
    model=$(dpkg -L libonnx-testdata | grep -m1 'node/test_basic_conv_with_padding/model.onnx$')
    run "$HONE" problems "$model" --device cpu --json
    [ "$status" -eq 0 ] && [ "$(field schema)" = hone.problems.1 ] && [ "$(field count)" -gt 0 ]
    "$HONE" problems "$model" --device cpu >work
    tune work --db a.db
    run tune "$model" --db b.db --json
    [ "$status" -eq 0 ] && [ "$(field left)" -eq 0 ]
    [ "$(query b.db 'SELECT count(*) FROM network')" -eq 1 ]
    run tune "$model" --db b.db --json
    [ "$(field candidates)" -eq 0 ]
}

@test "an order of trial can be chosen, and must be one" {
    tune list --db a.db --ranking none
    echo 'no ranking' >bad
    run tune list --db b.db --ranking bad
    [ "$status" -eq 7 ] && [[ $output == *"bad"*"line 1"* ]]
    run tune list --db b.db --ranking no-such-file
    [ "$status" -ne 0 ] && [[ $output == *no-such-file* ]]
}
