-- ---------------------------------------------------------------------
-- store: the audit log (docs/security.md)
--
-- Triggers append an entry for each change of an audited table.  The entries of
-- a session are chained by hash, so that sessions do not wait for each other;
-- seal_audit_log() later puts those of all finished transactions into blocks,
-- which are one chain.  verify_audit_log() finds what was changed, removed or
-- added since.
-- ---------------------------------------------------------------------

-- The C code knows the columns by their position, see audit_entry.c; a later
-- version may add some at the end.
CREATE TABLE pynomaly.audit_log (
    created_at       timestamptz NOT NULL,
    tenant_id        uuid,
    kind             text NOT NULL CHECK (kind IN ('change', 'event')),
    action           text NOT NULL,
    resource_type    text NOT NULL,
    resource_key     jsonb,
    old_values       jsonb,
    new_values       jsonb,
    outcome          text NOT NULL,
    severity         text,
    details          jsonb,
    user_id          uuid,
    role_name        text,
    login_name       text,
    address          inet,
    application_name text,
    correlation_id   text,
    system_id        bigint NOT NULL,
    transaction_id   bigint NOT NULL,
    chain_id         bigint NOT NULL,
    sequence         bigint NOT NULL,
    previous_hash    bytea,
    hash             bytea NOT NULL,
    PRIMARY KEY (created_at, chain_id, sequence)
) PARTITION BY RANGE (created_at);
COMMENT ON TABLE pynomaly.audit_log IS
'who did what and when, before and after; append-only, chained by hash';
COMMENT ON COLUMN pynomaly.audit_log.tenant_id IS
'tenant that the changed row belongs to; NULL for the platform itself';
COMMENT ON COLUMN pynomaly.audit_log.kind IS
'change: a row of a table; event: something that the application reported';
COMMENT ON COLUMN pynomaly.audit_log.action IS
'insert, update, delete, truncate, or what the application calls it';
COMMENT ON COLUMN pynomaly.audit_log.resource_type IS
'the table, or what the application calls it';
COMMENT ON COLUMN pynomaly.audit_log.resource_key IS
'the primary key of the row';
COMMENT ON COLUMN pynomaly.audit_log.old_values IS
'of an update the changed columns as they were, of a delete all; secrets are masked';
COMMENT ON COLUMN pynomaly.audit_log.new_values IS
'of an update the changed columns as they are, of an insert all; secrets are masked';
COMMENT ON COLUMN pynomaly.audit_log.user_id IS
'the application''s user, by set_audit_context';
COMMENT ON COLUMN pynomaly.audit_log.role_name IS
'the role that the statement ran as';
COMMENT ON COLUMN pynomaly.audit_log.login_name IS
'the role that logged in';
COMMENT ON COLUMN pynomaly.audit_log.address IS
'where the user came from, by set_audit_context, else the database''s client';
COMMENT ON COLUMN pynomaly.audit_log.system_id IS
'identifier of the cluster that it was written in';
COMMENT ON COLUMN pynomaly.audit_log.transaction_id IS
'number of the transaction in that cluster';
COMMENT ON COLUMN pynomaly.audit_log.chain_id IS
'chain of the session that wrote it';
COMMENT ON COLUMN pynomaly.audit_log.sequence IS
'place in the chain, from 1';
COMMENT ON COLUMN pynomaly.audit_log.previous_hash IS
'hash of the entry before it in the chain';
COMMENT ON COLUMN pynomaly.audit_log.hash IS
'SHA-256 of all other columns';
-- Ascending, though pages are newest first: where entries come to the end of a
-- tenant's part of an index its pages stay full, and are split seldom.
CREATE INDEX ON pynomaly.audit_log (tenant_id, created_at);
-- the newest entries stand at the end of the table, where sealing looks
CREATE INDEX ON pynomaly.audit_log USING brin (transaction_id);

