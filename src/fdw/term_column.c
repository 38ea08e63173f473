/*-------------------------------------------------------------------------
 *
 * term_column.c
 *	  Columns in terms: the mapping of documents to rows, said to MongoDB.
 *
 * The form of a column is the value of its field, converted, where it fits the
 * column, and else null.  It says in MongoDB's language what the codec does
 * with a field (mongo/convert*.c), for any value at all; none makes it fail.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/date.h"
#include "utils/timestamp.h"

#include "fdw/term_private.h"

/* More keys than a template has room for are walked one by one. */
#define MAX_PLAIN_KEYS 6

static int	string_size(const PnsTableColumn *column);
static const char *form_template(const PnsTableColumn *column);
static const char *text_template(const PnsTableColumn *column);
static const char *date_template(const PnsTableColumn *column);
static PnsTerm *raw_value(const PnsTermColumn *column);
static void write_walk(PnsTermWriter *writer, const char *key, const PnsTermColumn *column,
					   int nkeys);
static void write_key(PnsTermWriter *writer, const char *key, const char *field,
					  const char *input);
static bool is_name(const char *key);
static void append_bad_column(PnsTermWriter *writer, const char *key,
							  const PnsTermColumn *column, const PnsTermContext *context);
static int	source_number(const PnsTermColumn *column, const PnsTermContext *context);
static int	read_number(PnsDocument document, const char *key);

/*
 * pns_term_column_is_canonical tells whether MongoDB can make the canonical
 * values of a column.
 */
bool
pns_term_column_is_canonical(const PnsTableColumn *column)
{
	return pns_term_column_is_known(column) &&
		pns_term_class(column->base_type) != PNS_CLASS_NONE &&
		pns_term_class(column->base_type) != PNS_CLASS_NUMERIC;
}

/*
 * pns_term_column_is_known tells whether MongoDB can tell which values fit a
 * column.  Of a domain's constraints it knows nothing.
 */
bool
pns_term_column_is_known(const PnsTableColumn *column)
{
	return !column->codec.document && column->codec.type == column->base_type &&
		(column->native != NULL || GetDatabaseEncoding() == PG_UTF8) &&
		form_template(column) != NULL;
}

/*
 * pns_term_column_may_misfit tells whether a value that does not fit is an
 * error.
 */
bool
pns_term_column_may_misfit(const PnsTermColumn *column)
{
	return !column->column->codec.null_on_mismatch;
}

/*
 * pns_term_column_value makes the term of a column.
 */
PnsTerm *
pns_term_column_value(const PnsTermColumn *column)
{
	PnsTerm    *term = pns_term_make(PNS_TERM_COLUMN, column->column->base_type, NIL);

	term->column = column;
	term->columns = list_make1((void *) column);
	term->size = string_size(column->column);
	term->depth = 1;			/* of its variable */
	return term;
}

/*
 * string_size gives the most bytes that a string of a column can have, as far
 * as its type limits them; else 0.
 */
static int
string_size(const PnsTableColumn *column)
{
	if (column->base_type == NAMEOID)
		return NAMEDATALEN;
	if (column->base_type == VARCHAROID && column->base_typmod >= (int32) VARHDRSZ)
		return (column->base_typmod - VARHDRSZ) * pg_encoding_max_length(PG_UTF8);
	return 0;
}

/*
 * pns_term_column_form makes the term that the value of a column stands for.
 */
PnsTerm *
pns_term_column_form(const PnsTermColumn *column)
{
	PnsTerm    *labels = pns_term_make(PNS_TERM_LABELS, column->column->base_type, NIL);

	return pns_term_make_call(column->column->base_type,
							  list_make2(raw_value(column), labels),
							  form_template(column->column), false, false);
}

/*
 * pns_term_column_misfit makes the term for: the field has a value that does
 * not fit.  What lies behind an array on the way is no value.
 */
PnsTerm *
pns_term_column_misfit(const PnsTermColumn *column)
{
	List	   *args = list_make2(pns_term_column_value(column), raw_value(column));
	StringInfoData types;
	PnsTerm    *misfit;
	char	   *path;

	initStringInfo(&types);
	if (pns_term_path_is_plain(column->column))
	{
		path = pstrdup(column->column->native);
		while (strrchr(path, '.') != NULL)
		{
			PnsTerm    *above = pns_term_make(PNS_TERM_FIELD, InvalidOid, NIL);

			*strrchr(path, '.') = '\0';
			above->field = column->source->prefix[0] == '\0' ? pstrdup(path) :
				psprintf("%s.%s", column->source->prefix, path);
			args = lappend(args, above);
			appendStringInfo(&types, "%s{$type: #%d}", types.len > 0 ? ", " : "",
							 list_length(args));
		}
	}

	misfit = pns_term_make_call(BOOLOID, args,
								psprintf("{$and: [{$eq: [#1, null]}, "
										 "{$not: [{$in: [{$type: #2}, ['missing', 'null', 'undefined']]}]}%s%s%s]}",
										 types.len > 0 ? ", {$not: [{$in: ['array', [" : "",
										 types.data,
										 types.len > 0 ? "]]}]}" : ""),
								false, false);
	misfit->never_null = true;
	return misfit;
}

