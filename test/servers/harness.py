"""What a test in Python is written with: TAP output, databases, servers.

    from servers.harness import *

    with database() as db, ScriptedServer() as server:
        db.mongo_server("scripted", server.uri)
        ...
        is_(db.value("SELECT count(*) FROM t"), 3, "all rows come back")
        throws(lambda: db.rows("SELECT * FROM u"), "08006", "a lost connection",
               message="connection")
    done()

test/run.py runs such files with the servers up; `make check TESTS=t/001` runs
those whose path has that text in it.
"""
import contextlib
import itertools
import os
import re
import secrets
import sys
import tempfile
import threading
import time
import traceback

import psycopg
import pymongo
from psycopg import sql

from servers.processes import open_files
from servers.proxy import Proxy
from servers.scripted import (CONTINUE, Batches, Close, Compressed, Delay, Error,
                              Half, Raw, Reply, Reset, ScriptedServer, Silence,
                              Slowly)
from servers.secantus import Secantus

__all__ = [
    "ok", "is_", "like", "throws", "note", "done",
    "database", "Database", "Background", "anonymous_memory", "Sampler", "open_sockets",
    "plan_nodes", "mongo_client", "secantus", "Proxy",
    "ScriptedServer", "CONTINUE", "ROWS_ONLY", "Batches", "Close", "Compressed", "Delay", "Error", "Half",
    "Raw", "Reply", "Reset", "Silence", "Slowly",
]

# Options of a server whose documents are to come here as they are: a scripted
# one sends them whatever it is asked.
ROWS_ONLY = {"enable_aggregate_pushdown": "false", "enable_limit_pushdown": "false"}

counter = itertools.count(1)


# ---------- results ----------

def ok(condition, name, *details):
    """Print one test's result; details are shown where it failed."""
    print(f"{'ok' if condition else 'not ok'} {next(counter)} - {name}",
          flush=True)
    if not condition:
        for detail in details:
            note(detail)
    return bool(condition)


def is_(got, expected, name):
    """Test that two values are equal."""
    return ok(got == expected, name, f"     got: {got!r}",
              f"expected: {expected!r}")


def like(text, pattern, name):
    """Test that a text has a match of a pattern."""
    return ok(re.search(pattern, text or ""), name,
              f"there is no {pattern!r} in:", text)


def throws(run, sqlstate, name, **patterns):
    """Test that run() fails with a SQLSTATE.

    Patterns are searched in parts of the error: message, detail, hint, context.
    """
    try:
        run()
    except psycopg.Error as error:
        diagnostics = error.diag
        if diagnostics.sqlstate != sqlstate:
            return ok(False, name, f"SQLSTATE is {diagnostics.sqlstate}, "
                      f"expected {sqlstate}: {error}")
        parts = {"message": diagnostics.message_primary,
                 "detail": diagnostics.message_detail,
                 "hint": diagnostics.message_hint,
                 "context": diagnostics.context}
        for part, pattern in patterns.items():
            if not re.search(pattern, parts[part] or ""):
                return ok(False, name,
                          f"{part} is {parts[part]!r}, has no {pattern!r}")
        return ok(True, name)
    return ok(False, name, "no error was raised")


def note(text):
    """Print a comment."""
    for line in str(text).splitlines():
        print(f"# {line}", flush=True)


def done():
    """Print the plan; a file without it counts as failed."""
    print(f"1..{next(counter) - 1}", flush=True)


def died(kind, value, trace):
    """An exception that no test expected is a failed test."""
    ok(False, f"died of {kind.__name__}",
       "".join(traceback.format_exception(kind, value, trace)))
    done()


sys.excepthook = died


# ---------- PostgreSQL ----------

