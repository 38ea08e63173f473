--
-- What the platform asks, on rows whose answers are known.
--
SET client_min_messages = error;
SET pynomaly_store.allow_drop = on;
DROP EXTENSION IF EXISTS pynomaly_store CASCADE;
CREATE EXTENSION pynomaly_store;
RESET pynomaly_store.allow_drop;
RESET client_min_messages;
\set SHOW_CONTEXT never
\set code '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SET TimeZone = 'America/New_York';
INSERT INTO pynomaly.tenants (id, name, plan, status, last_billing_date) VALUES
    ('00000000-0000-0000-0000-00000000000a', 'first', 'free', 'trial', NULL),
    ('00000000-0000-0000-0000-00000000000b', 'second', 'starter', 'active', NULL);

-- ---------- forms of the platform ----------

-- a time without an offset is in UTC, whatever the TimeZone
SELECT pynomaly.parse_time(t) AT TIME ZONE 'UTC' AS utc
FROM unnest(ARRAY['2025-06-25T03:21:19.325184', '2025-06-25 03:21:19', '2025-06-25T03:21:19+00:00',
                  '2025-06-25T03:21:19Z', '2025-06-25T03:21:19-04:00', '2025-06-25', NULL]) AS t;
SELECT pynomaly.parse_scores('[0.5, "0.25", {"value": 1, "confidence": 2}]'),
       pynomaly.parse_scores('[]'), pynomaly.parse_scores(NULL);
SELECT pynomaly.parse_scores('["high"]');
SELECT pynomaly.parse_labels('[0, 1, "1"]'), pynomaly.parse_labels('[-1, 1, 1]'),
       pynomaly.parse_labels('[]');
SELECT p, r.* FROM unnest(ARRAY['f', 'F13d7222-55', 'xyz', '', repeat('a', 33)]) AS p,
     pynomaly.id_prefix_range(p) AS r;

-- ---------- saving ----------

SELECT pynomaly.save_detector('{"name": "nobody''s"}');
:code
SELECT pynomaly.set_tenant('00000000-0000-0000-0000-00000000000a', false);
SET ROLE pynomaly_app;
SELECT pynomaly.save_detector('{"id": "f13d7222-55e1-4733-9d6a-bd966d458214", "name": "auto_lof",
    "algorithm_name": "LOF", "contamination_rate": 0.01, "parameters": {"n_neighbors": 5},
    "metadata": {"auto_generated": true}, "created_at": "2025-06-25T03:21:19.325184",
    "trained_at": "2025-06-24T23:21:19.473268", "is_fitted": true}');
SELECT pynomaly.save_detector(jsonb_build_object('id', '00000000-0000-0000-0000-0000000000d' || n,
    'name', 'Detector ' || n, 'algorithm_name', CASE WHEN n < 3 THEN 'LOF' ELSE 'OCSVM' END,
    'contamination_rate', NULL, 'created_at', '2025-07-0' || n, 'trained_at', NULL))
FROM generate_series(1, 5) AS n;
-- a second time: replaced, and its created_at kept
SELECT pynomaly.save_detector('{"id": "f13d7222-55e1-4733-9d6a-bd966d458214", "name": "renamed",
    "algorithm_name": "LOF", "is_fitted": true}');
SELECT name, contamination_rate, parameters, created_at AT TIME ZONE 'UTC' AS created, trained_at
FROM pynomaly.find_detectors(name => 'renamed');
SELECT pynomaly.save_detector('{"algorithm_name": "LOF"}');
SELECT pynomaly.save_detector('{"name": "x", "algorithm_name": "LOF", "contamination_rate": 0.7}');
SELECT pynomaly.save_detector('{"name": "x", "algorithm_name": "LOF", "metadata": [1]}');
SELECT pynomaly.save_detector('{"id": "5", "name": "x", "algorithm_name": "LOF"}');
SELECT pynomaly.save_dataset(jsonb_build_object('id', '00000000-0000-0000-0000-0000000000a' || n,
    'name', 'Set ' || n, 'feature_names', '["f0"]'::jsonb || to_jsonb('f' || n),
    'target_column', CASE WHEN n = 1 THEN 'y' END, 'created_at', '2025-07-0' || n,
    'metadata', jsonb_build_object('source', 'upload', 'n', n)))
