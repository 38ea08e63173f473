"""ORDER BY, LIMIT and OFFSET by MongoDB: the same rows as by PostgreSQL.

Every query runs over a foreign table with everything shipped, with nothing
shipped, and over a plain table that holds what the documents map to.
"""
import datetime
import os

from bson import Decimal128, Int64, ObjectId

from servers.harness import *

NAN, INFINITY = float("nan"), float("inf")
HEX = "5381ccf9d6d81c8e5bf0114d"


def when(day, hour=0):
    """Return a time in January 2026."""
    return datetime.datetime(2026, 1, day, hour, tzinfo=datetime.timezone.utc)


# values of every kind, fitting and not; "bad" of those for on_mismatch 'error'
DOCUMENTS = [
    {"_id": 1, "n": 5, "f": 1.5, "b": True, "at": when(2, 9), "o": ObjectId(HEX), "m": 1},
    {"_id": 2, "n": Int64(5), "f": NAN, "b": False, "at": when(2, 3), "m": 2},
    {"_id": 3, "n": 5.0, "f": -0.0, "b": None, "at": when(1), "m": 3},
    {"_id": 4, "n": Decimal128("-7"), "f": 0, "at": None, "o": ObjectId(), "m": 4},
    {"_id": 5, "n": None, "f": INFINITY, "b": True, "at": when(3), "m": 5},
    {"_id": 6, "f": -INFINITY, "m": 6},
    {"_id": 7, "n": "5", "f": "x", "b": 1, "at": "x", "o": HEX, "m": 7},
    {"_id": 8, "n": [1, 900], "f": [1.0], "b": [True], "at": [when(9)], "m": 8},
    {"_id": 9, "n": 3.7, "f": Decimal128("1"), "b": "t", "at": 0, "m": 9},
    {"_id": 10, "n": -0.0, "f": Int64(2**53 + 1), "b": False, "at": when(2, 3), "m": 10},
    {"_id": 11, "n": 2**31, "f": float(2**53), "m": 11},
    {"_id": 12, "n": 2**31 - 1, "f": NAN, "m": 12},
    {"_id": 13, "n": -2**31, "f": 1e308, "at": when(2, 3), "m": 13},
    {"_id": 14, "n": {"x": 1}, "f": None, "d": {"n": 1}, "m": 14},
]
COLUMNS = ("_id int, n int, f float8, b bool, at timestamptz, day date OPTIONS (field 'at'), "
           "o pynomaly.objectid, m int, s text OPTIONS (field 'm')")
LOCAL_COLUMNS = ("_id int, n int, f float8, b bool, at timestamptz, day date, "
                 "o pynomaly.objectid, m int, s text")

