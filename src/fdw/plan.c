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
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "fdw/upper.h"

/* What a collection that was never analyzed is taken for. */
#define DEFAULT_DOCUMENTS 1000.0
#define DEFAULT_DOCUMENT_WIDTH 200

/* What depends_on_rows looks for. */
typedef struct RowsContext
{
	PlannerInfo *root;
	Relids		relids;			/* what is scanned */
} RowsContext;

static void set_size(PlannerInfo *root, RelOptInfo *baserel, const PnsTable *table);
static void set_fetched(PlannerInfo *root, PnsRelation *relation, double counted);
static Oid	scan_user(PlannerInfo *root, RelOptInfo *baserel);
static void classify_conditions(PnsRelation *relation);
static List *add_columns(List *columns, const PnsTermSource *source, Bitmapset *attrs);
static void split_clauses(PlannerInfo *root, const PnsRelation *relation,
						  List *scan_clauses, List **shipped,
						  List **checked, List **dropped);
static void add_ordered_path(PlannerInfo *root, PnsRelation *relation, List *pathkeys,
							 Path *recheck_path, List *restrictinfo);
static List *base_outputs(const PnsRelation *relation, List *checked, List **slots);
static List *scan_tlist(const PnsRelation *relation, List **outputs, List **slots);
static List *needed_columns(const PnsRelation *relation);
static bool depends_on_rows(PlannerInfo *root, const PnsRelation *relation, List *exprs);
static bool reads_rows(Node *node, void *arg);
static Plan *recheck_plan(Plan *plan, List *checked, List *row, const ForeignPath *path);

/*
 * pnsGetForeignRelSize estimates the rows of a scan and decides which
 * conditions are shipped.
 */
void
pnsGetForeignRelSize(PlannerInfo *root, RelOptInfo *baserel, Oid relid)
{
	PnsRelation *relation = palloc0(sizeof(PnsRelation));
	PnsTermSource *source = palloc0(sizeof(PnsTermSource));

	source->varno = baserel->relid;
	source->table = pns_fdw_get_table(relid);
	source->prefix = "";

	baserel->fdw_private = relation;
	relation->kind = PNS_RELATION_BASE;
	relation->rel = baserel;
	relation->relids = baserel->relids;
	relation->sources = list_make1(source);

	set_size(root, baserel, source->table);
	relation->indexes = pns_fdw_known_indexes(source->table, scan_user(root, baserel));
	classify_conditions(relation);
	set_baserel_size_estimates(root, baserel);
	set_fetched(root, relation, pns_estimate_scan(root, relation, scan_user(root, baserel)));
	pns_cost_base(root, relation);
}

/*
 * set_fetched sets the number of documents that the shipped conditions select:
 * counted, or where that is below 0 by the statistics.
 */
static void
set_fetched(PlannerInfo *root, PnsRelation *relation, double counted)
{
	RelOptInfo *rel = relation->rel;
	List	   *unshipped = list_difference_ptr(relation->checked, relation->shipped);

	if (counted < 0)
	{
		relation->fetched = clamp_row_est(rel->tuples *
										  clauselist_selectivity(root, relation->shipped,
																 rel->relid, JOIN_INNER,
																 NULL));
		return;
	}
	relation->fetched = clamp_row_est(counted);
	rel->rows = clamp_row_est(counted * clauselist_selectivity(root, unshipped, rel->relid,
															   JOIN_INNER, NULL));
}

/*
 * pnsGetForeignPaths offers the ways to read a collection.
 */
void
pnsGetForeignPaths(PlannerInfo *root, RelOptInfo *baserel, Oid relid)
{
	PnsRelation *relation = (PnsRelation *) baserel->fdw_private;

	pns_relation_add_paths(root, relation, NULL, NIL);
	pns_relation_add_outer_paths(root, relation);
}

/*
 * pns_relation_add_paths offers the ways to read a base or a join relation.
 * Of a join recheck_path does it again from the rows of its tables, where some
 * are locked, and restrictinfo are its conditions.
 */
void
pns_relation_add_paths(PlannerInfo *root, PnsRelation *relation, Path *recheck_path,
					   List *restrictinfo)
{
	List	   *orders = lcons(NIL, pns_order_useful(root, relation));
	ListCell   *lc;

	foreach(lc, orders)
		add_ordered_path(root, relation, (List *) lfirst(lc), recheck_path, restrictinfo);
}

/*
 * add_ordered_path offers to read a base or a join relation in an order.
 */
static void
add_ordered_path(PlannerInfo *root, PnsRelation *relation, List *pathkeys,
				 Path *recheck_path, List *restrictinfo)
{
	RelOptInfo *rel = relation->rel;
	ForeignPath *path;
	double		rows;
	Cost		startup_cost;
	Cost		total_cost;

	pns_cost_ordered(relation, pathkeys, &rows, &startup_cost, &total_cost);
	if (relation->kind == PNS_RELATION_BASE)
		path = pns_create_foreignscan_path(root, rel, rows, startup_cost, total_cost,
										   pathkeys, rel->lateral_relids, NIL);
	else
		path = pns_create_foreign_join_path(root, rel, rows, startup_cost, total_cost,
											pathkeys, rel->lateral_relids, recheck_path,
											restrictinfo, NIL);
	add_path(rel, (Path *) path);
}

