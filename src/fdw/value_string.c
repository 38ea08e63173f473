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

/* Regular expressions do not count further than this. */
#define REGEX_REPEAT_LIMIT 65535

static bool text_points(const PnsQual *qual, Datum value, List **scalars);
static PnsFilter text_range(const PnsQual *qual, PnsCompareOp op, Datum value);
static bool text_certain(const PnsTableColumn *column, PnsBsonBuilder *builder);
static PnsFilter bpchar_range(const PnsQual *qual, PnsCompareOp op, Datum value);
static bool enum_points(const PnsQual *qual, Datum value, List **scalars);
static PnsFilter enum_range(const PnsQual *qual, PnsCompareOp op, Datum value);
static float4 label_position(Oid label);

/* text, varchar, name */
const PnsValueRules pns_text_rules = {
	.types = {"string", "objectId", NULL},
	.points = text_points,
	.range = text_range,
	.certain = text_certain,
};

/* char(n) */
const PnsValueRules pns_bpchar_rules = {
	.types = {"string", NULL},
	.range = bpchar_range,
	.certain = text_certain,
};

/* enums */
const PnsValueRules pns_enum_rules = {
	.types = {"string", NULL},
	.points = enum_points,
	.range = enum_range,
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
 * text_points: the string, and the ObjectId whose digits it is.  A string
 * longer than the column holds equals no value of it.
 */
static bool
text_points(const PnsQual *qual, Datum value, List **scalars)
{
	const PnsTableColumn *column = qual->column;
	const char *data;
	int			size;
	char		hex[OBJECTID_HEX_SIZE];
	bool		is_hex;

	text_operand(qual, value, &data, &size);
	if (column->base_type == VARCHAROID && column->base_typmod >= (int32) VARHDRSZ &&
		pg_mbstrlen_with_len(data, size) > column->base_typmod - (int32) VARHDRSZ)
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
text_range(const PnsQual *qual, PnsCompareOp op, Datum value)
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

	if (!hex_at_least(data, size, hex, &is_hex))
		objectids = upper ? pns_filter_type(path, objectid_type) : pns_filter_none();
	else if (is_hex)
		objectids = pns_filter_compare(path, op, objectid_of_hex(hex));
	else
		objectids = pns_filter_compare(path, upper ? PNS_LT : PNS_GE, objectid_of_hex(hex));
	return pns_filter_or(strings, objectids);
}

/*
 * text_certain: strings of printable ASCII, no longer than the column holds.
 * Others may hold what PostgreSQL cannot, such as a NUL.
 */
static bool
text_certain(const PnsTableColumn *column, PnsBsonBuilder *builder)
{
	int			limit = -1;

	if (column->base_type == NAMEOID)
		limit = NAMEDATALEN - 1;
	else if (column->base_typmod >= (int32) VARHDRSZ)
		limit = column->base_typmod - VARHDRSZ;

	if (limit > REGEX_REPEAT_LIMIT)
		return false;
	if (builder == NULL)
		return true;

	pns_bson_append_cstring(builder, "$type", "string");
	if (limit >= 0)
		pns_bson_append_cstring(builder, "$regex",
								psprintf("^[ -~]{0,%d}$(?!\\n)", limit));
	else
		pns_bson_append_cstring(builder, "$regex", "^[ -~]*$(?!\\n)");
	return true;
}

/*
 * bpchar_range: blanks at the end do not count here, and do there.  A blank
 * sorts below "!", and so do all strings that only have blanks to add.  What
 * has other characters below the blank is let in for an upper bound.
 */
static PnsFilter
bpchar_range(const PnsQual *qual, PnsCompareOp op, Datum value)
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
enum_range(const PnsQual *qual, PnsCompareOp op, Datum value)
{
	float4		position = label_position(DatumGetObjectId(value));
	CatCList   *labels = SearchSysCacheList1(ENUMTYPOIDNAME,
											 ObjectIdGetDatum(qual->column->base_type));
	List	   *scalars = NIL;

	for (int i = 0; i < labels->n_members; i++)
	{
		Form_pg_enum label = (Form_pg_enum) GETSTRUCT(&labels->members[i]->tuple);
		bool		below = label->enumsortorder < position;
		bool		equal = label->enumsortorder == position;
		bool		wanted = op == PNS_LT ? below :
		op == PNS_LE ? below || equal :
		op == PNS_GE ? !below : !below && !equal;

		if (wanted)
			(void) pns_add_point(&scalars, string_scalar(pstrdup(NameStr(label->enumlabel)),
														 strlen(NameStr(label->enumlabel))));
	}
	ReleaseSysCacheList(labels);

	return scalars != NIL ? pns_filter_points(qual->column->native, scalars) : pns_filter_none();
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
