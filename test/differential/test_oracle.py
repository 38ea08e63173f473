"""The second mapping itself: its table, and that a fault in it is noticed.

The rows are the design's, written as documents and what has to come of them.
"""
import json
import os
import random
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import bson
from bson.codec_options import CodecOptions
from bson.json_util import DatetimeRepresentation, JSONMode, JSONOptions, dumps

import bsonraw as b
import ejson
import oracle
from documents import Collection, decimal
from oracle import Column
from servers.harness import done, is_, note, ok
from tables import TYPES

WRONG = "does not fit"
INT, LONG, DOUBLE, STRING = b.INT32, b.INT64, b.DOUBLE, b.STRING
OBJECTID = (b.OBJECTID, bytes.fromhex("5381ccf9d6d81c8e5bf0114d"))
DATE = (b.DATE, 1577880000123)
LIST = b.array([(INT, 1), (b.NULL, None), (STRING, "x")])
# type of the column, value, its text
TABLE = [
    ("int4", (INT, 5), "5"),
    ("int4", (LONG, 2**31), WRONG),
    ("int4", (DOUBLE, 3.7), WRONG),
    ("int4", (DOUBLE, -0.0), "0"),
    ("int4", (DOUBLE, float("nan")), WRONG),
    ("int4", (b.BOOL, True), WRONG),
    ("int4", decimal("5.00"), "5"),
    ("int4", decimal("1E+3"), "1000"),
    ("int8", decimal("1E+40"), WRONG),
    ("int2", (INT, 70000), WRONG),
    ("int8", (DOUBLE, 1e300), WRONG),
    ("int8", (LONG, 2**63 - 1), "9223372036854775807"),
    ("float8", (LONG, 2**53 + 1), "9007199254740992.0"),
    ("float8", decimal("1.5"), WRONG),
    ("float4", (DOUBLE, 1e39), WRONG),
    ("float4", (DOUBLE, float("inf")), "inf"),
    ("numeric", decimal("1.10"), "1.10"),
    ("numeric", (DOUBLE, 0.1), "0.1"),
    ("numeric", (DOUBLE, 5.0), "5"),
    ("numeric", decimal("-Infinity"), "-Infinity"),
    ("numeric(6,2)", (DOUBLE, 3.7), "3.7"),
    ("numeric(6,2)", decimal("3.705"), WRONG),
    ("numeric(6,2)", (INT, 10000), WRONG),
    ("numeric(6,2)", decimal("Infinity"), WRONG),
    ("bool", (INT, 1), WRONG),
    ("text", OBJECTID, "5381ccf9d6d81c8e5bf0114d"),
    ("text", (STRING, "a\0b"), WRONG),
    ("text", (INT, 1), WRONG),
    ("varchar(3)", (STRING, "abc "), WRONG),
    ("char(3)", (STRING, "ab "), "ab "),
    ("char(3)", (STRING, "ab  "), WRONG),
    ("char C", OBJECTID, WRONG),
    ("name", (STRING, "x" * 64), WRONG),
    ("uuid", (b.BINARY, (4, bytes(16))), "0" * 32),
    ("uuid", (b.BINARY, (3, bytes(16))), WRONG),
    ("bytea", (b.BINARY, (2, b"ab")), "\\x6162"),
    ("bytea", OBJECTID, "\\x5381ccf9d6d81c8e5bf0114d"),
    ("timestamptz", DATE, "2020-01-01 12:00:00.123000+00"),
    ("timestamp", DATE, "2020-01-01 12:00:00.123000"),
    ("date", (b.DATE, -1), "1969-12-31"),
    ("objectid", (STRING, "5381ccf9d6d81c8e5bf0114d"), WRONG),
    ("jsonb", (DOUBLE, 1.0), "1.0"),
    ("jsonb", (DOUBLE, float("nan")), '{"$numberDouble": "NaN"}'),
    ("jsonb", (STRING, "a\0b"), WRONG),
    ("jsonb", (b.NULL, None), None),
    ("jsonb", (b.DOCUMENT, [("x", (INT, 1)), ("x", (INT, 2))]), '{"x": 1}'),
    ("json", (b.DOCUMENT, [("x", (INT, 1)), ("x", (INT, 2))]), '{"x": 1, "x": 2}'),
    ("int4[]", b.array([(INT, 1), (b.NULL, None)]), '{"1",NULL}'),
    ("int4[]", b.array([b.array([(INT, 1)]), b.array([(INT, 2)])]), '{{"1"},{"2"}}'),
    ("int4[]", b.array([b.array([(INT, 1)]), b.array([])]), WRONG),
    ("int4[]", (INT, 1), WRONG),
]
# path, value of {a: {b: [{c: 1}, 2], "0": 3}, "d.e": 4, f: 5, f: 6}
PATHS = [
    ("a.b.0.c", "1"),
    ("a.b.1", "2"),
    ("a.b.2", None),
    ("a.b.c", None),
    ("a.0", "3"),
    ("d\\.e", "4"),
    ("d.e", None),
    ("f", "5"),
]
NESTED = [
    (
        "a",
        (
            b.DOCUMENT,
            [
                ("b", b.array([(b.DOCUMENT, [("c", (INT, 1))]), (INT, 2)])),
                ("0", (INT, 3)),
            ],
        ),
    ),
    ("d.e", (INT, 4)),
    ("f", (INT, 5)),
    ("f", (INT, 6)),
]


