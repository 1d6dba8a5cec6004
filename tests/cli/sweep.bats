#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# hone sweep: plans, shards that are killed and repeated, what status says of them, and the scripts. On a real Slurm: tests/slurm.sh.

setup() {
    ROOT=$PWD HONE=${HONE:-$PWD/build/hone}
    cd "$BATS_TEST_TMPDIR"
    export XDG_DATA_HOME=$PWD/data HONE_CACHE=$PWD/cache TMPDIR=$PWD
    unset HONE_DB SLURM_ARRAY_TASK_ID JOB_COMPLETION_INDEX
    printf '%s\n' 'relu x=f32:1x16x8x8' 'matmul a=f32:48x32 b=f32:32x40' 'softmax x=f32:20x30 axis=1' 'relu  x=f32:1x16x8x8' >list
    H200='cuda sm_90 "NVIDIA H200" sms=132 mem=143771MiB clock=1980MHz power=700W'
}

teardown() {
    [ -z "${shard:-}" ] || kill -9 "$shard" 2>/dev/null || true
}

sweep() { "$HONE" sweep "$@"; }
make_nets() { "$ROOT/build/venv/bin/python" "$ROOT/tests/cli/tiny.py" nets; }
make_long() { for n in $(seq 60); do echo "matmul a=f32:$((200 + n))x300 b=f32:300x200"; done >long; }
query() { python3 -c 'import sqlite3, sys; [print(*row, sep="|") for row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2])]' "$@"; }
# An expression over the JSON of status.
says() { sweep status "$1" --json | python3 -c 'import json, sys; print(eval(sys.argv[1], {"s": json.load(sys.stdin)}))' "$2"; }
states() { says "$1" '" ".join(x["state"] for x in s["shards"])'; }
# What the shards' databases say, without hone.
rows() { for file in "$1"/shard-*.db; do [ ! -e "$file" ] || query "$file" "$2"; done; }
covered() { rows "$1" 'SELECT problem FROM coverage GROUP BY problem HAVING count(DISTINCT source) = 2' | wc -l; }
coverage() { rows "$1" 'SELECT p.spelling, c.source, c.version, c.effort, c.depends FROM coverage c JOIN problem p ON p.number = c.problem' | sort -u; }
measurements() { rows "$1" 'SELECT 1 FROM measurement' | wc -l; }
repeated() { rows "$1" 'SELECT problem FROM measurement GROUP BY problem HAVING count(DISTINCT run) > 1' | wc -l; }
wait_covered() {
    for _ in $(seq 200); do
        [ "$(covered "$1" 2>/dev/null || echo 0)" -ge "$2" ] && return
        sleep 0.05
    done
    false
}

@test "three networks over six shards, killed and repeated, and --local: the same coverage, nothing timed twice" {
    make_nets
    plan() { sweep plan -o "$1" --shards 6 --shapes x:2x3x8x8 --shapes x:5x3x8x8 nets/tiny.onnx nets/open.onnx; }
    plan a
    plan b
    cmp a/list b/list
    [ "$(says a 's["problems"], s["covered"], len(s["networks"])')" = "(69, 0, 3)" ]
    [ "$(states a)" = "waiting waiting waiting waiting waiting waiting" ]
    cut=0
    for k in 1 2 3; do
        "$HONE" sweep run a --shard $k/6 2>/dev/null &
        shard=$!
        if [ $k = 1 ]; then sleep 0.2; else wait_covered a $(($(covered a) + 1)); fi
        kill -9 $shard || true          # a quick one may be through, but not so soon as the first
        wait $shard || cut=$((cut + 1))
        [ "$(says a "s['covered']")" -eq "$(covered a)" ]
        state=$(says a "s['shards'][$k - 1]['state']")
        [ $state = stopped ] || [ $k$state = 1waiting ] || [ "$(says a "s['shards'][$k - 1]['left']")" -eq 0 ]
    done
    for k in 6 5 4 3 2 1; do sweep run a --shard $k/6 2>/dev/null; [ "$(says a 's["covered"]')" -eq "$(covered a)" ]; done
    [ "$(states a)" = "done done done done done done" ] && [ "$(says a 's["left"], [n["left"] for n in s["networks"]]')" = "(0, [0, 0, 0])" ]
    [ $cut -ge 1 ]
    [ "$(repeated a)" -le $cut ]        # the problem that a kill cut off begins anew
    before=$(measurements a)
    for k in 1 2 3 4 5 6; do SLURM_ARRAY_TASK_ID=$k sweep run a; done
    [ "$(measurements a)" -eq "$before" ]
    sweep script --local b >job.sh
    sh job.sh 2>/dev/null
    [ "$(repeated b)" -eq 0 ]
    diff <(coverage a) <(coverage b)
    "$HONE" db merge all.db a/shard-*.db
    "$HONE" db check all.db
    [ "$(query all.db 'SELECT count(DISTINCT digest) FROM network')" -eq 3 ]
    sweep status b --strict
}

