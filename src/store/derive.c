/*-------------------------------------------------------------------------
 *
 * derive.c
 *	  Triggers that keep rows right: derived columns, updated_at, shipped rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "base/base.h"
#include "store/private.h"

/* What derive_result fills in, in this order. */
static const char *const result_columns[] = {
	"n_samples", "n_anomalies", "anomaly_rate",
	"score_min", "score_max", "score_mean", "score_median", "score_std",
	"score_q25", "score_q75", "has_confidence_intervals"
};

#define RESULT_COLUMNS lengthof(result_columns)

static HeapTuple trigger_row(FunctionCallInfo fcinfo, TupleDesc *desc);
static int	column_number(TupleDesc desc, const char *name);
static Datum column(HeapTuple row, TupleDesc desc, const char *name,
					bool *isnull);
static void refuse(Relation relation, const char *message,
				   const char *detail) pg_attribute_noreturn();
static void demand_same_time(HeapTuple before, HeapTuple after,
							 TupleDesc desc);
static ArrayType *plain_array(Relation relation, Datum value,
							  const char *name);
static float8 *sorted_scores(Relation relation, ArrayType *scores, int n);
static int	count_anomalies(Relation relation, ArrayType *labels, int n);
static void check_intervals(Relation relation, Jsonb *intervals, int n);
static void score_statistics(Relation relation, ArrayType *scores, const float8 *sorted, int n,
							 Datum *values, bool *nulls);
static float8 percentile(const float8 *sorted, int n, float8 fraction);
static int	compare_scores(const void *a, const void *b);
static bool is_system_row(HeapTuple row, TupleDesc desc);

PGDLLEXPORT PG_FUNCTION_INFO_V1(pns_store_touch_updated_at);
PGDLLEXPORT PG_FUNCTION_INFO_V1(pns_store_protect_shipped_rows);
PGDLLEXPORT PG_FUNCTION_INFO_V1(pns_store_derive_result);
PGDLLEXPORT PG_FUNCTION_INFO_V1(pns_store_derive_anomaly);

/*
 * pns_store_touch_updated_at sets updated_at to the transaction's time, unless
 * the UPDATE has given it another value itself.
 */
Datum
pns_store_touch_updated_at(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	HeapTuple	row = trigger_row(fcinfo, &desc);
	int			number = column_number(desc, "updated_at");
	bool		isnull = false;
	bool		was_null;
	Datum		before = column(data->tg_trigtuple, desc, "updated_at", &was_null);
	Datum		after = column(row, desc, "updated_at", &isnull);

	if (isnull != was_null ||
		(!isnull && DatumGetTimestampTz(before) != DatumGetTimestampTz(after)))
		return PointerGetDatum(row);
	after = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	isnull = false;
	return PointerGetDatum(heap_modify_tuple_by_cols(row, desc, 1, &number,
													 &after, &isnull));
}

/*
 * pns_store_protect_shipped_rows lets only the extension's scripts write rows
 * that it ships: a dump leaves them out, so a change would be lost.
 */
Datum
pns_store_protect_shipped_rows(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	HeapTuple	row = trigger_row(fcinfo, &desc);

	if (!creating_extension &&
		(is_system_row(row, desc) || is_system_row(data->tg_trigtuple, desc)))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rows of \"%s\" that are marked is_system cannot be written",
						RelationGetRelationName(data->tg_relation)),
				 errhint("Add rows of your own instead.")));
	return PointerGetDatum(row);
}

/*
 * pns_store_derive_result checks the arrays of a detection result and fills in
 * what is derived of them: once for all columns, so that the arrays are read
 * once.  The statistics are those of avg, stddev_pop and percentile_cont, to
 * the last bit.
 */
