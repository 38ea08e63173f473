/*-------------------------------------------------------------------------
 *
 * join.h
 *	  Joins of collections that MongoDB makes.
 *
 * join.c decides which joins are shipped and what they cost, join_query.c
 * compiles them when a scan starts, join_stages.c makes the stages, and
 * join_row.c turns what comes back into rows.
 *
 * A join is a tree: each node looks a value of the rows of its outer side (the
 * key) up in a field of the collection that its inner side begins with, and
 * keeps the pairs for which its conditions are true.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNS_FDW_JOIN_H
#define PNS_FDW_JOIN_H

#include "fdw/query.h"
#include "fdw/term.h"

#include "access/tupdesc.h"

/* ---------- the planner's ---------- */

/* A join as it was planned; in the PnsRelation of its rows. */
struct PnsJoinRelation
{
	JoinType	type;			/* INNER, LEFT, FULL, SEMI or ANTI */
	PnsRelation *outer;
	PnsRelation *inner;
	Expr	   *key;			/* what is looked up, of the outer side ... */
	Var		   *field;			/* ... and where: a column of the first of the
								 * inner side's tables */
	List	   *on;				/* of Expr: what makes a pair; the first is
								 * that the key equals the field */
	List	   *where;			/* of Expr: demanded of the join's rows */
	List	   *looked_at;		/* of Var: columns of the sides that must fit */
};

/* in join.c */
extern void pnsGetForeignJoinPaths(PlannerInfo *root, RelOptInfo *joinrel,
								   RelOptInfo *outerrel, RelOptInfo *innerrel,
								   JoinType jointype, JoinPathExtraData *extra);

/* ---------- the plan's ---------- */

/* The members of the description of a join ... */
typedef enum PnsJoinDescriptionIndex
{
	PNS_JOIN_TYPE,				/* Integer */
	PNS_JOIN_OUTER,				/* its description */
	PNS_JOIN_INNER,				/* its description */
	PNS_JOIN_KEY,				/* Expr */
	PNS_JOIN_FIELD,				/* Var */
	PNS_JOIN_ON,				/* List of Expr */
	PNS_JOIN_WHERE,				/* List of Expr */
	PNS_JOIN_LOOKED_AT,			/* List of Var */
	PNS_JOIN_LENGTH
} PnsJoinDescriptionIndex;

/*
 * ... and that of a table in it, which is shorter; the tables' order is that
 * of the sources.
 */
typedef enum PnsJoinTableDescriptionIndex
{
	PNS_JOIN_TABLE_QUALS		/* List of Expr: the shipped conditions */
} PnsJoinTableDescriptionIndex;

/* ---------- the executor's ---------- */

/*
 * A node of a join that runs: a table, or two nodes that are joined.  A row of
 * it holds the document of each table under the table's prefix and, where
 * reports is set, may hold under PNS_JOIN_BAD the value that does not fit its
 * column and is an error; such a row is no row of the join, but stops it.
 */
struct PnsJoinQuery
{
	Bitmapset  *places;			/* of its tables in the sources, from 1 */
	const PnsTermSource *first; /* the table whose collection is read first */
	bool		reports;

	/* of a table */
	List	   *quals;			/* of PnsQual: its conditions */

	/* of a join */
	JoinType	type;
	PnsJoinQuery *outer;		/* NULL: a table */
	PnsJoinQuery *inner;
	PnsTerm    *key;
	const PnsTableColumn *field;
	bool		knows_key;		/* does "on" compare the field with what was
								 * looked up, not with what that was made of? */
	bool		simple;			/* an inner join with a table, whose pairs are
								 * looked at after they were made */
	List	   *on;				/* of PnsTerm, for pairs */
	List	   *where;			/* of PnsTerm, for rows */
	List	   *variables;		/* of PnsTermSource: the outer side's tables
								 * that "on" speaks of */
	List	   *outer_columns;	/* of PnsTermColumn: of rows of the outer
								 * side, and ... */
	List	   *inner_columns;	/* ... of the inner side, that must fit */
	List	   *where_columns;	/* of PnsTermColumn: of rows of the join */
	List	   *guarded;		/* of PnsTermColumn: the field, where its
								 * misfits must be seen whatever is looked up */
	PnsTermContext rows;		/* where tables stand in a row */
	PnsJoinQuery *reverse;		/* FULL: the inner side's rows without a pair */
};

/* Fields of a join's rows beside the tables' documents. */
#define PNS_JOIN_KEY_FIELD "k"	/* what is looked up */
#define PNS_JOIN_PAIR "j"		/* a row of the inner side */
#define PNS_JOIN_BAD PNS_ROW_BAD
#define PNS_JOIN_PART "part"	/* a row that comes in parts */
#define PNS_JOIN_MORE "more"	/* in its first part: how many follow */

/* in join_query.c */
extern List *pns_join_describe(const PnsRelation *relation);
extern bool pns_join_is_guarded(JoinType type, const PnsTableColumn *field);
extern PnsJoinQuery *pns_join_create(List *description, List *sources);
extern bool pns_join_compares_strings(const PnsJoinQuery *join);

/* in join_stages.c */
extern bool pns_join_append_rows(PnsPipeline *pipeline, const PnsJoinQuery *join);

/* in join_row.c */
extern PnsJoinRow *pns_join_row_create(const PnsJoinQuery *join, List *sources,
									   List *outputs, List *slots);
extern List *pns_join_row_paths(const PnsJoinRow *row);
extern void pns_join_row_append_parts(PnsPipeline *pipeline, const PnsJoinRow *row);
extern void pns_join_row_begin(PnsJoinRow *row, bool *nulls);
extern bool pns_join_row_add(PnsJoinRow *row, PnsDocument document, Datum *values, bool *nulls);

#endif							/* PNS_FDW_JOIN_H */