@test "a plan is the same bytes again, and never another" {
    sweep plan -o s --shards 2 list
    cp s/list before
    run sweep plan -o s --shards 2 list
    [ "$status" -eq 0 ]
    [[ $output == *"there already"* ]]
    run sweep plan -o s --shards 1 list
    [ "$status" -eq 2 ]
    [[ $output == *"another folder"* ]]
    cmp s/list before
    [ "$(grep -c '^problem' s/list)" -eq 3 ]
    [ "$(grep -c '^shard' s/list)" -eq 2 ]
    # One spelling a line, in its last field: a work list for tune.
    sed -n 's/^problem.*\t//p' s/list | "$HONE" tune - --db a.db --progress none
    run sweep plan -o t --db a.db list
    [ "$status" -eq 0 ]
    [[ $output == "nothing is left"* ]]
    [ ! -e t ]
    sweep plan -o t --db a.db --effort full list
    sed -i 's/^effort\tquick/effort\tfull/' s/list
    run sweep run s --shard 1/2
    [ "$status" -eq 42 ]
    [[ $output == *"was changed"* ]]
    run sweep status s
    [ "$status" -eq 7 ]
}

@test "the greatest gain comes first, and a shard takes ten minutes" {
    printf '%s\n' 'relu x=f32:8' 'matmul a=f32:512x512 b=f32:512x512' 'relu x=f32:64x64' >sizes
    sweep plan -o s sizes
    [ "$(grep -c '^shard' s/list)" -eq 1 ]
    [ "$(grep '^problem' s/list | cut -f4 | head -1)" = 'matmul a=f32:512x512 b=f32:512x512' ]
    [ "$(grep '^problem' s/list | cut -f3)" = "$(grep '^problem' s/list | cut -f3 | sort -g -r)" ]
    sweep plan -o t --least 0.05 list
    [ "$(grep -c '^shard' t/list)" -gt 1 ]
    # A device that is not here, by what was measured there.
    make_nets
    sweep plan -o g --device "$H200" --precision fp16 --precision fp32 nets/tiny.onnx
    grep -q "^device	$H200$" g/list
    [ "$(grep -c '^network' g/list)" -eq 2 ]
}

@test "what cuDNN compiles for each shape is reckoned with" {
    layer='conv x=f16:4x14x14x64:nhwc w=f16:64x1x1x64:nhwc b=f16:64'
    printf '%s\n' "$layer | relu x=\$0" "$layer | add a=\$0 b=f16:4x14x14x64:nhwc | relu x=\$1" >both
    sweep plan -o with --device "$H200" both
    sweep plan -o without --device "$H200" --sources nvrtc both
    awk -F '\t' '/^problem/ {took[FILENAME, ($4 ~ /add/)] = $2}
        END {more = took["with/list", 1] - took["without/list", 1]; exit !(more >= 1.49 && more <= 1.51 && took["with/list", 0] == took["without/list", 0])}' \
        with/list without/list
}

@test "two copies of a shard: the second ends with 75, and status says running" {
    make_long
    sweep plan -o s --shards 2 long
    "$HONE" sweep run s --shard 1/2 2>/dev/null &
    shard=$!
    wait_covered s 2
    run sweep run s --shard 1/2
    [ "$status" -eq 75 ]
    [[ $output == *"another process"* ]]
    [ "$(states s)" = "running waiting" ]
    kill -TERM $shard
    code=0; wait $shard || code=$?
    [ "$code" -eq 75 ]
    [ "$(states s)" = "stopped waiting" ]
    [ "$(says s 's["covered"]')" -eq "$(covered s)" ]
    run sweep status s --strict
    [ "$status" -eq 5 ]
    left=$(says s 's["left"]')
    [ "$(sweep status s --left | wc -l)" -eq "$left" ]
    [ "$left" -eq $((60 - $(covered s))) ]
}

