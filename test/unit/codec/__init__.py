"""The codec's test functions, from Python: documents in, values out."""
import contextlib
import os
import subprocess

import bson

from servers.harness import database, is_, ok, throws

UNIT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MODULE = os.path.join(UNIT, "codec_test")

# psycopg.Error's states that speak of a value that does not fit.
TYPE, RANGE, DATE, LENGTH = "22000", "22003", "22008", "22001"
SYNTAX, SHAPE, NUL, ENCODING = "22P02", "2202E", "22P05", "22P05"
UTF8, CHECK, NOT_NULL, CORRUPT = "22021", "23514", "23502", "XX001"

# Types of the tests' own.
TYPES = """
CREATE TYPE mood AS ENUM ('ok', 'so la la', 'bad');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN short AS varchar(3) CHECK (VALUE <> 'xyz');
CREATE DOMAIN required AS int NOT NULL;
CREATE DOMAIN present AS int CHECK (VALUE IS NOT NULL);
CREATE DOMAIN few AS int[] CHECK (cardinality(VALUE) < 3);
CREATE DOMAIN plain AS text;
CREATE DOMAIN inner_doc AS jsonb CHECK (jsonb_typeof(VALUE) = 'object');
CREATE DOMAIN failing AS int CHECK (1 / (VALUE - 7) > 0);
CREATE TYPE pair AS (a int, b int);
CREATE DOMAIN pair_domain AS pair;
CREATE TYPE citext_like;
CREATE FUNCTION citext_like_in(cstring) RETURNS citext_like
    LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION citext_like_out(citext_like) RETURNS cstring
    LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE citext_like (INPUT = citext_like_in, OUTPUT = citext_like_out, LIKE = text);
SET lc_monetary = 'C';
"""


class Codec:
    """The test functions in one database."""

    def __init__(self, db):
        self.db = db
        with open(os.path.join(UNIT, "codec_test.sql"), encoding="ascii") as file:
            db.execute(file.read().replace(":'module'", f"'{MODULE}'"))

    def row(self, document, columns, paths, null=False, canonical=False):
        """Decode into columns, "a int, b text"; return their texts."""
        names = ", ".join(column.split()[0] + "::text"
                          for column in columns.split(", "))
        return self.db.execute(
            f"SELECT {names} FROM codec.decode_bson(%s, %s::text[], %s, %s)"
            f" AS t({columns})",
            (encoded(document), paths, null, canonical)).fetchone()

    def value(self, document, kind, path="v", **options):
        """Decode one column of a type; return its text."""
        return self.row(document, f"c {kind}", [path], **options)[0]

    def fits(self, kind, value, text):
        """Test that a value fits a type, and as what, in both modes."""
        document = {"_id": 1, "v": value}
        got = [self.value(document, kind, null=null) for null in (False, True)]
        is_(got, [text, text], f"{kind}: {shown(value)} is {shown(text)}")

    def misfits(self, kind, value, sqlstate):
        """Test that a value is an error, or NULL, for a type."""
        document = {"_id": 1, "v": value}
        throws(lambda: self.value(document, kind), sqlstate,
               f"{kind}: {shown(value)} does not fit")
        is_(self.value(document, kind, null=True), None,
            f"{kind}: {shown(value)} is NULL where that is asked for")

    def json(self, document, canonical=False):
        """Return a document as Extended JSON, None where it has none."""
        return self.db.value("SELECT codec.json_of_bson(%s, %s)",
                             (encoded(document), canonical))


@contextlib.contextmanager
def codec(options=""):
    """Build the test functions, and give them in a database of their own."""
    command = ["make", "-s", "-C", UNIT, "COPT=-Werror"]
    if "PG_CONFIG" in os.environ:
        command.append(f"PG_CONFIG={os.environ['PG_CONFIG']}")
    subprocess.run(command, check=True)
    with database(options=options) as db:
        yield Codec(db)


def shown(value):
    """Return a value as it fits into a test's name."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


# ---------- documents, also such as no library would write ----------

def encoded(document):
    """Return a document's bytes; bytes are taken for what they are."""
    return document if isinstance(document, bytes) else bson.encode(document)


def member(kind, key, data=b""):
    """Return one member's bytes: a type, a key, and what follows it."""
    return bytes([kind]) + key.encode() + b"\0" + data


def raw(*members):
    """Return the document that members make, duplicate keys and all."""
    body = b"".join(members)
    return (len(body) + 5).to_bytes(4, "little") + body + b"\0"


def string(text):
    """Return the bytes of a string, which may be bytes already."""
    text = text if isinstance(text, bytes) else text.encode()
    return (len(text) + 1).to_bytes(4, "little") + text + b"\0"


def int32(number):
    """Return the bytes of an int32."""
    return number.to_bytes(4, "little", signed=True)
