/*-------------------------------------------------------------------------
 *
 * value_numeric.c
 *	  How numerics compare in MongoDB.
 *
 * We read a double as its shortest decimal, which MongoDB compares by the value
 * that it has.  So doubles are compared with a double and other numbers with a
 * decimal.  As no index serves that well, there stands beside it a range a
 * little wider, which is asked of numbers of all kinds.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "common/shortest_dec.h"
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

/* Decimal128: digits * 10^exponent. */
#define DECIMAL_DIGITS 34
#define LEAST_EXPONENT (-6176)
#define GREATEST_EXPONENT 6111

static bool numeric_points(const PnsQual *qual, Datum value, List **scalars);
static PnsFilter numeric_range(const PnsQual *qual, PnsCompareOp op, Datum value, bool bounded);
static PnsFilter numeric_exactly(const PnsQual *qual, PnsCompareOp op, Datum value, bool bounded);
static PnsFilter compare_kinds(const char *path, PnsCompareOp op, PnsScalar scalar, int order,
							   const char *const *types);
static int	nearest_double(Datum value, float8 *number);
static char *decimal_below(Datum value, bool *same);
static bool add_one(char *digits);
static PnsFilter numeric_fits(const PnsTableColumn *column, PnsBounds bounds, bool *all);

/* numeric */
const PnsValueRules pns_numeric_rules = {
	.types = {"decimal", "double", "int", "long", NULL},
	.strangers = {"array", NULL},
	.points = numeric_points,
	.range = numeric_range,
	.exactly = numeric_exactly,
	.bounds = pns_number_bounds,
	.fits = numeric_fits,
};

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
numeric_range(const PnsQual *qual, PnsCompareOp op, Datum value, bool bounded)
{
	float8		number = numeric_operand(value);
	float8		low;
	float8		high;

	if (isnan(number))
		return pns_nan_range(qual, op);

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
	/* both ends are let in */
	if (op == PNS_LT || op == PNS_LE)
		return pns_filter_compare(qual->column->native, PNS_LE, pns_double_scalar(high));
	if (op == PNS_GT)
		op = PNS_GE;
	return pns_number_range(qual, op, pns_double_scalar(low), pns_double_scalar(high), bounded);
}

/*
 * numeric_exactly: doubles by the double next to the numeric, and other numbers
 * by the decimal next to it.
 */
static PnsFilter
numeric_exactly(const PnsQual *qual, PnsCompareOp op, Datum value, bool bounded)
{
	static const char *const double_type[] = {"double", NULL};
	static const char *const other_types[] = {"int", "long", "decimal", NULL};
	const char *path = qual->column->native;
	PnsScalar	decimal = {.type = PNS_BSON_DECIMAL128};
	List	   *points = NIL;
	PnsFilter	filter;
	float8		number;
	int			order;
	bool		same;

	if (numeric_is_nan(DatumGetNumeric(value)))
		return pns_nan_range(qual, op);
	if (numeric_points(qual, value, &points))
		return op == PNS_EQ ? pns_filter_points(path, points) :
			pns_number_range(qual, op, *(PnsScalar *) linitial(points),
							 *(PnsScalar *) linitial(points), bounded);

	order = nearest_double(value, &number);
	filter = compare_kinds(path, op, pns_double_scalar(number), order, double_type);
	decimal.data = decimal_below(value, &same);
	filter = pns_filter_or(filter, compare_kinds(path, op, decimal, same ? 0 : -1, other_types));
	if (bounded || op == PNS_EQ || op == PNS_LT || op == PNS_LE)
		return filter;
	return pns_filter_or(filter, pns_filter_compare(path, PNS_EQ,
													pns_double_scalar(get_float8_nan())));
}

/*
 * compare_kinds makes the filter for the numbers of some types that compare so
 * with a number next to which scalar is: with an order above 0 the next above
 * it, below 0 the next below it.
 */
static PnsFilter
compare_kinds(const char *path, PnsCompareOp op, PnsScalar scalar, int order,
			  const char *const *types)
{
	PnsFilter	comparison;
	PnsFilter	type = pns_filter_type(path, types);

	if (order != 0 && op == PNS_EQ)
		return pns_filter_none();
	if (order < 0)
		op = op == PNS_LT || op == PNS_LE ? PNS_LE : PNS_GT;
	else if (order > 0)
		op = op == PNS_LT || op == PNS_LE ? PNS_LT : PNS_GE;
	comparison = pns_filter_compare(path, op, scalar);
	return pns_filter_and(list_make2(&comparison, &type));
}

/*
 * nearest_double finds a double as which nothing between it and a numeric is
 * read, and tells how what it is read as compares with the numeric.
 */
static int
nearest_double(Datum value, float8 *number)
{
	char		digits[DOUBLE_SHORTEST_DECIMAL_LEN];
	Datum		read_as;

	*number = numeric_operand(value);
	if (isinf(*number))
	{
		if (numeric_is_inf(DatumGetNumeric(value)))
			return 0;
		*number = *number > 0 ? DBL_MAX : -DBL_MAX;
	}
	double_to_shortest_decimal_buf(*number, digits);
	read_as = DirectFunctionCall3(numeric_in, CStringGetDatum(digits),
								  ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, read_as, value));
}

/*
 * decimal_below gives the digits of the greatest Decimal128 that is not above a
 * numeric, and whether it is the same number.
 */
static char *
decimal_below(Datum value, bool *same)
{
	char	   *str = DatumGetCString(DirectFunctionCall1(numeric_out, value));
	bool		negative = str[0] == '-';
	uint8		unused[PNS_DECIMAL128_BYTES];
	char	   *digits;
	int			exponent;
	int			kept;

	*same = pns_text_to_decimal128(str, unused);
	if (*same)
		return str;

	/* 0.digits * 10^exponent */
	str += negative ? 1 : 0;
	exponent = strcspn(str, ".");
	digits = str[exponent] == '.' ?
		psprintf("%.*s%s", exponent, str, str + exponent + 1) : str;
	exponent -= strspn(digits, "0");
	digits += strspn(digits, "0");
	kept = Min(DECIMAL_DIGITS, exponent - LEAST_EXPONENT);
	if (kept <= 0)
		return negative ? psprintf("-1E%d", LEAST_EXPONENT) : pstrdup("0");

	if (strlen(digits) > kept)
		digits[kept] = '\0';
	if (negative && !add_one(digits))
		exponent++;
	if (exponent > GREATEST_EXPONENT + DECIMAL_DIGITS)
		return negative ? pstrdup("-Infinity") :
			psprintf("%sE%d", "9999999999999999999999999999999999", GREATEST_EXPONENT);
	return psprintf("%s%sE%d", negative ? "-" : "", digits, exponent - (int) strlen(digits));
}

/*
 * add_one adds one to the last digit.  False where that makes a power of ten of
 * one more digit, which then has one less.
 */
static bool
add_one(char *digits)
{
	int			i = strlen(digits) - 1;

	for (; i >= 0 && digits[i] == '9'; i--)
		digits[i] = '0';
	if (i < 0)
		digits[0] = '1';
	else
		digits[i]++;
	return i >= 0;
}

/*
 * numeric_fits: every number, unless digits are limited.
 */
static PnsFilter
numeric_fits(const PnsTableColumn *column, PnsBounds bounds, bool *all)
{
	*all = column->base_typmod < 0;
	if (!*all)
		return pns_filter_none();
	return pns_filter_type(column->native, pns_numeric_rules.types);
}
