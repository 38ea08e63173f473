/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  Running a foreign scan, and explaining it.
 *
 * Nothing is sent before the first row is asked for.  The rows live in the
 * executor's per-tuple memory, so a scan's memory does not grow with them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "fdw/query.h"

/* The state of a scan; fdw_state, in the query's memory. */
typedef struct PnsScanState
{
	/* from the plan */
	PnsQuery   *query;
	List	   *operands;		/* the operands' expressions ... */
	List	   *operand_states; /* ... and their ExprStates */
	int			first_key;		/* from it on, operands are a join's keys */
	bool		system_columns; /* are system columns other than tableoid
								 * read? */

	/* of the execution */
	Oid			userid;
	ExprContext *econtext;
	bool		executing;		/* false for EXPLAIN alone */
	const Datum *keys;			/* arrays of the keys' values; the join's */
	MemoryContext cursor_context;	/* reset with each rescan */
	PnsReader  *reader;			/* not open until the first row is asked for */
	bool		done;			/* no row is left */
	bool		has_rows;		/* there was one */
	int64		skipped;		/* rows that are left out before the next */
	Relation	relation;		/* NULL: of a join */
	bool		demands;		/* may rows change before they are written? */
	PnsRemoteUse use;			/* over all loops, for EXPLAIN ANALYZE */
} PnsScanState;

static bool read_row(PnsScanState *state, TupleTableSlot *slot);
static TupleTableSlot *last_row(PnsScanState *state, TupleTableSlot *slot);
static void open_reader(PnsScanState *state);
static bool is_unknown(Node *operand, const PnsScanState *state);
static bool depends_on_execution(Node *node, ExprContext *econtext);
static void store_heap_tuple(TupleTableSlot *slot);

/*
 * pnsBeginForeignScan prepares a scan.  It does not talk to the server.
 */
void
pnsBeginForeignScan(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	PnsScanState *state = palloc0(sizeof(PnsScanState));
	Oid			checked_user = pns_scan_checked_user(node);

	node->fdw_state = state;
	state->query = pns_query_create(plan->fdw_private);
	state->operands = plan->fdw_exprs;
	state->operand_states = ExecInitExprList(plan->fdw_exprs, (PlanState *) node);
	state->first_key = list_length(state->operands) - list_length(state->query->keys);
	state->econtext = node->ss.ps.ps_ExprContext;
	state->system_columns = plan->fsSystemCol && state->query->identity == NULL;
	state->userid = OidIsValid(checked_user) ? checked_user : GetUserId();
	state->relation = node->ss.ss_currentRelation;
	state->executing = (eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0;
	state->reader = pns_reader_create(state->query->repeats &&
									  !plan->scan.plan.async_capable);
	state->cursor_context = AllocSetContextCreate(node->ss.ps.state->es_query_cxt,
												  "pynomaly_store cursor",
												  ALLOCSET_DEFAULT_SIZES);
}

/*
 * pnsIterateForeignScan returns the next row, or an empty slot.
 *
 * Errors: those of the connection, of the command and of values that do not
 * fit.
 */
TupleTableSlot *
pnsIterateForeignScan(ForeignScanState *node)
{
	PnsScanState *state = (PnsScanState *) node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;

	ExecClearTuple(slot);

	if (!pns_reader_is_open(state->reader) && !state->done)
		open_reader(state);
	if (state->done)
		return last_row(state, slot);
	if (node->ss.ps.async_capable &&
		pns_mongo_cursor_must_wait(pns_reader_cursor(state->reader)))
		return slot;

	for (; state->skipped > 0 && read_row(state, slot); state->skipped--)
		ResetExprContext(state->econtext);
	if (!read_row(state, slot))
		return last_row(state, slot);
	ExecStoreVirtualTuple(slot);
	if (state->system_columns)
		store_heap_tuple(slot);
	return slot;
}

/*
 * read_row fills a slot's values with the next row that the server returned,
 * in the current context.  False where there is none.
 */
static bool
read_row(PnsScanState *state, TupleTableSlot *slot)
{
	PnsDocument document;

	if (state->done || !pns_reader_next(state->reader, &document))
	{
		state->done = true;
		return false;
	}
	state->has_rows = true;
	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts);
	pns_query_read_row(state->query, state->reader, document, slot->tts_values,
					   slot->tts_isnull);
	if (state->query->identity != NULL)
		pns_identity_fill(state->query->identity, state->relation,
						  pns_query_document(state->query, document), state->demands, slot);
	return true;
}

