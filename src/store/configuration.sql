-- ---------------------------------------------------------------------
-- store: configuration (docs/configuration.md)
--
-- A setting has a definition, and a value from the first of these layers that
-- has one: the session (SET pynomaly.<key>), the tenant, the environment
-- (development, testing or production), the default.
-- ---------------------------------------------------------------------

-- What is a setting?

CREATE TABLE pynomaly.setting_definitions (
    key text PRIMARY KEY
        CHECK (key ~ '^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$' AND length(key) <= 100),
    type text NOT NULL
        CHECK (type IN ('boolean', 'integer', 'number', 'text', 'duration', 'secret')),
    default_value jsonb,
    profiles jsonb NOT NULL DEFAULT '{}'
        CHECK (jsonb_typeof(profiles) = 'object'
               AND profiles - '{development,testing,production}'::text[] = '{}'),
    minimum numeric,
    maximum numeric,
    choices text[],
    layers text[] NOT NULL DEFAULT '{session,tenant,environment,default}'
        CHECK (layers <@ '{session,tenant,environment,default}'::text[]),
    description text NOT NULL,
    is_system boolean NOT NULL DEFAULT false,
    CONSTRAINT choices_are_for_text CHECK (choices IS NULL OR type = 'text'),
    CONSTRAINT limits_are_for_numbers CHECK (type IN ('integer', 'number', 'duration')
           OR (minimum IS NULL AND maximum IS NULL)),
    CONSTRAINT secrets_are_not_for_sessions
        CHECK (type <> 'secret' OR NOT layers && '{session}'::text[])
);
COMMENT ON TABLE pynomaly.setting_definitions IS
'the settings that there are: type, limits, default, and where each may be set';
COMMENT ON COLUMN pynomaly.setting_definitions.default_value IS
'the value where no layer has another; NULL: there is none';
COMMENT ON COLUMN pynomaly.setting_definitions.profiles IS
'by environment: the value that takes the place of default_value there';
COMMENT ON COLUMN pynomaly.setting_definitions.minimum IS
'the smallest value allowed; of a duration, in seconds';
COMMENT ON COLUMN pynomaly.setting_definitions.maximum IS
'the largest value allowed; of a duration, in seconds';
COMMENT ON COLUMN pynomaly.setting_definitions.choices IS
'of a text: the only values allowed';
COMMENT ON COLUMN pynomaly.setting_definitions.layers IS
'where it may be set: session, tenant, environment, default';
COMMENT ON COLUMN pynomaly.setting_definitions.is_system IS
'shipped with the extension, changed by its upgrades only';

-- Values of the installation, and of tenants.

CREATE TABLE pynomaly.settings (
    environment text NOT NULL
        CHECK (environment IN ('default', 'development', 'testing', 'production')),
    key text NOT NULL REFERENCES pynomaly.setting_definitions,
    value jsonb NOT NULL,
    description text,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (environment, key)
);
COMMENT ON TABLE pynomaly.settings IS
'values that this installation gives to settings, by environment; default is for all of them';

CREATE TABLE pynomaly.tenant_settings (
    tenant_id uuid NOT NULL REFERENCES pynomaly.tenants ON DELETE CASCADE,
    key text NOT NULL REFERENCES pynomaly.setting_definitions,
    value jsonb NOT NULL,
    description text,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, key)
);
COMMENT ON TABLE pynomaly.tenant_settings IS
'values that a tenant gives to settings';

GRANT SELECT ON pynomaly.setting_definitions, pynomaly.settings
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;
GRANT INSERT, UPDATE, DELETE ON pynomaly.setting_definitions, pynomaly.settings
    TO pynomaly_admin;

SELECT pg_catalog.pg_extension_config_dump('pynomaly.setting_definitions', 'WHERE NOT is_system');
SELECT pg_catalog.pg_extension_config_dump('pynomaly.settings', '');
SELECT pg_catalog.pg_extension_config_dump('pynomaly.tenant_settings', '');

-- ---------- the environment ----------

