"""Values as BSON: what each type is written as, and that it reads back."""
import json
import uuid

import bson
from bson import (Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId,
                  Regex, Timestamp)
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS

from codec import *
from codec.vocabulary import VOCABULARY, document_of
from servers.harness import *

HEX = "5381ccf9d6d81c8e5bf0114d"
UUID = uuid.UUID("12345678-9abc-def0-1234-56789abcdef0")
OPTIONS = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS)
NAN, INFINITY = float("nan"), float("inf")
WIDE = "A Decimal128 of MongoDB has 34 digits"

# A type; a value's text; the value in a document.
WRITTEN = [
    ("int2", "-32768", -32768), ("int4", "2147483647", 2147483647),
    ("int8", "7", Int64(7)), ("int8", str(-2 ** 63), Int64(-2 ** 63)),
    ("float8", "-0", -0.0), ("float8", "0.1", 0.1), ("float8", "7", 7.0),
    ("float8", "NaN", NAN), ("float8", "-Infinity", -INFINITY),
    ("float8", "5e-324", 5e-324), ("float8", "1e+300", 1e300),
    ("float4", "0.1", 0.10000000149011612), ("float4", "1e-45", 2.0 ** -149),
    ("numeric", "1.10", Decimal128("1.10")), ("numeric", "0", Decimal128("0")),
    ("numeric", "-0.00", Decimal128("0.00")), ("numeric", "NaN", Decimal128("NaN")),
    ("numeric", "Infinity", Decimal128("Infinity")),
    ("numeric", "-Infinity", Decimal128("-Infinity")),
    ("numeric", "9" * 34, Decimal128("9" * 34)),
    ("numeric", "-0." + "9" * 34, Decimal128("-0." + "9" * 34)),
    ("numeric", "1" + "0" * 40, Decimal128("1." + "0" * 33 + "E+40")),
    ("numeric", "9" * 34 + "0" * 6111, Decimal128("9." + "9" * 33 + "E+6144")),
    ("numeric", "0." + "0" * 6175 + "1", Decimal128("1E-6176")),
    ("numeric", "0." + "0" * 6142 + "9" * 34, Decimal128("9." + "9" * 33 + "E-6143")),
    ("numeric(6,2)", "1234.50", Decimal128("1234.50")),
    ("numeric(50,40)", "1." + "0" * 40, Decimal128("1." + "0" * 33)),
    ("bool", "true", True), ("bool", "false", False),
    ("text", "", ""), ("text", "ä😀\t\"", "ä😀\t\""), ("text", HEX, HEX),
    ("varchar(3)", "abc", "abc"), ("varchar", "abc", "abc"),
    ("char(5)", "ab   ", "ab"), ("char(3)", "   ", ""), ("bpchar", "ab  ", "ab  "),
    ("name", "abc", "abc"), ('"char"', "x", "x"),
    ("uuid", str(UUID), Binary(UUID.bytes, 4)),
    ("bytea", "\\x", b""), ("bytea", "\\x00ff", b"\x00\xff"),
    ("timestamptz", "1970-01-01 00:00:00+00", DatetimeMS(0)),
    ("timestamptz", "1969-12-31 23:59:59.999+00", DatetimeMS(-1)),
    ("timestamp", "2020-02-29 12:30:00.001", DatetimeMS(1582979400001)),
    ("timestamptz", "4714-11-24 00:00:00+00 BC", DatetimeMS(-210866803200000)),
    ("timestamp", "294276-12-31 23:59:59.999", DatetimeMS(9224318015999999)),
    ("date", "1969-12-31", DatetimeMS(-86400000)),
    ("date", "5874897-12-31", DatetimeMS(185331706992000000)),
    ("date", "4714-11-24 BC", DatetimeMS(-210866803200000)),
    ("pynomaly.objectid", HEX, ObjectId(HEX)),
    ("int4[]", "{1,NULL,3}", [1, None, 3]), ("int4[]", "{}", []),
    ("int4[]", "{{1,2},{NULL,4}}", [[1, 2], [None, 4]]),
    ("text[]", "{{{a}},{{b}}}", [[["a"]], [["b"]]]),
    ("bytea[]", '{"\\\\x00"}', [b"\0"]), ("bool[]", "{t,f}", [True, False]),
    ("numeric[]", "{1.10,NaN}", [Decimal128("1.10"), Decimal128("NaN")]),
    ("timestamptz[]", '{"1970-01-01 00:00:00+00"}', [DatetimeMS(0)]),
    ("jsonb[]", '{"[1, 2]",NULL,"{\\"a\\": 1}"}', [[1, 2], None, {"a": 1}]),
    ("mood", "so la la", "so la la"), ("mood[]", "{ok,NULL}", ["ok", None]),
    ("short", "abc", "abc"), ("few", "{1,2}", [1, 2]), ("short[]", "{abc}", ["abc"]),
    ("interval", "1 mon -1 days +02:03:04.5", "1 mon -1 days +02:03:04.5"),
    ("time", "12:30:00.000001", "12:30:00.000001"),
    ("tstzrange", '["2020-01-02 00:00:00+00",)', '["2020-01-02 00:00:00+00",)'),
    ("inet", "10.0.0.1/8", "10.0.0.1/8"), ("point", "(0.1,2)", "(0.1,2)"),
    ("regclass", "public.thing", "public.thing"), ("regtype", "int4", "integer"), ("int2vector", "1 2", "1 2"),
    ("xml", "<a/>", "<a/>"), ("citext_like", "x", "x"),
    ("jsonb", '{"a": [1, 5000000000, 1.5, -0.5, 1.0]}', {"a": [1, Int64(5000000000), 1.5, -0.5, 1.0]}),
    ("jsonb", '{"$date": "2020-01-01T00:00:00Z"}', DatetimeMS(1577836800000)),
    ("jsonb", '{"": {"a.b": {"$set": {"$x": 1}}}}', {"": {"a.b": {"$set": {"$x": 1}}}}),
    ("json", '{"b":1,"a":[],"":{}}', {"b": 1, "a": [], "": {}}),
    ("jsonb", '"x"', "x"), ("jsonb", "true", True), ("jsonb", "[]", []),
]


