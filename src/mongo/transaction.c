/*-------------------------------------------------------------------------
 *
 * transaction.c
 *	  A transaction of MongoDB for each one of PostgreSQL that writes.
 *
 * In mode session the first write of a transaction, or under REPEATABLE READ
 * its first read, begins a transaction on the server, in a session of the driver
 * that is used for nothing else.  It is committed in the last moment before ours
 * is, and aborted with it.
 *
 * MongoDB has no savepoints, and an error ends its transaction.  So where
 * PostgreSQL goes on after an error, or after ROLLBACK TO, and a part of what
 * was written there would have to go, the transaction is lost: whatever uses it
 * afterwards fails, and so does the commit.  Only where all of it was done below
 * the savepoint it is aborted there and then, and another one may follow.
 *
 * Two servers cannot be committed as one.  The second one that a transaction
 * wants to write to is refused.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mongo/private.h"

#include "access/xact.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "storage/predicate.h"
#include "utils/memutils.h"

static void resolve_mode(PnsConnection *connection);
static void warn_once(PnsConnection *connection, const char *server);
static void begin_transaction(PnsConnection *connection);
static bool start_transaction(PnsConnection *connection, bson_error_t *error);
static void check_only_writer(const PnsConnection *connection);
static void at_transaction_event(XactEvent event, void *arg);
static void before_commit(void);
static void before_prepare(void);
static void commit(PnsConnection *connection);
static bool commit_until_known(PnsConnection *connection, bson_t *reply, bson_error_t *error,
							   bool *known);
static bool is_refused(const PnsConnection *connection, bool first, const bson_t *reply,
					   const bson_error_t *error);
static void throw_unknown_commit(PnsConnection *connection, const bson_error_t *error)
			pg_attribute_noreturn();
static void end_transaction(PnsConnection *connection, bool aborted);
static void abort_transaction(PnsConnection *connection);
static void at_subtransaction_event(SubXactEvent event, SubTransactionId subid,
									SubTransactionId parent, void *arg);
static void end_subtransaction(PnsConnection *connection, int level, bool aborted);

/* pns_mongo_transaction_mode gives the mode that a server's options say. */
PnsTransactionMode
pns_mongo_transaction_mode(Oid serverid)
{
	return pns_mongo_get_options(GetForeignServer(serverid)->options, NIL)->transaction_mode;
}

/*
 * pns_mongo_begin_write begins a statement that is going to write.
 */
void
pns_mongo_begin_write(PnsConnection *connection)
{
	PreventCommandIfReadOnly("a write to MongoDB");
	PreventCommandIfParallelMode("a write to MongoDB");
	pns_mongo_require_client(connection);
	pns_mongo_find_writer(connection);
	resolve_mode(connection);
	if (connection->transaction.mode == PNS_MODE_SESSION)
	{
		check_only_writer(connection);
		if (connection->transaction.state == PNS_TRANSACTION_NONE)
			begin_transaction(connection);
	}
	connection->transaction.writes = true;
}

/*
 * pns_mongo_write_at_once begins a statement whose writes take effect at once,
 * whatever the server's mode is.
 */
void
pns_mongo_write_at_once(PnsConnection *connection)
{
	Assert(connection->transaction.state == PNS_TRANSACTION_NONE);
	connection->transaction.mode = PNS_MODE_OUTBOX;
	connection->transaction.resolved = true;
	pns_mongo_begin_write(connection);
}

/*
 * pns_mongo_in_transaction tells whether what is written now belongs to a
 * transaction on the server.
 */
bool
pns_mongo_in_transaction(const PnsConnection *connection)
{
	return connection->transaction.state == PNS_TRANSACTION_OPEN;
}

/*
 * pns_mongo_route says where a command or a new cursor of the running
 * transaction goes.  Where that sees one snapshot from its beginning to its
 * end, its first read begins a transaction on the server, too.
 */
PnsRoute
pns_mongo_route(PnsConnection *connection)
{
	PnsTransaction *transaction = &connection->transaction;

	if (transaction->state == PNS_TRANSACTION_NONE && IsolationUsesXactSnapshot() &&
		(!transaction->resolved || transaction->mode == PNS_MODE_SESSION) &&
		pns_mongo_transaction_mode(connection->serverid) <= PNS_MODE_SESSION)
	{
		pns_mongo_find_writer(connection);
		resolve_mode(connection);
		if (transaction->mode == PNS_MODE_SESSION)
			begin_transaction(connection);
	}
	if (transaction->state == PNS_TRANSACTION_OPEN)
		return PNS_ROUTE_TRANSACTION;
	return transaction->writes ? PNS_ROUTE_WRITE : PNS_ROUTE_READ;
}

