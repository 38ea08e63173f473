/*-------------------------------------------------------------------------
 *
 * local_join.h
 *	  What the files of the join by batches of keys share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNS_FDW_LOCAL_JOIN_H
#define PNS_FDW_LOCAL_JOIN_H

#include "fdw/query.h"

#include "nodes/extensible.h"

/* The node's name, in plans and in EXPLAIN. */
#define PNS_JOIN_NAME "PynomalyJoin"

/* The members of a CustomPath's custom_private. */
typedef enum PnsJoinPathIndex
{
	PNS_JOIN_PATH_TYPE,			/* Integer: a JoinType */
	PNS_JOIN_PATH_CLAUSES,		/* List of RestrictInfo */
	PNS_JOIN_PATH_KEYS			/* List of Expr: of the outer row */
} PnsJoinPathIndex;

/* The members of a CustomScan's custom_plans. */
typedef enum PnsJoinPlanIndex
{
	PNS_JOIN_OUTER,				/* any plan */
	PNS_JOIN_INNER				/* a ForeignScan that is given keys */
} PnsJoinPlanIndex;

/* The members of a CustomScan's custom_exprs; each a List of Expr. */
typedef enum PnsJoinExprsIndex
{
	PNS_JOIN_CLAUSES,			/* what makes a pair of rows match */
	PNS_JOIN_KEYS				/* of an outer row, one for each key */
} PnsJoinExprsIndex;

/* The members of a CustomScan's custom_private. */
typedef enum PnsJoinPrivateIndex
{
	PNS_JOIN_TYPE,				/* Integer: a JoinType */
	PNS_JOIN_SOURCES,			/* List of Integer: for each column of the
								 * joined row the outer plan's column that it
								 * is, or the inner plan's, negated */
	PNS_JOIN_OPERATORS,			/* List of Oid: the keys' inner = outer */
	PNS_JOIN_COLLATIONS,		/* List of Oid: that they compare by */
	PNS_JOIN_COLUMNS			/* List of Integer: the keys' columns of the
								 * inner plan */
} PnsJoinPrivateIndex;

/* in local_join_plan.c */
extern Plan *pns_join_plan(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist,
						   List *clauses, List *custom_plans);

/* in local_join_exec.c */
extern const CustomScanMethods pns_join_scan_methods;

#endif							/* PNS_FDW_LOCAL_JOIN_H */
