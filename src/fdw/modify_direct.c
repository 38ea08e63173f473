/*-------------------------------------------------------------------------
 *
 * modify_direct.c
 *	  UPDATE and DELETE that are sent as one command.
 *
 * Where MongoDB answers the conditions of the statement exactly, and computes
 * what is set, or it does not depend on the row, no row has to come here: the
 * conditions become the filter of an update or delete of many documents.  It is
 * the server that finds the documents and writes them, so that outside of a
 * transaction none can change in between.
 *
 * modify_direct_plan.c tells which these are.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "utils/rel.h"

#include "fdw/modify.h"
#include "fdw/query.h"

/* The state of a statement; fdw_state, in the query's memory. */
typedef struct PnsDirect
{
	void	   *scan;			/* has the conditions and the operands */
	PnsModify  *modify;
	bool		counts;
	List	   *columns;		/* of Integer: attribute numbers */
	List	   *values;			/* of Param */
	List	   *terms;			/* of Expr or NULL */
	List	   *computed;		/* of PnsComputed: what these are compiled to */
	TupleTableSlot *slot;		/* the values that are set; NULL: DELETE */
	bool		done;
} PnsDirect;

static void compile_computed(PnsDirect *direct, TupleDesc row);
static void check_documents(ForeignScanState *node);
static PnsDocument make_check(PnsDirect *direct, bool any);
static void raise_failure(ForeignScanState *node, PnsDocument document) pg_attribute_noreturn();
static bool refuses_all(PnsDirect *direct);
static PnsDocument make_options(PnsDirect *direct);
static bool make_operation(PnsDirect *direct, PnsDocument *operation);
static bool append_filter(PnsDirect *direct, PnsBsonBuilder *builder, const char *key);
static bool fill_values(PnsDirect *direct, bool computed, Bitmapset **columns);
static void append_update(PnsDirect *direct, PnsBsonBuilder *builder);

/*
 * pnsBeginDirectModify prepares the command, and begins the statement at the
 * server.
 */
