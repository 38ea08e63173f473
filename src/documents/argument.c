/*-------------------------------------------------------------------------
 *
 * argument.c
 *	  Arguments in Extended JSON as BSON.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "documents/private.h"

/*
 * pns_documents_argument gives a jsonb argument as a document, an empty one
 * for NULL.  22P02 where it is no object.
 */
PnsDocument
pns_documents_argument(FunctionCallInfo fcinfo, int argument, const char *what)
{
	PnsBsonBuilder builder;

	if (!PG_ARGISNULL(argument))
		return pns_mongo_parse_document(PG_GETARG_JSONB_P(argument), what);
	pns_bson_begin(&builder);
	return pns_bson_end(&builder);
}

/*
 * pns_documents_ordered_argument gives a json argument as a document, an empty
 * one for NULL.  22P02 where it is no object.
 */
PnsDocument
pns_documents_ordered_argument(FunctionCallInfo fcinfo, int argument, const char *what)
{
	PnsBsonBuilder builder;

	if (!PG_ARGISNULL(argument))
		return pns_mongo_parse_document_text(PG_GETARG_TEXT_PP(argument), what);
	pns_bson_begin(&builder);
	return pns_bson_end(&builder);
}

/* pns_documents_require refuses NULL where something has to be given: 22004. */
void
pns_documents_require(FunctionCallInfo fcinfo, int argument, const char *what)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the %s must not be null", what)));
}
