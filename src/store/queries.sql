-- ---------------------------------------------------------------------
-- store: what the platform asks
-- ---------------------------------------------------------------------

-- Every function here runs with the caller's rights, so that row-level
-- security shows it the rows of the current tenant, or of all tenants to
-- pynomaly_admin.  Most reading functions are in SQL-standard form: their
-- names were resolved when they were made, whatever the search_path, and the
-- planner inlines them, so that a filter that is not given costs nothing and
-- one that is finds its index.
--
-- Pages are cut by key, not by number: the caller passes the created_at and
-- the id of the last row that it has, and gets the rows that follow it, newest
-- first.  A page costs the same wherever it lies.
--
-- Under row-level security an index condition beside that on the tenant has to
-- be leakproof: = and < of text, uuid and timestamptz are, those of jsonb and
-- the functions of text are not.  What is asked by those reads the tenant's
-- rows by an index and filters them.

-- ---------------------------------------------------------------------
-- reading what the platform writes
-- ---------------------------------------------------------------------

CREATE FUNCTION pynomaly.parse_time(value text)
RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE STRICT
RETURN CASE WHEN value ~ '[0-9]:[0-9]{2}.*(Z|[+-][0-9]{2}(:?[0-9]{2})?)$'
            THEN value::timestamptz
            ELSE value::timestamp AT TIME ZONE 'UTC' END;
COMMENT ON FUNCTION pynomaly.parse_time(text) IS
'a time as the platform writes it: one without an offset is in UTC, whatever the TimeZone';

