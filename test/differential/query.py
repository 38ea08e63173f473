"""A query, and how it is written down."""

from dataclasses import dataclass, replace

from conditions import TRUE, Operand

# Types for which several values stand for one group (-0 and 0, 1.1 and 1.10),
# or none.
UNGROUPED = {"json", "interval", "array"}


@dataclass(frozen=True)
class Query:
    """A query: a template, its targets, conditions, and how it is run.

    In the template {targets}, {where} and {on} stand for those, {t} for the
    table and {local} for a small local table; {u}, {v} and {w} for the other
    tables, whose columns are named with their alias.
    """

    kind: str
    template: str
    targets: tuple  # of (SQL, columns in it)
    where: object
    on: object = TRUE
    ordered: bool = False
    loose: bool = False  # any value of a group may stand for it
    mode: str = "literal"  # "custom", "generic": a prepared statement; "cursor"
    settings: tuple = ()
    others: tuple = ()  # of tables: {u}, {v}, {w}
    extra: tuple = ()  # conditions and columns in the template itself
    rough: bool = False  # sums of floats depend on the order of addition

    def used(self):
        """Return the columns that the query uses."""
        columns = frozenset().union(*(columns for _, columns in self.targets))
        columns |= frozenset().union(*(leaf.used() for leaf in self.extra))
        return columns | self.where.used() | self.on.used()

    def may_fail(self):
        """May its evaluation raise an error, whatever the mapping?"""
        return any(leaf.may_fail() for leaf in (self.where, self.on, *self.extra))

    def mismatched(self, table):
        """Return the columns in use of which some value does not fit."""
        wrong = {"a": table} | dict(zip("bcd", self.others))
        found = set()
        for column in self.used():
            alias, _, name = column.rpartition("\0")
            if name in wrong[alias or "a"].mismatched():
                found.add(column)
        return found

    def fails_on_mismatch(self, table):
        """Is a value that does not fit an error in any of the tables?"""
        return any(t.on_mismatch == "error" for t in (table, *self.others))

    def body(self, table, local, operand, prefix=""):
        """Return the SELECT; operand(Operand) writes an operand.

        prefix stands before the names of the tables, not of the local one.
        """
        text = self.template.replace(
            "{targets}", ", ".join(sql for sql, _ in self.targets)
        )
        # Conditions are put in last: constants may look like a placeholder.
        text = text.replace("{t}", prefix + table).replace("{local}", local)
        for name, other in zip("uvw", self.others):
            text = text.replace(f"{{{name}}}", prefix + other.name)
        pieces = []
        for piece in text.split("{where}"):
            joined = piece.split("{on}")
            pieces.append(self.on.render(operand).join(joined))
        return self.where.render(operand).join(pieces)

    def script(self, table, local, prefix=""):
        """Return the statements that run the query."""
        lines = [f"SET {name} = off" for name in self.settings]
        if self.mode == "literal":
            return lines + [self.body(table, local, Operand.literal, prefix)]
        if self.mode == "cursor":
            body = self.body(table, local, Operand.literal, prefix)
            lines += ["BEGIN", f"DECLARE c CURSOR FOR {body}"]
            return lines + ["FETCH 2 FROM c", "FETCH 3 FROM c", "FETCH ALL FROM c",
                            "CLOSE c", "COMMIT"]
        operands = []

        def number(operand):
            operands.append(operand)
            return f"${len(operands)}"

        body = self.body(table, local, number, prefix)
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
        if self.template != plain and self.on == TRUE and not self.others:
            yield replace(self, template=plain, ordered=False)
        if len(self.targets) > 1:
            for target in self.targets:
                yield replace(self, targets=(target,))
        for where in self.where.smaller():
            yield replace(self, where=where)
        for condition in self.on.smaller():
            yield replace(self, on=condition)
