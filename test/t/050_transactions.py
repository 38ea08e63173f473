"""Transactions: what is written to MongoDB is committed and rolled back with ours.

Where a server is killed or the network goes is in 051_killed.py.
"""
import threading
import time

import bson
import psycopg
import pymongo

from servers.harness import *

COLUMNS = "_id int, n int"
WHERE = {"database": "d", "collection": "c"}
GOES_ON = "transaction on MongoDB server .* cannot go on"


class Side:
    """A MongoDB server, a database with the table docs on it, and both ends."""

    def __init__(self, db, server, name="docs", **options):
        self.db = db
        self.client = mongo_client(server.uri)
        self.collection = self.client.d.c
        db.mongo_server(name, server.uri, **options)
        db.foreign_table(name, name, COLUMNS, **WHERE)

    def fresh(self, *ids):
        """Empty the collection but for documents of these ids, n being 0."""
        self.collection.delete_many({})
        if ids:
            self.collection.insert_many([{"_id": one, "n": 0} for one in ids])

    def ids(self):
        """Return the ids of the documents that anybody sees."""
        return sorted(row["_id"] for row in self.collection.find({}, {"_id": 1}))

    def fail(self, command, times=1, **data):
        """Make the server fail the next commands of a name."""
        self.client.admin.command({
            "configureFailPoint": "failCommand", "mode": {"times": times},
            "data": {"failCommands": [command], **data}})

    def heal(self):
        """Make the server fail no more."""
        self.client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


class Block:
    """A transaction, rolled back at its end where it is still open."""

    def __init__(self, connection, begin="BEGIN"):
        self.connection = connection
        self.begin = begin

    def __enter__(self):
        self.connection.execute(self.begin)
        return self.connection

    def __exit__(self, *_):
        if self.connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            self.connection.execute("ROLLBACK")


def insert(connection, *ids, table="docs"):
    """Insert documents."""
    connection.execute(f"INSERT INTO {table} SELECT i, 0 FROM unnest(%s::int[]) i", [list(ids)])


def insert_wide(connection, server, number, one_more=0):
    """Insert documents of the largest size, one of them by a byte more."""
    room = 16 * 1024 * 1024 - len(bson.encode({"_id": 1, "t": ""}))
    connection.execute(
        "SELECT pynomaly.insert_documents(%s, 'd.c', array_agg(jsonb_build_object("
        "'_id', i, 't', repeat('x', %s + (i = %s)::int)))) FROM generate_series(1, %s) i",
        [server, room, one_more, number])


def count(connection, where="true", table="docs"):
    """Count documents through the table."""
    return connection.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()[0]


def commits_and_rolls_back(side, db):
    """The plain cases."""
    side.fresh()
    with Block(db.main) as block:
        insert(block, 1, 2)
        is_(side.ids(), [], "before the commit nobody else sees what was written")
        is_(count(block), 2, "the transaction itself sees it")
        block.execute("COMMIT")
    is_(side.ids(), [1, 2], "the commit commits on both sides")
    with Block(db.main) as block:
        insert(block, 3)
        block.execute("UPDATE docs SET n = 5 WHERE _id = 1")
        block.execute("DELETE FROM docs WHERE _id = 2")
        is_(block.execute("SELECT _id, n FROM docs ORDER BY _id").fetchall(),
            [(1, 5), (3, 0)], "inserts, updates and deletes are seen within")
        block.execute("ROLLBACK")
    is_(list(side.collection.find().sort("_id")), [{"_id": 1, "n": 0}, {"_id": 2, "n": 0}],
        "ROLLBACK undoes them all")
    insert(db.main, 4)
    is_(side.ids(), [1, 2, 4], "a statement of its own commits")
    throws(lambda: db.execute("INSERT INTO docs SELECT i, 1 / (8 - i) FROM generate_series(5, 9) i"),
           "22012", "an error of ours in the middle of a statement")
    is_(side.ids(), [1, 2, 4], "leaves nothing of it")
    throws(lambda: insert(db.main, 5, 1, 6), "23505", "an error of the server in the middle",
           message=r'duplicate key value in MongoDB collection "d\.c"',
           detail=r"^Operation 2 of 3, _id 1\. .*E11000.* Key: \{\"_id\":1\}\.$")
    is_(side.ids(), [1, 2, 4], "leaves nothing either")
    with Block(db.main, "BEGIN READ ONLY") as block:
        throws(lambda: insert(block, 7), "25006", "a read-only transaction does not write")


