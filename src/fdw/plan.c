/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  Sizes, paths and plans of foreign scans.
 *
 * Without use_remote_estimate planning asks no server: sizes are those of the
 * last ANALYZE, or a guess.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "fdw/private.h"

/* What a collection that was never analyzed is taken for. */
#define DEFAULT_DOCUMENTS 1000.0
#define DEFAULT_DOCUMENT_WIDTH 200

/* What the planner knows of a foreign table while it plans; fdw_private. */
typedef struct ForeignPlanState
{
	PnsTable   *table;
	List	   *shipped;		/* RestrictInfos that are sent */
	List	   *checked;		/* those that are evaluated here (a superset's
								 * are in both) */
	double		fetched;		/* documents that the server returns */
} ForeignPlanState;

static void set_size(PlannerInfo *root, RelOptInfo *baserel, const PnsTable *table);
static Oid	scan_user(PlannerInfo *root, RelOptInfo *baserel);
static void classify_conditions(RelOptInfo *baserel, ForeignPlanState *state);
static List *needed_attrs(RelOptInfo *baserel, List *local, const PnsTable *table);
static Node *extract_operands(Node *node, List **operands);
static Node *extract_operand(Node *node, List **operands);

/*
 * pnsGetForeignRelSize estimates the rows of a scan and decides which
 * conditions are shipped.
 */
void
pnsGetForeignRelSize(PlannerInfo *root, RelOptInfo *baserel, Oid relid)
{
	ForeignPlanState *state = palloc0(sizeof(ForeignPlanState));

	baserel->fdw_private = state;
	state->table = pns_fdw_get_table(relid);

	set_size(root, baserel, state->table);
	classify_conditions(baserel, state);
	set_baserel_size_estimates(root, baserel);

	state->fetched = clamp_row_est(baserel->tuples *
								   clauselist_selectivity(root, state->shipped,
														  baserel->relid, JOIN_INNER, NULL));
}

/*
 * pnsGetForeignPaths offers the one way to read a collection.
 */
void
pnsGetForeignPaths(PlannerInfo *root, RelOptInfo *baserel, Oid relid)
{
	ForeignPlanState *state = (ForeignPlanState *) baserel->fdw_private;
	QualCost	checks;
	Cost		startup_cost;
	Cost		total_cost;

	cost_qual_eval(&checks, state->checked, root);
	startup_cost = state->table->startup_cost + checks.startup +
		baserel->reltarget->cost.startup;
	total_cost = startup_cost +
		state->fetched * (state->table->tuple_cost + cpu_tuple_cost + checks.per_tuple) +
		baserel->rows * baserel->reltarget->cost.per_tuple;

	/* the server looks at every document, unless an index helps it */
	if (state->shipped != NIL)
		total_cost += baserel->tuples * cpu_operator_cost;

	add_path(baserel, (Path *)
			 pns_create_foreignscan_path(root, baserel, baserel->rows,
										 startup_cost, total_cost,
										 baserel->lateral_relids));
}

/*
 * pnsGetForeignPlan makes the plan node.  Conditions that MongoDB answers
 * exactly are dropped here, and kept for rechecks of locked rows.
 */
ForeignScan *
pnsGetForeignPlan(PlannerInfo *root, RelOptInfo *baserel, Oid relid,
				  ForeignPath *best_path, List *tlist, List *scan_clauses,
				  Plan *outer_plan)
{
	ForeignPlanState *state = (ForeignPlanState *) baserel->fdw_private;
	List	   *local = NIL;
	List	   *shipped = NIL;
	List	   *recheck = NIL;
	List	   *operands = NIL;
	ListCell   *lc;

	foreach(lc, scan_clauses)
	{
		RestrictInfo *info = lfirst_node(RestrictInfo, lc);
		bool		ships = list_member_ptr(state->shipped, info);

		/* gating conditions are dealt with elsewhere */
		if (info->pseudoconstant)
			continue;
		if (ships)
			shipped = lappend(shipped, copyObject(info->clause));
		if (ships && !list_member_ptr(state->checked, info))
			recheck = lappend(recheck, info->clause);
		else
			local = lappend(local, info->clause);
	}

	/* the executor compiles them for range table entry 1, see scan.c */
	shipped = (List *) extract_operands((Node *) shipped, &operands);
	ChangeVarNodes((Node *) shipped, baserel->relid, 1, 0);

	return make_foreignscan(tlist, local, baserel->relid, operands,
							list_make2(shipped,
									   needed_attrs(baserel, local, state->table)),
							NIL,	/* no custom tlist */
							recheck,
							outer_plan);
}