CREATE FUNCTION pynomaly.current_environment()
RETURNS text
LANGUAGE c STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_store_current_environment';
COMMENT ON FUNCTION pynomaly.current_environment() IS
'development, testing or production: by pynomaly_store.environment, else by the server''s environment variables, else production';

CREATE FUNCTION pynomaly.describe_environment(
    OUT environment text, OUT source text, OUT note text)
LANGUAGE c STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_store_describe_environment';
COMMENT ON FUNCTION pynomaly.describe_environment() IS
'the environment, what says so, and a note where a variable could not be understood';

-- ---------- checks ----------

-- Returns why a value is not one of this setting, NULL where it is.  The value
-- of a secret is never part of what it returns.
CREATE FUNCTION pynomaly.setting_problem(definition pynomaly.setting_definitions, value jsonb)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kind constant text := jsonb_typeof(value);
    plain constant text := value #>> '{}';
    amount numeric;
BEGIN
    CASE definition.type
    WHEN 'boolean' THEN
        RETURN CASE WHEN kind IS DISTINCT FROM 'boolean'
                    THEN 'It must be true or false.' END;
    WHEN 'text' THEN
        IF kind IS DISTINCT FROM 'string' THEN
            RETURN 'It must be a string.';
        ELSIF length(plain) > 10000 THEN
            RETURN 'It is longer than 10000 characters.';
        ELSIF plain <> ALL (definition.choices) THEN
            RETURN format('It must be one of %s.', array_to_string(definition.choices, ', '));
        END IF;
        RETURN NULL;
    WHEN 'secret' THEN
        IF kind IS DISTINCT FROM 'string'
           OR plain !~ '^(env:[A-Za-z_][A-Za-z0-9_]*|file:[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*)$'
           OR length(plain) > 1000 THEN
            RETURN 'It must be a reference to the secret, not the secret: '
                   'env:NAME, or file:NAME with a path below pynomaly_store.secrets_directory.';
        END IF;
        RETURN NULL;
    WHEN 'duration' THEN
        IF kind IS DISTINCT FROM 'string' OR length(plain) > 100 THEN
            RETURN 'It must be a string with a duration and its unit, like "30 seconds".';
        ELSIF plain ~ '^\s*[-+]?[0-9.]+\s*$' THEN
            RETURN 'The duration has no unit.';
        END IF;
        BEGIN
            amount := extract(epoch FROM plain::interval);
        EXCEPTION WHEN data_exception THEN
            RETURN 'It must be a duration, like "30 seconds".';
        END;
        IF amount IN ('infinity', '-infinity') THEN
            RETURN 'It must be a duration, like "30 seconds".';
        END IF;
    ELSE
        IF kind IS DISTINCT FROM 'number' THEN
            RETURN 'It must be a number.';
        END IF;
        amount := plain::numeric;
        IF definition.type = 'integer' AND amount <> trunc(amount) THEN
            RETURN 'It must be a whole number.';
        END IF;
    END CASE;
    IF amount < definition.minimum THEN
        RETURN format('The minimum is %s.', definition.minimum
                      || CASE definition.type WHEN 'duration' THEN ' seconds' ELSE '' END);
    ELSIF amount > definition.maximum THEN
        RETURN format('The maximum is %s.', definition.maximum
                      || CASE definition.type WHEN 'duration' THEN ' seconds' ELSE '' END);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION pynomaly.setting_problem(pynomaly.setting_definitions, jsonb) IS
'why a value is not one of this setting; NULL where it is';

-- Returns the definition of a setting, and raises 42704 where there is none.
CREATE FUNCTION pynomaly.find_setting_definition(key text)
RETURNS pynomaly.setting_definitions
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition pynomaly.setting_definitions;
BEGIN
    SELECT * INTO definition
    FROM pynomaly.setting_definitions d WHERE d.key = find_setting_definition.key;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no setting "%"', left(key, 100)
            USING ERRCODE = 'undefined_object',
                  HINT = 'pynomaly.describe_settings() lists the settings.';
    END IF;
    RETURN definition;
