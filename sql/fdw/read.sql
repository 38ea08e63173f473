--
-- Documents as rows: what each type of column reads, paths, and values that
-- do not fit.  Documents: test/fixtures.
--
\getenv mongo_uri MONGO_URI
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pynomaly_store;
RESET client_min_messages;
CREATE SCHEMA fdw_read;
SET search_path = fdw_read;
SET TimeZone = 'UTC';
CREATE SERVER mongo FOREIGN DATA WRAPPER pynomaly_mongo OPTIONS (uri :'mongo_uri', database 'pns_regress');
CREATE USER MAPPING FOR CURRENT_USER SERVER mongo;

-- every kind of value
CREATE FOREIGN TABLE kinds (
    _id int, i int2, l int8, f float8, "dec" numeric, t bool, s text,
    o pynomaly.objectid, o_text text OPTIONS (field 'o'), o_bytes bytea OPTIONS (field 'o'),
    u uuid, b bytea, d timestamptz, d_wall timestamp OPTIONS (field 'd'),
    d_day date OPTIONS (field 'd'), neg_day date OPTIONS (field 'neg'), neg timestamptz
) SERVER mongo OPTIONS (collection 'kinds', on_mismatch 'null');
\x on
SELECT * FROM kinds ORDER BY _id;
SET TimeZone = 'America/New_York';
SELECT d, d_wall, d_day FROM kinds WHERE _id = 1;
SET TimeZone = 'UTC';

-- paths: into documents, an element by its digits, never into every element
CREATE FOREIGN TABLE paths (
    _id int,
    y int OPTIONS (field 'sub.x.y'),
    "sub.x.y" int,
    x jsonb OPTIONS (field 'sub.x'),
    dot_in_sub int OPTIONS (field 'sub.a\.b'),
    dot int OPTIONS (field 'a\.b'),
    dollar int OPTIONS (field '$set'),
    "Upper Case" int,
    first int OPTIONS (field 'arr.0'), second int OPTIONS (field 'arr.1'),
    third int OPTIONS (field 'sub.arr.2'),
    k int OPTIONS (field 'docs.k'), first_k int OPTIONS (field 'docs.0.k'),
    arr int[], strs text[], matrix int[][], docs jsonb[],
    docs_json json OPTIONS (field 'docs')
) SERVER mongo OPTIONS (collection 'kinds', on_mismatch 'null');
SELECT * FROM paths ORDER BY _id;

-- the whole document, beside its fields
CREATE FOREIGN TABLE whole (
    _id int, doc jsonb OPTIONS (document 'true'), __doc json,
    sub json, "sub.x" jsonb
) SERVER mongo OPTIONS (collection 'kinds');
SELECT * FROM whole WHERE _id = 1;
SELECT doc = __doc::jsonb AS same, doc -> 'sub' = sub::jsonb AS same_sub FROM whole;
ALTER FOREIGN TABLE whole OPTIONS (ADD json_format 'canonical');
SELECT doc FROM whole WHERE _id = 1;
\x off

-- numbers that do and do not fit
CREATE FOREIGN TABLE numbers (
    _id int, i2 int2 OPTIONS (field 'n'), i4 int4 OPTIONS (field 'n'),
    i8 int8 OPTIONS (field 'n'), f4 float4 OPTIONS (field 'n'),
    f8 float8 OPTIONS (field 'n'), num numeric OPTIONS (field 'n'),
    num2 numeric(4,1) OPTIONS (field 'n'), j jsonb OPTIONS (field 'n'),
    "array" int[] OPTIONS (field 'n')
) SERVER mongo OPTIONS (collection 'numbers', on_mismatch 'null');
SELECT _id, i2, i4, i8, f4, f8, left(num::text, 20) AS num, num2,
    left(j::text, 30) AS j, "array" FROM numbers ORDER BY _id;

