/*-------------------------------------------------------------------------
 *
 * audit.h
 *	  The pieces of the audit log: rows as jsonb, entries, their chain.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNS_STORE_AUDIT_H
#define PNS_STORE_AUDIT_H

#include "access/tupdesc.h"
#include "base/base.h"
#include "common/sha2.h"
#include "store/private.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

/*
 * What an entry says besides who and when.  What is NULL is absent.
 */
typedef struct AuditFact
{
	const char *kind;			/* change or event */
	const char *action;
	const char *resource_type;
	const char *outcome;
	const char *severity;
	Jsonb	   *resource_key;
	Jsonb	   *old_values;
	Jsonb	   *new_values;
	Jsonb	   *details;
	const pg_uuid_t *tenant;
} AuditFact;

/*
 * An end of a chain: the entry that the next one refers to.  sequence is 0
 * before the first entry.
 */
typedef struct AuditChain
{
	int64		id;
	int64		sequence;
	uint8		hash[PG_SHA256_DIGEST_LENGTH];
} AuditChain;

/* in audit_json.c */
extern Jsonb *pns_store_audit_row(TupleDesc descriptor, const Datum *values,
								  const bool *nulls, const bool *wanted,
								  int max_size);
extern Jsonb *pns_store_audit_mask(Jsonb *jsonb);

/* in audit_chain.c */
extern void pns_store_audit_chain_init(void);
extern AuditChain *pns_store_audit_chain(void);

/* in audit_entry.c */
extern void pns_store_audit_entry_init(void);
extern void pns_store_audit_write(const AuditFact *fact);
extern void pns_store_sha256(const void *bytes, size_t size, uint8 *digest);

#endif							/* PNS_STORE_AUDIT_H */
