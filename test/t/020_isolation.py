"""Nobody reads, changes, counts or guesses another tenant's rows.

Every table, view and function of the schema is found in the catalog, so one that
is added later is tested without anybody's doing.
"""
import contextlib
import itertools
import os
import re
import secrets

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from servers import rows
from servers.harness import *

ALPHA = "aaaaaaaa-0000-4000-8000-00000000000a"
BRAVO = "bbbbbbbb-0000-4000-8000-00000000000b"
NOBODY = "cccccccc-0000-4000-8000-00000000000c"
WORD = "bravo-"                         # begins every text of the other tenant

# Run with the search_path of their caller, for the reason that stands there.
WITHOUT_SEARCH_PATH = {"maintain_partitions", "current_tenant", "record_change",
                       "audit_month", "apply_outbox", "find_documents",
                       "aggregate_documents"}


# What these answer depends on their arguments alone.
PURE = {"id_prefix_range", "hash_token", "parse_time"}


class Tenants:
    """A database with two tenants' rows, and how to act as a role in it."""

    def __init__(self, db):
        self.db = db
        self.alpha = rows.fill(db, "alpha", ALPHA)
        self.bravo = rows.fill(db, "bravo", BRAVO)
        self.tables = sorted(rows.tables(db).values())
        self.owned = [name for name in self.tables if name not in rows.SHARED]

    def tenant_column(self, table):
        """Return the column that has the tenant's id, None for users."""
        return {"tenants": "id", "users": None}.get(table, "tenant_id")

    @contextlib.contextmanager
    def role(self, name, tenant=ALPHA):
        """Act as a role, for a tenant; whatever is done is undone."""
        with self.db.main.transaction(force_rollback=True):
            self.db.execute("SELECT set_config('pynomaly_store.tenant', %s, true)",
                            (tenant or "",))
            self.db.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(name)))
            yield

    def attempt(self, command, parameters=None):
        """Return (SQLSTATE, message, rows changed or returned) of a command."""
        try:
            with self.db.main.transaction():
                cursor = self.db.execute(command, parameters)
                found = cursor.fetchall() if cursor.description else []
                return "00000", "", max(cursor.rowcount, 0), found
        except psycopg.Error as error:
            diagnostics = error.diag
            return (error.sqlstate, f"{diagnostics.message_primary}\n"
                    f"{diagnostics.message_detail}\n{diagnostics.context}", 0, [])

    def others(self):
        """Return a fingerprint of all that belongs to the other tenant."""
        self.db.execute("RESET ROLE")
        return {table: self.db.value(sql.SQL(
            "SELECT md5(string_agg(t::text, E'\\n' ORDER BY t::text)) "
            "FROM pynomaly.{} t WHERE {} = {}").format(
                sql.Identifier(table),
                sql.Identifier(self.tenant_column(table) or "id"),
                sql.Literal(BRAVO if table != "users" else self.bravo["users"]["id"])))
            for table in self.owned}


# ---------- what the catalog says ----------

