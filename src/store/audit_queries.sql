-- ---------------------------------------------------------------------
-- store: what the platform asks of the audit log
-- ---------------------------------------------------------------------

-- As in queries.sql, every function runs with the caller's rights: it shows the
-- entries of the current tenant, to pynomaly_admin those of all tenants and of
-- the platform itself.
--
-- What the application gives in the details of an event may have a risk_score
-- (a number, 100 the worst) and compliance_frameworks (an array of names): these
-- functions read them there.

CREATE INDEX ON pynomaly.audit_log (tenant_id, user_id, created_at);
CREATE INDEX ON pynomaly.audit_log (tenant_id, correlation_id, created_at);

CREATE FUNCTION pynomaly.match_audit_entry(
    entry pynomaly.audit_log, tenant uuid, actor uuid, actions text[], resource_types text[],
    resource jsonb, outcomes text[], severities text[], risk_from float8, frameworks text[])
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (tenant IS NULL OR entry.tenant_id = tenant)
    AND (actor IS NULL OR entry.user_id = actor)
    AND (actions IS NULL OR entry.action = ANY (actions))
    AND (resource_types IS NULL OR entry.resource_type = ANY (resource_types))
    AND (resource IS NULL OR entry.resource_key @> resource)
    AND (outcomes IS NULL OR entry.outcome = ANY (outcomes))
    AND (severities IS NULL OR lower(entry.severity) = ANY (severities))
    AND (risk_from IS NULL OR pynomaly.read_metric(entry.details, 'risk_score') >= risk_from)
    AND (frameworks IS NULL OR entry.details -> 'compliance_frameworks' ?| frameworks);
COMMENT ON FUNCTION pynomaly.match_audit_entry(pynomaly.audit_log, uuid, uuid, text[], text[],
    jsonb, text[], text[], float8, text[]) IS
