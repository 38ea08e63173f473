"""Random conditions over a table's columns, as trees that can be made smaller."""

import re
from dataclasses import dataclass, replace

import documents
from tables import TYPES, identifier, quote

INTEGERS = [str(number) for number in documents.INTEGERS]
SMALL = [text for text in INTEGERS if -32768 <= int(text) <= 32767]
MIDDLE = [text for text in INTEGERS if -(2**31) <= int(text) < 2**31]
DOUBLES = [repr(number) for number in documents.DOUBLES]
SINGLES = ["0", "-0", "1", "3.7", "0.1", "1.1", "2.5", "16777216", "1e38", "NaN"]
SINGLES += ["Infinity", "-Infinity", "42"]
DECIMALS = documents.DECIMALS
STRINGS = [text for text in documents.STRINGS if "\0" not in text]
NAMES = [text for text in STRINGS if len(text) < 60]
BLANKS = ["ab", "ab ", "ab   ", "a", "", "abc", "  ", "ABC", "$x"]
# SecantusDB refuses dates outside the years 1 to 9999.
MOMENTS = [
    "1970-01-01 00:00:00",
    "2020-01-01 00:00:00",
    "2020-01-01 00:00:00.001",
    "2020-01-01 00:00:00.0005",
    "2019-12-31 23:59:59.999",
    "2020-01-01 12:00:00.123",
    "2020-11-01 01:30:00",
    "2020-06-01 00:00:00",
    "infinity",
    "-infinity",
    "0001-01-03 00:00:00",
    "9999-12-29 23:59:59.999999",
]
ZONED = MOMENTS + ["2020-01-01 05:30:00+05:30", "1970-01-01 00:00:00Z"]
DAYS = ["1970-01-01", "2020-01-01", "2019-12-31", "2020-06-01", "1969-12-31"]
DAYS += ["infinity", "0001-01-03", "9999-12-29", "2020-11-01"]

# type of an operand -> texts of it
POOLS = {
    "int2": SMALL,
    "int4": MIDDLE,
    "int8": INTEGERS,
    "numeric": DECIMALS + MIDDLE,
    "float4": SINGLES,
    "float8": DOUBLES,
    "text": STRINGS,
    "varchar": STRINGS,
    "name": NAMES,
    "char(5)": BLANKS,
    "bpchar": BLANKS,
    "timestamptz": ZONED,
    "timestamp": MOMENTS,
    "date": DAYS,
    "bool": ["t", "f"],
    "uuid": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "0" * 32, "f" * 32],
    "bytea": ["\\x", "\\x616263", "\\x5381ccf9d6d81c8e5bf0114d", "\\x00", "\\xff00"],
    "label": documents.LABELS,
    "pynomaly.objectid": [data.hex() for data in documents.OBJECTIDS],
    "interval": ["1 day", "24:00:00", "01:00:00", "30 days", "-3 days"],
    "inet": ["10.0.0.1", "192.168.0.0/16", "::1"],
    "jsonb": ["1", "1.0", '"a"', "{}", "[]", "null", "true", '{"x": 1}'],
}
_INT_OPERANDS = "int2 int4 int8 numeric float8 float4".split()
# kind of a column -> the types that it is compared with
OPERANDS = {
    "int2": _INT_OPERANDS,
    "int4": _INT_OPERANDS,
    "int8": _INT_OPERANDS,
    "float4": ["float4", "float8", "int4", "int8"],
    "float8": ["float8", "float4", "int4", "int8"],
    "numeric": ["numeric", "numeric", "int4", "int8", "int2"],
    "text": ["text", "text", "varchar", "name", "char(5)"],
    "varchar": ["text", "varchar", "name", "char(5)"],
    "name": ["name", "text", "varchar"],
    "char": ["bpchar", "char(5)", "text", "varchar"],
    "timestamptz": ["timestamptz", "timestamptz", "timestamp", "date"],
    "timestamp": ["timestamp", "timestamp", "timestamptz", "date"],
    "date": ["date", "date", "timestamp", "timestamptz"],
    "bool": ["bool"],
    "uuid": ["uuid"],
    "bytea": ["bytea"],
    "enum": ["label"],
    "objectid": ["pynomaly.objectid"],
    "interval": ["interval"],
    "inet": ["inet"],
    "jsonb": ["jsonb"],
}
SHIPPABLE = set(OPERANDS) - {"interval", "inet", "jsonb"}
# What docs/pushdown.md says is shipped exactly: leaves, by their maker, on
# columns of some kinds.
INTEGER_TYPES = {"int2", "int4", "int8"}
FLOAT_TYPES = {"float4", "float8"}
EXACT_MAKERS = {"comparison", "between", "member_of", "distinct", "null_test", "boolean"}
EXACT_MAKERS |= {"any_of"}
EXACT_KINDS = {"int2", "int4", "int8", "float4", "float8", "numeric", "bool", "enum"}
EXACT_KINDS |= {"timestamp", "timestamptz", "date", "objectid"}
COMPARISONS = ["=", "=", "=", "<>", "<", "<=", ">", ">="]


