"""What fdw_startup_cost and fdw_tuple_cost should be on this machine.

A unit of the planner is what PostgreSQL needs for it here, by a local table;
a round trip and a document are measured on a server, in units, and a document on
one that has all answers ready: less than that it cannot cost, whatever the server.
"""
import argparse
import os
import statistics
import sys
import time

import psycopg
import pymongo

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(ROOT, "test"), os.path.join(ROOT, "bench")]

from pushdown import build                      # noqa: E402
from servers.postgres import Postgres           # noqa: E402
from servers.scripted import Batches, ScriptedServer   # noqa: E402
from servers.secantus import Secantus           # noqa: E402
from servers.stack import Stack                 # noqa: E402

DATABASE = "pns_bench_costs"
LOCAL_ROWS = 500000
DOCUMENTS = 50000
REPLY = 20000           # documents in a reply of the scripted server
ROUNDS = 5
TRIPS = 200


def seconds(connection, query):
    """Return how long a query takes."""
    began = time.monotonic()
    connection.execute(query).fetchall()
    return time.monotonic() - began


def unit(connection):
    """Return the seconds of a unit: those of a local scan, by its cost."""
    connection.execute(f"CREATE TABLE local AS SELECT n, repeat('x', 100) AS s "
                       f"FROM generate_series(1, {LOCAL_ROWS}) n; ANALYZE local; "
                       "SET max_parallel_workers_per_gather = 0")
    query = "SELECT count(n) FROM local"
    cost = connection.execute(f"EXPLAIN (FORMAT JSON) {query}").fetchone()[0]
    return min(seconds(connection, query) for _ in range(ROUNDS)) / cost[0]["Plan"]["Total Cost"]


def document(number):
    """Return a document of 256 bytes or so."""
    return {"_id": number, "n": number, "s": "x" * 200}


def remote(connection, client, uri):
    """Return the seconds of a round trip, and of a document of 256 bytes."""
    client.drop_database(DATABASE)
    client[DATABASE].c.insert_many(document(n) for n in range(DOCUMENTS))
    connection.execute(f"""
        CREATE EXTENSION pynomaly_store;
        CREATE SERVER m FOREIGN DATA WRAPPER pynomaly_mongo OPTIONS (uri '{uri}');
        CREATE USER MAPPING FOR CURRENT_USER SERVER m;
        CREATE FOREIGN TABLE c (_id int, n int, s text) SERVER m OPTIONS
            (database '{DATABASE}', enable_aggregate_pushdown 'false')""")
    seconds(connection, "SELECT count(n) FROM c")       # connects
    trip = statistics.median(seconds(connection, "SELECT n FROM c WHERE _id = -1")
                             for _ in range(TRIPS))
    here = statistics.median(seconds(connection, "SELECT n FROM local WHERE false")
                             for _ in range(TRIPS))
    whole = min(seconds(connection, "SELECT count(n), count(s) FROM c") for _ in range(ROUNDS))
    client.drop_database(DATABASE)
    return trip - here, (whole - trip) / DOCUMENTS


def by_script(connection):
    """Return the seconds of a document that the server had ready."""
    with ScriptedServer() as server:
        server.on("aggregate", Batches([document(n) for n in range(DOCUMENTS)], REPLY))
        connection.execute(f"ALTER SERVER m OPTIONS (SET uri '{server.uri}')")
        return min(seconds(connection, "SELECT count(n), count(s) FROM c")
                   for _ in range(ROUNDS)) / DOCUMENTS


def main():
    """Measure and print."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with Stack(os.environ.get("PG_CONFIG", "pg_config")) as stack:
        build(stack)
        postgres = stack.start_one(Postgres(stack.path("postgres"), stack.pg_config))
        uri = stack.mongo_uri
        if not uri:
            uri = stack.start_one(Secantus(stack.path("mongo"), stack.python)).uri
        environment = postgres.environment()
        with (pymongo.MongoClient(uri) as client,
              psycopg.connect(host=environment["PGHOST"], port=environment["PGPORT"],
                              user=environment["PGUSER"], password=environment["PGPASSWORD"],
                              dbname=environment["PGDATABASE"], autocommit=True) as connection):
            one = unit(connection)
            trip, each = remote(connection, client, uri)
            ready = by_script(connection)
    print(f"a unit                {one * 1e6:8.3f} microseconds")
    print(f"a round trip          {trip * 1e6:8.1f} microseconds")
    print(f"a document            {each * 1e6:8.3f} microseconds")
    print(f"a document, by script {ready * 1e6:8.3f} microseconds")
    print(f"fdw_startup_cost      {trip / one:8.0f}")
    print(f"fdw_tuple_cost        {each / one:8.2f}, by script {ready / one:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