CREATE TABLE pynomaly.audit_blocks (
    block_no         bigint PRIMARY KEY CHECK (block_no > 0),
    created_at       timestamptz NOT NULL,
    kind             text NOT NULL CHECK (kind IN ('seal', 'retire')),
    month            date NOT NULL,
    system_id        bigint NOT NULL,
    from_transaction bigint NOT NULL,
    to_transaction   bigint NOT NULL,
    entries          bigint NOT NULL,
    entries_hash     bytea NOT NULL,
    previous_hash    bytea,
    hash             bytea NOT NULL
);
COMMENT ON TABLE pynomaly.audit_blocks IS
'the seals of the audit log, chained by hash; append-only';
COMMENT ON COLUMN pynomaly.audit_blocks.kind IS
'seal: entries that are there for good; retire: a month that retention is about to drop';
COMMENT ON COLUMN pynomaly.audit_blocks.month IS
'first day of the entries'' month, in UTC';
COMMENT ON COLUMN pynomaly.audit_blocks.from_transaction IS
'the block holds the entries of the transactions from this one';
COMMENT ON COLUMN pynomaly.audit_blocks.to_transaction IS
'up to this one, which is not in it';
COMMENT ON COLUMN pynomaly.audit_blocks.entries IS
'how many entries it holds';
COMMENT ON COLUMN pynomaly.audit_blocks.entries_hash IS
'SHA-256 of their hashes, in the order of transaction, chain and sequence';
COMMENT ON COLUMN pynomaly.audit_blocks.previous_hash IS
'hash of the block before';
COMMENT ON COLUMN pynomaly.audit_blocks.hash IS
'SHA-256 of all other columns';
SELECT pg_catalog.pg_extension_config_dump('pynomaly.audit_blocks', '');

-- ---------- append-only ----------

CREATE FUNCTION pynomaly.guard_audit()
RETURNS trigger
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_store_guard_audit';
COMMENT ON FUNCTION pynomaly.guard_audit() IS
'trigger: refuses to change or remove entries, and to add any but by the extension';

CREATE TRIGGER guard_audit BEFORE INSERT OR UPDATE OR DELETE ON pynomaly.audit_log
    FOR EACH ROW EXECUTE FUNCTION pynomaly.guard_audit();
CREATE TRIGGER guard_truncate BEFORE TRUNCATE ON pynomaly.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION pynomaly.guard_audit();
CREATE TRIGGER guard_audit BEFORE INSERT OR UPDATE OR DELETE ON pynomaly.audit_blocks
    FOR EACH ROW EXECUTE FUNCTION pynomaly.guard_audit();
CREATE TRIGGER guard_truncate BEFORE TRUNCATE ON pynomaly.audit_blocks
    FOR EACH STATEMENT EXECUTE FUNCTION pynomaly.guard_audit();

-- An owner who is no superuser could disable the triggers, drop a partition, or
-- attach a rule; an event trigger is beyond his reach.
CREATE FUNCTION pynomaly.guard_audit_ddl()
RETURNS event_trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    touched text;
BEGIN
    IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        RETURN;
    END IF;
    IF TG_EVENT = 'sql_drop' THEN
        SELECT o.object_identity INTO touched
        FROM pg_event_trigger_dropped_objects() o
        WHERE o.object_identity ~ '(^| on )pynomaly\.audit_(log|blocks)'
        LIMIT 1;
    ELSE
        SELECT c.object_identity INTO touched
        FROM pg_event_trigger_ddl_commands() c,
        LATERAL (SELECT coalesce(
            (SELECT indrelid FROM pg_index WHERE c.classid = 'pg_class'::regclass AND indexrelid = c.objid),
            (SELECT tgrelid FROM pg_trigger WHERE c.classid = 'pg_trigger'::regclass AND oid = c.objid),
            (SELECT ev_class FROM pg_rewrite WHERE c.classid = 'pg_rewrite'::regclass AND oid = c.objid),
            (SELECT polrelid FROM pg_policy WHERE c.classid = 'pg_policy'::regclass AND oid = c.objid),
            c.objid)) AS r (relation)
        WHERE r.relation IN (SELECT relid FROM pg_partition_tree(to_regclass('pynomaly.audit_log'))
                             UNION ALL SELECT to_regclass('pynomaly.audit_blocks'))
              -- one of them has got another name, or schema
              OR (to_regclass('pynomaly.audit_log') IS NULL
                  OR to_regclass('pynomaly.audit_blocks') IS NULL) AND c.command_tag = 'ALTER TABLE'
        LIMIT 1;
    END IF;
    IF touched IS NOT NULL THEN
        RAISE EXCEPTION 'the audit log is changed by superusers only'
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = format('The command %s changes "%s".', TG_TAG, touched);
    END IF;
