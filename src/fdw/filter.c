/*-------------------------------------------------------------------------
 *
 * filter.c
 *	  Compiled conditions, with the values of their operands, as a $match.
 *
 * The conditions become two stages: first the comparisons of fields with
 * values, which is what indexes serve, in the plainest form that there is;
 * then all else.  MongoDB takes them as one; not every server that speaks its
 * protocol finds an index for a $match that has more in it.
 *
 * A comparison of MongoDB's with an array tries the elements, and steps into
 * the elements of an array in mid-path; a column does neither.  And it selects
 * values that do not fit the column: 3.7 lies between 3 and 4.  So beside an
 * exact condition stands a guard: that no array is met on the way, and that
 * the value fits.  A superset needs none: what it lets in is looked at again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "fdw/filter.h"
#include "fdw/term.h"

/* What a command can hold beside a pipeline's other stages. */
#define LARGEST_FILTER (15 * 1024 * 1024)

static void conjoin(PnsConjunction *and, List *quals, List *guarded, PnsFilterContext *context);
static PnsFilter conjunction_filter(PnsConjunction *and);
static List *flatten(List *quals);
static void add_qual(PnsConjunction *and, const PnsQual *qual);
static PnsFilter make_or(List *quals, PnsConjunction *outer);
static PnsFilter make_null(const PnsTableColumn *column);
static void add_not_null(PnsConjunction *and, const PnsQual *qual);
static void add_bool(PnsConjunction *and, const PnsQual *qual);
static void add_match(PnsConjunction *and, const PnsQual *qual);
static void add_member(PnsConjunction *and, const PnsQual *qual);
static void add_operand(PnsConjunction *and, const PnsQual *qual);
static void add_expr(PnsConjunction *and, const PnsQual *qual);

/* Every type of BSON but null and undefined. */
static const char *const value_types[] = {
	"double", "string", "object", "array", "binData", "objectId", "bool",
	"date", "regex", "dbPointer", "javascript", "symbol",
	"javascriptWithScope", "int", "timestamp", "long", "decimal", "minKey",
	"maxKey", NULL
};

/*
 * pns_fdw_make_filter makes one filter of a list of conditions that all have
 * to be true.  Allocates in the current context.
 *
 * Where together they do not fit into a command, those that are checked here
 * anyway are left out.
 */
PnsFilter
pns_fdw_make_filter(List *quals, PnsOperandValue operand_value, void *state)
{
	PnsFilterContext context = {operand_value, state};
	PnsConjunction and;
	PnsFilter	filter;
	PnsFilter	rest;
	ListCell   *lc;

	conjoin(&and, quals, NIL, &context);
	filter = conjunction_filter(&and);
	if (filter.kind == PNS_FILTER_SOME && filter.document.size > LARGEST_FILTER)
	{
		List	   *exact = NIL;

		foreach(lc, quals)
		{
			if (((PnsQual *) lfirst(lc))->exact)
				exact = lappend(exact, lfirst(lc));
		}
		conjoin(&and, exact, NIL, &context);
		filter = conjunction_filter(&and);
	}

	if (filter.kind != PNS_FILTER_SOME || and.fields == NIL || and.rest == NIL)
		return filter;
	filter = pns_filter_and(and.fields);
	rest = pns_filter_and(and.rest);
	filter.has_rest = true;
	filter.rest = rest.document;
	return filter;
}

/*
 * pns_fdw_compares_strings tells whether a filter of these conditions has
 * MongoDB compare strings, among which an enum's labels are.
 */
bool
pns_fdw_compares_strings(List *quals)
{
	ListCell   *lc;

	foreach(lc, quals)
	{
		PnsQual    *qual = (PnsQual *) lfirst(lc);
		bool		is_comparison = qual->kind == PNS_QUAL_COMPARE ||
		qual->kind == PNS_QUAL_IN || qual->kind == PNS_QUAL_NOT_IN ||
		qual->kind == PNS_QUAL_MATCH;

		if (qual->class == PNS_CLASS_ENUM || qual->kind == PNS_QUAL_MEMBER ||
			(is_comparison &&
			 (qual->class == PNS_CLASS_TEXT || qual->class == PNS_CLASS_BPCHAR)))
			return true;
		if (qual->kind == PNS_QUAL_EXPR && qual->term->has_strings)
			return true;
		if (pns_fdw_compares_strings(qual->args))
			return true;
	}
	return false;
}

/*
 * conjoin puts the conditions of quals together.  guarded are the columns
 * whose guards stand around all of it.
 */
static void
conjoin(PnsConjunction *and, List *quals, List *guarded, PnsFilterContext *context)
{
	ListCell   *lc;

	check_stack_depth();
	memset(and, 0, sizeof(PnsConjunction));
	and->leaves = flatten(quals);
	and->context = context;
	and->guarded = list_copy(guarded);
	foreach(lc, and->leaves)
		add_qual(and, (PnsQual *) lfirst(lc));
}

