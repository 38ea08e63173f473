/*-------------------------------------------------------------------------
 *
 * term_string.c
 *	  Functions of text in terms.
 *
 * Both sides count the characters of UTF-8 strings by their code points.  Case
 * is changed where the collation says that only ASCII letters have one, as
 * MongoDB takes it; substrings are looked for byte by byte, as under every
 * collation that is deterministic.
 *
 * MongoDB makes no string of 16 MB or more: an error that PostgreSQL knows
 * nothing of.  So what might become that long is measured first, and is null
 * where it would be: it is computed here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/pg_locale.h"

#include "fdw/term_private.h"

/* Bytes; a little less than the longest string that a server makes. */
#define LONGEST_STRING 16000000

/* Bytes of a character of UTF-8, and of the digits of an int8. */
#define CHARACTER_SIZE 4
#define INTEGER_SIZE 20

/* What a function asks of its call. */
#define NEEDS_C_CASE 0x01		/* only ASCII letters have upper and lower
								 * case */
#define NEEDS_DETERMINISTIC 0x02	/* equal strings have the same bytes */
#define NEEDS_SECOND 0x04		/* the second argument is a constant, not
								 * empty */
#define KEEPS_SIZE 0x08			/* the result is no longer than the first
								 * argument */

typedef struct StringRule
{
	Oid			function;
	Oid			type;			/* of the result */
	int			flags;
	const char *template;
} StringRule;

static PnsTerm *compile_rule(const StringRule *rule, Oid collation, List *exprs,
							 PnsTermCompiler *compiler);
static PnsTerm *compile_concat(List *exprs, bool skips_null, PnsTermCompiler *compiler);
static PnsTerm *or_empty(PnsTerm *arg);
static PnsTerm *compile_replace(List *exprs, PnsTermCompiler *compiler);
static PnsTerm *compile_substring(List *exprs, PnsTermCompiler *compiler);
static int	size_of_part(int size, const PnsTerm *characters);
static PnsTerm *compile_split(List *exprs, PnsTermCompiler *compiler);
static PnsTerm *make_string(List *args, const char *template, bool fails, int64 size);
static List *compile_args(List *exprs, PnsTermCompiler *compiler);
static Expr *known_type(Expr *expr);
static bool constant_text(const PnsTerm *term, int *size);
static bool constant_int(const PnsTerm *term, int32 *value);

/* The position of a string in another, from 1; servers differ over none. */
#define POSITION \
	"{$cond: [{$eq: [#2, '']}, 1, {$add: [{$indexOfCP: [#1, #2]}, 1]}]}"
#define BEGINS \
	"{$cond: [{$eq: [#2, '']}, true, {$eq: [{$indexOfCP: [#1, #2]}, 0]}]}"

/* All but some characters at the end, or at the beginning, below zero. */
#define LEFT \
	"{$substrCP: [#1, 0, {$cond: [{$gte: [#2, 0]}, #2, " \
	"{$max: [0, {$add: [{$strLenCP: #1}, #2]}]}]}]}"
#define RIGHT \
	"{$substrCP: [#1, {$min: [{$strLenCP: #1}, {$cond: [{$gte: [#2, 0]}, " \
	"{$max: [0, {$subtract: [{$strLenCP: #1}, #2]}]}, {$subtract: [0, #2]}]}]}, {$strLenCP: #1}]}"

