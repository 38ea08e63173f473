"""The outbox: what is put there is applied to MongoDB, exactly and in order.

Entries are put here as rows, so that each state can be made; that statements put
the same ones is tested at the end.
"""
import contextlib
import json
import os
import shutil
import signal
import tempfile
import threading
import time

import bson
import psycopg

from servers.harness import *
from servers.postgres import Postgres
from servers.processes import start_on_free_port

TENANT = "56000000-0000-4000-8000-000000000001"
TIMEOUT = 2500                              # milliseconds, for the server's commands


class Outbox:
    """A database with a server in mode outbox, and a MongoDB server for it."""

    def __init__(self, db, mongo):
        self.db = db
        self.client = mongo_client(mongo.uri)
        self.collection = self.client.ours.docs
        self.uri = mongo.uri
        db.mongo_server("m", mongo.uri, transaction_mode="outbox")

    def put(self, kind, operation, key, collection="docs", repeated=False, role="CURRENT_ROLE",
            connection=None):
        """Put an entry; return its number.  key stands for the hash of the _id."""
        return (connection or self.db.main).execute(
            "INSERT INTO pynomaly.outbox "
            "(server, role, database, collection, kind, operation, document, slot, repeated) "
            f"VALUES ('m', {role}, 'ours', %s, %s, %s, %s, %s, %s) RETURNING id",
            (collection, kind, bson.encode(operation), key, key & 15, repeated)).fetchone()[0]

    def insert(self, key, connection=None, **fields):
        """Put an insert of a document."""
        return self.put("insert", {"_id": key, **fields}, key, connection=connection)

    def update(self, key, connection=None, **fields):
        """Put an update of a document."""
        return self.put("update", {"q": {"_id": key}, "u": {"$set": fields}}, key,
                        connection=connection)

    def delete(self, key):
        """Put a delete of a document."""
        return self.put("delete", {"q": {"_id": key}, "limit": 1}, key)

    def apply(self, arguments=""):
        """Apply; return what the CALL says: (applied, refused)."""
        return self.db.rows(f"CALL pynomaly.apply_outbox({arguments})")[0]

    def left(self):
        """Return how many entries there are."""
        return self.db.value("SELECT count(*) FROM pynomaly.outbox")

    def documents(self):
        """Return the documents."""
        return list(self.collection.find().sort("_id"))

    def clear(self):
        """Empty both sides."""
        self.db.execute("TRUNCATE pynomaly.outbox, pynomaly.outbox_attempts")
        self.client.drop_database("ours")

    def fail_point(self, **data):
        """Let commands fail or wait; without data, no longer."""
        self.client.admin.command("configureFailPoint", "failCommand",
                                  mode="alwaysOn" if data else "off", data=data)


def applying(o):
    """Entries of each kind are applied, in order, and are gone then."""
    for key in range(1, 21):
        o.insert(key, n=key)
    o.update(3, n=30, further="x")
    o.update(3, n=31)
    o.put("update", {"q": {"_id": 4}, "u": {"_id": 4, "whole": True}}, 4)
    o.put("update", {"q": {"_id": 5}, "u": {"$unset": {"n": ""}}}, 5)
    o.delete(6)
    o.insert(6, again=True)
    o.delete(7)
    o.put("update", {"q": {"_id": 99}, "u": {"$set": {"new": 1}}, "upsert": True}, 99)
    is_(o.documents(), [], "nothing is applied by itself")
    is_(o.apply(), (28, 0), "all is applied")
    expected = {key: {"_id": key, "n": key} for key in range(1, 21)}
    expected[3] = {"_id": 3, "n": 31, "further": "x"}
    expected[4] = {"_id": 4, "whole": True}
    expected[5] = {"_id": 5}
    expected[6] = {"_id": 6, "again": True}
    expected[99] = {"_id": 99, "new": 1}
    del expected[7]
    is_(o.documents(), list(expected.values()), "the documents are as the last writes left them")
    is_(o.left(), 0, "the outbox is empty")
    is_(o.apply(), (0, 0), "applying an empty outbox does nothing")
    o.clear()

    for key in range(50):
        for n in range(40):
            if n == 0:
                o.insert(key, n=0)
            elif n % 7 == 6:
                o.delete(key)
                o.insert(key, n=n)
            else:
                o.update(key, n=n)
    is_(o.apply("100"), (100, 0), "as many as asked for are applied")
    applied = 100 + o.apply("server => 'm'")[0]
    is_(applied, 50 * 45, "and then the others")
    is_(o.documents(), [{"_id": key, "n": 39} for key in range(50)],
        "many writes to each document end with the last one")
    throws(lambda: o.db.execute("CALL pynomaly.apply_outbox(-1)"), "22023",
           "a negative number is refused")
    o.clear()


