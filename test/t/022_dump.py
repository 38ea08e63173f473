"""A dump carries every row, sequence, policy and partition, and restores them."""
import os
import subprocess

import psycopg
from psycopg import sql

from servers import rows
from servers.harness import *

ALPHA = "aaaaaaaa-0000-4000-8000-00000000000a"
BRAVO = "bbbbbbbb-0000-4000-8000-00000000000b"

# What a database consists of, beside its rows.
OBJECTS = {
    "partitions": "SELECT i.inhparent::regclass::text, c.relname::text, "
                  "pg_get_expr(c.relpartbound, c.oid) FROM pg_class c "
                  "JOIN pg_inherits i ON i.inhrelid = c.oid "
                  "WHERE c.relkind = 'r' AND c.relnamespace = 'pynomaly'::regnamespace",
    "policies": "SELECT schemaname, tablename, policyname, permissive, roles::text, cmd, "
                "qual, with_check FROM pg_policies",
    "row-level security": "SELECT relname::text, relrowsecurity, relforcerowsecurity "
                          "FROM pg_class WHERE relnamespace = 'pynomaly'::regnamespace "
                          "AND relkind IN ('r', 'p')",
    "privileges": "SELECT c.relname::text, a.grantee::regrole::text, a.privilege_type "
                  "FROM pg_class c, aclexplode(c.relacl) a "
                  "WHERE c.relnamespace = 'pynomaly'::regnamespace",
    "constraints": "SELECT conrelid::regclass::text, conname::text, pg_get_constraintdef(oid) "
                   "FROM pg_constraint WHERE connamespace = 'pynomaly'::regnamespace",
    "indexes": "SELECT indrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index "
               "JOIN pg_class c ON c.oid = indrelid "
               "WHERE c.relnamespace = 'pynomaly'::regnamespace",
    "triggers": "SELECT tgrelid::regclass::text, tgname::text, tgenabled::text, "
                "pg_get_triggerdef(t.oid) FROM pg_trigger t "
                "JOIN pg_class c ON c.oid = tgrelid "
                "WHERE NOT tgisinternal AND c.relnamespace = 'pynomaly'::regnamespace",
    "members": "SELECT i.type, i.identity FROM pg_depend d, "
               "pg_identify_object(d.classid, d.objid, 0) i WHERE d.deptype = 'e'",
    "event triggers": "SELECT evtname::text, evtenabled::text FROM pg_event_trigger",
}


def fill(db):
    """Two tenants, rows of many months, partitions made after the installation."""
    for word, tenant in (("alpha", ALPHA), ("bravo", BRAVO)):
        given = rows.fill(db, word, tenant)
        db.execute("INSERT INTO pynomaly.detection_results (tenant_id, detector_id, dataset_id, "
                   "scores, labels, created_at) SELECT %s, %s, %s, ARRAY[n, n / 7.0, 0.1], "
                   "'{0,1,0}', now() - n * interval '20 days' FROM generate_series(-20, 30) n",
                   (tenant, given["detectors"]["id"], given["datasets"]["id"]))
        db.execute("INSERT INTO pynomaly.detection_results (tenant_id, detector_id, dataset_id, "
                   "scores, created_at) SELECT %s, %s, %s, '{0.5}', t::timestamptz "
                   "FROM unnest('{infinity,-infinity,1815-12-10,5000-01-01}'::text[]) t",
                   (tenant, given["detectors"]["id"], given["datasets"]["id"]))
        db.execute("INSERT INTO pynomaly.anomalies (tenant_id, result_id, result_created_at, "
                   "score, data_point) SELECT tenant_id, id, created_at, 0.8, "
                   "'{\"text\": \"a\\\\tb\\u0001é\"}' FROM pynomaly.detection_results "
                   "WHERE tenant_id = %s AND n_samples = 3", (tenant,))
        # A child that comes before its parent in the table, and refers to it.
        db.execute("WITH child AS (INSERT INTO pynomaly.datasets (tenant_id, name) "
                   "VALUES (%s, 'child') RETURNING *), "
                   "parent AS (INSERT INTO pynomaly.datasets (tenant_id, name) "
                   "VALUES (%s, 'parent') RETURNING *) SELECT", (tenant, tenant))
        db.execute("UPDATE pynomaly.datasets c SET parent_dataset_id = p.id "
                   "FROM pynomaly.datasets p WHERE c.name = 'parent' AND p.name = 'child' "
                   "AND c.tenant_id = p.tenant_id AND c.tenant_id = %s", (tenant,))
    db.execute("INSERT INTO pynomaly.partition_rules VALUES ('detection_results', 6, '10 years')")
    db.execute("CALL pynomaly.maintain_partitions()")


