"""Where other wrappers give wrong rows: the lines WHERE and Reading values.

Every query runs with conditions sent to MongoDB and without, and has to give
rows that are written down here.  TRAPS.md says which line is tested where.
"""
import datetime
import uuid

import bson
import bson.json_util
import bson.raw_bson
from bson import Binary, Decimal128, Int64, ObjectId

from servers.harness import *
from traps import run_groups

UTC = datetime.timezone.utc
OID = "5381ccf9d6d81c8e5bf0114d"
NAN = float("nan")
INF = float("inf")


# ---------- WHERE ----------

def missing_fields(traps):
    """Comparisons never select documents without the field, or with null."""
    table = traps.table("_id int, n int", [
        {"_id": 1, "n": 10}, {"_id": 2, "n": 11}, {"_id": 3}, {"_id": 4, "n": None},
        {"_id": 5, "n": 9}])
    traps.ids(table, {
        "n < 11": [1, 5], "n <> 10": [2, 5], "n <= 10": [1, 5], "n = 10": [1],
        "n > 9": [1, 2], "NOT n = 10": [2, 5], "NOT n < 11": [2],
        "n IS NULL": [3, 4], "n IS NOT NULL": [1, 2, 5],
        "n NOT IN (9, 11)": [1], "n IN (9, NULL)": [5], "n NOT IN (9, NULL)": [],
        "n IS DISTINCT FROM 10": [2, 3, 4, 5], "n IS NOT DISTINCT FROM 10": [1],
        "n BETWEEN 9 AND 10": [1, 5], "n NOT BETWEEN 9 AND 10": [2],
        "(n < 11) IS NULL": [3, 4], "(n < 11) IS NOT TRUE": [2, 3, 4],
        "coalesce(n, 0) = 0": [3, 4], "n = n": [1, 2, 5]})


def other_types(traps):
    """A value of another type is NULL or an error, as on_mismatch says."""
    documents = [{"_id": 1, "n": 500}, {"_id": 2, "n": "500"}, {"_id": 3, "n": [500]},
                 {"_id": 4, "n": {"m": 500}}, {"_id": 5, "n": 500.0},
                 {"_id": 6, "n": 500.5}, {"_id": 7, "n": True}, {"_id": 8, "n": 50},
                 {"_id": 9, "n": Decimal128("500")}, {"_id": 10, "n": INF},
                 {"_id": 11, "n": Int64(2 ** 40)}, {"_id": 12, "n": [600, 700]}]
    table = traps.table("_id int, n int", documents)
    traps.ids(table, {
        "n > 100": [1, 5, 9], "n = 500": [1, 5, 9], "n < 100": [8], "n <> 50": [1, 5, 9],
        "n IS NULL": [2, 3, 4, 6, 7, 10, 11, 12], "n IN (500, 600)": [1, 5, 9],
        "n > 100 AND n < 1000": [1, 5, 9], "NOT n > 100": [8]})
    traps.both("as values", f"SELECT n FROM {table} ORDER BY _id",
               [500, None, None, None, 500, None, None, 50, 500, None, None, None])
    strict = traps.table("_id int, n int", documents, on_mismatch="error")
    traps.fails("a mismatch that is selected", f"SELECT n FROM {strict}", "22000",
                message='"n"', detail="_id 2 .*" + strict)
    traps.both("a mismatch in a column that is not used",
               f"SELECT count(*) FROM {strict}", [12])
    for part in ("count(n)", "min(n)", "sum(n)", "bool_or(n IS NULL)"):
        traps.fails(f"a mismatch that {part} computes with",
                    f"SELECT {part} FROM {strict}", "22000")
    traps.fails("IS NULL of a mismatch", f"SELECT _id FROM {strict} WHERE n IS NULL",
                "22000")

    arrays = traps.table("_id int, a int[]", [
        {"_id": 1, "a": [1, 2]}, {"_id": 2, "a": 1}, {"_id": 3, "a": []},
        {"_id": 4, "a": [1, "x"]}, {"_id": 5, "a": [[1, 2], [3, 4]]},
        {"_id": 6, "a": [[1], [2, 3]]}, {"_id": 7, "a": None}, {"_id": 8}])
    traps.both("arrays and what is none", f"SELECT a FROM {arrays} ORDER BY _id",
               [[1, 2], None, [], [1, None], [[1, 2], [3, 4]], None, None, None])
    traps.ids(arrays, {
        "a = '{1,2}'": [1], "1 = ANY (a)": [1, 4, 5], "a @> '{2}'": [1, 5],
        "a IS NULL": [2, 6, 7, 8], "a = '{}'": [3], "cardinality(a) = 2": [1, 4],
        "a[1] = 1": [1, 4], "a && '{4,9}'": [5]})
    within = traps.table("_id int, e int OPTIONS (field 'a.0'), "
                         "b int OPTIONS (field 'a.b')", [
                             {"_id": 1, "a": [5, 6]}, {"_id": 2, "a": {"0": 5, "b": 7}},
                             {"_id": 3, "a": [{"b": 7}]}, {"_id": 4, "a": 5}])
    traps.both("paths into arrays", f"SELECT e, b FROM {within} ORDER BY _id",
               [(5, None), (5, 7), (None, None), (None, None)])
    traps.ids(within, {"e = 5": [1, 2], "b = 7": [2], "b IS NULL": [1, 3, 4]})


