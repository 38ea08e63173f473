/*-------------------------------------------------------------------------
 *
 * connection.c
 *	  One client per user mapping, kept for the life of the backend.
 *
 * A client is made when it is first needed and tested at once.  It is thrown
 * away when its server or its user mapping is altered and no transaction uses
 * it, when it rested and turns out to be dead, and after every cancel and every
 * failure of the network: the driver would make the next statement wait for a
 * cool-down, and opening another costs milliseconds.
 *
 * All reads of a client go to one member of the deployment, in one session, and
 * all that belongs to a transaction goes to the member that takes writes, in
 * another one.  So a statement sees one server, the driver has no reason to look
 * for another one in between (which sleeps where no cancel is heard), and
 * killing the sessions kills all that the client has started.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mongo/private.h"

#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

static HTAB *connections = NULL;

static void create_cache(void);
static UserMapping *find_mapping(const ForeignServer *server, Oid userid);
static bool is_replaceable(const PnsConnection *connection);
static bool is_alive(PnsConnection *connection);
static void open_client(PnsConnection *connection, const ForeignServer *server,
						const UserMapping *mapping);
static bool test_client(PnsConnection *connection, bson_error_t *error);
static int	max_wire_version(const mongoc_server_description_t *server);
static bool ping(PnsConnection *connection, bson_error_t *error);
static char *describe_hosts(const mongoc_uri_t *uri);
static void forget(PnsConnection *connection);
static void collect_kills(PnsConnection *connection, bson_t *kills);
static void at_invalidation(Datum arg, int cacheid, uint32 hashvalue);

/*
 * pns_mongo_get_connection gives the session's connection to a server for a
 * user, opening or replacing its client where there is none that works.  A
 * client that died while nobody used it is replaced without a word.
 */
PnsConnection *
pns_mongo_get_connection(Oid serverid, Oid userid)
{
	ForeignServer *server = GetForeignServer(serverid);
	UserMapping *mapping = find_mapping(server, userid);
	PnsConnection *connection;
	bool		found;

	pns_mongo_start_driver();
	if (connections == NULL)
		create_cache();

	connection = hash_search(connections, &mapping->umid, HASH_ENTER, &found);
	if (!found)
	{
		memset(connection, 0, sizeof(*connection));
		connection->umid = mapping->umid;
		connection->serverid = serverid;
		dlist_init(&connection->cursors);
	}
	if (connection->client != NULL && is_replaceable(connection) &&
		((connection->invalidated && !connection->used) ||
		 !pns_mongo_give_up(connection) || !is_alive(connection)))
		pns_mongo_discard(connection);
	CHECK_FOR_INTERRUPTS();

	if (connection->client == NULL)
		open_client(connection, server, mapping);
	connection->used = true;
	return connection;
}

/*
 * pns_mongo_require_client reports a connection whose client was thrown away
 * earlier in the transaction, or whose transaction has come to its end.
 */
void
pns_mongo_require_client(PnsConnection *connection)
{
	pns_mongo_check_transaction(connection);
	if (connection->client == NULL)
		pns_mongo_throw_closed();
}

/* pns_mongo_throw_closed reports that what is asked for went with its client. */
void
pns_mongo_throw_closed(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_DOES_NOT_EXIST),
			 errmsg("the connection to the MongoDB server has been closed"),
			 errhint("The next statement opens a new one.")));
}

/*
 * pns_mongo_append_target adds to a command's options the member and the
 * session that commands of a route go to.
 */
void
pns_mongo_append_target(PnsConnection *connection, PnsRoute route, bson_t *opts)
{
	mongoc_client_session_t *session = route == PNS_ROUTE_TRANSACTION ?
	connection->transaction_session : connection->session;
	bson_error_t error;

	BSON_APPEND_INT32(opts, "serverId", route == PNS_ROUTE_READ ?
					  (int32) connection->server_id : (int32) connection->write_server_id);
	if (session != NULL)
		mongoc_client_session_append(session, opts, &error);
}

/*
 * pns_mongo_begin_call stands before every call of the driver that can wait.
 */
void
pns_mongo_begin_call(PnsConnection *connection)
{
	HOLD_INTERRUPTS();
}

/*
 * pns_mongo_end_call stands after it, before anything that may throw.  What an
 * interrupt has changed for the time of the call is undone.
 */
void
pns_mongo_end_call(PnsConnection *connection)
{
	if (connection->transport.grace)
	{
		connection->transport.grace = false;
		connection->transport.deaf = false;
		connection->transport.deadline = 0;
	}
	connection->last_used = bson_get_monotonic_time();
	RESUME_INTERRUPTS();
}

