/*-------------------------------------------------------------------------
 *
 * array_test.c
 *	  value op ANY (array) and value op ALL (array), element by element.
 *
 * By SQL's rules they are the elements' comparisons joined by OR and by AND.
 * Said so, every operator can be sent that can be sent alone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

#include "fdw/private.h"

/* More elements make a condition that costs more than it saves. */
#define MOST_ELEMENTS 50

static List *elements_of(Const *constant);
static bool is_membership(ScalarArrayOpExpr *expr);

/*
 * pns_fdw_is_list_test tells whether what a value is compared with is a short
 * list of expressions that do not depend on the row, as in x IN ($1, $2).
 */
bool
pns_fdw_is_list_test(Node *node)
{
	ArrayExpr  *array;

	if (!IsA(node, ScalarArrayOpExpr))
		return false;
	array = (ArrayExpr *) lsecond(((ScalarArrayOpExpr *) node)->args);
	return IsA(array, ArrayExpr) && !array->multidims &&
		list_length(array->elements) <= MOST_ELEMENTS &&
		pns_fdw_is_operand((Node *) array);
}

/*
 * pns_fdw_expand_array_test says a test of an array element by element.  NULL
 * where that is not to be: = ANY and <> ALL of a constant have a form of their
 * own, and of what is no constant the elements are not known.
 */
Expr *
pns_fdw_expand_array_test(ScalarArrayOpExpr *expr)
{
	Node	   *left = (Node *) linitial(expr->args);
	Node	   *array = (Node *) lsecond(expr->args);
	List	   *elements;
	List	   *tests = NIL;
	ListCell   *lc;

	if (pns_fdw_is_list_test((Node *) expr))
		elements = ((ArrayExpr *) array)->elements;
	else if (!IsA(array, Const) || is_membership(expr))
		return NULL;
	else if (((Const *) array)->constisnull)
		return (Expr *) makeBoolConst(false, true);
	else
		elements = elements_of((Const *) array);
	if (list_length(elements) > MOST_ELEMENTS)
		return NULL;

	foreach(lc, elements)
	{
		OpExpr	   *test = (OpExpr *) make_opclause(expr->opno, BOOLOID, false,
													(Expr *) left, (Expr *) lfirst(lc),
													InvalidOid, expr->inputcollid);

		test->opfuncid = expr->opfuncid;
		tests = lappend(tests, test);
	}
	if (tests == NIL)
		return (Expr *) makeBoolConst(!expr->useOr, false);
	if (list_length(tests) == 1)
		return (Expr *) linitial(tests);
	return makeBoolExpr(expr->useOr ? OR_EXPR : AND_EXPR, tests, -1);
}

/*
 * is_membership tells whether a test is = ANY or <> ALL.
 */
static bool
is_membership(ScalarArrayOpExpr *expr)
{
	PnsCompareOp op;
	Oid			left_type;
	Oid			right_type;

	op_input_types(expr->opno, &left_type, &right_type);
	if (left_type == ANYENUMOID)
		left_type = getBaseType(exprType((Node *) linitial(expr->args)));
	return pns_fdw_comparison_of(expr->opno, left_type, &op) &&
		op == (expr->useOr ? PNS_EQ : PNS_NE);
}

/*
 * elements_of makes constants of an array's elements.
 */
static List *
elements_of(Const *constant)
{
	ArrayType  *array = DatumGetArrayTypeP(constant->constvalue);
	Oid			type = ARR_ELEMTYPE(array);
	List	   *elements = NIL;
	int16		length;
	bool		by_value;
	char		alignment;
	Datum	   *values;
	bool	   *nulls;
	int			nvalues;

	get_typlenbyvalalign(type, &length, &by_value, &alignment);
	deconstruct_array(array, type, length, by_value, alignment, &values, &nulls, &nvalues);
	for (int i = 0; i < nvalues; i++)
		elements = lappend(elements, makeConst(type, -1, constant->constcollid, length,
											   values[i], nulls[i], by_value));
	return elements;
}
