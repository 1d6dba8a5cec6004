#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A recheck and spot checks on a real GPU: tests/gpu/recheck.sh [h100|h200] [DEVICE]. The bundled database's records of this GPU are told as if libraries of older versions
# had made them, so that all of them are stale; the libraries being the same, nearly all families must be kept, of at most 3% timed. Then
# another writer claims times that are 40% too short, and the spot checks must say so. Builds nothing; a few minutes.
set -eu
model=${1:-h100} device=${2:-cuda:0} B=${B:-build}
hone=$PWD/$B/hone out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export XDG_DATA_HOME=$out/data HONE_CACHE=${HONE_CACHE:-$out/cache}
unset HONE_DB
"$hone" problems --db "$B/bundled.db" --device "$model" --replay >"$out/now"
sed '/^toolchain\t/ { s/nvrtc=[^ ]*/nvrtc=0.1/; s/cublaslt=[^ ]*/cublaslt=0.1/; s/cudnn=[^ ]*/cudnn=0.1/ }' "$out/now" >"$out/older"
{ "$hone" db dump "$B/bundled.db" | grep -E '^(hone-dump|network|network_problem)[[:space:]]' ; printf 'end\t-\n'; } >"$out/networks.txt"
"$hone" db load "$out/networks.db" "$out/networks.txt"
"$B/tests/tuner-resweep" "$out/networks.db" "$out/older" "$out/old.db"
"$hone" tune --recheck --db "$out/old.db" --device "$device" --dry-run | tail -1
"$hone" tune --recheck --db "$out/old.db" --device "$device" --progress none | tail -40
"$hone" tune --recheck --db "$out/old.db" --device "$device" --progress none --json >"$out/again.json"
python3 - "$out/again.json" <<'EOF'
import collections, json, sys
said = json.load(open(sys.argv[1]))
words = collections.Counter(family["decision"] for family in said["families"])
share = sum(family["timed"] + family["failed"] for family in said["families"]) / said["stale"]
print(f"{dict(words)}; {100 * share:.2f}% of {said['stale']} stale records timed under both; {said['timed']} timed by the second run")
EOF
grep -P '\tok\t' "$out/now" | awk -F'\t' 'NR % 400 == 0 { print $1 }' | sort -u >"$out/some"
python3 - "$out/now" "$out/some" >"$out/lies" <<'EOF'
import sys
wanted = set(open(sys.argv[2]).read().splitlines())
for line in open(sys.argv[1]).read().splitlines():
    fields = line.split("\t")
    if len(fields) == 5 and (fields[0] not in wanted or fields[2] != "ok"): continue
    if len(fields) == 5: fields[4] = ",".join(str(0.6 * float(ns)) for ns in fields[4].split(","))
    print("\t".join(fields))
EOF
XDG_DATA_HOME=$out/liar "$hone" tune "$out/some" --db "$out/lies.db" --device "replay:$out/lies" --progress none | head -1
"$hone" db merge "$out/spot.db" "$out/lies.db"
"$hone" db trust own --db "$out/spot.db"
"$hone" tune --spot-check --db "$out/spot.db" --device "$device" --progress none | tail -5
