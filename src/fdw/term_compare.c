/*-------------------------------------------------------------------------
 *
 * term_compare.c
 *	  Comparisons in terms.
 *
 * MongoDB compares any two values: by their types first, null being the lowest,
 * and NaN the lowest number.  So a NULL must be kept out, and NaN put above all
 * other numbers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/pg_locale.h"

#include "fdw/term_private.h"

/* The dates that every server takes in a command: the years 1 to 9999. */
#define FIRST_DATE INT64CONST(-62135596800000)
#define LAST_DATE INT64CONST(253402300799999)

/* Levels around an argument of a comparison, at most. */
#define COMPARISON_DEPTH 9

/* A comparison whose operand is known. */
typedef struct Comparison
{
	PnsCompareOp op;
	PnsTerm    *left;
	PnsTerm    *right;
	bool		is_null;		/* NULL whatever left is */
	bool		is_decided;		/* "decision" for all values of left but NULL */
	bool		decision;
	bool		no_nan;			/* right is not NaN */
} Comparison;

/* The elements of an array that a value is looked for in. */
typedef struct Elements
{
	bool		is_known;
	bool		is_null;		/* the array itself */
	bool		is_empty;
	bool		has_null;
	List	   *scalars;		/* the others, of PnsScalar */
} Elements;

static bool sides_compare(const PnsTerm *left, const PnsTerm *right, PnsCompareOp op,
						  Oid collation);
static PnsTerm *label_number(PnsTerm *term);
static Comparison resolve(PnsTermWriter *writer, const PnsTerm *term, bool negate);
static void resolve_operand(Comparison *comparison, Datum value);
static const char *comparison_template(const Comparison *comparison, PnsValueClass class);
static const char *null_guard(const Comparison *comparison);
static Elements read_elements(PnsTermWriter *writer, const PnsTerm *term);

/*
 * pns_term_compile_compare compiles a comparison, or returns NULL where the
 * operator is none or MongoDB orders the values in another way.
 */
PnsTerm *
pns_term_compile_compare(Oid opno, Oid collation, List *exprs, PnsTermCompiler *compiler)
{
	PnsTerm    *left;
	PnsTerm    *right;
	PnsTerm    *term;
	PnsCompareOp op;
	Oid			left_type;
	Oid			right_type;

	if (list_length(exprs) != 2)
		return NULL;
	op_input_types(opno, &left_type, &right_type);
	if (!pns_fdw_comparison_of(opno, exprType((Node *) linitial(exprs)), &op))
		return NULL;

	left = pns_term_compile_bound((Expr *) linitial(exprs), compiler);
	right = left != NULL ? pns_term_compile_bound((Expr *) lsecond(exprs), compiler) : NULL;
	if (right == NULL || !sides_compare(left, right, op, collation))
		return NULL;
	if (left->class == PNS_CLASS_ENUM && op != PNS_EQ && op != PNS_NE)
	{
		left = label_number(left);
		right = label_number(right);
	}

	term = pns_term_make(PNS_TERM_COMPARE, BOOLOID, list_make2(left, right));
	term->op = op;
	term->never_null = left->never_null && right->never_null;
	term->depth += COMPARISON_DEPTH;
	return term;
}

/*
 * sides_compare tells whether MongoDB compares the two sides as PostgreSQL
 * does under a collation.
 */
static bool
sides_compare(const PnsTerm *left, const PnsTerm *right, PnsCompareOp op, Oid collation)
{
	switch (left->class)
	{
		case PNS_CLASS_TIMESTAMP:
		case PNS_CLASS_DATE:
			/* days and points in time compare by the session's time zone */
			return left->type == right->type ||
				(left->type == TIMESTAMPOID && right->type == DATEOID) ||
				(left->type == DATEOID && right->type == TIMESTAMPOID);
		case PNS_CLASS_ENUM:
			return left->type == right->type;
		case PNS_CLASS_TEXT:
			if (right->class != PNS_CLASS_TEXT)
				return false;
			return op == PNS_EQ || op == PNS_NE ?
				get_collation_isdeterministic(collation) : pns_collation_is_c(collation);
		default:
			return left->class == right->class;
	}
}