void
pnsBeginDirectModify(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	List	   *description = (List *) list_nth(plan->fdw_private, PNS_QUERY_DIRECT);
	PnsDirect  *direct = palloc0(sizeof(PnsDirect));
	bool		executing = (eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0;

	pnsBeginForeignScan(node, eflags);
	direct->scan = node->fdw_state;
	node->fdw_state = direct;
	direct->counts = intVal(list_nth(description, PNS_DIRECT_COUNTS)) != 0;
	direct->columns = (List *) list_nth(description, PNS_DIRECT_COLUMNS);
	direct->values = (List *) list_nth(description, PNS_DIRECT_VALUES);
	direct->terms = (List *) list_nth(description, PNS_DIRECT_TERMS);
	direct->modify = pns_modify_create(node->ss.ps.state, NULL, node->resultRelInfo,
									   plan->operation, executing);
	if (plan->operation == CMD_UPDATE)
	{
		TupleDesc	row = RelationGetDescr(node->ss.ss_currentRelation);

		direct->slot = ExecInitExtraTupleSlot(node->ss.ps.state, row, &TTSOpsVirtual);
		compile_computed(direct, row);
	}
}

/*
 * compile_computed compiles what is computed.
 */
static void
compile_computed(PnsDirect *direct, TupleDesc row)
{
	const PnsQuery *query = pns_scan_query(direct->scan);
	ListCell   *column;
	ListCell   *term;

	forboth(column, direct->columns, term, direct->terms)
	{
		int			attnum = intVal(lfirst(column));
		PnsComputed *computed;

		if (lfirst(term) == NULL)
			continue;
		computed = pns_computed_compile((Expr *) lfirst(term), pns_query_table(query), attnum,
										query->sources);
		/* elog: it was compiled when it was planned */
		if (computed == NULL)
			elog(ERROR, "what column %d of %s is set to cannot be computed", attnum,
				 pns_query_label(query));
		computed->not_null = TupleDescAttr(row, attnum - 1)->attnotnull &&
			!computed->term->never_null;
		computed->may_fail = computed->not_null || pns_term_may_raise(computed->term);
		direct->computed = lappend(direct->computed, computed);
	}
}

/*
 * pnsIterateDirectModify sends the command, and counts what it has written.  It
 * has no row to return.
 *
 * Errors: those of operands, of pns_row_make_update and of writing; those of the
 * documents that check_documents finds.
 */
TupleTableSlot *
pnsIterateDirectModify(ForeignScanState *node)
{
	PnsDirect  *direct = (PnsDirect *) node->fdw_state;
	PnsModify  *modify = direct->modify;
	bool		updates = modify->operation == CMD_UPDATE;
	MemoryContext old = MemoryContextSwitchTo(modify->context);
	PnsDocument operation;

	if (!direct->done)
		check_documents(node);
	if (!direct->done && make_operation(direct, &operation))
	{
		PnsWriteResult result;
		int64		count;

		pns_modify_add(modify, operation);
		result = pns_modify_write(modify, updates ? PNS_WRITE_UPDATE : PNS_WRITE_DELETE, false);
		count = updates ? result.matched : result.written;
		if (direct->counts)
			node->ss.ps.state->es_processed += count;
		if (node->ss.ps.instrument != NULL)
			node->ss.ps.instrument->tuplecount += count;
	}
	direct->done = true;
	MemoryContextSwitchTo(old);
	pns_modify_clear(modify);
	return ExecClearTuple(node->ss.ss_ScanTupleSlot);
}

/*
 * check_documents looks, where there can be some, for a document that makes the
 * UPDATE fail, as long as nothing is written.  It has nothing left to do where no
 * row that it could make is allowed, and there is none.
 *
 * Errors: what the document raises.
 */
static void
check_documents(ForeignScanState *node)
{
	PnsDirect  *direct = (PnsDirect *) node->fdw_state;
	PnsModify  *modify = direct->modify;
	const PnsTable *table = modify->table;
	bool		any = refuses_all(direct);
	PnsDocument check = make_check(direct, any);
	PnsDocument document;
	PnsCursor  *cursor;

	if (check.size == 0)
		return;
	cursor = pns_mongo_aggregate(modify->connection, table->database, table->collection, check,
								 make_options(direct), 1);
	modify->commands++;
	if (pns_mongo_cursor_next(cursor, &document))
		raise_failure(node, document);
	pns_mongo_cursor_close(cursor);
	direct->done = any;
}

/*
 * make_check makes the pipeline that finds such a document, or any that the
 * conditions select; one of no size where there can be none.
 */
static PnsDocument
make_check(PnsDirect *direct, bool any)
{
	PnsBsonBuilder builder;
	PnsDocument none = {NULL, 0};
	int			n = 0;

	if (!any && !pns_computed_may_fail(direct->computed))
		return none;
	pns_bson_begin(&builder);
	pns_bson_open_document(&builder, pns_bson_index(n++));
	if (!append_filter(direct, &builder, "$match"))
		return none;
	pns_bson_close(&builder);
	if (!any)
	{
		pns_bson_open_document(&builder, pns_bson_index(n++));
		pns_bson_open_document(&builder, "$match");
		pns_computed_append_failing(&builder, "$expr", direct->computed,
									pns_scan_operand_value, direct->scan);
		pns_bson_close(&builder);
		pns_bson_close(&builder);
	}
	pns_bson_open_document(&builder, pns_bson_index(n++));
	pns_bson_append_int32(&builder, "$limit", 1);
	pns_bson_close(&builder);
	return pns_bson_end(&builder);
}

/*
 * raise_failure makes of a document the row that it would be, which raises the
 * error.
 */
static void
raise_failure(ForeignScanState *node, PnsDocument document)
{
	PnsDirect  *direct = (PnsDirect *) node->fdw_state;
	TupleTableSlot *old = node->ss.ss_ScanTupleSlot;
	TupleTableSlot *new = direct->slot;
	int			natts = new->tts_tupleDescriptor->natts;
	Bitmapset  *columns = NULL;

	if (direct->modify->decoder == NULL)
		direct->modify->decoder = pns_modify_create_decoder(direct->modify->table);
	pns_modify_read_back(direct->modify, document, old);
	slot_getallattrs(old);
	node->ss.ps.ps_ExprContext->ecxt_scantuple = old;
	ExecClearTuple(new);
	memcpy(new->tts_values, old->tts_values, sizeof(Datum) * natts);
	memcpy(new->tts_isnull, old->tts_isnull, sizeof(bool) * natts);
	(void) fill_values(direct, true, &columns);
	ExecStoreVirtualTuple(new);
	pns_modify_check_row(direct->modify, node->ss.ps.state, node->resultRelInfo, new);

	/* elog: MongoDB has told that there is an error */
	elog(ERROR, "an update of %s was to fail, and does not",
		 pns_fdw_table_label(direct->modify->table));
}

/*
 * refuses_all tells whether any row is an error: a column that is NOT NULL is
 * set to a value that is NULL.
 */
static bool
refuses_all(PnsDirect *direct)
{
	TupleTableSlot *slot = direct->slot;
	Bitmapset  *columns = NULL;
	int			attnum = -1;

	if (slot == NULL || !fill_values(direct, false, &columns))
		return false;
	while ((attnum = bms_next_member(columns, attnum)) >= 0)
	{
		if (slot->tts_isnull[attnum - 1] &&
			TupleDescAttr(slot->tts_tupleDescriptor, attnum - 1)->attnotnull)
			return true;
	}
	return false;
}

/*
 * make_options makes the options of both commands, as pns_query_options does.
 */
static PnsDocument
make_options(PnsDirect *direct)
{
	PnsBsonBuilder builder;

	if (!pns_computed_compares_strings(direct->computed))
		return pns_query_options(pns_scan_query(direct->scan));
	pns_bson_begin(&builder);
	pns_bson_open_document(&builder, "collation");
	pns_bson_append_cstring(&builder, "locale", "simple");
	pns_bson_close(&builder);
	return pns_bson_end(&builder);
}

/*
 * pnsEndDirectModify has nothing to do: what there is goes with the query's
 * memory.
 */
void
pnsEndDirectModify(ForeignScanState *node)
{
}

/*
 * pnsExplainDirectModify shows the collection, how many commands were sent, and
 * if verbose the command, with "?" for what is not known or not shown.
 */
void
pnsExplainDirectModify(ForeignScanState *node, ExplainState *es)
{
	PnsDirect  *direct = (PnsDirect *) node->fdw_state;
	const PnsTable *table = direct->modify->table;
	bool		updates = direct->modify->operation == CMD_UPDATE;
	PnsBsonBuilder builder;
	PnsDocument operation;
	PnsDocument check;
	StringInfoData text;

	ExplainPropertyText("MongoDB Collection", pns_fdw_table_label(table), es);
	if (es->analyze)
		ExplainPropertyUInteger("MongoDB Commands", NULL, direct->modify->commands, es);
	if (!es->verbose)
		return;
	pns_scan_explain_only(direct->scan);
	check = make_check(direct, refuses_all(direct));
	if (check.size > 0)
		ExplainPropertyText("MongoDB Check",
							pns_fdw_command_text(table, check, make_options(direct)), es);
	if (!make_operation(direct, &operation))
	{
		ExplainPropertyText("MongoDB Command", "none, as no document can match", es);
		return;
	}
	pns_bson_begin(&builder);
	pns_bson_append_text(&builder, updates ? "update" : "delete", table->collection);
	pns_bson_open_array(&builder, updates ? "updates" : "deletes");
	pns_bson_append_document(&builder, "0", operation);
	pns_bson_close(&builder);
	pns_bson_append_text(&builder, "$db", table->database);
	initStringInfo(&text);
	/* elog: every text in it comes from this database */
	if (!pns_json_append_document(&text, pns_bson_end(&builder), PNS_JSON_SHOWN))
		elog(ERROR, "could not show the command for collection %s", pns_fdw_table_label(table));
	ExplainPropertyText("MongoDB Command", text.data, es);
}

/*
 * make_operation makes the operation, in the current context.  False where no
 * document can match.
 */
static bool
make_operation(PnsDirect *direct, PnsDocument *operation)
{
	PnsBsonBuilder builder;
	PnsBsonIterator members;

	pns_bson_begin(&builder);
	if (!append_filter(direct, &builder, "q"))
		return false;
	if (direct->slot != NULL)
	{
		append_update(direct, &builder);
		pns_bson_append_bool(&builder, "multi", true);
	}
	else
		pns_bson_append_int32(&builder, "limit", 0);
	pns_bson_iterate(&members, make_options(direct));
	while (pns_bson_next(&members))
		pns_bson_append_value(&builder, members.key, members.value);
	*operation = pns_bson_end(&builder);
	return true;
}

/*
 * append_filter appends what selects the documents.  False where none can match.
 */
static bool
append_filter(PnsDirect *direct, PnsBsonBuilder *builder, const char *key)
{
	PnsFilter	filter = pns_fdw_make_filter(pns_scan_query(direct->scan)->quals,
											 pns_scan_operand_value, direct->scan);

	if (filter.kind == PNS_FILTER_NONE)
		return false;
	if (filter.kind == PNS_FILTER_ALL)
		pns_bson_append_document(builder, key, pns_fdw_empty_document());
	else if (!filter.has_rest)
		pns_bson_append_document(builder, key, filter.document);
	else
	{
		pns_bson_open_document(builder, key);
		pns_bson_open_array(builder, "$and");
		pns_bson_append_document(builder, "0", filter.document);
		pns_bson_append_document(builder, "1", filter.rest);
		pns_bson_close(builder);
		pns_bson_close(builder);
	}
	return true;
}

/*
 * fill_values puts the values that are set into the slot, and adds their columns
 * to a set: those that do not depend on the row, or all of them.  False where
 * EXPLAIN does not know them.
 */
static bool
fill_values(PnsDirect *direct, bool computed, Bitmapset **columns)
{
	TupleTableSlot *slot = direct->slot;
	bool		known = true;
	ListCell   *column;
	ListCell   *value;
	ListCell   *term;

	forthree(column, direct->columns, value, direct->values, term, direct->terms)
	{
		int			attnum = intVal(lfirst(column));

		if (lfirst(term) != NULL && !computed)
			continue;
		*columns = bms_add_member(*columns, attnum);
		known = pns_scan_operand_value(direct->scan, (Expr *) lfirst(value),
									   &slot->tts_values[attnum - 1],
									   &slot->tts_isnull[attnum - 1]) && known;
	}
	return known;
}

/*
 * append_update appends what becomes of the documents.
 */
static void
append_update(PnsDirect *direct, PnsBsonBuilder *builder)
{
	PnsModify  *modify = direct->modify;
	TupleTableSlot *slot = direct->slot;
	Bitmapset  *columns = NULL;
	PnsDocument update;
	bool		known;

	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts);
	known = fill_values(direct, false, &columns);
	ExecStoreVirtualTuple(slot);
	if (!known)
	{
		pns_bson_append_cstring(builder, "u", "?");
		return;
	}
	/* elog: a plan has columns to set, and none of them is of _id */
	if (!pns_row_make_update(modify->writer, slot, columns, pns_fdw_empty_document(),
							 &update) && direct->computed == NIL)
		elog(ERROR, "an update of %s changes nothing", pns_fdw_table_label(modify->table));
	if (direct->computed == NIL)
		pns_bson_append_document(builder, "u", update);
	else
		pns_computed_append_update(builder, "u", direct->computed, update,
								   pns_scan_operand_value, direct->scan);
}
