/*-------------------------------------------------------------------------
 *
 * modify_row.c
 *	  Rows to documents, and to updates of documents.
 *
 * The columns of a table make a tree of their paths: "a.b" and "a.c" are two
 * leaves below "a".  A row is written by walking it.  Where a column holds what
 * others hold a part of (the document column, or "a" beside "a.b"), the parts
 * that are given are set in it.
 *
 * A row that is inserted does not tell a column that was left out from one that
 * was given as NULL; neither touches what a column above it says.  In an update
 * only the columns of its SET are looked at, and there NULL removes the field.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/lsyscache.h"

#include "fdw/modify.h"

/* What a row has to say of a field. */
typedef enum FieldState
{
	FIELD_UNTOUCHED,
	FIELD_VALUE,
	FIELD_NULL,					/* null is stored */
	FIELD_REMOVED
} FieldState;

/* A column that is written. */
typedef struct WriterColumn
{
	const PnsTableColumn *column;
	PnsEncoder *encoder;
	const char *obstacle;		/* why the path cannot be made, or NULL */
	FieldState	state;			/* of the present row */
} WriterColumn;

/* A key of documents. */
typedef struct WriterNode
{
	const char *key;			/* in UTF-8 */
	const char *path;			/* of keys from the top, for messages */
	List	   *columns;		/* of WriterColumn: those that are this field */
	List	   *children;		/* of WriterNode */
	bool		touched;		/* by the present row, here or below */
	bool		makes;			/* and not only to remove it */
	bool		seen;			/* while a document is walked */
} WriterNode;

struct PnsRowWriter
{
	const PnsTable *table;
	WriterColumn *columns;		/* [attnum - 1] */
	List	   *documents;		/* of WriterColumn: those that are all of it */
	WriterNode	root;
	WriterColumn *closed_id;	/* a column of _id that cannot show those that
								 * are made here, or NULL */
	TupleTableSlot *slot;		/* the present row */
};

static void add_column(PnsRowWriter *writer, WriterColumn *column);
static const char *find_obstacle(const PnsTableColumn *column);
static WriterNode *find_child(const WriterNode *node, const char *key);
static WriterNode *add_child(WriterNode *node, const char *key);
static void look_at_insert(PnsRowWriter *writer, bool has_document);
static void look_at_update(PnsRowWriter *writer, Bitmapset *columns);
static void look_at_node(PnsRowWriter *writer, WriterNode *node);
static bool given_document(PnsRowWriter *writer, PnsDocument *document);
static void check_no_operators(const WriterColumn *column, PnsDocument document);
static bool shows_generated_ids(const PnsTableColumn *column);
static void append_generated_id(PnsRowWriter *writer, PnsBsonBuilder *builder);
static void append_node(PnsRowWriter *writer, PnsBsonBuilder *builder, const char *key,
						WriterNode *node, const PnsBsonValue *base);
static void append_members(PnsRowWriter *writer, PnsBsonBuilder *builder, WriterNode *node,
						   const PnsDocument *base);
static WriterColumn *node_column(PnsRowWriter *writer, WriterNode *node);
static PnsBsonValue encode_column(PnsRowWriter *writer, WriterColumn *column);
static Datum column_datum(PnsRowWriter *writer, const WriterColumn *column);
static void check_same(PnsRowWriter *writer, const WriterColumn *column,
					   const PnsBsonValue *value, const WriterColumn *other);
static bool values_equal(const PnsBsonValue *a, const PnsBsonValue *b);
static void append_changes(PnsRowWriter *writer, WriterNode *node, PnsBsonBuilder *set,
						   int *nset, PnsBsonBuilder *unset, int *nunset);
static void check_id_kept(PnsRowWriter *writer, PnsDocument identity);
static void check_node_kept(PnsRowWriter *writer, WriterNode *node, PnsDocument identity);
static void check_document_id(PnsRowWriter *writer, PnsDocument document,
							  PnsDocument identity);
static void raise_id_changed(const PnsRowWriter *writer) pg_attribute_noreturn();

/*
 * pns_row_writer_create prepares to write rows of a table.  Allocates in the
 * current context.
 *
 * Errors: 0A000 for a column whose type cannot be written.
 */
