/*-------------------------------------------------------------------------
 *
 * upper.h
 *	  What is done with the rows of tables and joins: order, limits, groups.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNS_FDW_UPPER_H
#define PNS_FDW_UPPER_H

#include "fdw/term.h"

/* ---------- order.c ---------- */

/* A key to sort by. */
typedef struct PnsSortKey
{
	PnsTerm    *term;
	bool		descending;
	bool		nulls_first;
} PnsSortKey;

/* A sort, as the executor has it. */
typedef struct PnsSort
{
	List	   *keys;			/* of PnsSortKey */
	bool		plain;			/* by the fields themselves */
	List	   *columns;		/* of PnsTermColumn: what the keys are made of */
	bool		compares_strings;
} PnsSort;

extern int	pns_order_prefix(const PnsRelation *relation, List *pathkeys);
extern bool pns_order_is_plain(const PnsRelation *relation, List *pathkeys);
extern List *pns_order_plain_paths(const PnsRelation *relation, List *pathkeys,
								   List **descending);
extern List *pns_order_useful(PlannerInfo *root, const PnsRelation *relation);
extern List *pns_order_describe(const PnsRelation *relation, List *pathkeys);
extern PnsSort *pns_order_create(List *description, const PnsTermContext *context);
extern void pns_order_append_keys(PnsPipeline *pipeline, const PnsSort *sort);
extern void pns_order_append(PnsPipeline *pipeline, const PnsSort *sort, bool has_bad);

/* ---------- limit.c ---------- */

typedef struct PnsLimit
{
	Expr	   *count;			/* NULL: all rows */
	Expr	   *offset;			/* NULL: from the first one */
} PnsLimit;

/* A limit that has been evaluated; EXPLAIN may not know all of it. */
typedef struct PnsLimitValues
{
	bool		count_known;
	bool		limited;		/* else count says nothing */
	int64		count;
	bool		offset_known;
	int64		offset;
	bool		skips_here;		/* the rows of the offset come all the same */
} PnsLimitValues;

extern void pns_limit_add_path(PlannerInfo *root, PnsRelation *relation,
							   RelOptInfo *final_rel, const FinalPathExtraData *extra);
extern PnsLimit *pns_limit_create(List *description);
extern bool pns_limit_evaluate(PnsPipeline *pipeline, const PnsLimit *limit,
							   PnsLimitValues *values);
extern void pns_limit_append(PnsPipeline *pipeline, const PnsLimit *limit,
							 const PnsLimitValues *values);

/* ---------- aggregate.c ---------- */

typedef enum PnsAggregateKind
{
	PNS_AGGREGATE_ROWS,			/* count(*) */
	PNS_AGGREGATE_COUNT,
	PNS_AGGREGATE_SUM,			/* of integers, as int8 */
	PNS_AGGREGATE_SUM_LONG,		/* of int8, as numeric */
	PNS_AGGREGATE_SUM_DOUBLE,
	PNS_AGGREGATE_AVG,			/* of integers, as numeric: divided here */
	PNS_AGGREGATE_AVG_DOUBLE,
	PNS_AGGREGATE_VARIANCE,		/* of int2 and int4, as numeric: finished here */
	PNS_AGGREGATE_VARIANCE_LONG,	/* the same of int8 */
	PNS_AGGREGATE_MIN,
	PNS_AGGREGATE_MAX
} PnsAggregateKind;

/* An aggregate that MongoDB computes. */
typedef struct PnsAggregate
{
	PnsAggregateKind kind;
	bool		sample;			/* VARIANCE: of a sample, not a population */
	bool		deviation;		/* VARIANCE: its root */
	int			number;
	char	   *field;			/* its value's, behind the $group */
	PnsTerm    *value;			/* NULL for ROWS; for COUNT whether it counts */
	PnsTerm    *filter;			/* or NULL */
	PnsTerm    *distinct;		/* NULL, or what rows are grouped by before,
								 * and "value" is a term over these groups */
	PnsTerm    *distinct_filter;	/* which rows are; NULL for all */
	List	   *columns;		/* of PnsTermColumn: what it is made of */
} PnsAggregate;

/* Where a DISTINCT aggregate finds its argument's value, in groups by it. */
#define PNS_GROUP_DISTINCT "d"
#define PNS_AGGREGATE_DISTINCT "_id." PNS_GROUP_DISTINCT

extern PnsAggregate *pns_aggregate_create(const Aggref *aggref, int number,
										  const PnsTermContext *context);
