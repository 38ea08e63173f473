/*-------------------------------------------------------------------------
 *
 * settings.c
 *	  The wrapper's settings, and the switches of pushdown.
 *
 * Each kind of pushdown has a setting, which switches it for a session, and an
 * option of servers and tables, which the table's part in a query needs too.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/guc.h"

#include "fdw/private.h"

/* Of all settings; MarkGUCPrefixReserved wants it without the dot. */
#define PREFIX "pynomaly_store."

/* A switch: its setting, which without the prefix is the option, and its use. */
typedef struct Switch
{
	const char *name;
	const char *summary;
	const char *detail;
} Switch;

/* Indexed by PnsPushdown. */
static const Switch switches[] = {
	[PNS_PUSH_AGGREGATE] = {
		PREFIX "enable_aggregate_pushdown",
		"Lets MongoDB compute aggregates, groups and DISTINCT.",
		"Off, PostgreSQL computes them. The rows are the same."
	},
	[PNS_PUSH_BATCHED_JOIN] = {
		PREFIX "enable_batched_join_pushdown",
		"Lets joins of other rows with a collection send keys in batches.",
		"Off, a join reads the collection, or asks once per row. The rows are the same."
	},
	[PNS_PUSH_CONDITION] = {
		PREFIX "enable_condition_pushdown",
		"Sends the conditions on a collection to MongoDB.",
		"Off, PostgreSQL evaluates them. The conditions by which collections are "
		"joined follow enable_join_pushdown. The rows are the same."
	},
	[PNS_PUSH_EXPRESSION] = {
		PREFIX "enable_expression_pushdown",
		"Lets MongoDB compute expressions, which no index can serve.",
		"Off, only conditions that compare fields are sent. The rows are the same."
	},
	[PNS_PUSH_JOIN] = {
		PREFIX "enable_join_pushdown",
		"Lets MongoDB join collections of one database.",
		"Off, PostgreSQL joins them. The rows are the same."
	},
	[PNS_PUSH_LIMIT] = {
		PREFIX "enable_limit_pushdown",
		"Sends LIMIT and OFFSET to MongoDB.",
		"Off, PostgreSQL stops reading instead. The rows are the same."
	},
	[PNS_PUSH_MODIFY] = {
		PREFIX "enable_modify_pushdown",
		"Sends an UPDATE or DELETE to MongoDB as one command.",
		"Off, rows are read, and written one by one."
	},
	[PNS_PUSH_ORDER_BY] = {
		PREFIX "enable_order_by_pushdown",
		"Lets MongoDB sort.",
		"Off, PostgreSQL sorts. The rows are the same."
	},
};

/* The values of the settings. */
static bool enable_pushdown = true;
static bool enabled[lengthof(switches)];
int			pns_fdw_join_batch_size = 1000;

/*
 * pns_fdw_init defines the settings of the wrapper, in alphabetical order, and
 * hooks its join into the planner.
 */
void
pns_fdw_init(void)
{
	for (int i = 0; i < lengthof(switches); i++)
		DefineCustomBoolVariable(switches[i].name,
								 switches[i].summary,
								 switches[i].detail,
								 &enabled[i],
								 true,
								 PGC_USERSET,
								 0,
								 NULL, NULL, NULL);

	DefineCustomBoolVariable(PREFIX "enable_pushdown",
							 "Sends the work of a query to MongoDB.",
							 "Off, MongoDB returns whole collections, and "
							 "PostgreSQL does everything else. The rows are "
							 "the same.",
							 &enable_pushdown,
							 true,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);

	DefineCustomIntVariable(PREFIX "join_batch_size",
							"Sets how many keys a join sends to a collection at once.",
							"A batch also ends where its rows take the memory "
							"of a hash table, or its keys a megabyte.",
							&pns_fdw_join_batch_size,
							1000, 1, 10000,
							PGC_USERSET,
							0,
							NULL, NULL, NULL);

	pns_fdw_init_local_join();
}

/*
 * pns_fdw_pushes tells whether a kind of pushdown may be used for a table, by
 * the session's settings and by the options of the table and its server.
 */
bool
pns_fdw_pushes(const PnsTable *table, PnsPushdown kind)
{
	return enable_pushdown && enabled[kind] && (table->not_pushed & (1 << kind)) == 0;
}

/*
 * pns_fdw_pushdown_option gives the kind of pushdown that an option switches,
 * or -1 where it is no such option.
 */
int
pns_fdw_pushdown_option(const char *name)
{
	for (int i = 0; i < lengthof(switches); i++)
	{
		if (strcmp(switches[i].name + strlen(PREFIX), name) == 0)
			return i;
	}
	return -1;
}
