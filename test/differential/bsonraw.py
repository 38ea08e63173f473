"""BSON as it is on the wire.

The driver's own decoder is not enough here: it drops duplicate keys, makes
null of undefined and a string of a symbol.  A value is a tuple (type byte,
payload); the payload of a document or an array is a list of (key, value).
"""

import struct

DOUBLE, STRING, DOCUMENT, ARRAY, BINARY = 0x01, 0x02, 0x03, 0x04, 0x05
UNDEFINED, OBJECTID, BOOL, DATE, NULL = 0x06, 0x07, 0x08, 0x09, 0x0A
REGEX, DBPOINTER, CODE, SYMBOL, CODE_W_SCOPE = 0x0B, 0x0C, 0x0D, 0x0E, 0x0F
INT32, TIMESTAMP, INT64, DECIMAL128 = 0x10, 0x11, 0x12, 0x13
MAXKEY, MINKEY = 0x7F, 0xFF


def array(values):
    """Make an array of values."""
    return ARRAY, [(str(index), value) for index, value in enumerate(values)]


def encode(members):
    """Return the bytes of a document."""
    body = b"".join(
        bytes([kind]) + key.encode() + b"\0" + _encode_payload(kind, payload)
        for key, (kind, payload) in members
    )
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def decode(data):
    """Return the members of a document."""
    members, end = _decode_members(data, 0)
    if end != len(data):
        raise ValueError("bytes after the document's end")
    return members


def _encode_string(text):
    data = text.encode() + b"\0"
    return struct.pack("<i", len(data)) + data


def _encode_payload(kind, payload):
    if kind == DOUBLE:
        return struct.pack("<d", payload)
    if kind in (STRING, CODE, SYMBOL):
        return _encode_string(payload)
    if kind in (DOCUMENT, ARRAY):
        return encode(payload)
    if kind == BINARY:
        subtype, data = payload
        if subtype == 2:
            data = struct.pack("<i", len(data)) + data
        return struct.pack("<iB", len(data), subtype) + data
    if kind in (OBJECTID, DECIMAL128):
        return payload
    if kind == BOOL:
        return b"\1" if payload else b"\0"
    if kind in (DATE, INT64):
        return struct.pack("<q", payload)
    if kind == INT32:
        return struct.pack("<i", payload)
    if kind == REGEX:
        return b"".join(part.encode() + b"\0" for part in payload)
    if kind == DBPOINTER:
        return _encode_string(payload[0]) + payload[1]
    if kind == CODE_W_SCOPE:
        body = _encode_string(payload[0]) + encode(payload[1])
        return struct.pack("<i", len(body) + 4) + body
    if kind == TIMESTAMP:
        seconds, increment = payload
        return struct.pack("<II", increment, seconds)
    return b""  # null, undefined, minKey, maxKey


def _decode_members(data, start):
    (size,) = struct.unpack_from("<i", data, start)
    at, end = start + 4, start + size - 1
    members = []
    while at < end:
        kind = data[at]
        key, at = _decode_cstring(data, at + 1)
        payload, at = _decode_payload(data, at, kind)
        members.append((key, (kind, payload)))
    return members, end + 1


def _decode_cstring(data, at):
    end = data.index(b"\0", at)
    return data[at:end].decode(), end + 1


def _decode_string(data, at):
    (size,) = struct.unpack_from("<i", data, at)
    return data[at + 4 : at + 3 + size].decode(), at + 4 + size


def _decode_payload(data, at, kind):
    if kind == DOUBLE:
        return struct.unpack_from("<d", data, at)[0], at + 8
    if kind in (STRING, CODE, SYMBOL):
        return _decode_string(data, at)
    if kind in (DOCUMENT, ARRAY):
        return _decode_members(data, at)
    if kind == BINARY:
        size, subtype = struct.unpack_from("<iB", data, at)
        value, at = data[at + 5 : at + 5 + size], at + 5 + size
        return (subtype, value[4:] if subtype == 2 else value), at
    if kind == OBJECTID:
        return data[at : at + 12], at + 12
    if kind == DECIMAL128:
        return data[at : at + 16], at + 16
    if kind == BOOL:
        return data[at] == 1, at + 1
    if kind in (DATE, INT64):
        return struct.unpack_from("<q", data, at)[0], at + 8
    if kind == INT32:
        return struct.unpack_from("<i", data, at)[0], at + 4
    if kind == REGEX:
        pattern, at = _decode_cstring(data, at)
        options, at = _decode_cstring(data, at)
        return (pattern, options), at
    if kind == DBPOINTER:
        name, at = _decode_string(data, at)
        return (name, data[at : at + 12]), at + 12
    if kind == CODE_W_SCOPE:
        code, at = _decode_string(data, at + 4)
        scope, at = _decode_members(data, at)
        return (code, scope), at
    if kind == TIMESTAMP:
        increment, seconds = struct.unpack_from("<II", data, at)
        return (seconds, increment), at + 8
    if kind in (NULL, UNDEFINED, MINKEY, MAXKEY):
        return None, at
    raise ValueError(f"type 0x{kind:02x}")
