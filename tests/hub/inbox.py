# SPDX-License-Identifier: Apache-2.0
"""The inbox of a hub over a file: what it acknowledges before it is in the tables is seen, is judged, and survives. Usage: inbox.py FOLDER"""
import glob
import os
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.parse

import hub
from hub import HONE, Hub, check, hone

folder = sys.argv[1]
FLEET = os.path.join(os.path.dirname(HONE), "tests", "hub-fleet")
DEVICE = 'cpu x86_64-avx2 "fleet" threads=2'
PROBLEMS = "".join(f"relu x=f32:{n}\n" for n in range(1, 101)).encode()


def path(name):
    return os.path.join(folder, name)


def fleet(*words):
    subprocess.run([FLEET, *map(str, words)], check=True, capture_output=True)


def make(name, key, count, seed, what="rows"):
    """The blobs of a writer's batches, of 500 rows or one large artifact."""
    fleet(what, path(name + ".db"), path(key), count, seed)
    os.makedirs(path(name))
    fleet("pack", path(name + ".db"), path(name))
    return [open(blob, "rb").read() for blob in sorted(glob.glob(path(name + "/*")))]


def fresh(name):
    fleet("own", path(name), path("owner"))
    fleet("admit", path(name), path("owner"), path("writer"))
    return path(name)


def post(served, blob):
    code, _, body = served.ask("POST", "/v1/batches", blob)
    return code, body.decode()


def measured(served):
    return served.ask("POST", "/v1/evidence?" + urllib.parse.urlencode({"device": DEVICE}), PROBLEMS)[2].count(b"\nmeasurement\t")


def rows(db):
    return sum(line.startswith("measurement\t") for line in hone("db", "dump", "--db", db).stdout.split("\n"))


def locked(db):
    """Another program that lets nobody read or write the database."""
    connection = sqlite3.connect(db, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN EXCLUSIVE")
    return connection


def inbox(db):
    return sorted(os.listdir(db + "-inbox")) if os.path.exists(db + "-inbox") else None


BLOBS = make("w", "writer", 2499, 1)
OTHER = make("other", "writer", 499, 2)[0]          # the same writer's batch 1, with other rows
STRANGER = make("stranger", "nobody", 499, 3)[0]


def who_pushes_finds():
    db = fresh("finds.db")
    served = Hub(db)
    seen = []
    for blob in BLOBS:
        code, body = post(served, blob)
        check("acknowledged", code == 200 and body == "added 500 500\n", (code, body))
        seen.append(measured(served))
    check("who puts and then asks finds it", seen == [499 + 500 * k for k in range(5)], seen)
    check("... in what is here", b" 1 5 " in served.get("/v1/have")[2])
    check("again is known", post(served, BLOBS[0])[1] == "known 500 0\n")
    check("a hub has an inbox", inbox(db) is not None)
    second = hone("hub", "serve", "--db", db, "--listen", "127.0.0.1:0")
    check("a second hub", second.returncode == 75 and "another hub serves" in second.stderr, second.stderr)
    start = time.time()
    post(served, make("late", "writer2", 499, 4)[0])
    check("no stranger's batch is kept in the inbox", "lock" == "".join(inbox(db)) and time.time() - start < 10, inbox(db))
    check("stops when told", served.stop() == 0)
    check("... and leaves no inbox", inbox(db) is None, inbox(db))
    check("all rows are there", rows(db) == 2499)


def the_tables_may_be_busy():
    """While nothing can be put into the tables, what can be acknowledged is, and what cannot is refused as ever."""
    db = fresh("busy.db")
    served = Hub(db)
    other = locked(db)
    start = time.time()
    answers = [post(served, blob) for blob in BLOBS]
    took = time.time() - start
    check("acknowledged at once", [a[1] for a in answers] == ["added 500 500\n"] * 5 and took < 5, (answers, took))
    check("known before it is in the tables", post(served, BLOBS[2])[1] == "known 500 0\n")
    code, body = post(served, OTHER)
    check("another batch under its number", code == 400 and "two machines use one key" in body, (code, body))
    check("a damaged one", post(served, BLOBS[0][:-9])[0] == 400)
    found = []
    asking = threading.Thread(target=lambda: found.append((measured(served), time.time())))
    putting = threading.Thread(target=lambda: found.append((post(served, STRANGER)[1], time.time())))
    asking.start(), putting.start()
    time.sleep(1)
    check("what has to see the tables waits", not found, found)
    freed = time.time()
    other.execute("COMMIT")
    asking.join(), putting.join()
    check("... until they are there", {f[0] for f in found} == {2499, "quarantined 500 0\n"} and min(f[1] for f in found) >= freed, found)
    served.stop()
    check("db check", hone("db", "check", db).returncode == 0 and rows(db) == 2499)


def full():
    """What the inbox has no room for waits for the tables."""
    db = fresh("full.db")
    blobs = make("large", "writer", 14, 9, "large")
    served = Hub(db)
    other = locked(db)
    answers = []
    putting = threading.Thread(target=lambda: [answers.append(post(served, blob)[1]) for blob in blobs])
    putting.start()
    putting.join(10)
    held = sum(os.path.getsize(db + "-inbox/" + name) for name in inbox(db))
    check("the inbox is filled and no more", putting.is_alive() and 64 << 20 < held < 80 << 20, (held, answers))
    other.execute("COMMIT")
    putting.join()
    check("then the rest is put", len(answers) == len(blobs) and all(a.startswith("added") for a in answers), answers)
    served.stop()
    there = sqlite3.connect(db).execute("SELECT count(*) FROM artifact").fetchone()[0]
    check("all of it is there", there == 14 and inbox(db) is None, there)


def killed():
    db = fresh("killed.db")
    for k, look in enumerate([("db", "dump", "--db", db), ("db", "check", db), ("db", "merge", db, path("w.db"))]):
        served = Hub(db)
        other = locked(db)
        for blob in BLOBS[k:k + 1]:
            check("acknowledged", post(served, blob)[1].startswith("added"))
        served.process.kill()
        served.process.communicate()
        other.execute("COMMIT")
        check("it lies in the inbox", inbox(db) == ["1", "lock"], inbox(db))
        check("whoever opens puts it in its place", hone(*look).returncode == 0 and inbox(db) is None, inbox(db))
    check("all is there", rows(db) == 2499)


def damaged():
    db = fresh("damaged.db")
    served = Hub(db)
    other = locked(db)
    for blob in BLOBS:
        post(served, blob)
    served.process.kill()
    served.process.communicate()
    other.execute("COMMIT")
    with open(db + "-inbox/1", "r+b") as file:
        file.seek(len(BLOBS[0]) + 1000)
        file.write(b"damage")
    for words in ("db", "dump", "--db", db), ("hub", "serve", "--db", db, "--listen", "127.0.0.1:0"):
        done = hone(*words)
        check("damage is told", done.returncode == 7 and "-inbox/1 is damaged at byte" in done.stderr, done.stderr)
    os.remove(db + "-inbox/1")
    check("the rest is there", rows(db) == 1999, rows(db))
    served = Hub(db)
    pushed = hone("push", "--db", path("w.db"), "--key", path("writer"), "--hub", served.url, "--json")
    check("pushing again brings what was lost", pushed.returncode == 0 and '"batches":1' in pushed.stdout.replace(" ", ""), (pushed.stdout, pushed.stderr))
    served.stop()
    check("then all is there", rows(db) == 2499)


for part in who_pushes_finds, the_tables_may_be_busy, full, killed, damaged:
    part()
hub.end()
