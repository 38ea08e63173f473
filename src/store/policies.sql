-- ---------------------------------------------------------------------
-- store: who may do what with which rows
-- ---------------------------------------------------------------------

-- Each table of a tenant's rows has forced row-level security with two
-- policies: everybody sees and writes the rows of the current tenant, and no
-- rows where none is set; pynomaly_admin those of all tenants.  The comparison
-- is written so that an index on tenant_id serves it.
--
-- Privileges are given table by table.  Nobody but the owner may TRUNCATE,
-- which policies do not restrict, and partitions have no privileges of their
-- own: they are reached through their parent.

-- ---------------------------------------------------------------------
-- the tenant itself
-- ---------------------------------------------------------------------

ALTER TABLE pynomaly.tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE pynomaly.tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON pynomaly.tenants
    USING (id = pynomaly.current_tenant());
CREATE POLICY admin_access ON pynomaly.tenants TO pynomaly_admin
    USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON pynomaly.tenants TO pynomaly_admin;
GRANT SELECT, UPDATE (display_name, description, contact_email, billing_email,
                      billing_contact, settings, tags, metadata, last_activity)
    ON pynomaly.tenants TO pynomaly_app;
GRANT SELECT ON pynomaly.tenants TO pynomaly_readonly;

-- ---------------------------------------------------------------------
-- people: written by the functions of access.sql, and by pynomaly_admin; what
-- proves an identity is read by neither the back end nor an analyst
-- ---------------------------------------------------------------------

ALTER TABLE pynomaly.users ENABLE ROW LEVEL SECURITY;
ALTER TABLE pynomaly.users FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON pynomaly.users
    USING (EXISTS (SELECT FROM pynomaly.user_tenant_roles g
                   WHERE g.tenant_id = pynomaly.current_tenant()
                     AND g.user_id = users.id));
CREATE POLICY admin_access ON pynomaly.users TO pynomaly_admin
    USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON pynomaly.users TO pynomaly_admin;
GRANT SELECT (id, email, username, first_name, last_name, display_name, status,
              auth_provider, password_changed_at, failed_login_attempts,
              last_failed_login_at, locked_until, two_factor_enabled,
              last_login_at, email_verified_at, settings, metadata, external_id,
              origin, created_at, updated_at)
    ON pynomaly.users TO pynomaly_app;
GRANT SELECT (id, email, username, first_name, last_name, display_name, status,
              created_at, updated_at)
    ON pynomaly.users TO pynomaly_readonly;

-- Roles and permissions belong to no tenant.
GRANT SELECT, INSERT, UPDATE, DELETE
    ON pynomaly.roles, pynomaly.permissions, pynomaly.role_permissions TO pynomaly_admin;
GRANT SELECT
    ON pynomaly.roles, pynomaly.permissions, pynomaly.role_permissions
    TO pynomaly_app, pynomaly_readonly;

ALTER TABLE pynomaly.user_tenant_roles ENABLE ROW LEVEL SECURITY;
ALTER TABLE pynomaly.user_tenant_roles FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON pynomaly.user_tenant_roles
    USING (tenant_id = pynomaly.current_tenant());
CREATE POLICY admin_access ON pynomaly.user_tenant_roles TO pynomaly_admin
    USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON pynomaly.user_tenant_roles TO pynomaly_admin;
GRANT SELECT ON pynomaly.user_tenant_roles TO pynomaly_app, pynomaly_readonly;

ALTER TABLE pynomaly.api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE pynomaly.api_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON pynomaly.api_keys
    USING (tenant_id = pynomaly.current_tenant());
CREATE POLICY admin_access ON pynomaly.api_keys TO pynomaly_admin
    USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON pynomaly.api_keys TO pynomaly_admin;
GRANT SELECT (tenant_id, id, user_id, name, key_prefix, permissions, is_active,
              rate_limit_per_minute, usage_count, last_used_at, expires_at,
              metadata, created_at)
    ON pynomaly.api_keys TO pynomaly_app;

