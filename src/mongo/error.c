/*-------------------------------------------------------------------------
 *
 * error.c
 *	  The one door through which errors of the driver and the server go.
 *
 * The message is ours, so that it can be recognized; the server's own text,
 * with the name and number of its code, is the detail; the command, without
 * secrets, is the context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mongo/private.h"

#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#define MALFORMED "The server sent a message that is not well formed."

/* Bytes of a command that are shown. */
#define PNS_CONTEXT_MAX 1024

#define PNS_NO_SUCH_TRANSACTION 251

/* What a code of the server means in SQL. */
typedef struct CodeState
{
	int			code;
	int			state;
} CodeState;

/* Sorted by SQLSTATE. */
static const CodeState code_states[] = {
	{6, ERRCODE_CONNECTION_FAILURE},	/* HostUnreachable */
	{7, ERRCODE_CONNECTION_FAILURE},	/* HostNotFound */
	{89, ERRCODE_CONNECTION_FAILURE},	/* NetworkTimeout */
	{9001, ERRCODE_CONNECTION_FAILURE}, /* SocketException */
	{17, ERRCODE_PROTOCOL_VIOLATION},	/* ProtocolError */
	{59, ERRCODE_FEATURE_NOT_SUPPORTED},	/* CommandNotFound */
	{115, ERRCODE_FEATURE_NOT_SUPPORTED},	/* CommandNotSupported */
	{238, ERRCODE_FEATURE_NOT_SUPPORTED},	/* NotImplemented */
	{263, ERRCODE_FEATURE_NOT_SUPPORTED},	/* OperationNotSupportedInTransaction */
	{66, ERRCODE_FEATURE_NOT_SUPPORTED},	/* ImmutableField */
	{15, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE},	/* Overflow */
	{16608, ERRCODE_DIVISION_BY_ZERO},	/* $divide, before 8.0 */
	{16609, ERRCODE_DIVISION_BY_ZERO},	/* $divide of other types */
	{16610, ERRCODE_DIVISION_BY_ZERO},	/* $mod, before 8.0 */
	{4848401, ERRCODE_DIVISION_BY_ZERO},	/* $divide */
	{4848403, ERRCODE_DIVISION_BY_ZERO},	/* $mod */
	{2, ERRCODE_INVALID_PARAMETER_VALUE},	/* BadValue */
	{53, ERRCODE_INVALID_PARAMETER_VALUE},	/* InvalidIdField */
	{72, ERRCODE_INVALID_PARAMETER_VALUE},	/* InvalidOptions */
	{241, ERRCODE_INVALID_TEXT_REPRESENTATION}, /* ConversionFailure */
	{22, ERRCODE_DATA_CORRUPTED},	/* InvalidBSON */
	{11000, ERRCODE_UNIQUE_VIOLATION},	/* DuplicateKey */
	{11001, ERRCODE_UNIQUE_VIOLATION},	/* the same, on update */
	{121, ERRCODE_CHECK_VIOLATION}, /* DocumentValidationFailure */
	{43, ERRCODE_INVALID_CURSOR_STATE}, /* CursorNotFound */
	{237, ERRCODE_INVALID_CURSOR_STATE},	/* CursorKilled */
	{256, ERRCODE_INVALID_TRANSACTION_STATE},	/* TransactionCommitted */
	{18, ERRCODE_INVALID_PASSWORD}, /* AuthenticationFailed */
	{11, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION},	/* UserNotFound */
	{112, ERRCODE_T_R_SERIALIZATION_FAILURE},	/* WriteConflict */
	{225, ERRCODE_T_R_SERIALIZATION_FAILURE},	/* TransactionTooOld */
	{239, ERRCODE_T_R_SERIALIZATION_FAILURE},	/* SnapshotTooOld */
	{246, ERRCODE_T_R_SERIALIZATION_FAILURE},	/* SnapshotUnavailable */
	{PNS_NO_SUCH_TRANSACTION, ERRCODE_T_R_SERIALIZATION_FAILURE},
	{64, ERRCODE_T_R_STATEMENT_COMPLETION_UNKNOWN}, /* WriteConcernFailed */
	{79, ERRCODE_T_R_STATEMENT_COMPLETION_UNKNOWN}, /* UnknownReplWriteConcern */
	{100, ERRCODE_T_R_STATEMENT_COMPLETION_UNKNOWN},	/* UnsatisfiableWriteConcern */
	{13, ERRCODE_INSUFFICIENT_PRIVILEGE},	/* Unauthorized */
	{9, ERRCODE_SYNTAX_ERROR},	/* FailedToParse */
	{40, ERRCODE_SYNTAX_ERROR}, /* ConflictingUpdateOperators */
	{168, ERRCODE_SYNTAX_ERROR},	/* InvalidPipelineOperator */
	{40324, ERRCODE_SYNTAX_ERROR},	/* unknown pipeline stage */
	{40415, ERRCODE_SYNTAX_ERROR},	/* unknown field of a command */
	{52, ERRCODE_INVALID_NAME}, /* DollarPrefixedFieldName */
	{56, ERRCODE_INVALID_NAME}, /* EmptyFieldName */
	{57, ERRCODE_INVALID_NAME}, /* DottedFieldName */
	{73, ERRCODE_INVALID_NAME}, /* InvalidNamespace */
	{14, ERRCODE_DATATYPE_MISMATCH},	/* TypeMismatch */
	{26, ERRCODE_UNDEFINED_TABLE},	/* NamespaceNotFound */
	{48, ERRCODE_DUPLICATE_TABLE},	/* NamespaceExists */
	{27, ERRCODE_UNDEFINED_OBJECT}, /* IndexNotFound */
	{85, ERRCODE_DUPLICATE_OBJECT}, /* IndexOptionsConflict */
	{86, ERRCODE_DUPLICATE_OBJECT}, /* IndexKeySpecsConflict */
	{166, ERRCODE_WRONG_OBJECT_TYPE},	/* CommandNotSupportedOnView */
	{14031, ERRCODE_DISK_FULL}, /* OutOfDiskSpace */
	{146, ERRCODE_OUT_OF_MEMORY},	/* ExceededMemoryLimit */
	{388, ERRCODE_CONFIGURATION_LIMIT_EXCEEDED},	/* TransactionTooLargeForCache */
	{292, ERRCODE_OUT_OF_MEMORY},	/* ... NoDiskUseAllowed */
	{10334, ERRCODE_PROGRAM_LIMIT_EXCEEDED},	/* BSONObjectTooLarge */
	{17280, ERRCODE_PROGRAM_LIMIT_EXCEEDED},	/* KeyTooLong */
	{17419, ERRCODE_PROGRAM_LIMIT_EXCEEDED},	/* too large after an update */
	{17420, ERRCODE_PROGRAM_LIMIT_EXCEEDED},	/* too large after an upsert */
	{24, ERRCODE_LOCK_NOT_AVAILABLE},	/* LockTimeout */
	{50, ERRCODE_QUERY_CANCELED},	/* MaxTimeMSExpired */
	{262, ERRCODE_QUERY_CANCELED},	/* ExceededTimeLimit */
	{11601, ERRCODE_QUERY_CANCELED},	/* Interrupted */
	{91, ERRCODE_ADMIN_SHUTDOWN},	/* ShutdownInProgress */
	{11600, ERRCODE_ADMIN_SHUTDOWN},	/* InterruptedAtShutdown */
	{189, ERRCODE_CANNOT_CONNECT_NOW},	/* PrimarySteppedDown */
	{10107, ERRCODE_CANNOT_CONNECT_NOW},	/* NotWritablePrimary */
	{11602, ERRCODE_CANNOT_CONNECT_NOW},	/* InterruptedDueToReplStateChange */
	{13435, ERRCODE_CANNOT_CONNECT_NOW},	/* NotPrimaryNoSecondaryOk */
	{13436, ERRCODE_CANNOT_CONNECT_NOW},	/* NotPrimaryOrSecondary */
};

