# SPDX-License-Identifier: Apache-2.0
"""Databases of a fleet exchanged through a hub and through folders: whoever has all batches has the same rows. Usage: exchange.py FOLDER [WRITERS]"""
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import hub
from hub import HONE, Hub, check, hone

folder, writers = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 20
random.seed(int(os.environ.get("SEED", "1")))
FLEET = os.path.join(os.path.dirname(HONE), "tests", "hub-fleet")


def path(name):
    return os.path.join(folder, str(name))


def hub_db():
    return hub.database(path("hub.db"))


def fleet(*arguments):
    done = subprocess.run([FLEET, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout


def digest(db):
    """Of the evidence: what databases have who sent each other everything."""
    lines = [line for line in hone("db", "dump", "--db", db).stdout.split("\n") if line.startswith(("run\t", "measurement\t"))]
    return len(lines), hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def rows_of(writer):
    """One to three batches; the run is a row too."""
    return 300 + 100 * (writer % 10)


def make():
    fleet("own", hub_db(), path("owner"))
    for k in range(writers):
        fleet("rows", path(f"w{k}.db"), path(f"key{k}"), rows_of(k), k)
    fleet("admit", hub_db(), path("owner"), *(path(f"key{k}") for k in range(writers)))
    hone("db", "merge", path("all.db"), *(path(f"w{k}.db") for k in range(writers)))
    return digest(path("all.db"))


def receiver(name):
    fleet("own", path(name), path("owner"))
    fleet("admit", path(name), path("owner"), *(path(f"key{k}") for k in range(writers)))
    return path(name)


def moved(done):
    return json.loads(done.stdout) if done.returncode == 0 else {"failed": done.stderr}


def through_a_hub(whole):
    served = Hub(hub_db())
    for k in range(writers):
        words = ["push", "--db", path(f"w{k}.db"), "--key", path(f"key{k}"), "--hub", served.url, "--json"]
        first = moved(hone(*words))
        hub.settle()
        again = moved(hone(*words))
        check(f"writer {k} pushes", first.get("added", 0) > rows_of(k) and first["quarantined"] == 0, first)
        check(f"writer {k} pushes again", again == {"schema": "hone.exchange.1", "batches": 0, "rows": 0, "added": 0, "quarantined": 0}, again)
    check("the hub has the rows of the merge", digest(hub_db()) == whole)
    words = ["pull", "--db", receiver("puller.db"), "--hub", served.url, "--json"]
    check("a puller takes them", moved(hone(*words)).get("added", 0) >= whole[0])
    check("a puller takes them once", moved(hone(*words)).get("batches") == 0)
    check("a puller has the rows of the merge", digest(path("puller.db")) == whole)
    fleet("rows", path("stranger.db"), path("stranger"), 50, 99)
    strange = moved(hone("push", "--db", path("stranger.db"), "--key", path("stranger"), "--hub", served.url, "--json"))
    check("a stranger's rows wait", strange.get("quarantined") == 1 and digest(hub_db()) == whole, strange)
    fleet("admit", hub_db(), path("owner"), path("stranger"))
    time.sleep(1)
    check("... until its keeper admits it", digest(hub_db())[0] == whole[0] + 51)
    check("db check of the hub", hone("db", "check", hub_db()).returncode == 0)
    refuse(served)
    served.stop()
    check("a stopped hub", hone("push", "--db", path("w0.db"), "--key", path("key0"), "--hub", served.url).returncode == 75)


def refuse(served):
    """What is no batch is refused with a sentence, and changes nothing."""
    fleet("rows", path("new.db"), path("key0n"), 20, 7)
    os.makedirs(path("blobs"))
    fleet("pack", path("new.db"), path("blobs"))
    blob = open(path("blobs/0"), "rb").read()
    before = digest(hub_db())
    for name, body in ("nothing", b""), ("text", b"hello"), ("cut", blob[:-9]), ("longer", blob + b"x"), ("changed", blob[:200] + b"\0\0" + blob[202:]), \
            ("zeros", bytes(100000)), ("a bomb", subprocess.run(["zstd", "-19", "-c"], input=bytes(300 << 20), capture_output=True).stdout):
        code, _, said = served.ask("POST", "/v1/batches", body)
        check(f"a batch that is {name}", code == 400 and b"error" in said, (code, said))
    check("a body of 17 MiB", too_large(served) in (413, "closed"))
    check("nothing has changed", digest(hub_db()) == before)
    check("the hub lives", served.get("/healthz")[0] == 200)


def too_large(served):
    try:
        return served.ask("POST", "/v1/batches", bytes(17 << 20))[0]
    except (BrokenPipeError, ConnectionResetError):
        return "closed"


def segments(name, whole):
    """All write, some are killed, two race for the same segments; every fold has the rows of the merge."""
    place = "file://" + path(name)
    racing = []
    for k in range(writers):
        words = [HONE, "push", "--db", path(f"w{k}.db"), "--key", path(f"key{k}"), "--to", place, "--json"]
        shutil.copy(path(f"w{k}.db"), path(f"twin{k}.db"))
        twin = [*words[:3], path(f"twin{k}.db"), *words[4:]]
        victim = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0, 0.06))
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        racing += [(k, subprocess.Popen(w, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)) for w in (words, twin)]
    made = sum(json.loads(process.communicate()[0])["batches"] for _, process in racing)
    check("racing writers end well", all(process.returncode == 0 for _, process in racing))
    there = [n for n in os.listdir(path(name)) if len(n) == 64]
    check("each segment was made once", made <= len(there) and len(there) == sum(-(-(rows_of(k) + 1) // 500) for k in range(writers)), (made, len(there)))
    pulled = moved(hone("pull", "--db", receiver(name + ".db"), "--from", place, "--json"))
    check("a fold has the rows of the merge", digest(path(name + ".db")) == whole, pulled)
    check("a second fold changes nothing", moved(hone("pull", "--db", path(name + ".db"), "--from", place, "--json")).get("batches") == 0)
    os.rename(os.path.join(path(name), there[0]), os.path.join(path(name), "f" * 64))
    done = hone("pull", "--db", receiver(name + "2.db"), "--from", place)
    check("a segment that is not what its name says", done.returncode == 7 and "another batch" in done.stderr, done.stderr)


whole = make()
through_a_hub(whole)
segments("segments", whole)
hub.end()
