"""Joins of local rows with a collection, by batches of keys."""
import datetime
import os
import time

from bson import Binary, Decimal128, Int64, ObjectId

from servers.harness import *

DAY = datetime.datetime(2020, 1, 1)
FORCED = """
    SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_nestloop = off;
    SET pynomaly_store.enable_join_pushdown = off"""

# (_id, k, v, s); k has duplicates, nulls, and is missing
DOCUMENTS = [{"_id": n, "v": n, "s": f"s{n % 4}",
              **({} if n % 9 == 0 else {"k": None if n % 7 == 0 else n % 20})}
             for n in range(120)]

# {t} is the collection, or a local copy of it; l the local rows
QUERIES = {
    "inner": "SELECT l.id, t.* FROM l JOIN {t} t ON t.k = l.k",
    "inner, and more": "SELECT l.id, t._id FROM l JOIN {t} t ON t.k = l.k AND t.v > l.id",
    "two keys": "SELECT l.id, t._id FROM l JOIN {t} t ON t.k = l.k AND t.s = l.s",
    "an expression as a key": "SELECT l.id, t._id FROM l JOIN {t} t ON t.k = l.k % 5 + 1",
    "a wider key": "SELECT l.id, t._id FROM l JOIN {t} t ON t.k = l.big",
    "no column of the collection": "SELECT l.id FROM l JOIN {t} t ON t.k = l.k",
    "no column at all": "SELECT count(*) FROM l JOIN {t} t ON t.k = l.k",
    "a condition on the collection":
        "SELECT l.id, t._id FROM l JOIN {t} t ON t.k = l.k WHERE t.v < 50 AND t.s <> 's1'",
    "left": "SELECT l.*, t.* FROM l LEFT JOIN {t} t ON t.k = l.k",
    "left, and more": "SELECT l.id, t._id FROM l LEFT JOIN {t} t ON t.k = l.k AND "
                      "t.v > l.id + 60 AND l.id <> 3",
    "left, conditions above": "SELECT l.id, t._id, t.s FROM l LEFT JOIN {t} t "
                              "ON t.k = l.k AND t.v > 60 WHERE t.s IS DISTINCT FROM 's2' "
                              "AND coalesce(t.v, l.id) > 5",
    "left, a filter below": "SELECT l.id, x._id FROM l LEFT JOIN "
                            "(SELECT * FROM {t} t WHERE v < 30) x ON x.k = l.k",
    "left, a column that is never null":
        "SELECT l.id, x.c FROM l LEFT JOIN (SELECT *, coalesce(v, 0) + 1 AS c FROM {t} t) x "
        "ON x.k = l.k AND x.v < 40",
    "left, the row as a whole": "SELECT l.id, t FROM l LEFT JOIN {t} t ON t.k = l.k",
    "left, twice": "SELECT l.id, t._id, u._id FROM l LEFT JOIN {t} t ON t.k = l.k AND "
                   "t.v < 40 LEFT JOIN {t} u ON u._id = t._id AND u.s = 's1'",
    "left, over a left": "SELECT l.id, m.id, t._id FROM l LEFT JOIN l m ON m.id = l.id + 20 "
                         "LEFT JOIN {t} t ON t.k = m.k",
    "left, inside a left": "SELECT l.id, m.id, t._id FROM l LEFT JOIN (l m LEFT JOIN {t} t "
                           "ON t.k = m.k AND t.v < 30) ON m.id = l.id + 20",
    "semi": "SELECT id FROM l WHERE EXISTS (SELECT FROM {t} t WHERE t.k = l.k)",
    "semi, and more": "SELECT id FROM l WHERE EXISTS (SELECT FROM {t} t WHERE t.k = l.k "
                      "AND t.v > l.id + 70)",
    "semi, IN": "SELECT id FROM l WHERE (k, s) IN (SELECT k, s FROM {t} t)",
    "semi, the other way": "SELECT _id FROM {t} t WHERE k IN (SELECT k FROM l WHERE id < 9)",
    "anti": "SELECT id FROM l WHERE NOT EXISTS (SELECT FROM {t} t WHERE t.k = l.k)",
    "anti, and more": "SELECT id FROM l WHERE NOT EXISTS (SELECT FROM {t} t WHERE "
                      "t.k = l.k AND t.v > l.id + 70)",
    "anti, of a left": "SELECT l.id, t._id, t.k FROM l LEFT JOIN {t} t ON t.k = l.k "
                       "WHERE t.k IS NULL",
    "an outer side that is a join":
        "SELECT l.id, t._id FROM l JOIN l m USING (id) JOIN {t} t ON t.k = l.k + m.k",
    "an outer side that is aggregated":
        "SELECT x.k, t._id FROM (SELECT k, count(*) AS n FROM l GROUP BY k) x "
        "JOIN {t} t ON t.k = x.k AND t.v > x.n",
    "an outer side that is a function":
        "SELECT g, t._id FROM generate_series(0, 30) g LEFT JOIN {t} t ON t.k = g",
    "an outer side that is a collection":
        "SELECT a._id, b._id FROM {t} a JOIN {t} b ON b.k = a.v WHERE a.s = 's1'",
    "an outer side without rows": "SELECT l.id, t._id FROM l LEFT JOIN {t} t ON t.k = l.k "
                                  "WHERE l.id < 0",
    "keys that are all null": "SELECT l.id, t._id FROM l LEFT JOIN {t} t "
                              "ON t.k = l.k WHERE l.k IS NULL",
    "three tables": "SELECT l.id, t._id, u._id FROM l JOIN {t} t ON t.k = l.k "
                    "JOIN {t} u ON u.k = t.v AND u.s = l.s",
    "sorted and limited": "SELECT l.id, t._id FROM l JOIN {t} t ON t.k = l.k "
                          "ORDER BY t._id DESC, l.id LIMIT 7",
    "aggregated": "SELECT l.s, count(t._id), sum(t.v) FROM l LEFT JOIN {t} t ON t.k = l.k "
                  "GROUP BY l.s",
    "of a set operation": "SELECT l.id FROM l JOIN {t} t ON t.k = l.k EXCEPT "
                          "SELECT l.id FROM l JOIN {t} t ON t.k = l.big",
    "LATERAL": "SELECT l.id, x._id FROM l CROSS JOIN LATERAL (SELECT t._id FROM l m "
               "JOIN {t} t ON t.k = m.k WHERE m.id = l.id OFFSET 0) x",
    "LATERAL, left": "SELECT l.id, x.* FROM l LEFT JOIN LATERAL (SELECT m.id, t._id, l.k "
                     "FROM l m LEFT JOIN {t} t ON t.k = m.k AND t.v > l.id "
                     "WHERE m.id < l.id ORDER BY 1, 2 LIMIT 3 + l.id) x ON true WHERE l.id < 5",
    "a correlated subquery": "SELECT id, (SELECT count(t._id) FROM l m LEFT JOIN {t} t "
                             "ON t.k = m.k AND t.v < l.id WHERE m.s = l.s) FROM l",
    "a recursive query": "WITH RECURSIVE r (n) AS (SELECT 1::bigint UNION SELECT t.v % 20 FROM r "
                         "JOIN {t} t ON t.k = r.n) SELECT n FROM r",
}