/*
 * pns_relation_pushes tells whether a kind of pushdown may be used for all
 * tables of a relation.
 */
bool
pns_relation_pushes(const PnsRelation *relation, PnsPushdown kind)
{
	ListCell   *lc;

	foreach(lc, relation->sources)
	{
		if (!pns_fdw_pushes(((PnsTermSource *) lfirst(lc))->table, kind))
			return false;
	}
	return true;
}

/*
 * pns_relation_outputs_ship tells whether all that a relation puts out can be
 * fetched as the columns of its tables, as it has to be where its rows are not
 * those of a single table: a row as a whole and system columns cannot.
 */
bool
pns_relation_outputs_ship(const PnsRelation *relation)
{
	ListCell   *lc;

	if (relation->kind == PNS_RELATION_GROUP)
		return true;
	foreach(lc, needed_columns(relation))
	{
		if (!IsA(lfirst(lc), Var) || ((Var *) lfirst(lc))->varattno <= 0)
			return false;
	}
	return true;
}

/*
 * pnsGetForeignPlan makes the plan node.  Conditions that MongoDB answers
 * exactly are dropped here, and kept for rechecks of locked rows.
 */
ForeignScan *
pnsGetForeignPlan(PlannerInfo *root, RelOptInfo *rel, Oid relid,
				  ForeignPath *best_path, List *tlist, List *scan_clauses,
				  Plan *outer_plan)
{
	const PnsRelation *relation = (PnsRelation *) rel->fdw_private;
	bool		is_base = rel == relation->rel && relation->kind == PNS_RELATION_BASE;
	PnsRequest	request = {.pathkeys = best_path->path.pathkeys};
	List	   *checked;
	List	   *dropped;
	List	   *row = NIL;
	List	   *description;
	List	   *operands;

	if (!is_base)
		scan_clauses = list_union_ptr(relation->shipped, relation->checked);
	split_clauses(root, relation, scan_clauses, &request.shipped, &checked, &dropped);
	if (is_base)
	{
		request.outputs = base_outputs(relation, checked, &request.slots);
		if (best_path->fdw_private != NIL)
			request.keys = (PnsScanKeys *) linitial(best_path->fdw_private);
		row = pns_identity_plan(relation, list_concat_copy(request.shipped, checked),
								&request.identity);
	}
	else
	{
		if (relation->kind == PNS_RELATION_GROUP)
			row = pns_group_tlist(relation);
		else
			row = scan_tlist(relation, &request.outputs, &request.slots);
		checked = list_concat(checked, list_copy(relation->checked_having));
		request.limit = best_path->fdw_private;
	}
	if (outer_plan != NULL)
		outer_plan = recheck_plan(outer_plan, checked, row, best_path);
	description = pns_query_describe(relation, &request, &operands);
	description = lappend(description,
						  makeBoolean(enable_memoize && request.keys == NULL &&
									  request.identity == NIL &&
									  depends_on_rows(root, relation,
													  list_concat_copy(operands, checked))));

	return make_foreignscan(tlist, checked, is_base ? rel->relid : 0, operands,
							description, row, is_base ? dropped : NIL, outer_plan);
}

/*
 * depends_on_rows tells whether what a scan sends or checks changes with the
 * rows of an outer query or of the outer side of a nested loop.  What is
 * computed once for the query does not.
 */
static bool
depends_on_rows(PlannerInfo *root, const PnsRelation *relation, List *exprs)
{
	RowsContext context = {root, relation->relids};

	return reads_rows((Node *) exprs, &context);
}

/*
 * reads_rows does that for an expression.
 */
static bool
reads_rows(Node *node, void *arg)
{
	const RowsContext *context = (RowsContext *) arg;
	ListCell   *lc;

	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return !bms_is_member(((Var *) node)->varno, context->relids);
	if (!IsA(node, Param))
		return expression_tree_walker(node, reads_rows, arg);

	foreach(lc, context->root->init_plans)
	{
		if (list_member_int(lfirst_node(SubPlan, lc)->setParam, ((Param *) node)->paramid))
			return false;
	}
	return ((Param *) node)->paramkind == PARAM_EXEC;
}

/*
 * recheck_plan has the local plan of a join, which is run for rows that were
 * locked, give the rows that the scan gives.  What the scan checks anyway need
 * not be checked there, as far as that is easy to leave out.
 */
