# SPDX-License-Identifier: Apache-2.0
"""A hub behind a proxy that speaks TLS, its certificate signed by an authority of one's own: who is spoken to, and who is told the token.
Usage: tls.py FOLDER"""
import os
import socket
import ssl
import subprocess
import sys
import threading

import hub
from hub import HONE, Hub, check, hone, token

folder = sys.argv[1]
FLEET = os.path.join(os.path.dirname(HONE), "tests", "hub-fleet")
BUNDLED = os.path.join(os.path.dirname(HONE), "bundled.db")
MODEL = "build/models/ppocrv4-cls.onnx"


def path(name):
    return os.path.join(folder, name)


def run(*words):
    subprocess.run([str(w) for w in words], check=True, capture_output=True, cwd=folder)


def make_authority(name):
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={name}",
        "-keyout", f"{name}.key", "-out", f"{name}.pem", "-addext", "basicConstraints=critical,CA:TRUE")


def make_certificate(name, authority, names, days="2"):
    with open(path(name + ".ext"), "w") as file:
        file.write(f"subjectAltName={names}\n")
    run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
        "-out", f"{name}.csr")
    run("openssl", "x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-CAcreateserial", "-days", days,
        "-extfile", f"{name}.ext", "-out", f"{name}.pem")


def pump(source, target, seen=None):
    """Bytes of one direction, until its end."""
    try:
        while data := source.recv(65536):
            if seen is not None:
                seen.append(data)
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


class Server:
    """Accepts on a free port and serves each connection in a thread."""

    def __init__(self):
        self.seen = []       # plain text that clients sent
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        hub.in_thread(self.accept)

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve_quietly, args=(connection,), daemon=True).start()

    def serve_quietly(self, connection):
        try:
            self.serve(connection)
        except (OSError, ssl.SSLError):
            pass
        finally:
            connection.close()

    def forward(self, client, port, seen=None):
        with socket.create_connection(("127.0.0.1", port)) as behind:
            back = threading.Thread(target=pump, args=(behind, client), daemon=True)
            back.start()
            pump(client, behind, seen)
            back.join()

    def told(self):
        return b"".join(self.seen)


class Terminator(Server):
    """Speaks TLS and hands on to a plain port."""

    def __init__(self, certificate, port):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(path(certificate + ".pem"), path(certificate + ".key"))
        self.behind = port
        super().__init__()

    def serve(self, connection):
        with self.context.wrap_socket(connection, server_side=True) as client:
            self.forward(client, self.behind, self.seen)


class Redirector(Terminator):
    """Speaks TLS and sends everybody to another port."""

    def serve(self, connection):
        with self.context.wrap_socket(connection, server_side=True) as client:
            self.seen.append(client.recv(65536))
            client.sendall(f"HTTP/1.1 302 Found\r\nLocation: https://localhost:{self.behind}/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())


class Connector(Server):
    """An HTTP proxy that knows CONNECT alone."""

    def serve(self, connection):
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(4096)
        self.seen.append(head)
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.forward(connection, int(head.split()[1].rpartition(b":")[2]))


def fleet(*words):
    done = subprocess.run([FLEET, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def verbs(url, *more, env=None):
    """push, pull and build at one address."""
    words = [("push", ["push", "--db", path("mine.db"), "--key", path("writer")]), ("pull", ["pull", "--db", path("pulled.db")]),
             ("build", ["build", MODEL, "-o", path("hub.plan"), "--device", "h200", "--precision", "fp16", "--strict"])]
    return [(name, hone(*all_, "--hub", url, *more, env={"HONE_HUB_TOKEN": secret, "no_proxy": "", **(env or {})})) for name, all_ in words]


def expect_refused(name, url, words, *more):
    for verb, done in verbs(url, *more):
        right = done.returncode == 2 and all(w in done.stderr for w in words) and secret not in done.stderr and done.stderr.count("\n") == 1
        check(f"{verb}: {name}", right, (done.returncode, done.stderr))


make_authority("authority")
make_authority("stranger")
make_certificate("right", "authority", "DNS:localhost,IP:127.0.0.1")
make_certificate("other", "authority", "DNS:hub.example")
subprocess.run(["cp", BUNDLED, path("hub.db")], check=True)
fleet("own", path("hub.db"), path("owner"))
fleet("rows", path("mine.db"), path("writer"), "50", "3")
fleet("admit", path("hub.db"), path("owner"), path("writer"))
fleet("own", path("pulled.db"), path("owner"))
fleet("admit", path("pulled.db"), path("owner"), path("writer"))
secret = token(path("hub.db"), "one", "read,measure")
served = Hub(path("hub.db"), "--behind-proxy")
right, other = Terminator("right", served.port), Terminator("other", served.port)
ca = ["--ca", path("authority.pem")]

for host in "localhost", "127.0.0.1":
    for verb, done in verbs(f"https://{host}:{right.port}", *ca):
        check(f"{verb} over TLS at {host}", done.returncode == 0, done.stderr)
check("the token travelled inside of TLS", right.told().count(secret.encode()) >= 6)
check("what was pushed was pulled", "51 rows" in hone("pull", "--db", path("again.db"), "--hub", f"https://localhost:{right.port}", *ca,
                                                       env={"HONE_HUB_TOKEN": secret}).stdout)
hone("build", MODEL, "-o", path("file.plan"), "--device", "h200", "--precision", "fp16", "--strict", "--db", path("hub.db"))
check("the plan over TLS is the plan from the file", open(path("hub.plan"), "rb").read() == open(path("file.plan"), "rb").read())

before = len(right.seen)
expect_refused("an authority that the system does not know", f"https://localhost:{right.port}", ["certificate", "--ca FILE"])
expect_refused("another authority", f"https://localhost:{right.port}", ["certificate", "--ca FILE"], "--ca", path("stranger.pem"))
check("who is not trusted is told nothing", len(right.seen) == before)
expect_refused("a certificate for another host", f"https://localhost:{other.port}", ["localhost", "host"], *ca)
check("another host is told nothing", not other.seen)

redirector = Redirector("right", right.port)
before = len(right.seen)
expect_refused("a redirect over TLS", f"https://localhost:{redirector.port}", ["redirect"], *ca)
check("a redirect is not followed", secret.encode() in redirector.told() and len(right.seen) == before)

connector = Connector()
for verb, done in verbs(f"https://localhost:{right.port}", *ca, env={"https_proxy": f"http://127.0.0.1:{connector.port}"}):
    check(f"{verb} through a proxy", done.returncode == 0, done.stderr)
check("the proxy was asked", connector.told().count(f"CONNECT localhost:{right.port} ".encode()) >= 3, connector.told()[:300])
check("the proxy is not told the token", secret.encode() not in connector.told())
served.stop()
check("no token in what was said", not any(secret in text for text in hub.said))
hub.end()