/*
 * conjunction_filter makes one document of a conjunction.
 */
static PnsFilter
conjunction_filter(PnsConjunction *and)
{
	if (and->none)
		return pns_filter_none();
	return pns_filter_and(list_concat_copy(and->fields, and->rest));
}

/*
 * flatten replaces each AND among quals by what it joins.
 */
static List *
flatten(List *quals)
{
	List	   *leaves = NIL;
	ListCell   *lc;

	foreach(lc, quals)
	{
		PnsQual    *qual = (PnsQual *) lfirst(lc);

		if (qual->kind == PNS_QUAL_AND)
			leaves = list_concat(leaves, flatten(qual->args));
		else
			leaves = lappend(leaves, qual);
	}
	return leaves;
}

/*
 * add_qual adds one condition to a conjunction.
 */
static void
add_qual(PnsConjunction *and, const PnsQual *qual)
{
	PnsConjunction inner;

	switch (qual->kind)
	{
		case PNS_QUAL_AND:
			/* flatten leaves none */
			break;
		case PNS_QUAL_OR:
			pns_conjunction_add_rest(and, make_or(qual->args, and));
			break;
		case PNS_QUAL_NOT_TRUE:
			conjoin(&inner, qual->args, and->guarded, and->context);
			pns_conjunction_add_rest(and, pns_filter_not(conjunction_filter(&inner)));
			break;
		case PNS_QUAL_COMPARE:
			pns_conjunction_add_compare(and, qual);
			break;
		case PNS_QUAL_IN:
		case PNS_QUAL_NOT_IN:
			pns_conjunction_add_in(and, qual);
			break;
		case PNS_QUAL_NULL:
			pns_conjunction_add_rest(and, make_null(qual->column));
			break;
		case PNS_QUAL_NOT_NULL:
			add_not_null(and, qual);
			break;
		case PNS_QUAL_BOOL:
			add_bool(and, qual);
			break;
		case PNS_QUAL_MATCH:
			add_match(and, qual);
			break;
		case PNS_QUAL_MEMBER:
			add_member(and, qual);
			break;
		case PNS_QUAL_CONST:
			if (!qual->truth)
				and->none = true;
			break;
		case PNS_QUAL_OPERAND:
		case PNS_QUAL_OPERAND_NULL:
			add_operand(and, qual);
			break;
		case PNS_QUAL_EXPR:
			add_expr(and, qual);
			break;
	}
}

/*
 * pns_conjunction_add_fields adds a filter that indexes may serve, which comparisons alone
 * are.
 */
void
pns_conjunction_add_fields(PnsConjunction *and, PnsFilter filter)
{
	if (pns_filter_is_comparison(filter))
		and->fields = lappend(and->fields, pns_filter_copy(filter));
	else
		pns_conjunction_add_rest(and, filter);
}

/*
 * pns_filter_is_comparison tells whether a filter compares fields, and does not begin with
 * an operator such as $or.
 */
bool
pns_filter_is_comparison(PnsFilter filter)
{
	PnsBsonIterator members;

	if (filter.kind != PNS_FILTER_SOME)
		return false;
	pns_bson_iterate(&members, filter.document);
	while (pns_bson_next(&members))
	{
		if (members.key[0] == '$')
			return false;
	}
	return true;
}

/*
 * pns_conjunction_add_rest adds a filter of any form.
 */
void
pns_conjunction_add_rest(PnsConjunction *and, PnsFilter filter)
{
	if (filter.kind == PNS_FILTER_NONE)
		and->none = true;
	else if (filter.kind == PNS_FILTER_SOME)
		and->rest = lappend(and->rest, pns_filter_copy(filter));
}

/*
 * make_or makes the filter that demands one of quals, within outer.
 */
static PnsFilter
make_or(List *quals, PnsConjunction *outer)
{
	List	   *filters = NIL;
	ListCell   *lc;

	foreach(lc, quals)
	{
		PnsConjunction and;
		PnsFilter	filter;

		conjoin(&and, list_make1(lfirst(lc)), outer->guarded, outer->context);
		filter = conjunction_filter(&and);
		if (filter.kind == PNS_FILTER_ALL)
			return filter;
		if (filter.kind == PNS_FILTER_SOME)
			pns_filter_add_alternatives(&filters, filter);
	}

	return filters != NIL ? pns_filter_join("$or", filters) : pns_filter_none();
}

/*
 * make_null makes the filter for everything but the values that certainly fit
 * the column.  An array on the way makes a NULL, whatever is in it.
 */
static PnsFilter
make_null(const PnsTableColumn *column)
{
	return pns_filter_not(pns_filter_fitting(column));
}

/*
 * add_not_null adds that a value is other than NULL; where one that does not
 * fit is an error, it must be seen here.
 */
