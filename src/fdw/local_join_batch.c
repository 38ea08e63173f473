/*-------------------------------------------------------------------------
 *
 * local_join_batch.c
 *	  Joins of any rows with a collection, by batches of keys: a batch.
 *
 * A batch ends with join_batch_size distinct keys, with the memory that a hash
 * table may take (work_mem), or where the keys would not fit into a command.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "port/pg_bitutils.h"
#include "utils/array.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "fdw/local_join.h"

/*
 * What the keys of one batch may take in a filter, about; bytes.  Half of what
 * filter.c grants a condition before it sends none at all.
 */
#define LARGEST_KEYS (1024 * 1024)
/* What a key takes beside its own bytes, about. */
#define KEY_OVERHEAD 96

/* A value that a batch sends. */
typedef struct SentKey
{
	Datum		value;			/* in the batch's memory */
	uint32		hash;
	char		status;
} SentKey;

/* A key of the join. */
typedef struct PnsJoinKey
{
	ExprState  *value;			/* of an outer row, over the joined row */
	AttrNumber	column;			/* of the inner plan's row */
	Oid			collation;
	FmgrInfo	hash_outer;
	FmgrInfo	hash_inner;
	Oid			type;			/* of the outer value */
	int16		length;
	bool		by_value;
	char		alignment;
	struct sentkeys_hash *sent; /* of the batch */
	Size		bytes;			/* of their values */
} PnsJoinKey;

/* The rows with one hash of their keys. */
typedef struct RowBucket
{
	uint32		hash;
	PnsJoinRow *rows;
	char		status;
} RowBucket;

static uint32 hash_outer_key(PnsJoinKey *key, Datum value);
static bool is_same_image(const PnsJoinKey *key, Datum left, Datum right);

/* the distinct keys of a batch; private_data is their PnsJoinKey */
#define SH_PREFIX sentkeys
#define SH_ELEMENT_TYPE SentKey
#define SH_KEY_TYPE Datum
#define SH_KEY value
#define SH_HASH_KEY(table, key) hash_outer_key((PnsJoinKey *) (table)->private_data, key)
#define SH_EQUAL(table, left, right) \
	is_same_image((PnsJoinKey *) (table)->private_data, left, right)
#define SH_STORE_HASH
#define SH_GET_HASH(table, element) ((element)->hash)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* the rows of a batch by the hash of all of their keys */
#define SH_PREFIX rowtable
#define SH_ELEMENT_TYPE RowBucket
#define SH_KEY_TYPE uint32
#define SH_KEY hash
#define SH_HASH_KEY(table, key) (key)
#define SH_EQUAL(table, left, right) ((left) == (right))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

static void init_key(PnsJoinKey *key, int number, CustomScan *scan, PlanState *node);
static PnsJoinFit add_keys(PnsJoinBatch *batch, ExprContext *econtext, uint32 *hash);
static bool has_room(PnsJoinBatch *batch, PnsJoinKey *key, Datum value);
static Size key_bytes(const PnsJoinKey *key, Datum value);
static Datum keys_array(const PnsJoinKey *key);
static bool hash_document(PnsJoinBatch *batch, TupleTableSlot *document, uint32 *hash);

/*
 * pns_join_batch_create makes an empty batch for a node, and prepares what its
 * keys are computed and hashed with.
 */
PnsJoinBatch *
pns_join_batch_create(CustomScan *scan, PlanState *node)
{
	PnsJoinBatch *batch = palloc0(sizeof(PnsJoinBatch));
	List	   *values = list_nth(scan->custom_exprs, PNS_JOIN_KEYS);

	batch->size = pns_fdw_join_batch_size;
	batch->memory_limit = get_hash_memory_limit();
	batch->context = AllocSetContextCreate(node->state->es_query_cxt,
										   "pynomaly_store join batch",
										   ALLOCSET_DEFAULT_SIZES);
	batch->nkeys = list_length(values);
	batch->keys = palloc0(sizeof(PnsJoinKey) * batch->nkeys);
	for (int i = 0; i < batch->nkeys; i++)
		init_key(&batch->keys[i], i, scan, node);
	return batch;
}

/*
 * pns_join_batch_clear forgets the rows and their keys.
 */