END
$$;
COMMENT ON FUNCTION pynomaly.find_setting_definition(text) IS
'the definition of a setting; an error where there is none';

CREATE FUNCTION pynomaly.check_setting(key text, value jsonb, layer text)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition constant pynomaly.setting_definitions := pynomaly.find_setting_definition(key);
    problem text;
BEGIN
    IF layer <> ALL (definition.layers) THEN
        RAISE EXCEPTION 'setting "%" cannot be set at the layer %', key, layer
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = format('It can be set at: %s.', array_to_string(definition.layers, ', '));
    END IF;
    problem := pynomaly.setting_problem(definition, value);
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION 'invalid value for setting "%"%', key,
            CASE definition.type WHEN 'secret' THEN ''
            ELSE ': ' || coalesce(left(value::text, 100), 'NULL') END
            USING ERRCODE = 'invalid_parameter_value', DETAIL = problem;
    END IF;
END
$$;
COMMENT ON FUNCTION pynomaly.check_setting(text, jsonb, text) IS
'raises an error with the reason where a setting cannot have this value at this layer (session, tenant, environment, default)';

CREATE FUNCTION pynomaly.check_setting_row()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_TABLE_NAME = 'tenant_settings' THEN
        PERFORM pynomaly.check_setting(NEW.key, NEW.value, 'tenant');
    ELSE
        PERFORM pynomaly.check_setting(NEW.key, NEW.value,
            CASE NEW.environment WHEN 'default' THEN 'default' ELSE 'environment' END);
    END IF;
    IF TG_OP = 'UPDATE' THEN
        NEW.updated_at := now();
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION pynomaly.check_setting_row() IS
'refuses a wrong value when it is set';

CREATE FUNCTION pynomaly.check_setting_definition()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    problem text;
    place text;
    given jsonb;
BEGIN
    FOR place, given IN
        SELECT 'default_value', NEW.default_value WHERE NEW.default_value IS NOT NULL
        UNION ALL SELECT 'profiles, ' || p.key, p.value FROM jsonb_each(NEW.profiles) p
        UNION ALL SELECT 'value for ' || s.environment, s.value
                  FROM pynomaly.settings s WHERE s.key = NEW.key
        UNION ALL SELECT 'value of tenant ' || s.tenant_id, s.value
                  FROM pynomaly.tenant_settings s WHERE s.key = NEW.key
    LOOP
        problem := pynomaly.setting_problem(NEW, given);
        IF problem IS NOT NULL THEN
            RAISE EXCEPTION 'invalid definition of setting "%": %', NEW.key, place
                USING ERRCODE = 'invalid_parameter_value', DETAIL = problem;
        END IF;
    END LOOP;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION pynomaly.check_setting_definition() IS
'refuses a definition that its values do not obey';

CREATE TRIGGER protect_shipped_rows
    BEFORE INSERT OR UPDATE OR DELETE ON pynomaly.setting_definitions
    FOR EACH ROW EXECUTE FUNCTION pynomaly.protect_shipped_rows();
CREATE TRIGGER check_setting_definition
    BEFORE INSERT OR UPDATE ON pynomaly.setting_definitions
    FOR EACH ROW EXECUTE FUNCTION pynomaly.check_setting_definition();
CREATE TRIGGER check_setting BEFORE INSERT OR UPDATE ON pynomaly.settings
    FOR EACH ROW EXECUTE FUNCTION pynomaly.check_setting_row();
CREATE TRIGGER check_setting BEFORE INSERT OR UPDATE ON pynomaly.tenant_settings
    FOR EACH ROW EXECUTE FUNCTION pynomaly.check_setting_row();

-- ---------- reading ----------

