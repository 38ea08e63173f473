/*-------------------------------------------------------------------------
 *
 * index.c
 *	  Making indexes, collections and validators.
 *
 * These commands are no part of a transaction: what they do stays when it is
 * rolled back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "documents/private.h"

enum IndexArgument
{
	INDEX_KEYS = 2,
	INDEX_UNIQUE,
	INDEX_NAME,
	INDEX_PARTIAL_FILTER,
	INDEX_EXPIRE_AFTER,
	INDEX_OPTIONS
};
enum ValidatorArgument
{
	VALIDATOR_SCHEMA = 2,
	VALIDATOR_LEVEL,
	VALIDATOR_ACTION
};

#define DROP_NAME 2
#define CREATE_OPTIONS 2

PG_FUNCTION_INFO_V1(pns_documents_create_index);
PG_FUNCTION_INFO_V1(pns_documents_drop_index);
PG_FUNCTION_INFO_V1(pns_documents_create_collection);
PG_FUNCTION_INFO_V1(pns_documents_set_validator);
PGDLLEXPORT Datum pns_documents_create_index(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_documents_drop_index(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_documents_create_collection(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_documents_set_validator(PG_FUNCTION_ARGS);

static char *index_name(PnsDocument keys);
static void append_key(StringInfo name, const PnsBsonIterator *key);
static int64 expire_seconds(const Interval *interval);
static void append_members(PnsBsonBuilder *builder, PnsDocument document);
static void refuse_members(PnsDocument options, const char *what, const char *const *names);
static void run_outside(PnsTarget *target, PnsBsonBuilder *command);
static char *choice_argument(FunctionCallInfo fcinfo, int argument, const char *what,
							 const char *const *choices);

/*
 * pns_documents_create_index makes an index and returns its name.  One that is
 * there already in the same form is left alone.
 *
 * Errors: 22P02 and 22023 for the arguments; 42710 for another index of that
 * name or on those keys, 23505 for documents that stand against a unique one.
 */
Datum
pns_documents_create_index(PG_FUNCTION_ARGS)
{
	static const char *const own[] = {"key", "name", NULL};
	PnsTarget	target;
	PnsBsonBuilder builder;
	PnsDocument keys;
	PnsDocument options;
	char	   *name;

	PreventCommandIfReadOnly("create_index()");
	pns_documents_find_collection(fcinfo, &target);
	pns_documents_require(fcinfo, INDEX_KEYS, "keys");
	pns_documents_require(fcinfo, INDEX_UNIQUE, "switch \"is_unique\"");
	keys = pns_documents_ordered_argument(fcinfo, INDEX_KEYS, "keys");
	name = PG_ARGISNULL(INDEX_NAME) ? index_name(keys) :
		text_to_cstring(PG_GETARG_TEXT_PP(INDEX_NAME));
	options = pns_documents_argument(fcinfo, INDEX_OPTIONS, "options");
	refuse_members(options, "an index", own);

	pns_bson_begin(&builder);
	pns_bson_append_text(&builder, "createIndexes", target.collection);
	pns_bson_open_array(&builder, "indexes");
	pns_bson_open_document(&builder, "0");
	pns_bson_append_document(&builder, "key", keys);
	pns_bson_append_text(&builder, "name", name);
	if (PG_GETARG_BOOL(INDEX_UNIQUE))
		pns_bson_append_bool(&builder, "unique", true);
	if (!PG_ARGISNULL(INDEX_PARTIAL_FILTER))
		pns_bson_append_document(&builder, "partialFilterExpression",
								 pns_documents_argument(fcinfo, INDEX_PARTIAL_FILTER,
														"partial filter"));
	if (!PG_ARGISNULL(INDEX_EXPIRE_AFTER))
		pns_bson_append_int64(&builder, "expireAfterSeconds",
							  expire_seconds(PG_GETARG_INTERVAL_P(INDEX_EXPIRE_AFTER)));
	append_members(&builder, options);
	pns_bson_close(&builder);
	pns_bson_close(&builder);
	run_outside(&target, &builder);
	PG_RETURN_TEXT_P(cstring_to_text(name));
}

/*
 * pns_documents_drop_index drops the index of a name.  42704 where there is
 * none; 22023 for "*", which to MongoDB means all of them.
 */
