/*-------------------------------------------------------------------------
 *
 * aggregate.c
 *	  Which aggregates MongoDB computes as PostgreSQL does.
 *
 * How it does is in aggregate_stages.c.
 *
 * Of a DISTINCT aggregate the rows are grouped by its argument first, and it
 * is computed over the groups: its value is a term over these.
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
#include "utils/fmgroids.h"
#include "utils/pg_locale.h"

#include "fdw/upper.h"

/* What a measure of variation is. */
#define RULE_SAMPLE 0x01		/* of a sample, else of a population */
#define RULE_DEVIATION 0x02		/* the root of the variance */

/* An aggregate function of PostgreSQL's, by its argument's type. */
typedef struct AggregateRule
{
	Oid			function;
	PnsAggregateKind kind;
	int			flags;
} AggregateRule;

static const AggregateRule rules[] = {
	{F_COUNT_, PNS_AGGREGATE_ROWS, 0},
	{F_COUNT_ANY, PNS_AGGREGATE_COUNT, 0},
	{F_SUM_INT2, PNS_AGGREGATE_SUM, 0},
	{F_SUM_INT4, PNS_AGGREGATE_SUM, 0},
	{F_SUM_INT8, PNS_AGGREGATE_SUM_LONG, 0},
	{F_SUM_FLOAT8, PNS_AGGREGATE_SUM_DOUBLE, 0},
	{F_AVG_INT2, PNS_AGGREGATE_AVG, 0},
	{F_AVG_INT4, PNS_AGGREGATE_AVG, 0},
	{F_AVG_INT8, PNS_AGGREGATE_AVG, 0},
	{F_AVG_FLOAT8, PNS_AGGREGATE_AVG_DOUBLE, 0},
	{F_MIN_INT2, PNS_AGGREGATE_MIN, 0},
	{F_MIN_INT4, PNS_AGGREGATE_MIN, 0},
	{F_MIN_INT8, PNS_AGGREGATE_MIN, 0},
	{F_MIN_FLOAT8, PNS_AGGREGATE_MIN, 0},
	{F_MIN_TEXT, PNS_AGGREGATE_MIN, 0},
	{F_MIN_DATE, PNS_AGGREGATE_MIN, 0},
	{F_MIN_TIMESTAMP, PNS_AGGREGATE_MIN, 0},
	{F_MIN_TIMESTAMPTZ, PNS_AGGREGATE_MIN, 0},
	{F_MAX_INT2, PNS_AGGREGATE_MAX, 0},
	{F_MAX_INT4, PNS_AGGREGATE_MAX, 0},
	{F_MAX_INT8, PNS_AGGREGATE_MAX, 0},
	{F_MAX_FLOAT8, PNS_AGGREGATE_MAX, 0},
	{F_MAX_TEXT, PNS_AGGREGATE_MAX, 0},
	{F_MAX_DATE, PNS_AGGREGATE_MAX, 0},
	{F_MAX_TIMESTAMP, PNS_AGGREGATE_MAX, 0},
	{F_MAX_TIMESTAMPTZ, PNS_AGGREGATE_MAX, 0},
	{F_BOOL_AND, PNS_AGGREGATE_MIN, 0},
	{F_EVERY, PNS_AGGREGATE_MIN, 0},
	{F_BOOL_OR, PNS_AGGREGATE_MAX, 0},
	{F_VAR_POP_INT2, PNS_AGGREGATE_VARIANCE, 0},
	{F_VAR_SAMP_INT2, PNS_AGGREGATE_VARIANCE, RULE_SAMPLE},
	{F_VARIANCE_INT2, PNS_AGGREGATE_VARIANCE, RULE_SAMPLE},
	{F_STDDEV_POP_INT2, PNS_AGGREGATE_VARIANCE, RULE_DEVIATION},
	{F_STDDEV_SAMP_INT2, PNS_AGGREGATE_VARIANCE, RULE_SAMPLE | RULE_DEVIATION},
	{F_STDDEV_INT2, PNS_AGGREGATE_VARIANCE, RULE_SAMPLE | RULE_DEVIATION},
	{F_VAR_POP_INT4, PNS_AGGREGATE_VARIANCE, 0},
	{F_VAR_SAMP_INT4, PNS_AGGREGATE_VARIANCE, RULE_SAMPLE},
	{F_VARIANCE_INT4, PNS_AGGREGATE_VARIANCE, RULE_SAMPLE},
	{F_STDDEV_POP_INT4, PNS_AGGREGATE_VARIANCE, RULE_DEVIATION},
	{F_STDDEV_SAMP_INT4, PNS_AGGREGATE_VARIANCE, RULE_SAMPLE | RULE_DEVIATION},
	{F_STDDEV_INT4, PNS_AGGREGATE_VARIANCE, RULE_SAMPLE | RULE_DEVIATION},
	{F_VAR_POP_INT8, PNS_AGGREGATE_VARIANCE_LONG, 0},
	{F_VAR_SAMP_INT8, PNS_AGGREGATE_VARIANCE_LONG, RULE_SAMPLE},
	{F_VARIANCE_INT8, PNS_AGGREGATE_VARIANCE_LONG, RULE_SAMPLE},
	{F_STDDEV_POP_INT8, PNS_AGGREGATE_VARIANCE_LONG, RULE_DEVIATION},
	{F_STDDEV_SAMP_INT8, PNS_AGGREGATE_VARIANCE_LONG, RULE_SAMPLE | RULE_DEVIATION},
	{F_STDDEV_INT8, PNS_AGGREGATE_VARIANCE_LONG, RULE_SAMPLE | RULE_DEVIATION},
};