'is an entry of the audit log one that these filters of find_audit_entries let pass?';
REVOKE ALL ON FUNCTION pynomaly.match_audit_entry(pynomaly.audit_log, uuid, uuid, text[], text[],
    jsonb, text[], text[], float8, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.match_audit_entry(pynomaly.audit_log, uuid, uuid, text[],
    text[], jsonb, text[], text[], float8, text[])
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

-- A generic plan for what each index serves, as in find_results.
CREATE FUNCTION pynomaly.find_audit_entries(
    tenant           uuid DEFAULT NULL,
    actor            uuid DEFAULT NULL,
    actions          text[] DEFAULT NULL,
    resource_types   text[] DEFAULT NULL,
    resource         jsonb DEFAULT NULL,
    outcomes         text[] DEFAULT NULL,
    severities       text[] DEFAULT NULL,
    risk_from        float8 DEFAULT NULL,
    frameworks       text[] DEFAULT NULL,
    correlation      text DEFAULT NULL,
    created_from     timestamptz DEFAULT NULL,
    created_before   timestamptz DEFAULT NULL,
    after_created_at timestamptz DEFAULT NULL,
    after_chain_id   bigint DEFAULT NULL,
    after_sequence   bigint DEFAULT NULL,
    page_size        bigint DEFAULT 100)
RETURNS SETOF pynomaly.audit_log
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_sort = off
AS $$
DECLARE
    least_place constant bigint := -9223372036854775808;
    earliest constant timestamptz := coalesce(created_from, '-infinity');
    bound          timestamptz := 'infinity';
    bound_chain    bigint := 9223372036854775807;
    bound_sequence bigint := 9223372036854775807;
BEGIN
    IF created_before <= after_created_at OR after_created_at IS NULL
       AND created_before IS NOT NULL
    THEN
        bound := created_before;
        bound_chain := least_place;
        bound_sequence := least_place;
    ELSIF after_created_at IS NOT NULL THEN
        bound := after_created_at;
        bound_chain := coalesce(after_chain_id, least_place);
        bound_sequence := coalesce(after_sequence, least_place);
    END IF;
    IF correlation IS NOT NULL THEN
        RETURN QUERY
        SELECT p.*
        FROM (SELECT l.* FROM pynomaly.audit_log AS l
              WHERE l.correlation_id = correlation AND l.created_at <= bound
                AND (l.created_at, l.chain_id, l.sequence) < (bound, bound_chain, bound_sequence)
                AND pynomaly.match_audit_entry(l, tenant, actor, actions, resource_types,
                        resource, outcomes, severities, risk_from, frameworks)
              ORDER BY l.created_at DESC, l.chain_id DESC, l.sequence DESC
              LIMIT page_size) AS p
        WHERE p.created_at >= earliest
        ORDER BY p.created_at DESC, p.chain_id DESC, p.sequence DESC;
    ELSIF actor IS NOT NULL THEN
        RETURN QUERY
        SELECT p.*
        FROM (SELECT l.* FROM pynomaly.audit_log AS l
              WHERE l.user_id = actor AND l.created_at <= bound
                AND (l.created_at, l.chain_id, l.sequence) < (bound, bound_chain, bound_sequence)
                AND pynomaly.match_audit_entry(l, tenant, actor, actions, resource_types,
                        resource, outcomes, severities, risk_from, frameworks)
              ORDER BY l.created_at DESC, l.chain_id DESC, l.sequence DESC
              LIMIT page_size) AS p
        WHERE p.created_at >= earliest
        ORDER BY p.created_at DESC, p.chain_id DESC, p.sequence DESC;
    ELSIF tenant IS NOT NULL THEN
        RETURN QUERY
        SELECT p.*
        FROM (SELECT l.* FROM pynomaly.audit_log AS l
              WHERE l.tenant_id = tenant AND l.created_at <= bound
                AND (l.created_at, l.chain_id, l.sequence) < (bound, bound_chain, bound_sequence)
                AND pynomaly.match_audit_entry(l, tenant, actor, actions, resource_types,
                        resource, outcomes, severities, risk_from, frameworks)
              ORDER BY l.created_at DESC, l.chain_id DESC, l.sequence DESC
              LIMIT page_size) AS p
        WHERE p.created_at >= earliest
        ORDER BY p.created_at DESC, p.chain_id DESC, p.sequence DESC;
    ELSE
        RETURN QUERY
        SELECT p.*
        FROM (SELECT l.* FROM pynomaly.audit_log AS l
              WHERE l.created_at <= bound
                AND (l.created_at, l.chain_id, l.sequence) < (bound, bound_chain, bound_sequence)
                AND pynomaly.match_audit_entry(l, tenant, actor, actions, resource_types,
                        resource, outcomes, severities, risk_from, frameworks)
              ORDER BY l.created_at DESC, l.chain_id DESC, l.sequence DESC
              LIMIT page_size) AS p
        WHERE p.created_at >= earliest
        ORDER BY p.created_at DESC, p.chain_id DESC, p.sequence DESC;
    END IF;
END
$$;
COMMENT ON FUNCTION pynomaly.find_audit_entries(uuid, uuid, text[], text[], jsonb, text[],
    text[], float8, text[], text, timestamptz, timestamptz, timestamptz, bigint, bigint,
    bigint) IS
'a page of the audit log, newest first: by tenant, user, actions, resources, outcomes, severities, risk, frameworks, request, time';
REVOKE ALL ON FUNCTION pynomaly.find_audit_entries(uuid, uuid, text[], text[], jsonb, text[],
    text[], float8, text[], text, timestamptz, timestamptz, timestamptz, bigint, bigint,
    bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.find_audit_entries(uuid, uuid, text[], text[], jsonb, text[],
    text[], float8, text[], text, timestamptz, timestamptz, timestamptz, bigint, bigint,
    bigint)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.list_audit_trail(correlation text)
RETURNS SETOF pynomaly.audit_log
LANGUAGE sql STABLE PARALLEL SAFE ROWS 20
BEGIN ATOMIC
    SELECT l.* FROM pynomaly.audit_log AS l
    WHERE l.correlation_id = correlation
    ORDER BY l.created_at, l.chain_id, l.sequence;
END;
COMMENT ON FUNCTION pynomaly.list_audit_trail(text) IS
'all that a request did, in the order in which it did it';
REVOKE ALL ON FUNCTION pynomaly.list_audit_trail(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.list_audit_trail(text)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.list_high_risks(since interval DEFAULT '7 days',
                                         risk_from float8 DEFAULT 70,
                                         page_size bigint DEFAULT 100)
RETURNS SETOF pynomaly.audit_log
LANGUAGE sql STABLE PARALLEL SAFE ROWS 20
BEGIN ATOMIC
    SELECT l.* FROM pynomaly.audit_log AS l
    WHERE l.created_at >= now() - since
      AND (lower(l.severity) IN ('high', 'critical')
           OR pynomaly.read_metric(l.details, 'risk_score') >= risk_from)
    ORDER BY l.created_at DESC, l.chain_id DESC, l.sequence DESC
    LIMIT page_size;
END;
COMMENT ON FUNCTION pynomaly.list_high_risks(interval, float8, bigint) IS
'events of the last days that are of high or critical severity, or of a high risk, newest first';
REVOKE ALL ON FUNCTION pynomaly.list_high_risks(interval, float8, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.list_high_risks(interval, float8, bigint)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.summarize_audit_log(created_from timestamptz DEFAULT NULL,
                                             created_before timestamptz DEFAULT NULL)
RETURNS TABLE (n_entries bigint, n_users bigint, n_tenants bigint, average_risk float8,
               highest_risk float8, n_by_action jsonb, n_by_outcome jsonb, n_by_severity jsonb)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    WITH chosen AS (
        SELECT l.user_id, l.tenant_id, l.action, l.outcome, lower(l.severity) AS severity,
               pynomaly.read_metric(l.details, 'risk_score') AS risk
        FROM pynomaly.audit_log AS l
        WHERE (created_from IS NULL OR l.created_at >= created_from)
          AND (created_before IS NULL OR l.created_at < created_before))
    SELECT count(*), count(DISTINCT c.user_id), count(DISTINCT c.tenant_id),
           avg(c.risk), max(c.risk),
           (SELECT coalesce(jsonb_object_agg(g.action, g.n), '{}')
            FROM (SELECT x.action, count(*) AS n FROM chosen AS x GROUP BY 1) AS g),
           (SELECT coalesce(jsonb_object_agg(g.outcome, g.n), '{}')
            FROM (SELECT x.outcome, count(*) AS n FROM chosen AS x GROUP BY 1) AS g),
           (SELECT coalesce(jsonb_object_agg(g.severity, g.n), '{}')
            FROM (SELECT x.severity, count(*) AS n FROM chosen AS x
                  WHERE x.severity IS NOT NULL GROUP BY 1) AS g)
    FROM chosen AS c;
END;
COMMENT ON FUNCTION pynomaly.summarize_audit_log(timestamptz, timestamptz) IS
'the audit log of a time, counted: entries, users, tenants, by action, by outcome, by severity; the risk of events';
REVOKE ALL ON FUNCTION pynomaly.summarize_audit_log(timestamptz, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.summarize_audit_log(timestamptz, timestamptz)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;
