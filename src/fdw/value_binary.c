/*-------------------------------------------------------------------------
 *
 * value_binary.c
 *	  How uuid, bytea and ObjectIds compare in MongoDB.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/uuid.h"

#include "fdw/private.h"

static bool uuid_points(const PnsQual *qual, Datum value, List **scalars);
static PnsFilter uuid_range(const PnsQual *qual, PnsCompareOp op, Datum value, bool bounded);
static char *uuid_regex(const pg_uuid_t *uuid);
static PnsFilter bytea_range(const PnsQual *qual, PnsCompareOp op, Datum value, bool bounded);
static PnsFilter bytea_fits(const PnsTableColumn *column, PnsBounds bounds, bool *all);
static bool objectid_points(const PnsQual *qual, Datum value, List **scalars);
static PnsFilter objectid_range(const PnsQual *qual, PnsCompareOp op, Datum value, bool bounded);
static bool objectid_bounds(const PnsQual *qual, Datum value);
static PnsFilter objectid_fits(const PnsTableColumn *column, PnsBounds bounds, bool *all);

/* uuid, which strings can be in many forms */
const PnsValueRules pns_uuid_rules = {
	.types = {"binData", "string", NULL},
	.strangers = {"array", "symbol", NULL},
	.other_type = "string",
	.points = uuid_points,
	.range = uuid_range,
};

/* bytea */
const PnsValueRules pns_bytea_rules = {
	.types = {"binData", "objectId", NULL},
	.strangers = {"array", NULL},
	.range = bytea_range,
	.fits = bytea_fits,
};

/* pynomaly.objectid */
const PnsValueRules pns_objectid_rules = {
	.types = {"objectId", NULL},
	.strangers = {"array", NULL},
	.points = objectid_points,
	.range = objectid_range,
	.bounds = objectid_bounds,
	.fits = objectid_fits,
};

/*
 * uuid_scalar makes the binary of subtype 4 that a uuid is.
 */
static PnsScalar
uuid_scalar(const pg_uuid_t *uuid)
{
	PnsScalar	scalar = {.type = PNS_BSON_BINARY,.subtype = 4};

	scalar.data = (const char *) uuid->data;
	scalar.size = UUID_LEN;
	return scalar;
}

/*
 * uuid_points: the binary form, of a superset, into which strings come as the
 * class's other type.  Which strings are equal takes a regular expression.
 */
static bool
uuid_points(const PnsQual *qual, Datum value, List **scalars)
{
	return !qual->exact && pns_add_point(scalars, uuid_scalar(DatumGetUUIDP(value)));
}

/*
 * uuid_range: values of one length and subtype are ordered by their bytes.
 */
static PnsFilter
uuid_range(const PnsQual *qual, PnsCompareOp op, Datum value, bool bounded)
{
	const char *path = qual->column->native;
	PnsFilter	binaries = pns_filter_compare(path, op, uuid_scalar(DatumGetUUIDP(value)));

	if (op != PNS_EQ)
		return binaries;
	return pns_filter_or(binaries,
						 pns_filter_regex(path, uuid_regex(DatumGetUUIDP(value)), "i"));
}

/*
 * uuid_regex makes the regular expression of all forms of a uuid, without
 * regard to case: eight groups of four digits, with or without hyphens between
 * them, and braces around all.
 */
static char *
uuid_regex(const pg_uuid_t *uuid)
{
	StringInfoData digits;

	initStringInfo(&digits);
	for (int i = 0; i < UUID_LEN; i++)
	{
		if (i > 0 && i % 2 == 0)
			appendStringInfoString(&digits, "-?");
		appendStringInfo(&digits, "%02x", uuid->data[i]);
	}
	return psprintf("^(?:%s|\\{%s\\})$(?!\\n)", digits.data, digits.data);
}

/*
 * bytea_range: MongoDB orders binary values by length, subtype and bytes, so
 * that the bytes under all subtypes lie between the first subtype and the
 * last.  Subtype 2 carries its length twice, and counts as longer.
 */
static PnsFilter
bytea_range(const PnsQual *qual, PnsCompareOp op, Datum value, bool bounded)
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
 * bytea_fits: every binary and every ObjectId.
 */
static PnsFilter
bytea_fits(const PnsTableColumn *column, PnsBounds bounds, bool *all)
{
	*all = true;
	return pns_filter_type(column->native, pns_bytea_rules.types);
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
objectid_range(const PnsQual *qual, PnsCompareOp op, Datum value, bool bounded)
{
	return pns_filter_compare(qual->column->native, op, objectid_scalar(value));
}

/*
 * objectid_bounds: what compares with an ObjectId is one.
 */
static bool
objectid_bounds(const PnsQual *qual, Datum value)
{
	return true;
}

/*
 * objectid_fits: every ObjectId.
 */
static PnsFilter
objectid_fits(const PnsTableColumn *column, PnsBounds bounds, bool *all)
{
	*all = true;
	if (bounds.lower || bounds.upper)
		return pns_filter_all();
	return pns_filter_type(column->native, pns_objectid_rules.types);
}
