--
-- Document functions: what they refuse before they talk to a server, and what
-- the planner is told.  The server here is nowhere.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pynomaly_store;
RESET client_min_messages;
\set SHOW_CONTEXT never
CREATE SCHEMA documents_arguments;
SET search_path = documents_arguments, pynomaly;
CREATE SERVER nowhere FOREIGN DATA WRAPPER pynomaly_mongo OPTIONS (uri 'mongodb://127.0.0.1:1/', database 'd');
CREATE USER MAPPING FOR CURRENT_USER SERVER nowhere;
CREATE FOREIGN DATA WRAPPER other;
CREATE SERVER other FOREIGN DATA WRAPPER other;

-- servers and names
\set VERBOSITY sqlstate
SELECT find_documents(NULL, 'c');
SELECT find_documents('nowhere', NULL);
SELECT find_documents('missing', 'c');
SELECT find_documents('other', 'c');
SELECT find_documents('nowhere', '');
SELECT find_documents('nowhere', 'd.');
SELECT find_documents('nowhere', '.c');
SELECT find_documents('nowhere', 'd.$c');
SELECT find_documents('nowhere', 'a b.c');
SELECT * FROM list_collections('nowhere', 'a/b');
SELECT database_info('nowhere', '');
\set VERBOSITY terse
SELECT find_documents('other', 'c');
SELECT find_documents('nowhere', NULL);

-- numbers of rows
\set VERBOSITY sqlstate
SELECT find_documents('nowhere', 'c', "limit" => -1);
SELECT find_documents('nowhere', 'c', skip => -1);

-- documents that are none
SELECT find_documents('nowhere', 'c', '[]');
SELECT find_documents('nowhere', 'c', '1');
SELECT find_documents('nowhere', 'c', sort => '[{"a": 1}]');
SELECT find_documents('nowhere', 'c', sort => '{"$numberLong": "1"}');
SELECT find_documents('nowhere', 'c', projection => '"a"');
SELECT aggregate_documents('nowhere', 'c', '{"$match": {}}');
SELECT aggregate_documents('nowhere', 'c', NULL);
SELECT aggregate_documents('nowhere', 'c', '[{"$match": {"a\u0000b": 1}}]');
SELECT insert_document('nowhere', 'c', '[]');
SELECT insert_document('nowhere', 'c', NULL);
SELECT insert_documents('nowhere', 'c', ARRAY['{}', NULL]::jsonb[]);
SELECT insert_documents('nowhere', 'c', NULL);
SELECT insert_documents('nowhere', 'c', '{}');
\set VERBOSITY terse
SELECT insert_documents('nowhere', 'c', ARRAY['{}', '1']::jsonb[]);

-- writes without a filter, and with NULL for a switch
SELECT update_document('nowhere', 'c', NULL, '{"$set": {"a": 1}}');
SELECT update_documents('nowhere', 'c', '{}', NULL);
SELECT update_documents('nowhere', 'c', '{}', '{"$set": {"a": 1}}', upsert => NULL);
SELECT replace_document('nowhere', 'c', NULL, '{}');
SELECT delete_document('nowhere', 'c', NULL);
SELECT delete_documents('nowhere', 'c', NULL);

-- operators where a document is expected, and the other way round
\set VERBOSITY default
SELECT insert_document('nowhere', 'c', '{"$set": {"a": 1}}');
SELECT update_document('nowhere', 'c', '{}', '{"a": 1}');
SELECT update_document('nowhere', 'c', '{}', '{}');
SELECT replace_document('nowhere', 'c', '{}', '{"$set": {"a": 1}}');
SELECT update_document('nowhere', 'c', '{}', '1');
SELECT update_document('nowhere', 'c', '{}', '{"$set": {"a": 1}}', array_filters => '{}');