Datum
pns_documents_drop_index(PG_FUNCTION_ARGS)
{
	PnsTarget	target;
	PnsBsonBuilder builder;
	char	   *name;

	PreventCommandIfReadOnly("drop_index()");
	pns_documents_find_collection(fcinfo, &target);
	pns_documents_require(fcinfo, DROP_NAME, "name");
	name = text_to_cstring(PG_GETARG_TEXT_PP(DROP_NAME));
	if (strcmp(name, "*") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not the name of an index", name)));
	pns_bson_begin(&builder);
	pns_bson_append_text(&builder, "dropIndexes", target.collection);
	pns_bson_append_text(&builder, "index", name);
	run_outside(&target, &builder);
	PG_RETURN_VOID();
}

/*
 * pns_documents_create_collection makes a collection, with the options of
 * MongoDB's command "create".  42P07 where it is there.
 */
Datum
pns_documents_create_collection(PG_FUNCTION_ARGS)
{
	static const char *const own[] = {"create", NULL};
	PnsTarget	target;
	PnsBsonBuilder builder;
	PnsDocument options;

	PreventCommandIfReadOnly("create_collection()");
	pns_documents_find_collection(fcinfo, &target);
	options = pns_documents_argument(fcinfo, CREATE_OPTIONS, "options");
	refuse_members(options, "a collection", own);
	pns_bson_begin(&builder);
	pns_bson_append_text(&builder, "create", target.collection);
	append_members(&builder, options);
	run_outside(&target, &builder);
	PG_RETURN_VOID();
}

/*
 * pns_documents_set_validator sets the JSON schema that documents have to
 * satisfy, or none for NULL.  42P01 for a collection that is not there.
 */
Datum
pns_documents_set_validator(PG_FUNCTION_ARGS)
{
	static const char *const levels[] = {"strict", "moderate", "off", NULL};
	static const char *const actions[] = {"error", "warn", NULL};
	PnsTarget	target;
	PnsBsonBuilder builder;

	PreventCommandIfReadOnly("set_validator()");
	pns_documents_find_collection(fcinfo, &target);
	pns_bson_begin(&builder);
	pns_bson_append_text(&builder, "collMod", target.collection);
	pns_bson_open_document(&builder, "validator");
	if (!PG_ARGISNULL(VALIDATOR_SCHEMA))
		pns_bson_append_document(&builder, "$jsonSchema",
								 pns_documents_argument(fcinfo, VALIDATOR_SCHEMA, "schema"));
	pns_bson_close(&builder);
	pns_bson_append_cstring(&builder, "validationLevel",
							choice_argument(fcinfo, VALIDATOR_LEVEL, "level", levels));
	pns_bson_append_cstring(&builder, "validationAction",
							choice_argument(fcinfo, VALIDATOR_ACTION, "action", actions));
	run_outside(&target, &builder);
	PG_RETURN_VOID();
}

/*
 * index_name gives the name that drivers give an index: a_1_b_-1.  22023
 * without keys.
 */
static char *
index_name(PnsDocument keys)
{
	StringInfoData name;
	PnsBsonIterator iterator;

	initStringInfo(&name);
	pns_bson_iterate(&iterator, keys);
	while (pns_bson_next(&iterator))
		append_key(&name, &iterator);
	if (name.len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an index needs a key"),
				 errhint("Keys look like {\"field\": 1, \"other.field\": -1}.")));
	return name.data;
}

/* append_key appends a key and its direction or kind. */
static void
append_key(StringInfo name, const PnsBsonIterator *key)
{
	float8		direction;

	if (name->len > 0)
		appendStringInfoChar(name, '_');
	appendStringInfo(name, "%s_", pg_any_to_server(key->key, key->key_size, PG_UTF8));
	if (key->value.type == PNS_BSON_STRING)
		appendStringInfoString(name, pg_any_to_server(pns_bson_value_string(&key->value, NULL),
													  strlen(pns_bson_value_string(&key->value, NULL)),
													  PG_UTF8));
	else if (pns_bson_value_number(&key->value, &direction))
		appendStringInfo(name, "%g", direction);
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the key \"%s\" of an index is neither a number nor a string",
						pg_any_to_server(key->key, key->key_size, PG_UTF8))));
}

/*
 * expire_seconds gives an interval in seconds, a month being 30 days.  22023
 * for one that MongoDB does not take.  A fraction of a second is not cut off, as
 * documents would expire earlier than was said.
 */
static int64
expire_seconds(const Interval *interval)
{
	int64		seconds = ((int64) interval->month * DAYS_PER_MONTH + interval->day) * SECS_PER_DAY +
	interval->time / USECS_PER_SEC;

	if (interval->time % USECS_PER_SEC != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("documents expire after a whole number of seconds")));
	if (seconds < 0 || seconds > PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("documents expire after 0 to %d seconds", PG_INT32_MAX)));
	return seconds;
}

/*
 * refuse_members refuses options that are said by an argument, whose place they
 * would silently take.  names ends with NULL.  22023.
 */
static void
refuse_members(PnsDocument options, const char *what, const char *const *names)
{
	for (; *names != NULL; names++)
	{
		PnsBsonValue value;

		if (pns_bson_find(options, *names, &value))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the options of %s cannot have the member \"%s\"", what, *names),
					 errhint("Use the argument for it.")));
	}
}

/* append_members appends the members of a document. */
static void
append_members(PnsBsonBuilder *builder, PnsDocument document)
{
	PnsBsonIterator iterator;

	pns_bson_iterate(&iterator, document);
	while (pns_bson_next(&iterator))
		pns_bson_append_value(builder, iterator.key, iterator.value);
}

/* run_outside runs a command that is no part of a transaction. */
static void
run_outside(PnsTarget *target, PnsBsonBuilder *command)
{
	(void) pns_mongo_command_outside(pns_documents_connect(target), target->database,
									 pns_bson_end(command));
}

/* choice_argument gives a word, which has to be one of choices: 22023. */
static char *
choice_argument(FunctionCallInfo fcinfo, int argument, const char *what,
				const char *const *choices)
{
	char	   *word;

	pns_documents_require(fcinfo, argument, what);
	word = text_to_cstring(PG_GETARG_TEXT_PP(argument));
	for (int i = 0; choices[i] != NULL; i++)
	{
		if (strcmp(word, choices[i]) == 0)
			return word;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the %s of a validator cannot be \"%s\"", what, word),
			 errhint("Levels are strict, moderate and off; actions are error and warn.")));
}
