/*-------------------------------------------------------------------------
 *
 * local_join_exec.c
 *	  Joins of any rows with a collection, by batches of keys: execution.
 *
 * A batch of outer rows is kept in a hash table by their keys, the documents
 * with these keys stream by and find their rows there.  So memory holds one
 * batch, however many documents a key has: a batch ends with join_batch_size
 * distinct keys, with the memory that a hash table may take (work_mem), or
 * where the keys would not fit into a command.
 *
 * The hash only finds candidates; whether a pair of rows matches is decided by
 * the join's conditions, the keys' own operators among them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "executor/nodeHash.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "port/pg_bitutils.h"
#include "utils/array.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/ruleutils.h"

#include "fdw/local_join.h"

/*
 * What the keys of one batch may take in a filter, about; bytes.  Half of what
 * filter.c grants a condition before it sends none at all.
 */
#define LARGEST_KEYS (1024 * 1024)
/* What a key takes beside its own bytes, about. */
#define KEY_OVERHEAD 96

/* A value that a batch sends. */
typedef struct SentKey
{
	Datum		value;			/* in the batch's memory */
	uint32		hash;
	char		status;
} SentKey;

/* A key of the join. */
typedef struct JoinKey
{
	ExprState  *value;			/* of an outer row, over the joined row */
	AttrNumber	column;			/* of the inner plan's row */
	Oid			collation;
	FmgrInfo	hash_outer;
	FmgrInfo	hash_inner;
	Oid			type;			/* of the outer value */
	int16		length;
	bool		by_value;
	char		alignment;
	struct sentkeys_hash *sent; /* of the batch */
	Size		bytes;			/* of their values */
} JoinKey;

/* An outer row; in the batch's memory. */
typedef struct OuterRow
{
	struct OuterRow *next;		/* of the batch */
	struct OuterRow *next_same; /* with the same hash */
	bool		matched;
	MinimalTuple tuple;
} OuterRow;

/* The rows with one hash of their keys. */
typedef struct RowBucket
{
	uint32		hash;
	OuterRow   *rows;
	char		status;
} RowBucket;

static uint32 hash_outer_key(JoinKey *key, Datum value);
static bool is_same_image(const JoinKey *key, Datum left, Datum right);

/* the distinct keys of a batch; private_data is their JoinKey */
#define SH_PREFIX sentkeys
#define SH_ELEMENT_TYPE SentKey
#define SH_KEY_TYPE Datum
#define SH_KEY value
#define SH_HASH_KEY(table, key) hash_outer_key((JoinKey *) (table)->private_data, key)
#define SH_EQUAL(table, left, right) \
	is_same_image((JoinKey *) (table)->private_data, left, right)
#define SH_STORE_HASH
#define SH_GET_HASH(table, element) ((element)->hash)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* the rows of a batch by the hash of all of their keys */
#define SH_PREFIX rowtable
#define SH_ELEMENT_TYPE RowBucket
#define SH_KEY_TYPE uint32
#define SH_KEY hash
#define SH_HASH_KEY(table, key) (key)
#define SH_EQUAL(table, left, right) ((left) == (right))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* What the join does next. */
typedef enum JoinPhase
{
	PHASE_FILL,					/* collect a batch */
	PHASE_MATCH,				/* read documents, and find their rows */
	PHASE_UNMATCHED,			/* return the rows that found none */
	PHASE_DONE
} JoinPhase;

/* What became of an outer row's keys. */
typedef enum KeyFit
{
	KEYS_ADDED,
	KEYS_NULL,					/* one is: the row matches nothing */
	KEYS_DO_NOT_FIT				/* into this batch */
} KeyFit;

