/*-------------------------------------------------------------------------
 *
 * aggregate_stages.c
 *	  What MongoDB accumulates for an aggregate.
 *
 * An aggregate named n needs accumulators in the $group, under the key an and
 * others that begin so.  aggregate_result.c makes its value of them.  Each can
 * be combined of those of parts of its group, as is done where DISTINCT
 * divides it.
 *
 * MongoDB ignores null as PostgreSQL does, but its sum of nothing is 0: so
 * what is summed is counted too (anc).  It adds int64 up to a double: so they
 * are added as Decimal128, which holds 34 digits.  Its NaN is below all
 * numbers: so whether there is one is kept apart (ani).  Where finite numbers
 * have no finite sum, PostgreSQL has an error to raise: so whether they were
 * finite is kept.
 *
 * A variance of integers is made here of their sum and that of their squares,
 * both exact: the square of an int4 is at most 2^62, so that those of 2^40
 * rows add up to 2^102, which has 31 digits.  The square of an int8 would have
 * 39, so that number is split into h * 2^32 + l, and the sums of h * h (anh),
 * h * l (anm) and l * l (anq) are kept.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fdw/upper.h"

/* Appends what a document adds to an accumulator. */
typedef void (*AppendInput) (PnsPipeline *pipeline, const char *key,
							 const PnsAggregate *aggregate);

/* A member of the $group. */
typedef struct Accumulator
{
	const char *suffix;			/* of its name */
	const char *operator;
	AppendInput input;
} Accumulator;

/* Appends a part of an int8 that is called $$v. */
typedef void (*AppendPart) (PnsBsonBuilder *builder, const char *key);

/* What one unit of h is worth. */
#define HIGH_UNIT (INT64CONST(1) << 32)

static const Accumulator *accumulators_of(const PnsAggregate *aggregate);
static void append_count(PnsPipeline *pipeline, const char *key, const PnsAggregate *aggregate);
static void append_filtered(PnsPipeline *pipeline, const char *key,
							const PnsAggregate *aggregate);
static void append_decimal(PnsPipeline *pipeline, const char *key,
						   const PnsAggregate *aggregate);
static void append_square(PnsPipeline *pipeline, const char *key,
						  const PnsAggregate *aggregate);
static void append_low_square(PnsPipeline *pipeline, const char *key,
							  const PnsAggregate *aggregate);
static void append_mixed(PnsPipeline *pipeline, const char *key,
						 const PnsAggregate *aggregate);
static void append_high_square(PnsPipeline *pipeline, const char *key,
							   const PnsAggregate *aggregate);
static void append_product(PnsPipeline *pipeline, const char *key,
						   const PnsAggregate *aggregate, AppendPart left,
						   AppendPart right);
static void append_low(PnsBsonBuilder *builder, const char *key);
static void append_high(PnsBsonBuilder *builder, const char *key);
static void append_remainder(PnsBsonBuilder *builder, const char *key);
static void open_let(PnsPipeline *pipeline, const char *key, const PnsAggregate *aggregate);
static void append_number(PnsPipeline *pipeline, const char *key,
						  const PnsAggregate *aggregate);
static void append_nan(PnsPipeline *pipeline, const char *key, const PnsAggregate *aggregate);
static void append_infinite(PnsPipeline *pipeline, const char *key,
							const PnsAggregate *aggregate);
static void append_odd_test(PnsPipeline *pipeline, const char *key,
							const PnsAggregate *aggregate, bool infinities);

/* What the kinds of aggregates accumulate; an end has no operator. */
static const Accumulator counts[] = {{"", "$sum", append_count}, {0}};
static const Accumulator sums[] = {
	{"", "$sum", append_filtered}, {"c", "$sum", append_count}, {0}
};
static const Accumulator long_sums[] = {
	{"", "$sum", append_decimal}, {"c", "$sum", append_count}, {0}
};
static const Accumulator double_sums[] = {
	{"", "$sum", append_filtered}, {"c", "$sum", append_count},
	{"i", "$max", append_infinite}, {0}
};
static const Accumulator variances[] = {
	{"", "$sum", append_decimal}, {"c", "$sum", append_count},
	{"q", "$sum", append_square}, {0}
};
static const Accumulator long_variances[] = {
	{"", "$sum", append_decimal}, {"c", "$sum", append_count},
	{"q", "$sum", append_low_square}, {"m", "$sum", append_mixed},
	{"h", "$sum", append_high_square}, {0}
};
static const Accumulator minima[] = {{"", "$min", append_filtered}, {0}};
static const Accumulator double_minima[] = {
	{"", "$min", append_number}, {"i", "$max", append_nan}, {0}
};
static const Accumulator maxima[] = {{"", "$max", append_filtered}, {0}};
static const Accumulator double_maxima[] = {
	{"", "$max", append_filtered}, {"i", "$max", append_nan}, {0}
};

/*
 * pns_aggregate_append_accumulators appends the members of the $group of
 * documents.
 */
