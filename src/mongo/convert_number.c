/*-------------------------------------------------------------------------
 *
 * convert_number.c
 *	  Numbers of documents as PostgreSQL's numbers.
 *
 * Nothing is rounded or wrapped, but for int64 to float8, which PostgreSQL
 * rounds too, and for float4.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "mongo/codec.h"
#include "utils/fmgrprotos.h"

static PnsFit read_integer(const PnsBsonValue *value, int64 *number);
static PnsFit double_to_integer(float8 number, int64 *integer);
static PnsFit read_float(const PnsBsonValue *value, float8 *number);
static PnsFit numeric_with_typmod(const PnsBsonValue *value, int32 typmod,
								  Datum *result);
static PnsFit read_decimal(const PnsBsonValue *value, PnsDecimal *decimal);

/* pns_convert_int2 takes integral numbers of 16 bits. */
PnsFit
pns_convert_int2(PnsConverter *converter, const PnsBsonValue *value,
				 Datum *result)
{
	int64		number;
	PnsFit		fit = read_integer(value, &number);

	if (fit == PNS_FITS && (number < PG_INT16_MIN || number > PG_INT16_MAX))
		fit = PNS_MISFIT_RANGE;
	if (fit == PNS_FITS)
		*result = Int16GetDatum((int16) number);
	return fit;
}

/* pns_convert_int4 takes integral numbers of 32 bits. */
PnsFit
pns_convert_int4(PnsConverter *converter, const PnsBsonValue *value,
				 Datum *result)
{
	int64		number;
	PnsFit		fit = read_integer(value, &number);

	if (fit == PNS_FITS && (number < PG_INT32_MIN || number > PG_INT32_MAX))
		fit = PNS_MISFIT_RANGE;
	if (fit == PNS_FITS)
		*result = Int32GetDatum((int32) number);
	return fit;
}

/* pns_convert_int8 takes integral numbers of 64 bits. */
PnsFit
pns_convert_int8(PnsConverter *converter, const PnsBsonValue *value,
				 Datum *result)
{
	int64		number;
	PnsFit		fit = read_integer(value, &number);

	if (fit == PNS_FITS)
		*result = Int64GetDatum(number);
	return fit;
}

/*
 * pns_convert_float4 takes what float8 takes, rounded.  What PostgreSQL's
 * cast refuses, numbers that become infinite or zero by it, does not fit.
 */
PnsFit
pns_convert_float4(PnsConverter *converter, const PnsBsonValue *value,
				   Datum *result)
{
	float8		number;
	float4		rounded;
	PnsFit		fit = read_float(value, &number);

	if (fit != PNS_FITS)
		return fit;
	rounded = (float4) number;
	if ((isinf(rounded) && !isinf(number)) || (rounded == 0 && number != 0))
		return PNS_MISFIT_RANGE;
	*result = Float4GetDatum(rounded);
	return PNS_FITS;
}

/* pns_convert_float8 takes doubles and integers. */
PnsFit
pns_convert_float8(PnsConverter *converter, const PnsBsonValue *value,
				   Datum *result)
{
	float8		number;
	PnsFit		fit = read_float(value, &number);

	if (fit == PNS_FITS)
		*result = Float8GetDatum(number);
	return fit;
}

/* pns_convert_numeric takes numbers of every kind. */
PnsFit
pns_convert_numeric(PnsConverter *converter, const PnsBsonValue *value,
					Datum *result)
{
	PnsDecimal	decimal;
	PnsFit		fit;

	if (converter->typmod >= (int32) VARHDRSZ)
		return numeric_with_typmod(value, converter->typmod, result);

	if (value->type == PNS_BSON_INT32)
	{
		*result = NumericGetDatum(int64_to_numeric(pns_bson_read_int32(value->data)));
		return PNS_FITS;
	}
	if (value->type == PNS_BSON_INT64)
	{
		*result = NumericGetDatum(int64_to_numeric(pns_bson_read_int64(value->data)));
		return PNS_FITS;
	}
	fit = read_decimal(value, &decimal);
	if (fit == PNS_FITS)
		*result = NumericGetDatum(pns_decimal_to_numeric(&decimal));
	return fit;
}

/* numeric_with_typmod takes numbers of which numeric(p,s) keeps every digit. */
static PnsFit
numeric_with_typmod(const PnsBsonValue *value, int32 typmod, Datum *result)
{
	PnsDecimal	decimal;
	PnsFit		fit = read_decimal(value, &decimal);

	if (fit == PNS_FITS && !pns_decimal_fits(&decimal, typmod))
		fit = PNS_MISFIT_RANGE;
	if (fit == PNS_FITS)
		*result = DirectFunctionCall2(numeric,
									  NumericGetDatum(pns_decimal_to_numeric(&decimal)),
									  Int32GetDatum(typmod));
	return fit;
}

/* read_integer reads a number of any kind without a fraction. */
static PnsFit
read_integer(const PnsBsonValue *value, int64 *number)
{
	PnsDecimal	decimal;

	switch (value->type)
	{
		case PNS_BSON_INT32:
			*number = pns_bson_read_int32(value->data);
			return PNS_FITS;
		case PNS_BSON_INT64:
			*number = pns_bson_read_int64(value->data);
			return PNS_FITS;
		case PNS_BSON_DOUBLE:
			return double_to_integer(pns_bson_read_double(value->data), number);
		case PNS_BSON_DECIMAL128:
			pns_decimal_from_decimal128(value->data, &decimal);
			return pns_decimal_to_int64(&decimal, number) ? PNS_FITS : PNS_MISFIT_RANGE;
		default:
			return PNS_MISFIT_TYPE;
	}
}

/* double_to_integer takes whole numbers that int64 holds; NaN is none. */
static PnsFit
double_to_integer(float8 number, int64 *integer)
{
	if (!(number >= (float8) PG_INT64_MIN && number < -(float8) PG_INT64_MIN))
		return PNS_MISFIT_RANGE;
	*integer = (int64) number;
	return (float8) *integer == number ? PNS_FITS : PNS_MISFIT_RANGE;
}

/* read_float reads what float8 takes. */
static PnsFit
read_float(const PnsBsonValue *value, float8 *number)
{
	switch (value->type)
	{
		case PNS_BSON_DOUBLE:
			*number = pns_bson_read_double(value->data);
			return PNS_FITS;
		case PNS_BSON_INT32:
			*number = (float8) pns_bson_read_int32(value->data);
			return PNS_FITS;
		case PNS_BSON_INT64:
			*number = (float8) pns_bson_read_int64(value->data);
			return PNS_FITS;
		default:
			return PNS_MISFIT_TYPE;
	}
}

/* read_decimal reads a number of any kind as decimal digits. */
static PnsFit
read_decimal(const PnsBsonValue *value, PnsDecimal *decimal)
{
	switch (value->type)
	{
		case PNS_BSON_INT32:
			pns_decimal_from_int64(pns_bson_read_int32(value->data), decimal);
			return PNS_FITS;
		case PNS_BSON_INT64:
			pns_decimal_from_int64(pns_bson_read_int64(value->data), decimal);
			return PNS_FITS;
		case PNS_BSON_DOUBLE:
			pns_decimal_from_double(pns_bson_read_double(value->data), decimal);
			return PNS_FITS;
		case PNS_BSON_DECIMAL128:
			pns_decimal_from_decimal128(value->data, decimal);
			return PNS_FITS;
		default:
			return PNS_MISFIT_TYPE;
	}
}
