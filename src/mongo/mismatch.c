/*-------------------------------------------------------------------------
 *
 * mismatch.c
 *	  The error of a value that does not fit its column.
 *
 * All kinds are data exceptions (class 22), so that a caller can catch them
 * as one, but for a domain's constraints, which are violated as anywhere.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "mongo/codec.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* Longer texts of an _id are cut. */
#define ID_MAX_SIZE 100

static const struct
{
	int			sqlerrcode;
	const char *reason;			/* a whole sentence; NULL: the types say it */
}			kinds[] =

{
	[PNS_MISFIT_TYPE] = {
		ERRCODE_DATA_EXCEPTION, NULL
	},
	[PNS_MISFIT_RANGE] = {
		ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
		"The number is out of range or would have to be rounded."
	},
	[PNS_MISFIT_DATE] = {
		ERRCODE_DATETIME_FIELD_OVERFLOW,
		"The date is out of range or would have to be rounded."
	},
	[PNS_MISFIT_LENGTH] = {
		ERRCODE_STRING_DATA_RIGHT_TRUNCATION,
		"The string is too long."
	},
	[PNS_MISFIT_NUL] = {
		ERRCODE_UNTRANSLATABLE_CHARACTER,
		"A string or a key in it contains a zero byte."
	},
	[PNS_MISFIT_UTF8] = {
		ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
		"A string or a key in it is not valid UTF-8."
	},
	[PNS_MISFIT_ENCODING] = {
		ERRCODE_UNTRANSLATABLE_CHARACTER,
		"A string or a key in it has no equivalent in the database's encoding."
	},
	[PNS_MISFIT_SYNTAX] = {
		ERRCODE_INVALID_TEXT_REPRESENTATION,
		"The string is not valid input for the type."
	},
	[PNS_MISFIT_SHAPE] = {
		ERRCODE_ARRAY_SUBSCRIPT_ERROR,
		"Nested arrays must be of equal lengths and at most six levels deep."
	},
	[PNS_MISFIT_SIZE] = {
		ERRCODE_STRING_DATA_RIGHT_TRUNCATION,
		"The value is larger than the type can hold."
	},
	[PNS_MISFIT_NOT_NULL] = {
		ERRCODE_NOT_NULL_VIOLATION,
		"The domain does not allow null values."
	},
	[PNS_MISFIT_CHECK] = {
		ERRCODE_CHECK_VIOLATION,
		"The value violates a constraint of the domain."
	}
};

static PnsBsonType type_of_name(const PnsBsonValue *name);
static PnsFit string_misfit(Oid type, bool zero);
static const char *describe_id(const PnsPlace *place);
static const char *describe_value(const PnsConverter *converter,
								  const PnsBsonValue *value);

/*
 * pns_mismatch_report raises the error.  value is NULL where the field is
 * missing or null.  The value itself is not shown.
 */
void
pns_mismatch_report(const PnsPlace *place, const PnsConverter *converter,
					const PnsBsonValue *value, PnsFit fit)
{
	const char *id = describe_id(place);
	const char *found = describe_value(converter, value);
	const char *type = format_type_with_typemod(place->type, place->typmod);
	const char *reason = kinds[fit].reason;

	ereport(ERROR,
			(errcode(kinds[fit].sqlerrcode),
			 place->path != NULL ?
			 errmsg("value of field \"%s\" does not fit column \"%s\"",
					place->path, place->column) :
			 errmsg("document does not fit column \"%s\"", place->column),
			 errdetail("In the document with _id %s of collection \"%s\" it is %s, and the column of type %s.%s%s",
					   id, place->collection, found, type,
					   reason != NULL ? " " : "", reason != NULL ? reason : ""),
			 place->has_no_options ? 0 :
			 errhint("With the option on_mismatch 'null' such values are NULL.")));
}

/*
 * pns_mongo_raise_misfit raises the error of a value that the server has
 * found.
 */
