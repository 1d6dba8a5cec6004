#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `make check-postgres`: the hub over PostgreSQL. A PostgreSQL of Debian's runs in a temporary folder, as an unprivileged user; the suite of the hub
# (serve, exchange, kill) runs over it with two hub processes, then what only PostgreSQL can show (shared). Not part of `make check`: the package
# weighs 60 MB and brings a service. PARTS chooses among them; KILLS=N hosts, hubs and PostgreSQL are killed so often.
set -u
cd "$(dirname "$0")/.."
export HONE=${HONE:-$PWD/${B:-build}/hone} PYTHONPATH=tests/hub PYTHONDONTWRITEBYTECODE=1
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || {
    echo "PostgreSQL is needed: apt-get install --no-install-recommends postgresql-15"
    exit 1
}
work=$(mktemp -d "${TMPDIR:-/tmp}/hone-postgres-XXXXXX")
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
export HOME=$work XDG_DATA_HOME=$work/data
passed=0 failed=0
for part in ${PARTS:-serve exchange kill shared}; do
    mkdir "$work/$part"
    more=()
    [ "$part" = kill ] && more=(2 4 "${KILLS:-10}")
    out=$(python3 tests/hub/postgres.py "$work/cluster-$part" python3 "tests/hub/$part.py" "$work/$part" "${more[@]}" 2>&1)
    printf '%s\n' "$out"
    [[ $(tail -1 <<<"$out") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]] || { failed=$((failed + 1)); continue; }
    passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
    rm -rf "$work/cluster-$part"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
