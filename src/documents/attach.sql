-- ---------------------------------------------------------------------
-- documents: the platform's four collections
-- ---------------------------------------------------------------------

-- A uri has its secrets in front of the hosts or among its options.  The
-- options of a server can be read by everybody, so a server gets the uri
-- without them.
CREATE FUNCTION pynomaly.uri_without_secrets(uri text)
RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT regexp_replace(
    regexp_replace(
        regexp_replace(uri, '^(mongodb(?:\+srv)?://)[^/?]*@', '\1'),
        '(?<=[?&])(authmechanism|authmechanismproperties|tlscertificatekeyfilepassword|sslclientcertificatekeypassword)=[^&]*&?',
        '', 'gi'),
    '[?&]$', '');
$$;
COMMENT ON FUNCTION pynomaly.uri_without_secrets(text) IS
'URI of a MongoDB server without user name, password and what goes with them';
REVOKE ALL ON FUNCTION pynomaly.uri_without_secrets(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.uri_without_secrets(text) TO pynomaly_admin;

-- The queries that the platform asks, most of them for the newest first.  Every
-- string but the empty one is above it, and a query for one finds the index.
CREATE FUNCTION pynomaly.platform_indexes(
    OUT collection text, OUT keys json, OUT is_unique boolean, OUT partial_filter jsonb)
RETURNS SETOF record
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 25
SET search_path = pg_catalog, pg_temp
AS $$
VALUES
    ('analytics_data', '{"metric_name": 1, "timestamp": 1}'::json, false, NULL::jsonb),
    ('analytics_data', '{"metric_type": 1, "timestamp": 1}', false, NULL),
    ('analytics_data', '{"timestamp": 1}', false, NULL),
    ('analytics_data', '{"user_id": 1, "timestamp": 1}', false, NULL),
    ('analytics_data', '{"session_id": 1, "timestamp": 1}', false, NULL),
    ('analytics_data', '{"tenant_id": 1, "metric_name": 1, "timestamp": 1}', false, NULL),
    ('logs', '{"timestamp": -1}', false, NULL),
    ('logs', '{"level": 1, "timestamp": -1}', false, NULL),
    ('logs', '{"logger_name": 1, "timestamp": -1}', false, NULL),
    ('logs', '{"tags": 1, "timestamp": -1}', false, NULL),
    ('logs', '{"correlation_id": 1, "timestamp": 1}', false, NULL),
    ('logs', '{"tenant_id": 1, "timestamp": -1}', false, NULL),
    ('configurations', '{"id": 1}', true, '{"id": {"$gt": ""}}'),
    ('configurations', '{"name": 1}', false, NULL),
    ('configurations', '{"metadata.created_at": -1}', false, NULL),
    ('configurations', '{"status": 1, "metadata.created_at": -1}', false, NULL),
    ('configurations', '{"metadata.source": 1, "metadata.created_at": -1}', false, NULL),
    ('configurations', '{"algorithm_config.algorithm_name": 1, "metadata.created_at": -1}', false, NULL),
    ('configurations', '{"metadata.tags": 1, "metadata.created_at": -1}', false, NULL),
    ('configurations', '{"performance_results.accuracy": -1}', false, NULL),
    ('configurations', '{"tenant_id": 1, "metadata.created_at": -1}', false, NULL),
    ('training_metrics', '{"job_id": 1}', false, NULL),
    ('training_metrics', '{"run_id": 1, "metric_name": 1, "step": 1}', false, NULL),
    ('training_metrics', '{"best_score": -1}', false, NULL),
    ('training_metrics', '{"tenant_id": 1, "job_id": 1}', false, NULL);
$$;
COMMENT ON FUNCTION pynomaly.platform_indexes() IS
'indexes of the platform''s collections, after the queries that it asks';
REVOKE ALL ON FUNCTION pynomaly.platform_indexes() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.platform_indexes() TO pynomaly_admin;

-- No column is NOT NULL: that would be a promise about documents which others
-- have written.  What new ones must have is the validators' business.
CREATE FUNCTION pynomaly.make_platform_tables(server name)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    made record;
    is_there boolean;
BEGIN
    FOR made IN
        SELECT * FROM (VALUES
            ('analytics_data', 'metrics, actions of users and results of analyses',
             $columns$_id text COLLATE "C", tenant_id text COLLATE "C",
             "timestamp" timestamptz, metric_name text COLLATE "C", value float8,
             tags jsonb, metadata jsonb, metric_type text COLLATE "C",
             timeframe text COLLATE "C", start_date timestamptz, end_date timestamptz,
             aggregation text COLLATE "C", group_by text[] COLLATE "C", filters jsonb,
             user_id text COLLATE "C", session_id text COLLATE "C",
             action_type text COLLATE "C", target text COLLATE "C", duration_ms float8,
             success boolean$columns$),
            ('logs', 'entries of logs',
             $columns$_id text COLLATE "C", tenant_id text COLLATE "C",
             id text COLLATE "C", "timestamp" timestamptz, level text COLLATE "C",
             logger_name text COLLATE "C", message text COLLATE "C", context jsonb,
             tags text[] COLLATE "C", source text COLLATE "C",
             correlation_id text COLLATE "C", session_id text COLLATE "C",
             user_id text COLLATE "C", request_id text COLLATE "C"$columns$),
            ('configurations', 'configurations of experiments',
             $columns$_id text COLLATE "C", tenant_id text COLLATE "C",
             id text COLLATE "C", name text COLLATE "C", status text COLLATE "C",
             algorithm_name text OPTIONS (field 'algorithm_config.algorithm_name') COLLATE "C",
             hyperparameters jsonb OPTIONS (field 'algorithm_config.hyperparameters'),
             contamination float8 OPTIONS (field 'algorithm_config.contamination'),
             dataset_name text OPTIONS (field 'dataset_config.dataset_name') COLLATE "C",
             dataset_path text OPTIONS (field 'dataset_config.dataset_path') COLLATE "C",
             created_by text OPTIONS (field 'metadata.created_by') COLLATE "C",
             created_at timestamptz OPTIONS (field 'metadata.created_at'),
             source text OPTIONS (field 'metadata.source') COLLATE "C",
             tags text[] OPTIONS (field 'metadata.tags') COLLATE "C",
             description text OPTIONS (field 'metadata.description') COLLATE "C",
             version text OPTIONS (field 'metadata.version') COLLATE "C",
             accuracy float8 OPTIONS (field 'performance_results.accuracy'),
             is_valid boolean, last_executed timestamptz, execution_count bigint,
             average_execution_time float8$columns$),
            ('training_metrics', 'jobs of training, and their metrics by step',
             $columns$_id text COLLATE "C", tenant_id text COLLATE "C",
             job_id text COLLATE "C", status text COLLATE "C", execution_time float8,
             total_trials integer, successful_trials integer, failed_trials integer,
             success_rate float8, best_score float8, best_algorithm text COLLATE "C",
             trial_history jsonb, run_id text COLLATE "C", step bigint,
             metric_name text COLLATE "C", value float8, "timestamp" timestamptz$columns$)
        ) AS v (name, comment, columns)
    LOOP
        SELECT s.srvname = server INTO is_there
        FROM pg_class c
        LEFT JOIN pg_foreign_table f ON f.ftrelid = c.oid
        LEFT JOIN pg_foreign_server s ON s.oid = f.ftserver
        WHERE c.relname = made.name AND c.relnamespace = 'pynomaly'::regnamespace;
        IF FOUND AND is_there IS NOT TRUE THEN
            RAISE EXCEPTION 'relation "pynomaly.%" is not a table of the server "%"',
                made.name, server
                USING ERRCODE = 'duplicate_table',
                      HINT = 'Use pynomaly.detach_mongo() to remove the tables of another server.';
        END IF;
        CONTINUE WHEN FOUND;
        EXECUTE format('CREATE FOREIGN TABLE pynomaly.%I (%s, '
                       'document jsonb OPTIONS (document ''true'')) SERVER %I',
                       made.name, made.columns, server);
        EXECUTE format('COMMENT ON FOREIGN TABLE pynomaly.%I IS %L', made.name,
                       'documents of the platform: ' || made.comment);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON pynomaly.%I TO pynomaly_admin',
                       made.name);
    END LOOP;
