--
-- What is derived of a detection result, and what is refused
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pynomaly_store;
RESET client_min_messages;
BEGIN;
INSERT INTO pynomaly.tenants (id, name)
    VALUES ('00000000-0000-0000-0000-00000000000a', 'acme');
INSERT INTO pynomaly.datasets (tenant_id, id, name, target_column)
    VALUES ('00000000-0000-0000-0000-00000000000a',
            '00000000-0000-0000-0000-0000000000d5', 'data', 'class');
INSERT INTO pynomaly.detectors (tenant_id, id, name, algorithm_name)
    VALUES ('00000000-0000-0000-0000-00000000000a',
            '00000000-0000-0000-0000-0000000000de', 'detector', 'LOF');
CREATE FUNCTION pg_temp.detect(scores float8[], labels smallint[],
                               intervals jsonb DEFAULT NULL)
RETURNS SETOF pynomaly.detection_results LANGUAGE sql AS $$
    INSERT INTO pynomaly.detection_results
        (tenant_id, detector_id, dataset_id, scores, labels, confidence_intervals)
    VALUES ('00000000-0000-0000-0000-00000000000a',
            '00000000-0000-0000-0000-0000000000de',
            '00000000-0000-0000-0000-0000000000d5', $1, $2, $3)
    RETURNING *;
$$;

-- to the last bit what the aggregates say, of many sizes and magnitudes
CREATE TEMP TABLE results AS
SELECT d.*
FROM (VALUES (0.13), (0.77), (0.4242)) AS seed (seed),
     generate_series(0, 60) AS n,
     LATERAL (SELECT coalesce(array_agg(abs(sin(seed * i * i)) * 10.0 ^ (i % 5 - 2) ORDER BY i), '{}') AS scores,
                     coalesce(array_agg((i % 7 = 3)::int::smallint ORDER BY i), '{}') AS labels
              FROM generate_series(1, n) AS i) AS a,
     LATERAL pg_temp.detect(a.scores, a.labels) AS d;
SELECT count(*) AS results,
       count(*) FILTER (WHERE r.n_samples IS DISTINCT FROM e.n_samples) AS n_samples,
       count(*) FILTER (WHERE r.n_anomalies IS DISTINCT FROM e.n_anomalies) AS n_anomalies,
       count(*) FILTER (WHERE r.anomaly_rate IS DISTINCT FROM e.n_anomalies / nullif(e.n_samples, 0)::float8) AS rate,
       count(*) FILTER (WHERE r.score_min IS DISTINCT FROM e.min) AS min,
       count(*) FILTER (WHERE r.score_max IS DISTINCT FROM e.max) AS max,
       count(*) FILTER (WHERE r.score_mean IS DISTINCT FROM e.mean) AS mean,
       count(*) FILTER (WHERE r.score_median IS DISTINCT FROM e.median) AS median,
       count(*) FILTER (WHERE r.score_std IS DISTINCT FROM e.std) AS std,
       count(*) FILTER (WHERE r.score_q25 IS DISTINCT FROM e.q25) AS q25,
       count(*) FILTER (WHERE r.score_q75 IS DISTINCT FROM e.q75) AS q75
FROM results r,
     LATERAL (SELECT count(*) AS n_samples, min(s), max(s), avg(s) AS mean,
                     stddev_pop(s) AS std,
                     percentile_cont(0.5) WITHIN GROUP (ORDER BY s) AS median,
                     percentile_cont(0.25) WITHIN GROUP (ORDER BY s) AS q25,
                     percentile_cont(0.75) WITHIN GROUP (ORDER BY s) AS q75,
                     (SELECT count(*) FROM unnest(r.labels) AS l WHERE l = 1) AS n_anomalies
              FROM unnest(r.scores) AS s) AS e;

-- what the caller says of them does not count, then or later
INSERT INTO pynomaly.detection_results
    (tenant_id, detector_id, dataset_id, scores, labels, n_samples, n_anomalies, score_mean,
     has_confidence_intervals)
