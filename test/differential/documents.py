"""Random documents: mostly what a field should hold, and everything else."""

import bson

import bsonraw as b

INTEGERS = (
    [0, 1, -1, 2, 3, 5, 7, 10, 42, 100, 127, 128, 255, 32767, 32768, -32768]
    + [-32769, 65536, 70000, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1]
    + [2**53 - 1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)]
)
DOUBLES = (
    [0.0, -0.0, 1.0, 2.0, 3.7, -1.5, 0.1, 0.5, 1.1, 2.5, 5.0, 42.0, 1e10, 1e15]
    + [1e16, 1e300, -1e300, 1e-7, 16777217.0, 2.0**53, 2.0**53 + 2]
    + [2.0**31, 2.0**63, 3.4028235e38, 1e39, 123456.789]
    + [float("nan"), float("inf"), float("-inf")]
)
DECIMALS = (
    "0 -0 0.00 1 1.0 1.10 1.1 2.5 3.70 5 5.00 42 1E+3 1E+40 NaN Infinity "
    "-Infinity 1234567890123456789012345678901234 0.1 -2.50 -1.5 "
    "9223372036854775807 9223372036854775808 2147483648 9007199254740993 "
    "1E-30 0E-10 0E+5"
).split()
STRINGS = (
    ["", "a", "b", "abc", "ABC", "Abc", "ab", "ab ", "ab  ", " ab", "a b", "aB"]
    + ["$x", "$s", "$$ROOT", "$f0", "{}", "é", "e", "E", "É", "zürich", "日本", "😀"]
    + ["a\0b", "true", "null", "1", "2", "3.7", "abcdefghij", "x" * 70, "it's"]
    + ["back\\slash", "new\nline", "%", "_", "a.b", "tab\t", "NaN", "Infinity"]
    + ["5381ccf9d6d81c8e5bf0114d", "5381CCF9D6D81C8E5BF0114D", "bad"]
    + ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]
    + ["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "sad", "ok", "happy", "Happy"]
    + ["10.0.0.1", "192.168.0.0/16", "1 day", "01:00:00", "12:34:56"]
)
LABELS = ["sad", "ok", "happy", "$x", "é", ""]
OBJECTIDS = [
    bytes.fromhex(digits)
    for digits in (
        "5381ccf9d6d81c8e5bf0114d",
        "5381ccf9d6d81c8e5bf0114e",
        "000000000000000000000000",
        "ffffffffffffffffffffffff",
        "a0eebc999c0b4ef8bb6d6bb9",
    )
]
YEAR_1, YEAR_9999 = -62135596800000, 253402300799999
DATES = (
    [0, -1, 1, 1577836800000, 1577836800001, 1577836799999, 1577880000123]
    + [1590969600000, 1604217600000, 1604221200000, 951782400000, YEAR_1]
    + [YEAR_9999, -2208988800000]
)
UUIDS = [
    bytes.fromhex("a0eebc999c0b4ef8bb6d6bb9bd380a11"),
    bytes(16),
    b"\xff" * 16,
    bytes(range(16)),
]
BINARIES = (
    [(0, b""), (0, b"abc"), (0, b"ab"), (0, OBJECTIDS[0]), (2, b"xyz"), (5, UUIDS[3])]
    + [(128, b"\xff\x00"), (3, UUIDS[0]), (4, UUIDS[0]), (4, b"short")]
    + [(0, b"\x00"), (0, b"abd")]
)
OTHERS = [
    (b.REGEX, ("^a.*", "im")),
    (b.REGEX, ("", "")),
    (b.CODE, "f()"),
    (b.CODE_W_SCOPE, ("g()", [("x", (b.INT32, 1)), ("y", (b.DOUBLE, 2.0))])),
    (b.TIMESTAMP, (1577836800, 7)),
    (b.TIMESTAMP, (2**32 - 1, 2**32 - 1)),
    (b.MINKEY, None),
    (b.MAXKEY, None),
]
# A server may change these when they are stored (SecantusDB does), so whatever
# is compared is what was read back.
RARE = [(b.UNDEFINED, None), (b.SYMBOL, "sym")]
INTERVALS = ["1 day", "01:00:00", "2 mons", "not one", "-3 days"]
ADDRESSES = ["10.0.0.1", "192.168.0.0/16", "::1", "no address"]

