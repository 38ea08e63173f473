/*-------------------------------------------------------------------------
 *
 * parse.c
 *	  Extended JSON v2, relaxed or canonical, as BSON.
 *
 * JSON becomes plain BSON first, objects and all.  Only where there was a key
 * that begins with a dollar sign, unwrap.c then looks for the objects that
 * stand for other values and puts these in their place.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "mb/pg_wchar.h"
#include "mongo/codec.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonfuncs.h"

typedef struct Parser
{
	PnsBsonBuilder *builder;
	const char *what;			/* for messages */
	StringInfoData key;			/* of the member that is next, in UTF-8 */
	bool		suspicious;		/* the result has to be looked through */

	/* of text */
	bool		whole;			/* the outermost object or array is what is
								 * built, not a member of it */
	bool		array;			/* that must be an array */
	int			level;			/* arrays and objects that are open */
	int			positions[PNS_BSON_MAX_DEPTH + PNS_BSON_WRAPPER_DEPTH + 2]; /* of the next element
																			 * of each, -1 in an
																			 * object */
} Parser;

static void parser_init(Parser *parser, PnsBsonBuilder *builder, const char *what);
static void finish_value(Parser *parser, const char *key, int start);
static PnsDocument parse_root(Jsonb *json, bool array, const char *what);
static PnsDocument parse_text_root(text *json, bool array, const char *what);
static PnsDocument finish_root(Parser *parser, bool array);
static void run_parser(Parser *parser, text *json);
static void refuse_root(const Parser *parser, bool array) pg_attribute_noreturn();
static void append_members(Parser *parser, JsonbContainer *container);
static void append_member(Parser *parser, const char *key, JsonbValue *value);
static void note_key(Parser *parser, const char *key, int size);
static void append_string(Parser *parser, const char *key, const char *str, int size);
static void append_number(Parser *parser, const char *key, const char *number);
static bool append_integer(Parser *parser, const char *key, const char *number);
static bool append_double(Parser *parser, const char *key, const char *number);
static PnsJsonResult begin_object(void *state);
static PnsJsonResult begin_array(void *state);
static PnsJsonResult end_container(void *state);
static PnsJsonResult begin_field(void *state, char *name, bool isnull);
static PnsJsonResult scalar(void *state, char *token, JsonTokenType type);
static void enter(Parser *parser, bool array);
static const char *next_key(Parser *parser);

/*
 * pns_mongo_parse_document makes a document of an object.  The keys are in
 * jsonb's order.
 */
PnsDocument
pns_mongo_parse_document(Jsonb *json, const char *what)
{
	return parse_root(json, false, what);
}

/* pns_mongo_parse_array makes an array, its keys being "0", "1" and so on. */
PnsDocument
pns_mongo_parse_array(Jsonb *json, const char *what)
{
	return parse_root(json, true, what);
}

/* pns_mongo_parse_value appends any value. */
void
pns_mongo_parse_value(PnsBsonBuilder *builder, const char *key, Jsonb *json)
{
	pns_parse_jsonb(builder, key, json, "JSON value");
}

/* pns_parse_jsonb appends a value; what says in messages where it is from. */
void
pns_parse_jsonb(PnsBsonBuilder *builder, const char *key, Jsonb *json, const char *what)
{
	int			start = builder->buffer.len;
	Parser		parser;
	JsonbValue	value;

	parser_init(&parser, builder, what);
	if (!JsonbExtractScalar(&json->root, &value))
	{
		value.type = jbvBinary;
		value.val.binary.data = &json->root;
		value.val.binary.len = VARSIZE(json) - VARHDRSZ;
	}
	append_member(&parser, key, &value);
	finish_value(&parser, key, start);
}

/*
 * pns_parse_json appends what text of the type json says, its members in
 * their order, duplicates and all.
 */
void
pns_parse_json(PnsBsonBuilder *builder, const char *key, text *json, const char *what)
{
	int			start = builder->buffer.len;
	Parser		parser;

	parser_init(&parser, builder, what);
	appendStringInfoString(&parser.key, key);
	run_parser(&parser, json);
	finish_value(&parser, key, start);
}

/*
 * pns_mongo_parse_document_text makes a document of an object in text of the
 * type json, whose members keep their order.
 */
PnsDocument
pns_mongo_parse_document_text(text *json, const char *what)
{
	return parse_text_root(json, false, what);
}

/* pns_mongo_parse_array_text does the same with an array. */
PnsDocument
pns_mongo_parse_array_text(text *json, const char *what)
{
	return parse_text_root(json, true, what);
}

/* parser_init prepares to append to a builder. */
static void
parser_init(Parser *parser, PnsBsonBuilder *builder, const char *what)
{
	parser->builder = builder;
	parser->what = what;
	parser->suspicious = false;
	parser->whole = false;
	parser->array = false;
	parser->level = 0;
	parser->positions[0] = -1;
	initStringInfo(&parser->key);
	builder->spare_depth = PNS_BSON_WRAPPER_DEPTH;
}

