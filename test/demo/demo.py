#!/usr/bin/env python3
"""The demonstration: `make demo` and `make demo-stop`.

Starts servers that go on after this program has ended, loads part of the
Numenta Anomaly Benchmark into MongoDB and PostgreSQL, and asks one question of
both.  Where the servers are is kept in a state folder, one a clone, so that
several clones have demos of their own.
"""
import argparse
import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

TEST = Path(__file__).resolve().parents[1]
CLONE = TEST.parent
sys.path.insert(0, str(TEST))

import psycopg
from psycopg.types.json import Jsonb

from demo import data
from run import copy_tree, stop_at_signals
from servers.stack import Stack, stop_lasting

DATABASE = "pynomaly_demo"          # in PostgreSQL and in MongoDB
BATCH = 5000                        # documents in one transaction
SQL = TEST / "demo" / "sql"
FACTORY, CITY = data.TENANTS        # their ids


def state_file():
    """Return the file that says where this clone's demo is."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    clone = hashlib.sha256(str(CLONE).encode()).hexdigest()[:12]
    return Path(base) / "pynomaly_store" / f"demo-{clone}.json"


# ---------- start and stop ----------

def start():
    """Run the demo; when it fails, nothing of it goes on."""
    began = time.monotonic()
    stop()
    os.environ.pop("MONGO_URI", None)   # the demo's data is no one else's
    step("Copying PostgreSQL's program files, to install into the copy")
    stack = Stack(os.environ.get("PG_CONFIG", "pg_config"), lasting=True)
    remember(stack.folder)
    try:
        demonstrate(Demo(stack))
    except BaseException:
        stack.stop()
        state_file().unlink()
        raise
    print(f"\nThe demo took {time.monotonic() - began:.0f} seconds.")


def remember(folder):
    """Write down where the servers of this clone's demo are."""
    state_file().parent.mkdir(parents=True, exist_ok=True)
    state_file().write_text(json.dumps({"clone": str(CLONE), "folder": folder}))


def stop():
    """Stop this clone's demo; return whether there was one."""
    try:
        state = json.loads(state_file().read_text())
    except FileNotFoundError:
        return False
    step("Stopping the servers of the demo that was started before")
    stop_lasting(state["folder"])
    state_file().unlink()
    return True


def demonstrate(demo):
    """Go through the steps."""
    step("Building pynomaly_store and installing it there")
    demo.install()
    step("Starting PostgreSQL, a MongoDB-protocol server and Redis")
    demo.start_servers()
    step("PostgreSQL: the store, and two tenants of it")
    demo.make_store()
    step("MongoDB: the platform's collections, made from PostgreSQL")
    demo.attach()
    step("MongoDB: points and training metrics as documents, stored through PostgreSQL")
    demo.load_documents()
    step("PostgreSQL: the tenants store datasets, detectors and results as rows")
    demo.load_rows()
    step("PostgreSQL: the documents as tables, one by hand, one by import")
    demo.make_foreign_tables()
    step("The question, over rows and documents together, asked by each tenant")
    demo.ask("4_question.sql", *data.TENANTS)
    step("How it was answered, and what was sent to MongoDB")
    demo.explain("4_question.sql", FACTORY)
    step("A closer look at one dataset")
    demo.ask("5_detail.sql", CITY)
    demo.explain("5_detail.sql", CITY)
    step("One transaction over rows and documents, rolled back on both sides")
    demo.roll_back()
    step("One tenant does not see what is the other's")
    demo.prove_isolation(FACTORY, CITY)
    demo.prove_isolation(CITY, FACTORY)
    print(f"""
The servers go on.  To connect to PostgreSQL:

    psql '{demo.uri}'

There, SELECT * FROM pynomaly.analytics_data LIMIT 5 reads documents of MongoDB,
which itself is at {demo.stack.mongo_uri}
To look around as a tenant:

    SET ROLE pynomaly_app;
    SELECT pynomaly.set_tenant('{CITY}', false);

To stop the servers and remove all that the demo has made:

    make demo-stop""")


# ---------- the steps ----------

