/*-------------------------------------------------------------------------
 *
 * modify_insert.c
 *	  INSERT, COPY, and rows that are routed into a partition.
 *
 * Core collects the rows of an INSERT and gives them batch by batch.  Those with
 * a RETURNING, those of a COPY before PostgreSQL 16, and those that an UPDATE
 * moves here come one by one; they are kept back here.  As the document that is
 * made of a row tells what the row is, RETURNING need not wait.
 *
 * ON CONFLICT DO NOTHING: outside of a transaction the server tells of each
 * document what became of it.  Within one the first duplicate would end the
 * transaction, so that there, and in the outbox, a document is inserted as an
 * update of the one with its _id that does nothing where there is one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/tuptable.h"

#include "fdw/modify.h"

static PnsModify *insert_state(const ResultRelInfo *rinfo);
static void add_row(PnsModify *modify, EState *estate, ResultRelInfo *rinfo,
					TupleTableSlot *slot);
static int	insert_new(PnsModify *modify, TupleTableSlot **slots);
static bool *collect_conflicts(PnsModify *modify, int count);
static bool *skip_known(PnsModify *modify, int count);
static PnsDocument make_upsert(const PnsModify *modify, PnsDocument document);

/*
 * pnsExecForeignInsert inserts a row.  Returns it as it was written, or NULL
 * where it is a duplicate that is to be skipped.
 */
TupleTableSlot *
pnsExecForeignInsert(EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot,
					 TupleTableSlot *plan_slot)
{
	PnsModify  *modify = insert_state(rinfo);
	int			nslots = 1;

	if (!modify->keeps_back)
	{
		(void) pnsExecForeignBatchInsert(estate, rinfo, &slot, &plan_slot, &nslots);
		return nslots == 1 ? slot : NULL;
	}

	add_row(modify, estate, rinfo, slot);
	if (pns_modify_is_full(modify) && !modify->moves)
		pns_modify_finish_insert(modify);
	return slot;
}

/*
 * pnsExecForeignBatchInsert inserts rows.  Moves those that were written to the
 * front of slots, and sets *nslots to how many that are.
 */
TupleTableSlot **
pnsExecForeignBatchInsert(EState *estate, ResultRelInfo *rinfo, TupleTableSlot **slots,
						  TupleTableSlot **plan_slots, int *nslots)
{
	PnsModify  *modify = insert_state(rinfo);

	for (int i = 0; i < *nslots; i++)
		add_row(modify, estate, rinfo, slots[i]);
	if (modify->skips_conflicts)
		*nslots = insert_new(modify, slots);
	else
		(void) pns_modify_write(modify, PNS_WRITE_INSERT, false);
	pns_modify_clear(modify);
	return slots;
}

/*
 * pns_modify_finish_insert inserts the rows that were kept back.
 */
void
pns_modify_finish_insert(PnsModify *modify)
{
	if (modify->operations != NIL)
		(void) pns_modify_write(modify, PNS_WRITE_INSERT, false);
	pns_modify_clear(modify);
}

/*
 * insert_state returns what a statement inserts into a table, which may be one
 * that it updates as well.
 */
static PnsModify *
insert_state(const ResultRelInfo *rinfo)
{
	PnsModify  *modify = (PnsModify *) rinfo->ri_FdwState;

	return modify->operation == CMD_INSERT ? modify : modify->moved;
}

/*
 * add_row makes a row's document one of the operations.  Where somebody looks at
 * the row, it becomes what its document says.
 */
static void
add_row(PnsModify *modify, EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot)
{
	MemoryContext old = MemoryContextSwitchTo(modify->context);
	PnsDocument document = pns_row_make_document(modify->writer, slot);

	pns_modify_add(modify, document);
	MemoryContextSwitchTo(old);
	if (modify->decoder != NULL)
		pns_modify_read_back(modify, document, slot);
	if (modify->checks)
		pns_modify_check_row(modify, estate, rinfo, slot);
}

