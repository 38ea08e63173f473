/*-------------------------------------------------------------------------
 *
 * pipeline.c
 *	  The aggregation that a scan sends, and the decoder of its answer.
 *
 * Only what the query needs is asked for: bytes are what a scan costs most.
 * _id always comes along, for it names the document in errors.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/bitmapset.h"

#include "fdw/private.h"

static void append_project(PnsBsonBuilder *builder, const char *key, List *paths);
static List *projected_paths(const PnsTable *table, Bitmapset *attrs, bool *whole);
static bool is_below(const char *path, const char *other);

/*
 * pns_fdw_make_pipeline makes the pipeline that selects by filter (which is
 * not PNS_FILTER_NONE) and fetches the columns of attrs, by attribute number.
 */
PnsDocument
pns_fdw_make_pipeline(const PnsFilter *filter, const PnsTable *table, Bitmapset *attrs)
{
	PnsBsonBuilder builder;
	bool		whole;
	List	   *paths = projected_paths(table, attrs, &whole);
	int			nstages = 0;

	pns_bson_begin(&builder);
	if (filter->kind == PNS_FILTER_SOME)
	{
		pns_bson_open_document(&builder, pns_bson_index(nstages++));
		pns_bson_append_document(&builder, "$match", filter->document);
		pns_bson_close(&builder);
	}
	if (!whole)
		append_project(&builder, pns_bson_index(nstages++), paths);
	return pns_bson_end(&builder);
}

/*
 * pns_fdw_make_decoder compiles the columns of attrs.  With never_fail a
 * value that does not fit is NULL whatever the table says.
 */
PnsDecoder *
pns_fdw_make_decoder(const PnsTable *table, Bitmapset *attrs, bool never_fail)
{
	PnsColumn  *columns = palloc(sizeof(PnsColumn) * Max(table->ncolumns, 1));
	int			ncolumns = 0;
	int			attnum = -1;

	while ((attnum = bms_next_member(attrs, attnum)) >= 0)
	{
		columns[ncolumns] = table->columns[attnum - 1].codec;
		if (never_fail)
			columns[ncolumns].null_on_mismatch = true;
		ncolumns++;
	}

	return pns_mongo_decoder_create(columns, ncolumns, pns_fdw_table_label(table));
}

/*
 * pns_fdw_scan_options makes the options of the command that has the filter of
 * quals: a collection may have a collation of its own, by which MongoDB would
 * compare strings other than by their bytes.
 *
 * A view with such a collation refuses to be read by another one.
 */
PnsDocument
pns_fdw_scan_options(List *quals)
{
	PnsBsonBuilder builder;

	pns_bson_begin(&builder);
	if (pns_fdw_compares_strings(quals))
	{
		pns_bson_open_document(&builder, "collation");
		pns_bson_append_cstring(&builder, "locale", "simple");
		pns_bson_close(&builder);
	}
	return pns_bson_end(&builder);
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
	if (!pns_json_append_document(&text, pns_bson_end(&builder), PNS_JSON_RELAXED))
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
 * append_project appends the stage that keeps paths and _id.
 */
static void
append_project(PnsBsonBuilder *builder, const char *key, List *paths)
{
	ListCell   *lc;

	pns_bson_open_document(builder, key);
	pns_bson_open_document(builder, "$project");
	pns_bson_append_int32(builder, "_id", 1);
	foreach(lc, paths)
		pns_bson_append_int32(builder, (char *) lfirst(lc), 1);
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * projected_paths lists the paths that the columns of attrs need, _id left
 * out.  As MongoDB refuses a path beside one below it, only the upper one
 * stays.  *whole is set where a column needs what no path can say.
 */
static List *
projected_paths(const PnsTable *table, Bitmapset *attrs, bool *whole)
{
	List	   *paths = list_make1("_id");
	int			attnum = -1;

	*whole = false;
	while ((attnum = bms_next_member(attrs, attnum)) >= 0)
	{
		const char *path = table->columns[attnum - 1].projection;
		bool		covered = false;
		ListCell   *lc;

		if (path == NULL)
		{
			*whole = true;
			return NIL;
		}

		foreach(lc, paths)
		{
			if (is_below(path, (char *) lfirst(lc)))
				covered = true;
			else if (is_below((char *) lfirst(lc), path))
				paths = foreach_delete_current(paths, lc);
		}
		if (!covered)
			paths = lappend(paths, (void *) path);
	}

	return list_delete_first(paths);
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
