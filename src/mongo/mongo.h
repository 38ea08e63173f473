/*-------------------------------------------------------------------------
 *
 * mongo.h
 *	  The door of the room that knows the MongoDB driver.
 *
 * Outside this room a document is bytes (PnsDocument), and a connection and a
 * cursor are opaque.  Every function here reports its failures with ereport,
 * after the driver's call has returned; none of them jumps through the
 * driver's frames, and all of them can be cancelled wherever they wait.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNS_MONGO_H
#define PNS_MONGO_H

#include "base/base.h"

#include "access/attnum.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

/* A BSON document or array as bytes, its length prefix included. */
typedef struct PnsDocument
{
	const uint8 *data;
	uint32		size;			/* bytes */
} PnsDocument;

/* The types of BSON values, by their byte on the wire (bsonspec.org). */
typedef enum PnsBsonType
{
	PNS_BSON_DOUBLE = 0x01,
	PNS_BSON_STRING = 0x02,
	PNS_BSON_DOCUMENT = 0x03,
	PNS_BSON_ARRAY = 0x04,
	PNS_BSON_BINARY = 0x05,
	PNS_BSON_UNDEFINED = 0x06,
	PNS_BSON_OBJECTID = 0x07,
	PNS_BSON_BOOL = 0x08,
	PNS_BSON_DATE = 0x09,
	PNS_BSON_NULL = 0x0a,
	PNS_BSON_REGEX = 0x0b,
	PNS_BSON_DBPOINTER = 0x0c,
	PNS_BSON_CODE = 0x0d,
	PNS_BSON_SYMBOL = 0x0e,
	PNS_BSON_CODE_W_SCOPE = 0x0f,
	PNS_BSON_INT32 = 0x10,
	PNS_BSON_TIMESTAMP = 0x11,
	PNS_BSON_INT64 = 0x12,
	PNS_BSON_DECIMAL128 = 0x13,
	PNS_BSON_MAXKEY = 0x7f,
	PNS_BSON_MINKEY = 0xff
} PnsBsonType;

#define PNS_OBJECTID_SIZE 12

/*
 * One value inside a document: its type, and the bytes that follow the key on
 * the wire.  Points into the document, so it lives as long as that does.
 */
typedef struct PnsBsonValue
{
	PnsBsonType type;
	const uint8 *data;
	uint32		size;			/* bytes */
} PnsBsonValue;

/* ---------- in bson.c: building documents ---------- */

#define PNS_BSON_MAX_DEPTH 100

/* Levels that Extended JSON has more than what it says. */
#define PNS_BSON_WRAPPER_DEPTH 2

/* A document that is being built; its memory is palloc'd. */
typedef struct PnsBsonBuilder
{
	StringInfoData buffer;
	int			depth;
	int			spare_depth;	/* levels allowed beyond the maximum */
	int			starts[PNS_BSON_MAX_DEPTH + PNS_BSON_WRAPPER_DEPTH + 1];	/* offset of each open
																			 * document */
} PnsBsonBuilder;

extern void pns_bson_begin(PnsBsonBuilder *builder);
extern PnsDocument pns_bson_end(PnsBsonBuilder *builder);

/* The bytes of a Decimal128, and of a number in text; false where there are none. */
#define PNS_DECIMAL128_BYTES 16

extern bool pns_text_to_decimal128(const char *str, uint8 *data);

/*
 * Each appends one member to the document that was opened last.  Keys inside
 * an array are the caller's to give ("0", "1", ...; pns_bson_index makes
 * them).  54000 where nesting or size go beyond what BSON can say.
 */
extern void pns_bson_open_document(PnsBsonBuilder *builder, const char *key);
extern void pns_bson_open_array(PnsBsonBuilder *builder, const char *key);
extern void pns_bson_close(PnsBsonBuilder *builder);
extern void pns_bson_append_double(PnsBsonBuilder *builder, const char *key, float8 value);
extern void pns_bson_append_string(PnsBsonBuilder *builder, const char *key,
								   const char *value, uint32 size);