FROM generate_series(1, 3) AS n;
SELECT pynomaly.save_result(jsonb_build_object('id', '00000000-0000-0000-0000-0000000000e' || n,
    'detector_id', '00000000-0000-0000-0000-0000000000d' || 1 + n % 2,
    'dataset_id', '00000000-0000-0000-0000-0000000000a1',
    'scores', '["0.1", 0.9, {"value": 0.5}, 0.8]'::jsonb, 'labels', '[0, 1, 0, 1]'::jsonb,
    'anomalies', '[]'::jsonb, 'threshold', 0.7, 'timestamp', '2025-07-1' || n || 'T10:00:00'))
FROM generate_series(1, 5) AS n;
SELECT pynomaly.save_result('{"id": "00000000-0000-0000-0000-0000000000e5",
    "detector_id": "00000000-0000-0000-0000-0000000000d2",
    "dataset_id": "00000000-0000-0000-0000-0000000000a2", "scores": [1, 2], "labels": [-1, 1],
    "timestamp": "2025-08-01T00:00:00+02:00"}');
SELECT pynomaly.save_result('{"detector_id": "00000000-0000-0000-0000-0000000000d2",
    "dataset_id": "00000000-0000-0000-0000-0000000000a2", "scores": [1, 2], "labels": [1]}');
SELECT pynomaly.save_result('{"detector_id": "00000000-0000-0000-0000-0000000000d2",
    "dataset_id": "00000000-0000-0000-0000-0000000000a2", "scores": ["NaN"], "labels": [1]}');
:code

-- ---------- detectors ----------

SELECT name FROM pynomaly.find_detectors(page_size => 2);
SELECT n.name FROM pynomaly.detectors AS d,
     pynomaly.find_detectors(after_created_at => d.created_at, after_id => d.id, page_size => 2) AS n
WHERE d.name = 'Detector 4';
SELECT name FROM pynomaly.find_detectors(algorithms => '{LOF}', fitted => false);
SELECT name FROM pynomaly.find_detectors(created_from => '2025-07-02Z', created_before => '2025-07-04Z');
SELECT name FROM pynomaly.find_detectors(metadata => '{"auto_generated": true}');
SELECT pynomaly.count_detectors(algorithms => '{OCSVM}'), pynomaly.count_detectors();
SELECT pynomaly.set_detectors_fitted(ARRAY['00000000-0000-0000-0000-0000000000d1',
    '00000000-0000-0000-0000-0000000000d3', '00000000-0000-0000-0000-0000000000ff']::uuid[], true);
SELECT name, algorithm_name FROM pynomaly.list_fitted_detectors();
SELECT count(*) FROM pynomaly.list_recently_fitted_detectors(2);
SELECT algorithm_name, n_detectors, n_fitted, first_created_at AT TIME ZONE 'UTC' AS first
FROM pynomaly.summarize_algorithms();
SELECT pynomaly.lookup_detector('F13d7222-55');
SELECT pynomaly.lookup_detector('RENAM');
SELECT pynomaly.lookup_detector('etector 3');
SELECT pynomaly.lookup_detector('etector 3', by_name_start => true);
SELECT pynomaly.lookup_detector('Detector');
:code
SELECT pynomaly.lookup_detector('100%');
:code

-- ---------- datasets ----------

SELECT name FROM pynomaly.find_datasets();
SELECT name FROM pynomaly.find_datasets(name_part => 'SET', with_target => true);
SELECT name FROM pynomaly.find_datasets(metadata => '{"n": 2}');
SELECT name FROM pynomaly.find_datasets(all_features => '{f0,f3}');
SELECT name FROM pynomaly.find_datasets(any_feature => '{f1,f3}');
SELECT pynomaly.count_datasets(with_target => false);
SELECT id FROM pynomaly.find_datasets_by_name('Set 2');
SELECT * FROM pynomaly.count_features(2);
SELECT * FROM pynomaly.count_targets();
SELECT pynomaly.lookup_dataset('00000000-0000-0000-0000-0000000000a2');
SELECT pynomaly.lookup_dataset('00000000');

-- ---------- results ----------

SELECT created_at AT TIME ZONE 'UTC' AS created, detector_name, dataset_name, n_samples, n_anomalies,
       anomaly_rate, score_median FROM pynomaly.find_results(page_size => 3);
SELECT n.id FROM pynomaly.detection_results AS r,
     pynomaly.find_results(after_created_at => r.created_at, after_id => r.id, page_size => 2) AS n
