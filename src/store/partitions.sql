-- ---------------------------------------------------------------------
-- store: partitions by month
-- ---------------------------------------------------------------------

-- Each partitioned table has a default partition, so that a row of any date
-- finds a place, and one partition for each month (UTC) from the present one
-- some months ahead: detection_results_2026_01.  CALL maintain_partitions()
-- makes them, moves rows that had to go into the default partition into the
-- month they belong to, and drops months that partition_rules gives up.
--
-- Partitions are members of the extension, so pg_dump does not describe them.
-- Their rows travel with the default partition, see create_default_partition,
-- and the list of them with a_partition_to_restore.  Both restore by triggers
-- that fire for session_replication_role = replica too: pg_restore --jobs needs
-- that setting, as it does not load a table of an extension after those that its
-- foreign keys name.

CREATE TABLE pynomaly.partition_rules (
    parent       text PRIMARY KEY,
    months_ahead integer NOT NULL DEFAULT 3 CHECK (months_ahead BETWEEN 1 AND 120),
    keep         interval CHECK (keep >= '1 month')
);
COMMENT ON TABLE pynomaly.partition_rules IS
'how many months of a partitioned table are made ahead, and how long they are kept; a table without a row here is kept for ever';
COMMENT ON COLUMN pynomaly.partition_rules.keep IS
'age at which a month is dropped once all of it has reached it, NULL for never';
SELECT pg_catalog.pg_extension_config_dump('pynomaly.partition_rules', '');
GRANT SELECT, INSERT, UPDATE, DELETE ON pynomaly.partition_rules TO pynomaly_admin;

CREATE VIEW pynomaly.partitions WITH (security_invoker = true) AS
SELECT p.relname::text AS parent,
       c.relname::text AS partition,
       CASE WHEN c.relname ~ '_[0-9]{4}_[0-9]{2}$'
            THEN to_date(right(c.relname, 7), 'YYYY_MM') END AS month,
       CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint END AS estimated_rows,
       pg_total_relation_size(c.oid) AS bytes
FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relkind = 'r'
JOIN pg_catalog.pg_class p ON p.oid = i.inhparent AND p.relkind = 'p'
JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace AND n.nspname = 'pynomaly';
COMMENT ON VIEW pynomaly.partitions IS
'partitions of the store: their month, NULL for the default partition, and their size';
GRANT SELECT ON pynomaly.partitions TO pynomaly_admin;

-- anomalies has the months of detection_results: they are made together, and
-- dropped together.
CREATE FUNCTION pynomaly.partition_family(parent text)
RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE parent
        WHEN 'detection_results' THEN ARRAY['detection_results', 'anomalies']
        WHEN 'anomalies' THEN '{}'
        ELSE ARRAY[parent]
    END;
$$;
COMMENT ON FUNCTION pynomaly.partition_family(text) IS
'tables whose partitions are made and dropped with those of a table; none where it goes with another';
REVOKE ALL ON FUNCTION pynomaly.partition_family(text) FROM PUBLIC;

ALTER TABLE pynomaly.partition_rules
    ADD CHECK (parent <> 'anomalies');

-- A table that can become a partition: like its parent, with the parent's
-- policies and statement triggers (ATTACH PARTITION brings indexes, foreign keys
-- and row triggers), a member of the extension.  An anomaly refers to a result
-- of its own month, so that foreign key stands between the partitions, and a
-- month can be dropped without a look at the others.
CREATE FUNCTION pynomaly.create_partition_table(parent text, suffix text)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parent_id oid := format('pynomaly.%I', parent)::regclass;
    child text := format('pynomaly.%I', parent || suffix);
    entry record;
