/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Differences between the PostgreSQL versions that we build with.
 *
 * Small and newest first; a fence goes when its version does.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNS_BASE_COMPAT_H
#define PNS_BASE_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "pynomaly_store needs PostgreSQL 15 or later"
#endif

/*
 * PostgreSQL 15 defines PGDLLEXPORT as nothing, so that -fvisibility=hidden
 * would hide the SQL functions too; the Makefile defines it on the command
 * line.
 */

/*
 * Since PostgreSQL 17 a wait event set belongs to a resource owner, before to
 * a memory context.  Ours live for one call, so they need none and the current
 * one.
 */
#if PG_VERSION_NUM >= 170000
#define PnsCreateWaitEventSet(nevents) CreateWaitEventSet(NULL, (nevents))
#else
#define PnsCreateWaitEventSet(nevents) \
	CreateWaitEventSet(CurrentMemoryContext, (nevents))
#endif

/* What a setting's check hook keeps is malloc's until 15, guc.c's own since. */
#if PG_VERSION_NUM >= 160000
#define pns_guc_malloc(elevel, size) guc_malloc((elevel), (size))
#define pns_guc_free(pointer) guc_free(pointer)
#else
#define pns_guc_malloc(elevel, size) malloc(size)
#define pns_guc_free(pointer) free(pointer)
#endif

/* EXPLAIN's interface, which 18 has split. */
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#else
#include "commands/explain.h"
#endif

/* vacuum_delay_point asks since 18 whether it is for ANALYZE. */
#if PG_VERSION_NUM >= 180000
#define pns_analyze_delay_point() vacuum_delay_point(true)
#else
#define pns_analyze_delay_point() vacuum_delay_point()
#endif

/*
 * The paths of base, join and upper relations: 18 counts disabled nodes, 17
 * has the restrictions of a join in them.
 */
#if PG_VERSION_NUM >= 180000
#define pns_create_foreignscan_path(root, rel, rows, startup, total, pathkeys, outer, private) \
	create_foreignscan_path(root, rel, NULL, rows, 0, startup, total, pathkeys, outer, \
							NULL, NIL, private)
#define pns_create_foreign_join_path(root, rel, rows, startup, total, pathkeys, outer, \
									 recheck, restrictinfo, private) \
	create_foreign_join_path(root, rel, NULL, rows, 0, startup, total, pathkeys, outer, \
							 recheck, restrictinfo, private)
#define pns_create_foreign_upper_path(root, rel, target, rows, startup, total, pathkeys, \
									  private) \
	create_foreign_upper_path(root, rel, target, rows, 0, startup, total, pathkeys, \
							  NULL, NIL, private)
#elif PG_VERSION_NUM >= 170000
#define pns_create_foreignscan_path(root, rel, rows, startup, total, pathkeys, outer, private) \
	create_foreignscan_path(root, rel, NULL, rows, startup, total, pathkeys, outer, \
							NULL, NIL, private)
#define pns_create_foreign_join_path(root, rel, rows, startup, total, pathkeys, outer, \
									 recheck, restrictinfo, private) \
	create_foreign_join_path(root, rel, NULL, rows, startup, total, pathkeys, outer, \
							 recheck, restrictinfo, private)
#define pns_create_foreign_upper_path(root, rel, target, rows, startup, total, pathkeys, \
									  private) \
	create_foreign_upper_path(root, rel, target, rows, startup, total, pathkeys, \
							  NULL, NIL, private)
#else
#define pns_create_foreignscan_path(root, rel, rows, startup, total, pathkeys, outer, private) \
	create_foreignscan_path(root, rel, NULL, rows, startup, total, pathkeys, outer, \
							NULL, private)
#define pns_create_foreign_join_path(root, rel, rows, startup, total, pathkeys, outer, \
									 recheck, restrictinfo, private) \
	create_foreign_join_path(root, rel, NULL, rows, startup, total, pathkeys, outer, \
							 recheck, private)
#define pns_create_foreign_upper_path(root, rel, target, rows, startup, total, pathkeys, \
									  private) \
	create_foreign_upper_path(root, rel, target, rows, startup, total, pathkeys, \
							  NULL, private)
#endif

/* Since PostgreSQL 18 a path counts the disabled nodes below it. */
#if PG_VERSION_NUM >= 180000
#define pns_add_disabled_nodes(path, child) \
	((path)->disabled_nodes += (child)->disabled_nodes)
#else
#define pns_add_disabled_nodes(path, child) ((void) 0)
#endif

/*
 * The user as whom a table's permissions are checked, or InvalidOid.  A
 * foreign join's or aggregate's tables all have the same one.
 */
#if PG_VERSION_NUM >= 160000
#define pns_checked_user(root, rel) ((rel)->userid)
#define pns_scan_checked_user(node) \
	(((ForeignScan *) (node)->ss.ps.plan)->checkAsUser)
#else
#define pns_checked_user(root, rel) \
	(planner_rt_fetch((rel)->relid, (root))->checkAsUser)
#define pns_scan_checked_user(node) \
	(exec_rt_fetch(pns_scan_rtindex((ForeignScan *) (node)->ss.ps.plan), \
				   (node)->ss.ps.state)->checkAsUser)
#define pns_scan_rtindex(plan) \
	((plan)->scan.scanrelid > 0 ? (plan)->scan.scanrelid : \
	 bms_next_member((plan)->fs_relids, -1))
#endif

