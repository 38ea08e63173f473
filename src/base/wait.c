/*-------------------------------------------------------------------------
 *
 * wait.c
 *	  Waiting for sockets in a way that a cancel ends.
 *
 * The callers stand inside a foreign library, whose frames nothing may jump
 * through.  Therefore nothing here throws, and nothing here acts on an
 * interrupt: it is only reported, so that the caller can leave the library
 * by the library's own way out, and run CHECK_FOR_INTERRUPTS() afterwards.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <poll.h>

#include "base/base.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/elog.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

static PnsWaitResult wait_until(PnsWaitSocket *sockets, int nsockets,
								int64 deadline);
static PnsWaitResult wait_once(PnsWaitSocket *sockets, int nsockets,
							   long timeout_ms, WaitEvent *events);
static int64 now_ms(void);

/*
 * pns_base_wait waits until a socket is ready, timeout_ms have passed (less
 * than 0 means for ever), or an interrupt is pending.  PNS_WAIT_FAILED says
 * that it was not possible to wait at all, for want of file descriptors or
 * memory.
 *
 * The death of the postmaster counts as an order to terminate, as it does
 * where a backend waits for its own client.
 */
PnsWaitResult
pns_base_wait(PnsWaitSocket *sockets, int nsockets, int64 timeout_ms)
{
	MemoryContext caller = CurrentMemoryContext;
	PnsWaitResult result;

	PG_TRY();
	{
		result = wait_until(sockets, nsockets,
							timeout_ms < 0 ? -1 : now_ms() + timeout_ms);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		FlushErrorState();
		result = PNS_WAIT_FAILED;
	}
	PG_END_TRY();

	return result;
}

/*
 * pns_base_wait_deaf waits like pns_base_wait, but takes no notice of
 * interrupts.  For cleaning up after one, in short and bounded waits.
 */
PnsWaitResult
pns_base_wait_deaf(PnsWaitSocket *sockets, int nsockets, int64 timeout_ms)
{
	int64		deadline = now_ms() + timeout_ms;
	struct pollfd *fds = malloc(sizeof(struct pollfd) * nsockets);
	int			nready;

	Assert(timeout_ms >= 0);
	if (fds == NULL)
		return PNS_WAIT_FAILED;
	for (int i = 0; i < nsockets; i++)
	{
		fds[i].fd = sockets[i].fd;
		fds[i].events = (sockets[i].events & WL_SOCKET_READABLE ? POLLIN : 0) |
			(sockets[i].events & WL_SOCKET_WRITEABLE ? POLLOUT : 0);
		fds[i].revents = 0;
	}

	do
		nready = poll(fds, nsockets, (int) Max(deadline - now_ms(), 0));
	while (nready < 0 && errno == EINTR);

	/* What is broken counts as ready: reading or writing tells how. */
	for (int i = 0; i < nsockets; i++)
		sockets[i].ready = fds[i].revents & ~(POLLIN | POLLOUT) ? sockets[i].events :
			(fds[i].revents & POLLIN ? WL_SOCKET_READABLE : 0) |
			(fds[i].revents & POLLOUT ? WL_SOCKET_WRITEABLE : 0);
	free(fds);

	if (nready < 0)
		return PNS_WAIT_FAILED;
	return nready > 0 ? PNS_WAIT_READY : PNS_WAIT_TIMEOUT;
}

/*
 * pns_base_interrupt_pending tells whether the next CHECK_FOR_INTERRUPTS()
 * would end the statement.  InterruptPending alone is not that: it is also
 * raised for requests that are answered without ending anything.
 *
 * The conflict of a standby's query with replay is private to postgres.c from
 * PostgreSQL 17 on, and so is not seen here; it takes effect when the wait is
 * over.
 */
bool
pns_base_interrupt_pending(void)
{
	if (!InterruptPending)
		return false;
#if PG_VERSION_NUM >= 170000
	if (TransactionTimeoutPending)
		return true;
#endif
	return QueryCancelPending || ProcDiePending || ClientConnectionLost;
}

/* wait_until is pns_base_wait up to a point in time, and may throw. */
static PnsWaitResult
wait_until(PnsWaitSocket *sockets, int nsockets, int64 deadline)
{
	WaitEvent  *events = palloc(sizeof(WaitEvent) * (nsockets + 2));
	PnsWaitResult result;

	for (int i = 0; i < nsockets; i++)
		sockets[i].ready = 0;

	do
	{
		int64		left = -1;

		if (deadline >= 0)
			left = Min(Max(deadline - now_ms(), 0), PG_INT32_MAX);
		if (pns_base_interrupt_pending())
			result = PNS_WAIT_INTERRUPTED;
		else
			result = wait_once(sockets, nsockets, (long) left, events);

		/* The latch is also set for reasons that are none of ours. */
	} while (result == PNS_WAIT_INTERRUPTED && !pns_base_interrupt_pending());

	pfree(events);
	return result;
}

/*
 * wait_once waits one time.  It returns PNS_WAIT_INTERRUPTED where the latch
 * was set, for whatever reason, and no socket is ready.
 */
static PnsWaitResult
wait_once(PnsWaitSocket *sockets, int nsockets, long timeout_ms,
		  WaitEvent *events)
{
	WaitEventSet *set = PnsCreateWaitEventSet(nsockets + 2);
	PnsWaitResult result = PNS_WAIT_TIMEOUT;
	int			nevents;

	AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(set, WL_POSTMASTER_DEATH, PGINVALID_SOCKET, NULL, NULL);
	for (int i = 0; i < nsockets; i++)
		AddWaitEventToSet(set, sockets[i].events, sockets[i].fd, NULL,
						  &sockets[i]);

	nevents = WaitEventSetWait(set, timeout_ms, events, nsockets + 2,
							   PG_WAIT_EXTENSION);
	FreeWaitEventSet(set);

	for (int i = 0; i < nevents; i++)
	{
		if (events[i].events & WL_LATCH_SET)
			ResetLatch(MyLatch);
		if (events[i].events & WL_POSTMASTER_DEATH)
			ProcDiePending = InterruptPending = true;
		if (events[i].user_data != NULL)
		{
			((PnsWaitSocket *) events[i].user_data)->ready = events[i].events;
			result = PNS_WAIT_READY;
		}
		else if (result != PNS_WAIT_READY)
			result = PNS_WAIT_INTERRUPTED;
	}
	return result;
}

/* now_ms reads a clock that nobody can set, in milliseconds. */
static int64
now_ms(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	return (int64) INSTR_TIME_GET_MILLISEC(now);
}