def local_failures(side, db):
    """What can fail here fails before MongoDB commits."""
    side.fresh()
    db.execute("CREATE TABLE parent (id int PRIMARY KEY)")
    db.execute("CREATE TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")
    with Block(db.main) as block:
        insert(block, 1)
        block.execute("INSERT INTO child VALUES (1)")
        throws(lambda: block.execute("COMMIT"), "23503", "a deferred constraint fails the commit")
    is_(side.ids(), [], "and MongoDB has not committed")

    db.execute("CREATE TABLE seats (id int PRIMARY KEY, taken boolean)")
    db.execute("INSERT INTO seats VALUES (1, false), (2, false)")
    other = db.connect()
    for connection in (db.main, other):
        connection.execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
        connection.execute("SELECT count(*) FROM seats WHERE taken").fetchone()
    db.execute("UPDATE seats SET taken = true WHERE id = 1")
    other.execute("UPDATE seats SET taken = true WHERE id = 2")
    insert(other, 2)
    db.execute("COMMIT")
    throws(lambda: other.execute("COMMIT"), "40001", "a serialization failure found by the commit",
           message="read/write dependencies")
    is_(side.ids(), [], "is found before MongoDB commits")

    # what PostgreSQL does after its last call of us, and nearly the only thing
    # there that fails
    with Block(db.main) as block:
        warnings = []
        block.add_notice_handler(lambda notice: warnings.append(notice.message_primary))
        block.execute("CREATE TEMP TABLE cleared (id int PRIMARY KEY) ON COMMIT DELETE ROWS")
        block.execute("CREATE TEMP TABLE kept (id int REFERENCES cleared) ON COMMIT PRESERVE ROWS")
        insert(block, 3)
        throws(lambda: block.execute("COMMIT"), "0A000", "a failure after MongoDB has committed",
               message="unsupported ON COMMIT and foreign key combination")
        is_(warnings, ["what the transaction has written to MongoDB was committed before it failed here"],
            "is told by a warning")
    is_(side.ids(), [3], "which is true")