void
pns_join_batch_clear(PnsJoinBatch *batch)
{
	MemoryContextReset(batch->context);
	batch->table = rowtable_create(batch->context, 256, NULL);
	for (int i = 0; i < batch->nkeys; i++)
	{
		batch->keys[i].sent = sentkeys_create(batch->context, 256, &batch->keys[i]);
		batch->keys[i].bytes = 0;
	}
	batch->first = NULL;
	batch->last = NULL;
}

/*
 * pns_join_batch_is_full tells whether the batch has taken what memory it may.
 */
bool
pns_join_batch_is_full(const PnsJoinBatch *batch)
{
	return batch->first != NULL &&
		MemoryContextMemAllocated(batch->context, false) >= batch->memory_limit;
}

/*
 * pns_join_batch_add adds an outer row, whose columns are in the joined row of
 * econtext too, where the batch has room for its keys.  A row with a NULL
 * among them is kept only with keep_null, to be returned without a match.
 */
PnsJoinFit
pns_join_batch_add(PnsJoinBatch *batch, ExprContext *econtext, TupleTableSlot *slot,
				   bool keep_null)
{
	MemoryContext old = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	uint32		hash;
	PnsJoinFit	fit = add_keys(batch, econtext, &hash);

	MemoryContextSwitchTo(batch->context);
	if (fit == PNS_JOIN_ADDED || (fit == PNS_JOIN_NULL && keep_null))
	{
		PnsJoinRow *row = palloc0(sizeof(PnsJoinRow));

		row->tuple = ExecCopySlotMinimalTuple(slot);
		if (batch->last != NULL)
			batch->last->next = row;
		else
			batch->first = row;
		batch->last = row;
		if (fit == PNS_JOIN_ADDED)
		{
			bool		found;
			RowBucket  *bucket = rowtable_insert(batch->table, hash, &found);

			row->next_same = found ? bucket->rows : NULL;
			bucket->rows = row;
		}
	}
	MemoryContextSwitchTo(old);
	return fit;
}

/*
 * pns_join_batch_arrays makes an array of the distinct values of each key, in
 * the batch's memory, and counts them.
 */
Datum *
pns_join_batch_arrays(PnsJoinBatch *batch, int64 *nvalues)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Datum	   *arrays = palloc(sizeof(Datum) * batch->nkeys);

	*nvalues = 0;
	for (int i = 0; i < batch->nkeys; i++)
	{
		arrays[i] = keys_array(&batch->keys[i]);
		*nvalues += batch->keys[i].sent->members;
	}
	MemoryContextSwitchTo(old);
	return arrays;
}

/*
 * pns_join_batch_find returns the first of the rows with the hash of a
 * document's keys, or NULL where there are none or a key is NULL.
 */
PnsJoinRow *
pns_join_batch_find(PnsJoinBatch *batch, ExprContext *econtext, TupleTableSlot *document)
{
	MemoryContext old = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	PnsJoinRow *rows = NULL;
	uint32		hash;

	if (hash_document(batch, document, &hash))
	{
		RowBucket  *bucket = rowtable_lookup(batch->table, hash);

		rows = bucket != NULL ? bucket->rows : NULL;
	}
	MemoryContextSwitchTo(old);
	return rows;
}

/*
 * init_key prepares the key of a number.
 */
static void
init_key(PnsJoinKey *key, int number, CustomScan *scan, PlanState *node)
{
	Expr	   *value = list_nth(list_nth(scan->custom_exprs, PNS_JOIN_KEYS), number);
	Oid			operator = list_nth_oid(list_nth(scan->custom_private, PNS_JOIN_OPERATORS),
										number);
	RegProcedure hash_inner;
	RegProcedure hash_outer;

	/* elog: the planner has looked them up */
	if (!get_op_hash_functions(operator, &hash_inner, &hash_outer))
		elog(ERROR, "could not find hash function for hash operator %u", operator);
	fmgr_info(hash_inner, &key->hash_inner);
	fmgr_info(hash_outer, &key->hash_outer);

	key->value = ExecInitExpr(value, node);
	key->column = list_nth_int(list_nth(scan->custom_private, PNS_JOIN_COLUMNS), number);
	key->collation = list_nth_oid(list_nth(scan->custom_private, PNS_JOIN_COLLATIONS), number);
	key->type = exprType((Node *) value);
	get_typlenbyvalalign(key->type, &key->length, &key->by_value, &key->alignment);
}

