/*-------------------------------------------------------------------------
 *
 * aggregate.c
 *	  Which aggregates MongoDB computes as PostgreSQL does, and how.
 *
 * An aggregate named n needs accumulators in the $group, under the keys an,
 * anc and ani, and becomes a value in the $project behind it, under an.
 *
 * MongoDB ignores null as PostgreSQL does, but its sum of nothing is 0: so
 * what is summed is counted too.  It adds int64 up to a double: so they are
 * added as Decimal128, which holds 34 digits.  Its NaN is below all numbers:
 * so whether there is one is kept apart.  Where finite numbers have no finite
 * sum, PostgreSQL has an error to raise: so whether they were finite is kept.
 *
 * What gathers the values of a group is computed here: no document may grow
 * beyond 16 MB.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_aggregate.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/float.h"
#include "utils/fmgroids.h"
#include "utils/pg_locale.h"

#include "fdw/upper.h"

/* An aggregate function of PostgreSQL's, by its argument's type. */
typedef struct AggregateRule
{
	Oid			function;
	PnsAggregateKind kind;
} AggregateRule;

static const AggregateRule rules[] = {
	{F_COUNT_, PNS_AGGREGATE_ROWS},
	{F_COUNT_ANY, PNS_AGGREGATE_COUNT},
	{F_SUM_INT2, PNS_AGGREGATE_SUM},
	{F_SUM_INT4, PNS_AGGREGATE_SUM},
	{F_SUM_INT8, PNS_AGGREGATE_SUM_LONG},
	{F_SUM_FLOAT8, PNS_AGGREGATE_SUM_DOUBLE},
	{F_AVG_INT2, PNS_AGGREGATE_AVG},
	{F_AVG_INT4, PNS_AGGREGATE_AVG},
	{F_AVG_INT8, PNS_AGGREGATE_AVG},
	{F_AVG_FLOAT8, PNS_AGGREGATE_AVG_DOUBLE},
	{F_MIN_INT2, PNS_AGGREGATE_MIN},
	{F_MIN_INT4, PNS_AGGREGATE_MIN},
	{F_MIN_INT8, PNS_AGGREGATE_MIN},
	{F_MIN_FLOAT8, PNS_AGGREGATE_MIN},
	{F_MIN_TEXT, PNS_AGGREGATE_MIN},
	{F_MIN_DATE, PNS_AGGREGATE_MIN},
	{F_MIN_TIMESTAMP, PNS_AGGREGATE_MIN},
	{F_MIN_TIMESTAMPTZ, PNS_AGGREGATE_MIN},
	{F_MAX_INT2, PNS_AGGREGATE_MAX},
	{F_MAX_INT4, PNS_AGGREGATE_MAX},
	{F_MAX_INT8, PNS_AGGREGATE_MAX},
	{F_MAX_FLOAT8, PNS_AGGREGATE_MAX},
	{F_MAX_TEXT, PNS_AGGREGATE_MAX},
	{F_MAX_DATE, PNS_AGGREGATE_MAX},
	{F_MAX_TIMESTAMP, PNS_AGGREGATE_MAX},
	{F_MAX_TIMESTAMPTZ, PNS_AGGREGATE_MAX},
	{F_BOOL_AND, PNS_AGGREGATE_MIN},
	{F_EVERY, PNS_AGGREGATE_MIN},
	{F_BOOL_OR, PNS_AGGREGATE_MAX},
};

static const AggregateRule *find_rule(const Aggref *aggref);
static bool compile_argument(PnsAggregate *aggregate, const Aggref *aggref,
							 const PnsTermContext *context);
static bool has_class(PnsAggregateKind kind, const PnsTerm *value, Oid collation);
static bool keeps_odd(const PnsAggregate *aggregate);
static void append_value(PnsPipeline *pipeline, const char *key, const PnsAggregate *aggregate);
static void append_filtered(PnsPipeline *pipeline, const char *key,
							const PnsAggregate *aggregate);
static void append_count(PnsPipeline *pipeline, const char *name, const PnsAggregate *aggregate);
static void append_odd_test(PnsPipeline *pipeline, const char *key,
							const PnsAggregate *aggregate);