def savepoints(side, db):
    """MongoDB has none: what cannot be undone alone fails the whole."""
    side.fresh()
    with Block(db.main) as block:
        insert(block, 1)
        block.execute("SAVEPOINT s")
        insert(block, 2)
        block.execute("ROLLBACK TO s")
        throws(lambda: count(block), "25P02", "after a rollback to a savepoint it cannot go on",
               message=GOES_ON, detail="savepoint", hint="Roll back the whole transaction")
        block.execute("ROLLBACK TO s")
        is_(block.execute("SELECT 1").fetchone(), (1,), "while PostgreSQL's own does")
        throws(lambda: block.execute("COMMIT"), "25P02", "nor can it be committed",
               message=GOES_ON)
    is_(side.ids(), [], "nothing of it is there")

    with Block(db.main) as block:
        insert(block, 1)
        block.execute("SAVEPOINT s")
        insert(block, 2)
        block.execute("RELEASE s")
        block.execute("SAVEPOINT s")
        is_(count(block), 2, "a released savepoint is no more")
        block.execute("ROLLBACK TO s")
        block.execute("COMMIT")
    is_(side.ids(), [1, 2], "rolling back to one that wrote nothing does no harm")

    side.fresh()
    with Block(db.main) as block:
        block.execute("SAVEPOINT s")
        insert(block, 1)
        block.execute("SAVEPOINT inner_one")
        insert(block, 2)
        block.execute("ROLLBACK TO s")
        is_(count(block), 0, "where all of it was below the savepoint, all of it goes")
        insert(block, 3)
        block.execute("COMMIT")
    is_(side.ids(), [3], "and what comes after is committed")

    with Block(db.main) as block:
        insert(block, 4)
        block.execute("SAVEPOINT s")
        throws(lambda: insert(block, 3), "23505", "an error below a savepoint")
        block.execute("ROLLBACK TO s")
        throws(lambda: block.execute("COMMIT"), "25P02",
               "has ended the transaction on the server, which is said at the commit",
               detail="E11000")
    is_(side.ids(), [3], "so that nothing is committed in part")

    db.execute("""
        CREATE FUNCTION put_or_not(id int) RETURNS boolean LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO docs VALUES (id, 0);
            RETURN true;
        EXCEPTION WHEN unique_violation THEN
            RETURN false;
        END $$""")
    is_(db.rows("SELECT put_or_not(3)"), [(False,)], "an exception block of its own catches")
    is_(db.rows("SELECT put_or_not(5)"), [(True,)], "and lets pass")
    with Block(db.main) as block:
        insert(block, 6)
        is_(block.execute("SELECT put_or_not(3)").fetchone(), (False,),
            "within a transaction that has written")
        throws(lambda: insert(block, 7), "25P02", "it costs that", message=GOES_ON)
    is_(side.ids(), [3, 5], "the whole of it")


def procedures(side, db):
    """COMMIT and ROLLBACK within a procedure."""
    side.fresh()
    db.execute("""
        DO $$
        BEGIN
            FOR i IN 1 .. 6 LOOP
                INSERT INTO docs VALUES (i, 0);
                IF i % 2 = 0 THEN COMMIT; ELSE ROLLBACK; END IF;
            END LOOP;
        END $$""")
    is_(side.ids(), [2, 4, 6], "a procedure commits and rolls back as it says")


def cursors(side, db):
    """Cursors keep to what they were opened in."""
    side.fresh(*range(10))
    db.execute("ALTER FOREIGN TABLE docs OPTIONS (ADD fetch_size '3')")
    with Block(db.main) as block:
        block.execute("DECLARE k CURSOR WITH HOLD FOR SELECT _id FROM docs")
        block.execute("FETCH 1 FROM k")
        insert(block, 10)
        is_(len(block.execute("FETCH 4 FROM k").fetchall()), 4,
            "a cursor from before the first write goes on")
        block.execute("DECLARE l CURSOR WITH HOLD FOR SELECT _id FROM docs")
        is_(len(block.execute("FETCH 4 FROM l").fetchall()), 4, "one from after it, too")
        block.execute("COMMIT")
    is_(len(db.rows("FETCH ALL FROM k")), 5, "WITH HOLD both are read to their ends: the one without")
    is_(len(db.rows("FETCH ALL FROM l")), 7, "and the other with what was written")
    db.execute("CLOSE ALL")
    is_(side.ids(), list(range(11)), "and the commit has come through")
    db.execute("ALTER FOREIGN TABLE docs OPTIONS (DROP fetch_size)")


