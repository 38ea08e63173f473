/*-------------------------------------------------------------------------
 *
 * bulk.c
 *	  Many writes of all kinds in one call, with a report on each.
 *
 * Operations of one kind that stand side by side go to the server together.
 * Where a server has no transactions, what fails is in the report and the rest
 * is written; within a transaction MongoDB ends it with the first failure, so
 * that is raised.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "documents/private.h"

typedef enum BulkStatus
{
	BULK_SKIPPED = 0,			/* an ordered bulk ended before it */
	BULK_DONE,
	BULK_FAILED
} BulkStatus;

/* One operation and what became of it. */
typedef struct BulkOperation
{
	const char *name;			/* that it was asked for by */
	PnsWriteKind kind;
	PnsDocument *operation;
	BulkStatus	status;
	bool		has_id;			/* it inserted, or upserted, */
	PnsBsonValue id;			/* a document with this _id */
	const PnsWriteError *error; /* where it failed */
} BulkOperation;

/* The sums over all operations. */
typedef struct BulkTotals
{
	int64		inserted;
	int64		matched;
	int64		modified;
	int64		deleted;
	int64		upserted;
	int64		failed;
} BulkTotals;

/* What is given with an operation. */
typedef struct BulkArguments
{
	PnsBsonValue document;		/* type 0 where it was not given */
	PnsBsonValue filter;
	PnsBsonValue update;
	PnsBsonValue replacement;
	PnsBsonValue upsert;
	PnsBsonValue array_filters;
} BulkArguments;

/* A member of an operation. */
typedef struct BulkMember
{
	const char *name;
	size_t		offset;			/* of its field in BulkArguments */
} BulkMember;

static const BulkMember members[] = {
	{"document", offsetof(BulkArguments, document)},
	{"filter", offsetof(BulkArguments, filter)},
	{"update", offsetof(BulkArguments, update)},
	{"replacement", offsetof(BulkArguments, replacement)},
	{"upsert", offsetof(BulkArguments, upsert)},
	{"arrayFilters", offsetof(BulkArguments, array_filters)}
};

enum BulkArgument
{
	BULK_OPERATIONS = 2,
	BULK_ORDERED
};

PG_FUNCTION_INFO_V1(pns_documents_bulk_write);
PGDLLEXPORT Datum pns_documents_bulk_write(PG_FUNCTION_ARGS);

static int	read_operations(PnsDocument array, BulkOperation **operations);
static void read_operation(BulkOperation *operation, const PnsBsonIterator *member);
static void read_arguments(BulkArguments *arguments, const PnsBsonIterator *operation);
static void make_update(BulkOperation *operation, BulkArguments *arguments, bool multi);
static PnsDocument need_document(const PnsBsonValue *value, const char *operation,
								 const char *member);
static bool upsert_of(const BulkArguments *arguments, const char *operation);
static void throw_operation(const char *operation, const char *problem) pg_attribute_noreturn();
static int	write_run(PnsTarget *target, BulkOperation *operations, int first, int count,
					  bool ordered, BulkTotals *totals);
static void note_result(BulkOperation *run, int size, bool ordered,
						const PnsWriteResult *result, BulkTotals *totals);
static void name_run(void *arg);
static PnsDocument report(const BulkOperation *operations, int count, const BulkTotals *totals);
static void report_operation(PnsBsonBuilder *builder, const BulkOperation *operation, int position);

/*
 * pns_documents_bulk_write carries out operations such as {"insertOne":
 * {"document": ...}} and reports what became of each.
 *
 * Errors: 22023 for an operation that is not understood, before any is carried
 * out; those of the functions for single writes; of the server's those that
 * are not about one operation, and within a transaction all.
 */
Datum
pns_documents_bulk_write(PG_FUNCTION_ARGS)
{
	PnsTarget	target;
	BulkOperation *operations;
	BulkTotals	totals = {0};
	bool		ordered;
	int			count;
	int			next = 0;

	PreventCommandIfReadOnly("bulk_write()");
	pns_documents_find_collection(fcinfo, &target);
	pns_documents_require(fcinfo, BULK_OPERATIONS, "operations");
	pns_documents_require(fcinfo, BULK_ORDERED, "switch \"ordered\"");
	ordered = PG_GETARG_BOOL(BULK_ORDERED);
	count = read_operations(pns_mongo_parse_array(PG_GETARG_JSONB_P(BULK_OPERATIONS),
												  "list of operations"), &operations);
	while (next < count && !(ordered && totals.failed > 0))
		next = write_run(&target, operations, next, count, ordered, &totals);
	PG_RETURN_DATUM(pns_documents_to_jsonb(&target, report(operations, count, &totals)));
}

