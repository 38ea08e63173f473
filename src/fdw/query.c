/*-------------------------------------------------------------------------
 *
 * query.c
 *	  What a command reads, as the executor has it.
 *
 * A description is compiled once, when a scan starts; the command is made of
 * it each time that the scan is started over, as the values of its operands
 * may have changed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/float.h"

#include "fdw/join.h"
#include "fdw/upper.h"

static bool compares_strings(const PnsQuery *query);
static void check_row(const PnsQuery *query, PnsDocument row);
static List *create_sources(List *relids, List *prefixes);
static List *compile_quals(List *exprs, const PnsTermSource *source);
static PnsQual *make_guard(const PnsTable *table, List *columns);
static void add_sort(PnsQuery *query, List *description);
static bool is_wrapped(const PnsQuery *query);
static void append_sort(const PnsQuery *query, PnsPipeline *pipeline);
static void append_bad(const PnsQuery *query, PnsPipeline *pipeline, const char *key,
					   List *columns);
static void add_group(PnsQuery *query, List *description);
static void append_group(const PnsQuery *query, PnsPipeline *pipeline);
static void append_project(const PnsQuery *query, PnsPipeline *pipeline);
static void add_outputs(PnsQuery *query, List *outputs, List *slots);
static PnsColumn output_column(PnsQuery *query, Var *var, int slot);
static void add_identity(PnsQuery *query, List *description);
static void add_path(PnsQuery *query, const PnsTermSource *source, const char *path);

/*
 * pns_query_create compiles a description.  Allocates in the current context.
 */
PnsQuery *
pns_query_create(List *description)
{
	PnsQuery   *query = palloc0(sizeof(PnsQuery));
	List	   *join = (List *) list_nth(description, PNS_QUERY_JOIN);
	List	   *outputs = (List *) list_nth(description, PNS_QUERY_OUTPUTS);
	List	   *slots = (List *) list_nth(description, PNS_QUERY_SLOTS);

	query->sources = create_sources((List *) list_nth(description, PNS_QUERY_RELIDS),
									(List *) list_nth(description, PNS_QUERY_PREFIXES));
	if (join != NIL)
	{
		query->join = pns_join_create(join, query->sources);
		query->has_bad = query->join->reports;
	}
	else
	{
		query->quals = compile_quals((List *) list_nth(description, PNS_QUERY_QUALS),
									 (PnsTermSource *) linitial(query->sources));
		query->keys = compile_quals((List *) list_nth(description, PNS_QUERY_KEYS),
									(PnsTermSource *) linitial(query->sources));
		query->guard = make_guard(pns_query_table(query),
								  (List *) list_nth(description, PNS_QUERY_GUARDED));
	}
	query->limit = pns_limit_create((List *) list_nth(description, PNS_QUERY_LIMIT));
	add_group(query, (List *) list_nth(description, PNS_QUERY_GROUP));
	add_sort(query, (List *) list_nth(description, PNS_QUERY_SORT));
	if (query->group != NULL)
		query->whole = true;
	else if (query->join != NULL)
	{
		query->row = pns_join_row_create(query->join, query->sources, outputs, slots);
		query->paths = pns_join_row_paths(query->row);
	}
	else
	{
		add_outputs(query, outputs, slots);
		add_identity(query, (List *) list_nth(description, PNS_QUERY_IDENTITY));
	}
	query->repeats = boolVal(list_nth(description, PNS_QUERY_REPEATS));
	return query;
}

/*
 * pns_query_table returns the table whose collection the command is sent to.
 */
const PnsTable *
pns_query_table(const PnsQuery *query)
{
	return ((PnsTermSource *) linitial(query->sources))->table;
}

/*
 * pns_query_label names the collections for messages and EXPLAIN.
 */
char *
pns_query_label(const PnsQuery *query)
{
	StringInfoData label;
	ListCell   *lc;

	initStringInfo(&label);
	foreach(lc, query->sources)
		appendStringInfo(&label, "%s%s", label.len > 0 ? ", " : "",
						 pns_fdw_table_label(((PnsTermSource *) lfirst(lc))->table));
	return label.data;
}

/*
 * pns_query_make_pipeline makes the command's pipeline with the current values
 * of the operands.  False, and no pipeline, where no document can match.  The
 * first *skipped rows that it brings are not the query's.
 */
