/*-------------------------------------------------------------------------
 *
 * group.c
 *	  GROUP BY, DISTINCT and aggregates, done by MongoDB: planning.
 *
 * Only rows that MongoDB selects exactly can be grouped there.  Aggregates
 * with DISTINCT divide the groups by their argument, which can be done once:
 * with two of them that differ in it, PostgreSQL computes all.
 *
 * An aggregate without GROUP BY has one row even of nothing, for which MongoDB
 * returns no document: group_row.c makes it.  As its HAVING has to be asked
 * about that row too, it is evaluated here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/tlist.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"
#include "utils/typcache.h"

#include "fdw/upper.h"

static PnsRelation *make_relation(PnsRelation *input, RelOptInfo *rel);
static bool add_key(PnsRelation *relation, Expr *expr, Oid eqop);
static bool add_target(PnsRelation *relation, PathTarget *target, List *clauses);
static bool add_parts(Node *node, PnsRelation *relation);
static bool add_aggregate(PnsRelation *relation, Aggref *aggref);
static bool divides_alike(const PnsRelation *relation, const Aggref *aggref);
static Expr *argument_of(const Aggref *aggref);
static bool fits_document(const PnsRelation *relation);
static bool is_bounded(Expr *expr);
static void add_having(PnsRelation *relation, List *clauses);
static void add_path_of(PlannerInfo *root, PnsRelation *relation, PathTarget *target,
						List *having);

/*
 * pns_group_add_paths offers to group rows, or to aggregate all of them.
 */
void
pns_group_add_paths(PlannerInfo *root, PnsRelation *input, RelOptInfo *grouped_rel,
					const GroupPathExtraData *extra)
{
	PnsRelation *relation = make_relation(input, grouped_rel);
	List	   *having = (List *) extra->havingQual;

	if (relation == NULL || root->parse->groupingSets != NIL ||
		!add_target(relation, grouped_rel->reltarget, root->parse->groupClause) ||
		add_parts((Node *) having, relation) || !fits_document(relation))
		return;

	add_having(relation, having);
	add_path_of(root, relation, grouped_rel->reltarget, having);
}

/*
 * pns_group_add_distinct_path offers to do a DISTINCT, which is a GROUP BY of
 * all that is put out.
 */
void
pns_group_add_distinct_path(PlannerInfo *root, PnsRelation *input,
							RelOptInfo *distinct_rel)
{
	PathTarget *target = root->upper_targets[UPPERREL_DISTINCT];
	PnsRelation *relation = make_relation(input, distinct_rel);

	if (relation == NULL || root->parse->hasDistinctOn ||
		!add_target(relation, target, root->parse->distinctClause) ||
		relation->aggregates != NIL || !fits_document(relation))
		return;

	add_path_of(root, relation, target, NIL);
}

/*
 * make_relation begins a relation of groups, or returns NULL where its input
 * cannot be grouped remotely.
 */
static PnsRelation *
make_relation(PnsRelation *input, RelOptInfo *rel)
{
	PnsRelation *relation;

	if (input->kind == PNS_RELATION_GROUP || input->checked != NIL ||
		!pns_upper_can_look_at(input) ||
		!pns_relation_pushes(input, PNS_PUSH_AGGREGATE))
		return NULL;

	relation = palloc0(sizeof(PnsRelation));
	relation->kind = PNS_RELATION_GROUP;
	relation->rel = rel;
	relation->relids = input->relids;
	relation->sources = input->sources;
	relation->shipped = input->shipped;
	relation->join = input->join;
	relation->input = input;
	return relation;
}

/*
 * add_target adds what the target of a relation is made of: its group keys by
 * clauses (of SortGroupClause), and aggregates.  False where something in it
 * cannot be computed remotely.
 */
static bool
add_target(PnsRelation *relation, PathTarget *target, List *clauses)
{
	ListCell   *lc;

	foreach(lc, clauses)
	{
		SortGroupClause *clause = lfirst_node(SortGroupClause, lc);
		Expr	   *expr = NULL;
		ListCell   *lc2;

		foreach(lc2, target->exprs)
		{
			if (get_pathtarget_sortgroupref(target, foreach_current_index(lc2)) ==
				clause->tleSortGroupRef)
				expr = (Expr *) lfirst(lc2);
		}
		if (expr == NULL || !add_key(relation, expr, clause->eqop))
			return false;
	}
	return !add_parts((Node *) target->exprs, relation);
}

/*
 * add_key adds a group key.  False where it cannot be one.
 */
