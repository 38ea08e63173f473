"""Fifty at once: who creates, signs in, begins sessions; no limit is passed."""
import threading

import psycopg

from servers.harness import *

TENANT = "15000000-0000-4000-8000-000000000001"
USER = "25000000-0000-4000-8000-000000000001"
CREATORS = 50


def at_once(db, statements, role="pynomaly_app"):
    """Run each statement in a session of its own, all at the same time.

    Return the first column of each row, and the SQLSTATEs of those that failed.
    """
    results, errors = [], []
    barrier = threading.Barrier(len(statements))

    def work(statement):
        with psycopg.connect(dbname=db.name) as connection:
            connection.execute(f"SET ROLE {role}")
            connection.execute("SELECT pynomaly.set_tenant(%s, false)", [TENANT])
            connection.commit()
            barrier.wait(60)
            try:
                cursor = connection.execute(statement)
                rows = cursor.fetchall() if cursor.description else []
                connection.commit()
                results.extend(row[0] for row in rows)
            except psycopg.Error as error:
                errors.append(error.sqlstate)

    threads = [threading.Thread(target=work, args=[statement]) for statement in statements]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results, errors


def creators(db):
    """The free plan has ten datasets, whoever comes first."""
    created, errors = at_once(db, [
        f"INSERT INTO pynomaly.datasets (tenant_id, name) VALUES ('{TENANT}', 'd{n}') RETURNING name"
        for n in range(CREATORS)])
    is_(len(created), 10, "ten of fifty creators get a dataset")
    is_(errors, ["53400"] * 40, "the others are told that the limit is reached")
    is_(db.value("SELECT count(*) FROM pynomaly.datasets"), 10, "and there are ten")
    # three at a time, so that the last of them finds one place only
    db.execute("DELETE FROM pynomaly.datasets")
    at_once(db, [f"INSERT INTO pynomaly.datasets (tenant_id, name) SELECT '{TENANT}', 'd{n}' "
                 "FROM generate_series(1, 3)" for n in range(20)])
    is_(db.value("SELECT count(*) FROM pynomaly.datasets"), 9, "three at a time: nine")
    db.execute("UPDATE pynomaly.tenants SET limits = '{\"max_detections_per_month\": 100}'")
    detector = db.value("INSERT INTO pynomaly.detectors (tenant_id, name, algorithm_name) "
                        "VALUES (%s, 'x', 'LOF') RETURNING id", [TENANT])
    dataset = db.value("SELECT id FROM pynomaly.datasets LIMIT 1")
    _, errors = at_once(db, [
        "INSERT INTO pynomaly.detection_results (tenant_id, detector_id, dataset_id, scores, created_at) "
        f"SELECT '{TENANT}', '{detector}', '{dataset}', '{{0.5}}', t FROM generate_series(1, 7), "
        "unnest('{2026-01-15,2026-02-15}'::timestamptz[]) t" for _ in range(CREATORS)])
    is_(errors, ["53400"] * 36, "14 creators have a place for 7 detections in both months")
    is_(db.rows("SELECT count(*) FROM pynomaly.detection_results GROUP BY date_trunc('month', created_at)"),
        [(98,), (98,)], "98 of 100 in each")
    is_(db.rows("SELECT * FROM pynomaly.check_usage()"), [], "the counters are right")


def no_deadlock(db):
    """Transactions that write in different orders do not wait for each other."""
    db.execute("UPDATE pynomaly.tenants SET limits = '{\"max_datasets\": 1000, \"max_models\": 1000}'")
    first, second = db.connect(), db.connect()
    for connection in (first, second):
        connection.execute("SET ROLE pynomaly_app")
        connection.execute("SELECT pynomaly.set_tenant(%s, false)", [TENANT])
        connection.execute("SET lock_timeout = '5s'")
        connection.execute("BEGIN")
    dataset = f"INSERT INTO pynomaly.datasets (tenant_id, name) VALUES ('{TENANT}', 'x')"
    model = f"INSERT INTO pynomaly.models (tenant_id, name) VALUES ('{TENANT}', 'x')"
    for connection, statement in ((first, dataset), (second, model), (first, model), (second, dataset)):
        connection.execute(statement)
    first.execute("COMMIT")
    second.execute("COMMIT")
    is_(db.value("SELECT count(*) FROM pynomaly.models"), 2, "datasets and models in both orders")
    is_(db.rows("SELECT * FROM pynomaly.check_usage()"), [], "and the counters are right")


