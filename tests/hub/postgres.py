# SPDX-License-Identifier: Apache-2.0
"""A private PostgreSQL of Debian's, in a folder of its own, as an unprivileged user, on a socket in that folder.
Usage: postgres.py FOLDER COMMAND...   runs the command with $HONE_TEST_POSTGRES naming the folder, and PostgreSQL there
       postgres.py FOLDER --address NAME    makes a database there, says its address"""
import glob
import os
import shutil
import signal
import subprocess
import sys
import time

SETTINGS = "listen_addresses = ''\nunix_socket_permissions = 0777\nlog_min_messages = warning\nlc_messages = 'C'\n"


def find_bin():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda p: int(p.split("/")[4]))
    return os.path.dirname(found[-1]) if found else None


class Cluster:
    def __init__(self, folder):
        self.folder, self.data, self.bin = folder, os.path.join(folder, "data"), find_bin()

    def run(self, *words, check=True):
        """As somebody who may run PostgreSQL: it refuses to be root."""
        user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.getuid() == 0 else []
        return subprocess.run([*user, os.path.join(self.bin, words[0]), *words[1:]], check=check, capture_output=True, text=True, cwd="/",
                              env={**os.environ, "HOME": self.folder})

    def make(self):
        os.makedirs(self.folder, exist_ok=True)
        os.chmod(self.folder, 0o755)
        if os.getuid() == 0:
            shutil.chown(self.folder, "nobody")
        self.run("initdb", "-D", self.data, "-U", "hone", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
        with open(os.path.join(self.data, "postgresql.conf"), "a") as file:
            file.write(SETTINGS + f"unix_socket_directories = '{self.folder}'\n")

    def start(self):
        for _ in range(100):      # what was killed may hold its memory a little longer
            if self.run("pg_ctl", "-D", self.data, "-l", os.path.join(self.folder, "log"), "-w", "start", check=False).returncode == 0:
                return
            time.sleep(0.1)
        raise RuntimeError(open(os.path.join(self.folder, "log")).read()[-2000:])

    def stop(self):
        self.run("pg_ctl", "-D", self.data, "-m", "fast", "-w", "stop", check=False)

    def pids(self):
        first = int(open(os.path.join(self.data, "postmaster.pid")).readline())
        children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(first)], capture_output=True, text=True).stdout.split()
        return [first, *map(int, children)]

    def signal(self, number):
        for pid in self.pids():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def kill(self):
        self.signal(signal.SIGKILL)

    def address(self, name, user="hone"):
        return f"postgresql://{user}@/{name}?host={self.folder}"

    def sql(self, name, text, check=True):
        done = subprocess.run([os.path.join(self.bin, "psql"), "-X", "-q", "-A", "-t", "-F", "|", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-U", "hone", "-d", name],
                              input=text, capture_output=True, text=True)
        if check and done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    def make_database(self, name, template="template1"):
        if not self.sql("postgres", f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
            self.sql("postgres", f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.address(name)

    def drop_database(self, name):
        self.sql("postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def main():
    cluster = Cluster(sys.argv[1])
    if sys.argv[2] == "--address":
        print(cluster.make_database(sys.argv[3]))
        return 0
    cluster.make()
    cluster.start()
    try:
        return subprocess.run(sys.argv[2:], env={**os.environ, "HONE_TEST_POSTGRES": cluster.folder}).returncode
    finally:
        cluster.stop()


if __name__ == "__main__":
    sys.exit(main())