END
$$;
COMMENT ON FUNCTION pynomaly.make_platform_tables(name) IS
'makes the foreign tables over the platform''s collections that are not there';
REVOKE ALL ON FUNCTION pynomaly.make_platform_tables(name) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.make_platform_tables(name) TO pynomaly_admin;

-- What the server has stays when the transaction is rolled back.
CREATE FUNCTION pynomaly.make_platform_collections(server name)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted record;
    options jsonb;
BEGIN
    FOR wanted IN
        SELECT * FROM (VALUES
            ('analytics_data', '{}'::text[]),
            ('logs', '{timestamp,level,message}'),
            ('configurations', '{name}'),
            ('training_metrics', '{}')
        ) AS v (name, required)
    LOOP
        SELECT c.options INTO options
        FROM pynomaly.list_collections(server) AS c WHERE c.name = wanted.name;
        IF NOT FOUND THEN
            PERFORM pynomaly.create_collection(server, wanted.name);
        END IF;
        IF options->'validator' IS NULL THEN
            PERFORM pynomaly.set_validator(
                server, wanted.name,
                pynomaly.validator_from_table(format('pynomaly.%I', wanted.name)::regclass)
                || CASE WHEN wanted.required = '{}' THEN '{}'
                        ELSE jsonb_build_object('required', wanted.required) END,
                level => 'moderate');
        END IF;
    END LOOP;
    PERFORM pynomaly.create_index(server, i.collection,
                                  i.keys, i.is_unique, partial_filter => i.partial_filter)
    FROM pynomaly.platform_indexes() AS i;
