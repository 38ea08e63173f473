/*-------------------------------------------------------------------------
 *
 * options.c
 *	  Options of servers, user mappings, foreign tables and columns.
 *
 * What concerns the connection is the business of mongo/; the rest is in the
 * table below.  Values are checked when they are set, so that a query does
 * not fail for a spelling mistake made long ago.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/reloptions.h"
#include "access/table.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "fdw/private.h"

/* The database that MongoDB's own shell uses where none is named. */
#define DEFAULT_DATABASE "test"

/*
 * Costs in the planner's unit.  A round trip is a start-up cost, as in
 * postgres_fdw; a document costs more to fetch than a row of a heap page.
 */
#define DEFAULT_STARTUP_COST 100.0
#define DEFAULT_TUPLE_COST 0.2

/* Rows that one command writes, and the most that MongoDB takes. */
#define DEFAULT_BATCH_SIZE 1000
#define MAX_BATCH_SIZE 100000

/* Checks one option's value; raises what is wrong with it. */
typedef void (*OptionCheck) (DefElem *def);

typedef struct TableOption
{
	const char *name;
	Oid			catalog;
	OptionCheck check;
} TableOption;

/* What a table says of those of its columns that do not say it themselves. */
typedef struct ColumnDefaults
{
	bool		null_on_mismatch;
	bool		round;
	PnsJsonFormat json_format;
} ColumnDefaults;

static void check_batch_size(DefElem *def);
static void check_boolean(DefElem *def);
static void check_bson_type(DefElem *def);
static void check_collection(DefElem *def);
static void check_cost(DefElem *def);
static void check_database(DefElem *def);
static void check_fetch_size(DefElem *def);
static void check_field(DefElem *def);
static void check_json_format(DefElem *def);
static void check_nulls(DefElem *def);
static void check_on_loss(DefElem *def);
static void check_on_mismatch(DefElem *def);
static void report_unknown_option(DefElem *def, Oid catalog);
static void read_table_options(PnsTable *table, List *options, ColumnDefaults *defaults);
static bool read_write_option(PnsTable *table, DefElem *def, ColumnDefaults *defaults);
static void read_column(PnsTableColumn *column, Oid relid, Form_pg_attribute attribute,
						const char *label, const ColumnDefaults *defaults);
static void read_column_options(PnsTableColumn *column, Oid relid);
static void set_native_path(PnsTableColumn *column);

/*
 * The wrapper's own options.  Of the switches that say what may be shipped,
 * see settings.c, those of joins, aggregates and ORDER BY are mongo_fdw's too.
 */
static const TableOption table_options[] = {
	{"async_capable", ForeignServerRelationId, check_boolean},
	{"batch_size", ForeignServerRelationId, check_batch_size},
	{"database", ForeignServerRelationId, check_database},
	{"enable_aggregate_pushdown", ForeignServerRelationId, check_boolean},
	{"enable_batched_join_pushdown", ForeignServerRelationId, check_boolean},
	{"enable_condition_pushdown", ForeignServerRelationId, check_boolean},
	{"enable_expression_pushdown", ForeignServerRelationId, check_boolean},
	{"enable_join_pushdown", ForeignServerRelationId, check_boolean},
	{"enable_limit_pushdown", ForeignServerRelationId, check_boolean},
	{"enable_modify_pushdown", ForeignServerRelationId, check_boolean},
	{"enable_order_by_pushdown", ForeignServerRelationId, check_boolean},
	{"fdw_startup_cost", ForeignServerRelationId, check_cost},
	{"fdw_tuple_cost", ForeignServerRelationId, check_cost},
	{"fetch_size", ForeignServerRelationId, check_fetch_size},
	{"json_format", ForeignServerRelationId, check_json_format},
	{"nulls", ForeignServerRelationId, check_nulls},
	{"on_loss", ForeignServerRelationId, check_on_loss},
	{"on_mismatch", ForeignServerRelationId, check_on_mismatch},
	{"sort_strings", ForeignServerRelationId, check_boolean},
	{"updatable", ForeignServerRelationId, check_boolean},
	{"use_remote_estimate", ForeignServerRelationId, check_boolean},

	{"async_capable", ForeignTableRelationId, check_boolean},
	{"batch_size", ForeignTableRelationId, check_batch_size},
	{"collection", ForeignTableRelationId, check_collection},
	{"database", ForeignTableRelationId, check_database},
	{"enable_aggregate_pushdown", ForeignTableRelationId, check_boolean},
	{"enable_batched_join_pushdown", ForeignTableRelationId, check_boolean},
	{"enable_condition_pushdown", ForeignTableRelationId, check_boolean},
	{"enable_expression_pushdown", ForeignTableRelationId, check_boolean},
	{"enable_join_pushdown", ForeignTableRelationId, check_boolean},
	{"enable_limit_pushdown", ForeignTableRelationId, check_boolean},
	{"enable_modify_pushdown", ForeignTableRelationId, check_boolean},
	{"enable_order_by_pushdown", ForeignTableRelationId, check_boolean},
	{"fdw_startup_cost", ForeignTableRelationId, check_cost},
	{"fdw_tuple_cost", ForeignTableRelationId, check_cost},
	{"fetch_size", ForeignTableRelationId, check_fetch_size},
	{"json_format", ForeignTableRelationId, check_json_format},
	{"nulls", ForeignTableRelationId, check_nulls},
	{"on_loss", ForeignTableRelationId, check_on_loss},
	{"on_mismatch", ForeignTableRelationId, check_on_mismatch},
	{"sort_strings", ForeignTableRelationId, check_boolean},
	{"updatable", ForeignTableRelationId, check_boolean},
	{"use_remote_estimate", ForeignTableRelationId, check_boolean},

	{"bson_type", AttributeRelationId, check_bson_type},
	{"document", AttributeRelationId, check_boolean},
	{"field", AttributeRelationId, check_field},
	{"on_loss", AttributeRelationId, check_on_loss},
	{"on_mismatch", AttributeRelationId, check_on_mismatch},
};

