"""Each row of the mapping: what fits a column's type, as what, and what not."""
import datetime
import uuid

from bson import (Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId,
                  Regex, Timestamp)
from bson.datetime_ms import DatetimeMS

from codec import *
from servers.harness import *

NAN, INFINITY = float("nan"), float("inf")
HEX = "5381ccf9d6d81c8e5bf0114d"
UUID = uuid.UUID("12345678-9abc-def0-1234-56789abcdef0")
DAY = 86400000

# One value of each BSON type that is no null.
EACH = {
    "double": 1.5, "string": "x", "object": {"a": 1}, "array": [1],
    "binData": Binary(b"abc", 0), "objectId": ObjectId(HEX), "bool": True,
    "date": DatetimeMS(0), "regex": Regex("x"), "javascript": Code("f()"),
    "javascriptWithScope": Code("f()", {"a": 1}), "int": 7,
    "timestamp": Timestamp(1, 2), "long": Int64(7),
    "decimal": Decimal128("1.5"), "minKey": MinKey(), "maxKey": MaxKey(),
}

# What each type of column takes of them.
TAKES = {
    "int2": {"int", "long"}, "int4": {"int", "long"}, "int8": {"int", "long"},
    "float4": {"double", "int", "long"}, "float8": {"double", "int", "long"},
    "numeric": {"double", "int", "long", "decimal"},
    "numeric(6,2)": {"double", "int", "long", "decimal"},
    "bool": {"bool"},
    "text": {"string", "objectId"}, "varchar": {"string", "objectId"},
    "varchar(24)": {"string", "objectId"}, "name": {"string", "objectId"},
    "char(24)": {"string"}, "uuid": set(), "bytea": {"binData", "objectId"},
    "timestamptz": {"date"}, "timestamp": {"date"}, "date": {"date"},
    "pynomaly.objectid": {"objectId"}, "json": set(EACH), "jsonb": set(EACH),
    "int[]": {"array"}, "mood": set(), "interval": set(),
    "citext_like": {"string"},
}


def test_every_pair(c):
    """Every type of column with a value of every BSON type."""
    wrong = []
    for kind, taken in TAKES.items():
        for name, value in EACH.items():
            got = c.value({"v": value}, kind, null=True)
            if (got is not None) != (name in taken):
                wrong.append((kind, name, got))
    is_(wrong, [], f"{len(TAKES)} types of columns take the BSON types that "
        "they should, of 17")
    for kind in TAKES:
        for value in (None, raw(member(6, "v")), raw(member(10, "v")), raw()):
            document = value if isinstance(value, bytes) else {"v": value}
            wrong += [c.value(document, kind)] * (
                c.value(document, kind) is not None)
    is_(wrong, [], "missing, null and undefined are NULL for each type")


def test_integers(c):
    """int2, int4, int8."""
    for kind, bits in (("int2", 16), ("int4", 32), ("int8", 64)):
        low, high = -2 ** (bits - 1), 2 ** (bits - 1) - 1
        for number in (low, -1, 0, high):
            c.fits(kind, Int64(number), str(number))
        c.fits(kind, -0.0, "0")
        c.fits(kind, 42.0, "42")
        c.fits(kind, float(low), str(low))
        for text in ("42", "42.000", "4.2E+1", "-0", "0E+6111", "0E-6176",
                     str(low), str(high)):
            c.fits(kind, Decimal128(text), str(int(float(text)))
                   if "E" in text or "." in text else str(int(text)))
        for number in (3.7, -0.5, 1e300, -1e300, NAN, INFINITY, -INFINITY,
                       5e-324, float(high + 1)):
            c.misfits(kind, number, RANGE)
        for text in ("3.7", "1E+6144", "NaN", "-Infinity", "1E-6176",
                     str(high + 1), str(low - 1), "9" * 34):
            c.misfits(kind, Decimal128(text), RANGE)
        if bits < 64:
            c.misfits(kind, Int64(high + 1), RANGE)
            c.misfits(kind, Int64(low - 1), RANGE)
        c.misfits(kind, True, TYPE)
        c.misfits(kind, "42", TYPE)
        c.misfits(kind, [500], TYPE)
    c.misfits("int2", 70000, RANGE)
    c.fits("int8", 9007199254740993.0, "9007199254740992")
    c.fits("int8", 9223372036854774784.0, "9223372036854774784")
    c.misfits("int8", -9223372036854777856.0, RANGE)


