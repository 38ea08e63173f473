/*-------------------------------------------------------------------------
 *
 * term_operand.c
 *	  Operands and other values in terms.
 *
 * A value of PostgreSQL need not have a canonical form: a timestamp can lie
 * between two milliseconds, a numeric between two whole numbers, and both can
 * be infinite.  As the other side of a comparison it will do all the same.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "fdw/term_private.h"

#define EPOCH_DAYS (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)
#define MILLISECONDS_PER_DAY INT64CONST(86400000)

/* Digits of a Decimal128, and of any int64. */
#define DECIMAL_DIGITS 34
#define INT64_DIGITS 18

static PnsTermBound timestamp_bound(Timestamp timestamp, PnsScalar *scalar);
static PnsTermBound date_bound(DateADT date, PnsScalar *scalar);
static PnsTermBound numeric_bound(Datum value, PnsScalar *scalar);
static PnsScalar string_scalar(const char *data, int size);
static int	compare_labels(const void *a, const void *b);

/*
 * pns_term_operand_is_canonical tells whether an operand has a canonical form,
 * whatever its value turns out to be.
 */
bool
pns_term_operand_is_canonical(const PnsTerm *operand)
{
	const Const *constant = (Const *) operand->operand;
	PnsScalar	scalar;

	switch (operand->class)
	{
		case PNS_CLASS_TIMESTAMP:
		case PNS_CLASS_DATE:
		case PNS_CLASS_NUMERIC:
			return IsA(constant, Const) &&
				(constant->constisnull ||
				 pns_term_operand_bound(operand, constant->constvalue,
										&scalar) == PNS_BOUND_VALUE);
		default:
			return true;
	}
}

/*
 * pns_term_operand_bound makes the scalar of an operand's value: its canonical
 * form, or, where it lies between two of them, the lower one.
 */
PnsTermBound
pns_term_operand_bound(const PnsTerm *operand, Datum value, PnsScalar *scalar)
{
	switch (operand->type)
	{
		case INT2OID:
			*scalar = pns_int_scalar(DatumGetInt16(value));
			return PNS_BOUND_VALUE;
		case INT4OID:
			*scalar = pns_int_scalar(DatumGetInt32(value));
			return PNS_BOUND_VALUE;
		case INT8OID:
			*scalar = pns_int_scalar(DatumGetInt64(value));
			return PNS_BOUND_VALUE;
		case FLOAT8OID:
			*scalar = pns_double_scalar(DatumGetFloat8(value));
			return PNS_BOUND_VALUE;
		case BOOLOID:
			*scalar = pns_int_scalar(DatumGetBool(value));
			scalar->type = PNS_BSON_BOOL;
			return PNS_BOUND_VALUE;
		case TEXTOID:
		case VARCHAROID:
			*scalar = string_scalar(VARDATA_ANY(DatumGetTextPP(value)),
									VARSIZE_ANY_EXHDR(DatumGetTextPP(value)));
			return PNS_BOUND_VALUE;
		case NAMEOID:
			*scalar = string_scalar(NameStr(*DatumGetName(value)),
									strlen(NameStr(*DatumGetName(value))));
			return PNS_BOUND_VALUE;
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return timestamp_bound(DatumGetTimestamp(value), scalar);
		case DATEOID:
			return date_bound(DatumGetDateADT(value), scalar);
		case NUMERICOID:
			return numeric_bound(value, scalar);
		default:
			if (operand->class == PNS_CLASS_ENUM)
			{
				char	   *label = DatumGetCString(DirectFunctionCall1(enum_out, value));

				*scalar = string_scalar(label, strlen(label));
				return PNS_BOUND_VALUE;
			}
			*scalar = string_scalar((const char *) DatumGetPointer(value), PNS_OBJECTID_SIZE);
			scalar->type = PNS_BSON_OBJECTID;
			return PNS_BOUND_VALUE;
	}
}

/*
 * timestamp_bound: canonical timestamps are whole milliseconds.
 */
static PnsTermBound
timestamp_bound(Timestamp timestamp, PnsScalar *scalar)
{
	int64		milliseconds = timestamp / 1000;

	if (TIMESTAMP_IS_NOBEGIN(timestamp))
		return PNS_BOUND_BELOW;
	if (TIMESTAMP_IS_NOEND(timestamp))
		return PNS_BOUND_ABOVE;
	if (timestamp % 1000 < 0)
		milliseconds--;
	*scalar = pns_date_scalar(milliseconds + EPOCH_DAYS * MILLISECONDS_PER_DAY);
	return timestamp % 1000 == 0 ? PNS_BOUND_VALUE : PNS_BOUND_BETWEEN;
}

