/*-------------------------------------------------------------------------
 *
 * term.c
 *	  Compiling expressions to terms.
 *
 * What decides is the OID of each function, operator, type and collation.  An
 * expression without columns is an operand: it is evaluated here when the scan
 * starts, and sent as a constant.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"

#include "fdw/term_private.h"

/* Levels of documents and arrays; the server and the builder allow 100. */
#define MAX_DEPTH 60
#define MAX_COLUMN_DEPTH 40

/* Bytes of a constant; what is larger might not fit into a command. */
#define LARGEST_CONSTANT (256 * 1024)

static PnsTerm *compile_output(Expr *expr, const PnsTermContext *context);
static PnsTerm *compile_operand(Expr *expr, PnsTermCompiler *compiler);
static PnsTerm *compile_column(Var *var, const PnsTermContext *context);
static PnsTerm *compile_relabel(RelabelType *expr, PnsTermCompiler *compiler);
static PnsTerm *retyped(const PnsTerm *term, Oid type);
static PnsTerm *compile_function(Oid function, Oid collation, List *exprs,
								 PnsTermCompiler *compiler);
static bool divides_well(const PnsTerm *term);
static const PnsTermRule *find_rule(Oid function);
static void learn_args(PnsTerm *term);
static void add_column(PnsTerm *term, PnsTermColumn *column);

/*
 * pns_term_compile compiles an expression.  Allocates in the current context.
 */
PnsTerm *
pns_term_compile(Expr *expr, const PnsTermContext *context)
{
	PnsTermCompiler compiler = {.context = context};

	return pns_term_compile_part(expr, &compiler);
}

/*
 * pns_term_compile_part compiles a part of an expression whose value has to
 * be canonical.
 */
PnsTerm *
pns_term_compile_part(Expr *expr, PnsTermCompiler *compiler)
{
	PnsTerm    *term = pns_term_compile_bound(expr, compiler);

	if (term != NULL && term->kind == PNS_TERM_OPERAND &&
		!pns_term_operand_is_canonical(term))
		return NULL;
	return term;
}

/*
 * pns_term_compile_bound compiles one side of a comparison, which may be an
 * operand that lies between two canonical values.
 */
PnsTerm *
pns_term_compile_bound(Expr *expr, PnsTermCompiler *compiler)
{
	PnsTerm    *term;

	check_stack_depth();

	term = compile_output(expr, compiler->context);
	if (term != NULL)
		return term;
	if (pns_fdw_is_operand((Node *) expr))
		return compile_operand(expr, compiler);

	switch (nodeTag(expr))
	{
		case T_Var:
			term = compile_column((Var *) expr, compiler->context);
			if (term != NULL && !pns_term_column_is_canonical(term->column->column))
				term = NULL;
			break;
		case T_RelabelType:
			term = compile_relabel((RelabelType *) expr, compiler);
			break;
		case T_CaseTestExpr:
			term = compiler->case_test;
			break;
		case T_CollateExpr:
			term = pns_term_compile_part(((CollateExpr *) expr)->arg, compiler);
			break;
		case T_ScalarArrayOpExpr:
			term = pns_term_compile_in((ScalarArrayOpExpr *) expr, compiler);
			break;
		case T_FuncExpr:
			term = ((FuncExpr *) expr)->funcvariadic ? NULL :
				compile_function(((FuncExpr *) expr)->funcid,
								 ((FuncExpr *) expr)->inputcollid,
								 ((FuncExpr *) expr)->args, compiler);
			break;
		case T_CoerceViaIO:
			term = pns_term_compile_text_of((CoerceViaIO *) expr, compiler);
			break;
		case T_OpExpr:
			term = pns_term_compile_compare(((OpExpr *) expr)->opno, ((OpExpr *) expr)->inputcollid,
											((OpExpr *) expr)->args, compiler);
			if (term == NULL)
				term = compile_function(get_opcode(((OpExpr *) expr)->opno),
										((OpExpr *) expr)->inputcollid,
										((OpExpr *) expr)->args, compiler);
			break;
		default:
			term = pns_term_compile_logic(expr, compiler);
			break;
	}
	return term != NULL && term->depth <= MAX_DEPTH ? term : NULL;
}

/*
 * pns_term_compile_presence compiles an expression of which only matters
 * whether it is NULL.
 */
