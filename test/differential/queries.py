"""Random queries over a table, and how they are written down."""

from dataclasses import dataclass, replace

import conditions
from conditions import COMPARISONS, TRUE, Conditions, Leaf, Operand, base_kind

# Types for which several values stand for one group (-0 and 0, 1.1 and 1.10),
# or none.
UNGROUPED = {"json", "interval", "array"}
LOCAL_ROWS = 6
PLANNER = ["enable_hashjoin", "enable_mergejoin", "enable_material", "enable_memoize"]
PLANNER += ["enable_nestloop", "enable_sort", "enable_hashagg"]


@dataclass(frozen=True)
class Query:
    """A query: a template, its targets, conditions, and how it is run.

    In the template {targets}, {where} and {on} stand for those, {t} for the
    table and {local} for a small local table.
    """

    kind: str
    template: str
    targets: tuple  # of (SQL, columns in it)
    where: object
    on: object = TRUE
    ordered: bool = False
    loose: bool = False  # any value of a group may stand for it
    mode: str = "literal"  # or "custom", "generic": a prepared statement
    settings: tuple = ()

    def used(self):
        """Return the columns that the query uses."""
        columns = frozenset().union(*(columns for _, columns in self.targets))
        return columns | self.where.used() | self.on.used()

    def body(self, table, local, operand):
        """Return the SELECT; operand(Operand) writes an operand."""
        text = self.template.replace(
            "{targets}", ", ".join(sql for sql, _ in self.targets)
        )
        # Conditions are put in last: constants may look like a placeholder.
        text = text.replace("{t}", table).replace("{local}", local)
        pieces = []
        for piece in text.split("{where}"):
            joined = piece.split("{on}")
            pieces.append(self.on.render(operand).join(joined))
        return self.where.render(operand).join(pieces)

    def script(self, table, local):
        """Return the statements that run the query."""
        lines = [f"SET {name} = off" for name in self.settings]
        if self.mode == "literal":
            return lines + [self.body(table, local, Operand.literal)]
        operands = []

        def number(operand):
            operands.append(operand)
            return f"${len(operands)}"

        body = self.body(table, local, number)
        types = ", ".join(operand.type for operand in operands)
        lines.append(f"SET plan_cache_mode = force_{self.mode}_plan")
        lines.append(f"PREPARE q{'(' + types + ')' if types else ''} AS {body}")
        for values in (
            [operand.literal() for operand in operands],
            [replace(o, text=o.second).literal() for o in operands],
        ):
            lines.append(f"EXECUTE q{'(' + ', '.join(values) + ')' if values else ''}")
        return lines if operands else lines[:-1]

    def smaller(self):
        """Yield simpler queries."""
        if self.mode != "literal":
            yield replace(self, mode="literal")
        if self.settings:
            yield replace(self, settings=())
        plain = "SELECT {targets} FROM {t} a WHERE {where}"
        if self.template != plain and self.on == TRUE:
            yield replace(self, template=plain, ordered=False)
        if len(self.targets) > 1:
            for target in self.targets:
                yield replace(self, targets=(target,))
        for where in self.where.smaller():
            yield replace(self, where=where)
        for condition in self.on.smaller():
            yield replace(self, on=condition)


