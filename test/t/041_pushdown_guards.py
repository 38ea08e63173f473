"""What keeps a part of a query from being sent, where it must not be.

Each test has rows, calls or errors that would be others if one guard were gone.
"""
import os

from servers.harness import *

NAN = float("nan")
DOCUMENTS = [
    {"_id": 1, "n": 3, "f": 2.0, "s": "b", "v": "b", "u": "y"},
    {"_id": 2, "n": "x", "f": NAN, "s": "a", "v": "a", "u": "x"},
    {"_id": 3, "f": 1.0, "s": "c", "v": "c"},
    {"_id": 4, "n": None, "f": -1.0},
]
COLUMNS = ('_id int NOT NULL, n int, f float8, s text COLLATE "C", '
           'u text COLLATE "C", v varchar(20) COLLATE "C"')


def both(db, query, expected, name):
    """Ask a query with everything sent and with nothing."""
    for pushdown in ("on", "off"):
        db.execute(f"SET pynomaly_store.enable_pushdown = {pushdown}")
        is_(db.rows(query), expected, f"{name}, pushdown {pushdown}")
    db.execute("RESET pynomaly_store.enable_pushdown")


def sorts(db):
    """A lower bound lets NaN pass, which is no index's highest value."""
    query = "SELECT _id FROM t WHERE f > 0 ORDER BY f LIMIT {}"
    both(db, query.format(1), [(3,)], "NaN is not the first above 0")
    both(db, query.format(9), [(3,), (1,), (2,)], "but the last")
    like(db.explain(query.format(1)), r'"\$limit"', "the LIMIT is sent")


def limits(db):
    """Skipped rows count, and so does what is called for them."""
    for query in ("SELECT _id FROM e WHERE n IS NULL ORDER BY _id OFFSET 1",
                  "SELECT _id FROM e WHERE n IS NULL ORDER BY _id LIMIT 1 OFFSET 2"):
        for pushdown in ("on", "off"):
            db.execute(f"SET pynomaly_store.enable_pushdown = {pushdown}")
            throws(lambda: db.rows(query), "22000",
                   f"{query}: what is skipped is looked at, pushdown {pushdown}",
                   message="does not fit column")
    both(db, "SELECT count(*) FROM t OFFSET 1", [], "of one group the first is skipped")
    both(db, "SELECT count(*) FROM t WHERE _id = 99 OFFSET 1", [], "and of an empty one")
    both(db, "SELECT count(*) FROM t WHERE _id = 99 LIMIT 1", [(0,)], "which is a row")
    both(db, "SELECT count(*) FROM t LIMIT 0", [], "or no group is asked for")

    calls = []
    db.execute("CREATE SEQUENCE calls MINVALUE 0 START 0")
    for pushdown in ("on", "off"):
        db.execute(f"SET pynomaly_store.enable_pushdown = {pushdown}; "
                   "SELECT setval('calls', 0)")
        db.rows("SELECT nextval('calls') FROM t ORDER BY _id LIMIT 1 OFFSET 2")
        calls.append(db.value("SELECT last_value FROM calls"))
    db.execute("RESET pynomaly_store.enable_pushdown")
    is_(calls[0], calls[1], "a volatile function is called for skipped rows too")
    ok(calls[1] > 1, "which it is without pushdown", calls)


def wide_groups(db):
    """What may need more than 16 MB for one group is not asked for."""
    for query, shipped in (
            ("SELECT min(s) FROM t", True),
            ("SELECT min(s), max(u) FROM t", False),
            ("SELECT min(s), max(v) FROM t", True),
            ("SELECT min(v), max(v) FROM t", True),
            ("SELECT s, u, count(*) FROM t GROUP BY s, u", True),
            ("SELECT u, min(s) FROM t GROUP BY u", False),
            ("SELECT v, min(s) FROM t GROUP BY v", True),
            ("SELECT coalesce(s, 'none'), u FROM t GROUP BY 1, 2", False)):
        plan = db.explain(query)
        ok(('"$group"' in plan) == shipped,
           f"{query}: {'sent' if shipped else 'not sent'}", plan)


