/*-------------------------------------------------------------------------
 *
 * modify_direct.c
 *	  UPDATE and DELETE that are sent as one command.
 *
 * Where MongoDB answers the conditions of the statement exactly, and what is set
 * does not depend on the row, no row has to come here: the conditions become the
 * filter of an update or delete of many documents.  It is the server that finds
 * the documents and writes them, so that outside of a transaction none can
 * change in between.
 *
 * Core asks for this only where no row trigger, RETURNING, stored generated
 * column or WITH CHECK OPTION looks at the rows.  A table's own constraints are
 * ours to ask for.  The outbox takes nothing but operations by _id.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/pathnode.h"
#include "parser/parsetree.h"
#include "utils/rel.h"

#include "fdw/modify.h"
#include "fdw/query.h"

/* The members of what is added to the description of the scan. */
typedef enum DirectIndex
{
	DIRECT_COUNTS,				/* Boolean: do its rows count as the
								 * statement's? */
	DIRECT_COLUMNS,				/* List of Integer: what is set ... */
	DIRECT_VALUES				/* List of Param: ... to which operands */
} DirectIndex;

/* The state of a statement; fdw_state, in the query's memory. */
typedef struct PnsDirect
{
	void	   *scan;			/* has the conditions and the operands */
	PnsModify  *modify;
	bool		counts;
	List	   *columns;		/* of Integer: attribute numbers */
	List	   *values;			/* of Param */
	TupleTableSlot *slot;		/* the values that are set; NULL: DELETE */
	bool		done;
} PnsDirect;

static bool is_direct_scan(PlannerInfo *root, const ModifyTable *plan, Index result_relation);
static bool table_allows(PlannerInfo *root, const ModifyTable *plan, const PnsTable *table);
static bool plan_columns(PlannerInfo *root, const PnsTable *table, List **columns,
						 List **values);
static bool contains_multiexpr(Node *node, void *context);
static bool make_operation(PnsDirect *direct, PnsDocument *operation);
static bool append_filter(PnsDirect *direct, PnsBsonBuilder *builder);
static bool fill_slot(PnsDirect *direct, Bitmapset **columns);
static void append_update(PnsDirect *direct, PnsBsonBuilder *builder);

/*
 * pnsPlanDirectModify tells whether a statement is sent as one command, and then
 * makes the scan of its target that command.
 */
bool
pnsPlanDirectModify(PlannerInfo *root, ModifyTable *plan, Index result_relation,
					int subplan_index)
{
	const PnsRelation *relation;
	const PnsTable *table;
	ForeignScan *scan;
	List	   *columns = NIL;
	List	   *values = NIL;
	List	   *operands = NIL;
	ListCell   *lc;

	if (!is_direct_scan(root, plan, result_relation))
		return false;
	scan = (ForeignScan *) outerPlan(plan);
	relation = (PnsRelation *) find_base_rel(root, result_relation)->fdw_private;
	table = ((PnsTermSource *) linitial(relation->sources))->table;
	if (relation->looked_at != NIL || !table_allows(root, plan, table))
		return false;
	if (plan->operation == CMD_UPDATE && !plan_columns(root, table, &columns, &values))
		return false;

	/* each value becomes an operand of the scan */
	foreach(lc, values)
	{
		Node	   *value = (Node *) lfirst(lc);
		Param	   *param = makeNode(Param);

		param->paramkind = PARAM_EXEC;
		param->paramid = list_length(scan->fdw_exprs);
		param->paramtype = exprType(value);
		param->paramtypmod = exprTypmod(value);
		param->paramcollid = exprCollation(value);
		param->location = -1;
		scan->fdw_exprs = lappend(scan->fdw_exprs, value);
		operands = lappend(operands, param);
	}
	scan->fdw_private = lappend(scan->fdw_private,
								list_make3(makeInteger(plan->canSetTag), columns, operands));
	scan->operation = plan->operation;
	scan->resultRelation = result_relation;
	return true;
}

/*
 * is_direct_scan tells whether a statement writes one table, which it names
 * itself, and reads nothing but it, by conditions that MongoDB answers exactly.
 */
static bool
is_direct_scan(PlannerInfo *root, const ModifyTable *plan, Index result_relation)
{
	ForeignScan *scan = (ForeignScan *) outerPlan(plan);

	return (plan->operation == CMD_UPDATE || plan->operation == CMD_DELETE) &&
		plan->returningLists == NIL &&
		list_length(plan->resultRelations) == 1 &&
		result_relation == root->parse->resultRelation &&
		IsA(scan, ForeignScan) &&
		scan->scan.scanrelid == result_relation &&
		scan->scan.plan.qual == NIL &&
		list_nth(scan->fdw_private, PNS_QUERY_KEYS) == NULL;
}

/*
 * table_allows tells whether a table's rows may be written without being seen.
 */
static bool
table_allows(PlannerInfo *root, const ModifyTable *plan, const PnsTable *table)
{
	Relation	relation;
	bool		constrained;

	if (!pns_fdw_pushes(table, PNS_PUSH_MODIFY) ||
		pns_mongo_transaction_mode(table->serverid) == PNS_MODE_OUTBOX)
		return false;
	if (plan->operation == CMD_DELETE)
		return true;
	relation = table_open(table->relid, NoLock);
	constrained = pns_modify_has_constraints(relation);
	table_close(relation, NoLock);
	return !constrained;
}

/*
 * plan_columns lists the columns (of Integer) that an UPDATE sets and the
 * expressions that it sets them to.  False where these depend on the row, or
 * the former on what the document is.
 */
