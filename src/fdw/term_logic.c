/*-------------------------------------------------------------------------
 *
 * term_logic.c
 *	  Boolean logic, NULL tests and conditional expressions in terms.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/pg_locale.h"

#include "fdw/term_private.h"

/* Levels around an argument of AND, OR and CASE, at most. */
#define LOGIC_DEPTH 8

static PnsTerm *compile_bool(BoolExpr *expr, PnsTermCompiler *compiler);
static PnsTerm *compile_null_test(NullTest *expr, PnsTermCompiler *compiler);
static PnsTerm *compile_truth_test(BooleanTest *expr, PnsTermCompiler *compiler);
static PnsTerm *make_test(PnsTerm *arg, const char *template);
static PnsTerm *compile_distinct(DistinctExpr *expr, PnsTermCompiler *compiler);
static PnsTerm *compile_nullif(NullIfExpr *expr, PnsTermCompiler *compiler);
static PnsTerm *compile_case(CaseExpr *expr, PnsTermCompiler *compiler);
static bool compile_arms(CaseExpr *expr, PnsTermCompiler *compiler, List **args);
static PnsTerm *compile_coalesce(CoalesceExpr *expr, PnsTermCompiler *compiler);
static PnsTerm *compile_min_max(MinMaxExpr *expr, PnsTermCompiler *compiler);
static List *compile_all(List *exprs, Oid type, PnsTermCompiler *compiler);

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
		case T_DistinctExpr:
			return compile_distinct((DistinctExpr *) expr, compiler);
		case T_NullIfExpr:
			return compile_nullif((NullIfExpr *) expr, compiler);
		case T_CaseExpr:
			return compile_case((CaseExpr *) expr, compiler);
		case T_CoalesceExpr:
			return compile_coalesce((CoalesceExpr *) expr, compiler);
		case T_MinMaxExpr:
			return compile_min_max((MinMaxExpr *) expr, compiler);
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
	List	   *args = compile_all(expr->args, BOOLOID, compiler);
	PnsTerm    *term;
	ListCell   *lc;

	if (args == NIL)
		return NULL;
	term = pns_term_make(expr->boolop == AND_EXPR ? PNS_TERM_AND :
						 expr->boolop == OR_EXPR ? PNS_TERM_OR : PNS_TERM_NOT,
						 BOOLOID, args);
	term->never_null = true;
	foreach(lc, args)
		term->never_null = term->never_null && ((PnsTerm *) lfirst(lc))->never_null;
	if (expr->boolop != NOT_EXPR)
		term->strict = false;
	term->depth += LOGIC_DEPTH;
	return term;
}

/*
 * compile_null_test compiles IS [NOT] NULL.
 */