def test_floats(c):
    """float4, float8."""
    for number, text in ((1.5, "1.5"), (-0.0, "-0"), (NAN, "NaN"),
                         (INFINITY, "Infinity"), (-INFINITY, "-Infinity"),
                         (7, "7"), (Int64(-7), "-7")):
        c.fits("float8", number, text)
        c.fits("float4", number, text)
    c.fits("float8", 0.1, "0.1")
    c.fits("float8", 5e-324, "5e-324")
    c.fits("float8", 1.7976931348623157e308, "1.7976931348623157e+308")
    c.fits("float8", Int64(2 ** 53 + 1), "9.007199254740992e+15")
    c.fits("float8", Int64(2 ** 63 - 1), "9.223372036854776e+18")
    c.fits("float4", 0.1, "0.1")
    c.fits("float4", 16777217, "1.6777216e+07")
    c.fits("float4", 3.4028234663852886e38, "3.4028235e+38")
    for number in (1e39, -1e39, 1e-46, 5e-324):
        c.misfits("float4", number, RANGE)
    for kind in ("float4", "float8"):
        c.misfits(kind, Decimal128("1.5"), TYPE)
        c.misfits(kind, "1.5", TYPE)


def test_numeric(c):
    """numeric without a modifier."""
    for number, text in (
            (7, "7"), (Int64(-2 ** 63), str(-2 ** 63)), (0.1, "0.1"),
            (100.0, "100"), (-0.0, "0"), (1.5e-7, "0.00000015"),
            (1e15, "1000000000000000"), (1e22, "1" + "0" * 22),
            (123456789012345678.0, "123456789012345680"),
            (5e-324, "0." + "0" * 323 + "5"), (1e300, "1" + "0" * 300),
            (1.7976931348623157e308, "17976931348623157" + "0" * 292),
            (0.30000000000000004, "0.30000000000000004"),
            (NAN, "NaN"), (INFINITY, "Infinity"), (-INFINITY, "-Infinity")):
        c.fits("numeric", number, text)
    for decimal, text in (
            ("1.10", "1.10"), ("0.00", "0.00"), ("-0", "0"), ("-1.5", "-1.5"),
            ("1E+3", "1000"), ("0E+3", "0"), ("0E-3", "0.000"),
            ("NaN", "NaN"), ("sNaN", "NaN"), ("Infinity", "Infinity"),
            ("-Infinity", "-Infinity"), ("9" * 34, "9" * 34),
            ("-" + "1234567890" * 3 + "1234", "-" + "1234567890" * 3 + "1234"),
            ("1E-6176", "0." + "0" * 6175 + "1"),
            ("1E+6144", "1" + "0" * 6144),
            ("9.999999999999999999999999999999999E+6144",
             "9" * 34 + "0" * 6111),
            ("123456789012345678.9", "123456789012345678.9"),
            ("12345678901234567890123.45", "12345678901234567890123.45")):
        c.fits("numeric", Decimal128(decimal), text)
    c.misfits("numeric", "7", TYPE)
    c.misfits("numeric", True, TYPE)


def test_odd_decimals(c):
    """Decimal128 in forms that no arithmetic makes count as zero."""
    def kept(bits):
        return raw(member(0x13, "v", bits.to_bytes(16, "little")))
    large = (3 << 125) | (6176 << 111) | 5      # the long form
    above = (6176 << 113) | (10 ** 34)          # 35 digits
    got = [c.value(kept(bits), "numeric") for bits in
           (large, above, (6176 << 113) | (10 ** 34 - 1))]
    is_(got, ["0", "0", "9" * 34],
        "numeric: a coefficient of more than 34 digits is zero")
    is_(c.value(kept(large), "int4"), "0", "int4: so it is for integers")


