"""Aggregates, GROUP BY, HAVING and DISTINCT by MongoDB: PostgreSQL's results.

Every query runs over a foreign table with everything shipped, with nothing
shipped, and over a plain table that holds what the documents map to; values
and their types have to be the same.
"""
import datetime
import os
import random

from bson import Decimal128, Int64, ObjectId

from servers.harness import *

NAN, INFINITY = float("nan"), float("inf")
HEX = "5381ccf9d6d81c8e5bf0114d"


def when(day, hour=0):
    """Return a time in January 2026."""
    return datetime.datetime(2026, 1, day, hour, tzinfo=datetime.timezone.utc)


DOCUMENTS = [
    {"_id": 1, "g": 1, "n": 5, "k": Int64(2**63 - 1), "f": 1.5, "b": True, "s": "a",
     "at": when(2, 9), "o": ObjectId(HEX), "w": {"n": 1}},
    {"_id": 2, "g": Int64(1), "n": Int64(2**31 - 1), "k": Int64(2**63 - 1), "f": 2.25,
     "b": False, "s": "B", "at": when(2, 3), "w": {"n": 1}},
    {"_id": 3, "g": 1.0, "n": 2.0, "k": Int64(-2**63), "f": -0.0, "s": "ä", "at": when(1)},
    {"_id": 4, "g": 2, "n": Decimal128("-7"), "f": 0, "s": HEX, "at": when(3), "v": "x"},
    {"_id": 5, "g": 2, "n": None, "b": None, "s": ObjectId(HEX), "o": ObjectId(HEX)},
    {"_id": 6, "g": 2, "f": 7, "s": None, "v": "x "},
    {"_id": 7, "g": None, "n": 1, "f": NAN, "b": True, "s": "$s", "v": "y"},
    {"_id": 8, "n": 1, "f": INFINITY, "b": True, "s": "$$ROOT", "at": when(31)},
    {"_id": 9, "g": "1", "n": "5", "k": "x", "f": "y", "b": 1, "s": 5, "at": "x", "v": 5},
    {"_id": 10, "g": [1], "n": [1, 2], "k": 3.7, "f": [1.0], "b": [True], "s": ["a"],
     "at": [when(9)], "w": [{"n": 1}]},
    {"_id": 11, "g": 3, "f": NAN}, {"_id": 12, "g": 3, "f": -INFINITY},
    {"_id": 13, "g": 4, "f": -INFINITY, "v": "x"}, {"_id": 14, "g": 4, "f": -0.0},
    {"_id": 15, "g": 5, "n": 2, "f": 0.0, "b": False, "s": "", "v": ""},
    {"_id": 16, "g": 5, "n": -2, "b": False, "s": "a" * 300, "v": ""},
]
COLUMNS = ('_id int, g int, n int, k int8, f float8, b bool, s text{collate}, at timestamptz, '
           "day date {at}, o pynomaly.objectid, v varchar(5){collate}, c char(4) {v}, "
           "x numeric {n}, w int {w}, small int2 {n}, r float4 {f}")
FOREIGN = COLUMNS.format(collate=' COLLATE "C"', at="OPTIONS (field 'at')",
                         n="OPTIONS (field 'n')", f="OPTIONS (field 'f')",
                         v="OPTIONS (field 'v')", w="OPTIONS (field 'w.n')")
LOCAL = COLUMNS.format(collate=' COLLATE "C"', at="", n="", f="", v="", w="")

