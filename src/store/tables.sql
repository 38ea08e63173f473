-- ---------------------------------------------------------------------
-- store: what the platform keeps
-- ---------------------------------------------------------------------

-- Rules of all tables:
--   * A row that belongs to a tenant has the tenant first in its primary key
--     and in every foreign key, so that no key of another tenant can be
--     referred to, and the tables can be distributed by tenant.
--   * A constraint holds only what the platform's existing data obeys: names
--     repeat, trained_at may precede created_at, references may be names.
--   * A row that was imported under an identifier that is no uuid keeps it in
--     external_id; a row made in place of a missing parent says so in origin.
--   * Indexes begin with the tenant, which is what queries under row-level
--     security can use (src/store/estimates.c); others serve functions that run
--     with the owner's rights.  So deleting a user looks through the rows that
--     may be his.
--   * Rows that the extension ships are marked is_system; a dump leaves them
--     out, for CREATE EXTENSION makes them anew.

-- ---------------------------------------------------------------------
-- people and what they may do
-- ---------------------------------------------------------------------

CREATE TABLE pynomaly.users (
    id                    uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email                 text NOT NULL UNIQUE CHECK (length(email) BETWEEN 1 AND 500),
    username              text NOT NULL UNIQUE CHECK (length(username) BETWEEN 1 AND 500),
    first_name            text NOT NULL DEFAULT '' CHECK (length(first_name) <= 500),
    last_name             text NOT NULL DEFAULT '' CHECK (length(last_name) <= 500),
    display_name          text CHECK (length(display_name) <= 500),
    status                text NOT NULL DEFAULT 'active'
                          CHECK (status IN ('active', 'inactive', 'suspended',
                                            'pending_verification', 'locked',
                                            'deleted')),
    auth_provider         text NOT NULL DEFAULT 'local',
    password_hash         text NOT NULL DEFAULT '',
    password_salt         text,
    password_changed_at   timestamptz,
    password_reset_hash   text,
    password_reset_expires timestamptz,
    failed_login_attempts integer NOT NULL DEFAULT 0 CHECK (failed_login_attempts >= 0),
    last_failed_login_at  timestamptz,
    locked_until          timestamptz,
    two_factor_enabled    boolean NOT NULL DEFAULT false,
    two_factor_secret     text,
    last_login_at         timestamptz,
    email_verified_at     timestamptz,
    settings              jsonb NOT NULL DEFAULT '{}'
                          CHECK (jsonb_typeof(settings) = 'object'),
    metadata              jsonb NOT NULL DEFAULT '{}'
                          CHECK (jsonb_typeof(metadata) = 'object'),
    external_id           text CHECK (length(external_id) BETWEEN 1 AND 500),
    origin                text NOT NULL DEFAULT 'platform'
                          CHECK (origin IN ('platform', 'import', 'placeholder')),
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE pynomaly.users IS
'people and services that use the platform; user_tenant_roles says where';
COMMENT ON COLUMN pynomaly.users.password_hash IS
'opaque: bcrypt, PBKDF2 with password_salt, or salt:sha256; empty where no password is set';
COMMENT ON COLUMN pynomaly.users.external_id IS
'identifier in the system that the row was imported from, such as admin or user_1';
CREATE INDEX ON pynomaly.users (external_id);
CREATE TRIGGER touch_updated_at BEFORE UPDATE ON pynomaly.users
    FOR EACH ROW EXECUTE FUNCTION pynomaly.touch_updated_at();
SELECT pg_catalog.pg_extension_config_dump('pynomaly.users', '');

ALTER TABLE pynomaly.tenants
    ADD FOREIGN KEY (admin_user_id) REFERENCES pynomaly.users ON DELETE SET NULL;

CREATE TABLE pynomaly.roles (
    name        text PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 500),
    description text,
    is_system   boolean NOT NULL DEFAULT false,
    created_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE pynomaly.roles IS
'roles that a user can have in a tenant';
COMMENT ON COLUMN pynomaly.roles.is_system IS
'shipped with the extension, changed by its upgrades only';
CREATE TRIGGER protect_shipped_rows
    BEFORE INSERT OR UPDATE OR DELETE ON pynomaly.roles
    FOR EACH ROW EXECUTE FUNCTION pynomaly.protect_shipped_rows();
SELECT pg_catalog.pg_extension_config_dump('pynomaly.roles', 'WHERE NOT is_system');

CREATE TABLE pynomaly.permissions (
    resource    text NOT NULL CHECK (length(resource) BETWEEN 1 AND 100),
    action      text NOT NULL CHECK (length(action) BETWEEN 1 AND 100),
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 500),
    description text,
    is_system   boolean NOT NULL DEFAULT false,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (resource, action)
);
COMMENT ON TABLE pynomaly.permissions IS
'actions on kinds of resources that a role can allow';
COMMENT ON COLUMN pynomaly.permissions.is_system IS
'shipped with the extension, changed by its upgrades only';
CREATE TRIGGER protect_shipped_rows
    BEFORE INSERT OR UPDATE OR DELETE ON pynomaly.permissions
    FOR EACH ROW EXECUTE FUNCTION pynomaly.protect_shipped_rows();
SELECT pg_catalog.pg_extension_config_dump('pynomaly.permissions', 'WHERE NOT is_system');

CREATE TABLE pynomaly.role_permissions (
    role       text NOT NULL REFERENCES pynomaly.roles ON DELETE CASCADE,
    resource   text NOT NULL,
    action     text NOT NULL,
    conditions text[] NOT NULL DEFAULT '{}',
    is_system  boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (role, resource, action),
    FOREIGN KEY (resource, action) REFERENCES pynomaly.permissions ON DELETE CASCADE
);
COMMENT ON TABLE pynomaly.role_permissions IS
'permission matrix: what each role allows';
COMMENT ON COLUMN pynomaly.role_permissions.conditions IS
'under which it allows it, such as own_only';
COMMENT ON COLUMN pynomaly.role_permissions.is_system IS
'shipped with the extension, changed by its upgrades only';
CREATE INDEX ON pynomaly.role_permissions (resource, action);
CREATE TRIGGER protect_shipped_rows
    BEFORE INSERT OR UPDATE OR DELETE ON pynomaly.role_permissions
    FOR EACH ROW EXECUTE FUNCTION pynomaly.protect_shipped_rows();
