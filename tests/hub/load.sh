#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a hub bears on this machine, load generators included: lookups (wrk), then uploads of 200 clients with lookups beside them, while 1,000 idle
# connections dribble. Prints figures (docs/hub.md has those that were seen) and fails where one misses its limit: for the limits of rates and latencies
# the cores have to be free. SECONDS_UP, ROWS_A_SECOND, WRITERS, READS (lookups a second beside
# the uploads, 0: as many as go) change it; PREPARED=FOLDER makes the batches there, or takes those that are. Needs wrk.
# With POSTGRES=1 (needs postgresql-15) two hubs serve one PostgreSQL, which runs here too, and share the clients; lookups go to both, and only failures and memory have limits.
set -eu
cd "$(dirname "$0")/../.."
B=${B:-build} up=${SECONDS_UP:-60} rate=${ROWS_A_SECOND:-10000} writers=${WRITERS:-200} reads=${READS:-2000}
folder=$(mktemp -d)
if [ "${POSTGRES:-0}" = 1 ] && [ -z "${HONE_TEST_POSTGRES:-}" ]; then      # again, beside a PostgreSQL
    chmod 755 "$folder"; trap 'rm -rf "$folder"' EXIT
    python3 tests/hub/postgres.py "$folder/cluster" "$0"
    exit
fi
hone=$PWD/$B/hone fleet=$PWD/$B/tests/hub-fleet
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$folder"' EXIT
db=$folder/hub.db hubs=1
pack=${PREPARED:-$folder/pack}
[ -n "${HONE_TEST_POSTGRES:-}" ] && db=$(python3 tests/hub/postgres.py "$HONE_TEST_POSTGRES" --address load) hubs=2
"$hone" db merge "$db" "$B/bundled.db" >"$folder/merge"
"$fleet" own "$db" "$folder/owner"
offered=$((rate * 102 / 100))      # what is answered last counts too, and that takes a moment
rows=$(( (up * offered / writers + 499) / 500 * 500 - 1))      # the run is a row too
if [ ! -e "$pack/whole" ]; then
    mkdir -p "$pack/all"
    for w in $(seq "$writers"); do
        "$fleet" rows "$folder/w.db" "$pack/key$w" "$rows" "$w"
        mkdir "$folder/b"; "$fleet" pack "$folder/w.db" "$folder/b" >/dev/null
        k=0; for blob in $(ls "$folder/b" | sort -n); do mv "$folder/b/$blob" "$pack/all/$((k++ * writers + w - 1))"; done
        rm -r "$folder/b" "$folder/w.db"
    done
    touch "$pack/whole"
fi
[ "$(ls "$pack/all" | wc -l)" -ge $((up * offered / 500)) ] || { echo "$pack holds too few batches: take another folder"; exit 1; }
"$fleet" admit "$db" "$folder/owner" "$pack"/key*
pids=() ports=()
for h in $(seq "$hubs"); do
    "$hone" hub serve --db "$db" --listen 127.0.0.1:0 >"$folder/out$h" &
    pids+=($!)
    until grep -q listening "$folder/out$h" 2>/dev/null; do sleep 0.1; done
    ports+=("$(sed -n 's/.*:\([0-9]*\),.*/\1/p' "$folder/out$h")")
