-- The document side: the platform's collections in MongoDB, with validators and
-- indexes, and foreign tables over them.  :uri names the server.
SELECT pynomaly.attach_mongo(:'uri', 'pynomaly_demo') \g /dev/null

-- An index of our own beside those of the platform.
SELECT pynomaly.create_index('pynomaly_mongo', 'analytics_data',
    '{"tenant_id": 1, "tags.dataset": 1, "metadata.position": 1}', is_unique => true);
