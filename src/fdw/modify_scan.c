/*-------------------------------------------------------------------------
 *
 * modify_scan.c
 *	  The identity of rows that are going to be updated or deleted.
 *
 * What a row's columns show does not tell its document: there may be no column
 * of _id, and one of text shows strings and ObjectIds alike.  So a scan of the
 * target of an UPDATE or DELETE puts out a further column that carries the _id
 * as BSON.  In the plan it is a Var of the system column ctid, of type bytea.
 * Core has no other use for it, as a row of a collection has no ctid: to ask for
 * that in such a statement is refused.  The scan's row is described by
 * fdw_scan_tlist then, as it is not the table's.
 *
 * Outside of a transaction a document may change between being read and being
 * written.  So the column also has the values, as they were read, that the
 * statement depends on, and the write demands that they are still the same.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "nodes/makefuncs.h"
#include "optimizer/appendinfo.h"
#include "optimizer/optimizer.h"
#include "utils/rel.h"

#include "fdw/modify.h"
#include "fdw/query.h"

/* The members of an identity's description, of Integer but for the last. */
typedef enum IdentityIndex
{
	IDENTITY_ID,				/* where in the scan's row the identity stands */
	IDENTITY_ROW,				/* ... the row as a whole, or 0 ... */
	IDENTITY_TABLE,				/* ... and tableoid, or 0 */
	IDENTITY_CHECKED			/* List of Integer: columns that the statement
								 * depends on */
} IdentityIndex;

struct PnsIdentity
{
	int			id;
	int			row;
	int			table;
	List	   *columns;		/* of Integer: columns that the statement
								 * depends on ... */
	List	   *checked;		/* ... and, of CheckedField, their fields */
	PnsDecoder *decoder;		/* of these columns, or of all; made when it
								 * is asked for */
};

/* A field that must not change before the row is written. */
typedef struct CheckedField
{
	List	   *keys;			/* C strings, in UTF-8; NIL: the document */
	const char *path;			/* or NULL */
} CheckedField;

static bool uses_system_columns(PlannerInfo *root, Index rtindex);
static Var *find_column(List *exprs, AttrNumber attnum);
static List *checked_columns(const PnsRelation *relation, List *clauses);
static PnsDecoder *create_decoder(const PnsIdentity *identity, const PnsTable *table);
static CheckedField *create_field(const PnsTableColumn *column);
static void append_check(PnsBsonBuilder *builder, const CheckedField *field,
						 PnsDocument document);
static bool find_field(const CheckedField *field, PnsDocument document, PnsBsonValue *value,
					   bool *is_known);

/*
 * pnsAddForeignUpdateTargets adds the identity of the rows of a target to the
 * columns of the plan, and the rows themselves where RETURNING shows them after
 * they were deleted.
 *
 * Errors: 0A000 where the statement asks for system columns.
 */
void
pnsAddForeignUpdateTargets(PlannerInfo *root, Index rtindex, RangeTblEntry *target_rte,
						   Relation target_relation)
{
	Var		   *identity;
	Var		   *row;

	if (uses_system_columns(root, rtindex) ||
		uses_system_columns(root, root->parse->resultRelation))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("system columns cannot be used in an UPDATE or DELETE of foreign table \"%s\"",
						RelationGetRelationName(target_relation)),
				 errdetail("A document has none."),
				 errhint("A column of the field _id tells documents apart.")));

	identity = makeVar(rtindex, SelfItemPointerAttributeNumber, BYTEAOID, -1, InvalidOid, 0);
	add_row_identity_var(root, identity, rtindex, PNS_IDENTITY_NAME);
	if (root->parse->commandType == CMD_DELETE && root->parse->returningList != NIL)
	{
		row = makeVar(rtindex, InvalidAttrNumber, RECORDOID, -1, InvalidOid, 0);
		add_row_identity_var(root, row, rtindex, "wholerow");
	}
}

/*
 * uses_system_columns tells whether a statement asks for system columns of one
 * of its tables, other than tableoid.
 */
static bool
uses_system_columns(PlannerInfo *root, Index rtindex)
{
	Bitmapset  *used = NULL;
	int			member;

	pull_varattnos((Node *) root->parse->jointree, rtindex, &used);
	pull_varattnos((Node *) root->parse->targetList, rtindex, &used);
	used = bms_del_member(used, TableOidAttributeNumber - FirstLowInvalidHeapAttributeNumber);
	member = bms_next_member(used, -1);
	return member >= 0 && member + FirstLowInvalidHeapAttributeNumber < 0;
}

/*
 * pns_identity_plan makes the row of a scan that puts out identities: all
 * columns of its table in their places, and behind them what else is asked for.
 * NIL where no identity is asked for.  clauses (of Expr) are the conditions on
 * the table.  Sets *description.
 */
