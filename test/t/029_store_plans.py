"""The platform's look-ups and pages use indexes, and lists read no array.

As pynomaly_app, so with row-level security, with the results, users, jobs, models,
events, experiments and audit entries of many tenants, in many months: where a table
with rows is read from end to end, or where more is read than the answer has, a test
fails.
"""
from servers import store_data
from servers.harness import *

RESULTS = 100000
OTHERS = 100                            # users, jobs ... of each tenant
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
    "is there a detector": "SELECT pynomaly.has_detector(%(detector)s)",
    "is there a result": "SELECT pynomaly.has_result(%(result)s)",
    "results by id prefix": "SELECT pynomaly.lookup_result(left(%(result)s::text, 13))",
    "results counted": "SELECT pynomaly.count_results(detector => %(detector)s)",
    "users": "SELECT * FROM pynomaly.find_users(page_size => 50)",
    "users by part of the name": "SELECT * FROM pynomaly.find_users(search => 'ser 7 ')",
    "a user by address": "SELECT * FROM pynomaly.get_user(by_email => '7.7@example.org')",
    "a user by name": "SELECT * FROM pynomaly.get_user(by_username => 'user 7 of 7')",
    "jobs": "SELECT * FROM pynomaly.find_training_jobs(page_size => 50)",
    "jobs by state":
        "SELECT * FROM pynomaly.find_training_jobs(statuses => '{running}', page_size => 50)",
    "a detector's jobs": "SELECT * FROM pynomaly.find_training_jobs(detector => %(detector)s)",
    "active jobs": "SELECT * FROM pynomaly.list_active_training_jobs()",
    "jobs summed up": "SELECT * FROM pynomaly.summarize_training_jobs()",
    "trials of a study": "SELECT * FROM pynomaly.list_trials(study => 'study of job 7')",
    "experiments": "SELECT * FROM pynomaly.find_experiments(page_size => 50)",
    "experiments by tag": "SELECT * FROM pynomaly.find_experiments(tag => 't7')",
    "runs by a metric": "SELECT * FROM pynomaly.rank_runs('f1')",
    "runs of an experiment":
        "SELECT r.* FROM pynomaly.find_experiments(page_size => 1) e, "
        "pynomaly.compare_runs(e.id, 'f1') r",
    "model versions": "SELECT * FROM pynomaly.list_model_versions(page_size => 50)",
    "a detector's versions":
        "SELECT * FROM pynomaly.list_model_versions(detector => %(detector)s)",
    "a detector's newest version":
        "SELECT * FROM pynomaly.get_latest_version(detector => %(detector)s)",
    "versions counted": "SELECT * FROM pynomaly.count_model_versions()",
    "events": "SELECT * FROM pynomaly.find_events(page_size => 50)",
    "events of a request": "SELECT * FROM pynomaly.find_events(correlation => 'request 7')",
    "events summed up": "SELECT * FROM pynomaly.summarize_events()",
    "audit entries": "SELECT * FROM pynomaly.find_audit_entries(page_size => 50)",
    "audit entries of a user":
        f"SELECT * FROM pynomaly.find_audit_entries(actor => '{TENANT}', page_size => 50)",
    "audit entries of a request":
        "SELECT * FROM pynomaly.find_audit_entries(correlation => 'request 7', page_size => 50)",
    "audit entries of a request of another tenant":
        "SELECT * FROM pynomaly.find_audit_entries(correlation => 'request 8')",
    "audit entries by action":
        "SELECT * FROM pynomaly.find_audit_entries(actions => '{login}', page_size => 50)",
    "a request's trail": "SELECT * FROM pynomaly.list_audit_trail('request 7') LIMIT 50",
    "high risks": "SELECT * FROM pynomaly.list_high_risks()",
    "the audit log summed up":
        "SELECT * FROM pynomaly.summarize_audit_log(now() - interval '7 days')",
}
# These read a page's worth: so many blocks of 8 kB at most.
FEW_BLOCKS = {
    "a detector by id": 10, "a dataset by id": 10, "detectors by name": 20,
    "a result by id": 80, "a result's statistics": 80, "the newest results": 800,
    "the next page of results": 800, "a detector's results": 800,
    "a user by address": 20, "a user by name": 20, "jobs": 120, "active jobs": 30,
    "trials of a study": 20, "experiments": 120, "model versions": 120,
    "a detector's newest version": 20, "events": 120, "events of a request": 20,
    "audit entries": 120, "audit entries of a user": 120, "audit entries of a request": 120,
    "audit entries of a request of another tenant": 30,
}
# These read a page from indexes in order: so many rows of each table at most, and
# one of each month to compare.
PAGES = {
    "the newest results": 50, "the next page of results": 50, "a detector's results": 50,
    "a dataset's results": 50, "audit entries": 51, "audit entries of a user": 51,
    "audit entries of a request": 51,
}


