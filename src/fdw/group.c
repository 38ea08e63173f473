/*-------------------------------------------------------------------------
 *
 * group.c
 *	  GROUP BY, DISTINCT and aggregates, done by MongoDB.
 *
 * The rows of a table or a join become one $group, and behind it a $project
 * makes the values of the aggregates.  A group's row has its keys under g0,
 * g1, ... and its aggregates under a0, a1, ...  Terms over groups (HAVING,
 * ORDER BY) find them there.
 *
 * Only rows that MongoDB selects exactly can be grouped there.  A value that
 * does not fit, where that is an error, is carried along in its group, and
 * the group's row raises it.
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
static bool fits_document(const PnsRelation *relation);
static bool is_bounded(Expr *expr);
static void add_having(PnsRelation *relation, List *clauses);
static void add_path_of(PlannerInfo *root, PnsRelation *relation, PathTarget *target,
						List *having);
static PnsTermOutput *make_output(Expr *expr, const char *field, bool never_null);
static void append_key(PnsPipeline *pipeline, int number, const PnsTerm *key);
static PnsTerm *compile(Expr *expr, const PnsTermContext *context);
static bool is_string(const PnsTerm *term);
static void append_overflow(PnsBsonBuilder *builder, const PnsGroup *group, bool has_bad);
static void append_having(PnsPipeline *pipeline, const PnsTerm *condition, bool has_bad);

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
 * add_key adds a group key.  False where MongoDB does not tell its values
 * apart as PostgreSQL does.
 *
 * What names no column is left alone: the planner would take a parameter for
 * the row's value wherever else it stands in the plan.
 */
