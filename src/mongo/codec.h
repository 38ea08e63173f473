/*-------------------------------------------------------------------------
 *
 * codec.h
 *	  What the files that read and write BSON share among themselves.
 *
 * Private to the room; the rest of it, and all else, sees mongo.h only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNS_MONGO_CODEC_H
#define PNS_MONGO_CODEC_H

#include "mongo/mongo.h"

#include "port/pg_bswap.h"
#include "utils/numeric.h"

/* ---------- in bson.c ---------- */

#define PNS_BSON_MIN_SIZE 5		/* bytes of the empty document */
#define PNS_BSON_BINARY_OLD 0x02	/* subtype that states its length twice */
#define PNS_BSON_BINARY_UUID 0x04

extern const uint8 pns_bson_fixed_size[256];

extern void pns_bson_corrupt(void) pg_attribute_noreturn();
extern uint32 pns_bson_varying_size(uint8 type, const uint8 *data,
									const uint8 *end);

/* ---------- in bson_value.c ---------- */

extern const uint8 *pns_bson_value_binary(const PnsBsonValue *value,
										  uint32 *size, uint8 *subtype);

/* ---------- bytes ---------- */

/* BSON is little-endian whatever the machine is. */
#ifdef WORDS_BIGENDIAN
#define pns_bson_little32(x) pg_bswap32(x)
#define pns_bson_little64(x) pg_bswap64(x)
#else
#define pns_bson_little32(x) (x)
#define pns_bson_little64(x) (x)
#endif

/* pns_bson_read_uint32 reads four bytes at any address. */
static inline uint32
pns_bson_read_uint32(const uint8 *data)
{
	uint32		little;

	memcpy(&little, data, sizeof(little));
	return pns_bson_little32(little);
}

/* pns_bson_read_uint64 reads eight bytes at any address. */
static inline uint64
pns_bson_read_uint64(const uint8 *data)
{
	uint64		little;

	memcpy(&little, data, sizeof(little));
	return pns_bson_little64(little);
}

/* pns_bson_read_int32 reads an int32 value. */
static inline int32
pns_bson_read_int32(const uint8 *data)
{
	return (int32) pns_bson_read_uint32(data);
}

/* pns_bson_read_int64 reads an int64 or a date. */
static inline int64
pns_bson_read_int64(const uint8 *data)
{
	return (int64) pns_bson_read_uint64(data);
}

/* pns_bson_read_double reads a double. */
static inline float8
pns_bson_read_double(const uint8 *data)
{
	uint64		bits = pns_bson_read_uint64(data);
	float8		number;

	memcpy(&number, &bits, sizeof(number));
	return number;
}

/*
 * pns_bson_value_size measures the value at data, all of which must lie
 * before end; XX001 where it does not, or where the type is unknown.
 */
static inline uint32
pns_bson_value_size(uint8 type, const uint8 *data, const uint8 *end)
{
	uint32		fixed = pns_bson_fixed_size[type];

	if (fixed == 0)
		return pns_bson_varying_size(type, data, end);
	if (unlikely(fixed - 1 > (size_t) (end - data)))
		pns_bson_corrupt();
	return fixed - 1;
}

/* ---------- what a value may be for a column ---------- */

/* Whether a value fits a column, and if not, why. */
typedef enum PnsFit
{
	PNS_FITS,
	PNS_MISFIT_TYPE,			/* the column takes no such BSON type */
	PNS_MISFIT_RANGE,			/* a number out of range, or with a fraction */
	PNS_MISFIT_DATE,			/* a date out of range */
	PNS_MISFIT_LENGTH,			/* a string longer than the column */
	PNS_MISFIT_NUL,				/* a string or key with a zero byte */
	PNS_MISFIT_UTF8,			/* a string or key that is no UTF-8 */
	PNS_MISFIT_ENCODING,		/* not in the database's encoding */
	PNS_MISFIT_SYNTAX,			/* a string that the type does not read */
	PNS_MISFIT_SHAPE,			/* an array that PostgreSQL cannot hold */
	PNS_MISFIT_SIZE,			/* more than the type can hold */
	PNS_MISFIT_NOT_NULL,		/* a domain's NOT NULL */
	PNS_MISFIT_CHECK			/* a domain's CHECK */
} PnsFit;

/* pns_hex_digit returns a hex digit's value, or -1 where it is none. */
static inline int
pns_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* ---------- in text.c ---------- */

extern PnsFit pns_text_to_server(const char **str, uint32 *size);
extern const char *pns_text_from_server(const char *str);

/* ---------- in extended.c ---------- */

extern bool pns_json_is_plain(const PnsBsonValue *value, PnsJsonFormat format);
extern PnsDocument pns_json_wrap(const PnsBsonValue *value,
								 PnsJsonFormat format,
								 PnsBsonBuilder *builder);
extern PnsJsonFormat pns_json_inner_format(const PnsBsonValue *value,
										   PnsJsonFormat format);

/* ---------- in json.c ---------- */

extern PnsFit pns_json_write_value(StringInfo out, const PnsBsonValue *value,
								   PnsJsonFormat format);

