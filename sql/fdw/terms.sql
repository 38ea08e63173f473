--
-- Expressions as MongoDB is asked for them.  No server is asked: there is
-- none; what they give is tested by test/t/010_terms.py.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pynomaly_store;
RESET client_min_messages;
CREATE SCHEMA fdw_terms;
SET search_path = fdw_terms, pynomaly;
SET TimeZone = 'America/New_York';

CREATE SERVER nowhere FOREIGN DATA WRAPPER pynomaly_mongo
    OPTIONS (host '127.0.0.1', port '1');
CREATE USER MAPPING FOR CURRENT_USER SERVER nowhere;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE FOREIGN TABLE t (
    i2 int2, i4 int4, i8 int8, f8 float8, flag bool,
    s text COLLATE "C", v varchar(3) COLLATE "C", nm name, m mood,
    ts timestamp, ts0 timestamp(0), tz timestamptz, d date, o pynomaly.objectid,
    f4 float4, n numeric, u uuid, b bytea, c char(3), j jsonb, a int[], p positive,
    deep int OPTIONS (field 'x.y'), element int OPTIONS (field 'arr.0'),
    below int OPTIONS (field 'arr.0.k'), dotted int OPTIONS (field 'q\.r'),
    dollar int OPTIONS (field '$set')
) SERVER nowhere OPTIONS (database 'd', collection 't', on_mismatch 'null');

-- the expression that a condition becomes, and whether it is checked here;
-- its columns are c0, c1, ...
CREATE FUNCTION command(condition text, OUT command json, OUT filter text)
LANGUAGE plpgsql AS $$
DECLARE plan json;
BEGIN
    EXECUTE 'EXPLAIN (VERBOSE, FORMAT json) SELECT 1 FROM fdw_terms.t WHERE ' || condition
    INTO plan;
    command := replace(plan -> 0 -> 'Plan' ->> 'MongoDB Command', '\u0000', 'NUL');
    filter := plan -> 0 -> 'Plan' ->> 'Filter';
