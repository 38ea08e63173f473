"""Conditions on what is inside a column: elements of arrays, members of jsonb.

What is sent for them selects more than they are true of, and is checked again
here.  Every condition is asked with conditions sent and without, over values
of every kind, and EXPLAIN has to show that something was sent, or nothing.
"""
import datetime
import json
import os

import bson
import bson.json_util
from bson import Binary, Decimal128, Int64, ObjectId

from servers.harness import *

UTC = datetime.timezone.utc
OID = "5381ccf9d6d81c8e5bf0114d"
NAN = float("nan")
UUID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"

# what stands as an element, a member, or by itself
VALUES = [
    5, 5.0, 5.5, -0.0, 0, Int64(5), Int64(2**53 + 1), 2.0**53, 1e300, 0.1, NAN, float("inf"),
    -5, 1e-7, Decimal128("5"), Decimal128("5.0"), True, False, None, "", "5", "5.0", "abc",
    "true", "null", "{}", "äöü", "k", "x", "0", "a\0b", "ab ", "ok", OID, ObjectId(OID), UUID,
    Binary(bytes.fromhex(UUID.replace("-", "")), 4), Binary(b"abc"),
    datetime.datetime(2020, 1, 1, tzinfo=UTC), {}, {"k": 5}, {"k": "abc"}, {"k": None},
    {"k": {"x": 5}}, {"k": [5]}, {"0": 5}, {"a.b": 5}, {"$oid": OID}, {"x": {"k": [{"x": 5}]}},
    bson.Regex("abc"), bson.MinKey(), bson.Code("abc"), bson.Timestamp(5, 5),
]
ARRAYS = [[], [5, "abc"], [[5]], [[5], [6]], [[5], 6], [[[5]]], [None, 5], [None], [[]],
          ["abc", OID], [ObjectId(OID)], [["abc"]], [{"k": 5}], [{"k": "abc"}, 5], [1, 2, 3],
          [5.5, 5], ["k"], ["x", "k"], [[["k"]]]]

ARRAY_TESTS = {
    "ai": ["5 = ANY (ai)", "ai @> '{5}'", "ai @> '{5,6}'", "ai && '{6,7}'", "ai && '{5,0}'",
           "'{5}' <@ ai", "'{5}' && ai", "ai @> '{}'", "ai && '{}'", "ai @> '{5,NULL}'",
           "ai && '{NULL,5}'", "5::int8 = ANY (ai)", "ai @> '{{5},{5}}'",
           "ai && '{9}' OR 5 = ANY (ai)", "2147483647 = ANY (ai)", "NULL = ANY (ai)"],
    "af": ["5.5 = ANY (af)", "'NaN' = ANY (af)", "af @> '{0.1}'", "af && '{5,1e300}'",
           "0 = ANY (af)", "9007199254740992 = ANY (af)"],
    "an": ["5.5 = ANY (an)", "an @> '{5.0}'", "'NaN' = ANY (an)", "an && '{0.1,1e300}'"],
    "at": ["'abc' = ANY (at)", "at @> '{abc}'", f"at @> '{{abc,{OID}}}'", "at && '{äöü,k}'",
           "'' = ANY (at)", f"'{OID}' = ANY (at)"],
    "av": ["'abc' = ANY (av)", "av && '{k,abcdefgh}'", f"'{OID}' = ANY (av)",
           "av @> '{k}'::varchar[]"],
    "ac": ["'ab' = ANY (ac)", "ac && '{k}'::char(3)[]"],
    "ab": ["true = ANY (ab)", "ab @> '{f}'"],
    "am": ["'ok' = ANY (am)", "am && '{sad,ok}'"],
    "au": [f"'{UUID}' = ANY (au)", f"au @> '{{{UUID}}}'"],
    "ad": ["'2020-01-01' = ANY (ad)", "ad && '{2020-01-01,infinity}'"],
    "az": ["'2020-01-01 00:00+00' = ANY (az)"],
    "ao": [f"'{OID}' = ANY (ao)", f"ao @> '{{{OID}}}'"],
    "ay": ["'abc'::bytea = ANY (ay)"],
}
TYPES = {"ai": "int[]", "af": "float8[]", "an": "numeric[]", "at": "text[]", "av": "varchar(5)[]",
         "ac": "char(3)[]", "ab": "bool[]", "am": "mood[]", "au": "uuid[]", "ad": "date[]",
         "az": "timestamptz[]", "ao": "pynomaly.objectid[]", "ay": "bytea[]"}
