# SPDX-License-Identifier: Apache-2.0
"""What the tests of the hub share: a hub as a process, requests to it, and the count of checks.
With $HONE_TEST_POSTGRES, the folder of a PostgreSQL (postgres.py), the hubs' databases lie there, and two processes serve each."""
import atexit
import http.client
import itertools
import json
import os
import re
import signal
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import zlib

import postgres

SHARED = postgres.Cluster(os.environ["HONE_TEST_POSTGRES"]) if "HONE_TEST_POSTGRES" in os.environ else None
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


def database_name(path):
    return f"h{zlib.crc32(path.encode()):08x}_" + re.sub(r"\W", "_", os.path.basename(path))


def database(path, start=None):
    """A hub's database: the file of that path, or over PostgreSQL the address of one; with what `start` holds."""
    if not SHARED:
        if start:
            shutil.copy(start, path)
        return path
    address = SHARED.make_database(database_name(path))
    if start:
        done = hone("db", "merge", address, start)
        assert done.returncode == 0, done.stderr
    return address


def settle():
    """Until every hub over one database has seen what the others wrote."""
    if SHARED:
        time.sleep(0.4)


class Relay:
    """Stands for a proxy: each connection goes to the next of the ports that takes it."""

    def __init__(self, ports):
        self.ports, self.turn = ports, itertools.count()
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.socket.getsockname()[1]
        in_thread(self.accept)

    def accept(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            in_thread(lambda client=client: self.serve(client))

    def serve(self, client):
        first = next(self.turn)
        for k in range(len(self.ports)):
            try:
                hub = socket.create_connection(("127.0.0.1", self.ports[(first + k) % len(self.ports)]))
                break
            except OSError:
                continue
        else:
            return client.close()
        in_thread(lambda: self.copy(hub, client))
        self.copy(client, hub)

    @staticmethod
    def copy(source, to):
        try:
            while data := source.recv(1 << 16):
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)
        except OSError:
            for end in source, to:
                end.close()

    def stop(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class Hub:
    """A hub on a free port of this machine; over PostgreSQL two processes behind one port, unless `hubs` says otherwise."""

    def __init__(self, db, *options, env=None, listen="127.0.0.1:0", prefix=(), hubs=None):
        self.db, self.relay = db, None
        words = [*prefix, HONE, "hub", "serve", "--db", db, "--listen", listen, *options]
        count = hubs or (2 if SHARED else 1)
        self.processes = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
                          for _ in range(count)]
        self.process = self.processes[0]
        for process in self.processes:
            atexit.register(process.kill)      # when the test itself fails
        self.lines = [process.stdout.readline() for process in self.processes]
        found = [re.search(r"on (\S+):(\d+)", line) for line in self.lines]
        if not all(found):
            said_last = [(process.kill(), process.communicate()[1])[1] for process in self.processes]
            raise RuntimeError("".join(said_last))
        self.host, self.ports = found[0].group(1), [int(f.group(2)) for f in found]
        if count > 1:
            self.relay = Relay(self.ports)
        self.port = self.relay.port if self.relay else self.ports[0]
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
        if self.relay:
            self.relay.stop()
        for process in self.processes:
            process.send_signal(how)
        for line, process in zip(self.lines, self.processes):
            out, err = process.communicate(timeout=60)
            said.append(line + out + err)
        return max(process.returncode for process in self.processes)


def token(db, name, scopes, *options):
    done = hone("hub", "token", "add", name, "--db", db, "--scope", scopes, *options)
    assert done.returncode == 0, done.stderr
    settle()
    return done.stdout.strip()


class Arguments:
    """Every argument list that any process of this machine shows while it watches."""

    def __init__(self):
        self.seen, self.over = set(), threading.Event()
        self.thread = in_thread(self.watch)

    def watch(self):
        while not self.over.wait(0.01):
            for name in filter(str.isdigit, os.listdir("/proc")):
                try:
                    self.seen.add(open(f"/proc/{name}/cmdline", errors="replace").read())
                except OSError:
                    pass      # it has ended

    def stop(self):
        self.over.set()
        self.thread.join()
        return self.seen


def in_thread(work):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
