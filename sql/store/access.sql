--
-- Roles, permissions, passwords, sessions, API keys, invitations.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pynomaly_store;
RESET client_min_messages;
\set SHOW_CONTEXT never
\set code '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SET search_path = pynomaly;
\set t1 '''12000000-0000-4000-8000-000000000001'''
\set t2 '''12000000-0000-4000-8000-000000000002'''
INSERT INTO tenants (id, name, domain, plan) VALUES
    (:t1, 'One', 'one.access.example', 'enterprise'), (:t2, 'Two', 'two.access.example', 'enterprise');
INSERT INTO users (id, email, username, status)
SELECT format('22000000-0000-4000-8000-00000000000%s', n)::uuid, name || '@access.example', name,
       CASE name WHEN 'sleeper' THEN 'suspended' ELSE 'active' END
FROM unnest('{root,admin,scientist,analyst,viewer,sleeper,late,custom,nobody}'::text[]) WITH ORDINALITY u (name, n);
CREATE FUNCTION pg_temp.id(name text) RETURNS uuid LANGUAGE sql STABLE
AS $$ SELECT id FROM pynomaly.users WHERE username = name $$;

-- the matrix that is shipped
SELECT role, resource, string_agg(action || CASE WHEN conditions = '{own_only}' THEN '(own)' ELSE '' END, ' ' ORDER BY action)
FROM role_permissions WHERE is_system GROUP BY 1, 2 ORDER BY 1, 2;
DELETE FROM role_permissions WHERE role = 'viewer';
:code

-- grants
SELECT set_tenant(:t1, false);
SELECT grant_role(pg_temp.id('root'), 'super_admin', tenant => :t2);
SELECT grant_role(pg_temp.id('admin'), 'tenant_admin');
SELECT grant_role(pg_temp.id('scientist'), 'data_scientist', pg_temp.id('admin'));
SELECT grant_role(pg_temp.id('analyst'), 'analyst', pg_temp.id('admin'));
SELECT grant_role(pg_temp.id('viewer'), 'viewer', pg_temp.id('admin'));
SELECT grant_role(pg_temp.id('sleeper'), 'tenant_admin', pg_temp.id('admin'));
SELECT grant_role(pg_temp.id('late'), 'tenant_admin', pg_temp.id('admin'), expires_at => clock_timestamp() + interval '1 hour');
SELECT grant_role(pg_temp.id('custom'), 'viewer', pg_temp.id('admin'),
                  permissions => '[{"resource": "report", "action": "manage"}, {"resource": "model", "action": "view"}]');
CREATE VIEW pg_temp.may AS
SELECT u.username, p.question,
       check_permission(u.id, split_part(p.question, '.', 1), split_part(p.question, '.', 2), current_tenant()) AS may,
       check_permission(u.id, split_part(p.question, '.', 1), split_part(p.question, '.', 2), current_tenant(), u.id) AS own
FROM users u, unnest('{platform.manage,user.delete,dataset.view,dataset.update,detection.run,report.create,report.delete,nothing.read}'::text[]) p (question)
WHERE u.email LIKE '%@access.example';
SELECT username, string_agg(question || CASE WHEN may THEN '' ELSE '(own)' END, ' ' ORDER BY question) AS permissions
FROM pg_temp.may WHERE may OR own GROUP BY 1 ORDER BY 1;
-- expiry counts
UPDATE user_tenant_roles SET expires_at = now() - interval '1 second' WHERE user_id = pg_temp.id('late');
SELECT count(*) FROM pg_temp.may WHERE username = 'late' AND (may OR own);
UPDATE user_tenant_roles SET expires_at = now() - interval '1 second' WHERE user_id = pg_temp.id('root');
SELECT count(*) FROM pg_temp.may WHERE username = 'root' AND (may OR own);
UPDATE user_tenant_roles SET expires_at = NULL WHERE user_id = pg_temp.id('root');
UPDATE tenants SET expires_at = now() - interval '1 second' WHERE id = :t1;
SELECT username, count(*) FROM pg_temp.may WHERE may OR own GROUP BY 1;
UPDATE tenants SET expires_at = NULL, status = 'suspended' WHERE id = :t1;
SELECT username, count(*) FROM pg_temp.may WHERE may OR own GROUP BY 1;
UPDATE tenants SET status = 'active' WHERE id = :t1;
SELECT check_permission(NULL, 'dataset', 'view', :t1), check_permission(pg_temp.id('admin'), NULL, 'view', :t1),
       check_permission(pg_temp.id('admin'), 'dataset', 'view', NULL),
       check_permission(pg_temp.id('admin'), 'dataset', 'view', :t2),
       check_permission(pg_temp.id('root'), 'dataset', 'view', gen_random_uuid()),
       check_permission(gen_random_uuid(), 'dataset', 'view', :t1);

