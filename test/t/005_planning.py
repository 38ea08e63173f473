"""Plans without a server, rescans, cursors, inheritance, locks, stale plans."""
import os
import time

from servers.harness import *

ROWS = [{"_id": number, "n": number, "s": f"s{number % 10}", "deep": {"n": -number}}
        for number in range(100)]
COLUMNS = '_id int, n int, s text COLLATE "C"'


def without_a_server(db):
    """EXPLAIN needs no server unless it is told to ask one."""
    db.mongo_server("down", "mongodb://127.0.0.1:1/", connect_timeout=1000)
    db.foreign_table("absent", "down", COLUMNS, database="d", collection="c")
    db.foreign_table("asked", "down", COLUMNS, database="d", collection="c",
                     use_remote_estimate="true")
    began = time.monotonic()
    like(db.explain("SELECT s FROM absent WHERE n = 5"),
         r'(?s)Foreign Scan.*"aggregate".*"n".*5', "EXPLAIN VERBOSE while it is down")
    db.explain("SELECT * FROM absent a JOIN absent b USING (n) ORDER BY 1 LIMIT 3")
    db.execute("CREATE VIEW v AS SELECT n FROM absent; "
               "PREPARE p (int) AS SELECT * FROM absent WHERE n = $1")
    like(db.explain("EXECUTE p (7)"), "Foreign Scan", "EXPLAIN EXECUTE")
    db.execute("SET plan_cache_mode = force_generic_plan")
    like(db.explain("EXECUTE p (7)"), "Foreign Scan", "of a generic plan")
    db.execute("RESET plan_cache_mode")
    ok(time.monotonic() - began < 1, "none of them waits for a connection")
    throws(lambda: db.explain("SELECT * FROM asked"), "08001",
           "with use_remote_estimate the server is asked")
    throws(lambda: db.rows("SELECT * FROM absent"), "08001", "and so does a scan")
    throws(lambda: db.execute("ANALYZE absent"), "08001", "and ANALYZE")
    throws(lambda: db.execute("IMPORT FOREIGN SCHEMA d FROM SERVER down INTO public"),
           "08001", "and an import")
    is_(db.rows("SELECT * FROM absent WHERE n = NULL"), [],
        "what no document can match is not asked for")
    db.execute("ALTER FOREIGN TABLE asked OPTIONS (SET use_remote_estimate 'false')")
    like(db.explain("SELECT * FROM asked"), "Foreign Scan",
         "without it the same table is planned again")


def rescans(db):
    """The inner side of a join is scanned again with other parameters."""
    db.execute("CREATE TABLE keys AS SELECT k, k * 3 AS n "
               "FROM generate_series(1, 10) k; ANALYZE keys; "
               "SET enable_hashjoin = off; SET enable_mergejoin = off; "
               "SET enable_material = off; SET enable_memoize = off")
    expected = [(k, 3 * k, f"s{3 * k % 10}") for k in range(1, 11)]
    for pushdown in ("on", "off"):
        db.execute(f"SET pynomaly_store.enable_pushdown = {pushdown}")
        how = f"pushdown {pushdown}: "
        is_(db.rows("SELECT k, t.n, s FROM keys JOIN t ON t.n = keys.n ORDER BY k"),
            expected, how + "a nested loop")
        is_(db.rows("SELECT k, x.n, s FROM keys CROSS JOIN LATERAL "
                    "(SELECT n, s FROM t WHERE t.n = keys.n LIMIT 1) x ORDER BY k"),
            expected, how + "LATERAL with LIMIT")
        is_(db.rows("SELECT k, n, (SELECT s FROM t WHERE t.n = keys.n) FROM keys "
                    "ORDER BY k"), expected, how + "a correlated subquery")
        is_(db.rows("SELECT k FROM keys WHERE EXISTS (SELECT 1 FROM t WHERE "
                    "t.n = keys.n AND t.s = 's3') ORDER BY k"), [(1,)],
            how + "EXISTS")
        is_(db.rows("SELECT k FROM keys WHERE NOT EXISTS (SELECT 1 FROM t WHERE "
                    "t.n = keys.n AND t.s <> 's0') ORDER BY k"), [(10,)],
            how + "NOT EXISTS")
        is_(db.rows("SELECT k, t.n FROM keys LEFT JOIN t ON t.n = keys.n + 80 "
                    "ORDER BY k"),
            [(k, 80 + 3 * k if 80 + 3 * k < 100 else None) for k in range(1, 11)],
            how + "a left join")
        is_(db.value("SELECT count(*) FROM t a, t b WHERE a.n = b.n + 1"), 99,
            how + "a join with itself")
        is_(db.value("SELECT count(*) FROM keys k LEFT JOIN LATERAL "
                     "(SELECT * FROM t WHERE t.n = (SELECT NULL::int)) x ON true"),
            10, how + "a parameter that is NULL")
        is_(db.value("WITH RECURSIVE r (n) AS (SELECT 0 UNION ALL SELECT t.n FROM r "
                     "JOIN t ON t.n = r.n + 1 WHERE r.n < 20) SELECT max(n) FROM r"),
            20, how + "a recursive query")
        is_(db.value("SELECT count(*) FROM t WHERE n = ANY (SELECT n FROM keys)"), 10,
            how + "a semi join")
        is_(db.value("SELECT count(*) FROM t WHERE n = ANY "
                     "(ARRAY(SELECT n FROM keys))"), 10, how + "an array that is made")
    db.execute("RESET ALL")