# the query over {t}, and whether MongoDB sorts or limits; None where it may
QUERIES = [
    (f"SELECT * FROM {{t}} ORDER BY {key}{way}{nulls}, _id", None)
    for key in ("n", "f", "b", "at", "day", "o", "n / 2", "f IS NULL", "coalesce(n, 0)")
    for way in ("", " DESC") for nulls in ("", " NULLS FIRST", " NULLS LAST")
] + [
    (f"SELECT _id, {key} FROM {{t}} ORDER BY {key}{way}{nulls}, _id LIMIT 4 OFFSET 3", True)
    for key in ("n", "f", "b", "at", "day", "o")
    for way in ("", " DESC") for nulls in ("", " NULLS FIRST", " NULLS LAST")
] + [
    ("SELECT _id FROM {t} ORDER BY day, n DESC, _id LIMIT 5", True),
    ("SELECT _id FROM {t} ORDER BY b DESC NULLS LAST, f NULLS FIRST, _id DESC LIMIT 5", True),
    ("SELECT _id FROM {t} WHERE n > 0 ORDER BY n, _id LIMIT 3", True),
    ("SELECT _id FROM {t} WHERE n = 5 ORDER BY n DESC, _id LIMIT 2 OFFSET 1", True),
    ("SELECT n FROM {t} WHERE n > -10 ORDER BY n LIMIT 100", True),
    ("SELECT f FROM {t} WHERE f < 'Infinity' ORDER BY f LIMIT 100", None),
    ("SELECT f + 0 FROM {t} WHERE f < 'NaN' ORDER BY f DESC LIMIT 100", None),
    ("SELECT day FROM {t} WHERE day > '2026-01-01' ORDER BY day LIMIT 100", None),
    ("SELECT _id FROM {t} WHERE n IS NULL ORDER BY _id LIMIT 3", True),
    ("SELECT _id FROM {t} WHERE n IS NOT NULL ORDER BY f, _id LIMIT 3", True),
    ("SELECT m FROM {t} ORDER BY m LIMIT 0", True),
    ("SELECT m FROM {t} ORDER BY m LIMIT NULL OFFSET NULL", None),
    ("SELECT m FROM {t} ORDER BY m LIMIT 4294967297 OFFSET 12", True),
    ("SELECT m FROM {t} ORDER BY m OFFSET 4294967296", None),
    ("SELECT m FROM {t} ORDER BY m LIMIT 9223372036854775807 OFFSET 9223372036854775807", True),
    ("SELECT m FROM {t} ORDER BY m LIMIT 9223372036854775807 OFFSET 11", True),
    ("SELECT m FROM {t} ORDER BY m LIMIT (SELECT 2) OFFSET (SELECT 1)", True),
    ("SELECT m FROM {t} WHERE m = 999 LIMIT 3", True),
    ("SELECT count(*) FROM (SELECT m FROM {t} LIMIT 5) x", True),
    ("SELECT count(*) FROM (SELECT m FROM {t} OFFSET 5) x", True),
    ("SELECT day, _id FROM {t} ORDER BY day DESC NULLS LAST, _id LIMIT 3", True),
    ("SELECT m, m * 2 FROM {t} ORDER BY m DESC FETCH FIRST 2 ROWS ONLY", True),
    ("SELECT b FROM {t} WHERE b IS NOT NULL ORDER BY b FETCH FIRST 1 ROW WITH TIES", None),
    ("SELECT DISTINCT ON (b) b, m FROM {t} ORDER BY b, m DESC", None),
    ("SELECT m FROM {t} ORDER BY " + ", ".join(f"coalesce(n, {i}) > 3 DESC" for i in range(40)) +
     ", m LIMIT 3", False),
    # not where rows are counted that are not the query's
    ("SELECT m FROM {t} WHERE m::text LIKE '1%' ORDER BY m LIMIT 2", None),
    ("SELECT m FROM {t} ORDER BY s COLLATE \"en-x-icu\" LIMIT 3", False),
    ("SELECT generate_series(1, 2), m FROM {t} ORDER BY m LIMIT 3", None),
    ("SELECT m, count(*) OVER () FROM {t} ORDER BY m LIMIT 2", None),
    ("SELECT m FROM {t} UNION ALL SELECT -m FROM {t} ORDER BY 1 LIMIT 3", None),
    ("SELECT a.m, (SELECT b.m FROM {t} b WHERE b.m > a.m ORDER BY b.m LIMIT 1) FROM {t} a "
     "ORDER BY a.m", None),
    ("SELECT a.m, x.m FROM {t} a, LATERAL (SELECT m FROM {t} b WHERE b.m < a.m "
     "ORDER BY m DESC LIMIT 2) x ORDER BY 1, 2", None),
    ("SELECT a.m FROM {t} a JOIN {t} b ON a.m = b._id ORDER BY b.f NULLS FIRST, a.m LIMIT 4",
     None),
    ("SELECT {t}.m FROM {t} ORDER BY {t}.m LIMIT 1", True),
]


def agree(db):
    """Run the queries three ways."""
    db.mongo_server("m", os.environ["MONGO_URI"])
    db.foreign_table("t", "m", COLUMNS, database="order", collection="t", on_mismatch="null")
    db.execute(f"CREATE TABLE l ({LOCAL_COLUMNS})")
    db.execute("SET pynomaly_store.enable_pushdown = off; INSERT INTO l SELECT * FROM t; "
               "RESET pynomaly_store.enable_pushdown; ANALYZE l")
    for query, shipped in QUERIES:
        expected = text_rows(db, query.format(t="l"))
        # no sort here where MongoDB can, however cheap it is
        db.execute("SET enable_sort = off")
        is_(text_rows(db, query.format(t="t")), expected, query)
        db.execute("SET pynomaly_store.enable_pushdown = off")
        is_(text_rows(db, query.format(t="t")), expected, query + ", nothing shipped")
        db.execute("RESET pynomaly_store.enable_pushdown")
        if shipped is not None:
            plan = db.explain(query.format(t="t"))
            ok(("Limit" not in plan and "Sort" not in plan) == shipped,
               f"{query}: {'shipped' if shipped else 'not shipped'}", plan)
        db.execute("RESET enable_sort")


