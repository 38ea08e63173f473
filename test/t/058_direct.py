"""UPDATE and DELETE that are sent as one command, and what keeps others from it."""
from datetime import datetime
import re
from random import Random

import bson
from bson import Decimal128, Int64, ObjectId, json_util
import psycopg
import pymongo

from servers.harness import *

MODES = ("session", "none")

DOCUMENTS = [
    {"_id": 1, "n": 1, "s": "one", "a": {"b": 1, "z": True}},
    {"_id": 2, "n": 2, "s": "two", "a": {"b": 2}},
    {"_id": 3, "n": 3, "s": None},
    {"_id": 4, "n": 4},
    {"_id": 5, "n": [1, 2], "s": "array"},
    {"_id": 6, "n": "misfit", "s": "misfit"},
    {"_id": ObjectId("0123456789abcdef01234567"), "n": 7, "s": "x$y"},
]
COLUMNS = ("n int, s text, b int OPTIONS (field 'a.b'), c text OPTIONS (field 'a.c'), "
           "at timestamp OPTIONS (field 'at')")

STATEMENTS = [
    "UPDATE t SET s = 'new' WHERE n > 1",
    "UPDATE t SET s = NULL WHERE n = 1",
    "UPDATE t SET s = '$n', c = 'c', at = '2020-01-02' WHERE n IN (1, 2, 4)",
    "UPDATE t SET b = NULL, c = 'nested' WHERE s = 'two'",
    "UPDATE t SET b = length('abc') WHERE b = 1 AND s <> 'x' AND n BETWEEN 0 AND 5",
    "UPDATE t SET s = (SELECT 'sub'::text) WHERE n = (SELECT max(g) FROM generate_series(1, 3) g)",
    "UPDATE t SET s = 'none' WHERE n > 100",
    "UPDATE t SET s = 'none' WHERE n = (SELECT NULL::int)",
    "UPDATE t SET s = 'null' WHERE s IS NULL",
    "UPDATE t SET s = 'either' WHERE n = 1 OR s = 'two'",
    "UPDATE t SET s = 'like' WHERE s LIKE 't%' AND length(s) = 3",
    "DELETE FROM t WHERE n < 3",
    "DELETE FROM t WHERE s = 'x$y' AND n = 7",
    "DELETE FROM t WHERE n > 100",
    "DELETE FROM t",
]


def fill(mongo, name="t"):
    """Give a collection its documents."""
    mongo[name].delete_many({})
    mongo[name].insert_many([dict(one) for one in DOCUMENTS])


def contents(mongo, name="t"):
    """Return the documents of a collection."""
    return list(mongo[name].find())


def is_direct(db, statement):
    """Tell whether a statement is planned as one command."""
    plan = db.explain(statement)
    return bool(re.search("Foreign (Update|Delete) on", plan)) and "Foreign Scan" not in plan


def both_ways(db, mongo):
    """One command does what the rows' commands do."""
    for nulls in ("omit", "store"):
        db.execute(f"ALTER FOREIGN TABLE t OPTIONS (SET nulls '{nulls}')")
        for statement in STATEMENTS:
            results = []
            for setting in ("on", "off"):
                fill(mongo)
                db.execute(f"SET pynomaly_store.enable_pushdown = {setting}")
                is_(is_direct(db, statement), setting == "on", f"{setting}, direct: {statement}")
                results.append((db.execute(statement).rowcount, contents(mongo)))
            is_(results[0], results[1], f"the same count and documents: {statement}")
    db.execute("SET pynomaly_store.enable_pushdown = on")
    db.execute("ALTER FOREIGN TABLE t OPTIONS (SET nulls 'omit')")


def explains(db, mongo):
    """EXPLAIN shows the command, and that it is one."""
    fill(mongo)
    plan = db.explain("UPDATE t SET s = 'x', b = NULL WHERE n = 1")
    like(plan, r'"update" ?: ?"t"', "the command")
    like(plan, r'"\$set" ?: ?\{ ?"s" ?: ?"x" ?\}', "what is set")
    like(plan, r'"\$unset" ?: ?\{ ?"a.b"', "what is removed")
    like(plan, r'"multi" ?: ?true', "of many documents")
    like(db.explain("DELETE FROM t WHERE s = 'x'"), r'"limit" ?: ?0.*"collation"',
         "a DELETE, which compares strings by their bytes")
    like(db.explain("UPDATE t SET s = 'x' WHERE n = NULL::int AND b = 1"), "none|One-Time Filter",
         "no document can match")
    plan = db.explain("UPDATE t SET s = 'x' WHERE n > 0", "ANALYZE, COSTS OFF, TIMING OFF")
    like(plan, r"MongoDB Commands: 1\b", "one command")
    like(plan, r"Foreign Update on t \(actual rows=5", "and its rows")