END
$$;
COMMENT ON FUNCTION pynomaly.make_platform_collections(name) IS
'makes the platform''s collections, validators and indexes that are not there';
REVOKE ALL ON FUNCTION pynomaly.make_platform_collections(name) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.make_platform_collections(name) TO pynomaly_admin;

CREATE FUNCTION pynomaly.make_platform_server(server name, uri text, database text)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kept jsonb;
BEGIN
    SELECT (SELECT coalesce(jsonb_object_agg(o.option_name, o.option_value), '{}')
            FROM pg_options_to_table(s.srvoptions) AS o) INTO kept
    FROM pg_foreign_server s WHERE s.srvname = server;
    IF NOT FOUND THEN
        EXECUTE format('CREATE SERVER %I FOREIGN DATA WRAPPER pynomaly_mongo '
                       'OPTIONS (uri %L, database %L)', server, uri, database);
        EXECUTE format('GRANT USAGE ON FOREIGN SERVER %I TO pynomaly_admin', server);
    ELSIF kept->>'uri' IS DISTINCT FROM uri OR kept->>'database' IS DISTINCT FROM database THEN
        RAISE EXCEPTION 'server "%" is there with another uri or database', server
            USING ERRCODE = 'duplicate_object',
                  HINT = 'Use ALTER SERVER, or give another name for the server.';
    END IF;
