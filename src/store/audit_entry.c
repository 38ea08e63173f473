/*-------------------------------------------------------------------------
 *
 * audit_entry.c
 *	  Writes entries of the audit log, and computes their hashes.
 *
 * An entry goes straight into its partition, past the privileges of the user,
 * who has none on the log.  Its hash covers every column by name, so that a
 * column that a later version adds, being NULL in old entries, leaves theirs
 * as they are.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/socket.h>

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/tupconvert.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "store/audit.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/inet.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

/* The columns of pynomaly.audit_log, in their order. */
enum AuditColumn
{
	AUDIT_CREATED_AT,
	AUDIT_TENANT_ID,
	AUDIT_KIND,
	AUDIT_ACTION,
	AUDIT_RESOURCE_TYPE,
	AUDIT_RESOURCE_KEY,
	AUDIT_OLD_VALUES,
	AUDIT_NEW_VALUES,
	AUDIT_OUTCOME,
	AUDIT_SEVERITY,
	AUDIT_DETAILS,
	AUDIT_USER_ID,
	AUDIT_ROLE_NAME,
	AUDIT_LOGIN_NAME,
	AUDIT_ADDRESS,
	AUDIT_APPLICATION_NAME,
	AUDIT_CORRELATION_ID,
	AUDIT_SYSTEM_ID,
	AUDIT_TRANSACTION_ID,
	AUDIT_CHAIN_ID,
	AUDIT_SEQUENCE,
	AUDIT_PREVIOUS_HASH,
	AUDIT_HASH,
	AUDIT_COLUMNS
};

/* Characters of a correlation id that are kept, as by set_audit_context(). */
#define CORRELATION_ID_MAX	200

/* What the application says of its user; empty where it says nothing. */
static char *user_id_setting = NULL;
static char *address_setting = NULL;
static char *correlation_setting = NULL;

PG_FUNCTION_INFO_V1(pns_store_hash_audit_entry);
PG_FUNCTION_INFO_V1(pns_store_audit_system_id);

PGDLLEXPORT Datum pns_store_hash_audit_entry(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_store_audit_system_id(PG_FUNCTION_ARGS);

static bool check_user_id(char **newval, void **extra, GucSource source);
static bool check_address(char **newval, void **extra, GucSource source);
static void fill_fact(Datum *values, bool *nulls, const AuditFact *fact);
static void fill_who(Datum *values, bool *nulls);
static void fill_place(Datum *values, bool *nulls, const AuditChain *end);
static void set_text(Datum *values, bool *nulls, int column,
					 const char *string);
static void set_jsonb(Datum *values, bool *nulls, int column, Jsonb *jsonb);
static Datum client_address(bool *isnull);
static void insert_entry(Relation log, Datum *values, bool *nulls);
static Oid	partition_of(Relation log, Datum created_at);
static void insert_into(Relation log, Relation partition, Datum *values,
						bool *nulls);
static void hash_row(TupleDesc descriptor, const Datum *values,
					 const bool *nulls, uint8 *digest);
static void append_value(StringInfo buffer, Oid type, Datum value);
static void append_text(StringInfo buffer, const char *bytes, int size);

/*
 * pns_store_audit_entry_init defines the settings of this file.
 */
void
pns_store_audit_entry_init(void)
{
	DefineCustomStringVariable("pynomaly_store.client_address",
							   "The address that the application's user came "
							   "from.",
							   "Empty, the audit log holds that of the "
							   "database's client.",
							   &address_setting, "", PGC_USERSET, 0,
							   check_address, NULL, NULL);
	DefineCustomStringVariable("pynomaly_store.correlation_id",
							   "What the application calls the request that "
							   "it works for.",
							   NULL,
							   &correlation_setting, "", PGC_USERSET, 0,
							   NULL, NULL, NULL);
	DefineCustomStringVariable("pynomaly_store.user_id",
							   "The application's user, for the audit log.",
							   NULL,
							   &user_id_setting, "", PGC_USERSET, 0,
							   check_user_id, NULL, NULL);
}

/*
 * check_user_id lets pass a uuid with its hyphens, or nothing.
 */
static bool
check_user_id(char **newval, void **extra, GucSource source)
{
	const char *text = *newval;

	if (*text == '\0')
		return true;
	for (int i = 0; i < 36; i++)
	{
		bool		hyphen = i == 8 || i == 13 || i == 18 || i == 23;

		if (hyphen ? text[i] != '-' : !isxdigit((unsigned char) text[i]))
			return false;
	}
	return text[36] == '\0';
}

/*
 * check_address lets pass an address of IPv4 or IPv6, or nothing.
 */
static bool
check_address(char **newval, void **extra, GucSource source)
{
	unsigned char buffer[sizeof(inet_struct)];

	return **newval == '\0' ||
		pg_inet_net_pton(PGSQL_AF_INET, *newval, buffer, -1) >= 0 ||
		pg_inet_net_pton(PGSQL_AF_INET6, *newval, buffer, -1) >= 0;
}

/*
 * pns_store_audit_write appends an entry to the log, as the next of the
 * session's chain.
 */
void
pns_store_audit_write(const AuditFact *fact)
{
	Oid			schema = get_namespace_oid("pynomaly", false);
	Oid			oid = get_relname_relid("audit_log", schema);
	Relation	log;
	Datum		values[AUDIT_COLUMNS];
	bool		nulls[AUDIT_COLUMNS];
	AuditChain *chain;
	AuditChain	end;

	if (!OidIsValid(oid))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("there is no table pynomaly.audit_log")));
	log = table_open(oid, RowExclusiveLock);
	if (RelationGetDescr(log)->natts < AUDIT_COLUMNS ||
		log->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("pynomaly.audit_log is not the extension's table")));
	chain = pns_store_audit_chain();
	end = *chain;
	memset(nulls, true, sizeof(nulls));
	fill_fact(values, nulls, fact);
	fill_who(values, nulls);
	fill_place(values, nulls, &end);
	hash_row(RelationGetDescr(log), values, nulls, end.hash);
	end.sequence++;
	nulls[AUDIT_HASH] = false;
	values[AUDIT_HASH] = PointerGetDatum(cstring_to_text_with_len((char *) end.hash,
																  sizeof(end.hash)));
	insert_entry(log, values, nulls);
	*chain = end;
	table_close(log, NoLock);
}

