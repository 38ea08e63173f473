/*-------------------------------------------------------------------------
 *
 * import.c
 *	  IMPORT FOREIGN SCHEMA: foreign tables for the collections of a database.
 *
 * The columns are what a sample of the documents and a validator's JSON
 * schema show.  Neither promises anything about documents to come, so no
 * column is declared NOT NULL.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/heap.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "fdw/private.h"

/* How many documents are looked at unless the option says otherwise. */
#define DEFAULT_SAMPLE_SIZE 1000

/* Sub-documents below this level stay whole. */
#define FLATTEN_LEVELS 8

/* text and text[] need a collation. */
#define TEXT_TYPE "pg_catalog.text"

/* A statement's options and what it works on. */
typedef struct ImportState
{
	ImportForeignSchemaStmt *stmt;
	PnsConnection *connection;
	int			sample_size;
	bool		flatten;		/* else sub-documents become jsonb */
} ImportState;

/* One column of a table that is made. */
typedef struct ImportColumn
{
	char	   *name;
	char	   *path;			/* NULL: the whole document */
	const char *type;
	bool		holds_objectids;	/* as text, and nothing else */
} ImportColumn;

static void read_options(ImportState *state);
static void report_long_name(const char *collection);
static bool is_wanted(const ImportForeignSchemaStmt *stmt, const char *collection);
static char *import_collection(ImportState *state, const char *collection,
							   PnsDocument description);
static void learn_validator(PnsField *fields, PnsDocument description);
static void learn_sample(ImportState *state, const char *collection, PnsField *fields);
static List *list_columns(const PnsField *document, bool flatten);
static ImportColumn *document_column(void);
static void add_columns(bool flatten, const PnsField *field, const char *prefix,
						int level, List **columns);
static char *column_name(const char *path, List *columns);
static char *escape_key(const char *key);
static char *table_definition(ImportState *state, const char *collection, List *columns);

/*
 * pnsImportForeignSchema returns a CREATE FOREIGN TABLE for each collection
 * and view of the database that the statement calls its remote schema.
 *
 * Options: sample_size, the number of documents to look at; nested, 'flatten'
 * (default) to make the fields of sub-documents columns, 'jsonb' to keep
 * sub-documents whole.
 *
 * Errors: HV00D and 22023 for the options, those of the connection.
 */
List *
pnsImportForeignSchema(ImportForeignSchemaStmt *stmt, Oid serverid)
{
	ImportState state = {.stmt = stmt,.sample_size = DEFAULT_SAMPLE_SIZE,.flatten = true};
	List	   *commands = NIL;
	PnsBsonBuilder builder;
	PnsCursor  *cursor;
	PnsDocument description;
	bool		found = false;

	pns_mongo_check_database_name(stmt->remote_schema);
	read_options(&state);
	state.connection = pns_mongo_get_connection(serverid, GetUserId());

	pns_bson_begin(&builder);
	pns_bson_append_int32(&builder, "listCollections", 1);
	cursor = pns_mongo_command_cursor(state.connection, stmt->remote_schema,
									  pns_bson_end(&builder));
	pns_mongo_cursor_outside(cursor);
	while (pns_mongo_cursor_next(cursor, &description))
	{
		PnsBsonValue name;
		const char *utf8;
		char	   *collection;

		found = true;
		if (!pns_bson_find(description, "name", &name) || name.type != PNS_BSON_STRING)
			continue;
		utf8 = pns_bson_value_string(&name, NULL);
		if (strncmp(utf8, "system.", strlen("system.")) == 0 ||
			!is_wanted(stmt, utf8))
			continue;
		collection = pg_any_to_server(utf8, strlen(utf8), PG_UTF8);
		if (strlen(collection) >= NAMEDATALEN)
		{
			report_long_name(collection);
			continue;
		}
		commands = lappend(commands,
						   import_collection(&state, collection, description));
	}
	pns_mongo_cursor_close(cursor);

	/* MongoDB has no databases without collections */
	if (!found)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_SCHEMA_NOT_FOUND),
				 errmsg("database \"%s\" is not present on foreign server \"%s\"",
						stmt->remote_schema, stmt->server_name)));
	return commands;
}

/*
 * report_long_name tells of a collection that is left out.
 */