PnsRowWriter *
pns_row_writer_create(const PnsTable *table)
{
	PnsRowWriter *writer = palloc0(sizeof(PnsRowWriter));

	writer->table = table;
	writer->columns = palloc0(sizeof(WriterColumn) * Max(table->ncolumns, 1));
	for (int i = 0; i < table->ncolumns; i++)
	{
		writer->columns[i].column = &table->columns[i];
		if (table->columns[i].codec.attnum > 0)
			add_column(writer, &writer->columns[i]);
	}
	return writer;
}

/*
 * pns_row_make_document makes the document of a row, in the current context.
 * Its first member is _id, which is made where the row has none.
 *
 * Errors: those of pns_mongo_encode; 0A000 for a path that cannot be made,
 * 22023 for columns that contradict each other.
 */
PnsDocument
pns_row_make_document(PnsRowWriter *writer, TupleTableSlot *slot)
{
	WriterNode *id = find_child(&writer->root, "_id");
	PnsBsonBuilder builder;
	PnsBsonValue value;
	PnsDocument base;
	bool		has_base;

	slot_getallattrs(slot);
	writer->slot = slot;
	look_at_insert(writer, false);
	has_base = given_document(writer, &base);
	if (has_base && writer->table->stores_nulls)
		look_at_insert(writer, true);
	look_at_node(writer, &writer->root);

	pns_bson_begin(&builder);
	if (id != NULL && id->makes)
		append_node(writer, &builder, "_id", id,
					has_base && pns_bson_find(base, "_id", &value) ? &value : NULL);
	else if (has_base && pns_bson_find(base, "_id", &value))
		pns_bson_append_value(&builder, "_id", value);
	else
		append_generated_id(writer, &builder);
	append_members(writer, &builder, &writer->root, has_base ? &base : NULL);
	return pns_bson_end(&builder);
}

/*
 * pns_row_make_update makes what the columns of a SET (numbers from 1) do to
 * the document with an _id (the one member of identity): a document that takes
 * its place where the whole document is set, or else $set and $unset.  False
 * where they change nothing.
 *
 * Errors: as pns_row_make_document; 0A000 where _id is changed, 22004 where
 * the document as a whole is NULL.
 */
bool
pns_row_make_update(PnsRowWriter *writer, TupleTableSlot *slot, Bitmapset *columns,
					PnsDocument identity, PnsDocument *update)
{
	PnsBsonBuilder builder;
	PnsBsonBuilder set;
	PnsBsonBuilder unset;
	PnsDocument base;
	int			nset = 0;
	int			nunset = 0;

	slot_getallattrs(slot);
	writer->slot = slot;
	look_at_update(writer, columns);
	look_at_node(writer, &writer->root);
	check_id_kept(writer, identity);

	pns_bson_begin(&builder);
	if (given_document(writer, &base))
	{
		PnsBsonValue id;

		check_document_id(writer, base, identity);
		pns_bson_find(identity, "_id", &id);
		pns_bson_append_value(&builder, "_id", id);
		append_members(writer, &builder, &writer->root, &base);
		*update = pns_bson_end(&builder);
		return true;
	}

	pns_bson_begin(&set);
	pns_bson_begin(&unset);
	append_changes(writer, &writer->root, &set, &nset, &unset, &nunset);
	if (nset > 0)
		pns_bson_append_document(&builder, "$set", pns_bson_end(&set));
	if (nunset > 0)
		pns_bson_append_document(&builder, "$unset", pns_bson_end(&unset));
	*update = pns_bson_end(&builder);
	return nset + nunset > 0;
}

/*
 * add_column puts a column into the tree.
 */
static void
add_column(PnsRowWriter *writer, WriterColumn *column)
{
	const PnsTableColumn *definition = column->column;
	PnsEncoding encoding = {
		.column = definition->codec.name,
		.collection = definition->codec.collection,
		.type = definition->codec.type,
		.typmod = definition->codec.typmod,
		.objectid = definition->objectid,
		.round = definition->round
	};
	WriterNode *node = &writer->root;
	ListCell   *lc;

	column->encoder = pns_mongo_encoder_create(&encoding);
	if (definition->codec.document)
	{
		writer->documents = lappend(writer->documents, column);
		return;
	}
	foreach(lc, definition->keys)
		node = add_child(node, (const char *) lfirst(lc));
	node->columns = lappend(node->columns, column);
	column->obstacle = find_obstacle(definition);
	if (list_length(definition->keys) == 1 &&
		strcmp(node->key, "_id") == 0 && !shows_generated_ids(definition))
		writer->closed_id = column;
}