static void
add_not_null(PnsConjunction *and, const PnsQual *qual)
{
	const PnsTableColumn *column = qual->column;
	const PnsValueRules *rules = pns_fdw_value_rules(qual->class);

	if (!column->codec.null_on_mismatch)
	{
		pns_conjunction_add_rest(and, pns_filter_type(column->native, value_types));
		pns_conjunction_add_rest(and, pns_filter_no_array_above(column));
	}
	else if (qual->exact)
		pns_conjunction_add_guard(and, column, true);
	else
		pns_conjunction_add_rest(and, pns_filter_type(column->native,
													  rules->types[0] != NULL ? rules->types : value_types));
}

/*
 * add_bool adds that a boolean column is true, or false.
 */
static void
add_bool(PnsConjunction *and, const PnsQual *qual)
{
	PnsScalar	scalar = {.type = PNS_BSON_BOOL,.integer = qual->truth};

	pns_conjunction_add_fields(and, pns_filter_compare(qual->column->native, PNS_EQ, scalar));
	pns_conjunction_add_guard(and, qual->exact ? qual->column : NULL, false);
}

/*
 * add_match adds that a string matches a pattern, or does not.  A pattern that
 * cannot be said, which a superset may come to have, leaves all to be checked.
 */
static void
add_match(PnsConjunction *and, const PnsQual *qual)
{
	PnsFilterContext *context = and->context;
	PnsPattern	pattern;
	PnsBsonBuilder builder;
	Datum		value;
	bool		isnull;

	if (!context->operand_value(context->state, qual->operand, &value, &isnull))
	{
		pns_bson_begin(&builder);
		pns_bson_open_document(&builder, qual->column->native);
		pns_filter_append_parameter(&builder, "$regex", qual);
		pns_bson_close(&builder);
		pns_conjunction_add_rest(and, pns_filter_finish(&builder));
		return;
	}
	if (isnull)
	{
		and->none = true;
		return;
	}
	if (!pns_pattern_translate(qual, value, &pattern))
		return;

	if (qual->truth)
	{
		pns_conjunction_add_fields(and, pns_pattern_range(qual, &pattern));
		pns_conjunction_add_rest(and, pns_pattern_filter(qual, &pattern));
	}
	else
		pns_conjunction_add_rest(and, pns_filter_not(pns_pattern_filter(qual, &pattern)));
	pns_conjunction_add_guard(and, qual->exact ? qual->column : NULL, true);
}

/*
 * add_member adds a test of what is inside a column, a superset.
 */
static void
add_member(PnsConjunction *and, const PnsQual *qual)
{
	PnsFilterContext *context = and->context;
	PnsBsonBuilder builder;
	Datum		value = (Datum) 0;
	bool		isnull = false;

	if (qual->operand != NULL &&
		!context->operand_value(context->state, qual->operand, &value, &isnull))
	{
		pns_bson_begin(&builder);
		pns_filter_append_parameter(&builder, "$expr", qual);
		pns_conjunction_add_rest(and, pns_filter_finish(&builder));
	}
	else if (isnull && qual->member == PNS_MEMBER_NUMBER)
		return;					/* the cast may fail all the same */
	else if (isnull)
		and->none = true;
	else
		pns_conjunction_add_comparison(and, qual, pns_member_filter(qual, value));
}

/*
 * add_operand adds a condition that does not depend on the row.
 */
static void
add_operand(PnsConjunction *and, const PnsQual *qual)
{
	PnsFilterContext *context = and->context;
	PnsBsonBuilder builder;
	Datum		value;
	bool		isnull;
	bool		holds;

	if (context->operand_value(context->state, qual->operand, &value, &isnull))
	{
		if (qual->kind == PNS_QUAL_OPERAND_NULL)
			holds = isnull == qual->truth;
		else
			holds = !isnull && DatumGetBool(value) == qual->truth;
		if (!holds)
			and->none = true;
		return;
	}

	pns_bson_begin(&builder);
	pns_filter_append_parameter(&builder, "$expr", qual);
	pns_conjunction_add_rest(and, pns_filter_finish(&builder));
}

/*
 * add_expr adds that a term is true.
 */
static void
add_expr(PnsConjunction *and, const PnsQual *qual)
{
	PnsFilterContext *context = and->context;
	PnsBsonBuilder builder;

	pns_bson_begin(&builder);
	if (qual->exact)
		pns_term_append_true(&builder, "$expr", qual->term, context->operand_value,
							 context->state);
	else
		pns_term_append_maybe(&builder, "$expr", qual->term, context->operand_value,
							  context->state);
	pns_conjunction_add_rest(and, pns_filter_finish(&builder));
}

/*
 * pns_filter_append_parameter appends what EXPLAIN shows for an operand's value.
 */
void
pns_filter_append_parameter(PnsBsonBuilder *builder, const char *key, const PnsQual *qual)
{
	pns_bson_open_document(builder, key);
	pns_bson_append_int32(builder, "$param",
						  IsA(qual->operand, Param) ?
						  ((Param *) qual->operand)->paramid + 1 : 0);
	pns_bson_close(builder);
}
