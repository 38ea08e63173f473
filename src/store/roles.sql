-- ---------------------------------------------------------------------
-- store: the roles that the platform's users are members of
-- ---------------------------------------------------------------------

-- Roles belong to the cluster, so another database may have made them, and
-- they outlive the extension.  Nobody logs in as one of them:
--
--   pynomaly_admin     operates the platform, sees every tenant
--   pynomaly_app       the platform's back end, sees the current tenant
--   pynomaly_readonly  analysts, read the current tenant
DO $$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN
        SELECT * FROM (VALUES
            ('pynomaly_admin', 'pynomaly_store: operates the platform, sees every tenant'),
            ('pynomaly_app', 'pynomaly_store: the platform''s back end, sees the current tenant'),
            ('pynomaly_readonly', 'pynomaly_store: reads the current tenant')
        ) AS v (name, comment)
    LOOP
        BEGIN
            EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', wanted.name);
            EXECUTE pg_catalog.format('COMMENT ON ROLE %I IS %L',
                                      wanted.name, wanted.comment);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;               -- another database's extension has made it
        END;
    END LOOP;

    -- Row-level security would not hold such a role back.
    FOR wanted IN
        SELECT rolname AS name FROM pg_catalog.pg_roles
        WHERE rolname IN ('pynomaly_app', 'pynomaly_readonly')
          AND (rolsuper OR rolbypassrls)
    LOOP
        RAISE EXCEPTION 'role "%" may not be a superuser nor bypass row-level security',
            wanted.name
            USING ERRCODE = 'invalid_role_specification';
    END LOOP;
END
$$;
