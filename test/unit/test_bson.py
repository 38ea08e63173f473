"""BSON as bytes: built, read, walked along paths, malformed."""
import bson
from bson import (Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId,
                  Regex, Timestamp)
from bson.datetime_ms import DatetimeMS

from codec import *
from servers.harness import *

SEED = 20240229
DAMAGED = 100000

EVERYTHING = raw(
    *[bson.encode({"v": value})[4:-1] for value in (
        ObjectId("5381ccf9d6d81c8e5bf0114d"), 1.5, "text", {"a": {"b": 1}},
        [1, "x", [2.5, None]], Binary(b"abc", 0), Binary(b"abc", 2), True,
        DatetimeMS(1577934245678), None, Regex("a.b", "im"), Code("f()"),
        Code("f()", {"a": 1}), 7, Timestamp(1, 2), Int64(7),
        Decimal128("1.10"), MinKey(), MaxKey())],
    member(6, "v"), member(14, "v", string("symbol")),
    member(12, "v", string("db.c") + bytes(12)))

FUZZED = bson.encode({
    "_id": ObjectId("5381ccf9d6d81c8e5bf0114d"), "n": 123456, "l": Int64(5),
    "d": 0.73251, "s": "series ä", "b": True, "t": DatetimeMS(1577934245678),
    "u": Binary(bytes(16), 4), "x": Decimal128("1.10"), "y": [1, 2, None],
    "m": [[1, 2], [3, 4]], "z": {"a": {"b": [{"c": "deep"}]}}, "o": "ok",
    "r": Regex("a", "i"), "c": Code("f", {"k": 1})})
FUZZED_COLUMNS = ("id text, n int, l int8, d float8, num numeric(9,2), "
                  "s varchar(20), name name, ch char(9), b bool, t timestamptz, "
                  "day date, u uuid, raw bytea, x numeric, y int[], m float8[], "
                  "deep text, j jsonb, k json, doc jsonb, txt json, "
                  "oid pynomaly.objectid, e mood, i interval, dom positive")
FUZZED_PATHS = ["_id", "n", "l", "d", "d", "s", "s", "s", "b", "t", "t", "u",
                "u", "x", "y", "m", "z.a.b.0.c", "z", "c", None, None, "_id",
                "o", "s", "n"]


def test_builder(c):
    """What is built is what was read."""
    for data in (EVERYTHING, FUZZED, raw(), bson.encode({"a": {}, "b": []})):
        is_(c.db.value("SELECT codec.rebuild_bson(%s)", (data,)), data,
            f"a document of {len(data)} bytes is rebuilt the same")
    ok(c.db.value("SELECT codec.nest_bson(100)") is not None, "100 levels")
    throws(lambda: c.db.value("SELECT codec.nest_bson(101)"), "54000",
           "101 levels are an error")
    for value, number in ((1.5, 1.5), (7, 7.0), (Int64(2 ** 53 + 1), 2.0 ** 53),
                          (Decimal128("1.25E+3"), 1250.0),
                          (Decimal128("-Infinity"), float("-inf")),
                          ("7", None), (True, None), (None, None)):
        is_(c.db.value("SELECT codec.bson_number(%s, 'v')",
                       (encoded({"a": 0, "v": value}),)), number,
            f"the number of {value!r}")


def test_split_path(c):
    """Paths are split at dots that no backslash stands before."""
    for path, keys in (("a", ["a"]), ("a.b.0", ["a", "b", "0"]),
                       (r"a\.b", ["a.b"]), (r"a\\.b", ["a\\", "b"]),
                       (r"\..\.", [".", "."]), ("$x. y.Z", ["$x", " y", "Z"]),
                       ("x" * 80, ["x" * 80])):
        is_(c.db.value("SELECT codec.split_path(%s)", (path,)), keys,
            f"the keys of {path!r}")
    for path in ("", ".", "a.", ".a", "a..b", "a\\", r"a\b", "\\"):
        throws(lambda: c.db.value("SELECT codec.split_path(%s)", (path,)),
               "42601", f"{path!r} is no path", message="path", hint="dot")


