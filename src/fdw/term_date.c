/*-------------------------------------------------------------------------
 *
 * term_date.c
 *	  Functions of dates and times in terms.
 *
 * A date of MongoDB is a number of milliseconds, and all that is done with it
 * here is arithmetic on whole numbers: what servers know of calendars and time
 * zones differs, and not all of them know of the years before 1 and after 9999.
 *
 * What depends on the session's time zone is not shipped, nor is a zone whose
 * distance from UTC has ever changed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgroids.h"
#include "utils/timestamp.h"

#include "fdw/term_private.h"

#define MILLISECONDS_PER_DAY (USECS_PER_DAY / 1000)

static PnsTerm *compile_part(Oid function, List *exprs, PnsTermCompiler *compiler);
static PnsTerm *compile_trunc(Oid function, List *exprs, PnsTermCompiler *compiler);
static PnsTerm *compile_zone(Oid function, List *exprs, PnsTermCompiler *compiler);
static PnsTerm *compile_shift(Oid function, List *exprs, PnsTermCompiler *compiler);
static PnsTerm *make_shifted(Oid type, PnsTerm *arg, int64 milliseconds);
static char *constant_name(Node *node);
static bool constant_interval(Node *node, Interval **interval);
static bool fixed_zone(const char *name, int64 *milliseconds);

/* a / b and a mod b, rounded down; the operands are far from 2^53 */
#define QUOTIENT(a, b) "{$floor: {$divide: [" a ", " b "]}}"
#define MODULO(a, b) "{$mod: [{$add: [{$mod: [" a ", " b "]}, " b "]}, " b "]}"

/* The milliseconds of a date, those since its midnight, and the day's number. */
#define MILLISECONDS "{$subtract: [#1, EPOCH]}"
#define OF_DAY MODULO(MILLISECONDS, "86400000")
#define DAY_OF(milliseconds) \
	"{$floor: {$add: [{$divide: [{$subtract: [" milliseconds ", " MODULO(milliseconds, "86400000") "]}, 86400000]}, 0.5]}}"
#define DAY DAY_OF(MILLISECONDS)

/*
 * A day in the calendar, whose years begin in March here so that the leap day
 * is the last: e is the number of the 400 years that it lies in, y the year in
 * them, n the day of the year, m the month, all from 0.
 */
#define WITH_CALENDAR(day, value) \
	"{$let: {vars: {z: {$add: [" day ", 719468]}}, in: " \
	"{$let: {vars: {e: " QUOTIENT("'$$z'", "146097") ", o: " MODULO("'$$z'", "146097") "}, in: " \
	"{$let: {vars: {y: {$floor: {$divide: [{$add: [{$subtract: ['$$o', " QUOTIENT("'$$o'", "1460") "]}, " \
	"{$subtract: [" QUOTIENT("'$$o'", "36524") ", " QUOTIENT("'$$o'", "146096") "]}]}, 365]}}}, in: " \
	"{$let: {vars: {n: {$subtract: ['$$o', {$subtract: [{$add: [{$multiply: ['$$y', 365]}, " \
	QUOTIENT("'$$y'", "4") "]}, " QUOTIENT("'$$y'", "100") "]}]}}, in: " \
	"{$let: {vars: {m: " QUOTIENT("{$add: [{$multiply: ['$$n', 5]}, 2]}", "153") "}, in: " \
	value "}}}}}}}}}}"

#define IS_LEAP_YEAR \
	"{$and: [{$eq: [{$mod: ['$$y', 4]}, 0]}, {$or: [{$ne: [{$mod: ['$$y', 100]}, 0]}, {$eq: ['$$y', 0]}]}]}"
#define BEFORE_MARCH "{$gte: ['$$m', 10]}"

/* Days from the first of the month, January or the quarter to a day. */
#define FROM_MONTH(month) \
	"{$subtract: ['$$n', " QUOTIENT("{$add: [{$multiply: [" month ", 153]}, 2]}", "5") "]}"
#define FROM_JANUARY \
	"{$cond: [" BEFORE_MARCH ", {$subtract: ['$$n', 306]}, " \
	"{$add: ['$$n', {$cond: [" IS_LEAP_YEAR ", 60, 59]}]}]}"
#define FROM_QUARTER \
	"{$cond: [{$eq: ['$$m', 0]}, " FROM_JANUARY ", " \
	FROM_MONTH("{$subtract: ['$$m', {$mod: [{$add: ['$$m', 2]}, 3]}]}") "]}"
