/*-------------------------------------------------------------------------
 *
 * jsonb.c
 *	  BSON as jsonb, without a detour over text or a tree.
 *
 * The result equals what jsonb's input function makes of the text that json.c
 * writes.  The bytes are laid out here as utils/jsonb.h describes them: of
 * each container first the header, then a JEntry per child, then the
 * children's data, an object's keys (sorted by length, then bytes) before its
 * values.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "mongo/codec.h"
#include "utils/jsonb.h"

/* Below this, insertion sorts faster than qsort. */
#define SMALL_OBJECT 16

/* A member of the container that is being written. */
typedef struct Member
{
	const char *key;			/* in the database's encoding; not in arrays */
	uint32		key_size;
	uint32		position;
	PnsBsonValue value;
} Member;

/*
 * Kept from document to document, so that writing one allocates only its
 * result.
 */
struct PnsJsonbWriter
{
	StringInfoData out;
	Member	   *members;		/* a stack: those of all open containers */
	int			nmembers;
	int			capacity;
	PnsFit		fit;			/* why writing has failed */
};

static bool write_scalar_root(PnsJsonbWriter *writer,
							  const PnsBsonValue *value, PnsJsonFormat format);
static bool write_value(PnsJsonbWriter *writer, const PnsBsonValue *value,
						PnsJsonFormat format, JEntry *entry);
static bool write_wrapped(PnsJsonbWriter *writer, const PnsBsonValue *value,
						  PnsJsonFormat format, JEntry *entry);
static bool write_container(PnsJsonbWriter *writer, PnsDocument document,
							bool array, PnsJsonFormat format, JEntry *entry);
static bool write_children(PnsJsonbWriter *writer, int first, bool array,
						   PnsJsonFormat format, JEntry *entry);
static bool collect_members(PnsJsonbWriter *writer, PnsDocument document,
							bool array);
static void sort_members(PnsJsonbWriter *writer, int first);
static int	compare_members(const void *a, const void *b);
static bool write_string(PnsJsonbWriter *writer, const char *str, uint32 size,
						 JEntry *entry);
static bool write_numeric(PnsJsonbWriter *writer, Numeric number,
						  JEntry *entry);
static Numeric number_of(const PnsBsonValue *value);
static void reserve_bytes(StringInfo out, int size);
static void align_to_int(StringInfo out);
static bool put_entry(PnsJsonbWriter *writer, int at, int index,
					  JEntry entry, uint32 *total);
static bool fail(PnsJsonbWriter *writer, PnsFit fit);

/* pns_jsonb_writer_create makes a writer that lives in the current context. */
PnsJsonbWriter *
pns_jsonb_writer_create(void)
{
	PnsJsonbWriter *writer = palloc0(sizeof(PnsJsonbWriter));

	initStringInfo(&writer->out);
	writer->capacity = 64;
	writer->members = palloc(writer->capacity * sizeof(Member));
	return writer;
}

/*
 * pns_jsonb_write_value makes a jsonb in the current context, or says why the
 * value cannot be one.
 */
PnsFit
pns_jsonb_write_value(PnsJsonbWriter *writer, const PnsBsonValue *value,
					  PnsJsonFormat format, Datum *result)
{
	JEntry		entry;
	bool		good;
	Jsonb	   *jsonb;

	resetStringInfo(&writer->out);
	reserve_bytes(&writer->out, VARHDRSZ);
	writer->nmembers = 0;
	writer->fit = PNS_FITS;

	if (value->type == PNS_BSON_DOCUMENT || value->type == PNS_BSON_ARRAY)
		good = write_value(writer, value, format, &entry);
	else if (!pns_json_is_plain(value, format))
		good = write_wrapped(writer, value, format, &entry);
	else
		good = write_scalar_root(writer, value, format);
	if (!good)
		return writer->fit;

	jsonb = palloc(writer->out.len);
	memcpy(jsonb, writer->out.data, writer->out.len);
	SET_VARSIZE(jsonb, writer->out.len);
	*result = JsonbPGetDatum(jsonb);
	return PNS_FITS;
}

/* write_scalar_root writes a scalar as the array of one that jsonb makes of it. */
static bool
write_scalar_root(PnsJsonbWriter *writer, const PnsBsonValue *value,
				  PnsJsonFormat format)
{
	uint32		header = 1 | JB_FARRAY | JB_FSCALAR;
	int			at;
	JEntry		entry;
	uint32		total = 0;

	appendBinaryStringInfo(&writer->out, (char *) &header, sizeof(header));
	at = writer->out.len;
	reserve_bytes(&writer->out, sizeof(JEntry));
	return write_value(writer, value, format, &entry) &&
		put_entry(writer, at, 0, entry, &total);
}

