/*-------------------------------------------------------------------------
 *
 * term_append.c
 *	  Terms as documents.
 *
 * The columns of a term are bound to variables first, so that each is read
 * and checked once; so is an argument that is needed twice.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "fdw/term_private.h"

/* What is asked of a term. */
typedef enum TermMode
{
	MODE_VALUE,
	MODE_TRUE,					/* a bool, never null */
	MODE_MAYBE,					/* the same, and true where an error is due */
	MODE_RAISES					/* whether one is */
} TermMode;

static void append_whole(PnsTermWriter *writer, const char *key, const PnsTerm *term, TermMode mode);
static void append_maybe(PnsTermWriter *writer, const char *key, const PnsTerm *term);
static void append_raises(PnsTermWriter *writer, const char *key, const PnsTerm *term);
static int	append_failures(PnsTermWriter *writer, const PnsTerm *term, int n);
static bool decides_safely(const PnsTerm *term);
static void append_failure(PnsTermWriter *writer, const char *key, const PnsTerm *term);
static int	append_misfits(PnsTermWriter *writer, const PnsTerm *term, int n);
static void append_variable(PnsTermWriter *writer, const char *key, const PnsTermColumn *column);
static void append_operand(PnsTermWriter *writer, const char *key, const PnsTerm *term);
static void append_case(PnsTermWriter *writer, const char *key, const PnsTerm *term);
static void append_switch(PnsTermWriter *writer, const char *key, const PnsTerm *term,
						  void (*append_value) (PnsTermWriter *writer, const char *key,
												const PnsTerm *value));
static void append_three_valued(PnsTermWriter *writer, const char *key, const PnsTerm *term);
static void append_all(PnsTermWriter *writer, const char *key, const PnsTerm *term, bool truth);
static void append_not(PnsTermWriter *writer, const char *key, const PnsTerm *term);

/*
 * pns_term_append appends the value of a term.
 */
void
pns_term_append(PnsBsonBuilder *builder, const char *key, const PnsTerm *term,
				PnsOperandValue operand_value, void *state)
{
	PnsTermWriter writer = {.builder = builder,.operand_value = operand_value,.state = state};

	append_whole(&writer, key, term, MODE_VALUE);
}

/*
 * pns_term_append_true appends whether a boolean term is true.
 */
void
pns_term_append_true(PnsBsonBuilder *builder, const char *key, const PnsTerm *term,
					 PnsOperandValue operand_value, void *state)
{
	PnsTermWriter writer = {.builder = builder,.operand_value = operand_value,.state = state};

	append_whole(&writer, key, term, MODE_TRUE);
}

/*
 * pns_term_append_maybe appends whether a boolean term is true, or has to be
 * looked at here for the error that it raises.
 */
void
pns_term_append_maybe(PnsBsonBuilder *builder, const char *key, const PnsTerm *term,
					  PnsOperandValue operand_value, void *state)
{
	PnsTermWriter writer = {.builder = builder,.operand_value = operand_value,.state = state};

	append_whole(&writer, key, term, MODE_MAYBE);
}

/*
 * pns_term_may_raise tells whether evaluating a term here, or reading its
 * columns, can raise an error.
 */
bool
pns_term_may_raise(const PnsTerm *term)
{
	ListCell   *lc;

	foreach(lc, term->columns)
	{
		if (pns_term_column_may_misfit((PnsTermColumn *) lfirst(lc)))
			return true;
	}
	return term->may_fail;
}

/*
 * pns_term_fails_exactly tells whether MongoDB can tell where a term fails:
 * PostgreSQL evaluates all of it, but for the values of a CASE.
 */
bool
pns_term_fails_exactly(const PnsTerm *term)
{
	ListCell   *lc;

	if (!term->may_fail)
		return true;
	if (term->kind == PNS_TERM_AND || term->kind == PNS_TERM_OR ||
		(term->kind == PNS_TERM_CASE && !decides_safely(term)))
		return false;
	foreach(lc, term->args)
	{
		if (!pns_term_fails_exactly((PnsTerm *) lfirst(lc)))
			return false;
	}
	return true;
}

/*
 * pns_term_append_raises appends whether a term's evaluation here raises an
 * error.
 */
void
pns_term_append_raises(PnsBsonBuilder *builder, const char *key, const PnsTerm *term,
					   PnsOperandValue operand_value, void *state)
{
	PnsTermWriter writer = {.builder = builder,.operand_value = operand_value,.state = state};

	append_whole(&writer, key, term, MODE_RAISES);
}

