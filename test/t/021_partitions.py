"""Months are made and dropped under load: no insert fails, no reader waits long."""
import random
import threading
import time

import psycopg

from servers.harness import *

TENANT = "aaaaaaaa-0000-4000-8000-00000000000a"
PARENTS = ("detection_results", "anomalies")
LOAD_SECONDS = 8
LONGEST_READ = 1.5                      # seconds, on a machine that does more


def set_up(db):
    """A tenant with what a result needs."""
    db.execute("INSERT INTO pynomaly.tenants (id, name, plan) VALUES (%s, 'a', 'enterprise')",
               (TENANT,))
    for table, more in (("datasets", ""), ("detectors", ", algorithm_name")):
        db.execute(f"INSERT INTO pynomaly.{table} (tenant_id, id, name{more}) "
                   f"VALUES (%s, %s, 'x'{more and chr(44) + repr('LOF')})", (TENANT, TENANT))


def insert_result(connection, when):
    """Insert a result with an anomaly; when is an expression of SQL."""
    connection.execute(
        "WITH r AS (INSERT INTO pynomaly.detection_results "
        "(tenant_id, dataset_id, detector_id, scores, labels, created_at) "
        f"VALUES (%(t)s, %(t)s, %(t)s, '{{0.1,0.9}}', '{{0,1}}', {when}) RETURNING *) "
        "INSERT INTO pynomaly.anomalies (tenant_id, result_id, result_created_at, score) "
        "SELECT tenant_id, id, created_at, 0.9 FROM r", {"t": TENANT})


def months(db, parent):
    """Return the months of a table's partitions, as text."""
    return {str(month)[:7] for month, in db.rows(
        "SELECT month FROM pynomaly.partitions WHERE parent = %s AND month IS NOT NULL",
        (parent,))}


def expected_months(db, first, last):
    """Return the months from some before the present one to some after it."""
    return {str(month)[:7] for month, in db.rows(
        "SELECT generate_series(date_trunc('month', now() AT TIME ZONE 'UTC') "
        "+ make_interval(months => %s), date_trunc('month', now() AT TIME ZONE 'UTC') "
        "+ make_interval(months => %s), '1 month')::date", (first, last))}


def places(db, parent="detection_results"):
    """Return how many rows stand in each partition."""
    return dict(db.rows(f"SELECT tableoid::regclass::text, count(*) FROM pynomaly.{parent} "
                        "GROUP BY 1"))


def any_date(db):
    """A row of any date finds a place, and then its month."""
    for parent in PARENTS:
        is_(months(db, parent), expected_months(db, 0, 3), f"{parent} has its first months")
    for when in ("now()", "now() + interval '3 months'", "now() + interval '5 months'",
                 "now() - interval '2 years'", "'infinity'", "'-infinity'", "'0044-03-15 BC'",
                 "'9999-12-31'", "'294276-12-31'", "'1815-12-10'"):
        insert_result(db, when)
    is_(places(db).get("pynomaly.detection_results_default"), 8,
        "what has no month goes into the default partition")
    db.execute("CALL pynomaly.maintain_partitions()")
    is_(places(db), {**{name: 1 for name in places(db)},
                     "pynomaly.detection_results_default": 7},
        "then those of reasonable months into theirs")
    is_({name.replace("anomalies", "detection_results"): count
         for name, count in places(db, "anomalies").items()}, places(db),
        "and with them their anomalies")
    is_(months(db, "detection_results"), expected_months(db, 0, 3) |
        expected_months(db, -24, -24), "no other month was made")
    before = db.rows("SELECT * FROM pynomaly.partitions ORDER BY 1, 2")
    db.execute("CALL pynomaly.maintain_partitions()")
    is_([row[:3] for row in db.rows("SELECT * FROM pynomaly.partitions ORDER BY 1, 2")],
        [row[:3] for row in before], "a second call finds nothing to do")
    is_(db.value("SELECT count(*) FROM pynomaly.anomalies a WHERE NOT EXISTS (SELECT FROM "
                 "pynomaly.detection_results r WHERE r.tenant_id = a.tenant_id AND "
                 "r.id = a.result_id AND r.created_at = a.result_created_at)"), 0,
        "no anomaly has lost its result")
    is_(db.rows("SELECT c.conrelid::regclass::text FROM pg_constraint c JOIN pg_class p "
                "ON p.oid = c.conrelid WHERE c.contype = 'f' AND p.relname LIKE 'anomalies\\_%' "
                "AND conparentid = 0 AND confrelid::regclass::text <> "
                "replace(conrelid::regclass::text, 'anomalies', 'detection_results')"), [],
        "each partition's foreign key names the results of its month")
    throws(lambda: db.execute(
        "INSERT INTO pynomaly.anomalies (tenant_id, result_id, result_created_at, score) "
        "VALUES (%s, gen_random_uuid(), now() - interval '2 years', 1)", (TENANT,)), "23503",
           "an anomaly without a result is refused in a month that was made later")


