"""Random statements that write, and the tables that they write to.

A sequence is a list of steps, all made before the first is run, so that it can
be run again with some of them left out.  {t} in a statement is the table that
is written, a foreign one or its twin.
"""

from dataclasses import dataclass, field

from tables import identifier, quote

SETUP = """
CREATE TYPE mood AS ENUM ('sad', 'ok', '$x', 'é');
CREATE DOMAIN small AS int4 CHECK (VALUE < 1000);
"""
ROWS_AT_FIRST = [0, 1, 3, 8, 8, 20]
ROWS_OF_SOURCE = 8
STEPS = [1, 1, 2, 3, 4, 6]


@dataclass(frozen=True)
class Kind:
    """A type of column: values, as literals, and what is done with them.

    In computed and tests {c} is the column, {v} one of the values.
    """

    sql: str
    values: tuple
    computed: tuple = ()
    tests: tuple = ()
    options: str = ""


@dataclass(frozen=True)
class Column:
    """A column of a table: its path, and what its definition says besides."""

    name: str
    kind: Kind
    options: tuple = ()
    default: str = ""
    generated: str = ""

    def definition(self, foreign):
        """Return the column's definition."""
        sql, *collation = self.kind.sql.split(" COLLATE ")
        text = f"{identifier(self.name)} {sql}"
        if foreign and self.options:
            listed = ", ".join(f"{name} {quote(value)}" for name, value in self.options)
            text += f" OPTIONS ({listed})"
        text += "".join(f" COLLATE {name}" for name in collation)
        if self.default:
            text += f" DEFAULT {self.default}"
        if self.generated:
            text += f" GENERATED ALWAYS AS ({self.generated}) STORED"
        return text


COMPARED = ("{c} = {v}", "{c} <> {v}", "{c} > {v}", "{c} <= {v}", "{c} IN ({v}, {v})")
NULLS = ("{c} IS NULL", "{c} IS NOT NULL")
SHOWN = ("{c}::text LIKE '%1%'", "length({c}::text) > 2")
ORDERED = COMPARED + NULLS + SHOWN
WHOLE = (
    "{c} + 1", "{c} * 2", "-{c}", "{c} / 2", "{c} % 3", "abs({c})", "10 / {c}",
    "{c} - {d}", "{c} + {d}", "{d}", "coalesce({c}, 5)", "greatest({c}, 2)",
    "CASE WHEN {c} > 1 THEN 0 ELSE {c} END", "nullif({c}, 1)",
)
STRINGS = (
    "{c} || 'x'", "upper({c})", "lower({c})", "substr({c}, 2)", "left({c}, 2)",
    "reverse({c})", "coalesce({c}, '')", "{d}", "nullif({c}, 'a')", "{c} || {d}",
    "replace({c}, 'a', '$')", "CASE WHEN {c} = 'a' THEN 'b' ELSE {c} END",
)
INTEGERS = ("0", "1", "-1", "2", "3", "7", "100", "1234")
TEXTS = ("''", "'a'", "'b'", "'ab'", "'$x'", "'é😀'", "'it''s'", "'NULL'", "E'\\\\t'", "'A b '")

