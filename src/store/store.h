/*-------------------------------------------------------------------------
 *
 * store.h
 *	  The relational core: tenancy, derived columns, protection from drops.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNS_STORE_H
#define PNS_STORE_H

extern void pns_store_init(void);

#endif							/* PNS_STORE_H */