static bool
add_key(PnsRelation *relation, Expr *expr, Oid eqop)
{
	PnsTermContext context = pns_relation_context(relation->input);
	PnsTerm    *term;

	if (list_member(relation->keys, expr))
		return true;
	if (!pns_upper_pushes(relation->input, expr))
		return false;
	term = pns_group_key(expr, eqop, &context);
	if (term == NULL)
		return false;

	relation->outputs = lappend(relation->outputs,
								pns_upper_make_output(expr, psprintf("g%d", list_length(relation->keys)),
													  term->never_null));
	relation->keys = lappend(relation->keys, expr);
	return true;
}

/*
 * pns_group_key compiles what rows are grouped by.  NULL where MongoDB does not
 * tell its values apart as an operator of PostgreSQL's does.
 *
 * What names no column is left alone: the planner would take a parameter for
 * the row's value wherever else it stands in the plan.
 */
PnsTerm *
pns_group_key(Expr *expr, Oid eqop, const PnsTermContext *context)
{
	TypeCacheEntry *type = lookup_type_cache(exprType((Node *) expr), TYPECACHE_EQ_OPR);
	PnsTerm    *term;

	if (type->eq_opr != eqop || !contain_var_clause((Node *) expr))
		return NULL;
	term = pns_term_compile(expr, context);
	if (term == NULL || term->may_fail)
		return NULL;

	switch (term->class)
	{
		case PNS_CLASS_TEXT:
			return get_collation_isdeterministic(exprCollation((Node *) expr)) ? term : NULL;
		case PNS_CLASS_INT:
		case PNS_CLASS_NUMERIC:
		case PNS_CLASS_FLOAT8:
		case PNS_CLASS_BOOL:
		case PNS_CLASS_ENUM:
		case PNS_CLASS_TIMESTAMP:
		case PNS_CLASS_DATE:
		case PNS_CLASS_OBJECTID:
			return term;
		default:
			return NULL;
	}
}

/*
 * add_parts adds the aggregates in an expression over groups.  True (it is a
 * walker) where there is something in it that is neither an aggregate that
 * MongoDB can compute nor made of keys.
 */
static bool
add_parts(Node *node, PnsRelation *relation)
{
	if (node == NULL)
		return false;
	if (!IsA(node, List) && list_member(relation->keys, node))
		return false;
	if (IsA(node, Aggref))
		return !add_aggregate(relation, (Aggref *) node);
	if (IsA(node, Var) || IsA(node, PlaceHolderVar) || IsA(node, GroupingFunc))
		return true;
	return expression_tree_walker(node, add_parts, relation);
}

/*
 * add_aggregate adds an aggregate, or returns false where MongoDB cannot
 * compute it.
 */
static bool
add_aggregate(PnsRelation *relation, Aggref *aggref)
{
	PnsTermContext context = pns_relation_context(relation->input);
	PnsAggregate *aggregate;

	if (list_member(relation->aggregates, aggref))
		return true;

	if (aggref->aggfilter != NULL && !pns_upper_pushes(relation->input, aggref->aggfilter))
		return false;
	if (aggref->args != NIL &&
		!pns_upper_pushes(relation->input, argument_of(aggref)))
		return false;
	aggregate = pns_aggregate_create(aggref, list_length(relation->aggregates), &context);
	if (aggregate == NULL || !divides_alike(relation, aggref))
		return false;
	if (pns_aggregate_is_canonical(aggregate))
		relation->outputs = lappend(relation->outputs,
									pns_upper_make_output((Expr *) aggref, aggregate->field,
														  pns_aggregate_is_never_null(aggregate)));
	relation->aggregates = lappend(relation->aggregates, aggref);
	return true;
}

/*
 * divides_alike tells whether a DISTINCT aggregate divides the groups of a
 * relation as those do that are there already: by the same values of the same
 * rows.
 */
static bool
divides_alike(const PnsRelation *relation, const Aggref *aggref)
{
	PnsTermContext context = pns_relation_context(relation->input);
	ListCell   *lc;

	if (pns_aggregate_create(aggref, 0, &context)->distinct == NULL)
		return true;
	foreach(lc, relation->aggregates)
	{
		const Aggref *other = lfirst_node(Aggref, lc);

		if (pns_aggregate_create(other, 0, &context)->distinct != NULL &&
			!(equal(argument_of(aggref), argument_of(other)) &&
			  equal(aggref->aggfilter, other->aggfilter)))
			return false;
	}
	return true;
}

/*
 * argument_of returns the argument of an aggregate that has one.
 */
static Expr *
argument_of(const Aggref *aggref)
{
	return linitial_node(TargetEntry, aggref->args)->expr;
}

/*
 * fits_document tells whether a group's row cannot but fit into a document.
 * Strings may be as long as a document.  The columns of one row come from one
 * document; what else there is of strings without a limit must be nothing.
 */