Datum
pns_store_derive_result(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	HeapTuple	row = trigger_row(fcinfo, &desc);
	int			numbers[RESULT_COLUMNS];
	Datum		values[RESULT_COLUMNS] = {0};
	bool		nulls[RESULT_COLUMNS];
	ArrayType  *scores;
	Datum		value;
	bool		isnull;
	int			n;

	if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
		demand_same_time(data->tg_trigtuple, row, desc);
	value = column(row, desc, "scores", &isnull);
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("scores must not be null"),
				 errtable(data->tg_relation)));
	for (int i = 0; i < RESULT_COLUMNS; i++)
	{
		numbers[i] = column_number(desc, result_columns[i]);
		nulls[i] = true;
	}
	scores = plain_array(data->tg_relation, value, "scores");
	n = ArrayGetNItems(ARR_NDIM(scores), ARR_DIMS(scores));
	values[0] = Int32GetDatum(n);
	nulls[0] = false;
	value = column(row, desc, "labels", &isnull);
	if (!isnull)
	{
		int			anomalies =
		count_anomalies(data->tg_relation,
						plain_array(data->tg_relation, value, "labels"), n);

		values[1] = Int32GetDatum(anomalies);
		values[2] = Float8GetDatum(n > 0 ? (float8) anomalies / n : 0);
		nulls[1] = false;
		nulls[2] = n == 0;
	}
	if (n > 0)
		score_statistics(data->tg_relation, scores,
						 sorted_scores(data->tg_relation, scores, n), n,
						 values + 3, nulls + 3);
	value = column(row, desc, "confidence_intervals", &isnull);
	if (!isnull)
		check_intervals(data->tg_relation, DatumGetJsonbP(value), n);
	values[RESULT_COLUMNS - 1] = BoolGetDatum(!isnull);
	nulls[RESULT_COLUMNS - 1] = false;
	return PointerGetDatum(heap_modify_tuple_by_cols(row, desc, RESULT_COLUMNS,
													 numbers, values, nulls));
}

/*
 * pns_store_derive_anomaly sets the severity that the platform derives of a
 * score.
 */
Datum
pns_store_derive_anomaly(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	HeapTuple	row = trigger_row(fcinfo, &desc);
	int			number = column_number(desc, "severity");
	bool		isnull;
	Datum		value = column(row, desc, "score", &isnull);
	float8		score;

	if (isnull)					/* the column's NOT NULL will say so */
		return PointerGetDatum(row);
	score = DatumGetFloat8(value);
	value = CStringGetTextDatum(score > 0.9 ? "critical" :
								score > 0.7 ? "high" :
								score > 0.5 ? "medium" : "low");
	return PointerGetDatum(heap_modify_tuple_by_cols(row, desc, 1, &number,
													 &value, &isnull));
}

/*
 * trigger_row returns the row that a BEFORE ROW trigger is to return, and its
 * descriptor.  Raises an error where the function is called otherwise.
 */
static HeapTuple
trigger_row(FunctionCallInfo fcinfo, TupleDesc *desc)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_BEFORE(data->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("the function can only be called as a trigger before a row")));
	*desc = RelationGetDescr(data->tg_relation);
	return TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_newtuple
		: data->tg_trigtuple;
}

/*
 * column_number returns the number of the column with a name.
 */
static int
column_number(TupleDesc desc, const char *name)
{
	int			number = SPI_fnumber(desc, name);

	if (number <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("the trigger's table has no column \"%s\"", name)));
	return number;
}

/*
 * column returns the value of the column with a name.
 */
static Datum
column(HeapTuple row, TupleDesc desc, const char *name, bool *isnull)
{
	return heap_getattr(row, column_number(desc, name), desc, isnull);
}

/*
 * refuse raises the error of a violated constraint.
 */
static void
refuse(Relation relation, const char *message, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("%s", message),
			 detail ? errdetail("%s", detail) : 0,
			 errtable(relation)));
}

/*
 * demand_same_time refuses to change created_at: a result that moved to another
 * partition would leave its anomalies, whose foreign key stands between the
 * partitions, to be deleted with its old self.
 */
static void
demand_same_time(HeapTuple before, HeapTuple after, TupleDesc desc)
{
	bool		was_null;
	bool		is_null;
	Datum		was = column(before, desc, "created_at", &was_null);
	Datum		is = column(after, desc, "created_at", &is_null);

	if (is_null || was_null ||
		DatumGetTimestampTz(was) == DatumGetTimestampTz(is))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("created_at of a detection result cannot be changed"),
			 errhint("Insert the result anew, and delete this one.")));
}

/*
 * plain_array returns an array that has one dimension at most and no nulls;
 * another one is refused.
 */
static ArrayType *
plain_array(Relation relation, Datum value, const char *name)
{
	ArrayType  *array = DatumGetArrayTypeP(value);

	if (ARR_NDIM(array) > 1)
		refuse(relation, psprintf("%s must have one dimension", name), NULL);
	if (array_contains_nulls(array))
		refuse(relation, psprintf("%s must not contain nulls", name), NULL);
	return array;
}

