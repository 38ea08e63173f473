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

#include <float.h>
#include <math.h>

#include "access/stratnum.h"
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

/*
 * Of the documents of a collection that was never analyzed, the share that has
 * a key of its own.  PostgreSQL's default, 200 values in all, would take every
 * large collection for one whose keys select nothing.
 */
#define DEFAULT_DISTINCT 0.1

/* What the executor needs for a row beside its columns, about; bytes. */
#define ROW_OVERHEAD 64

/* What can be sent of a join's conditions. */
typedef struct JoinKeys
{
	PnsScanKeys *scan;			/* what the inner scan has to do */
	List	   *values;			/* of Expr: over the outer row */
	List	   *infos;			/* of RestrictInfo: the conditions */
} JoinKeys;

static void offer_join(PlannerInfo *root, RelOptInfo *joinrel,
					   RelOptInfo *outerrel, RelOptInfo *innerrel,
					   JoinType jointype, JoinPathExtraData *extra);
static bool has_gating_condition(List *conditions);
static const PnsTable *table_of(RelOptInfo *rel);
static bool join_type_is_known(JoinType jointype);
static bool must_see_misfits(JoinType jointype);
static JoinKeys *find_keys(RelOptInfo *joinrel, RelOptInfo *outerrel,
						   RelOptInfo *innerrel, JoinType jointype, List *clauses);
static Expr *key_condition(RestrictInfo *info, RelOptInfo *outerrel,
						   RelOptInfo *innerrel, Expr **value);
static bool find_guarded(RelOptInfo *innerrel, const PnsScanKeys *keys, List **guarded);
static void add_join_paths(PlannerInfo *root, RelOptInfo *joinrel,
						   RelOptInfo *outerrel, RelOptInfo *innerrel,
						   JoinType jointype, JoinPathExtraData *extra,
						   JoinKeys *keys);
static Path *sort_by_key(PlannerInfo *root, RelOptInfo *outerrel, Path *outer,
						 RestrictInfo *info);
static void add_join_path(PlannerInfo *root, RelOptInfo *joinrel, Path *outer,
						  RelOptInfo *innerrel, JoinType jointype,
						  JoinPathExtraData *extra, JoinKeys *keys, bool is_sorted);
static bool may_be_reparameterized(PlannerInfo *root, Relids required);
static void set_cost(PlannerInfo *root, CustomPath *path, JoinKeys *keys,
					 bool is_sorted);
static double estimate_documents(PlannerInfo *root, CustomPath *path, JoinKeys *keys,
								 bool is_sorted, double *batches);
static double rows_of_batch(double distinct);
static double estimate_distinct(PlannerInfo *root, Node *expr, double rows);
static double estimate_distinct_there(PlannerInfo *root, RelOptInfo *rel, Node *column);

static set_join_pathlist_hook_type next_hook = NULL;

static const CustomPathMethods path_methods = {
	.CustomName = PNS_JOIN_NAME,
	.PlanCustomPath = pns_join_plan,
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
	JoinKeys   *keys;

	if (next_hook != NULL)
		next_hook(root, joinrel, outerrel, innerrel, jointype, extra);

	if (!join_type_is_known(jointype) || IS_DUMMY_REL(outerrel) || IS_DUMMY_REL(innerrel))
		return;
	table = table_of(innerrel);
	if (table == NULL || !pns_fdw_pushes(table, PNS_PUSH_BATCHED_JOIN) ||
		!pns_fdw_pushes(table, PNS_PUSH_CONDITION))
		return;

	/* conditions on no row at all would put other nodes between ours */
	if (has_gating_condition(extra->restrictlist) ||
		has_gating_condition(innerrel->baserestrictinfo))
		return;

	keys = find_keys(joinrel, outerrel, innerrel, jointype, extra->restrictlist);
	if (keys->values == NIL)
		return;
	if (must_see_misfits(jointype) &&
		!find_guarded(innerrel, keys->scan, &keys->scan->guarded))
		return;
	add_join_paths(root, joinrel, outerrel, innerrel, jointype, extra, keys);
}

