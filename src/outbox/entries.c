/*-------------------------------------------------------------------------
 *
 * entries.c
 *	  Entries of the outbox: from the table, and what became of them back into
 *	  it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "outbox/private.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/elog.h"

/* The columns that are read, in this order. */
typedef enum EntryColumn
{
	ENTRY_ID = 1,
	ENTRY_NUMBER,
	ENTRY_KIND,
	ENTRY_ROLE,
	ENTRY_DATABASE,
	ENTRY_COLLECTION,
	ENTRY_OPTIONS,
	ENTRY_OPERATION,
	ENTRY_REPEATED
} EntryColumn;

static PnsOutboxEntry *read_entry(HeapTuple tuple, TupleDesc descriptor, MemoryContext context);
static PnsDocument read_document(HeapTuple tuple, TupleDesc descriptor, int column,
								 MemoryContext context);
static void mark_entries(List *entries);
static void report_dead(const char *server, const int64 *ids, int nids);
static void finish_attempts(const char *server, List *entries);

/*
 * pns_outbox_read_entries reads entries, in the order of their numbers, into the
 * current context.
 */
List *
pns_outbox_read_entries(const int64 *ids, int nids)
{
	MemoryContext context = CurrentMemoryContext;
	Oid			types[] = {INT8ARRAYOID};
	Datum		values[1];
	List	   *entries = NIL;

	pns_outbox_begin_query();
	values[0] = pns_outbox_id_array(ids, nids);
	pns_outbox_query("SELECT id, document, kind, role, database, collection, options, "
					 "operation, repeated FROM pynomaly.outbox "
					 "WHERE id = ANY ($1) AND state = 'pending' ORDER BY id",
					 SPI_OK_SELECT, lengthof(types), types, values);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		PnsOutboxEntry *entry = read_entry(SPI_tuptable->vals[i], SPI_tuptable->tupdesc,
										   context);
		MemoryContext caller = MemoryContextSwitchTo(context);

		entries = lappend(entries, entry);
		MemoryContextSwitchTo(caller);
	}
	pns_outbox_end_query();
	return entries;
}

/*
 * pns_outbox_finish_entries removes what was applied, marks what was not, and
 * tells of dead letters.  Fills in the outcome's numbers.
 */
void
pns_outbox_finish_entries(const char *server, List *entries, PnsOutboxOutcome *outcome)
{
	int64	   *applied = palloc(sizeof(int64) * Max(list_length(entries), 1));
	int64	   *dead = palloc(sizeof(int64) * Max(list_length(entries), 1));
	List	   *marked = NIL;
	Oid			types[] = {INT8ARRAYOID};
	Datum		values[1];
	ListCell   *cell;

	foreach(cell, entries)
	{
		PnsOutboxEntry *entry = lfirst(cell);

		if (entry->fate == PNS_FATE_APPLIED)
			applied[outcome->applied++] = entry->id;
		else if (entry->fate != PNS_FATE_LEFT)
			marked = lappend(marked, entry);
		if (entry->fate == PNS_FATE_DEAD)
			dead[outcome->dead++] = entry->id;
	}

	pns_outbox_begin_query();
	values[0] = pns_outbox_id_array(applied, outcome->applied);
	pns_outbox_query("DELETE FROM pynomaly.outbox WHERE id = ANY ($1)", SPI_OK_DELETE,
					 lengthof(types), types, values);
	if (marked != NIL)
		mark_entries(marked);
	if (outcome->dead > 0)
		report_dead(server, dead, outcome->dead);
	finish_attempts(server, entries);
	pns_outbox_end_query();
}

/* read_entry gives an entry of a row, in a context. */
static PnsOutboxEntry *
read_entry(HeapTuple tuple, TupleDesc descriptor, MemoryContext context)
{
	PnsOutboxEntry *entry = MemoryContextAllocZero(context, sizeof(PnsOutboxEntry));
	const char *kind = SPI_getvalue(tuple, descriptor, ENTRY_KIND);
	bool		isnull;

	entry->id = DatumGetInt64(SPI_getbinval(tuple, descriptor, ENTRY_ID, &isnull));
	entry->number = DatumGetInt64(SPI_getbinval(tuple, descriptor, ENTRY_NUMBER, &isnull));
	if (strcmp(kind, PNS_OUTBOX_INSERT) == 0)
		entry->kind = PNS_WRITE_INSERT;
	else if (strcmp(kind, PNS_OUTBOX_UPDATE) == 0)
		entry->kind = PNS_WRITE_UPDATE;
	else
		entry->kind = PNS_WRITE_DELETE;
	entry->role = MemoryContextStrdup(context, SPI_getvalue(tuple, descriptor, ENTRY_ROLE));
	entry->database = MemoryContextStrdup(context,
										  SPI_getvalue(tuple, descriptor, ENTRY_DATABASE));
	entry->collection = MemoryContextStrdup(context,
											SPI_getvalue(tuple, descriptor, ENTRY_COLLECTION));
	entry->options = read_document(tuple, descriptor, ENTRY_OPTIONS, context);
	entry->operation = read_document(tuple, descriptor, ENTRY_OPERATION, context);
	entry->repeated = DatumGetBool(SPI_getbinval(tuple, descriptor, ENTRY_REPEATED, &isnull));
	return entry;
}