ALTER TABLE pynomaly.sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE pynomaly.sessions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON pynomaly.sessions
    USING (tenant_id = pynomaly.current_tenant());
CREATE POLICY admin_access ON pynomaly.sessions TO pynomaly_admin
    USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON pynomaly.sessions TO pynomaly_admin;
GRANT SELECT (tenant_id, id, user_id, created_at, expires_at, last_activity,
              is_active, ip_address, user_agent, metadata)
    ON pynomaly.sessions TO pynomaly_app;

ALTER TABLE pynomaly.security_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE pynomaly.security_events FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON pynomaly.security_events
    USING (tenant_id = pynomaly.current_tenant());
CREATE POLICY admin_access ON pynomaly.security_events TO pynomaly_admin
    USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON pynomaly.security_events TO pynomaly_admin;
-- not the id, which would tell that another tenant's event has it
GRANT SELECT, INSERT (tenant_id, user_id, event_type, severity, description, ip_address,
                      user_agent, details, created_at, resolved_at, resolved_by)
    ON pynomaly.security_events TO pynomaly_app;

-- ---------------------------------------------------------------------
-- the tenant's work
-- ---------------------------------------------------------------------

ALTER TABLE pynomaly.datasets ENABLE ROW LEVEL SECURITY;
ALTER TABLE pynomaly.datasets FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON pynomaly.datasets
    USING (tenant_id = pynomaly.current_tenant());
CREATE POLICY admin_access ON pynomaly.datasets TO pynomaly_admin
    USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON pynomaly.datasets TO pynomaly_admin, pynomaly_app;
GRANT SELECT ON pynomaly.datasets TO pynomaly_readonly;

ALTER TABLE pynomaly.dataset_contents ENABLE ROW LEVEL SECURITY;
ALTER TABLE pynomaly.dataset_contents FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON pynomaly.dataset_contents
    USING (tenant_id = pynomaly.current_tenant());
CREATE POLICY admin_access ON pynomaly.dataset_contents TO pynomaly_admin
    USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON pynomaly.dataset_contents TO pynomaly_admin, pynomaly_app;
GRANT SELECT ON pynomaly.dataset_contents TO pynomaly_readonly;

ALTER TABLE pynomaly.detectors ENABLE ROW LEVEL SECURITY;
ALTER TABLE pynomaly.detectors FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON pynomaly.detectors
    USING (tenant_id = pynomaly.current_tenant());
CREATE POLICY admin_access ON pynomaly.detectors TO pynomaly_admin
    USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON pynomaly.detectors TO pynomaly_admin, pynomaly_app;
GRANT SELECT ON pynomaly.detectors TO pynomaly_readonly;

ALTER TABLE pynomaly.models ENABLE ROW LEVEL SECURITY;
ALTER TABLE pynomaly.models FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON pynomaly.models
    USING (tenant_id = pynomaly.current_tenant());
CREATE POLICY admin_access ON pynomaly.models TO pynomaly_admin
    USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON pynomaly.models TO pynomaly_admin, pynomaly_app;
GRANT SELECT ON pynomaly.models TO pynomaly_readonly;

ALTER TABLE pynomaly.model_versions ENABLE ROW LEVEL SECURITY;
ALTER TABLE pynomaly.model_versions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON pynomaly.model_versions
    USING (tenant_id = pynomaly.current_tenant());
CREATE POLICY admin_access ON pynomaly.model_versions TO pynomaly_admin
    USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON pynomaly.model_versions TO pynomaly_admin, pynomaly_app;
GRANT SELECT ON pynomaly.model_versions TO pynomaly_readonly;

ALTER TABLE pynomaly.model_artifacts ENABLE ROW LEVEL SECURITY;
ALTER TABLE pynomaly.model_artifacts FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON pynomaly.model_artifacts
    USING (tenant_id = pynomaly.current_tenant());
