/*-------------------------------------------------------------------------
 *
 * modify_direct_plan.c
 *	  Which UPDATE and DELETE are sent as one command.
 *
 * Core asks for this only where no row trigger, stored generated column or WITH
 * CHECK OPTION looks at the rows.  RETURNING and the constraints of a table are
 * ours to ask for.  The outbox takes nothing but operations by _id.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/appendinfo.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "utils/partcache.h"
#include "utils/rel.h"

#include "fdw/modify.h"

/* What an UPDATE sets, while it is planned. */
typedef struct DirectTarget
{
	List	   *columns;		/* of Integer: attribute numbers */
	List	   *values;			/* of Expr */
	bool		computes;		/* one of them needs the row */
} DirectTarget;

static ForeignScan *find_scan(const ModifyTable *plan, Index result_relation, int subplan_index);
static bool table_pushes(const PnsTable *table);
static bool plan_target(PlannerInfo *root, const PnsRelation *relation, Index result_relation,
						DirectTarget *target);
static bool plan_value(const PnsRelation *relation, int attnum, Expr *value,
					   DirectTarget *target);
static bool may_compute(const PnsTable *table, List *columns);
static bool contains_multiexpr(Node *node, void *context);
static bool constraints_allow(const PnsTable *table, List *columns);
static bool expression_reads(Node *expression, const Bitmapset *set);
static void describe_target(const PnsRelation *relation, ForeignScan *scan,
							const DirectTarget *target, List **operands, List **terms);

/*
 * pnsPlanDirectModify tells whether what a statement does to a table is sent as
 * one command, and then makes the scan of its target that command.
 */
bool
pnsPlanDirectModify(PlannerInfo *root, ModifyTable *plan, Index result_relation,
					int subplan_index)
{
	ForeignScan *scan = find_scan(plan, result_relation, subplan_index);
	const PnsRelation *relation;
	const PnsTable *table;
	DirectTarget target = {NIL};
	List	   *operands = NIL;
	List	   *terms = NIL;

	if (scan == NULL)
		return false;
	relation = (PnsRelation *) find_base_rel(root, result_relation)->fdw_private;
	table = ((PnsTermSource *) linitial(relation->sources))->table;
	if (relation->looked_at != NIL || !table_pushes(table))
		return false;
	if (plan->operation == CMD_UPDATE &&
		(!plan_target(root, relation, result_relation, &target) ||
		 !constraints_allow(table, target.columns)))
		return false;

	describe_target(relation, scan, &target, &operands, &terms);
	scan->fdw_private = lappend(scan->fdw_private,
								list_make4(makeInteger(plan->canSetTag), target.columns,
										   operands, terms));
	scan->operation = plan->operation;
	scan->resultRelation = result_relation;
	scan->scan.plan.async_capable = false;
	return true;
}

/*
 * find_scan finds the scan that selects the rows of a table, if the statement
 * does nothing else with them, and MongoDB answers the conditions exactly.  Of
 * several tables each has its scan below an Append.  NULL where there is none.
 */
static ForeignScan *
find_scan(const ModifyTable *plan, Index result_relation, int subplan_index)
{
	Plan	   *child = outerPlan(plan);
	ForeignScan *scan;

	if ((plan->operation != CMD_UPDATE && plan->operation != CMD_DELETE) ||
		plan->returningLists != NIL)
		return NULL;
	if (IsA(child, Result) && outerPlan(child) != NULL && IsA(outerPlan(child), Append))
		child = outerPlan(child);
	if (IsA(child, Append))
	{
		List	   *children = ((Append *) child)->appendplans;

		if (subplan_index >= list_length(children))
			return NULL;
		child = (Plan *) list_nth(children, subplan_index);
	}
	scan = (ForeignScan *) child;
	if (!IsA(scan, ForeignScan) || scan->scan.scanrelid != result_relation ||
		scan->scan.plan.qual != NIL || list_nth(scan->fdw_private, PNS_QUERY_KEYS) != NULL)
		return NULL;
	return scan;
}

/*
 * table_pushes tells whether a table's statements may be sent as they are.
 */
static bool
table_pushes(const PnsTable *table)
{
	return pns_fdw_pushes(table, PNS_PUSH_MODIFY) &&
		pns_mongo_transaction_mode(table->serverid) != PNS_MODE_OUTBOX;
}

/*
 * plan_target lists what an UPDATE sets.  False where MongoDB cannot set it, or
 * not without knowing what the document is.
 */
