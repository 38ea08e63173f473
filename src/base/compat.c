/*-------------------------------------------------------------------------
 *
 * compat.c
 *	  What compat.h promises and older versions of PostgreSQL lack.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/compat.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#ifdef PNS_INPUT_THROWS

static bool is_rejection(int sqlerrcode);

/*
 * pns_base_input_safe runs an input function in a subtransaction of its own,
 * as it may hold anything when it throws.  While parallel workers run there
 * can be no subtransaction: then a rejected string is an error after all.
 */
bool
pns_base_input_safe(FmgrInfo *function, char *string, Oid io_param,
					int32 typmod, Datum *result)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	if (IsInParallelMode())
	{
		*result = InputFunctionCall(function, string, io_param, typmod);
		return true;
	}

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		*result = InputFunctionCall(function, string, io_param, typmod);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;

	if (error == NULL)
		return true;
	if (!is_rejection(error->sqlerrcode))
		ReThrowError(error);
	FreeErrorData(error);
	return false;
}

/*
 * is_rejection tells an error about the string from one that must end the
 * statement: a cancel, a lack of resources, an internal error and the like.
 */
static bool
is_rejection(int sqlerrcode)
{
	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case ERRCODE_DATA_EXCEPTION:
		case ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION:
		case ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION:
		case ERRCODE_PROGRAM_LIMIT_EXCEEDED:
		case ERRCODE_FEATURE_NOT_SUPPORTED:
			return true;
		default:
			return false;
	}
}

#endif							/* PNS_INPUT_THROWS */
