/*-------------------------------------------------------------------------
 *
 * unwrap.c
 *	  The values that objects of Extended JSON v2 stand for.
 *
 * The other direction is in extended.c.  An object that has one of the keys
 * below must be well-formed, as otherwise it could mean two things; objects
 * with other keys that begin with a dollar sign, operators of queries among
 * them, are documents.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/base64.h"
#include "mb/pg_wchar.h"
#include "mongo/codec.h"
#include "utils/datetime.h"
#include "utils/uuid.h"

/* Where in the JSON something stands, for messages. */
typedef struct Place
{
	const char *what;
	const struct Place *outer;	/* NULL at the top */
	const char *key;
} Place;

/* The members of an object that stands for a value. */
typedef struct Wrapped
{
	PnsDocument document;
	PnsBsonValue value;			/* under the reserved key */
	int			count;			/* of its members */
} Wrapped;

/* Appends the value, or returns false where the object is malformed. */
typedef bool (*Unwrap) (PnsBsonBuilder *builder, const char *key,
						const Wrapped *wrapped, const Place *place);

typedef struct Wrapper
{
	const char *key;
	Unwrap		unwrap;
	const char *form;			/* that it must have, for messages */
} Wrapper;

static void append_value(PnsBsonBuilder *builder, const char *key, const PnsBsonValue *value,
						 const Place *place);
static void append_members(PnsBsonBuilder *builder, PnsDocument document, const Place *place);
static const Wrapper *find_wrapper(PnsDocument document, Wrapped *wrapped);
static void malformed(const Wrapper *wrapper, const Place *place) pg_attribute_noreturn();
static char *describe_place(const Place *place);

static bool unwrap_oid(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
					   const Place *place);
static bool unwrap_int(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
					   const Place *place);
static bool unwrap_long(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
						const Place *place);
static bool unwrap_double(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
						  const Place *place);
static bool unwrap_decimal(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
						   const Place *place);
static bool unwrap_date(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
						const Place *place);
static bool unwrap_binary(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
						  const Place *place);
static bool unwrap_uuid(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
						const Place *place);
static bool unwrap_regex(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
						 const Place *place);
static bool unwrap_timestamp(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
							 const Place *place);
static bool unwrap_code(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
						const Place *place);
static bool unwrap_symbol(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
						  const Place *place);
static bool unwrap_dbpointer(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
							 const Place *place);
static bool unwrap_undefined(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
							 const Place *place);
static bool unwrap_minkey(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
						  const Place *place);
static bool unwrap_maxkey(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
						  const Place *place);
static bool unwrap_end(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
					   PnsBsonType type);

static const Wrapper wrappers[] = {
	{"$oid", unwrap_oid, "{\"$oid\": \"24 hexadecimal digits\"}"},
	{"$numberInt", unwrap_int, "{\"$numberInt\": \"32-bit integer\"}"},
	{"$numberLong", unwrap_long, "{\"$numberLong\": \"64-bit integer\"}"},
	{"$numberDouble", unwrap_double, "{\"$numberDouble\": \"number\"}"},
	{"$numberDecimal", unwrap_decimal, "{\"$numberDecimal\": \"number of up to 34 digits\"}"},
	{"$date", unwrap_date, "{\"$date\": \"YYYY-MM-DDTHH:MM:SS.mmmZ\"} or {\"$date\": {\"$numberLong\": \"milliseconds\"}}"},
	{"$binary", unwrap_binary, "{\"$binary\": {\"base64\": \"...\", \"subType\": \"hexadecimal digits\"}}"},
	{"$uuid", unwrap_uuid, "{\"$uuid\": \"hexadecimal digits and hyphens\"}"},
	{"$regularExpression", unwrap_regex, "{\"$regularExpression\": {\"pattern\": \"...\", \"options\": \"...\"}}"},
	{"$timestamp", unwrap_timestamp, "{\"$timestamp\": {\"t\": seconds, \"i\": ordinal}}"},
	{"$code", unwrap_code, "{\"$code\": \"...\"} or {\"$code\": \"...\", \"$scope\": {...}}"},
	{"$symbol", unwrap_symbol, "{\"$symbol\": \"...\"}"},
	{"$dbPointer", unwrap_dbpointer, "{\"$dbPointer\": {\"$ref\": \"...\", \"$id\": {\"$oid\": \"...\"}}}"},
	{"$undefined", unwrap_undefined, "{\"$undefined\": true}"},
	{"$minKey", unwrap_minkey, "{\"$minKey\": 1}"},
	{"$maxKey", unwrap_maxkey, "{\"$maxKey\": 1}"},
};

