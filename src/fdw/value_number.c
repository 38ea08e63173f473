/*-------------------------------------------------------------------------
 *
 * value_number.c
 *	  How numbers and booleans compare in MongoDB.
 *
 * MongoDB compares numbers of all kinds by their values.  We read some of them
 * as others: a float4 column rounds, a numeric reads a double as its shortest
 * decimal, float8 rounds long integers.  Where that may be, the range that is
 * sent is a little wider than the one that was asked for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "fdw/private.h"

/* Beyond this a float8 cannot tell one integer from the next: 2^53. */
#define FLOAT8_EXACT_LIMIT 9007199254740992.0

/*
 * A float8 that is near a numeric differs from it by a few parts in 10^16; a
 * server may compare by 15 decimal digits.  A range of this width around the
 * float8, and an absolute one for numbers too small for a float8, holds both.
 */
#define NUMERIC_SLACK 1e-14
#define NUMERIC_TINY 1e-290

static bool int_points(const PnsQual *qual, Datum value, List **scalars);
static PnsFilter int_range(const PnsQual *qual, PnsCompareOp op, Datum value);
static bool int_certain(const PnsTableColumn *column, PnsBsonBuilder *builder);
static bool float8_points(const PnsQual *qual, Datum value, List **scalars);
static PnsFilter float8_range(const PnsQual *qual, PnsCompareOp op, Datum value);
static bool float8_certain(const PnsTableColumn *column, PnsBsonBuilder *builder);
static bool float4_points(const PnsQual *qual, Datum value, List **scalars);
static PnsFilter float4_range(const PnsQual *qual, PnsCompareOp op, Datum value);
static bool numeric_points(const PnsQual *qual, Datum value, List **scalars);
static PnsFilter numeric_range(const PnsQual *qual, PnsCompareOp op, Datum value);
static bool numeric_certain(const PnsTableColumn *column, PnsBsonBuilder *builder);
static bool bool_points(const PnsQual *qual, Datum value, List **scalars);
static bool bool_certain(const PnsTableColumn *column, PnsBsonBuilder *builder);

/* int2, int4, int8 */
const PnsValueRules pns_int_rules = {
	.types = {"int", "long", "double", "decimal", NULL},
	.points = int_points,
	.range = int_range,
	.certain = int_certain,
};

/* float4 */
const PnsValueRules pns_float4_rules = {
	.types = {"double", "int", "long", NULL},
	.points = float4_points,
	.range = float4_range,
};

/* float8 */
const PnsValueRules pns_float8_rules = {
	.types = {"double", "int", "long", NULL},
	.points = float8_points,
	.range = float8_range,
	.certain = float8_certain,
};

/* numeric */
const PnsValueRules pns_numeric_rules = {
	.types = {"decimal", "double", "int", "long", NULL},
	.points = numeric_points,
	.range = numeric_range,
	.certain = numeric_certain,
};

/* bool */
const PnsValueRules pns_bool_rules = {
	.types = {"bool", NULL},
	.points = bool_points,
	.certain = bool_certain,
};

/*
 * int_operand reads an operand of any integer type.
 */
static int64
int_operand(const PnsQual *qual, Datum value)
{
	switch (qual->operand_type)
	{
		case INT2OID:
			return DatumGetInt16(value);
		case INT4OID:
			return DatumGetInt32(value);
		default:
			return DatumGetInt64(value);
	}
}

/*
 * int_points: MongoDB finds an integer in all of its representations.  What
 * is out of the column's range equals no value of the column.
 */
static bool
int_points(const PnsQual *qual, Datum value, List **scalars)
{
	int64		number = int_operand(qual, value);

	if (qual->column->base_type == INT2OID &&
		(number < PG_INT16_MIN || number > PG_INT16_MAX))
		return true;
	if (qual->column->base_type == INT4OID &&
		(number < PG_INT32_MIN || number > PG_INT32_MAX))
		return true;
	return pns_add_point(scalars, pns_int_scalar(number));
}

