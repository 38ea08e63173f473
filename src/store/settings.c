/*-------------------------------------------------------------------------
 *
 * settings.c
 *	  The settings of the relational core.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/guc.h"

#include "store/private.h"
#include "store/store.h"

bool		pns_store_allow_drop = false;

/*
 * pns_store_init defines the settings, in alphabetical order, and installs
 * the hooks that guard rows and estimates.
 */
void
pns_store_init(void)
{
	DefineCustomBoolVariable("pynomaly_store.allow_drop",
							 "Lets tables of the store be dropped with their rows.",
							 "Off, DROP EXTENSION and DROP SCHEMA are refused "
							 "while a table of the store has rows.",
							 &pns_store_allow_drop,
							 false,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);
	pns_store_define_tenant();
	pns_store_define_configuration();
	pns_store_define_audit();
	pns_store_watch_drops();
	pns_store_guard_estimates();
}
