/*-------------------------------------------------------------------------
 *
 * audit_chain.c
 *	  The chain of a session's audit entries.
 *
 * Each session has a chain of its own, so that sessions do not wait for each
 * other: an entry holds the hash of the one that the same session wrote before.
 * Entries of a transaction or savepoint that is rolled back vanish, so the end
 * of the chain goes back with it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "store/audit.h"
#include "utils/memutils.h"

/*
 * Where the chain ended before a subtransaction's first entry; the innermost
 * subtransaction first.  Lives in TopTransactionContext.
 */
typedef struct SavedChain
{
	SubTransactionId owner;
	AuditChain	before;
	struct SavedChain *outer;
} SavedChain;

static AuditChain chain;
static SavedChain *saved = NULL;

static void at_transaction_end(XactEvent event, void *arg);
static void at_subtransaction_end(SubXactEvent event,
								  SubTransactionId subtransaction,
								  SubTransactionId parent, void *arg);

/*
 * pns_store_audit_chain_init makes the chain follow transactions.
 */
void
pns_store_audit_chain_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
}

/*
 * pns_store_audit_chain returns the end of the session's chain, for the caller
 * to move on by one entry in the current subtransaction.
 */
AuditChain *
pns_store_audit_chain(void)
{
	SubTransactionId current = GetCurrentSubTransactionId();

	if (saved == NULL || saved->owner != current)
	{
		SavedChain *entry = MemoryContextAlloc(TopTransactionContext,
											   sizeof(SavedChain));

		entry->owner = current;
		entry->before = chain;
		entry->outer = saved;
		saved = entry;
	}
	if (chain.sequence == 0 && !pg_strong_random(&chain.id, sizeof(chain.id)))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("could not generate a random number")));
	return &chain;
}

/*
 * at_transaction_end keeps or takes back what the transaction appended.
 *
 * The fate of a prepared transaction is decided elsewhere and later: its
 * entries stay the end of their chain, and the session begins a new one.
 */
static void
at_transaction_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_ABORT:
			while (saved != NULL)
			{
				chain = saved->before;
				saved = saved->outer;
			}
			break;
		case XACT_EVENT_PREPARE:
			if (saved != NULL)
				memset(&chain, 0, sizeof(chain));
			saved = NULL;
			break;
		case XACT_EVENT_COMMIT:
			saved = NULL;
			break;
		default:
			break;
	}
}

/*
 * at_subtransaction_end does the same for a savepoint: released, what it
 * appended is its parent's.
 */
static void
at_subtransaction_end(SubXactEvent event, SubTransactionId subtransaction,
					  SubTransactionId parent, void *arg)
{
	if (saved == NULL || saved->owner != subtransaction)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		chain = saved->before;
		saved = saved->outer;
	}
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		if (saved->outer != NULL && saved->outer->owner == parent)
			saved = saved->outer;
		else
			saved->owner = parent;
	}
}
