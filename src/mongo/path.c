/*-------------------------------------------------------------------------
 *
 * path.c
 *	  Dotted paths of fields, and the tree that the paths of a table make.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "mongo/codec.h"
#include "mongo/path.h"
#include "port/pg_bitutils.h"

static char *next_component(const char **next, const char *path);
static PnsPathNode *child_for(PnsPathNode *node, const char *key);
static int	array_index(const char *key);
static void index_children(PnsPathNode *node);
static int	compare_index(const ListCell *a, const ListCell *b);
static void bad_path(const char *path, const char *detail)
			pg_attribute_noreturn();

/*
 * pns_mongo_split_path splits a path into its keys.  Nothing else is
 * forbidden in a key than to be empty.
 */
List *
pns_mongo_split_path(const char *path)
{
	const char *next = path;
	List	   *keys = NIL;

	for (;;)
	{
		keys = lappend(keys, next_component(&next, path));
		if (*next == '\0')
			return keys;
		next++;					/* the dot */
	}
}

/*
 * next_component unescapes a component and moves to the dot or the end behind
 * it.
 */
static char *
next_component(const char **next, const char *path)
{
	char	   *key = palloc(strlen(*next) + 1);
	char	   *out = key;
	const char *in = *next;

	for (; *in != '\0' && *in != '.'; in++)
	{
		if (*in == '\\' && *++in != '.' && *in != '\\')
			bad_path(path, "A backslash must stand before a dot or a backslash.");
		*out++ = *in;
	}
	*out = '\0';
	if (out == key)
		bad_path(path, "A key in it is empty.");
	*next = in;
	return key;
}

/* bad_path raises the error of a path that cannot be split. */
static void
bad_path(const char *path, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR),
			 errmsg("invalid path of a field: \"%s\"", path),
			 errdetail("%s", detail),
			 errhint("Keys are separated by dots; write \"\\.\" for a dot within a key.")));
}

/* pns_path_root_create makes the root of a tree without any paths. */
PnsPathNode *
pns_path_root_create(void)
{
	PnsPathNode *root = palloc0(sizeof(PnsPathNode));

	root->index = -1;
	return root;
}

/*
 * pns_path_add returns the node that a path leads to, made with those above
 * it where need be.  Keys are kept in UTF-8, as documents have them.
 */
PnsPathNode *
pns_path_add(PnsPathNode *root, const char *path)
{
	PnsPathNode *node = root;
	ListCell   *cell;

	foreach(cell, pns_mongo_split_path(path))
		node = child_for(node, pns_text_from_server(lfirst(cell)));
	return node;
}

/*
 * pns_path_finish prepares a tree to which no more paths are added for
 * look-ups.
 */
void
pns_path_finish(PnsPathNode *node)
{
	ListCell   *cell;

	check_stack_depth();
	if (node->children == NIL)
		return;
	index_children(node);
	node->expected = linitial(node->children);
	foreach(cell, node->children)
		pns_path_finish(lfirst(cell));
}

/*
 * pns_path_find looks a key up among a node's children.  Most keys that
 * nobody wants differ from those wanted in their length already.
 */
PnsPathNode *
pns_path_find(const PnsPathNode *node, const char *key, uint32 key_size)
{
	PnsPathNode *child;

	if ((node->key_sizes & pns_path_size_bit(key_size)) == 0)
		return NULL;
	child = node->table[hash_bytes((const unsigned char *) key, key_size) &
						node->table_mask];
	for (; child != NULL; child = child->next_in_bucket)
	{
		if (child->key_size == key_size &&
			memcmp(child->key, key, key_size) == 0)
			return child;
	}
	return NULL;
}

/* child_for returns the child with this key, made where there is none. */
static PnsPathNode *
child_for(PnsPathNode *node, const char *key)
{
	ListCell   *cell;
	PnsPathNode *child;
	Size		word_size;

	foreach(cell, node->children)
	{
		child = lfirst(cell);
		if (strcmp(child->key, key) == 0)
			return child;
	}
	child = palloc0(sizeof(PnsPathNode));
	child->key = key;
	child->key_size = strlen(key);
	word_size = Min(child->key_size + 1, sizeof(uint64));
	memcpy(&child->key_word, key, word_size);
	memset(&child->key_mask, 0xff, word_size);
	child->index = array_index(key);
	node->children = lappend(node->children, child);
	return child;
}

/*
 * array_index returns the position that a key means in an array, or -1.  As
 * in MongoDB, digits with a leading zero mean none.
 */
static int
array_index(const char *key)
{
	int			size = strlen(key);

	if (strspn(key, "0123456789") != size || size > 9 ||
		(key[0] == '0' && size > 1))
		return -1;
	return atoi(key);
}

/* index_children makes the look-ups by key and by position. */
static void
index_children(PnsPathNode *node)
{
	uint32		nbuckets = pg_nextpower2_32(2 * list_length(node->children));
	ListCell   *cell;

	node->table = palloc0(nbuckets * sizeof(PnsPathNode *));
	node->table_mask = nbuckets - 1;
	foreach(cell, node->children)
	{
		PnsPathNode *child = lfirst(cell);
		uint32		bucket = hash_bytes((const unsigned char *) child->key,
										child->key_size) & node->table_mask;

		child->next_in_bucket = node->table[bucket];
		node->table[bucket] = child;
		node->key_sizes |= pns_path_size_bit(child->key_size);
		if (child->index >= 0)
			node->elements = lappend(node->elements, child);
	}
	list_sort(node->elements, compare_index);
}

/* compare_index orders the children that are array elements. */
static int
compare_index(const ListCell *a, const ListCell *b)
{
	const PnsPathNode *left = lfirst(a);
	const PnsPathNode *right = lfirst(b);

	return left->index < right->index ? -1 : left->index > right->index;
}