def catalog(db, t):
    """Each object is made as it should be."""
    is_([name for name in rows.SHARED if name not in t.tables], [],
        "the tables that are said to have no tenant are there")
    is_(db.rows("""
        SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity, count(p.oid)
        FROM pg_class c LEFT JOIN pg_policy p ON p.polrelid = c.oid
        WHERE c.relnamespace = 'pynomaly'::regnamespace AND c.relkind IN ('r', 'p')
          AND c.relname <> ALL (%s)
          AND c.oid IN (SELECT objid FROM pg_depend WHERE deptype = 'e')
        GROUP BY 1, 2, 3
        HAVING NOT (relrowsecurity AND relforcerowsecurity AND count(p.oid) = 2)""",
                (list(rows.SHARED | rows.LEFT_OUT),)), [],
        "every table and partition of a tenant's rows has forced row-level security")
    is_(db.rows("""
        SELECT c.relname, a.grantee::regrole, a.privilege_type
        FROM pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a
        WHERE c.relnamespace = 'pynomaly'::regnamespace AND c.relkind IN ('r', 'p')
          AND a.grantee <> c.relowner
          AND (a.privilege_type NOT IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
               OR a.grantee = 0 OR c.relispartition OR a.is_grantable)"""), [],
        "nobody has TRUNCATE, REFERENCES or TRIGGER, nor a partition, PUBLIC nothing")
    is_(db.rows("""
        SELECT c.relname, a.privilege_type
        FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.relnamespace = 'pynomaly'::regnamespace
          AND a.grantee = 'pynomaly_readonly'::regrole AND a.privilege_type <> 'SELECT'
          AND c.relkind <> 'S'"""), [], "pynomaly_readonly may read only")
    is_(db.rows("""
        SELECT c.relname FROM pg_class c
        WHERE c.relnamespace = 'pynomaly'::regnamespace AND c.relkind IN ('v', 'm')
          AND NOT coalesce('security_invoker=true' = ANY (c.reloptions)
                           OR 'security_invoker=on' = ANY (c.reloptions), false)"""),
        [], "every view runs with its caller's rights")
    is_(db.rows("""
        SELECT p.oid::regprocedure
        FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
        WHERE p.pronamespace = 'pynomaly'::regnamespace
          AND p.proname <> ALL (%s) AND p.proname NOT LIKE 'objectid%%'
          AND p.prosqlbody IS NULL
          AND NOT coalesce(p.proconfig::text LIKE
                           '%%search_path=pg_catalog, pg_temp%%', false)""",
                (list(WITHOUT_SEARCH_PATH),)), [],
        "every function has a fixed search_path, or names that are resolved")
    with open(os.path.join(os.path.dirname(__file__), "../../docs/store.md"),
              encoding="utf-8") as guide:
        diagram = set(re.findall("[a-z_]+", guide.read().split("```")[1]))
    is_(sorted(set(t.tables) - diagram), [], "every table is in the guide's diagram")
    is_(db.rows("""
        SELECT pg_describe_object(d.classid, d.objid, 0) FROM pg_depend d
        JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pynomaly_store'
        WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
          AND obj_description(d.objid, d.classid::regclass::name) IS NULL"""), [],
        "every object of the extension has a comment")
    is_(db.rows("""
        SELECT p.oid::regprocedure
        FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
        WHERE p.pronamespace = 'pynomaly'::regnamespace AND a.grantee = 0
          AND (p.prosecdef OR p.provolatile = 'v' OR p.proretset)"""), [],
        "PUBLIC may run nothing that writes, returns rows or has its owner's rights")
    is_(db.rows("""
        SELECT i.indexrelid::regclass FROM pg_index i
        JOIN pg_class c ON c.oid = i.indrelid
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
        WHERE c.relnamespace = 'pynomaly'::regnamespace AND i.indisunique
          AND i.indkey[0] <> a.attnum AND c.relname NOT IN ('sessions', 'security_events')
          AND c.relname NOT LIKE 'audit\_log%'
          AND pg_get_indexdef(i.indexrelid) NOT LIKE '%(token_hash)'"""),
        [], "every key of a tenant's table begins with the tenant, but what nobody guesses")
    is_(db.rows("""
        SELECT k.conrelid::regclass, k.conname FROM pg_constraint k
        JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attname = 'tenant_id'
        WHERE k.contype = 'f' AND k.confrelid IN
              (SELECT oid FROM pg_class WHERE relnamespace = 'pynomaly'::regnamespace)
          AND NOT a.attnum = ANY (k.confkey)"""), [],
        "every foreign key to a tenant's table names the tenant")


# ---------- rows, as each role ----------

def reading(t, role, tenant):
    """A role sees the rows of the current tenant, and no others."""
    for table in t.owned:
        column = t.tenant_column(table)
        with t.role(role, tenant):
            query = sql.SQL("SELECT {} FROM pynomaly.{}").format(
                sql.Identifier(column or "id"), sql.Identifier(table))
            state, message, _, found = t.attempt(query)
            seen = {str(row[0]) for row in found}
            if table == "users":
                expected = {str(t.alpha["users"]["id"])}
            else:
                expected = {ALPHA}
            if state == "42501":
                ok(role == "pynomaly_readonly", f"{role} may not read {table}", message)
            else:
                is_(seen, expected if tenant else set(),
                    f"{role} with {tenant or 'no tenant'} reads {table}")
            if state == "00000" and tenant:
                counted = t.attempt(sql.SQL(
                    "SELECT count(*), count({}) FROM pynomaly.{}").format(
                        sql.Identifier(column or "id"), sql.Identifier(table)))[3]
                is_(counted, [(len(found),) * 2], f"{role} counts {table}")
                state, _, _, system = t.attempt(sql.SQL(
                    "SELECT tableoid, ctid FROM pynomaly.{} WHERE tableoid <> 0").format(
                        sql.Identifier(table)))
                ok(state == "42501" or len(system) == len(found),
                   f"{role} finds as many by system columns in {table}", system)
                copied = copy_out(t, table, column or "id")
                ok(not any(BRAVO in line for line in copied) and
                   len(copied) == len(found), f"{role} copies {table} out", copied)


