-- The documents as tables of our own, beside those of attach_mongo.
CREATE SCHEMA demo;
COMMENT ON SCHEMA demo IS 'pynomaly_store: the demonstration';

-- By hand: the columns that are wanted, wherever they are in a document.
CREATE FOREIGN TABLE demo.analytics_data (
    _id       pynomaly.objectid,
    tenant_id text      COLLATE "C" NOT NULL,
    dataset   text      OPTIONS (field 'tags.dataset') COLLATE "C" NOT NULL,
    position  int       OPTIONS (field 'metadata.position') NOT NULL,
    at        timestamp OPTIONS (field 'timestamp'),
    metric    text      OPTIONS (field 'metric_name') COLLATE "C",
    value     float8
)
SERVER pynomaly_mongo
OPTIONS (collection 'analytics_data');

-- By one command: columns and types are found by looking at the documents.
IMPORT FOREIGN SCHEMA pynomaly_demo LIMIT TO (training_metrics)
    FROM SERVER pynomaly_mongo INTO demo;

-- PostgreSQL has no row-level security for foreign tables.  Tenants read views,
-- which run with their owner's rights and show the current tenant's documents.
CREATE VIEW demo.points WITH (security_barrier) AS
SELECT dataset, position, at, metric, value FROM demo.analytics_data
WHERE tenant_id = pynomaly.current_tenant()::text;

CREATE VIEW demo.thresholds WITH (security_barrier) AS
SELECT detector, threshold FROM demo.training_metrics
WHERE tenant_id = pynomaly.current_tenant()::text
    AND profile = 'standard' AND status = 'completed';

-- Labelled anomalies: a detection within [starts, ends] is right.
CREATE VIEW demo.windows WITH (security_invoker) AS
SELECT s.id AS dataset_id, w.number, w.starts, w.ends
FROM pynomaly.datasets s,
    ROWS FROM (jsonb_to_recordset(s.metadata -> 'windows')
               AS (starts timestamp, ends timestamp))
        WITH ORDINALITY AS w (starts, ends, number);

GRANT USAGE ON SCHEMA demo TO pynomaly_app;
GRANT SELECT ON demo.points, demo.thresholds, demo.windows TO pynomaly_app;

ANALYZE demo.analytics_data, demo.training_metrics, pynomaly.datasets,
    pynomaly.detectors, pynomaly.detection_results;
