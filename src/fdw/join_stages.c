/*-------------------------------------------------------------------------
 *
 * join_stages.c
 *	  The stages that join collections.
 *
 * A row of a table is { t1: its document }.  A join adds to the rows of its
 * outer side what is looked up (k), has $lookup find candidates by an index,
 * one document each by the $unwind that MongoDB makes a part of the $lookup
 * (so that no array of them is ever made), and demands the conditions: what an
 * index finds for a key is more than what PostgreSQL calls equal.
 *
 * An inner join with a table demands them of the pairs that it has made, which
 * takes the least work for each.  All others have to know the pairs that count
 * before they know what to do with a row of the outer side: there the inner
 * side is a pipeline of its own, which makes rows too and sees the outer
 * side's as variables:
 *
 *	outer rows, {$lookup: {..., pipeline: [inner rows, conditions]}, as: "j"}
 *
 * A row that has a value that must fit and does not (bad) lives on to the end,
 * whatever it is joined with.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/join.h"

/* What no value of a column is: the key of rows that have none. */
static const PnsBsonValue no_key = {.type = PNS_BSON_MINKEY};

static void append_table(PnsPipeline *pipeline, const PnsJoinQuery *table);
static bool append_join(PnsPipeline *pipeline, const PnsJoinQuery *join);
static void append_rows_or_nothing(PnsPipeline *pipeline, const PnsJoinQuery *node);
static void append_reverse(PnsPipeline *pipeline, const PnsJoinQuery *reverse);
static void append_guard(PnsPipeline *pipeline, const PnsJoinQuery *join);
static void append_is_bad(PnsBsonBuilder *builder);
static void append_key_stage(PnsPipeline *pipeline, const PnsJoinQuery *join);
static void append_key(PnsPipeline *pipeline, const PnsJoinQuery *join);
static void append_candidates(PnsPipeline *pipeline);
static void append_lookup(PnsPipeline *pipeline, const PnsJoinQuery *join);
static void append_variables(PnsPipeline *pipeline, const PnsJoinQuery *join);
static void append_inner_pipeline(PnsPipeline *pipeline, const PnsJoinQuery *join);
static void append_key_match(PnsPipeline *pipeline, const PnsTableColumn *field);
static void append_simple_pairs(PnsPipeline *pipeline, const PnsJoinQuery *join,
								bool outer_reports);
static void append_pairs(PnsPipeline *pipeline, const PnsJoinQuery *join, bool outer_reports);
static void append_unwind(PnsPipeline *pipeline, const char *field, bool keep);
static void append_inner_rows(PnsPipeline *pipeline, const PnsJoinQuery *join);
static void append_found_match(PnsPipeline *pipeline, bool found, bool reports);
static void append_terms_match(PnsPipeline *pipeline, List *terms, bool reports);
static void append_bad_stage(PnsPipeline *pipeline, List *columns, const PnsTermContext *rows);
static void append_bad(PnsPipeline *pipeline, List *columns, const PnsTermContext *rows);
static void append_first(PnsPipeline *pipeline);
static void append_nothing(PnsPipeline *pipeline);
static int	open_pipeline(PnsPipeline *pipeline);
static void close_pipeline(PnsPipeline *pipeline, int nstages);
static void open_match(PnsPipeline *pipeline, bool reports);
static void close_match(PnsPipeline *pipeline, bool reports);

/*
 * pns_join_append_rows appends the stages that make the rows of a node.
 * False, and no stages, where there can be none.
 */
bool
pns_join_append_rows(PnsPipeline *pipeline, const PnsJoinQuery *node)
{
	if (node->outer != NULL)
		return append_join(pipeline, node);
	if (!pns_pipeline_append_match(pipeline, node->quals))
		return false;
	append_table(pipeline, node);
	return true;
}

/*
 * append_table turns documents into rows.
 */
static void
append_table(PnsPipeline *pipeline, const PnsJoinQuery *table)
{
	pns_pipeline_open_stage(pipeline, "$project");
	pns_bson_append_int32(&pipeline->builder, "_id", 0);
	pns_bson_append_cstring(&pipeline->builder, table->first->prefix, "$$ROOT");
	pns_pipeline_close_stage(pipeline);
}

/*
 * append_join appends the stages of a join, as pns_join_append_rows.
 */
