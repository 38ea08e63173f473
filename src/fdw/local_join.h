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

#include "nodes/execnodes.h"
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

/* ---------- a batch ---------- */

/* An outer row; in the batch's memory. */
typedef struct PnsJoinRow
{
	struct PnsJoinRow *next;	/* of the batch */
	struct PnsJoinRow *next_same;	/* with the same hash */
	bool		matched;
	MinimalTuple tuple;
} PnsJoinRow;

/* Outer rows, found by their keys; and these keys, each once. */
typedef struct PnsJoinBatch
{
	struct PnsJoinKey *keys;
	int			nkeys;
	int			size;			/* the most distinct values of a key */
	Size		memory_limit;
	MemoryContext context;		/* of all of the following */
	struct rowtable_hash *table;
	PnsJoinRow *first;
	PnsJoinRow *last;
} PnsJoinBatch;

/* What became of an outer row. */
typedef enum PnsJoinFit
{
	PNS_JOIN_ADDED,
	PNS_JOIN_NULL,				/* a key is NULL: the row matches nothing */
	PNS_JOIN_NO_ROOM			/* for its keys; it is for the next batch */
} PnsJoinFit;

/* in local_join_batch.c */
extern PnsJoinBatch *pns_join_batch_create(CustomScan *scan, PlanState *node);
extern void pns_join_batch_clear(PnsJoinBatch *batch);
extern bool pns_join_batch_is_full(const PnsJoinBatch *batch);
extern PnsJoinFit pns_join_batch_add(PnsJoinBatch *batch, ExprContext *econtext,
									 TupleTableSlot *slot, bool keep_null);
extern Datum *pns_join_batch_arrays(PnsJoinBatch *batch, int64 *nvalues);
extern PnsJoinRow *pns_join_batch_find(PnsJoinBatch *batch, ExprContext *econtext,
									   TupleTableSlot *document);

#endif							/* PNS_FDW_LOCAL_JOIN_H */