/*
 * fill_fact fills in what happened.
 */
static void
fill_fact(Datum *values, bool *nulls, const AuditFact *fact)
{
	nulls[AUDIT_CREATED_AT] = false;
	values[AUDIT_CREATED_AT] = TimestampTzGetDatum(GetCurrentTimestamp());
	if (fact->tenant != NULL)
	{
		nulls[AUDIT_TENANT_ID] = false;
		values[AUDIT_TENANT_ID] = PointerGetDatum(fact->tenant);
	}
	set_text(values, nulls, AUDIT_KIND, fact->kind);
	set_text(values, nulls, AUDIT_ACTION, fact->action);
	set_text(values, nulls, AUDIT_RESOURCE_TYPE, fact->resource_type);
	set_text(values, nulls, AUDIT_OUTCOME, fact->outcome);
	set_text(values, nulls, AUDIT_SEVERITY, fact->severity);
	set_jsonb(values, nulls, AUDIT_RESOURCE_KEY, fact->resource_key);
	set_jsonb(values, nulls, AUDIT_OLD_VALUES, fact->old_values);
	set_jsonb(values, nulls, AUDIT_NEW_VALUES, fact->new_values);
	set_jsonb(values, nulls, AUDIT_DETAILS, fact->details);
}

/*
 * fill_who fills in who did it: the role that the statement was given as (not
 * the owner of a function that it calls), the login, and the application's
 * user.
 */
static void
fill_who(Datum *values, bool *nulls)
{
	if (*user_id_setting != '\0')
	{
		nulls[AUDIT_USER_ID] = false;
		values[AUDIT_USER_ID] = DirectFunctionCall1(uuid_in,
													CStringGetDatum(user_id_setting));
	}
	set_text(values, nulls, AUDIT_ROLE_NAME,
			 GetUserNameFromId(GetOuterUserId(), true));
	set_text(values, nulls, AUDIT_LOGIN_NAME,
			 GetUserNameFromId(GetSessionUserId(), true));
	values[AUDIT_ADDRESS] = client_address(&nulls[AUDIT_ADDRESS]);
	if (application_name != NULL && *application_name != '\0')
		set_text(values, nulls, AUDIT_APPLICATION_NAME, application_name);
	if (*correlation_setting != '\0')
		set_text(values, nulls, AUDIT_CORRELATION_ID,
				 pnstrdup(correlation_setting,
						  pg_mbcharcliplen(correlation_setting,
										   strlen(correlation_setting),
										   CORRELATION_ID_MAX)));
}

/*
 * fill_place fills in the entry's place: its transaction, and what it comes
 * after in its chain.
 */
