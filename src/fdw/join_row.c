/*-------------------------------------------------------------------------
 *
 * join_row.c
 *	  The documents of a join's rows, and the rows made of them.
 *
 * Two documents that MongoDB can store need not fit into one that it can send.
 * A row that is too large for that is sent in parts, one for each table.
 *
 * The document of each table is decoded by itself: a table that has no row in
 * an outer join's has NULLs there that no domain is asked about, and a row of
 * it as a whole is NULL.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "executor/executor.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "fdw/join.h"

/* Bytes that the documents of a row may have together; MongoDB sends 16 MB. */
#define LARGEST_ROW (15 * 1024 * 1024)

/* What is fetched of one table. */
typedef struct JoinTable
{
	const PnsTermSource *source;
	PnsDecoder *decoder;
	Datum	   *values;			/* by attribute */
	bool	   *nulls;
	List	   *attnums;		/* List of Integer: what goes ... */
	List	   *slots;			/* List of Integer: ... where in the row, from
								 * 1 */
	TupleDesc	tupdesc;		/* of a row as a whole; NULL if not asked for */
} JoinTable;

struct PnsJoinRow
{
	PnsTermContext context;
	bool		reports;		/* may a row be a value that does not fit? */
	List	   *tables;			/* of JoinTable: those that something is
								 * fetched of */
	int			missing;		/* parts of the current row that are to come */
};

static JoinTable *create_table(const PnsTermSource *source, List *outputs, List *slots);
static void append_size(PnsBsonBuilder *builder, const char *key, const PnsJoinRow *row);
static void append_parts(PnsBsonBuilder *builder, const char *key, const PnsJoinRow *row);
static void add_table(const JoinTable *table, PnsDocument document, Datum *values, bool *nulls);
static Datum whole_row(const JoinTable *table);

/*
 * pns_join_row_create prepares the rows of a join of sources, of which outputs
 * (of Var) go into slots.  Allocates in the current context.
 */
PnsJoinRow *
pns_join_row_create(const PnsJoinQuery *join, List *sources, List *outputs, List *slots)
{
	PnsJoinRow *row = palloc0(sizeof(PnsJoinRow));
	ListCell   *lc;

	row->context.sources = sources;
	row->reports = join->reports;
	foreach(lc, sources)
	{
		JoinTable  *table = create_table((PnsTermSource *) lfirst(lc), outputs, slots);

		if (table->attnums != NIL)
			row->tables = lappend(row->tables, table);
	}
	return row;
}

/*
 * pns_join_row_paths lists what has to be fetched (C strings), at least one
 * path: a row has no _id, but a projection of nothing is refused.
 */
List *
pns_join_row_paths(const PnsJoinRow *row)
{
	List	   *paths = list_make1(row->reports ? PNS_JOIN_BAD : "_id");
	ListCell   *lc;

	foreach(lc, row->tables)
	{
		const JoinTable *table = (JoinTable *) lfirst(lc);
		const PnsTermSource *source = table->source;

		/* names the document, and tells whether there is one */
		paths = lappend(paths, psprintf("%s._id", source->prefix));
		for (int i = 0; i < source->table->ncolumns; i++)
		{
			const PnsTableColumn *column = &source->table->columns[i];
			char	   *path = column->projection == NULL ? pstrdup(source->prefix) :
			psprintf("%s.%s", source->prefix, column->projection);

			if (column->codec.attnum != 0 &&
				(table->tupdesc != NULL || list_member_int(table->attnums, i + 1)))
				paths = pns_pipeline_add_path(paths, path);
		}
	}
	return paths;
}

/*
 * pns_join_row_append_parts appends the stages that send a row in parts if it
 * is too large for one document.
 */
void
pns_join_row_append_parts(PnsPipeline *pipeline, const PnsJoinRow *row)
{
	PnsBsonBuilder *builder = &pipeline->builder;

	if (list_length(row->tables) < 2)
		return;

	pns_pipeline_open_stage(pipeline, "$project");
	pns_bson_open_document(builder, PNS_JOIN_PART);
	pns_bson_open_array(builder, "$cond");
	pns_bson_open_document(builder, "0");
	pns_bson_open_array(builder, "$lte");
	append_size(builder, "0", row);
	pns_bson_append_int32(builder, "1", LARGEST_ROW);
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_open_array(builder, "1");
	pns_bson_append_cstring(builder, "0", "$$ROOT");
	pns_bson_close(builder);
	append_parts(builder, "2", row);
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_pipeline_close_stage(pipeline);

	pns_bson_open_document(builder, pns_bson_index(pipeline->nstages++));
	pns_bson_append_cstring(builder, "$unwind", "$" PNS_JOIN_PART);
	pns_bson_close(builder);

	pns_pipeline_open_stage(pipeline, "$replaceRoot");
	pns_bson_append_cstring(builder, "newRoot", "$" PNS_JOIN_PART);
	pns_pipeline_close_stage(pipeline);
}

/*
 * pns_join_row_begin makes all columns of a row NULL.
 */
void
pns_join_row_begin(PnsJoinRow *row, bool *nulls)
{
	ListCell   *lc;

	row->missing = 0;
	foreach(lc, row->tables)
	{
		ListCell   *slot;

		foreach(slot, ((JoinTable *) lfirst(lc))->slots)
			nulls[lfirst_int(slot) - 1] = true;
	}
}

/*
 * pns_join_row_add fills the columns that a document of the answer has.
 * Returns true where another document has more of the same row.
 *
 * Errors: those of a value that does not fit.
 */
