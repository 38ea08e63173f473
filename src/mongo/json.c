/*-------------------------------------------------------------------------
 *
 * json.c
 *	  BSON as the text of Extended JSON v2.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "mongo/codec.h"
#include "utils/builtins.h"

static PnsFit write_members(StringInfo out, PnsDocument document, bool array,
							PnsJsonFormat format);
static PnsFit write_wrapped(StringInfo out, const PnsBsonValue *value,
							PnsJsonFormat format);
static PnsFit write_string(StringInfo out, const char *str, uint32 size,
						   PnsJsonFormat format);
static PnsFit write_text(StringInfo out, const char *str, uint32 size);
static void write_number(StringInfo out, const PnsBsonValue *value);
static void write_escape(StringInfo out, unsigned char byte);

/* pns_json_append_document appends a document as one JSON object. */
bool
pns_json_append_document(StringInfo out, PnsDocument document,
						 PnsJsonFormat format)
{
	return write_members(out, document, false, format) == PNS_FITS;
}

/* pns_json_append_value appends a value of any type. */
bool
pns_json_append_value(StringInfo out, const PnsBsonValue *value,
					  PnsJsonFormat format)
{
	return pns_json_write_value(out, value, format) == PNS_FITS;
}

/*
 * pns_json_write_value appends a value, or says why JSON text cannot hold it;
 * the text is then cut anywhere.
 */
PnsFit
pns_json_write_value(StringInfo out, const PnsBsonValue *value,
					 PnsJsonFormat format)
{
	if (!pns_json_is_plain(value, format))
		return write_wrapped(out, value, format);

	switch (value->type)
	{
		case PNS_BSON_STRING:
			return write_string(out, (const char *) value->data + 4,
								value->size - 5, format);
		case PNS_BSON_DOCUMENT:
		case PNS_BSON_ARRAY:
			return write_members(out, pns_bson_value_document(value),
								 value->type == PNS_BSON_ARRAY, format);
		case PNS_BSON_BOOL:
			appendStringInfoString(out, value->data[0] ? "true" : "false");
			return PNS_FITS;
		case PNS_BSON_NULL:
			appendStringInfoString(out, "null");
			return PNS_FITS;
		default:
			write_number(out, value);
			return PNS_FITS;
	}
}

/* write_members appends a document or an array. */
static PnsFit
write_members(StringInfo out, PnsDocument document, bool array,
			  PnsJsonFormat format)
{
	PnsBsonIterator iterator;
	bool		first = true;
	PnsFit		fit;

	check_stack_depth();
	pns_bson_iterate(&iterator, document);
	appendStringInfoCharMacro(out, array ? '[' : '{');
	while (pns_bson_next(&iterator))
	{
		if (!first)
			appendStringInfoCharMacro(out, ',');
		first = false;
		if (!array)
		{
			fit = write_string(out, iterator.key, iterator.key_size, format);
			if (fit != PNS_FITS)
				return fit;
			appendStringInfoCharMacro(out, ':');
		}
		fit = pns_json_write_value(out, &iterator.value, format);
		if (fit != PNS_FITS)
			return fit;
	}
	appendStringInfoCharMacro(out, array ? ']' : '}');
	return PNS_FITS;
}

/* write_wrapped appends a value for which a document stands. */
static PnsFit
write_wrapped(StringInfo out, const PnsBsonValue *value, PnsJsonFormat format)
{
	PnsBsonBuilder builder;
	PnsDocument document;
	PnsFit		fit;

	pns_bson_begin(&builder);
	document = pns_json_wrap(value, format, &builder);
	fit = write_members(out, document, false,
						pns_json_inner_format(value, format));
	pfree(builder.buffer.data);
	return fit;
}

/* write_string appends a string in quotes. */
static PnsFit
write_string(StringInfo out, const char *str, uint32 size, PnsJsonFormat format)
{
	const char *end = str + size;
	const char *zero;
	PnsFit		fit;

	appendStringInfoCharMacro(out, '"');
	while (format == PNS_JSON_SHOWN && (zero = memchr(str, '\0', end - str)) != NULL)
	{
		fit = write_text(out, str, zero - str);
		if (fit != PNS_FITS)
			return fit;
		write_escape(out, '\0');
		str = zero + 1;
	}
	fit = write_text(out, str, end - str);
	appendStringInfoCharMacro(out, '"');
	return fit;
}

/* write_text appends the inside of a string, in the database's encoding. */
static PnsFit
write_text(StringInfo out, const char *str, uint32 size)
{
	PnsFit		fit = pns_text_to_server(&str, &size);
	uint32		start = 0;

	if (fit != PNS_FITS)
		return fit;
	enlargeStringInfo(out, size + 1);
	for (uint32 i = 0; i < size; i++)
	{
		unsigned char byte = str[i];

		if (byte >= ' ' && byte != '"' && byte != '\\')
			continue;
		appendBinaryStringInfo(out, str + start, i - start);
		write_escape(out, byte);
		start = i + 1;
	}
	appendBinaryStringInfo(out, str + start, size - start);
	return PNS_FITS;
}

/* write_escape appends what stands for a byte that a JSON string must not hold. */
static void
write_escape(StringInfo out, unsigned char byte)
{
	switch (byte)
	{
		case '"':
			appendStringInfoString(out, "\\\"");
			break;
		case '\\':
			appendStringInfoString(out, "\\\\");
			break;
		case '\b':
			appendStringInfoString(out, "\\b");
			break;
		case '\f':
			appendStringInfoString(out, "\\f");
			break;
		case '\n':
			appendStringInfoString(out, "\\n");
			break;
		case '\r':
			appendStringInfoString(out, "\\r");
			break;
		case '\t':
			appendStringInfoString(out, "\\t");
			break;
		default:
			appendStringInfo(out, "\\u%04x", byte);
			break;
	}
}

/* write_number appends an integer or a finite double. */
static void
write_number(StringInfo out, const PnsBsonValue *value)
{
	char		str[PNS_DOUBLE_SIZE];
	int			size;

	if (value->type == PNS_BSON_INT32)
		size = pg_ltoa(pns_bson_read_int32(value->data), str);
	else if (value->type == PNS_BSON_INT64)
		size = pg_lltoa(pns_bson_read_int64(value->data), str);
	else
		size = pns_double_to_json(pns_bson_read_double(value->data), str);
	appendBinaryStringInfo(out, str, size);
}
