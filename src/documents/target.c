/*-------------------------------------------------------------------------
 *
 * target.c
 *	  Which server, database and collection a call is about.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_foreign_server.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "documents/private.h"

/* The wrapper whose handler says which servers are ours. */
#define WRAPPER "pynomaly_mongo"

/* The database that MongoDB's own shell uses where none is named. */
#define DEFAULT_DATABASE "test"

static void find_server(FunctionCallInfo fcinfo, PnsTarget *target);

/*
 * pns_documents_find_collection reads a call's first two arguments.  Nothing
 * is sent.
 *
 * Errors: 22004 for NULL, 42704 for a server that is not there, 42809 for one
 * of another wrapper, 42501 without USAGE on it, 42602 for a name that MongoDB
 * does not take.
 */
void
pns_documents_find_collection(FunctionCallInfo fcinfo, PnsTarget *target)
{
	char	   *name;

	find_server(fcinfo, target);
	pns_documents_require(fcinfo, 1, "collection");
	name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	target->collection = pns_documents_split_name(name, &target->database);
	if (target->database == NULL)
		target->database = pns_documents_default_database(target->server);
	pns_mongo_check_database_name(target->database);
	pns_mongo_check_collection_name(target->collection);
}

/*
 * pns_documents_find_database reads the first two arguments of a call about a
 * database, which NULL leaves to the server's option.  Errors as above.
 */
void
pns_documents_find_database(FunctionCallInfo fcinfo, PnsTarget *target)
{
	find_server(fcinfo, target);
	target->collection = NULL;
	target->database = PG_ARGISNULL(1) ? pns_documents_default_database(target->server) :
		text_to_cstring(PG_GETARG_TEXT_PP(1));
	pns_mongo_check_database_name(target->database);
}

/*
 * pns_documents_connect gives the connection that the caller's foreign tables
 * on the server use, too.
 */
PnsConnection *
pns_documents_connect(PnsTarget *target)
{
	if (target->connection == NULL)
		target->connection = pns_mongo_get_connection(target->server->serverid,
													  target->userid);
	return target->connection;
}

/* pns_documents_label names the collection, or the database, for messages. */
const char *
pns_documents_label(const PnsTarget *target)
{
	if (target->collection == NULL)
		return target->database;
	return psprintf("%s.%s", target->database, target->collection);
}

/*
 * pns_documents_default_database gives the database of names without one:
 * that of the server's foreign tables.
 */
const char *
pns_documents_default_database(const ForeignServer *server)
{
	ListCell   *cell;

	foreach(cell, server->options)
	{
		DefElem    *def = lfirst_node(DefElem, cell);

		if (strcmp(def->defname, "database") == 0)
			return defGetString(def);
	}
	return DEFAULT_DATABASE;
}

/*
 * pns_documents_split_name cuts name at its first dot: what is before it is
 * the database, NULL without a dot.  Gives the collection.
 */
char *
pns_documents_split_name(char *name, const char **database)
{
	char	   *dot = strchr(name, '.');

	*database = NULL;
	if (dot == NULL)
		return name;
	*dot = '\0';
	*database = name;
	return dot + 1;
}

/* find_server reads the first argument. */
static void
find_server(FunctionCallInfo fcinfo, PnsTarget *target)
{
	ForeignDataWrapper *wrapper;
	Oid			ours = get_foreign_data_wrapper_oid(WRAPPER, false);

	pns_documents_require(fcinfo, 0, "server");
	memset(target, 0, sizeof(*target));
	target->server = GetForeignServerByName(NameStr(*PG_GETARG_NAME(0)), false);
	target->userid = GetUserId();

	wrapper = GetForeignDataWrapper(target->server->fdwid);
	if (wrapper->fdwid != ours &&
		wrapper->fdwhandler != GetForeignDataWrapper(ours)->fdwhandler)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("server \"%s\" is not a MongoDB server", target->server->servername),
				 errhint("Name a server of the foreign data wrapper \"%s\".", WRAPPER)));
	if (pns_server_aclcheck(target->server->serverid, target->userid) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_SERVER, target->server->servername);
}