def booleans(traps):
    """Three-valued logic, also as a value."""
    table = traps.table("_id int, a int, flag bool, other_flag bool", [
        {"_id": 1, "a": 1, "flag": True, "other_flag": True},
        {"_id": 2, "a": 9, "flag": False, "other_flag": True},
        {"_id": 3, "a": 1, "flag": False}, {"_id": 4, "a": 1, "flag": None},
        {"_id": 5, "a": 1}, {"_id": 6, "a": 1, "flag": "x"}, {"_id": 7, "a": 1, "flag": 1},
        {"_id": 8, "flag": True, "other_flag": False}])
    traps.ids(table, {
        "flag": [1, 8], "NOT flag": [2, 3], "flag IS TRUE": [1, 8],
        "flag IS NOT TRUE": [2, 3, 4, 5, 6, 7], "flag IS UNKNOWN": [4, 5, 6, 7],
        "flag IS NOT FALSE": [1, 4, 5, 6, 7, 8], "flag <> true": [2, 3],
        "flag = true": [1, 8], "flag < true": [2, 3], "flag = other_flag": [1],
        "flag <> other_flag": [2, 8], "(a < 5) = (NOT flag)": [3],
        "(a < 5) <> flag": [3], "flag OR other_flag": [1, 2, 8],
        "flag AND other_flag": [1], "NOT (flag AND other_flag)": [2, 3, 8],
        "NOT (flag OR a > 5)": [3], "flag OR a = 1": [1, 3, 4, 5, 6, 7, 8],
        "CASE WHEN flag THEN a = 1 ELSE a = 9 END": [1, 2],
        "flag IS NULL": [4, 5, 6, 7], "NOT flag IS NULL": [1, 2, 3, 8],
        "(flag AND NULL) IS NULL": [1, 4, 5, 6, 7, 8], "flag IN (true, NULL)": [1, 8]})
    traps.both("NOT flag as a value", f"SELECT NOT flag FROM {table} ORDER BY _id",
               [False, True, True, None, None, None, None, False])


def logic_and_arithmetic(traps):
    """AND, OR and NOT mixed, and arithmetic with PostgreSQL's rules."""
    table = traps.table("_id int, x int, y int", [
        {"_id": 1, "x": 1, "y": -7}, {"_id": 2, "x": 2, "y": 7}, {"_id": 3, "x": 5},
        {"_id": 4, "y": 7}, {"_id": 5, "x": 4, "y": -8}, {"_id": 6, "x": 2147483647}])
    traps.ids(table, {
        "x = 1 OR x / 2 = 1": [1, 2], "x = 1 OR (y = 7 AND x = 2)": [1, 2],
        "NOT (x = 1 OR y = 7)": [5], "NOT (x = 1 AND y = 7)": [1, 2, 3, 5, 6],
        "x = 1 OR NOT (y = 7 OR x = 5)": [1, 5], "(x = 1) IS NOT TRUE": [2, 3, 4, 5, 6],
        "x / 2 = 2": [3, 5], "y % 4 = -3": [1], "y % 4 = 3": [2, 4], "y / 2 = -3": [1],
        "-y = 7": [1], "abs(y) = 7": [1, 2, 4], "x::bigint + 1 = 2147483648": [6],
        "x + y = -6 AND x = 1": [1], "x = 2.0": [2], "x = 2.5": [],
        "x < 2.5": [1, 2], "x > 99999999999": [], "x < 99999999999": [1, 2, 3, 5, 6],
        "x = 1 AND false": [], "x = 1 OR true": [1, 2, 3, 4, 5, 6],
        "x = 1 AND NULL": [], "x IN (1, 2) AND x NOT IN (2, 3)": [1]})
    traps.fails("an overflow", f"SELECT _id FROM {table} WHERE x + 1 > 0", "22003")
    traps.fails("a division by zero", f"SELECT _id FROM {table} WHERE x / (x - 5) = 1",
                "22012")


def dollars(traps):
    """A text that looks like a field path or an operator is a text."""
    texts = ["$x", "$s", "$$ROOT", "$$NOW", "plain", "a.b", "{\"$gt\": 1}", "\\$x"]
    table = traps.table('_id int, s text COLLATE "C", x text', [
        {"_id": number, "s": text, "x": "plain"} for number, text in enumerate(texts)])
    for number, text in enumerate(texts):
        traps.both(f"s = {text}", f"SELECT _id FROM {table} WHERE s = %s", [number],
                   [text])
        traps.both(f"s IN ({text})", f"SELECT _id FROM {table} WHERE s = ANY (%s)",
                   [number], [[text]])
        literal = text.replace("'", "''")
        traps.both(f"s = '{text}'", f"SELECT _id FROM {table} WHERE s = '{literal}' ",
                   [number])