SELECT pg_catalog.pg_extension_config_dump('pynomaly.role_permissions', 'WHERE NOT is_system');

CREATE TABLE pynomaly.user_tenant_roles (
    tenant_id   uuid NOT NULL REFERENCES pynomaly.tenants,
    user_id     uuid NOT NULL REFERENCES pynomaly.users ON DELETE CASCADE,
    role        text NOT NULL REFERENCES pynomaly.roles,
    permissions jsonb CHECK (jsonb_typeof(permissions) = 'array'),
    granted_at  timestamptz NOT NULL DEFAULT now(),
    granted_by  uuid REFERENCES pynomaly.users ON DELETE SET NULL,
    expires_at  timestamptz,
    PRIMARY KEY (tenant_id, user_id)
);
COMMENT ON TABLE pynomaly.user_tenant_roles IS
'the one role that a user has in a tenant';
COMMENT ON COLUMN pynomaly.user_tenant_roles.permissions IS
'what this grant allows, [{"resource": ..., "action": ...}]; NULL for all that the role does';
CREATE INDEX ON pynomaly.user_tenant_roles (user_id);
CREATE INDEX ON pynomaly.user_tenant_roles (granted_by);
CREATE INDEX ON pynomaly.user_tenant_roles (role);
SELECT pg_catalog.pg_extension_config_dump('pynomaly.user_tenant_roles', '');

CREATE TABLE pynomaly.api_keys (
    tenant_id             uuid NOT NULL REFERENCES pynomaly.tenants,
    id                    uuid NOT NULL DEFAULT gen_random_uuid(),
    user_id               uuid NOT NULL REFERENCES pynomaly.users ON DELETE CASCADE,
    name                  text NOT NULL CHECK (length(name) BETWEEN 1 AND 500),
    key_prefix            text NOT NULL CHECK (length(key_prefix) BETWEEN 1 AND 20),
    key_hash              text NOT NULL CHECK (length(key_hash) BETWEEN 1 AND 500),
    permissions           jsonb CHECK (jsonb_typeof(permissions) = 'array'),
    is_active             boolean NOT NULL DEFAULT true,
    rate_limit_per_minute integer NOT NULL DEFAULT 100 CHECK (rate_limit_per_minute >= 0),
    usage_count           bigint NOT NULL DEFAULT 0 CHECK (usage_count >= 0),
    last_used_at          timestamptz,
    expires_at            timestamptz,
    metadata              jsonb NOT NULL DEFAULT '{}'
                          CHECK (jsonb_typeof(metadata) = 'object'),
    created_at            timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, key_hash)
);
COMMENT ON TABLE pynomaly.api_keys IS
'keys of the platform''s programming interface; the key itself is shown once and not kept';
COMMENT ON COLUMN pynomaly.api_keys.key_prefix IS
'first characters of the key, by which it is found';
CREATE INDEX ON pynomaly.api_keys (key_prefix);
CREATE INDEX ON pynomaly.api_keys (user_id);
SELECT pg_catalog.pg_extension_config_dump('pynomaly.api_keys', '');

CREATE TABLE pynomaly.sessions (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id     uuid REFERENCES pynomaly.tenants,
    user_id       uuid NOT NULL REFERENCES pynomaly.users ON DELETE CASCADE,
    token_hash    text NOT NULL CHECK (length(token_hash) BETWEEN 1 AND 500),
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL,
    last_activity timestamptz NOT NULL DEFAULT now(),
    is_active     boolean NOT NULL DEFAULT true,
    ip_address    inet,
    user_agent    text,
    metadata      jsonb NOT NULL DEFAULT '{}'
                  CHECK (jsonb_typeof(metadata) = 'object')
);
COMMENT ON TABLE pynomaly.sessions IS
'logins; of the token only a hash is kept';
COMMENT ON COLUMN pynomaly.sessions.tenant_id IS
'tenant that the user logged into, NULL for the platform itself';
CREATE UNIQUE INDEX ON pynomaly.sessions (token_hash);
CREATE INDEX ON pynomaly.sessions (user_id, last_activity);
CREATE INDEX ON pynomaly.sessions (tenant_id);
CREATE INDEX ON pynomaly.sessions (expires_at);
SELECT pg_catalog.pg_extension_config_dump('pynomaly.sessions', '');

-- ---------------------------------------------------------------------
-- datasets and detectors
-- ---------------------------------------------------------------------

CREATE TABLE pynomaly.datasets (
    tenant_id            uuid NOT NULL REFERENCES pynomaly.tenants,
    id                   uuid NOT NULL DEFAULT gen_random_uuid(),
    name                 text NOT NULL CHECK (length(name) BETWEEN 1 AND 500),
    description          text,
    source               text,
    file_path            text,
    file_type            text,
    size_bytes           bigint CHECK (size_bytes >= 0),
    n_samples            bigint CHECK (n_samples >= 0),
    n_columns            integer CHECK (n_columns >= 0),
    n_features           integer CHECK (n_features >= 0),
    memory_usage         bigint CHECK (memory_usage >= 0),
    feature_names        text[],
    numeric_features     text[],
    categorical_features text[],
    target_column        text,
    has_target           boolean NOT NULL GENERATED ALWAYS AS (target_column IS NOT NULL) STORED,
    parent_dataset_id    uuid,
    split                text,
    metadata             jsonb NOT NULL DEFAULT '{}'
                         CHECK (jsonb_typeof(metadata) = 'object'),
    created_by           uuid REFERENCES pynomaly.users ON DELETE SET NULL,
    external_id          text CHECK (length(external_id) BETWEEN 1 AND 500),
    origin               text NOT NULL DEFAULT 'platform'
                         CHECK (origin IN ('platform', 'import', 'placeholder')),
    created_at           timestamptz NOT NULL DEFAULT now(),
    updated_at           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, parent_dataset_id) REFERENCES pynomaly.datasets
        ON DELETE SET NULL (parent_dataset_id)
);
COMMENT ON TABLE pynomaly.datasets IS
'data that detectors are trained on and applied to, described';
COMMENT ON COLUMN pynomaly.datasets.n_features IS
'number of columns, the target not counted';
COMMENT ON COLUMN pynomaly.datasets.memory_usage IS
'bytes that the data took in memory';
COMMENT ON COLUMN pynomaly.datasets.has_target IS
'derived: there is a target column';
COMMENT ON COLUMN pynomaly.datasets.split IS
'which part of the parent dataset this is: train or test';
CREATE INDEX ON pynomaly.datasets (tenant_id, parent_dataset_id);
CREATE TRIGGER touch_updated_at BEFORE UPDATE ON pynomaly.datasets
    FOR EACH ROW EXECUTE FUNCTION pynomaly.touch_updated_at();