/*
 * pns_mongo_begin_bounded makes what follows deaf to interrupts and short, for
 * cleaning up and for what must not be left half done.  Ends with
 * pns_mongo_end_bounded.
 */
void
pns_mongo_begin_bounded(PnsConnection *connection, int64 timeout_ms)
{
	HOLD_INTERRUPTS();
	connection->transport.deaf = true;
	connection->transport.deadline = bson_get_monotonic_time() + timeout_ms * 1000;
}

/* pns_mongo_end_bounded is the end of pns_mongo_begin_bounded. */
void
pns_mongo_end_bounded(PnsConnection *connection)
{
	connection->transport.deaf = false;
	connection->transport.deadline = 0;
	connection->transport.expired = false;
	RESUME_INTERRUPTS();
}

/*
 * pns_mongo_discard throws the client away, with its cursors, its sessions and
 * its sockets; where it was in the middle of something, what that left on the
 * server too.  A transaction that was open there is lost.  Does not throw, and
 * waits for PNS_CLEANUP_TIMEOUT at most.
 */
void
pns_mongo_discard(PnsConnection *connection)
{
	bson_t		kills = BSON_INITIALIZER;
	bool		clean = !connection->transport.interrupted &&
	!connection->transport.failed && !connection->asked;

	if (connection->context == NULL)
		return;
	pns_mongo_lose_transaction(connection, "The connection to it has been closed.");
	if (pns_mongo_allocator_replaced())
	{
		/* all is lost, but the server need not wait for us */
		pns_mongo_transport_close(&connection->transport);
		forget(connection);
		return;
	}

	pns_mongo_begin_bounded(connection, PNS_CLEANUP_TIMEOUT);
	if (!clean)
	{
		collect_kills(connection, &kills);
		connection->transport.interrupted = true;
		if (connection->client != NULL)
			mongoc_client_reset(connection->client);
	}
	pns_mongo_release_cursors(connection);
	if (connection->transaction_session != NULL)
		mongoc_client_session_destroy(connection->transaction_session);
	if (connection->session != NULL)
		mongoc_client_session_destroy(connection->session);
	if (connection->client != NULL)
		mongoc_client_destroy(connection->client);
	if (!bson_empty(&kills))
		pns_mongo_kill_remains(connection->uri, &connection->transport, &kills);
	bson_destroy(&kills);
	pns_mongo_end_bounded(connection);
	forget(connection);
}

/*
 * pns_mongo_after_call acts on an interrupt after a call of the driver.  If it
 * was what made the call fail, the client goes first.
 */
void
pns_mongo_after_call(PnsConnection *connection)
{
	bool		interrupted = connection->transport.interrupted;

	if (interrupted)
		pns_mongo_discard(connection);
	CHECK_FOR_INTERRUPTS();
	if (interrupted)
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("canceling statement due to an interrupted wait for the MongoDB server")));
}

/* create_cache makes the cache, empty, and sees to it that it stays true. */
static void
create_cache(void)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(PnsConnection);
	connections = hash_create("pynomaly_store connections", 8, &ctl,
							  HASH_ELEM | HASH_BLOBS);
	pns_mongo_watch_transactions();
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, at_invalidation, (Datum) 0);
	CacheRegisterSyscacheCallback(USERMAPPINGOID, at_invalidation, (Datum) 0);
}

/*
 * find_mapping gives the user mapping of a user, else that of PUBLIC.  Core's
 * own error for there being none lacks a hint.
 */
static UserMapping *
find_mapping(const ForeignServer *server, Oid userid)
{
	if (!SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(userid),
							   ObjectIdGetDatum(server->serverid)) &&
		!SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid),
							   ObjectIdGetDatum(server->serverid)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("user mapping not found for user \"%s\", server \"%s\"",
						GetUserNameFromId(userid, false), server->servername),
				 errhint("Use CREATE USER MAPPING; without options for a MongoDB server that asks for no password.")));
	return GetUserMapping(userid, server->serverid);
}

/*
 * is_replaceable tells whether nothing of the running transaction depends on
 * the client.
 */
static bool
is_replaceable(const PnsConnection *connection)
{
	return dlist_is_empty((dlist_head *) &connection->cursors) &&
		connection->transaction.state != PNS_TRANSACTION_OPEN;
}

/*
 * is_alive tells whether a client can be used again.  Sockets that the peer
 * has closed show at once; after a rest the server is asked, because what a
 * firewall has dropped shows only when something is sent.  It has as long to
 * answer as a new connection has.
 */
