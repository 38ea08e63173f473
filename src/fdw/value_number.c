/*-------------------------------------------------------------------------
 *
 * value_number.c
 *	  How numbers and booleans compare in MongoDB.
 *
 * MongoDB compares numbers of all kinds by their values.  We read some of them
 * as others: a float4 column rounds, float8 rounds long integers.  So what is
 * equal to one value is a range here.
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

static int64 float8_floor(float8 number, bool *whole, int *beyond);
static int64 numeric_floor_int(Datum value, bool *whole, int *beyond);
static bool int_points(const PnsQual *qual, Datum value, List **scalars);
static PnsFilter int_range(const PnsQual *qual, PnsCompareOp op, Datum value, bool bounded);
static bool int_bounds(const PnsQual *qual, Datum value);
static PnsFilter int_fits(const PnsTableColumn *column, PnsBounds bounds, bool *all);
static PnsFilter is_whole(const char *path);
static bool float8_points(const PnsQual *qual, Datum value, List **scalars);
static PnsFilter float8_range(const PnsQual *qual, PnsCompareOp op, Datum value, bool bounded);
static PnsFilter float8_fits(const PnsTableColumn *column, PnsBounds bounds, bool *all);
static bool float4_points(const PnsQual *qual, Datum value, List **scalars);
static PnsFilter float4_range(const PnsQual *qual, PnsCompareOp op, Datum value, bool bounded);
static PnsFilter float4_fits(const PnsTableColumn *column, PnsBounds bounds, bool *all);
static bool bool_points(const PnsQual *qual, Datum value, List **scalars);
static PnsFilter bool_range(const PnsQual *qual, PnsCompareOp op, Datum value, bool bounded);
static PnsFilter bool_fits(const PnsTableColumn *column, PnsBounds bounds, bool *all);

/* int2, int4, int8 */
const PnsValueRules pns_int_rules = {
	.types = {"int", "long", "double", "decimal", NULL},
	.strangers = {"array", NULL},
	.points = int_points,
	.range = int_range,
	.bounds = int_bounds,
	.fits = int_fits,
};

/* float4 */
const PnsValueRules pns_float4_rules = {
	.types = {"double", "int", "long", NULL},
	.strangers = {"array", "decimal", NULL},
	.points = float4_points,
	.range = float4_range,
	.bounds = pns_number_bounds,
	.fits = float4_fits,
};

/* float8 */
const PnsValueRules pns_float8_rules = {
	.types = {"double", "int", "long", NULL},
	.strangers = {"array", "decimal", NULL},
	.points = float8_points,
	.range = float8_range,
	.bounds = pns_number_bounds,
	.fits = float8_fits,
};

/* bool */
const PnsValueRules pns_bool_rules = {
	.types = {"bool", NULL},
	.strangers = {"array", NULL},
	.points = bool_points,
	.range = bool_range,
	.fits = bool_fits,
};

/*
 * int_operand reads an operand of any type of numbers: the greatest integer
 * that is not above it, and in *whole whether it is that.  What lies beyond all
 * integers is as good as the first beyond them: *beyond is 1, or -1.
 */
static int64
int_operand(const PnsQual *qual, Datum value, bool *whole, int *beyond)
{
	*whole = true;
	*beyond = 0;
	switch (qual->operand_type)
	{
		case INT2OID:
			return DatumGetInt16(value);
		case INT4OID:
			return DatumGetInt32(value);
		case INT8OID:
			return DatumGetInt64(value);
		case FLOAT8OID:
			return float8_floor(DatumGetFloat8(value), whole, beyond);
		default:
			return numeric_floor_int(value, whole, beyond);
	}
}

/*
 * float8_floor rounds a float8 down.  NaN is above all numbers.
 */
static int64
float8_floor(float8 number, bool *whole, int *beyond)
{
	float8		rounded = floor(number);

	if (isnan(number) || number >= -(float8) PG_INT64_MIN)
		*beyond = 1;
	else if (number < (float8) PG_INT64_MIN)
		*beyond = -1;
	if (*beyond != 0)
		return 0;
	*whole = rounded == number;
	return (int64) rounded;
}

/*
 * numeric_floor_int rounds a numeric down.
 */
