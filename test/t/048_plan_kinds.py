"""Plans that PostgreSQL makes with what is sent: presorted input, row security.

Each query is run over foreign tables and over plain ones with the same rows.
"""
import os

from servers.harness import *

DOCUMENTS = [{"_id": number, "n": number % 7, "m": number * 37 % 50,
              "s": "abc"[number % 3], "x": number % 5} for number in range(60)]
DOCUMENTS += [{"_id": 100, "m": 3}, {"_id": 101, "n": None, "m": 2, "s": "a"}]
COLUMNS = '_id int, n int, m int, s text, x numeric'
QUERIES = [
    # query over {t}, what its plan has to have, what it must not have
    ("SELECT n, s, _id FROM {t} ORDER BY n, s, _id LIMIT 9",
     ["Incremental Sort", "Presorted Key: t.n", '"$sort"'], []),
    ("SELECT n, m, s FROM {t} ORDER BY n DESC NULLS LAST, m, s LIMIT 5",
     ["Incremental Sort", "Presorted Key: t.n, t.m", '"$sort"'], []),
    ("SELECT DISTINCT ON (n) n, m, _id FROM {t} ORDER BY n, m DESC, _id",
     ["Unique", '"$sort"'], ["Sort Key"]),
    ("SELECT n FROM {t} ORDER BY n FETCH FIRST 3 ROWS WITH TIES",
     ["Limit", '"$sort"'], ["Sort Key", '"$limit"']),
    ("SELECT n FROM {t} ORDER BY n DESC OFFSET 4 FETCH FIRST 1 ROW WITH TIES",
     ["Limit", '"$sort"'], ["Sort Key", '"$limit"', '"$skip"']),
    ("SELECT n, m, count(*), grouping(n, m) FROM {t} GROUP BY GROUPING SETS ((n), (m), ()) "
     "ORDER BY n, m, 4", ["Aggregate"], ['"$group"']),
    ("SELECT n, sum(m) FROM {t} GROUP BY ROLLUP (n) ORDER BY n, 2", ["Aggregate"],
     ['"$group"']),
    ("SELECT n, m, count(DISTINCT s) FROM {t} GROUP BY CUBE (n, m) ORDER BY n, m, 3",
     ["Aggregate"], ['"$group"']),
    ("SELECT n, row_number() OVER (PARTITION BY n ORDER BY m, _id) FROM {t} ORDER BY n, 2",
     ["WindowAgg", '"$sort"'], ["->  Sort"]),
]


def agree(db):
    """Run the queries over both tables."""
    # so few rows are sorted here as well as there
    db.execute("SET enable_hashagg = off; SET enable_sort = off")
    for query, wanted, unwanted in QUERIES:
        is_(db.rows(query.format(t="t")), db.rows(query.format(t="l")), query)
        plan = db.explain(query.format(t="t"))
        ok(all(part in plan for part in wanted) and not any(part in plan for part in unwanted),
           f"{query}: has {wanted}, and not {unwanted}", plan)
    db.execute("RESET enable_hashagg; RESET enable_sort")


def merge_joins(db):
    """A merge join takes both sides as MongoDB has sorted them."""
    db.execute("SET enable_hashjoin = off; SET enable_nestloop = off; SET enable_sort = off; "
               "SET pynomaly_store.enable_join_pushdown = off; "
               "SET pynomaly_store.enable_batched_join_pushdown = off")
    query = "SELECT a._id, b._id FROM {t} a {join} JOIN {t} b ON a.n = b.m"
    for join in ("", "LEFT", "FULL"):
        text = query.format(t="t", join=join)
        is_(sorted(db.rows(text), key=repr),
            sorted(db.rows(query.format(t="l", join=join)), key=repr), text)
        plan = db.explain(text)
        ok("Merge" in plan and plan.count('"$sort"') == 2 and "Sort Key" not in plan,
           f"{text}: sorted there", plan)
    text = "SELECT a._id FROM t a JOIN l b ON a.n = b.m WHERE b._id < 50"
    plan = db.explain(text)
    ok("Merge" in plan and plan.count('"$sort"') == 1, "with a local table, too", plan)
    for setting in ("enable_hashjoin", "enable_nestloop", "enable_sort",
                    "pynomaly_store.enable_join_pushdown",
                    "pynomaly_store.enable_batched_join_pushdown"):
        db.execute(f"RESET {setting}")


def partial_aggregates(db):
    """Partitions are aggregated each by itself where the key allows, else in part here."""
    db.execute("SET enable_partitionwise_aggregate = on")
    for query, groups in (
            ("SELECT p, count(*), sum(m), variance(m), count(DISTINCT n) FROM {} GROUP BY p "
             "ORDER BY p", 4),
            ("SELECT n, count(*), sum(m), stddev(m) FROM {} GROUP BY n ORDER BY n", 0),
            ("SELECT count(*), max(m) FROM {}", 0)):
        is_(db.rows(query.format("parts")), db.rows(query.format("lparts")), query)
        plan = db.explain(query.format("parts"))
        is_(plan.count('"$group"'), groups, f"{query}: stages that group")
    db.execute("RESET enable_partitionwise_aggregate")


