#!/usr/bin/env python3
"""The same answer, whoever computes it: a differential test.

Random documents are stored in MongoDB and read as random foreign tables.  Each
random query is asked three times: with its conditions sent to MongoDB, with all
of them evaluated by PostgreSQL, and over a plain table that a second
implementation of the mapping (oracle.py) has filled.  Any difference is made
as small as it can be and reported.

    run.py [--queries N] [--seed S] [--collection C]

needs PostgreSQL by PGHOST, PGPORT and so on, where the extension can be
created, and a MongoDB server by MONGO_URI; prints TAP.  With --collection only
that collection of a run is made, with the same documents and queries.
"""

import argparse
import os
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import bsonraw
import ejson
import shrink
from compare import Comparison
from conditions import TRUE, is_listed
from documents import UNFINDABLE, Collection, Field, anything
from mongo import Store
from queries import Queries, local_columns, local_ddl
from query import Query
from servers.harness import Batches, ScriptedServer, database, done, note, ok
from tables import SETUP, random_table

QUERIES_OF_A_COLLECTION = 150
INDEXES = 3
LEAST_SHIPPED = 0.8
OTHER_DOCUMENTS = [5, 20, 40]
# Where joins are always sent: the tests' server compares each pair, in Python.
DISTANT_DOCUMENTS = 20
# conditions on each table of which it is counted whether they are shipped
COUNTED = 20
TIMEZONES = ["UTC", "America/New_York", "Asia/Kolkata", "Pacific/Apia"]
# differences reported in full for one collection
REPORTS = 3
PROBE = """
CREATE FUNCTION takes(value text, type text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SELECT %L::%s', value, type);
    RETURN true;
EXCEPTION WHEN data_exception OR check_violation THEN
    RETURN false;
END $$;
"""


class Laboratory:
    """A database with the extension, and what all collections share in it."""

    def __init__(self, db, store, seed):
        self.db = db
        self.store = store
        self.seed = seed
        self.known = {}
        self.census = {}  # construct -> how many were seen, and shipped exactly
        db.mongo_server("mongo", store.uri)
        # Where another query is so dear, and collections are known to be small,
        # all that can be sent is sent as one.
        db.mongo_server("distant", store.uri, fdw_startup_cost="1000000")
        db.execute(SETUP)
        db.execute(PROBE)

    def probe(self, text, type_):
        """Does a type's input function take a text?"""
        key = (text, type_)
        if key not in self.known:
            self.known[key] = self.db.value("SELECT takes(%s, %s)", key)
        return self.known[key]

    def make(self, table, documents, server, collection):
        """Create a table and its twin, and fill the twin."""
        self.drop(table)
        table.fill(documents, self.probe)
        self.db.execute(table.foreign_ddl(server, self.store.name, collection))
        self.db.execute(table.heap_ddl())
        with self.db.main.cursor().copy(
            f"COPY heap_{table.name} FROM STDIN"
        ) as copy:
            for row in table.heap_rows():
                copy.write_row(row)
        self.db.execute(f"ANALYZE heap_{table.name}")
        if server == "distant":
            self.db.execute(f"ANALYZE {table.name}")

    def drop(self, table):
        """Drop a table and its twin, where there are any."""
        self.db.execute(f"DROP FOREIGN TABLE IF EXISTS {table.name}")
        self.db.execute(f"DROP TABLE IF EXISTS heap_{table.name}")


@dataclass
class Case:
    """A query that is answered wrongly, and all that it takes to ask it."""

    query: Query
    table: object
    documents: list
    indexes: list
    local: list  # statements that make the local table
    server: str
    answers: tuple
    why: str


