/*-------------------------------------------------------------------------
 *
 * text.c
 *	  Strings of documents in the database's encoding.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "mongo/codec.h"

static bool is_ascii(const char *str, uint32 size);
static PnsFit convert(const char **str, uint32 *size);

/*
 * pns_text_to_server replaces a string, UTF-8 by BSON's rules, by the same in
 * the database's encoding, palloc'd where it had to be converted.  A string
 * with a zero byte fits no text of PostgreSQL.  A database in SQL_ASCII takes
 * bytes as they are.
 */
PnsFit
pns_text_to_server(const char **str, uint32 *size)
{
	int			valid;

	if (GetDatabaseEncoding() == PG_SQL_ASCII)
		return memchr(*str, 0, *size) != NULL ? PNS_MISFIT_NUL : PNS_FITS;

	/* stops at a zero byte too */
	valid = pg_encoding_verifymbstr(PG_UTF8, *str, *size);
	if (valid != *size)
		return (*str)[valid] == '\0' ? PNS_MISFIT_NUL : PNS_MISFIT_UTF8;
	if (GetDatabaseEncoding() == PG_UTF8 || is_ascii(*str, *size))
		return PNS_FITS;
	return convert(str, size);
}

/*
 * pns_text_from_server returns a string of the database's encoding in UTF-8,
 * which is the string itself where they are the same.
 */
const char *
pns_text_from_server(const char *str)
{
	return pg_server_to_any(str, strlen(str), PG_UTF8);
}

/* is_ascii tells whether a string is the same in every server encoding. */
static bool
is_ascii(const char *str, uint32 size)
{
	for (uint32 i = 0; i < size; i++)
	{
		if (IS_HIGHBIT_SET(str[i]))
			return false;
	}
	return true;
}

/*
 * convert turns valid UTF-8 into the database's encoding.  The conversion is
 * looked up once per session, as PostgreSQL does for a client's encoding.
 */
static PnsFit
convert(const char **str, uint32 *size)
{
	static Oid	procedure = InvalidOid;
	Size		room = (Size) *size * MAX_CONVERSION_GROWTH + 1;
	char	   *converted;

	if (!OidIsValid(procedure))
		procedure = FindDefaultConversionProc(PG_UTF8, GetDatabaseEncoding());
	if (!OidIsValid(procedure))
		return PNS_MISFIT_ENCODING;
	converted = palloc(room);
	if (pg_do_encoding_conversion_buf(procedure, PG_UTF8, GetDatabaseEncoding(),
									  (unsigned char *) *str, *size,
									  (unsigned char *) converted, room,
									  true) != *size)
	{
		pfree(converted);
		return PNS_MISFIT_ENCODING;
	}
	*str = converted;
	*size = strlen(converted);
	return PNS_FITS;
}
