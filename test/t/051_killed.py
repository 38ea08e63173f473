"""Transactions while backends, servers and networks are killed.

Each transaction writes two documents and one row of a table here.  Whatever is
killed, and when: of a transaction that was acknowledged all of it is there,
once; of any other all documents are there or none.  A document without its row
is found in one case only, which is given a test of its own.
"""
import os
import random
import shutil
import signal
import tempfile
import threading
import time

import psycopg

from servers.harness import *
from servers.postgres import Postgres
from servers.processes import start_on_free_port

ONE_MORE = "SELECT pynomaly.insert_document('docs', 'd.c', '{\"_id\": 1000000}')"
SETTINGS = "max_prepared_transactions = 2\nsynchronous_commit = local\n"


class Scene:
    """A cluster, a MongoDB server and the network between them, to be broken."""

    def __init__(self, cluster, mongo, proxy):
        self.cluster = cluster
        self.mongo = mongo
        self.proxy = proxy
        self.client = mongo_client(mongo.uri)
        self.client.d.create_collection("c")
        self.number = 0             # of the last transaction
        connection = self.connect()
        for statement in (
                "CREATE EXTENSION pynomaly_store",
                "CREATE SERVER docs FOREIGN DATA WRAPPER pynomaly_mongo OPTIONS "
                f"(host '127.0.0.1', port '{proxy.port}', connect_timeout '3000')",
                "CREATE USER MAPPING FOR CURRENT_USER SERVER docs",
                "CREATE TABLE ledger (id int PRIMARY KEY)"):
            connection.execute(statement)
        connection.close()

    def connect(self, **options):
        """Return a connection to the cluster."""
        environment = self.cluster.environment()
        return psycopg.connect(host=environment["PGHOST"], port=environment["PGPORT"],
                               user=environment["PGUSER"], password=environment["PGPASSWORD"],
                               dbname="postgres", autocommit=True, **options)

    def write(self, connection, *more):
        """Begin a transaction and write; return its number."""
        self.number += 1
        connection.execute("BEGIN")
        put(connection, self.number)
        for statement in more:
            connection.execute(statement)
        return self.number

    def documents(self, number):
        """Return how many of a transaction's two documents are there."""
        return self.client.d.c.count_documents({"_id": {"$in": [number, -number]}})

    def found(self, number):
        """Return how many documents and rows of a transaction are there."""
        with self.connect() as connection:
            return self.documents(number), connection.execute(
                "SELECT count(*) FROM ledger WHERE id = %s", [number]).fetchone()[0]

    def fail(self, command, **data):
        """Make the MongoDB server fail the next command of a name."""
        self.client.admin.command({
            "configureFailPoint": "failCommand", "mode": {"times": 1},
            "data": {"failCommands": [command], **data}})

    def kill_backend(self, connection):
        """Kill a backend as nobody should; return when the cluster is back."""
        os.kill(connection.info.backend_pid, signal.SIGKILL)
        self.wait_for_end(connection)
        end = time.monotonic() + 60
        while True:
            try:
                self.connect().close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def wait_for_end(self, connection):
        """Return when a backend is gone."""
        end = time.monotonic() + 20
        while os.path.exists(f"/proc/{connection.info.backend_pid}"):
            if time.monotonic() > end:
                raise TimeoutError("a backend that was killed lives on")
            time.sleep(0.02)

    def crash_cluster(self):
        """Shut the cluster down at once, and start it again."""
        os.kill(self.cluster.process.pid, signal.SIGQUIT)
        self.cluster.process.child.wait(30)
        self.cluster.process, self.cluster.port = start_on_free_port(self.cluster.start_process)
        self.cluster.wait_until_ready()

    def kill_mongo(self):
        """Kill the MongoDB server, and start it again."""
        os.kill(self.mongo.process.pid, signal.SIGKILL)
        self.mongo.process.child.wait(30)
        self.mongo.start_process(self.mongo.options)
        self.proxy.target_port = self.mongo.port
        self.client.close()
        self.client = mongo_client(self.mongo.uri)


def put(connection, number):
    """Write what a transaction of a number writes."""
    connection.execute(
        "SELECT pynomaly.insert_documents('docs', 'd.c', ARRAY[jsonb_build_object('_id', %s), "
        "jsonb_build_object('_id', %s)])", [number, -number])
    connection.execute("INSERT INTO ledger VALUES (%s)", [number])


def wait_until_waiting(scene, connection, kind):
    """Return when a backend waits for an event of a type."""
    with scene.connect() as watcher:
        end = time.monotonic() + 20
        while watcher.execute("SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s",
                              [connection.info.backend_pid]).fetchone() != (kind,):
            if time.monotonic() > end:
                raise TimeoutError(f"no wait for {kind}")
            time.sleep(0.02)


