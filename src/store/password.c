/*-------------------------------------------------------------------------
 *
 * password.c
 *	  PBKDF2, which one of the platform's password hashes is made with.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hmac.h"
#include "common/sha2.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"

#include "base/base.h"

#define MAX_ITERATIONS 10000000

PGDLLEXPORT PG_FUNCTION_INFO_V1(pns_store_derive_key);

static bool derive_block(pg_hmac_ctx *context, bytea *password, bytea *salt,
						 int iterations, uint8 *block);
static bool hmac(pg_hmac_ctx *context, bytea *password, const void *first,
				 size_t first_size, const void *second, size_t second_size,
				 uint8 *digest);

/*
 * pns_store_derive_key returns the first 32 bytes of PBKDF2 with HMAC-SHA-256
 * (RFC 8018) over a password and a salt.
 */
Datum
pns_store_derive_key(PG_FUNCTION_ARGS)
{
	bytea	   *password = PG_GETARG_BYTEA_PP(0);
	bytea	   *salt = PG_GETARG_BYTEA_PP(1);
	int			iterations = PG_GETARG_INT32(2);
	bytea	   *key = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	pg_hmac_ctx *context;
	bool		good;

	if (iterations < 1 || iterations > MAX_ITERATIONS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("number of iterations must be from 1 to %d",
						MAX_ITERATIONS)));
	SET_VARSIZE(key, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	context = pg_hmac_create(PG_SHA256);
	good = context != NULL &&
		derive_block(context, password, salt, iterations, (uint8 *) VARDATA(key));
	pg_hmac_free(context);
	if (InterruptPending)
		CHECK_FOR_INTERRUPTS();
	if (!good)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("could not compute an HMAC")));
	PG_RETURN_BYTEA_P(key);
}

/*
 * derive_block computes the first block; false on an error, and when a cancel
 * is pending, which the caller raises when it has freed the context.
 */
static bool
derive_block(pg_hmac_ctx *context, bytea *password, bytea *salt,
			 int iterations, uint8 *block)
{
	const uint32 number = pg_hton32(1);
	uint8		last[PG_SHA256_DIGEST_LENGTH];

	if (!hmac(context, password, VARDATA_ANY(salt), VARSIZE_ANY_EXHDR(salt),
			  &number, sizeof(number), last))
		return false;
	memcpy(block, last, sizeof(last));
	for (int i = 1; i < iterations; i++)
	{
		if (InterruptPending && (QueryCancelPending || ProcDiePending))
			return false;
		if (!hmac(context, password, last, sizeof(last), NULL, 0, last))
			return false;
		for (int j = 0; j < sizeof(last); j++)
			block[j] ^= last[j];
	}
	return true;
}

/* hmac computes an HMAC over two pieces; false on an error. */
static bool
hmac(pg_hmac_ctx *context, bytea *password, const void *first,
	 size_t first_size, const void *second, size_t second_size, uint8 *digest)
{
	return pg_hmac_init(context, (const uint8 *) VARDATA_ANY(password),
						VARSIZE_ANY_EXHDR(password)) >= 0 &&
		pg_hmac_update(context, first, first_size) >= 0 &&
		(second == NULL ||
		 pg_hmac_update(context, second, second_size) >= 0) &&
		pg_hmac_final(context, digest, PG_SHA256_DIGEST_LENGTH) >= 0;
}
