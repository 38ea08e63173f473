/*-------------------------------------------------------------------------
 *
 * group_stages.c
 *	  The stages that group.
 *
 * The rows of a table or a join become one $group, and behind it a $project
 * makes the values of the aggregates.  A group's row has its keys under g0,
 * g1, ... and its aggregates under a0, a1, ...  Terms over groups (HAVING,
 * ORDER BY) find them there.
 *
 * For aggregates with DISTINCT there is a $group by the keys and their argument
 * (d) before, which accumulates what the others need.
 *
 * A value that does not fit, where that is an error, is carried along in its
 * group, and the group's row raises it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/upper.h"

static void append_keys(PnsPipeline *pipeline, const PnsGroup *group);
static void append_distinct(PnsPipeline *pipeline, const PnsAggregate *aggregate);
static void append_key(PnsPipeline *pipeline, const char *name, const PnsTerm *key);
static void append_regrouping(PnsPipeline *pipeline, const PnsGroup *group, bool has_bad);
static PnsTerm *compile(Expr *expr, const PnsTermContext *context);
static bool is_string(const PnsTerm *term);
static void append_overflow(PnsBsonBuilder *builder, const PnsGroup *group, bool has_bad);
static void append_having(PnsPipeline *pipeline, const PnsTerm *condition, bool has_bad);

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
								 pns_upper_make_output((Expr *) lfirst(lc), field, key->never_null));
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
			is_string(aggregate->filter) || is_string(aggregate->distinct) ||
			is_string(aggregate->distinct_filter);
		if (aggregate->distinct != NULL)
			group->distinct = aggregate;
		if (pns_aggregate_is_canonical(aggregate))
			group->outputs = lappend(group->outputs,
									 pns_upper_make_output((Expr *) aggref, aggregate->field,
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
	ListCell   *lc;

	pns_pipeline_open_stage(pipeline, "$group");
	append_keys(pipeline, group);
	foreach(lc, group->aggregates)
	{
		const PnsAggregate *aggregate = (PnsAggregate *) lfirst(lc);

		if (aggregate->distinct == NULL)
			pns_aggregate_append_accumulators(pipeline, aggregate);
	}
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
	if (group->distinct != NULL)
		append_regrouping(pipeline, group, has_bad);

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
 * append_keys appends what documents are grouped by.
 */
static void
append_keys(PnsPipeline *pipeline, const PnsGroup *group)
{
	PnsBsonBuilder *builder = &pipeline->builder;
	ListCell   *lc;

	if (group->keys == NIL && group->distinct == NULL)
	{
		pns_bson_append_null(builder, "_id");
		return;
	}
	pns_bson_open_document(builder, "_id");
	foreach(lc, group->keys)
		append_key(pipeline, psprintf("g%d", foreach_current_index(lc)),
				   (PnsTerm *) lfirst(lc));
	if (group->distinct != NULL)
		append_distinct(pipeline, group->distinct);
	pns_bson_close(builder);
}

/*
 * append_distinct appends the argument of a DISTINCT aggregate, null where
 * FILTER leaves a document out.
 */
static void
append_distinct(PnsPipeline *pipeline, const PnsAggregate *aggregate)
{
	PnsBsonBuilder *builder = &pipeline->builder;

	if (aggregate->distinct_filter == NULL)
	{
		append_key(pipeline, PNS_GROUP_DISTINCT, aggregate->distinct);
		return;
	}

	pns_bson_open_document(builder, PNS_GROUP_DISTINCT);
	pns_bson_open_array(builder, "$cond");
	pns_term_append_true(builder, "0", aggregate->distinct_filter,
						 pipeline->operand_value, pipeline->state);
	append_key(pipeline, "1", aggregate->distinct);
	pns_bson_append_null(builder, "2");
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * append_key appends a group key.  -0 and 0, which PostgreSQL has in one
 * group, become the same.
 */
static void
append_key(PnsPipeline *pipeline, const char *name, const PnsTerm *key)
{
	PnsBsonBuilder *builder = &pipeline->builder;

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
 * append_regrouping appends the stage that makes the groups of those that the
 * argument of DISTINCT has divided.
 */
static void
append_regrouping(PnsPipeline *pipeline, const PnsGroup *group, bool has_bad)
{
	PnsBsonBuilder *builder = &pipeline->builder;
	ListCell   *lc;

	pns_pipeline_open_stage(pipeline, "$group");
	if (group->keys == NIL)
		pns_bson_append_null(builder, "_id");
	else
	{
		pns_bson_open_document(builder, "_id");
		for (int i = 0; i < list_length(group->keys); i++)
			pns_bson_append_cstring(builder, psprintf("g%d", i), psprintf("$_id.g%d", i));
		pns_bson_close(builder);
	}
	foreach(lc, group->aggregates)
	{
		const PnsAggregate *aggregate = (PnsAggregate *) lfirst(lc);

		if (aggregate->distinct != NULL)
			pns_aggregate_append_accumulators(pipeline, aggregate);
		else
			pns_aggregate_append_combined(pipeline, aggregate);
	}
	if (has_bad)
	{
		pns_bson_open_document(builder, PNS_ROW_BAD);
		pns_bson_append_cstring(builder, "$max", "$" PNS_ROW_BAD);
		pns_bson_close(builder);
	}
	pns_pipeline_close_stage(pipeline);
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