/*
 * sorted_scores returns a sorted copy of the scores; a NaN or an infinity is
 * refused.
 */
static float8 *
sorted_scores(Relation relation, ArrayType *scores, int n)
{
	const float8 *given = (const float8 *) ARR_DATA_PTR(scores);
	float8	   *sorted = palloc(n * sizeof(float8));

	for (int i = 0; i < n; i++)
	{
		if (!isfinite(given[i]))
			refuse(relation, "scores must be finite",
				   psprintf("The score of sample %d is not.", i));
		sorted[i] = given[i];
	}
	qsort(sorted, n, sizeof(float8), compare_scores);
	return sorted;
}

/*
 * count_anomalies counts the labels that are 1; others than 0 and 1, or more
 * or fewer than n, are refused.
 */
static int
count_anomalies(Relation relation, ArrayType *labels, int n)
{
	const int16 *given = (const int16 *) ARR_DATA_PTR(labels);
	int			nlabels = ArrayGetNItems(ARR_NDIM(labels), ARR_DIMS(labels));
	int			anomalies = 0;

	if (nlabels != n)
		refuse(relation, "scores and labels must have the same length",
			   psprintf("There are %d scores and %d labels.", n, nlabels));
	for (int i = 0; i < n; i++)
	{
		if (given[i] != 0 && given[i] != 1)
			refuse(relation, "labels must be 0 or 1",
				   psprintf("The label of sample %d is %d.", i, given[i]));
		anomalies += given[i];
	}
	return anomalies;
}

/*
 * check_intervals demands an array of n elements.
 */
static void
check_intervals(Relation relation, Jsonb *intervals, int n)
{
	if (!JB_ROOT_IS_ARRAY(intervals) || JB_ROOT_IS_SCALAR(intervals) ||
		JB_ROOT_COUNT(intervals) != n)
		refuse(relation, "confidence_intervals must be an array with one element for each score",
			   psprintf("There are %d scores.", n));
}

/*
 * score_statistics fills in minimum, maximum, mean, median, standard deviation
 * and the two quartiles of n > 0 scores.  Mean and deviation are taken in the
 * scores' own order by the method of float8_accum; as avg does, it refuses scores
 * whose sum or squares no float8 holds.
 */
static void
score_statistics(Relation relation, ArrayType *scores, const float8 *sorted, int n,
				 Datum *values, bool *nulls)
{
	const float8 *given = (const float8 *) ARR_DATA_PTR(scores);
	float8		sum = 0;
	float8		squares = 0;

	for (int i = 0; i < n; i++)
	{
		sum += given[i];
		if (i > 0)
		{
			float8		deviation = given[i] * (i + 1) - sum;

			squares += deviation * deviation / ((float8) (i + 1) * i);
		}
	}
	values[0] = Float8GetDatum(sorted[0]);
	values[1] = Float8GetDatum(sorted[n - 1]);
	values[2] = Float8GetDatum(sum / n);
	values[3] = Float8GetDatum(percentile(sorted, n, 0.5));
	values[4] = Float8GetDatum(sqrt(squares / n));
	values[5] = Float8GetDatum(percentile(sorted, n, 0.25));
	values[6] = Float8GetDatum(percentile(sorted, n, 0.75));
	for (int i = 0; i < 7; i++)
		if (!isfinite(DatumGetFloat8(values[i])))
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("statistics of the scores are out of range"),
					 errdetail("Their sum, squares or differences are more than double precision holds."),
					 errtable(relation)));
	memset(nulls, false, 7 * sizeof(bool));
}

/*
 * percentile interpolates as percentile_cont does.
 */
static float8
percentile(const float8 *sorted, int n, float8 fraction)
{
	float8		at = fraction * (n - 1);
	int			first = (int) floor(at);
	int			second = (int) ceil(at);

	return sorted[first] + (at - first) * (sorted[second] - sorted[first]);
}

/*
 * compare_scores orders finite numbers, for qsort.
 */
static int
compare_scores(const void *a, const void *b)
{
	float8		x = *(const float8 *) a;
	float8		y = *(const float8 *) b;

	return (x > y) - (x < y);
}

/*
 * is_system_row tells whether a row is one that the extension ships.
 */
static bool
is_system_row(HeapTuple row, TupleDesc desc)
{
	bool		isnull;
	Datum		value = column(row, desc, "is_system", &isnull);

	return !isnull && DatumGetBool(value);
}