/*
 * form_template makes the template of a column's form: #1 is the field, #2 the
 * labels of an enum.  Of types without canonical values the form is the field,
 * if it fits; NULL where that cannot be told.
 */
static const char *
form_template(const PnsTableColumn *column)
{
	switch (column->base_type)
	{
		case INT2OID:
			return "{$let: {vars: {i: {$convert: {input: #1, to: 'int', onError: null, onNull: null}}}, "
				"in: {$cond: [{$and: [{$eq: ['$$i', #1]}, {$gte: ['$$i', -32768]}, {$lte: ['$$i', 32767]}]}, "
				"'$$i', null]}}}";
		case INT4OID:
			return "{$let: {vars: {i: {$convert: {input: #1, to: 'int', onError: null, onNull: null}}}, "
				"in: {$cond: [{$eq: ['$$i', #1]}, '$$i', null]}}}";
		case INT8OID:
			return "{$let: {vars: {i: {$convert: {input: #1, to: 'long', onError: null, onNull: null}}}, "
				"in: {$cond: [{$eq: ['$$i', #1]}, '$$i', null]}}}";
		case FLOAT8OID:
			return "{$cond: [{$in: [{$type: #1}, ['double', 'int', 'long']]}, {$toDouble: #1}, null]}";
		case BOOLOID:
			return "{$cond: [{$eq: [{$type: #1}, 'bool']}, #1, null]}";
		case NUMERICOID:
			return column->base_typmod >= 0 ? NULL : "{$cond: [{$isNumber: #1}, #1, null]}";
		case BYTEAOID:
			return "{$cond: [{$in: [{$type: #1}, ['binData', 'objectId']]}, #1, null]}";
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case NAMEOID:
			return GetDatabaseEncoding() == PG_UTF8 ? text_template(column) : NULL;
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case DATEOID:
			return date_template(column);
		default:
			if (pns_term_class(column->base_type) == PNS_CLASS_ENUM)
				return "{$cond: [{$and: [{$eq: [{$type: #1}, 'string']}, {$in: [#1, #2]}]}, #1, null]}";
			if (pns_term_class(column->base_type) == PNS_CLASS_OBJECTID)
				return "{$cond: [{$eq: [{$type: #1}, 'objectId']}, #1, null]}";
			return NULL;
	}
}

/*
 * text_template: strings without a zero byte that are not too long, and, but
 * for char(n), the digits of ObjectIds.
 */
static const char *
text_template(const PnsTableColumn *column)
{
	const char *fits = "{$eq: [{$indexOfBytes: [#1, NUL]}, -1]}";
	const char *digits = "{$toString: #1}";

	if (column->base_type == NAMEOID)
		fits = psprintf("{$and: [%s, {$lt: [{$strLenBytes: #1}, %d]}]}", fits, NAMEDATALEN);
	else if (column->base_type != TEXTOID && column->base_typmod >= (int32) VARHDRSZ)
	{
		int			length = column->base_typmod - VARHDRSZ;

		fits = psprintf("{$and: [%s, {$lte: [{$strLenCP: #1}, %d]}]}", fits, length);
		if (length < 2 * PNS_OBJECTID_SIZE)
			digits = "null";
	}
	if (column->base_type == BPCHAROID)
		digits = "null";

	return psprintf("{$switch: {branches: ["
					"{case: {$eq: [{$type: #1}, 'string']}, "
					"then: {$cond: [%s, #1, null]}}, "
					"{case: {$eq: [{$type: #1}, 'objectId']}, then: %s}], default: null}}",
					fits, digits);
}

/*
 * date_template: dates within PostgreSQL's range; as a timestamp none between
 * two units of the declared precision, as a date its midnight.
 */
