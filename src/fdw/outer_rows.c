/*-------------------------------------------------------------------------
 *
 * outer_rows.c
 *	  Scans of a collection for one row of other tables at a time.
 *
 * The inner side of a nested loop may use what the outer row is known to
 * hold: a join's condition becomes one on the collection, the columns of the
 * other tables in it become operands, and each outer row sends a query that an
 * index of MongoDB can serve.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/paramassign.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"

#include "fdw/query.h"

/* Which members of equivalence classes have been looked at. */
typedef struct MemberContext
{
	Expr	   *current;		/* the one that is being looked at, or NULL */
	List	   *done;			/* of Expr: those before it */
} MemberContext;

/* What outer columns are replaced in. */
typedef struct BindContext
{
	PlannerInfo *root;			/* NULL: the parameters need only look right */
	Index		varno;			/* of the collection */
} BindContext;

static List *find_parameterizations(PlannerInfo *root, PnsRelation *relation);
static void add_parameterizations(PlannerInfo *root, PnsRelation *relation,
								  List *clauses, List **result);
static bool is_next_member(PlannerInfo *root, RelOptInfo *rel, EquivalenceClass *ec,
						   EquivalenceMember *em, void *arg);
static void add_path_for(PlannerInfo *root, PnsRelation *relation,
						 ParamPathInfo *parameters);
static Expr *bind_clause(PlannerInfo *root, const PnsRelation *relation,
						 RestrictInfo *info, bool *exact);
static bool must_see_misfits(const PnsRelation *relation, RestrictInfo *info);
static Node *bind_columns(Node *node, BindContext *context);

/*
 * pns_relation_add_outer_paths offers a way to read a table for each set of
 * other tables whose rows make it cheaper.
 */
void
pns_relation_add_outer_paths(PlannerInfo *root, PnsRelation *relation)
{
	ListCell   *lc;

	foreach(lc, find_parameterizations(root, relation))
		add_path_for(root, relation, (ParamPathInfo *) lfirst(lc));
}

/*
 * pns_relation_bind_clause makes the condition that is sent of a join's
 * condition, where the plan is being made; NULL where it cannot be sent.
 * Sets *exact where it need not be checked again.
 */
Expr *
pns_relation_bind_clause(PlannerInfo *root, const PnsRelation *relation,
						 RestrictInfo *info, bool *exact)
{
	return bind_clause(root, relation, info, exact);
}

/*
 * find_parameterizations lists the sets of tables that can give values for a
 * condition that can be sent (of ParamPathInfo).
 */
static List *
find_parameterizations(PlannerInfo *root, PnsRelation *relation)
{
	RelOptInfo *rel = relation->rel;
	MemberContext member = {0};
	List	   *result = NIL;

	add_parameterizations(root, relation, rel->joininfo, &result);

	/* what equals another column may stand in an equivalence class instead */
	while (rel->has_eclass_joins)
	{
		List	   *clauses = generate_implied_equalities_for_column(root, rel, is_next_member,
																	 &member,
																	 rel->lateral_referencers);

		if (member.current == NULL)
			break;
		add_parameterizations(root, relation, clauses, &result);
		member.done = lappend(member.done, member.current);
		member.current = NULL;
	}
	return result;
}

/*
 * add_parameterizations adds those of a list of a join's conditions.
 */
static void
add_parameterizations(PlannerInfo *root, PnsRelation *relation, List *clauses,
					  List **result)
{
	RelOptInfo *rel = relation->rel;
	ListCell   *lc;

	foreach(lc, clauses)
	{
		RestrictInfo *info = lfirst_node(RestrictInfo, lc);
		Relids		required;
		bool		exact;

		if (!join_clause_is_movable_to(info, rel) ||
			bind_clause(NULL, relation, info, &exact) == NULL)
			continue;

		required = bms_union(info->clause_relids, rel->lateral_relids);
		required = bms_del_member(required, rel->relid);
		if (!bms_is_empty(required))
			*result = list_append_unique_ptr(*result,
											 get_baserel_parampathinfo(root, rel, required));
	}
}

/*
 * is_next_member picks one expression over the table after the other, as
 * generate_implied_equalities_for_column asks.
 */
