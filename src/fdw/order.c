/*-------------------------------------------------------------------------
 *
 * order.c
 *	  Sorting by MongoDB, as PostgreSQL sorts.
 *
 * A sort key is a term: its values are of one kind, and MongoDB orders those
 * as PostgreSQL does, but for two: null is its lowest value and NaN its lowest
 * number.  A rank sorted by before the value itself puts them where they
 * belong.
 *
 * An index serves only a sort by the fields themselves.  That says the same
 * where no value can be NULL or fail to fit: where a condition that is sent
 * lets no such document pass, or the column is declared NOT NULL, which is a
 * promise.  Such a column's value that is of another type is met at one of the
 * ends, and if it is met it is an error.
 *
 * Otherwise a document whose value fits a column so little that it is an error
 * comes first, so that no LIMIT can hide it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/paths.h"
#include "utils/float.h"
#include "utils/pg_locale.h"
#include "utils/typcache.h"

#include "fdw/upper.h"

/* MongoDB sorts by 32 fields at most; a key may need two, and misfits one. */
#define MAX_KEYS 15

/* How a description says the direction of a key. */
#define SORT_DESCENDING 1
#define SORT_NULLS_FIRST 2

/* The members of a sort's description. */
typedef enum PnsSortIndex
{
	SORT_EXPRS,					/* List of Expr: the keys */
	SORT_FLAGS,					/* List of Integer: their directions */
	SORT_PLAIN,					/* Integer: by the fields themselves? */
	SORT_LOOKED_AT				/* List of Var: PnsRelation's looked_at */
} PnsSortIndex;

static void add_merge_order(PlannerInfo *root, const PnsRelation *relation,
							EquivalenceClass *class, List **orders);
static Expr *key_expr(const PnsRelation *relation, PathKey *pathkey, PnsTerm **term);
static bool orders_alike(const PnsRelation *relation, const PnsTerm *term, Expr *expr,
						 PathKey *pathkey);
static bool sorts_strings(const PnsRelation *relation);
static bool is_plain(const PnsRelation *relation, Expr *expr, const PnsTerm *term,
					 bool is_last);
static bool is_fitting(const PnsRelation *relation, const PnsTableColumn *column);
static bool excludes_others(const PnsQual *qual, const PnsTableColumn *column);
static const char *plain_path(const PnsSortKey *key);
static bool needs_rank(const PnsSortKey *key);
static void append_key(PnsPipeline *pipeline, const char *name, const PnsSortKey *key);
static void append_rank(PnsBsonBuilder *builder, const char *name, const PnsSortKey *key);

/*
 * pns_order_prefix returns how many of the first pathkeys MongoDB can sort a
 * relation's rows by.
 */
int
pns_order_prefix(const PnsRelation *relation, List *pathkeys)
{
	int			nkeys = 0;
	ListCell   *lc;

	if (!pns_relation_pushes(relation, PNS_PUSH_ORDER_BY))
		return 0;

	foreach(lc, pathkeys)
	{
		PnsTerm    *term;

		if (nkeys == MAX_KEYS ||
			key_expr(relation, lfirst_node(PathKey, lc), &term) == NULL)
			break;
		nkeys++;
	}
	return nkeys;
}

/*
 * pns_order_is_plain tells whether a sort by pathkeys, which MongoDB can sort
 * by, is one that an index could serve.
 */
bool
pns_order_is_plain(const PnsRelation *relation, List *pathkeys)
{
	ListCell   *lc;

	if (relation->looked_at != NIL)
		return false;
	foreach(lc, pathkeys)
	{
		PnsTerm    *term;
		Expr	   *expr = key_expr(relation, lfirst_node(PathKey, lc), &term);

		if (!is_plain(relation, expr, term, lnext(pathkeys, lc) == NULL))
			return false;
	}
	return true;
}

/*
 * pns_order_plain_paths lists the paths of a sort that an index could serve, as
 * MongoDB says them, and whether each is in descending order; NIL where no index
 * could.
 */
