/*-------------------------------------------------------------------------
 *
 * term_number.c
 *	  Arithmetic in terms.
 *
 * MongoDB widens what overflows, an int to a long, a long to a double, and
 * divides integers as doubles.  So long integers are computed as decimals,
 * whose 34 digits hold every sum and every product that is not out of range
 * anyway, and the result is converted back, which tells an overflow.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/fmgroids.h"

#include "fdw/term_private.h"

/* An integer of a type, or null where it is out of range. */
#define INT8_OF(value) \
	"{$convert: {input: " value ", to: 'long', onError: null, onNull: null}}"
#define INT4_OF(value) \
	"{$convert: {input: " value ", to: 'int', onError: null, onNull: null}}"
#define INT2_OF(value) \
	"{$let: {vars: {i: " value "}, in: " \
	"{$cond: [{$and: [{$gte: ['$$i', -32768]}, {$lte: ['$$i', 32767]}]}, " INT4_OF("'$$i'") ", null]}}}"

/* Nothing is divided by zero; of -1 servers have had their own ideas. */
#define UNLESS_ZERO(value) \
	"{$cond: [{$eq: [#2, 0]}, null, " value "]}"
#define MODULO \
	UNLESS_ZERO("{$cond: [{$eq: [#2, -1]}, 0, {$mod: [#1, #2]}]}")

#define QUOTIENT "{$trunc: {$divide: [#1, #2]}}"
#define LONG_SUM "{$add: [{$toDecimal: #1}, #2]}"
#define LONG_DIFFERENCE "{$subtract: [{$toDecimal: #1}, #2]}"
#define LONG_PRODUCT "{$multiply: [{$toDecimal: #1}, #2]}"
#define LONG_QUOTIENT "{$trunc: {$divide: [{$toDecimal: #1}, #2]}}"

/* A float8 rounded to a whole number, from halves to the even one. */
#define ROUNDED \
	"{$let: {vars: {f: {$floor: #1}}, in: {$let: {vars: {d: {$subtract: [#1, '$$f']}}, in: " \
	"{$cond: [{$or: [{$lt: ['$$d', 0.5]}, {$and: [{$eq: ['$$d', 0.5]}, {$eq: [{$mod: ['$$f', 2]}, 0]}]}]}, " \
	"'$$f', {$add: ['$$f', 1]}]}}}}}"

/*
 * A float8, or null where PostgreSQL sees an overflow, or an underflow: where
 * the result is infinite (zero) and the arguments do not explain it.
 */
#define IS_INFINITE(value) "{$eq: [{$abs: " value "}, Infinity]}"
#define CHECKED(value, wrong) \
	"{$let: {vars: {r: " value "}, in: {$cond: [" wrong ", null, '$$r']}}}"
#define OVERFLOWN \
	"{$and: [" IS_INFINITE("'$$r'") ", {$not: [" IS_INFINITE("#1") "]}, {$not: [" IS_INFINITE("#2") "]}]}"

/*
 * MongoDB's sum begins with 0, which makes a positive zero of two negative
 * ones; a difference is just that.
 */
#define FLOAT_SUM \
	CHECKED("{$subtract: [#1, {$multiply: [-1.0, #2]}]}", OVERFLOWN)
#define FLOAT_DIFFERENCE \
	CHECKED("{$subtract: [#1, #2]}", OVERFLOWN)
#define FLOAT_PRODUCT \
	CHECKED("{$multiply: [#1, #2]}", \
			"{$or: [" OVERFLOWN ", {$and: [{$eq: ['$$r', 0]}, {$ne: [#1, 0]}, {$ne: [#2, 0]}]}]}")
#define FLOAT_QUOTIENT \
	"{$cond: [{$eq: [#2, 0]}, {$cond: [{$eq: [#1, NaN]}, NaN, null]}, " \
	CHECKED("{$divide: [#1, #2]}", \
			"{$or: [{$and: [" IS_INFINITE("'$$r'") ", {$not: [" IS_INFINITE("#1") "]}]}, " \
			"{$and: [{$eq: ['$$r', 0]}, {$ne: [#1, 0]}, {$not: [" IS_INFINITE("#2") "]}]}]}") "]}"
#define FLOAT_ROOT \
	"{$cond: [{$and: [{$lt: [#1, 0]}, {$ne: [#1, NaN]}]}, null, {$sqrt: #1}]}"
#define FLOAT_TRUNCATED \
	"{$cond: [{$lt: [#1, 0]}, {$ceil: #1}, {$floor: #1}]}"

#define DIVISION (PNS_RULE_FAILS | PNS_RULE_CHECKS_NULL | PNS_RULE_DIVIDES)

