/*-------------------------------------------------------------------------
 *
 * query.h
 *	  What one command reads: while it is planned, in the plan, and while it
 *	  runs.
 *
 * The planner keeps a PnsRelation in the fdw_private of base, join and upper
 * relations alike.  pnsGetForeignPlan turns the one that was chosen into a
 * description, a List that can be copied and written; the executor makes a
 * PnsQuery of that, and of the PnsQuery and the operands' values a pipeline:
 *
 *	source (a $match, or what join.c makes) -> later stages -> $project
 *
 * A row of a join's source holds the document of each of its tables under the
 * key that is the table's prefix; the document of a single table stands as it
 * is, its prefix is "".  Where a join has no row of a table, the key is
 * missing.
 *
 * A join is planned by join.c, which fills a PnsRelation and calls
 * pns_relation_add_paths.  What is its own lies in relation->join; describe.c
 * asks it for a Node of it, in which expressions stand as the planner has them
 * (describe.c gives tables their places and operands parameters), query.c has
 * it compile that, and append the stages of it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNS_FDW_QUERY_H
#define PNS_FDW_QUERY_H

#include "fdw/private.h"

/* A table that is read, and where its documents stand in the pipeline. */
typedef struct PnsTermSource
{
	Index		varno;			/* in the planner the query's, later its place
								 * in the sources, from 1 */
	const PnsTable *table;
	const char *prefix;			/* "", or the key that holds its document */
} PnsTermSource;

/*
 * Keys of the pipeline's documents that are neither a collection's nor a
 * join's.
 */
#define PNS_ROW_DOCUMENT "d"	/* a table's document, where others stand
								 * beside it */
#define PNS_ROW_BAD "bad"		/* a value that does not fit, or null; or ... */
#define PNS_ROW_OVERFLOW "overflow" /* ... that a sum is out of range */
#define PNS_ROW_KEYS "keys"		/* what the rows are sorted by */

/* ---------- the planner's ---------- */

typedef enum PnsRelationKind
{
	PNS_RELATION_BASE,			/* a foreign table */
	PNS_RELATION_JOIN,			/* tables that MongoDB joins */
	PNS_RELATION_GROUP			/* one of these, grouped or aggregated */
} PnsRelationKind;

/*
 * What a join by batches of keys (local_join.c) adds to the scan of a table;
 * the member of its ForeignPath's fdw_private.
 */
typedef struct PnsScanKeys
{
	List	   *conditions;		/* List of Expr: column = ANY (Param) */
	List	   *guarded;		/* List of Integer: columns whose misfits must
								 * be seen whether they match or not */
} PnsScanKeys;

/* join.c's own, of a join that is planned, and of one that runs */
typedef struct PnsJoinRelation PnsJoinRelation;
typedef struct PnsJoinQuery PnsJoinQuery;
typedef struct PnsJoinRow PnsJoinRow;

/* How a server finds the documents of a scan, as it says itself. */
typedef enum PnsAccess
{
	PNS_ACCESS_UNKNOWN,			/* it was not asked, or did not say */
	PNS_ACCESS_INDEX,
	PNS_ACCESS_COLLECTION		/* it looks at all of them */
} PnsAccess;

/*
 * What one command can read.  Made by pnsGetForeignRelSize for a base
 * relation and by join.c for a join; an upper relation whose rows are those of
 * its input (a sorted or a limited one) shares its input's.
 */
typedef struct PnsRelation
{
	PnsRelationKind kind;
	RelOptInfo *rel;			/* whose rows they are */
	Relids		relids;			/* of what they are made of */
	List	   *sources;		/* of PnsTermSource */

	/*
	 * Conditions, of RestrictInfo: those that are sent, and those that are
	 * evaluated here (a superset's are in both).  Of a join these are the
	 * conditions on its rows that join.c did not make part of it.
	 */
	List	   *shipped;
	List	   *checked;

	/*
	 * Columns (of Var) that must be fetched beside those that are used, as a
	 * condition that is sent leaves it to the codec to find misfits in them:
	 * PnsQual's checked.  Of a join, those of its tables.
	 */
	List	   *looked_at;

	PnsJoinRelation *join;		/* JOIN, and GROUP of one; else NULL */

	/* GROUP only, see group.c */
	struct PnsRelation *input;	/* what is grouped */
	List	   *keys;			/* of Expr */
	List	   *aggregates;		/* of Aggref */
	List	   *outputs;		/* of PnsTermOutput: where these stand */
	List	   *having;			/* of Expr: what is demanded of groups ... */
	List	   *checked_having; /* ... and what is so here */
	double		rows;

	List	   *indexes;		/* BASE only, of PnsIndex: those that are
								 * known */
	PnsAccess	access;			/* BASE only: by the shipped conditions */

	/* estimates, of what is read without an order */
	Cost		work;			/* of the server, a part of total_cost */
	double		fetched;		/* documents that the server returns */
	Cost		startup_cost;
	Cost		total_cost;
} PnsRelation;

