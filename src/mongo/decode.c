/*-------------------------------------------------------------------------
 *
 * decode.c
 *	  Documents to rows.
 *
 * The paths of the wanted columns make a tree.  A document is walked once, in
 * the order of its bytes, beside the tree: at each key the child that came
 * here in the last document is compared first, so that in documents that look
 * alike nothing has to be looked up; and a level is left as soon as all that
 * is wanted of it was found, which is right because of duplicate keys the
 * first counts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "mongo/codec.h"
#include "mongo/path.h"

typedef struct DecoderColumn
{
	int			slot;			/* of values and nulls */
	bool		null_on_mismatch;
	PnsConverter converter;
	PnsPlace	place;
} DecoderColumn;

struct PnsDecoder
{
	int			ncolumns;
	DecoderColumn *columns;
	PnsPathNode *root;
	List	   *whole;			/* columns that hold the document */
	List	   *null_checked;	/* columns whose domains may refuse NULL */

	/* while a document is walked */
	uint64		number;			/* of the document, from 1 */
	PnsDocument document;
	Datum	   *values;
	bool	   *nulls;
};

static void add_column(PnsDecoder *decoder, DecoderColumn *column,
					   const PnsColumn *wanted);
static char *path_of(const PnsColumn *wanted);
static void walk_document(PnsDecoder *decoder, PnsPathNode *node,
						  const uint8 *data, uint32 size);
static void walk_array(PnsDecoder *decoder, PnsPathNode *node,
					   const PnsBsonValue *value);
static void visit(PnsDecoder *decoder, PnsPathNode *node,
				  const PnsBsonValue *value);
static void fill_column(PnsDecoder *decoder, DecoderColumn *column,
						const PnsBsonValue *value);
static PnsFit convert_with_context(DecoderColumn *column,
								   const PnsBsonValue *value, Datum *result);
static void check_nulls(PnsDecoder *decoder);
static void misfit(PnsDecoder *decoder, DecoderColumn *column,
				   const PnsBsonValue *value, PnsFit fit)
			pg_attribute_noreturn();

/*
 * pns_mongo_decoder_create compiles the wanted columns.  The decoder copies
 * what it needs of them.
 */
PnsDecoder *
pns_mongo_decoder_create(const PnsColumn *columns, int ncolumns)
{
	PnsDecoder *decoder = palloc0(sizeof(PnsDecoder));

	decoder->ncolumns = ncolumns;
	decoder->columns = palloc0(ncolumns * sizeof(DecoderColumn));
	decoder->root = pns_path_root_create();
	for (int i = 0; i < ncolumns; i++)
		add_column(decoder, &decoder->columns[i], &columns[i]);
	pns_path_finish(decoder->root);
	return decoder;
}

/* add_column puts a column where its path leads to. */
static void
add_column(PnsDecoder *decoder, DecoderColumn *column,
		   const PnsColumn *wanted)
{
	char	   *path = path_of(wanted);

	column->slot = wanted->attnum - 1;
	column->null_on_mismatch = wanted->null_on_mismatch;
	column->place.collection = pstrdup(wanted->collection);
	column->place.prefix = wanted->prefix != NULL ? pstrdup(wanted->prefix) : NULL;
	column->place.column = pstrdup(wanted->name);
	column->place.path = wanted->document ? NULL : pstrdup(wanted->path);
	column->place.type = wanted->type;
	column->place.typmod = wanted->typmod;
	column->place.has_no_options = wanted->has_no_options;
	pns_converter_init(&column->converter, wanted->type, wanted->typmod,
					   wanted->null_on_mismatch, wanted->json_format);

	if (path == NULL)
		decoder->whole = lappend(decoder->whole, column);
	else
	{
		PnsPathNode *node = pns_path_add(decoder->root, path);

		node->columns = lappend(node->columns, column);
	}
	if (column->converter.checks_null && !column->null_on_mismatch)
		decoder->null_checked = lappend(decoder->null_checked, column);
}

/*
 * path_of returns the path that leads to a column from the top of what is
 * decoded, or NULL where the column holds all of it.
 */
static char *
path_of(const PnsColumn *wanted)
{
	if (wanted->prefix == NULL)
		return wanted->document ? NULL : pstrdup(wanted->path);
	if (wanted->document)
		return pstrdup(wanted->prefix);
	return psprintf("%s.%s", wanted->prefix, wanted->path);
}

/*
 * pns_mongo_decode fills a row.  Bytes behind the last value that is wanted
 * are not looked at.
 */
void
pns_mongo_decode(PnsDecoder *decoder, PnsDocument document,
				 Datum *values, bool *nulls)
{
	ListCell   *cell;

	decoder->number++;
	decoder->document = document;
	decoder->values = values;
	decoder->nulls = nulls;
	for (int i = 0; i < decoder->ncolumns; i++)
		nulls[decoder->columns[i].slot] = true;

	if (decoder->root->children != NIL)
		walk_document(decoder, decoder->root, document.data, document.size);
	foreach(cell, decoder->whole)
	{
		PnsBsonValue value;

		value.type = PNS_BSON_DOCUMENT;
		value.data = document.data;
		value.size = document.size;
		fill_column(decoder, lfirst(cell), &value);
	}
	if (decoder->null_checked != NIL)
		check_nulls(decoder);
}

