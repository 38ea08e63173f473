/*-------------------------------------------------------------------------
 *
 * qual.h
 *	  What the files that compile conditions to the query language share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNS_FDW_QUAL_H
#define PNS_FDW_QUAL_H

#include "fdw/private.h"

/* What an expression is compiled against. */
typedef struct PnsQualContext
{
	const PnsTable *table;
	Index		varno;			/* the table's place in the query */
	bool		takes_terms;	/* what else cannot be said is sent as $expr */
	int			depth;			/* of AND and OR */
} PnsQualContext;

/* ---------- qual.c ---------- */

extern PnsQual *pns_qual_make(PnsQualKind kind, const PnsTableColumn *column);

/* ---------- qual_compare.c ---------- */

extern PnsQual *pns_qual_compile_op(OpExpr *expr, bool truth, PnsQualContext *context);
extern PnsQual *pns_qual_compile_match(Oid function, Oid collation, List *args, bool truth,
									   PnsQualContext *context);
extern PnsQual *pns_qual_compile_in(ScalarArrayOpExpr *expr, bool truth,
									PnsQualContext *context);
extern const PnsTableColumn *pns_qual_column_of(Node *node, PnsQualContext *context);

#endif							/* PNS_FDW_QUAL_H */
