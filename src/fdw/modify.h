/*-------------------------------------------------------------------------
 *
 * modify.h
 *	  What the files that write to collections share.
 *
 * modify_plan.c decides what may be written and how; modify.c begins and ends
 * what a statement writes to one table, and sends it; modify_row.c makes
 * documents and updates of rows; modify_insert.c and modify_update.c are given
 * the rows; modify_direct.c, with modify_direct_plan.c and modify_compute.c,
 * and modify_truncate.c need none; modify_scan.c brings the _id of a row that is
 * going to be written up through the plan, and modify_recheck.c looks again at
 * one that another client has changed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNS_FDW_MODIFY_H
#define PNS_FDW_MODIFY_H

#include "fdw/term.h"

#include "nodes/execnodes.h"

/* ---------- modify_row.c ---------- */

typedef struct PnsRowWriter PnsRowWriter;

extern PnsRowWriter *pns_row_writer_create(const PnsTable *table);
extern bool pns_row_column_is_plain(const PnsTableColumn *column);
extern PnsDocument pns_row_make_document(PnsRowWriter *writer, TupleTableSlot *slot);
extern bool pns_row_make_update(PnsRowWriter *writer, TupleTableSlot *slot, Bitmapset *columns,
								PnsDocument identity, PnsDocument *update);

/* ---------- modify.c ---------- */

/* What a statement writes to one table; ri_FdwState, in the query's memory. */
typedef struct PnsModify
{
	const PnsTable *table;
	Oid			userid;
	CmdType		operation;
	PnsTransactionMode mode;	/* auto has become session or none */
	PnsConnection *connection;	/* NULL in mode outbox, and for EXPLAIN */
	PnsRowWriter *writer;		/* NULL: rows are only deleted */
	PnsDecoder *decoder;		/* reads rows as they were written, or NULL */
	int			batch_size;

	/* what is not sent yet; all of it in the context */
	MemoryContext context;
	List	   *operations;		/* of PnsDocument *; see PnsWriteBatch */
	Size		bytes;			/* of them, about */

	/* INSERT; the last two of UPDATE, too */
	bool		skips_conflicts;	/* ON CONFLICT DO NOTHING */
	bool		keeps_back;		/* rows are given one by one, and sent when
								 * they are many, or at the end of them */
	bool		moves;			/* ... only then: rows that an UPDATE moves
								 * here from elsewhere, which it must not meet */
	bool		checks;			/* the table has constraints */
	struct PnsModify *moved;	/* of an UPDATE: the rows that it moves here */

	/* UPDATE and DELETE */
	AttrNumber	identity;		/* the plan's column that has it */
	AttrNumber	old_row;		/* ... that has the row as it was, or 0 */
	Bitmapset  *columns;		/* attribute numbers of what SET sets */
	bool		compares;		/* a trigger may have changed others */
	bool		one_by_one;		/* rows are sent as they come */
	int64		gone;			/* rows that core has counted, but were not
								 * found */
	struct PnsRecheck *recheck; /* NULL: a row that another client has changed
								 * is an error */
	TupleTableSlot *changed;	/* the plan's row of the one that was sent
								 * last, if that was after such a change */
	struct HTAB *written;		/* rows that were written, NULL where none
								 * comes twice */
	MemoryContext written_context;

	/* for EXPLAIN ANALYZE */
	uint64		commands;
	uint64		rows;
} PnsModify;

/* Operations of more bytes are not kept back. */
#define PNS_MODIFY_BYTES (16 * 1024 * 1024)

extern void pnsBeginForeignModify(ModifyTableState *mtstate, ResultRelInfo *rinfo,
								  List *fdw_private, int subplan_index, int eflags);
extern void pnsEndForeignModify(EState *estate, ResultRelInfo *rinfo);
extern void pnsBeginForeignInsert(ModifyTableState *mtstate, ResultRelInfo *rinfo);
extern void pnsEndForeignInsert(EState *estate, ResultRelInfo *rinfo);
extern void pnsExplainForeignModify(ModifyTableState *mtstate, ResultRelInfo *rinfo,
									List *fdw_private, int subplan_index,
									struct ExplainState *es);

extern PnsModify *pns_modify_create(EState *estate, const ModifyTable *plan,
									ResultRelInfo *rinfo, CmdType operation, bool executing);
extern bool pns_modify_has_constraints(Relation relation);
extern void pns_modify_add(PnsModify *modify, PnsDocument operation);
extern bool pns_modify_is_full(const PnsModify *modify);
extern PnsWriteResult pns_modify_write(PnsModify *modify, PnsWriteKind kind, bool collects);
extern void pns_modify_clear(PnsModify *modify);
extern void pns_modify_check_row(const PnsModify *modify, EState *estate,
								 ResultRelInfo *rinfo, TupleTableSlot *slot);
