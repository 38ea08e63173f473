/*-------------------------------------------------------------------------
 *
 * group_row.c
 *	  The rows of groups.
 *
 * A row is decoded as a table's is.  Only averages and variances of integers
 * are finished here, of sums and a count, as their digits are PostgreSQL's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "fdw/upper.h"

struct PnsGroupRow
{
	PnsDecoder *decoder;
	int			ncolumns;		/* of a row */
	int			nkeys;			/* of these, the first ones */
	const PnsAggregate **aggregates;	/* [column - nkeys] */
	int		   *parts;			/* [column - nkeys]: where what it is finished
								 * of is decoded to, from 0; if anything */
	Datum	   *values;			/* of the row and, behind it, such parts */
	bool	   *nulls;
	PnsDocument nothing;		/* what MongoDB would return for no rows */
};

static PnsColumn make_column(int slot, const char *path, Oid type, int32 typmod);
static PnsDocument make_nothing(const PnsGroup *group);
static void finish(PnsGroupRow *row, int number);
static Datum variance_of(Datum sum, const Datum *parts, const PnsAggregate *aggregate,
						 bool *isnull);
static Datum sum_of_squares(const Datum *parts, const PnsAggregate *aggregate);
static Datum root_of(Datum variance);
static Datum integer(int64 value);
static Datum call(PGFunction function, Datum left, Datum right);

/* What an aggregate is finished of, at most: see pns_aggregate_parts. */
#define MAX_PARTS 4

/*
 * pns_group_row_create prepares to read the rows of groups.
 */
PnsGroupRow *
pns_group_row_create(const PnsGroup *group, List *description)
{
	PnsGroupRow *row = palloc0(sizeof(PnsGroupRow));
	List	   *keys = (List *) list_nth(description, PNS_GROUP_KEYS);
	int			naggregates = list_length(group->aggregates);
	int			most = list_length(keys) + naggregates * (1 + MAX_PARTS);
	PnsColumn  *columns = palloc(sizeof(PnsColumn) * Max(most, 1));
	int			ncolumns = 0;
	int			nslots;
	ListCell   *lc;
	ListCell   *lc2;

	row->nkeys = list_length(keys);
	row->ncolumns = nslots = row->nkeys + naggregates;
	row->aggregates = palloc(sizeof(PnsAggregate *) * Max(naggregates, 1));
	row->parts = palloc(sizeof(int) * Max(naggregates, 1));
	row->values = palloc0(sizeof(Datum) * Max(most, 1));
	row->nulls = palloc0(sizeof(bool) * Max(most, 1));
	row->nothing = make_nothing(group);

	foreach(lc, keys)
	{
		Node	   *key = (Node *) lfirst(lc);

		columns[ncolumns] = make_column(ncolumns, psprintf("g%d", ncolumns), exprType(key),
										exprTypmod(key));
		ncolumns++;
	}
	forboth(lc, group->aggregates,
			lc2, (List *) list_nth(description, PNS_GROUP_AGGREGATES))
	{
		const PnsAggregate *aggregate = (PnsAggregate *) lfirst(lc);
		int			number = foreach_current_index(lc);

		row->aggregates[number] = aggregate;
		row->parts[number] = nslots;
		columns[ncolumns++] = make_column(row->nkeys + number, aggregate->field,
										  lfirst_node(Aggref, lc2)->aggtype, -1);
		for (const char *part = pns_aggregate_parts(aggregate); *part != '\0'; part++)
			columns[ncolumns++] = make_column(nslots++,
											  psprintf("%s%c", aggregate->field, *part),
											  NUMERICOID, -1);
	}
	row->decoder = pns_mongo_decoder_create(columns, ncolumns);
	return row;
}

/*
 * make_column describes a value of a row to the codec.  It fits, as MongoDB
 * has made it so.
 */
static PnsColumn
make_column(int slot, const char *path, Oid type, int32 typmod)
{
	PnsColumn	column = {0};

	column.attnum = slot + 1;
	column.name = path;
	column.collection = "groups";
	column.path = path;
	column.type = type;
	column.typmod = typmod;
	return column;
}

/*
 * make_nothing makes the row of an aggregate over nothing: counts are 0, and
 * everything else is NULL.
 */
static PnsDocument
make_nothing(const PnsGroup *group)
{
	PnsBsonBuilder builder;
	ListCell   *lc;

	pns_bson_begin(&builder);
	foreach(lc, group->aggregates)
	{
		const PnsAggregate *aggregate = (PnsAggregate *) lfirst(lc);

		if (pns_aggregate_is_never_null(aggregate))
			pns_bson_append_int32(&builder, aggregate->field, 0);
	}
	return pns_bson_end(&builder);
}

