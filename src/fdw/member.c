/*-------------------------------------------------------------------------
 *
 * member.c
 *	  Conditions on what is inside a column: array elements and jsonb.
 *
 * All of them are supersets, checked again here.  MongoDB steps into arrays
 * that jsonb's operators do not step into, which only selects more; what it
 * must not do is to select less.  So:
 *
 * - A key that MongoDB would read otherwise (digits, a dot, a dollar) is not
 *   sent.  As the keys of Extended JSON all begin with a dollar, no path that
 *   is sent leads into what stands for an ObjectId or a date.
 * - A text may be that of a string, a boolean or a number; one that begins as
 *   an object or an array does is not sent.
 * - PostgreSQL looks for an element at any depth of an array, MongoDB among
 *   those of the outermost one, so every array that has arrays in it is
 *   selected too.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/fmgroids.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"

#include "fdw/private.h"

/* Where conditions are looked for. */
typedef struct MemberContext
{
	const PnsTable *table;
	Index		varno;
} MemberContext;

static PnsQual *compile_binary(OpExpr *expr, MemberContext *context);
static PnsQual *compile_array_test(PnsMemberKind kind, Node *array, Node *operand,
								   Oid element_type, Oid collation, MemberContext *context);
static PnsQual *compile_any(ScalarArrayOpExpr *expr, MemberContext *context);
static PnsQual *compile_present(NullTest *expr, MemberContext *context);
static PnsQual *compile_json_test(PnsMemberKind kind, Node *json, Node *operand,
								  MemberContext *context);
static PnsQual *compile_text_test(PnsMemberKind kind, Node *text_node, Node *operand, Oid collation,
								  MemberContext *context);
static PnsQual *compile_compared(Node *node, Node *operand, OpExpr *expr, bool commuted,
								 MemberContext *context);
static PnsQual *make_member(PnsMemberKind kind, const PnsTableColumn *column, Node *operand);
static PnsTableColumn *element_of(Node *node, MemberContext *context);
static PnsTableColumn *json_of(Node *node, MemberContext *context);
static bool is_step(Node *node, bool *as_text, Node **from, List **keys);
static bool step_keys(Const *array, List **keys);
static const PnsTableColumn *column_of(Node *node, MemberContext *context);
static char *join_path(const char *path, const char *key);
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
 * pns_fdw_compile_member compiles a condition on array elements or on what is
 * in a jsonb, a superset, or returns NULL where it is none or cannot be said.
 */
PnsQual *
pns_fdw_compile_member(Expr *expr, const PnsTable *table, Index varno)
{
	MemberContext context = {table, varno};
	PnsQual    *qual;

	if (GetDatabaseEncoding() != PG_UTF8)
		return NULL;

	switch (nodeTag(expr))
	{
		case T_OpExpr:
			qual = compile_binary((OpExpr *) expr, &context);
			break;
		case T_ScalarArrayOpExpr:
			qual = compile_any((ScalarArrayOpExpr *) expr, &context);
			break;
		case T_NullTest:
			qual = compile_present((NullTest *) expr, &context);
			break;
		default:
			return NULL;
	}

	/* a constant that says nothing is not worth a filter */
	if (qual != NULL && qual->operand != NULL && IsA(qual->operand, Const) &&
		!((Const *) qual->operand)->constisnull &&
		pns_member_filter(qual, ((Const *) qual->operand)->constvalue).kind == PNS_FILTER_ALL)
		return NULL;
	return qual;
}

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
 * compile_binary compiles an operator of arrays or of jsonb.
 */