-- who may grant what
SELECT pg_temp.id('admin') AS admin, pg_temp.id('viewer') AS viewer, pg_temp.id('root') AS root,
       pg_temp.id('nobody') AS nobody, pg_temp.id('scientist') AS scientist \gset
SET ROLE pynomaly_app;
SELECT grant_role(:'nobody', 'viewer');
:code
SELECT grant_role(:'nobody', 'viewer', :'viewer');
:code
SELECT grant_role(:'nobody', 'super_admin', :'admin');
:code
SELECT grant_role(:'nobody', 'viewer', :'admin', tenant => :t2);
:code
SELECT grant_role(:'nobody', 'king', :'admin');
:code
SELECT grant_role('22000000-0000-4000-8000-000000000000', 'viewer', :'admin');
:code
-- someone of another tenant is as unknown, but to the platform's administrator
RESET ROLE;
INSERT INTO users (id, email, username)
VALUES ('22000000-0000-4000-8000-0000000000fe', 'foreign@b.example', 'foreign');
SELECT grant_role('22000000-0000-4000-8000-0000000000fe', 'viewer', tenant => :t2);
SET ROLE pynomaly_app;
SELECT grant_role('22000000-0000-4000-8000-0000000000fe', 'viewer', :'admin');
:code
RESET ROLE;
SELECT grant_role('22000000-0000-4000-8000-0000000000fe', 'viewer', tenant => :t1);
SET ROLE pynomaly_app;
SELECT grant_role('22000000-0000-4000-8000-0000000000fe', 'viewer', :'admin');
RESET ROLE;
DELETE FROM users WHERE id = '22000000-0000-4000-8000-0000000000fe';
SET ROLE pynomaly_app;
SELECT grant_role(:'nobody', 'viewer', :'admin', expires_at => now() - interval '1 s');
:code
SELECT grant_role(:'nobody', 'viewer', :'admin', permissions => '[{"resource": "x"}]');
:code
SELECT grant_role(:'nobody', 'viewer', :'admin', permissions => '{"resource": "x"}');
:code
SELECT grant_role(:'nobody', 'viewer', :'admin', permissions => '[{"resource": "platform", "action": "manage"}]');
:code
SELECT grant_role(:'nobody', 'viewer', :'admin');
SELECT revoke_role(:'nobody', :'viewer');
:code
SELECT revoke_role(:'nobody', :'admin'), revoke_role(:'nobody', :'admin');
SELECT check_permission(:'root', 'platform', 'manage', :t1) AS here, check_permission(:'root', 'platform', 'manage', :t2) AS there;
SELECT set_password(:'nobody', 'x');
:code
SELECT hash_password('x');
:code
INSERT INTO user_tenant_roles (tenant_id, user_id, role) VALUES (:t1, :'nobody', 'super_admin');
:code
SET ROLE pynomaly_readonly;
SELECT check_permission(:'admin', 'dataset', 'view', :t1);
SELECT create_session(:'admin');
:code
RESET ROLE;