static bool only_string(const Wrapped *wrapped, const char **str);
static bool member_string(PnsDocument document, const char *key, const char **str);
static bool two_members(const Wrapped *wrapped, PnsDocument *inner);
static bool parse_integer(const char *str, int64 low, int64 high, int64 *number);
static bool parse_hex(const char *str, int size, uint8 *bytes);
static bool parse_date(const char *str, int64 *milliseconds);
static bool parse_digits(const char **str, int count, int *number);
static bool parse_zone(const char **str, int *minutes);
static void append_string_kind(PnsBsonBuilder *builder, const char *key, PnsBsonType type,
							   const char *str);
static void append_bytes(PnsBsonBuilder *builder, const char *key, PnsBsonType type,
						 StringInfo bytes);
static int	compare_chars(const void *a, const void *b);

/* ---------- finding them ---------- */

/*
 * pns_json_unwrap_members appends the members of a document, or the elements
 * of an array, that is itself no value of another kind.
 */
void
pns_json_unwrap_members(PnsBsonBuilder *builder, PnsDocument document, bool array,
						const char *what)
{
	Place		place = {what, NULL, NULL};
	Wrapped		wrapped;
	const Wrapper *wrapper = array ? NULL : find_wrapper(document, &wrapped);

	if (wrapper != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("%s is not a document", what),
				 errdetail("An object with the key \"%s\" stands for a value of another kind.",
						   wrapper->key)));
	append_members(builder, document, &place);
}

/* pns_json_unwrap appends a value. */
void
pns_json_unwrap(PnsBsonBuilder *builder, const char *key, const PnsBsonValue *value,
				const char *what)
{
	Place		place = {what, NULL, NULL};

	append_value(builder, key, value, &place);
}

/*
 * append_value appends a value, with what is in it.  The builder limits the
 * depth.
 */
static void
append_value(PnsBsonBuilder *builder, const char *key, const PnsBsonValue *value,
			 const Place *place)
{
	Wrapped		wrapped;
	const Wrapper *wrapper;

	if (value->type != PNS_BSON_DOCUMENT && value->type != PNS_BSON_ARRAY)
	{
		pns_bson_append_value(builder, key, *value);
		return;
	}
	if (value->type == PNS_BSON_ARRAY)
		pns_bson_open_array(builder, key);
	else
	{
		wrapper = find_wrapper(pns_bson_value_document(value), &wrapped);
		if (wrapper != NULL)
		{
			if (!wrapper->unwrap(builder, key, &wrapped, place))
				malformed(wrapper, place);
			return;
		}
		pns_bson_open_document(builder, key);
	}
	append_members(builder, pns_bson_value_document(value), place);
	pns_bson_close(builder);
}

/* append_members appends the members of a document or an array. */
static void
append_members(PnsBsonBuilder *builder, PnsDocument document, const Place *place)
{
	PnsBsonIterator iterator;

	pns_bson_iterate(&iterator, document);
	while (pns_bson_next(&iterator))
	{
		Place		inner = {place->what, place, iterator.key};

		append_value(builder, iterator.key, &iterator.value, &inner);
	}
}

/* find_wrapper returns what an object stands for, NULL where for itself. */
static const Wrapper *
find_wrapper(PnsDocument document, Wrapped *wrapped)
{
	const Wrapper *found = NULL;
	PnsBsonIterator iterator;

	wrapped->document = document;
	wrapped->count = 0;
	pns_bson_iterate(&iterator, document);
	while (pns_bson_next(&iterator))
	{
		wrapped->count++;
		if (iterator.key[0] != '$' || found != NULL)
			continue;
		for (int i = 0; i < lengthof(wrappers) && found == NULL; i++)
		{
			if (strcmp(iterator.key, wrappers[i].key) == 0)
				found = &wrappers[i];
		}
		wrapped->value = iterator.value;
	}
	return found;
}