CREATE FUNCTION pynomaly.parse_scores(scores jsonb)
RETURNS float8[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
RETURN (SELECT coalesce(array_agg((CASE jsonb_typeof(s.score)
                                   WHEN 'object' THEN s.score ->> 'value'
                                   ELSE s.score #>> '{}' END)::float8
                                  ORDER BY s.position), '{}')
        FROM jsonb_array_elements(scores) WITH ORDINALITY AS s (score, position));
COMMENT ON FUNCTION pynomaly.parse_scores(jsonb) IS
'scores as the platform writes them: numbers, numbers in strings, or objects with a value';

CREATE FUNCTION pynomaly.parse_labels(labels jsonb)
RETURNS smallint[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
RETURN (SELECT coalesce(array_agg(CASE WHEN (SELECT NOT labels @> '[-1]') THEN l.label
                                       WHEN l.label = -1 THEN 1
                                       ELSE 0 END::smallint
                                  ORDER BY l.position), '{}')
        FROM (SELECT (e.label #>> '{}')::smallint AS label, e.position
              FROM jsonb_array_elements(labels) WITH ORDINALITY AS e (label, position)) AS l);
COMMENT ON FUNCTION pynomaly.parse_labels(jsonb) IS
'labels as the platform writes them: 1 for an anomaly, or -1 where that occurs and 1 for the others';

-- CASE, for a planner may evaluate what a WHERE would keep from being evaluated.
CREATE FUNCTION pynomaly.id_prefix_range(prefix text, OUT low uuid, OUT high uuid)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN d.digits ~ '^[0-9a-f]{1,32}$' THEN rpad(d.digits, 32, '0')::uuid END,
           CASE WHEN d.digits ~ '^[0-9a-f]{1,32}$' THEN rpad(d.digits, 32, 'f')::uuid END
    FROM (SELECT replace(lower(prefix), '-', '') AS digits) AS d;
END;
COMMENT ON FUNCTION pynomaly.id_prefix_range(text) IS
'the least and the greatest uuid whose text begins with a prefix; NULL where none can';

CREATE FUNCTION pynomaly.member_or(object jsonb, key text, otherwise jsonb)
RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(nullif(object -> key, 'null'), otherwise);
COMMENT ON FUNCTION pynomaly.member_or(jsonb, text, jsonb) IS
'a member of a JSON object, or another value where it is missing or null';

CREATE FUNCTION pynomaly.required_tenant()
RETURNS uuid
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF pynomaly.current_tenant() IS NULL THEN
        RAISE EXCEPTION 'no tenant is set'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Call pynomaly.set_tenant() in this transaction.';
    END IF;
    RETURN pynomaly.current_tenant();
END
$$;
COMMENT ON FUNCTION pynomaly.required_tenant() IS
'the current tenant, or an error where none is set';

CREATE FUNCTION pynomaly.report_lookup(kind text, term text, candidates text[])
RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF candidates IS NULL THEN
        RAISE EXCEPTION 'there is no % "%"', kind, left(term, 100)
            USING ERRCODE = 'no_data_found';
    ELSIF cardinality(candidates) > 1 THEN
        RAISE EXCEPTION '% "%" is ambiguous', kind, left(term, 100)
            USING ERRCODE = 'cardinality_violation',
                  DETAIL = format('It can be: %s%s.', array_to_string(candidates[:10], ', '),
                                  CASE WHEN cardinality(candidates) > 10 THEN ' and others' END),
                  HINT = 'Give more digits of the id, or more of the name.';
    END IF;
END
$$;
COMMENT ON FUNCTION pynomaly.report_lookup(text, text, text[]) IS
'raises an error unless a look-up has found exactly one';

REVOKE ALL ON FUNCTION pynomaly.parse_time(text), pynomaly.parse_scores(jsonb),
    pynomaly.parse_labels(jsonb), pynomaly.id_prefix_range(text),
    pynomaly.member_or(jsonb, text, jsonb), pynomaly.required_tenant(),
    pynomaly.report_lookup(text, text, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.parse_time(text), pynomaly.parse_scores(jsonb),
    pynomaly.parse_labels(jsonb), pynomaly.id_prefix_range(text),
    pynomaly.member_or(jsonb, text, jsonb), pynomaly.required_tenant(),
    pynomaly.report_lookup(text, text, text[])
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

-- ---------------------------------------------------------------------
-- detectors
-- ---------------------------------------------------------------------

CREATE INDEX ON pynomaly.detectors (tenant_id, created_at DESC, id DESC);
CREATE INDEX ON pynomaly.detectors (tenant_id, algorithm_name, created_at DESC);
CREATE INDEX ON pynomaly.detectors (tenant_id, name, created_at DESC);
CREATE INDEX ON pynomaly.detectors (tenant_id, updated_at DESC) WHERE is_fitted;

CREATE FUNCTION pynomaly.find_detectors(
    name             text DEFAULT NULL,
    algorithms       text[] DEFAULT NULL,
    fitted           boolean DEFAULT NULL,
    metadata         jsonb DEFAULT NULL,
    created_from     timestamptz DEFAULT NULL,
    created_before   timestamptz DEFAULT NULL,
    after_created_at timestamptz DEFAULT NULL,
    after_id         uuid DEFAULT NULL,
    page_size        bigint DEFAULT 100)
RETURNS SETOF pynomaly.detectors
LANGUAGE sql STABLE PARALLEL SAFE ROWS 100
BEGIN ATOMIC
    SELECT d.* FROM pynomaly.detectors AS d
    WHERE (find_detectors.name IS NULL OR d.name = find_detectors.name)
      AND (algorithms IS NULL OR d.algorithm_name = ANY (algorithms))
      AND (fitted IS NULL OR d.is_fitted = fitted)
      AND (find_detectors.metadata IS NULL OR d.metadata @> find_detectors.metadata)
      AND (created_from IS NULL OR d.created_at >= created_from)
      AND (created_before IS NULL OR d.created_at < created_before)
      AND (after_created_at IS NULL OR (d.created_at, d.id) < (after_created_at, after_id))
    ORDER BY d.created_at DESC, d.id DESC
    LIMIT page_size;
END;
COMMENT ON FUNCTION pynomaly.find_detectors(text, text[], boolean, jsonb, timestamptz,
    timestamptz, timestamptz, uuid, bigint) IS
'a page of detectors, newest first: by name, algorithms, state, what the metadata contains, time';
REVOKE ALL ON FUNCTION pynomaly.find_detectors(text, text[], boolean, jsonb, timestamptz,
    timestamptz, timestamptz, uuid, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.find_detectors(text, text[], boolean, jsonb, timestamptz,
    timestamptz, timestamptz, uuid, bigint)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.count_detectors(
    name           text DEFAULT NULL,
    algorithms     text[] DEFAULT NULL,
    fitted         boolean DEFAULT NULL,
    metadata       jsonb DEFAULT NULL,
    created_from   timestamptz DEFAULT NULL,
    created_before timestamptz DEFAULT NULL)
RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT count(*) FROM pynomaly.find_detectors(
        count_detectors.name, algorithms, fitted, count_detectors.metadata, created_from,
        created_before, page_size => NULL);
END;
COMMENT ON FUNCTION pynomaly.count_detectors(text, text[], boolean, jsonb, timestamptz,
    timestamptz) IS
'how many detectors find_detectors finds on all of its pages';
REVOKE ALL ON FUNCTION pynomaly.count_detectors(text, text[], boolean, jsonb, timestamptz,
    timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.count_detectors(text, text[], boolean, jsonb, timestamptz,
    timestamptz)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.list_fitted_detectors(algorithms text[] DEFAULT NULL,
                                               page_size bigint DEFAULT 100)
RETURNS SETOF pynomaly.detectors
LANGUAGE sql STABLE PARALLEL SAFE ROWS 100
BEGIN ATOMIC
    SELECT d.* FROM pynomaly.detectors AS d
    WHERE d.is_fitted AND (algorithms IS NULL OR d.algorithm_name = ANY (algorithms))
    ORDER BY d.algorithm_name, d.created_at DESC, d.id DESC
    LIMIT page_size;
END;
COMMENT ON FUNCTION pynomaly.list_fitted_detectors(text[], bigint) IS
'fitted detectors by algorithm, the newest of each first';
REVOKE ALL ON FUNCTION pynomaly.list_fitted_detectors(text[], bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.list_fitted_detectors(text[], bigint)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.list_recently_fitted_detectors(page_size bigint DEFAULT 10)
RETURNS SETOF pynomaly.detectors
LANGUAGE sql STABLE PARALLEL SAFE ROWS 10
BEGIN ATOMIC
    SELECT d.* FROM pynomaly.detectors AS d
    WHERE d.is_fitted
    ORDER BY d.updated_at DESC, d.id DESC
    LIMIT page_size;
END;
COMMENT ON FUNCTION pynomaly.list_recently_fitted_detectors(bigint) IS
'fitted detectors, the last changed first';
REVOKE ALL ON FUNCTION pynomaly.list_recently_fitted_detectors(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.list_recently_fitted_detectors(bigint)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.match_detectors(term text, by_name_start boolean DEFAULT false)
RETURNS SETOF pynomaly.detectors
LANGUAGE sql STABLE PARALLEL SAFE ROWS 5
BEGIN ATOMIC
    SELECT d.* FROM pynomaly.detectors AS d
    WHERE d.id BETWEEN (SELECT r.low FROM pynomaly.id_prefix_range(term) AS r)
                   AND (SELECT r.high FROM pynomaly.id_prefix_range(term) AS r)
    UNION
    SELECT d.* FROM pynomaly.detectors AS d
    WHERE CASE WHEN by_name_start THEN starts_with(lower(d.name), lower(term))
               ELSE strpos(lower(d.name), lower(term)) > 0 END;
END;
COMMENT ON FUNCTION pynomaly.match_detectors(text, boolean) IS
'detectors whose id begins with a term or whose name contains it, in any case';
REVOKE ALL ON FUNCTION pynomaly.match_detectors(text, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.match_detectors(text, boolean)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.lookup_detector(term text, by_name_start boolean DEFAULT false)
RETURNS uuid
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    candidates text[];
    ids        uuid[];
BEGIN
    SELECT array_agg(format('%s (%s)', m.id, m.name) ORDER BY m.created_at DESC, m.id),
           array_agg(m.id ORDER BY m.created_at DESC, m.id)
    INTO candidates, ids
    FROM (SELECT * FROM pynomaly.match_detectors(term, by_name_start) LIMIT 11) AS m;
    PERFORM pynomaly.report_lookup('detector', term, candidates);
    RETURN ids[1];
END
$$;
COMMENT ON FUNCTION pynomaly.lookup_detector(text, boolean) IS
'the one detector that match_detectors finds; an error where there is none, or which they are where there are several';
REVOKE ALL ON FUNCTION pynomaly.lookup_detector(text, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.lookup_detector(text, boolean)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.summarize_algorithms()
RETURNS TABLE (algorithm_name text, n_detectors bigint, n_fitted bigint,
               first_created_at timestamptz, last_created_at timestamptz)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 20
BEGIN ATOMIC
    SELECT d.algorithm_name, count(*), count(*) FILTER (WHERE d.is_fitted),
           min(d.created_at), max(d.created_at)
    FROM pynomaly.detectors AS d
    GROUP BY d.algorithm_name
    ORDER BY d.algorithm_name;
END;
COMMENT ON FUNCTION pynomaly.summarize_algorithms() IS
'detectors counted by algorithm';
REVOKE ALL ON FUNCTION pynomaly.summarize_algorithms() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.summarize_algorithms()
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.save_detector(detector jsonb)
RETURNS uuid
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    saved uuid;
BEGIN
    INSERT INTO pynomaly.detectors AS d
        (tenant_id, id, name, algorithm_name, description, contamination_rate, parameters,
         metadata, is_fitted, created_at, trained_at)
    VALUES (pynomaly.required_tenant(),
            coalesce((detector ->> 'id')::uuid, gen_random_uuid()),
            detector ->> 'name',
            detector ->> 'algorithm_name',
            detector ->> 'description',
            coalesce((detector ->> 'contamination_rate')::float8, 0.1),
            pynomaly.member_or(detector, 'parameters', '{}'),
            pynomaly.member_or(detector, 'metadata', '{}'),
            coalesce((detector ->> 'is_fitted')::boolean, false),
            coalesce(pynomaly.parse_time(detector ->> 'created_at'), now()),
            pynomaly.parse_time(detector ->> 'trained_at'))
    ON CONFLICT (tenant_id, id) DO UPDATE
    SET name = excluded.name, algorithm_name = excluded.algorithm_name,
        description = excluded.description,
        contamination_rate = excluded.contamination_rate,
        parameters = excluded.parameters, metadata = excluded.metadata,
        is_fitted = excluded.is_fitted, trained_at = excluded.trained_at,
        created_at = CASE WHEN detector ? 'created_at' THEN excluded.created_at
                          ELSE d.created_at END
    RETURNING id INTO saved;
    RETURN saved;
END
$$;
COMMENT ON FUNCTION pynomaly.save_detector(jsonb) IS
'inserts or replaces a detector, by its id, from the platform''s own form of it; returns the id';
REVOKE ALL ON FUNCTION pynomaly.save_detector(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.save_detector(jsonb)
    TO pynomaly_admin, pynomaly_app;

CREATE FUNCTION pynomaly.set_detectors_fitted(ids uuid[], fitted boolean)
RETURNS bigint
LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
    WITH changed AS (
        UPDATE pynomaly.detectors AS d
        SET is_fitted = fitted,
            trained_at = CASE WHEN fitted THEN coalesce(d.trained_at, now()) END
        WHERE d.id = ANY (ids)
        RETURNING 1)
    SELECT count(*) FROM changed;
END;
COMMENT ON FUNCTION pynomaly.set_detectors_fitted(uuid[], boolean) IS
'marks detectors as fitted or not; returns how many';
REVOKE ALL ON FUNCTION pynomaly.set_detectors_fitted(uuid[], boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.set_detectors_fitted(uuid[], boolean)
    TO pynomaly_admin, pynomaly_app;

CREATE FUNCTION pynomaly.delete_unfitted_detectors(older_than interval DEFAULT '7 days')
RETURNS bigint
LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
    WITH deleted AS (
        DELETE FROM pynomaly.detectors AS d
        WHERE NOT d.is_fitted AND d.created_at < now() - older_than
          AND NOT EXISTS (SELECT FROM pynomaly.detection_results AS r
                          WHERE r.tenant_id = d.tenant_id AND r.detector_id = d.id)
        RETURNING 1)
    SELECT count(*) FROM deleted;
END;
COMMENT ON FUNCTION pynomaly.delete_unfitted_detectors(interval) IS
'deletes detectors that were never fitted and have no results; returns how many';
REVOKE ALL ON FUNCTION pynomaly.delete_unfitted_detectors(interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.delete_unfitted_detectors(interval)
    TO pynomaly_admin, pynomaly_app;

-- ---------------------------------------------------------------------
-- datasets
-- ---------------------------------------------------------------------

CREATE INDEX ON pynomaly.datasets (tenant_id, created_at DESC, id DESC);
CREATE INDEX ON pynomaly.datasets (tenant_id, name, created_at DESC);

CREATE FUNCTION pynomaly.find_datasets(
    name_part        text DEFAULT NULL,
    with_target      boolean DEFAULT NULL,
    metadata         jsonb DEFAULT NULL,
    all_features     text[] DEFAULT NULL,
    any_feature      text[] DEFAULT NULL,
    after_created_at timestamptz DEFAULT NULL,
    after_id         uuid DEFAULT NULL,
    page_size        bigint DEFAULT 100)
RETURNS SETOF pynomaly.datasets
LANGUAGE sql STABLE PARALLEL SAFE ROWS 100
BEGIN ATOMIC
    SELECT d.* FROM pynomaly.datasets AS d
    WHERE (name_part IS NULL OR strpos(lower(d.name), lower(name_part)) > 0)
      AND (with_target IS NULL OR d.has_target = with_target)
      AND (find_datasets.metadata IS NULL OR d.metadata @> find_datasets.metadata)
      AND (all_features IS NULL OR d.feature_names @> all_features)
      AND (any_feature IS NULL OR d.feature_names && any_feature)
      AND (after_created_at IS NULL OR (d.created_at, d.id) < (after_created_at, after_id))
    ORDER BY d.created_at DESC, d.id DESC
    LIMIT page_size;
END;
COMMENT ON FUNCTION pynomaly.find_datasets(text, boolean, jsonb, text[], text[],
    timestamptz, uuid, bigint) IS
'a page of datasets, newest first: by part of the name in any case, target, metadata, features';
REVOKE ALL ON FUNCTION pynomaly.find_datasets(text, boolean, jsonb, text[], text[],
    timestamptz, uuid, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.find_datasets(text, boolean, jsonb, text[], text[],
    timestamptz, uuid, bigint)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.count_datasets(
    name_part    text DEFAULT NULL,
    with_target  boolean DEFAULT NULL,
    metadata     jsonb DEFAULT NULL,
    all_features text[] DEFAULT NULL,
    any_feature  text[] DEFAULT NULL)
RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT count(*) FROM pynomaly.find_datasets(
        name_part, with_target, count_datasets.metadata, all_features, any_feature,
        page_size => NULL);
END;
COMMENT ON FUNCTION pynomaly.count_datasets(text, boolean, jsonb, text[], text[]) IS
'how many datasets find_datasets finds on all of its pages';
REVOKE ALL ON FUNCTION pynomaly.count_datasets(text, boolean, jsonb, text[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.count_datasets(text, boolean, jsonb, text[], text[])
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.find_datasets_by_name(name text)
RETURNS SETOF pynomaly.datasets
LANGUAGE sql STABLE PARALLEL SAFE ROWS 2
BEGIN ATOMIC
    SELECT d.* FROM pynomaly.datasets AS d
    WHERE d.name = find_datasets_by_name.name
    ORDER BY d.created_at DESC, d.id DESC;
END;
COMMENT ON FUNCTION pynomaly.find_datasets_by_name(text) IS
'datasets of a name, which need not be one, newest first';
REVOKE ALL ON FUNCTION pynomaly.find_datasets_by_name(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.find_datasets_by_name(text)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.match_datasets(term text)
RETURNS SETOF pynomaly.datasets
LANGUAGE sql STABLE PARALLEL SAFE ROWS 5
BEGIN ATOMIC
    SELECT d.* FROM pynomaly.datasets AS d
    WHERE d.id BETWEEN (SELECT r.low FROM pynomaly.id_prefix_range(term) AS r)
                   AND (SELECT r.high FROM pynomaly.id_prefix_range(term) AS r)
    UNION
    SELECT d.* FROM pynomaly.datasets AS d
    WHERE strpos(lower(d.name), lower(term)) > 0;
END;
COMMENT ON FUNCTION pynomaly.match_datasets(text) IS
'datasets whose id begins with a term or whose name contains it, in any case';
REVOKE ALL ON FUNCTION pynomaly.match_datasets(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.match_datasets(text)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.lookup_dataset(term text)
RETURNS uuid
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    candidates text[];
    ids        uuid[];
BEGIN
    SELECT array_agg(format('%s (%s)', m.id, m.name) ORDER BY m.created_at DESC, m.id),
           array_agg(m.id ORDER BY m.created_at DESC, m.id)
    INTO candidates, ids
    FROM (SELECT * FROM pynomaly.match_datasets(term) LIMIT 11) AS m;
    PERFORM pynomaly.report_lookup('dataset', term, candidates);
    RETURN ids[1];
END
$$;
COMMENT ON FUNCTION pynomaly.lookup_dataset(text) IS
'the one dataset that match_datasets finds; an error where there is none, or which they are where there are several';
REVOKE ALL ON FUNCTION pynomaly.lookup_dataset(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.lookup_dataset(text)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.count_features(most bigint DEFAULT 20)
RETURNS TABLE (feature text, n_datasets bigint)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 20
BEGIN ATOMIC
    SELECT f.feature, count(*)
    FROM pynomaly.datasets AS d, unnest(d.feature_names) AS f (feature)
    GROUP BY f.feature
    ORDER BY count(*) DESC, f.feature
    LIMIT most;
END;
COMMENT ON FUNCTION pynomaly.count_features(bigint) IS
'the features that most datasets have';
REVOKE ALL ON FUNCTION pynomaly.count_features(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.count_features(bigint)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.count_targets()
RETURNS TABLE (target_column text, n_datasets bigint)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 20
BEGIN ATOMIC
    SELECT d.target_column, count(*)
    FROM pynomaly.datasets AS d
    GROUP BY d.target_column
    ORDER BY count(*) DESC, d.target_column;
END;
COMMENT ON FUNCTION pynomaly.count_targets() IS
'datasets counted by their target column';
REVOKE ALL ON FUNCTION pynomaly.count_targets() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.count_targets()
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.save_dataset(dataset jsonb)
RETURNS uuid
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    saved uuid;
BEGIN
    INSERT INTO pynomaly.datasets AS d
        (tenant_id, id, name, description, source, n_samples, n_features, feature_names,
         target_column, metadata, created_at)
    VALUES (pynomaly.required_tenant(),
            coalesce((dataset ->> 'id')::uuid, gen_random_uuid()),
            dataset ->> 'name',
            dataset ->> 'description',
            coalesce(dataset ->> 'source', dataset #>> '{metadata,source}'),
            (dataset ->> 'n_samples')::bigint,
            (dataset ->> 'n_features')::integer,
            (SELECT array_agg(f.name ORDER BY f.position)
             FROM jsonb_array_elements_text(pynomaly.member_or(dataset, 'feature_names', NULL))
                  WITH ORDINALITY AS f (name, position)),
            dataset ->> 'target_column',
            pynomaly.member_or(dataset, 'metadata', '{}'),
            coalesce(pynomaly.parse_time(dataset ->> 'created_at'), now()))
    ON CONFLICT (tenant_id, id) DO UPDATE
    SET name = excluded.name, description = excluded.description, source = excluded.source,
        n_samples = excluded.n_samples, n_features = excluded.n_features,
        feature_names = excluded.feature_names, target_column = excluded.target_column,
        metadata = excluded.metadata,
        created_at = CASE WHEN dataset ? 'created_at' THEN excluded.created_at
                          ELSE d.created_at END
    RETURNING id INTO saved;
    RETURN saved;
END
$$;
COMMENT ON FUNCTION pynomaly.save_dataset(jsonb) IS
'inserts or replaces a dataset, by its id, from the platform''s own form of it; returns the id';
REVOKE ALL ON FUNCTION pynomaly.save_dataset(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.save_dataset(jsonb)
    TO pynomaly_admin, pynomaly_app;

-- ---------------------------------------------------------------------
-- detection results
-- ---------------------------------------------------------------------

CREATE INDEX ON pynomaly.detection_results (tenant_id, created_at DESC, id DESC);

-- Without the arrays, which may be long and are not read where they are not
-- asked for.  Names are looked up row by row: a page needs few of them, and a
-- join might read all that the tenant has.
CREATE VIEW pynomaly.result_summaries WITH (security_invoker) AS
SELECT r.tenant_id, r.id, r.created_at, r.detector_id,
       (SELECT d.name FROM pynomaly.detectors AS d
        WHERE d.tenant_id = r.tenant_id AND d.id = r.detector_id) AS detector_name,
       (SELECT d.algorithm_name FROM pynomaly.detectors AS d
        WHERE d.tenant_id = r.tenant_id AND d.id = r.detector_id) AS algorithm_name,
       r.dataset_id,
       (SELECT s.name FROM pynomaly.datasets AS s
        WHERE s.tenant_id = r.tenant_id AND s.id = r.dataset_id) AS dataset_name,
       r.threshold, r.execution_time_ms, r.n_samples, r.n_anomalies, r.anomaly_rate,
       r.score_min, r.score_max, r.score_mean, r.score_median, r.score_std, r.score_q25,
       r.score_q75, r.has_confidence_intervals, r.origin, r.metadata
FROM pynomaly.detection_results AS r;
COMMENT ON VIEW pynomaly.result_summaries IS
'detection results with the names of detector and dataset, without scores and labels';
GRANT SELECT ON pynomaly.result_summaries TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

-- A generic plan for each kind of page, as planning for all months takes longer
-- than reading a page.  It walks the months' indexes at once, in order, and stops
-- when the page is full; sorting would look cheaper to a planner that has not been
-- shown how many results a detector has (estimates.c).  Rows before created_from
-- are cut off the page that was found: beside a second limit on the time the
-- planner would not tell the index of a detector from that of all results.
CREATE FUNCTION pynomaly.find_results(
    detector         uuid DEFAULT NULL,
    dataset          uuid DEFAULT NULL,
    created_from     timestamptz DEFAULT NULL,
    created_before   timestamptz DEFAULT NULL,
    after_created_at timestamptz DEFAULT NULL,
    after_id         uuid DEFAULT NULL,
    page_size        bigint DEFAULT 10)
RETURNS SETOF pynomaly.result_summaries
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_sort = off
AS $$
DECLARE
    earliest constant timestamptz := coalesce(created_from, '-infinity');
    bound    timestamptz := 'infinity';         -- rows before it, or of its time
    bound_id uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';    -- and before this
BEGIN
    IF created_before <= after_created_at OR after_created_at IS NULL
       AND created_before IS NOT NULL
    THEN
        bound := created_before;
        bound_id := '00000000-0000-0000-0000-000000000000';
    ELSIF after_created_at IS NOT NULL THEN
        bound := after_created_at;
        bound_id := coalesce(after_id, '00000000-0000-0000-0000-000000000000');
    END IF;
    IF detector IS NOT NULL THEN
        RETURN QUERY
        SELECT p.*
        FROM (SELECT r.* FROM pynomaly.result_summaries AS r
              WHERE r.detector_id = detector AND (dataset IS NULL OR r.dataset_id = dataset)
                AND r.created_at <= bound
                AND (r.created_at, r.id) < (bound, bound_id)
              ORDER BY r.created_at DESC, r.id DESC
              LIMIT page_size) AS p
        WHERE p.created_at >= earliest
        ORDER BY p.created_at DESC, p.id DESC;
    ELSIF dataset IS NOT NULL THEN
        RETURN QUERY
        SELECT p.*
        FROM (SELECT r.* FROM pynomaly.result_summaries AS r
              WHERE r.dataset_id = dataset AND r.created_at <= bound
                AND (r.created_at, r.id) < (bound, bound_id)
              ORDER BY r.created_at DESC, r.id DESC
              LIMIT page_size) AS p
        WHERE p.created_at >= earliest
        ORDER BY p.created_at DESC, p.id DESC;
    ELSE
        RETURN QUERY
        SELECT p.*
        FROM (SELECT r.* FROM pynomaly.result_summaries AS r
              WHERE r.created_at <= bound
                AND (r.created_at, r.id) < (bound, bound_id)
              ORDER BY r.created_at DESC, r.id DESC
              LIMIT page_size) AS p
        WHERE p.created_at >= earliest
        ORDER BY p.created_at DESC, p.id DESC;
    END IF;
END
$$;
COMMENT ON FUNCTION pynomaly.find_results(uuid, uuid, timestamptz, timestamptz, timestamptz,
    uuid, bigint) IS
'a page of results, newest first, without their arrays: of a detector, of a dataset, of a time';
REVOKE ALL ON FUNCTION pynomaly.find_results(uuid, uuid, timestamptz, timestamptz, timestamptz,
    uuid, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.find_results(uuid, uuid, timestamptz, timestamptz, timestamptz,
    uuid, bigint)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.get_result(id uuid)
RETURNS SETOF pynomaly.detection_results
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    SELECT r.* FROM pynomaly.detection_results AS r WHERE r.id = get_result.id;
END;
COMMENT ON FUNCTION pynomaly.get_result(uuid) IS
'a result with its scores and labels';
REVOKE ALL ON FUNCTION pynomaly.get_result(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.get_result(uuid)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.get_result_statistics(id uuid)
RETURNS TABLE (n_samples integer, n_anomalies integer, anomaly_rate float8, min float8,
               max float8, mean float8, median float8, std float8, q25 float8, q75 float8)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    SELECT r.n_samples, r.n_anomalies, r.anomaly_rate, r.score_min, r.score_max,
           r.score_mean, r.score_median, r.score_std, r.score_q25, r.score_q75
    FROM pynomaly.detection_results AS r
    WHERE r.id = get_result_statistics.id;
END;
COMMENT ON FUNCTION pynomaly.get_result_statistics(uuid) IS
'the statistics of a result''s scores, which are kept beside them';
REVOKE ALL ON FUNCTION pynomaly.get_result_statistics(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.get_result_statistics(uuid)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.get_top_anomalies(result uuid, most bigint DEFAULT 10)
RETURNS TABLE (sample_index bigint, score float8)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 10
BEGIN ATOMIC
    SELECT s.position - 1, s.score
    FROM pynomaly.detection_results AS r,
         ROWS FROM (unnest(r.scores), unnest(r.labels)) WITH ORDINALITY
             AS s (score, label, position)
    WHERE r.id = result AND s.label = 1
    ORDER BY s.score DESC, s.position
    LIMIT most;
END;
COMMENT ON FUNCTION pynomaly.get_top_anomalies(uuid, bigint) IS
'the samples of a result that are labelled anomalies, those with the highest scores first; counted from 0';
REVOKE ALL ON FUNCTION pynomaly.get_top_anomalies(uuid, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.get_top_anomalies(uuid, bigint)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.save_result(result jsonb)
RETURNS uuid
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant uuid := pynomaly.required_tenant();
    saved  uuid := coalesce((result ->> 'id')::uuid, gen_random_uuid());
BEGIN
    -- its key has the time in it, which a replacement may change
    DELETE FROM pynomaly.detection_results AS r WHERE r.tenant_id = tenant AND r.id = saved;
    INSERT INTO pynomaly.detection_results
        (tenant_id, id, detector_id, dataset_id, created_at, threshold, execution_time_ms,
         scores, labels, confidence_intervals, performance_metrics, metadata)
    VALUES (tenant, saved,
            (result ->> 'detector_id')::uuid,
            (result ->> 'dataset_id')::uuid,
            coalesce(pynomaly.parse_time(result ->> 'timestamp'), now()),
            coalesce((result ->> 'threshold')::float8, 0.5),
            (result ->> 'execution_time_ms')::float8,
            coalesce(pynomaly.parse_scores(pynomaly.member_or(result, 'scores', NULL)), '{}'),
            pynomaly.parse_labels(pynomaly.member_or(result, 'labels', NULL)),
            pynomaly.member_or(result, 'confidence_intervals', NULL),
            pynomaly.member_or(result, 'performance_metrics', NULL),
            pynomaly.member_or(result, 'metadata', '{}'));
    RETURN saved;
END
$$;
COMMENT ON FUNCTION pynomaly.save_result(jsonb) IS
'inserts or replaces a result, by its id, from the platform''s own form of it; returns the id';
REVOKE ALL ON FUNCTION pynomaly.save_result(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.save_result(jsonb)
    TO pynomaly_admin, pynomaly_app;

CREATE FUNCTION pynomaly.count_results_by_day(since interval DEFAULT '30 days')
RETURNS TABLE (day date, n_results bigint, n_anomalies bigint)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 30
BEGIN ATOMIC
    SELECT (r.created_at AT TIME ZONE 'UTC')::date, count(*),
           coalesce(sum(r.n_anomalies), 0)::bigint
    FROM pynomaly.detection_results AS r
    WHERE r.created_at >= now() - since
    GROUP BY 1
    ORDER BY 1;
END;
COMMENT ON FUNCTION pynomaly.count_results_by_day(interval) IS
'results of the last days, counted by their day in UTC';
REVOKE ALL ON FUNCTION pynomaly.count_results_by_day(interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.count_results_by_day(interval)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.rank_detectors(since interval DEFAULT '30 days',
                                        most bigint DEFAULT 10)
RETURNS TABLE (detector_id uuid, detector_name text, n_results bigint)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 10
BEGIN ATOMIC
    SELECT r.detector_id, d.name, r.n
    FROM (SELECT tenant_id, detector_id, count(*) AS n
          FROM pynomaly.detection_results
          WHERE created_at >= now() - since
          GROUP BY tenant_id, detector_id
          ORDER BY n DESC, detector_id
          LIMIT most) AS r
    JOIN pynomaly.detectors AS d ON d.tenant_id = r.tenant_id AND d.id = r.detector_id
    ORDER BY r.n DESC, r.detector_id;
END;
COMMENT ON FUNCTION pynomaly.rank_detectors(interval, bigint) IS
'the detectors with most results in the last days';
REVOKE ALL ON FUNCTION pynomaly.rank_detectors(interval, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.rank_detectors(interval, bigint)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.rank_datasets(since interval DEFAULT '30 days',
                                       most bigint DEFAULT 10)
RETURNS TABLE (dataset_id uuid, dataset_name text, n_results bigint)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 10
BEGIN ATOMIC
    SELECT r.dataset_id, d.name, r.n
    FROM (SELECT tenant_id, dataset_id, count(*) AS n
          FROM pynomaly.detection_results
          WHERE created_at >= now() - since
          GROUP BY tenant_id, dataset_id
          ORDER BY n DESC, dataset_id
          LIMIT most) AS r
    JOIN pynomaly.datasets AS d ON d.tenant_id = r.tenant_id AND d.id = r.dataset_id
    ORDER BY r.n DESC, r.dataset_id;
END;
COMMENT ON FUNCTION pynomaly.rank_datasets(interval, bigint) IS
'the datasets with most results in the last days';
REVOKE ALL ON FUNCTION pynomaly.rank_datasets(interval, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.rank_datasets(interval, bigint)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.delete_old_results(older_than interval DEFAULT '90 days')
RETURNS bigint
LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
    WITH deleted AS (
        DELETE FROM pynomaly.detection_results AS r
        WHERE r.created_at < now() - older_than
        RETURNING 1)
    SELECT count(*) FROM deleted;
END;
COMMENT ON FUNCTION pynomaly.delete_old_results(interval) IS
'deletes results by age, with their anomalies; returns how many. maintain_partitions() drops those of all tenants by the month';
REVOKE ALL ON FUNCTION pynomaly.delete_old_results(interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.delete_old_results(interval)
    TO pynomaly_admin, pynomaly_app;

-- ---------------------------------------------------------------------
-- all of a tenant's work
-- ---------------------------------------------------------------------

CREATE FUNCTION pynomaly.get_storage_stats()
RETURNS TABLE (detectors bigint, datasets bigint, results bigint)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    SELECT (SELECT count(*) FROM pynomaly.detectors),
           (SELECT count(*) FROM pynomaly.datasets),
           (SELECT count(*) FROM pynomaly.detection_results);
END;
COMMENT ON FUNCTION pynomaly.get_storage_stats() IS
'how many detectors, datasets and results there are';
REVOKE ALL ON FUNCTION pynomaly.get_storage_stats() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.get_storage_stats()
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.clear_all()
RETURNS TABLE (detectors bigint, datasets bigint, results bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant uuid := pynomaly.required_tenant();
BEGIN
    DELETE FROM pynomaly.detection_results AS r WHERE r.tenant_id = tenant;
    GET DIAGNOSTICS results = ROW_COUNT;
    DELETE FROM pynomaly.datasets AS d WHERE d.tenant_id = tenant;
    GET DIAGNOSTICS datasets = ROW_COUNT;
    DELETE FROM pynomaly.detectors AS d WHERE d.tenant_id = tenant;
    GET DIAGNOSTICS detectors = ROW_COUNT;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION pynomaly.clear_all() IS
'deletes the results, the datasets and the detectors of the current tenant; returns how many';
REVOKE ALL ON FUNCTION pynomaly.clear_all() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.clear_all()
    TO pynomaly_admin, pynomaly_app;

-- ---------------------------------------------------------------------
-- people and tenants
-- ---------------------------------------------------------------------

CREATE INDEX ON pynomaly.users (created_at DESC, id DESC);
CREATE INDEX ON pynomaly.tenants (created_at DESC, id DESC);
CREATE INDEX ON pynomaly.tenants (name);

-- pynomaly_admin reads all users in order; for others, and where a tenant or a
-- role is asked for, the search begins with the grants, which are few.
CREATE FUNCTION pynomaly.find_users(
    tenant           uuid DEFAULT NULL,
    status           text DEFAULT NULL,
    role             text DEFAULT NULL,
    search           text DEFAULT NULL,
    after_created_at timestamptz DEFAULT NULL,
    after_id         uuid DEFAULT NULL,
    page_size        bigint DEFAULT 100)
RETURNS TABLE (id uuid, email text, username text, first_name text, last_name text,
               user_status text, roles text[], created_at timestamptz)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF tenant IS NULL AND find_users.role IS NULL AND pg_has_role('pynomaly_admin', 'USAGE') THEN
        RETURN QUERY
        SELECT u.id, u.email, u.username, u.first_name, u.last_name, u.status,
               (SELECT array_agg(DISTINCT g.role ORDER BY g.role)
                FROM pynomaly.user_tenant_roles AS g WHERE g.user_id = u.id),
               u.created_at
        FROM pynomaly.users AS u
        WHERE (find_users.status IS NULL OR u.status = find_users.status)
          AND (search IS NULL OR strpos(lower(u.username), lower(search)) > 0
               OR strpos(lower(u.email), lower(search)) > 0)
          AND (after_created_at IS NULL OR (u.created_at, u.id) < (after_created_at, after_id))
        ORDER BY u.created_at DESC, u.id DESC
        LIMIT page_size;
    ELSE
        RETURN QUERY
        SELECT u.id, u.email, u.username, u.first_name, u.last_name, u.status, m.roles,
               u.created_at
        FROM (SELECT g.user_id, array_agg(DISTINCT g.role ORDER BY g.role) AS roles
              FROM pynomaly.user_tenant_roles AS g
              WHERE tenant IS NULL OR g.tenant_id = tenant
              GROUP BY g.user_id) AS m
        JOIN pynomaly.users AS u ON u.id = m.user_id
        WHERE (find_users.role IS NULL OR find_users.role = ANY (m.roles))
          AND (find_users.status IS NULL OR u.status = find_users.status)
          AND (search IS NULL OR strpos(lower(u.username), lower(search)) > 0
               OR strpos(lower(u.email), lower(search)) > 0)
          AND (after_created_at IS NULL OR (u.created_at, u.id) < (after_created_at, after_id))
        ORDER BY u.created_at DESC, u.id DESC
        LIMIT page_size;
    END IF;
END
$$;
COMMENT ON FUNCTION pynomaly.find_users(uuid, text, text, text, timestamptz, uuid, bigint) IS
'a page of users, newest first: of a tenant, by status, role, part of username or address';
REVOKE ALL ON FUNCTION pynomaly.find_users(uuid, text, text, text, timestamptz, uuid, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.find_users(uuid, text, text, text, timestamptz, uuid, bigint)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.get_user(by_id uuid DEFAULT NULL, by_email text DEFAULT NULL,
                                  by_username text DEFAULT NULL)
RETURNS TABLE (id uuid, email text, username text, first_name text, last_name text,
               user_status text, created_at timestamptz)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    SELECT u.id, u.email, u.username, u.first_name, u.last_name, u.status, u.created_at
    FROM pynomaly.users AS u
    WHERE (by_id IS NULL OR u.id = by_id)
      AND (by_email IS NULL OR u.email = by_email)
      AND (by_username IS NULL OR u.username = by_username)
      AND (by_id IS NOT NULL OR by_email IS NOT NULL OR by_username IS NOT NULL);
END;
COMMENT ON FUNCTION pynomaly.get_user(uuid, text, text) IS
'a user by id, by address or by username, exactly as they are written';
REVOKE ALL ON FUNCTION pynomaly.get_user(uuid, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.get_user(uuid, text, text)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.list_sessions(user_id uuid)
RETURNS TABLE (session_id uuid, tenant_id uuid, created_at timestamptz, expires_at timestamptz,
               last_activity timestamptz, ip_address inet, user_agent text)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 5
BEGIN ATOMIC
    SELECT s.id, s.tenant_id, s.created_at, s.expires_at, s.last_activity, s.ip_address,
           s.user_agent
    FROM pynomaly.sessions AS s
    WHERE s.user_id = list_sessions.user_id AND s.is_active AND s.expires_at > now()
    ORDER BY s.last_activity DESC, s.id;
END;
COMMENT ON FUNCTION pynomaly.list_sessions(uuid) IS
'the sessions of a user that have not ended, the last used first';
REVOKE ALL ON FUNCTION pynomaly.list_sessions(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.list_sessions(uuid) TO pynomaly_admin, pynomaly_app;

CREATE FUNCTION pynomaly.find_tenants(
    domain           text DEFAULT NULL,
    name             text DEFAULT NULL,
    status           text DEFAULT NULL,
    plan             text DEFAULT NULL,
    after_created_at timestamptz DEFAULT NULL,
    after_id         uuid DEFAULT NULL,
    page_size        bigint DEFAULT 100)
RETURNS SETOF pynomaly.tenants
LANGUAGE sql STABLE PARALLEL SAFE ROWS 100
BEGIN ATOMIC
    SELECT t.* FROM pynomaly.tenants AS t
    WHERE (find_tenants.domain IS NULL OR t.domain = find_tenants.domain)
      AND (find_tenants.name IS NULL OR t.name = find_tenants.name)
      AND (find_tenants.status IS NULL OR t.status = find_tenants.status)
      AND (find_tenants.plan IS NULL OR t.plan = find_tenants.plan)
      AND (after_created_at IS NULL OR (t.created_at, t.id) < (after_created_at, after_id))
    ORDER BY t.created_at DESC, t.id DESC
    LIMIT page_size;
END;
COMMENT ON FUNCTION pynomaly.find_tenants(text, text, text, text, timestamptz, uuid, bigint) IS
'a page of tenants, newest first: by domain, name, status, plan';
REVOKE ALL ON FUNCTION pynomaly.find_tenants(text, text, text, text, timestamptz, uuid, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.find_tenants(text, text, text, text, timestamptz, uuid, bigint)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.count_tenants()
RETURNS TABLE (status text, plan text, n_tenants bigint)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 10
BEGIN ATOMIC
    SELECT t.status, t.plan, count(*) FROM pynomaly.tenants AS t
    GROUP BY t.status, t.plan
    ORDER BY t.status, t.plan;
END;
COMMENT ON FUNCTION pynomaly.count_tenants() IS
'tenants counted by status and plan';
REVOKE ALL ON FUNCTION pynomaly.count_tenants() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.count_tenants()
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.list_tenants_to_bill(period interval DEFAULT '30 days')
RETURNS SETOF pynomaly.tenants
LANGUAGE sql STABLE PARALLEL SAFE ROWS 10
BEGIN ATOMIC
    SELECT t.* FROM pynomaly.tenants AS t
    WHERE t.status = 'active'
      AND (t.last_billing_date IS NULL OR t.last_billing_date < now() - period)
    ORDER BY t.last_billing_date NULLS FIRST, t.id;
END;
COMMENT ON FUNCTION pynomaly.list_tenants_to_bill(interval) IS
'active tenants whose last billing lies so long ago that their quotas begin anew';
REVOKE ALL ON FUNCTION pynomaly.list_tenants_to_bill(interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.list_tenants_to_bill(interval)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.touch_tenant()
RETURNS timestamptz
LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
    UPDATE pynomaly.tenants AS t SET last_activity = now()
    WHERE t.id = pynomaly.current_tenant()
    RETURNING t.last_activity;
END;
COMMENT ON FUNCTION pynomaly.touch_tenant() IS
'notes that the current tenant is active now';
REVOKE ALL ON FUNCTION pynomaly.touch_tenant() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.touch_tenant()
    TO pynomaly_admin, pynomaly_app;

-- ---------------------------------------------------------------------
-- experiments
-- ---------------------------------------------------------------------

CREATE INDEX ON pynomaly.experiments (tenant_id, created_at DESC, id DESC);

CREATE FUNCTION pynomaly.find_experiments(
    tag              text DEFAULT NULL,
    name             text DEFAULT NULL,
    after_created_at timestamptz DEFAULT NULL,
    after_id         uuid DEFAULT NULL,
    page_size        bigint DEFAULT 100)
RETURNS SETOF pynomaly.experiments
LANGUAGE sql STABLE PARALLEL SAFE ROWS 100
BEGIN ATOMIC
    SELECT e.* FROM pynomaly.experiments AS e
    WHERE (tag IS NULL OR tag = ANY (e.tags))
      AND (find_experiments.name IS NULL OR e.name = find_experiments.name)
      AND (after_created_at IS NULL OR (e.created_at, e.id) < (after_created_at, after_id))
    ORDER BY e.created_at DESC, e.id DESC
    LIMIT page_size;
END;
COMMENT ON FUNCTION pynomaly.find_experiments(text, text, timestamptz, uuid, bigint) IS
'a page of experiments, newest first: by tag, name';
REVOKE ALL ON FUNCTION pynomaly.find_experiments(text, text, timestamptz, uuid, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.find_experiments(text, text, timestamptz, uuid, bigint)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.read_metric(metrics jsonb, metric text)
RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN jsonb_typeof(metrics -> metric) = 'number'
            THEN (metrics ->> metric)::float8 END;
COMMENT ON FUNCTION pynomaly.read_metric(jsonb, text) IS
'a metric of a run, NULL where it lacks it or it is no number';
REVOKE ALL ON FUNCTION pynomaly.read_metric(jsonb, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.read_metric(jsonb, text)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.compare_runs(experiment uuid, metric text,
                                      runs uuid[] DEFAULT NULL,
                                      lowest_first boolean DEFAULT false)
RETURNS TABLE (run_id uuid, detector_name text, dataset_name text, value float8,
               parameters jsonb, metrics jsonb, created_at timestamptz)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 20
BEGIN ATOMIC
    SELECT r.id, r.detector_name, r.dataset_name, pynomaly.read_metric(r.metrics, metric),
           r.parameters, r.metrics, r.created_at
    FROM pynomaly.experiment_runs AS r
    WHERE r.experiment_id = experiment AND (runs IS NULL OR r.id = ANY (runs))
    ORDER BY CASE WHEN lowest_first THEN pynomaly.read_metric(r.metrics, metric) END,
             CASE WHEN NOT lowest_first THEN pynomaly.read_metric(r.metrics, metric) END
                 DESC NULLS LAST,
             r.created_at DESC, r.id;
END;
COMMENT ON FUNCTION pynomaly.compare_runs(uuid, text, uuid[], boolean) IS
'the runs of an experiment, or some of them, by a metric; those that lack it last';
REVOKE ALL ON FUNCTION pynomaly.compare_runs(uuid, text, uuid[], boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.compare_runs(uuid, text, uuid[], boolean)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.get_best_run(experiment uuid, metric text,
                                      lowest boolean DEFAULT false)
RETURNS SETOF pynomaly.experiment_runs
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    SELECT r.* FROM pynomaly.experiment_runs AS r
    WHERE r.experiment_id = experiment
      AND pynomaly.read_metric(r.metrics, metric) IS NOT NULL
    ORDER BY CASE WHEN lowest THEN pynomaly.read_metric(r.metrics, metric) END,
             CASE WHEN NOT lowest THEN pynomaly.read_metric(r.metrics, metric) END
                 DESC NULLS LAST,
             r.created_at, r.id
    LIMIT 1;
END;
COMMENT ON FUNCTION pynomaly.get_best_run(uuid, text, boolean) IS
'the run of an experiment with the highest, or lowest, value of a metric; the first of equal ones';
REVOKE ALL ON FUNCTION pynomaly.get_best_run(uuid, text, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.get_best_run(uuid, text, boolean)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.rank_runs(metric text, lowest boolean DEFAULT false,
                                   most bigint DEFAULT 20)
RETURNS TABLE (place bigint, experiment_id uuid, experiment_name text, run_id uuid,
               detector_name text, dataset_name text, value float8)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 20
BEGIN ATOMIC
    SELECT rank() OVER (ORDER BY CASE WHEN lowest THEN r.value ELSE - r.value END),
           r.experiment_id, e.name, r.id, r.detector_name, r.dataset_name, r.value
    FROM (SELECT pynomaly.read_metric(x.metrics, metric) AS value, x.*
          FROM pynomaly.experiment_runs AS x) AS r
    JOIN pynomaly.experiments AS e ON e.tenant_id = r.tenant_id AND e.id = r.experiment_id
    WHERE r.value IS NOT NULL
    ORDER BY 1, r.created_at, r.id
    LIMIT most;
END;
COMMENT ON FUNCTION pynomaly.rank_runs(text, boolean, bigint) IS
'leaderboard: the runs of all experiments with the best values of a metric; those that lack it are skipped';
REVOKE ALL ON FUNCTION pynomaly.rank_runs(text, boolean, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.rank_runs(text, boolean, bigint)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

-- ---------------------------------------------------------------------
-- training
-- ---------------------------------------------------------------------

CREATE INDEX ON pynomaly.training_jobs (tenant_id, created_at DESC, id DESC);
CREATE INDEX ON pynomaly.training_jobs (tenant_id, created_at DESC, id DESC)
    WHERE status IN ('pending', 'running');

CREATE FUNCTION pynomaly.find_training_jobs(
    dataset          uuid DEFAULT NULL,
    detector         uuid DEFAULT NULL,
    statuses         text[] DEFAULT NULL,
    priority         text DEFAULT NULL,
    after_created_at timestamptz DEFAULT NULL,
    after_id         uuid DEFAULT NULL,
    page_size        bigint DEFAULT 100)
RETURNS SETOF pynomaly.training_jobs
LANGUAGE sql STABLE PARALLEL SAFE ROWS 100
BEGIN ATOMIC
    SELECT j.* FROM pynomaly.training_jobs AS j
    WHERE (dataset IS NULL OR j.dataset_id = dataset)
      AND (detector IS NULL OR j.detector_id = detector)
      AND (statuses IS NULL OR j.status = ANY (statuses))
      AND (find_training_jobs.priority IS NULL OR j.priority = find_training_jobs.priority)
      AND (after_created_at IS NULL OR (j.created_at, j.id) < (after_created_at, after_id))
    ORDER BY j.created_at DESC, j.id DESC
    LIMIT page_size;
END;
COMMENT ON FUNCTION pynomaly.find_training_jobs(uuid, uuid, text[], text, timestamptz, uuid,
    bigint) IS
'a page of training jobs, newest first: of a dataset, of a detector, by status, priority';
REVOKE ALL ON FUNCTION pynomaly.find_training_jobs(uuid, uuid, text[], text, timestamptz, uuid,
    bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.find_training_jobs(uuid, uuid, text[], text, timestamptz, uuid,
    bigint)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.list_active_training_jobs()
RETURNS SETOF pynomaly.training_jobs
LANGUAGE sql STABLE PARALLEL SAFE ROWS 10
BEGIN ATOMIC
    SELECT j.* FROM pynomaly.training_jobs AS j
    WHERE j.status IN ('pending', 'running')
    ORDER BY j.created_at DESC, j.id DESC;
END;
COMMENT ON FUNCTION pynomaly.list_active_training_jobs() IS
'training jobs that are pending or running, newest first';
REVOKE ALL ON FUNCTION pynomaly.list_active_training_jobs() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.list_active_training_jobs()
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.summarize_training_jobs()
RETURNS TABLE (n_jobs bigint, n_by_status jsonb, average_execution_seconds float8,
               success_rate float8)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    SELECT coalesce(sum(s.n), 0)::bigint,
           coalesce(jsonb_object_agg(s.status, s.n), '{}'),
           (SELECT avg(j.execution_time_seconds) FROM pynomaly.training_jobs AS j
            WHERE j.status = 'completed'),
           (sum(s.n) FILTER (WHERE s.status = 'completed'))::float8
               / nullif(sum(s.n) FILTER (WHERE s.status IN ('completed', 'failed',
                                                            'cancelled')), 0)::float8
    FROM (SELECT j.status, count(*) AS n FROM pynomaly.training_jobs AS j
          GROUP BY j.status) AS s;
END;
COMMENT ON FUNCTION pynomaly.summarize_training_jobs() IS
'training jobs counted by status, the average time of completed ones, and their share of those that have ended';
REVOKE ALL ON FUNCTION pynomaly.summarize_training_jobs() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.summarize_training_jobs()
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.delete_finished_jobs(older_than interval DEFAULT '30 days')
RETURNS bigint
LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
    WITH deleted AS (
        DELETE FROM pynomaly.training_jobs AS j
        WHERE j.status IN ('completed', 'failed', 'cancelled')
          AND coalesce(j.completed_at, j.created_at) < now() - older_than
        RETURNING 1)
    SELECT count(*) FROM deleted;
END;
COMMENT ON FUNCTION pynomaly.delete_finished_jobs(interval) IS
'deletes training jobs that ended so long ago, with their trials; returns how many';
REVOKE ALL ON FUNCTION pynomaly.delete_finished_jobs(interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.delete_finished_jobs(interval)
    TO pynomaly_admin, pynomaly_app;

CREATE FUNCTION pynomaly.list_trials(job uuid DEFAULT NULL, study text DEFAULT NULL)
RETURNS SETOF pynomaly.training_trials
LANGUAGE sql STABLE PARALLEL SAFE ROWS 100
BEGIN ATOMIC
    SELECT t.* FROM pynomaly.training_trials AS t
    WHERE (job IS NULL OR t.job_id = job) AND (study IS NULL OR t.study_id = study)
    ORDER BY t.started_at, t.number, t.id;
END;
COMMENT ON FUNCTION pynomaly.list_trials(uuid, text) IS
'the trials of a training job or of a study, in the order of their start';
REVOKE ALL ON FUNCTION pynomaly.list_trials(uuid, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.list_trials(uuid, text)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

-- ---------------------------------------------------------------------
-- models
-- ---------------------------------------------------------------------

CREATE INDEX ON pynomaly.model_versions (tenant_id, created_at DESC, id DESC);

CREATE FUNCTION pynomaly.list_model_versions(
    model            uuid DEFAULT NULL,
    detector         uuid DEFAULT NULL,
    statuses         text[] DEFAULT NULL,
    algorithm        text DEFAULT NULL,
    with_tags        text[] DEFAULT NULL,
    search           text DEFAULT NULL,
    after_created_at timestamptz DEFAULT NULL,
    after_id         uuid DEFAULT NULL,
    page_size        bigint DEFAULT 100)
RETURNS SETOF pynomaly.model_versions
LANGUAGE sql STABLE PARALLEL SAFE ROWS 100
BEGIN ATOMIC
    SELECT v.* FROM pynomaly.model_versions AS v
    WHERE (model IS NULL OR v.model_id = model)
      AND (detector IS NULL OR v.detector_id = detector)
      AND (statuses IS NULL OR v.status = ANY (statuses))
      AND (algorithm IS NULL OR v.algorithm_name = algorithm)
      AND (with_tags IS NULL OR v.tags @> with_tags)
      AND (search IS NULL OR strpos(lower(v.name), lower(search)) > 0
           OR strpos(lower(v.description), lower(search)) > 0
           OR EXISTS (SELECT FROM unnest(v.tags) AS t (tag)
                      WHERE strpos(lower(t.tag), lower(search)) > 0))
      AND (after_created_at IS NULL OR (v.created_at, v.id) < (after_created_at, after_id))
    ORDER BY v.created_at DESC, v.id DESC
    LIMIT page_size;
END;
COMMENT ON FUNCTION pynomaly.list_model_versions(uuid, uuid, text[], text, text[], text,
    timestamptz, uuid, bigint) IS
'a page of versions of a model or of a detector, newest first: by status, algorithm, tags, a word in name, description or tags';
REVOKE ALL ON FUNCTION pynomaly.list_model_versions(uuid, uuid, text[], text, text[], text,
    timestamptz, uuid, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.list_model_versions(uuid, uuid, text[], text, text[], text,
    timestamptz, uuid, bigint)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.get_model_version(version text, model uuid DEFAULT NULL,
                                           detector uuid DEFAULT NULL)
RETURNS SETOF pynomaly.model_versions
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    SELECT v.* FROM pynomaly.model_versions AS v
    WHERE v.version = get_model_version.version
      AND (model IS NULL OR v.model_id = model)
      AND (detector IS NULL OR v.detector_id = detector)
    ORDER BY v.created_at DESC, v.id DESC;
END;
COMMENT ON FUNCTION pynomaly.get_model_version(text, uuid, uuid) IS
'a version of a model or of a detector, by its number';
REVOKE ALL ON FUNCTION pynomaly.get_model_version(text, uuid, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.get_model_version(text, uuid, uuid)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.get_latest_version(model uuid DEFAULT NULL,
                                            detector uuid DEFAULT NULL)
RETURNS SETOF pynomaly.model_versions
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    SELECT v.* FROM pynomaly.model_versions AS v
    WHERE (model IS NULL OR v.model_id = model)
      AND (detector IS NULL OR v.detector_id = detector)
    ORDER BY v.created_at DESC, v.id DESC
    LIMIT 1;
END;
COMMENT ON FUNCTION pynomaly.get_latest_version(uuid, uuid) IS
'the newest version of a model or of a detector';
REVOKE ALL ON FUNCTION pynomaly.get_latest_version(uuid, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.get_latest_version(uuid, uuid)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.count_model_versions()
RETURNS TABLE (status text, algorithm_name text, n_versions bigint)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 20
BEGIN ATOMIC
    SELECT v.status, v.algorithm_name, count(*) FROM pynomaly.model_versions AS v
    GROUP BY v.status, v.algorithm_name
    ORDER BY v.status, v.algorithm_name;
END;
COMMENT ON FUNCTION pynomaly.count_model_versions() IS
'model versions counted by status and algorithm';
REVOKE ALL ON FUNCTION pynomaly.count_model_versions() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.count_model_versions()
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.delete_old_versions(older_than interval)
RETURNS bigint
LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
    WITH deleted AS (
        DELETE FROM pynomaly.model_versions AS v
        WHERE v.created_at < now() - older_than AND v.status NOT IN ('deployed', 'production')
        RETURNING 1)
    SELECT count(*) FROM deleted;
END;
COMMENT ON FUNCTION pynomaly.delete_old_versions(interval) IS
'deletes model versions by age, except deployed ones; returns how many';
REVOKE ALL ON FUNCTION pynomaly.delete_old_versions(interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.delete_old_versions(interval)
    TO pynomaly_admin, pynomaly_app;

-- ---------------------------------------------------------------------
-- events
-- ---------------------------------------------------------------------

CREATE INDEX ON pynomaly.anomaly_events (tenant_id, event_time DESC, id DESC);
CREATE INDEX ON pynomaly.anomaly_events (tenant_id, correlation_id, event_time);

CREATE FUNCTION pynomaly.find_events(
    event_types      text[] DEFAULT NULL,
    severities       text[] DEFAULT NULL,
    statuses         text[] DEFAULT NULL,
    detectors        uuid[] DEFAULT NULL,
    source_sessions  text[] DEFAULT NULL,
    data_sources     text[] DEFAULT NULL,
    event_from       timestamptz DEFAULT NULL,
    event_before     timestamptz DEFAULT NULL,
    search           text DEFAULT NULL,
    with_tags        text[] DEFAULT NULL,
    correlation      text DEFAULT NULL,
    score_from       float8 DEFAULT NULL,
    score_to         float8 DEFAULT NULL,
    confidence_from  float8 DEFAULT NULL,
    after_event_time timestamptz DEFAULT NULL,
    after_id         uuid DEFAULT NULL,
    page_size        bigint DEFAULT 100)
RETURNS SETOF pynomaly.anomaly_events
LANGUAGE sql STABLE PARALLEL SAFE ROWS 100
BEGIN ATOMIC
    SELECT e.* FROM pynomaly.anomaly_events AS e
    WHERE (event_types IS NULL OR e.event_type = ANY (event_types))
      AND (severities IS NULL OR e.severity = ANY (severities))
      AND (statuses IS NULL OR e.status = ANY (statuses))
      AND (detectors IS NULL OR e.detector_id = ANY (detectors))
      AND (source_sessions IS NULL OR e.source_session_id = ANY (source_sessions))
      AND (data_sources IS NULL OR e.data_source = ANY (data_sources))
      AND (event_from IS NULL OR e.event_time >= event_from)
      AND (event_before IS NULL OR e.event_time < event_before)
      AND (search IS NULL OR strpos(lower(e.title), lower(search)) > 0
           OR strpos(lower(e.description), lower(search)) > 0)
      AND (with_tags IS NULL OR e.tags @> with_tags)
      AND (correlation IS NULL OR e.correlation_id = correlation)
      AND (score_from IS NULL OR e.score >= score_from)
      AND (score_to IS NULL OR e.score <= score_to)
      AND (confidence_from IS NULL OR e.confidence >= confidence_from)
      AND (after_event_time IS NULL OR (e.event_time, e.id) < (after_event_time, after_id))
    ORDER BY e.event_time DESC, e.id DESC
    LIMIT page_size;
END;
COMMENT ON FUNCTION pynomaly.find_events(text[], text[], text[], uuid[], text[], text[],
    timestamptz, timestamptz, text, text[], text, float8, float8, float8, timestamptz, uuid,
    bigint) IS
'a page of anomaly events, newest first, by all that an event filter of the platform can say';
REVOKE ALL ON FUNCTION pynomaly.find_events(text[], text[], text[], uuid[], text[], text[],
    timestamptz, timestamptz, text, text[], text, float8, float8, float8, timestamptz, uuid,
    bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.find_events(text[], text[], text[], uuid[], text[], text[],
    timestamptz, timestamptz, text, text[], text, float8, float8, float8, timestamptz, uuid,
    bigint)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.summarize_events(event_from timestamptz DEFAULT NULL,
                                          event_before timestamptz DEFAULT NULL)
RETURNS TABLE (event_type text, severity text, status text, n_events bigint,
               first_event_time timestamptz, last_event_time timestamptz)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 50
BEGIN ATOMIC
    SELECT e.event_type, e.severity, e.status, count(*), min(e.event_time),
           max(e.event_time)
    FROM pynomaly.anomaly_events AS e
    WHERE (event_from IS NULL OR e.event_time >= event_from)
      AND (event_before IS NULL OR e.event_time < event_before)
    GROUP BY e.event_type, e.severity, e.status
    ORDER BY e.event_type, e.severity, e.status;
END;
COMMENT ON FUNCTION pynomaly.summarize_events(timestamptz, timestamptz) IS
'anomaly events of a time counted by type, severity and status';
REVOKE ALL ON FUNCTION pynomaly.summarize_events(timestamptz, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.summarize_events(timestamptz, timestamptz)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;