def moving_a_result(db):
    """A result does not leave its anomalies behind."""
    before = db.rows("SELECT a::text FROM pynomaly.anomalies a ORDER BY id")
    for change in ("+ interval '1 month'", "+ interval '1 second'"):
        throws(lambda: db.execute("UPDATE pynomaly.detection_results SET created_at = "
                                  f"created_at {change} WHERE isfinite(created_at)"), "0A000",
               f"a result keeps its time ({change})")
    db.execute("UPDATE pynomaly.detection_results SET created_at = created_at, threshold = 0.7")
    ok(db.rows("SELECT a::text FROM pynomaly.anomalies a ORDER BY id") == before,
       "all anomalies are there")


def retention(db):
    """What is older than it is kept goes, with its anomalies; nothing else does."""
    db.execute("INSERT INTO pynomaly.partition_rules VALUES ('detection_results', 3, '1 year')")
    for when in ("now() - interval '11 months'", "now() - interval '14 months'"):
        insert_result(db, when)
    kept = db.rows("SELECT id FROM pynomaly.detection_results WHERE created_at >= "
                   "date_trunc('month', now() - interval '1 year', 'UTC') ORDER BY 1")
    db.execute("CALL pynomaly.maintain_partitions()")
    is_(db.rows("SELECT id FROM pynomaly.detection_results ORDER BY 1"), kept,
        "older rows are gone, of the default partition too, the others are not")
    is_(db.value("SELECT count(*) FROM pynomaly.anomalies"), len(kept),
        "their anomalies alike")
    for parent in PARENTS:
        is_(months(db, parent), expected_months(db, 0, 3) | expected_months(db, -11, -11),
            f"the months of {parent} are gone")
    is_(db.value("SELECT count(*) FROM pg_class WHERE relname ~ '^(detection_results|anomalies)"
                 "_[0-9]{4}_[0-9]{2}$' AND NOT relispartition"), 0, "and their tables")
    db.execute("DELETE FROM pynomaly.partition_rules")
    throws(lambda: db.execute("INSERT INTO pynomaly.partition_rules VALUES ('anomalies')"),
           "23514", "anomalies goes with detection_results")
    throws(lambda: db.execute("INSERT INTO pynomaly.partition_rules VALUES "
                              "('detection_results', 3, '1 day')"), "23514",
           "less than a month is not kept apart")


def who(db):
    """pynomaly_admin may call it, and not within a transaction."""
    for role, state in (("pynomaly_app", "42501"), ("pynomaly_readonly", "42501")):
        db.execute(f"SET ROLE {role}")
        throws(lambda: db.execute("CALL pynomaly.maintain_partitions()"), state,
               f"{role} may not maintain partitions")
        throws(lambda: db.execute("SELECT pynomaly.do_partition_step()"), state, "nor one step")
    db.execute("SET ROLE pynomaly_admin")
    db.execute("UPDATE pynomaly.partition_rules SET months_ahead = 3")
    db.execute("CALL pynomaly.maintain_partitions()")
    ok(True, "pynomaly_admin may")
    db.execute("RESET ROLE; CREATE SCHEMA hostile; CREATE FUNCTION hostile.do_partition_step() "
               "RETURNS boolean LANGUAGE sql AS 'SELECT 1 / 0 = 0'")
    db.execute("SET search_path = hostile, pg_catalog")
    db.execute("CALL pynomaly.maintain_partitions()")
    ok(True, "with any search_path")
    db.execute("RESET search_path; SET client_min_messages = warning; "
               "DROP SCHEMA hostile CASCADE")


class Load:
    """Threads that write and read until they are stopped."""

    def __init__(self, db):
        self.db = db
        self.stopping = threading.Event()
        self.errors = []
        self.inserted = 0
        self.reads = []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.guard, args=(run, number), daemon=True)
                        for number, run in enumerate([self.write] * 4 + [self.read] * 2)]
        for thread in self.threads:
            thread.start()

    def guard(self, run, number):
        """Run until told to stop; note what goes wrong."""
        with psycopg.connect(dbname=self.db.name, autocommit=True) as connection:
            connection.execute("SET ROLE pynomaly_app")
            connection.execute("SELECT pynomaly.set_tenant(%s, false)", (TENANT,))
            choose = random.Random(number)
            while not self.stopping.is_set():
                try:
                    run(connection, choose)
                except psycopg.Error as error:
                    self.errors.append(f"{run.__name__}: {error}")

    def write(self, connection, choose):
        """Insert results of all months in one transaction, as a platform would."""
        count = choose.randint(1, 3)
        with connection.transaction():
            connection.execute("UPDATE pynomaly.datasets SET n_samples = %s",
                               (choose.randint(0, 9),)) if choose.random() < 0.1 else None
            # In order: the counter of a tenant's detections of a month stays
            # locked until the transaction ends.
            for month in sorted(choose.randint(-9, 22) for _ in range(count)):
                insert_result(connection, f"now() + interval '{month} months' "
                              f"+ interval '{choose.random():.6f} seconds'")
        with self.lock:
            self.inserted += count

    def read(self, connection, choose):
        """Read all months, or one; note how long it took."""
        began = time.monotonic()
        connection.execute("SELECT count(*) FROM pynomaly.detection_results"
                           if choose.random() < 0.5 else
                           "SELECT count(*) FROM pynomaly.anomalies WHERE "
                           "result_created_at > now()")
        with self.lock:
            self.reads.append(time.monotonic() - began)
        time.sleep(0.005)

    def stop(self):
        """Stop all threads."""
        self.stopping.set()
        for thread in self.threads:
            thread.join(30)