def sorted_rows(db, query):
    """Return a query's rows in an order of their own."""
    return sorted(db.rows(query), key=repr)


def gives(db, query, expected, name):
    """Test a query's rows; NaN equals itself here."""
    is_(repr(sorted_rows(db, query)), repr(expected), name)


def join_nodes(plan):
    """Return the nodes of ours in a plan, as EXPLAIN's JSON has it."""
    return [node for node in plan_nodes(plan)
            if node.get("Custom Plan Provider") == "PynomalyJoin"]


def explained(db, query):
    """Run a query, and return our nodes of its plan."""
    return join_nodes(db.plan(query, "ANALYZE", "TIMING OFF"))


def scan_of(node):
    """Return the scan of the collection below a node of ours."""
    return node["Plans"][1]


def same_answers(db):
    """Every kind of join gives what it gives over a local copy."""
    db.execute("""
        CREATE TABLE l AS SELECT id, CASE WHEN id % 6 = 0 THEN NULL ELSE id % 25 END AS k,
            (id % 25)::bigint AS big, 's' || id % 5 AS s FROM generate_series(1, 60) id;
        CREATE TABLE copy AS SELECT * FROM t; ANALYZE l; ANALYZE copy; ANALYZE t""")
    for name, query in QUERIES.items():
        expected = sorted_rows(db, query.format(t="copy"))
        db.execute("SET pynomaly_store.enable_batched_join_pushdown = off")
        is_(sorted_rows(db, query.format(t="t")), expected, f"{name}: PostgreSQL's join")
        db.execute("RESET pynomaly_store.enable_batched_join_pushdown;" + FORCED)
        for size in (2, 1000):
            db.execute(f"SET pynomaly_store.join_batch_size = {size}")
            if size == 2:
                like(db.explain(query.format(t="t")), "PynomalyJoin", f"{name}: is ours")
            is_(sorted_rows(db, query.format(t="t")), expected,
                f"{name}: {size} keys at a time")
        db.execute("RESET ALL")