/*
 * add_keys adds the keys of the outer row in the joined row's slot to those
 * that the batch sends, and hashes them together.
 */
static PnsJoinFit
add_keys(PnsJoinBatch *batch, ExprContext *econtext, uint32 *hash)
{
	Datum	   *values = palloc(sizeof(Datum) * batch->nkeys);

	*hash = 0;
	for (int i = 0; i < batch->nkeys; i++)
	{
		PnsJoinKey *key = &batch->keys[i];
		bool		isnull;

		values[i] = ExecEvalExpr(key->value, econtext, &isnull);
		if (isnull)
			return PNS_JOIN_NULL;	/* equals nothing */
		if (key->length == -1)
			values[i] = PointerGetDatum(PG_DETOAST_DATUM_PACKED(values[i]));
		if (!has_room(batch, key, values[i]))
			return PNS_JOIN_NO_ROOM;
		*hash = pg_rotate_left32(*hash, 1) ^ hash_outer_key(key, values[i]);
	}

	for (int i = 0; i < batch->nkeys; i++)
	{
		PnsJoinKey *key = &batch->keys[i];
		bool		found;
		SentKey    *sent = sentkeys_insert(key->sent, values[i], &found);

		if (found)
			continue;
		key->bytes += key_bytes(key, values[i]);
		MemoryContextSwitchTo(batch->context);
		sent->value = datumCopy(values[i], key->by_value, key->length);
		MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	}
	return PNS_JOIN_ADDED;
}

/*
 * has_room tells whether the batch can send a value.  One that is too large by
 * itself goes alone.
 */
static bool
has_room(PnsJoinBatch *batch, PnsJoinKey *key, Datum value)
{
	if (key->sent->members == 0 || sentkeys_lookup(key->sent, value) != NULL)
		return true;
	return key->sent->members < batch->size &&
		key->bytes + key_bytes(key, value) <= LARGEST_KEYS;
}

/*
 * key_bytes estimates what a value takes in a filter, twice itself where both
 * ends of a range are sent.
 */
static Size
key_bytes(const PnsJoinKey *key, Datum value)
{
	return KEY_OVERHEAD + 2 * datumGetSize(value, key->by_value, key->length);
}

/*
 * hash_outer_key hashes a value of an outer row as the key's operator has it.
 */
static uint32
hash_outer_key(PnsJoinKey *key, Datum value)
{
	return DatumGetUInt32(FunctionCall1Coll(&key->hash_outer, key->collation, value));
}

/*
 * is_same_image tells whether two values are the same to the last bit.  Values
 * that are equal without that are sent both.
 */
static bool
is_same_image(const PnsJoinKey *key, Datum left, Datum right)
{
	return datum_image_eq(left, right, key->by_value, key->length);
}

/*
 * keys_array makes an array of the values that a batch sends for a key.
 */
static Datum
keys_array(const PnsJoinKey *key)
{
	Datum	   *values = palloc(sizeof(Datum) * key->sent->members);
	sentkeys_iterator iterator;
	SentKey    *sent;
	int			nvalues = 0;

	sentkeys_start_iterate(key->sent, &iterator);
	while ((sent = sentkeys_iterate(key->sent, &iterator)) != NULL)
		values[nvalues++] = sent->value;
	return PointerGetDatum(construct_array(values, nvalues, key->type, key->length,
										   key->by_value, key->alignment));
}

/*
 * hash_document hashes the keys of a document as add_keys does those of a row.
 * False where one of them is NULL, which equals nothing.
 */
static bool
hash_document(PnsJoinBatch *batch, TupleTableSlot *document, uint32 *hash)
{
	*hash = 0;
	for (int i = 0; i < batch->nkeys; i++)
	{
		PnsJoinKey *key = &batch->keys[i];
		bool		isnull;
		Datum		value = slot_getattr(document, key->column, &isnull);

		if (isnull)
			return false;
		*hash = pg_rotate_left32(*hash, 1) ^
			DatumGetUInt32(FunctionCall1Coll(&key->hash_inner, key->collation, value));
	}
	return true;
}
