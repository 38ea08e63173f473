/*-------------------------------------------------------------------------
 *
 * pipeline.c
 *	  The stages of an aggregation that every kind of command has.
 *
 * Only what the query needs is asked for: bytes are what a scan costs most.
 * _id always comes along, for it names the document in errors.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/query.h"

static void append_match(PnsPipeline *pipeline, PnsDocument filter);
static bool is_below(const char *path, const char *other);

/*
 * pns_pipeline_open_stage begins a stage, whose operator's argument is the
 * document that is open then.
 */
void
pns_pipeline_open_stage(PnsPipeline *pipeline, const char *operator)
{
	pns_bson_open_document(&pipeline->builder, pns_bson_index(pipeline->nstages++));
	pns_bson_open_document(&pipeline->builder, operator);
}

/*
 * pns_pipeline_close_stage ends it.
 */
void
pns_pipeline_close_stage(PnsPipeline *pipeline)
{
	pns_bson_close(&pipeline->builder);
	pns_bson_close(&pipeline->builder);
}

/*
 * pns_pipeline_append_match appends the stages that select the documents for
 * which all of quals are true, where there is something to select.  False, and
 * no stage, where that is none.
 *
 * MongoDB takes two stages as one.  A server that does not still finds an
 * index for the first, which has nothing but comparisons in it.
 */
bool
pns_pipeline_append_match(PnsPipeline *pipeline, List *quals)
{
	PnsFilter	filter = pns_fdw_make_filter(quals, pipeline->operand_value,
											 pipeline->state);

	if (filter.kind == PNS_FILTER_SOME)
		append_match(pipeline, filter.document);
	if (filter.kind == PNS_FILTER_SOME && filter.has_rest)
		append_match(pipeline, filter.rest);
	return filter.kind != PNS_FILTER_NONE;
}

/*
 * pns_pipeline_append_project appends the stage that keeps paths, _id being
 * one of them.
 */
void
pns_pipeline_append_project(PnsPipeline *pipeline, List *paths)
{
	ListCell   *lc;

	pns_pipeline_open_stage(pipeline, "$project");
	foreach(lc, paths)
		pns_bson_append_int32(&pipeline->builder, (char *) lfirst(lc), 1);
	pns_pipeline_close_stage(pipeline);
}

/*
 * pns_pipeline_add_path adds to a list of paths one that shall be fetched.  As
 * MongoDB refuses a path beside one below it, only the upper one stays.
 */
List *
pns_pipeline_add_path(List *paths, char *path)
{
	ListCell   *lc;

	foreach(lc, paths)
	{
		if (is_below(path, (char *) lfirst(lc)))
			return paths;
		if (is_below((char *) lfirst(lc), path))
			paths = foreach_delete_current(paths, lc);
	}
	return lappend(paths, path);
}

/*
 * pns_fdw_command_text shows the command for a pipeline and its options, as
 * EXPLAIN does.
 */
char *
pns_fdw_command_text(const PnsTable *table, PnsDocument pipeline, PnsDocument options)
{
	PnsBsonBuilder builder;
	PnsBsonIterator members;
	StringInfoData text;

	pns_bson_begin(&builder);
	pns_bson_append_text(&builder, "aggregate", table->collection);
	pns_bson_append_array(&builder, "pipeline", pipeline);
	pns_bson_open_document(&builder, "cursor");
	if (table->fetch_size > 0)
		pns_bson_append_int32(&builder, "batchSize", table->fetch_size);
	pns_bson_close(&builder);
	pns_bson_iterate(&members, options);
	while (pns_bson_next(&members))
		pns_bson_append_value(&builder, members.key, members.value);
	pns_bson_append_text(&builder, "$db", table->database);

	initStringInfo(&text);
	/* elog: every text in it comes from this database */
	if (!pns_json_append_document(&text, pns_bson_end(&builder), PNS_JSON_SHOWN))
		elog(ERROR, "could not show the command for collection %s",
			 pns_fdw_table_label(table));
	return text.data;
}

/*
 * pns_fdw_empty_document makes { }.
 */
PnsDocument
pns_fdw_empty_document(void)
{
	PnsBsonBuilder builder;

	pns_bson_begin(&builder);
	return pns_bson_end(&builder);
}

/*
 * append_match appends one stage that selects.
 */
static void
append_match(PnsPipeline *pipeline, PnsDocument filter)
{
	pns_bson_open_document(&pipeline->builder, pns_bson_index(pipeline->nstages++));
	pns_bson_append_document(&pipeline->builder, "$match", filter);
	pns_bson_close(&pipeline->builder);
}

/*
 * is_below tells whether a path is another one or lies below it.
 */
static bool
is_below(const char *path, const char *other)
{
	size_t		size = strlen(other);

	return strncmp(path, other, size) == 0 && (path[size] == '\0' || path[size] == '.');
}