-- A session's own value is text, SET pynomaly.<key>; NULL where it has none.
-- Text that is no value of the type becomes a string, which the check refuses.
CREATE FUNCTION pynomaly.session_setting(definition pynomaly.setting_definitions)
RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given constant text := nullif(current_setting('pynomaly.' || definition.key, true), '');
BEGIN
    RETURN CASE
        WHEN definition.type = 'boolean' AND lower(given) IN ('true', 'on', 'yes', '1') THEN 'true'
        WHEN definition.type = 'boolean' AND lower(given) IN ('false', 'off', 'no', '0') THEN 'false'
        WHEN definition.type IN ('integer', 'number')
             AND given ~ '^[-+]?([0-9]{1,100}(\.[0-9]{0,100})?|\.[0-9]{1,100})$'
        THEN to_jsonb(given::numeric)
        ELSE to_jsonb(given)
    END;
END
$$;
COMMENT ON FUNCTION pynomaly.session_setting(pynomaly.setting_definitions) IS
'the value that the session gives to a setting by SET pynomaly.<key>; NULL where it gives none';

-- The layers, from the one that counts first; what a layer has no value for is
-- absent.  Tables of others than the caller are not looked at, whoever calls.
CREATE FUNCTION pynomaly.setting_values(
    definition pynomaly.setting_definitions, OUT value jsonb, OUT source text)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL SAFE ROWS 2
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT v.value, v.source
    FROM (
        SELECT 1, pynomaly.session_setting(definition), 'session'
        UNION ALL
        SELECT 2, s.value, 'tenant'
        FROM pynomaly.tenant_settings s
        WHERE s.tenant_id = pynomaly.current_tenant() AND s.key = definition.key
        UNION ALL
        SELECT 3, s.value, 'environment'
        FROM pynomaly.settings s
        WHERE s.environment = pynomaly.current_environment() AND s.key = definition.key
        UNION ALL
        SELECT 4, definition.profiles -> pynomaly.current_environment(), 'profile'
        UNION ALL
        SELECT 5, s.value, 'default'
        FROM pynomaly.settings s
        WHERE s.environment = 'default' AND s.key = definition.key
        UNION ALL
        SELECT 6, definition.default_value, 'built-in'
    ) v (rank, value, source)
    WHERE v.value IS NOT NULL
    ORDER BY v.rank
$$;
COMMENT ON FUNCTION pynomaly.setting_values(pynomaly.setting_definitions) IS
'the values that the layers have for a setting, the one that counts first';

CREATE FUNCTION pynomaly.get_setting(key text)
RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition constant pynomaly.setting_definitions := pynomaly.find_setting_definition(key);
    value jsonb;
    source text;
BEGIN
    SELECT v.value, v.source INTO value, source
    FROM pynomaly.setting_values(definition) v LIMIT 1;
    IF source = 'session' THEN      -- nobody could check what SET was given
        PERFORM pynomaly.check_setting(key, value, 'session');
    END IF;
    RETURN value;
END
$$;
COMMENT ON FUNCTION pynomaly.get_setting(text) IS
'the value of a setting: of the session, else of the tenant, of the environment, the default; of a secret its reference';

CREATE FUNCTION pynomaly.describe_settings(
    OUT key text, OUT value jsonb, OUT source text, OUT type text, OUT problem text,
    OUT minimum numeric, OUT maximum numeric, OUT choices text[], OUT layers text[],
    OUT description text)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL SAFE ROWS 50
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT d.key, v.value, v.source, d.type,
           CASE WHEN v.source = 'session' AND NOT 'session' = ANY (d.layers)
                THEN 'It cannot be set by a session.'
                WHEN v.source = 'session' THEN pynomaly.setting_problem(d, v.value) END,
           d.minimum, d.maximum, d.choices, d.layers, d.description
    FROM pynomaly.setting_definitions d
    LEFT JOIN LATERAL (SELECT * FROM pynomaly.setting_values(d) LIMIT 1) v ON true
    ORDER BY d.key
$$;
COMMENT ON FUNCTION pynomaly.describe_settings() IS
'every setting with its value and where that comes from: session, tenant, environment, profile (shipped for the environment), default, built-in';

