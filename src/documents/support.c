/*-------------------------------------------------------------------------
 *
 * support.c
 *	  How many rows find_documents and aggregate_documents return.
 *
 * The planner is told what constant arguments say, without asking the server:
 * a limit bounds the rows, an _id is of one document, each condition leaves a
 * part.  What there is before is the number of rows of a foreign table over
 * the same collection, if one has been analyzed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_type_d.h"
#include "commands/defrem.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/syscache.h"

#include "documents/private.h"

/* Of a collection about which nothing is known, as the functions' ROWS. */
#define UNKNOWN_ROWS 1000.0

/* What part of the rows a condition leaves, and a group stands for. */
#define CONDITION_SHARE 0.1

#define UNWIND_FACTOR 10.0

/* The functions' arguments; those from LIMIT on are find_documents' alone. */
enum ReadArgument
{
	READ_SERVER,
	READ_COLLECTION,
	READ_FILTER_OR_PIPELINE,
	READ_SORT,
	READ_SKIP,
	READ_LIMIT
};

PG_FUNCTION_INFO_V1(pns_documents_support);
PGDLLEXPORT Datum pns_documents_support(PG_FUNCTION_ARGS);

static bool estimate(SupportRequestRows *request, List *arguments);
static bool constant(PlannerInfo *root, List *arguments, int position, Datum *value);
static double count_of_limit(PlannerInfo *root, List *arguments, int position, double otherwise);
static double collection_rows(PlannerInfo *root, List *arguments);
static bool is_table_of(HeapTuple tuple, const ForeignServer *server, const char *database,
						const char *collection, Oid *relid);
static double rows_of_table(Oid relid, double otherwise);
static Jsonb *read_pipeline(Datum json);
static double filter_rows(JsonbContainer *filter, double rows);
static bool selects_one(const JsonbValue *id);
static double pipeline_rows(Jsonb *pipeline, double rows);
static double stage_rows(const char *name, int size, const JsonbValue *body, double rows);
static double number_of(const JsonbValue *value, double otherwise);

/* pns_documents_support answers SupportRequestRows, and nothing else. */
Datum
pns_documents_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);

	if (IsA(request, SupportRequestRows))
	{
		SupportRequestRows *rows = (SupportRequestRows *) request;

		if (is_funcclause(rows->node) &&
			estimate(rows, ((FuncExpr *) rows->node)->args))
			PG_RETURN_POINTER(request);
	}
	PG_RETURN_POINTER(NULL);
}

/* estimate sets the number of rows; false where it knows nothing. */
static bool
estimate(SupportRequestRows *request, List *arguments)
{
	bool		finds = list_length(arguments) > READ_LIMIT;
	double		rows = collection_rows(request->root, arguments);
	Datum		value;

	if (constant(request->root, arguments, READ_FILTER_OR_PIPELINE, &value))
	{
		Jsonb	   *json = finds ? DatumGetJsonbP(value) : read_pipeline(value);

		if (json == NULL)
			return false;
		if (!finds)
			rows = pipeline_rows(json, rows);
		else if (JB_ROOT_IS_OBJECT(json))
			rows = filter_rows(&json->root, rows);
	}
	if (finds)
	{
		rows -= count_of_limit(request->root, arguments, READ_SKIP, 0);
		rows = Min(rows, count_of_limit(request->root, arguments, READ_LIMIT, rows));
	}
	request->rows = clamp_row_est(rows);
	return true;
}

/* constant gives an argument that is known now and is not NULL. */
static bool
constant(PlannerInfo *root, List *arguments, int position, Datum *value)
{
	Node	   *argument = estimate_expression_value(root, list_nth(arguments, position));

	if (!IsA(argument, Const) || ((Const *) argument)->constisnull)
		return false;
	*value = ((Const *) argument)->constvalue;
	return true;
}

/* count_of_limit gives an argument that is a number of rows. */
static double
count_of_limit(PlannerInfo *root, List *arguments, int position, double otherwise)
{
	Datum		value;

	if (!constant(root, arguments, position, &value) || DatumGetInt64(value) < 0)
		return otherwise;
	return (double) DatumGetInt64(value);
}

/*
 * collection_rows gives the number of documents of the collection, as far as
 * a foreign table over it has been analyzed.
 */
