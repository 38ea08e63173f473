/*-------------------------------------------------------------------------
 *
 * value_date.c
 *	  How dates compare in MongoDB.
 *
 * A date of MongoDB is a number of milliseconds; an operand may lie between
 * two of them, or be infinite.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/date.h"
#include "utils/timestamp.h"

#include "fdw/private.h"

#define MILLISECONDS_PER_DAY INT64CONST(86400000)
#define POSTGRES_EPOCH_DAYS (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)

/* The years 1 to 9999, which every server takes in a command. */
#define FIRST_PLAIN_DATE INT64CONST(-62135596800000)
#define LAST_PLAIN_DATE INT64CONST(253402300799999)

static bool timestamp_points(const PnsQual *qual, Datum value, List **scalars);
static PnsFilter timestamp_range(const PnsQual *qual, PnsCompareOp op, Datum value, bool bounded);
static bool timestamp_bounds(const PnsQual *qual, Datum value);
static PnsFilter date_range(const PnsQual *qual, PnsCompareOp op, Datum value, bool bounded);
static bool date_bounds(const PnsQual *qual, Datum value);
static PnsFilter date_fits(const PnsTableColumn *column, PnsBounds bounds, bool *all);
static PnsFilter is_held(const PnsTableColumn *column);
static void append_milliseconds(PnsBsonBuilder *builder, const char *key, const char *operator,
								const char *path, int64 number);

/* timestamp, with time zone or without */
const PnsValueRules pns_timestamp_rules = {
	.types = {"date", NULL},
	.strangers = {"array", NULL},
	.points = timestamp_points,
	.range = timestamp_range,
	.bounds = timestamp_bounds,
	.fits = date_fits,
};

/* date */
const PnsValueRules pns_date_rules = {
	.types = {"date", NULL},
	.strangers = {"array", NULL},
	.range = date_range,
	.bounds = date_bounds,
	.fits = date_fits,
};

/*
 * timestamp_floor gives the millisecond, counted as MongoDB does, that a
 * finite timestamp lies in; *whole tells whether it is that millisecond.
 */
static int64
timestamp_floor(Timestamp timestamp, bool *whole)
{
	int64		milliseconds = timestamp / 1000;

	*whole = timestamp % 1000 == 0;
	if (timestamp % 1000 < 0)
		milliseconds--;
	return milliseconds + POSTGRES_EPOCH_DAYS * MILLISECONDS_PER_DAY;
}

/*
 * column_unit gives the milliseconds that a column's declared precision counts
 * in.  A date between two of its units does not fit the column.
 */
static int64
column_unit(const PnsTableColumn *column)
{
	static const int64 units[] = {1000, 100, 10};

	if (column->base_typmod >= 0 && column->base_typmod < lengthof(units))
		return units[column->base_typmod];
	return 1;
}

/*
 * infinite_range makes the filter for dates that compare so with infinity;
 * no date is infinite itself.
 */
static PnsFilter
infinite_range(const PnsQual *qual, PnsCompareOp op, bool positive)
{
	bool		below = op == PNS_LT || op == PNS_LE;

	if (op == PNS_EQ || below != positive)
		return pns_filter_none();
	return pns_filter_type(qual->column->native,
						   pns_fdw_value_rules(qual->class)->types);
}

/*
 * timestamp_operand reads an operand: a day is its midnight, and without a
 * time zone it means the session's, both as PostgreSQL compares them.  What no
 * timestamp reaches is as good as infinite.
 */
static Timestamp
timestamp_operand(const PnsQual *qual, Datum value)
{
	bool		zoned = qual->column->base_type == TIMESTAMPTZOID;
	int			overflow;

	if (qual->operand_type == DATEOID && zoned)
		return date2timestamptz_opt_overflow(DatumGetDateADT(value), &overflow);
	if (qual->operand_type == DATEOID)
		return date2timestamp_opt_overflow(DatumGetDateADT(value), &overflow);
	if (qual->operand_type == TIMESTAMPOID && zoned)
		return timestamp2timestamptz_opt_overflow(DatumGetTimestamp(value), &overflow);
	return DatumGetTimestamp(value);
}

/*
 * timestamp_points: the millisecond; none for what lies between two, or
 * between two values of the column.
 */
static bool
timestamp_points(const PnsQual *qual, Datum value, List **scalars)
{
	Timestamp	timestamp = timestamp_operand(qual, value);
	int64		milliseconds;
	bool		whole;

	if (TIMESTAMP_NOT_FINITE(timestamp))
		return true;
	milliseconds = timestamp_floor(timestamp, &whole);
	if (whole && milliseconds % column_unit(qual->column) == 0)
		(void) pns_add_point(scalars, pns_date_scalar(milliseconds));
	return true;
}

/*
 * timestamp_range: stored dates are whole milliseconds.
 */
static PnsFilter
timestamp_range(const PnsQual *qual, PnsCompareOp op, Datum value, bool bounded)
{
	Timestamp	timestamp = timestamp_operand(qual, value);
	int64		milliseconds;
	bool		whole;

	if (TIMESTAMP_NOT_FINITE(timestamp))
		return infinite_range(qual, op, TIMESTAMP_IS_NOEND(timestamp));

	milliseconds = timestamp_floor(timestamp, &whole);
	if (!whole && op == PNS_GE)
		op = PNS_GT;
	if (!whole && op == PNS_LT)
		op = PNS_LE;
	return pns_filter_compare(qual->column->native, op, pns_date_scalar(milliseconds));
}

