/*-------------------------------------------------------------------------
 *
 * handler.c
 *	  The wrapper's table of callbacks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "fdw/join.h"
#include "fdw/modify.h"
#include "fdw/upper.h"

PG_FUNCTION_INFO_V1(pns_fdw_handler);
PGDLLEXPORT Datum pns_fdw_handler(PG_FUNCTION_ARGS);

/*
 * pns_fdw_handler returns the callbacks.
 */
Datum
pns_fdw_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	/* planning and scanning */
	routine->GetForeignRelSize = pnsGetForeignRelSize;
	routine->GetForeignPaths = pnsGetForeignPaths;
	routine->GetForeignJoinPaths = pnsGetForeignJoinPaths;
	routine->GetForeignPlan = pnsGetForeignPlan;
	routine->GetForeignUpperPaths = pnsGetForeignUpperPaths;
	routine->BeginForeignScan = pnsBeginForeignScan;
	routine->IterateForeignScan = pnsIterateForeignScan;
	routine->RecheckForeignScan = pnsRecheckForeignScan;
	routine->ReScanForeignScan = pnsReScanForeignScan;
	routine->EndForeignScan = pnsEndForeignScan;
	routine->ExplainForeignScan = pnsExplainForeignScan;

	/* waiting for several scans at once */
	routine->IsForeignPathAsyncCapable = pnsIsForeignPathAsyncCapable;
	routine->ForeignAsyncRequest = pnsForeignAsyncRequest;
	routine->ForeignAsyncConfigureWait = pnsForeignAsyncConfigureWait;
	routine->ForeignAsyncNotify = pnsForeignAsyncNotify;

	/* writing */
	routine->AddForeignUpdateTargets = pnsAddForeignUpdateTargets;
	routine->PlanForeignModify = pnsPlanForeignModify;
	routine->BeginForeignModify = pnsBeginForeignModify;
	routine->ExecForeignInsert = pnsExecForeignInsert;
	routine->ExecForeignBatchInsert = pnsExecForeignBatchInsert;
	routine->GetForeignModifyBatchSize = pnsGetForeignModifyBatchSize;
	routine->ExecForeignUpdate = pnsExecForeignUpdate;
	routine->ExecForeignDelete = pnsExecForeignDelete;
	routine->EndForeignModify = pnsEndForeignModify;
	routine->BeginForeignInsert = pnsBeginForeignInsert;
	routine->EndForeignInsert = pnsEndForeignInsert;
	routine->IsForeignRelUpdatable = pnsIsForeignRelUpdatable;
	routine->ExplainForeignModify = pnsExplainForeignModify;
	routine->PlanDirectModify = pnsPlanDirectModify;
	routine->BeginDirectModify = pnsBeginDirectModify;
	routine->IterateDirectModify = pnsIterateDirectModify;
	routine->EndDirectModify = pnsEndDirectModify;
	routine->ExplainDirectModify = pnsExplainDirectModify;
	routine->ExecForeignTruncate = pnsExecForeignTruncate;

	/* statistics */
	routine->AnalyzeForeignTable = pnsAnalyzeForeignTable;

	/* definitions */
	routine->ImportForeignSchema = pnsImportForeignSchema;

	PG_RETURN_POINTER(routine);
}
