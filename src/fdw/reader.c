/*-------------------------------------------------------------------------
 *
 * reader.c
 *	  The documents of a scan, read from its cursor or again from memory.
 *
 * A scan whose conditions take values from an outer query or from the outer
 * side of a nested loop is run once for each of its rows, and the values
 * repeat.  Such a scan keeps the answers that it had, under the pipelines that
 * they answer, and asks the server nothing twice.  To the statement that is
 * right: its snapshot would not have it see later changes either, though what
 * it has not asked for yet comes as it is when it asks (see docs/pushdown.md).
 *
 * Answers are kept as the documents that the server sent, in as much memory as
 * a hash table may have (hash_mem); the one that was not used for longest goes
 * first.  One that the executor did not want to the end is kept if the rest of
 * it has arrived with its first part, as it has for an EXISTS; what would have
 * to be fetched for it alone is not.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "executor/nodeHash.h"
#include "lib/ilist.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "fdw/query.h"

/* What the server answered to a pipeline. */
typedef struct PnsAnswer
{
	PnsDocument pipeline;		/* the key */
	uint32		hash;			/* of that */
	dlist_node	node;			/* in the reader's list */
	StringInfoData documents;	/* each behind its size, a uint32 */
} PnsAnswer;

/* The hash table's entry: answers stay where they are when it grows. */
typedef struct PnsAnswerEntry
{
	PnsAnswer  *answer;
	char		status;
} PnsAnswerEntry;