def identifiers(traps):
    """_id is found, through its index, whatever the column's type is."""
    other = "5381ccf9d6d81c8e5bf0114e"
    documents = [{"_id": ObjectId(OID), "n": 1}, {"_id": ObjectId(other), "n": 2},
                 {"_id": "not an ObjectId", "n": 3}, {"_id": OID.upper(), "n": 4}]
    table = traps.table('_id text COLLATE "C", n int', documents)
    named = "name_" + table
    traps.db.foreign_table(named, "real", "_id name, n int", database=traps.db.name,
                           collection=table, on_mismatch="null")
    for which in (table, named):
        for condition, expected in {
                f"_id = '{OID}'": [1], f"_id = '{OID.upper()}'": [4],
                f"_id IN ('{OID}', '{other}', 'x')": [1, 2],
                f"_id > '{OID}' AND _id < '6'": [2], "_id = 'not an ObjectId'": [3],
                "_id = 'abc'": [], "_id = ''": [], f"_id = '{OID[:-1]}z'": [],
                f"_id = '{OID}00'": [], f"_id <> '{OID}'": [2, 3, 4],
                f"_id >= '{OID}'": [1, 2, 3], f"_id < '{OID}'": [4],
                f"_id = '{OID}'::text || ''": [1]}.items():
            traps.both(f"{which}: {condition}",
                       f"SELECT n FROM {which} WHERE {condition} ORDER BY n", expected)
        for condition in (f"_id = '{OID}'", f"_id IN ('{OID}', '{other}')"):
            ok(traps.uses_index(f"SELECT n FROM {which} WHERE {condition}"),
               f"{which}: {condition} uses the index",
               traps.command(f"SELECT n FROM {which} WHERE {condition}"))
    for mode in ("force_generic_plan", "force_custom_plan"):
        traps.db.execute(f"SET plan_cache_mode = {mode}; DEALLOCATE ALL")
        traps.db.execute(f"PREPARE by_id (text) AS SELECT n FROM {table} WHERE _id = $1")
        is_(traps.db.rows(f"EXECUTE by_id ('{OID}')"), [(1,)], f"_id = $1, {mode}")
        is_(traps.db.rows("EXECUTE by_id (NULL)"), [], f"_id = NULL, {mode}")
        is_(traps.db.rows("EXECUTE by_id ('short')"), [], f"a short one, {mode}")
    traps.db.execute("RESET plan_cache_mode; DEALLOCATE ALL")

    for columns, literals in (
            ("_id bytea, n int", [f"'\\x{OID}'", f"'\\x{other}'", "'\\x00'"]),
            ("_id pynomaly.objectid, n int", [f"'{OID}'", f"'{other}'", f"'{'0' * 24}'"])):
        typed = f"typed_{table}_{columns.split()[1][:5]}".replace(".", "_")
        traps.db.foreign_table(typed, "real", columns, database=traps.db.name,
                               collection=table, on_mismatch="null")
        first, second, none = literals
        for condition, expected in {f"_id = {first}": [1],
                                    f"_id IN ({first}, {second})": [1, 2],
                                    f"_id > {first}": [2], f"_id = {none}": [],
                                    "_id IS NULL": [3, 4]}.items():
            traps.both(f"{columns}: {condition}",
                       f"SELECT n FROM {typed} WHERE {condition} ORDER BY n", expected)
    for wrong in ("xyz", OID[:-1], OID + "0", "z" * 24, ""):
        throws(lambda: traps.db.rows(f"SELECT '{wrong}'::pynomaly.objectid"), "22P02",
               f"'{wrong}' is no ObjectId")

    key = uuid.UUID("0b0e2d6c-6e1f-4f8e-9d9a-3d0f6a7b8c9d")
    for columns, value, literal in (
            ("_id int, n int", 42, "42"), ("_id bigint, n int", Int64(2 ** 60), str(2 ** 60)),
            ('_id text COLLATE "C", n int', "a key", "'a key'"),
            ("_id uuid, n int", Binary(key.bytes, 4), f"'{key}'"),
            ("_id timestamptz, n int", datetime.datetime(2026, 1, 2, tzinfo=UTC),
             "'2026-01-02 00:00+00'"),
            ("_id jsonb, n int", {"a": 1, "b": "x"}, """'{"a": 1, "b": "x"}'"""),
            ("sub int OPTIONS (field '_id.a'), n int", {"a": 7}, "7")):
        some = traps.table(columns, [{"_id": value, "n": 1}])
        column = columns.split()[0]
        traps.both(f"{columns}: {literal}",
                   f"SELECT n FROM {some} WHERE {column} = {literal}", [1])
        traps.both(f"{columns}: as a value",
                   f"SELECT {column} = {literal} FROM {some}", [True])


def collations(traps):
    """Text is ordered as its collation orders, where ever that is done."""
    texts = ["a", "B", "c", "Z", "ä", "_", "1"]
    documents = [{"_id": number, "s": text} for number, text in enumerate(texts)]
    binary = traps.table('_id int, s text COLLATE "C"', documents)
    linguistic = traps.table('_id int, s text COLLATE "en-x-icu"', documents)
    local = "local_" + linguistic
    traps.db.execute(f'CREATE TABLE {local} (_id int, s text COLLATE "en-x-icu"); ')
    for number, text in enumerate(texts):
        traps.db.execute(f"INSERT INTO {local} VALUES ({number}, %s)", [text])
    traps.both("ORDER BY under C", f"SELECT s FROM {binary} ORDER BY s",
               sorted(texts, key=str.encode))
    traps.both("a range under C", f"SELECT s FROM {binary} WHERE s < 'a' ORDER BY s",
               ["1", "B", "Z", "_"])
    traps.both("min and max under C", f"SELECT min(s), max(s) FROM {binary}",
               [("1", "ä")])
    for query in ("SELECT s FROM {} ORDER BY s", "SELECT s FROM {} ORDER BY s DESC",
                  "SELECT s FROM {} WHERE s < 'b' ORDER BY s",
                  "SELECT s FROM {} WHERE s BETWEEN 'a' AND 'c' ORDER BY s",
                  "SELECT min(s), max(s) FROM {}",
                  "SELECT s FROM {} WHERE s < 'B' COLLATE \"C\" ORDER BY _id",
                  "SELECT s FROM {} WHERE s > 'a' OR s = 'Z' ORDER BY s"):
        traps.both(query, query.format(linguistic),
                   [row if len(row) > 1 else row[0]
                    for row in traps.db.rows(query.format(local))])
    ok(not traps.shipped(f"SELECT _id FROM {linguistic} WHERE s < 'b'"),
       "a range under a linguistic collation is not sent")
    ok(traps.shipped(f"SELECT _id FROM {linguistic} WHERE s = 'b'"),
       "equality is, because that collation is deterministic")
    traps.db.execute("CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2',"
                     " deterministic = false)")
    table = traps.table("_id int, s text COLLATE blind", documents)
    traps.ids(table, {"s = 'A'": [0], "s IN ('b', 'z')": [1, 3],
                      "s <> 'A'": [1, 2, 3, 4, 5, 6]}, "without case: ")


