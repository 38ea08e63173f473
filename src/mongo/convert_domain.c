/*-------------------------------------------------------------------------
 *
 * convert_domain.c
 *	  Domains: the base type's conversion, then the constraints.
 *
 * The constraints are evaluated here rather than by domain_check, which could
 * only throw where one is violated, and a violation may have to become NULL.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "mongo/codec.h"
#include "utils/expandeddatum.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

typedef struct DomainState
{
	PnsConverter base;
	int16		length;			/* of the base type */
	DomainConstraintRef constraints;
	ExprContext *context;
} DomainState;

static PnsFit convert_domain(PnsConverter *converter,
							 const PnsBsonValue *value, Datum *result);

/*
 * pns_convert_domain_init prepares for a domain; one without constraints is
 * its base type.
 */
void
pns_convert_domain_init(PnsConverter *converter)
{
	int32		typmod = converter->typmod;
	Oid			base = getBaseTypeAndTypmod(converter->type, &typmod);
	DomainState *state = palloc0(sizeof(DomainState));

	pns_converter_init(&state->base, base, typmod,
					   converter->null_on_mismatch, converter->json_format);
	state->length = get_typlen(base);
	state->context = CreateStandaloneExprContext();
	InitDomainConstraintRef(converter->type, &state->constraints,
							CurrentMemoryContext, true);
	converter->state = state;
	converter->convert = convert_domain;
	converter->may_throw = true;
	converter->checks_null = true;
}

/* convert_domain takes what the base type takes and the constraints allow. */
static PnsFit
convert_domain(PnsConverter *converter, const PnsBsonValue *value,
			   Datum *result)
{
	DomainState *state = converter->state;
	PnsFit		fit = state->base.convert(&state->base, value, result);

	converter->element_misfits = state->base.element_misfits;
	converter->element_type = state->base.element_type;
	if (fit == PNS_FITS)
		fit = pns_domain_check(converter, *result, false);
	return fit;
}

/*
 * pns_domain_check evaluates a domain's constraints over a value or a NULL.
 * What a CHECK's own expression throws is not caught.
 */
PnsFit
pns_domain_check(PnsConverter *converter, Datum value, bool isnull)
{
	DomainState *state = converter->state;
	ExprContext *context = state->context;
	PnsFit		fit = PNS_FITS;
	ListCell   *cell;

	UpdateDomainConstraintRef(&state->constraints);
	foreach(cell, state->constraints.constraints)
	{
		DomainConstraintState *constraint = lfirst(cell);

		if (constraint->constrainttype == DOM_CONSTRAINT_NOTNULL)
		{
			if (isnull)
				fit = PNS_MISFIT_NOT_NULL;
		}
		else
		{
			context->domainValue_datum =
				MakeExpandedObjectReadOnly(value, isnull, state->length);
			context->domainValue_isNull = isnull;
			if (!ExecCheck(constraint->check_exprstate, context))
				fit = PNS_MISFIT_CHECK;
		}
		if (fit != PNS_FITS)
			break;
	}
	ReScanExprContext(context);
	return fit;
}
