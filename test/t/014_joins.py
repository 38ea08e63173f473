"""Joins of collections that MongoDB makes: the same rows as joined here.

Every query runs four times: over foreign tables with the join shipped, with it
not shipped, with nothing shipped at all, and over plain tables that hold what
the documents map to.
"""
import threading
import os
import time

from bson import Decimal128, Int64, ObjectId
from bson.max_key import MaxKey
from bson.min_key import MinKey

from servers.harness import *

HEX = "5381ccf9d6d81c8e5bf0114d"
OTHER_HEX = "5381ccf9d6d81c8e5bf0114e"

# what a key can be, of every kind that fits an int or a text, or does not
LEFT = [
    {"_id": 1, "k": 5, "s": "x", "n": 1, "p": {"q": 1}, "p_q": 2, "flag": True},
    {"_id": 2, "k": 5.0, "s": "y", "n": 2, "p": {"q": 3}, "flag": False},
    {"_id": 3, "k": Int64(7), "s": None, "n": 3, "p_q": 4},
    {"_id": 4, "k": Decimal128("7"), "n": 4, "o": ObjectId(HEX)},
    {"_id": 5, "k": None, "s": "x"},
    {"_id": 6},
    {"_id": 7, "k": [5], "s": ["x"]},
    {"_id": 8, "k": "5", "s": 5},
    {"_id": 9, "k": 3.7},
    {"_id": 10, "k": Int64(2**53 + 1), "o": ObjectId(OTHER_HEX)},
    {"_id": 11, "k": 9, "s": HEX, "n": 5},
    {"_id": 12, "k": 9, "s": ObjectId(HEX), "n": 5},
    {"_id": 13, "k": 9, "s": "", "n": 6},
    {"_id": 14, "k": {"x": 5}, "s": {"x": "x"}},
    {"_id": 15, "k": MinKey(), "s": MaxKey()},
    {"_id": 16, "k": -0.0, "s": "$x"},
    {"_id": 17, "k": True, "s": "$$ROOT", "p": [{"q": 1}]},
    {"_id": 18, "k": [], "s": "X"},
]
RIGHT = [
    {"_id": 5, "k": 5, "s": "x", "n": 10, "p": {"q": 1}, "flag": True},
    {"_id": 6, "k": 5.0, "s": "y", "n": 1, "p_q": 2},
    {"_id": 7, "k": [5, 7], "s": ["x", "y"], "n": 3},
    {"_id": 8, "k": Decimal128("7.0"), "s": "x", "n": 4, "flag": False},
    {"_id": 9, "k": None, "s": None, "n": 5},
    {"_id": 10, "n": 6},
    {"_id": 11, "k": [], "s": []},
    {"_id": 12, "k": MinKey(), "s": MinKey()},
    {"_id": 13, "k": 9, "s": HEX, "n": 7, "o": ObjectId(HEX)},
    {"_id": 14, "k": Int64(9), "s": ObjectId(HEX), "n": 8},
    {"_id": 15, "k": float(2**53), "s": HEX.upper()},
    {"_id": 16, "k": Int64(2**53 + 1), "s": ""},
    {"_id": 17, "k": "5", "s": "$x", "n": None},
    {"_id": 18, "k": 0, "s": "$$ROOT", "p": {"q": [1]}},
    {"_id": 19, "k": [[5]], "s": [["x"]], "n": "10"},
]
THIRD = [
    {"_id": 1, "b": 5, "t": "one", "n": 1},
    {"_id": 2, "b": 13, "t": "two", "n": 2},
    {"_id": 3, "b": 13, "t": "three", "n": 30},
    {"_id": 4, "b": 99, "t": "four"},
    {"_id": 5, "t": "five", "n": 7},
]
TEXTS = [
    {"_id": "x", "n": 1},
    {"_id": HEX, "n": 2},
    {"_id": ObjectId(HEX), "n": 3},
    {"_id": HEX.upper(), "n": 4},
    {"_id": "", "n": 5},
    {"_id": "x\n", "n": 6},
    {"_id": HEX + "\n", "n": 7},
    {"_id": 5, "n": 8},
]
COLUMNS = """_id int, k int8, s text COLLATE "C", n int, q int OPTIONS (field 'p.q'),
             p_q int, flag bool, o pynomaly.objectid"""