def key_types(db, client):
    """Keys of every class join exactly, whatever stands for them in MongoDB."""
    oid = ObjectId("5381ccf9d6d81c8e5bf0114d")
    cases = {
        "smallint": ([1, Int64(2), 3.0, Decimal128("4.0"), -0.0, None], "1, 2, 4, 0, NULL"),
        "integer": ([1, 1, Int64(2), 3.0, 2147483647], "1, 1, 3, 2147483647, NULL"),
        "bigint": ([Int64(2**53 + 1), Int64(2**63 - 1), 5],
                   "9007199254740993, 9007199254740992, 9223372036854775807, 5"),
        "real": ([0.1, 16777217, float("nan"), float("inf"), -0.0],
                 "0.1, 16777216, 'NaN', 'Infinity', 0, NULL"),
        "double precision": ([0.1, -0.0, float("nan"), float("-inf"), Int64(2**53 + 1)],
                             "0.1, 0, '-0', 'NaN', '-Infinity', 9007199254740992, NULL"),
        "numeric": ([Decimal128("1.10"), 1.1, 5, Decimal128("NaN"), Decimal128("1E+2"),
                     Decimal128("12345678901234567890.1234")],
                    "1.1, 1.100, 5.0, 'NaN', 100, 12345678901234567890.1234, NULL"),
        "boolean": ([True, False, None], "true, true, NULL"),
        'text COLLATE "C"': (["a", "$a", "", "B", str(oid), oid, "ä"],
                             f"'a', '$a', '', 'b', '{oid}', 'ä', NULL"),
        "text": (["a", "A", "a "], "'a', 'A', 'a  ', NULL"),
        "varchar(3)": (["abc", "ab"], "'abc', 'ab', 'abcd'"),
        "char(4)": (["ab", "ab  ", "ab\n", ""], "'ab', 'ab   ', E'ab\\n', '', NULL"),
        "name": (["pg_class", "x"], "'pg_class', 'y', 'x'"),
        "mood": (["sad", "ok"], "'ok', 'ok', NULL"),
        "uuid": ([Binary(b"\x01" * 16, 4), "02020202-0202-0202-0202-020202020202"],
                 "'01010101-0101-0101-0101-010101010101', "
                 "'02020202-0202-0202-0202-020202020202', NULL"),
        "bytea": ([Binary(b"ab", 0), Binary(b"ab", 128), oid, Binary(b"", 0)],
                  f"'ab', '', '\\x{oid}', NULL"),
        "timestamptz": ([DAY, DAY.replace(microsecond=1000)],
                        "'2020-01-01 00:00Z', '2020-01-01 00:00:00.001Z', "
                        "'2020-01-01 00:00:00.0015Z', NULL"),
        "timestamp": ([DAY, DAY.replace(hour=5)], "'2020-01-01', '2020-01-01 05:00', NULL"),
        "date": ([DAY, DAY.replace(hour=23), datetime.datetime(1960, 5, 5, 5)],
                 "'2020-01-01', '1960-05-05', '2020-01-02', NULL"),
        "pynomaly.objectid": ([oid, ObjectId("0" * 24)], f"'{oid}', NULL"),
    }
    db.execute("CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN small AS int")
    for number, (kind, (there, here)) in enumerate(cases.items()):
        client[db.name][f"k{number}"].insert_many(
            [{"_id": at, "k": value} for at, value in enumerate(there)] + [{"_id": 99}])
        db.foreign_table(f"k{number}", "real", f"_id int, k {kind}", database=db.name)
        local = kind.replace("char(4)", "char(6)").replace("varchar(3)", "varchar")
        db.execute(f"CREATE TABLE h{number} (k {local}); INSERT INTO h{number} "
                   f"SELECT unnest(ARRAY[{here}]::{local.split(' COLL')[0]}[]); "
                   f"CREATE TABLE c{number} AS SELECT * FROM k{number}; "
                   f"ANALYZE h{number}; ANALYZE k{number}")
        for form in ("SELECT h.k, t._id, t.k FROM h{n} h JOIN {t}{n} t ON {on}",
                     "SELECT h.k, t._id FROM h{n} h LEFT JOIN {t}{n} t ON {on}"):
            for on in ("t.k = h.k", "h.k = t.k"):
                if "objectid" in kind:
                    on = on.replace("=", "OPERATOR(pynomaly.=)")
                expected = sorted_rows(db, form.format(t="c", n=number, on=on))
                query = form.format(t="k", n=number, on=on)
                db.execute(FORCED + "; SET pynomaly_store.join_batch_size = 2")
                if " LEFT " not in form or kind not in ("real", "mood", "uuid"):
                    ok(explained(db, query), f"{kind}: {query} is ours")
                gives(db, query, expected, f"{kind}: {query}")
                db.execute("RESET ALL")

    # operators between two types, and domains
    db.foreign_table("crossed", "real",
                     '_id int, k small, f real, v varchar(9), c char(9)', database=db.name,
                     collection="crossed")
    client[db.name].crossed.insert_many(
        [{"_id": n, "k": n, "f": n / 2, "v": f"v{n}", "c": f"v{n}"} for n in range(10)])
    db.execute("CREATE TABLE crossed_copy AS SELECT * FROM crossed; ANALYZE crossed; "
               "CREATE TABLE many AS SELECT n::smallint AS i2, n::bigint AS i8, "
               "n::small AS dom, (n / 2.0)::float8 AS f8, ('v' || n)::text AS tx, "
               "('v' || n)::char(5) AS ch "
               "FROM generate_series(1, 12) n; ANALYZE many")
    for on, is_ours in (("t.k = i2", True), ("i8 = t.k", True), ("t.k = dom", True),
                        ("t.f = f8", True), ("t.v = tx", True), ("tx = t.v", True),
                        ("t.c = ch", True), ("t.v = ch", False), ("t.c = tx", False),
                        ("t.k = f8", False), ("t.k + 0 = i2", False),
                        ("t.v || '' = tx", False), ("t.k >= i2", False),
                        ("t.k = i2 OR t.k = i8 + 1", False)):
        query = "SELECT i2, t._id FROM many JOIN {t} t ON " + on
        expected = sorted_rows(db, query.format(t="crossed_copy"))
        db.execute(FORCED)
        is_(bool(explained(db, query.format(t="crossed"))), is_ours,
            f"{on}: {'is' if is_ours else 'is not'} ours")
        is_(sorted_rows(db, query.format(t="crossed")), expected, f"{on}: rows")
        db.execute("RESET ALL")