def text_rows(db, query):
    """Return rows in a form in which NaN equals itself and 0 equals -0."""
    return [tuple("0" if str(value) == "-0.0" else str(value) for value in row)
            for row in db.rows(query)]


def misfits(db):
    """A value that does not fit is an error that no LIMIT and no order hides."""
    db.foreign_table("e", "m", COLUMNS, database="order", collection="t")
    for query in ("SELECT m FROM e ORDER BY n LIMIT 1", "SELECT m FROM e ORDER BY n DESC LIMIT 1",
                  "SELECT m FROM e ORDER BY f DESC NULLS LAST, n OFFSET 3",
                  "SELECT m FROM e ORDER BY f OFFSET 5", "SELECT m FROM e ORDER BY f LIMIT 2 OFFSET 9",
                  "SELECT f, count(*) FROM e GROUP BY f ORDER BY f LIMIT 2 OFFSET 6",
                  "SELECT a.m FROM e a JOIN e b ON a.m = b.m ORDER BY b.f LIMIT 2 OFFSET 9",
                  "SELECT m FROM e ORDER BY at LIMIT 1", "SELECT m FROM e ORDER BY b LIMIT 2",
                  "SELECT m FROM e WHERE n IS NULL ORDER BY m LIMIT 1",
                  "SELECT m FROM e WHERE n IS NOT NULL ORDER BY m DESC LIMIT 1"):
        for pushdown in ("on", "off"):
            db.execute(f"SET pynomaly_store.enable_pushdown = {pushdown}")
            throws(lambda: db.rows(query), "22000", f"{query}, pushdown {pushdown}",
                   message="does not fit column")
    db.execute("RESET pynomaly_store.enable_pushdown")
    is_(db.rows("SELECT m FROM e ORDER BY m LIMIT 2"), [(1,), (2,)],
        "columns that a query does not use are not looked at")
    is_(db.rows("SELECT m FROM e WHERE n = 5 ORDER BY n, m LIMIT 2"), [(1,), (2,)],
        "nor are documents that a condition excludes")


def limits(db):
    """Limits are evaluated as PostgreSQL does, with the same errors."""
    for plans in ("force_custom_plan", "force_generic_plan"):
        db.execute(f"SET plan_cache_mode = {plans}")
        db.execute("PREPARE page (bigint, bigint) AS SELECT m FROM t ORDER BY m "
                   "LIMIT $1 OFFSET $2")
        for arguments, expected in (
                ("2, 3", [4, 5]), ("NULL, 12", [13, 14]), ("2, NULL", [1, 2]),
                ("0, 0", []), ("4294967297, 13", [14]), ("1, 4294967296", []),
                ("9223372036854775807, 13", [14]), ("1, 9223372036854775807", [])):
            is_([row[0] for row in db.rows(f"EXECUTE page ({arguments})")], expected,
                f"{plans}: LIMIT and OFFSET {arguments}")
        throws(lambda: db.rows("EXECUTE page (-1, 0)"), "2201W", "a negative LIMIT",
               message="LIMIT must not be negative")
        throws(lambda: db.rows("EXECUTE page (0, -1)"), "2201X", "a negative OFFSET",
               message="OFFSET must not be negative")
        throws(lambda: db.rows("EXECUTE page (-1, -1)"), "2201X", "both")
        db.execute("DEALLOCATE page")
    db.execute("RESET plan_cache_mode")
    throws(lambda: db.rows("SELECT m FROM t WHERE m = NULL LIMIT (SELECT -1)"), "2201W",
           "a negative LIMIT where no document can match")
    db.execute("BEGIN; DECLARE c SCROLL CURSOR FOR SELECT m FROM t ORDER BY m DESC LIMIT 3")
    is_(db.rows("FETCH 2 FROM c"), [(14,), (13,)], "a cursor over a limited scan")
    is_(db.rows("FETCH BACKWARD 1 FROM c"), [(14,)], "and backwards")
    db.execute("COMMIT")
    is_(db.rows("SELECT m FROM t ORDER BY m LIMIT 1 FOR UPDATE"), [(1,)],
        "rows that are locked")