def test_numeric_modifier(c):
    """numeric(p,s): what would be rounded does not fit."""
    for kind, number, text in (
            ("numeric(4,2)", 12.34, "12.34"), ("numeric(4,2)", 12, "12.00"),
            ("numeric(4,2)", Decimal128("12.3400"), "12.34"),
            ("numeric(4,2)", Decimal128("1.2E+1"), "12.00"),
            ("numeric(4,2)", -99.99, "-99.99"), ("numeric(4,2)", NAN, "NaN"),
            ("numeric(4,2)", Decimal128("NaN"), "NaN"),
            ("numeric(4,2)", Decimal128("0E+100"), "0.00"),
            ("numeric(4,2)", Decimal128("0E-100"), "0.00"),
            ("numeric(2,-3)", 99000, "99000"), ("numeric(2,4)", 0.0012, "0.0012"),
            ("numeric(19)", Int64(2 ** 63 - 1), str(2 ** 63 - 1)),
            ("numeric(1000,500)", 1e300, "1" + "0" * 300 + "." + "0" * 500)):
        c.fits(kind, number, text)
    for kind, number in (
            ("numeric(4,2)", 12.345), ("numeric(4,2)", 100),
            ("numeric(4,2)", -100.0), ("numeric(4,2)", Decimal128("12.341")),
            ("numeric(4,2)", INFINITY), ("numeric(4,2)", Decimal128("-Infinity")),
            ("numeric(2,-3)", 99001), ("numeric(2,-3)", 100000),
            ("numeric(2,4)", 0.01), ("numeric(2,4)", 0.00012),
            ("numeric(4,2)", 1e300), ("numeric(4,2)", Decimal128("1E-6176"))):
        c.misfits(kind, number, RANGE)


def test_text(c):
    """text, varchar, name, char."""
    for kind in ("text", "varchar", "varchar(24)", "name"):
        c.fits(kind, ObjectId(HEX), HEX)
        c.fits(kind, "", "")
        c.fits(kind, "häß€😀", "häß€😀")
        c.misfits(kind, "a\0b", NUL)
        c.misfits(kind, "\0", NUL)
        c.misfits(kind, 7, TYPE)
    c.fits("text", "x" * 100000, "x" * 100000)
    c.fits("varchar(3)", "äöü", "äöü")
    c.misfits("varchar(3)", "äöüx", LENGTH)
    c.misfits("varchar(3)", "abc ", LENGTH)
    c.misfits("varchar(23)", ObjectId(HEX), LENGTH)
    c.fits("name", "x" * 63, "x" * 63)
    c.misfits("name", "x" * 64, LENGTH)
    c.misfits("name", "ä" * 32, LENGTH)

    is_(c.db.value("SELECT c = 'ab' AND octet_length(c) = 5 FROM "
                   "codec.decode_bson(%s, '{v}', false, false) AS t(c char(5))",
                   (encoded({"v": "ab"}),)), True,
        "char(5): a short string is padded with blanks")
    is_(c.db.value("SELECT octet_length(c) FROM codec.decode_bson("
                   "%s, '{v}', false, false) AS t(c char(3))",
                   (encoded({"v": "äö"}),)), 5,
        "char(3): characters count, not bytes")
    c.fits("char(3)", "abc", "abc")
    c.fits("char(3)", "äöü", "äöü")
    c.fits("char(3)", "ab ", "ab")
    c.fits("bpchar", "abcdef", "abcdef")
    c.misfits("char(3)", "abcd", LENGTH)
    c.misfits("char(3)", "abc ", LENGTH)
    c.misfits("char(3)", "a\0", NUL)
    c.misfits("char(24)", ObjectId(HEX), TYPE)


def test_broken_text(c):
    """Strings that are no UTF-8."""
    for bad in (b"\xff", b"a\xc3", b"\xc3(", b"\xed\xa0\x80", b"\xc0\x80",
                b"\xf5\x80\x80\x80", b"x" * 50 + b"\xe2\x82"):
        document = raw(member(2, "v", string(bad)))
        for kind in ("text", "varchar(99)", "char(99)", "name", "mood", "json",
                     "jsonb", "text[]", "interval"):
            data = raw(member(4, "v", raw(member(2, "0", string(bad))))) \
                if kind == "text[]" else document
            throws(lambda: c.value(data, kind), UTF8,
                   f"{kind}: {bad!r} is no UTF-8")
        is_(c.value(document, "text", null=True), None, f"text: {bad!r} is NULL")


