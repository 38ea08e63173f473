/*-------------------------------------------------------------------------
 *
 * modify_compute.c
 *	  What the SET of an UPDATE computes of the columns, said to MongoDB.
 *
 * A direct UPDATE that computes is an update by a pipeline of one $set, whose
 * expressions all see the document as it was.  What each writes is the BSON that
 * a row's value is written as.
 *
 * MongoDB must not write where an evaluation here raises an error: for a value
 * that does not fit, an overflow, or NULL for a NOT NULL column.  So the
 * documents of which that is true are looked for first, and the update fails if
 * it meets one all the same, which only another client can bring about, outside
 * of a transaction.
 *
 * A $set of a pipeline makes documents of what stands on the way to a nested
 * field, and goes through arrays, where an update's own $set has an error.  So
 * only fields at the top are computed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "fdw/modify.h"

static bool value_cast(const PnsTerm *term, const PnsTableColumn *column, const char **cast);
static void append_failing(PnsBsonBuilder *builder, const char *key, const PnsComputed *computed,
						   PnsOperandValue operand_value, void *state);
static void append_value(PnsBsonBuilder *builder, const char *key, const PnsComputed *computed,
						 PnsOperandValue operand_value, void *state);
static void append_new_value(PnsBsonBuilder *builder, const char *key,
							 const PnsComputed *computed,
							 PnsOperandValue operand_value, void *state);

/*
 * pns_computed_compile compiles what a column is set to.  NULL where MongoDB
 * cannot write it, or not tell where PostgreSQL has an error.
 */
PnsComputed *
pns_computed_compile(Expr *value, const PnsTable *table, int attnum, List *sources)
{
	PnsTermContext context = {sources, NIL};
	PnsComputed *computed = palloc0(sizeof(PnsComputed));

	computed->column = &table->columns[attnum - 1];
	computed->stores_null = table->stores_nulls;
	computed->term = pns_term_compile(value, &context);
	if (computed->term == NULL || !pns_term_fails_exactly(computed->term) ||
		!value_cast(computed->term, computed->column, &computed->cast))
		return NULL;
	return computed;
}

/*
 * value_cast tells whether the canonical value of a term is what a column's
 * value is written as, and which conversion its number needs to be it, or NULL.
 */
static bool
value_cast(const PnsTerm *term, const PnsTableColumn *column, const char **cast)
{
	*cast = NULL;
	if (term->type != column->codec.type || column->objectid)
		return false;
	switch (term->class)
	{
		case PNS_CLASS_INT:
			*cast = term->type == INT8OID ? "$toLong" : "$toInt";
			return true;
		case PNS_CLASS_FLOAT8:
			*cast = "$toDouble";
			return true;
		case PNS_CLASS_BOOL:
		case PNS_CLASS_TEXT:
		case PNS_CLASS_ENUM:
		case PNS_CLASS_TIMESTAMP:
		case PNS_CLASS_DATE:
		case PNS_CLASS_OBJECTID:
			return true;
		default:
			return false;
	}
}

/*
 * pns_computed_may_fail tells whether a document can make a list (of
 * PnsComputed) fail.
 */
bool
pns_computed_may_fail(List *list)
{
	ListCell   *lc;

	foreach(lc, list)
	{
		if (((PnsComputed *) lfirst(lc))->may_fail)
			return true;
	}
	return false;
}

/*
 * pns_computed_compares_strings tells whether a list (of PnsComputed) has
 * MongoDB compare strings.
 */
bool
pns_computed_compares_strings(List *list)
{
	ListCell   *lc;

	foreach(lc, list)
	{
		if (((PnsComputed *) lfirst(lc))->term->has_strings)
			return true;
	}
	return false;
}

/*
 * pns_computed_append_failing appends whether a document makes one of a list
 * (of PnsComputed) fail.
 */