#define FROM_MONDAY MODULO("{$add: [" DAY ", 3]}", "7")

/* PostgreSQL has no year 0. */
#define YEAR \
	"{$let: {vars: {a: {$add: ['$$y', {$multiply: ['$$e', 400]}, {$cond: [" BEFORE_MARCH ", 1, 0]}]}}, in: " \
	"{$cond: [{$gt: ['$$a', 0]}, '$$a', {$subtract: ['$$a', 1]}]}}}"
#define MONTH \
	"{$cond: [" BEFORE_MARCH ", {$subtract: ['$$m', 9]}, {$add: ['$$m', 3]}]}"

/* The Thursday of a day's week, whose year is the week's. */
#define THURSDAY "{$add: [{$subtract: [" DAY ", " FROM_MONDAY "]}, 3]}"

/* A part of a date and time: a whole number, unless it is fractional. */
typedef struct DatePart
{
	const char *name;
	bool		of_day;			/* of dates as well */
	bool		fractional;		/* a float8, and no numeric */
	const char *template;
} DatePart;

static const DatePart date_parts[] = {
	{"year", true, false, WITH_CALENDAR(DAY, YEAR)},
	{"quarter", true, false, WITH_CALENDAR(DAY, QUOTIENT("{$add: [" MONTH ", 2]}", "3"))},
	{"month", true, false, WITH_CALENDAR(DAY, MONTH)},
	{"day", true, false, WITH_CALENDAR(DAY, "{$add: [" FROM_MONTH("'$$m'") ", 1]}")},
	{"doy", true, false, WITH_CALENDAR(DAY, "{$add: [" FROM_JANUARY ", 1]}")},
	{"isoyear", true, false, WITH_CALENDAR(THURSDAY, YEAR)},
	{"week", true, false, WITH_CALENDAR(THURSDAY, "{$add: [" QUOTIENT(FROM_JANUARY, "7") ", 1]}")},
	{"dow", true, false, MODULO("{$add: [" DAY ", 4]}", "7")},
	{"isodow", true, false, "{$add: [" FROM_MONDAY ", 1]}"},
	{"hour", false, false, QUOTIENT(OF_DAY, "3600000")},
	{"minute", false, false, QUOTIENT(MODULO(MILLISECONDS, "3600000"), "60000")},
	{"second", false, true,
		"{$add: [" QUOTIENT(MODULO(MILLISECONDS, "60000"), "1000") ", "
	"{$divide: [{$multiply: [" MODULO(MILLISECONDS, "1000") ", 1000]}, 1000000.0]}]}"},
	{"milliseconds", false, true, MODULO(MILLISECONDS, "60000")},
	{"microseconds", false, false, "{$multiply: [" MODULO(MILLISECONDS, "60000") ", 1000]}"},
	{"epoch", false, true,
	"{$divide: [{$toDouble: {$multiply: [" MILLISECONDS ", 1000]}}, 1000000.0]}"},
};

/* A unit that dates and times are cut to: how far they are from it. */
typedef struct DateUnit
{
	const char *name;
	const char *template;		/* in milliseconds, or in days and what of the
								 * last day is over */
	bool		days;
} DateUnit;

static const DateUnit date_units[] = {
	{"milliseconds", "0", false},
	{"second", MODULO(MILLISECONDS, "1000"), false},
	{"minute", MODULO(MILLISECONDS, "60000"), false},
	{"hour", MODULO(MILLISECONDS, "3600000"), false},
	{"day", OF_DAY, false},
	{"week", FROM_MONDAY, true},
	{"month", WITH_CALENDAR(DAY, FROM_MONTH("'$$m'")), true},
	{"quarter", WITH_CALENDAR(DAY, FROM_QUARTER), true},
	{"year", WITH_CALENDAR(DAY, FROM_JANUARY), true},
};

/*
 * A date that is later by some milliseconds, if it lies in the years that
 * every server knows, 1 to 9999, or null.  What does not need not be an error,
 * but is looked at here as one might be.
 */
#define LATER(offset) \
	"{$let: {vars: {d: " offset "}, in: {$cond: [{$and: [" \
	"{$gte: [{$add: [{$subtract: [#1, EPOCH]}, '$$d']}, -62135596800000]}, " \
	"{$lte: [{$add: [{$subtract: [#1, EPOCH]}, '$$d']}, 253402300799999]}]}, {$add: [#1, '$$d']}, null]}}}"