/* The state of the node. */
typedef struct LocalJoinState
{
	CustomScanState css;		/* must be first */

	/* from the plan */
	JoinType	type;
	bool		stops_at_match; /* one match settles an outer row */
	bool		returns_unmatched;
	ExprState  *clauses;
	JoinKey    *keys;
	int			nkeys;
	int		   *sources;		/* see PNS_JOIN_SOURCES; by column - 1 */
	int			batch_size;
	Size		memory_limit;

	/* of the execution */
	TupleTableSlot *outer_slot; /* for the rows of the batch */
	JoinPhase	phase;
	bool		outer_done;
	TupleTableSlot *held;		/* an outer row for the next batch, or NULL */
	bool		guarded;		/* what does not fit was asked for */
	bool		inner_used;		/* the inner scan has to be started again */
	TupleTableSlot *document;	/* that is being matched */
	OuterRow   *candidate;		/* the next row for it, or NULL */

	/* of the batch */
	MemoryContext batch_context;
	struct rowtable_hash *table;
	OuterRow   *first;
	OuterRow   *last;
	OuterRow   *unmatched;		/* the next to look at, of PHASE_UNMATCHED */
	uint64		waiting;		/* rows in the table without a match */

	/* for EXPLAIN ANALYZE */
	int64		batches;
	int64		keys_sent;
} LocalJoinState;

static Node *create_join_state(CustomScan *scan);
static void begin_join(CustomScanState *node, EState *estate, int eflags);
static void init_keys(LocalJoinState *state, CustomScan *scan);
static TupleTableSlot *exec_join(CustomScanState *node);
static TupleTableSlot *next_row(LocalJoinState *state);
static void fill_batch(LocalJoinState *state);
static void start_batch(LocalJoinState *state);
static bool is_out_of_memory(LocalJoinState *state);
static bool add_row(LocalJoinState *state, TupleTableSlot *slot);
static KeyFit add_keys(LocalJoinState *state, uint32 *hash);
static bool has_room(LocalJoinState *state, JoinKey *key, Datum value);
static Size key_bytes(const JoinKey *key, Datum value);
static void send_keys(LocalJoinState *state);
static void look_for_misfits(LocalJoinState *state, ForeignScanState *inner);
static Datum keys_array(const JoinKey *key);
static TupleTableSlot *match_rows(LocalJoinState *state);
static bool next_document(LocalJoinState *state);
static bool hash_document(LocalJoinState *state, uint32 *hash);
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
	init_keys(state, scan);

	state->batch_size = pns_fdw_join_batch_size;
	state->memory_limit = get_hash_memory_limit();
	state->outer_slot = ExecInitExtraTupleSlot(estate, ExecGetResultType(outer),
											   &TTSOpsMinimalTuple);
	state->batch_context = AllocSetContextCreate(estate->es_query_cxt,
												 "pynomaly_store join batch",
												 ALLOCSET_DEFAULT_SIZES);
	state->phase = PHASE_FILL;
}

/*
 * init_keys prepares what the keys are computed and hashed with.
 */
static void
init_keys(LocalJoinState *state, CustomScan *scan)
{
	List	   *values = list_nth(scan->custom_exprs, PNS_JOIN_KEYS);
	List	   *operators = list_nth(scan->custom_private, PNS_JOIN_OPERATORS);
	List	   *collations = list_nth(scan->custom_private, PNS_JOIN_COLLATIONS);
	List	   *columns = list_nth(scan->custom_private, PNS_JOIN_COLUMNS);

	state->nkeys = list_length(values);
	state->keys = palloc0(sizeof(JoinKey) * state->nkeys);
	for (int i = 0; i < state->nkeys; i++)
	{
		JoinKey    *key = &state->keys[i];
		Expr	   *value = list_nth(values, i);
		Oid			operator = list_nth_oid(operators, i);
		RegProcedure hash_inner;
		RegProcedure hash_outer;

		/* elog: the planner has looked them up */
		if (!get_op_hash_functions(operator, &hash_inner, &hash_outer))
			elog(ERROR, "could not find hash function for hash operator %u", operator);
		fmgr_info(hash_inner, &key->hash_inner);
		fmgr_info(hash_outer, &key->hash_outer);

		key->value = ExecInitExpr(value, &state->css.ss.ps);
		key->column = list_nth_int(columns, i);
		key->collation = list_nth_oid(collations, i);
		key->type = exprType((Node *) value);
		get_typlenbyvalalign(key->type, &key->length, &key->by_value, &key->alignment);
	}
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
	start_batch(state);
	while (!state->outer_done && !is_out_of_memory(state))
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

	state->unmatched = state->first;
	if (state->waiting > 0)
	{
		send_keys(state);
		state->phase = PHASE_MATCH;
	}
	else if (state->first != NULL)
		state->phase = PHASE_UNMATCHED;
	else if (state->outer_done)
		state->phase = PHASE_DONE;
}

