"""Functions of text that MongoDB computes (src/fdw/term_string.c).

Each condition runs as it is sent and without pushdown, over strings chosen to
go wrong, and has to give the same rows.  How it is sent is part of the test.
"""
import os

from bson import Binary, Int64, ObjectId, Regex

from both_ways import EXACT, LOCAL, SUPERSET, check, sent
from servers.harness import *

OID = ObjectId("5381ccf9d6d81c8e5bf0114d")
STRINGS = [
    "", "a", "ab", "abc", "abcd", "A", "aBc", "ÄÖÜ", "äöü", "İı", "ß", "ǅ", "\u212a", "𝄞", "𝄞a𝄞",
    "e\u0301", " ", "  a  ", "\ta ", "\u00a0a\u00a0", "\n", "xaxbx", "xx", "xxx", "aaa", "a.b..c", ".", "..", "$x",
    "$$ROOT", "%", "a\0b", "\0", str(OID), OID, "12", "-7", "true", None, 3, True, ["a"], {"a": "b"},
    Regex("a"), Binary(b"a"), "sad", "ok", "Z", "z", "[", "é", "zéz"]
NUMBERS = [0, 1, -1, 2, 3, 4, -2, 100, 2**31 - 1, -2**31, None, 2, 3]

COLUMNS = """
    _id int, s text COLLATE "C", v varchar(6) OPTIONS (field 's') COLLATE "C",
    w name OPTIONS (field 's') COLLATE "C", icu text OPTIONS (field 's') COLLATE "en-x-icu",
    loose text OPTIONS (field 's') COLLATE loose, plain text OPTIONS (field 's'),
    half text OPTIONS (field 's') COLLATE half,
    bp char(3) OPTIONS (field 's'), m mood OPTIONS (field 's'), n int, k int, l int8 OPTIONS (field 'n'), h int2 OPTIONS (field 'n'),
    p bool OPTIONS (field 's')"""