static bool
append_join(PnsPipeline *pipeline, const PnsJoinQuery *join)
{
	bool		outer_reports = join->outer->reports || join->outer_columns != NIL;

	if (join->type == JOIN_FULL)
		append_rows_or_nothing(pipeline, join->outer);
	else if (!pns_join_append_rows(pipeline, join->outer))
		return false;

	append_key_stage(pipeline, join);
	append_lookup(pipeline, join);
	if (join->simple)
		append_simple_pairs(pipeline, join, outer_reports);
	else
		append_pairs(pipeline, join, outer_reports);
	if (join->reverse != NULL)
		append_reverse(pipeline, join->reverse);
	if (join->guarded != NIL)
		append_guard(pipeline, join);
	append_bad_stage(pipeline, join->where_columns, &join->rows);
	append_terms_match(pipeline, join->where, join->reports);
	return true;
}

/*
 * append_rows_or_nothing appends the stages of a node, also where it can have
 * no rows.
 */
static void
append_rows_or_nothing(PnsPipeline *pipeline, const PnsJoinQuery *node)
{
	if (!pns_join_append_rows(pipeline, node))
		append_nothing(pipeline);
}

/*
 * append_reverse appends the rows of a full join's inner side that are in no
 * pair.
 */
static void
append_reverse(PnsPipeline *pipeline, const PnsJoinQuery *reverse)
{
	int			nstages;

	pns_pipeline_open_stage(pipeline, "$unionWith");
	pns_bson_append_text(&pipeline->builder, "coll", reverse->first->table->collection);
	nstages = open_pipeline(pipeline);
	append_rows_or_nothing(pipeline, reverse);
	close_pipeline(pipeline, nstages);
	pns_pipeline_close_stage(pipeline);
}

/*
 * append_guard appends what does not fit in the field that is looked up in, of
 * the documents that the conditions on their table select: rows that are not of
 * the join, but stop it.  The table is read for that, so the first of them will
 * do.
 */
static void
append_guard(PnsPipeline *pipeline, const PnsJoinQuery *join)
{
	const PnsJoinQuery *table = join->inner;
	PnsBsonBuilder *builder = &pipeline->builder;
	PnsQual    *misfit = pns_fdw_misfit_qual(join->field);
	int			nstages;

	while (table->outer != NULL)
		table = table->outer;
	pns_pipeline_open_stage(pipeline, "$unionWith");
	pns_bson_append_text(builder, "coll", table->first->table->collection);
	nstages = open_pipeline(pipeline);
	if (!pns_pipeline_append_match(pipeline, misfit == NULL ? table->quals :
								   list_concat_copy(table->quals, list_make1(misfit))))
		append_nothing(pipeline);
	append_table(pipeline, table);
	pns_pipeline_open_stage(pipeline, "$project");
	append_bad(pipeline, join->guarded, &join->rows);
	pns_pipeline_close_stage(pipeline);
	pns_pipeline_open_stage(pipeline, "$match");
	append_is_bad(builder);
	pns_pipeline_close_stage(pipeline);
	append_first(pipeline);
	close_pipeline(pipeline, nstages);
	pns_pipeline_close_stage(pipeline);
}

/*
 * append_is_bad appends the condition that a row has a value that must fit and
 * does not.
 */
static void
append_is_bad(PnsBsonBuilder *builder)
{
	pns_bson_open_document(builder, PNS_JOIN_BAD);
	pns_bson_append_cstring(builder, "$type", "object");
	pns_bson_close(builder);
}

/*
 * append_key_stage adds to the rows of the outer side what is looked up, and
 * what in them does not fit.
 */
static void
append_key_stage(PnsPipeline *pipeline, const PnsJoinQuery *join)
{
	pns_pipeline_open_stage(pipeline, "$addFields");
	append_key(pipeline, join);
	if (join->outer_columns != NIL)
		append_bad(pipeline, join->outer_columns, &join->rows);
	pns_pipeline_close_stage(pipeline);
}

/*
 * append_key appends what is looked up: a value, or an array of all the values
 * that are equal to it here.  A NULL equals nothing, and must not become a
 * null, which $lookup finds in every document without the field.
 */
