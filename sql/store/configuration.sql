--
-- Settings: definitions, layers, checks, secrets.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pynomaly_store;
RESET client_min_messages;
\set SHOW_CONTEXT never
SET search_path = pynomaly;
\set code '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
INSERT INTO tenants (id, name, domain) VALUES
    ('10000000-0000-4000-8000-000000000001', 'Configured', 'configured.example'),
    ('10000000-0000-4000-8000-000000000002', 'Other', 'other.example');

-- the environment; the first call loads the library, which knows the setting
SELECT current_environment() IS NOT NULL AS known;
SET pynomaly_store.environment = 'staging';
:code
SET pynomaly_store.environment = 'testing';
SELECT current_environment(), describe_environment();
SET pynomaly_store.environment = 'production';
SELECT current_environment(), describe_environment();
SET ROLE pynomaly_app;
SET pynomaly_store.environment = 'testing';
:code
SET pynomaly_store.secrets_directory = '/';
:code
RESET ROLE;
SET pynomaly_store.secrets_directory = 'secrets';
:code

-- what is shipped obeys its own definitions
SELECT d.key, place, setting_problem(d, value)
FROM setting_definitions d,
LATERAL (SELECT 'default', d.default_value WHERE d.default_value IS NOT NULL
         UNION ALL SELECT * FROM jsonb_each(d.profiles)) v (place, value)
WHERE setting_problem(d, value) IS NOT NULL;
SELECT count(*) > 20 AS many, bool_and(description <> '') AS described,
       bool_and(default_value IS NOT NULL OR type = 'secret') AS defaults
FROM setting_definitions WHERE is_system;

-- precedence: built-in, default, profile, environment, tenant, session
SELECT get_setting('cache.default_ttl');
SELECT set_setting('cache.default_ttl', '"2 hours"', 'default');
SELECT get_setting('cache.default_ttl');
SET pynomaly_store.environment = 'testing';
SELECT get_setting('cache.default_ttl');
SELECT set_setting('cache.default_ttl', '"3 hours"', 'testing');
SELECT get_setting('cache.default_ttl');
BEGIN;
SELECT set_tenant('10000000-0000-4000-8000-000000000001');
SELECT set_setting('cache.default_ttl', '"4 hours"', 'tenant');
SELECT get_setting('cache.default_ttl');
SELECT set_setting('cache.default_ttl', '"5 hours"', 'session');
SELECT set_setting('cache.default_ttl', '"6 hours"', 'transaction');
SELECT get_setting('cache.default_ttl');
COMMIT;
SELECT get_setting('cache.default_ttl');
SELECT key, value, source FROM describe_settings() WHERE key LIKE 'cache.%';
SELECT reset_setting('cache.default_ttl', 'session'), reset_setting('cache.default_ttl', 'session');
SELECT key, value, source FROM describe_settings() WHERE key LIKE 'cache.%';
SELECT reset_setting('cache.default_ttl', 'testing'), reset_setting('cache.default_ttl', 'testing');
SELECT key, value, source FROM describe_settings() WHERE key LIKE 'cache.%';
SET pynomaly_store.environment = 'production';
SELECT key, value, source FROM describe_settings() WHERE key LIKE 'cache.%';
SELECT reset_setting('cache.default_ttl', 'default');
SELECT key, value, source FROM describe_settings() WHERE key LIKE 'cache.%';

-- a tenant's value is that tenant's
BEGIN;
SELECT set_tenant('10000000-0000-4000-8000-000000000002');
SELECT get_setting('cache.default_ttl');
SELECT set_tenant('10000000-0000-4000-8000-000000000001');
SELECT get_setting('cache.default_ttl'), reset_setting('cache.default_ttl', 'tenant');
SELECT get_setting('cache.default_ttl');
COMMIT;
SELECT set_setting('cache.default_ttl', '"4 hours"', 'tenant');
:code