def isolation(side, db):
    """What a transaction sees of others."""
    side.fresh(1)
    with Block(db.main) as block:
        is_(count(block), 1, "READ COMMITTED:")
        side.collection.insert_one({"_id": 2, "n": 0})
        is_(count(block), 2, "each statement sees what others have committed")
    with Block(db.main, "BEGIN ISOLATION LEVEL REPEATABLE READ") as block:
        is_(count(block), 2, "REPEATABLE READ:")
        side.collection.insert_one({"_id": 3, "n": 0})
        is_(count(block), 2, "all statements see one snapshot")
        side.collection.update_one({"_id": 1}, {"$set": {"n": 7}})
        throws(lambda: block.execute("UPDATE docs SET n = n + 1 WHERE _id = 1"), "40001",
               "and to write what others have written since is refused",
               detail="code 112")
    is_(side.collection.find_one({"_id": 1})["n"], 7, "so that nothing is lost")
    with Block(db.main, "BEGIN ISOLATION LEVEL REPEATABLE READ") as block:
        count(block)
        block.execute("SAVEPOINT s")
        throws(lambda: insert(block, 1), "23505", "an error that ends the snapshot")
        block.execute("ROLLBACK TO s")
        throws(lambda: count(block), "25P02", "ends the reading of it", message=GOES_ON)
    with Block(db.main, "BEGIN ISOLATION LEVEL REPEATABLE READ") as block:
        is_(count(block), 3, "the next transaction is another one")


