/*-------------------------------------------------------------------------
 *
 * cost.c
 *	  What reading costs, in the planner's unit.
 *
 * A query costs a round trip (fdw_startup_cost), the work of the server, the
 * documents that it returns (fdw_tuple_cost), and what is done with them here.
 * The server's work depends on how many documents it has to look at, and so on
 * its indexes, as far as they are known (index.c).
 *
 * A unit is about 4 microseconds, what PostgreSQL needs for a page of a table
 * that it has in memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"

#include "fdw/upper.h"

/*
 * The server's work on a document: to look at it in the order of the
 * collection, to find it by an index, and to do an operation on it, as a
 * multiple of what that is taken to cost here.
 */
#define EXAMINE_COST 0.1
#define FIND_COST 0.2
#define OPERATOR_FACTOR 5.0

/* What makes a key to sort by of a field, in operations. */
#define KEY_OPERATORS 2

/* fdw_tuple_cost is for a document of up to so many bytes. */
#define TUPLE_BYTES 256.0

/* A reply that the server may size itself has up to so many bytes. */
#define REPLY_BYTES (16.0 * 1024 * 1024)

static bool is_in_order(const PnsRelation *relation, List *pathkeys);
static bool has_order(const PnsIndex *index, List *paths, List *descending);
static Cost scan_work(PlannerInfo *root, const PnsRelation *relation, List *sent,
					  Selectivity share);
static Selectivity united_share(PlannerInfo *root, const PnsRelation *relation,
								Expr *clause);
static Selectivity found_share(PlannerInfo *root, const PnsRelation *relation,
							   const PnsIndex *index, List *sent, Selectivity share);
static List *served_clauses(const PnsRelation *relation, const PnsIndex *index,
							List *clauses);
static bool compares_path(const PnsRelation *relation, Node *clause, const char *path,
						  bool *equality);

/*
 * pns_cost_base estimates what it costs to read a table without an order, with
 * the conditions that its relation has.
 */
void
pns_cost_base(PlannerInfo *root, PnsRelation *relation)
{
	relation->work = scan_work(root, relation, NIL, 1.0);
	pns_cost_scan(root, relation, NIL, 1.0, relation->rel->rows, relation->checked,
				  &relation->startup_cost, &relation->total_cost);
}

/*
 * pns_cost_scan estimates what it costs to read a table without an order.
 * Besides the relation's conditions those of sent are sent (of Expr, their
 * operands may be any Params), which leave a share of the documents; those of
 * checked (of RestrictInfo) are evaluated here, and leave so many rows.
 */
void
pns_cost_scan(PlannerInfo *root, const PnsRelation *relation, List *sent,
			  Selectivity share, double rows, List *checked, Cost *startup_cost,
			  Cost *total_cost)
{
	RelOptInfo *rel = relation->rel;
	const PnsTable *table = ((PnsTermSource *) linitial(relation->sources))->table;
	double		fetched = clamp_row_est(relation->fetched * share);
	QualCost	checks;

	cost_qual_eval(&checks, checked, root);
	*startup_cost = table->startup_cost + checks.startup + rel->reltarget->cost.startup;
	*total_cost = *startup_cost + scan_work(root, relation, sent, share) +
		pns_cost_transfer(relation, fetched) +
		fetched * (cpu_tuple_cost + checks.per_tuple) +
		rows * rel->reltarget->cost.per_tuple;
}

/*
 * pns_cost_ordered estimates what it costs to read a relation in an order (NIL
 * for none).  A sort that no index serves has read everything before the first
 * row.  Where an index serves it, and another the conditions, the server uses
 * what is cheaper.
 */
void
pns_cost_ordered(const PnsRelation *relation, List *pathkeys, double *rows,
				 Cost *startup_cost, Cost *total_cost)
{
	Cost		sort = relation->fetched * log2(relation->fetched + 1) *
	OPERATOR_FACTOR * cpu_operator_cost;
	Cost		in_order = Max(relation->work, relation->rel->tuples * FIND_COST);

	if (!pns_order_is_plain(relation, pathkeys))
		sort += relation->fetched * list_length(pathkeys) * KEY_OPERATORS *
			OPERATOR_FACTOR * cpu_operator_cost;
	*rows = relation->kind == PNS_RELATION_GROUP ? relation->rows : relation->rel->rows;
	*startup_cost = relation->startup_cost;
	*total_cost = relation->total_cost;
	if (pathkeys == NIL)
		return;
	if (is_in_order(relation, pathkeys) && in_order < relation->work + sort)
		*total_cost += in_order - relation->work;
	else
	{
		*startup_cost += relation->work + sort;
		*total_cost += sort;
	}
}

