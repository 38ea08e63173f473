/*-------------------------------------------------------------------------
 *
 * private.h
 *	  What the files of store/ share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNS_STORE_PRIVATE_H
#define PNS_STORE_PRIVATE_H

#include "utils/relcache.h"
#include "utils/uuid.h"

/* in settings.c */
extern bool pns_store_allow_drop;

/* in audit.c */
extern void pns_store_define_audit(void);

/* in configuration.c */
extern void pns_store_define_configuration(void);

/* in drop.c */
extern void pns_store_watch_drops(void);

/* in estimates.c */
extern void pns_store_guard_estimates(void);

/* in tenant.c */
extern const pg_uuid_t *pns_store_tenant(void);
extern void pns_store_define_tenant(void);

#endif							/* PNS_STORE_PRIVATE_H */
