/*-------------------------------------------------------------------------
 *
 * private.h
 *	  What the files of this room share, the driver's own types among it.
 *
 * Only files of the mongo room include this.
 *
 * Every call of the driver that can do I/O stands between pns_mongo_begin_call
 * and pns_mongo_end_call, which hold off interrupts: a log handler, or anything else
 * that PostgreSQL code does meanwhile, must not jump through the driver's
 * frames.  A cancel makes the stream fail instead, the driver returns, and then
 * pns_mongo_after_call acts on it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNS_MONGO_PRIVATE_H
#define PNS_MONGO_PRIVATE_H

#define PNS_MONGO_PRIVATE
#include "mongo/mongo.h"

#include <mongoc/mongoc.h>

#include "lib/ilist.h"
#include "utils/hsearch.h"

/*
 * How long a cancelled statement waits for the answer that it is about to get,
 * and how long a clean-up may take after that, all in all.  A cancel has to end
 * a statement within 200 ms.
 */
#define PNS_GRACE_TIMEOUT 50	/* milliseconds */
#define PNS_CLEANUP_TIMEOUT 100 /* milliseconds */

/*
 * How long a commit is tried whose result is not known, and how long to rest
 * between two attempts.
 */
#define PNS_COMMIT_TIMEOUT 10000	/* milliseconds */
#define PNS_COMMIT_PAUSE 100	/* milliseconds */

/* A connection that rested for this long is tested before it is used again. */
#define PNS_IDLE_TEST 5000		/* milliseconds */

/* Where a server is whose options do not say it. */
#define PNS_DEFAULT_HOST "localhost"

/* An option that is on, off, or left to the uri and the driver. */
typedef enum PnsMongoSwitch
{
	PNS_SWITCH_DEFAULT = 0,
	PNS_SWITCH_OFF,
	PNS_SWITCH_ON
} PnsMongoSwitch;

/*
 * The options of a server and a user mapping that concern the connection, in
 * the database's encoding.  Strings are NULL where the option was not given.
 */
typedef struct PnsMongoOptions
{
	const char *uri;
	const char *host;			/* means "localhost" unless given */
	int			port;			/* means 27017 where it is 0 */
	const char *username;
	const char *password;
	const char *authentication_database;
	const char *authentication_mechanism;
	const char *replica_set;
	const char *read_preference;
	PnsMongoSwitch tls;
	const char *tls_ca_file;
	const char *tls_ca_directory;
	const char *tls_certificate_key_file;
	const char *tls_certificate_key_password;
	const char *tls_crl_file;
	PnsMongoSwitch tls_allow_invalid_certificates;
	PnsMongoSwitch tls_allow_invalid_hostnames;
	int			connect_timeout;	/* milliseconds; 0 unless given */
	const char *application_name;
	PnsTransactionMode transaction_mode;
} PnsMongoOptions;

/* How far a client has come on the way to a server. */
typedef enum PnsStage
{
	PNS_STAGE_NONE = 0,
	PNS_STAGE_CONNECTED,		/* something accepted a connection */
	PNS_STAGE_SECURED,			/* and spoke TLS, where that is wanted */
	PNS_STAGE_ANSWERED			/* and answered in the way of MongoDB */
} PnsStage;

/* Which half of a command a call of the driver is to carry out, see request.c. */
typedef enum PnsHalf
{
	PNS_HALF_NONE = 0,			/* both, one after the other */
	PNS_HALF_SEND,
	PNS_HALF_RECEIVE
} PnsHalf;

/*
 * What the streams of one client have in common.  Filled in by whoever makes
 * the client, and lives at least as long as that.
 */
typedef struct PnsTransport
{
	bool		use_tls;
	mongoc_ssl_opt_t ssl;		/* its strings belong to the maker */
	const char *only_host;		/* "host:port" to which it is confined */

	bool		tested;			/* a reply cut off is worth waiting for */

	/* for the time of a clean-up or of making the client */
	bool		deaf;			/* interrupts do not end a wait */
	int64		deadline;		/* of bson_get_monotonic_time; 0: none */

	/* for the time of one call of the driver */
	PnsHalf		half;
	bool		halved;			/* the stream has done that half */
	size_t		given;			/* bytes of the answer that stands in */

	/* set by the streams */
	bool		grace;			/* an interrupt came, the answer may too */
	bool		interrupted;	/* nothing more is sent or received */
	bool		failed;			/* a stream broke or ran into its time-out */
	bool		malformed;		/* a message was not well formed */
	PnsStage	stage;			/* how far any stream has come */
	bool		expired;		/* the deadline has passed */
	char		last_host[BSON_HOST_NAME_MAX + 7];	/* last written to */
	int			last_fd;		/* its socket */
	dlist_head	streams;
} PnsTransport;