PnsTerm *
pns_term_compile_presence(Expr *expr, PnsTermCompiler *compiler)
{
	PnsTerm    *term = pns_term_compile_part(expr, compiler);

	if (term == NULL && IsA(expr, Var))
		term = compile_column((Var *) expr, compiler->context);
	return term;
}

/*
 * compile_output finds an expression among those whose values stand in fields.
 */
static PnsTerm *
compile_output(Expr *expr, const PnsTermContext *context)
{
	ListCell   *lc;

	foreach(lc, context->outputs)
	{
		PnsTermOutput *output = (PnsTermOutput *) lfirst(lc);

		if (equal(output->expr, expr))
		{
			PnsTerm    *term = pns_term_make(PNS_TERM_FIELD, exprType((Node *) expr), NIL);

			if (term->class == PNS_CLASS_NONE)
				return NULL;
			term->field = output->field;
			term->never_null = output->never_null;
			term->strict = false;
			term->depth = 1;
			return term;
		}
	}
	return NULL;
}

/*
 * compile_operand makes a term of an expression that is evaluated here.  What
 * PostgreSQL might not evaluate must not be able to fail: it has to be there
 * already.
 */
static PnsTerm *
compile_operand(Expr *expr, PnsTermCompiler *compiler)
{
	PnsTerm    *term = pns_term_make(PNS_TERM_OPERAND, exprType((Node *) expr), NIL);

	if (term->class == PNS_CLASS_NONE)
		return NULL;
	if (compiler->conditional && !IsA(expr, Const) && !IsA(expr, Param))
		return NULL;
	term->operand = expr;
	term->never_null = IsA(expr, Const) && !((Const *) expr)->constisnull;
	term->depth = 2;
	if (IsA(expr, Const) && ((Const *) expr)->constlen == -1)
		term->size = term->never_null ? toast_raw_datum_size(((Const *) expr)->constvalue) : 1;
	return term->size <= LARGEST_CONSTANT ? term : NULL;
}

/*
 * compile_column makes the term of a column if MongoDB can tell which values
 * fit.
 */
static PnsTerm *
compile_column(Var *var, const PnsTermContext *context)
{
	ListCell   *lc;

	if (var->varlevelsup != 0 || var->varattno <= 0)
		return NULL;

	foreach(lc, context->sources)
	{
		PnsTermSource *source = (PnsTermSource *) lfirst(lc);
		PnsTermColumn *column;

		if (source->varno != var->varno)
			continue;
		column = palloc(sizeof(PnsTermColumn));
		column->source = source;
		column->column = &source->table->columns[var->varattno - 1];
		if (!pns_term_column_is_known(column->column) ||
			pns_term_column_form(column)->depth > MAX_COLUMN_DEPTH)
			return NULL;
		return pns_term_column_value(column);
	}
	return NULL;
}

/*
 * compile_relabel looks through a relabelling that keeps the value: varchar
 * taken as text.
 */
static PnsTerm *
compile_relabel(RelabelType *expr, PnsTermCompiler *compiler)
{
	PnsTerm    *term = pns_term_compile_part(expr->arg, compiler);

	if (term == NULL || term->type == expr->resulttype)
		return term;
	if (expr->resulttype != TEXTOID || term->type != VARCHAROID)
		return NULL;
	return retyped(term, TEXTOID);
}

/*
 * retyped copies a term whose value is the same in another type.
 */
static PnsTerm *
retyped(const PnsTerm *term, Oid type)
{
	PnsTerm    *copy = memcpy(palloc(sizeof(PnsTerm)), term, sizeof(PnsTerm));

	copy->type = type;
	copy->class = pns_term_class(type);
	return copy;
}

/*
 * compile_function compiles a call of a function that has a rule.
 */
static PnsTerm *
compile_function(Oid function, Oid collation, List *exprs, PnsTermCompiler *compiler)
{
	const PnsTermRule *rule = find_rule(function);
	List	   *args = NIL;
	PnsTerm    *term;
	bool		fails;
	ListCell   *lc;

	if (rule == NULL)
	{
		term = pns_term_compile_date(function, exprs, compiler);
		return term != NULL ? term :
			pns_term_compile_string(function, collation, exprs, compiler);
	}

	foreach(lc, exprs)
	{
		PnsTerm    *arg = pns_term_compile_part((Expr *) lfirst(lc), compiler);

		if (arg == NULL)
			return NULL;
		args = lappend(args, arg);
	}
	fails = (rule->flags & PNS_RULE_FAILS) != 0;
	if ((rule->flags & PNS_RULE_DIVIDES) != 0 && divides_well((PnsTerm *) lsecond(args)))
		fails = false;
	return pns_term_make_call(rule->type, args, rule->template, fails,
							  (rule->flags & PNS_RULE_CHECKS_NULL) != 0);
}

