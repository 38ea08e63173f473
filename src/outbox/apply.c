/*-------------------------------------------------------------------------
 *
 * apply.c
 *	  Applying the outbox, step by step.
 *
 * A step is what one transaction does.  One takes slots of a server, and writes
 * down which entries it is about to send; after its commit the next one sends
 * them, and removes those that were applied.  Between the two, and after an
 * applier that died between the two, the table pynomaly.outbox_attempts says
 * which entries may have been applied already.
 *
 * Such entries are sent again, but not at once: MongoDB may still be carrying
 * out the command of the applier that is gone, and would do so after what we
 * send.  Each command has a time limit (maxTimeMS), and as long we wait.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "outbox/private.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

/* How much a step takes. */
#define SLOTS_PER_STEP 4
#define ENTRIES_PER_SLOT 500
#define BYTES_PER_STEP (16 * 1024 * 1024)

/* How long a step rests where others hold what is left. */
#define REST 20					/* milliseconds */

/*
 * Entries that nothing holds back: before a dead letter's later ones come the
 * dead letter's repair or removal.
 */
#define IS_READY \
	"o.state = 'pending' AND NOT EXISTS (SELECT FROM pynomaly.outbox d " \
	"WHERE d.server = o.server AND d.document = o.document AND d.state = 'dead' AND d.id < o.id)"

/* What became of looking for entries of a server. */
typedef enum Found
{
	FOUND_NOTHING,
	FOUND_ENTRIES,
	FOUND_LATER					/* there are some, but not for us now */
} Found;

/* A run: from begin_apply_outbox to end_apply_outbox. */
typedef struct Run
{
	MemoryContext context;		/* of all below; NULL outside of a run */
	bool		patient;		/* waits for what others hold */
	int64		upto;			/* entries up to this number */
	int64		left;			/* how many of them may still be taken */
	List	   *servers;		/* C strings: those still to look at */
	int			turn;			/* the slot to look at first */
	char	   *server;			/* of what is to be sent */
	int64	   *ids;			/* what is to be sent, of memory for as many */
	int			nids;			/* as a step takes */
	int64		applied;
	int64		dead;
	PnsOutboxFailure failure;	/* the first one */
	char	   *failed_server;
} Run;

static Run	run;

PG_FUNCTION_INFO_V1(pns_outbox_begin_apply);
PG_FUNCTION_INFO_V1(pns_outbox_do_step);
PG_FUNCTION_INFO_V1(pns_outbox_end_apply);

PGDLLEXPORT Datum pns_outbox_begin_apply(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_outbox_do_step(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_outbox_end_apply(PG_FUNCTION_ARGS);

static void at_transaction_end(XactEvent event, void *arg);
static void end_run(void);
static void begin_run(int64 maximum, const char *server, bool patient);
static List *find_servers(const char *server);
static bool do_step(void);
static void send_attempted(void);
static void forget_server(const char *server);
static Found attempt(const char *server);
static int	find_slots(const char *server, int *slots);
static bool is_settled(const char *server, int slot);
static void pick(const char *server, int slot, Size *bytes);
static void write_down(const char *server, int slot, const int64 *ids, int nids);
static void rest(void);

/*
 * pns_outbox_begin_apply begins a run of apply_outbox.
 */
Datum
pns_outbox_begin_apply(PG_FUNCTION_ARGS)
{
	int64		maximum = PG_ARGISNULL(0) ? PG_INT64_MAX : PG_GETARG_INT64(0);

	if (maximum < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the number of entries to apply must not be negative")));
	begin_run(maximum, PG_ARGISNULL(1) ? NULL : NameStr(*PG_GETARG_NAME(1)), true);
	PG_RETURN_VOID();
}

/*
 * pns_outbox_do_step does a step of the run: false where none was left.
 */
Datum
pns_outbox_do_step(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(do_step());
}

/*
 * pns_outbox_end_apply ends the run, and gives what it did: (applied, dead).
 * Raises the error because of which a server's entries were left.
 */
Datum
pns_outbox_end_apply(PG_FUNCTION_ARGS)
{
	TupleDesc	descriptor;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("end_apply_outbox() returns a row")));
	if (run.failure.sqlstate != 0)
		ereport(ERROR,
				(errcode(run.failure.sqlstate),
				 errmsg("could not apply the outbox to server \"%s\": %s",
						run.failed_server, run.failure.message),
				 run.failure.detail ? errdetail_internal("%s", run.failure.detail) : 0,
				 errhint("The entries are kept; " INT64_FORMAT " have been applied.",
						 run.applied)));
	values[0] = Int64GetDatum(run.applied);
	values[1] = Int64GetDatum(run.dead);
	end_run();
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor),
													  values, nulls)));
}