/*
 * append_whole binds the columns of a term and appends it.  A column that
 * stands alone needs no variable.
 */
static void
append_whole(PnsTermWriter *writer, const char *key, const PnsTerm *term, TermMode mode)
{
	bool		binds = term->columns != NIL &&
	(term->kind != PNS_TERM_COLUMN || mode != MODE_VALUE);
	int			n = 0;
	ListCell   *lc;

	key = pstrdup(key);			/* it may be pns_bson_index's */
	if (binds)
	{
		pns_bson_open_document(writer->builder, key);
		pns_bson_open_document(writer->builder, "$let");
		pns_bson_open_document(writer->builder, "vars");
		foreach(lc, term->columns)
		{
			char	   *name = psprintf("c%d", n++);

			pns_term_write(writer, name, pns_term_column_value((PnsTermColumn *) lfirst(lc)));
		}
		pns_bson_close(writer->builder);
		writer->columns = term->columns;
		key = "in";
	}

	if (mode == MODE_VALUE)
		pns_term_write(writer, key, term);
	else if (mode == MODE_TRUE)
		pns_term_write_truth(writer, key, term, true);
	else if (mode == MODE_MAYBE)
		append_maybe(writer, key, term);
	else
		append_raises(writer, key, term);

	if (binds)
	{
		pns_bson_close(writer->builder);
		pns_bson_close(writer->builder);
	}
}

/*
 * append_maybe appends { $or: [ the term is true, errors ... ] }.
 */
static void
append_maybe(PnsTermWriter *writer, const char *key, const PnsTerm *term)
{
	int			n = 1;

	pns_bson_open_document(writer->builder, key);
	pns_bson_open_array(writer->builder, "$or");
	pns_term_write_truth(writer, "0", term, true);
	n = append_failures(writer, term, n);
	if (!term->strict)
		append_misfits(writer, term, n);
	pns_bson_close(writer->builder);
	pns_bson_close(writer->builder);
}

/*
 * append_raises appends { $or: [ errors ... ] }.
 */
static void
append_raises(PnsTermWriter *writer, const char *key, const PnsTerm *term)
{
	int			n;

	pns_bson_open_document(writer->builder, key);
	pns_bson_open_array(writer->builder, "$or");
	n = append_failures(writer, term, 0);
	append_misfits(writer, term, n);
	pns_bson_close(writer->builder);
	pns_bson_close(writer->builder);
}

/*
 * append_failures appends, from number n, that a call is null whose arguments
 * are not.  Of those that PostgreSQL would not evaluate the ones in a CASE do not
 * count, unless one of its conditions can fail, and those in AND and OR do.
 * Returns the next number.
 */
static int
append_failures(PnsTermWriter *writer, const PnsTerm *term, int n)
{
	ListCell   *lc;

	if (term->kind == PNS_TERM_CASE && term->may_fail && decides_safely(term))
	{
		append_switch(writer, pns_bson_index(n++), term, append_failure);
		return n;
	}
	if (term->kind == PNS_TERM_CALL && term->fails)
	{
		int			narg = 1;

		pns_bson_open_document(writer->builder, pns_bson_index(n++));
		pns_bson_open_array(writer->builder, "$and");
		pns_term_write_template(writer, "0", "{$eq: [#1, null]}", list_make1((void *) term));
		foreach(lc, term->args)
		{
			if (!((PnsTerm *) lfirst(lc))->never_null)
				pns_term_write_template(writer, pstrdup(pns_bson_index(narg++)),
										"{$ne: [#1, null]}", list_make1(lfirst(lc)));
		}
		pns_bson_close(writer->builder);
		pns_bson_close(writer->builder);
	}
	foreach(lc, term->args)
	{
		const PnsTerm *arg = (PnsTerm *) lfirst(lc);

		if (arg->may_fail)
			n = append_failures(writer, arg, n);
	}
	return n;
}

/*
 * decides_safely tells whether no condition of a CASE can fail.
 */
static bool
decides_safely(const PnsTerm *term)
{
	for (int i = 0; i + 1 < list_length(term->args); i += 2)
	{
		if (((PnsTerm *) list_nth(term->args, i))->may_fail)
			return false;
	}
	return list_length(term->args) > 1;
}

/*
 * append_failure appends whether a term fails.
 */
