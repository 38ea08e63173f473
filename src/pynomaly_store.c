/*-------------------------------------------------------------------------
 *
 * pynomaly_store.c
 *	  The module: its magic block and the start of each room.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "fdw/fdw.h"
#include "mongo/mongo.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

/*
 * _PG_init lets each room register its settings.  No room may talk to a
 * remote system or throw after having installed a hook here.
 */
void
_PG_init(void)
{
	pns_mongo_init();
	pns_fdw_init();
}