/* Commands that carry secrets in their members. */
static const char *const secret_commands[] = {
	"authenticate", "copydb", "copydbgetnonce", "copydbsaslstart", "createUser",
	"getnonce", "saslContinue", "saslStart", "updateUser"
};

static const char *connect_hint(const PnsTransport *transport);
static int	code_state(int code, const char *message);
static bool is_transient(const bson_t *reply);
static int	driver_state(const bson_error_t *error);
static bool is_lost(int state);
static char *describe_failure(const bson_error_t *error, const bson_t *reply);
static int	number_of(PnsDocument document, const char *key);
static char *string_of(PnsDocument document, const char *key);
static void append_id(StringInfo out, const PnsWriteBatch *batch, int position);
static void append_member(StringInfo out, const char *what, PnsDocument refusal, const char *key);
static char *show_command(const char *database, PnsDocument command);
static bool is_secret(const char *name);

/*
 * pns_mongo_throw_connect raises why a client could not be opened, and throws
 * away what there is of it.
 */
void
pns_mongo_throw_connect(PnsConnection *connection, const bson_error_t *error)
{
	char	   *address = pstrdup(connection->address);
	const char *username = mongoc_uri_get_username(connection->uri);
	const char *hint = connect_hint(&connection->transport);
	bool		expired = connection->transport.expired;
	int			timeout = mongoc_uri_get_option_as_int32(connection->uri,
														 MONGOC_URI_CONNECTTIMEOUTMS, 0);
	bool		logs_in = username != NULL ||
	mongoc_uri_get_auth_mechanism(connection->uri) != NULL;
	bool		refused = (error->domain == MONGOC_ERROR_CLIENT &&
						   error->code == MONGOC_ERROR_CLIENT_AUTHENTICATE) ||
	(error->domain == MONGOC_ERROR_SERVER && error->code == 18);
	char	   *user = pns_mongo_server_text(username != NULL ? username : "");
	char	   *detail = connection->transport.malformed ? pstrdup(MALFORMED) :
	psprintf("The driver says: %s", pns_mongo_server_text(error->message));

	pns_mongo_after_call(connection);
	pns_mongo_discard(connection);

	/* the driver has the same error for a server that refuses the handshake */
	if (refused && logs_in)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PASSWORD),
				 errmsg("MongoDB server \"%s\" refused to log in user \"%s\"", address, user),
				 errdetail("%s", detail),
				 errhint("Check \"username\", \"password\", \"authentication_database\" and \"authentication_mechanism\" in the user mapping.")));
	ereport(ERROR,
			(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
			 errmsg("could not connect to MongoDB server \"%s\"", address),
			 expired ? errdetail("It did not answer within %d ms.", timeout) :
			 errdetail("%s", detail),
			 errhint("%s", hint)));
}