static const char *
date_template(const PnsTableColumn *column)
{
	static const int units[] = {1000, 100, 10};
	const int64 day = USECS_PER_DAY / 1000;
	int64		begin = (int64) -UNIX_EPOCH_JDATE * day;
	int64		end = END_TIMESTAMP / 1000 + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * day;
	const char *whole = "";
	const char *value = "#1";

	if (column->base_type == DATEOID)
	{
		end = (int64) (DATE_END_JULIAN - UNIX_EPOCH_JDATE) * day;
		value = "{$subtract: [#1, {$mod: [{$add: [{$mod: [{$subtract: [#1, EPOCH]}, 86400000]}, 86400000]}, 86400000]}]}";
	}
	else if (column->base_typmod >= 0 && column->base_typmod < lengthof(units))
		whole = psprintf(", {$eq: [{$mod: [{$subtract: [#1, EPOCH]}, %d]}, 0]}", units[column->base_typmod]);

	return psprintf("{$cond: [{$eq: [{$type: #1}, 'date']}, "
					"{$cond: [{$and: [{$gte: [{$subtract: [#1, EPOCH]}, " INT64_FORMAT "]}, "
					"{$lt: [{$subtract: [#1, EPOCH]}, " INT64_FORMAT "]}%s]}, %s, null]}, null]}",
					begin, end, whole, value);
}

/*
 * raw_value makes the term of a field as it stands in the document.
 */
static PnsTerm *
raw_value(const PnsTermColumn *column)
{
	PnsTerm    *term = pns_term_make(PNS_TERM_RAW, InvalidOid, NIL);

	term->column = column;
	term->depth = pns_term_path_is_plain(column->column) ? 1 :
		6 + 4 * list_length(column->column->keys);
	return term;
}

/*
 * pns_term_path_is_plain tells whether a field can be named by a path.  Where
 * the path meets an array, that has an array for its value, which fits no
 * column that has a form.
 */
bool
pns_term_path_is_plain(const PnsTableColumn *column)
{
	return column->native != NULL && list_length(column->keys) <= MAX_PLAIN_KEYS;
}

/*
 * pns_term_write_path appends the value of a column's field.
 */
void
pns_term_write_path(PnsTermWriter *writer, const char *key, const PnsTermColumn *column)
{
	const char *prefix = column->source->prefix;

	if (pns_term_path_is_plain(column->column))
		pns_bson_append_cstring(writer->builder, key,
								psprintf("$%s%s%s", prefix, prefix[0] != '\0' ? "." : "",
										 column->column->native));
	else
		write_walk(writer, key, column, list_length(column->column->keys));
}

/*
 * write_walk appends the value that the first nkeys keys of a path lead to.
 * Digits pick the element of an array; nothing else does.
 */
