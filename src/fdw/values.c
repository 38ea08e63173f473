/*-------------------------------------------------------------------------
 *
 * values.c
 *	  How the values of each type are said to MongoDB.
 *
 * The mapping of documents to rows decides what is sent: a document's value v
 * is selected by PostgreSQL where m(v) compares with the operand, so what is
 * sent must select every v for which that is so, or more.  The rules of each
 * class of types stand in the value_*.c files.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"

#include "fdw/private.h"

/* What has no rules is not compared. */
static const PnsValueRules no_rules = {.types = {NULL}};

static const PnsValueRules *const value_rules[] = {
	[PNS_CLASS_NONE] = &no_rules,
	[PNS_CLASS_INT] = &pns_int_rules,
	[PNS_CLASS_FLOAT4] = &pns_float4_rules,
	[PNS_CLASS_FLOAT8] = &pns_float8_rules,
	[PNS_CLASS_NUMERIC] = &pns_numeric_rules,
	[PNS_CLASS_BOOL] = &pns_bool_rules,
	[PNS_CLASS_TEXT] = &pns_text_rules,
	[PNS_CLASS_BPCHAR] = &pns_bpchar_rules,
	[PNS_CLASS_ENUM] = &pns_enum_rules,
	[PNS_CLASS_UUID] = &pns_uuid_rules,
	[PNS_CLASS_BYTEA] = &pns_bytea_rules,
	[PNS_CLASS_TIMESTAMP] = &pns_timestamp_rules,
	[PNS_CLASS_DATE] = &pns_date_rules,
	[PNS_CLASS_OBJECTID] = &pns_objectid_rules,
};

/*
 * pns_fdw_value_rules returns the rules of a class.
 */
const PnsValueRules *
pns_fdw_value_rules(PnsValueClass class)
{
	return value_rules[class];
}

/*
 * pns_fdw_value_class tells how the values of a column compare.
 */
PnsValueClass
pns_fdw_value_class(const PnsTableColumn *column)
{
	return pns_fdw_type_class(column->base_type);
}

/*
 * pns_fdw_type_class tells how the values of a type, which is no domain,
 * compare.
 */
PnsValueClass
pns_fdw_type_class(Oid type)
{
	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			return PNS_CLASS_INT;
		case FLOAT4OID:
			return PNS_CLASS_FLOAT4;
		case FLOAT8OID:
			return PNS_CLASS_FLOAT8;
		case NUMERICOID:
			return PNS_CLASS_NUMERIC;
		case BOOLOID:
			return PNS_CLASS_BOOL;
		case TEXTOID:
		case VARCHAROID:
		case NAMEOID:
			return PNS_CLASS_TEXT;
		case BPCHAROID:
			return PNS_CLASS_BPCHAR;
		case UUIDOID:
			return PNS_CLASS_UUID;
		case BYTEAOID:
			return PNS_CLASS_BYTEA;
		case TIMESTAMPTZOID:
		case TIMESTAMPOID:
			return PNS_CLASS_TIMESTAMP;
		case DATEOID:
			return PNS_CLASS_DATE;
		default:
			if (type_is_enum(type))
				return PNS_CLASS_ENUM;
			if (type == pns_mongo_objectid_type())
				return PNS_CLASS_OBJECTID;
			return PNS_CLASS_NONE;
	}
}

/*
 * pns_fdw_fits_exactly tells whether MongoDB can tell the values that fit a
 * column from those that do not.  A domain's constraints are known here only.
 */
bool
pns_fdw_fits_exactly(const PnsTableColumn *column)
{
	const PnsValueRules *rules = pns_fdw_value_rules(pns_fdw_value_class(column));
	PnsBounds	unbounded = {false, false};
	bool		all = false;

	if (column->native == NULL || column->codec.type != column->base_type ||
		rules->fits == NULL)
		return false;
	(void) rules->fits(column, unbounded, &all);
	return all;
}

/*
 * pns_fdw_read_array reads the elements of an array other than NULLs, and
 * returns their number.
 */
int
pns_fdw_read_array(Datum value, Datum **values, bool *has_null)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	int16		length;
	bool		by_value;
	char		alignment;
	bool	   *nulls;
	int			nvalues;
	int			nnonnull = 0;

	get_typlenbyvalalign(ARR_ELEMTYPE(array), &length, &by_value, &alignment);
	deconstruct_array(array, ARR_ELEMTYPE(array), length, by_value, alignment,
					  values, &nulls, &nvalues);
	for (int i = 0; i < nvalues; i++)
	{
		if (!nulls[i])
			(*values)[nnonnull++] = (*values)[i];
	}
	*has_null = nnonnull < nvalues;
	return nnonnull;
}

/*
 * pns_bson_append_scalar appends a scalar to a filter.
 */
void
pns_bson_append_scalar(PnsBsonBuilder *builder, const char *key, PnsScalar scalar)
{
	switch (scalar.type)
	{
		case PNS_BSON_INT64:
			if (scalar.integer >= PG_INT32_MIN && scalar.integer <= PG_INT32_MAX)
				pns_bson_append_int32(builder, key, (int32) scalar.integer);
			else
				pns_bson_append_int64(builder, key, scalar.integer);
			break;
		case PNS_BSON_DOUBLE:
			pns_bson_append_double(builder, key, scalar.number);
			break;
		case PNS_BSON_STRING:
			pns_bson_append_string(builder, key, scalar.data, scalar.size);
			break;
		case PNS_BSON_BOOL:
			pns_bson_append_bool(builder, key, scalar.integer != 0);
			break;
		case PNS_BSON_DATE:
			pns_bson_append_date(builder, key, scalar.integer);
			break;
		case PNS_BSON_OBJECTID:
			pns_bson_append_objectid(builder, key, (const uint8 *) scalar.data);
			break;
		case PNS_BSON_BINARY:
			pns_bson_append_binary(builder, key, scalar.subtype,
								   (const uint8 *) scalar.data, scalar.size);
			break;
		case PNS_BSON_DECIMAL128:
			{
				uint8		data[PNS_DECIMAL128_BYTES];

				/* elog: the digits are those of a Decimal128 */
				if (!pns_text_to_decimal128(scalar.data, data))
					elog(ERROR, "unexpected number %s in a filter", scalar.data);
				pns_bson_append_decimal128(builder, key, data);
				break;
			}
		default:
			/* elog: no rule makes a scalar of another type */
			elog(ERROR, "unexpected type %d of a value in a filter", scalar.type);
	}
}

/*
 * pns_add_point appends a scalar to a list, and returns true, which is what a
 * class's points has to say after that.
 */
bool
pns_add_point(List **scalars, PnsScalar scalar)
{
	*scalars = lappend(*scalars, memcpy(palloc(sizeof(PnsScalar)), &scalar, sizeof(PnsScalar)));
	return true;
}

/*
 * pns_int_scalar makes the scalar of an integer.
 */
PnsScalar
pns_int_scalar(int64 value)
{
	PnsScalar	scalar = {.type = PNS_BSON_INT64,.integer = value};

	return scalar;
}

/*
 * pns_double_scalar makes the scalar of a double.
 */
PnsScalar
pns_double_scalar(float8 value)
{
	PnsScalar	scalar = {.type = PNS_BSON_DOUBLE,.number = value};

	return scalar;
}

/*
 * pns_date_scalar makes the scalar of a date.
 */
PnsScalar
pns_date_scalar(int64 milliseconds)
{
	PnsScalar	scalar = {.type = PNS_BSON_DATE,.integer = milliseconds};

	return scalar;
}
