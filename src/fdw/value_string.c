/*-------------------------------------------------------------------------
 *
 * value_string.c
 *	  How strings and enums compare in MongoDB.
 *
 * MongoDB orders strings by their bytes, as PostgreSQL does under the collation
 * C.  A text column reads ObjectIds too, as their 24 hexadecimal digits, so
 * each comparison of strings has one of ObjectIds beside it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgrprotos.h"
#include "utils/syscache.h"

#include "fdw/private.h"

#define OBJECTID_HEX_SIZE (2 * PNS_OBJECTID_SIZE)

static bool text_points(const PnsQual *qual, Datum value, List **scalars);
static PnsFilter text_range(const PnsQual *qual, PnsCompareOp op, Datum value, bool bounded);
static PnsFilter text_fits(const PnsTableColumn *column, PnsBounds bounds, bool *all);
static PnsFilter is_not_longer(const PnsTableColumn *column, int limit);
static PnsFilter bpchar_range(const PnsQual *qual, PnsCompareOp op, Datum value, bool bounded);
static bool enum_points(const PnsQual *qual, Datum value, List **scalars);
static PnsFilter enum_range(const PnsQual *qual, PnsCompareOp op, Datum value, bool bounded);
static PnsFilter enum_fits(const PnsTableColumn *column, PnsBounds bounds, bool *all);
static PnsFilter labels_between(const PnsTableColumn *column, bool below, bool equal, bool above,
								float4 position);
static float4 label_position(Oid label);

/* text, varchar, name */
const PnsValueRules pns_text_rules = {
	.types = {"string", "objectId", NULL},
	.strangers = {"array", "symbol", NULL},
	.points = text_points,
	.range = text_range,
	.fits = text_fits,
};

/* char(n) */
const PnsValueRules pns_bpchar_rules = {
	.types = {"string", NULL},
	.strangers = {"array", "symbol", NULL},
	.range = bpchar_range,
	.fits = text_fits,
};

/* enums */
const PnsValueRules pns_enum_rules = {
	.types = {"string", NULL},
	.strangers = {"array", "symbol", NULL},
	.points = enum_points,
	.range = enum_range,
	.fits = enum_fits,
};

/*
 * string_scalar makes a scalar of a string in the database's encoding.
 */
static PnsScalar
string_scalar(const char *data, int size)
{
	PnsScalar	scalar = {.type = PNS_BSON_STRING};

	scalar.data = pg_server_to_any(data, size, PG_UTF8);
	scalar.size = scalar.data == data ? size : strlen(scalar.data);
	return scalar;
}

/*
 * text_operand reads an operand of type text, varchar or name.
 */
static void
text_operand(const PnsQual *qual, Datum value, const char **data, int *size)
{
	if (qual->operand_type == NAMEOID)
	{
		*data = NameStr(*DatumGetName(value));
		*size = strlen(*data);
	}
	else
	{
		text	   *string = DatumGetTextPP(value);

		*data = VARDATA_ANY(string);
		*size = VARSIZE_ANY_EXHDR(string);
	}
}

/*
 * hex_value gives the value of a hexadecimal digit as an ObjectId is written,
 * in lower case; -1 for anything else.
 */
static int
hex_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	return -1;
}

/*
 * hex_at_least finds the smallest string of 24 hexadecimal digits that is not
 * below data in the order of bytes.  False where all of them are below.
 * *equal tells whether it is data itself.
 */
static bool
hex_at_least(const char *data, int size, char *hex, bool *equal)
{
	static const char digits[] = "0123456789abcdef";
	int			i;

	*equal = false;
	memset(hex, '0', OBJECTID_HEX_SIZE);
	for (i = 0; i < OBJECTID_HEX_SIZE && i < size && hex_value(data[i]) >= 0; i++)
		hex[i] = data[i];
	if (i == OBJECTID_HEX_SIZE && size == i)
	{
		*equal = true;
		return true;
	}
	if (i == size)
		return true;			/* data is a true prefix */

	/* take the next greater digit at i, or before it */
	if (i < OBJECTID_HEX_SIZE)
	{
		for (int d = 0; d < 16; d++)
		{
			if ((unsigned char) digits[d] > (unsigned char) data[i])
			{
				hex[i] = digits[d];
				return true;
			}
		}
	}
	while (--i >= 0)
	{
		int			digit = hex_value(hex[i]);

		hex[i] = '0';
		if (digit < 15)
		{
			hex[i] = digits[digit + 1];
			return true;
		}
	}
	return false;
}

