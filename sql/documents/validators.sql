--
-- JSON schemas of foreign tables: every type of column, nested paths, and what
-- a schema cannot say.  No server is asked.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pynomaly_store;
RESET client_min_messages;
\set SHOW_CONTEXT never
CREATE SCHEMA documents_validators;
SET search_path = documents_validators, pynomaly;
CREATE SERVER unseen FOREIGN DATA WRAPPER pynomaly_mongo;

CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN given AS text NOT NULL;
CREATE FOREIGN TABLE every_type (
    i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric(10,2), b bool,
    t text, v varchar(5), v_any varchar, na name, c char(3), e mood, u uuid, by bytea,
    tz timestamptz, ts timestamp, d date, o pynomaly.objectid, j json, jb jsonb,
    ia int[], va varchar(5)[], matrix int[][], dom positive, giv given, other interval
) SERVER unseen;
SELECT key, value FROM jsonb_each(validator_from_table('every_type')->'properties') ORDER BY key COLLATE "C";
SELECT validator_from_table('every_type') - 'properties' AS rest;

-- NOT NULL, nested paths, two columns of one field
CREATE FOREIGN TABLE nested (
    _id int NOT NULL,
    x int OPTIONS (field 'a.b.x') NOT NULL,
    y text OPTIONS (field 'a.b.y'),
    a jsonb,
    z int OPTIONS (field 'c.z'),
    c jsonb NOT NULL,
    o_text text OPTIONS (field 'o'), o_bytes bytea OPTIONS (field 'o'),
    m mood NOT NULL, any_json json NOT NULL
) SERVER unseen;
SELECT jsonb_pretty(validator_from_table('nested'));

-- no schema can follow a position, or a key with a dot or a dollar
CREATE FOREIGN TABLE unfollowed (
    first int OPTIONS (field 'arr.0'), dot int OPTIONS (field 'a\.b'),
    dollar int OPTIONS (field '$set'), deep int OPTIONS (field 'a.0.b') NOT NULL,
    whole jsonb OPTIONS (document 'true'), __doc json
) SERVER unseen;
SELECT validator_from_table('unfollowed');

-- a dropped column
ALTER FOREIGN TABLE nested DROP COLUMN x, DROP COLUMN y, DROP COLUMN c, DROP COLUMN m;
SELECT validator_from_table('nested');

-- tables of other kinds
CREATE TABLE plain (a int);
SELECT validator_from_table('plain');
SELECT validator_from_table(0);
SELECT validator_from_table(NULL);

SET client_min_messages = warning;
DROP SCHEMA documents_validators CASCADE;
DROP SERVER unseen;