/*
 * label_number makes the place of an enum's value among its labels.
 */
static PnsTerm *
label_number(PnsTerm *term)
{
	PnsTerm    *labels = pns_term_make(PNS_TERM_LABELS, term->type, NIL);

	return pns_term_make_call(INT4OID, list_make2(term, labels),
							  "{$cond: [{$eq: [#1, null]}, null, {$indexOfArray: [#2, #1]}]}",
							  false, false);
}

/*
 * pns_term_write_compare appends a comparison.
 */
void
pns_term_write_compare(PnsTermWriter *writer, const char *key, const PnsTerm *term,
					   PnsTermTruth truth)
{
	Comparison	comparison;
	const char *template;
	const char *guard;

	comparison = resolve(writer, term, truth == PNS_TRUTH_FALSE);
	if (comparison.is_null)
		template = truth == PNS_TRUTH_VALUE ? "null" : "false";
	else if (comparison.is_decided)
		template = comparison.decision ? "true" : "false";
	else
		template = comparison_template(&comparison,
									   ((PnsTerm *) linitial(term->args))->class);

	if (!comparison.is_null && truth == PNS_TRUTH_VALUE)
	{
		guard = pns_term_null_check(list_make2(comparison.left, comparison.right));
		if (guard != NULL)
			template = psprintf("{$cond: [%s, null, %s]}", guard, template);
	}
	else if (!comparison.is_null)
	{
		guard = null_guard(&comparison);
		if (guard != NULL && comparison.is_decided)
			template = comparison.decision ? guard : "false";
		else if (guard != NULL)
			template = psprintf("{$and: [%s, %s]}", guard, template);
	}
	pns_term_write_template(writer, key, template,
							list_make2(comparison.left, comparison.right));
}

/*
 * resolve finds out what a comparison, or its negation, comes down to with the
 * value of an operand in it, which is brought to the right.
 */
static Comparison
resolve(PnsTermWriter *writer, const PnsTerm *term, bool negate)
{
	Comparison	comparison = {.op = term->op};
	Datum		value;
	bool		isnull;

	comparison.left = (PnsTerm *) linitial(term->args);
	comparison.right = (PnsTerm *) lsecond(term->args);
	if (comparison.left->kind == PNS_TERM_OPERAND)
	{
		comparison.left = (PnsTerm *) lsecond(term->args);
		comparison.right = (PnsTerm *) linitial(term->args);
		comparison.op = pns_fdw_commute(comparison.op);
	}
	if (negate)
		comparison.op = pns_fdw_negate(comparison.op);

	if (comparison.right->kind == PNS_TERM_OPERAND &&
		writer->operand_value(writer->state, comparison.right->operand, &value, &isnull))
	{
		if (isnull)
			comparison.is_null = true;
		else
			resolve_operand(&comparison, value);
	}
	return comparison;
}

/*
 * resolve_operand replaces the operand by its value.  What lies between two
 * values is greater than the lower one, and less than what is greater.
 */
static void
resolve_operand(Comparison *comparison, Datum value)
{
	PnsTerm    *literal = pns_term_make(PNS_TERM_LITERAL, comparison->right->type, NIL);
	PnsCompareOp op = comparison->op;
	PnsTermBound bound = pns_term_operand_bound(comparison->right, value, &literal->scalar);

	literal->never_null = true;
	if (bound == PNS_BOUND_ABOVE || bound == PNS_BOUND_BELOW)
	{
		comparison->is_decided = true;
		comparison->decision = op == PNS_NE ||
			(bound == PNS_BOUND_ABOVE ? op == PNS_LT || op == PNS_LE :
			 op == PNS_GT || op == PNS_GE);
	}
	else if (bound == PNS_BOUND_BETWEEN)
	{
		if (op == PNS_EQ || op == PNS_NE)
		{
			comparison->is_decided = true;
			comparison->decision = op == PNS_NE;
		}
		else if (op == PNS_LT)
			comparison->op = PNS_LE;
		else if (op == PNS_GE)
			comparison->op = PNS_GT;
	}

	if (bound != PNS_BOUND_ABOVE && bound != PNS_BOUND_BELOW &&
		literal->scalar.type == PNS_BSON_DATE &&
		(literal->scalar.integer < FIRST_DATE || literal->scalar.integer > LAST_DATE))
	{
		literal->scalar.type = PNS_BSON_INT64;
		comparison->left = pns_term_make_call(INT8OID, list_make1(comparison->left),
											  "{$subtract: [#1, EPOCH]}", false, false);
	}
	comparison->no_nan = literal->scalar.type == PNS_BSON_DOUBLE && !isnan(literal->scalar.number);
	comparison->right = literal;
}

