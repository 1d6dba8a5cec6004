# SPDX-License-Identifier: Apache-2.0
"""Slow clients: a thousand silent connections, others that send their head or body byte by byte, others that read their answer byte by byte.
Lookups go on beside them, and what they cost in memory is bounded. Usage: slow.py FOLDER"""
import os
import resource
import socket
import sys
import time
import urllib.parse

import hub
from hub import HONE, Hub, check, hone

folder = sys.argv[1]
BUNDLED = os.path.join(os.path.dirname(HONE), "bundled.db")
DEVICE = urllib.parse.urlencode({"device": 'cuda sm_90 "NVIDIA H200" sms=132 mem=143771MiB clock=1980MHz power=700W'})
SILENT, EACH, SECONDS = 1000, 100, 3


def memory(served):
    return [int(line.split()[1]) for line in served.get("/metrics")[2].decode().split("\n") if line.startswith("hone_hub_memory_bytes ")][0]


def enter(served, text=b"", receive=None):
    s = socket.socket()
    if receive:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    s.connect((served.host, served.ports[0]))
    s.sendall(text)
    return s


def dribble(heads, bodies, readers):
    """A byte of each; those whom the hub has sent away are not counted."""
    kept = 0
    for s, step in [(s, lambda s: s.send(b"x")) for s in heads + bodies] + [(s, lambda s: s.recv(1)) for s in readers]:
        try:
            step(s)
            kept += 1
        except OSError:
            pass
    return kept


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, soft), hard))       # what a shell gives: a hub asks for more by itself
    served = Hub(hub.database(os.path.join(folder, "slow.db"), BUNDLED), hubs=1)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    problems = hone("problems", "--db", BUNDLED, "--device", "h200").stdout.encode()
    lookup = {"device": "h200", "problem": problems.split(b"\n")[0].decode()}
    large = len(served.ask("POST", "/v1/evidence?" + DEVICE, problems)[2])
    check("an answer that no buffer of the system holds", large > 8 << 20, large)
    served.get("/v1/best", **lookup)
    before = memory(served)
    silent = [enter(served) for _ in range(SILENT)]
    heads = [enter(served, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ") for _ in range(EACH)]
    bodies = [enter(served, b"POST /v1/batches HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n") for _ in range(EACH)]
    question = b"POST /v1/evidence?" + DEVICE.encode() + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % len(problems)
    readers = [enter(served, question + problems, receive=4096) for _ in range(4)]
    while any(not s.recv(1) for s in readers):
        pass
    times, end = [], time.time() + SECONDS
    while time.time() < end:
        kept = dribble(heads, bodies, readers)
        check("the slow ones are borne", kept == 2 * EACH + len(readers), kept)
        for _ in range(20):
            start = time.time()
            check("a lookup beside slow clients", served.get("/v1/best", **lookup)[0] == 200)
            times.append(time.time() - start)
        time.sleep(0.05)
    times.sort()
    more = memory(served) - before
    print(f"{len(times)} lookups beside {SILENT + 2 * EACH + len(readers)} slow connections: p99 {times[len(times) * 99 // 100] * 1e3:.1f} ms, "
          f"at worst {times[-1] * 1e3:.1f} ms; {more / 1e6:.0f} MB more memory, of which {len(readers)} answers of {large / 1e6:.0f} MB")
    check("at worst half a second", times[-1] < 0.5, times[-1])
    check("memory of slow clients", more < len(readers) * 2 * large + (SILENT + 2 * EACH) * 48 * 1024, more)
    for s in silent + heads + bodies + readers:
        s.close()
    check("stops when told", served.stop() == 0)


main()
hub.end()
