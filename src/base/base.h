/*-------------------------------------------------------------------------
 *
 * base.h
 *	  What every room may use: foreign handles that die with a memory
 *	  context, the rights of our tables' owner, and waiting that a cancel
 *	  can end.
 *
 * This room knows no other room.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNS_BASE_H
#define PNS_BASE_H

#include "postgres.h"

#include "base/compat.h"
#include "portability/instr_time.h"
#include "utils/palloc.h"

/* in handle.c */

/*
 * Frees what a foreign library made.  Must not throw nor palloc, and waits for
 * a remote system a tenth of a second at most.
 */
typedef void (*PnsDestroy) (void *object);

/*
 * An object of a foreign library, owned by the memory context that the
 * handle was made in.  object is NULL before it was set and after it was
 * released.
 */
typedef struct PnsHandle
{
	void	   *object;
	PnsDestroy	destroy;
	MemoryContextCallback callback;
} PnsHandle;

extern PnsHandle *pns_base_handle_create(MemoryContext context,
										 PnsDestroy destroy);
extern void pns_base_handle_release(PnsHandle *handle);

/* in owner.c */

/* What pns_base_end_owner restores. */
typedef struct PnsOwnerState
{
	Oid			user;
	int			security;
	int			nest_level;		/* of the settings */
} PnsOwnerState;

extern void pns_base_become_owner(const char *table, PnsOwnerState *saved);
extern void pns_base_end_owner(const PnsOwnerState *saved);

/* Tell whether the current user is a superuser or a member of pynomaly_admin. */
extern bool pns_base_is_admin(void);

/* in wait.c */

typedef enum PnsWaitResult
{
	PNS_WAIT_READY,				/* at least one socket is ready */
	PNS_WAIT_TIMEOUT,			/* the deadline has passed */
	PNS_WAIT_INTERRUPTED,		/* a cancel or a termination is pending */
	PNS_WAIT_FAILED				/* could not wait: no descriptors or memory */
} PnsWaitResult;

/* One socket to wait for; ready is filled in by pns_base_wait. */
typedef struct PnsWaitSocket
{
	int			fd;
	int			events;			/* WL_SOCKET_READABLE, WL_SOCKET_WRITEABLE */
	int			ready;			/* those of events that are ready */
} PnsWaitSocket;

extern PnsWaitResult pns_base_wait(PnsWaitSocket *sockets, int nsockets,
								   int64 timeout_ms);
extern PnsWaitResult pns_base_wait_deaf(PnsWaitSocket *sockets, int nsockets,
										int64 timeout_ms);
extern bool pns_base_interrupt_pending(void);

#endif							/* PNS_BASE_H */