void
pns_aggregate_append_accumulators(PnsPipeline *pipeline, const PnsAggregate *aggregate)
{
	PnsBsonBuilder *builder = &pipeline->builder;

	for (const Accumulator *part = accumulators_of(aggregate); part->operator != NULL; part++)
	{
		pns_bson_open_document(builder, pns_aggregate_field(aggregate, part->suffix));
		part->input(pipeline, part->operator, aggregate);
		pns_bson_close(builder);
	}
}

/*
 * pns_aggregate_append_combined appends the members of a $group of groups that
 * have the aggregate's accumulators.
 */
void
pns_aggregate_append_combined(PnsPipeline *pipeline, const PnsAggregate *aggregate)
{
	PnsBsonBuilder *builder = &pipeline->builder;

	for (const Accumulator *part = accumulators_of(aggregate); part->operator != NULL; part++)
	{
		char	   *name = pns_aggregate_field(aggregate, part->suffix);

		pns_bson_open_document(builder, name);
		pns_bson_append_cstring(builder, part->operator, psprintf("$%s", name));
		pns_bson_close(builder);
	}
}

/*
 * accumulators_of returns what is accumulated for an aggregate.
 */
static const Accumulator *
accumulators_of(const PnsAggregate *aggregate)
{
	switch (aggregate->kind)
	{
		case PNS_AGGREGATE_ROWS:
		case PNS_AGGREGATE_COUNT:
			return counts;
		case PNS_AGGREGATE_SUM:
			return sums;
		case PNS_AGGREGATE_SUM_LONG:
		case PNS_AGGREGATE_AVG:
			return long_sums;
		case PNS_AGGREGATE_SUM_DOUBLE:
		case PNS_AGGREGATE_AVG_DOUBLE:
			return double_sums;
		case PNS_AGGREGATE_VARIANCE:
			return variances;
		case PNS_AGGREGATE_VARIANCE_LONG:
			return long_variances;
		case PNS_AGGREGATE_MIN:
			return pns_aggregate_keeps_odd(aggregate) ? double_minima : minima;
		case PNS_AGGREGATE_MAX:
			return pns_aggregate_keeps_odd(aggregate) ? double_maxima : maxima;
	}
	pg_unreachable();
}

/*
 * append_count appends 1 for a document that counts, else 0: all count, or
 * those whose value is not NULL, and in any case only those that FILTER lets
 * in.
 */
