/*-------------------------------------------------------------------------
 *
 * estimate.c
 *	  What a server says of a scan before it is run, for use_remote_estimate.
 *
 * The server's explain tells whether it would use an index.  Where it would, it
 * counts what the conditions select: up to a limit, and for a short while, as
 * that should not cost more than a bad plan.
 *
 * A server that does not know how to explain an aggregation leaves the planner
 * to what it knows; any other error is raised.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "optimizer/optimizer.h"

#include "fdw/query.h"

/* So many documents are counted at most, in so many milliseconds. */
#define MOST_COUNTED 10000
#define COUNTING_TIME 100

/* By these codes a server says that it cannot do that ... */
static const int unsupported[] = {
	59,							/* CommandNotFound */
	115,						/* CommandNotSupported */
	166,						/* CommandNotSupportedOnView */
	238,						/* NotImplemented */
	0
};

/* ... or not in time. */
static const int too_slow[] = {
	50,							/* MaxTimeMSExpired */
	262,						/* ExceededTimeLimit */
	0
};

/* The operands of conditions while they are planned. */
typedef struct EstimateState
{
	PlannerInfo *root;
	bool		unknown;		/* one has no value yet */
} EstimateState;

/* What was found in the reply to explain. */
typedef struct FoundStages
{
	bool		index;
	bool		collection;
} FoundStages;

static bool make_match(PlannerInfo *root, const PnsRelation *relation,
					   PnsPipeline *pipeline, bool *strings);
static bool planner_value(void *arg, Expr *operand, Datum *value, bool *isnull);
static PnsAccess ask_access(PnsConnection *connection, const PnsTable *table,
							PnsDocument stages, bool strings);
static void find_stages(PnsDocument document, bool in_plan, FoundStages *found);
static double count_selected(PnsConnection *connection, const PnsTable *table,
							 PnsDocument stages, bool strings);
static void append_aggregate(PnsBsonBuilder *builder, const PnsTable *table,
							 PnsDocument stages, bool strings);

/*
 * pns_estimate_scan asks how a server would find the documents that a table's
 * conditions select.  Gives how many these are, or -1 where that is not known.
 *
 * Errors: those of the connection and of the commands.
 */
double
pns_estimate_scan(PlannerInfo *root, PnsRelation *relation, Oid userid)
{
	const PnsTable *table = ((PnsTermSource *) linitial(relation->sources))->table;
	PnsPipeline pipeline = {0};
	PnsConnection *connection;
	PnsDocument stages;
	bool		strings;

	if (!table->use_remote_estimate || relation->shipped == NIL ||
		!make_match(root, relation, &pipeline, &strings) || pipeline.nstages == 0)
		return -1;

	connection = pns_mongo_get_connection(table->serverid, userid);
	stages = pns_bson_end(&pipeline.builder);
	relation->access = ask_access(connection, table, stages, strings);
	if (relation->access != PNS_ACCESS_INDEX)
		return -1;

	(void) make_match(root, relation, &pipeline, &strings);
	pns_bson_open_document(&pipeline.builder, pns_bson_index(pipeline.nstages++));
	pns_bson_append_int32(&pipeline.builder, "$limit", MOST_COUNTED);
	pns_bson_close(&pipeline.builder);
	pns_pipeline_open_stage(&pipeline, "$group");
	pns_bson_append_null(&pipeline.builder, "_id");
	pns_bson_open_document(&pipeline.builder, "count");
	pns_bson_append_int32(&pipeline.builder, "$sum", 1);
	pns_bson_close(&pipeline.builder);
	pns_pipeline_close_stage(&pipeline);
	return count_selected(connection, table, pns_bson_end(&pipeline.builder), strings);
}

/*
 * make_match begins a pipeline with the conditions of a table.  False where
 * nothing can match, or an operand's value is not known before execution.
 */
static bool
make_match(PlannerInfo *root, const PnsRelation *relation, PnsPipeline *pipeline,
		   bool *strings)
{
	const PnsTermSource *source = (PnsTermSource *) linitial(relation->sources);
	EstimateState state = {root, false};
	List	   *quals = NIL;
	bool		selects;
	ListCell   *lc;

	foreach(lc, relation->shipped)
		quals = lappend(quals, pns_fdw_compile_qual(lfirst_node(RestrictInfo, lc)->clause,
													source->table, source->varno));
	*strings = pns_fdw_compares_strings(quals);
	pipeline->operand_value = planner_value;
	pipeline->state = &state;
	pipeline->nstages = 0;
	pns_bson_begin(&pipeline->builder);
	selects = pns_pipeline_append_match(pipeline, quals);
	pipeline->state = NULL;
	return selects && !state.unknown;
}