/* read_document gives a document of a column, of size 0 where it is NULL. */
static PnsDocument
read_document(HeapTuple tuple, TupleDesc descriptor, int column, MemoryContext context)
{
	PnsDocument document = {0};
	MemoryContext caller;
	bytea	   *value;
	Datum		datum;
	bool		isnull;

	datum = SPI_getbinval(tuple, descriptor, column, &isnull);
	if (isnull)
		return document;
	caller = MemoryContextSwitchTo(context);
	value = DatumGetByteaPCopy(datum);
	MemoryContextSwitchTo(caller);
	document.data = (const uint8 *) VARDATA(value);
	document.size = VARSIZE(value) - VARHDRSZ;
	return document;
}

/* mark_entries notes the errors of entries that were not applied. */
static void
mark_entries(List *entries)
{
	Oid			types[] = {INT8OID, BOOLOID, BOOLOID, TEXTOID, TEXTOID};
	Datum		values[5];
	ListCell   *cell;

	foreach(cell, entries)
	{
		PnsOutboxEntry *entry = lfirst(cell);
		const PnsOutboxFailure *failure = &entry->failure;
		const char *error = failure->message;

		if (failure->detail != NULL)
			error = psprintf("%s: %s", failure->message, failure->detail);
		values[0] = Int64GetDatum(entry->id);
		values[1] = BoolGetDatum(entry->fate == PNS_FATE_DEAD);
		values[2] = BoolGetDatum(failure->sent);
		values[3] = CStringGetTextDatum(unpack_sql_state(failure->sqlstate));
		values[4] = CStringGetTextDatum(error);
		pns_outbox_query("UPDATE pynomaly.outbox SET "
						 "state = CASE WHEN $2 THEN 'dead' ELSE 'pending' END, "
						 "repeated = repeated OR $3, sqlstate = $4, error = $5, "
						 "attempts = attempts + 1, attempted_at = clock_timestamp() "
						 "WHERE id = $1",
						 SPI_OK_UPDATE, lengthof(types), types, values);
	}
}

/*
 * report_dead tells of dead letters: whoever listens, the server's log, and the
 * tenants in whose name they were written.  Any role may listen, so that the
 * notification says no more than that there are some.
 */
static void
report_dead(const char *server, const int64 *ids, int nids)
{
	Oid			types[] = {INT8ARRAYOID};
	Datum		values[1];

	values[0] = pns_outbox_id_array(ids, nids);
	pns_outbox_query("SELECT pg_notify('pynomaly_outbox_dead', '')",
					 SPI_OK_SELECT, 0, NULL, NULL);
	pns_outbox_query("INSERT INTO pynomaly.alerts "
					 "(tenant_id, name, message, severity, source, details) "
					 "SELECT o.tenant, format('write to collection %s was refused', o.collection), "
					 "o.error, 'high', 'outbox', jsonb_build_object('outbox_id', o.id, "
					 "'server', o.server, 'database', o.database, 'collection', o.collection, "
					 "'kind', o.kind, 'sqlstate', o.sqlstate) "
					 "FROM pynomaly.outbox o JOIN pynomaly.tenants t ON t.id = o.tenant "
					 "WHERE o.id = ANY ($1)",
					 SPI_OK_INSERT, lengthof(types), types, values);
	ereport(LOG,
			(errmsg("MongoDB server \"%s\" refused %d writes of the outbox", server, nids),
			 errhint("See the view pynomaly.outbox_dead_letters.")));
}

/*
 * finish_attempts removes the note that entries are being sent; where the server
 * may still be carrying out some, these stay in it.
 */
static void
finish_attempts(const char *server, List *entries)
{
	int64	   *unknown = palloc(sizeof(int64) * Max(list_length(entries), 1));
	int			nunknown = 0;
	Oid			types[] = {NAMEOID, INT8ARRAYOID, INT8ARRAYOID};
	NameData	name;
	Datum		values[3];
	int64		slots[PNS_OUTBOX_SLOTS];
	int			nslots = 0;
	bool		seen[PNS_OUTBOX_SLOTS] = {false};
	ListCell   *cell;

	foreach(cell, entries)
	{
		PnsOutboxEntry *entry = lfirst(cell);
		int			slot = (uint64) entry->number % PNS_OUTBOX_SLOTS;

		if (!seen[slot])
			slots[nslots++] = slot;
		seen[slot] = true;
		if (entry->fate == PNS_FATE_FAILED && entry->failure.sent && entry->failure.unknown)
			unknown[nunknown++] = entry->id;
	}
	namestrcpy(&name, server);
	values[0] = NameGetDatum(&name);
	values[1] = pns_outbox_id_array(slots, nslots);
	values[2] = pns_outbox_id_array(unknown, nunknown);
	if (nunknown == 0)
		pns_outbox_query("DELETE FROM pynomaly.outbox_attempts "
						 "WHERE server = $1 AND slot = ANY ($2)",
						 SPI_OK_DELETE, 2, types, values);
	else
		pns_outbox_query("UPDATE pynomaly.outbox_attempts "
						 "SET ids = $3, noticed_at = clock_timestamp() "
						 "WHERE server = $1 AND slot = ANY ($2)",
						 SPI_OK_UPDATE, 3, types, values);
}