BEGIN
    EXECUTE format('CREATE TABLE %s (LIKE pynomaly.%I INCLUDING ALL)', child, parent);
    EXECUTE format('COMMENT ON TABLE %s IS %L', child, 'partition of ' || parent);
    FOR entry IN
        SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = parent_id
    LOOP
        IF entry.relrowsecurity THEN
            EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', child);
        END IF;
        IF entry.relforcerowsecurity THEN
            EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', child);
        END IF;
    END LOOP;
    FOR entry IN
        SELECT format('CREATE POLICY %I ON %s AS %s FOR %s TO %s', polname, child,
                      CASE WHEN polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
                      CASE polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT'
                           WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE'
                           ELSE 'ALL' END,
                      (SELECT string_agg(CASE WHEN role = 0 THEN 'PUBLIC'
                                              ELSE role::regrole::text END, ', ')
                       FROM unnest(polroles) AS role))
               || coalesce(' USING (' || pg_get_expr(polqual, polrelid) || ')', '')
               || coalesce(' WITH CHECK (' || pg_get_expr(polwithcheck, polrelid) || ')', '')
               AS command
        FROM pg_policy WHERE polrelid = parent_id
    LOOP
        EXECUTE entry.command;
    END LOOP;
    -- Bit 0 of tgtype: for each row.
    FOR entry IN
        SELECT replace(pg_get_triggerdef(oid),
                       format(' ON pynomaly.%I ', parent), format(' ON %s ', child))
               AS command
        FROM pg_trigger
        WHERE tgrelid = parent_id AND NOT tgisinternal AND tgtype & 1 = 0
    LOOP
        EXECUTE entry.command;
    END LOOP;
    IF parent = 'anomalies' THEN
        EXECUTE format(
            'ALTER TABLE %s ADD FOREIGN KEY (tenant_id, result_id, result_created_at) '
            'REFERENCES pynomaly.%I (tenant_id, id, created_at) ON DELETE CASCADE',
            child, 'detection_results' || suffix);
    END IF;
    -- What CREATE EXTENSION makes is a member already.
    IF NOT EXISTS (SELECT FROM pg_depend
                   WHERE classid = 'pg_class'::regclass AND objid = child::regclass
                     AND deptype = 'e')
    THEN
        EXECUTE format('ALTER EXTENSION pynomaly_store ADD TABLE %s', child);
    END IF;
END
$$;
COMMENT ON FUNCTION pynomaly.create_partition_table(text, text) IS
'makes a table that can be attached to a partitioned table of the store';
REVOKE ALL ON FUNCTION pynomaly.create_partition_table(text, text) FROM PUBLIC;

CREATE FUNCTION pynomaly.partition_key(parent text)
RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.attname::text
    FROM pg_partitioned_table p
    JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
    WHERE p.partrelid = format('pynomaly.%I', parent)::regclass;
$$;
COMMENT ON FUNCTION pynomaly.partition_key(text) IS
'column that a table of the store is partitioned by';
REVOKE ALL ON FUNCTION pynomaly.partition_key(text) FROM PUBLIC;

-- Only pg_restore, or a DBA, inserts into a default partition itself, and then
-- the row's month may have a partition.  A row that comes through the parent is
-- in the right place.
CREATE FUNCTION pynomaly.leave_default_partition()
RETURNS trigger
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_store_leave_default_partition';
COMMENT ON FUNCTION pynomaly.leave_default_partition() IS
'trigger of a default partition: sends a row on whose month has a partition';
REVOKE ALL ON FUNCTION pynomaly.leave_default_partition() FROM PUBLIC;

-- pg_dump carries the rows of all partitions as if they stood in the default
-- one; the trigger above puts each where it belongs.  For a partitioned table,
-- or a partition that is not there at CREATE EXTENSION, it could not be told.
CREATE FUNCTION pynomaly.create_default_partition(parent text)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    child text := format('pynomaly.%I', parent || '_default');
    columns text;
BEGIN
    PERFORM pynomaly.create_partition_table(parent, '_default');
    EXECUTE format('ALTER TABLE pynomaly.%I ATTACH PARTITION %s DEFAULT', parent, child);
    -- Before all others, by its name: after one of the parent's the server
    -- looks whether the row is where it belongs.
    EXECUTE format('CREATE TRIGGER aa_leave_default_partition BEFORE INSERT ON %s '
                   'FOR EACH ROW EXECUTE FUNCTION pynomaly.leave_default_partition(%L, %L)',
                   child, parent, pynomaly.partition_key(parent));
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER aa_leave_default_partition', child);
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO columns
    FROM pg_attribute
    WHERE attrelid = child::regclass AND attnum > 0 AND NOT attisdropped;
    PERFORM pg_extension_config_dump(child::regclass,
        format('WHERE false UNION ALL SELECT %s FROM pynomaly.%I', columns, parent));
END
$$;
COMMENT ON FUNCTION pynomaly.create_default_partition(text) IS
'makes the partition for rows of which no month was made; for the extension''s scripts';
REVOKE ALL ON FUNCTION pynomaly.create_default_partition(text) FROM PUBLIC;

-- ---------------------------------------------------------------------
-- making and dropping months
-- ---------------------------------------------------------------------