#define DAYS_LATER(sign) LATER("{$multiply: [{$toLong: #2}, " sign "86400000]}")

/* The functions of dates without a unit, closed by one without a function. */
const PnsTermRule pns_term_date_rules[] = {
	{F_DATE_TIMESTAMP, DATEOID, PNS_RULE_CHECKS_NULL, "{$subtract: [#1, " OF_DAY "]}"},
	{F_TIMESTAMP_DATE, TIMESTAMPOID, PNS_RULE_CHECKS_NULL | PNS_RULE_FAILS,
	"{$cond: [{$lt: [{$subtract: [#1, EPOCH]}, 9224318016000000]}, #1, null]}"},
	{F_DATE_PLI, DATEOID, PNS_RULE_CHECKS_NULL | PNS_RULE_FAILS,
	DAYS_LATER("")},
	{F_DATE_MII, DATEOID, PNS_RULE_CHECKS_NULL | PNS_RULE_FAILS,
	DAYS_LATER("-")},
	{F_DATE_MI, INT4OID, PNS_RULE_CHECKS_NULL,
	"{$toInt: {$divide: [{$subtract: [#1, #2]}, 86400000]}}"},
	{InvalidOid}
};

/*
 * pns_term_compile_date compiles a call of a function of dates whose other
 * argument is a constant.
 */
PnsTerm *
pns_term_compile_date(Oid function, List *exprs, PnsTermCompiler *compiler)
{
	switch (function)
	{
		case F_EXTRACT_TEXT_TIMESTAMP:
		case F_EXTRACT_TEXT_DATE:
		case F_DATE_PART_TEXT_TIMESTAMP:
			return compile_part(function, exprs, compiler);
		case F_DATE_TRUNC_TEXT_TIMESTAMP:
		case F_DATE_TRUNC_TEXT_TIMESTAMPTZ_TEXT:
			return compile_trunc(function, exprs, compiler);
		case F_TIMEZONE_TEXT_TIMESTAMP:
		case F_TIMEZONE_TEXT_TIMESTAMPTZ:
			return compile_zone(function, exprs, compiler);
		case F_TIMESTAMP_PL_INTERVAL:
		case F_TIMESTAMP_MI_INTERVAL:
		case F_TIMESTAMPTZ_PL_INTERVAL:
		case F_TIMESTAMPTZ_MI_INTERVAL:
			return compile_shift(function, exprs, compiler);
		default:
			return NULL;
	}
}

/*
 * compile_part compiles extract and date_part.
 */
static PnsTerm *
compile_part(Oid function, List *exprs, PnsTermCompiler *compiler)
{
	char	   *name = constant_name((Node *) linitial(exprs));
	bool		is_float = function == F_DATE_PART_TEXT_TIMESTAMP;
	PnsTerm    *arg;

	if (name == NULL)
		return NULL;
	for (int i = 0; i < lengthof(date_parts); i++)
	{
		const DatePart *part = &date_parts[i];

		if (pg_strcasecmp(name, part->name) != 0)
			continue;
		if ((part->fractional && !is_float) ||
			(!part->of_day && function == F_EXTRACT_TEXT_DATE))
			return NULL;
		arg = pns_term_compile_part((Expr *) lsecond(exprs), compiler);
		if (arg == NULL)
			return NULL;
		return pns_term_make_call(is_float ? FLOAT8OID : NUMERICOID, list_make1(arg),
								  psprintf(is_float ? "{$toDouble: %s}" : "{$toLong: %s}",
										   part->template),
								  false, true);
	}
	return NULL;
}

/*
 * compile_trunc compiles date_trunc, of a timestamptz in a zone.
 *
 * What lies before the first timestamp is no error, as it is in PostgreSQL:
 * that is a timestamp of the first year, 4714 BC.
 */
static PnsTerm *
compile_trunc(Oid function, List *exprs, PnsTermCompiler *compiler)
{
	char	   *name = constant_name((Node *) linitial(exprs));
	bool		with_zone = function == F_DATE_TRUNC_TEXT_TIMESTAMPTZ_TEXT;
	int64		offset = 0;
	PnsTerm    *arg;

	if (name == NULL ||
		(with_zone && (!fixed_zone(constant_name((Node *) lthird(exprs)), &offset) || offset != 0)))
		return NULL;
	for (int i = 0; i < lengthof(date_units); i++)
	{
		const DateUnit *unit = &date_units[i];

		if (pg_strcasecmp(name, unit->name) != 0)
			continue;
		arg = pns_term_compile_part((Expr *) lsecond(exprs), compiler);
		if (arg == NULL)
			return NULL;
		return pns_term_make_call(with_zone ? TIMESTAMPTZOID : TIMESTAMPOID, list_make1(arg),
								  unit->days ?
								  psprintf("{$subtract: [#1, {$toLong: {$add: [{$multiply: [%s, 86400000]}, %s]}}]}",
										   unit->template, OF_DAY) :
								  psprintf("{$subtract: [#1, %s]}", unit->template),
								  false, true);
	}
	return NULL;
}