def parameters(db, mongo):
    """Prepared statements, and functions, with plans for any value."""
    fill(mongo)
    db.execute("SET plan_cache_mode = force_generic_plan")
    db.execute("PREPARE setter (text, int) AS UPDATE t SET s = $1 WHERE n = $2")
    like(db.explain("EXECUTE setter('a', 1)"), r'"s" ?: ?"a"', "a generic plan shows its value")
    for value, number, count in (("'a'", 1, 1), ("NULL", 2, 1), ("'b'", 9, 0), ("'c'", "NULL", 0)):
        is_(db.execute(f"EXECUTE setter({value}, {number})").rowcount, count,
            f"EXECUTE setter({value}, {number})")
    is_([mongo.t.find_one({"_id": one}).get("s") for one in (1, 2)], ["a", None], "what they set")
    db.execute("RESET plan_cache_mode")
    is_(db.value("WITH w AS (DELETE FROM t WHERE n = 1) SELECT 42"), 42, "in a WITH")
    is_(mongo.t.count_documents({"_id": 1}), 0, "it is done")
    is_(db.execute("WITH w AS (DELETE FROM t WHERE n = 2) SELECT 1").rowcount, 1,
        "and not counted as rows of the query")


def guards(db, mongo):
    """What has to see the rows gets them."""
    fill(mongo)
    for statement in (
            "UPDATE t SET s = 'x' WHERE n = 1 RETURNING n", "UPDATE t SET n = n + 1 RETURNING n",
            "UPDATE t SET b = n", "UPDATE t SET s = s || 'x', c = 'nested'",
            "UPDATE t SET n = n + (random() * 0)::int", "UPDATE t SET s = md5(s)",
            "UPDATE t SET n = coalesce(10 / n, 0)",
            "UPDATE t SET n = CASE WHEN 10 / n > 1 THEN n END", "UPDATE flags SET f = n > 0 AND 10 / n > 1", "UPDATE twice SET a = n, b = s",
            "UPDATE narrow SET v = v || 'x'", "UPDATE narrow SET d = d + 1", "UPDATE narrow SET o = s",
            "UPDATE t SET s = clock_timestamp()::text", "UPDATE t SET (s, c) = (SELECT s, 'x')",
            "UPDATE t SET s = 'x' WHERE n::text || s = '1one'", "UPDATE strict SET n = 1 WHERE s IS NULL",
            "UPDATE t SET s = 'x' FROM generate_series(1, 2) g WHERE n = g",
            "DELETE FROM t USING generate_series(1, 2) g WHERE n = g",
            "UPDATE t SET (s, c) = (SELECT 'x', 'y' WHERE t.n > 1)",
            "UPDATE whole SET doc = '{}'", "UPDATE whole SET _id = 1", "UPDATE whole SET dotted = 1",
            "UPDATE whole SET element = 1", "UPDATE checked SET n = 1", "UPDATE checked SET n = n - 1",
            "UPDATE row_checked SET s = 'x'", "UPDATE generated SET n = 1", "UPDATE watched SET s = 'x'", "DELETE FROM watched",
            "UPDATE limited SET s = 'x'", "UPDATE off SET s = 'x'", "DELETE FROM queued",
            "UPDATE part SET n = 1", "UPDATE part SET n = n + 1"):
        ok(not is_direct(db, statement), f"by rows: {statement}")
    for statement in ("DELETE FROM checked WHERE n = 1", "UPDATE seen SET s = 'x'", "DELETE FROM seen",
                      "UPDATE checked SET s = 'x'", "UPDATE checked SET s = s || n::text", "UPDATE filled SET s = 'x'",
                      "UPDATE filled SET n = 1", "UPDATE filled SET n = n + 1", "UPDATE part SET s = 'x'",
                      "UPDATE part SET s = s || 'x'"):
        ok(is_direct(db, statement), f"direct: {statement}")
    throws(lambda: db.execute("UPDATE checked SET n = 100 WHERE n = 1"), "23514", "a CHECK holds")
    db.execute("SET pynomaly_store.enable_modify_pushdown = off")
    ok(not is_direct(db, "DELETE FROM t"), "a setting switches it off")
    db.execute("RESET pynomaly_store.enable_modify_pushdown")