/*
 * int_range: numbers that do not fit the column are let in.
 */
static PnsFilter
int_range(const PnsQual *qual, PnsCompareOp op, Datum value)
{
	return pns_filter_compare(qual->column->native, op,
							  pns_int_scalar(int_operand(qual, value)));
}

/*
 * int_certain: integers of a width that the column has.
 */
static bool
int_certain(const PnsTableColumn *column, PnsBsonBuilder *builder)
{
	if (builder == NULL)
		return true;

	if (column->base_type == INT8OID)
	{
		pns_bson_open_array(builder, "$type");
		pns_bson_append_cstring(builder, "0", "int");
		pns_bson_append_cstring(builder, "1", "long");
		pns_bson_close(builder);
		return true;
	}

	pns_bson_append_cstring(builder, "$type", "int");
	if (column->base_type == INT2OID)
	{
		pns_bson_append_int32(builder, "$gte", PG_INT16_MIN);
		pns_bson_append_int32(builder, "$lte", PG_INT16_MAX);
	}
	return true;
}

/* ---------- floating point ---------- */

/*
 * number_range makes the filter for numbers that compare so with something
 * between low and high.  NaN is above all numbers to PostgreSQL, and apart
 * from them to MongoDB's comparisons.
 */
static PnsFilter
number_range(const PnsQual *qual, PnsCompareOp op, float8 low, float8 high)
{
	const char *path = qual->column->native;
	PnsScalar	nan = pns_double_scalar(get_float8_nan());
	PnsFilter	filter;

	switch (op)
	{
		case PNS_EQ:
			return pns_filter_between(path, pns_double_scalar(low), pns_double_scalar(high));
		case PNS_LT:
		case PNS_LE:
			return pns_filter_compare(path, low == high ? op : PNS_LE, pns_double_scalar(high));
		default:
			filter = pns_filter_compare(path, low == high ? op : PNS_GE, pns_double_scalar(low));
			if (qual->bounded)
				return filter;
			return pns_filter_or(filter, pns_filter_compare(path, PNS_EQ, nan));
	}
}

/*
 * nan_range makes the filter for numbers that compare so with NaN.
 */
static PnsFilter
nan_range(const PnsQual *qual, PnsCompareOp op)
{
	const char *path = qual->column->native;

	switch (op)
	{
		case PNS_GT:
			return pns_filter_none();
		case PNS_EQ:
		case PNS_GE:
			return pns_filter_compare(path, PNS_EQ, pns_double_scalar(get_float8_nan()));
		default:
			return pns_filter_type(path, pns_fdw_value_rules(qual->class)->types);
	}
}

/*
 * float_operand reads an operand of either floating-point type.
 */
static float8
float_operand(const PnsQual *qual, Datum value)
{
	if (qual->operand_type == FLOAT4OID)
		return (float8) DatumGetFloat4(value);
	return DatumGetFloat8(value);
}

/*
 * float8_points: integers beyond 2^53 are rounded when they are read, so that
 * several are equal to one float8.
 */
static bool
float8_points(const PnsQual *qual, Datum value, List **scalars)
{
	float8		number = float_operand(qual, value);

	if (fabs(number) >= FLOAT8_EXACT_LIMIT && !isinf(number))
		return false;
	return pns_add_point(scalars, pns_double_scalar(number));
}

/*
 * float8_range: as far as integers may have been rounded, the range is wider.
 */
static PnsFilter
float8_range(const PnsQual *qual, PnsCompareOp op, Datum value)
{
	float8		number = float_operand(qual, value);

	if (isnan(number))
		return nan_range(qual, op);
	if (fabs(number) < FLOAT8_EXACT_LIMIT || isinf(number))
		return number_range(qual, op, number, number);
	return number_range(qual, op, nextafter(number, -INFINITY), nextafter(number, INFINITY));
}

/*
 * float8_certain: every double and every integer.
 */