SELECT pg_catalog.pg_extension_config_dump('pynomaly.datasets', '');

CREATE TABLE pynomaly.dataset_contents (
    tenant_id  uuid NOT NULL,
    dataset_id uuid NOT NULL,
    format     text NOT NULL CHECK (format IN ('parquet', 'csv')),
    content    bytea NOT NULL,
    size_bytes bigint NOT NULL GENERATED ALWAYS AS (length(content)) STORED,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, dataset_id, format),
    FOREIGN KEY (tenant_id, dataset_id) REFERENCES pynomaly.datasets ON DELETE CASCADE
);
COMMENT ON TABLE pynomaly.dataset_contents IS
'data of a dataset, as a file';
COMMENT ON COLUMN pynomaly.dataset_contents.size_bytes IS
'derived: length of the content';
ALTER TABLE pynomaly.dataset_contents ALTER COLUMN content SET STORAGE EXTERNAL;
CREATE TRIGGER touch_updated_at BEFORE UPDATE ON pynomaly.dataset_contents
    FOR EACH ROW EXECUTE FUNCTION pynomaly.touch_updated_at();
SELECT pg_catalog.pg_extension_config_dump('pynomaly.dataset_contents', '');

CREATE TABLE pynomaly.detectors (
    tenant_id          uuid NOT NULL REFERENCES pynomaly.tenants,
    id                 uuid NOT NULL DEFAULT gen_random_uuid(),
    name               text NOT NULL CHECK (length(name) BETWEEN 1 AND 500),
    algorithm_name     text NOT NULL CHECK (length(algorithm_name) BETWEEN 1 AND 500),
    description        text,
    contamination_rate float8 NOT NULL DEFAULT 0.1
                       CHECK (contamination_rate BETWEEN 0 AND 0.5),
    parameters         jsonb NOT NULL DEFAULT '{}'
                       CHECK (jsonb_typeof(parameters) = 'object'),
    is_fitted          boolean NOT NULL DEFAULT false,
    trained_at         timestamptz,
    metadata           jsonb NOT NULL DEFAULT '{}'
                       CHECK (jsonb_typeof(metadata) = 'object'),
    created_by         uuid REFERENCES pynomaly.users ON DELETE SET NULL,
    external_id        text CHECK (length(external_id) BETWEEN 1 AND 500),
    origin             text NOT NULL DEFAULT 'platform'
                       CHECK (origin IN ('platform', 'import', 'placeholder')),
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE pynomaly.detectors IS
'algorithms with their parameters, fitted or not';
CREATE TRIGGER touch_updated_at BEFORE UPDATE ON pynomaly.detectors
    FOR EACH ROW EXECUTE FUNCTION pynomaly.touch_updated_at();
SELECT pg_catalog.pg_extension_config_dump('pynomaly.detectors', '');

-- ---------------------------------------------------------------------
-- models
-- ---------------------------------------------------------------------

CREATE TABLE pynomaly.models (
    tenant_id          uuid NOT NULL REFERENCES pynomaly.tenants,
    id                 uuid NOT NULL DEFAULT gen_random_uuid(),
    name               text NOT NULL CHECK (length(name) BETWEEN 1 AND 500),
    description        text,
    model_type         text CHECK (model_type IN ('supervised', 'unsupervised',
                                                  'semi_supervised', 'ensemble',
                                                  'deep_learning', 'time_series')),
    algorithm_family   text,
    stage              text NOT NULL DEFAULT 'development'
                       CHECK (stage IN ('development', 'staging', 'production',
                                        'archived')),
    team               text,
    tags               text[] NOT NULL DEFAULT '{}',
    current_version_id uuid,
    latest_version_id  uuid,
    metadata           jsonb NOT NULL DEFAULT '{}'
                       CHECK (jsonb_typeof(metadata) = 'object'),
    created_by         text,
    external_id        text CHECK (length(external_id) BETWEEN 1 AND 500),
    origin             text NOT NULL DEFAULT 'platform'
                       CHECK (origin IN ('platform', 'import', 'placeholder')),
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE pynomaly.models IS
'registry of models: what a team calls one thing through its versions';
COMMENT ON COLUMN pynomaly.models.current_version_id IS
'version in use; not a foreign key, as the versions refer to the model';
COMMENT ON COLUMN pynomaly.models.latest_version_id IS
'newest version; not a foreign key, as the versions refer to the model';
CREATE TRIGGER touch_updated_at BEFORE UPDATE ON pynomaly.models
    FOR EACH ROW EXECUTE FUNCTION pynomaly.touch_updated_at();
SELECT pg_catalog.pg_extension_config_dump('pynomaly.models', '');

CREATE TABLE pynomaly.model_versions (
    tenant_id           uuid NOT NULL REFERENCES pynomaly.tenants,
    id                  uuid NOT NULL DEFAULT gen_random_uuid(),
    model_id            uuid,
    detector_id         uuid,
    version             text NOT NULL CHECK (length(version) BETWEEN 1 AND 100),
    name                text CHECK (length(name) BETWEEN 1 AND 500),
    algorithm_name      text CHECK (length(algorithm_name) BETWEEN 1 AND 500),
    status              text NOT NULL DEFAULT 'draft'
                        CHECK (status IN ('draft', 'validated', 'deployed',
                                          'deprecated', 'archived', 'development',
                                          'staging', 'production', 'training',
                                          'trained', 'failed')),
    is_active           boolean NOT NULL DEFAULT true,
    description         text,
    tags                text[] NOT NULL DEFAULT '{}',
    parent_version_id   uuid,
    performance_metrics jsonb NOT NULL DEFAULT '{}'
                        CHECK (jsonb_typeof(performance_metrics) = 'object'),
    storage_info        jsonb NOT NULL DEFAULT '{}'
                        CHECK (jsonb_typeof(storage_info) = 'object'),
    metadata            jsonb NOT NULL DEFAULT '{}'
                        CHECK (jsonb_typeof(metadata) = 'object'),
    created_by          text,
    external_id         text CHECK (length(external_id) BETWEEN 1 AND 500),
    origin              text NOT NULL DEFAULT 'platform'
                        CHECK (origin IN ('platform', 'import', 'placeholder')),
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, model_id) REFERENCES pynomaly.models ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, detector_id) REFERENCES pynomaly.detectors ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, parent_version_id) REFERENCES pynomaly.model_versions
        ON DELETE SET NULL (parent_version_id)
);
COMMENT ON TABLE pynomaly.model_versions IS
'versions of a model, or of a detector that is in no registry';
COMMENT ON COLUMN pynomaly.model_versions.created_by IS
'name that the platform gave, not always that of a user';
CREATE INDEX ON pynomaly.model_versions (tenant_id, model_id, created_at DESC);
CREATE INDEX ON pynomaly.model_versions (tenant_id, detector_id, created_at DESC);
CREATE INDEX ON pynomaly.model_versions (tenant_id, parent_version_id);
CREATE TRIGGER touch_updated_at BEFORE UPDATE ON pynomaly.model_versions
    FOR EACH ROW EXECUTE FUNCTION pynomaly.touch_updated_at();
