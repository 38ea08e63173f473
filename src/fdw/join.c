/*-------------------------------------------------------------------------
 *
 * join.c
 *	  Which joins MongoDB makes, and what they cost.
 *
 * A join of tables of one server, database and user is shipped where MongoDB
 * can say what makes a pair, and finds the candidates by an equality of a
 * column of the inner side with something of the outer one.  Without an index
 * on that column's field a server reads all of the collection for each row of
 * the outer side, so that is done with small ones only.
 *
 * What must be true of a row before it is joined has to be known there.  Of a
 * condition that is checked here it is not, but where the join only repeats a
 * row or drops it, the condition can as well be checked after it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "foreign/fdwapi.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/placeholder.h"
#include "optimizer/restrictinfo.h"

#include "fdw/join.h"

/*
 * What it costs a server to look one key up, ten times as much as to send a
 * document; and to compare a key with a document where it has no index.
 */
#define LOOKUP_COST 2.0
#define COMPARISON_COST 0.02

/* Comparisons without an index that are tolerated. */
#define MAX_COMPARISONS 10000.0

/* Tables of a join, and pipelines within pipelines. */
#define MAX_TABLES 20
#define MAX_NESTING 3

static PnsRelation *plan_join(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outerrel,
							  RelOptInfo *innerrel, JoinType type, List *restrictlist);
static bool sides_ship(PnsRelation *outer, PnsRelation *inner);
static int	nesting(const PnsRelation *relation);
static bool is_guarded(const PnsJoinRelation *join);
static List *join_sources(const PnsRelation *outer, const PnsRelation *inner);
static bool take_checked(PnsRelation *relation, const PnsRelation *side, bool later);
static bool take_looked_at(PnsRelation *relation);
static bool take_conditions(PnsRelation *relation, List *restrictlist);
static bool condition_ships(Expr *expr, const PnsTermContext *context);
static bool outputs_ship(PlannerInfo *root, const PnsRelation *relation);
static bool choose_key(PlannerInfo *root, PnsRelation *relation, double *comparisons);
static bool find_key(PlannerInfo *root, PnsRelation *relation, Expr *condition);
static Var *lookup_column(Node *node, const PnsRelation *relation);
static double comparisons_of(PlannerInfo *root, const PnsRelation *relation);
static double lookup_comparisons(PlannerInfo *root, const PnsRelation *outer,
								 const PnsRelation *inner, const Var *field);
static const PnsRelation *first_table(PlannerInfo *root, const PnsRelation *relation);
static void set_costs(PlannerInfo *root, PnsRelation *relation, double comparisons);
static int	lookups_below(const PnsRelation *relation);

/*
 * pnsGetForeignJoinPaths offers to have MongoDB make a join.  It is asked for
 * every way to divide the tables of a join into two sides; the cheapest of
 * those that can be shipped is kept.
 */
void
pnsGetForeignJoinPaths(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outerrel,
					   RelOptInfo *innerrel, JoinType jointype, JoinPathExtraData *extra)
{
	PnsRelation *known = (PnsRelation *) joinrel->fdw_private;
	PnsRelation *relation;
	Path	   *recheck_path = NULL;

	/* what comes from tables outside the join is left to local joins */
	if (!bms_is_empty(joinrel->lateral_relids))
		return;

	relation = plan_join(root, joinrel, outerrel, innerrel, jointype, extra->restrictlist);
	if (relation == NULL || (known != NULL && known->total_cost <= relation->total_cost))
		return;

	/* a row that was locked meanwhile has to be joined again here */
	if (root->rowMarks != NIL || root->parse->commandType != CMD_SELECT)
	{
		recheck_path = GetExistingLocalJoinPath(joinrel);
		if (recheck_path == NULL)
			return;
	}

	joinrel->fdw_private = relation;
	pns_relation_add_paths(root, relation, recheck_path, extra->restrictlist);
}

/*
 * plan_join makes the relation of a join, or NULL where it cannot be shipped.
 */