def test_each_type(c):
    """What each type is written as, and that it reads back as it was."""
    for kind, text, value in WRITTEN:
        document = encode(c, kind, text)
        want = bson.encode({"v": value})
        is_(document, want, f"{kind}: {shown(text)} is written as {shown(value)}")
        c.db.execute("SET search_path = pg_catalog, public, pynomaly")
        is_(c.value(document, kind), c.db.value(f"SELECT %s::{kind}::text", (text,)),
            f"{kind}: {shown(text)} reads back")
        c.db.execute("RESET search_path")


def test_settings(c):
    """What the session has set changes nothing that is written."""
    for setting, kind, text in (
            ("DateStyle = 'SQL, DMY'", "tstzrange", '["2020-01-02 00:00:00+00",)'),
            ("IntervalStyle = sql_standard", "interval", "1 mon -1 days +02:03:04.5"),
            ("extra_float_digits = -15", "point", "(0.1234567890123456,2)"),
            ("bytea_output = escape", "bytea", "\\x00ff"),
            ("TimeZone = 'Asia/Kolkata'", "timestamp", "2020-02-29 12:30:00"),
            ("TimeZone = 'Asia/Kolkata'", "date", "2020-02-29"),
            ("extra_float_digits = -15", "float8", "0.1234567890123456")):
        want = encode(c, kind, text)
        c.db.execute(f"SET {setting}")
        is_(encode(c, kind, text), want, f"{kind} under {setting}")
        name, value = setting.split(" = ")
        is_(c.db.value(f"SHOW {name}").lower().split(",")[0],
            value.strip("'").lower().split(",")[0], "the setting stays")
        c.db.execute(f"RESET {name}")


