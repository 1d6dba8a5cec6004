#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `make check-slurm`: a sweep of three networks over six shards on a real Slurm (Debian's slurmctld, slurmd and munge), set up in a
# temporary folder, against the same sweep by `sweep script --local`: shards are killed and repeated, the coverage is the same, nothing
# is timed twice, and `sweep status` is right at each step. Not part of `make check`: the packages weigh 40 MB and bring services.
set -u
cd "$(dirname "$0")/.."
HONE=${HONE:-$PWD/${B:-build}/hone}
python=$PWD/build/venv/bin/python
packages=(slurmctld slurmd slurm-client munge)
for package in "${packages[@]}"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] && continue
    echo "Slurm is needed: apt-get install --no-install-recommends ${packages[*]}"
    exit 1
done
[ "$(id -u)" -eq 0 ] || { echo "slurmd wants root"; exit 1; }

work=$(mktemp -d "${TMPDIR:-/tmp}/hone-slurm-XXXXXX")
mkdir -p "$work"/{munge,state,spool,log}
daemons=()
clean_up() {
    [ -n "${SLURM_CONF:-}" ] && scancel --quiet --user=root 2>/dev/null
    for pid in "${daemons[@]}"; do kill "$pid" 2>/dev/null; done
    for pid in "${daemons[@]}"; do wait "$pid" 2>/dev/null; done
    if [ "${failed:-1}" -eq 0 ]; then rm -rf "$work"; else echo "all of it: $work"; fi
}
trap clean_up EXIT
export XDG_DATA_HOME=$work/data HONE_CACHE=$work/cache
unset HONE_DB

