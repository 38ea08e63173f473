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

extern PnsPathNode *pns_path_root_create(void);
extern PnsPathNode *pns_path_add(PnsPathNode *root, const char *path);
extern void pns_path_finish(PnsPathNode *root);
extern PnsPathNode *pns_path_find(const PnsPathNode *node, const char *key,
								  uint32 key_size);

#endif							/* PNS_MONGO_PATH_H */
