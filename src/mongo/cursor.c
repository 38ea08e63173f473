/*-------------------------------------------------------------------------
 *
 * cursor.c
 *	  Commands, and cursors over the results of aggregations.
 *
 * A cursor belongs to the memory context that it was made in, and is in its
 * connection's list as well: whichever goes first closes it.
 *
 * The driver's own cursor is not used.  It takes a document that is not well
 * formed for the end of its batch, or aborts the process over it; walking the
 * batches ourselves reports it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mongo/private.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

static PnsCursor *create_cursor(PnsConnection *connection,
								const char *database, PnsDocument command,
								int batch_size);
static void count_batch(PnsCursor *cursor, uint32 bytes, instr_time began);
static void read_batch(PnsCursor *cursor, PnsDocument reply);
static void read_namespace(PnsCursor *cursor, const PnsBsonValue *value);
static bool command_on_route(PnsConnection *connection, PnsRoute route,
							 const char *database, PnsDocument command,
							 const int *codes, PnsDocument *result);
static void throw_no_cursor(void) pg_attribute_noreturn();
static void destroy_cursor(void *object);
static void destroy_reply(void *bytes);
static PnsDocument copy_document(const uint8 *data, uint32 size);

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
	pns_bson_append_text(&builder, "aggregate", collection);
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
 * pns_mongo_cursor_next gives the next document, which stays in the reply
 * until the next call.  A server may answer with an empty batch and keep the
 * cursor open: that is not the end.
 */
bool
pns_mongo_cursor_next(PnsCursor *cursor, PnsDocument *document)
{
	while (!cursor->started || !pns_bson_next(&cursor->batch))
	{
		if (cursor->started && cursor->id == 0)
			return false;
		pns_mongo_cursor_fetch(cursor);
	}
	if (cursor->batch.value.type != PNS_BSON_DOCUMENT)
		throw_no_cursor();
	*document = pns_bson_value_document(&cursor->batch.value);
	if (cursor->use != NULL)
		cursor->use->documents++;
	return true;
}

/*
 * pns_mongo_cursor_count makes a cursor count what it does from now on.
 */
void
pns_mongo_cursor_count(PnsCursor *cursor, PnsRemoteUse *use)
{
	cursor->use = use;
}

/*
 * pns_mongo_cursor_close closes a cursor before its context does, on the
 * server too.
 */
void
pns_mongo_cursor_close(PnsCursor *cursor)
{
	pns_base_handle_release(cursor->handle);
	pns_base_handle_release(cursor->reply);
}

/*
 * pns_mongo_cursor_outside keeps a cursor, which has not been opened yet, out
 * of the transaction.
 */
void
pns_mongo_cursor_outside(PnsCursor *cursor)
{
	Assert(!cursor->started);
	cursor->outside = true;
}

/*
 * pns_mongo_command runs one command and gives the reply in the current
 * context.  A reply that says no is an error here.
 */
PnsDocument
pns_mongo_command(PnsConnection *connection, const char *database,
				  PnsDocument command)
{
	PnsDocument reply;

	pns_mongo_require_client(connection);
	(void) command_on_route(connection, pns_mongo_route(connection), database, command,
							NULL, &reply);
	return reply;
}

/*
 * pns_mongo_inspect does the same outside of the transaction.
 */
PnsDocument
pns_mongo_inspect(PnsConnection *connection, const char *database, PnsDocument command)
{
	PnsDocument reply;

	pns_mongo_require_client(connection);
	(void) command_on_route(connection, PNS_ROUTE_READ, database, command, NULL, &reply);
	return reply;
}

/*
 * pns_mongo_try_inspect does so where a server may refuse the command by one of
 * codes, and gives false then.
 */
bool
pns_mongo_try_inspect(PnsConnection *connection, const char *database,
					  PnsDocument command, const int *codes, PnsDocument *reply)
{
	pns_mongo_require_client(connection);
	return command_on_route(connection, PNS_ROUTE_READ, database, command, codes, reply);
}

