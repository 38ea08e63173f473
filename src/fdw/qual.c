/*-------------------------------------------------------------------------
 *
 * qual.c
 *	  Which conditions can be said to MongoDB.
 *
 * A condition is compiled into a PnsQual, a tree in negation normal form
 * whose every node stands for "is true" of PostgreSQL's three-valued logic.
 * What it selects there is the same as here (exact), or more (a superset,
 * which is checked again here); where neither can be had there is no PnsQual.
 * The planner compiles to learn what can be shipped, the executor compiles
 * the same expression again to send it: that it can be done was settled by
 * the OIDs of operators, types and collations and does not depend on values.
 *
 * That a value does not fit its column makes it NULL here; a comparison is
 * not true of it, and a comparison that is shipped never asks for more.  But
 * where such a value is an error, what is true of a NULL has to find it: it
 * is selected, and raises the error when it is decoded (checked).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/pg_locale.h"

#include "fdw/qual.h"
#include "fdw/term.h"

/* Levels of AND and OR; MongoDB refuses some 50 of them. */
#define MAX_DEPTH 30

/* Levels of documents and arrays; MongoDB and PnsBsonBuilder take 100. */
#define MAX_NESTING 85

static PnsQual *compile(Expr *expr, bool truth, PnsQualContext *context);
static PnsQual *compile_native(Expr *expr, bool truth, PnsQualContext *context);
static PnsQual *compile_term(Expr *expr, bool truth, PnsQualContext *context);
static PnsQual *compile_const(Const *constant, bool truth);
static PnsQual *compile_bool(BoolExpr *expr, bool truth, PnsQualContext *context);
static PnsQual *compile_and(List *args, bool truth, PnsQualContext *context);
static PnsQual *compile_or(List *args, bool truth, PnsQualContext *context);
static PnsQual *compile_column(Var *var, bool truth, PnsQualContext *context);
static bool contains_placeholder(Node *node, void *arg);
static PnsQual *compile_null(NullTest *expr, bool truth, PnsQualContext *context);
static PnsQual *compile_truth(BooleanTest *expr, bool truth, PnsQualContext *context);
static PnsQual *compile_unknown(Expr *expr, bool truth, PnsQualContext *context);
static PnsQual *compile_distinct(DistinctExpr *expr, bool truth, PnsQualContext *context);
static PnsQual *make_join(PnsQualKind kind, PnsQual *left, PnsQual *right);
static PnsQual *make_operand_qual(PnsQualKind kind, Expr *operand, bool truth);
static PnsQual *make_null_qual(const PnsTableColumn *column, bool is_null);
static PnsQual *make_not_true(PnsQual *qual);
static Bitmapset *strict_columns(const PnsQual *qual);

/*
 * pns_fdw_compile_qual compiles a condition on one table, or returns NULL
 * where it cannot be shipped.  varno is the table's place in the query.
 */
PnsQual *
pns_fdw_compile_qual(Expr *expr, const PnsTable *table, Index varno)
{
	PnsQualContext context = {.table = table,.varno = varno};

	context.takes_terms = pns_fdw_pushes(table, PNS_PUSH_EXPRESSION);
	return compile(expr, true, &context);
}

/*
 * pns_fdw_compile_planned_qual compiles a condition that a plan ships, whatever
 * the settings have become since it was made.
 */
PnsQual *
pns_fdw_compile_planned_qual(Expr *expr, const PnsTable *table, Index varno)
{
	PnsQualContext context = {.table = table,.varno = varno,.takes_terms = true};

	return compile(expr, true, &context);
}

/*
 * pns_fdw_misfit_qual selects, among others, every value that does not fit its
 * column: all that are not certain to, other than null.  NULL where that cannot
 * be said.
 */
PnsQual *
pns_fdw_misfit_qual(const PnsTableColumn *column)
{
	PnsQual    *qual = pns_qual_make(PNS_QUAL_AND, NULL);
	PnsQual    *uncertain;

	if (column->native == NULL)
		return NULL;
	uncertain = make_null_qual(column, true);
	if (uncertain == NULL)
		return NULL;
	qual->args = list_make2(uncertain, make_null_qual(column, false));
	return qual;
}

/*
 * pns_fdw_is_operand tells whether an expression has one value for the whole
 * scan: it names no column and no volatile function, and means the same where
 * it stands alone.  It is evaluated here when the scan starts, as for an index
 * scan of PostgreSQL.
 */
bool
pns_fdw_is_operand(Node *node)
{
	return !contain_var_clause(node) && !contains_placeholder(node, NULL) &&
		!contain_volatile_functions(node) && !contain_subplans(node);
}

/*
 * contains_placeholder tells whether an expression has in it what takes its
 * value from around it: a CASE's test, the value that a domain checks, an
 * aggregate.
 */