passed=0 failed=0
check() { local what=$1; shift; if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $what"; fi; }
query() { "$python" -c 'import sqlite3, sys; [print(*row, sep="|") for row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2])]' "$@"; }
status() { "$HONE" sweep status "$1" --json | "$python" -c 'import json, sys; print(eval(sys.argv[1], {"s": json.load(sys.stdin)}))' "$2"; }
wait_until() {
    for _ in $(seq 600); do "$@" && return; sleep 0.1; done
    return 1
}

# ---- Slurm on this machine

free_port() { "$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

start_slurm() {
    chmod 755 "$work"
    chmod 700 "$work/munge"
    head -c 128 /dev/urandom >"$work/munge/key"
    chmod 600 "$work/munge/key"
    munged --foreground --force --key-file="$work/munge/key" --socket="$work/munge/socket" --pid-file="$work/munge/pid" \
        --log-file="$work/munge/log" --seed-file="$work/munge/seed" >"$work/log/munged" 2>&1 &
    daemons+=($!)
    wait_until [ -S "$work/munge/socket" ] || return 1
    local host cpus; host=$(hostname -s); cpus=$(nproc)
    cat >"$work/slurm.conf" <<END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge/socket
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/log/slurmctld
SlurmdLogFile=$work/log/slurmd
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
MpiDefault=none
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
END
    export SLURM_CONF=$work/slurm.conf
    slurmctld -D -i >"$work/log/slurmctld.out" 2>&1 &
    daemons+=($!)
    slurmd -D >"$work/log/slurmd.out" 2>&1 &
    daemons+=($!)
    wait_until is_idle
}

is_idle() { sinfo --noheader --format=%T 2>/dev/null | grep -q '^idle'; }
has_ended() { [ -z "$(squeue --noheader --user=root 2>/dev/null)" ]; }
submit() { sbatch --parsable --output="$work/log/%A_%a" --chdir="$work" "$work/job.sh"; }

# ---- what databases say, without hone

rows() { for file in "$1"/shard-*.db; do query "$file" "$2"; done; }
coverage() { rows "$1" "SELECT p.spelling, c.source, c.version, c.effort, c.depends FROM coverage c JOIN problem p ON p.number = c.problem" | sort; }
# Problems that every source of the CPU has a coverage row for.
covered() { rows "$1" "SELECT problem FROM coverage GROUP BY problem HAVING count(DISTINCT source) = 2" | wc -l; }
measurements() { rows "$1" "SELECT lower(hex(id)) FROM measurement" | wc -l; }
# Problems that were timed in more than one run.
repeated() { rows "$1" "SELECT problem FROM measurement GROUP BY problem HAVING count(DISTINCT run) > 1" | wc -l; }
twice_in_a_run() { rows "$1" "SELECT count(*) FROM measurement GROUP BY problem, tactic, mode, run HAVING count(*) > 1" | wc -l; }
# While shards run, more may be covered before and behind it.
is_right() {
    local before said after
    before=$(covered "$1") said=$(status "$1" 's["covered"]') after=$(covered "$1")
    [ "$before" -le "$said" ] && [ "$said" -le "$after" ]
}
has_begun() { [ "$(status "$work/slurm" 's["covered"]')" -ge "$1" ]; }

# A second plan finds nothing of what the first one listed; conversions, which show only now, may be left.
is_only_conversions() {
    plan -o "$work/again" --db "$work/all.db" >"$work/log/again" || return 1
    [ ! -e "$work/again/list" ] || ! grep -F -x -q -f <(sed -n 's/^problem.*\t//p' "$work/slurm/list") <(sed -n 's/^problem.*\t//p' "$work/again/list")
}

"$python" tests/cli/tiny.py "$work/nets"
# At effort full a shard takes some ten seconds: time enough to kill it.
plan() { "$HONE" sweep plan --effort full --shapes x:2x3x8x8 --shapes x:5x3x8x8 "$@" "$work/nets/tiny.onnx" "$work/nets/open.onnx"; }
plan -o "$work/slurm" --shards 6 && plan -o "$work/local" --shards 6 || exit 1
check "the two plans are the same" cmp -s "$work/slurm/list" "$work/local/list"
check "three networks, six shards" [ "$(status "$work/slurm" '[len(s["networks"]), len(s["shards"])]')" = "[3, 6]" ]
start_slurm || { echo "Slurm does not start; its logs are in $work/log"; tail -n 5 "$work"/log/*; exit 1; }

"$HONE" sweep script --slurm "$work/slurm" >"$work/job.sh"
job=$(submit)
check "sbatch takes the script" [ -n "$job" ]
check "the first shard begins" wait_until has_begun 3
check "it is running" [ "$(status "$work/slurm" 's["shards"][0]["state"]')" = running ]
"$HONE" sweep run "$work/slurm" --shard 1/6 2>"$work/log/second"; code=$?
check "a second copy of it ends with 75" [ $code -eq 75 ]
scancel --signal=KILL "${job}_1"
running() { squeue --noheader --array --states=running --format=%K | head -1; }
another_runs() { [[ $(running) =~ ^[2-6]$ ]]; }
check "another shard begins" wait_until another_runs
check "the killed one is stopped" [ "$(status "$work/slurm" 's["shards"][0]["state"]')" = stopped ]
check "status is right after the kill" is_right "$work/slurm"
second=$(running)
begun() { [ "$(status "$work/slurm" "s['shards'][$((second - 1))]['covered']")" -ge 2 ]; }
wait_until begun
scancel --signal=KILL "${job}_$second"
check "the rest ends" wait_until has_ended
check "status is right when the rest has ended" is_right "$work/slurm"
check "two shards are left" [ "$(status "$work/slurm" '[x["state"] for x in s["shards"]].count("done")')" -eq 4 ]
"$HONE" sweep status "$work/slurm" --strict >/dev/null 2>&1; code=$?
check "--strict ends with 5" [ $code -eq 5 ]

before=$(measurements "$work/slurm")
submit >/dev/null
check "the array again ends" wait_until has_ended
is_covered() { "$HONE" sweep status "$1" --strict >/dev/null; }
check "all is covered" is_covered "$work/slurm"
check "status is right at the end" is_right "$work/slurm"
check "it went on" [ "$(measurements "$work/slurm")" -gt "$before" ]
check "no more than what two kills cut off was timed again" [ "$(repeated "$work/slurm")" -le 2 ]
check "nothing is timed twice in a run" [ "$(twice_in_a_run "$work/slurm")" -eq 0 ]
before=$(measurements "$work/slurm")
submit >/dev/null
check "the array a third time ends" wait_until has_ended
check "and times nothing" [ "$(measurements "$work/slurm")" -eq "$before" ]

"$HONE" sweep script --local "$work/local" >"$work/local.sh"
sh "$work/local.sh" >"$work/log/local" 2>&1; code=$?
check "--local ends with 0" [ $code -eq 0 ]
check "the coverage is the same" cmp -s <(coverage "$work/slurm" | sort -u) <(coverage "$work/local" | sort -u)
check "--local times nothing twice" [ "$(repeated "$work/local")" -eq 0 ]
"$HONE" db merge "$work/all.db" "$work"/slurm/shard-*.db >"$work/log/merge"
check "the merged database covers it" is_only_conversions
is_clean() { "$HONE" db check "$1" >/dev/null; }
check "the database is clean" is_clean "$work/all.db"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
