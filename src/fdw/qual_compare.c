/*-------------------------------------------------------------------------
 *
 * qual_compare.c
 *	  Columns compared with what does not depend on the row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "nodes/nodeFuncs.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/pg_locale.h"

#include "fdw/qual.h"

/* Bytes; as a filter it takes a few times as much, or many, for a uuid. */
#define SMALL_VALUE_SIZE (256 * 1024)
#define SMALL_UUID_ARRAY_SIZE (4 * 1024)

static const PnsTableColumn *compared_column(Node *node, Oid *type, PnsQualContext *context);
static bool is_small_value(Node *node, Size limit);

/*
 * pns_qual_compile_op compiles a comparison of a column with something that does not
 * depend on the row.
 */
PnsQual *
pns_qual_compile_op(OpExpr *expr, bool truth, PnsQualContext *context)
{
	const PnsTableColumn *column;
	Node	   *left;
	Node	   *right;
	PnsCompareOp op;
	PnsQual    *qual;
	bool		commuted;
	Oid			type;
	Oid			left_type;
	Oid			right_type;

	if (list_length(expr->args) != 2)
		return NULL;
	qual = pns_qual_compile_match(get_opcode(expr->opno), expr->inputcollid, expr->args, truth, context);
	if (qual != NULL)
		return qual;
	left = (Node *) linitial(expr->args);
	right = (Node *) lsecond(expr->args);

	column = compared_column(left, &type, context);
	commuted = column == NULL;
	if (commuted)
	{
		Node	   *swap = left;

		left = right;
		right = swap;
		column = compared_column(left, &type, context);
	}
	if (column == NULL || !pns_fdw_is_operand(right) ||
		!pns_fdw_comparison_of(expr->opno, type, &op))
		return NULL;

	op_input_types(expr->opno, &left_type, &right_type);
	if (commuted)
		op = pns_fdw_commute(op);
	if (!truth)
		op = pns_fdw_negate(op);

	qual = pns_qual_make(PNS_QUAL_COMPARE, column);
	qual->op = op;
	qual->operand = (Expr *) right;
	qual->operand_type = commuted ? left_type : right_type;
	if (!pns_fdw_comparison_ships(column, op, qual->operand_type, expr->inputcollid))
		return NULL;
	qual->exact = pns_fdw_comparison_is_exact(column, op) && is_small_value(right, SMALL_VALUE_SIZE);
	return qual;
}

/*
 * pns_qual_compile_match compiles LIKE, ILIKE, regular expressions and starts_with, by
 * the functions that they are.
 */
PnsQual *
pns_qual_compile_match(Oid function, Oid collation, List *args, bool truth, PnsQualContext *context)
{
	static const struct
	{
		Oid			function;
		PnsMatchKind match;
		bool		negated;
		bool		folds;
	}			functions[] = {
		{F_TEXTLIKE, PNS_MATCH_LIKE, false, false},
		{F_TEXTNLIKE, PNS_MATCH_LIKE, true, false},
		{F_TEXTICLIKE, PNS_MATCH_ILIKE, false, true},
		{F_TEXTICNLIKE, PNS_MATCH_ILIKE, true, true},
		{F_TEXTREGEXEQ, PNS_MATCH_REGEX, false, false},
		{F_TEXTREGEXNE, PNS_MATCH_REGEX, true, false},
		{F_TEXTICREGEXEQ, PNS_MATCH_IREGEX, false, true},
		{F_TEXTICREGEXNE, PNS_MATCH_IREGEX, true, true},
		{F_STARTS_WITH, PNS_MATCH_PREFIX, false, false},
	};
	const PnsTableColumn *column;
	Node	   *pattern;
	PnsQual    *qual;
	PnsPattern	unused;
	int			i = 0;

	while (i < lengthof(functions) && functions[i].function != function)
		i++;
	if (i == lengthof(functions) || list_length(args) != 2)
		return NULL;
	column = pns_qual_column_of((Node *) linitial(args), context);
	pattern = (Node *) lsecond(args);
	if (column == NULL || pns_fdw_value_class(column) != PNS_CLASS_TEXT ||
		column->base_type == NAMEOID || !pns_fdw_is_operand(pattern) ||
		GetDatabaseEncoding() != PG_UTF8 || !OidIsValid(collation) ||
		!get_collation_isdeterministic(collation) ||
		(functions[i].folds && !pns_collation_has_c_case(collation)))
		return NULL;

	qual = pns_qual_make(PNS_QUAL_MATCH, column);
	qual->match = functions[i].match;
	qual->truth = functions[i].negated != truth;
	qual->is_c = pns_collation_has_c_case(collation);
	qual->operand = (Expr *) pattern;
	if (IsA(pattern, Const) && ((Const *) pattern)->constisnull)
		qual->exact = true;
	else if (IsA(pattern, Const))
	{
		if (!is_small_value(pattern, SMALL_VALUE_SIZE) ||
			!pns_pattern_translate(qual, ((Const *) pattern)->constvalue, &unused))
			return NULL;
		qual->exact = pns_fdw_fits_exactly(column);
	}
	else if (qual->match == PNS_MATCH_REGEX || qual->match == PNS_MATCH_IREGEX)
		return NULL;
	return qual;
}

