/*-------------------------------------------------------------------------
 *
 * modify.c
 *	  What a statement writes to one table: its beginning and its end, what is
 *	  kept back and how it is sent, and what EXPLAIN tells of it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "fdw/modify.h"
#include "outbox/outbox.h"

static void connect_modify(PnsModify *modify);
static bool must_read_back(const PnsModify *modify, const ModifyTable *plan,
						   const ResultRelInfo *rinfo);
static bool columns_interact(const PnsTable *table);
static void write_context(void *arg);
static PnsDocument command_shape(const PnsModify *modify);
static void append_columns(PnsBsonBuilder *builder, const char *operator,
						   const PnsTable *table, Bitmapset *columns);

/*
 * pnsBeginForeignModify prepares to write rows to a table.  What the statement
 * reads from now on belongs to the transaction that it writes in.
 */
void
pnsBeginForeignModify(ModifyTableState *mtstate, ResultRelInfo *rinfo, List *fdw_private,
					  int subplan_index, int eflags)
{
	ModifyTable *plan = (ModifyTable *) mtstate->ps.plan;
	PnsModify  *modify = pns_modify_create(mtstate->ps.state, plan, rinfo,
										   mtstate->operation,
										   (eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0);

	rinfo->ri_FdwState = modify;
	modify->skips_conflicts = plan->onConflictAction == ONCONFLICT_NOTHING;
	if (mtstate->operation != CMD_INSERT)
		pns_modify_begin_update(modify, mtstate, rinfo);
	else
		modify->keeps_back = plan->returningLists != NIL && !modify->skips_conflicts &&
			(rinfo->ri_TrigDesc == NULL || !rinfo->ri_TrigDesc->trig_insert_before_row);
	if (mtstate->operation != CMD_INSERT || modify->keeps_back)
		pns_modify_watch_rows(mtstate);
}

/*
 * pnsEndForeignModify sends what is still kept back where the statement was
 * ended before its last row, as SPI does after so many rows of RETURNING.
 */
void
pnsEndForeignModify(EState *estate, ResultRelInfo *rinfo)
{
	PnsModify  *modify = (PnsModify *) rinfo->ri_FdwState;

	if (modify != NULL)
		(void) pns_modify_finish(modify);
}

/*
 * pnsBeginForeignInsert prepares to insert rows that come from COPY or are
 * routed here as into a partition.
 *
 * A statement that updates the partition, too, keeps the rows that it moves here
 * back until its end, so that it does not meet them.
 */
void
pnsBeginForeignInsert(ModifyTableState *mtstate, ResultRelInfo *rinfo)
{
	ModifyTable *plan = (ModifyTable *) mtstate->ps.plan;
	ResultRelInfo *root = rinfo->ri_RootResultRelInfo;
	PnsModify  *modify = pns_modify_create(mtstate->ps.state, plan, rinfo, CMD_INSERT, true);

	if (rinfo->ri_FdwState != NULL)
	{
		modify->keeps_back = modify->moves = true;
		((PnsModify *) rinfo->ri_FdwState)->moved = modify;
		return;
	}
	rinfo->ri_FdwState = modify;
	modify->skips_conflicts = plan != NULL && plan->onConflictAction == ONCONFLICT_NOTHING;

	/* a trigger may look at what was written before it */
	modify->keeps_back = plan == NULL && !pns_copy_gives_batches &&
		rinfo->ri_TrigDesc == NULL && (root == NULL || root->ri_TrigDesc == NULL);
}

/*
 * pnsEndForeignInsert sends what a COPY has kept back.
 */
void
pnsEndForeignInsert(EState *estate, ResultRelInfo *rinfo)
{
	PnsModify  *modify = (PnsModify *) rinfo->ri_FdwState;

	if (modify != NULL)
		(void) pns_modify_finish(modify);
}

/*
 * pns_modify_add adds an operation to those that are to be sent.  It and the
 * current context are to be modify's.
 */
void
pns_modify_add(PnsModify *modify, PnsDocument operation)
{
	PnsDocument *copy = palloc(sizeof(PnsDocument));

	*copy = operation;
	modify->operations = lappend(modify->operations, copy);
	modify->bytes += operation.size;
}

/*
 * pns_modify_is_full tells whether what is kept back shall be sent.
 */
bool
pns_modify_is_full(const PnsModify *modify)
{
	return list_length(modify->operations) >= modify->batch_size ||
		modify->bytes >= PNS_MODIFY_BYTES;
}

/*
 * pns_modify_write sends what is kept back.  It stays where it is, as does the
 * result, until pns_modify_clear.
 */
PnsWriteResult
pns_modify_write(PnsModify *modify, PnsWriteKind kind, bool collects)
{
	MemoryContext old = MemoryContextSwitchTo(modify->context);
	ErrorContextCallback callback = {
		.previous = error_context_stack,
		.callback = write_context,
		.arg = modify
	};
	PnsWriteBatch batch = {
		.kind = kind,
		.database = modify->table->database,
		.collection = modify->table->collection,
		.operations = modify->operations,
		.ordered = !collects,
		.collects = collects
	};
	PnsWriteResult result;

	error_context_stack = &callback;
	result = pns_outbox_route(modify->connection, modify->table->serverid, modify->userid,
							  &batch);
	error_context_stack = callback.previous;

	modify->commands += result.commands;
	modify->rows += list_length(modify->operations);
	MemoryContextSwitchTo(old);
	return result;
}

/*
 * pns_modify_clear forgets what was sent.
 */
void
pns_modify_clear(PnsModify *modify)
{
	modify->operations = NIL;
	modify->bytes = 0;
	MemoryContextReset(modify->context);
}

/*
 * pns_modify_check_row demands that a row keeps to the constraints of its table,
 * which core does not look at where it is a foreign one, and to those of a view,
 * at which it looks when the row has been written.
 *
 * Errors: 23502, 23514, 44000.
 */
void
pns_modify_check_row(const PnsModify *modify, EState *estate, ResultRelInfo *rinfo,
					 TupleTableSlot *slot)
{
	if (RelationGetDescr(rinfo->ri_RelationDesc)->constr != NULL)
		ExecConstraints(rinfo, slot, estate);
	if (rinfo->ri_RelationDesc->rd_rel->relispartition)
		ExecPartitionCheck(rinfo, slot, estate, true);
	if (rinfo->ri_WithCheckOptions != NIL)
		ExecWithCheckOptions(WCO_VIEW_CHECK, rinfo, slot, estate);
}

/*
 * pns_modify_read_back makes a row of the document that was written for it, as
 * a scan would.
 */
void
pns_modify_read_back(PnsModify *modify, PnsDocument document, TupleTableSlot *slot)
{
	MemoryContext old = MemoryContextSwitchTo(modify->context);

	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts);
	pns_mongo_decode(modify->decoder, document, slot->tts_values, slot->tts_isnull);
	ExecStoreVirtualTuple(slot);
	ExecMaterializeSlot(slot);
	MemoryContextSwitchTo(old);
}

