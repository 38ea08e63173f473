"""Whatever a server sends, there are rows or an ERROR, and the backend lives."""
import collections
import datetime
import random
import struct

import bson
import bson.raw_bson
import psycopg

from servers.harness import *
from servers.scripted import Answer

SEED = 20240229
ROUNDS = 2000
CLOCK = {"$clusterTime": {"clusterTime": bson.Timestamp(1, 1),
                          "signature": {"hash": b"\0" * 20,
                                        "keyId": bson.Int64(0)}},
         "operationTime": bson.Timestamp(1, 1)}
ROWS = [{"_id": number, "n": number, "s": f"text {number}", "a": [1, "x", None],
         "d": {"x": 1.5, "y": [1, 2]}, "at": datetime.datetime(2026, 1, 1),
         "o": bson.ObjectId(), "b": b"abc", "m": bson.Decimal128("1.5"),
         "r": bson.Regex("a", "i"), "c": bson.Code("x", {"y": 1}),
         "k": bson.MinKey()} for number in range(20)]
COLUMNS = ("_id int, n int, s text, a int[], x float8 OPTIONS (field 'd.x'), "
           "at timestamptz, o text, b bytea, m numeric, "
           "doc jsonb OPTIONS (document 'true'), j json OPTIONS (document 'true')")


class Batch(Batches):
    """Batches that come with the cluster's time, as a replica set sends it."""

    def encode(self, key, namespace, index):
        return bson.encode({"cursor": {"id": bson.Int64(0), "ns": namespace,
                                       key: self.batches[index]}, "ok": 1.0, **CLOCK})


class Damaged(Answer):
    """Another answer with some of its bytes changed."""

    def __init__(self, answer, chance):
        self.answer = answer
        self.chance = chance

    def data(self, peer, request):
        whole = bytearray(b"".join(self.answer.data(peer, request)))
        for _ in range(self.chance.choice([1, 1, 1, 2, 5])):
            at = self.chance.randrange(0 if self.chance.random() < 0.05 else 16,
                                       len(whole))
            whole[at] = self.chance.choice([0, 1, 2, 4, 5, 0x7F, 0x80, 0xFF,
                                            self.chance.randrange(256)])
        return [bytes(whole)]


def damage(db, server):
    """Damage replies at random."""
    chance = random.Random(SEED)
    note(f"seed {SEED}, {ROUNDS} replies")
    rows = Batch(ROWS, size=7)
    ends = collections.Counter()
    backend = db.backend()
    db.execute("SET statement_timeout = 1000")
    for number in range(ROUNDS):
        server.script.clear()
        server.seen.clear()
        server.on("ping", Reply(CLOCK))
        server.on("aggregate", rows)
        name, answer = chance.choice([("aggregate", rows), ("aggregate", rows),
                                      ("getMore", CONTINUE), ("hello", CONTINUE),
                                      ("ping", Reply(CLOCK))])
        server.on(name, Damaged(answer, chance))
        if name in ("hello", "ping"):       # these come with a new connection only
            db.execute("ALTER SERVER s OPTIONS (SET connect_timeout "
                       f"'{300 + number % 2}')")
        query = chance.choice(["SELECT * FROM t", "SELECT n, s FROM t WHERE n < 15",
                               "SELECT count(doc), count(j), count(a) FROM t"])
        try:
            db.execute(query)
            ends["rows"] += 1
        except psycopg.Error as error:
            ends[error.sqlstate] += 1
            if db.main.closed:
                note(f"after {number} replies, in {name}")
                break
    note(dict(ends))
    ok(not db.main.closed and db.backend() == backend,
       "no damaged reply ends the backend")
    is_(sorted(set(ends) - {"rows", "XX001", "08P01", "08001", "08006", "24000",
                            "57014", "HV000", "42501", "22000", "22003", "22021"}),
        [], "every one gives rows or an error of a kind that says so")
    db.execute("RESET statement_timeout")


def nested(depth, array=False):
    """Return a document, or an array in one, with so many levels."""
    member = b"\x040\0" if array else b"\3d\0"
    heads = (struct.pack("<i", 5 + 8 * below) + member
             for below in range(depth, 0, -1))      # a level takes 8 bytes
    return bson.raw_bson.RawBSONDocument(
        b"".join(heads) + b"\5\0\0\0\0" + b"\0" * depth)


def deep_documents(db, server):
    """Documents with more levels than MongoDB has."""
    for depth in (100, 5000, 100000):
        for array in (False, True):
            server.script.clear()
            server.on("aggregate", Batches([nested(depth, array)]))
            server.on("collStats", Reply({"count": 1, "size": 1}))
            server.on("listCollections", Batches([{"name": "c", "type": "collection",
                                                   "options": {}}]))
            kind = f"{depth} levels of {'arrays' if array else 'documents'}"
            for query in ("SELECT doc FROM t", "SELECT j FROM t", "SELECT count(deep), "
                          "count(first) FROM deep", "SELECT whole FROM deep",
                          "ANALYZE t", "IMPORT FOREIGN SCHEMA d FROM SERVER s INTO i"):
                try:
                    db.execute(query)
                    end = "rows"
                except psycopg.Error as error:
                    end = error.sqlstate
                # bottomless documents are refused, or are deeper than anyone looks
                ok(end in ("rows", "54001", "54000", "22000", "42P07", "XX001"),
                   f"{kind}: {query} ends with {end}")
                db.execute("DROP FOREIGN TABLE IF EXISTS i.c")
                if db.main.closed:
                    return


def large_documents(db, server):
    """Documents as large as MongoDB has them."""
    server.script.clear()
    server.on("aggregate", Batches([{"_id": 1, "n": 5, "s": "x" * 16000000,
                                     "a": list(range(500000))}]))
    is_(db.rows("SELECT length(s), cardinality(a), length(doc ->> 's') FROM t"),
        [(16000000, 500000, 16000000)], "a document of 24 MB")
    server.on("aggregate", Batches([{f"f{number}": number
                                     for number in range(200000)}]))
    is_(db.rows("SELECT n, doc -> 'f199999' FROM t"), [(None, 199999)],
        "a document of 200,000 fields")
    server.on("aggregate", Batches([{"_id": number} for number in range(500000)]))
    is_(db.rows("SELECT count(_id) FROM t"), [(500000,)],
        "half a million documents in one batch")


with database() as db, ScriptedServer() as server:
    db.mongo_server("s", server.uri, connect_timeout=300, **ROWS_ONLY)
    db.execute("CREATE SCHEMA i")
    db.foreign_table("t", "s", COLUMNS, database="d", collection="c",
                     on_mismatch="null")
    db.foreign_table("deep", "s", "deep int OPTIONS (field '{}'), first int OPTIONS "
                     "(field '{}'), whole jsonb OPTIONS (field 'd')".format(
                         ".".join(["d"] * 90), ".".join(["0"] * 90)),
                     database="d", collection="c", on_mismatch="null")
    damage(db, server)
    deep_documents(db, server)
    large_documents(db, server)
    server.script.clear()
    server.on("aggregate", Batches(ROWS))
    is_(db.value("SELECT count(*) FROM t"), 20, "and then there are rows again")
done()