/*
 * shows_generated_ids tells whether a column of _id can show an ObjectId.
 */
static bool
shows_generated_ids(const PnsTableColumn *column)
{
	PnsColumn	codec = column->codec;
	PnsBsonBuilder builder;
	uint8		id[PNS_OBJECTID_SIZE] = {0};
	Datum		value;
	bool		isnull = true;

	codec.attnum = 1;
	codec.null_on_mismatch = true;
	pns_bson_begin(&builder);
	pns_bson_append_objectid(&builder, "_id", id);
	pns_mongo_decode(pns_mongo_decoder_create(&codec, 1), pns_bson_end(&builder), &value,
					 &isnull);
	return !isnull;
}

/*
 * find_obstacle says why the path of a column cannot be made in a new document,
 * NULL where it can.
 */
static const char *
find_obstacle(const PnsTableColumn *column)
{
	ListCell   *lc;

	for_each_from(lc, column->keys, 1)
	{
		const char *key = (const char *) lfirst(lc);

		if (strspn(key, "0123456789") == strlen(key))
			return "Its path leads to an element of an array.";
	}
	return NULL;
}

/*
 * pns_row_column_is_plain tells whether a column can be set in an update that
 * knows nothing of the documents: it is neither their _id or a part of it, nor
 * the document as a whole, and has a path that an update can name.
 */
bool
pns_row_column_is_plain(const PnsTableColumn *column)
{
	return column->codec.attnum > 0 && !column->codec.document && column->native != NULL &&
		strcmp((const char *) linitial(column->keys), "_id") != 0 &&
		find_obstacle(column) == NULL;
}

/*
 * find_child finds a key (in UTF-8) below a node, NULL where it has none such.
 */
static WriterNode *
find_child(const WriterNode *node, const char *key)
{
	ListCell   *lc;

	foreach(lc, node->children)
	{
		WriterNode *child = (WriterNode *) lfirst(lc);

		if (strcmp(child->key, key) == 0)
			return child;
	}
	return NULL;
}

/*
 * add_child finds or makes a key (in the database's encoding) below a node.
 */
static WriterNode *
add_child(WriterNode *node, const char *key)
{
	char	   *utf8 = pg_server_to_any(key, strlen(key), PG_UTF8);
	WriterNode *child = find_child(node, utf8);

	if (child == NULL)
	{
		child = palloc0(sizeof(WriterNode));
		child->key = utf8;
		child->path = node->path == NULL ? key : psprintf("%s.%s", node->path, key);
		node->children = lappend(node->children, child);
	}
	return child;
}

/*
 * look_at_insert finds out what a new row has to say.  Beside a document that is
 * given, NULL says nothing.
 */
static void
look_at_insert(PnsRowWriter *writer, bool has_document)
{
	for (int i = 0; i < writer->table->ncolumns; i++)
	{
		WriterColumn *column = &writer->columns[i];

		if (column->encoder == NULL)
			column->state = FIELD_UNTOUCHED;
		else if (!writer->slot->tts_isnull[i])
			column->state = FIELD_VALUE;
		else if (writer->table->stores_nulls && !has_document &&
				 !column->column->codec.document && column->obstacle == NULL)
			column->state = FIELD_NULL;
		else
			column->state = FIELD_UNTOUCHED;
	}
}

/*
 * look_at_update finds out what the columns of a SET have to say.
 */
static void
look_at_update(PnsRowWriter *writer, Bitmapset *columns)
{
	for (int i = 0; i < writer->table->ncolumns; i++)
	{
		WriterColumn *column = &writer->columns[i];
		const PnsTableColumn *definition = column->column;

		column->state = FIELD_UNTOUCHED;
		if (column->encoder == NULL || !bms_is_member(i + 1, columns))
			continue;
		if (writer->slot->tts_isnull[i] && definition->codec.document)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("column \"%s\" is the document of %s and cannot be set to NULL",
							definition->codec.name, definition->codec.collection)));
		if (!definition->codec.document && definition->native == NULL &&
			column->obstacle == NULL)
			column->obstacle = "MongoDB's updates cannot name its path.";
		if (!writer->slot->tts_isnull[i])
			column->state = FIELD_VALUE;
		else
			column->state = writer->table->stores_nulls ? FIELD_NULL : FIELD_REMOVED;
	}
}

