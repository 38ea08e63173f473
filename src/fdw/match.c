/*-------------------------------------------------------------------------
 *
 * match.c
 *	  The pieces that a $match is made of.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/private.h"

static bool can_merge(PnsDocument merged, PnsDocument document);
static PnsDocument merge(PnsDocument left, PnsDocument right);
static void append_members(PnsBsonBuilder *builder, PnsDocument document);
static void append_type_names(PnsBsonBuilder *builder, const char *key,
							  const char *const *types);

/* The comparisons, as MongoDB calls them. */
const char *const pns_filter_operators[] = {
	[PNS_LT] = "$lt",
	[PNS_LE] = "$lte",
	[PNS_EQ] = "$eq",
	[PNS_GE] = "$gte",
	[PNS_GT] = "$gt",
	[PNS_NE] = "$ne",
};

/*
 * pns_filter_all is the filter that lets everything through.
 */
PnsFilter
pns_filter_all(void)
{
	PnsFilter	filter = {.kind = PNS_FILTER_ALL};

	return filter;
}

/*
 * pns_filter_none is the filter that lets nothing through.
 */
PnsFilter
pns_filter_none(void)
{
	PnsFilter	filter = {.kind = PNS_FILTER_NONE};

	return filter;
}

/*
 * pns_filter_or joins two filters.  Alternatives stand side by side, for not
 * every server finds indexes for those in an $or of another one.
 */
PnsFilter
pns_filter_or(PnsFilter left, PnsFilter right)
{
	List	   *filters = NIL;

	if (left.kind == PNS_FILTER_ALL || right.kind == PNS_FILTER_NONE)
		return left;
	if (right.kind == PNS_FILTER_ALL || left.kind == PNS_FILTER_NONE)
		return right;
	pns_filter_add_alternatives(&filters, left);
	pns_filter_add_alternatives(&filters, right);
	return pns_filter_join("$or", filters);
}

/*
 * pns_filter_add_alternatives appends a filter of the kind SOME to a list; or,
 * if all that it does is to join others by $or, those.
 */
void
pns_filter_add_alternatives(List **filters, PnsFilter filter)
{
	PnsBsonIterator members;
	PnsBsonIterator alternatives;

	pns_bson_iterate(&members, filter.document);
	if (pns_bson_next(&members) && strcmp(members.key, "$or") == 0)
	{
		pns_bson_iterate(&alternatives, pns_bson_value_document(&members.value));
		if (!pns_bson_next(&members))
		{
			while (pns_bson_next(&alternatives))
			{
				filter.document = pns_bson_value_document(&alternatives.value);
				*filters = lappend(*filters, pns_filter_copy(filter));
			}
			return;
		}
	}
	*filters = lappend(*filters, pns_filter_copy(filter));
}

/*
 * pns_filter_copy copies a filter's struct, for a list.
 */
PnsFilter *
pns_filter_copy(PnsFilter filter)
{
	PnsFilter  *copy = palloc(sizeof(PnsFilter));

	*copy = filter;
	return copy;
}

/*
 * pns_filter_compare makes { path: { $op: scalar } }.
 */
PnsFilter
pns_filter_compare(const char *path, PnsCompareOp op, PnsScalar scalar)
{
	PnsBsonBuilder builder;

	pns_bson_begin(&builder);
	pns_bson_open_document(&builder, path);
	pns_bson_append_scalar(&builder, pns_filter_operators[op], scalar);
	pns_bson_close(&builder);
	return pns_filter_finish(&builder);
}

/*
 * pns_filter_between makes { path: { $gte: low, $lte: high } }.
 */
PnsFilter
pns_filter_between(const char *path, PnsScalar low, PnsScalar high)
{
	PnsBsonBuilder builder;

	pns_bson_begin(&builder);
	pns_bson_open_document(&builder, path);
	pns_bson_append_scalar(&builder, "$gte", low);
	pns_bson_append_scalar(&builder, "$lte", high);
	pns_bson_close(&builder);
	return pns_filter_finish(&builder);
}

/*
 * pns_filter_type makes { path: { $type: [types] } }.
 */
PnsFilter
pns_filter_type(const char *path, const char *const *types)
{
	PnsBsonBuilder builder;

	pns_bson_begin(&builder);
	pns_bson_open_document(&builder, path);
	pns_filter_append_types(&builder, types);
	pns_bson_close(&builder);
	return pns_filter_finish(&builder);
}