-- wrong values are refused when they are set, with the reason
SELECT get_setting('no.such');
:code
SELECT get_setting(repeat('x', 1000000));
:code
SELECT get_setting(NULL);
:code
SELECT set_setting('no.such', '1', 'default');
:code
SELECT set_setting('pool.size', '1', 'staging');
:code
SELECT set_setting('pool.size', '1', NULL);
:code
SELECT set_setting('pool.size', '1', 'session');
:code
SELECT set_setting('pool.size', '0', 'default');
:code
SELECT set_setting('pool.size', '10001', 'default');
SELECT set_setting('pool.size', '1.5', 'default');
SELECT set_setting('pool.size', '"5"', 'default');
SELECT set_setting('pool.size', 'null', 'default');
SELECT set_setting('pool.size', NULL, 'default');
:code
SELECT set_setting('pool.size', '[1]', 'default');
SELECT set_setting('pool.size', '2.0', 'default'), get_setting('pool.size');
SELECT set_setting('pool.size', to_jsonb(repeat('x', 1000000)), 'default');
SELECT set_setting('pool.timeout', '30', 'default');
SELECT set_setting('pool.timeout', '"30"', 'default');
SELECT set_setting('pool.timeout', '"soon"', 'default');
SELECT set_setting('pool.timeout', '"-1 second"', 'default');
SELECT set_setting('pool.timeout', '"2 hours"', 'default');
SELECT set_setting('pool.timeout', '"infinity"', 'default');
:code
INSERT INTO settings (environment, key, value) VALUES ('default', 'pool.timeout', '"2 hours"');
:code
\set VERBOSITY terse
INSERT INTO settings (environment, key, value) VALUES ('staging', 'pool.timeout', '"20 s"');
:code
\set VERBOSITY default
INSERT INTO settings (environment, key, value) VALUES ('default', 'pool.waiting', '1');
:code
UPDATE settings SET value = 'true' WHERE key = 'pool.size';
:code
UPDATE settings SET key = 'pool.timeout' WHERE key = 'pool.size';
:code
INSERT INTO tenant_settings (tenant_id, key, value)
VALUES ('10000000-0000-4000-8000-000000000001', 'pool.size', '3');
:code
INSERT INTO tenant_settings (tenant_id, key, value)
VALUES ('10000000-0000-4000-8000-000000000001', 'security.max_sessions', '0');
:code
INSERT INTO tenant_settings (tenant_id, key, value)
VALUES ('10000000-0000-4000-8000-000000000009', 'security.max_sessions', '1');
:code
SELECT environment, key, value FROM settings ORDER BY 1, 2;

-- SET does not check; reading does
SET pynomaly.redis.timeout = '1 year';
SELECT get_setting('redis.timeout');
:code
SELECT value, source, problem FROM describe_settings() WHERE key = 'redis.timeout';
SET pynomaly.redis.timeout = '1 s';
SELECT get_setting('redis.timeout');
RESET pynomaly.redis.timeout;
SELECT get_setting('redis.timeout');
SET pynomaly.mongo.batch_size = '1e3';
SELECT get_setting('mongo.batch_size');
:code
SET pynomaly.mongo.batch_size = '500';
SELECT get_setting('mongo.batch_size');
SET pynomaly.security.lockout_failures = '1000';
SELECT get_setting('security.lockout_failures');
:code
SELECT value, source, problem FROM describe_settings() WHERE problem IS NOT NULL;
RESET pynomaly.security.lockout_failures;
RESET pynomaly.mongo.batch_size;

-- secrets are references, never values, and no message shows what was given
SELECT set_setting('mongo.uri', '"mongodb://user:hunter2@host"', 'default');
:code
SELECT set_setting('mongo.uri', '"env:"', 'default');
SELECT set_setting('mongo.uri', '"file:/etc/passwd"', 'default');
SELECT set_setting('mongo.uri', '"file:../postgresql.conf"', 'default');
SELECT set_setting('mongo.uri', '"file:a/../b"', 'default');
SELECT set_setting('mongo.uri', '"env:MONGO_URI\nx"', 'default');
SELECT set_setting('mongo.uri', '{"password": "hunter2"}', 'default');
SELECT set_setting('mongo.uri', '"env:HOME"', 'tenant');
:code
SELECT get_secret('mongo.uri') IS NULL AS absent;
SELECT set_setting('mongo.uri', '"env:PYNOMALY_TEST_NOT_SET"', 'default');
SELECT get_setting('mongo.uri');
SELECT get_secret('mongo.uri');
:code
SELECT set_setting('mongo.uri', '"env:PATH"', 'default');
SELECT length(get_secret('mongo.uri')) > 0 AS found;
SELECT get_secret('pool.size');
:code
SELECT set_setting('redis.url', '"file:redis/url"', 'production');
SELECT get_secret('redis.url');
:code
SET pynomaly_store.secrets_directory = '/no/such/directory';
SELECT get_secret('redis.url');
:code
SELECT resolve_secret('hunter2');
:code
SELECT key, value, source FROM describe_settings() WHERE type = 'secret';
SET ROLE pynomaly_admin;
SELECT get_secret('mongo.uri');
:code
SELECT get_setting('mongo.uri');
SET ROLE pynomaly_app;
SELECT get_secret('mongo.uri');
:code

