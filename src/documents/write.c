/*-------------------------------------------------------------------------
 *
 * write.c
 *	  Functions that insert, update and delete documents.
 *
 * They write as foreign tables do, in the way of the server's
 * transaction_mode.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type_d.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "documents/private.h"

/* The arguments behind server and collection. */
enum InsertArgument
{
	INSERT_DOCUMENT = 2,
	INSERT_ORDERED
};
enum UpdateArgument
{
	UPDATE_FILTER = 2,
	UPDATE_CHANGE,
	UPDATE_UPSERT,
	UPDATE_ARRAY_FILTERS
};

#define DELETE_FILTER 2

PG_FUNCTION_INFO_V1(pns_documents_insert_one);
PG_FUNCTION_INFO_V1(pns_documents_insert);
PG_FUNCTION_INFO_V1(pns_documents_update_one);
PG_FUNCTION_INFO_V1(pns_documents_update_many);
PG_FUNCTION_INFO_V1(pns_documents_replace);
PG_FUNCTION_INFO_V1(pns_documents_delete_one);
PG_FUNCTION_INFO_V1(pns_documents_delete_many);
PGDLLEXPORT Datum pns_documents_insert_one(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_documents_insert(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_documents_update_one(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_documents_update_many(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_documents_replace(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_documents_delete_one(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_documents_delete_many(PG_FUNCTION_ARGS);

static Datum update(FunctionCallInfo fcinfo, const char *command, bool multi);
static Datum delete(FunctionCallInfo fcinfo, const char *command, bool multi);
static PnsDocument filter_argument(FunctionCallInfo fcinfo, int argument);
static bool flag_argument(FunctionCallInfo fcinfo, int argument, const char *what);
static Datum return_update(FunctionCallInfo fcinfo, const PnsWriteResult *result);

/*
 * pns_documents_insert_one inserts a document and returns its _id.
 *
 * Errors: those of pns_documents_insertion and pns_mongo_write; 25006 in a
 * read-only transaction.
 */
Datum
pns_documents_insert_one(PG_FUNCTION_ARGS)
{
	PnsTarget	target;
	PnsDocument document;
	PnsDocument *operation;
	PnsBsonValue id;

	PreventCommandIfReadOnly("insert_document()");
	pns_documents_find_collection(fcinfo, &target);
	pns_documents_require(fcinfo, INSERT_DOCUMENT, "document");
	document = pns_mongo_parse_document(PG_GETARG_JSONB_P(INSERT_DOCUMENT), "document");
	operation = pns_documents_insertion(document, &id);
	(void) pns_documents_write(&target, PNS_WRITE_INSERT, list_make1(operation), true);
	PG_RETURN_TEXT_P(cstring_to_text(pns_documents_id_text(id)));
}

/*
 * pns_documents_insert inserts an array of documents and returns their _ids.
 * Errors as above, with the document's position among the others; 22004 for a
 * null among them.
 */
Datum
pns_documents_insert(PG_FUNCTION_ARGS)
{
	PnsTarget	target;
	Datum	   *documents;
	Datum	   *ids;
	bool	   *nulls;
	bool		ordered;
	int			ndocuments;
	List	   *operations = NIL;

	PreventCommandIfReadOnly("insert_documents()");
	pns_documents_find_collection(fcinfo, &target);
	pns_documents_require(fcinfo, INSERT_DOCUMENT, "documents");
	ordered = flag_argument(fcinfo, INSERT_ORDERED, "switch \"ordered\"");
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(INSERT_DOCUMENT), JSONBOID, -1, false,
					  TYPALIGN_INT, &documents, &nulls, &ndocuments);
	ids = palloc(ndocuments * sizeof(Datum));
	for (int i = 0; i < ndocuments; i++)
	{
		char		what[32];
		PnsBsonValue id;

		snprintf(what, sizeof(what), "document %d", i + 1);
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("the %s must not be null", what)));
		operations = lappend(operations, pns_documents_insertion
							 (pns_mongo_parse_document(DatumGetJsonbP(documents[i]), what), &id));
		ids[i] = CStringGetTextDatum(pns_documents_id_text(id));
	}
	if (operations != NIL)
		(void) pns_documents_write(&target, PNS_WRITE_INSERT, operations, ordered);
	PG_RETURN_ARRAYTYPE_P(construct_array(ids, ndocuments, TEXTOID, -1, false, TYPALIGN_INT));
}

/* pns_documents_update_one changes the first document that a filter selects. */
Datum
pns_documents_update_one(PG_FUNCTION_ARGS)
{
	return update(fcinfo, "update_document()", false);
}

/* pns_documents_update_many changes all documents that a filter selects. */
Datum
pns_documents_update_many(PG_FUNCTION_ARGS)
{
	return update(fcinfo, "update_documents()", true);
}

/*
 * pns_documents_replace puts a document in the place of the first one that a
 * filter selects; its _id stays.
 */
Datum
pns_documents_replace(PG_FUNCTION_ARGS)
{
	PnsTarget	target;
	PnsDocument filter;
	PnsDocument document;
	PnsDocument *operation;
	PnsWriteResult result;

	PreventCommandIfReadOnly("replace_document()");
	pns_documents_find_collection(fcinfo, &target);
	filter = filter_argument(fcinfo, UPDATE_FILTER);
	pns_documents_require(fcinfo, UPDATE_CHANGE, "document");
	document = pns_mongo_parse_document(PG_GETARG_JSONB_P(UPDATE_CHANGE), "document");
	operation = pns_documents_replacement(filter, document,
										  flag_argument(fcinfo, UPDATE_UPSERT, "switch \"upsert\""));
	result = pns_documents_write(&target, PNS_WRITE_UPDATE, list_make1(operation), true);
	return return_update(fcinfo, &result);
}

/* pns_documents_delete_one deletes the first document that a filter selects. */
Datum
pns_documents_delete_one(PG_FUNCTION_ARGS)
{
	return delete(fcinfo, "delete_document()", false);
}

/* pns_documents_delete_many deletes all documents that a filter selects. */
Datum
pns_documents_delete_many(PG_FUNCTION_ARGS)
{
	return delete(fcinfo, "delete_documents()", true);
}

/*
 * pns_documents_write carries out operations of one kind in the way of the
 * server's transaction_mode.
 */
PnsWriteResult
pns_documents_write(PnsTarget *target, PnsWriteKind kind, List *operations, bool ordered)
{
	PnsWriteBatch batch = {
		.kind = kind,
		.operations = operations,
		.ordered = ordered
	};

	return pns_documents_write_batch(target, &batch);
}

/*
 * pns_documents_write_batch does so with a batch in which the caller has set all
 * but where it goes.
 */
PnsWriteResult
pns_documents_write_batch(PnsTarget *target, PnsWriteBatch *batch)
{
	batch->database = target->database;
	batch->collection = target->collection;
	if (pns_mongo_transaction_mode(target->server->serverid) != PNS_MODE_OUTBOX)
		(void) pns_documents_connect(target);
	return pns_outbox_route(target->connection, target->server->serverid, target->userid,
							batch);
}

/* update does what the functions that update have in common. */
static Datum
update(FunctionCallInfo fcinfo, const char *command, bool multi)
{
	PnsTarget	target;
	PnsDocument filter;
	PnsUpdate	change;
	PnsDocument *operation;
	PnsWriteResult result;

	PreventCommandIfReadOnly(command);
	pns_documents_find_collection(fcinfo, &target);
	filter = filter_argument(fcinfo, UPDATE_FILTER);
	pns_documents_require(fcinfo, UPDATE_CHANGE, "update");
	pns_documents_read_update(PG_GETARG_JSONB_P(UPDATE_CHANGE),
							  PG_ARGISNULL(UPDATE_ARRAY_FILTERS) ? NULL :
							  PG_GETARG_JSONB_P(UPDATE_ARRAY_FILTERS), &change);
	operation = pns_documents_update(filter, change, multi,
									 flag_argument(fcinfo, UPDATE_UPSERT, "switch \"upsert\""));
	result = pns_documents_write(&target, PNS_WRITE_UPDATE, list_make1(operation), true);
	return return_update(fcinfo, &result);
}

/* delete does what the functions that delete have in common. */
static Datum
delete(FunctionCallInfo fcinfo, const char *command, bool multi)
{
	PnsTarget	target;
	PnsDocument *operation;

	PreventCommandIfReadOnly(command);
	pns_documents_find_collection(fcinfo, &target);
	operation = pns_documents_deletion(filter_argument(fcinfo, DELETE_FILTER), multi);
	PG_RETURN_INT64(pns_documents_write(&target, PNS_WRITE_DELETE, list_make1(operation),
										true).written);
}

/*
 * filter_argument gives the filter of a write, which has to be given: an empty
 * one selects every document, and NULL is hardly meant so.
 */
static PnsDocument
filter_argument(FunctionCallInfo fcinfo, int argument)
{
	pns_documents_require(fcinfo, argument, "filter");
	return pns_documents_argument(fcinfo, argument, "filter");
}

/* flag_argument gives a switch, which must not be NULL. */
static bool
flag_argument(FunctionCallInfo fcinfo, int argument, const char *what)
{
	pns_documents_require(fcinfo, argument, what);
	return PG_GETARG_BOOL(argument);
}

/* return_update returns matched, modified and upserted_id as a row. */
static Datum
return_update(FunctionCallInfo fcinfo, const PnsWriteResult *result)
{
	TupleDesc	tupdesc;
	Datum		values[3];
	bool		nulls[3] = {false};

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "function does not return a row");	/* elog: it is declared
														 * so */
	values[0] = Int64GetDatum(result->matched);
	values[1] = Int64GetDatum(result->modified);
	nulls[2] = result->upserted == NIL;
	if (!nulls[2])
		values[2] = CStringGetTextDatum(pns_documents_id_text
										(((PnsUpsert *) linitial(result->upserted))->id));
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls));
}