END $$;
CREATE FUNCTION term(condition text) RETURNS text LANGUAGE sql AS $$
SELECT coalesce((command #> '{pipeline,0,$match,$expr,$let,in}')::text,
                (command #> '{pipeline,0,$match}')::text, 'not sent')
    || CASE WHEN filter IS NULL THEN '' ELSE ', checked here' END
FROM command(condition) $$;
-- how a column is read
CREATE FUNCTION form(field text) RETURNS text LANGUAGE sql AS $$
SELECT coalesce((command #> '{pipeline,0,$match,$expr,$let,vars,c0}')::text, 'not known')
FROM command(format('CASE WHEN %I IS NULL THEN %I IS NULL END', field, field)) $$;

\pset format unaligned
\pset tuples_only on
-- the form of each type
SELECT form('i2');
SELECT form('i4');
SELECT form('i8');
SELECT form('f8');
SELECT form('flag');
SELECT form('s');
SELECT form('v');
SELECT form('nm');
SELECT form('m');
SELECT form('ts');
SELECT form('ts0');
SELECT form('tz');
SELECT form('d');
SELECT form('o');
-- paths
SELECT form('deep');
SELECT form('element');
SELECT form('below');
SELECT form('dotted');
SELECT form('dollar');
-- of some types only whether a value fits
SELECT form('n');
SELECT form('b');
SELECT form('c');
-- those that MongoDB cannot tell exactly
SELECT form('f4');
SELECT form('u');
SELECT form('j');
SELECT form('a');
SELECT form('p');

-- comparisons: null is equal to nothing else, and below everything
SELECT term('i4 = i2');
SELECT term('i4 < i2');
SELECT term('i4 > i2');
SELECT term('i4 <> i2');
SELECT term('flag = (i4 < i2)');
-- NaN is above all numbers
SELECT term('f8 < i8');
SELECT term('(f8 > 1.5) = flag');
-- what lies between two values, or beyond them all
SELECT term('(i4 > 1.5) = flag');
SELECT term('(i4 = 1.5) = flag');
SELECT term('(i4 <= ''NaN''::numeric) = flag');
SELECT term('(ts < ''2020-01-01 00:00:00.0005'') = flag');
SELECT term('(ts = ''2020-01-01 00:00:00.0005'') = flag');
SELECT term('(d < ''infinity'') = flag');
-- labels are ordered as they were declared
SELECT term('(m < ''ok'') = flag');
-- a string is a string
SELECT term('coalesce(s, ''$x'') = ''$s''');
SELECT term('s < v');
SELECT term('s < v COLLATE "en-x-icu"');
-- the session's time zone decides
SELECT term('tz > ts');
-- arrays
SELECT term('element IN (1, 2, NULL)');
SELECT term('element NOT IN (1, 2)');
SELECT term('(element NOT IN (1, NULL)) IS NULL');
SELECT term('element = ANY (''{}'')');

-- three-valued logic
SELECT term('flag = (i4 > 1 AND i2 > 1)');
SELECT term('(flag OR i4 > deep) IS NOT TRUE');
SELECT term('(NOT flag) = (i4 > 1)');
SELECT term('i4 IS DISTINCT FROM i2');
SELECT term('coalesce(i4, i2, 0) = 0');
SELECT term('coalesce(i4, NULL) = element');
SELECT term('nullif(i4, i2) = 1');
SELECT term('greatest(i4, i2) = 1');
SELECT term('greatest(f8, i4) = 1');
SELECT term('least(f8, i4) = 1');
SELECT term('CASE WHEN i4 > 1 THEN i2 WHEN flag THEN 3 END = 1');
SELECT term('CASE i4 WHEN 1 THEN true WHEN 2 THEN flag ELSE false END');

-- arithmetic: null where PostgreSQL has an error, which is then looked for
SELECT term('i4 + 1 = 2');
SELECT term('i8 * 2 = 2');
SELECT term('i2 - i2 = 2');
SELECT term('i4 / 2 = 2');
SELECT term('i4 / i2 = 2');
SELECT term('i4 % 2 = 1');
SELECT term('f8 + 1 = 2');
SELECT term('f8 / 2 = 2');
SELECT term('i8::int4 = 2');
SELECT term('f8::int4 = 2');
SELECT term('i4 * 1.5 = 3');
SELECT term('n + 1 = 3');

-- dates
SELECT term('ts::date = d');
SELECT term('date_trunc(''hour'', ts) = ts');
SELECT term('date_trunc(''month'', ts) = ts');
SELECT term('extract(dow FROM d) = 0');
SELECT term('extract(year FROM d) = 2020');
SELECT term('date_part(''second'', ts) = 0.5');
SELECT term('d + 1 = ''2020-01-01''');
SELECT term('ts + interval ''1 day'' > ''2020-01-01''');
SELECT term('(tz AT TIME ZONE ''UTC'')::date = d');
SELECT term('(tz AT TIME ZONE ''Etc/GMT-5'') > ts');
SELECT term('(tz AT TIME ZONE ''Europe/Berlin'') > ts');
SELECT term('extract(year FROM tz) = 2020');

-- where a value that does not fit is an error, it is looked for too
ALTER FOREIGN TABLE t OPTIONS (SET on_mismatch 'error');
SELECT term('i4 < i2');
SELECT term('coalesce(deep, 5) = 1');
SELECT term('coalesce(i4, i2) = 1');

-- parameters: a CASE does not evaluate what PostgreSQL might not
PREPARE by_case(int) AS SELECT 1 FROM t WHERE CASE WHEN i4 = 1 THEN i2 = $1 + 1 END;
PREPARE by_parameter(int) AS SELECT 1 FROM t WHERE CASE WHEN i4 = 1 THEN i2 = $1 END;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (VERBOSE, COSTS OFF) EXECUTE by_case(1);
EXPLAIN (VERBOSE, COSTS OFF) EXECUTE by_parameter(1);
RESET plan_cache_mode;

-- switched off
SET pynomaly_store.enable_expression_pushdown = off;
SELECT term('i4 = i2');
RESET pynomaly_store.enable_expression_pushdown;

DROP SCHEMA fdw_terms CASCADE;
DROP SERVER nowhere CASCADE;