static void
report_long_name(const char *collection)
{
	ereport(WARNING,
			(errcode(ERRCODE_NAME_TOO_LONG),
			 errmsg("collection \"%s\" is not imported", collection),
			 errdetail("Its name is too long for a table's."),
			 errhint("Use CREATE FOREIGN TABLE with the option \"collection\".")));
}

/*
 * read_options takes over the statement's options.
 */
static void
read_options(ImportState *state)
{
	ListCell   *lc;

	foreach(lc, state->stmt->options)
	{
		DefElem    *def = (DefElem *) lfirst(lc);
		const char *value = defGetString(def);

		if (strcmp(def->defname, "sample_size") == 0)
		{
			if (!parse_int(value, &state->sample_size, 0, NULL) || state->sample_size < 1)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("invalid value for option \"%s\": \"%s\"",
								def->defname, value),
						 errhint("It is the number of documents to look at, 1 or more.")));
		}
		else if (strcmp(def->defname, "nested") == 0)
		{
			pns_fdw_check_choice(def, "flatten", "jsonb");
			state->flatten = strcmp(value, "flatten") == 0;
		}
		else
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errmsg("invalid option \"%s\"", def->defname),
					 errhint("Valid options in this context are: nested, sample_size.")));
	}
}

/*
 * is_wanted tells whether LIMIT TO or EXCEPT leave a collection in, named in
 * UTF-8.  Core checks again, this spares us the sample, and a name that the
 * database's encoding cannot say.
 */
static bool
is_wanted(const ImportForeignSchemaStmt *stmt, const char *collection)
{
	bool		listed = false;
	ListCell   *lc;

	foreach(lc, stmt->table_list)
	{
		const char *name = ((RangeVar *) lfirst(lc))->relname;

		if (strcmp(pg_server_to_any(name, strlen(name), PG_UTF8), collection) == 0)
			listed = true;
	}

	switch (stmt->list_type)
	{
		case FDW_IMPORT_SCHEMA_ALL:
			return true;
		case FDW_IMPORT_SCHEMA_LIMIT_TO:
			return listed;
		case FDW_IMPORT_SCHEMA_EXCEPT:
			return !listed;
	}
	return true;
}

/*
 * import_collection makes the statement for one collection.  Where a table
 * has no room for all the fields, sub-documents stay whole, or all of it does.
 */
static char *
import_collection(ImportState *state, const char *collection, PnsDocument description)
{
	PnsField   *document = palloc0(sizeof(PnsField));
	List	   *columns;

	/* _id comes first, and is there even if there are no documents */
	document->fields = list_make1(palloc0(sizeof(PnsField)));
	((PnsField *) linitial(document->fields))->key = pstrdup("_id");

	learn_validator(document, description);
	learn_sample(state, collection, document);

	columns = list_columns(document, state->flatten);
	if (list_length(columns) > MaxHeapAttributeNumber)
		columns = list_columns(document, false);
	if (list_length(columns) > MaxHeapAttributeNumber)
		columns = list_make2(linitial(columns), document_column());
	return table_definition(state, collection, columns);
}

/*
 * learn_validator learns from the JSON schema of a collection's validator, if
 * there is one.
 */
static void
learn_validator(PnsField *document, PnsDocument description)
{
	static const char *const path[] = {"options", "validator", "$jsonSchema"};
	PnsBsonValue value;

	for (int i = 0; i < lengthof(path); i++)
	{
		if (!pns_bson_find(description, path[i], &value) || value.type != PNS_BSON_DOCUMENT)
			return;
		description = pns_bson_value_document(&value);
	}
	pns_fdw_learn_schema(document, description);
}

/*
 * learn_sample learns from some of a collection's documents.
 */
static void
learn_sample(ImportState *state, const char *collection, PnsField *document)
{
	PnsCursor  *cursor = pns_mongo_aggregate(state->connection, state->stmt->remote_schema,
											 collection,
											 pns_fdw_sample_pipeline(state->sample_size),
											 pns_fdw_sample_options(), 0);
	PnsDocument sample;

	while (pns_mongo_cursor_next(cursor, &sample))
		pns_fdw_learn_document(document, sample);
	pns_mongo_cursor_close(cursor);
}

/*
 * list_columns lists the columns for a collection's fields.
 */
static List *
list_columns(const PnsField *document, bool flatten)
{
	List	   *columns = NIL;
	ListCell   *lc;

	foreach(lc, document->fields)
		add_columns(flatten, (PnsField *) lfirst(lc), "", 1, &columns);
	return columns;
}

