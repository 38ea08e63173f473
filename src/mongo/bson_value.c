/*-------------------------------------------------------------------------
 *
 * bson_value.c
 *	  What a value of a document holds.
 *
 * A value that the iterator has returned is as long as its type needs, so
 * nothing is checked here but the type.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mongo/codec.h"

/* pns_bson_value_document returns the document or array that a value is. */
PnsDocument
pns_bson_value_document(const PnsBsonValue *value)
{
	PnsDocument document;

	if (value->type != PNS_BSON_DOCUMENT && value->type != PNS_BSON_ARRAY)
		elog(ERROR, "BSON value is no document");	/* elog: callers look at
													 * the type first */
	document.data = value->data;
	document.size = value->size;
	return document;
}

/*
 * pns_bson_value_string returns the bytes of a string, symbol or code; they
 * are zero-terminated, and may contain zeros and be no UTF-8.  size may be NULL.
 */
const char *
pns_bson_value_string(const PnsBsonValue *value, uint32 *size)
{
	if (value->type != PNS_BSON_STRING && value->type != PNS_BSON_SYMBOL &&
		value->type != PNS_BSON_CODE)
		elog(ERROR, "BSON value is no string"); /* elog: callers look at the
												 * type first */
	if (size != NULL)
		*size = value->size - 5;
	return (const char *) value->data + 4;
}

/* pns_bson_value_date returns a date's milliseconds since 1970 in UTC. */
int64
pns_bson_value_date(const PnsBsonValue *value)
{
	if (value->type != PNS_BSON_DATE)
		elog(ERROR, "BSON value is no date");	/* elog: callers look at the
												 * type first */
	return pns_bson_read_int64(value->data);
}

/*
 * pns_bson_value_number returns a number of any kind as float8, rounded where
 * it must be.  False, and nothing set, where the value is no number.
 */
bool
pns_bson_value_number(const PnsBsonValue *value, float8 *number)
{
	switch (value->type)
	{
		case PNS_BSON_DOUBLE:
			*number = pns_bson_read_double(value->data);
			return true;
		case PNS_BSON_INT32:
			*number = (float8) pns_bson_read_int32(value->data);
			return true;
		case PNS_BSON_INT64:
			*number = (float8) pns_bson_read_int64(value->data);
			return true;
		case PNS_BSON_DECIMAL128:
			{
				char		str[PNS_DECIMAL128_SIZE];

				pns_decimal128_to_text(value->data, str);
				*number = strtod(str, NULL);
				return true;
			}
		default:
			return false;
	}
}

/*
 * pns_bson_value_binary returns the bytes of a binary and its subtype.  The
 * old subtype 2 holds its length again, which does not belong to the data.
 */
const uint8 *
pns_bson_value_binary(const PnsBsonValue *value, uint32 *size, uint8 *subtype)
{
	const uint8 *data = value->data + 5;

	Assert(value->type == PNS_BSON_BINARY);
	*size = value->size - 5;
	*subtype = value->data[4];
	if (*subtype == PNS_BSON_BINARY_OLD && *size >= 4 &&
		pns_bson_read_uint32(data) == *size - 4)
	{
		*size -= 4;
		data += 4;
	}
	return data;
}

/* pns_bson_type_name returns MongoDB's own name of a type. */
const char *
pns_bson_type_name(PnsBsonType type)
{
	static const char *const names[256] = {
		[PNS_BSON_DOUBLE] = "double",
		[PNS_BSON_STRING] = "string",
		[PNS_BSON_DOCUMENT] = "object",
		[PNS_BSON_ARRAY] = "array",
		[PNS_BSON_BINARY] = "binData",
		[PNS_BSON_UNDEFINED] = "undefined",
		[PNS_BSON_OBJECTID] = "objectId",
		[PNS_BSON_BOOL] = "bool",
		[PNS_BSON_DATE] = "date",
		[PNS_BSON_NULL] = "null",
		[PNS_BSON_REGEX] = "regex",
		[PNS_BSON_DBPOINTER] = "dbPointer",
		[PNS_BSON_CODE] = "javascript",
		[PNS_BSON_SYMBOL] = "symbol",
		[PNS_BSON_CODE_W_SCOPE] = "javascriptWithScope",
		[PNS_BSON_INT32] = "int",
		[PNS_BSON_TIMESTAMP] = "timestamp",
		[PNS_BSON_INT64] = "long",
		[PNS_BSON_DECIMAL128] = "decimal",
		[PNS_BSON_MAXKEY] = "maxKey",
		[PNS_BSON_MINKEY] = "minKey"
	};
	const char *name = names[type & 0xff];

	return name != NULL ? name : "unknown";
}
