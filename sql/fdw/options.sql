--
-- Options are checked when they are set.  Nothing here talks to a server.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pynomaly_store;
RESET client_min_messages;
LOAD 'pynomaly_store';
CREATE SCHEMA fdw_options;
SET search_path = fdw_options;

-- settings say what they do, in alphabetical order of the kinds
SELECT name, setting, short_desc FROM pg_settings
WHERE name LIKE 'pynomaly\_store.enable\_%' ORDER BY name COLLATE "C";

-- every object of the extension has a comment, and the schema; later versions
-- of PostgreSQL count the types of arrays and of tables' rows too
SELECT i.type, i.identity
FROM pg_depend d
CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, 0) i
WHERE d.refclassid = 'pg_extension'::regclass
  AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pynomaly_store')
  AND d.deptype = 'e'
  AND obj_description(d.objid, d.classid::regclass::text) IS NULL
  AND (i.type <> 'type' OR i.identity NOT LIKE '%[]' AND to_regclass(i.identity) IS NULL)
ORDER BY 1, 2;
SELECT obj_description('pynomaly'::regnamespace, 'pg_namespace') IS NOT NULL AS schema_has_one;

-- unknown options, with those that the object has
CREATE SERVER bad FOREIGN DATA WRAPPER pynomaly_mongo OPTIONS (hots 'localhost');
CREATE SERVER s FOREIGN DATA WRAPPER pynomaly_mongo;
CREATE USER MAPPING FOR CURRENT_USER SERVER s OPTIONS (usr 'me');
CREATE FOREIGN TABLE bad (n int) SERVER s OPTIONS (colection 'c');
CREATE FOREIGN TABLE bad (n int OPTIONS (filed 'x')) SERVER s;
ALTER FOREIGN DATA WRAPPER pynomaly_mongo OPTIONS (ADD host 'localhost');

-- values that are wrong
CREATE FOREIGN TABLE bad (n int) SERVER s OPTIONS (use_remote_estimate 'perhaps');
CREATE FOREIGN TABLE bad (n int) SERVER s OPTIONS (on_mismatch 'ignore');
CREATE FOREIGN TABLE bad (n int) SERVER s OPTIONS (json_format 'pretty');
CREATE FOREIGN TABLE bad (n int) SERVER s OPTIONS (fetch_size '-1');
CREATE FOREIGN TABLE bad (n int) SERVER s OPTIONS (fetch_size 'many');
CREATE FOREIGN TABLE bad (n int) SERVER s OPTIONS (fdw_tuple_cost '-1');
CREATE FOREIGN TABLE bad (n int) SERVER s OPTIONS (fdw_startup_cost 'NaN');
CREATE FOREIGN TABLE bad (n int) SERVER s OPTIONS (fdw_startup_cost 'inf');
CREATE FOREIGN TABLE bad (n int) SERVER s OPTIONS (async_capable 'perhaps');
CREATE FOREIGN TABLE bad (n int) SERVER s OPTIONS (enable_limit_pushdown 'perhaps');
CREATE FOREIGN TABLE bad (n int) SERVER s OPTIONS (database 'a.b');
CREATE FOREIGN TABLE bad (n int) SERVER s OPTIONS (database '');
CREATE FOREIGN TABLE bad (n int) SERVER s OPTIONS (collection 'a$b');
CREATE FOREIGN TABLE bad (n int) SERVER s OPTIONS (collection '');
-- the longest names, and what is too long or cannot begin one
DO $$
BEGIN
    EXECUTE format('CREATE FOREIGN TABLE longest (n int) SERVER s OPTIONS (database %L, collection %L)',
                   repeat('d', 63), repeat('c', 253));
