--
-- One detector, dataset or result and what belongs to it; what the platform asks
-- of users and of the audit log.
--
SET client_min_messages = error;
SET pynomaly_store.allow_drop = on;
DROP EXTENSION IF EXISTS pynomaly_store CASCADE;
CREATE EXTENSION pynomaly_store;
RESET pynomaly_store.allow_drop;
RESET client_min_messages;
\set SHOW_CONTEXT never
\set code '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SET TimeZone = 'UTC';
INSERT INTO pynomaly.tenants (id, name, status) VALUES
    ('00000000-0000-0000-0000-00000000000a', 'first', 'active'),
    ('00000000-0000-0000-0000-00000000000b', 'second', 'active');
INSERT INTO pynomaly.users (id, email, username) VALUES
    ('00000000-0000-0000-0000-0000000000c1', 'ann@example.org', 'ann'),
    ('00000000-0000-0000-0000-0000000000c2', 'bob@example.org', 'bob');
INSERT INTO pynomaly.user_tenant_roles (tenant_id, user_id, role) VALUES
    ('00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-0000000000c1', 'viewer'),
    ('00000000-0000-0000-0000-00000000000b', '00000000-0000-0000-0000-0000000000c2', 'viewer');
INSERT INTO pynomaly.detectors (tenant_id, id, name, algorithm_name)
SELECT t, ('00000000-0000-0000-0000-0000000000d' || n)::uuid, 'Detector ' || n, 'LOF'
FROM unnest('{00000000-0000-0000-0000-00000000000a,00000000-0000-0000-0000-00000000000b}'::uuid[]) t,
     generate_series(1, 2) n;
INSERT INTO pynomaly.datasets (tenant_id, id, name)
SELECT t, ('00000000-0000-0000-0000-0000000000a' || n)::uuid, 'Set ' || n
FROM unnest('{00000000-0000-0000-0000-00000000000a,00000000-0000-0000-0000-00000000000b}'::uuid[]) t,
     generate_series(1, 2) n;
SELECT pynomaly.set_tenant('00000000-0000-0000-0000-00000000000a', false);
SET ROLE pynomaly_app;
INSERT INTO pynomaly.detection_results (tenant_id, id, detector_id, dataset_id, created_at, scores)
SELECT pynomaly.current_tenant(), ('00000000-0000-0000-0000-0000000000e' || n)::uuid,
       '00000000-0000-0000-0000-0000000000d1',
       ('00000000-0000-0000-0000-0000000000a' || 1 + n % 2)::uuid,
       '2025-07-01Z'::timestamptz + n * interval '20 days', '{0.5}'
FROM generate_series(1, 6) n;

-- ---------- one of them ----------

SELECT name FROM pynomaly.get_detector('00000000-0000-0000-0000-0000000000d1');
SELECT name FROM pynomaly.get_dataset('00000000-0000-0000-0000-0000000000a1');
SELECT count(*) FROM pynomaly.get_detector('00000000-0000-0000-0000-0000000000ff');
SELECT pynomaly.has_detector(id), pynomaly.has_dataset(id), pynomaly.has_result(id)
FROM unnest('{00000000-0000-0000-0000-0000000000d1,00000000-0000-0000-0000-0000000000a1,00000000-0000-0000-0000-0000000000e1,00000000-0000-0000-0000-0000000000ff}'::uuid[]) id;
SELECT pynomaly.lookup_result('00000000-0000-0000-0000-0000000000E2');
SELECT pynomaly.lookup_result('00000000-0000-0000-0000-0000000000e');
:code
SELECT pynomaly.lookup_result('Detector 1');
:code
SELECT count(*) FROM pynomaly.match_results('00000000');
SELECT pynomaly.count_results(),
       pynomaly.count_results(detector => '00000000-0000-0000-0000-0000000000d2'),
       pynomaly.count_results(dataset => '00000000-0000-0000-0000-0000000000a1'),
       pynomaly.count_results(created_from => '2025-08-01Z', created_before => '2025-08-30Z');

-- ---------- pages of results over the months ----------

-- the last two before a time, the same by key, and both at once
SELECT right(id::text, 2) AS id, created_at::date, detector_name, algorithm_name, dataset_name
FROM pynomaly.find_results(created_before => '2025-09-29Z', page_size => 2);
SELECT right(id::text, 2) AS id FROM pynomaly.find_results(
    after_created_at => '2025-09-29Z', after_id => '00000000-0000-0000-0000-0000000000e5', page_size => 2);
SELECT right(id::text, 2) AS id FROM pynomaly.find_results(
    after_created_at => '2025-09-29Z', after_id => '00000000-0000-0000-0000-0000000000e4', page_size => 2);
SELECT right(id::text, 2) AS id FROM pynomaly.find_results(created_before => '2025-08-30Z',
    after_created_at => '2025-09-29Z', after_id => '00000000-0000-0000-0000-0000000000ff', page_size => 2);
