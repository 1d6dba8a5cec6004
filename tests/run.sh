#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the suites of tests/suites (all, or those named) and ends with "N passed, N failed". A suite is an
# executable NN-name.sh that runs in the root with B and HONE set, exits non-zero when anything failed, and
# may end with its own line "N passed, N failed" (otherwise it counts as one test). Those with a line
# "# alone: WHY" come first, one by one; the others run side by side, as many at a time as there are
# processors. Each says its seconds and those of all its processes on processors.
set -u
unset MAKEFLAGS MFLAGS MAKELEVEL
cd "$(dirname "$0")/.."
export B=${B:-build} HONE=${HONE:-$PWD/${B:-build}/hone}
mkdir -p "$B/check"
case $B in /*) data=$B ;; *) data=$PWD/$B ;; esac
room=$(df --output=avail -k /dev/shm 2>/dev/null | tail -1)
if [ -z "${TMPDIR:-}" ] && [ -w /dev/shm ] && [ "${room:-0}" -gt 2000000 ]; then export TMPDIR=/dev/shm; fi      # thousands of fsyncs

suites=()
for name in "${@:-*}"; do
    found=(tests/suites/[0-9][0-9]-$name.sh)
    [ -e "${found[0]}" ] || { echo "no suite has the name $name"; exit 1; }
    suites+=("${found[@]}")
done

name_of() { local name; name=$(basename "$1" .sh); echo "${name#*-}"; }

# Leaves the output of a suite in NAME.log, its seconds in NAME.seconds and, last, its exit code in NAME.rc.
run() {
    local log=$B/check/$(name_of "$1") TIMEFORMAT='%1R %1U %1S'
    export XDG_DATA_HOME=$data/check/data/$(name_of "$1")       # neither the user's key nor his database
    { time "./$1" >"$log.log" 2>&1 </dev/null; } 2>"$log.seconds"
    echo $? >"$log.rc.new"
    mv "$log.rc.new" "$log.rc"
}

all_passed=0 all_failed=0
say() {
    local name log rc counts passed failed word=ok
    name=$(name_of "$1") log=$B/check/$(name_of "$1")
    rc=$(cat "$log.rc" 2>/dev/null || echo 1)      # none: what ran the suite was killed
    counts=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log.log" | tail -1)
    if [[ $counts =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed ]]; then
        passed=${BASH_REMATCH[1]} failed=${BASH_REMATCH[2]}
        [ "$rc" -ne 0 ] && [ "$failed" -eq 0 ] && failed=1
    else
        passed=$((rc == 0)) failed=$((rc != 0))
    fi
    [ "$failed" -ne 0 ] && word=FAILED
    awk -v name="$name" -v word=$word -v passed="$passed" -v failed="$failed" '{ wall = $1; processors = $2 + $3 }
        END { printf "%-16s %-6s %5d passed, %d failed  %.1f s, %.1f s of processors\n", name, word, passed, failed, wall, processors }' "$log.seconds"
    [ "$failed" -ne 0 ] && { tail -n "${LOG_LINES:-40}" "$log.log" | sed 's/^/    /'; echo "    (all of it: $log.log)"; }
    all_passed=$((all_passed + passed)) all_failed=$((all_failed + failed))
}

alone=() others=()
for suite in "${suites[@]}"; do
    rm -f "$B/check/$(name_of "$suite").rc"
    if grep -q '^# alone: ' "$suite"; then alone+=("$suite"); else others+=("$suite"); fi
done
trap 'trap - INT; kill 0' INT      # suites in the background do not hear it
for suite in "${alone[@]}"; do
    run "$suite"
    say "$suite"
done
said=0
say_those_that_are_done() {      # in their order
    while [ $said -lt ${#others[@]} ] && [ -e "$B/check/$(name_of "${others[said]}").rc" ]; do say "${others[said++]}"; done
}
for suite in "${others[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n; say_those_that_are_done; done
    run "$suite" &
done
while [ -n "$(jobs -rp)" ]; do wait -n; say_those_that_are_done; done
while [ $said -lt ${#others[@]} ]; do say "${others[said++]}"; done
echo "$all_passed passed, $all_failed failed"
[ "$all_failed" -eq 0 ] && [ "$all_passed" -gt 0 ]
