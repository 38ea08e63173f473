/*-------------------------------------------------------------------------
 *
 * path.h
 *	  The tree of the paths that a table's columns read.
 *
 * Private to the codec.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNS_MONGO_PATH_H
#define PNS_MONGO_PATH_H

#include "nodes/pg_list.h"

/* A key below the key above it; the root stands for the document. */
typedef struct PnsPathNode
{
	/* set by pns_path_add */
	const char *key;			/* in UTF-8, zero-terminated */
	uint32		key_size;
	uint64		key_word;		/* the first 8 bytes of the key and its zero, */
	uint64		key_mask;		/* as far as there are so many */
	int			index;			/* the element it means in an array, or -1 */
	List	   *children;
	List	   *columns;		/* the caller's: what reads this value */

	/* set by pns_path_finish */
	uint64		key_sizes;		/* a bit for each length of a child's key */
	struct PnsPathNode **table; /* the children by the hash of their keys */
	uint32		table_mask;
	struct PnsPathNode *next_in_bucket;
	List	   *elements;		/* children that array elements can be, sorted */

	/* the caller's, while documents are walked */
	uint64		seen_in;		/* the number of the last document with it */
	struct PnsPathNode *expected;	/* the child that is likely to come first */
	struct PnsPathNode *follower;	/* the sibling that is likely to come next */
} PnsPathNode;

/* pns_path_size_bit is a key length's bit; long keys share one. */
static inline uint64
pns_path_size_bit(uint32 key_size)
{
	return UINT64CONST(1) << (key_size < 63 ? key_size : 63);
}

/*
 * pns_path_is_key tells whether the key at data, in a document that has its
 * closing zero at end, is a node's.  Most keys are told apart, or recognised,
 * by their first 8 bytes.
 */
static inline bool
pns_path_is_key(const PnsPathNode *node, const uint8 *data, const uint8 *end)
{
	if (end - data <= node->key_size)
		return false;
	if (end - data >= sizeof(uint64))
	{
		uint64		word;

		memcpy(&word, data, sizeof(word));
		if ((word & node->key_mask) != node->key_word)
			return false;
		if (node->key_size < sizeof(word))
			return true;
	}
	return memcmp(data, node->key, node->key_size + 1) == 0;
}

extern PnsPathNode *pns_path_root_create(void);
extern PnsPathNode *pns_path_add(PnsPathNode *root, const char *path);
extern void pns_path_finish(PnsPathNode *root);
extern PnsPathNode *pns_path_find(const PnsPathNode *node, const char *key,
								  uint32 key_size);

#endif							/* PNS_MONGO_PATH_H */
