/*-------------------------------------------------------------------------
 *
 * operation.c
 *	  Which operations the outbox takes.
 *
 * An operation may be carried out again after a crash, when its document may
 * already have it.  So it names one document by its _id, and doing it twice is
 * doing it once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "outbox/private.h"

/* What MongoDB takes at most; larger ones need not wait to be refused. */
#define MAX_DOCUMENT_SIZE (16 * 1024 * 1024)

/* Update operators that change nothing when they come again. */
static const char *const repeatable_operators[] = {
	"$addToSet", "$max", "$min", "$pull", "$pullAll", "$set", "$setOnInsert", "$unset"
};

static PnsDocument required_document(PnsDocument operation, const char *key);
static PnsBsonValue filter_id(PnsDocument filter);
static void check_update(PnsDocument operation);
static void check_array_filters(PnsDocument operation, PnsDocument update);
static bool is_repeatable(const char *operator);
static void refuse(const char *why, const char *hint) pg_attribute_noreturn();

/*
 * pns_outbox_document_id gives the _id that an operation names its document by.
 * 0A000 where it does not.
 */
PnsBsonValue
pns_outbox_document_id(PnsWriteKind kind, PnsDocument operation)
{
	PnsBsonValue id;

	if (kind != PNS_WRITE_INSERT)
		return filter_id(required_document(operation, "q"));
	if (!pns_bson_find(operation, "_id", &id))
		refuse("a document without an _id cannot be put into the outbox", NULL);
	return id;
}

/*
 * pns_outbox_check_operation refuses an operation of a batch that cannot be
 * carried out twice (0A000), or that MongoDB would not take for its size (54000).
 */
void
pns_outbox_check_operation(const PnsWriteBatch *batch, int position)
{
	PnsDocument operation = *(PnsDocument *) list_nth(batch->operations, position);
	PnsBsonValue flag;

	if (operation.size > MAX_DOCUMENT_SIZE)
		pns_mongo_throw_too_large(batch, position, operation.size, MAX_DOCUMENT_SIZE);
	switch (batch->kind)
	{
		case PNS_WRITE_INSERT:
			break;
		case PNS_WRITE_UPDATE:
			if (pns_bson_find(operation, "multi", &flag) &&
				flag.type == PNS_BSON_BOOL && flag.data[0] != 0)
				refuse("an update of many documents cannot be put into the outbox",
					   "Update the documents one by one, by their _id.");
			check_update(operation);
			break;
		case PNS_WRITE_DELETE:
			break;
	}
}

/* required_document gives a member of an operation that is a document. */
static PnsDocument
required_document(PnsDocument operation, const char *key)
{
	PnsBsonValue value;

	if (!pns_bson_find(operation, key, &value) || value.type != PNS_BSON_DOCUMENT)
		refuse("an operation of this form cannot be put into the outbox", NULL);
	return pns_bson_value_document(&value);
}

/*
 * filter_id gives the value in { _id: value } or { _id: { $eq: value } }, and
 * refuses all other filters: what they find may be another document later.
 */
static PnsBsonValue
filter_id(PnsDocument filter)
{
	PnsBsonIterator iterator;
	PnsBsonIterator inner;
	PnsBsonValue id;
	bool		found = false;

	pns_bson_iterate(&iterator, filter);
	while (pns_bson_next(&iterator))
	{
		if (found || strcmp(iterator.key, "_id") != 0)
			refuse("only an operation on a document named by its _id can be put into the outbox",
				   "Its filter has to be {\"_id\": ...} and nothing else.");
		id = iterator.value;
		found = true;
	}
	if (!found)
		refuse("only an operation on a document named by its _id can be put into the outbox",
			   "Its filter has to be {\"_id\": ...} and nothing else.");

	if (id.type == PNS_BSON_DOCUMENT)
	{
		pns_bson_iterate(&inner, pns_bson_value_document(&id));
		if (pns_bson_next(&inner) && inner.key[0] == '$')
		{
			if (strcmp(inner.key, "$eq") != 0 || inner.next != inner.end)
				refuse("only an operation on a document named by its _id can be put into the outbox",
					   "Of operators the filter may have $eq.");
			id = inner.value;
		}
	}
	if (id.type == PNS_BSON_REGEX)
		refuse("only an operation on a document named by its _id can be put into the outbox",
			   "A regular expression may find several.");
	return id;
}

/*
 * check_update refuses updates that change something when they come again.  An
 * update that has no operators is a whole document; one that is a pipeline may
 * compute anything from what is there.
 */
static void
check_update(PnsDocument operation)
{
	PnsBsonValue update;
	PnsBsonIterator iterator;

	if (!pns_bson_find(operation, "u", &update) || update.type != PNS_BSON_DOCUMENT)
		refuse("an update by a pipeline cannot be put into the outbox",
			   "Carried out again after a crash, it might compute something else.");
	pns_bson_iterate(&iterator, pns_bson_value_document(&update));
	while (pns_bson_next(&iterator))
	{
		if (iterator.key[0] != '$')
			return;
		if (!is_repeatable(iterator.key))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("an update with \"%s\" cannot be put into the outbox", iterator.key),
					 errdetail("Carried out again after a crash, it would change the document a second time."),
					 errhint("Compute the new value, and use $set.")));
	}
	check_array_filters(operation, pns_bson_value_document(&update));
}

/*
 * check_array_filters refuses updates of which one part may change what another
 * part's filter selects the next time.  With one filter, and nothing changed
 * but the elements it selects, no others are selected when it comes again.
 */
static void
check_array_filters(PnsDocument operation, PnsDocument update)
{
	PnsBsonValue filters;
	PnsBsonIterator iterator;
	PnsBsonIterator path;

	if (!pns_bson_find(operation, "arrayFilters", &filters) || filters.type != PNS_BSON_ARRAY)
		return;
	pns_bson_iterate(&iterator, pns_bson_value_document(&filters));
	if (pns_bson_next(&iterator) && pns_bson_next(&iterator))
		refuse("an update with several array filters cannot be put into the outbox",
			   "What one of them changes, another may select the next time. Use an update for each.");

	pns_bson_iterate(&iterator, update);
	while (pns_bson_next(&iterator))
	{
		if (iterator.value.type != PNS_BSON_DOCUMENT)
			continue;
		pns_bson_iterate(&path, pns_bson_value_document(&iterator.value));
		while (pns_bson_next(&path))
		{
			if (strstr(path.key, "$[") == NULL || strstr(path.key, "$[]") != NULL)
				refuse("an update with an array filter and a path without it cannot be put into the outbox",
					   "What the one changes, the other may select the next time. Use an update for each.");
		}
	}
}

/* is_repeatable tells whether an operator changes nothing the second time. */
static bool
is_repeatable(const char *operator)
{
	for (int i = 0; i < lengthof(repeatable_operators); i++)
	{
		if (strcmp(repeatable_operators[i], operator) == 0)
			return true;
	}
	return false;
}

/* refuse reports an operation that the outbox does not take. */
static void
refuse(const char *why, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s", why),
			 hint ? errhint("%s", hint) : 0));
}