def cursors(db):
    """Cursors go both ways, and stay when the transaction has ended."""
    db.execute("BEGIN")
    db.execute("DECLARE c SCROLL CURSOR FOR SELECT n FROM t ORDER BY _id")
    db.execute("DECLARE plain SCROLL CURSOR FOR SELECT _id FROM t")
    db.execute("DECLARE h CURSOR WITH HOLD FOR SELECT n FROM t")
    is_(db.rows("FETCH 3 FROM c"), [(0,), (1,), (2,)], "FETCH forward")
    is_(db.rows("FETCH BACKWARD 2 FROM c"), [(1,), (0,)], "FETCH BACKWARD")
    is_(db.rows("FETCH LAST FROM c"), [(99,)], "FETCH LAST")
    is_(db.rows("FETCH ABSOLUTE 10 FROM c"), [(9,)], "FETCH ABSOLUTE")
    there = db.rows("FETCH 60 FROM plain")
    back = db.rows("FETCH BACKWARD 59 FROM plain")
    is_(back, there[-2::-1], "back over batches, without a sort")
    is_(db.rows("FETCH FIRST FROM plain"), there[:1], "and to the beginning")
    is_(len(db.rows("FETCH ALL FROM plain")), 99, "and to the end")
    db.execute("COMMIT")
    is_(len(db.rows("FETCH ALL FROM h")), 100, "WITH HOLD")
    db.execute("CLOSE h")

    db.execute("BEGIN")
    db.execute("DECLARE n NO SCROLL CURSOR FOR SELECT n FROM t")
    is_(len(db.rows("FETCH 5 FROM n")), 5, "NO SCROLL goes forward")
    throws(lambda: db.rows("FETCH BACKWARD 1 FROM n"), "55000", "only")
    db.execute("ROLLBACK")

    db.execute("BEGIN")
    db.execute("DECLARE outside CURSOR FOR SELECT n FROM t")
    db.rows("FETCH 5 FROM outside")
    db.execute("SAVEPOINT s")
    db.execute("DECLARE inside CURSOR FOR SELECT n FROM t")
    db.rows("FETCH 5 FROM inside")
    throws(lambda: db.rows("SELECT 1 / n FROM t"), "22012", "an error in between")
    db.execute("ROLLBACK TO s")
    is_(len(db.rows("FETCH ALL FROM outside")), 95,
        "a cursor survives what happened after a savepoint")
    db.execute("COMMIT")
    is_(db.value("SELECT count(*) FROM t"), 100, "and all is well")


def system_columns(db):
    """System columns and whole rows can be asked for."""
    is_(db.rows("SELECT DISTINCT tableoid::regclass::text FROM t"), [("t",)],
        "tableoid")
    is_(db.rows("SELECT DISTINCT xmin::text, xmax::text, cmin::text FROM t"),
        [("0", "0", "0")], "xmin, xmax and cmin")
    is_(db.rows("SELECT DISTINCT ctid::text FROM t"), [("(4294967295,0)",)], "ctid")
    is_(db.rows("SELECT t FROM t WHERE n = 4"), [("(4,4,s4)",)], "a whole row")
    is_(db.rows("SELECT tableoid::regclass::text, n, t FROM t WHERE n = 4"),
        [("t", 4, "(4,4,s4)")], "all together")
    is_(db.value("SELECT count(*) FROM t WHERE tableoid = 't'::regclass"), 100,
        "a condition on it")
    is_(db.value("SELECT to_jsonb(t) ->> 's' FROM t WHERE n = 4"), "s4",
        "a row in an expression")


