-- ---------------------------------------------------------------------
-- store: what is made last
-- ---------------------------------------------------------------------

-- ---------------------------------------------------------------------
-- partitions, which take policies and triggers from their parents
-- ---------------------------------------------------------------------

DO $$
DECLARE
    parent text;
BEGIN
    FOR parent IN
        SELECT m.name
        FROM pynomaly.partitioned_tables t, unnest(pynomaly.partition_family(t.parent)) AS m (name)
        ORDER BY 1 DESC          -- detection_results before anomalies
    LOOP
        PERFORM pynomaly.create_default_partition(parent);
    END LOOP;
    WHILE pynomaly.do_partition_step() LOOP
    END LOOP;
END
$$;

-- ---------------------------------------------------------------------
-- protection from drops, see src/store/drop.c
-- ---------------------------------------------------------------------

CREATE FUNCTION pynomaly.protect_rows()
RETURNS event_trigger
LANGUAGE c VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_store_protect_rows';
COMMENT ON FUNCTION pynomaly.protect_rows() IS
'event trigger: sees to it that tables of the store are not dropped with rows in them';
REVOKE ALL ON FUNCTION pynomaly.protect_rows() FROM PUBLIC;

CREATE EVENT TRIGGER pynomaly_protect_rows ON ddl_command_start
    WHEN TAG IN ('DROP EXTENSION', 'DROP LANGUAGE', 'DROP OWNED', 'DROP SCHEMA')
    EXECUTE FUNCTION pynomaly.protect_rows();
ALTER EVENT TRIGGER pynomaly_protect_rows ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER pynomaly_protect_rows IS
'refuses to drop the store with rows in it unless pynomaly_store.allow_drop is on';
