/*-------------------------------------------------------------------------
 *
 * bson.c
 *	  Building and reading BSON (bsonspec.org) as bytes.
 *
 * Reading trusts nothing: each length is compared with what is left of the
 * enclosing document before a byte behind it is looked at, so that the worst
 * that a broken or hostile server can do is to raise XX001.  A value that the
 * iterator has returned is well-formed on its own level; a document inside it
 * is checked when it is iterated over in turn.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mongo/codec.h"

static void begin_member(PnsBsonBuilder *builder, PnsBsonType type,
						 const char *key);
static void open_level(PnsBsonBuilder *builder);
static void close_level(PnsBsonBuilder *builder);
static void append_int32(StringInfo buffer, int32 value);
static void append_int64(StringInfo buffer, int64 value);
static bool string_size(const uint8 *data, const uint8 *end, uint32 *size);
static bool document_size(const uint8 *data, const uint8 *end, uint32 *size);
static bool regex_size(const uint8 *data, const uint8 *end, uint32 *size);
static bool scoped_code_size(const uint8 *data, const uint8 *end,
							 uint32 *size);

/*
 * Bytes of a value by its type's byte on the wire: 1 + the size where it is
 * always the same, 0 where it varies or the type is unknown.
 */
const uint8 pns_bson_fixed_size[256] = {
	[PNS_BSON_DOUBLE] = 1 + 8,
	[PNS_BSON_UNDEFINED] = 1,
	[PNS_BSON_OBJECTID] = 1 + PNS_OBJECTID_SIZE,
	[PNS_BSON_BOOL] = 1 + 1,
	[PNS_BSON_DATE] = 1 + 8,
	[PNS_BSON_NULL] = 1,
	[PNS_BSON_INT32] = 1 + 4,
	[PNS_BSON_TIMESTAMP] = 1 + 8,
	[PNS_BSON_INT64] = 1 + 8,
	[PNS_BSON_DECIMAL128] = 1 + 16,
	[PNS_BSON_MAXKEY] = 1,
	[PNS_BSON_MINKEY] = 1
};

/* ---------- building ---------- */

/*
 * pns_bson_begin starts an empty document; its buffer belongs to the current
 * context.
 */
void
pns_bson_begin(PnsBsonBuilder *builder)
{
	initStringInfo(&builder->buffer);
	builder->depth = 0;
	builder->spare_depth = 0;
	open_level(builder);
}

/*
 * pns_bson_end finishes the outermost document.  All that was opened must
 * have been closed.  The bytes are the builder's buffer.
 */
PnsDocument
pns_bson_end(PnsBsonBuilder *builder)
{
	PnsDocument document;

	Assert(builder->depth == 0);
	close_level(builder);
	document.data = (const uint8 *) builder->buffer.data;
	document.size = builder->buffer.len;
	return document;
}

/* pns_bson_open_document begins a sub-document. */
void
pns_bson_open_document(PnsBsonBuilder *builder, const char *key)
{
	begin_member(builder, PNS_BSON_DOCUMENT, key);
	builder->depth++;
	open_level(builder);
}

/* pns_bson_open_array begins an array; its keys are the caller's to give. */
void
pns_bson_open_array(PnsBsonBuilder *builder, const char *key)
{
	begin_member(builder, PNS_BSON_ARRAY, key);
	builder->depth++;
	open_level(builder);
}

/* pns_bson_close ends the sub-document or array that was opened last. */
void
pns_bson_close(PnsBsonBuilder *builder)
{
	Assert(builder->depth > 0);
	close_level(builder);
	builder->depth--;
}

/* pns_bson_append_double appends a double. */
void
pns_bson_append_double(PnsBsonBuilder *builder, const char *key, float8 value)
{
	int64		bits;

	memcpy(&bits, &value, sizeof(bits));
	begin_member(builder, PNS_BSON_DOUBLE, key);
	append_int64(&builder->buffer, bits);
}

/*
 * pns_bson_append_string appends size bytes, which must be UTF-8; zero bytes
 * are allowed.
 */
void
pns_bson_append_string(PnsBsonBuilder *builder, const char *key,
					   const char *value, uint32 size)
{
	begin_member(builder, PNS_BSON_STRING, key);
	append_int32(&builder->buffer, (int32) size + 1);
	appendBinaryStringInfo(&builder->buffer, value, size);
	appendStringInfoCharMacro(&builder->buffer, '\0');
}

/* pns_bson_append_cstring appends a zero-terminated string. */
void
pns_bson_append_cstring(PnsBsonBuilder *builder, const char *key,
						const char *value)
{
	pns_bson_append_string(builder, key, value, strlen(value));
}

/* pns_bson_append_text appends a string of the database's encoding. */
void
pns_bson_append_text(PnsBsonBuilder *builder, const char *key,
					 const char *value)
{
	pns_bson_append_cstring(builder, key, pns_text_from_server(value));
}

/* pns_bson_append_document appends a finished document as a sub-document. */
void
pns_bson_append_document(PnsBsonBuilder *builder, const char *key,
						 PnsDocument value)
{
	begin_member(builder, PNS_BSON_DOCUMENT, key);
	appendBinaryStringInfo(&builder->buffer, (const char *) value.data,
						   value.size);
}