static int64
numeric_floor_int(Datum value, bool *whole, int *beyond)
{
	Datum		rounded = DirectFunctionCall1(numeric_floor, value);
	char	   *digits = DatumGetCString(DirectFunctionCall1(numeric_out, rounded));
	char	   *end;
	int64		number;

	errno = 0;
	number = strtoi64(digits, &end, 10);
	if (errno != 0 || *end != '\0')
		*beyond = digits[0] == '-' ? -1 : 1;
	*whole = DatumGetBool(DirectFunctionCall2(numeric_eq, value, rounded));
	return number;
}

/*
 * int_limits gives the range of a column.
 */
static void
int_limits(const PnsTableColumn *column, int64 *low, int64 *high)
{
	switch (column->base_type)
	{
		case INT2OID:
			*low = PG_INT16_MIN;
			*high = PG_INT16_MAX;
			break;
		case INT4OID:
			*low = PG_INT32_MIN;
			*high = PG_INT32_MAX;
			break;
		default:
			*low = PG_INT64_MIN;
			*high = PG_INT64_MAX;
			break;
	}
}

/*
 * int_bounds: what is out of the column's range keeps nothing out of it.
 */
static bool
int_bounds(const PnsQual *qual, Datum value)
{
	bool		whole;
	int			beyond;
	int64		number = int_operand(qual, value, &whole, &beyond);
	int64		low;
	int64		high;

	int_limits(qual->column, &low, &high);
	return beyond == 0 && number >= low && number <= high;
}

/*
 * int_points: MongoDB finds an integer in all of its representations.  What
 * is out of the column's range equals no value of the column.
 */
static bool
int_points(const PnsQual *qual, Datum value, List **scalars)
{
	bool		whole;
	int			beyond;
	int64		number = int_operand(qual, value, &whole, &beyond);

	if (!whole || !int_bounds(qual, value))
		return true;
	return pns_add_point(scalars, pns_int_scalar(number));
}

/*
 * int_range: that numbers fit the column is int_fits' to say.
 */
static PnsFilter
int_range(const PnsQual *qual, PnsCompareOp op, Datum value, bool bounded)
{
	bool		below = op == PNS_LT || op == PNS_LE;
	bool		whole;
	int			beyond;
	int64		number = int_operand(qual, value, &whole, &beyond);

	if (beyond != 0)
		return below == (beyond > 0) ? pns_filter_all() : pns_filter_none();
	if (!whole && op == PNS_LT)
		op = PNS_LE;
	if (!whole && op == PNS_GE)
		op = PNS_GT;
	return pns_filter_compare(qual->column->native, op, pns_int_scalar(number));
}

/*
 * int_fits: whole numbers in the column's range.
 */
static PnsFilter
int_fits(const PnsTableColumn *column, PnsBounds bounds, bool *all)
{
	static const char *const integer_types[] = {"int", "long", NULL};
	const char *path = column->native;
	List	   *filters = NIL;
	int64		low;
	int64		high;

	*all = true;
	int_limits(column, &low, &high);
	if (!bounds.lower)
		filters = lappend(filters, pns_filter_copy(pns_filter_compare(path, PNS_GE,
																	  pns_int_scalar(low))));
	if (!bounds.upper)
		filters = lappend(filters, pns_filter_copy(pns_filter_compare(path, PNS_LE,
																	  pns_int_scalar(high))));
	filters = lappend(filters,
					  pns_filter_copy(pns_filter_or(pns_filter_type(path, integer_types),
													is_whole(path))));
	return pns_filter_and(filters);
}

/*
 * is_whole makes the filter for doubles and decimals without a fraction, which
 * no operator of a $match tells.  Other values are none, and no error.
 */
static PnsFilter
is_whole(const char *path)
{
	static const char *const fraction_types[] = {"double", "decimal", NULL};
	PnsBsonBuilder builder;

	pns_filter_open_if_type(&builder, path, fraction_types);
	pns_bson_open_document(&builder, "1");
	pns_bson_open_array(&builder, "$eq");
	pns_filter_append_path(&builder, "0", path);
	pns_bson_open_document(&builder, "1");
	pns_filter_append_path(&builder, "$trunc", path);
	pns_bson_close(&builder);
	pns_bson_close(&builder);
	pns_bson_close(&builder);
	return pns_filter_close_if_type(&builder, false);
}