static void
append_failure(PnsTermWriter *writer, const char *key, const PnsTerm *term)
{
	if (!term->may_fail)
	{
		pns_bson_append_bool(writer->builder, key, false);
		return;
	}
	pns_bson_open_document(writer->builder, key);
	pns_bson_open_array(writer->builder, "$or");
	append_failures(writer, term, 0);
	pns_bson_close(writer->builder);
	pns_bson_close(writer->builder);
}

/*
 * append_misfits appends, from number n, that a column is NULL for the reason
 * that its value does not fit, where that is an error.  Returns the next
 * number.
 */
static int
append_misfits(PnsTermWriter *writer, const PnsTerm *term, int n)
{
	ListCell   *lc;

	foreach(lc, term->columns)
	{
		const PnsTermColumn *column = (PnsTermColumn *) lfirst(lc);

		if (pns_term_column_may_misfit(column))
			pns_term_write(writer, pstrdup(pns_bson_index(n++)), pns_term_column_misfit(column));
	}
	return n;
}

/*
 * pns_term_write appends the value of a term.
 */
void
pns_term_write(PnsTermWriter *writer, const char *key, const PnsTerm *term)
{
	check_stack_depth();

	switch (term->kind)
	{
		case PNS_TERM_COLUMN:
			append_variable(writer, key, term->column);
			break;
		case PNS_TERM_RAW:
			pns_term_write_path(writer, key, term->column);
			break;
		case PNS_TERM_FIELD:
			pns_bson_append_cstring(writer->builder, key, psprintf("$%s", term->field));
			break;
		case PNS_TERM_OPERAND:
			append_operand(writer, key, term);
			break;
		case PNS_TERM_LITERAL:
			pns_term_append_literal(writer->builder, key, term->scalar);
			break;
		case PNS_TERM_ARRAY:
			pns_term_append_array(writer->builder, key, term->scalars);
			break;
		case PNS_TERM_LABELS:
			pns_term_append_labels(writer->builder, key, term->type);
			break;
		case PNS_TERM_CALL:
			pns_term_write_call(writer, key, term);
			break;
		case PNS_TERM_COMPARE:
			pns_term_write_compare(writer, key, term, PNS_TRUTH_VALUE);
			break;
		case PNS_TERM_IN:
			pns_term_write_in(writer, key, term, PNS_TRUTH_VALUE);
			break;
		case PNS_TERM_CASE:
			append_case(writer, key, term);
			break;
		case PNS_TERM_AND:
		case PNS_TERM_OR:
			append_three_valued(writer, key, term);
			break;
		case PNS_TERM_NOT:
			append_not(writer, key, term);
			break;
	}
}

/*
 * pns_term_write_truth appends whether a boolean term is truth; NULL is
 * neither true nor false.
 */
void
pns_term_write_truth(PnsTermWriter *writer, const char *key, const PnsTerm *term, bool truth)
{
	check_stack_depth();

	switch (term->kind)
	{
		case PNS_TERM_COMPARE:
			pns_term_write_compare(writer, key, term, truth ? PNS_TRUTH_TRUE : PNS_TRUTH_FALSE);
			break;
		case PNS_TERM_IN:
			pns_term_write_in(writer, key, term, truth ? PNS_TRUTH_TRUE : PNS_TRUTH_FALSE);
			break;
		case PNS_TERM_AND:
		case PNS_TERM_OR:
			append_all(writer, key, term, truth);
			break;
		case PNS_TERM_NOT:
			pns_term_write_truth(writer, key, (PnsTerm *) linitial(term->args), !truth);
			break;
		default:
			pns_term_write_template(writer, key,
									!term->never_null ?
									(truth ? "{$eq: [#1, true]}" : "{$eq: [#1, false]}") :
									truth ? "#1" : "{$not: [#1]}",
									list_make1((void *) term));
			break;
	}
}

/*
 * append_variable appends a column's value: its variable, or, where none is
 * bound, what makes it.
 */
static void
append_variable(PnsTermWriter *writer, const char *key, const PnsTermColumn *column)
{
	int			n = 0;
	ListCell   *lc;

	foreach(lc, writer->columns)
	{
		const PnsTermColumn *bound = (PnsTermColumn *) lfirst(lc);

		if (bound->source == column->source && bound->column == column->column)
		{
			pns_bson_append_cstring(writer->builder, key, psprintf("$$c%d", n));
			return;
		}
		n++;
	}
	pns_term_write(writer, key, pns_term_column_form(column));
}

/*
 * append_operand appends an operand's value, or a placeholder while it has
 * none.
 */
