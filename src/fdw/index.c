/*-------------------------------------------------------------------------
 *
 * index.c
 *	  What is known of the indexes of a collection.
 *
 * The planner must not ask a server for them, unless use_remote_estimate says
 * so.  Therefore ANALYZE writes them into the table pynomaly.remote_indexes,
 * which the planner reads once per table and backend.  With
 * use_remote_estimate it asks the server instead, and remembers that for a
 * while.
 *
 * Only indexes that serve comparisons and orders are of interest: not those of
 * a special kind, nor partial ones, nor those that compare strings in another
 * way than by their bytes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "fdw/private.h"

/* How long a server's answer is good for, in milliseconds. */
#define ANSWER_LIFETIME 60000

/* The columns of pynomaly.remote_indexes. */
typedef enum IndexColumn
{
	INDEX_RELID = 1,
	INDEX_NAME,
	INDEX_PATHS,
	INDEX_DESCENDING,
	INDEX_SPARSE
} IndexColumn;

#define INDEX_COLUMNS INDEX_SPARSE

/* What is known of one table's collection. */
typedef struct IndexEntry
{
	Oid			relid;			/* hash key */
	bool		answered;		/* by the server, else by the table */
	TimestampTz when;			/* answered */
	MemoryContext context;		/* owns indexes */
	List	   *indexes;		/* of PnsIndex */
} IndexEntry;

static HTAB *known_indexes = NULL;

static IndexEntry *remember(Oid relid, List *indexes, bool answered);
static List *read_indexes(Oid relid);
static PnsIndex *read_index(HeapTuple tuple, TupleDesc tupdesc);
static List *fetch_indexes(const PnsTable *table, Oid userid);
static PnsIndex *describe_index(PnsDocument description);
static bool add_key(PnsIndex *index, const PnsBsonIterator *key);
static char *portable_name(const char *name);
static bool has_member(PnsDocument document, const char *key);
static void insert_index(Relation relation, Oid relid, const PnsIndex *index);
static void delete_indexes(Relation relation, Oid relid);
static bool is_stale(HeapTuple tuple, TupleDesc tupdesc);
static Relation open_table(LOCKMODE mode);
static List *copy_indexes(List *indexes);
static void create_cache(void);
static void forget_table(Datum arg, Oid relid);
static void forget_entry(IndexEntry *entry);

/*
 * pns_fdw_known_indexes lists what is known of the indexes of a table's
 * collection, in the current context.
 *
 * Errors: with use_remote_estimate those of the connection and the command.
 */
List *
pns_fdw_known_indexes(const PnsTable *table, Oid userid)
{
	bool		ask = table->use_remote_estimate;
	IndexEntry *entry;

	if (known_indexes == NULL)
		create_cache();

	entry = hash_search(known_indexes, &table->relid, HASH_FIND, NULL);
	if (entry == NULL || entry->answered != ask ||
		(ask && TimestampDifferenceExceeds(entry->when, GetCurrentTimestamp(),
										   ANSWER_LIFETIME)))
		entry = remember(table->relid,
						 ask ? fetch_indexes(table, userid) : read_indexes(table->relid),
						 ask);
	return copy_indexes(entry->indexes);
}

/*
 * pns_fdw_learn_indexes asks the server for the indexes of a table's
 * collection, and keeps them in the database.  What is there of tables that
 * have been dropped goes on that occasion, if nobody else is about to do so.
 *
 * Errors: those of the connection and of the command.
 */
void
pns_fdw_learn_indexes(const PnsTable *table, Oid userid)
{
	List	   *indexes = fetch_indexes(table, userid);
	Relation	relation = open_table(RowExclusiveLock);
	ListCell   *lc;

	delete_indexes(relation, table->relid);
	foreach(lc, indexes)
		insert_index(relation, table->relid, (PnsIndex *) lfirst(lc));
	/* of those who do this only the first does, until its transaction ends */
	if (ConditionalLockRelationOid(RelationGetRelid(relation), ShareUpdateExclusiveLock))
		delete_indexes(relation, InvalidOid);
	table_close(relation, NoLock);
	CacheInvalidateRelcacheByRelid(table->relid);
}

/*
 * remember puts what is known of a table into the cache.
 */
