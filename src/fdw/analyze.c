/*-------------------------------------------------------------------------
 *
 * analyze.c
 *	  ANALYZE of a foreign table: a sample drawn by the server, and its indexes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "commands/vacuum.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "fdw/private.h"

static int	acquire_sample(Relation relation, int elevel, HeapTuple *rows, int targrows,
						   double *totalrows, double *totaldeadrows);
static PnsDecoder *make_decoder(const PnsTable *table);
static int	read_sample(PnsCursor *cursor, PnsDecoder *decoder, TupleDesc tupdesc,
						HeapTuple *rows, int targrows);

/*
 * pnsAnalyzeForeignTable tells ANALYZE how large a collection is and how to
 * sample it.
 */
bool
pnsAnalyzeForeignTable(Relation relation, AcquireSampleRowsFunc *func,
					   BlockNumber *totalpages)
{
	PnsTable   *table = pns_fdw_get_table(RelationGetRelid(relation));
	PnsCollectionStats stats =
	pns_fdw_collection_stats(table, relation->rd_rel->relowner, true);

	*func = acquire_sample;
	*totalpages = (BlockNumber) Min(stats.bytes / BLCKSZ + 1, (double) MaxBlockNumber);
	return true;
}

/*
 * acquire_sample draws at most targrows documents.  A value that does not fit
 * its column counts as NULL here even where a query would fail: statistics
 * are no reason to.
 */
static int
acquire_sample(Relation relation, int elevel, HeapTuple *rows, int targrows,
			   double *totalrows, double *totaldeadrows)
{
	PnsTable   *table = pns_fdw_get_table(RelationGetRelid(relation));
	Oid			userid = relation->rd_rel->relowner;
	PnsDecoder *decoder;
	PnsCursor  *cursor;
	int			nrows;

	decoder = make_decoder(table);
	cursor = pns_mongo_aggregate(pns_mongo_get_connection(table->serverid, userid),
								 table->database, table->collection,
								 pns_fdw_sample_pipeline(targrows),
								 pns_fdw_sample_options(),
								 table->fetch_size);
	nrows = read_sample(cursor, decoder, RelationGetDescr(relation), rows, targrows);
	pns_mongo_cursor_close(cursor);
	pns_fdw_learn_indexes(table, userid);

	*totalrows = Max(pns_fdw_collection_stats(table, userid, false).documents, nrows);
	*totaldeadrows = 0;

	ereport(elevel,
			(errmsg("\"%s\": collection %s has %.0f documents; %d in sample",
					RelationGetRelationName(relation), pns_fdw_table_label(table),
					*totalrows, nrows)));
	return nrows;
}

/*
 * make_decoder makes a decoder of all columns that never fails.
 */
static PnsDecoder *
make_decoder(const PnsTable *table)
{
	PnsColumn  *columns = palloc(sizeof(PnsColumn) * Max(table->ncolumns, 1));
	int			ncolumns = 0;

	for (int i = 0; i < table->ncolumns; i++)
	{
		/* a dropped column has no number */
		if (table->columns[i].codec.attnum == 0)
			continue;
		columns[ncolumns] = table->columns[i].codec;
		columns[ncolumns++].null_on_mismatch = true;
	}
	return pns_mongo_decoder_create(columns, ncolumns);
}

/*
 * read_sample turns documents into tuples in the current context.
 */
static int
read_sample(PnsCursor *cursor, PnsDecoder *decoder, TupleDesc tupdesc,
			HeapTuple *rows, int targrows)
{
	Datum	   *values = palloc0(sizeof(Datum) * tupdesc->natts);
	bool	   *nulls = palloc(sizeof(bool) * tupdesc->natts);
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext,
													  "pynomaly_store sample row",
													  ALLOCSET_DEFAULT_SIZES);
	PnsDocument document;
	int			nrows = 0;

	while (nrows < targrows && pns_mongo_cursor_next(cursor, &document))
	{
		MemoryContext old = MemoryContextSwitchTo(row_context);

		memset(nulls, true, sizeof(bool) * tupdesc->natts);
		pns_mongo_decode(decoder, document, values, nulls);
		MemoryContextSwitchTo(old);
		rows[nrows++] = heap_form_tuple(tupdesc, values, nulls);
		MemoryContextReset(row_context);
		pns_analyze_delay_point();
	}

	MemoryContextDelete(row_context);
	return nrows;
}

/*
 * pns_fdw_sample_pipeline makes the pipeline that draws a sample.
 */
PnsDocument
pns_fdw_sample_pipeline(int size)
{
	PnsBsonBuilder builder;

	pns_bson_begin(&builder);
	pns_bson_open_document(&builder, "0");
	pns_bson_open_document(&builder, "$sample");
	pns_bson_append_int32(&builder, "size", size);
	pns_bson_close(&builder);
	pns_bson_close(&builder);
	return pns_bson_end(&builder);
}

/*
 * pns_fdw_sample_options lets a server that has to sort for the sample use
 * its disk.
 */
PnsDocument
pns_fdw_sample_options(void)
{
	PnsBsonBuilder builder;

	pns_bson_begin(&builder);
	pns_bson_append_bool(&builder, "allowDiskUse", true);
	return pns_bson_end(&builder);
}