static const AggregateRule *find_rule(const Aggref *aggref);
static bool compile_distinct(PnsAggregate *aggregate, const Aggref *aggref,
							 const PnsTermContext *context);
static bool compile_argument(PnsAggregate *aggregate, Expr *expr, Oid collation,
							 const PnsTermContext *context);
static bool compile_order(PnsAggregate *aggregate, const Aggref *aggref,
						  const PnsTermContext *context);
static bool has_class(PnsAggregateKind kind, const PnsTerm *value, Oid collation);
static bool is_extreme(PnsAggregateKind kind);

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
	aggregate->sample = (rule->flags & RULE_SAMPLE) != 0;
	aggregate->deviation = (rule->flags & RULE_DEVIATION) != 0;
	aggregate->number = number;
	aggregate->field = pns_aggregate_field(aggregate, "");
	if (aggref->aggfilter != NULL)
	{
		aggregate->filter = pns_term_compile(aggref->aggfilter, context);
		if (aggregate->filter == NULL || aggregate->filter->may_fail)
			return NULL;
		aggregate->columns = list_copy(aggregate->filter->columns);
	}
	if (aggregate->kind == PNS_AGGREGATE_ROWS)
		return aggregate;
	if (!compile_order(aggregate, aggref, context))
		return NULL;
	if (aggref->aggdistinct != NIL && !is_extreme(aggregate->kind))
		return compile_distinct(aggregate, aggref, context) ? aggregate : NULL;
	return compile_argument(aggregate, linitial_node(TargetEntry, aggref->args)->expr,
							aggref->inputcollid, context) ? aggregate : NULL;
}

/*
 * find_rule finds what is known of an aggregate, NULL for nothing.  Its ORDER
 * BY says in what order numbers are added, and where they are inexact that is
 * left to PostgreSQL; to the others it makes no difference.
 */
static const AggregateRule *
find_rule(const Aggref *aggref)
{
	if (aggref->aggkind != AGGKIND_NORMAL || aggref->aggvariadic ||
		aggref->aggsplit != AGGSPLIT_SIMPLE || aggref->agglevelsup != 0)
		return NULL;

	for (int i = 0; i < lengthof(rules); i++)
	{
		if (rules[i].function != aggref->aggfnoid)
			continue;
		if (aggref->aggorder != NIL && (rules[i].kind == PNS_AGGREGATE_SUM_DOUBLE ||
										rules[i].kind == PNS_AGGREGATE_AVG_DOUBLE))
			return NULL;
		return &rules[i];
	}
	return NULL;
}

