/*-------------------------------------------------------------------------
 *
 * filter_compare.c
 *	  Comparisons of columns with values, in a filter.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/array.h"

#include "fdw/filter.h"

static void add_exactly(PnsConjunction *and, PnsFilter wider, PnsFilter filter);
static void add_equal(PnsConjunction *and, const PnsQual *qual, const Datum *values, int nvalues);
static PnsFilter with_other_type(const PnsQual *qual, PnsFilter filter);
static void add_unequal(PnsConjunction *and, const PnsQual *qual, const Datum *values, int nvalues);
static void add_placeholder(PnsConjunction *and, const PnsQual *qual);

/*
 * pns_conjunction_add_compare adds a comparison.  With a NULL it is never true.
 */
void
pns_conjunction_add_compare(PnsConjunction *and, const PnsQual *qual)
{
	const PnsValueRules *rules = pns_fdw_value_rules(qual->class);
	PnsFilterContext *context = and->context;
	Datum		value;
	bool		isnull;

	if (!context->operand_value(context->state, qual->operand, &value, &isnull))
		add_placeholder(and, qual);
	else if (isnull)
		and->none = true;
	else if (qual->op == PNS_EQ)
		add_equal(and, qual, &value, 1);
	else if (qual->op == PNS_NE)
		add_unequal(and, qual, &value, 1);
	else
	{
		PnsBounds	bounds = pns_conjunction_bounds(qual->column, and);

		PnsFilter	range = rules->range(qual, qual->op, value, bounds.upper);

		if (qual->exact && rules->exactly != NULL)
			add_exactly(and, range, rules->exactly(qual, qual->op, value, bounds.upper));
		else
			pns_conjunction_add_comparison(and, qual, with_other_type(qual, range));
		pns_conjunction_add_guard(and, qual->exact ? qual->column : NULL, true);
	}
}

/*
 * pns_conjunction_add_in adds = ANY and <> ALL, whose rules about NULLs and empty arrays
 * differ: nothing equals any element of an empty array, and everything, NULL
 * too, differs from all of them.
 */
void
pns_conjunction_add_in(PnsConjunction *and, const PnsQual *qual)
{
	ArrayType  *array;
	Datum		value;
	Datum	   *values;
	bool		isnull;
	bool		has_null;
	int			nvalues;

	if (!and->context->operand_value(and->context->state, qual->operand, &value, &isnull))
	{
		add_placeholder(and, qual);
		return;
	}
	if (isnull)
	{
		and->none = true;
		return;
	}

	array = DatumGetArrayTypeP(value);
	if (!qual->exact && VARSIZE_ANY(array) > LARGEST_SUPERSET)
		return;
	nvalues = pns_fdw_read_array(PointerGetDatum(array), &values, &has_null);

	if (qual->kind == PNS_QUAL_IN)
		add_equal(and, qual, values, nvalues);
	else if (has_null)
		and->none = true;
	else if (nvalues > 0)
		add_unequal(and, qual, values, nvalues);
}

/*
 * add_equal adds that a value is equal to one of values, which all fit.
 */
static void
add_equal(PnsConjunction *and, const PnsQual *qual, const Datum *values, int nvalues)
{
	const PnsValueRules *rules = pns_fdw_value_rules(qual->class);
	PnsFilter	result = pns_filter_none();
	PnsFilter	exactly = pns_filter_none();
	List	   *points = NIL;
	List	   *filters = NIL;

	for (int i = 0; i < nvalues; i++)
	{
		PnsFilter	filter;

		if (qual->exact && rules->exactly != NULL)
			exactly = pns_filter_or(exactly, rules->exactly(qual, PNS_EQ, values[i], true));
		if (rules->points != NULL && rules->points(qual, values[i], &points))
			continue;
		filter = rules->range(qual, PNS_EQ, values[i], true);
		if (filter.kind == PNS_FILTER_SOME)
			pns_filter_add_alternatives(&filters, filter);
	}

	if (points != NIL)
		pns_filter_add_alternatives(&filters,
									pns_filter_points(qual->column->native, points));
	if (filters != NIL)
		result = pns_filter_join("$or", filters);
	if (nvalues > 0)
		result = with_other_type(qual, result);

	/* a single value of that size no document has room for */
	if (qual->exact && nvalues == 1 && result.kind == PNS_FILTER_SOME &&
		result.document.size > LARGEST_DOCUMENT)
		result = pns_filter_none();
	if (qual->exact && rules->exactly != NULL)
		add_exactly(and, result, exactly);
	else
		pns_conjunction_add_comparison(and, qual, result);
	pns_conjunction_add_guard(and, qual->exact ? qual->column : NULL, false);
}