void
pns_mongo_raise_misfit(const PnsColumn *column, PnsDocument misfit)
{
	PnsPlace	place = {
		.collection = column->collection,
		.document = misfit,
		.column = column->name,
		.path = column->path,
		.type = column->type,
		.typmod = column->typmod
	};
	PnsConverter converter;
	PnsBsonValue name;
	PnsBsonValue value;
	PnsBsonValue zero;
	PnsFit		fit = PNS_MISFIT_TYPE;
	Datum		result;

	/* elog: the member is what we asked for */
	if (!pns_bson_find(misfit, "type", &name) || name.type != PNS_BSON_STRING)
		elog(ERROR, "the server did not say what does not fit column \"%s\"", column->name);

	pns_converter_init(&converter, column->type, column->typmod, false, column->json_format);
	if (pns_bson_find(misfit, "value", &value) && value.type != PNS_BSON_NULL)
		fit = converter.convert(&converter, &value, &result);
	else
	{
		value.type = type_of_name(&name);
		if (value.type == PNS_BSON_STRING)
			fit = string_misfit(column->type,
								pns_bson_find(misfit, "zero", &zero) &&
								zero.type == PNS_BSON_BOOL && zero.data[0] != 0);
	}

	/* elog: what the server found, it found by the codec's own rules */
	if (fit == PNS_FITS)
		elog(ERROR, "a value fits column \"%s\" that does not for the server", column->name);
	pns_mismatch_report(&place, &converter, &value, fit);
}

/* type_of_name finds a BSON type by MongoDB's name of it. */
static PnsBsonType
type_of_name(const PnsBsonValue *name)
{
	uint32		size;
	const char *str = pns_bson_value_string(name, &size);
	int			type = PNS_BSON_MINKEY;

	while (type > 0 && (strlen(pns_bson_type_name(type)) != size ||
						memcmp(pns_bson_type_name(type), str, size) != 0))
		type--;
	return (PnsBsonType) type;
}

/* string_misfit says why a string does not fit a type. */
static PnsFit
string_misfit(Oid type, bool zero)
{
	switch (type)
	{
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case NAMEOID:
			return zero ? PNS_MISFIT_NUL : PNS_MISFIT_LENGTH;
		default:
			if (!type_is_enum(type))
				return PNS_MISFIT_TYPE;
			return zero ? PNS_MISFIT_NUL : PNS_MISFIT_SYNTAX;
	}
}

/*
 * pns_mismatch_context adds the place to errors that a type's or a domain's
 * own functions raise.  No catalog may be looked at here.
 */
void
pns_mismatch_context(void *place)
{
	const PnsPlace *p = place;

	errcontext("column \"%s\" of a document of collection \"%s\"",
			   p->column, p->collection);
}

/* describe_id returns the document's _id as JSON, cut where it is long. */
static const char *
describe_id(const PnsPlace *place)
{
	PnsDocument document = place->document;
	PnsBsonValue id;
	StringInfoData str;

	if (place->prefix != NULL)
	{
		PnsBsonValue below;

		if (!pns_bson_find(document, place->prefix, &below) ||
			below.type != PNS_BSON_DOCUMENT)
			return "(none)";
		document = pns_bson_value_document(&below);
	}
	if (!pns_bson_find(document, "_id", &id))
		return "(none)";
	initStringInfo(&str);
	if (!pns_json_append_value(&str, &id, PNS_JSON_RELAXED))
		return "(not printable)";
	if (str.len > ID_MAX_SIZE)
	{
		str.len = pg_mbcliplen(str.data, str.len, ID_MAX_SIZE);
		str.data[str.len] = '\0';

		appendStringInfoString(&str, "...");
	}
	return str.data;
}

/* describe_value names the BSON type of what does not fit. */
static const char *
describe_value(const PnsConverter *converter, const PnsBsonValue *value)
{
	if (value == NULL)
		return "missing or null";
	if (converter->element_misfits)
		return psprintf("an array with an element of BSON type %s",
						pns_bson_type_name(converter->element_type));
	return psprintf("of BSON type %s", pns_bson_type_name(value->type));
}
