"""UPDATE and DELETE that are sent as one command, and what keeps others from it."""
import re

from bson import ObjectId

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
            "UPDATE t SET s = 'x' WHERE n = 1 RETURNING n", "UPDATE t SET n = n + 1",
            "UPDATE t SET s = clock_timestamp()::text", "UPDATE t SET (s, c) = (SELECT s, 'x')",
            "UPDATE t SET s = 'x' WHERE n::text || s = '1one'", "UPDATE strict SET n = 1 WHERE s IS NULL",
            "UPDATE t SET s = 'x' FROM generate_series(1, 2) g WHERE n = g",
            "DELETE FROM t USING generate_series(1, 2) g WHERE n = g",
            "UPDATE t SET (s, c) = (SELECT 'x', 'y' WHERE t.n > 1)",
            "UPDATE whole SET doc = '{}'", "UPDATE whole SET _id = 1", "UPDATE whole SET dotted = 1",
            "UPDATE whole SET element = 1", "UPDATE checked SET s = 'x'", "UPDATE filled SET s = 'x'",
            "UPDATE generated SET n = 1", "UPDATE watched SET s = 'x'", "DELETE FROM watched",
            "UPDATE limited SET s = 'x'", "UPDATE off SET s = 'x'", "DELETE FROM queued",
            "UPDATE part SET s = 'x'"):
        ok(not is_direct(db, statement), f"by rows: {statement}")
    for statement in ("DELETE FROM checked WHERE n = 1", "UPDATE seen SET s = 'x'", "DELETE FROM seen"):
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
        transactions(db, mongo, mode)
        views(db, mongo, server.uri)

done()