/* write_value appends a value's data; entry is its type and length. */
static bool
write_value(PnsJsonbWriter *writer, const PnsBsonValue *value,
			PnsJsonFormat format, JEntry *entry)
{
	if (!pns_json_is_plain(value, format))
		return write_wrapped(writer, value, format, entry);

	switch (value->type)
	{
		case PNS_BSON_STRING:
			{
				uint32		size = value->size - 5;
				const char *str = (const char *) value->data + 4;
				PnsFit		fit = pns_text_to_server(&str, &size);

				if (fit != PNS_FITS)
					return fail(writer, fit);
				return write_string(writer, str, size, entry);
			}
		case PNS_BSON_DOCUMENT:
		case PNS_BSON_ARRAY:
			return write_container(writer, pns_bson_value_document(value),
								   value->type == PNS_BSON_ARRAY, format,
								   entry);
		case PNS_BSON_BOOL:
			*entry = value->data[0] ? JENTRY_ISBOOL_TRUE : JENTRY_ISBOOL_FALSE;
			return true;
		case PNS_BSON_NULL:
			*entry = JENTRY_ISNULL;
			return true;
		default:
			return write_numeric(writer, number_of(value), entry);
	}
}

/* write_wrapped appends the object that stands for a value. */
static bool
write_wrapped(PnsJsonbWriter *writer, const PnsBsonValue *value,
			  PnsJsonFormat format, JEntry *entry)
{
	PnsBsonBuilder builder;
	PnsDocument document;
	bool		good;

	pns_bson_begin(&builder);
	document = pns_json_wrap(value, format, &builder);
	good = write_container(writer, document, false,
						   pns_json_inner_format(value, format), entry);
	pfree(builder.buffer.data);
	return good;
}

/* write_container appends an object or an array. */
static bool
write_container(PnsJsonbWriter *writer, PnsDocument document, bool array,
				PnsJsonFormat format, JEntry *entry)
{
	int			first = writer->nmembers;
	bool		good;

	check_stack_depth();
	good = collect_members(writer, document, array);
	if (good)
	{
		if (!array)
			sort_members(writer, first);
		good = write_children(writer, first, array, format, entry);
	}
	writer->nmembers = first;
	return good;
}

/*
 * write_children appends the header, the entries and the data of the members
 * from first on.  Keys come before values.
 */
static bool
write_children(PnsJsonbWriter *writer, int first, bool array,
			   PnsJsonFormat format, JEntry *entry)
{
	int			count = writer->nmembers - first;
	int			start = writer->out.len;
	uint32		header = count | (array ? JB_FARRAY : JB_FOBJECT);
	uint32		total = 0;
	int			index = 0;
	int			at;
	JEntry		child;

	if (count > JB_CMASK)
		return fail(writer, PNS_MISFIT_SIZE);
	align_to_int(&writer->out);
	appendBinaryStringInfo(&writer->out, (char *) &header, sizeof(header));
	at = writer->out.len;
	reserve_bytes(&writer->out, (array ? 1 : 2) * count * sizeof(JEntry));

	for (int i = 0; !array && i < count; i++)
	{
		Member	   *member = &writer->members[first + i];

		if (!write_string(writer, member->key, member->key_size, &child) ||
			!put_entry(writer, at, index++, child, &total))
			return false;
	}
	for (int i = 0; i < count; i++)
	{
		/* a copy, as the stack may move */
		PnsBsonValue value = writer->members[first + i].value;

		if (!write_value(writer, &value, format, &child) ||
			!put_entry(writer, at, index++, child, &total))
			return false;
	}

	/* this counts the padding before the header too */
	total = writer->out.len - start;
	if (total > JENTRY_OFFLENMASK)
		return fail(writer, PNS_MISFIT_SIZE);
	*entry = JENTRY_ISCONTAINER | total;
	return true;
}

/*
 * put_entry stores the entry of a container's child.  Each so many hold the
 * offset of the child's end instead of its length.
 */
static bool
put_entry(PnsJsonbWriter *writer, int at, int index, JEntry entry,
		  uint32 *total)
{
	*total += JBE_OFFLENFLD(entry);
	if (*total > JENTRY_OFFLENMASK)
		return fail(writer, PNS_MISFIT_SIZE);
	if (index % JB_OFFSET_STRIDE == 0)
		entry = (entry & JENTRY_TYPEMASK) | *total | JENTRY_HAS_OFF;
	memcpy(writer->out.data + at + index * sizeof(JEntry), &entry,
		   sizeof(entry));
	return true;
}