/*
 * has_gating_condition tells whether one of conditions (of RestrictInfo) names
 * no row.
 */
static bool
has_gating_condition(List *conditions)
{
	ListCell   *lc;

	foreach(lc, conditions)
	{
		if (lfirst_node(RestrictInfo, lc)->pseudoconstant)
			return true;
	}
	return false;
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
 * find_keys finds the join's conditions that can be sent as keys.
 */
static JoinKeys *
find_keys(RelOptInfo *joinrel, RelOptInfo *outerrel, RelOptInfo *innerrel,
		  JoinType jointype, List *clauses)
{
	JoinKeys   *keys = palloc0(sizeof(JoinKeys));
	ListCell   *lc;

	keys->scan = palloc0(sizeof(PnsScanKeys));
	foreach(lc, clauses)
	{
		RestrictInfo *info = lfirst_node(RestrictInfo, lc);
		Expr	   *condition;
		Expr	   *value;

		/* what stands above an outer join does not decide what matches */
		if (IS_OUTER_JOIN(jointype) && RINFO_IS_PUSHED_DOWN(info, joinrel->relids))
			continue;
		if (list_length(keys->values) == MAX_KEYS)
			break;

		condition = key_condition(info, outerrel, innerrel, &value);
		if (condition == NULL)
			continue;
		keys->scan->conditions = lappend(keys->scan->conditions, condition);
		keys->values = lappend(keys->values, value);
		keys->infos = lappend(keys->infos, info);
	}
	return keys;
}

/*
 * key_condition makes the condition "column = ANY (array)" of an equality
 * between the two sides, and sets the outer one's expression; NULL where it is
 * none that can be sent.
 */
static Expr *
key_condition(RestrictInfo *info, RelOptInfo *outerrel, RelOptInfo *innerrel,
			  Expr **value)
{
	OpExpr	   *clause = (OpExpr *) info->clause;
	PnsQual    *qual;
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
	*value = inner_left ? lsecond(clause->args) : linitial(clause->args);
	operator = inner_left ? clause->opno : get_commutator(clause->opno);
	if (!OidIsValid(operator) || contain_subplans((Node *) *value) ||
		!get_op_hash_functions(operator, &hashes[0], &hashes[1]))
		return NULL;

	array = makeNode(Param);
	array->paramkind = PARAM_EXEC;
	array->paramtype = get_array_type(exprType((Node *) *value));
	array->paramtypmod = -1;
	array->paramcollid = exprCollation((Node *) *value);
	array->location = -1;

	condition = makeNode(ScalarArrayOpExpr);
	condition->opno = operator;
	condition->opfuncid = get_opcode(operator);
	condition->useOr = true;
	condition->inputcollid = clause->inputcollid;
	condition->args = list_make2(column, array);
	condition->location = -1;

	if (!OidIsValid(array->paramtype))
		return NULL;

	/* of an expression there are no values to match the rows by */
	while (IsA(column, RelabelType))
		column = (Node *) ((RelabelType *) column)->arg;
	if (!IsA(column, Var))
		return NULL;
	qual = pns_fdw_compile_qual((Expr *) condition, table_of(innerrel), innerrel->relid);
	return qual != NULL && qual->kind == PNS_QUAL_IN ? (Expr *) condition : NULL;
}

/*
 * find_guarded lists the columns of a collection that an outer join sends keys
 * for and whose misfits are errors.  False where MongoDB cannot find them.
 */
static bool
find_guarded(RelOptInfo *innerrel, const PnsScanKeys *keys, List **guarded)
{
	const PnsTable *table = table_of(innerrel);
	ListCell   *lc;

	foreach(lc, keys->conditions)
	{
		List	   *vars = pull_var_clause((Node *) lfirst(lc), 0);
		int			attnum = linitial_node(Var, vars)->varattno;
		const PnsTableColumn *column = &table->columns[attnum - 1];

		if (column->codec.null_on_mismatch || list_member_int(*guarded, attnum))
			continue;
		if (pns_fdw_misfit_qual(column) == NULL)
			return false;
		*guarded = lappend_int(*guarded, attnum);
	}
	return true;
}

/*
 * add_join_paths adds the paths: with the cheapest way to make the outer rows,
 * and with these sorted by the key, where a key would be sent again and again
 * otherwise.
 */
static void
add_join_paths(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outerrel,
			   RelOptInfo *innerrel, JoinType jointype, JoinPathExtraData *extra,
			   JoinKeys *keys)
{
	Path	   *outer = outerrel->cheapest_total_path;
	Path	   *sorted;

	if (jointype == JOIN_UNIQUE_OUTER)
	{
		outer = (Path *) create_unique_path(root, outerrel, outer, extra->sjinfo);
		jointype = JOIN_INNER;
	}
	add_join_path(root, joinrel, outer, innerrel, jointype, extra, keys, false);

	if (estimate_distinct(root, linitial(keys->values), outer->rows) <= pns_fdw_join_batch_size)
		return;
	sorted = sort_by_key(root, outerrel, outer, linitial_node(RestrictInfo, keys->infos));
	if (sorted != NULL)
		add_join_path(root, joinrel, sorted, innerrel, jointype, extra, keys, true);
}

/*
 * sort_by_key sorts the outer rows by the outer side of an equality, where
 * they are not; NULL where that cannot be done.
 */
static Path *
sort_by_key(PlannerInfo *root, RelOptInfo *outerrel, Path *outer, RestrictInfo *info)
{
	EquivalenceClass *class;
	List	   *pathkeys;

	if (info->mergeopfamilies == NIL)
		return NULL;
	update_mergeclause_eclasses(root, info);
	class = bms_is_subset(info->left_relids, outerrel->relids) ? info->left_ec : info->right_ec;
	pathkeys = list_make1(make_canonical_pathkey(root, class,
												 linitial_oid(info->mergeopfamilies),
												 BTLessStrategyNumber, false));
	if (pathkeys_contained_in(pathkeys, outer->pathkeys))
		return outer;
	return (Path *) create_sort_path(root, outerrel, outer, pathkeys, -1.0);
}

/*
 * add_join_path adds one path.
 */
static void
add_join_path(PlannerInfo *root, RelOptInfo *joinrel, Path *outer, RelOptInfo *innerrel,
			  JoinType jointype, JoinPathExtraData *extra, JoinKeys *keys, bool is_sorted)
{
	CustomPath *path = makeNode(CustomPath);
	ForeignPath *inner;
	List	   *clauses = extra->restrictlist;
	Relids		required;

	inner = pns_create_foreignscan_path(root, innerrel, innerrel->rows, 0, 0, NIL,
										innerrel->lateral_relids,
										list_make1(keys->scan));

	/* a side that needs rows of the other is for nested loops */
	if (bms_overlap(PATH_REQ_OUTER(outer), innerrel->relids) ||
		bms_overlap(PATH_REQ_OUTER(&inner->path), outer->parent->relids))
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
	path->custom_private = list_make3(makeInteger(jointype), clauses, keys->values);
	path->methods = &path_methods;
	set_cost(root, path, keys, is_sorted);
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
 * set_cost estimates the costs of a join and of its inner scan.
 */
static void
set_cost(PlannerInfo *root, CustomPath *path, JoinKeys *keys, bool is_sorted)
{
	Path	   *outer = (Path *) list_nth(path->custom_paths, PNS_JOIN_OUTER);
	Path	   *inner = (Path *) list_nth(path->custom_paths, PNS_JOIN_INNER);
	const PnsRelation *relation = (PnsRelation *) inner->parent->fdw_private;
	PathTarget *target = path->path.pathtarget;
	Cost		per_key = cpu_operator_cost * list_length(keys->values);
	double		batches;
	double		documents = estimate_documents(root, path, keys, is_sorted, &batches);
	QualCost	checks;

	inner->rows = clamp_row_est(documents / batches);
	pns_cost_scan(root, relation, keys->scan->conditions,
				  documents / batches / relation->fetched, inner->rows,
				  relation->checked, &inner->startup_cost, &inner->total_cost);

	/* what does not fit is looked for once, among all documents */
	if (keys->scan->guarded != NIL)
		inner->total_cost += pns_cost_examine(relation) / batches;

	inner->total_cost += pns_cost_compare(relation, keys->scan->conditions,
										  Min(outer->rows / batches,
											  pns_fdw_join_batch_size));

	/* the first row needs the first batch */
	cost_qual_eval(&checks, list_nth(path->custom_private, PNS_JOIN_PATH_CLAUSES), root);
	path->path.startup_cost = outer->startup_cost +
		(outer->total_cost - outer->startup_cost) / batches +
		inner->startup_cost + checks.startup + target->cost.startup;
	path->path.total_cost = outer->total_cost + batches * inner->total_cost +
		outer->rows * (per_key + cpu_tuple_cost) + documents * per_key +
		checks.startup + Max(documents, path->path.rows) * checks.per_tuple +
		target->cost.startup +
		path->path.rows * (cpu_tuple_cost + target->cost.per_tuple);
	path->path.total_cost = Max(path->path.total_cost, path->path.startup_cost);
	pns_add_disabled_nodes(&path->path, outer);
}

/*
 * estimate_documents estimates how many documents all batches will bring, and
 * how many batches there will be.
 */
static double
estimate_documents(PlannerInfo *root, CustomPath *path, JoinKeys *keys, bool is_sorted,
				   double *batches)
{
	Path	   *outer = (Path *) list_nth(path->custom_paths, PNS_JOIN_OUTER);
	RelOptInfo *rel = ((Path *) list_nth(path->custom_paths, PNS_JOIN_INNER))->parent;
	double		row_bytes = outer->pathtarget->width + ROW_OVERHEAD;
	double		share = 1.0;
	double		sent = 1.0;
	ListCell   *condition_cell;
	ListCell   *value_cell;

	*batches = outer->rows * row_bytes / get_hash_memory_limit();
	forboth(condition_cell, keys->scan->conditions, value_cell, keys->values)
	{
		ScalarArrayOpExpr *condition = lfirst_node(ScalarArrayOpExpr, condition_cell);
		double		distinct = estimate_distinct(root, lfirst(value_cell), outer->rows);
		double		there = estimate_distinct_there(root, rel, linitial(condition->args));
		bool		is_first = value_cell == list_head(keys->values);

		*batches = Max(*batches, is_sorted && is_first ?
					   distinct / pns_fdw_join_batch_size :
					   outer->rows / rows_of_batch(distinct));
		sent = Max(sent, distinct);
		share *= Min(1.0, distinct / there);
	}
	*batches = ceil(Max(*batches, 1.0));

	/* a key that comes in several batches brings its documents with each */
	if (!is_sorted)
		share *= Max(1.0, *batches * Min(sent, pns_fdw_join_batch_size) / sent);
	return clamp_row_est(((PnsRelation *) rel->fdw_private)->fetched * share);
}

/*
 * rows_of_batch estimates how many rows, with so many different keys in no
 * order, fill a batch.
 */
static double
rows_of_batch(double distinct)
{
	if (distinct <= pns_fdw_join_batch_size)
		return DBL_MAX;
	return -distinct * log1p(-pns_fdw_join_batch_size / distinct);
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
 * estimate_distinct_there estimates the number of different values of a
 * collection's column.
 */
static double
estimate_distinct_there(PlannerInfo *root, RelOptInfo *rel, Node *column)
{
	EstimationInfo info = {0};
	double		distinct = estimate_num_groups(root, list_make1(column), rel->tuples,
											   NULL, &info);

	if ((info.flags & SELFLAG_USED_DEFAULT) != 0)
		distinct = Max(distinct, rel->tuples * DEFAULT_DISTINCT);
	return distinct;
}