/* The functions that a template says, closed by one without a function. */
static const StringRule string_rules[] = {
	{F_LENGTH_TEXT, INT4OID, 0, "{$strLenCP: #1}"},
	{F_CHAR_LENGTH_TEXT, INT4OID, 0, "{$strLenCP: #1}"},
	{F_CHARACTER_LENGTH_TEXT, INT4OID, 0, "{$strLenCP: #1}"},
	{F_TEXTLEN, INT4OID, 0, "{$strLenCP: #1}"},
	{F_OCTET_LENGTH_TEXT, INT4OID, 0, "{$strLenBytes: #1}"},
	{F_STRPOS, INT4OID, NEEDS_DETERMINISTIC, POSITION},
	{F_POSITION_TEXT_TEXT, INT4OID, NEEDS_DETERMINISTIC, POSITION},
	{F_STARTS_WITH, BOOLOID, NEEDS_DETERMINISTIC, BEGINS},
	{F_LOWER_TEXT, TEXTOID, NEEDS_C_CASE | KEEPS_SIZE, "{$toLower: #1}"},
	{F_UPPER_TEXT, TEXTOID, NEEDS_C_CASE | KEEPS_SIZE, "{$toUpper: #1}"},
	{F_LEFT, TEXTOID, KEEPS_SIZE, LEFT},
	{F_RIGHT, TEXTOID, KEEPS_SIZE, RIGHT},
	{F_BTRIM_TEXT, TEXTOID, KEEPS_SIZE, "{$trim: {input: #1, chars: ' '}}"},
	{F_LTRIM_TEXT, TEXTOID, KEEPS_SIZE, "{$ltrim: {input: #1, chars: ' '}}"},
	{F_RTRIM_TEXT, TEXTOID, KEEPS_SIZE, "{$rtrim: {input: #1, chars: ' '}}"},
	{F_BTRIM_TEXT_TEXT, TEXTOID, NEEDS_SECOND | KEEPS_SIZE, "{$trim: {input: #1, chars: #2}}"},
	{F_LTRIM_TEXT_TEXT, TEXTOID, NEEDS_SECOND | KEEPS_SIZE, "{$ltrim: {input: #1, chars: #2}}"},
	{F_RTRIM_TEXT_TEXT, TEXTOID, NEEDS_SECOND | KEEPS_SIZE, "{$rtrim: {input: #1, chars: #2}}"},
	{F_TEXT_NAME, TEXTOID, KEEPS_SIZE, "#1"},
	{F_TEXT_BOOL, TEXTOID, 0, "{$cond: [#1, 'true', 'false']}"},
	{InvalidOid}
};

/*
 * pns_term_compile_string compiles a call of a function of text.
 */
PnsTerm *
pns_term_compile_string(Oid function, Oid collation, List *exprs, PnsTermCompiler *compiler)
{
	switch (function)
	{
		case F_TEXTCAT:
			return compile_concat(exprs, false, compiler);
		case F_CONCAT:
			return compile_concat(exprs, true, compiler);
		case F_REPLACE:
			if (!OidIsValid(collation) || !get_collation_isdeterministic(collation))
				return NULL;
			return compile_replace(exprs, compiler);
		case F_SPLIT_PART:
			if (!OidIsValid(collation) || !get_collation_isdeterministic(collation))
				return NULL;
			return compile_split(exprs, compiler);
		case F_SUBSTR_TEXT_INT4:
		case F_SUBSTR_TEXT_INT4_INT4:
		case F_SUBSTRING_TEXT_INT4:
		case F_SUBSTRING_TEXT_INT4_INT4:
			return compile_substring(exprs, compiler);
		default:
			for (const StringRule *rule = string_rules; OidIsValid(rule->function); rule++)
			{
				if (rule->function == function)
					return compile_rule(rule, collation, exprs, compiler);
			}
			return NULL;
	}
}

/*
 * pns_term_compile_text_of compiles a cast to text that goes by the type's
 * output function: of integers, and of enums, which are their labels.
 */
PnsTerm *
pns_term_compile_text_of(CoerceViaIO *expr, PnsTermCompiler *compiler)
{
	PnsTerm    *arg;

	if (expr->resulttype != TEXTOID)
		return NULL;
	arg = pns_term_compile_part(expr->arg, compiler);
	if (arg == NULL)
		return NULL;
	if (arg->class == PNS_CLASS_INT)
		return make_string(list_make1(arg), "{$toString: #1}", false, INTEGER_SIZE);
	if (arg->class == PNS_CLASS_ENUM)
		return make_string(list_make1(arg), "#1", false, NAMEDATALEN);
	return NULL;
}

/*
 * compile_rule compiles a call of a function that a template says.
 */