def test_refused(c):
    """What MongoDB has no value for."""
    for kind, text, state, message in (
            ("numeric", "9" * 35, RANGE, WIDE), ("numeric", "1e6145", RANGE, WIDE),
            ("numeric", "0." + "0" * 6176 + "1", RANGE, WIDE),
            ("numeric[]", "{1,%s}" % ("9" * 35), RANGE, WIDE),
            ("timestamptz", "2020-01-01 00:00:00.0005+00", DATE, "milliseconds"),
            ("timestamp", "infinity", DATE, "infinite"),
            ("timestamptz", "-infinity", DATE, "infinite"),
            ("date", "infinity", DATE, "infinite"),
            ("int4[]", "[0:1]={1,2}", SHAPE, "begin with 1"),
            ("jsonb[]", '{{"1"},{"2"}}', SHAPE, "one dimension"),
            ("jsonb", '{"a": %s}' % ("9" * 35), RANGE, WIDE),
            ("jsonb", '{"a": {"$oid": "x"}}', SYNTAX, r'"\$oid" at "a"'),
            ("jsonb", "[" * 101 + "]" * 101, "54000", "100 levels"),
            ("json", "[" * 101 + "]" * 101, "54000", "100 levels"),
            ("json", "[" * 1000 + "]" * 1000, "54000", "100 levels"),
            ("json", '{"a\\u0000b": 1}', "22P05", "converted to text"),
            ("jsonb", deep(102, '{"$date": "2020-01-01T00:00:00Z"}'), "54000", "100 levels")):
        throws(lambda: encode(c, kind, text), state,
               f"{kind}: {shown(text)} is refused", detail=message)
    throws(lambda: encode(c, "numeric", "9" * 35), RANGE, "the names are told",
           message='column "c" .* collection "things"')
    throws(lambda: encode(c, "pair", "(1,2)"), "0A000", "a row has no form", hint="jsonb")
    throws(lambda: encode(c, "pair[]", "{}"), "0A000", "nor an array of them", hint="jsonb")
    throws(lambda: encode(c, "few[]", "{}"), "0A000", "nor arrays behind a domain")


def test_depth(c):
    """A hundred levels are taken, also of what is longer in Extended JSON."""
    for kind in ("json", "jsonb"):
        for inner in ('1', '{"$date": {"$numberLong": "-1"}}',
                      '{"$dbPointer": {"$ref": "c", "$id": {"$oid": "%s"}}}' % HEX):
            text = deep(100, inner)
            document = encode(c, kind, text)
            back = c.value(document, kind)
            is_(json.loads(back), json.loads(text), f"{kind}: 100 levels around {inner}")


def test_round(c):
    """Microseconds are rounded where that is asked for, as timestamp(3) does."""
    for text in ("2020-01-01 00:00:00.0005", "1999-12-31 23:59:59.9995",
                 "1999-12-31 23:59:59.9994", "2020-01-01 00:00:00.000499",
                 "1969-12-31 23:59:59.999999"):
        for kind in ("timestamp", "timestamptz"):
            is_(c.value(encode(c, kind, text, round_=True), kind),
                c.db.value(f"SELECT %s::{kind}(3)::text", (text,)), f"{kind} {text}")
    throws(lambda: encode(c, "timestamp", "294276-12-31 23:59:59.9999", round_=True),
           DATE, "not beyond the end of time")


def test_objectids(c):
    """Text that is written as ObjectId."""
    for kind in ("text", "varchar(24)", "name", "plain"):
        is_(bson.decode(encode(c, kind, HEX, objectid=True))["v"], ObjectId(HEX), kind)
    is_(bson.decode(encode(c, "text[]", "{%s,NULL}" % HEX, objectid=True))["v"],
        [ObjectId(HEX), None], "an array")
    for text in ("", HEX[1:], HEX + "0", HEX.upper(), "x" * 24, " " + HEX[1:]):
        throws(lambda: encode(c, "text", text, objectid=True), SYNTAX,
               f"{text!r} is none", detail="24 hexadecimal digits in lower case")