bool
pns_join_row_add(PnsJoinRow *row, PnsDocument document, Datum *values, bool *nulls)
{
	PnsBsonIterator members;
	float8		more;

	pns_bson_iterate(&members, document);
	while (pns_bson_next(&members))
	{
		ListCell   *lc;

		if (strcmp(members.key, PNS_JOIN_MORE) == 0 &&
			pns_bson_value_number(&members.value, &more))
			row->missing = (int) more + 1;
		if (members.value.type != PNS_BSON_DOCUMENT)
			continue;
		if (strcmp(members.key, PNS_JOIN_BAD) == 0)
			pns_term_raise_bad(pns_bson_value_document(&members.value), &row->context);

		foreach(lc, row->tables)
		{
			const JoinTable *table = (JoinTable *) lfirst(lc);

			if (strcmp(members.key, table->source->prefix) == 0)
				add_table(table, pns_bson_value_document(&members.value), values, nulls);
		}
	}

	row->missing = Max(row->missing - 1, 0);
	return row->missing > 0;
}

/*
 * create_table finds out what is fetched of a table.
 */
static JoinTable *
create_table(const PnsTermSource *source, List *outputs, List *slots)
{
	const PnsTable *definition = source->table;
	JoinTable  *table = palloc0(sizeof(JoinTable));
	PnsColumn  *columns = palloc(sizeof(PnsColumn) * Max(definition->ncolumns, 1));
	int			ncolumns = 0;
	ListCell   *output;
	ListCell   *slot;

	table->source = source;
	table->values = palloc0(sizeof(Datum) * Max(definition->ncolumns, 1));
	table->nulls = palloc(sizeof(bool) * Max(definition->ncolumns, 1));
	memset(table->nulls, true, sizeof(bool) * definition->ncolumns);
	forboth(output, outputs, slot, slots)
	{
		const Var  *var = lfirst_node(Var, output);

		if (var->varno != source->varno)
			continue;
		table->attnums = lappend_int(table->attnums, var->varattno);
		table->slots = lappend_int(table->slots, lfirst_int(slot));
		if (var->varattno == InvalidAttrNumber)
			table->tupdesc = lookup_rowtype_tupdesc_copy(get_rel_type_id(definition->relid), -1);
	}

	for (int i = 0; i < definition->ncolumns; i++)
	{
		const PnsColumn *column = &definition->columns[i].codec;

		if (column->attnum != 0 &&
			(table->tupdesc != NULL || list_member_int(table->attnums, column->attnum)))
			columns[ncolumns++] = *column;
	}
	table->decoder = pns_mongo_decoder_create(columns, ncolumns);
	return table;
}

/*
 * append_size appends how many bytes the documents of a row have.
 */
static void
append_size(PnsBsonBuilder *builder, const char *key, const PnsJoinRow *row)
{
	pns_bson_open_document(builder, key);
	pns_bson_open_array(builder, "$add");
	for (int i = 0; i < list_length(row->tables); i++)
	{
		const JoinTable *table = (JoinTable *) list_nth(row->tables, i);

		pns_bson_open_document(builder, pns_bson_index(i));
		pns_bson_open_document(builder, "$bsonSize");
		pns_bson_open_array(builder, "$ifNull");
		pns_bson_append_cstring(builder, "0", psprintf("$%s", table->source->prefix));
		pns_bson_append_document(builder, "1", pns_fdw_empty_document());
		pns_bson_close(builder);
		pns_bson_close(builder);
		pns_bson_close(builder);
	}
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * append_parts appends the array of the parts of a row.
 */
static void
append_parts(PnsBsonBuilder *builder, const char *key, const PnsJoinRow *row)
{
	int			ntables = list_length(row->tables);

	pns_bson_open_array(builder, key);
	for (int i = 0; i < ntables; i++)
	{
		const JoinTable *table = (JoinTable *) list_nth(row->tables, i);

		pns_bson_open_document(builder, pns_bson_index(i));
		if (i == 0)
		{
			pns_bson_append_int32(builder, PNS_JOIN_MORE, ntables - 1);
			pns_bson_append_cstring(builder, PNS_JOIN_BAD, "$" PNS_JOIN_BAD);
		}
		pns_bson_append_cstring(builder, table->source->prefix,
								psprintf("$%s", table->source->prefix));
		pns_bson_close(builder);
	}
	pns_bson_close(builder);
}

/*
 * add_table fills the columns of one table.
 */
static void
add_table(const JoinTable *table, PnsDocument document, Datum *values, bool *nulls)
{
	ListCell   *attnum;
	ListCell   *slot;

	pns_mongo_decode(table->decoder, document, table->values, table->nulls);
	forboth(attnum, table->attnums, slot, table->slots)
	{
		int			attribute = lfirst_int(attnum);
		int			i = lfirst_int(slot) - 1;

		if (attribute == TableOidAttributeNumber)
			values[i] = ObjectIdGetDatum(table->source->table->relid);
		else if (attribute == InvalidAttrNumber)
			values[i] = whole_row(table);
		else
			values[i] = table->values[attribute - 1];
		nulls[i] = attribute > 0 && table->nulls[attribute - 1];
	}
}

/*
 * whole_row makes a row of a table as one value.
 */
static Datum
whole_row(const JoinTable *table)
{
	return heap_copy_tuple_as_datum(heap_form_tuple(table->tupdesc, table->values, table->nulls),
									table->tupdesc);
}