PG_FUNCTION_INFO_V1(pns_fdw_validator);
PGDLLEXPORT Datum pns_fdw_validator(PG_FUNCTION_ARGS);

/*
 * pns_fdw_validator checks the options given to an object of one catalog.
 *
 * Errors: HV00D for an option that the catalog does not have, 22023 and the
 * like for a value that is wrong; the connection's options raise what
 * pns_mongo_check_options says.
 */
Datum
pns_fdw_validator(PG_FUNCTION_ARGS)
{
	List	   *options = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid			catalog = PG_GETARG_OID(1);
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *def = (DefElem *) lfirst(lc);
		bool		known = pns_mongo_is_option(def->defname, catalog);

		for (int i = 0; i < lengthof(table_options); i++)
		{
			if (table_options[i].catalog == catalog &&
				strcmp(table_options[i].name, def->defname) == 0)
			{
				known = true;
				table_options[i].check(def);
			}
		}

		if (!known)
			report_unknown_option(def, catalog);
	}

	pns_mongo_check_options(options, catalog);

	PG_RETURN_VOID();
}

/*
 * pns_fdw_get_table reads the definition of a foreign table: its options,
 * those of its server, and how each column is read.  Allocates in the current
 * context.
 */
PnsTable *
pns_fdw_get_table(Oid relid)
{
	PnsTable   *table = palloc0(sizeof(PnsTable));
	ForeignTable *foreign_table = GetForeignTable(relid);
	ForeignServer *server = GetForeignServer(foreign_table->serverid);
	ColumnDefaults defaults = {.json_format = PNS_JSON_RELAXED};
	char	   *label;
	Relation	relation;
	TupleDesc	tupdesc;

	table->relid = relid;
	table->serverid = server->serverid;
	table->database = pstrdup(DEFAULT_DATABASE);
	table->name = get_rel_name(relid);
	table->collection = table->name;
	table->async_capable = true;
	table->startup_cost = DEFAULT_STARTUP_COST;
	table->tuple_cost = DEFAULT_TUPLE_COST;
	table->batch_size = DEFAULT_BATCH_SIZE;
	table->updatable = true;

	/* what the table says comes last, so that it wins */
	read_table_options(table, server->options, &defaults);
	read_table_options(table, foreign_table->options, &defaults);

	/* the options were checked when they were set, the table's name was not */
	pns_mongo_check_collection_name(table->collection);

	label = pns_fdw_table_label(table);
	relation = table_open(relid, NoLock);
	tupdesc = RelationGetDescr(relation);
	table->ncolumns = tupdesc->natts;
	table->columns = palloc0(sizeof(PnsTableColumn) * Max(tupdesc->natts, 1));
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(tupdesc, i);

		if (!attribute->attisdropped)
			read_column(&table->columns[i], relid, attribute, label, &defaults);
	}
	table_close(relation, NoLock);

	return table;
}

/*
 * pns_fdw_table_label names a table's collection for messages and EXPLAIN.
 */
char *
pns_fdw_table_label(const PnsTable *table)
{
	return psprintf("%s.%s", table->database, table->collection);
}

/*
 * read_table_options takes over the options of a server or a table; those
 * that concern the connection are left to mongo/.
 */