/*
 * pns_group_row_read makes a row of a group.
 */
void
pns_group_row_read(PnsGroupRow *row, PnsDocument document, Datum *values, bool *nulls)
{
	pns_mongo_decode(row->decoder, document, row->values, row->nulls);
	for (int i = 0; i < row->ncolumns - row->nkeys; i++)
		finish(row, i);
	memcpy(values, row->values, sizeof(Datum) * row->ncolumns);
	memcpy(nulls, row->nulls, sizeof(bool) * row->ncolumns);
}

/*
 * pns_group_row_read_nothing makes the row of an aggregate over nothing.
 */
void
pns_group_row_read_nothing(PnsGroupRow *row, Datum *values, bool *nulls)
{
	pns_group_row_read(row, row->nothing, values, nulls);
}

/*
 * finish makes the value of an aggregate that has parts: of an average the sum
 * divided by the count; NULL where there was nothing to count.
 */
static void
finish(PnsGroupRow *row, int number)
{
	const PnsAggregate *aggregate = row->aggregates[number];
	Datum	   *value = &row->values[row->nkeys + number];
	bool	   *isnull = &row->nulls[row->nkeys + number];
	const Datum *parts = &row->values[row->parts[number]];

	if (pns_aggregate_parts(aggregate)[0] == '\0')
		return;
	*isnull = row->nulls[row->parts[number]] ||
		DatumGetBool(call(numeric_eq, parts[0], integer(0)));
	if (*isnull)
		return;
	if (aggregate->kind == PNS_AGGREGATE_AVG)
		*value = call(numeric_div, *value, parts[0]);
	else
		*value = variance_of(*value, parts, aggregate, isnull);
}

/*
 * variance_of makes a variance, or its root, of a sum, a count and the sum of
 * the squares, by the formula of numeric_stddev_internal of PostgreSQL.  Of a
 * sample of one there is none.
 */
static Datum
variance_of(Datum sum, const Datum *parts, const PnsAggregate *aggregate, bool *isnull)
{
	Datum		count = parts[0];
	Datum		divisor = aggregate->sample ? call(numeric_sub, count, integer(1)) : count;
	Datum		numerator = call(numeric_sub,
								 call(numeric_mul, count, sum_of_squares(parts, aggregate)),
								 call(numeric_mul, sum, sum));
	Datum		variance;

	*isnull = DatumGetBool(call(numeric_eq, divisor, integer(0)));
	if (*isnull)
		return (Datum) 0;
	if (DatumGetBool(call(numeric_le, numerator, integer(0))))
		return integer(0);
	variance = call(numeric_div, numerator, call(numeric_mul, count, divisor));
	return aggregate->deviation ? root_of(variance) : variance;
}

/*
 * sum_of_squares puts the sum of the squares together: of an int8, that was
 * split into h * 2^32 + l, from the sums of l * l, h * l and h * h.
 */
static Datum
sum_of_squares(const Datum *parts, const PnsAggregate *aggregate)
{
	Datum		unit = integer(INT64CONST(1) << 32);
	Datum		mixed;

	if (aggregate->kind == PNS_AGGREGATE_VARIANCE)
		return parts[1];
	mixed = call(numeric_mul, parts[2], integer(2));
	return call(numeric_add, parts[1],
				call(numeric_mul, unit,
					 call(numeric_add, mixed, call(numeric_mul, unit, parts[3]))));
}

/*
 * root_of takes the root of a variance to as many digits as that has behind
 * the point, s.  numeric_sqrt has more of them, and to round twice could be
 * wrong; but not where a root that is no end of a rounding interval is apart
 * from each of these by more than its own error.  A variance differs from the
 * square of such an end, which has s + 1 digits, by 10^-(2s+2) or more, and so
 * the root from the end by 10^-(2s+2) / (2 * 10^20): it is below 2^64.
 */
static Datum
root_of(Datum variance)
{
	int			scale = DatumGetInt32(DirectFunctionCall1(numeric_scale, variance));
	Datum		precise = call(numeric_round, variance, Int32GetDatum(2 * scale + 24));

	return call(numeric_round, DirectFunctionCall1(numeric_sqrt, precise),
				Int32GetDatum(scale));
}

/*
 * integer makes a numeric of an integer.
 */
static Datum
integer(int64 value)
{
	return NumericGetDatum(int64_to_numeric(value));
}

/*
 * call calls a function of two arguments.
 */
static Datum
call(PGFunction function, Datum left, Datum right)
{
	return DirectFunctionCall2(function, left, right);
}
