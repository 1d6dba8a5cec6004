#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The hub and its clients, over loopback.
set -u
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export HOME=$folder XDG_DATA_HOME=$folder/data PYTHONPATH=tests/hub PYTHONDONTWRITEBYTECODE=1
passed=0 failed=0
for part in serve inbox exchange slow tls kill; do
    mkdir "$folder/$part"
    out=$(python3 "tests/hub/$part.py" "$folder/$part" 2>&1)
    printf '%s\n' "$out"
    [[ $(tail -1 <<<"$out") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]] || { failed=$((failed + 1)); continue; }
    passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
