/*-------------------------------------------------------------------------
 *
 * term_logic.c
 *	  Boolean logic, NULL tests and conditional expressions in terms.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"

#include "fdw/term_private.h"

static PnsTerm *compile_bool(BoolExpr *expr, PnsTermCompiler *compiler);
static PnsTerm *compile_null_test(NullTest *expr, PnsTermCompiler *compiler);
static PnsTerm *compile_truth_test(BooleanTest *expr, PnsTermCompiler *compiler);
static PnsTerm *make_test(PnsTerm *arg, const char *template);

/*
 * pns_term_compile_logic compiles the expressions that are not strict.
 */
PnsTerm *
pns_term_compile_logic(Expr *expr, PnsTermCompiler *compiler)
{
	switch (nodeTag(expr))
	{
		case T_BoolExpr:
			return compile_bool((BoolExpr *) expr, compiler);
		case T_NullTest:
			return compile_null_test((NullTest *) expr, compiler);
		case T_BooleanTest:
			return compile_truth_test((BooleanTest *) expr, compiler);
		default:
			return NULL;
	}
}

/*
 * compile_bool compiles AND, OR and NOT.
 */
static PnsTerm *
compile_bool(BoolExpr *expr, PnsTermCompiler *compiler)
{
	PnsTerm    *term;
	List	   *args = NIL;
	ListCell   *lc;

	foreach(lc, expr->args)
	{
		PnsTerm    *arg = pns_term_compile_part((Expr *) lfirst(lc), compiler);

		if (arg == NULL)
			return NULL;
		args = lappend(args, arg);
	}

	term = pns_term_make(expr->boolop == AND_EXPR ? PNS_TERM_AND :
						 expr->boolop == OR_EXPR ? PNS_TERM_OR : PNS_TERM_NOT,
						 BOOLOID, args);
	term->never_null = true;
	foreach(lc, args)
		term->never_null = term->never_null && ((PnsTerm *) lfirst(lc))->never_null;
	if (expr->boolop != NOT_EXPR)
		term->strict = false;
	term->depth += 10;
	return term;
}

/*
 * compile_null_test compiles IS [NOT] NULL.
 */
static PnsTerm *
compile_null_test(NullTest *expr, PnsTermCompiler *compiler)
{
	PnsTerm    *arg = pns_term_compile_part(expr->arg, compiler);

	if (arg == NULL || expr->argisrow)
		return NULL;
	return make_test(arg, expr->nulltesttype == IS_NULL ?
					 "{$eq: [#1, null]}" : "{$ne: [#1, null]}");
}

/*
 * compile_truth_test compiles IS [NOT] TRUE, FALSE and UNKNOWN.
 */
static PnsTerm *
compile_truth_test(BooleanTest *expr, PnsTermCompiler *compiler)
{
	static const char *const templates[] = {
		[IS_TRUE] = "?1",
		[IS_NOT_TRUE] = "{$not: [?1]}",
		[IS_FALSE] = "!1",
		[IS_NOT_FALSE] = "{$not: [!1]}",
		[IS_UNKNOWN] = "{$eq: [#1, null]}",
		[IS_NOT_UNKNOWN] = "{$ne: [#1, null]}",
	};
	PnsTerm    *arg = pns_term_compile_part(expr->arg, compiler);

	return arg != NULL ? make_test(arg, templates[expr->booltesttype]) : NULL;
}

/*
 * make_test makes a call that is never null.
 */
static PnsTerm *
make_test(PnsTerm *arg, const char *template)
{
	PnsTerm    *term = pns_term_make_call(BOOLOID, list_make1(arg), template, false, false);

	term->never_null = true;
	term->strict = false;
	return term;
}