/*
 * date_bound: only the infinite dates have no canonical form.
 */
static PnsTermBound
date_bound(DateADT date, PnsScalar *scalar)
{
	if (DATE_IS_NOBEGIN(date))
		return PNS_BOUND_BELOW;
	if (DATE_IS_NOEND(date))
		return PNS_BOUND_ABOVE;
	*scalar = pns_date_scalar(((int64) date + EPOCH_DAYS) * MILLISECONDS_PER_DAY);
	return PNS_BOUND_VALUE;
}

/*
 * numeric_bound: canonical numerics are whole numbers.  To PostgreSQL NaN is
 * above all others.
 */
static PnsTermBound
numeric_bound(Datum value, PnsScalar *scalar)
{
	Numeric		number = DatumGetNumeric(value);
	Datum		whole;
	char	   *digits;
	bool		negative;

	if (numeric_is_nan(number))
		return PNS_BOUND_ABOVE;
	digits = DatumGetCString(DirectFunctionCall1(numeric_out, value));
	negative = digits[0] == '-';
	if (numeric_is_inf(number))
		return negative ? PNS_BOUND_BELOW : PNS_BOUND_ABOVE;

	whole = DirectFunctionCall1(numeric_floor, value);
	digits = DatumGetCString(DirectFunctionCall1(numeric_out, whole));
	if (strlen(digits) - negative > DECIMAL_DIGITS)
		return negative ? PNS_BOUND_BELOW : PNS_BOUND_ABOVE;
	if (strlen(digits) - negative <= INT64_DIGITS)
		*scalar = pns_int_scalar(strtoi64(digits, NULL, 10));
	else
	{
		*scalar = string_scalar(digits, strlen(digits));
		scalar->type = PNS_BSON_DECIMAL128;
	}
	return DatumGetBool(DirectFunctionCall2(numeric_eq, whole, value)) ?
		PNS_BOUND_VALUE : PNS_BOUND_BETWEEN;
}

/*
 * string_scalar makes the scalar of a string.
 */
static PnsScalar
string_scalar(const char *data, int size)
{
	PnsScalar	scalar = {.type = PNS_BSON_STRING};

	scalar.data = data;
	scalar.size = size;
	return scalar;
}

/*
 * pns_term_append_literal appends a value so that MongoDB takes it for nothing
 * else.  A decimal is given by its digits.
 */
void
pns_term_append_literal(PnsBsonBuilder *builder, const char *key, PnsScalar scalar)
{
	pns_bson_open_document(builder, key);
	if (scalar.type == PNS_BSON_DECIMAL128)
		pns_bson_append_string(builder, "$toDecimal", scalar.data, scalar.size);
	else
		pns_bson_append_scalar(builder, "$literal", scalar);
	pns_bson_close(builder);
}

/*
 * pns_term_append_array appends an array of values (PnsScalar).
 */
void
pns_term_append_array(PnsBsonBuilder *builder, const char *key, List *scalars)
{
	int			n = 0;
	ListCell   *lc;

	pns_bson_open_array(builder, key);
	foreach(lc, scalars)
		pns_term_append_literal(builder, pns_bson_index(n++), *(PnsScalar *) lfirst(lc));
	pns_bson_close(builder);
}

/*
 * pns_term_append_labels appends the array of an enum's labels, in their
 * order.
 */
void
pns_term_append_labels(PnsBsonBuilder *builder, const char *key, Oid type)
{
	CatCList   *labels = SearchSysCacheList1(ENUMTYPOIDNAME, ObjectIdGetDatum(type));
	Form_pg_enum *sorted = palloc(sizeof(Form_pg_enum) * Max(labels->n_members, 1));

	for (int i = 0; i < labels->n_members; i++)
		sorted[i] = (Form_pg_enum) GETSTRUCT(&labels->members[i]->tuple);
	qsort(sorted, labels->n_members, sizeof(Form_pg_enum), compare_labels);

	pns_bson_open_document(builder, key);
	pns_bson_open_array(builder, "$literal");
	for (int i = 0; i < labels->n_members; i++)
		pns_bson_append_cstring(builder, pns_bson_index(i), NameStr(sorted[i]->enumlabel));
	pns_bson_close(builder);
	pns_bson_close(builder);
	ReleaseSysCacheList(labels);
}

/*
 * compare_labels orders the labels of an enum.
 */
static int
compare_labels(const void *a, const void *b)
{
	float4		left = (*(const Form_pg_enum *) a)->enumsortorder;
	float4		right = (*(const Form_pg_enum *) b)->enumsortorder;

	return left < right ? -1 : left > right;
}