END
$$;
COMMENT ON FUNCTION pynomaly.guard_audit_ddl() IS
'event trigger: nobody but a superuser changes the tables of the audit log, not even their owner';
CREATE EVENT TRIGGER pynomaly_guard_audit_ddl ON ddl_command_end
    EXECUTE FUNCTION pynomaly.guard_audit_ddl();
ALTER EVENT TRIGGER pynomaly_guard_audit_ddl ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER pynomaly_guard_audit_ddl IS
'keeps the audit log append-only';
CREATE EVENT TRIGGER pynomaly_guard_audit_drop ON sql_drop
    EXECUTE FUNCTION pynomaly.guard_audit_ddl();
ALTER EVENT TRIGGER pynomaly_guard_audit_drop ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER pynomaly_guard_audit_drop IS
'keeps the audit log append-only';

-- ---------- recording ----------

CREATE FUNCTION pynomaly.is_restoring()
RETURNS boolean
LANGUAGE c STABLE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_store_is_restoring';
COMMENT ON FUNCTION pynomaly.is_restoring() IS
'does this session load a dump? (a superuser with row_security and check_function_bodies off)';

-- Being C that looks no name up by the search_path, it needs none of its own,
-- which would cost each row as much as a third of all the rest.
CREATE FUNCTION pynomaly.record_change()
RETURNS trigger
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'pns_store_record_change';
COMMENT ON FUNCTION pynomaly.record_change() IS
'trigger: appends a change to the audit log; its arguments are columns whose change alone is not recorded';

CREATE FUNCTION pynomaly.audit_table(
    target regclass,
    actions text[] DEFAULT '{insert,update,delete,truncate}',
    ignored text[] DEFAULT '{}')
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_rows text := (SELECT string_agg(upper(a), ' OR ') FROM unnest(actions) a
                     WHERE a IN ('insert', 'update', 'delete'));
    wrong text;
BEGIN
    SELECT a INTO wrong FROM unnest(actions) a
    WHERE a IS NULL OR a NOT IN ('insert', 'update', 'delete', 'truncate');
    IF FOUND OR cardinality(actions) = 0 OR target IS NULL THEN
        RAISE EXCEPTION 'nothing that can be audited: %', coalesce(wrong, '(none)')
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Actions are insert, update, delete and truncate.';
    END IF;
    SELECT i INTO wrong FROM unnest(ignored) i
    WHERE NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = target
                      AND attname = i AND attnum > 0 AND NOT attisdropped);
    IF FOUND THEN
        RAISE EXCEPTION 'table % has no column "%"', target, wrong
            USING ERRCODE = 'undefined_column';
    END IF;
    PERFORM pynomaly.unaudit_table(target);
    IF of_rows IS NOT NULL THEN
        EXECUTE format('CREATE TRIGGER record_change AFTER %s ON %s FOR EACH ROW '
                       'EXECUTE FUNCTION pynomaly.record_change(%s)', of_rows, target,
                       (SELECT string_agg(quote_literal(i), ', ') FROM unnest(ignored) i));
    END IF;
    IF 'truncate' = ANY (actions) THEN
        EXECUTE format('CREATE TRIGGER record_truncate AFTER TRUNCATE ON %s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION pynomaly.record_change()', target);
    END IF;
END
$$;
COMMENT ON FUNCTION pynomaly.audit_table(regclass, text[], text[]) IS
'records these actions on a table; a change of nothing but the ignored columns is not recorded';

