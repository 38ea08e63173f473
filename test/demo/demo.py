#!/usr/bin/env python3
"""The demonstration: `make demo` and `make demo-stop`.

Starts servers that go on after this program has ended, loads part of the
Numenta Anomaly Benchmark into MongoDB and PostgreSQL, and asks one question of
both.  Where the servers are is kept in a state folder, one a clone, so that
several clones have demos of their own.
"""
import argparse
import hashlib
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
import pymongo
from bson.json_util import RELAXED_JSON_OPTIONS, dumps
from psycopg.types.json import Jsonb

from demo import data
from run import copy_tree, stop_at_signals
from servers.stack import Stack, stop_lasting

DATABASE = "pynomaly_demo"          # in PostgreSQL and in MongoDB
SQL = TEST / "demo" / "sql"
BATCH = 5000                        # documents in one insert
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
    step("MongoDB: storing points and training metrics as documents")
    demo.load_documents()
    step("PostgreSQL: two tenants store datasets, detectors and results as rows")
    demo.load_rows()
    step("PostgreSQL: the documents as tables, one by hand, one by import")
    demo.make_foreign_tables()
    step("The question, over rows and documents together, asked by each tenant")
    demo.ask("3_question.sql", *data.TENANTS)
    step("How it was answered, and what was sent to MongoDB")
    demo.explain("3_question.sql", FACTORY)
    step("A closer look at one dataset")
    demo.ask("4_detail.sql", CITY)
    demo.explain("4_detail.sql", CITY)
    step("One tenant does not see what is the other's")
    demo.prove_isolation(FACTORY, CITY)
    demo.prove_isolation(CITY, FACTORY)
    print(f"""
The servers go on.  To connect to PostgreSQL:

    psql '{demo.uri}'

There, SELECT * FROM demo.analytics_data LIMIT 5 reads documents of MongoDB,
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

    def load_documents(self):
        """Store the documents."""
        with pymongo.MongoClient(self.stack.mongo_uri) as client:
            database = client[DATABASE]
            points = database.analytics_data
            points.create_index([("tenant_id", 1), ("tags.dataset", 1),
                                 ("metadata.position", 1)], unique=True)
            points.create_index([("tenant_id", 1), ("timestamp", 1)])
            for tenant, (_, datasets) in data.TENANTS.items():
                for dataset in datasets:
                    insert(points, data.points(tenant, dataset))
                insert(database.training_metrics, data.training_metrics(tenant))
            for collection in (points, database.training_metrics):
                say(f"{collection.full_name}: {collection.count_documents({})} "
                    "documents like")
                say("    " + dumps(collection.find_one({}, {"_id": 0}),
                                   json_options=RELAXED_JSON_OPTIONS))

    def load_rows(self):
        """Make the store and save each tenant's work in it, as the platform does."""
        text = (SQL / "1_store.sql").read_text()
        print(text)
        self.psql([], text)
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
        text = (SQL / "2_foreign.sql").read_text()
        print(text)
        self.psql(["-v", f"uri={self.stack.mongo_uri}"], text)
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
        self.show(as_tenant(tenant, (SQL / "5_isolation.sql").read_text()), "-e",
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


def insert(collection, documents):
    """Insert documents in batches."""
    batch = []
    for document in documents:
        batch.append(document)
        if len(batch) == BATCH:
            collection.insert_many(batch)
            batch = []
    if batch:
        collection.insert_many(batch)


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
