/*-------------------------------------------------------------------------
 *
 * fields.c
 *	  What the fields of a collection hold, and which types suit them.
 *
 * Learned from documents and from a validator's JSON schema.  A type is
 * chosen that everything seen fits exactly; where there is none, jsonb.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "fdw/private.h"

#define KIND_NUMBERS \
	(PNS_KIND_INT32 | PNS_KIND_INT64 | PNS_KIND_DOUBLE | PNS_KIND_DECIMAL)

/* The subtype of binary values that are uuids. */
#define UUID_SUBTYPE 4

static PnsField *get_field(PnsField *parent, const char *key);
static int	kind_of(const PnsBsonValue *value);
static int	kinds_of_name(const char *name);
static int	declared_kinds(PnsDocument schema);
static const char *scalar_type(int kinds);

/*
 * The types that hold all of some kinds; the first that does is taken.  An
 * ObjectId is text and not an objectid, whose operators are found only where
 * our schema is on the search path.
 */
static const struct
{
	int			kinds;
	const char *type;
}			type_choices[] =

{
	{PNS_KIND_INT32, "pg_catalog.int4"},
	{PNS_KIND_INT32 | PNS_KIND_INT64, "pg_catalog.int8"},
	{PNS_KIND_INT32 | PNS_KIND_DOUBLE, "pg_catalog.float8"},
	{KIND_NUMBERS, "pg_catalog.numeric"},
	{PNS_KIND_BOOL, "pg_catalog.bool"},
	{PNS_KIND_STRING | PNS_KIND_OBJECTID, "pg_catalog.text"},
	{PNS_KIND_DATE, "pg_catalog.timestamptz"},
	{PNS_KIND_UUID, "pg_catalog.uuid"},
	{PNS_KIND_UUID | PNS_KIND_BINARY, "pg_catalog.bytea"},
};

/* The same for the elements of arrays. */
static const struct
{
	int			kinds;
	const char *type;
}			array_choices[] =

{
	{PNS_KIND_INT32, "pg_catalog.int4[]"},
	{PNS_KIND_INT32 | PNS_KIND_INT64, "pg_catalog.int8[]"},
	{PNS_KIND_INT32 | PNS_KIND_DOUBLE, "pg_catalog.float8[]"},
	{KIND_NUMBERS, "pg_catalog.numeric[]"},
	{PNS_KIND_BOOL, "pg_catalog.bool[]"},
	{PNS_KIND_STRING | PNS_KIND_OBJECTID, "pg_catalog.text[]"},
	{PNS_KIND_DATE, "pg_catalog.timestamptz[]"},
	{PNS_KIND_UUID, "pg_catalog.uuid[]"},
	{PNS_KIND_UUID | PNS_KIND_BINARY, "pg_catalog.bytea[]"},
};

/* What a JSON schema calls the types, and what they are to us. */
static const struct
{
	const char *name;
	int			kinds;
}			schema_types[] =

{
	{"int", PNS_KIND_INT32},
	{"long", PNS_KIND_INT32 | PNS_KIND_INT64},
	{"double", PNS_KIND_DOUBLE},
	{"decimal", PNS_KIND_DECIMAL},
	{"number", KIND_NUMBERS},
	{"integer", PNS_KIND_INT32 | PNS_KIND_INT64},
	{"bool", PNS_KIND_BOOL},
	{"boolean", PNS_KIND_BOOL},
	{"string", PNS_KIND_STRING},
	{"objectId", PNS_KIND_OBJECTID},
	{"date", PNS_KIND_DATE},
	{"binData", PNS_KIND_BINARY},
	{"object", PNS_KIND_DOCUMENT},
	{"array", PNS_KIND_ARRAY},
	{"null", 0},
};

/*
 * pns_fdw_learn_document adds what a document shows to what is known of a
 * (sub-)document's fields.
 *
 * Keys that no path can name, empty or not in UTF-8, make the whole document
 * json.
 */
void
pns_fdw_learn_document(PnsField *field, PnsDocument document)
{
	PnsBsonIterator iterator;

	check_stack_depth();
	pns_bson_iterate(&iterator, document);
	while (pns_bson_next(&iterator))
	{
		PnsField   *child;

		if (iterator.key_size == 0 ||
			!pg_verify_mbstr(PG_UTF8, iterator.key, iterator.key_size, true))
		{
			field->kinds |= PNS_KIND_OTHER;
			continue;
		}

		child = get_field(field, iterator.key);
		child->kinds |= kind_of(&iterator.value);
		if (iterator.value.type == PNS_BSON_DOCUMENT)
			pns_fdw_learn_document(child, pns_bson_value_document(&iterator.value));
		else if (iterator.value.type == PNS_BSON_ARRAY)
		{
			PnsBsonIterator elements;

			pns_bson_iterate(&elements, pns_bson_value_document(&iterator.value));
			while (pns_bson_next(&elements))
				child->element_kinds |= kind_of(&elements.value);
		}
	}
}

/*
 * pns_fdw_learn_schema adds what a JSON schema declares: bsonType or type,
 * properties and items.  Other keywords say nothing about types.
 */
