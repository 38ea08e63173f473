/*-------------------------------------------------------------------------
 *
 * values.c
 *	  How the values of each type are compared in MongoDB's terms.
 *
 * The mapping of documents to rows decides what is sent: a document's value v
 * is selected by PostgreSQL where m(v) compares with the operand, so what is
 * sent must select every v for which that is so.  Where m rounds (a float4
 * column), where two representations meet (a double read as numeric) or where
 * strings stand for other things, the range that is sent is a little wider.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "catalog/pg_type.h"
#include "datatype/timestamp.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/float.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "fdw/private.h"

/* Beyond this a float8 cannot tell one integer from the next: 2^53. */
#define FLOAT8_EXACT_LIMIT 9007199254740992.0

/*
 * A float8 that is near a numeric differs from it by a few parts in 10^16; a
 * server may compare by 15 decimal digits.  A range of this width around the
 * float8, and an absolute one for numbers too small for a float8, holds both.
 */
#define NUMERIC_SLACK 1e-14
#define NUMERIC_TINY 1e-290

#define OBJECTID_HEX_SIZE (2 * PNS_OBJECTID_SIZE)

#define MILLISECONDS_PER_DAY INT64CONST(86400000)
#define POSTGRES_EPOCH_DAYS (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)

static bool int_points(const PnsQual *qual, Datum value, List **scalars);
static PnsFilter int_range(const PnsQual *qual, PnsCompareOp op, Datum value);
static bool int_certain(const PnsTableColumn *column, PnsBsonBuilder *builder);
static bool float8_points(const PnsQual *qual, Datum value, List **scalars);
static PnsFilter float8_range(const PnsQual *qual, PnsCompareOp op, Datum value);
static bool float8_certain(const PnsTableColumn *column, PnsBsonBuilder *builder);
static bool float4_points(const PnsQual *qual, Datum value, List **scalars);
static PnsFilter float4_range(const PnsQual *qual, PnsCompareOp op, Datum value);
static bool numeric_points(const PnsQual *qual, Datum value, List **scalars);
static PnsFilter numeric_range(const PnsQual *qual, PnsCompareOp op, Datum value);
static bool numeric_certain(const PnsTableColumn *column, PnsBsonBuilder *builder);
static bool bool_points(const PnsQual *qual, Datum value, List **scalars);
static bool bool_certain(const PnsTableColumn *column, PnsBsonBuilder *builder);
static bool text_points(const PnsQual *qual, Datum value, List **scalars);
static PnsFilter text_range(const PnsQual *qual, PnsCompareOp op, Datum value);
static bool text_certain(const PnsTableColumn *column, PnsBsonBuilder *builder);
static PnsFilter bpchar_range(const PnsQual *qual, PnsCompareOp op, Datum value);
static bool enum_points(const PnsQual *qual, Datum value, List **scalars);
static bool uuid_points(const PnsQual *qual, Datum value, List **scalars);
static PnsFilter uuid_range(const PnsQual *qual, PnsCompareOp op, Datum value);
static PnsFilter bytea_range(const PnsQual *qual, PnsCompareOp op, Datum value);
static bool bytea_certain(const PnsTableColumn *column, PnsBsonBuilder *builder);
static bool timestamp_points(const PnsQual *qual, Datum value, List **scalars);
static PnsFilter timestamp_range(const PnsQual *qual, PnsCompareOp op, Datum value);
static PnsFilter date_range(const PnsQual *qual, PnsCompareOp op, Datum value);
static bool date_certain(const PnsTableColumn *column, PnsBsonBuilder *builder);
static bool objectid_points(const PnsQual *qual, Datum value, List **scalars);
static PnsFilter objectid_range(const PnsQual *qual, PnsCompareOp op, Datum value);
static bool objectid_certain(const PnsTableColumn *column, PnsBsonBuilder *builder);

