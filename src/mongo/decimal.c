/*-------------------------------------------------------------------------
 *
 * decimal.c
 *	  Decimal128 and doubles as decimal digits.
 *
 * A double is taken for the shortest decimal that reads back as it, as
 * PostgreSQL prints it; a Decimal128 (IEEE 754-2008, binary encoding of the
 * coefficient) for what it says, trailing zeros included.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "common/int.h"
#include "common/shortest_dec.h"
#include "mongo/codec.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#define EXPONENT_BIAS 6176
#define COEFFICIENT_DIGITS 34

/* What fits into int64 whatever the digits are. */
#define INT64_SAFE_DIGITS 18

/* Whole doubles below 10^19, all that an int64 could be, are spelt out. */
#define WHOLE_DOUBLE_DIGITS 19

static void read_coefficient(uint64 high, uint64 low, PnsDecimal *decimal);
static uint32 divide_by_billion(uint32 *limbs);
static int	significant_digits(const PnsDecimal *decimal);
static int64 small_coefficient(const PnsDecimal *decimal);
static Numeric numeric_from_text(const char *str);

/*
 * pns_decimal_from_double splits a double into the digits of its shortest
 * form and a power of ten.
 */
void
pns_decimal_from_double(float8 number, PnsDecimal *decimal)
{
	char		str[DOUBLE_SHORTEST_DECIMAL_LEN];
	const char *next = str;
	bool		fraction = false;

	decimal->kind = isnan(number) ? PNS_DECIMAL_NAN :
		isinf(number) ? PNS_DECIMAL_INFINITY : PNS_DECIMAL_FINITE;
	decimal->negative = signbit(number) != 0;
	decimal->exponent = 0;
	decimal->ndigits = 0;
	if (decimal->kind != PNS_DECIMAL_FINITE)
		return;

	str[double_to_shortest_decimal_bufn(fabs(number), str)] = '\0';
	for (; *next != '\0' && *next != 'e'; next++)
	{
		if (*next == '.')
		{
			fraction = true;
			continue;
		}
		decimal->exponent -= fraction;
		if (*next != '0' || decimal->ndigits > 0)
			decimal->digits[decimal->ndigits++] = *next;
	}
	if (*next == 'e')
		decimal->exponent += atoi(next + 1);
	if (decimal->ndigits == 0)
		decimal->digits[decimal->ndigits++] = '0';
}

/* pns_decimal_from_decimal128 splits the 16 bytes of a Decimal128. */
void
pns_decimal_from_decimal128(const uint8 *data, PnsDecimal *decimal)
{
	uint64		low = pns_bson_read_uint64(data);
	uint64		high = pns_bson_read_uint64(data + 8);
	int			combination = (high >> 58) & 0x1f;

	decimal->negative = (high >> 63) != 0;
	decimal->exponent = 0;
	decimal->ndigits = 0;
	if (combination == 0x1f)
		decimal->kind = PNS_DECIMAL_NAN;
	else if (combination == 0x1e)
		decimal->kind = PNS_DECIMAL_INFINITY;
	else
	{
		decimal->kind = PNS_DECIMAL_FINITE;

		/*
		 * The form with a long coefficient can only say coefficients of more
		 * than 34 digits, and those count as zero.
		 */
		if ((combination >> 3) == 3)
		{
			decimal->exponent = ((high >> 47) & 0x3fff) - EXPONENT_BIAS;
			read_coefficient(0, 0, decimal);
		}
		else
		{
			decimal->exponent = ((high >> 49) & 0x3fff) - EXPONENT_BIAS;
			read_coefficient(high & UINT64CONST(0x1ffffffffffff), low, decimal);
		}
	}
}

/* pns_decimal_from_int64 spells an integer. */
void
pns_decimal_from_int64(int64 number, PnsDecimal *decimal)
{
	uint64		magnitude = number < 0 ? -(uint64) number : (uint64) number;

	decimal->kind = PNS_DECIMAL_FINITE;
	decimal->negative = number < 0;
	decimal->exponent = 0;
	decimal->ndigits = pg_ulltoa_n(magnitude, decimal->digits);
}

/*
 * pns_decimal_to_numeric makes a numeric whose scale is the decimal's, none
 * where the exponent is positive.  Every Decimal128 and double fits.
 */
