"""Random queries over a table."""

from dataclasses import replace

import conditions
from conditions import COMPARISONS, TRUE, Conditions, Leaf, Operand, base_kind
from expressions import Expressions
from joins import Joins
from query import UNGROUPED, Query

LOCAL_ROWS = 6
PLANNER = ["enable_hashjoin", "enable_mergejoin", "enable_material", "enable_memoize"]
PLANNER += ["enable_nestloop", "enable_sort", "enable_hashagg"]
PLANNER += ["pynomaly_store.enable_batched_join_pushdown"]


class Queries:
    """Makes queries over one table."""

    def __init__(self, rng, table, local, others=()):
        self.rng = rng
        self.table = table
        self.local = local
        self.conditions = Conditions(rng, table)
        self.conditions.expressions = Expressions(rng, self.conditions)
        self.others = others  # tables that it is joined with
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
            (self.ordered, 3),
            (self.ties, 1),
            (self.distinct_on, 1),
            (self.grouped_expressions, 3),
            (self.grouping_sets, 1),
            (self.nested, 1),
        ]
        if others:
            joins = Joins(self)
            self.makers += [(joins.join, 6), (joins.aggregate, 2), (joins.exists, 3)]

    def random(self):
        """Return a random query."""
        makers, weights = zip(*self.makers)
        query = self.rng.choices(makers, weights)[0]()
        modes = ["literal"] * 6 + ["custom"] * 3 + ["generic"] * 3 + ["cursor"]
        mode = self.rng.choice(modes)
        count = self.rng.choice([0, 0, 1, 2, 3])
        return replace(
            query, mode=mode, settings=tuple(sorted(self.rng.sample(PLANNER, count)))
        )

    # ----- parts -----

    def where(self):
        """Return a condition, sometimes none."""
        return TRUE if self.rng.random() < 0.08 else self.conditions.random()

    def safe_leaf(self):
        """Return a condition whose evaluation raises no error."""
        while True:
            leaf = self.conditions.leaf()
            if not leaf.may_fail():
                return leaf

    def target(self, column):
        """Return a column as a target."""
        name = self.conditions.reference(column)
        return name, frozenset([self.conditions.key(column)])

    def targets(self):
        """Return random targets."""
        count = min(self.rng.choice([1, 1, 2, 3, 5, 99]), len(self.table.columns))
        columns = self.rng.sample(self.table.columns, count)
        targets = [self.target(column) for column in columns]
        if self.rng.random() < 0.15:
            condition = self.safe_leaf()
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
                choices += [f"count(DISTINCT {name})", f"sum(DISTINCT {name})"]
                if kind != "numeric":
                    function = self.rng.choice(
                        ["var_pop", "var_samp", "stddev_pop", "stddev"]
                    )
                    choices += [f"avg({name})", f"{function}({name})"]
            elif kind in ("float4", "float8", "text", "char", "varchar", "date"):
                choices += [f"min({name})", f"max({name})", f"count(DISTINCT {name})"]
            elif kind in ("timestamp", "timestamptz", "enum"):
                choices += [f"min({name})", f"max({name})", f"count(DISTINCT {name})"]
            elif kind == "bool":
                choices += [f"bool_and({name})", f"bool_or({name})", f"count(DISTINCT {name})"]
            aggregate = self.rng.choice(choices)
            if self.rng.random() < 0.15:
                condition = self.safe_leaf()
                aggregate += f" FILTER (WHERE {condition.render(Operand.literal)})"
                used |= condition.used()
            targets.append((aggregate, used))
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


    def order(self, count):
        """Return an ORDER BY of some columns and expressions, and what it uses.

        The number of the document makes it total.
        """
        leaves, keys = [], []
        for _ in range(count):
            value = None
            if self.rng.random() < 0.3:
                value = self.conditions.expressions.value()
            if value is not None:
                leaf = value.and_then()
                leaves.append(leaf)
                sql = leaf.render(Operand.literal)
            else:
                sql, used = self.target(self.grouped())
                leaves.append(Leaf((), used))
            direction = self.rng.choice(["", " DESC"])
            nulls = self.rng.choice(["", "", " NULLS FIRST", " NULLS LAST"])
            keys.append(f"({sql}){direction}{nulls}")
        return ", ".join(keys + [self.number()[0]]), tuple(leaves)

    def ordered(self):
        """Return rows in a total order, all of them or some."""
        order, leaves = self.order(self.rng.randint(1, 3))
        limits = ["", "", " LIMIT 5", " OFFSET 3", " LIMIT 4 OFFSET 1", " LIMIT ALL"]
        limits += [" LIMIT 0", " LIMIT NULL", " OFFSET 4294967296"]
        template = (
            "SELECT {targets} FROM {t} a WHERE {where} "
            f"ORDER BY {order}{self.rng.choice(limits)}"
        )
        targets = (self.number(),) + self.targets()
        return Query(
            "ordered", template, targets, self.where(), ordered=True, extra=leaves
        )

    def ties(self):
        """Return the first rows of an order and those that are equal to the last."""
        name, used = self.target(self.grouped())
        direction = self.rng.choice(["", " DESC", " NULLS FIRST", " DESC NULLS LAST"])
        template = (
            "SELECT {targets} FROM {t} a WHERE {where} "
            f"ORDER BY {name}{direction} FETCH FIRST 3 ROWS WITH TIES"
        )
        targets = ((name, used), self.number())
        return Query("ties", template, targets, self.where(), loose=True)

    def distinct_on(self):
        """Return one row of each value of a column."""
        name, used = self.target(self.grouped())
        key, _ = self.number()
        template = (
            f"SELECT DISTINCT ON ({name}) {{targets}} FROM {{t}} a WHERE {{where}} "
            f"ORDER BY {name}, {key}"
        )
        targets = (self.number(), (name, used)) + self.targets()
        return Query("distinct on", template, targets, self.where(), ordered=True)

    def fancy_aggregate(self):
        """Return an aggregate with DISTINCT, ORDER BY or FILTER, and its uses."""
        column = self.rng.choice(self.table.columns)
        name, used = self.target(column)
        key, _ = self.number()
        kind = base_kind(column.type)
        choices = [f"count({name})"]
        if kind not in UNGROUPED:
            choices += [f"count(DISTINCT {name})", f"array_agg({key} ORDER BY {key})"]
        if kind in ("int2", "int4", "int8"):
            choices += [f"sum(DISTINCT {name})", f"variance({name})", f"avg({name})"]
            choices += [f"stddev_pop({name})", f"sum({name}::int8)"]
            if kind != "int8":  # of which the least has no negative
                choices += [f"max(- {name}::int8)"]
            choices += [f"percentile_disc(0.5) WITHIN GROUP (ORDER BY {name})"]
        elif kind in ("float4", "float8"):
            near = f"FILTER (WHERE {name} BETWEEN -1000000 AND 1000000)"
            choices = [f"sum({name}) {near}", f"avg({name}) {near}", f"max({name})"]
            choices += [f"min({name})", f"sum({name}::float8) {near}"]
        elif kind in ("text", "varchar"):
            order = f'{name} COLLATE "C", {key}'
            choices += [f"string_agg({name}, ',' ORDER BY {order})"]
            choices += [f"min({name} COLLATE \"C\")", f"max(length({name}))"]
        elif kind == "bool":
            choices += [f"every({name})", f"bool_or(NOT {name})"]
        elif kind in ("timestamp", "timestamptz", "date"):
            choices += [f"min({name})", f"max({name})"]
            choices += [f"count(DISTINCT {name}::date)"]
        sql = self.rng.choice(choices)
        leaf = TRUE
        if "WITHIN" not in sql and "FILTER" not in sql and self.rng.random() < 0.3:
            leaf = self.conditions.leaf()
            sql += f" FILTER (WHERE {leaf.render(Operand.literal)})"
        return (sql, used), leaf

    def grouped_expressions(self):
        """Return aggregates by columns and expressions."""
        leaves, keys = [], []
        for _ in range(self.rng.choice([0, 1, 1, 2])):
            value = None
            if self.rng.random() < 0.5:
                value = self.conditions.expressions.value()
            if value is not None:
                leaves.append(value.and_then())
                keys.append((leaves[-1].render(Operand.literal), value.columns))
            else:
                keys.append(self.target(self.grouped()))
        aggregates = []
        for _ in range(self.rng.randint(1, 3)):
            aggregate, leaf = self.fancy_aggregate()
            aggregates.append(aggregate)
            leaves.append(leaf)
        template = "SELECT {targets} FROM {t} a WHERE {where}"
        if keys:
            numbers = ", ".join(str(number + 1) for number in range(len(keys)))
            template += f" GROUP BY {numbers}"
        if self.rng.random() < 0.3:
            template += self.rng.choice(
                [
                    " HAVING count(*) > 1 OR max(a.k) < 20",
                    " HAVING min(a.k) BETWEEN 2 AND 50",
                    " HAVING count(*) % 2 = 0 AND count(a.k) > 0",
                ]
            )
        return Query(
            "groups",
            template,
            tuple(keys + aggregates),
            self.where(),
            loose=True,
            extra=tuple(leaves),
            rough=True,
        )

    def grouping_sets(self):
        """Return aggregates by several groupings."""
        names = [self.target(self.grouped()) for _ in range(2)]
        word = self.rng.choice(["ROLLUP (", "CUBE (", "GROUPING SETS ((), "])
        template = (
            "SELECT {targets}, count(*), max(a.k) FROM {t} a WHERE {where} "
            f"GROUP BY {word}{names[0][0]}, {names[1][0]})"
        )
        return Query("sets", template, tuple(names), self.where(), loose=True)

    def nested(self):
        """Return aggregates of the first rows of an order."""
        name, used = self.target(self.grouped())
        template = (
            f"SELECT x, count(*) FROM (SELECT {name} AS x FROM {{t}} a WHERE {{where}} "
            "ORDER BY {targets} LIMIT 20) s GROUP BY x"
        )
        extra = (Leaf((), used),)
        targets = (self.number(),)
        return Query(
            "nested", template, targets, self.where(), loose=True, extra=extra
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