static bool
plan_target(PlannerInfo *root, const PnsRelation *relation, Index result_relation,
			DirectTarget *target)
{
	const PnsTable *table = ((PnsTermSource *) linitial(relation->sources))->table;
	List	   *tlist;
	List	   *columns;
	ListCell   *entry;
	ListCell   *number;

	get_translated_update_targetlist(root, result_relation, &tlist, &columns);
	forboth(entry, tlist, number, columns)
	{
		if (!plan_value(relation, lfirst_int(number), lfirst_node(TargetEntry, entry)->expr,
						target))
			return false;
	}
	if (target->computes && !may_compute(table, target->columns))
		return false;
	return target->columns != NIL;
}

/*
 * plan_value adds a column and what it is set to.  False where MongoDB cannot
 * do that.
 */
static bool
plan_value(const PnsRelation *relation, int attnum, Expr *value, DirectTarget *target)
{
	const PnsTable *table = ((PnsTermSource *) linitial(relation->sources))->table;

	if (!pns_row_column_is_plain(&table->columns[attnum - 1]) ||
		contains_multiexpr((Node *) value, NULL))
		return false;
	if (!pns_fdw_is_operand((Node *) value))
	{
		if (pns_computed_compile(value, table, attnum, relation->sources) == NULL)
			return false;
		target->computes = true;
	}
	target->columns = lappend(target->columns, makeInteger(attnum));
	target->values = lappend(target->values, value);
	return true;
}

/*
 * may_compute tells whether an update that computes may set some columns: fields
 * at the top, each by one of them.
 */
static bool
may_compute(const PnsTable *table, List *columns)
{
	ListCell   *lc;
	ListCell   *lc2;

	if (!pns_fdw_pushes(table, PNS_PUSH_EXPRESSION))
		return false;
	foreach(lc, columns)
	{
		const PnsTableColumn *column = &table->columns[intVal(lfirst(lc)) - 1];

		if (list_length(column->keys) != 1)
			return false;
		foreach(lc2, columns)
		{
			const PnsTableColumn *other = &table->columns[intVal(lfirst(lc2)) - 1];

			if (column != other && strcmp(column->native, other->native) == 0)
				return false;
		}
	}
	return true;
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
 * constraints_allow tells whether no constraint has to see the rows that an
 * UPDATE of columns makes.  NOT NULL is asked of what is set, which needs no row.
 */
static bool
constraints_allow(const PnsTable *table, List *columns)
{
	Relation	relation = table_open(table->relid, NoLock);
	const TupleConstr *constraints = RelationGetDescr(relation)->constr;
	Bitmapset  *set = NULL;
	bool		allow;
	ListCell   *lc;

	foreach(lc, columns)
		set = bms_add_member(set, intVal(lfirst(lc)) - FirstLowInvalidHeapAttributeNumber);

	allow = !relation->rd_rel->relispartition ||
		!expression_reads((Node *) RelationGetPartitionQual(relation), set);
	for (int i = 0; allow && constraints != NULL && i < constraints->num_check; i++)
		allow = !expression_reads(stringToNode(constraints->check[i].ccbin), set);
	table_close(relation, NoLock);
	return allow;
}

/*
 * expression_reads tells whether an expression over a table's columns reads one
 * of a set, or the row as a whole.
 */
static bool
expression_reads(Node *expression, const Bitmapset *set)
{
	Bitmapset  *read = NULL;

	pull_varattnos(expression, 1, &read);
	return bms_overlap(read, set) ||
		bms_is_member(InvalidAttrNumber - FirstLowInvalidHeapAttributeNumber, read);
}

/*
 * describe_target puts what is set into a scan's fdw_exprs, where it can be
 * evaluated, and makes the lists that PNS_DIRECT_VALUES and PNS_DIRECT_TERMS stand for.
 */
static void
describe_target(const PnsRelation *relation, ForeignScan *scan, const DirectTarget *target,
				List **operands, List **terms)
{
	ListCell   *lc;

	foreach(lc, target->values)
	{
		Expr	   *value = (Expr *) lfirst(lc);
		Param	   *param = makeNode(Param);
		Expr	   *term = NULL;

		param->paramkind = PARAM_EXEC;
		param->paramid = list_length(scan->fdw_exprs);
		param->paramtype = exprType((Node *) value);
		param->paramtypmod = exprTypmod((Node *) value);
		param->paramcollid = exprCollation((Node *) value);
		param->location = -1;
		scan->fdw_exprs = lappend(scan->fdw_exprs, value);
		*operands = lappend(*operands, param);
		if (!pns_fdw_is_operand((Node *) value))
			term = pns_query_describe_more(relation, value, &scan->fdw_exprs);
		*terms = lappend(*terms, term);
	}
}