/*
 * pns_outbox_apply_all applies what can be applied now, for the background
 * worker: each step in a transaction of its own.  false where a server failed,
 * what is told in failure, in the current context.
 */
bool
pns_outbox_apply_all(PnsOutboxFailure *failure, char **server)
{
	MemoryContext caller = CurrentMemoryContext;
	bool		more;
	bool		good;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	begin_run(PG_INT64_MAX, NULL, false);
	PopActiveSnapshot();
	CommitTransactionCommand();
	do
	{
		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		more = do_step();
		PopActiveSnapshot();
		CommitTransactionCommand();
	} while (more);

	MemoryContextSwitchTo(caller);
	good = run.failure.sqlstate == 0;
	if (!good)
	{
		*failure = run.failure;
		failure->message = pstrdup(run.failure.message);
		*server = pstrdup(run.failed_server);
	}
	end_run();
	return good;
}

/* at_transaction_end ends the run with an error. */
static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT)
		end_run();
}

/* end_run forgets a run, and gives back its slots. */
static void
end_run(void)
{
	MemoryContext context = run.context;

	memset(&run, 0, sizeof(run));
	pns_outbox_unlock_slots();
	if (context != NULL)
		MemoryContextDelete(context);
}

/*
 * begin_run begins a run over the entries that are there now.  Those that come
 * meanwhile are left to the next one, or it might never end.
 */
static void
begin_run(int64 maximum, const char *server, bool patient)
{
	static bool registered = false;
	Datum		upto;
	bool		isnull;

	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the outbox can be applied in transactions of isolation level READ COMMITTED only"),
				 errhint("SET default_transaction_isolation = 'read committed' before the CALL.")));
	if (!registered)
	{
		RegisterXactCallback(at_transaction_end, NULL);
		registered = true;
	}
	end_run();
	run.context = AllocSetContextCreate(TopMemoryContext, "outbox run",
										ALLOCSET_DEFAULT_SIZES);
	run.patient = patient;
	run.left = maximum;
	run.ids = MemoryContextAlloc(run.context,
								 sizeof(int64) * SLOTS_PER_STEP * ENTRIES_PER_SLOT);

	pns_outbox_begin_query();
	pns_outbox_query("SELECT max(id) FROM pynomaly.outbox", SPI_OK_SELECT, 0, NULL, NULL);
	upto = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	run.upto = isnull ? 0 : DatumGetInt64(upto);
	run.servers = find_servers(server);
	pns_outbox_end_query();
}

/*
 * find_servers gives the names of the servers that have entries, or of the one
 * that is asked for, in the run's memory.
 */
static List *
find_servers(const char *server)
{
	List	   *names = NIL;

	if (server != NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(run.context);

		names = list_make1(pstrdup(server));
		MemoryContextSwitchTo(caller);
		return names;
	}
	/* from one to the next by the index, however many entries they have */
	pns_outbox_query("WITH RECURSIVE found (server) AS ("
					 "(SELECT server FROM pynomaly.outbox WHERE state = 'pending' "
					 "ORDER BY server LIMIT 1) "
					 "UNION ALL SELECT (SELECT o.server FROM pynomaly.outbox o "
					 "WHERE o.state = 'pending' AND o.server > f.server "
					 "ORDER BY o.server LIMIT 1) FROM found f WHERE f.server IS NOT NULL) "
					 "SELECT server FROM found WHERE server IS NOT NULL",
					 SPI_OK_SELECT, 0, NULL, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char	   *name = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);
		MemoryContext caller = MemoryContextSwitchTo(run.context);

		names = lappend(names, pstrdup(name));
		MemoryContextSwitchTo(caller);
	}
	return names;
}

/*
 * do_step sends what the last step has taken, or takes some more.  false where
 * there is nothing left to do.
 */