#define SH_PREFIX answers
#define SH_ELEMENT_TYPE PnsAnswerEntry
#define SH_KEY_TYPE PnsAnswer *
#define SH_KEY answer
#define SH_HASH_KEY(table, key) (key)->hash
#define SH_EQUAL(table, a, b) \
	((a)->pipeline.size == (b)->pipeline.size && \
	 memcmp((a)->pipeline.data, (b)->pipeline.data, (a)->pipeline.size) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(table, entry) (entry)->answer->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct PnsReader
{
	PnsCursor  *cursor;			/* what is read now ... */
	const PnsAnswer *answer;	/* ... or read again, ... */
	int			position;		/* ... and from where on */

	/* NULL: nothing is kept */
	MemoryContext context;
	answers_hash *answers;
	dlist_head	recent;			/* of PnsAnswer: the last one used first */
	Size		size;			/* of all of them */
	PnsAnswer  *kept;			/* what the cursor brings, or NULL */
	uint64		reused;			/* answers that were read again */
};

static void keep(PnsReader *reader, PnsDocument document);
static void keep_rest(PnsReader *reader);
static void file_answer(PnsReader *reader);
static void make_room(PnsReader *reader, Size size);
static void drop(PnsAnswer *answer);
static Size answer_size(const PnsAnswer *answer);

/*
 * pns_reader_create makes a reader in the current context, which keeps answers
 * if keeps says so.
 */
PnsReader *
pns_reader_create(bool keeps)
{
	PnsReader  *reader = palloc0(sizeof(PnsReader));

	if (!keeps)
		return reader;
	reader->context = AllocSetContextCreate(CurrentMemoryContext, "pynomaly_store answers",
											ALLOCSET_DEFAULT_SIZES);
	reader->answers = answers_create(reader->context, 64, NULL);
	dlist_init(&reader->recent);
	return reader;
}

/*
 * pns_reader_find begins to read the answer to a pipeline again.  False where
 * there is none, and the caller has to give a cursor.
 */
bool
pns_reader_find(PnsReader *reader, PnsDocument pipeline)
{
	PnsAnswer	wanted = {.pipeline = pipeline};
	PnsAnswerEntry *entry;
	PnsAnswer  *answer;
	MemoryContext old;

	if (reader->context == NULL)
		return false;

	wanted.hash = hash_bytes(pipeline.data, (int) pipeline.size);
	entry = answers_lookup(reader->answers, &wanted);
	if (entry != NULL)
	{
		dlist_move_head(&reader->recent, &entry->answer->node);
		reader->answer = entry->answer;
		reader->position = 0;
		reader->reused++;
		return true;
	}

	old = MemoryContextSwitchTo(reader->context);
	answer = palloc(sizeof(PnsAnswer));
	answer->pipeline.data = memcpy(palloc(pipeline.size), pipeline.data, pipeline.size);
	answer->pipeline.size = pipeline.size;
	answer->hash = wanted.hash;
	initStringInfo(&answer->documents);
	reader->kept = answer;
	MemoryContextSwitchTo(old);
	return false;
}

/*
 * pns_reader_begin begins to read what a cursor brings, whose pipeline was the
 * last that was looked for.  The reader closes it.
 */
void
pns_reader_begin(PnsReader *reader, PnsCursor *cursor)
{
	reader->cursor = cursor;
}

/*
 * pns_reader_cursor returns the cursor that is read, or NULL.
 */
PnsCursor *
pns_reader_cursor(const PnsReader *reader)
{
	return reader->cursor;
}

/*
 * pns_reader_is_open tells whether there is something to read from.
 */
bool
pns_reader_is_open(const PnsReader *reader)
{
	return reader->cursor != NULL || reader->answer != NULL;
}

/*
 * pns_reader_reused returns how many answers were read again.
 */
uint64
pns_reader_reused(const PnsReader *reader)
{
	return reader->reused;
}

/*
 * pns_reader_next gives the next document, as pns_mongo_cursor_next does.
 */
bool
pns_reader_next(PnsReader *reader, PnsDocument *document)
{
	const PnsAnswer *answer = reader->answer;

	if (answer == NULL)
	{
		if (!pns_mongo_cursor_next(reader->cursor, document))
		{
			file_answer(reader);
			return false;
		}
		keep(reader, *document);
		return true;
	}

	if (reader->position == answer->documents.len)
		return false;
	memcpy(&document->size, answer->documents.data + reader->position, sizeof(uint32));
	reader->position += sizeof(uint32);
	document->data = (const uint8 *) answer->documents.data + reader->position;
	reader->position += document->size;
	return true;
}

/*
 * pns_reader_restart ends what is read: something may be read again.
 */
void
pns_reader_restart(PnsReader *reader)
{
	if (reader->cursor != NULL)
		keep_rest(reader);
	pns_reader_close(reader);
}

/*
 * pns_reader_close ends what is read.
 */
void
pns_reader_close(PnsReader *reader)
{
	if (reader->cursor != NULL)
		pns_mongo_cursor_close(reader->cursor);
	reader->cursor = NULL;
	reader->answer = NULL;
}

/*
 * keep adds a document to the answer that is being read, and gives that up
 * where it alone would need more than all of them may have.
 */
static void
keep(PnsReader *reader, PnsDocument document)
{
	PnsAnswer  *answer = reader->kept;
	int			allocated;

	if (answer == NULL)
		return;
	if (answer->documents.len + sizeof(uint32) + document.size >
		Min(get_hash_memory_limit(), MaxAllocSize) / 2)
	{
		drop(answer);
		reader->kept = NULL;
		return;
	}

	allocated = answer->documents.maxlen;
	appendBinaryStringInfo(&answer->documents, (const char *) &document.size, sizeof(uint32));
	appendBinaryStringInfo(&answer->documents, (const char *) document.data,
						   (int) document.size);
	if (answer->documents.maxlen > allocated)
		make_room(reader, answer_size(answer));
}

/*
 * keep_rest completes the answer that is being read where nothing has to be
 * waited for, and forgets it otherwise.
 */
static void
keep_rest(PnsReader *reader)
{
	PnsDocument document;

	while (reader->kept != NULL)
	{
		if (pns_mongo_cursor_must_wait(reader->cursor))
		{
			drop(reader->kept);
			reader->kept = NULL;
		}
		else
			(void) pns_reader_next(reader, &document);
	}
}

/*
 * file_answer makes the answer that was read to its end one that is found, and
 * makes room for it.
 */
static void
file_answer(PnsReader *reader)
{
	PnsAnswer  *answer = reader->kept;
	bool		found;

	if (answer == NULL)
		return;
	reader->kept = NULL;

	/* most answers are smaller than the room that was made for them */
	answer->documents.maxlen = answer->documents.len + 1;
	answer->documents.data = repalloc(answer->documents.data, answer->documents.maxlen);

	make_room(reader, answer_size(answer));
	reader->size += answer_size(answer);
	(void) answers_insert(reader->answers, answer, &found);
	Assert(!found);
	dlist_push_head(&reader->recent, &answer->node);
}

/*
 * make_room drops answers until there is room for another size bytes, or none
 * is left.
 */
static void
make_room(PnsReader *reader, Size size)
{
	while (reader->size + size > get_hash_memory_limit() &&
		   !dlist_is_empty(&reader->recent))
	{
		PnsAnswer  *oldest = dlist_tail_element(PnsAnswer, node, &reader->recent);

		reader->size -= answer_size(oldest);
		dlist_delete(&oldest->node);
		(void) answers_delete(reader->answers, oldest);
		drop(oldest);
	}
}

/*
 * drop frees an answer that is in no list.
 */
static void
drop(PnsAnswer *answer)
{
	pfree(answer->documents.data);
	pfree(unconstify(uint8 *, answer->pipeline.data));
	pfree(answer);
}

/*
 * answer_size returns the memory that an answer takes, in bytes, its entry in
 * the hash table among it.
 */
static Size
answer_size(const PnsAnswer *answer)
{
	return sizeof(PnsAnswer) + 2 * sizeof(PnsAnswerEntry) + answer->pipeline.size +
		answer->documents.maxlen;
}
