-- ---------------------------------------------------------------------
-- mongo: the type objectid
-- ---------------------------------------------------------------------

COMMENT ON SCHEMA pynomaly IS
'objects of the extension pynomaly_store';
GRANT USAGE ON SCHEMA pynomaly TO PUBLIC;

-- The functions of the type are for everybody (PUBLIC keeps its EXECUTE), and
-- being C that looks no name up they need no search_path of their own, which
-- would make every comparison many times slower.

CREATE TYPE pynomaly.objectid;

CREATE FUNCTION pynomaly.objectid_in(pg_catalog.cstring)
RETURNS pynomaly.objectid
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pns_objectid_in';
COMMENT ON FUNCTION pynomaly.objectid_in(pg_catalog.cstring) IS
'input of pynomaly.objectid: 24 hexadecimal digits';

CREATE FUNCTION pynomaly.objectid_out(pynomaly.objectid)
RETURNS pg_catalog.cstring
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pns_objectid_out';
COMMENT ON FUNCTION pynomaly.objectid_out(pynomaly.objectid) IS
'output of pynomaly.objectid: 24 hexadecimal digits';

CREATE FUNCTION pynomaly.objectid_recv(pg_catalog.internal)
RETURNS pynomaly.objectid
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pns_objectid_recv';
COMMENT ON FUNCTION pynomaly.objectid_recv(pg_catalog.internal) IS
'binary input of pynomaly.objectid: 12 bytes';

CREATE FUNCTION pynomaly.objectid_send(pynomaly.objectid)
RETURNS pg_catalog.bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pns_objectid_send';
COMMENT ON FUNCTION pynomaly.objectid_send(pynomaly.objectid) IS
'binary output of pynomaly.objectid: 12 bytes';

CREATE TYPE pynomaly.objectid (
    INPUT = pynomaly.objectid_in,
    OUTPUT = pynomaly.objectid_out,
    RECEIVE = pynomaly.objectid_recv,
    SEND = pynomaly.objectid_send,
    INTERNALLENGTH = 12,
    ALIGNMENT = char,
    STORAGE = plain
);
COMMENT ON TYPE pynomaly.objectid IS
'ObjectId of MongoDB, 12 bytes';

CREATE FUNCTION pynomaly.objectid_eq(pynomaly.objectid, pynomaly.objectid)
RETURNS pg_catalog.bool
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pns_objectid_eq';
COMMENT ON FUNCTION pynomaly.objectid_eq(pynomaly.objectid, pynomaly.objectid) IS
'implementation of = operator';

CREATE FUNCTION pynomaly.objectid_ne(pynomaly.objectid, pynomaly.objectid)
RETURNS pg_catalog.bool
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pns_objectid_ne';
COMMENT ON FUNCTION pynomaly.objectid_ne(pynomaly.objectid, pynomaly.objectid) IS
'implementation of <> operator';

CREATE FUNCTION pynomaly.objectid_lt(pynomaly.objectid, pynomaly.objectid)
RETURNS pg_catalog.bool
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pns_objectid_lt';
COMMENT ON FUNCTION pynomaly.objectid_lt(pynomaly.objectid, pynomaly.objectid) IS
'implementation of < operator';

CREATE FUNCTION pynomaly.objectid_le(pynomaly.objectid, pynomaly.objectid)
RETURNS pg_catalog.bool
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pns_objectid_le';
COMMENT ON FUNCTION pynomaly.objectid_le(pynomaly.objectid, pynomaly.objectid) IS
'implementation of <= operator';

CREATE FUNCTION pynomaly.objectid_gt(pynomaly.objectid, pynomaly.objectid)
RETURNS pg_catalog.bool
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pns_objectid_gt';
COMMENT ON FUNCTION pynomaly.objectid_gt(pynomaly.objectid, pynomaly.objectid) IS
'implementation of > operator';

CREATE FUNCTION pynomaly.objectid_ge(pynomaly.objectid, pynomaly.objectid)
RETURNS pg_catalog.bool
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pns_objectid_ge';
COMMENT ON FUNCTION pynomaly.objectid_ge(pynomaly.objectid, pynomaly.objectid) IS
'implementation of >= operator';

