"""The audit log under concurrency, two-phase commit, a crash, a restore, pgaudit."""
import os
import shutil
import subprocess
import tempfile
import threading
import time

import psycopg

from servers.harness import *
from servers.postgres import Postgres
from servers.processes import start_on_free_port

TENANT = "14000000-0000-4000-8000-000000000001"
INTACT = "SELECT problem FROM pynomaly.verify_audit_log()"


def sealed_until_now(db):
    """Seal until no entry is left; other databases' transactions may hold it up."""
    for _ in range(100):
        db.execute("SELECT pynomaly.seal_audit_log()")
        if db.value("SELECT count(*) = (SELECT sum(entries) FROM pynomaly.audit_blocks) "
                    "FROM pynomaly.audit_log"):
            return True
        time.sleep(0.1)
    return False


def writers_do_not_wait(db):
    """A session with an open transaction holds nobody up, nor does sealing."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n int)")
    db.execute("SELECT pynomaly.audit_table('t')")
    first, second = db.connect(), db.connect()
    first.execute("BEGIN")
    first.execute("INSERT INTO t VALUES (1)")
    second.execute("SET lock_timeout = '2s'")
    second.execute("INSERT INTO t VALUES (2)")
    is_(db.value("SELECT count(*) FROM pynomaly.audit_log WHERE resource_type = 'public.t'"), 1,
        "a second writer commits while the first is in its transaction")
    db.execute("SELECT pynomaly.seal_audit_log()")
    first.execute("INSERT INTO t VALUES (3)")
    first.execute("COMMIT")
    is_(db.rows(INTACT), [], "what commits behind a seal is no intruder")
    ok(sealed_until_now(db), "and is sealed then")
    is_(db.rows(INTACT), [], "all of it verified")


def many_writers(db):
    """Eight sessions write, roll back and seal at once; nothing is lost."""
    def work(number):
        connection = db.connect()
        for turn in range(25):
            try:
                with connection.transaction():
                    connection.execute("INSERT INTO t SELECT %s + i, 0 FROM generate_series(1, 5) i",
                                       [1000 * number + 10 * turn])
                    with connection.transaction(force_rollback=True):
                        connection.execute("UPDATE t SET n = n + 1 WHERE id > %s AND id < %s",
                                           [1000 * number, 1000 * number + 100])
                    connection.execute("UPDATE t SET n = n + 1 WHERE id = %s", [1000 * number + 10 * turn + 1])
                    if turn % 5 == 4:
                        raise psycopg.Rollback()
            except psycopg.Rollback:
                pass
            if turn % 8 == number % 8:
                connection.execute("SELECT pynomaly.seal_audit_log()")

    threads = [threading.Thread(target=work, args=[number]) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    is_(db.value("SELECT count(*) FROM pynomaly.audit_log WHERE (resource_key ->> 'id')::int >= 1000"),
        8 * 20 * 6, "each committed change has its entry")
    is_(db.value("SELECT count(DISTINCT chain_id) FROM pynomaly.audit_log "
                 "WHERE (resource_key ->> 'id')::int >= 1000"), 8, "each session has a chain")
    is_(db.rows(INTACT), [], "the chains are whole")
    ok(sealed_until_now(db), "all is sealed")
    is_(db.rows(INTACT), [], "and verified")
    ok(db.value("SELECT count(*) FROM pynomaly.audit_blocks") > 3, "in several blocks")


def retention(db):
    """Months that retention drops are noted in the chain, and missed by nobody."""
    with db.connect().transaction() as transaction:
        old = transaction.connection
        old.execute("SET LOCAL session_replication_role = replica")
        old.execute("INSERT INTO pynomaly.audit_log (created_at, kind, action, resource_type, outcome, "
                    "system_id, transaction_id, chain_id, sequence, hash) "
                    "SELECT t, 'event', 'old', 'x', 'success', 1, 100 + n, n, 1, '' FROM "
                    "unnest('{1970-01-01,2020-03-04,2020-04-05}'::timestamptz[]) WITH ORDINALITY u (t, n)")
        old.execute("UPDATE pynomaly.audit_log l SET hash = pynomaly.hash_audit_entry(l) WHERE system_id = 1")
    db.execute("SELECT pynomaly.seal_audit_log()")
    db.execute("CALL pynomaly.maintain_partitions()")
    is_(db.rows(INTACT), [], "entries that moved into partitions of their months")
    db.execute("INSERT INTO pynomaly.partition_rules VALUES ('audit_log', 3, '1 year')")
    db.execute("SET ROLE pynomaly_admin")
    db.execute("CALL pynomaly.maintain_partitions()")
    db.execute("RESET ROLE")
    is_(db.value("SELECT count(*) FROM pynomaly.audit_log WHERE system_id = 1"), 0, "the old ones are gone")
    is_(db.rows(INTACT), [], "and the log is whole")
    is_(db.rows("SELECT month::text, entries FROM pynomaly.audit_blocks WHERE kind = 'retire' ORDER BY month"),
        [("1970-01-01", 1), ("2020-03-01", 1), ("2020-04-01", 1)], "each month is noted")
    is_(db.value("SELECT count(*) FROM pynomaly.audit_log WHERE resource_type = 'pynomaly.partition_rules'"), 1,
        "and so is who made the rule")


def restored_elsewhere(db, cluster):
    """A dump carries the log, and another cluster goes on with it."""
    db.execute("INSERT INTO t VALUES (-1)")         # is not sealed
    head = db.rows("SELECT block_no, hash FROM pynomaly.get_audit_head()")[0]
    entries = db.rows("SELECT * FROM pynomaly.audit_log ORDER BY created_at, chain_id, sequence")
    environment = {**os.environ, "PGDATABASE": db.name}
    dump = subprocess.run([os.path.join(os.path.dirname(os.environ["PG_CONFIG"]), "pg_dump"), "-Fc"],
                          env=environment, check=True, stdout=subprocess.PIPE).stdout
    there = {**os.environ, "PGPORT": str(cluster.port), "PGPASSWORD": cluster.password}
    with psycopg.connect(host="127.0.0.1", port=cluster.port, user="postgres",
                         password=cluster.password, dbname="postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE restored")
    subprocess.run([os.path.join(os.path.dirname(os.environ["PG_CONFIG"]), "pg_restore"),
                    "-d", "restored", "-1"], input=dump, env=there, check=True)
    with psycopg.connect(host="127.0.0.1", port=cluster.port, user="postgres",
                         password=cluster.password, dbname="restored", autocommit=True) as connection:
        is_(connection.execute("SELECT * FROM pynomaly.audit_log ORDER BY created_at, chain_id, sequence")
            .fetchall(), entries, "the log is restored as it was, and nothing is added")
        is_(connection.execute("SELECT problem FROM pynomaly.verify_audit_log(%s, %s)", head).fetchall(), [],
            "it is verified against the head that was noted before")
        connection.execute("INSERT INTO t VALUES (-2)")
        connection.execute("SELECT pynomaly.seal_audit_log()")
        connection.execute("INSERT INTO t VALUES (-3)")
        connection.execute("SELECT pynomaly.seal_audit_log()")
        is_(connection.execute(INTACT).fetchall(), [], "it goes on in another cluster")
        is_(connection.execute("SELECT count(DISTINCT system_id) FROM pynomaly.audit_blocks WHERE kind = 'seal' "
                               "AND system_id <> 1").fetchone()[0], 2,
            "whose transactions are told apart")


def connect(cluster, **options):
    """Connect to the test's own cluster."""
    return psycopg.connect(**{"host": "127.0.0.1", "port": cluster.port, "user": "postgres",
                              "password": cluster.password, "dbname": "postgres", "autocommit": True,
                              **options})