-- bulk writes
SELECT bulk_write('nowhere', 'c', '{}');
SELECT bulk_write('nowhere', 'c', '[1]');
\set VERBOSITY terse
SELECT bulk_write('nowhere', 'c', '[{}]');
SELECT bulk_write('nowhere', 'c', '[{"dropOne": {}}]');
SELECT bulk_write('nowhere', 'c', '[{"insertOne": 1}]');
SELECT bulk_write('nowhere', 'c', '[{"insertOne": {}}]');
SELECT bulk_write('nowhere', 'c', '[{"insertOne": {"document": {}, "filter": {}, "hint": 1}}]');
SELECT bulk_write('nowhere', 'c', '[{"deleteOne": {"filter": {}}, "deleteMany": {"filter": {}}}]');
SELECT bulk_write('nowhere', 'c', '[{"deleteOne": {}}]');
SELECT bulk_write('nowhere', 'c', '[{"updateOne": {"filter": {}, "update": {"a": 1}}}]');
SELECT bulk_write('nowhere', 'c', '[{"updateOne": {"filter": {}, "update": 1}}]');
SELECT bulk_write('nowhere', 'c', '[{"updateMany": {"filter": {}, "update": {"$set": {"a": 1}}, "upsert": 1}}]');
SELECT bulk_write('nowhere', 'c', '[{"updateMany": {"filter": {}, "update": {"$set": {"a": 1}}, "arrayFilters": 1}}]');
SELECT bulk_write('nowhere', 'c', '[{"replaceOne": {"filter": {}, "replacement": {"$set": {"a": 1}}}}]');
SELECT bulk_write('nowhere', 'c', '[]', NULL);
SELECT bulk_write('nowhere', 'c', '[]');

-- indexes, validators, commands
SELECT create_index('nowhere', 'c', '{}');
SELECT create_index('nowhere', 'c', NULL);
SELECT create_index('nowhere', 'c', '{"a": null}');
SELECT create_index('nowhere', 'c', '{"a": 1}', expire_after => '-1 s');
SELECT create_index('nowhere', 'c', '{"a": 1}', expire_after => '0.9 s');
SELECT create_index('nowhere', 'c', '{"a": 1}', expire_after => '-0.4 s');
SELECT create_index('nowhere', 'c', '{"a": 1}', expire_after => '1000 years');
SELECT create_index('nowhere', 'c', '{"a": 1}', options => '{"key": {"b": 1}}');
SELECT create_index('nowhere', 'c', '{"a": 1}', options => '{"name": "x"}');
SELECT create_collection('nowhere', 'c', '{"create": "d"}');
SELECT drop_index('nowhere', 'c', '*');
SELECT drop_index('nowhere', 'c', NULL);
SELECT set_validator('nowhere', 'c', '{}', level => 'weak');
SELECT set_validator('nowhere', 'c', '{}', action => NULL);
SELECT run_command('nowhere', NULL, '{}');
SELECT run_command('nowhere', NULL, NULL);
SELECT run_command('nowhere', NULL, '{"commitTransaction": 1}');
SELECT run_command('nowhere', NULL, '{"ping": 1, "lsid": {}}');

-- nothing is written in a read-only transaction
SET default_transaction_read_only = on;
SELECT insert_document('nowhere', 'c', '{}');
SELECT insert_documents('nowhere', 'c', '{}');
SELECT update_document('nowhere', 'c', '{}', '{"$set": {"a": 1}}');
SELECT update_documents('nowhere', 'c', '{}', '{"$set": {"a": 1}}');
SELECT replace_document('nowhere', 'c', '{}', '{}');
SELECT delete_document('nowhere', 'c', '{}');
SELECT delete_documents('nowhere', 'c', '{}');
SELECT bulk_write('nowhere', 'c', '[]');
SELECT create_index('nowhere', 'c', '{"a": 1}');
SELECT drop_index('nowhere', 'c', 'a_1');
SELECT create_collection('nowhere', 'c');
SELECT set_validator('nowhere', 'c', NULL);
SELECT run_command('nowhere', NULL, '{"ping": 1}');
RESET default_transaction_read_only;

-- a pipeline that is read does not write, whoever asks
\set VERBOSITY default
SELECT aggregate_documents('nowhere', 'c', '[{"$out": "x"}]');
SELECT aggregate_documents('nowhere', 'c', '[{"$facet": {"a": [{"$merge": {"into": "x"}}]}}]');

