# SPDX-License-Identifier: Apache-2.0
"""What the tests of the hub share: a hub as a process, requests to it, and the count of checks."""
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.parse

HONE = os.environ.get("HONE", "build/hone")
said = []          # all that any process wrote, for the hunt for tokens
passed = failed = 0


def check(name, good, detail=""):
    global passed, failed
    if good:
        passed += 1
    else:
        failed += 1
        print(f"FAIL {name} {detail}", flush=True)
    return good


def end():
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


def hone(*arguments, env=None, input=None, timeout=120):
    done = subprocess.run([HONE, *arguments], env={**os.environ, **(env or {})}, input=input, capture_output=True, text=True, timeout=timeout)
    if arguments[:3] != ("hub", "token", "add"):
        said.append(done.stdout + done.stderr)
    return done


class Hub:
    """A hub on a free port of this machine."""

    def __init__(self, db, *options, env=None, listen="127.0.0.1:0", prefix=()):
        self.db = db
        self.process = subprocess.Popen([*prefix, HONE, "hub", "serve", "--db", db, "--listen", listen, *options], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
        self.line = self.process.stdout.readline()
        found = re.search(r"on (\S+):(\d+)", self.line)
        if not found:
            raise RuntimeError(self.process.communicate()[1])
        self.host, self.port = found.group(1), int(found.group(2))
        self.url = f"http://{self.host}:{self.port}"

    def ask(self, method, path, body=None, token=None, headers=None, timeout=30):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        given = dict(headers or {})
        if token:
            given["Authorization"] = "Bearer " + token
        try:
            connection.request(method, path, body, given)
            answer = connection.getresponse()
            data = answer.read()
            return answer.status, dict(answer.getheaders()), data
        finally:
            connection.close()

    def get(self, path, **values):
        query = "?" + urllib.parse.urlencode(values) if values else ""
        return self.ask("GET", path + query)

    def json(self, path, **values):
        return json.loads(self.get(path, **values)[2])

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        out, err = self.process.communicate(timeout=60)
        said.append(self.line + out + err)
        return self.process.returncode


def token(db, name, scopes, *options):
    done = hone("hub", "token", "add", name, "--db", db, "--scope", scopes, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def in_thread(work):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