/*
 * pns_mongo_check_transaction refuses to go on where the transaction on the
 * server has come to its end before ours.
 */
void
pns_mongo_check_transaction(PnsConnection *connection)
{
	const PnsTransaction *transaction = &connection->transaction;

	if (transaction->state == PNS_TRANSACTION_LOST)
		ereport(ERROR,
				(errcode(ERRCODE_IN_FAILED_SQL_TRANSACTION),
				 errmsg("the transaction on MongoDB server \"%s\" cannot go on",
						GetForeignServer(connection->serverid)->servername),
				 transaction->reason != NULL ? errdetail("%s", transaction->reason) : 0,
				 errhint("Roll back the whole transaction. MongoDB has no savepoints.")));
}

/*
 * pns_mongo_note_write remembers that the transaction is about to be given a
 * write.
 */
void
pns_mongo_note_write(PnsConnection *connection)
{
	PnsTransaction *transaction = &connection->transaction;

	if (transaction->state != PNS_TRANSACTION_OPEN)
		return;
	transaction->wrote = true;
	transaction->last_level = Max(transaction->last_level, GetCurrentTransactionNestLevel());
}

/*
 * pns_mongo_lose_transaction takes the transaction for one that has ended on
 * the server without having been committed, if it is open.  reason is a whole
 * sentence.  Does not throw.
 */
void
pns_mongo_lose_transaction(PnsConnection *connection, const char *reason)
{
	PnsTransaction *transaction = &connection->transaction;
	char	   *copy;

	if (transaction->state != PNS_TRANSACTION_OPEN)
		return;
	transaction->state = PNS_TRANSACTION_LOST;
	copy = MemoryContextAllocExtended(TopTransactionContext, strlen(reason) + 1,
									  MCXT_ALLOC_NO_OOM);
	transaction->reason = copy != NULL ? strcpy(copy, reason) : NULL;
}

/*
 * resolve_mode decides for the running transaction which mode it is in.
 */
static void
resolve_mode(PnsConnection *connection)
{
	PnsTransaction *transaction = &connection->transaction;
	const char *server = GetForeignServer(connection->serverid)->servername;
	PnsTransactionMode mode;

	if (transaction->resolved)
		return;
	mode = pns_mongo_transaction_mode(connection->serverid);
	if (mode == PNS_MODE_SESSION && !connection->has_transactions)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("MongoDB server \"%s\" has no transactions", server),
				 errdetail("The server's option \"transaction_mode\" is \"session\", which needs a replica set or a sharded cluster."),
				 errhint("Set it to \"outbox\", or to \"none\" for writes that take effect at once.")));
	if (mode == PNS_MODE_AUTO && connection->has_transactions)
		mode = PNS_MODE_SESSION;
	else if (mode == PNS_MODE_AUTO)
	{
		mode = PNS_MODE_NONE;
		warn_once(connection, server);
	}
	transaction->mode = mode;
	transaction->resolved = true;
}

/*
 * warn_once says once per session what it means that a server has no
 * transactions.
 */
static void
warn_once(PnsConnection *connection, const char *server)
{
	HASH_SEQ_STATUS scan;
	bool		warned = false;

	for (PnsConnection *other = pns_mongo_next_connection(&scan, true); other != NULL;
		 other = pns_mongo_next_connection(&scan, false))
		warned |= other->warned && other->serverid == connection->serverid;
	if (warned)
		return;
	connection->warned = true;
	ereport(NOTICE,
			(errcode(ERRCODE_WARNING),
			 errmsg("transactions do not cover MongoDB server \"%s\"", server),
			 errdetail("It is no replica set. What is written there takes effect at once and stays when the transaction is rolled back, and each query reads the latest data."),
			 errhint("Set the server's option \"transaction_mode\" to \"none\" to accept that, or to \"outbox\" for writes that follow the commit.")));
}

/*
 * begin_transaction begins a transaction on the server, which will hear of it
 * with the first command.
 */
