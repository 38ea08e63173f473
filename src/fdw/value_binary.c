/*-------------------------------------------------------------------------
 *
 * value_binary.c
 *	  How uuid, bytea and ObjectIds compare in MongoDB.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/uuid.h"

#include "fdw/private.h"

static bool uuid_points(const PnsQual *qual, Datum value, List **scalars);
static PnsFilter uuid_range(const PnsQual *qual, PnsCompareOp op, Datum value);
static PnsFilter bytea_range(const PnsQual *qual, PnsCompareOp op, Datum value);
static bool bytea_certain(const PnsTableColumn *column, PnsBsonBuilder *builder);
static bool objectid_points(const PnsQual *qual, Datum value, List **scalars);
static PnsFilter objectid_range(const PnsQual *qual, PnsCompareOp op, Datum value);
static bool objectid_certain(const PnsTableColumn *column, PnsBsonBuilder *builder);

/* uuid, which strings can be in many forms */
const PnsValueRules pns_uuid_rules = {
	.types = {"binData", "string", NULL},
	.other_type = "string",
	.points = uuid_points,
	.range = uuid_range,
};

/* bytea */
const PnsValueRules pns_bytea_rules = {
	.types = {"binData", "objectId", NULL},
	.range = bytea_range,
	.certain = bytea_certain,
};

/* pynomaly.objectid */
const PnsValueRules pns_objectid_rules = {
	.types = {"objectId", NULL},
	.points = objectid_points,
	.range = objectid_range,
	.certain = objectid_certain,
};

/*
 * uuid_scalar makes the binary of subtype 4 that a uuid is.
 */
static PnsScalar
uuid_scalar(Datum value)
{
	PnsScalar	scalar = {.type = PNS_BSON_BINARY,.subtype = 4};

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
	return pns_add_point(scalars, uuid_scalar(value));
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
	return pns_add_point(scalars, objectid_scalar(value));
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