/*
 * finish_value replaces the member that was appended at start, where there
 * may be something in it that stands for something else, or that is too deep.
 */
static void
finish_value(Parser *parser, const char *key, int start)
{
	StringInfo	buffer = &parser->builder->buffer;
	PnsBsonValue value;
	char	   *copy;

	parser->builder->spare_depth = 0;
	pfree(parser->key.data);
	if (!parser->suspicious)
		return;

	copy = palloc(buffer->len - start);
	memcpy(copy, buffer->data + start, buffer->len - start);
	value.type = (PnsBsonType) (uint8) copy[0];
	value.data = (const uint8 *) copy + 1 + strlen(key) + 1;
	value.size = buffer->len - start - 1 - (strlen(key) + 1);
	buffer->len = start;
	buffer->data[start] = '\0';
	pns_json_unwrap(parser->builder, key, &value, parser->what);
	pfree(copy);
}

/* parse_root makes a document or an array of what must be one. */
static PnsDocument
parse_root(Jsonb *json, bool array, const char *what)
{
	PnsBsonBuilder builder;
	Parser		parser;

	pns_bson_begin(&builder);
	parser_init(&parser, &builder, what);
	if (array ? !JB_ROOT_IS_ARRAY(json) || JB_ROOT_IS_SCALAR(json) : !JB_ROOT_IS_OBJECT(json))
		refuse_root(&parser, array);
	append_members(&parser, &json->root);
	return finish_root(&parser, array);
}

/* parse_text_root does the same with text. */
static PnsDocument
parse_text_root(text *json, bool array, const char *what)
{
	PnsBsonBuilder builder;
	Parser		parser;

	pns_bson_begin(&builder);
	parser_init(&parser, &builder, what);
	parser.whole = true;
	parser.array = array;
	run_parser(&parser, json);
	return finish_root(&parser, array);
}

/* finish_root returns the document, or makes another as finish_value does. */
static PnsDocument
finish_root(Parser *parser, bool array)
{
	PnsDocument document = pns_bson_end(parser->builder);
	PnsBsonBuilder unwrapped;

	pfree(parser->key.data);
	if (!parser->suspicious)
		return document;
	pns_bson_begin(&unwrapped);
	pns_json_unwrap_members(&unwrapped, document, array, parser->what);
	pfree(parser->builder->buffer.data);
	return pns_bson_end(&unwrapped);
}

/* refuse_root raises the error of what is not an object, or not an array. */
static void
refuse_root(const Parser *parser, bool array)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 array ? errmsg("%s is not a JSON array", parser->what) :
			 errmsg("%s is not a JSON object", parser->what)));
}

/* append_members appends the members of an object or an array. */
static void
append_members(Parser *parser, JsonbContainer *container)
{
	JsonbIterator *iterator = JsonbIteratorInit(container);
	int			position = 0;
	JsonbIteratorToken token;
	JsonbValue	value;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			note_key(parser, value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE)
			append_member(parser, parser->key.data, &value);
		else if (token == WJB_ELEM)
			append_member(parser, pns_bson_index(position++), &value);
	}
}

/* append_member appends a value of jsonb. */
static void
append_member(Parser *parser, const char *key, JsonbValue *value)
{
	PnsBsonBuilder *builder = parser->builder;

	switch (value->type)
	{
		case jbvNull:
			pns_bson_append_null(builder, key);
			break;
		case jbvBool:
			pns_bson_append_bool(builder, key, value->val.boolean);
			break;
		case jbvString:
			append_string(parser, key, value->val.string.val, value->val.string.len);
			break;
		case jbvNumeric:
			{
				char	   *number = DatumGetCString(DirectFunctionCall1(numeric_out,
																		 NumericGetDatum(value->val.numeric)));

				append_number(parser, key, number);
				pfree(number);
			}
			break;
		case jbvBinary:
			if (JsonContainerIsArray(value->val.binary.data))
				pns_bson_open_array(builder, key);
			else
				pns_bson_open_document(builder, key);
			if (builder->depth > PNS_BSON_MAX_DEPTH)
				parser->suspicious = true;
			append_members(parser, value->val.binary.data);
			pns_bson_close(builder);
			break;
		default:
			/* elog: a stored jsonb holds no other */
			elog(ERROR, "unexpected jsonb value of type %d", (int) value->type);
	}
}

/* note_key keeps the key of the next member, in UTF-8. */
static void
note_key(Parser *parser, const char *key, int size)
{
	const char *utf8 = pg_server_to_any(key, size, PG_UTF8);

	resetStringInfo(&parser->key);
	appendBinaryStringInfo(&parser->key, utf8, utf8 == key ? size : strlen(utf8));
	if (size > 0 && key[0] == '$')
		parser->suspicious = true;
}

