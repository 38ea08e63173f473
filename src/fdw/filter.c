/*-------------------------------------------------------------------------
 *
 * filter.c
 *	  Compiled conditions, with the values of their operands, as a $match.
 *
 * Only the forms that MongoDB's indexes serve are used: comparison operators
 * on a path, $in, $type, $or and $and.
 *
 * MongoDB's comparison of a path with an array tries the elements, and steps
 * into the elements of an array in mid-path; a column does neither.  An exact
 * condition therefore also demands that no array is met on the way (guard).
 * A superset need not: what it lets in is looked at again.
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

static PnsFilter make_filter(const PnsQual *qual, FilterContext *context);
static PnsFilter make_and(List *quals, FilterContext *context);
static PnsFilter make_or(List *quals, FilterContext *context);
static const PnsQual *with_bound(const PnsQual *qual, List *quals, FilterContext *context);
static PnsFilter make_compare(const PnsQual *qual, FilterContext *context);
static PnsFilter make_in(const PnsQual *qual, FilterContext *context);
static PnsFilter make_equal(const PnsQual *qual, const Datum *values, int nvalues);
static PnsFilter with_other_type(const PnsQual *qual, PnsFilter filter);
static PnsFilter make_unequal(const PnsQual *qual, const Datum *values, int nvalues);
static PnsFilter make_null(const PnsTableColumn *column);
static PnsFilter make_not_null(const PnsTableColumn *column);
static PnsFilter make_bool(const PnsQual *qual);
static PnsFilter make_expr(const PnsQual *qual, FilterContext *context);
static PnsFilter make_placeholder(const PnsQual *qual);
static PnsFilter with_guard(const PnsQual *qual, PnsFilter filter);
static List *path_prefixes(const char *path);
static void append_members(PnsBsonBuilder *builder, PnsDocument document);
static void append_not_type(PnsBsonBuilder *builder, const char *const *types);

static const char *const array_type[] = {"array", NULL};
static const char *const array_or_symbol_type[] = {"array", "symbol", NULL};

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
	PnsFilter	filter = make_and(quals, &context);
	List	   *exact = NIL;
	ListCell   *lc;

	if (filter.kind != PNS_FILTER_SOME || filter.document.size <= LARGEST_FILTER)
		return filter;

	foreach(lc, quals)
	{
		if (((PnsQual *) lfirst(lc))->exact)
			exact = lappend(exact, lfirst(lc));
	}
	return make_and(exact, &context);
}

/*
 * pns_fdw_compares_strings tells whether a filter of these conditions has
 * MongoDB compare strings.
 */
bool
pns_fdw_compares_strings(List *quals)
{
	ListCell   *lc;

	foreach(lc, quals)
	{
		PnsQual    *qual = (PnsQual *) lfirst(lc);
		bool		is_comparison = qual->kind == PNS_QUAL_COMPARE ||
		qual->kind == PNS_QUAL_IN || qual->kind == PNS_QUAL_NOT_IN;

		if (is_comparison &&
			(qual->class == PNS_CLASS_TEXT || qual->class == PNS_CLASS_BPCHAR ||
			 qual->class == PNS_CLASS_ENUM))
			return true;
		if (qual->kind == PNS_QUAL_EXPR && qual->term->has_strings)
			return true;
		if (pns_fdw_compares_strings(qual->args))
			return true;
	}
	return false;
}

/*
 * pns_fdw_null_test_ships tells whether IS [NOT] NULL of a column can be
 * shipped.  IS NULL can where some values certainly fit the column: all the
 * others have to be looked at here.
 */
bool
pns_fdw_null_test_ships(const PnsTableColumn *column, bool is_null)
{
	const PnsValueRules *rules = pns_fdw_value_rules(pns_fdw_value_class(column));

	if (!is_null)
		return true;
	return column->codec.type == column->base_type &&
		rules->certain != NULL && rules->certain(column, NULL);
}

/*
 * make_filter makes the filter of one condition.
 */
static PnsFilter
make_filter(const PnsQual *qual, FilterContext *context)
{
	check_stack_depth();

	switch (qual->kind)
	{
		case PNS_QUAL_AND:
			return make_and(qual->args, context);
		case PNS_QUAL_OR:
			return make_or(qual->args, context);
		case PNS_QUAL_COMPARE:
			return make_compare(qual, context);
		case PNS_QUAL_IN:
		case PNS_QUAL_NOT_IN:
			return make_in(qual, context);
		case PNS_QUAL_NULL:
			return make_null(qual->column);
		case PNS_QUAL_NOT_NULL:
			return make_not_null(qual->column);
		case PNS_QUAL_BOOL:
			return make_bool(qual);
		case PNS_QUAL_CONST:
			return qual->truth ? pns_filter_all() : pns_filter_none();
		case PNS_QUAL_EXPR:
			return make_expr(qual, context);
	}
	return pns_filter_all();
}