/*
 * pns_mongo_command_outside does the same outside of the transaction, on the
 * member that takes writes.
 */
PnsDocument
pns_mongo_command_outside(PnsConnection *connection, const char *database,
						  PnsDocument command)
{
	PnsDocument reply;

	PreventCommandIfReadOnly("a change of a MongoDB collection");
	PreventCommandIfParallelMode("a change of a MongoDB collection");
	pns_mongo_require_client(connection);
	if (connection->transaction.state == PNS_TRANSACTION_OPEN)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("a MongoDB collection cannot be changed in a transaction that has written to the server"),
				 errdetail("The change would wait for the end of the transaction.")));
	pns_mongo_find_writer(connection);
	(void) command_on_route(connection, PNS_ROUTE_WRITE, database, command, NULL, &reply);
	return reply;
}

/*
 * command_on_route runs one command where its route leads.  False where the
 * server refuses it by one of codes; NULL stands for none.
 */
static bool
command_on_route(PnsConnection *connection, PnsRoute route, const char *database,
				 PnsDocument command, const int *codes, PnsDocument *result)
{
	const char *name = pns_text_from_server(database);
	bson_t		reply;
	bson_error_t error = {0};
	bool		good;

	pns_mongo_settle(connection);
	good = pns_mongo_run_command(connection, route, false, name, command, &reply, &error);
	*result = copy_document(bson_get_data(&reply), reply.len);
	bson_destroy(&reply);

	pns_mongo_after_call(connection);
	if (good)
		return true;
	if (error.domain == MONGOC_ERROR_SERVER || error.domain == MONGOC_ERROR_QUERY)
	{
		for (; codes != NULL && *codes != 0; codes++)
		{
			if ((int) error.code == *codes)
				return false;
		}
	}
	pns_mongo_throw(connection, route, &error, *result, name, command);
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
 * open on the server.
 */
void
pns_mongo_collect_cursors(PnsConnection *connection, bson_t *kills)
{
	dlist_iter	iter;

	dlist_foreach(iter, &connection->cursors)
	{
		PnsCursor  *cursor = dlist_container(PnsCursor, node, iter.cur);
		bson_t		command = BSON_INITIALIZER;

		if (cursor->id != 0)
		{
			pns_mongo_make_kill(&command, cursor->collection, cursor->id);
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
	cursor->reply = pns_base_handle_create(CurrentMemoryContext, destroy_reply);
	cursor->handle = pns_base_handle_create(CurrentMemoryContext, destroy_cursor);
	cursor->connection = connection;
	cursor->context = CurrentMemoryContext;
	cursor->database = pstrdup(pns_text_from_server(database));
	cursor->command = command;
	cursor->batch_size = batch_size;
	cursor->handle->object = cursor;
	dlist_push_tail(&connection->cursors, &cursor->node);
	return cursor;
}

/*
 * pns_mongo_cursor_fetch gets the first batch or the next one, which may have
 * been asked for already.
 */
void
pns_mongo_cursor_fetch(PnsCursor *cursor)
{
	PnsConnection *connection = cursor->connection;
	bson_t		reply;
	bson_error_t error = {0};
	PnsDocument batch;
	instr_time	began = cursor->wait_began;
	bool		good;

	if (cursor->handle->object == NULL)
		pns_mongo_throw_closed();
	pns_mongo_require_client(connection);
	if (connection->asker != cursor)
	{
		pns_mongo_open_route(cursor);
		pns_mongo_settle(connection);
	}

	if (INSTR_TIME_IS_ZERO(began))
		INSTR_TIME_SET_CURRENT(began);
	INSTR_TIME_SET_ZERO(cursor->wait_began);
	if (connection->asker == cursor)
		good = pns_mongo_receive(connection, &reply, &error);
	else
		good = pns_mongo_ask_for_batch(cursor, &reply, &error);
	if (!good)
		pns_mongo_throw_batch(cursor, &reply, &error);

	pns_base_handle_release(cursor->reply);
	cursor->reply->object = bson_destroy_with_steal(&reply, true, &batch.size);
	batch.data = cursor->reply->object;
	count_batch(cursor, batch.size, began);
	read_batch(cursor, batch);
	cursor->started = true;
	pns_mongo_after_call(connection);
}

/*
 * pns_mongo_open_route says where a cursor is to be opened.  One that is open stays in
 * its session: the server takes it for another's in the transaction.
 */
void
pns_mongo_open_route(PnsCursor *cursor)
{
	PnsConnection *connection = cursor->connection;

	if (!cursor->started)
		cursor->route = cursor->outside ? PNS_ROUTE_READ : pns_mongo_route(connection);
}

/*
 * pns_mongo_throw_batch raises that a batch could not be had.  The command that
 * is shown is the one that opens the cursor, for it says more.
 */
void
pns_mongo_throw_batch(PnsCursor *cursor, bson_t *reply, const bson_error_t *error)
{
	PnsDocument answer = copy_document(bson_get_data(reply), reply->len);

	bson_destroy(reply);
	pns_mongo_after_call(cursor->connection);
	pns_mongo_throw(cursor->connection, cursor->route, error, answer, cursor->database,
					cursor->command);
}

/*
 * count_batch counts a reply of so many bytes, which was asked for when it
 * began.
 */
static void
count_batch(PnsCursor *cursor, uint32 bytes, instr_time began)
{
	PnsRemoteUse *use = cursor->use;
	instr_time	now;

	if (use == NULL)
		return;
	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_ACCUM_DIFF(use->waited, now, began);
	if (!cursor->started)
		use->queries++;
	use->batches++;
	use->bytes += bytes;
}

/*
 * pns_mongo_ask_for_batch sends the command whose turn it is.  The caller
 * destroys the reply, which is made in any case.
 */
bool
pns_mongo_ask_for_batch(PnsCursor *cursor, bson_t *reply, bson_error_t *error)
{
	PnsConnection *connection = cursor->connection;
	bson_t		command = BSON_INITIALIZER;
	bson_t		opts = BSON_INITIALIZER;
	bool		good;

	if (!cursor->started)
		return pns_mongo_run_command(connection, cursor->route, false, cursor->database,
									 cursor->command, reply, error);

	pns_mongo_begin_call(connection);
	BSON_APPEND_INT64(&command, "getMore", cursor->id);
	BSON_APPEND_UTF8(&command, "collection", cursor->collection);
	if (cursor->batch_size > 0)
		BSON_APPEND_INT32(&command, "batchSize", cursor->batch_size);
	pns_mongo_append_target(connection, cursor->route, &opts);

	/* not as a read of its own: a read concern would be refused here */
	good = mongoc_client_command_with_opts(connection->client, cursor->database, &command,
										   NULL, &opts, reply, error);
	bson_destroy(&command);
	bson_destroy(&opts);
	pns_mongo_end_call(connection);
	return good;
}

/*
 * read_batch finds the documents in a reply.  08P01 where there are none, and
 * XX001 where the reply is not well formed.
 */
static void
read_batch(PnsCursor *cursor, PnsDocument reply)
{
	PnsBsonIterator iterator;
	PnsBsonValue value;
	uint64		id = 0;
	bool		has_id = false;
	bool		has_batch = false;

	cursor->id = 0;
	if (!pns_bson_find(reply, "cursor", &value) || value.type != PNS_BSON_DOCUMENT)
		throw_no_cursor();
	pns_bson_iterate(&iterator, pns_bson_value_document(&value));
	while (pns_bson_next(&iterator))
	{
		value = iterator.value;
		if (strcmp(iterator.key, "id") == 0 && value.type == PNS_BSON_INT64)
		{
			memcpy(&id, value.data, sizeof(id));
			has_id = true;
		}
		else if (strcmp(iterator.key, "ns") == 0)
			read_namespace(cursor, &value);
		else if ((strcmp(iterator.key, "firstBatch") == 0 ||
				  strcmp(iterator.key, "nextBatch") == 0) &&
				 value.type == PNS_BSON_ARRAY)
		{
			pns_bson_iterate(&cursor->batch, pns_bson_value_document(&value));
			has_batch = true;
		}
	}
	if (!has_id || !has_batch || (id != 0 && cursor->collection == NULL))
		throw_no_cursor();
	cursor->id = (int64) BSON_UINT64_FROM_LE(id);
}

/*
 * read_namespace takes the collection from "database.collection", which need
 * not be the one that was asked for.
 */
static void
read_namespace(PnsCursor *cursor, const PnsBsonValue *value)
{
	const char *name;
	uint32		size;

	if (cursor->collection != NULL || value->type != PNS_BSON_STRING)
		return;
	name = strchr(pns_bson_value_string(value, &size), '.');
	if (name != NULL)
		cursor->collection = MemoryContextStrdup(cursor->context, name + 1);
}

/*
 * pns_mongo_run_command lets the driver run a command on the member and in the
 * session of its route: one that reads, with the uri's preferences for that, or
 * one that writes.  The caller destroys the reply, which is made in any case.
 */
bool
pns_mongo_run_command(PnsConnection *connection, PnsRoute route, bool writes,
					  const char *database, PnsDocument command, bson_t *reply,
					  bson_error_t *error)
{
	bson_t		opts = BSON_INITIALIZER;
	bson_t		request;
	bool		good;

	/* elog: our own builder has made it */
	if (!bson_init_static(&request, command.data, command.size))
		elog(ERROR, "malformed MongoDB command");

	pns_mongo_begin_call(connection);
	pns_mongo_append_target(connection, route, &opts);
	if (writes && route != PNS_ROUTE_TRANSACTION)
		pns_mongo_append_write_concern(connection, &opts);
	good = writes ?
		mongoc_client_command_with_opts(connection->client, database, &request,
										NULL, &opts, reply, error) :
		mongoc_client_read_command_with_opts(connection->client, database, &request,
											 NULL, &opts, reply, error);
	bson_destroy(&opts);
	pns_mongo_end_call(connection);
	return good;
}

/* throw_no_cursor reports a reply that has no cursor with documents in it. */
static void
throw_no_cursor(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROTOCOL_VIOLATION),
			 errmsg("the MongoDB server's reply has no cursor over documents")));
}