/* The user as whom what a statement writes to a table is checked. */
#if PG_VERSION_NUM >= 160000
#define pns_result_checked_user(result, estate) ExecGetResultRelCheckAsUser((result), (estate))
#else
#define pns_result_checked_user(result, estate) \
	pns_entry_user(exec_rt_fetch((result)->ri_RangeTableIndex != 0 ? \
								 (result)->ri_RangeTableIndex : \
								 (result)->ri_RootResultRelInfo->ri_RangeTableIndex, \
								 (estate))->checkAsUser)
#define pns_entry_user(userid) (OidIsValid(userid) ? (userid) : GetUserId())
#endif

/* Does COPY give foreign tables rows in batches? */
#if PG_VERSION_NUM >= 160000
#define pns_copy_gives_batches true
#else
#define pns_copy_gives_batches false
#endif

/* Inserts a row that the table has already into its indexes. */
#if PG_VERSION_NUM >= 160000
#define pns_insert_index_tuples(result, slot, estate) \
	ExecInsertIndexTuples((result), (slot), (estate), false, false, NULL, NIL, false)
#else
#define pns_insert_index_tuples(result, slot, estate) \
	ExecInsertIndexTuples((result), (slot), (estate), false, false, NULL, NIL)
#endif

/*
 * The members of an equivalence class (of EquivalenceMember), those that are
 * about children as far as these are in relids; 18 keeps them apart.
 */
#if PG_VERSION_NUM >= 180000
#include "optimizer/paths.h"

static inline List *
pns_eclass_members(EquivalenceClass *class, Relids relids)
{
	EquivalenceMemberIterator iterator;
	EquivalenceMember *member;
	List	   *members = NIL;

	setup_eclass_member_iterator(&iterator, class, relids);
	while ((member = eclass_member_iterator_next(&iterator)) != NULL)
		members = lappend(members, member);
	return members;
}
#else
#define pns_eclass_members(class, relids) ((class)->ec_members)
#endif

/* Is a key of an order a descending one? */
#if PG_VERSION_NUM >= 180000
#define pns_pathkey_descends(pathkey) ((pathkey)->pk_cmptype == COMPARE_GT)
#else
#define pns_pathkey_descends(pathkey) ((pathkey)->pk_strategy == BTGreaterStrategyNumber)
#endif

/*
 * Does a collation order strings by their bytes?  And are only ASCII letters
 * letters to it?
 */
#if PG_VERSION_NUM >= 180000
#define pns_collation_is_c(collation) \
	(pg_newlocale_from_collation(collation)->collate_is_c)
#define pns_collation_has_c_case(collation) \
	(pg_newlocale_from_collation(collation)->ctype_is_c)
#else
#define pns_collation_is_c(collation) lc_collate_is_c(collation)
#define pns_collation_has_c_case(collation) lc_ctype_is_c(collation)
#endif

/* May a user use a foreign server? */
#if PG_VERSION_NUM >= 160000
#define pns_server_aclcheck(serverid, userid) \
	object_aclcheck(ForeignServerRelationId, (serverid), (userid), ACL_USAGE)
#else
#define pns_server_aclcheck(serverid, userid) \
	pg_foreign_server_aclcheck((serverid), (userid), ACL_USAGE)
#endif

/* Says of a function, behind its parameters, that it does not return. */
#if PG_VERSION_NUM >= 180000
#define pg_attribute_noreturn() __attribute__((noreturn))
#endif

#include "fmgr.h"

#if PG_VERSION_NUM >= 160000
#include "nodes/miscnodes.h"
#include "varatt.h"
#endif

/*
 * Rejects the text given to an input function, softly where context asks for
 * that; before PostgreSQL 16 none does.  The function must return after it.
 */
#if PG_VERSION_NUM >= 160000
#define pns_reject_input(context, ...) \
	errsave((context), (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION), __VA_ARGS__))
#else
#define pns_reject_input(context, ...) \
	ereport(ERROR, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION), __VA_ARGS__))
#endif

/*
 * pns_base_input_safe calls a type's input function and returns false where it
 * rejects the string.  Before PostgreSQL 16 base/compat.c has to catch what it
 * throws.
 */
#if PG_VERSION_NUM >= 160000
static inline bool
pns_base_input_safe(FmgrInfo *function, char *string, Oid io_param,
					int32 typmod, Datum *result)
{
	ErrorSaveContext context = {.type = T_ErrorSaveContext};

	return InputFunctionCallSafe(function, string, io_param, typmod,
								 (Node *) &context, result);
}
#else
#define PNS_INPUT_THROWS
extern bool pns_base_input_safe(FmgrInfo *function, char *string, Oid io_param,
								int32 typmod, Datum *result);
#endif

/*
 * What the actions of the JSON parser return, nothing before 16, and how the
 * parser is given a text, which since 17 can be in memory of the caller's.
 */
#include "common/jsonapi.h"

#if PG_VERSION_NUM >= 160000
typedef JsonParseErrorType PnsJsonResult;
#define PNS_JSON_RESULT JSON_SUCCESS
#else
typedef void PnsJsonResult;
#define PNS_JSON_RESULT
#endif

#if PG_VERSION_NUM >= 170000
#define pns_make_json_lex(json) makeJsonLexContext(NULL, (json), true)
#else
#define pns_make_json_lex(json) makeJsonLexContext((json), true)
#endif

#endif							/* PNS_BASE_COMPAT_H */
