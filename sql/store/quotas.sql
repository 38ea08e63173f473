--
-- Limits of plans, and the counters behind them.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pynomaly_store;
RESET client_min_messages;
\set SHOW_CONTEXT never
\set code '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SET search_path = pynomaly;
SET timezone = 'America/New_York';
\set t1 '''13000000-0000-4000-8000-000000000001'''
\set t2 '''13000000-0000-4000-8000-000000000002'''
INSERT INTO tenants (id, name, domain, plan) VALUES
    (:t1, 'Free', 'free.quota.example', 'free'), (:t2, 'Big', 'big.quota.example', 'enterprise');
CREATE VIEW pg_temp.used AS
SELECT CASE tenant_id WHEN :t1 THEN 'free' ELSE 'big' END AS tenant, resource, period, used
FROM tenant_usage WHERE tenant_id IN (:t1, :t2) ORDER BY 1, 2, 3;
CREATE VIEW pg_temp.wrong AS
SELECT CASE tenant_id WHEN :t1 THEN 'free' ELSE 'big' END AS tenant, resource, period, used, actual
FROM check_usage() WHERE tenant_id IN (:t1, :t2) ORDER BY 1, 2, 3;
GRANT SELECT ON pg_temp.used TO PUBLIC;

-- the plans
SELECT resource, max(maximum) FILTER (WHERE plan = 'free') AS free, max(maximum) FILTER (WHERE plan = 'starter') AS starter,
       max(maximum) FILTER (WHERE plan = 'professional') AS professional, max(maximum) FILTER (WHERE plan = 'enterprise') AS enterprise
FROM plan_limits WHERE is_system GROUP BY 1 ORDER BY 1;
UPDATE plan_limits SET maximum = 100 WHERE plan = 'free';
:code
-- what a tenant has instead; what is no limit is ignored
CREATE TEMP TABLE given (n int, limits jsonb);
INSERT INTO given VALUES (1, '{}'), (2, '{"max_datasets": 7}'), (3, '{"max_datasets": null}'), (4, '{"max_datasets": "7"}'),
    (5, '{"max_datasets": -3}'), (6, '{"max_datasets": 1e30, "max_storage_gb": 0.5}'), (7, '{"max_datasets": 7.9, "max_storage_gb": 1e300}');
