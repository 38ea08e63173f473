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

    A transaction is told to try again; outside of one the row is looked at again, as
    PostgreSQL does, and what was computed of it before is never written.
    """
    update = "UPDATE t SET n = gate(n) + 10, s = s || '!' WHERE n < 5"
    delete = "DELETE FROM t WHERE n < 5 AND gate(n) < 5"
    returning = " RETURNING t.n, s"
    where = {"_id": 1}
    # what is done meanwhile; the rows written, and the document after an update
    cases = (
        ("deleted", lambda: mongo.t.delete_one(where), 0, None),
        ("no longer selected", lambda: mongo.t.update_one(where, {"$set": {"n": 7}}),
         0, {"_id": 1, "n": 7, "s": "old"}),
        ("changed and still selected",
         lambda: mongo.t.update_one(where, {"$set": {"n": 3, "s": "new"}}),
         1, {"_id": 1, "n": 13, "s": "new!"}),
    )
    others = [{"_id": n, "n": 1, "s": "old"} for n in (2, 3)]
    for what, change, count, updated in cases:
        for statement in (update, delete, update + returning, delete + returning):
            deletes = statement.startswith("DELETE")
            mongo.t.delete_many({})
            mongo.t.insert_many([{"_id": 1, "n": 1, "s": "old"}] + others * deletes)
            got = meanwhile(db, statement, change)
            left = mongo.t.find_one(where)
            what_happens = f"{statement}: a row that is {what}"
            if mode == "session":
                is_(got, "40001", what_happens)
                continue
            is_(got, count + deletes * len(others), what_happens)
            is_(left, None if deletes and count else updated, "and what is there then")


def errors_of_changes(db, mongo):
    """Where a row that has changed cannot be looked at again.

    Of several updates in one command the server does not tell which was not made.
    """
    mongo.t.delete_many({})
    mongo.t.insert_many([{"_id": n, "n": 1, "s": "old"} for n in (1, 2)])
    is_(meanwhile(db, "UPDATE t SET n = gate(n) + 10", lambda: mongo.t.update_one(
        {"_id": 1}, {"$set": {"n": 2}})), "40001", "a change below several updates is an error")
    is_(mongo.t.find_one({"_id": 1})["n"], 2, "and is not written over")
    mongo.t.delete_one({"_id": 2})
    is_(meanwhile(db, "UPDATE t SET n = gate(t.n) + 10 FROM (VALUES (1), (2)) v (k) "
                  "WHERE _id = k", lambda: mongo.t.update_one(
                      {"_id": 1}, {"$set": {"n": 3}})), "40001", "so it is in a join")
    is_(mongo.t.find_one({"_id": 1})["n"], 3, "which does not write over it either")


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
        if mode == "none":
            errors_of_changes(db, mongo)
        races(db, mongo, mode)
        sums(db, mongo)
        if mode == "session":
            conflicts(db, mongo)
done()