def two_phases_and_a_crash(cluster):
    """Prepared transactions end in any order; a crash loses no committed entry."""
    connection = connect(cluster)
    connection.execute("CREATE EXTENSION pynomaly_store")
    connection.execute("CREATE TABLE t (id int PRIMARY KEY)")
    connection.execute("SELECT pynomaly.audit_table('t')")
    connection.execute("INSERT INTO t VALUES (1)")
    for name, row in (("kept", 2), ("lost", 3)):
        connection.execute("BEGIN")
        connection.execute("INSERT INTO t VALUES (%s)", [row])
        connection.execute(f"PREPARE TRANSACTION '{name}'")
        connection.execute("INSERT INTO t VALUES (%s)", [row + 10])
    connection.execute("SELECT pynomaly.seal_audit_log()")
    connection.execute("ROLLBACK PREPARED 'lost'")
    is_(connection.execute(INTACT).fetchall(), [], "a prepared transaction that is rolled back")
    connection.execute("COMMIT PREPARED 'kept'")
    is_(connection.execute(INTACT).fetchall(), [], "and one that is committed")
    is_(connection.execute("SELECT count(*) FROM pynomaly.audit_log").fetchone()[0], 4, "have their entries")
    connection.execute("SELECT pynomaly.seal_audit_log()")

    open_one = connect(cluster)
    open_one.execute("BEGIN")
    open_one.execute("INSERT INTO t VALUES (20)")
    connection.execute("INSERT INTO t VALUES (21)")
    os.kill(cluster.process.pid, 3)                 # SIGQUIT: immediate shutdown
    cluster.process.child.wait(30)
    cluster.process, cluster.port = start_on_free_port(cluster.start_process)
    cluster.wait_until_ready()
    connection = connect(cluster)
    is_(connection.execute("SELECT resource_key ->> 'id' FROM pynomaly.audit_log ORDER BY created_at DESC LIMIT 1")
        .fetchone()[0], "21", "after a crash the last committed change is in the log")
    is_(connection.execute(INTACT).fetchall(), [], "and the log is whole")
    connection.execute("INSERT INTO t VALUES (22)")
    connection.execute("SELECT pynomaly.seal_audit_log()")
    is_(connection.execute(INTACT).fetchall(), [], "and goes on")
    connection.close()


