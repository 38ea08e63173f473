"""Expressions that MongoDB computes (src/fdw/term*.c).

Each condition runs as it is sent and without pushdown, over values chosen to
go wrong, and has to give the same rows or the same error.  How it is sent is
part of the test: exactly, as a superset that is checked again, or not at all.
"""
import datetime
import os
import random

from bson import Binary, Decimal128, Int64, ObjectId, Regex

from both_ways import EXACT, LOCAL, SUPERSET, check, outcome, sent
from servers.harness import *

NAN, INF = float("nan"), float("inf")
OID = ObjectId("5381ccf9d6d81c8e5bf0114d")
DAY = datetime.datetime(2020, 1, 1)
MISSING = object()

INTEGERS = [
    1, 2, -3, 0, 7, 4.0, -0.0, Int64(5), Decimal128("6"), None, MISSING, 3.5, "12", True,
    [1], [], {"a": 1}, DAY, OID, b"abc", NAN, INF, -INF, 1e300, 2.0 ** 63, -2.0 ** 63,
    Decimal128("7.5"), Decimal128("NaN"), Decimal128("9223372036854775807"),
    Decimal128("9223372036854775808"), Int64(2 ** 53 + 1), Int64(2 ** 63 - 1),
    Int64(-2 ** 63), Int64(2 ** 40), 70000, 32767, -32768, 2 ** 31 - 1, -2 ** 31]
SMALL = [1, 2, 3, -3, -7, 8, 100, 4.0, Int64(5), Decimal128("6"), -1, None, MISSING, "x", 3.5]
FLOATS = [1.5, 2, -3, 0.0, -0.0, 0.1, None, MISSING, NAN, INF, -INF, Int64(2 ** 53 + 1),
          2.0 ** 53, 1e308, -1e308, 5e-324, Decimal128("1.5"), "x", [1.5]]
ROUNDED = [0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49999999999999994, -0.4, 1e15 + .5, -1e-20,
           4503599627370497.5, 3, None, 1.0]
BOOLEANS = [True, False, None, MISSING, 1, "x", [True]]
STRINGS = ["", "a", "ab", "abc", "abcd", "ü", "$x", "$$ROOT", "a\0b", str(OID), OID, None,
           MISSING, 3, ["a"], Regex("a"), Binary(b"a"), "sad", "ok", "A", "a b"]
DATES = [datetime.datetime(*parts) for parts in (
    (1, 1, 1), (4, 2, 29), (100, 2, 28), (1600, 2, 29), (1899, 12, 31, 23, 59, 59, 999000),
    (1900, 3, 1), (1969, 12, 31, 23, 59, 59, 999000), (1970, 1, 1), (2000, 2, 29, 12),
    (2005, 1, 1), (2005, 1, 2), (2008, 12, 29), (2010, 1, 3), (2020, 1, 1, 12, 30, 15, 123000),
    (2020, 12, 31), (2021, 1, 3), (2100, 3, 1), (9999, 12, 31, 23, 59, 59, 999000))]
DATES += [datetime.datetime(2004, 10, 18, 5, 15, 3) + datetime.timedelta(milliseconds=number)
          for number in (1, 26, 306, 774, 773 + 86400000, 998)]
DATES += [DAY, None, MISSING, "2020-01-01", 5, [DAY]]
PATHS = [{"y": 1}, {"y": 2.0}, [{"y": 1}], {"y": [1]}, {"y": "z"}, None, MISSING, 5]
ELEMENTS = [[1, 2], [3], {"1": 2}, [[1], [2]], [1, "x"], [1, {"k": 3}], None, MISSING, 2]

FIELDS = {
    "i2": INTEGERS, "i4": INTEGERS, "j4": INTEGERS, "i8": INTEGERS, "j8": INTEGERS,
    "a": SMALL, "b": SMALL, "f": FLOATS, "g": FLOATS, "r": ROUNDED,
    "p": BOOLEANS, "q": BOOLEANS, "s": STRINGS, "t": STRINGS, "ts": DATES, "tz": DATES,
    "x": PATHS, "l": ELEMENTS, "dotted.key": [{"z": 1}, {"z": 2}, 5, None, MISSING],
    "$dollar": [1, 2, None, MISSING]}