def families(db, mongo_database):
    """Foreign tables are children of others, and partitions."""
    db.execute("CREATE TABLE parent (_id int, n int, s text COLLATE \"C\"); "
               "INSERT INTO parent VALUES (1000, 1000, 'local')")
    db.execute("CREATE FOREIGN TABLE child () INHERITS (parent) SERVER real OPTIONS "
               f"(database '{mongo_database}', collection 'c')")
    is_(db.value("SELECT count(*) FROM parent"), 101, "a parent's rows")
    is_(db.value("SELECT count(*) FROM ONLY parent"), 1, "ONLY its own")
    is_(db.rows("SELECT tableoid::regclass::text, n FROM parent WHERE n IN (7, 1000) "
                "ORDER BY n"), [("child", 7), ("parent", 1000)], "each from its table")
    db.execute("ALTER TABLE parent ADD COLUMN deep int")
    db.execute("ALTER FOREIGN TABLE child ALTER COLUMN deep "
               "OPTIONS (ADD field 'deep.n')")
    is_(db.value("SELECT deep FROM parent WHERE n = 8"), -8, "a column that came later")

    db.execute("""
        CREATE TABLE whole (n int, s text COLLATE "C") PARTITION BY RANGE (n);
        CREATE TABLE late PARTITION OF whole FOR VALUES FROM (100) TO (200);
        INSERT INTO whole VALUES (150, 'local')""")
    db.execute("CREATE FOREIGN TABLE early PARTITION OF whole FOR VALUES FROM (0) "
               f"TO (100) SERVER real OPTIONS (database '{mongo_database}', "
               "collection 'c')")
    is_(db.value("SELECT count(*) FROM whole"), 101, "a partitioned table")
    plan = db.explain("SELECT s FROM whole WHERE n = 150")
    ok("Foreign Scan" not in plan, "a partition that cannot match is pruned", plan)
    is_(db.rows("SELECT n, s FROM whole WHERE n IN (5, 150) ORDER BY n"),
        [(5, "s5"), (150, "local")], "rows of two partitions")
    db.execute("SET enable_partitionwise_join = on; "
               "SET enable_partitionwise_aggregate = on")
    is_(db.value("SELECT count(*) FROM whole a JOIN whole b USING (n)"), 101,
        "partitionwise")
    db.execute("RESET ALL")

    # columns in another order and dropped ones
    db.execute("CREATE FOREIGN TABLE odd (gone int, s text COLLATE \"C\", n int, "
               f"_id int, deep int) SERVER real OPTIONS (database '{mongo_database}', "
               "collection 'c'); ALTER FOREIGN TABLE odd DROP COLUMN gone; "
               "ALTER FOREIGN TABLE odd INHERIT parent")
    is_(db.value("SELECT count(*) FROM parent WHERE n = 9 AND s = 's9'"), 2,
        "a child with its columns in another order")


