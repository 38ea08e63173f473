/*-------------------------------------------------------------------------
 *
 * wait.c
 *	  Waiting until the outbox has been applied, and what else SQL calls.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "outbox/private.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

/* How often the table is looked at: soon at first, then less often. */
#define FIRST_PAUSE 5			/* milliseconds */
#define LAST_PAUSE 100			/* milliseconds */

PG_FUNCTION_INFO_V1(pns_outbox_wait);
PG_FUNCTION_INFO_V1(pns_outbox_operation_json);

PGDLLEXPORT Datum pns_outbox_wait(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_outbox_operation_json(PG_FUNCTION_ARGS);

static int64 last_entry(const NameData *server);
static int64 count_entries(const char *state, const NameData *server, int64 upto,
						   bool of_all);
static void throw_dead(int64 dead);
static int64 single_number(void);

/*
 * pns_outbox_wait waits until all entries that were committed before have been
 * applied, by whomever.  55P03 where that takes longer than it may, HV000 where
 * one of them is a dead letter.  Entries of other tenants than the current one
 * concern pynomaly_admin alone; who else waits learns nothing of them.
 */
Datum
pns_outbox_wait(PG_FUNCTION_ARGS)
{
	Interval   *timeout = PG_ARGISNULL(0) ? NULL : PG_GETARG_INTERVAL_P(0);
	NameData   *server = PG_ARGISNULL(1) ? NULL : PG_GETARG_NAME(1);
	TimestampTz end;
	long		pause = FIRST_PAUSE;
	bool		of_all = pns_base_is_admin();
	int64		upto;

	if (timeout == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the time to wait for the outbox must not be null")));
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("wait_for_outbox() works in transactions of isolation level READ COMMITTED only"),
				 errdetail("A transaction of another level does not see what others apply meanwhile.")));
	if (pns_outbox_wrote_in_transaction())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("wait_for_outbox() cannot wait for writes of its own transaction"),
				 errdetail("They are applied after the commit."),
				 errhint("COMMIT first.")));

	end = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												  TimestampTzGetDatum(GetCurrentTimestamp()),
												  IntervalPGetDatum(timeout)));
	upto = last_entry(server);
	for (;;)
	{
		int64		dead = count_entries("dead", server, upto, of_all);
		int64		pending;

		if (dead > 0)
			throw_dead(dead);
		pending = count_entries("pending", server, upto, of_all);
		if (pending == 0)
			PG_RETURN_VOID();
		if (GetCurrentTimestamp() >= end)
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("the outbox was not applied in time"),
					 errdetail(INT64_FORMAT " or more entries are left.", pending),
					 errhint("See the view pynomaly.stat_outbox; CALL pynomaly.apply_outbox() applies them.")));
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, pause,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		pause = Min(pause * 2, LAST_PAUSE);
	}
}

/*
 * pns_outbox_operation_json shows an operation as Extended JSON; NULL where JSON
 * text cannot say it.
 */
Datum
pns_outbox_operation_json(PG_FUNCTION_ARGS)
{
	bytea	   *operation = PG_GETARG_BYTEA_PP(0);
	PnsDocument document = {(const uint8 *) VARDATA_ANY(operation), VARSIZE_ANY_EXHDR(operation)};
	StringInfoData out;

	initStringInfo(&out);
	if (!pns_json_append_document(&out, document, PNS_JSON_CANONICAL))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(CStringGetTextDatum(out.data));
}

/* last_entry gives the number of the last entry of a server, or of all. */
static int64
last_entry(const NameData *server)
{
	Oid			types[] = {NAMEOID};
	Datum		values[1];
	int64		last;

	values[0] = NameGetDatum(server);
	pns_outbox_begin_query();
	if (server == NULL)
		pns_outbox_query("SELECT coalesce(max(id), 0) FROM pynomaly.outbox",
						 SPI_OK_SELECT, 0, NULL, NULL);
	else
		pns_outbox_query("SELECT coalesce(max(id), 0) FROM pynomaly.outbox WHERE server = $1",
						 SPI_OK_SELECT, lengthof(types), types, values);
	last = single_number();
	pns_outbox_end_query();
	return last;
}

/*
 * count_entries counts entries of all tenants or of the current one, as far as it
 * takes to say that there are some.
 */
static int64
count_entries(const char *state, const NameData *server, int64 upto, bool of_all)
{
	Oid			types[] = {TEXTOID, INT8OID, BOOLOID, NAMEOID};
	Datum		values[4];
	int64		count;

	pns_outbox_begin_query();
	values[0] = CStringGetTextDatum(state);
	values[1] = Int64GetDatum(upto);
	values[2] = BoolGetDatum(of_all);
	values[3] = NameGetDatum(server);
	pns_outbox_query(server == NULL ?
					 "SELECT count(*) FROM (SELECT FROM pynomaly.outbox "
					 "WHERE state = $1 AND id <= $2 "
					 "AND ($3 OR tenant IS NOT DISTINCT FROM pynomaly.current_tenant()) "
					 "LIMIT 1000) AS found" :
					 "SELECT count(*) FROM (SELECT FROM pynomaly.outbox "
					 "WHERE state = $1 AND id <= $2 AND server = $4 "
					 "AND ($3 OR tenant IS NOT DISTINCT FROM pynomaly.current_tenant()) "
					 "LIMIT 1000) AS found",
					 SPI_OK_SELECT, server == NULL ? 3 : 4, types, values);
	count = single_number();
	pns_outbox_end_query();
	return count;
}

/* throw_dead reports dead letters. */
static void
throw_dead(int64 dead)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_ERROR),
			 errmsg("the outbox has writes that MongoDB refused"),
			 errdetail(INT64_FORMAT " of them wait to be looked at; later writes to the same documents wait behind them.",
					   dead),
			 errhint("See the view pynomaly.outbox_dead_letters, and use retry_outbox() or drop_outbox().")));
}

/* single_number gives the bigint that a query returned. */
static int64
single_number(void)
{
	bool		isnull;

	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
									   &isnull));
}
