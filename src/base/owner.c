/*-------------------------------------------------------------------------
 *
 * owner.c
 *	  Looking at our own tables with the rights of their owner, and who may see
 *	  all that is in them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/base.h"

#include "catalog/namespace.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"

/*
 * pns_base_become_owner makes the owner of one of our tables the current user,
 * whom its row-level security does not hold back although it is forced: as the
 * checks of foreign keys do.  The search_path is a safe one meanwhile.  Where
 * an error is raised before pns_base_end_owner, the end of the
 * (sub)transaction restores both.
 */
void
pns_base_become_owner(const char *table, PnsOwnerState *saved)
{
	Oid			schema = get_namespace_oid("pynomaly", false);
	Oid			relid = get_relname_relid(table, schema);
	Relation	relation;
	Oid			owner;

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"pynomaly.%s\" does not exist", table),
				 errhint("Run CREATE EXTENSION pynomaly_store in this database.")));
	relation = RelationIdGetRelation(relid);
	if (!RelationIsValid(relation))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"pynomaly.%s\" does not exist", table)));
	owner = relation->rd_rel->relowner;
	RelationClose(relation);

	GetUserIdAndSecContext(&saved->user, &saved->security);
	SetUserIdAndSecContext(owner, saved->security |
						   SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_NOFORCE_RLS);
	saved->nest_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
}

/*
 * pns_base_end_owner restores the user and the search_path.
 */
void
pns_base_end_owner(const PnsOwnerState *saved)
{
	AtEOXact_GUC(true, saved->nest_level);
	SetUserIdAndSecContext(saved->user, saved->security);
}

/*
 * pns_base_is_admin tells whether the current user is a superuser or a member
 * of pynomaly_admin.
 */
bool
pns_base_is_admin(void)
{
	Oid			admin = get_role_oid("pynomaly_admin", true);

	return superuser() || (OidIsValid(admin) && has_privs_of_role(GetUserId(), admin));
}