/*
 * timestamp_bounds: infinity keeps no date out.
 */
static bool
timestamp_bounds(const PnsQual *qual, Datum value)
{
	return !TIMESTAMP_NOT_FINITE(timestamp_operand(qual, value));
}

/*
 * date_operand reads an operand: the day that a timestamp is of, and in *whole
 * whether it is that day's midnight.
 */
static DateADT
date_operand(const PnsQual *qual, Datum value, bool *whole)
{
	Timestamp	timestamp = DatumGetTimestamp(value);
	DateADT		date;

	*whole = true;
	if (qual->operand_type == DATEOID)
		return DatumGetDateADT(value);
	if (TIMESTAMP_IS_NOBEGIN(timestamp))
		return DATEVAL_NOBEGIN;
	if (TIMESTAMP_IS_NOEND(timestamp))
		return DATEVAL_NOEND;

	*whole = timestamp % USECS_PER_DAY == 0;
	date = timestamp / USECS_PER_DAY;
	return timestamp % USECS_PER_DAY < 0 ? date - 1 : date;
}

/*
 * date_range: a day is the milliseconds from its midnight, UTC, to the next.
 */
static PnsFilter
date_range(const PnsQual *qual, PnsCompareOp op, Datum value, bool bounded)
{
	const char *path = qual->column->native;
	bool		whole;
	DateADT		date = date_operand(qual, value, &whole);
	PnsScalar	first;
	PnsScalar	last;

	if (DATE_NOT_FINITE(date))
		return infinite_range(qual, op, DATE_IS_NOEND(date));

	if (!whole && op == PNS_EQ)
		return pns_filter_none();
	if (!whole && op == PNS_LT)
		op = PNS_LE;
	if (!whole && op == PNS_GE)
		op = PNS_GT;

	first = pns_date_scalar(((int64) date + POSTGRES_EPOCH_DAYS) * MILLISECONDS_PER_DAY);
	last = pns_date_scalar(first.integer + MILLISECONDS_PER_DAY - 1);
	switch (op)
	{
		case PNS_EQ:
			return pns_filter_between(path, first, last);
		case PNS_LT:
		case PNS_GE:
			return pns_filter_compare(path, op, first);
		default:
			return pns_filter_compare(path, op, last);
	}
}

/*
 * date_bounds: infinity keeps no date out.
 */
static bool
date_bounds(const PnsQual *qual, Datum value)
{
	bool		unused;

	return !DATE_NOT_FINITE(date_operand(qual, value, &unused));
}

/*
 * date_fits: dates that the column's type can hold.  Those of four-digit
 * years can be told by comparisons; for the others and for a column with a
 * precision it takes an expression.
 */
static PnsFilter
date_fits(const PnsTableColumn *column, PnsBounds bounds, bool *all)
{
	const char *path = column->native;
	PnsFilter	low;
	PnsFilter	high;

	*all = true;
	if (column_unit(column) > 1)
		return is_held(column);
	if (bounds.lower && bounds.upper)
		return pns_filter_all();

	low = bounds.lower ? pns_filter_all() :
		pns_filter_compare(path, PNS_GE, pns_date_scalar(FIRST_PLAIN_DATE));
	high = bounds.upper ? pns_filter_all() :
		pns_filter_compare(path, PNS_LE, pns_date_scalar(LAST_PLAIN_DATE));
	return pns_filter_or(pns_filter_and(list_make2(&low, &high)), is_held(column));
}

/*
 * is_held makes the filter for dates in the range of the column's type that
 * lie on its precision's units.  Other values are none, and no error.
 */
static PnsFilter
is_held(const PnsTableColumn *column)
{
	static const char *const date_type[] = {"date", NULL};
	bool		is_date = column->base_type == DATEOID;
	int64		end = is_date ? DATE_END_JULIAN : TIMESTAMP_END_JULIAN;
	int64		low = (DATETIME_MIN_JULIAN - UNIX_EPOCH_JDATE) * MILLISECONDS_PER_DAY;
	int64		high = (end - UNIX_EPOCH_JDATE) * MILLISECONDS_PER_DAY;
	PnsBsonBuilder builder;

	pns_filter_open_if_type(&builder, column->native, date_type);
	pns_bson_open_document(&builder, "1");
	pns_bson_open_array(&builder, "$and");
	append_milliseconds(&builder, "0", "$gte", column->native, low);
	append_milliseconds(&builder, "1", "$lt", column->native, high);
	if (column_unit(column) > 1)
	{
		pns_bson_open_document(&builder, "2");
		pns_bson_open_array(&builder, "$eq");
		append_milliseconds(&builder, "0", "$mod", column->native, column_unit(column));
		pns_bson_append_int32(&builder, "1", 0);
		pns_bson_close(&builder);
		pns_bson_close(&builder);
	}
	pns_bson_close(&builder);
	pns_bson_close(&builder);
	return pns_filter_close_if_type(&builder, false);
}

/*
 * append_milliseconds appends { operator: [ <milliseconds of a date>, number ] }.
 */
static void
append_milliseconds(PnsBsonBuilder *builder, const char *key, const char *operator,
					const char *path, int64 number)
{
	pns_bson_open_document(builder, key);
	pns_bson_open_array(builder, operator);
	pns_bson_open_document(builder, "0");
	pns_filter_append_path(builder, "$toLong", path);
	pns_bson_close(builder);
	pns_bson_append_int64(builder, "1", number);
	pns_bson_close(builder);
	pns_bson_close(builder);
}
