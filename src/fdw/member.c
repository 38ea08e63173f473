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
 * - Where a cast of a member would fail, the document has to come here.
 *
 * None of them can be exact: a zero byte in any string makes a document fit no
 * jsonb, and arrays are looked into at every depth.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
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
				json->native = pns_member_path(json->native, (char *) lfirst(lc));
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