/* One row for each PnsValueClass: types, other type, points, range, certain. */
static const PnsValueRules value_rules[] = {
	[PNS_CLASS_NONE] = {{NULL}, NULL, NULL, NULL, NULL},
	[PNS_CLASS_INT] = {
		{"int", "long", "double", "decimal", NULL}, NULL,
		int_points, int_range, int_certain
	},
	[PNS_CLASS_FLOAT4] = {
		{"double", "int", "long", NULL}, NULL,
		float4_points, float4_range, NULL
	},
	[PNS_CLASS_FLOAT8] = {
		{"double", "int", "long", NULL}, NULL,
		float8_points, float8_range, float8_certain
	},
	[PNS_CLASS_NUMERIC] = {
		{"decimal", "double", "int", "long", NULL}, NULL,
		numeric_points, numeric_range, numeric_certain
	},
	[PNS_CLASS_BOOL] = {
		{"bool", NULL}, NULL,
		bool_points, NULL, bool_certain
	},
	[PNS_CLASS_TEXT] = {
		{"string", "objectId", NULL}, NULL,
		text_points, text_range, text_certain
	},
	[PNS_CLASS_BPCHAR] = {
		{"string", NULL}, NULL,
		NULL, bpchar_range, text_certain
	},
	[PNS_CLASS_ENUM] = {
		{"string", NULL}, NULL,
		enum_points, NULL, NULL
	},
	[PNS_CLASS_UUID] = {
		{"binData", "string", NULL}, "string",
		uuid_points, uuid_range, NULL
	},
	[PNS_CLASS_BYTEA] = {
		{"binData", "objectId", NULL}, NULL,
		NULL, bytea_range, bytea_certain
	},
	[PNS_CLASS_TIMESTAMP] = {
		{"date", NULL}, NULL,
		timestamp_points, timestamp_range, date_certain
	},
	[PNS_CLASS_DATE] = {
		{"date", NULL}, NULL,
		NULL, date_range, date_certain
	},
	[PNS_CLASS_OBJECTID] = {
		{"objectId", NULL}, NULL,
		objectid_points, objectid_range, objectid_certain
	},
};

/*
 * pns_fdw_value_rules returns the rules of a class.
 */
const PnsValueRules *
pns_fdw_value_rules(PnsValueClass class)
{
	return &value_rules[class];
}

/*
 * pns_fdw_value_class tells how the values of a column compare.
 */
PnsValueClass
pns_fdw_value_class(const PnsTableColumn *column)
{
	switch (column->base_type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			return PNS_CLASS_INT;
		case FLOAT4OID:
			return PNS_CLASS_FLOAT4;
		case FLOAT8OID:
			return PNS_CLASS_FLOAT8;
		case NUMERICOID:
			return PNS_CLASS_NUMERIC;
		case BOOLOID:
			return PNS_CLASS_BOOL;
		case TEXTOID:
		case VARCHAROID:
		case NAMEOID:
			return PNS_CLASS_TEXT;
		case BPCHAROID:
			return PNS_CLASS_BPCHAR;
		case UUIDOID:
			return PNS_CLASS_UUID;
		case BYTEAOID:
			return PNS_CLASS_BYTEA;
		case TIMESTAMPTZOID:
		case TIMESTAMPOID:
			return PNS_CLASS_TIMESTAMP;
		case DATEOID:
			return PNS_CLASS_DATE;
		default:
			if (type_is_enum(column->base_type))
				return PNS_CLASS_ENUM;
			if (column->base_type == pns_mongo_objectid_type())
				return PNS_CLASS_OBJECTID;
			return PNS_CLASS_NONE;
	}
}

/*
 * pns_fdw_value_is_nan tells whether an operand is the NaN of its type.
 */
bool
pns_fdw_value_is_nan(const PnsQual *qual, Datum value)
{
	switch (qual->operand_type)
	{
		case FLOAT4OID:
			return isnan(DatumGetFloat4(value));
		case FLOAT8OID:
			return isnan(DatumGetFloat8(value));
		case NUMERICOID:
			return numeric_is_nan(DatumGetNumeric(value));
		default:
			return false;
	}
}

/*
 * pns_bson_append_scalar appends a scalar to a filter.
 */
void
pns_bson_append_scalar(PnsBsonBuilder *builder, const char *key, PnsScalar scalar)
{
	switch (scalar.type)
	{
		case PNS_BSON_INT64:
			if (scalar.integer >= PG_INT32_MIN && scalar.integer <= PG_INT32_MAX)
				pns_bson_append_int32(builder, key, (int32) scalar.integer);
			else
				pns_bson_append_int64(builder, key, scalar.integer);
			break;
		case PNS_BSON_DOUBLE:
			pns_bson_append_double(builder, key, scalar.number);
			break;
		case PNS_BSON_STRING:
			pns_bson_append_string(builder, key, scalar.data, scalar.size);
			break;
		case PNS_BSON_BOOL:
			pns_bson_append_bool(builder, key, scalar.integer != 0);
			break;
		case PNS_BSON_DATE:
			pns_bson_append_date(builder, key, scalar.integer);
			break;
		case PNS_BSON_OBJECTID:
			pns_bson_append_objectid(builder, key, (const uint8 *) scalar.data);
			break;
		case PNS_BSON_BINARY:
			pns_bson_append_binary(builder, key, scalar.subtype,
								   (const uint8 *) scalar.data, scalar.size);
			break;
		default:
			elog(ERROR, "unexpected type %d of a value in a filter", scalar.type);
	}
}