def collations(db, client):
    """Text under a collation that is not deterministic is compared here."""
    client[db.name].words.insert_many([{"_id": 1, "w": "Straße"}, {"_id": 2, "w": "x"}])
    db.execute("CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', "
               "deterministic = false); CREATE TABLE words_here (w text); "
               "INSERT INTO words_here VALUES ('STRASSE'), ('straße'), ('x'); "
               "ANALYZE words_here")
    db.foreign_table("words", "real", "_id int, w text COLLATE ci, p text COLLATE \"C\"",
                     database=db.name)
    db.execute("ALTER FOREIGN TABLE words ALTER p OPTIONS (ADD field 'w'); ANALYZE words")
    db.execute(FORCED)
    query = "SELECT h.w, t._id FROM words_here h JOIN words t ON t.w = h.w COLLATE ci"
    is_(explained(db, query), [], "an equality that is not that of bytes is not ours")
    is_(sorted_rows(db, query), [("straße", 1), ("x", 2)], "and finds what it should")
    ok(explained(db, "SELECT 1 FROM words_here h JOIN words t ON t.p = h.w"),
       "that of bytes is")
    db.execute("RESET ALL")


def what_is_sent(db, client):
    """One query for each batch of distinct keys, NULLs left out."""
    db.execute(FORCED)
    node, = explained(db, QUERIES["inner"].format(t="t"))
    is_((node["Join Type"], node["Batches"], node["Keys Sent"]), ("Inner", 1, 25),
        "duplicates and NULLs are not sent")
    is_(scan_of(node)["MongoDB Queries"], 1, "by one query")
    db.execute("SET pynomaly_store.join_batch_size = 10")
    node, = explained(db, QUERIES["inner"].format(t="t"))
    is_((node["Batches"], node["Keys Sent"], scan_of(node)["MongoDB Queries"]), (3, 25, 3),
        "three batches of ten, as the rows are sorted")
    is_(node["Plans"][0]["Node Type"], "Sort", "by the key")
    db.execute("RESET pynomaly_store.join_batch_size")
    node, = explained(db, QUERIES["keys that are all null"].format(t="t"))
    is_((node["Batches"], scan_of(node)["MongoDB Queries"]), (0, 0),
        "where all keys are NULL nothing is asked")
    node, = explained(db, QUERIES["semi"].format(t="t"))
    is_(node["Join Type"], "Semi", "a semi join")
    node, = explained(db, QUERIES["anti"].format(t="t"))
    is_(node["Join Type"], "Anti", "an anti join")
    plan = db.explain(QUERIES["two keys"].format(t="t"))
    like(plan, r'"k":\{"\$in":\{"\$param":1\}\}.*"s":\{"\$in":\{"\$param":2\}\}',
         "both keys are sent")
    like(plan, r"Join Cond: \(\(l.k = t.k\) AND \(\(l.s\)::text = t.s\)\)", "and both checked")
    db.execute("RESET ALL")

    # the setting, and the options, switch it off
    for switch in ("SET pynomaly_store.enable_batched_join_pushdown = off",
                   "SET pynomaly_store.enable_pushdown = off",
                   "SET pynomaly_store.enable_condition_pushdown = off",
                   "ALTER FOREIGN TABLE t OPTIONS (enable_batched_join_pushdown 'false')"):
        db.execute(FORCED + ";" + switch)
        is_(explained(db, QUERIES["inner"].format(t="t")), [], f"{switch}: is not ours")
        db.execute("RESET ALL")
    db.execute("ALTER FOREIGN TABLE t OPTIONS (DROP enable_batched_join_pushdown)")
    for query in ("SELECT FROM l RIGHT JOIN t ON t.k = l.k",
                  "SELECT FROM l FULL JOIN t ON t.k = l.k",
                  "SELECT id FROM l WHERE k NOT IN (SELECT k FROM t)",
                  "SELECT FROM l JOIN t ON t.k < l.k",
                  "SELECT FROM l JOIN t ON t.k = l.k + random()::int"):
        db.execute(FORCED)
        is_(join_nodes(db.plan(query)), [], f"{query}: is not ours")
        db.execute("RESET ALL")
    throws(lambda: db.execute("SET pynomaly_store.join_batch_size = 0"), "22023",
           "a batch has a key at least")