/*
 * make_and makes the filter that demands all of quals.
 */
static PnsFilter
make_and(List *quals, FilterContext *context)
{
	List	   *filters = NIL;
	ListCell   *lc;

	foreach(lc, quals)
	{
		PnsFilter	filter =
		make_filter(with_bound((PnsQual *) lfirst(lc), quals, context), context);

		if (filter.kind == PNS_FILTER_NONE)
			return filter;
		if (filter.kind == PNS_FILTER_SOME)
			filters = lappend(filters, pns_filter_copy(filter));
	}

	return filters != NIL ? pns_filter_join("$and", filters) : pns_filter_all();
}

/*
 * with_bound marks a lower bound of a column that has an upper bound among
 * quals, as in BETWEEN.  NaN is above all numbers to PostgreSQL and must be
 * let in by a lower bound on its own, which would cost it the index.
 */
static const PnsQual *
with_bound(const PnsQual *qual, List *quals, FilterContext *context)
{
	ListCell   *lc;

	if (qual->kind != PNS_QUAL_COMPARE || (qual->op != PNS_GT && qual->op != PNS_GE))
		return qual;
	/* the others have no NaN: leave their operands alone */
	if (qual->class != PNS_CLASS_FLOAT4 && qual->class != PNS_CLASS_FLOAT8 &&
		qual->class != PNS_CLASS_NUMERIC)
		return qual;

	foreach(lc, quals)
	{
		PnsQual    *other = (PnsQual *) lfirst(lc);
		PnsQual    *bounded;
		Datum		value;
		bool		isnull;

		if (other->kind != PNS_QUAL_COMPARE || other->column != qual->column ||
			(other->op != PNS_LT && other->op != PNS_LE && other->op != PNS_EQ))
			continue;
		if (!context->operand_value(context->state, other->operand, &value, &isnull) ||
			isnull || pns_fdw_value_is_nan(other, value))
			continue;
		bounded = memcpy(palloc(sizeof(PnsQual)), qual, sizeof(PnsQual));
		bounded->bounded = true;
		return bounded;
	}
	return qual;
}

/*
 * make_or makes the filter that demands one of quals.
 */
static PnsFilter
make_or(List *quals, FilterContext *context)
{
	List	   *filters = NIL;
	ListCell   *lc;

	foreach(lc, quals)
	{
		PnsFilter	filter = make_filter((PnsQual *) lfirst(lc), context);

		if (filter.kind == PNS_FILTER_ALL)
			return filter;
		if (filter.kind == PNS_FILTER_SOME)
			pns_filter_add_alternatives(&filters, filter);
	}

	return filters != NIL ? pns_filter_join("$or", filters) : pns_filter_none();
}

/*
 * make_compare makes the filter of a comparison.  With a NULL it is never
 * true.
 */
static PnsFilter
make_compare(const PnsQual *qual, FilterContext *context)
{
	const PnsValueRules *rules = pns_fdw_value_rules(qual->class);
	Datum		value;
	bool		isnull;

	if (!context->operand_value(context->state, qual->operand, &value, &isnull))
		return make_placeholder(qual);
	if (isnull)
		return pns_filter_none();

	if (qual->op == PNS_EQ)
		return make_equal(qual, &value, 1);
	if (qual->op == PNS_NE)
		return make_unequal(qual, &value, 1);

	return with_guard(qual, with_other_type(qual, rules->range(qual, qual->op, value)));
}

/*
 * make_in makes the filter of = ANY and <> ALL, whose rules about NULLs and
 * empty arrays differ: nothing equals any element of an empty array, and
 * everything, NULL too, differs from all of them.
 */