static PnsRelation *
plan_join(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outerrel,
		  RelOptInfo *innerrel, JoinType type, List *restrictlist)
{
	PnsRelation *outer = (PnsRelation *) outerrel->fdw_private;
	PnsRelation *inner = (PnsRelation *) innerrel->fdw_private;
	PnsRelation *relation;
	double		comparisons = 0;

	/* a right join is offered as a left one, too */
	if (type != JOIN_INNER && type != JOIN_LEFT && type != JOIN_FULL &&
		type != JOIN_SEMI && type != JOIN_ANTI)
		return NULL;
	if (outer == NULL || inner == NULL || !sides_ship(outer, inner))
		return NULL;
	if (type == JOIN_FULL &&
		(outer->kind != PNS_RELATION_BASE || inner->kind != PNS_RELATION_BASE))
		return NULL;

	relation = palloc0(sizeof(PnsRelation));
	relation->kind = PNS_RELATION_JOIN;
	relation->rel = joinrel;
	relation->relids = joinrel->relids;
	relation->sources = join_sources(outer, inner);
	relation->join = palloc0(sizeof(PnsJoinRelation));
	relation->join->type = type;
	relation->join->outer = outer;
	relation->join->inner = inner;

	if (!take_checked(relation, outer, type != JOIN_FULL) ||
		!take_checked(relation, inner, type == JOIN_INNER) ||
		!take_looked_at(relation) ||
		!take_conditions(relation, restrictlist) ||
		!outputs_ship(root, relation) ||
		!choose_key(root, relation, &comparisons))
		return NULL;

	set_costs(root, relation, comparisons);
	return relation;
}

/*
 * sides_ship tells whether two relations can be sides of one join: server and
 * user are the same, or the planner would not have asked.
 */
static bool
sides_ship(PnsRelation *outer, PnsRelation *inner)
{
	const PnsTable *first = ((PnsTermSource *) linitial(outer->sources))->table;
	ListCell   *lc;

	if (list_length(outer->sources) + list_length(inner->sources) > MAX_TABLES ||
		nesting(inner) >= MAX_NESTING)
		return false;

	foreach(lc, list_concat_copy(outer->sources, inner->sources))
	{
		const PnsTable *table = ((PnsTermSource *) lfirst(lc))->table;

		if (strcmp(table->database, first->database) != 0 ||
			!pns_fdw_pushes(table, PNS_PUSH_JOIN))
			return false;
	}
	return true;
}

/*
 * nesting counts the pipelines that stand within each other where a relation is
 * the inner side of a join.  A full join, and one that is guarded, is never one:
 * what its $unionWith adds would be read again for each row.
 */
static int
nesting(const PnsRelation *relation)
{
	if (relation->kind == PNS_RELATION_BASE)
		return 0;
	if (relation->join->type == JOIN_FULL || is_guarded(relation->join))
		return MAX_NESTING;
	return Max(nesting(relation->join->outer), nesting(relation->join->inner) + 1);
}

/*
 * is_guarded tells whether a join looks through the field that it looks up in.
 */
static bool
is_guarded(const PnsJoinRelation *join)
{
	const PnsTermSource *first = (PnsTermSource *) linitial(join->inner->sources);

	return pns_join_is_guarded(join->type, &first->table->columns[join->field->varattno - 1]);
}

/*
 * join_sources lists the tables of a join, each with a name of its own for its
 * documents.
 */
static List *
join_sources(const PnsRelation *outer, const PnsRelation *inner)
{
	List	   *sources = NIL;
	ListCell   *lc;

	foreach(lc, list_concat_copy(outer->sources, inner->sources))
	{
		PnsTermSource *source = memcpy(palloc(sizeof(PnsTermSource)), lfirst(lc),
									   sizeof(PnsTermSource));

		source->prefix = psprintf("t%d", list_length(sources) + 1);
		sources = lappend(sources, source);
	}
	return sources;
}

/*
 * take_checked has the join check what one side of it would have checked here;
 * false where that is too late.  A volatile function would be called for other
 * rows then, and one that leaks might see rows that a view withholds.
 */
static bool
take_checked(PnsRelation *relation, const PnsRelation *side, bool later)
{
	ListCell   *lc;

	foreach(lc, side->checked)
	{
		RestrictInfo *info = lfirst_node(RestrictInfo, lc);

		if (!later || info->pseudoconstant || info->security_level > 0 ||
			contain_volatile_functions((Node *) info->clause))
			return false;
		relation->checked = lappend(relation->checked, info);
	}
	return true;
}

/*
 * take_looked_at has MongoDB look for misfits in the columns that the sides
 * leave to the codec, which may never see a row that is joined with nothing.
 * False where it cannot.
 */
static bool
take_looked_at(PnsRelation *relation)
{
	PnsJoinRelation *join = relation->join;
	PnsTermContext context = {.sources = relation->sources};
	ListCell   *lc;

	join->looked_at = list_concat_copy(join->outer->looked_at, join->inner->looked_at);
	foreach(lc, join->looked_at)
	{
		if (pns_term_compile((Expr *) lfirst(lc), &context) == NULL)
			return false;
	}
	return true;
}

/*
 * take_conditions sorts the conditions of a join: those that make a pair, and
 * those that its rows are to meet.  False where one has to be known to MongoDB
 * and cannot be said to it.
 */