/*
 * pns_cost_examine estimates what it costs a server to look at all documents of
 * a table.
 */
Cost
pns_cost_examine(const PnsRelation *relation)
{
	return relation->rel->tuples * EXAMINE_COST;
}

/*
 * pns_cost_compare estimates what it costs a server to compare so many keys
 * with all documents of a table, unless an index serves conditions.  Not every
 * server is quick at that.
 */
Cost
pns_cost_compare(const PnsRelation *relation, List *conditions, double keys)
{
	ListCell   *lc;

	foreach(lc, relation->indexes)
	{
		if (served_clauses(relation, (PnsIndex *) lfirst(lc), conditions) != NIL)
			return 0;
	}
	return relation->rel->tuples * keys * OPERATOR_FACTOR * cpu_operator_cost;
}

/*
 * pns_cost_transfer estimates what it costs to get documents of a relation: by
 * their number and size, and a round trip for each reply but the first.
 */
Cost
pns_cost_transfer(const PnsRelation *relation, double documents)
{
	const PnsTable *table = ((PnsTermSource *) linitial(relation->sources))->table;
	double		width = relation->rel->reltarget->width;
	double		replies = table->fetch_size > 0 ? documents / table->fetch_size :
	documents * width / REPLY_BYTES;

	return documents * table->tuple_cost * Max(1.0, width / TUPLE_BYTES) +
		floor(replies) * table->startup_cost;
}

/*
 * pns_relation_has_index tells whether an index is known that finds documents
 * of a table by what they have at path, as MongoDB says it.
 */
bool
pns_relation_has_index(const PnsRelation *relation, const char *path)
{
	ListCell   *lc;

	foreach(lc, relation->indexes)
	{
		if (strcmp((char *) linitial(((PnsIndex *) lfirst(lc))->paths), path) == 0)
			return true;
	}
	return false;
}

/*
 * is_in_order tells whether an index has the documents of a table in the order
 * of pathkeys, from one end or from the other.
 */
static bool
is_in_order(const PnsRelation *relation, List *pathkeys)
{
	List	   *descending;
	List	   *paths = pns_order_plain_paths(relation, pathkeys, &descending);
	ListCell   *lc;

	if (paths == NIL)
		return false;
	foreach(lc, relation->indexes)
	{
		if (has_order((PnsIndex *) lfirst(lc), paths, descending))
			return true;
	}
	return false;
}

/*
 * has_order tells whether an index begins with fields in these directions, or
 * with all of them in the other.
 */
static bool
has_order(const PnsIndex *index, List *paths, List *descending)
{
	bool		reversed = linitial_int(index->descending) != linitial_int(descending);

	if (index->sparse || list_length(index->paths) < list_length(paths))
		return false;
	for (int i = 0; i < list_length(paths); i++)
	{
		bool		direction = list_nth_int(index->descending, i) != 0;

		if (strcmp(list_nth(index->paths, i), list_nth(paths, i)) != 0 ||
			(direction != reversed) != (list_nth_int(descending, i) != 0))
			return false;
	}
	return true;
}

/*
 * scan_work estimates what it costs a server to find the documents of a scan,
 * if it takes the best of its indexes.
 */
