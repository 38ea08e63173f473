/*-------------------------------------------------------------------------
 *
 * settings.c
 *	  The wrapper's settings.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/guc.h"

#include "fdw/private.h"

bool		pns_fdw_enable_pushdown = true;

/*
 * pns_fdw_init defines the settings of the wrapper, in alphabetical order,
 * and reserves their prefix.
 */
void
pns_fdw_init(void)
{
	DefineCustomBoolVariable("pynomaly_store.enable_pushdown",
							 "Sends the conditions of a query to MongoDB.",
							 "Off, every condition is evaluated by PostgreSQL "
							 "over all documents of the collection. The rows "
							 "are the same.",
							 &pns_fdw_enable_pushdown,
							 true,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);

	MarkGUCPrefixReserved("pynomaly_store");
}
