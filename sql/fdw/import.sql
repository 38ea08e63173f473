--
-- IMPORT FOREIGN SCHEMA and ANALYZE.  Documents: test/fixtures.
--
\getenv mongo_uri MONGO_URI
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pynomaly_store;
RESET client_min_messages;
CREATE SCHEMA fdw_import;
SET search_path = fdw_import;
SET TimeZone = 'UTC';
CREATE SERVER mongo FOREIGN DATA WRAPPER pynomaly_mongo OPTIONS (uri :'mongo_uri');
CREATE USER MAPPING FOR CURRENT_USER SERVER mongo;

IMPORT FOREIGN SCHEMA pns_regress LIMIT TO (shapes, validated) FROM SERVER mongo INTO fdw_import;
\d shapes
\d validated
SELECT _id, n, mixed, "address.city", "address.zip.code", tags, price, ctid_1, objs FROM shapes ORDER BY _id;
SELECT __doc FROM shapes WHERE __doc IS NOT NULL;
SELECT * FROM validated;
DROP FOREIGN TABLE shapes, validated;

-- sub-documents whole
IMPORT FOREIGN SCHEMA pns_regress LIMIT TO (shapes) FROM SERVER mongo INTO fdw_import
    OPTIONS (nested 'jsonb', sample_size '1000');
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = 'shapes'::regclass AND attname ~ '^address' AND NOT attisdropped;
SELECT address FROM shapes ORDER BY _id;
DROP FOREIGN TABLE shapes;

-- all but some; views come along
IMPORT FOREIGN SCHEMA pns_regress EXCEPT (shapes, validated, kinds) FROM SERVER mongo INTO fdw_import;
SELECT relname FROM pg_class WHERE relnamespace = 'fdw_import'::regnamespace AND relkind = 'f' ORDER BY 1;
SELECT count(*) FROM big_numbers;

-- more fields than a table has columns; a name that no table can have
\d wide
SELECT _id, document ->> 'f1999' FROM wide;
IMPORT FOREIGN SCHEMA no_such_database FROM SERVER mongo INTO fdw_import;

-- options that are wrong
IMPORT FOREIGN SCHEMA pns_regress FROM SERVER mongo INTO fdw_import OPTIONS (sample '1');
IMPORT FOREIGN SCHEMA pns_regress FROM SERVER mongo INTO fdw_import OPTIONS (sample_size '0');
IMPORT FOREIGN SCHEMA pns_regress FROM SERVER mongo INTO fdw_import OPTIONS (nested 'yes');
IMPORT FOREIGN SCHEMA "no.such" FROM SERVER mongo INTO fdw_import;

-- statistics
CREATE FOREIGN TABLE n (_id int, n int) SERVER mongo OPTIONS (database 'pns_regress', collection 'numbers');
ANALYZE n;
SELECT reltuples FROM pg_class WHERE oid = 'n'::regclass;
SELECT attname, null_frac > 0 AS nulls, n_distinct FROM pg_stats WHERE schemaname = 'fdw_import' AND tablename = 'n' ORDER BY 1;
EXPLAIN SELECT * FROM n;
-- from the server, at planning
CREATE FOREIGN TABLE estimated (_id int) SERVER mongo
    OPTIONS (database 'pns_regress', collection 'numbers', use_remote_estimate 'true');
EXPLAIN SELECT * FROM estimated;
-- a view has no size that the server knows
ALTER FOREIGN TABLE big_numbers OPTIONS (ADD use_remote_estimate 'true');
SELECT count(*) FROM big_numbers;
ANALYZE big_numbers;
-- a collection that is not there is empty
CREATE FOREIGN TABLE missing (_id int) SERVER mongo
    OPTIONS (database 'pns_regress', use_remote_estimate 'true');
EXPLAIN SELECT * FROM missing;

DROP SCHEMA fdw_import CASCADE;
DROP SERVER mongo CASCADE;
