/*-------------------------------------------------------------------------
 *
 * async.c
 *	  Foreign scans below an Append that waits for several of them at once.
 *
 * A scan asks its server for a batch, and the Append goes on with the other
 * scans until the socket announces the answer.  The rows of a batch are then
 * produced one after the other.
 *
 * Scans of one server and user share a connection, which has one request under
 * way at a time.  The others wait for their turn; so they gain nothing from
 * each other, but lose nothing either.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/execAsync.h"
#include "executor/instrument.h"
#include "nodes/execnodes.h"
#include "storage/latch.h"

#include "fdw/query.h"

static void produce_row(AsyncRequest *areq, bool request);
static void complete_request(AsyncRequest *areq);
static PnsCursor *waiting_cursor(AsyncRequest *areq);
static bool has_turn(AsyncRequest *areq, PnsCursor *cursor);

/*
 * pnsIsForeignPathAsyncCapable tells whether a path may be run in this way: all
 * of its tables must be said to be capable of it.
 */
bool
pnsIsForeignPathAsyncCapable(ForeignPath *path)
{
	const PnsRelation *relation = (PnsRelation *) path->path.parent->fdw_private;
	ListCell   *lc;

	foreach(lc, relation->sources)
	{
		if (!((PnsTermSource *) lfirst(lc))->table->async_capable)
			return false;
	}
	return true;
}

/*
 * pnsForeignAsyncRequest asks a scan for its next row.
 */
void
pnsForeignAsyncRequest(AsyncRequest *areq)
{
	produce_row(areq, true);
}

/*
 * pnsForeignAsyncConfigureWait says what a scan waits for: for its answer, or
 * that another scan of its connection gets its own.
 */
void
pnsForeignAsyncConfigureWait(AsyncRequest *areq)
{
	AppendState *append = (AppendState *) areq->requestor;
	PnsCursor  *cursor = waiting_cursor(areq);

	Assert(areq->callback_pending);
	if (cursor == NULL)
	{
		/* another use of the connection has received its answer */
		complete_request(areq);
		if (areq->request_complete)
			return;
		cursor = waiting_cursor(areq);
	}

	if (has_turn(areq, cursor))
	{
		if (pns_mongo_cursor_requester(cursor) != areq)
			pns_mongo_cursor_request(cursor, areq);
		AddWaitEventToSet(append->as_eventset, WL_SOCKET_READABLE,
						  pns_mongo_cursor_socket(cursor), NULL, areq);
	}
}

/*
 * pnsForeignAsyncNotify goes on with a scan whose answer has been announced.
 */
void
pnsForeignAsyncNotify(AsyncRequest *areq)
{
	PnsCursor  *cursor = waiting_cursor(areq);

	Assert(!areq->callback_pending);
	if (cursor != NULL && pns_mongo_cursor_requester(cursor) == areq)
		pns_mongo_cursor_fetch(cursor);
	produce_row(areq, true);
}

/*
 * produce_row gives the Append a row, or the news that there is none, or else
 * leaves the request pending.  With request, and if the connection is free, the
 * next batch is sent for then.
 *
 * ExecProcNodeReal is used as the caller has done what ExecProcNode does
 * besides.  It returns no row also where the conditions that are checked here
 * have let none of a batch pass.
 */
static void
produce_row(AsyncRequest *areq, bool request)
{
	PnsCursor  *cursor = waiting_cursor(areq);

	if (cursor == NULL)
	{
		TupleTableSlot *row = areq->requestee->ExecProcNodeReal(areq->requestee);

		cursor = TupIsNull(row) ? waiting_cursor(areq) : NULL;
		if (cursor == NULL)
		{
			ExecAsyncRequestDone(areq, row);
			return;
		}
	}

	ExecAsyncRequestPending(areq);
	if (request && pns_mongo_cursor_requester(cursor) == NULL)
		pns_mongo_cursor_request(cursor, areq);
}

/*
 * complete_request does for a pending request, outside of a notification, what
 * else the executor does around it.
 */
static void
complete_request(AsyncRequest *areq)
{
	areq->callback_pending = false;
	produce_row(areq, false);
	ExecAsyncResponse(areq);
	if (areq->requestee->instrument != NULL)
		InstrUpdateTupleCount(areq->requestee->instrument,
							  TupIsNull(areq->result) ? 0.0 : 1.0);
}

/*
 * waiting_cursor gives the cursor of a scan that cannot go on without its
 * server, NULL where it can.
 */
static PnsCursor *
waiting_cursor(AsyncRequest *areq)
{
	PnsCursor  *cursor = pns_fdw_scan_cursor((ForeignScanState *) areq->requestee);

	return cursor != NULL && pns_mongo_cursor_must_wait(cursor) ? cursor : NULL;
}

/*
 * has_turn tells whether a scan may have the connection.  If a scan of another
 * Append has it, that one's answer is received first, but only where this
 * Append would otherwise have nothing to wait for.
 */
static bool
has_turn(AsyncRequest *areq, PnsCursor *cursor)
{
	AppendState *append = (AppendState *) areq->requestor;
	AsyncRequest *other = (AsyncRequest *) pns_mongo_cursor_requester(cursor);

	if (other == NULL || other == areq)
		return true;
	return other->requestor != areq->requestor &&
		bms_is_empty(append->as_needrequest) &&
		GetNumRegisteredWaitEvents(append->as_eventset) == 1;
}
