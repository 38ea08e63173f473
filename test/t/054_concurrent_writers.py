"""Sessions that write the same documents: rechecks, conflicts, races for a key."""
import threading
import time

import psycopg

from servers.harness import *

WRITERS, TURNS, KEYS = 6, 15, 40
COLUMNS = "_id int, n int, s text"

# Makes a statement wait, once it has read a row, until the lock 1 is free.
GATE = """
CREATE FUNCTION gate(n int) RETURNS int LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_lock_shared(1);
    PERFORM pg_advisory_unlock_shared(1);
    RETURN n;
END $$;
"""


class Waiting(threading.Thread):
    """A statement in a session of its own that stops at the gate."""

    def __init__(self, db, statement):
        super().__init__()
        self.connection = db.connect()
        self.statement = statement
        self.count = self.error = None
        self.start()

    def run(self):
        """Run it; keep the count of rows, or the SQLSTATE."""
        try:
            self.count = self.connection.execute(self.statement).rowcount
        except psycopg.Error as error:
            self.error = error.sqlstate

    def outcome(self):
        """Return what came of it."""
        self.join(30)
        self.connection.close()
        return self.error or self.count


def meanwhile(db, statement, change):
    """Run a statement; change the documents when it has read a row."""
    db.execute("SELECT pg_advisory_lock(1)")
    waiting = Waiting(db, statement)
    deadline = time.monotonic() + 10
    while not db.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' "
                       "AND NOT granted"):
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    change()
    db.execute("SELECT pg_advisory_unlock(1)")
    return waiting.outcome()


def rechecks(db, mongo, mode):
    """A row that changes or vanishes between its reading and its writing.

    What was computed of a row that has changed is never written.
    """
    update = "UPDATE t SET n = gate(n) + 10 WHERE n = 1"
    delete = "DELETE FROM t WHERE n = 1 AND gate(n) = 1"
    where = {"_id": 1}
    # what is done meanwhile; the document after an update, and after a delete
    cases = (
        ("deleted", lambda: mongo.t.delete_one(where), None, None),
        ("no longer selected", lambda: mongo.t.update_one(where, {"$set": {"n": 2}}),
         {"_id": 1, "n": 2, "s": "old"}, {"_id": 1, "n": 2, "s": "old"}),
    )
    for what, change, updated, deleted in cases:
        for statement, left in ((update, updated), (delete, deleted)):
            mongo.t.delete_many({})
            mongo.t.insert_one({"_id": 1, "n": 1, "s": "old"})
            got = meanwhile(db, statement, change)
            gone = change is cases[0][1]
            is_(got, 0 if gone and mode == "none" else "40001",
                f"{statement.split()[0]} of a row that is {what}")
            is_(mongo.t.find_one(where), left, "which is left as the other has made it")


def conflicts(db, mongo):
    """Transactions that write one document: the second is told to try again."""
    mongo.t.delete_many({})
    mongo.t.insert_many([{"_id": n, "n": 0} for n in (1, 2)])
    one, two = db.connect(), db.connect()
    for begin in ("BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ"):
        for statement in ("UPDATE t SET n = n + 1 WHERE _id = 1",
                          "DELETE FROM t WHERE _id = 1"):
            one.execute(begin)
            two.execute(begin)
            one.execute("UPDATE t SET n = n + 1 WHERE _id = 1")
            is_(two.execute("UPDATE t SET n = 7 WHERE _id = 2").rowcount, 1,
                "another document is nobody's matter")
            throws(lambda: two.execute(statement), "40001", f"{begin}: {statement}")
            two.execute("ROLLBACK")
            one.execute("COMMIT")
    is_(list(mongo.t.find().sort("_id")), [{"_id": 1, "n": 4}, {"_id": 2, "n": 0}],
        "what was committed is there, and nothing else")
    two.execute("UPDATE t SET n = n + 1 WHERE _id = 1")
    is_(mongo.t.find_one({"_id": 1})["n"], 5, "and the next attempt succeeds")
    one.close()
    two.close()


def retried(connection, statement, retries):
    """Run a statement until it does not fail with 40001; return its count."""
    while True:
        try:
            return connection.execute(statement).rowcount
        except psycopg.errors.SerializationFailure:
            retries.append(statement)
            time.sleep(0.005)


def side_by_side(db, work):
    """Let several sessions work; return what they have returned, or raised."""
    results = [None] * WRITERS

    def run(number):
        try:
            with db.connect() as connection:
                results[number] = work(connection, number)
        except Exception as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return results


def sums(db, mongo):
    """Sessions that count one document up, each statement until it succeeds."""
    mongo.t.delete_many({})
    mongo.t.insert_one({"_id": 1, "n": 0})
    retries = []
    counts = side_by_side(db, lambda connection, _: sum(
        retried(connection, "UPDATE t SET n = n + 1 WHERE _id = 1", retries)
        for _ in range(TURNS)))
    is_(counts, [TURNS] * WRITERS, f"{WRITERS} sessions count up, {TURNS} times each")
    is_(mongo.t.find_one({"_id": 1})["n"], WRITERS * TURNS,
        f"to the exact sum, after {len(retries)} retries")


def races(db, mongo, mode):
    """ON CONFLICT DO NOTHING: of those who insert a key, one does."""
    mongo.t.delete_many({})
    retries = []
    counts = side_by_side(db, lambda connection, number: sum(
        retried(connection, f"INSERT INTO t SELECT k, {number} FROM generate_series("
                f"{first}, {first + 3}) k ON CONFLICT DO NOTHING", retries)
        for first in range(0, KEYS, 4)))
    good = all(isinstance(count, int) for count in counts)
    is_(sum(counts) if good else counts, KEYS, f"{mode}: each of {KEYS} keys was inserted once")
    is_(mongo.t.count_documents({}), KEYS, "and is there")
    written = [mongo.t.count_documents({"n": number}) for number in range(WRITERS)]
    is_(written, counts, "by the session that was told so")


for mode, options in (("session", {}), ("none", {"standalone": True})):
    with secantus(**options) as server, database() as db:
        note(f"transaction_mode {mode}")
        mongo = mongo_client(server.uri).x
        db.mongo_server("m", server.uri, transaction_mode=mode)
        db.foreign_table("t", "m", COLUMNS, database="x", collection="t")
        db.execute(GATE)
        mongo.create_collection("t")
        rechecks(db, mongo, mode)
        races(db, mongo, mode)
        sums(db, mongo)
        if mode == "session":
            conflicts(db, mongo)
done()
