"""Random expressions over a table's columns, and conditions made of them."""

from dataclasses import dataclass, replace

from conditions import COMPARISONS, POOLS, Leaf, Operand, base_kind, is_plain

INTEGER = ("int2", "int4", "int8")
FLOAT = ("float4", "float8")
STRING = ("text", "varchar", "name")
MOMENT = ("timestamp", "timestamptz")
# kinds of columns whose values MongoDB computes with
COMPUTED = set(INTEGER + STRING + MOMENT) | {"float8", "date"}
# what docs/pushdown.md says of date_trunc and extract
CUT = {"second", "minute", "hour", "day", "week", "month", "quarter", "year"}
EXTRACTED = {"year", "isoyear", "quarter", "month", "week", "day", "doy", "dow"}
EXTRACTED |= {"isodow", "hour", "minute"}
# What an expression of a kind is compared with, and what it is joined with.
COMPARED = {
    "int": ["int4", "int8", "int2"],
    "float": ["float8", "float8", "float4", "int4"],
    "text": ["text"],
    "timestamp": ["timestamp"],
    "timestamptz": ["timestamptz"],
    "date": ["date"],
    "numeric": ["numeric", "int4"],
}
FIELDS = ["year", "month", "day", "hour", "minute", "second", "dow", "doy"]
FIELDS += ["isodow", "week", "quarter", "epoch", "millisecond", "isoyear", "century"]
UNITS = ["day", "hour", "month", "year", "week", "quarter", "minute", "second"]
UNITS += ["millisecond", "decade"]
ZONES = ["UTC", "America/New_York", "Asia/Kolkata", "+02", "Europe/Berlin"]
LIKES = ["a%", "%a", "%b%", "a_c", "_", "%", "", "abc", "A%", "\\%", "a\\_b", "$x"]
LIKES += ["é%", "%\n%", "a.b", "a.%", "%.%", "(%", "[a-c]%", "%\\\\%", "__", "x%"]
REGEXES = ["^a", "a$", "^abc$", "b", "a.c", "^[a-c]+$", "\\.", "^$", "(ab|b)", "a*"]
REGEXES += ["^a\\\\$", "\\d", "\\w+", "^.$", "x{3}", "\\$x", "[[:alpha:]]", "é", "\n"]
PATHS = ["{x}", "{y}", "{0}", "{x,0}", "{z,x}", "{}"]
JSONS = ['{"x": 1}', '{"y": "a"}', "{}", "[]", '"a"', "1", '{"x": null}', "[1]"]
JSONS += ['{"x": 1.5}', '{"z": {}}', '["a"]', "null", '{"x": true}', '{"0": 2}']


@dataclass(frozen=True)
class Value:
    """An SQL expression: its parts, as a Leaf's, the columns in it, its kind."""

    parts: tuple
    columns: frozenset
    kind: str
    risky: bool = False  # PostgreSQL may raise an error when it evaluates it
    listed: bool = False  # docs/pushdown.md says that MongoDB computes it
    sorted: bool = False  # in it all strings are of the collation C

    def and_then(self, *parts, listed=True):
        """Return the condition that continues with parts (perhaps Values)."""
        flat, columns, risky = list(self.parts), self.columns, self.risky
        listed &= self.listed
        for part in parts:
            if isinstance(part, Value):
                flat += part.parts
                columns |= part.columns
                risky |= part.risky
                listed &= part.listed
            else:
                flat.append(part)
        return Leaf(tuple(flat), columns, risky, listed=listed and not risky)

    def orders(self, operator):
        """Is a comparison of it by an operator said to be shipped exactly?"""
        return self.listed and (
            self.kind != "text" or self.sorted or operator in ("=", "<>")
        )