WHERE r.id = '00000000-0000-0000-0000-0000000000e3';
SELECT id FROM pynomaly.find_results(detector => '00000000-0000-0000-0000-0000000000d1');
SELECT id FROM pynomaly.find_results(dataset => '00000000-0000-0000-0000-0000000000a2');
SELECT id FROM pynomaly.find_results(created_from => '2025-07-12Z', created_before => '2025-07-14Z');
SELECT scores, labels, created_at AT TIME ZONE 'UTC' AS created
FROM pynomaly.get_result('00000000-0000-0000-0000-0000000000e5');
SELECT * FROM pynomaly.get_result_statistics('00000000-0000-0000-0000-0000000000e1');
SELECT * FROM pynomaly.get_top_anomalies('00000000-0000-0000-0000-0000000000e1');
SELECT * FROM pynomaly.count_results_by_day('100 years');
SELECT detector_name, n_results FROM pynomaly.rank_detectors('100 years');
SELECT dataset_name, n_results FROM pynomaly.rank_datasets('100 years', 1);
SELECT count(*) FROM pynomaly.rank_detectors('1 second');
SELECT * FROM pynomaly.get_storage_stats();

-- ---------- experiments ----------

INSERT INTO pynomaly.experiments (tenant_id, id, name, tags, created_at) VALUES
    (pynomaly.current_tenant(), '00000000-0000-0000-0000-000000000e01', 'older', '{a,b}', '2025-01-01Z'),
    (pynomaly.current_tenant(), '00000000-0000-0000-0000-000000000e02', 'newer', '{b}', '2025-02-01Z');
INSERT INTO pynomaly.experiment_runs (tenant_id, id, experiment_id, detector_name, metrics, created_at)
SELECT pynomaly.current_tenant(), ('00000000-0000-0000-0000-00000000f00' || n)::uuid,
       ('00000000-0000-0000-0000-000000000e0' || 1 + n % 2)::uuid, 'run ' || n, m::jsonb,
       '2025-01-01Z'::timestamptz + n * interval '1 day'
FROM unnest(ARRAY['{"f1": 0.5}', '{"f1": 0.75}', '{"f1": 0.75, "ms": 3}', '{"ms": 1}', '{"f1": "good"}'])
     WITH ORDINALITY AS r (m, n);
SELECT name FROM pynomaly.find_experiments(tag => 'b');
SELECT name FROM pynomaly.find_experiments(tag => 'a');
SELECT detector_name, value FROM pynomaly.compare_runs('00000000-0000-0000-0000-000000000e02', 'f1');
SELECT detector_name, value FROM pynomaly.compare_runs('00000000-0000-0000-0000-000000000e01', 'ms', lowest_first => true);
SELECT detector_name FROM pynomaly.get_best_run('00000000-0000-0000-0000-000000000e02', 'f1');
SELECT detector_name FROM pynomaly.get_best_run('00000000-0000-0000-0000-000000000e02', 'f1', lowest => true);
SELECT count(*) FROM pynomaly.get_best_run('00000000-0000-0000-0000-000000000e02', 'auc');
SELECT place, experiment_name, detector_name, value FROM pynomaly.rank_runs('f1');
SELECT place, detector_name, value FROM pynomaly.rank_runs('ms', lowest => true, most => 1);

-- ---------- training ----------

INSERT INTO pynomaly.training_jobs (tenant_id, id, name, status, priority, execution_time_seconds, created_at, completed_at)
SELECT pynomaly.current_tenant(), ('00000000-0000-0000-0000-00000000b00' || n)::uuid, 'job ' || n, s,
       CASE n WHEN 1 THEN 'high' ELSE 'normal' END, n, '2025-01-01Z'::timestamptz + n * interval '1 day',
       CASE WHEN s = 'completed' THEN '2025-02-01Z'::timestamptz END
FROM unnest('{completed,running,failed,pending,completed}'::text[]) WITH ORDINALITY AS j (s, n);
INSERT INTO pynomaly.training_trials (tenant_id, job_id, study_id, number, started_at)
SELECT pynomaly.current_tenant(), '00000000-0000-0000-0000-00000000b001', 'study', n, '2025-01-01Z'::timestamptz - n * interval '1 h'
FROM generate_series(1, 3) AS n;
SELECT name FROM pynomaly.find_training_jobs(statuses => '{completed,failed}', page_size => 2);
SELECT name FROM pynomaly.find_training_jobs(priority => 'high');
SELECT name FROM pynomaly.list_active_training_jobs();
SELECT n_jobs, n_by_status, average_execution_seconds, round(success_rate::numeric, 3) FROM pynomaly.summarize_training_jobs();
SELECT number FROM pynomaly.list_trials(study => 'study');
SELECT pynomaly.delete_finished_jobs();
SELECT count(*) FROM pynomaly.list_trials('00000000-0000-0000-0000-00000000b001');

-- ---------- models ----------

