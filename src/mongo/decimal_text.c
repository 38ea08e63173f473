/*-------------------------------------------------------------------------
 *
 * decimal_text.c
 *	  Decimal digits in text as Decimal128.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mongo/codec.h"

#define EXPONENT_BIAS 6176
#define MIN_EXPONENT (-EXPONENT_BIAS)
#define MAX_EXPONENT 6111
#define COEFFICIENT_DIGITS 34

/* An exponent that no digits can bring back into range. */
#define FAR_EXPONENT 1000000

static bool parse_special(const char *str, PnsDecimal *decimal);
static bool parse_exponent(const char *str, PnsDecimal *decimal);
static void make_coefficient(const PnsDecimal *decimal, uint32 *limbs);

/*
 * pns_decimal_parse reads what PostgreSQL prints for a numeric, a number of
 * JSON, and what MongoDB prints for a Decimal128.  Digits are kept as they are
 * written, trailing zeros included, up to 34; of more the trailing zeros are
 * dropped, which changes no number.
 */
PnsDecimalParse
pns_decimal_parse(const char *str, PnsDecimal *decimal)
{
	bool		fraction = false;
	bool		any = false;
	bool		exact = true;
	int			zeros = 0;		/* seen, but not among the digits yet */

	memset(decimal, 0, sizeof(*decimal));
	if (*str == '-' || *str == '+')
		decimal->negative = *str++ == '-';
	if (parse_special(str, decimal))
		return PNS_DECIMAL_PARSED;

	for (; (*str >= '0' && *str <= '9') || (*str == '.' && !fraction); str++)
	{
		if (*str == '.')
		{
			fraction = true;
			continue;
		}
		any = true;
		decimal->exponent -= fraction;
		if (*str == '0')
		{
			zeros += decimal->ndigits > 0;
			continue;
		}
		if (decimal->ndigits + zeros >= COEFFICIENT_DIGITS)
			exact = false;
		else
		{
			memset(decimal->digits + decimal->ndigits, '0', zeros);
			decimal->ndigits += zeros;
			decimal->digits[decimal->ndigits++] = *str;
		}
		zeros = 0;
	}
	if (!any || !parse_exponent(str, decimal))
		return PNS_DECIMAL_NO_NUMBER;

	for (; zeros > 0 && decimal->ndigits < COEFFICIENT_DIGITS; zeros--)
		decimal->digits[decimal->ndigits++] = '0';
	decimal->exponent += zeros;
	if (decimal->ndigits == 0)
		decimal->digits[decimal->ndigits++] = '0';
	return exact ? PNS_DECIMAL_PARSED : PNS_DECIMAL_INEXACT;
}

/*
 * pns_decimal_to_decimal128 makes the 16 bytes.  False where the exponent is
 * out of range and cannot be brought into it by zeros; that of zero can.
 */
bool
pns_decimal_to_decimal128(const PnsDecimal *decimal, uint8 *data)
{
	PnsDecimal	copy = *decimal;
	bool		zero = copy.ndigits == 1 && copy.digits[0] == '0';
	uint64		high = (uint64) copy.negative << 63;
	uint64		low = 0;
	uint32		limbs[4];

	if (copy.kind == PNS_DECIMAL_NAN)
		high = UINT64CONST(0x7c00000000000000);
	else if (copy.kind == PNS_DECIMAL_INFINITY)
		high |= UINT64CONST(0x7800000000000000);
	else
	{
		if (zero)
			copy.exponent = Min(Max(copy.exponent, MIN_EXPONENT), MAX_EXPONENT);
		for (; copy.exponent > MAX_EXPONENT && copy.ndigits < COEFFICIENT_DIGITS; copy.exponent--)
			copy.digits[copy.ndigits++] = '0';
		for (; copy.exponent < MIN_EXPONENT && copy.ndigits > 1 &&
			 copy.digits[copy.ndigits - 1] == '0'; copy.exponent++)
			copy.ndigits--;
		if (copy.exponent < MIN_EXPONENT || copy.exponent > MAX_EXPONENT)
			return false;

		make_coefficient(&copy, limbs);
		low = (uint64) limbs[1] << 32 | limbs[0];
		high |= (uint64) (copy.exponent + EXPONENT_BIAS) << 49;
		high |= (uint64) limbs[3] << 32 | limbs[2];
	}
	low = pns_bson_little64(low);
	high = pns_bson_little64(high);
	memcpy(data, &low, sizeof(low));
	memcpy(data + sizeof(low), &high, sizeof(high));
	return true;
}