def transactions(o):
    """What is not committed is not applied."""
    other = o.db.connect(autocommit=False)
    o.insert(1, connection=other)
    is_(o.apply(), (0, 0), "what is not committed is not applied")
    other.rollback()
    is_(o.apply(), (0, 0), "nor what was rolled back")
    o.insert(1, connection=other)
    other.execute("SAVEPOINT s")
    o.insert(2, connection=other)
    other.execute("ROLLBACK TO s")
    o.insert(3, connection=other)
    other.commit()
    is_(o.apply(), (2, 0), "what was committed is")
    is_([d["_id"] for d in o.documents()], [1, 3], "without what a savepoint took back")

    def in_transaction():
        with o.db.main.transaction():
            o.insert(4)
            o.db.execute("CALL pynomaly.apply_outbox()")
    throws(in_transaction, "2D000", "within a transaction nothing is applied")
    is_([d["_id"] for d in o.documents()], [1, 3], "nothing was")
    throws(lambda: o.db.execute("SELECT pynomaly.do_outbox_step()"), "55000",
           "a step without a run is refused")
    o.db.execute("SET default_transaction_isolation = 'repeatable read'")
    throws(lambda: o.db.execute("CALL pynomaly.apply_outbox()"), "0A000",
           "applying needs READ COMMITTED")
    throws(lambda: o.db.execute("SELECT pynomaly.wait_for_outbox()"), "0A000",
           "and so does waiting")
    o.db.execute("RESET default_transaction_isolation")
    o.clear()


def waiting(o):
    """wait_for_outbox waits for what was committed before."""
    o.db.execute("SELECT pynomaly.wait_for_outbox()")
    ok(True, "there is nothing to wait for in an empty outbox")
    o.insert(1)
    began = time.monotonic()
    throws(lambda: o.db.execute("SELECT pynomaly.wait_for_outbox('200 ms')"), "55P03",
           "waiting without an applier ends in time", hint="apply_outbox")
    ok(0.2 <= time.monotonic() - began < 1, "after the time that was given")
    waiter = Background(o.db.connect(), "SELECT pynomaly.wait_for_outbox()")
    time.sleep(0.2)
    ok(waiter.ended is None, "it waits")
    seconds, state = Background(o.db.connect(), "SELECT pynomaly.wait_for_outbox()").cancel()
    ok(state == "57014" and seconds < 0.2, "it can be cancelled", seconds, state)
    uncommitted = o.db.connect(autocommit=False)
    o.insert(2, connection=uncommitted)
    o.apply()
    waiter.wait()
    is_(waiter.error, None, "it returns when all is applied")
    uncommitted.rollback()
    o.insert(3)
    o.db.execute("SELECT pynomaly.wait_for_outbox(server => 'another')")
    ok(True, "it waits for the given server only")
    o.clear()


def foreign_tenants(o):
    """Who is not pynomaly_admin hears of the current tenant's entries only."""
    for tenant, role, state in ((TENANT, "pynomaly_app", "HV000"),
                                (TENANT, "pynomaly_admin", "HV000"),
                                ("56000000-0000-4000-8000-0000000000ff", "pynomaly_admin",
                                 "HV000")):
        with o.db.main.transaction(force_rollback=True):
            o.db.execute("SELECT set_config('pynomaly_store.tenant', %s, true)", (tenant,))
            o.db.execute(f"SET LOCAL ROLE {role}")
            throws(lambda: o.db.execute("SELECT pynomaly.wait_for_outbox('1 s')"), state,
                   f"{role} hears of dead letters with tenant {tenant[-2:]}")
    for server in (None, "m"):
        with o.db.main.transaction(force_rollback=True):
            o.db.execute("UPDATE pynomaly.outbox SET tenant = %s", (TENANT,))
            o.db.execute("SELECT set_config('pynomaly_store.tenant', "
                         "'56000000-0000-4000-8000-0000000000ff', true)")
            o.db.execute("SET LOCAL ROLE pynomaly_app")
            is_(o.db.value("SELECT pynomaly.wait_for_outbox('0 s', %s) IS NULL", (server,)),
                False, f"another tenant waits for nothing at {server or 'any server'}")


