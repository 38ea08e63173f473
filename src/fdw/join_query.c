/*-------------------------------------------------------------------------
 *
 * join_query.c
 *	  Joins of collections in a plan, and compiled for a scan.
 *
 * What has to fit: the columns that the conditions on pairs name, in the
 * documents of the outer side and in those that a key leads to.  What no key
 * leads to is not looked at; its comparison treats a value that does not fit as
 * NULL, as one of a WHERE does.  That takes a pair away, which inner and semi
 * joins may do; but what a left or an anti join returns for want of a pair would
 * be another row.  So these look through the field that is looked up in.
 * Conditions on the join's rows are as those of a WHERE, too; a condition that
 * can be true of a NULL is not satisfied with that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "optimizer/restrictinfo.h"

#include "fdw/join.h"

static PnsJoinQuery *create_node(List *description, List *sources, int *place);
static void create_table(PnsJoinQuery *table, List *description, List *sources, int place);
static void create_join(PnsJoinQuery *join, List *description, List *sources);
static PnsJoinQuery *create_reverse(const PnsJoinQuery *join, Expr *key, Var *field,
									List *on, List *looked_at, List *sources);
static void compile_join(PnsJoinQuery *join, Expr *key, Var *field, List *on,
						 List *looked_at, List *sources);
static PnsTermOutput *known_key(Expr *key, bool simple);
static const PnsTableColumn *column_of(const Var *var, List *sources);
static List *seen_from_pairs(List *sources, const Bitmapset *outer_places);
static List *compile_terms(List *exprs, const PnsTermContext *context);
static List *add_columns(List *columns, List *terms, const Bitmapset *places,
						 const PnsTableColumn *except);
static List *sources_of(List *terms, const Bitmapset *places, List *sources);

/*
 * pns_join_describe describes a relation: a join, or a table in one.
 */
List *
pns_join_describe(const PnsRelation *relation)
{
	const PnsJoinRelation *join = relation->join;
	List	   *description;

	if (relation->kind == PNS_RELATION_BASE)
		return list_make1(extract_actual_clauses(relation->shipped, false));

	description = list_make5(makeInteger(join->type),
							 pns_join_describe(join->outer),
							 pns_join_describe(join->inner),
							 join->key,
							 join->field);
	return list_concat(description,
					   list_make3(join->on, join->where, join->looked_at));
}

/*
 * pns_join_is_guarded tells whether a join has to look through the field that
 * it looks up in: for what returns a row where there is no pair, a value that
 * does not fit, and is an error, must not be the reason.
 */
bool
pns_join_is_guarded(JoinType type, const PnsTableColumn *field)
{
	return (type == JOIN_LEFT || type == JOIN_ANTI) && !field->codec.null_on_mismatch;
}

/*
 * pns_join_create compiles a join's description.  sources (of PnsTermSource)
 * must live as long as what is returned.
 */
PnsJoinQuery *
pns_join_create(List *description, List *sources)
{
	int			place = 0;

	return create_node(description, sources, &place);
}

/*
 * pns_join_compares_strings tells whether MongoDB compares strings for a join.
 */
bool
pns_join_compares_strings(const PnsJoinQuery *join)
{
	ListCell   *lc;

	if (join->outer == NULL)
		return pns_fdw_compares_strings(join->quals);

	foreach(lc, list_concat_copy(join->on, join->where))
	{
		if (((PnsTerm *) lfirst(lc))->has_strings)
			return true;
	}
	return pns_join_compares_strings(join->outer) ||
		pns_join_compares_strings(join->inner);
}

/*
 * create_node compiles a node whose tables begin behind *place in the sources,
 * and moves that on.
 */
static PnsJoinQuery *
create_node(List *description, List *sources, int *place)
{
	PnsJoinQuery *node = palloc0(sizeof(PnsJoinQuery));

	if (list_length(description) < PNS_JOIN_LENGTH)
	{
		create_table(node, description, sources, ++*place);
		return node;
	}

	node->outer = create_node((List *) list_nth(description, PNS_JOIN_OUTER), sources, place);
	node->inner = create_node((List *) list_nth(description, PNS_JOIN_INNER), sources, place);
	create_join(node, description, sources);
	return node;
}