/*
 * comparison_template makes the template of a comparison without regard to
 * NULL.
 */
static const char *
comparison_template(const Comparison *comparison, PnsValueClass class)
{
	static const char *const plain[] = {
		[PNS_LT] = "{$lt: [#1, #2]}",
		[PNS_LE] = "{$lte: [#1, #2]}",
		[PNS_EQ] = "{$eq: [#1, #2]}",
		[PNS_GE] = "{$gte: [#1, #2]}",
		[PNS_GT] = "{$gt: [#1, #2]}",
		[PNS_NE] = "{$ne: [#1, #2]}",
	};
	static const char *const with_number[] = {
		[PNS_LT] = "{$and: [{$ne: [#1, NaN]}, {$lt: [#1, #2]}]}",
		[PNS_LE] = "{$and: [{$ne: [#1, NaN]}, {$lte: [#1, #2]}]}",
		[PNS_EQ] = "{$eq: [#1, #2]}",
		[PNS_GE] = "{$or: [{$eq: [#1, NaN]}, {$gte: [#1, #2]}]}",
		[PNS_GT] = "{$or: [{$eq: [#1, NaN]}, {$gt: [#1, #2]}]}",
		[PNS_NE] = "{$ne: [#1, #2]}",
	};
	static const char *const with_nan[] = {
		[PNS_LT] = "{$and: [{$ne: [#1, NaN]}, {$or: [{$eq: [#2, NaN]}, {$lt: [#1, #2]}]}]}",
		[PNS_LE] = "{$or: [{$eq: [#2, NaN]}, {$and: [{$ne: [#1, NaN]}, {$lte: [#1, #2]}]}]}",
		[PNS_EQ] = "{$eq: [#1, #2]}",
		[PNS_GE] = "{$or: [{$eq: [#1, NaN]}, {$and: [{$ne: [#2, NaN]}, {$gte: [#1, #2]}]}]}",
		[PNS_GT] = "{$and: [{$ne: [#2, NaN]}, {$or: [{$eq: [#1, NaN]}, {$gt: [#1, #2]}]}]}",
		[PNS_NE] = "{$ne: [#1, #2]}",
	};

	if (class != PNS_CLASS_FLOAT8)
		return plain[comparison->op];
	return comparison->no_nan ? with_number[comparison->op] : with_nan[comparison->op];
}

/*
 * null_guard makes the template that keeps NULL from making a comparison true,
 * or NULL where none is needed: null is equal to nothing else, and below
 * everything.
 */
static const char *
null_guard(const Comparison *comparison)
{
	const char *left = comparison->left->never_null ? NULL : "{$ne: [#1, null]}";
	const char *right = comparison->right->never_null ? NULL : "{$ne: [#2, null]}";

	if (comparison->is_decided)
		return left;
	switch (comparison->op)
	{
		case PNS_LT:
		case PNS_LE:
			return left;
		case PNS_GT:
		case PNS_GE:
			return right;
		case PNS_EQ:
			return left != NULL && right != NULL ? left : NULL;
		case PNS_NE:
			if (left != NULL && right != NULL)
				return "{$ne: [#1, null]}, {$ne: [#2, null]}";
			return left != NULL ? left : right;
	}
	return NULL;
}

/* ---------- arrays ---------- */

/*
 * pns_term_compile_in compiles = ANY (array) and <> ALL (array) of an array
 * that is known, or evaluated here.
 */