static bool
is_alive(PnsConnection *connection)
{
	bson_error_t error;
	bool		alive;

	if (connection->transport.interrupted || connection->transport.failed ||
		!pns_mongo_transport_quiet(&connection->transport))
		return false;
	if (bson_get_monotonic_time() - connection->last_used < PNS_IDLE_TEST * 1000)
		return true;

	pns_mongo_begin_call(connection);
	connection->transport.deadline = pns_mongo_connect_deadline(connection);
	alive = ping(connection, &error);
	connection->transport.deadline = 0;
	pns_mongo_end_call(connection);
	return alive;
}

/*
 * pns_mongo_connect_deadline gives the time until which connecting may take,
 * from now.
 */
int64
pns_mongo_connect_deadline(const PnsConnection *connection)
{
	return bson_get_monotonic_time() + 1000 *
		(int64) mongoc_uri_get_option_as_int32(connection->uri,
											   MONGOC_URI_CONNECTTIMEOUTMS, 0);
}

/*
 * open_client makes and tests a client.  What it fills in is complete before
 * the first step that can fail half-way, so that pns_mongo_discard undoes it.
 */
static void
open_client(PnsConnection *connection, const ForeignServer *server,
			const UserMapping *mapping)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "pynomaly_store connection",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	PnsMongoOptions *options = pns_mongo_get_options(server->options, mapping->options);
	mongoc_uri_t *uri = pns_mongo_build_uri(options)->object;
	const char *address = describe_hosts(uri);
	bson_error_t error = {0};

	if (options->tls_ca_directory != NULL)
		options->tls_ca_directory = pstrdup(options->tls_ca_directory);
	if (options->tls_crl_file != NULL)
		options->tls_crl_file = pstrdup(options->tls_crl_file);
	MemoryContextSwitchTo(caller);

	MemoryContextSetParent(context, TopMemoryContext);
	connection->context = context;
	connection->uri = uri;
	connection->address = address;
	connection->invalidated = false;
	connection->server_hashvalue =
		GetSysCacheHashValue1(FOREIGNSERVEROID, ObjectIdGetDatum(server->serverid));
	connection->mapping_hashvalue =
		GetSysCacheHashValue1(USERMAPPINGOID, ObjectIdGetDatum(mapping->umid));
	pns_mongo_transport_init(&connection->transport, uri,
							 options->tls_ca_directory, options->tls_crl_file);

	if (!test_client(connection, &error))
		pns_mongo_throw_connect(connection, &error);
}

/*
 * pns_mongo_wire_version tells what version of the protocol a server speaks,
 * which grows with each of its releases.
 */
int
pns_mongo_wire_version(const PnsConnection *connection)
{
	return connection->wire_version;
}

/*
 * test_client makes the client, finds the member to talk to, and logs in: true
 * where all of it went well within the connection's time-out.
 */
static bool
test_client(PnsConnection *connection, bson_error_t *error)
{
	mongoc_session_opt_t *opts;
	mongoc_server_description_t *server = NULL;
	bool		good = false;

	pns_mongo_begin_call(connection);
	connection->transport.deadline = pns_mongo_connect_deadline(connection);
	connection->client = pns_mongo_client_create(connection->uri,
												 &connection->transport, error);
	if (connection->client != NULL)
		server = mongoc_client_select_server(connection->client, false,
											 mongoc_client_get_read_prefs(connection->client),
											 error);
	if (server != NULL)
	{
		connection->server_id = mongoc_server_description_id(server);
		connection->wire_version = max_wire_version(server);
		mongoc_server_description_destroy(server);

		opts = mongoc_session_opts_new();
		mongoc_session_opts_set_causal_consistency(opts, false);
		connection->session = mongoc_client_start_session(connection->client, opts, error);
		mongoc_session_opts_destroy(opts);

		good = ping(connection, error);
	}
	connection->transport.deadline = 0;
	connection->transport.tested = good;
	pns_mongo_end_call(connection);
	return good;
}

/*
 * max_wire_version reads what version of the protocol a member speaks; 0 where
 * it does not say.
 */
static int
max_wire_version(const mongoc_server_description_t *server)
{
	bson_iter_t iter;

	if (bson_iter_init_find(&iter, mongoc_server_description_hello_response(server),
							"maxWireVersion") &&
		BSON_ITER_HOLDS_INT32(&iter))
		return bson_iter_int32(&iter);
	return 0;
}