def locks(db):
    """Row locks and re-evaluated rows of a join with a local table."""
    db.execute("CREATE TABLE here (id int PRIMARY KEY, n int, note text)")

    def wait_and_change(statement, change, name, expected):
        """Run a statement that has to wait for a change of the row it locks.

        Once with whatever join the planner likes, and once with a nested loop,
        into which the local row's value goes as a parameter.
        """
        wait_with("", statement, change, name, expected)
        wait_with("-c enable_hashjoin=off -c enable_mergejoin=off "
                  "-c enable_material=off", statement, change,
                  "a nested loop, " + name, expected)

    def wait_with(options, statement, change, name, expected):
        """Run a statement that has to wait, under some settings."""
        db.execute("TRUNCATE here")
        db.execute("INSERT INTO here VALUES (1, 7, 'old')")
        other = db.connect(autocommit=False)
        other.execute(change)
        waiting = Background(db.connect(options=options), statement)
        end = time.monotonic() + 10
        while (not db.value("SELECT count(*) FROM pg_locks WHERE NOT granted")
               and time.monotonic() < end):
            time.sleep(0.02)
        other.commit()
        waiting.wait()
        ok(waiting.rows == expected, name, waiting.error, waiting.rows)
        other.close()

    join = "FROM here JOIN t ON t.n = here.n WHERE here.id = 1"
    for what in ("FOR UPDATE OF here", "FOR UPDATE", "FOR SHARE"):
        if what == "FOR SHARE":
            select = f"SELECT here.n, note, t.s, t.tableoid::regclass::text {join} {what}"
            same, moved = (7, "new", "s7", "t"), (8, "old", "s8", "t")
        else:
            select = f"SELECT here.n, note, t.s {join} {what}"
            same, moved = (7, "new", "s7"), (8, "old", "s8")
        wait_and_change(select, "UPDATE here SET note = 'new'",
                        f"{what}: the row that changed meanwhile", [same])
        wait_and_change(select, "UPDATE here SET n = 8",
                        f"{what}: a row that joins no longer", [])
        wait_and_change(select, "DELETE FROM here", f"{what}: a row that is gone", [])
    wait_and_change(f"UPDATE here SET note = t.s FROM t WHERE t.n = here.n AND "
                    "note = 'new' RETURNING here.note, t.n",
                    "UPDATE here SET note = 'new'",
                    "UPDATE ... FROM: a row that did not match before", [])
    wait_and_change("UPDATE here SET note = here.note || t.s FROM t "
                    "WHERE t.n = here.n RETURNING note",
                    "UPDATE here SET note = 'new'",
                    "UPDATE ... FROM: the row as it is now", [("news7",)])
    wait_and_change("DELETE FROM here USING t WHERE t.n = here.n RETURNING t.s",
                    "UPDATE here SET note = 'new'", "DELETE ... USING", [("s7",)])
    is_(len(db.rows("SELECT n FROM t FOR UPDATE")), 100,
        "FOR UPDATE of a foreign table alone reads it")


def stale_plans(db, client, mongo_database):
    """A prepared statement sees what has been altered."""
    client[mongo_database].other.insert_one({"_id": 1, "n": 5, "m": 6})
    db.execute("PREPARE q AS SELECT n FROM t WHERE n BETWEEN 5 AND 6 ORDER BY n")
    for mode in ("force_generic_plan", "force_custom_plan"):
        db.execute(f"SET plan_cache_mode = {mode}")
        is_(db.rows("EXECUTE q"), [(5,), (6,)], f"{mode}: before")
        db.execute("ALTER FOREIGN TABLE t OPTIONS (SET collection 'other')")
        is_(db.rows("EXECUTE q"), [(5,)], f"{mode}: another collection")
        db.execute("ALTER FOREIGN TABLE t ALTER COLUMN n OPTIONS (ADD field 'm')")
        is_(db.rows("EXECUTE q"), [(6,)], f"{mode}: another field")
        db.execute("ALTER FOREIGN TABLE t ALTER COLUMN n OPTIONS (DROP field); "
                   "ALTER FOREIGN TABLE t OPTIONS (SET collection 'c')")
        is_(db.rows("EXECUTE q"), [(5,), (6,)], f"{mode}: as before")
    db.execute("SET plan_cache_mode = force_generic_plan")
    db.execute("ALTER SERVER real OPTIONS (ADD on_mismatch 'null')")
    is_(db.rows("EXECUTE q"), [(5,), (6,)], "an option of the server")
    db.execute("ALTER SERVER real OPTIONS (DROP on_mismatch); RESET ALL")

    for mode in ("force_generic_plan", "force_custom_plan"):
        db.execute(f"SET plan_cache_mode = {mode}; DEALLOCATE ALL")
        db.execute("PREPARE range (int, int) AS SELECT count(*) FROM t "
                   "WHERE n >= $1 AND n < $2; "
                   "PREPARE twice (int) AS SELECT count(*) FROM t "
                   "WHERE n = $1 OR _id = $1 + 1 OR $1 IS NULL; "
                   "PREPARE wide (bigint, numeric, float8) AS SELECT count(*) FROM t "
                   "WHERE n = $1 OR n = $2 OR n = $3; "
                   "PREPARE several (int[]) AS SELECT count(*) FROM t "
                   "WHERE n = ANY ($1); "
                   "PREPARE none (int[]) AS SELECT count(*) FROM t WHERE n <> ALL ($1)")
        for call, expected in (
                ("range (10, 20)", 10), ("range (NULL, 20)", 0),
                ("range (10, NULL)", 0), ("twice (5)", 2), ("twice (NULL)", 100),
                ("wide (1, 2.0, 3.0)", 3), ("wide (9999999999, 2.5, 'NaN')", 0),
                ("wide (NULL, NULL, 4)", 1), ("several ('{1, 2, NULL, 500}')", 2),
                ("several ('{}')", 0), ("several (NULL)", 0), ("none ('{1, 2}')", 98),
                ("none ('{1, NULL}')", 0), ("none ('{}')", 100), ("none (NULL)", 0)):
            is_(db.value(f"EXECUTE {call}"), expected, f"{mode}: {call}")
    db.execute("RESET ALL")

    # what statements hold on to while they are altered
    db.execute("CREATE FUNCTION reader() RETURNS int LANGUAGE plpgsql AS "
               "$$ BEGIN RETURN (SELECT max(n) FROM t); END $$")
    is_(db.value("SELECT reader()"), 99, "a function's plan")
    db.execute("ALTER FOREIGN TABLE t DROP COLUMN s")
    is_(db.value("SELECT reader()"), 99, "after a column was dropped")
    db.execute("ALTER FOREIGN TABLE t ADD COLUMN s text COLLATE \"C\"")
    is_(db.rows("SELECT * FROM t WHERE n = 3"), [(3, 3, "s3")],
        "and another one added")
    db.execute("ALTER FOREIGN TABLE t ALTER COLUMN n TYPE numeric")
    is_(db.rows("SELECT n FROM t WHERE n = 3.0"), [(3,)], "with another type")
    db.execute("ALTER FOREIGN TABLE t ALTER COLUMN n TYPE int")