/*
 * look_at_node sums up what the columns say of the nodes of a tree.
 */
static void
look_at_node(PnsRowWriter *writer, WriterNode *node)
{
	ListCell   *lc;

	node->touched = node->makes = false;
	foreach(lc, node->columns)
	{
		WriterColumn *column = (WriterColumn *) lfirst(lc);

		if (column->state == FIELD_UNTOUCHED)
			continue;
		if (column->obstacle != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("column \"%s\" of %s cannot be written",
							column->column->codec.name, column->column->codec.collection),
					 errdetail("%s", column->obstacle)));
		node->touched = true;
		node->makes = node->makes || column->state != FIELD_REMOVED;
	}
	foreach(lc, node->children)
	{
		WriterNode *child = (WriterNode *) lfirst(lc);

		look_at_node(writer, child);
		node->touched = node->touched || child->touched;
		node->makes = node->makes || child->makes;
	}
}

/*
 * given_document gives the document that a row has as a whole.  False where
 * there is none.
 *
 * Errors: 22023 where it is JSON but no object, has a field that begins with a
 * dollar, or two columns differ.
 */
static bool
given_document(PnsRowWriter *writer, PnsDocument *document)
{
	WriterColumn *first = NULL;
	PnsBsonValue value;
	ListCell   *lc;

	foreach(lc, writer->documents)
	{
		WriterColumn *column = (WriterColumn *) lfirst(lc);

		if (column->state != FIELD_VALUE)
			continue;
		if (first != NULL)
		{
			check_same(writer, first, &value, column);
			continue;
		}
		first = column;
		value = encode_column(writer, column);
		if (value.type != PNS_BSON_DOCUMENT)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("column \"%s\" is the document of %s and must hold an object",
							column->column->codec.name, column->column->codec.collection)));
		check_no_operators(column, pns_bson_value_document(&value));
	}
	if (first != NULL)
		*document = pns_bson_value_document(&value);
	return first != NULL;
}

/*
 * check_no_operators refuses a document with a field that begins with a dollar:
 * some commands would take it for an operator, and the others store it.
 */
static void
check_no_operators(const WriterColumn *column, PnsDocument document)
{
	const char *found = pns_mongo_find_operator(document);

	if (found != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column \"%s\" has the field \"%s\", which begins with a dollar",
						column->column->codec.name, found)));
}

/*
 * append_generated_id appends an _id that no other document has.
 *
 * Errors: 23502 where the column of _id could not show it.
 */
static void
append_generated_id(PnsRowWriter *writer, PnsBsonBuilder *builder)
{
	uint8		id[PNS_OBJECTID_SIZE];

	if (writer->closed_id != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("column \"%s\" of %s needs a value",
						writer->closed_id->column->codec.name,
						pns_fdw_table_label(writer->table)),
				 errdetail("It is the documents' _id, and its type cannot hold the ObjectId that a document without one is given.")));
	pns_mongo_new_objectid(id);
	pns_bson_append_objectid(builder, "_id", id);
}

/*
 * append_node appends, under a key, what becomes of a field that is base (NULL:
 * there is none) by what the row says of it and of fields below it.
 */
