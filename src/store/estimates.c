/*-------------------------------------------------------------------------
 *
 * estimates.c
 *	  What the planner may know for a user whom row-level security holds back.
 *
 * The statistics of a table are those of all tenants' rows, and EXPLAIN shows
 * what the planner makes of them: "rows=31482" for another tenant's id, or more
 * than one row for a name that only another tenant has.  So for a scan that one
 * of our policies restricts, the planner is not shown common values, histograms
 * and the like, except how common the current tenant itself is; and it is not
 * offered indexes that do not begin with the tenant, for EXPLAIN ANALYZE says
 * how many rows such a scan has found in vain.
 *
 * The planner asks the support function of current_tenant(), which every policy
 * calls, before it estimates anything: so this library is loaded by then.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_type.h"
#include "nodes/pathnodes.h"
#include "optimizer/plancat.h"
#include "parser/parsetree.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/selfuncs.h"
#include "utils/syscache.h"
#include "utils/uuid.h"

#include "store/private.h"

static void relation_info(PlannerInfo *root, Oid relation, bool inhparent,
						  RelOptInfo *rel);
static bool relation_stats(PlannerInfo *root, RangeTblEntry *rte,
						   AttrNumber attnum, VariableStatData *vardata);
static bool index_stats(PlannerInfo *root, Oid index, AttrNumber attnum,
						VariableStatData *vardata);
static Index index_of(PlannerInfo *root, RangeTblEntry *rte);
static bool is_restricted(PlannerInfo *root, Index relid);
static const char *tenant_column(Oid relation);
static HeapTuple public_statistics(HeapTuple statistics, bool of_tenant);
static float4 tenant_frequency(HeapTuple statistics);

static get_relation_info_hook_type next_relation_info = NULL;
static get_relation_stats_hook_type next_relation_stats = NULL;
static get_index_stats_hook_type next_index_stats = NULL;

PGDLLEXPORT PG_FUNCTION_INFO_V1(pns_store_current_tenant_support);

/*
 * pns_store_guard_estimates installs the hooks.
 */
void
pns_store_guard_estimates(void)
{
	next_relation_info = get_relation_info_hook;
	get_relation_info_hook = relation_info;
	next_relation_stats = get_relation_stats_hook;
	get_relation_stats_hook = relation_stats;
	next_index_stats = get_index_stats_hook;
	get_index_stats_hook = index_stats;
}

/*
 * pns_store_current_tenant_support is current_tenant()'s support function.  It
 * has nothing to say to the planner: that it was called is what counts.
 */
Datum
pns_store_current_tenant_support(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(NULL);
}

/*
 * relation_info takes the indexes away that do not begin with the tenant.
 */
static void
relation_info(PlannerInfo *root, Oid relation, bool inhparent, RelOptInfo *rel)
{
	const char *column;
	AttrNumber	tenant;
	ListCell   *cell;

	if (next_relation_info)
		next_relation_info(root, relation, inhparent, rel);
	if (!is_restricted(root, rel->relid))
		return;
	column = tenant_column(relation);
	tenant = column ? get_attnum(relation, column) : InvalidAttrNumber;
	if (tenant == InvalidAttrNumber)
		return;
	foreach(cell, rel->indexlist)
	{
		IndexOptInfo *index = lfirst_node(IndexOptInfo, cell);

		if (index->indexkeys[0] != tenant)
			rel->indexlist = foreach_delete_current(rel->indexlist, cell);
	}
}

/*
 * relation_stats answers for the statistics of a column where they have to be
 * kept back.
 */
static bool
relation_stats(PlannerInfo *root, RangeTblEntry *rte, AttrNumber attnum,
			   VariableStatData *vardata)
{
	HeapTuple	statistics;
	const char *column;

	if (!is_restricted(root, index_of(root, rte)))
		return next_relation_stats &&
			next_relation_stats(root, rte, attnum, vardata);

	vardata->statsTuple = NULL;
	vardata->freefunc = heap_freetuple;
	vardata->acl_ok = true;		/* of what is left */
	statistics = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(rte->relid),
								 Int16GetDatum(attnum),
								 BoolGetDatum(rte->inh));
	if (!HeapTupleIsValid(statistics))
		return true;
	column = tenant_column(rte->relid);
	vardata->statsTuple =
		public_statistics(statistics, column &&
						  get_attnum(rte->relid, column) == attnum);
	ReleaseSysCache(statistics);
	return true;
}

/*
 * index_stats keeps the statistics of indexed expressions back.
 */
static bool
index_stats(PlannerInfo *root, Oid index, AttrNumber attnum,
			VariableStatData *vardata)
{
	Oid			relation = IndexGetRelation(index, false);

	for (int i = 1; i < root->simple_rel_array_size; i++)
		if (root->simple_rte_array[i] != NULL &&
			root->simple_rte_array[i]->rtekind == RTE_RELATION &&
			root->simple_rte_array[i]->relid == relation &&
			is_restricted(root, i))
		{
			vardata->statsTuple = NULL;
			return true;
		}
	return next_index_stats && next_index_stats(root, index, attnum, vardata);
}

