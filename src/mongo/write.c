/*-------------------------------------------------------------------------
 *
 * write.c
 *	  Batches of inserts, updates and deletes.
 *
 * A batch becomes as few commands as the server's limits allow.  The driver's
 * own bulk writes are not used: they know nothing of a member that was chosen
 * before, and of a batch that failed they tell less than the server does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mongo/private.h"

#include "miscadmin.h"
#include "utils/memutils.h"

/*
 * A command may be larger than a document by this many bytes, for what it has
 * beside the largest document; and what the driver adds to it, the session
 * and the database's name among that.
 */
#define COMMAND_ALLOWANCE (16 * 1024)
#define DRIVER_ALLOWANCE 2048

/* Bytes that a member of an array has beside its value. */
#define MEMBER_OVERHEAD 12

/* Operations that go into one command. */
typedef struct Portion
{
	int			first;			/* among those of the batch */
	int			count;
} Portion;

/* The names of a kind of write in MongoDB's commands. */
typedef struct WriteWords
{
	const char *command;
	const char *operations;
} WriteWords;

static const WriteWords words[] = {
	[PNS_WRITE_INSERT] = {"insert", "documents"},
	[PNS_WRITE_UPDATE] = {"update", "updates"},
	[PNS_WRITE_DELETE] = {"delete", "deletes"},
};

static void check_sizes(const PnsConnection *connection, const PnsWriteBatch *batch);
static bool next_portion(const PnsConnection *connection, const PnsWriteBatch *batch,
						 Portion *portion);
static uint32 room_for_operations(const PnsConnection *connection, const PnsWriteBatch *batch);
static PnsDocument make_command(const PnsWriteBatch *batch, const Portion *portion);
static PnsDocument send_command(PnsConnection *connection, const PnsWriteBatch *batch,
								PnsDocument command);
static void read_reply(PnsConnection *connection, const PnsWriteBatch *batch,
					   const Portion *portion, PnsDocument reply, PnsWriteResult *result);
static List *read_upserts(const Portion *portion, PnsDocument reply);
static List *read_errors(const PnsWriteBatch *batch, const Portion *portion, PnsDocument reply);
static int64 count_of(PnsDocument reply, const char *key, int64 otherwise);
static void throw_bad_reply(void) pg_attribute_noreturn();

/*
 * pns_mongo_write writes a batch.  In a transaction the first error ends it on
 * the server, so that nothing is collected there.  An unordered batch is sent as
 * a whole before its first error is raised, since what comes after that is to be
 * written as well.
 */
PnsWriteResult
pns_mongo_write(PnsConnection *connection, const PnsWriteBatch *batch)
{
	PnsWriteResult result = {0};
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext scratch;
	Portion		portion = {0, 0};
	bool		in_transaction;

	pns_mongo_begin_write(connection);
	check_sizes(connection, batch);
	in_transaction = connection->transaction.state != PNS_TRANSACTION_NONE;

	scratch = AllocSetContextCreate(caller, "pynomaly_store write", ALLOCSET_DEFAULT_SIZES);
	while (next_portion(connection, batch, &portion))
	{
		PnsDocument reply;

		MemoryContextSwitchTo(scratch);
		reply = send_command(connection, batch, make_command(batch, &portion));
		MemoryContextSwitchTo(caller);
		read_reply(connection, batch, &portion, reply, &result);
		MemoryContextReset(scratch);
		if (result.errors != NIL && (batch->ordered || in_transaction))
			break;
	}
	MemoryContextDelete(scratch);
	if (result.errors != NIL && (in_transaction || !batch->collects))
		pns_mongo_throw_write_error(linitial(result.errors));
	return result;
}

/*
 * pns_mongo_new_objectid makes a new ObjectId.  The generator is this
 * process's own: one from before fork() would repeat another's.
 */
void
pns_mongo_new_objectid(uint8 *id)
{
	static bson_context_t *generator = NULL;
	bson_oid_t	oid;

	pns_mongo_start_driver();
	if (generator == NULL)
		generator = bson_context_new(BSON_CONTEXT_NONE);
	bson_oid_init(&oid, generator);
	memcpy(id, oid.bytes, PNS_OBJECTID_SIZE);
}

/*
 * check_sizes refuses a batch that has an operation which the server cannot
 * take, before anything of it is sent.
 */
