"""Extended JSON as json and jsonb, and the encodings of databases."""
import json
import random

import bson
from bson import (Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId,
                  Regex, Timestamp, json_util)
from bson.datetime_ms import DatetimeMS
from bson.dbref import DBRef

from codec import *
from codec.vocabulary import VOCABULARY, document_of
from servers.harness import *

HEX = "5381ccf9d6d81c8e5bf0114d"
NAN, INFINITY = float("nan"), float("inf")
SEED = 20240229
DOCUMENTS = 2000

# How MongoDB spells Decimal128.
DECIMALS = ["0", "-0", "0.00", "0E+3", "0E-7", "1", "10", "1E+1", "1.5", "-1.5",
            "0.001", "0.000001", "1E-7", "1.23E-7", "0.00000123", "1.2E+3",
            "12345678901234567890.12345678901234", "9" * 34,
            "9.999999999999999999999999999999999E+6144", "1E-6176", "NaN",
            "Infinity", "-Infinity"]


def test_vocabulary(c):
    """Each kind of value, in both formats, as text and as jsonb."""
    for value, relaxed, canonical in VOCABULARY:
        document = document_of(value)
        is_(c.json(document), '{"v":%s}' % relaxed, f"relaxed: {shown(value)}")
        if canonical:
            is_(c.json(document, True), '{"v":%s}' % canonical,
                f"canonical: {shown(value)}")
    for text in DECIMALS:
        value = Decimal128(text)
        is_(c.json({"v": value}), '{"v":{"$numberDecimal":"%s"}}' % value,
            f"relaxed: {text}")


def test_columns(c):
    """A value, also a scalar, in a json and in a jsonb column."""
    wrong = []
    for value, _, _ in VOCABULARY:
        document = document_of(value)
        for canonical in (False, True):
            text = c.value(document, "json", canonical=canonical)
            jsonb = c.value(document, "jsonb", canonical=canonical)
            expected = c.db.value("SELECT %s::jsonb::text", (text,))
            if jsonb != expected:
                wrong.append((value, jsonb, expected))
    is_(wrong, [], "jsonb is what PostgreSQL makes of the json")
    is_(c.row({"_id": 1, "a": {"b": [1.0]}}, "d jsonb, e json, a jsonb, b int",
              [None, None, "a", "a.b.0"]),
        ('{"a": {"b": [1.0]}, "_id": 1}', '{"_id":1,"a":{"b":[1.0]}}',
         '{"b": [1.0]}', "1"),
        "a document beside a part of it beside a part of that")


def test_duplicates(c):
    """jsonb keeps the first of duplicate keys, as a column does, json all."""
    document = raw(member(16, "a", int32(1)), member(2, "b", string("x")),
                   member(16, "a", int32(2)), member(16, "c", int32(3)),
                   member(16, "a", int32(4)))
    is_(c.value(document, "jsonb", None), '{"a": 1, "b": "x", "c": 3}',
        "jsonb: the first of duplicate keys")
    is_(c.value(document, "json", None), '{"a":1,"b":"x","a":2,"c":3,"a":4}',
        "json: all of duplicate keys")
    many = raw(*[member(16, f"k{i % 50}", int32(i)) for i in range(200)])
    first = raw(*[member(16, f"k{i}", int32(i)) for i in range(50)])
    is_(c.value(many, "jsonb", None),
        c.db.value("SELECT %s::jsonb::text", (c.json(first),)),
        "jsonb: the first of many duplicate keys")


def test_zero_bytes(c):
    """A NUL, which JSON could say and PostgreSQL's text cannot hold."""
    for name, document in (
            ("a string", {"v": "a\0b"}), ("a string in an array", {"v": ["\0"]}),
            ("a string further down", {"v": {"w": [{"x": "\0"}]}}),
            ("a code", {"v": Code("\0")}),
            ("a symbol", raw(member(14, "v", string("\0")))),
            ("a scope", {"v": Code("f", {"a": "\0"})})):
        for kind in ("json", "jsonb"):
            for path in ("v", None):
                throws(lambda: c.value(document, kind, path), NUL,
                       f"{kind}: a zero byte in {name}, path {path}")
                is_(c.value(document, kind, path, null=True), None,
                    f"{kind}: which is NULL where that is asked for")
    is_(c.json({"v": "a\0b"}), None, "no JSON of a document with a zero byte")
    is_(c.value({"v": "a\0b", "w": 1}, "int", "w"), "1",
        "other columns of such a document are read")


