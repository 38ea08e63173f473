/*-------------------------------------------------------------------------
 *
 * filter_guard.c
 *	  What keeps MongoDB from selecting more than fits a column.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/filter.h"

static PnsFilter is_not(const char *path, const char *const *types);

/*
 * pns_conjunction_add_guard adds, for a column (or NULL), what keeps MongoDB from selecting
 * more than fits it: that the path meets no array and no value of a type that
 * only seems to compare, and, unless a comparison makes sure of it, that the
 * value fits.
 */
void
pns_conjunction_add_guard(PnsConjunction *and, const PnsTableColumn *column, bool fits)
{
	const PnsValueRules *rules;
	bool		all;

	if (column == NULL || list_member_ptr(and->guarded, column))
		return;
	and->guarded = lappend(and->guarded, (void *) column);

	rules = pns_fdw_value_rules(pns_fdw_value_class(column));
	pns_conjunction_add_rest(and, is_not(column->native, rules->strangers));
	pns_conjunction_add_rest(and, pns_filter_no_array_above(column));
	if (fits)
		pns_conjunction_add_rest(and, rules->fits(column, pns_conjunction_bounds(column, and), &all));
}

/*
 * pns_conjunction_bounds finds out what the other comparisons of a conjunction say of a
 * column.
 */
PnsBounds
pns_conjunction_bounds(const PnsTableColumn *column, PnsConjunction *and)
{
	PnsBounds	bounds = {false, false};
	PnsFilterContext *context = and->context;
	ListCell   *lc;

	foreach(lc, and->leaves)
	{
		PnsQual    *qual = (PnsQual *) lfirst(lc);
		Datum		value;
		bool		isnull;

		if (qual->kind != PNS_QUAL_COMPARE || qual->column != column || qual->op == PNS_NE ||
			pns_fdw_value_rules(qual->class)->bounds == NULL)
			continue;
		if (!context->operand_value(context->state, qual->operand, &value, &isnull) ||
			isnull || !pns_fdw_value_rules(qual->class)->bounds(qual, value))
			continue;
		if (qual->op == PNS_EQ || qual->op == PNS_GT || qual->op == PNS_GE)
			bounds.lower = true;
		if (qual->op == PNS_EQ || qual->op == PNS_LT || qual->op == PNS_LE)
			bounds.upper = true;
	}
	return bounds;
}

/*
 * pns_filter_fitting makes the filter for the values that certainly fit a column.
 */
PnsFilter
pns_filter_fitting(const PnsTableColumn *column)
{
	const PnsValueRules *rules = pns_fdw_value_rules(pns_fdw_value_class(column));
	PnsBounds	unbounded = {false, false};
	PnsFilter	strangers = is_not(column->native, rules->strangers);
	PnsFilter	above = pns_filter_no_array_above(column);
	bool		all;
	PnsFilter	fits = rules->fits(column, unbounded, &all);

	return pns_filter_and(list_make3(&strangers, &above, &fits));
}

/*
 * pns_filter_no_array_above makes the filter for documents where the path to a column
 * leads through no array.
 */
PnsFilter
pns_filter_no_array_above(const PnsTableColumn *column)
{
	static const char *const array_type[] = {"array", NULL};
	char	   *path = pstrdup(column->native);
	List	   *filters = NIL;
	char	   *dot;

	while ((dot = strrchr(path, '.')) != NULL)
	{
		*dot = '\0';
		filters = lappend(filters, pns_filter_copy(is_not(path, array_type)));
	}
	return pns_filter_and(filters);
}

/*
 * is_not makes { path: { $not: { $type: types } } }.
 */
static PnsFilter
is_not(const char *path, const char *const *types)
{
	PnsBsonBuilder builder;

	pns_bson_begin(&builder);
	pns_bson_open_document(&builder, path);
	pns_bson_open_document(&builder, "$not");
	pns_filter_append_types(&builder, types);
	pns_bson_close(&builder);
	pns_bson_close(&builder);
	return pns_filter_finish(&builder);
}