static bool
do_step(void)
{
	bool		later = false;
	ListCell   *cell;

	if (run.context == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no run of the outbox has begun"),
				 errhint("Use CALL pynomaly.apply_outbox().")));
	if (run.nids > 0)
	{
		send_attempted();
		return true;
	}

	/* what was sent has been committed, so others may have the slots */
	pns_outbox_unlock_slots();
	if (run.left == 0)
		return false;
	foreach(cell, run.servers)
	{
		Found		found;

		pns_outbox_begin_query();
		found = attempt(lfirst(cell));
		pns_outbox_end_query();
		if (found == FOUND_ENTRIES)
			return true;
		if (found == FOUND_LATER)
			later = true;
	}
	if (later && run.patient)
		rest();
	return later && run.patient;
}

/* send_attempted sends the entries that the last step has taken. */
static void
send_attempted(void)
{
	PnsOutboxOutcome outcome;
	char	   *server = run.server;

	outcome = pns_outbox_send(server, run.ids, run.nids);
	run.nids = 0;
	run.applied += outcome.applied;
	run.dead += outcome.dead;
	if (outcome.failure.sqlstate == 0)
		return;

	if (run.failure.sqlstate == 0)
	{
		MemoryContext caller = MemoryContextSwitchTo(run.context);

		run.failure = outcome.failure;
		run.failure.message = pstrdup(outcome.failure.message);
		if (outcome.failure.detail != NULL)
			run.failure.detail = pstrdup(outcome.failure.detail);
		run.failed_server = pstrdup(server);
		MemoryContextSwitchTo(caller);
	}
	forget_server(server);
}

/* forget_server leaves a server's entries to another run. */
static void
forget_server(const char *server)
{
	ListCell   *cell;

	foreach(cell, run.servers)
	{
		if (strcmp(lfirst(cell), server) == 0)
			run.servers = foreach_delete_current(run.servers, cell);
	}
}

/*
 * attempt takes entries of a server, and writes down that they are about to be
 * sent.
 */
static Found
attempt(const char *server)
{
	int			slots[PNS_OUTBOX_SLOTS];
	int			nslots = find_slots(server, slots);
	Size		bytes = 0;
	int			taken = 0;

	for (int i = 0; i < nslots && taken < SLOTS_PER_STEP && run.nids < run.left; i++)
	{
		int			slot = slots[(run.turn + i) % nslots];
		int			before = run.nids;

		if (!pns_outbox_lock_slot(server, slot) || !is_settled(server, slot))
			continue;
		pick(server, slot, &bytes);
		if (run.nids == before)
			continue;
		write_down(server, slot, run.ids + before, run.nids - before);
		taken++;
		if (bytes >= BYTES_PER_STEP)
			break;
	}
	run.turn += SLOTS_PER_STEP;
	run.left -= run.nids;
	if (run.nids > 0)
	{
		run.server = MemoryContextStrdup(run.context, server);
		return FOUND_ENTRIES;
	}
	return nslots > 0 ? FOUND_LATER : FOUND_NOTHING;
}

/* find_slots finds the slots of a server in which something can be applied. */
static int
find_slots(const char *server, int *slots)
{
	Oid			types[] = {NAMEOID, INT8OID};
	NameData	name;
	Datum		values[2];
	bool		isnull;

	namestrcpy(&name, server);
	values[0] = NameGetDatum(&name);
	values[1] = Int64GetDatum(run.upto);
	pns_outbox_query("SELECT s.slot FROM generate_series(0, "
					 CppAsString2(PNS_OUTBOX_SLOTS) " - 1) AS s (slot) "
					 "WHERE (SELECT true FROM pynomaly.outbox o "
					 "WHERE o.server = $1 AND o.slot = s.slot AND o.id <= $2 AND " IS_READY
					 " ORDER BY o.id LIMIT 1) ORDER BY s.slot",
					 SPI_OK_SELECT, lengthof(types), types, values);
	for (uint64 i = 0; i < SPI_processed; i++)
		slots[i] = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[i],
											   SPI_tuptable->tupdesc, 1, &isnull));
	return (int) SPI_processed;
}

/*
 * is_settled tells whether nobody can be sending entries of a slot, whose lock
 * we have.  Where the last one to do so did not come to an end, that is so when
 * the time limit of commands has passed since that was noticed; its entries are
 * marked then, as they may have been applied.
 */