# of the tables a, b, c and t: the query, and whether MongoDB makes all of its joins
QUERIES = [
    # inner
    ("SELECT a._id, a.k, b._id, b.k FROM a JOIN b ON a.k = b.k", True),
    ("SELECT a._id, b._id, b.s FROM a JOIN b ON a.k = b._id", True),
    ("SELECT a._id, b._id FROM a JOIN b ON b._id = a._id", True),
    ("SELECT a._id, b._id, a.s, b.s FROM a JOIN b ON a.s = b.s", True),
    ("SELECT a._id, b._id FROM a JOIN b ON a.o = b.o", True),
    ("SELECT x._id, y._id FROM a x JOIN a y ON x.k = y.k", True),
    ("SELECT x.s, y.s, z.s FROM a x JOIN a y ON x._id = y._id JOIN a z ON z._id = y._id",
     True),
    ("SELECT a.n, b.n FROM a JOIN b ON a.k = b.k AND a.n < b.n", True),
    ("SELECT a._id, b._id FROM a JOIN b ON a.k = b.k AND a.s = b.s", True),
    ("SELECT a._id, b._id FROM a JOIN b USING (k) WHERE a.n = 5 AND b.s = 'x'", True),
    ("SELECT a._id, b._id FROM a JOIN b USING (k) WHERE a.n = 1 OR b.n = 10", True),
    ("SELECT a._id, b._id, a.q, a.p_q, b.q, b.p_q FROM a JOIN b USING (k)", True),
    ("SELECT a._id, b._id FROM a JOIN b ON a.k = b.k AND a.q = b.q", True),
    ("SELECT a._id, b._id FROM a JOIN b USING (k) WHERE a.flag AND b.flag", True),
    ("SELECT count(*) FROM a JOIN b USING (k)", True),
    ("SELECT a._id, b._id FROM a JOIN b USING (k) WHERE length(a.s) = length(b.s)", True),
    ("SELECT a._id, b._id FROM a JOIN b ON a.k + 1 = b._id", None),
    ("SELECT a._id, b._id FROM a JOIN b ON a.n < b.n", False),
    ("SELECT a._id, b._id FROM a CROSS JOIN b WHERE a.n = 1", False),
    ("SELECT a, b FROM a JOIN b USING (k)", True),
    ("SELECT (a).s, b IS NULL FROM a JOIN b USING (k)", True),
    ("SELECT a.tableoid::regclass::text <> '', b._id FROM a JOIN b USING (k)", True),
    ("SELECT a._id, t.n FROM a JOIN t ON t._id = a.s", True),
    ("SELECT x._id, y.n FROM t x JOIN t y ON y._id = x._id", True),
    # left and right
    ("SELECT a._id, b._id, b.k FROM a LEFT JOIN b ON a.k = b.k", True),
    ("SELECT a._id, b._id FROM a RIGHT JOIN b ON a.k = b.k", True),
    ("SELECT a._id, b._id, b.s FROM a LEFT JOIN b ON a.k = b._id", True),
    ("SELECT a._id, b._id FROM a LEFT JOIN b ON a.k = b.k AND b.s = 'x'", True),
    ("SELECT a._id, b._id FROM a LEFT JOIN b ON a.k = b.k AND a.n = 1", True),
    ("SELECT a._id, b._id FROM a LEFT JOIN b ON a.k = b.k AND a.n < b.n", True),
    ("SELECT a._id, b._id FROM a LEFT JOIN b ON a.k = b.k AND length(a.s) = length(b.s)",
     None),
    ("SELECT a._id, b._id FROM a LEFT JOIN b ON a.k = b.k WHERE a.n = 1", True),
    ("SELECT a._id, b._id FROM a LEFT JOIN b ON a.k = b.k WHERE length(a.s) = 1", True),
    ("SELECT a._id, b._id FROM a LEFT JOIN b ON a.k = b.k WHERE b.s = 'x' OR b._id IS NULL",
     True),
    ("SELECT a._id, b._id FROM a LEFT JOIN b ON a.k = b.k WHERE coalesce(b.n, 1) = 1", True),
    ("SELECT a._id, b FROM a LEFT JOIN b ON a.k = b.k", True),
    ("SELECT a._id, b IS NULL, b IS NOT NULL FROM a LEFT JOIN b ON a.k = b.k", True),
    ("SELECT a._id, b._id FROM a LEFT JOIN (SELECT * FROM b WHERE s = 'x') b USING (k)",
     True),
    ("SELECT a._id, b._id, b.two FROM a LEFT JOIN (SELECT *, 2 AS two FROM b) b USING (k)",
     False),
    ("SELECT a._id, t.n FROM a LEFT JOIN t ON t._id = a.s", True),
    # full
    ("SELECT a._id, b._id FROM a FULL JOIN b ON a.k = b.k", True),
    ("SELECT a, b FROM a FULL JOIN b ON a.k = b.k", True),
    ("SELECT a._id, b._id FROM a FULL JOIN b ON a.k = b.k WHERE a._id IS NULL", True),
    ("SELECT x._id, y._id FROM (SELECT * FROM a WHERE s = 'x') x FULL JOIN "
     "(SELECT * FROM b WHERE s = 'x') y ON x.k = y.k", True),
    ("SELECT a._id, b._id FROM a FULL JOIN b ON a.k = b.k AND a.n < b.n", True),
    # semi and anti
    ("SELECT a._id FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.k = a.k)", True),
    ("SELECT a._id, a.s FROM a WHERE k IN (SELECT k FROM b)", True),
    ("SELECT a._id FROM a WHERE k IN (SELECT k FROM b WHERE s = 'x')", True),
    ("SELECT a._id FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.k = a.k AND b.n > a.n)",
     True),
    ("SELECT count(*) FROM a WHERE k IN (SELECT _id FROM b)", True),
    ("SELECT a._id FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.k = a.k)", True),
    ("SELECT a._id FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.k = a.k AND b.n > a.n)",
     True),
    ("SELECT a._id, b._id FROM a LEFT JOIN b ON a.k = b.k WHERE b.k IS NULL", True),
    ("SELECT a._id FROM a WHERE k NOT IN (SELECT k FROM b WHERE k IS NOT NULL)", False),
    ("SELECT a._id FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.k = a.k) AND n = 1",
     True),
    # of more tables
    ("SELECT a._id, b._id, c._id FROM a JOIN b USING (k) JOIN c ON c.b = b._id", True),
    ("SELECT a._id, b._id, c._id FROM a LEFT JOIN b USING (k) LEFT JOIN c ON c.b = b._id",
     True),
    ("SELECT a._id, b._id, c._id FROM a JOIN b USING (k) LEFT JOIN c ON c.b = b._id "
     "AND c.n < b.n", True),
    ("SELECT a._id, b._id, c._id FROM a LEFT JOIN (b JOIN c ON c.b = b._id) ON a.k = b.k",
     None),
    ("SELECT a._id, b._id FROM a JOIN b USING (k) WHERE EXISTS "
     "(SELECT 1 FROM c WHERE c.b = b._id)", True),
    ("SELECT a._id, b._id FROM a JOIN b USING (k) WHERE NOT EXISTS "
     "(SELECT 1 FROM c WHERE c.b = b._id)", True),
    ("SELECT a._id FROM a WHERE EXISTS (SELECT 1 FROM b JOIN c ON c.b = b._id "
     "WHERE b.k = a.k)", None),
    ("SELECT a._id, x._id, y._id, c.t FROM a JOIN b x ON a.k = x.k JOIN b y ON y._id = x._id "
     "JOIN c ON c.b = y._id WHERE c.t <> 'two'", None),
    ("SELECT a._id, b._id, c._id FROM a FULL JOIN b USING (k) LEFT JOIN c ON c.b = b._id",
     True),
    ("SELECT a._id, (SELECT max(c._id) FROM b JOIN c ON c.b = b._id WHERE b.k = a.k) FROM a",
     None),
    ("SELECT a._id, x._id FROM a LEFT JOIN LATERAL (SELECT b._id FROM b WHERE b.k = a.k "
     "ORDER BY b._id LIMIT 1) x ON true", None),
]