static IndexEntry *
remember(Oid relid, List *indexes, bool answered)
{
	MemoryContext context = AllocSetContextCreate(CacheMemoryContext,
												  "pynomaly_store remote indexes",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	List	   *copy = copy_indexes(indexes);
	IndexEntry *entry;
	bool		found;

	MemoryContextSwitchTo(old);
	entry = hash_search(known_indexes, &relid, HASH_ENTER, &found);
	if (found)
		MemoryContextDelete(entry->context);
	entry->context = context;
	entry->indexes = copy;
	entry->answered = answered;
	entry->when = GetCurrentTimestamp();
	return entry;
}

/*
 * read_indexes lists what ANALYZE has found, and where it has not been yet the
 * index that every collection has.
 */
static List *
read_indexes(Oid relid)
{
	Relation	relation = open_table(AccessShareLock);
	List	   *indexes = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, INDEX_RELID, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(relation, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		indexes = lappend(indexes, read_index(tuple, RelationGetDescr(relation)));

	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	if (indexes == NIL && !pns_fdw_is_analyzed(relid))
	{
		PnsIndex   *index = palloc0(sizeof(PnsIndex));

		index->name = "_id_";
		index->paths = list_make1("_id");
		index->descending = list_make1_int(false);
		indexes = list_make1(index);
	}
	return indexes;
}

/*
 * pns_fdw_is_analyzed tells whether ANALYZE has read a table.
 */
bool
pns_fdw_is_analyzed(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	bool		analyzed;

	/* elog: the planner has the table open */
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	analyzed = ((Form_pg_class) GETSTRUCT(tuple))->reltuples >= 0;
	ReleaseSysCache(tuple);
	return analyzed;
}

/*
 * read_index makes an index of a row of pynomaly.remote_indexes, which has no
 * NULLs.
 */
static PnsIndex *
read_index(HeapTuple tuple, TupleDesc tupdesc)
{
	PnsIndex   *index = palloc0(sizeof(PnsIndex));
	Datum		values[INDEX_COLUMNS];
	bool		nulls[INDEX_COLUMNS];
	Datum	   *paths;
	Datum	   *descending;
	int			npaths;
	int			ndescending;

	heap_deform_tuple(tuple, tupdesc, values, nulls);
	index->name = TextDatumGetCString(values[INDEX_NAME - 1]);
	index->sparse = DatumGetBool(values[INDEX_SPARSE - 1]);
	deconstruct_array(DatumGetArrayTypeP(values[INDEX_PATHS - 1]), TEXTOID, -1, false,
					  TYPALIGN_INT, &paths, NULL, &npaths);
	deconstruct_array(DatumGetArrayTypeP(values[INDEX_DESCENDING - 1]), BOOLOID, 1, true,
					  TYPALIGN_CHAR, &descending, NULL, &ndescending);
	for (int i = 0; i < Min(npaths, ndescending); i++)
	{
		index->paths = lappend(index->paths, TextDatumGetCString(paths[i]));
		index->descending = lappend_int(index->descending, DatumGetBool(descending[i]));
	}
	return index;
}

/*
 * fetch_indexes asks the server.  A view has no indexes, and what is no plain
 * collection none that would be known by its fields' names.
 */
static List *
fetch_indexes(const PnsTable *table, Oid userid)
{
	PnsConnection *connection = pns_mongo_get_connection(table->serverid, userid);
	char	   *type = pns_fdw_collection_type(connection, table);
	List	   *indexes = NIL;
	PnsBsonBuilder builder;
	PnsDocument description;
	PnsCursor  *cursor;

	if (type == NULL || strcmp(type, "collection") != 0)
		return NIL;

	pns_bson_begin(&builder);
	pns_bson_append_text(&builder, "listIndexes", table->collection);
	cursor = pns_mongo_command_cursor(connection, table->database, pns_bson_end(&builder));
	pns_mongo_cursor_outside(cursor);
	while (pns_mongo_cursor_next(cursor, &description))
	{
		PnsIndex   *index = describe_index(description);

		if (index != NULL)
			indexes = lappend(indexes, index);
	}
	pns_mongo_cursor_close(cursor);
	return indexes;
}

/*
 * describe_index makes an index of what a server says of one, NULL where it is
 * of no use here.
 */
static PnsIndex *
describe_index(PnsDocument description)
{
	PnsIndex   *index = palloc0(sizeof(PnsIndex));
	PnsBsonIterator key;
	PnsBsonValue value;

	if (has_member(description, "partialFilterExpression") ||
		has_member(description, "collation") ||
		has_member(description, "hidden"))
		return NULL;
	index->sparse = has_member(description, "sparse");

	if (!pns_bson_find(description, "name", &value) || value.type != PNS_BSON_STRING)
		return NULL;
	index->name = portable_name(pns_bson_value_string(&value, NULL));
	if (index->name == NULL || !pns_bson_find(description, "key", &value) ||
		value.type != PNS_BSON_DOCUMENT)
		return NULL;
	pns_bson_iterate(&key, pns_bson_value_document(&value));
	while (pns_bson_next(&key))
	{
		if (!add_key(index, &key))
			return NULL;
	}
	return index;
}

/*
 * add_key adds a field to an index: false where the index is not of the kind
 * that compares values (its "text" and the like are no numbers), or its name
 * cannot be said in the database's encoding.
 */
static bool
add_key(PnsIndex *index, const PnsBsonIterator *key)
{
	char	   *path = portable_name(key->key);
	float8		direction;

	if (path == NULL || strstr(path, "$**") != NULL ||
		!pns_bson_value_number(&key->value, &direction))
		return false;
	index->paths = lappend(index->paths, path);
	index->descending = lappend_int(index->descending, direction < 0);
	return true;
}

/*
 * portable_name copies a name of the server's that is the same in the
 * database's encoding, NULL where it is not.
 */
static char *
portable_name(const char *name)
{
	size_t		size = strlen(name);
	bool		same = GetDatabaseEncoding() == PG_UTF8 &&
	pg_verify_mbstr(PG_UTF8, name, size, true);

	for (size_t i = 0; i < size && !same; i++)
	{
		if (IS_HIGHBIT_SET(name[i]))
			return NULL;
	}
	return pstrdup(name);
}

/*
 * has_member tells whether a document has a member that does not say no.
 */
static bool
has_member(PnsDocument document, const char *key)
{
	PnsBsonValue value;

	if (!pns_bson_find(document, key, &value))
		return false;
	return value.type != PNS_BSON_BOOL || *value.data != 0;
}

/*
 * insert_index writes an index into the table.
 */
static void
insert_index(Relation relation, Oid relid, const PnsIndex *index)
{
	int			nkeys = list_length(index->paths);
	Datum	   *paths = palloc(sizeof(Datum) * nkeys);
	Datum	   *descending = palloc(sizeof(Datum) * nkeys);
	Datum		values[INDEX_COLUMNS];
	bool		nulls[INDEX_COLUMNS] = {false};
	ListCell   *path;
	ListCell   *direction;
	int			i = 0;

	forboth(path, index->paths, direction, index->descending)
	{
		paths[i] = CStringGetTextDatum((char *) lfirst(path));
		descending[i++] = BoolGetDatum(lfirst_int(direction) != 0);
	}
	values[INDEX_RELID - 1] = ObjectIdGetDatum(relid);
	values[INDEX_NAME - 1] = CStringGetTextDatum(index->name);
	values[INDEX_PATHS - 1] =
		PointerGetDatum(construct_array(paths, nkeys, TEXTOID, -1, false, TYPALIGN_INT));
	values[INDEX_DESCENDING - 1] =
		PointerGetDatum(construct_array(descending, nkeys, BOOLOID, 1, true, TYPALIGN_CHAR));
	values[INDEX_SPARSE - 1] = BoolGetDatum(index->sparse);
	CatalogTupleInsert(relation,
					   heap_form_tuple(RelationGetDescr(relation), values, nulls));
}

/*
 * delete_indexes deletes the rows of a table, or where that is InvalidOid those
 * of all tables that are no more.
 */
static void
delete_indexes(Relation relation, Oid relid)
{
	int			nkeys = OidIsValid(relid) ? 1 : 0;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, INDEX_RELID, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(relation, InvalidOid, false, NULL, nkeys, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (nkeys > 0 || is_stale(tuple, RelationGetDescr(relation)))
			CatalogTupleDelete(relation, &tuple->t_self);
	}
	systable_endscan(scan);
	CommandCounterIncrement();
}

/*
 * is_stale tells whether a row is of a table that has been dropped.
 */
static bool
is_stale(HeapTuple tuple, TupleDesc tupdesc)
{
	bool		isnull;
	Datum		relid = heap_getattr(tuple, INDEX_RELID, tupdesc, &isnull);

	return !SearchSysCacheExists1(RELOID, relid);
}

/*
 * open_table opens pynomaly.remote_indexes.
 */
static Relation
open_table(LOCKMODE mode)
{
	Oid			schema = get_namespace_oid("pynomaly", false);
	Oid			relid = get_relname_relid("remote_indexes", schema);

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"pynomaly.remote_indexes\" does not exist"),
				 errhint("It is a part of the extension pynomaly_store.")));
	return table_open(relid, mode);
}