/*
 * destroy_cursor closes a cursor for its handle.  If it is still open on the
 * server, that is told so, within PNS_CLEANUP_TIMEOUT; a client that is being
 * thrown away has its own way for that.
 */
static void
destroy_cursor(void *object)
{
	PnsCursor  *cursor = object;
	PnsConnection *connection = cursor->connection;

	dlist_delete(&cursor->node);
	if (pns_mongo_allocator_replaced())
		return;
	if (connection->asker == cursor)
		pns_mongo_forsake(cursor);
	else if (cursor->id != 0 && connection->client != NULL &&
			 !connection->transport.interrupted && !connection->transport.failed)
		pns_mongo_kill_later(connection, cursor->route, cursor->database,
							 cursor->collection, cursor->id);
	cursor->started = false;	/* nothing to give from now on */
	cursor->id = 0;
}

/* destroy_reply frees the bytes of a reply, where that can be done. */
static void
destroy_reply(void *bytes)
{
	if (!pns_mongo_allocator_replaced())
		bson_free(bytes);
}

/* pns_mongo_make_kill says how to close a cursor on the server. */
void
pns_mongo_make_kill(bson_t *command, const char *collection, int64 id)
{
	bson_t		ids = BSON_INITIALIZER;

	BSON_APPEND_UTF8(command, "killCursors", collection);
	BSON_APPEND_INT64(&ids, "0", id);
	BSON_APPEND_ARRAY(command, "cursors", &ids);
	bson_destroy(&ids);
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
