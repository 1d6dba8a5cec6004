# SPDX-License-Identifier: Apache-2.0
"""What only a database in PostgreSQL can show: several hubs over one, loss of the connection, other versions, passwords. Usage: shared.py FOLDER"""
import collections
import glob
import http.client
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import hub
from hub import HONE, Hub, check, hone

folder = sys.argv[1]
FLEET = os.path.join(os.path.dirname(HONE), "tests", "hub-fleet")
cluster = hub.SHARED


def path(name):
    return os.path.join(folder, str(name))


def db(name):
    return hub.database(path(name))


def sql(name, text, **options):
    return cluster.sql(hub.database_name(path(name)), text, **options).strip()


def fleet(*arguments):
    done = subprocess.run([FLEET, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, (arguments, done.stderr)


def dump(where):
    return hone("db", "dump", "--db", where).stdout


def evidence(where):
    """Rulings hold the time at which they were made."""
    return [line for line in dump(where).split("\n") if not line.startswith(("ruling\t", "end\t"))]


def until(condition, seconds):
    start = time.time()
    while time.time() - start < seconds:
        if condition():
            return time.time() - start
        time.sleep(0.02)
    return None


WRITERS = 6


def make_writers():
    for k in range(WRITERS):
        fleet("rows", path(f"w{k}.db"), path(f"key{k}"), 900, k)
        os.makedirs(path(f"b{k}"))
        fleet("pack", path(f"w{k}.db"), path(f"b{k}"))
    return [open(blob, "rb").read() for blob in sorted(glob.glob(path("b*/*")))]


def codes(served, where):
    """What each of the hubs answers with."""
    def code(port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", where)
        return connection.getresponse().status
    return [code(port) for port in served.ports]


def prepare(where):
    fleet("own", where, path("owner"))
    fleet("admit", where, path("owner"), *(path(f"key{k}") for k in range(WRITERS - 1)))      # the last one is a stranger


def post(served, blob, **options):
    code, headers, body = served.ask("POST", "/v1/batches", blob, **options)
    return code, headers, body.decode()


def same_as_a_file():
    """The same batches give the same rows, fates and snapshot as a hub over a file, whichever of two hubs takes which, however often and at once."""
    blobs = make_writers()
    prepare(path("file.db"))
    hone("db", "merge", db("same"), path("file.db"))
    fleet("own", db("same"), path("owner"))
    plain = hub.Hub(path("file.db"), hubs=1)
    fates = [post(plain, blob)[2] for blob in blobs]
    plain.stop()
    served = Hub(db("same"))
    check("two hubs", len(served.ports) == 2)
    answers = [[] for _ in blobs]

    def push(k):
        answers[k].append(post(served, blobs[k]))
    threads = [threading.Thread(target=push, args=(k,)) for k in range(len(blobs)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for fate, got in zip(fates, answers):
        kinds = sorted(body.split()[0] for _, _, body in got)
        wanted = ["quarantined"] * 3 if fate.startswith("quarantined") else ["added", "known", "known"]
        check("a batch is added once", kinds == wanted and [c for c, _, _ in got] == [200] * 3, (fate, got))
    check("the same dump", dump(db("same")) == dump(path("file.db")) != "")
    check("the same snapshot", hone("db", "snapshot", "--db", db("same")).stdout == hone("db", "snapshot", "--db", path("file.db")).stdout)
    for where in db("same"), path("file.db"):
        fleet("admit", where, path("owner"), path(f"key{WRITERS - 1}"))
    check("the same when the stranger is admitted", evidence(db("same")) == evidence(path("file.db")))
    check("its quarantine is empty", sql("same", "SELECT count(*) FROM quarantine") == "0")
    check("db check", hone("db", "check", db("same")).returncode == 0)
    by_view(path("file.db"))
    served.stop()
    each_sees_the_other(blobs)


def by_view(file):
    """The views say the same to psql as to sqlite3."""
    queries = ["SELECT problem, mode, tactic, median_ns, workspace_bytes, measurements, tactics FROM best_tactic ORDER BY problem, mode",
               "SELECT id, device, architecture, tactic, kernel, version, median_ns, error, run, effort FROM measurement_flat ORDER BY id",
               "SELECT id, writer, measurements, measurements_ok, problems, tactics, samples FROM run_summary ORDER BY id"]

    def plain(row):
        return [f"{float(v):.9g}" if re.fullmatch(r"-?[0-9.]+", str(v)) else str(v) for v in row]
    with sqlite3.connect(file) as connection:
        for query in queries:
            wanted = [plain(row) for row in connection.execute(query)]
            found = [plain(line.split("|")) for line in sql("same", query).split("\n")]
            check(f"{query[-40:]} says the same", len(wanted) > 5 and wanted == found, (wanted[:1], found[:1]))


def each_sees_the_other(blobs):
    """What one hub took the other one has a moment later; what a ruling hides is hidden on both."""
    ones = [hub.Hub(db("lag"), hubs=1) for _ in range(2)]
    prepare(db("lag"))
    worst = 0
    for k, blob in enumerate(blobs[:6]):
        one, other = ones[k % 2], ones[1 - k % 2]
        before = other.get("/v1/have")[2]
        until(lambda: post(one, blob)[2].startswith("added"), 5)
        took = until(lambda: other.get("/v1/have")[2] != before, 5)
        check("the other hub has it soon", took is not None and took < 1, took)
        worst = max(worst, took or 9)
    print(f"what one hub took the other one had after {worst * 1000:.0f} ms at most")
    check("both say the same", ones[0].get("/v1/have")[2] == ones[1].get("/v1/have")[2])
    check("an answer in memory is renewed on both", until(lambda: ones[0].json("/v1/devices") == ones[1].json("/v1/devices"), 3) is not None)
    for one in ones:
        one.stop()


def loss():
    """Without PostgreSQL: 503 with Retry-After, within some seconds for reads too; afterwards all goes on by itself."""
    blobs = [open(blob, "rb").read() for blob in sorted(glob.glob(path("b0/*")))]
    prepare(db("loss"))
    address = db("loss")
    served = Hub(address)
    check("before", post(served, blobs[0])[0] == 200 and served.get("/v1/have")[0] == 200)
    cluster.stop()
    code, headers, body = post(served, blobs[1])
    check("a batch while PostgreSQL is away", code == 503 and headers.get("Retry-After") == "1", (code, body))
    start = time.time()
    check("many are told at once", all(post(served, blobs[1])[0] == 503 for _ in range(20)) and time.time() - start < 8, time.time() - start)
    check("reads end soon", until(lambda: codes(served, "/v1/have") == [503, 503], 8) is not None)
    check("it is not ready", codes(served, "/readyz") == [503, 503] and served.get("/readyz")[1].get("Retry-After") == "1")
    check("it lives", codes(served, "/healthz") == [200, 200] and b"hone_hub_database_up 0" in served.get("/metrics")[2])
    check("a hub that starts now says so", hone("hub", "serve", "--db", address, "--listen", "127.0.0.1:0").returncode == 75)
    cluster.start()
    took = until(lambda: codes(served, "/readyz") == [200, 200] and post(served, blobs[1])[0] == 200, 10)
    check("it goes on by itself", took is not None, took)
    hub.settle()
    check("what was refused is there once", sql("loss", "SELECT count(*), count(DISTINCT id) FROM batch") == "2|2")
    freeze(served, blobs)
    cut(served)
    served.stop()


def freeze(served, blobs):
    """A server that is there and says nothing."""
    cluster.signal(signal.SIGSTOP)
    try:
        worst = 0
        end = time.time() + 7
        while time.time() < end:
            start = time.time()
            check("/healthz beside a silent PostgreSQL", served.get("/healthz")[0] == 200)
            worst = max(worst, time.time() - start)
            time.sleep(0.2)
        check("/healthz answers at once", worst < 0.5, worst)
        check("reads beside a silent PostgreSQL", codes(served, "/v1/have") == [503, 503])
    finally:
        cluster.signal(signal.SIGCONT)
    check("it goes on when PostgreSQL does", until(lambda: codes(served, "/readyz") == [200, 200] and post(served, blobs[0])[0] == 200, 10) is not None)


def cut(served):
    """An administrator ends the sessions."""
    sql("loss", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()")
    check("a cut session is replaced", until(lambda: post(served, open(path("b0/0"), "rb").read())[2].startswith("known"), 3) is not None)


def stalled():
    """Somebody else writes for longer than a batch can wait: each is told once the time is over, and reads go on."""
    blobs = [open(blob, "rb").read() for blob in sorted(glob.glob(path("b[0-3]/*")))]
    prepare(db("stalled"))
    served = Hub(db("stalled"), hubs=1)
    holder = threading.Thread(target=sql, args=("stalled", f"BEGIN; SELECT pg_advisory_xact_lock({0x686f6e65}, 1); SELECT pg_sleep(24); COMMIT;"))
    holder.start()
    time.sleep(0.5)
    answers, start = [], time.time()
    threads = [threading.Thread(target=lambda blob=blob: answers.append((post(served, blob)[0], time.time() - start))) for blob in blobs]
    for thread in threads:
        thread.start()
    reads = []
    while any(thread.is_alive() for thread in threads):
        reads.append(served.get("/v1/have")[0])
        time.sleep(0.1)
    # The first to come may be a group of its own; who comes while it waits is told with it, or waits as long again and then gets in.
    told = [seconds for code, seconds in answers if code == 503]
    check("who waited too long is told", told and 18 < max(told) < 23, answers)
    check("nobody waits for others", max(seconds for _, seconds in answers) < 26 and {code for code, _ in answers} <= {200, 503}, answers)
    check("reads go on", set(reads) == {200} and len(reads) > 50, collections.Counter(reads))
    holder.join()
    check("then they are taken", all(post(served, blob)[0] == 200 for blob in blobs) and sql("stalled", "SELECT count(*) FROM batch") == str(len(blobs)))
    served.stop()


def put_back():
    """A database that was put back from a backup: the hubs' copies follow."""
    blobs = [open(blob, "rb").read() for blob in sorted(glob.glob(path("b1/*")))]
    prepare(db("back"))
    served = Hub(db("back"))
    post(served, blobs[0])
    saved = cluster.run("pg_dump", "-h", cluster.folder, "-U", "hone", "--clean", hub.database_name(path("back"))).stdout
    post(served, blobs[1])
    sql("back", f"BEGIN;\n{saved}\nCOMMIT;")
    hub.settle()
    time.sleep(0.5)
    check("the copies are those of the backup", served.get("/v1/have")[2].decode().split()[1:3] == ["1", "1"], served.get("/v1/have"))
    check("it can be put again", post(served, blobs[1])[2].startswith("added"))
    check("db check", hone("db", "check", db("back")).returncode == 0)
    sql("back", "INSERT INTO tactic SELECT max(number) + 1, 'cpu.alien@1 unroll=1', 'cpu', 'alien', 1, 'unroll=1' FROM tactic")
    fleet("rows", path("more.db"), path("key2"), 2000, 77)
    done = hone("push", "--db", path("more.db"), "--key", path("key2"), "--hub", served.url, "--json")
    report = hone("db", "check", db("back"))
    check("a row that hone did not put does no harm", done.returncode == 0 and '"rows": 2001,' in done.stdout and report.returncode == 0,
          (done.stdout, done.stderr, report.stdout[-300:], report.stderr))
    served.stop()


def versions():
    """A newer schema is refused, by who opens it and by who has it open; a killed migration leaves the old one or the new one."""
    served = Hub(db("newer"))
    version = int(sql("newer", "SELECT value FROM schema_info WHERE name = 'user_version'"))
    sql("newer", f"UPDATE schema_info SET value = {version + 1} WHERE name = 'user_version'")
    for words in ["hub", "serve", "--db"], ["db", "info"], ["db", "dump", "--db"], ["db", "trust", "own", "--db"], ["hub", "token", "list", "--db"]:
        done = hone(*words, db("newer"))
        check(f"{words[:2]} refuses a newer schema", done.returncode == 7 and f"version {version + 1}" in done.stderr and f"version {version}:" in done.stderr, done.stderr)
    code, _, body = post(served, open(path("b0/0"), "rb").read())
    check("a hub that runs refuses it too", code == 503 and "newer" in body, (code, body))
    check("nothing was put", sql("newer", "SELECT count(*) FROM batch") == "0")
    served.stop()
    sql("newer", "UPDATE schema_info SET value = 1751477356 WHERE name = 'application_id'")
    check("another program's database", hone("db", "info", db("newer")).returncode == 7)
    check("a database without tables", hone("db", "info", db("nothing")).returncode == 2)
    older()


def older():
    """Version 2 is made of 4 by taking away what the third and fourth step make; then it is migrated, and killed meanwhile."""
    undo = "DROP VIEW best_tactic; DROP TABLE owner, quarantine, standing, hidden, recheck; CREATE VIEW best_tactic AS SELECT 1;" \
        "UPDATE schema_info SET value = 1 WHERE name = 'oldest_reader'; UPDATE schema_info SET value = 2 WHERE name = 'user_version';"
    hone("db", "merge", db("older"), path("w0.db"))
    whole = dump(db("older"))
    seen = set()
    for k in range(25):
        if sql("older", "SELECT value FROM schema_info WHERE name = 'user_version'") == "4":
            sql("older", undo)
        process = subprocess.Popen([HONE, "db", "trust", "own", "--db", db("older"), "--key", path("owner")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.008 * k)
        process.kill()
        process.wait()
        time.sleep(0.05)
        there = sql("older", "SELECT (SELECT value FROM schema_info WHERE name = 'user_version'), to_regclass('hidden') IS NOT NULL")
        seen.add(there)
        check("the old version or the new one", there in ("2|f", "4|t"), there)
    if sql("older", "SELECT value FROM schema_info WHERE name = 'user_version'") == "4":
        sql("older", undo)
    check("who only reads does not migrate", hone("db", "info", db("older")).returncode == 2)
    check("who writes does", hone("db", "trust", "own", "--db", db("older"), "--key", path("owner")).returncode == 0)
    check("nothing is lost", dump(db("older")) == whole and hone("db", "check", db("older")).returncode == 0)
    print(f"migrations killed at 25 points left {' and '.join(sorted(seen))}")


def passwords():
    """A planted password is in nothing that anything says, whether it is right, wrong or from a file."""
    secret = "pLanted-s3same"
    db("pass")
    sql("pass", f"CREATE ROLE keeper LOGIN PASSWORD '{secret}'; ALTER DATABASE {hub.database_name(path('pass'))} OWNER TO keeper;"
        "GRANT ALL ON SCHEMA public TO keeper")
    rules = os.path.join(cluster.data, "pg_hba.conf")
    before = open(rules).read()
    with open(rules, "w") as file:
        file.write("local all keeper scram-sha-256\n" + before)
    cluster.run("pg_ctl", "-D", cluster.data, "reload")
    time.sleep(0.3)
    name = hub.database_name(path("pass"))
    right, wrong = f"postgresql://keeper:{secret}@/{name}?host={cluster.folder}", f"postgresql://keeper:wrong{secret}@/{name}?host={cluster.folder}"
    bare = f"postgresql://keeper@/{name}?host={cluster.folder}"
    check("a wrong password", hone("hub", "serve", "--db", wrong).returncode == 75)
    check("no password", hone("hub", "serve", "--db", bare, env={"PGPASSFILE": "/dev/null"}).returncode == 75)
    for address, env in (right, {}), (bare, {"PGPASSFILE": path("pgpass")}), (f"postgresql://?service=fleet", {"PGSERVICEFILE": path("pgservice")}):
        with open(path("pgpass"), "w") as file:
            file.write(f"*:*:*:keeper:{secret}\n")
        os.chmod(path("pgpass"), 0o600)
        with open(path("pgservice"), "w") as file:
            file.write(f"[fleet]\nhost={cluster.folder}\ndbname={name}\nuser=keeper\npassword={secret}\n")
        served = Hub(address, env=env)
        texts = [served.get(where)[2].decode() for where in ("/metrics", "/readyz", "/v1/devices", "/", "/runs", "/v1/batch?writer=0&sequence=1", "/openapi.json")]
        texts.append(post(served, b"nonsense")[2])
        for process in served.processes:
            for child in subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True).stdout.split():
                texts.append(open(f"/proc/{child}/cmdline").read())
        check("it serves", served.get("/readyz")[0] == 200)
        check("its copy holds none", not any(secret.encode() in open(f, "rb").read() for f in glob.glob("/tmp/hone-copy-*/*")))
        served.stop()
        hub.said.extend(texts)
        for words in ["db", "info"], ["db", "check"], ["db", "snapshot"], ["hub", "token", "list", "--db"]:
            check(f"{words} with it", hone(*words, address, env=env).returncode == 0)
    check("no password is told", not any(secret in text for text in hub.said), [t for t in hub.said if secret in t][:1])
    with open(rules, "w") as file:
        file.write(before)
    cluster.run("pg_ctl", "-D", cluster.data, "reload")


def copies():
    """A hub that was killed leaves a copy, which the next one takes away; one that ends leaves none."""
    env = {"TMPDIR": path("copies")}
    os.makedirs(path("copies"))
    served = Hub(db("copies"), env=env)
    check("a copy each", len(os.listdir(path("copies"))) == 2)
    served.stop(signal.SIGKILL)
    left = os.listdir(path("copies"))
    check("killed hubs leave their copies", len(left) == 2)
    for name in left:
        os.utime(os.path.join(path("copies"), name), (1, 1))
    served = Hub(db("copies"), env=env)
    check("the next ones take them away", not set(left) & set(os.listdir(path("copies"))), left)
    check("and have their own", len(os.listdir(path("copies"))) == 2)
    served.stop()
    check("in the end there is none", os.listdir(path("copies")) == [])


def settings():
    """What PostgreSQL is told to hold badly."""
    cluster.sql("postgres", "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    done = hone("hub", "serve", "--db", cluster.address("latin"))
    check("another encoding", done.returncode == 2 and "UTF8" in done.stderr, done.stderr)
    cluster.sql("postgres", f"ALTER DATABASE {hub.database_name(path('same'))} SET synchronous_commit = off")
    cluster.sql("postgres", "ALTER SYSTEM SET wal_writer_delay = '10s'")
    cluster.run("pg_ctl", "-D", cluster.data, "reload")
    served = Hub(db("same"), hubs=1)
    fleet("rows", path("sync.db"), path("key2"), 5, 5)
    done = hone("push", "--db", path("sync.db"), "--key", path("key2"), "--hub", served.url, "--json")
    cluster.kill()
    cluster.start()
    there = sql("same", "SELECT count(*) FROM run WHERE seed = 5")
    check("where commits are lazy by default, what is acknowledged is there all the same", done.returncode == 0 and there == "1", (done.stdout, done.stderr, there))
    served.stop()
    db("foreign")
    sql("foreign", "CREATE TABLE device(name text)")
    done = hone("hub", "serve", "--db", db("foreign"))
    check("tables of another program", done.returncode == 2 and "of its own" in done.stderr, done.stderr)
    check("... and nothing was made there", sql("foreign", "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == "1")
    long_spelling()


def long_spelling():
    """About as long as a spelling may be, and of a kind that does not compress."""
    text = "relu x=f32:1 " + "".join(f"{(k * k * 2654435761) % (1 << 32):08x}" for k in range(500))
    with open(path("long.txt"), "w") as file:
        file.write(f"hone-dump 1\nproblem\t{text}\t1\t1\nend\t-\n")
    check("a long spelling", hone("db", "load", db("same"), path("long.txt")).returncode == 0)
    check("... is there", sql("same", f"SELECT count(*) FROM problem WHERE spelling = '{text}'") == "1")
    with open(path("odd.txt"), "wb") as file:
        file.write(b"hone-dump 1\nproblem\trelu x=f32:3\t1\t1\nproblem\trelu x=\xff\xfe\t1\t1\nend\t-\n")
    done = hone("db", "load", db("same"), path("odd.txt"))
    there = sql("same", "SELECT count(*) FROM problem WHERE flops = 1 AND spelling = 'relu x=f32:3'")
    check("text that is no UTF-8 is refused, with all that came with it", done.returncode == 2 and "UTF8" in done.stderr and there == "0", (done.stderr, there))
    check("db check", hone("db", "check", db("same")).returncode == 0)


for part in same_as_a_file, loss, stalled, put_back, versions, passwords, copies, settings:
    start = time.time()
    part()
    print(f"{part.__name__}: {time.time() - start:.1f} s", flush=True)
hub.end()