/* read_operations reads the array of operations and gives their number. */
static int
read_operations(PnsDocument array, BulkOperation **operations)
{
	PnsBsonIterator iterator;
	PnsBsonIterator member;
	int			count = 0;
	int			capacity = 64;

	*operations = palloc0(capacity * sizeof(BulkOperation));
	pns_bson_iterate(&iterator, array);
	while (pns_bson_next(&iterator))
	{
		if (count == capacity)
		{
			*operations = repalloc_huge(*operations, 2 * capacity * sizeof(BulkOperation));
			memset(*operations + capacity, 0, capacity * sizeof(BulkOperation));
			capacity *= 2;
		}
		if (iterator.value.type != PNS_BSON_DOCUMENT)
			throw_operation(psprintf("%d", count + 1), "is not an object");
		pns_bson_iterate(&member, pns_bson_value_document(&iterator.value));
		if (!pns_bson_next(&member))
			throw_operation(psprintf("%d", count + 1), "is empty");
		read_operation(*operations + count, &member);
		if (pns_bson_next(&member))
			throw_operation(psprintf("%d", count + 1), "has more than one name");
		count++;
	}
	return count;
}

/* read_operation reads one, whose name is the key of member. */
static void
read_operation(BulkOperation *operation, const PnsBsonIterator *member)
{
	const char *name = pg_any_to_server(member->key, member->key_size, PG_UTF8);
	BulkArguments arguments;

	memset(&arguments, 0, sizeof(arguments));
	operation->name = name;
	read_arguments(&arguments, member);
	if (strcmp(name, "insertOne") == 0)
	{
		operation->kind = PNS_WRITE_INSERT;
		operation->operation =
			pns_documents_insertion(need_document(&arguments.document, name, "document"),
									&operation->id);
	}
	else if (strcmp(name, "updateOne") == 0 || strcmp(name, "updateMany") == 0)
		make_update(operation, &arguments, strcmp(name, "updateMany") == 0);
	else if (strcmp(name, "replaceOne") == 0)
	{
		operation->kind = PNS_WRITE_UPDATE;
		operation->operation =
			pns_documents_replacement(need_document(&arguments.filter, name, "filter"),
									  need_document(&arguments.replacement, name, "replacement"),
									  upsert_of(&arguments, name));
	}
	else if (strcmp(name, "deleteOne") == 0 || strcmp(name, "deleteMany") == 0)
	{
		operation->kind = PNS_WRITE_DELETE;
		operation->operation =
			pns_documents_deletion(need_document(&arguments.filter, name, "filter"),
								   strcmp(name, "deleteMany") == 0);
	}
	else
		throw_operation(name, "is not known");
}

/* read_arguments reads what is given with an operation. */
static void
read_arguments(BulkArguments *arguments, const PnsBsonIterator *operation)
{
	const char *name = pg_any_to_server(operation->key, operation->key_size, PG_UTF8);
	PnsBsonIterator member;

	if (operation->value.type != PNS_BSON_DOCUMENT)
		throw_operation(name, "is not an object");
	pns_bson_iterate(&member, pns_bson_value_document(&operation->value));
	while (pns_bson_next(&member))
	{
		bool		known = false;

		for (int i = 0; i < lengthof(members); i++)
		{
			if (strcmp(member.key, members[i].name) == 0)
			{
				*(PnsBsonValue *) ((char *) arguments + members[i].offset) = member.value;
				known = true;
			}
		}
		if (!known)
			throw_operation(name, psprintf("has the unknown member \"%s\"",
										   pg_any_to_server(member.key, member.key_size, PG_UTF8)));
	}
}

/* make_update makes an update by operators or by a pipeline. */
static void
make_update(BulkOperation *operation, BulkArguments *arguments, bool multi)
{
	PnsUpdate	update = {0};

	operation->kind = PNS_WRITE_UPDATE;
	update.is_pipeline = arguments->update.type == PNS_BSON_ARRAY;
	update.change = update.is_pipeline ? pns_bson_value_document(&arguments->update) :
		need_document(&arguments->update, operation->name, "update");
	if (arguments->array_filters.type == PNS_BSON_ARRAY)
		update.array_filters = pns_bson_value_document(&arguments->array_filters);
	else if (arguments->array_filters.type != 0)
		throw_operation(operation->name, "has a member \"arrayFilters\" that is not an array");
	operation->operation =
		pns_documents_update(need_document(&arguments->filter, operation->name, "filter"),
							 update, multi, upsert_of(arguments, operation->name));
}

/* need_document gives a member that has to be there and to be an object. */
static PnsDocument
need_document(const PnsBsonValue *value, const char *operation, const char *member)
{
	if (value->type != PNS_BSON_DOCUMENT)
		throw_operation(operation, psprintf("needs a member \"%s\" that is an object", member));
	return pns_bson_value_document(value);
}