/* What a plan asks of a relation. */
typedef struct PnsRequest
{
	List	   *shipped;		/* List of Expr: the conditions that are sent */
	List	   *pathkeys;		/* the order */
	List	   *limit;			/* what limit.c asks for, or NIL */
	List	   *outputs;		/* List of Var: what is fetched ... */
	List	   *slots;			/* List of Integer: ... and where to, from 1 */
	const PnsScanKeys *keys;	/* those that a join gives, or NULL */
	List	   *identity;		/* what modify_scan.c asks for, or NIL */
} PnsRequest;

/* ---------- the plan's ---------- */

/*
 * The members of a description, a ForeignScan's fdw_private.  In its
 * expressions a Var's varno is the place of its table in the sources, and a
 * PARAM_EXEC Param stands for the operand of that number in fdw_exprs.
 */
typedef enum PnsDescriptionIndex
{
	PNS_QUERY_RELIDS,			/* List of Oid: the sources' tables */
	PNS_QUERY_PREFIXES,			/* List of String: the sources' prefixes */
	PNS_QUERY_JOIN,				/* join.c's description, or NULL */
	PNS_QUERY_QUALS,			/* List of Expr: the shipped conditions */
	PNS_QUERY_GROUP,			/* group.c's description, or NIL */
	PNS_QUERY_SORT,				/* order.c's description, or NIL */
	PNS_QUERY_LIMIT,			/* limit.c's, or NIL */
	PNS_QUERY_OUTPUTS,			/* List of Var: what is fetched ... */
	PNS_QUERY_SLOTS,			/* List of Integer: ... and where to, from 1 */
	PNS_QUERY_KEYS,				/* List of Expr: PnsScanKeys' conditions,
								 * whose operands are the last ones */
	PNS_QUERY_GUARDED,			/* List of Integer: PnsScanKeys' */
	PNS_QUERY_IDENTITY,			/* modify_scan.c's, or NIL */
	PNS_QUERY_REPEATS,			/* Boolean: is it run for one outer row after
								 * the other? */
	PNS_QUERY_DIRECT			/* modify_direct.c's; only where it has
								 * planned the statement */
} PnsDescriptionIndex;

/* in describe.c */
extern List *pns_query_describe(const PnsRelation *relation, const PnsRequest *request,
								List **operands);
extern Expr *pns_query_describe_more(const PnsRelation *relation, Expr *expr,
									 List **operands);

/* ---------- the executor's ---------- */

/* What is put out of rows that are going to be written; modify_scan.c. */
typedef struct PnsIdentity PnsIdentity;

/* The documents of a scan; reader.c. */
typedef struct PnsReader PnsReader;

/* A description, compiled. */
typedef struct PnsQuery
{
	List	   *sources;		/* of PnsTermSource */
	PnsJoinQuery *join;			/* NULL: of a single table */
	PnsJoinRow *row;			/* what is read of a join's tables */
	bool		is_old_server;	/* is it older than MongoDB 5.0? */
	List	   *quals;			/* of PnsQual: the shipped conditions */
	List	   *keys;			/* of PnsQual: those on a join's keys */
	PnsQual    *guard;			/* what does not fit their columns, or NULL */
	bool		guards;			/* the next command asks for that instead */
	struct PnsGroup *group;		/* NULL: rows as they are */
	struct PnsGroupRow *group_row;
	struct PnsSort *sort;		/* NULL: in no order */
	struct PnsLimit *limit;		/* NULL: all of them */
	bool		has_bad;		/* do rows have PNS_ROW_BAD? */
	bool		documents_bad;	/* may what is grouped not fit? */
	List	   *paths;			/* C strings: what is fetched ... */
	bool		whole;			/* ... or all of the documents is */
	PnsDecoder *decoder;
	PnsIdentity *identity;		/* NULL: the rows are only read */
	bool		repeats;		/* is it run for one outer row after the
								 * other? */
} PnsQuery;

