"""Section 4 of the design, a second time: from documents to rows.

Written from the specification alone, so that it shares no mistake with the
extension.  A value of a row is the text that the type's input function takes,
or None for NULL.
"""

import math
import os
import re
import struct
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Context, Decimal

from bson.decimal128 import Decimal128

import bsonraw as b
import ejson

# A planted fault, to prove that a wrong mapping is noticed: "truncate" makes
# an integer of 3.7.
PLANT = os.environ.get("PNS_DIFFERENTIAL_PLANT", "")

_INTEGER_BITS = {"int2": 15, "int4": 31, "int8": 63}
_EPOCH = datetime(1970, 1, 1)
_EXACT = Context(prec=20000, Emin=-20000, Emax=20000)
_NAME_BYTES = 63


class Mismatch(Exception):
    """The value does not fit the column's type."""


@dataclass(frozen=True)
class Type:
    """A column's type: how to declare it and which row of the table it is."""

    sql: str
    kind: str
    precision: int = 0
    scale: int = 0
    length: int = 0  # of varchar(n) and char(n)
    unit: int = 1  # milliseconds that timestamp(n) counts in
    base: "Type" = None  # a domain's
    element: "Type" = None  # an array's
    collation: str = ""


@dataclass(frozen=True)
class Column:
    """A column: a name, a type, and the field's path (None: the document)."""

    name: str
    type: Type
    path: str = None
    canonical: bool = field(default=False)


def split_path(path):
    r"""Split a dotted path; "\." is a dot that belongs to the key."""
    parts = re.findall(r"(?:\\.|[^.\\])+", path)
    return [re.sub(r"\\(.)", r"\1", part) for part in parts]


def look_up(members, path):
    """Return the value that a path leads to, or None."""
    value = (b.DOCUMENT, members)
    for part in split_path(path):
        kind, payload = value
        if kind == b.DOCUMENT:
            value = next((member for key, member in payload if key == part), None)
        elif kind == b.ARRAY and re.fullmatch(r"0|[1-9][0-9]*", part):
            index = int(part)
            value = payload[index][1] if index < len(payload) else None
        else:
            value = None
        if value is None:
            return None
    return value


def map_column(members, column, probe):
    """Map a document to a column: (text or None, was there a mismatch).

    probe(text, type) asks PostgreSQL whether a type's input takes a text; it
    is used where the specification says so: enums, domains, other types.
    """
    if column.path is None:
        value = (b.DOCUMENT, members)
    else:
        value = look_up(members, column.path)
    if value is None or value[0] in (b.NULL, b.UNDEFINED):
        return None, False
    mismatches = []
    try:
        if column.type.element is not None:
            text = _array(value, column, probe, mismatches)
        else:
            text = _scalar(value, column.type, column.canonical, probe)
    except (Mismatch, ejson.NotRepresentable):
        return None, True
    return text, bool(mismatches)


def _scalar(value, type_, canonical, probe):
    return _MAPPINGS.get(type_.kind, _other)(value, type_, canonical, probe)


def _decimal(value):
    return Decimal(str(Decimal128.from_bid(value[1])))


def _integer(value, type_, canonical, probe):
    kind, payload = value
    if kind in (b.INT32, b.INT64):
        number = payload
    elif kind == b.DOUBLE and math.isfinite(payload):
        if not payload.is_integer() and PLANT != "truncate":
            raise Mismatch
        number = int(payload)
    elif kind == b.DECIMAL128:
        exact = _decimal(value)
        if not exact.is_finite() or (exact and exact.adjusted() > 20):
            raise Mismatch
        if exact != exact.to_integral_value(context=_EXACT):
            raise Mismatch
        number = int(exact)
    else:
        raise Mismatch
    limit = 1 << _INTEGER_BITS[type_.kind]
    if not -limit <= number < limit:
        raise Mismatch
    return str(number)


def _float8(value, type_, canonical, probe):
    kind, payload = value
    if kind not in (b.DOUBLE, b.INT32, b.INT64):
        raise Mismatch
    return repr(float(payload))


def _float4(value, type_, canonical, probe):
    number = float(_float8(value, type_, canonical, probe))
    try:
        (rounded,) = struct.unpack("<f", struct.pack("<f", number))
    except OverflowError:
        raise Mismatch from None
    if number != 0 and rounded == 0:
        raise Mismatch
    return repr(rounded)


def _numeric(value, type_, canonical, probe):
    kind, payload = value
    if kind in (b.INT32, b.INT64):
        number = Decimal(payload)
    elif kind == b.DECIMAL128:
        number = _decimal(value)
    elif kind == b.DOUBLE:
        number = Decimal(repr(payload))
        if number.is_finite() and payload.is_integer():
            number = Decimal(int(number))
    else:
        raise Mismatch
    if type_.precision:
        _check_precision(number, type_)
    return format(number, "f") if number.is_finite() else str(number)