static void append_odd_values(PnsBsonBuilder *builder, const char *key, bool infinities);
static void append_sum(PnsBsonBuilder *builder, const PnsAggregate *aggregate);
static void append_extreme(PnsBsonBuilder *builder, const PnsAggregate *aggregate);
static void append_or_null(PnsBsonBuilder *builder, const char *operator, const char *field);
static char *name_of(const PnsAggregate *aggregate, const char *suffix);

/*
 * pns_aggregate_create compiles an aggregate, or returns NULL where MongoDB
 * does not compute it as PostgreSQL does.  number tells it from the others of
 * its query.
 */
PnsAggregate *
pns_aggregate_create(const Aggref *aggref, int number, const PnsTermContext *context)
{
	const AggregateRule *rule = find_rule(aggref);
	PnsAggregate *aggregate;

	if (rule == NULL)
		return NULL;

	aggregate = palloc0(sizeof(PnsAggregate));
	aggregate->kind = rule->kind;
	aggregate->number = number;
	aggregate->field = name_of(aggregate, "");
	if (aggref->aggfilter != NULL)
	{
		aggregate->filter = pns_term_compile(aggref->aggfilter, context);
		if (aggregate->filter == NULL || aggregate->filter->may_fail)
			return NULL;
		aggregate->columns = list_copy(aggregate->filter->columns);
	}
	if (aggregate->kind != PNS_AGGREGATE_ROWS &&
		!compile_argument(aggregate, aggref, context))
		return NULL;
	return aggregate;
}

/*
 * find_rule finds what is known of an aggregate, NULL for nothing.  Where its
 * argument is DISTINCT, it has to be one that does not mind.
 */
static const AggregateRule *
find_rule(const Aggref *aggref)
{
	if (aggref->aggkind != AGGKIND_NORMAL || aggref->aggvariadic ||
		aggref->aggorder != NIL || aggref->aggsplit != AGGSPLIT_SIMPLE ||
		aggref->agglevelsup != 0)
		return NULL;

	for (int i = 0; i < lengthof(rules); i++)
	{
		if (rules[i].function != aggref->aggfnoid)
			continue;
		if (aggref->aggdistinct != NIL && rules[i].kind != PNS_AGGREGATE_MIN &&
			rules[i].kind != PNS_AGGREGATE_MAX)
			return NULL;
		return &rules[i];
	}
	return NULL;
}

/*
 * compile_argument compiles what an aggregate is over.  Of a count only
 * whether that is NULL matters: a constant that is not counts the rows.  Other
 * expressions without columns are not sent; a test of one would be an operand
 * that the executor does not know.
 */
static bool
compile_argument(PnsAggregate *aggregate, const Aggref *aggref,
				 const PnsTermContext *context)
{
	Expr	   *expr = linitial_node(TargetEntry, aggref->args)->expr;

	if (aggregate->kind == PNS_AGGREGATE_COUNT)
	{
		NullTest   *test = makeNode(NullTest);

		if (IsA(expr, Const) && !((Const *) expr)->constisnull)
		{
			aggregate->kind = PNS_AGGREGATE_ROWS;
			return true;
		}
		if (pns_fdw_is_operand((Node *) expr))
			return false;
		test->arg = expr;
		test->nulltesttype = IS_NOT_NULL;
		test->location = -1;
		expr = (Expr *) test;
	}

	aggregate->value = pns_term_compile(expr, context);
	if (aggregate->value == NULL || aggregate->value->may_fail ||
		!has_class(aggregate->kind, aggregate->value, aggref->inputcollid))
		return false;
	aggregate->columns = pns_upper_add_columns(aggregate->columns,
											   aggregate->value->columns);
	return true;
}

/*
 * has_class tells whether the values of a term are such that an aggregate over
 * them is the same there.
 */
static bool
has_class(PnsAggregateKind kind, const PnsTerm *value, Oid collation)
{
	switch (kind)
	{
		case PNS_AGGREGATE_SUM:
		case PNS_AGGREGATE_SUM_LONG:
		case PNS_AGGREGATE_AVG:
			return value->class == PNS_CLASS_INT;
		case PNS_AGGREGATE_SUM_DOUBLE:
		case PNS_AGGREGATE_AVG_DOUBLE:
			return value->class == PNS_CLASS_FLOAT8;
		case PNS_AGGREGATE_MIN:
		case PNS_AGGREGATE_MAX:
			if (value->class == PNS_CLASS_TEXT)
				return GetDatabaseEncoding() == PG_UTF8 &&
					pns_collation_is_c(collation);
			return value->class == PNS_CLASS_INT || value->class == PNS_CLASS_FLOAT8 ||
				value->class == PNS_CLASS_BOOL || value->class == PNS_CLASS_DATE ||
				value->class == PNS_CLASS_TIMESTAMP;
		default:
			return true;
	}
}