def users_of_rows(db):
    """Statements that write elsewhere read as any other."""
    db.execute("CREATE TABLE copy AS SELECT * FROM t")
    is_(db.value("SELECT count(*) FROM copy"), 100, "CREATE TABLE AS")
    db.execute("INSERT INTO copy SELECT * FROM t WHERE n < 10")
    is_(db.value("SELECT count(*) FROM copy"), 110, "INSERT ... SELECT")
    with db.main.cursor().copy("COPY (SELECT n FROM t WHERE n < 5) TO STDOUT") as copy:
        is_(sorted(int(row[0]) for row in copy.rows()), list(range(5)), "COPY TO")
    db.execute("CREATE MATERIALIZED VIEW m AS SELECT s, count(*) FROM t GROUP BY s")
    is_(db.value("SELECT count(*) FROM m"), 10, "a materialized view")
    throws(lambda: db.execute("SELECT * FROM t TABLESAMPLE bernoulli (10)"), "0A000",
           "TABLESAMPLE is refused")


def main():
    """Run everything on the test run's server, and the basics on others."""
    client = mongo_client()
    with database() as db:
        db.main.prepare_threshold = None    # else it forgets ours at each ALTER
        try:
            client[db.name].c.insert_many(ROWS)
            db.mongo_server("real", os.environ["MONGO_URI"])
            db.foreign_table("t", "real", COLUMNS, database=db.name, collection="c",
                             fetch_size=30)
            without_a_server(db)
            rescans(db)
            cursors(db)
            system_columns(db)
            families(db, db.name)
            locks(db)
            stale_plans(db, client, db.name)
            users_of_rows(db)
        finally:
            client.drop_database(db.name)
    with database() as db, secantus(standalone=True) as server:
        mongo_client(server.uri).d.c.insert_many(ROWS)
        db.mongo_server("alone", server.uri)
        db.foreign_table("t", "alone", COLUMNS, database="d", collection="c",
                         fetch_size=7)
        is_(db.rows("SELECT sum(n), count(*) FROM t"), [(4950, 100)],
            "a standalone server")
        is_(len(db.rows("SELECT n FROM t LIMIT 3")), 3, "a LIMIT there")
        for option in ("readConcernLevel=majority", "readPreference=nearest",
                       "compressors=zlib", "directConnection=true",
                       "serverSelectionTryOnce=false", "retryReads=true"):
            db.execute("ALTER SERVER alone OPTIONS (SET uri "
                       f"'{server.uri}?{option}')")
            is_(db.rows("SELECT sum(n), count(*) FROM t"), [(4950, 100)],
                f"a uri with {option}")
        db.execute("IMPORT FOREIGN SCHEMA d FROM SERVER alone INTO public")
        is_(db.value("SELECT count(*) FROM c"), 100, "an import there")


main()
done()