def copy_out(t, table, column):
    """Return the lines of COPY TO."""
    with t.db.main.cursor() as cursor, cursor.copy(sql.SQL(
            "COPY (SELECT {} FROM pynomaly.{}) TO STDOUT").format(
                sql.Identifier(column), sql.Identifier(table))) as copy:
        return b"".join(bytes(part) for part in copy).decode().splitlines()


def writing(t, role):
    """A role changes no row of another tenant, and moves none of its own."""
    before = t.others()
    for table in t.owned:
        column = t.tenant_column(table)
        name = sql.Identifier(table)
        key = sql.Identifier(column or "id")
        with t.role(role):
            changed = t.attempt(sql.SQL("UPDATE pynomaly.{} SET {k} = {k}").format(
                name, k=key))
            mine = t.attempt(sql.SQL("SELECT {} FROM pynomaly.{}").format(key, name))
            ok(changed[0] != "00000" or changed[2] == mine[2],
               f"{role} updates its own rows of {table} at most", changed)
            if column:
                moved = t.attempt(sql.SQL("UPDATE pynomaly.{} SET {} = {}").format(
                    name, key, sql.Literal(BRAVO)))
                ok(moved[0] == "42501", f"{role} moves no row of {table}", moved)
            t.attempt(sql.SQL("DELETE FROM pynomaly.{}").format(name))
            is_(t.others(), before, f"{role} deletes none of others' rows of {table}")
        with t.role(role):
            is_(t.attempt(sql.SQL("TRUNCATE pynomaly.{}").format(name))[0], "42501",
                f"{role} may not truncate {table}")
            copied = t.attempt(sql.SQL("COPY pynomaly.{} FROM STDIN").format(name))
            ok(copied[0] in ("0A000", "42501"), f"nor copy rows into {table}", copied)


def inserting(t, role):
    """A row for another tenant is refused alike, whatever is there already."""
    for table in t.owned:
        column = t.tenant_column(table)
        if not column:
            continue
        taken = t.db.value(sql.SQL("SELECT to_jsonb(x) FROM pynomaly.{} x WHERE {} = {}").format(
            sql.Identifier(table), sql.Identifier(column), sql.Literal(BRAVO)))
        free = {**taken, **{name: NOBODY for name in ("id", "dataset_id") if name in taken}}
        command = insert_record(t.db, table)
        results = []
        for row in (taken, free):
            with t.role(role):
                results.append(t.attempt(command, (Jsonb(row),)))
        is_([result[0] for result in results], ["42501"] * 2,
            f"{role} inserts no row of another tenant into {table}")
        is_(results[0][1], results[1][1], "and the error does not tell whether it is there")
        with t.role(role):
            is_(t.attempt(command + sql.SQL(" ON CONFLICT DO NOTHING"), (Jsonb(taken),))[0],
                "42501", f"nor with ON CONFLICT into {table}")


def insert_record(db, table):
    """Return an INSERT of a row given as jsonb."""
    columns = sql.SQL(", ").join(sql.Identifier(name) for name, in db.rows(
        "SELECT attname FROM pg_attribute WHERE attnum > 0 AND attgenerated = '' "
        "AND NOT attisdropped AND attrelid = format('pynomaly.%%I', %s::text)::regclass",
        (table,)))
    return sql.SQL("INSERT INTO pynomaly.{t} ({c}) SELECT {c} FROM "
                   "jsonb_populate_record(NULL::pynomaly.{t}, %s)").format(
                       t=sql.Identifier(table), c=columns)