-- who may what
SELECT set_setting('pool.size', '7', 'default');
:code
INSERT INTO setting_definitions (key, type, description) VALUES ('a.b', 'text', '');
:code
SELECT get_setting('pool.size');
BEGIN;
SELECT set_tenant('10000000-0000-4000-8000-000000000001');
SELECT set_setting('security.max_sessions', '7', 'tenant');
SELECT get_setting('security.max_sessions');
COMMIT;
BEGIN;
SELECT set_tenant('10000000-0000-4000-8000-000000000002');
SELECT get_setting('security.max_sessions');
SELECT count(*) FROM tenant_settings;
COMMIT;
SET ROLE pynomaly_readonly;
BEGIN;
SELECT set_tenant('10000000-0000-4000-8000-000000000001');
SELECT get_setting('security.max_sessions');
SELECT set_setting('security.max_sessions', '8', 'tenant');
:code
COMMIT;
RESET ROLE;

-- definitions: shipped ones stay, others are free
UPDATE setting_definitions SET maximum = 100000 WHERE key = 'pool.size';
:code
DELETE FROM setting_definitions WHERE key = 'pool.max_overflow';
:code
INSERT INTO setting_definitions (key, type, description, is_system) VALUES ('a.b', 'text', '', true);
:code
INSERT INTO setting_definitions (key, type, description) VALUES ('ab', 'text', '');
:code
INSERT INTO setting_definitions (key, type, description) VALUES ('a.b', 'json', '');
:code
INSERT INTO setting_definitions (key, type, description, layers) VALUES ('a.b', 'secret', '', '{session}');
:code
INSERT INTO setting_definitions (key, type, description, default_value, choices)
VALUES ('a.b', 'text', '', '"red"', '{green,blue}');
:code
INSERT INTO setting_definitions (key, type, description, default_value, profiles)
VALUES ('a.b', 'number', '', '1', '{"testing": "2"}');
:code
INSERT INTO setting_definitions (key, type, description, default_value, profiles)
VALUES ('a.b', 'number', '', '1', '{"staging": 2}');
:code
SET ROLE pynomaly_admin;
INSERT INTO setting_definitions (key, type, description, default_value, choices, profiles)
VALUES ('screen.colour', 'text', 'Of the screen.', '"green"', '{green,blue}', '{"production": "blue"}'),
       ('screen.flat', 'boolean', 'Is it flat?', 'true', NULL, '{}'),
       ('screen.size', 'number', 'In inches.', NULL, NULL, '{}');
SELECT set_setting('screen.colour', '"red"', 'production');
:code
SELECT set_setting('screen.colour', '"green"', 'production');
SELECT set_setting('screen.flat', '"yes"', 'session');
SELECT set_setting('screen.flat', 'false', 'session');
SELECT set_setting('screen.size', '27.5', 'session');
SELECT key, value, source FROM describe_settings() WHERE key LIKE 'screen.%';
SET pynomaly.screen.flat = 'maybe';
SELECT get_setting('screen.flat');
:code
UPDATE setting_definitions SET choices = '{blue}', default_value = '"blue"' WHERE key = 'screen.colour';
:code
DELETE FROM setting_definitions WHERE key = 'screen.colour';
:code
RESET ROLE;

-- the timeouts of a profile
BEGIN;
SELECT apply_timeouts();
SELECT name, setting FROM pg_settings
WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout')
ORDER BY name;
COMMIT;
SHOW statement_timeout;

-- a server gets the profile's timeout, and another where it has one already
SET client_min_messages = error;
CREATE SERVER store_configured FOREIGN DATA WRAPPER pynomaly_mongo OPTIONS (host 'nowhere');
RESET client_min_messages;
SELECT apply_mongo_settings('store_configured');
SELECT srvoptions FROM pg_foreign_server WHERE srvname = 'store_configured';
SELECT set_setting('mongo.connect_timeout', '"1.5 seconds"', 'transaction'), apply_mongo_settings('store_configured');
SELECT srvoptions FROM pg_foreign_server WHERE srvname = 'store_configured';
SET ROLE pynomaly_admin;
SELECT apply_mongo_settings('store_configured');
:code
SET ROLE pynomaly_app;
SELECT apply_mongo_settings('store_configured');
:code
RESET ROLE;
SELECT apply_mongo_settings('none');
:code
DROP SERVER store_configured;

-- a hostile search_path changes nothing
CREATE SCHEMA store_hostile;
CREATE FUNCTION store_hostile.jsonb_typeof(jsonb) RETURNS text LANGUAGE sql AS $$ SELECT 'number' $$;
SET search_path = store_hostile, pg_catalog;
SELECT pynomaly.set_setting('pool.size', '"5"', 'default');
SET search_path = pynomaly;
DROP SCHEMA store_hostile CASCADE;

DELETE FROM tenant_settings;
DELETE FROM settings;
DELETE FROM setting_definitions WHERE NOT is_system;
DELETE FROM tenants WHERE id IN ('10000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000002');