static void
append_node(PnsRowWriter *writer, PnsBsonBuilder *builder, const char *key,
			WriterNode *node, const PnsBsonValue *base)
{
	WriterColumn *column = node_column(writer, node);
	PnsBsonValue value;
	PnsDocument document;
	bool		below = false;
	bool		makes_below = false;
	ListCell   *lc;

	foreach(lc, node->children)
	{
		below = below || ((WriterNode *) lfirst(lc))->touched;
		makes_below = makes_below || ((WriterNode *) lfirst(lc))->makes;
	}
	if (column != NULL)
	{
		base = NULL;
		if (column->state == FIELD_VALUE && !below)
		{
			pns_mongo_encode(column->encoder, builder, key, column_datum(writer, column));
			return;
		}
		if (column->state == FIELD_VALUE)
		{
			value = encode_column(writer, column);
			base = &value;
		}
		else if (column->state == FIELD_NULL && !makes_below)
			pns_bson_append_null(builder, key);
	}

	if (base != NULL && (!below || (!makes_below && base->type != PNS_BSON_DOCUMENT)))
		pns_bson_append_value(builder, key, *base);
	else if (base != NULL && base->type == PNS_BSON_DOCUMENT)
	{
		document = pns_bson_value_document(base);
		pns_bson_open_document(builder, key);
		append_members(writer, builder, node, &document);
		pns_bson_close(builder);
	}
	else if (base != NULL && base->type != PNS_BSON_NULL && base->type != PNS_BSON_UNDEFINED)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("fields below \"%s\" of %s cannot be set", node->path,
						pns_fdw_table_label(writer->table)),
				 errdetail("The row has a value of type %s for it.",
						   pns_bson_type_name(base->type))));
	else if (makes_below)
	{
		pns_bson_open_document(builder, key);
		append_members(writer, builder, node, NULL);
		pns_bson_close(builder);
	}
}

/*
 * append_members appends the members of a document, which are those of base
 * (NULL: there are none) with what the row says of them.  At the top _id has
 * been dealt with.
 */
static void
append_members(PnsRowWriter *writer, PnsBsonBuilder *builder, WriterNode *node,
			   const PnsDocument *base)
{
	bool		is_root = node == &writer->root;
	PnsBsonIterator members;
	ListCell   *lc;

	foreach(lc, node->children)
		((WriterNode *) lfirst(lc))->seen = false;
	if (base != NULL)
	{
		pns_bson_iterate(&members, *base);
		while (pns_bson_next(&members))
		{
			WriterNode *child = find_child(node, members.key);

			if (is_root && strcmp(members.key, "_id") == 0)
				continue;
			if (child == NULL || !child->touched)
				pns_bson_append_value(builder, members.key, members.value);
			else if (!child->seen)
			{
				child->seen = true;
				append_node(writer, builder, child->key, child, &members.value);
			}
		}
	}
	foreach(lc, node->children)
	{
		WriterNode *child = (WriterNode *) lfirst(lc);

		if (child->makes && !child->seen && !(is_root && strcmp(child->key, "_id") == 0))
			append_node(writer, builder, child->key, child, NULL);
	}
}

/*
 * node_column returns the column that says what a field is, NULL where none
 * does.
 *
 * Errors: 22023 where several do, and differ.
 */
static WriterColumn *
node_column(PnsRowWriter *writer, WriterNode *node)
{
	WriterColumn *first = NULL;
	PnsBsonValue value;
	ListCell   *lc;

	foreach(lc, node->columns)
	{
		WriterColumn *column = (WriterColumn *) lfirst(lc);

		if (column->state == FIELD_UNTOUCHED)
			continue;
		if (first == NULL)
		{
			first = column;
			continue;
		}

		/* of a new row's columns those that are not NULL say it */
		if (first->state != FIELD_VALUE || column->state != FIELD_VALUE)
		{
			if (column->state == FIELD_VALUE)
				first = column;
			continue;
		}
		value = encode_column(writer, first);
		check_same(writer, first, &value, column);
	}
	return first;
}

/*
 * encode_column makes the value of a column that is not NULL.
 */
static PnsBsonValue
encode_column(PnsRowWriter *writer, WriterColumn *column)
{
	PnsBsonBuilder builder;
	PnsBsonValue value;

	pns_bson_begin(&builder);
	pns_mongo_encode(column->encoder, &builder, "v", column_datum(writer, column));

	/* elog: it was just appended */
	if (!pns_bson_find(pns_bson_end(&builder), "v", &value))
		elog(ERROR, "column \"%s\" has made no value", column->column->codec.name);
	return value;
}

/*
 * column_datum returns the value of a column in the present row.
 */
static Datum
column_datum(PnsRowWriter *writer, const WriterColumn *column)
{
	return writer->slot->tts_values[column->column->codec.attnum - 1];
}

/*
 * check_same demands that a column has the value that another one has, as both
 * are the same field.
 */
static void
check_same(PnsRowWriter *writer, const WriterColumn *column, const PnsBsonValue *value,
		   const WriterColumn *other)
{
	PnsBsonValue second = encode_column(writer, (WriterColumn *) other);

	if (!values_equal(value, &second))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("columns \"%s\" and \"%s\" of %s differ, but are the same field",
						column->column->codec.name, other->column->codec.name,
						column->column->codec.collection)));
}

