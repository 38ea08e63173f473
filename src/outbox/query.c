/*-------------------------------------------------------------------------
 *
 * query.c
 *	  Queries on the tables of the outbox, with the rights of their owner.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "outbox/private.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"

static PnsOwnerState saved;

/*
 * pns_outbox_begin_query stands before queries, up to pns_outbox_end_query.
 * They do not nest.
 */
void
pns_outbox_begin_query(void)
{
	if (SPI_connect() != SPI_OK_CONNECT)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not use the outbox")));
	pns_base_become_owner("outbox", &saved);
}

/*
 * pns_outbox_query runs a query, which has to end in the expected way.  None of
 * its parameters is NULL.
 */
void
pns_outbox_query(const char *query, int expected, int nargs, const Oid *types,
				 const Datum *values)
{
	int			result = SPI_execute_with_args(query, nargs, (Oid *) types, (Datum *) values,
											   NULL, false, 0);

	if (result != expected)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not use the outbox: %s", SPI_result_code_string(result))));
}

/* pns_outbox_end_query ends what pns_outbox_begin_query has begun. */
void
pns_outbox_end_query(void)
{
	pns_base_end_owner(&saved);
	SPI_finish();
}

/* pns_outbox_id_array gives numbers of entries as an array of PostgreSQL. */
Datum
pns_outbox_id_array(const int64 *ids, int nids)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(nids, 1));

	for (int i = 0; i < nids; i++)
		values[i] = Int64GetDatum(ids[i]);
	return PointerGetDatum(construct_array(values, nids, INT8OID, sizeof(int64),
										   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}
