/*-------------------------------------------------------------------------
 *
 * audit.c
 *	  The triggers of the audit log, and events that applications record.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/partition.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "store/audit.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"

/* A row of a changed table, taken apart. */
typedef struct AuditedRow
{
	Datum	   *values;
	bool	   *nulls;
} AuditedRow;

static int	max_value_size = 8192;

PG_FUNCTION_INFO_V1(pns_store_record_change);
PG_FUNCTION_INFO_V1(pns_store_record_event);
PG_FUNCTION_INFO_V1(pns_store_guard_audit);
PG_FUNCTION_INFO_V1(pns_store_is_restoring);

PGDLLEXPORT Datum pns_store_record_change(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_store_record_event(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_store_guard_audit(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_store_is_restoring(PG_FUNCTION_ARGS);

static bool is_restoring(void);
static void demand_trigger(FunctionCallInfo fcinfo, const char *name);
static void record_row(TriggerData *trigger, AuditFact *fact);
static void record_update(TriggerData *trigger, AuditFact *fact);
static AuditedRow take_apart(Relation relation, HeapTuple tuple);
static bool *changed_columns(TriggerData *trigger, const AuditedRow *old,
							 const AuditedRow *new, bool *noteworthy);
static bool is_ignored(Trigger *trigger, const char *column);
static Jsonb *key_of(Relation relation, const AuditedRow *row);
static const pg_uuid_t *tenant_of(Relation relation, const AuditedRow *row);
static const char *name_of(Relation relation);
static const char *text_argument(FunctionCallInfo fcinfo, int number);

/*
 * pns_store_define_audit defines the settings of the audit log.
 */
void
pns_store_define_audit(void)
{
	DefineCustomIntVariable("pynomaly_store.audit_max_value",
							"The largest value that the audit log keeps.",
							"Of a larger one it keeps the size and the SHA-256.",
							&max_value_size,
							8192, 0, 1024 * 1024 * 1024,
							PGC_SUSET, GUC_UNIT_BYTE,
							NULL, NULL, NULL);
	pns_store_audit_entry_init();
	pns_store_audit_chain_init();
}

/*
 * pns_store_is_restoring says whether this session loads a dump.
 */
Datum
pns_store_is_restoring(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(is_restoring());
}

/*
 * is_restoring recognises a session that loads a dump by the two settings that
 * pg_dump and pg_restore turn off for it.  What such a session writes was
 * counted and recorded when it was written first, and the dump holds that too.
 *
 * The superuser has to be who gives the statement, not the owner of a function
 * that it calls: the two settings are anybody's.
 */
static bool
is_restoring(void)
{
	return !row_security && !check_function_bodies &&
		superuser_arg(GetOuterUserId());
}

/*
 * pns_store_record_change is the trigger that appends to the audit log what
 * happened to a row, or that a table was truncated.
 *
 * Its arguments name columns that are ignored: a change of nothing but them is
 * not recorded.
 */
Datum
pns_store_record_change(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	AuditFact	fact = {.kind = "change",.outcome = "success"};

	demand_trigger(fcinfo, "record_change");
	if (!TRIGGER_FIRED_AFTER(trigger->tg_event))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("record_change must be fired AFTER")));
	if (is_restoring())
		return PointerGetDatum(NULL);
	fact.resource_type = name_of(trigger->tg_relation);
	if (TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
	{
		fact.action = "truncate";
		pns_store_audit_write(&fact);
	}
	else if (!TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("record_change must be fired FOR EACH ROW")));
	else if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		record_update(trigger, &fact);
	else
		record_row(trigger, &fact);
	return PointerGetDatum(NULL);
}

/*
 * demand_trigger raises an error where a function is not called as a trigger.
 */
static void
demand_trigger(FunctionCallInfo fcinfo, const char *name)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("%s must be called as a trigger", name)));
}

/*
 * record_row records a row that was inserted or deleted, with all its columns.
 */
static void
record_row(TriggerData *trigger, AuditFact *fact)
{
	Relation	relation = trigger->tg_relation;
	AuditedRow	row = take_apart(relation, trigger->tg_trigtuple);
	Jsonb	   *columns = pns_store_audit_row(RelationGetDescr(relation), row.values,
											  row.nulls, NULL, max_value_size);

	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
	{
		fact->action = "insert";
		fact->new_values = columns;
	}
	else
	{
		fact->action = "delete";
		fact->old_values = columns;
	}
	fact->resource_key = key_of(relation, &row);
	fact->tenant = tenant_of(relation, &row);
	pns_store_audit_write(fact);
}

/*
 * record_update records the columns that an update changed, as they were and
 * as they are; nothing where none has.
 */
static void
record_update(TriggerData *trigger, AuditFact *fact)
{
	Relation	relation = trigger->tg_relation;
	TupleDesc	descriptor = RelationGetDescr(relation);
	AuditedRow	old = take_apart(relation, trigger->tg_trigtuple);
	AuditedRow	new = take_apart(relation, trigger->tg_newtuple);
	bool		noteworthy;
	bool	   *changed = changed_columns(trigger, &old, &new, &noteworthy);

	if (!noteworthy)
		return;
	fact->action = "update";
	fact->old_values = pns_store_audit_row(descriptor, old.values, old.nulls,
										   changed, max_value_size);
	fact->new_values = pns_store_audit_row(descriptor, new.values, new.nulls,
										   changed, max_value_size);
	fact->resource_key = key_of(relation, &old);
	fact->tenant = tenant_of(relation, &new);
	pns_store_audit_write(fact);
}

