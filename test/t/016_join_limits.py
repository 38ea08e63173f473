"""What joins with a collection take: memory, commands, queries, time."""
import os

from servers.harness import *

FORCED = """
    SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_nestloop = off"""
LOOPS = """
    SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off;
    SET enable_memoize = off; SET pynomaly_store.enable_batched_join_pushdown = off"""


def first_match(command):
    """Return the $match of an aggregate command, or None."""
    return command["pipeline"][0].get("$match")


def queries_of(db, query):
    """Run a query, and return how many queries its foreign nodes have sent."""
    plan = db.plan(query, "ANALYZE", "TIMING OFF")
    return sum(node.get("MongoDB Queries", 0) for node in plan_nodes(plan))


def hot_keys(db, server):
    """Documents stream by: memory holds one batch of local rows."""
    server.on("aggregate", Batches([{"_id": n, "k": n % 2, "s": "x" * 200}
                                    for n in range(10000)], size=5000, repeat=40))
    db.execute("CREATE TABLE hot AS SELECT 1 AS k; ANALYZE hot;" + FORCED)
    query = "SELECT count(*), max(length(t.s)) FROM hot LEFT JOIN t ON t.k = hot.k"
    db.execute("ALTER FOREIGN TABLE t OPTIONS (ADD on_mismatch 'null')")
    like(db.explain(query), "PynomalyJoin", "is ours")
    is_(db.rows("SELECT count(*) FROM hot JOIN t ON t.k = hot.k AND t._id + hot.k < 0"),
        [(0,)], "a first run, to warm up")
    before = anonymous_memory(db.backend())
    is_(db.rows(query), [(200000, 200)], "a key that 200,000 of 400,000 documents have")
    grown = anonymous_memory(db.backend()) - before
    ok(grown < 10 * 1024, "memory does not grow with the documents", f"{grown} kB")

    # many local rows of few keys, in the memory of a hash table
    server.on("aggregate", Batches([{"_id": n, "k": n, "s": "x"} for n in range(3)]))
    db.execute("CREATE TABLE crowd AS SELECT n % 3 AS k, repeat('y', 100) AS pad "
               "FROM generate_series(1, 200000) n; ANALYZE crowd; SET work_mem = '1MB'")
    before = anonymous_memory(db.backend())
    server.seen.clear()
    is_(db.rows("SELECT t.k, count(pad) FROM crowd JOIN t ON t.k = crowd.k "
                "GROUP BY 1 ORDER BY 1"), [(0, 66666), (1, 66667), (2, 66667)],
        "200,000 local rows of three keys")
    grown = anonymous_memory(db.backend()) - before
    ok(grown < 10 * 1024, "memory does not grow with the local rows", f"{grown} kB")
    sent = server.commands("aggregate")
    ok(1 < len(sent) < 60, "in as many batches as that takes", len(sent))
    ok(all(len(first_match(command)["k"]["$in"]) == 3 for command in sent),
       "a key is sent once in each")
    db.execute("RESET ALL")


def long_keys(db, server):
    """Keys are cut into commands that keep their restriction."""
    server.on("aggregate", Batches([{"_id": 1, "k": 1, "s": "a" * 60000}]))
    db.execute("CREATE TABLE long AS SELECT repeat(chr(96 + n), 60000) AS s "
               "FROM generate_series(1, 20) n; ANALYZE long;" + FORCED)
    server.seen.clear()
    is_(db.rows("SELECT left(long.s, 1), t._id FROM long JOIN t ON t.s = long.s"),
        [("a", 1)], "keys of 60 kB")
    sent = server.commands("aggregate")
    is_(sum(len(first_match(command)["s"]["$in"]) for command in sent), 20,
        "each is sent once")
    ok(2 <= len(sent) <= 5, "in a few commands", len(sent))

    db.execute("TRUNCATE long; INSERT INTO long SELECT repeat(chr(96 + n), 1500000) "
               "FROM generate_series(1, 3) n; INSERT INTO long VALUES (repeat('a', 60000))")
    server.seen.clear()
    is_(db.rows("SELECT left(long.s, 1), t._id FROM long JOIN t ON t.s = long.s"),
        [("a", 1)], "keys of 1.5 MB")
    sent = server.commands("aggregate")
    ok(all(first_match(command) is not None for command in sent), "all are sent")

    # in the largest batch, of keys that ranges are sent for
    db.execute("CREATE TABLE real_keys AS SELECT (n / 7.0)::real AS f "
               "FROM generate_series(1, 20000) n; ANALYZE real_keys; "
               "SET pynomaly_store.join_batch_size = 10000")
    server.seen.clear()
    is_(db.rows("SELECT count(*) FROM real_keys r JOIN t ON t.f = r.f"), [(0,)],
        "20,000 keys")
    sent = server.commands("aggregate")
    ok(sent and all(first_match(command) is not None for command in sent),
       "none is left out", len(sent))
    db.execute("RESET ALL")


def interrupts(db, server):
    """A cancel ends a join wherever it waits."""
    server.on("aggregate", Delay(30, Batches([])))
    db.execute(FORCED + "; SET statement_timeout = '300ms'")
    throws(lambda: db.rows("SELECT FROM hot JOIN t ON t.k = hot.k"), "57014",
           "waiting for the answer to a batch")
    server.on("aggregate", Batches([{"_id": n, "k": 1} for n in range(1000)], repeat=10**6))
    throws(lambda: db.rows("SELECT FROM hot JOIN t ON t.k = hot.k AND t._id + hot.k < 0"),
           "57014", "while no document matches")
    db.execute("RESET ALL")