def contents(db):
    """Return every row, by the table and partition that it stands in.

    Shipped rows are made anew, so they tell when that was.
    """
    found = {}
    for name in sorted(rows.tables(db).values()):
        found[name] = db.rows(sql.SQL(
            "SELECT tableoid::regclass::text, CASE WHEN to_jsonb(t) ->> 'is_system' = 'true' "
            "THEN (to_jsonb(t) - 'created_at')::text ELSE t::text END "
            "FROM pynomaly.{} t ORDER BY 1, 2").format(sql.Identifier(name)))
    for name, in db.rows("SELECT relname::text FROM pg_class WHERE relkind = 'S' AND "
                         "relnamespace = 'pynomaly'::regnamespace ORDER BY 1"):
        found[name] = db.rows(sql.SQL("SELECT last_value, is_called FROM pynomaly.{}").format(
            sql.Identifier(name)))
    return found


def objects(db):
    """Return what the database consists of."""
    return {what: sorted(db.rows(query), key=repr) for what, query in OBJECTS.items()}


def run(*command, **options):
    """Run a program of PostgreSQL's; return its status and what it printed."""
    done_ = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    return done_.returncode, done_.stdout


def compare(kept, kept_objects, name, how):
    """What was restored is what was dumped."""
    db = Database(name)
    restored = contents(db)
    is_(sorted(restored), sorted(kept), f"{how}: the tables are there")
    for table, expected in kept.items():
        ok(restored.get(table) == expected, f"{how}: {table}, {len(expected)} rows",
           *differences(restored.get(table) or [], expected))
    now = objects(db)
    for what, expected in kept_objects.items():
        ok(now[what] == expected, f"{how}: {len(expected)} {what}",
           *differences(now[what], expected))
    db.execute("SET ROLE pynomaly_app")
    db.execute("SELECT pynomaly.set_tenant(%s, false)", (ALPHA,))
    is_({str(row[0]) for row in db.rows("SELECT tenant_id FROM pynomaly.detection_results")},
        {ALPHA}, f"{how}: tenants are isolated")
    db.execute("RESET ROLE")
    db.execute("CALL pynomaly.maintain_partitions()")
    ok(contents(db)["detection_results"] == kept["detection_results"],
       f"{how}: nothing is left to be moved")
    db.close()


def differences(got, expected):
    """Yield what is in one list only."""
    for row in [row for row in got if row not in expected][:3]:
        yield f"too much: {str(row)[:300]}"
    for row in [row for row in expected if row not in got][:3]:
        yield f"missing: {str(row)[:300]}"


def by_dump(source, folder, kept, kept_objects, how, dump, restore, **settings):
    """Dump, drop the database, restore, compare; then drop what was restored."""
    target = "restored_" + source
    file = os.path.join(folder, "dump")
    status, output = run("pg_dump", "-d", source, "-f", file, *dump)
    ok(status == 0 and "error" not in output, f"{how}: pg_dump", output)
    with psycopg.connect(autocommit=True) as control:
        control.execute(f"CREATE DATABASE {target} TEMPLATE template0")
        try:
            status, output = run(*restore, "-d", target, *(
                ["-f", file] if restore[0] == "psql" else [file]),
                                 env={**os.environ, **settings})
            ok(status == 0 and "ERROR" not in output, f"{how}: {restore[0]}", output)
            compare(kept, kept_objects, target, how)
        finally:
            control.execute(f"DROP DATABASE {target} WITH (FORCE)")


