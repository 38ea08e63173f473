"""Each kind of value, and how Extended JSON says it."""
from bson import (Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId,
                  Regex, Timestamp)
from bson.datetime_ms import DatetimeMS
from bson.dbref import DBRef

from codec import member, raw, string

HEX = "5381ccf9d6d81c8e5bf0114d"
NAN, INFINITY = float("nan"), float("inf")

# A value, or the bytes of a member called v; relaxed; canonical.
VOCABULARY = [
    (7, '7', '{"$numberInt":"7"}'),
    (Int64(7), '7', '{"$numberLong":"7"}'),
    (Int64(-2 ** 63), str(-2 ** 63), '{"$numberLong":"%d"}' % -2 ** 63),
    (7.0, '7.0', '{"$numberDouble":"7.0"}'),
    (-0.0, '-0.0', '{"$numberDouble":"-0.0"}'),
    (0.1, '0.1', '{"$numberDouble":"0.1"}'),
    (1e-7, '1e-07', '{"$numberDouble":"1e-07"}'),
    (5e-324, '5e-324', '{"$numberDouble":"5e-324"}'),
    (123456789.5, '123456789.5', '{"$numberDouble":"123456789.5"}'),
    (999999999999999.0, '999999999999999.0', None),
    (1e15, '1000000000000000.0', None),
    (-1e18, '-1000000000000000000.0', None),
    (2.0 ** 63, '9223372036854776000.0', None),
    (9.5e18, '9500000000000000000.0', None),
    (1e19, '1e+19', '{"$numberDouble":"1e+19"}'),
    (1e300, '1e+300', None),
    (1000000000000000.5, '1.0000000000000005e+15', None),
    (NAN, '{"$numberDouble":"NaN"}', '{"$numberDouble":"NaN"}'),
    (INFINITY, '{"$numberDouble":"Infinity"}', '{"$numberDouble":"Infinity"}'),
    (-INFINITY, '{"$numberDouble":"-Infinity"}', '{"$numberDouble":"-Infinity"}'),
    (Decimal128("1.10"), '{"$numberDecimal":"1.10"}', '{"$numberDecimal":"1.10"}'),
    ("x\"\\/\b\f\n\r\t\x01\x7fä😀", '"x\\"\\\\/\\b\\f\\n\\r\\t\\u0001\x7fä😀"', '"x\\"\\\\/\\b\\f\\n\\r\\t\\u0001\x7fä😀"'),
    (True, 'true', 'true'), (False, 'false', 'false'), (None, 'null', 'null'),
    ([], '[]', '[]'), ({}, '{}', '{}'),
    ([1, [2, None]], '[1,[2,null]]',
     '[{"$numberInt":"1"},[{"$numberInt":"2"},null]]'),
    ({"a": {"": 1}}, '{"a":{"":1}}', '{"a":{"":{"$numberInt":"1"}}}'),
    (ObjectId(HEX), '{"$oid":"%s"}' % HEX, '{"$oid":"%s"}' % HEX),
    (DatetimeMS(0), '{"$date":"1970-01-01T00:00:00Z"}',
     '{"$date":{"$numberLong":"0"}}'),
    (DatetimeMS(1356351330501), '{"$date":"2012-12-24T12:15:30.501Z"}',
     '{"$date":{"$numberLong":"1356351330501"}}'),
    (DatetimeMS(1), '{"$date":"1970-01-01T00:00:00.001Z"}', None),
    (DatetimeMS(-1), '{"$date":{"$numberLong":"-1"}}',
     '{"$date":{"$numberLong":"-1"}}'),
    (DatetimeMS(253402300799999), '{"$date":"9999-12-31T23:59:59.999Z"}', None),
    (DatetimeMS(253402300800000), '{"$date":{"$numberLong":"253402300800000"}}',
     None),
    (Binary(b"", 0), '{"$binary":{"base64":"","subType":"00"}}', None),
    (Binary(b"\xff\xfe\xfd\xfc", 0x80),
     '{"$binary":{"base64":"//79/A==","subType":"80"}}', None),
    (Binary(b"abc", 2), '{"$binary":{"base64":"YWJj","subType":"02"}}', None),
    (Binary(b"x" * 100, 4),
     '{"$binary":{"base64":"' + "eHh4" * 33 + 'eA==","subType":"04"}}', None),
    (Regex("a\"b", "im"),
     '{"$regularExpression":{"pattern":"a\\"b","options":"im"}}', None),
    (Timestamp(4294967295, 2), '{"$timestamp":{"t":4294967295,"i":2}}',
     '{"$timestamp":{"t":4294967295,"i":2}}'),
    (Code("f()"), '{"$code":"f()"}', '{"$code":"f()"}'),
    (Code("f()", {"k": 1, "s": Code("g()", {"d": 0.5})}),
     '{"$code":"f()","$scope":{"k":1,"s":{"$code":"g()","$scope":{"d":0.5}}}}',
     '{"$code":"f()","$scope":{"k":{"$numberInt":"1"},"s":{"$code":"g()",'
     '"$scope":{"d":{"$numberDouble":"0.5"}}}}}'),
    (MinKey(), '{"$minKey":1}', '{"$minKey":1}'),
    (MaxKey(), '{"$maxKey":1}', '{"$maxKey":1}'),
    (member(6, "v"), '{"$undefined":true}', '{"$undefined":true}'),
    (member(14, "v", string("s")), '{"$symbol":"s"}', '{"$symbol":"s"}'),
    (member(12, "v", string("db.c") + bytes(range(12))),
     '{"$dbPointer":{"$ref":"db.c","$id":{"$oid":"000102030405060708090a0b"}}}',
     None),
    (DBRef("c", 1), '{"$ref":"c","$id":1}', None),
]


def document_of(value):
    """Return a document with a value as v."""
    return raw(value) if type(value) is bytes else {"v": value}
