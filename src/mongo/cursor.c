/*-------------------------------------------------------------------------
 *
 * cursor.c
 *	  Commands, and cursors over the results of aggregations.
 *
 * A cursor belongs to the memory context that it was made in, and is in its
 * connection's list as well: whichever goes first closes it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mongo/private.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

struct PnsCursor
{
	PnsHandle  *handle;			/* its object is this; NULL once closed */
	PnsConnection *connection;
	dlist_node	node;			/* in connection->cursors */
	mongoc_cursor_t *driver;	/* NULL until the command has been sent */

	const char *database;		/* in UTF-8 */
	PnsDocument command;		/* that the server answers with a cursor */
	int			batch_size;
	bool		exhausted;		/* all documents have been given */
};

static PnsCursor *create_cursor(PnsConnection *connection,
								const char *database, PnsDocument command,
								int batch_size);
static void start_cursor(PnsCursor *cursor);
static bool run_command(PnsConnection *connection, const char *database,
						PnsDocument command, bson_t *reply,
						bson_error_t *error);
static void throw_cursor_error(PnsCursor *cursor, const bson_error_t *error,
							   const bson_t *reply) pg_attribute_noreturn();
static void destroy_cursor(void *object);
static PnsDocument copy_document(const uint8 *data, uint32 size);
static char *utf8(const char *text);

/*
 * pns_mongo_aggregate makes a cursor over the result of a pipeline.  Nothing
 * is sent before the first document is asked for.
 */
PnsCursor *
pns_mongo_aggregate(PnsConnection *connection, const char *database,
					const char *collection, PnsDocument pipeline,
					PnsDocument options, int batch_size)
{
	PnsBsonBuilder builder;
	PnsBsonIterator iterator;

	pns_bson_begin(&builder);
	pns_bson_append_cstring(&builder, "aggregate", collection);
	pns_bson_append_array(&builder, "pipeline", pipeline);
	pns_bson_open_document(&builder, "cursor");
	if (batch_size > 0)
		pns_bson_append_int32(&builder, "batchSize", batch_size);
	pns_bson_close(&builder);
	if (options.size > 0)
	{
		pns_bson_iterate(&iterator, options);
		while (pns_bson_next(&iterator))
			pns_bson_append_value(&builder, iterator.key, iterator.value);
	}
	return create_cursor(connection, database, pns_bson_end(&builder), batch_size);
}

/*
 * pns_mongo_command_cursor makes a cursor over the result of a command that
 * answers with one.  Nothing is sent before the first document is asked for.
 */
PnsCursor *
pns_mongo_command_cursor(PnsConnection *connection, const char *database,
						 PnsDocument command)
{
	return create_cursor(connection, database,
						 copy_document(command.data, command.size), 0);
}

/*
 * pns_mongo_cursor_next gives the next document, which stays in the driver's
 * buffer until the next call.  A server may answer with an empty batch and
 * keep the cursor open: that is not the end.
 */
bool
pns_mongo_cursor_next(PnsCursor *cursor, PnsDocument *document)
{
	const bson_t *found = NULL;
	const bson_t *reply = NULL;
	bson_error_t error;
	bool		more;

	if (cursor->exhausted)
		return false;
	if (cursor->driver == NULL)
		start_cursor(cursor);

	do
	{
		HOLD_INTERRUPTS();
		more = mongoc_cursor_next(cursor->driver, &found) ||
			mongoc_cursor_more(cursor->driver);
		RESUME_INTERRUPTS();
		if (cursor->connection->transport.interrupted || InterruptPending)
			pns_mongo_after_call(cursor->connection);
	} while (found == NULL && more);

	if (found != NULL)
	{
		document->data = bson_get_data(found);
		document->size = found->len;
		return true;
	}
	cursor->connection->last_used = bson_get_monotonic_time();
	if (mongoc_cursor_error_document(cursor->driver, &error, &reply))
		throw_cursor_error(cursor, &error, reply);
	cursor->exhausted = true;
	return false;
}

/*
 * pns_mongo_cursor_close closes a cursor before its context does, on the
 * server too.
 */
void
pns_mongo_cursor_close(PnsCursor *cursor)
{
	cursor->exhausted = true;
	pns_base_handle_release(cursor->handle);
}

/*
 * pns_mongo_command runs one command and gives the reply in the current
 * context.  A reply that says no is an error here.
 */
PnsDocument
pns_mongo_command(PnsConnection *connection, const char *database,
				  PnsDocument command)
{
	const char *name = utf8(database);
	bson_t		reply;
	bson_error_t error = {0};
	PnsDocument result;
	bool		good;

	pns_mongo_require_client(connection);
	good = run_command(connection, name, command, &reply, &error);
	result = copy_document(bson_get_data(&reply), reply.len);
	bson_destroy(&reply);

	pns_mongo_after_call(connection);
	if (!good)
		pns_mongo_throw(connection, &error, result, name, command);
	return result;
}

/*
 * pns_mongo_release_cursors closes all cursors of a connection.
 */
void
pns_mongo_release_cursors(PnsConnection *connection)
{
	while (!dlist_is_empty(&connection->cursors))
	{
		PnsCursor  *cursor = dlist_head_element(PnsCursor, node, &connection->cursors);

		pns_base_handle_release(cursor->handle);
	}
}

/*
 * pns_mongo_collect_cursors appends to kills a command for each cursor that is
 * open on a collection.
 */
