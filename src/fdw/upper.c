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
	PnsTermContext context = {relation->sources, NIL};

	return context;
}

/*
 * add_ordered_path offers to sort the result of a query remotely.  The rows of
 * tables and joins have been offered in the query's order already.
 */
static void
add_ordered_path(PlannerInfo *root, PnsRelation *relation, RelOptInfo *ordered_rel)
{
	/* the rows are the same, whoever sorts them */
	ordered_rel->fdw_private = relation;
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