PnsTerm *
pns_term_compile_in(ScalarArrayOpExpr *expr, PnsTermCompiler *compiler)
{
	Expr	   *array = (Expr *) lsecond(expr->args);
	PnsTerm    *left;
	PnsTerm    *element;
	PnsTerm    *term;
	PnsCompareOp op;
	Expr	   *expanded = pns_fdw_expand_array_test(expr);

	if (expanded != NULL)
		return pns_term_compile_part(expanded, compiler);
	if (!pns_fdw_is_operand((Node *) array) ||
		(compiler->conditional && !IsA(array, Const) && !IsA(array, Param)) ||
		!pns_fdw_comparison_of(expr->opno, exprType((Node *) linitial(expr->args)), &op) ||
		op != (expr->useOr ? PNS_EQ : PNS_NE))
		return NULL;

	left = pns_term_compile_part((Expr *) linitial(expr->args), compiler);
	element = pns_term_make(PNS_TERM_OPERAND, get_element_type(exprType((Node *) array)), NIL);
	if (left == NULL || !sides_compare(left, element, op, expr->inputcollid))
		return NULL;

	term = pns_term_make(PNS_TERM_IN, BOOLOID, list_make2(left, element));
	term->op = op;
	term->operand = array;
	term->depth += COMPARISON_DEPTH;
	return term;
}

/*
 * pns_term_write_in appends = ANY or <> ALL, each the negation of the other.
 * Nothing equals any element of an empty array, and everything, NULL too, is
 * apart from all of them.
 */
void
pns_term_write_in(PnsTermWriter *writer, const char *key, const PnsTerm *term,
				  PnsTermTruth truth)
{
	PnsTerm    *left = (PnsTerm *) linitial(term->args);
	PnsTerm    *array = (PnsTerm *) lsecond(term->args);
	bool		within = (term->op == PNS_EQ) == (truth != PNS_TRUTH_FALSE);
	const char *template;
	Elements	elements = read_elements(writer, term);

	array = pns_term_make(elements.is_known ? PNS_TERM_ARRAY : PNS_TERM_OPERAND,
						  array->type, NIL);
	array->operand = term->operand;
	array->scalars = elements.scalars;

	if (elements.is_null)
		template = truth == PNS_TRUTH_VALUE ? "null" : "false";
	else if (elements.is_empty)
		template = within ? "false" : "true";
	else if (truth == PNS_TRUTH_VALUE)
		template = psprintf("{$cond: [{$eq: [#1, null]}, null, {$cond: [{$in: [#1, #2]}, %s, %s]}]}",
							within ? "true" : "false",
							elements.has_null ? "null" : within ? "false" : "true");
	else if (within)
		template = "{$in: [#1, #2]}";
	else if (elements.has_null)
		template = "false";
	else
		template = "{$and: [{$ne: [#1, null]}, {$not: [{$in: [#1, #2]}]}]}";
	pns_term_write_template(writer, key, template, list_make2(left, array));
}

/*
 * read_elements reads the array of = ANY or <> ALL.  What has no canonical form
 * equals nothing that has one.
 */
static Elements
read_elements(PnsTermWriter *writer, const PnsTerm *term)
{
	const PnsTerm *element = (PnsTerm *) lsecond(term->args);
	Elements	elements = {0};
	ArrayType  *array;
	Datum		value;
	Datum	   *values;
	bool	   *nulls;
	int			nvalues;
	int16		length;
	bool		by_value;
	char		alignment;

	elements.is_known = writer->operand_value(writer->state, term->operand, &value,
											  &elements.is_null);
	if (!elements.is_known || elements.is_null)
	{
		elements.is_null = elements.is_known;
		return elements;
	}

	array = DatumGetArrayTypeP(value);
	get_typlenbyvalalign(element->type, &length, &by_value, &alignment);
	deconstruct_array(array, element->type, length, by_value, alignment,
					  &values, &nulls, &nvalues);
	elements.is_empty = nvalues == 0;
	for (int i = 0; i < nvalues; i++)
	{
		PnsScalar	scalar;

		if (nulls[i])
			elements.has_null = true;
		else if (pns_term_operand_bound(element, values[i], &scalar) == PNS_BOUND_VALUE)
			(void) pns_add_point(&elements.scalars, scalar);
	}
	return elements;
}