/*
 * with_other_type lets into a superset the values of the type, if the class
 * has one, that comparisons do not tell enough about.
 */
static PnsFilter
with_other_type(const PnsQual *qual, PnsFilter filter)
{
	const char *const types[] = {pns_fdw_value_rules(qual->class)->other_type, NULL};

	if (qual->exact || types[0] == NULL)
		return filter;
	return pns_filter_or(filter, pns_filter_type(qual->column->native, types));
}

/*
 * add_unequal adds that a value fits and is equal to none of values.  From a
 * superset, what equals by a range only is not excluded.
 */
static void
add_unequal(PnsConjunction *and, const PnsQual *qual, const Datum *values, int nvalues)
{
	const PnsValueRules *rules = pns_fdw_value_rules(qual->class);
	const char *path = qual->column->native;
	PnsFilter	ranges = pns_filter_none();
	List	   *points = NIL;

	for (int i = 0; i < nvalues; i++)
	{
		if (rules->points != NULL && rules->points(qual, values[i], &points))
			continue;
		if (qual->exact)
			ranges = pns_filter_or(ranges,
								   (rules->exactly != NULL ? rules->exactly : rules->range)
								   (qual, PNS_EQ, values[i], true));
	}

	if (points != NIL)
	{
		PnsFilter	filter = pns_filter_unequal(path, points);

		if (qual->exact || filter.document.size <= LARGEST_SUPERSET)
			pns_conjunction_add_rest(and, filter);
	}
	pns_conjunction_add_rest(and, pns_filter_not(ranges));
	if (qual->exact)
		pns_conjunction_add_guard(and, qual->column, true);
	else
		pns_conjunction_add_rest(and, pns_filter_type(path, rules->types));
}

/*
 * add_exactly adds a filter, and beside it, if that helps indexes, a wider one.
 */
static void
add_exactly(PnsConjunction *and, PnsFilter wider, PnsFilter filter)
{
	if (wider.kind == PNS_FILTER_SOME && filter.kind == PNS_FILTER_SOME &&
		!pns_filter_is_comparison(filter))
		and->fields = lappend(and->fields, pns_filter_copy(wider));
	pns_conjunction_add_fields(and, filter);
}

/*
 * add_placeholder adds a comparison whose operand has no value yet.
 */
static void
add_placeholder(PnsConjunction *and, const PnsQual *qual)
{
	const char *operator = qual->kind == PNS_QUAL_IN ? "$in" :
	qual->kind == PNS_QUAL_NOT_IN ? "$nin" : pns_filter_operators[qual->op];
	PnsBsonBuilder builder;

	pns_bson_begin(&builder);
	pns_bson_open_document(&builder, qual->column->native);
	pns_filter_append_parameter(&builder, operator, qual);
	pns_bson_close(&builder);
	pns_conjunction_add_fields(and, pns_filter_finish(&builder));
	pns_conjunction_add_guard(and, qual->exact ? qual->column : NULL,
							  qual->kind != PNS_QUAL_IN && qual->op != PNS_EQ);
}

/*
 * pns_conjunction_add_comparison adds the filter of a comparison.  A superset that has become
 * too large for a command is not sent.
 */
void
pns_conjunction_add_comparison(PnsConjunction *and, const PnsQual *qual, PnsFilter filter)
{
	if (!qual->exact && filter.kind == PNS_FILTER_SOME &&
		filter.document.size > LARGEST_SUPERSET)
		return;
	pns_conjunction_add_fields(and, filter);
}