List *
pns_order_plain_paths(const PnsRelation *relation, List *pathkeys, List **descending)
{
	List	   *paths = NIL;
	ListCell   *lc;

	*descending = NIL;
	if (!pns_order_is_plain(relation, pathkeys))
		return NIL;
	foreach(lc, pathkeys)
	{
		PathKey    *pathkey = lfirst_node(PathKey, lc);
		PnsTerm    *term;

		(void) key_expr(relation, pathkey, &term);
		paths = lappend(paths, ((PnsTermColumn *) linitial(term->columns))->column->native);
		*descending = lappend_int(*descending,
								  pns_pathkey_descends(pathkey));
	}
	return paths;
}

/*
 * pns_order_useful lists the orders (of List of PathKey) in which it may pay
 * to read a relation: that of the query, as far as MongoDB can sort so, and
 * those by which it could be merged with another.
 */
List *
pns_order_useful(PlannerInfo *root, const PnsRelation *relation)
{
	RelOptInfo *rel = relation->rel;
	int			nkeys = pns_order_prefix(relation, root->query_pathkeys);
	List	   *orders = NIL;
	ListCell   *lc;

	if (nkeys > 0)
		orders = lappend(orders, list_truncate(list_copy(root->query_pathkeys), nkeys));

	if (rel->has_eclass_joins)
	{
		foreach(lc, root->eq_classes)
		{
			EquivalenceClass *class = lfirst_node(EquivalenceClass, lc);

			if (eclass_useful_for_merging(root, class, rel))
				add_merge_order(root, relation, class, &orders);
		}
	}
	foreach(lc, rel->joininfo)
	{
		RestrictInfo *info = lfirst_node(RestrictInfo, lc);

		if (info->mergeopfamilies == NIL)
			continue;
		update_mergeclause_eclasses(root, info);
		if (bms_is_subset(info->left_relids, rel->relids))
			add_merge_order(root, relation, info->left_ec, &orders);
		else if (bms_is_subset(info->right_relids, rel->relids))
			add_merge_order(root, relation, info->right_ec, &orders);
	}
	return orders;
}

/*
 * add_merge_order adds the order by an equivalence class, unless it is there
 * or MongoDB cannot sort so.
 */
static void
add_merge_order(PlannerInfo *root, const PnsRelation *relation, EquivalenceClass *class,
				List **orders)
{
	PathKey    *pathkey;
	ListCell   *lc;

	/* of equal values there is no order, and a merged class has a new home */
	while (class->ec_merged != NULL)
		class = class->ec_merged;
	if (class->ec_has_volatile || class->ec_opfamilies == NIL)
		return;
	pathkey = make_canonical_pathkey(root, class, linitial_oid(class->ec_opfamilies),
									 BTLessStrategyNumber, false);

	foreach(lc, *orders)
	{
		if (linitial((List *) lfirst(lc)) == pathkey)
			return;
	}
	if (pns_order_prefix(relation, list_make1(pathkey)) == 1)
		*orders = lappend(*orders, list_make1(pathkey));
}

/*
 * pns_order_describe describes a sort by pathkeys: a List that order.c makes a
 * PnsSort of in the executor, NIL for none.
 */
List *
pns_order_describe(const PnsRelation *relation, List *pathkeys)
{
	List	   *exprs = NIL;
	List	   *flags = NIL;
	ListCell   *lc;

	if (pathkeys == NIL)
		return NIL;

	foreach(lc, pathkeys)
	{
		PathKey    *pathkey = lfirst_node(PathKey, lc);
		PnsTerm    *term;
		Expr	   *expr = key_expr(relation, pathkey, &term);

		/* elog: a path with these keys was made */
		if (expr == NULL)
			elog(ERROR, "could not find a key to sort by");
		exprs = lappend(exprs, expr);
		flags = lappend_int(flags,
							(pns_pathkey_descends(pathkey) ?
							 SORT_DESCENDING : 0) |
							(pathkey->pk_nulls_first ? SORT_NULLS_FIRST : 0));
	}
	return list_make4(exprs, flags, makeInteger(pns_order_is_plain(relation, pathkeys)),
					  pns_upper_can_look_at(relation) ? relation->looked_at : NIL);
}

