/*-------------------------------------------------------------------------
 *
 * term_number.c
 *	  Arithmetic in terms.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/fmgroids.h"

#include "fdw/term_private.h"

/* The functions of numbers, closed by one without a function. */
const PnsTermRule pns_term_number_rules[] = {
	/* casts that keep the value, or round as PostgreSQL does */
	{F_INT4_INT2, INT4OID, "#1", false, true},
	{F_INT8_INT2, INT8OID, "#1", false, true},
	{F_INT8_INT4, INT8OID, "#1", false, true},
	{F_FLOAT8_INT2, FLOAT8OID, "{$toDouble: #1}", false, true},
	{F_FLOAT8_INT4, FLOAT8OID, "{$toDouble: #1}", false, true},
	{F_FLOAT8_INT8, FLOAT8OID, "{$toDouble: #1}", false, true},
	{F_NUMERIC_INT2, NUMERICOID, "#1", false, true},
	{F_NUMERIC_INT4, NUMERICOID, "#1", false, true},
	{F_NUMERIC_INT8, NUMERICOID, "#1", false, true},
	{InvalidOid}
};
