-- ---------------------------------------------------------------------
-- store: what a tenant's plan allows (docs/security.md)
--
-- Triggers note how many rows come and go; when the transaction commits, the
-- counters are changed, in one order for all, so that nobody waits for another's
-- transaction, nor two for each other.  Their rows are locked from then to the
-- end of the commit: no two transactions take the last place.  What is too much
-- already is refused at once.  Members of pynomaly_admin, who import data, are
-- counted and not refused.
-- ---------------------------------------------------------------------

CREATE TABLE pynomaly.plan_limits (
    plan      text NOT NULL,
    resource  text NOT NULL
              CHECK (resource IN ('users', 'datasets', 'models', 'detections_per_month', 'storage_bytes',
                                  'api_calls_per_minute', 'concurrent_detections')),
    maximum   bigint NOT NULL CHECK (maximum >= 0),
    is_system boolean NOT NULL DEFAULT false,
    PRIMARY KEY (plan, resource)
);
COMMENT ON TABLE pynomaly.plan_limits IS
'how much each plan allows; what has no row here has no limit. tenants.limits has what differs for a tenant';
COMMENT ON COLUMN pynomaly.plan_limits.is_system IS
'shipped with the extension, changed by its upgrades only';
CREATE TRIGGER protect_shipped_rows
    BEFORE INSERT OR UPDATE OR DELETE ON pynomaly.plan_limits
    FOR EACH ROW EXECUTE FUNCTION pynomaly.protect_shipped_rows();
INSERT INTO pynomaly.plan_limits (plan, resource, maximum, is_system)
SELECT p.plan, r.resource, p.maxima[r.n] * r.unit, true
FROM (VALUES ('free', '{3,10,5,1000,1,50,1}'::bigint[]),
             ('starter', '{10,50,20,10000,10,200,3}'),
             ('professional', '{50,200,100,100000,100,1000,10}'),
             ('enterprise', '{500,1000,500,1000000,1000,5000,50}')) p (plan, maxima),
     (VALUES (1, 'users', 1), (2, 'datasets', 1), (3, 'models', 1), (4, 'detections_per_month', 1),
             (5, 'storage_bytes', 1073741824), (6, 'api_calls_per_minute', 1),
             (7, 'concurrent_detections', 1)) r (n, resource, unit);
SELECT pg_catalog.pg_extension_config_dump('pynomaly.plan_limits', 'WHERE NOT is_system');

CREATE TABLE pynomaly.tenant_usage (
    tenant_id  uuid NOT NULL REFERENCES pynomaly.tenants ON DELETE CASCADE,
    resource   text NOT NULL,
    period     timestamptz NOT NULL DEFAULT 'epoch',
    used       bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, resource, period)
) WITH (fillfactor = 50);
COMMENT ON TABLE pynomaly.tenant_usage IS
'how much of its plan a tenant uses, kept by triggers; check_usage() compares it with the rows';
COMMENT ON COLUMN pynomaly.tenant_usage.period IS
'beginning of the month or minute that is counted; the epoch, which every driver knows, for what counts as long as it is there';
SELECT pg_catalog.pg_extension_config_dump('pynomaly.tenant_usage', '');