/*
 * add_point appends a scalar to a list.
 */
static bool
add_point(List **scalars, PnsScalar scalar)
{
	*scalars = lappend(*scalars, memcpy(palloc(sizeof(PnsScalar)), &scalar, sizeof(PnsScalar)));
	return true;
}

/*
 * int_scalar, double_scalar and date_scalar make the scalars that need no
 * more than a number.
 */
static PnsScalar
int_scalar(int64 value)
{
	PnsScalar	scalar = {.type = PNS_BSON_INT64, .integer = value};

	return scalar;
}

static PnsScalar
double_scalar(float8 value)
{
	PnsScalar	scalar = {.type = PNS_BSON_DOUBLE, .number = value};

	return scalar;
}

static PnsScalar
date_scalar(int64 milliseconds)
{
	PnsScalar	scalar = {.type = PNS_BSON_DATE, .integer = milliseconds};

	return scalar;
}

/* ---------- integers ---------- */

/*
 * int_operand reads an operand of any integer type.
 */
static int64
int_operand(const PnsQual *qual, Datum value)
{
	switch (qual->operand_type)
	{
		case INT2OID:
			return DatumGetInt16(value);
		case INT4OID:
			return DatumGetInt32(value);
		default:
			return DatumGetInt64(value);
	}
}

/*
 * int_points: MongoDB finds an integer in all of its representations.  What
 * is out of the column's range equals no value of the column.
 */
static bool
int_points(const PnsQual *qual, Datum value, List **scalars)
{
	int64		number = int_operand(qual, value);

	if (qual->column->base_type == INT2OID &&
		(number < PG_INT16_MIN || number > PG_INT16_MAX))
		return true;
	if (qual->column->base_type == INT4OID &&
		(number < PG_INT32_MIN || number > PG_INT32_MAX))
		return true;
	return add_point(scalars, int_scalar(number));
}

/*
 * int_range: numbers that do not fit the column are let in.
 */
static PnsFilter
int_range(const PnsQual *qual, PnsCompareOp op, Datum value)
{
	return pns_filter_compare(qual->column->native, op,
							  int_scalar(int_operand(qual, value)));
}

/*
 * int_certain: integers of a width that the column has.
 */
static bool
int_certain(const PnsTableColumn *column, PnsBsonBuilder *builder)
{
	if (builder == NULL)
		return true;

	if (column->base_type == INT8OID)
	{
		pns_bson_open_array(builder, "$type");
		pns_bson_append_cstring(builder, "0", "int");
		pns_bson_append_cstring(builder, "1", "long");
		pns_bson_close(builder);
		return true;
	}

	pns_bson_append_cstring(builder, "$type", "int");
	if (column->base_type == INT2OID)
	{
		pns_bson_append_int32(builder, "$gte", PG_INT16_MIN);
		pns_bson_append_int32(builder, "$lte", PG_INT16_MAX);
	}
	return true;
}

/* ---------- floating point ---------- */

/*
 * number_range makes the filter for numbers that compare so with something
 * between low and high.  NaN is above all numbers to PostgreSQL, and apart
 * from them to MongoDB's comparisons.
 */
static PnsFilter
number_range(const PnsQual *qual, PnsCompareOp op, float8 low, float8 high)
{
	const char *path = qual->column->native;
	PnsScalar	nan = double_scalar(get_float8_nan());
	PnsFilter	filter;

	switch (op)
	{
		case PNS_EQ:
			return pns_filter_between(path, double_scalar(low), double_scalar(high));
		case PNS_LT:
		case PNS_LE:
			return pns_filter_compare(path, low == high ? op : PNS_LE, double_scalar(high));
		default:
			filter = pns_filter_compare(path, low == high ? op : PNS_GE, double_scalar(low));
			if (qual->bounded)
				return filter;
			return pns_filter_or(filter, pns_filter_compare(path, PNS_EQ, nan));
	}
}

/*
 * nan_range makes the filter for numbers that compare so with NaN.
 */
