/*-------------------------------------------------------------------------
 *
 * codec_test.c
 *	  The codec as SQL functions, for its tests.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/mman.h>
#include <unistd.h>

#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "mongo/codec.h"
#include "portability/instr_time.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

PG_MODULE_MAGIC;

/* Larger than the documents of all tests; whole pages. */
#define REGION_SIZE (8 * 1024 * 1024)

PG_FUNCTION_INFO_V1(decode_bson);
PG_FUNCTION_INFO_V1(decode_time);
PG_FUNCTION_INFO_V1(fuzz_bson);
PG_FUNCTION_INFO_V1(json_of_bson);
PG_FUNCTION_INFO_V1(rebuild_bson);
PG_FUNCTION_INFO_V1(nest_bson);
PG_FUNCTION_INFO_V1(bson_number);
PG_FUNCTION_INFO_V1(split_path);
PG_FUNCTION_INFO_V1(check_column_type);
PG_FUNCTION_INFO_V1(encode_value);
PG_FUNCTION_INFO_V1(encode_growth);
PG_FUNCTION_INFO_V1(parse_jsonb);
PG_FUNCTION_INFO_V1(parse_json);
PG_FUNCTION_INFO_V1(parse_root);
PG_FUNCTION_INFO_V1(parse_text_root);