/*
 * values_equal tells whether two values are the same bytes.
 */
static bool
values_equal(const PnsBsonValue *a, const PnsBsonValue *b)
{
	return a->type == b->type && a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

/*
 * append_changes appends what becomes of the fields below a node to the members
 * of $set and $unset.  MongoDB takes no path there beside one below it, so that
 * the upper one has the lower ones' values in its own.
 */
static void
append_changes(PnsRowWriter *writer, WriterNode *node, PnsBsonBuilder *set, int *nset,
			   PnsBsonBuilder *unset, int *nunset)
{
	ListCell   *lc;

	foreach(lc, node->children)
	{
		WriterNode *child = (WriterNode *) lfirst(lc);
		WriterColumn *column;

		if (!child->touched || (node == &writer->root && strcmp(child->key, "_id") == 0))
			continue;
		column = node_column(writer, child);
		if (column == NULL)
			append_changes(writer, child, set, nset, unset, nunset);
		else if (child->makes)
		{
			append_node(writer, set, column->column->native, child, NULL);
			(*nset)++;
		}
		else
		{
			pns_bson_append_cstring(unset, column->column->native, "");
			(*nunset)++;
		}
	}
}

/*
 * check_id_kept demands that columns of _id and of fields in it that are set
 * are set to what they are.
 */
static void
check_id_kept(PnsRowWriter *writer, PnsDocument identity)
{
	WriterNode *id = find_child(&writer->root, "_id");

	if (id != NULL && id->touched)
		check_node_kept(writer, id, identity);
}

/*
 * check_node_kept does so for a node and those below it.  What a column reads
 * decides: SET _id = _id changes nothing, even where the text is read of an
 * ObjectId.
 */
static void
check_node_kept(PnsRowWriter *writer, WriterNode *node, PnsDocument identity)
{
	ListCell   *lc;

	foreach(lc, node->columns)
	{
		WriterColumn *column = (WriterColumn *) lfirst(lc);
		PnsColumn	codec = column->column->codec;
		PnsBsonValue value;
		PnsBsonBuilder builder;
		PnsBsonValue old_value;
		Datum		old;
		bool		old_null = true;

		if (column->state == FIELD_UNTOUCHED)
			continue;
		codec.attnum = 1;
		pns_mongo_decode(pns_mongo_decoder_create(&codec, 1), identity, &old, &old_null);
		if (old_null && column->state != FIELD_VALUE)
			continue;
		if (old_null || column->state != FIELD_VALUE)
			raise_id_changed(writer);
		value = encode_column(writer, column);
		pns_bson_begin(&builder);
		pns_mongo_encode(column->encoder, &builder, "v", old);
		if (!pns_bson_find(pns_bson_end(&builder), "v", &old_value) ||
			!values_equal(&value, &old_value))
			raise_id_changed(writer);
	}
	foreach(lc, node->children)
		check_node_kept(writer, (WriterNode *) lfirst(lc), identity);
}

/*
 * check_document_id demands that a document that takes the place of another one
 * has its _id, or none.  What JSON shows of it decides.
 */
static void
check_document_id(PnsRowWriter *writer, PnsDocument document, PnsDocument identity)
{
	PnsBsonValue new;
	PnsBsonValue old;
	StringInfoData new_text;
	StringInfoData old_text;

	if (!pns_bson_find(document, "_id", &new) || !pns_bson_find(identity, "_id", &old) ||
		values_equal(&new, &old))
		return;
	initStringInfo(&new_text);
	initStringInfo(&old_text);
	if (!pns_json_append_value(&new_text, &new, PNS_JSON_RELAXED) ||
		!pns_json_append_value(&old_text, &old, PNS_JSON_RELAXED) ||
		strcmp(new_text.data, old_text.data) != 0)
		raise_id_changed(writer);
}

/*
 * raise_id_changed raises the error of an update that changes _id.
 */
static void
raise_id_changed(const PnsRowWriter *writer)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("the _id of a document of %s cannot be changed",
					pns_fdw_table_label(writer->table)),
			 errhint("Delete the document and insert it anew.")));
}