/* ping asks the server for a sign of life, logging in where that is due. */
static bool
ping(PnsConnection *connection, bson_error_t *error)
{
	bson_t		command = BSON_INITIALIZER;
	bson_t		opts = BSON_INITIALIZER;
	bool		answered;

	BSON_APPEND_INT32(&command, "ping", 1);
	pns_mongo_append_target(connection, PNS_ROUTE_READ, &opts);
	answered = mongoc_client_command_with_opts(connection->client, "admin", &command,
											   NULL, &opts, NULL, error);
	bson_destroy(&command);
	bson_destroy(&opts);
	return answered;
}

/* describe_hosts names the hosts of a uri for messages. */
static char *
describe_hosts(const mongoc_uri_t *uri)
{
	StringInfoData names;

	initStringInfo(&names);
	for (const mongoc_host_list_t *host = mongoc_uri_get_hosts(uri);
		 host != NULL; host = host->next)
		appendStringInfo(&names, "%s%s", names.len > 0 ? "," : "", host->host_and_port);
	if (mongoc_uri_get_srv_hostname(uri) != NULL)
		appendStringInfoString(&names, mongoc_uri_get_srv_hostname(uri));
	return pns_mongo_server_text(names.data);
}

/* forget empties a connection whose client has been destroyed. */
static void
forget(PnsConnection *connection)
{
	MemoryContext context = connection->context;

	for (int route = 0; route < lengthof(connection->kills); route++)
	{
		if (connection->kills[route] != NULL && !pns_mongo_allocator_replaced())
			bson_destroy(connection->kills[route]);
		connection->kills[route] = NULL;
	}
	connection->asked = false;
	connection->asker = NULL;
	connection->client = NULL;
	connection->session = NULL;
	connection->transaction_session = NULL;
	connection->write_server_id = 0;
	connection->uri = NULL;
	connection->address = NULL;
	connection->context = NULL;
	MemoryContextDelete(context);
}

/*
 * collect_kills says how to end what the client has on its server: all that is
 * done in its sessions, such as the command that has not been answered yet, and
 * each cursor that is known, because not every server that has sessions counts
 * cursors among what belongs to them.
 */
static void
collect_kills(PnsConnection *connection, bson_t *kills)
{
	bson_t		command = BSON_INITIALIZER;
	bson_t		sessions = BSON_INITIALIZER;

	if (connection->session != NULL)
	{
		BSON_APPEND_DOCUMENT(&sessions, "0",
							 mongoc_client_session_get_lsid(connection->session));
		if (connection->transaction_session != NULL)
			BSON_APPEND_DOCUMENT(&sessions, "1",
								 mongoc_client_session_get_lsid(connection->transaction_session));
		BSON_APPEND_ARRAY(&command, "killSessions", &sessions);
		BSON_APPEND_DOCUMENT(kills, "admin", &command);
	}
	bson_destroy(&sessions);
	bson_destroy(&command);
	for (int route = 0; route < lengthof(connection->kills); route++)
	{
		if (connection->kills[route] != NULL)
			bson_concat(kills, connection->kills[route]);
	}
	pns_mongo_collect_cursors(connection, kills);
}

/*
 * pns_mongo_end_use throws away a client that is not to be used again after the
 * end of a transaction, among them one that still has to answer a transaction
 * that was aborted.  Cursors of an aborted transaction may still be open here;
 * they go with their client, or with their contexts right afterwards.
 */
void
pns_mongo_end_use(PnsConnection *connection, bool aborted)
{
	connection->used = false;
	if (connection->invalidated || connection->transport.interrupted ||
		connection->transport.failed || (connection->asked && aborted) ||
		!pns_mongo_give_up(connection))
		pns_mongo_discard(connection);
}

/*
 * pns_mongo_next_connection walks all connections of the session, beginning
 * anew where first is true; NULL after the last one.
 */
PnsConnection *
pns_mongo_next_connection(HASH_SEQ_STATUS *scan, bool first)
{
	if (first)
		hash_seq_init(scan, connections);
	return hash_seq_search(scan);
}

/*
 * at_invalidation marks the clients whose server or user mapping was altered.
 * hashvalue 0 stands for all.
 */
static void
at_invalidation(Datum arg, int cacheid, uint32 hashvalue)
{
	HASH_SEQ_STATUS status;
	PnsConnection *connection;

	hash_seq_init(&status, connections);
	while ((connection = hash_seq_search(&status)) != NULL)
	{
		if (hashvalue == 0 ||
			(cacheid == FOREIGNSERVEROID && connection->server_hashvalue == hashvalue) ||
			(cacheid == USERMAPPINGOID && connection->mapping_hashvalue == hashvalue))
			connection->invalidated = true;
	}
}