static PnsQual *
compile_binary(OpExpr *expr, MemberContext *context)
{
	Node	   *left;
	Node	   *right;
	Oid			collation = expr->inputcollid;
	Oid			function = get_opcode(expr->opno);
	PnsQual    *qual;

	if (list_length(expr->args) != 2)
		return NULL;
	left = (Node *) linitial(expr->args);
	right = (Node *) lsecond(expr->args);

	qual = compile_compared(left, right, expr, false, context);
	if (qual == NULL)
		qual = compile_compared(right, left, expr, true, context);
	if (qual != NULL)
		return qual;

	switch (function)
	{
		case F_TEXTEQ:
			qual = compile_text_test(PNS_MEMBER_TEXT, left, right, collation, context);
			return qual != NULL ? qual :
				compile_text_test(PNS_MEMBER_TEXT, right, left, collation, context);
		case F_JSONB_EQ:
			qual = compile_json_test(PNS_MEMBER_JSON, left, right, context);
			return qual != NULL ? qual : compile_json_test(PNS_MEMBER_JSON, right, left, context);
		case F_JSONB_CONTAINS:
			return compile_json_test(PNS_MEMBER_CONTAINS, left, right, context);
		case F_JSONB_CONTAINED:
			return compile_json_test(PNS_MEMBER_CONTAINS, right, left, context);
		case F_JSONB_EXISTS:
			return compile_json_test(PNS_MEMBER_KEY, left, right, context);
		case F_JSONB_EXISTS_ANY:
			return compile_json_test(PNS_MEMBER_ANY_KEY, left, right, context);
		case F_JSONB_EXISTS_ALL:
			return compile_json_test(PNS_MEMBER_ALL_KEYS, left, right, context);
		case F_ARRAYCONTAINS:
			return compile_array_test(PNS_MEMBER_ALL_ELEMENTS, left, right,
									  get_element_type(exprType(right)), collation, context);
		case F_ARRAYCONTAINED:
			return compile_array_test(PNS_MEMBER_ALL_ELEMENTS, right, left,
									  get_element_type(exprType(left)), collation, context);
		case F_ARRAYOVERLAP:
			qual = compile_array_test(PNS_MEMBER_ANY_ELEMENT, left, right,
									  get_element_type(exprType(right)), collation, context);
			return qual != NULL ? qual :
				compile_array_test(PNS_MEMBER_ANY_ELEMENT, right, left,
								   get_element_type(exprType(left)), collation, context);
		default:
			return NULL;
	}
}

/*
 * compile_any compiles operand = ANY (array column), and an expression of
 * text that is = ANY (array).
 */
static PnsQual *
compile_any(ScalarArrayOpExpr *expr, MemberContext *context)
{
	Node	   *left = (Node *) linitial(expr->args);
	Node	   *right = (Node *) lsecond(expr->args);
	PnsTableColumn *element;
	PnsCompareOp op;

	if (!expr->useOr)
		return NULL;
	if (get_opcode(expr->opno) == F_TEXTEQ)
	{
		PnsQual    *qual = compile_text_test(PNS_MEMBER_TEXT_IN, left, right, expr->inputcollid,
											 context);

		if (qual != NULL)
			return qual;
	}

	element = element_of(right, context);
	if (element == NULL || !pns_fdw_comparison_of(expr->opno, element->base_type, &op) ||
		op != PNS_EQ)
		return NULL;
	return compile_array_test(PNS_MEMBER_ELEMENT, right, left, exprType(left),
							  expr->inputcollid, context);
}

/*
 * compile_array_test compiles a test of an array column with an element, or
 * with an array of elements, of a type.
 */
static PnsQual *
compile_array_test(PnsMemberKind kind, Node *array, Node *operand, Oid element_type,
				   Oid collation, MemberContext *context)
{
	PnsTableColumn *element = element_of(array, context);
	PnsQual    *qual;

	if (element == NULL || !OidIsValid(element_type) || !pns_fdw_is_operand(operand) ||
		!pns_fdw_comparison_ships(element, PNS_EQ, getBaseType(element_type), collation))
		return NULL;

	qual = make_member(kind, element, operand);
	qual->operand_type = getBaseType(element_type);
	return qual;
}

/*
 * compile_present compiles that something inside a jsonb IS NOT NULL.
 */
static PnsQual *
compile_present(NullTest *expr, MemberContext *context)
{
	PnsTableColumn *json;
	Node	   *from;
	List	   *keys;
	bool		as_text;

	if (expr->nulltesttype != IS_NOT_NULL || expr->argisrow ||
		!is_step((Node *) expr->arg, &as_text, &from, &keys))
		return NULL;
	json = json_of((Node *) expr->arg, context);
	if (json == NULL || json->native[0] == '\0')
		return NULL;
	return make_member(PNS_MEMBER_PRESENT, json, NULL);
}

/*
 * compile_json_test compiles an operator of a jsonb and an operand.
 */