@dataclass(frozen=True)
class Operand:
    """A constant or a parameter; a parameter has a second value for a rerun."""

    text: str
    type: str
    typed: bool
    second: str = None

    def literal(self):
        """Return it as a literal."""
        if self.text is None:
            return f"NULL::{self.type}" if self.typed else "NULL"
        return quote(self.text) + (f"::{self.type}" if self.typed else "")


@dataclass(frozen=True)
class Leaf:
    """A condition without parts: SQL text and operands, and the columns in it."""

    parts: tuple
    columns: frozenset
    risky: bool = False  # PostgreSQL may raise an error when it evaluates it
    construct: str = None  # "comparison of int4": what the census counts
    listed: bool = False  # an expression that is said to be shipped exactly

    def render(self, operand):
        """Return its SQL; operand(Operand) gives an operand's."""
        return "".join(
            operand(part) if isinstance(part, Operand) else part for part in self.parts
        )

    def used(self):
        """Return the columns in it."""
        return self.columns

    def may_fail(self):
        """May its evaluation raise an error?"""
        return self.risky

    def smaller(self):
        """Yield simpler conditions."""
        if self != TRUE:
            yield TRUE
        for index, part in enumerate(self.parts):
            if isinstance(part, Operand) and part.text and part.text[0] == "{":
                for text in _shorter_array(part.text):
                    parts = list(self.parts)
                    parts[index] = replace(part, text=text)
                    yield replace(self, parts=tuple(parts))


@dataclass(frozen=True)
class Tree:
    """Conditions within text: NOT (a), (a AND b), (a) IS TRUE and so on."""

    texts: tuple  # before, between and after the nodes
    nodes: tuple

    def render(self, operand):
        """Return its SQL."""
        sql = self.texts[0]
        for node, text in zip(self.nodes, self.texts[1:]):
            sql += node.render(operand) + text
        return sql

    def used(self):
        """Return the columns in it."""
        return frozenset().union(*(node.used() for node in self.nodes))

    def may_fail(self):
        """May its evaluation raise an error?"""
        return any(node.may_fail() for node in self.nodes)

    def smaller(self):
        """Yield simpler conditions: a node alone, one left out, one smaller."""
        yield TRUE
        yield from self.nodes
        connected = self.texts[1] in (" AND ", " OR ")
        for index, node in enumerate(self.nodes):
            before, after = self.nodes[:index], self.nodes[index + 1 :]
            if connected and len(self.nodes) > 2:
                texts = self.texts[:1] + self.texts[2:]
                yield Tree(texts, before + after)
            for simpler in node.smaller():
                yield Tree(self.texts, before + (simpler,) + after)


TRUE = Leaf(("true",), frozenset())


def connect(connector, nodes):
    """Return (a AND b AND ...) or the same with OR."""
    middle = (f" {connector} ",) * (len(nodes) - 1)
    return Tree(("(",) + middle + (")",), tuple(nodes))


