--
-- The audit log: what it records, who may touch it, what verification finds.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pynomaly_store;
RESET client_min_messages;
\set SHOW_CONTEXT never
\set code '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SET search_path = pynomaly;
SET timezone = 'America/New_York';
CREATE SCHEMA store_audit;
SELECT clock_timestamp() AS began \gset
-- what this test looks at
CREATE VIEW store_audit.entries AS
SELECT row_number() OVER (ORDER BY created_at, sequence) AS n, action, resource_type, resource_key,
       old_values, new_values
FROM audit_log WHERE created_at >= :'began' ORDER BY 1;

-- every table that an operator can write is recorded, what is measured
-- from its first change on
SELECT c.relname, string_agg(CASE WHEN t.tgtype & 4 > 0 THEN 'insert ' ELSE '' END
                             || CASE WHEN t.tgtype & 16 > 0 THEN 'update ' ELSE '' END
                             || CASE WHEN t.tgtype & 8 > 0 THEN 'delete' ELSE '' END
                             || CASE WHEN t.tgtype & 32 > 0 THEN 'truncate' ELSE '' END, ', ' ORDER BY t.tgname)
FROM pg_class c
LEFT JOIN pg_trigger t ON t.tgrelid = c.oid AND t.tgfoid = 'record_change'::regproc
WHERE c.relnamespace = 'pynomaly'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND has_table_privilege('pynomaly_admin', c.oid, 'INSERT')
GROUP BY 1
HAVING string_agg(t.tgname, ',' ORDER BY t.tgname) IS DISTINCT FROM 'record_change,record_truncate'
    OR bool_or(t.tgname = 'record_change' AND t.tgtype & 28 <> 28)
ORDER BY 1;

-- all types, masked secrets, ignored columns, large values
CREATE DOMAIN store_audit.percent AS numeric CHECK (VALUE <= 100);
CREATE TABLE store_audit.kinds (
    tenant_id uuid, a int, b text, PRIMARY KEY (b, a),
    gone text, flag boolean, small smallint, big bigint, real4 float4, real8 float8, exact numeric(20,5),
    share store_audit.percent, day date, at timestamp, instant timestamptz, span interval, "list" int[],
    words varchar(20)[], bytes bytea, place inet, doc jsonb, old_json json, fixed char(5), seen int,
    api_token text, token_count int, password_changed_at timestamptz, doubled int GENERATED ALWAYS AS (a * 2) STORED);
ALTER TABLE store_audit.kinds DROP COLUMN gone;
SELECT audit_table('store_audit.kinds', ignored => '{seen}');
INSERT INTO store_audit.kinds VALUES
    ('11000000-0000-4000-8000-000000000001', 1, 'eins "zwei"', true, -1, 9223372036854775807, 0.1, 0.1, 1.50,
     99.9, '2025-02-03', '2025-02-03 04:05:06.789', '2025-02-03 04:05:06.789+01', '1 day 2 hours', '{1,NULL,3}',
     '{a,"b c"}', '\x00ff', '10.0.0.1/8',
     '{"plain": [1.50, "x", null], "Password": "p", "list": [{"secret_key": {"a": [1, "b", true]}, "b": 1}]}',
     '{"a":  1}', 'abc', 7, 'tok', 3, '2025-02-03 04:05:06+00');
SELECT action, resource_type, jsonb_pretty(resource_key) AS key, jsonb_pretty(new_values) AS new
FROM store_audit.entries WHERE n = 1 \gx
UPDATE store_audit.kinds SET real4 = 'NaN', real8 = '-Infinity', exact = 'NaN', share = NULL, day = 'infinity',
    doc = '"only"', api_token = 'other', a = 2, big = big;