def create_guarded(db, uri):
    """Create the tables of guards."""
    db.mongo_server("q", uri, transaction_mode="outbox")
    db.foreign_table("queued", "q", "n int", database="x")
    db.foreign_table("whole", "m", "_id text, doc jsonb OPTIONS (document 'true'), "
                     r"dotted int OPTIONS (field 'x\.y'), element int OPTIONS (field 'l.0')",
                     database="x")
    db.foreign_table("checked", "m", "n int, s text, CHECK (n < 100)", database="x", collection="t")
    db.foreign_table("row_checked", "m", "n int, s text, CHECK (row_checked IS NOT NULL)", database="x",
                     collection="t")
    db.foreign_table("twice", "m", "a int OPTIONS (field 'f'), b text OPTIONS (field 'f'), n int, s text",
                     database="x")
    db.foreign_table("flags", "m", "n int, f bool", database="x")
    db.foreign_table("narrow", "m", "v varchar(5), d numeric, s text, "
                     "o text OPTIONS (bson_type 'objectId')", database="x")
    db.foreign_table("filled", "m", "n int NOT NULL, s text", database="x")
    db.foreign_table("generated", "m", "n int, g int GENERATED ALWAYS AS (n * 2) STORED",
                     database="x")
    db.foreign_table("strict", "m", "n int, s text", database="x", on_mismatch="error")
    db.foreign_table("watched", "m", "n int, s text", database="x")
    db.foreign_table("seen", "m", "n int, s text", database="x")
    db.foreign_table("off", "m", "n int, s text", database="x", enable_modify_pushdown="false")
    db.execute("""
        CREATE VIEW limited AS SELECT * FROM t WHERE n < 5 WITH CHECK OPTION;
        CREATE TABLE parted (n int, s text) PARTITION BY RANGE (n);
        CREATE FOREIGN TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (10)
            SERVER m OPTIONS (database 'x');
        CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN RETURN coalesce(NEW, OLD); END$$;
        CREATE TRIGGER look BEFORE UPDATE OR DELETE ON watched
            FOR EACH ROW EXECUTE FUNCTION look();
        CREATE TRIGGER look AFTER UPDATE OR DELETE ON seen
            FOR EACH STATEMENT EXECUTE FUNCTION look()""")


NUMBERS = [None, 0, 1, -1, 7, Int64(7), 7.0, 7.5, 32767, 2147483647, -2147483648, Int64(2147483648),
           Int64(9223372036854775807), Int64(-9223372036854775808), 1e300, -0.0, float("inf"), float("nan"),
           "7", True, [1], {"x": 1}, Decimal128("7"), Decimal128("0.5"), datetime(2020, 1, 2)]
TEXTS = [None, "", "a", "é", "$n", "A", "red", "blue", ObjectId("0123456789abcdef01234567"), 5, ["a"], "zero\0"]
DATES = [None, datetime(2020, 1, 2), datetime(1969, 12, 31, 23, 59, 59, 999000),
         datetime(2020, 1, 2, 3, 4, 5)]
ANY = {"i2": NUMBERS, "i4": NUMBERS, "i8": NUMBERS, "f8": NUMBERS, "s": TEXTS, "v": TEXTS,
       "b": [True, False, None, 1, "t"], "d": DATES + ["x", 7], "at": DATES + ["x", 7], "e": TEXTS,
       "sub": [{"k": 1}, {"k": "x"}, [{"k": 2}], 5, None, {}]}
FITTING = {"i2": [None, 0, 1, -5, 7.0, 100], "i4": [None, 1, 2, Int64(7), -3.0, 50000],
           "i8": [None, 0, 5, Int64(1 << 40), -7.0], "f8": [None, 0.5, -2.0, 3, Int64(4), -0.0],
           "s": [None, "", "a", "é", "$n", "A"], "v": [None, "a", "b"], "b": [True, False, None],
           "d": DATES, "at": DATES, "e": [None, "red", "blue"], "sub": [{"k": 1}, {}, None]}
COMPUTED_COLUMNS = ("_id int, i2 int2, i4 int4, i8 int8, f8 float8, s text, v varchar, b bool, d date, "
                    "at timestamp, e color, k int OPTIONS (field 'sub.k')")