Numeric
pns_decimal_to_numeric(const PnsDecimal *decimal)
{
	char		str[PNS_DECIMAL_DIGITS + 16];

	if (decimal->kind == PNS_DECIMAL_NAN)
		return numeric_from_text("NaN");
	if (decimal->kind == PNS_DECIMAL_INFINITY)
		return numeric_from_text(decimal->negative ? "-Infinity" : "Infinity");
	if (decimal->ndigits <= INT64_SAFE_DIGITS)
		return int64_div_fast_to_numeric(small_coefficient(decimal),
										 -decimal->exponent);
	snprintf(str, sizeof(str), "%s%.*sE%d", decimal->negative ? "-" : "",
			 decimal->ndigits, decimal->digits, decimal->exponent);
	return numeric_from_text(str);
}

/*
 * pns_decimal_to_int64 returns false where the decimal has a fraction or is
 * beyond what int64 holds.
 */
bool
pns_decimal_to_int64(const PnsDecimal *decimal, int64 *number)
{
	int			ndigits = significant_digits(decimal);
	int			exponent = decimal->exponent + decimal->ndigits - ndigits;
	int64		result = 0;

	*number = 0;
	if (decimal->kind != PNS_DECIMAL_FINITE)
		return false;
	if (ndigits == 0)
		return true;
	if (exponent < 0 || ndigits + exponent > 19)
		return false;

	/* downwards, as there is one more negative number */
	for (int i = 0; i < ndigits + exponent; i++)
	{
		int			digit = i < ndigits ? decimal->digits[i] - '0' : 0;

		if (pg_mul_s64_overflow(result, 10, &result) ||
			pg_sub_s64_overflow(result, digit, &result))
			return false;
	}
	if (!decimal->negative && result == PG_INT64_MIN)
		return false;
	*number = decimal->negative ? result : -result;
	return true;
}

/*
 * pns_decimal_fits tells whether numeric with this modifier, numeric(p,s),
 * holds the decimal with nothing rounded away.
 */