done
"$hone" problems --db "$B/bundled.db" --device h200 | grep '^conv' | head -200 | python3 -c '
import sys, urllib.parse
for line in sys.stdin: print("/v1/best?device=h200&problem=" + urllib.parse.quote(line.strip()))' >"$folder/paths"
cat >"$folder/wrk.lua" <<LUA
local paths = {}
for line in io.lines("$folder/paths") do paths[#paths + 1] = line end
local k = 0
request = function() k = k % #paths + 1; return wrk.format("GET", paths[k]) end
LUA
{ cat "$folder/wrk.lua"; [ "$reads" -eq 0 ] || echo "delay = function() return $((8 * 2000 / reads)) * math.random() end"; } >"$folder/beside.lua"
memory() { for port in "${ports[@]}"; do curl -sf "http://127.0.0.1:$port/metrics" | awk '/^hone_hub_memory_bytes/ { printf "%d ", $2 / 1e6 }'; done; }
watch_memory() { while sleep 10; do memory; echo; done >"$folder/memory"; }
missed=0
limit() {       # what, figure, < or >, limit, whatever the store if any
    awk "BEGIN { exit !($2 $3= $4) }" && return
    [ $hubs = 1 ] || [ -n "${5:-}" ] || return 0
    echo "MISSED: $1 $2, limit $4"; missed=1
}
p99_of() { awk '{ for (k = 1; k < NF; k++) if ($k == "99%") { t = $(k + 1); print t ~ /us$/ ? t / 1000 : t ~ /ms$/ ? t + 0 : t * 1000 } }' <<<"$1"; }
rate_of() { sed -n 's/.*Requests\/sec: *\([0-9.]*\).*/\1/p' <<<"$1"; }
lookup() { wrk -t1 -c"$1" -d"$2" -s "$folder/${4:-wrk}.lua" --latency "http://127.0.0.1:$3" | grep -E '50%|99%|Requests/sec|Non-2xx|Socket' | tr '\n' ' '; echo; }
lookups() {       # connections, duration, which script; of each hub
    for port in "${ports[@]}"; do lookup $(($1 / hubs)) "$2" "$port" "${3:-wrk}" & looking+=($!); done
    wait "${looking[@]}"; looking=()
}
looking=()
lookups 8 2s >/dev/null
echo "load of the machine before: $(cut -d' ' -f1-3 /proc/loadavg)"
alone=$(lookups 64 10s)
echo "lookups, 64 connections, 10 s: $alone"
[ $hubs = 1 ] && limit "lookups a second" "$(rate_of "$alone")" '>' 10000 && limit "p99 of lookups, ms" "$(p99_of "$alone")" '<' 10
python3 - "${ports[0]}" $((up + 20)) <<'PY' &
import socket, sys, time
port, seconds = int(sys.argv[1]), int(sys.argv[2])
held = []
for k in range(1000):
    s = socket.create_connection(("127.0.0.1", port)); s.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "); held.append(s)
end = time.time() + seconds
worst = 0
while time.time() < end:
    for s in held[::10]:
        try: s.sendall(b"x")
        except OSError: pass
    start = time.time()
    c = socket.create_connection(("127.0.0.1", port)); c.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"); assert b"200 OK" in c.recv(1000); c.close()
    worst = max(worst, time.time() - start); time.sleep(0.5)
print(f"/healthz beside 1,000 slow connections: at worst {worst * 1000:.1f} ms", flush=True)
PY
slow=$!
"$B/tests/hub-load" "$(IFS=,; echo "${ports[*]}")" 200 "$up" "$(awk "BEGIN { print $offered / 500 }")" "$pack/all" >"$folder/up" & up_pid=$!
watch_memory & watching=$!
sleep 5
beside=$(lookups 8 $((up - 15))s beside)
echo "lookups meanwhile, 8 connections, $((up - 15)) s: $beside"
[ $hubs = 1 ] && limit "p99 of lookups meanwhile, ms" "$(p99_of "$beside")" '<' 20
wait $up_pid || { echo "MISSED: uploads failed"; missed=1; }
kill $watching
echo "uploads: $(cat "$folder/up")"
limit "rows a second" "$(sed 's/.*: \([0-9]*\) rows.*/\1/' "$folder/up")" '>' "$rate"
limit "p99 of uploads, ms" "$(sed 's/.*p99 \([0-9.]*\).*/\1/' "$folder/up")" '<' 300
# The first minute fills the caches, which have bounds.
from=$(( up >= 120 ? 6 : 0 ))
for h in $(seq $hubs); do
    series=$(awk -v h="$h" '{ print $h }' "$folder/memory" | tr '\n' ' ')
    echo "memory of its own each 10 s, MB: $series"
    read -r -a mb <<<"$series"
    [ "$from" -ge 1 ] && limit "memory at the end, MB" "${mb[-1]}" "<" "$((mb[from - 1] * 11 / 10))" always
done
echo "load of the machine after: $(cut -d' ' -f1-3 /proc/loadavg)"
wait $slow
"$hone" db info --db "$db" | grep -E 'journal|holds'
exit $missed