/* pns_bson_append_array appends a finished document as an array. */
void
pns_bson_append_array(PnsBsonBuilder *builder, const char *key,
					  PnsDocument value)
{
	begin_member(builder, PNS_BSON_ARRAY, key);
	appendBinaryStringInfo(&builder->buffer, (const char *) value.data,
						   value.size);
}

/*
 * pns_bson_append_binary appends bytes of a subtype.  The old subtype 2 wants
 * its length said twice.
 */
void
pns_bson_append_binary(PnsBsonBuilder *builder, const char *key, uint8 subtype,
					   const uint8 *value, uint32 size)
{
	bool		old = (subtype == PNS_BSON_BINARY_OLD);

	begin_member(builder, PNS_BSON_BINARY, key);
	append_int32(&builder->buffer, (int32) size + (old ? 4 : 0));
	appendStringInfoCharMacro(&builder->buffer, (char) subtype);
	if (old)
		append_int32(&builder->buffer, (int32) size);
	appendBinaryStringInfo(&builder->buffer, (const char *) value, size);
}

/* pns_bson_append_objectid appends PNS_OBJECTID_SIZE bytes. */
void
pns_bson_append_objectid(PnsBsonBuilder *builder, const char *key,
						 const uint8 *value)
{
	begin_member(builder, PNS_BSON_OBJECTID, key);
	appendBinaryStringInfo(&builder->buffer, (const char *) value,
						   PNS_OBJECTID_SIZE);
}

/* pns_bson_append_bool appends a boolean. */
void
pns_bson_append_bool(PnsBsonBuilder *builder, const char *key, bool value)
{
	begin_member(builder, PNS_BSON_BOOL, key);
	appendStringInfoCharMacro(&builder->buffer, value ? 1 : 0);
}

/* pns_bson_append_date appends a date: milliseconds since 1970 in UTC. */
void
pns_bson_append_date(PnsBsonBuilder *builder, const char *key,
					 int64 milliseconds)
{
	begin_member(builder, PNS_BSON_DATE, key);
	append_int64(&builder->buffer, milliseconds);
}

/* pns_bson_append_null appends a null. */
void
pns_bson_append_null(PnsBsonBuilder *builder, const char *key)
{
	begin_member(builder, PNS_BSON_NULL, key);
}

/* pns_bson_append_int32 appends a 32-bit integer. */
void
pns_bson_append_int32(PnsBsonBuilder *builder, const char *key, int32 value)
{
	begin_member(builder, PNS_BSON_INT32, key);
	append_int32(&builder->buffer, value);
}

/* pns_bson_append_int64 appends a 64-bit integer. */
void
pns_bson_append_int64(PnsBsonBuilder *builder, const char *key, int64 value)
{
	begin_member(builder, PNS_BSON_INT64, key);
	append_int64(&builder->buffer, value);
}

/* pns_bson_append_value appends a value that was read elsewhere. */
void
pns_bson_append_value(PnsBsonBuilder *builder, const char *key,
					  PnsBsonValue value)
{
	begin_member(builder, value.type, key);
	appendBinaryStringInfo(&builder->buffer, (const char *) value.data,
						   value.size);
}

/* pns_bson_index makes the key of an array's element. */
const char *
pns_bson_index(int position)
{
	static char key[12];

	snprintf(key, sizeof(key), "%d", position);
	return key;
}

/* begin_member writes what stands before every value. */
static void
begin_member(PnsBsonBuilder *builder, PnsBsonType type, const char *key)
{
	appendStringInfoCharMacro(&builder->buffer, (char) type);
	appendBinaryStringInfo(&builder->buffer, key, strlen(key) + 1);
}

/*
 * open_level notes where a document begins and leaves room for its length.
 * builder->depth is already that of the new document.
 */
static void
open_level(PnsBsonBuilder *builder)
{
	if (builder->depth > PNS_BSON_MAX_DEPTH + builder->spare_depth)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("document is nested too deeply"),
				 errdetail("MongoDB allows %d levels.", PNS_BSON_MAX_DEPTH)));
	builder->starts[builder->depth] = builder->buffer.len;
	append_int32(&builder->buffer, 0);
}

/* close_level writes the closing zero and the length of the open document. */
static void
close_level(PnsBsonBuilder *builder)
{
	int			start = builder->starts[builder->depth];
	uint32		size;

	appendStringInfoCharMacro(&builder->buffer, '\0');
	size = pns_bson_little32((uint32) (builder->buffer.len - start));
	memcpy(builder->buffer.data + start, &size, sizeof(size));
}

/* append_int32 appends four bytes, least significant first. */
static void
append_int32(StringInfo buffer, int32 value)
{
	uint32		little = pns_bson_little32((uint32) value);

	appendBinaryStringInfo(buffer, (const char *) &little, sizeof(little));
}

/* append_int64 appends eight bytes, least significant first. */
static void
append_int64(StringInfo buffer, int64 value)
{
	uint64		little = pns_bson_little64((uint64) value);

	appendBinaryStringInfo(buffer, (const char *) &little, sizeof(little));
}