static bool
contains_placeholder(Node *node, void *arg)
{
	if (node == NULL)
		return false;

	switch (nodeTag(node))
	{
		case T_CaseTestExpr:
		case T_CoerceToDomainValue:
		case T_Aggref:
		case T_GroupingFunc:
		case T_WindowFunc:
		case T_PlaceHolderVar:
			return true;
		default:
			return expression_tree_walker(node, contains_placeholder, arg);
	}
}

/*
 * compile compiles "expr is true" or, with truth false, "expr is false": in
 * the query language, which indexes serve, or else in that of aggregations.
 */
static PnsQual *
compile(Expr *expr, bool truth, PnsQualContext *context)
{
	PnsQual    *qual;
	Expr	   *expanded;

	check_stack_depth();

	if (IsA(expr, ScalarArrayOpExpr) && !pns_fdw_is_operand((Node *) expr))
	{
		expanded = pns_fdw_expand_array_test((ScalarArrayOpExpr *) expr);
		if (expanded != NULL)
			return compile(expanded, truth, context);
	}
	qual = compile_native(expr, truth, context);
	if (qual == NULL && truth)
		qual = pns_fdw_compile_member(expr, context->table, context->varno);
	return qual != NULL ? qual : compile_term(expr, truth, context);
}

/*
 * compile_native compiles to the query language.
 */
static PnsQual *
compile_native(Expr *expr, bool truth, PnsQualContext *context)
{
	if (!IsA(expr, Const) && pns_fdw_is_operand((Node *) expr))
		return make_operand_qual(PNS_QUAL_OPERAND, expr, truth);

	switch (nodeTag(expr))
	{
		case T_Const:
			return compile_const((Const *) expr, truth);
		case T_BoolExpr:
			return compile_bool((BoolExpr *) expr, truth, context);
		case T_Var:
			return compile_column((Var *) expr, truth, context);
		case T_OpExpr:
			return pns_qual_compile_op((OpExpr *) expr, truth, context);
		case T_FuncExpr:
			return pns_qual_compile_match(((FuncExpr *) expr)->funcid, ((FuncExpr *) expr)->inputcollid,
										  ((FuncExpr *) expr)->args, truth, context);
		case T_ScalarArrayOpExpr:
			return pns_qual_compile_in((ScalarArrayOpExpr *) expr, truth, context);
		case T_NullTest:
			return compile_null((NullTest *) expr, truth, context);
		case T_BooleanTest:
			return compile_truth((BooleanTest *) expr, truth, context);
		case T_DistinctExpr:
			return compile_distinct((DistinctExpr *) expr, truth, context);
		default:
			return NULL;
	}
}

/*
 * compile_term compiles to a term.  It selects what it is true of and, where
 * PostgreSQL might raise an error, what may be the reason for it.
 *
 * Of a strict term nothing else is: it is not true where a value does not fit,
 * be that an error or NULL.
 */
static PnsQual *
compile_term(Expr *expr, bool truth, PnsQualContext *context)
{
	PnsTermSource *source = palloc0(sizeof(PnsTermSource));
	PnsTermContext *terms = palloc0(sizeof(PnsTermContext));
	PnsTerm    *term;
	PnsQual    *qual;
	ListCell   *lc;

	if (!context->takes_terms)
		return NULL;
	source->varno = context->varno;
	source->table = context->table;
	source->prefix = "";
	terms->sources = list_make1(source);
	if (!truth)
		expr = make_notclause(expr);
	term = pns_term_compile(expr, terms);
	if (term == NULL || term->depth + 2 * context->depth > MAX_NESTING)
		return NULL;

	qual = pns_qual_make(PNS_QUAL_EXPR, NULL);
	qual->term = term;
	qual->exact = !term->may_fail;
	foreach(lc, term->columns)
	{
		if (!term->strict && pns_term_column_may_misfit((PnsTermColumn *) lfirst(lc)))
			qual->exact = false;
	}
	return qual;
}

/*
 * compile_const compiles a condition that the planner has worked out.  A NULL
 * is neither true nor false.
 */
static PnsQual *
compile_const(Const *constant, bool truth)
{
	PnsQual    *qual = pns_qual_make(PNS_QUAL_CONST, NULL);

	qual->exact = true;
	qual->truth = !constant->constisnull &&
		DatumGetBool(constant->constvalue) == truth;
	return qual;
}

/*
 * compile_bool compiles AND, OR and NOT; "not true" of a NOT is "true" of
 * what it negates, and AND and OR change places.  What is nested deeper than a
 * server can be relied on to take is evaluated here.
 */