static void
read_table_options(PnsTable *table, List *options, ColumnDefaults *defaults)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *def = (DefElem *) lfirst(lc);
		int			kind = pns_fdw_pushdown_option(def->defname);

		if (read_write_option(table, def, defaults))
			continue;
		if (kind >= 0)
		{
			uint32		bit = 1 << kind;

			table->not_pushed &= ~bit;
			if (!defGetBoolean(def))
				table->not_pushed |= bit;
		}
		else if (strcmp(def->defname, "database") == 0)
			table->database = defGetString(def);
		else if (strcmp(def->defname, "collection") == 0)
			table->collection = defGetString(def);
		else if (strcmp(def->defname, "use_remote_estimate") == 0)
			table->use_remote_estimate = defGetBoolean(def);
		else if (strcmp(def->defname, "async_capable") == 0)
			table->async_capable = defGetBoolean(def);
		else if (strcmp(def->defname, "sort_strings") == 0)
			table->sort_strings = defGetBoolean(def);
		else if (strcmp(def->defname, "fdw_startup_cost") == 0)
			(void) parse_real(defGetString(def), &table->startup_cost, 0, NULL);
		else if (strcmp(def->defname, "fdw_tuple_cost") == 0)
			(void) parse_real(defGetString(def), &table->tuple_cost, 0, NULL);
		else if (strcmp(def->defname, "fetch_size") == 0)
			(void) parse_int(defGetString(def), &table->fetch_size, 0, NULL);
		else if (strcmp(def->defname, "on_mismatch") == 0)
			defaults->null_on_mismatch = strcmp(defGetString(def), "null") == 0;
		else if (strcmp(def->defname, "json_format") == 0)
			defaults->json_format = strcmp(defGetString(def), "canonical") == 0 ?
				PNS_JSON_CANONICAL : PNS_JSON_RELAXED;
	}
}

/*
 * read_write_option takes over an option that is about writing; false where
 * it is not.
 */
static bool
read_write_option(PnsTable *table, DefElem *def, ColumnDefaults *defaults)
{
	if (strcmp(def->defname, "batch_size") == 0)
		(void) parse_int(defGetString(def), &table->batch_size, 0, NULL);
	else if (strcmp(def->defname, "nulls") == 0)
		table->stores_nulls = strcmp(defGetString(def), "store") == 0;
	else if (strcmp(def->defname, "on_loss") == 0)
		defaults->round = strcmp(defGetString(def), "round") == 0;
	else if (strcmp(def->defname, "updatable") == 0)
		table->updatable = defGetBoolean(def);
	else
		return false;
	return true;
}

/*
 * read_column works out how one column is read and written.
 *
 * Errors: 0A000 for a type that no document can give.
 */
static void
read_column(PnsTableColumn *column, Oid relid, Form_pg_attribute attribute,
			const char *label, const ColumnDefaults *defaults)
{
	PnsColumn  *codec = &column->codec;

	codec->attnum = attribute->attnum;
	codec->name = pstrdup(NameStr(attribute->attname));
	codec->collection = label;
	codec->type = attribute->atttypid;
	codec->typmod = attribute->atttypmod;
	column->not_null = attribute->attnotnull;
	codec->path = codec->name;
	codec->document = strcmp(codec->name, "__doc") == 0;
	codec->null_on_mismatch = defaults->null_on_mismatch;
	codec->json_format = defaults->json_format;
	column->round = defaults->round;
	read_column_options(column, relid);

	pns_mongo_check_column_type(codec->type, codec->typmod, codec->document,
								codec->name);
	column->base_typmod = codec->typmod;
	column->base_type = getBaseTypeAndTypmod(codec->type, &column->base_typmod);
	if (codec->document)
		codec->path = NULL;
	else
	{
		column->keys = pns_mongo_split_path(codec->path);
		set_native_path(column);
	}
}

/*
 * read_column_options takes over the options of a column.
 */
static void
read_column_options(PnsTableColumn *column, Oid relid)
{
	PnsColumn  *codec = &column->codec;
	ListCell   *lc;

	foreach(lc, GetForeignColumnOptions(relid, codec->attnum))
	{
		DefElem    *def = (DefElem *) lfirst(lc);

		if (strcmp(def->defname, "field") == 0)
		{
			codec->path = defGetString(def);
			codec->document = false;
		}
		else if (strcmp(def->defname, "document") == 0)
			codec->document = defGetBoolean(def);
		else if (strcmp(def->defname, "bson_type") == 0)
			column->objectid = true;
		else if (strcmp(def->defname, "on_loss") == 0)
			column->round = strcmp(defGetString(def), "round") == 0;
		else if (strcmp(def->defname, "on_mismatch") == 0)
			codec->null_on_mismatch = strcmp(defGetString(def), "null") == 0;
	}
}

/*
 * set_native_path says a column's path as MongoDB's query language does, in
 * UTF-8.
 *
 * Some keys cannot be said there: one with a dot of its own, one that begins
 * with a dollar, and digits, which MongoDB reads as a position and as a key
 * alike.  The path down to such a key can still be projected.
 */
