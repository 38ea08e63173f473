"""Where other wrappers give wrong rows: aggregates, joins, sorts, limits.

Every query runs with all that can be sent to MongoDB and without, and has to
give rows that are written down here.  TRAPS.md says which line is where.
"""
import datetime
import os
import re
from decimal import Decimal

from bson import Decimal128, Int64

from servers.harness import *
from traps import run_groups

NAN = float("nan")
BILLION = 10 ** 9


def stages(traps, query):
    """Return the names of the stages that a query sends, in order."""
    command = traps.command(query)
    return [name for name in ("$match", "$lookup", "$group", "$sort", "$skip", "$limit")
            if f'"{name}"' in command]


def ships(traps, query, *names):
    """Test that a query sends such stages."""
    missing = [name for name in names if name not in stages(traps, query)]
    is_(missing, [], f"sent: {', '.join(names)} of {query}")


def keeps(traps, query, *names):
    """Test that a query does not send such stages."""
    sent = [name for name in names if name in stages(traps, query)]
    is_(sent, [], f"not sent: {', '.join(names)} of {query}")


def nothing(traps):
    """Aggregates over no rows, and over NULLs alone."""
    empty = traps.table("_id int, x int, f float8, s text", [])
    traps.both("no rows", f"SELECT count(*), count(x), sum(x), avg(x), min(x), max(f), "
               f"sum(f), bool_and(x > 1), min(s) FROM {empty}",
               [(0, 0, None, None, None, None, None, None, None)])
    traps.both("no rows, no groups", f"SELECT x, count(*) FROM {empty} GROUP BY x", [])
    traps.both("HAVING over no rows", f"SELECT sum(x) FROM {empty} HAVING count(*) = 0",
               [None])
    traps.both("HAVING over no rows, false",
               f"SELECT sum(x) FROM {empty} HAVING count(*) > 0", [])
    nulls = traps.table("_id int, x int, f float8",
                        [{"_id": 1}, {"_id": 2, "x": None, "f": None}])
    traps.both("NULLs alone", f"SELECT count(*), count(x), sum(x), avg(f), max(x) "
               f"FROM {nulls}", [(2, 0, None, None, None)])
    traps.both("a condition that selects nothing",
               f"SELECT count(*), sum(x) FROM {nulls} WHERE x = 1", [(0, None)])
    ships(traps, f"SELECT count(*), sum(x) FROM {nulls}", "$group")


def sums(traps):
    """Sums and averages have PostgreSQL's types and exactness."""
    table = traps.table(
        "_id int, i int, b int8, s int2, f float8",
        [{"_id": 1, "i": 2 ** 31 - 1, "b": Int64(2 ** 63 - 1), "s": 32767, "f": 0.5},
         {"_id": 2, "i": 2 ** 31 - 1, "b": Int64(2 ** 63 - 1), "s": 32767, "f": 0.25},
         {"_id": 3, "i": 1, "b": Int64(1), "s": 2.0, "f": 1},
         {"_id": 4}])
    traps.both("sums", f"SELECT sum(i), sum(b), sum(s), sum(f) FROM {table}",
               [(2 ** 32 - 1, Decimal(2 ** 64 - 1), 65536, 1.75)])
    traps.both("types", f"SELECT pg_typeof(sum(i))::text, pg_typeof(sum(b))::text, "
               f"pg_typeof(avg(i))::text, pg_typeof(avg(f))::text FROM {table}",
               [("bigint", "numeric", "numeric", "double precision")])
    traps.both("averages", f"SELECT avg(i)::text, avg(b)::text, avg(s)::text FROM {table}",
               [("1431655765.00000000", "6148914691236517205",
                 "21845.333333333333")])
    traps.both("negative sums",
               f"SELECT sum(-b), sum(i - 3), count(i), count(*) FROM {table}",
               [(Decimal(1 - 2 ** 64), 2 ** 32 - 10, 3, 4)])
    traps.both("DISTINCT", f"SELECT count(DISTINCT i), sum(DISTINCT i), "
               f"count(DISTINCT b) FROM {table}", [(2, 2 ** 31, 2)])
    traps.both("FILTER", f"SELECT sum(i) FILTER (WHERE f < 1), "
               f"count(*) FILTER (WHERE i IS NULL) FROM {table}",
               [(2 ** 32 - 2, 1)])
    ships(traps, f"SELECT sum(i), sum(b), avg(i) FROM {table}", "$group")
    decimals = traps.table("_id int, d numeric", [
        {"_id": 1, "d": Decimal128("0.1234567890123456789012345678901234")},
        {"_id": 2, "d": Decimal128("9999999999999999999999999999999999")},
        {"_id": 3, "d": 0.1}])
    traps.both("numeric", f"SELECT sum(d)::text, max(d)::text, min(d)::text FROM "
               f"{decimals}", [(
                   "9999999999999999999999999999999999"
                   ".2234567890123456789012345678901234",
                   "9999999999999999999999999999999999", "0.1")])
    traps.both("avg(numeric)", f"SELECT avg(d)::text FROM {decimals} WHERE _id <> 2",
               ["0.1117283945061728394506172839450617"])


