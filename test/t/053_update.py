"""UPDATE, DELETE and TRUNCATE, in a transaction over there and without one."""
import re

from bson import Int64, ObjectId

from servers.harness import *

MODES = ("session", "none")
ROWS = 5000

# what so many rows may take: batches of 1,000
MOST_COMMANDS = 5


def commands(db, statement):
    """Run a statement, and return how many commands have written its rows."""
    plan = db.explain(statement, "ANALYZE, COSTS OFF, TIMING OFF")
    return int(re.search(r"MongoDB Commands: (\d+)", plan).group(1))


def batches(db, mongo):
    """Many rows take few commands."""
    mongo.many.insert_many({"_id": number, "n": number, "rest": "r"} for number in range(ROWS))
    db.foreign_table("many", "m", "_id int, n int", database="x")
    sent = commands(db, "UPDATE many SET n = -n WHERE n::text <> ''")
    ok(sent <= MOST_COMMANDS, f"an UPDATE of {ROWS} rows takes {sent} commands")
    is_(db.value("SELECT sum(n) FROM many"), -ROWS * (ROWS - 1) // 2, "and changes all of them")
    is_(mongo.many.count_documents({"rest": "r"}), ROWS, "fields that are no columns stay")
    sent = commands(db, "DELETE FROM many WHERE n::text <> ''")
    ok(sent <= MOST_COMMANDS, f"a DELETE takes {sent}")
    is_(mongo.many.count_documents({}), 0, "and deletes all of them")


def identities(db, mongo):
    """Documents are written by their _id, of any type."""
    ids = [1, "1", 1.5, Int64(2**40), ObjectId("0123456789abcdef01234567"),
           "0123456789abcdef01234567", {"a": 1, "b": "x"}, True, None, b"bytes"]
    mongo.ids.insert_many({"_id": one, "n": number} for number, one in enumerate(ids))
    db.foreign_table("ids", "m", "n int, m int", database="x")
    is_(db.execute("UPDATE ids SET m = n + 1 WHERE n::text <> ''").rowcount, len(ids),
        "all types of _id are found")
    is_([mongo.ids.find_one({"_id": {"$eq": one}})["m"] for one in ids],
        [number + 1 for number in range(len(ids))], "each its own document")
    is_(db.execute("DELETE FROM ids WHERE n::text IN ('4', '6')").rowcount, 2, "and deleted")
    is_(mongo.ids.count_documents({"_id": "0123456789abcdef01234567"}), 1,
        "a string is no ObjectId")


def paths(db, mongo):
    """Only what SET names is changed."""
    mongo.docs.insert_one({"_id": 1, "a": {"b": 1, "z": [1]}, "s": "x", "big": Int64(5)})
    db.foreign_table(
        "docs", "m", "_id int, b int OPTIONS (field 'a.b'), c text OPTIONS (field 'a.c'), s text, "
        "doc jsonb OPTIONS (document 'true')", database="x")
    is_(db.value("UPDATE docs SET c = 'new', s = NULL WHERE b::text = '1' RETURNING doc"),
        {"_id": 1, "a": {"b": 1, "z": [1], "c": "new"}, "big": 5},
        "a nested path is set, NULL removes, RETURNING shows the document")
    is_(mongo.docs.find_one()["big"], Int64(5), "the rest is as it was")
    is_(db.value("""UPDATE docs SET doc = '{"a": {"b": 7}, "w": true}', c = 'over' RETURNING doc"""),
        {"_id": 1, "a": {"b": 7, "c": "over"}, "w": True},
        "the document is replaced, columns of the SET win over it")
    is_(db.execute("UPDATE docs SET _id = _id, b = 2").rowcount, 1, "an _id that stays")
    for setting in ("_id = 2", """doc = '{"_id": 2}'"""):
        throws(lambda: db.execute(f"UPDATE docs SET {setting}"), "0A000", "_id cannot be changed")
    throws(lambda: db.execute("UPDATE docs SET doc = NULL"), "22004", "nor can there be no document")
    is_(mongo.docs.find_one(), {"_id": 1, "a": {"b": 2, "c": "over"}, "w": True},
        "what is refused changes nothing")
    db.execute("ALTER FOREIGN TABLE docs OPTIONS (ADD nulls 'store')")
    db.execute("UPDATE docs SET b = NULL")
    is_(mongo.docs.find_one()["a"], {"b": None, "c": "over"}, "nulls 'store'")
    throws(lambda: db.execute("DELETE FROM docs WHERE ctid = '(0,1)'"), "0A000",
           "a row has no ctid")


def joins(db, mongo):
    """A row that a join gives several times is written once."""
    mongo.joined.insert_many([{"_id": 1, "n": 1}, {"_id": 2, "n": 2}, {"_id": 3, "n": 3}])
    db.foreign_table("joined", "m", "_id int, n int", database="x")
    db.execute("CREATE TABLE more (k int, v int); "
               "INSERT INTO more VALUES (1, 10), (1, 20), (2, 30), (9, 90); ANALYZE more")
    for setting in ("on", "off"):
        db.execute(f"SET pynomaly_store.enable_batched_join_pushdown = {setting}")
        rows = db.rows("UPDATE joined SET n = n + v FROM more WHERE _id = k RETURNING _id, v")
        is_(sorted(row[0] for row in rows), [1, 2], f"UPDATE ... FROM, batched joins {setting}")
    is_(db.value("SELECT n FROM joined WHERE _id = 2"), 62, "each time once")
    is_(db.execute("DELETE FROM joined USING more WHERE _id = k").rowcount, 2, "DELETE ... USING")
    is_(db.rows("SELECT * FROM joined"), [(3, 3)], "leaves the rest")


def triggers(db, mongo):
    """Triggers see rows as they were and as they are, and change other columns."""
    mongo.watched.insert_many([{"_id": 1, "n": 1, "m": 1}, {"_id": 2, "n": 2, "m": 2}])
    db.foreign_table("watched", "m", "_id int, n int, m int, CHECK (n < 100)", database="x")
    db.execute("""
        CREATE TABLE seen (o int, n int);
        CREATE FUNCTION before() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN NEW.m := NEW.n * 2; RETURN NEW; END$$;
        CREATE FUNCTION after() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN INSERT INTO seen VALUES (OLD.n, NEW.n); RETURN NULL; END$$;
        CREATE TRIGGER before BEFORE UPDATE ON watched FOR EACH ROW EXECUTE FUNCTION before();
        CREATE TRIGGER after AFTER UPDATE OR DELETE ON watched
            FOR EACH ROW EXECUTE FUNCTION after();
        UPDATE watched SET n = n + 10; DELETE FROM watched WHERE _id = 1""")
    is_(db.rows("SELECT o, n FROM seen ORDER BY o, n"), [(1, 11), (2, 12), (11, None)],
        "AFTER triggers")
    is_(list(mongo.watched.find()), [{"_id": 2, "n": 12, "m": 24}],
        "a BEFORE trigger's column is written, too")
    throws(lambda: db.execute("UPDATE watched SET n = 100"), "23514", "a CHECK of the table")


def vanishing(db, mongo):
    """A document that goes or changes after it was read, outside of a transaction."""
    db.foreign_table("gone", "m", "_id int, n int", database="x")
    db.execute("""
        CREATE FUNCTION meanwhile(n int, todo text) RETURNS int LANGUAGE plpgsql VOLATILE AS
            $$BEGIN IF n = 0 THEN EXECUTE todo; END IF; RETURN n + 1; END$$""")
    delete = "DELETE FROM gone WHERE _id = 4"
    for statement, shown in ((f"UPDATE gone SET n = meanwhile(n, '{delete}')", "UPDATE"),
                             (f"DELETE FROM gone WHERE meanwhile(n, '{delete}') > 0", "DELETE")):
        for returning in ("", " RETURNING _id"):
            mongo.gone.delete_many({})
            mongo.gone.insert_many({"_id": number, "n": number} for number in range(5))
            is_(db.execute(statement + returning).rowcount, 4,
                f"{shown}{returning}: a row that is gone is not counted")
    mongo.gone.insert_many({"_id": number, "n": number} for number in range(5))
    throws(lambda: db.execute(
        "UPDATE gone SET n = meanwhile(n, 'UPDATE gone SET n = 70 WHERE _id = 4')"), "40001",
        "what was computed of a row that has changed is not written")
    is_(mongo.gone.find_one({"_id": 4})["n"], 70, "the other's value stays")


def partitions(db, mongo):
    """Partitions of both kinds, and rows that move between them."""
    db.execute("""
        CREATE TABLE parted (_id int, n int) PARTITION BY RANGE (n);
        CREATE TABLE local PARTITION OF parted FOR VALUES FROM (0) TO (10);
        CREATE FOREIGN TABLE remote PARTITION OF parted FOR VALUES FROM (10) TO (1000)
            SERVER m OPTIONS (database 'x', collection 'remote');
        INSERT INTO parted SELECT g, g FROM generate_series(1, 20) g""")
    is_(db.execute("UPDATE parted SET n = n + 10 WHERE _id::text <> ''").rowcount, 20,
        "rows of both partitions, some of which move")
    is_(db.rows("SELECT tableoid::regclass::text, count(*), sum(n) FROM parted GROUP BY 1"),
        [("remote", 20, 410)], "each is written once")
    throws(lambda: db.execute("UPDATE remote SET n = 5 WHERE _id = 1"), "23514",
           "a row that does not belong into the partition")
    is_(db.execute("DELETE FROM parted WHERE n::text <> '11'").rowcount, 19, "DELETE")
    is_(list(mongo.remote.find()), [{"_id": 1, "n": 11}], "leaves the rest")


def truncates(db, mongo):
    """TRUNCATE deletes all documents and keeps the indexes."""
    mongo.emptied.insert_many({"n": number} for number in range(10))
    mongo.emptied.create_index("n")
    db.foreign_table("emptied", "m", "n int", database="x")
    db.execute("TRUNCATE emptied")
    is_(mongo.emptied.count_documents({}), 0, "TRUNCATE deletes all")
    is_(len(list(mongo.emptied.list_indexes())), 2, "but no index")
    db.execute("ALTER FOREIGN TABLE emptied OPTIONS (ADD updatable 'false')")
    for statement in ("TRUNCATE emptied", "DELETE FROM emptied", "UPDATE emptied SET n = 1"):
        throws(lambda: db.execute(statement), "55000", f"a table that is not updatable: {statement}")


for mode in MODES:
    with secantus() as server, database() as db:
        note(f"transaction_mode {mode}")
        mongo = mongo_client(server.uri).x
        db.mongo_server("m", server.uri, transaction_mode=mode)
        batches(db, mongo)
        identities(db, mongo)
        paths(db, mongo)
        joins(db, mongo)
        triggers(db, mongo)
        partitions(db, mongo)
        truncates(db, mongo)
        if mode == "none":
            vanishing(db, mongo)

done()
