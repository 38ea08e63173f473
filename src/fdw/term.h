/*-------------------------------------------------------------------------
 *
 * term.h
 *	  PostgreSQL's expressions in MongoDB's aggregation language.
 *
 * A term is an expression that MongoDB evaluates to the canonical BSON of the
 * value that PostgreSQL computes, and to null, never to a missing field, for
 * NULL.  Canonical are: int and long for the integers; double for float8;
 * bool; string for text, varchar, name and enums; date for timestamp and
 * timestamptz, and at midnight of UTC for date; objectId; and numbers of any
 * exact kind for numeric.
 *
 * No term makes MongoDB fail.  A term that PostgreSQL's evaluation of could
 * fail (an overflow, a division by zero) is null there, and says may_fail.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNS_FDW_TERM_H
#define PNS_FDW_TERM_H

#include "fdw/query.h"

/* An expression whose canonical value already stands in a field. */
typedef struct PnsTermOutput
{
	Expr	   *expr;
	const char *field;			/* a path, without the dollar */
	bool		never_null;
} PnsTermOutput;

/* What expressions are compiled against. */
typedef struct PnsTermContext
{
	List	   *sources;		/* of PnsTermSource */
	List	   *outputs;		/* of PnsTermOutput */
} PnsTermContext;

/* A column that a term reads. */
typedef struct PnsTermColumn
{
	const PnsTermSource *source;
	const PnsTableColumn *column;
} PnsTermColumn;

typedef enum PnsTermKind
{
	PNS_TERM_COLUMN,			/* a column's value */
	PNS_TERM_RAW,				/* the field as it stands in the document */
	PNS_TERM_FIELD,				/* a field that holds a canonical value */
	PNS_TERM_OPERAND,			/* an expression that is evaluated here */
	PNS_TERM_LITERAL,			/* a value */
	PNS_TERM_ARRAY,				/* an array of values */
	PNS_TERM_LABELS,			/* the array of an enum's labels, in order */
	PNS_TERM_CALL,				/* a template over the arguments */
	PNS_TERM_COMPARE,			/* two arguments compared */
	PNS_TERM_IN,				/* an argument among an array's elements, or
								 * with op NE apart from all of them */
	PNS_TERM_CASE,				/* condition, value, ..., else value */
	PNS_TERM_AND,
	PNS_TERM_OR,
	PNS_TERM_NOT
} PnsTermKind;

typedef struct PnsTerm
{
	/* what a term says of itself */
	Oid			type;			/* of the value, in PostgreSQL */
	PnsValueClass class;
	List	   *columns;		/* of PnsTermColumn, each once */
	bool		never_null;
	bool		strict;			/* NULL where one of its columns is */
	bool		may_fail;		/* PostgreSQL's evaluation can raise an error */
	bool		has_strings;	/* MongoDB compares strings for it */
	int			depth;			/* of documents and arrays in it, at most */
	int			size;			/* bytes of a string, at most; 0 for no limit */

	/* how it is made */
	PnsTermKind kind;
	List	   *args;			/* of PnsTerm */
	const char *template;		/* CALL, see term_append.c */
	bool		fails;			/* CALL: null where PostgreSQL raises an error */
	bool		checks_null;	/* CALL: null where an argument is, whatever
								 * the template says */
	PnsCompareOp op;			/* COMPARE, IN */
	const PnsTermColumn *column;	/* COLUMN, RAW */
	const char *field;			/* FIELD */
	Expr	   *operand;		/* OPERAND, IN: the array */
	PnsScalar	scalar;			/* LITERAL */
	List	   *scalars;		/* ARRAY */
} PnsTerm;

/* ---------- term.c ---------- */

/*
 * Compile an expression; NULL where MongoDB cannot evaluate it exactly, which
 * does not depend on the values of operands.
 */
extern PnsTerm *pns_term_compile(Expr *expr, const PnsTermContext *context);

/* ---------- term_append.c ---------- */

/* Append the value of a term as a member of the document that is open. */
extern void pns_term_append(PnsBsonBuilder *builder, const char *key, const PnsTerm *term,
							PnsOperandValue operand_value, void *state);

/* The same for "the boolean term is true", which is never null. */
extern void pns_term_append_true(PnsBsonBuilder *builder, const char *key, const PnsTerm *term,
								 PnsOperandValue operand_value, void *state);

/*
 * And for "the term may be true, or its evaluation here has an error to raise":
 * a superset of the documents that the term is true of.
 */
extern void pns_term_append_maybe(PnsBsonBuilder *builder, const char *key, const PnsTerm *term,
								  PnsOperandValue operand_value, void *state);

/* Can evaluating the term here raise an error, or reading its columns? */
extern bool pns_term_may_raise(const PnsTerm *term);

/* Can MongoDB tell where evaluating the term here raises an error? */
extern bool pns_term_fails_exactly(const PnsTerm *term);

/* Append whether it does, or whether reading the columns does. */
extern void pns_term_append_raises(PnsBsonBuilder *builder, const char *key, const PnsTerm *term,
								   PnsOperandValue operand_value, void *state);

/* ---------- term_column.c ---------- */

/* Can a value that does not fit make a statement fail? */
extern bool pns_term_column_may_misfit(const PnsTermColumn *column);

/*
 * Append the first misfit of columns (of PnsTermColumn, whose sources are
 * those of context) that is an error, or null where all fit.
 */
extern void pns_term_append_bad(PnsBsonBuilder *builder, const char *key, List *columns,
								const PnsTermContext *context);

/* Raise the error of a misfit that pns_term_append_bad has found. */
extern void pns_term_raise_bad(PnsDocument bad, const PnsTermContext *context)
			pg_attribute_noreturn();

#endif							/* PNS_FDW_TERM_H */