class Expressions:
    """Makes expressions over one table's columns."""

    def __init__(self, rng, conditions):
        self.rng = rng
        self.conditions = conditions
        self.is_lenient = conditions.table.on_mismatch == "null"
        self.by_kind = {}
        for column in conditions.table.columns:
            self.by_kind.setdefault(base_kind(column.type), []).append(column)

    def is_canonical(self, value):
        """Is what it is compared with as good as one of its own values?"""
        return value.kind not in ("timestamp", "timestamptz", "date", "numeric")

    def columns(self, kinds):
        """Return the columns of some kinds."""
        return [c for kind in kinds for c in self.by_kind.get(kind, [])]

    def leaf(self):
        """Return a condition with an expression in it; None without columns."""
        makers = [self.compared] * 5 + [self.listed, self.null, self.distinct]
        makers += [self.between, self.pattern, self.pattern]
        makers += [self.json, self.array, self.peers]
        maker = self.rng.choice(makers)
        leaf = maker()
        if leaf is None:
            return None
        kind = "listed" if leaf.listed else "expression"
        return replace(leaf, construct=f"{maker.__name__} ({kind})")

    def value(self, depth=0):
        """Return an expression of a random kind, or None."""
        makers = [self.integer] * 4 + [self.float, self.text, self.text]
        makers += [self.moment, self.moment, self.date, self.number]
        return self.rng.choice(makers)(depth)

    # ----- expressions by kind -----

    def column(self, kinds, kind):
        """Return a column of some kinds as an expression, or None."""
        columns = self.columns(kinds)
        if not columns:
            return None
        column = self.rng.choice(columns)
        reference = self.conditions.reference(column)
        return Value(
            (reference,),
            frozenset([self.conditions.key(column)]),
            kind,
            listed=is_plain(column) and column.type.kind in COMPUTED,
            sorted="C" in column.type.collation,
        )

    def call(self, kind, *parts, risky=False, listed=True):
        """Return an expression of texts, operands and other expressions.

        listed says whether it is computed by MongoDB exactly, if its parts are.
        """
        leaf = Value((), frozenset(), kind, risky, True).and_then(*parts, listed=listed)
        values = [part for part in parts if isinstance(part, Value)]
        in_c = all(value.sorted for value in values if value.kind == "text")
        return Value(leaf.parts, leaf.columns, kind, leaf.risky, leaf.listed, in_c)

    def operand(self, type_):
        """Return a random operand of a type."""
        texts = [self.rng.choice(POOLS[type_]) for _ in range(2)]
        return Operand(texts[0], type_, True, texts[1])

    def small(self):
        """Return a small integer as a constant."""
        return str(self.rng.choice([1, 2, 3, 7, 10, -1, -3]))

    def chosen(self, value, again, type_, depth):
        """Return what chooses between a value and others of its kind."""
        kind = value.kind

        def call(kind, *parts):
            # where a value that does not fit is an error, it has to be seen
            return self.call(kind, *parts, listed=self.is_lenient)

        other = (again(depth + 1) if depth < 2 else None) or value
        test = self.conditions.leaf_of_columns()
        condition = Value(test.parts, test.columns, "bool", test.risky)  # not listed
        operand = self.operand(type_)
        return self.rng.choice(
            [
                lambda: call(kind, "COALESCE(", value, ", ", operand, ")"),
                lambda: call(kind, "COALESCE(", value, ", ", other, ")"),
                lambda: call(kind, "NULLIF(", value, ", ", operand, ")"),
                lambda: self.greatest("GREATEST(", value, other),
                lambda: self.greatest("LEAST(", value, operand),
                lambda: call(
                    kind, "CASE WHEN ", condition, " THEN ", value, " ELSE ",
                    other, " END",
                ),
                lambda: call(
                    kind, "CASE ", value, " WHEN ", operand, " THEN ", other, " END"
                ),
            ]
        )()

    def greatest(self, name, value, other):
        """Return the greatest or least of two, which are ordered."""
        listed = self.is_lenient and value.orders("<")
        return self.call(value.kind, name, value, ", ", other, ")", listed=listed)

    def integer(self, depth=0):
        """Return an integer expression."""
        value = self.column(INTEGER, "int")
        if value is None:
            return None
        other = self.column(INTEGER, "int")
        call, small = self.call, self.small
        wide = call("int", "(", value, ")::int8")
        return self.rng.choice(
            [
                lambda: call("int", "(", value, f" + {small()})", risky=True),
                lambda: call("int", "(", value, f" - {small()})", risky=True),
                lambda: call("int", "(", value, f" * {small()})", risky=True),
                lambda: call("int", "(", value, f" / {small()})", risky=True),
                lambda: call("int", "(", value, " % -1)", listed=False),
                lambda: call("int", "(", value, f" % {self.rng.choice([2, 3, 7, -3])})"),
                lambda: call("int", "(", value, " + ", other, ")", risky=True),
                lambda: call("int", "(", value, " / ", other, ")", risky=True),
                lambda: call("int", "(- ", value, ")", risky=True),
                lambda: call("int", "abs(", value, ")", risky=True),
                lambda: call("int", "(", wide, f" + {small()})", risky=True),
                lambda: wide,
                lambda: self.chosen(value, self.integer, "int4", depth),
                lambda: self.chosen(value, self.integer, "int8", depth),
                lambda: self.length(),
            ]
        )()

    def length(self):
        """Return the length of a string."""
        value = self.column(STRING + ("char",), "text")
        if value is None:
            return None
        name = self.rng.choice(["length", "char_length", "octet_length"])
        call = self.call
        return self.rng.choice(
            [
                lambda: call("int", f"{name}(", value, "::text)"),
                lambda: call("int", "strpos(", value, "::text, 'b')"),
            ]
        )()

    def float(self, depth=0):
        """Return a float8 expression."""
        value = self.column(FLOAT, "float")
        if value is None:
            return None
        number = self.rng.choice(["0.5", "2", "-1", "1e3", "'NaN'::float8"])
        call = self.call
        return self.rng.choice(
            [
                lambda: call("float", "(", value, f" + {number})", risky=True),
                lambda: call("float", "(", value, f" * {number})", risky=True),
                lambda: call("float", "(", value, " / 2)", risky=True),
                lambda: call("float", "abs(", value, ")"),
                lambda: call("float", "floor(", value, ")"),
                lambda: call("float", "(- ", value, ")"),
                lambda: self.chosen(value, self.float, "float8", depth),
            ]
        )()

    def text(self, depth=0):
        """Return a text expression."""
        value = self.column(STRING, "text")
        if value is None:
            return None
        # strings without a limit are added up here where they are long
        name = value.parts[0]
        short = any(
            self.conditions.reference(c) == name and (c.type.length or c.type.kind == "name")
            for c in self.columns(STRING)
        )
        rng, call = self.rng, self.call
        case = rng.choice(["upper", "lower"])
        trim = rng.choice(["trim", "ltrim", "rtrim"])
        count = rng.choice([0, 1, 2, -1])
        part = rng.choice(["left", "right"])
        plain = call("text", value, "::text")
        return rng.choice(
            [
                lambda: call("text", f"{case}(", plain, ")", listed=value.sorted),
                lambda: call("text", f"{trim}(", plain, ")"),
                lambda: call("text", "btrim(", plain, ", 'a$')"),
                lambda: call("text", "reverse(", plain, ")", listed=False),
                lambda: call("text", "(", value, " || 'x')", listed=short),
                lambda: call("text", "substr(", plain, ", 2, 2)"),
                lambda: call("text", "substring(", plain, f" FROM {count})"),
                lambda: call("text", f"{part}(", plain, f", {count})"),
                lambda: call("text", "replace(", plain, ", 'a', '$b')", listed=short),
                lambda: call("text", "replace(", plain, ", 'ab', '$')"),
                lambda: call("text", "split_part(", plain, f", 'b', {rng.choice([1, 2, -1])})"),
                lambda: call(
                    "text", "concat(", value, ", 'é')", listed=short and self.is_lenient
                ),
                lambda: self.number_text(),
                lambda: self.chosen(plain, lambda _: None, "text", depth),
            ]
        )()

    def number_text(self):
        """Return an integer as a text."""
        value = self.column(INTEGER, "int")
        text = value and self.call("text", "(", value, "::text)")
        return text and replace(text, sorted=False)

    def moment(self, depth=0):
        """Return a timestamp, with or without time zone."""
        value = self.column(MOMENT, "timestamp")
        if value is None:
            return None
        name = value.parts[0]
        zoned = any(
            self.conditions.reference(c) == name for c in self.columns(["timestamptz"])
        )
        kind, other = MOMENT[zoned], MOMENT[not zoned]
        value = replace(value, kind=kind)
        unit, zone = self.rng.choice(UNITS), self.rng.choice(ZONES)
        call = self.call
        return self.rng.choice(
            [
                lambda: call(
                    kind, f"date_trunc('{unit}', ", value, ")",
                    listed=not zoned and unit in CUT,
                ),
                lambda: call(
                    other, "(", value, f" AT TIME ZONE '{zone}')", listed=zone == "UTC"
                ),
                lambda: call(kind, "(", value, " + interval '1 day')", risky=True),
                lambda: call(kind, "(", value, " - interval '90 min')", risky=True),
                lambda: call(kind, "(", value, " + interval '1 month')", risky=True),
                lambda: self.chosen(value, lambda _: None, kind, depth),
            ]
        )()

    def date(self, depth=0):
        """Return a date."""
        value = self.column(("date",), "date")
        if value is None:
            moment = self.column(MOMENT, "date")
            return moment and self.call("date", moment, "::date", listed=False)
        call = self.call
        return self.rng.choice(
            [
                lambda: call("date", "(", value, " + 1)", risky=True),
                lambda: call("date", "(", value, " - 30)", risky=True),
                lambda: self.chosen(value, self.date, "date", depth),
            ]
        )()

    def number(self, _=0):
        """Return a field of a moment."""
        value = self.column(MOMENT + ("date",), "numeric")
        if value is None:
            return None
        dates = [self.conditions.reference(c) for c in self.columns(["date"])]
        fields = FIELDS
        if value.parts[0] in dates:
            fields = ["year", "month", "day", "dow", "doy", "isodow", "week", "epoch"]
        field = self.rng.choice(fields)
        zoned = [self.conditions.reference(c) for c in self.columns(["timestamptz"])]
        listed = value.parts[0] not in zoned and field in EXTRACTED
        return self.call("numeric", f"extract({field} FROM ", value, ")", listed=listed)

    # ----- conditions -----

    def compared(self):
        """An expression compared with an operand, or the other way round."""
        value = self.value()
        if value is None:
            return None
        operator = self.rng.choice(COMPARISONS)
        operand = self.operand(self.rng.choice(COMPARED[value.kind]))
        listed = value.orders(operator) and operand.type != "float4"
        if self.rng.random() < 0.2:
            return self.call("bool", operand, f" {operator} ").and_then(
                value, listed=listed
            )
        return value.and_then(f" {operator} ", operand, listed=listed)

    def peers(self):
        """Two expressions of a kind compared with each other."""
        maker = self.rng.choice([self.integer, self.float, self.text, self.date])
        one, other = maker(), maker()
        if one is None or other is None:
            return None
        if one.kind == "text":
            one = self.call("text", "(", one, ') COLLATE "C"')
            other = self.call("text", "(", other, ') COLLATE "C"')
        return one.and_then(f" {self.rng.choice(COMPARISONS)} ", other)

    def listed(self):
        """An expression [NOT] IN a list."""
        value = self.value()
        if value is None:
            return None
        type_ = self.rng.choice(COMPARED[value.kind])
        test = self.rng.choice([" IN (", " NOT IN ("])
        parts = [self.operand(type_), ", ", self.operand(type_), ")"]
        return value.and_then(test, *parts, listed=type_ != "float4")

    def null(self):
        """An expression IS [NOT] NULL."""
        value = self.value()
        return value and value.and_then(
            self.rng.choice([" IS NULL", " IS NOT NULL"]), listed=self.is_lenient
        )

    def distinct(self):
        """An expression IS [NOT] DISTINCT FROM an operand."""
        value = self.value()
        if value is None:
            return None
        test = self.rng.choice([" IS DISTINCT FROM ", " IS NOT DISTINCT FROM "])
        operand = self.operand(COMPARED[value.kind][0])
        return value.and_then(test, operand, listed=self.is_lenient and self.is_canonical(value))

    def between(self):
        """An expression [NOT] BETWEEN two operands."""
        value = self.value()
        if value is None:
            return None
        type_ = self.rng.choice(COMPARED[value.kind])
        test = self.rng.choice([" BETWEEN ", " NOT BETWEEN "])
        listed = value.orders("<") and type_ != "float4"
        return value.and_then(
            test, self.operand(type_), " AND ", self.operand(type_), listed=listed
        )

    def pattern(self):
        """A string matched with a pattern."""
        value = self.column(STRING + ("char",), "text")
        if value is None:
            return None
        names = [self.conditions.reference(c) for c in self.columns(["name"])]
        said = value.parts[0] not in names
        draw = self.rng.random()
        if draw < 0.6:
            test = self.rng.choice(["LIKE", "LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE"])
            texts = [self.rng.choice(LIKES) for _ in range(2)]
        elif draw < 0.9:
            test = self.rng.choice(["~", "~", "!~", "~*"])
            texts = [self.rng.choice(REGEXES) for _ in range(2)]
        else:
            texts = [self.rng.choice(LIKES) for _ in range(2)]
            operand = Operand(texts[0], "text", True, texts[1])
            name = self.rng.choice(["starts_with", "strpos"])
            end = " > 1" if name == "strpos" else ""
            return self.call("bool", f"{name}(", value, "::text, ").and_then(
                operand, f"){end}"
            )
        listed = said and (value.sorted or "I" not in test) and "~" not in test
        return value.and_then(
            f" {test} ", Operand(texts[0], "text", True, texts[1]), listed=listed
        )

    def json(self):
        """A test of a jsonb column."""
        value = self.column(("jsonb",), "jsonb")
        if value is None:
            return None
        rng = self.rng
        key = rng.choice(["x", "y", "z", "0", "1", "f0", "a b"])
        texts = [rng.choice(JSONS) for _ in range(2)]
        json = Operand(texts[0], "jsonb", True, texts[1])
        return rng.choice(
            [
                lambda: value.and_then(" @> ", json),
                lambda: value.and_then(" <@ ", json),
                lambda: value.and_then(" = ", json),
                lambda: value.and_then(f" ? '{key}'"),
                lambda: value.and_then(f" ?| ARRAY['{key}', 'y']"),
                lambda: value.and_then(f" ?& ARRAY['{key}', 'x']"),
                lambda: value.and_then(
                    f" ->> '{key}' {rng.choice(COMPARISONS)} ",
                    Operand(rng.choice(["1", "a", "true"]), "text", True, "abc"),
                ),
                lambda: value.and_then(f" ->> '{key}' > 'a' COLLATE \"C\""),
                lambda: self.call("bool", "(", value, risky=True).and_then(
                    f" ->> '{key}')::{rng.choice(['int', 'numeric', 'float8'])} "
                    f"{rng.choice(COMPARISONS)} 1"
                ),
                lambda: value.and_then(f" -> '{key}' IS NULL"),
                lambda: value.and_then(f" -> '{key}' = ", json),
                lambda: value.and_then(f" #>> '{rng.choice(PATHS)}' IS NOT NULL"),
                lambda: value.and_then(f" #> '{rng.choice(PATHS)}' = ", json),
                lambda: value.and_then(f" @? '$.{rng.choice('xyz')} ? (@ > 1)'"),
                lambda: self.call("bool", "jsonb_typeof(", value).and_then(
                    f") = '{rng.choice(['number', 'string', 'object', 'null'])}'"
                ),
            ]
        )()

    def array(self):
        """A test of an array column."""
        columns = self.columns(["array"])
        if not columns:
            return None
        column = self.rng.choice(columns)
        name = self.conditions.reference(column)
        tests = [
            f"array_length({name}, 1) = 2",
            f"cardinality({name}) {self.rng.choice(COMPARISONS)} 1",
            f"{name}[1] IS NULL",
            f"array_ndims({name}) = 1",
        ]
        return Leaf((self.rng.choice(tests),), frozenset([self.conditions.key(column)]))