static PnsFilter
nan_range(const PnsQual *qual, PnsCompareOp op)
{
	const char *path = qual->column->native;

	switch (op)
	{
		case PNS_GT:
			return pns_filter_none();
		case PNS_EQ:
		case PNS_GE:
			return pns_filter_compare(path, PNS_EQ, double_scalar(get_float8_nan()));
		default:
			return pns_filter_type(path, pns_fdw_value_rules(qual->class)->types);
	}
}

/*
 * float_operand reads an operand of either floating-point type.
 */
static float8
float_operand(const PnsQual *qual, Datum value)
{
	if (qual->operand_type == FLOAT4OID)
		return (float8) DatumGetFloat4(value);
	return DatumGetFloat8(value);
}

/*
 * float8_points: integers beyond 2^53 are rounded when they are read, so that
 * several are equal to one float8.
 */
static bool
float8_points(const PnsQual *qual, Datum value, List **scalars)
{
	float8		number = float_operand(qual, value);

	if (fabs(number) >= FLOAT8_EXACT_LIMIT && !isinf(number))
		return false;
	return add_point(scalars, double_scalar(number));
}

/*
 * float8_range: as far as integers may have been rounded, the range is wider.
 */
static PnsFilter
float8_range(const PnsQual *qual, PnsCompareOp op, Datum value)
{
	float8		number = float_operand(qual, value);

	if (isnan(number))
		return nan_range(qual, op);
	if (fabs(number) < FLOAT8_EXACT_LIMIT || isinf(number))
		return number_range(qual, op, number, number);
	return number_range(qual, op, nextafter(number, -INFINITY), nextafter(number, INFINITY));
}

/*
 * float8_certain: every double and every integer.
 */
static bool
float8_certain(const PnsTableColumn *column, PnsBsonBuilder *builder)
{
	if (builder == NULL)
		return true;

	pns_bson_open_array(builder, "$type");
	pns_bson_append_cstring(builder, "0", "double");
	pns_bson_append_cstring(builder, "1", "int");
	pns_bson_append_cstring(builder, "2", "long");
	pns_bson_close(builder);
	return true;
}

/*
 * float4_points: only what is not rounded is equal to one value.
 */
static bool
float4_points(const PnsQual *qual, Datum value, List **scalars)
{
	float8		number = float_operand(qual, value);

	if (!isnan(number) && !isinf(number))
		return false;
	return add_point(scalars, double_scalar(number));
}

/*
 * float4_range: what is rounded to a float4 lies between its neighbours; two
 * steps hold an operand that is none itself.
 */
static PnsFilter
float4_range(const PnsQual *qual, PnsCompareOp op, Datum value)
{
	float8		number = float_operand(qual, value);
	float4		low;
	float4		high;

	if (isnan(number))
		return nan_range(qual, op);
	if (isinf(number))
		return number_range(qual, op, number, number);

	low = nextafterf(nextafterf((float4) number, -INFINITY), -INFINITY);
	high = nextafterf(nextafterf((float4) number, INFINITY), INFINITY);
	return number_range(qual, op, low, high);
}

/* ---------- numeric ---------- */

/*
 * numeric_operand gives the float8 next to a numeric; infinite beyond the
 * range of float8.
 */
static float8
numeric_operand(Datum value)
{
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, value));
}

/*
 * numeric_points: a whole number within 2^53 is the same in every
 * representation; other doubles are read as their shortest decimal.
 */
static bool
numeric_points(const PnsQual *qual, Datum value, List **scalars)
{
	float8		number = numeric_operand(value);

	if (isnan(number))
		return add_point(scalars, double_scalar(number));
	if (fabs(number) >= FLOAT8_EXACT_LIMIT || number != rint(number))
		return false;

	/* is the numeric itself whole, not just the float8 beside it? */
	if (!DatumGetBool(DirectFunctionCall2(numeric_eq, value,
										  DirectFunctionCall1(float8_numeric, Float8GetDatum(number)))))
		return false;
	return add_point(scalars, int_scalar((int64) number));
}

/*
 * numeric_range: a range that holds the numeric and what is read as it.
 */
static PnsFilter
numeric_range(const PnsQual *qual, PnsCompareOp op, Datum value)
{
	float8		number = numeric_operand(value);
	float8		low;
	float8		high;

	if (isnan(number))
		return nan_range(qual, op);

	if (isinf(number))
	{
		low = number > 0 ? DBL_MAX : number;
		high = number > 0 ? number : -DBL_MAX;
	}
	else
	{
		low = number - fabs(number) * NUMERIC_SLACK - NUMERIC_TINY;
		high = number + fabs(number) * NUMERIC_SLACK + NUMERIC_TINY;
	}
	return number_range(qual, op, low, high);
}