/*
 * last_row returns the empty slot behind the last row, unless the query has a
 * row even where the server returned none.
 */
static TupleTableSlot *
last_row(PnsScanState *state, TupleTableSlot *slot)
{
	if (state->has_rows ||
		!pns_query_read_nothing(state->query, slot->tts_values, slot->tts_isnull))
		return slot;
	state->has_rows = true;
	return ExecStoreVirtualTuple(slot);
}

/*
 * pns_fdw_scan_cursor gives the cursor of a scan that is to be run, NULL where
 * it has no more rows to give.  Does not wait for an answer, only where it has
 * to connect.
 */
PnsCursor *
pns_fdw_scan_cursor(ForeignScanState *node)
{
	PnsScanState *state = (PnsScanState *) node->fdw_state;

	if (!pns_reader_is_open(state->reader) && !state->done)
		open_reader(state);
	return state->done ? NULL : pns_reader_cursor(state->reader);
}

/*
 * pnsRecheckForeignScan completes a row that comes back after a wait for a
 * lock: of what it was made of, core has kept all but the table.  A join is
 * done again here, of the rows of its tables.
 */
bool
pnsRecheckForeignScan(ForeignScanState *node, TupleTableSlot *slot)
{
	if (node->ss.ss_currentRelation == NULL)
	{
		TupleTableSlot *row = ExecProcNode(outerPlanState(node));

		if (TupIsNull(row))
			return false;
		ExecCopySlot(slot, row);
		return true;
	}
	slot->tts_tableOid = RelationGetRelid(node->ss.ss_currentRelation);
	return true;
}

/*
 * pnsReScanForeignScan starts again, with new values of the parameters.
 */
void
pnsReScanForeignScan(ForeignScanState *node)
{
	PnsScanState *state = (PnsScanState *) node->fdw_state;

	pns_reader_restart(state->reader);
	state->done = false;
	state->has_rows = false;
	MemoryContextReset(state->cursor_context);
}

/*
 * pns_fdw_set_keys gives a scan that has not begun, or begins again, the keys
 * of a join: an array of values for each of its conditions on them, in memory
 * of the caller's that lasts as long as the scan.
 */
void
pns_fdw_set_keys(ForeignScanState *node, const Datum *arrays)
{
	PnsScanState *state = (PnsScanState *) node->fdw_state;

	state->keys = arrays;
	state->query->guards = false;
}

/*
 * pns_fdw_guard_keys has such a scan bring the documents in which a value of
 * the join's conditions may not fit its column, instead of those with its
 * keys.  False where the plan does not want that.
 */
bool
pns_fdw_guard_keys(ForeignScanState *node)
{
	PnsScanState *state = (PnsScanState *) node->fdw_state;

	state->query->guards = state->query->guard != NULL;
	return state->query->guards;
}

/*
 * pnsEndForeignScan closes the cursor; after an error its memory context does.
 */
void
pnsEndForeignScan(ForeignScanState *node)
{
	PnsScanState *state = (PnsScanState *) node->fdw_state;

	if (state != NULL)
		pns_reader_close(state->reader);
}

/*
 * pnsExplainForeignScan shows the collection, if verbose the command, and what
 * the execution has asked of the server.
 */
void
pnsExplainForeignScan(ForeignScanState *node, ExplainState *es)
{
	PnsScanState *state = (PnsScanState *) node->fdw_state;
	PnsDocument pipeline;
	int64		skipped;

	ExplainPropertyText("MongoDB Collection", pns_query_label(state->query), es);
	if (es->analyze)
		pns_fdw_explain_use(&state->use, es);
	if (es->analyze && state->query->repeats &&
		(pns_reader_reused(state->reader) > 0 || es->format != EXPLAIN_FORMAT_TEXT))
		ExplainPropertyUInteger("MongoDB Answers Reused", NULL,
								pns_reader_reused(state->reader), es);
	if (!es->verbose)
		return;

	/* what is only known while executing stays a placeholder */
	state->executing = false;
	state->query->guards = false;
	if (!pns_query_make_pipeline(state->query, pns_scan_operand_value, state, &pipeline,
								 &skipped))
	{
		ExplainPropertyText("MongoDB Command", "none, as no document can match", es);
		return;
	}
	ExplainPropertyText("MongoDB Command",
						pns_fdw_command_text(pns_query_table(state->query), pipeline,
											 pns_query_options(state->query)), es);
}

/*
 * open_reader evaluates the operands and makes the command; the first
 * document that is asked for sends it, unless its answer is known.
 */