SELECT right(id::text, 2) AS id FROM pynomaly.find_results(created_before => '2025-10-30Z',
    after_created_at => '2025-08-30Z', page_size => 2);
-- from a time on: what is older is not in the page, nor fills it
SELECT right(id::text, 2) AS id FROM pynomaly.find_results(created_from => '2025-09-19Z', page_size => 3);
SELECT right(id::text, 2) AS id FROM pynomaly.find_results(created_from => '2025-07-21Z', created_before => '2025-08-30Z', page_size => 1);
SELECT right(id::text, 2) AS id FROM pynomaly.find_results(created_from => '2025-10-30Z');
SELECT right(id::text, 2) AS id FROM pynomaly.find_results(
    detector => '00000000-0000-0000-0000-0000000000d1', dataset => '00000000-0000-0000-0000-0000000000a1',
    created_from => '2025-07-30Z', page_size => NULL);
SELECT right(id::text, 2) AS id FROM pynomaly.find_results(
    dataset => '00000000-0000-0000-0000-0000000000a2', page_size => 2);
SELECT count(*) FROM pynomaly.find_results(detector => '00000000-0000-0000-0000-0000000000d2');
SELECT count(*) FROM pynomaly.find_results(page_size => 0);
SELECT * FROM pynomaly.find_results(page_size => -1);
:code

-- ---------- bytes ----------

SELECT pynomaly.save_artifact('00000000-0000-0000-0000-0000000000d1', '\x8004', 'joblib') IS NOT NULL AS saved;
SELECT format, size_bytes, checksum FROM pynomaly.model_artifacts;
SELECT pynomaly.load_artifact('00000000-0000-0000-0000-0000000000d1');
SELECT pynomaly.load_artifact('00000000-0000-0000-0000-0000000000d2') IS NULL AS none;
SELECT pynomaly.save_artifact('00000000-0000-0000-0000-0000000000d1', '\x80', 'exe');
:code
SELECT pynomaly.save_artifact('00000000-0000-0000-0000-0000000000ff', '\x80');
:code
UPDATE pynomaly.model_artifacts SET content = '\x8005';
\set VERBOSITY sqlstate
SELECT pynomaly.load_artifact('00000000-0000-0000-0000-0000000000d1');
\set VERBOSITY default
SELECT pynomaly.save_content('00000000-0000-0000-0000-0000000000a1', 'csv', 'a,b');
SELECT pynomaly.save_content('00000000-0000-0000-0000-0000000000a1', 'csv', 'a,b,c');
SELECT convert_from(pynomaly.load_content('00000000-0000-0000-0000-0000000000a1', 'csv'), 'UTF8'),
       pynomaly.load_content('00000000-0000-0000-0000-0000000000a1', 'parquet') IS NULL AS no_parquet;
SELECT pynomaly.save_content('00000000-0000-0000-0000-0000000000a1', 'xls', '');
:code

-- ---------- deleted ----------

SELECT pynomaly.delete_detector('00000000-0000-0000-0000-0000000000d1');
:code
SELECT pynomaly.delete_detector('00000000-0000-0000-0000-0000000000d2'),
       pynomaly.delete_detector('00000000-0000-0000-0000-0000000000ff');
SELECT pynomaly.delete_result('00000000-0000-0000-0000-0000000000e1'),
       pynomaly.delete_result('00000000-0000-0000-0000-0000000000e1');
SELECT pynomaly.delete_dataset('00000000-0000-0000-0000-0000000000a1');
:code
SELECT pynomaly.delete_result(('00000000-0000-0000-0000-0000000000e' || n)::uuid) FROM generate_series(2, 6) n;
SELECT pynomaly.delete_detector('00000000-0000-0000-0000-0000000000d1'),
       pynomaly.delete_dataset('00000000-0000-0000-0000-0000000000a1');
SELECT count(*) FROM pynomaly.model_artifacts;
SELECT pynomaly.set_tenant('00000000-0000-0000-0000-00000000000b', false);
SELECT pynomaly.has_detector('00000000-0000-0000-0000-0000000000d1') AS the_other_still_has_it;
SELECT pynomaly.set_tenant(NULL, false);
SELECT pynomaly.delete_detector('00000000-0000-0000-0000-0000000000d1');
:code
SELECT pynomaly.has_detector('00000000-0000-0000-0000-0000000000d1') AS without_a_tenant;
SET ROLE pynomaly_readonly;
SELECT pynomaly.delete_result('00000000-0000-0000-0000-0000000000e1');
:code

-- ---------- users ----------