CREATE FUNCTION pynomaly.unaudit_table(target regclass)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text;
BEGIN
    FOR name IN
        SELECT tgname FROM pg_trigger
        WHERE tgrelid = target AND tgparentid = 0
          AND tgfoid = 'pynomaly.record_change()'::regprocedure
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', name, target);
    END LOOP;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION pynomaly.unaudit_table(regclass) IS
'ends the recording of a table; returns whether it was recorded';

CREATE FUNCTION pynomaly.write_audit_event(
    action text, resource_type text, resource_key jsonb, outcome text, severity text,
    details jsonb, tenant uuid)
RETURNS void
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_store_record_event';
COMMENT ON FUNCTION pynomaly.write_audit_event(text, text, jsonb, text, text, jsonb, uuid) IS
'appends an event of any tenant to the audit log';

CREATE FUNCTION pynomaly.record_event(
    action text, resource_type text, resource_key jsonb DEFAULT NULL,
    outcome text DEFAULT 'success', severity text DEFAULT NULL, details jsonb DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF greatest(length(action), length(resource_type), length(outcome), length(severity)) > 200
       OR pg_column_size(resource_key) + coalesce(pg_column_size(details), 0) > 65536
       OR pg_column_size(details) > 65536 THEN
        RAISE EXCEPTION 'event is too large for the audit log'
            USING ERRCODE = 'program_limit_exceeded',
                  DETAIL = 'Words have at most 200 characters, key and details 64 kB.';
    END IF;
    PERFORM pynomaly.write_audit_event(action, resource_type, resource_key, outcome, severity,
                                       details, pynomaly.current_tenant());
END
$$;
COMMENT ON FUNCTION pynomaly.record_event(text, text, jsonb, text, text, jsonb) IS
'appends an event that the application reports to the audit log of the current tenant; secrets in details are masked';

CREATE FUNCTION pynomaly.set_audit_context(
    user_id uuid, address inet DEFAULT NULL, correlation_id text DEFAULT NULL,
    is_local boolean DEFAULT true)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pynomaly.is_restoring();        -- loads the library, which knows the settings
    PERFORM set_config('pynomaly_store.user_id', coalesce(user_id::text, ''), is_local),
            set_config('pynomaly_store.client_address', coalesce(host(address), ''), is_local),
            set_config('pynomaly_store.correlation_id', coalesce(left(correlation_id, 200), ''),
                       is_local);
END
$$;
COMMENT ON FUNCTION pynomaly.set_audit_context(uuid, inet, text, boolean) IS
'says for whom this transaction, or session, works: the application''s user, his address, the request';

-- ---------- sealing ----------

CREATE FUNCTION pynomaly.audit_system_id()
RETURNS bigint
LANGUAGE c STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_store_audit_system_id';
COMMENT ON FUNCTION pynomaly.audit_system_id() IS
'identifier of this cluster, as the audit log has it';

CREATE FUNCTION pynomaly.hash_audit_entry(entry pynomaly.audit_log)
RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_store_hash_audit_entry';
COMMENT ON FUNCTION pynomaly.hash_audit_entry(pynomaly.audit_log) IS
'the hash that an entry of the audit log must have';

CREATE FUNCTION pynomaly.hash_audit_block(block pynomaly.audit_blocks)
RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT sha256(convert_to(concat_ws('|', block.block_no,
        extract(epoch FROM block.created_at), block.kind, block.month - date '2000-01-01',
        block.system_id, block.from_transaction, block.to_transaction, block.entries,
        encode(block.entries_hash, 'hex'), encode(block.previous_hash, 'hex')), 'UTF8'))
$$;
COMMENT ON FUNCTION pynomaly.hash_audit_block(pynomaly.audit_blocks) IS
'the hash that a block of the audit log must have';

CREATE FUNCTION pynomaly.append_audit_block(
    kind text, month date, system_id bigint, from_transaction bigint, to_transaction bigint,
    entries bigint, entries_hash bytea)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    last pynomaly.audit_blocks;
    block pynomaly.audit_blocks;
BEGIN
    SELECT * INTO last FROM pynomaly.audit_blocks ORDER BY block_no DESC LIMIT 1;
    block := (coalesce(last.block_no, 0) + 1, clock_timestamp(),
              append_audit_block.kind, append_audit_block.month, append_audit_block.system_id,
              append_audit_block.from_transaction, append_audit_block.to_transaction,
              append_audit_block.entries, append_audit_block.entries_hash, last.hash, '');
    block.hash := pynomaly.hash_audit_block(block);
    INSERT INTO pynomaly.audit_blocks VALUES (block.*);
END
$$;
COMMENT ON FUNCTION pynomaly.append_audit_block(text, date, bigint, bigint, bigint, bigint, bytea) IS
'appends to the chain of blocks, whose lock the caller holds';

CREATE FUNCTION pynomaly.audit_month(created_at timestamptz)
RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT pg_catalog.date_trunc('month', created_at AT TIME ZONE 'UTC')::date $$;
COMMENT ON FUNCTION pynomaly.audit_month(timestamptz) IS
'first day of the month, in UTC';

-- Transactions below the oldest that still runs have ended, so their entries are
-- all there.  A cluster's transactions are sealed in consecutive ranges.  After
-- a dump was restored, or an upgrade, there may be entries of another cluster,
-- which are sealed as they are.
CREATE FUNCTION pynomaly.seal_audit_log(max_entries integer DEFAULT 1000000)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    here constant bigint := pynomaly.audit_system_id();
    everywhere boolean;
    source bigint;
    horizon bigint;
    first bigint;
    beyond bigint;
    part record;
    sealed bigint := 0;
BEGIN
    LOCK TABLE pynomaly.audit_blocks IN SHARE ROW EXCLUSIVE MODE;
    everywhere := (SELECT b.system_id FROM pynomaly.audit_blocks b ORDER BY b.block_no DESC LIMIT 1)
                  IS DISTINCT FROM here;
    FOR source IN
        SELECT DISTINCT l.system_id FROM pynomaly.audit_log l
        WHERE everywhere AND l.system_id <> here
        UNION ALL SELECT here
    LOOP
        horizon := CASE source WHEN here THEN pg_snapshot_xmin(pg_current_snapshot())::text::bigint
                   ELSE (SELECT max(l.transaction_id) + 1 FROM pynomaly.audit_log l
                         WHERE l.system_id = source) END;
        LOOP
            first := coalesce((SELECT max(b.to_transaction) FROM pynomaly.audit_blocks b
                               WHERE b.system_id = source AND b.kind = 'seal'), 0);
            EXIT WHEN first >= horizon;
            -- a transaction is in one block, whatever its size
            beyond := (SELECT l.transaction_id FROM pynomaly.audit_log l
                       WHERE l.system_id = source
                         AND l.transaction_id >= first AND l.transaction_id < horizon
                       ORDER BY l.transaction_id OFFSET greatest(max_entries, 1) LIMIT 1);
            beyond := greatest(coalesce(beyond, horizon), first + 1);
            FOR part IN
                SELECT pynomaly.audit_month(l.created_at) AS month, count(*) AS entries,
                       sha256(string_agg(l.hash, ''::bytea
                              ORDER BY l.transaction_id, l.chain_id, l.sequence)) AS hash
                FROM pynomaly.audit_log l
                WHERE l.system_id = source
                  AND l.transaction_id >= first AND l.transaction_id < beyond
                GROUP BY 1 ORDER BY 1
            LOOP
                PERFORM pynomaly.append_audit_block('seal', part.month, source, first, beyond,
                                                    part.entries, part.hash);
                sealed := sealed + part.entries;
            END LOOP;
            EXIT WHEN NOT FOUND;        -- nothing to seal up to the horizon
        END LOOP;
    END LOOP;
    RETURN sealed;
END
$$;
COMMENT ON FUNCTION pynomaly.seal_audit_log(integer) IS
'puts the audit entries of finished transactions into blocks; returns how many entries';

CREATE FUNCTION pynomaly.retire_audit_month(month date)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    first constant timestamptz := date_trunc('month', month)::timestamp AT TIME ZONE 'UTC';
    part record;
BEGIN
    IF first + interval '1 month' > now() THEN
        RAISE EXCEPTION 'the month of % has not ended', month
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    LOCK TABLE pynomaly.audit_blocks IN SHARE ROW EXCLUSIVE MODE;
    SELECT count(*) AS entries,
           sha256(coalesce(string_agg(l.hash, ''::bytea
                  ORDER BY l.transaction_id, l.chain_id, l.sequence), '')) AS hash
    INTO part
    FROM pynomaly.audit_log l
    WHERE l.created_at >= first
      AND l.created_at < (date_trunc('month', month)::timestamp + interval '1 month') AT TIME ZONE 'UTC';
    PERFORM pynomaly.append_audit_block('retire', pynomaly.audit_month(first),
        pynomaly.audit_system_id(), 0, 0, part.entries, part.hash);
    RETURN part.entries;
END
$$;
COMMENT ON FUNCTION pynomaly.retire_audit_month(date) IS
'notes that retention is about to drop the audit entries of a month (of UTC); returns how many';

CREATE FUNCTION pynomaly.get_audit_head(OUT block_no bigint, OUT hash bytea, OUT created_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT b.block_no, b.hash, b.created_at
    FROM pynomaly.audit_blocks b ORDER BY b.block_no DESC LIMIT 1
$$;
COMMENT ON FUNCTION pynomaly.get_audit_head() IS
'the last block of the audit log, to be noted elsewhere; verify_audit_log compares with it';

-- ---------- verifying ----------

-- Entries by themselves, and the links of each session's chain.
CREATE FUNCTION pynomaly.find_audit_entry_problems(
    OUT problem text, OUT block_no bigint, OUT created_at timestamptz,
    OUT chain_id bigint, OUT sequence bigint)
RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'entry was changed', NULL::bigint, l.created_at, l.chain_id, l.sequence
    FROM pynomaly.audit_log l
    WHERE l.hash IS DISTINCT FROM pynomaly.hash_audit_entry(l)
    UNION ALL
    SELECT 'entry before this one is missing', NULL, e.created_at, e.chain_id, e.sequence
    FROM (SELECT l.created_at, l.chain_id, l.sequence, l.previous_hash,
                 lag(l.sequence) OVER chain AS before, lag(l.hash) OVER chain AS hash_before
          FROM pynomaly.audit_log l
          WINDOW chain AS (PARTITION BY l.chain_id ORDER BY l.sequence)) e
    WHERE CASE WHEN e.before IS NOT NULL
               THEN e.before <> e.sequence - 1 OR e.hash_before IS DISTINCT FROM e.previous_hash
               ELSE e.sequence <> 1
                    AND NOT EXISTS (SELECT FROM pynomaly.audit_blocks b
                                    WHERE b.kind = 'retire'
                                      AND b.month <= pynomaly.audit_month(e.created_at)) END
$$;
COMMENT ON FUNCTION pynomaly.find_audit_entry_problems() IS
'entries of the audit log that were changed, or whose predecessor is missing';

-- The chain of blocks.
CREATE FUNCTION pynomaly.find_audit_block_problems(
    OUT problem text, OUT block_no bigint, OUT created_at timestamptz)
RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'block was changed', b.block_no, b.created_at
    FROM pynomaly.audit_blocks b
    WHERE b.hash IS DISTINCT FROM pynomaly.hash_audit_block(b)
    UNION ALL
    SELECT 'block before this one is missing', c.block_no, c.created_at
    FROM (SELECT b.block_no, b.created_at, b.previous_hash,
                 lag(b.block_no, 1, 0::bigint) OVER blocks AS before,
                 lag(b.hash) OVER blocks AS hash_before
          FROM pynomaly.audit_blocks b WINDOW blocks AS (ORDER BY b.block_no)) c
    WHERE c.before <> c.block_no - 1 OR c.hash_before IS DISTINCT FROM c.previous_hash
$$;
COMMENT ON FUNCTION pynomaly.find_audit_block_problems() IS
'blocks of the audit log that were changed, or whose predecessor is missing';

-- What the blocks hold.  The ranges of a cluster's blocks are consecutive, so a
-- binary search in their beginnings finds the range of a transaction.
CREATE FUNCTION pynomaly.find_audit_seal_problems(
    OUT problem text, OUT block_no bigint, OUT created_at timestamptz)
RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH retired AS (
        SELECT b.month FROM pynomaly.audit_blocks b WHERE b.kind = 'retire'
    ), seals AS (
        SELECT b.* FROM pynomaly.audit_blocks b WHERE b.kind = 'seal'
    ), ranges AS (
        SELECT s.system_id, max(s.to_transaction) AS sealed_to,
               array_agg(DISTINCT s.from_transaction) AS beginnings
        FROM seals s GROUP BY s.system_id
    ), there AS (
        SELECT l.system_id, pynomaly.audit_month(l.created_at) AS month,
               r.beginnings[width_bucket(l.transaction_id, r.beginnings)] AS from_transaction,
               min(l.created_at) AS created_at, count(*) AS entries,
               sha256(string_agg(l.hash, ''::bytea
                      ORDER BY l.transaction_id, l.chain_id, l.sequence)) AS hash
        FROM pynomaly.audit_log l JOIN ranges r USING (system_id)
        WHERE l.transaction_id < r.sealed_to
        GROUP BY 1, 2, 3
    )
    SELECT CASE WHEN s.block_no IS NULL THEN 'entries were added behind the seals'
                WHEN coalesce(t.entries, 0) < s.entries THEN 'entries of the block are missing'
                WHEN t.entries > s.entries THEN 'entries were added to the block'
                ELSE 'entries of the block were changed' END,
           s.block_no, coalesce(s.created_at, t.created_at)
    FROM (SELECT * FROM seals WHERE month NOT IN (SELECT month FROM retired)) s
    FULL JOIN (SELECT * FROM there WHERE month NOT IN (SELECT month FROM retired)) t
        USING (system_id, month, from_transaction)
    WHERE s.entries IS DISTINCT FROM t.entries OR s.entries_hash IS DISTINCT FROM t.hash
    UNION ALL
    SELECT 'entries are in a month that was retired', NULL, min(l.created_at)
    FROM pynomaly.audit_log l JOIN retired r ON r.month = pynomaly.audit_month(l.created_at)
    GROUP BY r.month
$$;
COMMENT ON FUNCTION pynomaly.find_audit_seal_problems() IS
'blocks of the audit log that do not hold what they were sealed with';

CREATE FUNCTION pynomaly.verify_audit_log(
    head_block bigint DEFAULT NULL, head_hash bytea DEFAULT NULL,
    OUT problem text, OUT block_no bigint, OUT created_at timestamptz,
    OUT chain_id bigint, OUT sequence bigint)
RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT * FROM pynomaly.find_audit_entry_problems()
    UNION ALL
    SELECT b.*, NULL, NULL FROM pynomaly.find_audit_block_problems() b
    UNION ALL
    SELECT s.*, NULL, NULL FROM pynomaly.find_audit_seal_problems() s
    UNION ALL
    SELECT 'block is not the one that was noted', head_block, NULL, NULL, NULL
    WHERE head_block IS NOT NULL
      AND NOT EXISTS (SELECT FROM pynomaly.audit_blocks b
                      WHERE b.block_no = head_block AND b.hash = head_hash)
$$;
COMMENT ON FUNCTION pynomaly.verify_audit_log(bigint, bytea) IS
'what was changed, removed or added in the audit log, no row where nothing was; with a block''s number and hash as get_audit_head returned them once also whether that block is still there';

-- ---------- what is recorded ----------

SELECT pynomaly.audit_table('pynomaly.tenants', ignored => '{last_activity,updated_at}');
SELECT pynomaly.audit_table('pynomaly.users', ignored =>
    '{failed_login_attempts,last_failed_login_at,last_login_at,updated_at}');
SELECT pynomaly.audit_table('pynomaly.roles');
SELECT pynomaly.audit_table('pynomaly.permissions');
SELECT pynomaly.audit_table('pynomaly.role_permissions');
SELECT pynomaly.audit_table('pynomaly.user_tenant_roles');
SELECT pynomaly.audit_table('pynomaly.api_keys', ignored => '{usage_count,last_used_at}');
SELECT pynomaly.audit_table('pynomaly.invitations');
SELECT pynomaly.audit_table('pynomaly.sessions', ignored => '{last_activity}');
SELECT pynomaly.audit_table('pynomaly.plan_limits');
SELECT pynomaly.audit_table('pynomaly.setting_definitions');
SELECT pynomaly.audit_table('pynomaly.settings', ignored => '{updated_at}');
SELECT pynomaly.audit_table('pynomaly.tenant_settings', ignored => '{updated_at}');
SELECT pynomaly.audit_table('pynomaly.partition_rules');
SELECT pynomaly.audit_table('pynomaly.datasets', ignored => '{updated_at}');
SELECT pynomaly.audit_table('pynomaly.dataset_contents');
SELECT pynomaly.audit_table('pynomaly.detectors', ignored => '{updated_at}');
SELECT pynomaly.audit_table('pynomaly.models', ignored => '{updated_at}');
SELECT pynomaly.audit_table('pynomaly.model_versions', ignored => '{updated_at}');
SELECT pynomaly.audit_table('pynomaly.model_artifacts');
SELECT pynomaly.audit_table('pynomaly.experiments', ignored => '{updated_at}');
SELECT pynomaly.audit_table('pynomaly.experiment_runs');
SELECT pynomaly.audit_table('pynomaly.training_jobs', ignored =>
    '{progress,current_algorithm,current_trial,estimated_completion,updated_at}');
SELECT pynomaly.audit_table('pynomaly.reports');
SELECT pynomaly.audit_table('pynomaly.alerts', ignored => '{updated_at}');
SELECT pynomaly.audit_table('pynomaly.data_lineage');
-- Of what is measured and only added to, the rows themselves are the record of
-- their making.
SELECT pynomaly.audit_table('pynomaly.detection_results', '{update,delete,truncate}');
SELECT pynomaly.audit_table('pynomaly.anomalies', '{update,delete,truncate}');
SELECT pynomaly.audit_table('pynomaly.anomaly_events', '{update,delete,truncate}');
SELECT pynomaly.audit_table('pynomaly.training_trials', '{update,delete,truncate}');
SELECT pynomaly.audit_table('pynomaly.security_events', '{update,delete,truncate}');

REVOKE ALL ON FUNCTION
    pynomaly.guard_audit(),
    pynomaly.guard_audit_ddl(),
    pynomaly.is_restoring(),
    pynomaly.record_change(),
    pynomaly.audit_table(regclass, text[], text[]),
    pynomaly.unaudit_table(regclass),
    pynomaly.write_audit_event(text, text, jsonb, text, text, jsonb, uuid),
    pynomaly.record_event(text, text, jsonb, text, text, jsonb),
    pynomaly.set_audit_context(uuid, inet, text, boolean),
    pynomaly.audit_system_id(),
    pynomaly.hash_audit_entry(pynomaly.audit_log),
    pynomaly.hash_audit_block(pynomaly.audit_blocks),
    pynomaly.append_audit_block(text, date, bigint, bigint, bigint, bigint, bytea),
    pynomaly.audit_month(timestamptz),
    pynomaly.seal_audit_log(integer),
    pynomaly.retire_audit_month(date),
    pynomaly.get_audit_head(),
    pynomaly.find_audit_entry_problems(),
    pynomaly.find_audit_block_problems(),
    pynomaly.find_audit_seal_problems(),
    pynomaly.verify_audit_log(bigint, bytea)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    pynomaly.is_restoring(),
    pynomaly.record_event(text, text, jsonb, text, text, jsonb),
    pynomaly.set_audit_context(uuid, inet, text, boolean)
TO pynomaly_admin, pynomaly_app, pynomaly_readonly;
GRANT EXECUTE ON FUNCTION
    pynomaly.seal_audit_log(integer),
    pynomaly.get_audit_head(),
    pynomaly.verify_audit_log(bigint, bytea)
TO pynomaly_admin;