-- the same by an error that says where
ALTER FOREIGN TABLE numbers OPTIONS (SET on_mismatch 'error');
SELECT i2 FROM numbers WHERE _id = 19;
SELECT i4 FROM numbers WHERE _id = 5;
SELECT i8 FROM numbers WHERE _id = 17;
SELECT f4 FROM numbers WHERE _id = 17;
SELECT f8 FROM numbers WHERE _id = 6;
SELECT num2 FROM numbers WHERE _id = 2;
SELECT num2 FROM numbers WHERE _id = 3;
SELECT i4 FROM numbers WHERE _id = 12;
SELECT i4 FROM numbers WHERE _id = 13;
SELECT "array" FROM numbers WHERE _id = 1;
-- columns that are not used are not looked at
SELECT _id FROM numbers WHERE _id = 5;
-- and a column may say otherwise
ALTER FOREIGN TABLE numbers ALTER i4 OPTIONS (ADD on_mismatch 'null');
SELECT i4 FROM numbers WHERE _id = 5;

-- strings
CREATE FOREIGN TABLE strings (
    _id text, s text, v varchar(2) OPTIONS (field 's'), c char(4) OPTIONS (field 's'),
    nm name OPTIONS (field 's'), octets bytea OPTIONS (field '_id'),
    id uuid OPTIONS (field '_id'), any_id jsonb OPTIONS (field '_id')
) SERVER mongo OPTIONS (collection 'strings', on_mismatch 'null');
SELECT _id, s, v, c || '|' AS c, nm, octets, id, any_id FROM strings ORDER BY any_id::text COLLATE "C", _id;
ALTER FOREIGN TABLE strings OPTIONS (SET on_mismatch 'error');
SELECT s FROM strings WHERE any_id = '"nul"';
SELECT any_id FROM strings WHERE s = 'ab';

-- enums, domains, other types
CREATE TYPE word AS ENUM ('ab', '$x');
CREATE DOMAIN short AS text CHECK (length(VALUE) < 4);
CREATE FOREIGN TABLE others (
    any_id jsonb OPTIONS (field '_id'), w word OPTIONS (field 's'),
    short short OPTIONS (field 's')
) SERVER mongo OPTIONS (collection 'strings', on_mismatch 'null');
SELECT * FROM others ORDER BY any_id::text COLLATE "C";
SELECT any_id FROM others WHERE w = 'ab';

-- system columns, inheritance and partitions
SELECT tableoid::regclass, ctid, xmin, _id FROM kinds ORDER BY _id;
CREATE TABLE part (i int, s text) PARTITION BY LIST (i);
CREATE FOREIGN TABLE part_one PARTITION OF part FOR VALUES IN (1) SERVER mongo OPTIONS (collection 'kinds');
CREATE TABLE part_other PARTITION OF part DEFAULT;
INSERT INTO part VALUES (5, 'local');
SELECT tableoid::regclass, * FROM part WHERE i = 5;
CREATE TABLE parent (_id int, i int2);
ALTER FOREIGN TABLE kinds ALTER _id TYPE int, INHERIT parent;
INSERT INTO parent VALUES (9, 9);
SELECT tableoid::regclass, * FROM parent ORDER BY _id;
ALTER TABLE parent DROP COLUMN i CASCADE;
SELECT tableoid::regclass, * FROM parent ORDER BY _id;
SELECT _id, l FROM kinds WHERE _id = 1;

-- a collection that is not there has no rows
CREATE FOREIGN TABLE missing (_id int) SERVER mongo;
SELECT * FROM missing;

-- the _id of a view may be an array, which equals none of its elements
CREATE FOREIGN TABLE grouped (_id int) SERVER mongo OPTIONS (on_mismatch 'null');
SELECT * FROM grouped ORDER BY _id;
SELECT * FROM grouped WHERE _id = 500;

-- what PostgreSQL does with the rows: joins, rescans, cursors, locks
SELECT g, (SELECT count(*) FROM numbers WHERE numbers._id < g) FROM generate_series(1, 3) g;
SELECT g, _id FROM generate_series(1, 3) g, LATERAL (SELECT _id FROM numbers WHERE _id > g ORDER BY _id LIMIT 1) n ORDER BY g;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT _id FROM numbers ORDER BY _id;
FETCH 2 FROM c;
FETCH BACKWARD 1 FROM c;
DECLARE h CURSOR WITH HOLD FOR SELECT _id FROM numbers WHERE _id <= 2 ORDER BY _id;
COMMIT;
FETCH ALL FROM h;
CLOSE h;
SELECT _id FROM paths WHERE _id = 1 FOR UPDATE;

DROP SCHEMA fdw_read CASCADE;
DROP SERVER mongo CASCADE;
