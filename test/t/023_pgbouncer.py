"""Behind a transaction pooler a tenant ends with its transaction."""
import os
import random
import tempfile
import threading

import psycopg

from servers.harness import *
from servers.pgbouncer import PgBouncer

TENANTS = [f"aaaaaaaa-0000-4000-8000-{number:012}" for number in range(4)]
TRANSACTIONS = 150


def connect(pooler, db):
    """Return a client's connection: the driver prepares nothing on the server."""
    return psycopg.connect(host="127.0.0.1", port=pooler.port, dbname=db.name,
                           prepare_threshold=None, autocommit=True)


def seen(connection):
    """Return the tenants whose datasets are seen, by the app's role."""
    return {str(row[0]) for row in connection.execute("SELECT tenant_id FROM pynomaly.datasets")}


def one_after_the_other(pooler, db):
    """A second client does not find what the first one has set."""
    first, second = connect(pooler, db), connect(pooler, db)
    server = first.execute("SELECT pg_backend_pid()").fetchone()[0]
    is_(second.execute("SELECT pg_backend_pid()").fetchone()[0], server,
        "both clients share one connection to the server")
    with first.transaction():
        first.execute("SET LOCAL ROLE pynomaly_app")
        first.execute("SELECT pynomaly.set_tenant(%s)", (TENANTS[0],))
        is_(seen(first), {TENANTS[0]}, "the first sees its tenant")
    with second.transaction():
        second.execute("SET LOCAL ROLE pynomaly_app")
        is_(second.execute("SELECT pynomaly.current_tenant()").fetchone()[0], None,
            "the second has no tenant")
        is_(seen(second), set(), "and sees nothing")
    for ending in ("ROLLBACK", "COMMIT"):
        first.execute("BEGIN")
        first.execute("SET LOCAL ROLE pynomaly_app")
        first.execute("SELECT pynomaly.set_tenant(%s)", (TENANTS[0],))
        throws(lambda: first.execute("SELECT 1 / 0"), "22012", "an error")
        first.execute(ending)
        is_(second.execute("SELECT pynomaly.current_tenant()").fetchone()[0], None,
            f"and {ending} leave no tenant")
    first.execute("BEGIN")
    first.execute("SELECT pynomaly.set_tenant(%s)", (TENANTS[0],))
    first.close()
    is_(second.execute("SELECT pynomaly.current_tenant()").fetchone()[0], None,
        "nor does a client that goes in the middle of a transaction")
    first = connect(pooler, db)
    first.execute("SELECT pynomaly.set_tenant(%s)", (TENANTS[0],))
    is_(first.execute("SELECT pynomaly.current_tenant()").fetchone()[0], None,
        "outside a transaction a tenant ends with the statement")
    is_(seen(first), set(TENANTS), "a superuser sees all, to compare with")
    first.close()
    second.close()


def side_by_side(pooler, db):
    """Many clients in turn on one connection, each with its own tenant."""
    wrong = []
    counts = dict.fromkeys(TENANTS, 0)

    def work(number):
        """Read and write for some tenant, transaction by transaction."""
        choose = random.Random(number)
        with connect(pooler, db) as connection:
            for _ in range(TRANSACTIONS):
                tenant = choose.choice(TENANTS)
                try:
                    with connection.transaction():
                        connection.execute("SET LOCAL ROLE pynomaly_app")
                        connection.execute("SELECT pynomaly.set_tenant(%s)", (tenant,))
                        connection.execute(
                            "INSERT INTO pynomaly.reports (tenant_id, title) "
                            "VALUES (pynomaly.current_tenant(), 'x')")
                        found = seen(connection)
                    if found != {tenant}:
                        wrong.append(f"{tenant} sees {found}")
                    with lock:
                        counts[tenant] += 1
                except psycopg.Error as error:
                    wrong.append(str(error))

    lock = threading.Lock()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    is_(wrong, [], f"{6 * TRANSACTIONS} transactions see the tenant that they have set")
    is_({str(tenant): count for tenant, count in db.rows(
        "SELECT tenant_id, count(*) FROM pynomaly.reports GROUP BY 1")}, counts,
        "and write for it")


def session_tenants(pooler, db):
    """With server_reset_query_always not even a session's tenant is left."""
    first, second = connect(pooler, db), connect(pooler, db)
    first.execute("SELECT pynomaly.set_tenant(%s, false)", (TENANTS[0],))
    is_(second.execute("SELECT pynomaly.current_tenant()").fetchone()[0], None,
        "a tenant that was set for the session does not reach the next client")
    first.close()
    second.close()


with database() as test_db:
    for number, one in enumerate(TENANTS):
        test_db.execute("INSERT INTO pynomaly.tenants (id, name, plan) VALUES (%s, %s, 'enterprise')",
                        (one, f"t{number}"))
        test_db.execute("INSERT INTO pynomaly.datasets (tenant_id, name) VALUES (%s, 'd')", (one,))
    for more, tests in (("", (one_after_the_other, side_by_side)),
                        ("server_reset_query_always = 1", (one_after_the_other, session_tenants))):
        bouncer = PgBouncer(tempfile.mkdtemp(dir=os.environ.get("SERVERS_FOLDER")), more)
        try:
            bouncer.start()
            for test in tests:
                test(bouncer, test_db)
        finally:
            bouncer.stop()
done()
