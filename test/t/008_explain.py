"""EXPLAIN shows the very command that is sent, and estimates need no server."""
import json

import bson
import bson.raw_bson
from bson import json_util

from servers.harness import *
from servers.scripted import Answer

CONDITIONS = [
    "n = 5",
    "n BETWEEN 1 AND 9 AND s = '$x'",
    "score > 0.5 OR NOT flag",
    "id IN ('5381ccf9d6d81c8e5bf0114d', 'x')",
    "at >= '2020-01-01 00:00:00+00' AND n IS NOT NULL",
    "price = 1.1",
    "n IS NULL",
    "deep = 3 AND n % 2 = 0",
]
SENT_BY_DRIVER = {"lsid", "$readPreference", "$clusterTime", "apiVersion"}


def explained(db, query):
    """Return the command that EXPLAIN shows, as a document."""
    return json_util.loads(db.plan(query, "VERBOSE")["MongoDB Command"])


def sent(server):
    """Return the last aggregate that the server saw, without the driver's part."""
    command = server.commands("aggregate")[-1]
    return {key: value for key, value in command.items()
            if key not in SENT_BY_DRIVER}


def plain(document):
    """Return a document in a form in which 5 and Int64(5) are the same."""
    return json.loads(json_util.dumps(document))


with database() as db, ScriptedServer() as server:
    server.on("aggregate", Batches([], size=1))
    db.mongo_server("scripted", server.uri)
    db.execute("""CREATE FOREIGN TABLE t (
        id text OPTIONS (field '_id') COLLATE "C", n int, s text, flag bool,
        score float8, price numeric, at timestamptz,
        deep int OPTIONS (field 'a.b'))
        SERVER scripted OPTIONS (database 'd', collection 'c')""")

    for condition in CONDITIONS:
        query = f"SELECT n, s FROM t WHERE {condition}"
        db.rows(query)
        is_(plain(sent(server)), plain(explained(db, query)), condition)

    # of a path and one below it only the upper one may be asked for
    db.foreign_table("paths", "scripted", "_id int, low int OPTIONS (field 'a.b'), "
                     "high jsonb OPTIONS (field 'a'), ab int, lowest int OPTIONS "
                     "(field 'a.b.c'), part int OPTIONS (field '_id.x')")
    for columns, paths in (("low, high", ["a"]), ("high, lowest", ["a"]),
                           ("low, lowest, ab", ["a.b", "ab"]),
                           ("low, high, ab, lowest, part", ["a", "ab"])):
        project = explained(db, f"SELECT {columns} FROM paths")["pipeline"][0]["$project"]
        is_(sorted(project), ["_id", *paths], f"the fields of {columns}")

    # a collection's own collation must not decide which strings are equal
    db.rows("SELECT n FROM t WHERE s = 'x'")
    is_(sent(server).get("collation"), {"locale": "simple"},
        "strings are compared by their bytes")
    db.rows("SELECT n FROM t WHERE n = 5")
    is_(sent(server).get("collation"), None,
        "no collation where no strings are compared")

    # EXPLAIN alone sends nothing
    before = len(server.commands("aggregate"))
    db.explain("SELECT * FROM t WHERE n = 5")
    is_(len(server.commands("aggregate")), before, "EXPLAIN sends nothing")

    # what can match nothing is not sent either
    is_(db.rows("SELECT n FROM t WHERE n = (SELECT NULL::int)"), [],
        "no row equals NULL")
    is_(len(server.commands("aggregate")), before,
        "a condition that nothing meets is not sent")

    # auto_explain asks when the snapshot is gone that a function needs
    db.execute("""
        CREATE FUNCTION three() RETURNS int STABLE LANGUAGE sql AS
            'SELECT 3 + 0 * count(*)::int FROM pg_class';
        LOAD 'auto_explain';
        SET auto_explain.log_min_duration = 0;
        SET auto_explain.log_verbose = on""")
    is_(db.rows("SELECT n FROM t WHERE n = three()"), [],
        "auto_explain does not call a function that has no snapshot")
    db.execute("SET auto_explain.log_min_duration = -1")
    is_(explained(db, "SELECT n FROM t WHERE n = three()")["pipeline"][0],
        {"$match": {"n": {"$eq": 3}}},
        "EXPLAIN does")

    # estimates are the server's, and kept for a while
    server.on("listCollections", Batches([{"name": "c", "type": "collection"}]))
    server.on("collStats", Reply({"count": 12345, "size": 999999}))
    db.execute("ALTER FOREIGN TABLE t OPTIONS (ADD use_remote_estimate 'true')")
    for _ in range(3):
        like(db.explain("SELECT n FROM t", "COSTS ON"), "rows=12345 ",
             "the server's count is the estimate")
    is_(len(server.commands("collStats")), 1, "the server is asked once")
    server.on("listCollections", Batches([{"name": "v", "type": "view"}]))
    server.on("aggregate", Batches([{"_id": None, "count": 77}]))
    db.execute("ALTER FOREIGN TABLE t OPTIONS (SET collection 'v')")
    like(db.explain("SELECT n FROM t", "COSTS ON"), "rows=77 ",
         "the documents of a view are counted")

    # a document that was sent as BSON comes back as EXPLAIN's JSON says
    ok(isinstance(bson.encode(explained(db, "SELECT n FROM t")), bytes),
       "the command is valid Extended JSON")

done()