END
$$;
COMMENT ON FUNCTION pynomaly.make_platform_server(name, text, text) IS
'makes a server for the platform''s collections unless it is there';
REVOKE ALL ON FUNCTION pynomaly.make_platform_server(name, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.make_platform_server(name, text, text) TO pynomaly_admin;

CREATE FUNCTION pynomaly.make_own_mapping(server name, uri text)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kept text;
BEGIN
    SELECT (SELECT o.option_value FROM pg_options_to_table(m.umoptions) AS o
            WHERE o.option_name = 'uri') INTO kept
    FROM pg_user_mappings m WHERE m.srvname = server AND m.usename = current_user;
    IF NOT FOUND THEN
        EXECUTE format('CREATE USER MAPPING FOR CURRENT_USER SERVER %I', server)
                || CASE WHEN uri IS NULL THEN '' ELSE format(' OPTIONS (uri %L)', uri) END;
    ELSIF uri IS NOT NULL AND kept IS DISTINCT FROM uri THEN
        EXECUTE format('ALTER USER MAPPING FOR CURRENT_USER SERVER %I OPTIONS (%s uri %L)',
                       server, CASE WHEN kept IS NULL THEN 'ADD' ELSE 'SET' END, uri);
    END IF;
END
$$;
COMMENT ON FUNCTION pynomaly.make_own_mapping(name, text) IS
'makes the caller''s user mapping, or gives it a uri with other secrets';
REVOKE ALL ON FUNCTION pynomaly.make_own_mapping(name, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.make_own_mapping(name, text) TO pynomaly_admin;

CREATE FUNCTION pynomaly.attach_mongo(
    uri text, database text DEFAULT 'pynomaly', server name DEFAULT 'pynomaly_mongo')
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    plain_uri text := pynomaly.uri_without_secrets(uri);
    state text;
    problem text;
    detail text;
    hint text;
BEGIN
    IF uri IS NULL OR database IS NULL OR server IS NULL THEN
        RAISE EXCEPTION 'uri, database and server must not be null'
            USING ERRCODE = 'null_value_not_allowed';
    END IF;

    BEGIN
        PERFORM pynomaly.make_platform_server(server, plain_uri, database);
        PERFORM pynomaly.make_own_mapping(server, CASE WHEN uri <> plain_uri THEN uri END);
    EXCEPTION WHEN OTHERS THEN
        -- again without its context, the statement that the secret stands in
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, problem = MESSAGE_TEXT,
                                detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
        RAISE EXCEPTION '%', problem
            USING ERRCODE = state,
                  DETAIL = coalesce(nullif(detail, ''), 'It is about the server or the user mapping.'),
                  HINT = coalesce(nullif(hint, ''), 'The caller needs USAGE on the foreign data wrapper pynomaly_mongo and CREATE on the schema pynomaly.');
    END;
    PERFORM pynomaly.make_platform_tables(server);
    PERFORM pynomaly.make_platform_collections(server);
END
$$;
COMMENT ON FUNCTION pynomaly.attach_mongo(text, text, name) IS
'makes a server, the caller''s user mapping, and the platform''s collections with foreign tables over them, as far as they are not there';
REVOKE ALL ON FUNCTION pynomaly.attach_mongo(text, text, name) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.attach_mongo(text, text, name) TO pynomaly_admin;

-- Whatever else depends on the server keeps it from being dropped.
CREATE FUNCTION pynomaly.detach_mongo(server name DEFAULT 'pynomaly_mongo')
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gone record;
BEGIN
    IF EXISTS (SELECT FROM pynomaly.outbox o WHERE o.server = detach_mongo.server) THEN
        RAISE EXCEPTION 'the outbox has writes for the server "%"', server
            USING ERRCODE = 'object_in_use',
                  HINT = 'Apply them with CALL pynomaly.apply_outbox(), and retry or drop the refused ones.';
    END IF;
    FOR gone IN
        SELECT c.relname AS name
        FROM pg_class c
        JOIN pg_foreign_table f ON f.ftrelid = c.oid
        JOIN pg_foreign_server s ON s.oid = f.ftserver AND s.srvname = server
        WHERE c.relnamespace = 'pynomaly'::regnamespace
          AND c.relname IN ('analytics_data', 'logs', 'configurations', 'training_metrics')
    LOOP
        EXECUTE format('DROP FOREIGN TABLE pynomaly.%I', gone.name);
    END LOOP;
    FOR gone IN
        SELECT CASE m.umuser WHEN 0 THEN 'PUBLIC' ELSE quote_ident(m.usename) END AS name
        FROM pg_user_mappings m WHERE m.srvname = server
    LOOP
        EXECUTE format('DROP USER MAPPING FOR %s SERVER %I', gone.name, server);
    END LOOP;
    EXECUTE format('DROP SERVER %I', server);
END
$$;
COMMENT ON FUNCTION pynomaly.detach_mongo(name) IS
'drops what attach_mongo has made in this database; the collections stay';
REVOKE ALL ON FUNCTION pynomaly.detach_mongo(name) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.detach_mongo(name) TO pynomaly_admin;