UPDATE store_audit.kinds SET seen = 8;
UPDATE store_audit.kinds SET a = a;
UPDATE store_audit.kinds SET seen = 9, small = 0;
DELETE FROM store_audit.kinds RETURNING a;
INSERT INTO store_audit.kinds (a, b, doc) VALUES (1, 'x', 'null'), (2, 'y', '[]'), (3, 'z', '{}');
TRUNCATE store_audit.kinds;
SELECT n, action, resource_key, old_values AS old, new_values AS new
FROM store_audit.entries WHERE n IN (2, 3);
SELECT n, action, resource_key, old_values AS old, new_values -> 'doc' AS doc
FROM store_audit.entries WHERE n > 4;
SELECT n, old_values ->> 'a' AS a, tenant_id FROM store_audit.entries
JOIN audit_log USING (old_values) WHERE n = 4;
CREATE TABLE store_audit.large (id int PRIMARY KEY, words text, numbers float8[], doc jsonb, secret bytea);
SELECT audit_table('store_audit.large');
INSERT INTO store_audit.large VALUES
    (1, repeat('x', 8192), '{}', '{}', ''),
    (2, repeat('x', 8193), array_fill(0.5::float8, ARRAY[100000]), to_jsonb(repeat('y', 9000)), repeat('z', 9000)::bytea);
SELECT e.resource_key, length(e.new_values ->> 'words') AS length, e.new_values -> 'words' -> 'omitted_bytes' AS omitted,
       e.new_values -> 'words' ->> 'sha256' = encode(sha256(l.words::bytea), 'hex') AS words,
       e.new_values -> 'numbers' ->> 'sha256' = encode(sha256(array_send(l.numbers)), 'hex') AS numbers,
       e.new_values -> 'doc' ? 'sha256' AS doc, e.new_values -> 'secret' AS secret
FROM store_audit.entries e JOIN store_audit.large l ON l.id = (e.resource_key ->> 'id')::int
WHERE e.resource_type = 'store_audit.large' ORDER BY l.id;

-- a partition is recorded by the name of its table
CREATE TABLE store_audit.parted (a int) PARTITION BY LIST (a);
SELECT audit_table('store_audit.parted');
CREATE TABLE store_audit.part_one PARTITION OF store_audit.parted FOR VALUES IN (1);
CREATE TABLE store_audit.part_two PARTITION OF store_audit.parted FOR VALUES IN (2);
INSERT INTO store_audit.part_one VALUES (1);
UPDATE store_audit.parted SET a = 2;
SELECT action, resource_key, old_values, new_values FROM store_audit.entries
WHERE resource_type = 'store_audit.parted';

-- what audit_table refuses
SELECT audit_table('store_audit.kinds', '{select}');
:code
SELECT audit_table('store_audit.kinds', '{}');
:code
SELECT audit_table('store_audit.kinds', ignored => '{gone}');
:code
SELECT audit_table('store_audit.none');
:code
SELECT unaudit_table('store_audit.large'), unaudit_table('store_audit.large');
CREATE TRIGGER wrong BEFORE INSERT ON store_audit.large FOR EACH ROW EXECUTE FUNCTION record_change();
INSERT INTO store_audit.large (id) VALUES (3);
:code
DROP TRIGGER wrong ON store_audit.large;
CREATE TRIGGER wrong AFTER INSERT ON store_audit.large FOR EACH STATEMENT EXECUTE FUNCTION record_change();
INSERT INTO store_audit.large (id) VALUES (3);
:code
SELECT record_change();
:code

-- who: the role, the login, the application's user, his address, the request
INSERT INTO tenants (id, name, domain) VALUES
    ('11000000-0000-4000-8000-000000000001', 'Audited', 'audited.example'),
    ('11000000-0000-4000-8000-000000000002', 'Other', 'other.example');
SET ROLE pynomaly_app;
BEGIN;
SELECT set_tenant('11000000-0000-4000-8000-000000000001');
SELECT set_audit_context('20000000-0000-4000-8000-000000000001', '2001:db8::1', 'request 7');
INSERT INTO datasets (tenant_id, id, name) VALUES
    ('11000000-0000-4000-8000-000000000001', '30000000-0000-4000-8000-000000000001', 'd');
SELECT record_event('login', 'session', '{"id": 1}', 'failure', 'high', '{"token": "t", "attempts": 3}');
SELECT kind, action, resource_type, tenant_id, user_id, role_name, login_name = session_user AS login, nullif(address, inet_client_addr()) AS address,
       correlation_id, outcome, severity, details