def foreign_keys(t):
    """A key that another tenant has is as unknown as one that nobody has.

    As pynomaly_app: pynomaly_readonly writes nothing, pynomaly_admin knows all.
    """
    tried = 0
    for oid, table in rows.tables(t.db).items():
        if table not in t.owned or table == "users":
            continue
        for columns, there, _ in rows.references(t.db, oid):
            if there in rows.SHARED or there == "tenants":
                continue
            column = columns[-1] if columns[0] != "tenant_id" else columns[1]
            results = []
            for value in (t.bravo[there]["id"], NOBODY):
                with t.role("pynomaly_app"):
                    results.append(t.attempt(sql.SQL(
                        "UPDATE pynomaly.{} SET {} = {}").format(
                            sql.Identifier(table), sql.Identifier(column),
                            sql.Literal(str(value)))))
            messages = [re.sub("[0-9a-f]{8}-[0-9a-f-]{27}", "ID", result[1])
                        for result in results]
            tried += 1
            ok(results[0][0] == results[1][0] in ("23503", "42501") and
               messages[0] == messages[1],
               f"{table} ({column}) does not find another tenant's {there}", *results)
            if there == "users":
                naming_users(t, table, column)
    ok(tried > 10, "foreign keys were tried", tried)


def naming_users(t, table, column):
    """A new row names a user of the tenant, and no other one."""
    name = t.db.value("SELECT format('pynomaly.%%I', %s::text)", (table,))
    if not t.db.value("SELECT has_table_privilege('pynomaly_app', %s, 'INSERT')", (name,)):
        return
    with t.role("pynomaly_app"):
        row = {"tenant_id": ALPHA}
        row.update(t.db.value(f"SELECT to_jsonb(x) FROM {name} x LIMIT 1"))
    row.pop("external_id", None)
    command = insert_record(t.db, table)
    results = {}
    for user in (t.alpha["users"]["id"], t.bravo["users"]["id"], NOBODY):
        with t.role("pynomaly_app"):
            results[str(user)] = t.attempt(command, (Jsonb(
                {**row, "id": secrets.token_hex(16), column: str(user)}),))
    states = [result[0] for result in results.values()]
    is_(states, ["00000", "23503", "23503"], f"{table} ({column}) names own users only")
    messages = {result[1].replace(user, "ID") for user, result in results.items()
                if result[0] != "00000"}
    is_(len(messages), 1, f"the error tells nothing, {messages}")


def partitions(t):
    """A partition by its own name is closed, and filtered where it is opened."""
    names = [name for name, in t.db.rows(
        "SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r' "
        "AND relnamespace = 'pynomaly'::regnamespace ORDER BY 1")]
    ok(len(names) > 5, "there are partitions", names)
    for name, role in itertools.product(names, ("pynomaly_app", "pynomaly_admin")):
        with t.role(role):
            is_(t.attempt(sql.SQL("SELECT FROM pynomaly.{}").format(
                sql.Identifier(name)))[0], "42501", f"{role} does not read {name}")
    seen = set()
    for name in names:
        with t.db.main.transaction(force_rollback=True):
            t.db.execute(sql.SQL("GRANT SELECT, INSERT ON pynomaly.{} TO pynomaly_app").format(
                sql.Identifier(name)))
            with t.role("pynomaly_app"):
                seen |= {str(row[0]) for row in t.attempt(sql.SQL(
                    "SELECT tenant_id FROM pynomaly.{}").format(sql.Identifier(name)))[3]}
            with t.role("pynomaly_app", tenant=None):
                is_(t.attempt(sql.SQL("SELECT FROM pynomaly.{}").format(
                    sql.Identifier(name)))[2], 0, f"{name} is empty without a tenant")
    is_(seen, {ALPHA}, "with a privilege on them, partitions show the tenant's rows only")


def leaky_functions(t):
    """A cheap function that tells what it sees is not shown others' rows."""
    notices = []
    t.db.main.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    t.db.execute("CREATE FUNCTION public.tell(text) RETURNS boolean LANGUAGE plpgsql "
                 "COST 0.000001 AS $$ BEGIN RAISE NOTICE 'told %', $1; RETURN true; END $$")
    for table in t.owned:
        with t.role("pynomaly_app"):
            t.attempt(sql.SQL("SELECT FROM pynomaly.{} x WHERE tell(x.{}::text)").format(
                sql.Identifier(table), sql.Identifier(t.tenant_column(table) or "id")))
    t.db.execute("DROP FUNCTION public.tell(text)")
    ok(any(ALPHA in notice for notice in notices), "it tells what it sees", notices)
    is_([notice for notice in notices
         if BRAVO in notice or str(t.bravo["users"]["id"]) in notice], [],
        "and that is the tenant's rows")