static bool
take_conditions(PnsRelation *relation, List *restrictlist)
{
	PnsJoinRelation *join = relation->join;
	PnsTermContext context = {.sources = relation->sources};
	ListCell   *lc;

	foreach(lc, restrictlist)
	{
		RestrictInfo *info = lfirst_node(RestrictInfo, lc);
		bool		of_rows = IS_OUTER_JOIN(join->type) &&
		RINFO_IS_PUSHED_DOWN(info, relation->rel->relids);

		/* gating conditions are dealt with elsewhere */
		if (info->pseudoconstant)
			continue;

		if (!condition_ships(info->clause, &context))
		{
			if (!of_rows && join->type != JOIN_INNER)
				return false;
			relation->checked = lappend(relation->checked, info);
		}
		else if (of_rows)
			join->where = lappend(join->where, info->clause);
		else
			join->on = lappend(join->on, info->clause);
	}
	return true;
}

/*
 * condition_ships tells whether MongoDB can tell exactly whether a condition
 * is true.
 */
static bool
condition_ships(Expr *expr, const PnsTermContext *context)
{
	PnsTerm    *term = pns_term_compile(expr, context);

	return term != NULL && !term->may_fail && term->class == PNS_CLASS_BOOL;
}

/*
 * outputs_ship tells whether all that a join puts out can be made of its
 * tables' documents.  An expression that has to be evaluated below the top of
 * the join, to become NULL there, cannot.
 */
static bool
outputs_ship(PlannerInfo *root, const PnsRelation *relation)
{
	RelOptInfo *rel = relation->rel;
	Relids		relids = IS_OTHER_REL(rel) ? rel->top_parent_relids : rel->relids;
	List	   *checked = extract_actual_clauses(relation->checked, false);
	ListCell   *lc;

	foreach(lc, root->placeholder_list)
	{
		PlaceHolderInfo *info = (PlaceHolderInfo *) lfirst(lc);

		if (bms_is_subset(info->ph_eval_at, relids) &&
			bms_nonempty_difference(relids, info->ph_eval_at))
			return false;
	}

	foreach(lc, pull_var_clause((Node *) list_concat(checked, rel->reltarget->exprs),
								PVC_RECURSE_PLACEHOLDERS))
	{
		const Var  *var = lfirst_node(Var, lc);

		if (var->varattno < 0 && var->varattno != TableOidAttributeNumber)
			return false;
	}
	return true;
}

/*
 * choose_key chooses what is looked up: best by an index.  Sets *comparisons,
 * how many documents have to be compared with keys where there is none.  False
 * where nothing can be looked up, or not in time.
 */
static bool
choose_key(PlannerInfo *root, PnsRelation *relation, double *comparisons)
{
	PnsJoinRelation *join = relation->join;
	Expr	   *equality = NULL;
	Expr	   *key = NULL;
	Var		   *field = NULL;
	ListCell   *lc;

	foreach(lc, join->on)
	{
		double		needed;

		if (!find_key(root, relation, (Expr *) lfirst(lc)))
			continue;
		needed = comparisons_of(root, relation);
		if (key != NULL && *comparisons <= needed)
			continue;
		*comparisons = needed;
		key = join->key;
		field = join->field;
		equality = (Expr *) lfirst(lc);
	}

	join->key = key;
	join->field = field;
	if (key != NULL)
		join->on = lcons(equality, list_delete_ptr(join->on, equality));
	return key != NULL && *comparisons <= MAX_COMPARISONS;
}

/*
 * find_key finds out whether a condition equates a column that values can be
 * looked up in with something of the other side, and notes them.
 */
static bool
find_key(PlannerInfo *root, PnsRelation *relation, Expr *condition)
{
	PnsJoinRelation *join = relation->join;
	PnsTermContext context = {.sources = relation->sources};
	PnsTerm    *term = pns_term_compile(condition, &context);

	if (!IsA(condition, OpExpr) || term->kind != PNS_TERM_COMPARE || term->op != PNS_EQ)
		return false;

	for (int side = 0; side < 2; side++)
	{
		Node	   *field = (Node *) list_nth(((OpExpr *) condition)->args, side);
		Node	   *key = (Node *) list_nth(((OpExpr *) condition)->args, 1 - side);
		Relids		key_relids = pull_varnos(root, key);

		join->field = lookup_column(field, join->inner);
		join->key = (Expr *) key;
		if (join->type == JOIN_FULL)
			join->key = (Expr *) lookup_column(key, join->outer);
		if (join->field != NULL && join->key != NULL && !bms_is_empty(key_relids) &&
			bms_is_subset(key_relids, join->outer->rel->relids))
			return true;
	}
	return false;
}