static void
begin_transaction(PnsConnection *connection)
{
	PnsTransaction *transaction = &connection->transaction;
	bson_error_t error = {0};
	bool		good;

	pns_mongo_settle(connection);
	pns_mongo_begin_call(connection);
	good = start_transaction(connection, &error);
	pns_mongo_end_call(connection);
	pns_mongo_after_call(connection);
	if (!good)
	{
		PnsDocument none = {NULL, 0};
		PnsBsonBuilder builder;

		pns_bson_begin(&builder);
		pns_bson_append_bool(&builder, "startTransaction", true);
		pns_mongo_throw(connection, PNS_ROUTE_WRITE, &error, none, "admin",
						pns_bson_end(&builder));
	}
	transaction->state = PNS_TRANSACTION_OPEN;
	transaction->first_level = GetCurrentTransactionNestLevel();
	transaction->last_level = 0;
}

/* start_transaction asks the driver for a transaction of a session of its own. */
static bool
start_transaction(PnsConnection *connection, bson_error_t *error)
{
	mongoc_transaction_opt_t *opts = mongoc_transaction_opts_new();
	mongoc_read_concern_t *snapshot = mongoc_read_concern_new();
	mongoc_write_concern_t *majority = mongoc_write_concern_new();
	mongoc_read_prefs_t *primary = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);
	bool		good = false;

	if (connection->transaction_session == NULL)
	{
		mongoc_session_opt_t *session = mongoc_session_opts_new();

		mongoc_session_opts_set_causal_consistency(session, false);
		connection->transaction_session =
			mongoc_client_start_session(connection->client, session, error);
		mongoc_session_opts_destroy(session);
	}
	mongoc_read_concern_set_level(snapshot, MONGOC_READ_CONCERN_LEVEL_SNAPSHOT);
	mongoc_write_concern_set_w(majority, MONGOC_WRITE_CONCERN_W_MAJORITY);
	mongoc_write_concern_set_wtimeout_int64(majority, PNS_COMMIT_TIMEOUT / 2);
	mongoc_transaction_opts_set_read_concern(opts, snapshot);
	mongoc_transaction_opts_set_write_concern(opts, majority);
	mongoc_transaction_opts_set_read_prefs(opts, primary);
	if (connection->transaction_session != NULL)
		good = mongoc_client_session_start_transaction(connection->transaction_session,
													   opts, error);
	mongoc_read_prefs_destroy(primary);
	mongoc_write_concern_destroy(majority);
	mongoc_read_concern_destroy(snapshot);
	mongoc_transaction_opts_destroy(opts);
	return good;
}

/*
 * check_only_writer refuses to write on a second connection in one transaction.
 */
static void
check_only_writer(const PnsConnection *connection)
{
	HASH_SEQ_STATUS scan;
	const PnsConnection *writer = NULL;

	for (PnsConnection *other = pns_mongo_next_connection(&scan, true); other != NULL;
		 other = pns_mongo_next_connection(&scan, false))
	{
		if (other->transaction.wrote && other != connection)
			writer = other;
	}
	if (writer == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot write to MongoDB server \"%s\" in this transaction",
					GetForeignServer(connection->serverid)->servername),
			 writer->serverid == connection->serverid ?
			 errdetail("The transaction has written to it as another user.") :
			 errdetail("The transaction has written to MongoDB server \"%s\", and MongoDB cannot commit on two servers as one.",
					   GetForeignServer(writer->serverid)->servername),
			 errhint("Use one transaction for each, or the \"transaction_mode\" \"outbox\".")));
}

/*
 * pns_mongo_watch_transactions sees to it that what begins and ends here does so
 * on the servers.  To be called once.
 */
void
pns_mongo_watch_transactions(void)
{
	RegisterXactCallback(at_transaction_event, NULL);
	RegisterSubXactCallback(at_subtransaction_event, NULL);
}

/*
 * at_transaction_event ends the transactions on the servers with ours.
 */