ONLY_SHIPPED = ("SET enable_hashjoin = off; SET enable_mergejoin = off; "
                "SET enable_nestloop = off; SET enable_material = off; "
                "SET pynomaly_store.enable_batched_join_pushdown = off")
BY_COST = ("RESET enable_hashjoin; RESET enable_mergejoin; RESET enable_nestloop; "
           "RESET enable_material; RESET pynomaly_store.enable_batched_join_pushdown")


def joins_here(db, query):
    """Return how many joins of a query's plan are PostgreSQL's."""
    return sum(word in line for line in db.explain(query).splitlines()
               for word in ("Custom Scan", "Nested Loop", "Hash Join", "Merge Join", "Semi Join",
                            "Anti Join", "Left Join", "Full Join", "SubPlan"))


def answer(db, query):
    """Return a query's rows in an order of their own."""
    return sorted(db.rows(query), key=repr)


def same_rows(db):
    """Each query gives the same rows in every way to run it."""
    for query, ships in QUERIES:
        db.execute("SET search_path = plain, pynomaly, public")
        expected = answer(db, query)
        db.execute("SET search_path = remote, pynomaly, public")
        db.execute(ONLY_SHIPPED)
        is_(answer(db, query), expected, query)
        if ships is not None:
            is_(joins_here(db, query) == 0, ships,
                "it is shipped" if ships else "it is not shipped")
        db.execute(BY_COST)
        is_(answer(db, query), expected, "the cheapest plan: " + query)
        db.execute("SET pynomaly_store.enable_pushdown = off")
        is_(answer(db, query), expected, "nothing shipped: " + query)
        db.execute("RESET pynomaly_store.enable_pushdown")