/*
 * compile_distinct compiles an aggregate over the different values of its
 * argument.  These are those of the rows that FILTER lets in, which has done
 * its work then.
 */
static bool
compile_distinct(PnsAggregate *aggregate, const Aggref *aggref,
				 const PnsTermContext *context)
{
	Expr	   *expr = linitial_node(TargetEntry, aggref->args)->expr;
	PnsTermContext over = {NIL, list_make1(pns_upper_make_output(expr,
																 PNS_AGGREGATE_DISTINCT,
																 false))};

	aggregate->distinct =
		pns_group_key(expr, linitial_node(SortGroupClause, aggref->aggdistinct)->eqop,
					  context);
	if (aggregate->distinct == NULL)
		return false;
	aggregate->columns = pns_upper_add_columns(aggregate->columns,
											   aggregate->distinct->columns);
	aggregate->distinct_filter = aggregate->filter;
	aggregate->filter = NULL;
	return compile_argument(aggregate, expr, aggref->inputcollid, &over);
}

/*
 * compile_argument compiles what an aggregate is over.  Of a count only
 * whether that is NULL matters: a constant that is not counts the rows.  Other
 * expressions without columns are not sent; a test of one would be an operand
 * that the executor does not know.
 */
static bool
compile_argument(PnsAggregate *aggregate, Expr *expr, Oid collation,
				 const PnsTermContext *context)
{
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
		!has_class(aggregate->kind, aggregate->value, collation))
		return false;
	aggregate->columns = pns_upper_add_columns(aggregate->columns,
											   aggregate->value->columns);
	return true;
}

/*
 * compile_order has the columns looked at that the rows of an aggregate are to
 * be sorted by here: their values are not used, but have to fit.
 */
static bool
compile_order(PnsAggregate *aggregate, const Aggref *aggref, const PnsTermContext *context)
{
	ListCell   *lc;

	for_each_from(lc, aggref->args, 1)
	{
		PnsTerm    *key = pns_term_compile(lfirst_node(TargetEntry, lc)->expr, context);

		if (key == NULL || key->may_fail)
			return false;
		aggregate->columns = pns_upper_add_columns(aggregate->columns, key->columns);
	}
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
		case PNS_AGGREGATE_VARIANCE:
		case PNS_AGGREGATE_VARIANCE_LONG:
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
 * at the end, for others to build on.  What has as many digits as PostgreSQL
 * gives it, an average or a variance of integers, is finished here.
 */
bool
pns_aggregate_is_canonical(const PnsAggregate *aggregate)
{
	return pns_aggregate_parts(aggregate)[0] == '\0';
}

/*
 * pns_aggregate_is_wide tells whether the value may be as large as a document.
 */
bool
pns_aggregate_is_wide(const PnsAggregate *aggregate)
{
	return is_extreme(aggregate->kind) && aggregate->value->class == PNS_CLASS_TEXT;
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
 * pns_aggregate_parts returns the suffixes, a letter each, of the fields beside
 * its own that an aggregate is finished of here.
 */
const char *
pns_aggregate_parts(const PnsAggregate *aggregate)
{
	switch (aggregate->kind)
	{
		case PNS_AGGREGATE_AVG:
			return "c";
		case PNS_AGGREGATE_VARIANCE:
			return "cq";
		case PNS_AGGREGATE_VARIANCE_LONG:
			return "cqmh";
		default:
			return "";
	}
}

/*
 * pns_aggregate_field makes a name of an aggregate's.
 */
char *
pns_aggregate_field(const PnsAggregate *aggregate, const char *suffix)
{
	return psprintf("a%d%s", aggregate->number, suffix);
}

/*
 * is_extreme tells whether an aggregate is a minimum or a maximum, which does
 * not mind values that come again.
 */
static bool
is_extreme(PnsAggregateKind kind)
{
	return kind == PNS_AGGREGATE_MIN || kind == PNS_AGGREGATE_MAX;
}
