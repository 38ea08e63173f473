"""Random tables over a collection, foreign ones and their twins on the heap."""

from dataclasses import dataclass, field

import oracle
from oracle import Column, Type

C = 'COLLATE "C"'
SETUP = """
CREATE TYPE label AS ENUM ('sad', 'ok', 'happy', '$x', 'é', '');
CREATE DOMAIN positive AS int4 CHECK (VALUE > 0);
CREATE DOMAIN word AS varchar(5) CHECK (VALUE <> 'bad');
"""


def _types():
    """Return every type of column that is tried, by a short name."""
    simple = (
        "int2 int4 int8 float4 float8 numeric bool text name uuid bytea "
        "timestamptz timestamp date json jsonb interval inet"
    ).split()
    types = {name: Type(name, name) for name in simple}
    types["objectid"] = Type("pynomaly.objectid", "objectid")
    types["varchar"] = Type("varchar", "varchar")
    types["text C"] = Type("text", "text", collation=C)
    types["varchar C"] = Type("varchar(24)", "varchar", length=24, collation=C)
    types["varchar(3)"] = Type("varchar(3)", "varchar", length=3)
    types["char(3)"] = Type("char(3)", "char", length=3)
    types["char C"] = Type("char(6)", "char", length=6, collation=C)
    types["numeric(6,2)"] = Type("numeric(6,2)", "numeric", precision=6, scale=2)
    types["numeric(3,0)"] = Type("numeric(3,0)", "numeric", precision=3)
    types["timestamp(0)"] = Type("timestamp(0)", "timestamp", unit=1000)
    types["timestamptz(2)"] = Type("timestamptz(2)", "timestamptz", unit=10)
    types["label"] = Type("label", "enum")
    types["positive"] = Type("positive", "domain", base=types["int4"])
    word = Type("varchar(5)", "varchar", length=5)
    types["word"] = Type("word", "domain", base=word)
    for name in (
        "int2 int4 int8 float4 float8 numeric bool text uuid bytea timestamptz "
        "timestamp date jsonb objectid label varchar(3) char(3) numeric(6,2) positive"
    ).split():
        element = types[name]
        types[name + "[]"] = Type(element.sql + "[]", "array", element=element)
    return types


TYPES = _types()
_NUMBERS = "int2 int4 int8 float4 float8 numeric numeric(6,2) numeric(3,0) positive"
_STRINGS = "text,text C,varchar,varchar C,varchar(3),char(3),char C,name,word,label"
SUITABLE = {
    "int": _NUMBERS.split(),
    "double": _NUMBERS.split(),
    "decimal": _NUMBERS.split(),
    "number": _NUMBERS.split(),
    "string": _STRINGS.split(",") + ["uuid"],
    "label": ["label", "text", "text C", "char(3)", "word"],
    "objectid": ["objectid", "objectid", "text", "text C", "varchar C", "bytea"],
    "bool": ["bool"],
    "date": ["timestamptz", "timestamp", "date", "timestamp(0)", "timestamptz(2)"],
    "binary": ["bytea", "uuid"],
    "uuid": ["uuid", "bytea"],
    "document": ["jsonb", "json"],
    "interval": ["interval", "text"],
    "address": ["inet", "text C"],
    "mixed": ["text", "objectid", "jsonb", "int8", "uuid"],
}


def suitable_type(rng, home):
    """Return a type that mostly fits what a field holds, or any type."""
    if rng.random() < 0.12:
        return TYPES[rng.choice(sorted(TYPES))]
    if home.startswith("array of "):
        names = SUITABLE[home.removeprefix("array of ")]
        names = [name + "[]" for name in names if name + "[]" in TYPES]
        return TYPES[rng.choice(names + ["jsonb"])]
    return TYPES[rng.choice(SUITABLE[home] + ["jsonb"] * (rng.random() < 0.1))]