SCALARS = (
    ["int", "double", "decimal", "number", "string", "label", "objectid"]
    + ["bool", "date", "binary", "uuid"]
)
HOMES = SCALARS + ["document", "interval", "address"]
ARRAYS = ["array of " + home for home in SCALARS]


def decimal(text):
    """Make a Decimal128 of its text."""
    return b.DECIMAL128, bson.Decimal128(text).bid


# Values that SecantusDB stores, but does not find again: it makes a DBRef of the
# first, whose type no $type matches, and its indexes misplace the numbers.
UNFINDABLE = [
    (b.DBPOINTER, ("c", OBJECTIDS[0])),
    (b.DOUBLE, 5e-324),
    (b.DOUBLE, 1e-300),
    (b.DOUBLE, -(2.0**63)),
    decimal("1E-6176"),
    decimal("9.999999999999999999999999999999999E+6144"),
]


def scalar(rng, home):
    """Return a random value of a kind."""
    if home == "number":
        home = rng.choice(["int", "double", "decimal"])
    if home == "int":
        number = rng.choice(INTEGERS)
        narrow = -(2**31) <= number < 2**31
        return (b.INT32 if narrow and rng.random() < 0.7 else b.INT64), number
    if home == "double":
        return b.DOUBLE, rng.choice(DOUBLES)
    if home == "decimal":
        return decimal(rng.choice(DECIMALS))
    if home == "string":
        return b.STRING, rng.choice(STRINGS)
    if home in _STRING_POOLS:
        return b.STRING, rng.choice(_STRING_POOLS[home])
    if home == "objectid":
        return b.OBJECTID, rng.choice(OBJECTIDS)
    if home == "bool":
        return b.BOOL, rng.random() < 0.5
    if home == "date":
        return b.DATE, rng.choice(DATES)
    if home == "binary":
        return b.BINARY, rng.choice(BINARIES)
    if home == "uuid":
        return b.BINARY, (4, rng.choice(UUIDS))
    return b.DOCUMENT, members(rng)


_STRING_POOLS = {"label": LABELS, "interval": INTERVALS, "address": ADDRESSES}


def members(rng, depth=0):
    """Return the members of a small sub-document."""
    keys = rng.sample(["x", "y", "z", "0", "1", "a b"], rng.randint(0, 3))
    return [(key, anything(rng, depth + 1)) for key in keys]


def anything(rng, depth=0):
    """Return a value of any type."""
    draw = rng.random()
    if draw < 0.55 or depth > 3:
        return scalar(rng, rng.choice(SCALARS))
    if draw < 0.65:
        return rng.choice(OTHERS)
    if draw < 0.70:
        return rng.choice(RARE)
    if draw < 0.75:
        return b.NULL, None
    if draw < 0.87:
        return b.DOCUMENT, members(rng, depth)
    return b.array([anything(rng, depth + 1) for _ in range(rng.randint(0, 3))])


def array_of(rng, home):
    """Return an array of values of a kind; sometimes nested, or with others."""
    draw = rng.random()
    if draw < 0.15:
        rows, width = rng.randint(1, 3), rng.randint(0, 2)
        lengths = [width] * rows
        if rng.random() < 0.3:
            lengths[-1] += 1  # ragged
        return b.array(
            [b.array([scalar(rng, home) for _ in range(n)]) for n in lengths]
        )
    items = [scalar(rng, home) for _ in range(rng.randint(0, 3))]
    if draw < 0.35:
        odd = rng.choice([(b.NULL, None), (b.NULL, None), scalar(rng, "string")])
        items.insert(rng.randint(0, len(items)), odd)
    if draw > 0.95:
        items.append(b.array([scalar(rng, home)]))
    return b.array(items)


class Field:
    """A field of a collection's documents: a key, and what it mostly holds."""

    def __init__(self, rng, key, home, dirt):
        self.key = key
        self.home = home
        self.dirt = dirt
        self.pool = [self.value(rng) for _ in range(rng.choice([4, 8, 16]))]

    def value(self, rng):
        """Return a value of the field's own kind."""
        if self.home.startswith("array of "):
            return array_of(rng, self.home.removeprefix("array of "))
        return scalar(rng, self.home)

    def member(self, rng):
        """Return the field's value in one document, None where it is missing."""
        draw = rng.random()
        if draw < 0.08:
            return None
        if draw < 0.13:
            return rng.choice([(b.NULL, None), (b.NULL, None), (b.UNDEFINED, None)])
        if rng.random() < self.dirt:
            if rng.random() < 0.4:
                return b.array([rng.choice(self.pool)])
            return anything(rng)
        return rng.choice(self.pool)


