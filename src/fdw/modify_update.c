/*-------------------------------------------------------------------------
 *
 * modify_update.c
 *	  UPDATE and DELETE, row by row as core has them, in batches as they are
 *	  sent.
 *
 * Core asks for one row at a time, and counts it when it gets it back; there is
 * no callback at the end of the rows.  So rows are kept back, and what is left
 * of them is sent when the plan below the ModifyTable says that it has no more:
 * its ExecProcNode is ours, which calls the node's own.  That is before the
 * statement's number of rows is read, which the end of the executor is not.
 *
 * In a transaction a document that was read is there until it is written, or
 * else MongoDB reports a conflict.  Outside of one it may be gone, and is not to
 * be counted; or it has changed, and what was computed of it is not to be
 * written: the row is looked at again.  Of several updates in one command the
 * server does not tell which has found no document, so that there a change is an
 * error.  Where somebody sees each row (RETURNING, triggers) they are sent one
 * by one there, so that no row is shown that was not written.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "fdw/modify.h"

/* A node whose last row is waited for. */
typedef struct WatchedNode
{
	PlanState  *node;
	ExecProcNodeMtd exec;		/* its own */
	ModifyTableState *mtstate;
	MemoryContextCallback callback; /* forgets it with the query */
	struct WatchedNode *next;
} WatchedNode;

/* A document that the statement has written. */
typedef struct WrittenRow
{
	const bytea *identity;
} WrittenRow;

static bool send_if_full(PnsModify *modify, TupleTableSlot *slot);
static void forget_node(void *arg);
static TupleTableSlot *exec_watched(PlanState *node);
static bool gives_rows_once(Plan *plan);
static void create_written(PnsModify *modify, MemoryContext context);
static uint32 hash_written(const void *key, Size size);
static int	match_written(const void *a, const void *b, Size size);
static bool is_again(PnsModify *modify, bytea *identity);
static bytea *get_identity(const PnsModify *modify, TupleTableSlot *plan_slot,
						   PnsDocument *identity);
static bool take_identity(PnsModify *modify, TupleTableSlot *plan_slot,
						  PnsDocument *identity);
static void add_operation(PnsModify *modify, PnsDocument identity, const PnsDocument *update);
static Bitmapset *changed_columns(const PnsModify *modify, const ResultRelInfo *rinfo,
								  TupleTableSlot *slot);
static int64 send_rows(PnsModify *modify);
static int64 count_gone(PnsModify *modify, int64 missing);
static PnsCursor *find_rows(PnsModify *modify);
static void keep_changed(PnsModify *modify);
static void add_changed(PnsModify *modify, PnsDocument document);
static void raise_changed(const PnsModify *modify) pg_attribute_noreturn();

/* The nodes of all running statements. */
static WatchedNode *watched_nodes = NULL;

/*
 * pns_modify_begin_update prepares to update or delete rows of a table.
 */
void
pns_modify_begin_update(PnsModify *modify, ModifyTableState *mtstate, ResultRelInfo *rinfo)
{
	ModifyTable *plan = (ModifyTable *) mtstate->ps.plan;
	List	   *tlist = outerPlan(plan)->targetlist;
	const TriggerDesc *triggers = rinfo->ri_TrigDesc;
	int			member = -1;
	Bitmapset  *columns;

	modify->identity = ExecFindJunkAttributeInTlist(tlist, PNS_IDENTITY_NAME);
	modify->old_row = ExecFindJunkAttributeInTlist(tlist, "wholerow");
	if (modify->operation == CMD_UPDATE)
	{
		columns = ExecGetAllUpdatedCols(rinfo, mtstate->ps.state);
		while ((member = bms_next_member(columns, member)) >= 0)
			modify->columns = bms_add_member(modify->columns,
											 member + FirstLowInvalidHeapAttributeNumber);
	}
	if (triggers != NULL)
	{
		bool		updates = modify->operation == CMD_UPDATE;
		bool		before = updates ? triggers->trig_update_before_row :
		triggers->trig_delete_before_row;
		bool		after = updates ? triggers->trig_update_after_row :
		triggers->trig_delete_after_row;

		modify->compares = updates && before;
		modify->one_by_one = before || (after && modify->mode == PNS_MODE_NONE);
	}
	if (modify->mode == PNS_MODE_NONE &&
		(plan->returningLists != NIL || plan->withCheckOptionLists != NIL))
		modify->one_by_one = true;
	if (modify->decoder != NULL)
		modify->one_by_one = true;
	if (modify->one_by_one)
		modify->batch_size = 1;
	if (modify->mode == PNS_MODE_NONE && !modify->compares &&
		(triggers == NULL || (!triggers->trig_update_after_row &&
							  !triggers->trig_delete_after_row &&
							  !triggers->trig_delete_before_row)))
		modify->recheck = pns_recheck_create(mtstate, rinfo);
	if (!gives_rows_once(outerPlan(plan)))
		create_written(modify, mtstate->ps.state->es_query_cxt);
}