bool
pns_query_make_pipeline(const PnsQuery *query, PnsOperandValue operand_value,
						void *state, PnsDocument *stages, int64 *skipped)
{
	PnsPipeline pipeline = {.operand_value = operand_value,.state = state,
	.is_old_server = query->is_old_server};
	List	   *keys = query->guards ? list_make1(query->guard) : query->keys;
	PnsLimitValues limit = {.skips_here = query->has_bad};

	if (query->limit != NULL &&
		!pns_limit_evaluate(&pipeline, query->limit, &limit))
		return false;
	*skipped = limit.skips_here ? limit.offset : 0;

	pns_bson_begin(&pipeline.builder);
	if (query->join != NULL ? !pns_join_append_rows(&pipeline, query->join) :
		!pns_pipeline_append_match(&pipeline, list_concat_copy(query->quals, keys)))
		return false;
	if (query->group != NULL)
		append_group(query, &pipeline);
	if (query->sort != NULL)
		append_sort(query, &pipeline);
	else if (query->group != NULL && query->limit != NULL && query->has_bad)
		pns_order_append(&pipeline, NULL, true);
	if (query->limit != NULL)
		pns_limit_append(&pipeline, query->limit, &limit);
	append_project(query, &pipeline);
	if (query->row != NULL)
		pns_join_row_append_parts(&pipeline, query->row);
	*stages = pns_bson_end(&pipeline.builder);
	return true;
}

/*
 * pns_query_options makes the options of the command: what does not fit into a
 * server's memory may use its disk, and a collection may have a collation of
 * its own, by which MongoDB would compare strings other than by their bytes.
 *
 * A view with such a collation refuses to be read by another one.
 */
PnsDocument
pns_query_options(const PnsQuery *query)
{
	PnsBsonBuilder builder;

	pns_bson_begin(&builder);
	if (query->sort != NULL || query->group != NULL)
		pns_bson_append_bool(&builder, "allowDiskUse", true);
	if (compares_strings(query))
	{
		pns_bson_open_document(&builder, "collation");
		pns_bson_append_cstring(&builder, "locale", "simple");
		pns_bson_close(&builder);
	}
	return pns_bson_end(&builder);
}

/*
 * compares_strings tells whether MongoDB compares strings for a query.
 */
static bool
compares_strings(const PnsQuery *query)
{
	if (query->group != NULL && query->group->compares_strings)
		return true;
	if (query->sort != NULL && query->sort->compares_strings)
		return true;
	if (query->join != NULL)
		return pns_join_compares_strings(query->join);
	return pns_fdw_compares_strings(query->quals) || pns_fdw_compares_strings(query->keys);
}

/*
 * pns_query_read_row makes a row of a document that the reader has returned,
 * and of those that follow if it needs more than one.
 */
void
pns_query_read_row(const PnsQuery *query, PnsReader *reader, PnsDocument document,
				   Datum *values, bool *nulls)
{
	check_row(query, document);
	if (query->group != NULL)
	{
		pns_group_row_read(query->group_row, document, values, nulls);
		return;
	}
	if (query->row == NULL)
	{
		pns_mongo_decode(query->decoder, document, values, nulls);
		return;
	}

	pns_join_row_begin(query->row, nulls);
	while (pns_join_row_add(query->row, document, values, nulls))
	{
		if (!pns_reader_next(reader, &document))
			ereport(ERROR,
					(errcode(ERRCODE_FDW_ERROR),
					 errmsg("the last row of a join of %s is incomplete",
							pns_query_label(query))));
	}
}

/*
 * pns_query_document returns the document of a row of a single table, which
 * comes below a key where the keys of the sort stand beside it.
 */
PnsDocument
pns_query_document(const PnsQuery *query, PnsDocument row)
{
	PnsBsonValue value;

	if (is_wrapped(query) && pns_bson_find(row, PNS_ROW_DOCUMENT, &value))
		return pns_bson_value_document(&value);
	return row;
}

/*
 * check_row raises the error of a value that does not fit where
 * MongoDB has met one on the way to a row.
 */
static void
check_row(const PnsQuery *query, PnsDocument row)
{
	PnsTermContext context = {query->sources, NIL};
	PnsBsonValue bad;

	if (query->has_bad && pns_bson_find(row, PNS_ROW_BAD, &bad) &&
		bad.type == PNS_BSON_DOCUMENT)
	{
		PnsDocument document = pns_bson_value_document(&bad);
		PnsBsonValue overflow;

		if (pns_bson_find(document, PNS_ROW_OVERFLOW, &overflow))
			float_overflow_error();
		pns_term_raise_bad(document, &context);
	}
}

/*
 * create_sources reads the definitions of the tables.
 */