def estimates(t):
    """EXPLAIN does not know more of another tenant than of one that is not."""
    db = t.db
    db.execute("INSERT INTO pynomaly.detectors (tenant_id, name, algorithm_name) "
               "SELECT %s, 'bravo-secret', 'LOF' FROM generate_series(1, 5000)", (BRAVO,))
    db.execute("INSERT INTO pynomaly.detection_results (tenant_id, detector_id, dataset_id, "
               "labels, scores) SELECT %s, %s, %s, '{0}', '{0.5}' "
               "FROM generate_series(1, 5000)",
               (BRAVO, t.bravo["detectors"]["id"], t.bravo["datasets"]["id"]))
    db.execute("ANALYZE")
    for query, known, unknown in (
            ("detectors", "", ""), ("detection_results", "", ""),
            ("detectors WHERE tenant_id = '{}'", BRAVO, NOBODY),
            ("detectors WHERE tenant_id > '{}'", BRAVO, NOBODY),
            ("detection_results WHERE tenant_id = '{}'", BRAVO, NOBODY),
            ("detection_results WHERE detector_id = '{}'",
             str(t.bravo["detectors"]["id"]), NOBODY),
            ("detectors WHERE name = '{}'", "bravo-secret", "bravo-sekret"),
            ("detectors WHERE name LIKE '{}%%'", "bravo-secret", "bravo-sekret"),
            ("detectors WHERE name || '' = '{}'", "bravo-secret", "bravo-sekret"),
            ("detectors JOIN pynomaly.datasets d USING (name) WHERE name = '{}'",
             "bravo-secret", "bravo-sekret"),
            ("users WHERE email = '{}'", "bravo-email", "bravo-emajl")):
        what = "id" if query.startswith("users") else "*"
        # A new connection each: the first query of a session tells no more.
        plans = [plan(t, f"SELECT {what} FROM pynomaly." + query.format(value))
                 for value in (known, unknown)]
        is_(plans[0].replace(known or "?", "X"), plans[1].replace(unknown or "?", "X"),
            f"EXPLAIN of {query} does not know {known}")
    with t.role("pynomaly_app"):
        is_(db.rows("SELECT tablename FROM pg_stats WHERE schemaname = 'pynomaly' AND "
                    "tablename IN ('detectors', 'detection_results')"), [],
            "pg_stats shows no column")
    own = plan(t, "SELECT * FROM pynomaly.detectors", BRAVO)
    ok(int(re.search(r"rows=(\d+)", own)[1]) > 4000, "a tenant's own rows are estimated right",
       own)
    db.execute("DELETE FROM pynomaly.detection_results WHERE scores = '{0.5}'")
    db.execute("DELETE FROM pynomaly.detectors WHERE name = 'bravo-secret'")
    db.execute("VACUUM ANALYZE")


def plan(t, query, tenant=ALPHA):
    """Return the plan of a new session's first query."""
    with psycopg.connect(dbname=t.db.name, autocommit=True) as connection:
        connection.execute("SET ROLE pynomaly_app")
        connection.execute(f"SET pynomaly_store.tenant = '{tenant}'")
        return "\n".join(row[0] for row in connection.execute("EXPLAIN " + query))


def wasted_rows(t):
    """EXPLAIN ANALYZE does not count others' rows by an index."""
    with t.role("pynomaly_app"):
        t.db.execute("SET LOCAL enable_seqscan = off")
        for condition in (f"tenant_id = '{BRAVO}'", f"user_id = '{t.bravo['users']['id']}'"):
            text = t.db.explain("SELECT FROM pynomaly.user_tenant_roles "
                                f"WHERE {condition}", "ANALYZE, COSTS OFF, TIMING OFF")
            ok("Removed" not in text, f"no row is found in vain where {condition[:9]}", text)


# ---------- views and functions ----------