def dead_letters(o):
    """What MongoDB refuses is kept, with its later writes, and told of."""
    o.collection.create_index("unique", unique=True)
    o.db.execute("INSERT INTO pynomaly.tenants (id, name) VALUES (%s, 'outbox') "
                 "ON CONFLICT DO NOTHING", (TENANT,))
    listener = o.db.connect()
    listener.execute("LISTEN pynomaly_outbox_dead")
    o.insert(1, unique="a")
    bad = o.insert(2, unique="a")
    o.update(2, unique="b")
    o.insert(3, unique="c")
    o.db.execute("UPDATE pynomaly.outbox SET tenant = %s WHERE id = %s", (TENANT, bad))
    is_(o.apply(), (2, 1), "the others are applied")
    is_([d["_id"] for d in o.documents()], [1, 3], "the refused one is not")
    is_(o.apply(), (0, 0), "it is not tried again")
    is_(o.db.rows("SELECT id, collection, kind, sqlstate, error ~ 'duplicate key', held, "
                  "operation->'unique' #>> '{}' FROM pynomaly.outbox_dead_letters"),
        [(bad, "docs", "insert", "23505", True, 1, "a")], "the view says why")
    is_(o.db.rows("SELECT server::text, pending, held, dead, oldest, lag::text, "
                  "last_error ~ 'duplicate' FROM pynomaly.stat_outbox"),
        [("m", 0, 1, 1, None, "00:00:00", True)], "the later write is held behind it")
    notes = list(listener.notifies(timeout=2, stop_after=1))
    is_([note.payload for note in notes], [""], "who listens is told, and not what of")
    is_(o.db.rows("SELECT severity, status, details->>'outbox_id' FROM pynomaly.alerts "
                  "WHERE tenant_id = %s AND source = 'outbox'", (TENANT,)),
        [("high", "open", str(bad))], "its tenant has an alert")
    throws(lambda: o.db.execute("SELECT pynomaly.wait_for_outbox()"), "HV000",
           "nobody waits in vain for it", hint="retry_outbox")
    foreign_tenants(o)
    is_(o.db.value("SELECT pynomaly.retry_outbox(%s)", (bad,)), 1, "it can be tried again")
    is_(o.apply(), (0, 1), "which does not help by itself")
    o.collection.delete_one({"_id": 1})
    is_(o.db.value("SELECT pynomaly.retry_outbox()"), 1, "all can be tried again")
    is_(o.apply(), (2, 0), "it and the one behind it are applied once the reason is gone")
    is_(o.collection.find_one({"_id": 2}), {"_id": 2, "unique": "b"}, "in order")

    bad = o.insert(4, unique="b")
    o.update(4, unique="d")
    good = o.update(3, unique="e")
    is_(o.apply(), (1, 1), "other documents do not wait")
    is_(o.db.rows("SELECT id FROM pynomaly.drop_outbox(%s, held => true)", (bad,)),
        [(bad,), (bad + 1,)], "it can be dropped with the later ones")
    is_((o.left(), good), (0, bad + 2), "nothing is left")
    bad = o.insert(5, unique="b")
    o.put("update", {"q": {"_id": 5}, "u": {"$set": {"n": 5}}, "upsert": True}, 5)
    o.apply()
    o.db.execute("SELECT pynomaly.drop_outbox(%s)", (bad,))
    is_(o.apply(), (1, 0), "or alone, and the later ones go on")
    for function in ("retry_outbox", "drop_outbox"):
        throws(lambda function=function: o.db.execute(f"SELECT pynomaly.{function}(%s)", (bad,)),
               "P0002", f"{function} wants a dead letter")

    # One that makes the server refuse the whole command.
    o.clear()
    for key in range(1, 8):
        o.insert(key)
    bad = o.put("update", {"q": {"_id": 3}, "u": {"$set": {"": 1}}}, 3)
    o.update(4, n=4)
    o.update(5, n=5)
    is_(o.apply(), (9, 1), "one operation that is nonsense does not stop the others")
    is_([d.get("n") for d in o.documents()], [None, None, None, 4, 5, None, None],
        "they are applied")
    o.clear()


def order_of_errors(o):
    """In a row of writes to one document an error stops that document only."""
    o.collection.create_index("unique", unique=True)
    o.insert(1, unique="a")
    o.insert(2, unique="b")
    o.insert(3, unique="c")
    o.apply()
    for key in (2, 3):
        o.update(key, n=1)
        o.update(key, unique="a" if key == 2 else "d")
        o.update(key, n=2)
    is_(o.apply(), (4, 1), "all before the error, and all of other documents")
    is_(o.documents()[1:], [{"_id": 2, "unique": "b", "n": 1}, {"_id": 3, "unique": "d", "n": 2}],
        "nothing after it")
    o.clear()


def again(o):
    """An insert that may have been applied counts as applied if it was."""
    o.collection.insert_many([{"_id": 1, "n": 1}, {"_id": 2, "n": 2, "changed": True},
                              {"_id": 3, "n": 3}])
    o.put("insert", {"n": 1, "_id": 1}, 1, repeated=True)
    o.put("insert", {"_id": 2, "n": 2}, 2, repeated=True)
    o.put("insert", {"_id": 3, "n": 3}, 3)
    is_(o.apply(), (1, 2), "the same document counts as inserted, another one does not, "
        "nor one that was never sent")
    is_([d[0] for d in o.db.rows("SELECT document FROM pynomaly.outbox ORDER BY id")], [2, 3],
        "these are dead letters")
    o.clear()