def test_long_values(c):
    """Values that are stored outside of their rows, and compressed."""
    c.db.execute("CREATE TABLE long (b bytea, t text, j jsonb, a int[])")
    c.db.execute("INSERT INTO long SELECT string_agg(sha256(i::text::bytea), ''), "
                 "repeat('ä', 100000), jsonb_agg(i), array_agg(i) "
                 "FROM generate_series(1, 20000) i")
    for column, kind in (("b", "bytea"), ("t", "text"), ("j", "jsonb"), ("a", "int4[]")):
        is_(c.db.value(f"SELECT v = {column} FROM long, codec.decode_bson("
                       f"codec.encode_value({column}, -1, false, false), '{{v}}', false, "
                       f"false) AS d(v {kind})"), True, f"{kind} of a long value")


def test_memory(c):
    """Writing a value a thousand times takes no more memory than once."""
    for kind, text in (("numeric", "1.10"), ("text", "ä"), ("interval", "1 day"),
                       ("mood", "ok"), ("int4[]", "{1,2}"), ("regclass", "pg_class"),
                       ("jsonb", '{"a": {"$numberLong": "1"}}'), ("json", '[{"a": 1}]')):
        is_(c.db.value(f"SELECT codec.encode_growth(%s::{kind}, -1, false, false, 1000)",
                       (text,)), 0, f"{kind}: no memory is kept")


def test_vocabulary(c):
    """What reading says in Extended JSON is read as the value it was."""
    for value, relaxed, canonical in VOCABULARY:
        want = encoded(document_of(value))
        both = [relaxed] if relaxed is not None else []
        both += [canonical] if canonical is not None else []
        for text in both:
            if text == relaxed and isinstance(value, Int64) and abs(value) < 2 ** 31:
                continue        # a small one of 64 bits is not told apart
            for kind in ("json", "jsonb"):
                if kind == "jsonb" and (text == "-0.0" or "$ref" in text[:6]):
                    continue    # has no negative zero, and its own order of keys
                got = c.db.value(f"SELECT codec.parse_{kind}(%s::{kind})", (text,))
                is_(got, want, f"{kind}: {shown(text)} is {shown(value)}")


def test_numbers(c):
    """Numbers without a type: the one that reading would show so."""
    for text, value in (
            ("0", 0), ("-0", 0), ("2147483648", Int64(2147483648)),
            ("-2147483648", -2147483648), (str(2 ** 63 - 1), Int64(2 ** 63 - 1)),
            (str(2 ** 63), Decimal128(str(2 ** 63))), ("1.10", 1.1), ("1.0", 1.0),
            ("0.12345678901234567890", Decimal128("0.12345678901234567890")),
            ("123456789012345678901", Decimal128("123456789012345678901")),
            ("1" + "0" * 300, 1e300), ("0." + "0" * 9 + "1", 1e-10),
            ("1e-400", Decimal128("1E-400"))):
        for kind in ("json", "jsonb"):
            if kind == "jsonb" and "e-400" in text:
                continue        # numeric writes it with its zeros
            is_(bson.decode(c.db.value(f"SELECT codec.parse_{kind}(%s::{kind})", (text,)))["v"],
                value, f"{kind}: {shown(text)}")
    is_(bson.decode(c.db.value("SELECT codec.parse_json('1e2')"))["v"], 100.0,
        "an exponent makes a double")