COMPUTED = [
    "i4 = i4 + 1", "i4 = i4 - 1", "i8 = i8 * 2", "i2 = i2 + 1::int2", "i8 = i4", "i4 = i8::int4", "i2 = i4::int2",
    "f8 = f8 * 2", "f8 = f8 / i4", "f8 = i4", "i4 = 100 / i4", "i4 = i4 % 3", "i8 = -i8", "i4 = abs(i4)",
    "s = s || 'x'", "s = s || s", "s = v", "v = v", "s = '$' || s, i4 = 5, v = NULL, b = true",
    "b = i4 > 3", "b = NOT b", "b = s = 'a'", "b = s IS NULL", "i4 = i8, i8 = i4",
    "i4 = CASE WHEN s = 'a' THEN 1 WHEN i4 > 0 THEN 2 ELSE i4 END", "s = coalesce(s, v, 'none')",
    "s = CASE WHEN b THEN '$n' END", "d = at::date", "d = d", "at = d", "at = at", "e = e", "i4 = k", "i4 = length(s)",
    "e = CASE WHEN i4 > 0 THEN 'red'::color ELSE e END", "i4 = i4 + 1, s = s || 'y'",
    "i4 = CASE WHEN i4 <> 0 THEN 100 / i4 END", "i4 = CASE WHEN i4 < 10 THEN i4 + 1 ELSE 0 END",
    "i4 = CASE WHEN i4 > 0 THEN 1 WHEN s = 'a' THEN i4 / 0 ELSE i4 / 0 + i4 END", "i4 = 100 / nullif(i4, 0)",
    "i4 = 10 / CASE i4 WHEN 0 THEN 1 ELSE i4 END", "i2 = CASE WHEN b THEN CASE WHEN i4 < 9 THEN i4::int2 END ELSE 7 END",
    "i4 = CASE WHEN i4 < 2000000 THEN i4 * 1000 ELSE i4 END", "i4 = greatest(i4 + 1, 3)",
    "i8 = i8 + (SELECT count(*) FROM generate_series(1, 3))",
]
CONDITIONS = ["", " WHERE _id < 20", " WHERE i4 > 0", " WHERE s IS NULL", " WHERE length(s) = 1", " WHERE _id < 0"]


def random_documents(random, fits):
    """Make documents of which many do not fit their columns, or none."""
    documents = []
    for number in range(60):
        document = {"_id": number, "extra": {"a": [number]}}
        for key, values in (FITTING if fits else ANY).items():
            value = random.choice(values)
            if value is not None or random.random() < 0.5:
                document[key] = value
        documents.append(document)
    return documents


def encoded(documents):
    """Return the bytes of each field of documents, by _id."""
    return {one["_id"]: {key: bson.encode({"v": value}) for key, value in one.items()}
            for one in documents}


def outcome(db, mongo, statement, documents):
    """Run a statement on documents; return what it does to them, bytes and all, or its error."""
    mongo.computed.delete_many({})
    mongo.computed.insert_many(documents)
    try:
        count = db.execute(statement).rowcount
        result = ("done", count)
    except psycopg.Error as error:
        result = (error.sqlstate, error.diag.message_primary)
    return result, encoded(mongo.computed.find())


def computes(db, mongo):
    """An UPDATE that computes does what the rows' commands do, and fails as they do."""
    random = Random(58)
    db.execute("CREATE TYPE color AS ENUM ('red', 'blue')")
    for mismatch, nulls in (("null", "omit"), ("null", "store"), ("error", "omit")):
        db.execute("DROP FOREIGN TABLE IF EXISTS computed")
        db.foreign_table("computed", "m", COMPUTED_COLUMNS, database="x", nulls=nulls, on_mismatch=mismatch)
        errors = 0
        wrong = []
        for sets in COMPUTED:
            condition = random.choice(CONDITIONS)
            if mismatch == "error":
                condition = random.choice(["", " WHERE _id < 20"])
            statement = f"UPDATE computed SET {sets}{condition}"
            documents = random_documents(random, mismatch == "error" or random.random() < 0.6)
            db.execute("SET pynomaly_store.enable_modify_pushdown = on")
            ok(is_direct(db, statement), f"direct: {statement}")
            direct = outcome(db, mongo, statement, documents)
            db.execute("SET pynomaly_store.enable_modify_pushdown = off")
            ok(not is_direct(db, statement), f"by rows: {statement}")
            rows = outcome(db, mongo, statement, documents)
            errors += direct[0][0] != "done"
            if direct[0] != rows[0] or (direct[0][0] == "done" and direct[1] != rows[1]):
                wrong.append((statement, direct[0], rows[0], [(direct[1][one], rows[1][one]) for one in direct[1]
                              if direct[1][one] != rows[1][one]][:2]))
            if direct[0][0] != "done":
                is_(direct[1], encoded(documents), f"an error changes nothing: {statement}")
        is_(wrong, [], f"on_mismatch {mismatch}, nulls {nulls}: the same as by rows ({errors} errors)")
    db.execute("RESET pynomaly_store.enable_modify_pushdown")


