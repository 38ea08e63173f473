"""How fast INSERT ... SELECT writes documents, beside the driver's own bulk writes."""
import argparse
import os
import subprocess
import sys

import psycopg
import pymongo

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "test"))

from servers.stack import Stack                 # noqa: E402

MOST_COMMANDS = 25                      # for 20,000 rows
LEAST_SHARE = 0.5                       # of the driver's rate
MODES = ("none", "session")
SQL = """
    CREATE EXTENSION IF NOT EXISTS pynomaly_store;
    CREATE SERVER m_{mode} FOREIGN DATA WRAPPER pynomaly_mongo
        OPTIONS (uri '{uri}', database 'bench', transaction_mode '{mode}');
    CREATE USER MAPPING FOR CURRENT_ROLE SERVER m_{mode};
    CREATE FOREIGN TABLE {mode} (_id int, sensor text, at timestamptz, value float8,
        samples bigint, valid boolean) SERVER m_{mode} OPTIONS (collection '{mode}')"""
INSERT = """
    EXPLAIN (ANALYZE, COSTS OFF, FORMAT JSON)
    INSERT INTO {} SELECT i, format('sensor-%s', lpad((i % 97)::text, 4, '0')),
        timestamptz '2026-01-01 00:00:00Z' + i * interval '1 s', i / 7.0::float8,
        i * 1000::bigint, i % 3 > 0
    FROM generate_series(0, {} - 1) i"""


def build(stack):
    """Build and install the extension, and the driver's program; return its path."""
    for goal in ("all", "install"):
        subprocess.run(["make", "-s", f"PG_CONFIG={stack.pg_config}", goal], cwd=ROOT,
                       check=True, stdout=subprocess.DEVNULL)
    program = stack.path("bulk")
    package = next(name for name in ("mongoc2", "libmongoc-1.0")
                   if subprocess.run(["pkg-config", "--exists", name],
                                     check=False).returncode == 0)
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", package], check=True,
                           text=True, stdout=subprocess.PIPE).stdout.split()
    subprocess.run(["gcc", "-O2", "-o", program, os.path.join(ROOT, "bench", "bulk.c"), *flags],
                   check=True)
    return program


def driver_rate(program, uri, rows):
    """Return how many documents a second the driver inserts."""
    count, seconds = subprocess.run(
        [program, uri, "bench", "driver", str(rows)], check=True, stdout=subprocess.PIPE,
        text=True).stdout.split()
    return int(count) / float(seconds)


def insert(connection, mode, rows):
    """Insert rows; return how many a second, and by how many commands."""
    plan, = connection.execute(INSERT.format(mode, rows)).fetchone()
    return rows / plan[0]["Execution Time"] * 1000, plan[0]["Plan"]["MongoDB Commands"]


def measure(connection, client, program, uri, rows, rounds):
    """Print the best of some rounds of each mode; return whether the limits were kept."""
    good = True
    best = dict.fromkeys(("driver", *MODES), 0)
    commands = {}
    for mode in MODES:
        connection.execute(SQL.format(mode=mode, uri=uri))
    for _ in range(rounds):
        client.drop_database("bench")
        best["driver"] = max(best["driver"], driver_rate(program, uri, rows))
        for mode in MODES:
            rate, commands[mode] = insert(connection, mode, rows)
            best[mode] = max(best[mode], rate)
            there = client.bench[mode].count_documents({})
            if there != rows or client.bench.driver.count_documents({}) != rows:
                raise SystemExit(f"{there} documents are there")
    print(f"{rows} documents{'':<16}{'a second':>10}{'share':>8}{'commands':>10}")
    print(f"{'the driver alone':<32}{best['driver']:>10.0f}{1:>8.2f}")
    for mode in MODES:
        share = best[mode] / best["driver"]
        bad = share < LEAST_SHARE or commands[mode] > MOST_COMMANDS
        good = good and not bad
        print(f"{'INSERT, transaction_mode ' + mode:<32}{best[mode]:>10.0f}{share:>8.2f}"
              f"{commands[mode]:>10}{'  past the limit' if bad else ''}")
    return good


def main():
    """Run the benchmark; the exit status says whether the limits were kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with Stack(os.environ.get("PG_CONFIG", "pg_config")) as stack:
        program = build(stack)
        stack.start()
        environment = stack.environment()
        uri = environment["MONGO_URI"]
        with psycopg.connect(host=environment["PGHOST"], port=environment["PGPORT"],
                             user=environment["PGUSER"], password=environment["PGPASSWORD"],
                             dbname=environment["PGDATABASE"], autocommit=True) as connection, \
                pymongo.MongoClient(uri) as client:
            return 0 if measure(connection, client, program, uri, arguments.rows,
                                arguments.rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
