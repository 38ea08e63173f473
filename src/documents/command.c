/*-------------------------------------------------------------------------
 *
 * command.c
 *	  Any command, for administrators.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "documents/private.h"

/* Commands that would pull the connection from under those who use it. */
static const char *const refused_commands[] = {
	"abortTransaction", "authenticate", "commitTransaction", "endSessions",
	"killSessions", "logout", "saslContinue", "saslStart", "startSession"
};

/* Members of a command that are the driver's to set. */
static const char *const refused_members[] = {
	"$clusterTime", "$db", "$readPreference", "autocommit", "lsid",
	"startTransaction", "txnNumber"
};

#define RUN_COMMAND 2

PG_FUNCTION_INFO_V1(pns_documents_run_command);
PGDLLEXPORT Datum pns_documents_run_command(PG_FUNCTION_ARGS);

static void check_command(PnsDocument command);
static bool is_listed(const char *name, const char *const *list, int size);
static void kill_rest(PnsTarget *target, PnsDocument reply);

/*
 * pns_documents_run_command runs a command and returns the server's reply.  A
 * cursor that the server has left open for more than that is closed.
 *
 * Errors: 42501 for all but administrators, 25006 in a read-only transaction,
 * 0A000 for what is the driver's own, 22P02 for a command that is no object,
 * and what the server says of the command or of an operation in it.
 */
Datum
pns_documents_run_command(PG_FUNCTION_ARGS)
{
	PnsTarget	target;
	PnsDocument command;
	PnsDocument reply;

	if (!pns_base_is_admin())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to run commands on a MongoDB server"),
				 errhint("Only members of the role \"pynomaly_admin\" may do that.")));
	PreventCommandIfReadOnly("run_command()");
	pns_documents_find_database(fcinfo, &target);
	pns_documents_require(fcinfo, RUN_COMMAND, "command");
	command = pns_mongo_parse_document_text(PG_GETARG_TEXT_PP(RUN_COMMAND), "command");
	check_command(command);

	reply = pns_mongo_command(pns_documents_connect(&target), target.database, command);
	pns_mongo_check_reply(target.connection, reply);
	kill_rest(&target, reply);
	PG_RETURN_DATUM(pns_documents_to_jsonb(&target, reply));
}

/* check_command refuses what the driver has to do itself. */
static void
check_command(PnsDocument command)
{
	PnsBsonIterator iterator;
	bool		first = true;

	pns_bson_iterate(&iterator, command);
	while (pns_bson_next(&iterator))
	{
		if (first && is_listed(iterator.key, refused_commands, lengthof(refused_commands)))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("the command \"%s\" cannot be run", iterator.key),
					 errdetail("It would change the connection that foreign tables use, too.")));
		if (is_listed(iterator.key, refused_members, lengthof(refused_members)))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("a command cannot have the member \"%s\"", iterator.key),
					 errdetail("The driver sets it.")));
		first = false;
	}
	if (first)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the command is empty")));
}

/* is_listed tells whether a name is in a list. */
static bool
is_listed(const char *name, const char *const *list, int size)
{
	for (int i = 0; i < size; i++)
	{
		if (strcmp(name, list[i]) == 0)
			return true;
	}
	return false;
}

/* kill_rest closes the cursor that a reply tells of, if it is open. */
static void
kill_rest(PnsTarget *target, PnsDocument reply)
{
	PnsBsonValue cursor;
	PnsBsonValue id;
	PnsBsonValue name;
	PnsBsonBuilder builder;
	const char *dot;
	static const uint8 closed[8];

	if (!pns_bson_find(reply, "cursor", &cursor) || cursor.type != PNS_BSON_DOCUMENT ||
		!pns_bson_find(pns_bson_value_document(&cursor), "id", &id) ||
		id.type != PNS_BSON_INT64 || memcmp(id.data, closed, sizeof(closed)) == 0 ||
		!pns_bson_find(pns_bson_value_document(&cursor), "ns", &name) ||
		name.type != PNS_BSON_STRING ||
		(dot = strchr(pns_bson_value_string(&name, NULL), '.')) == NULL)
		return;

	pns_bson_begin(&builder);
	pns_bson_append_cstring(&builder, "killCursors", dot + 1);
	pns_bson_open_array(&builder, "cursors");
	pns_bson_append_value(&builder, "0", id);
	pns_bson_close(&builder);
	(void) pns_mongo_command(pns_documents_connect(target), target->database,
							 pns_bson_end(&builder));
}
