# SPDX-License-Identifier: Apache-2.0
"""The hub as its users meet it: operations as described, access, pages, builds, what is sent where. Usage: serve.py FOLDER"""
import collections
import http.server
import itertools
import os
import re
import resource
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.parse
import xml.etree.ElementTree

import hub
from hub import HONE, Hub, check, hone, token

folder = sys.argv[1]
MODEL = "build/models/resnet50.onnx"
DEVICE = 'cuda sm_90 "NVIDIA H200" sms=132 mem=143771MiB clock=1980MHz power=700W'
BUNDLED = os.path.join(os.path.dirname(HONE), "bundled.db")
KEY = "0" * 64
# What each operation asks for, said here a second time: what is served may differ in nothing.
OPERATIONS = {
    ("GET", "/healthz"): "none", ("GET", "/readyz"): "none", ("GET", "/openapi.json"): "none", ("GET", "/metrics"): "read", ("GET", "/v1/devices"): "read",
    ("GET", "/v1/target"): "read", ("GET", "/v1/best"): "read", ("POST", "/v1/evidence"): "read", ("GET", "/v1/have"): "read", ("GET", "/v1/batch"): "read",
    ("POST", "/v1/batches"): "measure", ("POST", "/v1/rulings"): "promote", ("GET", "/v1/tokens"): "admin", ("DELETE", "/v1/tokens"): "admin",
    ("GET", "/"): "read", ("GET", "/networks"): "read", ("GET", "/problem"): "read", ("GET", "/runs"): "read",
}


def path(name):
    return os.path.join(folder, name)


def db(name, start=None):
    return hub.database(path(name), start)


def operations(described):
    for where, methods in described["paths"].items():
        for method, operation in methods.items():
            scopes = operation["security"][0]["token"] if operation["security"] else ["none"]
            yield method.upper(), where, operation, scopes[0]


def query_of(operation):
    values = {"device": "h200", "problem": "relu x=f32:8", "writer": KEY, "sequence": "1", "name": "nobody"}
    return "?" + "&".join(f"{p['name']}={values.get(p['name'], '')}".replace(" ", "%20") for p in operation.get("parameters", []) if p["required"])


def described_is_served():
    """What /openapi.json says is served, and what it does not say is not."""
    served = Hub(BUNDLED_DB)
    described = served.json("/openapi.json")
    check("OpenAPI 3.1", described["openapi"].startswith("3.1"))
    table = {(method, where): scope for method, where, _, scope in operations(described)}
    check("the operations and their scopes", table == OPERATIONS, set(table.items()) ^ set(OPERATIONS.items()))
    for method, where, operation, scope in operations(described):
        code, _, body = served.ask(method, where + query_of(operation), b"" if "requestBody" in operation else None)
        wanted = {"promote": {401}, "admin": {401}}.get(scope, {200, 400, 404})
        check(f"{method} {where}", code in wanted and str(code) in operation["responses"], (code, body))
        if operation.get("parameters") and any(p["required"] for p in operation["parameters"]) and scope == "read":
            check(f"{method} {where} without its parameters", served.ask(method, where, b"x" if "requestBody" in operation else None)[0] == 400)
    for method in "GET", "PUT", "POST", "DELETE", "PATCH":
        there = method in {m for m, w, _, _ in operations(described) if w == "/v1/have"}
        check(f"{method} /v1/have", (served.ask(method, "/v1/have")[0] == 405) != there)
    check("an unknown path", served.get("/v1/nothing")[0] == 404)
    ids = [operation["operationId"] for _, _, operation, _ in operations(described)]
    check("operation ids are unique", len(ids) == len(set(ids)))
    check("stops when told", served.stop() == 0)