def backends(scene):
    """A backend is killed."""
    connection = scene.connect()
    number = scene.write(connection)
    scene.kill_backend(connection)
    is_(scene.found(number), (0, 0), "before the commit: nothing is there")

    connection = scene.connect()
    number = scene.write(connection)
    scene.fail("insert", blockConnection=True, blockTimeMS=700)
    Background(connection, ONE_MORE)
    time.sleep(0.3)
    scene.kill_backend(connection)
    time.sleep(0.7)
    is_(scene.found(number), (0, 0), "while it writes: nothing is there")

    connection = scene.connect()
    number = scene.write(connection)
    scene.fail("commitTransaction", blockConnection=True, blockTimeMS=700)
    Background(connection, "COMMIT")
    time.sleep(0.3)
    scene.kill_backend(connection)
    time.sleep(0.7)
    documents, rows = scene.found(number)
    is_(rows, 0, "while MongoDB commits: no row is there")
    ok(documents in (0, 2), "and all documents are, or none", documents)

    # Somebody who waits for a standby that there is not holds the lock that
    # NOTIFY takes in the commit, after our call.
    blocker = scene.connect()
    for setting in ("synchronous_standby_names = 'nobody'",):
        blocker.execute(f"ALTER SYSTEM SET {setting}")
    blocker.execute("SELECT pg_reload_conf()")
    blocker.execute("SET synchronous_commit = on")
    blocker.execute("BEGIN")
    blocker.execute("NOTIFY held")
    blocker.execute("CREATE TEMP TABLE written ()")
    waiting = Background(blocker, "COMMIT")
    wait_until_waiting(scene, blocker, "IPC")
    connection = scene.connect()
    number = scene.write(connection, "NOTIFY held")
    Background(connection, "COMMIT")
    wait_until_waiting(scene, connection, "Lock")
    is_(scene.documents(number), 2, "MongoDB has committed, and PostgreSQL has not yet:")
    scene.kill_backend(connection)
    is_(scene.found(number), (2, 0), "the moment in which documents stay without their row")
    waiting.wait()

    connection = scene.connect()
    connection.execute("SET synchronous_commit = on")
    number = scene.write(connection)
    Background(connection, "COMMIT")
    wait_until_waiting(scene, connection, "IPC")
    scene.kill_backend(connection)
    is_(scene.found(number), (2, 1), "after both commits, before it has said so: all is there")
    with scene.connect() as last:
        last.execute("ALTER SYSTEM RESET synchronous_standby_names")
        last.execute("SELECT pg_reload_conf()")


def clusters(scene):
    """PostgreSQL crashes."""
    connection = scene.connect()
    number = scene.write(connection)
    scene.crash_cluster()
    is_(scene.found(number), (0, 0), "before the commit: nothing is there")

    connection = scene.connect()
    number = scene.write(connection)
    scene.fail("commitTransaction", blockConnection=True, blockTimeMS=700)
    Background(connection, "COMMIT")
    time.sleep(0.3)
    scene.crash_cluster()
    documents, rows = scene.found(number)
    is_(rows, 0, "while MongoDB commits: no row is there")
    ok(documents in (0, 2), "and all documents are, or none", documents)

    connection = scene.connect()
    number = scene.write(connection)
    connection.execute("COMMIT")
    scene.crash_cluster()
    is_(scene.found(number), (2, 1), "after the commit: all is there")


def mongo_servers(scene):
    """The MongoDB server is killed, and comes back."""
    connection = scene.connect()
    number = scene.write(connection)
    scene.kill_mongo()
    throws(lambda: connection.execute("COMMIT"), "40001", "before the commit: it fails")
    is_(scene.found(number), (0, 0), "and nothing is there")

    number = scene.write(connection)
    scene.fail("insert", blockConnection=True, blockTimeMS=5000)
    running = Background(connection, ONE_MORE)
    time.sleep(0.3)
    scene.kill_mongo()
    running.wait()
    is_(running.error and running.error.sqlstate, "40001", "while it writes: that fails")
    connection.execute("ROLLBACK")
    is_(scene.found(number), (0, 0), "and nothing is there")

    number = scene.write(connection)
    scene.fail("commitTransaction", blockConnection=True, blockTimeMS=5000)
    running = Background(connection, "COMMIT")
    time.sleep(0.3)
    scene.kill_mongo()
    running.wait()
    is_(running.error and running.error.sqlstate, "40001", "while it commits: it says that it has not")
    is_(scene.found(number), (0, 0), "and nothing is there")

    number = scene.write(connection)
    connection.execute("COMMIT")
    is_(scene.found(number), (2, 1), "the same session goes on")


