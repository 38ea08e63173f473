/*-------------------------------------------------------------------------
 *
 * drop.c
 *	  No DROP takes the rows of the store with it by mistake.
 *
 * A member of an extension cannot be dropped by itself, so what can take our
 * tables away is what drops the extension: DROP EXTENSION, DROP SCHEMA, DROP
 * OWNED, also by a cascade from elsewhere.  The server tells of each object
 * that goes, while it is still there; that is where we look for rows.  An event
 * trigger before such commands does nothing but load this library in time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "commands/event_trigger.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/base.h"
#include "store/private.h"

static void object_access(ObjectAccessType access, Oid class_id, Oid object_id,
						  int sub_id, void *arg);
static bool is_table_of_store(Oid relation);
static bool has_rows(Oid relation);
static const char *dump_condition(Oid relation);

static object_access_hook_type next_object_access = NULL;

PGDLLEXPORT PG_FUNCTION_INFO_V1(pns_store_protect_rows);

/*
 * pns_store_watch_drops installs the hook.
 */
void
pns_store_watch_drops(void)
{
	next_object_access = object_access_hook;
	object_access_hook = object_access;
}

/*
 * pns_store_protect_rows is the event trigger's function: that it was called
 * means that the hook is there.
 */
Datum
pns_store_protect_rows(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("the function can only be called as an event trigger")));
	PG_RETURN_NULL();
}

/*
 * object_access refuses that a table of ours is dropped while it has rows that
 * a dump would carry.
 */
static void
object_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id,
			  void *arg)
{
	if (next_object_access)
		next_object_access(access, class_id, object_id, sub_id, arg);

	if (access == OAT_DROP && class_id == RelationRelationId && sub_id == 0 &&
		!pns_store_allow_drop &&
		is_table_of_store(object_id) && has_rows(object_id))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot drop table %s.%s because it has rows",
						quote_identifier(get_namespace_name(get_rel_namespace(object_id))),
						quote_identifier(get_rel_name(object_id))),
				 errhint("To drop the store with everything in it, SET pynomaly_store.allow_drop = on.")));
}

/*
 * is_table_of_store tells whether a relation is a table, or a partition, that
 * belongs to our extension.
 */
static bool
is_table_of_store(Oid relation)
{
	Oid			extension;

	if (get_rel_relkind(relation) != RELKIND_RELATION)
		return false;
	extension = getExtensionOfObject(RelationRelationId, relation);
	return OidIsValid(extension) &&
		extension == get_extension_oid("pynomaly_store", true);
}

/*
 * has_rows tells whether a table has rows of its users, which is what a dump
 * carries: not those that CREATE EXTENSION has made.  It sees what the dropping
 * transaction sees, all tenants' rows.
 */
static bool
has_rows(Oid relation)
{
	const char *name = get_rel_name(relation);
	const char *condition;
	char	   *query;
	PnsOwnerState saved;
	bool		found;
	int			result;

	SPI_connect();
	condition = dump_condition(relation);
	if (condition == NULL)
	{
		SPI_finish();
		return false;
	}
	query = psprintf("SELECT FROM (SELECT * FROM ONLY pynomaly.%s %s) AS r LIMIT 1",
					 quote_identifier(name), condition);
	pns_base_become_owner(name, &saved);
	result = SPI_execute(query, false, 1);
	pns_base_end_owner(&saved);
	if (result != SPI_OK_SELECT)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not look for rows of \"%s\": %s",
						name, SPI_result_code_string(result))));
	found = SPI_processed > 0;
	SPI_finish();
	return found;
}

/*
 * dump_condition returns the condition under which pg_dump takes a table's
 * rows, empty for all of them, as those of a partition.  NULL stands for a table
 * that no dump carries, as what is in it can be found again.  Must be called
 * within SPI.
 */
static const char *
dump_condition(Oid relation)
{
	Oid			type = OIDOID;
	Datum		argument = ObjectIdGetDatum(relation);
	char	   *condition;

	SPI_execute_with_args("SELECT c.condition FROM pg_catalog.pg_extension e,"
						  " ROWS FROM (pg_catalog.unnest(e.extconfig),"
						  " pg_catalog.unnest(e.extcondition))"
						  " AS c (relation, condition)"
						  " WHERE c.relation OPERATOR(pg_catalog.=) $1",
						  1, &type, &argument, NULL, true, 1);
	if (SPI_processed == 0)
		return get_rel_relispartition(relation) ? "" : NULL;
	condition = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	return condition ? condition : "";
}
