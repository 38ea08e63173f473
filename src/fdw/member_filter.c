/*-------------------------------------------------------------------------
 *
 * member_filter.c
 *	  Filters for what is inside a column: see member.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "fdw/private.h"

static PnsFilter texts_filter(const char *path, Datum *values, int nvalues);
static PnsFilter order_filter(const PnsQual *qual, Datum value);
static PnsFilter number_filter(const PnsQual *qual, Datum value);
static PnsFilter other_types(const char *path, const char *const *types);
static bool add_text_points(List **points, const char *str);
static void add_number_points(List **points, const char *str);
static bool add_json_point(List **points, const JsonbValue *value);
static PnsFilter points_filter(const char *path, List *points);
static PnsFilter contains_filter(const char *path, JsonbContainer *container);
static PnsFilter contained_value(const char *path, const JsonbValue *value, bool in_array);
static PnsFilter key_filter(const char *path, const char *key);
static PnsFilter keys_filter(const PnsQual *qual, Datum *keys, int nkeys);
static PnsFilter exists_filter(const char *path);
static PnsFilter elements_filter(const PnsQual *qual, Datum *values, int nvalues, bool all);
static PnsFilter any_element_filter(const PnsQual *qual, Datum *values, int nvalues);
static PnsFilter nested_arrays(const char *path);

/*
 * pns_member_filter makes the filter of a condition, of the value of its
 * operand; one that lets everything through where there is nothing to say.
 */
PnsFilter
pns_member_filter(const PnsQual *qual, Datum value)
{
	const char *path = qual->column->native;
	Datum	   *values = &value;
	int			nvalues = 1;
	bool		has_null = false;
	List	   *points = NIL;
	Jsonb	   *json;

	switch (qual->member)
	{
		case PNS_MEMBER_TEXT_IN:
		case PNS_MEMBER_ANY_KEY:
		case PNS_MEMBER_ALL_KEYS:
		case PNS_MEMBER_ALL_ELEMENTS:
		case PNS_MEMBER_ANY_ELEMENT:
			nvalues = pns_fdw_read_array(value, &values, &has_null);
			break;
		default:
			break;
	}

	switch (qual->member)
	{
		case PNS_MEMBER_TEXT:
		case PNS_MEMBER_TEXT_IN:
			return texts_filter(path, values, nvalues);
		case PNS_MEMBER_JSON:
			json = DatumGetJsonbP(value);
			if (!JB_ROOT_IS_SCALAR(json) ||
				!add_json_point(&points, getIthJsonbValueFromContainer(&json->root, 0)))
				return pns_filter_all();
			return points_filter(path, points);
		case PNS_MEMBER_ORDER:
			return order_filter(qual, value);
		case PNS_MEMBER_NUMBER:
			return number_filter(qual, value);
		case PNS_MEMBER_CONTAINS:
			return contains_filter(path, &DatumGetJsonbP(value)->root);
		case PNS_MEMBER_KEY:
		case PNS_MEMBER_ANY_KEY:
		case PNS_MEMBER_ALL_KEYS:
			return keys_filter(qual, values, nvalues);
		case PNS_MEMBER_PRESENT:
			return exists_filter(path);
		case PNS_MEMBER_ELEMENT:
		case PNS_MEMBER_ANY_ELEMENT:
			return elements_filter(qual, values, nvalues, false);
		case PNS_MEMBER_ALL_ELEMENTS:
			/* no array contains a NULL */
			return has_null ? pns_filter_none() : elements_filter(qual, values, nvalues, true);
	}
	return pns_filter_all();
}

/*
 * pns_member_path adds a key to a path, or returns NULL where MongoDB would not take
 * it for just a key, or jsonb might take it for a position.
 */
char *
pns_member_path(const char *path, const char *key)
{
	if (key[0] == '\0' || key[0] == '$' || strchr(key, '.') != NULL ||
		strspn(key, "0123456789+- \t\n\v\f\r") == strlen(key))
		return NULL;
	return path[0] == '\0' ? pstrdup(key) : psprintf("%s.%s", path, key);
}

/*
 * texts_filter makes the filter for the values whose text is one of some.
 */
static PnsFilter
texts_filter(const char *path, Datum *values, int nvalues)
{
	List	   *points = NIL;

	for (int i = 0; i < nvalues; i++)
	{
		char	   *str = TextDatumGetCString(values[i]);

		if (!add_text_points(&points, str))
			return pns_filter_all();
	}
	return points_filter(path, points);
}

/*
 * order_filter makes the filter for the values whose text compares so with
 * one: strings that do, and all else.
 */
static PnsFilter
order_filter(const PnsQual *qual, Datum value)
{
	static const char *const types[] = {"string", "null", NULL};
	const char *path = qual->column->native;
	PnsScalar	string = {.type = PNS_BSON_STRING};

	string.data = TextDatumGetCString(value);
	string.size = strlen(string.data);
	return pns_filter_or(pns_filter_compare(path, qual->op, string), other_types(path, types));
}

/*
 * number_filter makes the filter for the values that may compare so as a
 * number, or are none: their cast is an error.
 */
