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

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

#include "fdw/term.h"

/* MongoDB's limit for a document, and what we grant one condition; bytes. */
#define LARGEST_DOCUMENT (16 * 1024 * 1024)
#define LARGEST_SUPERSET (2 * 1024 * 1024)
/* What a command can hold beside a pipeline's other stages. */
#define LARGEST_FILTER (15 * 1024 * 1024)

/* Where the values of the operands come from. */
typedef struct FilterContext
{
	PnsOperandValue operand_value;
	void	   *state;
} FilterContext;

/* What a conjunction comes to, while it is put together. */
typedef struct Conjunction
{
	List	   *leaves;			/* of PnsQual, none of them an AND */
	FilterContext *context;
	bool		none;			/* nothing can satisfy it */
	List	   *fields;			/* of PnsFilter: what indexes serve */
	List	   *rest;			/* of PnsFilter */
	List	   *guarded;		/* columns (PnsTableColumn) that have a guard */
} Conjunction;

static void conjoin(Conjunction *and, List *quals, List *guarded, FilterContext *context);
static PnsFilter conjunction_filter(Conjunction *and);
static List *flatten(List *quals);
static void add_qual(Conjunction *and, const PnsQual *qual);
static void add_fields(Conjunction *and, PnsFilter filter);
static void add_exactly(Conjunction *and, PnsFilter wider, PnsFilter filter);
static bool is_comparison(PnsFilter filter);
static void add_rest(Conjunction *and, PnsFilter filter);
static PnsFilter make_or(List *quals, Conjunction *outer);
static void add_compare(Conjunction *and, const PnsQual *qual);
static void add_in(Conjunction *and, const PnsQual *qual);
static void add_equal(Conjunction *and, const PnsQual *qual, const Datum *values, int nvalues);
static PnsFilter with_other_type(const PnsQual *qual, PnsFilter filter);
static void add_unequal(Conjunction *and, const PnsQual *qual, const Datum *values, int nvalues);
static PnsFilter make_null(const PnsTableColumn *column);
static void add_not_null(Conjunction *and, const PnsQual *qual);
static void add_bool(Conjunction *and, const PnsQual *qual);
static void add_match(Conjunction *and, const PnsQual *qual);
static void add_member(Conjunction *and, const PnsQual *qual);
static void add_operand(Conjunction *and, const PnsQual *qual);
static void add_expr(Conjunction *and, const PnsQual *qual);
static void add_placeholder(Conjunction *and, const PnsQual *qual);
static void append_parameter(PnsBsonBuilder *builder, const char *key, const PnsQual *qual);
static void add_comparison(Conjunction *and, const PnsQual *qual, PnsFilter filter);
static void add_guard(Conjunction *and, const PnsTableColumn *column, bool fits);
static PnsBounds find_bounds(const PnsTableColumn *column, Conjunction *and);
static PnsFilter make_guard(const PnsTableColumn *column);
static PnsFilter no_array_above(const PnsTableColumn *column);
static PnsFilter is_not(const char *path, const char *const *types);

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
	FilterContext context = {operand_value, state};
	Conjunction and;
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
conjoin(Conjunction *and, List *quals, List *guarded, FilterContext *context)
{
	ListCell   *lc;

	check_stack_depth();
	memset(and, 0, sizeof(Conjunction));
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
conjunction_filter(Conjunction *and)
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
add_qual(Conjunction *and, const PnsQual *qual)
{
	Conjunction inner;

	switch (qual->kind)
	{
		case PNS_QUAL_AND:
			/* flatten leaves none */
			break;
		case PNS_QUAL_OR:
			add_rest(and, make_or(qual->args, and));
			break;
		case PNS_QUAL_NOT_TRUE:
			conjoin(&inner, qual->args, and->guarded, and->context);
			add_rest(and, pns_filter_not(conjunction_filter(&inner)));
			break;
		case PNS_QUAL_COMPARE:
			add_compare(and, qual);
			break;
		case PNS_QUAL_IN:
		case PNS_QUAL_NOT_IN:
			add_in(and, qual);
			break;
		case PNS_QUAL_NULL:
			add_rest(and, make_null(qual->column));
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
 * add_fields adds a filter that indexes may serve, which comparisons alone
 * are.
 */
static void
add_fields(Conjunction *and, PnsFilter filter)
{
	if (is_comparison(filter))
		and->fields = lappend(and->fields, pns_filter_copy(filter));
	else
		add_rest(and, filter);
}

/*
 * add_exactly adds a filter, and beside it, if that helps indexes, a wider one.
 */
static void
add_exactly(Conjunction *and, PnsFilter wider, PnsFilter filter)
{
	if (wider.kind == PNS_FILTER_SOME && filter.kind == PNS_FILTER_SOME &&
		!is_comparison(filter))
		and->fields = lappend(and->fields, pns_filter_copy(wider));
	add_fields(and, filter);
}

/*
 * is_comparison tells whether a filter compares fields, and does not begin with
 * an operator such as $or.
 */
static bool
is_comparison(PnsFilter filter)
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
 * add_rest adds a filter of any form.
 */
static void
add_rest(Conjunction *and, PnsFilter filter)
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
make_or(List *quals, Conjunction *outer)
{
	List	   *filters = NIL;
	ListCell   *lc;

	foreach(lc, quals)
	{
		Conjunction and;
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
 * add_compare adds a comparison.  With a NULL it is never true.
 */
static void
add_compare(Conjunction *and, const PnsQual *qual)
{
	const PnsValueRules *rules = pns_fdw_value_rules(qual->class);
	FilterContext *context = and->context;
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
		PnsBounds	bounds = find_bounds(qual->column, and);

		PnsFilter	range = rules->range(qual, qual->op, value, bounds.upper);

		if (qual->exact && rules->exactly != NULL)
			add_exactly(and, range, rules->exactly(qual, qual->op, value, bounds.upper));
		else
			add_comparison(and, qual, with_other_type(qual, range));
		add_guard(and, qual->exact ? qual->column : NULL, true);
	}
}

/*
 * add_in adds = ANY and <> ALL, whose rules about NULLs and empty arrays
 * differ: nothing equals any element of an empty array, and everything, NULL
 * too, differs from all of them.
 */
static void
add_in(Conjunction *and, const PnsQual *qual)
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
add_equal(Conjunction *and, const PnsQual *qual, const Datum *values, int nvalues)
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
		add_comparison(and, qual, result);
	add_guard(and, qual->exact ? qual->column : NULL, false);
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
add_unequal(Conjunction *and, const PnsQual *qual, const Datum *values, int nvalues)
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
			add_rest(and, filter);
	}
	add_rest(and, pns_filter_not(ranges));
	if (qual->exact)
		add_guard(and, qual->column, true);
	else
		add_rest(and, pns_filter_type(path, rules->types));
}

/*
 * make_null makes the filter for everything but the values that certainly fit
 * the column.  An array on the way makes a NULL, whatever is in it.
 */
static PnsFilter
make_null(const PnsTableColumn *column)
{
	return pns_filter_not(make_guard(column));
}

/*
 * add_not_null adds that a value is other than NULL; where one that does not
 * fit is an error, it must be seen here.
 */
static void
add_not_null(Conjunction *and, const PnsQual *qual)
{
	const PnsTableColumn *column = qual->column;
	const PnsValueRules *rules = pns_fdw_value_rules(qual->class);

	if (!column->codec.null_on_mismatch)
	{
		add_rest(and, pns_filter_type(column->native, value_types));
		add_rest(and, no_array_above(column));
	}
	else if (qual->exact)
		add_guard(and, column, true);
	else
		add_rest(and, pns_filter_type(column->native,
									  rules->types[0] != NULL ? rules->types : value_types));
}

/*
 * add_bool adds that a boolean column is true, or false.
 */
static void
add_bool(Conjunction *and, const PnsQual *qual)
{
	PnsScalar	scalar = {.type = PNS_BSON_BOOL,.integer = qual->truth};

	add_fields(and, pns_filter_compare(qual->column->native, PNS_EQ, scalar));
	add_guard(and, qual->exact ? qual->column : NULL, false);
}

/*
 * add_match adds that a string matches a pattern, or does not.  A pattern that
 * cannot be said, which a superset may come to have, leaves all to be checked.
 */
static void
add_match(Conjunction *and, const PnsQual *qual)
{
	FilterContext *context = and->context;
	PnsPattern	pattern;
	PnsBsonBuilder builder;
	Datum		value;
	bool		isnull;

	if (!context->operand_value(context->state, qual->operand, &value, &isnull))
	{
		pns_bson_begin(&builder);
		pns_bson_open_document(&builder, qual->column->native);
		append_parameter(&builder, "$regex", qual);
		pns_bson_close(&builder);
		add_rest(and, pns_filter_finish(&builder));
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
		add_fields(and, pns_pattern_range(qual, &pattern));
		add_rest(and, pns_pattern_filter(qual, &pattern));
	}
	else
		add_rest(and, pns_filter_not(pns_pattern_filter(qual, &pattern)));
	add_guard(and, qual->exact ? qual->column : NULL, true);
}

/*
 * add_member adds a test of what is inside a column, a superset.
 */
static void
add_member(Conjunction *and, const PnsQual *qual)
{
	FilterContext *context = and->context;
	PnsBsonBuilder builder;
	Datum		value = (Datum) 0;
	bool		isnull = false;

	if (qual->operand != NULL &&
		!context->operand_value(context->state, qual->operand, &value, &isnull))
	{
		pns_bson_begin(&builder);
		append_parameter(&builder, "$expr", qual);
		add_rest(and, pns_filter_finish(&builder));
	}
	else if (isnull && qual->member == PNS_MEMBER_NUMBER)
		return;					/* the cast may fail all the same */
	else if (isnull)
		and->none = true;
	else
		add_comparison(and, qual, pns_member_filter(qual, value));
}

/*
 * add_operand adds a condition that does not depend on the row.
 */
static void
add_operand(Conjunction *and, const PnsQual *qual)
{
	FilterContext *context = and->context;
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
	append_parameter(&builder, "$expr", qual);
	add_rest(and, pns_filter_finish(&builder));
}

/*
 * add_expr adds that a term is true.
 */
static void
add_expr(Conjunction *and, const PnsQual *qual)
{
	FilterContext *context = and->context;
	PnsBsonBuilder builder;

	pns_bson_begin(&builder);
	if (qual->exact)
		pns_term_append_true(&builder, "$expr", qual->term, context->operand_value,
							 context->state);
	else
		pns_term_append_maybe(&builder, "$expr", qual->term, context->operand_value,
							  context->state);
	add_rest(and, pns_filter_finish(&builder));
}

/*
 * add_placeholder adds a comparison whose operand has no value yet.
 */
static void
add_placeholder(Conjunction *and, const PnsQual *qual)
{
	const char *operator = qual->kind == PNS_QUAL_IN ? "$in" :
	qual->kind == PNS_QUAL_NOT_IN ? "$nin" : pns_filter_operators[qual->op];
	PnsBsonBuilder builder;

	pns_bson_begin(&builder);
	pns_bson_open_document(&builder, qual->column->native);
	append_parameter(&builder, operator, qual);
	pns_bson_close(&builder);
	add_fields(and, pns_filter_finish(&builder));
	add_guard(and, qual->exact ? qual->column : NULL,
			  qual->kind != PNS_QUAL_IN && qual->op != PNS_EQ);
}

/*
 * append_parameter appends what EXPLAIN shows for an operand's value.
 */
static void
append_parameter(PnsBsonBuilder *builder, const char *key, const PnsQual *qual)
{
	pns_bson_open_document(builder, key);
	pns_bson_append_int32(builder, "$param",
						  IsA(qual->operand, Param) ?
						  ((Param *) qual->operand)->paramid + 1 : 0);
	pns_bson_close(builder);
}

/*
 * add_comparison adds the filter of a comparison.  A superset that has become
 * too large for a command is not sent.
 */
static void
add_comparison(Conjunction *and, const PnsQual *qual, PnsFilter filter)
{
	if (!qual->exact && filter.kind == PNS_FILTER_SOME &&
		filter.document.size > LARGEST_SUPERSET)
		return;
	add_fields(and, filter);
}

/*
 * add_guard adds, for a column (or NULL), what keeps MongoDB from selecting
 * more than fits it: that the path meets no array and no value of a type that
 * only seems to compare, and, unless a comparison makes sure of it, that the
 * value fits.
 */
static void
add_guard(Conjunction *and, const PnsTableColumn *column, bool fits)
{
	const PnsValueRules *rules;
	bool		all;

	if (column == NULL || list_member_ptr(and->guarded, column))
		return;
	and->guarded = lappend(and->guarded, (void *) column);

	rules = pns_fdw_value_rules(pns_fdw_value_class(column));
	add_rest(and, is_not(column->native, rules->strangers));
	add_rest(and, no_array_above(column));
	if (fits)
		add_rest(and, rules->fits(column, find_bounds(column, and), &all));
}

/*
 * find_bounds finds out what the other comparisons of a conjunction say of a
 * column.
 */
static PnsBounds
find_bounds(const PnsTableColumn *column, Conjunction *and)
{
	PnsBounds	bounds = {false, false};
	FilterContext *context = and->context;
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
 * make_guard makes the filter for the values that certainly fit a column.
 */
static PnsFilter
make_guard(const PnsTableColumn *column)
{
	const PnsValueRules *rules = pns_fdw_value_rules(pns_fdw_value_class(column));
	PnsBounds	unbounded = {false, false};
	PnsFilter	strangers = is_not(column->native, rules->strangers);
	PnsFilter	above = no_array_above(column);
	bool		all;
	PnsFilter	fits = rules->fits(column, unbounded, &all);

	return pns_filter_and(list_make3(&strangers, &above, &fits));
}

/*
 * no_array_above makes the filter for documents where the path to a column
 * leads through no array.
 */
static PnsFilter
no_array_above(const PnsTableColumn *column)
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
