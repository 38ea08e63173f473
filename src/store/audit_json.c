/*-------------------------------------------------------------------------
 *
 * audit_json.c
 *	  Rows as the jsonb that the audit log keeps.
 *
 * Numbers, booleans, json and points in time become the corresponding jsonb;
 * every other type is a string in PostgreSQL's own text form.  What the log must
 * not hold is masked: values of columns, and of keys in jsonb, that are named
 * like a secret.  A value that is too large is replaced by its size and digest.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "store/audit.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"

static char mask[] = "********";

/* A name with one of these in it, in any case, is the name of a secret. */
static const char *const secret_words[] = {
	"password", "passwd", "secret", "token", "api_key", "apikey", "key_hash",
	"private_key", "credential", "authorization"
};

static void push_column(JsonbParseState **state, Form_pg_attribute attribute,
						Datum value, bool isnull, int max_size);
static void push_key(JsonbParseState **state, const char *name);
static void push_string(JsonbParseState **state, const char *string);
static void push_value(JsonbParseState **state, Oid type, Datum value);
static void push_number(JsonbParseState **state, Oid type, Datum value);
static void push_time(JsonbParseState **state, Oid type, Datum value);
static void push_digest(JsonbParseState **state, Oid type, Datum value);
static void push_jsonb(JsonbParseState **state, Jsonb *jsonb, bool masked);
static bool is_secret_name(const char *name, int length);
static bool is_maskable(Oid type);
static Oid	plain_type(Oid type);

/*
 * pns_store_audit_row returns the columns of a row as a jsonb object: those
 * that wanted says, or all where it is NULL.
 */
Jsonb *
pns_store_audit_row(TupleDesc descriptor, const Datum *values,
					const bool *nulls, const bool *wanted, int max_size)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < descriptor->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(descriptor, i);

		if (!attribute->attisdropped && (wanted == NULL || wanted[i]))
			push_column(&state, attribute, values[i], nulls[i], max_size);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/*
 * pns_store_audit_mask returns a copy of a jsonb in which the values of keys
 * that are named like a secret are masked.
 */
Jsonb *
pns_store_audit_mask(Jsonb *jsonb)
{
	JsonbParseState *state = NULL;
	JsonbValue *object;
	JsonbValue *result;

	/* a state of its own level, so that a bare scalar has somewhere to go */
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_key(&state, "");
	push_jsonb(&state, jsonb, false);
	object = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	result = &object->val.object.pairs[0].value;
	return JsonbValueToJsonb(result);
}

/*
 * push_column adds a column's name and what the log keeps of its value.
 */
static void
push_column(JsonbParseState **state, Form_pg_attribute attribute, Datum value,
			bool isnull, int max_size)
{
	const char *name = NameStr(attribute->attname);
	Oid			type = plain_type(attribute->atttypid);
	bool		secret = is_secret_name(name, strlen(name));
	JsonbValue	null = {.type = jbvNull};

	push_key(state, name);
	if (isnull)
		pushJsonbValue(state, WJB_VALUE, &null);
	else if (secret && is_maskable(type))
		push_string(state, mask);
	else if (attribute->attlen == -1 &&
			 toast_raw_datum_size(value) - VARHDRSZ > max_size)
		push_digest(state, type, value);
	else if (type == JSONBOID)
		push_jsonb(state, DatumGetJsonbP(value), secret);
	else
		push_value(state, type, value);
}

/* push_key adds the key of the next value. */
static void
push_key(JsonbParseState **state, const char *name)
{
	JsonbValue	key = {.type = jbvString};

	key.val.string.val = unconstify(char *, name);
	key.val.string.len = strlen(name);
	pushJsonbValue(state, WJB_KEY, &key);
}

/* push_string adds a value, a string, which must live as long as the state. */
static void
push_string(JsonbParseState **state, const char *string)
{
	JsonbValue	value = {.type = jbvString};

	value.val.string.val = unconstify(char *, string);
	value.val.string.len = strlen(string);
	pushJsonbValue(state, WJB_VALUE, &value);
}

/*
 * push_value adds a value of any type but jsonb.
 */
static void
push_value(JsonbParseState **state, Oid type, Datum value)
{
	JsonbValue	boolean = {.type = jbvBool};
	Oid			output;
	bool		varlena;

	switch (type)
	{
		case BOOLOID:
			boolean.val.boolean = DatumGetBool(value);
			pushJsonbValue(state, WJB_VALUE, &boolean);
			break;
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
			push_number(state, type, value);
			break;
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			push_time(state, type, value);
			break;
		case TEXTOID:
			push_string(state, TextDatumGetCString(value));
			break;
		default:
			getTypeOutputInfo(type, &output, &varlena);
			push_string(state, OidOutputFunctionCall(output, value));
	}
}

/*
 * push_number adds a number; NaN and the infinities, which are no JSON, become
 * strings.
 */