CREATE POLICY admin_access ON pynomaly.model_artifacts TO pynomaly_admin
    USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON pynomaly.model_artifacts TO pynomaly_admin, pynomaly_app;
GRANT SELECT ON pynomaly.model_artifacts TO pynomaly_readonly;

ALTER TABLE pynomaly.detection_results ENABLE ROW LEVEL SECURITY;
ALTER TABLE pynomaly.detection_results FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON pynomaly.detection_results
    USING (tenant_id = pynomaly.current_tenant());
CREATE POLICY admin_access ON pynomaly.detection_results TO pynomaly_admin
    USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON pynomaly.detection_results TO pynomaly_admin, pynomaly_app;
GRANT SELECT ON pynomaly.detection_results TO pynomaly_readonly;

ALTER TABLE pynomaly.anomalies ENABLE ROW LEVEL SECURITY;
ALTER TABLE pynomaly.anomalies FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON pynomaly.anomalies
    USING (tenant_id = pynomaly.current_tenant());
CREATE POLICY admin_access ON pynomaly.anomalies TO pynomaly_admin
    USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON pynomaly.anomalies TO pynomaly_admin, pynomaly_app;
GRANT SELECT ON pynomaly.anomalies TO pynomaly_readonly;

ALTER TABLE pynomaly.anomaly_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE pynomaly.anomaly_events FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON pynomaly.anomaly_events
    USING (tenant_id = pynomaly.current_tenant());
CREATE POLICY admin_access ON pynomaly.anomaly_events TO pynomaly_admin
    USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON pynomaly.anomaly_events TO pynomaly_admin, pynomaly_app;
GRANT SELECT ON pynomaly.anomaly_events TO pynomaly_readonly;

ALTER TABLE pynomaly.alerts ENABLE ROW LEVEL SECURITY;
ALTER TABLE pynomaly.alerts FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON pynomaly.alerts
    USING (tenant_id = pynomaly.current_tenant());
CREATE POLICY admin_access ON pynomaly.alerts TO pynomaly_admin
    USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON pynomaly.alerts TO pynomaly_admin, pynomaly_app;
GRANT SELECT ON pynomaly.alerts TO pynomaly_readonly;

ALTER TABLE pynomaly.experiments ENABLE ROW LEVEL SECURITY;
ALTER TABLE pynomaly.experiments FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON pynomaly.experiments
    USING (tenant_id = pynomaly.current_tenant());
CREATE POLICY admin_access ON pynomaly.experiments TO pynomaly_admin
    USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON pynomaly.experiments TO pynomaly_admin, pynomaly_app;
GRANT SELECT ON pynomaly.experiments TO pynomaly_readonly;

ALTER TABLE pynomaly.experiment_runs ENABLE ROW LEVEL SECURITY;
ALTER TABLE pynomaly.experiment_runs FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON pynomaly.experiment_runs
    USING (tenant_id = pynomaly.current_tenant());
CREATE POLICY admin_access ON pynomaly.experiment_runs TO pynomaly_admin
    USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON pynomaly.experiment_runs TO pynomaly_admin, pynomaly_app;
GRANT SELECT ON pynomaly.experiment_runs TO pynomaly_readonly;

ALTER TABLE pynomaly.training_jobs ENABLE ROW LEVEL SECURITY;
ALTER TABLE pynomaly.training_jobs FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON pynomaly.training_jobs
    USING (tenant_id = pynomaly.current_tenant());
CREATE POLICY admin_access ON pynomaly.training_jobs TO pynomaly_admin
    USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON pynomaly.training_jobs TO pynomaly_admin, pynomaly_app;
GRANT SELECT ON pynomaly.training_jobs TO pynomaly_readonly;

ALTER TABLE pynomaly.training_trials ENABLE ROW LEVEL SECURITY;
ALTER TABLE pynomaly.training_trials FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON pynomaly.training_trials
    USING (tenant_id = pynomaly.current_tenant());
