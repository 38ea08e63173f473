-- ---------------------------------------------------------------------
-- fdw: MongoDB collections as foreign tables
-- ---------------------------------------------------------------------

CREATE FUNCTION pynomaly.mongo_handler()
RETURNS pg_catalog.fdw_handler
LANGUAGE c VOLATILE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_fdw_handler';
COMMENT ON FUNCTION pynomaly.mongo_handler() IS
'handler of the foreign data wrapper pynomaly_mongo';
REVOKE ALL ON FUNCTION pynomaly.mongo_handler() FROM PUBLIC;

CREATE FUNCTION pynomaly.mongo_validator(options pg_catalog.text[], catalog pg_catalog.oid)
RETURNS pg_catalog.void
LANGUAGE c VOLATILE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_fdw_validator';
COMMENT ON FUNCTION pynomaly.mongo_validator(pg_catalog.text[], pg_catalog.oid) IS
'checks the options of servers, user mappings, foreign tables and columns of pynomaly_mongo';
REVOKE ALL ON FUNCTION pynomaly.mongo_validator(pg_catalog.text[], pg_catalog.oid) FROM PUBLIC;

CREATE FOREIGN DATA WRAPPER pynomaly_mongo
    HANDLER pynomaly.mongo_handler
    VALIDATOR pynomaly.mongo_validator;
COMMENT ON FOREIGN DATA WRAPPER pynomaly_mongo IS
'MongoDB collections as foreign tables';