def failures(o, mongo):
    """While a server or a mapping is missing everything waits."""
    o.insert(1)
    o.put("insert", {"_id": 2}, 2, role="'nobody'")
    throws(lambda: o.apply(), "42704", "a role that is gone is an error",
           message="nobody", hint="1 have been applied")
    is_([d["_id"] for d in o.documents()], [1], "other roles' entries are applied")
    is_(o.db.rows("SELECT state, attempts, sqlstate, repeated FROM pynomaly.outbox"),
        [("pending", 1, "42704", False)], "its own are kept")
    o.clear()

    o.insert(1)
    o.db.execute("UPDATE pynomaly.outbox SET server = 'gone'")
    o.insert(2)
    throws(lambda: o.apply(), "42704", "so is a server that is gone", message="gone")
    is_([d["_id"] for d in o.documents()], [2], "other servers' entries are applied")
    o.clear()

    o.insert(1)
    o.fail_point(failCommands=["insert"], errorCode=189)      # PrimarySteppedDown
    throws(lambda: o.apply(), "57P03", "a server that is stepping down is an error")
    is_(o.db.rows("SELECT state, attempts, repeated FROM pynomaly.outbox"),
        [("pending", 1, True)], "the entry is kept")
    o.fail_point()
    is_(o.apply(), (1, 0), "and applied later")
    o.clear()

    o.insert(1)
    o.fail_point(failCommands=["insert"], closeConnection=True)
    throws(lambda: o.apply(), "08006", "a connection that is lost is an error")
    is_(o.left(), 1, "the entry is kept")
    o.fail_point()
    is_(o.apply(), (1, 0), "and applied later")
    is_(o.db.value("SELECT count(*) FROM pynomaly.outbox_attempts"), 0,
        "no note of an attempt is left")
    o.clear()

    o.insert(1)
    o.fail_point(failCommands=["insert"], writeConcernError={
        "code": 64, "codeName": "WriteConcernFailed", "errmsg": "waiting for replication timed out"})
    throws(lambda: o.apply(), "40003", "what a majority may not have is an error",
           message="may not last")
    is_(o.left(), 1, "the entry is kept, although the document is there")
    o.fail_point()
    is_(o.apply(), (1, 0), "and applied for good later")
    o.clear()

    # Entries of a server that is in another mode by now.
    o.insert(1)
    o.insert(2)
    o.db.execute("ALTER SERVER m OPTIONS (SET transaction_mode 'session')")
    o.collection.insert_one({"_id": 2})
    is_(o.apply(), (1, 1), "entries are applied whatever the mode of the server has become")
    o.db.execute("ALTER SERVER m OPTIONS (SET transaction_mode 'outbox')")
    o.clear()

    for key in range(3000):
        o.insert(key)
    background = Background(o.db.connect(), "CALL pynomaly.apply_outbox()")
    while o.collection.estimated_document_count() == 0:
        time.sleep(0.005)
    os.kill(mongo.process.pid, signal.SIGKILL)
    background.wait()
    ok(background.error is None or background.error.sqlstate.startswith("08"),
       "a server that is killed is an error", background.error)
    port = mongo.port
    mongo.process.stop()
    while mongo.port != port or not mongo.process.alive():
        mongo.start()
        if mongo.port != port:
            o.db.execute(f"ALTER SERVER m OPTIONS (SET uri '{mongo.uri}')")
            o.client = mongo_client(mongo.uri)
            o.collection = o.client.ours.docs
            break
    o.apply()
    is_((o.left(), o.collection.count_documents({})), (0, 3000),
        "after its restart nothing is missing, and nothing refused")
    o.clear()


def killed(o):
    """An applier that is killed in any phase has applied everything once."""
    for phase, block in (("before it sends", None), ("while the server works", "insert"),
                         ("while the server changes", "update")):
        for key in range(1, 301):
            o.insert(key, n=0)
        if block == "update":
            o.apply()
            for n in range(1, 4):
                for key in range(1, 301):
                    o.update(key, n=n)
        connection = o.db.connect()
        if block:
            o.fail_point(failCommands=[block], blockConnection=True, blockTimeMS=250)
        background = Background(connection, "CALL pynomaly.apply_outbox()")
        while o.db.value("SELECT count(*) FROM pynomaly.outbox_attempts") == 0:
            time.sleep(0.001)
        if block:
            time.sleep(0.1)
        os.kill(connection.info.backend_pid, signal.SIGKILL)
        background.wait()
        o.fail_point()
        reconnect(o)
        # A later write must not be overtaken by what the dead one had sent.
        for key in range(1, 301, 50):
            o.update(key, n=9)
        is_(o.apply()[1], 0, f"killed {phase}: nothing is refused")
        expected = [{"_id": key, "n": 9 if key % 50 == 1 else 3 if block == "update" else 0}
                    for key in range(1, 301)]
        time.sleep(0.3)
        is_((o.left(), o.documents() == expected), (0, True),
            f"killed {phase}: all is there, in order")
        o.clear()


def side_by_side(o):
    """Several appliers at once apply each entry once, in order."""
    for n in range(20):
        with o.db.main.transaction():
            for key in range(200):
                if n == 0:
                    o.insert(key, n=0, trace=[])
                else:
                    o.put("update", {"q": {"_id": key}, "u": {"$set": {"n": n}}}, key)
    appliers = [Background(o.db.connect(), "CALL pynomaly.apply_outbox()") for _ in range(4)]
    for applier in appliers:
        applier.wait()
    is_([applier.error for applier in appliers], [None] * 4, "four appliers end without an error")
    is_(sum(applier.rows[0][0] for applier in appliers), 4000, "together they applied everything")
    ok(sum(applier.rows[0][0] > 0 for applier in appliers) > 1, "several had a part in it",
       [applier.rows for applier in appliers])
    is_([d["n"] for d in o.documents()], [19] * 200, "in order")
    o.clear()