/*
 * objectid_of_hex makes the scalar of an ObjectId.
 */
static PnsScalar
objectid_of_hex(const char *hex)
{
	PnsScalar	scalar = {.type = PNS_BSON_OBJECTID};
	char	   *bytes = palloc(PNS_OBJECTID_SIZE);

	for (int i = 0; i < PNS_OBJECTID_SIZE; i++)
		bytes[i] = (char) (hex_value(hex[2 * i]) << 4 | hex_value(hex[2 * i + 1]));
	scalar.data = bytes;
	scalar.size = PNS_OBJECTID_SIZE;
	return scalar;
}

/*
 * longest gives the number of characters (of a name: bytes) that a column
 * holds, or -1.
 */
static int
longest(const PnsTableColumn *column)
{
	if (column->base_type == NAMEOID)
		return NAMEDATALEN - 1;
	if (column->base_typmod >= (int32) VARHDRSZ)
		return column->base_typmod - VARHDRSZ;
	return -1;
}

/*
 * pns_text_takes_objectids tells whether ObjectIds fit a column, as their
 * digits.
 */
bool
pns_text_takes_objectids(const PnsTableColumn *column)
{
	int			limit = longest(column);

	return column->base_type != BPCHAROID && (limit < 0 || limit >= OBJECTID_HEX_SIZE);
}

/*
 * text_points: the string, and the ObjectId whose digits it is.  A string
 * longer than the column holds equals no value of it.
 */
static bool
text_points(const PnsQual *qual, Datum value, List **scalars)
{
	int			limit = longest(qual->column);
	const char *data;
	int			size;
	char		hex[OBJECTID_HEX_SIZE];
	bool		is_hex;

	text_operand(qual, value, &data, &size);
	if (qual->column->base_type == VARCHAROID && limit >= 0 &&
		pg_mbstrlen_with_len(data, size) > limit)
		return true;

	(void) pns_add_point(scalars, string_scalar(data, size));
	if (hex_at_least(data, size, hex, &is_hex) && is_hex)
		(void) pns_add_point(scalars, objectid_of_hex(hex));
	return true;
}

/*
 * text_range: strings in the order of their bytes, and ObjectIds in the order
 * of their digits, which is that of their bytes too.
 */
static PnsFilter
text_range(const PnsQual *qual, PnsCompareOp op, Datum value, bool bounded)
{
	static const char *const objectid_type[] = {"objectId", NULL};
	const char *path = qual->column->native;
	const char *data;
	int			size;
	char		hex[OBJECTID_HEX_SIZE];
	bool		is_hex;
	bool		upper = op == PNS_LT || op == PNS_LE;
	PnsFilter	strings;
	PnsFilter	objectids;

	text_operand(qual, value, &data, &size);
	strings = pns_filter_compare(path, op, string_scalar(data, size));

	if (!pns_text_takes_objectids(qual->column))
		objectids = pns_filter_none();
	else if (!hex_at_least(data, size, hex, &is_hex))
		objectids = upper ? pns_filter_type(path, objectid_type) : pns_filter_none();
	else if (is_hex)
		objectids = pns_filter_compare(path, op, objectid_of_hex(hex));
	else
		objectids = pns_filter_compare(path, upper ? PNS_LT : PNS_GE, objectid_of_hex(hex));
	return pns_filter_or(strings, objectids);
}

/*
 * text_fits: strings without a NUL that are valid UTF-8, as what matches a
 * regular expression is, and are no longer than the column holds; ObjectIds.
 * Where the database is not in UTF-8, others than ASCII may not be in its
 * encoding.
 */
static PnsFilter
text_fits(const PnsTableColumn *column, PnsBounds bounds, bool *all)
{
	static const char *const objectid_type[] = {"objectId", NULL};
	const char *path = column->native;
	int			limit = longest(column);
	PnsFilter	filter;
	PnsFilter	length;

	*all = GetDatabaseEncoding() == PG_UTF8;
	filter = pns_filter_regex(path, *all ? "^[^\\x00]*$" : "^[\\x01-\\x7f]*$", NULL);
	if (pns_text_takes_objectids(column))
		filter = pns_filter_or(filter, pns_filter_type(path, objectid_type));
	if (limit < 0)
		return filter;
	length = is_not_longer(column, limit);
	return pns_filter_and(list_make2(&filter, &length));
}