SELECT pg_catalog.pg_extension_config_dump('pynomaly.model_versions', '');

CREATE TABLE pynomaly.model_artifacts (
    tenant_id         uuid NOT NULL REFERENCES pynomaly.tenants,
    id                uuid NOT NULL DEFAULT gen_random_uuid(),
    detector_id       uuid,
    version_id        uuid,
    name              text CHECK (length(name) BETWEEN 1 AND 500),
    storage_backend   text NOT NULL DEFAULT 'database'
                      CHECK (storage_backend IN ('local_filesystem', 'aws_s3',
                                                 'azure_blob', 'gcp_storage',
                                                 'mlflow', 'huggingface_hub',
                                                 'database', 'redis')),
    storage_path      text,
    format            text NOT NULL DEFAULT 'pickle'
                      CHECK (format IN ('pickle', 'joblib', 'onnx', 'json',
                                        'tensorflow_savedmodel',
                                        'pytorch_state_dict', 'huggingface',
                                        'mlflow_model', 'scikit_learn_pickle',
                                        'jax_params')),
    content           bytea,
    size_bytes        bigint CHECK (size_bytes >= 0),
    checksum          text CHECK (checksum ~ '^[0-9a-f]{64}$'),
    compression_type  text,
    encryption_key_id text,
    metadata_path     text,
    metadata          jsonb NOT NULL DEFAULT '{}'
                      CHECK (jsonb_typeof(metadata) = 'object'),
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, detector_id) REFERENCES pynomaly.detectors ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, version_id) REFERENCES pynomaly.model_versions ON DELETE CASCADE
);
COMMENT ON TABLE pynomaly.model_artifacts IS
'stored models, here or elsewhere';
COMMENT ON COLUMN pynomaly.model_artifacts.content IS
'bytes as they were given, compressed or encrypted where it says so; NULL where they are elsewhere';
COMMENT ON COLUMN pynomaly.model_artifacts.size_bytes IS
'of content, which a trigger measures; where the bytes are elsewhere, as it was given';
COMMENT ON COLUMN pynomaly.model_artifacts.checksum IS
'SHA-256 of the stored bytes';
ALTER TABLE pynomaly.model_artifacts ALTER COLUMN content SET STORAGE EXTERNAL;
CREATE INDEX ON pynomaly.model_artifacts (tenant_id, detector_id, created_at DESC);
CREATE INDEX ON pynomaly.model_artifacts (tenant_id, version_id);
CREATE FUNCTION pynomaly.measure_artifact()
RETURNS trigger
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.size_bytes := length(NEW.content);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION pynomaly.measure_artifact() IS
'trigger: an artifact is as large as its content is, whatever was said';
REVOKE ALL ON FUNCTION pynomaly.measure_artifact() FROM PUBLIC;
CREATE TRIGGER measure_artifact BEFORE INSERT OR UPDATE ON pynomaly.model_artifacts
    FOR EACH ROW WHEN (NEW.content IS NOT NULL) EXECUTE FUNCTION pynomaly.measure_artifact();
CREATE TRIGGER touch_updated_at BEFORE UPDATE ON pynomaly.model_artifacts
    FOR EACH ROW EXECUTE FUNCTION pynomaly.touch_updated_at();
SELECT pg_catalog.pg_extension_config_dump('pynomaly.model_artifacts', '');

-- ---------------------------------------------------------------------
-- detection
-- ---------------------------------------------------------------------