def elements(db):
    """Nothing at the place of an element is NULL, and rows are left out after a look."""
    db.foreign_table("a", "m", "_id int NOT NULL, first int OPTIONS (field 'a.0')",
                     database="order", collection="a")
    mongo_client()["order"].a.insert_many(
        [{"_id": 1, "a": []}, {"_id": 2, "a": [3]}, {"_id": 3}, {"_id": 4, "a": [None]},
         {"_id": 5, "a": {"0": 2}}, {"_id": 6, "a": [4]}])
    is_(db.rows("SELECT first, _id FROM a ORDER BY first, _id DESC"),
        [(2, 5), (3, 2), (4, 6), (None, 4), (None, 3), (None, 1)], "elements that are not there")
    db.execute("PREPARE chosen AS SELECT _id FROM a ORDER BY first, _id DESC LIMIT $1 OFFSET $2")
    for plans in ("force_custom_plan", "force_generic_plan"):
        db.execute(f"SET plan_cache_mode = {plans}")
        plan = db.explain("EXECUTE chosen (2, 3)")
        ok("Limit" not in plan and "$skip" not in plan, f"{plans}: an offset is taken here", plan)
        for arguments, expected in (("2, 3", [4, 3]), ("2, 0", [5, 2]), ("2, 5", [1]),
                                    ("2, 6", []), ("NULL, 4", [3, 1]), ("0, 2", []),
                                    ("1, NULL", [5])):
            is_([row[0] for row in db.rows(f"EXECUTE chosen ({arguments})")], expected,
                f"{plans}: LIMIT and OFFSET {arguments}")
    db.execute("RESET plan_cache_mode")


def commands(db):
    """Where no value can be NULL a sort is one by the field, else by a key."""
    db.foreign_table("k", "m", "_id int NOT NULL, n int NOT NULL, f float8 NOT NULL, "
                     "at timestamptz NOT NULL, day date OPTIONS (field 'at') NOT NULL", database="order", collection="k")
    for query, sort in (
            ("SELECT * FROM k ORDER BY n, at DESC LIMIT 3", '{"n":1,"at":-1}'),
            ("SELECT * FROM k ORDER BY at DESC NULLS LAST, day LIMIT 3", '{"at":-1}'),
            ("SELECT * FROM t WHERE n > 3 ORDER BY n DESC LIMIT 3", '{"n":-1}'),
            ("SELECT * FROM t WHERE f < 3 ORDER BY f LIMIT 3", '{"f":1}'),
            ("SELECT * FROM k ORDER BY day, n LIMIT 3", '{"bad":-1,'),
            ("SELECT * FROM k ORDER BY f LIMIT 3", '{"bad":-1,'),
            ("SELECT * FROM t ORDER BY n NULLS FIRST LIMIT 3", '{"keys.k0":1}'),
            ("SELECT * FROM t ORDER BY n DESC LIMIT 3", '{"keys.k0.r":1,"keys.k0.v":-1}')):
        plan = db.explain(query)
        ok(f'"$sort":{sort}' in plan, f"{query}: sorts by {sort}", plan)
    for setting in ("enable_order_by_pushdown", "enable_limit_pushdown", "enable_pushdown"):
        db.execute(f"SET pynomaly_store.{setting} = off")
        plan = db.explain("SELECT m FROM t ORDER BY m LIMIT 1")
        ok('"$limit"' not in plan, f"{setting} = off", plan)
        db.execute(f"RESET pynomaly_store.{setting}")
    db.execute("SET pynomaly_store.enable_expression_pushdown = off")
    plan = db.explain("SELECT m FROM t ORDER BY m IS NULL, m LIMIT 1")
    ok('"$limit"' not in plan, "enable_expression_pushdown = off", plan)
    like(db.explain("SELECT m FROM t ORDER BY m LIMIT 1"), '"\\$limit"', "but for columns")
    db.execute("RESET pynomaly_store.enable_expression_pushdown")
    db.execute("ALTER FOREIGN TABLE t OPTIONS (enable_order_by_pushdown 'false')")
    plan = db.explain("SELECT m FROM t ORDER BY m LIMIT 1")
    ok('"$sort"' not in plan, "and by an option of the table", plan)


with database() as db:
    client = mongo_client()
    client.drop_database("order")
    client["order"].t.insert_many(DOCUMENTS)
    agree(db)
    misfits(db)
    elements(db)
    limits(db)
    commands(db)
    client.drop_database("order")
done()