/*
 * create_table compiles a table and its shipped conditions.
 */
static void
create_table(PnsJoinQuery *table, List *description, List *sources, int place)
{
	ListCell   *lc;

	table->places = bms_make_singleton(place);
	table->first = (PnsTermSource *) list_nth(sources, place - 1);
	foreach(lc, (List *) list_nth(description, PNS_JOIN_TABLE_QUALS))
	{
		PnsQual    *qual = pns_fdw_compile_planned_qual((Expr *) lfirst(lc), table->first->table, place);

		/* elog: it was shippable when it was planned */
		if (qual == NULL)
			elog(ERROR, "a condition on %s that was to be shipped cannot be",
				 pns_fdw_table_label(table->first->table));
		table->quals = lappend(table->quals, qual);
	}
}

/*
 * create_join compiles a join of two nodes that are compiled.
 */
static void
create_join(PnsJoinQuery *join, List *description, List *sources)
{
	Expr	   *key = (Expr *) list_nth(description, PNS_JOIN_KEY);
	Var		   *field = list_nth_node(Var, description, PNS_JOIN_FIELD);
	List	   *on = (List *) list_nth(description, PNS_JOIN_ON);
	List	   *where = (List *) list_nth(description, PNS_JOIN_WHERE);
	List	   *looked_at = (List *) list_nth(description, PNS_JOIN_LOOKED_AT);

	join->type = (JoinType) intVal(list_nth(description, PNS_JOIN_TYPE));
	compile_join(join, key, field, on, looked_at, sources);

	join->where = compile_terms(where, &join->rows);
	join->where_columns = add_columns(NIL, join->where, NULL, NULL);
	if (join->type == JOIN_FULL)
		join->reverse = create_reverse(join, key, field, on, looked_at, sources);
	if (pns_join_is_guarded(join->type, join->field))
		join->guarded = ((PnsTerm *) linitial(compile_terms(list_make1(field),
															&join->rows)))->columns;
	join->reports = join->outer->reports || join->inner->reports ||
		join->outer_columns != NIL || join->inner_columns != NIL ||
		join->where_columns != NIL || join->guarded != NIL ||
		(join->reverse != NULL && join->reverse->reports);
}

/*
 * create_reverse makes the join that finds what a full join has of its inner
 * side alone.  The condition that looks up is looked at from the other side.
 */
static PnsJoinQuery *
create_reverse(const PnsJoinQuery *join, Expr *key, Var *field, List *on,
			   List *looked_at, List *sources)
{
	PnsJoinQuery *reverse = palloc0(sizeof(PnsJoinQuery));

	reverse->type = JOIN_ANTI;
	reverse->outer = join->inner;
	reverse->inner = join->outer;
	compile_join(reverse, (Expr *) field, castNode(Var, key), on, looked_at, sources);
	reverse->reports = reverse->outer_columns != NIL || reverse->inner_columns != NIL;
	return reverse;
}

/*
 * compile_join compiles what makes the pairs of a join.  The rows of its outer
 * side are variables to the pipeline that reads the inner one.
 */
static void
compile_join(PnsJoinQuery *join, Expr *key, Var *field, List *on,
			 List *looked_at, List *sources)
{
	PnsTermContext pairs = {.sources = sources};
	List	   *others_on = list_copy_tail(on, 1);
	List	   *conditions;
	List	   *others;
	List	   *keys;

	join->places = bms_union(join->outer->places, join->inner->places);
	join->first = join->outer->first;
	join->rows.sources = sources;
	join->field = column_of(field, sources);
	join->simple = join->type == JOIN_INNER && join->inner->outer == NULL;

	keys = compile_terms(list_make1(key), &join->rows);
	join->key = (PnsTerm *) linitial(keys);
	conditions = compile_terms(on, &join->rows);
	if (!join->simple)
		pairs.sources = seen_from_pairs(sources, join->outer->places);
	join->on = compile_terms(others_on, &pairs);
	join->knows_key = pns_fdw_value_class(join->field) != PNS_CLASS_TEXT;
	if (join->knows_key)
		pairs.outputs = list_make1(known_key(key, join->simple));
	join->on = list_concat(compile_terms(list_make1(linitial(on)), &pairs), join->on);
	join->variables = sources_of(join->knows_key ? list_copy_tail(conditions, 1) : conditions,
								 join->outer->places, sources);
	others = compile_terms(looked_at, &join->rows);
	join->outer_columns = add_columns(NIL, list_concat_copy(list_concat_copy(keys, conditions),
															others),
									  join->outer->places, NULL);
	join->inner_columns = add_columns(add_columns(NIL, conditions, join->inner->places,
												  join->field),
									  others, join->inner->places, NULL);
}