static void
at_transaction_event(XactEvent event, void *arg)
{
	bool		aborted = event == XACT_EVENT_ABORT || event == XACT_EVENT_PARALLEL_ABORT;
	HASH_SEQ_STATUS scan;

	switch (event)
	{
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
			return;
		case XACT_EVENT_PRE_COMMIT:
			before_commit();
			return;
		case XACT_EVENT_PRE_PREPARE:
			before_prepare();
			return;
		default:
			break;
	}
	for (PnsConnection *connection = pns_mongo_next_connection(&scan, true);
		 connection != NULL; connection = pns_mongo_next_connection(&scan, false))
		end_transaction(connection, aborted);
}

/*
 * before_commit commits what has been written, as nearly as possible the last
 * thing that can fail.  Deferred triggers have run by now, and the rows of
 * cursors WITH HOLD have been read.
 *
 * Under SERIALIZABLE the check that may still end our transaction is made ahead
 * of the one that core makes.  That one then finds nothing new: having made it,
 * we count as prepared, and it is always another one that yields.
 */
static void
before_commit(void)
{
	HASH_SEQ_STATUS scan;
	PnsConnection *writer = NULL;

	for (PnsConnection *connection = pns_mongo_next_connection(&scan, true);
		 connection != NULL; connection = pns_mongo_next_connection(&scan, false))
	{
		if (connection->transaction.wrote)
			writer = connection;
	}
	if (writer == NULL)
		return;
	pns_mongo_require_client(writer);
	pns_mongo_settle(writer);
	PreCommit_CheckForSerializationFailure();
	commit(writer);
}

/*
 * before_prepare refuses to prepare a transaction for a two-phase commit that
 * MongoDB has no part in.
 */
static void
before_prepare(void)
{
	HASH_SEQ_STATUS scan;
	const PnsConnection *writer = NULL;

	for (PnsConnection *connection = pns_mongo_next_connection(&scan, true);
		 connection != NULL; connection = pns_mongo_next_connection(&scan, false))
	{
		if (connection->transaction.wrote)
			writer = connection;
	}
	if (writer == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot PREPARE a transaction that has written to MongoDB server \"%s\"",
					GetForeignServer(writer->serverid)->servername),
			 errdetail("MongoDB has no two-phase commit for its clients."),
			 errhint("With the server's option \"transaction_mode\" set to \"outbox\" such a transaction can be prepared.")));
}

/*
 * commit commits on the server.  An interrupt that comes in time still stops
 * it; once the command has been sent only its answer counts.
 */
static void
commit(PnsConnection *connection)
{
	bson_t		reply;
	bson_error_t error = {0};
	PnsDocument answer;
	PnsBsonBuilder builder;
	bool		known;

	CHECK_FOR_INTERRUPTS();
	if (commit_until_known(connection, &reply, &error, &known))
	{
		connection->transaction.state = PNS_TRANSACTION_NONE;
		connection->transaction.committed = true;
		bson_destroy(&reply);
		return;
	}
	if (!known)
	{
		bson_destroy(&reply);
		throw_unknown_commit(connection, &error);
	}
	answer.size = reply.len;
	answer.data = memcpy(palloc(reply.len), bson_get_data(&reply), reply.len);
	bson_destroy(&reply);
	pns_bson_begin(&builder);
	pns_bson_append_int32(&builder, "commitTransaction", 1);

	/* the driver takes it for committed; the server may hold its locks still */
	connection->transport.failed = true;
	pns_mongo_throw(connection, PNS_ROUTE_TRANSACTION, &error, answer, "admin",
					pns_bson_end(&builder));
}

/*
 * commit_until_known commits on the server, again and again until that says
 * what has become of it, or until PNS_COMMIT_TIMEOUT is over and known is false.  To
 * commit twice does no harm.  The caller destroys the reply, which is made in any
 * case.
 */
static bool
commit_until_known(PnsConnection *connection, bson_t *reply, bson_error_t *error,
				   bool *known)
{
	bool		good;
	bool		first = true;

	pns_mongo_begin_bounded(connection, PNS_COMMIT_TIMEOUT);
	for (;;)
	{
		connection->transport.failed = false;
		good = mongoc_client_session_commit_transaction(connection->transaction_session,
														reply, error);
		*known = good || is_refused(connection, first, reply, error);
		if (*known || bson_get_monotonic_time() >= connection->transport.deadline)
			break;
		first = false;
		bson_destroy(reply);
		(void) pns_base_wait_deaf(NULL, 0, PNS_COMMIT_PAUSE);
	}
	pns_mongo_end_bounded(connection);
	connection->last_used = bson_get_monotonic_time();
	return good;
}