void
pns_fdw_learn_schema(PnsField *field, PnsDocument schema)
{
	PnsBsonIterator iterator;
	PnsBsonValue properties;
	PnsBsonValue items;

	check_stack_depth();
	if (pns_bson_find(schema, "items", &items) && items.type == PNS_BSON_DOCUMENT)
		field->element_kinds |= declared_kinds(pns_bson_value_document(&items));

	if (!pns_bson_find(schema, "properties", &properties) ||
		properties.type != PNS_BSON_DOCUMENT)
		return;
	pns_bson_iterate(&iterator, pns_bson_value_document(&properties));
	while (pns_bson_next(&iterator))
	{
		PnsField   *child;

		if (iterator.key_size == 0 || iterator.value.type != PNS_BSON_DOCUMENT)
			continue;
		child = get_field(field, iterator.key);
		child->kinds |= declared_kinds(pns_bson_value_document(&iterator.value));
		pns_fdw_learn_schema(child, pns_bson_value_document(&iterator.value));
	}
}

/*
 * pns_fdw_field_type names the type that holds a field exactly; NULL for a document whose fields can be columns of their own.
 */
const char *
pns_fdw_field_type(const PnsField *field)
{
	const char *type;

	if (field->kinds == PNS_KIND_DOCUMENT && field->fields != NIL)
		return NULL;

	if (field->kinds == PNS_KIND_ARRAY && field->element_kinds != 0)
	{
		for (int i = 0; i < lengthof(array_choices); i++)
		{
			if ((field->element_kinds & ~array_choices[i].kinds) == 0)
				return array_choices[i].type;
		}
	}

	type = scalar_type(field->kinds);
	return type != NULL ? type : "pg_catalog.jsonb";
}

/*
 * scalar_type names the first type that holds all of kinds, or NULL.
 */
static const char *
scalar_type(int kinds)
{
	if (kinds == 0)
		return NULL;

	for (int i = 0; i < lengthof(type_choices); i++)
	{
		if ((kinds & ~type_choices[i].kinds) == 0)
			return type_choices[i].type;
	}
	return NULL;
}

/*
 * get_field returns a document's field of some key, a new one if need be.
 */
static PnsField *
get_field(PnsField *parent, const char *key)
{
	PnsField   *field;
	ListCell   *lc;

	foreach(lc, parent->fields)
	{
		field = (PnsField *) lfirst(lc);
		if (strcmp(field->key, key) == 0)
			return field;
	}

	field = palloc0(sizeof(PnsField));
	field->key = pstrdup(key);
	parent->fields = lappend(parent->fields, field);
	return field;
}

/*
 * kind_of tells the kind of a value; that of a NULL is none.
 */
static int
kind_of(const PnsBsonValue *value)
{
	switch (value->type)
	{
		case PNS_BSON_INT32:
			return PNS_KIND_INT32;
		case PNS_BSON_INT64:
			return PNS_KIND_INT64;
		case PNS_BSON_DOUBLE:
			return PNS_KIND_DOUBLE;
		case PNS_BSON_DECIMAL128:
			return PNS_KIND_DECIMAL;
		case PNS_BSON_BOOL:
			return PNS_KIND_BOOL;
		case PNS_BSON_STRING:
			return PNS_KIND_STRING;
		case PNS_BSON_OBJECTID:
			return PNS_KIND_OBJECTID;
		case PNS_BSON_DATE:
			return PNS_KIND_DATE;
		case PNS_BSON_BINARY:
			/* length, subtype, bytes */
			return value->size > sizeof(int32) && value->data[sizeof(int32)] == UUID_SUBTYPE ?
				PNS_KIND_UUID : PNS_KIND_BINARY;
		case PNS_BSON_DOCUMENT:
			return PNS_KIND_DOCUMENT;
		case PNS_BSON_ARRAY:
			return PNS_KIND_ARRAY;
		case PNS_BSON_NULL:
		case PNS_BSON_UNDEFINED:
			return 0;
		default:
			return PNS_KIND_OTHER;
	}
}

/*
 * declared_kinds reads the types that a JSON schema allows: one name, or an
 * array of them.
 */
static int
declared_kinds(PnsDocument schema)
{
	PnsBsonValue value;
	PnsBsonIterator names;
	int			kinds = 0;

	if (!pns_bson_find(schema, "bsonType", &value) && !pns_bson_find(schema, "type", &value))
		return 0;

	if (value.type == PNS_BSON_STRING)
		return kinds_of_name(pns_bson_value_string(&value, NULL));
	if (value.type != PNS_BSON_ARRAY)
		return 0;
	pns_bson_iterate(&names, pns_bson_value_document(&value));
	while (pns_bson_next(&names))
	{
		if (names.value.type == PNS_BSON_STRING)
			kinds |= kinds_of_name(pns_bson_value_string(&names.value, NULL));
	}
	return kinds;
}

/*
 * kinds_of_name looks a type of a JSON schema up.
 */
static int
kinds_of_name(const char *name)
{
	for (int i = 0; i < lengthof(schema_types); i++)
	{
		if (strcmp(schema_types[i].name, name) == 0)
			return schema_types[i].kinds;
	}
	return PNS_KIND_OTHER;
}