def make_tables(db, uri):
    """Make the foreign tables, and plain tables of the same rows."""
    db.mongo_server("mongo", uri)
    db.execute("CREATE SCHEMA remote; CREATE SCHEMA plain; "
               "SET search_path = remote, pynomaly, public")
    for table in ("a", "b"):
        db.execute(f"CREATE FOREIGN TABLE remote.{table} ({COLUMNS}) SERVER mongo OPTIONS "
                   f"(database 'joins', collection '{table}', on_mismatch 'null')")
    db.execute("CREATE FOREIGN TABLE remote.c (_id int, b int, t text, n int) SERVER mongo "
               "OPTIONS (database 'joins', collection 'c', on_mismatch 'null')")
    db.execute("SET pynomaly_store.enable_pushdown = off")
    db.execute("""CREATE FOREIGN TABLE remote.t (_id text COLLATE "C", n int) SERVER mongo
        OPTIONS (database 'joins', collection 't', on_mismatch 'null')""")
    for table in ("a", "b", "c", "t"):
        db.execute(f"CREATE TABLE plain.{table} AS SELECT * FROM remote.{table}; "
                   f"ANALYZE remote.{table}; ANALYZE plain.{table}")
    db.execute("RESET pynomaly_store.enable_pushdown")


def boundaries(db, uri):
    """Tables of other servers, databases and users are not joined there."""
    db.execute(ONLY_SHIPPED)
    db.mongo_server("twin", uri)
    for table, server, database in (("on_twin", "twin", "joins"),
                                    ("elsewhere", "mongo", "other")):
        db.execute(f"CREATE FOREIGN TABLE {table} (_id int, k int8) SERVER {server} "
                   f"OPTIONS (database '{database}', collection 'b', on_mismatch 'null')")
        ok(joins_here(db, f"SELECT * FROM a JOIN {table} x ON x._id = a.k") > 0,
           f"{table}: a join across is made here")
    is_(db.value("SELECT count(*) FROM a JOIN on_twin x ON x._id = a.k"), 7,
        "and has its rows")
    is_(db.value("SELECT count(*) FROM a JOIN elsewhere x ON x._id = a.k"), 3,
        "also that of two databases")

    db.execute("DROP ROLE IF EXISTS pns_joiner; CREATE ROLE pns_joiner; "
               "CREATE USER MAPPING FOR pns_joiner SERVER mongo; "
               "GRANT USAGE ON SCHEMA remote TO pns_joiner; "
               "GRANT SELECT ON a, b TO pns_joiner; "
               "CREATE VIEW his_b AS SELECT * FROM b; "
               "ALTER VIEW his_b OWNER TO pns_joiner")
    ok(joins_here(db, "SELECT a._id FROM a JOIN his_b b ON b._id = a.k") > 0,
       "tables that are read as different users are joined here")
    db.execute("CREATE VIEW his_join AS SELECT a._id FROM a JOIN b ON b._id = a.k; "
               "ALTER VIEW his_join OWNER TO pns_joiner")
    is_(joins_here(db, "SELECT * FROM his_join"), 0,
        "of one other user they are joined there")
    is_(db.value("SELECT count(*) FROM his_join"), 7, "with his mapping")
    db.execute("DROP VIEW his_b, his_join; DROP OWNED BY pns_joiner; "
               "DROP ROLE pns_joiner")
    db.execute(BY_COST)