static bool
float8_certain(const PnsTableColumn *column, PnsBsonBuilder *builder)
{
	if (builder == NULL)
		return true;

	pns_bson_open_array(builder, "$type");
	pns_bson_append_cstring(builder, "0", "double");
	pns_bson_append_cstring(builder, "1", "int");
	pns_bson_append_cstring(builder, "2", "long");
	pns_bson_close(builder);
	return true;
}

/*
 * float4_points: only what is not rounded is equal to one value.
 */
static bool
float4_points(const PnsQual *qual, Datum value, List **scalars)
{
	float8		number = float_operand(qual, value);

	if (!isnan(number) && !isinf(number))
		return false;
	return pns_add_point(scalars, pns_double_scalar(number));
}

/*
 * float4_range: what is rounded to a float4 lies between its neighbours; two
 * steps hold an operand that is none itself.
 */
static PnsFilter
float4_range(const PnsQual *qual, PnsCompareOp op, Datum value)
{
	float8		number = float_operand(qual, value);
	float4		low;
	float4		high;

	if (isnan(number))
		return nan_range(qual, op);
	if (isinf(number))
		return number_range(qual, op, number, number);

	low = nextafterf(nextafterf((float4) number, -INFINITY), -INFINITY);
	high = nextafterf(nextafterf((float4) number, INFINITY), INFINITY);
	return number_range(qual, op, low, high);
}

/*
 * numeric_operand gives the float8 next to a numeric; infinite beyond the
 * range of float8.
 */
static float8
numeric_operand(Datum value)
{
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, value));
}

/*
 * numeric_points: a whole number within 2^53 is the same in every
 * representation; other doubles are read as their shortest decimal.
 */
static bool
numeric_points(const PnsQual *qual, Datum value, List **scalars)
{
	float8		number = numeric_operand(value);

	if (isnan(number))
		return pns_add_point(scalars, pns_double_scalar(number));
	if (fabs(number) >= FLOAT8_EXACT_LIMIT || number != rint(number))
		return false;

	/* is the numeric itself whole, not just the float8 beside it? */
	if (!DatumGetBool(DirectFunctionCall2(numeric_eq, value,
										  DirectFunctionCall1(float8_numeric, Float8GetDatum(number)))))
		return false;
	return pns_add_point(scalars, pns_int_scalar((int64) number));
}

/*
 * numeric_range: a range that holds the numeric and what is read as it.
 */
static PnsFilter
numeric_range(const PnsQual *qual, PnsCompareOp op, Datum value)
{
	float8		number = numeric_operand(value);
	float8		low;
	float8		high;

	if (isnan(number))
		return nan_range(qual, op);

	if (isinf(number))
	{
		low = number > 0 ? DBL_MAX : number;
		high = number > 0 ? number : -DBL_MAX;
	}
	else
	{
		low = number - fabs(number) * NUMERIC_SLACK - NUMERIC_TINY;
		high = number + fabs(number) * NUMERIC_SLACK + NUMERIC_TINY;
	}
	return number_range(qual, op, low, high);
}

/*
 * numeric_certain: every number, unless digits are limited.
 */
static bool
numeric_certain(const PnsTableColumn *column, PnsBsonBuilder *builder)
{
	if (column->base_typmod >= 0)
		return false;
	if (builder != NULL)
		pns_bson_append_cstring(builder, "$type", "number");
	return true;
}

/*
 * bool_points: true or false.
 */
static bool
bool_points(const PnsQual *qual, Datum value, List **scalars)
{
	PnsScalar	scalar = {.type = PNS_BSON_BOOL,.integer = DatumGetBool(value)};

	return pns_add_point(scalars, scalar);
}

/*
 * bool_certain: every bool.
 */
static bool
bool_certain(const PnsTableColumn *column, PnsBsonBuilder *builder)
{
	if (builder != NULL)
		pns_bson_append_cstring(builder, "$type", "bool");
	return true;
}