def at_commit(db):
    """Who finds the last place taken when he commits is refused then, wholly."""
    db.execute("UPDATE pynomaly.tenants SET limits = jsonb_build_object('max_datasets', "
               "(SELECT count(*) + 1 FROM pynomaly.datasets))")
    first, second = db.connect(), db.connect()
    for connection in (first, second):
        connection.execute("SET ROLE pynomaly_app")
        connection.execute("SELECT pynomaly.set_tenant(%s, false)", [TENANT])
        connection.execute("BEGIN")
        connection.execute(f"INSERT INTO pynomaly.datasets (tenant_id, name) VALUES ('{TENANT}', 'last')")
    first.execute("COMMIT")
    throws(lambda: second.execute("COMMIT"), "53400", "the second to commit", message="limit")
    is_(db.value("SELECT count(*) FROM pynomaly.datasets WHERE name = 'last'"), 1, "only one is there")
    is_(db.rows("SELECT * FROM pynomaly.check_usage()"), [], "and one is counted")


def repair_under_load(db):
    """A repair while others create counts each row once."""
    db.execute("UPDATE pynomaly.tenants SET limits = '{\"max_datasets\": null}'")
    db.execute("UPDATE pynomaly.tenant_usage SET used = 1000000")
    statements = [f"INSERT INTO pynomaly.datasets (tenant_id, name) VALUES ('{TENANT}', 'r{n}')"
                  for n in range(30)]
    stop = threading.Event()

    def repair():
        with psycopg.connect(dbname=db.name, autocommit=True) as connection:
            while not stop.is_set():
                connection.execute("SELECT pynomaly.repair_usage()")

    thread = threading.Thread(target=repair)
    thread.start()
    _, errors = at_once(db, statements)
    stop.set()
    thread.join()
    is_(errors, [], "nobody fails")
    is_(db.rows("SELECT * FROM pynomaly.check_usage() WHERE resource <> 'detections_per_month'"), [],
        "the counters are right")


def passwords_and_sessions(db):
    """Failures are counted one by one, and the cap of sessions holds."""
    db.execute("SELECT pynomaly.grant_role(%s, 'viewer', tenant => %s)", [USER, TENANT])
    outcomes, errors = at_once(db, ["SELECT outcome FROM pynomaly.authenticate_user('user', 'wrong')"] * 20)
    is_((outcomes.count("wrong"), outcomes.count("locked"), errors), (4, 16, []),
        "of twenty failures at once the fifth locks")
    tokens, errors = at_once(db, [f"SELECT token FROM pynomaly.create_session('{USER}')"] * 20)
    is_((len(set(tokens)), errors), (20, []), "twenty sessions begin at once")
    is_(db.value("SELECT count(*) FROM pynomaly.sessions WHERE is_active"), 5, "five stay")
    token = db.value("SELECT token FROM pynomaly.create_invitation('user2@example', 'viewer', tenant => %s)",
                     [TENANT])
    db.execute("INSERT INTO pynomaly.users (email, username) VALUES ('user2@example', 'user2')")
    accepted, errors = at_once(
        db, [f"SELECT pynomaly.accept_invitation('{token}', id) FROM pynomaly.users WHERE username = 'user2'"] * 10,
        "pynomaly_admin")
    is_((len(accepted), errors), (1, ["28000"] * 9), "an invitation is accepted once")
    is_(db.rows("SELECT problem FROM pynomaly.verify_audit_log()"), [], "the audit log of all that is whole")


with database() as db:
    db.execute("INSERT INTO pynomaly.tenants (id, name, domain) VALUES (%s, 'T', 't')", [TENANT])
    db.execute("INSERT INTO pynomaly.users (id, email, username, password_hash) VALUES (%s, 'user@example', "
               "'user', repeat('0', 32) || ':' || repeat('0', 64))", [USER])
    creators(db)
    no_deadlock(db)
    at_commit(db)
    repair_under_load(db)
    passwords_and_sessions(db)
done()