static void
fill_place(Datum *values, bool *nulls, const AuditChain *end)
{
	nulls[AUDIT_SYSTEM_ID] = nulls[AUDIT_TRANSACTION_ID] = false;
	nulls[AUDIT_CHAIN_ID] = nulls[AUDIT_SEQUENCE] = false;
	values[AUDIT_SYSTEM_ID] = Int64GetDatum((int64) GetSystemIdentifier());
	values[AUDIT_TRANSACTION_ID] =
		Int64GetDatum((int64) U64FromFullTransactionId(GetTopFullTransactionId()));
	values[AUDIT_CHAIN_ID] = Int64GetDatum(end->id);
	values[AUDIT_SEQUENCE] = Int64GetDatum(end->sequence + 1);
	if (end->sequence > 0)
	{
		nulls[AUDIT_PREVIOUS_HASH] = false;
		values[AUDIT_PREVIOUS_HASH] =
			PointerGetDatum(cstring_to_text_with_len((const char *) end->hash,
													 sizeof(end->hash)));
	}
}

/* set_text sets a column of type text, where there is a string. */
static void
set_text(Datum *values, bool *nulls, int column, const char *string)
{
	if (string == NULL)
		return;
	nulls[column] = false;
	values[column] = CStringGetTextDatum(string);
}

/* set_jsonb sets a column of type jsonb, where there is a value. */
static void
set_jsonb(Datum *values, bool *nulls, int column, Jsonb *jsonb)
{
	if (jsonb == NULL)
		return;
	nulls[column] = false;
	values[column] = JsonbPGetDatum(jsonb);
}

/*
 * client_address returns the address that the application says, else that of
 * the database's client, which does not change.
 */
static Datum
client_address(bool *isnull)
{
	static bool known = false;
	static Datum client = (Datum) 0;

	*isnull = false;
	if (*address_setting != '\0')
		return DirectFunctionCall1(inet_in, CStringGetDatum(address_setting));
	if (!known)
	{
		LOCAL_FCINFO(fcinfo, 0);
		Datum		address;

		InitFunctionCallInfoData(*fcinfo, NULL, 0, InvalidOid, NULL, NULL);
		address = inet_client_addr(fcinfo);
		if (!fcinfo->isnull)
		{
			MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

			client = datumCopy(address, false, -1);
			MemoryContextSwitchTo(caller);
		}
		known = true;
	}
	*isnull = client == (Datum) 0;
	return client;
}

/*
 * insert_entry inserts an entry into the log's partition for it.
 */
static void
insert_entry(Relation log, Datum *values, bool *nulls)
{
	Relation	partition = table_open(partition_of(log, values[AUDIT_CREATED_AT]),
									   RowExclusiveLock);

	insert_into(log, partition, values, nulls);
	table_close(partition, NoLock);
}

/*
 * partition_of returns the partition that holds entries of a time.
 */
static Oid
partition_of(Relation log, Datum created_at)
{
	PartitionKey key = RelationGetPartitionKey(log);
	PartitionDesc partitions = RelationGetPartitionDesc(log, true);
	int			index = -1;

	if (partitions->nparts > 0)
	{
		bool		equal;
		int			bound = partition_range_datum_bsearch(key->partsupfunc,
														  key->partcollation,
														  partitions->boundinfo,
														  1, &created_at, &equal);

		index = partitions->boundinfo->indexes[bound + 1];
		if (index < 0)
			index = partitions->boundinfo->default_index;
	}
	if (index < 0)
		ereport(ERROR, (errcode(ERRCODE_CHECK_VIOLATION),
						errmsg("pynomaly.audit_log has no partition for this time"),
						errhint("Call pynomaly.maintain_partitions.")));
	return partitions->oids[index];
}

/*
 * insert_into inserts a row of the log into one of its partitions, whose
 * columns may stand in another order.
 *
 * The row and the partition being of our making, neither constraints are
 * checked, which would cost more than all the rest, nor triggers fired.
 */
static void
insert_into(Relation log, Relation partition, Datum *values, bool *nulls)
{
	EState	   *estate = CreateExecutorState();
	ResultRelInfo *result = makeNode(ResultRelInfo);
	TupleConversionMap *map = convert_tuples_by_name(RelationGetDescr(log),
													 RelationGetDescr(partition));
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(log),
													&TTSOpsVirtual);
	TupleTableSlot *stored = slot;

	for (int i = 0; i < RelationGetDescr(log)->natts; i++)
	{
		slot->tts_isnull[i] = i >= AUDIT_COLUMNS || nulls[i];
		slot->tts_values[i] = i >= AUDIT_COLUMNS ? (Datum) 0 : values[i];
	}
	ExecStoreVirtualTuple(slot);
	if (map != NULL)
	{
		stored = MakeSingleTupleTableSlot(RelationGetDescr(partition),
										  &TTSOpsVirtual);
		execute_attr_map_slot(map->attrMap, slot, stored);
	}
	InitResultRelInfo(result, partition, 0, NULL, 0);
	ExecOpenIndices(result, false);
	table_tuple_insert(partition, stored, GetCurrentCommandId(true), 0, NULL);
	pns_insert_index_tuples(result, stored, estate);
	ExecCloseIndices(result);
	if (stored != slot)
		ExecDropSingleTupleTableSlot(stored);
	ExecDropSingleTupleTableSlot(slot);
	FreeExecutorState(estate);
}