@dataclass
class Table:
    """A table over a collection: its columns, its rows as the oracle has them.

    rows and mismatches are parallel to the collection's documents: a row is a
    dict of texts by the column's name, a mismatch the set of the columns whose
    value does not fit.
    """

    name: str
    columns: list
    on_mismatch: str
    rows: list = field(default_factory=list)
    mismatches: list = field(default_factory=list)
    declares_not_null: bool = False

    def never_null(self, column):
        """Does a column have a value that fits in every row?"""
        return all(row[column.name] is not None for row in self.rows)

    def column(self, name):
        """Return a column by its name."""
        return next(column for column in self.columns if column.name == name)

    def fill(self, documents, probe):
        """Map the documents."""
        self.rows, self.mismatches = [], []
        for members in documents:
            row, wrong = {}, set()
            for column in self.columns:
                text, mismatch = oracle.map_column(members, column, probe)
                row[column.name] = text
                if mismatch:
                    wrong.add(column.name)
            self.rows.append(row)
            self.mismatches.append(wrong)

    def mismatched(self):
        """Return the columns of which some value does not fit."""
        return set().union(*self.mismatches)

    def values(self, name):
        """Return the different values of a column."""
        return sorted({row[name] for row in self.rows} - {None})

    def foreign_ddl(self, server, database, collection):
        """Return the foreign table's definition."""
        canonical = any(column.canonical for column in self.columns)
        options = {
            "database": database,
            "collection": collection,
            "on_mismatch": self.on_mismatch,
            "json_format": "canonical" if canonical else "relaxed",
        }
        listed = ", ".join(f"{name} {quote(text)}" for name, text in options.items())
        columns = ",\n    ".join(
            _foreign_column(column)
            + " NOT NULL" * (self.declares_not_null and self.never_null(column))
            for column in self.columns
        )
        return (
            f"CREATE FOREIGN TABLE {self.name} (\n    {columns})\n"
            f"SERVER {server} OPTIONS ({listed})"
        )

    def heap_ddl(self):
        """Return the heap table's definition; doc is the document's number."""
        columns = ",\n    ".join(
            f"{identifier(column.name)} {column.type.sql} {column.type.collation}"
            for column in self.columns
        )
        return f"CREATE TABLE heap_{self.name} (\n    doc int,\n    {columns})"

    def heap_rows(self):
        """Yield the heap table's rows."""
        for number, row in enumerate(self.rows):
            yield [number] + [row[column.name] for column in self.columns]


def _foreign_column(column):
    text = f"{identifier(column.name)} {column.type.sql}"
    if column.path is None:
        text += " OPTIONS (document 'true')"
    elif column.path != column.name:
        text += f" OPTIONS (field {quote(column.path)})"
    return f"{text} {column.type.collation}".rstrip()


def random_table(rng, collection, name, on_mismatch, canonical=False):
    """Make a random table over a collection; it has _id and the number k."""
    columns = [
        Column("k", TYPES["int4"], "k", canonical),
        Column("_id", suitable_type(rng, collection.id_home), "_id", canonical),
    ]
    for number, (path, home) in enumerate(collection.paths):
        seldom = path in collection.through_arrays
        for letter in "ab"[: rng.choice([0, 0, 0, 1] if seldom else [0, 1, 2, 2])]:
            type_ = suitable_type(rng, home)
            by_path = "." in path and rng.random() < 0.2
            column = path if by_path and letter == "a" else f"c{number}{letter}"
            columns.append(Column(column, type_, path, canonical))
    if rng.random() < 0.5:
        columns.append(Column("whole", TYPES["jsonb"], None, canonical))
    if rng.random() < 0.3:
        columns.append(Column("whole_text", TYPES["json"], None, canonical))
    return Table(
        name, columns, on_mismatch, declares_not_null=rng.random() < 0.5
    )


def quote(text):
    """Return a text as an SQL literal."""
    doubled = text.replace("'", "''")
    if "\\" in doubled:
        return " E'" + doubled.replace("\\", "\\\\") + "'"
    return f"'{doubled}'"


def identifier(name):
    """Return a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
