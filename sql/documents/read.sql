--
-- Document functions that read.
--
\getenv mongo_uri MONGO_URI
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pynomaly_store;
RESET client_min_messages;
CREATE SCHEMA documents_read;
SET search_path = documents_read, pynomaly;
CREATE SERVER docs FOREIGN DATA WRAPPER pynomaly_mongo OPTIONS (uri :'mongo_uri', database 'pns_documents_read');
CREATE USER MAPPING FOR CURRENT_USER SERVER docs;
SELECT run_command('docs', NULL, '{"dropDatabase": 1}')->'ok' AS ok;
SELECT run_command('docs', NULL, '{"insert": "c", "documents": [
    {"_id": 1, "b": 2, "a": 1.5, "tags": ["x", "y"]},
    {"_id": 2, "b": 2, "a": "text", "sub": {"y": 1, "x": 2}},
    {"_id": "three", "b": 1, "when": {"$date": "2025-01-02T03:04:05.678Z"}, "big": 5000000000},
    {"_id": {"$oid": "5381ccf9d6d81c8e5bf0114d"}, "b": 1, "price": {"$numberDecimal": "1.10"}},
    {"_id": 5, "b": null}]}')->'n' AS n;

-- filters
SELECT find_documents('docs', 'c', sort => '{"_id": 1}');
SELECT find_documents('docs', 'c', '{"b": 2, "a": {"$type": "string"}}');
SELECT find_documents('docs', 'c', '{"_id": {"$oid": "5381ccf9d6d81c8e5bf0114d"}}');
SELECT find_documents('docs', 'c', '{"when": {"$lt": {"$date": "2025-01-03T00:00:00Z"}}}');
SELECT find_documents('docs', 'c', '{"big": 5000000000}');
SELECT find_documents('docs', 'c', '{"tags": "y"}');
SELECT find_documents('docs', 'c', '{"price": {"$gt": 1}}');
SELECT find_documents('docs', 'c', '{"b": null}');
SELECT find_documents('docs', 'c', NULL, "limit" => 1);
SELECT find_documents('docs', 'missing');
-- jsonb has another order of keys than the document
SELECT find_documents('docs', 'c', '{"sub": {"y": 1, "x": 2}}');
SELECT find_documents('docs', 'c', '{"sub.y": 1, "sub.x": 2}', projection => '{"_id": 1}');

-- the order of a sort's keys counts
SELECT find_documents('docs', 'c', '{"_id": {"$type": "int"}}', sort => '{"b": -1, "_id": -1}', projection => '{"_id": 1}');
SELECT find_documents('docs', 'c', '{"_id": {"$type": "int"}}', sort => '{"_id": -1, "b": -1}', projection => '{"_id": 1}');
SELECT find_documents('docs', 'c', sort => '{"b": -1}'::jsonb);

-- pages
SELECT find_documents('docs', 'c', '{"_id": {"$type": "int"}}', '{"_id": 1}', 1, 1, '{"_id": 1}');
SELECT find_documents('docs', 'c', sort => '{"_id": 1}', skip => 4);
SELECT count(*) FROM find_documents('docs', 'c', "limit" => 0);
SELECT count(*) FROM find_documents('docs', 'c', skip => 4294967296, "limit" => 4294967297);

-- projections
SELECT find_documents('docs', 'c', '{"_id": 1}', projection => '{"_id": 0, "tags": {"$slice": 1}, "a": 1}');
SELECT find_documents('docs', 'c', '{"_id": 1}', projection => '{}');

-- one document
SELECT find_document('docs', 'c', '{"b": 1}', '{"_id": -1}');
SELECT find_document('docs', 'c', '{"b": 1}', '{"_id": 1}', '{"_id": 1}');
SELECT find_document('docs', 'c', '{"b": 7}') IS NULL AS none;

-- how many
SELECT count_documents('docs', 'c') AS every, count_documents('docs', 'c', '{"b": 1}') AS some,
       count_documents('docs', 'c', '{"b": 7}') AS none, count_documents('docs', 'missing') AS nowhere;