/*
 * document_column makes the column for the whole document.
 */
static ImportColumn *
document_column(void)
{
	ImportColumn *column = palloc0(sizeof(ImportColumn));

	column->name = "document";
	column->type = "pg_catalog.jsonb";
	return column;
}

/*
 * add_columns appends the column for a field, or those for the fields of a
 * sub-document.
 */
static void
add_columns(bool flatten, const PnsField *field, const char *prefix, int level,
			List **columns)
{
	const char *type = pns_fdw_field_type(field);
	char	   *path = psprintf("%s%s", prefix, escape_key(field->key));
	ImportColumn *column;
	ListCell   *lc;

	if (type == NULL && flatten && level < FLATTEN_LEVELS)
	{
		foreach(lc, field->fields)
			add_columns(flatten, (PnsField *) lfirst(lc), psprintf("%s.", path),
						level + 1, columns);
		return;
	}

	column = palloc(sizeof(ImportColumn));
	column->path = path;
	column->name = column_name(path, *columns);
	column->type = type != NULL ? type : "pg_catalog.jsonb";
	column->holds_objectids = field->kinds == PNS_KIND_OBJECTID ||
		(field->kinds == PNS_KIND_ARRAY && field->element_kinds == PNS_KIND_OBJECTID);
	*columns = lappend(*columns, column);
}

/*
 * escape_key writes a key as a component of a path, in the database's
 * encoding.
 */
static char *
escape_key(const char *key)
{
	StringInfoData path;
	const char *converted = pg_any_to_server(key, strlen(key), PG_UTF8);

	initStringInfo(&path);
	for (const char *c = converted; *c != '\0'; c++)
	{
		if (*c == '.' || *c == '\\')
			appendStringInfoChar(&path, '\\');
		appendStringInfoChar(&path, *c);
	}
	return path.data;
}

/*
 * column_name names the column for a path: as the path, if it is short enough
 * and nothing else is called so, and like it otherwise.
 */
static char *
column_name(const char *path, List *columns)
{
	char	   *name = pstrdup(path);

	truncate_identifier(name, strlen(name), false);
	for (int suffix = 1;; suffix++)
	{
		bool		taken = SystemAttributeByName(name) != NULL;
		char		digits[16];
		ListCell   *lc;

		foreach(lc, columns)
			taken = taken || strcmp(((ImportColumn *) lfirst(lc))->name, name) == 0;
		if (!taken)
			return name;

		snprintf(digits, sizeof(digits), "_%d", suffix);
		name = pnstrdup(path, pg_mbcliplen(path, strlen(path),
										   NAMEDATALEN - 1 - strlen(digits)));
		name = psprintf("%s%s", name, digits);
	}
}

/*
 * table_definition writes the statement.
 */
static char *
table_definition(ImportState *state, const char *collection, List *columns)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE FOREIGN TABLE %s (", quote_identifier(collection));
	foreach(lc, columns)
	{
		ImportColumn *column = (ImportColumn *) lfirst(lc);
		const char *separator = " OPTIONS (";

		appendStringInfo(&sql, "%s\n  %s %s", foreach_current_index(lc) > 0 ? "," : "",
						 quote_identifier(column->name), column->type);
		/* without a field, __doc would be the whole document */
		if (column->path == NULL)
			appendStringInfoString(&sql, " OPTIONS (document 'true')");
		else if (strcmp(column->name, column->path) != 0 ||
				 strcmp(column->name, "__doc") == 0)
		{
			appendStringInfo(&sql, " OPTIONS (field %s", quote_literal_cstr(column->path));
			separator = ", ";
		}
		/* what is written shall be of the type that is there */
		if (column->holds_objectids)
		{
			appendStringInfo(&sql, "%sbson_type 'objectId'", separator);
			separator = ", ";
		}
		if (separator[0] == ',')
			appendStringInfoChar(&sql, ')');
		/* MongoDB orders strings by their bytes */
		if (strncmp(column->type, TEXT_TYPE, strlen(TEXT_TYPE)) == 0)
			appendStringInfoString(&sql, " COLLATE pg_catalog.\"C\"");
	}
	appendStringInfo(&sql, "\n) SERVER %s OPTIONS (database %s, collection %s)",
					 quote_identifier(state->stmt->server_name),
					 quote_literal_cstr(state->stmt->remote_schema),
					 quote_literal_cstr(collection));
	return sql.data;
}
