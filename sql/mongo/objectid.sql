--
-- The type pynomaly.objectid.  Nothing here talks to a server.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pynomaly_store;
RESET client_min_messages;
CREATE SCHEMA mongo_objectid;
SET search_path = mongo_objectid, pynomaly;
SET timezone = 'UTC';
SET datestyle = ISO;

-- input and output
SELECT '5381CCF9d6d81c8e5bf0114d'::objectid;
SELECT '5381ccf9d6d81c8e5bf0114'::objectid;
SELECT '5381ccf9d6d81c8e5bf0114d0'::objectid;
SELECT '5381ccf9d6d81c8e5bf0114g'::objectid;
SELECT ' 5381ccf9d6d81c8e5bf0114d'::objectid;
SELECT ''::objectid;
SELECT NULL::objectid;

-- casts
SELECT '5381ccf9d6d81c8e5bf0114d'::text::objectid::text;
SELECT '5381ccf9d6d81c8e5bf0114d'::objectid::bytea;
SELECT '\x5381ccf9d6d81c8e5bf0114d'::bytea::objectid;
SELECT '\x5381ccf9d6d81c8e5bf011'::bytea::objectid;
SELECT '\x'::bytea::objectid;
SELECT '5381ccf9d6d81c8e5bf0114d'::objectid::timestamptz;
SELECT objectid_timestamp('000000000000000000000000'),
       objectid_timestamp('ffffffff0000000000000000');
SELECT castsource::regtype, casttarget::regtype, castcontext
FROM pg_cast
WHERE 'objectid'::regtype IN (castsource, casttarget)
ORDER BY casttarget::regtype::text;

-- binary input and output
SELECT encode(objectid_send('5381ccf9d6d81c8e5bf0114d'), 'hex');

-- comparisons, of unsigned bytes
SELECT a, b, a < b AS lt, a <= b AS le, a = b AS eq, a <> b AS ne, a >= b AS ge, a > b AS gt,
       sign(objectid_cmp(a, b)::float8) AS cmp
FROM (VALUES ('7fffffffffffffffffffffff'::objectid, '800000000000000000000000'::objectid),
             ('800000000000000000000000', '7fffffffffffffffffffffff'),
             ('000000000000000000000001', '000000000000000000000001'),
             ('000000000000000000000001', NULL)) AS v (a, b);

-- tables, indexes, sorts, groups and joins
CREATE TABLE things (id objectid PRIMARY KEY, n int);
INSERT INTO things
SELECT lpad(to_hex((i * 7919) % 1000), 24, '0')::objectid, i FROM generate_series(0, 999) i;
INSERT INTO things VALUES ('000000000000000000000005', 0);
CREATE INDEX things_hash ON things USING hash (id);
ANALYZE things;
SELECT count(DISTINCT id), min(n), max(n) FROM things;
SELECT id FROM things ORDER BY id LIMIT 3;
SELECT id FROM things ORDER BY id DESC LIMIT 3;
SELECT array_agg(id ORDER BY id) = (SELECT array_agg(lpad(to_hex(i), 24, '0')::objectid ORDER BY i)
                                    FROM generate_series(0, 999) i) AS sorted
FROM things;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT n FROM things WHERE id > '0000000000000000000003e0' ORDER BY id;
SELECT count(*) FROM things WHERE id > '0000000000000000000003e0';
EXPLAIN (COSTS OFF) SELECT n FROM things WHERE id = '000000000000000000000007';
DROP INDEX things_hash;
EXPLAIN (COSTS OFF) SELECT n FROM things WHERE id = '000000000000000000000007';
SELECT n FROM things WHERE id = '000000000000000000000007';
RESET enable_seqscan;
RESET enable_bitmapscan;
CREATE TABLE copies AS SELECT id FROM things ORDER BY id LIMIT 100;
ANALYZE copies;
SET enable_mergejoin = off;
SET enable_nestloop = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM things a JOIN copies b USING (id);
SELECT count(*) FROM things a JOIN copies b USING (id);
RESET enable_mergejoin;
SET enable_hashjoin = off;
SELECT count(*) FROM things a JOIN copies b USING (id);
RESET enable_hashjoin;
RESET enable_nestloop;

-- hash partitions use the seeded hash
CREATE TABLE parts (id objectid) PARTITION BY HASH (id);
CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parts SELECT id FROM things;
SELECT count(*) FILTER (WHERE tableoid = 'parts_0'::regclass) BETWEEN 400 AND 600 AS even
FROM parts;

-- COPY
CREATE TABLE copied (id objectid);
COPY (SELECT id FROM things ORDER BY id LIMIT 2) TO STDOUT;
COPY copied FROM STDIN;
5381ccf9d6d81c8e5bf0114d
\N
\.
SELECT * FROM copied;

-- labels, links and comments
SELECT proname FROM pg_proc
WHERE pronamespace = 'pynomaly'::regnamespace AND proname LIKE 'objectid%'
  AND (provolatile <> 'i' OR NOT proisstrict OR proparallel <> 's');
SELECT o.oprname, c.oprname AS commutator, n.oprname AS negator, o.oprrest, o.oprjoin,
       o.oprcanhash, o.oprcanmerge, obj_description(o.oid, 'pg_operator') AS comment
FROM pg_operator o
LEFT JOIN pg_operator c ON c.oid = o.oprcom
LEFT JOIN pg_operator n ON n.oid = o.oprnegate
WHERE o.oprnamespace = 'pynomaly'::regnamespace
ORDER BY 1;
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'objectid_ops';
SELECT typlen, typbyval, typalign, typstorage FROM pg_type WHERE oid = 'objectid'::regtype;

-- everybody may use the type
CREATE ROLE regress_objectid;
SET ROLE regress_objectid;
SELECT '5381ccf9d6d81c8e5bf0114d'::pynomaly.objectid = '5381ccf9d6d81c8e5bf0114d';
RESET ROLE;
DROP ROLE regress_objectid;

DROP SCHEMA mongo_objectid CASCADE;