/* upsert_of gives the switch "upsert", which is off unless given. */
static bool
upsert_of(const BulkArguments *arguments, const char *operation)
{
	if (arguments->upsert.type == 0)
		return false;
	if (arguments->upsert.type != PNS_BSON_BOOL)
		throw_operation(operation, "has a member \"upsert\" that is not a boolean");
	return arguments->upsert.data[0] != 0;
}

/* throw_operation refuses an operation. */
static void
throw_operation(const char *operation, const char *problem)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("operation %s of a bulk write %s", operation, problem),
			 errhint("Operations are insertOne {document}, updateOne and updateMany {filter, update, upsert, arrayFilters}, replaceOne {filter, replacement, upsert}, deleteOne and deleteMany {filter}.")));
}

/*
 * write_run writes the operations from first on that are of one kind, and
 * gives the position behind them.
 */
static int
write_run(PnsTarget *target, BulkOperation *operations, int first, int count,
		  bool ordered, BulkTotals *totals)
{
	PnsWriteBatch batch = {
		.kind = operations[first].kind,
		.ordered = ordered,
		.collects = true,
		.before = first,
		.total = count
	};
	int			next = first;
	PnsWriteResult result;
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = name_run,
		.arg = &batch
	};

	while (next < count && operations[next].kind == batch.kind)
		batch.operations = lappend(batch.operations, operations[next++].operation);

	error_context_stack = &context;
	result = pns_documents_write_batch(target, &batch);
	error_context_stack = context.previous;

	note_result(operations + first, next - first, ordered, &result, totals);
	if (batch.kind == PNS_WRITE_INSERT)
		totals->inserted += result.written;
	else if (batch.kind == PNS_WRITE_DELETE)
		totals->deleted += result.written;
	return next;
}

/* note_result takes down what became of the operations of a run. */
static void
note_result(BulkOperation *run, int size, bool ordered, const PnsWriteResult *result,
			BulkTotals *totals)
{
	int			tried = size;
	ListCell   *cell;

	foreach(cell, result->errors)
	{
		const PnsWriteError *error = lfirst(cell);

		run[error->position].status = BULK_FAILED;
		run[error->position].error = error;
		totals->failed++;
		if (ordered)
			tried = Min(tried, error->position);
	}
	for (int i = 0; i < tried; i++)
	{
		if (run[i].status == BULK_FAILED)
			continue;
		run[i].status = BULK_DONE;
		run[i].has_id = run[i].kind == PNS_WRITE_INSERT;
	}
	foreach(cell, result->upserted)
	{
		const PnsUpsert *upsert = lfirst(cell);

		run[upsert->position].has_id = true;
		run[upsert->position].id = upsert->id;
		totals->upserted++;
	}
	totals->matched += result->matched;
	totals->modified += result->modified;
}

/* name_run says which operations an error was about. */
static void
name_run(void *arg)
{
	const PnsWriteBatch *batch = arg;

	errcontext("bulk write, operations %d to %d", batch->before + 1,
			   batch->before + list_length(batch->operations));
}

/* report gives the report as a document. */
static PnsDocument
report(const BulkOperation *operations, int count, const BulkTotals *totals)
{
	PnsBsonBuilder builder;

	pns_bson_begin(&builder);
	pns_bson_append_int64(&builder, "inserted", totals->inserted);
	pns_bson_append_int64(&builder, "matched", totals->matched);
	pns_bson_append_int64(&builder, "modified", totals->modified);
	pns_bson_append_int64(&builder, "deleted", totals->deleted);
	pns_bson_append_int64(&builder, "upserted", totals->upserted);
	pns_bson_append_int64(&builder, "failed", totals->failed);
	pns_bson_open_array(&builder, "operations");
	for (int i = 0; i < count; i++)
		report_operation(&builder, operations + i, i);
	pns_bson_close(&builder);
	return pns_bson_end(&builder);
}

/* report_operation appends what became of one operation. */
static void
report_operation(PnsBsonBuilder *builder, const BulkOperation *operation, int position)
{
	static const char *const statuses[] = {
		[BULK_SKIPPED] = "skipped",
		[BULK_DONE] = "done",
		[BULK_FAILED] = "failed"
	};
	const PnsWriteError *error = operation->error;

	pns_bson_open_document(builder, pns_bson_index(position));
	pns_bson_append_int32(builder, "position", position + 1);
	pns_bson_append_text(builder, "operation", operation->name);
	pns_bson_append_cstring(builder, "status", statuses[operation->status]);
	if (operation->has_id)
		pns_bson_append_value(builder, "_id", operation->id);
	if (error != NULL)
	{
		pns_bson_append_cstring(builder, "sqlstate", unpack_sql_state(error->sqlstate));
		pns_bson_append_text(builder, "message", error->message);
		if (error->detail != NULL)
			pns_bson_append_text(builder, "detail", error->detail);
	}
	pns_bson_close(builder);
}