/*
 * is_refused tells whether an error says for certain that the transaction has
 * not been committed.  Where an answer may have been lost before, the errors of
 * connecting anew look like those of the command; only what is labelled as of a
 * transaction that is no more counts then.
 */
static bool
is_refused(const PnsConnection *connection, bool first, const bson_t *reply,
		   const bson_error_t *error)
{
	if (error->domain != MONGOC_ERROR_SERVER ||
		mongoc_error_has_label(reply, "UnknownTransactionCommitResult"))
		return false;
	return (first && !connection->transport.failed) ||
		mongoc_error_has_label(reply, "TransientTransactionError");
}

/*
 * throw_unknown_commit raises that nobody knows whether the transaction has
 * been committed on the server.  The client is thrown away, which ends the
 * transaction there if the server can be reached and has not committed it.
 */
static void
throw_unknown_commit(PnsConnection *connection, const bson_error_t *error)
{
	const char *server = GetForeignServer(connection->serverid)->servername;
	char	   *text = pns_mongo_server_text(error->message);

	connection->transport.failed = true;
	pns_mongo_discard(connection);
	ereport(ERROR,
			(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
			 errmsg("MongoDB server \"%s\" did not say whether it has committed the transaction",
					server),
			 errdetail("The driver says: %s", text),
			 errhint("The transaction is rolled back here. Look for what it wrote to MongoDB before you repeat it.")));
}

/*
 * end_transaction ends, after ours, what is left of a transaction on a server.
 * Does not throw.
 */
static void
end_transaction(PnsConnection *connection, bool aborted)
{
	bool		committed = connection->transaction.committed;

	pns_mongo_end_use(connection, aborted);
	abort_transaction(connection);
	memset(&connection->transaction, 0, sizeof(connection->transaction));
	if (committed && aborted)
		ereport(WARNING,
				(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
				 errmsg("what the transaction has written to MongoDB was committed before it failed here"),
				 errhint("Look for it there before you repeat the transaction.")));
}

/*
 * abort_transaction aborts on the server what is open there.  Where that cannot
 * be done within PNS_CLEANUP_TIMEOUT the client goes, and if even that does not
 * reach the server, it ends the transaction by itself after a while.
 */
static void
abort_transaction(PnsConnection *connection)
{
	bson_error_t error;

	if (connection->client == NULL || connection->transaction_session == NULL ||
		pns_mongo_allocator_replaced() ||
		!mongoc_client_session_in_transaction(connection->transaction_session))
		return;
	pns_mongo_begin_bounded(connection, PNS_CLEANUP_TIMEOUT);
	(void) mongoc_client_session_abort_transaction(connection->transaction_session, &error);
	pns_mongo_end_bounded(connection);
	if (connection->transport.failed)
		pns_mongo_discard(connection);
}

/* at_subtransaction_event acts on the end of a subtransaction. */
static void
at_subtransaction_event(SubXactEvent event, SubTransactionId subid,
						SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();
	HASH_SEQ_STATUS scan;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	for (PnsConnection *connection = pns_mongo_next_connection(&scan, true);
		 connection != NULL; connection = pns_mongo_next_connection(&scan, false))
		end_subtransaction(connection, level, event == SUBXACT_EVENT_ABORT_SUB);
}

/*
 * end_subtransaction takes what was done on a nesting level for the level's
 * above, or finds out what it means that it has been rolled back.
 */
static void
end_subtransaction(PnsConnection *connection, int level, bool aborted)
{
	PnsTransaction *transaction = &connection->transaction;

	if (transaction->state == PNS_TRANSACTION_NONE)
		return;
	if (!aborted)
	{
		transaction->first_level = Min(transaction->first_level, level - 1);
		transaction->last_level = Min(transaction->last_level, level - 1);
	}
	else if (transaction->first_level >= level && !IsolationUsesXactSnapshot())
	{
		/* nothing of it is to stay */
		transaction->state = PNS_TRANSACTION_NONE;
		transaction->wrote = false;
		if (connection->asked)
			pns_mongo_discard(connection);
		abort_transaction(connection);
	}
	else if (transaction->last_level >= level)
		pns_mongo_lose_transaction(connection,
								   "A part of what it has written was rolled back with a savepoint or an exception block.");
}