class Queries:
    """Makes queries over one table."""

    def __init__(self, rng, table, local):
        self.rng = rng
        self.table = table
        self.local = local
        self.conditions = Conditions(rng, table)
        self.makers = [
            (self.scan, 10),
            (self.count, 2),
            (self.top, 3),
            (self.aggregate, 3),
            (self.group, 2),
            (self.distinct, 1),
            (self.join, 4),
            (self.lateral, 3),
            (self.subquery, 3),
            (self.self_join, 1),
            (self.union, 1),
        ]

    def random(self):
        """Return a random query."""
        makers, weights = zip(*self.makers)
        query = self.rng.choices(makers, weights)[0]()
        mode = self.rng.choice(["literal", "literal", "custom", "generic"])
        count = self.rng.choice([0, 0, 1, 2, 3])
        return replace(
            query, mode=mode, settings=tuple(sorted(self.rng.sample(PLANNER, count)))
        )

    # ----- parts -----

    def where(self):
        """Return a condition, sometimes none."""
        return TRUE if self.rng.random() < 0.08 else self.conditions.random()

    def target(self, column):
        """Return a column as a target."""
        return self.conditions.reference(column), frozenset([column.name])

    def targets(self):
        """Return random targets."""
        count = min(self.rng.choice([1, 1, 2, 3, 5, 99]), len(self.table.columns))
        columns = self.rng.sample(self.table.columns, count)
        targets = [self.target(column) for column in columns]
        if self.rng.random() < 0.15:
            condition = self.conditions.leaf()
            sql = condition.render(Operand.literal)
            targets.append((f"({sql})", condition.used()))
        return tuple(targets)

    def grouped(self, *excluded):
        """Return a column by which rows can be grouped."""
        return self.rng.choice(
            [
                column
                for column in self.table.columns
                if base_kind(column.type) not in UNGROUPED | set(excluded)
            ]
        )

    def number(self):
        """Return the column that numbers the documents, as a target."""
        return self.target(self.table.column("k"))

    def sources(self):
        """Return a local table's column and the table's column that it is of."""
        name = self.rng.choice(sorted(self.local))
        return f"l.{name}", self.table.column(self.local[name])

    def matches(self, operators=("=",)):
        """Return a comparison of a column with a local table's column."""
        source, column = self.sources()
        operator = self.rng.choice(operators)
        parts = (f"{self.conditions.reference(column)} {operator} {source}",)
        return Leaf(parts, frozenset([column.name]))

    # ----- queries -----

    def scan(self):
        """Return a scan with a condition."""
        template = "SELECT {targets} FROM {t} a WHERE {where}"
        return Query("scan", template, self.targets(), self.where())

    def count(self):
        """Return a count of rows."""
        template = "SELECT {targets} FROM {t} a WHERE {where}"
        return Query("count", template, (("count(*)", frozenset()),), self.where())

    def top(self):
        """Return the first rows of an order that is total."""
        column = self.grouped()
        direction = self.rng.choice(["", " DESC"])
        nulls = self.rng.choice(["", " NULLS FIRST", " NULLS LAST"])
        limit = self.rng.choice(["LIMIT 3", "LIMIT 10 OFFSET 2", "LIMIT 4294967297"])
        order, _ = self.target(column)
        key, _ = self.number()
        template = (
            "SELECT {targets} FROM {t} a WHERE {where} "
            f"ORDER BY {order}{direction}{nulls}, {key} {limit}"
        )
        targets = (self.target(column), self.number()) + self.targets()
        return Query("top", template, targets, self.where(), ordered=True)

    def aggregates(self):
        """Return random aggregates as targets."""
        targets = [("count(*)", frozenset())]
        for _ in range(self.rng.randint(1, 3)):
            column = self.rng.choice(self.table.columns)
            name, used = self.target(column)
            kind = base_kind(column.type)
            choices = [f"count({name})"]
            if kind in ("int2", "int4", "int8", "numeric"):
                choices += [f"sum({name})", f"min({name})", f"max({name})"]
                choices += [f"avg({name})"] * (kind != "numeric")
            elif kind in ("float4", "float8", "text", "char", "varchar", "date"):
                choices += [f"min({name})", f"max({name})", f"count(DISTINCT {name})"]
            elif kind in ("timestamp", "timestamptz", "enum"):
                choices += [f"min({name})", f"max({name})"]
            elif kind == "bool":
                choices += [f"bool_and({name})", f"bool_or({name})"]
            targets.append((self.rng.choice(choices), used))
        return tuple(targets)

    def aggregate(self):
        """Return aggregates over all rows."""
        template = "SELECT {targets} FROM {t} a WHERE {where}"
        targets = self.aggregates()
        return Query("aggregate", template, targets, self.where(), loose=True)

    def group(self):
        """Return aggregates by group."""
        name, used = self.target(self.grouped())
        template = f"SELECT {{targets}} FROM {{t}} a WHERE {{where}} GROUP BY {name}"
        if self.rng.random() < 0.3:
            template += " HAVING count(*) > 1"
        targets = ((name, used),) + self.aggregates()
        return Query("group", template, targets, self.where(), loose=True)

    def distinct(self):
        """Return different values."""
        targets = (self.target(self.grouped()), self.target(self.grouped()))
        template = "SELECT DISTINCT {targets} FROM {t} a WHERE {where}"
        return Query("distinct", template, targets, self.where(), loose=True)

    def join(self):
        """Return a join with the local table."""
        kind = self.rng.choice(["JOIN", "JOIN", "LEFT JOIN", "FULL JOIN"])
        table = ("{local} l", "{t} a")
        if self.rng.random() < 0.3:
            table = ("{t} a", "{local} l")
        on = self.matches()
        if kind != "FULL JOIN" and self.rng.random() < 0.4:
            on = conditions.connect("AND", [on, self.conditions.random(2)])
        template = (
            f"SELECT l.n, {{targets}} FROM {table[0]} {kind} {table[1]} "
            "ON {on} WHERE {where}"
        )
        return Query("join", template, self.targets(), self.where(), on)

    def lateral(self):
        """Return a query that is run again for each local row."""
        on = self.matches(COMPARISONS)
        limit = ""
        if self.rng.random() < 0.3:
            limit = f" ORDER BY {self.number()[0]} LIMIT 2"
        template = (
            "SELECT l.n, s.* FROM {local} l, LATERAL (SELECT {targets} FROM {t} a "
            f"WHERE {{on}} AND {{where}}{limit}) s"
        )
        targets = tuple(
            (f"{sql} AS t{index}", used)
            for index, (sql, used) in enumerate((self.number(),) + self.targets())
        )
        return Query("lateral", template, targets, self.where(), on)

    def subquery(self):
        """Return EXISTS, IN, a scalar subquery, or one that is run once."""
        on = self.matches(COMPARISONS)
        source, column = self.sources()
        name = self.conditions.reference(column)
        draw = self.rng.randint(0, 4)
        template = [
            "SELECT {targets} FROM {t} a WHERE {where} AND EXISTS "
            "(SELECT FROM {local} l WHERE {on})",
            "SELECT {targets} FROM {t} a WHERE {where} AND NOT EXISTS "
            "(SELECT FROM {local} l WHERE {on})",
            f"SELECT {{targets}} FROM {{t}} a WHERE {{where}} AND {name} IN "
            f"(SELECT {source} FROM {{local}} l)",
            "SELECT l.n, (SELECT count(*) FROM {t} a WHERE {on} AND {where}) "
            "FROM {local} l",
            f"SELECT {{targets}} FROM {{t}} a WHERE {{where}} AND {name} = "
            f"(SELECT {source} FROM {{local}} l WHERE n = 2)",
        ][draw]
        targets = self.targets()
        if draw in (2, 4):
            on = TRUE
            targets += (self.target(column),)
        return Query("subquery", template, targets, self.where(), on)

    def self_join(self):
        """Return a join of the table with itself."""
        name, used = self.target(self.grouped("jsonb"))
        template = (
            "SELECT b.k, {targets} FROM {t} a JOIN {t} b "
            f"ON {name} = b.{name[2:]} WHERE {{where}} AND b.k < 20"
        )
        targets = (self.number(), (name, used))
        return Query("self join", template, targets, self.where())

    def union(self):
        """Return set operations."""
        name, used = self.target(self.grouped())
        word = self.rng.choice(["UNION", "UNION ALL", "EXCEPT", "INTERSECT"])
        template = (
            "SELECT {targets} FROM {t} a WHERE {where} "
            f"{word} SELECT {{targets}} FROM {{t}} a WHERE {{on}}"
        )
        return Query(
            "union", template, ((name, used),), self.where(), self.where(), loose=True
        )


def local_columns(rng, table):
    """Choose the columns of a local table: name -> the table's column."""
    columns = [c for c in table.columns if base_kind(c.type) not in UNGROUPED]
    chosen = rng.sample(columns, min(4, len(columns)))
    return {f"v{index}": column.name for index, column in enumerate(chosen)}


def local_ddl(rng, table, columns, name):
    """Return the statements that make the local table of a table."""
    declared = "".join(
        f", {local} {table.column(of).type.sql} {table.column(of).type.collation}"
        for local, of in columns.items()
    )
    statements = [f"CREATE TABLE {name} (n int{declared})"]
    maker = Conditions(rng, table)
    for number in range(LOCAL_ROWS):
        values = [str(number)]
        for of in columns.values():
            known = maker.known[of]
            text = rng.choice(known) if known and rng.random() < 0.85 else None
            values.append(Operand(text, table.column(of).type.sql, True).literal())
        statements.append(f"INSERT INTO {name} VALUES ({', '.join(values)})")
    return statements + [f"ANALYZE {name}"]


