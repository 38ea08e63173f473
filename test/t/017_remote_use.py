"""EXPLAIN ANALYZE tells what a foreign node has asked of its server."""
import bson

from servers.harness import *

ROWS = [{"_id": number, "n": number} for number in range(250)]
MEMBERS = ["MongoDB Queries", "MongoDB Batches", "MongoDB Documents",
           "MongoDB Bytes", "MongoDB Wait Time"]


def foreign_nodes(db, query, options="TIMING ON"):
    """Run a query, and return its foreign nodes as EXPLAIN's JSON has them."""
    plan = db.plan(query, "ANALYZE", options)
    return [node for node in plan_nodes(plan) if "MongoDB Collection" in node]


def use(node):
    """Return the numbers of queries, batches and documents of a node."""
    return tuple(node[member] for member in MEMBERS[:3])


def reply_bytes(rows, key, cursor_id):
    """Return the size of a reply with a batch of rows."""
    return len(bson.encode({"cursor": {"id": bson.Int64(cursor_id), "ns": "d.c",
                                       key: rows}, "ok": 1.0}))


with database() as db, ScriptedServer() as server:
    server.on("aggregate", Batches(ROWS, size=100))
    db.mongo_server("scripted", server.uri, **ROWS_ONLY)
    db.foreign_table("t", "scripted", "_id int, n int", database="d", collection="c")
    db.execute("""
        CREATE TABLE keys AS SELECT k FROM generate_series(1, 4) k; ANALYZE keys;
        SET pynomaly_store.enable_pushdown = off""")

    # one query, and a batch for each reply
    node, = foreign_nodes(db, "SELECT n FROM t")
    is_(use(node), (1, 3, 250), "queries, batches and documents of a scan")
    is_(node["MongoDB Bytes"],
        reply_bytes(ROWS[:100], "firstBatch", 1) +
        reply_bytes(ROWS[100:200], "nextBatch", 1) +
        reply_bytes(ROWS[200:], "nextBatch", 0), "its bytes are those of the replies")
    like(db.explain("SELECT n FROM t", "ANALYZE"),
         r"(?m)^ +MongoDB Use: queries=1 batches=3 documents=250 bytes=\d+ "
         r"wait=\d+\.\d{3} ms$", "one line says it in text")
    for form, pattern in (("YAML", r"(?m)^ +MongoDB Batches: 3$"),
                          ("XML", r"<MongoDB-Batches>3</MongoDB-Batches>")):
        like(db.explain("SELECT n FROM t", f"ANALYZE, FORMAT {form}"), pattern, form)

    # what was not asked for
    node, = foreign_nodes(db, "SELECT n FROM t", "TIMING OFF")
    is_([member in node for member in MEMBERS], [True] * 4 + [False],
        "without TIMING no time is shown")
    plan = db.explain("SELECT n FROM t", "ANALYZE, TIMING OFF")
    like(plan, r"(?m)MongoDB Use: .* bytes=\d+$", "nor in text")
    ok("MongoDB Use" not in db.explain("SELECT n FROM t"),
       "a plan alone has no such line")

    # a scan that stops early, and one that is never begun
    node, = foreign_nodes(db, "SELECT n FROM t LIMIT 5")
    is_(use(node), (1, 1, 5), "a scan that a LIMIT ends")
    node, = foreign_nodes(db, "SELECT (SELECT n FROM t WHERE n = -k LIMIT 1) "
                              "FROM keys WHERE k > 9")
    is_(use(node), (0, 0, 0), "a node that is never executed has asked nothing")
    plan = db.explain("SELECT (SELECT n FROM t LIMIT k) FROM keys WHERE k > 9", "ANALYZE")
    ok("MongoDB Use" not in plan, "and has no line in text", plan)

    # the sum over all loops
    db.execute("SET enable_memoize = off")
    node, = foreign_nodes(db, "SELECT (SELECT n FROM t WHERE n = k) FROM keys")
    is_(node["Actual Loops"], 4, "a subquery runs four times")
    is_(use(node), (4, 12, 1000), "and has asked so much in all of them together")
    ok("MongoDB Answers Reused" not in node, "it keeps no answers without enable_memoize")
    db.execute("RESET enable_memoize")
    node, = foreign_nodes(db, "SELECT (SELECT n FROM t WHERE n = k) FROM keys")
    is_((use(node), node["MongoDB Answers Reused"]), ((1, 3, 250), 3),
        "with it, what is asked again is asked once")

    # the time is that of waiting
    server.on("aggregate", Delay(0.2, Batches(ROWS, size=200)))
    server.on("getMore", Delay(0.2))
    node, = foreign_nodes(db, "SELECT n, pg_sleep(0.001) FROM t")
    waited = node["MongoDB Wait Time"]
    ok(400 <= waited < 600, "the time waited is the server's",
       f"{waited} ms, two delays of 200 ms and 250 sleeps of 1 ms")

done()