static PnsFilter
make_in(const PnsQual *qual, FilterContext *context)
{
	ArrayType  *array;
	Datum		value;
	Datum	   *values;
	bool	   *nulls;
	bool		isnull;
	int16		length;
	bool		by_value;
	char		alignment;
	int			nvalues;
	int			nnonnull = 0;

	if (!context->operand_value(context->state, qual->operand, &value, &isnull))
		return make_placeholder(qual);
	if (isnull)
		return pns_filter_none();

	array = DatumGetArrayTypeP(value);
	if (!qual->exact && VARSIZE_ANY(array) > LARGEST_SUPERSET)
		return pns_filter_all();
	get_typlenbyvalalign(ARR_ELEMTYPE(array), &length, &by_value, &alignment);
	deconstruct_array(array, ARR_ELEMTYPE(array), length, by_value, alignment,
					  &values, &nulls, &nvalues);
	for (int i = 0; i < nvalues; i++)
	{
		if (!nulls[i])
			values[nnonnull++] = values[i];
	}

	if (qual->kind == PNS_QUAL_IN)
		return make_equal(qual, values, nnonnull);
	if (nvalues == 0)
		return pns_filter_all();
	if (nnonnull < nvalues)
		return pns_filter_none();
	return make_unequal(qual, values, nnonnull);
}

/*
 * make_equal makes the filter for values equal to one of values.
 */
static PnsFilter
make_equal(const PnsQual *qual, const Datum *values, int nvalues)
{
	const PnsValueRules *rules = pns_fdw_value_rules(qual->class);
	PnsFilter	result = pns_filter_none();
	List	   *points = NIL;
	List	   *filters = NIL;

	if (nvalues == 0)
		return pns_filter_none();

	for (int i = 0; i < nvalues; i++)
	{
		PnsFilter	filter;

		if (rules->points != NULL && rules->points(qual, values[i], &points))
			continue;
		filter = rules->range(qual, PNS_EQ, values[i]);
		if (filter.kind == PNS_FILTER_SOME)
			pns_filter_add_alternatives(&filters, filter);
	}

	if (points != NIL)
		pns_filter_add_alternatives(&filters,
									pns_filter_points(qual->column->native, points));
	if (filters != NIL)
		result = pns_filter_join("$or", filters);
	return with_guard(qual, with_other_type(qual, result));
}

/*
 * with_other_type lets in the values of the type, if the class has one, that
 * no comparison can tell anything about.
 */
static PnsFilter
with_other_type(const PnsQual *qual, PnsFilter filter)
{
	const char *const types[] = {pns_fdw_value_rules(qual->class)->other_type, NULL};

	if (types[0] == NULL)
		return filter;
	return pns_filter_or(filter, pns_filter_type(qual->column->native, types));
}

/*
 * make_unequal makes the filter for values of a fitting type that are equal
 * to none of values.  What equals by a range only is not excluded here.
 */
static PnsFilter
make_unequal(const PnsQual *qual, const Datum *values, int nvalues)
{
	const PnsValueRules *rules = pns_fdw_value_rules(qual->class);
	PnsBsonBuilder builder;
	List	   *points = NIL;

	for (int i = 0; i < nvalues && rules->points != NULL; i++)
		(void) rules->points(qual, values[i], &points);

	pns_bson_begin(&builder);
	pns_bson_open_document(&builder, qual->column->native);
	pns_filter_append_types(&builder, rules->types);
	if (points != NIL)
		pns_filter_append_scalars(&builder, "$nin", points);
	pns_bson_close(&builder);
	return with_guard(qual, pns_filter_finish(&builder));
}

/*
 * make_null makes the filter for everything but the values that certainly
 * fit the column, which are the ones that are certainly not NULL.  An array on
 * the way makes a NULL, whatever is in it.
 */
static PnsFilter
make_null(const PnsTableColumn *column)
{
	const PnsValueRules *rules = pns_fdw_value_rules(pns_fdw_value_class(column));
	PnsBsonBuilder builder;
	PnsFilter	filter;
	ListCell   *lc;

	pns_bson_begin(&builder);
	pns_bson_open_document(&builder, column->native);
	pns_bson_open_document(&builder, "$not");
	(void) rules->certain(column, &builder);
	pns_bson_close(&builder);
	pns_bson_close(&builder);
	filter = pns_filter_finish(&builder);

	foreach(lc, path_prefixes(column->native))
		filter = pns_filter_or(filter, pns_filter_type((char *) lfirst(lc), array_type));
	return filter;
}

/*
 * make_not_null makes the filter for values that may be other than NULL; where
 * a value that does not fit is an error, it must be seen here.
 */
static PnsFilter
make_not_null(const PnsTableColumn *column)
{
	const PnsValueRules *rules = pns_fdw_value_rules(pns_fdw_value_class(column));

	if (!column->codec.null_on_mismatch || rules->types[0] == NULL)
		return pns_filter_type(column->native, value_types);
	return pns_filter_type(column->native, rules->types);
}