class Database:
    """A database, and a connection to it that commits by itself."""

    def __init__(self, name):
        self.name = name
        self.connections = []
        self.main = self.connect()

    def connect(self, **options):
        """Return a further connection; it is closed with the database."""
        connection = psycopg.connect(**{"dbname": self.name,
                                        "autocommit": True, **options})
        self.connections.append(connection)
        return connection

    def execute(self, statement, parameters=None):
        """Run a statement on the main connection."""
        return self.main.execute(statement, parameters)

    def rows(self, query, parameters=None):
        """Return a query's rows."""
        return self.execute(query, parameters).fetchall()

    def value(self, query, parameters=None):
        """Return the first column of the first row."""
        return self.execute(query, parameters).fetchone()[0]

    def explain(self, query, options="VERBOSE, COSTS OFF"):
        """Return a query's plan as one text."""
        return "\n".join(row[0] for row in
                         self.rows(f"EXPLAIN ({options}) {query}"))

    def plan(self, query, *options):
        """Return a query's plan as EXPLAIN's JSON has it."""
        options = ", ".join([*options, "FORMAT JSON"])
        return self.value(f"EXPLAIN ({options}) {query}")[0]["Plan"]

    def backend(self):
        """Return the process id of the main connection's backend."""
        return self.main.info.backend_pid

    def mongo_server(self, name, uri, user_options=None, **options):
        """Create a foreign server, and our user's mapping to it."""
        self.execute(sql.SQL(
            "CREATE SERVER {} FOREIGN DATA WRAPPER pynomaly_mongo {}").format(
                sql.Identifier(name), option_list({"uri": uri, **options})))
        self.execute(sql.SQL(
            "CREATE USER MAPPING FOR CURRENT_USER SERVER {} {}").format(
                sql.Identifier(name), option_list(user_options or {})))

    def foreign_table(self, name, server, columns, **options):
        """Create a foreign table in the schema public."""
        self.execute(sql.SQL("CREATE FOREIGN TABLE {} (" + columns +
                             ") SERVER {} {}").format(
            sql.Identifier(name), sql.Identifier(server), option_list(options)))

    def close(self):
        """Close all connections."""
        for connection in self.connections:
            connection.close()


def option_list(options):
    """Return an OPTIONS clause, empty where there are none."""
    if not options:
        return sql.SQL("")
    return sql.SQL("OPTIONS ({})").format(sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), sql.Literal(str(value)))
        for name, value in options.items()))


@contextlib.contextmanager
def database(extension=True, options=""):
    """Make a database of its own, with the extension; drop it afterwards."""
    name = f"test_{secrets.token_hex(4)}"
    with psycopg.connect(autocommit=True) as control:
        control.execute(f"CREATE DATABASE {name} TEMPLATE template0 {options}")
        db = None
        try:
            db = Database(name)
            if extension:
                db.execute("CREATE EXTENSION pynomaly_store")
            yield db
        finally:
            if db:
                db.close()
            control.execute(f"DROP DATABASE {name} WITH (FORCE)")


class Background:
    """A statement that runs in a thread, so that it can be cancelled."""

    def __init__(self, connection, statement):
        self.connection = connection
        self.statement = statement
        self.error = None
        self.rows = None
        self.ended = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        """Run the statement and note its end."""
        try:
            cursor = self.connection.execute(self.statement)
            self.rows = cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            self.error = error
        self.ended = time.monotonic()

    def cancel(self):
        """Cancel it; return how many seconds it took to end, and its SQLSTATE."""
        began = time.monotonic()
        self.connection.cancel()
        self.wait()
        return self.ended - began, self.error and self.error.sqlstate

    def wait(self, seconds=30):
        """Wait for its end; raise where it does not come."""
        self.thread.join(seconds)
        if self.thread.is_alive():
            raise TimeoutError(f"still running: {self.statement}")


def anonymous_memory(pid):
    """Return how much memory of its own a process has, in kB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("RssAnon:"):
                return int(line.split()[1])
    raise ValueError(f"no RssAnon for process {pid}")


class Sampler(threading.Thread):
    """Watches the memory of a process while a statement runs in it."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid = pid
        self.samples = []
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.wait(0.1):
            self.samples.append(anonymous_memory(self.pid))

    def stop(self):
        """Return the most memory in the first and the last fifth, in kB."""
        self.stopping.set()
        self.join()
        fifth = max(len(self.samples) // 5, 1)
        return max(self.samples[:fifth]), max(self.samples[-fifth:])


def open_sockets(pid):
    """Return how many sockets a process has open."""
    return sum(file.startswith("socket:") for file in open_files(pid))


# ---------- MongoDB ----------

def plan_nodes(plan):
    """Yield the node of a plan, as EXPLAIN's JSON has it, and all below it."""
    yield plan
    for child in plan.get("Plans", []):
        yield from plan_nodes(child)


def mongo_client(uri=None):
    """Return a client of a MongoDB server, by default the test run's."""
    return pymongo.MongoClient(uri or os.environ["MONGO_URI"])


@contextlib.contextmanager
def secantus(**options):
    """Start a MongoDB server of the test's own; see Secantus for options."""
    folder = tempfile.mkdtemp(dir=os.environ["SERVERS_FOLDER"])
    server = Secantus(folder, os.environ["SERVERS_PYTHON"], **options)
    try:
        server.start()
        yield server
    finally:
        server.stop()