static PnsQual *
compile_json_test(PnsMemberKind kind, Node *json, Node *operand, MemberContext *context)
{
	PnsTableColumn *column;

	if (exprType(json) != JSONBOID || !pns_fdw_is_operand(operand))
		return NULL;
	column = json_of(json, context);
	if (column == NULL || (kind == PNS_MEMBER_JSON && column->native[0] == '\0'))
		return NULL;
	return make_member(kind, column, operand);
}

/*
 * compile_text_test compiles that the text of something inside a jsonb equals
 * an operand, or one of an array of them.
 */
static PnsQual *
compile_text_test(PnsMemberKind kind, Node *text_node, Node *operand, Oid collation,
				  MemberContext *context)
{
	PnsTableColumn *json;
	Node	   *from;
	List	   *keys;
	bool		as_text;

	if (!pns_fdw_is_operand(operand) || !OidIsValid(collation) ||
		!get_collation_isdeterministic(collation) ||
		!is_step(text_node, &as_text, &from, &keys) || !as_text)
		return NULL;
	json = json_of(text_node, context);
	if (json == NULL || json->native[0] == '\0')
		return NULL;
	return make_member(kind, json, operand);
}

/*
 * compile_compared compiles that the text of something inside a jsonb is less
 * or greater than an operand, or that it compares so when it is cast to a
 * number.  Where the cast fails, the document has to come here.
 */
static PnsQual *
compile_compared(Node *node, Node *operand, OpExpr *expr, bool commuted, MemberContext *context)
{
	bool		is_cast = IsA(node, CoerceViaIO);
	Node	   *text_node = is_cast ? (Node *) ((CoerceViaIO *) node)->arg : node;
	Oid			type = exprType(node);
	PnsTableColumn *json;
	PnsCompareOp op;
	PnsQual    *qual;
	Node	   *from;
	List	   *keys;
	Oid			left_type;
	Oid			right_type;
	bool		as_text;

	if (!pns_fdw_is_operand(operand) ||
		!is_step(text_node, &as_text, &from, &keys) || !as_text ||
		!pns_fdw_comparison_of(expr->opno, type, &op) || op == PNS_NE ||
		(!is_cast && op == PNS_EQ))
		return NULL;
	json = json_of(text_node, context);
	if (json == NULL || json->native[0] == '\0' ||
		(is_cast && json->codec.json_format != PNS_JSON_RELAXED))
		return NULL;

	op_input_types(expr->opno, &left_type, &right_type);
	json->base_type = type;
	json->base_typmod = -1;
	switch (type)
	{
		case TEXTOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT8OID:
		case NUMERICOID:
			break;
		default:
			return NULL;
	}
	if (!pns_fdw_comparison_ships(json, op, commuted ? left_type : right_type, expr->inputcollid))
		return NULL;

	qual = make_member(is_cast ? PNS_MEMBER_NUMBER : PNS_MEMBER_ORDER, json, operand);
	qual->op = commuted ? pns_fdw_commute(op) : op;
	qual->operand_type = commuted ? left_type : right_type;
	return qual;
}

/*
 * make_member makes the node; column is what the path leads to.
 */
static PnsQual *
make_member(PnsMemberKind kind, const PnsTableColumn *column, Node *operand)
{
	PnsQual    *qual = palloc0(sizeof(PnsQual));

	qual->kind = PNS_QUAL_MEMBER;
	qual->member = kind;
	qual->column = column;
	qual->class = pns_fdw_value_class(column);
	qual->operand = (Expr *) operand;
	return qual;
}

/*
 * element_of describes the elements of an array column as a column, or
 * returns NULL where an expression is none.
 */
static PnsTableColumn *
element_of(Node *node, MemberContext *context)
{
	const PnsTableColumn *column = column_of(node, context);
	Oid			type = exprType(node);
	PnsTableColumn *element;
	Oid			element_type;

	if (column == NULL || column->native == NULL || column->codec.document)
		return NULL;

	element_type = get_element_type(column->base_type);
	if (!OidIsValid(element_type) ||
		(type != column->codec.type && type != column->base_type &&
		 !(type == TEXTARRAYOID && element_type == VARCHAROID)))
		return NULL;

	element = palloc(sizeof(PnsTableColumn));
	*element = *column;
	element->base_type = getBaseTypeAndTypmod(element_type, &element->base_typmod);
	element->codec.type = element->base_type;
	return element;
}