def explained(connection, query, parameters, options="ANALYZE, BUFFERS, TIMING OFF"):
    """Return a query's plan, carried out as the platform does: for a tenant.

    And what was read of each table by then: (from end to end, by indexes) in rows,
    also by functions, of which the plan tells nothing.
    """
    with connection.transaction():          # so that plans and catalogs are cached
        connection.execute(f"SET LOCAL pynomaly_store.tenant = '{TENANT}'")
        connection.execute(query, parameters)
        connection.execute("SELECT pg_stat_force_next_flush()")
    with connection.transaction():
        connection.execute(f"SET LOCAL pynomaly_store.tenant = '{TENANT}'")
        plan = connection.execute(f"EXPLAIN ({options}, FORMAT JSON) {query}",
                                  parameters).fetchone()[0][0]["Plan"]
        read = connection.execute(
            "SELECT relname, seq_tup_read, idx_tup_fetch FROM pg_stat_xact_user_tables "
            "WHERE schemaname = 'pynomaly' AND (seq_tup_read > 0 OR idx_tup_fetch > 0)").fetchall()
        return plan, {name: counts for name, *counts in read}


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
    ok({"users", "training_jobs", "training_trials", "experiments", "experiment_runs",
        "model_versions", "anomaly_events"} <= filled and
       {name for name in filled if name.startswith("audit_log_2")}, "and all else", filled)
    parameters = sample(db)
    for name, query in SELECTIVE.items():
        plan, read = explained(app, query, parameters)
        scanned = [node["Relation Name"] for node in plan_nodes(plan)
                   if node["Node Type"] == "Seq Scan" and node["Relation Name"] in filled
                   and node["Actual Loops"]]
        is_(scanned, [], f"{name}: no sequential scan")
        is_({table for table, (by_scan, _) in read.items() if by_scan}, set(),
            f"{name}: nor one by a function")
        if name in FEW_BLOCKS:
            ok(blocks(plan) <= FEW_BLOCKS[name], f"{name}: few blocks", blocks(plan))
        note(f"{name}: {blocks(plan)} blocks")


def pages(db, app):
    """A page reads no more than its rows, and one of each month to compare."""
    parameters = sample(db)
    for name, most in PAGES.items():
        _, read = explained(app, SELECTIVE[name], parameters)
        read = {table: rows for table, (_, rows) in read.items()
                if table.startswith(("detection_results_", "audit_log_"))}
        ok(10 <= sum(read.values()) <= most + len(read), f"{name}: no row is read in vain", read)


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
    before = blocks(explained(app, page, {})[0])
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
    after = blocks(explained(app, page, {})[0])
    ok(after <= before + 100, "a page of them reads no array", before, after)
    read = blocks(explained(
        app, "SELECT sum(cardinality(scores)), sum(scores[1]) FROM pynomaly.get_result(%(result)s)",
        {"result": one})[0])
    ok(read > 50, "which would be seen", read)


with database() as db:
    store_data.load(db.main, RESULTS)
    store_data.load_others(db.main, OTHERS)
    with db.connect() as app:
        app.execute("SET ROLE pynomaly_app")
        plans(db, app)
        pages(db, app)
        labels(db)
        arrays(db, app)
done()