BEGIN;
CREATE FUNCTION pg_temp.limits_with(given jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    UPDATE pynomaly.tenants SET limits = given WHERE id = '13000000-0000-4000-8000-000000000001';
    RETURN format('datasets %s, storage %s', pynomaly.get_limit('13000000-0000-4000-8000-000000000001', 'datasets'),
                  pynomaly.get_limit('13000000-0000-4000-8000-000000000001', 'storage_bytes'));
END $$;
SELECT n, limits, pg_temp.limits_with(limits) FROM given ORDER BY n;
ROLLBACK;
SELECT get_limit('13000000-0000-4000-8000-000000000009', 'datasets'), get_limit(:t1, 'nothing'), get_limit(NULL, NULL);

-- the last place, and no further
SET ROLE pynomaly_app;
SELECT set_tenant(:t1, false);
INSERT INTO datasets (tenant_id, name) SELECT :t1, 'd' || i FROM generate_series(1, 9) i;
INSERT INTO datasets (tenant_id, name) VALUES (:t1, 'd10'), (:t1, 'd11');
:code
INSERT INTO datasets (tenant_id, name) VALUES (:t1, 'd10');
INSERT INTO datasets (tenant_id, name) VALUES (:t1, 'd11');
:code
DELETE FROM datasets WHERE name = 'd1';
BEGIN;
INSERT INTO datasets (tenant_id, name) VALUES (:t1, 'd12');
ROLLBACK;
BEGIN;
SAVEPOINT a;
INSERT INTO datasets (tenant_id, name) VALUES (:t1, 'd12');
ROLLBACK TO a;
INSERT INTO datasets (tenant_id, name) VALUES (:t1, 'd13');
COMMIT;
INSERT INTO datasets (tenant_id, id, name) SELECT tenant_id, id, 'again' FROM datasets ON CONFLICT DO NOTHING;
SELECT * FROM pg_temp.used;
SELECT resource, used, maximum FROM quotas ORDER BY 1;
INSERT INTO models (tenant_id, name) SELECT :t1, 'm' || i FROM generate_series(1, 5) i;
INSERT INTO models (tenant_id, name) VALUES (:t1, 'm6');
:code
UPDATE tenant_usage SET used = 0;
:code
DELETE FROM tenant_usage;
:code
SELECT repair_usage();
:code
SELECT change_usage(:t1, 'datasets', -5);
:code
RESET ROLE;
-- an operator is counted and not refused; then nobody else gets one in
INSERT INTO datasets (tenant_id, name) VALUES (:t1, 'd14');
SELECT * FROM pg_temp.used;
SET ROLE pynomaly_app;
DELETE FROM datasets WHERE name = 'd2';
INSERT INTO datasets (tenant_id, name) VALUES (:t1, 'd15');
:code
RESET ROLE;
UPDATE datasets SET tenant_id = :t2 WHERE name IN ('d3', 'd4');
SELECT * FROM pg_temp.used;

-- users, by grants and invitations
INSERT INTO users (id, email, username)
SELECT format('23000000-0000-4000-8000-00000000000%s', n)::uuid, 'u' || n || '@quota.example', 'quota' || n FROM generate_series(1, 5) n;
SELECT grant_role('23000000-0000-4000-8000-000000000001', 'tenant_admin');
SET ROLE pynomaly_app;
SELECT grant_role(format('23000000-0000-4000-8000-00000000000%s', n)::uuid, 'viewer', '23000000-0000-4000-8000-000000000001')
FROM generate_series(2, 3) n;
SELECT grant_role('23000000-0000-4000-8000-000000000003', 'analyst', '23000000-0000-4000-8000-000000000001');
SELECT grant_role('23000000-0000-4000-8000-000000000004', 'viewer', '23000000-0000-4000-8000-000000000001');
:code
SELECT token FROM create_invitation('u4@quota.example', 'viewer', '23000000-0000-4000-8000-000000000001') \gset
SELECT accept_invitation(:'token', '23000000-0000-4000-8000-000000000004');
:code
SELECT revoke_role('23000000-0000-4000-8000-000000000002', '23000000-0000-4000-8000-000000000001');
SELECT accept_invitation(:'token', '23000000-0000-4000-8000-000000000004');
RESET ROLE;
DELETE FROM users WHERE username = 'quota3';
SELECT * FROM pg_temp.used WHERE resource = 'users';

-- storage: half a gigabyte is too much to write here, so a small limit
UPDATE tenants SET limits = '{"max_storage_gb": 0.0001}' WHERE id = :t1;
SET ROLE pynomaly_app;
SELECT id AS dataset FROM datasets WHERE name = 'd5' \gset
INSERT INTO dataset_contents (tenant_id, dataset_id, format, content) VALUES (:t1, :'dataset', 'csv', repeat('x', 100000)::bytea);
INSERT INTO dataset_contents (tenant_id, dataset_id, format, content) VALUES (:t1, :'dataset', 'parquet', repeat('x', 10000)::bytea);
:code
UPDATE dataset_contents SET content = repeat('x', 107374)::bytea;
UPDATE dataset_contents SET content = content || 'x';
:code
UPDATE dataset_contents SET content = 'small';
SELECT * FROM pg_temp.used WHERE resource = 'storage_bytes';
DELETE FROM datasets WHERE id = :'dataset';
SELECT * FROM pg_temp.used WHERE resource = 'storage_bytes';
-- nobody makes a stored model small by saying so
INSERT INTO model_artifacts (tenant_id, content, size_bytes) VALUES (:t1, repeat('x', 200000)::bytea, 0);
:code
INSERT INTO model_artifacts (tenant_id, content, size_bytes) VALUES (:t1, repeat('x', 100000)::bytea, 0)
RETURNING size_bytes;
UPDATE model_artifacts SET size_bytes = 0;
SELECT * FROM pg_temp.used WHERE resource = 'storage_bytes';
UPDATE model_artifacts SET storage_backend = 'aws_s3', content = NULL, size_bytes = 7;
SELECT * FROM pg_temp.used WHERE resource = 'storage_bytes';
DELETE FROM model_artifacts;
RESET ROLE;

-- detections of a month of UTC, which deleting does not give back
UPDATE tenants SET limits = '{"max_detections_per_month": 3}' WHERE id = :t1;
SELECT id AS dataset FROM datasets WHERE name = 'd6' \gset
INSERT INTO detectors (tenant_id, name, algorithm_name) VALUES (:t1, 'x', 'LOF') RETURNING id AS detector \gset
SET ROLE pynomaly_app;
INSERT INTO detection_results (tenant_id, detector_id, dataset_id, created_at, scores)
SELECT :t1, :'detector', :'dataset', t::timestamptz, '{0.5}' FROM unnest('{2025-01-31 23:59:59Z,2025-02-01Z,2025-01-01Z}'::text[]) t;
INSERT INTO detection_results (tenant_id, detector_id, dataset_id, created_at, scores)
SELECT :t1, :'detector', :'dataset', '2025-01-15', '{0.5}' FROM generate_series(1, 2);
:code
INSERT INTO detection_results (tenant_id, detector_id, dataset_id, created_at, scores)
VALUES (:t1, :'detector', :'dataset', '2025-01-15', '{0.5}');
DELETE FROM detection_results;
INSERT INTO detection_results (tenant_id, detector_id, dataset_id, created_at, scores)
VALUES (:t1, :'detector', :'dataset', '2025-01-15', '{0.5}');
:code
SELECT * FROM pg_temp.used WHERE resource = 'detections_per_month';

-- calls of a minute, and running detections
SELECT set_tenant(:t2, false);
RESET ROLE;
UPDATE tenants SET limits = '{"max_api_calls_per_minute": 3, "max_concurrent_detections": 2}' WHERE id = :t2;
SET ROLE pynomaly_app;
-- not over the end of a minute
SELECT pg_sleep(CASE WHEN extract(second FROM clock_timestamp()) > 58 THEN 2.1 ELSE 0 END) \g /dev/null
SELECT count_api_call(), count_api_call(), count_api_call(), count_api_call();
RESET ROLE;
UPDATE tenant_usage SET updated_at = updated_at - interval '1 minute' WHERE tenant_id = :t2 AND resource = 'api_calls_per_minute';
SET ROLE pynomaly_app;
SELECT count_api_call();
SELECT begin_detection() AS first \gset
SELECT begin_detection('1 s') AS second \gset
SELECT begin_detection();
:code
SELECT begin_detection('0 s');
:code
SELECT begin_detection(NULL);
:code
SELECT end_detection(:'first'), end_detection(:'first');
SELECT begin_detection() IS NOT NULL AS third;
SELECT resource, used, maximum FROM quotas ORDER BY 1;
RESET ROLE;
UPDATE running_detections SET expires_at = now() WHERE id = :'second';
SET ROLE pynomaly_app;
SELECT begin_detection() IS NOT NULL AS after_a_lease;
RESET ROLE;
SELECT set_tenant(NULL, false);
SELECT count_api_call();
:code

-- the counters are right; what spoils them is found and mended
SELECT * FROM pg_temp.wrong;
UPDATE tenant_usage SET used = used + 5 WHERE resource IN ('datasets', 'detections_per_month') AND tenant_id = :t1;
DELETE FROM tenant_usage WHERE resource = 'datasets' AND tenant_id = :t2;
INSERT INTO tenant_usage (tenant_id, resource, used) VALUES (:t2, 'models', 3);
SELECT * FROM pg_temp.wrong;
SELECT repair_usage();
SELECT * FROM pg_temp.wrong;
SELECT * FROM pg_temp.used WHERE resource NOT LIKE '%minute%';
SELECT repair_usage();

-- the settings of a restore are no way around quotas and the audit log
SELECT set_tenant(:t1, false);
UPDATE tenants SET limits = '{"max_users": 0}' WHERE id = :t1;
SET ROLE pynomaly_app;
SET row_security = off;
SET check_function_bodies = off;
SELECT grant_role('23000000-0000-4000-8000-000000000005', 'viewer', '23000000-0000-4000-8000-000000000001');
:code
RESET ROLE;
RESET row_security;
UPDATE tenants SET limits = '{}' WHERE id = :t1;
SET ROLE pynomaly_app;
SELECT grant_role('23000000-0000-4000-8000-000000000005', 'viewer', '23000000-0000-4000-8000-000000000001');
RESET ROLE;
RESET check_function_bodies;
SELECT count(*) FROM audit_log WHERE resource_key ->> 'user_id' = '23000000-0000-4000-8000-000000000005';

SELECT set_tenant(NULL, false);
DELETE FROM running_detections;
DELETE FROM detection_results WHERE tenant_id IN (:t1, :t2);
DELETE FROM detectors WHERE tenant_id IN (:t1, :t2);
DELETE FROM datasets WHERE tenant_id IN (:t1, :t2);
DELETE FROM models WHERE tenant_id IN (:t1, :t2);
DELETE FROM invitations WHERE tenant_id IN (:t1, :t2);
DELETE FROM users WHERE email LIKE '%@quota.example';
SELECT * FROM pg_temp.used WHERE resource IN ('users', 'datasets', 'models', 'storage_bytes');
DELETE FROM tenants WHERE id IN (:t1, :t2);
SELECT count(*) FROM pg_temp.used;