/*
 * insert_new inserts the rows that are no duplicates, moves them to the front
 * of slots, and returns how many they are.
 */
static int
insert_new(PnsModify *modify, TupleTableSlot **slots)
{
	int			count = list_length(modify->operations);
	bool	   *skipped = modify->mode == PNS_MODE_NONE ?
	collect_conflicts(modify, count) : skip_known(modify, count);
	int			kept = 0;

	for (int i = 0; i < count; i++)
	{
		TupleTableSlot *slot = slots[i];

		if (skipped[i])
			continue;
		/* the slots stay all there, as their owner uses them again */
		slots[i] = slots[kept];
		slots[kept++] = slot;
	}
	return kept;
}

/*
 * collect_conflicts inserts documents and tells of each whether it is a
 * duplicate.
 *
 * Errors: that of the first document that the server refuses for another
 * reason.
 */
static bool *
collect_conflicts(PnsModify *modify, int count)
{
	PnsWriteResult result = pns_modify_write(modify, PNS_WRITE_INSERT, true);
	bool	   *skipped = palloc0(sizeof(bool) * count);
	ListCell   *lc;

	foreach(lc, result.errors)
	{
		PnsWriteError *error = (PnsWriteError *) lfirst(lc);

		if (error->sqlstate != ERRCODE_UNIQUE_VIOLATION)
			ereport(ERROR,
					(errcode(error->sqlstate),
					 errmsg_internal("%s", error->message),
					 error->detail != NULL ? errdetail_internal("%s", error->detail) : 0,
					 errcontext("foreign table \"%s\"", modify->table->name)));
		skipped[error->position] = true;
	}
	return skipped;
}

/*
 * skip_known inserts the documents whose _id is new, and tells of each whether
 * it is not.
 *
 * Errors: 23505 for a duplicate of another unique index than that of _id.
 */
static bool *
skip_known(PnsModify *modify, int count)
{
	List	   *documents = modify->operations;
	bool	   *skipped = palloc(sizeof(bool) * count);
	PnsWriteResult result;
	ListCell   *lc;

	modify->operations = NIL;
	foreach(lc, documents)
	{
		MemoryContext old = MemoryContextSwitchTo(modify->context);

		pns_modify_add(modify, make_upsert(modify, *(PnsDocument *) lfirst(lc)));
		MemoryContextSwitchTo(old);
	}
	result = pns_modify_write(modify, PNS_WRITE_UPDATE, false);

	/* what the outbox will find nobody knows */
	memset(skipped, modify->mode != PNS_MODE_OUTBOX, sizeof(bool) * count);
	foreach(lc, result.upserted)
		skipped[((PnsUpsert *) lfirst(lc))->position] = false;
	return skipped;
}

/*
 * make_upsert makes the update that inserts a document unless there is one with
 * its _id.
 *
 * Errors: 0A000 for a key that an update would take for a path.
 */
static PnsDocument
make_upsert(const PnsModify *modify, PnsDocument document)
{
	PnsBsonBuilder builder;
	PnsBsonIterator members;

	pns_bson_begin(&builder);
	pns_bson_open_document(&builder, "q");
	pns_bson_iterate(&members, document);
	while (pns_bson_next(&members))
	{
		if (members.key[0] == '$' || strchr(members.key, '.') != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot insert a document with a key like \"$a\" or \"a.b\" ON CONFLICT DO NOTHING"),
					 errdetail("In a transaction, and through the outbox, it is inserted by an update, which takes such a key for an operator or a path."),
					 errcontext("foreign table \"%s\"", modify->table->name)));
		if (strcmp(members.key, "_id") == 0)
			pns_bson_append_value(&builder, "_id", members.value);
	}
	pns_bson_close(&builder);
	pns_bson_open_document(&builder, "u");
	pns_bson_append_document(&builder, "$setOnInsert", document);
	pns_bson_close(&builder);
	pns_bson_append_bool(&builder, "upsert", true);
	return pns_bson_end(&builder);
}