def reads():
    served = Hub(BUNDLED_DB, hubs=1)      # it counts
    devices = served.json("/v1/devices")
    check("devices", DEVICE in [d["device"] for d in devices["devices"]], devices)
    problem = next(p for p in hone("problems", MODEL, "--precision", "fp16", "--device", DEVICE).stdout.split("\n") if p.startswith("conv"))
    best = served.json("/v1/best", device="h200", problem=problem)
    check("lookup", best["tactics"] > 3 and best["ranked"][0]["median_ns"] <= best["ranked"][1]["median_ns"] * 1.005, best)
    code, headers, body = served.get("/v1/best", device="h200", problem=problem)
    again = served.ask("GET", "/v1/best?device=h200&problem=" + problem.replace(" ", "%20"), headers={"If-None-Match": headers["ETag"]})
    check("an ETag saves the body", again[0] == 304 and again[2] == b"" and again[1]["ETag"] == headers["ETag"], again)
    check("HEAD", served.ask("HEAD", "/healthz")[0] == 200)
    check("an unknown device", served.get("/v1/best", device="none", problem=problem)[0] == 404)
    code, headers, body = served.ask("POST", "/v1/evidence?device=" + DEVICE.replace(" ", "%20").replace('"', "%22"), problem.encode())
    check("evidence", code == 200 and body.startswith(b"hone-evidence 1\n") and b"\nmeasurement\t" in body, body[:200])
    metrics = served.get("/metrics")[2].decode()
    check("metrics", re.search(r'^hone_hub_requests_total\{operation="best",code="2xx"\} 2$', metrics, re.M) and "hone_hub_cache_hits_total 2" in metrics, metrics)
    for line in metrics.strip().split("\n"):
        if not re.fullmatch(r"# (HELP|TYPE) \S+ .+|\w+(\{\w+=\"[^\"]*\"(,\w+=\"[^\"]*\")*\})? [0-9.e+-]+", line):
            check("a line of metrics", False, line)
    pages(served, problem)
    served.stop()


def pages(served, problem):
    """Each page is well-formed, without script or anything from elsewhere, and leads to the others; some of each kind are looked at."""
    seen, waiting, kinds = set(), ["/"], collections.Counter()
    while waiting:
        where = waiting.pop(0)
        kind = where.partition("?")[0]
        if where in seen or kinds[kind] == 8:
            continue
        seen.add(where)
        kinds[kind] += 1
        code, headers, body = served.ask("GET", where)
        text = body.decode()
        tree = xml.etree.ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))
        links = [a.get("href") for a in tree.iter("a")]
        check(f"page {where[:60]}", code == 200 and headers["Content-Type"].startswith("text/html") and "<script" not in text and "http" not in text
              and all(link.startswith("/") for link in links), text[:300])
        waiting += links
    check("the pages lead to a problem's evidence", any(w.startswith("/problem?") for w in seen), seen)
    text = served.get("/problem", device="h200", problem=problem)[2].decode()
    check("a problem's page", "cublaslt" in text or "cudnn" in text or "nvrtc" in text)
    check("a problem's page has evidence", text.count("<tr>") > 6)
    check("what a user names is escaped", b"<b>" not in served.get("/networks", network="<b>", device="<b>")[2])


def builds():
    """--hub is all that is read, and the plan is the same as from the file."""
    served = Hub(BUNDLED_DB)
    common = ["build", MODEL, "--precision", "fp16", "--strict"]
    alone = {"HONE_DB": path("none.db"), "HONE_CACHE": path("cache")}
    for device in "h200", "h100":
        build_both_ways(served, [*common, "--device", device], alone)
    served.stop()
    common += ["--device", "h200"]
    done = hone(*common, "-o", path("no.plan"), "--hub", served.url, env=alone)
    check("a stopped hub", done.returncode == 75, done.stderr)
    empty = Hub(db("empty.db"))
    for device, local in ("h200", alone), (DEVICE, {**alone, "HONE_DB": BUNDLED}), (DEVICE, alone):
        done = hone(*common, "-o", path("no.plan"), "--hub", empty.url, "--device", device, env=local)
        check("an empty hub, whatever lies here", done.returncode == 5 and not os.path.exists(path("no.plan")), done.stderr)
    check("an empty hub gives the work list", "\nconv " in done.stdout, done.stdout[:200])
    empty.stop()
    check("both --db and --hub", hone(*common, "-o", path("no.plan"), "--hub", empty.url, "--db", BUNDLED).returncode == 2)


def build_both_ways(served, common, alone):
    """Held is what both sides compute: on a machine with nothing else to do no build lasts longer."""
    walls, computed = [], []
    for _ in range(5):
        start, before = time.time(), processor_seconds(served)
        done = hone(*common, "-o", path("hub.plan"), "--hub", served.url, env=alone)
        walls.append(time.time() - start)
        computed.append(processor_seconds(served) - before)
    start = time.time()
    hone(*common, "-o", path("file.plan"), "--db", BUNDLED)
    print(f"ResNet-50, {common[-1]}: {sorted(walls)[2]:.2f} s through the hub, at most {max(walls):.2f}, {sorted(computed)[2]:.2f} s of processors; "
          f"{time.time() - start:.2f} s from the file")
    same = done.returncode == 0 and open(path("hub.plan"), "rb").read() == open(path("file.plan"), "rb").read()
    check("a plan through the hub is the plan from the file", same, done.stderr)
    check("it takes less than a second", sorted(computed)[2] < 1, computed)


