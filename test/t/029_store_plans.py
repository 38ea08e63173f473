"""The platform's look-ups and pages use indexes, and lists read no array.

As pynomaly_app, so with row-level security, with the results of many tenants in
many months: where a plan has a sequential scan of a table with rows, or where it
reads more pages than its answer has, a test fails.
"""
from servers import store_data
from servers.harness import *

RESULTS = 100000
LONG = 100000                           # scores in one result
TENANT = store_data.tenant_id(7)

# what the platform looks up, and its pages; see docs/store.md
SELECTIVE = {
    "a detector by id": "SELECT * FROM pynomaly.detectors WHERE id = %(detector)s",
    "a dataset by id": "SELECT * FROM pynomaly.datasets WHERE id = %(dataset)s",
    "a result by id": "SELECT * FROM pynomaly.get_result(%(result)s)",
    "a result's statistics": "SELECT * FROM pynomaly.get_result_statistics(%(result)s)",
    "a result's anomalies": "SELECT * FROM pynomaly.get_top_anomalies(%(result)s)",
    "detectors by name": "SELECT * FROM pynomaly.find_detectors(name => 'detector 7')",
    "detectors by algorithm":
        "SELECT * FROM pynomaly.find_detectors(algorithms => '{LOF}', page_size => 50)",
    "fitted detectors":
        "SELECT * FROM pynomaly.find_detectors(fitted => true, page_size => 50)",
    "fitted detectors by algorithm": "SELECT * FROM pynomaly.list_fitted_detectors()",
    "recently fitted detectors": "SELECT * FROM pynomaly.list_recently_fitted_detectors()",
    "detectors by metadata":
        """SELECT * FROM pynomaly.find_detectors(metadata => '{"a": 1}')""",
    "detectors by id prefix or name": "SELECT * FROM pynomaly.match_detectors('detector 7')",
    "algorithms": "SELECT * FROM pynomaly.summarize_algorithms()",
    "datasets by name": "SELECT * FROM pynomaly.find_datasets_by_name('data 7')",
    "datasets by part of the name":
        "SELECT * FROM pynomaly.find_datasets(name_part => 'ata 7')",
    "datasets by feature": "SELECT * FROM pynomaly.find_datasets(all_features => '{f1}')",
    "datasets by id prefix or name": "SELECT * FROM pynomaly.match_datasets('data 7')",
    "features": "SELECT * FROM pynomaly.count_features()",
    "the newest results": "SELECT * FROM pynomaly.find_results(page_size => 50)",
    "the next page of results":
        "SELECT * FROM pynomaly.find_results(after_created_at => %(created_at)s, "
        "after_id => %(result)s, page_size => 50)",
    "a detector's results":
        "SELECT * FROM pynomaly.find_results(detector => %(detector)s, page_size => 50)",
    "a dataset's results":
        "SELECT * FROM pynomaly.find_results(dataset => %(dataset)s, page_size => 50)",
    "a detector's results of a time":
        "SELECT * FROM pynomaly.find_results(detector => %(detector)s, "
        "created_from => now() - interval '60 days', created_before => now())",
    "results by day": "SELECT * FROM pynomaly.count_results_by_day()",
    "detectors by results": "SELECT * FROM pynomaly.rank_detectors()",
    "datasets by results": "SELECT * FROM pynomaly.rank_datasets()",
    "counts": "SELECT * FROM pynomaly.get_storage_stats()",
}
# These read a page's worth: so many blocks of 8 kB at most.
FEW_BLOCKS = {
    "a detector by id": 10, "a dataset by id": 10, "detectors by name": 20,
    "a result by id": 80, "a result's statistics": 80, "the newest results": 400,
    "the next page of results": 300, "a detector's results": 250,
}


def nodes(plan):
    """Yield a plan's nodes."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def explained(connection, query, parameters, options="ANALYZE, BUFFERS, TIMING OFF"):
    """Return a query's plan, carried out as the platform does: for a tenant."""
    with connection.transaction():
        connection.execute("SELECT pynomaly.set_tenant(%s)", (TENANT,))
        return connection.execute(f"EXPLAIN ({options}, FORMAT JSON) {query}",
                                  parameters).fetchone()[0][0]["Plan"]