CREATE POLICY admin_access ON pynomaly.training_trials TO pynomaly_admin
    USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON pynomaly.training_trials TO pynomaly_admin, pynomaly_app;
GRANT SELECT ON pynomaly.training_trials TO pynomaly_readonly;

ALTER TABLE pynomaly.reports ENABLE ROW LEVEL SECURITY;
ALTER TABLE pynomaly.reports FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON pynomaly.reports
    USING (tenant_id = pynomaly.current_tenant());
CREATE POLICY admin_access ON pynomaly.reports TO pynomaly_admin
    USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON pynomaly.reports TO pynomaly_admin, pynomaly_app;
GRANT SELECT ON pynomaly.reports TO pynomaly_readonly;

ALTER TABLE pynomaly.data_lineage ENABLE ROW LEVEL SECURITY;
ALTER TABLE pynomaly.data_lineage FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON pynomaly.data_lineage
    USING (tenant_id = pynomaly.current_tenant());
CREATE POLICY admin_access ON pynomaly.data_lineage TO pynomaly_admin
    USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON pynomaly.data_lineage TO pynomaly_admin, pynomaly_app;
GRANT SELECT ON pynomaly.data_lineage TO pynomaly_readonly;

-- ---------------------------------------------------------------------
-- the tenant's settings
-- ---------------------------------------------------------------------

ALTER TABLE pynomaly.tenant_settings ENABLE ROW LEVEL SECURITY;
ALTER TABLE pynomaly.tenant_settings FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON pynomaly.tenant_settings
    USING (tenant_id = pynomaly.current_tenant());
CREATE POLICY admin_access ON pynomaly.tenant_settings TO pynomaly_admin
    USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON pynomaly.tenant_settings
    TO pynomaly_admin, pynomaly_app;
GRANT SELECT ON pynomaly.tenant_settings TO pynomaly_readonly;

-- ---------------------------------------------------------------------
-- the audit log, which is written by triggers only
-- ---------------------------------------------------------------------

ALTER TABLE pynomaly.audit_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE pynomaly.audit_log FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON pynomaly.audit_log
    USING (tenant_id = pynomaly.current_tenant());
CREATE POLICY admin_access ON pynomaly.audit_log TO pynomaly_admin
    USING (true);
GRANT SELECT ON pynomaly.audit_log TO pynomaly_admin, pynomaly_app, pynomaly_readonly;
GRANT SELECT ON pynomaly.audit_blocks TO pynomaly_admin;

-- ---------------------------------------------------------------------
-- invitations, written by the functions of access.sql
-- ---------------------------------------------------------------------

ALTER TABLE pynomaly.invitations ENABLE ROW LEVEL SECURITY;
ALTER TABLE pynomaly.invitations FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON pynomaly.invitations
    USING (tenant_id = pynomaly.current_tenant());
CREATE POLICY admin_access ON pynomaly.invitations TO pynomaly_admin
    USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON pynomaly.invitations TO pynomaly_admin;
GRANT SELECT (tenant_id, id, email, role, invited_by, created_at, expires_at,
              accepted_at, accepted_by, revoked_at)
    ON pynomaly.invitations TO pynomaly_app;

-- ---------------------------------------------------------------------
-- what is counted for quotas, written by the triggers of quotas.sql
-- ---------------------------------------------------------------------

ALTER TABLE pynomaly.tenant_usage ENABLE ROW LEVEL SECURITY;
ALTER TABLE pynomaly.tenant_usage FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON pynomaly.tenant_usage
    USING (tenant_id = pynomaly.current_tenant());
CREATE POLICY admin_access ON pynomaly.tenant_usage TO pynomaly_admin
    USING (true);
GRANT SELECT ON pynomaly.tenant_usage TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

ALTER TABLE pynomaly.running_detections ENABLE ROW LEVEL SECURITY;
ALTER TABLE pynomaly.running_detections FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON pynomaly.running_detections
    USING (tenant_id = pynomaly.current_tenant());