/*
 * make_bool makes the filter for a boolean column that is true, or false.
 */
static PnsFilter
make_bool(const PnsQual *qual)
{
	PnsScalar	scalar = {.type = PNS_BSON_BOOL,.integer = qual->truth};

	return with_guard(qual, pns_filter_compare(qual->column->native, PNS_EQ, scalar));
}

/*
 * make_expr makes the filter of a term.
 */
static PnsFilter
make_expr(const PnsQual *qual, FilterContext *context)
{
	PnsBsonBuilder builder;

	pns_bson_begin(&builder);
	if (qual->exact)
		pns_term_append_true(&builder, "$expr", qual->term,
							 context->operand_value, context->state);
	else
		pns_term_append_maybe(&builder, "$expr", qual->term,
							  context->operand_value, context->state);
	return pns_filter_finish(&builder);
}

/*
 * make_placeholder shows a comparison whose operand has no value yet.
 */
static PnsFilter
make_placeholder(const PnsQual *qual)
{
	const char *operator = qual->kind == PNS_QUAL_IN ? "$in" :
	qual->kind == PNS_QUAL_NOT_IN ? "$nin" : pns_filter_operators[qual->op];
	PnsBsonBuilder builder;

	pns_bson_begin(&builder);
	pns_bson_open_document(&builder, qual->column->native);
	pns_bson_open_document(&builder, operator);
	pns_bson_append_int32(&builder, "$param",
						  IsA(qual->operand, Param) ?
						  ((Param *) qual->operand)->paramid + 1 : 0);
	pns_bson_close(&builder);
	pns_bson_close(&builder);
	return with_guard(qual, pns_filter_finish(&builder));
}

/*
 * with_guard adds, to an exact condition, what keeps MongoDB from selecting
 * more: that the path meets no array, and that a string is no symbol, a type
 * that compares as a string there.
 *
 * A superset that has become too large for a command is not sent.  An exact
 * condition of that size demands a value that no document has room for.
 */
static PnsFilter
with_guard(const PnsQual *qual, PnsFilter filter)
{
	bool		is_string = qual->class == PNS_CLASS_TEXT || qual->class == PNS_CLASS_ENUM;
	const char *path = qual->column->native;
	PnsBsonBuilder builder;
	PnsBsonValue operators;
	ListCell   *lc;

	if (filter.kind != PNS_FILTER_SOME)
		return filter;
	if (!qual->exact)
		return filter.document.size <= LARGEST_SUPERSET ? filter : pns_filter_all();
	if (filter.document.size > LARGEST_DOCUMENT)
		return pns_filter_none();

	pns_bson_begin(&builder);
	if (pns_bson_find(filter.document, path, &operators))
	{
		/* { path: { operators } } */
		pns_bson_open_document(&builder, path);
		append_members(&builder, pns_bson_value_document(&operators));
	}
	else
	{
		append_members(&builder, filter.document);
		pns_bson_open_document(&builder, path);
	}
	append_not_type(&builder, is_string ? array_or_symbol_type : array_type);
	pns_bson_close(&builder);

	for_each_from(lc, path_prefixes(path), 1)
	{
		pns_bson_open_document(&builder, (char *) lfirst(lc));
		append_not_type(&builder, array_type);
		pns_bson_close(&builder);
	}
	return pns_filter_finish(&builder);
}

/*
 * append_members appends all members of a document.
 */
static void
append_members(PnsBsonBuilder *builder, PnsDocument document)
{
	PnsBsonIterator iterator;

	pns_bson_iterate(&iterator, document);
	while (pns_bson_next(&iterator))
		pns_bson_append_value(builder, iterator.key, iterator.value);
}

/*
 * append_not_type appends { $not: { $type: types } }.
 */
static void
append_not_type(PnsBsonBuilder *builder, const char *const *types)
{
	pns_bson_open_document(builder, "$not");
	pns_filter_append_types(builder, types);
	pns_bson_close(builder);
}

/*
 * path_prefixes lists a path and the paths above it, the longest first.
 */
static List *
path_prefixes(const char *path)
{
	List	   *prefixes = NIL;
	char	   *prefix = pstrdup(path);
	char	   *dot;

	for (;;)
	{
		prefixes = lappend(prefixes, pstrdup(prefix));
		dot = strrchr(prefix, '.');
		if (dot == NULL)
			return prefixes;
		*dot = '\0';
	}
}
