"""Rows for every table of the store, made up from the catalog.

So a table that is added later has rows in the tests without anybody's doing.
"""
import re

from psycopg import sql

# Of each type a value; text is made unlike for each tenant.
VALUES = {
    "uuid": "{id}", "text": "{word}-{column}", "text[]": ["{word}"],
    "uuid[]": ["{id}"], "timestamp with time zone": "{soon}", "date": "2026-01-01",
    "interval": "5 years", "boolean": True, "integer": 1, "bigint": 1, "smallint": 1,
    "double precision": 0.25, "real": 0.25, "numeric": 1,
    "double precision[]": [0.1, 0.9], "smallint[]": [0, 1],
    "jsonb": "{{}}", "inet": "10.1.2.3", "bytea": b"{word}",
    "name": "{word}", "bigint[]": [1],
}

# What the catalog does not say: column, or table and column -> value; None
# leaves it to its default.
SPECIAL = {
    "created_at": None, "updated_at": None, "is_system": None,
    "expires_at": "2100-01-01", "confidence_intervals": '[null, {{"lower": 0}}]',
    "setting_definitions.key": "{word}.key", "setting_definitions.type": "text",
    "setting_definitions.default_value": None, "choices": None,
    "setting_definitions.minimum": None, "setting_definitions.maximum": None,
    "settings.value": '"{word}"', "tenant_settings.value": '"{word}"',
    "outbox.id": None, "plan_limits.resource": "users",
    "scores": [0.1, 0.9], "checksum": "0" * 64, "tenants.id": "{tenant}", "tenants.plan": "enterprise",
}

# These have no tenant: everybody may know their rows, or pynomaly_admin alone.
SHARED = {"roles", "permissions", "role_permissions", "setting_definitions",
          "settings", "partition_rules", "plan_limits", "audit_blocks", "outbox",
          "outbox_attempts"}

# These fill themselves.
LOGS = {"audit_log", "audit_blocks", "tenant_usage"}

# The first two stay empty by design, the third is the wrapper's and is not dumped.
LEFT_OUT = {"a_partition_to_restore", "usage_changes", "remote_indexes"}

TABLES = """
    SELECT c.oid, c.relname
    FROM pg_class c JOIN pg_depend d
      ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
    JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pynomaly_store'
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
    ORDER BY c.relname"""

COLUMNS = """
    SELECT a.attname, format_type(a.atttypid, NULL), a.attnotnull, a.atthasdef,
           (SELECT string_agg(pg_get_constraintdef(k.oid), ' ')
            FROM pg_constraint k
            WHERE k.conrelid = a.attrelid AND k.contype = 'c'
              AND a.attnum = ANY (k.conkey))
    FROM pg_attribute a
    WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
      AND a.attgenerated = ''
    ORDER BY a.attnum"""

# Those of partitions count too: anomalies refer to results there only.
REFERENCES = """
    SELECT (SELECT array_agg(attname::text ORDER BY n) FROM unnest(conkey)
            WITH ORDINALITY AS u (num, n) JOIN pg_attribute
            ON attrelid = conrelid AND attnum = num),
           coalesce((SELECT inhparent FROM pg_inherits WHERE inhrelid = confrelid),
                    confrelid)::regclass::text,
           (SELECT array_agg(attname::text ORDER BY n) FROM unnest(confkey)
            WITH ORDINALITY AS u (num, n) JOIN pg_attribute
            ON attrelid = confrelid AND attnum = num)
    FROM pg_constraint
    WHERE contype = 'f' AND confrelid <> conrelid AND conparentid = 0
      AND (conrelid = %(table)s OR conrelid IN
           (SELECT inhrelid FROM pg_inherits WHERE inhparent = %(table)s))"""


def tables(db):
    """Return the names of the store's tables, by their oids; no partitions."""
    return {oid: name for oid, name in db.rows(TABLES) if name not in LEFT_OUT}


def references(db, oid):
    """Return (columns, table, columns there) of a table's foreign keys."""
    return [(columns, name.removeprefix("pynomaly."), there)
            for columns, name, there in db.rows(REFERENCES, {"table": oid})]


def in_order(db):
    """Return (oid, name) of the tables, those that are referred to first.

    Memberships come before what only a member is named in.
    """
    left = tables(db)
    there = {oid: {name for _, name, _ in references(db, oid)} for oid in left}
    done = []
    while left:
        ready = [oid for oid in left
                 if not there[oid] & set(left.values()) - {left[oid]}]
        if not ready:
            raise ValueError(f"these refer to each other: {left}")
        ready.sort(key=lambda oid: left[oid] != "user_tenant_roles")
        done += [(oid, left.pop(oid)) for oid in ready]
    return done


def fill(db, word, tenant):
    """Give a tenant a row in every table; return them by the table's name.

    word begins every text of it; what has no tenant has a word of its own.
    """
    rows = {}
    for oid, name in in_order(db):
        if name in LOGS:
            continue
        values = row_of(db, oid, name, f"common{word[0]}" if name in SHARED else word,
                        tenant, rows)
        cursor = db.execute(insert(name, values), list(values.values()))
        columns = [column.name for column in cursor.description]
        rows[name] = dict(zip(columns, cursor.fetchone()))
    return rows


def insert(table, values, returning=True):
    """Return an INSERT with placeholders."""
    return sql.SQL("INSERT INTO pynomaly.{} ({}) VALUES ({})" +
                   (" RETURNING *" if returning else "")).format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(", ").join(sql.Placeholder() * len(values)))


def row_of(db, oid, table, word, tenant, rows):
    """Return a row for a table, by column."""
    values = {}
    for column, kind, notnull, has_default, checks in db.rows(COLUMNS, (oid,)):
        value = special = SPECIAL.get(f"{table}.{column}",
                                      SPECIAL.get(column, ...))
        if special is ...:
            allowed = re.findall(r"(?:ARRAY\[|, )'([^']*)'::text", checks or "")
            if has_default and not allowed:
                continue
            if allowed and kind == "text":
                value = allowed[0]
            elif kind == "jsonb" and "'array'" in (checks or ""):
                value = "[]"
            elif not notnull and checks and "~" in checks:
                continue
            else:
                value = VALUES[kind]
        if value is not None:
            values[column] = fill_in(value, column, word, tenant)
    for columns, there, keys in references(db, oid):
        for column, key in zip(columns, keys):
            if there in rows:
                values[column] = rows[there][key]
            elif column != "tenant_id":
                values.pop(column, None)
    for column in self_references(db, oid):
        values.pop(column, None)
    if "tenant_id" in values:
        values["tenant_id"] = tenant
    return values


def self_references(db, oid):
    """Return the columns by which a table refers to itself."""
    return [column for columns, in db.rows(
        "SELECT (SELECT array_agg(attname::text) FROM pg_attribute "
        "        WHERE attrelid = conrelid AND attnum = ANY (conkey)) "
        "FROM pg_constraint WHERE contype = 'f' AND conrelid = confrelid "
        "AND conrelid = %s", (oid,)) for column in columns if column != "tenant_id"]


def fill_in(value, column, word, tenant):
    """Return a value with its words filled in."""
    if isinstance(value, list):
        return [fill_in(part, column, word, tenant) for part in value]
    if isinstance(value, bytes):
        return value.replace(b"{word}", word.encode())
    if not isinstance(value, str):
        return value
    return value.format(word=word, column=column, tenant=tenant, id=tenant,
                        soon="2030-01-01 00:00+00")