/* ---------- floating point ---------- */

/*
 * pns_number_bounds: NaN is above all numbers, and keeps none out.
 */
bool
pns_number_bounds(const PnsQual *qual, Datum value)
{
	switch (qual->operand_type)
	{
		case FLOAT4OID:
			return !isnan(DatumGetFloat4(value));
		case FLOAT8OID:
			return !isnan(DatumGetFloat8(value));
		default:
			return !numeric_is_nan(DatumGetNumeric(value));
	}
}

/*
 * pns_number_range makes the filter for numbers that compare so with something
 * that all from low to high are equal to.  NaN is above all numbers to
 * PostgreSQL, and apart from them to MongoDB's comparisons.
 */
PnsFilter
pns_number_range(const PnsQual *qual, PnsCompareOp op, PnsScalar low, PnsScalar high,
				 bool bounded)
{
	const char *path = qual->column->native;
	PnsFilter	filter;

	switch (op)
	{
		case PNS_EQ:
			return pns_filter_between(path, low, high);
		case PNS_LT:
			return pns_filter_compare(path, op, low);
		case PNS_LE:
			return pns_filter_compare(path, op, high);
		case PNS_GT:
			filter = pns_filter_compare(path, op, high);
			break;
		default:
			filter = pns_filter_compare(path, op, low);
			break;
	}

	if (bounded)
		return filter;
	return pns_filter_or(filter, pns_filter_compare(path, PNS_EQ,
													pns_double_scalar(get_float8_nan())));
}

/*
 * pns_nan_range makes the filter for numbers that compare so with NaN.
 */