static PnsQual *
compile_bool(BoolExpr *expr, bool truth, PnsQualContext *context)
{
	PnsQual    *qual;

	if (expr->boolop == NOT_EXPR)
		return compile((Expr *) linitial(expr->args), !truth, context);
	if (context->depth >= MAX_DEPTH)
		return NULL;

	context->depth++;
	if ((expr->boolop == AND_EXPR) == truth)
		qual = compile_and(expr->args, truth, context);
	else
		qual = compile_or(expr->args, truth, context);
	context->depth--;
	return qual;
}

/*
 * compile_and compiles a conjunction.  What cannot be shipped is left out:
 * the rest selects more, which is checked here.
 */
static PnsQual *
compile_and(List *args, bool truth, PnsQualContext *context)
{
	PnsQual    *qual = pns_qual_make(PNS_QUAL_AND, NULL);
	ListCell   *lc;

	qual->exact = true;
	foreach(lc, args)
	{
		PnsQual    *arg = compile((Expr *) lfirst(lc), truth, context);

		qual->exact = qual->exact && arg != NULL && arg->exact;
		if (arg == NULL)
			continue;
		qual->args = lappend(qual->args, arg);
		qual->checked = bms_add_members(qual->checked, arg->checked);
	}

	return qual->args != NIL ? qual : NULL;
}

/*
 * compile_or compiles a disjunction, which needs all of its arms.
 */
static PnsQual *
compile_or(List *args, bool truth, PnsQualContext *context)
{
	PnsQual    *qual = pns_qual_make(PNS_QUAL_OR, NULL);
	ListCell   *lc;

	qual->exact = true;
	foreach(lc, args)
	{
		PnsQual    *arg = compile((Expr *) lfirst(lc), truth, context);

		if (arg == NULL)
			return NULL;
		qual->args = lappend(qual->args, arg);
		qual->exact = qual->exact && arg->exact;
		qual->checked = bms_add_members(qual->checked, arg->checked);
	}

	return qual;
}

/*
 * compile_column compiles a boolean column that stands as a condition.
 */
static PnsQual *
compile_column(Var *var, bool truth, PnsQualContext *context)
{
	const PnsTableColumn *column = pns_qual_column_of((Node *) var, context);
	PnsQual    *qual;

	if (column == NULL || pns_fdw_value_class(column) != PNS_CLASS_BOOL)
		return NULL;

	qual = pns_qual_make(PNS_QUAL_BOOL, column);
	qual->truth = truth;
	qual->exact = pns_fdw_comparison_is_exact(column, PNS_EQ);
	return qual;
}

/*
 * compile_null compiles IS [NOT] NULL of a column, or of a condition.
 */
static PnsQual *
compile_null(NullTest *expr, bool truth, PnsQualContext *context)
{
	const PnsTableColumn *column = pns_qual_column_of((Node *) expr->arg, context);
	bool		is_null = (expr->nulltesttype == IS_NULL) == truth;

	if (expr->argisrow)
		return NULL;
	if (column != NULL)
		return make_null_qual(column, is_null);
	if (exprType((Node *) expr->arg) == BOOLOID)
		return compile_unknown(expr->arg, is_null, context);
	return NULL;
}

/*
 * compile_truth compiles IS [NOT] TRUE, FALSE and UNKNOWN of a condition,
 * which are never NULL themselves.
 */
static PnsQual *
compile_truth(BooleanTest *expr, bool truth, PnsQualContext *context)
{
	switch (expr->booltesttype)
	{
		case IS_UNKNOWN:
		case IS_NOT_UNKNOWN:
			return compile_unknown(expr->arg, (expr->booltesttype == IS_UNKNOWN) == truth,
								   context);
		case IS_TRUE:
		case IS_NOT_TRUE:
			if ((expr->booltesttype == IS_TRUE) == truth)
				return compile(expr->arg, true, context);
			return make_not_true(compile(expr->arg, true, context));
		case IS_FALSE:
		case IS_NOT_FALSE:
			if ((expr->booltesttype == IS_FALSE) == truth)
				return compile(expr->arg, false, context);
			return make_not_true(compile(expr->arg, false, context));
	}
	return NULL;
}

/*
 * compile_unknown compiles that a condition is unknown, or, with truth false,
 * that it is true or false.  For the latter, nothing would look for values
 * that have to be errors.
 */
static PnsQual *
compile_unknown(Expr *expr, bool truth, PnsQualContext *context)
{
	const PnsTableColumn *column = pns_qual_column_of((Node *) expr, context);
	PnsQual    *when_true;
	PnsQual    *when_false;

	if (column != NULL)
		return make_null_qual(column, truth);

	when_true = compile(expr, true, context);
	when_false = compile(expr, false, context);
	if (when_true == NULL || when_false == NULL)
		return NULL;

	if (truth)
		return make_join(PNS_QUAL_AND, make_not_true(when_true), make_not_true(when_false));
	if (!bms_is_empty(strict_columns(when_true)))
		return NULL;
	return make_join(PNS_QUAL_OR, when_true, when_false);
}

