/*-------------------------------------------------------------------------
 *
 * encode_date.c
 *	  PostgreSQL's dates in documents, as milliseconds of UTC.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "datatype/timestamp.h"
#include "mongo/codec.h"
#include "utils/date.h"

#define EPOCH_DAYS (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)
#define MS_PER_DAY (USECS_PER_DAY / 1000)

static Timestamp round_to_milliseconds(Timestamp timestamp);
static void refuse_infinity(const PnsEncoder *encoder) pg_attribute_noreturn();

/*
 * pns_encode_timestamp writes timestamp and timestamptz alike, as both count
 * microseconds of UTC.
 */
void
pns_encode_timestamp(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value)
{
	Timestamp	timestamp = DatumGetTimestamp(value);

	if (TIMESTAMP_NOT_FINITE(timestamp))
		refuse_infinity(encoder);
	if (timestamp % 1000 != 0)
	{
		if (!encoder->encoding.round)
			pns_encode_refuse(encoder, ERRCODE_DATETIME_FIELD_OVERFLOW,
							  "A date of MongoDB is a whole number of milliseconds.",
							  "With the option on_loss 'round' it is rounded.");
		timestamp = round_to_milliseconds(timestamp);
		if (!IS_VALID_TIMESTAMP(timestamp))
			pns_encode_refuse(encoder, ERRCODE_DATETIME_FIELD_OVERFLOW,
							  "It is out of range when it is rounded to milliseconds.", NULL);
	}
	pns_bson_append_date(builder, key, timestamp / 1000 + EPOCH_DAYS * MS_PER_DAY);
}

/* pns_encode_date writes the midnight, in UTC, that a day begins with. */
void
pns_encode_date(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value)
{
	DateADT		date = DatumGetDateADT(value);

	if (DATE_NOT_FINITE(date))
		refuse_infinity(encoder);
	pns_bson_append_date(builder, key, ((int64) date + EPOCH_DAYS) * MS_PER_DAY);
}

/* round_to_milliseconds rounds as PostgreSQL's timestamp(3) does. */
static Timestamp
round_to_milliseconds(Timestamp timestamp)
{
	if (timestamp >= 0)
		return (timestamp + 500) / 1000 * 1000;
	return -((-timestamp + 500) / 1000 * 1000);
}

/* refuse_infinity raises the error of an infinite date. */
static void
refuse_infinity(const PnsEncoder *encoder)
{
	pns_encode_refuse(encoder, ERRCODE_DATETIME_FIELD_OVERFLOW,
					  "A date of MongoDB cannot be infinite.", NULL);
}
