/*-------------------------------------------------------------------------
 *
 * operation.c
 *	  Which operations the outbox takes.
 *
 * An operation may be carried out again after a crash, when its document may
 * already have it.  So it names one document by its _id, and doing it twice is
 * doing it once.  What MongoDB is sure to refuse, whatever the document, is
 * refused here: the statement can be told, and later nobody is there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "outbox/private.h"

#include "mb/pg_wchar.h"

/* What MongoDB takes at most; larger ones need not wait to be refused. */
#define MAX_DOCUMENT_SIZE (16 * 1024 * 1024)

/* Update operators that change nothing when they come again. */
static const char *const repeatable_operators[] = {
	"$addToSet", "$max", "$min", "$pull", "$pullAll", "$set", "$setOnInsert", "$unset"
};

static PnsDocument required_document(PnsDocument operation, const char *key);
static PnsBsonValue filter_id(PnsDocument filter);
static void check_update(PnsDocument operation);
static void check_replacement(PnsDocument operation, PnsDocument document);
static void check_paths(PnsDocument operation, PnsDocument update);
static void check_path(const char *operator, const PnsBsonIterator *member,
					   const PnsBsonValue *id);
static bool may_be_same(const PnsBsonValue *a, const PnsBsonValue *b);
static void refuse_new_id(void) pg_attribute_noreturn();
static int	compare_paths(const ListCell *a, const ListCell *b);
static const char *shown(const char *path);
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
		{
			check_replacement(operation, pns_bson_value_document(&update));
			return;
		}
		if (!is_repeatable(iterator.key))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("an update with \"%s\" cannot be put into the outbox", iterator.key),
					 errdetail("Carried out again after a crash, it would change the document a second time."),
					 errhint("Compute the new value, and use $set.")));
	}
	check_array_filters(operation, pns_bson_value_document(&update));
	check_paths(operation, pns_bson_value_document(&update));
}

/* check_replacement refuses a document that has another _id than the one whose place it takes. */
static void
check_replacement(PnsDocument operation, PnsDocument document)
{
	PnsBsonValue id = filter_id(required_document(operation, "q"));
	PnsBsonValue new;

	if (pns_bson_find(document, "_id", &new) && !may_be_same(&new, &id))
		refuse_new_id();
}

/*
 * check_paths refuses, as MongoDB does, operators without paths (42601), paths
 * of which a part is empty (42602), which change the _id (0A000), or of which one
 * is the same as another or leads through it (42601).
 */
static void
check_paths(PnsDocument operation, PnsDocument update)
{
	PnsBsonValue id = filter_id(required_document(operation, "q"));
	PnsBsonIterator operators;
	PnsBsonIterator members;
	List	   *paths = NIL;

	pns_bson_iterate(&operators, update);
	while (pns_bson_next(&operators))
	{
		if (operators.value.type != PNS_BSON_DOCUMENT)
			ereport(ERROR,
					(errcode(ERRCODE_SYNTAX_ERROR),
					 errmsg("\"%s\" of an update needs an object of paths", operators.key)));
		pns_bson_iterate(&members, pns_bson_value_document(&operators.value));
		while (pns_bson_next(&members))
		{
			check_path(operators.key, &members, &id);
			paths = lappend(paths, (char *) members.key);
		}
	}
	list_sort(paths, compare_paths);
	for (int i = 1; i < list_length(paths); i++)
	{
		const char *upper = (const char *) list_nth(paths, i - 1);
		const char *path = (const char *) list_nth(paths, i);
		Size		size = strlen(upper);

		if (strncmp(upper, path, size) == 0 && (path[size] == '\0' || path[size] == '.'))
			ereport(ERROR,
					(errcode(ERRCODE_SYNTAX_ERROR),
					 errmsg("an update cannot change \"%s\" and \"%s\" at once",
							shown(upper), shown(path))));
	}
}

/* check_path refuses a path with an empty part, or one that changes the _id. */
static void
check_path(const char *operator, const PnsBsonIterator *member, const PnsBsonValue *id)
{
	const char *path = member->key;
	Size		size = strlen(path);

	if (size == 0 || path[0] == '.' || path[size - 1] == '.' || strstr(path, "..") != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("the path \"%s\" of an update has an empty part",
						shown(path))));
	if (strcmp(path, "_id") == 0 &&
		(strcmp(operator, "$unset") == 0 ||
		 ((strcmp(operator, "$set") == 0 || strcmp(operator, "$setOnInsert") == 0) &&
		  !may_be_same(&member->value, id))))
		refuse_new_id();
}

/*
 * may_be_same tells whether an _id may be another one's equal, as numbers of
 * several types may.
 */
static bool
may_be_same(const PnsBsonValue *a, const PnsBsonValue *b)
{
	float8		number;

	if (a->type != b->type)
		return pns_bson_value_number(a, &number) && pns_bson_value_number(b, &number);
	return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

/* refuse_new_id reports an update that would change an _id. */
static void
refuse_new_id(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("the _id of a document cannot be changed"),
			 errhint("Delete the document and insert it anew.")));
}

/* compare_paths sorts a path right before those that lead through it. */
static int
compare_paths(const ListCell *a, const ListCell *b)
{
	const char *first = (const char *) lfirst(a);
	const char *second = (const char *) lfirst(b);

	while (*first != '\0' && *first == *second)
	{
		first++;
		second++;
	}
	/* the end comes first, then the dot */
	if (*first == *second)
		return 0;
	if (*first == '\0' || *second == '\0')
		return *first == '\0' ? -1 : 1;
	if (*first == '.' || *second == '.')
		return *first == '.' ? -1 : 1;
	return (unsigned char) *first < (unsigned char) *second ? -1 : 1;
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

/* shown gives a path in the database's encoding. */
static const char *
shown(const char *path)
{
	return pg_any_to_server(path, strlen(path), PG_UTF8);
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