static void
append_key(PnsPipeline *pipeline, const PnsJoinQuery *join)
{
	PnsBsonBuilder *builder = &pipeline->builder;

	pns_bson_open_document(builder, PNS_JOIN_KEY_FIELD);
	pns_bson_open_array(builder, "$ifNull");
	if (pns_fdw_value_class(join->field) == PNS_CLASS_TEXT)
	{
		pns_bson_open_document(builder, "0");
		pns_bson_open_document(builder, "$let");
		pns_bson_open_document(builder, "vars");
		pns_term_append(builder, "v", join->key, pipeline->operand_value, pipeline->state);
		pns_bson_close(builder);
		append_candidates(pipeline);
		pns_bson_close(builder);
		pns_bson_close(builder);
	}
	else
		pns_term_append(builder, "0", join->key, pipeline->operand_value, pipeline->state);
	pns_bson_open_document(builder, "1");
	pns_bson_append_value(builder, "$literal", no_key);
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * append_candidates appends what a text ("$$v") can be in a document: the
 * string, and the ObjectId whose digits it is.
 */
static void
append_candidates(PnsPipeline *pipeline)
{
	PnsBsonBuilder *builder = &pipeline->builder;

	pns_bson_open_document(builder, "in");
	pns_bson_open_array(builder, "$cond");
	pns_bson_open_document(builder, "0");
	pns_bson_open_document(builder, "$regexMatch");
	pns_bson_append_cstring(builder, "input", "$$v");
	pns_bson_append_cstring(builder, "regex", "^[0-9a-f]{24}$");
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_open_array(builder, "1");
	pns_bson_append_cstring(builder, "0", "$$v");
	pns_bson_open_document(builder, "1");
	pns_bson_open_document(builder, "$convert");
	pns_bson_append_cstring(builder, "input", "$$v");
	pns_bson_append_cstring(builder, "to", "objectId");
	pns_bson_append_cstring(builder, "onError", "$$v");
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_append_cstring(builder, "2", "$$v");
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * append_lookup appends the stage that finds candidates by an index.
 */
static void
append_lookup(PnsPipeline *pipeline, const PnsJoinQuery *join)
{
	PnsBsonBuilder *builder = &pipeline->builder;
	const PnsJoinQuery *inner = join->inner;
	bool		plain = join->simple && inner->quals == NIL;

	pns_pipeline_open_stage(pipeline, "$lookup");
	pns_bson_append_text(builder, "from", inner->first->table->collection);
	if (plain || !pipeline->is_old_server)
	{
		pns_bson_append_cstring(builder, "localField", PNS_JOIN_KEY_FIELD);
		pns_bson_append_cstring(builder, "foreignField", join->field->native);
	}
	if (!plain)
	{
		append_variables(pipeline, join);
		append_inner_pipeline(pipeline, join);
	}
	pns_bson_append_cstring(builder, "as",
							join->simple ? inner->first->prefix : PNS_JOIN_PAIR);
	pns_pipeline_close_stage(pipeline);
}

/*
 * append_variables appends the variables of the pipeline that reads the inner
 * side: tables of the outer side, and what is looked up.  A simple join needs
 * none, but with an old server.
 */
static void
append_variables(PnsPipeline *pipeline, const PnsJoinQuery *join)
{
	PnsBsonBuilder *builder = &pipeline->builder;
	ListCell   *lc;

	if (join->simple && !pipeline->is_old_server)
		return;
	pns_bson_open_document(builder, "let");
	foreach(lc, join->simple ? NIL : join->variables)
	{
		const char *prefix = ((PnsTermSource *) lfirst(lc))->prefix;

		pns_bson_append_cstring(builder, prefix, psprintf("$%s", prefix));
	}
	if (pipeline->is_old_server || join->knows_key)
		pns_bson_append_cstring(builder, PNS_JOIN_KEY_FIELD, "$" PNS_JOIN_KEY_FIELD);
	pns_bson_close(builder);
}

/*
 * append_inner_pipeline appends the pipeline that reads the inner side: a table
 * of a simple join, else rows that form a pair with a row of the outer side.
 * To know that there is one, a semi or an anti join takes only one.
 */
static void
append_inner_pipeline(PnsPipeline *pipeline, const PnsJoinQuery *join)
{
	bool		reports = join->inner->reports || join->inner_columns != NIL;
	int			nstages = open_pipeline(pipeline);

	if (pipeline->is_old_server)
		append_key_match(pipeline, join->field);
	if (join->simple)
	{
		if (!pns_pipeline_append_match(pipeline, join->inner->quals))
			append_nothing(pipeline);
	}
	else
	{
		append_rows_or_nothing(pipeline, join->inner);
		append_bad_stage(pipeline, join->inner_columns, &join->rows);
		append_terms_match(pipeline, join->on, reports);
	}
	if (join->type == JOIN_SEMI || join->type == JOIN_ANTI)
		append_first(pipeline);
	close_pipeline(pipeline, nstages);
}

/*
 * append_key_match appends the stage that finds candidates where $lookup takes
 * either a field or a pipeline, not both: before MongoDB 5.0.  Those find an
 * index for $eq, but none for one of several values.
 */
static void
append_key_match(PnsPipeline *pipeline, const PnsTableColumn *field)
{
	PnsBsonBuilder *builder = &pipeline->builder;
	bool		one = pns_fdw_value_class(field) != PNS_CLASS_TEXT;

	pns_pipeline_open_stage(pipeline, "$match");
	pns_bson_open_document(builder, "$expr");
	pns_bson_open_array(builder, one ? "$eq" : "$in");
	pns_bson_append_cstring(builder, "0", psprintf("$%s", field->native));
	if (one)
		pns_bson_append_cstring(builder, "1", "$$" PNS_JOIN_KEY_FIELD);
	else
	{
		pns_bson_open_document(builder, "1");
		pns_bson_open_array(builder, "$cond");
		pns_bson_open_document(builder, "0");
		pns_bson_append_cstring(builder, "$isArray", "$$" PNS_JOIN_KEY_FIELD);
		pns_bson_close(builder);
		pns_bson_append_cstring(builder, "1", "$$" PNS_JOIN_KEY_FIELD);
		pns_bson_open_array(builder, "2");
		pns_bson_append_cstring(builder, "0", "$$" PNS_JOIN_KEY_FIELD);
		pns_bson_close(builder);
		pns_bson_close(builder);
		pns_bson_close(builder);
	}
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_pipeline_close_stage(pipeline);
}

/*
 * append_simple_pairs makes pairs of what $lookup has found in a table, and
 * keeps those that count.
 */
static void
append_simple_pairs(PnsPipeline *pipeline, const PnsJoinQuery *join, bool outer_reports)
{
	append_unwind(pipeline, join->inner->first->prefix, outer_reports);
	append_bad_stage(pipeline, join->inner_columns, &join->rows);
	append_terms_match(pipeline, join->on, outer_reports || join->inner_columns != NIL);
}

/*
 * append_pairs does with the rows of the inner side that $lookup has found what
 * the kind of join demands.
 */
static void
append_pairs(PnsPipeline *pipeline, const PnsJoinQuery *join, bool outer_reports)
{
	bool		reports = outer_reports || join->inner->reports || join->inner_columns != NIL;
	bool		needs_pair = join->type == JOIN_INNER || join->type == JOIN_SEMI;

	append_unwind(pipeline, PNS_JOIN_PAIR, outer_reports || !needs_pair);
	append_inner_rows(pipeline, join);
	if (join->type == JOIN_ANTI)
		append_found_match(pipeline, false, reports);
	else if (needs_pair && outer_reports)
		append_found_match(pipeline, true, reports);
}

/*
 * append_unwind appends the stage that makes a row for each element of an
 * array, and with keep one for an array of none.
 */
static void
append_unwind(PnsPipeline *pipeline, const char *field, bool keep)
{
	pns_pipeline_open_stage(pipeline, "$unwind");
	pns_bson_append_cstring(&pipeline->builder, "path", psprintf("$%s", field));
	pns_bson_append_bool(&pipeline->builder, "preserveNullAndEmptyArrays", keep);
	pns_pipeline_close_stage(pipeline);
}

/*
 * append_inner_rows takes from a pair the documents of the inner side's tables,
 * which an anti join has none of, and what does not fit.
 */
static void
append_inner_rows(PnsPipeline *pipeline, const PnsJoinQuery *join)
{
	PnsBsonBuilder *builder = &pipeline->builder;
	bool		reports = join->inner->reports || join->inner_columns != NIL;
	int			place = -1;

	if (join->type == JOIN_ANTI && !reports)
		return;

	pns_pipeline_open_stage(pipeline, "$addFields");
	while (join->type != JOIN_ANTI &&
		   (place = bms_next_member(join->inner->places, place)) >= 0)
	{
		const PnsTermSource *source =
		(PnsTermSource *) list_nth(join->rows.sources, place - 1);

		pns_bson_append_cstring(builder, source->prefix,
								psprintf("$" PNS_JOIN_PAIR ".%s", source->prefix));
	}
	if (reports)
	{
		pns_bson_open_document(builder, PNS_JOIN_BAD);
		pns_bson_open_array(builder, "$ifNull");
		pns_bson_append_cstring(builder, "0", "$" PNS_JOIN_BAD);
		pns_bson_append_cstring(builder, "1", "$" PNS_JOIN_PAIR "." PNS_JOIN_BAD);
		pns_bson_close(builder);
		pns_bson_close(builder);
	}
	pns_pipeline_close_stage(pipeline);
}

/*
 * append_found_match keeps the rows for which a pair was found, or those for
 * which none was.
 */
static void
append_found_match(PnsPipeline *pipeline, bool found, bool reports)
{
	open_match(pipeline, reports);
	pns_bson_open_document(&pipeline->builder, PNS_JOIN_PAIR);
	pns_bson_append_bool(&pipeline->builder, "$exists", found);
	pns_bson_close(&pipeline->builder);
	close_match(pipeline, reports);
}

/*
 * append_terms_match keeps the rows for which all of terms are true.
 */
static void
append_terms_match(PnsPipeline *pipeline, List *terms, bool reports)
{
	PnsBsonBuilder *builder = &pipeline->builder;

	if (terms == NIL)
		return;

	open_match(pipeline, reports);
	pns_bson_open_document(builder, "$expr");
	pns_bson_open_array(builder, "$and");
	for (int i = 0; i < list_length(terms); i++)
		pns_term_append_true(builder, pns_bson_index(i), (PnsTerm *) list_nth(terms, i),
							 pipeline->operand_value, pipeline->state);
	pns_bson_close(builder);
	pns_bson_close(builder);
	close_match(pipeline, reports);
}

/*
 * append_bad_stage appends the stage that notes the first of columns whose
 * value does not fit, where no other one is noted already.
 */
static void
append_bad_stage(PnsPipeline *pipeline, List *columns, const PnsTermContext *rows)
{
	if (columns == NIL)
		return;
	pns_pipeline_open_stage(pipeline, "$addFields");
	append_bad(pipeline, columns, rows);
	pns_pipeline_close_stage(pipeline);
}

/*
 * append_bad appends what append_bad_stage notes.
 */
static void
append_bad(PnsPipeline *pipeline, List *columns, const PnsTermContext *rows)
{
	PnsBsonBuilder *builder = &pipeline->builder;

	pns_bson_open_document(builder, PNS_JOIN_BAD);
	pns_bson_open_array(builder, "$ifNull");
	pns_bson_append_cstring(builder, "0", "$" PNS_JOIN_BAD);
	pns_term_append_bad(builder, "1", columns, rows);
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * append_first appends the stage that keeps one document.
 */
static void
append_first(PnsPipeline *pipeline)
{
	pns_bson_open_document(&pipeline->builder, pns_bson_index(pipeline->nstages++));
	pns_bson_append_int32(&pipeline->builder, "$limit", 1);
	pns_bson_close(&pipeline->builder);
}

/*
 * append_nothing appends the stage that keeps no document.
 */
static void
append_nothing(PnsPipeline *pipeline)
{
	pns_pipeline_open_stage(pipeline, "$match");
	pns_bson_append_bool(&pipeline->builder, "$expr", false);
	pns_pipeline_close_stage(pipeline);
}

/*
 * open_pipeline begins a pipeline inside a stage.  Returns how many stages the
 * outer one has, which close_pipeline wants.
 */
static int
open_pipeline(PnsPipeline *pipeline)
{
	int			nstages = pipeline->nstages;

	pns_bson_open_array(&pipeline->builder, "pipeline");
	pipeline->nstages = 0;
	return nstages;
}

/*
 * close_pipeline ends it.
 */
static void
close_pipeline(PnsPipeline *pipeline, int nstages)
{
	pns_bson_close(&pipeline->builder);
	pipeline->nstages = nstages;
}

/*
 * open_match begins a stage that keeps rows by the condition that is appended
 * then, and those with a value that must fit and does not.
 */
static void
open_match(PnsPipeline *pipeline, bool reports)
{
	PnsBsonBuilder *builder = &pipeline->builder;

	pns_pipeline_open_stage(pipeline, "$match");
	if (!reports)
		return;
	pns_bson_open_array(builder, "$or");
	pns_bson_open_document(builder, "0");
	append_is_bad(builder);
	pns_bson_close(builder);
	pns_bson_open_document(builder, "1");
}

/*
 * close_match ends it.
 */
static void
close_match(PnsPipeline *pipeline, bool reports)
{
	if (reports)
	{
		pns_bson_close(&pipeline->builder);
		pns_bson_close(&pipeline->builder);
	}
	pns_pipeline_close_stage(pipeline);
}