class Demo:
    """The servers of one demo, and what is done with them."""

    def __init__(self, stack):
        self.stack = stack
        self.uri = None

    def install(self):
        """Build the extension in a copy of the clone, and install it."""
        tree = self.stack.path("tree")
        copy_tree(tree)
        run_quietly(["make", "-C", tree, "-s", "install",
                     f"PG_CONFIG={self.stack.pg_config}"], environment())

    def start_servers(self):
        """Start the servers and make the demo's database."""
        self.stack.start()
        postgres = self.stack.postgres.environment()
        base = (f"postgresql://{postgres['PGUSER']}:{postgres['PGPASSWORD']}"
                f"@{postgres['PGHOST']}:{postgres['PGPORT']}")
        with psycopg.connect(f"{base}/postgres", autocommit=True) as control:
            control.execute(f"CREATE DATABASE {DATABASE}")
        self.uri = f"{base}/{DATABASE}"
        say(f"PostgreSQL listens on port {self.stack.postgres.port}, "
            f"Redis on port {self.stack.redis.port}, "
            f"MongoDB's protocol is spoken at {self.stack.mongo_uri}")

    def make_store(self):
        """Make the store and its tenants."""
        text = (SQL / "1_store.sql").read_text()
        print(text)
        self.psql([], text)

    def attach(self):
        """Make the collections, and tables over them."""
        text = (SQL / "2_attach.sql").read_text()
        print(text)
        self.show(text, "-v", f"uri={self.stack.mongo_uri}")
        self.show("SELECT * FROM (SELECT name AS collection, "
                  "jsonb_typeof(options->'validator') AS validator "
                  "FROM pynomaly.list_collections('pynomaly_mongo')) c CROSS JOIN LATERAL "
                  "(SELECT count(*) AS indexes "
                  "FROM pynomaly.list_indexes('pynomaly_mongo', c.collection)) i "
                  "ORDER BY collection")

    def load_documents(self):
        """Store the documents: points by COPY, training metrics by a function."""
        with psycopg.connect(self.uri, autocommit=True) as connection:
            for tenant, (_, datasets) in data.TENANTS.items():
                for dataset in datasets:
                    points = data.points(tenant, dataset)
                    while batch := list(itertools.islice(points, BATCH)):
                        copy_points(connection, batch)
            for tenant in data.TENANTS:
                connection.execute(
                    "SELECT pynomaly.insert_documents('pynomaly_mongo', 'training_metrics', %s)",
                    ([Jsonb(metrics) for metrics in data.training_metrics(tenant)],))
        for collection in ("analytics_data", "training_metrics"):
            self.show(f"SELECT pynomaly.count_documents('pynomaly_mongo', '{collection}') "
                      f"AS {collection}, pynomaly.find_document('pynomaly_mongo', "
                      f"'{collection}', projection => '{{\"_id\": 0}}') AS one_of_them")

    def load_rows(self):
        """Save each tenant's work in the store, as the platform does."""
        with psycopg.connect(self.uri, autocommit=True) as connection:
            connection.execute("SET ROLE pynomaly_app")
            for tenant, (name, datasets) in data.TENANTS.items():
                with connection.transaction():
                    connection.execute("SELECT pynomaly.set_tenant(%s)", (tenant,))
                    save_work(connection, datasets)
                    found = connection.execute(
                        "SELECT * FROM pynomaly.get_storage_stats()").fetchone()
                say("{}: {} detectors, {} datasets, {} results".format(name, *found))
        self.show("SELECT t.name AS tenant, r.dataset_name AS dataset, "
                  "r.detector_name AS detector, r.n_samples, r.n_anomalies, "
                  "round(r.score_mean::numeric, 4) AS score_mean "
                  "FROM pynomaly.result_summaries r "
                  "JOIN pynomaly.tenants t ON t.id = r.tenant_id "
                  "ORDER BY tenant, dataset, detector")

    def make_foreign_tables(self):
        """Make the foreign tables and show the one that was imported."""
        text = (SQL / "3_foreign.sql").read_text()
        print(text)
        self.psql([], text)
        self.show(r"\d demo.training_metrics")
        self.show("SELECT tenant_id, detector, profile, threshold, best_score "
                  "FROM demo.training_metrics WHERE profile = 'standard' "
                  "ORDER BY tenant_id, detector")

    def ask(self, name, *tenants):
        """Show a query and its answer to each tenant."""
        query = (SQL / name).read_text()
        print(query)
        for tenant in tenants:
            say(f"asked by {data.TENANTS[tenant][0]}:")
            self.show(as_tenant(tenant, query))

    def roll_back(self):
        """Show a transaction over both sides that comes to nothing."""
        text = (SQL / "6_transaction.sql").read_text()
        print(text)
        self.show(text)

    def explain(self, name, tenant):
        """Show a query's plan without the columns; the remote commands are in it."""
        query = without_comments((SQL / name).read_text())
        plan = self.psql(["-At"], as_tenant(
            tenant, f"EXPLAIN (VERBOSE, COSTS OFF)\n{query}"))
        print(re.sub(r"^ *Output: .*\n", "", plan, flags=re.MULTILINE), end="")

    def prove_isolation(self, tenant, other):
        """Show what a tenant gets of its own work and of another's."""
        with psycopg.connect(self.uri) as connection:
            (result, dataset), = connection.execute(
                "SELECT id, dataset_name FROM pynomaly.result_summaries "
                "WHERE tenant_id = %s LIMIT 1", (other,)).fetchall()
        say(f"as {data.TENANTS[tenant][0]}:")
        self.show(as_tenant(tenant, (SQL / "7_isolation.sql").read_text()), "-e",
                  "-v", f"other_tenant={other}", "-v", f"other_result={result}",
                  "-v", f"other_dataset={dataset}")

    def show(self, query, *options):
        """Show what psql makes of a query or of a command of its own."""
        print(self.psql(["-P", "footer=off", *options], query), end="")

    def psql(self, options, text):
        """Run a text through the private installation's psql."""
        program = Path(self.stack.pg_config).parent / "psql"
        return run_quietly([str(program), "-X", "-q", "-v", "ON_ERROR_STOP=1",
                            *options, "-d", self.uri], environment(), text)