/*
 * pns_filter_points makes { path: { $eq: scalar } }, or $in for several.
 */
PnsFilter
pns_filter_points(const char *path, List *scalars)
{
	PnsBsonBuilder builder;

	if (list_length(scalars) == 1)
		return pns_filter_compare(path, PNS_EQ, *(PnsScalar *) linitial(scalars));

	pns_bson_begin(&builder);
	pns_bson_open_document(&builder, path);
	pns_filter_append_scalars(&builder, "$in", scalars);
	pns_bson_close(&builder);
	return pns_filter_finish(&builder);
}

/*
 * pns_filter_unequal makes { path: { $ne: scalar } }, or $nin for several.
 */
PnsFilter
pns_filter_unequal(const char *path, List *scalars)
{
	PnsBsonBuilder builder;

	if (list_length(scalars) == 1)
		return pns_filter_compare(path, PNS_NE, *(PnsScalar *) linitial(scalars));

	pns_bson_begin(&builder);
	pns_bson_open_document(&builder, path);
	pns_filter_append_scalars(&builder, "$nin", scalars);
	pns_bson_close(&builder);
	return pns_filter_finish(&builder);
}

/*
 * pns_filter_regex makes { path: { $regex: regex } }.  options may be NULL.
 */
PnsFilter
pns_filter_regex(const char *path, const char *regex, const char *options)
{
	PnsBsonBuilder builder;

	pns_bson_begin(&builder);
	pns_bson_open_document(&builder, path);
	pns_bson_append_cstring(&builder, "$regex", regex);
	if (options != NULL)
		pns_bson_append_cstring(&builder, "$options", options);
	pns_bson_close(&builder);
	return pns_filter_finish(&builder);
}

/*
 * pns_filter_not makes { $nor: [filter] }.
 */
PnsFilter
pns_filter_not(PnsFilter filter)
{
	PnsBsonBuilder builder;

	if (filter.kind == PNS_FILTER_ALL)
		return pns_filter_none();
	if (filter.kind == PNS_FILTER_NONE)
		return pns_filter_all();

	pns_bson_begin(&builder);
	pns_bson_open_array(&builder, "$nor");
	pns_bson_append_document(&builder, "0", filter.document);
	pns_bson_close(&builder);
	return pns_filter_finish(&builder);
}

/*
 * pns_filter_and makes a filter that demands all of filters (PnsFilter); as
 * one document, as far as their operators do not get in each other's way.
 */
PnsFilter
pns_filter_and(List *filters)
{
	PnsFilter	result = pns_filter_all();
	List	   *others = NIL;
	ListCell   *lc;

	foreach(lc, filters)
	{
		PnsFilter  *filter = (PnsFilter *) lfirst(lc);

		if (filter->kind == PNS_FILTER_NONE)
			return *filter;
		if (filter->kind == PNS_FILTER_ALL)
			continue;
		if (result.kind == PNS_FILTER_ALL)
			result = *filter;
		else if (can_merge(result.document, filter->document))
			result.document = merge(result.document, filter->document);
		else
			others = lappend(others, filter);
	}

	if (others == NIL)
		return result;
	return pns_filter_join("$and", lcons(pns_filter_copy(result), others));
}

/*
 * can_merge tells whether the members of a filter can be added to another's:
 * about other paths, or by other operators.
 */
static bool
can_merge(PnsDocument merged, PnsDocument document)
{
	PnsBsonIterator members;

	pns_bson_iterate(&members, document);
	while (pns_bson_next(&members))
	{
		PnsBsonIterator operators;
		PnsBsonValue other;
		PnsBsonValue operator;

		if (!pns_bson_find(merged, members.key, &other))
			continue;
		if (members.key[0] == '$')
			return false;
		pns_bson_iterate(&operators, pns_bson_value_document(&members.value));
		while (pns_bson_next(&operators))
		{
			if (pns_bson_find(pns_bson_value_document(&other), operators.key, &operator))
				return false;
		}
	}
	return true;
}

/*
 * merge adds the members of a filter to another's.
 */