COLUMNS = """
    _id int, i2 int2, i4 int4, j4 int4, i8 int8, j8 int8,
    a int4, b int4, c int2 OPTIONS (field 'a'), e int8 OPTIONS (field 'b'),
    f float8, g float8, r float8, p bool, q bool,
    s text COLLATE "C", t text COLLATE "C", v varchar(3) OPTIONS (field 's') COLLATE "C",
    w name OPTIONS (field 't'), icu text OPTIONS (field 's') COLLATE "en-x-icu",
    m mood OPTIONS (field 's'), m2 mood OPTIONS (field 't'),
    o pynomaly.objectid OPTIONS (field 't'), o2 pynomaly.objectid OPTIONS (field 's'),
    w2 name OPTIONS (field 's'),
    ts timestamp, ts0 timestamp(0) OPTIONS (field 'ts'), tz timestamptz,
    d date OPTIONS (field 'ts'), d2 date OPTIONS (field 'tz'),
    deep int OPTIONS (field 'x.y'), second int OPTIONS (field 'l.1'),
    k int OPTIONS (field 'l.1.k'), dotted int OPTIONS (field 'dotted\\.key.z'),
    dollar int OPTIONS (field '$dollar'), num numeric OPTIONS (field 'a'),
    positive positive OPTIONS (field 'a'), bp char(3) OPTIONS (field 's'),
    by bytea OPTIONS (field 't'), num5 numeric(5,1) OPTIONS (field 'a'), js jsonb OPTIONS (field 's')"""

COMPARISONS = {
    EXACT: """
        i4 = j4; i4 <> j4; i4 < j4; i4 >= j4; NOT i4 < j4; i2 < i8; i8 = j8; i8 > j8; i8 <= i4
        f < g; f <= g; f = g; f <> g; f > g; f >= g; NOT f < g; i8 = f; i4 < f
        i8::float8 = 9007199254740992; i8::float8 = 9223372036854775807
        i4 > 1.5; i4 < 1.5; i4 = 2.0; i4 <> 1.5; i8 >= 9223372036854775807.5
        i8 <= 9223372036854775806.5; i8 > 'NaN'::numeric; i8 < 'Infinity'::numeric
        i8 < 99999999999999999999999999999999999999999; i8 = 9223372036854775807::numeric
        i8::numeric > i4::numeric; s = t; s <> t; s < t; s >= v; w = w2; w < w2; m = m2; m < m2
        m >= m2; NOT m < m2; o = o2; o < o2; p = q; p <> q; p < q; ts < d; ts = d; d >= ts; d = d2
        tz <> tz; (ts > '2020-01-01 12:30:15.1234') = p
        (ts = '2020-01-01 12:30:15.1235') IS NOT TRUE; (ts >= '2020-01-01 12:30:15.1225') = q
        (ts < 'infinity') = p; (d > '-infinity') = q; (ts < '0001-01-01 BC') = p
        (coalesce(ts, '2000-01-01') < '20000-01-01') = p; ts0 = ts
        deep = i4; second = 2; second < a; k = 3; dotted = 1; dotted = second; dollar = a
        second IN (1, 2, NULL); second NOT IN (1, 3); second NOT IN (1, NULL)
        (second IN (1, NULL)) IS NULL; second = ANY ('{}'); (second <> ALL ('{}')) = p
        (s IN ('a', '$x', NULL)) = p; (f IN ('NaN', 1.5)) = q
        (ts IN ('2020-01-01', 'infinity', '2020-01-01 12:30:15.1231')) = p
        (i4::numeric IN (1, 2.5, 7)) = p""",
    LOCAL: """
        icu < s; icu < s COLLATE "en-x-icu"; positive = a; num = a::numeric; num > i4; bp = t::char(3)
        tz > d; tz > ts; f::float4 = g""",
}

