-- ---------------------------------------------------------------------
-- store: tenants, and the tenant that a session works for
-- ---------------------------------------------------------------------

-- The current tenant is the setting pynomaly_store.tenant.  These being C that
-- look no name up (set_tenant qualifies its one table), current_tenant needs no
-- search_path of its own, which would make each row of a scan slower.

CREATE FUNCTION pynomaly.current_tenant_support(internal)
RETURNS internal
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_store_current_tenant_support';
COMMENT ON FUNCTION pynomaly.current_tenant_support(internal) IS
'support function of current_tenant(), see src/store/estimates.c';
REVOKE ALL ON FUNCTION pynomaly.current_tenant_support(internal) FROM PUBLIC;

CREATE FUNCTION pynomaly.current_tenant()
RETURNS uuid
LANGUAGE c STABLE PARALLEL SAFE LEAKPROOF
SUPPORT pynomaly.current_tenant_support
AS 'MODULE_PATHNAME', 'pns_store_current_tenant';
COMMENT ON FUNCTION pynomaly.current_tenant() IS
'tenant that this session works for, NULL where none is set';

CREATE FUNCTION pynomaly.set_tenant(tenant uuid, is_local boolean DEFAULT true)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_store_set_tenant';
COMMENT ON FUNCTION pynomaly.set_tenant(uuid, boolean) IS
'makes a tenant the current one for this transaction, or for the session where is_local is false; NULL for none';
REVOKE ALL ON FUNCTION pynomaly.set_tenant(uuid, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.set_tenant(uuid, boolean)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

-- The triggers that keep rows right, see src/store/derive.c.

CREATE FUNCTION pynomaly.touch_updated_at()
RETURNS trigger
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_store_touch_updated_at';
COMMENT ON FUNCTION pynomaly.touch_updated_at() IS
'trigger: sets updated_at where an UPDATE does not set it itself';
REVOKE ALL ON FUNCTION pynomaly.touch_updated_at() FROM PUBLIC;

CREATE FUNCTION pynomaly.protect_shipped_rows()
RETURNS trigger
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_store_protect_shipped_rows';
COMMENT ON FUNCTION pynomaly.protect_shipped_rows() IS
'trigger: only the extension''s scripts write rows marked is_system';
REVOKE ALL ON FUNCTION pynomaly.protect_shipped_rows() FROM PUBLIC;

CREATE FUNCTION pynomaly.derive_result()
RETURNS trigger
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_store_derive_result';
COMMENT ON FUNCTION pynomaly.derive_result() IS
'trigger: checks a result''s scores and labels and computes its statistics';
REVOKE ALL ON FUNCTION pynomaly.derive_result() FROM PUBLIC;

CREATE FUNCTION pynomaly.derive_anomaly()
RETURNS trigger
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_store_derive_anomaly';
COMMENT ON FUNCTION pynomaly.derive_anomaly() IS
'trigger: derives an anomaly''s severity from its score';
REVOKE ALL ON FUNCTION pynomaly.derive_anomaly() FROM PUBLIC;

CREATE TABLE pynomaly.tenants (
    id                uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name              text NOT NULL CHECK (length(name) BETWEEN 1 AND 500),
    display_name      text CHECK (length(display_name) <= 500),
    description       text,
    domain            text UNIQUE CHECK (length(domain) BETWEEN 1 AND 500),
    plan              text NOT NULL DEFAULT 'free'
                      CHECK (plan IN ('free', 'starter', 'basic', 'standard',
                                      'professional', 'premium', 'enterprise',
                                      'custom')),
    status            text NOT NULL DEFAULT 'active'
                      CHECK (status IN ('active', 'trial', 'suspended', 'expired',
                                        'inactive', 'pending', 'deactivated',
                                        'pending_activation', 'archived',
                                        'deleted')),
    limits            jsonb NOT NULL DEFAULT '{}'
                      CHECK (jsonb_typeof(limits) = 'object'),
    isolation_level   text,
    parent_tenant_id  uuid REFERENCES pynomaly.tenants,
    admin_user_id     uuid,     -- references users, added in tables.sql
    contact_email     text,
    billing_email     text,
    billing_contact   text,
    activated_at      timestamptz,
    expires_at        timestamptz,
    last_activity     timestamptz,
    last_billing_date timestamptz,
    settings          jsonb NOT NULL DEFAULT '{}'
                      CHECK (jsonb_typeof(settings) = 'object'),
    tags              text[] NOT NULL DEFAULT '{}',
    metadata          jsonb NOT NULL DEFAULT '{}'
                      CHECK (jsonb_typeof(metadata) = 'object'),
    external_id       text CHECK (length(external_id) BETWEEN 1 AND 500),
    origin            text NOT NULL DEFAULT 'platform'
                      CHECK (origin IN ('platform', 'import', 'placeholder')),
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE pynomaly.tenants IS
'organisations that share the platform; every row they own carries their id';
COMMENT ON COLUMN pynomaly.tenants.limits IS
'what differs from the limits of the plan';
COMMENT ON COLUMN pynomaly.tenants.external_id IS
'identifier in the system that the row was imported from';
COMMENT ON COLUMN pynomaly.tenants.origin IS
'platform, import, or placeholder: made for an imported row whose parent was missing';
CREATE INDEX ON pynomaly.tenants (parent_tenant_id);
CREATE INDEX ON pynomaly.tenants (admin_user_id);
CREATE TRIGGER touch_updated_at BEFORE UPDATE ON pynomaly.tenants
    FOR EACH ROW EXECUTE FUNCTION pynomaly.touch_updated_at();
SELECT pg_catalog.pg_extension_config_dump('pynomaly.tenants', '');