/* collect_members pushes a document's members onto the stack. */
static bool
collect_members(PnsJsonbWriter *writer, PnsDocument document, bool array)
{
	int			first = writer->nmembers;
	PnsBsonIterator iterator;

	pns_bson_iterate(&iterator, document);
	while (pns_bson_next(&iterator))
	{
		Member	   *member;

		if (writer->nmembers == writer->capacity)
		{
			writer->capacity *= 2;
			writer->members = repalloc_huge(writer->members,
											writer->capacity * sizeof(Member));
		}
		member = &writer->members[writer->nmembers];
		member->position = writer->nmembers - first;
		member->value = iterator.value;
		writer->nmembers++;
		if (!array)
		{
			PnsFit		fit;

			member->key = iterator.key;
			member->key_size = iterator.key_size;
			fit = pns_text_to_server(&member->key, &member->key_size);
			if (fit != PNS_FITS)
				return fail(writer, fit);
		}
	}
	return true;
}

/*
 * sort_members puts the members from first on into jsonb's order of keys and
 * keeps the first of those with equal keys, as a column reads it.
 */
static void
sort_members(PnsJsonbWriter *writer, int first)
{
	Member	   *members = writer->members + first;
	int			count = writer->nmembers - first;
	int			kept = 0;

	if (count > SMALL_OBJECT)
		qsort(members, count, sizeof(Member), compare_members);
	else
	{
		for (int i = 1; i < count; i++)
		{
			Member		member = members[i];
			int			j = i;

			for (; j > 0 && compare_members(&members[j - 1], &member) > 0; j--)
				members[j] = members[j - 1];
			members[j] = member;
		}
	}

	for (int i = 0; i < count; i++)
	{
		if (kept > 0 && members[i].key_size == members[kept - 1].key_size &&
			memcmp(members[i].key, members[kept - 1].key,
				   members[i].key_size) == 0)
			continue;
		if (kept != i)
			members[kept] = members[i];
		kept++;
	}
	writer->nmembers = first + kept;
}

/* compare_members orders by the keys' length, their bytes, their position. */
static int
compare_members(const void *a, const void *b)
{
	const Member *left = a;
	const Member *right = b;
	int			order;

	if (left->key_size != right->key_size)
		return left->key_size > right->key_size ? 1 : -1;
	order = memcmp(left->key, right->key, left->key_size);
	if (order != 0)
		return order;
	return left->position > right->position ? 1 : -1;
}

/* write_string appends a string in the database's encoding. */
static bool
write_string(PnsJsonbWriter *writer, const char *str, uint32 size,
			 JEntry *entry)
{
	if (size > JENTRY_OFFLENMASK)
		return fail(writer, PNS_MISFIT_SIZE);
	appendBinaryStringInfo(&writer->out, str, size);
	*entry = JENTRY_ISSTRING | size;
	return true;
}

/* write_numeric appends a number, aligned; the padding counts. */
static bool
write_numeric(PnsJsonbWriter *writer, Numeric number, JEntry *entry)
{
	int			start = writer->out.len;

	align_to_int(&writer->out);
	appendBinaryStringInfo(&writer->out, (char *) number, VARSIZE(number));
	*entry = JENTRY_ISNUMERIC | (writer->out.len - start);
	pfree(number);
	return true;
}

/* number_of returns an integer or a finite double as json.c would write it. */
static Numeric
number_of(const PnsBsonValue *value)
{
	if (value->type == PNS_BSON_INT32)
		return int64_to_numeric(pns_bson_read_int32(value->data));
	if (value->type == PNS_BSON_INT64)
		return int64_to_numeric(pns_bson_read_int64(value->data));
	return pns_double_to_json_numeric(pns_bson_read_double(value->data));
}

/* reserve_bytes appends bytes that are filled in later. */
static void
reserve_bytes(StringInfo out, int size)
{
	enlargeStringInfo(out, size);
	out->len += size;
}

/* align_to_int appends zeros up to a multiple of four. */
static void
align_to_int(StringInfo out)
{
	int			padding = INTALIGN(out->len) - out->len;

	appendBinaryStringInfo(out, "\0\0\0", padding);
}

/* fail notes why writing has failed, and returns false. */
static bool
fail(PnsJsonbWriter *writer, PnsFit fit)
{
	writer->fit = fit;
	return false;
}