# over {t}, and whether MongoDB aggregates; None where it may
QUERIES = [
    ("SELECT count(*) FROM {t}", True),
    ("SELECT count(n), count(k), count(s), count(b), count(at), count(w) FROM {t}", True),
    ("SELECT count(f) FROM {t} WHERE f > 0", True),
    ("SELECT count(1), count('x'::text), count(1.5) FILTER (WHERE n > 0) FROM {t}", True),
    ("SELECT count(NULL::int), count(now()), count(n) FROM {t}", False),
    ("SELECT g, count(1) FROM {t} GROUP BY g HAVING count(1) > 1", True),
    ("SELECT sum(n), avg(n), min(n), max(n) FROM {t}", True),
    ("SELECT sum(small), avg(small), min(small), max(small) FROM {t}", True),
    ("SELECT sum(k), avg(k), min(k), max(k) FROM {t}", True),
    ("SELECT sum(f), avg(f), min(f), max(f) FROM {t} WHERE f < 100", None),
    ("SELECT sum(f), avg(f), min(f), max(f) FROM {t}", True),
    ("SELECT min(s), max(s), count(*) FROM {t}", None),
    ("SELECT min(s) FROM {t}", True),
    ("SELECT max(s) FROM {t}", True),
    ("SELECT min(at), max(at), min(day), max(day) FROM {t}", True),
    ("SELECT bool_and(b), bool_or(b), every(b), count(b) FROM {t}", True),
    ("SELECT bool_and(b), bool_or(b), count(*) FROM {t} WHERE _id > 14", True),
    ("SELECT min(v), max(v) FROM {t}", True),
    # of nothing, of NULLs alone
    ("SELECT count(*), count(n), sum(n), avg(n), min(s), max(f), bool_or(b), sum(f), sum(k) "
     "FROM {t} WHERE _id = 999", True),
    ("SELECT count(*), sum(n) FROM {t} WHERE n = NULL::int", None),
    ("SELECT count(*), count(n), sum(n), avg(n), sum(f), avg(f), sum(k), avg(k), min(n), "
     "max(f), bool_and(b) FROM {t} WHERE _id = 5", True),
    ("SELECT count(*) + 1, sum(n) * 2, 'x' FROM {t} WHERE _id = 999", True),
    ("SELECT coalesce(sum(n), 0) FROM {t} WHERE _id = 999", True),
    # groups
    ("SELECT g, count(*), sum(n) FROM {t} GROUP BY g", True),
    ("SELECT g FROM {t} GROUP BY g", True),
    ("SELECT count(*) FROM {t} GROUP BY g", True),
    ("SELECT g, count(*) FROM {t} WHERE _id = 999 GROUP BY g", True),
    ("SELECT f, count(*) FROM {t} GROUP BY f", True),
    ("SELECT s, count(*) FROM {t} GROUP BY s", True),
    ("SELECT b, g, count(*) FROM {t} GROUP BY b, g", True),
    ("SELECT day, count(*), max(at) FROM {t} GROUP BY day", True),
    ("SELECT at, o, count(*) FROM {t} GROUP BY at, o", True),
    ("SELECT w, count(*), min(n) FROM {t} GROUP BY w", True),
    ("SELECT v, count(*), min(v) FROM {t} GROUP BY v", True),
    ("SELECT c, count(*), min(c), max(c) FROM {t} GROUP BY c", None),
    ("SELECT x, sum(x), avg(x) FROM {t} GROUP BY x", None),
    ("SELECT r, sum(r), avg(r) FROM {t} WHERE r < 100 GROUP BY r", None),
    ("SELECT g, avg(n), avg(f), min(f), max(f), sum(f) FROM {t} GROUP BY g", True),
    ("SELECT g IS NULL, count(*) FROM {t} GROUP BY g IS NULL", True),
    ("SELECT (g = 1) AS one, count(*) FROM {t} GROUP BY g = 1", True),
    ("SELECT g, (g + 1) * count(*) FROM {t} GROUP BY g", True),
    ("SELECT coalesce(g, -1) + 1, count(*) FROM {t} GROUP BY coalesce(g, -1)", True),
    ("SELECT g, g, count(*), count(*) FROM {t} GROUP BY g", True),
    ("SELECT 1, count(*) FROM {t} GROUP BY 1", None),
    ("SELECT g, count(*) FROM {t} WHERE g = 1 GROUP BY g", None),
    ("SELECT s, v, count(*) FROM {t} GROUP BY s, v", True),
    # FILTER, HAVING
    ("SELECT count(*) FILTER (WHERE n > 1), sum(n) FILTER (WHERE b), "
     "max(f) FILTER (WHERE g = 2), avg(n) FILTER (WHERE s = 'a') FROM {t}", True),
    ("SELECT g, sum(n) FILTER (WHERE b), count(n) FILTER (WHERE n <> 5) FROM {t} GROUP BY g",
     True),
    ("SELECT sum(f) FILTER (WHERE f > 0 AND f < 100), min(f) FILTER (WHERE f <> 'NaN') FROM {t}",
     True),
    ("SELECT g, count(*) FROM {t} GROUP BY g HAVING count(*) > 1", True),
    ("SELECT g FROM {t} GROUP BY g HAVING count(*) > 1 AND (sum(n) > 3 OR g IS NULL)", True),
    ("SELECT g FROM {t} GROUP BY g HAVING avg(n) > 1", True),
    ("SELECT g FROM {t} GROUP BY g HAVING sum(n) IS NULL OR max(s) = 'a'", True),
    ("SELECT g, max(f) FROM {t} GROUP BY g HAVING max(f) > 'Infinity' OR min(f) < 0", True),
    ("SELECT g FROM {t} GROUP BY g HAVING g > 1", True),
    ("SELECT count(*) FROM {t} HAVING count(*) > 1", True),
    ("SELECT count(*) FROM {t} HAVING count(*) > 100", True),
    ("SELECT sum(n) FROM {t} WHERE _id = 999 HAVING sum(n) IS NULL", True),
    ("SELECT 1 FROM {t} HAVING true", None),
    ("SELECT g, count(*) FROM {t} GROUP BY g HAVING sum(k) > 1", True),
    # in order
    ("SELECT g, count(*) FROM {t} GROUP BY g ORDER BY g", True),
    ("SELECT g, count(*) FROM {t} GROUP BY g ORDER BY count(*) DESC, g NULLS FIRST LIMIT 3",
     True),
    ("SELECT g, max(f) FROM {t} GROUP BY g ORDER BY max(f) DESC NULLS LAST, g LIMIT 3 OFFSET 1",
     True),
    ("SELECT g FROM {t} GROUP BY g ORDER BY sum(n), g LIMIT 4", True),
    ("SELECT g FROM {t} GROUP BY g ORDER BY avg(n), g LIMIT 4", True),
    ("SELECT g FROM {t} GROUP BY g HAVING avg(n) > 0 ORDER BY g LIMIT 2", True),
    # DISTINCT
    ("SELECT DISTINCT g FROM {t}", True),
    ("SELECT DISTINCT g, b FROM {t} ORDER BY g, b LIMIT 5", True),
    ("SELECT DISTINCT f FROM {t} ORDER BY f DESC", True),
    ("SELECT DISTINCT coalesce(g, 0) FROM {t}", True),
    ("SELECT DISTINCT x FROM {t}", None),
    ("SELECT DISTINCT count(*) FROM {t} GROUP BY g", None),
    ("SELECT count(DISTINCT g), sum(DISTINCT n) FROM {t}", False),
    ("SELECT min(DISTINCT n), max(DISTINCT n) FROM {t}", True),
    ("SELECT count(DISTINCT n), sum(DISTINCT n), avg(DISTINCT n), stddev(DISTINCT n) FROM {t}",
     True),
    ("SELECT g, count(DISTINCT s), count(*), sum(n), avg(k), min(f), max(f), sum(f), avg(f), "
     "variance(n), count(n), min(s) FROM {t} GROUP BY g", False),
    ("SELECT g, count(DISTINCT s), count(*), sum(n), avg(k), min(f), max(f), sum(f), avg(f), "
     "variance(n), count(n), bool_or(b), max(at) FROM {t} GROUP BY g", True),
    ("SELECT count(DISTINCT f), sum(DISTINCT f), avg(DISTINCT f) FROM {t} WHERE f < 100", True),
    ("SELECT g, count(DISTINCT f) FROM {t} GROUP BY g", True),
    ("SELECT count(DISTINCT b), count(DISTINCT b) FILTER (WHERE n > 1) FROM {t}", False),
    ("SELECT g, count(DISTINCT b) FILTER (WHERE n > 1), sum(n) FILTER (WHERE b), "
     "count(*) FILTER (WHERE n > 1) FROM {t} GROUP BY g", True),
    ("SELECT count(DISTINCT at), count(DISTINCT at) * 2 FROM {t}", True),
    ("SELECT count(DISTINCT day), count(DISTINCT day) - count(day) FROM {t}", True),
    ("SELECT count(DISTINCT o) FROM {t}", True),
    ("SELECT count(DISTINCT g + 1), count(DISTINCT w) FROM {t} WHERE g < 9", False),
    ("SELECT count(DISTINCT n) FROM {t} WHERE _id = 999", True),
    ("SELECT count(DISTINCT n), sum(DISTINCT n), count(*) FROM {t} WHERE _id = 5", True),
    ("SELECT g, count(DISTINCT n) FROM {t} GROUP BY g HAVING count(DISTINCT n) > 1 "
     "ORDER BY count(DISTINCT n) DESC, g LIMIT 2", True),
    ("SELECT s, count(DISTINCT s), count(DISTINCT s) FROM {t} GROUP BY s", True),
    ("SELECT g, count(DISTINCT x), count(DISTINCT c) FROM {t} GROUP BY g", False),
    ("SELECT count(DISTINCT 1), count(DISTINCT n) FROM {t}", False),
    ("SELECT count(DISTINCT s COLLATE \"en-x-icu\") FROM {t}", True),
    ("SELECT count(DISTINCT (s COLLATE indifferent)) FROM {t}", False),
    # their own ORDER BY
    ("SELECT sum(n ORDER BY k), count(n ORDER BY at DESC), avg(DISTINCT n ORDER BY n) FROM {t}",
     True),
    ("SELECT sum(f ORDER BY n), sum(n ORDER BY x) FROM {t} WHERE f < 100", False),
    ("SELECT sum(n ORDER BY x) FROM {t}", False),
    # variances
    ("SELECT stddev(n), variance(n), stddev_pop(n), var_pop(n), stddev_samp(n), var_samp(n) "
     "FROM {t}", True),
    ("SELECT stddev(small), variance(small), stddev_pop(small), var_pop(small), "
     "stddev_samp(small), var_samp(small) FROM {t}", True),
    ("SELECT stddev(k), variance(k), stddev_pop(k), var_pop(k), stddev_samp(k), var_samp(k) "
     "FROM {t}", True),
    ("SELECT g, stddev(n), variance(k), var_pop(n), stddev_pop(k) FROM {t} GROUP BY g", True),
    ("SELECT stddev(n), var_pop(n), variance(k), stddev_pop(k) FROM {t} WHERE _id = 1", True),
    ("SELECT stddev(n), var_pop(n), variance(k) FROM {t} WHERE _id IN (5, 999)", True),
    ("SELECT variance(n) FILTER (WHERE n < 100), stddev(k) FILTER (WHERE n > 1) FROM {t}", True),
    ("SELECT g FROM {t} GROUP BY g HAVING variance(n) > 1 ORDER BY g", True),
    ("SELECT stddev(f), var_pop(f) FROM {t} WHERE f < 100", False),
    # what is computed here
    ("SELECT array_agg(n ORDER BY _id), string_agg(v, ',' ORDER BY _id) FROM {t}", False),
    ("SELECT jsonb_agg(n ORDER BY _id) FROM {t}", False),
    ("SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY n) FROM {t}", False),
    ("SELECT g, b, count(*) FROM {t} GROUP BY ROLLUP (g, b)", False),
    ("SELECT g, grouping(g), count(*) FROM {t} GROUP BY GROUPING SETS ((g), ())", False),
    ("SELECT min(s COLLATE \"en-x-icu\") FROM {t}", False),
    ("SELECT sum(n + 1) FROM {t} WHERE n < 100", None),
    ("SELECT sum(_id) FROM {t} WHERE v LIKE '%x%'", None),
    ("SELECT g, count(*) OVER () FROM {t} GROUP BY g", None),
    ("SELECT count(*) FROM (SELECT g FROM {t} GROUP BY g) x", None),
    ("SELECT count(*) FROM (SELECT n FROM {t} ORDER BY _id LIMIT 3) x", None),
    ("SELECT t._id, (SELECT count(*) FROM {t} u WHERE u.g = t.g) FROM {t} t", None),
    ("SELECT _id FROM {t} WHERE n = (SELECT max(n) FROM {t})", None),
    ("SELECT a.g, count(*), sum(b.n) FROM {t} a JOIN {t} b ON a.g = b._id GROUP BY a.g", None),
    ("SELECT g, count(*) FROM {t} GROUP BY g UNION ALL SELECT n, 0 FROM {t}", None),
]


