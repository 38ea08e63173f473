/*-------------------------------------------------------------------------
 *
 * local_join.c
 *	  Joins of any rows with a collection, by batches of keys: planning.
 *
 * A hash join reads the whole collection, a nested loop sends one query per
 * row.  This join collects rows of its outer side until they have a batch of
 * distinct keys, asks the collection for the documents with these keys by one
 * "column = ANY (keys)", and joins the answer with the rows it holds.  Which
 * pairs match is decided here, by the join's own conditions; what is asked
 * for may be more.
 *
 * The join is a CustomScan with two children: any plan, and a ForeignScan,
 * which has one more condition for each key.  The arrays of the keys' values
 * are operands of these conditions that the join sets (pns_fdw_set_keys).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "executor/nodeHash.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"

#include "fdw/local_join.h"

/* More keys than this would not make a query more selective. */
#define MAX_KEYS 4

/* What the executor needs for a row beside its columns, about; bytes. */
#define ROW_OVERHEAD 64

/* The members of a CustomPath's custom_private. */
typedef enum JoinPathPrivateIndex
{
	JOIN_PATH_TYPE,				/* Integer: a JoinType */
	JOIN_PATH_CLAUSES,			/* List of RestrictInfo */
	JOIN_PATH_KEYS				/* List of Expr: of the outer row */
} JoinPathPrivateIndex;

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

static void offer_join(PlannerInfo *root, RelOptInfo *joinrel,
					   RelOptInfo *outerrel, RelOptInfo *innerrel,
					   JoinType jointype, JoinPathExtraData *extra);
static const PnsTable *table_of(RelOptInfo *rel);
static bool join_type_is_known(JoinType jointype);
static bool must_see_misfits(JoinType jointype);
static void find_keys(RelOptInfo *joinrel, RelOptInfo *outerrel, RelOptInfo *innerrel,
					  JoinType jointype, List *clauses,
					  List **conditions, List **keys);
static Expr *key_condition(RestrictInfo *info, RelOptInfo *outerrel,
						   RelOptInfo *innerrel, Expr **key);
static bool find_guarded(RelOptInfo *joinrel, RelOptInfo *innerrel, List *clauses,
						 List **guarded);
static void add_join_path(PlannerInfo *root, RelOptInfo *joinrel,
						  RelOptInfo *outerrel, RelOptInfo *innerrel,
						  JoinType jointype, JoinPathExtraData *extra,
						  PnsScanKeys *conditions, List *keys);
static bool may_be_reparameterized(PlannerInfo *root, Relids required);
static void set_cost(PlannerInfo *root, CustomPath *path, ForeignPath *inner,
					 PnsScanKeys *conditions, List *keys);
static double estimate_distinct(PlannerInfo *root, Node *expr, double rows);
static Plan *plan_join(PlannerInfo *root, RelOptInfo *rel, CustomPath *path,
					   List *tlist, List *clauses, List *custom_plans);
static void split_clauses(RelOptInfo *rel, JoinType jointype, List *clauses,
						  List **joinclauses, List **otherclauses);
static int	compare_security(const ListCell *left, const ListCell *right);
static List *key_columns(List *conditions, List *tlist);
static Node *use_sources(Node *node, ColumnSources *sources);
static Expr *find_column(Node *node, ColumnSources *sources);
static TargetEntry *find_entry(Node *node, List *tlist);
static bool is_same_column(Node *left, Node *right);

static set_join_pathlist_hook_type next_hook = NULL;

static const CustomPathMethods path_methods = {
	.CustomName = PNS_JOIN_NAME,
	.PlanCustomPath = plan_join,
};

/*
 * pns_fdw_init_local_join lets the planner know of the join.
 */
void
pns_fdw_init_local_join(void)
{
	RegisterCustomScanMethods(&pns_join_scan_methods);
	next_hook = set_join_pathlist_hook;
	set_join_pathlist_hook = offer_join;
}

/*
 * offer_join offers the join for a pair of relations the inner one of which
 * is a collection, where a key can be sent.
 */