def views(db, client):
    """Nothing is looked up in a view; its rows can look up elsewhere."""
    client.joins.command("create", "grouped", viewOn="a", pipeline=[
        {"$group": {"_id": "$k"}}])
    db.execute("CREATE FOREIGN TABLE grouped (_id int8) SERVER mongo OPTIONS (database "
               "'joins', collection 'grouped', on_mismatch 'null'); ANALYZE grouped")
    db.execute(ONLY_SHIPPED)
    for query, ships in (("SELECT g._id, b.s FROM grouped g LEFT JOIN b ON b._id = g._id", True),
                         ("SELECT b._id, g._id FROM b LEFT JOIN grouped g ON g._id = b._id",
                          False)):
        is_(joins_here(db, query) == 0, ships, "shipped or not: " + query)
        found = answer(db, query)
        db.execute("SET pynomaly_store.enable_pushdown = off")
        is_(found, answer(db, query), "with the same rows")
        db.execute("RESET pynomaly_store.enable_pushdown")
    db.execute(BY_COST)


def misfits(db):
    """A key that is read and does not fit fails as it does when joined here."""
    db.execute(ONLY_SHIPPED)
    for name, collection in (("strict", "a"), ("strict_b", "b")):
        db.execute(f"CREATE FOREIGN TABLE {name} ({COLUMNS}) SERVER mongo OPTIONS "
                   f"(database 'joins', collection '{collection}')")
    # of an inner join the side that is read is the one whose field has no index
    for join in ("JOIN b ON b._id = x.k", "LEFT JOIN b ON b._id = x.k",
                 "FULL JOIN b ON b.k = x.k"):
        if join.startswith("FULL"):
            db.execute("ANALYZE strict")
        query = f"SELECT x._id FROM strict x {join}"
        is_(joins_here(db, query), 0, join + " is shipped")
        throws(lambda: db.rows(query), "22000", join + ": a key that is an array",
               detail="_id 7 of collection \"joins.a\" it is of BSON type array")
    for condition in ("EXISTS", "NOT EXISTS"):
        query = f"SELECT _id FROM strict x WHERE {condition} " \
            "(SELECT 1 FROM b WHERE b._id = x.k)"
        is_(joins_here(db, query), 0, condition + " is shipped")
        throws(lambda: db.rows(query), "22000", condition + ": a key that is an array")
    # one that a condition on one table has to see, whatever it is joined with
    for query in ("SELECT x._id FROM strict x JOIN b ON b._id = x.p_q WHERE {}",
                  "SELECT x._id FROM strict x LEFT JOIN b ON b._id = x._id WHERE {}",
                  "SELECT a._id FROM a LEFT JOIN (SELECT * FROM strict x WHERE {}) x "
                  "ON x._id = a._id",
                  "SELECT a._id FROM a FULL JOIN (SELECT * FROM strict x WHERE {}) x "
                  "ON x._id = a._id",
                  "SELECT x._id FROM strict x WHERE {} AND NOT EXISTS "
                  "(SELECT 1 FROM b WHERE b._id = x._id)",
                  "SELECT a._id FROM a WHERE EXISTS (SELECT 1 FROM strict x "
                  "WHERE x._id = a._id AND {})"):
        is_(joins_here(db, query.format("x.k IS NULL")), 0, "shipped: " + query)
        throws(lambda: db.rows(query.format("x.k IS NULL")), "22000",
               "IS NULL of a value that does not fit")
        ok(db.rows(query.format("x.k IS NULL AND x._id < 7")) is not None,
           "others are not in the way")
    is_(db.value("SELECT count(*) FROM (SELECT x._id FROM strict x JOIN b ON b._id = x.k "
                 "WHERE x._id < 7) y"), 4, "a document that is filtered out is not read")
    throws(lambda: db.rows("SELECT x._id FROM strict x LEFT JOIN b ON b._id = x.k "
                           "AND x.n < b.n AND x.s = 'x' WHERE x._id = 8"), "22000",
           "so does another column of the condition")
    is_(answer(db, "SELECT a._id, x._id FROM a JOIN strict_b x ON x.k = a.k "
               "WHERE a.k = 5"), [(1, 5), (1, 6), (2, 5), (2, 6)],
        "what the index finds and does not fit is not equal")
    throws(lambda: db.rows("SELECT a._id, x.n FROM a JOIN strict_b x ON x._id = a.k + 10 "
                           "WHERE a._id = 13"), "22000", "a column of the result")
    db.execute(BY_COST)