-- Partitioned by month; see partitions.sql.  The key needs created_at for that.
-- Derived columns are plain ones that a trigger fills: it reads the arrays once
-- for all of them.
CREATE TABLE pynomaly.detection_results (
    tenant_id                uuid NOT NULL REFERENCES pynomaly.tenants,
    id                       uuid NOT NULL DEFAULT gen_random_uuid(),
    detector_id              uuid NOT NULL,
    dataset_id               uuid NOT NULL,
    created_at               timestamptz NOT NULL DEFAULT now(),
    threshold                float8 NOT NULL DEFAULT 0.5,
    execution_time_ms        float8 CHECK (execution_time_ms >= 0),
    n_samples                integer NOT NULL,
    n_anomalies              integer,
    anomaly_rate             float8,
    score_min                float8,
    score_max                float8,
    score_mean               float8,
    score_median             float8,
    score_std                float8,
    score_q25                float8,
    score_q75                float8,
    has_confidence_intervals boolean NOT NULL,
    origin                   text NOT NULL DEFAULT 'platform'
                             CHECK (origin IN ('platform', 'import', 'placeholder')),
    external_id              text CHECK (length(external_id) BETWEEN 1 AND 500),
    created_by               uuid REFERENCES pynomaly.users ON DELETE SET NULL,
    metadata                 jsonb NOT NULL DEFAULT '{}'
                             CHECK (jsonb_typeof(metadata) = 'object'),
    performance_metrics      jsonb CHECK (jsonb_typeof(performance_metrics) = 'object'),
    scores                   float8[] NOT NULL DEFAULT '{}',
    labels                   smallint[],
    confidence_intervals     jsonb,
    PRIMARY KEY (tenant_id, id, created_at),
    FOREIGN KEY (tenant_id, detector_id) REFERENCES pynomaly.detectors,
    FOREIGN KEY (tenant_id, dataset_id) REFERENCES pynomaly.datasets
) PARTITION BY RANGE (created_at);
COMMENT ON TABLE pynomaly.detection_results IS
'what a detector said of a dataset: a score and a label for each sample';
COMMENT ON COLUMN pynomaly.detection_results.created_at IS
'when the detection ran; names the partition';
COMMENT ON COLUMN pynomaly.detection_results.labels IS
'1 for an anomaly, else 0; NULL where only scores are known';
COMMENT ON COLUMN pynomaly.detection_results.confidence_intervals IS
'array with one interval for each sample';
COMMENT ON COLUMN pynomaly.detection_results.n_samples IS
'derived: number of scores';
COMMENT ON COLUMN pynomaly.detection_results.n_anomalies IS
'derived: number of labels that are 1';
COMMENT ON COLUMN pynomaly.detection_results.anomaly_rate IS
'derived: n_anomalies / n_samples';
COMMENT ON COLUMN pynomaly.detection_results.score_min IS
'derived: least score';
COMMENT ON COLUMN pynomaly.detection_results.score_max IS
'derived: greatest score';
COMMENT ON COLUMN pynomaly.detection_results.score_mean IS
'derived: as avg';
COMMENT ON COLUMN pynomaly.detection_results.score_median IS
'derived: as percentile_cont(0.5)';
COMMENT ON COLUMN pynomaly.detection_results.score_std IS
'derived: as stddev_pop';
COMMENT ON COLUMN pynomaly.detection_results.score_q25 IS
'derived: as percentile_cont(0.25)';
COMMENT ON COLUMN pynomaly.detection_results.score_q75 IS
'derived: as percentile_cont(0.75)';
COMMENT ON COLUMN pynomaly.detection_results.has_confidence_intervals IS
'derived: confidence_intervals is not NULL';
ALTER TABLE pynomaly.detection_results ALTER COLUMN scores SET STORAGE EXTERNAL;
CREATE INDEX ON pynomaly.detection_results (tenant_id, detector_id, created_at DESC, id DESC);
CREATE INDEX ON pynomaly.detection_results (tenant_id, dataset_id, created_at DESC, id DESC);
CREATE TRIGGER derive_result
    BEFORE INSERT OR UPDATE OF created_at, scores, labels, confidence_intervals, n_samples,
        n_anomalies, anomaly_rate, score_min, score_max, score_mean, score_median,
        score_std, score_q25, score_q75, has_confidence_intervals
    ON pynomaly.detection_results
    FOR EACH ROW EXECUTE FUNCTION pynomaly.derive_result();

-- Partitioned like the results that they belong to.  The foreign key to the
-- result stands on each partition, see partitions.sql.
CREATE TABLE pynomaly.anomalies (
    tenant_id             uuid NOT NULL REFERENCES pynomaly.tenants,
    result_id             uuid NOT NULL,
    result_created_at     timestamptz NOT NULL,
    id                    uuid NOT NULL DEFAULT gen_random_uuid(),
    sample_index          integer CHECK (sample_index >= 0),
    score                 float8 NOT NULL CHECK (score > '-Infinity' AND score < 'Infinity'),
    severity              text NOT NULL,
    detector_name         text CHECK (length(detector_name) BETWEEN 1 AND 500),
    anomaly_type          text CHECK (anomaly_type IN ('point', 'contextual',
                                                       'collective', 'unknown')),
    confidence_score      float8,
    data_point            jsonb NOT NULL DEFAULT '{}'
                          CHECK (jsonb_typeof(data_point) = 'object'),
    feature_contributions jsonb,
    explanation           text,
    metadata              jsonb NOT NULL DEFAULT '{}'
                          CHECK (jsonb_typeof(metadata) = 'object'),
    created_at            timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, result_id, id, result_created_at)
) PARTITION BY RANGE (result_created_at);
COMMENT ON TABLE pynomaly.anomalies IS
'anomalies of a detection result, where the platform keeps more of them than label and score';
COMMENT ON COLUMN pynomaly.anomalies.result_created_at IS
'created_at of the result; names the partition';
COMMENT ON COLUMN pynomaly.anomalies.sample_index IS
'position of the sample in the result, from 0';
COMMENT ON COLUMN pynomaly.anomalies.severity IS
'derived: critical above a score of 0.9, high above 0.7, medium above 0.5, else low';
CREATE TRIGGER derive_anomaly
    BEFORE INSERT OR UPDATE OF score, severity ON pynomaly.anomalies
    FOR EACH ROW EXECUTE FUNCTION pynomaly.derive_anomaly();