/*
 * is_not_longer makes the filter for strings up to a length, and all else.
 * Regular expressions do not count as far as a varchar does.
 */
static PnsFilter
is_not_longer(const PnsTableColumn *column, int limit)
{
	static const char *const string_type[] = {"string", NULL};
	PnsBsonBuilder builder;

	pns_filter_open_if_type(&builder, column->native, string_type);
	pns_bson_open_document(&builder, "1");
	pns_bson_open_array(&builder, "$lte");
	pns_bson_open_document(&builder, "0");
	pns_filter_append_path(&builder,
						   column->base_type == NAMEOID ? "$strLenBytes" : "$strLenCP",
						   column->native);
	pns_bson_close(&builder);
	pns_bson_append_int32(&builder, "1", limit);
	pns_bson_close(&builder);
	pns_bson_close(&builder);
	return pns_filter_close_if_type(&builder, true);
}

/*
 * bpchar_range: blanks at the end do not count here, and do there.  A blank
 * sorts below "!", and so do all strings that only have blanks to add.  What
 * has other characters below the blank is let in for an upper bound.
 */
static PnsFilter
bpchar_range(const PnsQual *qual, PnsCompareOp op, Datum value, bool bounded)
{
	const char *path = qual->column->native;
	BpChar	   *string = DatumGetBpCharPP(value);
	const char *data = VARDATA_ANY(string);
	int			size = bpchartruelen(VARDATA_ANY(string), VARSIZE_ANY_EXHDR(string));
	PnsScalar	low = string_scalar(data, size);

	switch (op)
	{
		case PNS_EQ:
			{
				PnsScalar	high = low;

				high.data = psprintf("%.*s!", (int) low.size, low.data);
				high.size = low.size + 1;
				return pns_filter_between(path, low, high);
			}
		case PNS_GT:
		case PNS_GE:
			return pns_filter_compare(path, PNS_GE, low);
		default:
			return pns_filter_type(path, pns_fdw_value_rules(qual->class)->types);
	}
}

/*
 * enum_points: the label.
 */
static bool
enum_points(const PnsQual *qual, Datum value, List **scalars)
{
	char	   *label = DatumGetCString(DirectFunctionCall1(enum_out, value));

	return pns_add_point(scalars, string_scalar(label, strlen(label)));
}

/*
 * enum_range: the labels on one side of the operand, in the order in which
 * they were declared.
 */
static PnsFilter
enum_range(const PnsQual *qual, PnsCompareOp op, Datum value, bool bounded)
{
	bool		below = op == PNS_LT || op == PNS_LE;
	bool		equal = op == PNS_LE || op == PNS_GE;

	return labels_between(qual->column, below, equal, !below,
						  label_position(DatumGetObjectId(value)));
}

/*
 * enum_fits: the labels.
 */
static PnsFilter
enum_fits(const PnsTableColumn *column, PnsBounds bounds, bool *all)
{
	*all = true;
	return labels_between(column, true, true, true, 0);
}

/*
 * labels_between makes the filter for the labels below a position, at it and
 * above it.
 */
static PnsFilter
labels_between(const PnsTableColumn *column, bool below, bool equal, bool above,
			   float4 position)
{
	CatCList   *labels = SearchSysCacheList1(ENUMTYPOIDNAME,
											 ObjectIdGetDatum(column->base_type));
	List	   *scalars = NIL;

	for (int i = 0; i < labels->n_members; i++)
	{
		Form_pg_enum label = (Form_pg_enum) GETSTRUCT(&labels->members[i]->tuple);
		bool		wanted = label->enumsortorder < position ? below :
		label->enumsortorder > position ? above : equal;

		if (wanted)
			(void) pns_add_point(&scalars, string_scalar(pstrdup(NameStr(label->enumlabel)),
														 strlen(NameStr(label->enumlabel))));
	}
	ReleaseSysCacheList(labels);

	return scalars != NIL ? pns_filter_points(column->native, scalars) : pns_filter_none();
}

/*
 * label_position gives the place of an enum's label in their order.
 */
static float4
label_position(Oid label)
{
	HeapTuple	tuple = SearchSysCache1(ENUMOID, ObjectIdGetDatum(label));
	float4		position;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid internal value for enum: %u", label)));
	position = ((Form_pg_enum) GETSTRUCT(tuple))->enumsortorder;
	ReleaseSysCache(tuple);
	return position;
}