FROM audit_log WHERE tenant_id = '11000000-0000-4000-8000-000000000001' ORDER BY created_at;
COMMIT;
BEGIN;
SELECT set_tenant('11000000-0000-4000-8000-000000000002');
SELECT count(*) FROM audit_log;
SELECT record_event('read', 'report');
SELECT action, user_id, nullif(address, inet_client_addr()) AS address, correlation_id, outcome, tenant_id FROM audit_log ORDER BY created_at;
ROLLBACK;
SELECT count(*) FROM audit_log;
-- as long as set_audit_context makes it, for an index has it
BEGIN;
SELECT set_tenant('11000000-0000-4000-8000-000000000002');
SELECT set_config('pynomaly_store.correlation_id', string_agg(sha256(i::text::bytea)::text, ''), true) <> '' FROM generate_series(1, 200) i;
SELECT record_event('read', 'report');
SELECT length(correlation_id) FROM audit_log WHERE action = 'read';
ROLLBACK;
SET pynomaly_store.user_id = 'admin';
:code
SET pynomaly_store.user_id = '20000000-0000-4000-8000-00000000000';
:code
SET pynomaly_store.client_address = 'localhost';
:code
SELECT record_event(NULL, 'x');
:code
SELECT record_event(repeat('x', 1000000), 'x');
:code
SELECT record_event('x', 'x', details => to_jsonb(string_agg(md5(i::text), ''))) FROM generate_series(1, 10000) i;
:code

-- nobody but the extension writes the log
INSERT INTO audit_log SELECT * FROM audit_log;
:code
UPDATE audit_log SET action = 'x';
:code
DELETE FROM audit_log;
:code
TRUNCATE audit_log;
:code
SELECT seal_audit_log();
:code
SELECT verify_audit_log();
:code
SELECT * FROM audit_blocks;
:code
SELECT write_audit_event('a', 'b', NULL, 'c', NULL, NULL, NULL);
:code
SET ROLE pynomaly_admin;
SELECT tenant_id, count(*) > 0 AS entries FROM audit_log WHERE created_at >= :'began' GROUP BY 1 ORDER BY 1;
DELETE FROM audit_log;
:code
RESET ROLE;
SELECT tableoid::regclass AS part FROM audit_log ORDER BY created_at DESC LIMIT 1 \gset
SELECT :'part' ~ '^audit_log_[0-9]{4}_[0-9]{2}$' AS month;
UPDATE audit_log SET action = 'x';
:code
DELETE FROM :part;
:code
TRUNCATE audit_log;
:code
TRUNCATE :part;
:code

-- not even its owner, unless a superuser
CREATE ROLE regress_store_owner;
BEGIN;
GRANT CREATE, USAGE ON SCHEMA pynomaly TO regress_store_owner;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pynomaly TO regress_store_owner;
DO $$ DECLARE member regclass; BEGIN
    FOR member IN SELECT relid FROM pg_partition_tree('pynomaly.audit_log') LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO regress_store_owner', member);
    END LOOP;
END $$;
ALTER TABLE audit_blocks OWNER TO regress_store_owner;
ALTER TABLE audit_log NO FORCE ROW LEVEL SECURITY;
SET ROLE regress_store_owner;
SELECT count(*) > 0 AS owns FROM audit_log;
\set ON_ERROR_ROLLBACK on
INSERT INTO audit_log SELECT * FROM audit_log LIMIT 1;
:code
UPDATE audit_log SET action = 'x';
UPDATE :part SET action = 'x';
DELETE FROM audit_log;
TRUNCATE audit_log;
TRUNCATE :part;
TRUNCATE audit_blocks;
:code
ALTER TABLE audit_log DISABLE TRIGGER guard_audit;
:code
ALTER TABLE audit_log_default DISABLE TRIGGER ALL;
ALTER TABLE audit_blocks DISABLE TRIGGER USER;
DROP TRIGGER guard_truncate ON audit_blocks;
DROP TRIGGER guard_audit ON audit_log;
ALTER TABLE audit_log DETACH PARTITION :part;
ALTER TABLE audit_log ALTER COLUMN severity SET DEFAULT 'low';
ALTER TABLE audit_log ADD COLUMN more int;
ALTER TABLE audit_log RENAME TO audit_past;
ALTER TABLE audit_log_default SET SCHEMA store_audit;
ALTER INDEX audit_log_pkey RENAME TO other;
CREATE RULE nothing AS ON DELETE TO audit_log DO INSTEAD NOTHING;
CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER skip BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION skip();
CREATE TABLE audit_log_3000 PARTITION OF audit_log FOR VALUES FROM ('3000-01-01') TO ('3000-02-01');
CREATE INDEX ON audit_log (action);
:code
DROP TABLE audit_log_default;
DROP TABLE audit_blocks;
DROP EVENT TRIGGER pynomaly_guard_audit_ddl;
ALTER EVENT TRIGGER pynomaly_guard_audit_ddl DISABLE;
SET session_replication_role = replica;
CREATE TABLE of_my_own (a int);
\set ON_ERROR_ROLLBACK off
ROLLBACK;
BEGIN;
CREATE TABLE audit_log_2000 PARTITION OF audit_log FOR VALUES FROM ('2000-01-01') TO ('2000-02-01');
ALTER TABLE audit_log_2000 OWNER TO regress_store_owner;
GRANT CREATE, USAGE ON SCHEMA pynomaly TO regress_store_owner;
SET ROLE regress_store_owner;
DROP TABLE audit_log_2000;
:code
ROLLBACK;
DROP ROLE regress_store_owner;