def dates(traps):
    """Dates and times compare as what they are read as."""
    def at(*parts):
        return datetime.datetime(*parts, tzinfo=UTC)

    moments = [at(2020, 1, 1), at(2020, 1, 1, 13, 30), at(2020, 1, 1, 23, 59, 59, 999000),
               at(2019, 12, 31, 23, 59, 59, 999000), at(2020, 1, 2), at(1969, 12, 31, 12)]
    table = traps.table("_id int, d date OPTIONS (field 'at'), ts timestamp OPTIONS "
                        "(field 'at'), tz timestamptz OPTIONS (field 'at')",
                        [{"_id": number, "at": moment}
                         for number, moment in enumerate(moments)])
    for zone in ("UTC", "America/New_York", "Asia/Tokyo"):
        traps.db.execute(f"SET TimeZone = '{zone}'")
        traps.ids(table, {
            "d = '2020-01-01'": [0, 1, 2], "d < '2020-01-01'": [3, 5],
            "d > '2020-01-01'": [4], "d <= '2020-01-01'": [0, 1, 2, 3, 5],
            "d <> '2020-01-01'": [3, 4, 5], "d IN ('2019-12-31', '2020-01-02')": [3, 4],
            "d = '1969-12-31'": [5], "d > 'infinity'": [], "d < 'infinity'": [0, 1, 2, 3, 4, 5],
            "d > '-infinity'": [0, 1, 2, 3, 4, 5],
            "ts = '2020-01-01 13:30'": [1], "ts < '2020-01-01'": [3, 5],
            "ts >= '2020-01-01' AND ts < '2020-01-02'": [0, 1, 2],
            "tz = '2020-01-01 13:30+00'": [1], "tz = '2020-01-01 14:30+01'": [1],
            "tz <= '2020-01-01 23:59:59.999+00'": [0, 1, 2, 3, 5],
            "tz < '2020-01-01 23:59:59.9990005+00'": [0, 1, 3, 5],
            "tz <= '2020-01-01 23:59:59.998999+00'": [0, 1, 3, 5],
            "tz > '2020-01-01 23:59:59.998999+00'": [2, 4],
            "tz > '2020-01-01 23:59:59.999001+00'": [4],
            "tz = '2020-01-01 23:59:59.999001+00'": [],
            "tz <> '2020-01-01 23:59:59.999001+00'": [0, 1, 2, 3, 4, 5],
            "tz < 'infinity'": [0, 1, 2, 3, 4, 5], "tz = 'infinity'": [],
            "ts::date = '2020-01-01'": [0, 1, 2], "d = ts": [0, 4]}, zone + ": ")
        traps.both(f"{zone}: GROUP BY d", f"SELECT d::text, count(*) FROM {table} "
                   "GROUP BY d ORDER BY d", [("1969-12-31", 1), ("2019-12-31", 1),
                                             ("2020-01-01", 3), ("2020-01-02", 1)])
    traps.db.execute("SET TimeZone = 'Asia/Tokyo'")
    traps.ids(table, {"tz >= '2020-01-01 00:00'": [0, 1, 2, 3, 4],
                      "tz::date = '2020-01-02'": [2, 4],
                      "tz >= '2020-01-01'::date": [0, 1, 2, 3, 4],
                      "d = '2020-01-01 00:00'::timestamptz": [0, 1, 2]}, "Tokyo's midnight: ")
    traps.db.execute("SET TimeZone = 'UTC'")
    traps.ids(table, {"tz >= '2020-01-01 00:00'": [0, 1, 2, 4]}, "UTC's midnight: ")
    traps.db.execute("RESET TimeZone")

    # what a declared precision would round away does not fit
    table = traps.table("_id int, ts timestamp(0) OPTIONS (field 'at'), tz timestamptz(2) "
                        "OPTIONS (field 'at'), ms timestamp(3) OPTIONS (field 'at')", [
                            {"_id": 1, "at": at(2020, 1, 1)},
                            {"_id": 2, "at": at(2020, 1, 1, 0, 0, 0, 120000)},
                            {"_id": 3, "at": at(1969, 12, 31, 23, 59, 59, 999000)},
                            {"_id": 4}])
    traps.ids(table, {
        "ts IS NULL": [2, 3, 4], "tz IS NULL": [3, 4], "ms IS NULL": [4],
        "ts IS NOT NULL": [1], "ts = '2020-01-01'": [1],
        "ts = '2020-01-01 00:00:00.12'": [], "tz = '2020-01-01 00:00:00.12+00'": [2],
        "ts = '1969-12-31 23:59:59.999'": [], "ms = '1969-12-31 23:59:59.999'": [3],
        "ts IN ('2020-01-01 00:00:00.12', '2020-01-01')": [1],
        "ts <> '2020-01-01 00:00:00.12'": [1]}, "a precision: ")
    strict = traps.table("_id int, ts timestamp(0)", [
        {"_id": 1, "ts": at(2020, 1, 1, 0, 0, 0, 120000)}], on_mismatch="error")
    traps.fails("IS NULL of a date that is too precise",
                f"SELECT _id FROM {strict} WHERE ts IS NULL", "22008")


def blanks(traps):
    """char(n) compares without trailing blanks, as PostgreSQL has it."""
    table = traps.table('_id int, c char(4) COLLATE "C", v varchar(4) '
                        "OPTIONS (field 'c') COLLATE \"C\"", [
                            {"_id": 1, "c": "ab"}, {"_id": 2, "c": "ab "},
                            {"_id": 3, "c": "ab  "}, {"_id": 4, "c": "abcd"},
                            {"_id": 5, "c": "abcde"}, {"_id": 6, "c": ""},
                            {"_id": 7, "c": "   "}, {"_id": 8, "c": "ab\t"}])
    traps.ids(table, {
        "c = 'ab'": [1, 2, 3], "c = 'ab   '": [1, 2, 3], "c = ''": [6, 7],
        "c IN ('ab', 'abcd')": [1, 2, 3, 4], "c <> 'ab'": [4, 6, 7, 8],
        "c > 'ab'": [4, 8], "c >= 'ab'": [1, 2, 3, 4, 8], "c < 'ab'": [6, 7],
        "c IS NULL": [5], "v = 'ab'": [1], "v = 'ab '": [2], "v = c": [1, 2, 3, 4, 6, 7, 8],
        "c = 'ab'::text": [1, 2, 3], "length(c) = 2": [1, 2, 3]})
    traps.both("padded", f"SELECT c, octet_length(c) FROM {table} WHERE _id = 1",
               [("ab  ", 4)])