def views(t):
    """A view shows what its tables show."""
    for name, in t.db.rows("SELECT relname FROM pg_class WHERE relkind IN ('v', 'm') "
                           "AND relnamespace = 'pynomaly'::regnamespace ORDER BY 1"):
        for role in ("pynomaly_app", "pynomaly_readonly"):
            with t.role(role):
                state, message, _, found = t.attempt(
                    sql.SQL("SELECT v::text FROM pynomaly.{} v").format(sql.Identifier(name)))
                text = "\n".join(row[0] for row in found) + message
                ok(WORD not in text and BRAVO not in text and state in ("00000", "42501"),
                   f"{role} sees nothing of another tenant in {name}", state, text)


def functions(t, role):
    """No function shows or changes what belongs to another tenant.

    Nor does it say of another tenant's id anything but what it says of an id that
    nobody has.
    """
    found = t.db.rows("""
        SELECT p.oid::regprocedure::text, p.proname::text, p.prokind::text,
               p.provolatile = 'v',
               ARRAY(SELECT format_type(type, NULL) FROM unnest(p.proargtypes) AS type)
        FROM pg_proc p
        WHERE p.pronamespace = 'pynomaly'::regnamespace AND p.prokind IN ('f', 'p')
          AND has_function_privilege(%s, p.oid, 'EXECUTE')
          AND NOT (ARRAY['internal', 'cstring']::regtype[] && p.proargtypes::oid[]::regtype[])
          AND p.prorettype <> ALL (ARRAY['trigger', 'event_trigger']::regtype[])
        ORDER BY 1""", (role,))
    before = t.others()
    ids = {str(row["id"]) for row in t.bravo.values() if "id" in row} | {BRAVO}
    calls = compared = 0
    for signature, name, kind, volatile, types in found:
        if name in ("set_tenant", "current_tenant") or "objectid" in signature:
            continue
        shown = set()
        for given in arguments(types, sorted(ids)):
            unknown = [(NOBODY if "-" in value else "987654") if value in ids else value
                       for value in given]
            answers = []
            for values in (given, unknown) if unknown != given else (given,):
                with t.role(role):
                    state, message, text = call_function(t, name, kind, types, values)
                    if WORD in text + message:
                        shown.add(f"{values}: {message[:300]}{text[:300]}")
                    # only what is volatile can write
                    if volatile and t.others() != before:
                        shown.add(f"{values} changes it")
                    answers.append((state, masked(message), masked(text)))
                    calls += 1
            if len(answers) > 1 and name not in PURE:
                compared += 1
                if answers[0] != answers[1]:
                    shown.add(f"{given}: {answers[0]}, but of no id: {answers[1]}")
        ok(not shown, f"{signature} shows and changes nothing of another tenant to {role}",
           *sorted(shown)[:3])
    ok(calls > 50 and compared > 50, "functions were called", calls, compared)


def call_function(t, name, kind, types, given):
    """Return (SQLSTATE, message, answer) of a call."""
    call = sql.SQL("SELECT x::text FROM pynomaly.{}({}) x" if kind == "f" else
                   "CALL pynomaly.{}({})").format(
        sql.Identifier(name), sql.SQL(", ").join(
            sql.SQL("{}::{}").format(sql.Literal(value), sql.SQL(kind_of))
            for value, kind_of in zip(given, types)))
    state, message, _, answer = t.attempt(call)
    return state, message, "\n".join(str(row[0]) for row in answer)


def masked(text):
    """Return a text without what differs from call to call: ids, times, tokens."""
    text = re.sub("[0-9a-f]{8}-[0-9a-f-]{27}", "ID", text)
    text = re.sub(r"\d{4}-\d\d-\d\d[ T][0-9:.+]+", "TIME", text)
    return re.sub(r"[A-Za-z0-9_-]{40,}", "TOKEN", text)


def arguments(types, ids):
    """Yield lists of arguments of some types, which point at another tenant."""
    uuids = [value for value in ids if "-" in value]
    numbers = [value for value in ids if "-" not in value]
    choices = {
        "uuid": [BRAVO, *uuids], "text": ["bravo", BRAVO, ""], "uuid[]": ["{" + ",".join(uuids) + "}"],
        "text[]": ["{bravo}"], "integer": ["1000"], "bigint": ["1000", *numbers], "smallint": ["1"],
        "boolean": ["true"], "jsonb": ["{}"], "json": ["{}"], "interval": ["1 second"],
        "timestamp with time zone": ["2030-01-01"], "date": ["2030-01-01"],
        "double precision": ["0.5"], "numeric": ["1"], "inet": ["10.1.2.3"],
        "regclass": ["pynomaly.detectors"], "bytea": ["x"],
    }
    lists = [choices.get(kind, [None]) for kind in types]
    yield [None] * len(types)
    # Each uuid in turn in all places, the tenant's in the first, then the texts.
    for value in range(max(map(len, lists), default=0)):
        yield [choice[value % len(choice)] for choice in lists]
        yield [choice[0 if place == 0 else value % len(choice)]
               for place, choice in enumerate(lists)]
        yield [ALPHA if place == 0 and choice[0] == BRAVO else choice[value % len(choice)]
               for place, choice in enumerate(lists)]