void
pns_mongo_collect_cursors(PnsConnection *connection, bson_t *kills)
{
	dlist_iter	iter;

	dlist_foreach(iter, &connection->cursors)
	{
		PnsCursor  *cursor = dlist_container(PnsCursor, node, iter.cur);
		int64		id = cursor->driver != NULL ? mongoc_cursor_get_id(cursor->driver) : 0;
		bson_t		command = BSON_INITIALIZER;
		bson_t		asked;
		bson_t		ids;
		bson_iter_t iter_asked;

		if (id != 0 &&
			bson_init_static(&asked, cursor->command.data, cursor->command.size) &&
			bson_iter_init(&iter_asked, &asked) && bson_iter_next(&iter_asked) &&
			BSON_ITER_HOLDS_UTF8(&iter_asked))
		{
			BSON_APPEND_UTF8(&command, "killCursors", bson_iter_utf8(&iter_asked, NULL));
			BSON_APPEND_ARRAY_BEGIN(&command, "cursors", &ids);
			BSON_APPEND_INT64(&ids, "0", id);
			bson_append_array_end(&command, &ids);
			BSON_APPEND_DOCUMENT(kills, cursor->database, &command);
		}
		bson_destroy(&command);
	}
}

/*
 * create_cursor makes a cursor in the current context, which must also hold
 * command.
 */
static PnsCursor *
create_cursor(PnsConnection *connection, const char *database,
			  PnsDocument command, int batch_size)
{
	PnsCursor  *cursor = palloc0(sizeof(PnsCursor));

	pns_mongo_require_client(connection);
	cursor->handle = pns_base_handle_create(CurrentMemoryContext, destroy_cursor);
	cursor->connection = connection;
	cursor->database = utf8(database);
	cursor->command = command;
	cursor->batch_size = batch_size;
	cursor->handle->object = cursor;
	dlist_push_tail(&connection->cursors, &cursor->node);
	return cursor;
}

/*
 * start_cursor sends the command.  The driver's cursor takes over the reply,
 * first batch and all.
 */
static void
start_cursor(PnsCursor *cursor)
{
	PnsConnection *connection = cursor->connection;
	bson_t		opts = BSON_INITIALIZER;
	bson_t		reply;
	bson_error_t error = {0};

	if (cursor->handle->object == NULL)
		pns_mongo_throw_closed();
	pns_mongo_require_client(connection);

	if (!run_command(connection, cursor->database, cursor->command, &reply, &error))
	{
		PnsDocument answer = copy_document(bson_get_data(&reply), reply.len);

		bson_destroy(&reply);
		pns_mongo_after_call(connection);
		pns_mongo_throw(connection, &error, answer, cursor->database, cursor->command);
	}

	HOLD_INTERRUPTS();
	pns_mongo_append_target(connection, &opts);
	if (cursor->batch_size > 0)
		BSON_APPEND_INT32(&opts, "batchSize", cursor->batch_size);
	cursor->driver = mongoc_cursor_new_from_command_reply_with_opts(connection->client,
																	&reply, &opts);
	bson_destroy(&opts);
	RESUME_INTERRUPTS();
	pns_mongo_after_call(connection);
}

/*
 * run_command runs a command on the member and in the session of the
 * connection.  The caller destroys the reply, which is made in any case.
 */
static bool
run_command(PnsConnection *connection, const char *database,
			PnsDocument command, bson_t *reply, bson_error_t *error)
{
	bson_t		opts = BSON_INITIALIZER;
	bson_t		request;
	bool		good;

	if (!bson_init_static(&request, command.data, command.size))
		elog(ERROR, "malformed MongoDB command");

	HOLD_INTERRUPTS();
	pns_mongo_append_target(connection, &opts);
	good = mongoc_client_read_command_with_opts(connection->client, database, &request,
												NULL, &opts, reply, error);
	bson_destroy(&opts);
	RESUME_INTERRUPTS();
	return good;
}

/*
 * throw_cursor_error raises what made the driver's cursor fail.  The driver
 * reports a reply to getMore only as text, so the command that is shown is the
 * one that opened the cursor.
 */
static void
throw_cursor_error(PnsCursor *cursor, const bson_error_t *error,
				   const bson_t *reply)
{
	bson_error_t saved = *error;
	PnsDocument answer = {NULL, 0};

	if (reply != NULL)
		answer = copy_document(bson_get_data(reply), reply->len);
	pns_mongo_throw(cursor->connection, &saved, answer, cursor->database,
					cursor->command);
}

/*
 * destroy_cursor closes a cursor for its handle.  If it is still open on the
 * server, that is told so, within PNS_CLEANUP_TIMEOUT.
 */
static void
destroy_cursor(void *object)
{
	PnsCursor  *cursor = object;

	dlist_delete(&cursor->node);
	if (cursor->driver != NULL)
	{
		pns_mongo_begin_bounded(cursor->connection);
		mongoc_cursor_destroy(cursor->driver);
		pns_mongo_end_bounded(cursor->connection);
		cursor->driver = NULL;
	}
}

/* copy_document copies a document into the current context. */
static PnsDocument
copy_document(const uint8 *data, uint32 size)
{
	PnsDocument copy;

	copy.data = memcpy(palloc(size), data, size);
	copy.size = size;
	return copy;
}

/* utf8 gives text as the server wants it, copied into the current context. */
static char *
utf8(const char *text)
{
	char	   *converted = pg_server_to_any(text, strlen(text), PG_UTF8);

	return converted == text ? pstrdup(text) : converted;
}
