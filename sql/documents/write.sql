--
-- Document functions that write.
--
\getenv mongo_uri MONGO_URI
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pynomaly_store;
CREATE SCHEMA documents_write;
SET search_path = documents_write, pynomaly;
-- none: what a failed operation leaves is seen; t/055 has the other modes
CREATE SERVER docs FOREIGN DATA WRAPPER pynomaly_mongo
    OPTIONS (uri :'mongo_uri', database 'pns_documents_write', transaction_mode 'none');
CREATE USER MAPPING FOR CURRENT_USER SERVER docs;
RESET client_min_messages;
SELECT run_command('docs', NULL, '{"dropDatabase": 1}')->'ok' AS ok;

-- an _id of each kind, made where there is none
SELECT insert_document('docs', 'c', '{"_id": 1, "a": 1}'),
       insert_document('docs', 'c', '{"_id": "two", "a": 2}'),
       insert_document('docs', 'c', '{"_id": {"$oid": "5381ccf9d6d81c8e5bf0114d"}, "a": 3}'),
       insert_document('docs', 'c', '{"_id": {"k": 1}, "a": 4}'),
       insert_document('docs', 'c', '{"_id": {"$numberLong": "5000000000"}, "a": 5}');
SELECT insert_document('docs', 'made', '{"a": 1}') ~ '^[0-9a-f]{24}$' AS objectid,
       insert_document('docs', 'made', '{"_id": null, "a": 2}') ~ '^[0-9a-f]{24}$' AS for_null;
