/*-------------------------------------------------------------------------
 *
 * options.c
 *	  The options of servers and user mappings that make a connection.
 *
 * One table says which there are, where each may stand, what its values look
 * like and where it is kept.  The names of mongo_fdw are accepted too.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "mongo/private.h"

#include "catalog/pg_authid_d.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/acl.h"
#include "utils/builtins.h"

/* MongoDB's limits, in bytes of UTF-8. */
#define PNS_DATABASE_NAME_MAX 63
#define PNS_COLLECTION_NAME_MAX 253
#define PNS_APPLICATION_NAME_MAX 128

#define PNS_SOCKET_PATH_SIZE sizeof(((struct sockaddr_un *) NULL)->sun_path)

typedef enum OptionKind
{
	OPTION_TEXT,
	OPTION_URI,
	OPTION_HOST,
	OPTION_PORT,
	OPTION_MILLISECONDS,
	OPTION_SWITCH,
	OPTION_FILE,
	OPTION_READ_PREFERENCE,
	OPTION_MECHANISM,
	OPTION_TRANSACTION_MODE,
	OPTION_APPLICATION_NAME,
	OPTION_MISPLACED			/* a secret that mongo_fdw has on servers */
} OptionKind;

/* One option in one catalog. */
typedef struct ConnectionOption
{
	const char *name;
	Oid			catalog;
	OptionKind	kind;
	size_t		offset;			/* of its field in PnsMongoOptions */
	const char *alias_of;		/* our name, where this one is mongo_fdw's */
} ConnectionOption;

#define FIELD(name) offsetof(PnsMongoOptions, name)
#define ON_SERVER ForeignServerRelationId
#define ON_MAPPING UserMappingRelationId

static const ConnectionOption connection_options[] = {
	{"application_name", ON_SERVER, OPTION_APPLICATION_NAME, FIELD(application_name), NULL},
	{"authentication_database", ON_SERVER, OPTION_TEXT, FIELD(authentication_database), NULL},
	{"authentication_mechanism", ON_SERVER, OPTION_MECHANISM, FIELD(authentication_mechanism), NULL},
	{"connect_timeout", ON_SERVER, OPTION_MILLISECONDS, FIELD(connect_timeout), NULL},
	{"host", ON_SERVER, OPTION_HOST, FIELD(host), NULL},
	{"port", ON_SERVER, OPTION_PORT, FIELD(port), NULL},
	{"read_preference", ON_SERVER, OPTION_READ_PREFERENCE, FIELD(read_preference), NULL},
	{"replica_set", ON_SERVER, OPTION_TEXT, FIELD(replica_set), NULL},
	{"tls", ON_SERVER, OPTION_SWITCH, FIELD(tls), NULL},
	{"tls_allow_invalid_certificates", ON_SERVER, OPTION_SWITCH, FIELD(tls_allow_invalid_certificates), NULL},
	{"tls_allow_invalid_hostnames", ON_SERVER, OPTION_SWITCH, FIELD(tls_allow_invalid_hostnames), NULL},
	{"tls_ca_directory", ON_SERVER, OPTION_FILE, FIELD(tls_ca_directory), NULL},
	{"tls_ca_file", ON_SERVER, OPTION_FILE, FIELD(tls_ca_file), NULL},
	{"tls_certificate_key_file", ON_SERVER, OPTION_FILE, FIELD(tls_certificate_key_file), NULL},
	{"tls_crl_file", ON_SERVER, OPTION_FILE, FIELD(tls_crl_file), NULL},
	{"transaction_mode", ON_SERVER, OPTION_TRANSACTION_MODE, FIELD(transaction_mode), NULL},
	{"uri", ON_SERVER, OPTION_URI, FIELD(uri), NULL},

	{"address", ON_SERVER, OPTION_HOST, FIELD(host), "host"},
	{"ca_dir", ON_SERVER, OPTION_FILE, FIELD(tls_ca_directory), "tls_ca_directory"},
	{"ca_file", ON_SERVER, OPTION_FILE, FIELD(tls_ca_file), "tls_ca_file"},
	{"crl_file", ON_SERVER, OPTION_FILE, FIELD(tls_crl_file), "tls_crl_file"},
	{"pem_file", ON_SERVER, OPTION_FILE, FIELD(tls_certificate_key_file), "tls_certificate_key_file"},
	{"pem_pwd", ON_SERVER, OPTION_MISPLACED, 0, "tls_certificate_key_password"},
	{"ssl", ON_SERVER, OPTION_SWITCH, FIELD(tls), "tls"},
	{"weak_cert_validation", ON_SERVER, OPTION_SWITCH, FIELD(tls_allow_invalid_certificates), "tls_allow_invalid_certificates"},

	{"authentication_database", ON_MAPPING, OPTION_TEXT, FIELD(authentication_database), NULL},
	{"authentication_mechanism", ON_MAPPING, OPTION_MECHANISM, FIELD(authentication_mechanism), NULL},
	{"password", ON_MAPPING, OPTION_TEXT, FIELD(password), NULL},
	{"tls_certificate_key_file", ON_MAPPING, OPTION_FILE, FIELD(tls_certificate_key_file), NULL},
	{"tls_certificate_key_password", ON_MAPPING, OPTION_TEXT, FIELD(tls_certificate_key_password), NULL},
	{"uri", ON_MAPPING, OPTION_URI, FIELD(uri), NULL},
	{"username", ON_MAPPING, OPTION_TEXT, FIELD(username), NULL},

	{"pem_file", ON_MAPPING, OPTION_FILE, FIELD(tls_certificate_key_file), "tls_certificate_key_file"},
	{"pem_pwd", ON_MAPPING, OPTION_TEXT, FIELD(tls_certificate_key_password), "tls_certificate_key_password"},
};

