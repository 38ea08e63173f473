/*-------------------------------------------------------------------------
 *
 * objectid.c
 *	  The type pynomaly.objectid: 12 bytes, as MongoDB orders them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "libpq/pqformat.h"
#include "mongo/codec.h"
#include "utils/builtins.h"
#include "utils/sortsupport.h"
#include "utils/syscache.h"

#define HEX_SIZE (2 * PNS_OBJECTID_SIZE)

#define PG_GETARG_OBJECTID(n) ((const uint8 *) PG_GETARG_POINTER(n))

PG_FUNCTION_INFO_V1(pns_objectid_in);
PG_FUNCTION_INFO_V1(pns_objectid_out);
PG_FUNCTION_INFO_V1(pns_objectid_recv);
PG_FUNCTION_INFO_V1(pns_objectid_send);
PG_FUNCTION_INFO_V1(pns_objectid_eq);
PG_FUNCTION_INFO_V1(pns_objectid_ne);
PG_FUNCTION_INFO_V1(pns_objectid_lt);
PG_FUNCTION_INFO_V1(pns_objectid_le);
PG_FUNCTION_INFO_V1(pns_objectid_gt);
PG_FUNCTION_INFO_V1(pns_objectid_ge);
PG_FUNCTION_INFO_V1(pns_objectid_cmp);
PG_FUNCTION_INFO_V1(pns_objectid_sortsupport);
PG_FUNCTION_INFO_V1(pns_objectid_hash);
PG_FUNCTION_INFO_V1(pns_objectid_hash_extended);
PG_FUNCTION_INFO_V1(pns_objectid_to_bytea);
PG_FUNCTION_INFO_V1(pns_objectid_from_bytea);
PG_FUNCTION_INFO_V1(pns_objectid_timestamp);

PGDLLEXPORT Datum pns_objectid_in(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_objectid_out(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_objectid_recv(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_objectid_send(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_objectid_eq(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_objectid_ne(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_objectid_lt(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_objectid_le(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_objectid_gt(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_objectid_ge(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_objectid_cmp(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_objectid_sortsupport(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_objectid_hash(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_objectid_hash_extended(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_objectid_to_bytea(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_objectid_from_bytea(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_objectid_timestamp(PG_FUNCTION_ARGS);

static int	compare(FunctionCallInfo fcinfo);
static int	compare_datums(Datum a, Datum b, SortSupport support);

/*
 * pns_mongo_objectid_type looks the type up, InvalidOid where there is none.
 * It costs a look in two system caches, so callers keep it for a statement.
 */
Oid
pns_mongo_objectid_type(void)
{
	Oid			schema = get_namespace_oid("pynomaly", true);

	if (!OidIsValid(schema))
		return InvalidOid;
	return GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
						   CStringGetDatum("objectid"),
						   ObjectIdGetDatum(schema));
}

/* pns_objectid_in reads 24 hex digits, in either case. */
Datum
pns_objectid_in(PG_FUNCTION_ARGS)
{
	const char *str = PG_GETARG_CSTRING(0);
	uint8	   *objectid = palloc(PNS_OBJECTID_SIZE);
	bool		good = strlen(str) == HEX_SIZE;

	for (int i = 0; good && i < PNS_OBJECTID_SIZE; i++)
	{
		int			high = pns_hex_digit(str[2 * i]);
		int			low = pns_hex_digit(str[2 * i + 1]);

		good = high >= 0 && low >= 0;
		objectid[i] = (high << 4 | low) & 0xff;
	}
	if (!good)
		pns_reject_input(fcinfo->context,
						 errmsg("invalid input syntax for type %s: \"%s\"",
								"pynomaly.objectid", str),
						 errdetail("An ObjectId has %d hexadecimal digits.",
								   HEX_SIZE));
	PG_RETURN_POINTER(objectid);
}

/* pns_objectid_out writes 24 lower-case hex digits. */
Datum
pns_objectid_out(PG_FUNCTION_ARGS)
{
	char	   *str = palloc(HEX_SIZE + 1);

	hex_encode((const char *) PG_GETARG_OBJECTID(0), PNS_OBJECTID_SIZE, str);
	str[HEX_SIZE] = '\0';

	PG_RETURN_CSTRING(str);
}