CREATE TABLE pynomaly.anomaly_events (
    tenant_id         uuid NOT NULL REFERENCES pynomaly.tenants,
    id                uuid NOT NULL DEFAULT gen_random_uuid(),
    event_type        text NOT NULL
                      CHECK (event_type IN ('anomaly_detected', 'anomaly_resolved',
                                            'anomaly_escalated', 'data_quality_issue',
                                            'model_drift_detected',
                                            'performance_degradation', 'system_alert',
                                            'threshold_breach', 'pattern_change',
                                            'batch_completed', 'session_started',
                                            'session_stopped', 'custom')),
    severity          text NOT NULL DEFAULT 'info'
                      CHECK (severity IN ('info', 'low', 'medium', 'high', 'critical')),
    status            text NOT NULL DEFAULT 'pending'
                      CHECK (status IN ('pending', 'processing', 'processed', 'failed',
                                        'acknowledged', 'resolved', 'ignored')),
    title             text NOT NULL CHECK (length(title) <= 500),
    description       text,
    score             float8,
    confidence        float8,
    raw_data          jsonb NOT NULL DEFAULT '{}',
    event_time        timestamptz NOT NULL DEFAULT now(),
    ingestion_time    timestamptz NOT NULL DEFAULT now(),
    processed_at      timestamptz,
    acknowledged_at   timestamptz,
    acknowledged_by   text,
    resolved_at       timestamptz,
    resolved_by       text,
    detector_id       uuid,
    source_session_id text,
    data_source       text,
    correlation_id    text,
    parent_event_id   uuid,
    tags              text[] NOT NULL DEFAULT '{}',
    metadata          jsonb NOT NULL DEFAULT '{}'
                      CHECK (jsonb_typeof(metadata) = 'object'),
    external_id       text CHECK (length(external_id) BETWEEN 1 AND 500),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, detector_id) REFERENCES pynomaly.detectors
        ON DELETE SET NULL (detector_id),
    FOREIGN KEY (tenant_id, parent_event_id) REFERENCES pynomaly.anomaly_events
        ON DELETE SET NULL (parent_event_id)
);
COMMENT ON TABLE pynomaly.anomaly_events IS
'events of the streaming side of the platform';
CREATE INDEX ON pynomaly.anomaly_events (tenant_id, detector_id);
CREATE INDEX ON pynomaly.anomaly_events (tenant_id, parent_event_id);
SELECT pg_catalog.pg_extension_config_dump('pynomaly.anomaly_events', '');

CREATE TABLE pynomaly.alerts (
    tenant_id       uuid NOT NULL REFERENCES pynomaly.tenants,
    id              uuid NOT NULL DEFAULT gen_random_uuid(),
    name            text NOT NULL CHECK (length(name) BETWEEN 1 AND 500),
    message         text NOT NULL DEFAULT '',
    severity        text NOT NULL DEFAULT 'medium'
                    CHECK (severity IN ('info', 'low', 'medium', 'high', 'critical')),
    status          text NOT NULL DEFAULT 'open'
                    CHECK (status IN ('open', 'acknowledged', 'resolved', 'ignored')),
    source          text,
    event_id        uuid,
    detector_id     uuid,
    details         jsonb NOT NULL DEFAULT '{}'
                    CHECK (jsonb_typeof(details) = 'object'),
    raised_at       timestamptz NOT NULL DEFAULT now(),
    acknowledged_at timestamptz,
    acknowledged_by text,
    resolved_at     timestamptz,
    resolved_by     text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, event_id) REFERENCES pynomaly.anomaly_events
        ON DELETE SET NULL (event_id),
    FOREIGN KEY (tenant_id, detector_id) REFERENCES pynomaly.detectors
        ON DELETE SET NULL (detector_id)
);
COMMENT ON TABLE pynomaly.alerts IS
'what somebody has to look at, until it is resolved';
CREATE INDEX ON pynomaly.alerts (tenant_id, event_id);
CREATE INDEX ON pynomaly.alerts (tenant_id, detector_id);
CREATE TRIGGER touch_updated_at BEFORE UPDATE ON pynomaly.alerts
    FOR EACH ROW EXECUTE FUNCTION pynomaly.touch_updated_at();
SELECT pg_catalog.pg_extension_config_dump('pynomaly.alerts', '');

-- ---------------------------------------------------------------------
-- experiments and training
-- ---------------------------------------------------------------------