def test_paths(c):
    """What a path finds."""
    document = {"a": {"b": {"c": 1}, "0": 2, "list": [10, {"x": 11}, [12, 13]]},
                "dotted.key": {"x.y": 3}, "list": [[{"q": 4}]], "": 5, "$d": 6,
                "Upper case": 7, "n": None, "x" * 80: 8, "s": "text", "back\\": 9}
    for path, text in (
            ("a.b.c", "1"), ("a.0", "2"), ("a.list.0", "10"),
            ("a.list.1.x", "11"), ("a.list.2.1", "13"), (r"dotted\.key.x\.y", "3"),
            ("list.0.0.q", "4"), ("$d", "6"), ("Upper case", "7"),
            ("x" * 80, "8"), (r"back\\", "9"), ("a.list.3", None),
            ("a.list.x", None), ("a.list.00", None), ("a.list.01", None),
            ("a.list.99999999999", None), ("a.b.c.d", None), ("s.0", None),
            ("dotted.key", None), ("n.x", None), ("missing", None),
            ("upper case", None), ("list.q", None), ("list.0.q", None)):
        is_(c.value(document, "int", path), text, f"{path[:20]} is {text}")
    paths = ["a", "a.b", "a.b.c", "a.b.c", "a.list", "a.list.1.x", "a.list.2", None,
             "a.list.0"]
    is_(c.row(document, "a jsonb, b json, c int, d float8, e jsonb, f int, "
              "g int[], h jsonb, i int", paths)[1:7],
        ('{"c":1}', "1", "1", '[10, {"x": 11}, [12, 13]]', "11", "{12,13}"),
        "columns that read a value, a part of it and the whole beside it")
    columns = ", ".join(f"c{i} int" for i in range(300))
    for keys in (range(300), reversed(range(300)), range(0, 600, 2)):
        wide = {f"k{i}": i for i in keys}
        is_(c.row(wide, columns, [f"k{i}" for i in range(300)]),
            tuple(str(i) if f"k{i}" in wide else None for i in range(300)),
            "300 columns, in whatever order the document has them")


def test_duplicates(c):
    """Of duplicate keys the first counts, on every level."""
    def number(key, value):
        return member(16, key, int32(value))
    document = raw(
        number("a", 1), member(10, "n"), number("b", 2), number("a", 3),
        member(2, "b", string("x")), number("n", 4),
        member(3, "s", raw(number("x", 5), number("x", 6))),
        member(3, "s", raw(number("x", 7), number("y", 8))))
    is_(c.row(document, "a int, b int, n int, x int, y int",
              ["a", "b", "n", "s.x", "s.y"]), ("1", "2", None, "5", None),
        "the first of duplicate keys counts, a null among them")
    names = ["values", "nulls", "tableoid", "ctid", "xmin", "__doc", "__proto__"]
    is_(c.row({name: i for i, name in enumerate(names)},
              ", ".join(f"c{i} int" for i in range(len(names))), names),
        tuple(map(str, range(len(names)))),
        "fields called like something internal")