static void
push_number(JsonbParseState **state, Oid type, Datum value)
{
	JsonbValue	number = {.type = jbvNumeric};
	Oid			output;
	bool		varlena;
	char	   *digits;

	switch (type)
	{
		case INT2OID:
			number.val.numeric = int64_to_numeric(DatumGetInt16(value));
			break;
		case INT4OID:
			number.val.numeric = int64_to_numeric(DatumGetInt32(value));
			break;
		case INT8OID:
			number.val.numeric = int64_to_numeric(DatumGetInt64(value));
			break;
		default:
			/* the shortest form that reads back as the same value */
			getTypeOutputInfo(type, &output, &varlena);
			digits = OidOutputFunctionCall(output, value);
			if (strpbrk(digits, "0123456789") == NULL)
			{
				push_string(state, digits);
				return;
			}
			number.val.numeric = type == NUMERICOID ? DatumGetNumeric(value) :
				DatumGetNumeric(DirectFunctionCall3(numeric_in,
													CStringGetDatum(digits),
													ObjectIdGetDatum(InvalidOid),
													Int32GetDatum(-1)));
	}
	pushJsonbValue(state, WJB_VALUE, &number);
}

/*
 * push_time adds a point in time in the form of ISO 8601; one with a time zone
 * in UTC, whatever the session's.
 */
static void
push_time(JsonbParseState **state, Oid type, Datum value)
{
	const int	utc = 0;

	push_string(state, JsonEncodeDateTime(palloc(MAXDATELEN + 1), value, type,
										  type == TIMESTAMPTZOID ? &utc : NULL));
}

/*
 * push_digest adds, in the place of a large value, its size and the SHA-256 of
 * its binary form (what the type's send function returns).
 */
static void
push_digest(JsonbParseState **state, Oid type, Datum value)
{
	JsonbValue	bytes = {.type = jbvNumeric};
	Oid			send;
	bool		varlena;
	bytea	   *form;
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	char	   *hex = palloc(2 * sizeof(digest) + 1);

	getTypeBinaryOutputInfo(type, &send, &varlena);
	form = OidSendFunctionCall(send, value);
	pns_store_sha256(VARDATA_ANY(form), VARSIZE_ANY_EXHDR(form), digest);
	hex_encode((char *) digest, sizeof(digest), hex);
	hex[2 * sizeof(digest)] = '\0';
	bytes.val.numeric = int64_to_numeric(VARSIZE_ANY_EXHDR(form));

	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	push_key(state, "omitted_bytes");
	pushJsonbValue(state, WJB_VALUE, &bytes);
	push_key(state, "sha256");
	push_string(state, hex);
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/*
 * push_jsonb adds a jsonb value, masking the strings and numbers below each key
 * that is named like a secret; all of them where masked is set.
 */
static void
push_jsonb(JsonbParseState **state, Jsonb *jsonb, bool masked)
{
	JsonbIterator *iterator = JsonbIteratorInit(&jsonb->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	int			level = 0;
	int			secret_level = masked ? -1 : 0; /* of the key; 0: none */

	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		bool		scalar_root = jsonb->root.header & JB_FSCALAR;

		switch (token)
		{
			case WJB_BEGIN_ARRAY:
			case WJB_BEGIN_OBJECT:
				level++;
				if (!scalar_root)
					pushJsonbValue(state, token, NULL);
				break;
			case WJB_END_ARRAY:
			case WJB_END_OBJECT:
				if (secret_level == level)
					secret_level = 0;
				level--;
				if (!scalar_root)
					pushJsonbValue(state, token, NULL);
				break;
			case WJB_KEY:
				if (secret_level == level)
					secret_level = 0;
				if (secret_level == 0 && is_secret_name(value.val.string.val,
														value.val.string.len))
					secret_level = level;
				pushJsonbValue(state, token, &value);
				break;
			default:
				if (secret_level != 0 &&
					(value.type == jbvString || value.type == jbvNumeric))
				{
					value.type = jbvString;
					value.val.string.val = mask;
					value.val.string.len = strlen(mask);
				}
				pushJsonbValue(state, scalar_root ? WJB_VALUE : token, &value);
		}
	}
}

/*
 * is_secret_name says whether a column or a key is named like a secret.
 */
static bool
is_secret_name(const char *name, int length)
{
	for (int i = 0; i < lengthof(secret_words); i++)
	{
		const char *word = secret_words[i];
		int			size = strlen(word);

		/* the first letter, in any case, sorts nearly all places out */
		for (int at = 0; at + size <= length; at++)
			if ((name[at] | 0x20) == word[0] &&
				pg_strncasecmp(name + at, word, size) == 0)
				return true;
	}
	return false;
}

/*
 * is_maskable says whether a column of such a name and this type can hold a
 * secret: password_changed_at and token_count do not.
 */
static bool
is_maskable(Oid type)
{
	switch (type)
	{
		case BOOLOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case INTERVALOID:
		case UUIDOID:
		case JSONBOID:			/* its strings and numbers are masked */
			return false;
		default:
			return true;
	}
}

/*
 * plain_type returns the type that decides how a value looks: a domain is as
 * its base type, and what is stored as text is text.
 */
static Oid
plain_type(Oid type)
{
	type = getBaseType(type);
	return type == VARCHAROID ? TEXTOID : type;
}
