#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The hub against others' programs (tests/requirements-peers.txt, in a virtual environment of their own): an S3 server, botocore's signatures,
# and schemathesis, which asks every described operation CASES times with whatever it can think of.
set -u
cd "$(dirname "$0")/../.."
peers=$PWD/build/venv-peers folder=$(mktemp -d)
export HONE=${HONE:-$PWD/build/hone} PYTHONPATH=tests/hub PYTHONDONTWRITEBYTECODE=1 HOME=$folder
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$folder"' EXIT
[ -x "$peers/bin/schemathesis" ] || { python3 -m venv "$peers" && "$peers/bin/pip" install -q --disable-pip-version-check -r tests/requirements-peers.txt; } || exit 1
mkdir "$folder/s3"
"$peers/bin/python" tests/hub/sigv4.py "$folder/s3"; s3=$?
cp "$(dirname "$HONE")/bundled.db" "$folder/hub.db"
token=$("$HONE" hub token add prober --db "$folder/hub.db" --scope read,measure,promote,admin 2>/dev/null)
"$HONE" hub serve --db "$folder/hub.db" --listen 127.0.0.1:0 >"$folder/out" &
until grep -q listening "$folder/out"; do sleep 0.1; done
url=http://127.0.0.1:$(sed -n 's/.*:\([0-9]*\),.*/\1/p' "$folder/out")
# Revoking is left out of this run: it could hit the prober's own token.
cd "$folder"      # it leaves a folder where it runs
"$peers/bin/schemathesis" run "$url/openapi.json" --url "$url" -H "Authorization: Bearer $token" --checks not_a_server_error --max-examples "${CASES:-2000}" \
    --phases fuzzing --exclude-operation-id revoke --suppress-health-check all --no-color; prober=$?
curl -sf "$url/healthz" >/dev/null || prober=1
[ $s3 -eq 0 ] && [ $prober -eq 0 ]
