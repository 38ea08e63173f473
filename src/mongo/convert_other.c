/*-------------------------------------------------------------------------
 *
 * convert_other.c
 *	  Booleans, bytes, ObjectIds, uuids, enums, and strings through the input
 *	  function of whatever type.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_enum.h"
#include "fmgr.h"
#include "mongo/codec.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/uuid.h"

/* A label that a document has had. */
typedef struct EnumLabel
{
	char		label[NAMEDATALEN];
	Oid			value;
} EnumLabel;

/* The input function of a type. */
typedef struct InputState
{
	FmgrInfo	function;
	Oid			io_param;
} InputState;

static PnsFit convert_enum(PnsConverter *converter, const PnsBsonValue *value,
						   Datum *result);
static PnsFit convert_input(PnsConverter *converter, const PnsBsonValue *value,
							Datum *result);
static Datum copy_bytes(const uint8 *data, uint32 size);

/* pns_convert_bool takes booleans. */
PnsFit
pns_convert_bool(PnsConverter *converter, const PnsBsonValue *value,
				 Datum *result)
{
	if (value->type != PNS_BSON_BOOL)
		return PNS_MISFIT_TYPE;
	*result = BoolGetDatum(value->data[0] != 0);
	return PNS_FITS;
}

/* pns_convert_bytea takes binaries of any subtype, and ObjectIds. */
PnsFit
pns_convert_bytea(PnsConverter *converter, const PnsBsonValue *value,
				  Datum *result)
{
	const uint8 *data = value->data;
	uint32		size = PNS_OBJECTID_SIZE;
	uint8		subtype;

	if (value->type == PNS_BSON_BINARY)
		data = pns_bson_value_binary(value, &size, &subtype);
	else if (value->type != PNS_BSON_OBJECTID)
		return PNS_MISFIT_TYPE;

	/* a bytea is built as a text is */
	*result = PointerGetDatum(cstring_to_text_with_len((const char *) data, size));
	return PNS_FITS;
}

/* pns_convert_objectid takes ObjectIds. */
PnsFit
pns_convert_objectid(PnsConverter *converter, const PnsBsonValue *value,
					 Datum *result)
{
	if (value->type != PNS_BSON_OBJECTID)
		return PNS_MISFIT_TYPE;
	*result = copy_bytes(value->data, PNS_OBJECTID_SIZE);
	return PNS_FITS;
}

/*
 * pns_convert_uuid takes binaries of subtype 4, and strings in any form that
 * uuid's input function reads.
 */
PnsFit
pns_convert_uuid(PnsConverter *converter, const PnsBsonValue *value,
				 Datum *result)
{
	uint8		bytes[UUID_LEN];
	const uint8 *data = bytes;
	uint32		size = 0;
	uint8		subtype;

	if (value->type == PNS_BSON_STRING)
	{
		const char *str = pns_bson_value_string(value, &size);

		if (!pns_parse_uuid(str, str + size, bytes))
			return PNS_MISFIT_SYNTAX;
	}
	else if (value->type == PNS_BSON_BINARY)
	{
		data = pns_bson_value_binary(value, &size, &subtype);
		if (subtype != PNS_BSON_BINARY_UUID || size != UUID_LEN)
			return PNS_MISFIT_TYPE;
	}
	else
		return PNS_MISFIT_TYPE;
	*result = copy_bytes(data, UUID_LEN);
	return PNS_FITS;
}

/* pns_convert_enum_init prepares for an enum, whose labels are looked up once. */
void
pns_convert_enum_init(PnsConverter *converter)
{
	HASHCTL		control;

	control.keysize = NAMEDATALEN;
	control.entrysize = sizeof(EnumLabel);
	control.hcxt = CurrentMemoryContext;
	converter->state = hash_create("pynomaly_store enum labels", 16, &control,
								   HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	converter->convert = convert_enum;
	converter->may_throw = true;
}

/* pns_convert_input_init prepares for a type's input function. */
void
pns_convert_input_init(PnsConverter *converter)
{
	InputState *state = palloc(sizeof(InputState));
	Oid			function;

	getTypeInputInfo(converter->type, &function, &state->io_param);
	fmgr_info(function, &state->function);
	converter->state = state;
	converter->convert = convert_input;
	converter->may_throw = true;
}

/*
 * convert_enum takes strings that are labels.  A label that was added in this
 * very transaction is an error of enum_in's.
 */
static PnsFit
convert_enum(PnsConverter *converter, const PnsBsonValue *value,
			 Datum *result)
{
	char		label[NAMEDATALEN];
	const char *str;
	uint32		size;
	PnsFit		fit;
	EnumLabel  *known;

	if (value->type != PNS_BSON_STRING)
		return PNS_MISFIT_TYPE;
	str = pns_bson_value_string(value, &size);

	fit = pns_text_to_server(&str, &size);
	if (fit != PNS_FITS)
		return fit;
	if (size >= NAMEDATALEN)
		return PNS_MISFIT_SYNTAX;
	memcpy(label, str, size);
	label[size] = '\0';

	known = hash_search(converter->state, label, HASH_FIND, NULL);
	if (known == NULL)
	{
		Datum		oid;

		if (!SearchSysCacheExists2(ENUMTYPOIDNAME,
								   ObjectIdGetDatum(converter->type),
								   CStringGetDatum(label)))
			return PNS_MISFIT_SYNTAX;
		oid = DirectFunctionCall2(enum_in, CStringGetDatum(label),
								  ObjectIdGetDatum(converter->type));
		known = hash_search(converter->state, label, HASH_ENTER, NULL);
		known->value = DatumGetObjectId(oid);
	}
	*result = ObjectIdGetDatum(known->value);
	return PNS_FITS;
}

/*
 * convert_input takes strings that the type's input function reads.  Where a
 * mismatch is an error, the function's own error says more than we could.
 */
static PnsFit
convert_input(PnsConverter *converter, const PnsBsonValue *value,
			  Datum *result)
{
	InputState *state = converter->state;
	const char *str;
	uint32		size;
	PnsFit		fit;
	char	   *string;

	if (value->type != PNS_BSON_STRING)
		return PNS_MISFIT_TYPE;
	str = pns_bson_value_string(value, &size);

	fit = pns_text_to_server(&str, &size);
	if (fit != PNS_FITS)
		return fit;

	string = pnstrdup(str, size);
	if (!converter->null_on_mismatch)
		*result = InputFunctionCall(&state->function, string, state->io_param,
									converter->typmod);
	else if (!pns_base_input_safe(&state->function, string, state->io_param,
								  converter->typmod, result))
		return PNS_MISFIT_SYNTAX;
	return PNS_FITS;
}

/*
 * pns_parse_uuid reads what uuid_in reads: pairs of hex digits, a hyphen allowed
 * behind every second pair, braces around the whole.
 */
bool
pns_parse_uuid(const char *str, const char *end, uint8 *bytes)
{
	bool		braces = (str < end && *str == '{');

	if (braces)
		str++;

	for (int i = 0; i < UUID_LEN; i++)
	{
		int			high = str < end ? pns_hex_digit(*str++) : -1;
		int			low = str < end ? pns_hex_digit(*str++) : -1;

		if (high < 0 || low < 0)
			return false;
		bytes[i] = high << 4 | low;
		if (str < end && *str == '-' && i % 2 == 1 && i < UUID_LEN - 1)
			str++;
	}
	if (braces && (str == end || *str++ != '}'))
		return false;
	return str == end;
}

/* copy_bytes makes a value of a fixed-length type. */
static Datum
copy_bytes(const uint8 *data, uint32 size)
{
	return PointerGetDatum(memcpy(palloc(size), data, size));
}
