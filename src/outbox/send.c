/*-------------------------------------------------------------------------
 *
 * send.c
 *	  Sending a batch of entries, and what becomes of them.
 *
 * Entries are grouped into commands by role, collection and kind.  A group has
 * a level, and the groups are sent level by level: a document's entries stand in
 * one group as long as they are of one kind, the next one in a later level.
 *
 * What MongoDB says to a command decides about its entries: those that were
 * applied are removed; one that was refused becomes a dead letter; those of a
 * command that failed for a reason that will pass stay.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "outbox/private.h"

#include "access/xact.h"
#include "foreign/foreign.h"
#include "utils/acl.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

/* Entries that are sent together. */
typedef struct EntryGroup
{
	const PnsOutboxEntry *first;	/* of the same role, collection and kind */
	int			level;
	bool		ordered;		/* has several entries of a document */
	List	   *entries;
} EntryGroup;

/* A connection to be had. */
typedef struct Opening
{
	const char *server;
	const char *role;
	PnsConnection *connection;
} Opening;

/* A batch to be written, and what came of it. */
typedef struct Writing
{
	PnsConnection *connection;
	PnsWriteBatch batch;
	PnsWriteResult result;
} Writing;

/* A document to be looked for, and whether it is there as it was inserted. */
typedef struct Comparison
{
	PnsConnection *connection;
	const PnsOutboxEntry *entry;
	bool		same;
} Comparison;

static List *make_groups(List *entries);
static EntryGroup *find_group(List *groups, const PnsOutboxEntry *entry, int level);
static bool same_target(const PnsOutboxEntry *a, const PnsOutboxEntry *b);
static void send_group(const char *server, EntryGroup *group, PnsOutboxFailure *failure);
static List *without_stuck(const List *entries);
static void open_connection(void *arg);
static void send_entries(PnsConnection *connection, List *entries, bool ordered,
						 PnsOutboxFailure *failure);
static void send_singly(PnsConnection *connection, List *entries, PnsOutboxFailure *failure);
static void write_batch(void *arg);
static PnsDocument command_options(const PnsOutboxEntry *entry);
static List *judge(PnsConnection *connection, List *entries, bool ordered,
				   const PnsWriteResult *result, PnsOutboxFailure *failure);
static void judge_error(PnsConnection *connection, PnsOutboxEntry *entry,
						const PnsWriteError *error, PnsOutboxFailure *failure);
static void set_failure(PnsOutboxFailure *failure, const PnsWriteError *error);
static void compare_document(void *arg);
static bool is_same_document(PnsDocument there, PnsDocument inserted);
static void set_fate(PnsOutboxEntry *entry, PnsOutboxFate fate, const PnsOutboxFailure *failure);
static void fail_entries(List *entries, const PnsOutboxFailure *failure);
static bool attempt(void (*work) (void *), void *arg, PnsOutboxFailure *failure);
static bool will_pass(int sqlstate);

/*
 * pns_outbox_send sends entries of a server, which the caller has noted and
 * committed, and removes or marks them by what came of it.
 */
PnsOutboxOutcome
pns_outbox_send(const char *server, const int64 *ids, int nids)
{
	PnsOutboxOutcome outcome = {0};
	List	   *entries = pns_outbox_read_entries(ids, nids);
	List	   *groups = make_groups(entries);
	int			levels = 0;
	ListCell   *cell;

	foreach(cell, groups)
		levels = Max(levels, ((EntryGroup *) lfirst(cell))->level + 1);
	for (int level = 0; level < levels && !outcome.failure.unknown; level++)
	{
		foreach(cell, groups)
		{
			EntryGroup *group = lfirst(cell);
			PnsOutboxFailure failure = {0};

			if (group->level != level)
				continue;
			send_group(server, group, &failure);
			if (failure.sqlstate == 0)
				continue;
			outcome.failure = failure;
			if (failure.unknown)
				break;			/* nothing more to such a server */
		}
	}
	pns_outbox_finish_entries(server, entries, &outcome);
	return outcome;
}

