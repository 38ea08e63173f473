/*-------------------------------------------------------------------------
 *
 * tenant.c
 *	  The tenant that a session works for.
 *
 * It is the setting pynomaly_store.tenant, so it has the life of a setting:
 * until the transaction or the session ends, undone by a rollback, handed to
 * parallel workers.  What policies compare with is the value that the setting's
 * hooks have kept as a uuid.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/base.h"
#include "store/private.h"

static bool check_tenant(char **newval, void **extra, GucSource source);
static void assign_tenant(const char *newval, void *extra);
static void demand_usable_tenant(Datum tenant);
static char *tenant_state(Datum tenant);
static bool is_admin(void);

/* The setting's text; what counts is current_tenant. */
static char *tenant_setting = NULL;

/* NULL while no tenant is set; belongs to the setting. */
static const pg_uuid_t *current_tenant = NULL;

PGDLLEXPORT PG_FUNCTION_INFO_V1(pns_store_current_tenant);
PGDLLEXPORT PG_FUNCTION_INFO_V1(pns_store_set_tenant);

/*
 * pns_store_define_tenant defines the setting.
 */
void
pns_store_define_tenant(void)
{
	DefineCustomStringVariable("pynomaly_store.tenant",
							   "Tenant that the session works for.",
							   "A uuid, or empty for none. "
							   "pynomaly.set_tenant() sets it after having "
							   "checked that the tenant may be used.",
							   &tenant_setting,
							   "",
							   PGC_USERSET,
							   0,
							   check_tenant, assign_tenant, NULL);
}

/*
 * pns_store_tenant returns the current tenant for C, NULL for none.
 */
const pg_uuid_t *
pns_store_tenant(void)
{
	return current_tenant;
}

/*
 * pns_store_current_tenant returns the current tenant, or NULL.  Policies call
 * it for each row of a sequential scan.
 */
Datum
pns_store_current_tenant(PG_FUNCTION_ARGS)
{
	if (current_tenant == NULL)
		PG_RETURN_NULL();
	PG_RETURN_UUID_P(current_tenant);
}

/*
 * pns_store_set_tenant sets the current tenant, for the transaction or for the
 * session.  A tenant that is not there, or that may not be used, is an error;
 * pynomaly_admin may work for a suspended one.  NULL sets none.
 */
Datum
pns_store_set_tenant(PG_FUNCTION_ARGS)
{
	const char *setting = "";
	GucAction	action;

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("is_local must not be null")));
	action = PG_GETARG_BOOL(1) ? GUC_ACTION_LOCAL : GUC_ACTION_SET;
	if (!PG_ARGISNULL(0))
	{
		demand_usable_tenant(PG_GETARG_DATUM(0));
		setting = DatumGetCString(DirectFunctionCall1(uuid_out,
													  PG_GETARG_DATUM(0)));
	}
	(void) set_config_option("pynomaly_store.tenant", setting, PGC_USERSET,
							 PGC_S_SESSION, action, true, 0, false);
	PG_RETURN_VOID();
}

/*
 * check_tenant is the setting's check hook: the value is empty or a uuid,
 * which it keeps beside it.
 */
static bool
check_tenant(char **newval, void **extra, GucSource source)
{
	pg_uuid_t  *tenant;
	const char *from = *newval;
	int			digits = 0;
	int			digit;

	if (*from == '\0')
		return true;
	tenant = pns_guc_malloc(LOG, sizeof(pg_uuid_t));
	if (tenant == NULL)
		return false;
	/* uuid_in raises its errors, which a hook should not: so by hand. */
	memset(tenant, 0, sizeof(pg_uuid_t));
	for (; *from != '\0'; from++)
	{
		if (*from == '-' && digits > 0 && digits < 32 && digits % 4 == 0)
			continue;
		if (digits == 32 || !isxdigit((unsigned char) *from))
			break;
		digit = isdigit((unsigned char) *from) ? *from - '0'
			: pg_ascii_tolower((unsigned char) *from) - 'a' + 10;
		tenant->data[digits / 2] = tenant->data[digits / 2] << 4 | digit;
		digits++;
	}
	if (*from != '\0' || digits != 32)
	{
		pns_guc_free(tenant);
		GUC_check_errdetail("A tenant is named by its uuid.");
		return false;
	}
	*extra = tenant;
	return true;
}

/*
 * assign_tenant is the setting's assign hook.
 */
static void
assign_tenant(const char *newval, void *extra)
{
	current_tenant = extra;
}

/*
 * demand_usable_tenant raises an error unless the caller may work for a tenant.
 */
static void
demand_usable_tenant(Datum tenant)
{
	const char *state = tenant_state(tenant);

	if (state == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("tenant \"%s\" does not exist",
						DatumGetCString(DirectFunctionCall1(uuid_out, tenant)))));
	if (strcmp(state, "active") != 0 && strcmp(state, "trial") != 0 &&
		!is_admin())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("tenant \"%s\" may not be used",
						DatumGetCString(DirectFunctionCall1(uuid_out, tenant))),
				 errdetail("Its status is \"%s\".", state),
				 errhint("Members of pynomaly_admin may still work for it.")));
}

/*
 * tenant_state returns the status of a tenant, "expired" where its time is
 * over, NULL where it does not exist.  It looks with the rights of the table's
 * owner, as no tenant is set yet whose row the caller might see.
 */
static char *
tenant_state(Datum tenant)
{
	static SPIPlanPtr plan = NULL;	/* for the life of the session */
	Oid			argtype = UUIDOID;
	MemoryContext caller = CurrentMemoryContext;
	PnsOwnerState saved;
	char	   *state = NULL;

	pns_base_become_owner("tenants", &saved);
	SPI_connect();
	if (plan == NULL)
	{
		SPIPlanPtr	prepared =
		SPI_prepare("SELECT CASE WHEN t.expires_at <= pg_catalog.now()"
					" THEN 'expired' ELSE t.status END"
					" FROM pynomaly.tenants t WHERE t.id = $1",
					1, &argtype);

		SPI_keepplan(prepared);
		plan = prepared;
	}
	SPI_execute_plan(plan, &tenant, NULL, true, 1);
	if (SPI_processed > 0)
		state = MemoryContextStrdup(caller,
									SPI_getvalue(SPI_tuptable->vals[0],
												 SPI_tuptable->tupdesc, 1));
	SPI_finish();
	pns_base_end_owner(&saved);
	return state;
}

/*
 * is_admin tells whether the current user is a member of pynomaly_admin.
 */
static bool
is_admin(void)
{
	Oid			role = get_role_oid("pynomaly_admin", true);

	return OidIsValid(role) && has_privs_of_role(GetUserId(), role);
}