/* pns_objectid_recv reads the 12 bytes. */
Datum
pns_objectid_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buffer = (StringInfo) PG_GETARG_POINTER(0);
	uint8	   *objectid = palloc(PNS_OBJECTID_SIZE);

	pq_copymsgbytes(buffer, (char *) objectid, PNS_OBJECTID_SIZE);
	PG_RETURN_POINTER(objectid);
}

/* pns_objectid_send writes the 12 bytes. */
Datum
pns_objectid_send(PG_FUNCTION_ARGS)
{
	StringInfoData buffer;

	pq_begintypsend(&buffer);
	pq_sendbytes(&buffer, (const char *) PG_GETARG_OBJECTID(0),
				 PNS_OBJECTID_SIZE);
	PG_RETURN_BYTEA_P(pq_endtypsend(&buffer));
}

/* pns_objectid_eq is the operator =. */
Datum
pns_objectid_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) == 0);
}

/* pns_objectid_ne is the operator <>. */
Datum
pns_objectid_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) != 0);
}

/* pns_objectid_lt is the operator <. */
Datum
pns_objectid_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) < 0);
}

/* pns_objectid_le is the operator <=. */
Datum
pns_objectid_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) <= 0);
}

/* pns_objectid_gt is the operator >. */
Datum
pns_objectid_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) > 0);
}

/* pns_objectid_ge is the operator >=. */
Datum
pns_objectid_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) >= 0);
}

/* pns_objectid_cmp is the comparison of btree indexes. */
Datum
pns_objectid_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(compare(fcinfo));
}

/* pns_objectid_sortsupport spares sorts the detour over fmgr. */
Datum
pns_objectid_sortsupport(PG_FUNCTION_ARGS)
{
	SortSupport support = (SortSupport) PG_GETARG_POINTER(0);

	support->comparator = compare_datums;
	PG_RETURN_VOID();
}

/* pns_objectid_hash is the hash of hash joins, grouping and hash indexes. */
Datum
pns_objectid_hash(PG_FUNCTION_ARGS)
{
	return hash_any(PG_GETARG_OBJECTID(0), PNS_OBJECTID_SIZE);
}

/* pns_objectid_hash_extended is the seeded hash of hash partitions. */
Datum
pns_objectid_hash_extended(PG_FUNCTION_ARGS)
{
	return hash_any_extended(PG_GETARG_OBJECTID(0), PNS_OBJECTID_SIZE,
							 PG_GETARG_INT64(1));
}

/* pns_objectid_to_bytea returns the 12 bytes. */
Datum
pns_objectid_to_bytea(PG_FUNCTION_ARGS)
{
	/* a bytea is built as a text is */
	PG_RETURN_BYTEA_P(cstring_to_text_with_len((const char *) PG_GETARG_OBJECTID(0),
											   PNS_OBJECTID_SIZE));
}

/* pns_objectid_from_bytea takes exactly 12 bytes. */
Datum
pns_objectid_from_bytea(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);
	uint8	   *objectid = palloc(PNS_OBJECTID_SIZE);

	if (VARSIZE_ANY_EXHDR(bytes) != PNS_OBJECTID_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("bytea of %d bytes cannot be an ObjectId",
						(int) VARSIZE_ANY_EXHDR(bytes)),
				 errdetail("An ObjectId has %d bytes.", PNS_OBJECTID_SIZE)));
	memcpy(objectid, VARDATA_ANY(bytes), PNS_OBJECTID_SIZE);
	PG_RETURN_POINTER(objectid);
}

/*
 * pns_objectid_timestamp returns the time of creation that an ObjectId
 * begins with: seconds since 1970, unsigned, most significant byte first.
 */
Datum
pns_objectid_timestamp(PG_FUNCTION_ARGS)
{
	uint32		seconds;

	memcpy(&seconds, PG_GETARG_OBJECTID(0), sizeof(seconds));
	PG_RETURN_TIMESTAMPTZ(time_t_to_timestamptz((pg_time_t) pg_ntoh32(seconds)));
}

/* compare orders a comparison function's two arguments. */
static int
compare(FunctionCallInfo fcinfo)
{
	return memcmp(PG_GETARG_OBJECTID(0), PG_GETARG_OBJECTID(1),
				  PNS_OBJECTID_SIZE);
}

/* compare_datums orders two values for a sort. */
static int
compare_datums(Datum a, Datum b, SortSupport support)
{
	return memcmp(DatumGetPointer(a), DatumGetPointer(b), PNS_OBJECTID_SIZE);
}