static void
set_native_path(PnsTableColumn *column)
{
	StringInfoData path;
	ListCell   *lc;

	initStringInfo(&path);
	foreach(lc, column->keys)
	{
		const char *text = (const char *) lfirst(lc);
		const char *key = pg_server_to_any(text, strlen(text), PG_UTF8);

		if (!pg_verify_mbstr(PG_UTF8, key, strlen(key), true))
			break;
		if (key[0] == '$' || strchr(key, '.') != NULL ||
			strspn(key, "0123456789") == strlen(key))
			break;
		if (path.len > 0)
			appendStringInfoChar(&path, '.');
		appendStringInfoString(&path, key);
	}

	if (path.len > 0)
		column->projection = path.data;
	if (lc == NULL)
		column->native = path.data;
}

/*
 * report_unknown_option raises the error for an option that the catalog does
 * not have, with those that it has.
 */
static void
report_unknown_option(DefElem *def, Oid catalog)
{
	StringInfoData names;
	ListCell   *lc;

	initStringInfo(&names);
	foreach(lc, pns_mongo_option_names(catalog))
		appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", (char *) lfirst(lc));
	for (int i = 0; i < lengthof(table_options); i++)
	{
		if (table_options[i].catalog == catalog)
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "",
							 table_options[i].name);
	}

	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", def->defname),
			 names.len > 0
			 ? errhint("Valid options in this context are: %s.", names.data)
			 : errhint("There are no valid options in this context.")));
}

/*
 * check_batch_size demands a number of rows, from 1 to what MongoDB takes.
 */
static void
check_batch_size(DefElem *def)
{
	int			value;
	const char *text = defGetString(def);

	if (!parse_int(text, &value, 0, NULL) || value < 1 || value > MAX_BATCH_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", def->defname, text),
				 errhint("It is a number of rows, from 1 to %d.", MAX_BATCH_SIZE)));
}

/*
 * check_boolean demands a boolean; 42601 where it is none.
 */
static void
check_boolean(DefElem *def)
{
	(void) defGetBoolean(def);
}

/*
 * check_bson_type demands a type of BSON that text can be written as, beside
 * the string that it is anyway.
 */
static void
check_bson_type(DefElem *def)
{
	const char *value = defGetString(def);

	if (strcmp(value, "objectId") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", def->defname, value),
				 errhint("The only valid value is \"objectId\".")));
}

/*
 * check_collection demands a name that MongoDB takes for a collection.
 */
static void
check_collection(DefElem *def)
{
	pns_mongo_check_collection_name(defGetString(def));
}

/*
 * check_cost demands a cost in the planner's unit, 0 or more.
 */
static void
check_cost(DefElem *def)
{
	double		value;
	const char *text = defGetString(def);

	if (!parse_real(text, &value, 0, NULL) || !(value >= 0) || isinf(value))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", def->defname, text),
				 errhint("It is a cost in the planner's unit, 0 or more.")));
}

/*
 * check_database demands a name that MongoDB takes for a database.
 */
static void
check_database(DefElem *def)
{
	pns_mongo_check_database_name(defGetString(def));
}

/*
 * check_fetch_size demands a number of documents, 0 or more.
 */
static void
check_fetch_size(DefElem *def)
{
	int			value;
	const char *text = defGetString(def);

	if (!parse_int(text, &value, 0, NULL) || value < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", def->defname, text),
				 errhint("It is a number of documents; 0 leaves it to the server.")));
}

/*
 * check_field demands a path that can be split into keys.
 */
static void
check_field(DefElem *def)
{
	(void) pns_mongo_split_path(defGetString(def));
}

/*
 * pns_fdw_check_choice demands one of two words; 22023 where it is neither.
 */
void
pns_fdw_check_choice(DefElem *def, const char *first, const char *second)
{
	const char *value = defGetString(def);

	if (strcmp(value, first) != 0 && strcmp(value, second) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", def->defname, value),
				 errhint("Valid values are \"%s\" and \"%s\".", first, second)));
}

/*
 * check_json_format demands one of the forms of Extended JSON.
 */
static void
check_json_format(DefElem *def)
{
	pns_fdw_check_choice(def, "relaxed", "canonical");
}

/*
 * check_nulls demands one of the ways to write NULL.
 */
static void
check_nulls(DefElem *def)
{
	pns_fdw_check_choice(def, "omit", "store");
}

/*
 * check_on_loss demands one of the ways to write what MongoDB cannot hold in
 * full.
 */
static void
check_on_loss(DefElem *def)
{
	pns_fdw_check_choice(def, "error", "round");
}

/*
 * check_on_mismatch demands one of the ways to treat a value that does not
 * fit its column.
 */
static void
check_on_mismatch(DefElem *def)
{
	pns_fdw_check_choice(def, "error", "null");
}