static const char *const read_preferences[] = {
	"primary", "primaryPreferred", "secondary", "secondaryPreferred", "nearest", NULL
};

/* In the order of PnsTransactionMode. */
static const char *const transaction_modes[] = {
	"auto", "session", "outbox", "none", NULL
};

/*
 * Mechanisms that take what the user mapping has.  GSSAPI and MONGODB-AWS are
 * left out: they would log in as whoever the PostgreSQL server is.
 */
static const char *const mechanisms[] = {
	"SCRAM-SHA-256", "SCRAM-SHA-1", "MONGODB-X509", "PLAIN", NULL
};

static const ConnectionOption *find_option(const char *name, Oid catalog);
static void check_single(List *defs, int position,
						 const ConnectionOption *option);
static void apply_option(PnsMongoOptions *options,
						 const ConnectionOption *option, DefElem *def);
static int	parse_number(const char *name, const char *value, int maximum);
static int	check_listed(const char *name, const char *value,
						 const char *const *allowed);
static void check_host(const char *name, const char *value);

/*
 * pns_mongo_is_option tells whether name is an option of this room in catalog.
 */
bool
pns_mongo_is_option(const char *name, Oid catalog)
{
	return find_option(name, catalog) != NULL;
}

/*
 * pns_mongo_option_names lists our names in catalog for a hint, without the
 * aliases.
 */
List *
pns_mongo_option_names(Oid catalog)
{
	List	   *names = NIL;

	for (int i = 0; i < lengthof(connection_options); i++)
	{
		const ConnectionOption *option = &connection_options[i];

		if (option->catalog == catalog && option->alias_of == NULL)
			names = lappend(names, pstrdup(option->name));
	}
	return names;
}

/*
 * pns_mongo_check_options checks what a DDL command gives to one object.  The
 * command may be an ALTER, but the list is always the whole of the object's
 * options; of the other object that makes up a connection nothing is known.
 */
void
pns_mongo_check_options(List *defs, Oid catalog)
{
	PnsMongoOptions options = {0};

	for (int i = 0; i < list_length(defs); i++)
	{
		DefElem    *def = list_nth_node(DefElem, defs, i);
		const ConnectionOption *option = find_option(def->defname, catalog);

		if (option == NULL)
			continue;
		check_single(defs, i, option);
		apply_option(&options, option, def);
		if (option->kind == OPTION_FILE)
			pns_mongo_check_file(option->name, defGetString(def));
	}
	if (options.uri != NULL)
		pns_mongo_check_uri(&options, catalog);
}

/*
 * pns_mongo_get_options gives what the options of a server and of a user
 * mapping say together; where both say something, the mapping counts.  The
 * strings are those of the lists.
 *
 * A uri in the mapping may bring credentials, but it may not lead away from
 * the hosts that the server names: its owner decided where to connect.
 */