def own_operators(traps):
    """Operators that are only called like the built-in ones are not sent."""
    table = traps.table("_id int, n int", [{"_id": number, "n": number}
                                           for number in range(5)])
    traps.db.execute("""
        CREATE SCHEMA mine;
        CREATE FUNCTION mine.opposite(int, int) RETURNS bool LANGUAGE sql IMMUTABLE
            AS 'SELECT $1 OPERATOR(pg_catalog.<>) $2';
        CREATE FUNCTION mine.above(int, int) RETURNS bool LANGUAGE plpgsql IMMUTABLE
            AS 'BEGIN RETURN $1 OPERATOR(pg_catalog.>) $2; END';
        CREATE OPERATOR mine.= (LEFTARG = int, RIGHTARG = int, FUNCTION = mine.opposite);
        CREATE OPERATOR mine.< (LEFTARG = int, RIGHTARG = int, FUNCTION = mine.above)""")
    traps.ids(table, {"n OPERATOR(mine.=) 2": [0, 1, 3, 4],
                      "n OPERATOR(mine.<) 2": [3, 4],
                      "n OPERATOR(mine.<) ANY ('{1,3}')": [2, 3, 4]})
    ok(not traps.shipped(f"SELECT _id FROM {table} WHERE n OPERATOR(mine.<) 2"),
       "an operator of the user's own is not sent")


def special_floats(traps):
    """NaN is above all, -0.0 equals 0, and infinities are numbers."""
    values = [1.5, NAN, INF, -INF, -0.0, 0.0, None, Int64(2 ** 53), "x", Decimal128("1")]
    documents = [{"_id": number, "score": value} for number, value in enumerate(values)]
    table = traps.table("_id int, score float8", documents)
    traps.ids(table, {
        "score > 'NaN'": [], "score >= 'NaN'": [1], "score = 'NaN'": [1],
        "score < 'NaN'": [0, 2, 3, 4, 5, 7], "score <> 'NaN'": [0, 2, 3, 4, 5, 7],
        "score <= 'NaN'": [0, 1, 2, 3, 4, 5, 7], "score > 1": [0, 1, 2, 7],
        "score < 1": [3, 4, 5], "score = 0": [4, 5], "score = '-0'": [4, 5],
        "score >= 0": [0, 1, 2, 4, 5, 7], "score < 0": [3], "score > '-0'": [0, 1, 2, 7],
        "score = 'Infinity'": [2], "score > 'Infinity'": [1],
        "score >= 'Infinity'": [1, 2], "score < '-Infinity'": [],
        "score <= '-Infinity'": [3], "score IN (0, 'NaN')": [1, 4, 5],
        "score NOT IN (0, 'NaN')": [0, 2, 3, 7], "score = 9007199254740992": [7],
        "score IS NULL": [6, 8, 9], "score BETWEEN 1 AND 'NaN'": [0, 1, 2, 7]})
    traps.both("ORDER BY", f"SELECT _id FROM {table} WHERE score IS NOT NULL "
               "ORDER BY score, _id", [3, 4, 5, 0, 7, 2, 1])
    traps.both("min and max", f"SELECT min(score)::text, max(score)::text FROM {table}",
               [("-Infinity", "NaN")])
    traps.both("groups", f"SELECT abs(score)::text, count(*) FROM {table} "
               "WHERE score IN (0, 'NaN') GROUP BY score ORDER BY score",
               [("0", 2), ("NaN", 1)])
    traps.both("groups of NULL", f"SELECT count(*) FROM {table} WHERE score IS NULL "
               "GROUP BY score", [3])
    small = traps.table("_id int, f float4", [
        {"_id": 1, "f": 0.1}, {"_id": 2, "f": 1e300}, {"_id": 3, "f": 1e-300},
        {"_id": 4, "f": NAN}, {"_id": 5, "f": 16777217}, {"_id": 6, "f": -0.0}])
    traps.ids(small, {"f = 0.1": [], "f = 0.1::float4": [1], "f > 1": [4, 5],
                      "f = 16777216": [5], "f = 16777217": [], "f IS NULL": [2, 3],
                      "f = 0": [6], "f = 16777217::float4": [5]}, "float4: ")
    singles = traps.table("_id int, f float4", [
        {"_id": 1, "f": 3.4028235e38}, {"_id": 2, "f": -3.4028235e38},
        {"_id": 3, "f": -INF}, {"_id": 4, "f": 1e-45}, {"_id": 5, "f": 0}])
    traps.ids(singles, {
        "f >= '-3.4028235e38'": [1, 2, 4, 5], "f < '-3.4028235e38'": [3],
        "f > '-3.4028235e38'": [1, 4, 5], "f <= '3.4028235e38'": [1, 2, 3, 4, 5],
        "f > '-Infinity'": [1, 2, 4, 5], "f >= '1e-45'": [1, 4], "f = '-3.4028235e38'": [2],
        "f >= '3.4028235e38'": [1], "f < '1e-45'": [2, 3, 5]})