-- who may what
CREATE ROLE regress_documents_app IN ROLE pynomaly_app;
CREATE ROLE regress_documents_nobody;
GRANT USAGE ON SCHEMA documents_arguments TO PUBLIC;
\set VERBOSITY terse
SET ROLE regress_documents_nobody;
SELECT find_documents('nowhere', 'c');
SELECT insert_document('nowhere', 'c', '{}');
SELECT attach_mongo('mongodb://127.0.0.1:1/');
SET ROLE regress_documents_app;
SELECT find_documents('nowhere', 'c');
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER nowhere TO regress_documents_app;
SET ROLE regress_documents_app;
SELECT find_documents('nowhere', 'c');
SELECT create_index('nowhere', 'c', '{"a": 1}');
SELECT create_collection('nowhere', 'c');
SELECT set_validator('nowhere', 'c', NULL);
SELECT run_command('nowhere', NULL, '{"ping": 1}');

-- code that the server would run, at any depth
\set VERBOSITY default
SELECT find_documents('nowhere', 'c', '{"$where": "sleep(1000)"}');
\set VERBOSITY terse
SELECT find_documents('nowhere', 'c', '{"$or": [{"a": 1}, {"$expr": {"$function": {"body": "f", "args": [], "lang": "js"}}}]}');
SELECT find_documents('nowhere', 'c', projection => '{"x": {"$function": {}}}');
SELECT aggregate_documents('nowhere', 'c', '[{"$group": {"_id": null, "x": {"$accumulator": {}}}}]');
SELECT aggregate_documents('nowhere', 'c', '[{"$lookup": {"from": "o", "pipeline": [{"$match": {"\u0024where": "1"}}], "as": "x"}}]');
SELECT aggregate_documents('nowhere', 'c', '[{"$out": "x"}]');
SELECT count_documents('nowhere', 'c', '{"$where": "1"}');
SELECT find_document('nowhere', 'c', '{"$where": "1"}');
SELECT find_document('nowhere', 'c', projection => '{"x": {"$function": {}}}');
SELECT update_document('nowhere', 'c', '{"$where": "1"}', '{"$set": {"a": 1}}');
SELECT update_documents('nowhere', 'c', '{}', '[{"$set": {"a": {"$function": {}}}}]');
SELECT update_documents('nowhere', 'c', '{}', '{"$set": {"a.$[x]": 1}}', array_filters => '[{"x": {"$where": "1"}}]');
SELECT replace_document('nowhere', 'c', '{"$where": "1"}', '{}');
SELECT delete_document('nowhere', 'c', '{"$where": "1"}');
SELECT delete_documents('nowhere', 'c', '{"$and": [{"$where": "1"}]}');
SELECT bulk_write('nowhere', 'c', '[{"updateOne": {"filter": {}, "update": [{"$set": {"a": {"$function": {}}}}]}}]');
SELECT bulk_write('nowhere', 'c', '[{"deleteMany": {"filter": {"$where": "1"}}}]');
RESET ROLE;

-- what the planner is told
CREATE FUNCTION rows_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    plan jsonb;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT json) SELECT * FROM ' || query INTO plan;
    RETURN plan #>> '{0,Plan,Plan Rows}';