extern void pns_bson_append_cstring(PnsBsonBuilder *builder, const char *key, const char *value);
extern void pns_bson_append_text(PnsBsonBuilder *builder, const char *key, const char *value);
extern void pns_bson_append_document(PnsBsonBuilder *builder, const char *key, PnsDocument value);
extern void pns_bson_append_array(PnsBsonBuilder *builder, const char *key, PnsDocument value);
extern void pns_bson_append_binary(PnsBsonBuilder *builder, const char *key, uint8 subtype,
								   const uint8 *value, uint32 size);
extern void pns_bson_append_objectid(PnsBsonBuilder *builder, const char *key, const uint8 *value);
extern void pns_bson_append_decimal128(PnsBsonBuilder *builder, const char *key, const uint8 *data);
extern void pns_bson_append_bool(PnsBsonBuilder *builder, const char *key, bool value);
extern void pns_bson_append_date(PnsBsonBuilder *builder, const char *key, int64 milliseconds);
extern void pns_bson_append_null(PnsBsonBuilder *builder, const char *key);
extern void pns_bson_append_int32(PnsBsonBuilder *builder, const char *key, int32 value);
extern void pns_bson_append_int64(PnsBsonBuilder *builder, const char *key, int64 value);
extern void pns_bson_append_value(PnsBsonBuilder *builder, const char *key, PnsBsonValue value);

/* The key of an array's element; points to a static buffer until the next call. */
extern const char *pns_bson_index(int position);

/* ---------- in bson.c: reading documents ---------- */

/* Walks the members of one document, in order. */
typedef struct PnsBsonIterator
{
	const uint8 *next;			/* the next member's first byte */
	const uint8 *end;			/* the document's closing zero byte */
	const char *key;			/* of the current member, zero-terminated */
	uint32		key_size;		/* bytes, without the zero */
	PnsBsonValue value;			/* of the current member */
} PnsBsonIterator;

/* XX001 where the bytes are not a well-formed document. */
extern void pns_bson_iterate(PnsBsonIterator *iterator, PnsDocument document);
extern bool pns_bson_next(PnsBsonIterator *iterator);
extern bool pns_bson_find(PnsDocument document, const char *key, PnsBsonValue *value);

/* ---------- in bson_value.c: what a value holds ---------- */

extern PnsDocument pns_bson_value_document(const PnsBsonValue *value);
extern const char *pns_bson_value_string(const PnsBsonValue *value, uint32 *size);
extern int64 pns_bson_value_date(const PnsBsonValue *value);

/* A number of any of BSON's kinds as float8, false where it is no number. */
extern bool pns_bson_value_number(const PnsBsonValue *value, float8 *number);
extern const char *pns_bson_type_name(PnsBsonType type);

/* ---------- in json.c: Extended JSON v2 ---------- */

typedef enum PnsJsonFormat
{
	PNS_JSON_RELAXED,
	PNS_JSON_CANONICAL,
	PNS_JSON_SHOWN				/* relaxed, with zero bytes, which json and
								 * jsonb do not take */
} PnsJsonFormat;

/*
 * Append a document or a value as Extended JSON in the database's encoding.
 * False (and the text cut at an unspecified place) where it cannot be said in
 * JSON text that PostgreSQL accepts: a NUL in a string or key, a string that
 * is not UTF-8 or that the database's encoding cannot represent.
 */
extern bool pns_json_append_document(StringInfo out, PnsDocument document, PnsJsonFormat format);
extern bool pns_json_append_value(StringInfo out, const PnsBsonValue *value, PnsJsonFormat format);

/* ---------- in decode.c: documents to rows ---------- */