-- passwords, in every form that the platform has; first without pgcrypto
SELECT has_bcrypt();
SELECT set_password(pg_temp.id('admin'), 'x');
:code
UPDATE users SET password_hash = v.hash, password_salt = v.salt FROM (VALUES
    ('admin', '0123456789abcdef0123456789abcdef:' || encode(sha256('sécret0123456789abcdef0123456789abcdef'::bytea), 'hex'), NULL),
    ('scientist', encode(derive_key('secret', 'a0b1', 100000), 'hex'), 'a0b1'),
    ('viewer', 'argon2:something', NULL),
    ('sleeper', '0123456789abcdef0123456789abcdef:' || encode(sha256('secret0123456789abcdef0123456789abcdef'), 'hex'), NULL)
) v (name, hash, salt) WHERE username = v.name;
-- test vectors of RFC 7914 section 11 and of bcrypt
SELECT encode(derive_key('passwd', 'salt', 1), 'hex') = '55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc' AS first,
       encode(derive_key('Password', 'NaCl', 80000), 'hex') = '4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56' AS second;
SELECT derive_key('x', 'y', 0);
:code
SET statement_timeout = '100ms';
SELECT derive_key('x', 'y', 10000000);
:code
RESET statement_timeout;
SELECT outcome, user_id IS NOT NULL AS found, tenants FROM authenticate_user('admin', 'sécret');
SELECT outcome, user_id IS NOT NULL AS found FROM authenticate_user('admin@access.example', 'secret');
SELECT outcome FROM authenticate_user('ADMIN', 'sécret');
SELECT outcome FROM authenticate_user('scientist', 'secret');
SELECT outcome FROM authenticate_user('viewer', 'secret');
SELECT outcome FROM authenticate_user('sleeper', 'secret');
SELECT outcome FROM authenticate_user('analyst', '');
SELECT outcome FROM authenticate_user('analyst', NULL);
SELECT outcome FROM authenticate_user(NULL, NULL);
SELECT outcome FROM authenticate_user('admin', repeat('x', 1000000));
SELECT username, left(password_hash, 4), password_salt FROM users WHERE password_hash <> '' AND email LIKE '%@access.example' ORDER BY 1;
UPDATE users SET password_hash = '$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW' WHERE username = 'analyst';
SELECT authenticate_user('analyst', 'U*U');
:code
SET client_min_messages = warning;
CREATE SCHEMA store_access;
CREATE EXTENSION pgcrypto SCHEMA store_access;
RESET client_min_messages;
SET pynomaly_store.environment = 'testing';
SELECT verify_password('U*U', h || '05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW') AS good,
       verify_password('U*V', h || '05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW') AS bad
FROM unnest('{$2a$,$2b$,$2y$,$2x$}'::text[]) h;
SELECT outcome FROM authenticate_user('analyst', 'U*U');
SELECT outcome FROM authenticate_user('admin', 'sécret');
SELECT outcome FROM authenticate_user('admin', 'sécret');
SELECT outcome FROM authenticate_user('scientist', 'secret');
SELECT outcome FROM authenticate_user('nobody at all', 'secret');
SELECT username, left(password_hash, 7), password_salt FROM users WHERE password_hash <> '' AND email LIKE '%@access.example' ORDER BY 1;
SELECT change_password('scientist', 'wrong', 'new'), change_password('scientist', 'secret', 'new'), change_password('scientist', 'secret', 'newer');
SELECT outcome FROM authenticate_user('scientist', 'new');
SELECT set_password(pg_temp.id('scientist'), repeat('x', 73));
:code
SELECT set_password(pg_temp.id('scientist'), '');
:code
SELECT set_password(gen_random_uuid(), 'x');
:code
SELECT set_password(pg_temp.id('scientist'), NULL);
:code