/* The member and the session of the driver that a command goes to. */
typedef enum PnsRoute
{
	PNS_ROUTE_READ = 0,			/* the member that read_preference has chosen */
	PNS_ROUTE_WRITE,			/* the member that takes writes */
	PNS_ROUTE_TRANSACTION		/* that one, in the transaction */
} PnsRoute;

typedef enum PnsTransactionState
{
	PNS_TRANSACTION_NONE = 0,
	PNS_TRANSACTION_OPEN,		/* the server hears of it with a command */
	PNS_TRANSACTION_LOST		/* over there it has ended, or must end,
								 * without having been committed */
} PnsTransactionState;

/*
 * What the running transaction of PostgreSQL has done on a connection.  All
 * zero when it begins.
 */
typedef struct PnsTransaction
{
	bool		resolved;		/* mode is set */
	PnsTransactionMode mode;	/* auto has become session or none */
	bool		writes;			/* a statement has begun to write */
	PnsTransactionState state;	/* of the one on the server, in mode session */
	const char *reason;			/* why it was lost, or NULL; lives as long as
								 * our transaction */
	bool		wrote;			/* it has been given writes */
	bool		committed;		/* before ours, which may fail still */
	int			first_level;	/* nesting level that it was begun on */
	int			last_level;		/* the deepest one that it has writes of */
} PnsTransaction;

/*
 * A session's connection to a server for a user.  Lives in the cache for as
 * long as the backend does; the client in it comes and goes.
 */
struct PnsConnection
{
	Oid			umid;			/* hash key: of the user mapping */
	Oid			serverid;
	bool		used;			/* by the running transaction */
	bool		warned;			/* of a server without transactions */
	PnsTransaction transaction;
	bool		invalidated;	/* server or mapping have been altered */
	uint32		server_hashvalue;
	uint32		mapping_hashvalue;

	/* all of this is set, or none: */
	MemoryContext context;		/* owns the strings below */
	const char *address;		/* host:port for messages, no secrets */
	mongoc_uri_t *uri;			/* with everything the options say */
	mongoc_client_t *client;

	mongoc_client_session_t *session;	/* NULL: the server has none */
	uint32		server_id;		/* the member that reads go to */
	int			wire_version;	/* the newest protocol that it speaks */
	int64		last_used;		/* of bson_get_monotonic_time */
	PnsTransport transport;
	dlist_head	cursors;		/* open ones */

	/* for writing, from the first write on */
	uint32		write_server_id;	/* the member that takes writes; 0: not
									 * known yet */
	bool		has_transactions;	/* that one; and its limits: */
	int			max_document;	/* bytes */
	int			max_operations; /* in a command */
	mongoc_client_session_t *transaction_session;	/* NULL: none so far */

	/* a command that has been sent, and whose answer is still to come */
	bool		asked;
	PnsRoute	asked_route;
	PnsCursor  *asker;			/* that it is for; NULL: nobody wants it now */
	bson_t	   *kills[PNS_ROUTE_WRITE + 1]; /* what to do when it has come, on
											 * the members of these routes: of
											 * each member the name is a
											 * database and the value a
											 * command; NULL: nothing */
};

/*
 * A cursor, or what is to become one.  Lives in the memory context that it was
 * made in.
 */
struct PnsCursor
{
	PnsHandle  *handle;			/* its object is this; NULL once closed */
	PnsConnection *connection;
	dlist_node	node;			/* in connection->cursors */
	MemoryContext context;		/* that this lives in */

	const char *database;		/* in UTF-8 */
	PnsDocument command;		/* that the server answers with a cursor */
	int			batch_size;
	bool		outside;		/* not to be opened in the transaction */
	PnsRoute	route;			/* set when it is opened */
	PnsRemoteUse *use;			/* the caller's; NULL: nobody counts */
	void	   *owner;			/* the caller's, of the request under way */
	instr_time	wait_began;		/* for its answer; zero: nobody waits */

	/* of the last reply */
	bool		started;		/* there was one */
	PnsHandle  *reply;			/* of its bytes, in the driver's memory: a
								 * document may still be read after the client
								 * was thrown away, by what was called for it */
	PnsBsonIterator batch;		/* its documents */
	int64		id;				/* 0: this batch is the last */
	const char *collection;		/* to name to getMore, in UTF-8 */
};

/* in stream.c */
extern void pns_mongo_transport_init(PnsTransport *transport, const mongoc_uri_t *uri,
									 const char *ca_directory, const char *crl_file);
extern mongoc_stream_t *pns_mongo_open_stream(const mongoc_uri_t *uri,
											  const mongoc_host_list_t *host,
											  void *transport,
											  bson_error_t *error);
extern bool pns_mongo_transport_quiet(PnsTransport *transport);
extern void pns_mongo_transport_close(PnsTransport *transport);

/* in check.c */
extern mongoc_stream_t *pns_mongo_check_stream(mongoc_stream_t *inner,
											   PnsTransport *transport,
											   bool compressed);