static PnsDocument
merge(PnsDocument left, PnsDocument right)
{
	PnsBsonBuilder builder;
	PnsBsonIterator members;
	PnsBsonValue other;

	pns_bson_begin(&builder);
	pns_bson_iterate(&members, left);
	while (pns_bson_next(&members))
	{
		if (members.key[0] != '$' && pns_bson_find(right, members.key, &other))
		{
			pns_bson_open_document(&builder, members.key);
			append_members(&builder, pns_bson_value_document(&members.value));
			append_members(&builder, pns_bson_value_document(&other));
			pns_bson_close(&builder);
		}
		else
			pns_bson_append_value(&builder, members.key, members.value);
	}

	pns_bson_iterate(&members, right);
	while (pns_bson_next(&members))
	{
		if (!pns_bson_find(left, members.key, &other))
			pns_bson_append_value(&builder, members.key, members.value);
	}
	return pns_bson_end(&builder);
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
 * pns_filter_join makes { operator: [filters] } of filters (PnsFilter, not empty,
 * each of the kind SOME); one alone stays as it is.
 */
PnsFilter
pns_filter_join(const char *operator, List *filters)
{
	PnsBsonBuilder builder;

	if (list_length(filters) == 1)
		return *(PnsFilter *) linitial(filters);

	pns_bson_begin(&builder);
	pns_bson_open_array(&builder, operator);
	for (int i = 0; i < list_length(filters); i++)
		pns_bson_append_document(&builder, pns_bson_index(i),
								 ((PnsFilter *) list_nth(filters, i))->document);
	pns_bson_close(&builder);
	return pns_filter_finish(&builder);
}

/*
 * pns_filter_finish closes a filter's document.
 */
PnsFilter
pns_filter_finish(PnsBsonBuilder *builder)
{
	PnsFilter	filter = {.kind = PNS_FILTER_SOME};

	filter.document = pns_bson_end(builder);
	return filter;
}

/*
 * pns_filter_open_if_type begins the filter for values of some types of which
 * an expression is true that can be asked of no others:
 *
 * { $expr: { $cond: [ <is its type one of them>, <expression>, otherwise ] } }
 *
 * The caller appends the expression as the member "1", and ends by
 * pns_filter_close_if_type.
 */
void
pns_filter_open_if_type(PnsBsonBuilder *builder, const char *path, const char *const *types)
{
	pns_bson_begin(builder);
	pns_bson_open_document(builder, "$expr");
	pns_bson_open_array(builder, "$cond");

	pns_bson_open_document(builder, "0");
	pns_bson_open_array(builder, types[1] == NULL ? "$eq" : "$in");
	pns_bson_open_document(builder, "0");
	pns_filter_append_path(builder, "$type", path);
	pns_bson_close(builder);
	append_type_names(builder, "1", types);
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * pns_filter_close_if_type ends a filter that pns_filter_open_if_type began;
 * otherwise is what it says of values of other types.
 */
PnsFilter
pns_filter_close_if_type(PnsBsonBuilder *builder, bool otherwise)
{
	pns_bson_append_bool(builder, "2", otherwise);
	pns_bson_close(builder);
	pns_bson_close(builder);
	return pns_filter_finish(builder);
}

/*
 * pns_filter_append_path appends the value of a path, for an expression.
 */
void
pns_filter_append_path(PnsBsonBuilder *builder, const char *key, const char *path)
{
	pns_bson_append_cstring(builder, key, psprintf("$%s", path));
}

/*
 * pns_filter_append_types appends $type with one type or several.
 */
void
pns_filter_append_types(PnsBsonBuilder *builder, const char *const *types)
{
	append_type_names(builder, "$type", types);
}

/*
 * append_type_names appends the name of a type, or an array of several.
 */
static void
append_type_names(PnsBsonBuilder *builder, const char *key, const char *const *types)
{
	if (types[1] == NULL)
	{
		pns_bson_append_cstring(builder, key, types[0]);
		return;
	}

	pns_bson_open_array(builder, key);
	for (int i = 0; types[i] != NULL; i++)
		pns_bson_append_cstring(builder, pns_bson_index(i), types[i]);
	pns_bson_close(builder);
}

/*
 * pns_filter_append_scalars appends an array of scalars (PnsScalar).
 */
void
pns_filter_append_scalars(PnsBsonBuilder *builder, const char *key, List *scalars)
{
	pns_bson_open_array(builder, key);
	for (int i = 0; i < list_length(scalars); i++)
		pns_bson_append_scalar(builder, pns_bson_index(i),
							   *(PnsScalar *) list_nth(scalars, i));
	pns_bson_close(builder);
}
