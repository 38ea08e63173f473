/*-------------------------------------------------------------------------
 *
 * convert.c
 *	  Which conversion a column's type takes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mongo/codec.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

static PnsConvert find_simple(Oid type);

/*
 * pns_converter_init prepares the conversion to a type that
 * pns_mongo_check_column_type accepts.  What it needs beside the converter
 * lives in the current context.
 */
void
pns_converter_init(PnsConverter *converter, Oid type, int32 typmod,
				   bool null_on_mismatch, PnsJsonFormat json_format)
{
	char		kind = get_typtype(type);

	memset(converter, 0, sizeof(*converter));
	converter->type = type;
	converter->typmod = typmod;
	converter->null_on_mismatch = null_on_mismatch;
	converter->json_format = json_format;
	converter->convert = find_simple(type);

	if (type == JSONBOID)
		converter->state = pns_jsonb_writer_create();
	else if (converter->convert != NULL)
		return;
	else if (kind == TYPTYPE_DOMAIN)
		pns_convert_domain_init(converter);
	else if (kind == TYPTYPE_ENUM)
		pns_convert_enum_init(converter);
	else if (OidIsValid(pns_true_element_type(type)))
		pns_convert_array_init(converter, pns_true_element_type(type));
	else if (type == pns_mongo_objectid_type())
		converter->convert = pns_convert_objectid;
	else
		pns_convert_input_init(converter);
}

/*
 * pns_mongo_check_column_type raises an error where a column of this type
 * could not be read.
 */
void
pns_mongo_check_column_type(Oid type, int32 typmod, bool document,
							const char *column)
{
	Oid			base = getBaseType(type);

	if (!pns_type_has_values(type))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" of type %s cannot be read from a document",
						column, format_type_be(type)),
				 errhint("Use jsonb for sub-documents.")));
	if (document && base != JSONOID && base != JSONBOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of type %s cannot hold a whole document",
						column, format_type_with_typemod(type, typmod)),
				 errhint("Use jsonb or json.")));
}

/* find_simple returns the conversion of a type that needs no preparation. */
static PnsConvert
find_simple(Oid type)
{
	switch (type)
	{
		case INT2OID:
			return pns_convert_int2;
		case INT4OID:
			return pns_convert_int4;
		case INT8OID:
			return pns_convert_int8;
		case FLOAT4OID:
			return pns_convert_float4;
		case FLOAT8OID:
			return pns_convert_float8;
		case NUMERICOID:
			return pns_convert_numeric;
		case BOOLOID:
			return pns_convert_bool;
		case TEXTOID:
			return pns_convert_text;
		case VARCHAROID:
			return pns_convert_varchar;
		case BPCHAROID:
			return pns_convert_bpchar;
		case NAMEOID:
			return pns_convert_name;
		case UUIDOID:
			return pns_convert_uuid;
		case BYTEAOID:
			return pns_convert_bytea;
		case TIMESTAMPTZOID:
		case TIMESTAMPOID:
			return pns_convert_timestamp;
		case DATEOID:
			return pns_convert_date;
		case JSONOID:
			return pns_convert_json;
		case JSONBOID:
			return pns_convert_jsonb;
		default:
			return NULL;
	}
}

/*
 * pns_true_element_type returns the type of an array's elements.  The vectors of
 * the catalogs look like arrays, but are written as strings of their own.
 */
Oid
pns_true_element_type(Oid type)
{
	if (type == INT2VECTOROID || type == OIDVECTOROID)
		return InvalidOid;
	return get_element_type(type);
}

/*
 * pns_type_has_values refuses pseudo-types and rows, also behind arrays and
 * domains: a document has no values of them.
 */
bool
pns_type_has_values(Oid type)
{
	Oid			base = getBaseType(type);
	Oid			element = pns_true_element_type(base);
	char		kind;

	if (OidIsValid(element))
		return pns_type_has_values(element);
	kind = get_typtype(base);
	return kind != TYPTYPE_PSEUDO && kind != TYPTYPE_COMPOSITE;
}