static void
offer_join(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outerrel,
		   RelOptInfo *innerrel, JoinType jointype, JoinPathExtraData *extra)
{
	const PnsTable *table;
	PnsScanKeys *conditions;
	List	   *keys;

	if (next_hook != NULL)
		next_hook(root, joinrel, outerrel, innerrel, jointype, extra);

	if (!join_type_is_known(jointype) || IS_DUMMY_REL(outerrel) || IS_DUMMY_REL(innerrel))
		return;
	table = table_of(innerrel);
	if (table == NULL || !pns_fdw_pushes(table, PNS_PUSH_BATCHED_JOIN) ||
		!pns_fdw_pushes(table, PNS_PUSH_CONDITION))
		return;

	/* conditions on no row at all would put other nodes between ours */
	if (has_pseudoconstant_clauses(root, extra->restrictlist) ||
		has_pseudoconstant_clauses(root, innerrel->baserestrictinfo))
		return;

	conditions = palloc0(sizeof(PnsScanKeys));
	find_keys(joinrel, outerrel, innerrel, jointype, extra->restrictlist,
			  &conditions->conditions, &keys);
	if (keys == NIL)
		return;
	if (must_see_misfits(jointype) &&
		!find_guarded(joinrel, innerrel, extra->restrictlist, &conditions->guarded))
		return;
	add_join_path(root, joinrel, outerrel, innerrel, jointype, extra,
				  conditions, keys);
}

/*
 * table_of returns the foreign table of ours that a relation is, or NULL where
 * it is anything else.
 */
static const PnsTable *
table_of(RelOptInfo *rel)
{
	PnsRelation *relation = (PnsRelation *) rel->fdw_private;

	if (!IS_SIMPLE_REL(rel) || rel->fdwroutine == NULL || relation == NULL ||
		rel->fdwroutine->GetForeignPlan != pnsGetForeignPlan)
		return NULL;
	return ((PnsTermSource *) linitial(relation->sources))->table;
}

/*
 * join_type_is_known tells whether the executor can do a type of join.  What
 * returns unmatched documents has to read them all, and is not for us.
 */
static bool
join_type_is_known(JoinType jointype)
{
	return jointype == JOIN_INNER || jointype == JOIN_LEFT ||
		jointype == JOIN_SEMI || jointype == JOIN_ANTI ||
		jointype == JOIN_UNIQUE_OUTER;
}

/*
 * must_see_misfits tells whether a value in a join's condition that does not
 * fit its column has to be an error even where it matches nothing.  A join
 * that returns what has no match returns more on account of it.
 */
static bool
must_see_misfits(JoinType jointype)
{
	return jointype == JOIN_LEFT || jointype == JOIN_ANTI;
}

/*
 * find_keys finds the join's conditions that can be sent as keys: each with
 * the condition of the scan, and the expression over the outer row that gives
 * its values.
 */
static void
find_keys(RelOptInfo *joinrel, RelOptInfo *outerrel, RelOptInfo *innerrel,
		  JoinType jointype, List *clauses, List **conditions, List **keys)
{
	ListCell   *lc;

	*conditions = NIL;
	*keys = NIL;
	foreach(lc, clauses)
	{
		RestrictInfo *info = lfirst_node(RestrictInfo, lc);
		Expr	   *condition;
		Expr	   *key;

		/* what stands above an outer join does not decide what matches */
		if (IS_OUTER_JOIN(jointype) && RINFO_IS_PUSHED_DOWN(info, joinrel->relids))
			continue;
		if (list_length(*keys) == MAX_KEYS)
			break;

		condition = key_condition(info, outerrel, innerrel, &key);
		if (condition != NULL)
		{
			*conditions = lappend(*conditions, condition);
			*keys = lappend(*keys, key);
		}
	}
}

/*
 * key_condition makes the condition "column = ANY (array)" of an equality
 * between the two sides, or returns NULL where it is none that can be sent.
 */
static Expr *
key_condition(RestrictInfo *info, RelOptInfo *outerrel, RelOptInfo *innerrel,
			  Expr **key)
{
	OpExpr	   *clause = (OpExpr *) info->clause;
	ScalarArrayOpExpr *condition;
	Param	   *array;
	Node	   *column;
	Oid			operator;
	RegProcedure hashes[2];
	bool		inner_left;

	if (!info->can_join || !OidIsValid(info->hashjoinoperator) ||
		!restriction_is_securely_promotable(info, innerrel))
		return NULL;

	inner_left = bms_is_subset(info->left_relids, innerrel->relids) &&
		bms_is_subset(info->right_relids, outerrel->relids);
	if (!inner_left &&
		!(bms_is_subset(info->left_relids, outerrel->relids) &&
		  bms_is_subset(info->right_relids, innerrel->relids)))
		return NULL;

	column = inner_left ? linitial(clause->args) : lsecond(clause->args);
	*key = inner_left ? lsecond(clause->args) : linitial(clause->args);
	operator = inner_left ? clause->opno : get_commutator(clause->opno);
	if (!OidIsValid(operator) || contain_subplans((Node *) *key) ||
		!get_op_hash_functions(operator, &hashes[0], &hashes[1]))
		return NULL;

	array = makeNode(Param);
	array->paramkind = PARAM_EXEC;
	array->paramtype = get_array_type(exprType((Node *) *key));
	array->paramtypmod = -1;
	array->paramcollid = exprCollation((Node *) *key);
	array->location = -1;

	condition = makeNode(ScalarArrayOpExpr);
	condition->opno = operator;
	condition->opfuncid = get_opcode(operator);
	condition->useOr = true;
	condition->inputcollid = clause->inputcollid;
	condition->args = list_make2(column, array);
	condition->location = -1;

	if (!OidIsValid(array->paramtype) ||
		pns_fdw_compile_qual((Expr *) condition, table_of(innerrel),
							 innerrel->relid) == NULL)
		return NULL;
	return (Expr *) condition;
}