CREATE FUNCTION pynomaly.resolve_secret(reference text)
RETURNS text
LANGUAGE c VOLATILE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_store_resolve_secret';
COMMENT ON FUNCTION pynomaly.resolve_secret(text) IS
'the secret that a reference env:NAME or file:NAME stands for (needs the rights of pg_read_server_files)';

CREATE FUNCTION pynomaly.get_secret(key text)
RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    definition constant pynomaly.setting_definitions := pynomaly.find_setting_definition(key);
BEGIN
    IF definition.type <> 'secret' THEN
        RAISE EXCEPTION 'setting "%" is not a secret', key
            USING ERRCODE = 'wrong_object_type', HINT = 'Use pynomaly.get_setting.';
    END IF;
    RETURN pynomaly.resolve_secret(pynomaly.get_setting(key) #>> '{}');
END
$$;
COMMENT ON FUNCTION pynomaly.get_secret(text) IS
'the secret that a setting refers to (needs the rights of pg_read_server_files); NULL where it refers to none';

-- ---------- setting ----------

CREATE FUNCTION pynomaly.set_setting(key text, value jsonb, layer text)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    CASE layer
    WHEN 'session', 'transaction' THEN
        PERFORM pynomaly.check_setting(key, value, 'session');
        PERFORM set_config('pynomaly.' || key, value #>> '{}', layer = 'transaction');
    WHEN 'tenant' THEN
        IF pynomaly.current_tenant() IS NULL THEN
            RAISE EXCEPTION 'no tenant is set'
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      HINT = 'Call pynomaly.set_tenant first.';
        END IF;
        PERFORM pynomaly.check_setting(key, value, 'tenant');
        INSERT INTO pynomaly.tenant_settings AS s (tenant_id, key, value)
        VALUES (pynomaly.current_tenant(), key, value)
        ON CONFLICT ON CONSTRAINT tenant_settings_pkey DO UPDATE SET value = excluded.value;
    WHEN 'default', 'development', 'testing', 'production' THEN
        PERFORM pynomaly.check_setting(key, value,
            CASE layer WHEN 'default' THEN 'default' ELSE 'environment' END);
        INSERT INTO pynomaly.settings AS s (environment, key, value)
        VALUES (layer, key, value)
        ON CONFLICT ON CONSTRAINT settings_pkey DO UPDATE SET value = excluded.value;
    ELSE
        RAISE EXCEPTION 'there is no layer "%"', layer
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Layers are transaction, session, tenant, development, testing, production, default.';
    END CASE;
END
$$;
COMMENT ON FUNCTION pynomaly.set_setting(text, jsonb, text) IS
'gives a setting a value at a layer: transaction, session, tenant, an environment''s name, or default';

CREATE FUNCTION pynomaly.reset_setting(key text, layer text)
RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    had boolean;
BEGIN
    PERFORM pynomaly.find_setting_definition(key);
    CASE layer
    WHEN 'session', 'transaction' THEN
        had := coalesce(current_setting('pynomaly.' || key, true), '') <> '';
        PERFORM set_config('pynomaly.' || key, '', layer = 'transaction');
        RETURN had;
    WHEN 'tenant' THEN
        DELETE FROM pynomaly.tenant_settings s
        WHERE s.tenant_id = pynomaly.current_tenant() AND s.key = reset_setting.key;
    WHEN 'default', 'development', 'testing', 'production' THEN
        DELETE FROM pynomaly.settings s
        WHERE s.environment = layer AND s.key = reset_setting.key;
    ELSE
        RAISE EXCEPTION 'there is no layer "%"', layer
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Layers are transaction, session, tenant, development, testing, production, default.';
    END CASE;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION pynomaly.reset_setting(text, text) IS
'takes the value of a setting away from a layer; returns whether there was one';

-- The timeouts of the profile, for the transaction or the session.
CREATE FUNCTION pynomaly.apply_timeouts(is_local boolean DEFAULT true)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text;
    setting text;
BEGIN
    FOR name, setting IN VALUES
        ('statement_timeout', 'timeouts.statement'),
        ('lock_timeout', 'timeouts.lock'),
        ('idle_in_transaction_session_timeout', 'timeouts.idle_in_transaction')
    LOOP
        PERFORM set_config(name, round(1000 * extract(
            epoch FROM (pynomaly.get_setting(setting) #>> '{}')::interval))::text, is_local);
    END LOOP;
END
$$;
COMMENT ON FUNCTION pynomaly.apply_timeouts(boolean) IS
'sets statement_timeout, lock_timeout and idle_in_transaction_session_timeout by the settings timeouts.*, for the transaction or the session';

CREATE FUNCTION pynomaly.apply_mongo_settings(server name)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    milliseconds constant numeric := round(1000 * extract(
        epoch FROM (pynomaly.get_setting('mongo.connect_timeout') #>> '{}')::interval));
    options text[];
BEGIN
    SELECT coalesce(s.srvoptions, '{}') INTO options
    FROM pg_foreign_server AS s
    JOIN pg_foreign_data_wrapper AS w ON w.oid = s.srvfdw AND w.fdwname = 'pynomaly_mongo'
    WHERE s.srvname = server;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no server "%" of pynomaly_mongo', server
            USING ERRCODE = 'undefined_object';
    END IF;
    EXECUTE format('ALTER SERVER %I OPTIONS (%s connect_timeout %L)', server,
                   CASE WHEN EXISTS (SELECT FROM pg_options_to_table(options) AS o
                                     WHERE o.option_name = 'connect_timeout')
                        THEN 'SET' ELSE 'ADD' END, milliseconds);
END
$$;
COMMENT ON FUNCTION pynomaly.apply_mongo_settings(name) IS
'gives a foreign server the connect_timeout that the setting mongo.connect_timeout says';

-- ---------- what is shipped ----------

INSERT INTO pynomaly.setting_definitions
    (is_system, key, type, default_value, profiles, minimum, maximum, choices, layers, description)
VALUES
    (true, 'cache.default_ttl', 'duration', '"1 hour"',
     '{"development": "1 minute", "testing": "1 second"}', 0, 31536000, NULL, DEFAULT,
     'How long a cached answer lives where nothing else is said.'),
    (true, 'cache.max_value_bytes', 'integer', '8388608', '{}', 1024, 536870912, NULL, DEFAULT,
     'The largest value that is cached.'),
    (true, 'mongo.batch_size', 'integer', '1000', '{}', 1, 100000, NULL, DEFAULT,
     'How many documents are written to MongoDB at once.'),
    (true, 'mongo.connect_timeout', 'duration', '"10 seconds"',
     '{"development": "2 seconds", "testing": "2 seconds"}', 0.001, 3600, NULL, DEFAULT,
     'How long opening a connection to MongoDB may take.'),
    (true, 'mongo.pool_size', 'integer', '20',
     '{"development": 5, "testing": 2, "production": 100}', 1, 10000, NULL,
     '{environment,default}',
     'How many connections to a MongoDB server there may be at once.'),
    (true, 'mongo.uri', 'secret', NULL, '{}', NULL, NULL, NULL, '{environment,default}',
     'Where the connection string of MongoDB is found.'),
    (true, 'pool.max_overflow', 'integer', '10', '{"testing": 0, "production": 30}',
     0, 10000, NULL, '{environment,default}',
     'How many connections a client''s pool may open beyond its size.'),
    (true, 'pool.size', 'integer', '5', '{"testing": 1, "production": 20}', 1, 10000, NULL,
     '{environment,default}', 'How many connections a client''s pool keeps.'),
    (true, 'pool.timeout', 'duration', '"30 seconds"', '{"production": "60 seconds"}',
     0, 3600, NULL, '{environment,default}',
     'How long a client waits for a connection of its pool.'),
    (true, 'redis.timeout', 'duration', '"50 milliseconds"', '{}', 0.001, 60, NULL, DEFAULT,
     'How long a statement waits for Redis in all.'),
    (true, 'redis.url', 'secret', NULL, '{}', NULL, NULL, NULL, '{environment,default}',
     'Where the address and the password of Redis are found.'),
    (true, 'security.bcrypt_cost', 'integer', '12', '{"testing": 4}', 4, 20, NULL,
     '{environment,default}', 'The logarithm of the rounds of a new password hash.'),
    (true, 'security.invitation_lifetime', 'duration', '"7 days"', '{}', 60, 31536000, NULL,
     '{tenant,environment,default}', 'How long an invitation can be accepted.'),
    (true, 'security.lockout_duration', 'duration', '"30 minutes"', '{}', 1, 31536000, NULL,
     '{environment,default}', 'How long a user is locked out after too many failures.'),
    (true, 'security.lockout_failures', 'integer', '5', '{}', 1, 1000, NULL,
     '{environment,default}', 'How many failures in a row lock a user out.'),
    (true, 'security.lockout_window', 'duration', '"15 minutes"', '{}', 1, 31536000, NULL,
     '{environment,default}', 'A failure that is older than this does not count any more.'),
    (true, 'security.max_sessions', 'integer', '5', '{}', 1, 10000, NULL,
     '{tenant,environment,default}', 'How many sessions a user can have at once.'),
    (true, 'security.session_idle', 'duration', '"1 hour"', '{"development": "24 hours"}',
     1, 31536000, NULL, '{tenant,environment,default}',
     'How long a session lives without being used.'),
    (true, 'security.session_lifetime', 'duration', '"24 hours"', '{}', 1, 31536000, NULL,
     '{tenant,environment,default}', 'How long a session lives in all.'),
    (true, 'timeouts.idle_in_transaction', 'duration', '"60 seconds"',
     '{"development": "1 hour"}', 0, 86400, NULL, DEFAULT,
     'How long a transaction may wait for its client; 0 is no limit.'),
    (true, 'timeouts.lock', 'duration', '"10 seconds"', '{"testing": "2 seconds"}',
     0, 86400, NULL, DEFAULT, 'How long a statement may wait for a lock; 0 is no limit.'),
    (true, 'timeouts.statement', 'duration', '"30 seconds"', '{"development": "0 seconds"}',
     0, 86400, NULL, DEFAULT, 'How long a statement may run; 0 is no limit.');

REVOKE ALL ON FUNCTION
    pynomaly.setting_problem(pynomaly.setting_definitions, jsonb),
    pynomaly.find_setting_definition(text),
    pynomaly.check_setting(text, jsonb, text),
    pynomaly.check_setting_row(),
    pynomaly.check_setting_definition(),
    pynomaly.session_setting(pynomaly.setting_definitions),
    pynomaly.setting_values(pynomaly.setting_definitions),
    pynomaly.get_setting(text),
    pynomaly.describe_settings(),
    pynomaly.resolve_secret(text),
    pynomaly.get_secret(text),
    pynomaly.set_setting(text, jsonb, text),
    pynomaly.reset_setting(text, text),
    pynomaly.apply_timeouts(boolean),
    pynomaly.apply_mongo_settings(name)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    pynomaly.setting_problem(pynomaly.setting_definitions, jsonb),
    pynomaly.find_setting_definition(text),
    pynomaly.check_setting(text, jsonb, text),
    pynomaly.session_setting(pynomaly.setting_definitions),
    pynomaly.setting_values(pynomaly.setting_definitions),
    pynomaly.get_setting(text),
    pynomaly.describe_settings(),
    pynomaly.apply_timeouts(boolean)
TO pynomaly_admin, pynomaly_app, pynomaly_readonly;
GRANT EXECUTE ON FUNCTION
    pynomaly.set_setting(text, jsonb, text),
    pynomaly.reset_setting(text, text)
TO pynomaly_admin, pynomaly_app;
GRANT EXECUTE ON FUNCTION pynomaly.apply_mongo_settings(name) TO pynomaly_admin;
GRANT EXECUTE ON FUNCTION pynomaly.resolve_secret(text), pynomaly.get_secret(text)
TO pynomaly_admin, pg_read_server_files;