def copy_points(connection, points):
    """Store points, in one transaction."""
    with connection.cursor() as cursor, cursor.copy(
            'COPY pynomaly.analytics_data (tenant_id, "timestamp", metric_name, value, '
            "tags, metadata) FROM STDIN") as copy:
        for point in points:
            copy.write_row([Jsonb(field) if isinstance(field, dict) else field
                            for field in point.values()])


def save_work(connection, datasets):
    """Save the current tenant's datasets, detectors, and results of each pair."""
    def save(kind, entity):
        saved, = connection.execute(f"SELECT pynomaly.save_{kind}(%s)",
                                    (Jsonb(entity),)).fetchone()
        return str(saved)

    dataset_ids = {name: save("dataset", data.dataset_entity(name)) for name in datasets}
    for detector in data.DETECTORS:
        detector_id = save("detector", data.detector_entity(detector))
        for dataset, dataset_id in dataset_ids.items():
            save("result", {**data.result_entity(detector, dataset),
                            "detector_id": detector_id, "dataset_id": dataset_id})


def as_tenant(tenant, text):
    """Return commands that the back end would run for a tenant."""
    return (f"BEGIN;\nSET LOCAL ROLE pynomaly_app;\n"
            f"SELECT pynomaly.set_tenant('{tenant}') \\g /dev/null\n{text}\nCOMMIT;\n")


def without_comments(query):
    """Return a query without its comment lines."""
    return re.sub(r"^ *--.*\n", "", query, flags=re.MULTILINE)


def environment():
    """Return our environment without what would change make's and libpq's mind."""
    return {name: value for name, value in os.environ.items()
            if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL") and
            not name.startswith("PG")}


def run_quietly(arguments, environ, text=""):
    """Run a program and return its output; it is shown where it fails."""
    done = subprocess.run(arguments, env=environ, input=text, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False)
    if done.returncode != 0:
        sys.exit(f"{arguments[0]} failed:\n{done.stdout}")
    return done.stdout


# ---------- output ----------

def step(text):
    """Announce a step."""
    print(f"\n== {text}", flush=True)


def say(text):
    """Say something within a step."""
    print(f"   {text}", flush=True)


def main():
    """Start or stop, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("start", "stop"))
    stop_at_signals()
    if parser.parse_args().what == "start":
        start()
    elif not stop():
        print("No demo of this clone is running.")


if __name__ == "__main__":
    main()
