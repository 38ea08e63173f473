/*-------------------------------------------------------------------------
 *
 * private.h
 *	  What the files of this room share.
 *
 * Only files of the documents room include this.  Every function of the room
 * has the name of a server as its first argument; a function over a collection
 * has its name as the second, which may begin with a database's and a dot.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNS_DOCUMENTS_PRIVATE_H
#define PNS_DOCUMENTS_PRIVATE_H

#include "outbox/outbox.h"

#include "foreign/foreign.h"
#include "utils/jsonb.h"

/* What a call works on. */
typedef struct PnsTarget
{
	ForeignServer *server;
	Oid			userid;			/* the caller, whose user mapping counts */
	const char *database;		/* in the database's encoding, as is ... */
	const char *collection;		/* ... this; NULL: the database as a whole */
	PnsConnection *connection;	/* NULL until pns_documents_connect */
} PnsTarget;

/* What an update does. */
typedef struct PnsUpdate
{
	bool		is_pipeline;
	PnsDocument change;			/* operators, or the array of a pipeline */
	PnsDocument array_filters;	/* size 0: none */
} PnsUpdate;

/* in target.c */
extern void pns_documents_find_collection(FunctionCallInfo fcinfo, PnsTarget *target);
extern void pns_documents_find_database(FunctionCallInfo fcinfo, PnsTarget *target);
extern PnsConnection *pns_documents_connect(PnsTarget *target);
extern const char *pns_documents_label(const PnsTarget *target);
extern const char *pns_documents_default_database(const ForeignServer *server);
extern char *pns_documents_split_name(char *name, const char **database);

/* in argument.c */
extern PnsDocument pns_documents_argument(FunctionCallInfo fcinfo, int argument,
										  const char *what);
extern PnsDocument pns_documents_ordered_argument(FunctionCallInfo fcinfo, int argument,
												  const char *what);
extern void pns_documents_require(FunctionCallInfo fcinfo, int argument, const char *what);

/* in guard.c */
extern void pns_documents_check_code(PnsDocument document, const char *what);
extern void pns_documents_check_reads(PnsDocument pipeline);

/* in result.c */
extern PnsDecoder *pns_documents_whole_decoder(const PnsTarget *target);
extern Datum pns_documents_whole(PnsDecoder *decoder, PnsDocument document);
extern Datum pns_documents_to_jsonb(const PnsTarget *target, PnsDocument document);
extern char *pns_documents_id_text(PnsBsonValue id);

/* in operation.c */
extern PnsDocument *pns_documents_insertion(PnsDocument document, PnsBsonValue *id);
extern PnsDocument *pns_documents_update(PnsDocument filter, PnsUpdate update, bool multi,
										 bool upsert);
extern PnsDocument *pns_documents_replacement(PnsDocument filter, PnsDocument document,
											  bool upsert);
extern PnsDocument *pns_documents_deletion(PnsDocument filter, bool multi);
extern void pns_documents_read_update(Jsonb *change, Jsonb *array_filters, PnsUpdate *update);

/* in write.c */
extern PnsWriteResult pns_documents_write(PnsTarget *target, PnsWriteKind kind,
										  List *operations, bool ordered);
extern PnsWriteResult pns_documents_write_batch(PnsTarget *target, PnsWriteBatch *batch);

#endif							/* PNS_DOCUMENTS_PRIVATE_H */
