/*-------------------------------------------------------------------------
 *
 * filter.h
 *	  What the files that make a $match of conditions share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNS_FDW_FILTER_H
#define PNS_FDW_FILTER_H

#include "fdw/private.h"

/* MongoDB's limit for a document, and what we grant one condition; bytes. */
#define LARGEST_DOCUMENT (16 * 1024 * 1024)
#define LARGEST_SUPERSET (2 * 1024 * 1024)

/* Where the values of the operands come from. */
typedef struct PnsFilterContext
{
	PnsOperandValue operand_value;
	void	   *state;
} PnsFilterContext;

/* What a conjunction comes to, while it is put together. */
typedef struct PnsConjunction
{
	List	   *leaves;			/* of PnsQual, none of them an AND */
	PnsFilterContext *context;
	bool		none;			/* nothing can satisfy it */
	List	   *fields;			/* of PnsFilter: what indexes serve */
	List	   *rest;			/* of PnsFilter */
	List	   *guarded;		/* columns (PnsTableColumn) that have a guard */
} PnsConjunction;

/* ---------- filter.c ---------- */

extern void pns_conjunction_add_fields(PnsConjunction *and, PnsFilter filter);
extern void pns_conjunction_add_rest(PnsConjunction *and, PnsFilter filter);
extern bool pns_filter_is_comparison(PnsFilter filter);
extern void pns_filter_append_parameter(PnsBsonBuilder *builder, const char *key,
										const PnsQual *qual);

/* ---------- filter_compare.c ---------- */

extern void pns_conjunction_add_compare(PnsConjunction *and, const PnsQual *qual);
extern void pns_conjunction_add_in(PnsConjunction *and, const PnsQual *qual);
extern void pns_conjunction_add_comparison(PnsConjunction *and, const PnsQual *qual,
										   PnsFilter filter);

/* ---------- filter_guard.c ---------- */

extern void pns_conjunction_add_guard(PnsConjunction *and, const PnsTableColumn *column,
									  bool fits);
extern PnsBounds pns_conjunction_bounds(const PnsTableColumn *column, PnsConjunction *and);
extern PnsFilter pns_filter_fitting(const PnsTableColumn *column);
extern PnsFilter pns_filter_no_array_above(const PnsTableColumn *column);

#endif							/* PNS_FDW_FILTER_H */
