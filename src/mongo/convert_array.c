/*-------------------------------------------------------------------------
 *
 * convert_array.c
 *	  Arrays of documents as PostgreSQL's arrays.
 *
 * An array all of whose elements are arrays is a dimension, unless the
 * column's elements are json, which may be arrays themselves.  The first
 * element of each level decides how deep it goes.  All arrays of one level
 * must be of one length; elements keep their positions, as 1, 2 and so on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mongo/codec.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

typedef struct ArrayState
{
	PnsConverter element;
	int16		length;
	bool		by_value;
	char		align;
	bool		nests;			/* arrays in an array are its next dimension */

	/* while a value is converted */
	int			ndims;
	int			dims[MAXDIM];
	Datum	   *values;
	bool	   *nulls;
	int			count;
} ArrayState;

static PnsFit convert_array(PnsConverter *converter, const PnsBsonValue *value,
							Datum *result);
static PnsFit find_dimensions(ArrayState *state, PnsDocument array);
static bool count_all(ArrayState *state, uint32 size, int *nelements);
static PnsFit fill_elements(PnsConverter *converter, PnsDocument array,
							int level);
static PnsFit fill_element(PnsConverter *converter, const PnsBsonValue *value);
static int	count_elements(PnsDocument array, PnsBsonValue *first,
						   bool *all_arrays);

/* pns_convert_array_init prepares for an array of a type. */
void
pns_convert_array_init(PnsConverter *converter, Oid element_type)
{
	ArrayState *state = palloc0(sizeof(ArrayState));
	Oid			base = getBaseType(element_type);

	pns_converter_init(&state->element, element_type, converter->typmod,
					   converter->null_on_mismatch, converter->json_format);
	get_typlenbyvalalign(element_type, &state->length, &state->by_value,
						 &state->align);
	state->nests = base != JSONOID && base != JSONBOID;
	converter->state = state;
	converter->convert = convert_array;
	converter->may_throw = state->element.may_throw;
}

/* convert_array takes arrays, rectangular where they are nested. */
static PnsFit
convert_array(PnsConverter *converter, const PnsBsonValue *value,
			  Datum *result)
{
	ArrayState *state = converter->state;
	int			lower_bounds[MAXDIM];
	int			nelements;
	PnsFit		fit;

	converter->element_misfits = false;
	if (value->type != PNS_BSON_ARRAY)
		return PNS_MISFIT_TYPE;
	fit = find_dimensions(state, pns_bson_value_document(value));
	if (fit != PNS_FITS)
		return fit;

	if (!count_all(state, value->size, &nelements))
		return PNS_MISFIT_SHAPE;
	state->values = palloc(Max(nelements, 1) * sizeof(Datum));
	state->nulls = palloc(Max(nelements, 1) * sizeof(bool));
	state->count = 0;
	fit = fill_elements(converter, pns_bson_value_document(value), 0);
	if (fit != PNS_FITS)
		return fit;

	for (int i = 0; i < state->ndims; i++)
		lower_bounds[i] = 1;
	if (nelements == 0)
		*result = PointerGetDatum(construct_empty_array(state->element.type));
	else
		*result = PointerGetDatum(construct_md_array(state->values, state->nulls,
													 state->ndims, state->dims,
													 lower_bounds,
													 state->element.type,
													 state->length,
													 state->by_value,
													 state->align));
	pfree(state->values);
	pfree(state->nulls);
	return PNS_FITS;
}

/* find_dimensions measures along the first elements. */
static PnsFit
find_dimensions(ArrayState *state, PnsDocument array)
{
	PnsBsonValue first;
	bool		all_arrays;

	state->ndims = 0;
	for (;;)
	{
		if (state->ndims == MAXDIM)
			return PNS_MISFIT_SHAPE;
		state->dims[state->ndims++] = count_elements(array, &first, &all_arrays);
		if (!state->nests || !all_arrays)
			return PNS_FITS;
		array = pns_bson_value_document(&first);
	}
}

/*
 * count_all multiplies the dimensions.  An array that has fewer bytes than it
 * would need elements is not rectangular.
 */
static bool
count_all(ArrayState *state, uint32 size, int *nelements)
{
	uint64		product = 1;

	for (int i = 0; i < state->ndims; i++)
	{
		product *= state->dims[i];
		if (product > size)
			return false;
	}
	*nelements = (int) product;
	return true;
}

/* fill_elements converts the elements of an array of a level, and below it. */
static PnsFit
fill_elements(PnsConverter *converter, PnsDocument array, int level)
{
	ArrayState *state = converter->state;
	PnsBsonIterator iterator;
	PnsBsonValue first;
	bool		all_arrays;
	PnsFit		fit;

	if (count_elements(array, &first, &all_arrays) != state->dims[level])
		return PNS_MISFIT_SHAPE;

	pns_bson_iterate(&iterator, array);
	while (pns_bson_next(&iterator))
	{
		if (level == state->ndims - 1)
			fit = fill_element(converter, &iterator.value);
		else if (iterator.value.type != PNS_BSON_ARRAY)
			fit = PNS_MISFIT_SHAPE;
		else
			fit = fill_elements(converter,
								pns_bson_value_document(&iterator.value),
								level + 1);
		if (fit != PNS_FITS)
			return fit;
	}
	return PNS_FITS;
}

/*
 * fill_element converts one element.  A null is NULL, and so is an element
 * that does not fit, where the column wants that; else the array does not fit.
 */
static PnsFit
fill_element(PnsConverter *converter, const PnsBsonValue *value)
{
	ArrayState *state = converter->state;
	PnsConverter *element = &state->element;
	PnsFit		fit = PNS_FITS;
	bool		isnull = value->type == PNS_BSON_NULL ||
	value->type == PNS_BSON_UNDEFINED;

	state->values[state->count] = (Datum) 0;
	if (!isnull)
		fit = element->convert(element, value, &state->values[state->count]);
	else if (element->checks_null)
		fit = pns_domain_check(element, (Datum) 0, true);
	if (fit != PNS_FITS && !element->null_on_mismatch)
	{
		converter->element_misfits = true;
		converter->element_type = value->type;
		return fit;
	}
	state->nulls[state->count] = isnull || fit != PNS_FITS;
	state->count++;
	return PNS_FITS;
}

/*
 * count_elements counts, and tells whether there are elements and all of them
 * are arrays, the first of which it returns.
 */
static int
count_elements(PnsDocument array, PnsBsonValue *first, bool *all_arrays)
{
	PnsBsonIterator iterator;
	int			count = 0;

	*all_arrays = true;
	pns_bson_iterate(&iterator, array);
	while (pns_bson_next(&iterator))
	{
		if (count++ == 0)
			*first = iterator.value;
		if (iterator.value.type != PNS_BSON_ARRAY)
			*all_arrays = false;
	}
	if (count == 0)
		*all_arrays = false;
	return count;
}
