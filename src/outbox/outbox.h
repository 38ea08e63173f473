/*-------------------------------------------------------------------------
 *
 * outbox.h
 *	  The door of the room that keeps writes in a table and carries them out
 *	  after the commit.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNS_OUTBOX_H
#define PNS_OUTBOX_H

#include "mongo/mongo.h"

/*
 * Write a batch in the way of the server's transaction_mode: into the table
 * pynomaly.outbox, or to the server.  connection is the one to the server, and
 * may be NULL in mode outbox, where nothing is sent.  Errors: those of
 * pns_outbox_write or of pns_mongo_write.
 */
extern PnsWriteResult pns_outbox_route(PnsConnection *connection, Oid serverid, Oid userid,
									   const PnsWriteBatch *batch);

/*
 * Put a batch into pynomaly.outbox, to be written after the commit with the
 * user mapping of userid.  The result counts every operation as if it had found
 * its document.
 *
 * An operation names its document by { _id: value } alone, and doing it twice
 * is doing it once: 0A000 for others, such as an update with $inc or one with
 * multi.  54000 for a document that is too large for MongoDB, 42704 where
 * userid has no mapping, 25006 in a transaction that is read-only.
 */
extern PnsWriteResult pns_outbox_write(Oid serverid, Oid userid, const PnsWriteBatch *batch);

/* Once per process, from _PG_init. */
extern void pns_outbox_init(void);

#endif							/* PNS_OUTBOX_H */
