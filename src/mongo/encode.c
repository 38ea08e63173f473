/*-------------------------------------------------------------------------
 *
 * encode.c
 *	  Which form a column's type takes in a document.
 *
 * What is written reads back, by the conversions of convert*.c, as the value
 * that it was; where MongoDB has no such value, writing it is an error.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "mongo/codec.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

static PnsEncode find_simple(Oid type);
static bool is_text(Oid type);
static void encode_context(void *encoder);

/*
 * pns_mongo_encoder_create prepares to write the values of a column.  A domain
 * is its base type; its constraints have been checked by who made the value.
 */
PnsEncoder *
pns_mongo_encoder_create(const PnsEncoding *encoding)
{
	PnsEncoder *encoder = palloc(sizeof(PnsEncoder));
	PnsEncoding copy = *encoding;

	if (!pns_type_has_values(encoding->type))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" of type %s cannot be written to a document",
						encoding->column, format_type_be(encoding->type)),
				 errhint("Use jsonb for sub-documents.")));
	copy.column = pstrdup(encoding->column);
	copy.collection = pstrdup(encoding->collection);
	pns_encoder_init(encoder, &copy);
	return encoder;
}

/* pns_encoder_init prepares to write values of a type that has some. */
void
pns_encoder_init(PnsEncoder *encoder, const PnsEncoding *encoding)
{
	Oid			type;

	memset(encoder, 0, sizeof(*encoder));
	encoder->encoding = *encoding;
	encoder->encoding.type = getBaseTypeAndTypmod(encoding->type,
												  &encoder->encoding.typmod);
	type = encoder->encoding.type;
	encoder->encode = find_simple(type);
	/* strings may have to be converted to UTF-8 */
	encoder->may_throw = is_text(type) && GetDatabaseEncoding() != PG_UTF8;

	if (type == JSONOID || type == JSONBOID)
		encoder->state = psprintf("column \"%s\" of collection \"%s\"",
								  encoding->column, encoding->collection);
	else if (encoder->encode != NULL)
		return;
	else if (OidIsValid(pns_true_element_type(type)))
		pns_encode_array_init(encoder, pns_true_element_type(type));
	else if (type == pns_mongo_objectid_type())
		encoder->encode = pns_encode_objectid;
	else
		pns_encode_output_init(encoder);
}

/* pns_mongo_encode appends a value. */
void
pns_mongo_encode(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key,
				 Datum value)
{
	ErrorContextCallback callback;

	if (likely(!encoder->may_throw))
	{
		encoder->encode(encoder, builder, key, value);
		return;
	}
	callback.callback = encode_context;
	callback.arg = encoder;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	encoder->encode(encoder, builder, key, value);
	error_context_stack = callback.previous;
}

/*
 * pns_encode_refuse raises the error of a value that cannot be written.
 * detail is a whole sentence; hint may be NULL.
 */
void
pns_encode_refuse(const PnsEncoder *encoder, int sqlerrcode, const char *detail,
				  const char *hint)
{
	const PnsEncoding *encoding = &encoder->encoding;

	ereport(ERROR,
			(errcode(sqlerrcode),
			 errmsg("value of column \"%s\" cannot be written to collection \"%s\"",
					encoding->column, encoding->collection),
			 errdetail("%s", detail),
			 hint != NULL ? errhint("%s", hint) : 0));
}

/* find_simple returns the encoding of a type that needs no preparation. */
static PnsEncode
find_simple(Oid type)
{
	switch (type)
	{
		case INT2OID:
			return pns_encode_int2;
		case INT4OID:
			return pns_encode_int4;
		case INT8OID:
			return pns_encode_int8;
		case FLOAT4OID:
			return pns_encode_float4;
		case FLOAT8OID:
			return pns_encode_float8;
		case NUMERICOID:
			return pns_encode_numeric;
		case BOOLOID:
			return pns_encode_bool;
		case TEXTOID:
		case VARCHAROID:
			return pns_encode_text;
		case BPCHAROID:
			return pns_encode_bpchar;
		case NAMEOID:
			return pns_encode_name;
		case UUIDOID:
			return pns_encode_uuid;
		case BYTEAOID:
			return pns_encode_bytea;
		case TIMESTAMPTZOID:
		case TIMESTAMPOID:
			return pns_encode_timestamp;
		case DATEOID:
			return pns_encode_date;
		case JSONOID:
			return pns_encode_json;
		case JSONBOID:
			return pns_encode_jsonb;
		default:
			return NULL;
	}
}

/* is_text tells whether values of a type are strings of characters. */
static bool
is_text(Oid type)
{
	switch (type)
	{
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case NAMEOID:
		case JSONOID:
		case JSONBOID:
			return true;
		default:
			return false;
	}
}

/*
 * encode_context adds the place to errors of PostgreSQL's own functions.  No
 * catalog may be looked at here.
 */
static void
encode_context(void *encoder)
{
	const PnsEncoding *encoding = &((PnsEncoder *) encoder)->encoding;

	errcontext("column \"%s\" of a document for collection \"%s\"",
			   encoding->column, encoding->collection);
}