/*
 * compile_zone compiles AT TIME ZONE of a constant zone that has always been
 * as far from UTC as it is now.
 */
static PnsTerm *
compile_zone(Oid function, List *exprs, PnsTermCompiler *compiler)
{
	bool		to_local = function == F_TIMEZONE_TEXT_TIMESTAMPTZ;
	int64		offset;
	PnsTerm    *arg;

	if (!fixed_zone(constant_name((Node *) linitial(exprs)), &offset))
		return NULL;
	arg = pns_term_compile_part((Expr *) lsecond(exprs), compiler);
	if (arg == NULL)
		return NULL;
	return make_shifted(to_local ? TIMESTAMPOID : TIMESTAMPTZOID, arg, to_local ? offset : -offset);
}

/*
 * compile_shift compiles what is later or earlier by a constant interval of
 * whole milliseconds.  How long a month is, and with a time zone a day, depends.
 */
static PnsTerm *
compile_shift(Oid function, List *exprs, PnsTermCompiler *compiler)
{
	bool		with_zone = function == F_TIMESTAMPTZ_PL_INTERVAL ||
	function == F_TIMESTAMPTZ_MI_INTERVAL;
	bool		earlier = function == F_TIMESTAMP_MI_INTERVAL ||
	function == F_TIMESTAMPTZ_MI_INTERVAL;
	Interval   *interval;
	int64		milliseconds;
	PnsTerm    *arg;

	if (!constant_interval((Node *) lsecond(exprs), &interval) ||
		interval->month != 0 || (with_zone && interval->day != 0) ||
		interval->time % 1000 != 0)
		return NULL;
	arg = pns_term_compile_part((Expr *) linitial(exprs), compiler);
	if (arg == NULL)
		return NULL;
	milliseconds = interval->time / 1000 + interval->day * MILLISECONDS_PER_DAY;
	return make_shifted(arg->type, arg, earlier ? -milliseconds : milliseconds);
}

/*
 * make_shifted makes the term of a timestamp that is later by some milliseconds.
 */
static PnsTerm *
make_shifted(Oid type, PnsTerm *arg, int64 milliseconds)
{
	if (milliseconds == 0)
		return pns_term_make_call(type, list_make1(arg), "#1", false, false);
	return pns_term_make_call(type, list_make1(arg),
							  psprintf(LATER(INT64_FORMAT),
									   milliseconds),
							  true, true);
}

/*
 * constant_name returns a constant text, or NULL.
 */
static char *
constant_name(Node *node)
{
	if (!IsA(node, Const) || ((Const *) node)->constisnull ||
		((Const *) node)->consttype != TEXTOID)
		return NULL;
	return TextDatumGetCString(((Const *) node)->constvalue);
}

/*
 * constant_interval gives a constant interval; false where there is none.
 */
static bool
constant_interval(Node *node, Interval **interval)
{
	if (!IsA(node, Const) || ((Const *) node)->constisnull)
		return false;
	*interval = DatumGetIntervalP(((Const *) node)->constvalue);
	return true;
}

/*
 * fixed_zone gives a zone's distance from UTC, if it has but one.  A name that
 * might be an abbreviation, other than UTC's, is not taken: what those mean is
 * a setting.
 */
static bool
fixed_zone(const char *name, int64 *milliseconds)
{
	pg_tz	   *zone;
	long		seconds;

	if (name == NULL)
		return false;
	if (pg_strcasecmp(name, "UTC") == 0 || pg_strcasecmp(name, "GMT") == 0)
	{
		*milliseconds = 0;
		return true;
	}
	zone = strchr(name, '/') != NULL ? pg_tzset(name) : NULL;
	if (zone == NULL || !pg_get_timezone_offset(zone, &seconds))
		return false;
	*milliseconds = (int64) seconds * 1000;
	return true;
}