/* ---------- in jsonb.c ---------- */

typedef struct PnsJsonbWriter PnsJsonbWriter;

extern PnsJsonbWriter *pns_jsonb_writer_create(void);
extern PnsFit pns_jsonb_write_value(PnsJsonbWriter *writer,
									const PnsBsonValue *value,
									PnsJsonFormat format, Datum *result);

/* ---------- in convert*.c: a value to a Datum ---------- */

typedef struct PnsConverter PnsConverter;

/*
 * Makes a Datum of a value that is neither null nor undefined, in the current
 * context, or says why it does not fit.
 */
typedef PnsFit (*PnsConvert) (PnsConverter *converter,
							  const PnsBsonValue *value,
							  Datum *result);

/* How values become Datums of one type; filled by pns_converter_init. */
struct PnsConverter
{
	PnsConvert	convert;
	Oid			type;
	int32		typmod;
	PnsJsonFormat json_format;
	bool		null_on_mismatch;
	bool		may_throw;		/* runs functions that report errors
								 * themselves */
	bool		checks_null;	/* a domain's: pns_domain_check wants NULLs
								 * too */
	void	   *state;			/* of the kinds that need some */

	/* set by an array that does not fit because of an element */
	bool		element_misfits;
	PnsBsonType element_type;
};

extern void pns_converter_init(PnsConverter *converter, Oid type, int32 typmod,
							   bool null_on_mismatch,
							   PnsJsonFormat json_format);
extern Oid	pns_true_element_type(Oid type);
extern bool pns_type_has_values(Oid type);

/* in convert_number.c */
extern PnsFit pns_convert_int2(PnsConverter *converter, const PnsBsonValue *value, Datum *result);
extern PnsFit pns_convert_int4(PnsConverter *converter, const PnsBsonValue *value, Datum *result);
extern PnsFit pns_convert_int8(PnsConverter *converter, const PnsBsonValue *value, Datum *result);
extern PnsFit pns_convert_float4(PnsConverter *converter, const PnsBsonValue *value, Datum *result);
extern PnsFit pns_convert_float8(PnsConverter *converter, const PnsBsonValue *value, Datum *result);
extern PnsFit pns_convert_numeric(PnsConverter *converter, const PnsBsonValue *value, Datum *result);

/* in convert_text.c */
extern PnsFit pns_convert_text(PnsConverter *converter, const PnsBsonValue *value, Datum *result);
extern PnsFit pns_convert_varchar(PnsConverter *converter, const PnsBsonValue *value, Datum *result);
extern PnsFit pns_convert_bpchar(PnsConverter *converter, const PnsBsonValue *value, Datum *result);
extern PnsFit pns_convert_name(PnsConverter *converter, const PnsBsonValue *value, Datum *result);
extern PnsFit pns_convert_json(PnsConverter *converter, const PnsBsonValue *value, Datum *result);
extern PnsFit pns_convert_jsonb(PnsConverter *converter, const PnsBsonValue *value, Datum *result);

/* in convert_date.c */
extern PnsFit pns_convert_timestamp(PnsConverter *converter, const PnsBsonValue *value, Datum *result);
extern PnsFit pns_convert_date(PnsConverter *converter, const PnsBsonValue *value, Datum *result);

/* in convert_other.c */
extern PnsFit pns_convert_bool(PnsConverter *converter, const PnsBsonValue *value, Datum *result);
extern PnsFit pns_convert_bytea(PnsConverter *converter, const PnsBsonValue *value, Datum *result);
extern PnsFit pns_convert_objectid(PnsConverter *converter, const PnsBsonValue *value, Datum *result);
extern PnsFit pns_convert_uuid(PnsConverter *converter, const PnsBsonValue *value, Datum *result);
extern void pns_convert_enum_init(PnsConverter *converter);
extern void pns_convert_input_init(PnsConverter *converter);
extern bool pns_parse_uuid(const char *str, const char *end, uint8 *bytes);

/* in convert_array.c */
extern void pns_convert_array_init(PnsConverter *converter, Oid element_type);

/* in convert_domain.c */
extern void pns_convert_domain_init(PnsConverter *converter);
extern PnsFit pns_domain_check(PnsConverter *converter, Datum value, bool isnull);

/* ---------- in mismatch.c ---------- */

/* A column as messages speak of it, and the document that is being read. */
typedef struct PnsPlace
{
	const char *collection;
	const char *prefix;			/* the key of the document of this collection,
								 * or NULL where it is the whole */
	PnsDocument document;
	const char *column;
	const char *path;			/* NULL where the column holds the document */
	Oid			type;
	int32		typmod;
	bool		has_no_options; /* see PnsColumn */
} PnsPlace;

extern void pns_mismatch_report(const PnsPlace *place,
								const PnsConverter *converter,
								const PnsBsonValue *value,
								PnsFit fit) pg_attribute_noreturn();
extern void pns_mismatch_context(void *place);

/*
 * pns_bson_key_end finds the zero byte that ends a key, which must come before
 * end; XX001 where it does not.  Most keys are shorter than it takes to call
 * memchr.
 */