def pgaudit_beside(cluster):
    """pgaudit writes statements to the server's log while we record rows."""
    connection = connect(cluster)
    connection.execute("CREATE EXTENSION pgaudit")
    connection.execute("SET pgaudit.log = 'write, ddl, role'")
    before = connection.execute("SELECT count(*) FROM pynomaly.audit_log").fetchone()[0]
    connection.execute("INSERT INTO t SELECT i FROM generate_series(100, 102) i")
    connection.execute("CREATE ROLE audited_by_pgaudit")
    connection.execute("DROP ROLE audited_by_pgaudit")
    is_(connection.execute("SELECT count(*) FROM pynomaly.audit_log").fetchone()[0] - before, 3,
        "three rows are in our log")
    is_(connection.execute(INTACT).fetchall(), [], "which is whole")
    connection.close()
    with open(cluster.process.log, encoding="utf-8") as log:
        text = log.read()
    like(text, r"AUDIT: SESSION,\d+,1,WRITE,INSERT,[^\n]*generate_series\(100, 102\)", "the statement is in pgaudit's")
    like(text, "AUDIT: SESSION,[^\n]*ROLE,CREATE ROLE", "and what is about roles")
    ok("INSERT INTO pynomaly.audit_log" not in text, "our entries are no statements of their own")


with database() as db:
    writers_do_not_wait(db)
    many_writers(db)
    retention(db)
    folder = tempfile.mkdtemp(dir=os.environ["SERVERS_FOLDER"])
    os.chmod(folder, 0o755)
    cluster = Postgres(os.path.join(folder, "cluster"), os.environ["PG_CONFIG"])
    cluster.make_cluster()
    library = subprocess.run([os.environ["PG_CONFIG"], "--pkglibdir"], check=True, text=True,
                             stdout=subprocess.PIPE).stdout.strip() + "/pgaudit.so"
    with open(os.path.join(cluster.data, "postgresql.conf"), "a", encoding="ascii") as settings:
        settings.write("max_prepared_transactions = 5\n")
        if os.path.exists(library):
            settings.write("shared_preload_libraries = 'pgaudit'\n")
    try:
        cluster.process, cluster.port = start_on_free_port(cluster.start_process)
        cluster.wait_until_ready()
        two_phases_and_a_crash(cluster)
        if os.path.exists(library):
            pgaudit_beside(cluster)
        else:
            note("pgaudit is not installed for this PostgreSQL")
        restored_elsewhere(db, cluster)
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
done()
