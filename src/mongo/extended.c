/*-------------------------------------------------------------------------
 *
 * extended.c
 *	  How Extended JSON v2 says what JSON has no words for.
 *
 * A value that is not plain JSON is turned into a small document of plain
 * values ({"$oid": "..."}), which json.c and jsonb.c then write as they write
 * any other; so the vocabulary is in this file alone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/base64.h"
#include "mongo/codec.h"
#include "utils/builtins.h"
#include "utils/datetime.h"

/* Relaxed dates have four digits of a year, from 1970 on. */
#define DATE_END_MS INT64CONST(253402300800000) /* 10000-01-01 */
#define MS_PER_DAY INT64CONST(86400000)

static void wrap_number(const PnsBsonValue *value, PnsBsonBuilder *builder);
static void wrap_objectid(const uint8 *data, PnsBsonBuilder *builder);
static void wrap_date(int64 milliseconds, PnsJsonFormat format,
					  PnsBsonBuilder *builder);
static void wrap_binary(const PnsBsonValue *value, PnsBsonBuilder *builder);
static void wrap_regex(const PnsBsonValue *value, PnsBsonBuilder *builder);
static void wrap_timestamp(uint64 timestamp, PnsBsonBuilder *builder);
static void wrap_dbpointer(const PnsBsonValue *value, PnsBsonBuilder *builder);
static void wrap_scoped_code(const PnsBsonValue *value,
							 PnsBsonBuilder *builder);
static void wrap_string(const PnsBsonValue *value, const char *key,
						PnsBsonBuilder *builder);

/*
 * pns_json_is_plain tells whether a value is written as itself: what JSON
 * has, and in the relaxed format its finite numbers.
 */
bool
pns_json_is_plain(const PnsBsonValue *value, PnsJsonFormat format)
{
	switch (value->type)
	{
		case PNS_BSON_STRING:
		case PNS_BSON_DOCUMENT:
		case PNS_BSON_ARRAY:
		case PNS_BSON_BOOL:
		case PNS_BSON_NULL:
			return true;
		case PNS_BSON_INT32:
		case PNS_BSON_INT64:
			return format != PNS_JSON_CANONICAL;
		case PNS_BSON_DOUBLE:
			return format != PNS_JSON_CANONICAL &&
				isfinite(pns_bson_read_double(value->data));
		default:
			return false;
	}
}

/*
 * pns_json_inner_format is the format in which the document that stands for a
 * value is to be written.  Numbers in it belong to the notation and are
 * plain; but the scope of a code is a document of the user's.
 */
PnsJsonFormat
pns_json_inner_format(const PnsBsonValue *value, PnsJsonFormat format)
{
	return value->type == PNS_BSON_CODE_W_SCOPE ? format : PNS_JSON_RELAXED;
}

/*
 * pns_json_wrap makes the document that stands for a value that is not plain.
 * It lives in the builder, which has been begun.
 */
PnsDocument
pns_json_wrap(const PnsBsonValue *value, PnsJsonFormat format,
			  PnsBsonBuilder *builder)
{
	switch (value->type)
	{
		case PNS_BSON_DOUBLE:
		case PNS_BSON_INT32:
		case PNS_BSON_INT64:
		case PNS_BSON_DECIMAL128:
			wrap_number(value, builder);
			break;
		case PNS_BSON_OBJECTID:
			wrap_objectid(value->data, builder);
			break;
		case PNS_BSON_DATE:
			wrap_date(pns_bson_value_date(value), format, builder);
			break;
		case PNS_BSON_BINARY:
			wrap_binary(value, builder);
			break;
		case PNS_BSON_REGEX:
			wrap_regex(value, builder);
			break;
		case PNS_BSON_TIMESTAMP:
			wrap_timestamp(pns_bson_read_uint64(value->data), builder);
			break;
		case PNS_BSON_CODE:
			wrap_string(value, "$code", builder);
			break;
		case PNS_BSON_SYMBOL:
			wrap_string(value, "$symbol", builder);
			break;
		case PNS_BSON_CODE_W_SCOPE:
			wrap_scoped_code(value, builder);
			break;
		case PNS_BSON_DBPOINTER:
			wrap_dbpointer(value, builder);
			break;
		case PNS_BSON_UNDEFINED:
			pns_bson_append_bool(builder, "$undefined", true);
			break;
		case PNS_BSON_MINKEY:
			pns_bson_append_int32(builder, "$minKey", 1);
			break;
		case PNS_BSON_MAXKEY:
			pns_bson_append_int32(builder, "$maxKey", 1);
			break;
		default:
			/* elog: callers have asked pns_json_is_plain */
			elog(ERROR, "BSON value of type %d is plain JSON", value->type);
	}
	return pns_bson_end(builder);
}

/* wrap_number keeps the type of a number, and what is no JSON number. */
static void
wrap_number(const PnsBsonValue *value, PnsBsonBuilder *builder)
{
	char		str[PNS_DECIMAL128_SIZE];

	switch (value->type)
	{
		case PNS_BSON_INT32:
			pg_ltoa(pns_bson_read_int32(value->data), str);
			pns_bson_append_cstring(builder, "$numberInt", str);
			break;
		case PNS_BSON_INT64:
			pg_lltoa(pns_bson_read_int64(value->data), str);
			pns_bson_append_cstring(builder, "$numberLong", str);
			break;
		case PNS_BSON_DECIMAL128:
			pns_decimal128_to_text(value->data, str);
			pns_bson_append_cstring(builder, "$numberDecimal", str);
			break;
		default:
			{
				float8		number = pns_bson_read_double(value->data);

				if (isfinite(number))
					str[pns_double_to_json(number, str)] = '\0';
				else
					strcpy(str, isnan(number) ? "NaN" :
						   number > 0 ? "Infinity" : "-Infinity");
				pns_bson_append_cstring(builder, "$numberDouble", str);
			}
	}
}