extern PnsDecoder *pns_modify_create_decoder(const PnsTable *table);
extern void pns_modify_read_back(PnsModify *modify, PnsDocument document,
								 TupleTableSlot *slot);

/* ---------- modify_plan.c ---------- */

extern List *pnsPlanForeignModify(PlannerInfo *root, ModifyTable *plan, Index result_relation,
								  int subplan_index);
extern int	pnsGetForeignModifyBatchSize(ResultRelInfo *rinfo);
extern int	pnsIsForeignRelUpdatable(Relation relation);

/* ---------- modify_scan.c; more of it in query.h ---------- */

/* The name of the plan's column that has the identity of rows: bytea, BSON. */
#define PNS_IDENTITY_NAME "mongo_id"

extern void pnsAddForeignUpdateTargets(PlannerInfo *root, Index rtindex,
									   RangeTblEntry *target_rte, Relation target_relation);

/* ---------- modify_insert.c ---------- */

extern TupleTableSlot *pnsExecForeignInsert(EState *estate, ResultRelInfo *rinfo,
											TupleTableSlot *slot, TupleTableSlot *plan_slot);
extern TupleTableSlot **pnsExecForeignBatchInsert(EState *estate, ResultRelInfo *rinfo,
												  TupleTableSlot **slots,
												  TupleTableSlot **plan_slots, int *nslots);
extern void pns_modify_finish_insert(PnsModify *modify);

/* ---------- modify_update.c ---------- */

extern TupleTableSlot *pnsExecForeignUpdate(EState *estate, ResultRelInfo *rinfo,
											TupleTableSlot *slot, TupleTableSlot *plan_slot);
extern TupleTableSlot *pnsExecForeignDelete(EState *estate, ResultRelInfo *rinfo,
											TupleTableSlot *slot, TupleTableSlot *plan_slot);
extern void pns_modify_begin_update(PnsModify *modify, ModifyTableState *mtstate,
									ResultRelInfo *rinfo);
extern void pns_modify_watch_rows(ModifyTableState *mtstate);
extern int64 pns_modify_finish(PnsModify *modify);

/* ---------- modify_recheck.c ---------- */

typedef struct PnsRecheck PnsRecheck;

extern PnsRecheck *pns_recheck_create(ModifyTableState *mtstate, ResultRelInfo *rinfo);
extern TupleTableSlot *pns_recheck_document(PnsRecheck *recheck, PnsDocument document);
extern TupleTableSlot *pns_recheck_new_row(const PnsModify *modify, TupleTableSlot *row);

/* ---------- modify_direct_plan.c ---------- */

/* The members of what is added to the description of the scan. */
typedef enum PnsDirectIndex
{
	PNS_DIRECT_COUNTS,			/* Boolean: do its rows count as the
								 * statement's? */
	PNS_DIRECT_COLUMNS,			/* List of Integer: what is set ... */
	PNS_DIRECT_VALUES,			/* List of Param: ... to which members of
								 * fdw_exprs, and ... */
	PNS_DIRECT_TERMS			/* List of Expr: ... as the description has
								 * those that are computed, or NULL */
} PnsDirectIndex;

extern bool pnsPlanDirectModify(PlannerInfo *root, ModifyTable *plan, Index result_relation,
								int subplan_index);

/* ---------- modify_direct.c ---------- */

extern void pnsBeginDirectModify(ForeignScanState *node, int eflags);
extern TupleTableSlot *pnsIterateDirectModify(ForeignScanState *node);
extern void pnsEndDirectModify(ForeignScanState *node);
extern void pnsExplainDirectModify(ForeignScanState *node, struct ExplainState *es);

/* ---------- modify_compute.c ---------- */

/* A column that is set to what MongoDB computes of the document. */
typedef struct PnsComputed
{
	const PnsTableColumn *column;
	const PnsTerm *term;
	const char *cast;			/* makes the number that is written, or NULL */
	bool		stores_null;
	bool		not_null;		/* NULL is an error */
	bool		may_fail;		/* for this or another reason */
} PnsComputed;

extern PnsComputed *pns_computed_compile(Expr *value, const PnsTable *table, int attnum,
										 List *sources);
extern bool pns_computed_may_fail(List *list);
extern bool pns_computed_compares_strings(List *list);
extern void pns_computed_append_failing(PnsBsonBuilder *builder, const char *key, List *list,
										PnsOperandValue operand_value, void *state);
extern void pns_computed_append_update(PnsBsonBuilder *builder, const char *key, List *list,
									   PnsDocument update,
									   PnsOperandValue operand_value, void *state);

/* ---------- modify_truncate.c ---------- */

extern void pnsExecForeignTruncate(List *rels, DropBehavior behavior, bool restart_seqs);

#endif							/* PNS_FDW_MODIFY_H */
