/*-------------------------------------------------------------------------
 *
 * compat.c
 *	  What compat.h promises and older versions of PostgreSQL lack.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "base/compat.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#ifdef PNS_INPUT_THROWS

static bool holds_nothing(Oid input_function);
static bool is_rejection(int sqlerrcode);

/*
 * pns_base_input_safe catches what an input function throws: in a
 * subtransaction, as the function may hold anything at that moment, unless it
 * is known to hold nothing but memory.  While parallel workers run there can
 * be no subtransaction; then what such a function throws is an error after
 * all.
 */
bool
pns_base_input_safe(FmgrInfo *function, char *string, Oid io_param,
					int32 typmod, Datum *result)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool nested = !holds_nothing(function->fn_oid);
	ErrorData  *volatile error = NULL;

	if (nested && IsInParallelMode())
	{
		*result = InputFunctionCall(function, string, io_param, typmod);
		return true;
	}

	if (nested)
		BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		*result = InputFunctionCall(function, string, io_param, typmod);
		if (nested)
			ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		if (nested)
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
 * holds_nothing tells whether an input function is one of PostgreSQL's own
 * that looks at its string alone: not into the catalogs, and not through the
 * input function of another type.
 */
static bool
holds_nothing(Oid input_function)
{
	switch (input_function)
	{
		case F_ARRAY_IN:
		case F_DOMAIN_IN:
		case F_ENUM_IN:
		case F_MULTIRANGE_IN:
		case F_RANGE_IN:
		case F_RECORD_IN:
		case F_REGCLASSIN:
		case F_REGCOLLATIONIN:
		case F_REGCONFIGIN:
		case F_REGDICTIONARYIN:
		case F_REGNAMESPACEIN:
		case F_REGOPERATORIN:
		case F_REGOPERIN:
		case F_REGPROCEDUREIN:
		case F_REGPROCIN:
		case F_REGROLEIN:
		case F_REGTYPEIN:
		case F_ACLITEMIN:
		case F_XML_IN:
			return false;
		default:
			return input_function < FirstGenbkiObjectId;
	}
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
