"""How many rows a second are written with and without an entry in the audit log."""
import argparse
import os
import re
import subprocess
import sys
import time

import psycopg

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "test"))

from servers.postgres import Postgres           # noqa: E402
from servers.stack import Stack                 # noqa: E402

TENANT = "16000000-0000-4000-8000-000000000001"
ROW = (f"INSERT INTO pynomaly.detectors (tenant_id, name, algorithm_name, parameters) "
       f"SELECT '{TENANT}', 'detector', 'LOF', '{{\"n_neighbors\": 5, \"contamination\": 0.01}}' "
       f"FROM generate_series(1, %d) i;")
LEAST_RATE, LEAST_SHARE = 10000, 0.5
CASES = (   # name, statements of a transaction, rows of a statement, clients, is it held to the limits
    ("one row a transaction, 8 clients", 1, 1, 8, False),
    ("20 statements a transaction, 8 clients", 20, 1, 8, True),
    ("20 statements a transaction, 1 client", 20, 1, 1, False),
    ("1000 rows a statement, 1 client", 1, 1000, 1, False),
)


def rate(stack, environment, statements, rows, clients, seconds):
    """Return how many rows pgbench writes a second."""
    script = stack.path("audit.pgbench")
    with open(script, "w", encoding="ascii") as file:
        file.write("\n".join(["BEGIN;", *[ROW % rows] * statements, "COMMIT;"]))
    output = subprocess.run(
        [os.path.join(os.path.dirname(stack.pg_config), "pgbench"), "-n", "-M", "prepared",
         "-f", script, "-c", str(clients), "-j", "2", "-T", str(seconds)],
        env={**os.environ, **environment}, check=True, text=True, stdout=subprocess.PIPE).stdout
    return float(re.search(r"tps = ([0-9.]+)", output)[1]) * statements * rows


def measure(stack, connection, environment, seconds):
    """Measure each case, print a line each; return whether the limits were kept."""
    good = True
    print(f"{'':<42}{'unaudited':>11}{'audited':>9}{'share':>7}  rows a second")
    for name, statements, rows, clients, limited in CASES:
        best = [0, 0]
        for _ in range(2):
            for audited in (0, 1):
                connection.execute(f"ALTER TABLE pynomaly.detectors {'ENABLE' if audited else 'DISABLE'} "
                                   "TRIGGER record_change")
                best[audited] = max(best[audited], rate(stack, environment, statements, rows, clients, seconds))
        share = best[1] / best[0]
        bad = limited and (best[1] < LEAST_RATE or share < LEAST_SHARE)
        good = good and not bad
        print(f"{name:<42}{best[0]:>11.0f}{best[1]:>9.0f}{share:>7.2f}"
              f"{'  below the limit' if bad else ''}", flush=True)
    for what, query in (("sealing", "SELECT pynomaly.seal_audit_log()"),
                        ("verifying", "SELECT count(*) FROM pynomaly.verify_audit_log()")):
        began = time.monotonic()
        result = connection.execute(query).fetchone()[0]
        entries = connection.execute("SELECT count(*) FROM pynomaly.audit_log").fetchone()[0]
        print(f"{what} {entries} entries: {time.monotonic() - began:.1f} s")
        good = good and (what == "sealing" or result == 0)
    return good


def main():
    """Run the benchmark; the exit status says whether the limits were kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement")
    arguments = parser.parse_args()
    with Stack(os.environ.get("PG_CONFIG", "pg_config")) as stack:
        for goal in ("all", "install"):
            subprocess.run(["make", "-s", f"PG_CONFIG={stack.pg_config}", goal], cwd=ROOT, check=True,
                           stdout=subprocess.DEVNULL)
        server = stack.start_one(Postgres(stack.path("postgres"), stack.pg_config))
        environment = server.environment()
        with psycopg.connect(host=environment["PGHOST"], port=environment["PGPORT"],
                             user=environment["PGUSER"], password=environment["PGPASSWORD"],
                             dbname=environment["PGDATABASE"], autocommit=True) as connection:
            connection.execute("CREATE EXTENSION pynomaly_store")
            connection.execute("INSERT INTO pynomaly.tenants (id, name) VALUES (%s, 'bench')", [TENANT])
            return 0 if measure(stack, connection, environment, arguments.seconds) else 1


if __name__ == "__main__":
    sys.exit(main())
