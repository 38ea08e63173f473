/*-------------------------------------------------------------------------
 *
 * private.h
 *	  What the files of this room share.
 *
 * An entry is a row of pynomaly.outbox: one operation on one document.  The
 * entries of a server stand in slots, by a hash of their documents.  Whoever
 * applies a slot holds its lock, so that the entries of a document are applied
 * in the order of their numbers, by one applier at a time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNS_OUTBOX_PRIVATE_H
#define PNS_OUTBOX_PRIVATE_H

#include "outbox/outbox.h"

#include "storage/lock.h"

/* The table's check of the column says the same. */
#define PNS_OUTBOX_SLOTS 16

/* The kinds, in the words of the table. */
#define PNS_OUTBOX_INSERT "insert"
#define PNS_OUTBOX_UPDATE "update"
#define PNS_OUTBOX_DELETE "delete"

/* An error that an operation, or a whole server, met with. */
typedef struct PnsOutboxFailure
{
	int			sqlstate;		/* 0: there was none */
	char	   *message;
	char	   *detail;			/* may be NULL */
	bool		sent;			/* the server may have done something */
	bool		unknown;		/* and may still be doing it */
} PnsOutboxFailure;

/* What became of an entry of a batch. */
typedef enum PnsOutboxFate
{
	PNS_FATE_LEFT = 0,			/* not sent */
	PNS_FATE_APPLIED,
	PNS_FATE_DEAD,				/* refused */
	PNS_FATE_FAILED				/* to be sent again */
} PnsOutboxFate;

/* What the entries of one document in a batch have in common. */
typedef struct PnsOutboxDocument
{
	int64		number;			/* the hash key */
	struct PnsOutboxEntry *last;	/* that was grouped */
	int			level;			/* of that one's group */
	bool		stuck;			/* one was not applied: none after it */
} PnsOutboxDocument;

/* A row of pynomaly.outbox. */
typedef struct PnsOutboxEntry
{
	int64		id;
	int64		number;			/* of its document */
	PnsWriteKind kind;
	const char *role;
	const char *database;
	const char *collection;
	PnsDocument options;		/* size 0: none */
	PnsDocument operation;
	bool		repeated;		/* may have been applied already */
	PnsOutboxDocument *document;
	PnsOutboxFate fate;
	PnsOutboxFailure failure;	/* where it is dead or failed */
} PnsOutboxEntry;

/* What became of a batch. */
typedef struct PnsOutboxOutcome
{
	int64		applied;
	int64		dead;
	PnsOutboxFailure failure;	/* because of which entries were left */
} PnsOutboxOutcome;

/* in key.c */
extern int64 pns_outbox_document_hash(const char *database, const char *collection,
									  const PnsBsonValue *id);

/* in operation.c */
extern PnsBsonValue pns_outbox_document_id(PnsWriteKind kind, PnsDocument operation);
extern void pns_outbox_check_operation(const PnsWriteBatch *batch, int position);

/* in lock.c */
extern void pns_outbox_lock_documents(Oid serverid, const bool *wanted, uint32 collection);
extern bool pns_outbox_lock_slot(const char *server, int slot);
extern void pns_outbox_unlock_slots(void);

#define PNS_OUTBOX_WRITE_LOCKS 128

/* in apply.c */
extern bool pns_outbox_apply_all(PnsOutboxFailure *failure, char **server);

/* in send.c */
extern PnsOutboxOutcome pns_outbox_send(const char *server, const int64 *ids, int nids);

/* in entries.c */
extern List *pns_outbox_read_entries(const int64 *ids, int nids);
extern void pns_outbox_finish_entries(const char *server, List *entries,
									  PnsOutboxOutcome *outcome);

/* in query.c */
extern void pns_outbox_begin_query(void);
extern void pns_outbox_query(const char *query, int expected, int nargs, const Oid *types,
							 const Datum *values);
extern void pns_outbox_end_query(void);
extern Datum pns_outbox_id_array(const int64 *ids, int nids);

/* in worker.c */
extern int	pns_outbox_command_timeout; /* milliseconds */

/* in put.c */
extern bool pns_outbox_wrote_in_transaction(void);

#endif							/* PNS_OUTBOX_PRIVATE_H */