/*
 * find_guarded lists the columns of a collection in the conditions of an outer
 * join whose misfits are errors.  False where MongoDB cannot find them.
 */
static bool
find_guarded(RelOptInfo *joinrel, RelOptInfo *innerrel, List *clauses, List **guarded)
{
	const PnsTable *table = table_of(innerrel);
	ListCell   *lc;

	foreach(lc, clauses)
	{
		RestrictInfo *info = lfirst_node(RestrictInfo, lc);
		ListCell   *column_cell;

		if (RINFO_IS_PUSHED_DOWN(info, joinrel->relids))
			continue;
		foreach(column_cell, pull_var_clause((Node *) info->clause,
											 PVC_RECURSE_PLACEHOLDERS))
		{
			Var		   *var = lfirst_node(Var, column_cell);
			const PnsTableColumn *column;

			if (var->varno != innerrel->relid || var->varattno < 0)
				continue;
			if (var->varattno == 0)
				return false;
			column = &table->columns[var->varattno - 1];
			if (column->codec.null_on_mismatch ||
				list_member_int(*guarded, var->varattno))
				continue;
			if (pns_fdw_misfit_qual(column) == NULL)
				return false;
			*guarded = lappend_int(*guarded, var->varattno);
		}
	}
	return true;
}

/*
 * add_join_path adds the path, with the cheapest way to make the outer rows.
 */
static void
add_join_path(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outerrel,
			  RelOptInfo *innerrel, JoinType jointype, JoinPathExtraData *extra,
			  PnsScanKeys *conditions, List *keys)
{
	CustomPath *path = makeNode(CustomPath);
	Path	   *outer = outerrel->cheapest_total_path;
	ForeignPath *inner;
	List	   *clauses = extra->restrictlist;
	Relids		required;

	if (jointype == JOIN_UNIQUE_OUTER)
	{
		outer = (Path *) create_unique_path(root, outerrel, outer, extra->sjinfo);
		jointype = JOIN_INNER;
	}
	inner = pns_create_foreignscan_path(root, innerrel, innerrel->rows, 0, 0, NIL,
										innerrel->lateral_relids,
										list_make1(conditions));

	/* a side that needs rows of the other is for nested loops */
	if (bms_overlap(PATH_REQ_OUTER(outer), innerrel->relids) ||
		bms_overlap(PATH_REQ_OUTER(&inner->path), outerrel->relids))
		return;
	required = calc_non_nestloop_required_outer(outer, &inner->path);
	if (!bms_is_empty(required) &&
		(!bms_overlap(required, extra->param_source_rels) ||
		 may_be_reparameterized(root, required)))
		return;

	path->path.pathtype = T_CustomScan;
	path->path.parent = joinrel;
	path->path.pathtarget = joinrel->reltarget;
	path->path.param_info = get_joinrel_parampathinfo(root, joinrel, outer, &inner->path,
													  extra->sjinfo, required, &clauses);
	path->path.rows = path->path.param_info != NULL ?
		path->path.param_info->ppi_rows : joinrel->rows;
	path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->custom_paths = list_make2(outer, inner);
	path->custom_private = list_make3(makeInteger(jointype), clauses, keys);
	path->methods = &path_methods;
	set_cost(root, path, inner, conditions, keys);
	add_path(joinrel, &path->path);
}

/*
 * may_be_reparameterized tells whether a path that needs rows of these
 * relations could be asked to take them from a partition instead, for which
 * its conditions would have to be rewritten.
 */