def setting_the_tenant(t):
    """set_tenant looks whether the tenant may be used; a setting is a uuid."""
    db = t.db
    set_tenant = "SELECT pynomaly.set_tenant(%s::uuid)"
    for role in ("pynomaly_app", "pynomaly_readonly", "pynomaly_admin"):
        with t.role(role, tenant=None):
            is_(t.attempt(set_tenant, (ALPHA,))[0], "00000", f"{role} sets a tenant")
            is_(str(db.value("SELECT pynomaly.current_tenant()")), ALPHA, "and has it")
            is_(t.attempt(set_tenant, (None,))[0], "00000", "and none")
            is_(db.value("SELECT pynomaly.current_tenant()"), None, "which is NULL")
            state, message, _, _ = t.attempt(set_tenant, (NOBODY,))
            ok(state == "42704" and NOBODY in message, "but not one that is not there",
               state, message)
            is_(t.attempt("SELECT pynomaly.set_tenant(NULL, NULL)")[0], "22004",
                "is_local is not NULL")
            for wrong in ("x", ALPHA + "0", ALPHA[:-1], "-" + ALPHA, ALPHA + "'", " "):
                is_(t.attempt("SELECT set_config('pynomaly_store.tenant', %s, true)",
                              (wrong,))[0], "22023", f"{wrong!r} names no tenant")
            is_(t.attempt("SELECT set_config('pynomaly_store.tenant', %s, true)",
                          (ALPHA.upper().replace("-", ""),))[0], "00000", "any uuid does")
            is_(str(db.value("SELECT pynomaly.current_tenant()")), ALPHA, "is a tenant")
    for change, state in (("status = 'suspended'", "28000"), ("status = 'deleted'", "28000"),
                          ("expires_at = now()", "28000"), ("status = 'trial'", "00000"),
                          ("expires_at = now() + '1 day'", "00000")):
        with db.main.transaction(force_rollback=True):
            db.execute(f"UPDATE pynomaly.tenants SET {change} WHERE id = %s", (ALPHA,))
            for role in ("pynomaly_app", "pynomaly_readonly", "pynomaly_admin"):
                with t.role(role, tenant=None):
                    is_(t.attempt(set_tenant, (ALPHA,))[0],
                        "00000" if role == "pynomaly_admin" else state,
                        f"{role} and a tenant with {change}")
    with t.role("pynomaly_app", tenant=None):
        db.execute("SET LOCAL search_path = public")
        is_(t.attempt(set_tenant, (ALPHA,))[0], "00000", "under another search_path")
    nobody = f"nobody_{secrets.token_hex(4)}"
    db.execute(f"CREATE ROLE {nobody}")
    with t.role(nobody):
        is_(t.attempt(set_tenant, (ALPHA,))[0], "42501", "other roles set no tenant")
        for table in t.tables:
            is_(t.attempt(f"SELECT FROM pynomaly.{table}")[0], "42501",
                f"and do not read {table}")
    db.execute(f"DROP ROLE {nobody}")