/*
 * pns_mongo_throw raises a failed command.  reply is the server's, empty where
 * there was none; command is what was asked of database, on a route.  After a
 * failure of the network, or of the member talked to, the client is thrown away.
 * An error ends a transaction on the server; one that it labels as transient is
 * worth a retry of the whole transaction, whatever else it may be.
 */
void
pns_mongo_throw(PnsConnection *connection, PnsRoute route, const bson_error_t *error,
				PnsDocument reply, const char *database, PnsDocument command)
{
	bson_t		answer = BSON_INITIALIZER;
	PnsBsonIterator iterator;
	char	   *address = pstrdup(connection->address);
	char	   *detail;
	char	   *context;
	bool		anonymous = mongoc_uri_get_username(connection->uri) == NULL;
	const char *name = "";
	int			state;
	bool		lost;

	if (reply.size > 0)
		(void) bson_init_static(&answer, reply.data, reply.size);
	if (connection->transport.malformed)
		state = ERRCODE_PROTOCOL_VIOLATION;
	else
		state = error->domain == MONGOC_ERROR_SERVER ?
			code_state(error->code, error->message) : driver_state(error);
	detail = connection->transport.malformed ? pstrdup(MALFORMED) :
		describe_failure(error, &answer);
	context = show_command(database, command);
	pns_bson_iterate(&iterator, command);
	if (pns_bson_next(&iterator))
		name = iterator.key;

	lost = state == ERRCODE_CONNECTION_FAILURE;
	if (route == PNS_ROUTE_TRANSACTION)
		pns_mongo_lose_transaction(connection, detail);
	if (is_lost(state) || connection->transport.failed)
	{
		connection->transport.failed = true;
		pns_mongo_discard(connection);
	}
	CHECK_FOR_INTERRUPTS();
	if (is_transient(&answer))
		state = ERRCODE_T_R_SERIALIZATION_FAILURE;

	ereport(ERROR,
			(errcode(state),
			 lost ?
			 errmsg("lost the connection to MongoDB server \"%s\"", address) :
			 errmsg("MongoDB command \"%s\" failed", name),
			 errdetail("%s", detail),
			 state == ERRCODE_INSUFFICIENT_PRIVILEGE && anonymous ?
			 errhint("The user mapping has no \"username\".") : 0,
			 error->code == PNS_NO_SUCH_TRANSACTION ?
			 errhint("MongoDB ends a transaction that is open for longer than its parameter transactionLifetimeLimitSeconds, 60 by default.") : 0,
			 errcontext("MongoDB command: %s", context)));
}