CREATE TABLE pynomaly.running_detections (
    tenant_id  uuid NOT NULL REFERENCES pynomaly.tenants ON DELETE CASCADE,
    id         uuid NOT NULL DEFAULT gen_random_uuid(),
    started_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE pynomaly.running_detections IS
'detections that run now; one that never ended counts until it expires';
SELECT pg_catalog.pg_extension_config_dump('pynomaly.running_detections', '');

-- ---------- limits and counters ----------

-- The keys of tenants.limits are the platform's.  What is no number there, nor
-- null for no limit, is as if it were absent.
CREATE FUNCTION pynomaly.get_limit(tenant uuid, resource text)
RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given jsonb;
    unit numeric := CASE resource WHEN 'storage_bytes' THEN 1073741824 ELSE 1 END;
    tenants_plan text;
BEGIN
    SELECT t.limits -> ('max_' || CASE get_limit.resource WHEN 'storage_bytes' THEN 'storage_gb'
                                  ELSE get_limit.resource END), t.plan
    INTO given, tenants_plan
    FROM pynomaly.tenants t WHERE t.id = tenant;
    IF jsonb_typeof(given) = 'null' THEN
        RETURN NULL;
    ELSIF jsonb_typeof(given) = 'number' THEN
        RETURN least(greatest(floor(given::numeric * unit), 0), 9223372036854775807);
    END IF;
    RETURN (SELECT l.maximum FROM pynomaly.plan_limits l
            WHERE l.plan = tenants_plan AND l.resource = get_limit.resource);
END
$$;
COMMENT ON FUNCTION pynomaly.get_limit(uuid, text) IS
'how much a tenant may have, by tenants.limits, else by its plan; NULL: no limit';

-- What a transaction has still to count.  Nobody ever sees a row of another's.
CREATE TABLE pynomaly.usage_changes (
    transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    tenant_id      uuid NOT NULL,
    resource       text NOT NULL,
    period         timestamptz NOT NULL,
    delta          bigint NOT NULL,
    is_limited     boolean NOT NULL
);
COMMENT ON TABLE pynomaly.usage_changes IS
'what the current transaction has to count when it commits; empty for everybody else';
CREATE INDEX ON pynomaly.usage_changes (transaction_id);
SELECT pg_catalog.pg_extension_config_dump('pynomaly.usage_changes', '');

CREATE FUNCTION pynomaly.demand_place(tenant uuid, resource text, total bigint)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    maximum constant bigint := pynomaly.get_limit(tenant, resource);
BEGIN
    IF total > maximum THEN
        RAISE EXCEPTION 'the tenant has reached its limit of % %', maximum, replace(resource, '_', ' ')
            USING ERRCODE = 'configuration_limit_exceeded',
                  HINT = 'A larger plan, or tenants.limits, allows more.';
    END IF;
END
$$;
COMMENT ON FUNCTION pynomaly.demand_place(uuid, text, bigint) IS
'an error where so many are more than the tenant may have';

CREATE FUNCTION pynomaly.change_usage(
    tenant uuid, resource text, delta bigint, period timestamptz DEFAULT 'epoch')
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    limited constant boolean := delta > 0 AND NOT pynomaly.is_admin_call();
BEGIN
    IF delta = 0 OR tenant IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO pynomaly.usage_changes (tenant_id, resource, period, delta, is_limited)
    VALUES (tenant, change_usage.resource, change_usage.period, change_usage.delta, limited);
    IF limited THEN
        PERFORM pynomaly.demand_place(tenant, change_usage.resource,
            coalesce((SELECT u.used FROM pynomaly.tenant_usage u
                      WHERE u.tenant_id = tenant AND u.resource = change_usage.resource
                        AND u.period = change_usage.period), 0)
            + (SELECT sum(c.delta) FROM pynomaly.usage_changes c
               WHERE c.transaction_id = pg_current_xact_id() AND c.tenant_id = tenant
                 AND c.resource = change_usage.resource AND c.period = change_usage.period)::bigint);
    END IF;
END
$$;
COMMENT ON FUNCTION pynomaly.change_usage(uuid, text, bigint, timestamptz) IS
'notes what the transaction has to count; an error where the tenant''s limit is passed already';

-- The first of a transaction's notes has all of them counted.
CREATE FUNCTION pynomaly.apply_usage()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    change record;
    total bigint;
BEGIN
    FOR change IN
        WITH noted AS (
            DELETE FROM pynomaly.usage_changes c
            WHERE c.transaction_id = pg_current_xact_id() RETURNING c.*
        )
        SELECT n.tenant_id, n.resource, n.period, sum(n.delta)::bigint AS delta, bool_or(n.is_limited) AS is_limited
        FROM noted n GROUP BY 1, 2, 3 HAVING sum(n.delta) <> 0 ORDER BY 1, 2, 3
    LOOP
        -- a tenant that is deleted has nothing to be counted
        INSERT INTO pynomaly.tenant_usage AS u (tenant_id, resource, period, used)
        SELECT change.tenant_id, change.resource, change.period, change.delta
        WHERE EXISTS (SELECT FROM pynomaly.tenants t WHERE t.id = change.tenant_id)
        ON CONFLICT ON CONSTRAINT tenant_usage_pkey
        DO UPDATE SET used = u.used + excluded.used, updated_at = now()
        RETURNING u.used INTO total;
        IF change.is_limited AND change.delta > 0 THEN
            PERFORM pynomaly.demand_place(change.tenant_id, change.resource, total);
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION pynomaly.apply_usage() IS
'trigger: counts what the transaction has noted, when it commits';
CREATE CONSTRAINT TRIGGER apply_usage AFTER INSERT ON pynomaly.usage_changes
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pynomaly.apply_usage();

-- ---------- rows that count as long as they are there ----------

-- For each statement, so that bulk loads cost no more; argument: the resource.
CREATE FUNCTION pynomaly.count_rows()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    part record;
BEGIN
    IF pynomaly.is_restoring() THEN
        RETURN NULL;
    ELSIF TG_OP = 'INSERT' THEN
        FOR part IN SELECT r.tenant_id, count(*) AS n FROM new_rows r GROUP BY 1 ORDER BY 1 LOOP
            PERFORM pynomaly.change_usage(part.tenant_id, TG_ARGV[0], part.n);
        END LOOP;
    ELSE
        FOR part IN SELECT r.tenant_id, count(*) AS n FROM old_rows r GROUP BY 1 ORDER BY 1 LOOP
            PERFORM pynomaly.change_usage(part.tenant_id, TG_ARGV[0], -part.n);
        END LOOP;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION pynomaly.count_rows() IS
'trigger: counts rows that come and go';

CREATE FUNCTION pynomaly.count_moved_row()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pynomaly.change_usage(OLD.tenant_id, TG_ARGV[0], -1);
    PERFORM pynomaly.change_usage(NEW.tenant_id, TG_ARGV[0], 1);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION pynomaly.count_moved_row() IS
'trigger: counts a row that moves to another tenant';

CREATE TRIGGER count_inserted AFTER INSERT ON pynomaly.user_tenant_roles
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pynomaly.count_rows('users');
CREATE TRIGGER count_deleted AFTER DELETE ON pynomaly.user_tenant_roles
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION pynomaly.count_rows('users');
CREATE TRIGGER count_moved AFTER UPDATE OF tenant_id ON pynomaly.user_tenant_roles
    FOR EACH ROW WHEN (OLD.tenant_id <> NEW.tenant_id) EXECUTE FUNCTION pynomaly.count_moved_row('users');
CREATE TRIGGER count_inserted AFTER INSERT ON pynomaly.datasets
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pynomaly.count_rows('datasets');
CREATE TRIGGER count_deleted AFTER DELETE ON pynomaly.datasets
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION pynomaly.count_rows('datasets');
CREATE TRIGGER count_moved AFTER UPDATE OF tenant_id ON pynomaly.datasets
    FOR EACH ROW WHEN (OLD.tenant_id <> NEW.tenant_id) EXECUTE FUNCTION pynomaly.count_moved_row('datasets');
CREATE TRIGGER count_inserted AFTER INSERT ON pynomaly.models
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pynomaly.count_rows('models');
CREATE TRIGGER count_deleted AFTER DELETE ON pynomaly.models
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION pynomaly.count_rows('models');
CREATE TRIGGER count_moved AFTER UPDATE OF tenant_id ON pynomaly.models
    FOR EACH ROW WHEN (OLD.tenant_id <> NEW.tenant_id) EXECUTE FUNCTION pynomaly.count_moved_row('models');

-- ---------- storage ----------

CREATE FUNCTION pynomaly.count_bytes()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    part record;
BEGIN
    IF pynomaly.is_restoring() THEN
        RETURN NULL;
    ELSIF TG_OP = 'INSERT' THEN
        FOR part IN SELECT r.tenant_id, sum(r.size_bytes) AS n FROM new_rows r GROUP BY 1 ORDER BY 1 LOOP
            PERFORM pynomaly.change_usage(part.tenant_id, 'storage_bytes', coalesce(part.n, 0)::bigint);
        END LOOP;
    ELSIF TG_OP = 'DELETE' THEN
        FOR part IN SELECT r.tenant_id, sum(r.size_bytes) AS n FROM old_rows r GROUP BY 1 ORDER BY 1 LOOP
            PERFORM pynomaly.change_usage(part.tenant_id, 'storage_bytes', -coalesce(part.n, 0)::bigint);
        END LOOP;
    ELSE
        FOR part IN SELECT r.tenant_id, sum(r.bytes) AS n
                    FROM (SELECT n.tenant_id, n.size_bytes FROM new_rows n
                          UNION ALL SELECT o.tenant_id, -o.size_bytes FROM old_rows o) r (tenant_id, bytes)
                    GROUP BY 1 ORDER BY 1 LOOP
            PERFORM pynomaly.change_usage(part.tenant_id, 'storage_bytes', coalesce(part.n, 0)::bigint);
        END LOOP;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION pynomaly.count_bytes() IS
'trigger: counts the bytes of what is stored';

CREATE TRIGGER count_inserted AFTER INSERT ON pynomaly.dataset_contents
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pynomaly.count_bytes();
CREATE TRIGGER count_updated AFTER UPDATE ON pynomaly.dataset_contents
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION pynomaly.count_bytes();
CREATE TRIGGER count_deleted AFTER DELETE ON pynomaly.dataset_contents
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION pynomaly.count_bytes();
CREATE TRIGGER count_inserted AFTER INSERT ON pynomaly.model_artifacts
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pynomaly.count_bytes();
CREATE TRIGGER count_updated AFTER UPDATE ON pynomaly.model_artifacts
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION pynomaly.count_bytes();
CREATE TRIGGER count_deleted AFTER DELETE ON pynomaly.model_artifacts
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION pynomaly.count_bytes();

-- ---------- detections of a month ----------

-- What was detected stays detected: deleting a result gives nothing back.
CREATE FUNCTION pynomaly.count_detections()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    part record;
BEGIN
    IF pynomaly.is_restoring() THEN
        RETURN NULL;
    END IF;
    FOR part IN SELECT r.tenant_id, date_trunc('month', r.created_at, 'UTC') AS month, count(*) AS n
                FROM new_rows r GROUP BY 1, 2 ORDER BY 1, 2 LOOP
        PERFORM pynomaly.change_usage(part.tenant_id, 'detections_per_month', part.n, part.month);
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION pynomaly.count_detections() IS
'trigger: counts the results of a month (of UTC)';
CREATE TRIGGER count_inserted AFTER INSERT ON pynomaly.detection_results
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION pynomaly.count_detections();

-- ---------- what makes no rows ----------

CREATE FUNCTION pynomaly.count_api_call()
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant constant uuid := pynomaly.required_tenant();
    maximum constant bigint := pynomaly.get_limit(tenant, 'api_calls_per_minute');
    minute constant timestamptz := date_trunc('minute', clock_timestamp());
    total bigint;
BEGIN
    -- one row, for the minute that is counted now
    INSERT INTO pynomaly.tenant_usage AS u (tenant_id, resource, used, updated_at)
    VALUES (tenant, 'api_calls_per_minute', 1, minute)
    ON CONFLICT ON CONSTRAINT tenant_usage_pkey
    DO UPDATE SET used = CASE WHEN u.updated_at >= minute THEN u.used + 1 ELSE 1 END,
                  updated_at = greatest(u.updated_at, minute)
    WHERE u.updated_at < minute OR u.used < maximum OR maximum IS NULL
    RETURNING u.used INTO total;
    RETURN total IS NOT NULL AND (maximum IS NULL OR total <= maximum);
END
$$;
COMMENT ON FUNCTION pynomaly.count_api_call() IS
'counts a call for the current tenant; false where it has had its calls of this minute';

CREATE FUNCTION pynomaly.begin_detection(lease interval DEFAULT '1 hour')
RETURNS uuid
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant constant uuid := pynomaly.required_tenant();
    maximum constant bigint := pynomaly.get_limit(tenant, 'concurrent_detections');
    running bigint;
    begun uuid;
BEGIN
    IF lease IS NULL OR lease <= interval '0' OR lease > interval '7 days' THEN
        RAISE EXCEPTION 'a detection may run for up to 7 days'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- those who begin are counted one after the other
    INSERT INTO pynomaly.tenant_usage AS u (tenant_id, resource, used)
    VALUES (tenant, 'concurrent_detections', 0)
    ON CONFLICT ON CONSTRAINT tenant_usage_pkey DO UPDATE SET updated_at = now();
    DELETE FROM pynomaly.running_detections r
    WHERE r.tenant_id = tenant AND r.expires_at <= clock_timestamp();
    running := (SELECT count(*) FROM pynomaly.running_detections r WHERE r.tenant_id = tenant);
    IF running >= maximum AND NOT pynomaly.is_admin_call() THEN
        RAISE EXCEPTION 'the tenant has reached its limit of % concurrent detections', maximum
            USING ERRCODE = 'configuration_limit_exceeded',
                  HINT = 'Wait until one ends.';
    END IF;
    INSERT INTO pynomaly.running_detections (tenant_id, expires_at)
    VALUES (tenant, clock_timestamp() + lease) RETURNING id INTO begun;
    UPDATE pynomaly.tenant_usage u SET used = running + 1
    WHERE u.tenant_id = tenant AND u.resource = 'concurrent_detections' AND u.period = 'epoch';
    RETURN begun;
END
$$;
COMMENT ON FUNCTION pynomaly.begin_detection(interval) IS
'takes one of the current tenant''s places for running detections, until end_detection or the lease ends; commit before the detection runs';

CREATE FUNCTION pynomaly.end_detection(detection uuid)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant constant uuid := pynomaly.required_tenant();
    ended boolean;
BEGIN
    PERFORM FROM pynomaly.tenant_usage u
    WHERE u.tenant_id = tenant AND u.resource = 'concurrent_detections' FOR UPDATE;
    DELETE FROM pynomaly.running_detections r WHERE r.tenant_id = tenant AND r.id = detection;
    ended := FOUND;
    UPDATE pynomaly.tenant_usage u
    SET used = (SELECT count(*) FROM pynomaly.running_detections r WHERE r.tenant_id = tenant), updated_at = now()
    WHERE u.tenant_id = tenant AND u.resource = 'concurrent_detections' AND u.period = 'epoch';
    RETURN ended;
END
$$;
COMMENT ON FUNCTION pynomaly.end_detection(uuid) IS
'gives the place of a detection back; returns whether it had one';

-- ---------- checking ----------

CREATE FUNCTION pynomaly.count_usage(
    OUT tenant_id uuid, OUT resource text, OUT period timestamptz, OUT actual bigint)
RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT g.tenant_id, 'users', 'epoch'::timestamptz, count(*) FROM pynomaly.user_tenant_roles g GROUP BY 1
    UNION ALL
    SELECT d.tenant_id, 'datasets', 'epoch', count(*) FROM pynomaly.datasets d GROUP BY 1
    UNION ALL
    SELECT m.tenant_id, 'models', 'epoch', count(*) FROM pynomaly.models m GROUP BY 1
    UNION ALL
    SELECT s.tenant_id, 'storage_bytes', 'epoch', coalesce(sum(s.size_bytes), 0)::bigint
    FROM (SELECT c.tenant_id, c.size_bytes FROM pynomaly.dataset_contents c
          UNION ALL SELECT a.tenant_id, a.size_bytes FROM pynomaly.model_artifacts a) s
    GROUP BY 1
    UNION ALL
    SELECT r.tenant_id, 'detections_per_month', date_trunc('month', r.created_at, 'UTC'), count(*)
    FROM pynomaly.detection_results r GROUP BY 1, 3
$$;
COMMENT ON FUNCTION pynomaly.count_usage() IS
'counts the rows of all tenants that the counters should have counted';

-- Results that were deleted stay counted, so more than there are is right.
CREATE FUNCTION pynomaly.check_usage(
    OUT tenant_id uuid, OUT resource text, OUT period timestamptz, OUT used bigint, OUT actual bigint)
RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT tenant_id, resource, period, coalesce(u.used, 0), coalesce(c.actual, 0)
    FROM (SELECT * FROM pynomaly.tenant_usage w
          WHERE w.resource IN ('users', 'datasets', 'models', 'storage_bytes', 'detections_per_month')) u
    FULL JOIN pynomaly.count_usage() c USING (tenant_id, resource, period)
    WHERE CASE resource WHEN 'detections_per_month' THEN coalesce(u.used, 0) < c.actual
          ELSE coalesce(u.used, 0) <> coalesce(c.actual, 0) END
$$;
COMMENT ON FUNCTION pynomaly.check_usage() IS
'counters of all tenants that are not what the rows say; none where all are right';

CREATE FUNCTION pynomaly.repair_usage()
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    mended bigint;
BEGIN
    -- Whoever counts holds a lock that this waits for, and who has not yet will
    -- count after it: so the rows that are seen are those to be counted.
    LOCK TABLE pynomaly.tenant_usage IN SHARE ROW EXCLUSIVE MODE;
    INSERT INTO pynomaly.tenant_usage AS u (tenant_id, resource, period, used)
    SELECT c.tenant_id, c.resource, c.period, c.actual FROM pynomaly.check_usage() c
    ON CONFLICT ON CONSTRAINT tenant_usage_pkey
    DO UPDATE SET used = excluded.used, updated_at = now();
    GET DIAGNOSTICS mended = ROW_COUNT;
    RETURN mended;
END
$$;
COMMENT ON FUNCTION pynomaly.repair_usage() IS
'sets the counters that check_usage() finds to what the rows say; returns how many. Those who make rows wait for its transaction';

CREATE VIEW pynomaly.quotas WITH (security_invoker = true) AS
SELECT t.id AS tenant_id, r.resource, coalesce(u.used, 0) AS used, pynomaly.get_limit(t.id, r.resource) AS maximum
FROM pynomaly.tenants t
CROSS JOIN unnest('{users,datasets,models,detections_per_month,storage_bytes,api_calls_per_minute,concurrent_detections}'::text[])
    r (resource)
LEFT JOIN pynomaly.tenant_usage u
    ON u.tenant_id = t.id AND u.resource = r.resource
   AND u.period = CASE r.resource WHEN 'detections_per_month' THEN date_trunc('month', now(), 'UTC')
                  ELSE 'epoch' END
   AND (r.resource <> 'api_calls_per_minute' OR u.updated_at >= date_trunc('minute', now()));
COMMENT ON VIEW pynomaly.quotas IS
'how much a tenant uses now, and how much it may (NULL: no limit)';

GRANT SELECT ON pynomaly.plan_limits, pynomaly.quotas TO pynomaly_admin, pynomaly_app, pynomaly_readonly;
GRANT INSERT, UPDATE, DELETE ON pynomaly.plan_limits TO pynomaly_admin;

REVOKE ALL ON FUNCTION
    pynomaly.get_limit(uuid, text),
    pynomaly.demand_place(uuid, text, bigint),
    pynomaly.change_usage(uuid, text, bigint, timestamptz),
    pynomaly.apply_usage(),
    pynomaly.count_rows(),
    pynomaly.count_moved_row(),
    pynomaly.count_bytes(),
    pynomaly.count_detections(),
    pynomaly.count_api_call(),
    pynomaly.begin_detection(interval),
    pynomaly.end_detection(uuid),
    pynomaly.count_usage(),
    pynomaly.check_usage(),
    pynomaly.repair_usage()
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.get_limit(uuid, text)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;
GRANT EXECUTE ON FUNCTION
    pynomaly.count_api_call(),
    pynomaly.begin_detection(interval),
    pynomaly.end_detection(uuid)
TO pynomaly_admin, pynomaly_app;
GRANT EXECUTE ON FUNCTION pynomaly.check_usage(), pynomaly.repair_usage() TO pynomaly_admin;
