/*-------------------------------------------------------------------------
 *
 * modify_plan.c
 *	  What may be written, and in batches of what size.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/rel.h"

#include "fdw/modify.h"

/*
 * pnsPlanForeignModify has nothing to prepare: what is written depends on the
 * table and on the columns that the statement sets, which the executor knows.
 *
 * Errors: 0A000 for ON CONFLICT DO UPDATE, which has no unique index to name.
 */
List *
pnsPlanForeignModify(PlannerInfo *root, ModifyTable *plan, Index result_relation,
					 int subplan_index)
{
	if (plan->onConflictAction == ONCONFLICT_UPDATE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a foreign table of documents has no ON CONFLICT DO UPDATE")));
	return NIL;
}

/*
 * pnsGetForeignModifyBatchSize tells how many rows core shall give at once.
 * With RETURNING it can give one only, and a BEFORE trigger may look at what was
 * inserted before its row.
 */
int
pnsGetForeignModifyBatchSize(ResultRelInfo *rinfo)
{
	PnsModify  *modify = (PnsModify *) rinfo->ri_FdwState;

	if (rinfo->ri_projectReturning != NULL ||
		(rinfo->ri_TrigDesc != NULL && rinfo->ri_TrigDesc->trig_insert_before_row))
		return 1;
	return modify->batch_size;
}

/*
 * pnsIsForeignRelUpdatable tells what the option updatable allows: all or
 * nothing.
 */
int
pnsIsForeignRelUpdatable(Relation relation)
{
	if (!pns_fdw_get_table(RelationGetRelid(relation))->updatable)
		return 0;
	return (1 << CMD_INSERT) | (1 << CMD_UPDATE) | (1 << CMD_DELETE);
}