CREATE TABLE pynomaly.experiments (
    tenant_id           uuid NOT NULL REFERENCES pynomaly.tenants,
    id                  uuid NOT NULL DEFAULT gen_random_uuid(),
    name                text NOT NULL CHECK (length(name) BETWEEN 1 AND 500),
    description         text,
    experiment_type     text
                        CHECK (experiment_type IN ('algorithm_comparison',
                               'hyperparameter_tuning', 'feature_engineering',
                               'data_preprocessing', 'ensemble_analysis',
                               'cross_validation', 'a_b_testing',
                               'performance_analysis')),
    status              text NOT NULL DEFAULT 'draft'
                        CHECK (status IN ('draft', 'running', 'completed', 'failed',
                                          'cancelled', 'archived', 'active')),
    objective           text,
    tags                text[] NOT NULL DEFAULT '{}',
    dataset_ids         uuid[] NOT NULL DEFAULT '{}',
    metrics_to_optimize jsonb NOT NULL DEFAULT '[]'
                        CHECK (jsonb_typeof(metrics_to_optimize) = 'array'),
    baseline_run_id     uuid,
    best_run_id         uuid,
    parameters          jsonb NOT NULL DEFAULT '{}'
                        CHECK (jsonb_typeof(parameters) = 'object'),
    metadata            jsonb NOT NULL DEFAULT '{}'
                        CHECK (jsonb_typeof(metadata) = 'object'),
    created_by          text,
    started_at          timestamptz,
    completed_at        timestamptz,
    external_id         text CHECK (length(external_id) BETWEEN 1 AND 500),
    origin              text NOT NULL DEFAULT 'platform'
                        CHECK (origin IN ('platform', 'import', 'placeholder')),
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE pynomaly.experiments IS
'series of runs that are compared with each other';
COMMENT ON COLUMN pynomaly.experiments.baseline_run_id IS
'run of this experiment; not a foreign key, as the runs refer to the experiment';
COMMENT ON COLUMN pynomaly.experiments.best_run_id IS
'run of this experiment; not a foreign key, as the runs refer to the experiment';
CREATE TRIGGER touch_updated_at BEFORE UPDATE ON pynomaly.experiments
    FOR EACH ROW EXECUTE FUNCTION pynomaly.touch_updated_at();
SELECT pg_catalog.pg_extension_config_dump('pynomaly.experiments', '');

CREATE TABLE pynomaly.experiment_runs (
    tenant_id     uuid NOT NULL,
    id            uuid NOT NULL DEFAULT gen_random_uuid(),
    experiment_id uuid NOT NULL,
    name          text CHECK (length(name) BETWEEN 1 AND 500),
    detector_id   uuid,
    detector_name text CHECK (length(detector_name) <= 500),
    dataset_id    uuid,
    dataset_name  text CHECK (length(dataset_name) <= 500),
    status        text,
    parameters    jsonb NOT NULL DEFAULT '{}'
                  CHECK (jsonb_typeof(parameters) = 'object'),
    metrics       jsonb NOT NULL DEFAULT '{}'
                  CHECK (jsonb_typeof(metrics) = 'object'),
    artifacts     jsonb NOT NULL DEFAULT '{}'
                  CHECK (jsonb_typeof(artifacts) = 'object'),
    metadata      jsonb NOT NULL DEFAULT '{}'
                  CHECK (jsonb_typeof(metadata) = 'object'),
    error_message text,
    started_at    timestamptz,
    completed_at  timestamptz,
    external_id   text CHECK (length(external_id) BETWEEN 1 AND 500),
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, experiment_id) REFERENCES pynomaly.experiments ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, detector_id) REFERENCES pynomaly.detectors
        ON DELETE SET NULL (detector_id),
    FOREIGN KEY (tenant_id, dataset_id) REFERENCES pynomaly.datasets
        ON DELETE SET NULL (dataset_id)
);
COMMENT ON TABLE pynomaly.experiment_runs IS
'one run of an experiment, with its parameters and metrics';
COMMENT ON COLUMN pynomaly.experiment_runs.detector_name IS
'name by which the platform refers to the detector, which need not exist';
CREATE INDEX ON pynomaly.experiment_runs (tenant_id, experiment_id, created_at DESC);
CREATE INDEX ON pynomaly.experiment_runs (tenant_id, detector_id);
CREATE INDEX ON pynomaly.experiment_runs (tenant_id, dataset_id);
SELECT pg_catalog.pg_extension_config_dump('pynomaly.experiment_runs', '');

CREATE TABLE pynomaly.training_jobs (
    tenant_id              uuid NOT NULL REFERENCES pynomaly.tenants,
    id                     uuid NOT NULL DEFAULT gen_random_uuid(),
    name                   text CHECK (length(name) <= 500),
    description            text,
    detector_id            uuid,
    dataset_id             uuid,
    experiment_id          uuid,
    study_id               text CHECK (length(study_id) <= 500),
    algorithms             text[] NOT NULL DEFAULT '{}',
    config                 jsonb CHECK (jsonb_typeof(config) = 'object'),
    priority               text NOT NULL DEFAULT 'normal'
                           CHECK (priority IN ('low', 'normal', 'high', 'urgent')),
    status                 text NOT NULL DEFAULT 'pending'
                           CHECK (status IN ('pending', 'running', 'completed',
                                             'failed', 'cancelled', 'paused')),
    progress               float8 NOT NULL DEFAULT 0,
    current_algorithm      text,
    current_trial          integer,
    algorithm_results      jsonb NOT NULL DEFAULT '[]'
                           CHECK (jsonb_typeof(algorithm_results) = 'array'),
    best_model_id          text,
    best_algorithm         text,
    best_score             float8,
    best_parameters        jsonb,
    final_metrics          jsonb,
    resource_usage         jsonb,
    total_trials           integer,
    successful_trials      integer,
    failed_trials          integer,
    execution_time_seconds float8,
    model_path             text,
    worker_id              text,
    gpu_ids                jsonb NOT NULL DEFAULT '[]'
                           CHECK (jsonb_typeof(gpu_ids) = 'array'),
    error_message          text,
    error_details          jsonb NOT NULL DEFAULT '{}'
                           CHECK (jsonb_typeof(error_details) = 'object'),
    retry_count            integer NOT NULL DEFAULT 0,
    max_retries            integer NOT NULL DEFAULT 3,
    tags                   text[] NOT NULL DEFAULT '{}',
    user_id                text,
    parent_job_id          uuid,
    metadata               jsonb NOT NULL DEFAULT '{}'
                           CHECK (jsonb_typeof(metadata) = 'object'),
    started_at             timestamptz,
    completed_at           timestamptz,
    estimated_completion   timestamptz,
    external_id            text CHECK (length(external_id) BETWEEN 1 AND 500),
    origin                 text NOT NULL DEFAULT 'platform'
                           CHECK (origin IN ('platform', 'import', 'placeholder')),
    created_at             timestamptz NOT NULL DEFAULT now(),
    updated_at             timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, detector_id) REFERENCES pynomaly.detectors
        ON DELETE SET NULL (detector_id),
    FOREIGN KEY (tenant_id, dataset_id) REFERENCES pynomaly.datasets
        ON DELETE SET NULL (dataset_id),
    FOREIGN KEY (tenant_id, experiment_id) REFERENCES pynomaly.experiments
        ON DELETE SET NULL (experiment_id),
    FOREIGN KEY (tenant_id, parent_job_id) REFERENCES pynomaly.training_jobs
        ON DELETE SET NULL (parent_job_id)
);
COMMENT ON TABLE pynomaly.training_jobs IS
'training of one or more algorithms on a dataset; child jobs name their parent';
COMMENT ON COLUMN pynomaly.training_jobs.user_id IS
'name that the platform gave, not always that of a user';
CREATE INDEX ON pynomaly.training_jobs (tenant_id, detector_id, created_at DESC);
CREATE INDEX ON pynomaly.training_jobs (tenant_id, dataset_id, created_at DESC);
CREATE INDEX ON pynomaly.training_jobs (tenant_id, experiment_id);
CREATE INDEX ON pynomaly.training_jobs (tenant_id, parent_job_id);
CREATE TRIGGER touch_updated_at BEFORE UPDATE ON pynomaly.training_jobs
    FOR EACH ROW EXECUTE FUNCTION pynomaly.touch_updated_at();
