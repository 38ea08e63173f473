/*-------------------------------------------------------------------------
 *
 * explain.c
 *	  What EXPLAIN ANALYZE tells of the work that a plan's node gave a server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/private.h"

/*
 * pns_fdw_explain_use shows, in one line or in members of their own, what a
 * node has asked of its server in all its loops together.  A node that asked
 * nothing has no line.
 */
void
pns_fdw_explain_use(const PnsRemoteUse *use, ExplainState *es)
{
	StringInfoData line;

	if (es->format != EXPLAIN_FORMAT_TEXT)
	{
		ExplainPropertyUInteger("MongoDB Queries", NULL, use->queries, es);
		ExplainPropertyUInteger("MongoDB Batches", NULL, use->batches, es);
		ExplainPropertyUInteger("MongoDB Documents", NULL, use->documents, es);
		ExplainPropertyUInteger("MongoDB Bytes", NULL, use->bytes, es);
		if (es->timing)
			ExplainPropertyFloat("MongoDB Wait Time", "ms",
								 INSTR_TIME_GET_MILLISEC(use->waited), 3, es);
		return;
	}

	if (use->queries == 0)
		return;
	initStringInfo(&line);
	appendStringInfo(&line, "queries=" UINT64_FORMAT " batches=" UINT64_FORMAT
					 " documents=" UINT64_FORMAT " bytes=" UINT64_FORMAT,
					 use->queries, use->batches, use->documents, use->bytes);
	if (es->timing)
		appendStringInfo(&line, " wait=%.3f ms", INSTR_TIME_GET_MILLISEC(use->waited));
	ExplainPropertyText("MongoDB Use", line.data, es);
}