def misfits(db, client):
    """A value that does not fit fails an outer join as PostgreSQL's own."""
    client[db.name].odd.insert_many(
        [{"_id": 1, "k": 1, "v": 1}, {"_id": 2, "k": 2, "v": "two"},
         {"_id": 3, "k": None}, {"_id": 4}, {"_id": 5, "k": 5.0, "v": 5}])
    db.foreign_table("odd", "real", "_id int, k int, v int", database=db.name)
    db.execute("CREATE TABLE few AS SELECT k FROM generate_series(1, 3) k; ANALYZE few; "
               "ANALYZE odd;" + FORCED)
    queries = {"left": "SELECT few.k, _id FROM few LEFT JOIN odd ON odd.k = few.k",
               "anti": "SELECT k FROM few WHERE NOT EXISTS "
                       "(SELECT FROM odd WHERE odd.k = few.k)"}
    answers = {"left": [(1, 1), (2, 2), (3, None)], "anti": [(3,)]}
    for size in (1, 1000):
        db.execute(f"SET pynomaly_store.join_batch_size = {size}")
        for name, query in queries.items():
            is_(sorted_rows(db, query), answers[name], f"{name}: all values fit")
            node, = explained(db, query)
            is_(scan_of(node)["MongoDB Queries"], 2 if size > 1 else 4,
                f"{name}: to know that takes one query")
    node, = explained(db, "SELECT FROM few JOIN odd ON odd.k = few.k")
    is_(scan_of(node)["MongoDB Queries"], 3 if size == 1 else 1,
        "which is not sent where it makes no difference")
    for value in (3.5, "3", [7], {"a": 3}, 1e300, True, DAY, float("nan"), 2**40):
        client[db.name].odd.update_one({"_id": 4}, {"$set": {"k": value}})
        for size in (1, 1000):
            db.execute(f"SET pynomaly_store.join_batch_size = {size}")
            for name, query in queries.items():
                throws(lambda: db.rows(query), "22003" if isinstance(value, (int, float))
                       and not isinstance(value, bool) else "22000",
                       f"{name}: {value!r} where no key is, {size} keys at a time",
                       message="k")
        is_(sorted_rows(db, "SELECT few.k, _id FROM few JOIN odd ON odd.k = few.k"),
            [(1, 1), (2, 2)], f"inner: {value!r} is not looked at")
        db.execute("ALTER FOREIGN TABLE odd OPTIONS (ADD on_mismatch 'null')")
        for name, query in queries.items():
            is_(sorted_rows(db, query), answers[name], f"{name}: {value!r} as NULL")
        db.execute("ALTER FOREIGN TABLE odd OPTIONS (DROP on_mismatch)")
    client[db.name].odd.update_one({"_id": 4}, {"$unset": {"k": 1}})

    # of a column that is no key, but in the join's condition
    throws(lambda: db.rows("SELECT few.k, _id FROM few LEFT JOIN odd ON odd.k = few.k "
                           "AND odd.v > few.k"), "22000", "a column beside the key")
    is_(sorted_rows(db, "SELECT few.k, _id FROM few LEFT JOIN odd ON odd.k = few.k + 7 "
                    "AND odd.v > few.k"), [(1, None), (2, None), (3, None)],
        "one of a document that no key leads to decides nothing")
    is_(sorted_rows(db, "SELECT few.k, _id FROM few LEFT JOIN odd ON odd.k = few.k + 7"),
        [(1, None), (2, None), (3, None)], "one that the join does not use")
    db.execute("RESET ALL")


