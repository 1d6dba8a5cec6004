# SPDX-License-Identifier: Apache-2.0
"""Twenty databases of a fleet exchanged through an S3 server on loopback (moto): writers killed at random points, two of them racing for the same
segments, every fold with the rows of the plain merge; and each request's signature held against botocore's. Usage: sigv4.py FOLDER, with the
Python of tests/requirements-peers.txt."""
import hashlib
import http.client
import http.server
import json
import logging
import os
import random
import shutil
import subprocess
import sys
import threading
import time

import boto3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.server import ThreadedMotoServer

import hub
from hub import HONE, check, hone

folder, writers = sys.argv[1], 20
FLEET = os.path.join(os.path.dirname(HONE), "tests", "hub-fleet")
KEYS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
forms, codes = {}, {}
lock = threading.Lock()


def path(name):
    return os.path.join(folder, str(name))


def form_of(method, target):
    where, _, query = target.partition("?")
    return f"{method} {'/BUCKET/PREFIX/HEX' if len(where) > 64 else where} {'&'.join(p.split('=')[0] for p in query.split('&')) if query else ''}".strip()


class Checking(http.server.BaseHTTPRequestHandler):
    """Stands before the store: signs each request again, as botocore does, and compares."""
    protocol_version = "HTTP/1.1"

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        given = self.headers["Authorization"]
        signed = given.split("SignedHeaders=")[1].split(",")[0].split(";")
        request = AWSRequest(self.command, f"http://{self.headers['Host']}{self.path}", {k: self.headers[k] for k in signed if k != "host"}, body)
        request.context["timestamp"] = self.headers["X-Amz-Date"]
        signer = S3SigV4Auth(KEYS, "s3", "us-east-1")
        if "x-amz-content-sha256" in signed:
            right_body = self.headers["x-amz-content-sha256"] == hashlib.sha256(body).hexdigest()
        else:
            right_body = False      # S3 wants it (AWS, "Authenticating Requests: Using the Authorization Header")
        signer.headers_to_sign = lambda r: only(self.headers, signed)
        signer.payload = lambda r: self.headers.get("x-amz-content-sha256") or hashlib.sha256(body).hexdigest()
        signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        with lock:
            forms.setdefault(form_of(self.command, self.path), []).append(given.endswith("Signature=" + signature) and right_body)
        onward = http.client.HTTPConnection("127.0.0.1", store_port)
        onward.request(self.command, self.path, body, {k: v for k, v in self.headers.items() if k.lower() != "host"})
        answer = onward.getresponse()
        data = answer.read()
        with lock:
            codes[answer.status] = codes.get(answer.status, 0) + 1
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_POST = handle_any

    def log_message(self, *_):
        pass


def only(headers, names):
    made = http.client.HTTPMessage()
    for name in names:
        made[name] = headers[name]
    return made


def fleet(*arguments):
    subprocess.run([FLEET, *map(str, arguments)], check=True, capture_output=True, timeout=300)


def rows(db):
    return sorted(line for line in hone("db", "dump", "--db", db).stdout.split("\n") if line.startswith(("run\t", "measurement\t")))


def main():
    random.seed(1)
    client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{store_port}", region_name="us-east-1", aws_access_key_id=KEYS.access_key,
                          aws_secret_access_key=KEYS.secret_key)
    client.create_bucket(Bucket="fleet")
    os.environ.update(AWS_ACCESS_KEY_ID=KEYS.access_key, AWS_SECRET_ACCESS_KEY=KEYS.secret_key, AWS_ENDPOINT_URL=f"http://127.0.0.1:{checking.server_address[1]}")
    for k in range(writers):
        fleet("rows", path(f"w{k}.db"), path(f"key{k}"), 600, k)
    hone("db", "merge", path("all.db"), *(path(f"w{k}.db") for k in range(writers)))
    for k in range(writers):
        words = [HONE, "push", "--db", path(f"w{k}.db"), "--key", path(f"key{k}"), "--to", "s3://fleet/hone/segments", "--json"]
        victim = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0, 0.06))
        victim.kill()
        victim.wait()
        shutil.copy(path(f"w{k}.db"), path("twin.db"))
        pair = [subprocess.Popen(w, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for w in (words, [*words[:3], path("twin.db"), *words[4:]])]
        said = [p.communicate() for p in pair]
        check(f"writer {k}", all(p.returncode == 0 for p in pair), said)
    for name in "one", "two":
        fleet("own", path(name), path("owner"))
        fleet("admit", path(name), path("owner"), *(path(f"key{k}") for k in range(writers)))
        done = hone("pull", "--db", path(name), "--from", "s3://fleet/hone/segments", "--json")
        check(f"fold {name}", done.returncode == 0 and rows(path(name)) == rows(path("all.db")), done.stderr)
        check(f"fold {name} again", json.loads(hone("pull", "--db", path(name), "--from", "s3://fleet/hone/segments", "--json").stdout)["batches"] == 0)
    for k in range(1005):      # a listing has 1,000 names; the next page is the third form
        client.put_object(Bucket="fleet", Key=f"many/{k:064x}", Body=b"no batch")
    done = hone("pull", "--db", path("many.db"), "--from", "s3://fleet/many")
    check("segments that are no batches", done.returncode == 7, done.stderr)
    check("a second page was asked for", any("start-after" in form for form in forms), forms.keys())
    for form, right in sorted(forms.items()):
        check(form, all(right), f"{right.count(False)} of {len(right)} signatures differ from botocore's")
        print(f"{form}: {len(right)} signed, {right.count(True)} as botocore signs")
    check("of racing writers one gets 412", codes.get(412, 0) > 0, codes)
    print("answers:", dict(sorted(codes.items())))
    done = hone("push", "--db", path("w0.db"), "--key", path("key0"), "--to", "s3://fleet/x", env={"AWS_SECRET_ACCESS_KEY": ""})
    check("without a secret", done.returncode == 2, done.stderr)
    check("no secret is told", not any(KEYS.secret_key in text for text in hub.said))


logging.getLogger("werkzeug").setLevel(logging.ERROR)
store = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
store.start()
store_port = store.get_host_and_port()[1]
http.server.ThreadingHTTPServer.handle_error = lambda *_: None      # a killed writer's connection
checking = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Checking)
hub.in_thread(checking.serve_forever)
main()
store.stop()
hub.end()