-- lockout: five failures in a row
SELECT n, (SELECT outcome FROM authenticate_user('scientist', 'wrong' || n)) FROM generate_series(1, 6) n;
SELECT outcome, locked_until > now() + interval '29 minutes' AS until, user_id FROM authenticate_user('scientist', 'new');
UPDATE users SET locked_until = now() - interval '1 s' WHERE username = 'scientist';
SELECT outcome FROM authenticate_user('scientist', 'wrong');
SELECT failed_login_attempts FROM users WHERE username = 'scientist';
SELECT outcome FROM authenticate_user('scientist', 'new');
SELECT failed_login_attempts, locked_until FROM users WHERE username = 'scientist';
-- an old failure does not count
SELECT n, (SELECT outcome FROM authenticate_user('scientist', 'wrong' || n)) FROM generate_series(1, 4) n;
UPDATE users SET last_failed_login_at = now() - interval '16 minutes' WHERE username = 'scientist';
SELECT outcome FROM authenticate_user('scientist', 'wrong');
SELECT failed_login_attempts FROM users WHERE username = 'scientist';
-- logins are in the audit log, passwords are not
SELECT resource_key #>> '{}' AS login, outcome, severity, details ->> 'outcome' AS why, count(*)
FROM audit_log WHERE action = 'login' AND resource_key #>> '{}' IN ('scientist', 'nobody at all') GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 4;
SELECT count(*) FROM audit_log l WHERE l::text LIKE '%$2b$%' OR l::text LIKE '%wrong1%';

-- sessions
SET pynomaly_store.environment = 'production';
SET ROLE pynomaly_app;
SELECT session_id AS first, token AS first_token, expires_at - now() BETWEEN '23:59' AND '24:01' AS lifetime
FROM create_session(:'scientist', ip_address => '10.0.0.1', user_agent => 'test') \gset
SELECT :'first_token' ~ '^[A-Za-z0-9_-]{43}$' AS token, :'lifetime' AS lifetime;
SELECT session_id = :'first' AS same, user_id = :'scientist' AS user, tenant_id FROM get_session(:'first_token');
SELECT token_hash FROM sessions;
:code
SELECT * FROM get_session('no such token');
SELECT * FROM get_session(NULL);
SELECT count(create_session(:'scientist')) FROM generate_series(1, 5);
SELECT count(*) FILTER (WHERE is_active) AS active, count(*) AS all FROM sessions WHERE user_id = :'scientist';
SELECT session_id FROM get_session(:'first_token');
SELECT create_session(:'nobody');
:code
SELECT create_session(:'scientist', :t2);
:code
SELECT create_session(:'root') IS NOT NULL AS super_admin;
SELECT session_id AS second, token AS second_token FROM create_session(:'scientist') \gset
SELECT revoke_session(:'second_token'), revoke_session(:'second_token');
SELECT session_id FROM get_session(:'second_token');
SELECT revoke_sessions(:'scientist'), revoke_sessions(:'scientist');
SELECT session_id AS third, token AS third_token FROM create_session(:'scientist') \gset
RESET ROLE;
UPDATE sessions SET last_activity = now() - interval '2 minutes' WHERE id = :'third';
SELECT session_id IS NOT NULL AS found FROM get_session(:'third_token');
SELECT last_activity > now() - interval '1 minute' AS touched FROM sessions WHERE id = :'third';
UPDATE sessions SET last_activity = now() - interval '61 minutes' WHERE id = :'third';
SELECT session_id IS NOT NULL AS idle FROM get_session(:'third_token');
UPDATE sessions SET last_activity = now(), expires_at = now() WHERE id = :'third';
SELECT session_id IS NOT NULL AS expired FROM get_session(:'third_token');
SELECT delete_expired_sessions('0 s');
SELECT session_id AS fourth, token AS fourth_token FROM create_session(:'scientist') \gset
UPDATE users SET status = 'suspended' WHERE id = :'scientist';
SELECT session_id IS NOT NULL AS suspended FROM get_session(:'fourth_token');
UPDATE users SET status = 'active' WHERE id = :'scientist';
SELECT session_id IS NOT NULL AS active_again FROM get_session(:'fourth_token');

