/*-------------------------------------------------------------------------
 *
 * partition.c
 *	  The trigger of default partitions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "base/base.h"
#include "store/private.h"

/* An INSERT through the parent, for the length of the statement. */
typedef struct PnsReroute
{
	SPIPlanPtr	plan;
	MemoryContextCallback callback; /* frees the plan */
} PnsReroute;

static bool has_month(const char *parent, TimestampTz key);
static void insert_through(PnsReroute *reroute, HeapTuple row, TupleDesc desc);
static PnsReroute *plan_insert(const char *parent, TupleDesc desc,
							   MemoryContext context);
static void free_plan(void *reroute);

PGDLLEXPORT PG_FUNCTION_INFO_V1(pns_store_leave_default_partition);

/*
 * pns_store_leave_default_partition inserts a row through the parent instead
 * where its month has a partition.  Its arguments name the parent and the
 * partition key.
 */
Datum
pns_store_leave_default_partition(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	FmgrInfo   *flinfo = fcinfo->flinfo;
	TupleDesc	desc;
	Datum		key;
	bool		isnull;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_BEFORE(data->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(data->tg_event) ||
		!TRIGGER_FIRED_BY_INSERT(data->tg_event) ||
		data->tg_trigger->tgnargs != 2)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("the function can only be called as a trigger of a default partition")));
	desc = RelationGetDescr(data->tg_relation);
	key = heap_getattr(data->tg_trigtuple,
					   SPI_fnumber(desc, data->tg_trigger->tgargs[1]),
					   desc, &isnull);
	if (isnull || !has_month(data->tg_trigger->tgargs[0],
							 DatumGetTimestampTz(key)))
		return PointerGetDatum(data->tg_trigtuple);

	SPI_connect();
	if (flinfo->fn_extra == NULL)
		flinfo->fn_extra = plan_insert(data->tg_trigger->tgargs[0], desc,
									   flinfo->fn_mcxt);
	insert_through(flinfo->fn_extra, data->tg_trigtuple, desc);
	SPI_finish();
	return PointerGetDatum(NULL);
}

/*
 * has_month tells whether a month has a partition, by its name.
 */
static bool
has_month(const char *parent, TimestampTz key)
{
	struct pg_tm tm;
	fsec_t		fsec;
	char	   *name;
	Oid			relid;

	if (TIMESTAMP_NOT_FINITE(key) ||
		timestamp2tm(key, NULL, &tm, &fsec, NULL, NULL) != 0)
		return false;
	name = psprintf("%s_%04d_%02d", parent, tm.tm_year, tm.tm_mon);
	relid = get_relname_relid(name, get_namespace_oid("pynomaly", false));
	return OidIsValid(relid) && get_rel_relispartition(relid);
}

/*
 * insert_through runs the INSERT for one row.
 */
static void
insert_through(PnsReroute *reroute, HeapTuple row, TupleDesc desc)
{
	Datum	   *values = palloc(desc->natts * sizeof(Datum));
	bool	   *isnull = palloc(desc->natts * sizeof(bool));
	char	   *nulls = palloc(desc->natts);

	heap_deform_tuple(row, desc, values, isnull);
	for (int i = 0; i < desc->natts; i++)
		nulls[i] = isnull[i] ? 'n' : ' ';
	SPI_execute_plan(reroute->plan, values, nulls, false, 0);
}

/*
 * plan_insert prepares the INSERT of all columns; the plan dies with context.
 */
static PnsReroute *
plan_insert(const char *parent, TupleDesc desc, MemoryContext context)
{
	PnsReroute *reroute = MemoryContextAllocZero(context, sizeof(PnsReroute));
	Oid		   *types = palloc(desc->natts * sizeof(Oid));
	StringInfoData query;

	initStringInfo(&query);
	appendStringInfo(&query, "INSERT INTO pynomaly.%s VALUES (",
					 quote_identifier(parent));
	for (int i = 0; i < desc->natts; i++)
	{
		types[i] = TupleDescAttr(desc, i)->atttypid;
		appendStringInfo(&query, "%s$%d", i > 0 ? ", " : "", i + 1);
	}
	appendStringInfoChar(&query, ')');
	reroute->callback.func = free_plan;
	reroute->callback.arg = reroute;
	MemoryContextRegisterResetCallback(context, &reroute->callback);
	reroute->plan = SPI_prepare(query.data, desc->natts, types);
	SPI_keepplan(reroute->plan);
	return reroute;
}

/*
 * free_plan frees a plan when its statement ends.
 */
static void
free_plan(void *reroute)
{
	SPIPlanPtr	plan = ((PnsReroute *) reroute)->plan;

	if (plan != NULL)
		SPI_freeplan(plan);
}