def test_structure(c):
    """Large and deep documents, and the layout of jsonb."""
    for count in (0, 1, 15, 16, 17, 31, 32, 33, 64, 1000, 20000):
        document = {f"k{i}": [i, f"s{i}"] for i in range(count)}
        document["list"] = list(range(count))
        ok(c.db.value(
            "SELECT record_image_eq(ROW(c), ROW(codec.json_of_bson(%s, false)::jsonb)) "
            "FROM codec.decode_bson(%s, '{NULL}', false, false) AS t(c jsonb)",
            (encoded(document), encoded(document))),
            f"jsonb: the same bytes for an object of {count} keys")
    is_(c.db.value("SELECT c -> 'k777' ->> 1 FROM codec.decode_bson("
                   "%s, '{NULL}', false, false) AS t(c jsonb)",
                   (encoded({f"k{i}": [i, f"s{i}"] for i in range(1000)}),)),
        "s777", "jsonb: keys are found where they should be")
    deep = raw()
    for _ in range(1000):
        deep = raw(member(3, "a", deep))
    ok(c.db.value("SELECT c = codec.json_of_bson(%s, false)::jsonb FROM "
                  "codec.decode_bson(%s, '{NULL}', false, false) AS t(c jsonb)",
                  (deep, deep)), "1000 levels")
    deep = nested(200000)
    for kind in ("json", "jsonb"):
        throws(lambda: c.value(deep, kind, None), "54001",
               f"{kind}: 200,000 levels are an error, not a crash")
    throws(lambda: c.value(deep, "int", ".".join(["a"] * 150000)), "54001",
           "a path of 150,000 keys is an error, not a crash")


def nested(levels):
    """Return a document in a document and so on, all called a."""
    sizes = [(8 * level + 5).to_bytes(4, "little")
             for level in range(levels, -1, -1)]
    return b"\3a\0".join(sizes) + b"\0" * (levels + 1)


# ---------- at random ----------

def some_value(dice, depth):
    """Return a value of any type."""
    kind = dice.randrange(18 if depth else 15)
    if kind < 10:
        return [None, dice.random() < 0.5, dice.randrange(-2 ** 31, 2 ** 31),
                Int64(dice.randrange(-2 ** 63, 2 ** 63)),
                dice.choice([0.0, 1.0, -2.5, dice.random(), dice.gauss(0, 1e9),
                             float(dice.randrange(2 ** 60)), 1e300 * dice.random(),
                             10.0 ** dice.randrange(-30, 30), NAN, -INFINITY]),
                some_text(dice), ObjectId(dice.randbytes(12)),
                DatetimeMS(dice.randrange(-2 ** 50, 2 ** 50)),
                Binary(dice.randbytes(dice.randrange(20)), dice.choice([0, 5, 128])),
                Decimal128(f"{dice.randrange(-10**20, 10**20)}E{dice.randrange(-40, 40)}")
                ][kind]
    if kind < 15:
        return [Timestamp(dice.randrange(2 ** 32), dice.randrange(2 ** 32)),
                Regex(dice.choice("abc"), "i"), Code(some_text(dice)),
                MinKey(), MaxKey()][kind - 10]
    if kind == 15:
        return [some_value(dice, depth - 1) for _ in range(dice.randrange(6))]
    return {some_text(dice): some_value(dice, depth - 1)
            for _ in range(dice.randrange(25 if kind == 16 else 6))}


def some_text(dice):
    """Return a short text without a zero byte."""
    return "".join(dice.choice("ab\"\\\n\t\x1fäß€😀 .$") for _ in
                   range(dice.randrange(8)))


def normal(value):
    """Return a tree from either JSON in a form that can be compared."""
    if isinstance(value, dict):
        if set(value) == {"$date"} and isinstance(value["$date"], str):
            return {"$date": value["$date"].replace(".000Z", "Z")}
        if set(value) == {"$numberDouble"}:
            return {"$numberDouble": repr(float(value["$numberDouble"]))}
        return {key: normal(member) for key, member in value.items()}
    if isinstance(value, list):
        return [normal(member) for member in value]
    return (type(value).__name__, value)