class Conditions:
    """Makes conditions over one table's columns."""

    def __init__(self, rng, table, alias="a"):
        self.rng = rng
        self.table = table
        self.alias = alias
        self.known = {c.name: table.values(c.name) for c in table.columns}
        self.expressions = None  # other makers of leaves, which need this one

    def reference(self, column):
        """Return a column as an expression."""
        return f"{self.alias}.{identifier(column.name)}"

    def key(self, column):
        """Return what a column in use is known by."""
        return column.name if self.alias == "a" else f"{self.alias}\0{column.name}"

    def column(self):
        """Return a random column, mostly one whose conditions can be shipped."""
        columns = self.table.columns
        if self.rng.random() < 0.85:
            columns = [c for c in columns if base_kind(c.type) in SHIPPABLE]
        return self.rng.choice(columns)

    def random(self, depth=0):
        """Return a random condition."""
        draw = self.rng.random()
        if depth >= 3 or draw < 0.45:
            return self.leaf()
        if draw < 0.80:
            nodes = [self.random(depth + 1) for _ in range(self.rng.randint(2, 3))]
            return connect(self.rng.choice(["AND", "OR"]), nodes)
        node = self.random(depth + 1)
        if draw < 0.95:
            return Tree(("NOT (", ")"), (node,))
        other = self.random(depth + 1)
        return self.rng.choice(
            [
                Tree(("(", f") IS {self.truth()}"), (node,)),
                Tree(("((", ") = (", "))"), (node, other)),
                Tree(("((", ") <> (", "))"), (node, other)),
                Tree(("COALESCE(", ", ", ")"), (node, other)),
                Tree(("CASE WHEN ", " THEN ", " ELSE false END"), (node, other)),
                Tree(("((", ") IS DISTINCT FROM (", "))"), (node, other)),
            ]
        )

    def truth(self):
        """Return what follows IS in a test of a truth value."""
        word = self.rng.choice(["TRUE", "FALSE", "UNKNOWN"])
        return self.rng.choice(["", "NOT "]) + word

    def leaf(self):
        """Return a condition on one column, or on an expression."""
        if self.expressions and self.rng.random() < 0.4:
            leaf = self.expressions.leaf()
            if leaf:
                return leaf
        return self.leaf_of_columns()

    def leaf_of_columns(self):
        """Return a condition on one column."""
        column = self.column()
        draw = self.rng.random()
        makers = [self.null_test]
        kind = base_kind(column.type)
        if kind in OPERANDS:
            makers += [self.comparison] * 5 + [self.member_of] * 2 + [self.any_of] * 2
            makers += [self.between] * 2 + [self.distinct] + [self.local] * (draw < 0.5)
            if kind == "bool":
                makers += [self.boolean] * 6
            if kind == "jsonb":
                makers = [self.null_test, self.comparison, self.json_test]
        elif kind == "array":
            makers += [self.array_test] * 3
        maker = self.rng.choice(makers)
        leaf = maker(column)
        odd = "" if is_plain(column) and same_family(leaf, kind) else " (odd)"
        return replace(leaf, construct=f"{maker.__name__} of {kind}{odd}")

    def of(self, column, *parts):
        """Make a leaf; the column's expression is put in front of the parts."""
        return Leaf((self.reference(column),) + parts, frozenset([self.key(column)]))

    def operand(self, column, type_=None):
        """Return an operand to compare a column with."""
        rng = self.rng
        kind = base_kind(column.type)
        type_ = type_ or rng.choice(OPERANDS[kind])
        typed = type_ != native_type(column.type) or rng.random() < 0.6
        return Operand(
            self.text(column, type_), type_, typed, self.text(column, type_)
        )

    def text(self, column, type_):
        """Return an operand's value, None for NULL."""
        draw = self.rng.random()
        if draw < 0.04:
            return None
        known = self.known[column.name]
        if draw < 0.6 and known and type_ == native_type(column.type):
            return self.rng.choice(known)
        return self.rng.choice(POOLS[type_])

    def comparison(self, column):
        """column = operand, or the other way round, or column = column."""
        operator = self.rng.choice(COMPARISONS)
        if base_kind(column.type) == "jsonb":
            operator = self.rng.choice(["=", "<>"])
        draw = self.rng.random()
        if draw < 0.15:
            peers = [c for c in self.table.columns if c.type == column.type]
            other = self.rng.choice(peers)
            parts = (self.reference(column), f" {operator} ", self.reference(other))
            return Leaf(parts, frozenset([self.key(column), self.key(other)]))
        if draw < 0.3:
            parts = (self.operand(column), f" {operator} ", self.reference(column))
            return Leaf(parts, frozenset([self.key(column)]))
        return self.of(column, f" {operator} ", self.operand(column))

    def member_of(self, column):
        """column [NOT] IN (...)."""
        type_ = self.rng.choice(OPERANDS[base_kind(column.type)])
        count = self.rng.randint(1, 5)
        parts = [self.rng.choice([" IN (", " IN (", " NOT IN ("])]
        for index in range(count):
            parts += [", "] * (index > 0) + [self.operand(column, type_)]
        return self.of(column, *parts, ")")

    def any_of(self, column):
        """column = ANY (array) and the like."""
        type_ = self.rng.choice(OPERANDS[base_kind(column.type)])
        test = self.rng.choice(["= ANY", "= ANY", "<> ALL", "> ANY", "<= ALL", "= ALL"])
        values = [array_text(self.texts(column, type_)) for _ in range(2)]
        if self.rng.random() < 0.04:
            values[0] = None
        operand = Operand(values[0], type_ + "[]", True, values[1])
        return self.of(column, f" {test} (", operand, ")")

    def texts(self, column, type_):
        """Return the values of an array operand."""
        count = self.rng.choice([0, 1, 2, 3, 5])
        return [self.text(column, type_) for _ in range(count)]

    def between(self, column):
        """column [NOT] BETWEEN [SYMMETRIC] a AND b, or the two comparisons."""
        low, high = self.operand(column), self.operand(column)
        if self.rng.random() < 0.3:
            name = self.reference(column)
            return self.of(column, " >= ", low, f" AND {name} < ", high)
        test = self.rng.choice(["BETWEEN", "BETWEEN", "NOT BETWEEN"])
        test += self.rng.choice(["", "", " SYMMETRIC"])
        return self.of(column, f" {test} ", low, " AND ", high)

    def distinct(self, column):
        """column IS [NOT] DISTINCT FROM operand."""
        test = self.rng.choice([" IS DISTINCT FROM ", " IS NOT DISTINCT FROM "])
        return self.of(column, test, self.operand(column))

    def null_test(self, column):
        """column IS [NOT] NULL."""
        return self.of(column, self.rng.choice([" IS NULL", " IS NOT NULL"]))

    def boolean(self, column):
        """A column that is a condition itself."""
        return self.of(
            column, self.rng.choice(["", "", f" IS {self.truth()}", " = true"])
        )

    def local(self, column):
        """What MongoDB could not say in the same way."""
        name = self.reference(column)
        kind = base_kind(column.type)
        choices = [f"length({name}::text) > 2", f"{name}::text LIKE '%a%'"]
        if kind in ("int2", "int4", "int8"):
            choices = [f"{name}::numeric + 1 = 3", f"{name} % 2 = 1"]
        elif kind in ("text", "varchar", "char"):
            choices += [f"upper({name}) = 'ABC'", f"{name} || 'x' = 'abx'"]
            choices += [f"{name} LIKE 'a%'", f"{name} ~ '^[a-c]+$'"]
        return Leaf((self.rng.choice(choices),), frozenset([self.key(column)]))

    def json_test(self, column):
        """Operators of jsonb."""
        return self.of(
            column,
            self.rng.choice(
                [" ? 'x'", " ->> 'x' IS NULL", " ->> 'y' = 'a'", " @> '{\"x\": 1}'"]
            ),
        )

    def array_test(self, column):
        """Operators of arrays."""
        name = self.reference(column)
        known = self.known[column.name] or ["{}"]
        values = [self.rng.choice(known + ["{}"]) for _ in range(2)]
        operand = Operand(values[0], column.type.sql, True, values[1])
        operator = self.rng.choice(["=", "<>", "<", ">=", "&&", "@>", "<@"])
        element = column.type.element
        if element.sql in POOLS and self.rng.random() < 0.4:
            texts = [self.rng.choice(POOLS[element.sql]) for _ in range(2)]
            member = Operand(texts[0], element.sql, True, texts[1])
            return Leaf((member, f" = ANY ({name})"), frozenset([self.key(column)]))
        if self.rng.random() < 0.2:
            return Leaf((f"cardinality({name}) > 1",), frozenset([self.key(column)]))
        return self.of(column, f" {operator} ", operand)


