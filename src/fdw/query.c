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

#include "fdw/join.h"

static List *create_sources(List *relids, List *prefixes);
static List *compile_quals(List *exprs, const PnsTermSource *source);
static PnsQual *guard_keys(const PnsQuery *query, List *guarded);
static void add_outputs(PnsQuery *query, List *outputs, List *slots);
static PnsColumn output_column(PnsQuery *query, Var *var, int slot);
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
		query->row = pns_join_row_create(query->join, query->sources, outputs, slots);
		query->paths = pns_join_row_paths(query->row);
		return query;
	}
	query->quals = compile_quals((List *) list_nth(description, PNS_QUERY_QUALS),
								 (PnsTermSource *) linitial(query->sources));
	query->keys = compile_quals((List *) list_nth(description, PNS_QUERY_KEYS),
								(PnsTermSource *) linitial(query->sources));
	query->guarded_keys = guard_keys(query, (List *) list_nth(description, PNS_QUERY_GUARDED));
	add_outputs(query, outputs, slots);
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
 * of the operands.  False, and no pipeline, where no document can match.
 */
bool
pns_query_make_pipeline(const PnsQuery *query, PnsOperandValue operand_value,
						void *state, PnsDocument *stages)
{
	PnsPipeline pipeline = {.operand_value = operand_value,.state = state};
	List	   *keys = query->guards && query->guarded_keys != NULL ?
	list_make1(query->guarded_keys) : query->keys;

	pns_bson_begin(&pipeline.builder);
	if (query->join != NULL ? !pns_join_append_rows(&pipeline, query->join) :
		!pns_pipeline_append_match(&pipeline, list_concat_copy(query->quals, keys)))
		return false;
	if (!query->whole)
		pns_pipeline_append_project(&pipeline, query->paths);
	if (query->row != NULL)
		pns_join_row_append_parts(&pipeline, query->row);
	*stages = pns_bson_end(&pipeline.builder);
	return true;
}

/*
 * pns_query_options makes the options of the command: a collection may have a
 * collation of its own, by which MongoDB would compare strings other than by
 * their bytes.
 *
 * A view with such a collation refuses to be read by another one.
 */
PnsDocument
pns_query_options(const PnsQuery *query)
{
	PnsBsonBuilder builder;

	pns_bson_begin(&builder);
	if (query->join != NULL ? pns_join_compares_strings(query->join) :
		pns_fdw_compares_strings(query->quals) || pns_fdw_compares_strings(query->keys))
	{
		pns_bson_open_document(&builder, "collation");
		pns_bson_append_cstring(&builder, "locale", "simple");
		pns_bson_close(&builder);
	}
	return pns_bson_end(&builder);
}

/*
 * pns_query_read_row makes a row of a document that the cursor has returned,
 * and of those that follow if it needs more than one.
 */
void
pns_query_read_row(const PnsQuery *query, PnsCursor *cursor, PnsDocument document,
				   Datum *values, bool *nulls)
{
	if (query->row == NULL)
	{
		pns_mongo_decode(query->decoder, document, values, nulls);
		return;
	}

	pns_join_row_begin(query->row, nulls);
	while (pns_join_row_add(query->row, document, values, nulls))
	{
		if (!pns_mongo_cursor_next(cursor, &document))
			ereport(ERROR,
					(errcode(ERRCODE_FDW_ERROR),
					 errmsg("the last row of a join of %s is incomplete",
							pns_query_label(query))));
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
		PnsQual    *qual = pns_fdw_compile_qual((Expr *) lfirst(lc), source->table,
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
 * guard_keys compiles the conditions on a join's keys so that they select what
 * does not fit the guarded columns too; NULL where there are none.
 */
static PnsQual *
guard_keys(const PnsQuery *query, List *guarded)
{
	PnsQual    *keys;
	PnsQual    *qual;
	ListCell   *lc;

	if (guarded == NIL)
		return NULL;

	keys = palloc0(sizeof(PnsQual));
	keys->kind = PNS_QUAL_AND;
	keys->args = query->keys;
	qual = palloc0(sizeof(PnsQual));
	qual->kind = PNS_QUAL_OR;
	qual->args = list_make1(keys);
	foreach(lc, guarded)
	{
		const PnsTable *table = pns_query_table(query);

		qual->args = lappend(qual->args,
							 pns_fdw_misfit_qual(&table->columns[lfirst_int(lc) - 1]));
	}
	return qual;
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
	codec.prefix = source->prefix[0] != '\0' ? source->prefix : NULL;
	return codec;
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