CREATE FUNCTION pynomaly.objectid_cmp(pynomaly.objectid, pynomaly.objectid)
RETURNS pg_catalog.int4
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pns_objectid_cmp';
COMMENT ON FUNCTION pynomaly.objectid_cmp(pynomaly.objectid, pynomaly.objectid) IS
'less-equal-greater, for btree indexes';

CREATE FUNCTION pynomaly.objectid_sortsupport(pg_catalog.internal)
RETURNS pg_catalog.void
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pns_objectid_sortsupport';
COMMENT ON FUNCTION pynomaly.objectid_sortsupport(pg_catalog.internal) IS
'sort support';

CREATE FUNCTION pynomaly.objectid_hash(pynomaly.objectid)
RETURNS pg_catalog.int4
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pns_objectid_hash';
COMMENT ON FUNCTION pynomaly.objectid_hash(pynomaly.objectid) IS
'hash';

CREATE FUNCTION pynomaly.objectid_hash_extended(pynomaly.objectid, pg_catalog.int8)
RETURNS pg_catalog.int8
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pns_objectid_hash_extended';
COMMENT ON FUNCTION pynomaly.objectid_hash_extended(pynomaly.objectid, pg_catalog.int8) IS
'hash with a seed';

CREATE OPERATOR pynomaly.= (
    FUNCTION = pynomaly.objectid_eq,
    LEFTARG = pynomaly.objectid,
    RIGHTARG = pynomaly.objectid,
    COMMUTATOR = OPERATOR(pynomaly.=),
    NEGATOR = OPERATOR(pynomaly.<>),
    RESTRICT = pg_catalog.eqsel,
    JOIN = pg_catalog.eqjoinsel,
    HASHES,
    MERGES
);
COMMENT ON OPERATOR pynomaly.= (pynomaly.objectid, pynomaly.objectid) IS
'equal';

CREATE OPERATOR pynomaly.<> (
    FUNCTION = pynomaly.objectid_ne,
    LEFTARG = pynomaly.objectid,
    RIGHTARG = pynomaly.objectid,
    COMMUTATOR = OPERATOR(pynomaly.<>),
    NEGATOR = OPERATOR(pynomaly.=),
    RESTRICT = pg_catalog.neqsel,
    JOIN = pg_catalog.neqjoinsel
);
COMMENT ON OPERATOR pynomaly.<> (pynomaly.objectid, pynomaly.objectid) IS
'not equal';

CREATE OPERATOR pynomaly.< (
    FUNCTION = pynomaly.objectid_lt,
    LEFTARG = pynomaly.objectid,
    RIGHTARG = pynomaly.objectid,
    COMMUTATOR = OPERATOR(pynomaly.>),
    NEGATOR = OPERATOR(pynomaly.>=),
    RESTRICT = pg_catalog.scalarltsel,
    JOIN = pg_catalog.scalarltjoinsel
);
COMMENT ON OPERATOR pynomaly.< (pynomaly.objectid, pynomaly.objectid) IS
'less than';

CREATE OPERATOR pynomaly.<= (
    FUNCTION = pynomaly.objectid_le,
    LEFTARG = pynomaly.objectid,
    RIGHTARG = pynomaly.objectid,
    COMMUTATOR = OPERATOR(pynomaly.>=),
    NEGATOR = OPERATOR(pynomaly.>),
    RESTRICT = pg_catalog.scalarlesel,
    JOIN = pg_catalog.scalarlejoinsel
);
COMMENT ON OPERATOR pynomaly.<= (pynomaly.objectid, pynomaly.objectid) IS
'less than or equal';

CREATE OPERATOR pynomaly.> (
    FUNCTION = pynomaly.objectid_gt,
    LEFTARG = pynomaly.objectid,
    RIGHTARG = pynomaly.objectid,
    COMMUTATOR = OPERATOR(pynomaly.<),
    NEGATOR = OPERATOR(pynomaly.<=),
    RESTRICT = pg_catalog.scalargtsel,
    JOIN = pg_catalog.scalargtjoinsel
);
COMMENT ON OPERATOR pynomaly.> (pynomaly.objectid, pynomaly.objectid) IS
'greater than';