def is_plain(column):
    """Is a column no domain, and can MongoDB's match language name its field?"""
    return (
        column.type.base is None
        and column.type.precision == 0
        and column.path is not None
        and re.fullmatch(r"[^.\\$]+(\.[a-z]+)*", column.path) is not None
    )


def same_family(leaf, kind):
    """Are the operands of a leaf of the kind's own family of types?"""
    family = next((f for f in (INTEGER_TYPES, FLOAT_TYPES) if kind in f), {kind})
    types = {part.type for part in leaf.parts if isinstance(part, Operand)}
    return all(type_.split(".")[-1] in family | {"label"} for type_ in types)


def is_listed(construct):
    """Is a construct one that is said to be shipped exactly?"""
    maker, _, kind = construct.partition(" of ")
    if kind == "":
        return construct.endswith(" (listed)")
    return maker in EXACT_MAKERS and kind in EXACT_KINDS


def tests_null(condition):
    """Is a condition an IS [NOT] NULL of a column, and nothing more?"""
    return isinstance(condition, Leaf) and condition.parts[1:] in (
        (" IS NULL",),
        (" IS NOT NULL",),
    )


def base_kind(type_):
    """Return the kind by which a type's values are compared."""
    return type_.base.kind if type_.base else type_.kind


def native_type(type_):
    """Return the type that an untyped literal beside a column takes."""
    if type_.base:
        return native_type(type_.base)
    return {"char": "bpchar"}.get(type_.kind, type_.sql.split("(")[0])


def array_text(texts):
    """Return an array's literal."""
    escaped = [
        "NULL"
        if text is None
        else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
        for text in texts
    ]
    return "{" + ",".join(escaped) + "}"


def _shorter_array(text):
    """Yield an array's literal without one of its elements (no commas within)."""
    items = text[1:-1].split(",") if text[1:-1] and '","' in text else []
    for index in range(len(items)):
        yield "{" + ",".join(items[:index] + items[index + 1 :]) + "}"
