-- The documents as tables.  :uri names the MongoDB server.
CREATE EXTENSION pynomaly_store;

CREATE SERVER demo_mongo FOREIGN DATA WRAPPER pynomaly_mongo
    OPTIONS (uri :'uri');
CREATE USER MAPPING FOR CURRENT_USER SERVER demo_mongo;

-- By hand: the columns that are wanted, wherever they are in a document.
CREATE FOREIGN TABLE demo.analytics_data (
    _id      pynomaly.objectid,
    dataset  text      OPTIONS (field 'tags.dataset') COLLATE "C" NOT NULL,
    position int       OPTIONS (field 'metadata.position') NOT NULL,
    at       timestamp OPTIONS (field 'timestamp'),
    metric   text      OPTIONS (field 'metric_name') COLLATE "C",
    value    float8
)
SERVER demo_mongo
OPTIONS (database 'pynomaly_demo', collection 'analytics_data');

-- By one command: columns and types are found by looking at the documents.
IMPORT FOREIGN SCHEMA pynomaly_demo LIMIT TO (training_metrics)
    FROM SERVER demo_mongo INTO demo;

ANALYZE demo.datasets, demo.anomaly_windows, demo.detection_results,
    demo.analytics_data, demo.training_metrics;