def parts(db, client):
    """Make a table of two partitions of a collection each, and a plain one."""
    db.execute(f"CREATE TABLE parts ({COLUMNS}, p int) PARTITION BY LIST (p)")
    for part in (1, 2):
        client.kinds[f"part{part}"].insert_many([{**document, "p": part}
                                                 for document in DOCUMENTS[part::2]])
        db.execute(f"CREATE FOREIGN TABLE part{part} PARTITION OF parts FOR VALUES IN ({part}) "
                   "SERVER m OPTIONS (database 'kinds', on_mismatch 'null')")
    db.execute("CREATE TABLE lparts AS SELECT * FROM parts; ANALYZE lparts")


def secured(db):
    """A policy's condition comes before what might tell of the rows that it withholds.

    Foreign tables have no policies, but a table has that they are partitions of.
    """
    db.execute(f"""
        CREATE TABLE pa (LIKE t) PARTITION BY RANGE (_id);
        CREATE TABLE pb (LIKE t) PARTITION BY RANGE (_id);
        CREATE TABLE pl (LIKE t) PARTITION BY RANGE (_id);
        CREATE TABLE pl1 PARTITION OF pl FOR VALUES FROM (0) TO (1000);
        INSERT INTO pl SELECT * FROM l WHERE _id < 10;
        ANALYZE pl;
        CREATE POLICY hidden ON pb USING (md5(s) <> md5('c'));
        ALTER TABLE pb ENABLE ROW LEVEL SECURITY;
        CREATE FUNCTION leak(text) RETURNS boolean LANGUAGE plpgsql STABLE COST 0.0000001 AS
            $$ BEGIN IF $1 = 'c' THEN RAISE EXCEPTION 'seen: %', $1; END IF;
               RETURN true; END $$;
        CREATE ROLE reader_{db.name};
        GRANT SELECT ON pa, pb, pl TO reader_{db.name};
        GRANT USAGE ON FOREIGN SERVER far TO reader_{db.name};
        CREATE USER MAPPING FOR reader_{db.name} SERVER far""")
    for parent in ("pa", "pb"):
        db.execute(f"CREATE FOREIGN TABLE {parent}1 PARTITION OF {parent} FOR VALUES FROM (0) "
                   "TO (1000) SERVER far OPTIONS (database 'kinds', collection 't', "
                   "on_mismatch 'null')")
    db.execute(f"ANALYZE pa1; ANALYZE pb1; SET ROLE reader_{db.name}; "
               "SET enable_partitionwise_join = on; SET enable_hashjoin = off; "
               "SET enable_mergejoin = off; SET enable_nestloop = off")
    plain = "SELECT pa._id FROM pa JOIN pb ON pb._id = pa._id WHERE pa._id < 20 AND pb.s < 'x'"
    visible = [(n,) for n in range(20) if n % 3 != 2]
    leaky = plain + " AND leak(pb.s)"
    is_(sorted(db.rows(leaky)), visible, "a function sees no row that is withheld")
    plan = db.explain(leaky)
    ok('"$lookup"' not in plan, "what is not to be seen is left out before the join", plan)

    # of the keys of a batched join those are sent that tell nothing
    keys = "SELECT pl._id FROM pl JOIN pb ON pb._id = pl._id AND pb.x = pl.x"
    is_(sorted(db.rows(keys)), [(n,) for n in range(10) if n % 3 != 2], "a join by keys")
    plan = db.explain(keys)
    ok("PynomalyJoin" in plan and '"_id":{"$in"' in plan and '"x":' not in
       plan.partition('"$project"')[0], "numeric = numeric may raise an error, and waits", plan)
    db.execute("RESET ROLE; DROP POLICY hidden ON pb; ALTER TABLE pb DISABLE ROW LEVEL SECURITY")
    plan = db.explain(keys)
    like(plan.partition('"$project"')[0], '"x":', "where nothing is withheld it is sent")
    db.execute("RESET ALL")


with mongo_client() as client, database() as db:
    client.drop_database("kinds")
    client.kinds.t.insert_many(DOCUMENTS)
    db.mongo_server("m", os.environ["MONGO_URI"])
    db.mongo_server("far", os.environ["MONGO_URI"], fdw_startup_cost="1000000")
    db.foreign_table("t", "m", COLUMNS, database="kinds", on_mismatch="null")
    db.execute("CREATE TABLE l AS SELECT * FROM t; ANALYZE l; ANALYZE t")
    agree(db)
    merge_joins(db)
    parts(db, client)
    partial_aggregates(db)
    secured(db)
    db.execute(f"DROP OWNED BY reader_{db.name}; DROP ROLE reader_{db.name}")
    client.drop_database("kinds")
done()
