/*-------------------------------------------------------------------------
 *
 * modify_truncate.c
 *	  TRUNCATE: all documents of a collection are deleted.
 *
 * The collection itself stays, with its indexes and its validator, and so does
 * the transaction that it belongs to.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/rel.h"

#include "fdw/modify.h"

static void check_truncatable(const PnsTable *table);
static void delete_all(const PnsTable *table);

/*
 * pnsExecForeignTruncate empties collections, all of one server's.  Core has
 * checked the rights; sequences are its own matter.  55000 where the option
 * updatable is off, 0A000 where writes go through the outbox, which names each
 * document.
 */
void
pnsExecForeignTruncate(List *rels, DropBehavior behavior, bool restart_seqs)
{
	List	   *tables = NIL;
	ListCell   *lc;

	foreach(lc, rels)
	{
		PnsTable   *table = pns_fdw_get_table(RelationGetRelid((Relation) lfirst(lc)));

		check_truncatable(table);
		tables = lappend(tables, table);
	}
	foreach(lc, tables)
		delete_all(lfirst(lc));
}

/*
 * check_truncatable raises an error where a table cannot be truncated.
 */
static void
check_truncatable(const PnsTable *table)
{
	if (!table->updatable)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("foreign table over collection %s does not allow truncates",
						pns_fdw_table_label(table))));
	if (pns_mongo_transaction_mode(table->serverid) == PNS_MODE_OUTBOX)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot truncate collection %s through the outbox",
						pns_fdw_table_label(table)),
				 errhint("Use DELETE, which names each document.")));
}

/*
 * delete_all deletes the documents of a collection, as the current user.
 */
static void
delete_all(const PnsTable *table)
{
	PnsConnection *connection = pns_mongo_get_connection(table->serverid, GetUserId());
	PnsBsonBuilder builder;
	PnsDocument operation;
	PnsWriteBatch batch = {
		.kind = PNS_WRITE_DELETE,
		.database = table->database,
		.collection = table->collection,
		.operations = list_make1(&operation),
		.ordered = true,
	};

	pns_bson_begin(&builder);
	pns_bson_open_document(&builder, "q");
	pns_bson_close(&builder);
	pns_bson_append_int32(&builder, "limit", 0);
	operation = pns_bson_end(&builder);

	pns_mongo_begin_write(connection);
	(void) pns_mongo_write(connection, &batch);
}
