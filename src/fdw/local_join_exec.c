/*-------------------------------------------------------------------------
 *
 * local_join_exec.c
 *	  Joins of any rows with a collection, by batches of keys: execution.
 *
 * A batch of outer rows is kept in a hash table by their keys, the documents
 * with these keys stream by and find their rows there.  So memory holds one
 * batch, however many documents a key has.
 *
 * The hash only finds candidates; whether a pair of rows matches is decided by
 * the join's conditions, the keys' own operators among them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/ruleutils.h"

#include "fdw/local_join.h"

/* What the join does next. */
typedef enum JoinPhase
{
	PHASE_FILL,					/* collect a batch */
	PHASE_MATCH,				/* read documents, and find their rows */
	PHASE_UNMATCHED,			/* return the rows that found none */
	PHASE_DONE
} JoinPhase;

/* The state of the node. */
typedef struct LocalJoinState
{
	CustomScanState css;		/* must be first */

	/* from the plan */
	JoinType	type;
	bool		stops_at_match; /* one match settles an outer row */
	bool		returns_unmatched;
	ExprState  *clauses;
	int		   *sources;		/* see PNS_JOIN_SOURCES; by column - 1 */
	PnsJoinBatch *batch;

	/* of the execution */
	TupleTableSlot *outer_slot; /* for the rows of the batch */
	JoinPhase	phase;
	bool		outer_done;
	TupleTableSlot *held;		/* an outer row for the next batch, or NULL */
	bool		guarded;		/* what does not fit was asked for */
	bool		inner_used;		/* the inner scan has to be started again */
	TupleTableSlot *document;	/* that is being matched */
	PnsJoinRow *candidate;		/* the next row for it, or NULL */

	/* of the batch */
	PnsJoinRow *unmatched;		/* the next to look at, of PHASE_UNMATCHED */
	uint64		waiting;		/* rows in the table without a match */

	/* for EXPLAIN ANALYZE */
	int64		batches;
	int64		keys_sent;
} LocalJoinState;

