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

static bool timestamp_points(const PnsQual *qual, Datum value, List **scalars);
static PnsFilter timestamp_range(const PnsQual *qual, PnsCompareOp op, Datum value);
static PnsFilter date_range(const PnsQual *qual, PnsCompareOp op, Datum value);
static bool date_certain(const PnsTableColumn *column, PnsBsonBuilder *builder);

/* timestamp, with time zone or without */
const PnsValueRules pns_timestamp_rules = {
	.types = {"date", NULL},
	.points = timestamp_points,
	.range = timestamp_range,
	.certain = date_certain,
};

/* date */
const PnsValueRules pns_date_rules = {
	.types = {"date", NULL},
	.range = date_range,
	.certain = date_certain,
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
 * timestamp_points: the millisecond; none for what lies between two, or
 * between two values of the column.
 */
static bool
timestamp_points(const PnsQual *qual, Datum value, List **scalars)
{
	Timestamp	timestamp = DatumGetTimestamp(value);
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
timestamp_range(const PnsQual *qual, PnsCompareOp op, Datum value)
{
	Timestamp	timestamp = DatumGetTimestamp(value);
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
 * date_range: a day is the milliseconds from its midnight, UTC, to the next.
 */
static PnsFilter
date_range(const PnsQual *qual, PnsCompareOp op, Datum value)
{
	const char *path = qual->column->native;
	DateADT		date = DatumGetDateADT(value);
	PnsScalar	first;
	PnsScalar	last;

	if (DATE_NOT_FINITE(date))
		return infinite_range(qual, op, DATE_IS_NOEND(date));

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
 * date_certain: dates that every date and time type of PostgreSQL can hold,
 * unless the column's precision leaves some out.
 */
static bool
date_certain(const PnsTableColumn *column, PnsBsonBuilder *builder)
{
	if (column_unit(column) > 1)
		return false;
	if (builder == NULL)
		return true;

	/* the years 1 to 9999, which every server takes in a command */
	pns_bson_append_cstring(builder, "$type", "date");
	pns_bson_append_date(builder, "$gte", INT64CONST(-62135596800000));
	pns_bson_append_date(builder, "$lte", INT64CONST(253402300799999));
	return true;
}