List *
pns_identity_plan(const PnsRelation *relation, List *clauses, List **description)
{
	const PnsTermSource *source = (PnsTermSource *) linitial(relation->sources);
	List	   *exprs = relation->rel->reltarget->exprs;
	Var		   *identity = find_column(exprs, SelfItemPointerAttributeNumber);
	Var		   *others[] = {
		identity,
		find_column(exprs, InvalidAttrNumber),
		find_column(exprs, TableOidAttributeNumber)
	};
	List	   *row = NIL;

	if (identity == NULL || identity->vartype != BYTEAOID)
		return NIL;

	for (int i = 0; i < source->table->ncolumns; i++)
	{
		const PnsColumn *column = &source->table->columns[i].codec;
		Expr	   *expr;

		/* a dropped column has no number */
		if (column->attnum == 0)
			expr = (Expr *) makeNullConst(INT4OID, -1, InvalidOid);
		else
		{
			Var		   *var = find_column(exprs, column->attnum);

			expr = var != NULL ? (Expr *) var :
				(Expr *) makeVar(source->varno, column->attnum, column->type,
								 column->typmod, InvalidOid, 0);
		}
		row = lappend(row, makeTargetEntry(expr, i + 1, NULL, false));
	}
	*description = NIL;
	for (int i = 0; i < lengthof(others); i++)
	{
		if (others[i] != NULL)
			row = lappend(row, makeTargetEntry((Expr *) others[i], list_length(row) + 1, NULL,
											   false));
		*description = lappend(*description,
							   makeInteger(others[i] != NULL ? list_length(row) : 0));
	}
	*description = lappend(*description, checked_columns(relation, clauses));
	return row;
}

/*
 * find_column finds the Var of an attribute among the columns of one table,
 * NULL where there is none.
 */
static Var *
find_column(List *exprs, AttrNumber attnum)
{
	ListCell   *lc;

	foreach(lc, exprs)
	{
		Var		   *var = (Var *) lfirst(lc);

		if (IsA(var, Var) && var->varattno == attnum)
			return var;
	}
	return NULL;
}

/*
 * checked_columns lists the columns that a statement depends on: what it
 * computes with, and its conditions.  The row as a whole, which an UPDATE asks
 * for always, is none.
 */
static List *
checked_columns(const PnsRelation *relation, List *clauses)
{
	const PnsTermSource *source = (PnsTermSource *) linitial(relation->sources);
	Bitmapset  *used = NULL;
	List	   *columns = NIL;

	pull_varattnos((Node *) relation->rel->reltarget->exprs, source->varno, &used);
	pull_varattnos((Node *) clauses, source->varno, &used);
	for (int attnum = 1; attnum <= source->table->ncolumns; attnum++)
	{
		if (bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, used))
			columns = lappend_int(columns, attnum);
	}
	return columns;
}

/*
 * pns_identity_create compiles a description; NULL for NIL.  Adds to *paths
 * those (C strings, or NULL for all of the document) that have to be fetched.
 */
PnsIdentity *
pns_identity_create(List *description, const PnsTable *table, List **paths)
{
	PnsIdentity *identity;
	ListCell   *lc;

	if (description == NIL)
		return NULL;
	identity = palloc0(sizeof(PnsIdentity));
	identity->id = intVal(list_nth(description, IDENTITY_ID));
	identity->row = intVal(list_nth(description, IDENTITY_ROW));
	identity->table = intVal(list_nth(description, IDENTITY_TABLE));
	identity->columns = (List *) list_nth(description, IDENTITY_CHECKED);
	foreach(lc, identity->columns)
	{
		const PnsTableColumn *column = &table->columns[lfirst_int(lc) - 1];

		if (strcmp(column->projection != NULL ? column->projection : "", "_id") != 0)
			identity->checked = lappend(identity->checked, create_field(column));
		*paths = lappend(*paths, column->projection);
	}
	return identity;
}

/*
 * create_field prepares to read and to compare what a column's path leads to,
 * as far as MongoDB can say it.
 */
static CheckedField *
create_field(const PnsTableColumn *column)
{
	CheckedField *field = palloc0(sizeof(CheckedField));

	if (column->projection != NULL)
	{
		/* a projection's keys have no dots of their own */
		char	   *copy = pstrdup(column->projection);

		field->path = column->projection;
		for (char *key = strtok(copy, "."); key != NULL; key = strtok(NULL, "."))
			field->keys = lappend(field->keys, key);
	}
	return field;
}

/*
 * pns_identity_fill fills the further columns of a row.  The others have been
 * filled.  demands has the identity carry the values that must not change.
 *
 * Errors: 0A000 for a document without an _id, as a view may have it.
 */