def big_numbers(traps):
    """Numbers that doubles cannot hold stay exact."""
    digits = "1234567890123456789012345678901.234"
    documents = [
        {"_id": 1, "n": Int64(2 ** 53)}, {"_id": 2, "n": Int64(2 ** 53 + 1)},
        {"_id": 3, "n": Int64(2 ** 63 - 1)}, {"_id": 4, "n": Int64(-2 ** 63)},
        {"_id": 5, "n": float(2 ** 53)}, {"_id": 6, "n": Decimal128("9007199254740993")},
        {"_id": 7, "n": Decimal128(digits)}, {"_id": 8, "n": Decimal128("NaN")},
        {"_id": 9, "n": Decimal128("Infinity")}, {"_id": 10, "n": 0.1},
        {"_id": 11, "n": Decimal128("0.10")}, {"_id": 12, "n": 1e300},
        {"_id": 13, "n": Decimal128("1E+40")}, {"_id": 14, "n": 2 ** 31 - 1}]
    table = traps.table("_id int, n bigint", documents)
    traps.ids(table, {
        f"n = {2 ** 53 + 1}": [2, 6], f"n = {2 ** 53}": [1, 5],
        f"n > {2 ** 53}": [2, 3, 6], f"n >= {2 ** 63 - 1}": [3],
        f"n <= {-2 ** 63}": [4], f"n < {2 ** 53 + 1}": [1, 4, 5, 14],
        f"n IN ({2 ** 53}, {2 ** 63 - 1})": [1, 3, 5],
        f"n = {2 ** 63}": [], f"n < {2 ** 63}": [1, 2, 3, 4, 5, 6, 14],
        "n IS NULL": [7, 8, 9, 10, 11, 12, 13]}, "bigint: ")
    traps.both("bigint values", f"SELECT n FROM {table} WHERE n IS NOT NULL ORDER BY _id",
               [2 ** 53, 2 ** 53 + 1, 2 ** 63 - 1, -2 ** 63, 2 ** 53, 2 ** 53 + 1,
                2 ** 31 - 1])
    table = traps.table("_id int, n numeric, p numeric(10,1) OPTIONS (field 'n')",
                        documents)
    traps.both("numeric values", f"SELECT n::text FROM {table} ORDER BY _id",
               [str(2 ** 53), str(2 ** 53 + 1), str(2 ** 63 - 1), str(-2 ** 63),
                str(2 ** 53), "9007199254740993", digits, "NaN", "Infinity", "0.1",
                "0.10", "1" + "0" * 300, "1" + "0" * 40, str(2 ** 31 - 1)])
    traps.ids(table, {
        f"n = {digits}": [7], "n = 0.1": [10, 11], "n = 'NaN'": [8], "n > 1e40": [8, 9, 12],
        "n >= 1e40": [8, 9, 12, 13], "n = 1e300": [12], f"n = {2 ** 53 + 1}": [2, 6],
        "n < 1": [4, 10, 11], "n > 'NaN'": [], "n = 'Infinity'": [9],
        "n > 'Infinity'": [8], "p = 0.1": [10, 11], "p > 0": [8, 10, 11],
        "n = 0.1::float8": [10, 11], f"n <> {2 ** 53 + 1}":
        [1, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14]}, "numeric: ")


def patterns(traps):
    """LIKE and its kin follow PostgreSQL's rules."""
    texts = ["abc", "a_c", "a%c", "a\\c", "a\nc", "a.c", "ABC", "", "(x", "[a]", "a+", "^a$"]
    table = traps.table('_id int, s text COLLATE "C"', [
        {"_id": number, "s": text} for number, text in enumerate(texts)])
    for pattern, expected in {
            "a_c": [0, 1, 2, 3, 4, 5], "a\\_c": [1], "a\\%c": [2], "a\\\\c": [3],
            "a.c": [5], "a%": [0, 1, 2, 3, 4, 5, 10], "%": list(range(12)), "": [7],
            "(x": [8], "[a]": [9], "a+": [10], "^a$": [11], "_": [], "___": [0, 1, 2, 3, 4, 5, 6, 9, 11],
            "%\n%": [4], "A%": [6], "%c": [0, 1, 2, 3, 4, 5]}.items():
        traps.both(f"LIKE {pattern!r}",
                   f"SELECT _id FROM {table} WHERE s LIKE %s ORDER BY _id", expected,
                   [pattern])
        traps.both(f"NOT LIKE {pattern!r}",
                   f"SELECT _id FROM {table} WHERE s NOT LIKE %s ORDER BY _id",
                   [number for number in range(12) if number not in expected], [pattern])
    traps.ids(table, {"s ILIKE 'A_C'": [0, 1, 2, 3, 4, 5, 6], "s ~ '^a.c$'":
                      [0, 1, 2, 3, 4, 5], "s ~* 'ABC'": [0, 6], "s LIKE 'a!_c' ESCAPE '!'": [1],
                      "s ^@ 'a'": [0, 1, 2, 3, 4, 5, 10], "starts_with(s, '[')": [9]})
    traps.fails("a pattern that ends in its escape",
                f"SELECT _id FROM {table} WHERE s LIKE 'a\\'", "22025")