-- the log is as it was written, sealed or not; savepoints and rollbacks do not matter
SELECT seal_audit_log() > 0 AS sealed;
SELECT set_tenant('11000000-0000-4000-8000-000000000001', false);
BEGIN;
UPDATE datasets SET name = 'd1';
SAVEPOINT a;
UPDATE datasets SET name = 'd2';
SAVEPOINT b;
UPDATE datasets SET name = 'd3';
ROLLBACK TO b;
UPDATE datasets SET name = 'd4';
RELEASE b;
UPDATE datasets SET name = 'd5';
ROLLBACK TO a;
UPDATE datasets SET name = 'd6';
COMMIT;
BEGIN;
UPDATE datasets SET name = 'd7';
ROLLBACK;
DO $$ BEGIN
    FOR i IN 1..3 LOOP
        BEGIN
            UPDATE pynomaly.datasets SET description = i::text;
            IF i = 2 THEN RAISE EXCEPTION 'no'; END IF;
        EXCEPTION WHEN raise_exception THEN NULL;
        END;
    END LOOP;
END $$;
SELECT old_values, new_values FROM (
    SELECT old_values - 'updated_at' AS old_values, new_values - 'updated_at' AS new_values
    FROM audit_log WHERE resource_type = 'pynomaly.datasets'
    ORDER BY created_at DESC LIMIT 4) e;
SELECT * FROM verify_audit_log();
SELECT seal_audit_log() > 0 AS sealed, seal_audit_log() AS again;
SELECT * FROM verify_audit_log();
SELECT block_no AS head, hash AS head_hash FROM get_audit_head() \gset
SELECT problem, block_no - :head AS block FROM verify_audit_log(:head, :'head_hash');
SELECT problem, block_no - :head AS block FROM verify_audit_log(:head + 1, :'head_hash');
SELECT problem, block_no - :head AS block FROM verify_audit_log(:head, '\x00');

-- what a superuser does to sealed entries shows
CREATE PROCEDURE store_audit.tamper(command text) LANGUAGE plpgsql AS $$
DECLARE
    head bigint := (SELECT block_no FROM pynomaly.get_audit_head());
    found text;
BEGIN
    ALTER TABLE pynomaly.audit_log DISABLE TRIGGER USER;
    EXECUTE format('ALTER TABLE %s DISABLE TRIGGER USER',
                   (SELECT tableoid::regclass FROM pynomaly.audit_log ORDER BY created_at DESC LIMIT 1));
    ALTER TABLE pynomaly.audit_blocks DISABLE TRIGGER USER;
    EXECUTE command;
    SELECT string_agg(DISTINCT problem || coalesce(', block ' || block_no - head, ''), E'\n') INTO found
    FROM pynomaly.verify_audit_log();
    RAISE NOTICE '%', found;
    ROLLBACK;
