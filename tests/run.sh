#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the suites of tests/suites (all, or those named) and ends with "N passed, N failed". A suite is an
# executable NN-name.sh that runs in the root with B and HONE set, exits non-zero when anything failed, and
# may end with its own line "N passed, N failed" (otherwise it counts as one test).
set -u
unset MAKEFLAGS MFLAGS MAKELEVEL
cd "$(dirname "$0")/.."
export B=${B:-build} HONE=${HONE:-$PWD/${B:-build}/hone}
mkdir -p "$B/check"
case $B in /*) data=$B ;; *) data=$PWD/$B ;; esac
export XDG_DATA_HOME=$data/check/data       # neither the user's key nor his database
room=$(df --output=avail -k /dev/shm 2>/dev/null | tail -1)
if [ -z "${TMPDIR:-}" ] && [ -w /dev/shm ] && [ "${room:-0}" -gt 2000000 ]; then export TMPDIR=/dev/shm; fi      # thousands of fsyncs

suites=()
for name in "${@:-*}"; do
    found=(tests/suites/[0-9][0-9]-$name.sh)
    [ -e "${found[0]}" ] || { echo "no suite has the name $name"; exit 1; }
    suites+=("${found[@]}")
done

all_passed=0 all_failed=0
for suite in "${suites[@]}"; do
    name=$(basename "$suite" .sh); name=${name#*-}
    log=$B/check/$name.log
    start=$(date +%s%N)
    "./$suite" >"$log" 2>&1 </dev/null; rc=$?
    seconds=$(( ($(date +%s%N) - start) / 100000000 ))
    counts=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -1)
    if [[ $counts =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed ]]; then
        passed=${BASH_REMATCH[1]} failed=${BASH_REMATCH[2]}
        [ $rc -ne 0 ] && [ "$failed" -eq 0 ] && failed=1
    else
        passed=$((rc == 0)) failed=$((rc != 0))
    fi
    word=ok; [ "$failed" -ne 0 ] && word=FAILED
    printf '%-16s %-6s %5d passed, %d failed  %d.%d s\n' "$name" "$word" "$passed" "$failed" $((seconds / 10)) $((seconds % 10))
    [ "$failed" -ne 0 ] && { tail -n "${LOG_LINES:-40}" "$log" | sed 's/^/    /'; echo "    (all of it: $log)"; }
    all_passed=$((all_passed + passed)) all_failed=$((all_failed + failed))
done
echo "$all_passed passed, $all_failed failed"
[ "$all_failed" -eq 0 ] && [ "$all_passed" -gt 0 ]