def conflicts(side, db):
    """Sessions that write the same document: none is lost."""
    sessions, rounds = 20, 5
    side.fresh(1)
    retries = []

    def work(connection, statement):
        for _ in range(rounds):
            while True:
                try:
                    connection.execute(statement)
                    break
                except psycopg.Error as error:
                    retries.append(error.sqlstate)
                    time.sleep(0.01)

    # in one command, and by reading the document and writing what it is to be
    statements = ["UPDATE docs SET n = n + 1 WHERE _id = 1",
                  "UPDATE docs SET n = n + (random() >= 0)::int WHERE _id = 1"]
    threads = [threading.Thread(target=work, args=[db.connect(), statements[number % 2]])
               for number in range(sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    is_(side.collection.find_one({"_id": 1})["n"], sessions * rounds,
        f"{sessions} sessions add one at a time to the exact sum")
    is_(set(retries) - {"40001"}, set(), "and where they had to retry, they were told so by 40001")
    with Block(db.main) as one, Block(db.connect()) as two:
        one.execute("UPDATE docs SET n = 1 WHERE _id = 1")
        throws(lambda: two.execute("UPDATE docs SET n = 2 WHERE _id = 1"), "40001",
               "the second of two writers fails at once", detail="code 112")
        one.execute("COMMIT")
    is_(side.collection.find_one({"_id": 1})["n"], 1, "and the first has its way")


def two_servers(side, db):
    """One transaction writes to one server."""
    side.fresh()
    with secantus() as second:
        there = Side(db, second, "others")
        there.fresh(1)
        with Block(db.main) as block:
            is_((count(block), count(block, table="others")), (0, 1), "reading both is fine")
            insert(block, 1)
            is_(count(block, table="others"), 1, "after writing to one as well")
            throws(lambda: insert(block, 2, table="others"), "0A000", "writing to both is refused",
                   message='cannot write to MongoDB server "others"',
                   detail='"docs"', hint="outbox")
        is_((side.ids(), there.ids()), ([], [1]), "and nothing is written to either")
        with Block(db.main) as block:
            block.execute("SAVEPOINT s")
            insert(block, 1)
            block.execute("ROLLBACK TO s")
            insert(block, 2, table="others")
            block.execute("COMMIT")
        is_((side.ids(), there.ids()), ([], [1, 2]), "a write that was undone does not count")
        db.execute("ALTER SERVER others OPTIONS (ADD transaction_mode 'none')")
        with Block(db.main) as block:
            insert(block, 1)
            insert(block, 3, table="others")
            block.execute("COMMIT")
        is_((side.ids(), there.ids()), ([1], [1, 2, 3]),
            "where one is in mode none, it makes no promise to break")


def prepared(side, db):
    """No two-phase commit."""
    side.fresh()
    with Block(db.main) as block:
        insert(block, 1)
        throws(lambda: block.execute("PREPARE TRANSACTION 'p'"), "0A000", "PREPARE is refused",
               message="cannot PREPARE a transaction that has written to MongoDB", hint="outbox")
    is_(side.ids(), [], "and nothing is left of it")


def standalone():
    """A server without transactions."""
    with database() as db, secantus(standalone=True) as server:
        notices = []
        db.main.add_notice_handler(
            lambda notice: notices.append((notice.severity, notice.message_primary)))
        side = Side(db, server)
        is_(count(db.main), 0, "reading says nothing")
        is_(notices, [], "of what it cannot do")
        with Block(db.main) as block:
            insert(block, 1)
            is_(side.ids(), [1], "auto is none here: a write takes effect at once")
        insert(db.main, 2)
        is_(side.ids(), [1, 2], "and stays after ROLLBACK")
        is_(notices, [("NOTICE", 'transactions do not cover MongoDB server "docs"')],
            "which is said once")
        throws(lambda: insert(db.main, 3, 1, 4), "23505", "an error in the middle of a batch",
               detail="^Operation 2 of 3, _id 1\\.")
        is_(side.ids(), [1, 2, 3], "leaves what was before it")
        with Block(db.main) as block:
            insert(block, 5)
            block.execute("SAVEPOINT s")
            insert(block, 6)
            block.execute("ROLLBACK TO s")
            block.execute("COMMIT")
        is_(side.ids(), [1, 2, 3, 5, 6], "a savepoint undoes nothing")
        with Block(db.main, "BEGIN ISOLATION LEVEL REPEATABLE READ") as block:
            is_(count(block), 5, "REPEATABLE READ reads")
            side.collection.insert_one({"_id": 7, "n": 0})
            is_(count(block), 6, "the latest data")

        db.execute("ALTER SERVER docs OPTIONS (ADD transaction_mode 'session')")
        throws(lambda: insert(db.main, 8), "0A000", "session is refused where it is asked for",
               message='MongoDB server "docs" has no transactions', hint="outbox")
        is_(count(db.main), 6, "reading goes on")
        with Block(db.main, "BEGIN ISOLATION LEVEL REPEATABLE READ") as block:
            throws(lambda: count(block), "0A000", "but not of a snapshot there is not")
        is_(side.ids(), [1, 2, 3, 5, 6, 7], "nothing was written")
        throws(lambda: db.execute("ALTER SERVER docs OPTIONS (SET transaction_mode 'maybe')"),
               "HV024", "other modes there are none", hint="auto, session, outbox, none")


def mode_none(db, server):
    """Mode none on a server that has transactions."""
    side = Side(db, server, "loose", transaction_mode="none")
    side.fresh()
    with Block(db.main) as block:
        insert(block, 1, table="loose")
        is_(side.ids(), [1], "mode none writes at once")
    is_(side.ids(), [1], "and ROLLBACK does not undo it")
    side.fresh()
    insert_wide(db, "loose", 2)
    is_(side.ids(), [1, 2], "two documents of just the size go, each in a command of its own")


def refusals(side, db):
    """What the server or its limits refuse, in words of ours."""
    side.client.d.drop_collection("c")
    side.client.d.create_collection("c", validator={"n": {"$not": {"$gte": 100}}})
    side.fresh(1)
    throws(lambda: db.execute("INSERT INTO docs VALUES (2, 1), (3, 200)"), "23514",
           "a validator's refusal", message=r'violates the validator of MongoDB collection "d\.c"',
           detail=r"^Operation 2 of 2, _id 3\. .*code 121.* Details: \{.*\}\.$")
    is_(side.ids(), [1], "undoes the statement")
    side.client.d.drop_collection("c")
    throws(lambda: insert_wide(db, "docs", 3, one_more=2), "54000",
           "a document of one byte too many", message="too large",
           detail="_id 2.* 16777217 bytes.* 16777216")
    is_(side.ids(), [], "is refused before anything is sent")
    insert_wide(db, "docs", 1)
    is_(side.ids(), [1], "one of just the size goes")
    side.client.d.drop_collection("c")



def commits_that_fail(side, db):
    """commitTransaction goes wrong in every way that a server knows."""
    side.fresh()

    def attempt(number, **fault):
        with Block(db.main) as block:
            insert(block, number, -number)
            side.fail("commitTransaction", **fault)
            block.execute("COMMIT")
        return side.collection.count_documents({"_id": {"$in": [number, -number]}})

    is_(attempt(1, closeConnection=True), 2, "an answer that got lost is asked for again")
    is_(attempt(2, closeConnection=True, times=3), 2, "more than once")
    is_(attempt(3, writeConcernError={"code": 64, "errmsg": "waiting for replication timed out"}),
        2, "and so is one that came too early to be sure")
    is_(attempt(4, errorCode=91, errorLabels=["RetryableWriteError"]), 2,
        "a server that shuts down is tried again")
    is_(db.value("SELECT count(*) FROM docs"), 8, "the connection is of use")
    throws(lambda: attempt(5, errorCode=112, errorLabels=["TransientTransactionError"]), "40001",
           "a conflict that shows in the commit", detail="code 112")
    throws(lambda: attempt(6, errorCode=251, errorLabels=["TransientTransactionError"]), "40001",
           "a transaction that was open for too long", hint="transactionLifetimeLimitSeconds")
    throws(lambda: attempt(7, errorCode=8), "HV000", "an error that says nothing")
    is_(len(side.ids()), 8, "nothing of these is there")
    insert(db.main, 5, 6, 7)
    ok(True, "nor is a lock of theirs")

    began = time.monotonic()
    throws(lambda: attempt(8, closeConnection=True, times=1000000), "08007",
           "a server that never says what became of it",
           message="did not say whether it has committed", hint="Look for what it wrote")
    ok(time.monotonic() - began < 13, "is given up in the end")
    side.heal()
    is_(side.collection.count_documents({"_id": {"$in": [8, -8]}}), 0, "here it had not")
    insert(db.main, 8)
    is_(side.collection.count_documents({"_id": 8}), 1, "the next transaction is none the worse")


def faults_before(side, db):
    """Faults and cancels before the commit."""
    side.fresh()
    for number, fault in enumerate((
            {"errorCode": 112, "errorLabels": ["TransientTransactionError"]},
            {"errorCode": 189, "errorLabels": ["TransientTransactionError"]},
            {"errorCode": 8000, "errorLabels": ["TransientTransactionError"]},
            {"closeConnection": True})):
        with Block(db.main) as block:
            insert(block, number)
            side.fail("insert", **fault)
            throws(lambda: insert(block, 100 + number), "40001",
                   f"transient, whatever it is: {fault.get('errorCode', 'the network')}")
    is_(side.ids(), [], "nothing of these is there")
    with Block(db.main) as block:
        insert(block, 1)
        block.execute("SAVEPOINT s")
        side.fail("insert", closeConnection=True)
        throws(lambda: insert(block, 2), "40001", "the network goes below a savepoint")
        block.execute("ROLLBACK TO s")
        throws(lambda: insert(block, 3), "25P02", "what was on the connection is lost",
               message=GOES_ON)
        block.execute("ROLLBACK TO s")
        throws(lambda: block.execute("COMMIT"), "25P02", "and is not taken for committed")
    is_(side.ids(), [], "nothing is")

    with Block(db.main) as block:
        insert(block, 1)
        side.fail("insert", blockConnection=True, blockTimeMS=1500)
        running = Background(block, "INSERT INTO docs VALUES (2, 0)")
        time.sleep(0.3)
        seconds, state = running.cancel()
        is_(state, "57014", "a write can be cancelled")
        ok(seconds < 0.4, "at once", f"{seconds} s")
    insert(db.main, 1)
    time.sleep(1.5)
    is_(side.ids(), [1], "and comes to nothing")

    with Block(db.main) as block:
        insert(block, 2)
        side.fail("commitTransaction", blockConnection=True, blockTimeMS=1000)
        running = Background(block, "COMMIT")
        time.sleep(0.3)
        _, state = running.cancel()
        is_(state, None, "a commit that has been sent is waited for")
    is_(side.ids(), [1, 2], "and is what it says")

    leaving = db.connect()
    leaving.execute("BEGIN")
    insert(leaving, 3)
    leaving.close()
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            insert(db.main, 3)
            break
        except psycopg.errors.SerializationFailure:
            time.sleep(0.05)
    is_(side.ids(), [1, 2, 3], "a session that ends aborts what it had begun")


def on_the_wire(db):
    """What is sent, to the letter."""
    hello = {"setName": "rs", "hosts": ["127.0.0.1:1"], "secondary": False, "me": "127.0.0.1:1"}
    with ScriptedServer(hello=hello) as server:
        server.on("aggregate", Batches([{"_id": 1, "n": 0}]))
        server.on("insert", lambda command: Reply({"n": len(command["documents"])}))
        server.on("commitTransaction", Reply())
        server.on("abortTransaction", Reply())
        db.mongo_server("wire", server.uri, **ROWS_ONLY)
        db.foreign_table("wired", "wire", COLUMNS, **WHERE)
        db.execute("SELECT * FROM wired")
        ok("txnNumber" not in server.commands("aggregate")[0],
           "reading alone begins no transaction")
        with Block(db.main) as block:
            insert(block, 1, table="wired")
            insert(block, 2, table="wired")
            block.execute("SELECT * FROM wired").fetchall()
            block.execute("COMMIT")
        first, second = server.commands("insert")
        read = server.commands("aggregate")[1]
        commit, = server.commands("commitTransaction")
        is_((first.get("startTransaction"), first.get("autocommit"), first["readConcern"]["level"]),
            (True, False, "snapshot"), "the first command begins it, on a snapshot")
        ok(all(one.get("autocommit") is False and "startTransaction" not in one and
               "readConcern" not in one and one["lsid"] == first["lsid"] and
               one["txnNumber"] == first["txnNumber"] for one in (second, read, commit)),
           "the others belong to it", second, read, commit)
        ok(not any("writeConcern" in one for one in (first, second)) and
           commit["writeConcern"]["w"] == "majority",
           "the commit alone has a write concern, the majority's", commit)
        is_(server.commands("abortTransaction"), [], "nothing is aborted")
        with Block(db.main) as block:
            insert(block, 3, table="wired")
        ok(len(server.commands("abortTransaction")) == 1 and
           len(server.commands("commitTransaction")) == 1, "ROLLBACK aborts")
        third = server.commands("insert")[2]
        ok(third["lsid"] == first["lsid"] and third["txnNumber"] > first["txnNumber"],
           "the session serves again")
        with Block(db.main, "BEGIN ISOLATION LEVEL REPEATABLE READ") as block:
            block.execute("SELECT * FROM wired").fetchall()
            block.execute("COMMIT")
        is_(server.commands("aggregate")[2].get("startTransaction"), True,
            "under REPEATABLE READ reading begins one as well")
        server.on("insert", Reply({"n": 0}))
        throws(lambda: insert(db.main, 4, table="wired"), "08P01",
               "a server that says it has inserted nothing is not believed")
        server.on("insert", Reply({}))
        throws(lambda: insert(db.main, 4, table="wired"), "08P01", "nor one that does not say")
        is_(len(server.commands("commitTransaction")), 1, "neither is committed")


def main():
    """Run them all."""
    with database() as db, secantus(fail_points=True) as server:
        side = Side(db, server)
        for test in (commits_and_rolls_back, local_failures, savepoints, procedures, cursors,
                     isolation, conflicts, two_servers, prepared, refusals, faults_before,
                     commits_that_fail):
            note(test.__doc__)
            test(side, db)
        mode_none(db, server)
        on_the_wire(db)
    standalone()
    done()


main()