class Experiment:
    """One collection, its tables and queries; its number decides them all."""

    def __init__(self, laboratory, number):
        self.laboratory = laboratory
        self.number = number
        self.name = f"c{number}"
        self.rng = random.Random(f"{laboratory.seed}/{number}")
        self.collection = Collection(self.rng)
        self.tables = [
            random_table(self.rng, self.collection, "lenient", "null"),
            random_table(self.rng, self.collection, "canonical", "null", True),
            random_table(self.rng, self.collection, "strict", "error"),
        ]
        self.others = [
            random_table(self.rng, self.collection, "other", "null"),
            random_table(self.rng, self.collection, "other_strict", "error"),
        ]
        self.server = self.rng.choice(["mongo", "distant"])
        count = self.rng.choice(OTHER_DOCUMENTS)
        if self.server == "distant":
            count = min(count, DISTANT_DOCUMENTS)
        self.other_documents = [
            self.collection.document(self.rng, number) for number in range(count)
        ]
        paths = [path for path, _ in self.collection.paths]
        self.indexes = self.rng.sample(paths, INDEXES)
        self.comparison = Comparison(laboratory.db.name, self.rng.choice(TIMEZONES))
        self.reported = 0

    def run(self, queries):
        """Check the mapping of each table, then ask queries."""
        store = self.laboratory.store
        documents = store.fill(self.name, self.collection.documents, self.indexes)
        for table in self.tables:
            self.laboratory.make(table, documents, self.server, self.name)
            self.check_mapping(table, documents)
        other = f"{self.name}_other"
        stored = store.fill(other, self.other_documents, self.indexes)
        for table in self.others:
            self.laboratory.make(table, stored, self.server, other)
        wrong = self.ask(queries, documents)
        ok(
            wrong == 0,
            f"collection {self.number}: {queries} queries over {len(documents)} "
            "documents have the same answers",
            f"{wrong} differ",
        )
        store.drop(self.name)
        store.drop(other)
        self.comparison.close()

    def check_mapping(self, table, documents):
        """Compare each column alone with what the oracle has."""
        wrong = 0
        for column in table.columns:
            target = Queries(self.rng, table, {}).target(column)
            template = "SELECT {targets} FROM {t} a WHERE {where}"
            wrong += self.differs(
                Query("scan", template, (target,), TRUE), table, documents, []
            )
        ok(
            wrong == 0,
            f"collection {self.number}: {len(table.columns)} columns of the table "
            f"{table.name} are mapped as specified",
            f"{wrong} are not",
        )

    def ask(self, count, documents):
        """Ask random queries; return how many are answered wrongly."""
        makers = []
        for table in self.tables:
            columns = local_columns(self.rng, table)
            local = local_ddl(self.rng, table, columns, f"local_{table.name}")
            self.laboratory.db.execute(f"DROP TABLE IF EXISTS local_{table.name}")
            for statement in local:
                self.laboratory.db.execute(statement)
            others = self.others + [self.tables[0]]
            makers.append((table, local, Queries(self.rng, table, columns, others)))
        wrong = 0
        for _ in range(count):
            table, local, maker = self.rng.choice(makers)
            wrong += self.differs(maker.random(), table, documents, local)
        for table, _, maker in makers:
            self.count_shipped(table, maker)
        return wrong

    def count_shipped(self, table, maker):
        """Count which of some conditions MongoDB alone decides."""
        for _ in range(COUNTED):
            leaf = maker.conditions.leaf()
            if leaf.construct:
                row = self.laboratory.census.setdefault(leaf.construct, [0, 0])
                row[0] += 1
                row[1] += self.comparison.ships_exactly(leaf, table)

    def differs(self, query, table, documents, local):
        """Ask one query; report a difference."""
        found = self.comparison.difference(query, table, f"local_{table.name}")
        if not found:
            return False
        self.reported += 1
        if self.reported <= REPORTS:
            case = Case(
                query, table, documents, self.indexes, local, self.server, *found
            )
            self.report(
                shrink.shrink(case, self.laboratory, self.comparison, self.name)
            )
        return True

    def report(self, case):
        """Print a case so that it can be repeated by hand."""
        store = self.laboratory.store
        note(f"{case.why}; seed {self.laboratory.seed}, collection {self.number}")
        note("documents:")
        for members in case.documents:
            note("    " + ejson.document(members, canonical=True, nul=True))
        note(f"indexes: {', '.join(case.indexes) or 'none'}")
        note("statements:")
        local = case.local if "{local}" in case.query.template else []
        scripts = [case.table.foreign_ddl(case.server, store.name, "shrunk")] + local
        others = {other.name: other for other in case.query.others}
        others.pop(case.table.name, None)
        scripts += [
            other.foreign_ddl(case.server, store.name, f"{self.name}_other")
            for other in others.values()
        ]
        scripts += self.comparison.statements(
            case.query, case.table, f"local_{case.table.name}"
        )
        for statement in scripts:
            note("    " + statement.replace("\n", "\n    ") + ";")
        for name, answer in zip(("pushdown on", "pushdown off", "heap"), case.answers):
            note(f"{name}:")
            for line in answer.show():
                note("    " + line)