LOGIC = {
    EXACT: """
        (i4 < 5) = (NOT p); (i4 < 5) IS NOT TRUE; (i4 < j4) IS UNKNOWN; (p AND q) IS NULL
        (p OR q) IS NULL; NOT (p AND q) IS TRUE; (p AND q) IS NOT TRUE
        ((i4 > 1 AND j4 > 1) OR p) IS NULL; (p AND q) = (p OR q); (NOT p) = (i4 > j4)
        second IS NULL; dotted IS NOT NULL; (num IS NULL) = p; (bp IS NOT NULL) = q; (by IS NULL) = p; (deep = 1) IS NULL; (i4 = NULL) IS NULL
        coalesce(i4, 0) = 0; coalesce(i4, j4, 7) = 7; coalesce(s, t, 'zz') = 'zz'
        coalesce(p, q, true); coalesce(f, g, 'NaN') = 'NaN'; nullif(i4, 1) IS NULL
        nullif(i4, j4) > 1; nullif(f, 'NaN') IS NULL; nullif(s, t) = 'a'
        greatest(i4, j4) > 5; least(i4, j4, i2) < 0; greatest(f, g) = 'NaN'
        least(f, g) = 'NaN'; least(f, g) < 0; greatest(f, g, 2) = 2; greatest(s, t) = 'a'
        CASE WHEN i4 > 2 THEN 1 WHEN i4 < 0 THEN 2 ELSE 3 END = 3
        CASE WHEN i4 > 2 THEN s END = 'a'; CASE i4 WHEN 1 THEN true WHEN 2 THEN p END
        CASE s WHEN 'a' THEN a WHEN 'ab' THEN b ELSE NULL END > 0
        NOT CASE WHEN p THEN q ELSE NULL END
        i4 IS DISTINCT FROM j4; i4 IS NOT DISTINCT FROM j4; f IS DISTINCT FROM g
        f IS NOT DISTINCT FROM g; s IS NOT DISTINCT FROM t; p IS DISTINCT FROM q
        m IS DISTINCT FROM m2; (i4 = 1) IS DISTINCT FROM (j4 = 1)""",
    LOCAL: """
        (num5 IS NULL) = p; (js IS NULL) = p; greatest(icu, icu) = 'a'; greatest(m, m2) = 'ok'; coalesce(num, 1) = 1
        CASE WHEN p THEN num END = 1""",
}

ARITHMETIC = {
    EXACT: """
        a / 2 = 2; a / -2 = 1; a % 2 = 1; c / 7::int2 = -1; e % 3 = -1; i8 / 3 < 0
        i8 % 7 = 1; (a % 2 = 1) = p; abs(f) > 1.5; -f < 0; floor(f) = 1; ceil(f) = 2
        trunc(f) = 1; floor(r) = -1; ceil(r) = 0; trunc(r) = 0; i4::int8 = a::int8""",
    SUPERSET: """
        a % -1 = 0; a + b = 3; a - b > 2; a * b < -10; a / b = 3; a / b = 0; a / b = -3; a % b = -2; a % b = 0
        c + c > 5::int2; c * c > 30; e + 9007199254740993 > 9007199254741000; e * 3 = -9
        e * 1000000000000000000 > 0; e - a = 0; e / b = 1; e / c = -2; e % b = 0; a + c * 2 - 1 > e
        -a = 3; abs(a) = 7; @ e = 7; abs(c) = 3; i4 + 1 > 0; i4 - 1 < 0; i4 * 2 > 3; i8 + 1 > 0
        i8 - j8 = 0; i8 * 2 < 0; i2 + i2 > 5; -i8 > 2; -i4 > 2; abs(i8) = 5; i4 / j4 = 1
        i8 / j8 = 0; i4 % j4 = 0; f + g > 1; f + 0.1 = 0.2; f - g = 0; f * g < 0; f * 2 > 1e307
        f / g > 1; f / 2 <= 1; r * r = 2.25; r / 0.1 > 3; r + 0.1 = 0.6; sqrt(abs(f)) > 1; |/ r > 1
        r::int4 = 2; r::int4 = 0; r::int4 = -2; r::int8 = 1000000000000000
        r::int8 = 4503599627370498; f::int4 = 2; i8::int4 > 4; i8::int2 = 5; a::int2 < 0
        a + 1 IN (2, 3); coalesce(a + b, 0) = 0; nullif(a + 1, 3) IS NULL; greatest(a + 1, b) = 4
        CASE WHEN b > 0 THEN a / b ELSE a END = 3; CASE WHEN i4 <> 0 THEN j4 / i4 > 1 ELSE false END
        (a + 1 = 2) IS NOT TRUE; a + b = 3 AND s = 'a' OR f IS NULL; e::float8 * 1.5 = 7.5
        (a + b) IS NULL; a / (b - b) = 1 AND p""",
    LOCAL: """
        a * 1.5 = 3; a ^ 2 = 4; f ^ 2 = 4; exp(r) > 1; round(r) = 2; a # b = 1; hashint4(a) > 0""",
}