def processor_seconds(served):
    """Of the hub's processes and of all that has ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    running = [open(f"/proc/{process.pid}/stat").read().rpartition(")")[2].split() for process in served.processes]
    return ended.ru_utime + ended.ru_stime + sum(int(f[11]) + int(f[12]) for f in running) / os.sysconf("SC_CLK_TCK")


def fleet_builds():
    """Two tuners whom a hub trusts to some degree: what their words are worth travels with their rows."""
    python = "build/venv/bin/python"
    subprocess.run([python, "tests/cli/tiny.py", folder], check=True)
    tiny = path("tiny.onnx")
    fleet = db("fleet.db")
    hone("db", "trust", "own", "--db", fleet, "--key", path("keeper"))
    keys = []
    for k in "ab":
        data = {"XDG_DATA_HOME": path("data-" + k), "HONE_CACHE": path("cache")}
        done = hone("tune", tiny, "--db", path(k + ".db"), "--device", "cpu", "--effort", "quick", "--progress", "none", "--busy", env=data)
        assert done.returncode == 0, done.stderr
        done = hone("retime", tiny, "--db", path(k + ".db"), "--seed", "5", "--time", "10", "--margin", "1000", env=data)
        assert done.returncode == 0, done.stderr
        dump = hone("db", "dump", "--db", path(k + ".db")).stdout
        runs = {line.split("\t")[3] for line in dump.split("\n") if line.startswith("run\t")}
        check("what was timed inside the network is signed for by who tuned", len(runs) == 1 and "\tplan " in dump, runs)
        keys += runs
        hone("db", "merge", fleet, path(k + ".db"))
    check("two writers", len(set(keys)) == 2 and "local" not in keys, keys)
    rows = [line.split("\t")[1] for line in dump.split("\n") if line.startswith("measurement\t")]
    inside(fleet, tiny)
    digests = set()
    steps = [(), ("admit", keys[0]), ("admit", keys[1]), ("empower", keys[0]), ("suspend", keys[1]), ("promote", rows[0]), ("quarantine", rows[1])]
    for step in steps:
        if step:
            done = hone("db", "trust", *step, "--db", fleet, "--key", path("keeper"))
            check(f"ruling {step[0]}", done.returncode == 0, done.stderr)
        served = Hub(fleet)
        for more in [], ["--allow-stale"]:
            words = ["build", tiny, "--device", "cpu", *more]
            through = hone(*words, "-o", path("hub.plan"), "--hub", served.url)
            plain = hone(*words, "-o", path("file.plan"), "--db", fleet)
            same = through.returncode == plain.returncode == 0 and open(path("hub.plan"), "rb").read() == open(path("file.plan"), "rb").read()
            check(f"the same plan after {step} {more}", same, (through.stderr, plain.stderr))
        digests.add(hone("db", "snapshot", "--db", fleet).stdout)
        served.stop()
    check("rulings matter", len(digests) > 3, digests)


def inside(fleet, tiny):
    """What was timed inside a network is part of what a builder is sent."""
    db = path("inside.db")
    hone("db", "merge", db, fleet)
    served = Hub(db, hubs=1)      # a file has one
    problems = hone("problems", "--db", db, "--device", "cpu").stdout
    device = served.json("/v1/devices")["devices"][0]["device"]
    sent = served.ask("POST", "/v1/evidence?" + urllib.parse.urlencode({"device": device}), problems.encode())[2].decode()
    there = sqlite3.connect(db).execute("SELECT count(*) FROM measurement WHERE mode LIKE 'plan %'").fetchone()[0]
    check("what was timed inside the network is sent", there > 0 and sent.count("\tplan ") == there, (there, sent.count("\tplan ")))
    served.stop()
    recorder = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    hub.in_thread(recorder.serve_forever)
    hone("build", tiny, "-o", path("no.plan"), "--device", "cpu", "--hub", f"http://127.0.0.1:{recorder.server_address[1]}")
    recorder.shutdown()
    timed = {row[0] for row in sqlite3.connect(db).execute("SELECT problem FROM measurement_flat WHERE mode LIKE 'plan %'")}
    check("... and asked for", timed <= set(Recorder.bodies[0].split("\n")), timed)


class Recorder(http.server.BaseHTTPRequestHandler):
    bodies = []

    def do_POST(self):
        Recorder.bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def access():
    """Every operation, every scope, every kind of token."""
    arguments = hub.Arguments()
    own, other = db("access.db", BUNDLED), db("other.db", BUNDLED)
    scopes = ["read", "measure", "promote", "admin"]
    good = {s: token(own, s, s) for s in scopes}
    expired = {s: token(own, "expired-" + s, s, "--days", "0") for s in scopes}
    revoked = {s: token(own, "revoked-" + s, s) for s in scopes}
    foreign = {s: token(other, s, s) for s in scopes}
    served = Hub(own)
    for s in scopes:
        check(f"{s} before it is revoked", served.ask("GET", "/metrics" if s == "read" else "/v1/nothing", token=revoked[s])[0] in (200, 404))
        hone("hub", "token", "revoke", "revoked-" + s, "--db", own)
    time.sleep(0.6)
    described = served.json("/openapi.json")
    for (method, where, operation, needs), has in itertools.product(list(operations(described)), scopes):
        body = b"" if "requestBody" in operation else None
        for kind, tokens in ("none", None), ("expired", expired), ("revoked", revoked), ("foreign", foreign), ("good", good):
            if where == "/v1/tokens" and method == "DELETE" and kind == "good" and has == "admin":
                continue      # below
            code, headers, answer = served.ask(method, where + query_of(operation), body, token=tokens and tokens[has])
            hub.said.append(repr(headers) + answer.decode(errors="replace"))
            if needs == "none":
                right = code == 200
            elif kind != "good":
                right = code == 401
            else:
                right = code in (200, 400, 404) if has == needs else code == 403
            check(f"{method} {where} with {kind} token of {has}", right, code)
    check("Basic is no Bearer", served.ask("GET", "/metrics", headers={"Authorization": "Basic " + good["read"]})[0] == 401)
    check("a token cut short", served.ask("GET", "/metrics", token=good["read"][:-1])[0] == 401)
    code, _, body = served.ask("GET", "/v1/tokens", token=good["admin"])
    check("the list of tokens", code == 200 and body.count(b"\n") == 12 and b"revoked-read\tread\t" in body, body)
    start = time.time()
    check("revoking over HTTP", served.ask("DELETE", "/v1/tokens?name=read", token=good["admin"])[0] == 200)
    while served.ask("GET", "/metrics", token=good["read"])[0] == 200 and time.time() - start < 5:
        time.sleep(0.02)
    check("revoked within a second", time.time() - start < 1, time.time() - start)
    if not hub.SHARED:
        check("mode of the tokens' file", os.stat(own + ".tokens").st_mode & 0o77 == 0)
    fresh = client_tokens(served, good)
    check("the tokens as a table", hone("hub", "token", "list", "--db", own).returncode == 0)
    kept = kept_of(own)
    if not hub.SHARED:
        os.remove(own + ".tokens")
        time.sleep(0.6)
        check("without its file a hub lets nobody in", served.ask("GET", "/metrics", token=good["admin"])[0] == 401)
    served.stop()
    lists = arguments.stop()
    check("argument lists were seen", any("\0hub\0serve\0" in words for words in lists) and any("\0--token-file\0" in words for words in lists))
    for secret in [fresh, *(t for kind in (good, expired, revoked, foreign) for t in kind.values())]:
        check("no token is an argument", not any(secret[5:] in words for words in lists))
        check("no token is told", not any(secret in text or secret[5:] in text for text in hub.said))
        check("no token is stored", kept and secret[5:] not in kept)


def kept_of(own):
    """All that a hub's database keeps, the tokens' file too."""
    if hub.SHARED:
        return hub.SHARED.run("pg_dump", "-h", hub.SHARED.folder, "-U", "hone", hub.database_name(path("access.db"))).stdout
    return "".join(open(file, "rb").read().decode("latin-1") for file in (own, own + ".tokens"))


def client_tokens(served, good):
    """Where the client's token comes from, that it is in no argument, and what the refusal says."""
    words = ["build", MODEL, "-o", path("t.plan"), "--device", "h200", "--hub", served.url]
    fresh = token(served.db, "fresh", "read")
    with open(path("token"), "w") as file:
        file.write(fresh + "\n")
    check("token by file", hone(*words, "--token-file", path("token")).returncode == 0)
    check("token by environment", hone(*words, env={"HONE_HUB_TOKEN": fresh}).returncode == 0)
    done = hone(*words, env={"HONE_HUB_TOKEN": good["read"]})
    check("a revoked token is refused", done.returncode == 2 and "token" in done.stderr, done.stderr)
    check("no token", hone(*words).returncode == 2)
    return fresh


