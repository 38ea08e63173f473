/*-------------------------------------------------------------------------
 *
 * limit.c
 *	  LIMIT and OFFSET, taken by MongoDB.
 *
 * Only where MongoDB's rows are the query's: over conditions that are all
 * exact, and in the query's whole order.  WITH TIES is PostgreSQL's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"

#include "fdw/upper.h"

/*
 * MongoDB adds both up to learn how much a sort has to keep.  No collection
 * comes near to this.
 */
#define LARGEST_COUNT (PG_INT64_MAX / 4)

/* The members of a limit's description. */
typedef enum PnsLimitIndex
{
	LIMIT_COUNT,				/* Expr, or NULL: all */
	LIMIT_OFFSET				/* Expr, or NULL: none */
} PnsLimitIndex;

static bool limit_ships(PlannerInfo *root, const PnsRelation *relation);
static bool evaluate(const PnsPipeline *pipeline, Expr *expr, int64 *value, bool *isnull);
static void append_stage(PnsPipeline *pipeline, const char *operator, Expr *expr,
						 bool known, int64 value);
static void append_sum_stage(PnsPipeline *pipeline, const PnsLimit *limit,
							 const PnsLimitValues *values);
static void append_number(PnsBsonBuilder *builder, const char *key, Expr *expr,
						  bool known, int64 value);

/*
 * pns_limit_add_path offers the path that has MongoDB take the LIMIT of a
 * query.  relation has the rows, but for their order, of the whole query.
 */
void
pns_limit_add_path(PlannerInfo *root, PnsRelation *relation, RelOptInfo *final_rel,
				   const FinalPathExtraData *extra)
{
	double		rows;
	Cost		startup_cost;
	Cost		total_cost;

	if (!extra->limit_needed || !limit_ships(root, relation))
		return;

	pns_cost_ordered(relation, root->sort_pathkeys, &rows, &startup_cost,
					 &total_cost);
	adjust_limit_rows_costs(&rows, &startup_cost, &total_cost,
							extra->offset_est, extra->count_est);
	/* a LIMIT of PostgreSQL's would pass each of them on */
	total_cost = Max(startup_cost, total_cost - cpu_tuple_cost * rows / 2);

	final_rel->fdw_private = relation;
	add_path(final_rel, (Path *)
			 pns_create_foreign_upper_path(root, final_rel,
										   root->upper_targets[UPPERREL_FINAL],
										   rows, startup_cost, total_cost,
										   root->sort_pathkeys,
										   list_make2(root->parse->limitCount,
													  root->parse->limitOffset)));
}

/*
 * limit_ships tells whether the LIMIT of a query may be MongoDB's.  Functions
 * with side effects count what they are called for, as do rows that are
 * locked.
 */
static bool
limit_ships(PlannerInfo *root, const PnsRelation *relation)
{
	const Query *parse = root->parse;

	if (!pns_relation_pushes(relation, PNS_PUSH_LIMIT) ||
		parse->commandType != CMD_SELECT || parse->rowMarks != NIL ||
		parse->hasTargetSRFs || parse->limitOption == LIMIT_OPTION_WITH_TIES)
		return false;
	if (relation->checked != NIL || relation->checked_having != NIL ||
		!pns_relation_outputs_ship(relation))
		return false;
	/* a misfit must not hide behind the rows that a sort puts first */
	if (root->sort_pathkeys != NIL && !pns_upper_can_look_at(relation))
		return false;
	/* of one row there is nothing to leave out */
	if (relation->kind == PNS_RELATION_GROUP && relation->keys == NIL)
		return false;
	if (pns_order_prefix(relation, root->sort_pathkeys) !=
		list_length(root->sort_pathkeys))
		return false;
	/* a misfit among the rows that are skipped would not be seen */
	if (relation->looked_at != NIL && parse->limitOffset != NULL)
		return false;
	if (contain_volatile_functions((Node *) root->upper_targets[UPPERREL_FINAL]->exprs))
		return false;
	return (parse->limitCount == NULL || pns_fdw_is_operand(parse->limitCount)) &&
		(parse->limitOffset == NULL || pns_fdw_is_operand(parse->limitOffset));
}

/*
 * pns_limit_create makes the limit of a description, or of none.
 */