VALUES ('00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-0000000000de',
        '00000000-0000-0000-0000-0000000000d5', '{1,2,3,4}', '{0,0,0,1}', 99, 98, 97, true)
RETURNING n_samples, n_anomalies, anomaly_rate, score_min, score_max, score_mean,
    score_median, score_std, score_q25, score_q75, has_confidence_intervals;
UPDATE pynomaly.detection_results SET score_mean = 5, n_anomalies = 3
    WHERE scores = '{1,2,3,4}' RETURNING score_mean, n_anomalies;
UPDATE pynomaly.detection_results SET labels = '{1,1,0,1}' WHERE scores = '{1,2,3,4}'
    RETURNING n_anomalies, anomaly_rate;
UPDATE pynomaly.detection_results SET metadata = '{"note": 1}', scores = '{1,2,3,8}'
    WHERE scores = '{1,2,3,4}' RETURNING score_max, score_mean, metadata;

-- labels that are not known, no samples, another lower bound, intervals
SELECT n_samples, n_anomalies, anomaly_rate, score_mean FROM pg_temp.detect('{0.5,0.7}', NULL);
SELECT n_samples, n_anomalies, anomaly_rate, score_mean FROM pg_temp.detect('{}', '{}');
SELECT n_samples, n_anomalies, score_max FROM pg_temp.detect('[0:1]={0.5,0.7}', '{0,1}');
SELECT n_samples, has_confidence_intervals
FROM pg_temp.detect('{0.5,0.7}', '{0,1}', '[{"lower": 0.4, "upper": 0.6}, null]');