KINDS = {
    "int2": Kind("int2", INTEGERS + ("32767", "-32768"), WHOLE, ORDERED),
    "int4": Kind("int4", INTEGERS + ("2147483647", "-2147483648"), WHOLE, ORDERED),
    "int8": Kind(
        "int8", INTEGERS + ("9007199254740993", "9223372036854775807", "5000000000"),
        WHOLE, ORDERED,
    ),
    "float8": Kind(
        "float8",
        ("0", "'-0'", "0.1", "2.5", "1e300", "'NaN'", "'Infinity'", "-3", "1e-300"),
        ("{c} * 1.5", "{c} + 0.1", "{c} / 2", "-{c}", "{c} * {d}", "floor({c})", "{d}"),
        ORDERED,
    ),
    "float4": Kind(
        "float4", ("0", "0.1", "2.5", "'NaN'", "-3", "3e38", "16777217"),
        ("{c} * 2", "{c} + 0.1", "-{c}", "{d}"), ORDERED,
    ),
    "numeric": Kind(
        "numeric", ("0", "1", "1.10", "-2.50", "'NaN'", "12345678901234567890", "0.001"),
        ("{c} + 1.10", "round({c} * 1.5, 2)", "-{c}", "{c} - {d}", "abs({c})", "{d}"),
        ORDERED,
    ),
    "numeric(6,2)": Kind(
        "numeric(6,2)", ("0", "1", "1.10", "-2.50", "9999.99"),
        ("{c} + 1.10", "{c} * 10", "-{c}", "{d}"), ORDERED,
    ),
    "bool": Kind(
        "bool", ("true", "false"), ("NOT {c}", "{c} AND {d}", "{c} OR {d}", "{d}"),
        ("{c}", "NOT {c}", "{c} IS NOT TRUE") + NULLS,
    ),
    "text": Kind("text", TEXTS, STRINGS, ORDERED + ("{c} LIKE 'a%'",)),
    "text C": Kind('text COLLATE "C"', TEXTS, STRINGS, ORDERED + ("{c} LIKE 'a%'",)),
    "varchar(5)": Kind("varchar(5)", TEXTS, STRINGS, ORDERED),
    "char(3)": Kind(
        "char(3)", ("''", "'a'", "'ab '", "'$x'"), ("upper({c})", "{d}", "{c} || 'x'"), ORDERED
    ),
    "timestamptz": Kind(
        "timestamptz",
        ("'1970-01-01 00:00:00+00'", "'2020-02-29 12:30:00.001+00'", "'2020-03-08 07:00:00+00'",
         "'1500-01-01 00:00:00+00'", "'1969-12-31 23:59:59.999+00'"),
        ("{c} + interval '1 day'", "{c} + interval '1 month'", "date_trunc('day', {c})",
         "{c} - interval '1 hour'", "{d}"),
        ORDERED,
    ),
    "timestamp": Kind(
        "timestamp", ("'1970-01-01 00:00:00'", "'2020-02-29 12:30:00.001'", "'1500-01-01 00:00:00'"),
        ("{c} + interval '1 day'", "{c} + interval '1 month'", "date_trunc('month', {c})", "{d}"),
        ORDERED,
    ),
    "date": Kind(
        "date", ("'1970-01-01'", "'2020-02-29'", "'1500-01-01'", "'9000-12-31'"),
        ("{c} + 1", "{c} - 7", "{d}"), ORDERED,
    ),
    "uuid": Kind(
        "uuid", ("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "'00000000-0000-0000-0000-000000000000'"),
        ("{d}",), ORDERED,
    ),
    "bytea": Kind(
        "bytea", ("'\\x'", "'\\x00ff'", "'\\x616263'"), ("{c} || '\\x00'::bytea", "{d}"), ORDERED
    ),
    "objectid": Kind(
        "pynomaly.objectid", ("'5381ccf9d6d81c8e5bf0114d'", "'000000000000000000000000'"),
        ("{d}",), NULLS + SHOWN,
    ),
    "text as ObjectId": Kind(
        "text", ("'5381ccf9d6d81c8e5bf0114d'", "'ffffffffffffffffffffffff'"),
        ("{d}",), NULLS + SHOWN, options="objectId",
    ),
    "mood": Kind("mood", ("'sad'", "'ok'", "'$x'", "'é'"), ("{d}",), ORDERED),
    "small": Kind("small", INTEGERS[:7], ("{c} + 1", "{c} * 2", "{c} + 500", "{d}"), ORDERED),
    "jsonb": Kind(
        "jsonb",
        ("'{}'", "'[]'", "'1'", "'\"a\"'", "'{\"a\": 1, \"b\": [1, 2.5, null]}'", "'5000000000'",
         "'{\"$set\": {\"a.b\": \"$x\"}}'", "'{\"\": true}'", "'[{\"k\": 1.0}]'",
         "'[{\"$oid\": \"5381ccf9d6d81c8e5bf0114d\"}]'"),
        ("jsonb_build_object('k', {c})", "jsonb_build_array({c}, 1)", "{d}",
         "CASE jsonb_typeof({c}) WHEN 'object' THEN {c} || '{\"z\": 1}' ELSE {c} END"),
        NULLS + SHOWN + ("{c} = {v}", "{c} ? 'a'", "jsonb_typeof({c}) = 'object'"),
    ),
    "json": Kind(
        "json", ("'{\"b\":1,\"a\":[]}'", "'[1,2.5,null]'", "'\"x\"'"), ("{d}",), NULLS
    ),
    "int4[]": Kind(
        "int4[]", ("'{}'", "'{1,2}'", "'{1,NULL,3}'", "'{{1,2},{3,4}}'"),
        ("{d}", "CASE WHEN array_ndims({c}) = 1 THEN {c} || 7 ELSE {c} END"),
        NULLS + SHOWN + ("1 = ANY({c})", "{c} = {v}", "cardinality({c}) > 1"),
    ),
    "text[]": Kind(
        "text[]", ("'{}'", "'{a,\"b c\"}'", "'{NULL,\"$x\"}'"), ("{d}", "{c} || 'x'::text"),
        NULLS + SHOWN + ("'a' = ANY({c})",),
    ),
    "interval": Kind(
        "interval", ("'1 day'", "'-1 mon 2 days 03:04:05.5'", "'0'"), ("{c} * 2", "{d}"),
        NULLS + SHOWN,
    ),
}

# Of each, the n-th value of an _id.
KEYS = {
    "int4": "{n}",
    "int8": "{n}",
    "text": "'k{n}'",
    "text C": "'k{n}'",
    "numeric": "{n}.50",
    "uuid": "'00000000-0000-0000-0000-{n:012d}'",
    "objectid": "'{n:024x}'",
    "text as ObjectId": "'{n:024x}'",
    "bytea": "'\\x{n:08x}'",
    "date": "'2020-01-01'::date + {n}",
    "timestamptz": "'2020-01-01 00:00:00+00'::timestamptz + {n} * interval '1 minute'",
    "jsonb": "'{{\"k\": {n}, \"b\": [1]}}'",
    "float8": "{n}.25",
}


@dataclass
class Shape:
    """A table: its columns, of which a second table over the same lacks some."""

    key: str
    columns: list
    part: list
    trigger: str = ""
    options: tuple = ()
    routed: bool = False  # to one of two partitions, by the column "routed"
    source: list = field(default_factory=list)  # statements that make {s}

    @property
    def all(self):
        """Return all columns, the _id first."""
        kind = KINDS[self.key]
        options = (("bson_type", kind.options),) if kind.options else ()
        return [Column("_id", kind, options)] + self.columns

    def key_literal(self, number):
        """Return the _id of a number."""
        literal = KEYS[self.key].format(n=number)
        return f"CAST({literal} AS {KINDS[self.key].sql.split(' ')[0]})"

    def partitioned_ddl(self, name, leaves):
        """Return what makes a partitioned table of two tables that are there."""
        listed = ",\n    ".join(column.definition(False) for column in self.all)
        values = ("true", "false, NULL")
        return [f"CREATE TABLE {name} (\n    {listed})\nPARTITION BY LIST (routed)"] + [
            f"ALTER TABLE {name} ATTACH PARTITION {leaf} FOR VALUES IN ({value})"
            for leaf, value in zip(leaves, values)
        ]

    def foreign_ddl(self, name, columns, server, database, collection):
        """Return the definition of a foreign table with some of the columns."""
        listed = ",\n    ".join(column.definition(True) for column in columns)
        options = (("database", database), ("collection", collection)) + self.options
        text = ", ".join(f"{name} {quote(value)}" for name, value in options)
        return f"CREATE FOREIGN TABLE {name} (\n    {listed})\nSERVER {server} OPTIONS ({text})"

    def heap_ddl(self, name):
        """Return the definition of the twin."""
        listed = ",\n    ".join(column.definition(False) for column in self.all)
        return f'CREATE TABLE {name} (\n    {listed},\n    PRIMARY KEY ("_id"))'


def literal(rng, kind):
    """Return a value of a kind."""
    return f"CAST({rng.choice(kind.values)} AS {kind.sql.split(' COLLATE')[0]})"


def random_shape(rng):
    """Make a random table."""
    columns = []
    for number in range(rng.randint(2, 7)):
        name = f"c{number}"
        kind = KINDS[rng.choice(sorted(KINDS))]
        # not a key with a dot in it, which no update can name
        path = rng.choice([name] * 4 + [f"sub.{name}", f"sub.deep.{name}"])
        options = () if path == name else (("field", path),)
        if kind.options:
            options += (("bson_type", kind.options),)
        default = literal(rng, kind) if rng.random() < 0.2 else ""
        columns.append(Column(name, kind, options, default))
    numbers = [c.name for c in columns if c.kind is KINDS["int4"]]
    if numbers and rng.random() < 0.4:
        columns.append(Column("g", KINDS["int8"], generated=f"{numbers[0]}::int8 * 2"))
    routed = rng.random() < 0.2
    if routed:
        columns.insert(rng.randint(0, len(columns)), Column("routed", KINDS["bool"]))
    plain = [c for c in columns if not c.generated]
    trigger = ""
    if not routed and rng.random() < 0.15:
        column = rng.choice(plain)
        trigger = f"NEW.{column.name} := coalesce(NEW.{column.name}, {literal(rng, column.kind)});"
    dependent = routed or bool(trigger) or len(plain) < len(columns)
    part = [] if dependent else [c for c in plain if rng.random() < 0.6]
    options = (("nulls", "store"),) if rng.random() < 0.25 else ()
    if rng.random() < 0.3:
        options += (("batch_size", str(rng.choice([1, 2, 3]))),)
    shape = Shape(rng.choice(sorted(KEYS)), columns, part, trigger, options, routed)
    shape.source = make_source(rng, shape)
    return shape


def make_source(rng, shape):
    """Return the statements that make a local table to take rows from."""
    columns = [column for column in shape.all if not column.generated]
    listed = ", ".join(f"{identifier(c.name)} {c.kind.sql}" for c in columns)
    rows = []
    for number in range(ROWS_OF_SOURCE):
        values = [shape.key_literal(2 * number + 1)]
        values += [value_or_null(rng, column.kind) for column in columns[1:]]
        rows.append(f"({', '.join(values)})")
    return [
        "DROP TABLE IF EXISTS source",
        f"CREATE TABLE source ({listed})",
        f"INSERT INTO source VALUES {', '.join(rows)}",
    ]


def value_or_null(rng, kind):
    """Return a value of a kind, or NULL."""
    return "NULL" if rng.random() < 0.2 else literal(rng, kind)


@dataclass
class Step:
    """A statement, or what begins or ends a transaction."""

    text: str
    copied: str = ""  # the rows of a COPY, as VALUES
    one_row: bool = False  # writes one row at most
    ends: bool = False
    reads: bool = False


class Writer:
    """Makes sequences of steps for one shape."""

    def __init__(self, rng, shape, mode):
        self.rng = rng
        self.shape = shape
        self.mode = mode
        self.next = 0  # number of the next new key
        self.shifted = 0  # times that the local table's keys were used

    # ---------- sequences ----------

    def sequence(self):
        """Return a random list of steps."""
        self.next = self.shifted = 0
        steps = []
        count = self.rng.choice(ROWS_AT_FIRST)
        if count:
            steps.append(self.insert(self.shape.all, count))
        for _ in range(self.rng.choice(STEPS)):
            steps += self.transaction()
        return steps

    def transaction(self):
        """Return a transaction, or a statement without one."""
        if self.mode == "none" or self.rng.random() < 0.5:
            return [self.statement()]
        count = 1 if self.mode == "outbox" else self.rng.choice([1, 2, 3, 4])
        end = self.rng.choice(["COMMIT", "COMMIT", "ROLLBACK"])
        inner = [self.statement() for _ in range(count)]
        if self.mode == "session":
            for _ in range(self.rng.choice([0, 0, 1])):
                inner.insert(self.rng.randint(0, count), self.read())
        return [Step("BEGIN")] + inner + [Step(end, ends=True)]

    def statement(self):
        """Return a statement that writes."""
        makers = [self.insert_one] * 3 + [self.insert_many] * 2 + [self.insert_select]
        makers += [self.update] * 6 + [self.delete] * 2 + [self.copy]
        makers += [self.update_from, self.delete_using]
        if self.mode != "outbox":
            makers += [self.insert_unless_there] * 2 + [self.insert_again, self.truncate]
        return self.rng.choice(makers)()

    # ---------- statements ----------

    def target(self):
        """Return a table's name, and its columns that can be changed.

        Rows are put into the whole table only: a default of a column that the
        other one lacks is the twin's, but not the foreign table's.
        """
        whole = [column for column in self.shape.all if not column.generated]
        if not self.shape.routed and self.rng.random() < 0.25:
            return "{p}", [whole[0]] + self.shape.part
        return "{t}", whole

    def insert(self, columns, count, first=None):
        """Return an INSERT of rows with new keys, or those from first on."""
        columns = [column for column in columns if not column.generated]
        numbers = self.numbers(count, first)
        rows = ", ".join(self.row(columns, number) for number in numbers)
        names = ", ".join(identifier(column.name) for column in columns)
        return Step(f"INSERT INTO {{t}} ({names}) VALUES {rows}", one_row=count == 1)

    def numbers(self, count, first):
        """Return the numbers of new keys, or of those from first on, mixed.

        The first of those that is there already can have any place.
        """
        if first is None:
            self.next += count
            return range(self.next - count, self.next)
        return self.rng.sample(range(first, first + count), count)

    def row(self, columns, number):
        """Return one row of values in parentheses."""
        values = [self.shape.key_literal(number)]
        values += [
            "DEFAULT" if column.default and self.rng.random() < 0.3
            else value_or_null(self.rng, column.kind)
            for column in columns[1:]
        ]
        return f"({', '.join(values)})"

    def some(self, columns):
        """Return the _id and some of the other columns."""
        return columns[:1] + [c for c in columns[1:] if self.rng.random() < 0.8]

    def insert_one(self):
        """A row, now and then with a key that is there."""
        columns = self.some(self.shape.all)
        return self.returning(self.insert(columns, 1, self.key_again()))

    def insert_many(self):
        """Several rows."""
        columns = self.some(self.shape.all)
        count = self.rng.choice([2, 3, 5])
        return self.returning(self.insert(columns, count, self.key_again()))

    def key_again(self):
        """Return None, or rarely the number of a key that there may be already."""
        if self.mode == "outbox" or self.rng.random() < 0.85:
            return None
        return self.rng.randint(0, self.next)

    def insert_unless_there(self):
        """ON CONFLICT DO NOTHING."""
        count = self.rng.choice([1, 2, 4])
        first = self.rng.randint(0, self.next)
        self.next = max(self.next, first + count)
        step = self.insert(self.some(self.shape.all), count, first)
        step.text += " ON CONFLICT DO NOTHING"
        return self.returning(step)

    def insert_select(self):
        """Rows of the local table, with their keys or new ones."""
        columns = self.some([c for c in self.shape.all if not c.generated])
        names = ", ".join(identifier(column.name) for column in columns)
        key = '"_id"'
        if self.mode == "outbox" or self.rng.random() < 0.5:
            if self.shape.key not in ("int4", "int8"):
                return self.insert_many()
            self.shifted += 1
            key = f'"_id" + {1000 * self.shifted}'
        selected = ", ".join([key] + names.split(", ")[1:])
        text = f"INSERT INTO {{t}} ({names}) SELECT {selected} FROM source"
        if self.rng.random() < 0.5:
            text += f" WHERE {self.condition(columns)}"
        if self.mode != "outbox" and self.rng.random() < 0.5:
            text += " ON CONFLICT DO NOTHING"
        return Step(text)

    def insert_again(self):
        """Rows of the table itself, with other keys."""
        if self.shape.key not in ("int4", "int8"):
            return self.insert_many()
        columns = [column for column in self.shape.all if not column.generated]
        names = [identifier(column.name) for column in columns]
        return Step(
            f"INSERT INTO {{t}} ({', '.join(names)}) SELECT \"_id\" + 500, "
            f"{', '.join(names[1:])} FROM {{t}} WHERE {self.condition(columns)} "
            "ON CONFLICT DO NOTHING"
        )

    def copy(self):
        """COPY FROM STDIN, as text."""
        columns = [c for c in self.shape.all if not c.generated]
        names = ", ".join(identifier(column.name) for column in columns)
        rows = [
            [self.shape.key_literal(number)]
            + [value_or_null(self.rng, column.kind) for column in columns[1:]]
            for number in self.numbers(self.rng.choice([1, 3, 6]), self.key_again())
        ]
        listed = ", ".join(f"({', '.join(row)})" for row in rows)
        return Step(f"COPY {{t}} ({names}) FROM STDIN", copied=f"VALUES {listed}")

    def update(self):
        """UPDATE by a condition."""
        table, columns = self.target()
        if len(columns) < 2:
            return self.delete()
        changed = self.rng.sample(columns[1:], self.rng.randint(1, min(3, len(columns) - 1)))
        sets = ", ".join(
            f"{identifier(column.name)} = {self.new_value(column, columns)}"
            for column in changed
        )
        return self.returning(
            Step(f"UPDATE {table} SET {sets}{self.where(columns)}")
        )

    def new_value(self, column, columns):
        """Return what a column is set to."""
        draw = self.rng.random()
        if column.name == "routed":
            return "true"  # PostgreSQL moves rows into a foreign table only
        if draw < 0.15:
            return "NULL"
        if draw < 0.2:
            return "DEFAULT"
        if draw < 0.45 or not column.kind.computed:
            return literal(self.rng, column.kind)
        twins = [c for c in columns[1:] if c.kind is column.kind]
        computed = self.rng.choice(column.kind.computed)
        computed = computed.replace("{d}", identifier(self.rng.choice(twins).name))
        return computed.replace("{c}", identifier(column.name))

    def update_from(self):
        """UPDATE joined with the local table."""
        table, columns = self.target()
        if len(columns) < 2 or self.shape.key == "jsonb":
            return self.update()
        column = self.rng.choice([c for c in columns[1:] if c.name != "routed"])
        name = identifier(column.name)
        return Step(
            f'UPDATE {table} a SET {name} = s.{name} FROM source s WHERE a."_id" = s."_id"'
        )

    def delete(self):
        """DELETE by a condition."""
        table, columns = self.target()
        return self.returning(Step(f"DELETE FROM {table}{self.where(columns)}"))

    def delete_using(self):
        """DELETE joined with the local table."""
        return Step('DELETE FROM {t} a USING source s WHERE a."_id" = s."_id"')

    def truncate(self):
        """TRUNCATE, seldom."""
        if self.rng.random() < 0.7:
            return self.delete()
        return Step("TRUNCATE {t}")

    def read(self):
        """A query in the middle of a transaction."""
        return Step(f"SELECT * FROM {{t}}{self.where(self.shape.all)}", reads=True)

    def returning(self, step):
        """Let a statement return rows, now and then."""
        if self.rng.random() < 0.3:
            step.text += " RETURNING *"
        return step

    # ---------- conditions ----------

    def where(self, columns):
        """Return a WHERE clause, or seldom none."""
        if self.rng.random() < 0.1:
            return ""
        return f" WHERE {self.condition(columns)}"

    def condition(self, columns, depth=0):
        """Return a random condition."""
        draw = self.rng.random()
        if draw < 0.25 and depth < 2:
            joined = self.rng.choice([" AND ", " OR "])
            parts = [self.condition(columns, depth + 1) for _ in range(2)]
            return f"({joined.join(parts)})"
        if draw < 0.3:
            return f"NOT ({self.condition(columns, depth + 1)})"
        if draw < 0.6:
            keys = [self.any_key() for _ in range(self.rng.choice([1, 1, 3]))]
            if len(keys) == 1:
                return f'"_id" = {keys[0]}'
            return f'"_id" IN ({", ".join(keys)})'
        testable = [column for column in columns[1:] if column.kind.tests]
        if not testable:
            return f'"_id" <> {self.any_key()}'
        column = self.rng.choice(testable)
        test = self.rng.choice(column.kind.tests)
        while "{v}" in test:
            test = test.replace("{v}", literal(self.rng, column.kind), 1)
        return test.replace("{c}", identifier(column.name))

    def any_key(self):
        """Return a key that is there, or nearly."""
        return self.shape.key_literal(self.rng.randint(0, max(self.next, 1)))