PARTS = "year quarter month day doy isoyear week dow isodow".split()
UNITS = "milliseconds second minute hour day week month quarter year".split()
TIMES = {
    EXACT: [
        *(f"extract({part} FROM ts) {operator} extract({part} FROM tz AT TIME ZONE 'UTC')"
          for part in PARTS + ["hour", "minute", "microseconds"] for operator in "=<"),
        *(f"extract({part} FROM d) >= extract({part} FROM d2)" for part in PARTS),
        *(f"date_part('{part}', ts) <= date_part('{part}', tz AT TIME ZONE 'UTC')"
          for part in PARTS + ["hour", "second", "milliseconds", "epoch"]),
        "date_part('second', ts) = 59.999", "date_part('epoch', ts) < -0.0005",
        *(f"date_trunc('{unit}', ts) {operator} date_trunc('{unit}', tz AT TIME ZONE 'UTC')"
          for unit in UNITS for operator in ("=", "<")),
        *(f"date_trunc('{unit}', tz, 'UTC') < '2010-01-01 00:00:00.0005+00'" for unit in UNITS),
        *(f"date_trunc('{unit}', ts) IN ('2020-01-01', '1970-01-01', '2019-12-30')"
          for unit in UNITS),
        "ts::date = d", "ts::date > d2", "d - d2 = 0", "d - d2 > a", "(tz AT TIME ZONE 'UTC')::date = d2",
        "extract(year FROM ts) = 2010.5", "coalesce(ts, tz AT TIME ZONE 'UTC') < '2010-01-01'",
        "(ts::date IN ('2020-01-01', 'infinity')) = p"],
    SUPERSET: """
        d::timestamp = ts; least(ts, d::timestamp) < '2000-01-01' OR p; d + 1 > d2; d - a < d2; d + a = d2
        ts + interval '1 day' > tz AT TIME ZONE 'UTC'
        ts - interval '1 hour 30 minutes 0.5 s' < '2000-02-29 11:00'
        tz + interval '36 hours' > '2010-01-01'; (tz AT TIME ZONE 'Etc/GMT-5')::date = d
        (ts AT TIME ZONE 'Etc/GMT+3') > tz""",
    LOCAL: """
        tz + interval '1 day' > '2010-01-01'; ts + interval '1 month' > '2010-01-01'
        ts + interval '0.0005 s' > '2010-01-01'; (tz AT TIME ZONE 'Europe/Berlin')::date = d
        date_trunc('month', tz, 'Asia/Tokyo') < '2010-01-01'; date_trunc('month', tz) < '2010-01-01'
        extract(year FROM tz) = 2010; extract(second FROM ts) > 30; extract(decade FROM ts) = 201
        date_trunc('century', ts) = '2001-01-01'; tz::date = d; ts - ts < interval '1 day'""",
}


# Terms whose values the server groups by.
KEYS = """
    i2; i4; i8; f; p; s; v; m; ts; tz; d; o; deep; second; dotted; a / 2; i8 / 3; a % 7; i8 % 10
    abs(f); floor(f); ceil(f); trunc(f); coalesce(i4, j4); nullif(s, t); greatest(f, g)
    least(f, g); greatest(i4, j4); i4::int8; i8::float8; i4 = j4; f < g; s < t; p AND q; p OR q
    NOT p; i4 IS NULL; i4 IS DISTINCT FROM j4; m < m2; CASE i4 WHEN 1 THEN f END; d - d2
    ts::date; tz AT TIME ZONE 'UTC'"""