/*
 * planner_value gives the value of an operand, as far as the planner can guess
 * it.
 */
static bool
planner_value(void *arg, Expr *operand, Datum *value, bool *isnull)
{
	EstimateState *state = (EstimateState *) arg;
	Node	   *node = estimate_expression_value(state->root, (Node *) operand);

	if (!IsA(node, Const))
	{
		state->unknown = true;
		return false;
	}
	*value = ((Const *) node)->constvalue;
	*isnull = ((Const *) node)->constisnull;
	return true;
}

/*
 * ask_access asks whether an index would be used.
 */
static PnsAccess
ask_access(PnsConnection *connection, const PnsTable *table, PnsDocument stages,
		   bool strings)
{
	FoundStages found = {false, false};
	PnsBsonBuilder builder;
	PnsDocument reply;

	pns_bson_begin(&builder);
	pns_bson_open_document(&builder, "explain");
	append_aggregate(&builder, table, stages, strings);
	pns_bson_close(&builder);
	pns_bson_append_cstring(&builder, "verbosity", "queryPlanner");
	if (!pns_mongo_try_inspect(connection, table->database, pns_bson_end(&builder),
							   unsupported, &reply))
		return PNS_ACCESS_UNKNOWN;

	find_stages(reply, false, &found);
	if (found.collection)
		return PNS_ACCESS_COLLECTION;
	return found.index ? PNS_ACCESS_INDEX : PNS_ACCESS_UNKNOWN;
}

/*
 * find_stages looks for the stages that read a collection or an index, in the
 * plans that have been chosen: there is one for each shard, and the place where
 * they stand depends on the version.
 */
static void
find_stages(PnsDocument document, bool in_plan, FoundStages *found)
{
	PnsBsonIterator member;

	check_stack_depth();
	pns_bson_iterate(&member, document);
	while (pns_bson_next(&member))
	{
		bool		is_plan = in_plan || strcmp(member.key, "winningPlan") == 0;

		if (member.value.type == PNS_BSON_DOCUMENT || member.value.type == PNS_BSON_ARRAY)
			find_stages(pns_bson_value_document(&member.value), is_plan, found);
		else if (is_plan && member.value.type == PNS_BSON_STRING &&
				 strcmp(member.key, "stage") == 0)
		{
			const char *stage = pns_bson_value_string(&member.value, NULL);

			found->collection |= strcmp(stage, "COLLSCAN") == 0;

			/*
			 * IXSCAN, CLUSTERED_IXSCAN, IDHACK, EXPRESS_IXSCAN,
			 * EXPRESS_IDHACK
			 */
			found->index |= strstr(stage, "IXSCAN") != NULL ||
				strstr(stage, "IDHACK") != NULL;
		}
	}
}

/*
 * count_selected counts the documents that stages leave.  Those that are too
 * many may be any number.
 */
static double
count_selected(PnsConnection *connection, const PnsTable *table, PnsDocument stages,
			   bool strings)
{
	PnsBsonBuilder builder;
	PnsDocument reply;
	PnsBsonValue value;
	double		count = 0;

	pns_bson_begin(&builder);
	append_aggregate(&builder, table, stages, strings);
	pns_bson_append_int32(&builder, "maxTimeMS", COUNTING_TIME);
	if (!pns_mongo_try_inspect(connection, table->database, pns_bson_end(&builder),
							   too_slow, &reply))
		return -1;

	/* cursor: {firstBatch: [{_id: null, count: n}]}, or none of nothing */
	if (pns_bson_find(reply, "cursor", &value) && value.type == PNS_BSON_DOCUMENT &&
		pns_bson_find(pns_bson_value_document(&value), "firstBatch", &value) &&
		value.type == PNS_BSON_ARRAY &&
		pns_bson_find(pns_bson_value_document(&value), "0", &value) &&
		value.type == PNS_BSON_DOCUMENT &&
		pns_bson_find(pns_bson_value_document(&value), "count", &value))
		(void) pns_bson_value_number(&value, &count);
	return count < MOST_COUNTED ? count : -1;
}

/*
 * append_aggregate appends the members of the command that a pipeline is run
 * by.
 */
static void
append_aggregate(PnsBsonBuilder *builder, const PnsTable *table, PnsDocument stages,
				 bool strings)
{
	pns_bson_append_text(builder, "aggregate", table->collection);
	pns_bson_append_array(builder, "pipeline", stages);
	pns_bson_open_document(builder, "cursor");
	pns_bson_close(builder);
	if (strings)
	{
		pns_bson_open_document(builder, "collation");
		pns_bson_append_cstring(builder, "locale", "simple");
		pns_bson_close(builder);
	}
}