/*
 * divides_well tells whether a term is an integer by which any other can be
 * divided: a constant other than 0, and -1, which is one too many for the
 * smallest of them.
 */
static bool
divides_well(const PnsTerm *term)
{
	PnsScalar	scalar;

	if (term->kind != PNS_TERM_OPERAND || !term->never_null)
		return false;
	(void) pns_term_operand_bound(term, ((Const *) term->operand)->constvalue, &scalar);
	return scalar.integer != 0 && scalar.integer != -1;
}

/*
 * find_rule finds the rule of a function, or NULL.
 */
static const PnsTermRule *
find_rule(Oid function)
{
	static const PnsTermRule *const tables[] = {
		pns_term_number_rules, pns_term_date_rules
	};

	for (int i = 0; i < lengthof(tables); i++)
	{
		for (const PnsTermRule *rule = tables[i]; OidIsValid(rule->function); rule++)
		{
			if (rule->function == function)
				return rule;
		}
	}
	return NULL;
}

/*
 * pns_term_make makes a term over arguments, from which it learns its columns,
 * and takes that it is strict.
 */
PnsTerm *
pns_term_make(PnsTermKind kind, Oid type, List *args)
{
	PnsTerm    *term = palloc0(sizeof(PnsTerm));

	term->kind = kind;
	term->type = type;
	term->class = pns_term_class(type);
	term->args = args;
	term->strict = true;
	term->has_strings = term->class == PNS_CLASS_TEXT || term->class == PNS_CLASS_ENUM;
	learn_args(term);
	return term;
}

/*
 * pns_term_make_call makes a term that a template says.  fails: it is null
 * where PostgreSQL raises an error.  checks_null: it is null where an argument
 * is.
 */
PnsTerm *
pns_term_make_call(Oid type, List *args, const char *template, bool fails, bool checks_null)
{
	PnsTerm    *term = pns_term_make(PNS_TERM_CALL, type, args);
	ListCell   *lc;

	if (strcmp(template, "#1") == 0)
		return retyped((PnsTerm *) linitial(args), type);
	term->template = template;
	term->checks_null = checks_null;
	term->fails = fails;
	term->may_fail = term->may_fail || fails;
	term->never_null = !fails;
	foreach(lc, args)
		term->never_null = term->never_null && ((PnsTerm *) lfirst(lc))->never_null;

	term->depth = pns_term_call_depth(term);
	return term;
}

/*
 * learn_args takes over what holds of a term because it holds of an argument.
 */
static void
learn_args(PnsTerm *term)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, term->args)
	{
		PnsTerm    *arg = (PnsTerm *) lfirst(lc);

		term->may_fail = term->may_fail || arg->may_fail;
		term->has_strings = term->has_strings || arg->has_strings;
		term->strict = term->strict && arg->strict;
		term->depth = Max(term->depth, arg->depth);
		foreach(lc2, arg->columns)
			add_column(term, (PnsTermColumn *) lfirst(lc2));
	}
}

/*
 * add_column adds a column to those that a term reads, unless it is there.
 */
static void
add_column(PnsTerm *term, PnsTermColumn *column)
{
	ListCell   *lc;

	foreach(lc, term->columns)
	{
		PnsTermColumn *other = (PnsTermColumn *) lfirst(lc);

		if (other->source == column->source && other->column == column->column)
			return;
	}
	term->columns = lappend(term->columns, column);
}

/*
 * pns_term_class gives the class of the values of a type; NONE where they have
 * no canonical form.
 */
PnsValueClass
pns_term_class(Oid type)
{
	PnsValueClass class = pns_fdw_type_class(type);

	switch (class)
	{
		case PNS_CLASS_TEXT:
		case PNS_CLASS_ENUM:
			return GetDatabaseEncoding() == PG_UTF8 ? class : PNS_CLASS_NONE;
		case PNS_CLASS_INT:
		case PNS_CLASS_FLOAT8:
		case PNS_CLASS_NUMERIC:
		case PNS_CLASS_BOOL:
		case PNS_CLASS_TIMESTAMP:
		case PNS_CLASS_DATE:
		case PNS_CLASS_OBJECTID:
			return class;
		default:
			return PNS_CLASS_NONE;
	}
}