/*
 * index_of returns a range table entry's index, 0 where it is none of the
 * query's.  vardata, which would know, is not filled in by some callers, such
 * as the cost estimate of BRIN indexes.
 */
static Index
index_of(PlannerInfo *root, RangeTblEntry *rte)
{
	for (int i = 1; i < root->simple_rel_array_size; i++)
		if (root->simple_rte_array[i] == rte)
			return i;
	return 0;
}

/*
 * is_restricted tells whether a table of ours is scanned under policies that
 * leave rows out.  Those of a partition are with the parent that the query
 * names.  What a policy of pynomaly_admin leaves, the planner has simplified to
 * an empty list.
 */
static bool
is_restricted(PlannerInfo *root, Index relid)
{
	RangeTblEntry *rte;
	ListCell   *cell;
	bool		leaves_out = false;

	if (relid == 0)
		return false;
	while (root->append_rel_array && root->append_rel_array[relid])
		relid = root->append_rel_array[relid]->parent_relid;
	rte = planner_rt_fetch(relid, root);
	foreach(cell, rte->securityQuals)
		leaves_out |= lfirst(cell) != NULL;
	return leaves_out && rte->rtekind == RTE_RELATION &&
		get_rel_namespace(rte->relid) == get_namespace_oid("pynomaly", true);
}

/*
 * tenant_column returns the name of the column that policies compare with the
 * current tenant, NULL where there is none.
 */
static const char *
tenant_column(Oid relation)
{
	if (get_attnum(relation, "tenant_id") != InvalidAttrNumber)
		return "tenant_id";
	return strcmp(get_rel_name(relation), "tenants") == 0 ? "id" : NULL;
}

/*
 * public_statistics returns a copy of a column's statistics that tells of the
 * whole table, not of its values: width, null fraction, number of distinct
 * values, correlation.  Of the tenant's column it has one common value, the
 * current tenant, where that is common.
 */
static HeapTuple
public_statistics(HeapTuple statistics, bool of_tenant)
{
	Relation	catalog = table_open(StatisticRelationId, AccessShareLock);
	HeapTuple	copy = heap_copytuple(statistics);
	Form_pg_statistic form = (Form_pg_statistic) GETSTRUCT(copy);
	int16	   *kinds = &form->stakind1;
	float4		frequency = of_tenant ? tenant_frequency(statistics) : 0;

	for (int slot = 0; slot < STATISTIC_NUM_SLOTS; slot++)
	{
		int			numbers[2] = {Anum_pg_statistic_stanumbers1 + slot,
		Anum_pg_statistic_stavalues1 + slot};
		Datum		values[2] = {0};
		bool		nulls[2] = {true, true};
		HeapTuple	changed;

		if (kinds[slot] == STATISTIC_KIND_CORRELATION || kinds[slot] == 0)
			continue;
		if (kinds[slot] == STATISTIC_KIND_MCV && frequency > 0)
		{
			Datum		number = Float4GetDatum(frequency);
			Datum		tenant = UUIDPGetDatum(pns_store_tenant());

			values[0] = PointerGetDatum(construct_array(&number, 1, FLOAT4OID,
														sizeof(float4), true,
														TYPALIGN_INT));
			values[1] = PointerGetDatum(construct_array(&tenant, 1, UUIDOID,
														UUID_LEN, false,
														TYPALIGN_CHAR));
			nulls[0] = nulls[1] = false;
		}
		else
			kinds[slot] = 0;
		changed = heap_modify_tuple_by_cols(copy, RelationGetDescr(catalog), 2,
											numbers, values, nulls);
		heap_freetuple(copy);
		copy = changed;
		form = (Form_pg_statistic) GETSTRUCT(copy);
		kinds = &form->stakind1;
	}
	table_close(catalog, AccessShareLock);
	return copy;
}

/*
 * tenant_frequency returns how common the current tenant is, 0 where it is not
 * among the common values.
 */
static float4
tenant_frequency(HeapTuple statistics)
{
	const pg_uuid_t *tenant = pns_store_tenant();
	AttStatsSlot slot;
	float4		frequency = 0;

	if (tenant == NULL ||
		!get_attstatsslot(&slot, statistics, STATISTIC_KIND_MCV, InvalidOid,
						  ATTSTATSSLOT_VALUES | ATTSTATSSLOT_NUMBERS))
		return 0;
	if (slot.valuetype == UUIDOID)
		for (int i = 0; i < slot.nvalues; i++)
			if (memcmp(DatumGetUUIDP(slot.values[i]), tenant, UUID_LEN) == 0)
				frequency = slot.numbers[i];
	free_attstatsslot(&slot);
	return frequency;
}