-- pipelines
SELECT aggregate_documents('docs', 'c', '[{"$group": {"_id": "$b", "n": {"$sum": 1}}}, {"$sort": {"n": -1, "_id": 1}}]');
SELECT aggregate_documents('docs', 'c', '[{"$match": {"_id": {"$type": "int"}}}, {"$sort": {"b": -1, "_id": -1}}, {"$project": {"_id": 1}}]');
SELECT aggregate_documents('docs', 'c', '[]') LIMIT 1;
SELECT aggregate_documents('docs', 'missing', '[{"$match": {}}]');
SELECT aggregate_documents('docs', 'c', '[{"$match": {"_id": 1}}, {"$project": {"_id": 0, "dollar": {"$literal": "$b"}}}]');

-- joined, and read again for each row
SELECT v.id, d->>'a' AS a
FROM (VALUES (1), (2), (9)) AS v (id),
     LATERAL find_documents('docs', 'c', jsonb_build_object('_id', v.id)) AS d;
SELECT t.id, d->'b' AS b
FROM (VALUES (1), (5)) AS t (id)
LEFT JOIN find_documents('docs', 'c') AS d ON d->'_id' = to_jsonb(t.id) ORDER BY 1;

-- a database in the collection's name
SELECT count_documents('docs', 'pns_documents_read.c') AS named, count_documents('docs', 'other.c') AS other;

-- errors of the server
\set VERBOSITY sqlstate
SELECT find_documents('docs', 'c', '{"a": {"$nothing": 1}}');
SELECT find_documents('docs', 'c', sort => '{"a": 2}');
SELECT aggregate_documents('docs', 'c', '[{"$nothing": 1}]');
SELECT count_documents('docs', 'c', '{"$nothing": 1}');
SELECT * FROM list_indexes('docs', 'missing');
\set VERBOSITY default

-- what there is
SELECT create_index('docs', 'c', '{"b": 1, "a": -1}'),
       create_index('docs', 'c', '{"sub.x": 1}', true, 'by_x', '{"sub.x": {"$type": "int"}}'),
       create_index('docs', 'c', '{"when": 1}', expire_after => '1 day 1 s', options => '{"hidden": true}'),
       create_index('docs', 'c', '{"b": 1, "a": -1}') AS again;
SELECT name, keys, is_unique, definition FROM list_indexes('docs', 'c') ORDER BY name COLLATE "C";
SELECT drop_index('docs', 'c', 'by_x');
SELECT name FROM list_indexes('docs', 'c') ORDER BY name COLLATE "C";
\set VERBOSITY sqlstate
SELECT drop_index('docs', 'c', 'by_x');
SELECT create_index('docs', 'c', '{"b": 1}', true);
SELECT create_index('docs', 'c', '{"b": 1, "a": -1}', true);
\set VERBOSITY default
SELECT create_collection('docs', 'capped', '{"capped": true, "size": 4096}');
SELECT create_collection('docs', 'v', '{"viewOn": "c", "pipeline": [{"$match": {"b": 1}}]}');
SELECT name, type, options FROM list_collections('docs') WHERE name <> 'system.views' ORDER BY name COLLATE "C";
SELECT count_documents('docs', 'v');
\set VERBOSITY sqlstate
SELECT create_collection('docs', 'capped');
SELECT list_collections('docs', 'empty');
\set VERBOSITY default
SELECT i->>'database' AS database, i->'documents' AS documents, jsonb_typeof(i->'data_size') AS data_size,
       jsonb_typeof(i->'server_version') AS server_version
FROM database_info('docs') AS i;

-- commands
SELECT run_command('docs', NULL, '{"find": "c", "sort": {"b": -1, "_id": 1}, "limit": 1, "projection": {"_id": 1}}') #> '{cursor,firstBatch}' AS batch;
SELECT run_command('docs', 'admin', '{"ping": 1}')->'ok' AS ok;
\set VERBOSITY sqlstate
SELECT run_command('docs', NULL, '{"nothing": 1}');
\set VERBOSITY default

SELECT run_command('docs', NULL, '{"dropDatabase": 1}')->'ok' AS ok;
SET client_min_messages = warning;
DROP SCHEMA documents_read CASCADE;
DROP SERVER docs CASCADE;