END
$$;
CREATE VIEW store_audit.mine AS
SELECT l.*, row_number() OVER (ORDER BY sequence) AS n, row_number() OVER (ORDER BY sequence DESC) AS last
FROM audit_log l WHERE chain_id = (SELECT chain_id FROM audit_log ORDER BY created_at DESC LIMIT 1);
CALL store_audit.tamper('SELECT');
CALL store_audit.tamper($$ UPDATE pynomaly.audit_log SET old_values = '{}' WHERE action = 'truncate' $$);
CALL store_audit.tamper($$ UPDATE pynomaly.audit_log SET tenant_id = NULL WHERE resource_type = 'pynomaly.datasets' $$);
CALL store_audit.tamper($$ UPDATE pynomaly.audit_log SET created_at = created_at - interval '1 s' WHERE action = 'truncate' $$);
CALL store_audit.tamper($$ DELETE FROM pynomaly.audit_log WHERE (chain_id, sequence) IN (SELECT chain_id, sequence FROM store_audit.mine WHERE n = 3) $$);
-- the newest, of which no entry tells
CALL store_audit.tamper($$ DELETE FROM pynomaly.audit_log WHERE (chain_id, sequence) IN (SELECT chain_id, sequence FROM store_audit.mine WHERE last <= 2) $$);
-- a chain that was made anew is not what was sealed
CALL store_audit.tamper($$ UPDATE pynomaly.audit_log l SET action = 'x'
    WHERE (chain_id, sequence) IN (SELECT chain_id, sequence FROM store_audit.mine WHERE last = 1);
    UPDATE pynomaly.audit_log l SET hash = pynomaly.hash_audit_entry(l) WHERE action = 'x' $$);
CALL store_audit.tamper($$ INSERT INTO pynomaly.audit_log SELECT l.* FROM (SELECT created_at + interval '1 s', tenant_id, kind,
    action, resource_type, resource_key, old_values, new_values, outcome, severity, details, user_id, role_name, login_name,
    address, application_name, correlation_id, system_id, transaction_id, 1, 1, NULL::bytea, '\x01'::bytea
    FROM store_audit.mine WHERE last = 1) l $$);
CALL store_audit.tamper($$ INSERT INTO pynomaly.audit_log SELECT l.* FROM (SELECT '2000-01-01'::timestamptz, tenant_id, kind,
    action, resource_type, resource_key, old_values, new_values, outcome, severity, details, user_id, role_name, login_name,
    address, application_name, correlation_id, system_id, 3, 1, 1, NULL::bytea, '\x01'::bytea
    FROM store_audit.mine WHERE last = 1) l $$);
CALL store_audit.tamper(format('TRUNCATE pynomaly.%s', :'part'));
CALL store_audit.tamper($$ UPDATE pynomaly.audit_blocks SET entries = entries - 1 WHERE block_no = (SELECT max(block_no) - 1 FROM pynomaly.audit_blocks) $$);
CALL store_audit.tamper($$ DELETE FROM pynomaly.audit_blocks WHERE block_no = (SELECT max(block_no) - 1 FROM pynomaly.audit_blocks) $$);
-- the last block together with its entries: only who noted the head sees that
CALL store_audit.tamper($$ DELETE FROM pynomaly.audit_log l USING pynomaly.audit_blocks b
    WHERE b.block_no = (SELECT max(block_no) FROM pynomaly.audit_blocks) AND l.transaction_id >= b.from_transaction;
    DELETE FROM pynomaly.audit_blocks WHERE block_no = (SELECT max(block_no) FROM pynomaly.audit_blocks) $$);

-- unsealed entries: in the middle of a session's chain it shows, at its end when the session goes on
UPDATE datasets SET name = 'e1';
UPDATE datasets SET name = 'e2';
UPDATE datasets SET name = 'e3';
CALL store_audit.tamper($$ DELETE FROM pynomaly.audit_log WHERE (chain_id, sequence) IN (SELECT chain_id, sequence FROM store_audit.mine WHERE last = 2) $$);
CALL store_audit.tamper($$ DELETE FROM pynomaly.audit_log WHERE (chain_id, sequence) IN (SELECT chain_id, sequence FROM store_audit.mine WHERE last = 1);
    UPDATE pynomaly.datasets SET name = 'e4' $$);