/* The functions of numbers, closed by one without a function. */
const PnsTermRule pns_term_number_rules[] = {
	{F_INT2PL, INT2OID, PNS_RULE_FAILS, INT2_OF("{$add: [#1, #2]}")},
	{F_INT4PL, INT4OID, PNS_RULE_FAILS, INT4_OF("{$add: [#1, #2]}")},
	{F_INT24PL, INT4OID, PNS_RULE_FAILS, INT4_OF("{$add: [#1, #2]}")},
	{F_INT42PL, INT4OID, PNS_RULE_FAILS, INT4_OF("{$add: [#1, #2]}")},
	{F_INT8PL, INT8OID, PNS_RULE_FAILS, INT8_OF(LONG_SUM)},
	{F_INT28PL, INT8OID, PNS_RULE_FAILS, INT8_OF(LONG_SUM)},
	{F_INT48PL, INT8OID, PNS_RULE_FAILS, INT8_OF(LONG_SUM)},
	{F_INT82PL, INT8OID, PNS_RULE_FAILS, INT8_OF(LONG_SUM)},
	{F_INT84PL, INT8OID, PNS_RULE_FAILS, INT8_OF(LONG_SUM)},
	{F_FLOAT8PL, FLOAT8OID, PNS_RULE_FAILS | PNS_RULE_CHECKS_NULL, FLOAT_SUM},

	{F_INT2MI, INT2OID, PNS_RULE_FAILS, INT2_OF("{$subtract: [#1, #2]}")},
	{F_INT4MI, INT4OID, PNS_RULE_FAILS, INT4_OF("{$subtract: [#1, #2]}")},
	{F_INT24MI, INT4OID, PNS_RULE_FAILS, INT4_OF("{$subtract: [#1, #2]}")},
	{F_INT42MI, INT4OID, PNS_RULE_FAILS, INT4_OF("{$subtract: [#1, #2]}")},
	{F_INT8MI, INT8OID, PNS_RULE_FAILS, INT8_OF(LONG_DIFFERENCE)},
	{F_INT28MI, INT8OID, PNS_RULE_FAILS, INT8_OF(LONG_DIFFERENCE)},
	{F_INT48MI, INT8OID, PNS_RULE_FAILS, INT8_OF(LONG_DIFFERENCE)},
	{F_INT82MI, INT8OID, PNS_RULE_FAILS, INT8_OF(LONG_DIFFERENCE)},
	{F_INT84MI, INT8OID, PNS_RULE_FAILS, INT8_OF(LONG_DIFFERENCE)},
	{F_FLOAT8MI, FLOAT8OID, PNS_RULE_FAILS | PNS_RULE_CHECKS_NULL, FLOAT_DIFFERENCE},

	{F_INT2MUL, INT2OID, PNS_RULE_FAILS, INT2_OF("{$multiply: [#1, #2]}")},
	{F_INT4MUL, INT4OID, PNS_RULE_FAILS, INT4_OF("{$multiply: [#1, #2]}")},
	{F_INT24MUL, INT4OID, PNS_RULE_FAILS, INT4_OF("{$multiply: [#1, #2]}")},
	{F_INT42MUL, INT4OID, PNS_RULE_FAILS, INT4_OF("{$multiply: [#1, #2]}")},
	{F_INT8MUL, INT8OID, PNS_RULE_FAILS, INT8_OF(LONG_PRODUCT)},
	{F_INT28MUL, INT8OID, PNS_RULE_FAILS, INT8_OF(LONG_PRODUCT)},
	{F_INT48MUL, INT8OID, PNS_RULE_FAILS, INT8_OF(LONG_PRODUCT)},
	{F_INT82MUL, INT8OID, PNS_RULE_FAILS, INT8_OF(LONG_PRODUCT)},
	{F_INT84MUL, INT8OID, PNS_RULE_FAILS, INT8_OF(LONG_PRODUCT)},
	{F_FLOAT8MUL, FLOAT8OID, PNS_RULE_FAILS | PNS_RULE_CHECKS_NULL, FLOAT_PRODUCT},

	{F_INT2DIV, INT2OID, DIVISION, UNLESS_ZERO(INT2_OF(QUOTIENT))},
	{F_INT4DIV, INT4OID, DIVISION, UNLESS_ZERO(INT4_OF(QUOTIENT))},
	{F_INT24DIV, INT4OID, DIVISION, UNLESS_ZERO(INT4_OF(QUOTIENT))},
	{F_INT42DIV, INT4OID, DIVISION, UNLESS_ZERO(INT4_OF(QUOTIENT))},
	{F_INT8DIV, INT8OID, DIVISION, UNLESS_ZERO(INT8_OF(LONG_QUOTIENT))},
	{F_INT28DIV, INT8OID, DIVISION, UNLESS_ZERO(INT8_OF(LONG_QUOTIENT))},
	{F_INT48DIV, INT8OID, DIVISION, UNLESS_ZERO(INT8_OF(LONG_QUOTIENT))},
	{F_INT82DIV, INT8OID, DIVISION, UNLESS_ZERO(INT8_OF(LONG_QUOTIENT))},
	{F_INT84DIV, INT8OID, DIVISION, UNLESS_ZERO(INT8_OF(LONG_QUOTIENT))},
	{F_FLOAT8DIV, FLOAT8OID, PNS_RULE_FAILS | PNS_RULE_CHECKS_NULL, FLOAT_QUOTIENT},

	{F_INT2MOD, INT2OID, DIVISION, MODULO},
	{F_INT4MOD, INT4OID, DIVISION, MODULO},
	{F_INT8MOD, INT8OID, DIVISION, MODULO},
	{F_MOD_INT2_INT2, INT2OID, DIVISION, MODULO},
	{F_MOD_INT4_INT4, INT4OID, DIVISION, MODULO},
	{F_MOD_INT8_INT8, INT8OID, DIVISION, MODULO},

	{F_INT2UP, INT2OID, 0, "#1"},
	{F_INT4UP, INT4OID, 0, "#1"},
	{F_INT8UP, INT8OID, 0, "#1"},
	{F_FLOAT8UP, FLOAT8OID, 0, "#1"},
	{F_INT2UM, INT2OID, PNS_RULE_FAILS, INT2_OF("{$subtract: [0, #1]}")},
	{F_INT4UM, INT4OID, PNS_RULE_FAILS, INT4_OF("{$subtract: [0, #1]}")},
	{F_INT8UM, INT8OID, PNS_RULE_FAILS, INT8_OF("{$subtract: [0, {$toDecimal: #1}]}")},
	{F_FLOAT8UM, FLOAT8OID, 0, "{$multiply: [-1.0, #1]}"},
	{F_INT2ABS, INT2OID, PNS_RULE_FAILS, INT2_OF("{$abs: #1}")},
	{F_ABS_INT2, INT2OID, PNS_RULE_FAILS, INT2_OF("{$abs: #1}")},
	{F_INT4ABS, INT4OID, PNS_RULE_FAILS, INT4_OF("{$abs: {$toLong: #1}}")},
	{F_ABS_INT4, INT4OID, PNS_RULE_FAILS, INT4_OF("{$abs: {$toLong: #1}}")},
	{F_INT8ABS, INT8OID, PNS_RULE_FAILS, INT8_OF("{$abs: {$toDecimal: #1}}")},
	{F_ABS_INT8, INT8OID, PNS_RULE_FAILS, INT8_OF("{$abs: {$toDecimal: #1}}")},
	{F_FLOAT8ABS, FLOAT8OID, 0, "{$abs: #1}"},
	{F_ABS_FLOAT8, FLOAT8OID, 0, "{$abs: #1}"},

	{F_DSQRT, FLOAT8OID, PNS_RULE_FAILS | PNS_RULE_CHECKS_NULL, FLOAT_ROOT},
	{F_SQRT_FLOAT8, FLOAT8OID, PNS_RULE_FAILS | PNS_RULE_CHECKS_NULL, FLOAT_ROOT},
	{F_FLOOR_FLOAT8, FLOAT8OID, 0, "{$floor: #1}"},
	{F_CEIL_FLOAT8, FLOAT8OID, 0, "{$ceil: #1}"},
	{F_CEILING_FLOAT8, FLOAT8OID, 0, "{$ceil: #1}"},
	{F_TRUNC_FLOAT8, FLOAT8OID, PNS_RULE_CHECKS_NULL, FLOAT_TRUNCATED},

	{F_INT2_INT4, INT2OID, PNS_RULE_FAILS, INT2_OF("#1")},
	{F_INT2_INT8, INT2OID, PNS_RULE_FAILS, INT2_OF("#1")},
	{F_INT2_FLOAT8, INT2OID, PNS_RULE_FAILS | PNS_RULE_CHECKS_NULL, INT2_OF(ROUNDED)},
	{F_INT4_INT2, INT4OID, 0, "#1"},
	{F_INT4_INT8, INT4OID, PNS_RULE_FAILS, INT4_OF("#1")},
	{F_INT4_FLOAT8, INT4OID, PNS_RULE_FAILS | PNS_RULE_CHECKS_NULL, INT4_OF(ROUNDED)},
	{F_INT8_INT2, INT8OID, 0, "#1"},
	{F_INT8_INT4, INT8OID, 0, "#1"},
	{F_INT8_FLOAT8, INT8OID, PNS_RULE_FAILS | PNS_RULE_CHECKS_NULL, INT8_OF(ROUNDED)},
	{F_FLOAT8_INT2, FLOAT8OID, 0, "{$toDouble: #1}"},
	{F_FLOAT8_INT4, FLOAT8OID, 0, "{$toDouble: #1}"},
	{F_FLOAT8_INT8, FLOAT8OID, 0, "{$toDouble: #1}"},
	{F_NUMERIC_INT2, NUMERICOID, 0, "#1"},
	{F_NUMERIC_INT4, NUMERICOID, 0, "#1"},
	{F_NUMERIC_INT8, NUMERICOID, 0, "#1"},
	{InvalidOid}
};
