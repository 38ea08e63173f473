/*-------------------------------------------------------------------------
 *
 * encode_array.c
 *	  PostgreSQL's arrays in documents: an array per dimension.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mongo/codec.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

typedef struct ArrayState
{
	PnsEncoder	element;
	Oid			type;			/* the elements', domains not resolved */
	int16		length;
	bool		by_value;
	char		align;
	bool		nests;			/* may have more than one dimension */

	/* while a value is written */
	Datum	   *values;
	bool	   *nulls;
	int			next;
} ArrayState;

static void encode_array(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key,
						 Datum value);
static void check_shape(PnsEncoder *encoder, const ArrayType *array);
static void append_level(ArrayState *state, PnsBsonBuilder *builder, const char *key,
						 int ndims, const int *dims);

/*
 * pns_encode_array_init prepares for an array of a type.  One of arrays that a
 * domain hides could not be told from one of two dimensions.
 */
void
pns_encode_array_init(PnsEncoder *encoder, Oid element_type)
{
	ArrayState *state = palloc0(sizeof(ArrayState));
	PnsEncoding element = encoder->encoding;
	Oid			base = getBaseType(element_type);

	if (OidIsValid(pns_true_element_type(base)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" of type %s cannot be written to a document",
						encoder->encoding.column, format_type_be(encoder->encoding.type)),
				 errdetail("Its elements are arrays behind a domain.")));
	element.type = element_type;
	pns_encoder_init(&state->element, &element);
	state->type = element_type;
	get_typlenbyvalalign(element_type, &state->length, &state->by_value, &state->align);
	state->nests = base != JSONOID && base != JSONBOID;
	encoder->state = state;
	encoder->encode = encode_array;
	encoder->may_throw = state->element.may_throw;
}

/* encode_array writes an array of arrays per further dimension. */
static void
encode_array(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value)
{
	ArrayState *state = encoder->state;
	ArrayType  *array = DatumGetArrayTypeP(value);
	int			nelements;

	check_shape(encoder, array);
	deconstruct_array(array, state->type, state->length, state->by_value, state->align,
					  &state->values, &state->nulls, &nelements);
	state->next = 0;
	append_level(state, builder, key, ARR_NDIM(array), ARR_DIMS(array));
	pfree(state->values);
	pfree(state->nulls);
}

/*
 * check_shape refuses what could not be read back: elements count from 1, and
 * an array in an array of json is a value of its own.
 */
static void
check_shape(PnsEncoder *encoder, const ArrayType *array)
{
	ArrayState *state = encoder->state;

	for (int i = 0; i < ARR_NDIM(array); i++)
	{
		if (ARR_LBOUND(array)[i] != 1)
			pns_encode_refuse(encoder, ERRCODE_ARRAY_SUBSCRIPT_ERROR,
							  "The subscripts of the array do not begin with 1.", NULL);
	}
	if (ARR_NDIM(array) > 1 && !state->nests)
		pns_encode_refuse(encoder, ERRCODE_ARRAY_SUBSCRIPT_ERROR,
						  "An array of json or jsonb can have one dimension only.", NULL);
}

/* append_level appends the arrays of a dimension and of those below it. */
static void
append_level(ArrayState *state, PnsBsonBuilder *builder, const char *key, int ndims,
			 const int *dims)
{
	pns_bson_open_array(builder, key);
	for (int i = 0; ndims > 0 && i < dims[0]; i++)
	{
		const char *index = pns_bson_index(i);

		if (ndims > 1)
			append_level(state, builder, index, ndims - 1, dims + 1);
		else
		{
			int			next = state->next++;

			if (state->nulls[next])
				pns_bson_append_null(builder, index);
			else
				state->element.encode(&state->element, builder, index,
									  state->values[next]);
		}
	}
	pns_bson_close(builder);
}
