/*-------------------------------------------------------------------------
 *
 * configuration.c
 *	  Which environment the server is in, and the secrets that settings name.
 *
 * The rest of the configuration is SQL (configuration.sql).  Here is what SQL
 * cannot do: look at the environment variables of the server process, and at
 * the files of one directory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "catalog/pg_authid.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "store/private.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#define MAX_SECRET_SIZE 65536

typedef enum Environment
{
	ENVIRONMENT_AUTO,
	ENVIRONMENT_DEVELOPMENT,
	ENVIRONMENT_TESTING,
	ENVIRONMENT_PRODUCTION
} Environment;

static const struct config_enum_entry environments[] = {
	{"auto", ENVIRONMENT_AUTO, false},
	{"development", ENVIRONMENT_DEVELOPMENT, false},
	{"testing", ENVIRONMENT_TESTING, false},
	{"production", ENVIRONMENT_PRODUCTION, false},
	{NULL, 0, false}
};

/* The variables of the server's environment, the first that is set counts. */
static const char *const variables[] = {"PYNOMALY_ENV", "PYNOMALY_DB_PROFILE"};

/* What was found: the environment's name, where, and what is odd about it. */
typedef struct Detection
{
	const char *environment;
	const char *source;
	char	   *note;			/* NULL where nothing is */
} Detection;

static int	environment_setting = ENVIRONMENT_AUTO;
static char *secrets_directory = NULL;

PG_FUNCTION_INFO_V1(pns_store_current_environment);
PG_FUNCTION_INFO_V1(pns_store_describe_environment);
PG_FUNCTION_INFO_V1(pns_store_resolve_secret);

PGDLLEXPORT Datum pns_store_current_environment(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_store_describe_environment(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum pns_store_resolve_secret(PG_FUNCTION_ARGS);

static bool check_secrets_directory(char **newval, void **extra,
									GucSource source);
static Detection detect_environment(void);
static const char *environment_named(const char *name);
static text *secret_of_variable(const char *name);
static text *secret_of_file(const char *name);
static char *secret_path(const char *name);
static text *secret_text(const char *bytes, int size, const char *reference);

/*
 * pns_store_define_configuration defines the settings of this file.
 */
void
pns_store_define_configuration(void)
{
	DefineCustomEnumVariable("pynomaly_store.environment",
							 "Says which environment this is.",
							 "With auto the server's environment variables "
							 "PYNOMALY_ENV and PYNOMALY_DB_PROFILE say it; "
							 "without them it is production.",
							 &environment_setting,
							 ENVIRONMENT_AUTO,
							 environments,
							 PGC_SUSET,
							 0,
							 NULL, NULL, NULL);

	DefineCustomStringVariable("pynomaly_store.secrets_directory",
							   "Names the directory that secrets are read "
							   "from.",
							   "A setting with the value file:NAME means the "
							   "file NAME below it. Empty, there are none.",
							   &secrets_directory,
							   "",
							   PGC_SUSET,
							   GUC_SUPERUSER_ONLY,
							   check_secrets_directory, NULL, NULL);
}

/*
 * check_secrets_directory refuses a path that means something else in another
 * working directory.
 */
static bool
check_secrets_directory(char **newval, void **extra, GucSource source)
{
	if (**newval == '\0' || is_absolute_path(*newval))
		return true;
	GUC_check_errdetail("It must be an absolute path, or empty.");
	return false;
}

/*
 * pns_store_current_environment returns development, testing or production.
 */
Datum
pns_store_current_environment(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(detect_environment().environment));
}

/*
 * pns_store_describe_environment returns the environment, what says so, and a
 * note where a variable of the server's environment could not be understood.
 */
Datum
pns_store_describe_environment(PG_FUNCTION_ARGS)
{
	Detection	found = detect_environment();
	TupleDesc	descriptor;
	Datum		values[3];
	bool		nulls[3] = {false, false, found.note == NULL};

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("function returns a row")));
	values[0] = CStringGetTextDatum(found.environment);
	values[1] = CStringGetTextDatum(found.source);
	values[2] = found.note ? CStringGetTextDatum(found.note) : (Datum) 0;
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor),
													  values, nulls)));
}

/*
 * detect_environment decides by the setting, then by the server's environment
 * variables.  Where none of them says one of the three names it is
 * production, the most careful of them.
 */
static Detection
detect_environment(void)
{
	Detection	found = {"production", "default", NULL};

	if (environment_setting != ENVIRONMENT_AUTO)
	{
		found.environment = environments[environment_setting].name;
		found.source = "pynomaly_store.environment";
		return found;
	}
	for (int i = 0; i < lengthof(variables); i++)
	{
		const char *value = getenv(variables[i]);
		const char *name;

		if (value == NULL || *value == '\0')
			continue;
		name = environment_named(value);
		if (name != NULL)
		{
			found.environment = name;
			found.source = variables[i];
		}
		else
			found.note = psprintf("The value of %s in the server's "
								  "environment is not one of development, "
								  "testing, production.", variables[i]);
		break;
	}
	return found;
}