/*
 * pns_order_create compiles the description of a sort, or of none.
 */
PnsSort *
pns_order_create(List *description, const PnsTermContext *context)
{
	PnsSort    *sort;
	ListCell   *expr;
	ListCell   *flag;

	if (description == NIL)
		return NULL;

	sort = palloc0(sizeof(PnsSort));
	sort->plain = intVal(list_nth(description, SORT_PLAIN)) != 0;
	forboth(expr, (List *) list_nth(description, SORT_EXPRS),
			flag, (List *) list_nth(description, SORT_FLAGS))
	{
		PnsSortKey *key = palloc0(sizeof(PnsSortKey));

		key->term = pns_term_compile((Expr *) lfirst(expr), context);
		/* elog: it could be when it was planned */
		if (key->term == NULL)
			elog(ERROR, "a key to sort by cannot be said to MongoDB");
		key->descending = (lfirst_int(flag) & SORT_DESCENDING) != 0;
		key->nulls_first = (lfirst_int(flag) & SORT_NULLS_FIRST) != 0;
		sort->keys = lappend(sort->keys, key);
		sort->compares_strings |= key->term->has_strings;
		sort->columns = pns_upper_add_columns(sort->columns, key->term->columns);
	}
	sort->columns = pns_upper_add_vars(sort->columns,
									   (List *) list_nth(description, SORT_LOOKED_AT),
									   context);
	return sort;
}

/*
 * key_expr finds an expression over a relation that has the values of a key,
 * and that MongoDB can sort by; NULL where there is none.
 */
static Expr *
key_expr(const PnsRelation *relation, PathKey *pathkey, PnsTerm **term)
{
	EquivalenceClass *class = pathkey->pk_eclass;
	PnsTermContext context = pns_relation_context(relation);
	ListCell   *lc;

	if (class->ec_has_volatile)
		return NULL;

	foreach(lc, pns_eclass_members(class, relation->relids))
	{
		EquivalenceMember *member = lfirst_node(EquivalenceMember, lc);

		if (member->em_is_const ||
			(relation->kind != PNS_RELATION_GROUP &&
			 (bms_is_empty(member->em_relids) ||
			  !bms_is_subset(member->em_relids, relation->relids))))
			continue;
		*term = pns_term_compile(member->em_expr, &context);
		if (*term != NULL && pns_upper_pushes(relation, member->em_expr) &&
			orders_alike(relation, *term, member->em_expr, pathkey))
			return member->em_expr;
	}
	return NULL;
}

/*
 * orders_alike tells whether MongoDB orders the values of a term as PostgreSQL
 * does by a key.
 */
static bool
orders_alike(const PnsRelation *relation, const PnsTerm *term, Expr *expr,
			 PathKey *pathkey)
{
	TypeCacheEntry *type = lookup_type_cache(exprType((Node *) expr),
											 TYPECACHE_BTREE_OPFAMILY);

	if (term->may_fail || type->btree_opf != pathkey->pk_opfamily)
		return false;

	switch (term->class)
	{
		case PNS_CLASS_INT:
		case PNS_CLASS_FLOAT8:
		case PNS_CLASS_BOOL:
		case PNS_CLASS_TIMESTAMP:
		case PNS_CLASS_DATE:
		case PNS_CLASS_OBJECTID:
			return true;
		case PNS_CLASS_TEXT:
			return pns_collation_is_c(pathkey->pk_eclass->ec_collation) &&
				sorts_strings(relation);
		default:
			return false;
	}
}

/*
 * sorts_strings tells whether the options of all tables say that the server
 * sorts strings by their bytes where the command's collation is "simple".
 * MongoDB does; a server that only speaks its protocol may not.
 */