/* malformed raises the error of an object with a reserved key. */
static void
malformed(const Wrapper *wrapper, const Place *place)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid Extended JSON in %s", place->what),
			 errdetail("An object with the key \"%s\"%s does not have the form %s.",
					   wrapper->key, describe_place(place), wrapper->form)));
}

/* describe_place returns " at a.b.0", or nothing at the top. */
static char *
describe_place(const Place *place)
{
	char	   *path = NULL;

	for (; place->outer != NULL; place = place->outer)
	{
		const char *key = pg_any_to_server(place->key, strlen(place->key), PG_UTF8);

		path = path != NULL ? psprintf("%s.%s", key, path) : pstrdup(key);
	}
	return path != NULL ? psprintf(" at \"%s\"", path) : pstrdup("");
}

/* ---------- each kind ---------- */

/* unwrap_oid makes an ObjectId. */
static bool
unwrap_oid(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
		   const Place *place)
{
	uint8		bytes[PNS_OBJECTID_SIZE];
	const char *str;

	if (!only_string(wrapped, &str) || !parse_hex(str, PNS_OBJECTID_SIZE, bytes))
		return false;
	pns_bson_append_objectid(builder, key, bytes);
	return true;
}

/* unwrap_int makes an int32. */
static bool
unwrap_int(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
		   const Place *place)
{
	const char *str;
	int64		number;

	if (!only_string(wrapped, &str) ||
		!parse_integer(str, PG_INT32_MIN, PG_INT32_MAX, &number))
		return false;
	pns_bson_append_int32(builder, key, (int32) number);
	return true;
}

/* unwrap_long makes an int64. */
static bool
unwrap_long(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
			const Place *place)
{
	const char *str;
	int64		number;

	if (!only_string(wrapped, &str) ||
		!parse_integer(str, PG_INT64_MIN, PG_INT64_MAX, &number))
		return false;
	pns_bson_append_int64(builder, key, number);
	return true;
}

/* unwrap_double makes a double, the nearest one. */
static bool
unwrap_double(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
			  const Place *place)
{
	PnsDecimal	decimal;
	const char *str;
	float8		number;

	if (!only_string(wrapped, &str) ||
		pns_decimal_parse(str, &decimal) == PNS_DECIMAL_NO_NUMBER)
		return false;
	number = strtod(str, NULL);
	if (isinf(number) && decimal.kind == PNS_DECIMAL_FINITE)
		return false;
	pns_bson_append_double(builder, key, number);
	return true;
}

/* unwrap_decimal makes a Decimal128. */
static bool
unwrap_decimal(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
			   const Place *place)
{
	uint8		data[PNS_DECIMAL128_BYTES];
	const char *str;

	if (!only_string(wrapped, &str) || !pns_text_to_decimal128(str, data))
		return false;
	pns_bson_append_decimal128(builder, key, data);
	return true;
}

/* unwrap_date makes a date of text or of milliseconds. */
static bool
unwrap_date(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
			const Place *place)
{
	const char *str;
	int64		milliseconds;

	if (wrapped->count == 1 && wrapped->value.type == PNS_BSON_DOCUMENT)
	{
		Wrapped		inner;

		inner.document = pns_bson_value_document(&wrapped->value);
		if (find_wrapper(inner.document, &inner) == NULL || inner.count != 1 ||
			!member_string(inner.document, "$numberLong", &str) ||
			!parse_integer(str, PG_INT64_MIN, PG_INT64_MAX, &milliseconds))
			return false;
	}
	else if (!only_string(wrapped, &str) || !parse_date(str, &milliseconds))
		return false;
	pns_bson_append_date(builder, key, milliseconds);
	return true;
}

/* unwrap_binary makes a binary of any subtype. */
static bool
unwrap_binary(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
			  const Place *place)
{
	PnsDocument inner;
	const char *base64;
	const char *subtype;
	char		digits[3] = "00";
	uint8		subtype_byte;
	int			room;
	int			size;
	void	   *bytes;

	if (!two_members(wrapped, &inner) || !member_string(inner, "base64", &base64) ||
		!member_string(inner, "subType", &subtype) ||
		strlen(subtype) < 1 || strlen(subtype) > 2)
		return false;
	memcpy(digits + 2 - strlen(subtype), subtype, strlen(subtype));
	if (!parse_hex(digits, 1, &subtype_byte))
		return false;
	room = pg_b64_dec_len(strlen(base64));
	bytes = palloc(room + 1);
	size = pg_b64_decode(base64, strlen(base64), bytes, room);
	if (size < 0)
		return false;
	pns_bson_append_binary(builder, key, subtype_byte, bytes, size);
	pfree(bytes);
	return true;
}