/*
 * pns_mongo_describe_write_error words the refusal of one operation of a batch:
 * a member of the reply's writeErrors, or a writeConcernError, where position
 * is -1.
 */
void
pns_mongo_describe_write_error(PnsWriteError *error, const PnsWriteBatch *batch,
							   int position, PnsDocument refusal)
{
	int			code = number_of(refusal, "code");
	StringInfoData detail;

	error->position = position;
	error->sqlstate = code_state(code, string_of(refusal, "errmsg"));
	if (position < 0)
	{
		error->sqlstate = ERRCODE_T_R_STATEMENT_COMPLETION_UNKNOWN;
		error->message = psprintf("what was written to MongoDB collection \"%s.%s\" may not last",
								  batch->database, batch->collection);
	}
	else if (error->sqlstate == ERRCODE_UNIQUE_VIOLATION)
		error->message = psprintf("duplicate key value in MongoDB collection \"%s.%s\"",
								  batch->database, batch->collection);
	else if (error->sqlstate == ERRCODE_CHECK_VIOLATION)
		error->message = psprintf("a document violates the validator of MongoDB collection \"%s.%s\"",
								  batch->database, batch->collection);
	else
		error->message = psprintf("could not write to MongoDB collection \"%s.%s\"",
								  batch->database, batch->collection);

	initStringInfo(&detail);
	if (position >= 0)
		append_id(&detail, batch, position);
	appendStringInfo(&detail, "MongoDB says: %s (code %d).", string_of(refusal, "errmsg"), code);
	append_member(&detail, "Key pattern", refusal, "keyPattern");
	append_member(&detail, "Key", refusal, "keyValue");
	append_member(&detail, "Details", refusal, "errInfo");
	error->detail = detail.data;
}

/*
 * pns_mongo_throw_too_large raises that an operation of a batch is larger than
 * the server's limit for documents, in bytes both.
 */
void
pns_mongo_throw_too_large(const PnsWriteBatch *batch, int position, uint32 size, uint32 limit)
{
	PnsWriteError error = {.position = position,.sqlstate = ERRCODE_PROGRAM_LIMIT_EXCEEDED};
	StringInfoData detail;

	error.message = psprintf("a document is too large for MongoDB collection \"%s.%s\"",
							 batch->database, batch->collection);
	initStringInfo(&detail);
	append_id(&detail, batch, position);
	appendStringInfo(&detail, "It has %u bytes, and the server takes %u.", size, limit);
	error.detail = detail.data;
	pns_mongo_throw_write_error(&error);
}

/* pns_mongo_throw_write_error raises the refusal of one operation. */
void
pns_mongo_throw_write_error(const PnsWriteError *error)
{
	ereport(ERROR,
			(errcode(error->sqlstate),
			 errmsg_internal("%s", error->message),
			 errdetail_internal("%s", error->detail)));
}

/*
 * pns_mongo_check_reply raises what the reply to a command has of errors though
 * it says yes: that an operation failed, or that what was written may not last.
 * In a transaction the server has ended that with the error.
 */
void
pns_mongo_check_reply(PnsConnection *connection, PnsDocument reply)
{
	PnsBsonValue value;
	PnsDocument refusal;
	bool		single;
	char	   *message;
	char	   *detail;

	single = pns_bson_find(reply, "writeErrors", &value) && value.type == PNS_BSON_ARRAY;
	if (single)
	{
		PnsBsonIterator iterator;

		pns_bson_iterate(&iterator, pns_bson_value_document(&value));
		if (!pns_bson_next(&iterator))
			return;
		value = iterator.value;
	}
	else if (!pns_bson_find(reply, "writeConcernError", &value))
		return;
	if (value.type != PNS_BSON_DOCUMENT)
		return;

	refusal = pns_bson_value_document(&value);
	message = string_of(refusal, "errmsg");
	detail = psprintf("MongoDB says: %s (code %d).", message, number_of(refusal, "code"));
	if (single)
		pns_mongo_lose_transaction(connection, detail);
	ereport(ERROR,
			(errcode(single ? code_state(number_of(refusal, "code"), message) :
					 ERRCODE_T_R_STATEMENT_COMPLETION_UNKNOWN),
			 single ? errmsg("an operation of the MongoDB command failed") :
			 errmsg("what the MongoDB command has written may not last"),
			 errdetail_internal("%s", detail)));
}