MALFORMED = [
    '{"$oid": 1}', '{"$oid": "5381ccf9d6d81c8e5bf0114"}', '{"$oid": "%s", "a": 1}' % HEX,
    '{"a": 1, "$oid": "%s"}' % HEX, '{"$numberInt": 1}', '{"$numberInt": "2147483648"}',
    '{"$numberInt": " 1"}', '{"$numberInt": "1 "}', '{"$numberInt": "+1"}',
    '{"$numberInt": ""}', '{"$numberLong": "9223372036854775808"}',
    '{"$numberLong": "1.0"}', '{"$numberDouble": "x"}', '{"$numberDouble": "1e999"}',
    '{"$numberDouble": "0x10"}', '{"$numberDecimal": "%s"}' % ("9" * 35),
    '{"$numberDecimal": "1e7000"}', '{"$numberDecimal": ""}', '{"$numberDecimal": "1e"}',
    '{"$numberDecimal": "."}', '{"$date": 1}', '{"$date": "2020-01-01"}',
    '{"$date": "2020-02-30T00:00:00Z"}', '{"$date": "2020-01-01T24:00:00Z"}',
    '{"$date": "2020-01-01T00:00:00"}', '{"$date": "2020-01-01T00:00:00.Z"}',
    '{"$date": "2020-01-01T00:00:00.0001Z"}', '{"$date": "2020-01-01T00:00:00Zx"}',
    '{"$date": "20-01-01T00:00:00Z"}', '{"$date": "2020-13-01T00:00:00Z"}',
    '{"$date": {"$numberLong": "x"}}', '{"$date": {"$numberInt": "1"}}',
    '{"$date": {"$numberLong": "1", "a": 1}}', '{"$binary": "AA=="}',
    '{"$binary": {"base64": "AA=="}}', '{"$binary": {"base64": "?", "subType": "00"}}',
    '{"$binary": {"base64": "AA==", "subType": "x"}}',
    '{"$binary": {"base64": "AA==", "subType": "000"}}',
    '{"$binary": {"base64": "AA==", "subType": ""}}',
    '{"$binary": {"base64": "AA==", "subType": "00", "a": 1}}',
    '{"$uuid": "12345678"}', '{"$regularExpression": {"pattern": "x"}}',
    '{"$regularExpression": {"pattern": 1, "options": ""}}',
    '{"$timestamp": {"t": 1}}', '{"$timestamp": {"t": -1, "i": 1}}',
    '{"$timestamp": {"t": 4294967296, "i": 1}}', '{"$timestamp": {"t": 1.5, "i": 1}}',
    '{"$code": 1}', '{"$code": "x", "$scope": 1}', '{"$code": "x", "a": {}}',
    '{"$code": "x", "$scope": {}, "a": {}}', '{"$symbol": 1}',
    '{"$dbPointer": {"$ref": "c"}}', '{"$dbPointer": {"$ref": "c", "$id": "x"}}',
    '{"$undefined": false}', '{"$undefined": 1}', '{"$minKey": 2}', '{"$maxKey": "1"}',
]


def test_malformed(c):
    """Objects with a reserved key that do not have its form."""
    for text in MALFORMED:
        for kind in ("json", "jsonb"):
            throws(lambda: c.db.value(f"SELECT codec.parse_{kind}(%s::{kind})",
                                      ('{"x": [%s]}' % text,)), SYNTAX,
                   f"{kind}: {text}", detail=r'at "x\.0" does not have the form')