/*
 * pnsExecForeignUpdate updates the document of a row.  Returns the row as it
 * is now, or NULL where it is gone or was updated by the statement before.
 *
 * Errors: those of pns_row_make_update and of writing; 40001 where another
 * client has changed it.
 */
TupleTableSlot *
pnsExecForeignUpdate(EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot,
					 TupleTableSlot *plan_slot)
{
	PnsModify  *modify = (PnsModify *) rinfo->ri_FdwState;
	MemoryContext old = MemoryContextSwitchTo(modify->context);
	PnsDocument identity;
	PnsDocument update;
	bool		found = take_identity(modify, plan_slot, &identity);

	if (found && modify->checks)
		pns_modify_check_row(modify, estate, rinfo, slot);
	if (found && pns_row_make_update(modify->writer, slot,
									 changed_columns(modify, rinfo, slot), identity, &update))
		add_operation(modify, identity, &update);
	MemoryContextSwitchTo(old);
	return found && send_if_full(modify, slot) ? slot : NULL;
}

/*
 * pnsExecForeignDelete deletes the document of a row.  Returns the row as it
 * was, where RETURNING asks for it, or NULL where it is gone already.
 *
 * Errors: as pnsExecForeignUpdate.
 */
TupleTableSlot *
pnsExecForeignDelete(EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot,
					 TupleTableSlot *plan_slot)
{
	PnsModify  *modify = (PnsModify *) rinfo->ri_FdwState;
	MemoryContext old = MemoryContextSwitchTo(modify->context);
	PnsDocument identity;
	bool		found = take_identity(modify, plan_slot, &identity);

	if (found)
		add_operation(modify, identity, NULL);
	MemoryContextSwitchTo(old);
	if (!found || !send_if_full(modify, slot))
		return NULL;
	if (rinfo->ri_projectReturning != NULL)
	{
		bool		isnull;
		Datum		row = ExecGetJunkAttribute(modify->changed != NULL ? modify->changed :
											   plan_slot, modify->old_row, &isnull);

		ExecStoreHeapTupleDatum(row, slot);
	}
	return slot;
}

/*
 * pns_modify_finish sends the rows that were kept back, and returns how many of
 * the rows that core has counted were gone.
 */
int64
pns_modify_finish(PnsModify *modify)
{
	int64		gone = modify->gone;

	if (modify->operation == CMD_INSERT)
	{
		pns_modify_finish_insert(modify);
		return 0;
	}
	modify->gone = 0;
	if (modify->operations != NIL)
		gone += send_rows(modify);
	pns_modify_clear(modify);
	if (modify->moved != NULL)
		pns_modify_finish_insert(modify->moved);
	return gone;
}

/*
 * send_if_full sends the rows that were kept back if they are enough.  False
 * where the present row has to be sent by itself, and is gone.  Puts into slot
 * what an update has made of it, where that cannot be told without looking.
 */
static bool
send_if_full(PnsModify *modify, TupleTableSlot *slot)
{
	int64		gone;

	if (!pns_modify_is_full(modify))
		return true;
	gone = send_rows(modify);
	if (modify->one_by_one && gone == 0 && modify->decoder != NULL)
	{
		PnsCursor  *cursor = find_rows(modify);
		PnsDocument document;

		if (pns_mongo_cursor_next(cursor, &document))
			pns_modify_read_back(modify, document, slot);
		pns_mongo_cursor_close(cursor);
	}
	pns_modify_clear(modify);
	if (modify->one_by_one)
		return gone == 0;
	modify->gone += gone;
	return true;
}