/*
 * pns_mongo_server_text gives text of the driver or the server, which is UTF-8
 * or should be, in the database's encoding.  What cannot be said in that
 * becomes a question mark: a message must not fail over its wording.
 */
char *
pns_mongo_server_text(const char *text)
{
	StringInfoData out;
	Oid			conversion = InvalidOid;
	const unsigned char *c = (const unsigned char *) text;
	int			left = strlen(text);

	if (GetDatabaseEncoding() != PG_UTF8 && GetDatabaseEncoding() != PG_SQL_ASCII)
		conversion = FindDefaultConversionProc(PG_UTF8, GetDatabaseEncoding());

	initStringInfo(&out);
	while (left > 0)
	{
		int			size = pg_utf_mblen(c);
		unsigned char converted[MAX_CONVERSION_GROWTH * 4 + 1];

		if (size > left || !pg_utf8_islegal(c, size))
		{
			appendStringInfoChar(&out, '?');
			size = 1;
		}
		else if (size == 1 || !OidIsValid(conversion))
			appendBinaryStringInfo(&out, (const char *) c, size);
		else if (pg_do_encoding_conversion_buf(conversion, PG_UTF8, GetDatabaseEncoding(),
											   (unsigned char *) c, size, converted,
											   sizeof(converted), true) == size)
			appendStringInfoString(&out, (char *) converted);
		else
			appendStringInfoChar(&out, '?');
		c += size;
		left -= size;
	}
	return out.data;
}

/* connect_hint says where to look, by how far the client came. */
static const char *
connect_hint(const PnsTransport *transport)
{
	switch (transport->stage)
	{
		case PNS_STAGE_NONE:
			return "Check that the server is running and accepts connections on this host and port.";
		case PNS_STAGE_CONNECTED:
			if (transport->use_tls)
				return "Something listens there, but TLS did not come about; check the options that begin with \"tls\".";
			break;
		case PNS_STAGE_SECURED:
			break;
		case PNS_STAGE_ANSWERED:
			return "The server answered, but not as the options ask for; check \"replica_set\", \"read_preference\" and those that begin with \"tls\".";
	}
	return "Something listens there, but does not answer as MongoDB does; check the host, the port and the option \"tls\".";
}

/* code_state gives the SQLSTATE of an error that the server reported. */
static int
code_state(int code, const char *message)
{
	if (strstr(message, PNS_MONGO_CHANGED) != NULL)
		return ERRCODE_T_R_SERIALIZATION_FAILURE;
	for (int i = 0; i < lengthof(code_states); i++)
	{
		if (code_states[i].code == code)
			return code_states[i].state;
	}
	return ERRCODE_FDW_ERROR;
}

/* is_transient tells whether the transaction is worth a retry. */
static bool
is_transient(const bson_t *reply)
{
	return mongoc_error_has_label(reply, "TransientTransactionError");
}

/* driver_state gives the SQLSTATE of an error that the driver reported. */
static int
driver_state(const bson_error_t *error)
{
	switch (error->domain)
	{
		case MONGOC_ERROR_STREAM:
		case MONGOC_ERROR_SERVER_SELECTION:
			return ERRCODE_CONNECTION_FAILURE;
		case MONGOC_ERROR_PROTOCOL:
			return ERRCODE_PROTOCOL_VIOLATION;
		case MONGOC_ERROR_BSON:
			return ERRCODE_DATA_CORRUPTED;
		case MONGOC_ERROR_CURSOR:
			return ERRCODE_INVALID_CURSOR_STATE;
		case MONGOC_ERROR_CLIENT:
			if (error->code == MONGOC_ERROR_CLIENT_AUTHENTICATE)
				return ERRCODE_INVALID_PASSWORD;
			break;
		default:
			break;
	}
	return ERRCODE_FDW_ERROR;
}

/* is_lost tells whether a client is of no more use after such an error. */
static bool
is_lost(int state)
{
	switch (state)
	{
		case ERRCODE_CONNECTION_FAILURE:
		case ERRCODE_PROTOCOL_VIOLATION:
		case ERRCODE_ADMIN_SHUTDOWN:
		case ERRCODE_CANNOT_CONNECT_NOW:
			return true;
		default:
			return false;
	}
}