class Listener(http.server.BaseHTTPRequestHandler):
    seen = []

    def do_GET(self):
        Listener.seen.append((self.path, self.headers.get("Authorization"), self.headers.get("Host")))
        self.send_response(302)
        self.send_header("Location", f"http://localhost:{self.server.server_address[1]}/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_CONNECT = do_GET

    def log_message(self, *_):
        pass


def journeys():
    """Redirects are not followed, proxies are used, plain HTTP stays on this machine."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    hub.in_thread(server.serve_forever)
    port = server.server_address[1]
    words = ["build", MODEL, "-o", path("no.plan"), "--device", "h200"]
    secret = "hone_" + "5" * 64
    done = hone(*words, "--hub", f"http://127.0.0.1:{port}", env={"HONE_HUB_TOKEN": secret})
    check("a redirect is told", done.returncode == 2 and "redirect" in done.stderr, done.stderr)
    check("a redirect is not followed", [s[0] for s in Listener.seen] == ["/v1/target?device=h200"] and Listener.seen[0][1] == "Bearer " + secret, Listener.seen)
    Listener.seen.clear()
    done = hone(*words, "--hub", "https://hub.example", env={"HONE_HUB_TOKEN": secret, "https_proxy": f"http://127.0.0.1:{port}", "no_proxy": ""})
    check("a proxy is asked", done.returncode != 0 and Listener.seen and Listener.seen[0][0] == "hub.example:443", (done.stderr, Listener.seen))
    check("a proxy is not told the token", not any(s[1] for s in Listener.seen), Listener.seen)
    for url in "http://hub.example", "http://127.0.0.1.example", "ftp://127.0.0.1", "http://u:p@127.0.0.1", "hub", "http://localhost.example:80":
        done = hone(*words, "--hub", url, env={"HONE_HUB_TOKEN": secret})
        check(f"the address {url}", done.returncode == 2 and secret not in done.stderr, done.stderr)
    done = hone(*words, "--hub", f"https://127.0.0.1:{port}", "--ca", path("no-such.pem"))
    check("a missing CA", done.returncode == 2, done.stderr)
    server.shutdown()
    hub.said.append("")
    check("no token in what was said", not any(secret in text for text in hub.said))


def listening():
    empty = db("empty.db")
    taken = Hub(empty, hubs=1)
    check("an address in use", hone("hub", "serve", "--db", empty, "--listen", f"127.0.0.1:{taken.port}").returncode == 75)
    done = hone("hub", "serve", "--db", empty, "--listen", "0.0.0.0:0")
    check("open to others without tokens", done.returncode == 2 and "tokens" in done.stderr, done.stderr)
    check("a foreign Host gets nothing from a hub without tokens", taken.ask("GET", "/metrics", headers={"Host": "evil.example"})[0] == 403)
    taken.stop()
    token(empty, "one", "read")
    done = hone("hub", "serve", "--db", empty, "--listen", "0.0.0.0:0")
    check("open to others without TLS", done.returncode == 2 and "--behind-proxy" in done.stderr, done.stderr)
    opened = Hub(empty, "--behind-proxy", listen="0.0.0.0:0", hubs=1)
    opened.host = "127.0.0.1"
    check("behind a proxy it asks for a token", opened.get("/metrics")[0] == 401)
    opened.stop()
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(path("notify"))
    told = Hub(empty, env={"NOTIFY_SOCKET": path("notify")}, hubs=1)
    check("systemd is told", notify.recv(100) == b"READY=1")
    told.stop()
    check("... and of the end", notify.recv(100) == b"STOPPING=1")
    check("a token's name is used once", hone("hub", "token", "add", "one", "--db", empty).returncode == 2)
    check("an unknown scope", hone("hub", "token", "add", "two", "--db", empty, "--scope", "all").returncode == 2)
    check("a damaged file of tokens", hub.SHARED or damaged_tokens())


def damaged_tokens():
    with open(path("empty.db.tokens"), "a") as file:
        file.write("nonsense\n")
    return hone("hub", "serve", "--db", path("empty.db"), "--listen", "127.0.0.1:0").returncode == 7


BUNDLED_DB = db("bundled.db", BUNDLED)
for part in described_is_served, reads, builds, fleet_builds, access, journeys, listening:
    part()
hub.end()