def probe(text, type_):
    """Stand in for PostgreSQL's input functions."""
    return False


def check_table():
    """Test the mapping's table and paths."""
    for type_, value, expected in TABLE:
        column = Column("c", TYPES[type_], "v")
        text, mismatch = oracle.map_column([("v", value)], column, probe)
        got = WRONG if mismatch else text
        is_(got, expected, f"{type_} of {ejson.value(value, nul=True)!r}")
    text, mismatch = oracle.map_column(
        [("v", LIST)], Column("c", TYPES["int4[]"], "v"), probe
    )
    is_((text, mismatch), ('{"1",NULL,NULL}', True), "an element that does not fit")
    for path, expected in PATHS:
        column = Column("c", TYPES["int4"], path)
        is_(oracle.map_column(NESTED, column, probe)[0], expected, f"path {path}")


def check_driver():
    """Test that the driver reads and writes random documents as we do."""
    rng = random.Random(7)
    documents = [members for _ in range(5) for members in Collection(rng).documents]
    kept = CodecOptions(
        datetime_conversion=bson.codec_options.DatetimeConversion.DATETIME_MS
    )
    options = JSONOptions(
        json_mode=JSONMode.CANONICAL,
        datetime_representation=DatetimeRepresentation.NUMBERLONG,
    )
    lost = ("$undefined", "$symbol")
    bytes_differ = texts_differ = compared = 0
    for members in documents:
        text = ejson.document(members, canonical=True, nul=True)
        if any(word in text for word in lost):
            continue  # what the driver does not keep
        data = b.encode(members)
        if len(dict(members)) < len(members):
            continue
        compared += 1
        theirs = bson.decode(data, codec_options=kept)
        bytes_differ += b.encode(b.decode(data)) != data
        texts_differ += _plain(text) != _plain(dumps(theirs, json_options=options))
    note(f"{compared} documents of {len(documents)}")
    ok(compared > 50, "many documents can be compared with the driver's")
    is_(bytes_differ, 0, "documents are written as they were read")
    is_(texts_differ, 0, "their Extended JSON is the driver's")


def _plain(text):
    """Return Extended JSON with doubles in one form."""

    def double(members):
        if set(members) == {"$numberDouble"}:
            return {"$numberDouble": repr(float(members["$numberDouble"]))}
        return members

    return json.loads(text, object_hook=double)


def check_fault():
    """Test that a wrong mapping is reported, small enough to be read."""
    arguments = ["--queries", "300", "--seed", "1"]
    run = subprocess.run(
        [sys.executable, str(HERE / "run.py"), *arguments],
        env={**os.environ, "PNS_DIFFERENTIAL_PLANT": "truncate"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    failures = [line for line in run.stdout.splitlines() if line.startswith("not ok")]
    ok(failures, "a mapping that makes an integer of 3.7 is noticed")
    ok(
        any("mapped as specified" in line for line in failures)
        and any("the same answers" in line for line in failures),
        "by the columns' values and by queries",
        *failures,
    )
    ok("CREATE FOREIGN TABLE" in run.stdout, "the report has the table")
    ok('"$numberDouble"' in run.stdout, "and a document that makes the difference")


check_table()
check_driver()
check_fault()
done()
