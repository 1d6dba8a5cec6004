#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# After an upgrade of libraries a recheck times at most 3% of 10,000 recorded measurements and loses less than 1% against a full re-sweep:
# of the networks' time, over several upgrades (SEEDS=10 takes more draws); and of real networks built from what `hone tune --recheck` leaves.
set -u
[ -e "$B/bundled.db" ] || { echo "there is no $B/bundled.db: make did not build it"; exit 1; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export XDG_DATA_HOME=$out/data HONE_CACHE=$out/cache PYTHONDONTWRITEBYTECODE=1
unset HONE_DB
passed=0 failed=0
part() {
    text=$("$@" 2>&1)
    printf '%s\n' "$text"
    [[ $(tail -1 <<<"$text") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]] || { failed=$((failed + 1)); return; }
    passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
}
part "$B/tests/tuner-recheck" "$B/bundled.db" "$out" "${SEEDS:-2}"
part build/venv/bin/python tests/tuner/engine.py "$out" 2
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
