/*-------------------------------------------------------------------------
 *
 * comparison.c
 *	  Which comparisons MongoDB makes as PostgreSQL does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/lsyscache.h"
#include "utils/pg_locale.h"
#include "utils/typcache.h"

#include "fdw/private.h"

/*
 * pns_fdw_comparison_of finds out what an operator means, from the operator
 * family that PostgreSQL (or this extension, for objectid) orders a type by.
 * An operator that merely is called "=" is none.
 */
bool
pns_fdw_comparison_of(Oid opno, Oid type, PnsCompareOp *op)
{
	Oid			family = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY)->btree_opf;
	Oid			operator = opno;
	bool		negated = false;
	int			strategy;

	if (!OidIsValid(family) ||
		(opno >= FirstUnpinnedObjectId &&
		 pns_fdw_type_class(type) != PNS_CLASS_OBJECTID))
		return false;

	strategy = get_op_opfamily_strategy(operator, family);
	if (strategy == InvalidStrategy)
	{
		negated = true;
		operator = get_negator(opno);
		strategy = OidIsValid(operator) ?
			get_op_opfamily_strategy(operator, family) : InvalidStrategy;
	}

	switch (strategy)
	{
		case BTLessStrategyNumber:
			*op = PNS_LT;
			break;
		case BTLessEqualStrategyNumber:
			*op = PNS_LE;
			break;
		case BTEqualStrategyNumber:
			*op = PNS_EQ;
			break;
		case BTGreaterEqualStrategyNumber:
			*op = PNS_GE;
			break;
		case BTGreaterStrategyNumber:
			*op = PNS_GT;
			break;
		default:
			return false;
	}
	if (negated)
		*op = pns_fdw_negate(*op);
	return true;
}

/*
 * pns_fdw_comparison_ships tells whether MongoDB compares the values of a column as
 * PostgreSQL does under a collation, with operands of a type.
 */
bool
pns_fdw_comparison_ships(const PnsTableColumn *column, PnsCompareOp op, Oid operand_type,
						 Oid collation)
{
	bool		equality = op == PNS_EQ || op == PNS_NE;

	switch (pns_fdw_value_class(column))
	{
		case PNS_CLASS_INT:
			return operand_type == INT2OID || operand_type == INT4OID ||
				operand_type == INT8OID || operand_type == NUMERICOID ||
				operand_type == FLOAT8OID;
		case PNS_CLASS_FLOAT4:
		case PNS_CLASS_FLOAT8:
			return operand_type == FLOAT4OID || operand_type == FLOAT8OID;
		case PNS_CLASS_TEXT:
		case PNS_CLASS_BPCHAR:
			/* name has operators with text, which are not worth the trouble */
			if (GetDatabaseEncoding() == PG_SQL_ASCII ||
				(column->base_type == NAMEOID) != (operand_type == NAMEOID))
				return false;
			if (equality)
				return get_collation_isdeterministic(collation);
			return GetDatabaseEncoding() == PG_UTF8 &&
				pns_collation_is_c(collation);
		case PNS_CLASS_BYTEA:
			/* MongoDB orders binary values by their length first */
			return equality;
		case PNS_CLASS_ENUM:
			/* there, labels are not known to be text of any encoding */
			return GetDatabaseEncoding() != PG_SQL_ASCII;
		case PNS_CLASS_TIMESTAMP:
			/* a column's values do not depend on the session's time zone */
			return operand_type == column->base_type || operand_type == DATEOID ||
				column->base_type == TIMESTAMPTZOID;
		case PNS_CLASS_DATE:
			return operand_type == DATEOID || operand_type == TIMESTAMPOID;
		case PNS_CLASS_NUMERIC:
		case PNS_CLASS_UUID:
		case PNS_CLASS_OBJECTID:
			return operand_type == column->base_type;
		case PNS_CLASS_BOOL:
			return true;
		case PNS_CLASS_NONE:
			return false;
	}
	return false;
}

/*
 * pns_fdw_comparison_is_exact tells whether what filter.c sends for a comparison
 * selects just the rows that PostgreSQL would.
 *
 * Equality makes sure that a value fits the column, unless a domain's
 * constraints are to be known.  For the other comparisons MongoDB has to tell.
 */
bool
pns_fdw_comparison_is_exact(const PnsTableColumn *column, PnsCompareOp op)
{
	if (column->codec.type != column->base_type)
		return false;

	switch (pns_fdw_value_class(column))
	{
		case PNS_CLASS_TEXT:
			return op == PNS_EQ || pns_fdw_fits_exactly(column);
		case PNS_CLASS_NUMERIC:
			/* of declared digits MongoDB knows nothing */
			return column->base_typmod < 0;
		case PNS_CLASS_UUID:
			/* not every server orders binaries by length and subtype */
			return op == PNS_EQ;
		case PNS_CLASS_OBJECTID:
		case PNS_CLASS_ENUM:
		case PNS_CLASS_INT:
		case PNS_CLASS_FLOAT4:
		case PNS_CLASS_FLOAT8:
		case PNS_CLASS_BOOL:
		case PNS_CLASS_TIMESTAMP:
		case PNS_CLASS_DATE:
			return true;
		default:
			return false;
	}
}

/*
 * pns_fdw_commute gives the comparison with its sides exchanged.
 */
PnsCompareOp
pns_fdw_commute(PnsCompareOp op)
{
	static const PnsCompareOp commuted[] = {
		[PNS_LT] = PNS_GT,
		[PNS_LE] = PNS_GE,
		[PNS_EQ] = PNS_EQ,
		[PNS_GE] = PNS_LE,
		[PNS_GT] = PNS_LT,
		[PNS_NE] = PNS_NE,
	};

	return commuted[op];
}

/*
 * pns_fdw_negate gives the comparison that is true where this one is false.  Of a
 * NULL neither is true.
 */
PnsCompareOp
pns_fdw_negate(PnsCompareOp op)
{
	static const PnsCompareOp negated[] = {
		[PNS_LT] = PNS_GE,
		[PNS_LE] = PNS_GT,
		[PNS_EQ] = PNS_NE,
		[PNS_GE] = PNS_LT,
		[PNS_GT] = PNS_LE,
		[PNS_NE] = PNS_EQ,
	};

	return negated[op];
}