/* A column of a foreign table, as the codec needs to know it. */
typedef struct PnsColumn
{
	AttrNumber	attnum;			/* its slot is values[attnum - 1] */
	const char *name;			/* for messages, as is collection */
	const char *collection;
	const char *prefix;			/* the key below which the table's document
								 * stands, or NULL where it is the whole */
	Oid			type;
	int32		typmod;
	const char *path;			/* the field's dotted path; NULL with document */
	bool		document;		/* holds the whole document (json, jsonb) */
	bool		null_on_mismatch;	/* else an error */
	bool		has_no_options; /* a function's result, not a table's column */
	PnsJsonFormat json_format;
} PnsColumn;

typedef struct PnsDecoder PnsDecoder;

/*
 * Split a dotted path into its keys, "\." being a dot within a key.  42601
 * (with the path in the message) where a component is empty or a backslash
 * stands before anything but a dot or a backslash.
 */
extern List *pns_mongo_split_path(const char *path);

/* 0A000 where a column's type cannot be read (a pseudo-type, a composite). */
extern void pns_mongo_check_column_type(Oid type, int32 typmod, bool document,
										const char *column);

/*
 * Compile the wanted columns into a tree that is walked once per document.
 * Lives in the current context.
 */
extern PnsDecoder *pns_mongo_decoder_create(const PnsColumn *columns, int ncolumns);

/*
 * Fill values and nulls of every wanted column from a document; others are
 * not touched.  Values are made in the current context, and may point into
 * nothing but it.  22P02/22003/22001-like errors for values that do not fit
 * name the collection, _id, field, BSON type and column type.
 */
extern void pns_mongo_decode(PnsDecoder *decoder, PnsDocument document,
							 Datum *values, bool *nulls);

/* ---------- in encode.c: a Datum to BSON ---------- */

/* How the values of one column are written. */
typedef struct PnsEncoding
{
	const char *column;			/* for messages, as is collection */
	const char *collection;
	Oid			type;
	int32		typmod;
	bool		objectid;		/* text is written as ObjectId */
	bool		round;			/* microseconds are rounded, else an error */
} PnsEncoding;

typedef struct PnsEncoder PnsEncoder;

/*
 * Prepare to write the values of a column.  Lives in the current context;
 * 0A000 where the type cannot be written.
 */
extern PnsEncoder *pns_mongo_encoder_create(const PnsEncoding *encoding);

/*
 * Append a value, which is not NULL, under a key in UTF-8.  What it needs
 * meanwhile is made in the current context.  22003, 22008, 22P02, 2202E and
 * 22P05 name column and collection; 54000 where it is nested too deeply.
 */
extern void pns_mongo_encode(PnsEncoder *encoder, PnsBsonBuilder *builder,
							 const char *key, Datum value);

/* ---------- in parse.c: Extended JSON v2 to BSON ---------- */

/*
 * what says in messages where the JSON comes from ("filter").  22P02 where it
 * is not an object (an array) or has something malformed under a key that
 * Extended JSON reserves; 22003 for numbers beyond Decimal128.
 */
extern PnsDocument pns_mongo_parse_document(Jsonb *json, const char *what);
extern PnsDocument pns_mongo_parse_array(Jsonb *json, const char *what);

/*
 * The same of text of the type json, whose members keep their order: for
 * commands, sort orders and keys of indexes, where it matters.
 */
extern PnsDocument pns_mongo_parse_document_text(text *json, const char *what);
extern PnsDocument pns_mongo_parse_array_text(text *json, const char *what);

/* Append any value, scalars too. */
extern void pns_mongo_parse_value(PnsBsonBuilder *builder, const char *key, Jsonb *json);

/* ---------- in mismatch.c: values that do not fit ---------- */

/*
 * Raise the error that decoding a value would have raised that does not fit a
 * column.  misfit has members that tell of it: _id, of its document; type, the
 * name of its BSON type; value, itself, if it is a number or a date, else
 * null; zero, whether it is a string with a zero byte.
 */
extern void pns_mongo_raise_misfit(const PnsColumn *column, PnsDocument misfit)
			pg_attribute_noreturn();

/* ---------- in objectid.c: the type pynomaly.objectid ---------- */