static inline const uint8 *
pns_bson_key_end(const uint8 *key, const uint8 *end)
{
	const uint8 *near = key + Min(end - key, 12);

	for (; key < near; key++)
	{
		if (*key == 0)
			return key;
	}
	key = memchr(key, 0, end - key);
	if (key == NULL)
		pns_bson_corrupt();
	return key;
}

/* ---------- in decimal.c ---------- */

#define PNS_DECIMAL_DIGITS 36	/* room for what 128 bits hold, in nines */
#define PNS_DECIMAL128_SIZE 48	/* of the text of any Decimal128 */
#define PNS_DOUBLE_SIZE 32		/* of the JSON text of any double */

typedef enum PnsDecimalKind
{
	PNS_DECIMAL_FINITE,
	PNS_DECIMAL_INFINITY,
	PNS_DECIMAL_NAN
} PnsDecimalKind;

/* A decimal number: digits * 10^exponent. */
typedef struct PnsDecimal
{
	PnsDecimalKind kind;
	bool		negative;
	int			exponent;
	int			ndigits;		/* at least 1; no leading zeros but in "0" */
	char		digits[PNS_DECIMAL_DIGITS + 1];
} PnsDecimal;

extern void pns_decimal_from_double(float8 number, PnsDecimal *decimal);
extern void pns_decimal_from_decimal128(const uint8 *data, PnsDecimal *decimal);
extern void pns_decimal_from_int64(int64 number, PnsDecimal *decimal);
extern Numeric pns_decimal_to_numeric(const PnsDecimal *decimal);
extern bool pns_decimal_to_int64(const PnsDecimal *decimal, int64 *number);
extern bool pns_decimal_fits(const PnsDecimal *decimal, int32 typmod);
extern void pns_decimal128_to_text(const uint8 *data, char *str);
extern int	pns_double_to_json(float8 number, char *str);
extern Numeric pns_double_to_json_numeric(float8 number);

/* ---------- in encode*.c: a Datum to a value ---------- */

/* Appends a value that is not NULL. */
typedef void (*PnsEncode) (PnsEncoder *encoder, PnsBsonBuilder *builder,
						   const char *key, Datum value);

struct PnsEncoder
{
	PnsEncode	encode;
	PnsEncoding encoding;		/* type and typmod are a domain's base */
	bool		may_throw;		/* runs functions whose errors do not tell of
								 * the column */
	void	   *state;			/* of the kinds that need some */
};

extern void pns_encoder_init(PnsEncoder *encoder, const PnsEncoding *encoding);
extern void pns_encode_refuse(const PnsEncoder *encoder, int sqlerrcode,
							  const char *detail, const char *hint)
			pg_attribute_noreturn();

/* in encode_number.c */
extern void pns_encode_int2(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value);
extern void pns_encode_int4(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value);
extern void pns_encode_int8(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value);
extern void pns_encode_float4(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value);
extern void pns_encode_float8(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value);
extern void pns_encode_numeric(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value);
extern void pns_encode_bool(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value);

/* in encode_date.c */
extern void pns_encode_timestamp(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value);
extern void pns_encode_date(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value);

/* in encode_text.c */
extern void pns_encode_text(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value);
extern void pns_encode_bpchar(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value);
extern void pns_encode_name(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value);
extern void pns_encode_json(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value);
extern void pns_encode_jsonb(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value);
extern void pns_encode_bytea(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value);
extern void pns_encode_uuid(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value);
extern void pns_encode_objectid(PnsEncoder *encoder, PnsBsonBuilder *builder, const char *key, Datum value);
extern void pns_encode_output_init(PnsEncoder *encoder);

/* in encode_array.c */
extern void pns_encode_array_init(PnsEncoder *encoder, Oid element_type);

/* ---------- in decimal_text.c ---------- */

/* What pns_decimal_parse made of a text. */
typedef enum PnsDecimalParse
{
	PNS_DECIMAL_PARSED,
	PNS_DECIMAL_INEXACT,		/* more digits than a Decimal128 has */
	PNS_DECIMAL_NO_NUMBER
} PnsDecimalParse;

extern PnsDecimalParse pns_decimal_parse(const char *str, PnsDecimal *decimal);
extern bool pns_decimal_to_decimal128(const PnsDecimal *decimal, uint8 *data);
extern bool pns_decimal_same_number(const PnsDecimal *a, const PnsDecimal *b);

/* ---------- in parse.c ---------- */

extern void pns_parse_jsonb(PnsBsonBuilder *builder, const char *key, Jsonb *json, const char *what);
extern void pns_parse_json(PnsBsonBuilder *builder, const char *key, text *json, const char *what);

/* ---------- in unwrap.c ---------- */

extern void pns_json_unwrap_members(PnsBsonBuilder *builder, PnsDocument document,
									bool array, const char *what);
extern void pns_json_unwrap(PnsBsonBuilder *builder, const char *key,
							const PnsBsonValue *value, const char *what);

#endif							/* PNS_MONGO_CODEC_H */