PnsFilter
pns_nan_range(const PnsQual *qual, PnsCompareOp op)
{
	const char *path = qual->column->native;
	PnsScalar	nan = pns_double_scalar(get_float8_nan());
	PnsFilter	numbers = pns_filter_type(path, pns_fdw_value_rules(qual->class)->types);
	PnsFilter	others = pns_filter_compare(path, PNS_NE, nan);

	switch (op)
	{
		case PNS_GT:
			return pns_filter_none();
		case PNS_EQ:
		case PNS_GE:
			return pns_filter_compare(path, PNS_EQ, nan);
		case PNS_LT:
			return pns_filter_and(list_make2(&numbers, &others));
		default:
			return numbers;
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
 * is_rounded_to tells whether integers other than itself are read as a float8.
 */
static bool
is_rounded_to(float8 number)
{
	return fabs(number) >= FLOAT8_EXACT_LIMIT && fabs(number) <= -(float8) PG_INT64_MIN;
}

/*
 * read_as finds the numbers that are read as a float8: itself, and the long
 * integers that are rounded to it, of which there are up to a thousand.  No
 * double but itself lies among them.
 */
static void
read_as(float8 number, PnsScalar *low, PnsScalar *high)
{
	bool		above = number >= -(float8) PG_INT64_MIN;
	int64		integer;

	*low = *high = pns_double_scalar(number);
	if (!is_rounded_to(number))
		return;

	integer = above ? PG_INT64_MAX : (int64) number;
	while (integer > PG_INT64_MIN && (float8) (integer - 1) == number)
		integer--;
	*low = pns_int_scalar(integer);
	if (above)
		return;					/* itself is the greatest */
	integer = (int64) number;
	while (integer < PG_INT64_MAX && (float8) (integer + 1) == number)
		integer++;
	*high = pns_int_scalar(integer);
}

/*
 * float8_points: integers beyond 2^53 are rounded when they are read, so that
 * several are equal to one float8.
 */
static bool
float8_points(const PnsQual *qual, Datum value, List **scalars)
{
	float8		number = float_operand(qual, value);

	if (is_rounded_to(number))
		return false;
	return pns_add_point(scalars, pns_double_scalar(number));
}

/*
 * float8_range: as far as integers are rounded, an operand stands for many.
 */
static PnsFilter
float8_range(const PnsQual *qual, PnsCompareOp op, Datum value, bool bounded)
{
	float8		number = float_operand(qual, value);
	PnsScalar	low;
	PnsScalar	high;

	if (isnan(number))
		return pns_nan_range(qual, op);
	read_as(number, &low, &high);
	return pns_number_range(qual, op, low, high, bounded);
}

/*
 * float8_fits: every double and every integer.
 */
static PnsFilter
float8_fits(const PnsTableColumn *column, PnsBounds bounds, bool *all)
{
	*all = true;
	if (bounds.lower || bounds.upper)
		return pns_filter_all();	/* what is compared is a number */
	return pns_filter_type(column->native, pns_float8_rules.types);
}

/*
 * float4_points: only what is not rounded is equal to one value.
 */
static bool
float4_points(const PnsQual *qual, Datum value, List **scalars)
{
	float8		number = float_operand(qual, value);

	if (!isnan(number) && !isinf(number) && number != 0)
		return false;
	return pns_add_point(scalars, pns_double_scalar(number));
}

/*
 * lowest_read_as finds the least double that is rounded to a float4, or above.
 */
static float8
lowest_read_as(float4 number)
{
	float8		limit = ldexp(1.0, FLT_MAX_EXP);	/* infinite as a float4 */
	float8		below = Max(nextafterf(number, -INFINITY), -limit);
	float8		found = Min(number, limit);

	if (isinf(number) && number < 0)
		return number;
	for (;;)
	{
		float8		middle = below + (found - below) / 2;

		if (middle <= below || middle >= found)
			return found;
		if ((float4) middle >= number)
			found = middle;
		else
			below = middle;
	}
}

/*
 * float4_range: an operand stands for all that is rounded to it; one that is
 * no float4 lies between two.
 */
static PnsFilter
float4_range(const PnsQual *qual, PnsCompareOp op, Datum value, bool bounded)
{
	float8		number = float_operand(qual, value);
	float4		above = (float4) number;
	float4		below = (float4) number;
	PnsScalar	low;
	PnsScalar	high;
	PnsScalar	unused;

	if (isnan(number))
		return pns_nan_range(qual, op);

	if ((float8) above < number)
		above = nextafterf(above, INFINITY);
	else if ((float8) below > number)
		below = nextafterf(below, -INFINITY);
	if (op == PNS_EQ && above != below)
		return pns_filter_none();

	read_as(lowest_read_as(above), &low, &unused);
	read_as(-lowest_read_as(-below), &unused, &high);
	return pns_number_range(qual, op, low, high, bounded);
}

/*
 * float4_fits: what float8 takes, but for numbers that become infinite or
 * zero.
 */
static PnsFilter
float4_fits(const PnsTableColumn *column, PnsBounds bounds, bool *all)
{
	const char *path = column->native;
	float8		limits[2] = {lowest_read_as(nextafterf(0, 1)), lowest_read_as(INFINITY)};
	float8		outer[2] = {0, INFINITY};
	PnsFilter	filter = float8_fits(column, bounds, all);
	List	   *filters = list_make1(&filter);

	/* not within (0, the least), nor from what rounds up to infinity on */
	for (int i = 0; i < 4; i++)
	{
		float8		sign = i % 2 == 0 ? 1 : -1;
		PnsScalar	limit = pns_double_scalar(sign * limits[i / 2]);
		PnsScalar	other = pns_double_scalar(sign * outer[i / 2]);
		bool		low = (i / 2 == 0) == (sign > 0);
		PnsFilter	one = pns_filter_compare(path, i / 2 == 0 ? (low ? PNS_LT : PNS_GT) :
											 (low ? PNS_LE : PNS_GE), limit);
		PnsFilter	two = pns_filter_compare(path, low ? PNS_GT : PNS_LT, other);

		filters = lappend(filters,
						  pns_filter_copy(pns_filter_not(pns_filter_and(list_make2(&one, &two)))));
	}
	return pns_filter_and(filters);
}

/* ---------- booleans ---------- */

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
 * bool_range: false is below true.
 */
static PnsFilter
bool_range(const PnsQual *qual, PnsCompareOp op, Datum value, bool bounded)
{
	PnsScalar	scalar = {.type = PNS_BSON_BOOL,.integer = DatumGetBool(value)};

	return pns_filter_compare(qual->column->native, op, scalar);
}

/*
 * bool_fits: every bool.
 */
static PnsFilter
bool_fits(const PnsTableColumn *column, PnsBounds bounds, bool *all)
{
	*all = true;
	return pns_filter_type(column->native, pns_bool_rules.types);
}
