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