/*
 * pns_qual_compile_in compiles column = ANY (array) and column <> ALL (array), which
 * are each other's negation.
 */
PnsQual *
pns_qual_compile_in(ScalarArrayOpExpr *expr, bool truth, PnsQualContext *context)
{
	const PnsTableColumn *column;
	Node	   *array = (Node *) lsecond(expr->args);
	PnsCompareOp op;
	PnsQual    *qual;
	Oid			type;
	Oid			left_type;
	Oid			right_type;

	column = compared_column((Node *) linitial(expr->args), &type, context);
	if (column == NULL || !pns_fdw_is_operand(array) ||
		!pns_fdw_comparison_of(expr->opno, type, &op) ||
		op != (expr->useOr ? PNS_EQ : PNS_NE))
		return NULL;

	if (!truth)
		op = pns_fdw_negate(op);
	op_input_types(expr->opno, &left_type, &right_type);

	qual = pns_qual_make(op == PNS_EQ ? PNS_QUAL_IN : PNS_QUAL_NOT_IN, column);
	qual->op = op;
	qual->operand = (Expr *) array;
	qual->operand_type = right_type;
	if (!pns_fdw_comparison_ships(column, op, right_type, expr->inputcollid))
		return NULL;
	qual->exact = pns_fdw_comparison_is_exact(column, op) && IsA(array, Const) &&
		is_small_value(array, qual->class == PNS_CLASS_UUID ?
					   SMALL_UUID_ARRAY_SIZE : SMALL_VALUE_SIZE);
	return qual;
}

/*
 * compared_column returns the column that an expression is, or NULL, and the
 * type that it is compared as: an integer may stand as a number of a type that
 * holds each of its values.
 */
static const PnsTableColumn *
compared_column(Node *node, Oid *type, PnsQualContext *context)
{
	const PnsTableColumn *column = NULL;
	FuncExpr   *cast = (FuncExpr *) node;

	if (IsA(node, FuncExpr))
	{
		switch (cast->funcid)
		{
			case F_NUMERIC_INT2:
			case F_NUMERIC_INT4:
			case F_NUMERIC_INT8:
			case F_FLOAT8_INT2:
			case F_FLOAT8_INT4:
				column = pns_qual_column_of(linitial(cast->args), context);
				*type = cast->funcresulttype;
				break;
			default:
				break;
		}
		return column;
	}

	column = pns_qual_column_of(node, context);
	if (column != NULL)
		*type = column->base_type;
	return column;
}

/*
 * is_small_value tells whether a value, as far as it is known, fits into a
 * command.  One that does not is not sent, and so has to be looked at here.
 */
static bool
is_small_value(Node *node, Size limit)
{
	Const	   *value = (Const *) node;

	return !IsA(node, Const) || value->constisnull || value->constlen != -1 ||
		toast_raw_datum_size(value->constvalue) <= limit;
}

/*
 * pns_qual_column_of returns the column that an expression is, or NULL where it is
 * none or one that MongoDB cannot name.
 *
 * Looks through relabelling that keeps the meaning of a comparison: a domain
 * taken as its base type, varchar taken as text.  text taken as char(n) would
 * compare by other rules, so it does not count.
 */
const PnsTableColumn *
pns_qual_column_of(Node *node, PnsQualContext *context)
{
	const PnsTableColumn *column;
	Oid			type = exprType(node);
	Var		   *var;

	while (IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	if (!IsA(node, Var))
		return NULL;

	var = (Var *) node;
	if (var->varno != context->varno || var->varlevelsup != 0 || var->varattno <= 0)
		return NULL;

	column = &context->table->columns[var->varattno - 1];
	if (column->native == NULL)
		return NULL;
	if (type != column->codec.type && type != column->base_type &&
		!(type == TEXTOID && column->base_type == VARCHAROID))
		return NULL;
	return column;
}
