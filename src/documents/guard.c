/*-------------------------------------------------------------------------
 *
 * guard.c
 *	  What a filter, an update or a pipeline must not contain.
 *
 * MongoDB runs JavaScript where a filter or an expression says so, and stores
 * the result of a pipeline where a stage says so.  Such operators are looked
 * for as keys at any depth, below $literal too: a key of that name which is
 * only data is refused with them, rather than to know every place in which
 * each version of MongoDB takes an operator.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "documents/private.h"

static const char *const code_operators[] = {"$where", "$function", "$accumulator", NULL};
static const char *const writing_stages[] = {"$out", "$merge", NULL};

static const char *find_key(PnsDocument document, const char *const *keys);

/*
 * pns_documents_check_code refuses server-side code in a filter, an update or
 * a pipeline to all but administrators: 42501.
 */
void
pns_documents_check_code(PnsDocument document, const char *what)
{
	const char *found = find_key(document, code_operators);

	if (found != NULL && !pns_base_is_admin())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to use %s in the %s", found, what),
				 errdetail("It runs code on the MongoDB server."),
				 errhint("Only members of the role \"pynomaly_admin\" may use it.")));
}

/*
 * pns_documents_check_reads refuses a pipeline that stores its result: 42501,
 * to administrators 0A000.
 */
void
pns_documents_check_reads(PnsDocument pipeline)
{
	const char *found = find_key(pipeline, writing_stages);

	if (found == NULL)
		return;
	if (!pns_base_is_admin())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to use %s in the pipeline", found),
				 errdetail("It writes, outside of any transaction.")));
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("a pipeline that is read cannot contain %s", found),
			 errhint("Use pynomaly.run_command() for a pipeline that writes.")));
}

/*
 * find_key gives the first of keys that a document has at any depth, NULL if
 * there is none.
 */
static const char *
find_key(PnsDocument document, const char *const *keys)
{
	PnsBsonIterator iterator;

	check_stack_depth();
	pns_bson_iterate(&iterator, document);
	while (pns_bson_next(&iterator))
	{
		const char *found = NULL;

		for (int i = 0; keys[i] != NULL; i++)
		{
			if (strcmp(iterator.key, keys[i]) == 0)
				return keys[i];
		}
		if (iterator.value.type == PNS_BSON_DOCUMENT ||
			iterator.value.type == PNS_BSON_ARRAY)
			found = find_key(pns_bson_value_document(&iterator.value), keys);
		if (found != NULL)
			return found;
	}
	return NULL;
}
