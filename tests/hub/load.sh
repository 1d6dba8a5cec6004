#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a hub bears on this machine, load generators included: lookups (wrk), then uploads of 200 clients with lookups beside them, while 1,000 idle
# connections dribble. Prints figures; see docs/hub.md for those of the design. SECONDS_UP, ROWS_A_SECOND, WRITERS change it. Needs wrk.
# With POSTGRES=1 (needs postgresql-15) two hubs serve one PostgreSQL, which runs here too, and share the clients; lookups go to both.
set -eu
cd "$(dirname "$0")/../.."
B=${B:-build} up=${SECONDS_UP:-60} rate=${ROWS_A_SECOND:-10000} writers=${WRITERS:-200}
folder=$(mktemp -d)
if [ "${POSTGRES:-0}" = 1 ] && [ -z "${HONE_TEST_POSTGRES:-}" ]; then      # again, beside a PostgreSQL
    chmod 755 "$folder"; trap 'rm -rf "$folder"' EXIT
    python3 tests/hub/postgres.py "$folder/cluster" "$0"
    exit
fi
hone=$PWD/$B/hone fleet=$PWD/$B/tests/hub-fleet
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$folder"' EXIT
db=$folder/hub.db hubs=1
[ -n "${HONE_TEST_POSTGRES:-}" ] && db=$(python3 tests/hub/postgres.py "$HONE_TEST_POSTGRES" --address load) hubs=2
"$hone" db merge "$db" "$B/bundled.db" >"$folder/merge"
"$fleet" own "$db" "$folder/owner"
mkdir "$folder/all"
rows=$(( (up * rate / writers + 499) / 500 * 500 - 1))      # the run is a row too
n=0
for w in $(seq "$writers"); do
    "$fleet" rows "$folder/w.db" "$folder/key$w" "$rows" "$w"
    mkdir "$folder/b"; "$fleet" pack "$folder/w.db" "$folder/b" >/dev/null
    k=0; for blob in $(ls "$folder/b" | sort -n); do mv "$folder/b/$blob" "$folder/all/$((k++ * writers + w - 1))"; done
    rm -r "$folder/b" "$folder/w.db"
done
"$fleet" admit "$db" "$folder/owner" "$folder"/key*
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
memory() { for pid in "${pids[@]}"; do awk '/VmRSS/ { printf "%.0f MB resident\n", $2 / 1024 }' "/proc/$pid/status"; done; }
lookup() { wrk -t1 -c"$1" -d"$2" -s "$folder/wrk.lua" --latency "http://127.0.0.1:$3" | grep -E '50%|99%|Requests/sec|Non-2xx|Socket' | tr '\n' ' '; echo; }
lookups() {       # connections and duration; of each hub
    for port in "${ports[@]}"; do lookup $(($1 / hubs)) "$2" "$port" & looking+=($!); done
    wait "${looking[@]}"; looking=()
}
looking=()
lookups 8 2s >/dev/null
echo "lookups, 64 connections, 10 s: $(lookups 64 10s)"
memory
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
"$B/tests/hub-load" "$(IFS=,; echo "${ports[*]}")" 200 "$up" "$(awk "BEGIN { print $rate / 500 }")" "$folder/all" >"$folder/up" & up_pid=$!
sleep 5; memory
echo "lookups meanwhile, 8 connections, $((up - 15)) s: $(lookups 8 $((up - 15))s)"
memory
wait $up_pid || echo "uploads failed"
echo "uploads: $(cat "$folder/up")"
memory
wait $slow
"$hone" db info --db "$db" | grep -E 'journal|holds'
