/*-------------------------------------------------------------------------
 *
 * request.c
 *	  Commands that are sent now and answered later.
 *
 * The driver has no call that sends a command without waiting for its answer.
 * So there are two of them, and the stream keeps one half of each from the
 * network: the first sends the command, and is given an answer that only says
 * that all is well; what the second sends is dropped, and it receives the
 * answer to the first.  In between, the answer is announced by the socket.
 *
 * All that belongs to a command (its session, read preference, compression) is
 * in this way said by the driver, and all that can be wrong with an answer is
 * found by it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mongo/private.h"

#include "miscadmin.h"
#include "storage/latch.h"

/* The answer that stands in: an OP_MSG of { ok: 1.0 }. */
static const uint8 stand_in[] = {
	38, 0, 0, 0,				/* the message's size */
	0, 0, 0, 0,					/* its number */
	0, 0, 0, 0,					/* that of the request: nobody compares it */
	0xdd, 0x07, 0, 0,			/* OP_MSG */
	0, 0, 0, 0,					/* flags */
	0,							/* one document follows: */
	17, 0, 0, 0,
	0x01, 'o', 'k', 0, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f,
	0
};

static void run_kills(PnsConnection *connection, PnsRoute route);
static void kill_unwanted(PnsConnection *connection, const bson_t *reply);
static bool is_announced(PnsConnection *connection, int64 timeout_ms);

/*
 * pns_mongo_cursor_must_wait tells whether the next document, or the news that
 * there is none, has yet to come from the server.
 */
bool
pns_mongo_cursor_must_wait(const PnsCursor *cursor)
{
	if (!cursor->started)
		return true;
	return cursor->id != 0 && cursor->batch.next >= cursor->batch.end;
}

/*
 * pns_mongo_cursor_request sends for the next batch of a cursor, which has none
 * under way.
 */
void
pns_mongo_cursor_request(PnsCursor *cursor, void *owner)
{
	PnsConnection *connection = cursor->connection;
	PnsTransport *transport = &connection->transport;
	bson_t		reply;
	bson_error_t error = {0};
	bool		good;

	Assert(connection->asker != cursor);
	if (cursor->handle->object == NULL)
		pns_mongo_throw_closed();
	pns_mongo_require_client(connection);
	pns_mongo_open_route(cursor);
	pns_mongo_settle(connection);

	transport->half = PNS_HALF_SEND;
	transport->halved = false;
	transport->given = 0;
	good = pns_mongo_ask_for_batch(cursor, &reply, &error);
	transport->half = PNS_HALF_NONE;
	if (good && !transport->halved)
	{
		/* the driver had to connect anew, which it should not have */
		bson_set_error(&error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_NOT_ESTABLISHED,
					   "the connection was replaced");
		transport->failed = true;
		good = false;
	}
	if (!good)
		pns_mongo_throw_batch(cursor, &reply, &error);

	bson_destroy(&reply);
	connection->asked = true;
	connection->asker = cursor;
	connection->asked_route = cursor->route;
	cursor->owner = owner;
	pns_mongo_after_call(connection);
}

/*
 * pns_mongo_cursor_requester gives the owner of the request that a cursor's
 * connection has under way, whichever cursor it is for.
 */
void *
pns_mongo_cursor_requester(const PnsCursor *cursor)
{
	const PnsCursor *asker = cursor->connection->asker;

	return asker != NULL ? asker->owner : NULL;
}

/*
 * pns_mongo_cursor_socket gives the socket on which an answer shows, to somebody
 * who is about to wait for it.
 */
int
pns_mongo_cursor_socket(PnsCursor *cursor)
{
	if (INSTR_TIME_IS_ZERO(cursor->wait_began))
		INSTR_TIME_SET_CURRENT(cursor->wait_began);
	return cursor->connection->transport.last_fd;
}

/*
 * pns_mongo_receive receives the answer to the command that is under way; what
 * had to wait for that is done next.  The caller destroys the reply, which is
 * made in any case.
 */