SET ROLE pynomaly_app;
SELECT pynomaly.set_tenant('00000000-0000-0000-0000-00000000000a', false);
SELECT username FROM pynomaly.get_user(by_email => 'ann@example.org');
SELECT username FROM pynomaly.get_user('00000000-0000-0000-0000-0000000000c1');
SELECT count(*) FROM pynomaly.get_user(by_username => 'Ann');
SELECT count(*) AS of_another_tenant FROM pynomaly.get_user(by_username => 'bob');
SELECT count(*) AS nobody_asked_for FROM pynomaly.get_user();
SELECT username, roles FROM pynomaly.find_users();
SET ROLE pynomaly_admin;
SELECT username, roles FROM pynomaly.find_users(page_size => 1);
SELECT username, roles FROM pynomaly.find_users(tenant => '00000000-0000-0000-0000-00000000000b');
SELECT username FROM pynomaly.get_user(by_username => 'bob');
SET ROLE pynomaly_app;
SELECT token IS NOT NULL AS begun FROM pynomaly.create_session('00000000-0000-0000-0000-0000000000c1', user_agent => 'one');
SELECT token AS other FROM pynomaly.create_session('00000000-0000-0000-0000-0000000000c1', user_agent => 'two') \gset
SELECT user_agent FROM pynomaly.list_sessions('00000000-0000-0000-0000-0000000000c1');
SELECT pynomaly.revoke_session(:'other');
SELECT user_agent FROM pynomaly.list_sessions('00000000-0000-0000-0000-0000000000c1');
SELECT pynomaly.set_tenant('00000000-0000-0000-0000-00000000000b', false);
SELECT count(*) FROM pynomaly.list_sessions('00000000-0000-0000-0000-0000000000c1');

-- ---------- the audit log ----------

SELECT pynomaly.set_tenant('00000000-0000-0000-0000-00000000000b', false);
SELECT pynomaly.set_audit_context('00000000-0000-0000-0000-0000000000c2', correlation_id => 'request 1', is_local => false);
SELECT pynomaly.record_event('login', 'session', '{"id": 1}', 'failure', 'HIGH', '{"risk_score": 60}');
SELECT pynomaly.record_event('export', 'report', '{"id": 2}', 'success', 'low',
    '{"risk_score": 90, "compliance_frameworks": ["GDPR", "SOX"]}');
SELECT pynomaly.set_audit_context(NULL, correlation_id => 'request 2', is_local => false);
SELECT pynomaly.record_event('read', 'report', '{"id": 2, "page": 3}', details => '{"risk_score": "high"}');
INSERT INTO pynomaly.datasets (tenant_id, name) VALUES (pynomaly.current_tenant(), 'audited');
SELECT pynomaly.set_audit_context(NULL, is_local => false);
SELECT action FROM pynomaly.find_audit_entries(page_size => 2);
SELECT n.action FROM pynomaly.audit_log l, pynomaly.find_audit_entries(
    after_created_at => l.created_at, after_chain_id => l.chain_id, after_sequence => l.sequence, page_size => 2) n
WHERE l.action = 'read';
SELECT action FROM pynomaly.find_audit_entries(actor => '00000000-0000-0000-0000-0000000000c2');
SELECT action FROM pynomaly.find_audit_entries(actions => '{login,read}');
SELECT action FROM pynomaly.find_audit_entries(resource_types => '{report}');
SELECT action FROM pynomaly.find_audit_entries(resource => '{"page": 3}');
SELECT action FROM pynomaly.find_audit_entries(outcomes => '{failure}');
SELECT action, severity FROM pynomaly.find_audit_entries(severities => '{high}');
SELECT action FROM pynomaly.find_audit_entries(risk_from => 60);
SELECT action FROM pynomaly.find_audit_entries(frameworks => '{HIPAA,GDPR}');
SELECT action FROM pynomaly.find_audit_entries(correlation => 'request 1', actions => '{login}');
SELECT count(*) FROM pynomaly.find_audit_entries(created_from => now() + interval '1 hour');
SELECT count(*) FROM pynomaly.find_audit_entries(created_before => now() - interval '1 hour');
SELECT count(*) FROM pynomaly.find_audit_entries(tenant => '00000000-0000-0000-0000-00000000000a');
SELECT action, resource_type FROM pynomaly.list_audit_trail('request 2');
SELECT action FROM pynomaly.list_high_risks();
SELECT action FROM pynomaly.list_high_risks(risk_from => 101);
SELECT count(*) FROM pynomaly.list_high_risks('-1 hour');
SELECT n_entries, n_users, n_tenants, average_risk, highest_risk, n_by_action, n_by_outcome, n_by_severity
FROM pynomaly.summarize_audit_log(created_from => (SELECT created_at FROM pynomaly.audit_log WHERE action = 'login'));
SELECT * FROM pynomaly.summarize_audit_log(created_before => '2001-01-01Z');
SELECT pynomaly.set_tenant('00000000-0000-0000-0000-00000000000a', false);
SELECT count(*) FROM pynomaly.list_audit_trail('request 1');
SELECT count(*) FROM pynomaly.find_audit_entries(correlation => 'request 1');
SET ROLE pynomaly_admin;
SELECT count(*) FROM pynomaly.find_audit_entries(tenant => '00000000-0000-0000-0000-00000000000b', actions => '{login,read,export}');
SELECT action FROM pynomaly.list_audit_trail('request 1');
RESET ROLE;
SET pynomaly_store.allow_drop = on;
DROP EXTENSION pynomaly_store CASCADE;
