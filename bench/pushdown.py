"""How much faster a query is when MongoDB does its part of the work.

First on a server that does it; then on one that answers from a script, which
has all answers ready and sends them as fast as the socket takes them: what the
wrapper and the wire cost, whatever the server's own work is.
"""
import argparse
import os
import subprocess
import sys
import time

import bson
import psycopg
import pymongo

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "test"))

from servers.postgres import Postgres           # noqa: E402
from servers.scripted import Batches, ScriptedServer   # noqa: E402
from servers.secantus import Secantus           # noqa: E402
from servers.stack import Stack                 # noqa: E402

DATABASE = "pns_bench_pushdown"
BATCH = 50000
TOP = 10
LOCAL_ROWS = 1000
ROUNDS = 3
LEAST = 50              # times faster than reading the collection, served by script
CASES = (   # name, query, how many times faster MongoDB has to make it, or None
    ("10 of an indexed field",
     "SELECT * FROM readings WHERE sensor = 4711", 50),
    ("top 10 of an indexed field",
     f"SELECT * FROM readings ORDER BY sensor LIMIT {TOP}", 50),
    ("count", "SELECT count(*) FROM readings", None),
    ("group by", "SELECT zone, count(*), sum(sensor) FROM readings "
                 "GROUP BY zone ORDER BY zone", None),
    (f"join of {LOCAL_ROWS} local rows",
     "SELECT count(*), sum(readings.zone) FROM local "
     "JOIN readings ON readings.serial = local.serial", 50),
)
# What the tests' server does without an index, or slowly.
SLOW_IN_TESTS = {"top 10 of an indexed field", f"join of {LOCAL_ROWS} local rows"}


REPLY = 20000           # documents in a reply of the scripted server


def document(number, documents):
    """Return a document of the collection: ten of them have the same sensor."""
    return {"_id": number, "sensor": number * 7919 % (documents // 10), "serial": number,
            "zone": number % 20, "note": f"reading number {number:08}"}


def find(value, key):
    """Return what stands under a key, however deep in a document; or None."""
    if isinstance(value, dict):
        if key in value:
            return value[key]
        value = value.values()
    elif not isinstance(value, list):
        return None
    return next((found for each in value if (found := find(each, key)) is not None), None)


class Script:
    """Answers the commands of CASES, and reading it all, over the collection."""

    def __init__(self, documents):
        self.documents = documents
        self.all = [document(number, documents) for number in range(documents)]
        self.whole = Batches(self.all, REPLY)
        self.top = Batches(sorted(self.all, key=lambda each: each["sensor"])[:TOP])
        zones = {}
        for each in self.all:
            zones.setdefault(each["zone"], []).append(each["sensor"])
        self.count = Batches([{"a0": documents}])
        self.groups = Batches([{"g0": zone, "a0": len(sensors), "a1": bson.Int64(sum(sensors))}
                               for zone, sensors in sorted(zones.items())])
        self.sensors = {}
        for each in self.all:
            self.sensors.setdefault(each["sensor"], []).append(each)

    def answer(self, command):
        """Return the answer to one aggregation."""
        stages = {name: stage[name] for stage in reversed(command["pipeline"])
                  for name in stage}
        if "$group" in stages:
            return self.groups if find(stages["$group"], "g0") else self.count
        if "$limit" in stages:
            return self.top
        if "$match" not in stages:
            return self.whole
        keys = find(find(stages["$match"], "serial"), "$in")
        if keys is not None:
            return Batches([self.all[key] for key in keys])
        sensor = find(find(stages["$match"], "sensor"), "$eq")
        return Batches(self.sensors.get(sensor, []))


def build(stack):
    """Build and install the extension."""
    for goal in ("all", "install"):
        subprocess.run(["make", "-s", f"PG_CONFIG={stack.pg_config}", goal], cwd=ROOT,
                       check=True, stdout=subprocess.DEVNULL)


def load(client, documents):
    """Make the collection: ten documents of each sensor."""
    readings = client[DATABASE].readings
    readings.drop()
    for start in range(0, documents, BATCH):
        readings.insert_many(
            [document(number, documents)
             for number in range(start, min(start + BATCH, documents))], ordered=False)
    readings.create_index("sensor")
    readings.create_index("serial", unique=True)


def prepare(connection, uri, documents):
    """Make the tables."""
    connection.execute(f"""
        CREATE EXTENSION pynomaly_store;
        CREATE SERVER bench FOREIGN DATA WRAPPER pynomaly_mongo OPTIONS (uri '{uri}');
        CREATE USER MAPPING FOR CURRENT_USER SERVER bench;
        CREATE FOREIGN TABLE readings (_id int NOT NULL, sensor int NOT NULL,
            serial int NOT NULL, zone int NOT NULL, note text COLLATE "C")
            SERVER bench OPTIONS (database '{DATABASE}');
        CREATE TABLE local AS SELECT serial * 7 % {documents} AS serial
            FROM generate_series(1, {LOCAL_ROWS}) AS serial;
        ANALYZE local, readings""")


def nodes(plan):
    """Return a plan's node and all below it."""
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def measure(connection, query, rounds):
    """Return a query's rows, its least seconds, its remote queries and bytes."""
    seconds = []
    for _ in range(rounds):
        began = time.monotonic()
        rows = connection.execute(query).fetchall()
        seconds.append(time.monotonic() - began)
    plan = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}").fetchone()[0][0]
    foreign = [node for node in nodes(plan["Plan"]) if "MongoDB Queries" in node]
    return (rows, min(seconds), sum(node["MongoDB Queries"] for node in foreign),
            sum(node["MongoDB Bytes"] for node in foreign))