/* take_apart returns the columns of a row. */
static AuditedRow
take_apart(Relation relation, HeapTuple tuple)
{
	TupleDesc	descriptor = RelationGetDescr(relation);
	AuditedRow	row;

	row.values = palloc(descriptor->natts * sizeof(Datum));
	row.nulls = palloc(descriptor->natts * sizeof(bool));
	heap_deform_tuple(tuple, descriptor, row.values, row.nulls);
	return row;
}

/*
 * changed_columns returns, for each column, whether an update changed it;
 * noteworthy is whether one of them is not ignored.
 */
static bool *
changed_columns(TriggerData *trigger, const AuditedRow *old,
				const AuditedRow *new, bool *noteworthy)
{
	TupleDesc	descriptor = RelationGetDescr(trigger->tg_relation);
	bool	   *changed = palloc0(descriptor->natts * sizeof(bool));

	*noteworthy = false;
	for (int i = 0; i < descriptor->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(descriptor, i);

		if (attribute->attisdropped)
			continue;
		if (old->nulls[i] || new->nulls[i])
			changed[i] = old->nulls[i] != new->nulls[i];
		else
			changed[i] = !datum_image_eq(old->values[i], new->values[i],
										 attribute->attbyval, attribute->attlen);
		if (changed[i] &&
			!is_ignored(trigger->tg_trigger, NameStr(attribute->attname)))
			*noteworthy = true;
	}
	return changed;
}

/* is_ignored says whether the trigger's arguments name a column. */
static bool
is_ignored(Trigger *trigger, const char *column)
{
	for (int i = 0; i < trigger->tgnargs; i++)
		if (strcmp(trigger->tgargs[i], column) == 0)
			return true;
	return false;
}

/*
 * key_of returns the columns of a row's primary key; NULL where its table has
 * none.
 */
static Jsonb *
key_of(Relation relation, const AuditedRow *row)
{
	TupleDesc	descriptor = RelationGetDescr(relation);
	Bitmapset  *key = RelationGetIndexAttrBitmap(relation,
												 INDEX_ATTR_BITMAP_PRIMARY_KEY);
	bool	   *wanted = palloc0(descriptor->natts * sizeof(bool));
	int			member = -1;

	if (bms_is_empty(key))
		return NULL;
	while ((member = bms_next_member(key, member)) >= 0)
		wanted[member + FirstLowInvalidHeapAttributeNumber - 1] = true;
	return pns_store_audit_row(descriptor, row->values, row->nulls, wanted,
							   max_value_size);
}

/*
 * tenant_of returns the tenant that a row belongs to: its column tenant_id; a
 * tenant's own row is its own.  NULL for a row of the platform.
 */
static const pg_uuid_t *
tenant_of(Relation relation, const AuditedRow *row)
{
	TupleDesc	descriptor = RelationGetDescr(relation);
	bool		is_tenant = strcmp(RelationGetRelationName(relation), "tenants") == 0;

	for (int i = 0; i < descriptor->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(descriptor, i);

		if (!attribute->attisdropped && attribute->atttypid == UUIDOID &&
			strcmp(NameStr(attribute->attname), is_tenant ? "id" : "tenant_id") == 0)
			return row->nulls[i] ? NULL : DatumGetUUIDP(row->values[i]);
	}
	return NULL;
}

/*
 * name_of returns the qualified name of a table; of a partition, that of the
 * table that it is a part of.
 */
static const char *
name_of(Relation relation)
{
	Oid			oid = RelationGetRelid(relation);

	if (relation->rd_rel->relispartition)
		oid = llast_oid(get_partition_ancestors(oid));
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(oid)),
									  get_rel_name(oid));
}

/*
 * pns_store_record_event appends what an application reports: action, type and
 * key of the resource, outcome, severity, details, tenant.
 */
Datum
pns_store_record_event(PG_FUNCTION_ARGS)
{
	AuditFact	fact = {.kind = "event"};

	fact.action = text_argument(fcinfo, 0);
	fact.resource_type = text_argument(fcinfo, 1);
	fact.resource_key = PG_ARGISNULL(2) ? NULL :
		pns_store_audit_mask(PG_GETARG_JSONB_P(2));
	fact.outcome = text_argument(fcinfo, 3);
	fact.severity = text_argument(fcinfo, 4);
	fact.details = PG_ARGISNULL(5) ? NULL :
		pns_store_audit_mask(PG_GETARG_JSONB_P(5));
	fact.tenant = PG_ARGISNULL(6) ? NULL : PG_GETARG_UUID_P(6);
	if (fact.action == NULL || fact.resource_type == NULL || fact.outcome == NULL)
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("action, resource type and outcome of an event cannot be NULL")));
	pns_store_audit_write(&fact);
	PG_RETURN_VOID();
}

/* text_argument returns an argument as a string, NULL where it is NULL. */
static const char *
text_argument(FunctionCallInfo fcinfo, int number)
{
	return PG_ARGISNULL(number) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(number));
}

/*
 * pns_store_guard_audit is the trigger that keeps the log append-only: nobody
 * changes or removes an entry, and only a superuser, who restores a dump, adds
 * one.  What audit_entry.c adds fires no trigger.
 */
Datum
pns_store_guard_audit(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	demand_trigger(fcinfo, "guard_audit");
	if (!TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("%s is append-only", name_of(trigger->tg_relation)),
				 errdetail("Entries are neither changed nor removed, by nobody.")));
	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("%s is written by the extension only",
						name_of(trigger->tg_relation)),
				 errhint("Record an event with pynomaly.record_event.")));
	return PointerGetDatum(trigger->tg_trigtuple);
}