def test_bytes(c):
    """bytea, objectid, uuid."""
    for subtype in (0, 1, 2, 3, 4, 5, 128):
        c.fits("bytea", Binary(b"\0\xff", subtype), "\\x00ff")
    c.fits("bytea", Binary(b"", 0), "\\x")
    c.fits("bytea", Binary(b"", 2), "\\x")
    c.fits("bytea", ObjectId(HEX), "\\x" + HEX)
    c.misfits("bytea", "abc", TYPE)
    is_(c.value(raw(member(5, "v", b"\3\0\0\0\2abc")), "bytea"), "\\x616263",
        "bytea: an old binary without its second length is read as it is")
    c.fits("pynomaly.objectid", ObjectId(HEX), HEX)
    c.misfits("pynomaly.objectid", HEX, TYPE)
    c.misfits("pynomaly.objectid", Binary(bytes(12), 0), TYPE)
    c.fits("uuid", Binary.from_uuid(UUID), str(UUID))
    for text in (str(UUID), str(UUID).upper(), UUID.hex, f"{{{UUID}}}",
                 "1234-5678-9abc-def0-1234-5678-9abc-def0"):
        c.fits("uuid", text, str(UUID))
        is_(c.db.value("SELECT %s::uuid::text", (text,)), str(UUID),
            f"uuid: so PostgreSQL reads {text}")
    for text in ("", "x", str(UUID)[:-1], str(UUID) + "0", f"{{{UUID}",
                 f"{UUID}}}", str(UUID)[:-1] + "g", f"{UUID}-", f" {UUID}",
                 "1-2345678-9abc-def0-1234-56789abcdef0", f"{UUID}\0"):
        c.misfits("uuid", text, SYNTAX)
    for value in (Binary(UUID.bytes, 3), Binary(UUID.bytes, 0),
                  Binary(b"short", 4), ObjectId(HEX)):
        c.misfits("uuid", value, TYPE)


def test_dates(c):
    """timestamptz, timestamp, date; whatever the session's TimeZone."""
    for zone in ("UTC", "America/New_York", "Asia/Kolkata"):
        c.db.execute(f"SET timezone = '{zone}'")
        for ms, text in ((0, "1970-01-01 00:00:00"),
                         (-1, "1969-12-31 23:59:59.999"),
                         (1577934245678, "2020-01-02 03:04:05.678"),
                         (-62135596800000, "0001-01-01 00:00:00"),
                         (-62135596800001, "0001-12-31 23:59:59.999 BC"),
                         (253402300800000, "10000-01-01 00:00:00"),
                         (9224318015999999, "294276-12-31 23:59:59.999"),
                         (-210866803200000, "4714-11-24 00:00:00 BC")):
            document = {"v": DatetimeMS(ms)}
            got = c.row(document, "a timestamp, d date", ["v", "v"])
            day = text.split(" ")[0] + (" BC" if text.endswith("BC") else "")
            is_(got, (text, day), f"timestamp, date: {ms} ms in {zone}")
            is_(c.db.value("SELECT (c AT TIME ZONE 'UTC')::text FROM "
                           "codec.decode_bson(%s, '{v}', false, false) "
                           "AS t(c timestamptz)", (encoded(document),)), text,
                f"timestamptz: {ms} ms in {zone}")
    c.db.execute("RESET timezone")
    for ms, day in ((-DAY, "1969-12-31"), (-DAY - 1, "1969-12-30"),
                    (DAY - 1, "1970-01-01"), (DAY, "1970-01-02")):
        c.fits("date", DatetimeMS(ms), day)
    for ms in (9224318016000000, -210866803200001, 2 ** 63 - 1, -2 ** 63):
        c.misfits("timestamptz", DatetimeMS(ms), DATE)
        c.misfits("timestamp", DatetimeMS(ms), DATE)
    c.fits("date", DatetimeMS(9224318016000000), "294277-01-01")
    c.misfits("date", DatetimeMS(-210866803200001), DATE)
    c.misfits("date", DatetimeMS(2 ** 63 - 1), DATE)
    c.misfits("date", DatetimeMS(-2 ** 63), DATE)
    for kind in ("timestamptz", "timestamp", "date"):
        c.misfits(kind, Timestamp(1, 2), TYPE)
        c.misfits(kind, "2020-01-01", TYPE)
        c.misfits(kind, 0, TYPE)
    c.fits("timestamp(0)", DatetimeMS(1000), "1970-01-01 00:00:01")
    c.misfits("timestamp(0)", DatetimeMS(1001), DATE)
    c.fits("timestamp(2)", DatetimeMS(-10), "1969-12-31 23:59:59.99")
    c.misfits("timestamp(2)", DatetimeMS(-1), DATE)
    c.fits("timestamp(3)", DatetimeMS(-1), "1969-12-31 23:59:59.999")