/*
 * lookup_column returns the column of the first table of a relation that an
 * expression is, if values can be looked up in it: all that its field can have
 * for a value are values of MongoDB that can be listed.
 */
static Var *
lookup_column(Node *node, const PnsRelation *relation)
{
	const PnsTermSource *first = (PnsTermSource *) linitial(relation->sources);
	const PnsTableColumn *column;

	while (IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	if (!IsA(node, Var) || ((Var *) node)->varno != first->varno ||
		((Var *) node)->varattno <= 0)
		return NULL;

	column = &first->table->columns[((Var *) node)->varattno - 1];
	if (column->native == NULL)
		return NULL;
	switch (pns_fdw_value_class(column))
	{
		case PNS_CLASS_INT:
		case PNS_CLASS_BOOL:
		case PNS_CLASS_TEXT:
		case PNS_CLASS_ENUM:
		case PNS_CLASS_TIMESTAMP:
		case PNS_CLASS_OBJECTID:
			return (Var *) node;
		default:
			return NULL;
	}
}

/*
 * comparisons_of estimates how many documents MongoDB has to compare with the
 * keys of a join, beside those that an index leads to.
 */
static double
comparisons_of(PlannerInfo *root, const PnsRelation *relation)
{
	const PnsJoinRelation *join = relation->join;
	double		comparisons = lookup_comparisons(root, join->outer, join->inner, join->field);

	if (join->type == JOIN_FULL)
		comparisons += lookup_comparisons(root, join->inner, join->outer, (Var *) join->key);
	return comparisons;
}

/*
 * lookup_comparisons estimates them for the lookups of one side in the other.
 * Of a collection whose size is not known there may be any number; and a
 * collection that is known to have no index, not even of _id, is a view, which
 * would be made again for each lookup.
 */
static double
lookup_comparisons(PlannerInfo *root, const PnsRelation *outer, const PnsRelation *inner,
				   const Var *field)
{
	const PnsTermSource *first = (PnsTermSource *) linitial(inner->sources);
	const PnsRelation *table = first_table(root, inner);

	if (pns_relation_has_index(table, first->table->columns[field->varattno - 1].native))
		return 0;
	if (table->indexes == NIL ||
		!(first->table->use_remote_estimate || pns_fdw_is_analyzed(first->table->relid)))
		return 2 * MAX_COMPARISONS;
	return outer->fetched * table->rel->tuples;
}

/*
 * first_table returns the relation of the first table of another.
 */
static const PnsRelation *
first_table(PlannerInfo *root, const PnsRelation *relation)
{
	const PnsTermSource *first = (PnsTermSource *) linitial(relation->sources);

	return (PnsRelation *) find_base_rel(root, first->varno)->fdw_private;
}

/*
 * set_costs estimates what a join costs: what the server does, and what it
 * sends.
 */
static void
set_costs(PlannerInfo *root, PnsRelation *relation, double comparisons)
{
	const PnsJoinRelation *join = relation->join;
	const PnsTable *table = ((PnsTermSource *) linitial(relation->sources))->table;
	bool		both = join->type == JOIN_FULL;
	double		lookups = join->outer->fetched + (both ? join->inner->fetched : 0);
	RelOptInfo *rel = relation->rel;
	QualCost	checks;

	relation->fetched = clamp_row_est(rel->rows /
									  clauselist_selectivity(root, relation->checked, 0,
															 JOIN_INNER, NULL));
	relation->work = join->outer->work + (both ? join->inner->work : 0) +
		LOOKUP_COST * lookups * (1 + lookups_below(join->inner)) +
		COMPARISON_COST * comparisons +
		cpu_tuple_cost * relation->fetched;
	if (is_guarded(join))
		relation->work += pns_cost_examine(first_table(root, join->inner));

	cost_qual_eval(&checks, relation->checked, root);
	relation->startup_cost = table->startup_cost + checks.startup +
		rel->reltarget->cost.startup;
	relation->total_cost = relation->startup_cost + relation->work +
		pns_cost_transfer(relation, relation->fetched) +
		relation->fetched * (cpu_tuple_cost + checks.per_tuple) +
		rel->rows * rel->reltarget->cost.per_tuple;
}

/*
 * lookups_below counts the lookups that reading the inner side of a join makes
 * for each of its rows.
 */
static int
lookups_below(const PnsRelation *relation)
{
	return relation->kind == PNS_RELATION_BASE ? 0 :
		1 + lookups_below(relation->join->outer) + lookups_below(relation->join->inner);
}