def compute_errors(db, mongo):
    """What is an error row by row is one, and nothing is written."""
    db.foreign_table("misfits", "m", "_id int, n int, d int, s text, v varchar", database="x", on_mismatch="error",
                     collection="computed")
    db.foreign_table("required", "m", "_id int, n int NOT NULL, d int", database="x", on_mismatch="null",
                     collection="computed")
    for document, statement, code in (
            ({"n": 2147483647}, "UPDATE misfits SET n = n + 1", "22003"),
            ({"n": 1, "d": 0}, "UPDATE misfits SET n = n / d", "22012"),
            ({"n": "bad"}, "UPDATE misfits SET n = n + 1", "22000"),
            ({"n": "bad"}, "UPDATE misfits SET s = n::text", "22000"),
            ({"n": 1, "d": "bad"}, "UPDATE misfits SET n = n * d", "22000"),
            ({"n": "bad", "s": "a"}, "UPDATE misfits SET s = CASE WHEN s = 'a' THEN 'b' ELSE n::text END", "22000"),
            ({"n": None}, "UPDATE required SET n = n + 1", "23502"),
            ({"n": 1}, "UPDATE required SET n = d", "23502"),
            ({"n": 1}, "UPDATE required SET n = NULL", "23502"),
            ({"n": 1}, "UPDATE required SET n = (SELECT NULL::int)", "23502")):
        documents = [{"_id": 1, "n": 1, "d": 1}, dict(document, _id=2), {"_id": 3, "n": 3, "d": 3}]
        ok(is_direct(db, statement), f"direct: {statement}")
        direct = outcome(db, mongo, statement, documents)
        db.execute("SET pynomaly_store.enable_modify_pushdown = off")
        rows = outcome(db, mongo, statement, documents)
        db.execute("RESET pynomaly_store.enable_modify_pushdown")
        is_(direct[0][0], code, f"{code}: {statement}")
        is_(direct[0], rows[0], "the same error row by row")
        is_(direct[1], encoded(documents), "nothing is written")
        is_(outcome(db, mongo, statement + " WHERE _id = 9", documents)[0], ("done", 0), "and none where nothing matches")
    outcome(db, mongo, "UPDATE misfits SET n = n + 1", [{"_id": 1, "n": 1}, {"_id": 2, "n": 2}])
    is_([one["n"] for one in mongo.computed.find()], [2, 3], "each document is changed once")
    plan = db.explain("UPDATE misfits SET n = n + 1 WHERE _id > 0")
    like(plan, "MongoDB Check", "EXPLAIN shows what is asked before")
    like(plan, r'"\$set" ?: ?\{ ?"n"', "and the pipeline")
    like(db.explain("UPDATE misfits SET n = n + 1", "ANALYZE, COSTS OFF"), "MongoDB Commands: 2", "a check, and one command")
    meanwhile(db, mongo)
    changed_after_the_check(db)
    too_large(db, mongo)
    db.execute("ALTER FOREIGN TABLE misfits OPTIONS (SET on_mismatch 'null')")
    like(db.explain("UPDATE misfits SET n = length(s)", "ANALYZE, COSTS OFF"), "MongoDB Commands: 1", "no check is needed")


