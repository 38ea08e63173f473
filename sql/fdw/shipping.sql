--
-- What is shipped, as EXPLAIN shows it.  No server is asked: there is none.
-- A condition under "Filter" is checked here; one that only the command has
-- is exact.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pynomaly_store;
RESET client_min_messages;
CREATE SCHEMA fdw_shipping;
SET search_path = fdw_shipping, pynomaly;
SET TimeZone = 'UTC';

CREATE SERVER nowhere FOREIGN DATA WRAPPER pynomaly_mongo
    OPTIONS (host '127.0.0.1', port '1');
CREATE USER MAPPING FOR CURRENT_USER SERVER nowhere;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);

CREATE FOREIGN TABLE t (
    _id text COLLATE "C",
    i2 int2, i4 int4, i8 int8,
    f4 float4, f8 float8,
    n numeric, n2 numeric(10,2),
    flag bool, other_flag bool,
    s text COLLATE "C", icu text COLLATE "en-x-icu", v varchar(5), nm name, c char(4) COLLATE "C",
    m mood, u uuid, b bytea,
    tz timestamptz, ts timestamp, d date,
    o pynomaly.objectid,
    j jsonb, a int[], ip inet, p positive,
    deep int OPTIONS (field 'x.y.z'),
    element int OPTIONS (field 'arr.0'),
    dotted int OPTIONS (field 'q\.r'),
    dollar int OPTIONS (field '$set'),
    doc jsonb OPTIONS (document 'true')
) SERVER nowhere OPTIONS (database 'd', collection 't', on_mismatch 'null');