def field_names(traps):
    """Any field can be reached, or it is said at DDL time why not."""
    long = "x" * 80
    names = {"a blank": 1, "UPPER": 2, "ünïcode": 3, long: 4, "a.dot": 5, "$dollar": 6,
             "a\\b": 7, "0": 8, "quote'\"": 9, "sub": {"a.b": 10, "$c": 11, "d e": 12},
             "tableoid": 13, "": 14}
    document = bson.raw_bson.RawBSONDocument(bson.encode({"_id": 1, **names}))
    columns = {"a blank": 1, "UPPER": 2, "ünïcode": 3, long: 4, "a\\.dot": 5,
               "$dollar": 6, "a\\\\b": 7, "0": 8, "quote'\"": 9, "sub.a\\.b": 10,
               "sub.$c": 11, "sub.d e": 12, "tableoid": 13}
    with ScriptedServer() as server:
        server.on("aggregate", Batches([document]))
        traps.db.mongo_server("names", server.uri)
        traps.db.foreign_table(
            "names", "names", "_id int, " + ", ".join(
                "c{} int OPTIONS (field '{}')".format(number, path.replace("'", "''"))
                for number, path in enumerate(columns)), database="d", collection="c")
        is_(traps.db.rows("SELECT * FROM names"), [(1, *columns.values())],
            "fields with any characters in their names")
        for number, value in enumerate(columns.values()):
            is_(traps.db.rows(f"SELECT c{number} FROM names WHERE c{number} = {value}"),
                [(value,)], f"column {number} alone")
        traps.db.execute("DROP SERVER names CASCADE")
    table = traps.table('_id int, "a blank" int, "UPPER" int, "sub.deep" int, '
                        '"sub.d e" int, "payload.s" text', [
                            {"_id": 1, "a blank": 1, "UPPER": 2,
                             "sub": {"deep": 3, "d e": 4}, "payload": {"s": "five"}}])
    traps.both("a column without the option is named by a path",
               f'SELECT "a blank", "UPPER", "sub.deep", "sub.d e", "payload.s" '
               f"FROM {table}", [(1, 2, 3, 4, "five")])
    traps.ids(table, {'"a blank" = 1': [1], '"UPPER" = 2': [1], '"sub.deep" = 3': [1],
                      '"sub.d e" > 3': [1], "\"payload.s\" = 'five'": [1]})
    for path in ("", ".", "a.", ".a", "a..b", "a\\", "a\\b"):
        throws(lambda: traps.db.foreign_table("wrong", "real",
                                              f"n int OPTIONS (field '{path}')"),
               "42601", f"the path '{path}' is refused at once")


def parameters(traps):
    """Parameters of every type, from the client's side."""
    table = traps.table('_id int, n bigint, s text COLLATE "C", f float8', [
        {"_id": 1, "n": 1, "s": "x", "f": 1.0}, {"_id": 2, "n": 2, "s": "y", "f": 2.5},
        {"_id": 3}])
    for condition, values, expected in (
            ("n = %s", [1], [1]), ("n = %s", [None], []),
            ("n >= %s AND n < %s", [1, 2], [1]), ("n >= %s AND n < %s", [None, 2], []),
            ("n = %s OR s = %s", [None, "y"], [2]), ("n = %s::int2", [2], [2]),
            ("n = %s::numeric", ["2.0"], [2]), ("n = %s::float8", [2.0], [2]),
            ("f = %s::int", [1], [1]), ("f = %s::numeric", ["2.5"], [2]),
            ("s = %s::name", ["x"], [1]), ("s = ANY (%s)", [["x", None, "z"]], [1]),
            ("n = ANY (%s)", [[]], []), ("n = ANY (%s::bigint[])", [None], []),
            ("n <> ALL (%s)", [[1]], [2]), ("n IS DISTINCT FROM %s::bigint", [None], [1, 2]),
            ("%s::text IS NULL AND n = 1", [None], [1]), ("n = length(%s)", ["ab"], [2])):
        traps.both(f"{condition} {values}",
                   f"SELECT _id FROM {table} WHERE {condition} ORDER BY _id", expected,
                   values)


# ---------- reading values ----------

def whole_documents(traps):
    """Whole documents stand beside columns of their fields."""
    document = {"_id": 1, "n": 5, "j": {"a": 1, "b": [1, None, "x"]}, "s": "text"}
    table = traps.table("_id int, doc jsonb OPTIONS (document 'true'), n int, "
                        "j jsonb, a int OPTIONS (field 'j.a'), __doc json, "
                        "first int OPTIONS (field 'j.b.0')", [document, {"_id": 2}])
    traps.both("everything at once",
               f"SELECT doc, n, j, a, __doc ->> 's', first FROM {table} ORDER BY _id",
               [(document, 5, document["j"], 1, "text", 1),
                ({"_id": 2}, None, None, None, None, None)])
    traps.both("the document alone", f"SELECT doc FROM {table} WHERE n = 5", [document])
    traps.both("a json column and a field of it", f"SELECT j, a FROM {table} WHERE a = 1",
               [(document["j"], 1)])
    traps.both("a field of it and the column", f"SELECT a, j FROM {table} WHERE j IS NULL",
               [(None, None)])
    traps.ids(table, {"doc ->> 's' = 'text'": [1], "doc @> '{\"n\": 5}'": [1],
                      "j = '{\"a\": 1, \"b\": [1, null, \"x\"]}'": [1],
                      "doc ? 'n'": [1], "__doc ->> 'n' = '5'": [1]})


def duplicate_keys(traps):
    """Of duplicate keys the first counts; no name is special."""
    def element(key, value):
        return bson.encode({key: value})[4:-1]

    def document(*elements):
        body = b"".join(elements)
        return bson.raw_bson.RawBSONDocument(
            (len(body) + 5).to_bytes(4, "little") + body + b"\0")

    documents = [document(element("_id", 1), element("n", 5), element("n", 6),
                          element("sub", {"x": 1}), element("sub", {"x": 2, "y": 3})),
                 document(element("n", "x"), element("n", 7), element("_id", 2)),
                 document(element("n", None), element("n", 8), element("_id", 3))]
    with ScriptedServer() as server:
        server.on("aggregate", Batches([bson.raw_bson.RawBSONDocument(
            one.raw) for one in documents]))
        traps.db.mongo_server("twice", server.uri)
        traps.db.foreign_table("twice", "twice", "_id int, n int, x int OPTIONS (field "
                               "'sub.x'), y int OPTIONS (field 'sub.y'), doc jsonb "
                               "OPTIONS (document 'true')", database="d",
                               on_mismatch="null")
        is_(traps.db.rows("SELECT _id, n, x, y FROM twice"),
            [(1, 5, 1, None), (2, None, None, None), (3, None, None, None)],
            "the first of two keys counts, fitting or not")
        is_(traps.db.rows("SELECT doc -> 'n' FROM twice"), [(5,), ("x",), (None,)],
            "in whole documents too")
        traps.db.execute("DROP SERVER twice CASCADE")
    table = traps.table("_id int, __doc jsonb OPTIONS (field '__doc'), tid int "
                        "OPTIONS (field 'ctid'), \"$$ROOT\" int OPTIONS (field 'root')", [
                            {"_id": 1, "__doc": {"x": 1}, "ctid": 5, "root": 6}])
    traps.both("fields called like internal names", f"SELECT * FROM {table}",
               [(1, {"x": 1}, 5, 6)])