def agree(db):
    """Run the queries three ways."""
    db.mongo_server("m", os.environ["MONGO_URI"])
    db.foreign_table("t", "m", FOREIGN, database="aggregate", collection="t",
                     on_mismatch="null")
    db.execute(f"CREATE TABLE l ({LOCAL}); SET pynomaly_store.enable_pushdown = off; "
               "INSERT INTO l SELECT * FROM t; RESET pynomaly_store.enable_pushdown; ANALYZE l")
    db.execute("CREATE COLLATION indifferent (provider = icu, locale = 'und-u-ks-level2', "
               "deterministic = false)")
    for query, shipped in QUERIES:
        expected = typed_rows(db, query.format(t="l"))
        is_(typed_rows(db, query.format(t="t")), expected, query)
        db.execute("SET pynomaly_store.enable_pushdown = off")
        is_(typed_rows(db, query.format(t="t")), expected, query + ", nothing shipped")
        db.execute("RESET pynomaly_store.enable_pushdown")
        if shipped is not None:
            plan = db.explain(query.format(t="t"))
            ok(("Aggregate" not in plan and "Group" not in plan and "Unique" not in plan)
               == shipped, f"{query}: {'shipped' if shipped else 'not shipped'}", plan)


def typed_rows(db, query):
    """Return the types of a query's columns, and its rows as text, -0 being 0.

    Rows without an order are put into one.
    """
    cursor = db.execute(query)
    rows = [tuple("0" if str(value) in ("-0.0", "0.0") else str(value) for value in row)
            for row in cursor.fetchall()]
    types = [(column.type_code, column.internal_size, column.precision)
             for column in cursor.description]
    return types, rows if "ORDER BY" in query else sorted(rows)


