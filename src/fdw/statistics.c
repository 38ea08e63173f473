/*-------------------------------------------------------------------------
 *
 * statistics.c
 *	  What the server knows of a collection's size.
 *
 * Planning may ask for it for every query, so it is kept for a short while in
 * each backend.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "fdw/private.h"

/* How long an answer is good for, in milliseconds. */
#define STATS_LIFETIME 60000

/* What a cached answer is for: options may change, so the names are in it. */
typedef struct StatsKey
{
	Oid			relid;
	Oid			userid;
	uint32		name_hash;		/* of database and collection */
} StatsKey;

typedef struct StatsEntry
{
	StatsKey	key;
	TimestampTz fetched;
	PnsCollectionStats stats;
} StatsEntry;

static HTAB *stats_cache = NULL;

static PnsCollectionStats fetch_stats(const PnsTable *table, Oid userid);
static float8 count_documents(PnsConnection *connection, const PnsTable *table);
static StatsKey make_key(const PnsTable *table, Oid userid);
static void create_cache(void);
static void forget_all(Datum arg, int cacheid, uint32 hashvalue);

/*
 * pns_fdw_collection_stats returns the number and size of a collection's
 * documents, as the server last said; with fresh, as it says now.
 *
 * Errors: those of the connection and of the command.
 */
PnsCollectionStats
pns_fdw_collection_stats(const PnsTable *table, Oid userid, bool fresh)
{
	StatsKey	key = make_key(table, userid);
	PnsCollectionStats stats;
	StatsEntry *entry;

	if (stats_cache == NULL)
		create_cache();

	entry = hash_search(stats_cache, &key, HASH_FIND, NULL);
	if (!fresh && entry != NULL &&
		!TimestampDifferenceExceeds(entry->fetched, GetCurrentTimestamp(), STATS_LIFETIME))
		return entry->stats;

	/* an error here leaves the cache as it was */
	stats = fetch_stats(table, userid);
	entry = hash_search(stats_cache, &key, HASH_ENTER, NULL);
	entry->stats = stats;
	entry->fetched = GetCurrentTimestamp();
	return stats;
}

/*
 * fetch_stats asks the server: collStats of a collection; of what has no size
 * of its own, a view or a time series, the count.  A collection that is not
 * there is empty.
 */
static PnsCollectionStats
fetch_stats(const PnsTable *table, Oid userid)
{
	PnsConnection *connection = pns_mongo_get_connection(table->serverid, userid);
	char	   *type = pns_fdw_collection_type(connection, table);
	PnsCollectionStats stats = {0, 0};
	PnsBsonBuilder builder;
	PnsDocument reply;
	PnsBsonValue value;

	if (type == NULL)
		return stats;
	if (strcmp(type, "collection") != 0)
	{
		stats.documents = count_documents(connection, table);
		return stats;
	}

	pns_bson_begin(&builder);
	pns_bson_append_text(&builder, "collStats", table->collection);
	reply = pns_mongo_inspect(connection, table->database, pns_bson_end(&builder));

	if (pns_bson_find(reply, "count", &value))
		(void) pns_bson_value_number(&value, &stats.documents);
	if (pns_bson_find(reply, "size", &value))
		(void) pns_bson_value_number(&value, &stats.bytes);
	return stats;
}

/*
 * pns_fdw_collection_type asks the server of what type a table's collection is, NULL
 * where there is none.  Whoever may read the collection may ask that.
 */
char *
pns_fdw_collection_type(PnsConnection *connection, const PnsTable *table)
{
	PnsBsonBuilder builder;
	PnsCursor  *cursor;
	PnsDocument description;
	PnsBsonValue value;
	char	   *type = NULL;

	pns_bson_begin(&builder);
	pns_bson_append_int32(&builder, "listCollections", 1);
	pns_bson_open_document(&builder, "filter");
	pns_bson_append_text(&builder, "name", table->collection);
	pns_bson_close(&builder);
	pns_bson_append_bool(&builder, "nameOnly", true);
	pns_bson_append_bool(&builder, "authorizedCollections", true);
	cursor = pns_mongo_command_cursor(connection, table->database, pns_bson_end(&builder));
	pns_mongo_cursor_outside(cursor);

	if (pns_mongo_cursor_next(cursor, &description) &&
		pns_bson_find(description, "type", &value) && value.type == PNS_BSON_STRING)
		type = pstrdup(pns_bson_value_string(&value, NULL));
	pns_mongo_cursor_close(cursor);
	return type;
}

/*
 * count_documents counts the documents of a table's collection.  By $group,
 * as not all servers agree on what $count says of none.
 */
static float8
count_documents(PnsConnection *connection, const PnsTable *table)
{
	PnsBsonBuilder builder;
	PnsCursor  *cursor;
	PnsDocument reply;
	PnsBsonValue value;
	float8		count = 0;

	pns_bson_begin(&builder);
	pns_bson_open_document(&builder, "0");
	pns_bson_open_document(&builder, "$group");
	pns_bson_append_null(&builder, "_id");
	pns_bson_open_document(&builder, "count");
	pns_bson_append_int32(&builder, "$sum", 1);
	pns_bson_close(&builder);
	pns_bson_close(&builder);
	pns_bson_close(&builder);
	cursor = pns_mongo_aggregate(connection, table->database, table->collection,
								 pns_bson_end(&builder), pns_fdw_empty_document(), 0);
	pns_mongo_cursor_outside(cursor);

	if (pns_mongo_cursor_next(cursor, &reply) && pns_bson_find(reply, "count", &value))
		(void) pns_bson_value_number(&value, &count);
	pns_mongo_cursor_close(cursor);
	return count;
}

/*
 * make_key makes the key of a table's entry.
 */
static StatsKey
make_key(const PnsTable *table, Oid userid)
{
	char	   *label = pns_fdw_table_label(table);
	StatsKey	key;

	MemSet(&key, 0, sizeof(key));
	key.relid = table->relid;
	key.userid = userid;
	key.name_hash = string_hash(label, strlen(label) + 1);
	return key;
}

/*
 * create_cache makes the cache, which lives as long as the backend.
 */
static void
create_cache(void)
{
	HASHCTL		control;

	control.keysize = sizeof(StatsKey);
	control.entrysize = sizeof(StatsEntry);
	stats_cache = hash_create("pynomaly_store collection statistics", 32, &control,
							  HASH_ELEM | HASH_BLOBS);
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, forget_all, (Datum) 0);
}

/*
 * forget_all empties the cache when the definition of a server has changed,
 * whichever it is: asking again costs little.
 */
static void
forget_all(Datum arg, int cacheid, uint32 hashvalue)
{
	HASH_SEQ_STATUS status;
	StatsEntry *entry;

	hash_seq_init(&status, stats_cache);
	while ((entry = hash_seq_search(&status)) != NULL)
		(void) hash_search(stats_cache, &entry->key, HASH_REMOVE, NULL);
}