TEXTS = ["5", "5.0", "5.5", "0.0", "-0.0", "0", "abc", "true", "false", "null", "", "-5",
         "9007199254740993", "9007199254740992.0", "0.1", "0.0000001", "äöü", OID, "1e300",
         "99999999999999999999", "."]
JSONS = ["5", "5.0", "5.50", '"abc"', "true", "false", '""', "0", "-0", "9007199254740993.0",
         "1e300", "1e400", '"5"', "0.1"]
CONTAINED = ["5", '"abc"', '{"k": 5}', '{"k": 5.0}', '{"k": "abc"}', "[5]", '[5, "abc"]',
             '{"k": {"x": 5}}', '{"k": [5]}', '[{"k": 5}]', '{"x": {"k": [{"x": 5}]}}',
             '{"k": null, "x": 5}', '"k"', '["k"]', '[[5], 6]']
# of these nothing can be said
UNSAID = [
    "{0} ->> '0' = '5'", "{0} ->> 'a.b' = '5'", "{0} ->> '$oid' = '5'", "{0} ->> '' = '5'",
    "{0} #>> '{{-1}}' = '5'", "{0} ->> 'k' = '{{}}'", "{0} ->> 'k' <> '5'",
    "({0} ->> 'k' = '5') IS NOT TRUE", "NOT ({0} ->> 'k' = '5')", "{0} -> 'k' IS NULL",
    "{0} -> 'k' = 'null'", "{0} -> 'k' = '{{\"x\": 5}}'", "{0} @> '{{}}'", "{0} @> '[]'",
    "{0} ? '0'", "{0} ?& '{{}}'", "{0} @> '{{\"0\": 5}}'", "{0} <@ '{{\"k\": 5}}'",
    "NOT {0} ? 'k'", "{0} @> '{{\"k\": null}}'", "{0} ->> 0 = '5'",
]


def json_tests(name):
    """Return the conditions on a jsonb column of which something is sent."""
    tests = [f"{name} ->> 'k' = '{text}'" for text in TEXTS]
    tests += [f"{name} -> 'k' = '{value}'" for value in JSONS]
    tests += [f"{name} -> 'k' ->> 'x' = '5'", f"{name} #>> '{{k,x}}' = '5'",
              f"'5' = {name} ->> 'k'", f"{name} ->> 'k' IN ('5', 'abc', NULL)",
              f"{name} ->> 'k' = ANY ('{{}}')", f"{name} -> 'k' IS NOT NULL",
              f"{name} #>> '{{k,x}}' IS NOT NULL", f"{name} ? 'k'", f"{name} ?| '{{k,x}}'",
              f"{name} ?| '{{}}'", f"{name} ?& '{{k,x,NULL}}'", f"{name} -> 'k' ? 'x'",
              f"{name} -> 'x' @> '{{\"k\": [{{\"x\": 5}}]}}'", f"{name} #> '{{x,k}}' @> '[]'::jsonb"
              f" AND {name} ? 'x'", f"{name} ->> 'k' = '5' OR {name} ->> 'x' = '5'",
              f"jsonb_extract_path_text({name}, 'k') = '5'",
              f"{name} ->> 'k' >= '5' COLLATE \"C\"", f"'abc' COLLATE \"C\" > {name} ->> 'k'",
              f"{name} #>> '{{k,x}}' < 'a' COLLATE \"C\""]
    return tests


def same(db, table, condition, sent):
    """Test that a condition has the same rows, sent and not."""
    query = f"SELECT _id FROM {table} WHERE {condition} ORDER BY _id"
    rows = [row[0] for row in db.rows(query)]
    plan = db.explain(query)
    db.execute("SET pynomaly_store.enable_pushdown = off")
    expected = [row[0] for row in db.rows(query)]
    db.execute("RESET pynomaly_store.enable_pushdown")
    is_(rows, expected, f"{table}: {condition}")
    ok(("$match" in plan or "no document can match" in plan or "One-Time Filter" in plan) == sent,
       f"{table}: {condition} is {'' if sent else 'not '}sent", plan)
    if sent and "$match" in plan:
        ok("Filter:" in plan, f"{table}: {condition} is checked here", plan)
    return rows


NUMBERS = [5, 5.0, 5.5, 0, -5, Int64(2**53 + 1), 2.0**53, 1e300, 0.1, NAN, float("inf"), "5", "5.5", "abc", "",
           True, Decimal128("5"), [5], [], {"x": 5}, None, 70000, 2**31, -2**31 - 1, -40000, 2**63 - 1]