/* unwrap_uuid makes a binary of subtype 4. */
static bool
unwrap_uuid(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
			const Place *place)
{
	uint8		bytes[UUID_LEN];
	const char *str;

	if (!only_string(wrapped, &str) || !pns_parse_uuid(str, str + strlen(str), bytes))
		return false;
	pns_bson_append_binary(builder, key, PNS_BSON_BINARY_UUID, bytes, UUID_LEN);
	return true;
}

/* unwrap_regex makes a regular expression, its options in their order. */
static bool
unwrap_regex(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
			 const Place *place)
{
	PnsDocument inner;
	const char *pattern;
	const char *options;
	StringInfoData bytes;

	if (!two_members(wrapped, &inner) || !member_string(inner, "pattern", &pattern) ||
		!member_string(inner, "options", &options))
		return false;
	initStringInfo(&bytes);
	appendBinaryStringInfo(&bytes, pattern, strlen(pattern) + 1);
	appendBinaryStringInfo(&bytes, options, strlen(options) + 1);
	qsort(bytes.data + strlen(pattern) + 1, strlen(options), 1, compare_chars);
	append_bytes(builder, key, PNS_BSON_REGEX, &bytes);
	return true;
}

/* unwrap_timestamp makes a value of MongoDB's own clock. */
static bool
unwrap_timestamp(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
				 const Place *place)
{
	static const char *const keys[] = {"i", "t"};
	PnsDocument inner;
	StringInfoData bytes;

	if (!two_members(wrapped, &inner))
		return false;
	initStringInfo(&bytes);
	for (int i = 0; i < lengthof(keys); i++)
	{
		PnsBsonValue part;
		float8		number;
		uint32		little;

		if (!pns_bson_find(inner, keys[i], &part) ||
			(part.type != PNS_BSON_INT32 && part.type != PNS_BSON_INT64) ||
			!pns_bson_value_number(&part, &number) ||
			number < 0 || number > PG_UINT32_MAX)
			return false;
		little = pns_bson_little32((uint32) number);
		appendBinaryStringInfo(&bytes, (const char *) &little, sizeof(little));
	}
	append_bytes(builder, key, PNS_BSON_TIMESTAMP, &bytes);
	return true;
}

/* unwrap_code makes JavaScript, with the document of its variables or without. */
static bool
unwrap_code(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
			const Place *place)
{
	const char *code;
	PnsBsonValue scope;
	PnsBsonBuilder variables;
	PnsDocument document;
	StringInfoData bytes;
	uint32		little;

	if (!member_string(wrapped->document, "$code", &code))
		return false;
	if (wrapped->count == 1)
	{
		append_string_kind(builder, key, PNS_BSON_CODE, code);
		return true;
	}
	if (wrapped->count != 2 || !pns_bson_find(wrapped->document, "$scope", &scope) ||
		scope.type != PNS_BSON_DOCUMENT)
		return false;

	pns_bson_begin(&variables);
	append_members(&variables, pns_bson_value_document(&scope), place);
	document = pns_bson_end(&variables);
	initStringInfo(&bytes);
	little = pns_bson_little32((uint32) (4 + 4 + strlen(code) + 1 + document.size));
	appendBinaryStringInfo(&bytes, (const char *) &little, sizeof(little));
	little = pns_bson_little32((uint32) (strlen(code) + 1));
	appendBinaryStringInfo(&bytes, (const char *) &little, sizeof(little));
	appendBinaryStringInfo(&bytes, code, strlen(code) + 1);
	appendBinaryStringInfo(&bytes, (const char *) document.data, document.size);
	append_bytes(builder, key, PNS_BSON_CODE_W_SCOPE, &bytes);
	pfree(variables.buffer.data);
	return true;
}

/* unwrap_symbol makes a string of the old kind for symbols. */
static bool
unwrap_symbol(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
			  const Place *place)
{
	const char *str;

	if (!only_string(wrapped, &str))
		return false;
	append_string_kind(builder, key, PNS_BSON_SYMBOL, str);
	return true;
}