def plans_that_last(db):
    """Prepared statements, generic and not, with parameters in every place."""
    for mode in ("force_generic_plan", "force_custom_plan"):
        db.execute(FORCED + f"; SET plan_cache_mode = {mode}; DEALLOCATE ALL; "
                   "PREPARE p (int, int) AS SELECT l.id, t._id FROM l LEFT JOIN t "
                   "ON t.k = l.k + $1 AND t.v < $2 WHERE l.id < 10")
        like(db.explain("EXECUTE p (1, 50)"), "PynomalyJoin", f"{mode}: is ours")
        for call in ((1, 50), (2, 60), (1, 0), (1, 50)):
            is_(sorted_rows(db, f"EXECUTE p {call}"), sorted_rows(
                db, "SELECT l.id, t._id FROM l LEFT JOIN copy t ON t.k = l.k + "
                    f"{call[0]} AND t.v < {call[1]} WHERE l.id < 10"),
                f"{mode}: EXECUTE {call}")
        is_(len(db.rows("EXECUTE p (NULL, 50)")), 9, f"{mode}: a NULL")
        is_(sorted_rows(db, "EXECUTE p (1, NULL)"),
            [(n, None) for n in range(1, 10)], f"{mode}: another one")
    db.execute("RESET ALL")


def cursors(db):
    """A cursor goes back and forth, and another join runs meanwhile."""
    db.execute(FORCED + "; SET pynomaly_store.join_batch_size = 4")
    query = "SELECT l.id, t._id FROM l JOIN t ON t.k = l.k"
    with db.main.transaction():
        db.execute(f"DECLARE c SCROLL CURSOR FOR {query}")
        first = db.rows("FETCH 10 FROM c")
        is_(len(sorted_rows(db, query)), len(db.rows(query)), "another in between")
        rest = db.rows("FETCH ALL FROM c")
        is_(sorted(first + rest), sorted(db.rows(query)), "forward")
        is_(db.rows("FETCH ABSOLUTE 1 FROM c"), first[:1], "back to the first row")
        is_(db.rows("FETCH 9 FROM c"), first[1:], "and on from there")
    is_(len(db.rows(f"{query} LIMIT 3")), 3, "a LIMIT ends it early")
    db.execute("RESET ALL")