def networks(scene):
    """The network goes while the commit is under way."""
    connection = scene.connect()
    for name, action in (("reset", scene.proxy.reset), ("closed", scene.proxy.drop)):
        number = scene.write(connection)
        scene.proxy.after(1, action)
        connection.execute("COMMIT")
        is_(scene.found(number), (2, 1), f"{name} after a byte of the answer: committed, once")

    number = scene.write(connection)
    scene.proxy.after(1, scene.proxy.stall)
    running = Background(connection, "COMMIT")
    time.sleep(1)
    ok(running.thread.is_alive(), "an answer that is long in coming is waited for")
    scene.proxy.resume()
    running.wait()
    is_(running.error, None, "and")
    is_(scene.found(number), (2, 1), "counts")

    number = scene.write(connection)
    scene.proxy.after(1, scene.proxy.stall)
    throws(lambda: connection.execute("COMMIT"), "08007", "an answer that never comes",
           message="did not say whether")
    scene.proxy.resume()
    scene.proxy.reset()
    documents, rows = scene.found(number)
    is_(rows, 0, "fails the commit here")
    ok(documents in (0, 2), "all documents are there, or none", documents)

    number = scene.write(connection)
    scene.proxy.reset()
    throws(lambda: connection.execute(ONE_MORE), "40001",
           "before the commit: a statement fails")
    connection.execute("ROLLBACK")
    is_(scene.found(number), (0, 0), "and nothing is there")


def prepared(scene):
    """A transaction is prepared, PostgreSQL crashes, and it is committed."""
    connection = scene.connect()
    connection.execute("ALTER SERVER docs OPTIONS (ADD transaction_mode 'outbox')")
    numbers = []
    for name in ("one", "other"):
        numbers.append(scene.write(connection))
        connection.execute(f"PREPARE TRANSACTION '{name}'")
    scene.crash_cluster()
    connection = scene.connect()
    connection.execute("COMMIT PREPARED 'one'")
    connection.execute("ROLLBACK PREPARED 'other'")
    connection.execute("CALL pynomaly.apply_outbox()")
    is_([scene.found(number) for number in numbers], [(2, 1), (0, 0)],
        "in mode outbox: the committed one is there, the other one is not")
    connection.execute("BEGIN READ ONLY")
    throws(lambda: put(connection, 0), "25006", "a read-only transaction does not write there either")
    connection.execute("ROLLBACK")
    connection.execute("ALTER SERVER docs OPTIONS (DROP transaction_mode)")


def all_at_once(scene):
    """Sessions write while the network goes again and again."""
    first = scene.number
    lock = threading.Lock()
    told = {}                       # number: whether it was acknowledged
    stop = threading.Event()

    def work():
        connection = scene.connect()
        while not stop.is_set():
            with lock:
                scene.number += 1
                number = scene.number
            try:
                connection.execute("BEGIN")
                put(connection, number)
                connection.execute("COMMIT")
                told[number] = True
            except psycopg.Error as error:
                told[number] = error.sqlstate
                if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                    connection.execute("ROLLBACK")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    chance = random.Random(51)
    end = time.monotonic() + 8
    while time.monotonic() < end:
        time.sleep(chance.uniform(0.05, 0.5))
        chance.choice([scene.proxy.reset, scene.proxy.drop,
                       lambda: scene.proxy.after(chance.randrange(1, 400), scene.proxy.reset)])()
    stop.set()
    for thread in threads:
        thread.join(60)
    scene.proxy.budget = None

    documents = {row["_id"] for row in scene.client.d.c.find({}, {"_id": 1})}
    with scene.connect() as connection:
        rows = {row[0] for row in connection.execute("SELECT id FROM ledger")}
    numbers = range(first + 1, scene.number + 1)
    is_([number for number in numbers if (number in documents) != (-number in documents)], [],
        "no transaction is there in part")
    is_([number for number in numbers if told[number] is True and
         not (number in documents and number in rows)], [], "no acknowledged one is missing")
    is_([number for number in numbers if (number in documents or number in rows) and
         told[number] not in (True, "08007")], [], "none that failed is there")
    kinds = {state: list(told.values()).count(state) for state in set(told.values())}
    ok(kinds.get(True, 0) > 20 and len(kinds) > 1, "and many did either", kinds)
    note(kinds)


def main():
    """Make the scene, and break it."""
    folder = tempfile.mkdtemp(dir=os.environ["SERVERS_FOLDER"])
    os.chmod(folder, 0o755)
    cluster = Postgres(os.path.join(folder, "cluster"), os.environ["PG_CONFIG"])
    cluster.make_cluster()
    with open(os.path.join(cluster.data, "postgresql.conf"), "a", encoding="ascii") as settings:
        settings.write(SETTINGS)
    try:
        cluster.process, cluster.port = start_on_free_port(cluster.start_process)
        cluster.wait_until_ready()
        with secantus(fail_points=True) as mongo, Proxy(mongo.port) as proxy:
            scene = Scene(cluster, mongo, proxy)
            for test in (backends, clusters, networks, mongo_servers, prepared, all_at_once):
                note(test.__doc__)
                test(scene)
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
    done()


main()