/*
 * pns_store_hash_audit_entry returns the hash that an entry of the log must
 * have.
 */
Datum
pns_store_hash_audit_entry(PG_FUNCTION_ARGS)
{
	HeapTupleHeader row = PG_GETARG_HEAPTUPLEHEADER(0);
	TupleDesc	descriptor = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(row),
													HeapTupleHeaderGetTypMod(row));
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(row),.t_data = row};
	Datum	   *values = palloc(descriptor->natts * sizeof(Datum));
	bool	   *nulls = palloc(descriptor->natts * sizeof(bool));
	uint8		digest[PG_SHA256_DIGEST_LENGTH];

	heap_deform_tuple(&tuple, descriptor, values, nulls);
	hash_row(descriptor, values, nulls, digest);
	ReleaseTupleDesc(descriptor);
	PG_RETURN_BYTEA_P(cstring_to_text_with_len((char *) digest, sizeof(digest)));
}

/*
 * pns_store_audit_system_id returns the identifier of the cluster, beyond
 * which its transactions' numbers mean nothing.
 */
Datum
pns_store_audit_system_id(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64((int64) GetSystemIdentifier());
}

/*
 * hash_row computes the SHA-256 of all columns but the hash, by name.
 */
static void
hash_row(TupleDesc descriptor, const Datum *values, const bool *nulls,
		 uint8 *digest)
{
	StringInfoData buffer;
	int			columns = Min(descriptor->natts, AUDIT_COLUMNS);

	initStringInfo(&buffer);
	for (int i = 0; i < columns; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(descriptor, i);

		if (i == AUDIT_HASH || nulls[i] || attribute->attisdropped)
			continue;
		append_text(&buffer, NameStr(attribute->attname),
					strlen(NameStr(attribute->attname)));
		append_value(&buffer, attribute->atttypid, values[i]);
	}
	pns_store_sha256(buffer.data, buffer.len, digest);
	pfree(buffer.data);
}

/*
 * append_value appends a value in a form that depends neither on settings nor
 * on the machine; text in UTF-8.
 */
static void
append_value(StringInfo buffer, Oid type, Datum value)
{
	char	   *string;

	switch (type)
	{
		case INT8OID:
		case TIMESTAMPTZOID:
			pq_sendint64(buffer, DatumGetInt64(value));
			return;
		case UUIDOID:
			appendBinaryStringInfo(buffer, DatumGetPointer(value), UUID_LEN);
			return;
		case BYTEAOID:
			appendBinaryStringInfo(buffer, VARDATA_ANY(PG_DETOAST_DATUM_PACKED(value)),
								   VARSIZE_ANY_EXHDR(PG_DETOAST_DATUM_PACKED(value)));
			return;
		case JSONBOID:
			{
				Jsonb	   *jsonb = DatumGetJsonbP(value);

				string = JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb));
				break;
			}
		case INETOID:
			string = DatumGetCString(DirectFunctionCall1(inet_out, value));
			break;
		default:
			string = TextDatumGetCString(value);
	}
	append_text(buffer, string, strlen(string));
}

/* append_text appends a string in UTF-8, behind its length. */
static void
append_text(StringInfo buffer, const char *bytes, int size)
{
	char	   *utf8 = pg_server_to_any(bytes, size, PG_UTF8);

	if (utf8 != bytes)
		size = strlen(utf8);
	pq_sendint32(buffer, size);
	appendBinaryStringInfo(buffer, utf8, size);
}

/*
 * pns_store_sha256 computes a SHA-256.
 */
void
pns_store_sha256(const void *bytes, size_t size, uint8 *digest)
{
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);
	bool		good = pg_cryptohash_init(context) >= 0 &&
	pg_cryptohash_update(context, bytes, size) >= 0 &&
	pg_cryptohash_final(context, digest, PG_SHA256_DIGEST_LENGTH) >= 0;

	pg_cryptohash_free(context);
	if (!good)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("could not compute a SHA-256")));
}