/*
 * start_batch forgets the last batch.
 */
static void
start_batch(LocalJoinState *state)
{
	MemoryContextReset(state->batch_context);
	state->table = rowtable_create(state->batch_context, 256, NULL);
	for (int i = 0; i < state->nkeys; i++)
	{
		state->keys[i].sent = sentkeys_create(state->batch_context, 256, &state->keys[i]);
		state->keys[i].bytes = 0;
	}
	state->first = NULL;
	state->last = NULL;
	state->waiting = 0;
	state->document = NULL;
	state->candidate = NULL;
}

/*
 * is_out_of_memory tells whether the batch has taken what memory it may.
 */
static bool
is_out_of_memory(LocalJoinState *state)
{
	return state->first != NULL &&
		MemoryContextMemAllocated(state->batch_context, false) >= state->memory_limit;
}

/*
 * add_row adds an outer row to the batch, unless that is not needed, or
 * returns false where the batch has no room for its keys.
 */
static bool
add_row(LocalJoinState *state, TupleTableSlot *slot)
{
	ExprContext *econtext = state->css.ss.ps.ps_ExprContext;
	MemoryContext old;
	OuterRow   *row;
	RowBucket  *bucket;
	uint32		hash;
	bool		found;
	KeyFit		fit;

	ResetExprContext(econtext);
	set_joined_row(state, slot, NULL);
	old = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	fit = add_keys(state, &hash);
	MemoryContextSwitchTo(state->batch_context);

	if (fit == KEYS_ADDED || (fit == KEYS_NULL && state->returns_unmatched))
	{
		row = palloc0(sizeof(OuterRow));
		row->tuple = ExecCopySlotMinimalTuple(slot);
		if (state->last != NULL)
			state->last->next = row;
		else
			state->first = row;
		state->last = row;
		if (fit == KEYS_ADDED)
		{
			bucket = rowtable_insert(state->table, hash, &found);
			row->next_same = found ? bucket->rows : NULL;
			bucket->rows = row;
			state->waiting++;
		}
	}
	MemoryContextSwitchTo(old);
	return fit != KEYS_DO_NOT_FIT;
}

/*
 * add_keys adds the keys of the outer row in the joined row's slot to those
 * that the batch sends, and hashes them together.
 */
static KeyFit
add_keys(LocalJoinState *state, uint32 *hash)
{
	ExprContext *econtext = state->css.ss.ps.ps_ExprContext;
	Datum	   *values = palloc(sizeof(Datum) * state->nkeys);

	*hash = 0;
	for (int i = 0; i < state->nkeys; i++)
	{
		JoinKey    *key = &state->keys[i];
		bool		isnull;

		values[i] = ExecEvalExpr(key->value, econtext, &isnull);
		if (isnull)
			return KEYS_NULL;	/* equals nothing */
		if (key->length == -1)
			values[i] = PointerGetDatum(PG_DETOAST_DATUM_PACKED(values[i]));
		if (!has_room(state, key, values[i]))
			return KEYS_DO_NOT_FIT;
		*hash = pg_rotate_left32(*hash, 1) ^ hash_outer_key(key, values[i]);
	}

	for (int i = 0; i < state->nkeys; i++)
	{
		JoinKey    *key = &state->keys[i];
		bool		found;
		SentKey    *sent = sentkeys_insert(key->sent, values[i], &found);

		if (found)
			continue;
		key->bytes += key_bytes(key, values[i]);
		MemoryContextSwitchTo(state->batch_context);
		sent->value = datumCopy(values[i], key->by_value, key->length);
		MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	}
	return KEYS_ADDED;
}

/*
 * has_room tells whether the batch can send a value.  One that is too large by
 * itself goes alone.
 */