/*
 * numeric_certain: every number, unless digits are limited.
 */
static bool
numeric_certain(const PnsTableColumn *column, PnsBsonBuilder *builder)
{
	if (column->base_typmod >= 0)
		return false;
	if (builder != NULL)
		pns_bson_append_cstring(builder, "$type", "number");
	return true;
}

/* ---------- bool ---------- */

/*
 * bool_points: true or false.
 */
static bool
bool_points(const PnsQual *qual, Datum value, List **scalars)
{
	PnsScalar	scalar = {.type = PNS_BSON_BOOL, .integer = DatumGetBool(value)};

	return add_point(scalars, scalar);
}

/*
 * bool_certain: every bool.
 */
static bool
bool_certain(const PnsTableColumn *column, PnsBsonBuilder *builder)
{
	if (builder != NULL)
		pns_bson_append_cstring(builder, "$type", "bool");
	return true;
}

/* ---------- strings ---------- */

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

	(void) add_point(scalars, string_scalar(data, size));
	if (hex_at_least(data, size, hex, &is_hex) && is_hex)
		(void) add_point(scalars, objectid_of_hex(hex));
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

	/* regular expressions do not count further than this */
	if (limit > 65535)
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

	return add_point(scalars, string_scalar(label, strlen(label)));
}

/* ---------- binary ---------- */

/*
 * uuid_scalar makes the binary of subtype 4 that a uuid is.
 */
static PnsScalar
uuid_scalar(Datum value)
{
	PnsScalar	scalar = {.type = PNS_BSON_BINARY, .subtype = 4};

	scalar.data = (const char *) DatumGetUUIDP(value)->data;
	scalar.size = UUID_LEN;
	return scalar;
}

/*
 * uuid_points: the binary form.  Strings in one of uuid's many forms come in
 * as the other type of the class.
 */
static bool
uuid_points(const PnsQual *qual, Datum value, List **scalars)
{
	return add_point(scalars, uuid_scalar(value));
}

/*
 * uuid_range: values of one length and subtype are ordered by their bytes.
 */
static PnsFilter
uuid_range(const PnsQual *qual, PnsCompareOp op, Datum value)
{
	return pns_filter_compare(qual->column->native, op, uuid_scalar(value));
}

/*
 * bytea_range: MongoDB orders binary values by length, subtype and bytes, so
 * that the bytes under all subtypes lie between the first subtype and the
 * last.  Subtype 2 carries its length twice, and counts as longer.
 */
static PnsFilter
bytea_range(const PnsQual *qual, PnsCompareOp op, Datum value)
{
	const char *path = qual->column->native;
	bytea	   *bytes = DatumGetByteaPP(value);
	PnsScalar	low = {.type = PNS_BSON_BINARY};
	PnsScalar	high;
	PnsScalar	old;
	PnsFilter	filter;

	Assert(op == PNS_EQ);
	low.data = VARDATA_ANY(bytes);
	low.size = VARSIZE_ANY_EXHDR(bytes);
	high = low;
	high.subtype = 0xff;
	old = low;
	old.subtype = 2;
	filter = pns_filter_or(pns_filter_between(path, low, high),
						   pns_filter_compare(path, PNS_EQ, old));

	if (low.size == PNS_OBJECTID_SIZE)
	{
		PnsScalar	objectid = {.type = PNS_BSON_OBJECTID};

		objectid.data = low.data;
		objectid.size = low.size;
		filter = pns_filter_or(pns_filter_compare(path, PNS_EQ, objectid), filter);
	}
	return filter;
}

/*
 * bytea_certain: every binary and every ObjectId.
 */
static bool
bytea_certain(const PnsTableColumn *column, PnsBsonBuilder *builder)
{
	if (builder == NULL)
		return true;

	pns_bson_open_array(builder, "$type");
	pns_bson_append_cstring(builder, "0", "binData");
	pns_bson_append_cstring(builder, "1", "objectId");
	pns_bson_close(builder);
	return true;
}

/* ---------- dates ---------- */

/*
 * timestamp_floor gives the millisecond, counted as MongoDB does, that a
 * finite timestamp lies in; *whole tells whether it is that millisecond.
 */