/*
 * pns_aggregate_is_canonical tells whether MongoDB has the aggregate's value
 * at the end, for others to build on.  The quotient of an average of integers
 * has as many digits as PostgreSQL gives it.
 */
bool
pns_aggregate_is_canonical(const PnsAggregate *aggregate)
{
	return aggregate->kind != PNS_AGGREGATE_AVG;
}

/*
 * pns_aggregate_is_wide tells whether the value may be as large as a document.
 */
bool
pns_aggregate_is_wide(const PnsAggregate *aggregate)
{
	return (aggregate->kind == PNS_AGGREGATE_MIN || aggregate->kind == PNS_AGGREGATE_MAX) &&
		aggregate->value->class == PNS_CLASS_TEXT;
}

/*
 * pns_aggregate_is_never_null tells whether the value is other than NULL,
 * whatever is in the group.
 */
bool
pns_aggregate_is_never_null(const PnsAggregate *aggregate)
{
	return aggregate->kind == PNS_AGGREGATE_ROWS || aggregate->kind == PNS_AGGREGATE_COUNT;
}

/*
 * pns_aggregate_append_accumulators appends the members of the $group.
 */
void
pns_aggregate_append_accumulators(PnsPipeline *pipeline, const PnsAggregate *aggregate)
{
	PnsBsonBuilder *builder = &pipeline->builder;
	bool		is_min = aggregate->kind == PNS_AGGREGATE_MIN;

	if (pns_aggregate_is_never_null(aggregate))
	{
		append_count(pipeline, aggregate->field, aggregate);
		return;
	}

	pns_bson_open_document(builder, aggregate->field);
	switch (aggregate->kind)
	{
		case PNS_AGGREGATE_SUM_LONG:
		case PNS_AGGREGATE_AVG:
			pns_bson_open_document(builder, "$sum");
			append_value(pipeline, "$toDecimal", aggregate);
			pns_bson_close(builder);
			break;
		case PNS_AGGREGATE_MIN:
		case PNS_AGGREGATE_MAX:
			append_value(pipeline, is_min ? "$min" : "$max", aggregate);
			break;
		default:
			append_value(pipeline, "$sum", aggregate);
			break;
	}
	pns_bson_close(builder);

	if (aggregate->kind != PNS_AGGREGATE_MIN && aggregate->kind != PNS_AGGREGATE_MAX)
		append_count(pipeline, name_of(aggregate, "c"), aggregate);
	if (keeps_odd(aggregate))
	{
		pns_bson_open_document(builder, name_of(aggregate, "i"));
		append_odd_test(pipeline, "$max", aggregate);
		pns_bson_close(builder);
	}
}

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
			pns_bson_append_int32(builder, aggregate->field, 1);
			pns_bson_append_int32(builder, name_of(aggregate, "c"), 1);
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
	pns_bson_append_cstring(builder, "0", psprintf("$%s", name_of(aggregate, "i")));
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_open_document(builder, "1");
	pns_bson_open_array(builder, "$in");
	pns_bson_append_cstring(builder, "0", psprintf("$%s", aggregate->field));
	append_odd_values(builder, "1", true);
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * keeps_odd tells whether it is kept that there were values of a special kind:
 * for an extreme NaN, for a sum also infinity.
 */
static bool
keeps_odd(const PnsAggregate *aggregate)
{
	return aggregate->value->class == PNS_CLASS_FLOAT8;
}

/*
 * append_value appends what is gathered of a document: of a minimum without
 * NaN, which is kept apart.
 */