def joins(db):
    """What is checked here is checked before what depends on it."""
    db.execute("ANALYZE a; ANALYZE b; SET enable_hashjoin = off; SET enable_mergejoin = off; "
               "CREATE VIEW open AS SELECT * FROM b WHERE md5(s) <> md5('c')")
    for query, shipped, rows in (
            ("SELECT a._id, b._id FROM a JOIN b ON b._id = a.n", True, [(1, 3)]),
            ("SELECT a._id, b._id FROM a JOIN open b ON b._id = a.n", True, []),
            ("SELECT a._id, b._id FROM a JOIN b ON b._id = a.n WHERE a.n + random() >= 3",
             False, [(1, 3)]),
            ("SELECT a._id, b._id FROM a LEFT JOIN b ON b._id = a.n "
             "AND md5(b.s) <> md5('c') ORDER BY 1", False,
             [(1, None), (2, None), (3, None), (4, None)]),
            ("SELECT a._id FROM a WHERE NOT EXISTS (SELECT FROM b WHERE b._id = a.n "
             "AND md5(b.s) <> md5('c')) ORDER BY 1", False, [(1,), (2,), (3,), (4,)]),
            ("SELECT a._id FROM a WHERE EXISTS (SELECT FROM b WHERE b._id = a.n "
             "AND md5(b.s) <> md5('c')) ORDER BY 1", False, [])):
        plan = db.explain(query)
        ok(('"$lookup"' in plan) == shipped,
           f"{query}: {'sent' if shipped else 'not sent'}", plan)
        both(db, query, rows, "its rows")


def rescanned_joins(db):
    """Each run of a join by batches looks for misfits among its own documents."""
    db.execute("CREATE TABLE keys AS SELECT k FROM generate_series(1, 3) k; ANALYZE keys; "
               "SET enable_hashjoin = off; SET enable_mergejoin = off; "
               "SET enable_nestloop = off")
    query = ("SELECT x, (SELECT count(e._id) FROM keys LEFT JOIN e "
             "ON e.n = keys.k AND e._id > x) FROM (VALUES {}) g (x)")
    like(db.explain(query.format("(2)")), "PynomalyJoin", "the join is one by batches")
    is_(db.rows(query.format("(3), (2)")), [(3, 0), (2, 0)], "none above 2")
    throws(lambda: db.rows(query.format("(3), (1)")), "22000", "one above 1",
           message="does not fit column")
    db.execute("SET pynomaly_store.join_batch_size = 1")
    is_(db.rows("SELECT x, (SELECT k FROM keys JOIN t ON t._id = keys.k WHERE k < 100 * x "
                "LIMIT 1) FROM (VALUES (1), (2)) g (x)"), [(1, 1), (2, 1)],
        "a row that waited for the next batch is not left over")
    db.execute("RESET enable_hashjoin; RESET enable_mergejoin; RESET enable_nestloop; "
               "RESET pynomaly_store.join_batch_size")


with mongo_client() as client, database() as db:
    client.drop_database("guards")
    client.guards.t.insert_many(DOCUMENTS)
    db.mongo_server("m", os.environ["MONGO_URI"])
    # where another query is so dear, what can be sent is sent as one
    db.mongo_server("far", os.environ["MONGO_URI"], fdw_startup_cost="1000000")
    db.foreign_table("t", "m", COLUMNS, database="guards", on_mismatch="null")
    db.foreign_table("e", "m", COLUMNS, database="guards", collection="t")
    for name in ("a", "b"):
        db.foreign_table(name, "far", COLUMNS, database="guards", collection="t",
                         on_mismatch="null")
    sorts(db)
    limits(db)
    wide_groups(db)
    joins(db)
    rescanned_joins(db)
    client.drop_database("guards")
done()
