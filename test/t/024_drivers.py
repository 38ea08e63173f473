"""Every table from psycopg and SQLAlchemy: reflected, inserted into, selected from."""
import datetime
import json

import psycopg
import sqlalchemy
from psycopg.types.json import Jsonb
from sqlalchemy.dialects.postgresql import JSONB

from servers import rows
from servers.harness import *

ALPHA = "aaaaaaaa-0000-4000-8000-00000000000a"
BRAVO = "bbbbbbbb-0000-4000-8000-00000000000b"


def role_for(db, table):
    """Return the role that writes a table: the app, the admin, or the owner."""
    return next(role for role in ("pynomaly_app", "pynomaly_admin", "postgres") if db.value(
        "SELECT has_table_privilege(%s, format('pynomaly.%%I', %s::text), 'INSERT')",
        (role, table)))


def tables_with_rows(db, word, tenant):
    """Yield (table, row to insert); what came back has to be sent to it."""
    known = {}
    for oid, name in rows.in_order(db):
        if name not in rows.LOGS:
            word_of = f"common{word[0]}" if name in rows.SHARED else word
            known[name] = yield name, rows.row_of(db, oid, name, word_of, tenant, known)


def each_table(db, word, tenant, insert_and_select):
    """Let a driver insert into each table and select from it, in order."""
    generator = tables_with_rows(db, word, tenant)
    found = None
    tried = 0
    try:
        while True:
            table, row = generator.send(found)
            found, same = insert_and_select(table, row)
            ok(same, f"{table} as {role_for(db, table)}", row, found)
            tried += 1
    except StopIteration:
        is_(tried, len([name for name in rows.tables(db).values() if name not in rows.LOGS]),
            "every table was tried")


def equal(sent, found):
    """Is what was sent found again, whatever its type became?"""
    if isinstance(found, datetime.timedelta):
        return found > datetime.timedelta(0)
    if isinstance(sent, str) and not isinstance(found, str):
        if isinstance(found, (dict, list)):
            return json.loads(sent) == found
        return sent[:10] in str(found)
    if isinstance(sent, str):
        return sent in (found, json.dumps(found))
    if isinstance(sent, list):
        return len(sent) == len(found) and all(map(equal, sent, found))
    return sent == found


def with_psycopg(db, binary):
    """Insert and select with psycopg, text or binary."""
    word, tenant = ("alpha", ALPHA) if binary else ("bravo", BRAVO)
    with psycopg.connect(dbname=db.name, autocommit=True) as connection:
        cursor = connection.cursor(binary=binary, row_factory=psycopg.rows.dict_row)

        def insert_and_select(table, row):
            with connection.transaction():
                cursor.execute(f"SET LOCAL ROLE {role_for(db, table)}")
                if table != "tenants" and role_for(db, table) == "pynomaly_app":
                    cursor.execute("SELECT pynomaly.set_tenant(%s)", (tenant,))
                found = cursor.execute(rows.insert(table, row), list(row.values())).fetchone()
                key = next(name for name in ("id", "key", "name", "parent", "tenant_id", "role",
                                             "resource", *row) if name in found)
                again = cursor.execute(f"SELECT * FROM pynomaly.{table} WHERE {key} = %s",
                                       (found[key],)).fetchall()
            return found, found in again and all(
                equal(value, found[name]) for name, value in row.items()
                if not (table == "anomalies" and name == "severity") and
                not (table == "model_artifacts" and name == "size_bytes") and
                not (table == "detection_results" and name.startswith(
                    ("n_", "score_", "anomaly_", "has_"))))

        each_table(db, word, tenant, insert_and_select)


def big_arrays(db):
    """100,000 scores and labels go in and come back as they were."""
    scores = [number / 7 for number in range(100000)]
    labels = [number % 2 for number in range(100000)]
    with psycopg.connect(dbname=db.name) as connection:
        connection.execute("SET ROLE pynomaly_app")
        connection.execute("SELECT pynomaly.set_tenant(%s)", (ALPHA,))
        found = connection.execute(
            "INSERT INTO pynomaly.detection_results (tenant_id, detector_id, dataset_id, scores, "
            "labels, metadata) SELECT tenant_id, detector_id, dataset_id, %s, %s, %s "
            "FROM pynomaly.detection_results LIMIT 1 RETURNING scores, labels, n_anomalies, "
            "score_max, metadata", (scores, labels, Jsonb({"a": ["é", None, 1.5]}))).fetchone()
        is_(found, (scores, labels, 50000, scores[-1], {"a": ["é", None, 1.5]}),
            "psycopg: 100,000 scores and labels")


def with_sqlalchemy(db):
    """Reflect all, then insert and select by the reflected tables."""
    tenant = "cccccccc-0000-4000-8000-00000000000c"
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(dbname=db.name))
    metadata = sqlalchemy.MetaData(schema="pynomaly")
    metadata.reflect(engine, views=True)
    reflected = {table.name: table for table in metadata.tables.values()}
    names = set(rows.tables(db).values())
    is_(names - set(reflected), set(), "every table is reflected")
    is_([name for name in sorted(names) if not reflected[name].primary_key.columns], [],
        "with its primary key")
    is_([f"{name}.{column.name}" for name in sorted(names)
         for column in reflected[name].columns
         if column.type.__class__.__name__ == "NullType"], [],
        "and every column has a type that SQLAlchemy knows")
    is_(sorted({key.column.table.name for key in reflected["detection_results"].foreign_keys}),
        ["datasets", "detectors", "tenants", "users"], "and its foreign keys")
    views = {name for name, in db.rows(
        "SELECT relname::text FROM pg_class WHERE relkind = 'v' "
        "AND relnamespace = 'pynomaly'::regnamespace")}
    is_(views - set(reflected), set(), "and every view")

    def insert_and_select(name, row):
        table = reflected[name]
        values = {column: json.loads(value) if isinstance(table.c[column].type, JSONB) and
                  isinstance(value, str) else value for column, value in row.items()}
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text(f"SET LOCAL ROLE {role_for(db, name)}"))
            if role_for(db, name) == "pynomaly_app":
                connection.execute(sqlalchemy.select(sqlalchemy.func.pynomaly.set_tenant(
                    sqlalchemy.cast(tenant, sqlalchemy.Uuid))))
            key = connection.execute(sqlalchemy.insert(table).values(values)).inserted_primary_key
            found = connection.execute(sqlalchemy.select(table).where(*[
                column == value for column, value in zip(table.primary_key.columns, key)])).all()
        return found[0]._asdict() if found else {}, len(found) == 1

    each_table(db, "charlie", tenant, insert_and_select)
    with engine.begin() as connection:
        for name in sorted(set(reflected) - {"a_partition_to_restore"}):
            connection.execute(sqlalchemy.select(reflected[name]).limit(1)).all()
        ok(True, "every table, partition and view is selected from")
    engine.dispose()


with database() as test_db:
    for how in (True, False):
        with_psycopg(test_db, how)
    big_arrays(test_db)
    with_sqlalchemy(test_db)
done()
