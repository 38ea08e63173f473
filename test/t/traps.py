"""What the tests of known traps share: each query is asked in both ways."""
import json
import os

import bson.json_util

from servers.harness import *


class Traps:
    """A database, and a MongoDB database of the same name."""

    def __init__(self, db, client):
        self.db = db
        self.mongo = client[db.name]
        self.tables = 0

    def table(self, columns, documents, **options):
        """Make a collection and a foreign table over it; return its name."""
        self.tables += 1
        name = f"t{self.tables}"
        if documents:
            self.mongo[name].insert_many(documents)
        self.db.foreign_table(name, "real", columns, database=self.db.name,
                              **{"on_mismatch": "null", **options})
        return name

    def both(self, name, query, expected, parameters=None):
        """Test a query's rows, with pushdown and without."""
        for setting in ("on", "off"):
            self.db.execute(f"SET pynomaly_store.enable_pushdown = {setting}")
            rows = self.db.rows(query, parameters)
            if expected and not isinstance(expected[0], tuple):
                rows = [row[0] for row in rows]
            is_(rows, expected, f"{name}, pushdown {setting}")
        self.db.execute("RESET pynomaly_store.enable_pushdown")

    def ids(self, table, conditions, prefix=""):
        """Test which _ids conditions select: {condition: [_id, ...]}."""
        for condition, expected in conditions.items():
            self.both(prefix + condition, f"SELECT _id FROM {table} WHERE {condition} "
                      "ORDER BY _id", expected)

    def fails(self, name, query, sqlstate, **patterns):
        """Test that a query fails, with pushdown and without."""
        for setting in ("on", "off"):
            self.db.execute(f"SET pynomaly_store.enable_pushdown = {setting}")
            throws(lambda: self.db.rows(query), sqlstate,
                   f"{name}, pushdown {setting}", **patterns)
        self.db.execute("RESET pynomaly_store.enable_pushdown")

    def command(self, query):
        """Return the command that a query sends."""
        return next(line.split("MongoDB Command: ", 1)[1]
                    for line in self.db.explain(query).splitlines()
                    if "MongoDB Command: " in line)

    def shipped(self, query):
        """Does a query send a condition?"""
        return "$match" in self.command(query)

    def uses_index(self, query):
        """Does the server answer a query's command from an index?"""
        command = bson.json_util.loads(self.command(query))
        command.pop("$db")
        plan = json.dumps(self.mongo.command("explain", command), default=str)
        return "IXSCAN" in plan or "IDHACK" in plan


def run_groups(*groups):
    """Run groups of tests, and end."""
    client = mongo_client()
    with database() as db:
        db.main.prepare_threshold = None
        db.execute("SET search_path = public, pynomaly")     # for its operators
        db.mongo_server("real", os.environ["MONGO_URI"])
        traps = Traps(db, client)
        try:
            for group in groups:
                note(group.__doc__)
                group(traps)
        finally:
            client.drop_database(db.name)
    done()
