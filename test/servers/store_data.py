"""Rows of the store by the million: tenants, detectors, datasets, results."""

TENANTS, DETECTORS, DATASETS = 100, 50, 20
DAYS = 360

TENANT = "('00000000-0000-0000-0000-' || lpad((%s)::text, 12, '0'))::uuid"


def tenant_id(number):
    """Return the id of a tenant, which are numbered from 1."""
    return f"00000000-0000-0000-0000-{number:012}"


def load(connection, results):
    """Fill the store with so many results, spread over tenants and a year.

    Their months are made first, as a platform has made them.
    """
    tenant = TENANT % "n"
    connection.execute(f"""
        INSERT INTO pynomaly.tenants (id, name, plan)
            SELECT {tenant}, 'tenant ' || n, 'enterprise' FROM generate_series(1, {TENANTS}) n""")
    connection.execute(f"""
        INSERT INTO pynomaly.datasets (tenant_id, name, created_at, feature_names)
            SELECT t.id, 'data ' || n, now() - n * interval '1 hour', ARRAY['f' || n % 5, 'x']
            FROM pynomaly.tenants t, generate_series(1, {DATASETS}) n""")
    connection.execute(f"""
        INSERT INTO pynomaly.detectors (tenant_id, name, algorithm_name, is_fitted, created_at)
            SELECT t.id, 'detector ' || n, (ARRAY['LOF', 'OCSVM', 'IsolationForest'])[1 + n % 3],
                   n % 2 = 0, now() - n * interval '1 hour'
            FROM pynomaly.tenants t, generate_series(1, {DETECTORS}) n""")
    # a row in each month, for which maintenance makes a partition
    each = results // (TENANTS * DETECTORS)
    insert = f"""
        INSERT INTO pynomaly.detection_results
            (tenant_id, detector_id, dataset_id, created_at, scores, labels, execution_time_ms)
            SELECT d.tenant_id, d.id, s.ids[1 + n % {DATASETS}],
                   now() - n * interval '{DAYS} days' / {{count}}
                       - extract(minute FROM d.created_at) * interval '1 s',
                   ARRAY[0.1, 0.5, 0.9, n % 100 / 100.0], ARRAY[0, 0, 1, 0]::smallint[], 3
            FROM (SELECT * FROM pynomaly.detectors ORDER BY tenant_id, id LIMIT {{detectors}}) d
            JOIN (SELECT tenant_id, array_agg(id) AS ids FROM pynomaly.datasets
                  GROUP BY tenant_id) s USING (tenant_id),
                 generate_series(1, {{count}}) n"""
    connection.execute(insert.format(count=DAYS // 5, detectors=1))
    connection.execute("CALL pynomaly.maintain_partitions()")
    connection.execute(insert.format(count=each, detectors=TENANTS * DETECTORS))
    connection.execute("VACUUM ANALYZE pynomaly.detection_results, pynomaly.detectors, "
                       "pynomaly.datasets, pynomaly.tenants")


def load_others(connection, each):
    """Give each tenant so many users, jobs, trials, experiments, runs, versions, events.

    The audit log gets their entries, of a user and a request of each tenant.
    """
    connection.execute(f"""
        DO $$
        DECLARE
            tenant uuid;
            number integer;
        BEGIN
            FOR number IN 1 .. {TENANTS} LOOP
                tenant := {TENANT % "number"};
                PERFORM pynomaly.set_audit_context(
                    {TENANT % "number"}, correlation_id => 'request ' || number);
                INSERT INTO pynomaly.users (id, email, username, created_at)
                    SELECT {TENANT % f"number * {each} + n"}, format('%s.%s@example.org', n, number),
                           format('user %s of %s', n, number), now() - n * interval '1 hour'
                    FROM generate_series(1, {each}) n;
                INSERT INTO pynomaly.user_tenant_roles (tenant_id, user_id, role)
                    SELECT tenant, {TENANT % f"number * {each} + n"},
                           (ARRAY['viewer', 'analyst'])[1 + n % 2]
                    FROM generate_series(1, {each}) n;
                INSERT INTO pynomaly.training_jobs (tenant_id, name, status, created_at)
                    SELECT tenant, 'job ' || n,
                           CASE n % 50 WHEN 0 THEN 'running' ELSE 'completed' END,
                           now() - n * interval '1 hour'
                    FROM generate_series(1, {each}) n;
                INSERT INTO pynomaly.training_trials (tenant_id, job_id, study_id, number, started_at)
                    SELECT tenant, j.id, 'study of ' || j.name, n, now()
                    FROM pynomaly.training_jobs j, generate_series(1, 2) n WHERE j.tenant_id = tenant;
                INSERT INTO pynomaly.experiments (tenant_id, name, tags, created_at)
                    SELECT tenant, 'experiment ' || n, ARRAY['t' || n % 10], now() - n * interval '1 hour'
                    FROM generate_series(1, {each}) n;
                INSERT INTO pynomaly.experiment_runs (tenant_id, experiment_id, name, metrics)
                    SELECT tenant, e.id, 'run ' || n, jsonb_build_object('f1', n / 3.0)
                    FROM pynomaly.experiments e, generate_series(1, 2) n WHERE e.tenant_id = tenant;
                INSERT INTO pynomaly.model_versions (tenant_id, detector_id, version, created_at)
                    SELECT d.tenant_id, d.id, '1.0.' || n, now() - n * interval '1 hour'
                    FROM pynomaly.detectors d, generate_series(1, {each} / 10) n
                    WHERE d.tenant_id = tenant AND d.name IN ('detector 1', 'detector 2');
                INSERT INTO pynomaly.anomaly_events
                    (tenant_id, event_type, title, correlation_id, event_time)
                    SELECT tenant, 'anomaly_detected', 'event ' || n, 'request ' || n,
                           now() - n * interval '1 hour'
                    FROM generate_series(1, {each}) n;
                PERFORM pynomaly.write_audit_event('login', 'session', NULL, 'failure', 'high',
                    '{{"risk_score": 80}}', tenant);
            END LOOP;
        END
        $$""")
    connection.execute("VACUUM ANALYZE")