def rights(o):
    """Nobody but the administrator sees or applies anything."""
    o.insert(1, secret="s")
    for role in ("pynomaly_app", "pynomaly_readonly"):
        o.db.execute(f"SET ROLE {role}")
        for command in ("SELECT operation FROM pynomaly.outbox",
                        "SELECT * FROM pynomaly.stat_outbox",
                        "SELECT * FROM pynomaly.outbox_dead_letters",
                        "INSERT INTO pynomaly.outbox (server) VALUES ('m')",
                        "DELETE FROM pynomaly.outbox", "CALL pynomaly.apply_outbox()",
                        "SELECT pynomaly.retry_outbox()", "SELECT pynomaly.drop_outbox(1)"):
            throws(lambda command=command: o.db.execute(command), "42501", f"{role}: {command}")
        o.db.execute("RESET ROLE")
    o.db.execute("SET ROLE pynomaly_admin")
    is_(o.db.value("SELECT pending FROM pynomaly.stat_outbox"), 1, "pynomaly_admin sees it")
    throws(lambda: o.db.execute("DELETE FROM pynomaly.outbox"), "42501",
           "but does not change it by hand")
    is_(o.apply(), (1, 0), "and applies it")
    o.db.execute("RESET ROLE")

    # Names and operators of the caller are not found.
    o.insert(2)
    o.db.execute("CREATE SCHEMA evil")
    o.db.execute("CREATE FUNCTION evil.eq(name, name) RETURNS boolean LANGUAGE sql "
                 "AS 'SELECT 1 / 0 = 1'")
    o.db.execute("CREATE OPERATOR evil.= (FUNCTION = evil.eq, LEFTARG = name, RIGHTARG = name)")
    o.db.execute("SET search_path = evil, pg_catalog")
    is_(o.apply(), (1, 0), "a search_path changes nothing")
    o.db.execute("RESET search_path")
    o.clear()


def refused_by_mongodb(o, docs):
    """What is sure to be refused when it is applied is refused at once, with the same SQLSTATE."""
    db = o.db
    here = {"_id": 1}
    db.mongo_server("at_once", o.uri, transaction_mode="none")
    for what, update in (
            ("a $set of another _id", {"$set": {"_id": 2}}),
            ("an $unset of the _id", {"$unset": {"_id": 1}}),
            ("a $setOnInsert of the _id, of another type", {"$setOnInsert": {"_id": "1"}}),
            ("an empty path", {"$set": {"": 1}}),
            ("a path with an empty part", {"$set": {"a..b": 1}}),
            ("a path that ends with a dot", {"$unset": {"a.": 1}}),
            ("a path beside the same", {"$set": {"a": 1}, "$unset": {"a": 1}}),
            ("a path beside one through it", {"$set": {"a-b": 1, "a": 1, "a.b": 1}})):
        errors = []
        for server in ("at_once", docs.split(",")[0].strip("' ")):
            try:
                db.execute(f"SELECT pynomaly.update_document('{server}', 'refused', %s, %s, upsert => true)",
                           (json.dumps(here), json.dumps(update)))
                errors.append(None)
            except psycopg.Error as error:
                errors.append(error.sqlstate)
        ok(errors[0] is not None and errors[0] == errors[1], f"{what} is refused: {errors}")
    throws(lambda: db.execute(f"SELECT pynomaly.update_document({docs}, '{{\"_id\": 1}}', "
                              "'{\"$set\": 5}')"), "42601", "an operator without paths is refused")
    throws(lambda: db.execute("SELECT pynomaly.replace_document(%s, 'refused', %s, %s)" % (
        docs.split(",")[0], "'{\"_id\": 1}'", "'{\"_id\": 2}'")), "0A000", "another _id in a replacement")
    for update in ({"$set": {"_id": 1, "a": 1, "ab": 2, "a-b": 3}, "$unset": {"b.a": 1, "b.ab": 1}},
                   {"$setOnInsert": {"_id": 1.0}}):
        db.execute("BEGIN")
        db.execute(f"SELECT pynomaly.update_document({docs}, '{{\"_id\": 1}}', %s)",
                   (json.dumps(update),))
        ok(True, f"{update} is taken")
        db.execute("ROLLBACK")


