/*-------------------------------------------------------------------------
 *
 * put.c
 *	  Putting operations into the outbox.
 *
 * They are rows of a table: a rollback, also to a savepoint, a crash and
 * PREPARE TRANSACTION treat them as they treat all rows.  The writer has no
 * rights on the table; its owner's are used.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "outbox/private.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

/* Rows of one INSERT; the arrays that carry them are limited as any value. */
#define CHUNK_ROWS 1000
#define CHUNK_BYTES (32 * 1024 * 1024)

/* The parameters of the statement that inserts. */
typedef enum InsertParameter
{
	INSERT_SERVER,
	INSERT_ROLE,
	INSERT_DATABASE,
	INSERT_COLLECTION,
	INSERT_KIND,
	INSERT_OPTIONS,
	INSERT_TENANT,
	INSERT_DOCUMENTS,
	INSERT_OPERATIONS,
	INSERT_PARAMETERS
} InsertParameter;

static const Oid insert_types[INSERT_PARAMETERS] = {
	NAMEOID, NAMEOID, TEXTOID, TEXTOID, TEXTOID, BYTEAOID, TEXTOID, INT8ARRAYOID, BYTEAARRAYOID
};

static const char *const kind_names[] = {
	[PNS_WRITE_INSERT] = PNS_OUTBOX_INSERT,
	[PNS_WRITE_UPDATE] = PNS_OUTBOX_UPDATE,
	[PNS_WRITE_DELETE] = PNS_OUTBOX_DELETE
};

/* The transaction that wrote last. */
static FullTransactionId last_writer = {0};

static int64 *number_documents(const PnsWriteBatch *batch);
static void lock_documents(Oid serverid, const PnsWriteBatch *batch, const int64 *documents);
static void insert_entries(Oid serverid, Oid userid, const PnsWriteBatch *batch,
						   const int64 *documents);
static int	insert_chunk(Datum *values, char *nulls, const PnsWriteBatch *batch,
						 const int64 *documents, int first);
static SPIPlanPtr insert_plan(void);
static Datum bytea_datum(PnsDocument document);

/*
 * pns_outbox_route writes a batch in the way of its server's transaction_mode.
 */
PnsWriteResult
pns_outbox_route(PnsConnection *connection, Oid serverid, Oid userid,
				 const PnsWriteBatch *batch)
{
	if (pns_mongo_transaction_mode(serverid) == PNS_MODE_OUTBOX)
		return pns_outbox_write(serverid, userid, batch);
	return pns_mongo_write(connection, batch);
}

/*
 * pns_outbox_write puts a batch into the outbox.
 */
PnsWriteResult
pns_outbox_write(Oid serverid, Oid userid, const PnsWriteBatch *batch)
{
	PnsWriteResult result = {0};
	int64	   *documents;

	if (batch->operations == NIL)
		return result;
	pns_mongo_check_database_name(batch->database);
	pns_mongo_check_collection_name(batch->collection);
	(void) GetUserMapping(userid, serverid);

	documents = number_documents(batch);
	if (batch->kind != PNS_WRITE_INSERT)
		lock_documents(serverid, batch, documents);
	insert_entries(serverid, userid, batch, documents);
	last_writer = GetTopFullTransactionId();

	if (batch->kind == PNS_WRITE_UPDATE)
		result.matched = result.modified = list_length(batch->operations);
	else
		result.written = list_length(batch->operations);
	pfree(documents);
	return result;
}

/*
 * pns_outbox_wrote_in_transaction tells whether the current transaction has put
 * something into the outbox, be it rolled back to a savepoint since.
 */
bool
pns_outbox_wrote_in_transaction(void)
{
	return FullTransactionIdIsValid(last_writer) &&
		FullTransactionIdEquals(last_writer, GetTopFullTransactionIdIfAny());
}

/* number_documents checks the operations, and gives the number of each one's document. */
static int64 *
number_documents(const PnsWriteBatch *batch)
{
	int64	   *documents = palloc(sizeof(int64) * list_length(batch->operations));
	ListCell   *cell;

	foreach(cell, batch->operations)
	{
		PnsDocument operation = *(PnsDocument *) lfirst(cell);
		int			position = foreach_current_index(cell);
		PnsBsonValue id = pns_outbox_document_id(batch->kind, operation);

		pns_outbox_check_operation(batch, position);
		documents[position] = pns_outbox_document_hash(batch->database, batch->collection, &id);
	}
	return documents;
}

/* lock_documents takes the locks of the documents that a batch changes. */
static void
lock_documents(Oid serverid, const PnsWriteBatch *batch, const int64 *documents)
{
	bool		wanted[PNS_OUTBOX_WRITE_LOCKS] = {false};
	uint32		collection;

	for (int i = 0; i < list_length(batch->operations); i++)
		wanted[(uint64) documents[i] % PNS_OUTBOX_WRITE_LOCKS] = true;
	collection = hash_combine(hash_bytes((const unsigned char *) batch->database,
										 strlen(batch->database)),
							  hash_bytes((const unsigned char *) batch->collection,
										 strlen(batch->collection)));
	pns_outbox_lock_documents(serverid, wanted, collection);
}