-- The locks.  Writers of the parents and of the tables that their foreign keys
-- name wait while a month is attached: a row on its way to the default partition
-- would else be refused when its month comes to have another.  Readers wait
-- only for the default partition.  Whoever waits for us waits lock_timeout at
-- most, after which we give way and try again; see do_partition_step.
CREATE FUNCTION pynomaly.create_month(parent text, month date)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    family text[] := pynomaly.partition_family(parent);
    suffix text := to_char(month, '_YYYY_MM');
    lower timestamptz := month::timestamp AT TIME ZONE 'UTC';
    upper timestamptz := (month + interval '1 month') AT TIME ZONE 'UTC';
    within text;
    member text;
    moved bigint;
BEGIN
    FOREACH member IN ARRAY family LOOP
        PERFORM pynomaly.create_partition_table(member, suffix);
    END LOOP;

    -- In the order in which writers come to them: what is referred to, then the
    -- members of the family.
    EXECUTE (
        SELECT 'LOCK TABLE ONLY ' || string_agg(l.relation::text, ', ONLY ' ORDER BY l.place)
               || ' IN SHARE ROW EXCLUSIVE MODE'
        FROM (SELECT DISTINCT 0 AS place, confrelid::regclass AS relation
              FROM pg_constraint
              WHERE contype = 'f'
                AND conrelid = ANY (SELECT format('pynomaly.%I', f.name)::regclass
                                    FROM unnest(family) AS f (name))
              UNION ALL
              SELECT place, format('pynomaly.%I', f.name)::regclass
              FROM unnest(family) WITH ORDINALITY AS f (name, place)) AS l);
    EXECUTE (
        SELECT 'LOCK TABLE ' || string_agg(format('pynomaly.%I', f.name || '_default'), ', ')
               || ' IN ACCESS EXCLUSIVE MODE'
        FROM unnest(family) AS f (name));

    -- The rows stay what they are: no foreign key has to be checked, and no
    -- trigger has to hear of it.
    PERFORM set_config('session_replication_role', 'replica', true);
    FOREACH member IN ARRAY family LOOP
        within := format('%1$I >= %2$L AND %1$I < %3$L',
                         pynomaly.partition_key(member), lower, upper);
        EXECUTE format('WITH gone AS (DELETE FROM pynomaly.%I WHERE %s RETURNING *) '
                       'INSERT INTO pynomaly.%I SELECT * FROM gone',
                       member || '_default', within, member || suffix);
        GET DIAGNOSTICS moved = ROW_COUNT;
        IF moved > 0 THEN
            RAISE LOG 'moved % rows from %_default to %', moved, member, member || suffix;
        END IF;
    END LOOP;
    PERFORM set_config('session_replication_role', 'origin', true);

    FOREACH member IN ARRAY family LOOP
        EXECUTE format('ALTER TABLE pynomaly.%I ATTACH PARTITION pynomaly.%I '
                       'FOR VALUES FROM (%L) TO (%L)', member, member || suffix, lower, upper);
    END LOOP;
END
$$;
COMMENT ON FUNCTION pynomaly.create_month(text, date) IS
'makes the partitions of a month and moves rows there that the default partition has';
REVOKE ALL ON FUNCTION pynomaly.create_month(text, date) FROM PUBLIC;

-- A detached partition would have to be locked out of its foreign keys first:
-- so it is dropped in one piece, members of a family in one statement.
CREATE FUNCTION pynomaly.drop_month(parent text, month date)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    dropped text[];
    member text;
BEGIN
    SELECT array_agg(format('pynomaly.%I', f.name || to_char(month, '_YYYY_MM')))
    INTO dropped
    FROM unnest(pynomaly.partition_family(parent)) AS f (name);
    IF parent = 'audit_log' THEN
        PERFORM pynomaly.retire_audit_month(month);
    END IF;
    FOREACH member IN ARRAY dropped LOOP
        EXECUTE format('ALTER EXTENSION pynomaly_store DROP TABLE %s', member);
    END LOOP;
    EXECUTE 'DROP TABLE ' || array_to_string(dropped, ', ');
    RAISE LOG 'dropped %', array_to_string(dropped, ', ');
END
$$;
COMMENT ON FUNCTION pynomaly.drop_month(text, date) IS
'drops the partitions of a month with their rows';
REVOKE ALL ON FUNCTION pynomaly.drop_month(text, date) FROM PUBLIC;

-- Rows of the default partition that are older than the months that are kept.
CREATE FUNCTION pynomaly.drop_stray_rows(parent text, before timestamptz)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    member text;
    gone bigint;
    total bigint := 0;