-- refused, and nothing changed
CREATE FUNCTION pg_temp.refused(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    EXECUTE command;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN regexp_replace(
        concat_ws(' | ', SQLSTATE, SQLERRM,
                  CASE WHEN detail !~ 'Failing row|result_id' THEN nullif(detail, '') END),
        '_[0-9]{4}_[0-9]{2}', '_month', 'g');
END
$$;
SELECT pg_temp.refused(format('SELECT pg_temp.detect(%L, %L, %L)', scores, labels, intervals))
FROM (VALUES
    ('{0.1,NaN}', '{0,0}', NULL),
    ('{0.1,Infinity}', '{0,0}', NULL),
    ('{-Infinity,0.1}', NULL, NULL),
    ('{1.7e308,1.7e308}', '{0,0}', NULL),
    ('{1e200,2e200,4e200}', '{0,0,0}', NULL),
    ('{-1.7e308,1.7e308}', '{0,0}', NULL),
    ('{0.1,NULL}', '{0,0}', NULL),
    ('{{0.1},{0.2}}', '{0,0}', NULL),
    (NULL, '{0,0}', NULL),
    ('{0.1,0.2}', '{0}', NULL),
    ('{0.1,0.2}', '{}', NULL),
    ('{0.1,0.2}', '{0,2}', NULL),
    ('{0.1,0.2}', '{0,-1}', NULL),
    ('{0.1,0.2}', '{0,NULL}', NULL),
    ('{0.1,0.2}', '{{0},{1}}', NULL),
    ('{0.1,0.2}', '{0,1}', '[1]'),
    ('{0.1,0.2}', '{0,1}', '{"lower": 1}'),
    ('{0.1,0.2}', '{0,1}', '2'),
    ('{0.1,x}', '{0,1}', NULL)) AS v (scores, labels, intervals);
SELECT pg_temp.refused(format('UPDATE pynomaly.detection_results SET %s WHERE scores = ''{1,2,3,8}''', change))
FROM (VALUES ('scores = ''{1,2,3}'''), ('labels = ''{0}'''),
             ('scores = ''{1,2,3,NaN}'''), ('execution_time_ms = -1'),
             ('metadata = ''[]'''), ('metadata = ''1'''), ('metadata = ''{"a": NaN}'''),
             ('metadata = NULL'), ('threshold = NULL'), ('external_id = '''''),
             ('dataset_id = ''00000000-0000-0000-0000-0000000000ff'''),
             ('tenant_id = ''00000000-0000-0000-0000-0000000000ff''')) AS v (change);
SELECT pg_temp.refused(format('INSERT INTO pynomaly.datasets (tenant_id, name) VALUES (%L, %L)',
                              '00000000-0000-0000-0000-00000000000a', name))
FROM (VALUES (''), (repeat('x', 501)), (repeat('x', 1048576)), (NULL), (repeat('é', 500))) AS v (name);
SELECT scores, labels, score_max, metadata FROM pynomaly.detection_results
WHERE scores = '{1,2,3,8}';
SELECT has_target FROM pynomaly.datasets WHERE name = 'data';

-- anomalies: severity is the platform's, at its borders too
INSERT INTO pynomaly.anomalies (tenant_id, result_id, result_created_at, score, severity, sample_index)
SELECT tenant_id, r.id, r.created_at, s.score, 'low', s.i
FROM pynomaly.detection_results r,
     unnest('{0.1,0.5,0.51,0.7,0.71,0.9,0.91,1}'::float8[]) WITH ORDINALITY AS s (score, i)
WHERE scores = '{1,2,3,8}';
SELECT score, severity FROM pynomaly.anomalies ORDER BY sample_index;
UPDATE pynomaly.anomalies SET score = 0.95 WHERE score = 0.1 RETURNING severity;
UPDATE pynomaly.anomalies SET severity = 'low' WHERE score = 0.95 RETURNING severity;
SELECT pg_temp.refused('UPDATE pynomaly.anomalies SET ' || change)
FROM (VALUES ('score = ''NaN'''), ('score = ''Infinity'''), ('score = NULL'),
             ('sample_index = -1'), ('result_id = gen_random_uuid()'),
             ('data_point = ''[]''')) AS v (change);
DELETE FROM pynomaly.detection_results WHERE scores = '{1,2,3,8}';
SELECT count(*) AS anomalies FROM pynomaly.anomalies;

-- updated_at follows an update, unless that sets it
UPDATE pynomaly.datasets SET updated_at = '2001-02-03 00:00+00' WHERE name = 'data'
    RETURNING updated_at = '2001-02-03 00:00+00' AS as_given;
UPDATE pynomaly.datasets SET description = 'new' WHERE name = 'data'
    RETURNING updated_at = now() AS now;

-- 100,000 scores: where they are kept, the row itself stays short
SELECT n_samples, n_anomalies
FROM pg_temp.detect(array_fill(0.25::float8, '{100000}'), array_fill(0::smallint, '{100000}'));
SELECT pg_column_size(r.*) > 10000 AS with_arrays,
       pg_column_size(ROW(r.id, r.n_samples, r.n_anomalies, r.score_mean)) < 200 AS as_listed,
       pg_relation_size(r.tableoid) < 200000 AS table_is_small
FROM pynomaly.detection_results r WHERE n_samples = 100000;

-- the triggers' functions are triggers only
SELECT pg_temp.refused('SELECT pynomaly.' || f || '()')
FROM unnest('{derive_result,derive_anomaly,touch_updated_at,protect_shipped_rows,leave_default_partition,protect_rows}'::text[]) AS f;

-- rows that are shipped are written by the extension's scripts only
SELECT pg_temp.refused(command)
FROM (VALUES
    ('INSERT INTO pynomaly.roles (name, is_system) VALUES (''mine'', true)'),
    ('INSERT INTO pynomaly.roles (name) VALUES (''mine'')'),
    ('UPDATE pynomaly.roles SET is_system = true WHERE name = ''mine'''),
    ('UPDATE pynomaly.roles SET description = ''mine'' WHERE name = ''mine'''),
    ('DELETE FROM pynomaly.roles WHERE name = ''mine''')) AS v (command);
ROLLBACK;