/* in client.c */
extern void pns_mongo_start_driver(void);
extern bool pns_mongo_allocator_replaced(void);
extern const char *pns_mongo_last_note(void);
extern void pns_mongo_forget_note(void);
extern mongoc_client_t *pns_mongo_client_create(const mongoc_uri_t *uri,
												PnsTransport *transport,
												bson_error_t *error);
extern void pns_mongo_kill_remains(const mongoc_uri_t *uri,
								   const PnsTransport *thrown_away,
								   const bson_t *kills);

/* in connection.c */
extern void pns_mongo_require_client(PnsConnection *connection);
extern void pns_mongo_throw_closed(void) pg_attribute_noreturn();
extern void pns_mongo_append_target(PnsConnection *connection, PnsRoute route, bson_t *opts);
extern void pns_mongo_begin_call(PnsConnection *connection);
extern void pns_mongo_end_call(PnsConnection *connection);
extern void pns_mongo_begin_bounded(PnsConnection *connection, int64 timeout_ms);
extern void pns_mongo_end_bounded(PnsConnection *connection);
extern void pns_mongo_discard(PnsConnection *connection);
extern void pns_mongo_after_call(PnsConnection *connection);
extern int64 pns_mongo_connect_deadline(const PnsConnection *connection);
extern void pns_mongo_end_use(PnsConnection *connection, bool aborted);
extern PnsConnection *pns_mongo_next_connection(HASH_SEQ_STATUS *scan, bool first);

/* in member.c */
extern void pns_mongo_find_writer(PnsConnection *connection);

/* in transaction.c */
extern void pns_mongo_watch_transactions(void);
extern PnsRoute pns_mongo_route(PnsConnection *connection);
extern void pns_mongo_check_transaction(PnsConnection *connection);
extern void pns_mongo_note_write(PnsConnection *connection);
extern void pns_mongo_lose_transaction(PnsConnection *connection, const char *reason);

/* in options.c */
extern PnsMongoOptions *pns_mongo_get_options(List *server, List *mapping);
extern void pns_mongo_check_file(const char *name, const char *path);
extern void pns_mongo_check_mechanism(const char *name, const char *mechanism);

/* in uri.c */
extern PnsHandle *pns_mongo_build_uri(const PnsMongoOptions *options);
extern void pns_mongo_check_uri(const PnsMongoOptions *options, Oid catalog);
extern void pns_mongo_check_same_hosts(const char *server_uri, const char *mapping_uri);

/* in write.c */
extern void pns_mongo_append_write_concern(PnsConnection *connection, bson_t *opts);

/* in cursor.c */
extern bool pns_mongo_run_command(PnsConnection *connection, PnsRoute route, bool writes,
								  const char *database, PnsDocument command,
								  bson_t *reply, bson_error_t *error);
extern void pns_mongo_release_cursors(PnsConnection *connection);
extern void pns_mongo_collect_cursors(PnsConnection *connection, bson_t *kills);
extern void pns_mongo_open_route(PnsCursor *cursor);
extern bool pns_mongo_ask_for_batch(PnsCursor *cursor, bson_t *reply, bson_error_t *error);
extern void pns_mongo_throw_batch(PnsCursor *cursor, bson_t *reply,
								  const bson_error_t *error) pg_attribute_noreturn();
extern void pns_mongo_make_kill(bson_t *command, const char *collection, int64 id);

/* in request.c */
extern ssize_t pns_mongo_half_writev(PnsTransport *transport, mongoc_stream_t *inner,
									 mongoc_iovec_t *iov, size_t iovcnt,
									 int32_t timeout_msec);
extern ssize_t pns_mongo_half_readv(PnsTransport *transport, mongoc_iovec_t *iov);
extern bool pns_mongo_receive(PnsConnection *connection, bson_t *reply,
							  bson_error_t *error);
extern void pns_mongo_settle(PnsConnection *connection);
extern void pns_mongo_forsake(PnsCursor *cursor);
extern bool pns_mongo_give_up(PnsConnection *connection);
extern void pns_mongo_kill_later(PnsConnection *connection, PnsRoute route,
								 const char *database, const char *collection, int64 id);

/* in error.c */
extern void pns_mongo_throw_connect(PnsConnection *connection,
									const bson_error_t *error) pg_attribute_noreturn();
extern void pns_mongo_throw(PnsConnection *connection, PnsRoute route,
							const bson_error_t *error, PnsDocument reply, const char *database,
							PnsDocument command) pg_attribute_noreturn();
extern void pns_mongo_describe_write_error(PnsWriteError *error, const PnsWriteBatch *batch,
										   int position, PnsDocument refusal);
extern void pns_mongo_throw_write_error(const PnsWriteError *error) pg_attribute_noreturn();
extern char *pns_mongo_server_text(const char *text);

/* in text.c */
extern const char *pns_text_from_server(const char *str);

#endif							/* PNS_MONGO_PRIVATE_H */