/* The type's OID, or InvalidOid where the extension is being created. */
extern Oid	pns_mongo_objectid_type(void);

/* ---------- in options.c: what makes a connection ---------- */

/*
 * Is name an option of the room in this catalog (ForeignServerRelationId or
 * UserMappingRelationId)?  Aliases of mongo_fdw count.
 */
extern bool pns_mongo_is_option(const char *name, Oid catalog);

/* The names, for hints; a List of C strings, without the aliases. */
extern List *pns_mongo_option_names(Oid catalog);

/*
 * Check one list of DefElems at DDL time: values parse, the uri parses and is
 * not contradicted, files are readable and set by whom they may be set.
 * HV024 (fdw_invalid_attribute_value) with a hint; of files 42501, 58P01 and
 * the like; HV00D for a secret on a server, 42601 for one option under two
 * names and for a switch that is no boolean, 0A000 as pns_mongo_get_connection.
 * Options of other rooms are skipped.
 */
extern void pns_mongo_check_options(List *options, Oid catalog);

/* ---------- in connection.c: one client per user mapping ---------- */

typedef struct PnsConnection PnsConnection;

/*
 * The session's connection to a server for a user, made and tested on first
 * use.  08001, 28P01/28000 and 0A000 as the errors say.  The pointer is valid
 * until the end of the transaction; what is in use is not closed before.
 */
extern PnsConnection *pns_mongo_get_connection(Oid serverid, Oid userid);

/* The protocol of MongoDB 5.0 */
#define PNS_MONGO_WIRE_5_0 13

extern int	pns_mongo_wire_version(const PnsConnection *connection);

/* ---------- in cursor.c: commands and cursors ---------- */

typedef struct PnsCursor PnsCursor;

/*
 * What was asked of a server, and what came back: the sum over the cursors
 * that count in it.
 */
typedef struct PnsRemoteUse
{
	uint64		queries;		/* commands that opened a cursor */
	uint64		batches;		/* replies, the first ones among them */
	uint64		documents;		/* that were taken from them */
	uint64		bytes;			/* of the replies */
	instr_time	waited;			/* for the replies */
} PnsRemoteUse;

/*
 * Run an aggregation.  pipeline is a BSON array; options may have members of
 * the aggregate command's own (hint, allowDiskUse, comment, maxTimeMS) and may
 * be empty.  The command is sent by the first pns_mongo_cursor_next.  The
 * cursor belongs to the current context; batch_size 0 leaves it to the server.
 */
extern PnsCursor *pns_mongo_aggregate(PnsConnection *connection,
									  const char *database, const char *collection,
									  PnsDocument pipeline, PnsDocument options,
									  int batch_size);

/*
 * The next document, or false at the end.  It is valid until the next call.
 * Never false after an error: errors of the server and of the network are
 * raised (SQLSTATE by the server's code, its text in DETAIL, the command in
 * CONTEXT).
 */
extern bool pns_mongo_cursor_next(PnsCursor *cursor, PnsDocument *document);

/*
 * Asking for a batch and reading it later, in request.c.
 *
 * A connection has one request under way at a time; whoever else uses it
 * receives that answer first.  owner is whatever the caller wants to know its
 * request by.
 */

/* Would pns_mongo_cursor_next have to wait for the server? */
extern bool pns_mongo_cursor_must_wait(const PnsCursor *cursor);

/*
 * Send for the next batch.  Errors: those of sending.  pns_mongo_cursor_next
 * receives it, and so may any other use of the connection.
 */
extern void pns_mongo_cursor_request(PnsCursor *cursor, void *owner);

/* Receive that batch.  Errors as pns_mongo_cursor_next. */
extern void pns_mongo_cursor_fetch(PnsCursor *cursor);

/* The owner of the request that the cursor's connection has under way, or NULL. */
extern void *pns_mongo_cursor_requester(const PnsCursor *cursor);

/*
 * The socket on which the answer to a request shows.  The time from now until it
 * has come counts as waited.
 */
