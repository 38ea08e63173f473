/*-------------------------------------------------------------------------
 *
 * local_join_plan.c
 *	  Joins of any rows with a collection, by batches of keys: the plan node.
 *
 * The node's children keep their own rows, so it has a row of its own, which
 * is put together of their columns; all its expressions are over that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/restrictinfo.h"

#include "fdw/local_join.h"

/*
 * Where a join's columns come from.  A column above an outer join and the
 * same below it are different Vars since PostgreSQL 16, but one column here.
 */
typedef struct ColumnSources
{
	List	   *outer;			/* the children's target lists */
	List	   *inner;
	List	   *columns;		/* List of TargetEntry: the joined row */
	List	   *numbers;		/* see PNS_JOIN_SOURCES */
} ColumnSources;

static void split_clauses(RelOptInfo *rel, JoinType jointype, List *clauses,
						  List **joinclauses, List **otherclauses);
static int	compare_security(const ListCell *left, const ListCell *right);
static List *key_columns(List *conditions, List *tlist);
static Node *use_sources(Node *node, ColumnSources *sources);
static Expr *find_column(Node *node, ColumnSources *sources);
static TargetEntry *find_entry(Node *node, List *tlist);
static bool is_same_column(Node *left, Node *right);

/*
 * pns_join_plan makes the plan node.  Its row is made of the columns of both
 * children that its output and its conditions use.
 */
Plan *
pns_join_plan(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist,
			  List *clauses, List *custom_plans)
{
	CustomScan *scan = makeNode(CustomScan);
	ForeignPath *inner = (ForeignPath *) list_nth(path->custom_paths, PNS_JOIN_INNER);
	List	   *conditions = ((PnsScanKeys *) linitial(inner->fdw_private))->conditions;
	JoinType	jointype = intVal(list_nth(path->custom_private, PNS_JOIN_PATH_TYPE));
	List	   *keys = list_nth(path->custom_private, PNS_JOIN_PATH_KEYS);
	ColumnSources sources = {0};
	List	   *joinclauses;
	List	   *otherclauses;
	List	   *operators = NIL;
	List	   *collations = NIL;
	ListCell   *lc;

	sources.outer = ((Plan *) list_nth(custom_plans, PNS_JOIN_OUTER))->targetlist;
	sources.inner = ((Plan *) list_nth(custom_plans, PNS_JOIN_INNER))->targetlist;
	split_clauses(rel, jointype, list_nth(path->custom_private, PNS_JOIN_PATH_CLAUSES),
				  &joinclauses, &otherclauses);
	foreach(lc, conditions)
	{
		ScalarArrayOpExpr *condition = lfirst_node(ScalarArrayOpExpr, lc);

		operators = lappend_oid(operators, condition->opno);
		collations = lappend_oid(collations, condition->inputcollid);
	}

	/*
	 * What the node may have to return comes first, as others know it by
	 * these Vars; tlist may be another one, put in later.
	 */
	(void) use_sources((Node *) rel->reltarget->exprs, &sources);
	scan->scan.plan.targetlist = (List *) use_sources((Node *) tlist, &sources);
	scan->scan.plan.qual = (List *) use_sources((Node *) otherclauses, &sources);
	scan->custom_exprs = list_make2(use_sources((Node *) joinclauses, &sources),
									use_sources((Node *) keys, &sources));
	scan->custom_scan_tlist = sources.columns;
	scan->custom_private = list_make5(makeInteger(jointype), sources.numbers,
									  operators, collations,
									  key_columns(conditions, sources.inner));
	scan->custom_plans = custom_plans;
	scan->flags = path->flags;
	scan->methods = &pns_join_scan_methods;
	return &scan->scan.plan;
}

/*
 * split_clauses tells the conditions that decide what matches from those on
 * what the join returns.  What is below a security barrier comes first.
 */
static void
split_clauses(RelOptInfo *rel, JoinType jointype, List *clauses,
			  List **joinclauses, List **otherclauses)
{
	clauses = list_copy(clauses);
	list_sort(clauses, compare_security);

	*otherclauses = NIL;
	if (IS_OUTER_JOIN(jointype))
		extract_actual_join_clauses(clauses, rel->relids, joinclauses, otherclauses);
	else
		*joinclauses = extract_actual_clauses(clauses, false);
}

/*
 * compare_security orders RestrictInfos by their security level.
 */
static int
compare_security(const ListCell *left, const ListCell *right)
{
	Index		left_level = ((RestrictInfo *) lfirst(left))->security_level;
	Index		right_level = ((RestrictInfo *) lfirst(right))->security_level;

	return left_level < right_level ? -1 : left_level > right_level;
}

/*
 * key_columns lists the columns of the inner plan that the keys compare with.
 */
static List *
key_columns(List *conditions, List *tlist)
{
	List	   *columns = NIL;
	ListCell   *lc;

	foreach(lc, conditions)
	{
		Node	   *column = linitial(lfirst_node(ScalarArrayOpExpr, lc)->args);
		TargetEntry *entry;

		while (IsA(column, RelabelType))
			column = (Node *) ((RelabelType *) column)->arg;
		entry = find_entry(column, tlist);

		/* elog: a join's conditions have their columns from its inputs */
		if (entry == NULL)
			elog(ERROR, "a key's column is not in the join's input");
		columns = lappend_int(columns, entry->resno);
	}
	return columns;
}

/*
 * use_sources copies expressions, with every column that a child gives in the
 * form in which the joined row has it.
 */
static Node *
use_sources(Node *node, ColumnSources *sources)
{
	Expr	   *column;

	if (node == NULL)
		return NULL;
	column = find_column(node, sources);
	if (column != NULL)
		return (Node *) copyObject(column);
	return expression_tree_mutator(node, use_sources, sources);
}

/*
 * find_column finds an expression that a child computes in the joined row, to
 * which it is added if need be.  NULL where no child gives it.
 */
static Expr *
find_column(Node *node, ColumnSources *sources)
{
	TargetEntry *entry;
	int			number;

	if (IsA(node, List) || IsA(node, TargetEntry) || IsA(node, Const) || IsA(node, Param))
		return NULL;

	entry = find_entry(node, sources->columns);
	if (entry != NULL)
		return entry->expr;

	entry = find_entry(node, sources->outer);
	number = entry != NULL ? entry->resno : 0;
	if (entry == NULL)
	{
		entry = find_entry(node, sources->inner);
		number = entry != NULL ? -entry->resno : 0;
	}
	if (entry == NULL)
		return NULL;

	entry = makeTargetEntry(copyObject((Expr *) node),
							list_length(sources->columns) + 1, NULL, false);
	sources->columns = lappend(sources->columns, entry);
	sources->numbers = lappend_int(sources->numbers, number);
	return entry->expr;
}

/*
 * find_entry finds an expression in a target list.
 */
static TargetEntry *
find_entry(Node *node, List *tlist)
{
	ListCell   *lc;

	foreach(lc, tlist)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);

		if (is_same_column(node, (Node *) entry->expr))
			return entry;
	}
	return NULL;
}

/*
 * is_same_column tells whether two expressions are one column, whichever
 * outer joins may have made it NULL.
 */
static bool
is_same_column(Node *left, Node *right)
{
	if (nodeTag(left) != nodeTag(right))
		return false;
	if (IsA(left, Var))
		return ((Var *) left)->varno == ((Var *) right)->varno &&
			((Var *) left)->varattno == ((Var *) right)->varattno;
	if (IsA(left, PlaceHolderVar))
		return ((PlaceHolderVar *) left)->phid == ((PlaceHolderVar *) right)->phid;
	return equal(left, right);
}