/* unwrap_dbpointer makes a collection and an ObjectId, of the old kind. */
static bool
unwrap_dbpointer(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
				 const Place *place)
{
	PnsDocument inner;
	PnsBsonValue id;
	const char *collection;
	const char *digits;
	uint8		objectid[PNS_OBJECTID_SIZE];
	StringInfoData bytes;
	uint32		little;

	if (!two_members(wrapped, &inner) || !member_string(inner, "$ref", &collection) ||
		!pns_bson_find(inner, "$id", &id) || id.type != PNS_BSON_DOCUMENT ||
		!member_string(pns_bson_value_document(&id), "$oid", &digits) ||
		!parse_hex(digits, PNS_OBJECTID_SIZE, objectid))
		return false;
	initStringInfo(&bytes);
	little = pns_bson_little32((uint32) (strlen(collection) + 1));
	appendBinaryStringInfo(&bytes, (const char *) &little, sizeof(little));
	appendBinaryStringInfo(&bytes, collection, strlen(collection) + 1);
	appendBinaryStringInfo(&bytes, (const char *) objectid, PNS_OBJECTID_SIZE);
	append_bytes(builder, key, PNS_BSON_DBPOINTER, &bytes);
	return true;
}

/* unwrap_undefined makes the old kind of null. */
static bool
unwrap_undefined(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
				 const Place *place)
{
	PnsBsonValue value = {PNS_BSON_UNDEFINED, (const uint8 *) "", 0};

	if (wrapped->count != 1 || wrapped->value.type != PNS_BSON_BOOL ||
		!wrapped->value.data[0])
		return false;
	pns_bson_append_value(builder, key, value);
	return true;
}

/* unwrap_minkey makes what is below all other values. */
static bool
unwrap_minkey(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
			  const Place *place)
{
	return unwrap_end(builder, key, wrapped, PNS_BSON_MINKEY);
}

/* unwrap_maxkey makes what is above all other values. */
static bool
unwrap_maxkey(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped,
			  const Place *place)
{
	return unwrap_end(builder, key, wrapped, PNS_BSON_MAXKEY);
}

/* unwrap_end makes one of the ends of the order of values. */
static bool
unwrap_end(PnsBsonBuilder *builder, const char *key, const Wrapped *wrapped, PnsBsonType type)
{
	PnsBsonValue value = {type, (const uint8 *) "", 0};

	if (wrapped->count != 1 || wrapped->value.type != PNS_BSON_INT32 ||
		pns_bson_read_int32(wrapped->value.data) != 1)
		return false;
	pns_bson_append_value(builder, key, value);
	return true;
}

/* ---------- what they are made of ---------- */

/*
 * only_string gives the string that is the object's one value.  What comes
 * from JSON has no zero byte in it.
 */
static bool
only_string(const Wrapped *wrapped, const char **str)
{
	uint32		size;

	if (wrapped->count != 1 || wrapped->value.type != PNS_BSON_STRING)
		return false;
	*str = pns_bson_value_string(&wrapped->value, &size);
	return true;
}

/* member_string gives the string under a key. */
static bool
member_string(PnsDocument document, const char *key, const char **str)
{
	PnsBsonValue value;
	uint32		size;

	if (!pns_bson_find(document, key, &value) || value.type != PNS_BSON_STRING)
		return false;
	*str = pns_bson_value_string(&value, &size);
	return true;
}

/* two_members gives the object of two members that is the object's one value. */
static bool
two_members(const Wrapped *wrapped, PnsDocument *inner)
{
	PnsBsonIterator iterator;
	int			count = 0;

	if (wrapped->count != 1 || wrapped->value.type != PNS_BSON_DOCUMENT)
		return false;
	*inner = pns_bson_value_document(&wrapped->value);
	pns_bson_iterate(&iterator, *inner);
	while (pns_bson_next(&iterator))
		count++;
	return count == 2;
}

/* parse_integer reads an integer without a plus sign or blanks. */
static bool
parse_integer(const char *str, int64 low, int64 high, int64 *number)
{
	const char *digits = *str == '-' ? str + 1 : str;
	char	   *end;

	if (*digits < '0' || *digits > '9')
		return false;
	errno = 0;
	*number = strtoi64(str, &end, 10);
	return errno == 0 && *end == '\0' && *number >= low && *number <= high;
}