static PnsTerm *
compile_rule(const StringRule *rule, Oid collation, List *exprs, PnsTermCompiler *compiler)
{
	List	   *args = compile_args(exprs, compiler);
	PnsTerm    *term;
	int			size;

	if (args == NIL ||
		((rule->flags & NEEDS_C_CASE) != 0 && !pns_collation_has_c_case(collation)) ||
		((rule->flags & NEEDS_DETERMINISTIC) != 0 &&
		 (!OidIsValid(collation) || !get_collation_isdeterministic(collation))) ||
		((rule->flags & NEEDS_SECOND) != 0 &&
		 (!constant_text((PnsTerm *) lsecond(args), &size) || size == 0)))
		return NULL;
	term = pns_term_make_call(rule->type, args, rule->template, false, true);
	if ((rule->flags & KEEPS_SIZE) != 0)
		term->size = ((PnsTerm *) linitial(args))->size;
	if (rule->function == F_LEFT || rule->function == F_RIGHT)
		term->size = size_of_part(term->size, (PnsTerm *) lsecond(args));
	return term;
}

/*
 * compile_concat compiles || and, with skips_null, concat() of strings.
 */
static PnsTerm *
compile_concat(List *exprs, bool skips_null, PnsTermCompiler *compiler)
{
	List	   *args = compile_args(exprs, compiler);
	StringInfoData names;
	StringInfoData sizes;
	int64		size = 0;
	bool		limited = true;
	int			n = 0;
	ListCell   *lc;

	if (args == NIL || list_length(args) > PNS_TEMPLATE_ARGS)
		return NULL;

	initStringInfo(&names);
	initStringInfo(&sizes);
	foreach(lc, args)
	{
		PnsTerm    *arg = (PnsTerm *) lfirst(lc);
		const char *separator = n++ > 0 ? ", " : "";

		if (arg->class != PNS_CLASS_TEXT)
			return NULL;
		limited = limited && arg->size > 0;
		size += arg->size;
		appendStringInfo(&names, "%s#%d", separator, n);
		appendStringInfo(&sizes, "%s{$strLenBytes: #%d}", separator, n);
		if (skips_null && !arg->never_null)
			lfirst(lc) = or_empty(arg);
	}
	if (limited && size <= LONGEST_STRING)
		return make_string(args, psprintf("{$concat: [%s]}", names.data), false, size);
	return make_string(args,
					   psprintf("{$cond: [{$lte: [{$add: [%s]}, %d]}, {$concat: [%s]}, null]}",
								sizes.data, LONGEST_STRING, names.data),
					   true, 0);
}

/*
 * or_empty makes the empty string of NULL.
 */
static PnsTerm *
or_empty(PnsTerm *arg)
{
	PnsTerm    *term = pns_term_make_call(TEXTOID, list_make1(arg), "{$ifNull: [#1, '']}",
										  false, false);

	term->never_null = true;
	term->strict = false;
	return term;
}

/*
 * compile_replace compiles replace() of a constant by a constant.
 */
static PnsTerm *
compile_replace(List *exprs, PnsTermCompiler *compiler)
{
	static const char *const replaced = "{$replaceAll: {input: #1, find: #2, replacement: #3}}";
	List	   *args = compile_args(exprs, compiler);
	int			from;
	int			to;
	int			growth;
	int64		size;

	if (args == NIL || !constant_text((PnsTerm *) lsecond(args), &from) || from == 0 ||
		!constant_text((PnsTerm *) lthird(args), &to))
		return NULL;

	size = ((PnsTerm *) linitial(args))->size;
	growth = (to + from - 1) / from;
	if (growth <= 1)
		return make_string(args, replaced, false, size);
	if (size > 0 && size * growth <= LONGEST_STRING)
		return make_string(args, replaced, false, size * growth);
	return make_string(args,
					   psprintf("{$cond: [{$lte: [{$strLenBytes: #1}, %d]}, %s, null]}",
								LONGEST_STRING / growth, replaced),
					   true, 0);
}

/*
 * compile_substring compiles substr() and substring(), which may begin before
 * the first character, but must not have a length below zero.
 */