static void
append_value(PnsPipeline *pipeline, const char *key, const PnsAggregate *aggregate)
{
	PnsBsonBuilder *builder = &pipeline->builder;

	if (aggregate->kind != PNS_AGGREGATE_MIN || !keeps_odd(aggregate))
	{
		append_filtered(pipeline, key, aggregate);
		return;
	}

	pns_bson_open_document(builder, key);
	pns_bson_open_array(builder, "$cond");
	append_odd_test(pipeline, "0", aggregate);
	pns_bson_append_null(builder, "1");
	append_filtered(pipeline, "2", aggregate);
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * append_filtered appends the value of a document, null where FILTER leaves it
 * out.
 */
static void
append_filtered(PnsPipeline *pipeline, const char *key, const PnsAggregate *aggregate)
{
	PnsBsonBuilder *builder = &pipeline->builder;

	if (aggregate->filter == NULL)
	{
		pns_term_append(builder, key, aggregate->value, pipeline->operand_value,
						pipeline->state);
		return;
	}

	pns_bson_open_document(builder, key);
	pns_bson_open_array(builder, "$cond");
	pns_term_append_true(builder, "0", aggregate->filter, pipeline->operand_value,
						 pipeline->state);
	pns_term_append(builder, "1", aggregate->value, pipeline->operand_value,
					pipeline->state);
	pns_bson_append_null(builder, "2");
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * append_count appends the accumulator of the documents that count: all, those
 * whose value is not NULL, and in any case those that FILTER lets in.
 */
static void
append_count(PnsPipeline *pipeline, const char *name, const PnsAggregate *aggregate)
{
	PnsBsonBuilder *builder = &pipeline->builder;
	int			n = 0;

	pns_bson_open_document(builder, name);
	if (aggregate->kind == PNS_AGGREGATE_ROWS && aggregate->filter == NULL)
	{
		pns_bson_append_int32(builder, "$sum", 1);
		pns_bson_close(builder);
		return;
	}
	pns_bson_open_document(builder, "$sum");
	pns_bson_open_array(builder, "$cond");
	pns_bson_open_document(builder, "0");
	pns_bson_open_array(builder, "$and");
	if (aggregate->filter != NULL)
		pns_term_append_true(builder, pns_bson_index(n++), aggregate->filter,
							 pipeline->operand_value, pipeline->state);
	if (aggregate->kind == PNS_AGGREGATE_COUNT)
		pns_term_append_true(builder, pns_bson_index(n++), aggregate->value,
							 pipeline->operand_value, pipeline->state);
	else if (aggregate->kind != PNS_AGGREGATE_ROWS)
	{
		pns_bson_open_document(builder, pns_bson_index(n++));
		pns_bson_open_array(builder, "$ne");
		pns_term_append(builder, "0", aggregate->value, pipeline->operand_value,
						pipeline->state);
		pns_bson_append_null(builder, "1");
		pns_bson_close(builder);
		pns_bson_close(builder);
	}
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_append_int32(builder, "1", 1);
	pns_bson_append_int32(builder, "2", 0);
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * append_odd_test appends the test whether a document's value is NaN, or for a
 * sum whether it is not finite.
 */
static void
append_odd_test(PnsPipeline *pipeline, const char *key, const PnsAggregate *aggregate)
{
	bool		is_extreme = aggregate->kind == PNS_AGGREGATE_MIN ||
	aggregate->kind == PNS_AGGREGATE_MAX;
	PnsBsonBuilder *builder = &pipeline->builder;

	pns_bson_open_document(builder, key);
	pns_bson_open_array(builder, "$in");
	append_filtered(pipeline, "0", aggregate);
	append_odd_values(builder, "1", !is_extreme);
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * append_odd_values appends the array of NaN and, where asked for, the
 * infinities.
 */
static void
append_odd_values(PnsBsonBuilder *builder, const char *key, bool infinities)
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
	char	   *count = psprintf("$%s", name_of(aggregate, "c"));

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
	if (!keeps_odd(aggregate))
	{
		append_or_null(builder, "$ifNull", field);
		pns_bson_close(builder);
		return;
	}

	/* cond: [is there NaN, and for the minimum nothing else, NaN, the value] */
	pns_bson_open_array(builder, "$cond");
	pns_bson_open_document(builder, "0");
	pns_bson_open_array(builder, "$and");
	pns_bson_append_cstring(builder, "0", psprintf("$%s", name_of(aggregate, "i")));
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

/*
 * name_of makes a name of an aggregate's.
 */
static char *
name_of(const PnsAggregate *aggregate, const char *suffix)
{
	return psprintf("a%d%s", aggregate->number, suffix);
}