def locks(db):
    """A row that was waited for is joined again with the document it met."""
    for what, change, expected in (
            ("FOR UPDATE OF here", "UPDATE here SET note = 'new'", [(1, "new", 5)]),
            ("FOR UPDATE OF here", "UPDATE here SET k = 6", []),
            ("FOR UPDATE", "UPDATE here SET note = 'new'", [(1, "new", 5)]),
            ("FOR UPDATE", "DELETE FROM here", [])):
        for join in ("JOIN", "LEFT JOIN"):
            if join == "LEFT JOIN" and what == "FOR UPDATE":
                continue        # not allowed of its nullable side
            after = [(1, "new", 5)] if "note" in change else \
                [(1, "old", None)] if join == "LEFT JOIN" and "k = 6" in change else expected
            db.execute("DROP TABLE IF EXISTS here; CREATE TABLE here AS "
                       "SELECT 1 AS id, 5 AS k, 'old' AS note")
            other = db.connect(autocommit=False)
            other.execute(change)
            waiting = Background(
                db.connect(options="-c enable_hashjoin=off -c enable_mergejoin=off "
                                   "-c enable_nestloop=off"),
                f"SELECT here.id, note, t._id FROM here {join} t ON t.k = here.k "
                f"AND t._id < 20 {what}")
            end = time.monotonic() + 10
            while (not db.value("SELECT count(*) FROM pg_locks WHERE NOT granted")
                   and time.monotonic() < end):
                time.sleep(0.02)
            other.commit()
            waiting.wait()
            ok(waiting.rows == after, f"{join} {what}: {change}", waiting.error,
               waiting.rows)
            other.close()


def partitions(db, client):
    """Partitions are joined one by one, or as a whole."""
    client[db.name].part.insert_many([{"_id": n, "k": n, "v": n * 2} for n in range(10)])
    db.execute(f"""
        CREATE TABLE whole (k int, v int) PARTITION BY RANGE (k);
        CREATE FOREIGN TABLE whole_1 PARTITION OF whole FOR VALUES FROM (0) TO (10)
            SERVER real OPTIONS (database '{db.name}', collection 'part');
        CREATE TABLE whole_2 PARTITION OF whole FOR VALUES FROM (10) TO (20);
        CREATE TABLE side (k int, s text) PARTITION BY RANGE (k);
        CREATE TABLE side_1 PARTITION OF side FOR VALUES FROM (0) TO (10);
        CREATE TABLE side_2 PARTITION OF side FOR VALUES FROM (10) TO (20);
        INSERT INTO whole_2 SELECT n, n * 2 FROM generate_series(10, 19) n;
        INSERT INTO side SELECT n, 's' || n FROM generate_series(0, 19, 3) n;
        ANALYZE whole; ANALYZE side; ANALYZE whole_1; {FORCED};
        SET enable_partitionwise_join = on""")
    expected = [(n, n * 2, f"s{n}") for n in range(0, 20, 3)]
    query = "SELECT w.k, w.v, s.s FROM side s JOIN whole w ON w.k = s.k"
    like(db.explain(query), "PynomalyJoin", "partitionwise: is ours")
    is_(sorted_rows(db, query), sorted(expected, key=repr), "partitionwise: rows")
    is_(sorted_rows(db, "SELECT w, x FROM side x LEFT JOIN whole w ON w.k = x.k"),
        sorted([(f"({k},{v})", f"({k},{s})") for k, v, s in expected], key=repr),
        "partitionwise: rows as a whole")
    is_(sorted_rows(db, "SELECT g, x.v FROM generate_series(0, 19) g LEFT JOIN LATERAL "
                        "(SELECT w.v FROM side s JOIN whole w ON w.k = s.k AND s.k = g) x "
                        "ON true"),
        sorted([(n, n * 2 if n % 3 == 0 else None) for n in range(20)], key=repr),
        "partitionwise: LATERAL")
    db.execute("RESET ALL")


def main():
    """Run everything on the test run's server."""
    client = mongo_client()
    with database() as db:
        db.main.prepare_threshold = None
        try:
            collection = client[db.name].t
            collection.insert_many(DOCUMENTS)
            collection.create_index("k")
            db.mongo_server("real", os.environ["MONGO_URI"])
            db.foreign_table("t", "real", '_id int, k int, v bigint, s text COLLATE "C"',
                             database=db.name, fetch_size=20)
            same_answers(db)
            key_types(db, client)
            collations(db, client)
            what_is_sent(db, client)
            misfits(db, client)
            plans_that_last(db)
            cursors(db)
            locks(db)
            partitions(db, client)
        finally:
            client.drop_database(db.name)


main()
done()