INSERT INTO pynomaly.model_versions (tenant_id, detector_id, version, name, algorithm_name, status, tags, created_at)
SELECT pynomaly.current_tenant(), '00000000-0000-0000-0000-0000000000d1', '1.0.' || n, 'Model ' || n, 'LOF',
       CASE n WHEN 1 THEN 'deployed' ELSE 'draft' END, ARRAY['t' || n, 'all'], '2025-01-01Z'::timestamptz + n * interval '1 day'
FROM generate_series(1, 3) AS n;
SELECT version FROM pynomaly.list_model_versions(detector => '00000000-0000-0000-0000-0000000000d1', statuses => '{draft}');
SELECT version FROM pynomaly.list_model_versions(search => 'T2');
SELECT version FROM pynomaly.list_model_versions(with_tags => '{all,t3}');
SELECT name FROM pynomaly.get_model_version('1.0.2', detector => '00000000-0000-0000-0000-0000000000d1');
SELECT version FROM pynomaly.get_latest_version(detector => '00000000-0000-0000-0000-0000000000d1');
SELECT * FROM pynomaly.count_model_versions();
SELECT pynomaly.delete_old_versions('1 day');
SELECT version FROM pynomaly.list_model_versions();

-- ---------- events ----------

INSERT INTO pynomaly.anomaly_events (tenant_id, event_type, severity, title, score, tags, correlation_id, event_time)
SELECT pynomaly.current_tenant(), CASE WHEN n % 2 = 0 THEN 'anomaly_detected' ELSE 'system_alert' END,
       CASE WHEN n > 3 THEN 'high' ELSE 'low' END, 'Event ' || n, n / 10.0, ARRAY['x', 'n' || n], 'c' || n % 2,
       '2025-01-01Z'::timestamptz + n * interval '1 day'
FROM generate_series(1, 5) AS n;
SELECT title FROM pynomaly.find_events(severities => '{low}');
SELECT title FROM pynomaly.find_events(event_types => '{anomaly_detected}', score_from => 0.3);
SELECT title FROM pynomaly.find_events(correlation => 'c1', search => 'EVENT 3');
SELECT title FROM pynomaly.find_events(with_tags => '{x,n2}');
SELECT title FROM pynomaly.find_events(event_from => '2025-01-03Z', event_before => '2025-01-05Z');
SELECT event_type, severity, n_events FROM pynomaly.summarize_events();

-- ---------- the other tenant, people, tenants ----------

SELECT pynomaly.set_tenant('00000000-0000-0000-0000-00000000000b', false);
SELECT * FROM pynomaly.get_storage_stats();
SELECT count(*) FROM pynomaly.get_result('00000000-0000-0000-0000-0000000000e1');
SELECT pynomaly.lookup_detector('renamed');
SELECT pynomaly.set_detectors_fitted(ARRAY['00000000-0000-0000-0000-0000000000d2']::uuid[], true);
SELECT * FROM pynomaly.clear_all();
SELECT name FROM pynomaly.find_tenants();
SELECT pynomaly.touch_tenant() IS NOT NULL AS touched;
RESET ROLE;
INSERT INTO pynomaly.users (id, email, username, created_at) VALUES
    ('00000000-0000-0000-0000-0000000000c1', 'ann@example.org', 'ann', '2025-01-01Z'),
    ('00000000-0000-0000-0000-0000000000c2', 'bob@example.org', 'bob', '2025-01-02Z');
INSERT INTO pynomaly.roles (name) VALUES ('taster');
INSERT INTO pynomaly.user_tenant_roles (tenant_id, user_id, role)
VALUES ('00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-0000000000c1', 'taster');
SET ROLE pynomaly_admin;
SELECT username, roles FROM pynomaly.find_users();
SELECT username FROM pynomaly.find_users(role => 'taster');
SELECT username FROM pynomaly.find_users(search => 'BOB@');
SELECT username FROM pynomaly.find_users(tenant => '00000000-0000-0000-0000-00000000000b');
SELECT name FROM pynomaly.find_tenants(plan => 'free');
SELECT * FROM pynomaly.count_tenants();
SELECT name FROM pynomaly.list_tenants_to_bill();

-- ---------- retention ----------

RESET ROLE;
SELECT pynomaly.set_tenant('00000000-0000-0000-0000-00000000000a', false);
SET ROLE pynomaly_readonly;
SELECT pynomaly.delete_old_results();
SET ROLE pynomaly_app;
SELECT pynomaly.delete_unfitted_detectors();
SELECT pynomaly.delete_old_results();
SELECT * FROM pynomaly.clear_all();
RESET ROLE;
SET pynomaly_store.allow_drop = on;
DROP EXTENSION pynomaly_store CASCADE;