SELECT d - '_id' AS rest, jsonb_typeof(d #> '{_id,$oid}') AS id FROM find_documents('docs', 'made', sort => '{"a": 1}') AS d;
SELECT insert_documents('docs', 'c', ARRAY['{"_id": 6}', '{"_id": "seven"}']::jsonb[]);
SELECT cardinality(insert_documents('docs', 'made', ARRAY['{}', '{}']::jsonb[])) AS made;

-- values come back as they went
SELECT insert_document('docs', 'values', d) FROM (VALUES ('{"_id": 1, "i": 1, "l": 5000000000, "f": 1.5,
    "d": {"$date": "2025-01-02T03:04:05.678Z"}, "dec": {"$numberDecimal": "1.10"}, "b": true, "n": null,
    "u": {"$uuid": "00112233-4455-6677-8899-aabbccddeeff"}, "arr": [1, null, "x", {"y": []}], "a.b": 1, "sub": {"$x": 1, "c.d": 2}, "": 0}'::jsonb)) AS v (d);
SELECT find_document('docs', 'values');

-- errors name the position, and leave what came before, as there is no transaction
\set VERBOSITY terse
SELECT insert_document('docs', 'c', '{"_id": 1}');
SELECT insert_documents('docs', 'c', ARRAY['{"_id": 10}', '{"_id": 1}', '{"_id": 11}']::jsonb[]);
SELECT count_documents('docs', 'c', '{"_id": {"$gte": 10, "$lt": 100}}') AS ordered;
SELECT insert_documents('docs', 'c', ARRAY['{"_id": 12}', '{"_id": 1}', '{"_id": 13}']::jsonb[], false);
SELECT count_documents('docs', 'c', '{"_id": {"$gte": 12, "$lt": 100}}') AS unordered;
\set VERBOSITY default

-- updates
SELECT * FROM update_document('docs', 'c', '{"_id": 1}', '{"$set": {"a": 10, "n.x": 1}, "$push": {"l": {"$each": [1, 2]}}}');
SELECT * FROM update_document('docs', 'c', '{"_id": 1}', '{"$set": {"a": 10}}');
SELECT * FROM update_document('docs', 'c', '{"_id": "none"}', '{"$set": {"a": 10}}');
SELECT * FROM update_documents('docs', 'c', '{"a": {"$gte": 3}}', '{"$inc": {"a": 1}}');
SELECT * FROM update_documents('docs', 'c', '{"a": 11}', '[{"$set": {"twice": {"$multiply": ["$a", 2]}}}]');
SELECT * FROM update_document('docs', 'c', '{"_id": "new"}', '{"$set": {"a": 0}}', true);
SELECT upserted_id ~ '^[0-9a-f]{24}$' AS made FROM update_documents('docs', 'c', '{"b": "nowhere"}', '{"$set": {"a": 0}}', upsert => true);
SELECT * FROM update_document('docs', 'c', '{"_id": 1}', '{"$set": {"l.$[big]": 9}}', array_filters => '[{"big": {"$gt": 1}}]');
SELECT find_document('docs', 'c', '{"_id": 1}');
SELECT * FROM replace_document('docs', 'c', '{"_id": 1}', '{"only": true}');
SELECT find_document('docs', 'c', '{"_id": 1}');
SELECT * FROM replace_document('docs', 'c', '{"_id": "fresh"}', '{"only": true}', true);
SELECT * FROM replace_document('docs', 'c', '{"_id": "absent"}', '{"only": true}');

-- deletions
SELECT delete_document('docs', 'c', '{"only": true}') AS one, delete_documents('docs', 'c', '{"only": true}') AS rest,
       delete_document('docs', 'c', '{"only": true}') AS none;
SELECT delete_documents('docs', 'made', '{}');

-- a validator
SELECT create_collection('docs', 'v');
SELECT set_validator('docs', 'v', '{"required": ["a"], "properties": {"a": {"bsonType": "int", "minimum": 0}}}');
SELECT insert_document('docs', 'v', '{"_id": 1, "a": 1}');
\set VERBOSITY terse
SELECT insert_document('docs', 'v', '{"_id": 2, "a": -1}');
\set VERBOSITY sqlstate
SELECT insert_document('docs', 'v', '{"_id": 2}');
SELECT update_document('docs', 'v', '{"_id": 1}', '{"$set": {"a": "x"}}');
SELECT replace_document('docs', 'v', '{"_id": 1}', '{}');
\set VERBOSITY default
SELECT set_validator('docs', 'v', NULL);
SELECT insert_document('docs', 'v', '{"_id": 2}');
-- moderate: what was wrong before may stay so
SELECT set_validator('docs', 'v', '{"required": ["a"]}', 'moderate');
SELECT * FROM update_document('docs', 'v', '{"_id": 2}', '{"$set": {"b": 1}}');
\set VERBOSITY sqlstate
SELECT update_document('docs', 'v', '{"_id": 1}', '{"$unset": {"a": 1}}');
\set VERBOSITY default
SELECT options->>'validationLevel' AS level, options->>'validationAction' AS action
FROM list_collections('docs') WHERE name = 'v';
\set VERBOSITY sqlstate
SELECT set_validator('docs', 'missing', '{}');
\set VERBOSITY default

-- a bulk of all kinds
SELECT bulk_write('docs', 'bulk', '[
    {"insertOne": {"document": {"_id": 1, "a": 1}}},
    {"insertOne": {"document": {"_id": 2, "a": 2}}},
    {"insertOne": {"document": {"_id": 3, "a": 3}}},
    {"updateOne": {"filter": {"_id": 1}, "update": {"$set": {"a": 10}}}},
    {"updateMany": {"filter": {}, "update": [{"$set": {"seen": true}}]}},
    {"updateOne": {"filter": {"_id": "up"}, "update": {"$set": {"a": 0}}, "upsert": true}},
    {"replaceOne": {"filter": {"_id": 2}, "replacement": {"whole": 1}}},
    {"deleteOne": {"filter": {"_id": 3}}},
    {"deleteMany": {"filter": {"a": {"$gt": 100}}}}
]') \gset
SELECT jsonb_pretty(:'bulk_write');
SELECT find_documents('docs', 'bulk', sort => '{"_id": 1}');

-- what fails is in the report; an ordered bulk ends with it
SELECT bulk_write('docs', 'bulk', '[
    {"insertOne": {"document": {"_id": 4}}},
    {"insertOne": {"document": {"_id": 1}}},
    {"insertOne": {"document": {"_id": 5}}},
    {"deleteOne": {"filter": {"_id": 2}}}
]') \gset
SELECT jsonb_pretty(:'bulk_write'::jsonb #- '{operations,1,detail}');
SELECT bulk_write('docs', 'bulk', '[
    {"insertOne": {"document": {"_id": 6}}},
    {"insertOne": {"document": {"_id": 1}}},
    {"insertOne": {"document": {"_id": 7}}},
    {"updateOne": {"filter": {"_id": 1}, "update": {"$set": {"_id": 9}}}},
    {"deleteOne": {"filter": {"_id": 2}}}
]', false) \gset
SELECT (:'bulk_write'::jsonb) - 'operations' AS sums;
SELECT o->>'status' AS status, o->>'sqlstate' AS sqlstate FROM jsonb_array_elements(:'bulk_write'::jsonb->'operations') AS o;
SELECT find_documents('docs', 'bulk', projection => '{"_id": 1}', sort => '{"_id": 1}');

SELECT run_command('docs', NULL, '{"dropDatabase": 1}')->'ok' AS ok;
SET client_min_messages = warning;
DROP SCHEMA documents_write CASCADE;
DROP SERVER docs CASCADE;