-- API keys
SET ROLE pynomaly_app;
SELECT key_id AS key, api_key AS key_text FROM create_api_key(:'scientist', 'for the tests', '[]', now() + interval '1 day', 7) \gset
SELECT :'key_text' ~ '^pyn_[A-Za-z0-9_-]{43}$' AS api_key;
SELECT key_id = :'key' AS same, tenant_id, user_id = :'scientist' AS user, name, permissions, rate_limit_per_minute FROM find_api_key(:'key_text');
SELECT key_id FROM find_api_key(:'key_text' || 'x');
SELECT key_id FROM find_api_key(left(:'key_text', 10));
SELECT key_id FROM find_api_key(NULL);
SELECT name, key_prefix = left(:'key_text', 10) AS prefix, usage_count, last_used_at IS NOT NULL AS used FROM api_keys WHERE id = :'key';
SELECT key_hash FROM api_keys;
:code
SELECT create_api_key(:'nobody', 'x');
:code
SELECT create_api_key(:'scientist', '');
:code
SELECT create_api_key(:'scientist', repeat('x', 1000000));
:code
SELECT create_api_key(:'scientist', 'x', expires_at => now() - interval '1 s');
:code
SELECT set_tenant(:t2, false);
SELECT revoke_api_key(:'key') AS of_another_tenant, (SELECT count(*) FROM api_keys) AS seen;
SELECT revoke_api_key(:'key', :t1);
:code
SELECT set_tenant(:t1, false);
RESET ROLE;
UPDATE api_keys SET expires_at = now() WHERE id = :'key';
SELECT key_id FROM find_api_key(:'key_text');
UPDATE api_keys SET expires_at = NULL WHERE id = :'key';
SELECT revoke_api_key(:'key'), revoke_api_key(:'key');
SELECT key_id FROM find_api_key(:'key_text');
-- one of the platform's, which were kept in clear
INSERT INTO api_keys (tenant_id, user_id, name, key_prefix, key_hash)
VALUES (:t1, :'scientist', 'imported', left('ak_0123456789', 10), hash_token('ak_0123456789'));
SELECT name FROM find_api_key('ak_0123456789');

-- invitations
SET ROLE pynomaly_app;
SELECT create_invitation('nobody@access.example', 'viewer', :'viewer');
:code
SELECT create_invitation('nobody@access.example', 'super_admin', :'admin');
:code
SELECT invitation_id AS invitation, token AS invitation_token FROM create_invitation('Nobody@access.example', 'analyst', :'admin') \gset
SELECT accept_invitation(:'invitation_token', :'viewer');
:code
SELECT accept_invitation('inv_', :'nobody');
:code
SELECT accept_invitation(:'invitation_token', :'nobody');
SELECT accept_invitation(:'invitation_token', :'nobody');
:code
SELECT role, granted_by = :'admin' AS by_admin FROM user_tenant_roles WHERE user_id = :'nobody';
SELECT invitation_id AS invitation, token AS invitation_token FROM create_invitation('viewer@access.example', 'analyst', :'admin') \gset
SELECT accept_invitation(:'invitation_token', :'viewer');
SELECT role FROM user_tenant_roles WHERE user_id = :'viewer';
SELECT invitation_id AS invitation, token AS invitation_token FROM create_invitation('viewer@access.example', 'analyst', :'admin') \gset
SELECT revoke_invitation(:'invitation'), revoke_invitation(:'invitation');
SELECT accept_invitation(:'invitation_token', :'viewer');
:code
SELECT invitation_id AS invitation, token AS invitation_token FROM create_invitation('viewer@access.example', 'analyst', :'admin') \gset
RESET ROLE;
UPDATE invitations SET expires_at = now() WHERE id = :'invitation';
SELECT accept_invitation(:'invitation_token', :'viewer');
:code

-- with the role go sessions and keys
SELECT key_id AS key, api_key AS key_text FROM create_api_key(:'scientist', 'another') \gset
SELECT revoke_role(:'scientist');
SELECT key_id FROM find_api_key(:'key_text');
SELECT session_id FROM get_session(:'fourth_token');
SELECT count(*) FILTER (WHERE is_active) FROM sessions WHERE user_id = :'scientist';

SELECT set_tenant(NULL, false);
SELECT grant_role(:'nobody', 'viewer');
:code
DELETE FROM invitations;
DELETE FROM user_tenant_roles WHERE tenant_id IN (:t1, :t2);
DELETE FROM users WHERE email LIKE '%@access.example';
DELETE FROM tenants WHERE id IN (:t1, :t2);
SET client_min_messages = warning;
DROP SCHEMA store_access CASCADE;