def writers(o):
    """What statements put there is one with their transaction."""
    db = o.db
    docs = "'m', 'ours.docs'"
    db.execute("CREATE ROLE writer")
    db.execute("GRANT USAGE ON SCHEMA pynomaly TO writer")
    db.execute("GRANT USAGE ON FOREIGN SERVER m TO writer")
    db.execute("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pynomaly TO writer")
    db.execute("SET ROLE writer")
    throws(lambda: db.execute(f"SELECT pynomaly.insert_document({docs}, '{{\"_id\": 1}}')"),
           "42704", "who has no user mapping writes nothing")
    db.execute("CREATE USER MAPPING FOR writer SERVER m")
    with db.main.transaction():
        db.execute(f"SELECT pynomaly.insert_document({docs}, '{{\"_id\": 1, \"n\": 1}}')")
        try:
            with db.main.transaction():
                db.execute(f"SELECT pynomaly.insert_document({docs}, '{{\"_id\": 2}}')")
                raise KeyError
        except KeyError:
            pass
        is_(db.value(f"SELECT pynomaly.count_documents({docs})"), 0,
            "a transaction reads the state before its writes")
    db.execute(f"SELECT pynomaly.update_document({docs}, '{{\"_id\": 1}}', "
               "'{\"$set\": {\"n\": 2}}')")
    db.execute(f"SELECT pynomaly.insert_document({docs}, '{{\"_id\": 3}}')")
    db.execute(f"SELECT pynomaly.delete_document({docs}, '{{\"_id\": 3}}')")
    db.execute("RESET ROLE")
    is_(db.rows("SELECT DISTINCT role::text FROM pynomaly.outbox"), [("writer",)],
        "entries are of the role that wrote them, which has no right on the table")
    is_(o.apply(), (4, 0), "they are applied")
    is_(o.documents(), [{"_id": 1, "n": 2}], "but what a savepoint took back")

    for what, sqlstate, call in (
            ("an $inc", "0A000", f"update_document({docs}, '{{\"_id\": 1}}', '{{\"$inc\": {{\"n\": 1}}}}')"),
            ("a pipeline", "0A000", f"update_document({docs}, '{{\"_id\": 1}}', '[{{\"$set\": {{\"n\": 1}}}}]')"),
            ("a filter by another field", "0A000", f"delete_document({docs}, '{{\"n\": 2}}')"),
            ("a filter by more than the _id", "0A000",
             f"delete_document({docs}, '{{\"_id\": 1, \"n\": 2}}')"),
            ("a filter by a range", "0A000", f"delete_document({docs}, '{{\"_id\": {{\"$gt\": 1}}}}')"),
            ("a filter by a pattern", "0A000",
             f"delete_document({docs}, '{{\"_id\": {{\"$regularExpression\": {{\"pattern\": \"a\", \"options\": \"\"}}}}}}')"),
            ("all documents", "0A000", f"delete_documents({docs}, '{{}}')"),
            ("a document of 17 MB", "54000",
             f"insert_document({docs}, jsonb_build_object('_id', 9, 'x', repeat('x', 17000000)))")):
        throws(lambda call=call: db.execute(f"SELECT pynomaly.{call}"), sqlstate,
               f"{what} is refused at once")
    refused_by_mongodb(o, docs)
    throws(lambda: db.execute(f"SELECT pynomaly.insert_documents({docs}, ARRAY['{{\"_id\": 1}}', "
                              "jsonb_build_object('_id', 9, 'x', repeat('x', 17000000))])"), "54000",
           "and one of several is named", detail="Operation 2 of 2, _id 9.")
    with db.main.transaction(force_rollback=True):
        db.execute("SET TRANSACTION READ ONLY")
        throws(lambda: db.execute(f"SELECT pynomaly.insert_document({docs}, '{{\"_id\": 4}}')"),
               "25006", "so is writing in a transaction that is read-only")
    is_(o.left(), 0, "nothing of it was put into the outbox")

    def waits_for_itself():
        with db.main.transaction():
            db.execute(f"SELECT pynomaly.insert_document({docs}, '{{\"_id\": 5}}')")
            db.execute("SELECT pynomaly.wait_for_outbox()")
    throws(waits_for_itself, "55000", "a transaction cannot wait for its own writes")

    # Equal numbers are one _id, whatever their types.
    numbers = ("1", "1.0", '{"$numberLong": "1"}', '{"$numberDecimal": "1.00"}')
    for number in numbers:
        db.execute(f"SELECT pynomaly.update_document({docs}, %s, '{{\"$set\": {{\"n\": 5}}}}')",
                   (f'{{"_id": {number}}}',))
    db.execute(f"SELECT pynomaly.update_document({docs}, '{{\"_id\": {{\"$eq\": 1}}}}', "
               "'{\"$set\": {\"n\": 6}}')")
    is_(db.value("SELECT count(DISTINCT document) FROM pynomaly.outbox"), 1,
        "an _id is one document, by whatever type of number it is named")
    o.apply()
    o.clear()

    db.execute("CREATE SERVER m2 FOREIGN DATA WRAPPER pynomaly_mongo OPTIONS "
               "(host '127.0.0.1', port '1', transaction_mode 'outbox')")
    db.execute("CREATE USER MAPPING FOR CURRENT_ROLE SERVER m2")
    with db.main.transaction():
        db.execute(f"SELECT pynomaly.insert_document({docs}, '{{\"_id\": 6}}')")
        db.execute("SELECT pynomaly.insert_document('m2', 'ours.docs', '{\"_id\": 6}')")
    throws(lambda: o.apply(), "08001", "a server that does not answer is an error",
           message="m2", hint="1 have been applied")
    is_(db.rows("SELECT server::text, pending FROM pynomaly.stat_outbox"), [("m2", 1)],
        "a transaction writes to two servers, and one does not wait for the other")
    o.clear()

    one = db.connect(autocommit=False)
    one.execute(f"SELECT pynomaly.insert_document({docs}, '{{\"_id\": 7}}')")
    one.execute("PREPARE TRANSACTION 'ours'")
    one.close()
    is_(o.apply(), (0, 0), "what is prepared is not applied")
    db.execute("COMMIT PREPARED 'ours'")
    is_(o.apply(), (1, 0), "until it is committed")
    o.clear()