def extremes(traps):
    """min and max of every kind of type, beside other aggregates."""
    table = traps.table(
        '_id int, c char(5), t text COLLATE "C", u text, d date, z timestamptz, '
        "n numeric(8,2), f float8",
        [{"_id": 1, "c": "ab", "t": "Zoe", "u": "Zoe", "d": datetime.datetime(2020, 1, 2, 3),
          "z": datetime.datetime(2020, 1, 2, 3), "n": Decimal128("1.50"), "f": NAN},
         {"_id": 2, "c": "b", "t": "adam", "u": "adam",
          "d": datetime.datetime(2020, 1, 2, 23), "z": datetime.datetime(2020, 1, 2, 23),
          "n": 1.25, "f": 5},
         {"_id": 3, "c": "a ", "f": -0.0}])
    traps.both("extremes", f"SELECT count(*), min(c), max(c), length(max(c)), "
               f"max(d)::text, min(n)::text, max(n)::text FROM {table}",
               [(3, "a    ", "b    ", 1, "2020-01-02", "1.25", "1.50")])
    traps.both("strings", f'SELECT min(t), max(t), min(u COLLATE "und-x-icu"), '
               f'max(u COLLATE "und-x-icu") FROM {table}', [("Zoe", "adam", "adam", "Zoe")])
    traps.both("NaN is the greatest", f"SELECT max(f)::text, min(f)::text FROM {table}",
               [("NaN", "-0")])
    traps.both("NaN alone", f"SELECT min(f)::text FROM {table} WHERE _id = 1", ["NaN"])
    traps.both("moments", f"SELECT max(z) - min(z), count(DISTINCT d) FROM {table}",
               [(datetime.timedelta(hours=20), 1)])


def groups(traps):
    """NULL, missing and what does not fit make one group."""
    documents = [{"_id": 1, "g": 1, "x": 1}, {"_id": 2, "g": 1.0, "x": 2},
                 {"_id": 3, "g": Decimal128("1"), "x": 3}, {"_id": 4, "x": 4},
                 {"_id": 5, "g": None, "x": 5}, {"_id": 6, "g": "1", "x": 6},
                 {"_id": 7, "g": [1], "x": 7}, {"_id": 8, "g": 1.5, "x": 8},
                 {"_id": 9, "g": Int64(2), "x": 9}]
    table = traps.table("_id int, g int, x int", documents)
    by_group = f"SELECT g, count(*), sum(x) FROM {table} GROUP BY g"
    traps.both("one NULL group", f"{by_group} ORDER BY g",
               [(1, 3, 6), (2, 1, 9), (None, 5, 30)])
    ships(traps, by_group, "$group")
    traps.both("HAVING", f"{by_group} HAVING count(*) > 1 AND sum(x) < 10 OR g = 2 "
               "ORDER BY g", [(1, 3, 6), (2, 1, 9)])
    traps.both("HAVING of others", f"SELECT g FROM {table} GROUP BY g "
               "HAVING min(x) = 1 OR max(x) = 8 ORDER BY g", [1, None])
    traps.both("HAVING of NULL", f"{by_group} HAVING g > 0 ORDER BY g",
               [(1, 3, 6), (2, 1, 9)])
    traps.both("by an expression", f"SELECT g + 1, count(*) FROM {table} GROUP BY g + 1 "
               "ORDER BY 1", [(2, 3), (3, 1), (None, 5)])
    traps.both("DISTINCT", f"SELECT DISTINCT g FROM {table} ORDER BY g", [1, 2, None])
    strict = traps.table("_id int, g int, x int", documents[:6], on_mismatch="error")
    for name, query in {
            "grouped by": by_group, "summed": "SELECT sum(g) FROM {}",
            "counted": "SELECT count(g) FROM {}", "sorted by": "SELECT _id FROM {} ORDER BY g",
            "made distinct": "SELECT DISTINCT g FROM {}",
            "tested for NULL": "SELECT count(*) FROM {} WHERE g IS NULL"}.items():
        traps.fails(f"a value that does not fit is {name}",
                    query.replace(table, "{}").format(strict), "22000")
    floats = traps.table("_id int, f float8", [
        {"_id": 1, "f": NAN}, {"_id": 2, "f": NAN}, {"_id": 3, "f": 0.0},
        {"_id": 4, "f": -0.0}, {"_id": 5, "f": 0}])
    traps.both("NaN and zeros", f"SELECT abs(f)::text, count(*) FROM {floats} GROUP BY f "
               "ORDER BY 1", [("0", 3), ("NaN", 2)])


