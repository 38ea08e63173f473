/*-------------------------------------------------------------------------
 *
 * group_row.c
 *	  The rows of groups.
 *
 * A row is decoded as a table's is.  Only the average of integers is finished
 * here, of a sum and a count, as its digits are PostgreSQL's.
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
	int		   *counts;			/* [column]: where the count of an average is
								 * decoded to, from 0; -1 for the others */
	Datum	   *values;			/* of the row and, behind it, the counts */
	bool	   *nulls;
	PnsDocument nothing;		/* what MongoDB would return for no rows */
};

static PnsColumn make_column(int slot, const char *path, Oid type, int32 typmod);
static PnsDocument make_nothing(const PnsGroup *group);
static void finish_average(PnsGroupRow *row, int column);

/*
 * pns_group_row_create prepares to read the rows of groups.
 */
PnsGroupRow *
pns_group_row_create(const PnsGroup *group, List *description)
{
	PnsGroupRow *row = palloc0(sizeof(PnsGroupRow));
	List	   *keys = (List *) list_nth(description, PNS_GROUP_KEYS);
	int			most = list_length(keys) + 2 * list_length(group->aggregates);
	PnsColumn  *columns = palloc(sizeof(PnsColumn) * Max(most, 1));
	int			ncolumns = 0;
	int			ncounts = 0;
	ListCell   *lc;
	ListCell   *lc2;

	row->ncolumns = list_length(keys) + list_length(group->aggregates);
	row->counts = palloc(sizeof(int) * Max(row->ncolumns, 1));
	row->values = palloc0(sizeof(Datum) * Max(most, 1));
	row->nulls = palloc0(sizeof(bool) * Max(most, 1));
	row->nothing = make_nothing(group);

	foreach(lc, keys)
	{
		Node	   *key = (Node *) lfirst(lc);
		int			number = foreach_current_index(lc);

		row->counts[number] = -1;
		columns[ncolumns++] = make_column(number, psprintf("g%d", number), exprType(key),
										  exprTypmod(key));
	}
	forboth(lc, group->aggregates,
			lc2, (List *) list_nth(description, PNS_GROUP_AGGREGATES))
	{
		const PnsAggregate *aggregate = (PnsAggregate *) lfirst(lc);
		Aggref	   *aggref = lfirst_node(Aggref, lc2);
		int			number = list_length(keys) + foreach_current_index(lc);

		row->counts[number] = -1;
		columns[ncolumns++] = make_column(number, aggregate->field, aggref->aggtype, -1);
		if (aggregate->kind == PNS_AGGREGATE_AVG)
		{
			row->counts[number] = row->ncolumns + ncounts++;
			columns[ncolumns++] = make_column(row->counts[number],
											  psprintf("%sc", aggregate->field),
											  INT8OID, -1);
		}
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
	for (int i = 0; i < row->ncolumns; i++)
	{
		if (row->counts[i] >= 0)
			finish_average(row, i);
		values[i] = row->values[i];
		nulls[i] = row->nulls[i];
	}
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
 * finish_average divides the sum by the count, as PostgreSQL does; NULL where
 * there was nothing to count.
 */
static void
finish_average(PnsGroupRow *row, int column)
{
	int			count = row->counts[column];

	if (row->nulls[count] || DatumGetInt64(row->values[count]) == 0)
	{
		row->nulls[column] = true;
		return;
	}
	row->values[column] =
		DirectFunctionCall2(numeric_div, row->values[column],
							NumericGetDatum(int64_to_numeric(DatumGetInt64(row->values[count]))));
}
