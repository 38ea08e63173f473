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

-- What ANALYZE learns of a collection's indexes, for the planner (index.c).
-- Its rows are made again by the next ANALYZE, so they are not dumped.
CREATE TABLE pynomaly.remote_indexes (
    relid oid NOT NULL,
    name text COLLATE "C" NOT NULL,
    paths text[] NOT NULL,
    descending boolean[] NOT NULL,
    sparse boolean NOT NULL,
    PRIMARY KEY (relid, name)
);
COMMENT ON TABLE pynomaly.remote_indexes IS
'indexes of the collections of foreign tables, as the last ANALYZE of each found them';
COMMENT ON COLUMN pynomaly.remote_indexes.relid IS 'the foreign table';
COMMENT ON COLUMN pynomaly.remote_indexes.name IS 'of the index, on its server';
COMMENT ON COLUMN pynomaly.remote_indexes.paths IS 'of the fields that it is on, in their order';
COMMENT ON COLUMN pynomaly.remote_indexes.descending IS 'which of them it has in descending order';
COMMENT ON COLUMN pynomaly.remote_indexes.sparse IS 'whether documents without these fields are not in it';
REVOKE ALL ON TABLE pynomaly.remote_indexes FROM PUBLIC;