/*
 * set_size sets the number and width of a table's rows.
 */
static void
set_size(PlannerInfo *root, RelOptInfo *baserel, const PnsTable *table)
{
	if (table->use_remote_estimate)
	{
		PnsCollectionStats stats =
		pns_fdw_collection_stats(table, scan_user(root, baserel), false);

		baserel->tuples = stats.documents;
		baserel->pages = (BlockNumber) (stats.bytes / BLCKSZ);
	}
	else if (baserel->tuples < 0)
	{
		/* never analyzed */
		baserel->tuples = DEFAULT_DOCUMENTS;
		baserel->pages = DEFAULT_DOCUMENTS * DEFAULT_DOCUMENT_WIDTH / BLCKSZ;
	}
}

/*
 * scan_user returns the user that the table is read as: the owner of the view
 * or function that names it, or else the current user.
 */
static Oid
scan_user(PlannerInfo *root, RelOptInfo *baserel)
{
	Oid			userid = pns_checked_user(root, baserel);

	return OidIsValid(userid) ? userid : GetUserId();
}

/*
 * classify_conditions decides, for each condition, whether it is shipped, and
 * whether it is evaluated here.
 */
static void
classify_conditions(RelOptInfo *baserel, ForeignPlanState *state)
{
	ListCell   *lc;

	foreach(lc, baserel->baserestrictinfo)
	{
		RestrictInfo *info = lfirst_node(RestrictInfo, lc);
		PnsQual    *qual = NULL;

		if (!info->pseudoconstant &&
			pns_fdw_pushes(state->table, PNS_PUSH_CONDITION))
			qual = pns_fdw_compile_qual(info->clause, state->table, baserel->relid);

		if (qual != NULL)
			state->shipped = lappend(state->shipped, info);
		if (qual == NULL || !qual->exact)
			state->checked = lappend(state->checked, info);
	}
}

/*
 * needed_attrs lists the attribute numbers that a scan has to fetch: those of
 * its output and of the conditions that are evaluated here.
 */
static List *
needed_attrs(RelOptInfo *baserel, List *local, const PnsTable *table)
{
	Bitmapset  *used = NULL;
	List	   *attrs = NIL;
	bool		whole_row;

	pull_varattnos((Node *) baserel->reltarget->exprs, baserel->relid, &used);
	pull_varattnos((Node *) local, baserel->relid, &used);
	whole_row = bms_is_member(InvalidAttrNumber - FirstLowInvalidHeapAttributeNumber, used);

	for (int i = 0; i < table->ncolumns; i++)
	{
		int			attnum = i + 1;

		/* a dropped column has no number */
		if (table->columns[i].codec.attnum == 0)
			continue;
		if (whole_row ||
			bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, used))
			attrs = lappend_int(attrs, attnum);
	}
	return attrs;
}

/*
 * extract_operands gives a condition parameters for its operands, where
 * compile (qual.c) looks for them: beside the columns of comparisons.  The
 * rest is copied; in a superset it can be anything, also expressions that mean
 * something only where they stand (a subplan's, or a CASE's).
 */
static Node *
extract_operands(Node *node, List **operands)
{
	if (node == NULL)
		return NULL;

	switch (nodeTag(node))
	{
		case T_List:
		case T_BoolExpr:
		case T_BooleanTest:
			return expression_tree_mutator(node, extract_operands, operands);
		case T_OpExpr:
		case T_ScalarArrayOpExpr:
			return expression_tree_mutator(node, extract_operand, operands);
		default:
			return copyObject(node);
	}
}

/*
 * extract_operand replaces an expression that has one value for the whole
 * scan, other than a constant, by a parameter whose number is its place in
 * *operands.  The executor evaluates those when the scan starts.
 */
static Node *
extract_operand(Node *node, List **operands)
{
	Param	   *param;

	if (node == NULL)
		return NULL;
	if (IsA(node, List))
		return expression_tree_mutator(node, extract_operand, operands);
	if (IsA(node, Const) || !pns_fdw_is_operand(node))
		return copyObject(node);

	param = makeNode(Param);
	param->paramkind = PARAM_EXEC;
	param->paramid = list_length(*operands);
	param->paramtype = exprType(node);
	param->paramtypmod = exprTypmod(node);
	param->paramcollid = exprCollation(node);
	param->location = -1;
	*operands = lappend(*operands, node);
	return (Node *) param;
}
