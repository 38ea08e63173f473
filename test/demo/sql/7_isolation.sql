\echo -- What the tenant sees: its own
SELECT dataset_name, detector_name, n_samples, n_anomalies
FROM pynomaly.find_results() ORDER BY dataset_name, detector_name;
SELECT dataset, count(*) AS points FROM demo.points GROUP BY dataset ORDER BY dataset;

\echo -- What it does not: a result of the other tenant, though it knows the id
SELECT count(*) AS results_of_the_other FROM pynomaly.get_result(:'other_result');
SELECT count(*) AS results_of_the_other FROM pynomaly.detection_results
WHERE tenant_id = :'other_tenant';
SELECT count(*) AS points_of_the_other FROM demo.points WHERE dataset = :'other_dataset';

\echo -- Nor can it change them, nor write there
WITH changed AS (
    UPDATE pynomaly.datasets SET name = 'mine' WHERE tenant_id = :'other_tenant'
    RETURNING 1)
SELECT count(*) AS datasets_changed FROM changed;
\set ON_ERROR_STOP off
\set VERBOSITY terse
SAVEPOINT before;
INSERT INTO pynomaly.datasets (tenant_id, name) VALUES (:'other_tenant', 'intruder');
ROLLBACK TO before;
SELECT count(*) FROM demo.analytics_data;
ROLLBACK TO before;
\set ON_ERROR_STOP on

\echo -- And without a tenant there is nothing
SELECT pynomaly.set_tenant(NULL);
SELECT count(*) AS datasets FROM pynomaly.datasets;
SELECT count(*) AS points FROM demo.points;