SELECT pg_catalog.pg_extension_config_dump('pynomaly.training_jobs', '');

CREATE TABLE pynomaly.training_trials (
    tenant_id           uuid NOT NULL REFERENCES pynomaly.tenants,
    id                  uuid NOT NULL DEFAULT gen_random_uuid(),
    job_id              uuid,
    study_id            text CHECK (length(study_id) <= 500),
    trial_id            bigint,
    number              integer,
    parameters          jsonb NOT NULL DEFAULT '{}'
                        CHECK (jsonb_typeof(parameters) = 'object'),
    score               float8,
    objective_values    jsonb,
    status              text,
    state               text,
    cv_scores           float8[],
    intermediate_values jsonb,
    resource_usage      jsonb,
    error_message       text,
    pruned_at_step      integer,
    started_at          timestamptz,
    completed_at        timestamptz,
    duration_seconds    float8,
    metadata            jsonb NOT NULL DEFAULT '{}'
                        CHECK (jsonb_typeof(metadata) = 'object'),
    created_at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, job_id) REFERENCES pynomaly.training_jobs ON DELETE CASCADE
);
COMMENT ON TABLE pynomaly.training_trials IS
'one set of parameters that a training job, or a study, has tried';
CREATE INDEX ON pynomaly.training_trials (tenant_id, job_id, started_at);
CREATE INDEX ON pynomaly.training_trials (tenant_id, study_id, started_at);
SELECT pg_catalog.pg_extension_config_dump('pynomaly.training_trials', '');

-- ---------------------------------------------------------------------
-- reports and provenance
-- ---------------------------------------------------------------------

CREATE TABLE pynomaly.reports (
    tenant_id    uuid NOT NULL REFERENCES pynomaly.tenants,
    id           uuid NOT NULL DEFAULT gen_random_uuid(),
    title        text NOT NULL CHECK (length(title) BETWEEN 1 AND 500),
    report_type  text,
    format       text,
    parameters   jsonb NOT NULL DEFAULT '{}'
                 CHECK (jsonb_typeof(parameters) = 'object'),
    body         jsonb,
    content      bytea,
    period_start timestamptz,
    period_end   timestamptz,
    metadata     jsonb NOT NULL DEFAULT '{}'
                 CHECK (jsonb_typeof(metadata) = 'object'),
    created_by   text,
    external_id  text CHECK (length(external_id) BETWEEN 1 AND 500),
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE pynomaly.reports IS
'reports that the platform has made';
COMMENT ON COLUMN pynomaly.reports.body IS
'the report as data';
COMMENT ON COLUMN pynomaly.reports.content IS
'the report as a file, in the format that it says';
SELECT pg_catalog.pg_extension_config_dump('pynomaly.reports', '');

CREATE TABLE pynomaly.data_lineage (
    tenant_id         uuid NOT NULL REFERENCES pynomaly.tenants,
    id                uuid NOT NULL DEFAULT gen_random_uuid(),
    source_type       text NOT NULL CHECK (length(source_type) BETWEEN 1 AND 100),
    source_id         text NOT NULL CHECK (length(source_id) BETWEEN 1 AND 500),
    target_type       text NOT NULL CHECK (length(target_type) BETWEEN 1 AND 100),
    target_id         text NOT NULL CHECK (length(target_id) BETWEEN 1 AND 500),
    relationship_type text NOT NULL CHECK (length(relationship_type) BETWEEN 1 AND 100),
    metadata          jsonb NOT NULL DEFAULT '{}'
                      CHECK (jsonb_typeof(metadata) = 'object'),
    created_by        text,
    created_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE pynomaly.data_lineage IS
'what was made of what';
CREATE INDEX ON pynomaly.data_lineage (tenant_id, source_type, source_id);
CREATE INDEX ON pynomaly.data_lineage (tenant_id, target_type, target_id);
SELECT pg_catalog.pg_extension_config_dump('pynomaly.data_lineage', '');

CREATE TABLE pynomaly.security_events (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id   uuid REFERENCES pynomaly.tenants,
    user_id     uuid REFERENCES pynomaly.users ON DELETE SET NULL,
    event_type  text NOT NULL CHECK (length(event_type) BETWEEN 1 AND 100),
    severity    text NOT NULL
                CHECK (severity IN ('low', 'medium', 'high', 'critical')),
    description text,
    ip_address  inet,
    user_agent  text,
    details     jsonb NOT NULL DEFAULT '{}'
                CHECK (jsonb_typeof(details) = 'object'),
    created_at  timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    resolved_by uuid REFERENCES pynomaly.users ON DELETE SET NULL
);
COMMENT ON TABLE pynomaly.security_events IS
'what somebody who guards the platform should know of';
COMMENT ON COLUMN pynomaly.security_events.tenant_id IS
'tenant that it happened in, NULL for the platform itself';
CREATE INDEX ON pynomaly.security_events (tenant_id, created_at DESC);
CREATE INDEX ON pynomaly.security_events (user_id);
CREATE INDEX ON pynomaly.security_events (resolved_by);
SELECT pg_catalog.pg_extension_config_dump('pynomaly.security_events', '');