static bool
sorts_strings(const PnsRelation *relation)
{
	ListCell   *lc;

	foreach(lc, relation->sources)
	{
		if (!((PnsTermSource *) lfirst(lc))->table->sort_strings)
			return false;
	}
	return true;
}

/*
 * is_plain tells whether a term orders as the field does that it is the value
 * of.  The field may order values that are the same here (a date's times of
 * day), which no key behind it must get to see.
 */
static bool
is_plain(const PnsRelation *relation, Expr *expr, const PnsTerm *term, bool is_last)
{
	const PnsTableColumn *column;

	while (IsA(expr, RelabelType))
		expr = ((RelabelType *) expr)->arg;
	if (relation->kind != PNS_RELATION_BASE || !IsA(expr, Var) ||
		list_length(term->columns) != 1)
		return false;
	column = ((PnsTermColumn *) linitial(term->columns))->column;
	if (column->native == NULL)
		return false;

	switch (term->class)
	{
		case PNS_CLASS_INT:
		case PNS_CLASS_BOOL:
		case PNS_CLASS_TIMESTAMP:
		case PNS_CLASS_OBJECTID:
			return column->not_null || is_fitting(relation, column);
		case PNS_CLASS_DATE:
			return is_last && (column->not_null || is_fitting(relation, column));
		case PNS_CLASS_FLOAT8:
			/* NaN may be anywhere, unless a condition excludes it */
			return is_last && is_fitting(relation, column);
		default:
			/* a text may be an ObjectId */
			return false;
	}
}

/*
 * is_fitting tells whether a condition that MongoDB answers exactly lets only
 * documents pass whose value fits a column, is not NULL, and no NaN.
 */
static bool
is_fitting(const PnsRelation *relation, const PnsTableColumn *column)
{
	ListCell   *lc;

	foreach(lc, relation->shipped)
	{
		RestrictInfo *info = lfirst_node(RestrictInfo, lc);
		const PnsTermSource *source = (PnsTermSource *) linitial(relation->sources);

		if (!list_member_ptr(relation->checked, info) &&
			excludes_others(pns_fdw_compile_qual(info->clause, source->table,
												 source->varno), column))
			return true;
	}
	return false;
}

/*
 * excludes_others tells whether a condition is true only of values that fit a
 * column.  Of floating-point numbers, NaN is excluded by what is below
 * something only.
 */
static bool
excludes_others(const PnsQual *qual, const PnsTableColumn *column)
{
	ListCell   *lc;

	switch (qual->kind)
	{
		case PNS_QUAL_AND:
			foreach(lc, qual->args)
			{
				if (excludes_others((PnsQual *) lfirst(lc), column))
					return true;
			}
			return false;
		case PNS_QUAL_COMPARE:
			return qual->column == column &&
				(qual->class != PNS_CLASS_FLOAT8 || qual->op == PNS_LT);
		case PNS_QUAL_IN:
			return qual->column == column && qual->class != PNS_CLASS_FLOAT8;
		default:
			return false;
	}
}

/*
 * pns_order_append_keys appends the member that holds the keys of a sort that
 * is not plain.
 */
void
pns_order_append_keys(PnsPipeline *pipeline, const PnsSort *sort)
{
	ListCell   *lc;

	pns_bson_open_document(&pipeline->builder, PNS_ROW_KEYS);
	foreach(lc, sort->keys)
	{
		char		name[16];

		snprintf(name, sizeof(name), "k%d", foreach_current_index(lc));
		append_key(pipeline, name, (PnsSortKey *) lfirst(lc));
	}
	pns_bson_close(&pipeline->builder);
}

/*
 * pns_order_append appends the stage that sorts.  With has_bad, rows whose
 * member PNS_ROW_BAD is a misfit come first.
 */