def joins(traps):
    """Joins on missing fields, across databases, with names that look alike."""
    left = traps.table(
        '_id int, k int, "a.b" text OPTIONS (field \'a.b\'), a_b text',
        [{"_id": 1, "k": 1, "a": {"b": "deep"}, "a_b": "flat"}, {"_id": 2},
         {"_id": 3, "k": None}, {"_id": 4, "k": [1]}, {"_id": 5, "k": "1"},
         {"_id": 6, "k": 2.0}])
    right = traps.table(
        '_id int, k int, "a.b" text OPTIONS (field \'a.b\'), a_b text',
        [{"_id": 1, "k": 1.0, "a": {"b": "r deep"}, "a_b": "r flat"}, {"_id": 2},
         {"_id": 3, "k": None}, {"_id": 4, "k": [1]}, {"_id": 5, "k": Int64(2)},
         {"_id": 6, "k": 2}])
    on = f"FROM {left} l {{}} JOIN {right} r ON l.k = r.k"
    traps.both("inner", f"SELECT l._id, r._id {on.format('')} ORDER BY 1, 2",
               [(1, 1), (6, 5), (6, 6)])
    traps.both("left", f"SELECT l._id, r._id {on.format('LEFT')} ORDER BY 1, 2",
               [(1, 1), (2, None), (3, None), (4, None), (5, None), (6, 5), (6, 6)])
    traps.both("full", f"SELECT count(*), count(l._id), count(r._id) {on.format('FULL')}",
               [(10, 7, 6)])
    traps.both("EXISTS", f"SELECT _id FROM {left} l WHERE EXISTS (SELECT FROM {right} r "
               "WHERE r.k = l.k) ORDER BY 1", [1, 6])
    traps.both("NOT EXISTS", f"SELECT _id FROM {left} l WHERE NOT EXISTS (SELECT FROM "
               f"{right} r WHERE r.k = l.k) ORDER BY 1", [2, 3, 4, 5])
    traps.both("NOT IN with a NULL", f"SELECT _id FROM {left} WHERE k NOT IN "
               f"(SELECT k FROM {right})", [])
    traps.both("names that look alike", f'SELECT l."a.b", l.a_b, r."a.b", r.a_b '
               f"{on.format('')} WHERE l._id = 1",
               [("deep", "flat", "r deep", "r flat")])
    traps.both("LIMIT over a join", f"SELECT l._id, r._id {on.format('')} "
               "ORDER BY 1, 2 LIMIT 2 OFFSET 1", [(6, 5), (6, 6)])
    traps.both("aggregates over a join", f"SELECT l.k, count(*), sum(r._id) "
               f"{on.format('LEFT')} GROUP BY l.k ORDER BY 1",
               [(1, 1, 1), (2, 2, 11), (None, 4, None)])
    other_places(traps, left, right)


def other_places(traps, left, right):
    """Tables of other databases and servers are not joined there."""
    traps.db.execute(f"CREATE FOREIGN TABLE elsewhere (_id int, k int) SERVER real "
                     f"OPTIONS (database 'elsewhere', collection '{right}')")
    query = f"SELECT count(*) FROM {left} l JOIN elsewhere e ON l.k = e.k"
    traps.both("a join with another database", query, [0])
    ok("$lookup" not in traps.db.explain(query), "is not sent as one")
    traps.db.mongo_server("twin", os.environ["MONGO_URI"])
    traps.db.foreign_table("twin_t", "twin", "_id int, k int", database=traps.db.name,
                           collection=right, on_mismatch="null")
    query = f"SELECT l._id, e._id FROM {left} l JOIN twin_t e ON l.k = e.k ORDER BY 1, 2"
    traps.both("a join with another server", query, [(1, 1), (6, 5), (6, 6)])
    ok("$lookup" not in traps.db.explain(query), "is not sent as one")