CREATE OPERATOR pynomaly.>= (
    FUNCTION = pynomaly.objectid_ge,
    LEFTARG = pynomaly.objectid,
    RIGHTARG = pynomaly.objectid,
    COMMUTATOR = OPERATOR(pynomaly.<=),
    NEGATOR = OPERATOR(pynomaly.<),
    RESTRICT = pg_catalog.scalargesel,
    JOIN = pg_catalog.scalargejoinsel
);
COMMENT ON OPERATOR pynomaly.>= (pynomaly.objectid, pynomaly.objectid) IS
'greater than or equal';

CREATE OPERATOR FAMILY pynomaly.objectid_ops USING btree;
COMMENT ON OPERATOR FAMILY pynomaly.objectid_ops USING btree IS
'order of pynomaly.objectid, by its bytes';
CREATE OPERATOR CLASS pynomaly.objectid_ops
DEFAULT FOR TYPE pynomaly.objectid USING btree FAMILY pynomaly.objectid_ops AS
    OPERATOR 1 pynomaly.<,
    OPERATOR 2 pynomaly.<=,
    OPERATOR 3 pynomaly.=,
    OPERATOR 4 pynomaly.>=,
    OPERATOR 5 pynomaly.>,
    FUNCTION 1 pynomaly.objectid_cmp(pynomaly.objectid, pynomaly.objectid),
    FUNCTION 2 pynomaly.objectid_sortsupport(pg_catalog.internal),
    FUNCTION 4 pg_catalog.btequalimage(pg_catalog.oid);
COMMENT ON OPERATOR CLASS pynomaly.objectid_ops USING btree IS
'order of pynomaly.objectid, by its bytes';

CREATE OPERATOR FAMILY pynomaly.objectid_ops USING hash;
COMMENT ON OPERATOR FAMILY pynomaly.objectid_ops USING hash IS
'equality of pynomaly.objectid';
CREATE OPERATOR CLASS pynomaly.objectid_ops
DEFAULT FOR TYPE pynomaly.objectid USING hash FAMILY pynomaly.objectid_ops AS
    OPERATOR 1 pynomaly.=,
    FUNCTION 1 pynomaly.objectid_hash(pynomaly.objectid),
    FUNCTION 2 pynomaly.objectid_hash_extended(pynomaly.objectid, pg_catalog.int8);
COMMENT ON OPERATOR CLASS pynomaly.objectid_ops USING hash IS
'equality of pynomaly.objectid';

CREATE FUNCTION pynomaly.objectid_to_bytea(pynomaly.objectid)
RETURNS pg_catalog.bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pns_objectid_to_bytea';
COMMENT ON FUNCTION pynomaly.objectid_to_bytea(pynomaly.objectid) IS
'12 bytes of an ObjectId';

CREATE FUNCTION pynomaly.objectid_from_bytea(pg_catalog.bytea)
RETURNS pynomaly.objectid
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pns_objectid_from_bytea';
COMMENT ON FUNCTION pynomaly.objectid_from_bytea(pg_catalog.bytea) IS
'ObjectId of 12 bytes';

CREATE FUNCTION pynomaly.objectid_timestamp(pynomaly.objectid)
RETURNS pg_catalog.timestamptz
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'pns_objectid_timestamp';
COMMENT ON FUNCTION pynomaly.objectid_timestamp(pynomaly.objectid) IS
'time at which an ObjectId was made, to the second';

-- To and from the types of strings PostgreSQL casts by itself.
CREATE CAST (pynomaly.objectid AS pg_catalog.bytea)
    WITH FUNCTION pynomaly.objectid_to_bytea(pynomaly.objectid);
COMMENT ON CAST (pynomaly.objectid AS pg_catalog.bytea) IS
'12 bytes of an ObjectId';
CREATE CAST (pg_catalog.bytea AS pynomaly.objectid)
    WITH FUNCTION pynomaly.objectid_from_bytea(pg_catalog.bytea);
COMMENT ON CAST (pg_catalog.bytea AS pynomaly.objectid) IS
'ObjectId of 12 bytes';
CREATE CAST (pynomaly.objectid AS pg_catalog.timestamptz)
    WITH FUNCTION pynomaly.objectid_timestamp(pynomaly.objectid);
COMMENT ON CAST (pynomaly.objectid AS pg_catalog.timestamptz) IS
'time at which an ObjectId was made, to the second';

