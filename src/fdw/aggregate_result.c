/*-------------------------------------------------------------------------
 *
 * aggregate_result.c
 *	  The values of aggregates, of what MongoDB has accumulated.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/float.h"

#include "fdw/upper.h"

static void append_sum(PnsBsonBuilder *builder, const PnsAggregate *aggregate);
static void append_extreme(PnsBsonBuilder *builder, const PnsAggregate *aggregate);
static void append_or_null(PnsBsonBuilder *builder, const char *operator, const char *field);

/*
 * pns_aggregate_append_result appends the members of the $project behind the
 * $group.
 */
void
pns_aggregate_append_result(PnsPipeline *pipeline, const PnsAggregate *aggregate)
{
	PnsBsonBuilder *builder = &pipeline->builder;

	switch (aggregate->kind)
	{
		case PNS_AGGREGATE_ROWS:
		case PNS_AGGREGATE_COUNT:
			pns_bson_append_int32(builder, aggregate->field, 1);
			break;
		case PNS_AGGREGATE_AVG:
		case PNS_AGGREGATE_VARIANCE:
		case PNS_AGGREGATE_VARIANCE_LONG:
			pns_bson_append_int32(builder, aggregate->field, 1);
			for (const char *part = pns_aggregate_parts(aggregate); *part != '\0'; part++)
				pns_bson_append_int32(builder,
									  psprintf("%s%c", aggregate->field, *part), 1);
			break;
		case PNS_AGGREGATE_MIN:
		case PNS_AGGREGATE_MAX:
			append_extreme(builder, aggregate);
			break;
		default:
			append_sum(builder, aggregate);
			break;
	}
}

/*
 * pns_aggregate_may_overflow tells whether finite numbers may have no finite
 * sum, which is an error here.
 */
bool
pns_aggregate_may_overflow(const PnsAggregate *aggregate)
{
	return aggregate->kind == PNS_AGGREGATE_SUM_DOUBLE ||
		aggregate->kind == PNS_AGGREGATE_AVG_DOUBLE;
}

/*
 * pns_aggregate_append_overflow appends the expression that tells, behind the
 * $group, whether that is so.
 */
void
pns_aggregate_append_overflow(PnsBsonBuilder *builder, const char *key,
							  const PnsAggregate *aggregate)
{
	pns_bson_open_document(builder, key);
	pns_bson_open_array(builder, "$and");
	pns_bson_open_document(builder, "0");
	pns_bson_open_array(builder, "$not");
	pns_bson_append_cstring(builder, "0", psprintf("$%s", pns_aggregate_field(aggregate, "i")));
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_open_document(builder, "1");
	pns_bson_open_array(builder, "$in");
	pns_bson_append_cstring(builder, "0", psprintf("$%s", aggregate->field));
	pns_aggregate_append_odd_values(builder, "1", true);
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * pns_aggregate_keeps_odd tells whether it is kept that there were NaNs.
 */
bool
pns_aggregate_keeps_odd(const PnsAggregate *aggregate)
{
	return aggregate->value->class == PNS_CLASS_FLOAT8;
}

/*
 * pns_aggregate_append_odd_values appends the array of NaN and, where asked for, the
 * infinities.
 */
void
pns_aggregate_append_odd_values(PnsBsonBuilder *builder, const char *key, bool infinities)
{
	pns_bson_open_array(builder, key);
	pns_bson_append_double(builder, "0", get_float8_nan());
	if (infinities)
	{
		pns_bson_append_double(builder, "1", get_float8_infinity());
		pns_bson_append_double(builder, "2", -get_float8_infinity());
	}
	pns_bson_close(builder);
}

/*
 * append_sum appends the value of a sum or an average: NULL of nothing.
 */
static void
append_sum(PnsBsonBuilder *builder, const PnsAggregate *aggregate)
{
	char	   *field = psprintf("$%s", aggregate->field);
	char	   *count = psprintf("$%s", pns_aggregate_field(aggregate, "c"));

	pns_bson_open_document(builder, aggregate->field);
	pns_bson_open_array(builder, "$cond");
	pns_bson_open_document(builder, "0");
	pns_bson_open_array(builder, "$eq");
	pns_bson_append_cstring(builder, "0", count);
	pns_bson_append_int32(builder, "1", 0);
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_append_null(builder, "1");
	if (aggregate->kind == PNS_AGGREGATE_AVG_DOUBLE)
	{
		pns_bson_open_document(builder, "2");
		pns_bson_open_array(builder, "$divide");
		pns_bson_append_cstring(builder, "0", field);
		pns_bson_append_cstring(builder, "1", count);
		pns_bson_close(builder);
		pns_bson_close(builder);
	}
	else
		pns_bson_append_cstring(builder, "2", field);
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * append_extreme appends the value of a minimum or a maximum.  NaN is the
 * maximum where there is one, and the minimum where there is nothing else.
 */
static void
append_extreme(PnsBsonBuilder *builder, const PnsAggregate *aggregate)
{
	bool		is_max = aggregate->kind == PNS_AGGREGATE_MAX;
	char	   *field = psprintf("$%s", aggregate->field);

	pns_bson_open_document(builder, aggregate->field);
	if (!pns_aggregate_keeps_odd(aggregate))
	{
		append_or_null(builder, "$ifNull", field);
		pns_bson_close(builder);
		return;
	}

	/* cond: [is there NaN, and for the minimum nothing else, NaN, the value] */
	pns_bson_open_array(builder, "$cond");
	pns_bson_open_document(builder, "0");
	pns_bson_open_array(builder, "$and");
	pns_bson_append_cstring(builder, "0", psprintf("$%s", pns_aggregate_field(aggregate, "i")));
	if (!is_max)
	{
		pns_bson_open_document(builder, "1");
		pns_bson_open_array(builder, "$eq");
		pns_bson_open_document(builder, "0");
		append_or_null(builder, "$ifNull", field);
		pns_bson_close(builder);
		pns_bson_append_null(builder, "1");
		pns_bson_close(builder);
		pns_bson_close(builder);
	}
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_append_double(builder, "1", get_float8_nan());
	pns_bson_open_document(builder, "2");
	append_or_null(builder, "$ifNull", field);
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * append_or_null appends the arguments of an operator: a field, and null.
 */
static void
append_or_null(PnsBsonBuilder *builder, const char *operator, const char *field)
{
	pns_bson_open_array(builder, operator);
	pns_bson_append_cstring(builder, "0", field);
	pns_bson_append_null(builder, "1");
	pns_bson_close(builder);
}