static bool
has_room(LocalJoinState *state, JoinKey *key, Datum value)
{
	if (key->sent->members == 0 || sentkeys_lookup(key->sent, value) != NULL)
		return true;
	return key->sent->members < state->batch_size &&
		key->bytes + key_bytes(key, value) <= LARGEST_KEYS;
}

/*
 * key_bytes estimates what a value takes in a filter, twice itself where both
 * ends of a range are sent.
 */
static Size
key_bytes(const JoinKey *key, Datum value)
{
	return KEY_OVERHEAD + 2 * datumGetSize(value, key->by_value, key->length);
}

/*
 * hash_outer_key hashes a value of an outer row as the key's operator has it.
 */
static uint32
hash_outer_key(JoinKey *key, Datum value)
{
	return DatumGetUInt32(FunctionCall1Coll(&key->hash_outer, key->collation, value));
}

/*
 * is_same_image tells whether two values are the same to the last bit.  Values
 * that are equal without that are sent both.
 */
static bool
is_same_image(const JoinKey *key, Datum left, Datum right)
{
	return datum_image_eq(left, right, key->by_value, key->length);
}

/*
 * send_keys starts the inner scan with the keys of the batch.
 */
static void
send_keys(LocalJoinState *state)
{
	ForeignScanState *inner = castNode(ForeignScanState, inner_plan(state));
	MemoryContext old = MemoryContextSwitchTo(state->batch_context);
	Datum	   *arrays = palloc(sizeof(Datum) * state->nkeys);

	for (int i = 0; i < state->nkeys; i++)
	{
		arrays[i] = keys_array(&state->keys[i]);
		state->keys_sent += state->keys[i].sent->members;
	}
	MemoryContextSwitchTo(old);

	look_for_misfits(state, inner);
	if (state->inner_used)
		ExecReScan(&inner->ss.ps);
	pns_fdw_set_keys(inner, arrays);
	state->inner_used = true;
	state->batches++;
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
 * keys_array makes an array of the values that a batch sends for a key.
 */
static Datum
keys_array(const JoinKey *key)
{
	Datum	   *values = palloc(sizeof(Datum) * key->sent->members);
	sentkeys_iterator iterator;
	SentKey    *sent;
	int			nvalues = 0;

	sentkeys_start_iterate(key->sent, &iterator);
	while ((sent = sentkeys_iterate(key->sent, &iterator)) != NULL)
		values[nvalues++] = sent->value;
	return PointerGetDatum(construct_array(values, nvalues, key->type, key->length,
										   key->by_value, key->alignment));
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
		OuterRow   *row = state->candidate;
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
	MemoryContext old;
	uint32		hash;

	if (state->stops_at_match && state->waiting == 0)
		return false;
	state->document = ExecProcNode(inner_plan(state));
	if (TupIsNull(state->document))
		return false;

	ResetExprContext(econtext);
	old = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	if (hash_document(state, &hash))
	{
		RowBucket  *bucket = rowtable_lookup(state->table, hash);

		state->candidate = bucket != NULL ? bucket->rows : NULL;
	}
	MemoryContextSwitchTo(old);
	return true;
}

/*
 * hash_document hashes the keys of a document as add_keys does those of a row.
 * False where one of them is NULL, which equals nothing.
 */
static bool
hash_document(LocalJoinState *state, uint32 *hash)
{
	*hash = 0;
	for (int i = 0; i < state->nkeys; i++)
	{
		JoinKey    *key = &state->keys[i];
		bool		isnull;
		Datum		value = slot_getattr(state->document, key->column, &isnull);

		if (isnull)
			return false;
		*hash = pg_rotate_left32(*hash, 1) ^
			DatumGetUInt32(FunctionCall1Coll(&key->hash_inner, key->collation, value));
	}
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
		OuterRow   *row = state->unmatched;
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
	/* else the first call of ExecProcNode does that */
	if (outer->chgParam == NULL)
		ExecReScan(outer);

	state->phase = PHASE_FILL;
	state->outer_done = false;
	state->held = NULL;
	state->guarded = false;
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