bool
pns_mongo_receive(PnsConnection *connection, bson_t *reply, bson_error_t *error)
{
	PnsTransport *transport = &connection->transport;
	bson_t		command = BSON_INITIALIZER;
	bson_t		opts = BSON_INITIALIZER;
	bool		good;

	pns_mongo_begin_call(connection);
	transport->half = PNS_HALF_RECEIVE;
	transport->halved = false;

	/* any command will do: it is not sent */
	BSON_APPEND_INT32(&command, "ping", 1);
	pns_mongo_append_target(connection, connection->asked_route, &opts);
	good = mongoc_client_command_with_opts(connection->client, "admin", &command,
										   NULL, &opts, reply, error);
	bson_destroy(&command);
	bson_destroy(&opts);

	transport->half = PNS_HALF_NONE;
	connection->asked = false;
	connection->asker = NULL;
	pns_mongo_end_call(connection);
	for (int route = 0; route < lengthof(connection->kills); route++)
		run_kills(connection, route);
	return good;
}

/*
 * pns_mongo_settle stands before every use of a connection that sends: it
 * receives the answer to the command that is under way, for whoever asked for
 * it.  That may be one whose turn to wait it is not; the server answers one
 * command of a connection after the other.
 */
void
pns_mongo_settle(PnsConnection *connection)
{
	bson_t		reply;
	bson_error_t error = {0};

	if (connection->asker != NULL)
		pns_mongo_cursor_fetch(connection->asker);
	else if (connection->asked)
	{
		/* nobody wants to hear of an error, unless it is of the network */
		if (pns_mongo_receive(connection, &reply, &error))
			kill_unwanted(connection, &reply);
		bson_destroy(&reply);
		pns_mongo_after_call(connection);
		if (connection->transport.failed)
			pns_mongo_discard(connection);
		pns_mongo_require_client(connection);
	}
}

/*
 * pns_mongo_forsake leaves a cursor's request to itself, as the cursor goes.
 * Does not throw.
 */
void
pns_mongo_forsake(PnsCursor *cursor)
{
	PnsConnection *connection = cursor->connection;

	connection->asker = NULL;
	if (cursor->id != 0)
		pns_mongo_kill_later(connection, cursor->route, cursor->database,
							 cursor->collection, cursor->id);
}

/*
 * pns_mongo_give_up gets rid of a request that nobody waits for any more: its
 * answer is received if it comes within PNS_GRACE_TIMEOUT.  False where the
 * client should be thrown away instead.  Does not throw.
 */
bool
pns_mongo_give_up(PnsConnection *connection)
{
	bson_t		reply;
	bson_error_t error = {0};
	bool		good;

	if (!connection->asked)
		return true;
	if (pns_mongo_allocator_replaced() || !is_announced(connection, PNS_GRACE_TIMEOUT))
		return false;

	pns_mongo_begin_bounded(connection, PNS_CLEANUP_TIMEOUT);
	good = pns_mongo_receive(connection, &reply, &error);
	if (good)
		kill_unwanted(connection, &reply);
	bson_destroy(&reply);
	pns_mongo_end_bounded(connection);
	return good || error.domain == MONGOC_ERROR_SERVER;
}

/*
 * pns_mongo_kill_later closes a cursor on the server: at once, or where a
 * command is under way, after its answer has come or with the client.  Within
 * PNS_CLEANUP_TIMEOUT; does not throw.
 */
void
pns_mongo_kill_later(PnsConnection *connection, PnsRoute route, const char *database,
					 const char *collection, int64 id)
{
	bson_t	  **kills = &connection->kills[Min(route, PNS_ROUTE_WRITE)];
	bson_t		command = BSON_INITIALIZER;

	pns_mongo_make_kill(&command, collection, id);
	if (*kills == NULL)
		*kills = bson_new();
	BSON_APPEND_DOCUMENT(*kills, database, &command);
	bson_destroy(&command);
	if (!connection->asked)
		run_kills(connection, Min(route, PNS_ROUTE_WRITE));
}