def test_bool_and_enum(c):
    """bool, enums."""
    c.fits("bool", True, "true")
    c.fits("bool", False, "false")
    for value in (1, 0, "true", 1.0):
        c.misfits("bool", value, TYPE)
    c.fits("mood", "ok", "ok")
    c.fits("mood", "so la la", "so la la")
    c.misfits("mood", "OK", SYNTAX)
    c.misfits("mood", "", SYNTAX)
    c.misfits("mood", "x" * 100, SYNTAX)
    c.misfits("mood", 1, TYPE)
    c.misfits("mood", ObjectId(HEX), TYPE)


def test_arrays(c):
    """Arrays: positions, dimensions, elements."""
    for kind, value, text in (
            ("int[]", [], "{}"), ("int[]", [1, None, 3], "{1,NULL,3}"),
            ("int[]", [None], "{NULL}"), ("int[]", [[1, 2], [3, 4]], "{{1,2},{3,4}}"),
            ("int[]", [[[[[[1]]]]]], "{{{{{{1}}}}}}"),
            ("int[]", [[1, None], [None, 4]], "{{1,NULL},{NULL,4}}"),
            ("int[]", [[], []], "{}"), ("float8[]", [1.5, 2], "{1.5,2}"),
            ("text[]", ["a", "", "b c", None, "NULL"], '{a,"","b c",NULL,"NULL"}'),
            ("varchar(2)[]", ["ab"], "{ab}"), ("char(2)[]", ["a"], '{"a "}'),
            ("numeric(3,1)[]", [1, 2.5], "{1.0,2.5}"),
            ("uuid[]", [str(UUID)], f"{{{UUID}}}"), ("mood[]", ["ok"], "{ok}"),
            ("pynomaly.objectid[]", [ObjectId(HEX)], f"{{{HEX}}}"),
            ("date[]", [DatetimeMS(0), None], "{1970-01-01,NULL}"),
            ("bool[]", [True, False], "{t,f}"),
            ("jsonb[]", [1, "x", [1, [2]], {"a": None}, None],
             '{1,"\\"x\\"","[1, [2]]","{\\"a\\": null}",NULL}'),
            ("jsonb[]", [[1], [2, 3]], '{[1],"[2, 3]"}'),
            ("interval[]", ["1 day", None], '{"1 day",NULL}'),
            ("positive[]", [1, None], "{1,NULL}"), ("few", [1, 2], "{1,2}")):
        c.fits(kind, value, text)
    is_(c.db.value("SELECT array_dims(c) FROM codec.decode_bson("
                   "%s, '{v}', false, false) AS t(c int[])",
                   (encoded({"v": [[1, 2, 3], [4, 5, 6]]}),)), "[1:2][1:3]",
        "int[]: dimensions count from 1")

    for value in (7, "{1,2}", {"0": 1}, ObjectId(HEX)):
        c.misfits("int[]", value, TYPE)
    for value in ([[1], [2, 3]], [[1], []], [[[1]], [2]], [[[[[[[1]]]]]]],
                  [[[1], [2]], [[3], [4, 5]]]):
        c.misfits("int[]", value, SHAPE)
    for value, text, state in (
            ([1, "x", 3], "{1,NULL,3}", TYPE), ([1, 2.5], "{1,NULL}", RANGE),
            ([1, [2]], "{1,NULL}", TYPE), ([[1], 2], "{NULL,2}", TYPE),
            ([[1], None], "{NULL,NULL}", TYPE), ([[1, "x"]], "{{1,NULL}}", TYPE)):
        document = {"v": value}
        throws(lambda: c.value(document, "int[]"), state,
               f"int[]: {value} has an element that does not fit",
               detail="an array with an element of BSON type")
        is_(c.value(document, "int[]", null=True), text,
            f"int[]: {value} is {text} where that is asked for")
    # positions are those in the document, whatever the keys say
    odd = raw(member(4, "v", raw(member(16, "7", int32(1)), member(16, "x", int32(2)),
                                 member(16, "7", int32(3)))))
    is_(c.value(odd, "int[]"), "{1,2,3}", "int[]: keys do not matter")
    wide = {"v": [[0] * 20000] + [[]] * 20000}
    throws(lambda: c.value(wide, "int[]"), SHAPE,
           "int[]: a shape is checked before memory is taken for it")