/* make_groups groups entries, which come in the order of their numbers. */
static List *
make_groups(List *entries)
{
	HASHCTL		ctl = {.keysize = sizeof(int64),.entrysize = sizeof(PnsOutboxDocument),
	.hcxt = CurrentMemoryContext};
	HTAB	   *documents = hash_create("documents of a batch", Max(list_length(entries), 1),
										&ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	List	   *groups = NIL;
	ListCell   *cell;

	foreach(cell, entries)
	{
		PnsOutboxEntry *entry = lfirst(cell);
		PnsOutboxDocument *document;
		EntryGroup *group;
		bool		found;
		bool		joins;

		document = hash_search(documents, &entry->number, HASH_ENTER, &found);
		joins = found && same_target(document->last, entry);
		if (!found)
		{
			document->level = 0;
			document->stuck = false;
		}
		else if (!joins)
			document->level++;
		document->last = entry;
		entry->document = document;

		group = find_group(groups, entry, document->level);
		if (group == NULL)
		{
			group = palloc0(sizeof(EntryGroup));
			group->first = entry;
			group->level = document->level;
			groups = lappend(groups, group);
		}
		if (joins)
			group->ordered = true;
		group->entries = lappend(group->entries, entry);
	}
	return groups;
}

/* find_group gives the group of a level that an entry can join, or NULL. */
static EntryGroup *
find_group(List *groups, const PnsOutboxEntry *entry, int level)
{
	ListCell   *cell;

	foreach(cell, groups)
	{
		EntryGroup *group = lfirst(cell);

		if (group->level == level && same_target(group->first, entry))
			return group;
	}
	return NULL;
}

/* same_target tells whether two entries can be of one command. */
static bool
same_target(const PnsOutboxEntry *a, const PnsOutboxEntry *b)
{
	return a->kind == b->kind &&
		strcmp(a->role, b->role) == 0 &&
		strcmp(a->database, b->database) == 0 &&
		strcmp(a->collection, b->collection) == 0 &&
		a->options.size == b->options.size &&
		memcmp(a->options.data, b->options.data, a->options.size) == 0;
}

/* send_group sends a group's entries, with the user mapping of their writer. */
static void
send_group(const char *server, EntryGroup *group, PnsOutboxFailure *failure)
{
	List	   *entries = without_stuck(group->entries);
	Opening		opening = {.server = server,.role = group->first->role};

	if (entries == NIL)
		return;
	if (attempt(open_connection, &opening, failure))
		send_entries(opening.connection, entries, group->ordered, failure);
	else
		fail_entries(entries, failure);
}

/*
 * without_stuck gives the entries before which no entry of their document was
 * left.
 */
static List *
without_stuck(const List *entries)
{
	List	   *chosen = NIL;
	ListCell   *cell;

	foreach(cell, entries)
	{
		PnsOutboxEntry *entry = lfirst(cell);

		if (!entry->document->stuck)
			chosen = lappend(chosen, entry);
	}
	return chosen;
}

/* open_connection opens the connection of a role, an Opening. */
static void
open_connection(void *arg)
{
	Opening    *opening = arg;

	opening->connection =
		pns_mongo_get_connection(get_foreign_server_oid(opening->server, false),
								 get_role_oid(opening->role, false));
	pns_mongo_write_at_once(opening->connection);
}

/*
 * send_entries sends entries by as few commands as their errors allow.  failure
 * is set where the server, not an entry, was the reason of one.
 */
static void
send_entries(PnsConnection *connection, List *entries, bool ordered,
			 PnsOutboxFailure *failure)
{
	while (entries != NIL)
	{
		const PnsOutboxEntry *first = linitial(entries);
		Writing		writing = {.connection = connection};
		ListCell   *cell;

		writing.batch.kind = first->kind;
		writing.batch.database = first->database;
		writing.batch.collection = first->collection;
		writing.batch.ordered = ordered;
		writing.batch.options = command_options(first);
		writing.batch.collects = true;
		foreach(cell, entries)
			writing.batch.operations = lappend(writing.batch.operations,
											   &((PnsOutboxEntry *) lfirst(cell))->operation);

		if (attempt(write_batch, &writing, failure))
			entries = judge(connection, entries, ordered, &writing.result, failure);
		else
		{
			failure->sent = true;
			if (will_pass(failure->sqlstate))
				fail_entries(entries, failure);
			else
				send_singly(connection, entries, failure);
			return;
		}
	}
}

/*
 * send_singly finds out which entries of a command that was refused as a whole
 * are the reason of it.
 */
static void
send_singly(PnsConnection *connection, List *entries, PnsOutboxFailure *failure)
{
	PnsOutboxFailure refusal = *failure;
	ListCell   *cell;

	memset(failure, 0, sizeof(*failure));
	if (list_length(entries) == 1)
	{
		set_fate(linitial(entries), PNS_FATE_DEAD, &refusal);
		return;
	}
	foreach(cell, entries)
	{
		PnsOutboxEntry *entry = lfirst(cell);

		if (failure->sqlstate != 0)
			set_fate(entry, PNS_FATE_FAILED, failure);
		else if (!entry->document->stuck)
			send_entries(connection, list_make1(entry), false, failure);
	}
}

/* write_batch writes a batch, a Writing. */
static void
write_batch(void *arg)
{
	Writing    *writing = arg;

	writing->result = pns_mongo_write(writing->connection, &writing->batch);
}

/*
 * command_options gives the further members of an entry's command: its own, and
 * the time after which the server gives up.
 */
static PnsDocument
command_options(const PnsOutboxEntry *entry)
{
	PnsBsonBuilder builder;
	PnsBsonIterator iterator;

	pns_bson_begin(&builder);
	if (entry->options.size > 0)
	{
		pns_bson_iterate(&iterator, entry->options);
		while (pns_bson_next(&iterator))
		{
			if (strcmp(iterator.key, "maxTimeMS") != 0)
				pns_bson_append_value(&builder, iterator.key, iterator.value);
		}
	}
	pns_bson_append_int64(&builder, "maxTimeMS", pns_outbox_command_timeout);
	return pns_bson_end(&builder);
}

/*
 * judge decides about entries by what the server said of them, and gives those
 * that it did not come to, because it stopped at an error.
 */
static List *
judge(PnsConnection *connection, List *entries, bool ordered,
	  const PnsWriteResult *result, PnsOutboxFailure *failure)
{
	const PnsWriteError **errors = palloc0(sizeof(PnsWriteError *) * list_length(entries));
	List	   *rest = NIL;
	bool		stopped = false;
	ListCell   *cell;

	foreach(cell, result->errors)
	{
		const PnsWriteError *error = lfirst(cell);

		if (error->position >= 0)
			errors[error->position] = error;
		else
			set_failure(failure, error);
	}
	if (failure->sqlstate != 0)
	{
		/* a majority may not have it: what was done is done again */
		fail_entries(entries, failure);
		return NIL;
	}
	foreach(cell, entries)
	{
		PnsOutboxEntry *entry = lfirst(cell);
		const PnsWriteError *error = errors[foreach_current_index(cell)];

		if (stopped)
			rest = lappend(rest, entry);
		else if (error == NULL)
			entry->fate = PNS_FATE_APPLIED;
		else
		{
			judge_error(connection, entry, error, failure);
			stopped = ordered;
		}
	}
	if (failure->sqlstate == 0)
		return without_stuck(rest);
	fail_entries(rest, failure);
	return NIL;
}

/*
 * judge_error decides about an entry that the server reported an error of.  A
 * document that is there already, and that we may have inserted ourselves, counts
 * as inserted if it is the same.  If it is another one, somebody has changed it,
 * or it never was ours: somebody has to look at that.
 */
static void
judge_error(PnsConnection *connection, PnsOutboxEntry *entry, const PnsWriteError *error,
			PnsOutboxFailure *failure)
{
	PnsOutboxFailure refusal;

	set_failure(&refusal, error);
	if (will_pass(error->sqlstate))
	{
		*failure = refusal;
		set_fate(entry, PNS_FATE_FAILED, failure);
		return;
	}
	if (entry->kind == PNS_WRITE_INSERT && entry->repeated &&
		error->sqlstate == ERRCODE_UNIQUE_VIOLATION)
	{
		Comparison	comparison = {.connection = connection,.entry = entry};

		if (!attempt(compare_document, &comparison, failure))
		{
			failure->sent = true;
			set_fate(entry, PNS_FATE_FAILED, failure);
			return;
		}
		if (comparison.same)
		{
			entry->fate = PNS_FATE_APPLIED;
			return;
		}
	}
	set_fate(entry, PNS_FATE_DEAD, &refusal);
}

/* set_failure takes an error that the server has reported for a failure. */
static void
set_failure(PnsOutboxFailure *failure, const PnsWriteError *error)
{
	memset(failure, 0, sizeof(*failure));
	failure->sqlstate = error->sqlstate;
	failure->message = error->message;
	failure->detail = error->detail;
	failure->sent = true;
}

/* compare_document looks for an inserted document, of a Comparison. */
static void
compare_document(void *arg)
{
	Comparison *comparison = arg;
	const PnsOutboxEntry *entry = comparison->entry;
	PnsBsonValue id = {0};
	PnsDocument no_options = {0};
	PnsBsonBuilder builder;
	PnsDocument there;
	PnsCursor  *cursor;

	(void) pns_bson_find(entry->operation, "_id", &id);
	pns_bson_begin(&builder);
	pns_bson_open_document(&builder, "0");
	pns_bson_open_document(&builder, "$match");
	pns_bson_open_document(&builder, "_id");
	pns_bson_append_value(&builder, "$eq", id);
	pns_bson_close(&builder);
	pns_bson_close(&builder);
	pns_bson_close(&builder);
	cursor = pns_mongo_aggregate(comparison->connection, entry->database, entry->collection,
								 pns_bson_end(&builder), no_options, 0);
	comparison->same = pns_mongo_cursor_next(cursor, &there) &&
		is_same_document(there, entry->operation);
	pns_mongo_cursor_close(cursor);
}

/*
 * is_same_document tells whether a document is the one that was inserted: of
 * the same members in the same order, but that MongoDB puts _id first.
 */
static bool
is_same_document(PnsDocument there, PnsDocument inserted)
{
	PnsBsonIterator iterator;
	PnsBsonBuilder builder;
	PnsBsonValue id;
	PnsDocument expected;

	if (there.size != inserted.size || !pns_bson_find(inserted, "_id", &id))
		return false;
	pns_bson_begin(&builder);
	pns_bson_append_value(&builder, "_id", id);
	pns_bson_iterate(&iterator, inserted);
	while (pns_bson_next(&iterator))
	{
		if (strcmp(iterator.key, "_id") != 0)
			pns_bson_append_value(&builder, iterator.key, iterator.value);
	}
	expected = pns_bson_end(&builder);
	return expected.size == there.size &&
		memcmp(expected.data, there.data, there.size) == 0;
}

/* set_fate says that an entry was not applied, and why. */
static void
set_fate(PnsOutboxEntry *entry, PnsOutboxFate fate, const PnsOutboxFailure *failure)
{
	entry->fate = fate;
	entry->failure = *failure;
	entry->document->stuck = true;
}

/* fail_entries leaves entries to another attempt. */
static void
fail_entries(List *entries, const PnsOutboxFailure *failure)
{
	ListCell   *cell;

	foreach(cell, entries)
		set_fate(lfirst(cell), PNS_FATE_FAILED, failure);
}

/*
 * attempt does some work that speaks to a server: false where it failed, and
 * how in failure.  A cancel is not caught.
 */
static bool
attempt(void (*work) (void *), void *arg, PnsOutboxFailure *failure)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool good = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		work(arg);
		ReleaseCurrentSubTransaction();
		good = true;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(caller);
		CurrentResourceOwner = owner;

		/* what a server says has a DETAIL, a cancel has none */
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED && error->detail == NULL)
			ReThrowError(error);
		failure->sqlstate = error->sqlerrcode;
		failure->message = error->message;
		failure->detail = error->detail;
		failure->unknown = ERRCODE_TO_CATEGORY(error->sqlerrcode) ==
			ERRCODE_CONNECTION_EXCEPTION;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	return good;
}

/*
 * will_pass tells whether an error says something about the server, or about
 * our way to it, rather than about the operation: then it is worth trying again.
 */
static bool
will_pass(int sqlstate)
{
	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case ERRCODE_CONNECTION_EXCEPTION:
		case ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION:
		case ERRCODE_INVALID_TRANSACTION_STATE:
		case ERRCODE_TRANSACTION_ROLLBACK:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE:
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_SYSTEM_ERROR:
			return true;
		default:
			return sqlstate == ERRCODE_INSUFFICIENT_PRIVILEGE;
	}
}