END
$$;
SELECT query, rows_of(query)
FROM unnest(ARRAY[
    $$find_documents('nowhere', 'c')$$,
    $$find_documents('nowhere', 'c', "limit" => 7)$$,
    $$find_documents('nowhere', 'c', skip => 998)$$,
    $$find_documents('nowhere', 'c', skip => 5000)$$,
    $$find_documents('nowhere', 'c', "limit" => -1)$$,
    $$find_documents('nowhere', 'c', '{"_id": 5}')$$,
    $$find_documents('nowhere', 'c', '{"_id": {"$oid": "5381ccf9d6d81c8e5bf0114d"}}')$$,
    $$find_documents('nowhere', 'c', '{"_id": {"$eq": 1}}')$$,
    $$find_documents('nowhere', 'c', '{"_id": {"$gt": 1}}')$$,
    $$find_documents('nowhere', 'c', '{"a": 1, "b": 2}')$$,
    $$find_documents('nowhere', 'c', '[]')$$,
    $$find_documents('nowhere', 'c', NULL)$$,
    $$find_documents('missing', 'c', '{"a": 1}')$$,
    $$aggregate_documents('nowhere', 'c', '[]')$$,
    $$aggregate_documents('nowhere', 'c', '[{"$match": {"a": 1}}, {"$unwind": "$x"}]')$$,
    $$aggregate_documents('nowhere', 'c', '[{"$sort": {"a": 1}}, {"$skip": 10}, {"$limit": 3}]')$$,
    $$aggregate_documents('nowhere', 'c', '[{"$group": {"_id": "$a"}}]')$$,
    $$aggregate_documents('nowhere', 'c', '[{"$group": {"_id": null}}]')$$,
    $$aggregate_documents('nowhere', 'c', '[{"$group": []}]')$$,
    $$aggregate_documents('nowhere', 'c', '[{"$count": "n"}]')$$,
    $$aggregate_documents('nowhere', 'c', '[1, {}, [], {"$limit": "x"}]')$$,
    $$aggregate_documents('nowhere', 'c', '{}')$$,
    $$aggregate_documents('nowhere', 'c', '"\u0000"')$$
]) WITH ORDINALITY AS q (query, n) ORDER BY n;
-- a generic plan knows no parameter, a custom one does
PREPARE page(bigint) AS SELECT * FROM find_documents('nowhere', 'c', "limit" => $1);
SET plan_cache_mode = force_custom_plan;
EXPLAIN EXECUTE page(3);
SET plan_cache_mode = force_generic_plan;
EXPLAIN EXECUTE page(3);
RESET plan_cache_mode;
-- the statistics of a foreign table over the collection
CREATE FOREIGN TABLE counted (_id int) SERVER nowhere OPTIONS (collection 'c');
SELECT rows_of($$find_documents('nowhere', 'd.c')$$);
UPDATE pg_class SET reltuples = 123456 WHERE oid = 'counted'::regclass;
SELECT rows_of($$find_documents('nowhere', 'd.c')$$) AS named,
       rows_of($$find_documents('nowhere', 'c')$$) AS default_database,
       rows_of($$find_documents('nowhere', 'e.c')$$) AS other_database;

-- a uri without its secrets
SELECT uri, uri_without_secrets(uri) AS plain
FROM unnest(ARRAY[
    'mongodb://h:27017/', 'mongodb://u:p@h:27017/d?replicaSet=r', 'mongodb+srv://u@h/',
    'mongodb://u:p%40x%2Fy@h1,h2/?tls=true&tlsCertificateKeyFilePassword=s&w=1',
    'mongodb://u:p@h/?authMechanism=PLAIN&authMechanismProperties=A:b', 'mongodb://h/?appName=a@b'
]) AS uri;
\set VERBOSITY default
SELECT attach_mongo('mongodb://h:1/', NULL);
SELECT attach_mongo('mongodb://127.0.0.1:1/', 'e', 'nowhere');
SELECT attach_mongo('mongodb://user:secret@127.0.0.1:1/?authMechanism=GSSAPI', 'd', 'secret');
-- the driver's words for what it does not read are not the same in each version
DO $$
DECLARE
    uri text;
    said text;
BEGIN
    FOREACH uri IN ARRAY ARRAY['mongodb://user:pa:ss@w/ord@127.0.0.1:1/',
                               'mongodb://user:secret%zz@127.0.0.1:1/'] LOOP
        BEGIN
            PERFORM attach_mongo(uri, 'd', 'secret');
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS said = PG_EXCEPTION_DETAIL;
            RAISE INFO '% %, shows a secret: %', SQLSTATE, SQLERRM,
                concat(said, SQLERRM) ~ 'pa:ss|w/ord|secret|zz';
        END;
    END LOOP;
END $$;
SELECT srvname FROM pg_foreign_server WHERE srvname = 'secret';

DROP FOREIGN TABLE counted;
REVOKE USAGE ON FOREIGN SERVER nowhere FROM regress_documents_app;
DROP ROLE regress_documents_app;
SET client_min_messages = warning;
DROP SCHEMA documents_arguments CASCADE;
DROP ROLE regress_documents_nobody;
DROP SERVER nowhere CASCADE;
DROP FOREIGN DATA WRAPPER other CASCADE;