static bool
fits_document(const PnsRelation *relation)
{
	PnsTermContext context = pns_relation_context(relation->input);
	List	   *keys = list_copy(relation->keys);
	bool		has_columns = false;
	int			nwide = 0;
	ListCell   *lc;

	foreach(lc, relation->aggregates)
	{
		Aggref	   *aggref = lfirst_node(Aggref, lc);
		PnsAggregate *aggregate = pns_aggregate_create(aggref, 0, &context);

		if (aggregate->distinct != NULL)
			keys = list_append_unique(keys, argument_of(aggref));
		else if (pns_aggregate_is_wide(aggregate) && !is_bounded(argument_of(aggref)))
			nwide++;
	}
	foreach(lc, keys)
	{
		Expr	   *key = (Expr *) lfirst(lc);
		const PnsTerm *term = pns_term_compile(key, &context);

		if (term->class != PNS_CLASS_TEXT || term->size > 0)
			continue;
		while (IsA(key, RelabelType))
			key = ((RelabelType *) key)->arg;
		if (IsA(key, Var))
			has_columns = true;
		else
			nwide++;
	}
	return nwide + has_columns <= 1;
}

/*
 * is_bounded tells whether a string has a declared limit of its length.
 */
static bool
is_bounded(Expr *expr)
{
	while (IsA(expr, RelabelType))
		expr = ((RelabelType *) expr)->arg;
	return exprType((Node *) expr) == NAMEOID ||
		(exprType((Node *) expr) == VARCHAROID && exprTypmod((Node *) expr) >= 0);
}

/*
 * add_having decides which conditions on groups are sent, and which are
 * evaluated here.
 */
static void
add_having(PnsRelation *relation, List *clauses)
{
	PnsTermContext context = pns_relation_context(relation);
	ListCell   *lc;

	foreach(lc, clauses)
	{
		Expr	   *clause = (Expr *) lfirst(lc);
		PnsTerm    *term = relation->keys != NIL ? pns_term_compile(clause, &context) : NULL;

		if (term != NULL && pns_upper_pushes(relation, clause) && !term->may_fail)
			relation->having = lappend(relation->having, clause);
		else
			relation->checked_having = lappend(relation->checked_having, clause);
	}
}

/*
 * add_path_of offers a relation of groups.  having is what is demanded of its
 * groups, sent or not.
 *
 * The server does the work of the input, without sending it, and looks at each
 * of its rows once more for each key and aggregate.
 */
static void
add_path_of(PlannerInfo *root, PnsRelation *relation, PathTarget *target, List *having)
{
	const PnsRelation *input = relation->input;
	RelOptInfo *rel = relation->rel;
	double		rows = input->rel->rows;
	double		groups = 1;
	QualCost	checks;

	if (relation->keys != NIL)
		groups = estimate_num_groups(root, relation->keys, rows, NULL, NULL);
	relation->fetched = clamp_row_est(groups *
									  clauselist_selectivity(root, relation->having, 0,
															 JOIN_INNER, NULL));
	relation->rows = clamp_row_est(groups *
								   clauselist_selectivity(root, having, 0, JOIN_INNER,
														  NULL));

	cost_qual_eval(&checks, relation->checked_having, root);
	relation->startup_cost = input->startup_cost + checks.startup + target->cost.startup +
		input->work + rows * cpu_operator_cost *
		(1 + list_length(relation->keys) + list_length(relation->aggregates));
	relation->total_cost = relation->startup_cost +
		pns_cost_transfer(relation, relation->fetched) +
		relation->fetched * (cpu_tuple_cost + checks.per_tuple) +
		relation->rows * target->cost.per_tuple;

	rel->fdw_private = relation;
	add_path(rel, (Path *)
			 pns_create_foreign_upper_path(root, rel, target, relation->rows,
										   relation->startup_cost,
										   relation->total_cost, NIL, NIL));
}

/*
 * pns_group_describe describes how a relation is grouped, NIL for not at all.
 */
List *
pns_group_describe(const PnsRelation *relation)
{
	if (relation->kind != PNS_RELATION_GROUP)
		return NIL;
	return list_make4(relation->keys, relation->aggregates, relation->having,
					  relation->input->looked_at);
}

/*
 * pns_group_tlist makes the row of a group: its keys and its aggregates.
 */
List *
pns_group_tlist(const PnsRelation *relation)
{
	List	   *tlist = NIL;
	ListCell   *lc;

	foreach(lc, list_concat_copy(relation->keys, relation->aggregates))
		tlist = lappend(tlist, makeTargetEntry(copyObject((Expr *) lfirst(lc)),
											   list_length(tlist) + 1, NULL, false));
	return tlist;
}
