/*-------------------------------------------------------------------------
 *
 * catalog.c
 *	  What there is on a server: collections, indexes, sizes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "funcapi.h"
#include "utils/tuplestore.h"

#include "documents/private.h"

/* A column of a listing: the member of the server's description, and its type. */
typedef struct ListColumn
{
	const char *name;
	const char *path;			/* NULL: the description as a whole */
	Oid			type;
} ListColumn;

/* In the order of the functions' results. */
static const ListColumn collection_columns[] = {
	{"name", "name", TEXTOID},
	{"type", "type", TEXTOID},
	{"options", "options", JSONBOID}
};
static const ListColumn index_columns[] = {
	{"name", "name", TEXTOID},
	{"keys", "key", JSONOID},
	{"is_unique", "unique", BOOLOID},	/* not said of that on _id */
	{"definition", NULL, JSONBOID}
};

PG_FUNCTION_INFO_V1(pns_documents_list_collections);
PG_FUNCTION_INFO_V1(pns_documents_list_indexes);
PG_FUNCTION_INFO_V1(pns_documents_database_info);
PGDLLEXPORT Datum pns_documents_list_collections(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_documents_list_indexes(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_documents_database_info(PG_FUNCTION_ARGS);

static void return_list(FunctionCallInfo fcinfo, PnsTarget *target, PnsDocument command,
						const ListColumn *columns, int ncolumns);
static PnsDocument ask(PnsTarget *target, const char *command);
static void copy_member(PnsBsonBuilder *builder, const char *key, PnsDocument reply,
						const char *member);

/* pns_documents_list_collections returns the collections and views of a database. */
Datum
pns_documents_list_collections(PG_FUNCTION_ARGS)
{
	PnsTarget	target;
	PnsBsonBuilder builder;

	pns_documents_find_database(fcinfo, &target);
	pns_bson_begin(&builder);
	pns_bson_append_int32(&builder, "listCollections", 1);
	return_list(fcinfo, &target, pns_bson_end(&builder), collection_columns,
				lengthof(collection_columns));
	PG_RETURN_VOID();
}

/*
 * pns_documents_list_indexes returns the indexes of a collection.  42P01 for
 * one that is not there.
 */
Datum
pns_documents_list_indexes(PG_FUNCTION_ARGS)
{
	PnsTarget	target;
	PnsBsonBuilder builder;

	pns_documents_find_collection(fcinfo, &target);
	pns_bson_begin(&builder);
	pns_bson_append_text(&builder, "listIndexes", target.collection);
	return_list(fcinfo, &target, pns_bson_end(&builder), index_columns,
				lengthof(index_columns));
	PG_RETURN_VOID();
}

/*
 * pns_documents_database_info returns a database's size and the server's
 * version and kind.
 */
Datum
pns_documents_database_info(PG_FUNCTION_ARGS)
{
	PnsTarget	target;
	PnsBsonBuilder builder;
	PnsDocument build;
	PnsDocument hello;
	PnsDocument stats;

	pns_documents_find_database(fcinfo, &target);
	build = ask(&target, "buildInfo");
	hello = ask(&target, "hello");
	stats = ask(&target, "dbStats");

	pns_bson_begin(&builder);
	pns_bson_append_text(&builder, "database", target.database);
	copy_member(&builder, "server_version", build, "version");
	copy_member(&builder, "wire_version", hello, "maxWireVersion");
	copy_member(&builder, "replica_set", hello, "setName");
	copy_member(&builder, "collections", stats, "collections");
	copy_member(&builder, "views", stats, "views");
	copy_member(&builder, "documents", stats, "objects");
	copy_member(&builder, "data_size", stats, "dataSize");
	copy_member(&builder, "storage_size", stats, "storageSize");
	copy_member(&builder, "indexes", stats, "indexes");
	copy_member(&builder, "index_size", stats, "indexSize");
	PG_RETURN_DATUM(pns_documents_to_jsonb(&target, pns_bson_end(&builder)));
}

/* return_list returns the rows of a command that answers with a cursor. */
static void
return_list(FunctionCallInfo fcinfo, PnsTarget *target, PnsDocument command,
			const ListColumn *columns, int ncolumns)
{
	ReturnSetInfo *set = (ReturnSetInfo *) fcinfo->resultinfo;
	PnsColumn  *wanted = palloc0(ncolumns * sizeof(PnsColumn));
	Datum	   *values = palloc0(ncolumns * sizeof(Datum));
	bool	   *nulls = palloc0(ncolumns * sizeof(bool));
	PnsDecoder *decoder;
	PnsCursor  *cursor;
	PnsDocument document;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < ncolumns; i++)
	{
		wanted[i].attnum = i + 1;
		wanted[i].name = columns[i].name;
		wanted[i].collection = pns_documents_label(target);
		wanted[i].type = columns[i].type;
		wanted[i].typmod = -1;
		wanted[i].path = columns[i].path;
		wanted[i].document = columns[i].path == NULL;
	}
	decoder = pns_mongo_decoder_create(wanted, ncolumns);
	cursor = pns_mongo_command_cursor(pns_documents_connect(target), target->database, command);
	pns_mongo_cursor_outside(cursor);
	while (pns_mongo_cursor_next(cursor, &document))
	{
		pns_mongo_decode(decoder, document, values, nulls);
		for (int i = 0; i < ncolumns; i++)
		{
			/* the server says only which switches are on */
			if (columns[i].type == BOOLOID && nulls[i])
			{
				values[i] = BoolGetDatum(false);
				nulls[i] = false;
			}
		}
		tuplestore_putvalues(set->setResult, set->setDesc, values, nulls);
	}
	pns_mongo_cursor_close(cursor);
}

/* ask runs a command without arguments in the target's database. */
static PnsDocument
ask(PnsTarget *target, const char *command)
{
	PnsBsonBuilder builder;

	pns_bson_begin(&builder);
	pns_bson_append_int32(&builder, command, 1);
	return pns_mongo_inspect(pns_documents_connect(target), target->database,
							 pns_bson_end(&builder));
}

/* copy_member appends a member of a reply, null if it has none. */
static void
copy_member(PnsBsonBuilder *builder, const char *key, PnsDocument reply, const char *member)
{
	PnsBsonValue value;

	if (pns_bson_find(reply, member, &value))
		pns_bson_append_value(builder, key, value);
	else
		pns_bson_append_null(builder, key);
}