CASTS = [f"(d ->> 'k')::{kind} {operator} {number}" for kind in ("int", "int8", "int2", "numeric", "float8")
         for operator in ("=", "<", ">=") for number in ("5", "5.5", "0")
         if "." not in number or kind in ("numeric", "float8")]
CASTS += ["(d ->> 'k')::int > 5.5", "5 < (d ->> 'k')::int", "(d ->> 'k')::int = ANY ('{5,0}')",
          "(d ->> 'k')::numeric BETWEEN 0.1 AND 5", "(d ->> 'k')::int > 1 AND (d ->> 'k')::int < 9"]


def casts(db, store):
    """Members cast to numbers: what fails to be cast comes here, and fails."""
    for table, values in (("sound", [5, 0, -5, 7, None]), ("odd", NUMBERS)):
        for number, value in enumerate(values):
            store[table].drop()
            store[table].insert_many([{"_id": 0, "k": 5}, {"_id": 1, "k": value}, {"_id": 2}])
            for condition in CASTS if number == 0 or table == "odd" else CASTS[:3]:
                answers = []
                for setting in ("on", "off"):
                    db.execute(f"SET pynomaly_store.enable_pushdown = {setting}")
                    try:
                        answers.append(db.rows(f"SELECT _id FROM {table} WHERE {condition} ORDER BY _id"))
                    except Exception as error:
                        if not getattr(error, "sqlstate", None):
                            raise
                        answers.append(error.sqlstate)
                db.execute("RESET pynomaly_store.enable_pushdown")
                is_(*answers, f"{condition}, of {value!r}")
    ok("$match" in db.explain(f"SELECT _id FROM sound WHERE {CASTS[0]}"), "a cast of a member is sent")
    ok("Filter:" in db.explain(f"SELECT _id FROM sound WHERE {CASTS[0]}"), "and is checked here")
    db.execute("ALTER FOREIGN TABLE sound OPTIONS (ADD json_format 'canonical')")
    ok("$match" not in db.explain(f"SELECT _id FROM sound WHERE {CASTS[0]}"),
       "in canonical Extended JSON a number is an object, and its cast not sent")


def arrays(db, table):
    """Elements of arrays of every class."""
    for tests in ARRAY_TESTS.values():
        for condition in tests:
            same(db, table, condition, True)
    for condition in ("5 <> ALL (ai)", "NOT 5 = ANY (ai)", "ai <@ '{5}'", "5 < ANY (ai)"):
        same(db, table, condition, False)


def members(db, table, column):
    """Members of jsonb."""
    for condition in json_tests(column):
        same(db, table, condition, True)
    for condition in UNSAID:
        same(db, table, condition.format(column), False)


def parameters(db, table):
    """Operands that are known to the executor only."""
    db.execute("SET plan_cache_mode = force_generic_plan")
    for number, (type_, condition, values) in enumerate([
            ("text", "j ->> 'k' = $1", ["'5'", "'{}'", "NULL", "'abc'", "'[5]'"]),
            ("text[]", "j ->> 'k' = ANY ($1)", ["'{5,abc}'", "'{\"{}\"}'", "'{}'", "NULL"]),
            ("jsonb", "j -> 'k' = $1", ["'5'", "'null'", "'[5]'", "'{\"x\": 5}'"]),
            ("jsonb", "j @> $1", ["'{\"k\": 5}'", "'{}'", "'5'", "NULL"]),
            ("text", "j ? $1", ["'k'", "'0'", "'a.b'"]),
            ("text[]", "j ?& $1", ["'{k}'", "'{}'", "'{k,0}'"]),
            ("int", "$1 = ANY (ai)", ["5", "NULL"]),
            ("int[]", "ai @> $1", ["'{5}'", "'{}'", "'{NULL}'", "NULL"]),
            ("int[]", "ai && $1", ["'{5,6}'", "'{}'"])]):
        db.execute(f"PREPARE p{number} ({type_}) AS SELECT _id FROM {table} WHERE {condition} "
                   "ORDER BY _id")
        for value in values:
            rows = db.rows(f"EXECUTE p{number} ({value})")
            db.execute("SET pynomaly_store.enable_pushdown = off")
            expected = db.rows(f"SELECT _id FROM {table} WHERE "
                               + condition.replace("$1", f"{value}::{type_}") + " ORDER BY _id")
            db.execute("RESET pynomaly_store.enable_pushdown")
            is_(rows, expected, f"{condition} with {value}")
    db.execute("RESET plan_cache_mode")