static void
check_sizes(const PnsConnection *connection, const PnsWriteBatch *batch)
{
	uint32		limit = batch->kind == PNS_WRITE_INSERT ? connection->max_document :
	room_for_operations(connection, batch);

	for (int i = 0; i < list_length(batch->operations); i++)
	{
		const PnsDocument *operation = list_nth(batch->operations, i);

		if (operation->size > limit)
			pns_mongo_throw_too_large(batch, i, operation->size, connection->max_document);
	}
}

/*
 * next_portion takes as many operations as go into the next command; false where
 * none is left.
 */
static bool
next_portion(const PnsConnection *connection, const PnsWriteBatch *batch, Portion *portion)
{
	uint32		room = room_for_operations(connection, batch);
	uint32		used = 0;
	int			total = list_length(batch->operations);

	portion->first += portion->count;
	portion->count = 0;
	while (portion->first + portion->count < total &&
		   portion->count < connection->max_operations)
	{
		const PnsDocument *operation = list_nth(batch->operations,
												portion->first + portion->count);
		uint32		size = operation->size + MEMBER_OVERHEAD;

		if (portion->count > 0 && used + size > room)
			break;
		used += size;
		portion->count++;
	}
	return portion->count > 0;
}

/*
 * room_for_operations gives how many bytes of operations a command of the batch
 * may have.
 */
static uint32
room_for_operations(const PnsConnection *connection, const PnsWriteBatch *batch)
{
	uint32		room = connection->max_document + COMMAND_ALLOWANCE - DRIVER_ALLOWANCE;
	uint32		beside = batch->options.size + strlen(batch->collection) * 4;

	/* who has that much beside the operations sees the server refuse it */
	return beside < room ? room - beside : 0;
}

/* make_command makes the command for a portion of a batch. */
static PnsDocument
make_command(const PnsWriteBatch *batch, const Portion *portion)
{
	PnsBsonBuilder builder;

	pns_bson_begin(&builder);
	pns_bson_append_text(&builder, words[batch->kind].command, batch->collection);
	pns_bson_append_bool(&builder, "ordered", batch->ordered);
	if (batch->options.size > 0)
	{
		PnsBsonIterator iterator;

		pns_bson_iterate(&iterator, batch->options);
		while (pns_bson_next(&iterator))
			pns_bson_append_value(&builder, iterator.key, iterator.value);
	}
	pns_bson_open_array(&builder, words[batch->kind].operations);
	for (int i = 0; i < portion->count; i++)
		pns_bson_append_document(&builder, pns_bson_index(i),
								 *(PnsDocument *) list_nth(batch->operations,
														   portion->first + i));
	pns_bson_close(&builder);
	return pns_bson_end(&builder);
}

/*
 * send_command sends a command and gives the reply, in the current context.  A
 * command that fails as a whole is raised here.
 */
static PnsDocument
send_command(PnsConnection *connection, const PnsWriteBatch *batch, PnsDocument command)
{
	const char *database = pns_text_from_server(batch->database);
	PnsRoute	route;
	bson_t		reply;
	bson_error_t error = {0};
	PnsDocument answer;
	bool		good;

	pns_mongo_require_client(connection);
	pns_mongo_settle(connection);
	route = pns_mongo_route(connection);
	pns_mongo_note_write(connection);
	good = pns_mongo_run_command(connection, route, true, database, command, &reply, &error);
	answer.size = reply.len;
	answer.data = memcpy(palloc(reply.len), bson_get_data(&reply), reply.len);
	bson_destroy(&reply);

	pns_mongo_after_call(connection);
	if (!good)
		pns_mongo_throw(connection, route, &error, answer, database, command);
	return answer;
}

/*
 * pns_mongo_append_write_concern asks for the write concern of the uri, if it has one, in
 * mode none.  Not for one that would leave errors unsaid.  What comes from the
 * outbox is removed from there, so that a majority has to have it.
 */
void
pns_mongo_append_write_concern(PnsConnection *connection, bson_t *opts)
{
	const mongoc_write_concern_t *concern = mongoc_client_get_write_concern(connection->client);
	mongoc_write_concern_t *majority;

	if (connection->transaction.mode == PNS_MODE_OUTBOX)
	{
		majority = mongoc_write_concern_new();
		mongoc_write_concern_set_w(majority, MONGOC_WRITE_CONCERN_W_MAJORITY);
		mongoc_write_concern_set_wtimeout_int64(majority, PNS_COMMIT_TIMEOUT / 2);
		mongoc_write_concern_append(majority, opts);
		mongoc_write_concern_destroy(majority);
	}
	else if (mongoc_write_concern_is_acknowledged(concern))
		mongoc_write_concern_append((mongoc_write_concern_t *) concern, opts);
}