def test_random(c):
    """The same as another implementation says, and jsonb equal to json."""
    dice = random.Random(SEED)
    wrong = []
    for number in range(DOCUMENTS):
        document = {some_text(dice): some_value(dice, 3)
                    for _ in range(dice.randrange(12))}
        data = bson.encode(document)
        for canonical, options in ((False, json_util.RELAXED_JSON_OPTIONS),
                                   (True, json_util.CANONICAL_JSON_OPTIONS)):
            text, jsonb, same = c.db.rows(
                "SELECT json, c::text, record_image_eq(ROW(c), ROW(json::jsonb)) "
                "FROM codec.json_of_bson(%s, %s) AS json, "
                "codec.decode_bson(%s, '{NULL}', false, %s) AS t(c jsonb)",
                (data, canonical, data, canonical))[0]
            other = json_util.dumps(document, json_options=options)
            if not same:
                wrong.append((number, text, jsonb))
            elif normal(json.loads(text)) != normal(json.loads(other)):
                wrong.append((number, text, other))
    is_(wrong[:3], [], f"{DOCUMENTS} random documents, seed {SEED}")


# ---------- databases in other encodings ----------

def test_latin1():
    """Strings, keys and paths in LATIN1; what it lacks does not fit."""
    with codec("ENCODING 'LATIN1' LOCALE 'C'") as c:
        c.db.execute("SET client_encoding = 'UTF8'")
        for kind in ("text", "varchar(4)", "name", "bpchar"):
            c.fits(kind, "äöüß", "äöüß")
            c.misfits(kind, "10 €", ENCODING)
        is_(c.db.value("SELECT octet_length(c) FROM codec.decode_bson("
                       "%s, '{v}', false, false) AS t(c text)",
                       (encoded({"v": "äö"}),)), 2, "one byte per character")
        c.fits("char(4)", "äöüß", "äöüß")
        c.fits("json", {"ä": "ö\n"}, '{"ä":"ö\\n"}')
        c.fits("jsonb", {"ä": "ö\n", "b": [{"ü": 1}]},
               '{"b": [{"ü": 1}], "ä": "ö\\n"}')
        for value in ({"€": 1}, {"a": "€"}, ["€"], Code("€"), Regex("€")):
            c.misfits("json", value, ENCODING)
            c.misfits("jsonb", value, ENCODING)
        is_(c.value({"größe": {"ä": 7}}, "int", "größe.ä"), "7",
            "a path with letters beyond ASCII")
        throws(lambda: c.value({"_id": "€", "v": "x"}, "int"), TYPE,
               "an _id that cannot be shown", detail=r"_id \(not printable\)")
        c.misfits("text", "a\0", NUL)
        throws(lambda: c.value(raw(member(2, "v", string(b"\xff"))), "text"),
               UTF8, "what is no UTF-8 is not converted")
        c.db.execute("CREATE TYPE mood AS ENUM ('schön')")
        c.fits("mood", "schön", "schön")
        c.misfits("mood", "€", ENCODING)


def test_sql_ascii():
    """SQL_ASCII takes bytes as they are, but for zero bytes."""
    with codec("ENCODING 'SQL_ASCII' LOCALE 'C'") as c:
        c.db.execute("SET client_encoding = 'UTF8'")
        for data in ("ä€".encode(), b"\xff"):
            is_(c.db.value("SELECT encode(c::bytea, 'hex') FROM codec.decode_bson("
                           "%s, '{v}', false, false) AS t(c text)",
                           (raw(member(2, "v", string(data))),)), data.hex(),
                f"SQL_ASCII: {data!r}")
        throws(lambda: c.value({"v": "a\0"}, "text"), NUL,
               "SQL_ASCII: a zero byte does not fit")


with codec() as functions:
    for test in (test_vocabulary, test_columns, test_duplicates,
                 test_zero_bytes, test_structure, test_random):
        test(functions)
test_latin1()
test_sql_ascii()
done()