static void
open_reader(PnsScanState *state)
{
	MemoryContext old = MemoryContextSwitchTo(state->cursor_context);
	const PnsTable *table = pns_query_table(state->query);
	PnsConnection *connection = NULL;
	PnsDocument pipeline;

	/* how a join is said depends on the server */
	if (state->query->join != NULL)
	{
		connection = pns_mongo_get_connection(table->serverid, state->userid);
		state->query->is_old_server =
			pns_mongo_wire_version(connection) < PNS_MONGO_WIRE_5_0;
	}
	if (!pns_query_make_pipeline(state->query, pns_scan_operand_value, state, &pipeline,
								 &state->skipped))
		state->done = true;
	else if (!pns_reader_find(state->reader, pipeline))
	{
		PnsCursor  *cursor;

		if (connection == NULL)
			connection = pns_mongo_get_connection(table->serverid, state->userid);
		cursor = pns_mongo_aggregate(connection, table->database, table->collection,
									 pipeline, pns_query_options(state->query),
									 table->fetch_size);
		pns_mongo_cursor_count(cursor, &state->use);
		pns_reader_begin(state->reader, cursor);
		state->demands = state->query->identity != NULL &&
			pns_mongo_transaction_mode(table->serverid) != PNS_MODE_OUTBOX &&
			!pns_mongo_in_transaction(connection);
	}
	MemoryContextSwitchTo(old);
}

/*
 * pns_scan_query returns what a scan reads.
 */
const PnsQuery *
pns_scan_query(const void *scan)
{
	return ((const PnsScanState *) scan)->query;
}

/*
 * pns_scan_explain_only has a scan run no more: what is only known while it does
 * is unknown from now on.
 */
void
pns_scan_explain_only(void *scan)
{
	((PnsScanState *) scan)->executing = false;
}

/*
 * pns_scan_operand_value gives the value of an operand in the current context,
 * or false where EXPLAIN cannot know it.
 */
bool
pns_scan_operand_value(void *scan, Expr *operand, Datum *value, bool *isnull)
{
	PnsScanState *state = (PnsScanState *) scan;
	int			number;

	if (IsA(operand, Const))
	{
		*value = ((Const *) operand)->constvalue;
		*isnull = ((Const *) operand)->constisnull;
		return true;
	}

	/* elog: the planner has put a parameter wherever an operand is asked for */
	if (!IsA(operand, Param))
		elog(ERROR, "unexpected node %d for the operand of a condition",
			 (int) nodeTag(operand));

	number = ((Param *) operand)->paramid;
	if (number >= state->first_key)
	{
		if (!state->executing)
			return false;
		*value = state->keys[number - state->first_key];
		*isnull = false;
		return true;
	}
	if (!state->executing &&
		is_unknown((Node *) list_nth(state->operands, number), state))
		return false;

	*value = ExecEvalExpr((ExprState *) list_nth(state->operand_states, number),
						  state->econtext, isnull);
	return true;
}

/*
 * is_unknown tells whether an operand cannot be evaluated for EXPLAIN.  When
 * auto_explain asks, the query's snapshot is gone, which a function may need.
 */
static bool
is_unknown(Node *operand, const PnsScanState *state)
{
	return depends_on_execution(operand, state->econtext) ||
		(!ActiveSnapshotSet() && !IsA(operand, Param));
}

/*
 * depends_on_execution tells whether an expression needs what other parts of
 * the plan compute, or parameters that EXPLAIN (GENERIC_PLAN) has no values of.
 */
static bool
depends_on_execution(Node *node, ExprContext *econtext)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param) &&
		(((Param *) node)->paramkind == PARAM_EXEC ||
		 econtext->ecxt_param_list_info == NULL))
		return true;
	return expression_tree_walker(node, depends_on_execution, econtext);
}

/*
 * store_heap_tuple turns a slot's row into a tuple with system columns, which
 * say what a row that is in no table can say.
 */
static void
store_heap_tuple(TupleTableSlot *slot)
{
	HeapTuple	tuple = heap_form_tuple(slot->tts_tupleDescriptor,
										slot->tts_values, slot->tts_isnull);

	ItemPointerSetInvalid(&tuple->t_self);
	HeapTupleHeaderSetXmin(tuple->t_data, InvalidTransactionId);
	HeapTupleHeaderSetXmax(tuple->t_data, InvalidTransactionId);
	HeapTupleHeaderSetCmin(tuple->t_data, InvalidTransactionId);
	ExecForceStoreHeapTuple(tuple, slot, false);
}