void
pns_computed_append_failing(PnsBsonBuilder *builder, const char *key, List *list,
							PnsOperandValue operand_value, void *state)
{
	int			n = 0;
	ListCell   *lc;

	pns_bson_open_document(builder, key);
	pns_bson_open_array(builder, "$or");
	foreach(lc, list)
	{
		const PnsComputed *computed = (PnsComputed *) lfirst(lc);

		if (computed->may_fail)
			append_failing(builder, pns_bson_index(n++), computed, operand_value, state);
	}
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * append_failing does so for one that may fail.
 */
static void
append_failing(PnsBsonBuilder *builder, const char *key, const PnsComputed *computed,
			   PnsOperandValue operand_value, void *state)
{
	int			n = 0;

	pns_bson_open_document(builder, key);
	pns_bson_open_array(builder, "$or");
	if (pns_term_may_raise(computed->term))
		pns_term_append_raises(builder, pns_bson_index(n++), computed->term, operand_value, state);
	if (computed->not_null)
	{
		pns_bson_open_document(builder, pns_bson_index(n++));
		pns_bson_open_array(builder, "$eq");
		pns_term_append(builder, "0", computed->term, operand_value, state);
		pns_bson_append_null(builder, "1");
		pns_bson_close(builder);
		pns_bson_close(builder);
	}
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * pns_computed_append_update appends the pipeline that sets what is computed,
 * and what update (of operators) does with fields at the top.
 */
void
pns_computed_append_update(PnsBsonBuilder *builder, const char *key, List *list,
						   PnsDocument update, PnsOperandValue operand_value, void *state)
{
	PnsBsonIterator operators;
	ListCell   *lc;

	pns_bson_open_array(builder, key);
	pns_bson_open_document(builder, "0");
	pns_bson_open_document(builder, "$set");
	pns_bson_iterate(&operators, update);
	while (pns_bson_next(&operators))
	{
		PnsBsonIterator members;

		pns_bson_iterate(&members, pns_bson_value_document(&operators.value));
		while (pns_bson_next(&members))
		{
			if (strcmp(operators.key, "$unset") == 0)
			{
				pns_bson_append_cstring(builder, members.key, "$$REMOVE");
				continue;
			}
			pns_bson_open_document(builder, members.key);
			pns_bson_append_value(builder, "$literal", members.value);
			pns_bson_close(builder);
		}
	}
	foreach(lc, list)
	{
		const PnsComputed *computed = (PnsComputed *) lfirst(lc);

		append_value(builder, computed->column->native, computed, operand_value, state);
	}
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * append_value appends what a field is set to.  Where there should be an error
 * MongoDB has one: a constant that cannot be converted would be one always, so
 * that the type of the _id is made part of it.
 */
static void
append_value(PnsBsonBuilder *builder, const char *key, const PnsComputed *computed,
			 PnsOperandValue operand_value, void *state)
{
	if (!computed->may_fail)
	{
		append_new_value(builder, key, computed, operand_value, state);
		return;
	}
	pns_bson_open_document(builder, key);
	pns_bson_open_array(builder, "$cond");
	append_failing(builder, "0", computed, operand_value, state);
	pns_bson_open_document(builder, "1");
	pns_bson_open_document(builder, "$toInt");
	pns_bson_open_array(builder, "$concat");
	pns_bson_append_cstring(builder, "0", PNS_MONGO_CHANGED "; type of its _id: ");
	pns_bson_open_document(builder, "1");
	pns_bson_append_cstring(builder, "$type", "$_id");
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_close(builder);
	append_new_value(builder, "2", computed, operand_value, state);
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * append_new_value appends the value itself, and that NULL removes the field
 * unless it is stored.
 */
static void
append_new_value(PnsBsonBuilder *builder, const char *key, const PnsComputed *computed,
				 PnsOperandValue operand_value, void *state)
{
	bool		removes = !computed->stores_null && !computed->term->never_null;

	if (removes)
	{
		pns_bson_open_document(builder, key);
		pns_bson_open_array(builder, "$ifNull");
		key = "0";
	}
	if (computed->cast != NULL)
		pns_bson_open_document(builder, key);
	pns_term_append(builder, computed->cast != NULL ? computed->cast : key, computed->term,
					operand_value, state);
	if (computed->cast != NULL)
		pns_bson_close(builder);
	if (removes)
	{
		pns_bson_append_cstring(builder, "1", "$$REMOVE");
		pns_bson_close(builder);
		pns_bson_close(builder);
	}
}