static Plan *
recheck_plan(Plan *plan, List *checked, List *row, const ForeignPath *path)
{
	ListCell   *lc;

	foreach(lc, checked)
	{
		plan->qual = list_delete(plan->qual, lfirst(lc));
		if ((IsA(plan, NestLoop) || IsA(plan, MergeJoin) || IsA(plan, HashJoin)) &&
			((Join *) plan)->jointype == JOIN_INNER)
			((Join *) plan)->joinqual = list_delete(((Join *) plan)->joinqual, lfirst(lc));
	}
	return change_plan_targetlist(plan, row, path->path.parallel_safe);
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
classify_conditions(PnsRelation *relation)
{
	PnsTermSource *source = (PnsTermSource *) linitial(relation->sources);
	ListCell   *lc;

	foreach(lc, relation->rel->baserestrictinfo)
	{
		RestrictInfo *info = lfirst_node(RestrictInfo, lc);
		PnsQual    *qual = NULL;

		if (!info->pseudoconstant &&
			pns_fdw_pushes(source->table, PNS_PUSH_CONDITION))
			qual = pns_fdw_compile_qual(info->clause, source->table, source->varno);

		if (qual != NULL)
		{
			relation->shipped = lappend(relation->shipped, info);
			relation->looked_at = add_columns(relation->looked_at, source, qual->checked);
		}
		if (qual == NULL || !qual->exact)
			relation->checked = lappend(relation->checked, info);
	}
}

/*
 * add_columns adds to a list of Vars those of a table's columns.
 */
static List *
add_columns(List *columns, const PnsTermSource *source, Bitmapset *attrs)
{
	int			attnum = -1;

	while ((attnum = bms_next_member(attrs, attnum)) >= 0)
	{
		const PnsColumn *column = &source->table->columns[attnum - 1].codec;

		columns = lappend(columns, makeVar(source->varno, attnum, column->type,
										   column->typmod, InvalidOid, 0));
	}
	return columns;
}

/*
 * split_clauses sorts the conditions of a plan (of RestrictInfo): those that
 * are sent, those that are evaluated here, and those that are not, as MongoDB
 * answers them exactly.  Those of a join are among them where the plan is the
 * inner side of a nested loop.
 */
static void
split_clauses(PlannerInfo *root, const PnsRelation *relation, List *scan_clauses,
			  List **shipped, List **checked, List **dropped)
{
	ListCell   *lc;

	*shipped = *checked = *dropped = NIL;
	foreach(lc, scan_clauses)
	{
		RestrictInfo *info = lfirst_node(RestrictInfo, lc);
		Expr	   *ships = NULL;
		bool		exact = !list_member_ptr(relation->checked, info);

		/* gating conditions are dealt with elsewhere */
		if (info->pseudoconstant)
			continue;
		if (list_member_ptr(relation->shipped, info))
			ships = info->clause;
		else if (exact)
			ships = pns_relation_bind_clause(root, relation, info, &exact);

		if (ships != NULL)
			*shipped = lappend(*shipped, ships);
		if (ships != NULL && exact)
			*dropped = lappend(*dropped, info->clause);
		else
			*checked = lappend(*checked, info->clause);
	}
}

/*
 * base_outputs lists the columns (of Var) that the scan of a table has to
 * fetch, those of its output, of the conditions that are evaluated here and
 * those to look for misfits in, and their attribute numbers.
 */
static List *
base_outputs(const PnsRelation *relation, List *checked, List **slots)
{
	const PnsTermSource *source = (PnsTermSource *) linitial(relation->sources);
	Bitmapset  *used = NULL;
	List	   *outputs = NIL;
	bool		whole_row;

	pull_varattnos((Node *) relation->rel->reltarget->exprs, source->varno, &used);
	pull_varattnos((Node *) checked, source->varno, &used);
	pull_varattnos((Node *) relation->looked_at, source->varno, &used);
	whole_row = bms_is_member(InvalidAttrNumber - FirstLowInvalidHeapAttributeNumber, used);

	for (int i = 0; i < source->table->ncolumns; i++)
	{
		const PnsColumn *column = &source->table->columns[i].codec;
		int			attnum = i + 1;

		/* a dropped column has no number */
		if (column->attnum == 0)
			continue;
		if (!whole_row &&
			!bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, used))
			continue;
		outputs = lappend(outputs, makeVar(source->varno, attnum, column->type,
										   column->typmod, InvalidOid, 0));
		*slots = lappend_int(*slots, attnum);
	}
	return outputs;
}

/*
 * scan_tlist makes the row of a scan that is not of a single table: the
 * columns of its output and of the conditions that are evaluated here.
 */
static List *
scan_tlist(const PnsRelation *relation, List **outputs, List **slots)
{
	List	   *tlist = add_to_flat_tlist(NIL, needed_columns(relation));
	ListCell   *lc;

	*outputs = NIL;
	foreach(lc, tlist)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);

		*outputs = lappend(*outputs, entry->expr);
		*slots = lappend_int(*slots, entry->resno);
	}
	return tlist;
}

/*
 * needed_columns lists the Vars of a relation's output and of the conditions
 * that are evaluated here, and those to look for misfits in.
 */
static List *
needed_columns(const PnsRelation *relation)
{
	List	   *checked = extract_actual_clauses(relation->checked, false);
	List	   *columns = pull_var_clause((Node *) relation->rel->reltarget->exprs,
										  PVC_RECURSE_PLACEHOLDERS);

	columns = list_concat(columns, pull_var_clause((Node *) checked, PVC_RECURSE_PLACEHOLDERS));
	return list_concat(columns, relation->looked_at);
}