def unmatched(db, client):
    """What a join returns for want of a pair is not due to a value that does not fit."""
    client.joins.whole.insert_many([{"_id": n, "k": n, "v": n} for n in range(6)])
    client.joins.broken.insert_many([{"_id": n, "k": n, "v": n} for n in range(4)])
    # so many that it is the side that is looked up in
    client.joins.broken.insert_many([{"_id": n} for n in range(20, 40)])
    client.joins.broken.create_index("k")
    for name in ("whole", "broken"):
        db.execute(f"CREATE FOREIGN TABLE {name} (_id int, k int, v int) SERVER mongo "
                   "OPTIONS (database 'joins')")
    db.execute("ANALYZE whole; ANALYZE broken")
    db.execute(ONLY_SHIPPED)
    queries = {
        "inner": ("SELECT w._id, b._id FROM whole w JOIN broken b ON b.k = w.k",
                  [(n, n) for n in range(4)]),
        "semi": ("SELECT _id FROM whole w WHERE EXISTS (SELECT FROM broken b "
                 "WHERE b.k = w.k)", [(n,) for n in range(4)]),
        "left": ("SELECT w._id, b._id FROM whole w LEFT JOIN broken b ON b.k = w.k",
                 [(n, n if n < 4 else None) for n in range(6)]),
        "anti": ("SELECT _id FROM whole w WHERE NOT EXISTS (SELECT FROM broken b "
                 "WHERE b.k = w.k)", [(4,), (5,)]),
        "left, then more": ("SELECT w._id, b._id, x._id FROM whole w LEFT JOIN broken b "
                            "ON b.k = w.k JOIN whole x ON x._id = w.v",
                            [(n, n if n < 4 else None, n) for n in range(6)]),
        "count": ("SELECT count(*), count(b._id) FROM whole w LEFT JOIN broken b "
                  "ON b.k = w.k", [(6, 4)]),
        "group": ("SELECT b._id, count(*) FROM whole w LEFT JOIN broken b ON b.k = w.k "
                  "GROUP BY b._id HAVING count(*) > 1", [(None, 2)]),
        "full": ("SELECT w._id, b._id FROM whole w FULL JOIN broken b ON b.k = w.k",
                 [(n, n if n < 4 else None) for n in range(6)] +
                 [(None, n) for n in range(20, 40)]),
    }
    for name, (query, expected) in queries.items():
        is_(joins_here(db, query), 0, f"{name}: shipped")
        is_(answer(db, query), expected, f"{name}: all values fit")
    # behind a left join that looks through its field there is no other to be made there
    inside = "SELECT x._id FROM whole x LEFT JOIN (whole w LEFT JOIN broken b ON b.k = w.k) " \
        "ON w._id = x.k"
    is_(answer(db, inside), [(n,) for n in range(6)], "a left join within a left one")
    for value in ("4", 4.5, [4], {"a": 4}):
        client.joins.broken.replace_one({"_id": 9}, {"k": value}, upsert=True)
        for name, (query, expected) in queries.items():
            if name in ("inner", "semi"):
                is_(answer(db, query), expected, f"{name}: {value!r} is equal to nothing")
            else:
                throws(lambda: db.rows(query), "22003" if value == 4.5 else "22000",
                       f"{name}: {value!r} is looked for", message='field "k" does not fit')
        throws(lambda: db.rows(inside), "22003" if value == 4.5 else "22000",
               f"a left join within a left one: {value!r}")
        is_(answer(db, "SELECT w._id FROM whole w LEFT JOIN (SELECT * FROM broken "
                   "WHERE _id < 9) b ON b.k = w.k"), [(n,) for n in range(6)],
            f"{value!r} of a document that a condition leaves out is none of it")
    db.execute(BY_COST)


