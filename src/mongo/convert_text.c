/*-------------------------------------------------------------------------
 *
 * convert_text.c
 *	  Strings of documents as PostgreSQL's character types, and any value as
 *	  json and jsonb.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "mongo/codec.h"
#include "utils/builtins.h"

static PnsFit read_text(const PnsBsonValue *value, char *digits,
						const char **str, uint32 *size);
static bool too_long(const char *str, uint32 size, int32 typmod);

/* pns_convert_text takes strings, and ObjectIds as hex digits. */
PnsFit
pns_convert_text(PnsConverter *converter, const PnsBsonValue *value,
				 Datum *result)
{
	char		digits[2 * PNS_OBJECTID_SIZE];
	const char *str;
	uint32		size;
	PnsFit		fit = read_text(value, digits, &str, &size);

	if (fit == PNS_FITS)
		*result = PointerGetDatum(cstring_to_text_with_len(str, size));
	return fit;
}

/* pns_convert_varchar takes what text takes, up to n characters. */
PnsFit
pns_convert_varchar(PnsConverter *converter, const PnsBsonValue *value,
					Datum *result)
{
	char		digits[2 * PNS_OBJECTID_SIZE];
	const char *str;
	uint32		size;
	PnsFit		fit = read_text(value, digits, &str, &size);

	if (fit == PNS_FITS && too_long(str, size, converter->typmod))
		fit = PNS_MISFIT_LENGTH;
	if (fit == PNS_FITS)
		*result = PointerGetDatum(cstring_to_text_with_len(str, size));
	return fit;
}

/*
 * pns_convert_bpchar takes strings of up to n characters and pads them with
 * blanks; blanks at their end count.
 */
PnsFit
pns_convert_bpchar(PnsConverter *converter, const PnsBsonValue *value,
				   Datum *result)
{
	const char *str;
	uint32		size;
	uint32		padding = 0;
	PnsFit		fit;
	char	   *padded;

	if (value->type != PNS_BSON_STRING)
		return PNS_MISFIT_TYPE;
	fit = read_text(value, NULL, &str, &size);
	if (fit != PNS_FITS)
		return fit;
	if (too_long(str, size, converter->typmod))
		return PNS_MISFIT_LENGTH;

	if (converter->typmod >= (int32) VARHDRSZ)
		padding = converter->typmod - VARHDRSZ - pg_mbstrlen_with_len(str, size);
	padded = palloc(VARHDRSZ + size + padding);
	SET_VARSIZE(padded, VARHDRSZ + size + padding);
	memcpy(VARDATA(padded), str, size);
	memset(VARDATA(padded) + size, ' ', padding);
	*result = PointerGetDatum(padded);
	return PNS_FITS;
}

/* pns_convert_name takes what text takes, as long as it is not cut. */
PnsFit
pns_convert_name(PnsConverter *converter, const PnsBsonValue *value,
				 Datum *result)
{
	char		digits[2 * PNS_OBJECTID_SIZE];
	const char *str;
	uint32		size;
	PnsFit		fit = read_text(value, digits, &str, &size);
	char	   *name;

	if (fit != PNS_FITS)
		return fit;
	if (size >= NAMEDATALEN)
		return PNS_MISFIT_LENGTH;
	name = palloc0(NAMEDATALEN);
	memcpy(name, str, size);
	*result = PointerGetDatum(name);
	return PNS_FITS;
}

/* pns_convert_json takes any value, as Extended JSON. */
PnsFit
pns_convert_json(PnsConverter *converter, const PnsBsonValue *value,
				 Datum *result)
{
	StringInfoData out;
	PnsFit		fit;

	/* the text is made behind the header that it needs */
	initStringInfo(&out);
	appendStringInfoSpaces(&out, VARHDRSZ);
	fit = pns_json_write_value(&out, value, converter->json_format);
	if (fit != PNS_FITS)
	{
		pfree(out.data);
		return fit;
	}
	SET_VARSIZE(out.data, out.len);
	*result = PointerGetDatum(out.data);
	return PNS_FITS;
}

/* pns_convert_jsonb takes any value, as Extended JSON. */
PnsFit
pns_convert_jsonb(PnsConverter *converter, const PnsBsonValue *value,
				  Datum *result)
{
	return pns_jsonb_write_value(converter->state, value,
								 converter->json_format, result);
}

/*
 * read_text gives a string in the database's encoding, or an ObjectId's 24
 * digits in the room that the caller brings.
 */
static PnsFit
read_text(const PnsBsonValue *value, char *digits, const char **str,
		  uint32 *size)
{
	if (value->type == PNS_BSON_STRING)
	{
		*str = (const char *) value->data + 4;
		*size = value->size - 5;
		return pns_text_to_server(str, size);
	}
	if (value->type == PNS_BSON_OBJECTID)
	{
		hex_encode((const char *) value->data, PNS_OBJECTID_SIZE, digits);
		*str = digits;
		*size = 2 * PNS_OBJECTID_SIZE;
		return PNS_FITS;
	}
	return PNS_MISFIT_TYPE;
}

/* too_long compares characters with what varchar(n) and char(n) hold. */
static bool
too_long(const char *str, uint32 size, int32 typmod)
{
	if (typmod < (int32) VARHDRSZ || size <= typmod - VARHDRSZ)
		return false;
	return pg_mbstrlen_with_len(str, size) > typmod - VARHDRSZ;
}