/*
 * environment_named returns our spelling of an environment's name, NULL where
 * it is none.
 */
static const char *
environment_named(const char *name)
{
	for (int i = ENVIRONMENT_DEVELOPMENT; environments[i].name != NULL; i++)
		if (pg_strcasecmp(environments[i].name, name) == 0)
			return environments[i].name;
	return NULL;
}

/*
 * pns_store_resolve_secret returns the secret that a reference env:NAME or
 * file:NAME stands for.
 *
 * It reads what only the server's operating system user can read, so it is
 * for those who may read the server's files anyway.
 */
Datum
pns_store_resolve_secret(PG_FUNCTION_ARGS)
{
	char	   *reference = text_to_cstring(PG_GETARG_TEXT_PP(0));

	if (!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to read a secret"),
				 errdetail("Only roles with privileges of the role \"%s\" may read secrets.",
						   "pg_read_server_files")));
	if (strncmp(reference, "env:", 4) == 0)
		PG_RETURN_TEXT_P(secret_of_variable(reference + 4));
	if (strncmp(reference, "file:", 5) == 0)
		PG_RETURN_TEXT_P(secret_of_file(reference + 5));
	/* what was passed may be the secret itself: do not show it */
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("not a reference to a secret"),
			 errhint("A reference is env:NAME or file:NAME.")));
}

/*
 * secret_of_variable returns the value of a variable of the server's
 * environment.
 */
static text *
secret_of_variable(const char *name)
{
	const char *value = getenv(name);

	if (value == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("the server's environment has no variable \"%s\"",
						name)));
	return secret_text(value, strlen(value), name);
}

/*
 * secret_of_file returns the content of a file below the secrets' directory,
 * without the newline at its end.
 */
static text *
secret_of_file(const char *name)
{
	char	   *path = secret_path(name);
	FILE	   *file = NULL;
	struct stat status;
	char	   *content;
	size_t		size;

	/* first of all, since opening a pipe would wait for its writer */
	if (stat(path, &status) == 0)
	{
		if (!S_ISREG(status.st_mode) || status.st_size > MAX_SECRET_SIZE)
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("secret \"%s\" is not a regular file of at most %d bytes",
							name, MAX_SECRET_SIZE)));
		file = AllocateFile(path, PG_BINARY_R);
	}
	if (file == NULL)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not open the file of the secret \"%s\": %m",
							   name)));
	content = palloc(MAX_SECRET_SIZE);
	size = fread(content, 1, MAX_SECRET_SIZE, file);
	if (ferror(file))
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not read the file of the secret \"%s\": %m",
							   name)));
	FreeFile(file);
	if (size > 0 && content[size - 1] == '\n')
		size--;
	if (size > 0 && content[size - 1] == '\r')
		size--;
	return secret_text(content, size, name);
}

/*
 * secret_path returns the true path of a secret's file, and makes sure that it
 * is below the directory, wherever symbolic links lead.
 */
static char *
secret_path(const char *name)
{
	char	   *directory;
	char	   *path;
	char	   *result;
	size_t		length;
	bool		inside;

	if (secrets_directory == NULL || *secrets_directory == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no directory of secrets is configured"),
				 errhint("Set pynomaly_store.secrets_directory.")));
	directory = realpath(secrets_directory, NULL);
	if (directory == NULL)
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not find the directory of secrets: %m")));
	path = realpath(psprintf("%s/%s", secrets_directory, name), NULL);
	if (path == NULL)
	{
		int			why = errno;

		free(directory);
		errno = why;
		ereport(ERROR, (errcode_for_file_access(),
						errmsg("could not find the file of the secret \"%s\": %m",
							   name)));
	}
	length = strlen(directory);
	inside = strncmp(path, directory, length) == 0 &&
		(path[length] == '/' || length == 1);
	free(directory);
	result = inside ? pstrdup(path) : NULL;
	free(path);
	if (!inside)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("secret \"%s\" is outside of the directory of secrets",
						name)));
	return result;
}

/*
 * secret_text makes text of a secret's bytes, which must be valid in the
 * database's encoding.  The message does not show them.
 */
static text *
secret_text(const char *bytes, int size, const char *reference)
{
	if (!pg_verify_mbstr(GetDatabaseEncoding(), bytes, size, true))
		ereport(ERROR,
				(errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
				 errmsg("secret \"%s\" is not text in the database's encoding",
						reference)));
	return cstring_to_text_with_len(bytes, size);
}