static List *
create_sources(List *relids, List *prefixes)
{
	List	   *sources = NIL;
	ListCell   *relid;
	ListCell   *prefix;

	forboth(relid, relids, prefix, prefixes)
	{
		PnsTermSource *source = palloc0(sizeof(PnsTermSource));

		source->varno = list_length(sources) + 1;
		source->table = pns_fdw_get_table(lfirst_oid(relid));
		source->prefix = strVal(lfirst(prefix));
		sources = lappend(sources, source);
	}
	return sources;
}

/*
 * compile_quals compiles the shipped conditions on a single table.
 */
static List *
compile_quals(List *exprs, const PnsTermSource *source)
{
	List	   *quals = NIL;
	ListCell   *lc;

	foreach(lc, exprs)
	{
		PnsQual    *qual = pns_fdw_compile_planned_qual((Expr *) lfirst(lc), source->table,
														source->varno);

		/* elog: it was shippable when it was planned */
		if (qual == NULL)
			elog(ERROR, "a condition on %s that was to be shipped cannot be",
				 pns_fdw_table_label(source->table));
		quals = lappend(quals, qual);
	}
	return quals;
}

/*
 * make_guard makes the condition that selects what does not fit a column of
 * columns; NULL where there are none.
 */
static PnsQual *
make_guard(const PnsTable *table, List *columns)
{
	PnsQual    *qual = palloc0(sizeof(PnsQual));
	ListCell   *lc;

	if (columns == NIL)
		return NULL;

	qual->kind = PNS_QUAL_OR;
	foreach(lc, columns)
		qual->args = lappend(qual->args,
							 pns_fdw_misfit_qual(&table->columns[lfirst_int(lc) - 1]));
	return qual;
}

/*
 * add_group compiles the groups, if there are some.
 */
static void
add_group(PnsQuery *query, List *description)
{
	PnsTermContext context = {query->sources, NIL};
	ListCell   *lc;

	query->group = pns_group_create(description, &context);
	if (query->group == NULL)
		return;

	query->group_row = pns_group_row_create(query->group, description);
	foreach(lc, query->group->columns)
		query->documents_bad = query->documents_bad ||
		pns_term_column_may_misfit((PnsTermColumn *) lfirst(lc));
	query->documents_bad = query->documents_bad || query->has_bad;
	query->has_bad = query->documents_bad || pns_group_has_overflow(query->group);
}

/*
 * append_group appends the stages that group.  Of a group's documents one that
 * does not fit is enough to know.
 */
static void
append_group(const PnsQuery *query, PnsPipeline *pipeline)
{
	PnsBsonBuilder *builder = &pipeline->builder;

	pns_group_open(pipeline, query->group);
	if (query->documents_bad)
	{
		pns_bson_open_document(builder, PNS_ROW_BAD);
		append_bad(query, pipeline, "$max", query->group->columns);
		pns_bson_close(builder);
	}
	pns_group_close(pipeline, query->group, query->documents_bad);
}

/*
 * pns_query_read_nothing makes the row that there is even where the command
 * returns none.  False where there is no such row.
 */
bool
pns_query_read_nothing(const PnsQuery *query, Datum *values, bool *nulls)
{
	if (query->group == NULL || !pns_group_is_whole(query->group))
		return false;
	pns_group_row_read_nothing(query->group_row, values, nulls);
	return true;
}

/*
 * add_sort compiles the sort, and has the columns that it needs fetched as far
 * as they are needed before it.
 */
static void
add_sort(PnsQuery *query, List *description)
{
	PnsTermContext context = {query->sources, NIL};
	ListCell   *lc;

	if (query->group != NULL)
	{
		context.sources = NIL;
		context.outputs = query->group->outputs;
	}
	query->sort = pns_order_create(description, &context);
	if (query->sort == NULL || query->sort->plain)
		return;

	foreach(lc, query->sort->columns)
	{
		const PnsTermColumn *column = (PnsTermColumn *) lfirst(lc);

		if (query->join == NULL)
			add_path(query, column->source, column->column->projection);
		query->has_bad = query->has_bad || pns_term_column_may_misfit(column);
	}
}

/*
 * is_wrapped tells whether the documents of a single table come below a key,
 * as the sort keys stand beside them.
 */
static bool
is_wrapped(const PnsQuery *query)
{
	return query->join == NULL && query->group == NULL &&
		query->sort != NULL && !query->sort->plain;
}

/*
 * append_sort appends the stages that sort.  What is not needed is left out
 * before, as the sort has to hold the rest.
 */
