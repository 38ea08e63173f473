/*-------------------------------------------------------------------------
 *
 * upper.h
 *	  What is done with the rows of tables and joins: order, limits, groups.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNS_FDW_UPPER_H
#define PNS_FDW_UPPER_H

#include "fdw/term.h"

/* ---------- order.c ---------- */

/* A key to sort by. */
typedef struct PnsSortKey
{
	PnsTerm    *term;
	bool		descending;
	bool		nulls_first;
} PnsSortKey;

/* A sort, as the executor has it. */
typedef struct PnsSort
{
	List	   *keys;			/* of PnsSortKey */
	bool		plain;			/* by the fields themselves */
	List	   *columns;		/* of PnsTermColumn: what the keys are made of */
} PnsSort;

extern int	pns_order_prefix(const PnsRelation *relation, List *pathkeys);
extern bool pns_order_is_plain(const PnsRelation *relation, List *pathkeys);
extern List *pns_order_plain_paths(const PnsRelation *relation, List *pathkeys,
								   List **descending);
extern List *pns_order_useful(PlannerInfo *root, const PnsRelation *relation);
extern List *pns_order_describe(const PnsRelation *relation, List *pathkeys);
extern PnsSort *pns_order_create(List *description, const PnsTermContext *context);
extern void pns_order_append_keys(PnsPipeline *pipeline, const PnsSort *sort);
extern void pns_order_append(PnsPipeline *pipeline, const PnsSort *sort, bool has_bad);

/* ---------- limit.c ---------- */

typedef struct PnsLimit
{
	Expr	   *count;			/* NULL: all rows */
	Expr	   *offset;			/* NULL: from the first one */
} PnsLimit;

/* A limit that has been evaluated; EXPLAIN may not know all of it. */
typedef struct PnsLimitValues
{
	bool		count_known;
	bool		limited;		/* else count says nothing */
	int64		count;
	bool		offset_known;
	int64		offset;
} PnsLimitValues;

extern void pns_limit_add_path(PlannerInfo *root, PnsRelation *relation,
							   RelOptInfo *final_rel, const FinalPathExtraData *extra);
extern PnsLimit *pns_limit_create(List *description);
extern bool pns_limit_evaluate(PnsPipeline *pipeline, const PnsLimit *limit,
							   PnsLimitValues *values);
extern void pns_limit_append(PnsPipeline *pipeline, const PnsLimit *limit,
							 const PnsLimitValues *values);

/* ---------- upper.c ---------- */

extern PnsTermContext pns_relation_context(const PnsRelation *relation);
extern List *pns_upper_add_columns(List *columns, List *others);
extern void pnsGetForeignUpperPaths(PlannerInfo *root, UpperRelationKind stage,
									RelOptInfo *input_rel, RelOptInfo *output_rel,
									void *extra);

#endif							/* PNS_FDW_UPPER_H */