-- the shipped filter, and the conditions that stay
CREATE FUNCTION shipped(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || query LOOP
        -- PostgreSQL 17 shows more of a subplan
        line := regexp_replace(line,
            '\(ANY \([^ ]* = \((hashed SubPlan \d+)\)\.col1\)\)', '(\1)');
        IF line ~ 'Filter:|MongoDB Command' THEN
            RETURN NEXT btrim(regexp_replace(regexp_replace(line,
                '\{"aggregate": ?"t", ?"pipeline": ?(\[.*\]), ?"cursor".*$', '\1'),
                'fdw_shipping\.', '', 'g'));
        END IF;
    END LOOP;
END $$;
CREATE FUNCTION shipped_where(condition text) RETURNS SETOF text LANGUAGE sql AS
$$ SELECT shipped('SELECT i4 FROM fdw_shipping.t WHERE ' || condition) $$;

-- the whole of it once
EXPLAIN (VERBOSE, COSTS OFF) SELECT i4, deep FROM t WHERE i4 = 5 AND s > 'a';
EXPLAIN (COSTS OFF) SELECT i4 FROM t WHERE i4 = 5;

\pset format unaligned
\pset tuples_only on
-- projections
SELECT shipped('SELECT count(*) FROM fdw_shipping.t');
SELECT shipped('SELECT _id FROM fdw_shipping.t');
SELECT shipped('SELECT element, deep FROM fdw_shipping.t');
SELECT shipped('SELECT dotted FROM fdw_shipping.t');
SELECT shipped('SELECT doc FROM fdw_shipping.t');

-- integers: equality is exact
SELECT shipped_where('i4 = 5');
SELECT shipped_where('5 = i4');
SELECT shipped_where('i4 = 5::bigint');
SELECT shipped_where('i4 = 5000000000');
SELECT shipped_where('i2 = 70000');
SELECT shipped_where('i4 <> 5');
SELECT shipped_where('i4 < 5');
SELECT shipped_where('5 < i4');
SELECT shipped_where('NOT i4 < 5');
SELECT shipped_where('i4 BETWEEN 1 AND 9');
SELECT shipped_where('i8 IN (1, 2, NULL)');
SELECT shipped_where('i4 NOT IN (1, 2)');
SELECT shipped_where('i4 NOT IN (1, NULL)');
SELECT shipped_where('NOT i4 = ANY (''{1,2}'')');
SELECT shipped_where('i4 = ANY (''{}''::int[])');
SELECT shipped_where('i4 <> ALL (''{}''::int[])');
SELECT shipped_where('i4 = NULL');
SELECT shipped_where('deep = 5');
SELECT shipped_where('p = 5');
SELECT shipped_where('i4 = 1.5');
SELECT shipped_where('i4 + 1 = 5');
SELECT shipped_where('i4 / 2 = 2');
SELECT shipped_where('i4 = i2');

-- floats: NaN is above all numbers
SELECT shipped_where('f8 = 0.5');
SELECT shipped_where('f8 > 0.5');
SELECT shipped_where('f8 <= 0.5');
SELECT shipped_where('f8 BETWEEN 0.1 AND 0.5');
SELECT shipped_where('f8 = ''NaN''');
SELECT shipped_where('f8 > ''NaN''');
SELECT shipped_where('f8 < ''NaN''');
SELECT shipped_where('f8 = 9007199254740993');
SELECT shipped_where('f4 = 0.1::float4');
SELECT shipped_where('f4 < 0.1');
SELECT shipped_where('f4 < ''-3.4028235e38''');
SELECT shipped_where('f4 > ''1e300''::float8');
SELECT shipped_where('f4 = ''-Infinity''');

-- numeric: a double is read as its shortest decimal
SELECT shipped_where('n = 5');
SELECT shipped_where('n = 1.1');
SELECT shipped_where('n2 > 1.1');
SELECT shipped_where('n > ''NaN''');

-- only where strings are compared does the collation of a collection matter
EXPLAIN (VERBOSE, COSTS OFF) SELECT i4 FROM t WHERE i4 = 1 OR (i8 = 2 AND m = 'ok');
EXPLAIN (VERBOSE, COSTS OFF) SELECT i4 FROM t WHERE i4 = 1 AND s IS NULL;

-- booleans
SELECT shipped_where('flag');
SELECT shipped_where('NOT flag');
SELECT shipped_where('flag IS TRUE');
SELECT shipped_where('flag IS NOT TRUE');
SELECT shipped_where('flag IS UNKNOWN');
SELECT shipped_where('flag <> true');
SELECT shipped_where('flag = other_flag');
SELECT shipped_where('(i4 < 5) = (NOT flag)');

-- strings
SELECT shipped_where('s = ''$x''');
SELECT shipped_where('s IN (''$s'', ''$$ROOT'')');
SELECT shipped_where('_id = ''5381ccf9d6d81c8e5bf0114d''');
SELECT shipped_where('_id = ''5381CCF9D6D81C8E5BF0114D''');
SELECT shipped_where('_id IN (''5381ccf9d6d81c8e5bf0114d'', ''x'')');
SELECT shipped_where('_id > ''5381ccf9d6d81c8e5bf0114d''');
SELECT shipped_where('_id >= ''5''');
SELECT shipped_where('_id < ''5g''');
SELECT shipped_where('_id < ''zzz''');
SELECT shipped_where('_id > ''ffffffffffffffffffffffff0''');
SELECT shipped_where('s <> ''x''');
SELECT shipped_where('icu = ''x''');
SELECT shipped_where('icu > ''x''');
SELECT shipped_where('s > ''x'' COLLATE "en-x-icu"');
SELECT shipped_where('v = ''abcdef''');
SELECT shipped_where('v = ''abc''');
SELECT shipped_where('nm = ''5381ccf9d6d81c8e5bf0114d''');
SELECT shipped_where('c = ''ab''');
SELECT shipped_where('c > ''ab''');
SELECT shipped_where('s LIKE ''a%''');
SELECT shipped_where('s LIKE ''xy%''');
SELECT shipped_where('s NOT LIKE ''%x_z%''');
SELECT shipped_where('s LIKE ''%x%y%z''');
SELECT shipped_where('s LIKE ''$.*\''');
SELECT shipped_where('s ILIKE ''x1''');
SELECT shipped_where('icu ILIKE ''x1''');
SELECT shipped_where('starts_with(s, ''$x'')');
SELECT shipped_where('s ~ ''^[a-z]+\.x$''');
SELECT shipped_where('s ~ ''(a*)*''');
SELECT shipped_where('s ~ ''[[:alpha:]]''');
SELECT shipped_where('nm LIKE ''x%''');
SELECT shipped_where('c LIKE ''x%''');
SELECT shipped_where('m = ''ok''');
SELECT shipped_where('m > ''sad''');

-- binary
SELECT shipped_where('u = ''00000000-0000-0000-0000-000000000001''');
SELECT shipped_where('u > ''00000000-0000-0000-0000-000000000001''');
SELECT shipped_where('b = ''\x01''');
SELECT shipped_where('b = ''\x5381ccf9d6d81c8e5bf0114d''');
SELECT shipped_where('b > ''\x01''');

-- dates
SELECT shipped_where('tz = ''2020-01-01 00:00:00+00''');
SELECT shipped_where('tz = ''2020-01-01 00:00:00.0005+00''');
SELECT shipped_where('tz >= ''2020-01-01 00:00:00.0005+00''');
SELECT shipped_where('tz < ''2020-01-01 00:00:00.0005+00''');
SELECT shipped_where('ts < ''1969-12-31 23:59:59.9995''');
SELECT shipped_where('tz < ''infinity''');
SELECT shipped_where('tz > ''infinity''');
SELECT shipped_where('ts = ''2020-01-01''');
SELECT shipped_where('d = ''2020-01-01''');
SELECT shipped_where('d <> ''2020-01-01''');
SELECT shipped_where('d > ''2020-01-01''');
SELECT shipped_where('d <= ''2020-01-01''');
SELECT shipped_where('d IN (''2020-01-01'', ''2020-02-01'')');
SELECT shipped_where('tz > ''2020-01-01''::date');

-- objectid
SELECT shipped_where('o = ''5381ccf9d6d81c8e5bf0114d''');
SELECT shipped_where('o > ''5381ccf9d6d81c8e5bf0114d''');
SELECT shipped_where('o <> ''5381ccf9d6d81c8e5bf0114d''');

-- NULL tests
SELECT shipped_where('i4 IS NULL');
SELECT shipped_where('i4 IS NOT NULL');
SELECT shipped_where('deep IS NULL');
SELECT shipped_where('s IS NULL');
SELECT shipped_where('v IS NULL');
SELECT shipped_where('u IS NULL');
SELECT shipped_where('j IS NULL');
SELECT shipped_where('j IS NOT NULL');
SELECT shipped_where('a IS NOT NULL');
SELECT shipped_where('p IS NULL');
SELECT shipped_where('NOT (i4 IS NULL)');

-- what only aggregations can name
SELECT shipped_where('element = 5');
SELECT shipped_where('dotted = 5');
SELECT shipped_where('dollar = 5');
SELECT shipped_where('doc IS NULL');

-- boolean logic: AND ships what it can, OR all or nothing
SELECT shipped_where('i4 = 1 AND hashint4(i4) = 2');
SELECT shipped_where('i4 = 1 OR hashint4(i4) = 2');
SELECT shipped_where('i4 = 1 OR s = ''x''');
SELECT shipped_where('NOT (i4 = 1 OR s = ''x'')');
SELECT shipped_where('NOT (i4 = 1 AND NOT flag)');
SELECT shipped_where('(i4 = 1 AND hashint4(i4) = 2) OR s = ''x''');
SELECT shipped_where('(i4 = 1 AND i8 = random()) OR s = ''x''');

-- beside what is shipped, conditions whose parts have no meaning elsewhere
SELECT shipped_where('i4 = 1 OR (i8 = 2 AND CASE WHEN i4 > 3 THEN true ELSE false END)');
SELECT shipped_where('i4 = 1 OR (i8 = 2 AND CASE s WHEN ''x'' THEN 1 END = 1)');
SELECT shipped_where('i4 = 1 OR (i8 = 2 AND s IN (SELECT relname FROM pg_class))');

-- nested deeper than a server takes
SELECT (SELECT count(*) FROM regexp_matches(line, '\$(and|or)"', 'g')) BETWEEN 5 AND 30
FROM shipped_where((SELECT string_agg(format('(i4 = %s %s', g, CASE WHEN g % 2 = 0 THEN 'OR ' ELSE 'AND ' END), '' ORDER BY g)
    || 'i8 = 1' || repeat(')', 100) FROM generate_series(1, 100) g)) line WHERE line ~ 'MongoDB Command';

-- together too large for a command: only what is exact is sent
DO $$
DECLARE plan json;
BEGIN
    EXECUTE (SELECT 'EXPLAIN (VERBOSE, FORMAT json) SELECT i4 FROM fdw_shipping.t WHERE i4 = 5 AND '
        || string_agg(format('s > repeat(%L, 1900000)', chr(97 + g)), ' AND ') FROM generate_series(1, 9) g)
    INTO plan;
    RAISE NOTICE '%', plan -> 0 -> 'Plan' ->> 'MongoDB Command';
END $$;

-- operators that only look alike are not shipped
CREATE FUNCTION never(int, int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS
'BEGIN RETURN false; END';
CREATE OPERATOR = (LEFTARG = int, RIGHTARG = int, FUNCTION = never);
SELECT shipped_where('i4 OPERATOR(fdw_shipping.=) 5');

-- parameters
PREPARE by_number(int, bigint) AS SELECT i4 FROM t WHERE i4 = $1 AND i8 >= $2 AND i8 < $2 + 1;
SET plan_cache_mode = force_generic_plan;
SELECT shipped('EXECUTE by_number(1, 2)');
SELECT shipped('EXECUTE by_number(1, NULL)');
SET plan_cache_mode = force_custom_plan;
SELECT shipped('EXECUTE by_number(1, 2)');
SELECT shipped('EXECUTE by_number(1, NULL)');
RESET plan_cache_mode;
-- a parameter that may be NULL
PREPARE if_given(int) AS SELECT i4 FROM t WHERE $1 IS NULL OR i4 = $1;
PREPARE other_than(int) AS SELECT i4 FROM t WHERE i4 IS DISTINCT FROM $1;
PREPARE same_as(int) AS SELECT i4 FROM t WHERE i4 IS NOT DISTINCT FROM $1;
SET plan_cache_mode = force_generic_plan;
SELECT shipped('EXECUTE if_given(5)');
SELECT shipped('EXECUTE if_given(NULL)');
SELECT shipped('EXECUTE other_than(5)');
SELECT shipped('EXECUTE other_than(NULL)');
SELECT shipped('EXECUTE same_as(5)');
SELECT shipped('EXECUTE same_as(NULL)');
RESET plan_cache_mode;
-- parameters without a value: PostgreSQL 16 can explain such a plan
DO $$
BEGIN
    IF current_setting('server_version_num')::int >= 160000 THEN
        EXECUTE 'EXPLAIN (GENERIC_PLAN, VERBOSE) SELECT i4 FROM fdw_shipping.t '
                'WHERE i4 = $1 AND i8 = length($2) AND s = ANY ($3)';
    END IF;
END $$;
SELECT shipped('SELECT i4 FROM fdw_shipping.t WHERE i4 = (SELECT count(*) FROM pg_class)');
SELECT shipped('SELECT (SELECT i4 FROM fdw_shipping.t WHERE i8 = x) FROM generate_series(1, 2) x');
SELECT shipped_where('tz > now() - interval ''1 hour''') ~ '"\$gt": ?\{"\$date"' AS now_is_a_value;
SELECT shipped_where('f8 > random()');

-- an error for a value that does not fit must see it
ALTER FOREIGN TABLE t OPTIONS (SET on_mismatch 'error');
SELECT shipped_where('i4 IS NOT NULL');
SELECT shipped_where('i4 IS NULL');
SELECT shipped_where('i4 = 5');

-- switched off
SET pynomaly_store.enable_pushdown = off;
SELECT shipped_where('i4 = 5');
RESET pynomaly_store.enable_pushdown;

-- and reading fails, with the server's name
\set VERBOSITY terse
SELECT i4 FROM t WHERE i4 = 5;
SELECT i4 FROM t WHERE i4 = NULL;

DROP SCHEMA fdw_shipping CASCADE;
DROP SERVER nowhere CASCADE;