def hostile_search_path(t):
    """Names of a caller's own schema do not get between us and the catalog."""
    db = t.db
    db.execute("CREATE SCHEMA hostile; GRANT ALL ON SCHEMA hostile TO PUBLIC; "
               "CREATE TABLE hostile.tenants (id uuid, status text, expires_at timestamptz); "
               f"INSERT INTO hostile.tenants VALUES ('{NOBODY}', 'active'); "
               "CREATE FUNCTION hostile.same(uuid, uuid) RETURNS boolean LANGUAGE sql "
               "AS 'SELECT true'; CREATE OPERATOR hostile.= (FUNCTION = hostile.same, "
               "LEFTARG = uuid, RIGHTARG = uuid)")
    with t.role("pynomaly_app", tenant=None):
        db.execute("SET LOCAL search_path = hostile, pg_catalog, pynomaly")
        is_(t.attempt("SELECT set_tenant(%s::uuid)", (NOBODY,))[0], "42704",
            "a tenant of another schema is none")
        is_(t.attempt("SELECT set_tenant(%s::uuid)", (ALPHA,))[0], "00000", "ours is")
        is_({str(row[0]) for row in db.rows("SELECT tenant_id FROM datasets")}, {ALPHA},
            "policies keep their operators")
    db.execute("SET client_min_messages = warning; DROP SCHEMA hostile CASCADE; "
               "RESET client_min_messages")


def transactions(t):
    """The tenant has the life that was asked for."""
    with psycopg.connect(dbname=t.db.name, autocommit=True) as connection:
        def tenant():
            return str(connection.execute("SELECT pynomaly.current_tenant()").fetchone()[0])
        connection.execute("SET ROLE pynomaly_app")
        is_(tenant(), "None", "a session begins without a tenant")
        connection.execute("SELECT pynomaly.set_tenant(%s)", (ALPHA,))
        is_(tenant(), "None", "a local tenant ends with its statement")
        with connection.transaction():
            connection.execute("SELECT pynomaly.set_tenant(%s)", (ALPHA,))
            is_(tenant(), ALPHA, "or with its transaction")
            try:
                with connection.transaction():
                    connection.execute("SELECT pynomaly.set_tenant(%s)", (BRAVO,))
                    is_(tenant(), BRAVO, "a savepoint has its own")
                    connection.execute("SELECT 1 / 0")
            except psycopg.errors.DivisionByZero:
                is_(tenant(), ALPHA, "which goes with its rollback")
        is_(tenant(), "None", "and then is none")
        connection.execute("SELECT pynomaly.set_tenant(%s, false)", (ALPHA,))
        is_(tenant(), ALPHA, "a session's tenant stays")
        with connection.transaction():
            connection.execute("SELECT pynomaly.set_tenant(%s)", (BRAVO,))
        is_(tenant(), ALPHA, "also beyond a local one")
        connection.execute("PREPARE count AS SELECT count(*) FROM pynomaly.datasets "
                           "WHERE description = 'bravo-description'")
        for mode in ("force_generic_plan", "force_custom_plan"):
            connection.execute(f"SET plan_cache_mode = {mode}")
            counts = []
            for who in (ALPHA, BRAVO, ALPHA):
                connection.execute("SELECT pynomaly.set_tenant(%s, false)", (who,))
                counts.append(connection.execute("EXECUTE count").fetchone()[0])
            is_(counts, [0, 1, 0], f"a prepared statement follows it ({mode})")
        connection.execute("SET plan_cache_mode = auto; SET ROLE pynomaly_admin")
        is_(connection.execute("EXECUTE count").fetchone()[0], 1, "and the role")
        connection.execute("SET ROLE pynomaly_app")
        connection.execute("SET debug_parallel_query = on" if connection.info.server_version
                           >= 160000 else "SET force_parallel_mode = on")
        is_(connection.execute("SELECT count(*) FROM pynomaly.datasets").fetchone()[0], 1,
            "a parallel worker has it too")
        connection.execute("DISCARD ALL")
        is_(tenant(), "None", "DISCARD ALL ends it")


with database() as test_db:
    tenants = Tenants(test_db)
    catalog(test_db, tenants)
    for some_role in ("pynomaly_app", "pynomaly_readonly"):
        reading(tenants, some_role, ALPHA)
        reading(tenants, some_role, None)
        writing(tenants, some_role)
        inserting(tenants, some_role)
    with tenants.role("pynomaly_admin", None):
        is_(len(test_db.rows("SELECT FROM pynomaly.datasets")), 2, "pynomaly_admin sees all")
    foreign_keys(tenants)
    partitions(tenants)
    leaky_functions(tenants)
    views(tenants)
    for some_role in ("pynomaly_app", "pynomaly_readonly"):
        functions(tenants, some_role)
    setting_the_tenant(tenants)
    hostile_search_path(tenants)
    transactions(tenants)
    wasted_rows(tenants)
    estimates(tenants)
done()