@test "one worker serves shard after shard, and its death costs none of them" {
    make_long
    sweep plan -o s --shards 6 <(head -36 long)
    "$HONE" sweep run s >said 2>&1 &
    shard=$!
    wait_covered s 8                    # of six a shard
    kill -9 $(pgrep -P $shard)
    wait $shard
    shard=
    [ "$(states s)" = "done done done done done done" ]
    [ "$(grep -c '6 tuned, 0 known, 0 refused, 0 left' said)" -eq 6 ]
    [ "$(rows s 'SELECT count(*) FROM run' | sort -u)" = 1 ]
    [ "$(rows s 'SELECT seed FROM run' | sort -u | wc -l)" -eq 1 ]      # a process starts one worker, and another for one that died
    [ "$(rows s "SELECT count(*) FROM measurement WHERE verdict <> 'ok'" | sort -u)" = 0 ]
    # Each shard's rows are of its own problems.
    for k in 1 2 3 4 5 6; do
        diff <(query s/shard-$k.db 'SELECT DISTINCT p.spelling FROM measurement m JOIN problem p ON p.number = m.problem' | sort) \
            <(awk -v k=$k -F '\t' '/^shard/ {at = $2} /^problem/ && at == k {print $4}' s/list | sort)
    done
}

@test "two processes by turns: each shard once, whoever is done helps the other" {
    make_long
    sweep plan -o s --shards 12 <(head -36 long)
    "$HONE" sweep run s --turn 1/2 >first 2>&1 &
    shard=$!
    wait_covered s 2
    kill -STOP $shard $(pgrep -P $shard)        # a slow one
    code=0; sweep run s --turn 2/2 >second 2>&1 || code=$?
    [ "$code" -eq 75 ]                  # the other has one
    [ "$(grep -c '3 tuned, 0 known, 0 refused, 0 left' second)" -ge 9 ]
    kill -CONT $(pgrep -P $shard) $shard
    wait $shard
    shard=
    [ "$(states s)" = "done done done done done done done done done done done done" ]
    [ "$(cat first second | grep -c '3 tuned, 0 known, 0 refused, 0 left')" -eq 12 ]
    [ "$(rows s 'SELECT count(*) FROM run' | sort -u)" = 1 ]
}

@test "which shard: --shard, Slurm's index from 1, Kubernetes' from 0, all of them" {
    sweep plan -o s --shards 3 list
    SLURM_ARRAY_TASK_ID=2 sweep run s | grep '^shard 2/3: 1 problems: 1 tuned'
    JOB_COMPLETION_INDEX=2 sweep run s | grep '^shard 3/3: 1 problems: 1 tuned'
    SLURM_ARRAY_TASK_ID=2 sweep run s --shard 3 | grep '^shard 3/3: all 1 problems are covered'
    [ "$(sweep run s | grep -c -e 'shard 1/3: 1 problems: 1 tuned' -e 'shard [23]/3: all')" -eq 3 ]
    # A turn: every second from the second, then the others from the end.
    sweep plan -o t --shards 3 list
    [ "$(sweep run t --turn 2/2 | grep -o '^shard ./3' | tr '\n' ' ')" = "shard 2/3 shard 3/3 shard 1/3 " ]
    [ "$(states t)" = "done done done" ]
    for words in '--shard 4/3' '--shard 1/4' '--shard 0/3' '--shard x' '--nothing' '--turn 3/2' '--turn 0/2' '--turn 2' '--turn x'; do
        run sweep run s $words
        [ "$status" -eq 42 ]
    done
    SLURM_ARRAY_TASK_ID=0 run sweep run s
    [ "$status" -eq 42 ]
    [[ $output == *"SLURM_ARRAY_TASK_ID says 0"* ]]
}

@test "another device, a missing sweep, a damaged database: 42" {
    make_nets
    sweep plan -o s --device 'cpu x86_64-avx2 "Another" threads=1' nets/tiny.onnx
    run sweep run s --shard 1/1
    [ "$status" -eq 42 ] && [[ $output == *"is planned for cpu"* ]]
    run sweep run nowhere --shard 1/1
    [ "$status" -eq 42 ]
    [[ $output == *"hone sweep plan"* ]]
    sweep plan -o t --shards 3 list
    echo rubbish >t/shard-2.db
    run sweep run t
    [ "$status" -eq 42 ]
    [ "$(states t)" = "done damaged done" ]
    for words in "status" "script" "script t" "script t --k8s" "plan list" "plan -o x" "nonsense" ""; do
        run sweep $words
        [ "$status" -eq 2 ]
    done
}