PnsLimit *
pns_limit_create(List *description)
{
	PnsLimit   *limit;

	if (description == NIL)
		return NULL;

	limit = palloc0(sizeof(PnsLimit));
	limit->count = (Expr *) list_nth(description, LIMIT_COUNT);
	limit->offset = (Expr *) list_nth(description, LIMIT_OFFSET);
	return limit;
}

/*
 * pns_limit_evaluate evaluates a limit, as PostgreSQL does before it reads the
 * first row.  False where there is none to read.
 *
 * Errors: 2201X and 2201W for negative values.
 */
bool
pns_limit_evaluate(PnsPipeline *pipeline, const PnsLimit *limit, PnsLimitValues *values)
{
	bool		isnull;

	values->count_known = evaluate(pipeline, limit->count, &values->count, &isnull);
	values->limited = !isnull;
	values->offset_known = evaluate(pipeline, limit->offset, &values->offset, &isnull);
	if (isnull)
		values->offset = 0;

	if (values->offset_known && values->offset < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE),
				 errmsg("OFFSET must not be negative")));
	if (values->count_known && values->limited && values->count < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_ROW_COUNT_IN_LIMIT_CLAUSE),
				 errmsg("LIMIT must not be negative")));

	return !(values->offset_known && values->offset > LARGEST_COUNT) &&
		!(values->count_known && values->limited && values->count == 0);
}

/*
 * pns_limit_append appends the stages of a limit that has been evaluated.  A
 * misfit among the rows of the offset would not be seen if they were skipped
 * there; with skips_here they are kept, for the caller to leave out.
 */
void
pns_limit_append(PnsPipeline *pipeline, const PnsLimit *limit, const PnsLimitValues *values)
{
	bool		has_offset = !values->offset_known || values->offset > 0;
	bool		has_count = !values->count_known ||
	(values->limited && values->count <= LARGEST_COUNT);

	if (has_offset && !values->skips_here)
		append_stage(pipeline, "$skip", limit->offset, values->offset_known,
					 values->offset);
	if (!has_count)
		return;
	if (!has_offset || !values->skips_here)
		append_stage(pipeline, "$limit", limit->count, values->count_known,
					 values->count);
	else if (values->count_known && values->offset_known)
		append_stage(pipeline, "$limit", limit->count, true,
					 values->count + values->offset);
	else
		append_sum_stage(pipeline, limit, values);
}

/*
 * evaluate gives the value of a limit's expression, NULL where there is none.
 * False where it is not known yet.
 */
static bool
evaluate(const PnsPipeline *pipeline, Expr *expr, int64 *value, bool *isnull)
{
	Datum		datum;

	*value = 0;
	*isnull = true;
	if (expr == NULL)
		return true;
	if (!pipeline->operand_value(pipeline->state, expr, &datum, isnull))
	{
		*isnull = false;
		return false;
	}
	if (!*isnull)
		*value = DatumGetInt64(datum);
	return true;
}

/*
 * append_stage appends a stage whose argument is a number, or a placeholder
 * for it.
 */
static void
append_stage(PnsPipeline *pipeline, const char *operator, Expr *expr, bool known,
			 int64 value)
{
	pns_bson_open_document(&pipeline->builder, pns_bson_index(pipeline->nstages++));
	append_number(&pipeline->builder, operator, expr, known, value);
	pns_bson_close(&pipeline->builder);
}

/*
 * append_sum_stage shows, for EXPLAIN, a limit that takes the offset's rows
 * too, not all of which is known.
 */
static void
append_sum_stage(PnsPipeline *pipeline, const PnsLimit *limit, const PnsLimitValues *values)
{
	PnsBsonBuilder *builder = &pipeline->builder;

	pns_bson_open_document(builder, pns_bson_index(pipeline->nstages++));
	pns_bson_open_document(builder, "$limit");
	pns_bson_open_array(builder, "$add");
	append_number(builder, "0", limit->count, values->count_known, values->count);
	append_number(builder, "1", limit->offset, values->offset_known, values->offset);
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * append_number appends a number, or a placeholder where it is not known.
 */
static void
append_number(PnsBsonBuilder *builder, const char *key, Expr *expr, bool known, int64 value)
{
	if (known)
	{
		pns_bson_append_int64(builder, key, value);
		return;
	}
	pns_bson_open_document(builder, key);
	pns_bson_append_int32(builder, "$param", castNode(Param, expr)->paramid + 1);
	pns_bson_close(builder);
}