def meanwhile(db, mongo):
    """A document that comes to be wrong after the check is not written by the update itself."""
    plan = db.explain("UPDATE misfits SET n = n + 1 WHERE _id > 0")
    command = json_util.loads(re.search(r"MongoDB Command: (.*)", plan).group(1))
    del command["$db"]
    for value, written in ((1, 2), (None, None), (2147483647, ...), ("bad", ...), (Int64(5), 6)):
        mongo.computed.update_one({"_id": 2}, {"$set": {"n": value}})
        try:
            mongo.command(command)
            result = mongo.computed.find_one({"_id": 2}).get("n")
        except pymongo.errors.OperationFailure as error:
            like(str(error), "changed meanwhile", f"{value!r} is refused")
            result = ...
        is_(result, written, f"what the update makes of {value!r}")


def changed_after_the_check(db):
    """What such an error says is worth a retry, in whichever form the server reports it."""
    message = ("Failed to parse number 'the document was changed meanwhile; type of its _id: int' "
               "in $convert with no onError value")
    with ScriptedServer() as server:
        db.mongo_server("scripted", server.uri, transaction_mode="none")
        db.foreign_table("changing", "scripted", "_id int, n int", database="x")
        server.on("aggregate", Batches([]))
        for answer in (Error(241, "ConversionFailure", message),
                       Reply({"n": 0, "nModified": 0, "writeErrors": [
                           {"index": 0, "code": 241, "errmsg": message}]})):
            server.on("update", answer)
            throws(lambda: db.execute("UPDATE changing SET n = n + 1"), "40001",
                   f"a document that comes to be wrong after the check: {type(answer).__name__}")
        server.on("update", Error(241, "ConversionFailure", "Failed to parse number 'x'"))
        throws(lambda: db.execute("UPDATE changing SET n = n + 1"), "22P02",
               "another failure to convert is none")


def too_large(db, mongo):
    """MongoDB does not tell which of many documents became too large; the error has the condition."""
    db.foreign_table("growing", "m", "_id int, n int, s text, t text", database="x")
    mongo.growing.insert_many([{"_id": 1, "n": 1}, {"_id": 2, "n": 2, "s": "x" * 9_000_000}])
    statement = "UPDATE growing SET t = repeat('y', 9000000) WHERE n > 1"
    ok(is_direct(db, statement), "an UPDATE that is one command")
    throws(lambda: db.execute(statement), "54000", "makes a document too large",
           detail=r'condition \{.*"n".*\}', context='foreign table "growing"')
    is_(list(mongo.growing.find({"t": {"$exists": True}})), [], "and changes nothing")


def computed_parameters(db, mongo):
    """Parameters of what is computed, in plans for any value."""
    db.execute("SET plan_cache_mode = force_generic_plan; "
               "PREPARE adder (int, text) AS UPDATE misfits SET n = n + $1, s = $2 WHERE _id > 0; "
               "PREPARE setter2 (int) AS UPDATE required SET n = $1, d = d + 1 WHERE _id = 1")
    for call, n, s in (("adder(5, '$n')", 6, "$n"), ("adder(-1, NULL)", 0, None), ("adder(NULL, 'x')", None, "x"),
                       ("setter2(9)", 9, None)):
        is_(outcome(db, mongo, f"EXECUTE {call}", [{"_id": 1, "n": 1, "s": "s"}])[0], ("done", 1), call)
        document = mongo.computed.find_one()
        is_((document.get("n"), document.get("s")), (n, s if "adder" in call else "s"), "what it writes")
    for call, code in (("adder(2147483647, 'x')", "22003"), ("setter2(NULL)", "23502")):
        is_(outcome(db, mongo, f"EXECUTE {call}", [{"_id": 1, "n": 1}])[0][0], code, call)
    like(db.explain("EXECUTE adder(5, 'x')"), r'"\$literal" ?: ?"x"', "a constant is not taken for an expression")
    db.execute("DEALLOCATE adder; DEALLOCATE setter2; RESET plan_cache_mode")


