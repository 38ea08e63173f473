-- ---------------------------------------------------------------------
-- documents: operations of MongoDB as functions
-- ---------------------------------------------------------------------

-- They are for the platform's roles, and beyond that for whoever has USAGE on
-- the server and a user mapping there: the functions look at both themselves.
--
-- Arguments are Extended JSON.  Where MongoDB heeds the order of keys (in a
-- sort, a pipeline, an index, a command) they are json, as jsonb does not
-- keep that order.
--
-- What they read changes while a statement runs, so all of them are volatile;
-- a parallel worker has no connection to share, so reading is restricted to
-- the leader.  The two that return sets of documents are called once a row and
-- look no name up, so they have no search_path, which would be set as often.

CREATE FUNCTION pynomaly.documents_support(pg_catalog.internal)
RETURNS pg_catalog.internal
LANGUAGE c VOLATILE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_documents_support';
COMMENT ON FUNCTION pynomaly.documents_support(pg_catalog.internal) IS
'planner support: how many rows the functions that read documents return';
REVOKE ALL ON FUNCTION pynomaly.documents_support(pg_catalog.internal) FROM PUBLIC;

-- ---------------------------------------------------------------------
-- reading
-- ---------------------------------------------------------------------

CREATE FUNCTION pynomaly.find_documents(
    server name, collection text, filter jsonb DEFAULT '{}', sort json DEFAULT NULL,
    skip bigint DEFAULT NULL, "limit" bigint DEFAULT NULL, projection jsonb DEFAULT NULL)
RETURNS SETOF jsonb
LANGUAGE c VOLATILE PARALLEL RESTRICTED COST 1000 ROWS 1000
SUPPORT pynomaly.documents_support
AS 'MODULE_PATHNAME', 'pns_documents_find';
COMMENT ON FUNCTION pynomaly.find_documents(name, text, jsonb, json, bigint, bigint, jsonb) IS
'documents of a collection that a filter selects';
REVOKE ALL ON FUNCTION pynomaly.find_documents(name, text, jsonb, json, bigint, bigint, jsonb)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.find_documents(name, text, jsonb, json, bigint, bigint, jsonb)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.find_document(
    server name, collection text, filter jsonb DEFAULT '{}', sort json DEFAULT NULL,
    projection jsonb DEFAULT NULL)