def test_domains(c):
    """Domains check their constraints, of NULLs too."""
    c.fits("positive", 7, "7")
    c.misfits("positive", 0, CHECK)
    c.misfits("positive", "x", TYPE)
    c.misfits("positive", 1.5, RANGE)
    c.fits("short", "abc", "abc")
    c.misfits("short", "abcd", LENGTH)
    c.misfits("short", "xyz", CHECK)
    c.fits("required", 1, "1")
    c.misfits("few", [1, 2, 3], CHECK)
    throws(lambda: c.value({"v": ["x"]}, "few"), TYPE,
           "few: an element does not fit",
           detail="an array with an element of BSON type string")
    c.fits("plain", "x", "x")
    c.misfits("inner_doc", 7, CHECK)
    c.fits("inner_doc", {"a": 1}, '{"a": 1}')
    for kind in ("required", "present"):
        for document in ({}, {"v": None}):
            throws(lambda: c.value(document, kind),
                   NOT_NULL if kind == "required" else CHECK,
                   f"{kind}: no value violates the domain in {document}",
                   detail="missing or null")
            is_(c.value(document, kind, null=True), None,
                f"{kind}: {document} is NULL where that is asked for")
    is_(c.value({}, "positive"), None, "positive: NULL passes a CHECK")
    throws(lambda: c.value({"v": [1, None]}, "required[]"), NOT_NULL,
           "required[]: a null element violates its domain")
    throws(lambda: c.value({"v": 7}, "failing"), "22012",
           "an error in a CHECK is an error",
           context='column "c" of a document of collection "things"')
    throws(lambda: c.value({"v": 7}, "failing", null=True), "22012",
           "and so it is where a mismatch is NULL")


def test_other_types(c):
    """Strings through the input functions of other types."""
    for kind, text, shown_as in (
            ("interval", "1 day 2 h", "1 day 02:00:00"), ("time", "12:34", "12:34:00"),
            ("inet", "10.0.0.1/8", "10.0.0.1/8"), ("point", "(1,2)", "(1,2)"),
            ("int4range", "[1,5)", "[1,5)"), ("bit(3)", "101", "101"),
            ("regclass", "pg_class", "pg_class"), ("tsvector", "a b", "'a' 'b'"),
            ("int2vector", "1 2", "1 2"), ("oidvector", "1 2", "1 2"),
            ("oid", "42", "42"), ("money", "1.50", "$1.50"), ("citext_like", "X", "X"),
            ("jsonpath", "$.a", '$."a"'), ("macaddr", "08:00:2b:01:02:03",
                                           "08:00:2b:01:02:03")):
        c.fits(kind, text, shown_as)
    for kind, text, state in (
            ("interval", "tomorrow", "22007"), ("time", "25:00", "22008"),
            ("inet", "x", SYNTAX), ("int4range", "[5,1)", "22000"),
            ("bit(3)", "1010", "22026"), ("regclass", "no_such_table", "42P01"),
            ("oid", "x", SYNTAX), ("tsvector", "'", "42601")):
        c.misfits(kind, text, state)
    c.misfits("interval", 7, TYPE)
    c.misfits("interval", "a\0b", NUL)
    c.misfits("interval", ObjectId(HEX), TYPE)
    throws(lambda: c.value({"v": "x"}, "inet"), SYNTAX,
           "an input function's error says where it comes from",
           context='column "c" of a document of collection "things"')
    with c.db.main.transaction():
        values = [c.value({"v": text}, "interval", null=True)
                  for text in ("1 day", "x", "2 days", "y")]
        is_(values, ["1 day", None, "2 days", None],
            "rejected strings leave the transaction as it was")