static double
collection_rows(PlannerInfo *root, List *arguments)
{
	double		rows = UNKNOWN_ROWS;
	const char *database;
	char	   *collection;
	ForeignServer *server;
	Relation	catalog;
	SysScanDesc scan;
	HeapTuple	tuple;
	Datum		value;
	Datum		name;
	Oid			relid;

	if (!constant(root, arguments, READ_SERVER, &value) ||
		!constant(root, arguments, READ_COLLECTION, &name))
		return rows;
	server = GetForeignServerByName(NameStr(*DatumGetName(value)), true);
	if (server == NULL)
		return rows;
	collection = pns_documents_split_name(TextDatumGetCString(name), &database);
	if (database == NULL)
		database = pns_documents_default_database(server);

	catalog = table_open(ForeignTableRelationId, AccessShareLock);
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	while ((tuple = systable_getnext(scan)) != NULL)
	{
		if (is_table_of(tuple, server, database, collection, &relid))
			rows = rows_of_table(relid, rows);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return rows;
}

/* is_table_of tells whether a row of pg_foreign_table is over a collection. */
static bool
is_table_of(HeapTuple tuple, const ForeignServer *server, const char *database,
			const char *collection, Oid *relid)
{
	Form_pg_foreign_table form = (Form_pg_foreign_table) GETSTRUCT(tuple);
	const char *table_database = pns_documents_default_database(server);
	const char *table_collection = NULL;
	ListCell   *cell;

	if (form->ftserver != server->serverid)
		return false;
	*relid = form->ftrelid;
	foreach(cell, GetForeignTable(form->ftrelid)->options)
	{
		DefElem    *def = lfirst_node(DefElem, cell);

		if (strcmp(def->defname, "database") == 0)
			table_database = defGetString(def);
		else if (strcmp(def->defname, "collection") == 0)
			table_collection = defGetString(def);
	}
	if (table_collection == NULL)
		table_collection = get_rel_name(form->ftrelid);
	return table_collection != NULL && strcmp(table_collection, collection) == 0 &&
		strcmp(table_database, database) == 0;
}

/* rows_of_table gives what ANALYZE counted in a table. */
static double
rows_of_table(Oid relid, double otherwise)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	double		rows = otherwise;

	if (!HeapTupleIsValid(tuple))
		return otherwise;
	if (((Form_pg_class) GETSTRUCT(tuple))->reltuples >= 0)
		rows = ((Form_pg_class) GETSTRUCT(tuple))->reltuples;
	ReleaseSysCache(tuple);
	return rows;
}

/* read_pipeline gives a pipeline as jsonb, NULL where it is no array of one. */
static Jsonb *
read_pipeline(Datum json)
{
	FmgrInfo	input;
	Datum		value;

	fmgr_info(F_JSONB_IN, &input);
	if (!pns_base_input_safe(&input, TextDatumGetCString(json), JSONBOID, -1, &value) ||
		!JB_ROOT_IS_ARRAY(DatumGetJsonbP(value)))
		return NULL;
	return DatumGetJsonbP(value);
}

/* filter_rows gives what a filter leaves of rows. */
static double
filter_rows(JsonbContainer *filter, double rows)
{
	JsonbValue	buffer;
	JsonbValue *id = getKeyJsonValueFromContainer(filter, "_id", strlen("_id"), &buffer);

	if (id != NULL && selects_one(id))
		return Min(rows, 1);
	for (int i = 0; i < JsonContainerSize(filter); i++)
		rows *= CONDITION_SHARE;
	return rows;
}

/* selects_one tells whether a condition on the _id is for equality. */
static bool
selects_one(const JsonbValue *id)
{
	JsonbValue	buffer;

	if (id->type != jbvBinary)
		return true;
	return JsonContainerIsObject(id->val.binary.data) &&
		(getKeyJsonValueFromContainer(id->val.binary.data, "$oid", strlen("$oid"),
									  &buffer) != NULL ||
		 getKeyJsonValueFromContainer(id->val.binary.data, "$eq", strlen("$eq"),
									  &buffer) != NULL);
}

/* pipeline_rows goes through the stages of a pipeline. */
static double
pipeline_rows(Jsonb *pipeline, double rows)
{
	JsonbIterator *iterator = JsonbIteratorInit(&pipeline->root);
	JsonbValue	value;

	(void) JsonbIteratorNext(&iterator, &value, true);
	while (JsonbIteratorNext(&iterator, &value, true) == WJB_ELEM)
	{
		JsonbIterator *stage;
		JsonbValue	name;
		JsonbValue	body;

		if (value.type != jbvBinary || !JsonContainerIsObject(value.val.binary.data))
			continue;
		stage = JsonbIteratorInit(value.val.binary.data);
		(void) JsonbIteratorNext(&stage, &name, true);
		if (JsonbIteratorNext(&stage, &name, true) != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&stage, &body, true);
		rows = stage_rows(name.val.string.val, name.val.string.len, &body, rows);
	}
	return rows;
}

/* stage_rows gives what one stage makes of a number of rows. */
static double
stage_rows(const char *name, int size, const JsonbValue *body, double rows)
{
	const char *stage = pnstrdup(name, size);

	if (strcmp(stage, "$match") == 0 && body->type == jbvBinary &&
		JsonContainerIsObject(body->val.binary.data))
		return filter_rows(body->val.binary.data, rows);
	if (strcmp(stage, "$limit") == 0)
		return Min(rows, number_of(body, rows));
	if (strcmp(stage, "$skip") == 0)
		return Max(rows - number_of(body, 0), 0);
	if (strcmp(stage, "$count") == 0)
		return 1;
	if (strcmp(stage, "$unwind") == 0)
		return rows * UNWIND_FACTOR;
	if (strcmp(stage, "$group") == 0 && body->type == jbvBinary)
	{
		JsonbValue	buffer;
		JsonbValue *id = getKeyJsonValueFromContainer(body->val.binary.data, "_id",
													  strlen("_id"), &buffer);

		return id != NULL && id->type == jbvNull ? 1 : rows * CONDITION_SHARE;
	}
	return rows;
}

/* number_of gives a plain number that is not negative. */
static double
number_of(const JsonbValue *value, double otherwise)
{
	double		number;

	if (value->type != jbvNumeric)
		return otherwise;
	number = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
												NumericGetDatum(value->val.numeric)));
	return number < 0 ? otherwise : number;
}