/*
 * read_reply adds what a reply says to the result, in the current context.  A
 * count that does not fit what was asked is an error of the protocol: no row is
 * taken for written that was not.
 */
static void
read_reply(PnsConnection *connection, const PnsWriteBatch *batch, const Portion *portion,
		   PnsDocument reply, PnsWriteResult *result)
{
	List	   *errors = read_errors(batch, portion, reply);
	int64		count = count_of(reply, "n", -1);

	if (count < 0)
		throw_bad_reply();
	if (batch->kind == PNS_WRITE_UPDATE)
	{
		List	   *upserts = read_upserts(portion, reply);

		result->matched += count - list_length(upserts);
		result->modified += count_of(reply, "nModified", 0);
		result->upserted = list_concat(result->upserted, upserts);
	}
	else
	{
		if (batch->kind == PNS_WRITE_INSERT && errors == NIL && count != portion->count)
			throw_bad_reply();
		result->written += count;
	}
	result->errors = list_concat(result->errors, errors);
	result->commands++;
	if (errors != NIL)
		pns_mongo_lose_transaction(connection,
								   ((PnsWriteError *) linitial(errors))->detail);
}

/* read_upserts gives which operations of a portion have inserted. */
static List *
read_upserts(const Portion *portion, PnsDocument reply)
{
	List	   *upserts = NIL;
	PnsBsonIterator iterator;
	PnsBsonValue value;

	if (!pns_bson_find(reply, "upserted", &value) || value.type != PNS_BSON_ARRAY)
		return NIL;
	pns_bson_iterate(&iterator, pns_bson_value_document(&value));
	while (pns_bson_next(&iterator))
	{
		PnsUpsert  *upsert = palloc(sizeof(PnsUpsert));
		PnsDocument member;
		uint8	   *bytes;

		if (iterator.value.type != PNS_BSON_DOCUMENT)
			throw_bad_reply();
		member = pns_bson_value_document(&iterator.value);
		if (!pns_bson_find(member, "_id", &upsert->id))
			throw_bad_reply();
		upsert->position = portion->first + (int) count_of(member, "index", 0);
		bytes = palloc(Max(upsert->id.size, 1));
		upsert->id.data = memcpy(bytes, upsert->id.data, upsert->id.size);
		upserts = lappend(upserts, upsert);
	}
	return upserts;
}

/*
 * read_errors gives what a reply has of errors: of single operations, or that
 * what was written may not last.
 */
static List *
read_errors(const PnsWriteBatch *batch, const Portion *portion, PnsDocument reply)
{
	List	   *errors = NIL;
	PnsBsonIterator iterator;
	PnsBsonValue value;
	PnsWriteError *error;

	if (pns_bson_find(reply, "writeErrors", &value) && value.type == PNS_BSON_ARRAY)
	{
		pns_bson_iterate(&iterator, pns_bson_value_document(&value));
		while (pns_bson_next(&iterator))
		{
			PnsDocument refusal;
			int64		index;

			if (iterator.value.type != PNS_BSON_DOCUMENT)
				throw_bad_reply();
			refusal = pns_bson_value_document(&iterator.value);
			index = count_of(refusal, "index", -1);
			if (index < 0 || index >= portion->count)
				throw_bad_reply();
			error = palloc0(sizeof(PnsWriteError));
			pns_mongo_describe_write_error(error, batch, portion->first + (int) index, refusal);
			errors = lappend(errors, error);
		}
	}
	if (pns_bson_find(reply, "writeConcernError", &value) && value.type == PNS_BSON_DOCUMENT)
	{
		error = palloc0(sizeof(PnsWriteError));
		pns_mongo_describe_write_error(error, batch, -1, pns_bson_value_document(&value));
		errors = lappend(errors, error);
	}
	return errors;
}

/* count_of gives a number of a reply. */
static int64
count_of(PnsDocument reply, const char *key, int64 otherwise)
{
	PnsBsonValue value;
	float8		number;

	if (!pns_bson_find(reply, key, &value) || !pns_bson_value_number(&value, &number))
		return otherwise;
	return (int64) number;
}

/* throw_bad_reply raises that a reply does not say what it has to. */
static void
throw_bad_reply(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROTOCOL_VIOLATION),
			 errmsg("the MongoDB server's reply does not say what has been written")));
}
