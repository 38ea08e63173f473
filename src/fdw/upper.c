/*-------------------------------------------------------------------------
 *
 * upper.c
 *	  What is done with the rows of tables and joins: which of it MongoDB does.
 *
 * The planner asks for one step after the other.  A step that MongoDB can do
 * leaves the PnsRelation of its result for the next one to build on; where one
 * is left out, so are all that follow.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "optimizer/pathnode.h"

#include "fdw/upper.h"

static void add_ordered_path(PlannerInfo *root, PnsRelation *relation,
							 RelOptInfo *ordered_rel);

/*
 * pnsGetForeignUpperPaths offers to do a step of a query remotely.
 */
void
pnsGetForeignUpperPaths(PlannerInfo *root, UpperRelationKind stage,
						RelOptInfo *input_rel, RelOptInfo *output_rel, void *extra)
{
	PnsRelation *relation = (PnsRelation *) input_rel->fdw_private;

	if (relation == NULL || output_rel->fdw_private != NULL)
		return;

	switch (stage)
	{
		case UPPERREL_GROUP_AGG:
			pns_group_add_paths(root, relation, output_rel, (GroupPathExtraData *) extra);
			break;
		case UPPERREL_DISTINCT:
			pns_group_add_distinct_path(root, relation, output_rel);
			break;
		case UPPERREL_ORDERED:
			add_ordered_path(root, relation, output_rel);
			break;
		case UPPERREL_FINAL:
			pns_limit_add_path(root, relation, output_rel, (FinalPathExtraData *) extra);
			break;
		default:
			break;
	}
}

/*
 * pns_relation_context returns what terms over a relation's rows are compiled
 * against.
 */
PnsTermContext
pns_relation_context(const PnsRelation *relation)
{
	PnsTermContext rows = {relation->sources, NIL};
	PnsTermContext groups = {NIL, relation->outputs};

	return relation->kind == PNS_RELATION_GROUP ? groups : rows;
}

/*
 * pns_upper_make_output makes what terms over groups know of an expression.
 */
PnsTermOutput *
pns_upper_make_output(Expr *expr, const char *field, bool never_null)
{
	PnsTermOutput *output = palloc0(sizeof(PnsTermOutput));

	output->expr = expr;
	output->field = field;
	output->never_null = never_null;
	return output;
}

/*
 * add_ordered_path offers to sort the result of a query remotely.  The rows of
 * tables and joins have been offered in the query's order already.
 */
static void
add_ordered_path(PlannerInfo *root, PnsRelation *relation, RelOptInfo *ordered_rel)
{
	double		rows;
	Cost		startup_cost;
	Cost		total_cost;

	/* the rows are the same, whoever sorts them */
	ordered_rel->fdw_private = relation;
	if (relation->kind != PNS_RELATION_GROUP ||
		pns_order_prefix(relation, root->sort_pathkeys) !=
		list_length(root->sort_pathkeys))
		return;

	pns_cost_ordered(relation, root->sort_pathkeys, &rows, &startup_cost,
					 &total_cost);
	add_path(ordered_rel, (Path *)
			 pns_create_foreign_upper_path(root, ordered_rel,
										   root->upper_targets[UPPERREL_ORDERED],
										   rows, startup_cost, total_cost,
										   root->sort_pathkeys, NIL));
}

/*
 * pns_upper_add_columns adds columns (of PnsTermColumn) to a list, each once.
 */
List *
pns_upper_add_columns(List *columns, List *others)
{
	ListCell   *lc;

	foreach(lc, others)
	{
		PnsTermColumn *other = (PnsTermColumn *) lfirst(lc);
		bool		found = false;
		ListCell   *lc2;

		foreach(lc2, columns)
		{
			PnsTermColumn *column = (PnsTermColumn *) lfirst(lc2);

			found = found || (column->source->varno == other->source->varno &&
							  column->column == other->column);
		}
		if (!found)
			columns = lappend(columns, other);
	}
	return columns;
}

/*
 * pns_upper_add_vars adds the columns that Vars are to such a list.
 */
List *
pns_upper_add_vars(List *columns, List *vars, const PnsTermContext *context)
{
	ListCell   *lc;

	foreach(lc, vars)
	{
		PnsTerm    *term = pns_term_compile((Expr *) lfirst(lc), context);

		/* elog: pns_upper_can_look_at said so when it was planned */
		if (term == NULL)
			elog(ERROR, "MongoDB cannot tell what fits a column");
		columns = pns_upper_add_columns(columns, term->columns);
	}
	return columns;
}

/*
 * pns_upper_can_look_at tells whether MongoDB can find the misfits that are
 * left to the codec to find in a relation's rows, where not all of them come
 * here.
 */
bool
pns_upper_can_look_at(const PnsRelation *relation)
{
	PnsTermContext context = pns_relation_context(relation);
	ListCell   *lc;

	foreach(lc, relation->looked_at)
	{
		if (pns_term_compile((Expr *) lfirst(lc), &context) == NULL)
			return false;
	}
	return true;
}

/*
 * pns_upper_pushes tells whether an expression may be computed remotely: what
 * is more than a column or an aggregate is so only if that is switched on.
 */
bool
pns_upper_pushes(const PnsRelation *relation, Expr *expr)
{
	while (IsA(expr, RelabelType))
		expr = ((RelabelType *) expr)->arg;
	return IsA(expr, Var) || IsA(expr, Aggref) ||
		pns_relation_pushes(relation, PNS_PUSH_EXPRESSION);
}