@test "where no database may lie, dumps are left and taken up" {
    make_long
    sweep plan -o s --shards 1 <(head -20 long)
    mkdir here there
    "$HONE" sweep run s --shard 1/1 --scratch here 2>/dev/null &
    shard=$!
    for _ in $(seq 200); do [ -e here/*.db ] && [ "$(query here/*.db 'SELECT count(*) FROM coverage' 2>/dev/null || echo 0)" -ge 6 ] && break; sleep 0.05; done
    kill -TERM $shard
    code=0; wait $shard || code=$?
    [ "$code" -eq 75 ]
    [ "$(states s)" = stopped ]
    [ ! -e s/shard-1.db ]
    [ -e s/shard-1.txt.zst ]
    known=$(says s 's["covered"]')
    [ "$known" -ge 3 ]
    [ "$(says s 's["left"]')" -eq $((20 - known)) ]
    rm here/*
    run sweep run s --shard 1/1 --scratch there
    [ "$status" -eq 0 ]
    [[ $output == *"$known known"* ]]
    [ "$(states s)" = "done" ]
    [ -z "$(ls there)" ]
    "$HONE" db merge all.db s/shard-1.txt.zst
    [ "$(query all.db 'SELECT count(*) FROM (SELECT 1 FROM coverage GROUP BY problem HAVING count(*) = 2)')" -eq 20 ]
}

@test "scripts: what Slurm and a shell read" {
    make_nets
    sweep plan -o "it's a sweep" --device "$H200" --shards 7 nets/tiny.onnx
    sweep script --slurm --parallel 3 "it's a sweep" >slurm.sh
    sh -n slurm.sh
    grep -q '^#SBATCH --array=1-7%3$' slurm.sh
    grep -q '^#SBATCH --gres=gpu:1$' slurm.sh
    grep -q 'SLURM_ARRAY_TASK_ID/7' slurm.sh
    run sweep script --local "it's a sweep"
    [ "$status" -eq 0 ] || { [ "$status" -eq 8 ] && [[ $output == *"NVIDIA H200"* ]]; }
    sweep plan -o "cpu's" --shards 2 list
    sweep script --local "cpu's" >local.sh
    sh local.sh
    [ "$(says "cpu's" 's["left"]')" -eq 0 ]
}

@test "scripts: Kubernetes' job has the fields of an Indexed Job, and 42 fails an index" {
    make_nets
    sweep plan -o s --device "$H200" --shards 7 nets/tiny.onnx
    sweep script --k8s --image 'registry/hone:1 "x"' --claim tuning --parallel 2 --db /sweep/known.db s >job.yaml
    python3 - job.yaml <<'END'
import sys
import yaml
job = yaml.safe_load(open(sys.argv[1]))
spec, pod = job["spec"], job["spec"]["template"]["spec"]
assert job["apiVersion"] == "batch/v1" and job["kind"] == "Job" and job["metadata"]["name"].startswith("hone-sweep-")
assert set(spec) == {"completionMode", "completions", "parallelism", "backoffLimitPerIndex", "maxFailedIndexes", "podFailurePolicy", "template"}
assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 7, 2) and spec["backoffLimitPerIndex"] > 0
fail, ignore = spec["podFailurePolicy"]["rules"]
assert fail == {"action": "FailIndex", "onExitCodes": {"containerName": "hone", "operator": "In", "values": [42]}}
assert ignore == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
assert pod["restartPolicy"] == "Never" and pod["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-H200"}
container, = pod["containers"]
assert container["name"] == "hone" and container["image"] == 'registry/hone:1 "x"'
assert container["command"] == ["hone", "sweep", "run", "/sweep", "--db", "/sweep/known.db"]
assert container["resources"]["limits"] == {"nvidia.com/gpu": 1}
assert pod["volumes"] == [{"name": "sweep", "persistentVolumeClaim": {"claimName": "tuning"}}]
assert container["volumeMounts"] == [{"name": "sweep", "mountPath": "/sweep"}]
END
}
