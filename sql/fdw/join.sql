--
-- Which joins are shipped, as EXPLAIN shows it.  No server is asked: there is
-- none, so that the only index known is that of _id.  The rows are tested in
-- test/t/014_joins.py.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pynomaly_store;
RESET client_min_messages;
SET jit = off;      -- stages() seems dear enough to compile, for a second each time
CREATE SCHEMA fdw_join;
SET search_path = fdw_join, pynomaly;

CREATE SERVER here FOREIGN DATA WRAPPER pynomaly_mongo
    OPTIONS (host '127.0.0.1', port '1', database 'd');
CREATE SERVER there FOREIGN DATA WRAPPER pynomaly_mongo
    OPTIONS (host '127.0.0.1', port '2', database 'd');
CREATE USER MAPPING FOR CURRENT_USER SERVER here;
CREATE USER MAPPING FOR CURRENT_USER SERVER there;
CREATE DOMAIN positive AS int CHECK (VALUE > 0);

CREATE FOREIGN TABLE orders (
    _id int, customer int8, product text COLLATE "C", amount int, note text,
    price numeric, score float8, at timestamptz, day date, code char(4), ref uuid,
    p positive, "a.b" int, a_b int, doc jsonb OPTIONS (document 'true')
) SERVER here OPTIONS (collection 'orders', on_mismatch 'null');
CREATE FOREIGN TABLE customers (_id int, name text COLLATE "C", country text, flag bool)
    SERVER here OPTIONS (collection 'customers', on_mismatch 'null');
CREATE FOREIGN TABLE products (_id text COLLATE "C", name text, stock int)
    SERVER here OPTIONS (collection 'products', on_mismatch 'null');
CREATE FOREIGN TABLE strict (_id int, customer int, amount int)
    SERVER here OPTIONS (collection 'orders');
CREATE FOREIGN TABLE far (_id int, name text) SERVER there;
CREATE FOREIGN TABLE other (_id int, name text) SERVER here OPTIONS (database 'e');
CREATE FOREIGN TABLE kept (_id int, name text)
    SERVER here OPTIONS (enable_join_pushdown 'false');
CREATE FOREIGN TABLE by_price (_id numeric, name text) SERVER here;
CREATE FOREIGN TABLE by_score (_id float8, name text) SERVER here;
CREATE FOREIGN TABLE by_time (_id timestamptz, day date OPTIONS (field '_id')) SERVER here;
CREATE FOREIGN TABLE by_code (_id char(4), ref uuid OPTIONS (field '_id')) SERVER here;
CREATE FOREIGN TABLE by_domain (_id positive) SERVER here;
CREATE FOREIGN TABLE by_part (one int OPTIONS (field '_id.0'), x int OPTIONS (field '_id.x'))
    SERVER here;
CREATE TABLE local (id int, customer int);