static void
write_walk(PnsTermWriter *writer, const char *key, const PnsTermColumn *column, int nkeys)
{
	PnsBsonBuilder *builder = writer->builder;
	const char *field = (const char *) list_nth(column->column->keys, nkeys - 1);
	int			size = strlen(field);
	bool		is_index = strspn(field, "0123456789") == size && size <= 9 &&
	(field[0] != '0' || size == 1);

	if (nkeys == 1)
	{
		write_key(writer, key, field,
				  column->source->prefix[0] != '\0' ?
				  psprintf("$%s", column->source->prefix) : "$$CURRENT");
		return;
	}

	pns_bson_open_document(builder, key);
	pns_bson_open_document(builder, "$let");
	pns_bson_open_document(builder, "vars");
	write_walk(writer, "p", column, nkeys - 1);
	pns_bson_close(builder);

	pns_bson_open_document(builder, "in");
	pns_bson_open_array(builder, "$cond");
	pns_term_write_template(writer, "0", "{$eq: [{$type: '$$p'}, 'object']}", NIL);
	write_key(writer, "1", field, "$$p");
	pns_term_write_template(writer, "2",
							!is_index ? "null" :
							psprintf("{$cond: [{$isArray: ['$$p']}, {$ifNull: [{$arrayElemAt: ['$$p', %s]}, null]}, null]}",
									 field),
							NIL);
	pns_bson_close(builder);
	pns_bson_close(builder);

	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * write_key appends a member of a document, which input names.  A key that can
 * not stand in a path is looked for among all of them.
 */
static void
write_key(PnsTermWriter *writer, const char *key, const char *field, const char *input)
{
	PnsTerm    *document = pns_term_make(PNS_TERM_FIELD, InvalidOid, NIL);
	PnsTerm    *literal = pns_term_make(PNS_TERM_LITERAL, TEXTOID, NIL);

	if (is_name(field))
	{
		pns_bson_append_cstring(writer->builder, key, psprintf("%s.%s", input, field));
		return;
	}
	literal->scalar.type = PNS_BSON_STRING;
	literal->scalar.data = field;
	literal->scalar.size = strlen(field);
	document->field = input + 1;
	pns_term_write_template(writer, key,
							"{$let: {vars: {m: {$arrayElemAt: [{$filter: {input: {$objectToArray: #1}, "
							"cond: {$eq: ['$$this.k', #2]}}}, 0]}}, in: '$$m.v'}}",
							list_make2(document, literal));
}

/*
 * is_name tells whether a key can stand in a path.
 */
static bool
is_name(const char *key)
{
	return key[0] != '$' && strchr(key, '.') == NULL;
}

/*
 * pns_term_append_bad appends the first misfit of columns that is an error.
 * It names the document, the source by its number in context, and the column
 * by its own; what does not fit comes along unless it may be large.
 */
void
pns_term_append_bad(PnsBsonBuilder *builder, const char *key, List *columns,
					const PnsTermContext *context)
{
	PnsTermWriter writer = {.builder = builder};
	List	   *strict = NIL;
	int			n = 0;
	ListCell   *lc;

	foreach(lc, columns)
	{
		if (pns_term_column_may_misfit((PnsTermColumn *) lfirst(lc)))
			strict = lappend(strict, lfirst(lc));
	}
	if (strict == NIL)
	{
		pns_bson_append_null(builder, key);
		return;
	}

	pns_bson_open_document(builder, key);
	pns_bson_open_document(builder, "$switch");
	pns_bson_open_array(builder, "branches");
	foreach(lc, strict)
	{
		const PnsTermColumn *column = (PnsTermColumn *) lfirst(lc);

		pns_bson_open_document(builder, pns_bson_index(n++));
		pns_term_write(&writer, "case", pns_term_column_misfit(column));
		append_bad_column(&writer, "then", column, context);
		pns_bson_close(builder);
	}
	pns_bson_close(builder);
	pns_bson_append_null(builder, "default");
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * append_bad_column appends what pns_term_raise_bad (t, c) and the codec have
 * to know of a misfit.
 */
static void
append_bad_column(PnsTermWriter *writer, const char *key, const PnsTermColumn *column,
				  const PnsTermContext *context)
{
	const char *prefix = column->source->prefix;
	PnsTerm    *id = pns_term_make(PNS_TERM_FIELD, InvalidOid, NIL);

	id->field = prefix[0] != '\0' ? psprintf("%s._id", prefix) : "_id";
	pns_term_write_template(writer, key,
							psprintf("{_id: #1, t: %d, c: %d, type: {$type: #2}, "
									 "zero: {$cond: [{$eq: [{$type: #2}, 'string']}, {$gte: [{$indexOfBytes: [#2, NUL]}, 0]}, false]}, "
									 "value: {$cond: [{$in: [{$type: #2}, ['double', 'int', 'long', 'decimal', 'date']]}, #2, null]}}",
									 source_number(column, context),
									 column->column->codec.attnum),
							list_make2(id, raw_value(column)));
}

/*
 * source_number finds a column's source among those of a context.
 */
static int
source_number(const PnsTermColumn *column, const PnsTermContext *context)
{
	int			n = 0;
	ListCell   *lc;

	foreach(lc, context->sources)
	{
		if (((PnsTermSource *) lfirst(lc))->varno == column->source->varno)
			break;
		n++;
	}
	return n;
}

/*
 * pns_term_raise_bad raises the error that the codec raises for a misfit.
 */
void
pns_term_raise_bad(PnsDocument bad, const PnsTermContext *context)
{
	int			source = read_number(bad, "t");
	int			attnum = read_number(bad, "c");
	const PnsTable *table;

	/* elog: pns_term_append_bad has numbered them */
	if (source < 0 || source >= list_length(context->sources))
		elog(ERROR, "unexpected table %d of a value that does not fit", source);
	table = ((PnsTermSource *) list_nth(context->sources, source))->table;
	/* elog: the same */
	if (attnum < 1 || attnum > table->ncolumns)
		elog(ERROR, "unexpected column %d of a value that does not fit", attnum);
	pns_mongo_raise_misfit(&table->columns[attnum - 1].codec, bad);
}

/*
 * read_number reads a member that is a number; -1 where there is none.
 */
static int
read_number(PnsDocument document, const char *key)
{
	PnsBsonValue value;
	float8		number;

	if (!pns_bson_find(document, key, &value) || !pns_bson_value_number(&value, &number))
		return -1;
	return (int) number;
}