bool
pns_decimal_fits(const PnsDecimal *decimal, int32 typmod)
{
	int			precision = ((typmod - VARHDRSZ) >> 16) & 0xffff;
	int			scale = (((typmod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024;
	int			ndigits = significant_digits(decimal);
	int			exponent = decimal->exponent + decimal->ndigits - ndigits;

	if (decimal->kind != PNS_DECIMAL_FINITE)
		return decimal->kind == PNS_DECIMAL_NAN;
	return ndigits == 0 ||
		(exponent >= -scale && ndigits + exponent <= precision - scale);
}

/*
 * pns_decimal128_to_text writes the form that MongoDB itself prints and
 * reads; str has room for PNS_DECIMAL128_SIZE bytes.
 */
void
pns_decimal128_to_text(const uint8 *data, char *str)
{
	PnsDecimal	decimal;
	int			adjusted;
	int			point;

	pns_decimal_from_decimal128(data, &decimal);
	if (decimal.kind == PNS_DECIMAL_NAN)
	{
		strcpy(str, "NaN");
		return;
	}
	if (decimal.negative)
		*str++ = '-';
	if (decimal.kind == PNS_DECIMAL_INFINITY)
	{
		strcpy(str, "Infinity");
		return;
	}

	adjusted = decimal.exponent + decimal.ndigits - 1;
	point = decimal.ndigits + decimal.exponent;
	if (decimal.exponent > 0 || adjusted < -6)
	{
		*str++ = decimal.digits[0];
		if (decimal.ndigits > 1)
			str += sprintf(str, ".%.*s", decimal.ndigits - 1,
						   decimal.digits + 1);
		sprintf(str, "E%+d", adjusted);
	}
	else if (decimal.exponent == 0)
		sprintf(str, "%.*s", decimal.ndigits, decimal.digits);
	else if (point > 0)
		sprintf(str, "%.*s.%.*s", point, decimal.digits,
				decimal.ndigits - point, decimal.digits + point);
	else
		sprintf(str, "0.%.*s%.*s", -point, "00000000",
				decimal.ndigits, decimal.digits);
}

/*
 * pns_double_to_json writes a finite double as a JSON number that no reader
 * takes for an integer: the shortest form, with ".0" where it is whole.  From
 * 10^19 on, where no integer type reaches, an exponent says it shorter.
 * Returns the length; str has room for PNS_DOUBLE_SIZE bytes.
 */
int
pns_double_to_json(float8 number, char *str)
{
	int			size = double_to_shortest_decimal_bufn(number, str);
	PnsDecimal	decimal;

	for (int i = 0; i < size; i++)
	{
		if (str[i] == '.' && fabs(number) < 1e15)
			return size;
	}
	if (fabs(number) >= 1e15)
	{
		pns_decimal_from_double(number, &decimal);
		if (decimal.ndigits + decimal.exponent > WHOLE_DOUBLE_DIGITS ||
			decimal.exponent < 0)
			return size;
		size = sprintf(str, "%s%.*s%.*s", decimal.negative ? "-" : "",
					   decimal.ndigits, decimal.digits,
					   decimal.exponent, "0000000000000000000");
	}
	else if (fabs(number) < 1 && number != 0)
		return size;			/* has a negative exponent */
	str[size++] = '.';
	str[size++] = '0';
	return size;
}

/*
 * pns_double_to_json_numeric returns the numeric that PostgreSQL reads from
 * pns_double_to_json's text.
 */
Numeric
pns_double_to_json_numeric(float8 number)
{
	PnsDecimal	decimal;
	char		str[PNS_DOUBLE_SIZE];

	pns_decimal_from_double(number, &decimal);
	if (decimal.exponent < 0 && decimal.ndigits <= INT64_SAFE_DIGITS)
		return int64_div_fast_to_numeric(small_coefficient(&decimal),
										 -decimal.exponent);
	if (decimal.exponent == 0 && decimal.ndigits < INT64_SAFE_DIGITS)
		return int64_div_fast_to_numeric(small_coefficient(&decimal) * 10, 1);
	str[pns_double_to_json(number, str)] = '\0';
	return numeric_from_text(str);
}

/*
 * read_coefficient spells the coefficient's 113 bits.  One of more than 34
 * digits is no valid Decimal128 and counts as zero.
 */
static void
read_coefficient(uint64 high, uint64 low, PnsDecimal *decimal)
{
	uint32		limbs[4];
	char		digits[PNS_DECIMAL_DIGITS + 1];
	int			start = 0;

	if (high == 0)
	{
		decimal->ndigits = pg_ulltoa_n(low, decimal->digits);
		return;
	}

	limbs[0] = (uint32) (high >> 32);
	limbs[1] = (uint32) high;
	limbs[2] = (uint32) (low >> 32);
	limbs[3] = (uint32) low;
	for (int i = PNS_DECIMAL_DIGITS - 9; i >= 0; i -= 9)
	{
		uint32		nine = divide_by_billion(limbs);

		for (int j = 8; j >= 0; j--)
		{
			digits[i + j] = '0' + nine % 10;
			nine /= 10;
		}
	}
	while (digits[start] == '0')
		start++;
	decimal->ndigits = PNS_DECIMAL_DIGITS - start;
	memcpy(decimal->digits, digits + start, decimal->ndigits);
	if (decimal->ndigits > COEFFICIENT_DIGITS)
	{
		decimal->ndigits = 1;
		decimal->digits[0] = '0';
	}
}

/* divide_by_billion divides a 128-bit number in place, returns the rest. */
static uint32
divide_by_billion(uint32 *limbs)
{
	uint64		rest = 0;

	for (int i = 0; i < 4; i++)
	{
		uint64		dividend = (rest << 32) | limbs[i];

		limbs[i] = (uint32) (dividend / 1000000000);
		rest = dividend % 1000000000;
	}
	return (uint32) rest;
}

/* significant_digits counts digits without trailing zeros; 0 for zero. */
static int
significant_digits(const PnsDecimal *decimal)
{
	int			ndigits = decimal->ndigits;

	while (ndigits > 0 && decimal->digits[ndigits - 1] == '0')
		ndigits--;
	return ndigits;
}

/* small_coefficient returns a coefficient of up to INT64_SAFE_DIGITS. */
static int64
small_coefficient(const PnsDecimal *decimal)
{
	int64		coefficient = 0;

	for (int i = 0; i < decimal->ndigits; i++)
		coefficient = coefficient * 10 + (decimal->digits[i] - '0');
	return decimal->negative ? -coefficient : coefficient;
}

/* numeric_from_text reads a numeric of any precision. */
static Numeric
numeric_from_text(const char *str)
{
	return DatumGetNumeric(DirectFunctionCall3(numeric_in,
											   CStringGetDatum(str),
											   ObjectIdGetDatum(InvalidOid),
											   Int32GetDatum(-1)));
}