static Cost
scan_work(PlannerInfo *root, const PnsRelation *relation, List *sent, Selectivity share)
{
	List	   *clauses = list_concat_copy(relation->shipped, sent);
	Selectivity best = 1.0;
	Cost		per_document = EXAMINE_COST;
	QualCost	operations;
	ListCell   *lc;

	cost_qual_eval(&operations, clauses, root);
	operations.per_tuple *= OPERATOR_FACTOR;

	/* the server knows best */
	if (sent == NIL && relation->access == PNS_ACCESS_COLLECTION)
		return relation->rel->tuples * (EXAMINE_COST + operations.per_tuple);
	if (sent == NIL && relation->access == PNS_ACCESS_INDEX)
	{
		best = Min(1.0, relation->fetched / Max(relation->rel->tuples, 1.0));
		per_document = FIND_COST;
	}

	foreach(lc, relation->indexes)
	{
		Selectivity found = found_share(root, relation, (PnsIndex *) lfirst(lc), sent,
										share);

		if (found * FIND_COST < best * per_document)
		{
			best = found;
			per_document = FIND_COST;
		}
	}
	foreach(lc, relation->shipped)
	{
		Selectivity found = united_share(root, relation, lfirst_node(RestrictInfo, lc)->clause);

		if (found * FIND_COST < best * per_document)
		{
			best = found;
			per_document = FIND_COST;
		}
	}
	return relation->rel->tuples * best * (per_document + operations.per_tuple);
}

/*
 * united_share estimates what share of a collection's documents a server looks
 * at if it unites what indexes find for the arms of an OR; 1 for anything else.
 */
static Selectivity
united_share(PlannerInfo *root, const PnsRelation *relation, Expr *clause)
{
	Selectivity sum = 0;
	ListCell   *arm;

	if (!is_orclause(clause))
		return 1.0;
	foreach(arm, ((BoolExpr *) clause)->args)
	{
		List	   *conditions = make_ands_implicit((Expr *) lfirst(arm));
		Selectivity best = 1.0;
		ListCell   *lc;

		foreach(lc, relation->indexes)
		{
			List	   *served = served_clauses(relation, (PnsIndex *) lfirst(lc), conditions);

			best = Min(best, clauselist_selectivity(root, served, relation->rel->relid,
													JOIN_INNER, NULL));
		}
		sum += best;
	}
	return Min(sum, 1.0);
}

/*
 * found_share estimates what share of a collection's documents a server looks
 * at, if it uses an index.
 */
static Selectivity
found_share(PlannerInfo *root, const PnsRelation *relation, const PnsIndex *index,
			List *sent, Selectivity share)
{
	List	   *served = served_clauses(relation, index,
										list_concat_copy(relation->shipped, sent));
	List	   *served_sent = list_difference_ptr(served, relation->shipped);
	Selectivity found = clauselist_selectivity(root,
											   list_difference_ptr(served, served_sent),
											   relation->rel->relid, JOIN_INNER, NULL);

	/* of what is sent besides, only the effect of all together is known */
	return served_sent != NIL ? found * share : found;
}

/*
 * served_clauses lists the clauses that an index serves: on its first field, and
 * on each later one as long as those before are compared for equality.
 */
static List *
served_clauses(const PnsRelation *relation, const PnsIndex *index, List *clauses)
{
	List	   *served = NIL;
	bool		go_on = true;
	ListCell   *path;
	ListCell   *lc;

	foreach(path, index->paths)
	{
		if (!go_on)
			break;
		go_on = false;
		foreach(lc, clauses)
		{
			Node	   *clause = (Node *) lfirst(lc);
			bool		equality;

			if (!compares_path(relation, clause, (char *) lfirst(path), &equality))
				continue;
			served = lappend(served, clause);
			go_on |= equality;
		}
	}
	return served;
}

/*
 * compares_path tells whether a clause (an Expr or RestrictInfo) compares the
 * field at path in a way that an index serves, and whether for equality.
 */
static bool
compares_path(const PnsRelation *relation, Node *clause, const char *path, bool *equality)
{
	Expr	   *expr = IsA(clause, RestrictInfo) ? ((RestrictInfo *) clause)->clause :
	(Expr *) clause;
	const PnsTermSource *source = (PnsTermSource *) linitial(relation->sources);
	PnsQual    *qual = pns_fdw_compile_qual(expr, source->table, source->varno);

	if (qual == NULL)
		return false;
	switch (qual->kind)
	{
		case PNS_QUAL_COMPARE:
			*equality = qual->op == PNS_EQ;
			if (qual->op == PNS_NE)
				return false;
			break;
		case PNS_QUAL_IN:
		case PNS_QUAL_BOOL:
			*equality = true;
			break;
		case PNS_QUAL_MEMBER:
			if (qual->member > PNS_MEMBER_JSON)
				return false;
			*equality = true;
			break;
		default:
			return false;
	}
	return qual->column->native != NULL && strcmp(qual->column->native, path) == 0;
}