extern bool pns_aggregate_is_canonical(const PnsAggregate *aggregate);
extern bool pns_aggregate_is_wide(const PnsAggregate *aggregate);
extern bool pns_aggregate_is_never_null(const PnsAggregate *aggregate);
extern const char *pns_aggregate_parts(const PnsAggregate *aggregate);
extern char *pns_aggregate_field(const PnsAggregate *aggregate, const char *suffix);

/* ---------- aggregate_stages.c ---------- */

extern void pns_aggregate_append_accumulators(PnsPipeline *pipeline,
											  const PnsAggregate *aggregate);
extern void pns_aggregate_append_combined(PnsPipeline *pipeline,
										  const PnsAggregate *aggregate);

/* ---------- aggregate_result.c ---------- */

extern bool pns_aggregate_keeps_odd(const PnsAggregate *aggregate);
extern void pns_aggregate_append_odd_values(PnsBsonBuilder *builder, const char *key,
											bool infinities);
extern void pns_aggregate_append_result(PnsPipeline *pipeline, const PnsAggregate *aggregate);
extern bool pns_aggregate_may_overflow(const PnsAggregate *aggregate);
extern void pns_aggregate_append_overflow(PnsBsonBuilder *builder, const char *key,
										  const PnsAggregate *aggregate);

/* ---------- group.c ---------- */

/* The members of a group's description. */
typedef enum PnsGroupIndex
{
	PNS_GROUP_KEYS,				/* List of Expr */
	PNS_GROUP_AGGREGATES,		/* List of Aggref */
	PNS_GROUP_HAVING,			/* List of Expr: what is demanded of groups */
	PNS_GROUP_LOOKED_AT			/* List of Var: PnsRelation's looked_at */
} PnsGroupIndex;

/* Rows that MongoDB groups, as the executor has them. */
typedef struct PnsGroup
{
	List	   *keys;			/* of PnsTerm */
	List	   *aggregates;		/* of PnsAggregate */
	const PnsAggregate *distinct;	/* one of those that are DISTINCT, or NULL */
	List	   *having;			/* of PnsTerm: what is demanded of groups */
	List	   *columns;		/* of PnsTermColumn: what they are made of */
	List	   *outputs;		/* of PnsTermOutput: for terms over groups */
	bool		compares_strings;
} PnsGroup;

extern void pns_group_add_paths(PlannerInfo *root, PnsRelation *input,
								RelOptInfo *grouped_rel, const GroupPathExtraData *extra);
extern void pns_group_add_distinct_path(PlannerInfo *root, PnsRelation *input,
										RelOptInfo *distinct_rel);
extern List *pns_group_describe(const PnsRelation *relation);
extern List *pns_group_tlist(const PnsRelation *relation);
extern PnsTerm *pns_group_key(Expr *expr, Oid eqop, const PnsTermContext *context);

/* ---------- group_stages.c ---------- */

extern PnsGroup *pns_group_create(List *description, const PnsTermContext *context);
extern bool pns_group_is_whole(const PnsGroup *group);
extern bool pns_group_has_overflow(const PnsGroup *group);
extern void pns_group_open(PnsPipeline *pipeline, const PnsGroup *group);
extern void pns_group_close(PnsPipeline *pipeline, const PnsGroup *group, bool has_bad);

/* ---------- group_row.c ---------- */

/* What makes rows of what MongoDB returns for groups. */
typedef struct PnsGroupRow PnsGroupRow;

extern PnsGroupRow *pns_group_row_create(const PnsGroup *group, List *description);
extern void pns_group_row_read(PnsGroupRow *row, PnsDocument document, Datum *values,
							   bool *nulls);
extern void pns_group_row_read_nothing(PnsGroupRow *row, Datum *values, bool *nulls);

/* ---------- upper.c ---------- */

extern PnsTermContext pns_relation_context(const PnsRelation *relation);
extern PnsTermOutput *pns_upper_make_output(Expr *expr, const char *field, bool never_null);
extern List *pns_upper_add_columns(List *columns, List *others);
extern List *pns_upper_add_vars(List *columns, List *vars, const PnsTermContext *context);
extern bool pns_upper_pushes(const PnsRelation *relation, Expr *expr);
extern bool pns_upper_can_look_at(const PnsRelation *relation);
extern void pnsGetForeignUpperPaths(PlannerInfo *root, UpperRelationKind stage,
									RelOptInfo *input_rel, RelOptInfo *output_rel,
									void *extra);

#endif							/* PNS_FDW_UPPER_H */