/* append_string appends a string of the database's encoding. */
static void
append_string(Parser *parser, const char *key, const char *str, int size)
{
	const char *utf8 = pg_server_to_any(str, size, PG_UTF8);

	pns_bson_append_string(parser->builder, key, utf8,
						   utf8 == str ? size : strlen(utf8));
}

/*
 * append_number appends a number as the type that reading would show so: an
 * integer of the smaller size that holds it; a double, where the text is one's
 * shortest form or longer only by zeros; else a Decimal128.
 */
static void
append_number(Parser *parser, const char *key, const char *number)
{
	uint8		data[PNS_DECIMAL128_BYTES];

	if (append_integer(parser, key, number) || append_double(parser, key, number))
		return;
	if (!pns_text_to_decimal128(number, data))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("a number in %s is out of range", parser->what),
				 errdetail("A Decimal128 of MongoDB has 34 digits and exponents from -6176 to 6111.")));
	pns_bson_append_decimal128(parser->builder, key, data);
}

/* append_integer appends a number without point and exponent, up to 64 bits. */
static bool
append_integer(Parser *parser, const char *key, const char *number)
{
	int64		integer;
	char	   *end;

	errno = 0;
	integer = strtoi64(number, &end, 10);
	if (errno != 0 || *end != '\0')
		return false;
	if (integer >= PG_INT32_MIN && integer <= PG_INT32_MAX)
		pns_bson_append_int32(parser->builder, key, (int32) integer);
	else
		pns_bson_append_int64(parser->builder, key, integer);
	return true;
}

/* append_double appends a number whose decimal digits a double brings back. */
static bool
append_double(Parser *parser, const char *key, const char *number)
{
	float8		value = strtod(number, NULL);
	PnsDecimal	written;
	PnsDecimal	shortest;

	if (!isfinite(value) || pns_decimal_parse(number, &written) != PNS_DECIMAL_PARSED)
		return false;
	pns_decimal_from_double(value, &shortest);
	if (!pns_decimal_same_number(&written, &shortest))
		return false;
	pns_bson_append_double(parser->builder, key, value);
	return true;
}

/* ---------- text ---------- */

/* run_parser lets PostgreSQL's parser call the functions below. */
static void
run_parser(Parser *parser, text *json)
{
	JsonSemAction actions = {
		.semstate = parser,
		.object_start = begin_object,
		.object_end = end_container,
		.array_start = begin_array,
		.array_end = end_container,
		.object_field_start = begin_field,
		.scalar = scalar,
	};

	pg_parse_json_or_ereport(pns_make_json_lex(json), &actions);
}

/* begin_object opens a sub-document. */
static PnsJsonResult
begin_object(void *state)
{
	enter(state, false);
	return PNS_JSON_RESULT;
}

/* begin_array opens an array. */
static PnsJsonResult
begin_array(void *state)
{
	enter(state, true);
	return PNS_JSON_RESULT;
}

/* end_container closes what was opened last. */
static PnsJsonResult
end_container(void *state)
{
	Parser	   *parser = state;

	parser->level--;
	if (!parser->whole || parser->level > 0)
		pns_bson_close(parser->builder);
	return PNS_JSON_RESULT;
}

/* begin_field keeps the key of the member that follows. */
static PnsJsonResult
begin_field(void *state, char *name, bool isnull)
{
	note_key(state, name, strlen(name));
	return PNS_JSON_RESULT;
}

/* scalar appends what is neither an object nor an array. */
static PnsJsonResult
scalar(void *state, char *token, JsonTokenType type)
{
	Parser	   *parser = state;
	const char *key = next_key(parser);

	if (parser->whole && parser->level == 0)
		refuse_root(parser, parser->array);
	switch (type)
	{
		case JSON_TOKEN_STRING:
			append_string(parser, key, token, strlen(token));
			break;
		case JSON_TOKEN_NUMBER:
			append_number(parser, key, token);
			break;
		case JSON_TOKEN_NULL:
			pns_bson_append_null(parser->builder, key);
			break;
		default:
			pns_bson_append_bool(parser->builder, key, type == JSON_TOKEN_TRUE);
			break;
	}
	return PNS_JSON_RESULT;
}

/* enter opens a sub-document or an array of text. */
static void
enter(Parser *parser, bool array)
{
	const char *key = next_key(parser);

	if (parser->whole && parser->level == 0)
	{
		if (array != parser->array)
			refuse_root(parser, parser->array);
	}
	else if (array)
		pns_bson_open_array(parser->builder, key);
	else
		pns_bson_open_document(parser->builder, key);
	if (parser->builder->depth > PNS_BSON_MAX_DEPTH)
		parser->suspicious = true;
	parser->level++;
	parser->positions[parser->level] = array ? 0 : -1;
}

/* next_key gives the key that a value of text stands under. */
static const char *
next_key(Parser *parser)
{
	int		   *position = &parser->positions[parser->level];

	return *position < 0 ? parser->key.data : pns_bson_index((*position)++);
}
