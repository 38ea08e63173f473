/*-------------------------------------------------------------------------
 *
 * convert_date.c
 *	  Dates of documents, milliseconds of UTC, as PostgreSQL's dates.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/int.h"
#include "mongo/codec.h"
#include "utils/date.h"
#include "utils/datetime.h"

#define EPOCH_DAYS (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)
#define MS_PER_DAY (USECS_PER_DAY / 1000)

/*
 * pns_convert_timestamp takes dates for timestamp and timestamptz alike, as
 * both count microseconds of UTC.  Where a precision below milliseconds was
 * declared, it must not round.
 */
PnsFit
pns_convert_timestamp(PnsConverter *converter, const PnsBsonValue *value,
					  Datum *result)
{
	static const int64 units[] = {1000000, 100000, 10000};
	int64		timestamp;

	if (value->type != PNS_BSON_DATE)
		return PNS_MISFIT_TYPE;
	timestamp = pns_bson_read_int64(value->data);
	if (pg_sub_s64_overflow(timestamp, EPOCH_DAYS * MS_PER_DAY, &timestamp) ||
		pg_mul_s64_overflow(timestamp, 1000, &timestamp) ||
		!IS_VALID_TIMESTAMP(timestamp))
		return PNS_MISFIT_DATE;
	if (converter->typmod >= 0 && converter->typmod < lengthof(units) &&
		timestamp % units[converter->typmod] != 0)
		return PNS_MISFIT_DATE;
	*result = TimestampTzGetDatum(timestamp);
	return PNS_FITS;
}

/* pns_convert_date takes dates as the day that they fall on in UTC. */
PnsFit
pns_convert_date(PnsConverter *converter, const PnsBsonValue *value,
				 Datum *result)
{
	int64		milliseconds;
	int64		days;

	if (value->type != PNS_BSON_DATE)
		return PNS_MISFIT_TYPE;
	milliseconds = pns_bson_read_int64(value->data);
	days = milliseconds / MS_PER_DAY;
	if (milliseconds % MS_PER_DAY < 0)
		days--;					/* downwards, also before 1970 */
	days -= EPOCH_DAYS;
	if (!IS_VALID_DATE(days))
		return PNS_MISFIT_DATE;
	*result = DateADTGetDatum((DateADT) days);
	return PNS_FITS;
}