def indexes(db, client):
    """What the server's explain says of the command."""
    for table in ("many", "whole"):
        for condition in ("j ->> 's' = 'x7'", "j ->> 's' IN ('x7', 'x8')", "j -> 'i' = '7'",
                          "j ->> 'i' = '7'", "j @> '{\"s\": \"x7\"}'",
                          "j -> 'd' ->> 'i' = '7'", "j #>> '{d,i}' = '7'"):
            query = f"SELECT _id FROM {table} WHERE {condition}"
            lines = db.explain(query).splitlines()
            sent = bson.json_util.loads(next(line.split("MongoDB Command: ", 1)[1]
                                             for line in lines if "MongoDB Command: " in line))
            sent.pop("$db")
            # SecantusDB takes the collation "simple" for another than none
            sent.pop("collation", None)
            answer = json.dumps(client[db.name].command("explain", sent), default=str)
            ok("IXSCAN" in answer, f"{table}: {condition} uses the index", answer)
            ok(db.rows(query), f"{table}: {condition} finds its rows")


with database() as db, mongo_client() as client:
    db.mongo_server("real", os.environ["MONGO_URI"])
    db.execute("CREATE TYPE mood AS ENUM ('sad', 'ok'); SET search_path = public, pynomaly")
    store = client[db.name]
    values = VALUES + ARRAYS + [[value] for value in VALUES]
    values += [{"k": value} for value in VALUES + ARRAYS]
    values += [{"x": value} for value in VALUES[:12]] + [{"k": 5, "x": 5}]
    store.t.insert_many([{"_id": i, "v": value} for i, value in enumerate(values)]
                        + [{"_id": 1000}])
    store.deep.insert_many([{"_id": i, "x": {"y": {"v": value}}} for i, value in
                            enumerate(values)]
                           + [{"_id": 1000, "x": [{"y": {"v": [5]}}]}, {"_id": 1001, "x": 5}])
    store.w.insert_many([{"_id": i, "k": value} for i, value in enumerate(VALUES + ARRAYS)]
                        + [{"_id": 1000, "x": 5}, {"_id": 1001, "x": {"k": [{"x": 5}]}},
                           {"_id": 1002}])
    for name, path in (("t", "v"), ("deep", "x.y.v")):
        columns = ["_id int", f"j jsonb OPTIONS (field '{path}')"]
        columns += [f"{column} {type_} OPTIONS (field '{path}')"
                    for column, type_ in TYPES.items()]
        db.foreign_table(name, "real", ", ".join(columns), database=db.name,
                         on_mismatch="null")
        arrays(db, name)
        members(db, name, "j")
    parameters(db, "t")

    # a number is an object there, and its text begins with a brace
    db.foreign_table("canonical", "real", "_id int, j jsonb OPTIONS (field 'v')",
                     database=db.name, collection="t", json_format="canonical",
                     on_mismatch="null")
    for condition in json_tests("j"):
        same(db, "canonical", condition, True)
    db.foreign_table("w", "real", "_id int, j jsonb OPTIONS (document 'true')",
                     database=db.name, on_mismatch="null")
    for condition in json_tests("j"):
        same(db, "w", condition, True)
    for value in CONTAINED:
        same(db, "t", f"j @> '{value}'", True)
        same(db, "t", f"'{value}' <@ j", True)
        same(db, "w", f"j @> '{value}'", value[0] == "{")
    ok(same(db, "w", "j ->> 'k' = '5'", True), "there are rows to be found")

    store.many.insert_many([{"_id": i, "s": f"x{i}", "i": i, "d": {"i": i},
                             "j": {"s": f"x{i}", "i": i, "d": {"i": i}}} for i in range(1000)])
    for field in ("s", "i", "d.i"):
        store.many.create_index(field)
        store.many.create_index(f"j.{field}")
    db.foreign_table("many", "real", "_id int, j jsonb", database=db.name)
    db.foreign_table("whole", "real", "_id int, j jsonb OPTIONS (document 'true')",
                     database=db.name, collection="many")
    indexes(db, client)
    for name in ("sound", "odd"):
        db.foreign_table(name, "real", "_id int, d jsonb OPTIONS (document 'true')",
                         database=db.name, on_mismatch="null")
    casts(db, store)
done()
