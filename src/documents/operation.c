/*-------------------------------------------------------------------------
 *
 * operation.c
 *	  Single writes, as MongoDB's write commands have them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "documents/private.h"

static PnsDocument with_new_id(PnsDocument document);
static void begin_update(PnsBsonBuilder *builder, PnsDocument filter);
static PnsDocument *end_operation(PnsBsonBuilder *builder);
static bool is_given(PnsDocument document, PnsBsonValue *id);
static void check_operators(PnsDocument update);
static void check_no_operators(PnsDocument document, const char *what);
static void check_id(PnsDocument document);

/*
 * pns_documents_insertion gives a document as it is inserted, and its _id,
 * which is made where there is none, or null.
 *
 * Errors: 22023 for a field of the document that begins with a dollar, which
 * would be stored under that name, and for an _id of a type that it cannot have.
 */
PnsDocument *
pns_documents_insertion(PnsDocument document, PnsBsonValue *id)
{
	PnsDocument *operation = palloc(sizeof(PnsDocument));

	check_no_operators(document, "document");
	check_id(document);
	*operation = is_given(document, id) ? document : with_new_id(document);
	(void) pns_bson_find(*operation, "_id", id);
	return operation;
}

/*
 * pns_documents_update gives an update by operators ({"$set": ...}) or by a
 * pipeline, which is an array.  filters are those of array elements, empty
 * where there are none.
 *
 * Errors: 22023 for a plain document, 42501 for code.
 */
PnsDocument *
pns_documents_update(PnsDocument filter, PnsUpdate update, bool multi, bool upsert)
{
	PnsBsonBuilder builder;

	pns_documents_check_code(filter, "filter");
	pns_documents_check_code(update.change, "update");
	begin_update(&builder, filter);
	if (update.is_pipeline)
		pns_bson_append_array(&builder, "u", update.change);
	else
	{
		check_operators(update.change);
		pns_bson_append_document(&builder, "u", update.change);
	}
	pns_bson_append_bool(&builder, "multi", multi);
	pns_bson_append_bool(&builder, "upsert", upsert);
	if (update.array_filters.size > 0)
	{
		pns_documents_check_code(update.array_filters, "list of array filters");
		pns_bson_append_array(&builder, "arrayFilters", update.array_filters);
	}
	return end_operation(&builder);
}

/*
 * pns_documents_replacement gives the replacement of a whole document.  22023
 * for operators.
 */
PnsDocument *
pns_documents_replacement(PnsDocument filter, PnsDocument document, bool upsert)
{
	PnsBsonBuilder builder;

	pns_documents_check_code(filter, "filter");
	check_no_operators(document, "replacement");
	check_id(document);
	begin_update(&builder, filter);
	pns_bson_append_document(&builder, "u", document);
	pns_bson_append_bool(&builder, "multi", false);
	pns_bson_append_bool(&builder, "upsert", upsert);
	return end_operation(&builder);
}

/* pns_documents_deletion gives a deletion of one document, or of all that match. */
PnsDocument *
pns_documents_deletion(PnsDocument filter, bool multi)
{
	PnsBsonBuilder builder;

	pns_documents_check_code(filter, "filter");
	pns_bson_begin(&builder);
	pns_bson_append_document(&builder, "q", filter);
	pns_bson_append_int32(&builder, "limit", multi ? 0 : 1);
	return end_operation(&builder);
}

/*
 * pns_documents_read_update tells operators from a pipeline: 22P02 for what is
 * neither an object nor an array.
 */
void
pns_documents_read_update(Jsonb *change, Jsonb *array_filters, PnsUpdate *update)
{
	update->is_pipeline = JB_ROOT_IS_ARRAY(change) && !JB_ROOT_IS_SCALAR(change);
	update->change = update->is_pipeline ? pns_mongo_parse_array(change, "update") :
		pns_mongo_parse_document(change, "update");
	update->array_filters.size = 0;
	if (array_filters != NULL)
		update->array_filters = pns_mongo_parse_array(array_filters, "list of array filters");
}

/* with_new_id gives a document with an ObjectId in front, in place of a null. */
static PnsDocument
with_new_id(PnsDocument document)
{
	uint8		id[PNS_OBJECTID_SIZE];
	PnsBsonBuilder builder;
	PnsBsonIterator iterator;

	pns_mongo_new_objectid(id);
	pns_bson_begin(&builder);
	pns_bson_append_objectid(&builder, "_id", id);
	pns_bson_iterate(&iterator, document);
	while (pns_bson_next(&iterator))
	{
		if (strcmp(iterator.key, "_id") != 0)
			pns_bson_append_value(&builder, iterator.key, iterator.value);
	}
	return pns_bson_end(&builder);
}

/* begin_update begins an element of an update command. */
static void
begin_update(PnsBsonBuilder *builder, PnsDocument filter)
{
	pns_bson_begin(builder);
	pns_bson_append_document(builder, "q", filter);
}

/* end_operation gives what was built. */
static PnsDocument *
end_operation(PnsBsonBuilder *builder)
{
	PnsDocument *operation = palloc(sizeof(PnsDocument));

	*operation = pns_bson_end(builder);
	return operation;
}

/* is_given tells whether a document has an _id other than null. */
static bool
is_given(PnsDocument document, PnsBsonValue *id)
{
	return pns_bson_find(document, "_id", id) && id->type != PNS_BSON_NULL;
}

/* check_operators refuses an update that MongoDB would take for a replacement. */
static void
check_operators(PnsDocument update)
{
	PnsBsonIterator iterator;
	bool		some = false;

	pns_bson_iterate(&iterator, update);
	while (pns_bson_next(&iterator))
	{
		some = true;
		if (*iterator.key != '$')
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the update has the field \"%s\" where operators are expected",
							pg_any_to_server(iterator.key, iterator.key_size, PG_UTF8)),
					 errhint("An update looks like {\"$set\": {\"field\": 1}}. Use pynomaly.replace_document() to put another document in the place of one.")));
	}
	if (!some)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the update is empty")));
}

/* check_no_operators refuses a document with a field that begins with a dollar. */
static void
check_no_operators(PnsDocument document, const char *what)
{
	const char *found = pns_mongo_find_operator(document);

	if (found != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the %s has the field \"%s\", which begins with a dollar", what, found),
				 errhint("Operators are for updates.")));
}

/* check_id refuses what MongoDB does not take for an _id. */
static void
check_id(PnsDocument document)
{
	PnsBsonValue id;

	if (pns_bson_find(document, "_id", &id) &&
		(id.type == PNS_BSON_ARRAY || id.type == PNS_BSON_REGEX ||
		 id.type == PNS_BSON_UNDEFINED))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the _id of a document cannot be of type %s",
						pns_bson_type_name(id.type))));
}