END $$;
DROP FOREIGN TABLE longest;
CREATE FUNCTION refused(option text, value text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE FOREIGN TABLE bad (n int) SERVER s OPTIONS (%I %L)', option, value);
    RETURN 'taken';
EXCEPTION WHEN invalid_name THEN RETURN 'refused';
END $$;
SELECT refused('database', repeat('d', 64)), refused('collection', repeat('c', 254)),
       refused('collection', '.c'), refused('collection', 'a.b');
DROP FOREIGN TABLE bad;
DROP FUNCTION refused;
CREATE FOREIGN TABLE bad (n int OPTIONS (field 'a..b')) SERVER s;
CREATE FOREIGN TABLE bad (n int OPTIONS (field '')) SERVER s;
CREATE FOREIGN TABLE bad (n int OPTIONS (field 'a\b')) SERVER s;
CREATE FOREIGN TABLE bad (n int OPTIONS (document 'perhaps')) SERVER s;
CREATE FOREIGN TABLE bad (n int OPTIONS (on_mismatch 'maybe')) SERVER s;

-- types that no document can give are found when the table is used
CREATE FOREIGN TABLE wrong_document (d text OPTIONS (document 'true')) SERVER s;
SELECT * FROM wrong_document;
CREATE TYPE pair AS (a int, b int);
CREATE FOREIGN TABLE wrong_type (p pair) SERVER s;
SELECT * FROM wrong_type;

-- so is a name that only MongoDB refuses
CREATE FOREIGN TABLE "a$b" (n int) SERVER s;
SELECT * FROM "a$b";

-- all that is right
CREATE SERVER all_options FOREIGN DATA WRAPPER pynomaly_mongo OPTIONS (
    host 'db.example.org', port '27018', replica_set 'rs0',
    read_preference 'secondaryPreferred', authentication_database 'admin',
    tls 'true', connect_timeout '2000', application_name 'pynomaly',
    database 'd', use_remote_estimate 'false', on_mismatch 'null',
    json_format 'canonical', fetch_size '500',
    enable_join_pushdown 'false', enable_aggregate_pushdown 'false',
    enable_order_by_pushdown 'false', enable_limit_pushdown 'false',
    enable_expression_pushdown 'false', enable_condition_pushdown 'false',
    enable_modify_pushdown 'false',
    enable_batched_join_pushdown 'false', async_capable 'false', sort_strings 'true',
    fdw_startup_cost '25.5', fdw_tuple_cost '0');
-- what mongo_fdw calls some of them
CREATE SERVER as_mongo_fdw FOREIGN DATA WRAPPER pynomaly_mongo OPTIONS (
    address 'db.example.org', port '27018', authentication_database 'admin',
    replica_set 'rs0', read_preference 'nearest', ssl 'true',
    use_remote_estimate 'false', enable_join_pushdown 'true',
    enable_aggregate_pushdown 'true', enable_order_by_pushdown 'true');
CREATE USER MAPPING FOR CURRENT_USER SERVER as_mongo_fdw
    OPTIONS (username 'me', password 'p@ss/w:rd %');
CREATE FOREIGN TABLE all_columns (
    _id name,
    n int OPTIONS (field 'a.b', on_mismatch 'error'),
    dotted text OPTIONS (field 'a\.b'),
    doc jsonb OPTIONS (document 'true'),
    __doc json
) SERVER as_mongo_fdw OPTIONS (database 'd', collection 'c.d',
    use_remote_estimate 'false', on_mismatch 'null', json_format 'relaxed',
    enable_join_pushdown 'true', enable_aggregate_pushdown 'true',
    enable_order_by_pushdown 'true', fetch_size '0');
EXPLAIN (VERBOSE, COSTS OFF) SELECT n, dotted FROM all_columns WHERE n = 1;

-- a setting, the table's option, and the server's below it
CREATE FOREIGN TABLE switched (n int) SERVER all_options;
EXPLAIN (COSTS OFF) SELECT FROM switched WHERE n = 1;
ALTER FOREIGN TABLE switched OPTIONS (enable_condition_pushdown 'true');
EXPLAIN (COSTS OFF) SELECT FROM switched WHERE n = 1;
SET pynomaly_store.enable_condition_pushdown = off;
EXPLAIN (COSTS OFF) SELECT FROM switched WHERE n = 1;
RESET pynomaly_store.enable_condition_pushdown;
SET pynomaly_store.enable_pushdown = off;
EXPLAIN (COSTS OFF) SELECT FROM switched WHERE n = 1;
RESET pynomaly_store.enable_pushdown;
-- a port is no part of the host
CREATE SERVER bad FOREIGN DATA WRAPPER pynomaly_mongo OPTIONS (host 'localhost:27017');
CREATE SERVER ipv6 FOREIGN DATA WRAPPER pynomaly_mongo OPTIONS (host '::1');
-- what the driver does not know in a uri
CREATE SERVER bad FOREIGN DATA WRAPPER pynomaly_mongo OPTIONS (uri 'mongodb://h/?replicaSe=rs0');
-- an option and its other name
CREATE SERVER bad FOREIGN DATA WRAPPER pynomaly_mongo OPTIONS (host 'a', address 'b');

-- a password shows nowhere but to those who may see it
SELECT umoptions FROM pg_user_mappings WHERE srvname = 'as_mongo_fdw';
CREATE ROLE fdw_options_user;
SET ROLE fdw_options_user;
SELECT umoptions FROM pg_user_mappings WHERE srvname = 'as_mongo_fdw';
SELECT pynomaly.mongo_validator('{}', 0);
RESET ROLE;

-- a user without a mapping
GRANT USAGE ON SCHEMA fdw_options TO fdw_options_user;
GRANT SELECT ON all_columns TO fdw_options_user;
SET ROLE fdw_options_user;
SELECT n FROM fdw_options.all_columns;
RESET ROLE;

DROP SCHEMA fdw_options CASCADE;
DROP SERVER s, all_options, as_mongo_fdw, ipv6 CASCADE;
DROP ROLE fdw_options_user;