/*
 * known_key says where what is looked up stands, for the condition that does
 * so.  A NULL is never equal to anything there, too.
 */
static PnsTermOutput *
known_key(Expr *key, bool simple)
{
	PnsTermOutput *output = palloc0(sizeof(PnsTermOutput));

	output->expr = key;
	output->field = simple ? PNS_JOIN_KEY_FIELD : "$" PNS_JOIN_KEY_FIELD;
	output->never_null = true;
	return output;
}

/*
 * column_of returns the column that a Var of a description is.
 */
static const PnsTableColumn *
column_of(const Var *var, List *sources)
{
	const PnsTermSource *source = (PnsTermSource *) list_nth(sources, var->varno - 1);

	return &source->table->columns[var->varattno - 1];
}

/*
 * seen_from_pairs lists the sources as a pipeline names them that reads the
 * inner side: the tables of the outer side are variables there.
 */
static List *
seen_from_pairs(List *sources, const Bitmapset *outer_places)
{
	List	   *seen = NIL;
	ListCell   *lc;

	foreach(lc, sources)
	{
		PnsTermSource *source = memcpy(palloc(sizeof(PnsTermSource)), lfirst(lc),
									   sizeof(PnsTermSource));

		if (bms_is_member(source->varno, outer_places))
			source->prefix = psprintf("$%s", source->prefix);
		seen = lappend(seen, source);
	}
	return seen;
}

/*
 * compile_terms compiles expressions that the planner has found to be terms.
 */
static List *
compile_terms(List *exprs, const PnsTermContext *context)
{
	List	   *terms = NIL;
	ListCell   *lc;

	foreach(lc, exprs)
	{
		PnsTerm    *term = pns_term_compile((Expr *) lfirst(lc), context);

		/* elog: it was shippable when it was planned */
		if (term == NULL)
			elog(ERROR, "a condition of a join that was to be shipped cannot be");
		terms = lappend(terms, term);
	}
	return terms;
}

/*
 * add_columns adds to columns those of terms that belong to the tables at
 * places and whose values have to fit, but one.  Without places it adds those
 * of the terms that are not NULL just because a column is.
 */
static List *
add_columns(List *columns, List *terms, const Bitmapset *places, const PnsTableColumn *except)
{
	ListCell   *lc;

	foreach(lc, terms)
	{
		const PnsTerm *term = (PnsTerm *) lfirst(lc);
		ListCell   *cell;

		foreach(cell, term->columns)
		{
			PnsTermColumn *column = (PnsTermColumn *) lfirst(cell);
			ListCell   *known;
			bool		wanted = column->column != except &&
			pns_term_column_may_misfit(column) &&
			(places != NULL ? bms_is_member(column->source->varno, places) : !term->strict);

			foreach(known, columns)
			{
				const PnsTermColumn *other = (PnsTermColumn *) lfirst(known);

				if (other->column == column->column &&
					other->source->varno == column->source->varno)
					wanted = false;
			}
			if (wanted)
				columns = lappend(columns, column);
		}
	}
	return columns;
}

/*
 * sources_of lists the sources at places whose columns terms name.
 */
static List *
sources_of(List *terms, const Bitmapset *places, List *sources)
{
	List	   *named = NIL;
	ListCell   *lc;

	foreach(lc, terms)
	{
		ListCell   *cell;

		foreach(cell, ((PnsTerm *) lfirst(lc))->columns)
		{
			const PnsTermSource *source = ((PnsTermColumn *) lfirst(cell))->source;

			if (bms_is_member(source->varno, places))
				named = list_append_unique_ptr(named, list_nth(sources, source->varno - 1));
		}
	}
	return named;
}