/*
 * pns_modify_watch_rows has the end of the rows of a statement seen.
 */
void
pns_modify_watch_rows(ModifyTableState *mtstate)
{
	PlanState  *node = outerPlanState(mtstate);
	MemoryContext context = mtstate->ps.state->es_query_cxt;
	WatchedNode *watched;

	/* other tables of the statement have done it */
	for (watched = watched_nodes; watched != NULL; watched = watched->next)
	{
		if (watched->node == node)
			return;
	}

	watched = MemoryContextAllocZero(context, sizeof(WatchedNode));
	watched->node = node;
	watched->exec = node->ExecProcNodeReal;
	watched->mtstate = mtstate;
	watched->callback.func = forget_node;
	watched->callback.arg = watched;
	watched->next = watched_nodes;
	watched_nodes = watched;
	MemoryContextRegisterResetCallback(context, &watched->callback);
	ExecSetExecProcNode(node, exec_watched);
}

/*
 * forget_node takes a node out of the list, as its query's memory goes.
 */
static void
forget_node(void *arg)
{
	for (WatchedNode **link = &watched_nodes; *link != NULL; link = &(*link)->next)
	{
		if (*link == arg)
		{
			*link = (*link)->next;
			return;
		}
	}
}

/*
 * exec_watched returns a node's next row.  After the last one it sends what is
 * left of those before, and takes back what core has counted too much.
 */
static TupleTableSlot *
exec_watched(PlanState *node)
{
	WatchedNode *watched = watched_nodes;
	ModifyTableState *mtstate;
	TupleTableSlot *slot;

	while (watched->node != node)
		watched = watched->next;
	mtstate = watched->mtstate;
	slot = watched->exec(node);
	if (!TupIsNull(slot))
		return slot;

	for (int i = 0; i < mtstate->mt_nrels; i++)
	{
		ResultRelInfo *rinfo = &mtstate->resultRelInfo[i];
		int64		gone;

		if (rinfo->ri_FdwRoutine == NULL || rinfo->ri_usesFdwDirectModify ||
			rinfo->ri_FdwRoutine->ExecForeignUpdate != pnsExecForeignUpdate)
			continue;
		gone = pns_modify_finish((PnsModify *) rinfo->ri_FdwState);
		if (mtstate->canSetTag)
			mtstate->ps.state->es_processed -= gone;
	}
	return slot;
}

/*
 * gives_rows_once tells whether a plan gives each row of its target once, which
 * a join may not.
 */
static bool
gives_rows_once(Plan *plan)
{
	ListCell   *lc;

	if (IsA(plan, Append))
	{
		foreach(lc, ((Append *) plan)->appendplans)
		{
			if (!gives_rows_once((Plan *) lfirst(lc)))
				return false;
		}
		return true;
	}
	if (IsA(plan, Result) && outerPlan(plan) != NULL)
		return gives_rows_once(outerPlan(plan));
	return IsA(plan, Result) || IsA(plan, SeqScan) || IsA(plan, IndexScan) ||
		(IsA(plan, ForeignScan) && ((ForeignScan *) plan)->scan.scanrelid > 0);
}

/*
 * create_written makes the set of the documents that the statement has written.
 */