def nested_loops(db):
    """Nested loops send the outer row's values, where that is right."""
    db.execute("CREATE TABLE few AS SELECT id, id * 3 AS k FROM generate_series(1, 4) id; "
               "ANALYZE few; ANALYZE real;" + LOOPS)
    for what, query, expected, queries in (
            ("an equality", "SELECT id, _id FROM few JOIN real ON real.k = few.k",
             [(1, 3), (2, 6), (3, 9), (4, 12)], 4),
            ("an expression", "SELECT id, _id FROM few JOIN real ON real.k = few.k + id",
             [(1, 4), (2, 8), (3, 12), (4, 16)], 4),
            ("a range", "SELECT id, _id FROM few JOIN real ON real.k BETWEEN few.k "
                        "AND few.k + 1 WHERE id < 3", [(1, 3), (1, 4), (2, 6), (2, 7)], 2),
            ("OR", "SELECT id, _id FROM few JOIN real ON real.k = few.k OR real._id = id "
                   "WHERE id = 1", [(1, 1), (1, 3)], 1),
            ("more than is sent", "SELECT id, _id FROM few JOIN real ON real.k = few.k "
                                  "AND real._id % 2 = few.k % 2 AND real.s <> 's' || id",
             [(1, 3), (2, 6), (3, 9), (4, 12)], 4),
            ("EXISTS", "SELECT id FROM few WHERE EXISTS (SELECT FROM real "
                       "WHERE real.k = few.k AND real.s = 's6')", [(2,)], 4),
            ("LATERAL with LIMIT", "SELECT id, x._id FROM few CROSS JOIN LATERAL (SELECT _id "
                                   "FROM real WHERE real.k > few.k ORDER BY k LIMIT 1) x",
             [(1, 4), (2, 7), (3, 10), (4, 13)], 4),
            ("a chain", "SELECT few.id, a._id, b._id FROM few JOIN real a ON a.k = few.k JOIN "
                        "real b ON b.k = a.k + few.id WHERE few.id < 3",
             [(1, 3, 4), (2, 6, 8)], 4)):
        db.execute("SET pynomaly_store.enable_join_pushdown = off")
        is_(sorted(db.rows(query)), expected, f"{what}: rows")
        is_(queries_of(db, query), queries, f"{what}: queries")
        db.execute("SET pynomaly_store.enable_condition_pushdown = off")
        is_(sorted(db.rows(query)), expected, f"{what}: rows, without conditions sent")
        db.execute("RESET pynomaly_store.enable_condition_pushdown")

    # an outer join is for the batches, unless no misfit is an error
    for mode, expected in (("error", r"(?s)Left Join.*Join Filter"), ("null", r'"\$param"')):
        db.execute(f"ALTER FOREIGN TABLE real OPTIONS (ADD on_mismatch '{mode}')")
        for query, rows in (
                ("SELECT id, _id FROM few LEFT JOIN real ON real.k = few.k + 90",
                 [(1, 93), (2, 96), (3, 99), (4, None)]),
                ("SELECT id, 0 FROM few WHERE NOT EXISTS (SELECT FROM real "
                 "WHERE real.k = few.k + 90)", [(4, 0)])):
            is_(sorted(db.rows(query)), rows, f"on_mismatch {mode}: {query}")
            plan = db.explain(query)
            if "LEFT" in query:
                like(plan, expected, f"on_mismatch {mode}: the plan")
        db.execute("ALTER FOREIGN TABLE real OPTIONS (DROP on_mismatch)")
    db.execute("RESET ALL")

    # the planner's choice
    db.execute("CREATE TABLE thousand AS SELECT n AS k FROM generate_series(1, 1000) n; "
               "ANALYZE thousand")
    is_(queries_of(db, "SELECT FROM thousand JOIN real ON real.k = thousand.k"), 1,
        "1,000 rows are joined by one query")


def never_analyzed(db, client):
    """A large collection without statistics is joined by its keys."""
    client[db.name].large.insert_many([{"_id": n, "k": n} for n in range(5000)])
    client[db.name].large.create_index("k")
    db.foreign_table("large", "real", "_id int, k int, v int", database=db.name,
                     use_remote_estimate="true", fdw_startup_cost=100)
    db.execute("CREATE TABLE hundred AS SELECT n * 10 AS k FROM generate_series(1, 100) n; "
               "ANALYZE hundred")
    for query in ("SELECT FROM hundred JOIN large ON large.k = hundred.k",
                  "SELECT FROM large WHERE k IN (SELECT k FROM hundred)"):
        is_(queries_of(db, query), 1, f"{query}: one query")
        like(db.explain(query), "PynomalyJoin", f"{query}: is ours")
        is_(len(db.rows(query)), 100, f"{query}: rows")


with database() as db, ScriptedServer() as server:
    db.mongo_server("scripted", server.uri)
    db.foreign_table("t", "scripted", '_id int, k int, s text COLLATE "C", f real',
                     database="d", collection="c")
    hot_keys(db, server)
    long_keys(db, server)
    interrupts(db, server)

    client = mongo_client()
    try:
        client[db.name].real.insert_many([{"_id": n, "k": n, "s": f"s{n}"}
                                          for n in range(100)])
        client[db.name].real.create_index("k")
        db.mongo_server("real", os.environ["MONGO_URI"])
        db.foreign_table("real", "real", '_id int, k int, s text COLLATE "C"',
                         database=db.name, fdw_startup_cost=1)
        nested_loops(db)
        never_analyzed(db, client)
    finally:
        client.drop_database(db.name)

done()
