#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The hub against others' programs (tests/requirements-peers.txt, in a virtual environment of their own): an S3 server, botocore's signatures,
# and schemathesis, which asks every described operation CASES times with whatever it can think of. One process of it makes a few dozen cases a
# second on one core, so each operation has its own, as many at a time as there are cores; the hub's own count tells how often each was asked.
# OPERATIONS="best push" asks these only.
set -u
cd "$(dirname "$0")/../.."
peers=$PWD/build/venv-peers folder=$(mktemp -d) cases=${CASES:-2000}
export HONE=${HONE:-$PWD/build/hone} PYTHONPATH=tests/hub PYTHONDONTWRITEBYTECODE=1 HOME=$folder
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$folder"' EXIT
[ -x "$peers/bin/schemathesis" ] || { python3 -m venv "$peers" && "$peers/bin/pip" install -q --disable-pip-version-check -r tests/requirements-peers.txt; } || exit 1
mkdir "$folder/s3"
"$peers/bin/python" tests/hub/sigv4.py "$folder/s3"; s3=$?
cp "$(dirname "$HONE")/bundled.db" "$folder/hub.db"
name=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')      # that revoking does not hit the prober's own token
token=$("$HONE" hub token add "$name" --db "$folder/hub.db" --scope read,measure,promote,admin 2>/dev/null)
"$HONE" hub serve --db "$folder/hub.db" --listen 127.0.0.1:0 >"$folder/out" &
until grep -q listening "$folder/out"; do sleep 0.1; done
url=http://127.0.0.1:$(sed -n 's/.*:\([0-9]*\),.*/\1/p' "$folder/out")
ask() { curl -sf -H "Authorization: Bearer $token" "$url$1"; }
probe() {      # one operation; a folder of its own, because it leaves one where it runs
    mkdir "$folder/$1" && cd "$folder/$1" || return 1
    "$peers/bin/schemathesis" run "$url/openapi.json" --url "$url" -H "Authorization: Bearer $token" --checks not_a_server_error --max-examples "$cases" \
        --phases fuzzing --include-operation-id "$1" --suppress-health-check all --generation-database none --no-color >log 2>&1
}
export -f probe; export peers folder cases url token
operations=${OPERATIONS:-$(ask /openapi.json | python3 -c 'import json, sys
for path in json.load(sys.stdin)["paths"].values():
    for operation in path.values(): print(operation["operationId"])')}
start=$SECONDS prober=0
printf '%s\n' $operations | xargs -P "$(nproc)" -I{} bash -c 'probe {}; echo $? >"$folder/{}/code"'
ask /metrics >"$folder/counts"
for operation in $operations; do
    asked=$(awk -v name="operation=\"$operation\"" 'index($1, "hone_hub_requests_total") && index($1, name) { n += $2 } END { print n + 0 }' "$folder/counts")
    failed=$(awk -v name="operation=\"$operation\"" 'index($1, "hone_hub_requests_total") && index($1, name) && /"5xx"/ { n += $2 } END { print n + 0 }' "$folder/counts")
    echo "$operation: asked $asked times, $failed server errors"
    [ "$(cat "$folder/$operation/code")" = 0 ] && [ "$asked" -ge "$cases" ] && [ "$failed" = 0 ] && continue
    prober=1; echo "FAIL $operation"; tail -40 "$folder/$operation/log"
done
echo "$cases cases of each of $(wc -w <<<"$operations") operations: $((SECONDS - start)) s"
ask /healthz >/dev/null || prober=1
[ $s3 -eq 0 ] && [ $prober -eq 0 ]