/*
 * pns_decimal_same_number compares two finite decimals, whatever zeros they
 * end in.
 */
bool
pns_decimal_same_number(const PnsDecimal *a, const PnsDecimal *b)
{
	int			a_digits = a->ndigits;
	int			b_digits = b->ndigits;

	while (a_digits > 0 && a->digits[a_digits - 1] == '0')
		a_digits--;
	while (b_digits > 0 && b->digits[b_digits - 1] == '0')
		b_digits--;
	if (a_digits != b_digits || a->negative != b->negative)
		return false;
	return a_digits == 0 ||
		(memcmp(a->digits, b->digits, a_digits) == 0 &&
		 a->exponent + a->ndigits == b->exponent + b->ndigits);
}

/*
 * pns_text_to_decimal128 makes the 16 bytes of a number in text, false where
 * there is no Decimal128 of exactly that value.
 */
bool
pns_text_to_decimal128(const char *str, uint8 *data)
{
	PnsDecimal	decimal;

	return pns_decimal_parse(str, &decimal) == PNS_DECIMAL_PARSED &&
		pns_decimal_to_decimal128(&decimal, data);
}

/* pns_bson_append_decimal128 appends 16 bytes that the above have made. */
void
pns_bson_append_decimal128(PnsBsonBuilder *builder, const char *key,
						   const uint8 *data)
{
	PnsBsonValue value = {PNS_BSON_DECIMAL128, data, PNS_DECIMAL128_BYTES};

	pns_bson_append_value(builder, key, value);
}

/* parse_special reads what is no finite number.  NaN has no sign. */
static bool
parse_special(const char *str, PnsDecimal *decimal)
{
	decimal->kind = PNS_DECIMAL_FINITE;
	if (pg_strcasecmp(str, "NaN") == 0)
		decimal->kind = PNS_DECIMAL_NAN;
	else if (pg_strcasecmp(str, "Infinity") == 0 || pg_strcasecmp(str, "Inf") == 0)
		decimal->kind = PNS_DECIMAL_INFINITY;
	return decimal->kind != PNS_DECIMAL_FINITE;
}

/* parse_exponent reads what follows the digits up to the end. */
static bool
parse_exponent(const char *str, PnsDecimal *decimal)
{
	bool		negative;
	int			exponent = 0;

	if (*str == '\0')
		return true;
	if (*str != 'e' && *str != 'E')
		return false;
	str++;
	negative = *str == '-';
	if (*str == '-' || *str == '+')
		str++;
	if (*str == '\0')
		return false;
	for (; *str >= '0' && *str <= '9'; str++)
		exponent = Min(exponent * 10 + (*str - '0'), FAR_EXPONENT);
	decimal->exponent += negative ? -exponent : exponent;
	return *str == '\0';
}

/* make_coefficient multiplies up the digits, nine at a time. */
static void
make_coefficient(const PnsDecimal *decimal, uint32 *limbs)
{
	memset(limbs, 0, 4 * sizeof(uint32));
	for (int i = 0; i < decimal->ndigits;)
	{
		uint32		scale = 1;
		uint64		carry = 0;

		for (int j = 0; j < 9 && i < decimal->ndigits; i++, j++)
		{
			scale *= 10;
			carry = carry * 10 + (decimal->digits[i] - '0');
		}
		for (int k = 0; k < 4; k++)
		{
			carry += (uint64) limbs[k] * scale;
			limbs[k] = (uint32) carry;
			carry >>= 32;
		}
	}
}
