/*-------------------------------------------------------------------------
 *
 * member.c
 *	  The member of a deployment that takes writes, and what it can do.
 *
 * Reads go to the member that read_preference has chosen.  Writes, and what
 * belongs to a transaction, go to this one; mostly the two are the same.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mongo/private.h"

/* Protocols of the versions that brought transactions */
#define WIRE_REPLICA_SET 7		/* 4.0 */
#define WIRE_SHARDED 8			/* 4.2 */

/* Limits of a server that does not name its own, which are the usual ones */
#define DEFAULT_MAX_DOCUMENT (16 * 1024 * 1024)
#define DEFAULT_MAX_OPERATIONS 100000

static mongoc_server_description_t *select_writer(PnsConnection *connection,
												  bson_error_t *error);
static bool takes_writes(const mongoc_server_description_t *member);
static void read_limits(PnsConnection *connection, const mongoc_server_description_t *member);
static int	hello_number(const bson_t *hello, const char *key, int otherwise);

/*
 * pns_mongo_find_writer finds the member of a connection's deployment that
 * takes writes, and what that can do.  08001 where there is none.
 */
void
pns_mongo_find_writer(PnsConnection *connection)
{
	mongoc_server_description_t *member;
	bson_error_t error = {0};

	if (connection->write_server_id != 0)
		return;
	pns_mongo_settle(connection);
	pns_mongo_begin_call(connection);
	connection->transport.deadline = pns_mongo_connect_deadline(connection);
	member = select_writer(connection, &error);
	connection->transport.deadline = 0;
	if (member != NULL)
	{
		connection->write_server_id = mongoc_server_description_id(member);
		read_limits(connection, member);
		mongoc_server_description_destroy(member);
	}
	pns_mongo_end_call(connection);
	pns_mongo_after_call(connection);

	if (member == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("no member of MongoDB server \"%s\" takes writes", connection->address),
				 errdetail("The driver says: %s", pns_mongo_server_text(error.message)),
				 errhint("Writing needs the primary of the replica set.")));
}

/*
 * select_writer gives the member that takes writes, which is the one that reads
 * go to wherever that does.
 */
static mongoc_server_description_t *
select_writer(PnsConnection *connection, bson_error_t *error)
{
	mongoc_server_description_t *member =
	mongoc_client_get_server_description(connection->client, connection->server_id);

	if (member != NULL && takes_writes(member))
		return member;
	if (member != NULL)
		mongoc_server_description_destroy(member);
	return mongoc_client_select_server(connection->client, true, NULL, error);
}

/* takes_writes tells whether a member does. */
static bool
takes_writes(const mongoc_server_description_t *member)
{
	const char *type = mongoc_server_description_type(member);

	return strcmp(type, "RSPrimary") == 0 || strcmp(type, "Mongos") == 0 ||
		strcmp(type, "Standalone") == 0 || strcmp(type, "LoadBalancer") == 0;
}

/* read_limits keeps what a member says about itself. */
static void
read_limits(PnsConnection *connection, const mongoc_server_description_t *member)
{
	const bson_t *hello = mongoc_server_description_hello_response(member);
	int			version = hello_number(hello, "maxWireVersion", 0);
	bool		replica_set = bson_has_field(hello, "setName");
	bson_iter_t iter;
	bool		sharded = bson_iter_init_find(&iter, hello, "msg") &&
	BSON_ITER_HOLDS_UTF8(&iter) && strcmp(bson_iter_utf8(&iter, NULL), "isdbgrid") == 0;

	connection->has_transactions = connection->session != NULL &&
		((replica_set && version >= WIRE_REPLICA_SET) || (sharded && version >= WIRE_SHARDED));
	connection->max_document = hello_number(hello, "maxBsonObjectSize", DEFAULT_MAX_DOCUMENT);
	connection->max_operations = hello_number(hello, "maxWriteBatchSize",
											  DEFAULT_MAX_OPERATIONS);
}

/* hello_number reads a positive number from what a member says about itself. */
static int
hello_number(const bson_t *hello, const char *key, int otherwise)
{
	bson_iter_t iter;

	if (bson_iter_init_find(&iter, hello, key) && BSON_ITER_HOLDS_INT32(&iter) &&
		bson_iter_int32(&iter) > 0)
		return bson_iter_int32(&iter);
	return otherwise;
}