PGDLLEXPORT Datum decode_bson(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum decode_time(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum fuzz_bson(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum json_of_bson(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum rebuild_bson(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum nest_bson(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum bson_number(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum split_path(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum check_column_type(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum encode_value(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum encode_growth(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum parse_jsonb(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum parse_json(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum parse_root(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum parse_text_root(PG_FUNCTION_ARGS);

static PnsDecoder *create_decoder(FunctionCallInfo fcinfo, TupleDesc *tupdesc);
static PnsEncoder *create_encoder(FunctionCallInfo fcinfo);
static Datum bytes_of(PnsDocument document);
static PnsDocument document_argument(FunctionCallInfo fcinfo, int n);
static PnsDocument at_fence(const uint8 *bytes, uint32 size);
static void damage(uint8 *bytes, uint32 *size, pg_prng_state * random);
static bool survives(PnsDecoder *decoder, TupleDesc tupdesc,
					 PnsDocument document);
static void rebuild(PnsBsonBuilder *builder, PnsDocument document);
static void rebuild_member(PnsBsonBuilder *builder,
						   const PnsBsonIterator *member);

/*
 * decode_bson decodes a document (argument 0) into the row that the call's
 * column definition list describes.  Argument 1 has the paths, NULL for the
 * whole document; 2 and 3 are null_on_mismatch and canonical.
 */
Datum
decode_bson(PG_FUNCTION_ARGS)
{
	TupleDesc	tupdesc;
	PnsDecoder *decoder = create_decoder(fcinfo, &tupdesc);
	Datum	   *values = palloc(tupdesc->natts * sizeof(Datum));
	bool	   *nulls = palloc(tupdesc->natts * sizeof(bool));

	pns_mongo_decode(decoder, document_argument(fcinfo, 0), values, nulls);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(tupdesc, values, nulls)));
}

/*
 * decode_time decodes a document as often as argument 4 says and returns the
 * nanoseconds that one took.  Its columns are those of argument 5, a NULL row
 * of a composite type.
 */
Datum
decode_time(PG_FUNCTION_ARGS)
{
	TupleDesc	tupdesc;
	PnsDecoder *decoder = create_decoder(fcinfo, &tupdesc);
	PnsDocument document = document_argument(fcinfo, 0);
	Datum	   *values = palloc(tupdesc->natts * sizeof(Datum));
	bool	   *nulls = palloc(tupdesc->natts * sizeof(bool));
	int			count = PG_GETARG_INT32(4);
	MemoryContext batch = AllocSetContextCreate(CurrentMemoryContext, "batch",
												ALLOCSET_DEFAULT_SIZES);
	MemoryContext outer = MemoryContextSwitchTo(batch);
	instr_time	start;
	instr_time	duration;

	INSTR_TIME_SET_CURRENT(start);
	for (int i = 0; i < count; i++)
	{
		pns_mongo_decode(decoder, document, values, nulls);
		if (i % 100 == 99)
			MemoryContextReset(batch);
	}
	INSTR_TIME_SET_CURRENT(duration);
	INSTR_TIME_SUBTRACT(duration, start);
	MemoryContextSwitchTo(outer);
	PG_RETURN_FLOAT8(INSTR_TIME_GET_DOUBLE(duration) * 1e9 / count);
}

/*
 * fuzz_bson damages a document (argument 0) in random ways, as often as
 * argument 4 says and with the seed of argument 5, and decodes it all the
 * same.  It returns how many of the damaged documents could be decoded; the
 * others must have raised XX001.
 */
Datum
fuzz_bson(PG_FUNCTION_ARGS)
{
	TupleDesc	tupdesc;
	PnsDecoder *decoder = create_decoder(fcinfo, &tupdesc);
	PnsDocument document = document_argument(fcinfo, 0);
	int			count = PG_GETARG_INT32(4);
	int			good = 0;
	pg_prng_state random;
	MemoryContext round = AllocSetContextCreate(CurrentMemoryContext, "round",
												ALLOCSET_DEFAULT_SIZES);
	uint8	   *original = palloc(document.size);
	uint8	   *bytes = palloc(document.size);
	MemoryContext outer = MemoryContextSwitchTo(round);

	memcpy(original, document.data, document.size);
	pg_prng_seed(&random, PG_GETARG_INT64(5));
	for (int i = 0; i < count; i++)
	{
		uint32		size = document.size;

		memcpy(bytes, original, size);
		damage(bytes, &size, &random);
		good += survives(decoder, tupdesc, at_fence(bytes, size));
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(round);
	}
	MemoryContextSwitchTo(outer);
	PG_RETURN_INT32(good);
}

/* json_of_bson returns a document as Extended JSON, NULL where it has none. */
Datum
json_of_bson(PG_FUNCTION_ARGS)
{
	StringInfoData out;

	initStringInfo(&out);
	if (!pns_json_append_document(&out, document_argument(fcinfo, 0),
								  PG_GETARG_BOOL(1) ? PNS_JSON_CANONICAL :
								  PNS_JSON_RELAXED))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}

/* rebuild_bson copies a document member by member through the builder. */
Datum
rebuild_bson(PG_FUNCTION_ARGS)
{
	PnsBsonBuilder builder;
	PnsDocument copy;

	pns_bson_begin(&builder);
	rebuild(&builder, document_argument(fcinfo, 0));
	copy = pns_bson_end(&builder);
	PG_RETURN_BYTEA_P(cstring_to_text_with_len((const char *) copy.data,
											   copy.size));
}

/* nest_bson builds a document of so many levels. */
Datum
nest_bson(PG_FUNCTION_ARGS)
{
	int			levels = PG_GETARG_INT32(0);
	PnsBsonBuilder builder;
	PnsDocument document;

	pns_bson_begin(&builder);
	for (int i = 0; i < levels; i++)
		pns_bson_open_array(&builder, "a");
	for (int i = 0; i < levels; i++)
		pns_bson_close(&builder);
	document = pns_bson_end(&builder);
	PG_RETURN_BYTEA_P(cstring_to_text_with_len((const char *) document.data,
											   document.size));
}

/* bson_number returns the number under the key of argument 1. */
Datum
bson_number(PG_FUNCTION_ARGS)
{
	PnsBsonValue value;
	float8		number;

	if (!pns_bson_find(document_argument(fcinfo, 0),
					   text_to_cstring(PG_GETARG_TEXT_PP(1)), &value) ||
		!pns_bson_value_number(&value, &number))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(number);
}

/* split_path returns the keys of a path. */
Datum
split_path(PG_FUNCTION_ARGS)
{
	List	   *keys = pns_mongo_split_path(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	ArrayBuildState *array = NULL;
	ListCell   *cell;

	foreach(cell, keys)
		array = accumArrayResult(array, CStringGetTextDatum(lfirst(cell)),
								 false, TEXTOID, CurrentMemoryContext);
	PG_RETURN_DATUM(makeArrayResult(array, CurrentMemoryContext));
}

/* check_column_type raises an error where a type cannot be a column's. */
Datum
check_column_type(PG_FUNCTION_ARGS)
{
	pns_mongo_check_column_type(PG_GETARG_OID(0), -1, PG_GETARG_BOOL(1), "c");
	PG_RETURN_VOID();
}

/*
 * encode_value writes argument 0 as the member "v" of a document.  Argument 1
 * is the type's modifier; 2 and 3 are the options objectid and round.
 */
Datum
encode_value(PG_FUNCTION_ARGS)
{
	PnsEncoder *encoder = create_encoder(fcinfo);
	PnsBsonBuilder builder;

	pns_bson_begin(&builder);
	pns_mongo_encode(encoder, &builder, "v", PG_GETARG_DATUM(0));
	PG_RETURN_DATUM(bytes_of(pns_bson_end(&builder)));
}

/*
 * encode_growth writes a value as often as argument 4 says, and returns by how
 * many bytes the encoder's memory has grown after the first time.
 */
Datum
encode_growth(PG_FUNCTION_ARGS)
{
	MemoryContext lasting = AllocSetContextCreate(CurrentMemoryContext, "lasting",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext row = AllocSetContextCreate(CurrentMemoryContext, "row",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContext outer = MemoryContextSwitchTo(lasting);
	PnsEncoder *encoder = create_encoder(fcinfo);
	int64		first = 0;

	MemoryContextSwitchTo(row);
	for (int i = 0; i < PG_GETARG_INT32(4); i++)
	{
		PnsBsonBuilder builder;

		pns_bson_begin(&builder);
		pns_mongo_encode(encoder, &builder, "v", PG_GETARG_DATUM(0));
		pns_bson_end(&builder);
		MemoryContextReset(row);
		if (i == 0)
			first = MemoryContextMemAllocated(TopMemoryContext, true);
	}
	first = MemoryContextMemAllocated(TopMemoryContext, true) - first;
	MemoryContextSwitchTo(outer);
	PG_RETURN_INT64(first);
}

/* parse_jsonb makes a document with a value as its member "v". */
Datum
parse_jsonb(PG_FUNCTION_ARGS)
{
	PnsBsonBuilder builder;

	pns_bson_begin(&builder);
	pns_mongo_parse_value(&builder, "v", PG_GETARG_JSONB_P(0));
	PG_RETURN_DATUM(bytes_of(pns_bson_end(&builder)));
}

/* parse_json does the same with text. */
Datum
parse_json(PG_FUNCTION_ARGS)
{
	PnsBsonBuilder builder;

	pns_bson_begin(&builder);
	pns_parse_json(&builder, "v", PG_GETARG_TEXT_PP(0), "test");
	PG_RETURN_DATUM(bytes_of(pns_bson_end(&builder)));
}

/* parse_root makes a document, or with argument 1 an array. */
Datum
parse_root(PG_FUNCTION_ARGS)
{
	Jsonb	   *json = PG_GETARG_JSONB_P(0);

	PG_RETURN_DATUM(bytes_of(PG_GETARG_BOOL(1) ?
							 pns_mongo_parse_array(json, "test") :
							 pns_mongo_parse_document(json, "test")));
}

/* parse_text_root does the same with text. */
Datum
parse_text_root(PG_FUNCTION_ARGS)
{
	text	   *json = PG_GETARG_TEXT_PP(0);

	PG_RETURN_DATUM(bytes_of(PG_GETARG_BOOL(1) ?
							 pns_mongo_parse_array_text(json, "test") :
							 pns_mongo_parse_document_text(json, "test")));
}

/* create_encoder makes the encoder of a call's first argument. */
static PnsEncoder *
create_encoder(FunctionCallInfo fcinfo)
{
	PnsEncoding encoding = {
		.column = "c",
		.collection = "things",
		.type = get_fn_expr_argtype(fcinfo->flinfo, 0),
		.typmod = PG_GETARG_INT32(1),
		.objectid = PG_GETARG_BOOL(2),
		.round = PG_GETARG_BOOL(3),
	};

	return pns_mongo_encoder_create(&encoding);
}

/* bytes_of returns a document as bytea. */
static Datum
bytes_of(PnsDocument document)
{
	return PointerGetDatum(cstring_to_text_with_len((const char *) document.data,
													document.size));
}

/* create_decoder makes the decoder of a call's result or composite argument. */
static PnsDecoder *
create_decoder(FunctionCallInfo fcinfo, TupleDesc *tupdesc)
{
	ArrayType  *paths = PG_GETARG_ARRAYTYPE_P(1);
	PnsColumn  *columns;
	Datum	   *path;
	bool	   *whole;
	int			npaths;

	if (get_call_result_type(fcinfo, NULL, tupdesc) != TYPEFUNC_COMPOSITE)
		*tupdesc = lookup_rowtype_tupdesc_copy(get_fn_expr_argtype(fcinfo->flinfo,
																   PG_NARGS() - 1),
											   -1);
	deconstruct_array(paths, TEXTOID, -1, false, TYPALIGN_INT, &path, &whole,
					  &npaths);
	if (npaths != (*tupdesc)->natts)
		/* elog: a test of ours */
		elog(ERROR, "%d paths for %d columns", npaths, (*tupdesc)->natts);

	columns = palloc0(npaths * sizeof(PnsColumn));
	for (int i = 0; i < npaths; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(*tupdesc, i);

		columns[i].attnum = i + 1;
		columns[i].name = NameStr(attribute->attname);
		columns[i].collection = "things";
		columns[i].type = attribute->atttypid;
		columns[i].typmod = attribute->atttypmod;
		columns[i].document = whole[i];
		columns[i].path = whole[i] ? NULL : TextDatumGetCString(path[i]);
		columns[i].null_on_mismatch = PG_GETARG_BOOL(2);
		columns[i].json_format = PG_GETARG_BOOL(3) ? PNS_JSON_CANONICAL :
			PNS_JSON_RELAXED;
		pns_mongo_check_column_type(columns[i].type, columns[i].typmod,
									columns[i].document, columns[i].name);
	}
	return pns_mongo_decoder_create(columns, npaths);
}

/* document_argument returns the document that a bytea has. */
static PnsDocument
document_argument(FunctionCallInfo fcinfo, int n)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(n);

	return at_fence((const uint8 *) VARDATA_ANY(bytes),
					VARSIZE_ANY_EXHDR(bytes));
}

/*
 * at_fence copies a document to the end of the last readable page of a
 * region, so that reading a byte too many crashes.  The next call overwrites
 * it.
 */
static PnsDocument
at_fence(const uint8 *bytes, uint32 size)
{
	static uint8 *fence = NULL;
	PnsDocument document;

	if (fence == NULL)
	{
		long		page = sysconf(_SC_PAGESIZE);
		uint8	   *region = mmap(NULL, REGION_SIZE + page,
								  PROT_READ | PROT_WRITE,
								  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (region == MAP_FAILED ||
			mprotect(region + REGION_SIZE, page, PROT_NONE) != 0)
			elog(ERROR, "no memory for a fence");	/* elog: a test of ours */
		fence = region + REGION_SIZE;
	}
	if (size > REGION_SIZE)
		elog(ERROR, "document too large");	/* elog: a test of ours */
	document.data = memcpy(fence - size, bytes, size);
	document.size = size;
	return document;
}

/*
 * damage cuts a document, sometimes with its length put right, or flips a few
 * of its bytes or bits, or moves a part of it.
 */
static void
damage(uint8 *bytes, uint32 *size, pg_prng_state * random)
{
	uint32		length = *size;
	uint64		flips;

	switch (pg_prng_uint64_range(random, 0, 5))
	{
		case 0:
			*size = pg_prng_uint64_range(random, 0, length - 1);
			return;
		case 1:
			*size = pg_prng_uint64_range(random, 5, length);
			memcpy(bytes, size, sizeof(*size));
			bytes[*size - 1] = 0;
			return;
		case 2:
			flips = pg_prng_uint64_range(random, 1, 8);
			while (flips-- > 0)
				bytes[pg_prng_uint64_range(random, 4, length - 2)] =
					(uint8) pg_prng_uint64_range(random, 0, 255);
			return;
		case 3:
			flips = pg_prng_uint64_range(random, 1, 8);
			while (flips-- > 0)
				bytes[pg_prng_uint64_range(random, 4, length - 2)] ^=
					1 << pg_prng_uint64_range(random, 0, 7);
			return;
		case 4:
			{
				uint32		from = pg_prng_uint64_range(random, 4, length - 2);
				uint32		to = pg_prng_uint64_range(random, 4, length - 2);

				memmove(bytes + to, bytes + from,
						length - 1 - Max(from, to));
				return;
			}
		default:
			{
				static const uint32 lengths[] = {
					0, 1, 4, 5, 0x7fffffff, 0x80000000, 0xfffffffb, 0xffffffff
				};
				uint32		at = pg_prng_uint64_range(random, 0, length - 4);
				uint32		value = lengths[pg_prng_uint64_range(random, 0, 7)];

				memcpy(bytes + at, &value, sizeof(value));
			}
	}
}

/*
 * survives decodes a document and looks at every value that came of it.  Any
 * error but that of a malformed document is raised again.
 */
static bool
survives(PnsDecoder *decoder, TupleDesc tupdesc, PnsDocument document)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool good = true;

	PG_TRY();
	{
		Datum	   *values = palloc(tupdesc->natts * sizeof(Datum));
		bool	   *nulls = palloc(tupdesc->natts * sizeof(bool));

		pns_mongo_decode(decoder, document, values, nulls);
		for (int i = 0; i < tupdesc->natts; i++)
		{
			Oid			output;
			bool		varlena;

			if (nulls[i])
				continue;
			getTypeOutputInfo(TupleDescAttr(tupdesc, i)->atttypid, &output,
							  &varlena);
			OidOutputFunctionCall(output, values[i]);
		}
	}
	PG_CATCH();
	{
		if (geterrcode() != ERRCODE_DATA_CORRUPTED)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
		good = false;
	}
	PG_END_TRY();
	return good;
}

/* rebuild appends all members of a document. */
static void
rebuild(PnsBsonBuilder *builder, PnsDocument document)
{
	PnsBsonIterator iterator;

	pns_bson_iterate(&iterator, document);
	while (pns_bson_next(&iterator))
		rebuild_member(builder, &iterator);
}

/* rebuild_member appends one member by the function of its type. */
static void
rebuild_member(PnsBsonBuilder *builder, const PnsBsonIterator *member)
{
	const PnsBsonValue *value = &member->value;
	const char *str;
	const uint8 *data;
	uint32		size;
	uint8		subtype;
	float8		number;

	switch (value->type)
	{
		case PNS_BSON_DOUBLE:
			pns_bson_value_number(value, &number);
			pns_bson_append_double(builder, member->key, number);
			break;
		case PNS_BSON_STRING:
			str = pns_bson_value_string(value, &size);

			pns_bson_append_string(builder, member->key, str, size);
			break;
		case PNS_BSON_DOCUMENT:
			pns_bson_open_document(builder, member->key);
			rebuild(builder, pns_bson_value_document(value));
			pns_bson_close(builder);
			break;
		case PNS_BSON_ARRAY:
			pns_bson_open_array(builder, member->key);
			rebuild(builder, pns_bson_value_document(value));
			pns_bson_close(builder);
			break;
		case PNS_BSON_BINARY:
			data = pns_bson_value_binary(value, &size, &subtype);
			pns_bson_append_binary(builder, member->key, subtype, data, size);
			break;
		case PNS_BSON_OBJECTID:
			pns_bson_append_objectid(builder, member->key, value->data);
			break;
		case PNS_BSON_BOOL:
			pns_bson_append_bool(builder, member->key, value->data[0] != 0);
			break;
		case PNS_BSON_DATE:
			pns_bson_append_date(builder, member->key,
								 pns_bson_value_date(value));
			break;
		case PNS_BSON_NULL:
			pns_bson_append_null(builder, member->key);
			break;
		case PNS_BSON_INT32:
			pns_bson_value_number(value, &number);
			pns_bson_append_int32(builder, member->key, (int32) number);
			break;
		case PNS_BSON_INT64:
			pns_bson_append_int64(builder, member->key,
								  pns_bson_read_int64(value->data));
			break;
		default:
			pns_bson_append_value(builder, member->key, *value);
			break;
	}
}