/*
 * copy_indexes copies a list of indexes into the current context.
 */
static List *
copy_indexes(List *indexes)
{
	List	   *copies = NIL;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		const PnsIndex *index = (PnsIndex *) lfirst(lc);
		PnsIndex   *copy = palloc(sizeof(PnsIndex));
		ListCell   *path;

		copy->name = pstrdup(index->name);
		copy->paths = NIL;
		foreach(path, index->paths)
			copy->paths = lappend(copy->paths, pstrdup((char *) lfirst(path)));
		copy->descending = list_copy(index->descending);
		copy->sparse = index->sparse;
		copies = lappend(copies, copy);
	}
	return copies;
}

/*
 * create_cache makes the cache, which lives as long as the backend.
 */
static void
create_cache(void)
{
	HASHCTL		control;

	control.keysize = sizeof(Oid);
	control.entrysize = sizeof(IndexEntry);
	known_indexes = hash_create("pynomaly_store remote indexes", 32, &control,
								HASH_ELEM | HASH_BLOBS);
	CacheRegisterRelcacheCallback(forget_table, (Datum) 0);
}

/*
 * forget_table forgets what is known of a table that was altered or analyzed,
 * InvalidOid stands for all.
 */
static void
forget_table(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	IndexEntry *entry;

	if (OidIsValid(relid))
	{
		entry = hash_search(known_indexes, &relid, HASH_FIND, NULL);
		if (entry != NULL)
			forget_entry(entry);
		return;
	}
	hash_seq_init(&status, known_indexes);
	while ((entry = hash_seq_search(&status)) != NULL)
		forget_entry(entry);
}

/*
 * forget_entry removes an entry from the cache.
 */
static void
forget_entry(IndexEntry *entry)
{
	MemoryContextDelete(entry->context);
	(void) hash_search(known_indexes, &entry->relid, HASH_REMOVE, NULL);
}