def _check_precision(number, type_):
    if number.is_nan():
        return
    if number.is_infinite():
        raise Mismatch
    if number and number.adjusted() >= type_.precision - type_.scale:
        raise Mismatch
    if number.scaleb(type_.scale, _EXACT) % 1 != 0:
        raise Mismatch


def _bool(value, type_, canonical, probe):
    if value[0] != b.BOOL:
        raise Mismatch
    return "t" if value[1] else "f"


def _string(value):
    if value[0] != b.STRING or "\0" in value[1]:
        raise Mismatch
    return value[1]


def _text(value, type_, canonical, probe):
    text = value[1].hex() if value[0] == b.OBJECTID else _string(value)
    if type_.kind == "name" and len(text.encode()) > _NAME_BYTES:
        raise Mismatch
    if type_.length and len(text) > type_.length:
        raise Mismatch
    return text


def _char(value, type_, canonical, probe):
    text = _string(value)
    if len(text) > type_.length:
        raise Mismatch
    return text


def _other(value, type_, canonical, probe):
    text = _string(value)
    if not probe(text, type_.sql):
        raise Mismatch
    return text


def _uuid(value, type_, canonical, probe):
    if value[0] == b.BINARY:
        subtype, data = value[1]
        if subtype != 4 or len(data) != 16:
            raise Mismatch
        return data.hex()
    return _other(value, type_, canonical, probe)


def _bytea(value, type_, canonical, probe):
    if value[0] == b.OBJECTID:
        return "\\x" + value[1].hex()
    if value[0] != b.BINARY:
        raise Mismatch
    return "\\x" + value[1][1].hex()


def _date(value, type_, canonical, probe):
    if value[0] != b.DATE or value[1] % type_.unit != 0:
        raise Mismatch
    moment = _EPOCH + timedelta(milliseconds=value[1])
    if type_.kind == "date":
        return moment.date().isoformat()
    text = moment.isoformat(sep=" ")
    return text + "+00" if type_.kind == "timestamptz" else text


def _objectid(value, type_, canonical, probe):
    if value[0] != b.OBJECTID:
        raise Mismatch
    return value[1].hex()


def _json(value, type_, canonical, probe):
    return ejson.value(value, canonical)


def _jsonb(value, type_, canonical, probe):
    return ejson.value(_first_of_each_key(value), canonical)


def _first_of_each_key(value):
    """Leave out what jsonb does not keep: all but the first of equal keys."""
    kind, payload = value
    if kind == b.CODE_W_SCOPE:
        code, scope = payload
        return kind, (code, _first_of_each_key((b.DOCUMENT, scope))[1])
    if kind not in (b.DOCUMENT, b.ARRAY):
        return value
    first = dict(reversed(payload))
    return kind, [(key, _first_of_each_key(first.pop(key)))
                  for key, _ in payload if key in first]


def _domain(value, type_, canonical, probe):
    text = _scalar(value, type_.base, canonical, probe)
    if not probe(text, type_.sql):
        raise Mismatch
    return text


_MAPPINGS = {
    "int2": _integer,
    "int4": _integer,
    "int8": _integer,
    "float4": _float4,
    "float8": _float8,
    "numeric": _numeric,
    "bool": _bool,
    "text": _text,
    "varchar": _text,
    "name": _text,
    "char": _char,
    "uuid": _uuid,
    "bytea": _bytea,
    "timestamptz": _date,
    "timestamp": _date,
    "date": _date,
    "objectid": _objectid,
    "json": _json,
    "jsonb": _jsonb,
    "domain": _domain,
}


def _array(value, column, probe, mismatches):
    if value[0] != b.ARRAY:
        raise Mismatch
    dimensions = _dimensions(value, column.type.element)
    if 0 in dimensions:
        return "{}"
    return _array_text(value, len(dimensions), column, probe, mismatches)


def _dimensions(value, element):
    """Return the lengths by which a value is rectangular, outermost first."""
    items = [item for _, item in value[1]]
    inner = []
    if items and all(item[0] == b.ARRAY for item in items):
        if element.kind not in ("json", "jsonb"):
            inner = [_dimensions(item, element) for item in items]
    if not inner:
        return [len(items)]
    if any(lengths != inner[0] for lengths in inner):
        raise Mismatch
    return [len(items)] + inner[0]


def _array_text(value, depth, column, probe, mismatches):
    parts = []
    for _, item in value[1]:
        if depth > 1:
            parts.append(_array_text(item, depth - 1, column, probe, mismatches))
        elif item[0] in (b.NULL, b.UNDEFINED):
            parts.append("NULL")
        else:
            try:
                text = _scalar(item, column.type.element, column.canonical, probe)
                parts.append('"' + re.sub(r'(["\\])', r"\\\1", text) + '"')
            except (Mismatch, ejson.NotRepresentable):
                mismatches.append(item)
                parts.append("NULL")
    return "{" + ",".join(parts) + "}"