-- a stage of a pipeline by its name, with what is looked up where, and what
-- stands in it
CREATE FUNCTION stages(pipeline jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(
        CASE operator
            WHEN '$lookup' THEN format('$lookup(%s.%s', argument->>'from',
                argument->>'foreignField')
                || coalesce(': ' || fdw_join.stages(argument->'pipeline'), '') || ')'
            WHEN '$unionWith' THEN format('$unionWith(%s: %s)', argument->>'coll',
                fdw_join.stages(argument->'pipeline'))
            WHEN '$unwind' THEN '$unwind' ||
                CASE WHEN (argument->>'preserveNullAndEmptyArrays')::bool THEN '?' ELSE '' END
            ELSE operator
        END, ' ' ORDER BY n)
    FROM jsonb_array_elements(pipeline) WITH ORDINALITY AS s (stage, n),
         jsonb_each(CASE WHEN stage ? '$unwind' AND jsonb_typeof(stage->'$unwind') = 'string'
                    THEN '{"$unwind": {}}' ELSE stage END) AS o (operator, argument)
$$;
-- the pipeline and what is checked here, of a plan without local joins
CREATE FUNCTION joined(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    plan json;
    command jsonb;
BEGIN
    EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON) ' || query INTO plan;
    plan := plan->0->'Plan';
    IF plan->>'Node Type' <> 'Foreign Scan' AND plan->'Plans'->0->>'Node Type' = 'Foreign Scan'
       AND plan->'Plans'->1 IS NULL THEN
        RETURN NEXT plan->>'Node Type' || ' over';
        plan := plan->'Plans'->0;
    END IF;
    IF plan->>'Node Type' <> 'Foreign Scan' THEN
        RETURN NEXT 'here';
        RETURN;
    END IF;
    -- jsonb has no zero bytes
    command := replace(plan->>'MongoDB Command', '\u0000', '')::jsonb;
    RETURN NEXT (command->>'aggregate') || ': ' || fdw_join.stages(command->'pipeline');
    IF plan->>'Filter' IS NOT NULL THEN
        RETURN NEXT 'checked: ' || (plan->>'Filter');
    END IF;
END $$;
SET pynomaly_store.enable_aggregate_pushdown = off;
SET pynomaly_store.enable_batched_join_pushdown = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_nestloop = off;
\pset format unaligned
\pset tuples_only on

-- kinds of joins
SELECT joined('SELECT amount, c.name FROM orders o JOIN customers c ON c._id = customer');
SELECT joined('SELECT amount, c.name FROM orders o LEFT JOIN customers c ON c._id = customer');
SELECT joined('SELECT amount, c.name FROM customers c RIGHT JOIN orders o ON c._id = customer');
SELECT joined('SELECT amount FROM orders WHERE EXISTS
    (SELECT 1 FROM customers c WHERE c._id = customer)');
SELECT joined('SELECT amount FROM orders WHERE customer IN (SELECT _id FROM customers)');
SELECT joined('SELECT amount FROM orders WHERE NOT EXISTS
    (SELECT 1 FROM customers c WHERE c._id = customer)');
SELECT joined('SELECT x.name, y.name FROM customers x FULL JOIN customers y ON x._id = y._id');
-- a full join looks up on both sides
SELECT joined('SELECT 1 FROM orders FULL JOIN customers c ON c._id = customer');

-- what needs an index: the size of no collection is known
SELECT joined('SELECT 1 FROM orders x JOIN orders y ON x.customer = y.customer');
SELECT joined('SELECT 1 FROM orders JOIN customers c ON c._id < customer');
SELECT joined('SELECT 1 FROM orders CROSS JOIN customers');

-- what values can be looked up in
SELECT joined('SELECT 1 FROM orders JOIN products p ON p._id = product');
SELECT joined('SELECT 1 FROM orders o JOIN by_time t ON t._id = at');
SELECT joined('SELECT 1 FROM orders o JOIN by_time t ON t.day = o.day');
SELECT joined('SELECT 1 FROM orders JOIN by_price p ON p._id = price');
SELECT joined('SELECT 1 FROM orders JOIN by_score s ON s._id = score');
SELECT joined('SELECT 1 FROM orders JOIN by_code c ON c._id = code');
SELECT joined('SELECT 1 FROM orders o JOIN by_code c ON c.ref = o.ref');
SELECT joined('SELECT 1 FROM orders JOIN by_domain d ON d._id = p');
SELECT joined('SELECT 1 FROM orders JOIN by_part ON one = amount');
SELECT joined('SELECT 1 FROM orders JOIN customers c ON c.name = product COLLATE "en-x-icu"');

-- conditions of a pair, of the rows, and before the join
SELECT joined('SELECT 1 FROM orders JOIN customers c ON c._id = customer AND c.name < product');
SELECT joined('SELECT 1 FROM orders JOIN customers c ON c._id = customer
    WHERE amount = 5 AND c.name = ''x''');
SELECT joined('SELECT 1 FROM orders LEFT JOIN customers c ON c._id = customer
    AND amount = 5 AND c.name = ''x''');
SELECT joined('SELECT 1 FROM orders LEFT JOIN customers c ON c._id = customer
    WHERE amount = 5 AND c.name IS NULL');
-- what is checked here can wait for an inner join, or on the side that is kept
SELECT joined('SELECT 1 FROM orders JOIN customers c ON c._id = customer
    WHERE md5(note) = ''x'' AND md5(country) = ''x''');
SELECT joined('SELECT 1 FROM orders JOIN customers c ON c._id = customer AND note ~ country');
SELECT joined('SELECT 1 FROM orders LEFT JOIN customers c ON c._id = customer
    WHERE md5(note) = ''x''');
SELECT joined('SELECT 1 FROM orders LEFT JOIN customers c ON c._id = customer
    WHERE md5(note || c.name) IS NULL');
SELECT joined('SELECT 1 FROM orders WHERE md5(note) = ''x'' AND EXISTS
    (SELECT 1 FROM customers c WHERE c._id = customer)');
SELECT joined('SELECT 1 FROM orders LEFT JOIN customers c ON c._id = customer
    AND md5(country) = ''x''');
SELECT joined('SELECT 1 FROM orders LEFT JOIN customers c ON c._id = customer
    AND note ~ country');
SELECT joined('SELECT 1 FROM orders WHERE EXISTS
    (SELECT 1 FROM customers c WHERE c._id = customer AND md5(country) = ''x'')');
-- not a volatile one, nor behind the back of a view
SELECT joined('SELECT 1 FROM orders JOIN customers c ON c._id = customer
    WHERE amount * random() < 1');
CREATE VIEW mine WITH (security_barrier) AS
    SELECT * FROM orders WHERE md5(note) = current_user;
SELECT joined('SELECT 1 FROM mine JOIN customers c ON c._id = customer');

-- values that do not fit must come out, whatever they are joined with
SELECT joined('SELECT 1 FROM strict JOIN customers c ON c._id = customer');
SELECT joined('SELECT 1 FROM strict LEFT JOIN customers c ON c._id = customer');
SELECT joined('SELECT 1 FROM strict WHERE EXISTS
    (SELECT 1 FROM customers c WHERE c._id = customer)');
SELECT joined('SELECT 1 FROM orders o LEFT JOIN strict s ON s._id = o.customer
    AND s.amount > o.amount');

-- more tables
SELECT joined('SELECT o._id, c.name, p.name FROM orders o JOIN customers c ON c._id = customer
    JOIN products p ON p._id = product');
SELECT joined('SELECT o._id, c.name, p.name FROM orders o
    LEFT JOIN customers c ON c._id = customer LEFT JOIN products p ON p._id = product');
SELECT joined('SELECT c._id FROM strict s LEFT JOIN
    (orders o JOIN customers c ON c._id = o.customer) ON o._id = s.customer');
SELECT joined('SELECT s._id FROM strict s WHERE EXISTS (SELECT 1 FROM orders o
    JOIN customers c ON c._id = o.customer WHERE o._id = s.customer)');

-- what is put out
SELECT joined('SELECT count(*) FROM orders JOIN customers c ON c._id = customer');
SELECT joined('SELECT o."a.b", o.a_b FROM orders o JOIN customers c ON c._id = customer');
SELECT joined('SELECT o, c.tableoid FROM orders o JOIN customers c ON c._id = customer');
SELECT joined('SELECT o.doc FROM orders o JOIN customers c ON c._id = customer');
SELECT joined('SELECT o.ctid FROM orders o JOIN customers c ON c._id = customer');
SELECT joined('SELECT c.two FROM orders o LEFT JOIN
    (SELECT *, 2 AS two FROM customers) c ON c._id = customer');

-- not across databases and servers, nor where an option says no
SELECT joined('SELECT 1 FROM orders o JOIN other c ON c._id = customer');
SELECT joined('SELECT 1 FROM orders o JOIN far c ON c._id = customer');
SELECT joined('SELECT 1 FROM orders o JOIN kept c ON c._id = customer');
SET pynomaly_store.enable_join_pushdown = off;
SELECT joined('SELECT 1 FROM orders o JOIN customers c ON c._id = customer');
RESET pynomaly_store.enable_join_pushdown;

-- a row that has been locked is joined again here
SET enable_nestloop = on;
SELECT joined('SELECT o._id FROM orders o JOIN customers c ON c._id = customer FOR UPDATE');

-- a prepared statement with a generic plan
SET plan_cache_mode = force_generic_plan;
PREPARE q (int, text) AS SELECT o._id FROM orders o LEFT JOIN customers c
    ON c._id = customer AND amount > $1 WHERE product = $2;
SELECT joined('EXECUTE q (1, ''x'')');
SET client_min_messages = warning;
DROP SCHEMA fdw_join CASCADE;
DROP SERVER here CASCADE;
DROP SERVER there CASCADE;