CONDITIONS = {
    EXACT: """
        length(s) = 3; char_length(v) > 1; character_length(s) = 2; octet_length(s) > length(s)
        length(icu) = 1; length(w) = 2; length(loose) = 1; length(s) = n; length(s) IN (1, 3, NULL)
        lower(s) = 'abc'; lower(s) = s; upper(s) <> s; upper(v) = 'ABC'; lower(s) < 'b'
        upper(s) = lower(s); lower(s) = 'ÄÖÜ'; lower(s COLLATE "C") = 'ss'
        strpos(s, 'b') = 2; strpos(s, '') = 1; position('x' IN s) > 1; strpos(s, '$x') = 1
        strpos(s, v) = 1; strpos(icu, 'a') = 2; strpos(s, '𝄞') = 3; strpos('xabc', s) > 1
        starts_with(lower(s), 'ab'); starts_with(s, ''); starts_with('abcd', s); starts_with(s, v)
        left(s, 2) = 'ab'; left(s, 0) = ''; left(s, -1) = 'ab'; left(s, -9) = ''; left(s, n) = 'a'
        left(s, 1) >= 'a'; left(icu, 1) = 'é'; left(s, 2147483647) = s; left(s, -2147483648) = ''
        right(s, 2) = 'bc'; right(s, 0) = ''; right(s, -1) = 'bc'; right(s, -9) = ''
        right(s, n) = s; right(s, n) = ''; right(s, 2147483647) = s; right(s, -2147483648) = ''
        substr(s, 2) = 'bc'; substr(s, 2, 2) = 'bc'; substr(s, 0) = s; substr(s, -5, 7) = 'a'
        substr(s, 3, 0) = ''; substr(s, 2, 2147483647) = 'bc'; substr(s, n) = s
        substr(s, n, 2) = 'ab'; substr(s, 2147483647, 2147483647) = ''; substr(s, -2147483648) = s
        substring(s FROM 2 FOR 1) = '𝄞'; substring(s FROM 2) = 'bc'; substr(s, -2147483648, 5) = ''
        trim(s) = 'a'; ltrim(s) = 'a  '; rtrim(s) = '  a'; btrim(s, 'x') = 'axb'; ltrim(s, 'xa') = 'bx'
        rtrim(s, 'xb') = 'xa'; trim(BOTH '𝄞' FROM s) = 'a'; btrim(s, '$x') = ''; btrim(s, ' ') = 'a'
        trim(s) = ''; btrim(s, '.a') = 'b..c'
        replace(s, 'a', 'b') = 'bbc'; replace(s, 'x', '') = 'ab'; replace(s, 'aa', 'a') = 'aa'
        replace(s, 'a', '$') = '$bc'; replace(v, 'a', '$$ROOT') = '$$ROOTbc'; replace(s, '..', '$') = 'a.b$c'
        replace(v, 'xx', 'yyy') = 'yyyx'
        split_part(s, '.', 1) = 'a'; split_part(s, '.', 3) = ''; split_part(s, '.', -1) = 'c'
        split_part(s, '.', 9) = ''; split_part(s, 'xx', 2) = 'x'; split_part(s, 'x', 2) = 'a'
        v || 'x' = 'abx'; v || v = 'aa'; 'x' || w = 'xa'; v || '' = v; v || w || 'é' = 'aaé'
        concat(v, 'x') = 'x'; concat(v, NULL, w) = 'aa'; concat(v) = ''; concat('x', v, 'y') = 'xy'
        left(s, 3) || 'x' = 'abcx'; substr(s, 1, 2) || v = 'abab'; concat(left(s, 2), n::text) = 'ab3'
        n::text = '-1'; l::text = '2147483647'; h::text || 'x' = '3x'; n::text || v = '2ab'
        length(n::text) = 2; m::text = 'sad'; length(m::text) = 2; (n > 2)::text = 'true'
        w::text = 'abc'; lower(w::text) = 'abc'; left(w::text, 1) = 'a'
        coalesce(lower(s), 'none') = 'none'; nullif(upper(s), 'A') IS NULL; length(coalesce(v, '')) = 0
        CASE WHEN length(s) > 2 THEN left(s, 1) ELSE s END = 'a'; greatest(lower(s), v) = 'abc'
        lower(s) IS DISTINCT FROM v; lower(s) IS NULL; length(s) IS NOT NULL; NOT lower(s) = 'a'
        (length(s) > 1) IS NOT TRUE; length(trim(lower(s))) = 1; lower(s) IN ('a', '$x', NULL)
        lower(s) <> ALL ('{a,ab}'); lower(s) BETWEEN 'a' AND 'b'""",
    SUPERSET: """
        s || 'x' = 'abx'; s || s = 'aa'; '$x' || s = '$xa'; length(s || v) = 4; s || '' = s
        concat(s, 'x') = 'x'; concat(s, v) = ''; concat(s, n::text) = 'ab3'; concat(s, NULL) = ''
        replace(s, 'a', '$$ROOT') = '$$ROOTbc'; replace(s, '𝄞', 'abcde') = 'abcdeaabcde'
        length(s) + n > 2; length(s) + 1 = 3 OR n IS NULL; substr(s, n, k) = 'ab'; substr(s, 1, n) = 'ab'; s || n::text = 'ab3'
        CASE WHEN n > 0 THEN substr(s, 1, n) END = 'ab'""",
    LOCAL: """
        half ILIKE 'ÄÖü'; half ~* '^äÖÜ$'; lower(half) = 'äöü'; lower(icu) = 'a'; upper(plain) = 'A'; strpos(loose, 'a') = 1; lower(bp) = 'abc'; replace(s, '', 'x') = s
        replace(s, v, 'x') = 'x'; btrim(s, '') = s; btrim(s, v) = ''; split_part(s, '', 1) = s
        split_part(s, 'x', n) = 'a'; split_part(s, v, 1) = ''; reverse(s) = 'cba'; initcap(s) = 'Abc'
        repeat(s, 2) = 'aa'; lpad(s, 3) = ' ab'; md5(s) = ''; ascii(s) = 97; translate(s, 'a', 'b') = 'bbc'
        overlay(s placing 'x' from 1) = 'xbc'; substring(s from 'a.') = 'ab'; s::varchar(1) = 'a'
        concat(s, n) = 'ab3'; concat_ws(',', s, v) = 'a,a'; format('%s', s) = 'a'; length(bp) = 2
        concat(VARIADIC ARRAY[s, v]) = 'aa'; lower(icu) < 'b'; left(icu, 1) < 'b'; s::char(1) = 'a'""",
}