static PnsFilter
number_filter(const PnsQual *qual, Datum value)
{
	static const char *const integers[] = {"int", "long", "null", NULL};
	static const char *const numbers[] = {"int", "long", "double", "null", NULL};
	const PnsValueRules *rules = pns_fdw_value_rules(qual->class);
	const char *path = qual->column->native;
	Oid			type = qual->column->base_type;
	bool		is_int = qual->class == PNS_CLASS_INT;
	PnsFilter	filter = other_types(path, is_int ? integers : numbers);
	List	   *points = NIL;

	if (qual->op != PNS_EQ || !rules->points(qual, value, &points))
		filter = pns_filter_or(filter, rules->range(qual, qual->op, value, true));
	if (!is_int)
	{
		/* these are objects in jsonb */
		(void) pns_add_point(&points, pns_double_scalar(get_float8_nan()));
		(void) pns_add_point(&points, pns_double_scalar(get_float8_infinity()));
		(void) pns_add_point(&points, pns_double_scalar(-get_float8_infinity()));
	}
	else if (type != INT8OID)
	{
		int64		limit = type == INT2OID ? PG_INT16_MAX : PG_INT32_MAX;

		filter = pns_filter_or(filter, pns_filter_compare(path, PNS_GT, pns_int_scalar(limit)));
		filter = pns_filter_or(filter, pns_filter_compare(path, PNS_LT, pns_int_scalar(-limit - 1)));
	}
	return pns_filter_or(filter, points_filter(path, points));
}

/*
 * other_types makes the filter for arrays, and for values of none of some types.
 */
static PnsFilter
other_types(const char *path, const char *const *types)
{
	static const char *const array_type[] = {"array", NULL};
	PnsBsonBuilder builder;

	pns_bson_begin(&builder);
	pns_bson_open_document(&builder, path);
	pns_bson_append_bool(&builder, "$exists", true);
	pns_bson_open_document(&builder, "$not");
	pns_filter_append_types(&builder, types);
	pns_bson_close(&builder);
	pns_bson_close(&builder);
	return pns_filter_or(pns_filter_type(path, array_type), pns_filter_finish(&builder));
}

/*
 * add_text_points adds the values that a text may be the text of.  False where
 * it may be that of an object or an array.
 */
static bool
add_text_points(List **points, const char *str)
{
	PnsScalar	string = {.type = PNS_BSON_STRING,.data = str,.size = strlen(str)};
	PnsScalar	boolean = {.type = PNS_BSON_BOOL};

	if (str[0] == '{' || str[0] == '[')
		return false;

	(void) pns_add_point(points, string);
	boolean.integer = strcmp(str, "true") == 0;
	if (boolean.integer || strcmp(str, "false") == 0)
		(void) pns_add_point(points, boolean);
	if (str[0] != '\0' && strspn(str, "-.0123456789") == string.size)
		add_number_points(points, str);
	return true;
}

/*
 * add_number_points adds the integer and the double that a number, as numeric
 * writes it, may stand for, if any.  A double is shown as the shortest decimal
 * that reads back as it, so that it is what the number reads as.
 */
static void
add_number_points(List **points, const char *str)
{
	char	   *whole = pstrdup(str);
	char	   *dot = strchr(whole, '.');
	char	   *end;
	int64		integer;
	float8		number;

	if (dot != NULL && strspn(dot + 1, "0") == strlen(dot + 1))
		*dot = '\0';
	errno = 0;
	integer = strtoi64(whole, &end, 10);
	if (errno == 0 && end != whole && *end == '\0')
		(void) pns_add_point(points, pns_int_scalar(integer));

	errno = 0;
	number = strtod(str, &end);
	if (end != str && *end == '\0' && isfinite(number))
		(void) pns_add_point(points, pns_double_scalar(number));
}

/*
 * add_json_point adds the values that a scalar of jsonb may stand for.  False
 * for a null, which MongoDB finds where nothing is, and for no scalar.
 */
static bool
add_json_point(List **points, const JsonbValue *value)
{
	PnsScalar	scalar = {.type = PNS_BSON_STRING};

	switch (value->type)
	{
		case jbvString:
			scalar.data = value->val.string.val;
			scalar.size = value->val.string.len;
			return pns_add_point(points, scalar);
		case jbvBool:
			scalar.type = PNS_BSON_BOOL;
			scalar.integer = value->val.boolean;
			return pns_add_point(points, scalar);
		case jbvNumeric:
			add_number_points(points,
							  DatumGetCString(DirectFunctionCall1(numeric_out,
																  NumericGetDatum(value->val.numeric))));
			return true;
		default:
			return false;
	}
}

/*
 * points_filter makes the filter for the values that equal one of points.
 */
static PnsFilter
points_filter(const char *path, List *points)
{
	return points != NIL ? pns_filter_points(path, points) : pns_filter_none();
}

/*
 * contains_filter makes the filter for what may contain an object or an array
 * of jsonb, or a scalar.
 */
