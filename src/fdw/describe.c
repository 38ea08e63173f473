/*-------------------------------------------------------------------------
 *
 * describe.c
 *	  What a command reads, as a plan has it.
 *
 * A description has to survive being copied and written, and what the planner
 * does to plans at last does not reach it: so its expressions name tables by
 * their place in its own list, and what has to be evaluated while the plan
 * runs (parameters, now()) stands in fdw_exprs, where the planner finds it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"

#include "fdw/join.h"
#include "fdw/upper.h"

typedef struct DescribeContext
{
	List	   *sources;		/* of PnsTermSource */
	List	   *operands;		/* of Expr: those found so far */
} DescribeContext;

static List *describe_keys(const PnsScanKeys *keys, DescribeContext *context);
static Node *describe_node(Node *node, void *arg);
static Node *describe_var(Var *var, DescribeContext *context);
static Node *describe_list_test(ScalarArrayOpExpr *test, DescribeContext *context);
static Node *describe_operand(Node *node, DescribeContext *context);

/*
 * pns_query_describe describes what is asked of a relation.  Sets *operands,
 * which belong into fdw_exprs.
 */
List *
pns_query_describe(const PnsRelation *relation, const PnsRequest *request, List **operands)
{
	DescribeContext context = {relation->sources, NIL};
	List	   *relids = NIL;
	List	   *prefixes = NIL;
	List	   *join = relation->join != NULL ? pns_join_describe(relation) : NIL;
	List	   *description = NIL;
	ListCell   *lc;

	foreach(lc, relation->sources)
	{
		PnsTermSource *source = (PnsTermSource *) lfirst(lc);

		relids = lappend_oid(relids, source->table->relid);
		prefixes = lappend(prefixes, makeString(pstrdup(source->prefix)));
	}

	/* in the order of PnsDescriptionIndex */
	description = lappend(description, relids);
	description = lappend(description, prefixes);
	description = lappend(description, describe_node((Node *) join, &context));
	description = lappend(description, describe_node((Node *) request->shipped, &context));
	description = lappend(description,
						  describe_node((Node *) pns_group_describe(relation), &context));
	description = lappend(description,
						  describe_node((Node *) pns_order_describe(relation, request->pathkeys),
										&context));
	description = lappend(description, describe_node((Node *) request->limit, &context));
	description = lappend(description, describe_node((Node *) request->outputs, &context));
	description = lappend(description, request->slots);
	description = lappend(description, describe_keys(request->keys, &context));
	description = lappend(description, request->keys != NULL ? request->keys->guarded : NIL);
	description = lappend(description, request->identity);
	*operands = context.operands;
	return description;
}

/*
 * pns_query_describe_more describes an expression over a relation's columns for
 * a plan that has operands already, to which it adds its own.
 */
Expr *
pns_query_describe_more(const PnsRelation *relation, Expr *expr, List **operands)
{
	DescribeContext context = {relation->sources, *operands};
	Node	   *described = describe_node((Node *) expr, &context);

	*operands = context.operands;
	return (Expr *) described;
}

/*
 * describe_keys describes the conditions on a join's keys.  What stands among
 * the operands for the arrays is never evaluated: the join gives them.
 */
static List *
describe_keys(const PnsScanKeys *keys, DescribeContext *context)
{
	List	   *result = NIL;
	ListCell   *lc;

	if (keys == NULL)
		return NIL;
	foreach(lc, keys->conditions)
	{
		ScalarArrayOpExpr *condition = copyObject(lfirst_node(ScalarArrayOpExpr, lc));
		Param	   *array = lsecond_node(Param, condition->args);

		array->paramid = list_length(context->operands);
		context->operands = lappend(context->operands,
									makeNullConst(array->paramtype, -1, array->paramcollid));
		linitial(condition->args) = describe_node(linitial(condition->args), context);
		result = lappend(result, condition);
	}
	return result;
}

/*
 * describe_node copies a description's expressions, giving its tables their
 * places and its operands parameters.  Lists and the nodes of values may stand
 * among the expressions.
 */
static Node *
describe_node(Node *node, void *arg)
{
	DescribeContext *context = (DescribeContext *) arg;

	if (node == NULL)
		return NULL;

	switch (nodeTag(node))
	{
		case T_Var:
			return describe_var((Var *) node, context);
		case T_List:
		case T_CaseWhen:
		case T_TargetEntry:
			/* not expressions, but they hold some */
			return expression_tree_mutator(node, describe_node, arg);
		case T_Const:
		case T_Integer:
		case T_Float:
		case T_Boolean:
		case T_String:
		case T_IntList:
		case T_OidList:
		case T_SortGroupClause:
		case T_SubPlan:
		case T_AlternativeSubPlan:
			return copyObject(node);
		default:
			if (pns_fdw_is_operand(node))
				return describe_operand(node, context);
			if (pns_fdw_is_list_test(node))
				return describe_list_test((ScalarArrayOpExpr *) node, context);
			return expression_tree_mutator(node, describe_node, arg);
	}
}

/*
 * describe_var gives a column its table's place in the sources.
 */
static Node *
describe_var(Var *var, DescribeContext *context)
{
	Var		   *copy = copyObject(var);
	ListCell   *lc;

	foreach(lc, context->sources)
	{
		if (((PnsTermSource *) lfirst(lc))->varno == var->varno)
			copy->varno = foreach_current_index(lc) + 1;
	}
	return (Node *) copy;
}

/*
 * describe_list_test describes a test of the elements of a list, each of which
 * is an operand.
 */
static Node *
describe_list_test(ScalarArrayOpExpr *test, DescribeContext *context)
{
	ScalarArrayOpExpr *copy = copyObject(test);
	ArrayExpr  *array = lsecond_node(ArrayExpr, copy->args);

	linitial(copy->args) = describe_node(linitial(copy->args), context);
	array->elements = (List *) describe_node((Node *) array->elements, context);
	return (Node *) copy;
}

/*
 * describe_operand replaces an expression that has one value for the whole
 * scan by a parameter whose number is its place in the operands, so that equal
 * expressions stay equal.  The executor evaluates it when the scan starts, if
 * it is asked for.
 */
static Node *
describe_operand(Node *node, DescribeContext *context)
{
	Param	   *param = makeNode(Param);
	int			number = 0;
	ListCell   *lc;

	param->paramkind = PARAM_EXEC;
	foreach(lc, context->operands)
	{
		if (equal(lfirst(lc), node))
			break;
		number++;
	}
	param->paramid = number;
	param->paramtype = exprType(node);
	param->paramtypmod = exprTypmod(node);
	param->paramcollid = exprCollation(node);
	param->location = -1;
	if (number == list_length(context->operands))
		context->operands = lappend(context->operands, node);
	return (Node *) param;
}
