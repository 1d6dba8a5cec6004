# SPDX-License-Identifier: Apache-2.0
"""Workers of several hosts push to one hub while hosts and hub are killed at random points: what was acknowledged is there exactly once.
Usage: kill.py FOLDER [HOSTS WORKERS KILLS [netns]]. Each host and the hub are killed so many times. With netns (as root) each host and the hub
live in a network namespace of their own and meet over a bridge; a relay on each host's loopback stands for the proxy that speaks TLS.
Over PostgreSQL there are two hubs, of which either is killed, and PostgreSQL is killed as often."""
import collections
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


def hub_db():
    return hub.database(path("hub.db"))


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


class Pair:
    """Two hubs over one PostgreSQL, behind one port; either dies alone."""
    relay = None

    def __init__(self):
        self.hubs = [hub.Hub(hub_db(), hubs=1) for _ in range(2)]
        self.relay = hub.Relay([h.port for h in self.hubs])
        Serving.port = self.relay.port

    def kill(self):
        k = random.randrange(2)
        self.hubs[k].process.kill()
        self.hubs[k].process.communicate()
        time.sleep(random.uniform(0, 0.1))
        while True:
            try:
                self.hubs[k] = hub.Hub(hub_db(), hubs=1)
                break
            except RuntimeError as error:      # PostgreSQL is not up again yet
                check("a hub starts, or says that PostgreSQL is away", "postgresql://" in str(error), error)
                time.sleep(0.05)
        self.relay.ports[k] = self.hubs[k].port
        return self

    def stop(self):
        for one in self.hubs:
            one.stop()


class Serving:
    port = 8750 if netns else 0

    def __init__(self):
        at = f"10.75.0.1:{Serving.port}" if netns else f"127.0.0.1:{Serving.port}"
        for _ in range(100):
            try:
                self.hub = hub.Hub(hub_db(), *(["--behind-proxy"] if netns else []), listen=at, prefix=inside("hub"))
                break
            except RuntimeError as error:      # the port is not free yet
                if "in use" not in str(error):
                    raise
                time.sleep(0.05)
        Serving.port = self.hub.port

    def kill(self):
        self.hub.process.kill()
        self.hub.process.communicate()
        time.sleep(random.uniform(0, 0.1))
        return Serving()

    def stop(self):
        self.hub.stop()


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


def kill_postgres():
    hub.SHARED.kill()
    time.sleep(random.uniform(0, 0.3))
    hub.SHARED.start()


def main():
    names = [f"{h}-{w}" for h in range(hosts) for w in range(workers)]
    run(FLEET, "own", hub_db(), path("owner"))
    run(FLEET, "admit", hub_db(), path("owner"), *(path(n + ".key") for n in names))
    secret = token(hub_db(), "hosts", "read,measure")
    serving = Pair() if hub.SHARED else Serving()
    living = [Host(h, secret) for h in range(hosts)]
    order = [*range(hosts), "hub", *(["postgres"] if hub.SHARED else [])] * kills
    random.shuffle(order)
    for who in order:
        time.sleep(random.uniform(0.05, 0.6))
        if who == "hub":
            serving = serving.kill()
        elif who == "postgres":
            kill_postgres()
        else:
            check("workers end only when killed", not living[who].kill(), open(path("errors")).read()[-300:])
            living[who].start()
    time.sleep(1)
    for host in living:
        host.kill()
    serving.stop()
    judge(names)


def count_lacking(names):
    """By psql, without hone."""
    there = collections.Counter(hub.SHARED.sql(hub.database_name(path("hub.db")), "SELECT encode(id, 'hex') FROM measurement").split())
    acknowledged = [line for n in names for line in open(path(n + ".acks")).read().split("\n") if len(line) == 64]
    wrong = sum(there[line] != 1 for line in acknowledged)
    return wrong == 0 and acknowledged, f"{wrong} of {len(acknowledged)} acknowledged rows are not there exactly once"


def judge(names):
    if hub.SHARED:
        right, sentence = count_lacking(names)
    else:
        done = subprocess.run([FLEET, "lacks", path("hub.db"), *(path(n + ".acks") for n in names)], capture_output=True, text=True)
        right, sentence = done.returncode == 0, done.stdout.strip()
    print(f"{hosts} hosts x {workers} workers, each host, the hub{', PostgreSQL' if hub.SHARED else ''} killed {kills} times: {sentence}")
    check("acknowledged rows are there exactly once", right, sentence)
    report = hone("db", "check", hub_db())
    check("db check", report.returncode == 0, report.stdout[-300:])
    serving = hub.Hub(hub_db())
    for n in names:
        pushed = hone("push", "--db", path(n + ".db"), "--key", path(n + ".key"), "--hub", serving.url, env={"HONE_HUB_TOKEN": token(hub_db(), n, "read,measure")})
        check("the rest arrives", pushed.returncode == 0, pushed.stderr)
        if pushed.returncode:
            break
    serving.stop()
    hone("db", "merge", path("all.db"), *(path(n + ".db") for n in names))
    rows = [[line for line in hone("db", "dump", "--db", db).stdout.split("\n") if line.startswith("measurement\t")] for db in (hub_db(), path("all.db"))]
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