def rows(db):
    """Rows that are written down here."""
    for condition, expected in {
            "lower(s) = 'äÖ'": [2], "length(s) = 2": [2, 4], "left(s, 1) = 'A'": [1], "right(s, 1) = 'Ö'": [2],
            "octet_length(s) = 4": [2], "substr(s, 3) = 'c'": [1], "strpos(s, '$') = 1": [4],
            "trim(s) = ''": [3, 5], "s || '!' = 'äÖ!'": [2], "replace(s, '$', '$x') = '$xx'": [4],
            "concat(s, '!') = '!'": [5, 6, 7], "upper(s) = 'ABC'": [1],
            "split_part(s, 'b', -1) = 'c'": [1]}.items():
        is_([row[0] for row in db.rows(f"SELECT _id FROM few WHERE {condition} ORDER BY _id")],
            expected, condition)
    is_(db.rows("SELECT left(s, 1), count(*) FROM few GROUP BY left(s, 1) ORDER BY left(s, 1)"),
        [("", 1), (" ", 1), ("$", 1), ("A", 1), ("ä", 1), (None, 2)], "groups of a function of text")
    ok('"$group"' in db.explain("SELECT left(s, 1), lower(s), count(*) FROM few GROUP BY 1, 2"),
       "a short string and a long one are keys of one group")
    ok('"$limit"' in db.explain("SELECT _id FROM few WHERE lower(s) = 'a' LIMIT 1"),
       "a limit stands on a function of text")


def large(db):
    """What would be too long for MongoDB is computed here."""
    for condition in ("length(s || s) = 18000000", "concat(s, 'x', s) LIKE 'a%'", "length(concat(s, t, s)) = 18000000",
                      "length(replace(s, 'a', 'bb')) = 18000000", "length(s || 'x') = 9000001",
                      "right(lower(s), 1) = 'a'"):
        is_(db.rows(f"SELECT _id FROM huge WHERE {condition}"), [(1,)], f"a string of 9 MB: {condition}")
    ok('"$match"' not in db.explain(f"SELECT _id FROM few WHERE lower(s) = '{'a' * 300000}'"),
       "a constant of 300 kB is not sent in an expression")


def mismatches(db):
    """A value that does not fit is an error where NULL would make a difference."""
    for condition in ("concat(s, 'x') = 'x'", "lower(s) IS NULL", "coalesce(lower(s), 'a') = 'a'"):
        is_(sent(db, f"SELECT _id FROM strict WHERE {condition}"), SUPERSET, f"strict: {condition}")
        throws(lambda: db.rows(f"SELECT _id FROM strict WHERE {condition}"), "22000",
               f"a value that does not fit, in {condition}", message='"s"')
    is_(db.rows("SELECT _id FROM strict WHERE lower(s) = 'a'"), [(1,)],
        "a function of a value that does not fit is not equal to anything")
    throws(lambda: db.rows("SELECT _id FROM few WHERE substr(s, 1, -1) = 'x'"), "22011",
           "a length below zero")


def main():
    with database() as db, mongo_client() as client:
        mongo = client[db.name]
        documents = [{"_id": number, "n": NUMBERS[number % len(NUMBERS)], "k": number % 3, "s": value}
                     for number, value in enumerate(STRINGS * 2 + [Int64(5)])]
        mongo.mixed.insert_many(documents + [{"_id": -1}])
        mongo.few.insert_many([{"_id": number, "s": value} for number, value in enumerate(
            ["Abc", "äÖ", "   ", "$x", "", None, 5], 1)])
        mongo.huge.insert_one({"_id": 1, "s": "a" * 9000000})
        mongo.strict.insert_many([{"_id": 1, "s": "A"}, {"_id": 2, "s": 5}])
        db.execute("SET search_path = public, pynomaly; CREATE TYPE mood AS ENUM ('sad', 'ok', 'a'); "
                   "CREATE COLLATION half (lc_collate = 'C', lc_ctype = 'C.utf8'); "
                   "CREATE COLLATION loose (provider = icu, locale = 'en', deterministic = false)")
        db.mongo_server("real", os.environ["MONGO_URI"])
        options = {"database": db.name, "on_mismatch": "null"}
        db.foreign_table("mixed", "real", COLUMNS, **options)
        for name in ("few", "huge"):
            db.foreign_table(name, "real", '_id int, s text COLLATE "C", t text', **options)
        db.foreign_table("strict", "real", '_id int, s text COLLATE "C"',
                         **{**options, "on_mismatch": "error"})
        check(db, "mixed", CONDITIONS)
        rows(db)
        large(db)
        mismatches(db)
        client.drop_database(db.name)
    done()


main()