CALL store_audit.tamper($$ DELETE FROM pynomaly.audit_log WHERE (chain_id, sequence) IN (SELECT chain_id, sequence FROM store_audit.mine WHERE last = 1) $$);

-- a month that retention drops
SELECT retire_audit_month('3000-01-05');
:code
SELECT has_function_privilege('pynomaly_admin', 'retire_audit_month(date)', 'EXECUTE') AS anybody_may;
BEGIN;
ALTER TABLE audit_log DISABLE TRIGGER USER;
INSERT INTO audit_log (created_at, kind, action, resource_type, outcome, system_id, transaction_id, chain_id, sequence, hash)
SELECT '2000-01-15', 'event', 'old', 'x', 'success', 1, 100 + i, 1, i, '\x' FROM generate_series(1, 3) i;
INSERT INTO audit_log (created_at, kind, action, resource_type, outcome, system_id, transaction_id, chain_id, sequence, hash)
VALUES ('2000-02-15', 'event', 'old', 'x', 'success', 1, 104, 1, 4, '\x');
UPDATE audit_log l SET previous_hash = '\x01' WHERE chain_id = 1 AND sequence > 1;
UPDATE audit_log l SET hash = hash_audit_entry(l) WHERE chain_id = 1;
UPDATE audit_log l SET previous_hash = (SELECT p.hash FROM audit_log p WHERE p.chain_id = 1 AND p.sequence = l.sequence - 1)
WHERE chain_id = 1 AND sequence = 2;
UPDATE audit_log l SET hash = hash_audit_entry(l) WHERE chain_id = 1 AND sequence = 2;
UPDATE audit_log l SET previous_hash = (SELECT p.hash FROM audit_log p WHERE p.chain_id = 1 AND p.sequence = l.sequence - 1)
WHERE chain_id = 1 AND sequence = 3;
UPDATE audit_log l SET hash = hash_audit_entry(l) WHERE chain_id = 1 AND sequence = 3;
UPDATE audit_log l SET previous_hash = (SELECT p.hash FROM audit_log p WHERE p.chain_id = 1 AND p.sequence = l.sequence - 1)
WHERE chain_id = 1 AND sequence = 4;
UPDATE audit_log l SET hash = hash_audit_entry(l) WHERE chain_id = 1 AND sequence = 4;
SELECT * FROM verify_audit_log();
SELECT retire_audit_month('2000-01-31');
SELECT problem, chain_id FROM verify_audit_log();
DELETE FROM audit_log WHERE created_at < '2000-02-01';
SELECT problem, chain_id, sequence FROM verify_audit_log();
SELECT kind, month, entries FROM audit_blocks ORDER BY block_no DESC LIMIT 1;
ROLLBACK;
-- entries of another cluster, as after a restore
BEGIN;
ALTER TABLE audit_log DISABLE TRIGGER USER;
ALTER TABLE audit_blocks DISABLE TRIGGER USER;
DELETE FROM audit_log;
DELETE FROM audit_blocks;
INSERT INTO audit_log (created_at, kind, action, resource_type, outcome, system_id, transaction_id, chain_id, sequence, hash)
SELECT '2000-01-01'::timestamptz + i * interval '10 days', 'event', 'old', 'x', 'success', 1, 5000000000 + i, i, 1, '\x'
FROM generate_series(1, 9) i;
UPDATE audit_log l SET hash = hash_audit_entry(l);
SELECT seal_audit_log(2);
SELECT block_no, month, system_id, from_transaction, to_transaction, entries FROM audit_blocks ORDER BY 1;
SELECT * FROM verify_audit_log();
SELECT seal_audit_log(2);
ROLLBACK;

-- a session that loads a dump records nothing
BEGIN;
SET LOCAL row_security = off;
SET LOCAL check_function_bodies = off;
SELECT is_restoring();
UPDATE datasets SET name = 'restored';
SELECT count(*) FROM audit_log WHERE new_values ->> 'name' = 'restored';
ROLLBACK;
SELECT is_restoring();
SELECT * FROM verify_audit_log();

DELETE FROM datasets;
DELETE FROM tenants WHERE domain IN ('audited.example', 'other.example');
SET client_min_messages = warning;
DROP SCHEMA store_audit CASCADE;