def same_document(o):
    """Transactions that write the same documents end as they commit."""
    docs = "'m', 'ours.docs'"
    change = f"SELECT pynomaly.update_document({docs}, %s, %s)"

    def arguments(key, n):
        return f'{{"_id": {key}}}', f'{{"$set": {{"n": {n}}}}}'
    for key in range(3):
        o.insert(key, n=0)
    o.apply()
    first, second = o.db.connect(autocommit=False), o.db.connect()
    first.execute(change, arguments(0, 1))
    waiting_one = Background(second, f"SELECT pynomaly.update_document({docs}, "
                             "'{\"_id\": 0}', '{\"$set\": {\"n\": 2}}')")
    time.sleep(0.3)
    ok(waiting_one.ended is None, "who writes the same document waits")
    o.db.execute(change, arguments(1, 1))
    ok(waiting_one.ended is None, "who writes another one does not")
    o.db.execute(f"SELECT pynomaly.insert_documents({docs}, ARRAY(SELECT jsonb_build_object("
                 "'_id', 100 + i) FROM generate_series(1, 1000) i))")
    ok(waiting_one.ended is None, "nor does who inserts")
    first.execute(change, arguments(2, 1))
    first.commit()
    waiting_one.wait()
    is_(waiting_one.error, None, "it goes on after the commit")
    o.apply()
    is_([d["n"] for d in o.documents()[:3]], [2, 1, 1], "the last to commit wins")

    # Many of them: whoever commits last for a document has its final word there.
    stop = threading.Event()
    last = {}
    guard = threading.Lock()

    def write(number):
        connection = o.db.connect(autocommit=False)
        for turn in range(15):
            n = number * 1000 + turn
            keys = [(number + turn + i) % 3 for i in range(2)]
            try:
                for key in sorted(keys):
                    connection.execute(change, arguments(key, n))
                with guard:
                    connection.commit()
                    last.update({key: n for key in keys})
            except psycopg.errors.DeadlockDetected:
                connection.rollback()
    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    applier = o.db.connect()

    def apply_often():
        while not stop.is_set():
            applier.execute("CALL pynomaly.apply_outbox()")
    threads.append(threading.Thread(target=apply_often))
    for thread in threads:
        thread.start()
    for thread in threads[:-1]:
        thread.join()
    stop.set()
    threads[-1].join()
    o.apply()
    is_({d["_id"]: d["n"] for d in o.documents()[:3]}, last,
        "of many writers the last to commit wins, document by document")
    is_(o.left(), 0, "nothing is left")
    o.clear()


def foreign_tables(o):
    """Statements on foreign tables go through the outbox, too."""
    db = o.db
    db.foreign_table("docs", "m", "_id int, n int, s text", database="ours", collection="docs")
    db.execute("CREATE TABLE heap (_id int PRIMARY KEY, n int, s text)")
    inserted = "SELECT i, i * 2, 's' || i FROM generate_series(1, 20000) AS i"
    db.execute(f"INSERT INTO docs {inserted}")
    db.execute(f"INSERT INTO heap {inserted}")
    is_(db.value("SELECT count(*) FROM docs"), 0, "a statement's rows are not there yet")
    is_(o.apply(), (20000, 0), "20,000 rows are applied")
    for statement in ("UPDATE {} SET n = n + 1 WHERE _id % 3 = 0", "DELETE FROM {} WHERE _id % 7 = 0",
                      "UPDATE {} SET s = NULL, n = _id WHERE _id BETWEEN 100 AND 5000",
                      "INSERT INTO {} VALUES (7, 1, 'again') RETURNING s"):
        with db.main.transaction():
            db.execute(statement.format("docs"))
            db.execute(statement.format("heap"))
            try:
                with db.main.transaction():
                    db.execute("UPDATE docs SET n = -1")
                    raise KeyError
            except KeyError:
                pass
        o.apply()
        is_(db.rows("SELECT * FROM docs EXCEPT SELECT * FROM heap"), [],
            f"equal to a local table after {statement.format('docs')}")
        is_(db.value("SELECT count(*) FROM docs"), db.value("SELECT count(*) FROM heap"),
            "with as many rows")
    db.execute("DROP FOREIGN TABLE docs")
    db.execute("DROP TABLE heap")
    o.clear()