static PnsFilter
contains_filter(const char *path, JsonbContainer *container)
{
	JsonbIterator *iterator = JsonbIteratorInit(container);
	JsonbIteratorToken token;
	JsonbValue	value;
	List	   *filters = NIL;
	const char *member_path = NULL;

	check_stack_depth();
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			member_path = pns_member_path(path, pnstrdup(value.val.string.val, value.val.string.len));
		else if (token == WJB_VALUE && member_path != NULL)
			filters = lappend(filters,
							  pns_filter_copy(contained_value(member_path, &value, false)));
		else if (token == WJB_ELEM && path[0] != '\0')
			filters = lappend(filters, pns_filter_copy(contained_value(path, &value, true)));
	}
	return pns_filter_and(filters);
}

/*
 * contained_value makes the filter for what may contain a member of an object,
 * or an element of an array.  MongoDB looks for elements, and steps, into one
 * array only, so arrays in arrays are left to be checked here.
 */
static PnsFilter
contained_value(const char *path, const JsonbValue *value, bool in_array)
{
	List	   *points = NIL;

	if (value->type == jbvBinary)
	{
		if (in_array && JsonContainerIsArray(value->val.binary.data))
			return pns_filter_all();
		return contains_filter(path, value->val.binary.data);
	}
	if (!add_json_point(&points, value))
		return pns_filter_all();
	return points_filter(path, points);
}

/*
 * keys_filter makes the filter for what has the only one, one or all of some
 * keys.
 */
static PnsFilter
keys_filter(const PnsQual *qual, Datum *keys, int nkeys)
{
	bool		all = qual->member == PNS_MEMBER_ALL_KEYS;
	PnsFilter	any = pns_filter_none();
	List	   *filters = NIL;

	for (int i = 0; i < nkeys; i++)
	{
		PnsFilter	filter = key_filter(qual->column->native, TextDatumGetCString(keys[i]));

		if (all)
			filters = lappend(filters, pns_filter_copy(filter));
		else
			any = pns_filter_or(any, filter);
	}
	return all ? pns_filter_and(filters) : any;
}

/*
 * key_filter makes the filter for what has a key, or is or has such a string.
 */
static PnsFilter
key_filter(const char *path, const char *key)
{
	char	   *key_path = pns_member_path(path, key);
	PnsScalar	string = {.type = PNS_BSON_STRING,.data = key,.size = strlen(key)};

	if (key_path == NULL)
		return pns_filter_all();
	if (path[0] == '\0')
		return exists_filter(key_path);
	return pns_filter_or(exists_filter(key_path), pns_filter_compare(path, PNS_EQ, string));
}

/*
 * exists_filter makes { path: { $exists: true } }.
 */
static PnsFilter
exists_filter(const char *path)
{
	PnsBsonBuilder builder;

	pns_bson_begin(&builder);
	pns_bson_open_document(&builder, path);
	pns_bson_append_bool(&builder, "$exists", true);
	pns_bson_close(&builder);
	return pns_filter_finish(&builder);
}

/*
 * elements_filter makes the filter for the arrays that may have one of values
 * among their elements, or all of them.
 */
static PnsFilter
elements_filter(const PnsQual *qual, Datum *values, int nvalues, bool all)
{
	static const char *const array_type[] = {"array", NULL};
	const char *path = qual->column->native;
	List	   *filters = NIL;
	PnsFilter	result;

	if (all && nvalues == 0)
		return pns_filter_type(path, array_type);

	for (int i = 0; all && i < nvalues; i++)
		filters = lappend(filters, pns_filter_copy(any_element_filter(qual, values + i, 1)));
	result = all ? pns_filter_and(filters) : any_element_filter(qual, values, nvalues);
	return result.kind == PNS_FILTER_NONE ? result : pns_filter_or(result, nested_arrays(path));
}

/*
 * any_element_filter makes the filter for an array with an element that may
 * equal one of values; none where no element can.
 */
static PnsFilter
any_element_filter(const PnsQual *qual, Datum *values, int nvalues)
{
	const PnsValueRules *rules = pns_fdw_value_rules(qual->class);
	const char *const types[] = {rules->other_type, NULL};
	const char *path = qual->column->native;
	PnsFilter	ranges = pns_filter_none();
	List	   *points = NIL;

	for (int i = 0; i < nvalues; i++)
	{
		if (rules->points == NULL || !rules->points(qual, values[i], &points))
			ranges = pns_filter_or(ranges, rules->range(qual, PNS_EQ, values[i], true));
	}
	if (types[0] != NULL && nvalues > 0)
		ranges = pns_filter_or(ranges, pns_filter_type(path, types));
	return pns_filter_or(points_filter(path, points), ranges);
}

/*
 * nested_arrays makes { path: { $elemMatch: { $type: "array" } } }.
 */
static PnsFilter
nested_arrays(const char *path)
{
	static const char *const array_type[] = {"array", NULL};
	PnsBsonBuilder builder;

	pns_bson_begin(&builder);
	pns_bson_open_document(&builder, path);
	pns_bson_open_document(&builder, "$elemMatch");
	pns_filter_append_types(&builder, array_type);
	pns_bson_close(&builder);
	pns_bson_close(&builder);
	return pns_filter_finish(&builder);
}
