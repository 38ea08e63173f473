/*-------------------------------------------------------------------------
 *
 * client.c
 *	  Starting the driver, making its clients, and killing what a client that
 *	  was thrown away has left on its server.
 *
 * The driver is started by the first backend function that needs it, never in
 * the postmaster: a client does not survive fork().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/mman.h>
#include <unistd.h>

#include "mongo/private.h"

#include "utils/memutils.h"

/* Bytes of the block that shows where the driver's memory comes from. */
#define PNS_PROBE_SIZE (1024 * 1024)

/* The driver's last complaint; cut to what a message can hold. */
static char last_note[256];

static void prevent_tidying(int status, void *spoilt);
static void keep_block(void *block);
static void check_allocator(void);
static void note_log(mongoc_log_level_t level, const char *domain,
					 const char *message, void *arg);

/*
 * pns_mongo_init sees to a safe end of the process.  The driver is started by
 * whoever needs it first, and the room has no settings.
 *
 * Version 1 of the driver starts itself when it is loaded, just before this is
 * called, and tidies up when the process exits.  If PostgreSQL's allocator was
 * under libbson already, what it made at the start is in a context that will
 * be gone by then.
 *
 * At its start it also puts its performance counters into a file of shared
 * memory that nobody removes when a backend crashes; so its name goes at once.
 */
void
pns_mongo_init(void)
{
	static bool spoilt;
	char		counters[32];

	snprintf(counters, sizeof(counters), "/mongoc-%d", (int) getpid());
	shm_unlink(counters);

	spoilt = pns_mongo_allocator_replaced();
	on_exit(prevent_tidying, &spoilt);
}

/*
 * pns_mongo_start_driver must be called before anything else of the driver is,
 * in each statement: another extension may have been loaded meanwhile.
 */
void
pns_mongo_start_driver(void)
{
	static bool started = false;

	check_allocator();
	if (started)
		return;

	/* a driver that has not started itself shall not make that file at all */
	setenv("MONGOC_DISABLE_SHM", "1", 0);
	mongoc_log_set_handler(note_log, NULL);
	mongoc_init();
	mongoc_handshake_data_append("pynomaly_store", NULL, "PostgreSQL " PG_VERSION);
	started = true;
}

/*
 * pns_mongo_last_note gives what the driver logged last, for the few failures
 * that it tells in no other way.
 */
const char *
pns_mongo_last_note(void)
{
	return last_note;
}

/* pns_mongo_forget_note sees to it that the next note is of what comes now. */
void
pns_mongo_forget_note(void)
{
	last_note[0] = '\0';
}

/*
 * pns_mongo_client_create makes a client whose streams are ours, NULL and
 * error where it cannot.  Of the network it uses only the name service, and
 * that for a mongodb+srv uri.  The transport must outlive the client.
 */
mongoc_client_t *
pns_mongo_client_create(const mongoc_uri_t *uri, PnsTransport *transport,
						bson_error_t *error)
{
	mongoc_client_t *client = mongoc_client_new_from_uri_with_error(uri, error);

	if (client == NULL)
		return NULL;
	mongoc_client_set_error_api(client, MONGOC_ERROR_API_VERSION_2);
	mongoc_client_set_stream_initiator(client, pns_mongo_open_stream, transport);
	return client;
}

/*
 * pns_mongo_kill_remains kills on the server what a client that has been
 * thrown away in the middle of something has left there.  thrown_away is that
 * client's transport.  Each member of kills is named by a database and holds a command
 * to run in it.
 *
 * A server ends an operation by itself when the connection that asked for it
 * closes, though not at once, but it keeps cursors for ten minutes.  This is
 * tried for PNS_CLEANUP_TIMEOUT, deaf to interrupts, and not at all costs.
 */
void
pns_mongo_kill_remains(const mongoc_uri_t *uri, const PnsTransport *thrown_away,
					   const bson_t *kills)
{
	PnsTransport transport = {0};
	mongoc_read_prefs_t *any = mongoc_read_prefs_new(MONGOC_READ_NEAREST);
	mongoc_client_t *client;
	bson_error_t error;
	bson_iter_t iter;

	transport.use_tls = thrown_away->use_tls;
	transport.ssl = thrown_away->ssl;
	transport.only_host = thrown_away->last_host;
	transport.deaf = true;
	transport.deadline = bson_get_monotonic_time() + PNS_CLEANUP_TIMEOUT * 1000;
	dlist_init(&transport.streams);

	client = pns_mongo_client_create(uri, &transport, &error);
	if (client != NULL)
	{
		bson_iter_init(&iter, kills);
		while (bson_iter_next(&iter) && !transport.failed)
		{
			const uint8_t *data;
			uint32_t	size;
			bson_t		command;

			bson_iter_document(&iter, &size, &data);
			if (bson_init_static(&command, data, size))
				mongoc_client_command_with_opts(client, bson_iter_key(&iter), &command,
												any, NULL, NULL, &error);
		}
		mongoc_client_reset(client);
		mongoc_client_destroy(client);
	}
	mongoc_read_prefs_destroy(any);
}

/*
 * prevent_tidying keeps the driver from touching or freeing what is not, or no
 * longer, its own when the process exits.  PostgreSQL has finished its own
 * business by then.
 */
static void
prevent_tidying(int status, void *spoilt)
{
	const bson_mem_vtable_t vtable = {
		.malloc = malloc,
		.calloc = calloc,
		.realloc = realloc,
		.free = keep_block
	};

	if (*(bool *) spoilt)
	{
		fflush(NULL);
		_exit(status);
	}
	bson_mem_set_vtable(&vtable);
}

/* keep_block frees nothing. */
static void
keep_block(void *block)
{
}

/*
 * check_allocator refuses to work where another extension has put PostgreSQL's
 * allocator under libbson.  That is one setting for the whole process, and the
 * driver's clients would then live in whatever context was the current one.
 */
static void
check_allocator(void)
{
	if (pns_mongo_allocator_replaced())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("another extension has replaced the memory allocator of libbson"),
				 errdetail("The MongoDB driver cannot work with memory that PostgreSQL may free."),
				 errhint("Use pynomaly_store in a database cluster in which that extension is not loaded.")));
}

/*
 * pns_mongo_allocator_replaced tells whether libbson takes its memory from
 * PostgreSQL's memory contexts.  What it has taken before must not be freed
 * then either.
 *
 * It is asked for a block that is too large for any free space, and the memory
 * of all contexts is looked at: if it has grown, the block came from one of
 * them.  It does not matter which function was put in nor how it finds its
 * context; and an allocator that is no part of PostgreSQL does no harm.
 */
bool
pns_mongo_allocator_replaced(void)
{
	Size		before = MemoryContextMemAllocated(TopMemoryContext, true);
	void	   *block = bson_malloc(PNS_PROBE_SIZE);
	Size		after = MemoryContextMemAllocated(TopMemoryContext, true);

	bson_free(block);
	return after >= before + PNS_PROBE_SIZE;
}

/*
 * note_log keeps the driver's complaints off the server's log.  It is called
 * inside the driver, so it does no more than that.
 */
static void
note_log(mongoc_log_level_t level, const char *domain, const char *message,
		 void *arg)
{
	if (level <= MONGOC_LOG_LEVEL_WARNING)
		strlcpy(last_note, message, sizeof(last_note));
}
