/*-------------------------------------------------------------------------
 *
 * term_private.h
 *	  What the files that compile terms share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNS_FDW_TERM_PRIVATE_H
#define PNS_FDW_TERM_PRIVATE_H

#include "fdw/term.h"

/* The state of a compilation. */
typedef struct PnsTermCompiler
{
	const PnsTermContext *context;
	bool		conditional;	/* PostgreSQL may not evaluate what stands
								 * here */
	PnsTerm    *case_test;		/* what CaseTestExpr means, or NULL */
} PnsTermCompiler;

/* What holds of a function whose template makes null of null by itself. */
#define PNS_RULE_CHECKS_NULL 0x01	/* it does not: an argument has to be
									 * looked at */
#define PNS_RULE_FAILS 0x02		/* null where PostgreSQL raises an error */
#define PNS_RULE_DIVIDES 0x04	/* which it does for a second argument of 0 or
								 * -1 */

/* A function that a template over its arguments says. */
typedef struct PnsTermRule
{
	Oid			function;
	Oid			type;			/* of the result */
	int			flags;
	const char *template;
} PnsTermRule;

/* ---------- term.c ---------- */

extern PnsTerm *pns_term_compile_part(Expr *expr, PnsTermCompiler *compiler);
extern PnsTerm *pns_term_compile_bound(Expr *expr, PnsTermCompiler *compiler);
extern PnsTerm *pns_term_compile_presence(Expr *expr, PnsTermCompiler *compiler);
extern PnsTerm *pns_term_make(PnsTermKind kind, Oid type, List *args);
extern PnsTerm *pns_term_make_call(Oid type, List *args, const char *template,
								   bool fails, bool checks_null);
extern PnsValueClass pns_term_class(Oid type);

/* ---------- term_append.c ---------- */

/* The state of writing a term. */
typedef struct PnsTermWriter
{
	PnsBsonBuilder *builder;
	PnsOperandValue operand_value;
	void	   *state;			/* for operand_value */
	List	   *columns;		/* of PnsTermColumn: bound to c0, c1, ... */
	int			nvariables;		/* that arguments were bound to: v0, v1, ... */
} PnsTermWriter;

/* How a boolean term is asked for. */
typedef enum PnsTermTruth
{
	PNS_TRUTH_VALUE,			/* true, false or null */
	PNS_TRUTH_TRUE,				/* whether it is true */
	PNS_TRUTH_FALSE				/* whether it is false */
} PnsTermTruth;

extern void pns_term_write(PnsTermWriter *writer, const char *key, const PnsTerm *term);
extern void pns_term_write_truth(PnsTermWriter *writer, const char *key,
								 const PnsTerm *term, bool truth);

/* ---------- term_template.c ---------- */

/* The arguments that a template can name. */
#define PNS_TEMPLATE_ARGS 9

extern void pns_term_write_call(PnsTermWriter *writer, const char *key, const PnsTerm *term);
extern void pns_term_write_template(PnsTermWriter *writer, const char *key,
									const char *template, List *args);
extern const char *pns_term_null_check(List *args);
extern int	pns_term_call_depth(const PnsTerm *term);

/* ---------- term_column.c ---------- */

extern bool pns_term_column_is_canonical(const PnsTableColumn *column);
extern bool pns_term_column_is_known(const PnsTableColumn *column);
extern PnsTerm *pns_term_column_value(const PnsTermColumn *column);
extern PnsTerm *pns_term_column_form(const PnsTermColumn *column);
extern PnsTerm *pns_term_column_misfit(const PnsTermColumn *column);
extern bool pns_term_path_is_plain(const PnsTableColumn *column);
extern void pns_term_write_path(PnsTermWriter *writer, const char *key,
								const PnsTermColumn *column);

/* ---------- term_operand.c ---------- */

typedef enum PnsTermBound
{
	PNS_BOUND_VALUE,			/* a value of the other side's kind */
	PNS_BOUND_BETWEEN,			/* between such a value and the next */
	PNS_BOUND_ABOVE,			/* above all values */
	PNS_BOUND_BELOW				/* below all values */
} PnsTermBound;

extern bool pns_term_operand_is_canonical(const PnsTerm *operand);
extern PnsTermBound pns_term_operand_bound(const PnsTerm *operand, Datum value,
										   PnsScalar *scalar);
extern void pns_term_append_literal(PnsBsonBuilder *builder, const char *key, PnsScalar scalar);
extern void pns_term_append_array(PnsBsonBuilder *builder, const char *key, List *scalars);
extern void pns_term_append_labels(PnsBsonBuilder *builder, const char *key, Oid type);

/* ---------- term_logic.c ---------- */

extern PnsTerm *pns_term_compile_logic(Expr *expr, PnsTermCompiler *compiler);

/* ---------- term_compare.c ---------- */

extern PnsTerm *pns_term_compile_compare(Oid opno, Oid collation, List *exprs,
										 PnsTermCompiler *compiler);
extern void pns_term_write_compare(PnsTermWriter *writer, const char *key,
								   const PnsTerm *term, PnsTermTruth truth);
extern PnsTerm *pns_term_compile_in(ScalarArrayOpExpr *expr, PnsTermCompiler *compiler);
extern void pns_term_write_in(PnsTermWriter *writer, const char *key,
							  const PnsTerm *term, PnsTermTruth truth);

/* ---------- term_number.c ---------- */

extern const PnsTermRule pns_term_number_rules[];

/* ---------- term_date.c ---------- */

extern const PnsTermRule pns_term_date_rules[];

extern PnsTerm *pns_term_compile_date(Oid function, List *exprs, PnsTermCompiler *compiler);

/* ---------- term_string.c ---------- */

extern PnsTerm *pns_term_compile_string(Oid function, Oid collation, List *exprs,
										PnsTermCompiler *compiler);
extern PnsTerm *pns_term_compile_text_of(CoerceViaIO *expr, PnsTermCompiler *compiler);

#endif							/* PNS_FDW_TERM_PRIVATE_H */