@contextlib.contextmanager
def cluster(**settings):
    """Start a cluster of our own, whose backends can be killed; connect to it by default."""
    folder = tempfile.mkdtemp(dir=os.environ["SERVERS_FOLDER"])
    os.chmod(folder, 0o755)
    server = Postgres(os.path.join(folder, "cluster"), os.environ["PG_CONFIG"])
    server.make_cluster()
    with open(os.path.join(server.data, "postgresql.conf"), "a", encoding="ascii") as file:
        for name, value in settings.items():
            file.write(f"{name.replace('__', '.')} = '{value}'\n")
    before = dict(os.environ)
    try:
        start(server)
        yield server
    finally:
        server.stop()
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(folder, ignore_errors=True)


def start(server):
    """Start a cluster that has been made."""
    server.process, server.port = start_on_free_port(server.start_process)
    server.wait_until_ready()
    os.environ.update(server.environment())


def reconnect(o):
    """Connect again when the cluster takes connections."""
    for _ in range(200):
        try:
            o.db.main = o.db.connect()
            return
        except psycopg.OperationalError:
            time.sleep(0.1)


def crash(o, server):
    """A crash of PostgreSQL loses nothing, and applies nothing that was not committed."""
    for key in range(2000):
        o.insert(key, n=0)
    open_one = o.db.connect(autocommit=False)
    o.insert(5000, connection=open_one)
    o.fail_point(failCommands=["insert"], blockConnection=True, blockTimeMS=100)
    background = Background(o.db.connect(), "CALL pynomaly.apply_outbox()")
    while o.collection.estimated_document_count() == 0:
        time.sleep(0.005)
    os.kill(server.process.pid, signal.SIGQUIT)
    background.wait()
    server.process.stop()
    o.fail_point()
    start(server)
    reconnect(o)
    left = o.left()
    ok(0 < left <= 2000, "after an immediate shutdown the rest is there", left)
    is_(o.apply()[1], 0, "nothing is refused")
    is_(([d["_id"] for d in o.documents()] == list(range(2000)), o.left()), (True, 0),
        "all that was committed is applied, once, and nothing else")
    o.clear()


def workers(o):
    """Workers apply by themselves, in the databases of the setting."""
    o.insert(1)
    o.db.execute("SELECT pynomaly.wait_for_outbox('20 s')")
    is_([d["_id"] for d in o.documents()], [1], "a worker applies")
    is_(o.db.rows("SELECT datname = current_database(), usesysid = 10 FROM pg_stat_activity "
                  "WHERE backend_type = 'pynomaly_store outbox'"), [(True, True)],
        "it shows among the processes")
    pid = o.db.value("SELECT pid FROM pg_stat_activity "
                     "WHERE backend_type = 'pynomaly_store outbox'")
    o.db.execute("SELECT pg_terminate_backend(%s)", (pid,))
    o.insert(2)
    o.db.execute("SELECT pynomaly.wait_for_outbox('20 s')")
    is_([d["_id"] for d in o.documents()], [1, 2], "another one follows it")
    o.fail_point(failCommands=["insert"], closeConnection=True)
    o.insert(3)
    throws(lambda: o.db.execute("SELECT pynomaly.wait_for_outbox('2 s')"), "55P03",
           "while the server fails it waits")
    o.fail_point()
    o.db.execute("SELECT pynomaly.wait_for_outbox('20 s')")
    is_([d["_id"] for d in o.documents()], [1, 2, 3], "and goes on afterwards")
    o.db.execute("ALTER SYSTEM SET pynomaly_store.outbox_databases = ''")
    o.db.execute("SELECT pg_reload_conf()")
    for _ in range(100):
        if not o.db.rows("SELECT FROM pg_stat_activity "
                         "WHERE backend_type = 'pynomaly_store outbox'"):
            break
        time.sleep(0.1)
    is_(o.db.value("SELECT count(*) FROM pg_stat_activity "
                   "WHERE backend_type = 'pynomaly_store outbox'"), 0,
        "a database that is taken from the list has none")
    o.clear()


with database() as db, secantus(fail_points=True) as mongo:
    o = Outbox(db, mongo)
    try:
        applying(o)
        transactions(o)
        waiting(o)
        dead_letters(o)
        order_of_errors(o)
        again(o)
        side_by_side(o)
        rights(o)
        foreign_tables(o)
        db.execute(f"ALTER SYSTEM SET pynomaly_store.outbox_command_timeout = {TIMEOUT}")
        db.execute("SELECT pg_reload_conf()")
        failures(o, mongo)
    finally:
        db.execute("ALTER SYSTEM RESET pynomaly_store.outbox_command_timeout")
        db.execute("SELECT pg_reload_conf()")

with cluster(shared_preload_libraries="pynomaly_store", pynomaly_store__outbox_databases="ours",
             pynomaly_store__outbox_command_timeout=TIMEOUT,
             pynomaly_store__outbox_interval=50, max_prepared_transactions=5) as server, \
        secantus(fail_points=True) as mongo:
    with psycopg.connect(autocommit=True) as control:
        control.execute("CREATE DATABASE ours")
    db = Database("ours")
    db.execute("CREATE EXTENSION pynomaly_store")
    o = Outbox(db, mongo)
    workers(o)
    writers(o)
    same_document(o)
    killed(o)
    crash(o, server)
done()
