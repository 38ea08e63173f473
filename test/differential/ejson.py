"""Extended JSON v2 of BSON values, written from its specification.

Numbers of the relaxed form follow section 4 of the design: a double in the
shortest form that reads back, a whole one with ".0".
"""

import base64
import json
import math
from datetime import datetime, timedelta, timezone
from decimal import Decimal

from bson.decimal128 import Decimal128

import bsonraw as b

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_YEAR_10000 = 253402300800000


class NotRepresentable(Exception):
    """The value holds a NUL, which PostgreSQL's JSON cannot."""


def document(members, canonical=False, nul=False):
    """Return a document as JSON text.  nul: write NULs (for reports only)."""
    body = ", ".join(
        f"{_quote(key, nul)}: {value(member, canonical, nul)}"
        for key, member in members
    )
    return "{" + body + "}"


def double(number):
    """Return a finite double's shortest text, a whole one's with ".0".

    From 10^19 on, where no integer type reaches, the exponent says as much.
    """
    text = repr(number)
    if "e+" in text and abs(number) < 1e19:
        return f"{int(Decimal(text))}.0"
    return text


def _quote(text, nul):
    if "\0" in text and not nul:
        raise NotRepresentable
    return json.dumps(text, ensure_ascii=False)


def _date(milliseconds, canonical):
    if canonical or not 0 <= milliseconds < _YEAR_10000:
        return '{"$date": {"$numberLong": "%d"}}' % milliseconds
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    if milliseconds % 1000:
        text += ".%03d" % (milliseconds % 1000)
    return '{"$date": "%sZ"}' % text


def _double(number, canonical):
    if math.isnan(number):
        return '{"$numberDouble": "NaN"}'
    if math.isinf(number):
        return '{"$numberDouble": "%sInfinity"}' % ("-" if number < 0 else "")
    text = double(number)
    return '{"$numberDouble": "%s"}' % text if canonical else text


def value(member, canonical=False, nul=False):
    """Return a value as JSON text."""
    kind, payload = member
    if kind == b.DOUBLE:
        return _double(payload, canonical)
    if kind == b.STRING:
        return _quote(payload, nul)
    if kind == b.DOCUMENT:
        return document(payload, canonical, nul)
    if kind == b.ARRAY:
        items = (value(item, canonical, nul) for _, item in payload)
        return "[" + ", ".join(items) + "]"
    if kind == b.BINARY:
        text = base64.b64encode(payload[1]).decode()
        return '{"$binary": {"base64": "%s", "subType": "%02x"}}' % (text, payload[0])
    if kind == b.OBJECTID:
        return '{"$oid": "%s"}' % payload.hex()
    if kind == b.BOOL:
        return "true" if payload else "false"
    if kind == b.DATE:
        return _date(payload, canonical)
    if kind in (b.INT32, b.INT64):
        if not canonical:
            return str(payload)
        name = "$numberInt" if kind == b.INT32 else "$numberLong"
        return '{"%s": "%d"}' % (name, payload)
    if kind == b.DECIMAL128:
        return '{"$numberDecimal": "%s"}' % Decimal128.from_bid(payload)
    if kind == b.REGEX:
        return '{"$regularExpression": {"pattern": %s, "options": %s}}' % (
            _quote(payload[0], nul),
            _quote("".join(sorted(payload[1])), nul),
        )
    if kind == b.DBPOINTER:
        return '{"$dbPointer": {"$ref": %s, "$id": {"$oid": "%s"}}}' % (
            _quote(payload[0], nul),
            payload[1].hex(),
        )
    if kind == b.CODE:
        return '{"$code": %s}' % _quote(payload, nul)
    if kind == b.CODE_W_SCOPE:
        return '{"$code": %s, "$scope": %s}' % (
            _quote(payload[0], nul),
            document(payload[1], canonical, nul),
        )
    if kind == b.SYMBOL:
        return '{"$symbol": %s}' % _quote(payload, nul)
    if kind == b.TIMESTAMP:
        return '{"$timestamp": {"t": %d, "i": %d}}' % payload
    return {
        b.NULL: "null",
        b.UNDEFINED: '{"$undefined": true}',
        b.MINKEY: '{"$minKey": 1}',
        b.MAXKEY: '{"$maxKey": 1}',
    }[kind]