void
pns_order_append(PnsPipeline *pipeline, const PnsSort *sort, bool has_bad)
{
	PnsBsonBuilder *builder = &pipeline->builder;
	List	   *paths = NIL;
	ListCell   *lc;

	pns_pipeline_open_stage(pipeline, "$sort");
	if (has_bad)
		pns_bson_append_int32(builder, PNS_ROW_BAD, -1);
	foreach(lc, sort != NULL ? sort->keys : NIL)
	{
		const PnsSortKey *key = (PnsSortKey *) lfirst(lc);
		int			direction = key->descending ? -1 : 1;
		char		name[32];

		snprintf(name, sizeof(name), PNS_ROW_KEYS ".k%d", foreach_current_index(lc));
		if (sort->plain)
		{
			/* where a key before it is the same, this one says nothing */
			if (list_member(paths, makeString((char *) plain_path(key))))
				continue;
			paths = lappend(paths, makeString((char *) plain_path(key)));
			pns_bson_append_int32(builder, plain_path(key), direction);
		}
		else if (!needs_rank(key))
			pns_bson_append_int32(builder, name, direction);
		else
		{
			pns_bson_append_int32(builder, psprintf("%s.r", name), 1);
			pns_bson_append_int32(builder, psprintf("%s.v", name), direction);
		}
	}
	pns_pipeline_close_stage(pipeline);
}

/*
 * plain_path returns the path of the field that a plain sort is by.
 */
static const char *
plain_path(const PnsSortKey *key)
{
	return ((PnsTermColumn *) linitial(key->term->columns))->column->native;
}

/*
 * needs_rank tells whether MongoDB's own order, which has null below all
 * values and NaN below all numbers, is another than PostgreSQL's.
 */
static bool
needs_rank(const PnsSortKey *key)
{
	return key->term->class == PNS_CLASS_FLOAT8 ||
		(!key->term->never_null && key->descending == key->nulls_first);
}

/*
 * append_key appends what a key sorts by: the value, or the rank and the
 * value.
 */
static void
append_key(PnsPipeline *pipeline, const char *name, const PnsSortKey *key)
{
	PnsBsonBuilder *builder = &pipeline->builder;

	if (!needs_rank(key))
	{
		pns_term_append(builder, name, key->term, pipeline->operand_value,
						pipeline->state);
		return;
	}

	pns_bson_open_document(builder, name);
	pns_bson_open_document(builder, "$let");
	pns_bson_open_document(builder, "vars");
	pns_term_append(builder, "v", key->term, pipeline->operand_value, pipeline->state);
	pns_bson_close(builder);
	pns_bson_open_document(builder, "in");
	append_rank(builder, "r", key);
	pns_bson_append_cstring(builder, "v", "$$v");
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * append_rank appends the rank of $$v: null first or last, NaN above the
 * numbers.
 */
static void
append_rank(PnsBsonBuilder *builder, const char *name, const PnsSortKey *key)
{
	bool		is_float = key->term->class == PNS_CLASS_FLOAT8;

	pns_bson_open_document(builder, name);
	pns_bson_open_array(builder, "$cond");
	pns_bson_open_document(builder, "0");
	pns_bson_open_array(builder, "$eq");
	pns_bson_append_cstring(builder, "0", "$$v");
	pns_bson_append_null(builder, "1");
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_append_int32(builder, "1", key->nulls_first ? -2 : 2);
	if (is_float)
	{
		pns_bson_open_document(builder, "2");
		pns_bson_open_array(builder, "$cond");
		pns_bson_open_document(builder, "0");
		pns_bson_open_array(builder, "$eq");
		pns_bson_append_cstring(builder, "0", "$$v");
		pns_bson_append_double(builder, "1", get_float8_nan());
		pns_bson_close(builder);
		pns_bson_close(builder);
		pns_bson_append_int32(builder, "1", key->descending ? -1 : 1);
		pns_bson_append_int32(builder, "2", 0);
		pns_bson_close(builder);
		pns_bson_close(builder);
	}
	else
		pns_bson_append_int32(builder, "2", 0);
	pns_bson_close(builder);
	pns_bson_close(builder);
}