static void
append_sort(const PnsQuery *query, PnsPipeline *pipeline)
{
	if (!query->sort->plain)
	{
		if (is_wrapped(query))
		{
			if (!query->whole)
				pns_pipeline_append_project(pipeline, query->paths);
			pns_pipeline_open_stage(pipeline, "$project");
			pns_bson_append_int32(&pipeline->builder, "_id", 0);
			pns_bson_append_cstring(&pipeline->builder, PNS_ROW_DOCUMENT, "$$ROOT");
		}
		else
			pns_pipeline_open_stage(pipeline, "$addFields");
		if (query->has_bad && query->group == NULL)
			append_bad(query, pipeline, PNS_ROW_BAD, query->sort->columns);
		pns_order_append_keys(pipeline, query->sort);
		pns_pipeline_close_stage(pipeline);
	}
	pns_order_append(pipeline, query->sort, query->has_bad);
}

/*
 * append_project appends the stage that keeps what is fetched.
 */
static void
append_project(const PnsQuery *query, PnsPipeline *pipeline)
{
	if (is_wrapped(query))
		pns_pipeline_append_project(pipeline,
									query->has_bad ?
									list_make2(PNS_ROW_DOCUMENT, PNS_ROW_BAD) :
									list_make1(PNS_ROW_DOCUMENT));
	else if (!query->whole)
		pns_pipeline_append_project(pipeline,
									query->has_bad ?
									pns_pipeline_add_path(list_copy(query->paths),
														  PNS_ROW_BAD) :
									query->paths);
}

/*
 * append_bad appends the member that has the first value of columns that does
 * not fit, unless the rows of a join have brought one along.
 */
static void
append_bad(const PnsQuery *query, PnsPipeline *pipeline, const char *key, List *columns)
{
	PnsTermContext context = {query->sources, NIL};
	PnsBsonBuilder *builder = &pipeline->builder;

	if (query->join == NULL || !query->join->reports)
	{
		pns_term_append_bad(builder, key, columns, &context);
		return;
	}

	pns_bson_open_document(builder, key);
	pns_bson_open_array(builder, "$ifNull");
	pns_bson_append_cstring(builder, "0", "$" PNS_ROW_BAD);
	pns_term_append_bad(builder, "1", columns, &context);
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * add_outputs compiles what is fetched: the decoder and the paths.
 */
static void
add_outputs(PnsQuery *query, List *outputs, List *slots)
{
	PnsColumn  *columns = palloc(sizeof(PnsColumn) * Max(list_length(outputs), 1));
	int			ncolumns = 0;
	ListCell   *output;
	ListCell   *slot;

	foreach(output, query->sources)
		add_path(query, (PnsTermSource *) lfirst(output), "_id");
	forboth(output, outputs, slot, slots)
		columns[ncolumns++] = output_column(query, lfirst_node(Var, output),
											lfirst_int(slot));
	query->decoder = pns_mongo_decoder_create(columns, ncolumns);
}

/*
 * output_column fetches a column of one of the tables, and returns what the
 * codec needs to know of it.
 */
static PnsColumn
output_column(PnsQuery *query, Var *var, int slot)
{
	PnsTermSource *source = (PnsTermSource *) list_nth(query->sources, var->varno - 1);
	const PnsTableColumn *column = &source->table->columns[var->varattno - 1];
	PnsColumn	codec = column->codec;

	add_path(query, source, column->projection);
	codec.attnum = slot;
	if (is_wrapped(query))
		codec.prefix = PNS_ROW_DOCUMENT;
	else
		codec.prefix = source->prefix[0] != '\0' ? source->prefix : NULL;
	return codec;
}

/*
 * add_identity compiles what is put out of rows that are going to be written.
 */
static void
add_identity(PnsQuery *query, List *description)
{
	List	   *paths = NIL;
	ListCell   *lc;

	query->identity = pns_identity_create(description, pns_query_table(query), &paths);
	foreach(lc, paths)
		add_path(query, (PnsTermSource *) linitial(query->sources), (char *) lfirst(lc));
}

/*
 * add_path has a path of a table's documents fetched, or with NULL all of
 * them.
 */
static void
add_path(PnsQuery *query, const PnsTermSource *source, const char *path)
{
	if (source->prefix[0] == '\0')
		query->whole = query->whole || path == NULL;
	else
		path = path == NULL ? source->prefix : psprintf("%s.%s", source->prefix, path);
	if (!query->whole)
		query->paths = pns_pipeline_add_path(query->paths, (char *) path);
}
