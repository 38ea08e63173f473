-- ---------------------------------------------------------------------
-- store: one detector, dataset or result, and what belongs to it
-- ---------------------------------------------------------------------

-- As in queries.sql, every function runs with the caller's rights: of another
-- tenant's row it says what it says of one that is not there.

CREATE FUNCTION pynomaly.get_detector(id uuid)
RETURNS SETOF pynomaly.detectors
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    SELECT x.* FROM pynomaly.detectors AS x WHERE x.id = get_detector.id;
END;
COMMENT ON FUNCTION pynomaly.get_detector(uuid) IS
'a detector by its id';
REVOKE ALL ON FUNCTION pynomaly.get_detector(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.get_detector(uuid)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.has_detector(id uuid)
RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM pynomaly.detectors AS x WHERE x.id = has_detector.id);
END;
COMMENT ON FUNCTION pynomaly.has_detector(uuid) IS
'is there a detector with this id?';
REVOKE ALL ON FUNCTION pynomaly.has_detector(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.has_detector(uuid)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.delete_detector(id uuid)
RETURNS boolean
LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
    WITH deleted AS (
        DELETE FROM pynomaly.detectors AS x
        WHERE x.tenant_id = pynomaly.required_tenant() AND x.id = delete_detector.id
        RETURNING 1)
    SELECT EXISTS (SELECT FROM deleted);
END;
COMMENT ON FUNCTION pynomaly.delete_detector(uuid) IS
'deletes a detector of the current tenant; an error (23503) where results refer to it; returns whether it was there';
REVOKE ALL ON FUNCTION pynomaly.delete_detector(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.delete_detector(uuid) TO pynomaly_admin, pynomaly_app;

CREATE FUNCTION pynomaly.get_dataset(id uuid)
RETURNS SETOF pynomaly.datasets
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    SELECT x.* FROM pynomaly.datasets AS x WHERE x.id = get_dataset.id;
END;
COMMENT ON FUNCTION pynomaly.get_dataset(uuid) IS
'a dataset by its id';
REVOKE ALL ON FUNCTION pynomaly.get_dataset(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.get_dataset(uuid)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.has_dataset(id uuid)
RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM pynomaly.datasets AS x WHERE x.id = has_dataset.id);
END;
COMMENT ON FUNCTION pynomaly.has_dataset(uuid) IS
'is there a dataset with this id?';
REVOKE ALL ON FUNCTION pynomaly.has_dataset(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.has_dataset(uuid)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.delete_dataset(id uuid)
RETURNS boolean
LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
    WITH deleted AS (
        DELETE FROM pynomaly.datasets AS x
        WHERE x.tenant_id = pynomaly.required_tenant() AND x.id = delete_dataset.id
        RETURNING 1)
    SELECT EXISTS (SELECT FROM deleted);
END;
COMMENT ON FUNCTION pynomaly.delete_dataset(uuid) IS
'deletes a dataset of the current tenant; an error (23503) where results refer to it; returns whether it was there';
REVOKE ALL ON FUNCTION pynomaly.delete_dataset(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.delete_dataset(uuid) TO pynomaly_admin, pynomaly_app;

CREATE FUNCTION pynomaly.has_result(id uuid)
RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM pynomaly.detection_results AS x WHERE x.id = has_result.id);
END;
COMMENT ON FUNCTION pynomaly.has_result(uuid) IS
'is there a result with this id?';
REVOKE ALL ON FUNCTION pynomaly.has_result(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.has_result(uuid)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.delete_result(id uuid)
RETURNS boolean
LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
    WITH deleted AS (
        DELETE FROM pynomaly.detection_results AS x
        WHERE x.tenant_id = pynomaly.required_tenant() AND x.id = delete_result.id
        RETURNING 1)
    SELECT EXISTS (SELECT FROM deleted);
END;
COMMENT ON FUNCTION pynomaly.delete_result(uuid) IS
'deletes a result of the current tenant, with its anomalies; returns whether it was there';
REVOKE ALL ON FUNCTION pynomaly.delete_result(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.delete_result(uuid) TO pynomaly_admin, pynomaly_app;

CREATE FUNCTION pynomaly.count_results(
    detector       uuid DEFAULT NULL,
    dataset        uuid DEFAULT NULL,
    created_from   timestamptz DEFAULT NULL,
    created_before timestamptz DEFAULT NULL)
RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT count(*) FROM pynomaly.detection_results AS r
    WHERE (detector IS NULL OR r.detector_id = detector)
      AND (dataset IS NULL OR r.dataset_id = dataset)
      AND (created_from IS NULL OR r.created_at >= created_from)
      AND (created_before IS NULL OR r.created_at < created_before);
END;
COMMENT ON FUNCTION pynomaly.count_results(uuid, uuid, timestamptz, timestamptz) IS
'how many results find_results finds on all of its pages';
REVOKE ALL ON FUNCTION pynomaly.count_results(uuid, uuid, timestamptz, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.count_results(uuid, uuid, timestamptz, timestamptz)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.match_results(term text)
RETURNS SETOF pynomaly.result_summaries
LANGUAGE sql STABLE PARALLEL SAFE ROWS 5
BEGIN ATOMIC
    SELECT r.* FROM pynomaly.result_summaries AS r
    WHERE r.id BETWEEN (SELECT p.low FROM pynomaly.id_prefix_range(term) AS p)
                   AND (SELECT p.high FROM pynomaly.id_prefix_range(term) AS p);
END;
COMMENT ON FUNCTION pynomaly.match_results(text) IS
'results whose id begins with a term, without their arrays';
REVOKE ALL ON FUNCTION pynomaly.match_results(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.match_results(text)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.lookup_result(term text)
RETURNS uuid
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    candidates text[];
    ids        uuid[];
BEGIN
    SELECT array_agg(format('%s (%s on %s)', m.id, m.detector_name, m.dataset_name)
                     ORDER BY m.created_at DESC, m.id),
           array_agg(m.id ORDER BY m.created_at DESC, m.id)
    INTO candidates, ids
    FROM (SELECT * FROM pynomaly.match_results(term) LIMIT 11) AS m;
    PERFORM pynomaly.report_lookup('result', term, candidates);
    RETURN ids[1];
END
$$;
COMMENT ON FUNCTION pynomaly.lookup_result(text) IS
'the one result that match_results finds; an error where there is none, or which they are where there are several';
REVOKE ALL ON FUNCTION pynomaly.lookup_result(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.lookup_result(text)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

-- ---------------------------------------------------------------------
-- bytes
-- ---------------------------------------------------------------------

CREATE FUNCTION pynomaly.save_artifact(detector uuid, content bytea,
                                       format text DEFAULT 'pickle',
                                       version uuid DEFAULT NULL)
RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
    INSERT INTO pynomaly.model_artifacts AS a
        (tenant_id, detector_id, version_id, format, content, checksum)
    VALUES (pynomaly.required_tenant(), detector, version, save_artifact.format,
            save_artifact.content,
            encode(sha256(save_artifact.content), 'hex'))
    RETURNING a.id;
END;
COMMENT ON FUNCTION pynomaly.save_artifact(uuid, bytea, text, uuid) IS
'keeps the bytes of a fitted detector, beside those that it had before, with their SHA-256; returns the artifact''s id';
REVOKE ALL ON FUNCTION pynomaly.save_artifact(uuid, bytea, text, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.save_artifact(uuid, bytea, text, uuid)
    TO pynomaly_admin, pynomaly_app;

CREATE FUNCTION pynomaly.load_artifact(detector uuid, version uuid DEFAULT NULL)
RETURNS bytea
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found pynomaly.model_artifacts;
BEGIN
    SELECT a.* INTO found FROM pynomaly.model_artifacts AS a
    WHERE a.detector_id = detector AND (version IS NULL OR a.version_id = version)
      AND a.content IS NOT NULL
    ORDER BY a.created_at DESC, a.id DESC
    LIMIT 1;
    IF found.checksum <> encode(sha256(found.content), 'hex') THEN
        RAISE EXCEPTION 'artifact % is not what was saved', found.id
            USING ERRCODE = 'data_corrupted',
                  DETAIL = 'Its bytes do not have the SHA-256 that is kept beside them.';
    END IF;
    RETURN found.content;
END
$$;
COMMENT ON FUNCTION pynomaly.load_artifact(uuid, uuid) IS
'the newest bytes of a detector, or of a version of it, whose SHA-256 was checked; NULL where there are none in the database';
REVOKE ALL ON FUNCTION pynomaly.load_artifact(uuid, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.load_artifact(uuid, uuid)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.save_content(dataset uuid, format text, content bytea)
RETURNS void
LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
    INSERT INTO pynomaly.dataset_contents (tenant_id, dataset_id, format, content)
    VALUES (pynomaly.required_tenant(), dataset, save_content.format, save_content.content)
    ON CONFLICT (tenant_id, dataset_id, format) DO UPDATE SET content = excluded.content;
END;
COMMENT ON FUNCTION pynomaly.save_content(uuid, text, bytea) IS
'inserts or replaces the data of a dataset, a file of the format parquet or csv';
REVOKE ALL ON FUNCTION pynomaly.save_content(uuid, text, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.save_content(uuid, text, bytea)
    TO pynomaly_admin, pynomaly_app;

CREATE FUNCTION pynomaly.load_content(dataset uuid, format text)
RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT c.content FROM pynomaly.dataset_contents AS c
    WHERE c.dataset_id = dataset AND c.format = load_content.format;
END;
COMMENT ON FUNCTION pynomaly.load_content(uuid, text) IS
'the data of a dataset in a format; NULL where there is none';
REVOKE ALL ON FUNCTION pynomaly.load_content(uuid, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.load_content(uuid, text)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;