def parents(db, mongo):
    """Each table below a parent has its own command."""
    db.execute("CREATE TABLE family (n int, s text, k int) PARTITION BY LIST (k); "
               "CREATE TABLE home PARTITION OF family FOR VALUES IN (1); "
               "CREATE TABLE elders (n int, s text)")
    for number in (2, 3):
        db.execute(f"CREATE FOREIGN TABLE family{number} PARTITION OF family FOR VALUES IN ({number}) "
                   f"SERVER m OPTIONS (database 'x', collection 'family{number}', on_mismatch 'null')")
    db.execute("CREATE FOREIGN TABLE younger (extra text, s text, n int) SERVER m "
               "OPTIONS (database 'x', collection 'younger'); ALTER FOREIGN TABLE younger INHERIT elders")
    for statement, direct in (
            ("UPDATE family SET n = n + 1", 2), ("UPDATE family SET s = s || k::text WHERE n > 1", 2),
            ("UPDATE family SET s = 'x' WHERE k = 2", 1), ("UPDATE family SET k = k, s = 'x'", 0),
            ("UPDATE elders SET n = n * 2, s = 'y'", 1), ("DELETE FROM family WHERE n = 2", 2),
            ("DELETE FROM elders WHERE n = 4", 1), ("UPDATE family SET n = length(md5(s)) WHERE n = 3", 0),
            ("UPDATE family SET n = 1 FROM elders WHERE family.n = elders.n", 0)):
        results = []
        for setting in ("on", "off"):
            db.execute(f"SET pynomaly_store.enable_modify_pushdown = {setting}; TRUNCATE home; DELETE FROM elders; "
                       "DELETE FROM family; INSERT INTO home SELECT g, 'h' || g, 1 FROM generate_series(1, 3) g; "
                       "INSERT INTO family SELECT g, 'f' || g, 2 + g % 2 FROM generate_series(1, 6) g; "
                       "INSERT INTO younger SELECT 'e', 'y' || g, g FROM generate_series(1, 4) g; "
                       "INSERT INTO elders SELECT g, 'o' || g FROM generate_series(1, 4) g")
            plan = db.explain(statement)
            is_(len(re.findall('MongoDB Command: .*"multi"|MongoDB Command: .*"limit" ?: ?0', plan)),
                direct if setting == "on" else 0, f"{setting}, direct: {statement}")
            count = db.execute(statement).rowcount
            results.append((count, db.rows("SELECT tableoid::regclass::text, * FROM family ORDER BY 1, 2, 3, 4"),
                            db.rows("SELECT tableoid::regclass::text, * FROM elders ORDER BY 1, 2, 3"),
                            db.rows("SELECT * FROM younger ORDER BY 1, 2, 3")))
        is_(results[0], results[1], f"the same count and rows: {statement}")
    db.execute("RESET pynomaly_store.enable_modify_pushdown")


def transactions(db, mongo, mode):
    """In a session, what is rolled back has not happened."""
    fill(mongo)
    before = contents(mongo)
    db.execute("BEGIN")
    db.execute("UPDATE t SET s = 'gone' WHERE n > 0; DELETE FROM t WHERE n = 1")
    is_(db.value("SELECT count(*) FROM t WHERE s = 'gone'"), 4, "the transaction sees its writes")
    db.execute("ROLLBACK")
    is_(contents(mongo) == before, mode == "session", "ROLLBACK takes back what a session wrote")
    mongo.t.create_index("u", unique=True, sparse=True)
    db.foreign_table("u", "m", "n int, u int", database="x", collection="t")
    throws(lambda: db.execute("UPDATE u SET u = 1 WHERE n > 1"), "23505", "a unique index",
           context="foreign table")
    mongo.t.drop_index("u_1")


def views(db, mongo, uri):
    """A view writes as its owner, whose user mapping is used."""
    fill(mongo)
    db.execute("CREATE VIEW shown AS SELECT n, s FROM t WHERE n < 5; "
               "DROP ROLE IF EXISTS direct_reader; CREATE ROLE direct_reader; "
               "GRANT SELECT, UPDATE ON shown TO direct_reader; SET ROLE direct_reader")
    is_(db.execute("UPDATE shown SET s = 'view' WHERE n > 2").rowcount, 2, "through a view")
    db.execute("RESET ROLE; DROP VIEW shown; DROP ROLE direct_reader")
    is_(mongo.t.count_documents({"s": "view"}), 2, "its condition goes along")


for mode in MODES:
    with secantus() as server, database() as db:
        note(f"transaction_mode {mode}")
        mongo = mongo_client(server.uri).x
        db.mongo_server("m", server.uri, transaction_mode=mode)
        db.foreign_table("t", "m", COLUMNS, database="x", nulls="omit", on_mismatch="null")
        create_guarded(db, server.uri)
        both_ways(db, mongo)
        explains(db, mongo)
        parameters(db, mongo)
        guards(db, mongo)
        computes(db, mongo)
        compute_errors(db, mongo)
        computed_parameters(db, mongo)
        parents(db, mongo)
        transactions(db, mongo, mode)
        views(db, mongo, server.uri)

done()
