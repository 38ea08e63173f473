/*-------------------------------------------------------------------------
 *
 * read.c
 *	  Functions that read documents.
 *
 * A set comes row by row from the server's cursor, which lives as long as the
 * call does: a query that stops early, or fails, closes it.  In FROM, core
 * collects a function's rows before it gives the first one (in memory up to
 * work_mem, then on disk); in a target list it takes them as they come.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/memutils.h"

#include "documents/private.h"

/* A set that is being returned. */
typedef struct DocumentReader
{
	PnsCursor  *cursor;			/* NULL: there is nothing to read */
	PnsDecoder *decoder;
} DocumentReader;

/* The arguments of find_documents and of find_document. */
enum FindArgument
{
	FIND_FILTER = 2,
	FIND_SORT,
	FIND_SKIP,
	FIND_LIMIT,
	FIND_PROJECTION
};
enum FindOneArgument
{
	FIND_ONE_FILTER = 2,
	FIND_ONE_SORT,
	FIND_ONE_PROJECTION
};

#define AGGREGATE_PIPELINE 2
#define COUNT_FILTER 2

PG_FUNCTION_INFO_V1(pns_documents_find);
PG_FUNCTION_INFO_V1(pns_documents_find_one);
PG_FUNCTION_INFO_V1(pns_documents_aggregate);
PG_FUNCTION_INFO_V1(pns_documents_count);
PGDLLEXPORT Datum pns_documents_find(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_documents_find_one(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_documents_aggregate(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_documents_count(PG_FUNCTION_ARGS);

static DocumentReader *open_find(FunctionCallInfo fcinfo);
static DocumentReader *open_aggregate(FunctionCallInfo fcinfo);
static Datum return_next(FunctionCallInfo fcinfo);
static int64 row_number(FunctionCallInfo fcinfo, int argument, const char *what,
						int sqlstate);
static void begin_find(PnsBsonBuilder *builder, FunctionCallInfo fcinfo,
					   const PnsTarget *target, int filter);
static void append_some(PnsBsonBuilder *builder, const char *key, PnsDocument value);

/*
 * pns_documents_find returns the documents that a filter selects.
 *
 * Errors: 2201W and 2201X for a negative limit and skip, 22P02 for a filter,
 * sort or projection that is no object, 42501 for code in them, and those of
 * the server.
 */
Datum
pns_documents_find(PG_FUNCTION_ARGS)
{
	if (SRF_IS_FIRSTCALL())
	{
		FuncCallContext *context = SRF_FIRSTCALL_INIT();
		MemoryContext caller = MemoryContextSwitchTo(context->multi_call_memory_ctx);

		context->user_fctx = open_find(fcinfo);
		MemoryContextSwitchTo(caller);
	}
	return return_next(fcinfo);
}

/*
 * pns_documents_aggregate returns what a pipeline makes of a collection.
 * Errors as above; 0A000 for a pipeline that writes.
 */
Datum
pns_documents_aggregate(PG_FUNCTION_ARGS)
{
	if (SRF_IS_FIRSTCALL())
	{
		FuncCallContext *context = SRF_FIRSTCALL_INIT();
		MemoryContext caller = MemoryContextSwitchTo(context->multi_call_memory_ctx);

		context->user_fctx = open_aggregate(fcinfo);
		MemoryContextSwitchTo(caller);
	}
	return return_next(fcinfo);
}

/*
 * pns_documents_find_one returns the first document that a filter selects,
 * NULL if there is none.  Errors as pns_documents_find.
 */
Datum
pns_documents_find_one(PG_FUNCTION_ARGS)
{
	PnsTarget	target;
	PnsBsonBuilder builder;
	PnsDocument sort;
	PnsDocument projection;
	PnsDocument document;
	PnsCursor  *cursor;
	Datum		result;

	pns_documents_find_collection(fcinfo, &target);
	begin_find(&builder, fcinfo, &target, FIND_ONE_FILTER);
	sort = pns_documents_ordered_argument(fcinfo, FIND_ONE_SORT, "sort");
	projection = pns_documents_argument(fcinfo, FIND_ONE_PROJECTION, "projection");
	pns_documents_check_code(projection, "projection");
	append_some(&builder, "sort", sort);
	append_some(&builder, "projection", projection);
	pns_bson_append_int32(&builder, "limit", 1);
	pns_bson_append_bool(&builder, "singleBatch", true);

	cursor = pns_mongo_command_cursor(pns_documents_connect(&target), target.database,
									  pns_bson_end(&builder));
	if (!pns_mongo_cursor_next(cursor, &document))
	{
		pns_mongo_cursor_close(cursor);
		PG_RETURN_NULL();
	}
	result = pns_documents_to_jsonb(&target, document);
	pns_mongo_cursor_close(cursor);
	PG_RETURN_DATUM(result);
}

/*
 * pns_documents_count counts the documents that a filter selects, by looking
 * at them: the server's own counts may be old.
 */
Datum
pns_documents_count(PG_FUNCTION_ARGS)
{
	PnsTarget	target;
	PnsBsonBuilder builder;
	PnsDocument filter;
	PnsDocument none = {NULL, 0};
	PnsDocument document;
	PnsCursor  *cursor;
	PnsBsonValue value;
	float8		number;
	int64		count = 0;

	pns_documents_find_collection(fcinfo, &target);
	filter = pns_documents_argument(fcinfo, COUNT_FILTER, "filter");
	pns_documents_check_code(filter, "filter");

	pns_bson_begin(&builder);
	pns_bson_open_document(&builder, "0");
	pns_bson_append_document(&builder, "$match", filter);
	pns_bson_close(&builder);
	pns_bson_open_document(&builder, "1");
	pns_bson_open_document(&builder, "$group");
	pns_bson_append_null(&builder, "_id");
	pns_bson_open_document(&builder, "n");
	pns_bson_append_int32(&builder, "$sum", 1);
	pns_bson_close(&builder);
	pns_bson_close(&builder);
	pns_bson_close(&builder);

	cursor = pns_mongo_aggregate(pns_documents_connect(&target), target.database,
								 target.collection, pns_bson_end(&builder), none, 0);
	if (pns_mongo_cursor_next(cursor, &document) &&
		pns_bson_find(document, "n", &value) && pns_bson_value_number(&value, &number))
		count = (int64) number;
	pns_mongo_cursor_close(cursor);
	PG_RETURN_INT64(count);
}

/* open_find makes the cursor of find_documents.  LIMIT 0 needs none. */
static DocumentReader *
open_find(FunctionCallInfo fcinfo)
{
	DocumentReader *reader = palloc0(sizeof(DocumentReader));
	PnsTarget	target;
	PnsBsonBuilder builder;
	PnsDocument sort;
	PnsDocument projection;
	int64		skip;
	int64		limit;

	pns_documents_find_collection(fcinfo, &target);
	skip = row_number(fcinfo, FIND_SKIP, "skip", ERRCODE_INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE);
	limit = row_number(fcinfo, FIND_LIMIT, "limit", ERRCODE_INVALID_ROW_COUNT_IN_LIMIT_CLAUSE);
	begin_find(&builder, fcinfo, &target, FIND_FILTER);
	sort = pns_documents_ordered_argument(fcinfo, FIND_SORT, "sort");
	projection = pns_documents_argument(fcinfo, FIND_PROJECTION, "projection");
	pns_documents_check_code(projection, "projection");
	append_some(&builder, "sort", sort);
	append_some(&builder, "projection", projection);
	if (skip > 0)
		pns_bson_append_int64(&builder, "skip", skip);
	if (limit > 0)
		pns_bson_append_int64(&builder, "limit", limit);

	/* to the server, 0 is no limit at all */
	if (limit != 0)
		reader->cursor = pns_mongo_command_cursor(pns_documents_connect(&target),
												  target.database, pns_bson_end(&builder));
	reader->decoder = pns_documents_whole_decoder(&target);
	return reader;
}

/* open_aggregate makes the cursor of aggregate_documents. */
static DocumentReader *
open_aggregate(FunctionCallInfo fcinfo)
{
	DocumentReader *reader = palloc0(sizeof(DocumentReader));
	PnsDocument none = {NULL, 0};
	PnsTarget	target;
	PnsDocument pipeline;

	pns_documents_find_collection(fcinfo, &target);
	pns_documents_require(fcinfo, AGGREGATE_PIPELINE, "pipeline");
	pipeline = pns_mongo_parse_array_text(PG_GETARG_TEXT_PP(AGGREGATE_PIPELINE), "pipeline");
	pns_documents_check_code(pipeline, "pipeline");
	pns_documents_check_reads(pipeline);
	reader->cursor = pns_mongo_aggregate(pns_documents_connect(&target), target.database,
										 target.collection, pipeline, none, 0);
	reader->decoder = pns_documents_whole_decoder(&target);
	return reader;
}

/*
 * return_next returns the next document of a set.  It is made in the memory
 * of the row, so that of the set does not grow.
 */
static Datum
return_next(FunctionCallInfo fcinfo)
{
	FuncCallContext *context = SRF_PERCALL_SETUP();
	DocumentReader *reader = context->user_fctx;
	PnsDocument document;

	if (reader->cursor != NULL && pns_mongo_cursor_next(reader->cursor, &document))
		SRF_RETURN_NEXT(context, pns_documents_whole(reader->decoder, document));
	SRF_RETURN_DONE(context);
}

/* row_number gives a number of rows, -1 for NULL. */
static int64
row_number(FunctionCallInfo fcinfo, int argument, const char *what, int sqlstate)
{
	int64		number;

	if (PG_ARGISNULL(argument))
		return -1;
	number = PG_GETARG_INT64(argument);
	if (number < 0)
		ereport(ERROR,
				(errcode(sqlstate),
				 errmsg("the %s must not be negative", what)));
	return number;
}

/* begin_find begins a find command with its filter. */
static void
begin_find(PnsBsonBuilder *builder, FunctionCallInfo fcinfo, const PnsTarget *target,
		   int filter)
{
	PnsDocument wanted = pns_documents_argument(fcinfo, filter, "filter");

	pns_documents_check_code(wanted, "filter");
	pns_bson_begin(builder);
	pns_bson_append_text(builder, "find", target->collection);
	pns_bson_append_document(builder, "filter", wanted);
}

/* append_some appends a document unless it is empty. */
static void
append_some(PnsBsonBuilder *builder, const char *key, PnsDocument value)
{
	PnsBsonIterator iterator;

	pns_bson_iterate(&iterator, value);
	if (pns_bson_next(&iterator))
		pns_bson_append_document(builder, key, value);
}