KEYS = [key.strip() for key in KEYS.replace("\n", ";").split(";") if key.strip()]
KEYS += [f"date_part('{part}', ts)" for part in PARTS + ["second", "milliseconds", "epoch"]]
KEYS += [f"extract({part} FROM ts)" for part in PARTS + ["microseconds"]]
KEYS += [f"date_trunc('{unit}', ts)" for unit in UNITS]


def make_documents():
    """Return documents in which each value of each field occurs."""
    chance = random.Random(10)
    size = 3 * max(len(values) for values in FIELDS.values())
    documents = []
    for number in range(size):
        document = {"_id": number}
        for field, values in FIELDS.items():
            value = values[number] if number < len(values) else chance.choice(values)
            if value is not MISSING:
                document[field] = value
        documents.append(document)
    return documents


def groups(db):
    """The values of terms, as groups have them; 0 may be -0 in one of them."""
    for key in KEYS:
        query = (f"SELECT key::text, count FROM (SELECT {key} AS key, count(*) FROM mixed "
                 "GROUP BY 1) AS groups")
        ok('"$group"' in db.explain(query), f"grouped there: {key}")
        pushed = sorted(map(str, db.rows(query)))
        db.execute("SET pynomaly_store.enable_pushdown = off")
        local = sorted(map(str, db.rows(query)))
        db.execute("RESET pynomaly_store.enable_pushdown")
        is_([row.replace("'-0'", "'0'") for row in pushed],
            [row.replace("'-0'", "'0'") for row in local], f"the groups of {key}")


def values(db):
    """Terms as values: rows that are written down here."""
    query = "SELECT _id FROM few WHERE {} ORDER BY _id"
    for condition, expected in {
            "n / 2 = -1": [3], "n % 2 = -1": [3], "n + 1 = 3 OR n IS NULL": [2, 5, 6, 7],
            "coalesce(n, 7) = 7": [5, 6, 7], "f > n": [1, 4], "f < n": [2],
            "n > 1.5": [2, 4], "greatest(f, n) = 'NaN'": [4],
            "CASE WHEN n > 0 THEN f END = 'NaN'": [4],
            "n IS DISTINCT FROM 2 AND n IS NOT NULL": [1, 3, 4],
            "extract(week FROM ts) = 53": [1],
            "date_trunc('month', ts) = '2021-01-01'": [1, 2],
            "ts + interval '1 day' = '2021-01-04'": [1]}.items():
        is_([row[0] for row in db.rows(query.format(condition))], expected, condition)


def parameters(db):
    """Operands: custom and generic plans, NULLs, what is not canonical."""
    condition = ("coalesce(a, 0) < {} AND (ts < {}) IS NOT FALSE AND a > {} AND "
                 "(s = ANY ({})) IS NOT FALSE")
    db.execute("PREPARE by (int, timestamp, numeric, text[]) AS "
               "SELECT _id FROM mixed WHERE " + condition.format("$1", "$2", "$3", "$4"))
    for arguments in [
            ("5", "'2020-01-01 12:30:15.1235'", "1.5", "'{a,NULL}'"),
            ("NULL", "'infinity'", "1", "'{}'"), ("5", "'-infinity'", "'NaN'", "NULL"),
            ("7", "NULL", "-0.5", "'{$x,ab}'"), ("100", "'infinity'", "'-Infinity'", "'{a}'")]:
        db.execute("SET pynomaly_store.enable_pushdown = off")
        local = sorted(db.rows("SELECT _id FROM mixed WHERE " + condition.format(
            *(f"{value}::{kind}" for value, kind in zip(
                arguments, ("int", "timestamp", "numeric", "text[]"))))))
        db.execute("RESET pynomaly_store.enable_pushdown")
        for mode in ("generic", "custom"):
            db.execute(f"SET plan_cache_mode = force_{mode}_plan")
            is_(sorted(db.rows(f"EXECUTE by ({', '.join(arguments)})")), local,
                f"{mode} plan of {arguments}")
    db.execute("RESET plan_cache_mode")

    # PostgreSQL does not come to evaluate the division
    db.execute("PREPARE lazily (int) AS SELECT count(*) > 0 FROM mixed "
               "WHERE CASE WHEN a > 1000 THEN 1 / $1 > 0 ELSE a = 1 END")
    db.execute("SET plan_cache_mode = force_generic_plan")
    is_(db.value("EXECUTE lazily (0)"), True, "an operand of CASE that would fail")
    db.execute("RESET plan_cache_mode")
    is_(outcome(db, "SELECT count(*) FROM mixed WHERE a / %s = 1", [0]), "22012",
        "a division by a parameter of zero")