/* wrap_objectid says the hex digits of an ObjectId. */
static void
wrap_objectid(const uint8 *data, PnsBsonBuilder *builder)
{
	char		digits[2 * PNS_OBJECTID_SIZE];

	hex_encode((const char *) data, PNS_OBJECTID_SIZE, digits);
	pns_bson_append_string(builder, "$oid", digits, sizeof(digits));
}

/*
 * wrap_date says a date as ISO 8601, with milliseconds where there are any,
 * and as a number in the canonical format and outside the years 1970 to 9999.
 */
static void
wrap_date(int64 milliseconds, PnsJsonFormat format, PnsBsonBuilder *builder)
{
	char		str[32];
	char	   *next;
	int			year;
	int			month;
	int			day;
	int			rest = milliseconds % MS_PER_DAY;

	if (format == PNS_JSON_CANONICAL || milliseconds < 0 ||
		milliseconds >= DATE_END_MS)
	{
		pg_lltoa(milliseconds, str);
		pns_bson_open_document(builder, "$date");
		pns_bson_append_cstring(builder, "$numberLong", str);
		pns_bson_close(builder);
		return;
	}

	j2date(milliseconds / MS_PER_DAY + UNIX_EPOCH_JDATE, &year, &month, &day);
	next = pg_ultostr_zeropad(str, year, 4);
	*next++ = '-';
	next = pg_ultostr_zeropad(next, month, 2);
	*next++ = '-';
	next = pg_ultostr_zeropad(next, day, 2);
	*next++ = 'T';
	next = pg_ultostr_zeropad(next, rest / 3600000, 2);
	*next++ = ':';
	next = pg_ultostr_zeropad(next, rest / 60000 % 60, 2);
	*next++ = ':';
	next = pg_ultostr_zeropad(next, rest / 1000 % 60, 2);
	if (rest % 1000 != 0)
	{
		*next++ = '.';
		next = pg_ultostr_zeropad(next, rest % 1000, 3);
	}
	*next++ = 'Z';
	pns_bson_append_string(builder, "$date", str, next - str);
}

/* wrap_binary says the bytes in base64 and the subtype in hex digits. */
static void
wrap_binary(const PnsBsonValue *value, PnsBsonBuilder *builder)
{
	uint32		size;
	uint8		subtype;
	const void *data = pns_bson_value_binary(value, &size, &subtype);
	int			room = pg_b64_enc_len(size);
	char	   *base64 = palloc(room);
	int			base64_size = pg_b64_encode(data, size, base64, room);
	char		digits[2];

	hex_encode((const char *) &subtype, 1, digits);
	pns_bson_open_document(builder, "$binary");
	pns_bson_append_string(builder, "base64", base64, base64_size);
	pns_bson_append_string(builder, "subType", digits, sizeof(digits));
	pns_bson_close(builder);
	pfree(base64);
}

/* wrap_regex says the pattern and the options, two C strings. */
static void
wrap_regex(const PnsBsonValue *value, PnsBsonBuilder *builder)
{
	const char *pattern = (const char *) value->data;

	pns_bson_open_document(builder, "$regularExpression");
	pns_bson_append_cstring(builder, "pattern", pattern);
	pns_bson_append_cstring(builder, "options", pattern + strlen(pattern) + 1);
	pns_bson_close(builder);
}

/* wrap_timestamp says the seconds and the ordinal of MongoDB's own clock. */
static void
wrap_timestamp(uint64 timestamp, PnsBsonBuilder *builder)
{
	pns_bson_open_document(builder, "$timestamp");
	pns_bson_append_int64(builder, "t", (int64) (timestamp >> 32));
	pns_bson_append_int64(builder, "i", (int64) (timestamp & 0xffffffff));
	pns_bson_close(builder);
}

/* wrap_dbpointer says a collection and an ObjectId. */
static void
wrap_dbpointer(const PnsBsonValue *value, PnsBsonBuilder *builder)
{
	uint32		size = pns_bson_read_uint32(value->data);

	pns_bson_open_document(builder, "$dbPointer");
	pns_bson_append_string(builder, "$ref", (const char *) value->data + 4,
						   size - 1);
	pns_bson_open_document(builder, "$id");
	wrap_objectid(value->data + 4 + size, builder);
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/* wrap_scoped_code says a code and the document of its variables. */
static void
wrap_scoped_code(const PnsBsonValue *value, PnsBsonBuilder *builder)
{
	uint32		size = pns_bson_read_uint32(value->data + 4);
	PnsDocument scope;

	scope.data = value->data + 8 + size;
	scope.size = value->size - 8 - size;
	pns_bson_append_string(builder, "$code", (const char *) value->data + 8,
						   size - 1);
	pns_bson_append_document(builder, "$scope", scope);
}

/* wrap_string says a value that is a string of another kind. */
static void
wrap_string(const PnsBsonValue *value, const char *key,
			PnsBsonBuilder *builder)
{
	uint32		size;
	const char *str = pns_bson_value_string(value, &size);

	pns_bson_append_string(builder, key, str, size);
}