RETURNS jsonb
LANGUAGE c VOLATILE PARALLEL RESTRICTED COST 1000
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_documents_find_one';
COMMENT ON FUNCTION pynomaly.find_document(name, text, jsonb, json, jsonb) IS
'first document of a collection that a filter selects, or NULL';
REVOKE ALL ON FUNCTION pynomaly.find_document(name, text, jsonb, json, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.find_document(name, text, jsonb, json, jsonb)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.count_documents(
    server name, collection text, filter jsonb DEFAULT '{}')
RETURNS bigint
LANGUAGE c VOLATILE PARALLEL RESTRICTED COST 1000
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_documents_count';
COMMENT ON FUNCTION pynomaly.count_documents(name, text, jsonb) IS
'number of documents of a collection that a filter selects';
REVOKE ALL ON FUNCTION pynomaly.count_documents(name, text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.count_documents(name, text, jsonb)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.aggregate_documents(
    server name, collection text, pipeline json)
RETURNS SETOF jsonb
LANGUAGE c VOLATILE PARALLEL RESTRICTED COST 1000 ROWS 1000
SUPPORT pynomaly.documents_support
AS 'MODULE_PATHNAME', 'pns_documents_aggregate';
COMMENT ON FUNCTION pynomaly.aggregate_documents(name, text, json) IS
'what an aggregation pipeline makes of a collection';
REVOKE ALL ON FUNCTION pynomaly.aggregate_documents(name, text, json) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.aggregate_documents(name, text, json)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.list_collections(
    server name, database text DEFAULT NULL,
    OUT name text, OUT type text, OUT options jsonb)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL RESTRICTED COST 1000 ROWS 20
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_documents_list_collections';
COMMENT ON FUNCTION pynomaly.list_collections(name, text) IS
'collections and views of a database';
REVOKE ALL ON FUNCTION pynomaly.list_collections(name, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.list_collections(name, text)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.list_indexes(
    server name, collection text,
    OUT name text, OUT keys json, OUT is_unique boolean, OUT definition jsonb)
RETURNS SETOF record
LANGUAGE c VOLATILE PARALLEL RESTRICTED COST 1000 ROWS 10
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_documents_list_indexes';
COMMENT ON FUNCTION pynomaly.list_indexes(name, text) IS
'indexes of a collection';
REVOKE ALL ON FUNCTION pynomaly.list_indexes(name, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.list_indexes(name, text)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

CREATE FUNCTION pynomaly.database_info(server name, database text DEFAULT NULL)
RETURNS jsonb
LANGUAGE c VOLATILE PARALLEL RESTRICTED COST 1000
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_documents_database_info';
COMMENT ON FUNCTION pynomaly.database_info(name, text) IS
'size of a database, and what server it is on';
REVOKE ALL ON FUNCTION pynomaly.database_info(name, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.database_info(name, text)
    TO pynomaly_admin, pynomaly_app, pynomaly_readonly;

-- ---------------------------------------------------------------------
-- any command
-- ---------------------------------------------------------------------

CREATE FUNCTION pynomaly.run_command(server name, database text, command json)
RETURNS jsonb
LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_documents_run_command';
COMMENT ON FUNCTION pynomaly.run_command(name, text, json) IS
'reply of a MongoDB server to a command';
REVOKE ALL ON FUNCTION pynomaly.run_command(name, text, json) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.run_command(name, text, json) TO pynomaly_admin;

-- ---------------------------------------------------------------------
-- writing
-- ---------------------------------------------------------------------

CREATE FUNCTION pynomaly.insert_document(server name, collection text, document jsonb)
RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_documents_insert_one';
COMMENT ON FUNCTION pynomaly.insert_document(name, text, jsonb) IS
'inserts a document and returns its _id';
REVOKE ALL ON FUNCTION pynomaly.insert_document(name, text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.insert_document(name, text, jsonb)
    TO pynomaly_admin, pynomaly_app;

CREATE FUNCTION pynomaly.insert_documents(
    server name, collection text, documents jsonb[], ordered boolean DEFAULT true)
RETURNS text[]
LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_documents_insert';
COMMENT ON FUNCTION pynomaly.insert_documents(name, text, jsonb[], boolean) IS
'inserts documents and returns their _ids';
REVOKE ALL ON FUNCTION pynomaly.insert_documents(name, text, jsonb[], boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.insert_documents(name, text, jsonb[], boolean)
    TO pynomaly_admin, pynomaly_app;

CREATE FUNCTION pynomaly.update_document(
    server name, collection text, filter jsonb, update jsonb, upsert boolean DEFAULT false,
    array_filters jsonb DEFAULT NULL,
    OUT matched bigint, OUT modified bigint, OUT upserted_id text)
LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_documents_update_one';
COMMENT ON FUNCTION pynomaly.update_document(name, text, jsonb, jsonb, boolean, jsonb) IS
'changes the first document that a filter selects, by update operators or a pipeline';
REVOKE ALL ON FUNCTION pynomaly.update_document(name, text, jsonb, jsonb, boolean, jsonb)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.update_document(name, text, jsonb, jsonb, boolean, jsonb)
    TO pynomaly_admin, pynomaly_app;

CREATE FUNCTION pynomaly.update_documents(
    server name, collection text, filter jsonb, update jsonb, upsert boolean DEFAULT false,
    array_filters jsonb DEFAULT NULL,
    OUT matched bigint, OUT modified bigint, OUT upserted_id text)
LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_documents_update_many';
COMMENT ON FUNCTION pynomaly.update_documents(name, text, jsonb, jsonb, boolean, jsonb) IS
'changes all documents that a filter selects, by update operators or a pipeline';
REVOKE ALL ON FUNCTION pynomaly.update_documents(name, text, jsonb, jsonb, boolean, jsonb)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.update_documents(name, text, jsonb, jsonb, boolean, jsonb)
    TO pynomaly_admin, pynomaly_app;

CREATE FUNCTION pynomaly.replace_document(
    server name, collection text, filter jsonb, document jsonb, upsert boolean DEFAULT false,
    OUT matched bigint, OUT modified bigint, OUT upserted_id text)
LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_documents_replace';
COMMENT ON FUNCTION pynomaly.replace_document(name, text, jsonb, jsonb, boolean) IS
'puts a document in the place of the first one that a filter selects';
REVOKE ALL ON FUNCTION pynomaly.replace_document(name, text, jsonb, jsonb, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.replace_document(name, text, jsonb, jsonb, boolean)
    TO pynomaly_admin, pynomaly_app;

CREATE FUNCTION pynomaly.delete_document(server name, collection text, filter jsonb)
RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_documents_delete_one';
COMMENT ON FUNCTION pynomaly.delete_document(name, text, jsonb) IS
'deletes the first document that a filter selects and returns how many that were';
REVOKE ALL ON FUNCTION pynomaly.delete_document(name, text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.delete_document(name, text, jsonb)
    TO pynomaly_admin, pynomaly_app;

CREATE FUNCTION pynomaly.delete_documents(server name, collection text, filter jsonb)
RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_documents_delete_many';
COMMENT ON FUNCTION pynomaly.delete_documents(name, text, jsonb) IS
'deletes all documents that a filter selects and returns how many those were';
REVOKE ALL ON FUNCTION pynomaly.delete_documents(name, text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.delete_documents(name, text, jsonb)
    TO pynomaly_admin, pynomaly_app;

CREATE FUNCTION pynomaly.bulk_write(
    server name, collection text, operations jsonb, ordered boolean DEFAULT true)
RETURNS jsonb
LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_documents_bulk_write';
COMMENT ON FUNCTION pynomaly.bulk_write(name, text, jsonb, boolean) IS
'carries out an array of insertOne, updateOne, updateMany, replaceOne, deleteOne and deleteMany, and reports on each';
REVOKE ALL ON FUNCTION pynomaly.bulk_write(name, text, jsonb, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.bulk_write(name, text, jsonb, boolean)
    TO pynomaly_admin, pynomaly_app;

-- ---------------------------------------------------------------------
-- collections, indexes and validators; for administrators, and never part of
-- a transaction
-- ---------------------------------------------------------------------

CREATE FUNCTION pynomaly.create_collection(
    server name, collection text, options jsonb DEFAULT '{}')
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_documents_create_collection';
COMMENT ON FUNCTION pynomaly.create_collection(name, text, jsonb) IS
'makes a collection, with options of MongoDB''s command "create"';
REVOKE ALL ON FUNCTION pynomaly.create_collection(name, text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.create_collection(name, text, jsonb) TO pynomaly_admin;

CREATE FUNCTION pynomaly.create_index(
    server name, collection text, keys json, is_unique boolean DEFAULT false,
    name text DEFAULT NULL, partial_filter jsonb DEFAULT NULL,
    expire_after interval DEFAULT NULL, options jsonb DEFAULT NULL)
RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_documents_create_index';
COMMENT ON FUNCTION pynomaly.create_index(name, text, json, boolean, text, jsonb, interval, jsonb) IS
'makes an index unless it is there, and returns its name';
REVOKE ALL ON FUNCTION
    pynomaly.create_index(name, text, json, boolean, text, jsonb, interval, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    pynomaly.create_index(name, text, json, boolean, text, jsonb, interval, jsonb)
    TO pynomaly_admin;

CREATE FUNCTION pynomaly.drop_index(server name, collection text, name text)
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_documents_drop_index';
COMMENT ON FUNCTION pynomaly.drop_index(name, text, text) IS
'drops the index of a name';
REVOKE ALL ON FUNCTION pynomaly.drop_index(name, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.drop_index(name, text, text) TO pynomaly_admin;

CREATE FUNCTION pynomaly.set_validator(
    server name, collection text, schema jsonb, level text DEFAULT 'strict',
    action text DEFAULT 'error')
RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pns_documents_set_validator';
COMMENT ON FUNCTION pynomaly.set_validator(name, text, jsonb, text, text) IS
'sets the JSON schema that documents of a collection have to satisfy; NULL: none';
REVOKE ALL ON FUNCTION pynomaly.set_validator(name, text, jsonb, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.set_validator(name, text, jsonb, text, text)
    TO pynomaly_admin;

-- What BSON a column of a type reads, as a part of a JSON schema; the parts
-- of the mapping that a schema cannot say are left out.
CREATE FUNCTION pynomaly.schema_of_type(
    type oid, typmod integer, nullable boolean, dimensions integer DEFAULT 1)
RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    typed pg_type;
    bson text[];
    schema jsonb := '{}';
BEGIN
    SELECT * INTO STRICT typed FROM pg_type t WHERE t.oid = type;
    IF typed.typtype = 'd' THEN
        RETURN pynomaly.schema_of_type(typed.typbasetype, typed.typtypmod,
                                       nullable AND NOT typed.typnotnull, typed.typndims);
    ELSIF type IN ('json'::regtype, 'jsonb'::regtype) THEN
        RETURN CASE WHEN nullable THEN '{}' ELSE '{"not": {"bsonType": "null"}}' END;
    ELSIF typed.typtype = 'e' THEN
        RETURN jsonb_build_object('enum', (
            SELECT coalesce(jsonb_agg(e.enumlabel ORDER BY e.enumsortorder), '[]')
                   || CASE WHEN nullable THEN '[null]'::jsonb ELSE '[]' END
            FROM pg_enum e WHERE e.enumtypid = type));
    ELSIF typed.typcategory = 'A' THEN
        bson := '{array}';
        IF dimensions <= 1 THEN
            schema := jsonb_build_object('items',
                                         pynomaly.schema_of_type(typed.typelem, typmod, true));
        END IF;
    ELSIF type IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype) THEN
        bson := '{int,long}';
        schema := CASE type
            WHEN 'smallint'::regtype THEN '{"minimum": -32768, "maximum": 32767}'
            WHEN 'integer'::regtype THEN '{"minimum": -2147483648, "maximum": 2147483647}'
            ELSE '{}' END;
    ELSE
        bson := CASE
            WHEN type IN ('real'::regtype, 'double precision'::regtype) THEN '{double,int,long}'
            WHEN type = 'numeric'::regtype THEN '{decimal,double,int,long}'
            WHEN type = 'boolean'::regtype THEN '{bool}'
            WHEN type IN ('text'::regtype, 'varchar'::regtype, 'name'::regtype)
                THEN '{string,objectId}'
            WHEN type = 'uuid'::regtype THEN '{binData,string}'
            WHEN type = 'bytea'::regtype THEN '{binData,objectId}'
            WHEN type IN ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype)
                THEN '{date}'
            WHEN type = 'pynomaly.objectid'::regtype THEN '{objectId}'
            ELSE '{string}' END;
        IF type IN ('varchar'::regtype, 'bpchar'::regtype) AND typmod > 4 THEN
            schema := jsonb_build_object('maxLength', typmod - 4);
        END IF;
    END IF;
    RETURN schema || jsonb_build_object('bsonType',
        CASE WHEN nullable THEN bson || 'null'::text ELSE bson END);
END
$$;
COMMENT ON FUNCTION pynomaly.schema_of_type(oid, integer, boolean, integer) IS
'JSON schema of the values that a column of a type reads';
REVOKE ALL ON FUNCTION pynomaly.schema_of_type(oid, integer, boolean, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.schema_of_type(oid, integer, boolean, integer) TO pynomaly_admin;

-- The keys of a field's path, NULL where a schema cannot follow it: into an
-- array by a position, or through a key with a dot or a dollar.
CREATE FUNCTION pynomaly.keys_of_path(path text)
RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT CASE WHEN path !~ '(^|\.)\d+(\.|$)|\\|\$' THEN string_to_array(path, '.') END;
$$;
COMMENT ON FUNCTION pynomaly.keys_of_path(text) IS
'keys of a field''s path that a JSON schema can follow, or NULL';
REVOKE ALL ON FUNCTION pynomaly.keys_of_path(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.keys_of_path(text) TO pynomaly_admin;

CREATE FUNCTION pynomaly.validator_from_table("table" regclass)
RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    field record;
    schema jsonb := '{"bsonType": "object"}';
    place text[];
    found_there jsonb;
BEGIN
    IF "table" IS NULL THEN
        RAISE EXCEPTION 'the table must not be null'
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_foreign_table f
                   JOIN pg_foreign_server s ON s.oid = f.ftserver
                   JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
                   WHERE f.ftrelid = "table" AND w.fdwname = 'pynomaly_mongo') THEN
        RAISE EXCEPTION '"%" is not a foreign table of MongoDB', "table"
            USING ERRCODE = 'wrong_object_type';
    END IF;

    -- what has to be there comes first, so that it makes its parents so too
    FOR field IN
        SELECT pynomaly.keys_of_path(coalesce(o.options->>'field', a.attname)) AS keys,
               pynomaly.schema_of_type(a.atttypid, a.atttypmod, NOT a.attnotnull,
                                       a.attndims) AS schema,
               a.attnotnull AS required
        FROM pg_attribute a,
             LATERAL (SELECT coalesce(jsonb_object_agg(p.option_name, p.option_value), '{}')
                      FROM pg_options_to_table(a.attfdwoptions) AS p) AS o (options)
        WHERE a.attrelid = "table" AND a.attnum > 0 AND NOT a.attisdropped
          AND a.attname <> '__doc' AND NOT coalesce((o.options->>'document')::boolean, false)
        ORDER BY NOT a.attnotnull, a.attnum
    LOOP
        CONTINUE WHEN field.keys IS NULL;
        place := '{}';
        FOR level IN 1 .. cardinality(field.keys) LOOP
            IF schema #> (place || 'properties'::text) IS NULL THEN
                schema := jsonb_set(schema, place || 'properties'::text, '{}');
            END IF;
            IF field.required AND NOT coalesce(schema #> (place || 'required'::text)
                                               ? field.keys[level], false) THEN
                schema := jsonb_set(schema, place || 'required'::text,
                                    coalesce(schema #> (place || 'required'::text), '[]')
                                    || to_jsonb(field.keys[level]));
            END IF;
            place := place || ARRAY['properties', field.keys[level]];
            found_there := schema #> place;
            IF level < cardinality(field.keys) THEN
                CONTINUE WHEN found_there IS NOT NULL;
                schema := jsonb_set(schema, place, CASE
                    WHEN field.required THEN '{"bsonType": ["object"]}'
                    ELSE '{"bsonType": ["object", "null"]}' END::jsonb);
            ELSIF found_there IS NULL THEN
                schema := jsonb_set(schema, place, field.schema);
            ELSIF field.schema <> '{}' THEN
                schema := jsonb_set(schema, place || 'allOf'::text,
                                    coalesce(found_there->'allOf', '[]') || field.schema);
            END IF;
        END LOOP;
    END LOOP;
    RETURN schema;
END
$$;
COMMENT ON FUNCTION pynomaly.validator_from_table(regclass) IS
'JSON schema of the documents that a foreign table can read';
REVOKE ALL ON FUNCTION pynomaly.validator_from_table(regclass) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pynomaly.validator_from_table(regclass) TO pynomaly_admin;
