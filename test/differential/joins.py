"""Random queries over several foreign tables."""

import conditions
from conditions import TRUE, Conditions, Leaf, Operand, base_kind
from query import UNGROUPED, Query

MOST_TABLES = 4
UNJOINED = UNGROUPED | {"jsonb"}


class Joins:
    """Makes joins of a table, alias a, with others, aliases b, c and d."""

    def __init__(self, maker):
        self.rng = maker.rng
        self.maker = maker

    def start(self, most):
        """Choose the tables; return the others and the conditions of each."""
        rng = self.rng
        count = rng.choice([1, 1, 1, 2, 2, 3])
        others = [rng.choice(self.maker.others) for _ in range(min(count, most))]
        makers = [self.maker.conditions]
        for alias, table in zip("bcd", others):
            makers.append(Conditions(rng, table, alias))
        return tuple(others), makers

    def equality(self, makers, new):
        """Return an equality between a column of a table and one of an earlier."""
        pairs = [
            (maker, column, other)
            for maker in makers
            for column in maker.table.columns
            for other in new.table.columns
            if base_kind(column.type) not in UNJOINED and column.type == other.type
        ]
        maker, column, other = self.rng.choice(pairs)
        parts = (f"{maker.reference(column)} = {new.reference(other)}",)
        return Leaf(parts, frozenset([maker.key(column), new.key(other)]))

    def on(self, makers, new, plain):
        """Return the condition of a join."""
        equality = self.equality(makers, new)
        draw = self.rng.random()
        if plain or draw < 0.5:
            return equality
        if draw < 0.7:
            return conditions.connect("AND", [equality, self.equality(makers, new)])
        other = self.rng.choice(makers + [new]).leaf()
        return conditions.connect("AND", [equality, other])

    def tables(self):
        """Return the FROM clause, its tables, the conditions in it, all makers."""
        others, makers = self.start(MOST_TABLES - 1)
        source, extra = "{t} a", []
        for number, place in enumerate("uvw"[: len(others)]):
            kinds = ["JOIN", "JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN"]
            kind = self.rng.choice(kinds + ["FULL JOIN"])
            new = makers[number + 1]
            on = self.on(makers[: number + 1], new, kind == "FULL JOIN")
            extra.append(on)
            text = on.render(Operand.literal)
            source += f" {kind} {{{place}}} {new.alias} ON {text}"
        return source, others, extra, makers

    def where(self, makers):
        """Return a condition over the tables."""
        nodes = [maker.random(2) for maker in self.rng.sample(makers, 1)]
        limits = [
            Leaf((f"{maker.alias}.k < {self.rng.choice([10, 20, 30])}",), frozenset())
            for maker in makers[2:]
        ]
        return conditions.connect("AND", nodes + limits + [TRUE])

    def target(self, makers):
        """Return a random column of one of the tables as a target."""
        maker = self.rng.choice(makers)
        column = self.rng.choice(maker.table.columns)
        return maker.reference(column), frozenset([maker.key(column)])

    def join(self):
        """Return a join."""
        source, others, extra, makers = self.tables()
        targets = tuple((f"{maker.alias}.k", frozenset()) for maker in makers)
        targets += tuple(self.target(makers) for _ in range(self.rng.randint(0, 3)))
        template = f"SELECT {{targets}} FROM {source} WHERE {{where}}"
        ordered = self.rng.random() < 0.3
        if ordered:
            keys = ", ".join(f"{maker.alias}.k" for maker in makers)
            template += f" ORDER BY {keys}{self.rng.choice(['', ' LIMIT 7'])}"
        return Query(
            "join of collections", template, targets, self.where(makers),
            ordered=ordered, others=others, extra=tuple(extra),
        )

    def aggregate(self):
        """Return aggregates over a join."""
        source, others, extra, makers = self.tables()
        maker = self.rng.choice(makers)
        column = self.rng.choice(
            [c for c in maker.table.columns
             if base_kind(c.type) not in UNGROUPED]
        )
        name, used = maker.reference(column), frozenset([maker.key(column)])
        targets = ((name, used), ("count(*)", frozenset()))
        targets += ((f"sum({self.rng.choice(makers).alias}.k)", frozenset()),)
        value = self.target(makers)
        targets += ((f"count({value[0]})", value[1]),)
        template = f"SELECT {{targets}} FROM {source} WHERE {{where}} GROUP BY {name}"
        return Query(
            "aggregate of a join", template, targets, self.where(makers),
            loose=True, others=others, extra=tuple(extra),
        )

    def exists(self):
        """Return a semi or an anti join."""
        others, makers = self.start(1)
        first, second = makers
        on = self.on([first], second, False)
        draw = self.rng.randint(0, 3)
        if draw < 2:
            word = ["EXISTS", "NOT EXISTS"][draw]
            test = f"{word} (SELECT FROM {{u}} b WHERE {on.render(Operand.literal)})"
            extra = (on,)
        else:
            word = ["IN", "NOT IN"][draw - 2]
            equality = self.equality([first], second)
            left, right = equality.parts[0].split(" = ", 1)
            test = f"{left} {word} (SELECT {right} FROM {{u}} b WHERE b.k < 9)"
            extra = (equality,)
        template = f"SELECT {{targets}} FROM {{t}} a WHERE {test} AND {{where}}"
        targets = (self.maker.number(),) + self.maker.targets()
        return Query(
            "semi join", template, targets, self.maker.where(),
            others=others, extra=extra,
        )