static bool
may_be_reparameterized(PlannerInfo *root, Relids required)
{
	int			relid = -1;

	while ((relid = bms_next_member(required, relid)) >= 0)
	{
		RelOptInfo *rel = root->simple_rel_array[relid];

		if (rel != NULL && rel->consider_partitionwise_join)
			return true;
	}
	return false;
}

/*
 * set_cost estimates the costs of a join and of its inner scan: how many
 * batches there will be, and how many documents they will bring.
 */
static void
set_cost(PlannerInfo *root, CustomPath *path, ForeignPath *inner,
		 PnsScanKeys *conditions, List *keys)
{
	Path	   *outer = (Path *) linitial(path->custom_paths);
	const PnsRelation *relation = (PnsRelation *) inner->path.parent->fdw_private;
	List	   *clauses = (List *) list_nth(path->custom_private, JOIN_PATH_CLAUSES);
	double		row_bytes = outer->pathtarget->width + ROW_OVERHEAD;
	double		batches = outer->rows * row_bytes / get_hash_memory_limit();
	double		share = 1.0;
	double		documents;
	QualCost	checks;
	ListCell   *condition_cell;
	ListCell   *key_cell;

	forboth(condition_cell, conditions->conditions, key_cell, keys)
	{
		ScalarArrayOpExpr *condition = lfirst_node(ScalarArrayOpExpr, condition_cell);
		double		sent = estimate_distinct(root, lfirst(key_cell), outer->rows);
		double		there = estimate_distinct(root, linitial(condition->args),
											  inner->path.parent->tuples);

		batches = Max(batches, sent / pns_fdw_join_batch_size);
		share *= Min(1.0, sent / there);
	}
	batches = ceil(Max(batches, 1.0));

	documents = clamp_row_est(relation->fetched * share);
	inner->path.rows = clamp_row_est(relation->rel->rows * share / batches);
	pns_relation_cost(root, relation, documents / batches, inner->path.rows,
					  relation->checked, true, &inner->path.startup_cost,
					  &inner->path.total_cost);

	/* what does not fit is looked for once, among all documents */
	if (conditions->guarded != NIL)
		inner->path.total_cost += relation->rel->tuples * cpu_operator_cost / batches;

	cost_qual_eval(&checks, clauses, root);
	path->path.startup_cost = outer->startup_cost +
		(outer->total_cost - outer->startup_cost) / batches +
		inner->path.startup_cost + checks.startup +
		path->path.pathtarget->cost.startup;
	path->path.total_cost = outer->total_cost + batches * inner->path.total_cost +
		outer->rows * (cpu_operator_cost * list_length(keys) + cpu_tuple_cost) +
		documents * cpu_operator_cost * list_length(keys) +
		checks.startup + Max(documents, path->path.rows) * checks.per_tuple +
		path->path.rows * (cpu_tuple_cost + path->path.pathtarget->cost.per_tuple) +
		path->path.pathtarget->cost.startup;
	path->path.total_cost = Max(path->path.total_cost, path->path.startup_cost);
	pns_add_disabled_nodes(&path->path, outer);
}

/*
 * estimate_distinct estimates the number of different values of an expression
 * in so many rows.
 */
static double
estimate_distinct(PlannerInfo *root, Node *expr, double rows)
{
	return estimate_num_groups(root, list_make1(expr), rows, NULL, NULL);
}

/*
 * plan_join makes the plan node.  Its row is made of the columns of both
 * children that its output and its conditions use.
 */
static Plan *
plan_join(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist,
		  List *clauses, List *custom_plans)
{
	CustomScan *scan = makeNode(CustomScan);
	ForeignPath *inner = (ForeignPath *) list_nth(path->custom_paths, PNS_JOIN_INNER);
	List	   *conditions = ((PnsScanKeys *) linitial(inner->fdw_private))->conditions;
	JoinType	jointype = intVal(list_nth(path->custom_private, JOIN_PATH_TYPE));
	List	   *keys = list_nth(path->custom_private, JOIN_PATH_KEYS);
	ColumnSources sources = {0};
	List	   *joinclauses;
	List	   *otherclauses;
	List	   *operators = NIL;
	List	   *collations = NIL;
	ListCell   *lc;

	sources.outer = ((Plan *) list_nth(custom_plans, PNS_JOIN_OUTER))->targetlist;
	sources.inner = ((Plan *) list_nth(custom_plans, PNS_JOIN_INNER))->targetlist;
	split_clauses(rel, jointype, list_nth(path->custom_private, JOIN_PATH_CLAUSES),
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