def under_load(db):
    """Months are made and dropped while others write to them, and read."""
    db.execute("DELETE FROM pynomaly.detection_results")
    db.execute("INSERT INTO pynomaly.partition_rules VALUES ('detection_results', 3, NULL)")
    before = db.value("SELECT count(*) FROM pynomaly.detection_results")
    load = Load(db)
    made = []
    end = time.monotonic() + LOAD_SECONDS
    ahead = 3
    while time.monotonic() < end:
        ahead += 2
        db.execute("UPDATE pynomaly.partition_rules SET months_ahead = %s", (min(ahead, 24),))
        # Two at once: they take turns.
        other = Background(db.connect(), "CALL pynomaly.maintain_partitions()")
        db.execute("CALL pynomaly.maintain_partitions()")
        other.wait()
        made.append(other.error)
        time.sleep(0.3)
    load.stop()
    is_(load.errors, [], "no statement fails while months are made")
    is_([error for error in made if error], [], "two callers take turns")
    ok(load.inserted > 50, "rows were inserted meanwhile", load.inserted)
    is_(db.value("SELECT count(*) FROM pynomaly.detection_results"), before + load.inserted,
        f"all {load.inserted} results are there")
    ok(max(load.reads) < LONGEST_READ, "no reader has waited long",
       f"{max(load.reads):.2f} s of {len(load.reads)} reads")
    note(f"{load.inserted} results, {len(load.reads)} reads, the longest {max(load.reads):.3f} s")
    db.execute("UPDATE pynomaly.partition_rules SET months_ahead = 24")
    db.execute("CALL pynomaly.maintain_partitions()")
    is_(sorted(places(db)), sorted(set(places(db)) - {"pynomaly.detection_results_default"}),
        "none is left in the default partition")
    ok(months(db, "anomalies") >= expected_months(db, -9, 20), "months were made for them all")

    load = Load(db)
    db.execute("UPDATE pynomaly.partition_rules SET keep = '6 months'")
    db.execute("CALL pynomaly.maintain_partitions()")
    time.sleep(1)
    load.stop()
    is_(load.errors, [], "no statement fails while months are dropped")
    ok(max(load.reads) < LONGEST_READ, "nor has a reader waited long",
       f"{max(load.reads):.2f} s of {len(load.reads)} reads")
    ok(not months(db, "detection_results") & expected_months(db, -9, -7), "they are dropped")


def held_up(db):
    """While a transaction is in the way, others are not kept waiting by us."""
    for what, statement in (
            ("a writer", "UPDATE pynomaly.detection_results SET threshold = 1"),
            ("a reader", "SELECT count(*) FROM pynomaly.detection_results")):
        blocker = db.connect(autocommit=False)
        blocker.execute(statement)
        ahead = db.value("UPDATE pynomaly.partition_rules SET keep = NULL, "
                         "months_ahead = months_ahead + 1 RETURNING months_ahead")
        maintain = Background(db.connect(), "CALL pynomaly.maintain_partitions()")
        waits = []
        end = time.monotonic() + 2
        reader = db.connect()
        while time.monotonic() < end:
            began = time.monotonic()
            reader.execute("SELECT count(*) FROM pynomaly.detection_results")
            waits.append(time.monotonic() - began)
            time.sleep(0.01)
        ok(maintain.thread.is_alive(), f"{what} holds maintain_partitions up")
        ok(max(waits) < LONGEST_READ, f"{what} in the way: readers pass",
           f"the longest read took {max(waits):.2f} s")
        blocker.rollback()
        maintain.wait()
        is_(maintain.error, None, f"it goes on when {what} has ended")
        ok(months(db, "detection_results") >= expected_months(db, ahead, ahead),
           "and makes the month")


with database() as test_db:
    set_up(test_db)
    any_date(test_db)
    moving_a_result(test_db)
    retention(test_db)
    who(test_db)
    under_load(test_db)
    held_up(test_db)
done()