extern int	pns_mongo_cursor_socket(PnsCursor *cursor);

/* Count what a cursor does in use as well, which must live as long as it. */
extern void pns_mongo_cursor_count(PnsCursor *cursor, PnsRemoteUse *use);

/* Close a cursor early, here and on the server. */
extern void pns_mongo_cursor_close(PnsCursor *cursor);

/*
 * Run one command and return the server's reply, palloc'd in the current
 * context.  Errors as above.
 */
extern PnsDocument pns_mongo_command(PnsConnection *connection, const char *database,
									 PnsDocument command);

/*
 * Run a command that answers with a cursor (listCollections, listIndexes).
 * Otherwise as pns_mongo_aggregate.
 */
extern PnsCursor *pns_mongo_command_cursor(PnsConnection *connection, const char *database,
										   PnsDocument command);

/*
 * Keep a cursor that has not been read yet out of the transaction, see below.
 * For what a transaction of MongoDB does not take: listCollections,
 * listIndexes, $collStats.
 */
extern void pns_mongo_cursor_outside(PnsCursor *cursor);

/* ---------- in transaction.c: transactions on both sides ---------- */

/* The server's option transaction_mode. */
typedef enum PnsTransactionMode
{
	PNS_MODE_AUTO = 0,			/* session where the server can, else none */
	PNS_MODE_SESSION,			/* a transaction there for each one here */
	PNS_MODE_OUTBOX,			/* writes are put down here, and applied later */
	PNS_MODE_NONE				/* each command takes effect at once */
} PnsTransactionMode;

/*
 * The mode that a server's options say.  Needs no connection, so that auto is
 * not resolved.
 */
extern PnsTransactionMode pns_mongo_transaction_mode(Oid serverid);

/*
 * Begin a statement that is going to write; to be called before it reads its
 * first document.  In mode session all commands and all new cursors of the
 * connection belong to the transaction from now on, and in any mode they go to
 * the member that takes writes.  Errors: 0A000 where the server has no
 * transactions or another one has been written to, 25P02 where the transaction
 * over there has come to its end before ours, 08001 where no member takes
 * writes.
 */
extern void pns_mongo_begin_write(PnsConnection *connection);

/*
 * Begin a statement that carries out what the outbox has.  Its writes take
 * effect at once, even if the server's mode is another one by now, and have done
 * so on a majority of the members when they return; else the result has an error
 * of position -1.  The transaction may not have used the connection otherwise.
 * Errors: 08001 where no member takes writes.
 */
extern void pns_mongo_write_at_once(PnsConnection *connection);

/*
 * Raise the errors that the reply to a command has though it says yes: of single
 * operations (23505 and the like), or of the write concern (40003).
 */
extern void pns_mongo_check_reply(PnsConnection *connection, PnsDocument reply);

/*
 * Run a command as pns_mongo_command does, but outside of the transaction:
 * collStats, which tells about a collection.
 */
extern PnsDocument pns_mongo_inspect(PnsConnection *connection, const char *database,
									 PnsDocument command);

/*
 * The same, where a server may refuse the command by one of codes, which end
 * with 0: false then, and no reply.
 */
extern bool pns_mongo_try_inspect(PnsConnection *connection, const char *database,
								  PnsDocument command, const int *codes,
								  PnsDocument *reply);

/*
 * Does what is written now belong to a transaction over there?  Known after
 * pns_mongo_begin_write.
 */
extern bool pns_mongo_in_transaction(const PnsConnection *connection);

/*
 * Run a command as pns_mongo_command does, but outside of the transaction, on
 * the member that takes writes: create, createIndexes, collMod, drop.  It takes
 * effect at once, and stays when the transaction is rolled back.  25006 in a
 * read-only transaction; 25001 in one that is under way over there, whose locks
 * it would wait for.
 */
extern PnsDocument pns_mongo_command_outside(PnsConnection *connection, const char *database,
											 PnsDocument command);