static bool
is_settled(const char *server, int slot)
{
	Oid			types[] = {NAMEOID, INT2OID, INT4OID};
	NameData	name;
	Datum		values[3];
	bool		isnull;

	namestrcpy(&name, server);
	values[0] = NameGetDatum(&name);
	values[1] = Int16GetDatum(slot);
	values[2] = Int32GetDatum(pns_outbox_command_timeout);
	pns_outbox_query("UPDATE pynomaly.outbox_attempts SET noticed_at = clock_timestamp() "
					 "WHERE server = $1 AND slot = $2 AND noticed_at IS NULL",
					 SPI_OK_UPDATE, 2, types, values);
	pns_outbox_query("SELECT noticed_at + $3 * interval '1 ms' <= clock_timestamp() "
					 "FROM pynomaly.outbox_attempts WHERE server = $1 AND slot = $2",
					 SPI_OK_SELECT, 3, types, values);
	if (SPI_processed == 0)
		return true;
	if (!DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull)))
		return false;
	pns_outbox_query("UPDATE pynomaly.outbox o SET repeated = true "
					 "FROM pynomaly.outbox_attempts a "
					 "WHERE a.server = $1 AND a.slot = $2 AND o.id = ANY (a.ids)",
					 SPI_OK_UPDATE, 2, types, values);
	pns_outbox_query("DELETE FROM pynomaly.outbox_attempts WHERE server = $1 AND slot = $2",
					 SPI_OK_DELETE, 2, types, values);
	return true;
}

/*
 * pick takes the oldest entries of a slot.  Of a document nothing is taken
 * behind its insert: only then does it show, if the insert has to be sent again,
 * whether the document there is what it made.  After a failure fewer are taken,
 * as there may have been too many for the time that the server had.
 */
static void
pick(const char *server, int slot, Size *bytes)
{
	Oid			types[] = {NAMEOID, INT2OID, INT8OID, INT8OID};
	NameData	name;
	Datum		values[4];
	HASHCTL		ctl = {.keysize = sizeof(int64),.entrysize = sizeof(int64)};
	HTAB	   *inserted = hash_create("inserted documents", ENTRIES_PER_SLOT, &ctl,
									   HASH_ELEM | HASH_BLOBS);
	uint64		limit = ENTRIES_PER_SLOT;

	namestrcpy(&name, server);
	values[0] = NameGetDatum(&name);
	values[1] = Int16GetDatum(slot);
	values[2] = Int64GetDatum(run.upto);
	values[3] = Int64GetDatum(Min(run.left - run.nids, ENTRIES_PER_SLOT));
	pns_outbox_query("SELECT o.id, o.document, o.kind = '" PNS_OUTBOX_INSERT "', "
					 "octet_length(o.operation), o.attempts "
					 "FROM pynomaly.outbox o WHERE o.server = $1 AND o.slot = $2 "
					 "AND o.id <= $3 AND " IS_READY " ORDER BY o.id LIMIT $4",
					 SPI_OK_SELECT, lengthof(types), types, values);
	for (uint64 i = 0; i < Min(SPI_processed, limit) && *bytes < BYTES_PER_STEP; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	descriptor = SPI_tuptable->tupdesc;
		bool		isnull;
		int64		document = DatumGetInt64(SPI_getbinval(tuple, descriptor, 2, &isnull));
		bool		found;

		if (i == 0)
			limit >>= Min(8, DatumGetInt32(SPI_getbinval(tuple, descriptor, 5, &isnull)));
		(void) hash_search(inserted, &document, HASH_FIND, &found);
		if (found)
			continue;
		if (DatumGetBool(SPI_getbinval(tuple, descriptor, 3, &isnull)))
			(void) hash_search(inserted, &document, HASH_ENTER, NULL);
		run.ids[run.nids++] = DatumGetInt64(SPI_getbinval(tuple, descriptor, 1, &isnull));
		*bytes += DatumGetInt32(SPI_getbinval(tuple, descriptor, 4, &isnull));
	}
	hash_destroy(inserted);
}

/*
 * write_down notes which entries of a slot are about to be sent, for whoever
 * comes after us if we do not come to the end.
 */
static void
write_down(const char *server, int slot, const int64 *ids, int nids)
{
	Oid			types[] = {NAMEOID, INT2OID, INT8ARRAYOID};
	NameData	name;
	Datum		values[3];

	namestrcpy(&name, server);
	values[0] = NameGetDatum(&name);
	values[1] = Int16GetDatum(slot);
	values[2] = pns_outbox_id_array(ids, nids);
	pns_outbox_query("INSERT INTO pynomaly.outbox_attempts (server, slot, ids) VALUES ($1, $2, $3)",
					 SPI_OK_INSERT, lengthof(types), types, values);
}

/* rest waits a moment, until those who hold the slots have come further. */
static void
rest(void)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, REST,
					 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}