def test_other_types_in_parallel(c):
    """Rejected strings while parallel workers run."""
    c.db.execute("ALTER FUNCTION codec.decode_bson PARALLEL SAFE")
    c.db.execute("SET %s = on" % (
        "force_parallel_mode" if c.db.main.info.server_version < 160000
        else "debug_parallel_query"))
    like(c.db.explain("SELECT * FROM codec.decode_bson('', '{v}', true, false) "
                      "AS t(c interval)"), "Gather", "a parallel plan")
    is_(c.row({"a": "x", "b": "1 day", "c": "x"}, "a interval, b interval, c inet",
              ["a", "b", "c"], null=True), (None, "1 day", None),
        "a rejected string is NULL in a parallel plan")
    c.db.execute("ALTER FUNCTION codec.decode_bson PARALLEL UNSAFE")


def test_messages(c):
    """What the error of a value that does not fit says."""
    document = {"_id": ObjectId(HEX), "sub": {"n": "secret"}}
    throws(lambda: c.row(document, "n varchar(5)[]", ["sub.n"]), TYPE,
           "the error names everything but the value",
           message='^value of field "sub.n" does not fit column "n"$',
           detail=r'^In the document with _id {"\$oid":"' + HEX + r'"} of '
                  'collection "things" it is of BSON type string, and the '
                  r'column of type character varying\(5\)\[\]\.$',
           hint="on_mismatch 'null'")
    throws(lambda: c.value({"v": 70000}, "int2"), RANGE,
           "a document without an _id has an error too",
           detail=r"_id \(none\).* out of range")
    throws(lambda: c.value({"_id": "ä" * 200, "v": "x"}, "int2"), TYPE,
           "a long _id is cut between characters", detail='_id "(ä){49}\\.\\.\\. of')
    throws(lambda: c.value({"_id": "a\0", "v": "x"}, "int2"), TYPE,
           "an _id that cannot be shown", detail=r"_id \(not printable\)")
    throws(lambda: c.value({"a": "x\0"}, "jsonb", path=None), NUL,
           "a whole document that does not fit",
           message='^document does not fit column "c"$', detail="zero byte")


def test_types_of_columns(c):
    """Types that no column can have."""
    check = "SELECT codec.check_column_type(%s::regtype, %s)"
    for kind in ("record", "anyarray", "cstring", "void", "pair", "pair[]",
                 "pair_domain", "pg_class"):
        throws(lambda: c.db.value(check, (kind, False)), "0A000",
               f"a column of type {kind} is refused", hint="jsonb")
    for kind in ("int4", "text", "xml", "int4[]", "jsonb[]"):
        throws(lambda: c.db.value(check, (kind, True)), "42804",
               f"a whole document does not go into {kind}", hint="jsonb")
    for kind in ("json", "jsonb", "inner_doc"):
        ok(c.db.value(check, (kind, True)) is not None,
           f"a whole document goes into {kind}")
    for kind in TAKES:
        c.db.value(check, (kind.split("(")[0], False))
    ok(True, "all types of the mapping are accepted")


with codec() as functions:
    functions.db.execute(TYPES)
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test(functions)
done()