static bool
add_key(PnsRelation *relation, Expr *expr, Oid eqop)
{
	PnsTermContext context = pns_relation_context(relation->input);
	TypeCacheEntry *type = lookup_type_cache(exprType((Node *) expr), TYPECACHE_EQ_OPR);
	PnsTerm    *term;

	if (list_member(relation->keys, expr))
		return true;
	if (type->eq_opr != eqop || !contain_var_clause((Node *) expr) ||
		!pns_upper_pushes(relation->input, expr))
		return false;
	term = pns_term_compile(expr, &context);
	if (term == NULL || term->may_fail)
		return false;

	switch (term->class)
	{
		case PNS_CLASS_TEXT:
			if (!get_collation_isdeterministic(exprCollation((Node *) expr)))
				return false;
			break;
		case PNS_CLASS_INT:
		case PNS_CLASS_NUMERIC:
		case PNS_CLASS_FLOAT8:
		case PNS_CLASS_BOOL:
		case PNS_CLASS_ENUM:
		case PNS_CLASS_TIMESTAMP:
		case PNS_CLASS_DATE:
		case PNS_CLASS_OBJECTID:
			break;
		default:
			return false;
	}

	relation->outputs = lappend(relation->outputs,
								make_output(expr, psprintf("g%d", list_length(relation->keys)),
											term->never_null));
	relation->keys = lappend(relation->keys, expr);
	return true;
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
		!pns_upper_pushes(relation->input, linitial_node(TargetEntry, aggref->args)->expr))
		return false;
	aggregate = pns_aggregate_create(aggref, list_length(relation->aggregates), &context);
	if (aggregate == NULL)
		return false;
	if (pns_aggregate_is_canonical(aggregate))
		relation->outputs = lappend(relation->outputs,
									make_output((Expr *) aggref, aggregate->field,
												pns_aggregate_is_never_null(aggregate)));
	relation->aggregates = lappend(relation->aggregates, aggref);
	return true;
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
	bool		has_columns = false;
	int			nwide = 0;
	ListCell   *lc;

	foreach(lc, relation->keys)
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
	foreach(lc, relation->aggregates)
	{
		Aggref	   *aggref = lfirst_node(Aggref, lc);

		if (pns_aggregate_is_wide(pns_aggregate_create(aggref, 0, &context)) &&
			!is_bounded(linitial_node(TargetEntry, aggref->args)->expr))
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

/*
 * pns_group_create compiles the description of groups, or of none.
 */
PnsGroup *
pns_group_create(List *description, const PnsTermContext *context)
{
	PnsGroup   *group;
	PnsTermContext over = {NIL, NIL};
	ListCell   *lc;

	if (description == NIL)
		return NULL;

	group = palloc0(sizeof(PnsGroup));
	foreach(lc, (List *) list_nth(description, PNS_GROUP_KEYS))
	{
		PnsTerm    *key = compile((Expr *) lfirst(lc), context);
		char	   *field = psprintf("g%d", foreach_current_index(lc));

		group->keys = lappend(group->keys, key);
		group->columns = pns_upper_add_columns(group->columns, key->columns);
		group->compares_strings |= is_string(key);
		group->outputs = lappend(group->outputs,
								 make_output((Expr *) lfirst(lc), field, key->never_null));
	}
	foreach(lc, (List *) list_nth(description, PNS_GROUP_AGGREGATES))
	{
		Aggref	   *aggref = lfirst_node(Aggref, lc);
		PnsAggregate *aggregate =
		pns_aggregate_create(aggref, foreach_current_index(lc), context);

		/* elog: it could be when it was planned */
		if (aggregate == NULL)
			elog(ERROR, "an aggregate cannot be said to MongoDB");
		group->aggregates = lappend(group->aggregates, aggregate);
		group->columns = pns_upper_add_columns(group->columns, aggregate->columns);
		group->compares_strings |= is_string(aggregate->value) ||
			is_string(aggregate->filter);
		if (pns_aggregate_is_canonical(aggregate))
			group->outputs = lappend(group->outputs,
									 make_output((Expr *) aggref, aggregate->field,
												 pns_aggregate_is_never_null(aggregate)));
	}
	group->columns = pns_upper_add_vars(group->columns,
										(List *) list_nth(description, PNS_GROUP_LOOKED_AT),
										context);
	over.outputs = group->outputs;
	foreach(lc, (List *) list_nth(description, PNS_GROUP_HAVING))
	{
		PnsTerm    *condition = compile((Expr *) lfirst(lc), &over);

		group->having = lappend(group->having, condition);
		group->compares_strings |= is_string(condition);
	}
	return group;
}

/*
 * is_string tells whether a term (or NULL) is a string or compares some.
 */
static bool
is_string(const PnsTerm *term)
{
	return term != NULL && (term->has_strings || term->class == PNS_CLASS_TEXT ||
							term->class == PNS_CLASS_ENUM);
}

/*
 * compile compiles a term that could be compiled when it was planned.
 */
static PnsTerm *
compile(Expr *expr, const PnsTermContext *context)
{
	PnsTerm    *term = pns_term_compile(expr, context);

	/* elog: it could be when it was planned */
	if (term == NULL)
		elog(ERROR, "an expression over groups cannot be said to MongoDB");
	return term;
}

/*
 * pns_group_has_overflow tells whether a group's aggregates may have an error
 * to raise.
 */
bool
pns_group_has_overflow(const PnsGroup *group)
{
	ListCell   *lc;

	foreach(lc, group->aggregates)
	{
		if (pns_aggregate_may_overflow((PnsAggregate *) lfirst(lc)))
			return true;
	}
	return false;
}

/*
 * pns_group_is_whole tells whether all rows are one group, which there is even
 * without rows.
 */
bool
pns_group_is_whole(const PnsGroup *group)
{
	return group->keys == NIL;
}

/*
 * pns_group_open appends the stage that groups, and leaves it open for what a
 * group keeps of a value that does not fit.
 */
void
pns_group_open(PnsPipeline *pipeline, const PnsGroup *group)
{
	PnsBsonBuilder *builder = &pipeline->builder;
	ListCell   *lc;

	pns_pipeline_open_stage(pipeline, "$group");
	if (group->keys == NIL)
		pns_bson_append_null(builder, "_id");
	else
	{
		pns_bson_open_document(builder, "_id");
		foreach(lc, group->keys)
			append_key(pipeline, foreach_current_index(lc), (PnsTerm *) lfirst(lc));
		pns_bson_close(builder);
	}
	foreach(lc, group->aggregates)
		pns_aggregate_append_accumulators(pipeline, (PnsAggregate *) lfirst(lc));
}

/*
 * pns_group_close closes that stage and appends those that make rows of the
 * groups.  With has_bad a group keeps in PNS_ROW_BAD a value that does not
 * fit, which HAVING must not hide.
 */
void
pns_group_close(PnsPipeline *pipeline, const PnsGroup *group, bool has_bad)
{
	PnsBsonBuilder *builder = &pipeline->builder;
	bool		has_overflow = pns_group_has_overflow(group);
	ListCell   *lc;

	pns_pipeline_close_stage(pipeline);

	pns_pipeline_open_stage(pipeline, "$project");
	pns_bson_append_int32(builder, "_id", 0);
	foreach(lc, group->keys)
		pns_bson_append_cstring(builder, psprintf("g%d", foreach_current_index(lc)),
								psprintf("$_id.g%d", foreach_current_index(lc)));
	foreach(lc, group->aggregates)
		pns_aggregate_append_result(pipeline, (PnsAggregate *) lfirst(lc));
	if (has_overflow)
		append_overflow(builder, group, has_bad);
	else if (has_bad)
		pns_bson_append_int32(builder, PNS_ROW_BAD, 1);
	pns_pipeline_close_stage(pipeline);

	foreach(lc, group->having)
		append_having(pipeline, (PnsTerm *) lfirst(lc), has_bad || has_overflow);
}

/*
 * append_key appends a group key.  -0 and 0, which PostgreSQL has in one
 * group, become the same.
 */
static void
append_key(PnsPipeline *pipeline, int number, const PnsTerm *key)
{
	PnsBsonBuilder *builder = &pipeline->builder;
	char	   *name = psprintf("g%d", number);

	if (key->class != PNS_CLASS_FLOAT8)
	{
		pns_term_append(builder, name, key, pipeline->operand_value, pipeline->state);
		return;
	}

	pns_bson_open_document(builder, name);
	pns_bson_open_array(builder, "$add");
	pns_term_append(builder, "0", key, pipeline->operand_value, pipeline->state);
	pns_bson_append_double(builder, "1", 0.0);
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * append_overflow appends what a group has to raise: a value that does not
 * fit, or that a sum of finite numbers is none.
 */
static void
append_overflow(PnsBsonBuilder *builder, const PnsGroup *group, bool has_bad)
{
	int			n = 0;
	ListCell   *lc;

	pns_bson_open_document(builder, PNS_ROW_BAD);
	pns_bson_open_array(builder, "$ifNull");
	if (has_bad)
		pns_bson_append_cstring(builder, "0", "$" PNS_ROW_BAD);
	else
		pns_bson_append_null(builder, "0");
	pns_bson_open_document(builder, "1");
	pns_bson_open_array(builder, "$cond");
	pns_bson_open_document(builder, "0");
	pns_bson_open_array(builder, "$or");
	foreach(lc, group->aggregates)
	{
		const PnsAggregate *aggregate = (PnsAggregate *) lfirst(lc);

		if (pns_aggregate_may_overflow(aggregate))
			pns_aggregate_append_overflow(builder, pns_bson_index(n++), aggregate);
	}
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_open_document(builder, "1");
	pns_bson_append_bool(builder, PNS_ROW_OVERFLOW, true);
	pns_bson_close(builder);
	pns_bson_append_null(builder, "2");
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * append_having appends the stage that demands a condition of groups; those
 * that have something to raise pass.
 */
static void
append_having(PnsPipeline *pipeline, const PnsTerm *condition, bool has_bad)
{
	PnsBsonBuilder *builder = &pipeline->builder;

	pns_pipeline_open_stage(pipeline, "$match");
	if (has_bad)
	{
		pns_bson_open_array(builder, "$or");
		pns_bson_open_document(builder, "0");
	}
	pns_term_append_true(builder, "$expr", condition, pipeline->operand_value,
						 pipeline->state);
	if (has_bad)
	{
		pns_bson_close(builder);
		pns_bson_open_document(builder, "1");
		pns_bson_open_document(builder, PNS_ROW_BAD);
		pns_bson_append_cstring(builder, "$type", "object");
		pns_bson_close(builder);
		pns_bson_close(builder);
		pns_bson_close(builder);
	}
	pns_pipeline_close_stage(pipeline);
}

/*
 * make_output makes what terms over groups know of an expression.
 */
static PnsTermOutput *
make_output(Expr *expr, const char *field, bool never_null)
{
	PnsTermOutput *output = palloc0(sizeof(PnsTermOutput));

	output->expr = expr;
	output->field = field;
	output->never_null = never_null;
	return output;
}