def compare(connection, name, query, wanted):
    """Measure one case both ways and print its line; return whether it is good."""
    rows, pushed, queries, size = measure(connection, query, ROUNDS)
    connection.execute("SET pynomaly_store.enable_pushdown = off")
    local_rows, local, _, local_size = measure(connection, query, 1)
    connection.execute("RESET pynomaly_store.enable_pushdown")
    good = wanted is None or local >= wanted * pushed
    if "ORDER BY sensor" in query:      # which of equal ones is first is open
        rows, local_rows = ([row[1] for row in each] for each in (rows, local_rows))
    same = sorted(rows) == sorted(local_rows)
    print(f"{name:<28} {pushed:>9.4f} {local:>9.3f} {local / pushed:>9.1f}x "
          f"{str(wanted or '-'):>7} {queries:>8} {size:>12,} {local_size:>14,}"
          f"{'' if good else '   too slow'}{'' if same else '   OTHER ROWS'}", flush=True)
    return good and same


def served_by_script(connection, documents):
    """Measure all cases, with what was learned of the collection, on a script."""
    with ScriptedServer() as server:
        server.on("aggregate", Script(documents).answer)
        connection.execute(f"ALTER SERVER bench OPTIONS (SET uri '{server.uri}'); "
                           "SET pynomaly_store.enable_pushdown = off")
        connection.execute("SELECT count(_id) FROM readings")   # the bytes are made
        connection.execute("RESET pynomaly_store.enable_pushdown")
        print("served by script: what the wrapper and the wire cost, "
              "not what MongoDB's indexes do")
        return [compare(connection, name, query, wanted or LEAST) for name, query, wanted
                in CASES]


def main():
    """Measure all cases; the status says how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=1000000)
    documents = parser.parse_args().documents
    with Stack(os.environ.get("PG_CONFIG", "pg_config")) as stack:
        build(stack)
        postgres = stack.start_one(Postgres(stack.path("postgres"), stack.pg_config))
        uri = stack.mongo_uri
        if not uri:
            uri = stack.start_one(Secantus(stack.path("mongo"), stack.python)).uri
        environment = postgres.environment()
        with (pymongo.MongoClient(uri) as client,
              psycopg.connect(host=environment["PGHOST"], port=environment["PGPORT"],
                              user=environment["PGUSER"],
                              password=environment["PGPASSWORD"],
                              dbname=environment["PGDATABASE"],
                              autocommit=True, prepare_threshold=None) as connection):
            load(client, documents)
            prepare(connection, uri, documents)
            print(f"{documents:,} documents, best of {ROUNDS} pushed, one local")
            print(f"{'':<28} {'pushed':>9} {'local':>9} {'faster':>10} {'wanted':>7} "
                  f"{'queries':>8} {'bytes':>12} {'local bytes':>14}")
            slow = () if stack.mongo_uri else SLOW_IN_TESTS
            good = [compare(connection, name, query, None if name in slow else wanted)
                    for name, query, wanted in CASES]
            client.drop_database(DATABASE)
            good += served_by_script(connection, documents)
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
