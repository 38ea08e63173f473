/*-------------------------------------------------------------------------
 *
 * encode_text.c
 *	  Strings, JSON, bytes and identifiers in documents, and all other types
 *	  as the strings that their output functions make.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "mongo/codec.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/uuid.h"

static void encode_enum(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key,
						Datum value);
static void encode_output(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key,
						  Datum value);
static void append_string(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key,
						  const char *str, uint32 size);
static void append_digits(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key,
						  const char *str, uint32 size);
static bool has_names(Oid type);
static void fix_settings(Oid type);

/* pns_encode_text writes a string. */
void
pns_encode_text(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value)
{
	text	   *str = DatumGetTextPP(value);

	append_string(encoder, builder, key, VARDATA_ANY(str), VARSIZE_ANY_EXHDR(str));
}

/*
 * pns_encode_bpchar writes a string without the blanks that pad it; reading
 * puts them back.  They are no padding where the length was not declared.
 */
void
pns_encode_bpchar(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value)
{
	BpChar	   *str = DatumGetBpCharPP(value);
	uint32		size = VARSIZE_ANY_EXHDR(str);

	if (encoder->encoding.typmod >= (int32) VARHDRSZ)
		size = bpchartruelen(VARDATA_ANY(str), size);
	append_string(encoder, builder, key, VARDATA_ANY(str), size);
}

/* pns_encode_name writes a string. */
void
pns_encode_name(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value)
{
	const char *str = NameStr(*DatumGetName(value));

	append_string(encoder, builder, key, str, strlen(str));
}

/* pns_encode_json writes what the text says. */
void
pns_encode_json(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value)
{
	pns_parse_json(builder, key, DatumGetTextPP(value), encoder->state);
}

/* pns_encode_jsonb writes what the jsonb says. */
void
pns_encode_jsonb(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value)
{
	pns_parse_jsonb(builder, key, DatumGetJsonbP(value), encoder->state);
}

/* pns_encode_bytea writes a binary of subtype 0. */
void
pns_encode_bytea(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value)
{
	bytea	   *bytes = DatumGetByteaPP(value);

	pns_bson_append_binary(builder, key, 0, (const uint8 *) VARDATA_ANY(bytes),
						   VARSIZE_ANY_EXHDR(bytes));
}

/* pns_encode_uuid writes a binary of subtype 4. */
void
pns_encode_uuid(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value)
{
	pns_bson_append_binary(builder, key, PNS_BSON_BINARY_UUID,
						   DatumGetUUIDP(value)->data, UUID_LEN);
}

/* pns_encode_objectid writes an ObjectId. */
void
pns_encode_objectid(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value)
{
	pns_bson_append_objectid(builder, key, (const uint8 *) DatumGetPointer(value));
}

/* pns_encode_output_init prepares for a type's output function. */
void
pns_encode_output_init(PnsEncoder *encoder)
{
	FmgrInfo   *function = palloc(sizeof(FmgrInfo));
	Oid			output;
	bool		varlena;

	getTypeOutputInfo(encoder->encoding.type, &output, &varlena);
	fmgr_info(output, function);
	encoder->state = function;
	encoder->encode = type_is_enum(encoder->encoding.type) ? encode_enum : encode_output;
	encoder->may_throw = true;
}

/* encode_enum writes the label. */
static void
encode_enum(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value)
{
	pns_bson_append_text(builder, key, OutputFunctionCall(encoder->state, value));
}

/*
 * encode_output writes what the output function makes under settings by which
 * any session reads the same from it.
 */
static void
encode_output(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value)
{
	int			level = NewGUCNestLevel();
	char	   *str;

	fix_settings(encoder->encoding.type);
	str = OutputFunctionCall(encoder->state, value);
	AtEOXact_GUC(true, level);
	pns_bson_append_text(builder, key, str);
}

/* append_string appends a string, or the ObjectId that it spells. */
static void
append_string(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key,
			  const char *str, uint32 size)
{
	const char *utf8;

	if (encoder->encoding.objectid)
	{
		append_digits(encoder, builder, key, str, size);
		return;
	}
	utf8 = pg_server_to_any(str, size, PG_UTF8);
	pns_bson_append_string(builder, key, utf8, utf8 == str ? size : strlen(utf8));
}

/*
 * append_digits appends an ObjectId.  It reads back in lower case, so digits
 * in upper case are refused.
 */
static void
append_digits(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key,
			  const char *str, uint32 size)
{
	uint8		bytes[PNS_OBJECTID_SIZE];
	bool		good = size == 2 * PNS_OBJECTID_SIZE;

	for (int i = 0; good && i < PNS_OBJECTID_SIZE; i++)
	{
		int			high = pns_hex_digit(str[2 * i]);
		int			low = pns_hex_digit(str[2 * i + 1]);

		good = high >= 0 && low >= 0 && !isupper((unsigned char) str[2 * i]) &&
			!isupper((unsigned char) str[2 * i + 1]);
		bytes[i] = high << 4 | low;
	}
	if (!good)
		pns_encode_refuse(encoder, ERRCODE_INVALID_TEXT_REPRESENTATION,
						  "An ObjectId is written as 24 hexadecimal digits in lower case.",
						  NULL);
	pns_bson_append_objectid(builder, key, bytes);
}

/* has_names tells whether values of a type are names of objects. */
static bool
has_names(Oid type)
{
	switch (type)
	{
		case REGPROCOID:
		case REGPROCEDUREOID:
		case REGOPEROID:
		case REGOPERATOROID:
		case REGCLASSOID:
		case REGCOLLATIONOID:
		case REGTYPEOID:
		case REGCONFIGOID:
		case REGDICTIONARYOID:
			return true;
		default:
			return false;
	}
}

/*
 * fix_settings makes output independent of the session, as postgres_fdw does;
 * names get their schemas.
 */
static void
fix_settings(Oid type)
{
	if (DateStyle != USE_ISO_DATES)
		(void) set_config_option("datestyle", "ISO", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	if (IntervalStyle != INTSTYLE_POSTGRES)
		(void) set_config_option("intervalstyle", "postgres", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	if (extra_float_digits < 3)
		(void) set_config_option("extra_float_digits", "3", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	if (has_names(type))
		(void) set_config_option("search_path", "pg_catalog", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
}