PnsMongoOptions *
pns_mongo_get_options(List *server, List *mapping)
{
	PnsMongoOptions *options = palloc0(sizeof(PnsMongoOptions));
	const char *server_uri;
	ListCell   *cell;

	foreach(cell, server)
	{
		DefElem    *def = lfirst_node(DefElem, cell);
		const ConnectionOption *option = find_option(def->defname, ON_SERVER);

		if (option != NULL)
			apply_option(options, option, def);
	}
	server_uri = options->uri;
	foreach(cell, mapping)
	{
		DefElem    *def = lfirst_node(DefElem, cell);
		const ConnectionOption *option = find_option(def->defname, ON_MAPPING);

		if (option != NULL)
			apply_option(options, option, def);
	}
	if (server_uri != NULL && options->uri != server_uri)
		pns_mongo_check_same_hosts(server_uri, options->uri);
	if (server_uri == NULL && options->uri != NULL)
	{
		/* where a server leads is not for its users to say */
		if (options->host == NULL)
			options->host = PNS_DEFAULT_HOST;
		if (options->port == 0)
			options->port = MONGOC_DEFAULT_PORT;
	}
	return options;
}

/*
 * pns_mongo_check_file refuses a file that the server process cannot read, and
 * refuses those who may not read the server's files to name any.  The right comes
 * first, or the error would tell them which files there are.
 */
void
pns_mongo_check_file(const char *name, const char *path)
{
	if (!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set the option \"%s\"", name),
				 errdetail("It names a file of the PostgreSQL server."),
				 errhint("Members of the role pg_read_server_files may set it.")));
	if (!is_absolute_path(path))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("option \"%s\" must be an absolute path", name),
				 errhint("It names a file of the PostgreSQL server, beginning with a slash.")));
	if (access(path, R_OK) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read the file \"%s\" of option \"%s\": %m",
						path, name),
				 errhint("The file must be readable by the operating system's user that runs the PostgreSQL server.")));
}

/*
 * pns_mongo_check_mechanism refuses a way to log in that is not ours to use.
 */
void
pns_mongo_check_mechanism(const char *name, const char *mechanism)
{
	(void) check_listed(name, mechanism, mechanisms);
}

/*
 * pns_mongo_check_database_name refuses what MongoDB refuses as the name of a
 * database.
 */
void
pns_mongo_check_database_name(const char *name)
{
	char	   *utf8 = pg_server_to_any(name, strlen(name), PG_UTF8);

	if (*utf8 == '\0' || strlen(utf8) > PNS_DATABASE_NAME_MAX ||
		strpbrk(utf8, "/\\. \"$") != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("\"%s\" cannot be the name of a MongoDB database", name),
				 errhint("Such a name has 1 to %d bytes and no slash, backslash, dot, blank, double quote or dollar sign.",
						 PNS_DATABASE_NAME_MAX)));
}

/*
 * pns_mongo_check_collection_name refuses what MongoDB refuses as the name of
 * a collection.
 */
void
pns_mongo_check_collection_name(const char *name)
{
	char	   *utf8 = pg_server_to_any(name, strlen(name), PG_UTF8);

	if (*utf8 == '\0' || *utf8 == '.' || strchr(utf8, '$') != NULL ||
		strlen(utf8) > PNS_COLLECTION_NAME_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("\"%s\" cannot be the name of a MongoDB collection", name),
				 errhint("Such a name has 1 to %d bytes, does not begin with a dot and has no dollar sign.",
						 PNS_COLLECTION_NAME_MAX)));
}

/*
 * pns_mongo_find_operator finds a field that begins with a dollar.
 */
const char *
pns_mongo_find_operator(PnsDocument document)
{
	PnsBsonIterator iterator;

	pns_bson_iterate(&iterator, document);
	while (pns_bson_next(&iterator))
	{
		if (*iterator.key == '$')
			return pg_any_to_server(iterator.key, iterator.key_size, PG_UTF8);
	}
	return NULL;
}

/* find_option finds a name in the table, NULL where it is not ours. */
static const ConnectionOption *
find_option(const char *name, Oid catalog)
{
	for (int i = 0; i < lengthof(connection_options); i++)
	{
		if (connection_options[i].catalog == catalog &&
			strcmp(connection_options[i].name, name) == 0)
			return &connection_options[i];
	}
	return NULL;
}

/*
 * check_single refuses an option whose other name, ours or mongo_fdw's, stands
 * before it in the list.
 */