def misfits(db):
    """A value that does not fit fails an aggregate, a group, a HAVING, a DISTINCT."""
    db.foreign_table("e", "m", FOREIGN, database="aggregate", collection="t")
    for query in ("SELECT sum(n) FROM e", "SELECT max(s) FROM e", "SELECT count(f) FROM e",
                  "SELECT count(*) FILTER (WHERE n > 0) FROM e",
                  "SELECT sum(_id) FILTER (WHERE b) FROM e",
                  "SELECT count(DISTINCT n) FROM e", "SELECT stddev(n) FROM e",
                  "SELECT count(DISTINCT _id) FILTER (WHERE b) FROM e",
                  "SELECT g, count(DISTINCT _id) FROM e GROUP BY g",
                  "SELECT count(DISTINCT _id), sum(n) FROM e",
                  "SELECT sum(_id ORDER BY n) FROM e",
                  "SELECT g FROM e GROUP BY g", "SELECT DISTINCT b FROM e LIMIT 1",
                  "SELECT g, count(*) FROM e GROUP BY g HAVING count(*) > 100",
                  "SELECT b, max(_id) FROM e GROUP BY b ORDER BY max(_id) DESC LIMIT 1",
                  "SELECT b, max(_id) FROM e GROUP BY b LIMIT 1",
                  "SELECT count(*) FROM e WHERE n IS NULL",
                  "SELECT count(*) FROM e WHERE n IS NOT NULL"):
        for pushdown in ("on", "off"):
            db.execute(f"SET pynomaly_store.enable_pushdown = {pushdown}")
            throws(lambda: db.rows(query), "22000", f"{query}, pushdown {pushdown}",
                   message="does not fit column")
    db.execute("RESET pynomaly_store.enable_pushdown")
    is_(db.value("SELECT sum(_id) FROM e WHERE n = 5"), 1,
        "documents that a condition excludes are not looked at")
    is_(db.value("SELECT count(*) FROM e"), 16, "nor are columns that nobody uses")


