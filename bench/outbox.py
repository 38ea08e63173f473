"""How many writes a second go through the outbox: into it, and on to MongoDB."""
import argparse
import os
import subprocess
import sys
import threading
import time

import bson
import psycopg
import pymongo

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "test"))

from servers.postgres import Postgres           # noqa: E402
from servers.stack import Stack                 # noqa: E402

LEAST_RATE = 5000
PUT = """
    INSERT INTO pynomaly.outbox
        (server, role, database, collection, kind, operation, document, slot)
    SELECT 'm', CURRENT_ROLE, 'bench', 'docs', %s, o, n, n & 15
    FROM unnest(%s::bytea[], %s::bigint[]) AS u (o, n)"""


def documents(count):
    """Return inserts of as many documents."""
    return "insert", [bson.encode({"_id": n, "name": f"document {n}", "value": n / 7,
                                   "tags": ["a", "b"], "part": {"n": n}})
                      for n in range(count)]


def updates(count):
    """Return updates of as many documents."""
    return "update", [bson.encode({"q": {"_id": n}, "u": {"$set": {"value": n / 3}}})
                      for n in range(count)]


def deletes(count):
    """Return deletes of as many documents."""
    return "delete", [bson.encode({"q": {"_id": n}, "limit": 1}) for n in range(count)]


def apply(connect, appliers):
    """Apply the outbox by so many appliers; return how long it took."""
    connections = [connect() for _ in range(appliers)]
    threads = [threading.Thread(target=connection.execute,
                                args=("CALL pynomaly.apply_outbox()",))
               for connection in connections]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - began
    for connection in connections:
        connection.close()
    return seconds


def driver_rate(collection, kind, operations):
    """Return how many operations a second the driver alone has applied."""
    fields = {"insert": "documents", "update": "updates", "delete": "deletes"}
    began = time.monotonic()
    for first in range(0, len(operations), 2000):
        collection.database.command(kind, collection.name, **{
            fields[kind]: [bson.decode(o) for o in operations[first:first + 2000]]})
    return len(operations) / (time.monotonic() - began)


def measure(connect, collection, count):
    """Print a line for each kind and number of appliers; return whether all kept the limit."""
    good = True
    print(f"{'':<28}{'applied':>10}{'driver':>10}  writes a second")
    with connect() as connection:
        for appliers in (1, 2):
            for make in (documents, updates, deletes):
                kind, operations = make(count)
                reference = driver_rate(collection.database.alone, kind, operations)
                connection.execute(PUT, (kind, operations, list(range(count))))
                rate = count / apply(connect, appliers)
                left = connection.execute("SELECT count(*) FROM pynomaly.outbox").fetchone()[0]
                there = collection.count_documents({})
                if left or there != (0 if kind == "delete" else count):
                    raise SystemExit(f"{left} entries are left, {there} documents are there")
                bad = rate < min(LEAST_RATE, reference / 2)
                good = good and not bad
                print(f"{kind + 's, appliers: ' + str(appliers):<28}{rate:>10.0f}{reference:>10.0f}"
                      f"{'  below the limit' if bad else ''}", flush=True)
    return good


def main():
    """Run the benchmark; the exit status says whether the limit was kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writes", type=int, default=20000, help="of each kind")
    arguments = parser.parse_args()
    with Stack(os.environ.get("PG_CONFIG", "pg_config")) as stack:
        for goal in ("all", "install"):
            subprocess.run(["make", "-s", f"PG_CONFIG={stack.pg_config}", goal], cwd=ROOT,
                           check=True, stdout=subprocess.DEVNULL)
        stack.start()
        environment = stack.environment()

        def connect():
            return psycopg.connect(host=environment["PGHOST"], port=environment["PGPORT"],
                                   user=environment["PGUSER"],
                                   password=environment["PGPASSWORD"],
                                   dbname=environment["PGDATABASE"], autocommit=True)
        with connect() as connection:
            connection.execute("CREATE EXTENSION pynomaly_store")
            connection.execute("CREATE SERVER m FOREIGN DATA WRAPPER pynomaly_mongo OPTIONS "
                               f"(uri '{environment['MONGO_URI']}', transaction_mode 'outbox')")
            connection.execute("CREATE USER MAPPING FOR CURRENT_ROLE SERVER m")
        with pymongo.MongoClient(environment["MONGO_URI"]) as client:
            return 0 if measure(connect, client.bench.docs, arguments.writes) else 1


if __name__ == "__main__":
    sys.exit(main())
