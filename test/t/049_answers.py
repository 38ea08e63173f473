"""A scan that is run for row after row asks the server nothing twice."""
import os

from servers.harness import *

MEMBERS = ["MongoDB Queries", "MongoDB Documents", "MongoDB Answers Reused"]


def use(db, query):
    """Run a query, and return what its foreign node has asked of the server."""
    node, = [node for node in plan_nodes(db.plan(query, "ANALYZE"))
             if "MongoDB Collection" in node]
    return tuple(node.get(member) for member in MEMBERS)


def same(db, query, name):
    """Check that a query has the rows that it has over the copy in a table."""
    rows = db.rows(query)
    is_(sorted(map(repr, rows)), sorted(map(repr, db.rows(query.replace("ft", "copy")))),
        f"{name}: the rows are right")
    ok(len(rows) > 0, f"{name}: there are some")


with database() as db, mongo_client() as client:
    collection = client["answers"]["c"]
    collection.drop()
    collection.insert_many([{"_id": n, "k": n % 40, "s": "x" * 200} for n in range(2000)])
    db.mongo_server("m", os.environ["MONGO_URI"])
    db.foreign_table("ft", "m", "_id int, k int, s text", database="answers", collection="c")
    db.execute("""
        CREATE TABLE copy AS SELECT * FROM ft;
        CREATE TABLE outer_rows AS SELECT n, n % 8 AS k FROM generate_series(1, 200) n;
        INSERT INTO outer_rows VALUES (0, NULL), (-1, 77);
        ANALYZE outer_rows, copy;
        SET enable_hashjoin = off; SET enable_mergejoin = off""")

    # correlated subqueries: a query for each value; none for a NULL
    scalar = "SELECT o.n, (SELECT max(f._id) FROM ft f WHERE f.k = o.k) FROM outer_rows o"
    is_(use(db, scalar), (9, 8, 192), "a scalar subquery asks once for each value")
    same(db, scalar, "a scalar subquery")
    exists = """SELECT o.n FROM outer_rows o
        WHERE EXISTS (SELECT FROM ft f WHERE f.k = o.k AND f._id > 100 OFFSET 0) OR o.n = 5"""
    is_(use(db, exists)[0::2], (9, 192), "an EXISTS asks once for each value")
    same(db, exists, "an EXISTS")
    lateral = """SELECT o.n, l._id FROM outer_rows o, LATERAL
        (SELECT f._id FROM ft f WHERE f.k = o.k ORDER BY f._id LIMIT 3) l"""
    db.execute("SET enable_material = off")
    is_(use(db, lateral)[0], 9, "LATERAL with a LIMIT asks once for each value")
    same(db, lateral, "LATERAL with a LIMIT")
    arrays = """SELECT o.n, ARRAY(SELECT f._id FROM ft f WHERE f.k = o.k ORDER BY 1)
        FROM outer_rows o"""
    same(db, arrays, "an array of a subquery")
    local = """SELECT o.n, (SELECT count(*) FROM ft f WHERE f._id < 90 AND
        md5(f._id::text) > md5(o.k::text)) FROM outer_rows o"""
    is_(use(db, local)[0], 1, "a condition that is evaluated here asks once")
    same(db, local, "a condition that is evaluated here")

    # an answer that was not read to its end, and one that is larger than a batch
    db.execute("ALTER FOREIGN TABLE ft OPTIONS (ADD fetch_size '10')")
    partial = """SELECT o.n, (SELECT f.k FROM ft f WHERE f.k = o.k AND
        md5(f.s) IS NOT NULL LIMIT 1) FROM outer_rows o WHERE o.n < 17"""
    queries, documents, reused = use(db, partial)
    ok(queries + reused >= 16, "each row has an answer", f"{queries} {reused}")
    same(db, partial, "an answer that was not read to its end")
    same(db, arrays, "answers of many batches")
    db.execute("ALTER FOREIGN TABLE ft OPTIONS (DROP fetch_size)")

    # as much memory as a hash table may have, and not more
    db.execute("SET work_mem = '64kB'; SET hash_mem_multiplier = 1")
    wide = """SELECT o.n, (SELECT string_agg(f.s, ',' ORDER BY f._id) FROM ft f
        WHERE f.k = o.k AND md5(f.s) <> 'x') FROM outer_rows o WHERE o.n BETWEEN 1 AND 80"""
    queries, documents, reused = use(db, wide)
    ok(8 < queries <= 80, "answers that do not fit are asked for again", f"{queries} queries")
    is_(queries + reused, 80, "or are still there")
    same(db, wide, "answers that do not fit")
    db.execute("SET work_mem = '1MB'")
    is_(use(db, wide)[0], 8, "where they fit they are not")
    db.execute("RESET work_mem; RESET hash_mem_multiplier")

    # the statement's own memory: the next one asks again
    first = db.rows(scalar + " WHERE o.n = 1")
    collection.insert_one({"_id": 4001, "k": 1, "s": ""})
    is_(db.rows(scalar + " WHERE o.n = 1"), [(1, 4001)], "the next statement sees what is new")
    ok(first != [(1, 4001)], "which was not there before")
    db.execute("SET plan_cache_mode = force_generic_plan; "
               "PREPARE p(int) AS " + scalar + " WHERE o.n = $1")
    is_(db.rows("EXECUTE p(1)"), [(1, 4001)], "as a prepared statement does")
    collection.delete_one({"_id": 4001})
    is_(db.rows("EXECUTE p(1)"), first, "each time that it is run")

    # no answer is kept without need
    is_(use(db, "SELECT f._id FROM ft f WHERE f.k = (SELECT min(k) FROM outer_rows)"),
        (1, 50, None), "a value that is computed once repeats nothing")
    db.execute("SET enable_memoize = off")
    is_(use(db, scalar), (201, 200, None), "enable_memoize switches it off")

done()