/*
 * json_of describes what is inside a jsonb column, or all of it, as a column
 * whose path is that of both; the path of the whole document is empty.  NULL
 * where an expression is no such thing, or MongoDB cannot name it.
 */
static PnsTableColumn *
json_of(Node *node, MemberContext *context)
{
	const PnsTableColumn *column;
	PnsTableColumn *json;
	Node	   *from;
	List	   *keys;
	ListCell   *lc;
	bool		as_text;

	check_stack_depth();
	if (is_step(node, &as_text, &from, &keys))
	{
		json = json_of(from, context);
		foreach(lc, keys)
		{
			if (json != NULL)
				json->native = join_path(json->native, (char *) lfirst(lc));
			if (json == NULL || json->native == NULL)
				return NULL;
		}
		return json;
	}

	column = column_of(node, context);
	if (column == NULL || column->base_type != JSONBOID ||
		(column->native == NULL && !column->codec.document))
		return NULL;
	json = palloc(sizeof(PnsTableColumn));
	*json = *column;
	if (column->codec.document)
		json->native = "";
	return json;
}

/*
 * is_step tells whether an expression takes a step, or some, into a jsonb by
 * constant keys, from where, and whether the result is text.
 */
static bool
is_step(Node *node, bool *as_text, Node **from, List **keys)
{
	List	   *args;
	Oid			function;
	Const	   *key;

	if (IsA(node, OpExpr))
	{
		function = get_opcode(((OpExpr *) node)->opno);
		args = ((OpExpr *) node)->args;
	}
	else if (IsA(node, FuncExpr))
	{
		function = ((FuncExpr *) node)->funcid;
		args = ((FuncExpr *) node)->args;
	}
	else
		return false;

	if (list_length(args) != 2 || !IsA(lsecond(args), Const))
		return false;
	key = (Const *) lsecond(args);
	*from = (Node *) linitial(args);
	if (key->constisnull)
		return false;

	switch (function)
	{
		case F_JSONB_OBJECT_FIELD:
		case F_JSONB_OBJECT_FIELD_TEXT:
			*as_text = function == F_JSONB_OBJECT_FIELD_TEXT;
			*keys = list_make1(TextDatumGetCString(key->constvalue));
			return true;
		case F_JSONB_EXTRACT_PATH:
		case F_JSONB_EXTRACT_PATH_TEXT:
			*as_text = function == F_JSONB_EXTRACT_PATH_TEXT;
			return step_keys(key, keys);
		default:
			return false;
	}
}

/*
 * step_keys reads the keys of a path, of which there has to be one.
 */
static bool
step_keys(Const *array, List **keys)
{
	Datum	   *values;
	bool		has_null;
	int			nvalues = pns_fdw_read_array(array->constvalue, &values, &has_null);

	*keys = NIL;
	for (int i = 0; i < nvalues; i++)
		*keys = lappend(*keys, TextDatumGetCString(values[i]));
	return nvalues > 0 && !has_null;
}

/*
 * column_of returns the column of the table that an expression is, or NULL.
 * Looks through relabelling, of elements too; callers see to the types.
 */
static const PnsTableColumn *
column_of(Node *node, MemberContext *context)
{
	Var		   *var;

	for (;;)
	{
		if (IsA(node, RelabelType))
			node = (Node *) ((RelabelType *) node)->arg;
		else if (IsA(node, ArrayCoerceExpr) &&
				 IsA(((ArrayCoerceExpr *) node)->elemexpr, RelabelType))
			node = (Node *) ((ArrayCoerceExpr *) node)->arg;
		else
			break;
	}
	var = (Var *) node;
	if (!IsA(node, Var) || var->varno != context->varno || var->varlevelsup != 0 ||
		var->varattno <= 0)
		return NULL;
	return &context->table->columns[var->varattno - 1];
}

/*
 * join_path adds a key to a path, or returns NULL where MongoDB would not take
 * it for just a key, or jsonb might take it for a position.
 */
static char *
join_path(const char *path, const char *key)
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
			member_path = join_path(path, pnstrdup(value.val.string.val, value.val.string.len));
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
	char	   *key_path = join_path(path, key);
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