static bool
plan_columns(PlannerInfo *root, const PnsTable *table, List **columns, List **values)
{
	ListCell   *entry;
	ListCell   *number;

	forboth(entry, root->processed_tlist, number, root->update_colnos)
	{
		Expr	   *value = lfirst_node(TargetEntry, entry)->expr;
		int			attnum = lfirst_int(number);

		if (!pns_row_column_is_plain(&table->columns[attnum - 1]) ||
			!pns_fdw_is_operand((Node *) value) || contains_multiexpr((Node *) value, NULL))
			return false;
		*columns = lappend(*columns, makeInteger(attnum));
		*values = lappend(*values, value);
	}
	return *columns != NIL;
}

/*
 * contains_multiexpr tells whether an expression has in it a column of a
 * sub-SELECT that sets several, which the plan may compute for each row.
 */
static bool
contains_multiexpr(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_MULTIEXPR)
		return true;
	return expression_tree_walker(node, contains_multiexpr, context);
}

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
	direct->counts = intVal(list_nth(description, DIRECT_COUNTS)) != 0;
	direct->columns = (List *) list_nth(description, DIRECT_COLUMNS);
	direct->values = (List *) list_nth(description, DIRECT_VALUES);
	direct->modify = pns_modify_create(node->ss.ps.state, NULL, node->resultRelInfo,
									   plan->operation, executing);
	if (plan->operation == CMD_UPDATE)
		direct->slot = ExecInitExtraTupleSlot(node->ss.ps.state,
											  RelationGetDescr(node->ss.ss_currentRelation),
											  &TTSOpsVirtual);
}

/*
 * pnsIterateDirectModify sends the command, and counts what it has written.  It
 * has no row to return.
 *
 * Errors: those of operands, of pns_row_make_update and of writing.
 */
TupleTableSlot *
pnsIterateDirectModify(ForeignScanState *node)
{
	PnsDirect  *direct = (PnsDirect *) node->fdw_state;
	PnsModify  *modify = direct->modify;
	bool		updates = modify->operation == CMD_UPDATE;
	MemoryContext old = MemoryContextSwitchTo(modify->context);
	PnsDocument operation;

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
	StringInfoData text;

	ExplainPropertyText("MongoDB Collection", pns_fdw_table_label(table), es);
	if (es->analyze)
		ExplainPropertyUInteger("MongoDB Commands", NULL, direct->modify->commands, es);
	if (!es->verbose)
		return;
	pns_scan_explain_only(direct->scan);
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
	if (!append_filter(direct, &builder))
		return false;
	if (direct->slot != NULL)
	{
		append_update(direct, &builder);
		pns_bson_append_bool(&builder, "multi", true);
	}
	else
		pns_bson_append_int32(&builder, "limit", 0);
	pns_bson_iterate(&members, pns_query_options(pns_scan_query(direct->scan)));
	while (pns_bson_next(&members))
		pns_bson_append_value(&builder, members.key, members.value);
	*operation = pns_bson_end(&builder);
	return true;
}

/*
 * append_filter appends what selects the documents.  False where none can match.
 */
static bool
append_filter(PnsDirect *direct, PnsBsonBuilder *builder)
{
	PnsFilter	filter = pns_fdw_make_filter(pns_scan_query(direct->scan)->quals,
											 pns_scan_operand_value, direct->scan);

	if (filter.kind == PNS_FILTER_NONE)
		return false;
	if (filter.kind == PNS_FILTER_ALL)
		pns_bson_append_document(builder, "q", pns_fdw_empty_document());
	else if (!filter.has_rest)
		pns_bson_append_document(builder, "q", filter.document);
	else
	{
		pns_bson_open_document(builder, "q");
		pns_bson_open_array(builder, "$and");
		pns_bson_append_document(builder, "0", filter.document);
		pns_bson_append_document(builder, "1", filter.rest);
		pns_bson_close(builder);
		pns_bson_close(builder);
	}
	return true;
}

/*
 * fill_slot makes a row of the values that are set, and the set of its columns.
 * False where EXPLAIN does not know them all.
 */
static bool
fill_slot(PnsDirect *direct, Bitmapset **columns)
{
	TupleTableSlot *slot = direct->slot;
	bool		known = true;
	ListCell   *column;
	ListCell   *value;

	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts);
	forboth(column, direct->columns, value, direct->values)
	{
		int			attnum = intVal(lfirst(column));

		*columns = bms_add_member(*columns, attnum);
		known = pns_scan_operand_value(direct->scan, (Expr *) lfirst(value),
									   &slot->tts_values[attnum - 1],
									   &slot->tts_isnull[attnum - 1]) && known;
	}
	ExecStoreVirtualTuple(slot);
	return known;
}

/*
 * append_update appends what becomes of the documents.
 */
static void
append_update(PnsDirect *direct, PnsBsonBuilder *builder)
{
	PnsModify  *modify = direct->modify;
	Bitmapset  *columns = NULL;
	PnsDocument update;

	if (!fill_slot(direct, &columns))
	{
		pns_bson_append_cstring(builder, "u", "?");
		return;
	}
	/* elog: a plan has columns to set, and none of them is of _id */
	if (!pns_row_make_update(modify->writer, direct->slot, columns, pns_fdw_empty_document(),
							 &update))
		elog(ERROR, "an update of %s changes nothing", pns_fdw_table_label(modify->table));
	pns_bson_append_document(builder, "u", update);
}
