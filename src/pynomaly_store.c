/*-------------------------------------------------------------------------
 *
 * pynomaly_store.c
 *	  The module: its magic block and the start of each room.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/guc.h"

#include "fdw/fdw.h"
#include "mongo/mongo.h"
#include "outbox/outbox.h"
#include "store/store.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

/*
 * _PG_init lets each room register its settings, then reserves their prefix.
 * No room may talk to a remote system or throw after having installed a hook
 * here.
 */
void
_PG_init(void)
{
	pns_mongo_init();
	pns_outbox_init();
	pns_fdw_init();
	pns_store_init();
	MarkGUCPrefixReserved("pynomaly_store");
}