void
pns_identity_fill(const PnsIdentity *identity, Relation relation, PnsDocument document,
				  bool demands, TupleTableSlot *slot)
{
	PnsBsonBuilder builder;
	PnsBsonValue id;
	PnsDocument bytes;
	bytea	   *datum;
	ListCell   *lc;

	if (!pns_bson_find(document, "_id", &id))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a document of foreign table \"%s\" has no _id and cannot be written",
						RelationGetRelationName(relation))));
	pns_bson_begin(&builder);
	pns_bson_append_value(&builder, "_id", id);
	if (demands)
	{
		foreach(lc, identity->checked)
			append_check(&builder, (CheckedField *) lfirst(lc), document);
	}
	bytes = pns_bson_end(&builder);
	datum = palloc(VARHDRSZ + bytes.size);
	SET_VARSIZE(datum, VARHDRSZ + bytes.size);
	memcpy(VARDATA(datum), bytes.data, bytes.size);
	slot->tts_values[identity->id - 1] = PointerGetDatum(datum);
	slot->tts_isnull[identity->id - 1] = false;

	if (identity->row > 0)
	{
		HeapTuple	tuple = heap_form_tuple(RelationGetDescr(relation), slot->tts_values,
											slot->tts_isnull);

		slot->tts_values[identity->row - 1] = HeapTupleHeaderGetDatum(tuple->t_data);
		slot->tts_isnull[identity->row - 1] = false;
	}
	if (identity->table > 0)
	{
		slot->tts_values[identity->table - 1] = ObjectIdGetDatum(RelationGetRelid(relation));
		slot->tts_isnull[identity->table - 1] = false;
	}
}

/*
 * pns_identity_read_row fills the values of a row with what the statement asks
 * for of a document, and the identity that carries what must not change.
 *
 * Errors: those of values that do not fit, and of pns_identity_fill.
 */
void
pns_identity_read_row(PnsIdentity *identity, const PnsTable *table, Relation relation,
					  PnsDocument document, TupleTableSlot *slot)
{
	if (identity->decoder == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(identity));

		identity->decoder = create_decoder(identity, table);
		MemoryContextSwitchTo(old);
	}
	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts);
	pns_mongo_decode(identity->decoder, document, slot->tts_values, slot->tts_isnull);
	pns_identity_fill(identity, relation, document, true, slot);
}

/*
 * create_decoder makes what reads the columns of such a row.
 */
static PnsDecoder *
create_decoder(const PnsIdentity *identity, const PnsTable *table)
{
	PnsColumn  *columns;
	int			ncolumns = 0;
	ListCell   *lc;

	if (identity->row > 0)
		return pns_modify_create_decoder(table);
	columns = palloc(sizeof(PnsColumn) * Max(list_length(identity->columns), 1));
	foreach(lc, identity->columns)
		columns[ncolumns++] = table->columns[lfirst_int(lc) - 1].codec;
	return pns_mongo_decoder_create(columns, ncolumns);
}

/*
 * append_check appends the condition that a field is what it is in a document,
 * in a form that lets the server find the document by its _id.  What lies in an
 * array a path of MongoDB does not name; it is not compared.
 */
static void
append_check(PnsBsonBuilder *builder, const CheckedField *field, PnsDocument document)
{
	PnsBsonValue value;
	bool		is_known;
	bool		exists = find_field(field, document, &value, &is_known);

	if (!is_known)
		return;
	if (field->path == NULL)
	{
		pns_bson_open_document(builder, "$expr");
		pns_bson_open_array(builder, "$eq");
		pns_bson_append_cstring(builder, "0", "$$ROOT");
		pns_bson_open_document(builder, "1");
		pns_bson_append_value(builder, "$literal", value);
		pns_bson_close(builder);
		pns_bson_close(builder);
		pns_bson_close(builder);
		return;
	}
	pns_bson_open_document(builder, field->path);
	if (!exists)
		pns_bson_append_bool(builder, "$exists", false);
	else if (value.type == PNS_BSON_NULL)
		pns_bson_append_cstring(builder, "$type", "null");
	else
	{
		pns_bson_append_value(builder, "$eq", value);
		if (value.type != PNS_BSON_ARRAY)
		{
			/* an array that has the value would do, too */
			pns_bson_open_document(builder, "$not");
			pns_bson_append_cstring(builder, "$type", "array");
			pns_bson_close(builder);
		}
	}
	pns_bson_close(builder);
}

/*
 * find_field finds a field in a document; false where it is missing.  *is_known
 * is false where it lies in an array.
 */
static bool
find_field(const CheckedField *field, PnsDocument document, PnsBsonValue *value,
		   bool *is_known)
{
	ListCell   *lc;

	*is_known = true;
	value->type = PNS_BSON_DOCUMENT;
	value->data = document.data;
	value->size = document.size;
	foreach(lc, field->keys)
	{
		*is_known = value->type != PNS_BSON_ARRAY;
		if (value->type != PNS_BSON_DOCUMENT ||
			!pns_bson_find(pns_bson_value_document(value), (char *) lfirst(lc), value))
			return false;
	}
	return true;
}
