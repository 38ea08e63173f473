-- One transaction over rows and documents, and its end.
BEGIN;
INSERT INTO pynomaly.datasets (tenant_id, name)
VALUES ('11111111-1111-4111-8111-111111111111', 'never there');
INSERT INTO pynomaly.analytics_data (tenant_id, "timestamp", metric_name, value, tags)
VALUES ('11111111-1111-4111-8111-111111111111', '2025-01-01', 'never there', 1,
        '{"dataset": "never there"}');
SELECT * FROM pynomaly.update_documents('pynomaly_mongo', 'training_metrics',
    '{"status": "completed"}', '{"$set": {"status": "never so"}}');

SELECT (SELECT count(*) FROM pynomaly.datasets WHERE name = 'never there') AS datasets,
    (SELECT count(*) FROM pynomaly.analytics_data WHERE metric_name = 'never there') AS points,
    pynomaly.count_documents('pynomaly_mongo', 'training_metrics', '{"status": "never so"}') AS jobs_changed;
ROLLBACK;

SELECT (SELECT count(*) FROM pynomaly.datasets WHERE name = 'never there') AS datasets,
    (SELECT count(*) FROM pynomaly.analytics_data WHERE metric_name = 'never there') AS points,
    pynomaly.count_documents('pynomaly_mongo', 'training_metrics', '{"status": "never so"}') AS jobs_changed;