static bool
is_next_member(PlannerInfo *root, RelOptInfo *rel, EquivalenceClass *ec,
			   EquivalenceMember *em, void *arg)
{
	MemberContext *member = (MemberContext *) arg;

	if (member->current != NULL)
		return equal(em->em_expr, member->current);
	if (list_member(member->done, em->em_expr))
		return false;
	member->current = em->em_expr;
	return true;
}

/*
 * add_path_for offers the way that takes values of the rows of some tables.
 */
static void
add_path_for(PlannerInfo *root, PnsRelation *relation, ParamPathInfo *parameters)
{
	RelOptInfo *rel = relation->rel;
	List	   *shipped = NIL;
	List	   *sent = NIL;
	List	   *checked = list_copy(relation->checked);
	Cost		startup_cost;
	Cost		total_cost;
	ListCell   *lc;

	foreach(lc, parameters->ppi_clauses)
	{
		RestrictInfo *info = lfirst_node(RestrictInfo, lc);
		bool		exact = false;
		Expr	   *bound = bind_clause(NULL, relation, info, &exact);

		if (bound != NULL)
		{
			shipped = lappend(shipped, info);
			sent = lappend(sent, bound);
		}
		if (!exact)
			checked = lappend(checked, info);
	}

	pns_cost_scan(root, relation, sent,
				  clauselist_selectivity(root, shipped, rel->relid, JOIN_INNER, NULL),
				  parameters->ppi_rows, checked, &startup_cost, &total_cost);
	add_path(rel, (Path *)
			 pns_create_foreignscan_path(root, rel, parameters->ppi_rows, startup_cost,
										 total_cost, NIL, parameters->ppi_req_outer, NIL));
}

/*
 * bind_clause is pns_relation_bind_clause; without root it only asks whether
 * the condition can be sent.
 */
static Expr *
bind_clause(PlannerInfo *root, const PnsRelation *relation, RestrictInfo *info,
			bool *exact)
{
	const PnsTermSource *source = (PnsTermSource *) linitial(relation->sources);
	BindContext context = {root, source->varno};
	Expr	   *bound;
	PnsQual    *qual;

	*exact = false;
	if (info->pseudoconstant || !pns_fdw_pushes(source->table, PNS_PUSH_CONDITION) ||
		must_see_misfits(relation, info))
		return NULL;

	bound = (Expr *) bind_columns((Node *) info->clause, &context);
	qual = pns_fdw_compile_qual(bound, source->table, source->varno);
	if (qual == NULL)
		return NULL;
	/* what the codec has to look at is left to the check here */
	*exact = qual->exact && bms_is_empty(qual->checked);
	return bound;
}

/*
 * must_see_misfits tells whether a condition decides what an outer join
 * returns without a match, and has a column whose misfits are errors.  A query
 * for what matches would not bring them.
 */
static bool
must_see_misfits(const PnsRelation *relation, RestrictInfo *info)
{
	const PnsTermSource *source = (PnsTermSource *) linitial(relation->sources);
	ListCell   *lc;

	if (bms_is_empty(info->outer_relids))
		return false;
	foreach(lc, pull_var_clause((Node *) info->clause, PVC_RECURSE_PLACEHOLDERS))
	{
		Var		   *var = lfirst_node(Var, lc);

		if (var->varno == source->varno &&
			(var->varattno <= 0 ||
			 !source->table->columns[var->varattno - 1].codec.null_on_mismatch))
			return true;
	}
	return false;
}

/*
 * bind_columns copies an expression with a nested loop's parameters for the
 * columns of other tables.
 */
static Node *
bind_columns(Node *node, BindContext *context)
{
	Var		   *var = (Var *) node;

	if (node == NULL)
		return NULL;
	if (!IsA(node, Var))
		return expression_tree_mutator(node, bind_columns, context);
	if (var->varno == context->varno || var->varlevelsup != 0)
		return (Node *) copyObject(var);

	if (context->root == NULL)
	{
		Param	   *param = makeNode(Param);

		param->paramkind = PARAM_EXEC;
		param->paramtype = var->vartype;
		param->paramtypmod = var->vartypmod;
		param->paramcollid = var->varcollid;
		param->location = -1;
		return (Node *) param;
	}

	/* a column that the loop does not give is not sent */
	if (!bms_is_member(var->varno, context->root->curOuterRels))
		return (Node *) copyObject(var);
	return (Node *) replace_nestloop_param_var(context->root, var);
}