static void
create_written(PnsModify *modify, MemoryContext context)
{
	HASHCTL		control = {
		.keysize = sizeof(bytea *),
		.entrysize = sizeof(WrittenRow),
		.hash = hash_written,
		.match = match_written,
		.hcxt = context
	};

	modify->written = hash_create("pynomaly_store written rows", 1024, &control,
								  HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	modify->written_context = context;
}

/*
 * hash_written hashes an identity, of which key is a pointer to one.
 */
static uint32
hash_written(const void *key, Size size)
{
	const bytea *identity = *(bytea *const *) key;

	return hash_bytes((const unsigned char *) VARDATA_ANY(identity),
					  VARSIZE_ANY_EXHDR(identity));
}

/*
 * match_written compares two identities.
 */
static int
match_written(const void *a, const void *b, Size size)
{
	const bytea *first = *(bytea *const *) a;
	const bytea *second = *(bytea *const *) b;

	if (VARSIZE_ANY_EXHDR(first) != VARSIZE_ANY_EXHDR(second))
		return 1;
	return memcmp(VARDATA_ANY(first), VARDATA_ANY(second), VARSIZE_ANY_EXHDR(first));
}

/*
 * is_again tells whether the statement has written a row before, as a join has
 * given it several times.  PostgreSQL writes it for the first of them.
 */
static bool
is_again(PnsModify *modify, bytea *identity)
{
	bool		found;
	WrittenRow *row;

	if (modify->written == NULL)
		return false;
	row = hash_search(modify->written, &identity, HASH_ENTER, &found);
	if (!found)
	{
		Size		size = VARSIZE_ANY(identity);

		row->identity = MemoryContextAlloc(modify->written_context, size);
		memcpy((char *) row->identity, identity, size);
	}
	return found;
}

/*
 * take_identity gets the identity of a row.  False where the statement has
 * written it before.
 */
static bool
take_identity(PnsModify *modify, TupleTableSlot *plan_slot, PnsDocument *identity)
{
	return !is_again(modify, get_identity(modify, plan_slot, identity));
}

/*
 * get_identity gets the identity of a row of the plan, and the document that it
 * is.
 */
static bytea *
get_identity(const PnsModify *modify, TupleTableSlot *plan_slot, PnsDocument *identity)
{
	bool		isnull;
	Datum		datum = ExecGetJunkAttribute(plan_slot, modify->identity, &isnull);
	bytea	   *bytes;

	/* elog: each row of the table's scan has one */
	if (isnull)
		elog(ERROR, "a row of foreign table \"%s\" has no identity", modify->table->name);
	bytes = DatumGetByteaPCopy(datum);
	identity->data = (const uint8 *) VARDATA_ANY(bytes);
	identity->size = VARSIZE_ANY_EXHDR(bytes);
	return bytes;
}

/*
 * add_operation adds an update, or with NULL a delete.
 */
static void
add_operation(PnsModify *modify, PnsDocument identity, const PnsDocument *update)
{
	PnsBsonBuilder builder;

	pns_bson_begin(&builder);
	pns_bson_append_document(&builder, "q", identity);
	if (update != NULL)
		pns_bson_append_document(&builder, "u", *update);
	else
		pns_bson_append_int32(&builder, "limit", 1);
	pns_modify_add(modify, pns_bson_end(&builder));
}

/*
 * changed_columns returns the columns that an update sets: those of its SET, and
 * those that a trigger has changed.
 */
static Bitmapset *
changed_columns(const PnsModify *modify, const ResultRelInfo *rinfo, TupleTableSlot *slot)
{
	TupleTableSlot *old = rinfo->ri_oldTupleSlot;
	Bitmapset  *columns = modify->columns;

	if (!modify->compares)
		return columns;
	columns = bms_copy(columns);
	slot_getallattrs(slot);
	slot_getallattrs(old);
	for (int i = 0; i < slot->tts_tupleDescriptor->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(slot->tts_tupleDescriptor, i);

		if (attribute->attisdropped)
			continue;
		if (slot->tts_isnull[i] != old->tts_isnull[i] ||
			(!slot->tts_isnull[i] && !datum_image_eq(slot->tts_values[i], old->tts_values[i],
													 attribute->attbyval, attribute->attlen)))
			columns = bms_add_member(columns, i + 1);
	}
	return columns;
}

/*
 * send_rows sends the rows that were kept back, and returns how many of them
 * were gone.
 *
 * Errors: 40001 where one was changed.
 */
static int64
send_rows(PnsModify *modify)
{
	bool		updates = modify->operation == CMD_UPDATE;
	int64		gone = 0;

	modify->changed = NULL;
	for (;;)
	{
		int64		sent = list_length(modify->operations);
		PnsWriteResult result = pns_modify_write(modify, updates ? PNS_WRITE_UPDATE :
												 PNS_WRITE_DELETE, false);
		int64		missing = sent - (updates ? result.matched : result.written);

		if (missing <= 0)
			return gone;
		if (modify->mode == PNS_MODE_SESSION)
			raise_changed(modify);
		if (updates && sent > 1)
			return gone + count_gone(modify, missing);
		keep_changed(modify);
		gone += missing - list_length(modify->operations);
		if (modify->operations == NIL)
			return gone;
	}
}

/*
 * count_gone finds out what became of the updates of several rows, of which some
 * were not made: those of rows that are gone need not be, and are counted.
 *
 * Errors: 40001 where another one is missing, for it was changed.
 */
static int64
count_gone(PnsModify *modify, int64 missing)
{
	PnsCursor  *cursor = find_rows(modify);
	PnsDocument document;
	int64		there = 0;

	while (pns_mongo_cursor_next(cursor, &document))
		there++;
	pns_mongo_cursor_close(cursor);
	if (list_length(modify->operations) - there != missing)
		raise_changed(modify);
	return missing;
}

/*
 * keep_changed looks again at what was sent and not written, and keeps back
 * those rows that the statement selects still.
 *
 * Errors: 40001 where the plan does not let that be done.
 */
static void
keep_changed(PnsModify *modify)
{
	PnsCursor  *cursor = find_rows(modify);
	PnsDocument document;

	modify->operations = NIL;
	modify->bytes = 0;
	while (pns_mongo_cursor_next(cursor, &document))
	{
		MemoryContext old = MemoryContextSwitchTo(modify->context);

		if (modify->recheck == NULL)
			raise_changed(modify);
		add_changed(modify, document);
		MemoryContextSwitchTo(old);
	}
	pns_mongo_cursor_close(cursor);
}

/*
 * add_changed adds what the statement makes of a document that has changed, if
 * it selects that.
 */
static void
add_changed(PnsModify *modify, PnsDocument document)
{
	TupleTableSlot *row = pns_recheck_document(modify->recheck, document);
	PnsDocument identity;
	PnsDocument update;

	if (row == NULL)
		return;
	modify->changed = row;
	(void) get_identity(modify, row, &identity);
	if (modify->operation == CMD_DELETE)
		add_operation(modify, identity, NULL);
	else if (pns_row_make_update(modify->writer, pns_recheck_new_row(modify, row),
								 modify->columns, identity, &update))
		add_operation(modify, identity, &update);
}

/*
 * find_rows asks for the documents of the rows that were just sent.
 */
static PnsCursor *
find_rows(PnsModify *modify)
{
	MemoryContext old = MemoryContextSwitchTo(modify->context);
	PnsBsonBuilder builder;
	PnsCursor  *cursor;
	ListCell   *lc;

	pns_bson_begin(&builder);
	pns_bson_open_document(&builder, "0");
	pns_bson_open_document(&builder, "$match");
	pns_bson_open_document(&builder, "_id");
	pns_bson_open_array(&builder, "$in");
	foreach(lc, modify->operations)
	{
		PnsBsonValue query;
		PnsBsonValue id;

		if (pns_bson_find(*(PnsDocument *) lfirst(lc), "q", &query) &&
			pns_bson_find(pns_bson_value_document(&query), "_id", &id))
			pns_bson_append_value(&builder, pns_bson_index(foreach_current_index(lc)), id);
	}
	for (int i = 0; i < 4; i++)
		pns_bson_close(&builder);
	cursor = pns_mongo_aggregate(modify->connection, modify->table->database,
								 modify->table->collection, pns_bson_end(&builder),
								 pns_fdw_empty_document(), 0);
	MemoryContextSwitchTo(old);
	return cursor;
}

/*
 * raise_changed raises the error of a row that another client has changed since
 * it was read.
 */
static void
raise_changed(const PnsModify *modify)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not write to foreign table \"%s\" due to a concurrent change",
					modify->table->name),
			 errdetail("Another client has changed a document since it was read."),
			 errhint("The transaction might succeed if retried.")));
}