static Node *create_join_state(CustomScan *scan);
static void begin_join(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_join(CustomScanState *node);
static TupleTableSlot *next_row(LocalJoinState *state);
static void fill_batch(LocalJoinState *state);
static bool add_row(LocalJoinState *state, TupleTableSlot *slot);
static void send_keys(LocalJoinState *state);
static void look_for_misfits(LocalJoinState *state, ForeignScanState *inner);
static TupleTableSlot *match_rows(LocalJoinState *state);
static bool next_document(LocalJoinState *state);
static TupleTableSlot *return_unmatched(LocalJoinState *state);
static void set_joined_row(LocalJoinState *state, TupleTableSlot *outer, TupleTableSlot *document);
static TupleTableSlot *project_row(LocalJoinState *state);
static void end_join(CustomScanState *node);
static void rescan_join(CustomScanState *node);
static void explain_join(CustomScanState *node, List *ancestors, ExplainState *es);
static PlanState *outer_plan(LocalJoinState *state);
static PlanState *inner_plan(LocalJoinState *state);

const CustomScanMethods pns_join_scan_methods = {
	.CustomName = PNS_JOIN_NAME,
	.CreateCustomScanState = create_join_state,
};

static const CustomExecMethods exec_methods = {
	.CustomName = PNS_JOIN_NAME,
	.BeginCustomScan = begin_join,
	.ExecCustomScan = exec_join,
	.EndCustomScan = end_join,
	.ReScanCustomScan = rescan_join,
	.ExplainCustomScan = explain_join,
};

/*
 * create_join_state makes the node's state, which begin_join fills.
 */
static Node *
create_join_state(CustomScan *scan)
{
	LocalJoinState *state = palloc0(sizeof(LocalJoinState));

	NodeSetTag(state, T_CustomScanState);
	state->css.methods = &exec_methods;
	return (Node *) state;
}

/*
 * begin_join starts the children and prepares the conditions.
 */
static void
begin_join(CustomScanState *node, EState *estate, int eflags)
{
	LocalJoinState *state = (LocalJoinState *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	List	   *sources = list_nth(scan->custom_private, PNS_JOIN_SOURCES);
	PlanState  *outer;
	ListCell   *lc;
	int			i = 0;

	/* the inner side starts again with each batch, the outer is read once */
	outer = ExecInitNode(list_nth(scan->custom_plans, PNS_JOIN_OUTER), estate, eflags);
	node->custom_ps = list_make2(outer,
								 ExecInitNode(list_nth(scan->custom_plans, PNS_JOIN_INNER),
											  estate, eflags | EXEC_FLAG_REWIND));

	state->type = intVal(list_nth(scan->custom_private, PNS_JOIN_TYPE));
	state->stops_at_match = state->type == JOIN_SEMI || state->type == JOIN_ANTI;
	state->returns_unmatched = state->type == JOIN_LEFT || state->type == JOIN_ANTI;
	state->sources = palloc(sizeof(int) * list_length(sources));
	foreach(lc, sources)
		state->sources[i++] = lfirst_int(lc);
	state->clauses = ExecInitQual(list_nth(scan->custom_exprs, PNS_JOIN_CLAUSES),
								  &node->ss.ps);
	state->batch = pns_join_batch_create(scan, &node->ss.ps);
	state->outer_slot = ExecInitExtraTupleSlot(estate, ExecGetResultType(outer),
											   &TTSOpsMinimalTuple);
	state->phase = PHASE_FILL;
}

/*
 * exec_join returns the next row of the join, or an empty slot.
 */
static TupleTableSlot *
exec_join(CustomScanState *node)
{
	LocalJoinState *state = (LocalJoinState *) node;
	TupleTableSlot *slot;

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();

		switch (state->phase)
		{
			case PHASE_FILL:
				fill_batch(state);
				break;
			case PHASE_MATCH:
			case PHASE_UNMATCHED:
				slot = next_row(state);
				if (slot != NULL)
					return slot;
				break;
			case PHASE_DONE:
				return NULL;
		}
	}
}

/*
 * next_row returns the next row of the batch, or NULL and moves on to the next
 * phase.
 */
static TupleTableSlot *
next_row(LocalJoinState *state)
{
	TupleTableSlot *slot = NULL;

	if (state->phase == PHASE_MATCH)
	{
		slot = match_rows(state);
		if (slot == NULL)
			state->phase = PHASE_UNMATCHED;
	}
	else
	{
		if (state->returns_unmatched)
			slot = return_unmatched(state);
		if (slot == NULL)
			state->phase = PHASE_FILL;
	}
	return slot;
}

/*
 * fill_batch collects outer rows and asks for the documents with their keys.
 */
static void
fill_batch(LocalJoinState *state)
{
	pns_join_batch_clear(state->batch);
	state->waiting = 0;
	state->candidate = NULL;
	while (!state->outer_done && !pns_join_batch_is_full(state->batch))
	{
		TupleTableSlot *slot = state->held;

		CHECK_FOR_INTERRUPTS();
		if (slot == NULL)
			slot = ExecProcNode(outer_plan(state));
		state->held = NULL;

		if (TupIsNull(slot))
			state->outer_done = true;
		else if (!add_row(state, slot))
		{
			/* stays where it is until the outer plan is asked again */
			state->held = slot;
			break;
		}
	}

	state->unmatched = state->batch->first;
	if (state->waiting > 0)
	{
		send_keys(state);
		state->phase = PHASE_MATCH;
	}
	else if (state->batch->first != NULL)
		state->phase = PHASE_UNMATCHED;
	else if (state->outer_done)
		state->phase = PHASE_DONE;
}

/*
 * add_row adds an outer row to the batch, or returns false where there is no
 * room for its keys.
 */
static bool
add_row(LocalJoinState *state, TupleTableSlot *slot)
{
	ExprContext *econtext = state->css.ss.ps.ps_ExprContext;
	PnsJoinFit	fit;

	ResetExprContext(econtext);
	set_joined_row(state, slot, NULL);
	fit = pns_join_batch_add(state->batch, econtext, slot, state->returns_unmatched);
	if (fit == PNS_JOIN_ADDED)
		state->waiting++;
	return fit != PNS_JOIN_NO_ROOM;
}

/*
 * send_keys starts the inner scan with the keys of the batch.
 */
static void
send_keys(LocalJoinState *state)
{
	ForeignScanState *inner = castNode(ForeignScanState, inner_plan(state));
	int64		nkeys;
	Datum	   *arrays = pns_join_batch_arrays(state->batch, &nkeys);

	look_for_misfits(state, inner);
	if (state->inner_used)
		ExecReScan(&inner->ss.ps);
	pns_fdw_set_keys(inner, arrays);
	state->inner_used = true;
	state->batches++;
	state->keys_sent += nkeys;
}

/*
 * look_for_misfits reads, once and where the plan asks for it, the documents in
 * which a value of the join's conditions may not fit its column.  Those that do
 * not are errors then.
 */
static void
look_for_misfits(LocalJoinState *state, ForeignScanState *inner)
{
	if (state->guarded || !pns_fdw_guard_keys(inner))
		return;
	if (state->inner_used)
		ExecReScan(&inner->ss.ps);
	while (!TupIsNull(ExecProcNode(&inner->ss.ps)))
		CHECK_FOR_INTERRUPTS();
	state->inner_used = true;
	state->guarded = true;
}

/*
 * match_rows returns the next row of a pair that matches, or NULL when there
 * is nothing more to find for the batch.
 */
static TupleTableSlot *
match_rows(LocalJoinState *state)
{
	ExprContext *econtext = state->css.ss.ps.ps_ExprContext;

	for (;;)
	{
		PnsJoinRow *row = state->candidate;
		TupleTableSlot *slot;

		if (row == NULL)
		{
			if (!next_document(state))
				return NULL;
			continue;
		}
		state->candidate = row->next_same;
		if (state->stops_at_match && row->matched)
			continue;

		CHECK_FOR_INTERRUPTS();
		ResetExprContext(econtext);
		ExecStoreMinimalTuple(row->tuple, state->outer_slot, false);
		set_joined_row(state, state->outer_slot, state->document);
		if (!ExecQual(state->clauses, econtext))
			continue;

		state->waiting -= row->matched ? 0 : 1;
		row->matched = true;
		slot = state->type != JOIN_ANTI ? project_row(state) : NULL;
		if (slot != NULL)
			return slot;
	}
}

/*
 * next_document reads a document and looks its rows up.  False when there is
 * none, or none that could change anything.
 */
static bool
next_document(LocalJoinState *state)
{
	ExprContext *econtext = state->css.ss.ps.ps_ExprContext;

	if (state->stops_at_match && state->waiting == 0)
		return false;
	state->document = ExecProcNode(inner_plan(state));
	if (TupIsNull(state->document))
		return false;

	ResetExprContext(econtext);
	state->candidate = pns_join_batch_find(state->batch, econtext, state->document);
	return true;
}

/*
 * return_unmatched returns the next row of the batch that found no document.
 */
static TupleTableSlot *
return_unmatched(LocalJoinState *state)
{
	while (state->unmatched != NULL)
	{
		PnsJoinRow *row = state->unmatched;
		TupleTableSlot *slot;

		state->unmatched = row->next;
		if (row->matched)
			continue;

		CHECK_FOR_INTERRUPTS();
		ResetExprContext(state->css.ss.ps.ps_ExprContext);
		ExecStoreMinimalTuple(row->tuple, state->outer_slot, false);
		set_joined_row(state, state->outer_slot, NULL);
		slot = project_row(state);
		if (slot != NULL)
			return slot;
	}
	return NULL;
}

/*
 * set_joined_row puts the columns of an outer row and of a document together;
 * without a document, its columns are NULL.
 */
static void
set_joined_row(LocalJoinState *state, TupleTableSlot *outer, TupleTableSlot *document)
{
	TupleTableSlot *slot = state->css.ss.ss_ScanTupleSlot;

	ExecClearTuple(slot);
	for (int i = 0; i < slot->tts_tupleDescriptor->natts; i++)
	{
		int			number = state->sources[i];

		if (number > 0)
			slot->tts_values[i] = slot_getattr(outer, number, &slot->tts_isnull[i]);
		else if (document != NULL)
			slot->tts_values[i] = slot_getattr(document, -number, &slot->tts_isnull[i]);
		else
			slot->tts_isnull[i] = true;
	}
	ExecStoreVirtualTuple(slot);
	state->css.ss.ps.ps_ExprContext->ecxt_scantuple = slot;
}

/*
 * project_row returns the joined row as the node's parent wants it, or NULL
 * where a condition on the join's result does not hold.
 */
static TupleTableSlot *
project_row(LocalJoinState *state)
{
	PlanState  *plan = &state->css.ss.ps;

	if (!ExecQual(plan->qual, plan->ps_ExprContext))
	{
		InstrCountFiltered1(plan, 1);
		return NULL;
	}
	return plan->ps_ProjInfo != NULL ?
		ExecProject(plan->ps_ProjInfo) : state->css.ss.ss_ScanTupleSlot;
}

/*
 * end_join ends the children; memory goes with the query's.
 */
static void
end_join(CustomScanState *node)
{
	LocalJoinState *state = (LocalJoinState *) node;

	ExecEndNode(outer_plan(state));
	ExecEndNode(inner_plan(state));
}

/*
 * rescan_join starts again from the first outer row.  The inner scan starts
 * with the next keys.
 */
static void
rescan_join(CustomScanState *node)
{
	LocalJoinState *state = (LocalJoinState *) node;
	PlanState  *outer = outer_plan(state);

	if (node->ss.ps.chgParam != NULL)
	{
		UpdateChangedParamSet(outer, node->ss.ps.chgParam);
		UpdateChangedParamSet(inner_plan(state), node->ss.ps.chgParam);
	}
	/* what it asks for may be other documents then, misfits among them */
	if (inner_plan(state)->chgParam != NULL)
		state->guarded = false;

	/* else the first call of ExecProcNode does that */
	if (outer->chgParam == NULL)
		ExecReScan(outer);

	state->phase = PHASE_FILL;
	state->outer_done = false;
	state->held = NULL;
}

/*
 * explain_join shows how rows are matched and, of an execution, what was sent.
 */
static void
explain_join(CustomScanState *node, List *ancestors, ExplainState *es)
{
	static const char *const names[] = {
		[JOIN_INNER] = "Inner",
		[JOIN_LEFT] = "Left",
		[JOIN_SEMI] = "Semi",
		[JOIN_ANTI] = "Anti",
	};
	LocalJoinState *state = (LocalJoinState *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	List	   *context = set_deparse_context_plan(es->deparse_cxt, &scan->scan.plan, ancestors);
	Expr	   *clauses = make_ands_explicit(list_nth(scan->custom_exprs, PNS_JOIN_CLAUSES));

	ExplainPropertyText("Join Type", names[state->type], es);
	ExplainPropertyText("Join Cond",
						deparse_expression((Node *) clauses, context, true, false), es);
	if (es->analyze)
	{
		ExplainPropertyInteger("Batches", NULL, state->batches, es);
		ExplainPropertyInteger("Keys Sent", NULL, state->keys_sent, es);
	}
}

/*
 * outer_plan returns the child whose rows are collected.
 */
static PlanState *
outer_plan(LocalJoinState *state)
{
	return (PlanState *) list_nth(state->css.custom_ps, PNS_JOIN_OUTER);
}

/*
 * inner_plan returns the scan of the collection.
 */
static PlanState *
inner_plan(LocalJoinState *state)
{
	return (PlanState *) list_nth(state->css.custom_ps, PNS_JOIN_INNER);
}