def blocks(plan):
    """Return how many blocks a plan read, from the cache or not."""
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def sample(db):
    """Return a result of the tenant, from the middle of its year."""
    names = ("detector", "dataset", "result", "created_at")
    return dict(zip(names, db.rows("""
        SELECT detector_id, dataset_id, id, created_at FROM pynomaly.detection_results
        WHERE tenant_id = %s AND created_at < now() - interval '100 days'
        ORDER BY created_at DESC LIMIT 1""", (TENANT,))[0]))


def plans(db, app):
    """Each query finds its rows by indexes."""
    filled = {name for name, in db.rows("""
        SELECT relname FROM pg_class
        WHERE relnamespace = 'pynomaly'::regnamespace AND reltuples > 0""")}
    ok({name for name in filled if name.startswith("detection_results_2")} and
       "detectors" in filled, "there are results in months", filled)
    parameters = sample(db)
    for name, query in SELECTIVE.items():
        plan = explained(app, query, parameters)
        scanned = [node["Relation Name"] for node in nodes(plan)
                   if node["Node Type"] == "Seq Scan" and node["Relation Name"] in filled
                   and node["Actual Loops"]]
        is_(scanned, [], f"{name}: no sequential scan")
        if name in FEW_BLOCKS:
            ok(blocks(plan) <= FEW_BLOCKS[name], f"{name}: few blocks", blocks(plan))
        note(f"{name}: {blocks(plan)} blocks")


def months(db, app):
    """A page reads no more than its rows, and one of each month to compare."""
    parameters = sample(db)
    for name in ("the newest results", "the next page of results", "a detector's results"):
        plan = explained(app, SELECTIVE[name], parameters)
        read = {node["Relation Name"]: node["Actual Rows"] for node in nodes(plan)
                if node.get("Relation Name", "").startswith("detection_results_")
                and node["Actual Loops"]}
        ok(1 <= sum(read.values()) <= 50 + len(read), f"{name}: no row is read in vain",
           read)


def labels(db):
    """Reading the platform's form of a long result takes time in proportion."""
    db.execute("SET statement_timeout = '20s'")
    is_(db.rows("""
        SELECT cardinality(pynomaly.parse_labels(l)), cardinality(pynomaly.parse_scores(l))
        FROM (SELECT jsonb_agg(n %% 2) AS l FROM generate_series(1, %s) n) j""", (LONG,)),
        [(LONG, LONG)], "long labels and scores are read")
    db.execute("RESET statement_timeout")


def arrays(db, app):
    """Long arrays make no list slower, and are there when they are asked for."""
    page = "SELECT * FROM pynomaly.find_results(page_size => 50)"
    before = blocks(explained(app, page, {}))
    db.execute("""
        INSERT INTO pynomaly.detection_results
            (tenant_id, detector_id, dataset_id, scores, labels)
        SELECT tenant_id, detector_id, dataset_id, scores.value, labels.value
        FROM (SELECT * FROM pynomaly.detection_results WHERE tenant_id = %s LIMIT 1) r,
             (SELECT array_agg(n / %s::float8) AS value FROM generate_series(1, %s) n) scores,
             (SELECT array_agg((n %% 100 = 0)::int::smallint) AS value
              FROM generate_series(1, %s) n) labels, generate_series(1, 60)""",
               (TENANT, LONG, LONG, LONG))
    db.execute("VACUUM ANALYZE pynomaly.detection_results")
    with app.transaction():
        app.execute("SELECT pynomaly.set_tenant(%s)", (TENANT,))
        listed = app.execute(page).fetchall()
        is_({row[10:13] for row in listed}, {(LONG, LONG // 100, 0.01)},
            "the page is one of long results")
        one = listed[0][1]
        is_(len(app.execute("SELECT scores FROM pynomaly.get_result(%s)",
                            (one,)).fetchone()[0]), LONG, "scores are there")
    after = blocks(explained(app, page, {}))
    ok(after <= before + 100, "a page of them reads no array", before, after)
    read = blocks(explained(
        app, "SELECT sum(cardinality(scores)), sum(scores[1]) FROM pynomaly.get_result(%(result)s)",
        {"result": one}))
    ok(read > 50, "which would be seen", read)


with database() as db:
    store_data.load(db.main, RESULTS)
    with db.connect() as app:
        app.execute("SET ROLE pynomaly_app")
        plans(db, app)
        months(db, app)
        labels(db)
        arrays(db, app)
done()