def test_wellformed(c):
    """Forms that reading does not write."""
    for text, value in (
            ('{"$date": "2020-01-01T01:30:00+01:30"}', DatetimeMS(1577836800000)),
            ('{"$date": "2019-12-31T22:30:00.5-0130"}', DatetimeMS(1577836800500)),
            ('{"$date": "0000-01-01T00:00:00Z"}', DatetimeMS(-62167219200000)),
            ('{"$date": "1969-12-31T23:59:59.99Z"}', DatetimeMS(-10)),
            ('{"$binary": {"base64": "AA==", "subType": "0"}}', b"\0"),
            ('{"$binary": {"subType": "80", "base64": "AA=="}}', Binary(b"\0", 0x80)),
            ('{"$uuid": "%s"}' % UUID, Binary(UUID.bytes, 4)),
            ('{"$numberDouble": "1"}', 1.0), ('{"$numberDecimal": "Inf"}', Decimal128("Infinity")),
            ('{"$numberDecimal": "-0"}', Decimal128("-0")),
            ('{"$numberDecimal": "1E+6144"}', Decimal128("1.%sE+6144" % ("0" * 33))),
            ('{"$regularExpression": {"pattern": "a", "options": "xim"}}', Regex("a", "imx")),
            ('{"$code": "x", "$scope": {"a": {"$numberLong": "1"}}}', Code("x", {"a": Int64(1)})),
            ('{"$ref": "c", "$id": {"$oid": "%s"}}' % HEX, {"$ref": "c", "$id": ObjectId(HEX)}),
            ('{"$gt": {"$numberLong": "1"}}', {"$gt": Int64(1)}),
            ('{"$regex": "a", "$options": "i"}', {"$regex": "a", "$options": "i"})):
        for kind in ("json", "jsonb"):
            got = c.db.value(f"SELECT codec.parse_{kind}(%s::{kind})", (text,))
            is_(bson.decode(got, OPTIONS)["v"],
                bson.decode(bson.encode({"v": value}), OPTIONS)["v"], f"{kind}: {text}")


def test_roots(c):
    """Whole documents and arrays."""
    for kind in ("json", "jsonb"):
        root = f"SELECT codec.parse_root(%s::{kind}, %s)"
        is_(bson.decode(c.db.value(root, ('{"_id": {"$oid": "%s"}, "a": [1]}' % HEX, False))),
            {"_id": ObjectId(HEX), "a": [1]}, f"{kind}: a document")
        is_(bson.decode(c.db.value(root, ('[{"$numberLong": "1"}, {}]', True))),
            {"0": Int64(1), "1": {}}, f"{kind}: an array")
        is_([c.db.value(root, (text, text == "[]")) for text in ("{}", "[]")],
            [raw(), raw()], f"{kind}: empty ones")
        for text, array in (("[]", False), ("1", False), ("null", False),
                            ("{}", True), ("1", True), ("[[]]", False)):
            throws(lambda: c.db.value(root, (text, array)), SYNTAX,
                   f"{kind}: {text} is no {'array' if array else 'document'}",
                   message="test is not a JSON " + ("array" if array else "object"))
        throws(lambda: c.db.value(root, ('{"$oid": "%s"}' % HEX, False)), SYNTAX,
               f"{kind}: a value in an object's form is no document")
        is_(len(c.db.value(root, (deep(102, "1"), True))),
            len(bson.encode({"v": 1})) + 100 * 8, f"{kind}: a hundred levels below an array")
        throws(lambda: c.db.value(root, (deep(103, "1"), True)), "54000",
               f"{kind}: not one more")
    is_(c.db.value("SELECT codec.parse_root('{\"b\":1,\"a\":{\"d\":1,\"c\":1}}'::json, false)"),
        bson.encode({"b": 1, "a": {"d": 1, "c": 1}}), "json: members keep their order")


def encode(c, kind, text, objectid=False, round_=False):
    """Write a value; return the document's bytes."""
    modifier = -1
    if kind.startswith(("varchar(", "char(")):
        modifier = int(kind.split("(")[1][:-1]) + 4
    return c.db.value(f"SELECT codec.encode_value(%s::{kind}, %s, %s, %s)",
                      (text, modifier, objectid, round_))


def deep(levels, inner):
    """Return JSON of so many levels below a document's own."""
    return "[" * (levels - 1) + inner + "]" * (levels - 1)


with codec() as functions:
    functions.db.execute(TYPES)
    functions.db.execute("CREATE TABLE public.thing ()")
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test(functions)
done()