static PnsTerm *
compile_substring(List *exprs, PnsTermCompiler *compiler)
{
	static const char *const from = "{$min: [{$strLenCP: #1}, {$max: [0, {$subtract: [#2, 1]}]}]}";
	List	   *args = compile_args(exprs, compiler);
	char	   *counted;
	int64		size;
	int32		length;

	if (args == NIL)
		return NULL;
	size = ((PnsTerm *) linitial(args))->size;
	if (list_length(args) == 2)
		return make_string(args,
						   psprintf("{$substrCP: [#1, %s, {$strLenCP: #1}]}", from),
						   false, size);

	counted = psprintf("{$substrCP: [#1, %s, {$max: [0, {$min: [{$strLenCP: #1}, #3, "
					   "{$subtract: [{$add: [{$toLong: #2}, #3]}, 1]}]}]}]}",
					   from);
	size = size_of_part(size, (PnsTerm *) lthird(args));
	if (constant_int((PnsTerm *) lthird(args), &length) && length >= 0)
		return make_string(args, counted, false, size);
	return make_string(args, psprintf("{$cond: [{$lt: [#3, 0]}, null, %s]}", counted), true, size);
}

/*
 * size_of_part gives the most bytes of some characters of a string of a size.
 */
static int
size_of_part(int size, const PnsTerm *characters)
{
	int32		number;

	if (!constant_int(characters, &number) || number <= 0 ||
		number > LONGEST_STRING / CHARACTER_SIZE ||
		(size > 0 && size < number * CHARACTER_SIZE))
		return size;
	return number * CHARACTER_SIZE;
}

/*
 * compile_split compiles split_part() with a constant delimiter and a constant
 * number, from 1 or, from the end, from -1.
 */
static PnsTerm *
compile_split(List *exprs, PnsTermCompiler *compiler)
{
	List	   *args = compile_args(exprs, compiler);
	int			size;
	int32		number;

	if (args == NIL || !constant_text((PnsTerm *) lsecond(args), &size) || size == 0 ||
		!constant_int((PnsTerm *) lthird(args), &number) || number == 0)
		return NULL;
	return make_string(list_truncate(args, 2),
					   psprintf("{$ifNull: [{$arrayElemAt: [{$split: [#1, #2]}, %d]}, '']}",
								number > 0 ? number - 1 : number),
					   false, ((PnsTerm *) linitial(args))->size);
}

/*
 * make_string makes a call whose result is a text of size bytes at most; 0 for
 * no limit.
 */
static PnsTerm *
make_string(List *args, const char *template, bool fails, int64 size)
{
	PnsTerm    *term = pns_term_make_call(TEXTOID, args, template, fails, true);

	term->size = size;
	return term;
}

/*
 * compile_args compiles the arguments of a call; NIL where one cannot be.
 */
static List *
compile_args(List *exprs, PnsTermCompiler *compiler)
{
	List	   *args = NIL;
	ListCell   *lc;

	foreach(lc, exprs)
	{
		PnsTerm    *arg = pns_term_compile_part(known_type((Expr *) lfirst(lc)), compiler);

		if (arg == NULL)
			return NIL;
		args = lappend(args, arg);
	}
	return args;
}

/*
 * known_type makes a text of a literal that a function of any type, as concat()
 * is, has left without one.
 */
static Expr *
known_type(Expr *expr)
{
	Const	   *literal = (Const *) expr;

	if (!IsA(expr, Const) || literal->consttype != UNKNOWNOID)
		return expr;
	return (Expr *) makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1,
							  literal->constisnull ? (Datum) 0 :
							  CStringGetTextDatum(DatumGetCString(literal->constvalue)),
							  literal->constisnull, false);
}

/*
 * constant_text tells whether a term is a constant text, and its size.
 */
static bool
constant_text(const PnsTerm *term, int *size)
{
	if (term->kind != PNS_TERM_OPERAND || !term->never_null || term->class != PNS_CLASS_TEXT)
		return false;
	*size = VARSIZE_ANY_EXHDR(DatumGetTextPP(((Const *) term->operand)->constvalue));
	return true;
}

/*
 * constant_int tells whether a term is a constant integer, and which.
 */
static bool
constant_int(const PnsTerm *term, int32 *value)
{
	if (term->kind != PNS_TERM_OPERAND || !term->never_null || term->type != INT4OID)
		return false;
	*value = DatumGetInt32(((Const *) term->operand)->constvalue);
	return true;
}