/* A pipeline that is being made. */
typedef struct PnsPipeline
{
	PnsBsonBuilder builder;		/* of the array of stages */
	int			nstages;
	bool		is_old_server;	/* as in PnsQuery */
	PnsOperandValue operand_value;
	void	   *state;			/* of operand_value */
} PnsPipeline;

/* in query.c */
extern PnsQuery *pns_query_create(List *description);
extern const PnsTable *pns_query_table(const PnsQuery *query);
extern char *pns_query_label(const PnsQuery *query);
extern bool pns_query_make_pipeline(const PnsQuery *query, PnsOperandValue operand_value,
									void *state, PnsDocument *stages, int64 *skipped);
extern PnsDocument pns_query_options(const PnsQuery *query);
extern PnsDocument pns_query_document(const PnsQuery *query, PnsDocument row);
extern bool pns_query_read_nothing(const PnsQuery *query, Datum *values, bool *nulls);
extern void pns_query_read_row(const PnsQuery *query, PnsReader *reader,
							   PnsDocument document, Datum *values, bool *nulls);

/* in reader.c */
extern PnsReader *pns_reader_create(bool keeps);
extern bool pns_reader_find(PnsReader *reader, PnsDocument pipeline);
extern void pns_reader_begin(PnsReader *reader, PnsCursor *cursor);
extern PnsCursor *pns_reader_cursor(const PnsReader *reader);
extern bool pns_reader_is_open(const PnsReader *reader);
extern uint64 pns_reader_reused(const PnsReader *reader);
extern bool pns_reader_next(PnsReader *reader, PnsDocument *document);
extern void pns_reader_restart(PnsReader *reader);
extern void pns_reader_close(PnsReader *reader);

/* in pipeline.c */
extern void pns_pipeline_open_stage(PnsPipeline *pipeline, const char *operator);
extern void pns_pipeline_close_stage(PnsPipeline *pipeline);
extern bool pns_pipeline_append_match(PnsPipeline *pipeline, List *quals);
extern void pns_pipeline_append_project(PnsPipeline *pipeline, List *paths);
extern List *pns_pipeline_add_path(List *paths, char *path);

/* in cost.c */
extern void pns_cost_base(PlannerInfo *root, PnsRelation *relation);
extern void pns_cost_scan(PlannerInfo *root, const PnsRelation *relation, List *sent,
						  Selectivity share, double rows, List *checked,
						  Cost *startup_cost, Cost *total_cost);
extern void pns_cost_ordered(const PnsRelation *relation, List *pathkeys, double *rows,
							 Cost *startup_cost, Cost *total_cost);
extern Cost pns_cost_transfer(const PnsRelation *relation, double documents);
extern Cost pns_cost_compare(const PnsRelation *relation, List *conditions, double keys);
extern Cost pns_cost_examine(const PnsRelation *relation);
extern bool pns_relation_has_index(const PnsRelation *relation, const char *path);

/* in estimate.c */
extern double pns_estimate_scan(PlannerInfo *root, PnsRelation *relation, Oid userid);

/* in plan.c */
extern void pns_relation_add_paths(PlannerInfo *root, PnsRelation *relation,
								   Path *recheck_path, List *restrictinfo);
extern bool pns_relation_outputs_ship(const PnsRelation *relation);
extern bool pns_relation_pushes(const PnsRelation *relation, PnsPushdown kind);

/* in outer_rows.c */
extern void pns_relation_add_outer_paths(PlannerInfo *root, PnsRelation *relation);
extern Expr *pns_relation_bind_clause(PlannerInfo *root, const PnsRelation *relation,
									  RestrictInfo *info, bool *exact);

/* in scan.c; scan is the fdw_state that pnsBeginForeignScan has made */
extern const PnsQuery *pns_scan_query(const void *scan);
extern void pns_scan_explain_only(void *scan);
extern bool pns_scan_operand_value(void *scan, Expr *operand, Datum *value, bool *isnull);

/* in modify_scan.c */
extern List *pns_identity_plan(const PnsRelation *relation, List *clauses,
							   List **description);
extern PnsIdentity *pns_identity_create(List *description, const PnsTable *table,
										List **paths);
extern void pns_identity_fill(const PnsIdentity *identity, Relation relation,
							  PnsDocument document, bool demands, TupleTableSlot *slot);
extern void pns_identity_read_row(PnsIdentity *identity, const PnsTable *table,
								  Relation relation, PnsDocument document,
								  TupleTableSlot *slot);

#endif							/* PNS_FDW_QUERY_H */