/* describe_failure words the detail: the server's text, and its code. */
static char *
describe_failure(const bson_error_t *error, const bson_t *reply)
{
	const char *text = error->message;
	const char *code_name = NULL;
	bson_iter_t iter;

	if (error->domain != MONGOC_ERROR_SERVER)
		return psprintf("The driver says: %s", pns_mongo_server_text(text));

	if (bson_iter_init_find(&iter, reply, "errmsg") && BSON_ITER_HOLDS_UTF8(&iter))
		text = bson_iter_utf8(&iter, NULL);

	if (bson_iter_init_find(&iter, reply, "codeName") && BSON_ITER_HOLDS_UTF8(&iter))
		code_name = bson_iter_utf8(&iter, NULL);
	return psprintf("MongoDB says: %s (code %u%s%s)", pns_mongo_server_text(text),
					error->code, code_name != NULL ? ", " : "",
					code_name != NULL ? pns_mongo_server_text(code_name) : "");
}

/* number_of gives a document's number of that name, 0 where there is none. */
static int
number_of(PnsDocument document, const char *key)
{
	PnsBsonValue value;
	float8		number = 0;

	if (pns_bson_find(document, key, &value))
		(void) pns_bson_value_number(&value, &number);
	return (int) number;
}

/* string_of gives a document's string of that name for a message. */
static char *
string_of(PnsDocument document, const char *key)
{
	PnsBsonValue value;

	if (!pns_bson_find(document, key, &value) || value.type != PNS_BSON_STRING)
		return "";
	return pns_mongo_server_text(pns_bson_value_string(&value, NULL));
}

/*
 * append_id says which operation of a batch it is: its position, counted from 1,
 * and the _id that it inserts or looks for.  Where it looks for many documents,
 * the server does not tell with which it has failed; then it is the condition.
 */
static void
append_id(StringInfo out, const PnsWriteBatch *batch, int position)
{
	PnsDocument operation = *(PnsDocument *) list_nth(batch->operations, position);
	PnsBsonValue query;
	PnsBsonValue value;
	bool		has_query = batch->kind != PNS_WRITE_INSERT &&
	pns_bson_find(operation, "q", &query) && query.type == PNS_BSON_DOCUMENT;

	appendStringInfo(out, "Operation %d of %d", batch->before + position + 1,
					 batch->total > 0 ? batch->total : list_length(batch->operations));
	if (has_query)
		operation = pns_bson_value_document(&query);
	if (pns_bson_find(operation, "_id", &value))
	{
		appendStringInfoString(out, ", _id ");
		(void) pns_json_append_value(out, &value, PNS_JSON_SHOWN);
	}
	else if (has_query)
	{
		appendStringInfoString(out, ", condition ");
		(void) pns_json_append_value(out, &query, PNS_JSON_SHOWN);
	}
	appendStringInfoString(out, ". ");
}

/* append_member shows a document that a refusal has under that name, if any. */
static void
append_member(StringInfo out, const char *what, PnsDocument refusal, const char *key)
{
	PnsBsonValue value;

	if (!pns_bson_find(refusal, key, &value) || value.type != PNS_BSON_DOCUMENT)
		return;
	appendStringInfo(out, " %s: ", what);
	(void) pns_json_append_value(out, &value, PNS_JSON_SHOWN);
	appendStringInfoChar(out, '.');
}

/*
 * show_command gives a command and its database as Extended JSON, cut where it
 * is long.
 */
static char *
show_command(const char *database, PnsDocument command)
{
	StringInfoData shown;
	PnsBsonIterator iterator;

	pns_bson_iterate(&iterator, command);
	if (pns_bson_next(&iterator) && is_secret(iterator.key))
		return psprintf("%s, which is not shown because it may contain secrets", iterator.key);

	initStringInfo(&shown);
	(void) pns_json_append_document(&shown, command, PNS_JSON_SHOWN);
	if (shown.len > PNS_CONTEXT_MAX)
	{
		shown.len = pg_mbcliplen(shown.data, shown.len, PNS_CONTEXT_MAX);
		shown.data[shown.len] = '\0';
		appendStringInfoString(&shown, "...");
	}
	return psprintf("%s, database \"%s\"", shown.data, pns_mongo_server_text(database));
}

/* is_secret tells whether a command of this name carries secrets. */
static bool
is_secret(const char *name)
{
	for (int i = 0; i < lengthof(secret_commands); i++)
	{
		if (pg_strcasecmp(secret_commands[i], name) == 0)
			return true;
	}
	return false;
}
