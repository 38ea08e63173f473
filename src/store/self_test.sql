-- ---------------------------------------------------------------------
-- store: a check of an installed database
-- ---------------------------------------------------------------------

CREATE FUNCTION pynomaly.seen_without_tenant()
RETURNS SETOF text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    role_before text := current_setting('role');
    tenant_before text := current_setting('pynomaly_store.tenant');
    tables text[] := ARRAY(SELECT DISTINCT tablename::text FROM pg_policies
                           WHERE schemaname = 'pynomaly' ORDER BY 1);
    tried text;
    seen boolean;
BEGIN
    BEGIN
        PERFORM set_config('role', 'pynomaly_app', true);
    EXCEPTION WHEN insufficient_privilege THEN
        RETURN NEXT 'not tried, as the caller is not a member of pynomaly_app';
        RETURN;
    END;
    PERFORM set_config('pynomaly_store.tenant', '', true);
    FOREACH tried IN ARRAY tables LOOP
        BEGIN
            EXECUTE format('SELECT EXISTS (SELECT FROM pynomaly.%I)', tried) INTO seen;
        EXCEPTION WHEN insufficient_privilege THEN
            seen := false;
        END;
        IF seen THEN
            RETURN NEXT tried;
        END IF;
    END LOOP;
    PERFORM set_config('pynomaly_store.tenant', tenant_before, true);
    PERFORM set_config('role', role_before, true);
END
$$;
COMMENT ON FUNCTION pynomaly.seen_without_tenant() IS
'tables in which pynomaly_app sees rows although no tenant is set';
REVOKE ALL ON FUNCTION pynomaly.seen_without_tenant() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.seen_without_tenant() TO pynomaly_admin;

-- Tells whether what the store promises is still so, after whatever has been
-- done to the database.
CREATE FUNCTION pynomaly.self_test(OUT test text, OUT passed boolean, OUT problems text)
RETURNS SETOF record
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
WITH tables AS (
    SELECT c.oid, c.relname, c.relkind, c.relowner, c.relacl, c.relispartition, c.reloptions,
           c.relrowsecurity AND c.relforcerowsecurity AS secured,
           c.relkind IN ('r', 'p')
           AND (c.relname IN ('tenants', 'users')
                OR EXISTS (SELECT FROM pg_attribute a
                           WHERE a.attrelid = c.oid AND a.attname = 'tenant_id')) AS of_tenants
    FROM pg_class c
    JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
    JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pynomaly_store'
)
SELECT c.test, c.problems = '{}',
       (SELECT string_agg(p.problem, ', ' ORDER BY p.problem COLLATE "C")
        FROM unnest(c.problems) AS p (problem))