static PnsTerm *
compile_null_test(NullTest *expr, PnsTermCompiler *compiler)
{
	PnsTerm    *arg = pns_term_compile_presence(expr->arg, compiler);

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

/*
 * compile_distinct compiles IS DISTINCT FROM, which NULL is a value for: as it
 * is for MongoDB.
 */
static PnsTerm *
compile_distinct(DistinctExpr *expr, PnsTermCompiler *compiler)
{
	PnsTerm    *comparison = pns_term_compile_compare(expr->opno, expr->inputcollid,
													  expr->args, compiler);
	List	   *args = comparison != NULL ? compile_all(expr->args, InvalidOid, compiler) : NIL;
	PnsTerm    *term;

	/* the operator is equality */
	if (args == NIL || comparison->op != PNS_EQ)
		return NULL;
	term = pns_term_make_call(BOOLOID, args, "{$ne: [#1, #2]}", false, false);
	term->never_null = true;
	term->strict = false;
	return term;
}

/*
 * compile_nullif compiles NULLIF.
 */
static PnsTerm *
compile_nullif(NullIfExpr *expr, PnsTermCompiler *compiler)
{
	PnsTerm    *value = pns_term_compile_part((Expr *) linitial(expr->args), compiler);
	PnsTerm    *comparison = pns_term_compile_compare(expr->opno, expr->inputcollid,
													  expr->args, compiler);
	PnsTerm    *term;

	if (value == NULL || comparison == NULL || value->type != expr->opresulttype)
		return NULL;
	term = pns_term_make_call(value->type, list_make2(value, comparison),
							  "{$cond: [?2, null, #1]}", false, false);
	term->never_null = false;
	term->strict = false;
	return term;
}

/*
 * compile_case compiles CASE.  Where it has a test, that is compared in each
 * condition.
 */
static PnsTerm *
compile_case(CaseExpr *expr, PnsTermCompiler *compiler)
{
	PnsTerm    *outer_test = compiler->case_test;
	bool		outer_conditional = compiler->conditional;
	List	   *args = NIL;
	PnsTerm    *term;
	bool		compiled;

	if (expr->arg != NULL)
	{
		compiler->case_test = pns_term_compile_part(expr->arg, compiler);
		if (compiler->case_test == NULL)
		{
			compiler->case_test = outer_test;
			return NULL;
		}
	}
	compiled = compile_arms(expr, compiler, &args);
	compiler->case_test = outer_test;
	compiler->conditional = outer_conditional;
	if (!compiled)
		return NULL;

	term = pns_term_make(PNS_TERM_CASE, expr->casetype, args);
	term->never_null = ((PnsTerm *) llast(args))->never_null;
	for (int i = 1; i < list_length(args); i += 2)
		term->never_null = term->never_null && ((PnsTerm *) list_nth(args, i))->never_null;
	term->strict = false;
	term->depth += LOGIC_DEPTH;
	return term;
}

/*
 * compile_arms compiles the conditions and values of CASE.  False where one
 * cannot be.  Only the first condition is evaluated whatever happens.
 */
static bool
compile_arms(CaseExpr *expr, PnsTermCompiler *compiler, List **args)
{
	PnsValueClass class = pns_term_class(expr->casetype);
	PnsTerm    *value;
	ListCell   *lc;

	foreach(lc, expr->args)
	{
		CaseWhen   *when = lfirst_node(CaseWhen, lc);
		PnsTerm    *condition = pns_term_compile_part(when->expr, compiler);

		compiler->conditional = true;
		value = condition != NULL ? pns_term_compile_part(when->result, compiler) : NULL;
		if (value == NULL || value->class != class)
			return false;
		*args = lappend(lappend(*args, condition), value);
	}

	value = pns_term_compile_part(expr->defresult, compiler);
	*args = lappend(*args, value);
	return value != NULL && value->class == class;
}

/*
 * compile_coalesce compiles COALESCE.
 */
static PnsTerm *
compile_coalesce(CoalesceExpr *expr, PnsTermCompiler *compiler)
{
	bool		outer_conditional = compiler->conditional;
	List	   *args = NIL;
	PnsTerm    *term;
	ListCell   *lc;

	foreach(lc, expr->args)
	{
		List	   *arg = compile_all(list_make1(lfirst(lc)), expr->coalescetype, compiler);

		compiler->conditional = true;
		if (arg == NIL)
		{
			compiler->conditional = outer_conditional;
			return NULL;
		}
		if (lnext(expr->args, lc) != NULL)
			args = lappend(args, make_test((PnsTerm *) linitial(arg), "{$ne: [#1, null]}"));
		args = list_concat(args, arg);
	}
	compiler->conditional = outer_conditional;
	if (list_length(args) == 1)
		return (PnsTerm *) linitial(args);

	/* CASE WHEN a IS NOT NULL THEN a WHEN ... ELSE last */
	term = pns_term_make(PNS_TERM_CASE, expr->coalescetype, args);
	term->never_null = ((PnsTerm *) llast(args))->never_null;
	term->strict = false;
	term->depth += LOGIC_DEPTH;
	return term;
}

/*
 * compile_min_max compiles GREATEST and LEAST, which leave NULLs out as $max
 * and $min do.  NaN, the lowest number there, is the highest here.
 */
static PnsTerm *
compile_min_max(MinMaxExpr *expr, PnsTermCompiler *compiler)
{
	bool		greatest = expr->op == IS_GREATEST;
	PnsValueClass class = pns_term_class(expr->minmaxtype);
	List	   *args = compile_all(expr->args, expr->minmaxtype, compiler);
	StringInfoData names;
	StringInfoData numbers;
	PnsTerm    *term;

	if (args == NIL || list_length(args) > PNS_TEMPLATE_ARGS || class == PNS_CLASS_ENUM ||
		(class == PNS_CLASS_TEXT && !pns_collation_is_c(expr->inputcollid)))
		return NULL;

	initStringInfo(&names);
	initStringInfo(&numbers);
	for (int i = 1; i <= list_length(args); i++)
	{
		appendStringInfo(&names, "%s#%d", i > 1 ? ", " : "", i);
		appendStringInfo(&numbers, "%s{$cond: [{$eq: [#%d, NaN]}, null, #%d]}",
						 i > 1 ? ", " : "", i, i);
	}
	term = pns_term_make_call(expr->minmaxtype, args,
							  class != PNS_CLASS_FLOAT8 ?
							  psprintf(greatest ? "{$max: [%s]}" : "{$min: [%s]}", names.data) :
							  greatest ?
							  psprintf("{$cond: [{$in: [NaN, [%s]]}, NaN, {$max: [%s]}]}",
									   names.data, names.data) :
							  psprintf("{$ifNull: [{$min: [%s]}, {$cond: [{$in: [NaN, [%s]]}, NaN, null]}]}",
									   numbers.data, names.data),
							  false, false);
	term->strict = false;
	return term;
}

/*
 * compile_all compiles expressions to values of the class of a type, or of any
 * with InvalidOid.  NIL where one cannot be.
 */
static List *
compile_all(List *exprs, Oid type, PnsTermCompiler *compiler)
{
	List	   *terms = NIL;
	ListCell   *lc;

	foreach(lc, exprs)
	{
		PnsTerm    *term = pns_term_compile_part((Expr *) lfirst(lc), compiler);

		if (term == NULL || (OidIsValid(type) && term->class != pns_term_class(type)))
			return NIL;
		terms = lappend(terms, term);
	}
	return terms;
}