def limits(traps):
    """Limits of 64 bits, over conditions that are not sent, DISTINCT, NULL."""
    table = traps.table("_id int, n int", [
        {"_id": number, "n": number % 4} for number in range(1, 21)])
    traps.both("a large LIMIT", f"SELECT count(*) FROM (SELECT _id FROM {table} "
               "LIMIT 4294967297) s", [20])
    traps.both("a large OFFSET", f"SELECT _id FROM {table} OFFSET 4294967296", [])
    traps.both("the largest", f"SELECT _id FROM {table} ORDER BY _id LIMIT "
               "9223372036854775807 OFFSET 18", [19, 20])
    traps.both("no LIMIT", f"SELECT count(*) FROM (SELECT _id FROM {table} LIMIT NULL) s",
               [20])
    traps.both("LIMIT 0", f"SELECT _id FROM {table} LIMIT 0", [])
    unshipped = f"SELECT _id FROM {table} WHERE md5(n::text) = md5('3') ORDER BY _id LIMIT 2"
    traps.both("over a condition that is not sent", unshipped, [3, 7])
    keeps(traps, unshipped, "$limit")
    traps.both("over DISTINCT", f"SELECT DISTINCT n FROM {table} ORDER BY n LIMIT 2 OFFSET 1",
               [1, 2])
    traps.both("WITH TIES", f"SELECT n FROM {table} ORDER BY n FETCH FIRST 2 ROWS WITH TIES",
               [0, 0, 0, 0, 0])
    traps.fails("a negative LIMIT", f"SELECT _id FROM {table} LIMIT -1", "2201W")
    traps.fails("a negative OFFSET", f"SELECT _id FROM {table} OFFSET -1", "2201X")
    traps.both("as parameters", f"SELECT _id FROM {table} ORDER BY _id LIMIT %s OFFSET %s",
               [3, 4], (2, 2))
    ships(traps, f"SELECT _id FROM {table} WHERE n = 1 LIMIT 2", "$match", "$limit")
    traps.both("sent with its condition",
               f"SELECT count(*) FROM (SELECT _id FROM {table} WHERE n = 1 LIMIT 2) s", [2])


def orders(traps):
    """Orders have NULLs where they belong, and are sent."""
    table = traps.table('_id int, n int, s text COLLATE "C", f float8', [
        {"_id": 1, "n": 2, "s": "b", "f": NAN}, {"_id": 2, "s": "B", "f": 1},
        {"_id": 3, "n": 1.0, "f": -0.0}, {"_id": 4, "n": None, "s": "a"},
        {"_id": 5, "n": Int64(3), "s": "é", "f": float("inf")}])
    for order, expected in {
            "n, _id": [3, 1, 5, 2, 4], "n DESC, _id": [2, 4, 5, 1, 3],
            "n NULLS FIRST, _id": [2, 4, 3, 1, 5],
            "n DESC NULLS LAST, _id": [5, 1, 3, 2, 4],
            "s, _id": [2, 4, 1, 5, 3], "s DESC NULLS LAST, _id": [5, 1, 4, 2, 3],
            "f, _id": [3, 2, 5, 1, 4], "f DESC, _id": [4, 1, 5, 2, 3],
            "n IS NULL, s DESC, _id": [3, 5, 1, 4, 2],
            "n + 1 DESC NULLS LAST, _id": [5, 1, 3, 2, 4]}.items():
        traps.both(f"ORDER BY {order}", f"SELECT _id FROM {table} ORDER BY {order}", expected)
        traps.both(f"ORDER BY {order} LIMIT 2",
                   f"SELECT _id FROM {table} ORDER BY {order} LIMIT 2", expected[:2])
    for order in ("n, _id", "n DESC, _id", "n NULLS FIRST, _id"):
        ships(traps, f"SELECT _id FROM {table} ORDER BY {order} LIMIT 2", "$sort", "$limit")
    keeps(traps, f"SELECT _id FROM {table} ORDER BY s, _id LIMIT 2", "$sort", "$limit")
    # only a server that is said to can sort strings; the one of the tests cannot
    traps.db.execute(f"ALTER FOREIGN TABLE {table} OPTIONS (sort_strings 'true')")
    by_bytes = f"SELECT _id FROM {table} ORDER BY s, _id LIMIT 2"
    ships(traps, by_bytes, "$sort", "$limit")
    like(traps.command(by_bytes), '"collation":{"locale":"simple"}', "sent: by their bytes")
    keeps(traps, f'SELECT _id FROM {table} ORDER BY s COLLATE "und-x-icu" LIMIT 2',
          "$sort", "$limit")


def rescans(traps):
    """A nested loop asks once for a batch of keys, not for each row."""
    table = traps.table("_id int, k int", [
        {"_id": number, "k": number % 50} for number in range(500)])
    traps.mongo[table].create_index("k")
    traps.db.execute("CREATE TABLE keys AS SELECT n AS k FROM generate_series(1, 40) n")
    traps.db.execute(f"ANALYZE keys, {table}")
    query = f"SELECT count(*), sum(t._id) FROM keys JOIN {table} t USING (k)"
    traps.both("a join with a local table", query,
               [(400, sum(n for n in range(500) if 1 <= n % 50 <= 40))])
    lines = traps.db.explain(query, "ANALYZE, COSTS OFF, TIMING OFF").splitlines()
    queries = [int(number) for number in re.findall(r"queries=(\d+)", "".join(lines))]
    ok(queries and sum(queries) <= 2, "asks at most twice", "\n".join(lines))


run_groups(nothing, sums, extremes, groups, joins, limits, orders, rescans)