CREATE POLICY admin_access ON pynomaly.running_detections TO pynomaly_admin
    USING (true);
GRANT SELECT ON pynomaly.running_detections TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

ALTER TABLE pynomaly.usage_changes ENABLE ROW LEVEL SECURITY;
ALTER TABLE pynomaly.usage_changes FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON pynomaly.usage_changes
    USING (tenant_id = pynomaly.current_tenant());
CREATE POLICY admin_access ON pynomaly.usage_changes TO pynomaly_admin
    USING (true);

-- ---------------------------------------------------------------------
-- who is named in a row
-- ---------------------------------------------------------------------

-- Foreign keys to users are not bound to the tenant, as users are not, and are
-- checked with the owner's rights: alone, they would tell whether an id belongs to
-- some user of the platform.  So whoever writes a row may name in it the users that
-- he sees; another one gives the error of the foreign key, whether he is there or
-- not.  A row keeps the name of a user who has left the tenant.
CREATE FUNCTION pynomaly.demand_visible_user()
RETURNS trigger
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    named uuid;
    was uuid;               -- NULL for a new row
BEGIN
    IF tg_argv[0] = 'created_by' THEN
        named := new.created_by;
        was := old.created_by;
    ELSIF tg_argv[0] = 'user_id' THEN
        named := new.user_id;
        was := old.user_id;
    ELSE
        named := new.resolved_by;
        was := old.resolved_by;
    END IF;
    -- A policy refuses a row of another tenant, whomever it names.
    IF named IS DISTINCT FROM was AND new.tenant_id = pynomaly.current_tenant()
       AND NOT EXISTS (SELECT FROM pynomaly.users u WHERE u.id = named) THEN
        RAISE EXCEPTION 'insert or update on table "%" violates foreign key constraint "%_%_fkey"',
                        tg_argv[1], tg_argv[1], tg_argv[0]
            USING ERRCODE = 'foreign_key_violation',
                  DETAIL = format('Key (%s)=(%s) is not present in table "users".', tg_argv[0], named);
    END IF;
    RETURN new;
END
$$;
COMMENT ON FUNCTION pynomaly.demand_visible_user() IS
'trigger: refuses a row whose named column is a user whom the writer does not see';
REVOKE ALL ON FUNCTION pynomaly.demand_visible_user() FROM PUBLIC;

CREATE TRIGGER demand_visible_user BEFORE INSERT OR UPDATE OF created_by ON pynomaly.datasets
    FOR EACH ROW WHEN (new.created_by IS NOT NULL)
    EXECUTE FUNCTION pynomaly.demand_visible_user('created_by', 'datasets');
CREATE TRIGGER demand_visible_user BEFORE INSERT OR UPDATE OF created_by ON pynomaly.detectors
    FOR EACH ROW WHEN (new.created_by IS NOT NULL)
    EXECUTE FUNCTION pynomaly.demand_visible_user('created_by', 'detectors');
CREATE TRIGGER demand_visible_user BEFORE INSERT OR UPDATE OF created_by ON pynomaly.detection_results
    FOR EACH ROW WHEN (new.created_by IS NOT NULL)
    EXECUTE FUNCTION pynomaly.demand_visible_user('created_by', 'detection_results');
CREATE TRIGGER demand_visible_user_id BEFORE INSERT OR UPDATE OF user_id ON pynomaly.security_events
    FOR EACH ROW WHEN (new.user_id IS NOT NULL)
    EXECUTE FUNCTION pynomaly.demand_visible_user('user_id', 'security_events');
CREATE TRIGGER demand_visible_resolved_by BEFORE INSERT OR UPDATE OF resolved_by ON pynomaly.security_events
    FOR EACH ROW WHEN (new.resolved_by IS NOT NULL)
    EXECUTE FUNCTION pynomaly.demand_visible_user('resolved_by', 'security_events');
