/*-------------------------------------------------------------------------
 *
 * key.c
 *	  A document's number in the outbox: a hash of its _id.
 *
 * Two values that MongoDB takes for one _id have one number; that two others
 * may have one too costs nothing but an order among them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "outbox/private.h"

#include <math.h>

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/float.h"

static uint64 add_value(uint64 hash, const PnsBsonValue *value);
static uint64 add_bytes(uint64 hash, const void *bytes, uint32 size);

/*
 * pns_outbox_document_hash gives the number of a document, by its collection
 * and _id.
 */
int64
pns_outbox_document_hash(const char *database, const char *collection,
						 const PnsBsonValue *id)
{
	uint64		hash = 0;

	hash = add_bytes(hash, database, strlen(database) + 1);
	hash = add_bytes(hash, collection, strlen(collection) + 1);
	return (int64) add_value(hash, id);
}

/*
 * add_value adds a value to a hash.  Numbers are compared by what they say
 * whatever their types, inside of sub-documents too, and so are strings and
 * symbols.
 */
static uint64
add_value(uint64 hash, const PnsBsonValue *value)
{
	uint8		type = (uint8) value->type;
	float8		number;
	PnsBsonIterator iterator;

	check_stack_depth();
	if (pns_bson_value_number(value, &number))
	{
		type = PNS_BSON_DOUBLE;
		if (isnan(number))
			number = get_float8_nan();
		else if (number == 0)
			number = 0;			/* whatever its sign */
		hash = add_bytes(hash, &type, 1);
		return add_bytes(hash, &number, sizeof(number));
	}

	if (value->type == PNS_BSON_SYMBOL)
		type = PNS_BSON_STRING;
	hash = add_bytes(hash, &type, 1);
	if (value->type != PNS_BSON_DOCUMENT && value->type != PNS_BSON_ARRAY)
		return add_bytes(hash, value->data, value->size);

	pns_bson_iterate(&iterator, pns_bson_value_document(value));
	while (pns_bson_next(&iterator))
	{
		hash = add_bytes(hash, iterator.key, iterator.key_size + 1);
		hash = add_value(hash, &iterator.value);
	}
	return hash;
}

/* add_bytes adds bytes to a hash. */
static uint64
add_bytes(uint64 hash, const void *bytes, uint32 size)
{
	return hash_combine64(hash, hash_bytes_extended(bytes, size, 0));
}