def large(db, client):
    """Nothing that fits here is too large for the join there."""
    mega = 2**20
    big = client.joins.big
    big.insert_many([{"_id": 1, "k": 1, "s": "a" * (9 * mega)},
                     {"_id": 2, "k": 1, "s": "b" * (9 * mega)}])
    big.create_index("k")
    db.execute("CREATE FOREIGN TABLE big (_id int, k int, s text) SERVER mongo "
               "OPTIONS (database 'joins', collection 'big'); ANALYZE big")
    db.execute(ONLY_SHIPPED)
    query = "SELECT x._id, length(x.s), y._id, length(y.s), left(y.s, 1) " \
        "FROM big x LEFT JOIN big y ON y.k = x.k"
    is_(joins_here(db, query), 0, "a join of large documents is shipped")
    is_(answer(db, query), [(i, 9 * mega, j, 9 * mega, " ab"[j])
                            for i in (1, 2) for j in (1, 2)],
        "rows of more than 16 MB come back")
    is_(answer(db, "SELECT _id FROM big x WHERE EXISTS (SELECT 1 FROM big y "
               "WHERE y.k = x.k AND length(y.s) > 0)"), [(1,), (2,)],
        "so does a semi join on a key of more than 16 MB")
    db.execute(BY_COST)
    big.drop()

    hot = client.joins.hot
    hot.insert_many([{"_id": i, "k": 1, "s": "x" * mega} for i in range(20)])
    hot.create_index("k")
    db.execute("CREATE FOREIGN TABLE hot (_id int, k int, s text) SERVER mongo "
               "OPTIONS (database 'joins', collection 'hot'); ANALYZE hot")
    db.execute(ONLY_SHIPPED)
    for query, expected in (
            ("SELECT count(*), sum(length(h.s)) FROM a LEFT JOIN hot h ON h.k = a._id "
             "WHERE a._id <= 2", [(21, 20 * mega)]),
            ("SELECT a._id FROM a WHERE EXISTS (SELECT 1 FROM hot h WHERE h.k = a._id)",
             [(1,)]),
            ("SELECT count(*) FROM a WHERE NOT EXISTS "
             "(SELECT 1 FROM hot h WHERE h.k = a._id)", [(17,)])):
        is_(joins_here(db, query), 0, "shipped: " + query)
        is_(db.rows(query), expected, "a key of 20 MB of documents")
    db.execute(BY_COST)
    hot.drop()


