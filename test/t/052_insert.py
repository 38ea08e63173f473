"""INSERT, COPY and rows that are routed, in a transaction over there and without one."""
import datetime
import decimal
import re

from bson import Binary, Decimal128, Int64, ObjectId
from psycopg.types.json import Jsonb

from servers.harness import *

ROWS = 20000
MODES = ("session", "none")

# what 20,000 rows may take: batches of 1,000 and a few more
MOST_COMMANDS = 25


def commands(db, statement):
    """Run a statement, and return how many commands have written its rows."""
    plan = db.explain(statement, "ANALYZE, COSTS OFF, TIMING OFF")
    return int(re.search(r"MongoDB Commands: (\d+)", plan).group(1))


def documents(db, mongo, table):
    """Return the documents of a table's collection, in the order of _id."""
    return list(mongo[table].find().sort("_id"))


def batches(db, mongo):
    """Many rows take few commands."""
    db.foreign_table("many", "m", "_id int, n int", database="x")
    sent = commands(db, f"INSERT INTO many SELECT g, g FROM generate_series(1, {ROWS}) g")
    ok(ROWS / 1000 <= sent <= MOST_COMMANDS, f"{ROWS} rows take {sent} commands")
    is_(mongo.many.count_documents({}), ROWS, "and all of them are there")
    is_(db.value("SELECT sum(n) FROM many"), ROWS * (ROWS + 1) // 2, "with their values")

    db.execute("ALTER FOREIGN TABLE many OPTIONS (ADD batch_size '7')")
    is_(commands(db, "INSERT INTO many SELECT -g, g FROM generate_series(1, 20) g"), 3,
        "batch_size says how many rows a command writes")
    is_(commands(db, "INSERT INTO many SELECT -g - 100, g FROM generate_series(1, 20) g "
                     "RETURNING _id"), 3, "with RETURNING as well")
    db.execute("ALTER FOREIGN TABLE many OPTIONS (SET batch_size '1000')")

    with db.main.cursor().copy("COPY many (_id, n) FROM STDIN") as copy:
        for number in range(5000):
            copy.write_row((100000 + number, 1))
    is_(mongo.many.count_documents({"n": 1, "_id": {"$gte": 100000}}), 5000,
        "COPY writes them all")


def values(db, mongo):
    """Each type is written as its BSON type, and reads back."""
    row = {
        "_id": 1, "i2": 2, "i8": 5000000000, "f8": 0.1, "m": decimal.Decimal("1.50"),
        "b": True, "s": "ä$x", "u": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "bin": b"\0\xff" * 3000, "tz": datetime.datetime(2020, 1, 2, 3, 4, 5, 6000,
                                                         tzinfo=datetime.timezone.utc),
        "j": Jsonb({"$x": 5000000000, "a": [1, {"b": None}]}), "a": [1, None, 3],
    }
    db.foreign_table(
        "kinds", "m", "_id int, i2 int2, i8 int8, f8 float8, m numeric, b bool, s text, u uuid, "
        "bin bytea, tz timestamptz, j jsonb, a int[], o text OPTIONS (bson_type 'objectId'), "
        "double int GENERATED ALWAYS AS (_id * 2) STORED, dflt text DEFAULT 'given'",
        database="x")
    row["o"] = "0123456789abcdef01234567"
    db.execute(f"INSERT INTO kinds ({', '.join(row)}) VALUES "
               f"({', '.join(['%s'] * len(row))})", list(row.values()))
    is_(documents(db, mongo, "kinds"), [{
        "_id": 1, "i2": 2, "i8": Int64(5000000000), "f8": 0.1, "m": Decimal128("1.50"), "b": True,
        "s": "ä$x", "u": Binary(bytes.fromhex("a0eebc999c0b4ef8bb6d6bb9bd380a11"), 4),
        "bin": b"\0\xff" * 3000, "tz": datetime.datetime(2020, 1, 2, 3, 4, 5, 6000),
        "j": {"$x": 5000000000, "a": [1, {"b": None}]}, "a": [1, None, 3],
        "o": ObjectId("0123456789abcdef01234567"), "double": 2, "dflt": "given"}],
        "each type, a default and a generated column")
    ok(db.value(f"SELECT ({', '.join(row)}) = "
                f"({', '.join(f'%s::{kind}' for kind in ('int int2 int8 float8 numeric bool text uuid bytea timestamptz jsonb int[] text').split())}) "
                "FROM kinds", list(row.values())), "reads back as it was written")

    throws(lambda: db.execute("INSERT INTO kinds (_id, tz) VALUES (2, '2020-01-01 0:0:0.0000001'"
                              "::timestamptz + interval '1 microsecond')"), "22008",
           "a microsecond is an error")
    db.execute("ALTER FOREIGN TABLE kinds OPTIONS (ADD on_loss 'round')")
    is_(db.value("INSERT INTO kinds (_id, tz) VALUES (2, '2020-01-01 0:0:0.001499Z') "
                 "RETURNING tz"),
        datetime.datetime(2020, 1, 1, 0, 0, 0, 1000, tzinfo=datetime.timezone.utc),
        "or is rounded, as RETURNING shows")
    throws(lambda: db.execute("INSERT INTO kinds (_id, o) VALUES (3, 'abc')"), "22P02",
           "what is no ObjectId")
    is_(mongo.kinds.count_documents({}), 2, "an error writes nothing")


def identifiers(db, mongo):
    """_id is as it was given, or made."""
    db.foreign_table("ids", "m", "_id text, n int", database="x")
    made = db.value("INSERT INTO ids (n) VALUES (1) RETURNING _id")
    is_(mongo.ids.find_one({"n": 1})["_id"], ObjectId(made), "an _id is made and returned")
    is_(db.value("INSERT INTO ids (_id, n) VALUES ('mine', 2) RETURNING _id"), "mine",
        "one that is given is kept")
    throws(lambda: db.execute("INSERT INTO ids (_id, n) VALUES ('a', 1), ('mine', 2)"), "23505",
           "a duplicate is a unique violation", detail="Operation 2 of 2, _id \"?mine",
           context='foreign table "ids"')
    db.foreign_table("number_ids", "m", "_id int, n int", database="x", collection="ids")
    throws(lambda: db.execute("INSERT INTO number_ids (n) VALUES (1)"), "23502",
           "a column that cannot show an ObjectId needs a value")


def imported(db, mongo):
    """What is copied between tables as IMPORT FOREIGN SCHEMA makes them keeps its types."""
    document = {
        "_id": ObjectId(), "text": "x", "id": ObjectId(), "ids": [ObjectId(), ObjectId()],
        "sub": {"a.b": ObjectId(), "n": 1}, "long": Int64(5), "int": 1, "double": 2.0,
        "decimal": Decimal128("1.10"), "bool": True, "date": datetime.datetime(2025, 1, 1),
        "uuid": Binary(b"0123456789abcdef", 4), "binary": b"ab", "ints": [1, 2],
        "longs": [Int64(1)], "doubles": [1.0, 2.5], "dates": [datetime.datetime(2025, 1, 1)]}
    for collection in ("original", "copy"):
        mongo[collection].insert_one(document)
    db.execute("CREATE SCHEMA imported; "
               "IMPORT FOREIGN SCHEMA x LIMIT TO (original, copy) FROM SERVER m INTO imported; "
               "DELETE FROM imported.copy; INSERT INTO imported.copy SELECT * FROM imported.original")
    copy = mongo.copy.find_one()
    is_(copy, document, "a copy by imported tables has the same values")
    is_({key: type(value) for key, value in copy.items()},
        {key: type(value) for key, value in document.items()}, "and types")


def nested(db, mongo):
    """Paths make documents, and are set in the document column."""
    db.foreign_table(
        "nested", "m", "_id int, b int OPTIONS (field 'a.b'), c int OPTIONS (field 'a.c'), "
        "e text OPTIONS (field 'a.d.e'), first int OPTIONS (field 'l.0'), "
        "doc jsonb OPTIONS (document 'true')", database="x")
    db.execute("INSERT INTO nested (_id, b, c, e) VALUES (1, 1, NULL, 'x'), (2, NULL, NULL, NULL)")
    is_(documents(db, mongo, "nested"), [{"_id": 1, "a": {"b": 1, "d": {"e": "x"}}}, {"_id": 2}],
        "sub-documents are made of the paths, NULL leaves a field out")
    is_(db.value("INSERT INTO nested (_id, b, doc) VALUES (3, 5, "
                 """'{"_id": 0, "a": {"b": 1, "z": [true]}, "y": "y"}') RETURNING doc"""),
        {"_id": 3, "a": {"b": 5, "z": [True]}, "y": "y"},
        "columns that are given win over the document")
    throws(lambda: db.execute("""INSERT INTO nested (_id, b, doc) VALUES (4, 5, '{"a": 1}')"""),
           "22023", "a field below a number")
    throws(lambda: db.execute("INSERT INTO nested (_id, doc) VALUES (4, '[1]')"),
           "22023", "a document that is no object")
    throws(lambda: db.execute("""INSERT INTO nested (_id, doc) VALUES (4, '{"$set": {"y": 1}}')"""),
           "22023", "a document with a field that looks like an operator", message="begins with a dollar")
    throws(lambda: db.execute("INSERT INTO nested (_id, first) VALUES (4, 1)"),
           "0A000", "an element of an array")
    db.execute("ALTER FOREIGN TABLE nested OPTIONS (ADD nulls 'store')")
    db.execute("INSERT INTO nested (_id, b) VALUES (5, 1)")
    is_(mongo.nested.find_one({"_id": 5}), {"_id": 5, "a": {"b": 1, "c": None, "d": {"e": None}}},
        "nulls 'store' keeps them")
    is_(mongo.nested.count_documents({"_id": 4}), 0, "an error writes nothing")


def conflicts(db, mongo, mode):
    """ON CONFLICT DO NOTHING skips what is there."""
    db.foreign_table("keys", "m", "_id int, n int", database="x")
    db.execute("INSERT INTO keys VALUES (1, 1), (2, 2)")
    is_(db.execute("INSERT INTO keys SELECT g, 10 * g FROM generate_series(1, 2500) g "
                   "ON CONFLICT DO NOTHING").rowcount, 2498, "what was new is counted")
    is_(db.rows("INSERT INTO keys VALUES (2, 0), (-1, 0), (-1, 1) ON CONFLICT DO NOTHING "
                "RETURNING _id, n"), [(-1, 0)], "and returned")
    is_(db.rows("SELECT * FROM keys WHERE _id < 3 ORDER BY _id"), [(-1, 0), (1, 1), (2, 2)],
        "what was there stays")
    throws(lambda: db.execute("INSERT INTO keys VALUES (1, 0) ON CONFLICT (_id) DO NOTHING"),
           "42P10", "there is no index to name")
    mongo.keys.create_index("n", unique=True, partialFilterExpression={"n": {"$gt": 10**6}})
    db.execute("INSERT INTO keys VALUES (5001, 1000001)")
    another = "INSERT INTO keys VALUES (5002, 1000001), (5003, 1000003) ON CONFLICT DO NOTHING"
    if mode == "none":
        is_(db.execute(another).rowcount, 1, "another unique index")
    else:
        throws(lambda: db.execute(another), "23505",
               "of another unique index a transaction cannot skip the duplicates")


def errors(db, mongo, mode):
    """What an error in the middle of a batch leaves."""
    db.foreign_table("parts", "m", "_id int, n int", database="x")
    mongo.create_collection("parts", validator={"n": {"$lt": 1000}})
    throws(lambda: db.execute("INSERT INTO parts SELECT g, g FROM generate_series(1, 2000) g"),
           "23514", "a validator refuses", detail="_id 1000")
    mongo.parts.delete_many({})
    mongo.parts.insert_one({"_id": 500, "n": -1})
    throws(lambda: db.execute("INSERT INTO parts SELECT g, g FROM generate_series(1, 900) g"),
           "23505", "a duplicate", detail="Operation 500 of 900, _id 500")
    is_(mongo.parts.count_documents({"n": {"$gt": 0}}), {"session": 0, "none": 499}[mode],
        "what was before it stays only without a transaction")
    with db.main.transaction(force_rollback=True):
        db.execute("INSERT INTO parts VALUES (5000, 1)")
        is_(db.value("SELECT count(*) FROM parts WHERE _id = 5000"), 1, "own rows are seen")
    is_(mongo.parts.count_documents({"_id": 5000}), {"session": 0, "none": 1}[mode], "ROLLBACK")


def triggers(db, mongo):
    """Triggers see and change rows as those of a table do."""
    db.foreign_table("watched", "m", "_id text, n int, CHECK (n < 100)", database="x")
    db.execute("""
        CREATE TABLE seen (k text, n int);
        CREATE FUNCTION before() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN NEW.n := NEW.n + (SELECT count(*) FROM watched); RETURN NEW; END$$;
        CREATE FUNCTION after() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN INSERT INTO seen VALUES (NEW._id, NEW.n); RETURN NULL; END$$;
        CREATE TRIGGER after AFTER INSERT ON watched FOR EACH ROW EXECUTE FUNCTION after()""")
    db.execute("INSERT INTO watched (n) VALUES (10), (20)")
    is_(sorted(db.rows("SELECT * FROM seen")), sorted(db.rows("SELECT * FROM watched")),
        "an AFTER trigger sees the _id that was made")
    throws(lambda: db.execute("INSERT INTO watched (n) VALUES (10), (100)"), "23514",
           "a CHECK of the table")
    db.execute("""
        DELETE FROM watched;
        CREATE TRIGGER before BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION before();
        INSERT INTO watched (n) VALUES (10), (20)""")
    is_(db.rows("SELECT n FROM watched ORDER BY n"), [(10,), (21,)],
        "a BEFORE trigger sees the rows before its own")
    with db.main.cursor().copy("COPY watched (n) FROM STDIN") as copy:
        for number in (1, 2):
            copy.write_row((number,))
    is_(db.rows("SELECT n FROM watched ORDER BY n"), [(3,), (5,), (10,), (21,)],
        "those of a COPY, too")


def partitions(db, mongo):
    """Rows go where they belong."""
    db.execute("""
        CREATE TABLE parted (_id int, n int) PARTITION BY RANGE (n);
        CREATE TABLE local PARTITION OF parted FOR VALUES FROM (0) TO (10);
        CREATE FOREIGN TABLE remote PARTITION OF parted FOR VALUES FROM (10) TO (1000000)
            SERVER m OPTIONS (database 'x', collection 'remote');
        INSERT INTO parted SELECT g, g FROM generate_series(1, 3000) g""")
    is_(db.rows("SELECT tableoid::regclass::text, count(*) FROM parted GROUP BY 1 ORDER BY 1"),
        [("local", 9), ("remote", 2991)], "INSERT routes rows")
    is_(mongo.remote.count_documents({}), 2991, "into the collection")
    with db.main.cursor().copy("COPY parted FROM STDIN") as copy:
        for number in range(3000):
            copy.write_row((-number, number))
    is_(db.value("SELECT count(*) FROM parted"), 6000, "COPY routes them")
    is_(db.execute("UPDATE parted SET n = n + 10 WHERE _id = 5").rowcount, 1, "a row moves")
    is_(mongo.remote.find_one({"_id": 5}), {"_id": 5, "n": 15}, "into the collection")


def refused(db, mongo):
    """What cannot be written is said before anything is."""
    db.foreign_table("fixed", "m", "_id int, n int", database="x", updatable="false")
    throws(lambda: db.execute("INSERT INTO fixed VALUES (1, 1)"), "55000",
           "a table that is not updatable")
    throws(lambda: db.execute("COPY fixed FROM PROGRAM 'true'"), "55000", "nor by COPY")
    db.execute("ALTER FOREIGN TABLE fixed OPTIONS (SET updatable 'true')")
    throws(lambda: db.execute("INSERT INTO fixed VALUES (1, 1) "
                              "ON CONFLICT (_id) DO UPDATE SET n = 1"), "42P10",
           "ON CONFLICT DO UPDATE")
    throws(lambda: db.execute("MERGE INTO fixed USING (VALUES (1)) v (k) ON _id = k "
                              "WHEN NOT MATCHED THEN INSERT VALUES (k, k)"), "0A000",
           "MERGE, which core does not do into foreign tables")
    db.execute("CREATE VIEW low AS SELECT * FROM fixed WHERE n < 5 WITH CHECK OPTION")
    db.execute("INSERT INTO low VALUES (1, 1)")
    throws(lambda: db.execute("INSERT INTO low VALUES (2, 5)"), "44000", "WITH CHECK OPTION")
    is_(list(mongo.fixed.find()), [{"_id": 1, "n": 1}], "a view is updatable")


for mode in MODES:
    with secantus() as server, database() as db:
        note(f"transaction_mode {mode}")
        mongo = mongo_client(server.uri).x
        db.mongo_server("m", server.uri, transaction_mode=mode)
        batches(db, mongo)
        values(db, mongo)
        identifiers(db, mongo)
        nested(db, mongo)
        imported(db, mongo)
        conflicts(db, mongo, mode)
        errors(db, mongo, mode)
        triggers(db, mongo)
        partitions(db, mongo)
        refused(db, mongo)

done()