/*
 * pns_mongo_half_writev is what a stream does instead of sending a message
 * while half of a command is wanted: it sends it, or it pretends to.
 */
ssize_t
pns_mongo_half_writev(PnsTransport *transport, mongoc_stream_t *inner,
					  mongoc_iovec_t *iov, size_t iovcnt, int32_t timeout_msec)
{
	ssize_t		total = 0;

	/* a call is one command, or the answers would be mixed up */
	if (transport->halved)
	{
		transport->failed = true;
		errno = EPROTO;
		return -1;
	}
	transport->halved = true;
	if (transport->half == PNS_HALF_SEND)
		return mongoc_stream_writev(inner, iov, iovcnt, timeout_msec);
	for (size_t i = 0; i < iovcnt; i++)
		total += iov[i].iov_len;
	return total;
}

/*
 * pns_mongo_half_readv is what a stream does instead of receiving after it has
 * sent such a half: it gives the next bytes of the answer that stands in.
 */
ssize_t
pns_mongo_half_readv(PnsTransport *transport, mongoc_iovec_t *iov)
{
	size_t		size = Min(iov->iov_len, sizeof(stand_in) - transport->given);

	memcpy(iov->iov_base, stand_in + transport->given, size);
	transport->given += size;
	return size;
}

/*
 * run_kills does on the member of a route what had to wait until the connection
 * was free.  Outside of the transaction, which has an end of its own.
 */
static void
run_kills(PnsConnection *connection, PnsRoute route)
{
	bson_t	   *kills = connection->kills[route];
	bson_iter_t iter;
	bool		was_deaf = connection->transport.deaf;
	int64		deadline = connection->transport.deadline;

	if (kills == NULL || connection->transport.interrupted || connection->transport.failed)
		return;
	pns_mongo_begin_bounded(connection, PNS_CLEANUP_TIMEOUT);
	bson_iter_init(&iter, kills);
	while (bson_iter_next(&iter) && !connection->transport.failed)
	{
		const uint8_t *data;
		uint32_t	size;
		bson_t		command;
		bson_t		opts = BSON_INITIALIZER;
		bson_error_t error;

		bson_iter_document(&iter, &size, &data);
		pns_mongo_append_target(connection, route, &opts);
		if (bson_init_static(&command, data, size))
			mongoc_client_command_with_opts(connection->client, bson_iter_key(&iter), &command,
											NULL, &opts, NULL, &error);
		bson_destroy(&opts);
	}
	pns_mongo_end_bounded(connection);
	connection->transport.deaf = was_deaf;
	connection->transport.deadline = deadline;
	connection->kills[route] = NULL;
	bson_destroy(kills);
}

/*
 * kill_unwanted closes the cursor that a reply has opened, or left open, and
 * that nobody reads.
 */
static void
kill_unwanted(PnsConnection *connection, const bson_t *reply)
{
	bson_iter_t iter;
	bson_iter_t id;
	bson_iter_t name;
	const char *dot;
	char	   *database;

	if (!bson_iter_init(&iter, reply) ||
		!bson_iter_find_descendant(&iter, "cursor.id", &id) ||
		bson_iter_as_int64(&id) == 0 ||
		!bson_iter_init(&iter, reply) ||
		!bson_iter_find_descendant(&iter, "cursor.ns", &name) ||
		!BSON_ITER_HOLDS_UTF8(&name) ||
		(dot = strchr(bson_iter_utf8(&name, NULL), '.')) == NULL)
		return;
	database = bson_strndup(bson_iter_utf8(&name, NULL), dot - bson_iter_utf8(&name, NULL));
	pns_mongo_kill_later(connection, connection->asked_route, database, dot + 1, bson_iter_as_int64(&id));
	bson_free(database);
}

/* is_announced waits until the answer that is under way begins to come. */
static bool
is_announced(PnsConnection *connection, int64 timeout_ms)
{
	PnsWaitSocket socket = {connection->transport.last_fd, WL_SOCKET_READABLE, 0};

	return pns_base_wait_deaf(&socket, 1, timeout_ms) == PNS_WAIT_READY;
}
