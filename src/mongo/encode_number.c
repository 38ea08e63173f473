/*-------------------------------------------------------------------------
 *
 * encode_number.c
 *	  PostgreSQL's numbers and booleans in documents.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mongo/codec.h"
#include "utils/fmgrprotos.h"

/* pns_encode_int2 writes an int32. */
void
pns_encode_int2(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value)
{
	pns_bson_append_int32(builder, key, DatumGetInt16(value));
}

/* pns_encode_int4 writes an int32. */
void
pns_encode_int4(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value)
{
	pns_bson_append_int32(builder, key, DatumGetInt32(value));
}

/* pns_encode_int8 writes an int64, however small the number is. */
void
pns_encode_int8(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value)
{
	pns_bson_append_int64(builder, key, DatumGetInt64(value));
}

/* pns_encode_float4 writes a double. */
void
pns_encode_float4(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value)
{
	pns_bson_append_double(builder, key, (float8) DatumGetFloat4(value));
}

/* pns_encode_float8 writes a double. */
void
pns_encode_float8(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value)
{
	pns_bson_append_double(builder, key, DatumGetFloat8(value));
}

/*
 * pns_encode_numeric writes a Decimal128 of the same number and scale.  Zeros
 * at the end that make a number too long are dropped.
 */
void
pns_encode_numeric(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value)
{
	char	   *str = DatumGetCString(DirectFunctionCall1(numeric_out, value));
	uint8		data[PNS_DECIMAL128_BYTES];

	if (!pns_text_to_decimal128(str, data))
		pns_encode_refuse(encoder, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
						  "A Decimal128 of MongoDB has 34 digits and exponents from -6176 to 6111.",
						  NULL);
	pns_bson_append_decimal128(builder, key, data);
	pfree(str);
}

/* pns_encode_bool writes a boolean. */
void
pns_encode_bool(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value)
{
	pns_bson_append_bool(builder, key, DatumGetBool(value));
}
