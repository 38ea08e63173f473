-- ---------------------------------------------------------------------
-- store: who may do what (docs/security.md)
--
-- The functions run as their owner, for the application has no right to write
-- these tables.  What belongs to a tenant they touch for the current tenant
-- only, unless a member of pynomaly_admin calls them.
-- ---------------------------------------------------------------------

CREATE TABLE pynomaly.invitations (
    tenant_id   uuid NOT NULL REFERENCES pynomaly.tenants,
    id          uuid NOT NULL DEFAULT gen_random_uuid(),
    email       text NOT NULL CHECK (length(email) BETWEEN 1 AND 500),
    role        text NOT NULL REFERENCES pynomaly.roles,
    token_hash  text NOT NULL,
    invited_by  uuid REFERENCES pynomaly.users ON DELETE SET NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    accepted_at timestamptz,
    accepted_by uuid REFERENCES pynomaly.users ON DELETE SET NULL,
    revoked_at  timestamptz,
    PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE pynomaly.invitations IS
'invitations into a tenant; of the token only a hash is kept';
CREATE UNIQUE INDEX ON pynomaly.invitations (token_hash);
CREATE INDEX ON pynomaly.invitations (role);
CREATE INDEX ON pynomaly.invitations (invited_by);
CREATE INDEX ON pynomaly.invitations (accepted_by);
SELECT pg_catalog.pg_extension_config_dump('pynomaly.invitations', '');

-- ---------- the permission matrix ----------

INSERT INTO pynomaly.roles (name, description, is_system) VALUES
    ('super_admin', 'operates the platform, may do everything in every tenant', true),
    ('tenant_admin', 'administers a tenant', true),
    ('data_scientist', 'makes datasets, detectors and models, and changes his own', true),
    ('analyst', 'runs detections and writes reports', true),
    ('viewer', 'reads', true);

-- The platform knows two vocabularies, view/edit/run and read/update/execute.
-- own: only of what the user made himself.
WITH allowed (role, resource, actions, own) AS (VALUES
    ('super_admin', 'platform', '{manage}', '{}'),
    ('super_admin', 'tenant', '{create,read,update,delete,manage}', '{}'),
    ('super_admin', 'user', '{manage}', '{}'),
    ('super_admin', 'audit_log', '{read}', '{}'),
    ('super_admin', 'billing', '{read,view}', '{}'),
    ('super_admin', 'metric', '{read}', '{}'),
    ('tenant_admin', 'tenant', '{read,update,manage}', '{}'),
    ('tenant_admin', 'user', '{create,read,update,delete,invite,manage}', '{}'),
    ('tenant_admin', 'dataset', '{manage}', '{}'),
    ('tenant_admin', 'model', '{manage}', '{}'),
    ('tenant_admin', 'detector', '{manage}', '{}'),
    ('tenant_admin', 'detection', '{manage}', '{}'),
    ('tenant_admin', 'experiment', '{manage}', '{}'),
    ('tenant_admin', 'report', '{manage}', '{}'),
    ('tenant_admin', 'api_key', '{manage}', '{}'),
    ('tenant_admin', 'billing', '{read,view}', '{}'),
    ('tenant_admin', 'audit_log', '{read}', '{}'),
    ('tenant_admin', 'metric', '{read}', '{}'),
    ('data_scientist', 'dataset', '{create,read,view,export,import}', '{edit,update,delete}'),
    ('data_scientist', 'model', '{create,read,view,export}', '{edit,update,delete}'),
    ('data_scientist', 'detector', '{create,read}', '{update,delete}'),
    ('data_scientist', 'detection', '{run,execute,read,view}', '{}'),
    ('data_scientist', 'experiment', '{create,read}', '{update}'),
    ('data_scientist', 'report', '{create,read}', '{}'),
    ('data_scientist', 'api_key', '{create}', '{read}'),
    ('data_scientist', 'metric', '{read}', '{}'),
    ('analyst', 'dataset', '{read,view}', '{}'),
    ('analyst', 'model', '{read,view}', '{}'),
    ('analyst', 'detector', '{read}', '{}'),
    ('analyst', 'detection', '{run,execute,read,view}', '{}'),
    ('analyst', 'experiment', '{read}', '{}'),
    ('analyst', 'report', '{create,read,export}', '{update}'),
    ('analyst', 'api_key', '{create}', '{read}'),
    ('analyst', 'metric', '{read}', '{}'),
    ('viewer', 'dataset', '{read,view}', '{}'),
    ('viewer', 'model', '{read,view}', '{}'),
    ('viewer', 'detector', '{read}', '{}'),
    ('viewer', 'detection', '{read,view}', '{}'),
    ('viewer', 'experiment', '{read}', '{}'),
    ('viewer', 'report', '{read,view}', '{}'),
    ('viewer', 'metric', '{read}', '{}')
), rules AS (
    SELECT role, resource, unnest(actions::text[]) AS action, '{}'::text[] AS conditions FROM allowed
    UNION ALL
    SELECT role, resource, unnest(own::text[]), '{own_only}' FROM allowed
), named AS (
    INSERT INTO pynomaly.permissions (resource, action, name, description, is_system)
    SELECT DISTINCT resource, action, resource || '.' || action,
           replace(format('%s: %s', resource, action), '_', ' '), true
    FROM rules
)
INSERT INTO pynomaly.role_permissions (role, resource, action, conditions, is_system)
SELECT role, resource, action, conditions, true FROM rules;

-- ---------- helpers ----------

-- Who calls, whatever function's owner is the current user.
CREATE FUNCTION pynomaly.is_admin_call()
RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT pg_has_role(coalesce(nullif(current_setting('role'), 'none')::name, session_user),
                       'pynomaly_admin', 'USAGE')
$$;
COMMENT ON FUNCTION pynomaly.is_admin_call() IS
'is the role that the statement was given as a member of pynomaly_admin?';

CREATE FUNCTION pynomaly.demand_own_tenant(tenant uuid)
RETURNS uuid
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF tenant IS NULL THEN
        RETURN pynomaly.required_tenant();
    ELSIF tenant IS DISTINCT FROM pynomaly.current_tenant() AND NOT pynomaly.is_admin_call() THEN
        RAISE EXCEPTION 'that is not the current tenant'
            USING ERRCODE = 'insufficient_privilege', HINT = 'Call pynomaly.set_tenant first.';
    END IF;
    RETURN tenant;
END
$$;
COMMENT ON FUNCTION pynomaly.demand_own_tenant(uuid) IS
'the tenant, by default the current one; an error where the caller may not work for it';

CREATE FUNCTION pynomaly.make_token(prefix text DEFAULT '')
RETURNS text
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    -- two times 122 random bits; 43 characters that need no quoting in a URL
    SELECT prefix || rtrim(translate(encode(sha256(
        uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 'base64'), '+/', '-_'), '=')
$$;
COMMENT ON FUNCTION pynomaly.make_token(text) IS
'a token that nobody can guess';

CREATE FUNCTION pynomaly.hash_token(token text)
RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT encode(sha256(convert_to(token, 'UTF8')), 'hex') $$;
COMMENT ON FUNCTION pynomaly.hash_token(text) IS
'what is kept of a token or an API key: its SHA-256, in hexadecimal digits';

CREATE FUNCTION pynomaly.get_duration(key text)
RETURNS interval
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT (pynomaly.get_setting(key) #>> '{}')::interval $$;
COMMENT ON FUNCTION pynomaly.get_duration(text) IS
'the value of a setting that is a duration';

-- ---------- checking ----------

CREATE FUNCTION pynomaly.is_super_admin(user_id uuid)
RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM pynomaly.user_tenant_roles g
                   WHERE g.user_id = is_super_admin.user_id AND g.role = 'super_admin'
                     AND (g.expires_at IS NULL OR g.expires_at > clock_timestamp()))
$$;
COMMENT ON FUNCTION pynomaly.is_super_admin(uuid) IS
'has the user the role super_admin in any tenant?';

CREATE FUNCTION pynomaly.check_permission(
    user_id uuid, resource text, action text, tenant uuid, owner uuid DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    held pynomaly.user_tenant_roles;
    usable boolean;
BEGIN
    IF user_id IS NULL OR resource IS NULL OR action IS NULL OR tenant IS NULL
       OR tenant IS DISTINCT FROM pynomaly.current_tenant() AND NOT pynomaly.is_admin_call()
       OR NOT EXISTS (SELECT FROM pynomaly.users u WHERE u.id = user_id AND u.status = 'active') THEN
        RETURN false;
    END IF;
    SELECT t.status IN ('active', 'trial')
           AND (t.expires_at IS NULL OR t.expires_at > clock_timestamp())
    INTO usable FROM pynomaly.tenants t WHERE t.id = tenant;
    IF usable IS NULL THEN
        RETURN false;
    ELSIF pynomaly.is_super_admin(user_id) THEN
        RETURN true;
    ELSIF NOT usable THEN
        RETURN false;
    END IF;
    SELECT * INTO held FROM pynomaly.user_tenant_roles g
    WHERE g.tenant_id = tenant AND g.user_id = user_id
      AND (g.expires_at IS NULL OR g.expires_at > clock_timestamp());
    IF NOT FOUND THEN
        RETURN false;
    ELSIF held.permissions IS NOT NULL THEN
        RETURN EXISTS (SELECT FROM jsonb_array_elements(held.permissions) p
                       WHERE p ->> 'resource' = resource AND p ->> 'action' IN (action, 'manage'));
    END IF;
    RETURN EXISTS (SELECT FROM pynomaly.role_permissions p
                   WHERE p.role = held.role AND p.resource = resource
                     AND p.action IN (action, 'manage')
                     AND p.conditions <@ '{own_only,own_tenant_only}'
                     AND ('own_only' <> ALL (p.conditions) OR owner = user_id));
END
$$;
COMMENT ON FUNCTION pynomaly.check_permission(uuid, text, text, uuid, uuid) IS
'may the user do this to such a resource of the tenant? owner is who made the resource, for permissions that hold for one''s own only';

-- ---------- roles ----------

CREATE FUNCTION pynomaly.demand_granter(granter uuid, action text, role text, tenant uuid)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF granter IS NULL THEN
        IF NOT pynomaly.is_admin_call() THEN
            RAISE EXCEPTION 'it must be said which user does this'
                USING ERRCODE = 'null_value_not_allowed';
        END IF;
    ELSIF NOT pynomaly.check_permission(granter, 'user', action, tenant)
          OR role = 'super_admin' AND NOT pynomaly.is_super_admin(granter)
          -- nobody gives what he does not have
          OR EXISTS (SELECT FROM pynomaly.role_permissions p
                     WHERE p.role = demand_granter.role
                       AND NOT pynomaly.check_permission(granter, p.resource, p.action, tenant, granter)) THEN
        RAISE EXCEPTION 'user % may not do this', granter
            USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$$;
COMMENT ON FUNCTION pynomaly.demand_granter(uuid, text, text, uuid) IS
'an error where the user may not give, or take, this role in the tenant: he needs the permission, and all that the role allows';

CREATE FUNCTION pynomaly.grant_role(
    user_id uuid, role text, granted_by uuid DEFAULT NULL, expires_at timestamptz DEFAULT NULL,
    permissions jsonb DEFAULT NULL, tenant uuid DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    target constant uuid := pynomaly.demand_own_tenant(tenant);
BEGIN
    PERFORM pynomaly.demand_granter(granted_by, 'manage', role, target);
    IF expires_at <= clock_timestamp() THEN
        RAISE EXCEPTION 'the grant would have expired already'
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF EXISTS (SELECT FROM jsonb_array_elements(permissions) p
                  WHERE p ->> 'resource' IS NULL OR p ->> 'action' IS NULL) THEN
        RAISE EXCEPTION 'a permission has a resource and an action'
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF granted_by IS NOT NULL
          AND EXISTS (SELECT FROM jsonb_array_elements(permissions) p
                      WHERE NOT pynomaly.check_permission(granted_by, p ->> 'resource', p ->> 'action',
                                                          target, granted_by)) THEN
        RAISE EXCEPTION 'user % may not give a permission that he does not have', granted_by
            USING ERRCODE = 'insufficient_privilege';
    ELSIF NOT pynomaly.is_admin_call()
          AND (SELECT g.role FROM pynomaly.user_tenant_roles g
               WHERE g.tenant_id = target AND g.user_id = grant_role.user_id) = 'super_admin'
          AND NOT pynomaly.is_super_admin(granted_by) THEN
        RAISE EXCEPTION 'user % may not do this', granted_by
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    -- Who belongs to others only comes by an invitation that he accepts.  The lock
    -- keeps two tenants from taking in at once who belongs to nobody.
    IF NOT pynomaly.is_admin_call() THEN
        PERFORM FROM pynomaly.users u WHERE u.id = grant_role.user_id FOR UPDATE;
        IF NOT FOUND
           OR NOT EXISTS (SELECT FROM pynomaly.user_tenant_roles g
                          WHERE g.tenant_id = target AND g.user_id = grant_role.user_id)
              AND EXISTS (SELECT FROM pynomaly.user_tenant_roles g
                          WHERE g.user_id = grant_role.user_id) THEN
            RAISE EXCEPTION 'user % is not known to the tenant', grant_role.user_id
                USING ERRCODE = 'foreign_key_violation',
                      HINT = 'create_invitation() invites an address.';
        END IF;
    END IF;
    INSERT INTO pynomaly.user_tenant_roles AS g
        (tenant_id, user_id, role, permissions, granted_by, expires_at)
    VALUES (target, grant_role.user_id, grant_role.role, grant_role.permissions,
            grant_role.granted_by, grant_role.expires_at)
    ON CONFLICT ON CONSTRAINT user_tenant_roles_pkey DO UPDATE
    SET role = excluded.role, permissions = excluded.permissions, granted_at = now(),
        granted_by = excluded.granted_by, expires_at = excluded.expires_at;
END
$$;
COMMENT ON FUNCTION pynomaly.grant_role(uuid, text, uuid, timestamptz, jsonb, uuid) IS
'gives a user a role in the current tenant, in place of the one he had; permissions take the place of the role''s. Only the platform''s administrator gives one to a user of other tenants'' alone';

CREATE FUNCTION pynomaly.revoke_role(
    user_id uuid, revoked_by uuid DEFAULT NULL, tenant uuid DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    target constant uuid := pynomaly.demand_own_tenant(tenant);
    held text;
BEGIN
    SELECT g.role INTO held FROM pynomaly.user_tenant_roles g
    WHERE g.tenant_id = target AND g.user_id = revoke_role.user_id FOR UPDATE;
    PERFORM pynomaly.demand_granter(revoked_by, 'manage', held, target);
    UPDATE pynomaly.sessions s SET is_active = false
    WHERE s.tenant_id = target AND s.user_id = revoke_role.user_id AND s.is_active;
    UPDATE pynomaly.api_keys k SET is_active = false
    WHERE k.tenant_id = target AND k.user_id = revoke_role.user_id AND k.is_active;
    DELETE FROM pynomaly.user_tenant_roles g
    WHERE g.tenant_id = target AND g.user_id = revoke_role.user_id;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION pynomaly.revoke_role(uuid, uuid, uuid) IS
'takes a user''s role in the current tenant, and ends his sessions and API keys there';

CREATE FUNCTION pynomaly.create_invitation(
    email text, role text, invited_by uuid DEFAULT NULL, tenant uuid DEFAULT NULL,
    OUT invitation_id uuid, OUT token text, OUT expires_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target constant uuid := pynomaly.demand_own_tenant(tenant);
BEGIN
    PERFORM pynomaly.demand_granter(invited_by, 'invite', role, target);
    token := pynomaly.make_token('inv_');
    INSERT INTO pynomaly.invitations AS i (tenant_id, email, role, token_hash, invited_by, expires_at)
    VALUES (target, create_invitation.email, create_invitation.role, pynomaly.hash_token(token),
            create_invitation.invited_by,
            clock_timestamp() + pynomaly.get_duration('security.invitation_lifetime'))
    RETURNING i.id, i.expires_at INTO invitation_id, expires_at;
END
$$;
COMMENT ON FUNCTION pynomaly.create_invitation(text, text, uuid, uuid) IS
'invites an address into the current tenant; the token is shown here and never again';

CREATE FUNCTION pynomaly.accept_invitation(token text, user_id uuid)
RETURNS uuid
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    invited pynomaly.invitations;
BEGIN
    SELECT * INTO invited FROM pynomaly.invitations i
    WHERE i.token_hash = pynomaly.hash_token(token) FOR UPDATE;
    IF NOT FOUND OR invited.accepted_at IS NOT NULL OR invited.revoked_at IS NOT NULL
       OR invited.expires_at <= clock_timestamp()
       OR NOT EXISTS (SELECT FROM pynomaly.users u
                      WHERE u.id = accept_invitation.user_id AND u.status = 'active'
                        AND lower(u.email) = lower(invited.email)) THEN
        RAISE EXCEPTION 'the invitation is not valid for this user'
            USING ERRCODE = 'invalid_authorization_specification',
                  DETAIL = 'It is unknown, used, revoked, expired, or for another address.';
    END IF;
    UPDATE pynomaly.invitations i SET accepted_at = clock_timestamp(), accepted_by = accept_invitation.user_id
    WHERE i.tenant_id = invited.tenant_id AND i.id = invited.id;
    INSERT INTO pynomaly.user_tenant_roles (tenant_id, user_id, role, granted_by)
    VALUES (invited.tenant_id, accept_invitation.user_id, invited.role, invited.invited_by)
    ON CONFLICT DO NOTHING;             -- who has a role keeps it
    RETURN invited.tenant_id;
END
$$;
COMMENT ON FUNCTION pynomaly.accept_invitation(text, uuid) IS
'gives the invited user his role; returns the tenant. Who has a role there already keeps it';

CREATE FUNCTION pynomaly.revoke_invitation(invitation_id uuid, tenant uuid DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE pynomaly.invitations i SET revoked_at = clock_timestamp()
    WHERE i.tenant_id = pynomaly.demand_own_tenant(tenant) AND i.id = invitation_id
      AND i.accepted_at IS NULL AND i.revoked_at IS NULL;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION pynomaly.revoke_invitation(uuid, uuid) IS
'ends an open invitation of the current tenant; returns whether there was one';

-- ---------- passwords ----------

CREATE FUNCTION pynomaly.derive_key(password bytea, salt bytea, iterations integer)
RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_store_derive_key';
COMMENT ON FUNCTION pynomaly.derive_key(bytea, bytea, integer) IS
'32 bytes of PBKDF2 with HMAC-SHA-256';

CREATE FUNCTION pynomaly.has_bcrypt()
RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pgcrypto') $$;
COMMENT ON FUNCTION pynomaly.has_bcrypt() IS
'can bcrypt hashes be made and checked? They need the extension pgcrypto';

-- pgcrypto knows the oldest of bcrypt's names, $2a$; for passwords up to 72 bytes
-- $2b$ and $2y$ are the same.  It would take those for another, weak, method.
CREATE FUNCTION pynomaly.bcrypt(password text, salt text)
RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    place constant name := (SELECT n.nspname FROM pg_extension e
                            JOIN pg_namespace n ON n.oid = e.extnamespace
                            WHERE e.extname = 'pgcrypto');
    settled text := regexp_replace(salt, '^\$2[by]\$', '$2a$');
    hash text;
BEGIN
    IF place IS NULL THEN
        RAISE EXCEPTION 'bcrypt needs the extension pgcrypto'
            USING ERRCODE = 'feature_not_supported',
                  HINT = 'Have a superuser run CREATE EXTENSION pgcrypto.';
    END IF;
    IF salt IS NULL THEN
        EXECUTE format('SELECT %I.gen_salt(''bf'', $1)', place)
        INTO settled USING (pynomaly.get_setting('security.bcrypt_cost') #>> '{}')::integer;
    END IF;
    EXECUTE format('SELECT %I.crypt($1, $2)', place) INTO hash USING password, settled;
    RETURN regexp_replace(hash, '^\$2a\$', '$2b$');
END
$$;
COMMENT ON FUNCTION pynomaly.bcrypt(text, text) IS
'the bcrypt hash of a password, $2b$..., with a hash''s salt, or a new one where it is NULL';

CREATE FUNCTION pynomaly.hash_password(password text)
RETURNS text
LANGUAGE plpgsql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF octet_length(convert_to(password, 'UTF8')) NOT BETWEEN 1 AND 72 THEN
        RAISE EXCEPTION 'a password has from 1 to 72 bytes'
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'bcrypt ignores what is beyond.';
    END IF;
    RETURN pynomaly.bcrypt(password, NULL);
END
$$;
COMMENT ON FUNCTION pynomaly.hash_password(text) IS
'a new hash of a password, by bcrypt';

-- NULL where the hash has a form that we do not know.
CREATE FUNCTION pynomaly.verify_password(password text, hash text, salt text DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF hash = '' OR password IS NULL OR length(password) > 1000 THEN
        RETURN false;
    ELSIF hash ~ '^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$' THEN
        RETURN substr(pynomaly.bcrypt(password, hash), 5) = substr(hash, 5);
    ELSIF hash ~ '^[0-9a-fA-F]{32}:[0-9a-fA-F]{64}$' THEN
        RETURN sha256(convert_to(password || split_part(hash, ':', 1), 'UTF8'))
               = decode(split_part(hash, ':', 2), 'hex');
    ELSIF hash ~ '^[0-9a-fA-F]{64}$' AND salt <> '' THEN
        RETURN pynomaly.derive_key(convert_to(password, 'UTF8'), convert_to(salt, 'UTF8'), 100000)
               = decode(hash, 'hex');
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION pynomaly.verify_password(text, text, text) IS
'is this the password? By bcrypt, salt:sha256(password salt), or PBKDF2 with a salt of its own; NULL where the hash has another form';

CREATE FUNCTION pynomaly.set_password(user_id uuid, password text)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    hash constant text := pynomaly.hash_password(password);
BEGIN
    UPDATE pynomaly.users u
    SET password_hash = hash, password_salt = NULL, password_changed_at = now(),
        password_reset_hash = NULL, password_reset_expires = NULL,
        failed_login_attempts = 0, locked_until = NULL
    WHERE u.id = user_id AND hash IS NOT NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no such user, or no password'
            USING ERRCODE = 'no_data_found';
    END IF;
    UPDATE pynomaly.sessions s SET is_active = false WHERE s.user_id = set_password.user_id AND s.is_active;
END
$$;
COMMENT ON FUNCTION pynomaly.set_password(uuid, text) IS
'gives a user a password, unlocks him, and ends his sessions';

-- Who was locked out, and whose password was wrong, is told by the result and
-- not by an error, so that the counting is committed.  Attempts for one user
-- wait for each other, so none is lost.
CREATE FUNCTION pynomaly.authenticate_user(
    login text, password text,
    OUT user_id uuid, OUT outcome text, OUT locked_until timestamptz, OUT tenants uuid[])
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    u pynomaly.users;
    good boolean;
    failures integer;
    moment timestamptz;
BEGIN
    SELECT * INTO u FROM pynomaly.users w
    WHERE w.email = login OR w.username = login
    ORDER BY (w.email = login) DESC LIMIT 1 FOR NO KEY UPDATE;
    moment := clock_timestamp();
    IF NOT FOUND THEN
        -- takes as long as for a user there is
        IF pynomaly.has_bcrypt() AND octet_length(password) < 1000 THEN
            PERFORM pynomaly.bcrypt(password, NULL);
        END IF;
        outcome := 'wrong';
    ELSIF u.locked_until > moment THEN
        outcome := 'locked';
        locked_until := u.locked_until;
    ELSE
        good := pynomaly.verify_password(password, u.password_hash, u.password_salt);
        IF good IS NULL THEN
            outcome := 'unsupported';
        ELSIF NOT good THEN
            failures := CASE WHEN u.last_failed_login_at > moment - pynomaly.get_duration('security.lockout_window')
                                  AND u.locked_until IS NULL
                             THEN u.failed_login_attempts + 1 ELSE 1 END;
            IF failures >= (pynomaly.get_setting('security.lockout_failures') #>> '{}')::integer THEN
                locked_until := moment + pynomaly.get_duration('security.lockout_duration');
            END IF;
            outcome := CASE WHEN locked_until IS NULL THEN 'wrong' ELSE 'locked' END;
            UPDATE pynomaly.users w
            SET failed_login_attempts = failures, last_failed_login_at = moment,
                locked_until = authenticate_user.locked_until
            WHERE w.id = u.id;
        ELSIF u.status <> 'active' THEN
            outcome := 'inactive';
        ELSE
            outcome := 'ok';
            user_id := u.id;
            tenants := ARRAY(SELECT g.tenant_id FROM pynomaly.user_tenant_roles g
                             WHERE g.user_id = u.id
                               AND (g.expires_at IS NULL OR g.expires_at > moment)
                             ORDER BY g.granted_at, g.tenant_id);
            UPDATE pynomaly.users w
            SET failed_login_attempts = 0, locked_until = NULL, last_login_at = moment
            WHERE w.id = u.id;
            IF u.password_hash !~ '^\$2' AND pynomaly.has_bcrypt()
               AND octet_length(convert_to(password, 'UTF8')) <= 72 THEN
                UPDATE pynomaly.users w
                SET password_hash = pynomaly.hash_password(password), password_salt = NULL
                WHERE w.id = u.id;
            END IF;
        END IF;
    END IF;
    PERFORM pynomaly.write_audit_event('login', 'user', to_jsonb(left(login, 200)),
        CASE outcome WHEN 'ok' THEN 'success' ELSE 'failure' END,
        CASE outcome WHEN 'ok' THEN 'low' WHEN 'locked' THEN 'high' ELSE 'medium' END,
        jsonb_build_object('outcome', outcome, 'user_id', u.id), NULL);
END
$$;
COMMENT ON FUNCTION pynomaly.authenticate_user(text, text) IS
'checks a password by address or name: outcome is ok, wrong, locked, inactive or unsupported (the hash); counts failures, locks out, and hashes old hashes anew';

CREATE FUNCTION pynomaly.change_password(login text, old_password text, new_password text)
RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    attempt record;
BEGIN
    SELECT * INTO attempt FROM pynomaly.authenticate_user(login, old_password);
    IF attempt.outcome = 'ok' THEN
        PERFORM pynomaly.set_password(attempt.user_id, new_password);
    END IF;
    RETURN attempt.outcome;
END
$$;
COMMENT ON FUNCTION pynomaly.change_password(text, text, text) IS
'gives a user who knows his password another; returns the outcome as authenticate_user does';

-- ---------- sessions ----------

CREATE FUNCTION pynomaly.create_session(
    user_id uuid, tenant uuid DEFAULT NULL, ip_address inet DEFAULT NULL, user_agent text DEFAULT NULL,
    OUT session_id uuid, OUT token text, OUT expires_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target constant uuid := pynomaly.demand_own_tenant(tenant);
    most constant integer := (pynomaly.get_setting('security.max_sessions') #>> '{}')::integer;
BEGIN
    -- sessions of one user are counted one at a time
    PERFORM FROM pynomaly.users u WHERE u.id = create_session.user_id AND u.status = 'active'
    FOR NO KEY UPDATE;
    IF NOT FOUND OR NOT pynomaly.is_super_admin(user_id)
       AND NOT EXISTS (SELECT FROM pynomaly.user_tenant_roles g
                       WHERE g.tenant_id = target AND g.user_id = create_session.user_id
                         AND (g.expires_at IS NULL OR g.expires_at > clock_timestamp())) THEN
        RAISE EXCEPTION 'user % is not an active user of the tenant', user_id
            USING ERRCODE = 'invalid_authorization_specification';
    END IF;
    UPDATE pynomaly.sessions s SET is_active = false
    WHERE s.id IN (SELECT o.id FROM pynomaly.sessions o
                   WHERE o.user_id = create_session.user_id AND o.is_active
                     AND o.expires_at > clock_timestamp()
                   ORDER BY o.last_activity DESC, o.created_at DESC, o.id OFFSET most - 1);
    token := pynomaly.make_token();
    INSERT INTO pynomaly.sessions AS s (tenant_id, user_id, token_hash, created_at, last_activity,
                                        expires_at, ip_address, user_agent)
    VALUES (target, create_session.user_id, pynomaly.hash_token(token), clock_timestamp(),
            clock_timestamp(), clock_timestamp() + pynomaly.get_duration('security.session_lifetime'),
            create_session.ip_address, left(create_session.user_agent, 1000))
    RETURNING s.id, s.expires_at INTO session_id, expires_at;
END
$$;
COMMENT ON FUNCTION pynomaly.create_session(uuid, uuid, inet, text) IS
'begins a session in the current tenant; beyond security.max_sessions the one longest unused ends. The token is shown here and never again';

CREATE FUNCTION pynomaly.get_session(
    token text, OUT session_id uuid, OUT user_id uuid, OUT tenant_id uuid,
    OUT created_at timestamptz, OUT expires_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    live pynomaly.sessions;
BEGIN
    SELECT s.* INTO live FROM pynomaly.sessions s
    JOIN pynomaly.users u ON u.id = s.user_id AND u.status = 'active'
    WHERE s.token_hash = pynomaly.hash_token(token) AND s.is_active
      AND s.expires_at > clock_timestamp()
      AND s.last_activity > clock_timestamp() - pynomaly.get_duration('security.session_idle');
    IF NOT FOUND THEN
        RETURN;
    END IF;
    -- noted once a minute: a session that is used all the time costs no more
    UPDATE pynomaly.sessions s SET last_activity = clock_timestamp()
    WHERE s.id = live.id
      AND s.last_activity < clock_timestamp()
          - least(interval '1 minute', pynomaly.get_duration('security.session_idle') / 10);
    session_id := live.id;
    user_id := live.user_id;
    tenant_id := live.tenant_id;
    created_at := live.created_at;
    expires_at := live.expires_at;
END
$$;
COMMENT ON FUNCTION pynomaly.get_session(text) IS
'the session of a token, and notes that it is used; all NULL where there is none, or it has ended';

CREATE FUNCTION pynomaly.revoke_session(token text)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE pynomaly.sessions s SET is_active = false
    WHERE s.token_hash = pynomaly.hash_token(token) AND s.is_active;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION pynomaly.revoke_session(text) IS
'ends the session of a token; returns whether there was one';

CREATE FUNCTION pynomaly.revoke_sessions(user_id uuid, tenant uuid DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ended bigint;
BEGIN
    UPDATE pynomaly.sessions s SET is_active = false
    WHERE s.user_id = revoke_sessions.user_id AND s.is_active
      AND s.tenant_id = pynomaly.demand_own_tenant(tenant);
    GET DIAGNOSTICS ended = ROW_COUNT;
    RETURN ended;
END
$$;
COMMENT ON FUNCTION pynomaly.revoke_sessions(uuid, uuid) IS
'ends all sessions of a user in the current tenant; returns how many';

CREATE FUNCTION pynomaly.delete_expired_sessions(older_than interval DEFAULT '30 days')
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gone bigint;
BEGIN
    DELETE FROM pynomaly.sessions s
    WHERE s.expires_at < clock_timestamp() - greatest(older_than, interval '0');
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END
$$;
COMMENT ON FUNCTION pynomaly.delete_expired_sessions(interval) IS
'deletes sessions of all tenants that have been expired for so long; returns how many';

-- ---------- API keys ----------

CREATE FUNCTION pynomaly.create_api_key(
    user_id uuid, name text, permissions jsonb DEFAULT NULL, expires_at timestamptz DEFAULT NULL,
    rate_limit_per_minute integer DEFAULT 100, tenant uuid DEFAULT NULL,
    OUT key_id uuid, OUT api_key text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target constant uuid := pynomaly.demand_own_tenant(tenant);
BEGIN
    IF NOT EXISTS (SELECT FROM pynomaly.user_tenant_roles g
                   JOIN pynomaly.users u ON u.id = g.user_id AND u.status = 'active'
                   WHERE g.tenant_id = target AND g.user_id = create_api_key.user_id
                     AND (g.expires_at IS NULL OR g.expires_at > clock_timestamp())) THEN
        RAISE EXCEPTION 'user % is not an active user of the tenant', user_id
            USING ERRCODE = 'invalid_authorization_specification';
    ELSIF coalesce(length(name), 0) NOT BETWEEN 1 AND 500 THEN
        RAISE EXCEPTION 'the name of a key has from 1 to 500 characters'
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF expires_at <= clock_timestamp() THEN
        RAISE EXCEPTION 'the key would have expired already'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    api_key := pynomaly.make_token('pyn_');
    INSERT INTO pynomaly.api_keys AS k (tenant_id, user_id, name, key_prefix, key_hash, permissions,
                                        rate_limit_per_minute, expires_at)
    VALUES (target, create_api_key.user_id, create_api_key.name, left(api_key, 10),
            pynomaly.hash_token(api_key), create_api_key.permissions,
            create_api_key.rate_limit_per_minute, create_api_key.expires_at)
    RETURNING k.id INTO key_id;
END
$$;
COMMENT ON FUNCTION pynomaly.create_api_key(uuid, text, jsonb, timestamptz, integer, uuid) IS
'makes an API key for a user of the current tenant; the key is shown here and never again';

CREATE FUNCTION pynomaly.find_api_key(
    api_key text, OUT key_id uuid, OUT tenant_id uuid, OUT user_id uuid, OUT name text,
    OUT permissions jsonb, OUT rate_limit_per_minute integer)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    -- by the prefix, which is not secret, so that the time taken tells nothing
    UPDATE pynomaly.api_keys k SET usage_count = k.usage_count + 1, last_used_at = clock_timestamp()
    FROM pynomaly.users u, pynomaly.user_tenant_roles g
    WHERE k.key_prefix = left(api_key, 10) AND k.key_hash = pynomaly.hash_token(api_key)
      AND k.is_active AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
      AND u.id = k.user_id AND u.status = 'active'
      AND g.tenant_id = k.tenant_id AND g.user_id = k.user_id
      AND (g.expires_at IS NULL OR g.expires_at > clock_timestamp())
    RETURNING k.id, k.tenant_id, k.user_id, k.name, k.permissions, k.rate_limit_per_minute
    INTO key_id, tenant_id, user_id, name, permissions, rate_limit_per_minute;
END
$$;
COMMENT ON FUNCTION pynomaly.find_api_key(text) IS
'whose key this is, and counts its use; all NULL where it is not a key, or no longer';

CREATE FUNCTION pynomaly.revoke_api_key(key_id uuid, tenant uuid DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE pynomaly.api_keys k SET is_active = false
    WHERE k.tenant_id = pynomaly.demand_own_tenant(tenant) AND k.id = key_id AND k.is_active;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION pynomaly.revoke_api_key(uuid, uuid) IS
'ends an API key of the current tenant; returns whether there was one';

REVOKE ALL ON FUNCTION
    pynomaly.is_admin_call(),
    pynomaly.demand_own_tenant(uuid),
    pynomaly.make_token(text),
    pynomaly.hash_token(text),
    pynomaly.get_duration(text),
    pynomaly.is_super_admin(uuid),
    pynomaly.check_permission(uuid, text, text, uuid, uuid),
    pynomaly.demand_granter(uuid, text, text, uuid),
    pynomaly.grant_role(uuid, text, uuid, timestamptz, jsonb, uuid),
    pynomaly.revoke_role(uuid, uuid, uuid),
    pynomaly.create_invitation(text, text, uuid, uuid),
    pynomaly.accept_invitation(text, uuid),
    pynomaly.revoke_invitation(uuid, uuid),
    pynomaly.derive_key(bytea, bytea, integer),
    pynomaly.has_bcrypt(),
    pynomaly.bcrypt(text, text),
    pynomaly.hash_password(text),
    pynomaly.verify_password(text, text, text),
    pynomaly.set_password(uuid, text),
    pynomaly.authenticate_user(text, text),
    pynomaly.change_password(text, text, text),
    pynomaly.create_session(uuid, uuid, inet, text),
    pynomaly.get_session(text),
    pynomaly.revoke_session(text),
    pynomaly.revoke_sessions(uuid, uuid),
    pynomaly.delete_expired_sessions(interval),
    pynomaly.create_api_key(uuid, text, jsonb, timestamptz, integer, uuid),
    pynomaly.find_api_key(text),
    pynomaly.revoke_api_key(uuid, uuid)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    pynomaly.hash_token(text),
    pynomaly.check_permission(uuid, text, text, uuid, uuid),
    pynomaly.has_bcrypt()
TO pynomaly_admin, pynomaly_app, pynomaly_readonly;
GRANT EXECUTE ON FUNCTION
    pynomaly.grant_role(uuid, text, uuid, timestamptz, jsonb, uuid),
    pynomaly.revoke_role(uuid, uuid, uuid),
    pynomaly.create_invitation(text, text, uuid, uuid),
    pynomaly.accept_invitation(text, uuid),
    pynomaly.revoke_invitation(uuid, uuid),
    pynomaly.authenticate_user(text, text),
    pynomaly.change_password(text, text, text),
    pynomaly.create_session(uuid, uuid, inet, text),
    pynomaly.get_session(text),
    pynomaly.revoke_session(text),
    pynomaly.revoke_sessions(uuid, uuid),
    pynomaly.create_api_key(uuid, text, jsonb, timestamptz, integer, uuid),
    pynomaly.find_api_key(text),
    pynomaly.revoke_api_key(uuid, uuid)
TO pynomaly_admin, pynomaly_app;
GRANT EXECUTE ON FUNCTION
    pynomaly.set_password(uuid, text),
    pynomaly.delete_expired_sessions(interval)
TO pynomaly_admin;