def broken():
    """Yield names and documents that are none."""
    good = bson.encode({"v": 1})
    yield "nothing", b""
    yield "a length alone", b"\4\0\0\0"
    yield "no end", b"\4\0\0\0\0"
    yield "too long a length", b"\xff" + good[1:]
    yield "a negative length", b"\xff\xff\xff\xff" + good[4:]
    yield "too short a length", b"\x06" + good[1:]
    yield "a byte behind the end", good + b"\0"
    yield "another end", good[:-1] + b"\1"
    yield "an unknown type", raw(member(0x20, "v", bytes(8)))
    yield "a type of zero", raw(member(0, "v", bytes(8)))
    yield "a key without an end", b"\x08\0\0\0\x10vv\0"
    for kind, size in ((1, 8), (7, 12), (8, 1), (9, 8), (16, 4), (17, 8),
                       (18, 8), (19, 16)):
        yield f"too short a value of type {kind}", raw(
            member(kind, "v", bytes(size - 1)))
    for kind in (2, 13, 14):
        for name, data in (("a length of 0", bytes(4)),
                           ("a negative length", b"\xff\xff\xff\xffx\0"),
                           ("too long a length", b"\x09\0\0\0x\0"),
                           ("no zero at its end", b"\2\0\0\0xy"),
                           ("half a length", b"\2\0")):
            yield f"a string of type {kind} with {name}", raw(
                member(kind, "v", data))
    for kind in (3, 4):
        for name, data in (("a length of 4", b"\4\0\0\0\0"),
                           ("too long a length", b"\x7f\0\0\0\0"),
                           ("a negative length", b"\xfb\xff\xff\xff\0"),
                           ("no zero at its end", b"\5\0\0\0\1"),
                           ("half a length", b"\5\0")):
            yield f"a document of type {kind} with {name}", raw(
                member(kind, "v", data))
        yield f"a broken value in type {kind}", raw(
            member(kind, "v", raw(member(16, "0", b"\1\2"))))
    yield "a negative binary", raw(member(5, "v", b"\xff\xff\xff\xff\0"))
    yield "too long a binary", raw(member(5, "v", b"\4\0\0\0\0abc"))
    yield "a binary without a subtype", raw(member(5, "v", b"\0\0\0\0"))[:-1]
    yield "a regex without options", raw(member(11, "v", b"x"))
    yield "half a pointer", raw(member(12, "v", string("c") + bytes(11)))
    yield "a scope of another length", raw(member(
        15, "v", b"\x10\0\0\0" + string("f") + raw() + b"\0"))
    yield "a scope without a document", raw(member(
        15, "v", b"\x0a\0\0\0" + string("f")))


def test_broken(c):
    """Documents that are none are an error; never a crash or a value."""
    for name, data in broken():
        throws(lambda: c.row(data, "v jsonb, w int, d jsonb", ["v.0", "w", None],
                             null=True),
               CORRUPT, f"{name} is an error", message="malformed BSON")
        throws(lambda: c.json(data), CORRUPT, f"{name} is no JSON")
    tail = bson.encode({"v": 1})[4:-1] + member(0x20, "bad", b"")
    is_(c.value(raw(tail), "int"), "1",
        "what follows the last value that is wanted is not looked at")
    throws(lambda: c.row(raw(tail), "v int, w int", ["v", "w"]), CORRUPT,
           "but it is where more is wanted")


def test_fuzz(c):
    """Documents damaged at random are read or refused, nothing else."""
    c.db.execute(f"""
        CREATE TYPE mood AS ENUM ('ok');
        CREATE DOMAIN positive AS int CHECK (VALUE > 0);
        CREATE TYPE codec.fuzzed AS ({FUZZED_COLUMNS})""")
    is_(c.row(FUZZED, FUZZED_COLUMNS, FUZZED_PATHS, null=True)[16], "deep",
        "the document to be damaged can be read")
    for data, name in ((FUZZED, "of all columns"), (EVERYTHING, "of all types")):
        good = c.db.value(
            "SELECT codec.fuzz_bson(%s, %s::text[], true, false, %s, %s, "
            "NULL::codec.fuzzed)", (data, FUZZED_PATHS, DAMAGED // 2, SEED))
        ok(0 < good < DAMAGED // 2, f"{DAMAGED // 2} damaged documents {name}, "
           f"seed {SEED}: {good} could be read, the others were refused")


with codec() as functions:
    for test in (test_builder, test_split_path, test_paths, test_duplicates,
                 test_broken, test_fuzz):
        test(functions)
done()