def without_a_dump(db, kept):
    """DROP is refused with rows there, by whichever way it comes."""
    for command in ("DROP EXTENSION pynomaly_store", "DROP EXTENSION pynomaly_store CASCADE",
                    "DROP SCHEMA pynomaly CASCADE", "DROP EXTENSION plpgsql CASCADE",
                    "DROP LANGUAGE plpgsql CASCADE"):
        with psycopg.connect(dbname=db.name, autocommit=True) as connection:
            # The first command of its session: nothing has loaded the library.
            throws(lambda: connection.execute(command), "2BP01" if "LANGUAGE" in command
                   else "55000", f"{command} is refused")
    with psycopg.connect(dbname=db.name, autocommit=True) as connection:
        throws(lambda: connection.execute("DROP TABLE pynomaly.datasets CASCADE"), "2BP01",
               "a table is a member of the extension")
        throws(lambda: connection.execute("DROP TABLE pynomaly.detection_results_default"),
               "2BP01", "and so is a partition")
        connection.execute("SET session_replication_role = replica")
        throws(lambda: connection.execute("DROP EXTENSION pynomaly_store"), "55000",
               "also for a replica")
    ok(contents(db) == kept, "nothing has changed")


def dropping(db):
    """DROP goes where it is allowed, and where there is nothing to lose."""
    db.execute("BEGIN")
    db.execute("SET LOCAL pynomaly_store.allow_drop = on")
    db.execute("DROP EXTENSION pynomaly_store")
    is_(db.value("SELECT count(*) FROM pg_class WHERE relnamespace = "
                 "to_regnamespace('pynomaly')"), 0, "allow_drop lets the extension go")
    db.execute("ROLLBACK")
    throws(lambda: db.execute("DROP EXTENSION pynomaly_store"), "55000",
           "but only where it is on")
    with database() as empty:
        empty.execute("DROP EXTENSION pynomaly_store")
        empty.execute("CREATE EXTENSION pynomaly_store")
        empty.execute("DROP SCHEMA pynomaly CASCADE")
        ok(True, "a store without rows may be dropped")
        empty.execute("CREATE EXTENSION pynomaly_store")
        # As a replica, so that the audit log stays empty.
        empty.execute("SET session_replication_role = replica")
        empty.execute("INSERT INTO pynomaly.roles (name) VALUES ('mine')")
        throws(lambda: empty.execute("DROP EXTENSION pynomaly_store"), "55000",
               "a row beside those that are shipped counts",
               message="pynomaly.roles", hint="allow_drop")
        empty.execute("DELETE FROM pynomaly.roles WHERE name = 'mine'")
        # What can be found again does not count.
        empty.execute("INSERT INTO pynomaly.remote_indexes VALUES (1, 'i', '{}', '{}', false)")
        empty.execute("DROP EXTENSION pynomaly_store")
        empty.execute("CREATE EXTENSION pynomaly_store")
        # A partition that is not registered for pg_dump, its rows are.
        tenant = empty.value("SELECT gen_random_uuid()")
        empty.execute("INSERT INTO pynomaly.detection_results (tenant_id, detector_id, "
                      "dataset_id, n_samples, has_confidence_intervals) VALUES "
                      "(%s, %s, %s, 0, false)", (tenant,) * 3)
        throws(lambda: empty.execute("DROP EXTENSION pynomaly_store"), "55000",
               "a row of a partition counts", message="pynomaly.detection_results_2")


with database() as source_db:
    fill(source_db)
    all_rows, all_objects = contents(source_db), objects(source_db)
    ok(all(all_rows[name] for name in rows.tables(source_db).values()
           if name not in rows.LOGS), "every table has rows",
       [name for name, found in all_rows.items() if not found])
    ok(len({row[0] for row in all_rows["detection_results"]}) > 20, "of many partitions")
    without_a_dump(source_db, all_rows)
    dump_folder = os.environ.get("TMPDIR", "/tmp")
    by_dump(source_db.name, dump_folder, all_rows, all_objects, "custom format",
            ["-Fc"], ["pg_restore", "--exit-on-error"])
    by_dump(source_db.name, dump_folder, all_rows, all_objects, "in parallel",
            ["-Fc"], ["pg_restore", "--exit-on-error", "--jobs=3"],
            PGOPTIONS="-c session_replication_role=replica")
    by_dump(source_db.name, dump_folder, all_rows, all_objects, "SQL script",
            [], ["psql", "-qX", "-v", "ON_ERROR_STOP=1"])
    by_dump(source_db.name, dump_folder, all_rows, all_objects, "inserts",
            ["--rows-per-insert=1000"], ["psql", "-qX", "-v", "ON_ERROR_STOP=1"])
    dropping(source_db)
done()