/*
 * compile_distinct compiles IS [NOT] DISTINCT FROM of a column and something
 * that does not depend on the row, and which may turn out to be NULL.
 */
static PnsQual *
compile_distinct(DistinctExpr *expr, bool truth, PnsQualContext *context)
{
	PnsQual    *equal = pns_qual_compile_op((OpExpr *) expr, true, context);
	PnsQual    *null;

	if (equal == NULL || equal->kind != PNS_QUAL_COMPARE || equal->op != PNS_EQ)
		return NULL;
	if (IsA(equal->operand, Const) && !((Const *) equal->operand)->constisnull)
		return truth ? make_not_true(equal) : equal;

	null = make_null_qual(equal->column, !truth);
	if (truth)
		return make_join(PNS_QUAL_AND, make_not_true(equal),
						 make_join(PNS_QUAL_OR, null,
								   make_operand_qual(PNS_QUAL_OPERAND_NULL, equal->operand,
													 false)));
	return make_join(PNS_QUAL_OR, equal,
					 make_join(PNS_QUAL_AND, null,
							   make_operand_qual(PNS_QUAL_OPERAND_NULL, equal->operand, true)));
}

/*
 * make_join joins two conditions by AND or OR, or returns NULL where one of
 * them could not be made.
 */
static PnsQual *
make_join(PnsQualKind kind, PnsQual *left, PnsQual *right)
{
	PnsQual    *qual;

	if (left == NULL || right == NULL)
		return NULL;

	qual = pns_qual_make(kind, NULL);
	qual->args = list_make2(left, right);
	qual->exact = left->exact && right->exact;
	qual->checked = bms_union(left->checked, right->checked);
	return qual;
}

/*
 * make_operand_qual makes a condition that does not depend on the row.
 */
static PnsQual *
make_operand_qual(PnsQualKind kind, Expr *operand, bool truth)
{
	PnsQual    *qual = pns_qual_make(kind, NULL);

	qual->operand = operand;
	qual->truth = truth;
	qual->exact = true;
	return qual;
}

/*
 * pns_qual_make makes a node about a column (or about none), a superset until
 * somebody knows better.
 */
PnsQual *
pns_qual_make(PnsQualKind kind, const PnsTableColumn *column)
{
	PnsQual    *qual = palloc0(sizeof(PnsQual));

	qual->kind = kind;
	qual->column = column;
	qual->class = column != NULL ? pns_fdw_value_class(column) : PNS_CLASS_NONE;
	return qual;
}

/*
 * make_null_qual makes IS [NOT] NULL, or returns NULL where MongoDB cannot
 * tell any value that is certainly not NULL here.
 */
static PnsQual *
make_null_qual(const PnsTableColumn *column, bool is_null)
{
	PnsQual    *qual = pns_qual_make(is_null ? PNS_QUAL_NULL : PNS_QUAL_NOT_NULL, column);
	const PnsValueRules *rules = pns_fdw_value_rules(qual->class);
	bool		is_domain = column->codec.type != column->base_type;
	PnsBounds	unbounded = {false, false};
	bool		all;

	if (is_null && (is_domain || rules->fits == NULL ||
					rules->fits(column, unbounded, &all).kind == PNS_FILTER_NONE))
		return NULL;

	qual->exact = pns_fdw_fits_exactly(column);
	if (!column->codec.null_on_mismatch)
	{
		/* whatever is not NULL either fits, or is an error */
		if (!is_null && !is_domain)
			qual->exact = true;
		qual->checked = bms_make_singleton(column->codec.attnum);
	}
	return qual;
}

/*
 * make_not_true makes "is not true" of a condition, or returns NULL where
 * that cannot be told: it needs to be exact.
 */
static PnsQual *
make_not_true(PnsQual *qual)
{
	PnsQual    *not_true;

	if (qual == NULL || !qual->exact)
		return NULL;

	not_true = pns_qual_make(PNS_QUAL_NOT_TRUE, NULL);
	not_true->args = list_make1(qual);
	not_true->exact = true;
	not_true->checked = strict_columns(qual);
	return not_true;
}

/*
 * strict_columns finds the columns in a condition whose misfits are errors.
 */
static Bitmapset *
strict_columns(const PnsQual *qual)
{
	Bitmapset  *columns = NULL;
	ListCell   *lc;

	if (qual->column != NULL && !qual->column->codec.null_on_mismatch)
		columns = bms_make_singleton(qual->column->codec.attnum);
	foreach(lc, qual->args)
		columns = bms_join(columns, strict_columns((PnsQual *) lfirst(lc)));
	return columns;
}
