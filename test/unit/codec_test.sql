-- The test functions of codec_test.c; :module is the library's path.
CREATE SCHEMA codec;
CREATE FUNCTION codec.decode_bson(bytea, text[], boolean, boolean)
    RETURNS record LANGUAGE c STRICT AS :'module', 'decode_bson';
CREATE FUNCTION codec.decode_time(bytea, text[], boolean, boolean, integer, anyelement)
    RETURNS double precision LANGUAGE c AS :'module', 'decode_time';
CREATE FUNCTION codec.fuzz_bson(bytea, text[], boolean, boolean, integer, bigint, anyelement)
    RETURNS integer LANGUAGE c AS :'module', 'fuzz_bson';
CREATE FUNCTION codec.json_of_bson(bytea, boolean)
    RETURNS text LANGUAGE c STRICT AS :'module', 'json_of_bson';
CREATE FUNCTION codec.rebuild_bson(bytea)
    RETURNS bytea LANGUAGE c STRICT AS :'module', 'rebuild_bson';
CREATE FUNCTION codec.nest_bson(integer)
    RETURNS bytea LANGUAGE c STRICT AS :'module', 'nest_bson';
CREATE FUNCTION codec.bson_number(bytea, text)
    RETURNS double precision LANGUAGE c STRICT AS :'module', 'bson_number';
CREATE FUNCTION codec.split_path(text)
    RETURNS text[] LANGUAGE c STRICT AS :'module', 'split_path';
CREATE FUNCTION codec.check_column_type(regtype, boolean)
    RETURNS void LANGUAGE c STRICT AS :'module', 'check_column_type';
CREATE FUNCTION codec.encode_value(anyelement, integer, boolean, boolean)
    RETURNS bytea LANGUAGE c STRICT AS :'module', 'encode_value';
CREATE FUNCTION codec.encode_growth(anyelement, integer, boolean, boolean, integer)
    RETURNS bigint LANGUAGE c STRICT AS :'module', 'encode_growth';
CREATE FUNCTION codec.parse_jsonb(jsonb)
    RETURNS bytea LANGUAGE c STRICT AS :'module', 'parse_jsonb';
CREATE FUNCTION codec.parse_json(json)
    RETURNS bytea LANGUAGE c STRICT AS :'module', 'parse_json';
CREATE FUNCTION codec.parse_root(jsonb, boolean)
    RETURNS bytea LANGUAGE c STRICT AS :'module', 'parse_root';
CREATE FUNCTION codec.parse_root(json, boolean)
    RETURNS bytea LANGUAGE c STRICT AS :'module', 'parse_text_root';