/*
 * pnsExplainForeignModify shows the collection and how many rows a command
 * writes, if verbose the command, and how many were sent.
 */
void
pnsExplainForeignModify(ModifyTableState *mtstate, ResultRelInfo *rinfo, List *fdw_private,
						int subplan_index, ExplainState *es)
{
	PnsModify  *modify = (PnsModify *) rinfo->ri_FdwState;
	StringInfoData text;

	ExplainPropertyText("MongoDB Collection", pns_fdw_table_label(modify->table), es);
	ExplainPropertyInteger("Batch Size", NULL,
						   modify->operation == CMD_INSERT && !modify->keeps_back ?
						   Max(rinfo->ri_BatchSize, 1) : modify->batch_size, es);
	if (es->analyze)
		ExplainPropertyUInteger("MongoDB Commands", NULL, modify->commands, es);
	if (!es->verbose)
		return;
	initStringInfo(&text);
	/* elog: every text in it comes from this database */
	if (!pns_json_append_document(&text, command_shape(modify), PNS_JSON_SHOWN))
		elog(ERROR, "could not show the command for collection %s",
			 pns_fdw_table_label(modify->table));
	ExplainPropertyText("MongoDB Command", text.data, es);
}

/*
 * pns_modify_create begins what a statement writes to a table.  plan is NULL for
 * COPY, and where no row of it is seen here.
 */
PnsModify *
pns_modify_create(EState *estate, const ModifyTable *plan, ResultRelInfo *rinfo,
				  CmdType operation, bool executing)
{
	PnsModify  *modify = palloc0(sizeof(PnsModify));

	modify->table = pns_fdw_get_table(RelationGetRelid(rinfo->ri_RelationDesc));
	modify->userid = pns_result_checked_user(rinfo, estate);
	modify->operation = operation;
	modify->mode = pns_mongo_transaction_mode(modify->table->serverid);
	modify->batch_size = modify->table->batch_size;
	modify->context = AllocSetContextCreate(estate->es_query_cxt, "pynomaly_store batch",
											ALLOCSET_DEFAULT_SIZES);
	if (operation != CMD_DELETE)
		modify->writer = pns_row_writer_create(modify->table);
	modify->checks = operation != CMD_DELETE &&
		(pns_modify_has_constraints(rinfo->ri_RelationDesc) ||
		 (plan != NULL && plan->withCheckOptionLists != NIL));
	if (must_read_back(modify, plan, rinfo))
		modify->decoder = pns_modify_create_decoder(modify->table);
	if (executing)
		connect_modify(modify);
	return modify;
}

/*
 * connect_modify begins the statement at the server, unless the outbox takes
 * what it writes.
 */
static void
connect_modify(PnsModify *modify)
{
	if (modify->mode == PNS_MODE_OUTBOX)
		return;
	modify->connection = pns_mongo_get_connection(modify->table->serverid, modify->userid);
	pns_mongo_begin_write(modify->connection);
	modify->mode = pns_mongo_in_transaction(modify->connection) ?
		PNS_MODE_SESSION : PNS_MODE_NONE;
}