BEGIN
    IF parent = 'audit_log' THEN
        PERFORM pynomaly.retire_audit_month(m.month)
        FROM (SELECT DISTINCT pynomaly.audit_month(d.created_at)
              FROM pynomaly.audit_log_default d WHERE d.created_at < before) m (month);
    END IF;
    PERFORM set_config('session_replication_role', 'replica', true);
    FOREACH member IN ARRAY pynomaly.partition_family(parent) LOOP
        EXECUTE format('DELETE FROM pynomaly.%I WHERE %I < %L',
                       member || '_default', pynomaly.partition_key(member), before);
        GET DIAGNOSTICS gone = ROW_COUNT;
        total := total + gone;
    END LOOP;
    PERFORM set_config('session_replication_role', 'origin', true);
    RETURN total;
END
$$;
COMMENT ON FUNCTION pynomaly.drop_stray_rows(text, timestamptz) IS
'deletes what retention gives up from the default partition';
REVOKE ALL ON FUNCTION pynomaly.drop_stray_rows(text, timestamptz) FROM PUBLIC;

-- Tables of the store that are partitioned by month, with their rules.  Months
-- are kept from kept_from on, and made up to made_until.
CREATE VIEW pynomaly.partitioned_tables WITH (security_invoker = true) AS
SELECT c.relname::text AS parent,
       coalesce(r.months_ahead, 3) AS months_ahead,
       r.keep,
       date_trunc('month', now() AT TIME ZONE 'UTC')::date AS present,
       date_trunc('month', (now() - r.keep) AT TIME ZONE 'UTC')::date AS kept_from,
       (date_trunc('month', now() AT TIME ZONE 'UTC')
        + make_interval(months => coalesce(r.months_ahead, 3)))::date AS made_until
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND e.extname = 'pynomaly_store'
JOIN pg_catalog.pg_class c ON c.oid = d.objid AND c.relkind = 'p'
LEFT JOIN pynomaly.partition_rules r ON r.parent = c.relname
WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
  AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
  AND d.deptype = 'e'
  AND pynomaly.partition_family(c.relname) <> '{}';
COMMENT ON VIEW pynomaly.partitioned_tables IS
'tables of the store that are partitioned by month, and which months they keep';
GRANT EXECUTE ON FUNCTION pynomaly.partition_family(text) TO pynomaly_admin;
GRANT SELECT ON pynomaly.partitioned_tables TO pynomaly_admin;

-- Months that the default partition has rows of, within 20 years: what a wrong
-- clock has sent further away stays where it is.
CREATE FUNCTION pynomaly.stray_months(parent text, until date)
RETURNS SETOF date
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT DISTINCT date_trunc(''month'', %1$I AT TIME ZONE ''UTC'')::date '
        'FROM pynomaly.%2$I WHERE %1$I >= now() - interval ''20 years'' AND %1$I < %3$L',
        pynomaly.partition_key(parent), parent || '_default',
        (until + interval '1 month') AT TIME ZONE 'UTC');
END
$$;
COMMENT ON FUNCTION pynomaly.stray_months(text, date) IS
'months of which rows stand in the default partition';
REVOKE ALL ON FUNCTION pynomaly.stray_months(text, date) FROM PUBLIC;

-- What is to be done, the most pressing first.
CREATE FUNCTION pynomaly.next_partition_step(OUT parent text, OUT action text, OUT month date)
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.parent, 'create', wanted.month
    FROM pynomaly.partitioned_tables t,
         LATERAL (SELECT generate_series(t.present, t.made_until, '1 month')::date
                  UNION
                  SELECT pynomaly.stray_months(t.parent, t.made_until)) AS wanted (month)
    WHERE wanted.month >= coalesce(t.kept_from, '-infinity')
      AND NOT EXISTS (SELECT FROM pynomaly.partitions p
                      WHERE p.parent = t.parent AND p.month = wanted.month)
    UNION ALL
    SELECT p.parent, 'drop', p.month
    FROM pynomaly.partitioned_tables t
    JOIN pynomaly.partitions p ON p.parent = t.parent AND p.month < t.kept_from
    ORDER BY 2, 3, 1
    LIMIT 1;
$$;
COMMENT ON FUNCTION pynomaly.next_partition_step() IS
'what maintain_partitions() has to do next, NULL where nothing';
REVOKE ALL ON FUNCTION pynomaly.next_partition_step() FROM PUBLIC;

-- One step in one transaction, with the owner's rights.
CREATE FUNCTION pynomaly.do_partition_step()
RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '100ms'
SET row_security = off
AS $$
DECLARE
    step record;
    rule record;