def check_census(census):
    """Demand that most of what can be shipped exactly is shipped so.

    Else "never wrong" might be reached by shipping nothing.
    """
    for construct, (seen, shipped) in sorted(census.items()):
        note(f"{shipped:>4} of {seen:>4} shipped exactly: {construct}")
    listed = [row for construct, row in census.items() if is_listed(construct)]
    seen, shipped = (sum(column) for column in zip([0, 0], *listed))
    ok(
        shipped >= LEAST_SHIPPED * seen,
        f"of {seen} conditions of the kinds that are shipped exactly, {shipped} were",
    )


def check_wire(laboratory):
    """Map what a real server may not keep, sent by a scripted one.

    Duplicate keys, undefined, symbols, DBPointers, the smallest numbers.
    """
    rng = random.Random(f"{laboratory.seed}/wire")
    collection = Collection(rng)
    documents = []
    for number in range(120):
        members = collection.document(rng, number)
        for _ in range(rng.randint(0, 2)):
            field = rng.choice(collection.fields)
            twin = field.member(rng) if isinstance(field, Field) else None
            members.append((field.key, twin or anything(rng)))
        if rng.random() < 0.4:
            key = rng.choice(collection.fields).key
            members.insert(1, (key, rng.choice(UNFINDABLE)))
        documents.append(members)
    encoded = [Store.raw(members) for members in documents]
    with ScriptedServer() as server:
        server.on("aggregate", Batches(encoded, size=50))
        laboratory.db.mongo_server("scripted", server.uri)
        comparison = Comparison(laboratory.db.name, "UTC")
        for name, canonical in (("relaxed", False), ("canonical", True)):
            table = random_table(rng, collection, "wire", "null", canonical)
            laboratory.make(table, documents, "scripted", "wire")
            maker = Queries(rng, table, {})
            targets = tuple(maker.target(column) for column in table.columns)
            query = Query("scan", "SELECT {targets} FROM {t} a", targets, TRUE)
            found = comparison.difference(query, table, "")
            ok(
                not found,
                f"{len(documents)} documents with what servers do not keep are "
                f"mapped as specified ({name})",
                *(found and first_difference(table, documents, found[0]) or ()),
            )
        comparison.close()


def first_difference(table, documents, answers):
    """Return the first cell in which two answers differ, as lines."""
    on, _, heap = answers
    if on.error or not on.results or not heap.results:
        return on.show() + heap.show()
    number = [column.name for column in table.columns].index("k")
    ordered = [
        sorted(answer.results[0][1], key=lambda row: int(row[number] or -1))
        for answer in (on, heap)
    ]
    pairs = zip(documents, *ordered)
    for members, got, expected in pairs:
        for column, one, other in zip(table.columns, got, expected):
            if one != other:
                text = ejson.document(members, canonical=True, nul=True)
                return [f"{column}: {one!r}, expected {other!r}", text]
    return ["the rows differ in number or types"]


def main():
    """Run collections until the wanted number of queries is reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--collection", type=int)
    arguments = parser.parse_args()
    began = time.monotonic()
    numbers = range(-(-arguments.queries // QUERIES_OF_A_COLLECTION))
    if arguments.collection is not None:
        numbers = [arguments.collection]
    locale = "LOCALE_PROVIDER icu ICU_LOCALE 'en-US' ENCODING UTF8"
    with database(options=locale) as db, Store(os.environ["MONGO_URI"]) as store:
        laboratory = Laboratory(db, store, arguments.seed)
        if arguments.collection is None:
            check_wire(laboratory)
        for number in numbers:
            Experiment(laboratory, number).run(QUERIES_OF_A_COLLECTION)
        if arguments.collection is None:
            check_census(laboratory.census)
    note(f"seed {arguments.seed}, {time.monotonic() - began:.0f} seconds")
    done()


if __name__ == "__main__":
    main()
