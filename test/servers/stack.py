"""All servers of a test run or of the demo, under one temporary folder."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

from servers import processes
from servers.postgres import Postgres, private_tree
from servers.redis import Redis
from servers.secantus import Secantus

PROCESSES = "processes.json"        # what a lasting stack has to stop


class Stack:
    """PostgreSQL, Redis and a MongoDB server; stop() ends and removes them.

    pg_config is the private installation's: install the extension with it
    before start().  A lasting stack goes on when this process has ended; the
    function stop_lasting ends it.  Where MONGO_URI is set, that server is used
    instead of one of our own.
    """

    def __init__(self, pg_config="pg_config", lasting=False):
        os.umask(0o022)             # the servers' user reads what we make
        self.folder = tempfile.mkdtemp(prefix="pynomaly_store.")
        os.chmod(self.folder, 0o755)
        self.lasting = lasting
        self.servers = []
        self.mongo_uri = os.environ.get("MONGO_URI")
        try:
            self.pg_config = private_tree(self.folder, pg_config)
            self.python = servers_python(self.folder)
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        """Start the servers."""
        self.postgres = self.start_one(Postgres(
            self.path("postgres"), self.pg_config, lasting=self.lasting))
        self.redis = self.start_one(Redis(self.path("redis"),
                                          lasting=self.lasting))
        if not self.mongo_uri:
            mongo = self.start_one(Secantus(self.path("mongo"), self.python,
                                            lasting=self.lasting))
            self.mongo_uri = mongo.uri

    def start_one(self, server):
        """Start a server and remember that it has to be stopped."""
        self.servers.append(server)
        server.start()
        if self.lasting:
            self.write_processes()
        return server

    def path(self, name):
        """Return the path of something in the stack's folder."""
        return os.path.join(self.folder, name)

    def environment(self):
        """Return what a program needs to find the servers."""
        return {**self.postgres.environment(), **self.redis.environment(),
                "MONGO_URI": self.mongo_uri, "PG_CONFIG": self.pg_config,
                "SERVERS_FOLDER": self.folder,
                "SERVERS_PYTHON": self.python}

    def stop(self):
        """Stop the servers, the last one first, and remove the folder."""
        while self.servers:
            self.servers.pop().stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def write_processes(self):
        """Write down what stop_lasting needs to know."""
        rows = [{"pid": server.process.pid,
                 "started_at": processes.started_at(server.process.pid),
                 "signal": int(server.process.stop_signal)}
                for server in self.servers]
        with open(self.path(PROCESSES), "w", encoding="ascii") as file:
            json.dump(rows, file)


def stop_lasting(folder):
    """Stop the servers of a lasting stack and remove its folder."""
    try:
        with open(os.path.join(folder, PROCESSES), encoding="ascii") as file:
            rows = json.load(file)
    except FileNotFoundError:
        rows = []
    for row in reversed(rows):
        def alive(pid=row["pid"], started_at=row["started_at"]):
            return processes.started_at(pid) == started_at
        if alive():
            processes.stop_group(row["pid"], signal.Signals(row["signal"]), 20,
                                 alive)
    shutil.rmtree(folder, ignore_errors=True)


def servers_python(folder):
    """Return a Python with the requirements that the servers' user can run.

    It may not be able to read our own environment, which can lie in root's
    home: then it gets a copy.
    """
    if not processes.servers_user():
        return sys.executable
    copy = os.path.join(folder, "venv")
    for how in ("-al", "-a"):       # links where the folder allows them
        if subprocess.run(["cp", how, sys.prefix, copy], check=False,
                          stderr=subprocess.DEVNULL).returncode == 0:
            break
        shutil.rmtree(copy, ignore_errors=True)
    return os.path.join(copy, "bin", "python")