def mismatches(db):
    """A value that does not fit is an error where NULL would make a difference."""
    for condition, how in {
            "n + 1 = 2": SUPERSET, "n = m": EXACT, "coalesce(n, 0) = 0": SUPERSET,
            "n IS DISTINCT FROM m": SUPERSET, "(n + 1 = 2) IS NOT TRUE": SUPERSET,
            "CASE WHEN n = 1 THEN false ELSE true END": SUPERSET,
            "CASE WHEN n = 1 THEN true END": SUPERSET}.items():
        is_(sent(db, f"SELECT _id FROM strict WHERE {condition}"), how, f"strict: {condition}")
    is_(db.rows("SELECT _id FROM strict WHERE n = m ORDER BY _id"), [(1,)],
        "a comparison does not see a value that does not fit")
    for condition in ("coalesce(n, 0) = 0", "n IS DISTINCT FROM m", "(n + 1 = 2) IS NOT TRUE",
                      "coalesce(n, 5) = 0", "CASE WHEN n = 1 THEN false ELSE true END"):
        throws(lambda: db.rows(f"SELECT _id FROM strict WHERE {condition}"), "22000",
               f"a value that does not fit, in {condition}", message='"n"', detail="_id 2")


def nesting(db):
    """What nests too deep for a server is evaluated here."""
    sums = "a" + " + 1" * 60
    is_(sent(db, f"SELECT _id FROM mixed WHERE {sums} > 3"), LOCAL, "a sum of sixty")
    cases = "a"
    for number in range(40):
        cases = f"CASE WHEN a = {number} THEN {number} ELSE {cases} END"
    is_(sent(db, f"SELECT _id FROM mixed WHERE {cases} > 3"), LOCAL, "forty nested CASEs")
    whens = " ".join(f"WHEN a = {number} THEN {number}" for number in range(60))
    check(db, "mixed", {EXACT: [f"CASE {whens} ELSE b END > 3"]})


def main():
    with database() as db, mongo_client() as client:
        mongo = client[db.name]
        mongo.mixed.insert_many(make_documents())
        mongo.few.insert_many([
            {"_id": 1, "n": 1, "f": 1.5, "ts": datetime.datetime(2021, 1, 3)},
            {"_id": 2, "n": Int64(2), "f": -1, "ts": datetime.datetime(2021, 1, 31, 23)},
            {"_id": 3, "n": -3, "ts": DAY}, {"_id": 4, "n": 4.0, "f": NAN},
            {"_id": 5, "n": None, "f": 1}, {"_id": 6, "n": [1]}, {"_id": 7, "n": "x", "f": 9}])
        mongo.strict.insert_many([{"_id": 1, "n": 1, "m": 1}, {"_id": 2, "n": "x", "m": 2},
                                  {"_id": 3, "m": 3}])
        db.execute("SET TimeZone = 'America/New_York'; SET search_path = public, pynomaly; "
                   "CREATE TYPE mood AS ENUM ('sad', 'ok', 'a'); "
                   "CREATE DOMAIN positive AS int CHECK (VALUE > 0)")
        db.mongo_server("real", os.environ["MONGO_URI"])
        options = {"database": db.name, "on_mismatch": "null"}
        db.foreign_table("mixed", "real", COLUMNS, **options)
        db.foreign_table("few", "real", "_id int, n int, f float8, s text, ts timestamp",
                         **options)
        db.foreign_table("strict", "real", "_id int, n int, m int",
                         **{**options, "on_mismatch": "error"})
        for conditions in (COMPARISONS, LOGIC, ARITHMETIC, TIMES):
            check(db, "mixed", conditions)
        groups(db)
        values(db)
        parameters(db)
        mismatches(db)
        nesting(db)
        client.drop_database(db.name)
    done()


main()