/* walk_document visits the children of a node in a document. */
static void
walk_document(PnsDecoder *decoder, PnsPathNode *node, const uint8 *data,
			  uint32 size)
{
	int			missing = list_length(node->children);
	PnsPathNode **guess = &node->expected;
	PnsDocument document = {data, size};
	PnsBsonIterator iterator;
	const uint8 *next;
	const uint8 *end;

	pns_bson_iterate(&iterator, document);
	next = iterator.next;
	end = iterator.end;
	while (next < end)
	{
		uint8		type = *next++;
		PnsPathNode *child = *guess;
		PnsBsonValue value;

		if (child != NULL && pns_path_is_key(child, next, end))
			next += child->key_size + 1;
		else
		{
			const uint8 *key_end = pns_bson_key_end(next, end);

			child = pns_path_find(node, (const char *) next, key_end - next);
			next = key_end + 1;
		}

		value.type = (PnsBsonType) type;
		value.data = next;
		value.size = pns_bson_value_size(type, next, end);
		next += value.size;
		if (child == NULL || child->seen_in == decoder->number)
			continue;

		*guess = child;
		guess = &child->follower;
		child->seen_in = decoder->number;
		visit(decoder, child, &value);
		if (--missing == 0)
			return;
	}
}

/* walk_array visits the children of a node that positions in an array are. */
static void
walk_array(PnsDecoder *decoder, PnsPathNode *node, const PnsBsonValue *value)
{
	PnsBsonIterator iterator;
	ListCell   *cell = list_head(node->elements);

	pns_bson_iterate(&iterator, pns_bson_value_document(value));
	for (int i = 0; cell != NULL && pns_bson_next(&iterator); i++)
	{
		PnsPathNode *child = lfirst(cell);

		if (child->index != i)
			continue;
		visit(decoder, child, &iterator.value);
		cell = lnext(node->elements, cell);
	}
}

/* visit fills the columns that read a value and walks on below it. */
static void
visit(PnsDecoder *decoder, PnsPathNode *node, const PnsBsonValue *value)
{
	ListCell   *cell;

	if (value->type == PNS_BSON_NULL || value->type == PNS_BSON_UNDEFINED)
		return;
	foreach(cell, node->columns)
		fill_column(decoder, lfirst(cell), value);
	if (node->children == NIL)
		return;
	check_stack_depth();
	if (value->type == PNS_BSON_DOCUMENT)
		walk_document(decoder, node, value->data, value->size);
	else if (value->type == PNS_BSON_ARRAY)
		walk_array(decoder, node, value);
}

/* fill_column converts a value, or deals with one that does not fit. */
static void
fill_column(PnsDecoder *decoder, DecoderColumn *column,
			const PnsBsonValue *value)
{
	PnsConverter *converter = &column->converter;
	Datum	   *result = &decoder->values[column->slot];
	PnsFit		fit;

	if (unlikely(converter->may_throw))
		fit = convert_with_context(column, value, result);
	else
		fit = converter->convert(converter, value, result);
	if (likely(fit == PNS_FITS))
		decoder->nulls[column->slot] = false;
	else if (!column->null_on_mismatch)
		misfit(decoder, column, value, fit);
}

/*
 * convert_with_context converts a value, or with value NULL checks a NULL,
 * by functions whose errors shall say where they come from.
 */
static PnsFit
convert_with_context(DecoderColumn *column, const PnsBsonValue *value,
					 Datum *result)
{
	PnsConverter *converter = &column->converter;
	ErrorContextCallback callback;
	PnsFit		fit;

	callback.callback = pns_mismatch_context;
	callback.arg = &column->place;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	if (value != NULL)
		fit = converter->convert(converter, value, result);
	else
		fit = pns_domain_check(converter, (Datum) 0, true);
	error_context_stack = callback.previous;
	return fit;
}

/* check_nulls asks the domains of columns without a value. */
static void
check_nulls(PnsDecoder *decoder)
{
	ListCell   *cell;

	foreach(cell, decoder->null_checked)
	{
		DecoderColumn *column = lfirst(cell);
		PnsFit		fit;

		if (!decoder->nulls[column->slot])
			continue;
		fit = convert_with_context(column, NULL, NULL);
		if (fit != PNS_FITS)
			misfit(decoder, column, NULL, fit);
	}
}

/* misfit raises the error of a value that does not fit its column. */
static void
misfit(PnsDecoder *decoder, DecoderColumn *column, const PnsBsonValue *value,
	   PnsFit fit)
{
	column->place.document = decoder->document;
	pns_mismatch_report(&column->place, &column->converter, value, fit);
}