static void
check_single(List *defs, int position, const ConnectionOption *option)
{
	for (int i = 0; i < position; i++)
	{
		DefElem    *def = list_nth_node(DefElem, defs, i);
		const ConnectionOption *other = find_option(def->defname, option->catalog);

		if (other != NULL && other->kind != OPTION_MISPLACED &&
			other->offset == option->offset)
			ereport(ERROR,
					(errcode(ERRCODE_SYNTAX_ERROR),
					 errmsg("conflicting or redundant options"),
					 errdetail("The options \"%s\" and \"%s\" are two names of the same.",
							   other->name, option->name)));
	}
}

/*
 * apply_option parses a value into its field.  Errors name the option; of a
 * secret they do not show the value.
 */
static void
apply_option(PnsMongoOptions *options, const ConnectionOption *option,
			 DefElem *def)
{
	void	   *field = (char *) options + option->offset;
	const char *value = defGetString(def);

	switch (option->kind)
	{
		case OPTION_PORT:
			*(int *) field = parse_number(option->name, value, 65535);
			return;
		case OPTION_MILLISECONDS:
			*(int *) field = parse_number(option->name, value, PG_INT32_MAX);
			return;
		case OPTION_SWITCH:
			*(PnsMongoSwitch *) field =
				defGetBoolean(def) ? PNS_SWITCH_ON : PNS_SWITCH_OFF;
			return;
		case OPTION_READ_PREFERENCE:
			(void) check_listed(option->name, value, read_preferences);
			break;
		case OPTION_MECHANISM:
			pns_mongo_check_mechanism(option->name, value);
			break;
		case OPTION_TRANSACTION_MODE:
			*(PnsTransactionMode *) field = check_listed(option->name, value, transaction_modes);
			return;
		case OPTION_HOST:
			check_host(option->name, value);
			break;
		case OPTION_MISPLACED:
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errmsg("option \"%s\" is a secret and cannot be set on a server", option->name),
					 errhint("Set \"%s\" in the user mapping.", option->alias_of)));
			return;
		case OPTION_APPLICATION_NAME:
			if (strlen(value) > PNS_APPLICATION_NAME_MAX)
				ereport(ERROR,
						(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
						 errmsg("value of option \"%s\" is too long", option->name),
						 errhint("MongoDB allows %d bytes.", PNS_APPLICATION_NAME_MAX)));
			break;
		case OPTION_TEXT:
		case OPTION_URI:
		case OPTION_FILE:
			break;
	}
	if (*value == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("option \"%s\" is empty", option->name),
				 errhint("Leave it out, or DROP it, for the default.")));
	*(const char **) field = value;
}

/* parse_number gives the whole number from 1 to maximum that value says. */
static int
parse_number(const char *name, const char *value, int maximum)
{
	char	   *end;
	long		number;

	errno = 0;
	number = strtol(value, &end, 10);
	if (end == value || *end != '\0' || errno != 0 ||
		number < 1 || number > maximum)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", name, value),
				 errhint("The value must be a whole number from 1 to %d.", maximum)));
	return (int) number;
}

/*
 * check_listed gives the place of a value among the allowed ones, and refuses
 * one that is none of them.
 */
static int
check_listed(const char *name, const char *value, const char *const *allowed)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; allowed[i] != NULL; i++)
	{
		if (strcmp(value, allowed[i]) == 0)
			return i;
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", allowed[i]);
	}
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"", name, value),
			 errhint("The value must be one of: %s.", names.data)));
}

/*
 * check_host refuses what is neither a name nor an address nor the path of a
 * socket, so that nothing of a uri can be smuggled in, and no port.
 */
static void
check_host(const char *name, const char *value)
{
	size_t		size = strlen(value);
	struct in6_addr address;
	bool		good;

	if (*value == '/')
		good = size > strlen(".sock") && size < PNS_SOCKET_PATH_SIZE &&
			strcmp(value + size - strlen(".sock"), ".sock") == 0;
	else
		good = size > 0 && size <= BSON_HOST_NAME_MAX &&
			strpbrk(value, "/@?#%, \t\r\n[]") == NULL &&
			(strchr(value, ':') == NULL || inet_pton(AF_INET6, value, &address) == 1);
	if (!good)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", name, value),
				 errhint("The value must be a host name, an address, or the path of a socket that ends in \".sock\"; the port is the option \"port\", and for several hosts use the option \"uri\".")));
}