def locks(db):
    """A row that changes while its lock is waited for is joined again."""
    db.execute("CREATE TABLE plain.account (id int PRIMARY KEY, k int, v int); "
               "INSERT INTO plain.account VALUES (1, 5, 0), (2, 7, 0)")
    db.execute(ONLY_SHIPPED + "; SET enable_nestloop = on")
    query = ("SELECT t.id, t.v, a._id, b._id FROM plain.account t, a, b "
             "WHERE a.k = b._id AND b._id = t.k AND a.n = 1 FOR UPDATE OF t")
    like(db.explain(query), r"(?s)Foreign Scan.*Foreign Scan", "with a plan of its own below")
    other = db.connect()
    other.autocommit = False
    other.execute("UPDATE plain.account SET v = v + 1 WHERE id = 1")
    waiting = Background(db.main, query)
    time.sleep(0.5)
    ok(waiting.thread.is_alive(), "the row is locked")
    other.commit()
    waiting.wait()
    is_(waiting.rows, [(1, 1, 1, 5)], "the join is made again with the new row")
    is_(answer(db, "SELECT a._id, b._id FROM a JOIN b ON b._id = a.k WHERE a._id = 1 "
               "FOR UPDATE"), [(1, 5)], "the tables themselves can be named by FOR UPDATE")
    db.execute(BY_COST)


def rows_of(client, command):
    """Return what a command for the database "joins" finds, in an order."""
    return sorted(client.joins.command({**command, "cursor": {}})["cursor"]["firstBatch"],
                  key=repr)


def old_servers(db, client):
    """Before MongoDB 5.0 a $lookup has a field or a pipeline, not both."""
    with ScriptedServer() as new, ScriptedServer(hello={"maxWireVersion": 9}) as old:
        for name, server in (("new", new), ("old", old)):
            server.on("aggregate", Batches([]))
            db.mongo_server(name, server.uri)
            for table in ("a", "b"):
                db.execute(f"CREATE FOREIGN TABLE {name}_{table} ({COLUMNS}) SERVER {name} "
                           f"OPTIONS (database 'joins', collection '{table}', "
                           "on_mismatch 'null')")
            db.execute(f"""CREATE FOREIGN TABLE {name}_t (_id text COLLATE "C", n int)
                SERVER {name} OPTIONS (database 'joins', collection 't')""")
        db.execute(ONLY_SHIPPED)
        for query in (
                "SELECT a._id, b._id FROM {0}_a a LEFT JOIN {0}_b b ON b._id = a.k",
                "SELECT a._id FROM {0}_a a WHERE EXISTS "
                "(SELECT 1 FROM {0}_b b WHERE b._id = a.k AND b.n > a.n)",
                "SELECT a._id, b._id FROM {0}_a a JOIN {0}_b b ON b._id = a.k "
                "WHERE b.s = 'x'",
                "SELECT a._id, t.n FROM {0}_a a LEFT JOIN {0}_t t ON t._id = a.s"):
            commands = []
            for name, server in (("new", new), ("old", old)):
                db.rows(query.format(name))
                command = server.commands("aggregate")[-1]
                commands.append({key: command[key] for key in
                                 ("aggregate", "pipeline", "collation") if key in command})
            lookups = [next(stage["$lookup"] for stage in command["pipeline"]
                            if "$lookup" in stage) for command in commands]
            is_(["localField" in lookup for lookup in lookups], [True, False],
                "an old server gets no field: " + query)
            ok(all("pipeline" in lookup for lookup in lookups), "both get a pipeline")
            found = rows_of(client, commands[0])
            ok(found, "it finds something")
            is_(rows_of(client, commands[1]), found, "and the same in both forms")
        db.execute(BY_COST)


with mongo_client() as client, database() as db:
    client.drop_database("joins")
    client.drop_database("other")
    for collection, documents in (("a", LEFT), ("b", RIGHT), ("c", THIRD),
                                  ("t", TEXTS)):
        client.joins[collection].insert_many(documents)
    for field in ("k", "s", "o"):
        client.joins.a.create_index(field)
        client.joins.b.create_index(field)
    client.joins.c.create_index("b")
    client.other.b.insert_one({"_id": 9, "k": 5})
    uri = os.environ["MONGO_URI"]
    make_tables(db, uri)
    same_rows(db)
    boundaries(db, uri)
    views(db, client)
    misfits(db)
    unmatched(db, client)
    large(db, client)
    locks(db)
    old_servers(db, client)
    client.drop_database("joins")
    client.drop_database("other")

done()