static void
append_count(PnsPipeline *pipeline, const char *key, const PnsAggregate *aggregate)
{
	PnsBsonBuilder *builder = &pipeline->builder;
	int			n = 0;

	if (aggregate->kind == PNS_AGGREGATE_ROWS && aggregate->filter == NULL)
	{
		pns_bson_append_int32(builder, key, 1);
		return;
	}
	pns_bson_open_document(builder, key);
	pns_bson_open_array(builder, "$cond");
	pns_bson_open_document(builder, "0");
	pns_bson_open_array(builder, "$and");
	if (aggregate->filter != NULL)
		pns_term_append_true(builder, pns_bson_index(n++), aggregate->filter,
							 pipeline->operand_value, pipeline->state);
	if (aggregate->kind == PNS_AGGREGATE_COUNT)
		pns_term_append_true(builder, pns_bson_index(n++), aggregate->value,
							 pipeline->operand_value, pipeline->state);
	else if (aggregate->kind != PNS_AGGREGATE_ROWS)
	{
		pns_bson_open_document(builder, pns_bson_index(n++));
		pns_bson_open_array(builder, "$ne");
		pns_term_append(builder, "0", aggregate->value, pipeline->operand_value,
						pipeline->state);
		pns_bson_append_null(builder, "1");
		pns_bson_close(builder);
		pns_bson_close(builder);
	}
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_append_int32(builder, "1", 1);
	pns_bson_append_int32(builder, "2", 0);
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * append_filtered appends the value of a document, null where FILTER leaves it
 * out.
 */
static void
append_filtered(PnsPipeline *pipeline, const char *key, const PnsAggregate *aggregate)
{
	PnsBsonBuilder *builder = &pipeline->builder;

	if (aggregate->filter == NULL)
	{
		pns_term_append(builder, key, aggregate->value, pipeline->operand_value,
						pipeline->state);
		return;
	}

	pns_bson_open_document(builder, key);
	pns_bson_open_array(builder, "$cond");
	pns_term_append_true(builder, "0", aggregate->filter, pipeline->operand_value,
						 pipeline->state);
	pns_term_append(builder, "1", aggregate->value, pipeline->operand_value,
					pipeline->state);
	pns_bson_append_null(builder, "2");
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * append_decimal appends the value as a Decimal128.
 */
static void
append_decimal(PnsPipeline *pipeline, const char *key, const PnsAggregate *aggregate)
{
	pns_bson_open_document(&pipeline->builder, key);
	append_filtered(pipeline, "$toDecimal", aggregate);
	pns_bson_close(&pipeline->builder);
}

/*
 * append_square appends the square of an int4.
 */
static void
append_square(PnsPipeline *pipeline, const char *key, const PnsAggregate *aggregate)
{
	PnsBsonBuilder *builder = &pipeline->builder;

	open_let(pipeline, key, aggregate);
	pns_bson_open_document(builder, "in");
	pns_bson_open_document(builder, "$toDecimal");
	pns_bson_open_array(builder, "$multiply");
	pns_bson_append_cstring(builder, "0", "$$v");
	pns_bson_append_cstring(builder, "1", "$$v");
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * append_low_square appends l * l of an int8.
 */
static void
append_low_square(PnsPipeline *pipeline, const char *key, const PnsAggregate *aggregate)
{
	append_product(pipeline, key, aggregate, append_low, append_low);
}

/*
 * append_mixed appends h * l of an int8.
 */
static void
append_mixed(PnsPipeline *pipeline, const char *key, const PnsAggregate *aggregate)
{
	append_product(pipeline, key, aggregate, append_high, append_low);
}

/*
 * append_high_square appends h * h of an int8.
 */
static void
append_high_square(PnsPipeline *pipeline, const char *key, const PnsAggregate *aggregate)
{
	append_product(pipeline, key, aggregate, append_high, append_high);
}

/*
 * append_product appends the product, as a Decimal128, of two parts of an
 * int8.
 */
static void
append_product(PnsPipeline *pipeline, const char *key, const PnsAggregate *aggregate,
			   AppendPart left, AppendPart right)
{
	PnsBsonBuilder *builder = &pipeline->builder;

	open_let(pipeline, key, aggregate);
	pns_bson_open_document(builder, "in");
	pns_bson_open_array(builder, "$multiply");
	left(builder, "0");
	right(builder, "1");
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * append_low appends l of $$v, which has its sign.
 */
static void
append_low(PnsBsonBuilder *builder, const char *key)
{
	pns_bson_open_document(builder, key);
	pns_bson_open_document(builder, "$toDecimal");
	append_remainder(builder, "$mod");
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * append_high appends h of $$v.  The quotient is a double, which holds its 32
 * bits.
 */
static void
append_high(PnsBsonBuilder *builder, const char *key)
{
	pns_bson_open_document(builder, key);
	pns_bson_open_document(builder, "$toDecimal");
	pns_bson_open_document(builder, "$toLong");
	pns_bson_open_array(builder, "$divide");
	pns_bson_open_document(builder, "0");
	pns_bson_open_array(builder, "$subtract");
	pns_bson_append_cstring(builder, "0", "$$v");
	pns_bson_open_document(builder, "1");
	append_remainder(builder, "$mod");
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_append_int64(builder, "1", HIGH_UNIT);
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * append_remainder appends the remainder of $$v by 2^32.
 */
static void
append_remainder(PnsBsonBuilder *builder, const char *key)
{
	pns_bson_open_array(builder, key);
	pns_bson_append_cstring(builder, "0", "$$v");
	pns_bson_append_int64(builder, "1", HIGH_UNIT);
	pns_bson_close(builder);
}

/*
 * open_let begins an expression over the value, which it calls $$v.
 */
static void
open_let(PnsPipeline *pipeline, const char *key, const PnsAggregate *aggregate)
{
	pns_bson_open_document(&pipeline->builder, key);
	pns_bson_open_document(&pipeline->builder, "$let");
	pns_bson_open_document(&pipeline->builder, "vars");
	append_filtered(pipeline, "v", aggregate);
	pns_bson_close(&pipeline->builder);
}

/*
 * append_number appends the value without NaN, which is kept apart.
 */
static void
append_number(PnsPipeline *pipeline, const char *key, const PnsAggregate *aggregate)
{
	PnsBsonBuilder *builder = &pipeline->builder;

	pns_bson_open_document(builder, key);
	pns_bson_open_array(builder, "$cond");
	append_nan(pipeline, "0", aggregate);
	pns_bson_append_null(builder, "1");
	append_filtered(pipeline, "2", aggregate);
	pns_bson_close(builder);
	pns_bson_close(builder);
}

/*
 * append_nan appends the test whether a document's value is NaN.
 */
static void
append_nan(PnsPipeline *pipeline, const char *key, const PnsAggregate *aggregate)
{
	append_odd_test(pipeline, key, aggregate, false);
}

/*
 * append_infinite appends the test whether a document's value is not finite.
 */
static void
append_infinite(PnsPipeline *pipeline, const char *key, const PnsAggregate *aggregate)
{
	append_odd_test(pipeline, key, aggregate, true);
}

/*
 * append_odd_test appends the test whether a document's value is NaN or, where
 * asked for, an infinity.
 */
static void
append_odd_test(PnsPipeline *pipeline, const char *key, const PnsAggregate *aggregate,
				bool infinities)
{
	PnsBsonBuilder *builder = &pipeline->builder;

	pns_bson_open_document(builder, key);
	pns_bson_open_array(builder, "$in");
	append_filtered(pipeline, "0", aggregate);
	pns_aggregate_append_odd_values(builder, "1", infinities);
	pns_bson_close(builder);
	pns_bson_close(builder);
}