class Nested:
    """A field that holds a document, whose members have homes of their own."""

    def __init__(self, rng, key, fields, dirt):
        self.key = key
        self.home = "document"
        self.fields = fields
        self.dirt = dirt

    def member(self, rng):
        """Return the document, or what stands in its place."""
        if rng.random() < 0.05:
            return None
        if rng.random() < self.dirt:
            draw = rng.random()
            if draw < 0.6:
                return b.array([self.document(rng) for _ in range(rng.randint(0, 2))])
            return anything(rng)
        return self.document(rng)

    def document(self, rng):
        """Return a document with the members."""
        drawn = [(field.key, field.member(rng)) for field in self.fields]
        return b.DOCUMENT, [pair for pair in drawn if pair[1] is not None]


class Collection:
    """A random collection: its fields, their paths, its documents."""

    def __init__(self, rng):
        dirts = [0.0, 0.0, 0.1, 0.3]
        homes = rng.sample(HOMES, 7) + rng.sample(ARRAYS, 2)
        keys = [f"f{index}" for index in range(len(homes) - 1)]
        keys.append(rng.choice(["dot.key", "with blank", "Upper", "ünï", "a$b", "$d"]))
        fields = [
            Field(rng, key, home, rng.choice(dirts)) for key, home in zip(keys, homes)
        ]
        inner = [
            Field(rng, key, rng.choice(SCALARS), rng.choice(dirts))
            for key in ("x", "y", "0")
        ]
        deep = Nested(rng, "d", [Field(rng, "x", rng.choice(SCALARS), 0.1)], 0.1)
        fields.append(Nested(rng, "o", inner + [deep], rng.choice(dirts)))
        self.fields = fields
        self.id_home = rng.choice(["objectid", "int", "string", "mixed", "uuid"])
        self.paths = self.find_paths()
        count = rng.choice([0, 1, 30, 60, 100, 150])
        self.documents = [self.document(rng, number) for number in range(count)]

    def find_paths(self):
        """Return (path, home) of everything that a column may read.

        Those through arrays, with which nothing is shipped, go to
        self.through_arrays as well.
        """
        paths = []
        self.through_arrays = {"o.0.x"}
        for field in self.fields:
            key = field.key.replace(".", "\\.")
            paths.append((key, field.home))
            if field.home.startswith("array of "):
                home = field.home.removeprefix("array of ")
                through = [f"{key}.0", f"{key}.1", f"{key}.x"]
                self.through_arrays.update(through)
                paths += [(path, home) for path in through]
        for field in self.fields[-1].fields:
            paths.append((f"o.{field.key}", field.home))
        paths += [("o.d.x", self.fields[-1].fields[-1].fields[0].home)]
        paths += [("o.0.x", self.fields[-1].fields[0].home), ("missing", "int")]
        return paths

    def document(self, rng, number):
        """Return one document; k numbers it."""
        drawn = [(field.key, field.member(rng)) for field in self.fields]
        drawn = [pair for pair in drawn if pair[1] is not None]
        rng.shuffle(drawn)
        drawn.insert(rng.randint(0, len(drawn)), ("k", (b.INT32, number)))
        if rng.random() < 0.2:
            drawn.append((rng.choice(["extra", "f0", ""]), anything(rng)))
        return [("_id", self.identity(number))] + drawn

    def identity(self, number):
        """Return the _id of a document."""
        home = self.id_home
        if home == "mixed":
            home = ["objectid", "int", "string", "uuid", "document", "double"][
                number % 6
            ]
        if home == "objectid":
            return b.OBJECTID, bytes.fromhex("5381ccf9d6d81c8e5bf0") + number.to_bytes(
                2, "big"
            )
        if home == "int":
            return (b.INT32, number) if number % 2 else (b.INT64, number + 2**40)
        if home == "string":
            return b.STRING, STRINGS[number] if number < len(STRINGS) else f"s{number}"
        if home == "uuid":
            return b.BINARY, (4, number.to_bytes(16, "big"))
        if home == "double":
            return b.DOUBLE, number + 0.5
        return b.DOCUMENT, [("n", (b.INT32, number))]