/*
 * must_read_back tells whether somebody looks at the rows that were written,
 * and they may be others than those that were given; plan is NULL for COPY.
 */
static bool
must_read_back(const PnsModify *modify, const ModifyTable *plan, const ResultRelInfo *rinfo)
{
	CmdType		operation = modify->operation;
	const TriggerDesc *triggers = rinfo->ri_TrigDesc;

	if (operation == CMD_DELETE)
		return false;
	if (operation == CMD_INSERT && modify->checks)
		return true;
	if (operation == CMD_UPDATE &&
		(modify->mode == PNS_MODE_OUTBOX || !columns_interact(modify->table)))
		return false;
	return (plan != NULL &&
			(plan->returningLists != NIL || plan->withCheckOptionLists != NIL)) ||
		(triggers != NULL && (operation == CMD_INSERT ? triggers->trig_insert_after_row :
							  triggers->trig_update_after_row));
}

/*
 * pns_modify_has_constraints tells whether not every row may stand in a table.
 */
bool
pns_modify_has_constraints(Relation relation)
{
	const TupleConstr *constraints = RelationGetDescr(relation)->constr;

	return relation->rd_rel->relispartition ||
		(constraints != NULL && (constraints->has_not_null || constraints->num_check > 0));
}

/*
 * columns_interact tells whether a column may read something else than what
 * was written to it, as another one holds it or a part of it, or it is rounded.
 */
static bool
columns_interact(const PnsTable *table)
{
	for (int i = 0; i < table->ncolumns; i++)
	{
		const PnsTableColumn *column = &table->columns[i];

		if (column->codec.attnum == 0)
			continue;
		if (column->codec.document || column->round)
			return true;
		for (int j = 0; j < table->ncolumns; j++)
		{
			const PnsTableColumn *other = &table->columns[j];
			Size		size = strlen(column->codec.path);

			if (i != j && other->codec.attnum > 0 && other->codec.path != NULL &&
				strncmp(column->codec.path, other->codec.path, size) == 0 &&
				(other->codec.path[size] == '\0' || other->codec.path[size] == '.'))
				return true;
		}
	}
	return false;
}

/*
 * pns_modify_create_decoder makes what reads all columns of a table.
 */
PnsDecoder *
pns_modify_create_decoder(const PnsTable *table)
{
	PnsColumn  *columns = palloc(sizeof(PnsColumn) * Max(table->ncolumns, 1));
	int			ncolumns = 0;

	for (int i = 0; i < table->ncolumns; i++)
	{
		if (table->columns[i].codec.attnum > 0)
			columns[ncolumns++] = table->columns[i].codec;
	}
	return pns_mongo_decoder_create(columns, ncolumns);
}

/*
 * write_context says in an error's context what table was written to.
 */
static void
write_context(void *arg)
{
	errcontext("foreign table \"%s\"", ((PnsModify *) arg)->table->name);
}

/*
 * command_shape makes the command that writes a row, with "?" for what the row
 * has.
 */
static PnsDocument
command_shape(const PnsModify *modify)
{
	const PnsTable *table = modify->table;
	PnsBsonBuilder builder;

	pns_bson_begin(&builder);
	if (modify->operation == CMD_INSERT)
	{
		pns_bson_append_text(&builder, "insert", table->collection);
		append_columns(&builder, "documents", table, NULL);
	}
	else
	{
		bool		updates = modify->operation == CMD_UPDATE;

		pns_bson_append_text(&builder, updates ? "update" : "delete", table->collection);
		pns_bson_open_array(&builder, updates ? "updates" : "deletes");
		pns_bson_open_document(&builder, "0");
		pns_bson_open_document(&builder, "q");
		pns_bson_append_cstring(&builder, "_id", "?");
		pns_bson_close(&builder);
		if (updates)
			append_columns(&builder, "u", table, modify->columns);
		else
			pns_bson_append_int32(&builder, "limit", 1);
		pns_bson_close(&builder);
		pns_bson_close(&builder);
	}
	pns_bson_append_text(&builder, "$db", table->database);
	return pns_bson_end(&builder);
}

/*
 * append_columns appends the paths of columns (NULL: all of them), as the
 * documents of an insert or the $set of an update.
 */
static void
append_columns(PnsBsonBuilder *builder, const char *operator, const PnsTable *table,
			   Bitmapset *columns)
{
	bool		inserts = columns == NULL;

	if (inserts)
	{
		pns_bson_open_array(builder, operator);
		pns_bson_open_document(builder, "0");
	}
	else
	{
		pns_bson_open_document(builder, operator);
		pns_bson_open_document(builder, "$set");
	}
	for (int i = 0; i < table->ncolumns; i++)
	{
		const PnsTableColumn *column = &table->columns[i];

		if (column->codec.attnum == 0 || (!inserts && !bms_is_member(i + 1, columns)))
			continue;
		pns_bson_append_cstring(builder,
								column->native != NULL ? column->native :
								column->codec.document ? "$$ROOT" : column->codec.path, "?");
	}
	pns_bson_close(builder);
	pns_bson_close(builder);
}