FROM (VALUES
    ('the roles are there, and none escapes row-level security', ARRAY(
        SELECT wanted.name
        FROM unnest('{pynomaly_admin,pynomaly_app,pynomaly_readonly}'::text[]) AS wanted (name)
        LEFT JOIN pg_roles r ON r.rolname = wanted.name
        WHERE r.oid IS NULL OR r.rolsuper OR r.rolbypassrls)),
    ('neither pynomaly_app nor pynomaly_readonly is a member of pynomaly_admin', ARRAY(
        SELECT r.rolname::text
        FROM pg_roles r JOIN pg_roles admin ON admin.rolname = 'pynomaly_admin'
        WHERE r.rolname IN ('pynomaly_app', 'pynomaly_readonly')
          AND pg_has_role(r.oid, admin.oid, 'MEMBER'))),
    ('row-level security is on and forced wherever rows belong to tenants', ARRAY(
        SELECT t.relname::text FROM tables t WHERE t.of_tenants AND NOT t.secured)),
    ('no policy is missing, and no other one shows more', ARRAY(
        SELECT t.relname::text FROM tables t
        WHERE t.of_tenants
          AND (SELECT array_agg(p.polname ORDER BY p.polname) FROM pg_policy p
               WHERE p.polrelid = t.oid AND p.polpermissive)
              IS DISTINCT FROM '{admin_access,tenant_isolation}'::name[])),
    ('a back end without a tenant sees no rows', ARRAY(
        SELECT pynomaly.seen_without_tenant())),
    ('only owners truncate a table, or reach a partition by its name', ARRAY(
        SELECT DISTINCT format('%s by %s', t.relname,
                               CASE a.grantee WHEN 0 THEN 'PUBLIC'
                               ELSE a.grantee::regrole::text END)
        FROM tables t, aclexplode(t.relacl) AS a
        WHERE a.grantee <> t.relowner AND t.relkind IN ('r', 'p')
          AND (a.privilege_type IN ('TRUNCATE', 'TRIGGER', 'REFERENCES')
               OR t.relispartition OR a.grantee = 0))),
    ('views run with the rights of their callers', ARRAY(
        SELECT t.relname::text FROM tables t
        WHERE t.relkind IN ('v', 'm')
          AND NOT coalesce(t.reloptions && '{security_invoker=true,security_invoker=on}', false))),
    ('no trigger is disabled', ARRAY(
        SELECT format('%s on %s', g.tgname, t.relname)
        FROM tables t JOIN pg_trigger g ON g.tgrelid = t.oid
        WHERE g.tgenabled = 'D'
        UNION ALL
        SELECT v.evtname
        FROM pg_event_trigger v
        JOIN pg_depend d ON d.classid = 'pg_event_trigger'::regclass AND d.objid = v.oid
                        AND d.deptype = 'e'
        JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'pynomaly_store'
        WHERE v.evtenabled = 'D')),
    ('no index is invalid', ARRAY(
        SELECT i.indexrelid::regclass::text
        FROM tables t JOIN pg_index i ON i.indrelid = t.oid
        WHERE NOT i.indisvalid)),
    ('every constraint is validated', ARRAY(
        SELECT format('%s on %s', k.conname, t.relname)
        FROM tables t JOIN pg_constraint k ON k.conrelid = t.oid
        WHERE NOT k.convalidated)),
    ('this month and the next one have their partitions', ARRAY(
        SELECT format('%s %s', p.parent, to_char(w.month, 'YYYY-MM'))
        FROM pynomaly.partitioned_tables p,
             generate_series(p.present, p.present + interval '1 month', '1 month') AS w (month)
        WHERE NOT EXISTS (SELECT FROM pynomaly.partitions c
                          WHERE c.parent = p.parent AND c.month = w.month::date))),
    ('every partitioned table has a default partition', ARRAY(
        SELECT t.relname::text
        FROM tables t JOIN pg_partitioned_table p ON p.partrelid = t.oid
        WHERE p.partdefid = 0)),
    ('every partition is a member of the extension', ARRAY(
        SELECT c.partition FROM pynomaly.partitions c
        WHERE c.partition NOT IN (SELECT t.relname FROM tables t))),
    ('rows of tenants are dumped', ARRAY(
        SELECT t.relname::text
        FROM tables t
        WHERE t.relkind = 'r' AND t.of_tenants
          AND (NOT t.relispartition OR t.relname LIKE '%\_default')
          AND NOT EXISTS (SELECT FROM pg_extension e WHERE t.oid = ANY (e.extconfig)))),
    ('the newest results have the counts of their arrays', ARRAY(
        SELECT r.id::text
        FROM (SELECT * FROM pynomaly.detection_results ORDER BY created_at DESC LIMIT 100) AS r
        WHERE r.n_samples <> cardinality(r.scores)
           OR r.score_mean IS DISTINCT FROM (SELECT avg(s) FROM unnest(r.scores) AS s)
           OR r.n_anomalies IS DISTINCT FROM
              CASE WHEN r.labels IS NOT NULL
                   THEN (SELECT count(*) FROM unnest(r.labels) AS l WHERE l = 1) END))
) AS c (test, problems);
$$;
COMMENT ON FUNCTION pynomaly.self_test() IS
'checks an installed database; changes nothing';
REVOKE ALL ON FUNCTION pynomaly.self_test() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.self_test() TO pynomaly_admin;