/* parse_hex reads a number of bytes, and nothing behind them. */
static bool
parse_hex(const char *str, int size, uint8 *bytes)
{
	if (strlen(str) != 2 * size)
		return false;
	for (int i = 0; i < size; i++)
	{
		int			high = pns_hex_digit(str[2 * i]);
		int			low = pns_hex_digit(str[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		bytes[i] = high << 4 | low;
	}
	return true;
}

/*
 * parse_date reads ISO 8601: a day and a time, with up to three digits of a
 * fraction, and Z or an offset.
 */
static bool
parse_date(const char *str, int64 *milliseconds)
{
	int			year,
				month,
				day,
				hour,
				minute,
				second,
				offset;
	int			fraction = 0;

	if (!parse_digits(&str, 4, &year) || *str++ != '-' ||
		!parse_digits(&str, 2, &month) || *str++ != '-' ||
		!parse_digits(&str, 2, &day) || *str++ != 'T' ||
		!parse_digits(&str, 2, &hour) || *str++ != ':' ||
		!parse_digits(&str, 2, &minute) || *str++ != ':' ||
		!parse_digits(&str, 2, &second))
		return false;
	if (*str == '.')
	{
		int			scale = 100;

		for (str++; *str >= '0' && *str <= '9' && scale > 0; str++, scale /= 10)
			fraction += scale * (*str - '0');
		if (scale == 100)
			return false;
	}
	if (!parse_zone(&str, &offset) || *str != '\0' || month < 1 || month > 12 ||
		day < 1 || day > day_tab[isleap(year)][month - 1] || hour > 23 || minute > 59 ||
		second > 59)
		return false;
	*milliseconds = (int64) (date2j(year, month, day) - UNIX_EPOCH_JDATE) * (USECS_PER_DAY / 1000) +
		((hour * 60 + minute - offset) * 60 + second) * INT64CONST(1000) + fraction;
	return true;
}

/* parse_digits reads a number of so many digits. */
static bool
parse_digits(const char **str, int count, int *number)
{
	*number = 0;
	for (; count > 0; count--, (*str)++)
	{
		if (**str < '0' || **str > '9')
			return false;
		*number = *number * 10 + (**str - '0');
	}
	return true;
}

/* parse_zone reads Z, or an offset with a colon or without, as minutes. */
static bool
parse_zone(const char **str, int *minutes)
{
	bool		negative = **str == '-';
	int			hour;
	int			minute;

	*minutes = 0;
	if (**str == 'Z')
	{
		(*str)++;
		return true;
	}
	if (**str != '+' && **str != '-')
		return false;
	(*str)++;
	if (!parse_digits(str, 2, &hour))
		return false;
	if (**str == ':')
		(*str)++;
	if (!parse_digits(str, 2, &minute) || hour > 23 || minute > 59)
		return false;
	*minutes = hour * 60 + minute;
	if (negative)
		*minutes = -*minutes;
	return true;
}

/* append_string_kind appends a value that is a string of another kind. */
static void
append_string_kind(PnsBsonBuilder *builder, const char *key, PnsBsonType type,
				   const char *str)
{
	uint32		little = pns_bson_little32((uint32) (strlen(str) + 1));
	StringInfoData bytes;

	initStringInfo(&bytes);
	appendBinaryStringInfo(&bytes, (const char *) &little, sizeof(little));
	appendBinaryStringInfo(&bytes, str, strlen(str) + 1);
	append_bytes(builder, key, type, &bytes);
}

/* append_bytes appends a value of a type by its bytes, and frees these. */
static void
append_bytes(PnsBsonBuilder *builder, const char *key, PnsBsonType type, StringInfo bytes)
{
	PnsBsonValue value;

	value.type = type;
	value.data = (const uint8 *) bytes->data;
	value.size = bytes->len;
	pns_bson_append_value(builder, key, value);
	pfree(bytes->data);
}

/* compare_chars orders the options of a regular expression. */
static int
compare_chars(const void *a, const void *b)
{
	return *(const unsigned char *) a - *(const unsigned char *) b;
}