static int64
timestamp_floor(Timestamp timestamp, bool *whole)
{
	int64		milliseconds = timestamp / 1000;

	*whole = timestamp % 1000 == 0;
	if (timestamp % 1000 < 0)
		milliseconds--;
	return milliseconds + POSTGRES_EPOCH_DAYS * MILLISECONDS_PER_DAY;
}

/*
 * infinite_range makes the filter for dates that compare so with infinity;
 * no date is infinite itself.
 */
static PnsFilter
infinite_range(const PnsQual *qual, PnsCompareOp op, bool positive)
{
	bool		below = op == PNS_LT || op == PNS_LE;

	if (op == PNS_EQ || below != positive)
		return pns_filter_none();
	return pns_filter_type(qual->column->native,
						   pns_fdw_value_rules(qual->class)->types);
}

/*
 * timestamp_points: the millisecond; none for what lies between two.
 */
static bool
timestamp_points(const PnsQual *qual, Datum value, List **scalars)
{
	Timestamp	timestamp = DatumGetTimestamp(value);
	int64		milliseconds;
	bool		whole;

	if (TIMESTAMP_NOT_FINITE(timestamp))
		return true;
	milliseconds = timestamp_floor(timestamp, &whole);
	if (whole)
		(void) add_point(scalars, date_scalar(milliseconds));
	return true;
}

/*
 * timestamp_range: stored dates are whole milliseconds.
 */
static PnsFilter
timestamp_range(const PnsQual *qual, PnsCompareOp op, Datum value)
{
	Timestamp	timestamp = DatumGetTimestamp(value);
	int64		milliseconds;
	bool		whole;

	if (TIMESTAMP_NOT_FINITE(timestamp))
		return infinite_range(qual, op, TIMESTAMP_IS_NOEND(timestamp));

	milliseconds = timestamp_floor(timestamp, &whole);
	if (!whole && op == PNS_GE)
		op = PNS_GT;
	if (!whole && op == PNS_LT)
		op = PNS_LE;
	return pns_filter_compare(qual->column->native, op, date_scalar(milliseconds));
}

/*
 * date_range: a day is the milliseconds from its midnight, UTC, to the next.
 */
static PnsFilter
date_range(const PnsQual *qual, PnsCompareOp op, Datum value)
{
	const char *path = qual->column->native;
	DateADT		date = DatumGetDateADT(value);
	PnsScalar	first;
	PnsScalar	last;

	if (DATE_NOT_FINITE(date))
		return infinite_range(qual, op, DATE_IS_NOEND(date));

	first = date_scalar(((int64) date + POSTGRES_EPOCH_DAYS) * MILLISECONDS_PER_DAY);
	last = date_scalar(first.integer + MILLISECONDS_PER_DAY - 1);
	switch (op)
	{
		case PNS_EQ:
			return pns_filter_between(path, first, last);
		case PNS_LT:
		case PNS_GE:
			return pns_filter_compare(path, op, first);
		default:
			return pns_filter_compare(path, op, last);
	}
}

/*
 * date_certain: dates that every date and time type of PostgreSQL can hold.
 */
static bool
date_certain(const PnsTableColumn *column, PnsBsonBuilder *builder)
{
	if (builder == NULL)
		return true;

	/* the years 1 to 9999, which every server takes in a command */
	pns_bson_append_cstring(builder, "$type", "date");
	pns_bson_append_date(builder, "$gte", INT64CONST(-62135596800000));
	pns_bson_append_date(builder, "$lte", INT64CONST(253402300799999));
	return true;
}

/* ---------- objectid ---------- */

/*
 * objectid_scalar makes the scalar of an objectid.
 */
static PnsScalar
objectid_scalar(Datum value)
{
	PnsScalar	scalar = {.type = PNS_BSON_OBJECTID};

	scalar.data = DatumGetPointer(value);
	scalar.size = PNS_OBJECTID_SIZE;
	return scalar;
}

/*
 * objectid_points: the ObjectId.
 */
static bool
objectid_points(const PnsQual *qual, Datum value, List **scalars)
{
	return add_point(scalars, objectid_scalar(value));
}

/*
 * objectid_range: both sides order ObjectIds by their bytes.
 */
static PnsFilter
objectid_range(const PnsQual *qual, PnsCompareOp op, Datum value)
{
	return pns_filter_compare(qual->column->native, op, objectid_scalar(value));
}

/*
 * objectid_certain: every ObjectId.
 */
static bool
objectid_certain(const PnsTableColumn *column, PnsBsonBuilder *builder)
{
	if (builder != NULL)
		pns_bson_append_cstring(builder, "$type", "objectId");
	return true;
}
