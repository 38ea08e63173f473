--
-- self_test() finds what has been undone
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pynomaly_store;
RESET client_min_messages;
BEGIN;
INSERT INTO pynomaly.tenants (id, name)
    VALUES ('00000000-0000-0000-0000-00000000000a', 'acme');
INSERT INTO pynomaly.datasets (tenant_id, id, name)
    VALUES ('00000000-0000-0000-0000-00000000000a',
            '00000000-0000-0000-0000-0000000000d5', 'data');
INSERT INTO pynomaly.detectors (tenant_id, id, name, algorithm_name)
    VALUES ('00000000-0000-0000-0000-00000000000a',
            '00000000-0000-0000-0000-0000000000de', 'detector', 'LOF');
INSERT INTO pynomaly.detection_results
    (tenant_id, id, detector_id, dataset_id, scores, labels, created_at)
SELECT '00000000-0000-0000-0000-00000000000a', ('eeeeeeee-0000-0000-0000-00000000000' || n)::uuid,
       '00000000-0000-0000-0000-0000000000de', '00000000-0000-0000-0000-0000000000d5',
       (ARRAY['{}', '{0.1}', '{0.1,0.2}', '{0.3,0.4}'])[n]::float8[],
       (ARRAY['{}', '{1}', '{0,0}', NULL])[n]::smallint[],
       now() + n * interval '1 second'
FROM generate_series(1, 4) AS n;

-- a sound database, also within a read-only transaction
SELECT * FROM pynomaly.self_test();

-- what is broken is found, by its name; then it is mended again
CREATE FUNCTION pg_temp.broken_by(VARIADIC commands text[])
RETURNS TABLE (test text, problems text) LANGUAGE plpgsql AS $$
DECLARE
    command text;
BEGIN
    FOREACH command IN ARRAY commands LOOP
        EXECUTE command;
    END LOOP;
    FOR test, problems IN
        SELECT t.test, regexp_replace(t.problems, '[_ ][0-9]{4}[_-][0-9]{2}', '_month', 'g')
        FROM pynomaly.self_test() AS t WHERE NOT t.passed
    LOOP
        RETURN NEXT;
    END LOOP;
    RAISE EXCEPTION USING ERRCODE = 'raise_exception';
EXCEPTION WHEN raise_exception THEN
    NULL;
END
$$;
CREATE FUNCTION pg_temp.month(parent text) RETURNS text LANGUAGE sql AS
$$ SELECT 'pynomaly.' || parent || to_char(now() AT TIME ZONE 'UTC', '_YYYY_MM') $$;

SELECT * FROM pg_temp.broken_by('ALTER ROLE pynomaly_readonly BYPASSRLS');
SELECT * FROM pg_temp.broken_by('GRANT pynomaly_admin TO pynomaly_app');
SELECT * FROM pg_temp.broken_by('ALTER TABLE pynomaly.datasets DISABLE ROW LEVEL SECURITY',
                                'ALTER TABLE pynomaly.users NO FORCE ROW LEVEL SECURITY');
SELECT * FROM pg_temp.broken_by('DROP POLICY tenant_isolation ON pynomaly.alerts',
                                'CREATE POLICY open ON pynomaly.detectors USING (true)',
                                'CREATE POLICY closed ON pynomaly.models AS RESTRICTIVE USING (false)');
SELECT * FROM pg_temp.broken_by('GRANT TRUNCATE ON pynomaly.datasets TO pynomaly_app',
                                'GRANT SELECT ON pynomaly.alerts TO PUBLIC',
                                'GRANT SELECT ON pynomaly.anomalies_default TO pynomaly_readonly');
SELECT * FROM pg_temp.broken_by('ALTER VIEW pynomaly.partitions RESET (security_invoker)');
SELECT * FROM pg_temp.broken_by('ALTER TABLE pynomaly.datasets DISABLE TRIGGER touch_updated_at',
                                'ALTER EVENT TRIGGER pynomaly_protect_rows DISABLE');
SELECT * FROM pg_temp.broken_by('CREATE UNIQUE INDEX late ON ONLY pynomaly.anomalies '
                                '(tenant_id, result_created_at, id)');
SELECT * FROM pg_temp.broken_by('ALTER TABLE pynomaly.alerts ADD CONSTRAINT late '
                                'CHECK (length(name) > 3) NOT VALID');
SELECT * FROM pg_temp.broken_by(
    format('ALTER EXTENSION pynomaly_store DROP TABLE %s', pg_temp.month('anomalies')));
SELECT * FROM pg_temp.broken_by(
    format('ALTER EXTENSION pynomaly_store DROP TABLE %s', pg_temp.month('anomalies')),
    format('ALTER EXTENSION pynomaly_store DROP TABLE %s', pg_temp.month('detection_results')),
    format('DROP TABLE %s, %s', pg_temp.month('anomalies'), pg_temp.month('detection_results')));
SELECT * FROM pg_temp.broken_by(
    'ALTER TABLE pynomaly.anomalies DETACH PARTITION pynomaly.anomalies_default');
SELECT * FROM pg_temp.broken_by(
    'SET LOCAL session_replication_role = replica',
    'UPDATE pynomaly.detection_results SET n_anomalies = 1 WHERE n_samples = 2',
    'SET LOCAL session_replication_role = origin');

-- nothing has changed
SELECT count(*) AS tests, bool_and(passed) AS passed FROM pynomaly.self_test();
SELECT current_user = session_user AS same_user, pynomaly.current_tenant() IS NULL AS no_tenant;
SET TRANSACTION READ ONLY;
SELECT bool_and(passed) AS passed FROM pynomaly.self_test();

-- for pynomaly_admin alone
SET LOCAL ROLE pynomaly_app;
SELECT * FROM pynomaly.self_test();
ROLLBACK;