/* ---------- in write.c: inserting, updating, deleting ---------- */

typedef enum PnsWriteKind
{
	PNS_WRITE_INSERT,
	PNS_WRITE_UPDATE,
	PNS_WRITE_DELETE
} PnsWriteKind;

/* What is to be written to one collection, in one or more commands. */
typedef struct PnsWriteBatch
{
	PnsWriteKind kind;
	const char *database;		/* both in the database's encoding */
	const char *collection;
	List	   *operations;		/* of PnsDocument *: documents, each with its
								 * _id; or updates { q, u, multi, upsert ...
								 * }; or deletes { q, limit } */
	bool		ordered;		/* the first error ends the batch */
	PnsDocument options;		/* further members of the command; size 0:
								 * none */
	bool		collects;		/* errors of single operations are returned.
								 * Not in a transaction: MongoDB ends that
								 * with the first error, which is raised */
	int			before;			/* for messages: operations of the caller's */
	int			total;			/* before these, and all; 0: these are all */
} PnsWriteBatch;

/*
 * An error whose message has these words was provoked by a command of ours that
 * found a document changed; it becomes 40001.
 */
#define PNS_MONGO_CHANGED "the document was changed meanwhile"

/* An operation that failed. */
typedef struct PnsWriteError
{
	int			position;		/* among the operations, from 0; -1: of all,
								 * which may not be durable */
	int			sqlstate;
	char	   *message;		/* as the error would have them, in the */
	char	   *detail;			/* database's encoding */
} PnsWriteError;

/* An update that inserted. */
typedef struct PnsUpsert
{
	int			position;		/* among the operations, from 0 */
	PnsBsonValue id;			/* of the document that it made */
} PnsUpsert;

typedef struct PnsWriteResult
{
	int64		written;		/* documents inserted or deleted */
	int64		matched;		/* by updates, without those upserted */
	int64		modified;		/* of those, the ones that changed */
	List	   *upserted;		/* of PnsUpsert * */
	List	   *errors;			/* of PnsWriteError *, where the batch
								 * collects */
	int			commands;		/* that were sent */
} PnsWriteResult;

/*
 * Write a batch, in as few commands as the server's limits allow.  The first
 * operation that fails is raised, with its _id and position and the server's
 * details: 23505, 23514 and the like; 54000 for a document that is too large,
 * before anything has been sent.  In mode none what was written before the
 * error stays.  Begins the statement (pns_mongo_begin_write) if the caller has
 * not.  The result is in the current context.
 */
extern PnsWriteResult pns_mongo_write(PnsConnection *connection, const PnsWriteBatch *batch);

/*
 * Raise 54000 for an operation of a batch that is larger than a document may be,
 * in bytes both, with its _id and position.
 */
extern void pns_mongo_throw_too_large(const PnsWriteBatch *batch, int position, uint32 size,
									  uint32 limit) pg_attribute_noreturn();

/* Make a new ObjectId; id has PNS_OBJECTID_SIZE bytes. */
extern void pns_mongo_new_objectid(uint8 *id);

/*
 * Names that MongoDB refuses: 42602 (invalid_name) with a hint.  what is
 * "database" or "collection".
 */
extern void pns_mongo_check_database_name(const char *name);
extern void pns_mongo_check_collection_name(const char *name);

/*
 * Find a field at the top of a document that begins with a dollar, which some
 * commands take for an operator; its name in the database's encoding, or NULL.
 */
extern const char *pns_mongo_find_operator(PnsDocument document);

/* Once per process, from _PG_init.  Nothing of the driver is used. */
extern void pns_mongo_init(void);

/*
 * The driver's own types stay in this room.
 */
#ifndef PNS_MONGO_PRIVATE
#define mongoc_client_t do_not_use_the_driver_outside_mongo
#define mongoc_cursor_t do_not_use_the_driver_outside_mongo
#define bson_t do_not_use_the_driver_outside_mongo
#endif

#endif							/* PNS_MONGO_H */
