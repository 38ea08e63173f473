/*-------------------------------------------------------------------------
 *
 * fdw.h
 *	  The door of the room of the foreign data wrapper.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNS_FDW_H
#define PNS_FDW_H

#include "base/base.h"

/* Once per backend, from _PG_init: the settings of the wrapper. */
extern void pns_fdw_init(void);

#endif							/* PNS_FDW_H */