BEGIN
    FOR attempt IN 1 .. 200 LOOP
        BEGIN
            -- One at a time, in this database.
            LOCK TABLE pynomaly.partition_rules IN SHARE ROW EXCLUSIVE MODE;
            SELECT * INTO step FROM pynomaly.next_partition_step();
            IF step.action = 'create' THEN
                PERFORM pynomaly.create_month(step.parent, step.month);
            ELSIF step.action = 'drop' THEN
                PERFORM pynomaly.drop_month(step.parent, step.month);
            ELSE
                FOR rule IN SELECT * FROM pynomaly.partitioned_tables
                            WHERE kept_from IS NOT NULL
                LOOP
                    PERFORM pynomaly.drop_stray_rows(
                        rule.parent, rule.kept_from::timestamp AT TIME ZONE 'UTC');
                END LOOP;
            END IF;
            RETURN step.action IS NOT NULL;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            NULL;               -- give way, and let those pass that waited
        END;
        PERFORM pg_sleep(0.05 + random() * 0.2);
    END LOOP;
    RAISE EXCEPTION 'could not lock the partitions of the store'
        USING ERRCODE = 'lock_not_available',
              HINT = 'A transaction holds them for long; call maintain_partitions() again later.';
END
$$;
COMMENT ON FUNCTION pynomaly.do_partition_step() IS
'does one thing that maintain_partitions() has to do; false where nothing was left';
REVOKE ALL ON FUNCTION pynomaly.do_partition_step() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.do_partition_step() TO pynomaly_admin;

-- Each step commits, so that its locks last no longer than it needs.  A
-- procedure that commits cannot have a search_path of its own; this one uses
-- no name, and no operator, that a search_path could change.
CREATE PROCEDURE pynomaly.maintain_partitions()
LANGUAGE plpgsql
AS $$
BEGIN
    WHILE pynomaly.do_partition_step() LOOP
        COMMIT;
    END LOOP;
END
$$;
COMMENT ON PROCEDURE pynomaly.maintain_partitions() IS
'makes partitions ahead and drops those that partition_rules gives up; call it daily, outside a transaction';
REVOKE ALL ON PROCEDURE pynomaly.maintain_partitions() FROM PUBLIC;
GRANT EXECUTE ON PROCEDURE pynomaly.maintain_partitions() TO pynomaly_admin;

-- ---------------------------------------------------------------------
-- partitions across a dump
-- ---------------------------------------------------------------------

-- Never has a row.  What pg_dump reads from it is the list of partitions, and
-- what pg_restore inserts into it makes them.  Its name comes before those of
-- the default partitions, so that they are made before there are rows to move;
-- in another order the rows are moved.
CREATE TABLE pynomaly.a_partition_to_restore (
    parent text NOT NULL,
    month  date NOT NULL
);
COMMENT ON TABLE pynomaly.a_partition_to_restore IS
'always empty; carries the list of partitions through a dump';

CREATE FUNCTION pynomaly.restore_partition()
RETURNS trigger
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $$
BEGIN
    IF pynomaly.partition_family(NEW.parent) <> '{}'
       AND NOT EXISTS (SELECT FROM pynomaly.partitions p
                       WHERE p.parent = NEW.parent AND p.month = NEW.month)
    THEN
        -- Before the locks on the parents, as those who load rows do: these may
        -- come side by side.
        EXECUTE (
            SELECT 'LOCK TABLE ' || string_agg(format('pynomaly.%I', f.name || '_default'), ', ')
                   || ' IN ACCESS EXCLUSIVE MODE'
            FROM unnest(pynomaly.partition_family(NEW.parent)) AS f (name));
        PERFORM pynomaly.create_month(NEW.parent, NEW.month);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION pynomaly.restore_partition() IS
'trigger: makes the partition that a dump names';
REVOKE ALL ON FUNCTION pynomaly.restore_partition() FROM PUBLIC;

CREATE TRIGGER restore_partition BEFORE INSERT ON pynomaly.a_partition_to_restore
    FOR EACH ROW EXECUTE FUNCTION pynomaly.restore_partition();
ALTER TABLE pynomaly.a_partition_to_restore ENABLE ALWAYS TRIGGER restore_partition;

-- Straight from the catalog: pg_dump does not read views.
SELECT pg_catalog.pg_extension_config_dump('pynomaly.a_partition_to_restore', $$
    WHERE false
    UNION ALL
    SELECT p.relname::pg_catalog.text,
           pg_catalog.to_date(pg_catalog.right(c.relname, 7), 'YYYY_MM')
    FROM pg_catalog.pg_inherits i
    JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relkind = 'r'
    JOIN pg_catalog.pg_class p ON p.oid = i.inhparent AND p.relkind = 'p'
    WHERE p.relnamespace = 'pynomaly'::pg_catalog.regnamespace
      AND c.relname ~ '_[0-9]{4}_[0-9]{2}$'$$);