static void
append_operand(PnsTermWriter *writer, const char *key, const PnsTerm *term)
{
	PnsScalar	scalar;
	Datum		value;
	bool		isnull;

	if (!writer->operand_value(writer->state, term->operand, &value, &isnull))
	{
		pns_bson_open_document(writer->builder, key);
		pns_bson_append_int32(writer->builder, "$param",
							  IsA(term->operand, Param) ?
							  ((Param *) term->operand)->paramid + 1 : 0);
		pns_bson_close(writer->builder);
	}
	else if (isnull)
		pns_bson_append_null(writer->builder, key);
	else
	{
		(void) pns_term_operand_bound(term, value, &scalar);
		pns_term_append_literal(writer->builder, key, scalar);
	}
}

/*
 * append_case appends CASE.  The planner leaves a COALESCE of one argument
 * where the others are known to be NULL.
 */
static void
append_case(PnsTermWriter *writer, const char *key, const PnsTerm *term)
{
	if (list_length(term->args) == 1)
		pns_term_write(writer, key, (PnsTerm *) linitial(term->args));
	else
		append_switch(writer, key, term, pns_term_write);
}

/*
 * append_switch appends what append_value says of the value that a CASE decides
 * for.
 */
static void
append_switch(PnsTermWriter *writer, const char *key, const PnsTerm *term,
			  void (*append_value) (PnsTermWriter *writer, const char *key, const PnsTerm *value))
{
	PnsBsonBuilder *builder = writer->builder;
	int			n = list_length(term->args) / 2;

	pns_bson_open_document(builder, key);
	pns_bson_open_document(builder, "$switch");
	pns_bson_open_array(builder, "branches");
	for (int i = 0; i < n; i++)
	{
		pns_bson_open_document(builder, pns_bson_index(i));
		pns_term_write_truth(writer, "case", (PnsTerm *) list_nth(term->args, 2 * i), true);
		append_value(writer, "then", (PnsTerm *) list_nth(term->args, 2 * i + 1));
		pns_bson_close(builder);
	}
	pns_bson_close(builder);
	append_value(writer, "default", (PnsTerm *) llast(term->args));
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * append_three_valued appends the value of AND or OR: false (true) where an
 * argument is, else null where one is.
 */
static void
append_three_valued(PnsTermWriter *writer, const char *key, const PnsTerm *term)
{
	bool		decisive = term->kind == PNS_TERM_OR;
	int			n = 0;
	PnsTerm		list = {.kind = PNS_TERM_FIELD,.field = "$b"};
	ListCell   *lc;

	if (term->never_null)
	{
		append_all(writer, key, term, true);
		return;
	}

	pns_bson_open_document(writer->builder, key);
	pns_bson_open_document(writer->builder, "$let");
	pns_bson_open_document(writer->builder, "vars");
	pns_bson_open_array(writer->builder, "b");
	foreach(lc, term->args)
		pns_term_write(writer, pstrdup(pns_bson_index(n++)), (PnsTerm *) lfirst(lc));
	pns_bson_close(writer->builder);
	pns_bson_close(writer->builder);
	pns_term_write_template(writer, "in",
							decisive ?
							"{$cond: [{$in: [true, #1]}, true, {$cond: [{$in: [null, #1]}, null, false]}]}" :
							"{$cond: [{$in: [false, #1]}, false, {$cond: [{$in: [null, #1]}, null, true]}]}",
							list_make1(&list));
	pns_bson_close(writer->builder);
	pns_bson_close(writer->builder);
}

/*
 * append_all appends whether AND or OR is truth: whether all, or any, of the
 * arguments are.
 */
static void
append_all(PnsTermWriter *writer, const char *key, const PnsTerm *term, bool truth)
{
	int			n = 0;
	ListCell   *lc;

	pns_bson_open_document(writer->builder, key);
	pns_bson_open_array(writer->builder, (term->kind == PNS_TERM_AND) == truth ? "$and" : "$or");
	foreach(lc, term->args)
		pns_term_write_truth(writer, pstrdup(pns_bson_index(n++)), (PnsTerm *) lfirst(lc), truth);
	pns_bson_close(writer->builder);
	pns_bson_close(writer->builder);
}

/*
 * append_not appends the value of NOT.
 */
static void
append_not(PnsTermWriter *writer, const char *key, const PnsTerm *term)
{
	pns_term_write_template(writer, key,
							term->never_null ? "{$not: [#1]}" :
							"{$cond: [{$eq: [#1, null]}, null, {$not: [#1]}]}",
							term->args);
}
