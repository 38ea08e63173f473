/*-------------------------------------------------------------------------
 *
 * lock.c
 *	  The locks of those who write into the outbox, and of those who apply it.
 *
 * Both kinds are advisory locks in classes of their own, so that they do not
 * meet those that SQL can take.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "outbox/private.h"

#include "common/hashfn.h"
#include "miscadmin.h"

/* pg_locks.objsubid; 1 and 2 are those of pg_advisory_lock. */
#define CLASS_WRITE 3
#define CLASS_APPLY 4

/* The slots that this session holds: their locks' tags. */
static LOCKTAG held[PNS_OUTBOX_SLOTS];
static int	nheld = 0;

/*
 * pns_outbox_lock_documents holds off other transactions that update or delete
 * the same documents, until the end of this one: entries are numbered when they
 * are put, and the numbers of a document's entries have to follow the order of
 * the commits.
 *
 * A lock for each document would fill the lock table when 20,000 are changed,
 * and one for a collection would make its writers wait for each other.  So
 * the documents of a collection share PNS_OUTBOX_WRITE_LOCKS locks by their
 * hashes; a batch takes its locks in one order.  Transactions that change
 * several documents in several statements can meet in a deadlock, as they can
 * where they lock rows; it is detected and reported in the same way (40P01).
 *
 * Inserts need none: nobody can have changed a document that is not there, and
 * of two that insert the same one whichever comes second is refused.
 */
void
pns_outbox_lock_documents(Oid serverid, const bool *wanted, uint32 collection)
{
	LOCKTAG		tag;

	for (int i = 0; i < PNS_OUTBOX_WRITE_LOCKS; i++)
	{
		if (!wanted[i])
			continue;
		SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, serverid,
							 collection - collection % PNS_OUTBOX_WRITE_LOCKS + i, CLASS_WRITE);
		(void) LockAcquire(&tag, ExclusiveLock, false, false);
	}
}

/*
 * pns_outbox_lock_slot takes a slot of a server for the session, false where
 * somebody else has it.  The lock outlasts the commit that makes the attempt
 * known, and is to be had again by others as soon as this backend ends, however
 * that comes.  The caller sees to it that pns_outbox_unlock_slots follows, also
 * after an error.
 */
bool
pns_outbox_lock_slot(const char *server, int slot)
{
	LOCKTAG    *tag = &held[nheld];

	Assert(nheld < PNS_OUTBOX_SLOTS);
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId,
						 hash_bytes((const unsigned char *) server, strlen(server)),
						 slot, CLASS_APPLY);
	if (LockAcquire(tag, ExclusiveLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	nheld++;
	return true;
}

/* pns_outbox_unlock_slots gives back the slots that the session holds. */
void
pns_outbox_unlock_slots(void)
{
	while (nheld > 0)
		(void) LockRelease(&held[--nheld], ExclusiveLock, true);
}
