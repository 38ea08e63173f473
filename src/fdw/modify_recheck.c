/*-------------------------------------------------------------------------
 *
 * modify_recheck.c
 *	  Rows that another client has changed before they were written.
 *
 * PostgreSQL looks at such a row again: where its new version still satisfies
 * the conditions of the statement, it is written as that version has it, else
 * it is left alone.  The machinery for that is core's (EvalPlanQual), which runs
 * the plan once more for the one row.  Core would begin it with a row of the
 * table; here it has to be a row of the scan, which has the document's identity.
 *
 * Not in a plan that joins, for the rows of the other tables are not kept, and
 * not where there are row triggers, which have seen the row as it was.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "utils/rel.h"

#include "fdw/modify.h"
#include "fdw/query.h"

/* What is needed to look again at rows of one table. */
struct PnsRecheck
{
	ModifyTableState *mtstate;
	ResultRelInfo *rinfo;
	ForeignScanState *scan;		/* of the table */
	TupleTableSlot *slot;		/* a row of it */
};

static ForeignScanState *find_scan(PlanState *node, Index relid);
static ForeignScanState *find_scan_among(PlanState **nodes, int count, Index relid);

/*
 * pns_recheck_create prepares to look again at the rows of a table.  NULL where
 * that cannot be done.
 */
PnsRecheck *
pns_recheck_create(ModifyTableState *mtstate, ResultRelInfo *rinfo)
{
	ForeignScanState *scan = find_scan(outerPlanState(mtstate), rinfo->ri_RangeTableIndex);
	PnsRecheck *recheck;

	if (scan == NULL)
		return NULL;
	recheck = palloc(sizeof(PnsRecheck));
	recheck->mtstate = mtstate;
	recheck->rinfo = rinfo;
	recheck->scan = scan;
	recheck->slot = ExecInitExtraTupleSlot(mtstate->ps.state,
										   scan->ss.ss_ScanTupleSlot->tts_tupleDescriptor,
										   &TTSOpsVirtual);
	return recheck;
}

/*
 * find_scan finds the scan of a table below a node that gives rows of single
 * tables alone.  NULL where there is none, or the node does more than that.
 */
static ForeignScanState *
find_scan(PlanState *node, Index relid)
{
	if (IsA(node, AppendState))
		return find_scan_among(((AppendState *) node)->appendplans,
							   ((AppendState *) node)->as_nplans, relid);
	if (IsA(node, ResultState) && outerPlanState(node) != NULL)
		return find_scan(outerPlanState(node), relid);
	if (IsA(node, ForeignScanState) &&
		((ForeignScan *) node->plan)->scan.scanrelid == relid)
		return (ForeignScanState *) node;
	return NULL;
}

/*
 * find_scan_among does so for several nodes.
 */
static ForeignScanState *
find_scan_among(PlanState **nodes, int count, Index relid)
{
	for (int i = 0; i < count; i++)
	{
		ForeignScanState *scan = find_scan(nodes[i], relid);

		if (scan != NULL)
			return scan;
	}
	return NULL;
}

/*
 * pns_recheck_document runs the plan for a document as it is now, and returns
 * the plan's row, NULL where the document is not selected any more.  The row
 * lasts until the next is asked for.
 *
 * Errors: those of values that do not fit, and of the statement's expressions.
 */
TupleTableSlot *
pns_recheck_document(PnsRecheck *recheck, PnsDocument document)
{
	EPQState   *epq = &recheck->mtstate->mt_epqstate;
	Relation	relation = recheck->rinfo->ri_RelationDesc;
	Index		relid = recheck->rinfo->ri_RangeTableIndex;
	const PnsQuery *query = pns_scan_query(recheck->scan->fdw_state);
	TupleTableSlot *kept = epq->relsubs_slot[relid - 1];
	TupleTableSlot *row;
	MemoryContext old;

	ExecClearTuple(recheck->slot);
	pns_identity_read_row(query->identity, pns_query_table(query), relation, document,
						  recheck->slot);
	ExecStoreVirtualTuple(recheck->slot);
	epq->relsubs_slot[relid - 1] = recheck->slot;

	/* what core prepares with the first row lasts as long as the query */
	old = MemoryContextSwitchTo(recheck->mtstate->ps.state->es_query_cxt);
	row = EvalPlanQual(epq, relation, relid, recheck->slot);
	MemoryContextSwitchTo(old);
	epq->relsubs_slot[relid - 1] = kept;
	return TupIsNull(row) ? NULL : row;
}

/*
 * pns_recheck_new_row makes the row that an UPDATE makes of the plan's, in the
 * slot where core has what it made of the row before.
 *
 * Errors: those of pns_modify_check_row.
 */
TupleTableSlot *
pns_recheck_new_row(const PnsModify *modify, TupleTableSlot *row)
{
	ResultRelInfo *rinfo = modify->recheck->rinfo;
	EState	   *estate = modify->recheck->mtstate->ps.state;
	const TupleConstr *constraints = RelationGetDescr(rinfo->ri_RelationDesc)->constr;
	HeapTupleData old = {.t_tableOid = RelationGetRelid(rinfo->ri_RelationDesc)};
	bool		isnull;
	TupleTableSlot *new;

	old.t_data = DatumGetHeapTupleHeader(ExecGetJunkAttribute(row, modify->old_row, &isnull));
	old.t_len = HeapTupleHeaderGetDatumLength(old.t_data);
	ItemPointerSetInvalid(&old.t_self);
	ExecForceStoreHeapTuple(&old, rinfo->ri_oldTupleSlot, false);
	new = ExecGetUpdateNewTuple(rinfo, row, rinfo->ri_oldTupleSlot);
	if (constraints != NULL && constraints->has_generated_stored)
		ExecComputeStoredGenerated(rinfo, estate, new, CMD_UPDATE);
	if (modify->checks)
		pns_modify_check_row(modify, estate, rinfo, new);
	return new;
}
