# SPDX-License-Identifier: Apache-2.0
"""Workers of several hosts push to one hub while hosts and hub are killed at random points: what was acknowledged is there exactly once.
Usage: kill.py FOLDER [HOSTS WORKERS KILLS [netns]]. Each host and the hub are killed so many times. With netns (as root) each host and the hub
live in a network namespace of their own and meet over a bridge; a relay on each host's loopback stands for the proxy that speaks TLS."""
import os
import random
import signal
import subprocess
import sys
import time

import hub
from hub import HONE, check, hone, token

folder = sys.argv[1]
hosts, workers, kills = (int(v) for v in (sys.argv[2:5] or (2, 2, 5)))
netns = "netns" in sys.argv
FLEET = os.path.join(os.path.dirname(HONE), "tests", "hub-fleet")
RELAY = """
import asyncio, sys
async def copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data); await writer.drain()
    except OSError: pass
    writer.close()
async def serve(reader, writer):
    try: r, w = await asyncio.open_connection(sys.argv[1], 8750)
    except OSError: return writer.close()
    await asyncio.gather(copy(reader, w), copy(r, writer))
async def main():
    async with await asyncio.start_server(serve, "127.0.0.1", 8750) as server: await server.serve_forever()
asyncio.run(main())
"""
random.seed(int(os.environ.get("SEED", "1")))


def path(name):
    return os.path.join(folder, str(name))


def run(*words):
    subprocess.run([str(w) for w in words], check=True, capture_output=True)


def inside(name):
    return ["ip", "netns", "exec", f"hone-{name}"] if netns else []


def make_network():
    run("ip", "link", "add", "hone-br", "type", "bridge")
    run("ip", "link", "set", "hone-br", "up")
    for k, name in enumerate(["hub", *range(hosts)]):
        run("ip", "netns", "add", f"hone-{name}")
        run("ip", "link", "add", f"hone-v{name}", "type", "veth", "peer", "name", "eth0", "netns", f"hone-{name}")
        run("ip", "link", "set", f"hone-v{name}", "master", "hone-br", "up")
        run(*inside(name), "ip", "addr", "add", f"10.75.0.{k + 1}/24", "dev", "eth0")
        for device in "eth0", "lo":
            run(*inside(name), "ip", "link", "set", device, "up")


def drop_network():
    for name in ["hub", *range(hosts)]:
        subprocess.run(["ip", "netns", "del", f"hone-{name}"], capture_output=True)
    subprocess.run(["ip", "link", "del", "hone-br"], capture_output=True)


class Serving:
    port = 8750 if netns else 0

    def __init__(self):
        at = f"10.75.0.1:{Serving.port}" if netns else f"127.0.0.1:{Serving.port}"
        for _ in range(100):
            try:
                self.hub = hub.Hub(path("hub.db"), *(["--behind-proxy"] if netns else []), listen=at, prefix=inside("hub"))
                break
            except RuntimeError as error:      # the port is not free yet
                if "in use" not in str(error):
                    raise
                time.sleep(0.05)
        Serving.port = self.hub.port

    def kill(self):
        self.hub.process.kill()
        self.hub.process.communicate()


class Host:
    """Its workers, and in a namespace of its own the relay, live and die together."""

    def __init__(self, number, secret):
        self.number, self.secret = number, secret
        self.start()

    def start(self):
        env = {**os.environ, "HONE_HUB_TOKEN": self.secret}
        url = f"http://127.0.0.1:{Serving.port}"
        self.processes = [subprocess.Popen([*inside(self.number), sys.executable, "-c", RELAY, "10.75.0.1"])] if netns else []
        for w in range(workers):
            name = f"{self.number}-{w}"
            self.processes.append(subprocess.Popen([*inside(self.number), FLEET, "work", path(name + ".db"), path(name + ".key"), url, path(name + ".acks"),
                                                    str(self.number * 1000 + w), "20"], env=env, stderr=open(path("errors"), "a")))

    def kill(self):
        ended = [p.returncode for p in self.processes if p.poll() is not None]
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()
        return ended


def main():
    names = [f"{h}-{w}" for h in range(hosts) for w in range(workers)]
    run(FLEET, "own", path("hub.db"), path("owner"))
    run(FLEET, "admit", path("hub.db"), path("owner"), *(path(n + ".key") for n in names))
    secret = token(path("hub.db"), "hosts", "read,measure")
    serving = Serving()
    living = [Host(h, secret) for h in range(hosts)]
    order = [*range(hosts), "hub"] * kills
    random.shuffle(order)
    for who in order:
        time.sleep(random.uniform(0.05, 0.6))
        if who == "hub":
            serving.kill()
            time.sleep(random.uniform(0, 0.1))
            serving = Serving()
        else:
            check("workers end only when killed", not living[who].kill(), open(path("errors")).read()[-300:])
            living[who].start()
    time.sleep(1)
    for host in living:
        host.kill()
    serving.hub.stop()
    judge(names)


def judge(names):
    done = subprocess.run([FLEET, "lacks", path("hub.db"), *(path(n + ".acks") for n in names)], capture_output=True, text=True)
    print(f"{hosts} hosts x {workers} workers, each host and the hub killed {kills} times: {done.stdout.strip()}")
    check("acknowledged rows are there exactly once", done.returncode == 0, done.stdout)
    report = hone("db", "check", path("hub.db"))
    check("db check", report.returncode == 0, report.stdout[-300:])
    serving = hub.Hub(path("hub.db"))
    for n in names:
        pushed = hone("push", "--db", path(n + ".db"), "--key", path(n + ".key"), "--hub", serving.url, env={"HONE_HUB_TOKEN": token(path("hub.db"), n, "read,measure")})
        check("the rest arrives", pushed.returncode == 0, pushed.stderr)
        if pushed.returncode:
            break
    serving.stop()
    hone("db", "merge", path("all.db"), *(path(n + ".db") for n in names))
    rows = [[line for line in hone("db", "dump", "--db", path(db)).stdout.split("\n") if line.startswith("measurement\t")] for db in ("hub.db", "all.db")]
    check("in the end the hub has what all have", sorted(rows[0]) == sorted(rows[1]) and len(rows[0]) == len(set(rows[0])), (len(rows[0]), len(rows[1])))
    print(f"{len(rows[0])} measurements")


try:
    if netns:
        drop_network()
        make_network()
    main()
finally:
    if netns:
        drop_network()
hub.end()
