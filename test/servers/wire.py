"""The frames of MongoDB's wire protocol, as a server reads and writes them.

Requests come as OP_MSG, except that drivers may open a connection with an
OP_QUERY, which is answered by an OP_REPLY.  Either may be compressed by zlib.
"""
import socket
import struct
import zlib

import bson

OP_REPLY = 1
OP_QUERY = 2004
OP_COMPRESSED = 2012
OP_MSG = 2013

HEADER = struct.Struct("<iiii")     # length, request id, response to, opcode
INT32 = struct.Struct("<i")
COMPRESSED = struct.Struct("<iiB")  # opcode and length of the whole, compressor
ZLIB = 2

FLAG_CHECKSUM = 1
FLAG_MORE_TO_COME = 2               # the client wants no reply


class Request:
    """One command as it came, with what a reply must refer to."""

    def __init__(self, request_id, opcode, command, wants_reply=True):
        self.id = request_id
        self.opcode = opcode
        self.command = command
        self.wants_reply = wants_reply

    @property
    def name(self):
        """The command's name, which is the document's first key."""
        return next(iter(self.command), "")


def read_exactly(sock, size):
    """Return size bytes, or None where the peer has closed the connection."""
    chunks = []
    while size > 0:
        chunk = sock.recv(min(size, 1 << 20))
        if not chunk:
            return None
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)


def read_request(sock):
    """Return the next Request, or None at the end of the connection."""
    head = read_exactly(sock, HEADER.size)
    if head is None:
        return None
    length, request_id, _, opcode = HEADER.unpack(head)
    body = read_exactly(sock, length - HEADER.size)
    if body is None:
        return None
    if opcode == OP_COMPRESSED:
        opcode, _, compressor = COMPRESSED.unpack_from(body)
        if compressor != ZLIB:
            raise ValueError(f"compressor {compressor} is not known here")
        body = zlib.decompress(body[COMPRESSED.size:])
    if opcode == OP_MSG:
        return parse_msg(request_id, body)
    if opcode == OP_QUERY:
        return parse_query(request_id, body)
    raise ValueError(f"opcode {opcode} is not spoken here")


def parse_msg(request_id, body):
    """Read an OP_MSG; its document sequences become arrays of the command."""
    flags = INT32.unpack_from(body)[0]
    end = len(body) - (4 if flags & FLAG_CHECKSUM else 0)
    command, sequences, at = {}, {}, INT32.size
    while at < end:
        kind = body[at]
        size = INT32.unpack_from(body, at + 1)[0]
        section = body[at + 1:at + 1 + size]
        if kind == 0:
            command = bson.decode(section)
        else:
            name_end = section.index(b"\0", INT32.size)
            name = section[INT32.size:name_end].decode()
            sequences[name] = bson.decode_all(section[name_end + 1:])
        at += 1 + size
    command.update(sequences)
    return Request(request_id, OP_MSG, command,
                   not flags & FLAG_MORE_TO_COME)


def parse_query(request_id, body):
    """Read an OP_QUERY on a $cmd collection, as handshakes still use it."""
    name_end = body.index(b"\0", INT32.size)
    at = name_end + 1 + 2 * INT32.size      # numberToSkip, numberToReturn
    size = INT32.unpack_from(body, at)[0]
    command = bson.decode(body[at:at + size])
    command["$db"] = body[INT32.size:name_end].decode().split(".")[0]
    return Request(request_id, OP_QUERY, command)


def reply_frame(request, size):
    """Return the bytes that stand before a reply document of size bytes."""
    if request.opcode == OP_QUERY:
        rest = struct.pack("<iqii", 8, 0, 0, 1)     # AwaitCapable, no cursor
        opcode = OP_REPLY
    else:
        rest = struct.pack("<iB", 0, 0)             # no flags, a body section
        opcode = OP_MSG
    length = HEADER.size + len(rest) + size
    return HEADER.pack(length, request.id, request.id, opcode) + rest


def reply_bytes(request, document):
    """Return a whole reply as it goes over the wire."""
    body = bson.encode(document)
    return reply_frame(request, len(body)) + body


def compressed(message):
    """Return a message as it goes over the wire compressed."""
    _, *numbers, opcode = HEADER.unpack_from(message)
    body = message[HEADER.size:]
    packed = COMPRESSED.pack(opcode, len(body), ZLIB) + zlib.compress(body)
    return HEADER.pack(HEADER.size + len(packed), *numbers, OP_COMPRESSED) + packed


def reset(sock):
    """Close a connection so that the peer sees a reset, not an orderly end.

    The shutdown sends nothing; it wakes a thread that reads from the socket,
    without which the close would wait for that thread.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                    struct.pack("ii", 1, 0))
    try:
        sock.shutdown(socket.SHUT_RD)
    except OSError:
        pass                        # the peer has ended it already
    sock.close()