/* ---------- reading ---------- */

/* pns_bson_corrupt raises the error of bytes that are no BSON. */
void
pns_bson_corrupt(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("malformed BSON document received from the MongoDB server")));
}

/* pns_bson_iterate prepares to walk a document or array. */
void
pns_bson_iterate(PnsBsonIterator *iterator, PnsDocument document)
{
	if (document.size < PNS_BSON_MIN_SIZE ||
		pns_bson_read_uint32(document.data) != document.size ||
		document.data[document.size - 1] != 0)
		pns_bson_corrupt();
	iterator->next = document.data + 4;
	iterator->end = document.data + document.size - 1;
	iterator->key = NULL;
	iterator->key_size = 0;
}

/* pns_bson_next moves to the next member, or returns false at the end. */
bool
pns_bson_next(PnsBsonIterator *iterator)
{
	const uint8 *key = iterator->next + 1;
	const uint8 *key_end;

	if (iterator->next >= iterator->end)
		return false;

	key_end = pns_bson_key_end(key, iterator->end);
	iterator->key = (const char *) key;
	iterator->key_size = key_end - key;
	iterator->value.type = (PnsBsonType) *iterator->next;
	iterator->value.data = key_end + 1;
	iterator->value.size = pns_bson_value_size(*iterator->next, key_end + 1,
											   iterator->end);
	iterator->next = iterator->value.data + iterator->value.size;
	return true;
}

/* pns_bson_find looks a key up; of duplicates the first counts. */
bool
pns_bson_find(PnsDocument document, const char *key, PnsBsonValue *value)
{
	uint32		key_size = strlen(key);
	PnsBsonIterator iterator;

	pns_bson_iterate(&iterator, document);
	while (pns_bson_next(&iterator))
	{
		if (iterator.key_size == key_size &&
			memcmp(iterator.key, key, key_size) == 0)
		{
			*value = iterator.value;
			return true;
		}
	}
	return false;
}

/*
 * pns_bson_varying_size measures a value whose size is not its type's, and
 * checks that it ends before end.  XX001 where it does not.
 */
uint32
pns_bson_varying_size(uint8 type, const uint8 *data, const uint8 *end)
{
	uint32		size = 0;
	bool		good = false;

	switch (type)
	{
		case PNS_BSON_STRING:
		case PNS_BSON_CODE:
		case PNS_BSON_SYMBOL:
			good = string_size(data, end, &size);
			break;
		case PNS_BSON_DOCUMENT:
		case PNS_BSON_ARRAY:
			good = document_size(data, end, &size);
			break;
		case PNS_BSON_BINARY:
			if (end - data >= 5)
			{
				size = pns_bson_read_uint32(data);
				good = size <= (uint32) (end - data - 5);
				size += 5;
			}
			break;
		case PNS_BSON_REGEX:
			good = regex_size(data, end, &size);
			break;
		case PNS_BSON_DBPOINTER:
			good = string_size(data, end, &size) &&
				end - data - size >= PNS_OBJECTID_SIZE;
			size += PNS_OBJECTID_SIZE;
			break;
		case PNS_BSON_CODE_W_SCOPE:
			good = scoped_code_size(data, end, &size);
			break;
		default:
			break;
	}
	if (!good)
		pns_bson_corrupt();
	return size;
}

/* string_size measures a length, that many bytes, the last of them zero. */
static bool
string_size(const uint8 *data, const uint8 *end, uint32 *size)
{
	uint32		length;

	if (end - data < 5)
		return false;
	length = pns_bson_read_uint32(data);
	if (length < 1 || length > (uint32) (end - data - 4) ||
		data[4 + length - 1] != 0)
		return false;
	*size = 4 + length;
	return true;
}

/* document_size measures a document, whose length counts itself. */
static bool
document_size(const uint8 *data, const uint8 *end, uint32 *size)
{
	if (end - data < PNS_BSON_MIN_SIZE)
		return false;
	*size = pns_bson_read_uint32(data);
	return *size >= PNS_BSON_MIN_SIZE && *size <= (uint32) (end - data) &&
		data[*size - 1] == 0;
}

/* regex_size measures two zero-terminated strings. */
static bool
regex_size(const uint8 *data, const uint8 *end, uint32 *size)
{
	const uint8 *pattern_end = memchr(data, 0, end - data);
	const uint8 *options_end;

	if (pattern_end == NULL)
		return false;
	options_end = memchr(pattern_end + 1, 0, end - (pattern_end + 1));
	if (options_end == NULL)
		return false;
	*size = options_end + 1 - data;
	return true;
}

/* scoped_code_size measures a length, a string and a document within it. */
static bool
scoped_code_size(const uint8 *data, const uint8 *end, uint32 *size)
{
	uint32		code;
	uint32		scope;

	if (end - data < 4)
		return false;
	*size = pns_bson_read_uint32(data);
	if (*size > (uint32) (end - data) || *size < 4)
		return false;
	end = data + *size;
	return string_size(data + 4, end, &code) &&
		document_size(data + 4 + code, end, &scope) &&
		4 + code + scope == *size;
}