def overflows(db, client):
    """Where PostgreSQL raises an error, so does a shipped aggregate."""
    client["aggregate"].big.insert_many(
        [{"_id": number, "g": number % 2, "f": 1e308} for number in range(4)])
    db.foreign_table("big", "m", "_id int, g int, f float8", database="aggregate")
    for query in ("SELECT sum(f) FROM big", "SELECT g, sum(f) FROM big GROUP BY g",
                  "SELECT g FROM big GROUP BY g HAVING sum(f) < 0",
                  "SELECT g, avg(f) FROM big GROUP BY g LIMIT 1"):
        for pushdown in ("on", "off"):
            db.execute(f"SET pynomaly_store.enable_pushdown = {pushdown}")
            throws(lambda: db.rows(query), "22003", f"{query}, pushdown {pushdown}",
                   message="out of range: overflow")
    db.execute("RESET pynomaly_store.enable_pushdown")
    is_(db.value("SELECT sum(f) FROM big WHERE _id = 1"), 1e308, "1e308 alone is in range")


def variances(db, client):
    """Variances of random numbers of every size have PostgreSQL's digits."""
    rng = random.Random(4)
    documents = []
    for g in range(120):
        size, base = rng.randint(0, 62), rng.choice([0, 0, 1, -1])
        for _ in range(rng.randint(1, 9)):
            k = base * 2**62 + rng.randint(-2**size, 2**size - 1)
            documents.append({"_id": len(documents), "g": g, "k": Int64(k),
                              "n": rng.randint(-2**(size // 2), 2**(size // 2) - 1)})
    documents += [{"_id": -1, "g": -1, "k": Int64(2**63 - 1), "n": 2**31 - 1},
                  {"_id": -2, "g": -1, "k": Int64(-2**63), "n": -2**31}]
    client["aggregate"].many.insert_many(documents)
    db.foreign_table("many", "m", "_id int, g int, k int8, n int", database="aggregate")
    query = "SELECT g, " + ", ".join(
        f"{function}({column})::text" for column in ("k", "n")
        for function in ("var_pop", "var_samp", "stddev_pop", "stddev_samp")
    ) + " FROM many GROUP BY g ORDER BY g"
    shipped = db.rows(query)
    ok('"$group"' in db.explain(query), "variances are shipped")
    db.execute("SET pynomaly_store.enable_pushdown = off")
    for left, right in zip(shipped, db.rows(query)):
        if left != right:
            is_(left, right, "the variances of a group")
    is_(shipped, db.rows(query), f"the variances of {len(shipped)} groups")
    db.execute("RESET pynomaly_store.enable_pushdown")


def parameters(db):
    """Parameters stand in aggregates, groups and HAVING, in every kind of plan."""
    for plans in ("force_custom_plan", "force_generic_plan"):
        db.execute(f"SET plan_cache_mode = {plans}")
        for name in ("t", "l"):
            db.execute(f"""PREPARE p{name} (int, bigint) AS
                SELECT g, count(*) FILTER (WHERE n > $1), coalesce(g, $1) AS c FROM {name}
                WHERE n < $1 + 100 OR n IS NULL GROUP BY g, coalesce(g, $1)
                HAVING count(*) > $2 ORDER BY g, c""")
        for arguments in ("1, 0", "2, 1", "NULL, 0", "1, NULL"):
            is_(db.rows(f"EXECUTE pt ({arguments})"), db.rows(f"EXECUTE pl ({arguments})"),
                f"{plans}: {arguments}")
        db.execute("DEALLOCATE pt; DEALLOCATE pl")
    db.execute("RESET plan_cache_mode")
    is_(db.rows("SELECT y, (SELECT count(*) FROM t WHERE g = y) FROM generate_series(1, 6) y "
                "ORDER BY y"), [(1, 3), (2, 3), (3, 2), (4, 2), (5, 2), (6, 0)],
        "an aggregate that is scanned again has its row of nothing again")


def partitions(db, client):
    """Partitions that are foreign tables are aggregated each by its server."""
    for part in (1, 2):
        client["aggregate"][f"part{part}"].insert_many(
            [{"_id": number, "p": part, "n": number % 3} for number in range(10)])
    db.execute("CREATE TABLE parts (_id int, p int, n int) PARTITION BY LIST (p)")
    for part in (1, 2):
        db.execute(f"CREATE FOREIGN TABLE part{part} PARTITION OF parts FOR VALUES IN ({part}) "
                   "SERVER m OPTIONS (database 'aggregate')")
    db.execute("SET enable_partitionwise_aggregate = on")
    query = "SELECT p, count(*), avg(n), max(n) FROM parts GROUP BY p HAVING count(*) > 1"
    is_(typed_rows(db, query)[1], sorted([("1", "10", "0.90000000000000000000", "2"),
                                          ("2", "10", "0.90000000000000000000", "2")]),
        "by the partition key")
    plan = db.explain(query)
    ok(plan.count('"$group"') == 2 and "Aggregate" not in plan, "each by its server", plan)
    is_(db.rows("SELECT n, count(*) FROM parts GROUP BY n ORDER BY n"), [(0, 8), (1, 6), (2, 6)],
        "by another column")
    db.execute("RESET enable_partitionwise_aggregate")


def switches(db):
    """A setting and options switch it off; a hand-made aggregate is not shipped."""
    for setting in ("enable_aggregate_pushdown", "enable_pushdown"):
        db.execute(f"SET pynomaly_store.{setting} = off")
        plan = db.explain("SELECT count(*) FROM t")
        ok('"$group"' not in plan, f"{setting} = off", plan)
        db.execute(f"RESET pynomaly_store.{setting}")
    db.execute("SET pynomaly_store.enable_expression_pushdown = off")
    for query in ("SELECT g IS NULL, count(*) FROM t GROUP BY g IS NULL",
                  "SELECT count(*) FILTER (WHERE b) FROM t",
                  "SELECT count(g = 1) FROM t"):
        plan = db.explain(query)
        is_('"$group"' in plan, "FILTER" in query, f"{query}, enable_expression_pushdown = off")
    db.execute("RESET pynomaly_store.enable_expression_pushdown")
    db.execute("CREATE AGGREGATE public.sum (int) (sfunc = int4pl, stype = int4, initcond = 1)")
    plan = db.explain("SELECT public.sum(n) FROM t WHERE n < 10")
    ok('"$group"' not in plan, "an aggregate that is only called sum", plan)
    db.execute("ALTER FOREIGN TABLE t OPTIONS (ADD enable_aggregate_pushdown 'false')")
    plan = db.explain("SELECT count(*) FROM t")
    ok('"$group"' not in plan, "an option of the table", plan)


with mongo_client() as client, database() as db:
    client.drop_database("aggregate")
    client["aggregate"].t.insert_many(DOCUMENTS)
    agree(db)
    misfits(db)
    overflows(db, client)
    variances(db, client)
    parameters(db)
    partitions(db, client)
    switches(db)
    client.drop_database("aggregate")
done()