/* insert_entries inserts the rows, as the table's owner. */
static void
insert_entries(Oid serverid, Oid userid, const PnsWriteBatch *batch, const int64 *documents)
{
	const char *tenant = GetConfigOption("pynomaly_store.tenant", true, false);
	Datum		values[INSERT_PARAMETERS];
	char		nulls[INSERT_PARAMETERS];
	PnsOwnerState saved;
	NameData	server;
	NameData	role;

	namestrcpy(&server, GetForeignServer(serverid)->servername);
	namestrcpy(&role, GetUserNameFromId(userid, false));

	if (SPI_connect() != SPI_OK_CONNECT)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not write into the outbox")));
	pns_base_become_owner("outbox", &saved);

	memset(nulls, ' ', sizeof(nulls));
	values[INSERT_SERVER] = NameGetDatum(&server);
	values[INSERT_ROLE] = NameGetDatum(&role);
	values[INSERT_DATABASE] = CStringGetTextDatum(batch->database);
	values[INSERT_COLLECTION] = CStringGetTextDatum(batch->collection);
	values[INSERT_KIND] = CStringGetTextDatum(kind_names[batch->kind]);
	if (batch->options.size > 0)
		values[INSERT_OPTIONS] = bytea_datum(batch->options);
	else
		nulls[INSERT_OPTIONS] = 'n';
	if (tenant != NULL && tenant[0] != '\0')
		values[INSERT_TENANT] = CStringGetTextDatum(tenant);
	else
		nulls[INSERT_TENANT] = 'n';

	for (int first = 0; first < list_length(batch->operations);)
		first = insert_chunk(values, nulls, batch, documents, first);

	pns_base_end_owner(&saved);
	SPI_finish();
}

/*
 * insert_chunk inserts operations from the given one on, as many as one
 * statement takes, and gives the position of the first that is left.
 */
static int
insert_chunk(Datum *values, char *nulls, const PnsWriteBatch *batch,
			 const int64 *documents, int first)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "outbox chunk",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	int			limit = Min(list_length(batch->operations) - first, CHUNK_ROWS);
	Datum	   *numbers = palloc(sizeof(Datum) * limit);
	Datum	   *operations = palloc(sizeof(Datum) * limit);
	Size		bytes = 0;
	int			n = 0;
	int			result;

	while (n < limit && bytes < CHUNK_BYTES)
	{
		PnsDocument *operation = list_nth(batch->operations, first + n);

		numbers[n] = Int64GetDatum(documents[first + n]);
		operations[n] = bytea_datum(*operation);
		bytes += operation->size;
		n++;
	}
	values[INSERT_DOCUMENTS] =
		PointerGetDatum(construct_array(numbers, n, INT8OID, sizeof(int64),
										FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	values[INSERT_OPERATIONS] =
		PointerGetDatum(construct_array(operations, n, BYTEAOID, -1, false, TYPALIGN_INT));
	result = SPI_execute_plan(insert_plan(), values, nulls, false, 0);
	if (result != SPI_OK_INSERT || SPI_processed != (uint64) n)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not write into the outbox: %s", SPI_result_code_string(result))));
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return first + n;
}

/*
 * insert_plan gives the plan of the statement that inserts, which numbers the
 * entries in the order of the batch.
 */
static SPIPlanPtr
insert_plan(void)
{
	static SPIPlanPtr plan = NULL;
	SPIPlanPtr	fresh;

	if (plan != NULL)
		return plan;
	fresh = SPI_prepare("INSERT INTO pynomaly.outbox (server, role, database, collection, "
						"kind, options, tenant, slot, document, operation) "
						"SELECT $1, $2, $3, $4, $5, $6, $7::uuid, "
						"(u.document & (" CppAsString2(PNS_OUTBOX_SLOTS) " - 1))::int2, "
						"u.document, u.operation "
						"FROM unnest($8, $9) WITH ORDINALITY AS u (document, operation, position) "
						"ORDER BY u.position",
						INSERT_PARAMETERS, (Oid *) insert_types);
	if (fresh == NULL || SPI_keepplan(fresh) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not write into the outbox: %s",
						SPI_result_code_string(SPI_result))));
	plan = fresh;
	return plan;
}

/* bytea_datum gives a document's bytes as a bytea. */
static Datum
bytea_datum(PnsDocument document)
{
	bytea	   *value = palloc(VARHDRSZ + document.size);

	SET_VARSIZE(value, VARHDRSZ + document.size);
	memcpy(VARDATA(value), document.data, document.size);
	return PointerGetDatum(value);
}