def numbers_that_do_not_fit(traps):
    """No number is wrapped or cut."""
    values = [70000, 1e300, 3.7, -32768, 32768, 3.0, Int64(2 ** 40), Decimal128("3.70"),
              Decimal128("3.00"), NAN, -0.0, "3", True, -2 ** 31]
    documents = [{"_id": number, "n": value} for number, value in enumerate(values)]
    for type_name, expected in (
            ("int2", [None, None, None, -32768, None, 3, None, None, 3, None, 0, None,
                      None, None]),
            ("int4", [70000, None, None, -32768, 32768, 3, None, None, 3, None, 0, None,
                      None, -2 ** 31]),
            ("int8", [70000, None, None, -32768, 32768, 3, 2 ** 40, None, 3, None, 0,
                      None, None, -2 ** 31])):
        table = traps.table(f"_id int, n {type_name}", documents)
        traps.both(type_name, f"SELECT n FROM {table} ORDER BY _id", expected)
        fitting = [number for number, value in enumerate(expected) if value is not None]
        traps.ids(table, {
            "n IS NOT NULL": fitting, "n > 0": [number for number in fitting
                                                if expected[number] > 0],
            "n = 3": [5, 8], "n = 0": [10], "n < 0": [number for number in fitting
                                                      if expected[number] < 0],
            "n > 3 AND n < 4": []}, f"{type_name}: ")
        strict = traps.table(f"_id int, n {type_name}", documents, on_mismatch="error")
        for number, value in enumerate(expected):
            if value is None:
                throws(lambda: traps.db.rows(f"SELECT n FROM {strict} WHERE _id = {number}"),
                       "22000" if number in (11, 12) else "22003",
                       f"{type_name}: {values[number]} is an error",
                       detail=f"_id {number} ")
    table = traps.table('_id int, v varchar(3), c char(3) OPTIONS (field \'v\'), '
                        "n numeric(4,1) OPTIONS (field 'n')", [
                            {"_id": 1, "v": "abc", "n": 999.9}, {"_id": 2, "v": "abcd", "n": 1000},
                            {"_id": 3, "v": "äöü", "n": 0.25}, {"_id": 4, "v": "ab  ", "n": 5}])
    traps.both("lengths and scales", f"SELECT v, c, n::text FROM {table} ORDER BY _id",
               [("abc", "abc", "999.9"), (None, None, None), ("äöü", "äöü", None),
                (None, None, "5.0")])


def json_values(traps):
    """What JSON cannot say is Extended JSON."""
    table = traps.table("_id int, j jsonb, t json OPTIONS (field 'j')", [
        {"_id": 1, "j": NAN}, {"_id": 2, "j": [INF, -INF]}, {"_id": 3, "j": 5},
        {"_id": 4, "j": 5.0}, {"_id": 5, "j": Decimal128("1.50")},
        {"_id": 6, "j": {"at": datetime.datetime(2026, 1, 2, tzinfo=UTC)}},
        {"_id": 7, "j": None}, {"_id": 8, "j": ObjectId(OID)}, {"_id": 9, "j": "text"},
        {"_id": 10, "j": True}, {"_id": 11, "j": "nul\0l"}, {"_id": 12, "j": {"a\0b"[:1]: 1}}])
    traps.both("jsonb", f"SELECT j::text FROM {table} ORDER BY _id", [
        '{"$numberDouble": "NaN"}',
        '[{"$numberDouble": "Infinity"}, {"$numberDouble": "-Infinity"}]', "5", "5.0",
        '{"$numberDecimal": "1.50"}', '{"at": {"$date": "2026-01-02T00:00:00Z"}}', None,
        '{"$oid": "%s"}' % OID, '"text"', "true", None, '{"a": 1}'])
    traps.both("json is the same", f"SELECT count(*) FROM {table} WHERE "
               "t::jsonb IS DISTINCT FROM j", [0])


def texts_and_arrays(traps):
    """Text is never cut, and elements keep their places."""
    table = traps.table("_id int, s text, a text[], n int[] OPTIONS (field 'a'), "
                        "m jsonb OPTIONS (field 'a')", [
                            {"_id": 1, "s": "a\0b", "a": ["x", None, "y"]},
                            {"_id": 2, "s": "x" * 100000, "a": [1, "2", None, 3.5, 4]},
                            {"_id": 3, "s": "", "a": []}, {"_id": 4, "s": "'\"\\", "a": [None]}])
    traps.both("text", f"SELECT length(s) FROM {table} ORDER BY _id",
               [None, 100000, 0, 3])
    traps.both("text[]", f"SELECT a FROM {table} ORDER BY _id",
               [["x", None, "y"], [None, "2", None, None, None], [], [None]])
    traps.both("int[]", f"SELECT n FROM {table} ORDER BY _id",
               [[None, None, None], [1, None, None, None, 4], [], [None]])
    traps.both("jsonb", f"SELECT m FROM {table} ORDER BY _id",
               [["x", None, "y"], [1, "2", None, 3.5, 4], [], [None]])
    strict = traps.table("_id int, s text", [{"_id": 1, "s": "a\0b"}],
                         on_mismatch="error")
    traps.fails("a zero byte", f"SELECT s FROM {strict}", "22P05")


run_groups(missing_fields, other_types, booleans, logic_and_arithmetic, dollars,
           identifiers, collations, dates, blanks, own_operators, special_floats,
           big_numbers, patterns, field_names, parameters, whole_documents,
           duplicate_keys, numbers_that_do_not_fit, json_values, texts_and_arrays)
